// SPDX-License-Identifier: GPL-2.0-only
/*
 * A careless program and hostile bridges, for the preload library.
 *
 * The input is a list of calls of libc's, as a VFIO program makes them: nodes
 * are opened, ioctls called, regions read, written and mapped, memory is mapped
 * and moved and mapped for DMA, fds are dup'ed and closed in the middle of it,
 * pointers are bad. The library is the one that is preloaded, with other names
 * for what it puts in front of libc (Makefile.inc). What the bridges say is in
 * run_server.c, the ioctls' arguments are in run_args.c.
 *
 * Besides what the sanitizers find: the library crashes at no pointer, no fd is
 * left when the program has closed its own, nor one of the library's own beyond
 * those that it keeps, and no memory is mapped that the program doesn't know.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "run_fuzz.h"
#include "tools/vfio-user-run/run.h"

#define PAGE		4096
#define MAX_CALLS	48
#define MAX_MAPS	16
/* The program's fds, which are taken while it doesn't run. */
#define FIRST_FD	16
#define PROGRAM_FDS	64
/* The library's own are above these. */
#define LIBRARY_FDS	900

/* What the machine and the process are like. */
#define HOW_DISTRUST	(1u << 1)
#define HOW_TWINS	(1u << 2)
#define HOW_THREADS	(1u << 3)
#define HOW_MEMORY	(1u << 4)

/**
 * struct mapping - memory that the library has mapped where it liked
 * @addr: first byte
 * @len: in bytes
 */
struct mapping {
	void *addr;
	size_t len;
};

static uint8_t *arena;
static struct mapping mappings[MAX_MAPS];
static unsigned int nr_mappings;
static unsigned int how;
static bool closed_unseen;

/*
 * What the library asks libc for
 */

static const struct run_real *libc(void)
{
	static struct run_real copy;

	if (!copy.open)
		copy = *run_real();
	return &copy;
}

/* The kernel's own nodes are there, or not; never those of this machine. */
static int libc_open(const char *path, int flags, ...)
{
	if (strncmp(path, "/dev/vfio/", 10) && strcmp(path, "/dev/iommu"))
		return libc()->open(path, flags, 0600);
	if (how & HOW_TWINS)
		return memfd_create("twin", MFD_CLOEXEC);
	errno = ENOENT;
	return -1;
}

/* How many threads there are is seen from a directory's links. */
static int libc_stat(const char *path, struct stat *st)
{
	int ret = libc()->stat(path, st);

	if (!ret && !strcmp(path, "/proc/self/task"))
		st->st_nlink = how & HOW_THREADS ? 4 : 3;
	return ret;
}

/* What would go to stderr, for who looks at one input. */
static ssize_t libc_write(int fd, const void *buf, size_t count)
{
	return fd == STDERR_FILENO && !getenv("RUN_FUZZ_SHOW") ?
	       (ssize_t)count : libc()->write(fd, buf, count);
}

static void libc_replace(void)
{
	struct run_real *real = (struct run_real *)run_real();

	libc();
	real->open = libc_open;
	real->stat = libc_stat;
	real->write = libc_write;
}

/*
 * Calls
 */

static void call_open(struct program *p)
{
	static const int flags[] = { O_RDWR, O_RDONLY | O_CLOEXEC,
				     O_RDWR | O_DIRECTORY,
				     O_RDWR | O_CREAT | O_EXCL };
	unsigned int which = fuzz_u8(p->f), kind;
	const char *path = args_path(p->f, &kind);
	int flag = flags[which >> 2 & 3], fd;

	/* Not on this machine: O_CREAT would make a file. */
	if (flag & O_CREAT && kind == A_FILE)
		flag = O_RDWR;
	switch (which & 3) {
	case 0:
		fd = program_open(path, flag, 0600);
		break;
	case 1:
		fd = program_openat(AT_FDCWD, path, flag, 0600);
		break;
	case 2:
		fd = program___open_2(path, flag & ~O_CREAT);
		break;
	default:
		fd = program___openat_2(AT_FDCWD, path, flag & ~O_CREAT);
	}
	program_add(p, fd, kind);
}

static size_t transfer_len(struct fuzz *f)
{
	static const size_t lens[] = { 1, 2, 4, 8, 0, 3, 64, 4096, 65537,
				       SIZE_MAX };

	return lens[fuzz_u8(f) % ARRAY_SIZE(lens)];
}

/* Regions are 1 << 40 bytes apart. */
static off_t transfer_offset(struct fuzz *f)
{
	unsigned int region = fuzz_u8(f);

	if (region >= 0xf8)
		return region & 1 ? -1 : LONG_MIN;
	return ((off_t)(region & 0xf) << 40) + (fuzz_u16(f) & 0x3fff);
}

static void call_vectors(struct program *p, int fd, unsigned int which)
{
	struct fuzz *f = p->f;
	unsigned int nr = fuzz_u8(f) % 4, i;
	struct iovec *iov = args_pointer(f, 3 * sizeof(*iov));
	off_t offset = transfer_offset(f);
	struct iovec in[3];

	for (i = 0; i < 3; i++) {
		in[i].iov_len = transfer_len(f);
		in[i].iov_base = args_pointer(f, in[i].iov_len);
	}
	/* Where it can be written, if it can be. */
	run_copy_out(iov, in, sizeof(in));
	if (which & 8)
		nr = -nr;
	switch (which & 7) {
	case 0:
		program_readv(fd, iov, nr);
		break;
	case 1:
		program_writev(fd, iov, nr);
		break;
	case 2:
		program_preadv(fd, iov, nr, offset);
		break;
	case 3:
		program_pwritev(fd, iov, nr, offset);
		break;
	case 4:
		program_preadv2(fd, iov, nr, offset, 0);
		break;
	case 5:
		program_pwritev2(fd, iov, nr, offset, 0);
		break;
	default:
		program_lseek(fd, offset, SEEK_SET);
	}
}

static void call_transfer(struct program *p)
{
	struct fuzz *f = p->f;
	unsigned int which = fuzz_u8(f);
	int fd = program_fd(p, which & 0x80 ? A_STREAM : A_DEVICE);
	size_t len = transfer_len(f);
	void *buf;

	if (which & 4) {
		call_vectors(p, fd, which >> 3);
		return;
	}
	buf = args_pointer(f, len);
	switch (which & 3) {
	case 0:
		program_read(fd, buf, len);
		break;
	case 1:
		program_write(fd, buf, len);
		break;
	case 2:
		program_pread(fd, buf, len, transfer_offset(f));
		break;
	default:
		program_pwrite(fd, buf, len, transfer_offset(f));
	}
}

/* Inside of the arena. */
static void *arena_range(struct fuzz *f, size_t *len)
{
	unsigned int at = fuzz_u8(f) % ARENA_PAGES;
	unsigned int nr = fuzz_u8(f) % 8 + 1;

	*len = min(nr, ARENA_PAGES - at) * PAGE;
	return arena + at * PAGE;
}

static void mapping_add(void *addr, size_t len)
{
	uint8_t *at = addr;

	if (addr == MAP_FAILED || (at >= arena && at < arena + ARENA_SIZE))
		return;
	if (nr_mappings == MAX_MAPS) {
		program_munmap(addr, len);
		return;
	}
	mappings[nr_mappings++] = (struct mapping){ addr, len };
}

static void call_mmap(struct program *p)
{
	static const int flags[] = {
		MAP_PRIVATE | MAP_ANONYMOUS, MAP_SHARED, MAP_SHARED,
		MAP_SHARED | MAP_ANONYMOUS, MAP_PRIVATE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		MAP_SHARED_VALIDATE, 0,
	};
	struct fuzz *f = p->f;
	unsigned int which = fuzz_u8(f);
	int prot = which & 0x40 ? PROT_READ : PROT_READ | PROT_WRITE;
	int fd = program_fd(p, which & 0x80 ? A_FILE : A_DEVICE);
	off_t offset = (fuzz_u8(f) & 0xf) * PAGE;
	void *addr;
	size_t len;

	addr = arena_range(f, &len);
	if (!(which & 0x80))
		offset += (off_t)(which >> 3 & 7) << 40;
	if (offset == 0xf * PAGE)
		len = 0;
	addr = program_mmap(which & 0x20 ? NULL : addr, len, prot,
			    flags[which & 7] | (which & 0x20 ? 0 : MAP_FIXED),
			    fd, offset);
	mapping_add(addr, len);
}

/* Memory that a program has: all that can be touched of it is. */
static void make_memory(unsigned int which, int fd)
{
	int flags = which & 1 ? MAP_SHARED : MAP_PRIVATE;
	uint8_t *at;

	if (which & 2)
		flags |= MAP_ANONYMOUS;
	/* Now and then by a system call, which the library doesn't see */
	at = (which & 4 ? libc()->mmap : program_mmap)
		(arena, ARENA_SIZE / 2, PROT_READ | PROT_WRITE,
		 flags | MAP_FIXED, fd, 0);
	if (at != MAP_FAILED && which & 2)
		memset(at + PAGE, 1, PAGE);
}

static void call_advise(void *addr, size_t len, unsigned int which)
{
	static const int advices[] = {
		MADV_DONTNEED, MADV_FREE, MADV_WIPEONFORK, MADV_DONTFORK,
		MADV_DONTDUMP, MADV_NOHUGEPAGE, MADV_HUGEPAGE, MADV_NORMAL,
	};

	program_madvise(addr, len, advices[which % ARRAY_SIZE(advices)]);
	if (which & 0x10)
		program_mlock(addr, len);
	if (which & 0x20)
		program_munlock(addr, len);
}

static void call_munmap(struct program *p)
{
	struct fuzz *f = p->f;
	unsigned int which = fuzz_u8(f);
	size_t len, to_len;
	void *addr, *to;

	addr = arena_range(f, &len);
	switch (which & 3) {
	case 0:
		if (which & 0x80)
			call_advise(addr, len, which >> 2);
		else
			program_munmap(addr, len);
		break;
	case 1:
		to_len = (which >> 2 & 7) * PAGE;
		mapping_add(program_mremap(addr, len, to_len, which & 0x20 ?
					   MREMAP_MAYMOVE : 0), to_len);
		break;
	case 2:
		to = arena_range(f, &to_len);
		program_mremap(addr, len, to_len,
			       MREMAP_MAYMOVE | MREMAP_FIXED, to);
		break;
	default:
		make_memory(which >> 2, program_fd(p, A_FILE));
	}
}

static unsigned int kind_of(const struct program *p, int fd)
{
	unsigned int i;

	for (i = p->nr_fds; i-- > 0;) {
		if (p->fds[i] == fd)
			return p->kinds[i];
	}
	return A_FILE;
}

static void call_fds(struct program *p)
{
	struct fuzz *f = p->f;
	unsigned int which = fuzz_u8(f);
	int fd = program_fd(p, ~0u), to = FIRST_FD + fuzz_u8(f) % PROGRAM_FDS;

	/* What isn't the program's, it doesn't put in another's place. */
	if (fd < FIRST_FD || fd >= FIRST_FD + PROGRAM_FDS)
		fd = -1;
	switch (which & 7) {
	case 0:
	case 1:
		program_close(fd);
		return;
	case 2:
		fd = program_dup(fd);
		break;
	case 3:
		fd = program_dup2(fd, to);
		break;
	case 4:
		fd = program_dup3(fd, to, O_CLOEXEC);
		break;
	case 5:
		fd = program_fcntl(fd, F_DUPFD, FIRST_FD);
		break;
	case 6:
		program_close_range(to, min(to + (which >> 3), FIRST_FD +
					    PROGRAM_FDS), 0);
		return;
	default:
		/* As a system call would, unseen */
		if (fd >= 0)
			libc()->close(fd);
		closed_unseen = true;
		return;
	}
	program_add(p, fd, kind_of(p, fd));
}

static void call_stat(struct program *p)
{
	struct fuzz *f = p->f;
	unsigned int which = fuzz_u8(f), kind;
	const char *path = args_path(f, &kind);
	void *st = args_pointer(f, which & 8 ? sizeof(struct statx) :
				sizeof(struct stat));
	int fd = program_fd(p, ~0u);

	switch (which & 0xf) {
	case 0:
		program_stat(path, st);
		break;
	case 1:
		program_lstat(path, st);
		break;
	case 2:
		program_fstat(fd, st);
		break;
	case 3:
		program_fstatat(AT_FDCWD, path, st, 0);
		break;
	case 4:
		program___xstat(1, path, st);
		break;
	case 5:
		program___lxstat(1, path, st);
		break;
	case 6:
		program___fxstat(1, fd, st);
		break;
	case 7:
		program___fxstatat(1, AT_FDCWD, path, st, 0);
		break;
	case 8:
		program_statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, st);
		break;
	case 9:
		program_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, st);
		break;
	case 10:
		program_access(path, which >> 4);
		break;
	case 11:
		program_euidaccess(path, which >> 4);
		break;
	default:
		program_faccessat(AT_FDCWD, path, which >> 4, 0);
	}
}

static void call(struct program *p)
{
	switch (fuzz_u8(p->f) & 0xf) {
	case 0:
		call_open(p);
		break;
	case 1:
	case 2:
		call_transfer(p);
		break;
	case 3:
		call_mmap(p);
		break;
	case 4:
		call_munmap(p);
		break;
	case 5:
		call_fds(p);
		break;
	case 6:
		call_stat(p);
		break;
	default:
		args_ioctl(p);
	}
}

/*
 * Beginning and end
 */

/* Nothing but the arena's own place may be there. */
static void arena_reserve(void)
{
	void *at = libc()->mmap(arena, ARENA_SIZE * 2, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
				(arena ? MAP_FIXED : 0), -1, 0);

	fuzz_require(at != MAP_FAILED, "memory");
	arena = at;
}

/* Files of memory that are mapped; all of what is ours is a memfd's. */
static unsigned int nr_mapped(void)
{
	unsigned int nr = 0;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");

	fuzz_require(!!maps, "there are mappings");
	while (fgets(line, sizeof(line), maps))
		nr += !!strstr(line, "/memfd:");
	fclose(maps);
	return nr;
}

static unsigned int nr_library_fds(void)
{
	int next = libc()->fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, LIBRARY_FDS);

	/* Those up to the first gap */
	libc()->close(next);
	return next - LIBRARY_FDS;
}

/* Every fd is one that the program was given, and not one of the library's. */
static bool fd_is_known(const struct program *p, int fd)
{
	struct run_file *file = run_file_find(fd);
	unsigned int i;

	run_file_put(file);
	for (i = 0; i < p->nr_fds && p->fds[i] != fd; i++)
		;
	return file || i < p->nr_fds || libc()->fcntl(fd, F_GETFD) < 0;
}

static void program_end_fds(const struct program *p)
{
	int fd;

	for (fd = FIRST_FD; fd < FIRST_FD + PROGRAM_FDS; fd++)
		fuzz_require(p->nr_fds == MAX_PROGRAM_FDS || fd_is_known(p, fd),
			     "no fd of the library's is among the program's");
	/* The library learns of what was closed unseen when it is used again. */
	for (fd = FIRST_FD; closed_unseen && fd < FIRST_FD + PROGRAM_FDS; fd++)
		program_dup2(STDERR_FILENO, fd);
	closed_unseen = false;
	program_close_range(FIRST_FD, FIRST_FD + PROGRAM_FDS - 1, 0);
}

static void program_end(const struct program *p)
{
	program_end_fds(p);
	program_munmap(arena, ARENA_SIZE);
	while (nr_mappings) {
		nr_mappings--;
		program_munmap(mappings[nr_mappings].addr,
			       mappings[nr_mappings].len);
	}
	arena_reserve();
}

static void add_files(struct program *p)
{
	int fd = memfd_create("program", MFD_CLOEXEC);

	fuzz_require(fd >= 0 && !ftruncate(fd, ARENA_SIZE), "a file");
	program_add(p, fd, A_FILE);
	program_add(p, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), A_FILE);
}

static void run(struct fuzz *f)
{
	struct program p = { .f = f, .arena = arena };
	unsigned int i;

	server_begin(f);
	how = fuzz_u8(f);
	add_files(&p);
	if (how & HOW_MEMORY)
		make_memory(how >> 5, p.fds[0]);
	server_trust(!(how & HOW_DISTRUST));
	args_prepare(&p);
	server_trust(false);
	for (i = 0; i < MAX_CALLS && f->size; i++)
		call(&p);
	program_end(&p);
	server_end();
}

/* So that nobody else gets them. */
static void fds_take(void)
{
	int fd;

	for (fd = FIRST_FD; fd < FIRST_FD + PROGRAM_FDS; fd++)
		libc()->dup2(STDERR_FILENO, fd);
}

/* No hole among the fds below the program's, and room above them. */
static void fds_init(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = min(limit.rlim_max, (rlim_t)4096);
	setrlimit(RLIMIT_NOFILE, &limit);
	while (libc()->dup(STDERR_FILENO) < FIRST_FD - 1)
		;
	fds_take();
}

/* What the library makes once, and keeps. */
static void keep(void)
{
	struct run_segment *segments;
	unsigned int nr;
	int ret;

	make_memory(2, -1);
	ret = run_memory_resolve(arena, PAGE, true, &segments, &nr);
	fuzz_require(!ret, "private memory can be turned");
	run_segments_free(segments, nr);
	make_memory(3, -1);
	program_munmap(arena, ARENA_SIZE);
	arena_reserve();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	libc_replace();
	fds_init();
	server_init();
	setenv(RUN_ENV_DEBUG, "1", 1);
	args_init();
	arena_reserve();
	keep();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = { data, size };
	unsigned int fds = nr_library_fds(), mapped = nr_mapped();

	close_range(FIRST_FD, FIRST_FD + PROGRAM_FDS - 1, 0);
	run(&f);
	fuzz_require(fuzz_lowest_fd() == FIRST_FD, "no fd is left");
	fuzz_require(nr_library_fds() == fds, "no fd of the library's is left");
	fuzz_require(nr_mapped() == mapped, "no memory is left mapped");
	fds_take();
	return 0;
}
