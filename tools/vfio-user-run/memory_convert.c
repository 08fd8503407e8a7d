// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private memory becomes a memfd's, where it is, while it is in use.
 *
 * The contents are copied into a place of a memfd (memory_pool.c), and then
 * mmap(2) puts that place where the memory was, in one step. In between nobody
 * may write to the memory, or what was written is lost. So, if the process has
 * other threads, userfaultfd(2) holds them: the range is write-protected, and
 * registered for missing pages, so that whoever writes to it, or touches a page
 * that isn't there, waits in the page fault. Reading goes on. Once the memfd is
 * mapped they are woken, fault again, and find the memory with its contents. If
 * anything fails before that, the protection is lifted and nothing has changed.
 * The kernel's own accesses, for a read(2) of another thread's say, wait in the
 * same way if userfaultfd(2) may be used for them, which needs privilege or
 * access to /dev/userfaultfd; else such a call can fail with EFAULT.
 *
 * This thread is the one that wakes the others, so from the protection on until
 * then it must not write to the memory itself: it has its signals blocked, calls
 * no function that has state, and writes to its stack only. No thread's stack can
 * be turned (memory_stack.c).
 *
 * A private mapping of a file can't be registered. It is converted if nobody
 * else could write to it.
 *
 * Pages that were never touched are left out: they are zeroes in the memfd, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "memory.h"

#define CONVERT_BATCH		512
#define CONVERT_COPY_MAX	(1ULL << 30)

#define PAGEMAP_PRESENT		(1ULL << 63)
#define PAGEMAP_SWAPPED		(1ULL << 62)

/**
 * struct convert - a conversion
 * @vma: what is there now
 * @flags: RUN_VMA_* of it
 * @start: first byte
 * @len: in bytes
 * @file: the memfd
 * @offset: in it
 * @to: a mapping of that place
 * @uffd: -1: nobody needs to be held
 * @pagemap: /proc/self/pagemap; -1: every page is copied
 */
struct convert {
	const struct run_vma *vma;
	unsigned int flags;
	uint64_t start;
	uint64_t len;
	struct run_memory_file *file;
	uint64_t offset;
	uint8_t *to;
	int uffd;
	int pagemap;
};

int run_memory_refuse(const struct run_vma *vma, uint64_t start, uint64_t end,
		      const char *why)
{
	run_say("memory 0x%llx-0x%llx (%s%s) can't be shared with a device: %s",
		(unsigned long long)start, (unsigned long long)end,
		vma->shared ? "shared" : "private",
		vma->name[0] ? vma->name : ", anonymous", why);
	return -EOPNOTSUPP;
}

static int convert_refuse(const struct convert *c, const char *why)
{
	return run_memory_refuse(c->vma, c->start, c->start + c->len, why);
}

/* Huge pages of no file have one in the kernel, which nobody else can open. */
static bool convert_has_file(const struct convert *c)
{
	return c->vma->inode && strncmp(c->vma->name, "/anon_hugepage", 14);
}

/* Is there anybody else? If that can't be told, yes. */
static bool convert_alone(void)
{
	struct stat st;

	return !run_real()->stat("/proc/self/task", &st) && st.st_nlink == 3;
}

static const char *convert_obstacle(const struct convert *c)
{
	const char *stack = run_stack_in(c->start, c->start + c->len);
	unsigned int flags = c->flags;

	if (flags & RUN_VMA_GROWS)
		return "it is a stack that grows";
	if (stack)
		return stack;
	if (flags & RUN_VMA_WIPEONFORK)
		return "it is to be wiped on fork (MADV_WIPEONFORK)";
	if (flags & RUN_VMA_UFFD)
		return "it has a userfaultfd of the program's own";
	if (flags & RUN_VMA_SEALED)
		return "it is sealed (mseal)";
	if (flags & RUN_VMA_SPECIAL || !strncmp(c->vma->name, "[v", 2))
		return "it isn't ordinary memory";
	return NULL;
}

static int uffd_new(void)
{
	static const int flags[] = { O_CLOEXEC,
				     O_CLOEXEC | UFFD_USER_MODE_ONLY };
	unsigned int i;
	int dev, fd = -1;

	dev = run_real()->open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (dev >= 0) {
		fd = run_real()->ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC);
		run_real()->close(dev);
	}
	for (i = 0; fd < 0 && i < ARRAY_SIZE(flags); i++)
		fd = syscall(SYS_userfaultfd, flags[i]);
	return fd < 0 ? -errno : fd;
}

static int uffd_register(const struct convert *c, int fd)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	};
	struct uffdio_register reg = {
		.range.start = c->start,
		.range.len = c->len,
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};

	if (c->vma->page_size != run_page_size())
		api.features |= UFFD_FEATURE_MISSING_HUGETLBFS |
				UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
	if (run_real()->ioctl(fd, UFFDIO_API, &api) ||
	    run_real()->ioctl(fd, UFFDIO_REGISTER, &reg))
		return -errno;
	return 0;
}

/* Get ready to hold the others. */
static int convert_prepare_hold(struct convert *c)
{
	int fd;

	c->uffd = -1;
	if (!(c->vma->prot & PROT_WRITE) || convert_alone())
		return 0;
	if (convert_has_file(c))
		return convert_refuse(c, "it is a private copy of a file, and other threads could write to it meanwhile");
	if (c->pagemap < 0)
		return convert_refuse(c, "/proc/self/pagemap can't be read");
	fd = uffd_new();
	if (fd < 0)
		return convert_refuse(c, "there are other threads, and userfaultfd isn't permitted");
	if (uffd_register(c, fd)) {
		run_real()->close(fd);
		return convert_refuse(c, "there are other threads, and userfaultfd can't hold them");
	}
	c->uffd = fd;
	return 0;
}

/* Nothing has changed; let the others go on. */
static void convert_release(struct convert *c)
{
	struct uffdio_range range = { .start = c->start, .len = c->len };

	if (c->uffd < 0)
		return;
	/* This lifts the protection and wakes those who wait. */
	run_real()->ioctl(c->uffd, UFFDIO_UNREGISTER, &range);
	run_real()->close(c->uffd);
	c->uffd = -1;
}

static int convert_protect(const struct convert *c)
{
	struct uffdio_writeprotect wp = {
		.range.start = c->start,
		.range.len = c->len,
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	if (c->uffd < 0)
		return 0;
	while (syscall(SYS_ioctl, c->uffd, UFFDIO_WRITEPROTECT, &wp))
		if (errno != EAGAIN)
			return -errno;
	return 0;
}

static int convert_copy_run(const struct convert *c, uint64_t from,
			    uint64_t len)
{
	while (len) {
		struct iovec local = {
			.iov_base = c->to + (from - c->start),
			.iov_len = min(len, CONVERT_COPY_MAX),
		};
		struct iovec remote = {
			.iov_base = (void *)from,
			.iov_len = local.iov_len,
		};
		long done;

		done = syscall(SYS_process_vm_readv, getpid(), &local, 1,
			       &remote, 1, 0);
		if (done <= 0)
			return done ? -errno : -EFAULT;
		from += done;
		len -= done;
	}
	return 0;
}

/* Which of some pages were ever touched? */
static int convert_look(const struct convert *c, uint64_t at, unsigned int nr,
			uint64_t *entries)
{
	uint64_t first = at / run_page_size() * 8;
	uint64_t step = c->vma->page_size / run_page_size() * 8;
	unsigned int i;
	bool all = true;

	if (c->pagemap < 0) {
		for (i = 0; i < nr; i++)
			entries[i] = PAGEMAP_PRESENT;
		return 0;
	}
	if (step == 8)
		all = syscall(SYS_pread64, c->pagemap, entries, nr * 8,
			      first) == nr * 8;
	else
		for (i = 0; all && i < nr; i++)
			all = syscall(SYS_pread64, c->pagemap, &entries[i], 8,
				      first + i * step) == 8;
	return all ? 0 : -EIO;
}

/* Copy those of some pages that were. */
static int convert_copy_batch(const struct convert *c, uint64_t at,
			      unsigned int nr)
{
	uint64_t size = c->vma->page_size, begun = at, entries[CONVERT_BATCH];
	unsigned int i;
	int ret;

	ret = convert_look(c, at, nr, entries);
	for (i = 0; !ret && i < nr; i++) {
		if (entries[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED))
			continue;
		ret = convert_copy_run(c, begun, at + i * size - begun);
		begun = at + (i + 1) * size;
	}
	return ret ? ret : convert_copy_run(c, begun, at + nr * size - begun);
}

static int convert_copy(const struct convert *c)
{
	uint64_t size = c->vma->page_size, at = c->start;
	uint64_t end = c->start + c->len;
	int ret = 0;

	while (!ret && at < end) {
		unsigned int nr = min((end - at) / size,
				      (uint64_t)CONVERT_BATCH);

		ret = convert_copy_batch(c, at, nr);
		at += nr * size;
	}
	return ret;
}

static int convert_replace(const struct convert *c)
{
	int flags = MAP_FIXED | MAP_SHARED;

	if (c->flags & RUN_VMA_NORESERVE)
		flags |= MAP_NORESERVE;
	if (c->flags & RUN_VMA_LOCKED)
		flags |= MAP_LOCKED;
	if (syscall(SYS_mmap, c->start, c->len, c->vma->prot, flags,
		    c->file->fd, c->offset) == -1)
		return -errno;
	return 0;
}

static void convert_wake(struct convert *c)
{
	struct uffdio_range range = { .start = c->start, .len = c->len };

	if (c->uffd < 0)
		return;
	/* A fork(2) that we don't know of may have another fd of it. */
	run_real()->ioctl(c->uffd, UFFDIO_WAKE, &range);
	run_real()->close(c->uffd);
	c->uffd = -1;
}

/* From here until convert_wake() mind the rule above. */
static int convert_switch(struct convert *c)
{
	uint64_t all = UINT64_MAX, old;
	int ret;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof(all));
	ret = convert_protect(c);
	if (!ret)
		ret = convert_copy(c);
	if (!ret)
		ret = convert_replace(c);
	if (ret)
		convert_release(c);
	else
		convert_wake(c);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(all));
	return ret;
}

/* Does the kernel give huge pages to anonymous memory that doesn't ask? */
static bool convert_thp_always(void)
{
	static int always = -1;
	char text[64] = "";
	int fd;

	if (always >= 0)
		return always;
	fd = run_real()->open("/sys/kernel/mm/transparent_hugepage/enabled",
			      O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (run_real()->read(fd, text, sizeof(text) - 1) < 0)
			text[0] = '\0';
		run_real()->close(fd);
	}
	always = !!strstr(text, "[always]");
	return always;
}

static void convert_advise(const struct convert *c, void *addr)
{
	if (c->vma->page_size != run_page_size())
		return;
	if (c->flags & RUN_VMA_NOHUGEPAGE)
		syscall(SYS_madvise, addr, c->len, MADV_NOHUGEPAGE);
	else if (c->flags & RUN_VMA_HUGEPAGE || convert_thp_always())
		syscall(SYS_madvise, addr, c->len, MADV_HUGEPAGE);
}

static int convert_map(struct convert *c)
{
	/* Where there are no huge pages left, this says so, not a SIGBUS. */
	void *to = (void *)syscall(SYS_mmap, NULL, c->len,
				   PROT_READ | PROT_WRITE, MAP_SHARED,
				   c->file->fd, c->offset);

	if (to == MAP_FAILED && c->vma->page_size != run_page_size())
		run_say("no huge pages of %llu KiB are left to move 0x%llx-0x%llx to",
			(unsigned long long)c->vma->page_size >> 10,
			(unsigned long long)c->start,
			(unsigned long long)(c->start + c->len));
	if (to == MAP_FAILED)
		return -errno;
	c->to = to;
	convert_advise(c, to);
	return 0;
}

static void convert_done(const struct convert *c)
{
	struct run_range range = {
		.start = c->start,
		.end = c->start + c->len,
		.file = c->file,
		.offset = c->offset,
		.pool = true,
		.was_private = true,
	};
	void *addr = (void *)c->start;

	convert_advise(c, addr);
	if (c->flags & RUN_VMA_DONTFORK)
		syscall(SYS_madvise, addr, c->len, MADV_DONTFORK);
	if (c->flags & RUN_VMA_DONTDUMP)
		syscall(SYS_madvise, addr, c->len, MADV_DONTDUMP);
	run_pool_settled(c->vma->page_size, c->start, c->len, c->offset);
	run_memory_file_get(c->file);
	run_track_add(&range);
}

static int convert_locked(struct convert *c)
{
	const char *obstacle = convert_obstacle(c);
	int ret;

	if (obstacle)
		return convert_refuse(c, obstacle);
	ret = run_pool_alloc(c->vma->page_size, c->start, c->len, &c->file,
			     &c->offset);
	if (ret)
		return ret;
	ret = convert_map(c);
	if (ret)
		goto put_file;
	c->pagemap = -1;
	/* A private file's pages are contents even if they were never touched. */
	if (!convert_has_file(c))
		c->pagemap = run_real()->open("/proc/self/pagemap",
					      O_RDONLY | O_CLOEXEC);
	ret = convert_prepare_hold(c);
	if (ret)
		goto close_pagemap;
	ret = convert_switch(c);
	if (!ret)
		convert_done(c);
	else if (ret == -EPERM)
		ret = convert_refuse(c, "process_vm_readv isn't permitted");
close_pagemap:
	if (c->pagemap >= 0)
		run_real()->close(c->pagemap);
	syscall(SYS_munmap, c->to, c->len);
put_file:
	run_memory_file_put(c->file);
	return ret;
}

int run_convert(struct run_vma *vma, uint64_t start, uint64_t end)
{
	struct convert c = {
		.vma = vma,
		.start = start,
		.len = end - start,
		.uffd = -1,
	};
	int ret;

	ret = run_maps_flags(vma, &c.flags);
	return ret ? ret : convert_locked(&c);
}
