// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap(2), munmap(2) and mremap(2): the device's regions, and the files behind
 * the program's memory.
 *
 * What is shared with a file is made known to memory.c, which needs the file
 * when that memory is to be mapped for DMA. An allocator that maps memory while
 * we are at it is let through.
 */
#undef _FORTIFY_SOURCE
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include "debug.h"
#include "interpose.h"

static __thread bool memory_busy __attribute__((tls_model("initial-exec")));

/*
 * Is there anything to follow? A program without a device of ours has none. What
 * follows opens and closes files, and no caller of mmap(2) expects to be
 * cancelled in that.
 */
static bool memory_enter(void)
{
	unsigned int nr;
	int saved = errno;

	if (memory_busy)
		return false;
	memory_busy = true;
	run_cancel_off();
	run_devices(&nr);
	errno = saved;
	if (nr)
		return true;
	run_cancel_restore();
	memory_busy = false;
	return false;
}

static void memory_exit(void)
{
	run_cancel_restore();
	memory_busy = false;
}

static void memory_follow(void *addr, size_t len, int flags, int fd,
			  off_t offset)
{
	int saved = errno;

	if (!memory_enter())
		return;
	if (!(flags & MAP_ANONYMOUS) && flags & MAP_SHARED)
		run_memory_mapped(addr, len, fd, offset);
	else if (flags & MAP_FIXED)
		run_memory_unmapped(addr, len);
	memory_exit();
	errno = saved;
}

/* The file is put. */
static void *memory_map_ours(struct run_file *file, void *addr, size_t len,
			     int prot, int flags, int fd, off_t offset)
{
	uint64_t start = run_debug_us();
	intptr_t ret;

	run_cancel_off();
	ret = run_usable(file);
	if (!ret)
		ret = file->ops->mmap ?
		      (intptr_t)file->ops->mmap(file, addr, len, prot, flags,
						offset) : -ENODEV;
	run_debug_call(ret, start, "mmap(%p, %#zx, %#x, %#x, %d, %#llx)", addr,
		       len, prot, flags, fd, (unsigned long long)offset);
	run_file_put(file);
	run_cancel_restore();
	if (ret > -4096 && ret < 0) {
		errno = -ret;
		return MAP_FAILED;
	}
	return (void *)ret;
}

#define SHARED_ANONYMOUS	(MAP_SHARED | MAP_ANONYMOUS)

/* Return: NULL: not this way. */
static void *memory_map_shared(void *addr, size_t len, int prot, int flags)
{
	void *map;

	if ((flags & SHARED_ANONYMOUS) != SHARED_ANONYMOUS || !memory_enter())
		return NULL;
	map = run_memory_mmap_shared(addr, len, prot, flags);
	memory_exit();
	return map;
}

INTERPOSED void *mmap(void *addr, size_t len, int prot, int flags, int fd,
		      off_t offset)
{
	struct run_file *file = NULL;
	void *map;

	if (!(flags & MAP_ANONYMOUS))
		file = run_file_find(fd);
	if (file)
		return memory_map_ours(file, addr, len, prot, flags, fd,
				       offset);
	map = memory_map_shared(addr, len, prot, flags);
	if (map)
		return map;
	map = NEXT(mmap)(addr, len, prot, flags, fd, offset);
	if (map != MAP_FAILED && (!(flags & MAP_ANONYMOUS) ||
				  flags & MAP_FIXED))
		memory_follow(map, len, flags, fd, offset);
	return map;
}

INTERPOSED int munmap(void *addr, size_t len)
{
	int ret;

	if (!memory_enter())
		return NEXT(munmap)(addr, len);
	ret = run_memory_munmap(addr, len);
	memory_exit();
	return ret;
}

INTERPOSED void *mremap(void *old, size_t old_len, size_t len, int flags, ...)
{
	va_list args;
	void *to, *map;
	int saved;

	va_start(args, flags);
	to = va_arg(args, void *);
	va_end(args);
	map = NEXT(mremap)(old, old_len, len, flags, to);
	saved = errno;
	if (map != MAP_FAILED && memory_enter()) {
		run_memory_moved(old, old_len, map, len);
		memory_exit();
	}
	errno = saved;
	return map;
}
