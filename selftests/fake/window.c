// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process's shared mappings of files, as mmap(2) and munmap(2) made them,
 * so that a DMA map by address can be traced to its file without reading
 * /proc/self/maps each time.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "internal.h"

/**
 * struct window - one mapping, or what is left of it
 * @span: its addresses
 * @backing: the file
 * @offset: in the file, of the first address
 * @prot: PROT_*
 */
struct window {
	struct span span;
	struct backing *backing;
	uint64_t offset;
	int prot;
};

static struct span_set windows;

static uint64_t round_up(uint64_t len)
{
	return (len + FAKE_PAGE_SIZE - 1) & ~(FAKE_PAGE_SIZE - 1);
}

static struct window *window_find(uint64_t start, uint64_t last)
{
	struct span *span = span_find(&windows, start, last);

	return span ? container_of(span, struct window, span) : NULL;
}

/* A window for [start, last] with what @like has there. */
static void window_insert(const struct window *like, uint64_t start,
			  uint64_t last)
{
	struct window *window = malloc(sizeof(*window));

	/* Without a record, the memory counts as the process's own. */
	if (!window)
		return;
	*window = *like;
	window->offset += start - like->span.start;
	window->span.start = start;
	window->span.last = last;
	backing_get(window->backing);
	span_insert(&windows, &window->span);
}

void window_add(void *addr, size_t len, int prot, int fd, uint64_t offset)
{
	struct window like = {
		.span.start = (uintptr_t)addr,
		.offset = offset,
		.prot = prot,
	};
	struct stat st;

	like.backing = backing_open(fd, &st);
	if (!like.backing)
		return;
	window_insert(&like, like.span.start,
		      like.span.start + round_up(len) - 1);
	backing_put(like.backing);
}

void window_remove(void *addr, size_t len)
{
	uint64_t start = (uintptr_t)addr, last = start + round_up(len) - 1;
	struct window *window;

	while (len && (window = window_find(start, last))) {
		span_erase(&windows, &window->span);
		if (window->span.start < start)
			window_insert(window, window->span.start, start - 1);
		if (window->span.last > last)
			window_insert(window, last + 1, window->span.last);
		backing_put(window->backing);
		free(window);
	}
}

bool window_overlaps(void *addr, size_t len)
{
	uint64_t start = (uintptr_t)addr;

	return len && window_find(start, start + round_up(len) - 1);
}

/* Is all of it mapped to something? */
static bool vaddr_is_mapped(uint64_t vaddr, uint64_t size)
{
	unsigned char in_core[512];
	const uint64_t step = sizeof(in_core) * FAKE_PAGE_SIZE;

	for (; size; vaddr += step, size -= min(size, step)) {
		if (syscall(SYS_mincore, vaddr, min(size, step), in_core))
			return false;
	}
	return true;
}

int window_pin(uint64_t vaddr, uint64_t size, bool write,
	       struct dma_source *source)
{
	struct window *window = window_find(vaddr, vaddr + size - 1);
	struct stat st;

	if (!window || window->span.start > vaddr ||
	    window->span.last < vaddr + size - 1) {
		*source = (struct dma_source){ .offset = vaddr };
		return vaddr_is_mapped(vaddr, size) ? 0 : -EFAULT;
	}

	if (!(window->prot & (write ? PROT_WRITE : PROT_READ)))
		return -EFAULT;
	*source = (struct dma_source){
		.backing = window->backing,
		.offset = window->offset + (vaddr - window->span.start),
	};
	if (window->backing->fd >= 0 && !fstat(window->backing->fd, &st) &&
	    S_ISREG(st.st_mode) &&
	    !range_within(source->offset, size, round_up(st.st_size)))
		return -EFAULT;
	backing_get(source->backing);
	return 0;
}
