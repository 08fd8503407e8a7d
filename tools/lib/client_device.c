// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device as a whole: its interrupts, its memory, its reset, its features.
 *
 * A command a function, but for interrupts: eventfds that don't fit in one
 * message go in several, each with fds for all or none of its sub-indexes.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"
#include "log.h"

int vfio_user_device_info(struct vfio_user_client *c,
			  struct vfio_user_device_info *info)
{
	struct vfio_user_device_info req = { .argsz = sizeof(req) };
	int ret;

	ret = client_exchange(c, VFIO_USER_DEVICE_GET_INFO, &req, sizeof(req),
			      info, sizeof(*info));
	if (ret)
		return ret;
	if (info->argsz < sizeof(*info) ||
	    info->num_regions > CLIENT_MAX_INDEXES ||
	    info->num_irqs > CLIENT_MAX_INDEXES) {
		log_debug("the server describes a device with argsz %u, %u regions, %u interrupts",
			  info->argsz, info->num_regions, info->num_irqs);
		return client_break(c, -EPROTO);
	}
	return 0;
}

int vfio_user_irq_info(struct vfio_user_client *c, uint32_t index,
		       struct vfio_user_irq_info *info)
{
	struct vfio_user_irq_info req = {
		.argsz = sizeof(req),
		.index = index,
	};
	int ret;

	ret = client_exchange(c, VFIO_USER_DEVICE_GET_IRQ_INFO,
			      &req, sizeof(req), info, sizeof(*info));
	if (ret)
		return ret;
	if (info->argsz < sizeof(*info) || info->index != index) {
		log_debug("the server answers for interrupt %u with argsz %u, index %u",
			  index, info->argsz, info->index);
		return client_break(c, -EPROTO);
	}
	return 0;
}

/* One message: @size bytes at @data, or @nr_fds fds. */
static int irq_send(struct vfio_user_client *c,
		    const struct vfio_user_irq_set *set,
		    const void *data, size_t size,
		    const int *fds, unsigned int nr_fds)
{
	struct vfio_user_irq_set req = *set;
	struct iovec iov[] = {
		{ &req, sizeof(req) },
		{ (void *)data, size },
	};

	if (size > CLIENT_MAX_XFER)
		return -EMSGSIZE;
	req.argsz = sizeof(req) + size;
	return client_command(c, VFIO_USER_DEVICE_SET_IRQS, iov, size ? 2 : 1,
			      fds, nr_fds);
}

/* How many of the first @count of @fds go into one message. */
static uint32_t irq_run(const struct vfio_user_client *c, const int *fds,
			uint32_t count)
{
	bool present = fds[0] >= 0;
	uint32_t n;

	for (n = 1; n < count && (fds[n] >= 0) == present; n++) {
		if (present && n == c->max_msg_fds)
			break;
	}
	return n;
}

static int irq_set_eventfds(struct vfio_user_client *c,
			    const struct vfio_user_irq_set *set,
			    const int *fds)
{
	uint32_t done = 0;

	while (done < set->count) {
		struct vfio_user_irq_set run = *set;
		int ret;

		run.start = set->start + done;
		run.count = irq_run(c, fds + done, set->count - done);
		ret = irq_send(c, &run, NULL, 0, fds + done,
			       fds[done] >= 0 ? run.count : 0);
		if (ret)
			return ret;
		done += run.count;
	}
	return 0;
}

int vfio_user_irq_set(struct vfio_user_client *c, uint32_t flags,
		      uint32_t index, uint32_t start, uint32_t count,
		      const void *data)
{
	struct vfio_user_irq_set set = {
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
	};
	uint32_t type = flags & VFIO_USER_IRQ_SET_DATA_MASK;

	if (type == VFIO_USER_IRQ_SET_DATA_NONE || !count)
		return irq_send(c, &set, NULL, 0, NULL, 0);
	if (count > UINT32_MAX - start || !data)
		return -EINVAL;
	if (type == VFIO_USER_IRQ_SET_DATA_BOOL)
		return irq_send(c, &set, data, count, NULL, 0);
	if (type == VFIO_USER_IRQ_SET_DATA_EVENTFD)
		return irq_set_eventfds(c, &set, data);
	return -EINVAL;
}

int vfio_user_dma_map(struct vfio_user_client *c, uint64_t iova, uint64_t size,
		      int fd, uint64_t offset, uint32_t flags)
{
	struct vfio_user_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.offset = offset,
		.address = iova,
		.size = size,
	};
	struct iovec iov = { &map, sizeof(map) };

	return client_command(c, VFIO_USER_DMA_MAP, &iov, 1, &fd,
			      fd >= 0 ? 1 : 0);
}

static int client_unmap(struct vfio_user_client *c,
			struct vfio_user_dma_unmap req)
{
	struct vfio_user_dma_unmap reply;
	int ret;

	ret = client_exchange(c, VFIO_USER_DMA_UNMAP, &req, sizeof(req),
			      &reply, sizeof(reply));
	if (ret)
		return ret;
	if (reply.address != req.address || reply.size != req.size) {
		log_debug("the server unmapped something else");
		return client_break(c, -EPROTO);
	}
	client_forget(c, req.address, req.size);
	return 0;
}

int vfio_user_dma_unmap(struct vfio_user_client *c, uint64_t iova,
			uint64_t size)
{
	return client_unmap(c, (struct vfio_user_dma_unmap) {
		.argsz = sizeof(struct vfio_user_dma_unmap),
		.address = iova,
		.size = size,
	});
}

int vfio_user_dma_unmap_all(struct vfio_user_client *c)
{
	return client_unmap(c, (struct vfio_user_dma_unmap) {
		.argsz = sizeof(struct vfio_user_dma_unmap),
		.flags = VFIO_USER_DMA_UNMAP_ALL,
	});
}

int vfio_user_reset(struct vfio_user_client *c)
{
	/* A stream that it had is dead. */
	c->stream_error = 0;
	return client_command(c, VFIO_USER_DEVICE_RESET, NULL, 0, NULL, 0);
}

ssize_t vfio_user_feature(struct vfio_user_client *c, uint32_t flags,
			  const void *in, size_t in_len,
			  void *out, size_t out_len)
{
	struct vfio_user_device_feature req = { .flags = flags }, reply;
	struct iovec iov[] = {
		{ &req, sizeof(req) },
		{ (void *)in, in_len },
	};
	struct msg m;
	size_t len;
	int ret;

	if (in_len > CLIENT_MAX_XFER || out_len > CLIENT_MAX_XFER)
		return -EMSGSIZE;
	req.argsz = sizeof(req) + max(in_len, out_len);
	ret = client_call(c, VFIO_USER_DEVICE_FEATURE, iov, in_len ? 2 : 1,
			  NULL, 0, &m);
	if (ret)
		return ret;
	if (m.nr_fds)
		return client_violation(c, &m, "fds that nobody asked for");
	if (m.len < sizeof(reply) || m.len > req.argsz)
		return client_violation(c, &m, "a payload of the wrong length");
	memcpy(&reply, m.payload, sizeof(reply));
	if (reply.flags != flags || reply.argsz < m.len)
		return client_violation(c, &m, "another feature's answer");
	if (reply.argsz > req.argsz)
		return -ENOSPC;

	len = min(m.len - sizeof(reply), out_len);
	if (len)
		memcpy(out, (char *)m.payload + sizeof(reply), len);
	return len;
}
