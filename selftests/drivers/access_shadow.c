// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way to a device through a vfio-user socket for who shares no memory.
 *
 * What the device does to memory comes by message, at any time. A thread waits
 * for such messages and answers them; a lock makes the client, which is for one
 * thread at a time, its or the caller's. What comes while the caller waits for a
 * reply the library answers itself.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "access.h"

#define SHADOW_MAX_MAPS		64

/**
 * struct access_shadow - a client and the thread that answers for it
 * @access: what the caller has
 * @socket: the client, for one thread at a time
 * @lock: protects @socket
 * @thread: answers
 * @stop: eventfd that ends it
 * @maps: what the device can reach; size 0 for an entry that isn't used
 */
struct access_shadow {
	struct access access;
	struct access *socket;
	pthread_mutex_t lock;
	pthread_t thread;
	int stop;
	struct {
		uint64_t iova;
		uint64_t size;
		void *mem;
	} maps[SHADOW_MAX_MAPS];
};

static struct access_shadow *shadow_of(struct access *a)
{
	return container_of(a, struct access_shadow, access);
}

static void *shadow_thread(void *arg)
{
	struct access_shadow *s = arg;
	struct vfio_user_client *client = access_socket_client(s->socket);
	struct pollfd fds[] = {
		{ .fd = s->stop, .events = POLLIN },
		{ .fd = vfio_user_client_fd(client), .events = POLLIN },
		{ .fd = vfio_user_client_twin_fd(client), .events = POLLIN },
	};
	int ret = 0;

	while (ret >= 0 && poll(fds, ARRAY_SIZE(fds), -1) > 0 &&
	       !fds[0].revents) {
		pthread_mutex_lock(&s->lock);
		ret = vfio_user_serve(client);
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

static struct access *shadow_lock(struct access_shadow *s)
{
	pthread_mutex_lock(&s->lock);
	return s->socket;
}

/* A command may have been received with the reply: the thread can't see it. */
static void shadow_unlock(struct access_shadow *s)
{
	vfio_user_serve(access_socket_client(s->socket));
	pthread_mutex_unlock(&s->lock);
}

static void shadow_close(struct access *a)
{
	struct access_shadow *s = shadow_of(a);
	unsigned int i;

	eventfd_write(s->stop, 1);
	pthread_join(s->thread, NULL);
	close(s->stop);
	access_close(s->socket);
	for (i = 0; i < SHADOW_MAX_MAPS; i++) {
		if (s->maps[i].size)
			munmap(s->maps[i].mem, s->maps[i].size);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int shadow_region(struct access *a, uint32_t index,
			 struct access_region *region)
{
	struct access *socket = shadow_lock(shadow_of(a));
	int ret = socket->ops->region(socket, index, region);

	shadow_unlock(shadow_of(a));
	return ret;
}

static ssize_t shadow_read(struct access *a, uint32_t index, uint64_t offset,
			   void *buf, size_t count)
{
	struct access *socket = shadow_lock(shadow_of(a));
	ssize_t ret = socket->ops->read(socket, index, offset, buf, count);

	shadow_unlock(shadow_of(a));
	return ret;
}

static ssize_t shadow_write(struct access *a, uint32_t index, uint64_t offset,
			    const void *buf, size_t count)
{
	struct access *socket = shadow_lock(shadow_of(a));
	ssize_t ret = socket->ops->write(socket, index, offset, buf, count);

	shadow_unlock(shadow_of(a));
	return ret;
}

static void *shadow_map(struct access *a, uint32_t index, uint64_t offset,
			size_t size)
{
	struct access *socket = shadow_lock(shadow_of(a));
	void *mem = socket->ops->map(socket, index, offset, size);

	shadow_unlock(shadow_of(a));
	return mem;
}

static int shadow_irq(struct access *a, uint32_t index, uint32_t *flags,
		      uint32_t *count)
{
	struct access *socket = shadow_lock(shadow_of(a));
	int ret = socket->ops->irq(socket, index, flags, count);

	shadow_unlock(shadow_of(a));
	return ret;
}

static int shadow_irq_set(struct access *a, uint32_t flags, uint32_t index,
			  uint32_t start, uint32_t count, const void *data)
{
	struct access *socket = shadow_lock(shadow_of(a));
	int ret = socket->ops->irq_set(socket, flags, index, start, count,
				       data);

	shadow_unlock(shadow_of(a));
	return ret;
}

/* The entry with this size at this address, or one that isn't used. */
static int shadow_find(const struct access_shadow *s, uint64_t iova,
		       uint64_t size)
{
	int i;

	for (i = 0; i < SHADOW_MAX_MAPS; i++) {
		if (s->maps[i].size == size &&
		    (!size || s->maps[i].iova == iova))
			return i;
	}
	return -ENOSPC;
}

/* The file stays here: it's the memory of some process without it. */
static int shadow_dma_map(struct access *a, uint64_t iova, uint64_t size,
			  int fd, uint64_t offset, uint32_t flags)
{
	struct access_shadow *s = shadow_of(a);
	int i = shadow_find(s, 0, 0), ret;
	void *mem;

	if (i < 0)
		return i;
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
	if (mem == MAP_FAILED)
		return -errno;
	shadow_lock(s);
	ret = vfio_user_dma_map_shadow(access_socket_client(s->socket), iova,
				       size, mem, flags);
	shadow_unlock(s);
	if (ret) {
		munmap(mem, size);
		return ret;
	}
	s->maps[i].iova = iova;
	s->maps[i].size = size;
	s->maps[i].mem = mem;
	return 0;
}

static int shadow_dma_unmap(struct access *a, uint64_t iova, uint64_t size)
{
	struct access_shadow *s = shadow_of(a);
	struct access *socket = shadow_lock(s);
	int ret = socket->ops->dma_unmap(socket, iova, size);
	int i = shadow_find(s, iova, size);

	shadow_unlock(s);
	if (!ret && i >= 0) {
		munmap(s->maps[i].mem, size);
		s->maps[i].size = 0;
	}
	return ret;
}

static int shadow_reset(struct access *a)
{
	struct access *socket = shadow_lock(shadow_of(a));
	int ret = socket->ops->reset(socket);

	shadow_unlock(shadow_of(a));
	return ret;
}

static uint64_t shadow_messages(struct access *a)
{
	struct access *socket = shadow_of(a)->socket;

	return socket->ops->messages(socket);
}

static const struct access_ops shadow_ops = {
	.name = "vfio-user without shared memory",
	.close = shadow_close,
	.region = shadow_region,
	.read = shadow_read,
	.write = shadow_write,
	.map = shadow_map,
	.irq = shadow_irq,
	.irq_set = shadow_irq_set,
	.dma_map = shadow_dma_map,
	.dma_unmap = shadow_dma_unmap,
	.reset = shadow_reset,
	.messages = shadow_messages,
};

static int shadow_start(struct access_shadow *s, bool twin)
{
	struct vfio_user_client *client = access_socket_client(s->socket);
	int ret;

	if (twin && vfio_user_client_twin_fd(client) < 0)
		return -EPROTO;
	s->stop = eventfd(0, EFD_CLOEXEC);
	if (s->stop < 0)
		return -errno;
	pthread_mutex_init(&s->lock, NULL);
	ret = -pthread_create(&s->thread, NULL, shadow_thread, s);
	if (ret)
		close(s->stop);
	return ret;
}

int access_shadow_open(const char *path, bool twin, struct access **out)
{
	const struct vfio_user_client_opts opts = { .twin_socket = twin };
	struct access_shadow *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	ret = access_socket_open(path, &opts, &s->socket);
	if (ret)
		goto free;
	ret = shadow_start(s, twin);
	if (ret)
		goto close;
	s->access.ops = &shadow_ops;
	*out = &s->access;
	return 0;

close:
	access_close(s->socket);
free:
	free(s);
	return ret;
}
