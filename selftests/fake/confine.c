// SPDX-License-Identifier: GPL-2.0-only
/*
 * The daemon's sandbox, when the machine is a directory.
 *
 * The software kernel lives in the process that confines itself, and goes on
 * opening files of that directory, and making system calls of its own, which it
 * has to name here for the daemon's filter:
 *
 * Syscalls: openat close fcntl flock dup dup3 close_range
 * Syscalls: read write pread64 pwrite64 readv writev fallocate memfd_create
 * Syscalls: newfstatat statx fstatfs access faccessat faccessat2 readlinkat
 * Syscalls: mincore process_vm_readv process_vm_writev
 * Syscalls: pidfd_open pidfd_getfd ppoll clock_nanosleep
 *
 * It has no mount namespaces, for its nodes aren't mounted anywhere. And tests
 * count the daemon's fds and mappings, which the kernel shows to the same user
 * only as long as the process can be traced.
 */
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>

#include "internal.h"

int unshare(int flags)
{
	if (fake_control()) {
		errno = EPERM;
		return -1;
	}
	return syscall(SYS_unshare, flags);
}

int prctl(int option, ...)
{
	unsigned long arg[4];
	va_list args;
	int i;

	va_start(args, option);
	for (i = 0; i < 4; i++)
		arg[i] = va_arg(args, unsigned long);
	va_end(args);
	if (option == PR_SET_DUMPABLE && fake_control())
		return 0;
	return syscall(SYS_prctl, option, arg[0], arg[1], arg[2], arg[3]);
}
