/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HW_PATTERN_H
#define HW_PATTERN_H

#include <stdint.h>

/**
 * pattern_fill() - fill memory with numbers that don't repeat
 * @words: the memory
 * @size: its length in bytes, of whole words
 * @seed: numbers are different for each
 */
void pattern_fill(uint64_t *words, uint64_t size, uint64_t seed);

/**
 * pattern_sum() - a checksum of memory
 * @words: the memory
 * @size: its length in bytes, of whole words
 *
 * Return: what words that are changed, moved or swapped change.
 */
uint64_t pattern_sum(const uint64_t *words, uint64_t size);

#endif
