// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which fds are ours.
 *
 * Each has an empty, sealed memfd in the kernel, so that its number is taken,
 * it can be dup'ed and inherited, and nothing can be done with it that we don't
 * see. The table says what stands behind a number. A program can close a number
 * without our seeing it, by a system call of its own, and get the same number
 * for another file: an entry counts only as long as the number still is the
 * memfd that it was made for.
 *
 * The library's own fds (sockets, memory) are in the same table, marked as
 * hidden: they have high numbers, and the program can't close them, because
 * programs close all that they don't know.
 *
 * After fork(2) what is open belongs to the parent. The child closes its copies
 * of the sockets, so that the parent's close is one; it can open devices of its
 * own. A child of vfork(2) shares the table with its parent and doesn't touch
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "interpose.h"

#define CHUNK_FDS	256
#define MAX_CHUNKS	(RUN_MAX_FDS / CHUNK_FDS)
/* Where hidden fds begin, if the limit allows */
#define HIDDEN_FDS	900

/**
 * struct slot - an fd number
 * @file: the struct run_file behind it, or 0
 * @ino: of its memfd
 * @hidden: it is an fd of the library's
 */
struct slot {
	atomic_uintptr_t file;
	ino_t ino;
	atomic_bool hidden;
};

static atomic_uintptr_t chunks[MAX_CHUNKS];
static pthread_mutex_t table_lock;
static atomic_int table_pid;

static struct slot *slot_find(int fd)
{
	struct slot *chunk;

	if (fd < 0 || fd >= RUN_MAX_FDS)
		return NULL;
	chunk = (void *)atomic_load_explicit(&chunks[fd / CHUNK_FDS],
					     memory_order_acquire);
	return chunk ? &chunk[fd % CHUNK_FDS] : NULL;
}

/* With the table's lock. */
static struct slot *slot_make(int fd)
{
	struct slot *chunk;

	if (fd >= RUN_MAX_FDS)
		return NULL;
	if (!slot_find(fd)) {
		chunk = calloc(CHUNK_FDS, sizeof(*chunk));
		if (!chunk)
			return NULL;
		atomic_store_explicit(&chunks[fd / CHUNK_FDS],
				      (uintptr_t)chunk, memory_order_release);
	}
	return slot_find(fd);
}

/* A child of vfork(2), or one that was made without libc, isn't to touch it. */
static bool table_is_ours(void)
{
	return atomic_load(&table_pid) == getpid();
}

static bool slot_is_current(const struct slot *slot, int fd)
{
	int saved = errno;
	struct stat st;
	bool ret;

	ret = !run_real()->fstat(fd, &st) && st.st_ino == slot->ino &&
	      !st.st_nlink;
	errno = saved;
	return ret;
}

void run_file_init(struct run_file *file, enum run_kind kind,
		   const struct run_ops *ops)
{
	file->kind = kind;
	file->ops = ops;
	atomic_init(&file->refs, 1);
	file->rdev = 0;
	file->twin = -1;
	file->owner = atomic_load(&table_pid);
	atomic_init(&file->pos, 0);
	atomic_init(&file->is_real, false);
}

void run_file_get(struct run_file *file)
{
	atomic_fetch_add(&file->refs, 1);
}

void run_file_put(struct run_file *file)
{
	int saved = errno;
	int twin;

	if (!file || atomic_fetch_sub(&file->refs, 1) != 1)
		return;
	/* A child has a copy of it that it can do nothing with. */
	if (!run_is_owner(file))
		return;
	run_cancel_off();
	twin = file->twin;
	file->ops->release(file);
	run_fd_close(twin);
	run_cancel_restore();
	errno = saved;
}

bool run_is_owner(const struct run_file *file)
{
	return file->owner == atomic_load(&table_pid);
}

static int file_placeholder(int flags)
{
	int fd = memfd_create("vfio-user-run", MFD_ALLOW_SEALING |
			      (flags & O_CLOEXEC ? MFD_CLOEXEC : 0));

	if (fd < 0)
		return -errno;
	run_real()->fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK |
			  F_SEAL_GROW | F_SEAL_WRITE);
	return fd;
}

int run_file_install(struct run_file *file, int flags, int fd)
{
	struct slot *slot;
	struct stat st;
	int ret;

	if (fd < 0)
		fd = file_placeholder(flags);
	if (fd < 0) {
		ret = fd;
		goto put;
	}
	if (run_real()->fstat(fd, &st)) {
		ret = -errno;
		goto close;
	}
	pthread_mutex_lock(&table_lock);
	slot = slot_make(fd);
	if (slot) {
		slot->ino = st.st_ino;
		file = (void *)atomic_exchange(&slot->file, (uintptr_t)file);
	}
	pthread_mutex_unlock(&table_lock);
	if (slot) {
		/* What the number was before, and was closed unseen */
		run_file_put(file);
		return fd;
	}
	ret = -EMFILE;
close:
	run_real()->close(fd);
put:
	run_file_put(file);
	return ret;
}

struct run_file *run_file_find(int fd)
{
	struct slot *slot = slot_find(fd);
	struct run_file *file = NULL;

	if (!slot || !atomic_load_explicit(&slot->file, memory_order_relaxed) ||
	    !table_is_ours())
		return NULL;
	pthread_mutex_lock(&table_lock);
	file = (void *)atomic_load(&slot->file);
	if (file && slot_is_current(slot, fd))
		run_file_get(file);
	else
		file = NULL;
	pthread_mutex_unlock(&table_lock);
	return file;
}

struct run_file *run_fd_take(int fd)
{
	struct slot *slot = slot_find(fd);
	struct run_file *file;

	if (!slot || !atomic_load_explicit(&slot->file, memory_order_relaxed) ||
	    !table_is_ours())
		return NULL;
	pthread_mutex_lock(&table_lock);
	file = (void *)atomic_exchange(&slot->file, 0);
	pthread_mutex_unlock(&table_lock);
	return file;
}

void run_fd_dup(int old, int new)
{
	struct run_file *file = run_file_find(old);
	int saved = errno;

	if (file && old != new)
		run_file_install(file, 0, new);
	else
		run_file_put(file);
	if (!file)
		run_file_put(run_fd_take(new));
	errno = saved;
}

bool run_fd_is_hidden(int fd)
{
	const struct slot *slot = slot_find(fd);

	return slot && atomic_load(&slot->hidden) && table_is_ours();
}

/* The numbers above HIDDEN_FDS, or the upper half where there are fewer. */
static int hidden_least(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > 2 * HIDDEN_FDS)
		return HIDDEN_FDS;
	return limit.rlim_cur / 2;
}

int run_fd_hide(int fd)
{
	struct slot *slot;
	int ret;

	pthread_mutex_lock(&table_lock);
	ret = run_real()->fcntl(fd, F_DUPFD_CLOEXEC, hidden_least());
	if (ret < 0) {
		ret = -errno;
		goto unlock;
	}
	slot = slot_make(ret);
	if (slot) {
		atomic_store(&slot->hidden, true);
	} else {
		run_real()->close(ret);
		ret = -EMFILE;
	}
unlock:
	pthread_mutex_unlock(&table_lock);
	run_real()->close(fd);
	return ret;
}

void run_fd_show(int fd)
{
	struct slot *slot = slot_find(fd);

	if (slot)
		atomic_store(&slot->hidden, false);
}

void run_fd_close(int fd)
{
	if (fd < 0)
		return;
	run_fd_show(fd);
	run_real()->close(fd);
}

/* The first fd from @first on that is hidden, or isn't; @end if there is none. */
static unsigned int fd_scan(unsigned int first, unsigned int end, bool hidden)
{
	unsigned int fd = first;

	while (fd < end && run_fd_is_hidden(fd) != hidden)
		fd++;
	return fd;
}

int run_fd_range(unsigned int first, unsigned int last,
		 int (*fn)(unsigned int first, unsigned int last, int arg),
		 int arg)
{
	unsigned int end = last < RUN_MAX_FDS ? last + 1 : RUN_MAX_FDS;
	int ret = 0;

	while (first < end && !ret) {
		unsigned int start = fd_scan(first, end, false);

		if (start == end)
			return 0;
		first = fd_scan(start, end, true);
		/* What is above the table is one stretch with its end. */
		if (first == end)
			return fn(start, last, arg);
		ret = fn(start, first - 1, arg);
	}
	return first <= last && !ret ? fn(first, last, arg) : ret;
}

static void table_lock_all(void)
{
	pthread_mutex_lock(&table_lock);
}

static void table_unlock_all(void)
{
	pthread_mutex_unlock(&table_lock);
}

static void table_fork_child(void)
{
	atomic_store(&table_pid, getpid());
	pthread_mutex_unlock(&table_lock);
	run_connections_fork();
	run_groups_fork();
}

void run_table_init(void)
{
	pthread_mutex_init(&table_lock, NULL);
	atomic_store(&table_pid, getpid());
	pthread_atfork(table_lock_all, table_unlock_all, table_fork_child);
}
