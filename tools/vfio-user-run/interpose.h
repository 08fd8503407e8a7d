/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the interpose*.c files share: libc's next definition of a function,
 * the nodes, and the table of fds.
 *
 * The functions that they define carry libc's names. All others of the library
 * that call one of these get libc's own: the linker's --wrap sees to it
 * (real.c). The names for files of more than 2 GiB, as open64(), are the same
 * functions: the Makefile lists them.
 */
#ifndef INTERPOSE_H
#define INTERPOSE_H

#include <errno.h>

#include "run.h"

/* What a program's call finds instead of libc's function. */
#define INTERPOSED	__attribute__((visibility("default")))

/* real.c */

/**
 * run_next() - the definition of a function that comes after ours
 * @slot: where to keep it
 * @name: of the function
 *
 * Return: libc's function, or that of another preloaded library.
 */
void *run_next(atomic_uintptr_t *slot, const char *name);

#define NEXT(name) ({							\
	static atomic_uintptr_t next_;					\
	uintptr_t f_ = atomic_load_explicit(&next_, memory_order_acquire); \
									\
	(__typeof__(name) *)(f_ ? (void *)f_ : run_next(&next_, #name)); \
})

struct open_how;

/*
 * Names that no header declares, or only for some programs: those of
 * _FORTIFY_SOURCE, of a libc before 2.33, and of one since 2.43.
 */
int openat2(int dir, const char *path, const struct open_how *how, size_t size);
int __open_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
ssize_t __read_chk(int fd, void *buf, size_t count, size_t room);
ssize_t __pread_chk(int fd, void *buf, size_t count, off_t offset, size_t room);
int __xstat(int ver, const char *path, struct stat *st);
int __lxstat(int ver, const char *path, struct stat *st);
int __fxstat(int ver, int fd, struct stat *st);
int __fxstatat(int ver, int dir, const char *path, struct stat *st, int flags);

/* interpose.c */

/**
 * run_result() - what a libc function returns, from what ours do
 * @ret: a result, or a negative errno
 *
 * Return: @ret, or -1 with errno set.
 */
static inline ssize_t run_result(ssize_t ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

/**
 * run_usable() - may this process use a file?
 *
 * Return: 0, or -EIO, and a line on stderr the first time: it is the parent's.
 */
int run_usable(const struct run_file *file);

/* connection.c, group.c: in a child, what was open is its parent's. */
void run_connections_fork(void);
void run_groups_fork(void);

/* cancel.c */

/* libc's, by the linker */
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __real_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __real_pthread_rwlock_unlock(pthread_rwlock_t *lock);
int __real_pthread_mutex_trylock(pthread_mutex_t *mutex);

/** run_cancel_off() - this thread isn't cancelled until run_cancel_restore() */
void run_cancel_off(void);

/** run_cancel_restore() - once for each run_cancel_off() */
void run_cancel_restore(void);

/* node.c */

/**
 * struct run_node - what a path leads to, if it leads to one of ours
 * @kind: RUN_DEVICE stands for the device's own node, below devices/
 * @group: with RUN_GROUP
 * @dev: with RUN_DEVICE
 */
struct run_node {
	enum run_kind kind;
	int group;
	struct run_device *dev;
};

/**
 * run_node_find() - look a path up
 * @dir: as with openat(2)
 * @path: the program's
 * @node: filled in if it is one of ours
 *
 * Return: is it? Leaves errno alone.
 */
bool run_node_find(int dir, const char *path, struct run_node *node);

/** run_node_is_empty() - no path, or an empty one, as with AT_EMPTY_PATH */
bool run_node_is_empty(const char *path);

/** run_node_rdev() - the number that the kernel gives such a node, or would */
dev_t run_node_rdev(const struct run_node *node);

/**
 * run_node_stat() - what stat(2) says of a node, or of a file that came of one
 * @rdev: its number; 0 for a file that has no node
 * @st: filled in
 */
void run_node_stat(dev_t rdev, struct stat *st);

/**
 * run_node_open() - open a node of ours
 * @node: which
 * @path: the same node of the kernel's, for what isn't ours; NULL: don't look
 * @flags: as with open(2)
 *
 * Return: an fd or a negative errno.
 */
int run_node_open(const struct run_node *node, const char *path, int flags);

/**
 * run_node_others() - has the program opened a device of somebody else's, and
 *                     none of ours?
 */
bool run_node_others(void);

/** run_node_saw_other() - a node below /dev/vfio that isn't ours was opened */
void run_node_saw_other(int dir, const char *path);

/* files.c */

/* fds from this number on are never ours. */
#define RUN_MAX_FDS	(1 << 20)

/** run_table_init() - once, before the first fd of ours */
void run_table_init(void);

/** run_is_owner() - has this process opened the file? */
bool run_is_owner(const struct run_file *file);

/** run_fd_is_hidden() - is it an fd of the library's own? */
bool run_fd_is_hidden(int fd);

/** run_fd_dup() - @new, which was dup'ed from @old, is whatever @old is */
void run_fd_dup(int old, int new);

/**
 * run_fd_take() - the fd is about to be closed
 * @fd: any number
 *
 * Return: the file behind it with the fd's reference, for run_file_put() after
 * closing; NULL if there is none.
 */
struct run_file *run_fd_take(int fd);

/**
 * run_fd_range() - call a function for each stretch of fds that isn't hidden
 * @first: fd
 * @last: fd, at least @first
 * @fn: with the stretch's ends; a result that isn't 0 ends it
 *
 * Return: the last result of @fn, 0 if all is hidden.
 */
int run_fd_range(unsigned int first, unsigned int last,
		 int (*fn)(unsigned int first, unsigned int last, int arg),
		 int arg);

#endif
