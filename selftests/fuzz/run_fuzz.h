/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the preload library's fuzzer share. */
#ifndef RUN_FUZZ_H
#define RUN_FUZZ_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "fuzz.h"

/*
 * libc's functions as the preload library has them. The objects of the library
 * have these names in the fuzzer (Makefile.inc), so that whatever else is in the
 * process has libc's own.
 */
int program_open(const char *path, int flags, ...);
int program_openat(int dir, const char *path, int flags, ...);
int program___open_2(const char *path, int flags);
int program___openat_2(int dir, const char *path, int flags);
int program_ioctl(int fd, unsigned long request, ...);
int program_close(int fd);
int program_close_range(unsigned int first, unsigned int last, int flags);
int program_dup(int fd);
int program_dup2(int old, int new);
int program_dup3(int old, int new, int flags);
int program_fcntl(int fd, int cmd, ...);
ssize_t program_read(int fd, void *buf, size_t count);
ssize_t program_write(int fd, const void *buf, size_t count);
ssize_t program_pread(int fd, void *buf, size_t count, off_t offset);
ssize_t program_pwrite(int fd, const void *buf, size_t count, off_t offset);
ssize_t program_readv(int fd, const struct iovec *iov, int nr);
ssize_t program_writev(int fd, const struct iovec *iov, int nr);
ssize_t program_preadv(int fd, const struct iovec *iov, int nr, off_t offset);
ssize_t program_pwritev(int fd, const struct iovec *iov, int nr, off_t offset);
ssize_t program_preadv2(int fd, const struct iovec *iov, int nr, off_t offset,
			int flags);
ssize_t program_pwritev2(int fd, const struct iovec *iov, int nr, off_t offset,
			 int flags);
off_t program_lseek(int fd, off_t offset, int whence);
void *program_mmap(void *addr, size_t len, int prot, int flags, int fd,
		   off_t offset);
int program_munmap(void *addr, size_t len);
void *program_mremap(void *old, size_t old_len, size_t len, int flags, ...);
int program_madvise(void *addr, size_t len, int advice);
int program_mlock(const void *addr, size_t len);
int program_munlock(const void *addr, size_t len);
int program_stat(const char *path, struct stat *st);
int program_lstat(const char *path, struct stat *st);
int program_fstat(int fd, struct stat *st);
int program_fstatat(int dir, const char *path, struct stat *st, int flags);
int program___xstat(int ver, const char *path, struct stat *st);
int program___lxstat(int ver, const char *path, struct stat *st);
int program___fxstat(int ver, int fd, struct stat *st);
int program___fxstatat(int ver, int dir, const char *path, struct stat *st,
		       int flags);
int program_statx(int dir, const char *path, int flags, unsigned int mask,
		  struct statx *st);
int program_access(const char *path, int mode);
int program_euidaccess(const char *path, int mode);
int program_faccessat(int dir, const char *path, int mode, int flags);

/* run_server.c: the bridges that the library is connected to */

#define NR_SERVERS	3

/**
 * server_init() - listen for the library, and tell it where by the environment
 *
 * Once, before the library is called for the first time.
 */
void server_init(void);

/** server_begin() - what the servers say is taken from @f from now on */
void server_begin(struct fuzz *f);

/** server_trust() - until the next call of this, all answers are right, or not */
void server_trust(bool trust);

/** server_end() - all connections are to be closed; hang up on whoever is left */
void server_end(void);

/* run_args.c: what a program gives to an ioctl */

/* Of the program's memory that is mapped for DMA, in pages of 4096 bytes. */
#define ARENA_PAGES	64
#define ARENA_SIZE	(ARENA_PAGES * 4096ul)
#define MAX_PROGRAM_FDS	32

/* What an fd is, as a set. */
#define A_CONTAINER	(1u << 0)
#define A_GROUP		(1u << 1)
#define A_DEVICE	(1u << 2)
#define AN_IOMMUFD	(1u << 3)
#define A_STREAM	(1u << 4)
#define A_FILE		(1u << 5)

/**
 * struct program - what the program has
 * @f: says what it does
 * @arena: ARENA_SIZE bytes, of which parts are mapped
 * @fds: that it has opened; some may be closed by now
 * @kinds: one of the above for each
 * @nr_fds: entries of both in use
 */
struct program {
	struct fuzz *f;
	uint8_t *arena;
	int fds[MAX_PROGRAM_FDS];
	unsigned int kinds[MAX_PROGRAM_FDS];
	unsigned int nr_fds;
};

/** program_add() - @fd is of this kind; a negative one is none */
void program_add(struct program *p, int fd, unsigned int kind);

/** program_fd() - one of the kinds wanted, most often; or any, or none */
int program_fd(struct program *p, unsigned int kinds);

/** args_init() - make room for arguments, with nothing mapped behind it */
void args_init(void);

/** args_pointer() - memory for @len bytes, or a pointer that is bad in some way */
void *args_pointer(struct fuzz *f, size_t len);

/** args_path() - the name of a node; @kind is set to what it gives */
const char *args_path(struct fuzz *f, unsigned int *kind);

/**
 * args_ioctl() - call an ioctl of VFIO's or iommufd's
 * @p: chooses which, on what, and what is in its structure
 *
 * Requires that nothing is written behind what the structure says its size is.
 */
void args_ioctl(struct program *p);

/** args_prepare() - open and set up, in the right way, what most programs do */
void args_prepare(struct program *p);

#endif
