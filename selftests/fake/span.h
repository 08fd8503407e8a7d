/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FAKE_SPAN_H
#define FAKE_SPAN_H

#include <stdint.h>

/**
 * struct span - a range of addresses, a part of what is kept by address
 * @start: first address
 * @last: last address
 * @left: of span_set
 * @right: of span_set
 * @priority: of span_set
 */
struct span {
	uint64_t start;
	uint64_t last;
	struct span *left;
	struct span *right;
	uint32_t priority;
};

/**
 * struct span_set - ranges of addresses that don't overlap
 * @root: NULL when there is none
 */
struct span_set {
	struct span *root;
};

/**
 * span_find() - the lowest range that overlaps one
 * @set: where to look
 * @start: first address
 * @last: last address
 *
 * Return: that range, or NULL.
 */
struct span *span_find(const struct span_set *set, uint64_t start,
		       uint64_t last);

/**
 * span_insert() - add a range
 * @set: where to add it
 * @span: its @start and @last are set, and overlap nothing in @set; the
 *        caller's until it takes it out again
 */
void span_insert(struct span_set *set, struct span *span);

/**
 * span_erase() - take a range out
 * @set: where it is
 * @span: the range, which is the caller's again
 */
void span_erase(struct span_set *set, struct span *span);

#endif
