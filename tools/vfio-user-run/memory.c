// SPDX-License-Identifier: GPL-2.0-only
/*
 * The program's memory, as files that can be sent to a bridge.
 *
 * A range is looked at mapping by mapping, as /proc/self/maps has them. Memory
 * that is shared has a file already: one that we were told of (memory_track.c),
 * or that is found (memory_file.c). Private memory is given one, in place
 * (memory_convert.c). Shared anonymous memory is made with a file to begin with
 * (run_memory_mmap_shared()).
 *
 * All of it is under one lock. What is called under it may allocate memory, and
 * the program's allocator may map or unmap some to do so, and be led back here:
 * then the lock is ours already, and nothing is remembered of that.
 *
 * fork(2) waits for the lock: a child must not see a conversion half done.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "memory.h"

static pthread_mutex_t lock;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static __thread bool is_inside __attribute__((tls_model("initial-exec")));

static void fork_prepare(void)
{
	run_memory_lock();
}

static void fork_parent(void)
{
	run_track_forked();
	run_memory_unlock();
}

static void fork_child(void)
{
	run_stack_forked();
	run_track_forked();
	run_pool_forked();
	run_memory_unlock();
}

static void lock_init(void)
{
	pthread_mutex_init(&lock, NULL);
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}

bool run_memory_lock(void)
{
	pthread_once(&once, lock_init);
	if (is_inside)
		return false;
	pthread_mutex_lock(&lock);
	is_inside = true;
	return true;
}

void run_memory_unlock(void)
{
	is_inside = false;
	pthread_mutex_unlock(&lock);
}

/**
 * struct resolve - an answer in the making
 * @maps: the process's mappings
 * @writeable: the device will write
 * @segments: the answer so far
 * @nr: entries in @segments
 * @room: for that many
 */
struct resolve {
	struct run_maps maps;
	bool writeable;
	struct run_segment *segments;
	unsigned int nr;
	unsigned int room;
};

/* Takes the reference to the file, also on error. */
static int resolve_add(struct resolve *r, struct run_memory_file *file,
		       uint64_t offset, uint64_t size)
{
	struct run_segment *last = r->nr ? &r->segments[r->nr - 1] : NULL;

	if (last && last->file == file && last->offset + last->size == offset) {
		last->size += size;
		run_memory_file_put(file);
		return 0;
	}
	if (r->nr == r->room) {
		unsigned int room = r->room ? r->room * 2 : 1;

		last = realloc(r->segments, room * sizeof(*last));
		if (!last) {
			run_memory_file_put(file);
			return -ENOMEM;
		}
		r->segments = last;
		r->room = room;
	}
	r->segments[r->nr++] = (struct run_segment){
		.file = file,
		.fd = file->fd,
		.offset = offset,
		.size = size,
	};
	return 0;
}

/* What was remembered of an address, if the kernel's list agrees. */
static struct run_range *resolve_known(const struct resolve *r,
				       const struct run_vma *vma, uint64_t at)
{
	struct run_range *range = run_track_find(at);

	if (!range || !run_memory_file_ok(range->file))
		return NULL;
	if (r->writeable && !range->file->writeable)
		return NULL;
	/* A device's mapping may go by another inode than the device's fd. */
	if (range->file->regular && range->file->ino != vma->inode)
		return NULL;
	return range;
}

static int resolve_shared(struct resolve *r, const struct run_vma *vma,
			  uint64_t at, uint64_t *end)
{
	uint64_t offset = vma->offset + (at - vma->start);
	struct run_range *range = resolve_known(r, vma, at);
	struct run_memory_file *file;
	int ret;

	if (range) {
		file = range->file;
		run_memory_file_get(file);
		if (!file->regular) {
			offset = range->offset + (at - range->start);
			*end = min(*end, range->end);
		}
		return resolve_add(r, file, offset, *end - at);
	}
	ret = run_memory_file_of(vma, r->writeable, &file);
	if (!ret)
		return resolve_add(r, file, offset, *end - at);
	if (ret == -EACCES)
		return run_memory_refuse(vma, at, *end, "its file can only be read");
	if (ret == -ENOENT)
		return run_memory_refuse(vma, at, *end, "no fd of its file is known");
	return ret;
}

static int resolve_private(struct resolve *r, struct run_vma *vma,
			   uint64_t at, uint64_t *end)
{
	unsigned int flags;
	uint64_t mask;
	int ret;

	if (!vma->page_size) {
		ret = run_maps_flags(vma, &flags);
		if (ret)
			return ret;
	}
	/* A huge page is one page's worth of memory. */
	mask = vma->page_size - 1;
	ret = run_convert(vma, at & ~mask,
			  min((*end + mask) & ~mask, vma->end));
	if (ret)
		return ret;
	if (!r->maps.text) {
		ret = run_maps_find(&r->maps, at, vma);
		if (ret)
			return ret == -ENOENT ? -EFAULT : ret;
	} else {
		struct run_range *range = run_track_find(at);

		if (!range)
			return -ENOMEM;
		vma->start = range->start;
		vma->offset = range->offset;
		vma->inode = range->file->ino;
		vma->dev = range->file->dev;
	}
	return resolve_shared(r, vma, at, end);
}

/* Answer for what one mapping has of the range; @end is set to its end. */
static int resolve_one(struct resolve *r, struct run_vma *vma, uint64_t at,
		       uint64_t *end)
{
	int need = r->writeable ? PROT_WRITE : PROT_READ;
	int ret;

	ret = run_maps_find(&r->maps, at, vma);
	if (ret)
		return ret == -ENOENT ? -EFAULT : ret;
	if (!(vma->prot & need))
		return -EFAULT;
	*end = min(*end, vma->end);
	return vma->shared ? resolve_shared(r, vma, at, end) :
			     resolve_private(r, vma, at, end);
}

static void segments_put(struct run_segment *segments, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		run_memory_file_put(segments[i].file);
	free(segments);
}

static int resolve_all(struct resolve *r, uint64_t start, uint64_t end)
{
	struct run_vma *vma;
	uint64_t at, to;
	int ret;

	vma = malloc(sizeof(*vma));
	if (!vma)
		return -ENOMEM;
	ret = run_maps_open(&r->maps);
	if (ret)
		goto free_vma;
	for (at = start; !ret && at < end; at = to) {
		to = end;
		ret = resolve_one(r, vma, at, &to);
	}
	run_maps_close(&r->maps);
	if (ret)
		segments_put(r->segments, r->nr);
free_vma:
	free(vma);
	return ret;
}

int run_memory_resolve(void *vaddr, size_t size, bool writeable,
		       struct run_segment **segments, unsigned int *nr)
{
	struct resolve r = { .writeable = writeable };
	uint64_t start = (uintptr_t)vaddr, end;
	bool locked;
	int ret;

	if (!size || add_overflows(start, size, &end))
		return -EFAULT;
	locked = run_memory_lock();
	ret = resolve_all(&r, start, end);
	if (locked)
		run_memory_unlock();
	if (ret)
		return ret;
	*segments = r.segments;
	*nr = r.nr;
	return 0;
}

int run_memory_resolve_file(int fd, uint64_t offset, uint64_t size,
			    struct run_segment **segments)
{
	struct run_memory_file *file;
	struct resolve r = { 0 };
	bool locked = run_memory_lock();
	int ret;

	ret = run_memory_file_open(fd, &file);
	if (!ret)
		ret = resolve_add(&r, file, offset, size);
	if (locked)
		run_memory_unlock();
	if (!ret)
		*segments = r.segments;
	return ret;
}

void run_segments_free(struct run_segment *segments, unsigned int nr)
{
	bool locked = run_memory_lock();

	segments_put(segments, nr);
	if (locked)
		run_memory_unlock();
}

static uint64_t page_up(uint64_t len, uint64_t page_size)
{
	return (len + page_size - 1) & ~(page_size - 1);
}

void run_memory_mapped(void *addr, size_t len, int fd, off_t offset)
{
	struct run_range range = {
		.start = (uintptr_t)addr,
		.end = (uintptr_t)addr + page_up(len, run_page_size()),
		.offset = offset,
	};

	if (!run_memory_lock())
		return;
	run_maps_forget();
	if (run_memory_file_open(fd, &range.file))
		run_track_drop(range.start, range.end);
	else
		run_track_add(&range);
	run_memory_unlock();
}

void run_memory_unmapped(void *addr, size_t len)
{
	uint64_t start = (uintptr_t)addr;

	if (!run_memory_lock())
		return;
	run_maps_forget();
	run_track_drop(start, start + page_up(len, run_page_size()));
	run_memory_unlock();
}

int run_memory_munmap(void *addr, size_t len)
{
	bool locked = run_memory_lock();
	uint64_t start = (uintptr_t)addr;
	int ret;

	ret = run_real()->munmap(addr, len);
	if (!ret) {
		run_maps_forget();
		if (locked)
			run_track_drop(start, start +
				       page_up(len, run_page_size()));
	}
	if (locked)
		run_memory_unlock();
	return ret;
}

void run_memory_moved(void *old, size_t old_len, void *addr, size_t len)
{
	if (!run_memory_lock())
		return;
	run_maps_forget();
	run_pool_close_run();
	run_track_move((uintptr_t)old, page_up(old_len, run_page_size()),
		       (uintptr_t)addr, page_up(len, run_page_size()));
	run_memory_unlock();
}

void run_memory_discard(void *addr, size_t len)
{
	uint64_t at = (uintptr_t)addr, end = at + len;
	struct run_range *range;

	if (!run_memory_lock())
		return;
	for (; (range = run_track_next(at, end)); at = range->end)
		if (range->was_private)
			run_track_discard(range, max(at, range->start),
					  min(end, range->end));
	run_memory_unlock();
}

bool run_memory_was_private(void *addr, size_t len)
{
	uint64_t at = (uintptr_t)addr, end = at + len;
	struct run_range *range;
	bool was = false;

	if (!run_memory_lock())
		return false;
	for (; !was && (range = run_track_next(at, end)); at = range->end)
		was = range->was_private;
	run_memory_unlock();
	return was;
}

/* The huge page size that mmap(2)'s flags ask for. */
static uint64_t shared_page_size(int flags)
{
	unsigned int shift = (unsigned int)flags >> MAP_HUGE_SHIFT &
			     MAP_HUGE_MASK;

	if (!(flags & MAP_HUGETLB))
		return run_page_size();
	return shift ? 1ULL << shift : run_huge_page_size();
}

static void *mmap_shared(void *addr, size_t len, int prot, int flags)
{
	uint64_t page_size = shared_page_size(flags);
	struct run_range range = { .pool = true };
	void *at;
	int ret;

	/* Without a memfd, it is what it would have been. */
	if (!page_size ||
	    run_pool_alloc(page_size, 0, page_up(len, page_size), &range.file,
			   &range.offset))
		return run_real()->mmap(addr, len, prot, flags, -1, 0);
	len = page_up(len, page_size);
	flags &= ~(MAP_ANONYMOUS | MAP_HUGETLB |
		   (int)((unsigned int)MAP_HUGE_MASK << MAP_HUGE_SHIFT));
	at = run_real()->mmap(addr, len, prot, flags, range.file->fd,
			      range.offset);
	if (at == MAP_FAILED) {
		ret = errno;
		run_memory_file_put(range.file);
		errno = ret;
		return MAP_FAILED;
	}
	run_maps_forget();
	range.start = (uintptr_t)at;
	range.end = range.start + len;
	run_track_add(&range);
	return at;
}

void *run_memory_mmap_shared(void *addr, size_t len, int prot, int flags)
{
	void *at;

	/* What is wrong with it the kernel says best. */
	if (!len || page_up(len, run_page_size()) < len || !run_memory_lock())
		return run_real()->mmap(addr, len, prot, flags, -1, 0);
	at = mmap_shared(addr, len, prot, flags);
	run_memory_unlock();
	return at;
}
