// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions: described with the fd to map them from, read and written.
 *
 * The description is the kernel's, capabilities included; their offsets are
 * counted anew, because the chain on the wire begins behind our structure and
 * not behind the kernel's. With --mmap=off nothing says that a region could be
 * mapped: no flag, no sparse areas, no fd, and no kernel object of the device
 * leaves the daemon. So it is, too, for a session that hasn't shown that it may
 * have power over the device (holder.c).
 *
 * An access is one system call of the width that was asked for.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge.h"

/* Capabilities in one region's chain; the kernel has not come near it. */
#define REGION_MAX_CAPS		16
#define REGION_CAP_ALIGN	8

static const struct vfio_region *region_find(const struct session *s,
					     uint32_t index)
{
	if (index >= s->dev.nr_regions || s->dev.regions[index].error)
		return NULL;
	return &s->dev.regions[index];
}

static bool region_can_map(struct session *s, const struct vfio_region *region)
{
	return s->bridge->opts->mmap &&
	       region->flags & VFIO_REGION_INFO_FLAG_MMAP && holder_give_fd(s);
}

/* Offsets into region->caps of the capabilities that the client is told of. */
static unsigned int region_list_caps(const struct vfio_region *region,
				     bool map, uint32_t *at)
{
	uint32_t offset = region->caps ? region->caps_offset : 0;
	unsigned int n = 0;

	while (offset >= region->caps_offset && offset && n < REGION_MAX_CAPS) {
		struct vfio_info_cap_header header;
		uint32_t pos = offset - region->caps_offset;

		if (!range_within(pos, sizeof(header), region->caps_len))
			break;
		memcpy(&header, (char *)region->caps + pos, sizeof(header));
		if (header.id != VFIO_REGION_INFO_CAP_SPARSE_MMAP ||
		    map)
			at[n++] = pos;
		if (header.next <= offset)
			break;
		offset = header.next;
	}
	return n;
}

/* A capability ends where the next begins: the chain goes upwards. */
static uint32_t region_cap_len(const struct vfio_region *region, uint32_t pos)
{
	struct vfio_info_cap_header header;

	memcpy(&header, (char *)region->caps + pos, sizeof(header));
	if (header.next > region->caps_offset + pos &&
	    header.next - region->caps_offset <= region->caps_len)
		return header.next - region->caps_offset - pos;
	return region->caps_len - pos;
}

/*
 * Write the chain behind @info, if @info isn't NULL; returns the length of the
 * whole, structure and chain.
 */
static size_t region_copy_caps(const struct vfio_region *region, bool map,
			       struct vfio_user_region_info *info)
{
	size_t len = sizeof(*info);
	uint32_t at[REGION_MAX_CAPS];
	unsigned int i, n = region_list_caps(region, map, at);

	for (i = 0; i < n; i++) {
		uint32_t cap_len = region_cap_len(region, at[i]);
		size_t next = (len + cap_len + REGION_CAP_ALIGN - 1) &
			      ~(size_t)(REGION_CAP_ALIGN - 1);
		struct vfio_user_cap_header *header;

		if (info) {
			header = (void *)((uint8_t *)info + len);
			memset(header, 0, next - len);
			memcpy(header, (char *)region->caps + at[i], cap_len);
			header->next = i + 1 < n ? next : 0;
		}
		len = next;
	}
	return len;
}

int region_handle_info(struct session *s, struct msg *m)
{
	const struct vfio_user_region_info *request = m->payload;
	const struct vfio_region *region = region_find(s, request->index);
	struct vfio_user_region_info *reply;
	uint32_t argsz = request->argsz;
	bool map;
	size_t len;

	if (argsz < sizeof(*reply) || !region)
		return -EINVAL;
	map = region_can_map(s, region);
	len = region_copy_caps(region, map, NULL);
	reply = session_reply(s, m, len);
	if (!reply)
		return 0;

	*reply = (struct vfio_user_region_info){
		.argsz = len,
		.flags = region->flags & (VFIO_USER_REGION_FLAG_READ |
					  VFIO_USER_REGION_FLAG_WRITE),
		.index = request->index,
		.size = region->size,
		.offset = map ? region->offset : 0,
	};
	if (map)
		reply->flags |= VFIO_USER_REGION_FLAG_MMAP;
	/* QEMU takes the flag with no capabilities behind it for an error. */
	if (argsz < len) {
		len = sizeof(*reply);
	} else if (len > sizeof(*reply)) {
		reply->flags |= VFIO_USER_REGION_FLAG_CAPS;
		reply->cap_offset = sizeof(*reply);
		region_copy_caps(region, map, reply);
	}
	return session_reply_send(s, m, len, map ? s->dev.fd : -1);
}

/* What READ and WRITE must satisfy alike. */
static int region_check(const struct session *s, uint32_t flag,
			const struct vfio_user_region_access *access)
{
	const struct vfio_region *region = region_find(s, access->region);

	if (!region || !(region->flags & flag) ||
	    access->count > BRIDGE_MAX_XFER ||
	    !range_within(access->offset, access->count, region->size))
		return -EINVAL;
	return 0;
}

static ssize_t region_load(struct session *s,
			   const struct vfio_user_region_access *request,
			   uint8_t *data)
{
	ssize_t n = vfio_region_read(&s->dev, request->region, request->offset,
				     data, request->count);

	if (n > 0 && request->region == VFIO_PCI_CONFIG_REGION_INDEX)
		device_look_at(s, data, n);
	return n;
}

/* The reply is begun only when the client has been sent what comes before. */
static int region_read_shadowed(struct session *s, struct msg *m)
{
	const struct vfio_user_region_access *request = m->payload;
	struct vfio_user_region_access *reply;
	uint8_t *data = malloc(request->count + 1);
	ssize_t n;
	int ret;

	if (!data)
		return -ENOMEM;
	n = region_load(s, request, data);
	ret = n < 0 ? n : shadow_push(s);
	if (ret)
		goto free;
	reply = session_reply(s, m, sizeof(*reply) + n);
	if (!reply)
		goto free;
	*reply = *request;
	reply->count = n;
	memcpy(reply->data, data, n);
	session_reply_send(s, m, sizeof(*reply) + n, -1);
free:
	free(data);
	return ret;
}

int region_handle_read(struct session *s, struct msg *m)
{
	const struct vfio_user_region_access *request = m->payload;
	struct vfio_user_region_access *reply;
	ssize_t n;
	int ret;

	ret = region_check(s, VFIO_REGION_INFO_FLAG_READ, request);
	if (ret)
		return ret;
	if (s->shadow)
		return region_read_shadowed(s, m);
	reply = session_reply(s, m, sizeof(*reply) + request->count);
	if (!reply)
		return 0;

	n = region_load(s, request, reply->data);
	if (n < 0)
		return n;
	reply->offset = request->offset;
	reply->region = request->region;
	reply->count = n;
	return session_reply_send(s, m, sizeof(*reply) + n, -1);
}

int region_handle_write(struct session *s, struct msg *m)
{
	const struct vfio_user_region_access *request = m->payload;
	struct vfio_user_region_access *reply;
	ssize_t n;
	int ret;

	ret = region_check(s, VFIO_REGION_INFO_FLAG_WRITE, request);
	if (ret)
		return ret;
	if (request->count > m->len - sizeof(*request))
		return -EINVAL;
	ret = holder_check_power(s);
	if (!ret)
		ret = shadow_pull(s);
	if (ret)
		return ret;
	reply = session_reply(s, m, sizeof(*reply));
	if (!reply)
		return 0;

	n = vfio_region_write(&s->dev, request->region, request->offset,
			      request->data, request->count);
	if (n < 0)
		return n;
	reply->offset = request->offset;
	reply->region = request->region;
	reply->count = n;
	return session_reply_send(s, m, sizeof(*reply), -1);
}

/* One of several; true if all of it has been written. */
static bool region_write_one(struct session *s,
			     const struct vfio_user_write_one *one)
{
	const struct vfio_user_region_access access = {
		.offset = one->offset,
		.region = one->region,
		.count = one->count,
	};

	if (one->count > sizeof(one->data) ||
	    region_check(s, VFIO_REGION_INFO_FLAG_WRITE, &access))
		return false;
	return vfio_region_write(&s->dev, one->region, one->offset, one->data,
				 one->count) == one->count;
}

int region_handle_write_multi(struct session *s, struct msg *m)
{
	const struct vfio_user_write_multi *request = m->payload;
	struct vfio_user_write_multi *reply;
	uint64_t i;
	int ret;

	if (request->wr_cnt >
	    (m->len - sizeof(*request)) / sizeof(request->wrs[0]))
		return -EINVAL;
	ret = holder_check_power(s);
	if (!ret)
		ret = shadow_pull(s);
	if (ret)
		return ret;
	reply = session_reply(s, m, sizeof(*reply));
	if (!reply)
		return 0;

	for (i = 0; i < request->wr_cnt; i++) {
		if (!region_write_one(s, &request->wrs[i]))
			break;
	}
	reply->wr_cnt = i;
	return session_reply_send(s, m, sizeof(*reply), -1);
}
