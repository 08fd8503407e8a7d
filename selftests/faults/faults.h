/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FAULTS_FAULTS_H
#define FAULTS_FAULTS_H

#include <errno.h>
#include <netlink/errno.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Calls that can be made to fail in the daemon, and the page by which a test
 * says which: the file "faults" in the directory of the software VFIO.
 */

#define FAULT_FILE		"faults"
#define FAULT_MAX_ERRORS	3
/* Places in the daemon's code that are remembered. */
#define FAULT_MAX_SITES		1024

#define CALL(name, ...)	FAULT_##name,
enum fault_call {
	FAULT_NONE,
#include "calls.h"
	FAULT_NR_CALLS,
};

/**
 * struct fault_page - what the test and the daemon share
 * @call: which call fails; FAULT_NONE: none does
 * @nth: its how manieth occurrence, from 1
 * @error: with what
 * @seen: occurrences since @call was set
 * @hit: it has failed
 * @where: what it returned to, relative to where the program is loaded
 * @counts: occurrences of each call, ever
 * @nr_sites: entries of @sites in use
 * @sites: places that made calls, as @where
 */
struct fault_page {
	uint32_t call;
	uint32_t nth;
	int32_t error;
	uint32_t seen;
	uint32_t hit;
	uint64_t where;
	uint64_t counts[FAULT_NR_CALLS];
	uint32_t nr_sites;
	uint64_t sites[FAULT_MAX_SITES];
};

#endif
