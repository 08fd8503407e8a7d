// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that is unbound or unplugged while a client uses it, and comes back.
 *
 * Whoever takes it waits in the kernel until nobody has it open any more, so
 * what is measured is how long that took: at once if the client isn't told or
 * lets go, and --release-timeout if it is told and doesn't care. It ends once
 * the client has unmapped the BAR, too, as these do when their session ends.
 *
 * The client has reads in flight all the time. It is confined, so it asks a
 * process that was forked before to do what an operator does (the script of that
 * name); that one answers when it is done. The same daemon, still nobody, then
 * serves the device again on the same socket, and what is on the disk is right.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "selftests/drivers/nvme.h"
#include "selftests/hw/hw.h"
#include "kselftest_harness.h"

#define IN_FLIGHT	8
#define CHUNK		(64u << 10)
#define SIZE		(IN_FLIGHT * CHUNK)
#define FIRST_BLOCK	4096	/* the disk's first blocks are left alone */
#define WARM_UP		32	/* reads before anybody takes the device */

#define AT_ONCE_MS	20000	/* the default of --release-timeout is 30 s */
#define RELEASE_S	3
#define WAIT_MS		100000
#define TIMEOUT		400

/* Under DMA, fifty on all kernels, by all ways: a kernel has one or two. */
#define ROUNDS		25
/* And another now and then, by which the client isn't told. */
#define UNTOLD		5
#define ROUNDS_TIMEOUT	600

/**
 * struct client - a client that reads
 * @access: the device, NULL if there is no session
 * @nvme: its driver
 * @dma: SIZE bytes, a chunk for each read
 * @req: eventfd for the device's REQ, or -1
 */
struct client {
	struct access *access;
	struct nvme nvme;
	struct access_dma dma;
	int req;
};

/**
 * struct answer - of the operator
 * @ret: 0 if it is done
 * @ms: how long that took, in milliseconds
 */
struct answer {
	int ret;
	int64_t ms;
};

/**
 * struct scene - who takes part
 * @daemon: serves the device
 * @client: uses it
 * @operator: socket to who takes it away, or -1
 */
struct scene {
	struct hw_daemon daemon;
	struct client client;
	int operator;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

static int operate(const char *what)
{
	char command[128];

	snprintf(command, sizeof(command),
		 "\"$LAB_TOP\"/selftests/unplug/operator %s", what);
	return system(command);
}

static void operator_run(int sock)
{
	struct answer answer;
	int64_t begin;
	char what[16];
	ssize_t n;

	while ((n = recv(sock, what, sizeof(what) - 1, 0)) > 0) {
		what[n] = '\0';
		begin = now_ms();
		answer.ret = operate(what);
		answer.ms = now_ms() - begin;
		send(sock, &answer, sizeof(answer), MSG_NOSIGNAL);
	}
	_exit(0);
}

/* A socket to it, or a negative errno; it ends when that is closed. */
static int operator_start(void)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (!pid) {
		close(pair[0]);
		operator_run(pair[1]);
	}
	close(pair[1]);
	return pid < 0 ? -errno : pair[0];
}

static bool operator_begin(int sock, const char *what)
{
	return send(sock, what, strlen(what), MSG_NOSIGNAL) > 0;
}

/* How long it took, in milliseconds, or a negative errno. */
static int64_t operator_end(int sock)
{
	struct pollfd pfd = { .fd = sock, .events = POLLIN };
	struct answer answer;

	if (poll(&pfd, 1, WAIT_MS) != 1)
		return -ETIMEDOUT;
	if (recv(sock, &answer, sizeof(answer), 0) != sizeof(answer))
		return -EPIPE;
	return answer.ret ? -EIO : answer.ms;
}

static int64_t operator_do(int sock, const char *what)
{
	return operator_begin(sock, what) ? operator_end(sock) : -EPIPE;
}

static void fill(const struct access_dma *dma, uint64_t seed)
{
	uint64_t *words = dma->mem;
	unsigned int i;

	for (i = 0; i < SIZE / sizeof(*words); i++)
		words[i] = seed << 32 | i;
}

static bool holds(const struct access_dma *dma, uint64_t seed)
{
	const uint64_t *words = dma->mem;
	unsigned int i;

	for (i = 0; i < SIZE / sizeof(*words); i++) {
		if (words[i] != (seed << 32 | i))
			return false;
	}
	return true;
}

static void client_close(struct client *c)
{
	if (!c->access)
		return;
	nvme_close(&c->nvme);
	access_dma_free(c->access, &c->dma);
	access_close(c->access);
	c->access = NULL;
	close_fd(&c->req);
}

/* The daemon refuses clients while it still closes the device. */
static int client_connect(struct client *c, const char *socket)
{
	int64_t end = now_ms() + WAIT_MS;
	int ret;

	while ((ret = access_socket_open(socket, NULL, &c->access)) == -EBUSY &&
	       now_ms() < end)
		usleep(10000);
	return ret;
}

static int client_listen(struct client *c)
{
	c->req = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->req < 0)
		return -errno;
	return access_irq_enable(c->access, VFIO_PCI_REQ_IRQ_INDEX, 0, 1,
				 &c->req);
}

static int client_open(struct client *c, const char *socket, bool listen)
{
	int ret;

	ret = client_connect(c, socket);
	if (ret)
		return ret;
	ret = nvme_open(&c->nvme, c->access, 1, IN_FLIGHT + 1);
	if (!ret)
		ret = access_dma_alloc(c->access, SIZE, &c->dma);
	if (!ret && listen)
		ret = client_listen(c);
	if (ret)
		client_close(c);
	return ret;
}

static int client_transfer(struct client *c, bool write)
{
	return nvme_transfer(&c->nvme, 1, write, FIRST_BLOCK, SIZE,
			     c->dma.iova, CHUNK);
}

static int client_write(struct client *c, uint64_t seed)
{
	fill(&c->dma, seed);
	return client_transfer(c, true);
}

static bool client_finds(struct client *c, uint64_t seed)
{
	memset(c->dma.mem, 0, SIZE);
	return !client_transfer(c, false) && holds(&c->dma, seed);
}

/* Each slot of the queue reads its chunk, over and over. */
static void client_submit(struct client *c)
{
	unsigned int i, blocks = CHUNK / c->nvme.block_size;
	int slot = 0;

	for (i = 0; slot >= 0; i = (i + 1) % IN_FLIGHT)
		slot = nvme_submit(&c->nvme, 1, false, FIRST_BLOCK + i * blocks,
				   blocks, c->dma.iova + i * CHUNK);
}

/* How many have ended, or a negative errno. */
static int client_reap(struct client *c)
{
	uint16_t status;
	int slot, n = 0;

	while ((slot = nvme_wait(&c->nvme, 1, 0, &status)) >= 0) {
		if (status)
			return -EIO;
		n++;
	}
	return slot == -ETIMEDOUT ? n : slot;
}

/*
 * What a client does whose session is over: it unmaps the BAR, without a last
 * store to it. The driver's stores become messages then, which fail.
 */
static void client_lost(struct client *c)
{
	if (c->nvme.bar.mem)
		munmap(c->nvme.bar.mem, c->nvme.bar.size);
	c->nvme.bar.mem = NULL;
	client_close(c);
}

/* Wait for the reads that are in flight. */
static int client_drain(struct client *c)
{
	uint16_t status;
	int slot = 0;

	while (slot >= 0 && c->nvme.queues[1].in_flight)
		slot = nvme_wait(&c->nvme, 1, WAIT_MS, &status);
	return min(slot, 0);
}

/*
 * What a client does that is told: it has its reads end, and then disables the
 * controller. (The other way round QEMU's controller loses them, and either is
 * never deleted or takes QEMU with it.)
 */
static int client_let_go(struct client *c)
{
	int ret = client_drain(c);

	client_close(c);
	return ret;
}

/*
 * Read until something happens: -ECONNRESET when the session is over, 0 when
 * the client is told to let go and @heed is set, @reads (unless it is 0) when
 * so many have been done, or another negative errno.
 */
static int client_read(struct client *c, bool heed, int reads)
{
	struct vfio_user_client *client = access_socket_client(c->access);
	struct pollfd fds[] = {
		{ .events = POLLIN, .fd = vfio_user_client_fd(client) },
		{ .events = POLLIN, .fd = heed ? c->req : -1 },
		{ .events = POLLIN, .fd = c->nvme.queues[1].irq },
	};
	int64_t end = now_ms() + WAIT_MS;
	int n, done = 0;

	while (now_ms() < end) {
		client_submit(c);
		if (poll(fds, ARRAY_SIZE(fds), 1000) < 0)
			return -errno;
		if (fds[0].revents)
			return -ECONNRESET;
		if (fds[1].revents)
			return 0;
		n = client_reap(c);
		if (n < 0)
			return n;
		done += n;
		if (reads && done >= reads)
			return reads;
	}
	return -ETIMEDOUT;
}

/* Reads until it is told to let go, and does. */
static int client_leaves(struct client *c)
{
	int ret = client_read(c, true, 0);

	return ret ? ret : client_let_go(c);
}

/* Does nothing until its session is over. */
static int client_is_ended(struct client *c)
{
	struct pollfd pfd = { .events = POLLIN };
	int ret;

	pfd.fd = vfio_user_client_fd(access_socket_client(c->access));
	ret = poll(&pfd, 1, WAIT_MS);
	client_lost(c);
	return ret == 1 ? 0 : -ETIMEDOUT;
}

/* What the daemon says of the device: whether it is there. */
static bool is_present(const struct hw_daemon *d, bool present)
{
	int64_t end = now_ms() + WAIT_MS;

	while (hw_monitor(d, "present") != present) {
		if (now_ms() >= end)
			return false;
		usleep(10000);
	}
	return true;
}

/* A session that is over may not have let go of everything yet. */
static bool has_fds(struct hw_daemon *d, unsigned long fds)
{
	int64_t end = now_ms() + AT_ONCE_MS;
	struct hw_counts counts;

	while (!hw_daemon_counts(d, &counts) && counts.fds != fds) {
		if (now_ms() >= end)
			return false;
		usleep(10000);
	}
	return counts.fds == fds;
}

/* NULL if all is there, or why there is nothing to be tested. */
static const char *scene_prepare(struct scene *s, enum vfio_iommu_kind iommu)
{
	s->client.req = -1;
	s->operator = -1;
	if (!getenv("LAB_TOP") || !getenv("LAB_NVME"))
		return "not in the lab";
	/* A test that failed may have left it as it was then. */
	operate("restore");
	return hw_missing("LAB_NVME", iommu);
}

static int scene_end(struct scene *s)
{
	client_close(&s->client);
	close_fd(&s->operator);
	return hw_daemon_stop(&s->daemon);
}

/* A daemon and an operator; from then on this process can't reach anything. */
static int scene_begin(struct scene *s, const struct hw_daemon_opts *opts)
{
	int ret;

	s->operator = operator_start();
	if (s->operator < 0)
		return s->operator;
	ret = hw_daemon_start(&s->daemon, opts);
	return ret ? ret : hw_confine(HW_CLIENT_UID);
}

#define BEGIN(...) do {							\
	const struct hw_daemon_opts opts = {				\
		.bdf = getenv("LAB_NVME"),				\
		.iommu = variant->iommu,				\
		__VA_ARGS__						\
	};								\
									\
	ASSERT_EQ(0, scene_begin(&self->scene, &opts));			\
} while (0)

/* A session, with data on the disk and reads in flight. */
#define READ_WITH(listen) do {						\
	ASSERT_EQ(0, client_open(&self->scene.client, self->scene.daemon.socket,	\
				 listen));				\
	ASSERT_EQ(0, client_write(&self->scene.client, 1));			\
	ASSERT_TRUE(client_finds(&self->scene.client, 1));			\
	ASSERT_EQ(WARM_UP, client_read(&self->scene.client, false, WARM_UP));	\
} while (0)

/* Who connects while it is away is told so; then all is as before. */
#define COMES_BACK() do {						\
	struct client *c = &self->scene.client;				\
									\
	EXPECT_TRUE(is_present(&self->scene.daemon, false));			\
	EXPECT_GT(0, client_open(c, self->scene.daemon.socket, false));	\
	ASSERT_LE(0, operator_do(self->scene.operator, "bind"));		\
	EXPECT_TRUE(is_present(&self->scene.daemon, true));			\
	ASSERT_EQ(0, client_open(c, self->scene.daemon.socket, false));	\
	EXPECT_TRUE(client_finds(c, 1));				\
} while (0)

FIXTURE(unplug)
{
	struct scene scene;
};

FIXTURE_VARIANT(unplug)
{
	enum vfio_iommu_kind iommu;
};

FIXTURE_VARIANT_ADD(unplug, iommufd)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
};

FIXTURE_VARIANT_ADD(unplug, type1)
{
	.iommu = VFIO_IOMMU_TYPE1,
};

FIXTURE_SETUP(unplug)
{
	const char *missing = scene_prepare(&self->scene, variant->iommu);

	if (missing)
		SKIP(return, "%s", missing);
}

FIXTURE_TEARDOWN(unplug)
{
	EXPECT_EQ(0, scene_end(&self->scene));
}

/*
 * Clients are told while they read, and let go. Every fifth isn't told, and is ended
 * between two reads: what QEMU's controller completes once its DMA is stopped it
 * never lets go of, and then it isn't deleted. For this reason the tests of
 * unbinding, where that is no harm, come after this one. Each client leaves data
 * for the next one; at the end the daemon holds as much as after the first.
 */
TEST_F_TIMEOUT(unplug, fifty_times, ROUNDS_TIMEOUT)
{
	unsigned int round, busy = 0, rounds = ROUNDS;
	struct client *c = &self->scene.client;
	struct hw_daemon *d = &self->scene.daemon;
	struct hw_counts first = {};
	int64_t ms, longest = 0;
	bool told;

	if (!hw_missing("LAB_NVME", VFIO_IOMMU_IOMMUFD))
		rounds = (ROUNDS + 1) / 2;
	BEGIN();
	READ_WITH(false);
	ASSERT_EQ(0, client_let_go(c));
	for (round = 1; busy < rounds; round++) {
		told = round % UNTOLD;
		busy += told;
		ASSERT_EQ(0, client_open(c, d->socket, told));
		ASSERT_TRUE(client_finds(c, round));
		ASSERT_EQ(0, client_write(c, round + 1));
		ASSERT_EQ(WARM_UP, client_read(c, false, WARM_UP));

		ASSERT_EQ(0, told ? 0 : client_drain(c));
		ASSERT_TRUE(operator_begin(self->scene.operator, "unplug"));
		ASSERT_EQ(0, told ? client_leaves(c) : client_is_ended(c));
		ms = operator_end(self->scene.operator);
		ASSERT_LE(0, ms);
		longest = max(longest, ms);
		ASSERT_TRUE(is_present(d, false));

		ASSERT_LE(0, operator_do(self->scene.operator, "plug"));
		ASSERT_LE(0, operator_do(self->scene.operator, "bind"));
		ASSERT_TRUE(is_present(d, true));
		if (round == 1)
			ASSERT_EQ(0, hw_daemon_counts(d, &first));
	}
	EXPECT_GT(AT_ONCE_MS, longest);
	EXPECT_TRUE(has_fds(d, first.fds));
	ASSERT_EQ(0, client_open(c, d->socket, false));
	EXPECT_TRUE(client_finds(c, round));
	TH_LOG("unplugged %u times, %u of them under DMA, %lld ms at most",
	       round - 1, busy, (long long)longest);
}

FIXTURE(unbind)
{
	struct scene scene;
};

FIXTURE_VARIANT(unbind)
{
	enum vfio_iommu_kind iommu;
};

FIXTURE_VARIANT_ADD(unbind, iommufd)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
};

FIXTURE_VARIANT_ADD(unbind, type1)
{
	.iommu = VFIO_IOMMU_TYPE1,
};

FIXTURE_SETUP(unbind)
{
	const char *missing = scene_prepare(&self->scene, variant->iommu);

	if (missing)
		SKIP(return, "%s", missing);
}

FIXTURE_TEARDOWN(unbind)
{
	EXPECT_EQ(0, scene_end(&self->scene));
}

TEST_F_TIMEOUT(unbind, ends_client_that_is_not_told, TIMEOUT)
{
	int64_t ms;

	BEGIN();
	READ_WITH(false);
	ASSERT_TRUE(operator_begin(self->scene.operator, "unbind"));
	EXPECT_EQ(-ECONNRESET, client_read(&self->scene.client, true, 0));
	client_lost(&self->scene.client);
	ms = operator_end(self->scene.operator);
	EXPECT_LE(0, ms);
	EXPECT_GT(AT_ONCE_MS, ms);
	COMES_BACK();
}

TEST_F_TIMEOUT(unbind, waits_for_client_that_lets_go, TIMEOUT)
{
	int64_t ms;

	BEGIN();
	READ_WITH(true);
	ASSERT_TRUE(operator_begin(self->scene.operator, "unbind"));
	EXPECT_EQ(0, client_read(&self->scene.client, true, 0));
	EXPECT_EQ(0, client_let_go(&self->scene.client));
	ms = operator_end(self->scene.operator);
	EXPECT_LE(0, ms);
	EXPECT_GT(AT_ONCE_MS, ms);
	EXPECT_EQ(0, hw_daemon_log_has(&self->scene.daemon, "has not let go"));
	COMES_BACK();
}

TEST_F_TIMEOUT(unbind, ends_client_that_does_not_care, TIMEOUT)
{
	int64_t ms;

	BEGIN(.release_timeout = RELEASE_S);
	READ_WITH(true);
	ASSERT_TRUE(operator_begin(self->scene.operator, "unbind"));
	EXPECT_EQ(-ECONNRESET, client_read(&self->scene.client, false, 0));
	EXPECT_LE(1, access_irq_wait(self->scene.client.req, 0));
	client_lost(&self->scene.client);
	ms = operator_end(self->scene.operator);
	EXPECT_LE(RELEASE_S * 1000, ms);
	EXPECT_GT(RELEASE_S * 1000 + AT_ONCE_MS, ms);
	EXPECT_EQ(1, hw_daemon_log_has(&self->scene.daemon, "has not let go"));
	COMES_BACK();
}

TEST_F_TIMEOUT(unbind, retained_device, TIMEOUT)
{
	int64_t ms;

	BEGIN(.on_disconnect = "retain");
	READ_WITH(false);
	ASSERT_EQ(0, client_let_go(&self->scene.client));
	ms = operator_do(self->scene.operator, "unbind");
	EXPECT_LE(0, ms);
	EXPECT_GT(AT_ONCE_MS, ms);
	EXPECT_EQ(1, hw_daemon_log_has(&self->scene.daemon, "not retained any more"));
	COMES_BACK();
}

TEST_HARNESS_MAIN
