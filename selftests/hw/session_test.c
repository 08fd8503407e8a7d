// SPDX-License-Identifier: GPL-2.0-only
/*
 * How sessions end: by a crash in the middle of DMA, with a BAR still mapped,
 * and what the next client finds.
 *
 * Victims are forked from a process that is confined already. They say in
 * shared memory when their device has begun to copy, so that the moment of
 * their death can be chosen, and known afterwards. The moments are random;
 * what they were made from is printed, and HW_SEED= brings them back.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "hw.h"
#include "kselftest_harness.h"
#include "selftests/drivers/edu.h"
#include "selftests/drivers/igb.h"
#include "selftests/drivers/nvme.h"

#define NR_WARMUPS	8	/* until the daemon has all that it will keep */
#define KILL_TIMEOUT	240	/* seconds for all of it */
#define START_MS	10000	/* for a client to begin with DMA */
#define REST_MS		5000	/* for a daemon to be done with a client */
#define RSS_SLACK_KIB	64	/* a few pages of stacks and allocator */

#define CHUNK		(128u << 10)
#define QUEUES		2
#define DEPTH		8
#define FIRST_BLOCK	2048	/* the blocks before are not ours */

/**
 * struct crash - a device whose client is killed again and again
 * @env: which device
 * @client: opens the device, begins with DMA, sets the flag, doesn't return
 * @times: how many clients are killed; 200 of both devices together
 * @early_ms: death at a random time before DMA, up to this, in milliseconds
 * @late_ms: or after it has begun
 */
struct crash {
	const char *env;
	void (*client)(struct access *a, int *dma_started);
	int times;
	unsigned int early_ms;
	unsigned int late_ms;
};

FIXTURE(session)
{
	struct hw_daemon daemon;
	struct access *access;
	int *dma_started;
};

FIXTURE_VARIANT(session)
{
	enum vfio_iommu_kind iommu;
};

FIXTURE_VARIANT_ADD(session, iommufd)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
};

FIXTURE_VARIANT_ADD(session, type1)
{
	.iommu = VFIO_IOMMU_TYPE1,
};

FIXTURE_SETUP(session)
{
	const char *missing = hw_missing("LAB_NVME", variant->iommu);

	if (!missing)
		missing = hw_missing("LAB_EDU", variant->iommu);
	if (!missing)
		missing = hw_missing("LAB_IGB", variant->iommu);
	if (missing)
		SKIP(return, "%s", missing);
	self->dma_started = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->dma_started);
}

FIXTURE_TEARDOWN(session)
{
	access_close(self->access);
	EXPECT_EQ(0, hw_daemon_stop(&self->daemon));
	munmap(self->dma_started, sizeof(int));
}

static int start_daemon(struct hw_daemon *d, const char *env,
			enum vfio_iommu_kind iommu, const char *on_disconnect,
			bool no_mmap)
{
	const struct hw_daemon_opts opts = {
		.bdf = getenv(env),
		.iommu = iommu,
		.on_disconnect = on_disconnect,
		.no_mmap = no_mmap,
	};

	return hw_daemon_start(d, &opts);
}

static void nap_us(unsigned long us)
{
	const struct timespec nap = {
		.tv_sec = us / 1000000,
		.tv_nsec = us % 1000000 * 1000,
	};

	nanosleep(&nap, NULL);
}

static int connect_to(struct hw_daemon *d, struct access **a)
{
	return access_socket_open(d->socket, NULL, a);
}

/* Connect to a daemon that may not be done with the last client yet. */
static int connect_patiently(struct hw_daemon *d, struct access **a)
{
	unsigned int tries = REST_MS / 10;
	int ret;

	do {
		ret = connect_to(d, a);
		if (ret != -EBUSY)
			break;
		nap_us(10000);
	} while (--tries);
	return ret;
}

/*
 * Crashes
 */

static void nvme_client(struct access *a, int *dma_started)
{
	struct access_dma dma = {};
	uint16_t status;
	struct nvme n;
	uint64_t i;

	if (nvme_open(&n, a, QUEUES, DEPTH) ||
	    access_dma_alloc(a, QUEUES * DEPTH * CHUNK, &dma))
		return;
	for (i = 0;; i++) {
		unsigned int queue = 1 + i % QUEUES;
		uint64_t to = dma.iova + i % (QUEUES * DEPTH) * CHUNK;
		uint64_t from = FIRST_BLOCK + i % 256 * (CHUNK / 512);

		if (n.queues[queue].in_flight == DEPTH - 1 &&
		    nvme_wait(&n, queue, START_MS, &status) < 0)
			return;
		if (nvme_submit(&n, queue, i & 4, from, CHUNK / 512, to) < 0)
			return;
		if (i == QUEUES * DEPTH)
			__atomic_store_n(dma_started, 1, __ATOMIC_RELEASE);
	}
}

static void edu_client(struct access *a, int *dma_started)
{
	struct access_dma dma = {};
	struct edu edu = {};
	uint64_t i;

	if (edu_open(&edu, a) || access_dma_alloc(a, EDU_BUFFER_SIZE, &dma) ||
	    edu_irq_setup(&edu, VFIO_PCI_MSI_IRQ_INDEX))
		return;
	for (i = 0;; i++) {
		edu_dma_start(&edu, dma.iova, 0, EDU_BUFFER_SIZE - 1, i & 1,
			      true);
		__atomic_store_n(dma_started, 1, __ATOMIC_RELEASE);
		if (access_irq_wait(edu.irq, START_MS) <= 0)
			return;
		edu_ack(&edu, EDU_IRQ_DMA);
	}
}

static const struct crash nvme_crash = {
	.env = "LAB_NVME",
	.client = nvme_client,
	.times = 60,
	.early_ms = 150,
	.late_ms = 20,
};

/* The device copies 100 ms after it was told to. */
static const struct crash edu_crash = {
	.env = "LAB_EDU",
	.client = edu_client,
	.times = 140,
	.early_ms = 20,
	.late_ms = 120,
};

static bool wait_for_dma(int *dma_started)
{
	unsigned int left = START_MS;

	while (!__atomic_load_n(dma_started, __ATOMIC_ACQUIRE)) {
		if (!left--)
			return false;
		nap_us(1000);
	}
	return true;
}

static unsigned long up_to_us(unsigned int ms)
{
	return random() % (ms * 1000ul);
}

/* Returns 1 if the victim had DMA going, 0 if not yet, or a negative errno. */
static int kill_one(struct hw_daemon *d, const struct crash *crash,
		    int *dma_started, bool early)
{
	struct access *a;
	pid_t pid;
	int ret = 0;

	__atomic_store_n(dma_started, 0, __ATOMIC_RELEASE);
	pid = fork();
	if (!pid) {
		ret = connect_patiently(d, &a);
		if (!ret)
			crash->client(a, dma_started);
		_exit(1);
	}
	if (pid < 0)
		return -errno;
	if (early)
		nap_us(up_to_us(crash->early_ms));
	else if (wait_for_dma(dma_started))
		nap_us(up_to_us(crash->late_ms));
	else
		ret = -ETIMEDOUT;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return ret ? ret : __atomic_load_n(dma_started, __ATOMIC_ACQUIRE);
}

/* One client in four dies before its first DMA. */
static int kill_many(struct hw_daemon *d, const struct crash *crash,
		     int *dma_started, int times)
{
	int ret, in_dma = 0;
	int i;

	for (i = 0; i < times; i++) {
		ret = kill_one(d, crash, dma_started, i % 4 == 3);
		if (ret < 0)
			return ret;
		in_dma += ret;
	}
	return in_dma;
}

/* What the daemon holds when nobody is connected. */
static int counts_at_rest(struct hw_daemon *d, struct hw_counts *counts)
{
	unsigned int tries = REST_MS / 10;
	struct access *a;
	int ret;

	ret = connect_patiently(d, &a);
	if (ret)
		return ret;
	access_close(a);
	/* The monitor has an object here as long as there is a session. */
	while (hw_monitor(d, "session.pid") > 0) {
		if (!tries--)
			return -ETIMEDOUT;
		nap_us(10000);
	}
	return hw_daemon_counts(d, counts);
}

static void choose_seed(void)
{
	const char *seed = getenv("HW_SEED");
	unsigned int n = seed ? strtoul(seed, NULL, 0) : time(NULL);

	printf("# HW_SEED=%u\n", n);
	srandom(n);
}

static bool nvme_works(struct access *a)
{
	struct access_dma dma = {};
	bool works = false;
	struct nvme n;

	if (nvme_open(&n, a, QUEUES, DEPTH))
		return false;
	if (!access_dma_alloc(a, CHUNK, &dma)) {
		memset(dma.mem, 0x5a, CHUNK);
		works = !nvme_io(&n, 1, true, FIRST_BLOCK, CHUNK / 512,
				 dma.iova);
		memset(dma.mem, 0, CHUNK);
		works = works && !nvme_io(&n, 2, false, FIRST_BLOCK,
					  CHUNK / 512, dma.iova) &&
			((uint8_t *)dma.mem)[CHUNK - 1] == 0x5a;
	}
	access_dma_free(a, &dma);
	nvme_close(&n);
	return works;
}

static bool edu_works(struct access *a)
{
	uint8_t *mem, *back;
	struct access_dma dma = {};
	struct edu edu = {};
	bool works = false;

	if (edu_open(&edu, a))
		return false;
	if (!access_dma_alloc(a, 2 * EDU_BUFFER_SIZE, &dma) &&
	    /* What the last client asked for may still be on its way. */
	    !edu_dma(&edu, dma.iova, 0, 1, false)) {
		mem = dma.mem;
		back = mem + EDU_BUFFER_SIZE;
		memset(mem, 0x5a, 1000);
		works = !edu_dma(&edu, dma.iova, 0, 1000, false) &&
			!edu_dma(&edu, dma.iova + EDU_BUFFER_SIZE, 0, 1000,
				 true) && !memcmp(mem, back, 1000);
	}
	access_dma_free(a, &dma);
	edu_close(&edu);
	return works;
}

static bool igb_works(struct access *a)
{
	struct igb igb = {};
	bool works = false;

	if (igb_open(&igb, a))
		return false;
	if (!igb_irq_setup(&igb, 2)) {
		igb_trigger(&igb, 1u << 1);
		works = access_irq_wait(igb.fds[1], START_MS) == 1 &&
			!access_irq_wait(igb.fds[0], 0);
	}
	igb_close(&igb);
	return works;
}

static void check_crashes(struct __test_metadata *_metadata,
			  struct hw_daemon *d, const struct crash *crash,
			  int *dma_started)
{
	struct hw_counts before, after;
	int in_dma;

	choose_seed();
	ASSERT_EQ(0, hw_confine(HW_CLIENT_UID));
	ASSERT_LE(0, kill_many(d, crash, dma_started, NR_WARMUPS));
	ASSERT_EQ(0, counts_at_rest(d, &before));
	in_dma = kill_many(d, crash, dma_started, crash->times);
	printf("# %d clients killed, %d of them with DMA going\n", crash->times,
	       in_dma);
	EXPECT_LE(crash->times / 2, in_dma);
	ASSERT_EQ(0, counts_at_rest(d, &after));
	printf("# daemon: %lu -> %lu fds, %lu -> %lu maps, %lu -> %lu KiB\n",
	       before.fds, after.fds, before.maps, after.maps, before.rss_kib,
	       after.rss_kib);
	EXPECT_EQ(before.fds, after.fds);
	EXPECT_EQ(before.maps, after.maps);
	EXPECT_GE(before.rss_kib + RSS_SLACK_KIB, after.rss_kib);
}

TEST_F_TIMEOUT(session, nvme_clients_killed, KILL_TIMEOUT)
{
	ASSERT_EQ(0, start_daemon(&self->daemon, nvme_crash.env, variant->iommu,
				  NULL, false));
	check_crashes(_metadata, &self->daemon, &nvme_crash, self->dma_started);
	ASSERT_EQ(0, connect_patiently(&self->daemon, &self->access));
	EXPECT_TRUE(nvme_works(self->access));
}

TEST_F_TIMEOUT(session, edu_clients_killed, KILL_TIMEOUT)
{
	ASSERT_EQ(0, start_daemon(&self->daemon, edu_crash.env, variant->iommu,
				  NULL, false));
	check_crashes(_metadata, &self->daemon, &edu_crash, self->dma_started);
	ASSERT_EQ(0, connect_patiently(&self->daemon, &self->access));
	EXPECT_TRUE(edu_works(self->access));
}

/* SIGTERM while the device is busy: it ends as it should, with 0. */
TEST_F(session, daemon_terminated_in_dma)
{
	struct access *a;
	pid_t pid;

	ASSERT_EQ(0, start_daemon(&self->daemon, "LAB_NVME", variant->iommu,
				  NULL, false));
	pid = fork();
	if (!pid) {
		if (!hw_confine(HW_CLIENT_UID) &&
		    !connect_to(&self->daemon, &a))
			nvme_client(a, self->dma_started);
		_exit(1);
	}
	EXPECT_TRUE(wait_for_dma(self->dma_started));
	EXPECT_EQ(0, hw_daemon_stop(&self->daemon));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	ASSERT_EQ(0, start_daemon(&self->daemon, "LAB_NVME", variant->iommu,
				  NULL, false));
	ASSERT_EQ(0, hw_confine(HW_CLIENT_UID));
	ASSERT_EQ(0, connect_to(&self->daemon, &self->access));
	EXPECT_TRUE(nvme_works(self->access));
}

/*
 * One at a time
 */

TEST_F(session, second_client_refused)
{
	struct access *second;

	ASSERT_EQ(0, start_daemon(&self->daemon, "LAB_NVME", variant->iommu,
				  NULL, false));
	ASSERT_EQ(0, hw_confine(HW_CLIENT_UID));
	ASSERT_EQ(0, connect_to(&self->daemon, &self->access));
	ASSERT_EQ(-EBUSY, connect_to(&self->daemon, &second));
	EXPECT_EQ(1, hw_monitor(&self->daemon, "refused"));
	EXPECT_EQ(1, hw_daemon_log_has(&self->daemon, "refused client pid"));
	EXPECT_TRUE(nvme_works(self->access));
	access_close(self->access);
	self->access = NULL;
	ASSERT_EQ(0, connect_patiently(&self->daemon, &self->access));
}

/* The kernel lets go of a device only when the last mapping of it goes. */
TEST_F(session, bar_mapped_after_session)
{
	struct access_bar bar = {};

	ASSERT_EQ(0, start_daemon(&self->daemon, "LAB_NVME", variant->iommu,
				  NULL, false));
	ASSERT_EQ(0, hw_confine(HW_CLIENT_UID));
	ASSERT_EQ(0, connect_to(&self->daemon, &self->access));
	ASSERT_EQ(0, access_bar_open(self->access, VFIO_PCI_BAR0_REGION_INDEX,
				     &bar));
	ASSERT_NE(NULL, bar.mem);
	access_close(self->access);
	self->access = NULL;

	EXPECT_EQ(-EBUSY, connect_to(&self->daemon, &self->access));
	EXPECT_EQ(-EBUSY, connect_to(&self->daemon, &self->access));
	EXPECT_EQ(1, hw_daemon_log_has(&self->daemon, "still held"));
	access_bar_close(&bar);
	ASSERT_EQ(0, connect_to(&self->daemon, &self->access));
	EXPECT_TRUE(nvme_works(self->access));
}

/*
 * --on-disconnect
 */

TEST_F(session, reset_on_disconnect)
{
	struct hw_daemon *d = &self->daemon;

	ASSERT_EQ(0, start_daemon(d, "LAB_IGB", variant->iommu, "reset",
				  false));
	ASSERT_EQ(0, hw_as_client(d, HW_CLIENT_UID, igb_leave_mark));
	EXPECT_EQ(-ENODATA, hw_as_client(d, HW_CLIENT_UID, igb_find_mark));
	ASSERT_EQ(0, hw_as_client(d, HW_CLIENT_UID, igb_leave_mark));
	EXPECT_EQ(-ENODATA, hw_as_client(d, HW_OTHER_UID, igb_find_mark));
}

TEST_F(session, retain_on_disconnect)
{
	struct hw_daemon *d = &self->daemon;

	ASSERT_EQ(0, start_daemon(d, "LAB_IGB", variant->iommu, "retain",
				  false));
	ASSERT_EQ(0, hw_as_client(d, HW_CLIENT_UID, igb_leave_mark));
	EXPECT_EQ(-EBUSY, hw_as_client(d, HW_OTHER_UID, igb_find_mark));
	EXPECT_EQ(1, hw_daemon_log_has(d, "retained for uid"));
	EXPECT_EQ(0, hw_as_client(d, HW_CLIENT_UID, igb_find_mark));
	/* Not only once, and the device can still do everything. */
	EXPECT_EQ(0, hw_as_client(d, HW_CLIENT_UID, igb_find_mark));
	ASSERT_EQ(0, hw_confine(HW_CLIENT_UID));
	ASSERT_EQ(0, connect_to(d, &self->access));
	EXPECT_TRUE(igb_works(self->access));
}

TEST_F(session, exit_on_disconnect)
{
	struct hw_daemon *d = &self->daemon;

	ASSERT_EQ(0, start_daemon(d, "LAB_IGB", variant->iommu, "exit",
				  false));
	ASSERT_EQ(0, hw_as_client(d, HW_CLIENT_UID, igb_leave_mark));
	EXPECT_EQ(0, hw_daemon_wait(d));
}

/*
 * --mmap=off
 */

/* No region says that it can be mapped, and none comes with an fd. */
static void check_no_fds(struct __test_metadata *_metadata, struct access *a)
{
	struct vfio_user_client *client = access_socket_client(a);
	struct vfio_user_region_info *info;
	const void *sparse;
	uint32_t i;
	int fd;

	for (i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
		/* The VGA region: most devices have none. */
		if (vfio_user_region_info(client, i, &info, &fd))
			continue;
		EXPECT_EQ(-1, fd);
		EXPECT_EQ(0, info->flags & VFIO_USER_REGION_FLAG_MMAP);
		sparse = vfio_user_region_cap(info,
					      VFIO_USER_REGION_CAP_SPARSE_MMAP);
		EXPECT_EQ(NULL, sparse);
		free(info);
	}
}

static void check_without_mmap(struct __test_metadata *_metadata,
			       struct hw_daemon *d, struct access **a,
			       bool (*works)(struct access *a))
{
	uint64_t before;

	ASSERT_EQ(0, hw_confine(HW_CLIENT_UID));
	ASSERT_EQ(0, connect_to(d, a));
	check_no_fds(_metadata, *a);
	EXPECT_EQ(NULL, (*a)->ops->map(*a, VFIO_PCI_BAR0_REGION_INDEX, 0,
				       4096));
	before = (*a)->ops->messages(*a);
	EXPECT_TRUE(works(*a));
	EXPECT_LT(before + 10, (*a)->ops->messages(*a));
}

TEST_F(session, nvme_without_mmap)
{
	ASSERT_EQ(0, start_daemon(&self->daemon, "LAB_NVME", variant->iommu,
				  NULL, true));
	check_without_mmap(_metadata, &self->daemon, &self->access, nvme_works);
}

TEST_F(session, edu_without_mmap)
{
	ASSERT_EQ(0, start_daemon(&self->daemon, "LAB_EDU", variant->iommu,
				  NULL, true));
	check_without_mmap(_metadata, &self->daemon, &self->access, edu_works);
}

TEST_F(session, igb_without_mmap)
{
	ASSERT_EQ(0, start_daemon(&self->daemon, "LAB_IGB", variant->iommu,
				  NULL, true));
	check_without_mmap(_metadata, &self->daemon, &self->access, igb_works);
}

TEST_HARNESS_MAIN
