// SPDX-License-Identifier: GPL-2.0-only
/*
 * Windows: mappings of a client's memory that exist to be named, not used.
 *
 * VFIO_IOMMU_MAP_DMA and IOMMU_IOAS_MAP take memory by its address in the
 * calling process. So the client's file is mapped, its address given to the
 * kernel, and, once the kernel has pinned the pages, unmapped again: pins are
 * by page, not by address, and unmapping DMA goes by I/O virtual address. A
 * session with 60,000 maps therefore has no mapping of its own to show for
 * them, and vm.max_map_count doesn't limit it.
 *
 * Emulated (mediated) devices are different: their pages are pinned when the
 * driver asks for them, through the address that was given. Those windows stay,
 * in a tree by I/O virtual address.
 */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "internal.h"

struct vfio_window {
	uint64_t iova;
	uint64_t size;
	void *address;
};

/* Mappings that the process has for other purposes: code, stacks, heap. */
#define WINDOW_RESERVE		4096

static int vfio_window_compare(const void *a, const void *b)
{
	const struct vfio_window *x = a, *y = b;

	return x->iova < y->iova ? -1 : x->iova > y->iova;
}

int vfio_window_map(struct vfio_device *dev, uint64_t size, int fd,
		    uint64_t offset, bool readable, bool writeable,
		    void **window)
{
	/* What the device writes, the kernel must be able to write. */
	int prot = (readable ? PROT_READ : 0) | (writeable ? PROT_WRITE : 0);

	if (size > SIZE_MAX || offset > INT64_MAX)
		return -EOVERFLOW;

	*window = mmap(NULL, size, prot, MAP_SHARED, fd, offset);
	return *window == MAP_FAILED ? -errno : 0;
}

int vfio_window_done(struct vfio_device *dev, uint64_t iova, uint64_t size,
		     void *window, bool mapped)
{
	struct vfio_window *w = NULL;

	if (!mapped || !dev->emulated)
		goto unmap;

	w = malloc(sizeof(*w));
	if (!w)
		goto unmap;
	*w = (struct vfio_window){ iova, size, window };
	if (tsearch(w, &dev->windows, vfio_window_compare))
		return 0;

unmap:
	free(w);
	munmap(window, size);
	return mapped && dev->emulated ? -ENOMEM : 0;
}

void vfio_window_unmap(struct vfio_device *dev, uint64_t iova)
{
	struct vfio_window key = { .iova = iova };
	struct vfio_window **found, *w;

	found = tfind(&key, &dev->windows, vfio_window_compare);
	if (!found)
		return;
	w = *found;
	tdelete(&key, &dev->windows, vfio_window_compare);
	munmap(w->address, w->size);
	free(w);
}

uint32_t vfio_window_limit(void)
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
