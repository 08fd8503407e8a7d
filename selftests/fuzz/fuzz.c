// SPDX-License-Identifier: GPL-2.0-only
/* Taking values from a fuzzer's input, and saying what was found. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz.h"
#include "util.h"

/* None gets near it, without a leak. */
#define MAX_FDS		256

void fuzz_bytes(struct fuzz *f, void *to, size_t len)
{
	size_t n = min(len, f->size);

	memset(to, 0, len);
	if (n)
		memcpy(to, f->data, n);
	f->data += n;
	f->size -= n;
}

uint8_t fuzz_u8(struct fuzz *f)
{
	uint8_t value;

	fuzz_bytes(f, &value, sizeof(value));
	return value;
}

uint16_t fuzz_u16(struct fuzz *f)
{
	uint8_t value[2];

	fuzz_bytes(f, value, sizeof(value));
	return value[0] | value[1] << 8;
}

int fuzz_lowest_fd(void)
{
	int fd = dup(STDERR_FILENO);

	fuzz_require(fd >= 0, "there is room for one more fd");
	close(fd);
	return fd;
}

unsigned int fuzz_nr_fds(void)
{
	unsigned int nr = 0;
	int fd;

	/* The system call: the software VFIO has fcntl(2). */
	for (fd = 0; fd < MAX_FDS; fd++)
		nr += syscall(SYS_fcntl, fd, F_GETFD) >= 0;
	return nr;
}

void fuzz_require(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}
