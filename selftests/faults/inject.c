// SPDX-License-Identifier: GPL-2.0-only
/*
 * In the daemon's place: the calls that can fail.
 *
 * The daemon's objects are copied with their references renamed, open to
 * faulty_open and so on for all that is defined here, so that its own calls come
 * here and nobody else's do: the software VFIO, the sanitizers and the C library
 * call what they always call. What is called in place of a function is made by
 * wraps, or in variants.c; here it is decided which call fails.
 *
 * A call that is to fail does nothing but fail, except for those that can't be
 * done again: close(2) has closed whatever it says, and shutdown(2) fails only
 * on a socket that is shut down already.
 */
#include "inject.h"
#include "selftests/fake/fake.h"

extern const char __executable_start, etext;

static struct fault_page *page;
/* One fault is being looked at: say where it came from. */
static bool verbose;

static void fault_show(void)
{
	void *frames[32];

	backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
}

/* Remember where calls of the program's own come from; not in which order. */
static void fault_note(uint64_t where)
{
	uint32_t i, nr = __atomic_load_n(&page->nr_sites, __ATOMIC_ACQUIRE);

	if (where >= &etext - &__executable_start)
		return;
	for (i = 0; i < nr && i < FAULT_MAX_SITES; i++) {
		if (page->sites[i] == where)
			return;
	}
	i = __atomic_fetch_add(&page->nr_sites, 1, __ATOMIC_ACQ_REL);
	if (i < FAULT_MAX_SITES)
		page->sites[i] = where;
}

int fault(enum fault_call call, void *caller)
{
	uint64_t where = (char *)caller - &__executable_start;

	if (!page)
		return 0;
	fault_note(where);
	__atomic_fetch_add(&page->counts[call], 1, __ATOMIC_RELAXED);
	if (__atomic_load_n(&page->call, __ATOMIC_ACQUIRE) != call ||
	    __atomic_add_fetch(&page->seen, 1, __ATOMIC_RELAXED) != page->nth)
		return 0;
	page->where = where;
	__atomic_store_n(&page->hit, 1, __ATOMIC_RELEASE);
	if (verbose)
		fault_show();
	return page->error;
}

/* Before main(): it is to be seen all of. */
static void __attribute__((constructor)) fault_attach(void)
{
	const char *dir = getenv(FAKE_ROOT_ENV);
	char path[PATH_MAX];
	void *map;
	int fd;

	if (!dir ||
	    snprintf(path, sizeof(path), "%s/" FAULT_FILE, dir) >= sizeof(path))
		return;
	fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	map = (void *)syscall(SYS_mmap, NULL, sizeof(*page),
			      PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	if (map == MAP_FAILED)
		return;
	page = map;
	verbose = getenv("FAULT");
	/* The first time, it loads a library, which it can't do later. */
	if (verbose)
		fault_show();
	fault_json_start();
}
