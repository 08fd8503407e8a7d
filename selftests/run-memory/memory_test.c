// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files for the program's memory: each kind of memory, what isn't possible, and
 * what becomes of memory that is converted while it is in use.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "standin.h"

#include "kselftest_harness.h"

#define PAGE	4096UL
#define HUGE	(2UL << 20)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)
#define RW	(PROT_READ | PROT_WRITE)
#define HUGETLBFS	0x958458f6

static uint8_t in_bss[4 * PAGE] __attribute__((aligned(4096)));
static uint8_t in_data[2 * PAGE] __attribute__((aligned(4096))) = { 1, 2, 3 };

static struct run_segment *segs;
static unsigned int nr_segs;

static int resolve(void *at, size_t len, bool writeable)
{
	run_segments_free(segs, nr_segs);
	segs = NULL;
	nr_segs = 0;
	standin_said[0] = '\0';
	return run_memory_resolve(at, len, writeable, &segs, &nr_segs);
}

static unsigned int nr_fds(void)
{
	unsigned int nr = 0;
	DIR *dir = opendir("/proc/self/fd");

	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

/* The part of smaps's text that is about the mapping at an address. */
static char *smaps_of(const void *at)
{
	static char text[4096];
	unsigned long start, end;
	bool here = false;
	char line[512];
	FILE *f = fopen("/proc/self/smaps", "r");

	text[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = (unsigned long)at >= start &&
			       (unsigned long)at < end;
		if (here)
			strncat(text, line, sizeof(text) - strlen(text) - 1);
	}
	fclose(f);
	return text;
}

static bool vma_flag(const void *at, const char *flag)
{
	const char *flags = strstr(smaps_of(at), "VmFlags:");

	return flags && strstr(flags, flag);
}

static void *anon(size_t len)
{
	return mmap(NULL, len, RW, ANON, -1, 0);
}

/* What is in the file where a segment says the memory is? */
static uint8_t seen(const struct run_segment *seg, uint64_t at)
{
	uint8_t *map, byte;

	map = mmap(NULL, seg->size, PROT_READ, MAP_SHARED, seg->fd,
		   seg->offset);
	byte = map[at];
	munmap(map, seg->size);
	return byte;
}

FIXTURE(memory)
{
	unsigned int fds;
};

FIXTURE_VARIANT(memory)
{
	bool text;
};

/* The kernel can be asked for a mapping. */
FIXTURE_VARIANT_ADD(memory, ask)
{
	.text = false,
};

/* It can't, as before Linux 6.11. */
FIXTURE_VARIANT_ADD(memory, read)
{
	.text = true,
};

FIXTURE_SETUP(memory)
{
	standin_no_query = variant->text;
	self->fds = nr_fds();
}

FIXTURE_TEARDOWN(memory)
{
	run_segments_free(segs, nr_segs);
	segs = NULL;
	nr_segs = 0;
}

TEST_F(memory, shared_file_that_was_closed)
{
	int fd = memfd_create("m", 0);
	uint8_t *map;

	ASSERT_EQ(ftruncate(fd, 8 * PAGE), 0);
	map = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 2 * PAGE);
	run_memory_mapped(map, 4 * PAGE, fd, 2 * PAGE);
	close(fd);
	map[PAGE] = 77;

	ASSERT_EQ(resolve(map + PAGE, 2 * PAGE, true), 0);
	ASSERT_EQ(nr_segs, 1);
	EXPECT_EQ(segs[0].offset, 3 * PAGE);
	EXPECT_EQ(segs[0].size, 2 * PAGE);
	EXPECT_EQ(seen(&segs[0], 0), 77);
	EXPECT_EQ(nr_fds(), self->fds + 1);

	/* With the last mapping goes the fd, but not while it is in use. */
	run_memory_munmap(map, 4 * PAGE);
	EXPECT_EQ(nr_fds(), self->fds + 1);
	EXPECT_EQ(seen(&segs[0], 0), 77);
	run_segments_free(segs, nr_segs);
	nr_segs = 0;
	segs = NULL;
	EXPECT_EQ(nr_fds(), self->fds);
}

TEST_F(memory, one_fd_for_many_mappings)
{
	int fd = memfd_create("m", 0), i;
	uint8_t *maps[64];

	ASSERT_EQ(ftruncate(fd, 64 * PAGE), 0);
	for (i = 0; i < 64; i++) {
		maps[i] = mmap(NULL, PAGE, RW, MAP_SHARED, fd, i * PAGE);
		run_memory_mapped(maps[i], PAGE, fd, i * PAGE);
	}
	EXPECT_EQ(nr_fds(), self->fds + 2);
	for (i = 0; i < 64; i++) {
		ASSERT_EQ(resolve(maps[i], PAGE, true), 0);
		EXPECT_EQ(segs[0].offset, i * PAGE);
	}
	EXPECT_EQ(nr_fds(), self->fds + 2);
}

TEST_F(memory, shared_file_that_was_not_told)
{
	int fd = memfd_create("m", MFD_CLOEXEC);
	uint8_t *map;

	ASSERT_EQ(ftruncate(fd, 4 * PAGE), 0);
	map = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, PAGE);
	map[0] = 5;
	ASSERT_EQ(resolve(map, 2 * PAGE, true), 0);
	EXPECT_EQ(segs[0].offset, PAGE);
	EXPECT_EQ(seen(&segs[0], 0), 5);
}

TEST_F(memory, shared_file_by_its_path)
{
	char path[] = "/tmp/run-memory-XXXXXX";
	int fd = mkstemp(path);
	uint8_t *map;

	ASSERT_EQ(ftruncate(fd, 2 * PAGE), 0);
	map = mmap(NULL, PAGE, RW, MAP_SHARED, fd, PAGE);
	close(fd);
	map[9] = 6;
	ASSERT_EQ(resolve(map, PAGE, true), 0);
	EXPECT_EQ(segs[0].offset, PAGE);
	EXPECT_EQ(seen(&segs[0], 9), 6);
	unlink(path);
}

TEST_F(memory, another_file_at_the_same_address)
{
	int first = memfd_create("1", 0), second = memfd_create("2", 0);
	uint8_t *map;

	ASSERT_EQ(ftruncate(first, PAGE), 0);
	ASSERT_EQ(ftruncate(second, PAGE), 0);
	map = mmap(NULL, PAGE, RW, MAP_SHARED, first, 0);
	run_memory_mapped(map, PAGE, first, 0);
	/* Behind our back. */
	ASSERT_EQ(mmap(map, PAGE, RW, MAP_SHARED | MAP_FIXED, second, 0), map);
	map[0] = 8;
	ASSERT_EQ(resolve(map, PAGE, true), 0);
	EXPECT_EQ(seen(&segs[0], 0), 8);
}

/* /dev/zero is one whose mappings have another inode than the device. */
TEST_F(memory, a_device_by_the_address_of_its_mapping)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	uint8_t *map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			    fd, 0);
	struct stat st;

	ASSERT_NE(map, MAP_FAILED);
	run_memory_mapped(map, 4 * PAGE, fd, 0x30000);
	close(fd);
	ASSERT_EQ(resolve(map + PAGE, 2 * PAGE, true), 0);
	ASSERT_EQ(nr_segs, 1);
	EXPECT_EQ(segs[0].offset, 0x31000);
	EXPECT_EQ(segs[0].size, 2 * PAGE);
	ASSERT_EQ(fstat(segs[0].fd, &st), 0);
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	ASSERT_EQ(run_memory_munmap(map, 4 * PAGE), 0);
	run_segments_free(segs, nr_segs);
	segs = NULL;
	nr_segs = 0;
	EXPECT_EQ(nr_fds(), self->fds);
}

TEST_F(memory, several_kinds_in_one_range)
{
	int fd = memfd_create("m", 0);
	uint8_t *map = anon(4 * PAGE);

	ASSERT_EQ(ftruncate(fd, PAGE), 0);
	ASSERT_EQ(mmap(map + PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0),
		  map + PAGE);
	run_memory_mapped(map + PAGE, PAGE, fd, 0);
	map[0] = 1;
	map[PAGE] = 2;
	map[2 * PAGE] = 3;
	ASSERT_EQ(resolve(map, 4 * PAGE, true), 0);
	ASSERT_EQ(nr_segs, 3);
	EXPECT_EQ(seen(&segs[0], 0), 1);
	EXPECT_EQ(seen(&segs[1], 0), 2);
	EXPECT_EQ(seen(&segs[2], 0), 3);
	EXPECT_EQ(segs[2].size, 2 * PAGE);
}

TEST_F(memory, shared_anonymous)
{
	uint8_t *map;

	map = run_memory_mmap_shared(NULL, 2 * PAGE, RW,
				     MAP_SHARED | MAP_ANONYMOUS);
	ASSERT_NE(map, MAP_FAILED);
	map[PAGE] = 4;
	ASSERT_EQ(resolve(map + PAGE, PAGE, true), 0);
	EXPECT_EQ(seen(&segs[0], 0), 4);
	EXPECT_EQ(run_memory_munmap(map, 2 * PAGE), 0);
	EXPECT_EQ(run_memory_mmap_shared(NULL, 0, RW,
					 MAP_SHARED | MAP_ANONYMOUS),
		  MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
}

TEST_F(memory, private_becomes_a_file)
{
	uint8_t *map = anon(8 * PAGE);
	unsigned int i;

	for (i = 0; i < 8; i++)
		memset(map + i * PAGE, i + 1, PAGE);
	ASSERT_EQ(resolve(map + 2 * PAGE, 3 * PAGE, true), 0);
	ASSERT_EQ(nr_segs, 1);
	EXPECT_EQ(segs[0].size, 3 * PAGE);
	for (i = 0; i < 8 * PAGE; i++)
		ASSERT_EQ(map[i], i / PAGE + 1);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(seen(&segs[0], i * PAGE), i + 3);

	/* What the program writes is in the file, and the reverse. */
	map[2 * PAGE] = 99;
	EXPECT_EQ(seen(&segs[0], 0), 99);
	ASSERT_EQ(pwrite(segs[0].fd, "x", 1, segs[0].offset + PAGE), 1);
	EXPECT_EQ(map[3 * PAGE], 'x');

	EXPECT_NE(strstr(smaps_of(map + PAGE), "rw-p"), NULL);
	EXPECT_NE(strstr(smaps_of(map + 2 * PAGE), "rw-s"), NULL);
	EXPECT_NE(strstr(smaps_of(map + 5 * PAGE), "rw-p"), NULL);
}

TEST_F(memory, twice_is_the_same)
{
	uint8_t *map = anon(4 * PAGE);
	struct run_segment first;

	ASSERT_EQ(resolve(map, 4 * PAGE, true), 0);
	first = segs[0];
	ASSERT_EQ(resolve(map + PAGE, 2 * PAGE, true), 0);
	EXPECT_EQ(segs[0].fd, first.fd);
	EXPECT_EQ(segs[0].offset, first.offset + PAGE);
}

TEST_F(memory, neighbours_are_one_segment)
{
	uint8_t *map = anon(4 * PAGE);
	unsigned int i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(resolve(map + i * PAGE, PAGE, true), 0);
	ASSERT_EQ(resolve(map, 4 * PAGE, true), 0);
	EXPECT_EQ(nr_segs, 1);
}

TEST_F(memory, read_only_stays_read_only)
{
	uint8_t *map = anon(2 * PAGE);

	map[0] = 3;
	ASSERT_EQ(mprotect(map, PAGE, PROT_READ), 0);
	EXPECT_EQ(resolve(map, 2 * PAGE, true), -EFAULT);
	ASSERT_EQ(resolve(map, PAGE, false), 0);
	EXPECT_NE(strstr(smaps_of(map), "r--s"), NULL);
	EXPECT_EQ(map[0], 3);
	ASSERT_EQ(mprotect(map, PAGE, RW), 0);
	map[0] = 4;
	EXPECT_EQ(seen(&segs[0], 0), 4);
}

TEST_F(memory, static_arrays_and_heap)
{
	uint8_t *heap;

	in_bss[PAGE] = 21;
	ASSERT_EQ(resolve(in_bss, sizeof(in_bss), true), 0);
	EXPECT_EQ(in_bss[PAGE], 21);
	ASSERT_EQ(resolve(in_data, sizeof(in_data), true), 0);
	EXPECT_EQ(in_data[1], 2);
	in_data[1] = 7;
	EXPECT_EQ(seen(&segs[0], 1), 7);

	ASSERT_EQ(posix_memalign((void **)&heap, PAGE, 2 * PAGE), 0);
	memset(heap, 5, 2 * PAGE);
	ASSERT_EQ(resolve(heap, 2 * PAGE, true), 0);
	EXPECT_EQ(heap[PAGE], 5);
	heap[PAGE] = 6;
	EXPECT_EQ(seen(&segs[0], PAGE), 6);
	free(heap);
}

TEST_F(memory, no_memory)
{
	uint8_t *map = anon(3 * PAGE);

	ASSERT_EQ(munmap(map + PAGE, PAGE), 0);
	EXPECT_EQ(resolve(map, 3 * PAGE, true), -EFAULT);
	EXPECT_EQ(resolve(map + PAGE, PAGE, false), -EFAULT);
	EXPECT_EQ(resolve((void *)-PAGE, 2 * PAGE, false), -EFAULT);
	ASSERT_EQ(mprotect(map, PAGE, PROT_NONE), 0);
	EXPECT_EQ(resolve(map, PAGE, false), -EFAULT);
	EXPECT_EQ(standin_said[0], '\0');
}

TEST_F(memory, what_can_not_be_shared)
{
	uint64_t here = (uintptr_t)__builtin_frame_address(0);
	uint8_t *map = anon(PAGE);

	here -= here % PAGE;
	EXPECT_EQ(resolve((void *)here, PAGE, true), -EOPNOTSUPP);
	EXPECT_NE(strstr(standin_said, "stack"), NULL);

	ASSERT_EQ(madvise(map, PAGE, MADV_WIPEONFORK), 0);
	EXPECT_EQ(resolve(map, PAGE, true), -EOPNOTSUPP);
	EXPECT_NE(strstr(standin_said, "MADV_WIPEONFORK"), NULL);
	ASSERT_EQ(madvise(map, PAGE, MADV_KEEPONFORK), 0);
	EXPECT_EQ(resolve(map, PAGE, true), 0);
}

TEST_F(memory, advice_is_kept)
{
	uint8_t *map = anon(4 * PAGE);

	ASSERT_EQ(resolve(map + 3 * PAGE, PAGE, true), 0);
	ASSERT_EQ(madvise(map, PAGE, MADV_DONTFORK), 0);
	ASSERT_EQ(madvise(map + PAGE, PAGE, MADV_DONTDUMP), 0);
	ASSERT_EQ(mlock(map + 2 * PAGE, PAGE), 0);
	ASSERT_EQ(resolve(map, 3 * PAGE, true), 0);
	EXPECT_TRUE(vma_flag(map, " dc"));
	EXPECT_TRUE(vma_flag(map + PAGE, " dd"));
	EXPECT_TRUE(vma_flag(map + 2 * PAGE, " lo"));
	EXPECT_FALSE(vma_flag(map + 3 * PAGE, " dc"));
	EXPECT_FALSE(vma_flag(map + 3 * PAGE, " lo"));
}

TEST_F(memory, dontneed_gives_zeroes)
{
	uint8_t *map = anon(4 * PAGE);

	memset(map, 9, 4 * PAGE);
	ASSERT_EQ(resolve(map, 4 * PAGE, true), 0);
	ASSERT_EQ(madvise(map + PAGE, PAGE, MADV_DONTNEED), 0);
	ASSERT_EQ(madvise(map + 2 * PAGE, PAGE, MADV_FREE), 0);
	EXPECT_EQ(map[0], 9);
	EXPECT_EQ(map[PAGE], 0);
	EXPECT_EQ(map[2 * PAGE], 0);
	EXPECT_EQ(map[3 * PAGE], 9);
}

static blkcnt_t blocks(int fd)
{
	struct stat st;

	fstat(fd, &st);
	return st.st_blocks;
}

TEST_F(memory, unmapped_memory_is_freed)
{
	uint8_t *map = anon(64 * PAGE);
	blkcnt_t used;

	memset(map, 1, 64 * PAGE);
	ASSERT_EQ(resolve(map, 64 * PAGE, true), 0);
	used = blocks(segs[0].fd);
	ASSERT_EQ(run_memory_munmap(map + PAGE, 32 * PAGE), 0);
	EXPECT_LE(blocks(segs[0].fd), used - 32 * 8);
	EXPECT_EQ(map[0], 1);
	EXPECT_EQ(map[33 * PAGE], 1);
}

TEST_F(memory, moved_and_grown)
{
	uint8_t *map = anon(2 * PAGE), *other, *moved;

	memset(map, 7, 2 * PAGE);
	ASSERT_EQ(resolve(map, 2 * PAGE, true), 0);
	other = anon(PAGE);
	memset(other, 8, PAGE);
	moved = mremap(map, 2 * PAGE, 16 * PAGE, MREMAP_MAYMOVE);
	ASSERT_NE(moved, MAP_FAILED);
	run_memory_moved(map, 2 * PAGE, moved, 16 * PAGE);
	ASSERT_EQ(resolve(other, PAGE, true), 0);
	EXPECT_EQ(moved[PAGE], 7);
	EXPECT_EQ(moved[2 * PAGE], 0);
	EXPECT_EQ(moved[15 * PAGE], 0);
	ASSERT_EQ(resolve(moved, 16 * PAGE, true), 0);
	EXPECT_EQ(nr_segs, 1);
	EXPECT_EQ(seen(&segs[0], PAGE), 7);
}

TEST_F(memory, a_child_keeps_what_its_parent_unmaps)
{
	uint8_t *map = anon(PAGE);
	int go[2], status;
	char c;
	pid_t pid;

	map[0] = 11;
	ASSERT_EQ(resolve(map, PAGE, true), 0);
	ASSERT_EQ(pipe(go), 0);
	pid = fork();
	if (!pid) {
		uint8_t *own = anon(PAGE);

		if (read(go[0], &c, 1) != 1 || map[0] != 11)
			_exit(1);
		/* What it converts itself is not where the parent's is. */
		own[0] = 12;
		if (resolve(own, PAGE, true) || own[0] != 12)
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(run_memory_munmap(map, PAGE), 0);
	map = anon(PAGE);
	map[0] = 13;
	ASSERT_EQ(resolve(map, PAGE, true), 0);
	ASSERT_EQ(write(go[1], "", 1), 1);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(map[0], 13);
}

TEST_F(memory, thousands)
{
	const unsigned int many = variant->text ? 500 : 5000;
	uint8_t *map = anon(2 * many * PAGE);
	struct run_segment *all[5000];
	unsigned int i, nr;

	for (i = 0; i < many; i++) {
		map[2 * i * PAGE] = i;
		ASSERT_EQ(run_memory_resolve(map + 2 * i * PAGE, PAGE, true,
					     &all[i], &nr), 0);
		ASSERT_EQ(nr, 1);
	}
	EXPECT_LE(nr_fds(), self->fds + 1);
	for (i = 0; i < many; i++) {
		ASSERT_EQ(map[2 * i * PAGE], (uint8_t)i);
		run_segments_free(all[i], 1);
	}
}

static int hugepages(int change)
{
	static const char path[] = "/proc/sys/vm/nr_hugepages";
	FILE *f = fopen(path, "r");
	int was = -1;

	if (f && fscanf(f, "%d", &was) != 1)
		was = -1;
	if (f)
		fclose(f);
	f = was >= 0 && change ? fopen(path, "w") : NULL;
	if (f) {
		fprintf(f, "%d", was + change);
		fclose(f);
	}
	return was;
}

FIXTURE(huge)
{
	uint8_t *map;
	int reserved;
};

/* Two for the program, two to move it to, one to spare. */
FIXTURE_SETUP(huge)
{
	int was = hugepages(5), i;

	self->reserved = hugepages(0) - was;
	self->map = mmap(NULL, 2 * HUGE, RW, ANON | MAP_HUGETLB, -1, 0);
	if (self->map == MAP_FAILED || self->reserved < 5) {
		hugepages(-self->reserved);
		SKIP(return, "no huge pages can be reserved");
	}
	for (i = 0; i < 2; i++)
		memset(self->map + i * HUGE, i + 1, HUGE);
}

FIXTURE_TEARDOWN(huge)
{
	run_segments_free(segs, nr_segs);
	segs = NULL;
	nr_segs = 0;
	run_memory_munmap(self->map, 2 * HUGE);
	hugepages(-self->reserved);
}

TEST_F(huge, stay_huge)
{
	struct statfs fs;

	ASSERT_EQ(resolve(self->map + HUGE, HUGE, true), 0);
	ASSERT_EQ(nr_segs, 1);
	ASSERT_EQ(fstatfs(segs[0].fd, &fs), 0);
	EXPECT_EQ(fs.f_type, HUGETLBFS);
	EXPECT_EQ(fs.f_bsize, HUGE);
	EXPECT_EQ(segs[0].offset % HUGE, 0);
	EXPECT_EQ(seen(&segs[0], 123), 2);
	EXPECT_NE(strstr(smaps_of(self->map + HUGE), "rw-s"), NULL);
	EXPECT_NE(strstr(smaps_of(self->map), "rw-p"), NULL);
	EXPECT_EQ(self->map[HUGE - 1], 1);
	EXPECT_EQ(self->map[2 * HUGE - 1], 2);
}

TEST_F(huge, part_of_a_page)
{
	ASSERT_EQ(resolve(self->map + 3 * PAGE, PAGE, true), 0);
	EXPECT_EQ(segs[0].size, PAGE);
	EXPECT_EQ(segs[0].offset % HUGE, 3 * PAGE);
	EXPECT_NE(strstr(smaps_of(self->map), "rw-s"), NULL);
}

TEST_F(huge, none_to_move_to)
{
	uint8_t *rest;

	/* Take what is left. */
	rest = mmap(NULL, 3 * HUGE, RW, ANON | MAP_HUGETLB, -1, 0);
	ASSERT_NE(rest, MAP_FAILED);
	EXPECT_EQ(resolve(self->map, 2 * HUGE, true), -ENOMEM);
	EXPECT_NE(strstr(standin_said, "huge pages"), NULL);
	EXPECT_EQ(self->map[0], 1);
	EXPECT_EQ(self->map[HUGE], 2);
	munmap(rest, 3 * HUGE);
}

TEST_F(huge, shared_anonymous)
{
	struct statfs fs;
	uint8_t *map;

	map = run_memory_mmap_shared(NULL, HUGE, RW, MAP_SHARED |
				     MAP_ANONYMOUS | MAP_HUGETLB |
				     21 << MAP_HUGE_SHIFT);
	ASSERT_NE(map, MAP_FAILED);
	map[1] = 4;
	ASSERT_EQ(resolve(map, HUGE, true), 0);
	ASSERT_EQ(fstatfs(segs[0].fd, &fs), 0);
	EXPECT_EQ(fs.f_bsize, HUGE);
	EXPECT_EQ(seen(&segs[0], 1), 4);
	EXPECT_EQ(run_memory_munmap(map, HUGE), 0);
}

/* Threads that write to memory all the time, each to words of its own. */
#define HAMMERS		4
#define HAMMER_PAGES	32

struct hammer {
	pthread_t thread;
	uint64_t *words;
	size_t stride;
	unsigned int nr;
	uint64_t rounds;
	uint64_t wrong;
	atomic_bool *stop;
};

static void *hammer(void *arg)
{
	struct hammer *h = arg;
	unsigned int i;

	while (!atomic_load(h->stop)) {
		for (i = 0; i < h->nr; i++) {
			uint64_t *word = h->words + i * h->stride;

			if (__atomic_load_n(word, __ATOMIC_RELAXED) !=
			    h->rounds)
				h->wrong++;
			__atomic_store_n(word, h->rounds + 1, __ATOMIC_RELAXED);
		}
		h->rounds++;
	}
	return NULL;
}

static void hammers_start(struct hammer *h, uint8_t *map, size_t page,
			  unsigned int pages, atomic_bool *stop)
{
	unsigned int i;

	for (i = 0; i < HAMMERS; i++) {
		h[i] = (struct hammer){
			.words = (uint64_t *)map + i,
			.stride = page / 8,
			.nr = pages,
			.stop = stop,
		};
		pthread_create(&h[i].thread, NULL, hammer, &h[i]);
	}
}

static uint64_t hammers_stop(struct hammer *h, atomic_bool *stop)
{
	uint64_t wrong = 0;
	unsigned int i, j;

	atomic_store(stop, true);
	for (i = 0; i < HAMMERS; i++) {
		pthread_join(h[i].thread, NULL);
		wrong += h[i].wrong;
		for (j = 0; j < h[i].nr; j++)
			wrong += h[i].words[j * h[i].stride] != h[i].rounds;
	}
	return wrong;
}

/* Can others be held, and the kernel when it does their calls? */
static bool can_hold(bool kernel)
{
	long fd;

	if (!access("/dev/userfaultfd", R_OK | W_OK))
		return true;
	fd = syscall(SYS_userfaultfd, O_CLOEXEC |
		     (kernel ? 0 : UFFD_USER_MODE_ONLY));
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

TEST_F(memory, no_update_is_lost)
{
	struct hammer h[HAMMERS];
	unsigned int i, round;

	if (!can_hold(false))
		SKIP(return, "userfaultfd is not permitted");
	for (round = 0; round < 50; round++) {
		uint8_t *map = anon(HAMMER_PAGES * PAGE);
		atomic_bool stop = false;

		/* Half of it they touch first. */
		hammers_start(h, map, PAGE, HAMMER_PAGES, &stop);
		if (round & 1)
			usleep(1000);
		for (i = 0; i < HAMMER_PAGES; i += 4)
			ASSERT_EQ(resolve(map + i * PAGE, 4 * PAGE, true), 0);
		ASSERT_EQ(hammers_stop(h, &stop), 0);
		ASSERT_EQ(run_memory_munmap(map, HAMMER_PAGES * PAGE), 0);
	}
}

TEST_F(huge, no_update_is_lost)
{
	struct hammer h[HAMMERS];
	unsigned int round;

	if (!can_hold(false))
		SKIP(return, "userfaultfd is not permitted");
	for (round = 0; round < 10; round++) {
		atomic_bool stop = false;

		memset(self->map, 0, 2 * HUGE);
		hammers_start(h, self->map, HUGE, 2, &stop);
		usleep(1000 * round);
		ASSERT_EQ(resolve(self->map, 2 * HUGE, true), 0)
			TH_LOG("%s", standin_said);
		usleep(1000);
		ASSERT_EQ(hammers_stop(h, &stop), 0);
		EXPECT_EQ(self->map[HUGE - 1], 0);
		ASSERT_EQ(mmap(self->map, 2 * HUGE, RW,
			       ANON | MAP_HUGETLB | MAP_FIXED, -1, 0),
			  self->map);
		run_memory_unmapped(self->map, 2 * HUGE);
	}
}

#define FRESH_PAGES	8192

static void *touch(void *arg)
{
	struct hammer *h = arg;
	unsigned int i;

	for (i = 0; i < FRESH_PAGES; i++) {
		h->words[i * PAGE / 8] = i + 1;
		if (i == 16)
			atomic_store(h->stop, true);
		/* Not to be through before the other has begun. */
		if (i % 64 == 0)
			usleep(10);
	}
	return NULL;
}

/* Pages that are missing when they are looked for, and there a moment later. */
TEST_F(memory, no_first_touch_is_lost)
{
	unsigned int round, i;
	atomic_bool begun;
	struct hammer h;

	if (!can_hold(false))
		SKIP(return, "userfaultfd is not permitted");
	for (round = 0; round < 5; round++) {
		h.words = anon(FRESH_PAGES * PAGE);
		madvise(h.words, FRESH_PAGES * PAGE, MADV_NOHUGEPAGE);
		h.stop = &begun;
		atomic_store(&begun, false);
		pthread_create(&h.thread, NULL, touch, &h);
		while (!atomic_load(&begun))
			sched_yield();
		ASSERT_EQ(resolve(h.words, FRESH_PAGES * PAGE, true), 0);
		pthread_join(h.thread, NULL);
		for (i = 0; i < FRESH_PAGES; i++)
			ASSERT_EQ(h.words[i * PAGE / 8], i + 1);
		run_memory_munmap(h.words, FRESH_PAGES * PAGE);
	}
}

static void *idle(void *arg)
{
	atomic_bool *stop = arg;

	while (!atomic_load(stop))
		usleep(100);
	return NULL;
}

/* The kernel's own accesses wait, too, where we may hold them. */
static void *reader(void *arg)
{
	struct hammer *h = arg;
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	while (!atomic_load(h->stop)) {
		h->wrong += read(fd, h->words, 8 * PAGE) != 8 * PAGE;
		__atomic_add_fetch(&h->rounds, 1, __ATOMIC_RELAXED);
	}
	close(fd);
	return NULL;
}

TEST_F(memory, calls_of_others_wait)
{
	atomic_bool stop = false;
	struct hammer h = { .stop = &stop };
	unsigned int i;

	if (!can_hold(true))
		SKIP(return, "userfaultfd is not permitted");
	h.words = anon(8 * PAGE);
	pthread_create(&h.thread, NULL, reader, &h);
	for (i = 0; i < 8; i++) {
		while (__atomic_load_n(&h.rounds, __ATOMIC_RELAXED) < i)
			sched_yield();
		ASSERT_EQ(resolve((uint8_t *)h.words + i * PAGE, PAGE, true), 0);
	}
	atomic_store(&stop, true);
	pthread_join(h.thread, NULL);
	EXPECT_EQ(h.wrong, 0);
}

TEST_F(memory, private_file_with_threads)
{
	atomic_bool stop = false;
	uint8_t *map;
	pthread_t thread;
	int fd = memfd_create("m", 0);

	ASSERT_EQ(ftruncate(fd, 2 * PAGE), 0);
	ASSERT_EQ(pwrite(fd, "abc", 3, 0), 3);
	map = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
	map[1] = 'B';
	pthread_create(&thread, NULL, idle, &stop);
	EXPECT_EQ(resolve(map, 2 * PAGE, true), -EOPNOTSUPP);
	EXPECT_NE(strstr(standin_said, "threads"), NULL);
	ASSERT_EQ(mprotect(map + PAGE, PAGE, PROT_READ), 0);
	EXPECT_EQ(resolve(map + PAGE, PAGE, false), 0);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);

	ASSERT_EQ(resolve(map, PAGE, true), 0);
	EXPECT_EQ(memcmp(map, "aBc", 3), 0);
	EXPECT_EQ(seen(&segs[0], 1), 'B');
	/* The file is as it was. */
	ASSERT_EQ(pread(fd, map, 3, 0), 3);
	EXPECT_EQ(memcmp(map, "abc", 3), 0);
}

TEST_HARNESS_MAIN
