// SPDX-License-Identifier: GPL-2.0-only
/*
 * What wraps can't make: functions that go by several names, and what takes a
 * list of arguments. jansson lets its allocations be replaced; what other
 * libraries allocate fails as a whole, with their own functions.
 */
#include "inject.h"

bool fault_errno(enum fault_call call, void *caller)
{
	int err = fault(call, caller);

	if (err)
		errno = err;
	return err;
}

static int fault_fscanf(void *caller, FILE *f, const char *fmt, va_list args)
{
	return fault_errno(FAULT_fscanf, caller) ? EOF : vfscanf(f, fmt, args);
}

/* By the names that the C standards of 1999 and 2023 give it. */

int faulty___isoc99_fscanf(FILE *f, const char *fmt, ...);
int faulty___isoc99_fscanf(FILE *f, const char *fmt, ...)
{
	va_list args;
	int ret;

	va_start(args, fmt);
	ret = fault_fscanf(CALLER, f, fmt, args);
	va_end(args);
	return ret;
}

int faulty___isoc23_fscanf(FILE *f, const char *fmt, ...);
int faulty___isoc23_fscanf(FILE *f, const char *fmt, ...)
{
	va_list args;
	int ret;

	va_start(args, fmt);
	ret = fault_fscanf(CALLER, f, fmt, args);
	va_end(args);
	return ret;
}

/* By the names that _FORTIFY_SOURCE gives them; the sizes were checked. */

int faulty___poll_chk(struct pollfd *fds, nfds_t nr, int timeout, size_t room);
int faulty___poll_chk(struct pollfd *fds, nfds_t nr, int timeout, size_t room)
{
	return fault_errno(FAULT_poll, CALLER) ? -1 : poll(fds, nr, timeout);
}

char *faulty___realpath_chk(const char *path, char *resolved, size_t room);
char *faulty___realpath_chk(const char *path, char *resolved, size_t room)
{
	return fault_errno(FAULT_realpath, CALLER) ? NULL :
		realpath(path, resolved);
}

/* What jansson allocates counts as allocated by the daemon. */
static void *fault_json(size_t size)
{
	return fault_errno(FAULT_malloc, CALLER) ? NULL : malloc(size);
}

void fault_json_start(void)
{
	json_set_alloc_funcs(fault_json, free);
}
