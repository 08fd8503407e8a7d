/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files that deal with the program's memory share among themselves:
 * maps.c, memory.c, memory_convert.c, memory_file.c, memory_pool.c,
 * memory_stack.c, memory_track.c.
 *
 * All functions but those of maps.c, and where it says otherwise, are called
 * with the table of memory locked (run_memory_lock()).
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run.h"

static inline uint64_t run_page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/* maps.c */

/**
 * struct run_vma - a mapping of the process, as /proc/self/maps has it
 * @start: first byte
 * @end: behind the last
 * @offset: of @start in the file
 * @inode: the file's; 0 if there is none
 * @dev: of the file's superblock, which stat(2) may call otherwise
 * @page_size: of the memory in bytes; 0 if it isn't known
 * @prot: PROT_*
 * @shared: MAP_SHARED
 * @name: path or kind, may be empty
 */
struct run_vma {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	uint64_t inode;
	dev_t dev;
	uint64_t page_size;
	int prot;
	bool shared;
	char name[PATH_MAX];
};

/**
 * struct run_maps - a way to look at the process's mappings
 * @fd: /proc/self/maps
 * @text: what it says, where the kernel can't be asked for one mapping
 */
struct run_maps {
	int fd;
	char *text;
};

/** run_maps_open() - 0, to be undone by run_maps_close(), or a negative errno */
int run_maps_open(struct run_maps *maps);

/** run_maps_close() - the other way */
void run_maps_close(struct run_maps *maps);

/**
 * run_maps_find() - which mapping is at an address?
 * @maps: from run_maps_open()
 * @addr: the address
 * @vma: filled in
 *
 * Return: 0; -ENOENT: there is none; or another negative errno.
 */
int run_maps_find(struct run_maps *maps, uint64_t addr, struct run_vma *vma);

/* What madvise(2) and mlock(2) have said of a mapping: struct run_vma_flags. */
#define RUN_VMA_GROWS		(1u << 0)
#define RUN_VMA_DONTFORK	(1u << 1)
#define RUN_VMA_WIPEONFORK	(1u << 2)
#define RUN_VMA_DONTDUMP	(1u << 3)
#define RUN_VMA_HUGEPAGE	(1u << 4)
#define RUN_VMA_NOHUGEPAGE	(1u << 5)
#define RUN_VMA_LOCKED		(1u << 6)
#define RUN_VMA_NORESERVE	(1u << 7)
#define RUN_VMA_UFFD		(1u << 8)
#define RUN_VMA_SPECIAL		(1u << 9)
#define RUN_VMA_SEALED		(1u << 10)

/**
 * run_maps_flags() - what else is known of a mapping
 * @vma: the mapping; its page size is filled in if it isn't known
 * @flags: set to RUN_VMA_*
 *
 * Slow, so what it has learnt is kept until run_maps_forget().
 *
 * Return: 0 or a negative errno.
 */
int run_maps_flags(struct run_vma *vma, unsigned int *flags);

/** run_huge_page_size() - the default size of huge pages, in bytes; 0: none */
uint64_t run_huge_page_size(void);

/** run_maps_forget() - flags of mappings may have changed; any thread, no lock */
void run_maps_forget(void);

/* memory_file.c */

/**
 * struct run_memory_file - a file that memory is mapped from
 * @fd: of our own, see run_fd_hide()
 * @refs: ranges and segments that need it
 * @dev: its superblock
 * @ino: its inode
 * @regular: @dev and @ino name it, as with memfds; not so for a device
 * @writeable: @fd was opened for writing
 */
struct run_memory_file {
	int fd;
	unsigned int refs;
	dev_t dev;
	ino_t ino;
	bool regular;
	bool writeable;
};

/**
 * run_memory_file_open() - a file by an fd
 * @fd: stays the caller's
 * @file: set to the file, with a reference for the caller
 *
 * Return: 0 or a negative errno.
 */
int run_memory_file_open(int fd, struct run_memory_file **file);

/**
 * run_memory_file_of() - the file of a shared mapping
 * @vma: the mapping
 * @writeable: it has to be open for writing
 * @file: set to the file, with a reference for the caller
 *
 * Looks among the files that are known, those that the program has open, and
 * wherever the kernel lets us.
 *
 * Return: 0; -EACCES: it was found, but can only be read; -ENOENT.
 */
int run_memory_file_of(const struct run_vma *vma, bool writeable,
		       struct run_memory_file **file);

/** run_memory_file_ok() - is the fd still the file's? Programs close anything */
bool run_memory_file_ok(const struct run_memory_file *file);

/** run_memory_file_get() - another reference */
void run_memory_file_get(struct run_memory_file *file);

/** run_memory_file_put() - give one back */
void run_memory_file_put(struct run_memory_file *file);

/* memory_pool.c */

/**
 * run_pool_alloc() - room in a memfd of ours
 * @page_size: of the memory
 * @addr: where it will be mapped
 * @len: in bytes, a multiple of @page_size
 * @file: set to the memfd, with a reference for the caller
 * @offset: set to where in it
 *
 * Return: 0 or a negative errno.
 */
int run_pool_alloc(uint64_t page_size, uint64_t addr, uint64_t len,
		   struct run_memory_file **file, uint64_t *offset);

/** run_pool_settled() - the memory that was allocated last has come to @addr */
void run_pool_settled(uint64_t page_size, uint64_t addr, uint64_t len,
		      uint64_t offset);

/** run_pool_close_run() - what comes next doesn't continue what came before */
void run_pool_close_run(void);

/** run_pool_forked() - in a child: the memfds are the parent's to allocate from */
void run_pool_forked(void);

/* memory_track.c */

/**
 * struct run_range - addresses at which a file is mapped
 * @start: first byte
 * @end: behind the last
 * @file: the file, with a reference
 * @offset: of @start in it
 * @pool: it is a memfd of ours
 * @was_private: the memory was the process's own before
 * @generation: fork(2)s at the time when it was mapped
 * @next: for whoever has taken it out of the table
 */
struct run_range {
	uint64_t start;
	uint64_t end;
	struct run_memory_file *file;
	uint64_t offset;
	bool pool;
	bool was_private;
	unsigned int generation;
	struct run_range *next;
};

/**
 * run_track_add() - remember a range, in place of all that was known of it
 * @range: copied, with its reference, except for the generation
 *
 * Return: 0 or -ENOMEM, and the reference is given back.
 */
int run_track_add(const struct run_range *range);

/** run_track_find() - the range that has an address in it, or NULL */
struct run_range *run_track_find(uint64_t addr);

/** run_track_next() - the first range that overlaps these addresses, or NULL */
struct run_range *run_track_next(uint64_t start, uint64_t end);

/** run_track_drop() - forget a range; what is in our memfds is freed */
void run_track_drop(uint64_t start, uint64_t end);

/** run_track_move() - ranges have moved */
void run_track_move(uint64_t old, uint64_t old_len, uint64_t addr,
		    uint64_t len);

/** run_track_forked() - from now on what is mapped is a relative's, too */
void run_track_forked(void);

/**
 * run_track_discard() - let go of the contents, if no relative has them, too
 * @range: of a memfd of ours
 * @start: first byte
 * @end: behind the last
 *
 * Return: 0 or a negative errno; -EBUSY: a relative has them.
 */
int run_track_discard(const struct run_range *range, uint64_t start,
		      uint64_t end);

/* memory_stack.c */

/**
 * struct run_stack - a thread's stack and variables
 * @start: first byte
 * @end: behind the last
 * @next: in the list of all
 */
struct run_stack {
	uint64_t start;
	uint64_t end;
	struct run_stack *next;
};

/**
 * run_stack_enter() - a thread begins
 * @stack: filled in; stays in use until run_stack_leave()
 *
 * To be called by the thread, without the lock.
 */
void run_stack_enter(struct run_stack *stack);

/** run_stack_leave() - a thread ends; to be called by it, without the lock */
void run_stack_leave(struct run_stack *stack);

/** run_stack_forked() - in a child: no other thread is there any more */
void run_stack_forked(void);

/**
 * run_stack_in() - is the stack of a thread in a range?
 * @start: first byte
 * @end: behind the last
 *
 * Return: NULL, or which, for run_memory_refuse().
 */
const char *run_stack_in(uint64_t start, uint64_t end);

/* memory_convert.c */

/**
 * run_convert() - turn private memory into a memfd's, in place
 * @vma: the mapping
 * @start: first byte, aligned to the mapping's page size
 * @end: behind the last, as well
 *
 * Return: 0; -EOPNOTSUPP, which stderr says; or another negative errno.
 */
int run_convert(struct run_vma *vma, uint64_t start, uint64_t end);

/** run_memory_refuse() - say on stderr why memory can't be used; -EOPNOTSUPP */
int run_memory_refuse(const struct run_vma *vma, uint64_t start, uint64_t end,
		      const char *why);

/* memory.c */

/**
 * run_memory_discard() - after madvise(2) has thrown contents away
 * @addr: first byte, aligned to a page
 * @len: in bytes
 *
 * Memory that was private is in a memfd, where it stays if it isn't thrown away
 * there, too.
 */
void run_memory_discard(void *addr, size_t len);

/** run_memory_was_private() - is any of it such memory? */
bool run_memory_was_private(void *addr, size_t len);

/**
 * run_memory_lock() - lock the table of memory
 *
 * Return: false: this thread has it already, because an allocator that we
 * called has called us; nothing is locked then.
 */
bool run_memory_lock(void);

/** run_memory_unlock() - undo run_memory_lock() that returned true */
void run_memory_unlock(void);

#endif
