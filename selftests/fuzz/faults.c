// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which calls fail: memory that runs out, fds and threads that can't be had, and
 * whatever else the kernel may say. What is called instead is that of
 * selftests/faults, which asks here.
 */
#include <stdatomic.h>

#include "faults.h"
#include "selftests/faults/inject.h"
#include "util.h"

#define MAX_FAILURES	2

/**
 * struct failure - a call that fails
 * @call: which; FAULT_NONE: none does
 * @nth: its how manieth occurrence, from 1
 * @error: with what
 * @seen: occurrences so far
 * @hit: it has failed
 */
static struct failure {
	atomic_uint call;
	unsigned int nth;
	int error;
	atomic_uint seen;
	atomic_bool hit;
} failures[MAX_FAILURES];

#define CALL(name, ...)	{ FAULT_##name, { __VA_ARGS__ } },
static const struct {
	enum fault_call call;
	int errors[FAULT_MAX_ERRORS];
} calls[] = {
	{ FAULT_NONE, { 0 } },
#include "selftests/faults/calls.h"
};

/* What a kernel or its driver says, and is told apart. */
static const int other_errors[] = {
	EPERM, EACCES, EBUSY, EINVAL, ENOTTY, ENODEV, ENOSPC, EAGAIN, ENOENT,
	EOPNOTSUPP, ENOMEM, ESRCH, EMSGSIZE,
};

static int take_error(struct fuzz *f, const int *own)
{
	unsigned int how = fuzz_u8(f);

	if (how >= FAULT_MAX_ERRORS)
		return other_errors[(how - FAULT_MAX_ERRORS) %
				    ARRAY_SIZE(other_errors)];
	return own[how] ? own[how] : own[0];
}

void faults_begin(struct fuzz *f)
{
	unsigned int i, which, nr = fuzz_u8(f) % MAX_FAILURES + 1;

	for (i = 0; i < nr; i++) {
		struct failure *failure = &failures[i];

		which = fuzz_u8(f) % ARRAY_SIZE(calls);
		failure->nth = fuzz_u8(f);
		failure->error = take_error(f, calls[which].errors);
		failure->seen = 0;
		failure->hit = false;
		failure->call = calls[which].call;
	}
}

void faults_end(void)
{
	unsigned int i;

	for (i = 0; i < MAX_FAILURES; i++)
		failures[i].call = FAULT_NONE;
}

bool faults_hit(enum fault_call call)
{
	unsigned int i;

	for (i = 0; i < MAX_FAILURES; i++) {
		if (failures[i].call == call && failures[i].hit)
			return true;
	}
	return false;
}

int fault(enum fault_call call, void *caller)
{
	unsigned int i;

	(void)caller;
	for (i = 0; i < MAX_FAILURES; i++) {
		struct failure *failure = &failures[i];

		if (failure->call != call ||
		    atomic_fetch_add(&failure->seen, 1) + 1 != failure->nth)
			continue;
		failure->hit = true;
		return failure->error;
	}
	return 0;
}
