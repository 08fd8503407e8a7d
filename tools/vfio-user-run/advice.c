// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the program says of its memory with madvise(2) and mlock(2).
 *
 * Private memory that is a memfd's by now still has to do what private memory
 * does: allocators count on MADV_DONTNEED to give zeroes afterwards. Beyond
 * that, the flags that we know of mappings may be others after these calls.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memory.h"

#define EXPORT	__attribute__((visibility("default")))

EXPORT int madvise(void *addr, size_t len, int advice)
{
	bool drops = advice == MADV_DONTNEED || advice == MADV_FREE;
	long ret;

	if (!drops) {
		run_maps_forget();
		return syscall(SYS_madvise, addr, len, advice);
	}
	/* There is no MADV_FREE for files. To free at once is allowed. */
	if (advice == MADV_FREE && run_memory_was_private(addr, len))
		advice = MADV_DONTNEED;
	ret = syscall(SYS_madvise, addr, len, advice);
	if (!ret)
		run_memory_discard(addr, len);
	return ret;
}

EXPORT int mlock(const void *addr, size_t len)
{
	run_maps_forget();
	return syscall(SYS_mlock, addr, len);
}

EXPORT int mlock2(const void *addr, size_t len, unsigned int flags)
{
	run_maps_forget();
	return syscall(SYS_mlock2, addr, len, flags);
}

EXPORT int munlock(const void *addr, size_t len)
{
	run_maps_forget();
	return syscall(SYS_munlock, addr, len);
}

EXPORT int mlockall(int flags)
{
	run_maps_forget();
	return syscall(SYS_mlockall, flags);
}

EXPORT int munlockall(void)
{
	run_maps_forget();
	return syscall(SYS_munlockall);
}
