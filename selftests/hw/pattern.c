// SPDX-License-Identifier: GPL-2.0-only
/* Data that a device is given, to be known again when it comes back. */
#include "pattern.h"

void pattern_fill(uint64_t *words, uint64_t size, uint64_t seed)
{
	uint64_t i, x = seed * 0x9e3779b97f4a7c15ull + 1;

	for (i = 0; i < size / sizeof(*words); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		words[i] = x;
	}
}

/* Fletcher's, over words of 64 bits */
uint64_t pattern_sum(const uint64_t *words, uint64_t size)
{
	uint64_t i, a = 0, b = 0;

	for (i = 0; i < size / sizeof(*words); i++) {
		a += words[i];
		b += a;
	}
	return a ^ (b << 1 | b >> 63);
}
