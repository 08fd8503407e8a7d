// SPDX-License-Identifier: GPL-2.0-only
/*
 * The functions that ours stand in front of.
 *
 * Each is looked up when it is first called, which may be before any
 * constructor has run: sanitizers and allocators map memory early. The lookup
 * itself may call what is being looked up, where another library replaces
 * malloc(3); then the system call is made directly.
 *
 * Other files of this library, and the client library in it, call close(2) and
 * the like by their usual names. They must not come back to us, because we
 * keep the program from closing the library's fds; the linker turns those
 * calls into the __wrap_ functions at the end of this file.
 */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "interpose.h"

static __thread bool run_looking __attribute__((tls_model("initial-exec")));

static void *raw_mmap(void *addr, size_t len, int prot, int flags, int fd,
		      off_t offset)
{
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

static int raw_munmap(void *addr, size_t len)
{
	return syscall(SYS_munmap, addr, len);
}

static int raw_open(const char *path, int flags, int mode)
{
	return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static ssize_t raw_read(int fd, void *buf, size_t count)
{
	return syscall(SYS_read, fd, buf, count);
}

static int raw_close(int fd)
{
	return syscall(SYS_close, fd);
}

static long raw_none(void)
{
	errno = ENOSYS;
	return -1;
}

static void *run_raw(const char *name)
{
	static const struct {
		const char *name;
		void *fn;
	} raw[] = {
		{ "mmap", raw_mmap },
		{ "mmap64", raw_mmap },
		{ "munmap", raw_munmap },
		{ "open", raw_open },
		{ "open64", raw_open },
		{ "read", raw_read },
		{ "close", raw_close },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(raw); i++) {
		if (!strcmp(raw[i].name, name))
			return raw[i].fn;
	}
	return raw_none;
}

void *run_next(atomic_uintptr_t *slot, const char *name)
{
	int saved = errno;
	void *fn;

	if (run_looking)
		return run_raw(name);
	run_looking = true;
	fn = dlsym(RTLD_NEXT, name);
	run_looking = false;
	if (!fn)
		fn = raw_none;
	atomic_store_explicit(slot, (uintptr_t)fn, memory_order_release);
	errno = saved;
	return fn;
}

/* Several threads may fill it in at a time: all with the same. */
const struct run_real *run_real(void)
{
	static atomic_bool ready;
	static struct run_real real;

	if (atomic_load_explicit(&ready, memory_order_acquire))
		return &real;
	real.open = NEXT(open);
	real.openat = NEXT(openat);
	real.close = NEXT(close);
	real.dup = NEXT(dup);
	real.dup2 = NEXT(dup2);
	real.dup3 = NEXT(dup3);
	real.fcntl = NEXT(fcntl);
	real.ioctl = NEXT(ioctl);
	real.read = NEXT(read);
	real.write = NEXT(write);
	real.pread = NEXT(pread);
	real.pwrite = NEXT(pwrite);
	real.mmap = NEXT(mmap);
	real.munmap = NEXT(munmap);
	real.mremap = NEXT(mremap);
	real.access = NEXT(access);
	real.faccessat = NEXT(faccessat);
	real.stat = NEXT(stat);
	real.lstat = NEXT(lstat);
	real.fstat = NEXT(fstat);
	real.fstatat = NEXT(fstatat);
	real.statx = NEXT(statx);
	atomic_store_explicit(&ready, true, memory_order_release);
	return &real;
}

int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	return run_real()->open(path, flags, mode);
}

int __wrap_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	return run_real()->fcntl(fd, cmd, arg);
}

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	return run_real()->ioctl(fd, request, arg);
}

int __wrap_close(int fd);
int __wrap_close(int fd)
{
	return run_real()->close(fd);
}

int __wrap_dup(int fd);
int __wrap_dup(int fd)
{
	return run_real()->dup(fd);
}

ssize_t __wrap_read(int fd, void *buf, size_t count);
ssize_t __wrap_read(int fd, void *buf, size_t count)
{
	return run_real()->read(fd, buf, count);
}

ssize_t __wrap_write(int fd, const void *buf, size_t count);
ssize_t __wrap_write(int fd, const void *buf, size_t count)
{
	return run_real()->write(fd, buf, count);
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd,
		  off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd,
		  off_t offset)
{
	return run_real()->mmap(addr, len, prot, flags, fd, offset);
}

int __wrap_munmap(void *addr, size_t len);
int __wrap_munmap(void *addr, size_t len)
{
	return run_real()->munmap(addr, len);
}

void *__wrap_mremap(void *addr, size_t old_len, size_t len, int flags, ...);
void *__wrap_mremap(void *addr, size_t old_len, size_t len, int flags, ...)
{
	va_list args;
	void *to;

	va_start(args, flags);
	to = va_arg(args, void *);
	va_end(args);
	return run_real()->mremap(addr, old_len, len, flags, to);
}

int __wrap_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st)
{
	return run_real()->stat(path, st);
}

int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st)
{
	return run_real()->fstat(fd, st);
}
