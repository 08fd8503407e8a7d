// SPDX-License-Identifier: GPL-2.0-only
/*
 * --shadow-dma: memory of the daemon's own in place of memory that the client
 * can't share.
 *
 * For a map without a file there are two copies here: what the device reaches,
 * a memfd; and what both sides were last known to hold alike, the base. A byte
 * in which the client's memory differs from the base was changed by the client,
 * one in which the device's copy does was changed by the device. Only bytes that
 * differ are ever copied, to the other side and to the base, so what the two
 * sides do to neighbouring bytes doesn't mix.
 *
 * The client's changes are fetched (shadow_pull) before a register is written,
 * which is how a driver tells a device to look at memory. The device's are sent
 * (shadow_push) before the client can learn of them: before an interrupt
 * reaches it, before a register that it reads does, and when it takes memory
 * back.
 *
 * What is sent must be what the device's memory was at one moment. The device
 * goes on writing while its copy is searched: it might put data where the
 * search has been, and say so where the search hasn't, and the client would be
 * told of data that it doesn't have. So pages that have changed are copied
 * aside, and the search is repeated until it finds every page as it was found
 * before; that was then so at the moment when the last search began. A device
 * writes only as much as it was told to, so the search ends; if it doesn't,
 * after SHADOW_SETTLE_MS what was found is sent as it is.
 *
 * The two copies are compared, with no help of the IOMMU's. What its dirty bits
 * could save is the search; what costs most is to read the client's memory,
 * which they know nothing of.
 *
 * A client that can't be read or written loses its session: a device must
 * neither act on memory that isn't the client's, nor what it wrote get lost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "bridge.h"
#include "log.h"

/* The unit in which changes are looked for first, in bytes. */
#define SHADOW_PAGE		4096
/* How long to wait for a moment in which the device doesn't write. */
#define SHADOW_SETTLE_MS	1000
/* Each needs a mapping in this process, and the kernel limits those. */
#define SHADOW_MAX_MAPS		16384

/**
 * struct shadow - the copies of one map
 * @entry: in the list of all
 * @iova: first I/O virtual address
 * @size: in bytes
 * @writeable: the device may write
 * @retired: unmapped; goes once what the device wrote is sent
 * @seen: what the device sees
 * @base: what both sides last had alike; of a map that the device can't write,
 *        the same as @seen
 * @found: of pages with @dirty set, what the device has made of them
 * @dirty: by page; NULL if not @writeable
 */
struct shadow {
	LIST_ENTRY(shadow) entry;
	uint64_t iova;
	uint64_t size;
	bool writeable;
	bool retired;
	uint8_t *seen;
	uint8_t *base;
	uint8_t *found;
	bool *dirty;
};

/**
 * struct shadow_space - all of a session's
 * @list: of struct shadow
 * @buffer: for what the client sends, BRIDGE_MAX_XFER bytes
 * @told_full: the operator knows that there was no room for a map
 * @told_restless: the operator knows that the device doesn't stop writing
 */
struct shadow_space {
	LIST_HEAD(, shadow) list;
	uint8_t *buffer;
	bool told_full;
	bool told_restless;
};

int shadow_start(struct session *s)
{
	struct shadow_space *space;

	if (!s->bridge->opts->shadow_max)
		return 0;
	space = calloc(1, sizeof(*space));
	if (!space)
		return -ENOMEM;
	space->buffer = malloc(BRIDGE_MAX_XFER);
	if (!space->buffer) {
		free(space);
		return -ENOMEM;
	}
	LIST_INIT(&space->list);
	s->iommu.max_maps = min(s->iommu.max_maps, (uint32_t)SHADOW_MAX_MAPS);
	s->shadow = space;
	return 0;
}

void shadow_free(struct shadow *sh)
{
	if (!sh)
		return;
	LIST_REMOVE(sh, entry);
	munmap(sh->seen, sh->size);
	if (sh->writeable)
		free(sh->base);
	free(sh->dirty);
	free(sh);
}

void shadow_stop(struct session *s)
{
	struct shadow_space *space = s->shadow;

	if (!space)
		return;
	while (!LIST_EMPTY(&space->list))
		shadow_free(LIST_FIRST(&space->list));
	free(space->buffer);
	free(space);
	s->shadow = NULL;
}

void shadow_retire(struct shadow *sh)
{
	if (sh)
		sh->retired = true;
}

/* May this be mapped? Says why not. */
static int shadow_check(struct session *s,
			const struct vfio_user_dma_map *map)
{
	const struct bridge *b = s->bridge;

	if (!(map->flags & VFIO_USER_DMA_MAP_READ)) {
		if (lines_allow(s->bridge, LINES_CLIENT))
			log_err("%s: --shadow-dma: memory at %#llx is not readable, so what the device changes in it cannot be told; the client has to map it readable, too",
				b->device.name,
				(unsigned long long)map->address);
		return -EOPNOTSUPP;
	}
	if (map->size <= b->opts->shadow_max - s->dma.shadowed)
		return 0;
	if (!s->shadow->told_full)
		log_err("%s: --shadow-dma: no room for %llu bytes beside the %llu that are shadowed: the limit is %llu; --shadow-dma=MAX raises it",
			b->device.name, (unsigned long long)map->size,
			(unsigned long long)s->dma.shadowed,
			(unsigned long long)b->opts->shadow_max);
	s->shadow->told_full = true;
	return -ENOMEM;
}

static size_t shadow_pages(const struct shadow *sh)
{
	return (sh->size + SHADOW_PAGE - 1) / SHADOW_PAGE;
}

/* The copies that the device doesn't see. */
static int shadow_alloc(struct shadow *sh)
{
	sh->base = sh->seen;
	if (!sh->writeable)
		return 0;

	/* What is never written costs nothing here. */
	sh->base = calloc(2, sh->size);
	sh->dirty = calloc(shadow_pages(sh), sizeof(*sh->dirty));
	if (!sh->base || !sh->dirty) {
		free(sh->base);
		free(sh->dirty);
		return -ENOMEM;
	}
	sh->found = sh->base + sh->size;
	return 0;
}

/*
 * Copies of @size bytes, all zeroes, and the file that the device's is in.
 *
 * Syscalls: close ftruncate memfd_create
 */
static int shadow_create(const struct vfio_user_dma_map *map,
			 struct shadow **out)
{
	struct shadow *sh = calloc(1, sizeof(*sh));
	int fd, ret;

	if (!sh)
		return -ENOMEM;
	sh->iova = map->address;
	sh->size = map->size;
	sh->writeable = map->flags & VFIO_USER_DMA_MAP_WRITE;
	fd = memfd_create("vfio-bridge-shadow", MFD_CLOEXEC);
	if (fd < 0) {
		ret = -errno;
		goto free;
	}
	if (sh->size > INT64_MAX || ftruncate(fd, sh->size)) {
		ret = sh->size > INT64_MAX ? -ENOMEM : -errno;
		goto close;
	}
	sh->seen = mmap(NULL, sh->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			0);
	if (sh->seen == MAP_FAILED) {
		ret = -errno;
		goto close;
	}
	ret = shadow_alloc(sh);
	if (ret)
		goto unmap;
	*out = sh;
	return fd;

unmap:
	munmap(sh->seen, sh->size);
close:
	close(fd);
free:
	free(sh);
	return ret;
}

/*
 * The first run of bytes, from @at on, in which @a and @b differ: returns where
 * it begins, @len if there is none, and puts into @end where it ends.
 */
static size_t shadow_run(const uint8_t *a, const uint8_t *b, size_t at,
			 size_t len, size_t *end)
{
	while (at < len && a[at] == b[at])
		at++;
	for (*end = at; *end < len && a[*end] != b[*end]; (*end)++)
		;
	return at;
}

/* This is what the client has at @offset now. */
static void shadow_take(struct shadow *sh, uint64_t offset,
			const uint8_t *data, size_t len)
{
	uint8_t *seen = sh->seen + offset, *base = sh->base + offset;
	size_t at, end, page, n;

	for (page = 0; page < len; page += n) {
		n = min(len - page, (size_t)SHADOW_PAGE);
		if (!memcmp(base + page, data + page, n))
			continue;
		at = page;
		while ((at = shadow_run(base, data, at, page + n, &end)) <
		       page + n) {
			memcpy(seen + at, data + at, end - at);
			memcpy(base + at, data + at, end - at);
			at = end;
		}
	}
}

static int shadow_pull_one(struct session *s, struct shadow *sh)
{
	uint8_t *buffer = s->shadow->buffer;
	uint64_t offset;
	size_t n;
	int ret;

	for (offset = 0; offset < sh->size; offset += n) {
		n = min(sh->size - offset, (uint64_t)BRIDGE_MAX_XFER);
		ret = peer_dma_read(s, sh->iova + offset, buffer, n);
		if (ret)
			return ret;
		shadow_take(sh, offset, buffer, n);
	}
	return 0;
}

/* Syscalls: close */
int shadow_map(struct session *s, const struct vfio_user_dma_map *map,
	       struct shadow **out)
{
	struct shadow *sh;
	int fd, ret;

	ret = shadow_check(s, map);
	if (ret)
		return ret;
	fd = shadow_create(map, &sh);
	if (fd < 0)
		return fd;
	LIST_INSERT_HEAD(&s->shadow->list, sh, entry);
	ret = shadow_pull_one(s, sh);
	if (ret) {
		shadow_free(sh);
		close(fd);
		return ret;
	}
	*out = sh;
	return fd;
}

/* The client refuses what it has announced: there is no going on. */
static int shadow_lost(struct session *s, const struct shadow *sh, int err)
{
	if (!s->closing)
		log_err("%s: client pid %d refuses access to its memory at %#llx: %s: session ended",
			s->bridge->device.name, s->peer.pid,
			(unsigned long long)sh->iova, strerrordesc_np(-err));
	s->closing = true;
	return err;
}

int shadow_pull(struct session *s)
{
	struct shadow *sh;
	int ret;

	if (!s->shadow)
		return 0;
	LIST_FOREACH(sh, &s->shadow->list, entry) {
		ret = shadow_pull_one(s, sh);
		if (ret)
			return shadow_lost(s, sh, ret);
	}
	return 0;
}

static size_t shadow_page_len(const struct shadow *sh, uint64_t offset)
{
	return min(sh->size - offset, (uint64_t)SHADOW_PAGE);
}

/* Copy aside what the device has changed; false if that is nothing new. */
static bool shadow_search(struct shadow *sh)
{
	bool news = false;
	uint64_t offset;

	if (!sh->writeable)
		return false;
	for (offset = 0; offset < sh->size; offset += SHADOW_PAGE) {
		bool *dirty = &sh->dirty[offset / SHADOW_PAGE];
		uint8_t *known = *dirty ? sh->found : sh->base;
		size_t len = shadow_page_len(sh, offset);

		if (!memcmp(sh->seen + offset, known + offset, len))
			continue;
		memcpy(sh->found + offset, sh->seen + offset, len);
		*dirty = true;
		news = true;
	}
	return news;
}

/* Find what all of the device's memory was at one moment. */
static void shadow_settle(struct session *s)
{
	int64_t end = clock_ms() + SHADOW_SETTLE_MS;
	struct shadow *sh;
	bool news;

	do {
		news = false;
		LIST_FOREACH(sh, &s->shadow->list, entry)
			news |= shadow_search(sh);
	} while (news && clock_ms() < end);

	if (news && !s->shadow->told_restless) {
		log_err("%s: --shadow-dma: the device does not stop writing to memory: the client may see what it wrote in another order",
			s->bridge->device.name);
		s->shadow->told_restless = true;
	}
}

/* Send what was found in [@offset, @end), which is all dirty. */
static int shadow_send_span(struct session *s, struct shadow *sh,
			    uint64_t offset, uint64_t end)
{
	size_t at = offset, stop;
	int ret;

	while ((at = shadow_run(sh->base, sh->found, at, end, &stop)) < end) {
		ret = peer_dma_write(s, sh->iova + at, sh->found + at,
				     stop - at);
		if (ret)
			return ret;
		memcpy(sh->base + at, sh->found + at, stop - at);
		at = stop;
	}
	return 0;
}

static int shadow_send(struct session *s, struct shadow *sh)
{
	size_t pages = sh->writeable ? shadow_pages(sh) : 0;
	size_t first, last;
	int ret;

	for (first = 0; first < pages; first = last + 1) {
		for (last = first; last < pages && sh->dirty[last]; last++)
			sh->dirty[last] = false;
		ret = shadow_send_span(s, sh, first * SHADOW_PAGE,
				       min(last * (uint64_t)SHADOW_PAGE,
					   sh->size));
		if (ret)
			return shadow_lost(s, sh, ret);
	}
	return 0;
}

int shadow_push(struct session *s)
{
	struct shadow *sh, *next;
	int ret;

	if (!s->shadow)
		return 0;
	shadow_settle(s);
	for (sh = LIST_FIRST(&s->shadow->list); sh; sh = next) {
		next = LIST_NEXT(sh, entry);
		ret = shadow_send(s, sh);
		if (ret)
			return ret;
		if (sh->retired)
			shadow_free(sh);
	}
	return 0;
}
