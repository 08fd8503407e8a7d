// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ranges of addresses that don't overlap, found in O(log n): a treap, that is
 * a search tree by address and a heap by a random number.
 */
#include <stddef.h>

#include "span.h"

static uint32_t span_random(void)
{
	static uint32_t state = 2463534242u;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

struct span *span_find(const struct span_set *set, uint64_t start,
		       uint64_t last)
{
	struct span *span = set->root, *best = NULL;

	while (span) {
		if (span->last >= start) {
			best = span;
			span = span->left;
		} else {
			span = span->right;
		}
	}
	return best && best->start <= last ? best : NULL;
}

void span_insert(struct span_set *set, struct span *span)
{
	struct span **at = &set->root, **left = &span->left;
	struct span **right = &span->right, *rest;

	span->priority = span_random();
	while (*at && (*at)->priority >= span->priority)
		at = span->start < (*at)->start ? &(*at)->left : &(*at)->right;

	/* What hung here is split into what is below and what is above. */
	rest = *at;
	*at = span;
	while (rest) {
		if (rest->start < span->start) {
			*left = rest;
			left = &rest->right;
			rest = rest->right;
		} else {
			*right = rest;
			right = &rest->left;
			rest = rest->left;
		}
	}
	*left = NULL;
	*right = NULL;
}

void span_erase(struct span_set *set, struct span *span)
{
	struct span *left = span->left, *right = span->right;
	struct span **at = &set->root;

	while (*at != span)
		at = span->start < (*at)->start ? &(*at)->left : &(*at)->right;

	while (left && right) {
		if (left->priority > right->priority) {
			*at = left;
			at = &left->right;
			left = left->right;
		} else {
			*at = right;
			at = &right->left;
			right = right->left;
		}
	}
	*at = left ? left : right;
}
