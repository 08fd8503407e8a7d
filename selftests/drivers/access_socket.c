// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way to a device through a vfio-user socket.
 *
 * Everything is one call of the client library, except for mapping: the
 * region's description comes with the fd to map it from and the offset to map
 * it at, or with no fd when the server keeps the device to itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "access.h"

struct access_socket {
	struct access access;
	struct vfio_user_client *client;
};

static struct vfio_user_client *client_of(struct access *a)
{
	return container_of(a, struct access_socket, access)->client;
}

struct vfio_user_client *access_socket_client(struct access *a)
{
	return client_of(a);
}

static void socket_close(struct access *a)
{
	struct access_socket *s = container_of(a, struct access_socket, access);

	vfio_user_disconnect(s->client);
	free(s);
}

static int socket_region(struct access *a, uint32_t index,
			 struct access_region *region)
{
	struct vfio_user_region_info *info;
	int ret;

	ret = vfio_user_region_info(client_of(a), index, &info, NULL);
	if (ret)
		return ret;
	region->flags = info->flags;
	region->size = info->size;
	free(info);
	return 0;
}

static ssize_t socket_read(struct access *a, uint32_t index, uint64_t offset,
			   void *buf, size_t count)
{
	return vfio_user_region_read(client_of(a), index, offset, buf, count);
}

static ssize_t socket_write(struct access *a, uint32_t index, uint64_t offset,
			    const void *buf, size_t count)
{
	return vfio_user_region_write(client_of(a), index, offset, buf, count);
}

static bool may_map(const struct vfio_user_region_info *info, uint64_t offset,
		    size_t size)
{
	const void *caps = NULL;
	uint32_t len = 0;

	if (!(info->flags & VFIO_USER_REGION_FLAG_MMAP))
		return false;
	if (info->flags & VFIO_USER_REGION_FLAG_CAPS && info->cap_offset) {
		caps = (const char *)info + info->cap_offset;
		len = info->argsz - info->cap_offset;
	}
	return access_area_mappable(caps, len, info->cap_offset, offset, size);
}

static void *socket_map(struct access *a, uint32_t index, uint64_t offset,
			size_t size)
{
	struct vfio_user_region_info *info;
	void *mem = MAP_FAILED;
	int fd;

	if (vfio_user_region_info(client_of(a), index, &info, &fd))
		return NULL;
	if (fd >= 0 && may_map(info, offset, size))
		mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			   info->offset + offset);
	close_fd(&fd);
	free(info);
	return mem == MAP_FAILED ? NULL : mem;
}

static int socket_irq(struct access *a, uint32_t index, uint32_t *flags,
		      uint32_t *count)
{
	struct vfio_user_irq_info info;
	int ret;

	ret = vfio_user_irq_info(client_of(a), index, &info);
	if (ret)
		return ret;
	*flags = info.flags;
	*count = info.count;
	return 0;
}

static int socket_irq_set(struct access *a, uint32_t flags, uint32_t index,
			  uint32_t start, uint32_t count, const void *data)
{
	return vfio_user_irq_set(client_of(a), flags, index, start, count,
				 data);
}

static int socket_dma_map(struct access *a, uint64_t iova, uint64_t size,
			  int fd, uint64_t offset, uint32_t flags)
{
	return vfio_user_dma_map(client_of(a), iova, size, fd, offset, flags);
}

static int socket_dma_unmap(struct access *a, uint64_t iova, uint64_t size)
{
	return vfio_user_dma_unmap(client_of(a), iova, size);
}

static int socket_reset(struct access *a)
{
	return vfio_user_reset(client_of(a));
}

static uint64_t socket_messages(struct access *a)
{
	return vfio_user_messages_sent(client_of(a));
}

static const struct access_ops socket_ops = {
	.name = "vfio-user",
	.close = socket_close,
	.region = socket_region,
	.read = socket_read,
	.write = socket_write,
	.map = socket_map,
	.irq = socket_irq,
	.irq_set = socket_irq_set,
	.dma_map = socket_dma_map,
	.dma_unmap = socket_dma_unmap,
	.reset = socket_reset,
	.messages = socket_messages,
};

int access_socket_open(const char *path,
		       const struct vfio_user_client_opts *opts,
		       struct access **out)
{
	struct access_socket *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	ret = vfio_user_connect(path, opts, &s->client);
	if (ret) {
		free(s);
		return ret;
	}
	s->access.ops = &socket_ops;
	*out = &s->access;
	return 0;
}
