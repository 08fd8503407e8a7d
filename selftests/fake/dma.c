// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O address spaces: what the device reaches by which address.
 *
 * A space is a tree by address, so that the 60,000th map costs what the first
 * did. The shared page mirrors the totals of all spaces, and the maps as long
 * as there are few.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "internal.h"

/**
 * struct dma_map - one map
 * @span: its I/O virtual addresses
 * @source: the memory
 * @read: the device may read
 * @write: the device may write
 * @shown: its entry in the shared page, or -1
 */
struct dma_map {
	struct span span;
	struct dma_source source;
	bool read;
	bool write;
	int shown;
};

#define DMA_WORDS		(FAKE_SHOWN_MAPS / 64)

static uint64_t shown[DMA_WORDS];

static struct dma_map *dma_find(const struct dma_space *space, uint64_t start,
				uint64_t last)
{
	struct span *span = span_find(&space->maps, start, last);

	return span ? container_of(span, struct dma_map, span) : NULL;
}

static uint64_t dma_size(const struct dma_map *map)
{
	return map->span.last - map->span.start + 1;
}

static void dma_show(struct dma_map *map)
{
	struct fake_map *entry;
	int i;

	map->shown = -1;
	for (i = 0; i < DMA_WORDS && !~shown[i]; i++)
		;
	if (i == DMA_WORDS)
		return;
	map->shown = i * 64 + __builtin_ctzll(~shown[i]);
	shown[i] |= 1ull << (map->shown % 64);

	entry = &fake_control()->maps[map->shown];
	*entry = (struct fake_map){
		.iova = map->span.start,
		.size = dma_size(map),
		.read = map->read,
		.write = map->write,
		.from_file = map->source.backing,
		.dev = map->source.backing ? map->source.backing->dev : 0,
		.ino = map->source.backing ? map->source.backing->ino : 0,
		.offset = map->source.offset,
	};
	__atomic_store_n(&entry->used, true, __ATOMIC_RELEASE);
}

static void dma_hide(struct dma_map *map)
{
	if (map->shown < 0)
		return;
	shown[map->shown / 64] &= ~(1ull << (map->shown % 64));
	fake_control()->maps[map->shown].used = false;
}

bool dma_overlaps(const struct dma_space *space, uint64_t start, uint64_t last)
{
	return dma_find(space, start, last);
}

bool dma_in_range(uint64_t start, uint64_t last)
{
	const struct fake_config *config = &fake_control()->config;
	uint32_t i;

	for (i = 0; i < config->nr_ranges; i++) {
		if (start >= config->ranges[i].first &&
		    last <= config->ranges[i].last)
			return true;
	}
	return !config->nr_ranges;
}

bool dma_cut(const struct dma_space *space, uint64_t start, uint64_t last)
{
	const struct dma_map *first = dma_find(space, start, start);
	const struct dma_map *end = dma_find(space, last, last);

	return (first && first->span.start < start) ||
	       (end && end->span.last > last);
}

static int dma_room_in(const struct dma_space *space, uint64_t first,
		       uint64_t end, uint64_t size, uint64_t align,
		       uint64_t *iova)
{
	uint64_t last;

	/* Nothing is given out at 0, which looks like no address. */
	*iova = max(first, align);
	for (;;) {
		struct dma_map *map;

		if (add_overflows(*iova, align - 1, iova))
			return -ENOSPC;
		*iova &= ~(align - 1);
		if (add_overflows(*iova, size - 1, &last) || last > end)
			return -ENOSPC;
		map = dma_find(space, *iova, last);
		if (!map)
			return 0;
		if (add_overflows(map->span.last, 1, iova))
			return -ENOSPC;
	}
}

int dma_find_room(const struct dma_space *space, uint64_t size,
		  uint64_t align, uint64_t *iova)
{
	const struct fake_config *config = &fake_control()->config;
	uint32_t i;

	if (!config->nr_ranges)
		return dma_room_in(space, 0, UINT64_MAX, size, align, iova);
	for (i = 0; i < config->nr_ranges; i++) {
		if (!dma_room_in(space, config->ranges[i].first,
				 config->ranges[i].last, size, align, iova))
			return 0;
	}
	return -ENOSPC;
}

int dma_map(struct dma_space *space, uint64_t iova, uint64_t size, bool read,
	    bool write, const struct dma_source *source)
{
	struct fake_control *control = fake_control();
	struct dma_map *map;

	if (control->config.memlock &&
	    control->mapped + size > control->config.memlock)
		return -ENOMEM;
	map = malloc(sizeof(*map));
	if (!map)
		return -ENOMEM;

	*map = (struct dma_map){
		.span = { .start = iova, .last = iova + (size - 1) },
		.source = *source,
		.read = read,
		.write = write,
	};
	span_insert(&space->maps, &map->span);
	dma_show(map);
	space->nr++;
	control->nr_maps++;
	control->most_maps = max(control->most_maps, control->nr_maps);
	control->mapped += size;
	return 0;
}

uint64_t dma_unmap(struct dma_space *space, uint64_t start, uint64_t last)
{
	struct fake_control *control = fake_control();
	struct dma_map *map;
	uint64_t total = 0;

	while ((map = dma_find(space, start, last))) {
		span_erase(&space->maps, &map->span);
		dma_hide(map);
		space->nr--;
		control->nr_maps--;
		control->mapped -= dma_size(map);
		total += dma_size(map);
		backing_put(map->source.backing);
		free(map);
	}
	return total;
}

static ssize_t dma_access(const struct dma_source *source, uint64_t offset,
			  void *buf, size_t size, bool write)
{
	struct iovec local = { .iov_base = buf, .iov_len = size };
	struct iovec remote = {
		.iov_base = (void *)(source->offset + offset),
		.iov_len = size,
	};

	if (!source->backing)
		return syscall(write ? SYS_process_vm_writev :
				       SYS_process_vm_readv, getpid(),
			       &local, 1, &remote, 1, 0);
	if (write)
		return raw_pwrite(source->backing->fd, buf, size,
				  source->offset + offset);
	return raw_pread(source->backing->fd, buf, size,
			 source->offset + offset);
}

int dma_copy(const struct dma_space *space, uint64_t iova, void *buf,
	     size_t size, bool write)
{
	struct dma_map *map;
	size_t part;

	for (; size; iova += part, buf = (char *)buf + part, size -= part) {
		map = dma_find(space, iova, iova);
		if (!map || !(write ? map->write : map->read))
			return -EFAULT;
		part = min((uint64_t)size, map->span.last - iova + 1);
		if (dma_access(&map->source, iova - map->span.start, buf, part,
			       write) != part)
			return -EFAULT;
	}
	return 0;
}
