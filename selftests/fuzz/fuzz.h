/* SPDX-License-Identifier: GPL-2.0-only */
/* What the fuzzers share: an input to take from, and a count of fds. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct fuzz - what is left of an input
 * @data: the next byte
 * @size: how many are left
 */
struct fuzz {
	const uint8_t *data;
	size_t size;
};

/** fuzz_u8() - take a byte; 0 when there are no more */
uint8_t fuzz_u8(struct fuzz *f);

/** fuzz_u16() - take two bytes, the low one first */
uint16_t fuzz_u16(struct fuzz *f);

/**
 * fuzz_bytes() - take some bytes
 * @f: the input
 * @to: where they go
 * @len: how many; zeros where the input ends before
 */
void fuzz_bytes(struct fuzz *f, void *to, size_t len);

/**
 * fuzz_nr_fds() - how many fds are open, of those that a fuzzer may come to
 *
 * The same before and after something, it says that nothing leaked, wherever.
 */
unsigned int fuzz_nr_fds(void);

/**
 * fuzz_lowest_fd() - the lowest fd number that isn't in use
 *
 * The same before and after something, it says that nothing leaked.
 */
int fuzz_lowest_fd(void);

/**
 * fuzz_require() - end the process if something doesn't hold, as a finding
 * @holds: what was found
 * @what: what should hold
 */
void fuzz_require(int holds, const char *what);

/* What libFuzzer, AFL++ and replay.c call. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
