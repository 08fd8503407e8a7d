// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device features: migration's states and the logging of DMA writes.
 *
 * The wire's structures are like the kernel's where those have no pointer and
 * no fd, and are translated where they have: the kernel gets its bitmap and
 * its ranges by address, we have them in the message; the kernel gives an fd
 * for the migration stream, which stays here (migration.c). Features that
 * aren't in the table are not passed on, whatever the kernel knows of them.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge.h"

#define FEATURE_METHODS		(VFIO_USER_FEATURE_GET | VFIO_USER_FEATURE_SET)
#define FEATURE_FLAGS		(VFIO_USER_FEATURE_MASK | FEATURE_METHODS | \
				 VFIO_USER_FEATURE_PROBE)

/* Reply with @len bytes of data behind the fixed part, if there is room. */
static int feature_reply(struct session *s, struct msg *m, const void *data,
			 size_t len)
{
	const struct vfio_user_device_feature *request = m->payload;
	size_t full = sizeof(*request) + len;
	struct vfio_user_device_feature *reply;

	if (request->argsz < full)
		len = 0;
	reply = session_reply(s, m, sizeof(*reply) + len);
	if (!reply)
		return 0;
	reply->argsz = full;
	reply->flags = request->flags;
	if (len)
		memcpy(reply->data, data, len);
	return session_reply_send(s, m, sizeof(*reply) + len, -1);
}

static int feature_probe(struct session *s, struct msg *m)
{
	const struct vfio_user_device_feature *request = m->payload;
	int ret = vfio_feature(&s->dev, request->flags, NULL, 0);

	return ret ? ret : feature_reply(s, m, NULL, 0);
}

static int feature_migration(struct session *s, struct msg *m)
{
	const struct vfio_user_device_feature *request = m->payload;
	struct vfio_user_feature_migration data = { 0 };
	int ret;

	ret = vfio_feature(&s->dev, request->flags, &data, sizeof(data));
	return ret ? ret : feature_reply(s, m, &data, sizeof(data));
}

static int feature_state(struct session *s, struct msg *m)
{
	const struct vfio_user_device_feature *request = m->payload;
	struct vfio_user_feature_mig_state data;
	uint32_t state = 0;
	int ret;

	if (request->flags & VFIO_USER_FEATURE_GET) {
		ret = migration_get_state(s, &state);
	} else {
		if (m->len < sizeof(*request) + sizeof(data))
			return -EINVAL;
		memcpy(&data, request->data, sizeof(data));
		state = data.device_state;
		ret = migration_set_state(s, state);
		if (!ret)
			ret = shadow_push(s);
	}
	data.device_state = state;
	data.data_fd = -1;
	return ret ? ret : feature_reply(s, m, &data, sizeof(data));
}

/*
 * Without ranges a client asks for all that the device writes, and the kernel
 * wants them said: all that the IOMMU can map, but for a last page whose end
 * can't be said.
 */
static uint32_t feature_all_ranges(const struct session *s,
				   struct vfio_user_feature_logging_range *range)
{
	const struct vfio_iommu_info *iommu = &s->iommu;
	uint64_t page = iommu->pgsizes & -iommu->pgsizes;
	uint64_t first = 0, last = UINT64_MAX;
	unsigned int i = 0;

	do {
		if (iommu->nr_ranges) {
			first = iommu->ranges[i].first;
			last = iommu->ranges[i].last;
		}
		last = min(last, -page - 1);
		range[i].iova = first;
		range[i].length = last - first + 1;
	} while (++i < iommu->nr_ranges);
	return i;
}

static int feature_logging_start(struct session *s, struct msg *m)
{
	struct vfio_user_feature_logging_range all[VFIO_MAX_IOVA_RANGES];
	const struct vfio_user_device_feature *request = m->payload;
	struct vfio_user_feature_logging_start *wire;
	size_t room = m->len - sizeof(*request);
	struct vfio_device_feature_dma_logging_control data;
	int ret;

	if (room < sizeof(*wire))
		return -EINVAL;
	room -= sizeof(*wire);
	wire = malloc(sizeof(*wire) + room);
	if (!wire)
		return -ENOMEM;
	memcpy(wire, request->data, sizeof(*wire) + room);

	ret = -EINVAL;
	if (wire->num_ranges > room / sizeof(wire->ranges[0]) || wire->reserved)
		goto free;
	data = (struct vfio_device_feature_dma_logging_control){
		.page_size = wire->page_size,
		.num_ranges = wire->num_ranges,
		.ranges = (uintptr_t)wire->ranges,
	};
	if (!data.num_ranges) {
		data.num_ranges = feature_all_ranges(s, all);
		data.ranges = (uintptr_t)all;
	}
	ret = vfio_feature(&s->dev, request->flags, &data, sizeof(data));
	if (ret)
		goto free;
	s->logging = true;
	wire->page_size = data.page_size;
	ret = feature_reply(s, m, wire, sizeof(*wire) + wire->num_ranges *
			    sizeof(wire->ranges[0]));
free:
	free(wire);
	return ret;
}

static int feature_logging_stop(struct session *s, struct msg *m)
{
	const struct vfio_user_device_feature *request = m->payload;
	int ret = vfio_feature(&s->dev, request->flags, NULL, 0);

	if (ret)
		return ret;
	s->logging = false;
	return feature_reply(s, m, NULL, 0);
}

void feature_stop_all(struct session *s)
{
	if (s->logging &&
	    vfio_feature(&s->dev, VFIO_USER_FEATURE_SET |
			 VFIO_USER_FEATURE_DMA_LOGGING_STOP, NULL, 0))
		s->unsure = true;
	s->logging = false;
}

/* Bytes of the bitmap that @report asks for; 0 if it asks for nonsense. */
static size_t feature_bitmap_len(const struct vfio_user_feature_logging_report *report)
{
	uint64_t end, bits;

	if (!report->length || !report->page_size ||
	    report->page_size & (report->page_size - 1) ||
	    add_overflows(report->iova, report->length - 1, &end))
		return 0;
	bits = (report->length - 1) / report->page_size + 1;
	if (bits > BRIDGE_MAX_XFER * 8ull)
		return 0;
	return (bits + 63) / 64 * sizeof(uint64_t);
}

static int feature_logging_report(struct session *s, struct msg *m)
{
	const struct vfio_user_device_feature *request = m->payload;
	struct vfio_user_feature_logging_report *wire;
	struct vfio_device_feature_dma_logging_report data;
	size_t len;
	int ret;

	if (m->len < sizeof(*request) + sizeof(*wire))
		return -EINVAL;
	len = feature_bitmap_len((const void *)request->data);
	if (!len)
		return -EINVAL;
	wire = calloc(1, sizeof(*wire) + len);
	if (!wire)
		return -ENOMEM;
	memcpy(wire, request->data, sizeof(*wire));

	data = (struct vfio_device_feature_dma_logging_report){
		.iova = wire->iova,
		.length = wire->length,
		.page_size = wire->page_size,
		.bitmap = (uintptr_t)wire->bitmap,
	};
	/* What the kernel reports is forgotten there: ask with room for it. */
	if (request->argsz >= sizeof(*request) + sizeof(*wire) + len)
		ret = vfio_feature(&s->dev, request->flags, &data,
				   sizeof(data));
	else
		ret = 0;
	if (!ret)
		ret = feature_reply(s, m, wire, sizeof(*wire) + len);
	free(wire);
	return ret;
}

/**
 * struct feature - a row of the table of features
 * @methods: VFIO_USER_FEATURE_GET and _SET, as far as it has them
 * @handle: does either
 */
static const struct feature {
	uint32_t methods;
	int (*handle)(struct session *s, struct msg *m);
} features[] = {
	[VFIO_USER_FEATURE_MIGRATION] = {
		VFIO_USER_FEATURE_GET, feature_migration
	},
	[VFIO_USER_FEATURE_MIG_DEVICE_STATE] = {
		FEATURE_METHODS, feature_state
	},
	[VFIO_USER_FEATURE_DMA_LOGGING_START] = {
		VFIO_USER_FEATURE_SET, feature_logging_start
	},
	[VFIO_USER_FEATURE_DMA_LOGGING_STOP] = {
		VFIO_USER_FEATURE_SET, feature_logging_stop
	},
	[VFIO_USER_FEATURE_DMA_LOGGING_REPORT] = {
		VFIO_USER_FEATURE_GET, feature_logging_report
	},
};

int feature_handle(struct session *s, struct msg *m)
{
	const struct vfio_user_device_feature *request = m->payload;
	uint32_t index = request->flags & VFIO_USER_FEATURE_MASK;
	uint32_t methods = request->flags & FEATURE_METHODS;
	const struct feature *f;
	int ret = 0;

	if (request->argsz < sizeof(*request) ||
	    request->flags & ~FEATURE_FLAGS)
		return -EINVAL;
	if (index >= ARRAY_SIZE(features) || !features[index].handle)
		return -EOPNOTSUPP;
	f = &features[index];
	if (request->flags & VFIO_USER_FEATURE_PROBE)
		return feature_probe(s, m);
	if (!methods || methods == FEATURE_METHODS || methods & ~f->methods)
		return -EINVAL;
	/* A state that is resumed is whatever the client says, DMA included. */
	if (methods & VFIO_USER_FEATURE_SET)
		ret = holder_check_power(s);
	return ret ? ret : f->handle(s, m);
}
