// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which addresses have which file mapped, as far as we were told.
 *
 * Ranges are kept in a balanced tree (tsearch(3)) whose comparison calls two
 * ranges equal when they overlap; ranges that are in it never do.
 *
 * What is written here may be out of date: libc unmaps memory without asking
 * us. So it is never believed without a look at the kernel's own list; it only
 * keeps files open that the program may have closed.
 *
 * Memory in our memfds stays there until a hole is punched, which is done when
 * it is unmapped. Not so when a child or a parent has it as well, as it does
 * after fork(2): that memory stays until all of them have ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>

#include "memory.h"

static void *ranges;
static unsigned int generation;

static int range_compare(const void *a, const void *b)
{
	const struct run_range *x = a, *y = b;

	if (x->end <= y->start)
		return -1;
	return x->start >= y->end;
}

struct run_range *run_track_next(uint64_t start, uint64_t end)
{
	struct run_range key = { .start = start, .end = end };
	struct run_range **found, *first = NULL;

	if (start >= end)
		return NULL;
	/* Any that overlaps is found; then any before that, and so on. */
	while ((found = tfind(&key, &ranges, range_compare))) {
		first = *found;
		if (first->start <= start)
			break;
		key.end = first->start;
	}
	return first;
}

struct run_range *run_track_find(uint64_t addr)
{
	return run_track_next(addr, addr + 1);
}

static int range_insert(const struct run_range *range)
{
	struct run_range *r = malloc(sizeof(*r));

	if (r) {
		*r = *range;
		if (tsearch(r, &ranges, range_compare))
			return 0;
		free(r);
	}
	run_memory_file_put(range->file);
	return -ENOMEM;
}

int run_track_add(const struct run_range *range)
{
	struct run_range r = *range;

	run_track_drop(r.start, r.end);
	r.generation = generation;
	return range_insert(&r);
}

int run_track_discard(const struct run_range *range, uint64_t start,
		      uint64_t end)
{
	if (range->generation != generation)
		return -EBUSY;
	if (fallocate(range->file->fd, FALLOC_FL_PUNCH_HOLE |
		      FALLOC_FL_KEEP_SIZE, range->offset + start - range->start,
		      end - start))
		return -errno;
	return 0;
}

/* Take a range out; what lies before @start and from @end on stays in. */
static void range_cut(struct run_range *range, uint64_t start, uint64_t end)
{
	struct run_range before = *range, after = *range;

	tdelete(range, &ranges, range_compare);
	if (range->start < start) {
		before.end = start;
		run_memory_file_get(range->file);
		range_insert(&before);
	}
	if (end < range->end) {
		after.start = end;
		after.offset += end - range->start;
		run_memory_file_get(range->file);
		range_insert(&after);
	}
}

void run_track_drop(uint64_t start, uint64_t end)
{
	struct run_range *range;

	while ((range = run_track_next(start, end))) {
		range_cut(range, start, end);
		if (range->pool)
			run_track_discard(range, max(start, range->start),
					  min(end, range->end));
		run_memory_file_put(range->file);
		free(range);
	}
}

void run_track_move(uint64_t old, uint64_t old_len, uint64_t addr,
		    uint64_t len)
{
	uint64_t end = old + old_len, new_end = addr + len;
	struct run_range *range, *moved = NULL, *next;

	/* Out, without a loss, so that they can't meet those at the new place. */
	while ((range = run_track_next(old, end))) {
		range_cut(range, old, end);
		if (range->start < old) {
			range->offset += old - range->start;
			range->start = old;
		}
		range->end = min(range->end, end);
		range->start = range->start - old + addr;
		range->end = range->end - old + addr;
		range->next = moved;
		moved = range;
	}
	for (; moved; moved = next) {
		next = moved->next;
		/* The last grows with its mapping, or loses its end. */
		if (moved->end == addr + old_len || moved->end > new_end)
			moved->end = new_end;
		if (moved->start < moved->end) {
			run_track_drop(moved->start, moved->end);
			range_insert(moved);
		} else {
			run_memory_file_put(moved->file);
		}
		free(moved);
	}
}

void run_track_forked(void)
{
	generation++;
}
