// SPDX-License-Identifier: GPL-2.0-only
/*
 * close(2), dup(2) and their like, and reads and writes.
 *
 * The kernel does all that is done to a number; we follow it in the table. The
 * library's own fds can't be closed, nor can others be put in their place.
 */
#undef _FORTIFY_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "debug.h"
#include "interpose.h"

static int file_close(int fd)
{
	struct run_file *file = run_fd_take(fd);
	uint64_t start = run_debug_us();
	int ret;

	if (!file)
		return NEXT(close)(fd);
	run_cancel_off();
	ret = NEXT(close)(fd);
	run_file_put(file);
	run_debug_call(ret, start, "close(%d)", fd);
	run_cancel_restore();
	return ret;
}

INTERPOSED int close(int fd)
{
	if (run_fd_is_hidden(fd))
		return run_result(-EBADF);
	return file_close(fd);
}

static int close_stretch(unsigned int first, unsigned int last, int flags)
{
	return NEXT(close_range)(first, last, flags);
}

static void close_ours(unsigned int first, unsigned int last)
{
	unsigned int fd;

	for (fd = first; fd <= last && fd < RUN_MAX_FDS; fd++) {
		struct run_file *file = run_file_find(fd);

		if (file)
			file_close(fd);
		run_file_put(file);
	}
}

/* A directory has a link for each thread's, besides its own two. */
static bool has_other_threads(void)
{
	int saved = errno;
	struct stat st;
	bool ret = run_real()->stat("/proc/self/task", &st) || st.st_nlink > 3;

	errno = saved;
	return ret;
}

/*
 * With CLOSE_RANGE_UNSHARE the fds are closed for this thread. Those of others
 * stay what they are, so the table keeps them: here they aren't current.
 */
INTERPOSED int close_range(unsigned int first, unsigned int last, int flags)
{
	if (first > last || flags & ~CLOSE_RANGE_UNSHARE)
		return NEXT(close_range)(first, last, flags);
	if (!(flags & CLOSE_RANGE_UNSHARE) || !has_other_threads())
		close_ours(first, last);
	return run_fd_range(first, last, close_stretch, flags);
}

INTERPOSED void closefrom(int low)
{
	close_range(low < 0 ? 0 : low, UINT_MAX, 0);
}

INTERPOSED int dup(int fd)
{
	int ret = NEXT(dup)(fd);

	if (ret >= 0)
		run_fd_dup(fd, ret);
	return ret;
}

INTERPOSED int dup2(int old, int new)
{
	int ret;

	if (run_fd_is_hidden(new))
		return run_result(-EBUSY);
	ret = NEXT(dup2)(old, new);
	if (ret >= 0 && old != new)
		run_fd_dup(old, new);
	return ret;
}

INTERPOSED int dup3(int old, int new, int flags)
{
	int ret;

	if (run_fd_is_hidden(new))
		return run_result(-EBUSY);
	ret = NEXT(dup3)(old, new, flags);
	if (ret >= 0)
		run_fd_dup(old, new);
	return ret;
}

INTERPOSED int fcntl(int fd, int cmd, ...)
{
	va_list args;
	void *arg;
	int ret;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	ret = NEXT(fcntl)(fd, cmd, arg);
	if (ret >= 0 && (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC))
		run_fd_dup(fd, ret);
	return ret;
}

/* Most bytes that one call transfers, in the kernel */
#define MAX_TRANSFER	((size_t)INT_MAX & ~(size_t)4095)

static ssize_t file_transfer(struct run_file *file, void *buf, size_t count,
			     off_t offset, bool is_write)
{
	ssize_t ret = run_usable(file);

	if (ret)
		return ret;
	if (offset < 0)
		return -EINVAL;
	count = min(count, MAX_TRANSFER);
	if (is_write)
		return file->ops->pwrite ?
		       file->ops->pwrite(file, buf, count, offset) : -EINVAL;
	return file->ops->pread ?
	       file->ops->pread(file, buf, count, offset) : -EINVAL;
}

/*
 * The kernel looks at all entries first, and then calls a driver that knows no
 * vectors once for each of them.
 */
static ssize_t file_vector(struct run_file *file, const struct iovec *iov,
			   int nr, off_t offset, bool is_write)
{
	ssize_t done = 0, n;
	int i;

	for (i = 0; i < nr; i++) {
		n = file_transfer(file, iov[i].iov_base, iov[i].iov_len,
				  offset + done, is_write);
		if (n < 0)
			return done ? done : n;
		done += n;
		if (n != iov[i].iov_len)
			break;
	}
	return done;
}

/* Copy the program's entries; together they are no longer than a ssize_t says. */
static ssize_t vector_copy_in(struct iovec *to, const struct iovec *iov, int nr)
{
	size_t total = 0;
	int i;

	if (run_copy_in(to, iov, nr * sizeof(*iov)))
		return -EFAULT;
	for (i = 0; i < nr; i++) {
		if (to[i].iov_len > SSIZE_MAX)
			return -EINVAL;
		to[i].iov_len = min(to[i].iov_len, MAX_TRANSFER - total);
		total += to[i].iov_len;
	}
	return 0;
}

#define AT_POS	(-1)

/* @offset: AT_POS for where the last one ended; the file is put. */
static ssize_t file_rw(struct run_file *file, int fd, const char *name,
		       const struct iovec *iov, int nr, off_t offset,
		       bool is_write)
{
	off_t at = offset == AT_POS ? atomic_load(&file->pos) : offset;
	uint64_t start = run_debug_us();
	ssize_t ret;

	run_cancel_off();
	ret = file_vector(file, iov, nr, at, is_write);
	if (ret > 0 && offset == AT_POS)
		atomic_fetch_add(&file->pos, ret);
	run_debug_call(ret, start, "%s(%d, region %d, %#llx, %zu)", name, fd,
		       (int)(at >> 40), at & ((1ull << 40) - 1),
		       nr ? iov->iov_len : 0);
	run_file_put(file);
	run_cancel_restore();
	return run_result(ret);
}

/* An offset of the program's that means AT_POS to us is a bad one. */
static off_t file_offset(off_t offset)
{
	return offset < 0 ? LONG_MIN : offset;
}

/* As the kernel has them of a file whose driver knows no vectors. */
static ssize_t vector_check_flags(const struct iovec *iov, int nr, int flags)
{
	int i;

	for (i = 0; i < nr; i++)
		if (iov[i].iov_len)
			return flags & ~RWF_HIPRI ? -EOPNOTSUPP : 0;
	return 0;
}

/* With the program's entries, which may be anywhere; the file is put. */
static ssize_t file_rwv_flags(struct run_file *file, int fd, const char *name,
			      const struct iovec *iov, int nr, off_t offset,
			      bool is_write, int flags)
{
	struct iovec *own = NULL;
	ssize_t ret = -EINVAL;

	if (nr >= 0 && nr <= IOV_MAX) {
		own = malloc((nr + 1) * sizeof(*own));
		ret = own ? vector_copy_in(own, iov, nr) : -ENOMEM;
	}
	if (!ret)
		ret = vector_check_flags(own, nr, flags);
	if (ret) {
		run_file_put(file);
		ret = run_result(ret);
	} else {
		ret = file_rw(file, fd, name, own, nr, offset, is_write);
	}
	free(own);
	return ret;
}

static ssize_t file_rwv(struct run_file *file, int fd, const char *name,
			const struct iovec *iov, int nr, off_t offset,
			bool is_write)
{
	return file_rwv_flags(file, fd, name, iov, nr, offset, is_write, 0);
}

INTERPOSED ssize_t read(int fd, void *buf, size_t count)
{
	struct run_file *file = run_file_find(fd);
	struct iovec iov = { buf, count };

	if (!file)
		return NEXT(read)(fd, buf, count);
	return file_rw(file, fd, "read", &iov, 1, AT_POS, false);
}

INTERPOSED ssize_t __read_chk(int fd, void *buf, size_t count, size_t room)
{
	struct run_file *file = run_file_find(fd);
	struct iovec iov = { buf, count };

	if (!file)
		return NEXT(__read_chk)(fd, buf, count, room);
	return file_rw(file, fd, "read", &iov, 1, AT_POS, false);
}

INTERPOSED ssize_t write(int fd, const void *buf, size_t count)
{
	struct run_file *file = run_file_find(fd);
	struct iovec iov = { (void *)buf, count };

	if (!file)
		return NEXT(write)(fd, buf, count);
	return file_rw(file, fd, "write", &iov, 1, AT_POS, true);
}

INTERPOSED ssize_t pread(int fd, void *buf, size_t count, off_t offset)
{
	struct run_file *file = run_file_find(fd);
	struct iovec iov = { buf, count };

	if (!file)
		return NEXT(pread)(fd, buf, count, offset);
	return file_rw(file, fd, "pread", &iov, 1, file_offset(offset), false);
}

INTERPOSED ssize_t __pread_chk(int fd, void *buf, size_t count, off_t offset,
			       size_t room)
{
	struct run_file *file = run_file_find(fd);
	struct iovec iov = { buf, count };

	if (!file)
		return NEXT(__pread_chk)(fd, buf, count, offset, room);
	return file_rw(file, fd, "pread", &iov, 1, file_offset(offset), false);
}

INTERPOSED ssize_t pwrite(int fd, const void *buf, size_t count, off_t offset)
{
	struct run_file *file = run_file_find(fd);
	struct iovec iov = { (void *)buf, count };

	if (!file)
		return NEXT(pwrite)(fd, buf, count, offset);
	return file_rw(file, fd, "pwrite", &iov, 1, file_offset(offset), true);
}

INTERPOSED ssize_t readv(int fd, const struct iovec *iov, int nr)
{
	struct run_file *file = run_file_find(fd);

	if (!file)
		return NEXT(readv)(fd, iov, nr);
	return file_rwv(file, fd, "readv", iov, nr, AT_POS, false);
}

INTERPOSED ssize_t writev(int fd, const struct iovec *iov, int nr)
{
	struct run_file *file = run_file_find(fd);

	if (!file)
		return NEXT(writev)(fd, iov, nr);
	return file_rwv(file, fd, "writev", iov, nr, AT_POS, true);
}

INTERPOSED ssize_t preadv(int fd, const struct iovec *iov, int nr, off_t offset)
{
	struct run_file *file = run_file_find(fd);

	if (!file)
		return NEXT(preadv)(fd, iov, nr, offset);
	return file_rwv(file, fd, "preadv", iov, nr, file_offset(offset), false);
}

INTERPOSED ssize_t pwritev(int fd, const struct iovec *iov, int nr, off_t offset)
{
	struct run_file *file = run_file_find(fd);

	if (!file)
		return NEXT(pwritev)(fd, iov, nr, offset);
	return file_rwv(file, fd, "pwritev", iov, nr, file_offset(offset), true);
}

/* Of these two, -1 is where the last one ended, to the kernel as to us. */
INTERPOSED ssize_t preadv2(int fd, const struct iovec *iov, int nr, off_t offset,
			   int flags)
{
	struct run_file *file = run_file_find(fd);

	if (!file)
		return NEXT(preadv2)(fd, iov, nr, offset, flags);
	return file_rwv_flags(file, fd, "preadv2", iov, nr, offset, false,
			      flags);
}

INTERPOSED ssize_t pwritev2(int fd, const struct iovec *iov, int nr, off_t offset,
			    int flags)
{
	struct run_file *file = run_file_find(fd);

	if (!file)
		return NEXT(pwritev2)(fd, iov, nr, offset, flags);
	return file_rwv_flags(file, fd, "pwritev2", iov, nr, offset, true,
			      flags);
}

INTERPOSED off_t lseek(int fd, off_t offset, int whence)
{
	struct run_file *file = run_file_find(fd);

	run_file_put(file);
	return file ? run_result(-ESPIPE) : NEXT(lseek)(fd, offset, whence);
}
