/* SPDX-License-Identifier: GPL-2.0-only */
/* What a fuzzer says of the time, besides what hooks.h has in place of libc's. */
#ifndef FUZZ_CLOCK_H
#define FUZZ_CLOCK_H

/** clock_begin() - it is @ms milliseconds after a full second, and goes on */
void clock_begin(unsigned int ms);

/** clock_forward() - @ms milliseconds have passed */
void clock_forward(unsigned int ms);

/** clock_step() - so many pass with each look at the clock; 0: as they do */
void clock_step(unsigned int ms);

/** clock_patience() - how long a wait takes before it has been in vain */
void clock_patience(unsigned int ms);

#endif
