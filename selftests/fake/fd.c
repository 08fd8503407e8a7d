// SPDX-License-Identifier: GPL-2.0-only
/*
 * The C library's functions about fds and memory, in its stead: what concerns
 * an fd of the fake is answered here, all else goes to the kernel.
 *
 * A table says which fd numbers are the fake's. Only this process's numbers
 * count: a device fd that went to another process is there the plain file that
 * it is, which can be read, written and mapped.
 *
 * The 64-bit names are the same functions: offsets have 64 bits wherever there
 * is VFIO.
 */
#undef _FORTIFY_SOURCE

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "internal.h"
#include "interpose.h"

#define FD_TABLE_SIZE		65536

static struct fake_file *table[FD_TABLE_SIZE];

struct fake_file *file_any(int fd)
{
	if (fd < 0 || fd >= FD_TABLE_SIZE)
		return NULL;
	return __atomic_load_n(&table[fd], __ATOMIC_ACQUIRE);
}

struct fake_file *file_of(int fd, enum fake_kind kind)
{
	struct fake_file *file = file_any(fd);

	return file && file->ops->kind == kind ? file : NULL;
}

void file_get(struct fake_file *file)
{
	file->refs++;
}

void file_put(struct fake_file *file)
{
	if (!--file->refs)
		file->ops->release(file);
}

static void table_set(int fd, struct fake_file *file)
{
	__atomic_store_n(&table[fd], file, __ATOMIC_RELEASE);
}

int file_install(int fd, struct fake_file *file)
{
	if (fd >= FD_TABLE_SIZE) {
		raw_close(fd);
		file_put(file);
		return -EMFILE;
	}
	fake_control()->opens[file->ops->kind]++;
	table_set(fd, file);
	return fd;
}

/* Close an fd of the fake's: the number first, then what it referred to. */
static long file_close(int fd, struct fake_file *file)
{
	long ret;

	table_set(fd, NULL);
	ret = raw_close(fd);
	file_put(file);
	return ret;
}

int close(int fd)
{
	struct fake_file *file = file_any(fd);
	long ret;

	if (!file)
		return raw_close(fd);
	ret = inject(FAKE_CLOSE);
	if (ret)
		return libc_result(ret);
	fake_lock();
	ret = file_close(fd, file);
	fake_unlock();
	return ret;
}

int close_range(unsigned int first, unsigned int last, int flags)
{
	unsigned int fd;

	fake_lock();
	for (fd = first; fd <= last && fd < FD_TABLE_SIZE &&
	     !(flags & CLOSE_RANGE_CLOEXEC); fd++) {
		if (table[fd])
			file_close(fd, table[fd]);
	}
	fake_unlock();
	return syscall(SYS_close_range, first, last, flags);
}

/* Another number for what @fd refers to; @at is what it referred to before. */
static int file_duplicated(int fd, int copy)
{
	struct fake_file *file = file_any(fd), *old = file_any(copy);

	if (copy < 0 || (!file && !old) || fd == copy)
		return copy;
	fake_lock();
	if (file)
		file_get(file);
	if (copy < FD_TABLE_SIZE)
		table_set(copy, file);
	if (old)
		file_put(old);
	fake_unlock();
	return copy;
}

int dup(int fd)
{
	return file_duplicated(fd, syscall(SYS_dup, fd));
}

int dup2(int fd, int at)
{
	if (fd == at)
		return raw_fcntl(fd, F_GETFD, 0) < 0 ? -1 : at;
	return file_duplicated(fd, syscall(SYS_dup3, fd, at, 0));
}

int dup3(int fd, int at, int flags)
{
	return file_duplicated(fd, syscall(SYS_dup3, fd, at, flags));
}

int fcntl(int fd, int cmd, ...)
{
	unsigned long arg;
	va_list args;
	int ret;

	va_start(args, cmd);
	arg = va_arg(args, unsigned long);
	va_end(args);
	ret = raw_fcntl(fd, cmd, arg);
	return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ?
	       file_duplicated(fd, ret) : ret;
}

int fcntl64(int fd, int cmd, ...) __attribute__((alias("fcntl")));

int ioctl(int fd, unsigned long request, ...)
{
	struct fake_file *file = file_any(fd);
	va_list args;
	void *arg;
	long ret;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (!file)
		return syscall(SYS_ioctl, fd, request, arg);

	/* The kernel takes 32 bits of the request. */
	request = (uint32_t)request;
	ret = inject_ioctl(file->ops->kind, request);
	if (ret)
		return libc_result(ret);
	fake_lock();
	ret = file->ops->ioctl(file, fd, request, arg);
	fake_unlock();
	return libc_result(ret);
}

static ssize_t file_read(int fd, void *buf, size_t count, off_t pos)
{
	struct fake_file *file = file_of(fd, FAKE_DEVICE);
	ssize_t ret;

	if (!file)
		return -EINVAL;
	ret = inject_transfer(FAKE_PREAD, &count);
	if (ret)
		return ret;
	fake_lock();
	ret = model_read(container_of(file, struct device, file), fd, buf,
			 count, pos);
	fake_unlock();
	return ret;
}

static ssize_t file_write(int fd, const void *buf, size_t count, off_t pos)
{
	struct fake_file *file = file_of(fd, FAKE_DEVICE);
	ssize_t ret;

	if (!file)
		return -EINVAL;
	ret = inject_transfer(FAKE_PWRITE, &count);
	if (ret)
		return ret;
	fake_lock();
	ret = model_write(container_of(file, struct device, file), fd, buf,
			  count, pos);
	fake_unlock();
	return ret;
}

ssize_t pread(int fd, void *buf, size_t count, off_t pos)
{
	if (!file_any(fd))
		return raw_pread(fd, buf, count, pos);
	return libc_result(file_read(fd, buf, count, pos));
}

ssize_t pread64(int fd, void *buf, size_t count, off64_t pos)
	__attribute__((alias("pread")));

ssize_t pwrite(int fd, const void *buf, size_t count, off_t pos)
{
	if (!file_any(fd))
		return raw_pwrite(fd, buf, count, pos);
	return libc_result(file_write(fd, buf, count, pos));
}

ssize_t pwrite64(int fd, const void *buf, size_t count, off64_t pos)
	__attribute__((alias("pwrite")));

/* As the C library's read(2) and write(2), these can be cancelled. */
static ssize_t cancellable(long call, int fd, const void *buf, size_t count)
{
	ssize_t ret;
	int type;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	ret = syscall(call, fd, buf, count);
	pthread_setcanceltype(type, NULL);
	return ret;
}

static ssize_t stream_read(struct fake_file *file, void *buf, size_t count)
{
	ssize_t ret = inject_transfer(FAKE_READ, &count);

	if (ret)
		return ret;
	fake_lock();
	ret = file->ops->read(file, buf, count);
	fake_unlock();
	return ret;
}

static ssize_t stream_write(struct fake_file *file, const void *buf,
			    size_t count)
{
	ssize_t ret = inject_transfer(FAKE_WRITE, &count);

	if (ret)
		return ret;
	fake_lock();
	ret = file->ops->write(file, buf, count);
	fake_unlock();
	return ret;
}

ssize_t read(int fd, void *buf, size_t count)
{
	struct fake_file *file = file_any(fd);
	ssize_t ret;

	if (!file)
		return cancellable(SYS_read, fd, buf, count);
	if (file->ops->read)
		return libc_result(stream_read(file, buf, count));
	ret = file_read(fd, buf, count, lseek(fd, 0, SEEK_CUR));
	if (ret > 0)
		lseek(fd, ret, SEEK_CUR);
	return libc_result(ret);
}

ssize_t write(int fd, const void *buf, size_t count)
{
	struct fake_file *file = file_any(fd);
	ssize_t ret;

	if (!file)
		return cancellable(SYS_write, fd, buf, count);
	if (file->ops->write)
		return libc_result(stream_write(file, buf, count));
	ret = file_write(fd, buf, count, lseek(fd, 0, SEEK_CUR));
	if (ret > 0)
		lseek(fd, ret, SEEK_CUR);
	return libc_result(ret);
}

/* What a program with _FORTIFY_SOURCE calls; the sizes were checked. */
ssize_t __read_chk(int fd, void *buf, size_t count, size_t room)
{
	return read(fd, buf, count > room ? FORTIFY_FAIL : count);
}

ssize_t __pread_chk(int fd, void *buf, size_t count, off_t pos, size_t room)
{
	return pread(fd, buf, count > room ? FORTIFY_FAIL : count, pos);
}

ssize_t __pread64_chk(int fd, void *buf, size_t count, off_t pos, size_t room)
	__attribute__((alias("__pread_chk")));

static bool is_file_mapping(int flags, int fd)
{
	int type = flags & MAP_TYPE;

	return fd >= 0 && !(flags & MAP_ANONYMOUS) &&
	       (type == MAP_SHARED || type == MAP_SHARED_VALIDATE);
}

static int mmap_check(size_t len, int flags, int fd, off_t offset)
{
	struct fake_file *file = file_any(fd), *device;
	int ret;

	if (!file && !is_file_mapping(flags, fd))
		return 0;
	ret = inject(FAKE_MMAP);
	if (ret || !file)
		return ret;
	device = file_of(fd, FAKE_DEVICE);
	if (!device)
		return -ENODEV;
	if (!is_file_mapping(flags, fd))
		return -EINVAL;
	return device_mmap(container_of(device, struct device, file), offset,
			   len);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *ret;
	int err;

	if (!fake_control())
		return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd,
				       offset);
	err = mmap_check(len, flags, fd, offset);
	if (err)
		return (void *)libc_result(err);

	fake_lock();
	ret = (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
	if (ret != MAP_FAILED && flags & MAP_FIXED)
		window_remove(ret, len);
	if (ret != MAP_FAILED && is_file_mapping(flags, fd))
		window_add(ret, len, prot, fd, offset);
	fake_unlock();
	return ret;
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd,
	     off64_t offset) __attribute__((alias("mmap")));

int munmap(void *addr, size_t len)
{
	bool known;
	int ret;

	if (!fake_control())
		return syscall(SYS_munmap, addr, len);
	fake_lock();
	known = window_overlaps(addr, len);
	fake_unlock();
	ret = known ? inject(FAKE_MUNMAP) : 0;
	if (ret)
		return libc_result(ret);

	fake_lock();
	ret = syscall(SYS_munmap, addr, len);
	if (!ret)
		window_remove(addr, len);
	fake_unlock();
	return ret;
}
