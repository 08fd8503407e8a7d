// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory next to the stacks of threads, and the stacks, run by vfio-user-run:
 * the first is mapped for DMA, the others are refused as long as their threads
 * live.
 *
 * Not a test of the kernel's VFIO, which maps stacks like any other memory.
 */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "plain.h"

#define PAGE		4096ul
#define IOVA		0x10000000ull
#define STACK		(256ul << 10)
#define AREA		(STACK + 2 * PAGE)
#define DEEP		(32ul << 10)

FIXTURE(stack)
{
	struct plain p;
	uint8_t *area;
	pthread_attr_t attr;
};

static bool can_hold(void)
{
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || !access("/dev/userfaultfd", R_OK | W_OK);
}

/* A stack with a page below and one above, all of it one mapping */
FIXTURE_SETUP(stack)
{
	const char *why = plain_init(&self->p);

	if (!why && !can_hold())
		why = "userfaultfd isn't permitted";
	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, plain_open(&self->p, VFIO_TYPE1v2_IOMMU));
	self->area = mmap(NULL, AREA, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->area);
	memset(self->area, 0x5a, PAGE);
	memset(self->area + PAGE + STACK, 0xa5, PAGE);
	ASSERT_EQ(0, pthread_attr_init(&self->attr));
	ASSERT_EQ(0, pthread_attr_setstack(&self->attr, self->area + PAGE,
					   STACK));
}

FIXTURE_TEARDOWN(stack)
{
	plain_exit(&self->p);
}

/**
 * struct job - what a thread is to do
 * @p: the device
 * @area: of the fixture
 * @ret: of what it has mapped: errnos
 * @ready: it is where it waits
 * @go: it need not wait any more
 * @here: a page of its stack
 * @leave: it ends by pthread_exit(3)
 */
struct job {
	const struct plain *p;
	uint8_t *area;
	int ret[4];
	sem_t ready;
	sem_t go;
	void *here;
	bool leave;
};

/* Map a page, and unmap it; 0 or an errno. */
static int map_page(const struct plain *p, const void *at)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)at & ~(PAGE - 1),
		.iova = IOVA,
		.size = PAGE,
	};
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = IOVA,
		.size = PAGE,
	};
	int ret = ERRNO_OF(ioctl(p->container, VFIO_IOMMU_MAP_DMA, &map));

	if (!ret)
		ret = ERRNO_OF(ioctl(p->container, VFIO_IOMMU_UNMAP_DMA,
				     &unmap));
	return ret;
}

/* The same, and is there a line on stderr that has @text in it? */
static bool is_refused(const struct plain *p, const void *at, const char *text)
{
	char said[1024] = "";
	int saved = dup(2), to = memfd_create("stderr", 0), ret;

	dup2(to, 2);
	ret = map_page(p, at);
	dup2(saved, 2);
	close(saved);
	if (pread(to, said, sizeof(said) - 1, 0) < 0)
		said[0] = '\0';
	close(to);
	return ret == EOPNOTSUPP && strstr(said, text) &&
	       strchr(said, '\n') == said + strlen(said) - 1;
}

static bool is_memfd(const void *at)
{
	unsigned long start, end;
	bool found = false;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		    start <= (uintptr_t)at && (uintptr_t)at < end)
			found = strstr(line, "memfd:");
	}
	fclose(maps);
	return found;
}

static void *map_neighbours(void *arg)
{
	struct job *job = arg;

	job->ret[0] = map_page(job->p, job->area + PAGE + STACK);
	job->ret[1] = map_page(job->p, job->area);
	return NULL;
}

TEST_F(stack, what_is_next_to_a_young_one_is_mapped)
{
	struct job job = { .p = &self->p, .area = self->area };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, &self->attr, map_neighbours,
				    &job));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, job.ret[0]);
	EXPECT_EQ(0, job.ret[1]);
	EXPECT_TRUE(is_memfd(self->area));
	EXPECT_TRUE(is_memfd(self->area + PAGE + STACK));
	EXPECT_FALSE(is_memfd(self->area + STACK));
	EXPECT_EQ(0x5a, self->area[PAGE - 1]);
	EXPECT_EQ(0xa5, self->area[PAGE + STACK]);
}

static __thread int variable;

/* Its own stack, from far below where that begins */
static void *map_itself(void *arg)
{
	struct job *job = arg;
	/* AddressSanitizer may have an array elsewhere. */
	uint8_t *deep = alloca(DEEP);

	memset(deep, 1, DEEP);
	variable = deep[0];
	job->ret[0] = map_page(job->p, &variable);
	job->ret[1] = map_page(job->p, (void *)pthread_self());
	job->ret[2] = map_page(job->p, &deep[DEEP - 1]);
	job->ret[3] = map_page(job->p, job->area + PAGE);
	return NULL;
}

TEST_F(stack, own_one_is_refused)
{
	struct job job = { .p = &self->p, .area = self->area };
	pthread_t thread;
	unsigned int i;

	ASSERT_EQ(0, pthread_create(&thread, &self->attr, map_itself, &job));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(EOPNOTSUPP, job.ret[i])
			TH_LOG("%u", i);
	}
	EXPECT_TRUE(is_refused(&self->p, (void *)pthread_self(), "stack"));
}

static void *wait_for_go(void *arg)
{
	struct job *job = arg;

	job->here = __builtin_frame_address(0);
	sem_post(&job->ready);
	while (sem_wait(&job->go))
		;
	if (job->leave)
		pthread_exit(NULL);
	return NULL;
}

static int wait_for_go_c11(void *arg)
{
	return !!wait_for_go(arg);
}

static void job_init(struct job *job, const struct plain *p)
{
	memset(job, 0, sizeof(*job));
	job->p = p;
	sem_init(&job->ready, 0, 0);
	sem_init(&job->go, 0, 0);
}

/* Three ways to end */
enum ending { RETURNS, EXITS, IS_CANCELLED, NR_ENDINGS };

TEST_F(stack, another_one_is_refused_while_its_thread_lives)
{
	enum ending ending;
	pthread_t thread;
	struct job job;

	for (ending = RETURNS; ending < NR_ENDINGS; ending++) {
		job_init(&job, &self->p);
		job.leave = ending == EXITS;
		ASSERT_EQ(0, pthread_create(&thread, &self->attr, wait_for_go,
					    &job));
		sem_wait(&job.ready);
		EXPECT_TRUE(is_refused(&self->p, job.here, "stack"));
		EXPECT_TRUE(is_refused(&self->p, (void *)thread, "stack"));
		if (ending == IS_CANCELLED)
			pthread_cancel(thread);
		else
			sem_post(&job.go);
		ASSERT_EQ(0, pthread_join(thread, NULL));
	}
	EXPECT_EQ(0, map_page(&self->p, job.here));
}

TEST_F(stack, that_of_a_c11_thread_is_refused)
{
	struct job job;
	thrd_t thread;
	int ret = -1;

	job_init(&job, &self->p);
	ASSERT_EQ(thrd_success, thrd_create(&thread, wait_for_go_c11, &job));
	sem_wait(&job.ready);
	EXPECT_TRUE(is_refused(&self->p, job.here, "stack"));
	sem_post(&job.go);
	ASSERT_EQ(thrd_success, thrd_join(thread, &ret));
	EXPECT_EQ(0, ret);
}

static void *return_number(void *arg)
{
	return (char *)arg + 1;
}

static int return_number_c11(void *arg)
{
	return (intptr_t)arg - 1;
}

/* What stands in front of a thread's function gives and returns what it gets. */
TEST_F(stack, threads_return_what_they_do)
{
	pthread_t thread;
	thrd_t c11;
	void *ret;
	int res;

	ASSERT_EQ(0, pthread_create(&thread, NULL, return_number, &ret));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ((void *)((char *)&ret + 1), ret);
	ASSERT_EQ(thrd_success, thrd_create(&c11, return_number_c11,
					    (void *)-5l));
	ASSERT_EQ(thrd_success, thrd_join(c11, &res));
	EXPECT_EQ(-6, res);
}

TEST_HARNESS_MAIN
