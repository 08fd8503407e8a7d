// SPDX-License-Identifier: GPL-2.0-only
/*
 * Windows: mappings of a client's memory that exist to be named, not used.
 *
 * VFIO_IOMMU_MAP_DMA and IOMMU_IOAS_MAP take memory by its address in the
 * calling process. So the client's file is mapped and its address given to the
 * kernel. How long that address must stay ours depends on who may look at it
 * again.
 *
 * With type1 and a physical device, nobody: pages are pinned when they are
 * mapped and stay so until they are unmapped, by I/O virtual address. The
 * window is closed at once, a session with 60,000 maps has no mapping to show
 * for them, and vm.max_map_count doesn't limit it.
 *
 * With an emulated (mediated) device the pages are pinned when its driver asks
 * for them, through the address. And with iommufd they are pinned again, through
 * the address, whenever the device is attached to the address space again, which
 * whoever has the device's fd can do; with --mmap=on the client has it. If
 * something of our own stood there by then, the client's device could read and
 * write it. These windows stay as long as the map, in a tree by I/O virtual
 * address, and there are only so many.
 */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "internal.h"

struct vfio_window {
	uint64_t iova;
	uint64_t length;
	void *address;
};

/* Mappings that the process has for other purposes: code, stacks, heap. */
#define WINDOW_RESERVE		4096

/* Of all containers: they are mappings of one process. */
static atomic_uint windows_of_all;

static int vfio_window_compare(const void *a, const void *b)
{
	const struct vfio_window *x = a, *y = b;

	return x->iova < y->iova ? -1 : x->iova > y->iova;
}

/*
 * What munmap(2) will have to be told: huge pages are mapped, and can only be
 * unmapped, whole. Only files of memory have seals, so nothing is asked of a
 * file system that a client may be behind.
 *
 * Syscalls: fcntl(F_GET_SEALS) newfstatat
 */
static uint64_t vfio_window_length(int fd, uint64_t size)
{
	struct stat st;
	uint64_t end;

	if (fcntl(fd, F_GET_SEALS) < 0 || fstat(fd, &st) || st.st_blksize <= 0 ||
	    add_overflows(size, st.st_blksize - 1, &end))
		return size;
	return end - end % st.st_blksize;
}

/* With the lock. */
static void vfio_window_uncount_locked(struct vfio_container *c)
{
	c->nr_windows--;
	atomic_fetch_sub(&windows_of_all, 1);
}

/* Is there room for one more? Then it is counted. */
static bool vfio_window_count(struct vfio_container *c)
{
	bool room;

	pthread_mutex_lock(&c->lock);
	c->nr_windows++;
	room = atomic_fetch_add(&windows_of_all, 1) < vfio_window_limit() &&
	       c->nr_windows <= c->max_windows;
	if (!room)
		vfio_window_uncount_locked(c);
	pthread_mutex_unlock(&c->lock);
	return room;
}

static void vfio_window_uncount(struct vfio_container *c)
{
	pthread_mutex_lock(&c->lock);
	vfio_window_uncount_locked(c);
	pthread_mutex_unlock(&c->lock);
}

static bool vfio_window_insert(struct vfio_container *c, struct vfio_window *w)
{
	void *node;

	pthread_mutex_lock(&c->lock);
	node = tsearch(w, &c->windows, vfio_window_compare);
	pthread_mutex_unlock(&c->lock);
	return node;
}

int vfio_window_open(struct vfio_container *c, uint64_t iova, uint64_t size,
		     int fd, uint64_t offset, bool readable, bool writeable,
		     void **address)
{
	/* What the device writes, the kernel must be able to write. */
	int prot = (readable ? PROT_READ : 0) | (writeable ? PROT_WRITE : 0);
	struct vfio_window *w;
	int ret;

	if (size > SIZE_MAX || offset > INT64_MAX)
		return -EOVERFLOW;
	if (!vfio_window_count(c))
		return -ENOSPC;
	ret = -ENOMEM;
	w = malloc(sizeof(*w));
	if (!w)
		goto uncount;

	w->iova = iova;
	w->length = vfio_window_length(fd, size);
	w->address = mmap(NULL, w->length, prot, MAP_SHARED, fd, offset);
	ret = -errno;
	if (w->address == MAP_FAILED)
		goto free;
	ret = -ENOMEM;
	if (!vfio_window_insert(c, w))
		goto unmap;
	*address = w->address;
	return 0;

unmap:
	munmap(w->address, w->length);
free:
	free(w);
uncount:
	vfio_window_uncount(c);
	return ret;
}

void vfio_window_settle(struct vfio_container *c, uint64_t iova)
{
	if (!c->keep_windows)
		vfio_window_close(c, iova);
}

void vfio_window_close(struct vfio_container *c, uint64_t iova)
{
	struct vfio_window key = { .iova = iova };
	struct vfio_window **found, *w = NULL;

	pthread_mutex_lock(&c->lock);
	found = tfind(&key, &c->windows, vfio_window_compare);
	if (found) {
		w = *found;
		tdelete(&key, &c->windows, vfio_window_compare);
		vfio_window_uncount_locked(c);
	}
	pthread_mutex_unlock(&c->lock);
	if (w)
		munmap(w->address, w->length);
	free(w);
}

void vfio_window_forget_all(struct vfio_container *c)
{
	while (c->windows) {
		struct vfio_window *w = *(struct vfio_window **)c->windows;

		tdelete(w, &c->windows, vfio_window_compare);
		free(w);
	}
	c->nr_windows = 0;
}

/* Syscalls at start: close lseek newfstatat openat read */
static uint32_t vfio_read_window_limit(void)
{
	unsigned long max_map_count = 65530;
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");

	if (f) {
		if (fscanf(f, "%lu", &max_map_count) != 1)
			max_map_count = 65530;
		fclose(f);
	}
	if (max_map_count < 2 * WINDOW_RESERVE)
		return max_map_count / 2;
	return min(max_map_count - WINDOW_RESERVE,
		   (unsigned long)VFIO_MAX_DMA_MAPS);
}

uint32_t vfio_window_limit(void)
{
	/* Known before there are threads; then, the file may be out of reach. */
	static uint32_t limit;

	if (!limit)
		limit = vfio_read_window_limit();
	return limit;
}
