// SPDX-License-Identifier: GPL-2.0-only
/*
 * The program's memory, as an ioctl names it.
 *
 * The kernel answers EFAULT where nothing is mapped, and so do we: the kernel
 * does the copying, in a system call that reads and writes a process's memory,
 * our own. Where a sandbox forbids that call the copy is made directly.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "run.h"

typedef ssize_t (*user_vm_fn)(pid_t pid, const struct iovec *local,
			      unsigned long nr_local, const struct iovec *remote,
			      unsigned long nr_remote, unsigned long flags);

/* Return: 0, -EFAULT, or 1: it can't be done this way. */
static int user_copy(user_vm_fn fn, const void *ours, const void *user,
		     size_t size)
{
	struct iovec local = { (void *)ours, size };
	struct iovec remote = { (void *)user, size };
	int saved = errno;
	ssize_t n;
	int ret;

	if (!size)
		return 0;
	n = fn(getpid(), &local, 1, &remote, 1, 0);
	if (n < 0)
		ret = errno == EPERM || errno == ENOSYS ? 1 : -EFAULT;
	else
		ret = n == size ? 0 : -EFAULT;
	errno = saved;
	return ret;
}

int run_copy_in(void *to, const void *user, size_t size)
{
	int ret = user_copy(process_vm_readv, to, user, size);

	if (ret > 0) {
		memcpy(to, user, size);
		ret = 0;
	}
	return ret;
}

int run_copy_out(void *user, const void *from, size_t size)
{
	int ret = user_copy(process_vm_writev, from, user, size);

	if (ret > 0) {
		memcpy(user, from, size);
		ret = 0;
	}
	return ret;
}
