// SPDX-License-Identifier: GPL-2.0-only
/*
 * In place of those files of the preload library that a test doesn't have:
 * libc's functions are not in anybody's way here. What would go to stderr is
 * kept, for the test to look at.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "standin.h"

char standin_said[1024];
bool standin_no_query;

static int no_query(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (standin_no_query && _IOC_TYPE(request) == 'f') {
		errno = ENOTTY;
		return -1;
	}
	return ioctl(fd, request, arg);
}

const struct run_real *run_real(void)
{
	static const struct run_real real = {
		.open = open,
		.close = close,
		.fcntl = fcntl,
		.ioctl = no_query,
		.read = read,
		.write = write,
		.pread = pread,
		.pwrite = pwrite,
		.mmap = mmap,
		.munmap = munmap,
		.mremap = mremap,
		.stat = stat,
		.fstat = fstat,
	};

	return &real;
}

void run_say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(standin_said, sizeof(standin_said), fmt, args);
	va_end(args);
}

int run_fd_hide(int fd)
{
	return fd;
}

void run_fd_close(int fd)
{
	close(fd);
}
