// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memfds for memory that had no file: one for each page size.
 *
 * Each is a sparse file without end. Memory gets a place in it that was never
 * used before: thousands of buffers cost one fd, and no place has to be known
 * to be free again. What continues the memory before it, at the next address,
 * gets the next place, too, so the kernel sees one mapping. Anything else
 * begins a stretch of its own, POOL_STRIDE long, because mremap(2) can make a
 * mapping longer: what it gains is to be zeroes, not a neighbour's memory.
 *
 * Within the stretch the place is as far from a multiple of the huge page sizes
 * as the address is, so that huge pages fit.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>

#include "memory.h"

#define POOL_END	(1ULL << 62)
#define POOL_STRIDE	(1ULL << 36)
#define POOL_ALIGN	(1ULL << 30)
/* 4 KiB, 2 MiB, 1 GiB; some machines have more. */
#define POOLS_MAX	8

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	0x0008U
#endif

/**
 * struct pool - a memfd
 * @page_size: of its memory
 * @file: the memfd; NULL: not made yet
 * @next: nothing was placed from here on
 * @end: behind what was placed last, in the file
 * @addr: behind what was placed last, in the process; 0: nothing can continue it
 */
struct pool {
	uint64_t page_size;
	struct run_memory_file *file;
	uint64_t next;
	uint64_t end;
	uint64_t addr;
};

static struct pool pools[POOLS_MAX];

static struct pool *pool_find(uint64_t page_size)
{
	unsigned int i;

	for (i = 0; i < POOLS_MAX; i++) {
		if (!pools[i].page_size)
			pools[i].page_size = page_size;
		if (pools[i].page_size == page_size)
			return &pools[i];
	}
	return NULL;
}

static int pool_memfd(uint64_t page_size)
{
	unsigned int flags = MFD_CLOEXEC;
	int fd;

	if (page_size != run_page_size())
		flags |= MFD_HUGETLB | (unsigned int)__builtin_ctzll(page_size)
					<< MFD_HUGE_SHIFT;
	fd = memfd_create("vfio-user-run", flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("vfio-user-run", flags);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, POOL_END)) {
		int ret = -errno;

		run_real()->close(fd);
		return ret;
	}
	return fd;
}

static int pool_open(struct pool *pool)
{
	int fd, ret;

	/* One that the program has closed is of no more use. */
	if (pool->file && run_memory_file_ok(pool->file))
		return 0;
	fd = pool_memfd(pool->page_size);
	if (fd < 0)
		return fd;
	if (pool->file)
		run_memory_file_put(pool->file);
	pool->file = NULL;
	ret = run_memory_file_open(fd, &pool->file);
	run_real()->close(fd);
	pool->next = 0;
	pool->addr = 0;
	return ret;
}

int run_pool_alloc(uint64_t page_size, uint64_t addr, uint64_t len,
		   struct run_memory_file **file, uint64_t *offset)
{
	struct pool *pool = pool_find(page_size);
	uint64_t start, end;
	int ret;

	if (!pool)
		return -EOPNOTSUPP;
	ret = pool_open(pool);
	if (ret)
		return ret;
	if (pool->addr == addr && addr && pool->end + len < pool->next)
		start = pool->end;
	else
		start = pool->next + addr % POOL_ALIGN;

	end = start + len;
	if (end > POOL_END - POOL_STRIDE)
		return -ENOSPC;
	pool->next = max(pool->next, (end / POOL_STRIDE + 1) * POOL_STRIDE);
	pool->end = end;
	pool->addr = 0;
	run_memory_file_get(pool->file);
	*file = pool->file;
	*offset = start;
	return 0;
}

void run_pool_settled(uint64_t page_size, uint64_t addr, uint64_t len,
		      uint64_t offset)
{
	struct pool *pool = pool_find(page_size);

	if (pool && pool->end == offset + len)
		pool->addr = addr + len;
}

void run_pool_close_run(void)
{
	unsigned int i;

	for (i = 0; i < POOLS_MAX; i++)
		pools[i].addr = 0;
}

void run_pool_forked(void)
{
	unsigned int i;

	for (i = 0; i < POOLS_MAX; i++) {
		if (pools[i].file)
			run_memory_file_put(pools[i].file);
		pools[i].file = NULL;
	}
}
