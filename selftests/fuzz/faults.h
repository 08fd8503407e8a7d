/* SPDX-License-Identifier: GPL-2.0-only */
/* Calls that fail, of those that selftests/faults has, as an input says. */
#ifndef FUZZ_FAULTS_H
#define FUZZ_FAULTS_H

#include "fuzz.h"
#include "selftests/faults/faults.h"

/**
 * faults_begin() - take from the input which calls fail, and how
 * @f: the input
 *
 * Each fails once, at the occurrence that the input says, and counted from now.
 */
void faults_begin(struct fuzz *f);

/** faults_end() - nothing fails any more */
void faults_end(void);

/** faults_hit() - has such a call failed since faults_begin()? */
bool faults_hit(enum fault_call call);

#endif
