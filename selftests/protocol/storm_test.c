// SPDX-License-Identifier: GPL-2.0-only
/*
 * Storms: 64 clients that come, do something of what they may or mustn't, and
 * go; and somebody who kills them at any moment.
 *
 * Each client is a process that chooses by a generator of its own. What the
 * generators begin with is printed, and STORM_SEED= brings it back; the moments
 * of death it does not. Who is served writes a number of its own to a register,
 * which was 0 before, and finds it there again after everything else: if two
 * had the device at one time, one of them would see. What they saw is counted
 * in shared memory, so that it outlives them.
 *
 * There are two storms. What the first leaves in the daemon are threads' stacks
 * and the allocator's arenas; the second finds them there, and leaves nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mirror.h"
#include "pair.h"
#include "util.h"

#include "kselftest_harness.h"

#define CLIENTS		64
#define KILLS		200
#define PAGE		0x1000ull
/* Where the first page of memory is mapped; each one's own pages are above. */
#define COMMON		0x100000
/* Where memory is that isn't shared. */
#define UNSHARED	0x40000000
#define MEMORY		((CLIENTS + 1) * 2 * PAGE)

/* What a storm may add to what one before it has left of arenas and stacks. */
#define RSS_SLACK	(1024 * 1024)
/* A sanitizer remembers each thread that there was, and where it was made. */
#define RSS_THREAD	256

/**
 * struct tally - what the clients saw, all of them together
 * @served: greeted, and the device was as it is after a reset
 * @busy: told EBUSY
 * @closed: hung up on instead of an answer
 * @copied: had the device copy memory, and it did
 * @by_main: the same with memory that isn't shared, asked for over the one socket
 * @by_twin: the same over the twin socket
 * @bad: was asked for memory that it hasn't mapped, or in a wrong way
 * @other: got any other answer to VERSION
 * @last: the last of these
 * @shared: found the device in use by somebody else
 * @ended: hung up on before it had shown its memory, with a group of two
 */
struct tally {
	atomic_uint served;
	atomic_uint busy;
	atomic_uint closed;
	atomic_uint copied;
	atomic_uint by_main;
	atomic_uint by_twin;
	atomic_uint bad;
	atomic_uint other;
	atomic_int last;
	atomic_uint shared;
	atomic_uint ended;
};

/**
 * struct client - one of the 64
 * @peers: the sockets that there are
 * @nr_peers: how many
 * @number: which client this is, from 0
 * @state: of its generator
 * @tally: where it counts
 * @mine: what it has written to the device last
 * @common: a file that all of them map, with some of it for each, or -1: who
 *          hasn't shown a group's memory has no power over a device of it
 * @unshared: the daemon takes memory that isn't shared
 * @mirror: answers for it; NULL in a session without
 */
struct client {
	struct peer *peers;
	unsigned int nr_peers;
	unsigned int number;
	uint64_t state;
	struct tally *tally;
	uint64_t mine;
	int common;
	bool unshared;
	struct mirror *mirror;
};

FIXTURE(storm)
{
	struct pair pair;
	struct fake_config config;
	struct tally *tally;
	uint64_t seed;
	pid_t pids[CLIENTS];
};

FIXTURE_VARIANT(storm)
{
	enum peer_way way;
	bool two;
	bool shared;
	const char *arg;
};

FIXTURE_VARIANT_ADD(storm, iommufd)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(storm, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_VARIANT_ADD(storm, shadow_dma)
{
	.way = PEER_MAP_FILE,
	.arg = "--shadow-dma",
};

FIXTURE_VARIANT_ADD(storm, two_devices)
{
	.way = PEER_MAP_FILE,
	.two = true,
};

FIXTURE_VARIANT_ADD(storm, two_devices_of_a_group)
{
	.way = PEER_MAP_FILE,
	.two = true,
	.shared = true,
};

static uint64_t seed_get(void)
{
	const char *seed = getenv("STORM_SEED");
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return seed ? strtoull(seed, NULL, 0) : ts.tv_sec ^ ts.tv_nsec << 20;
}

/* What AddressSanitizer keeps of freed memory, else 256 MiB, hides what leaks. */
static int quarantine_little(void)
{
	const char *options = getenv("ASAN_OPTIONS");
	char more[256];

	snprintf(more, sizeof(more), "%s%squarantine_size_mb=1",
		 options ? options : "", options ? ":" : "");
	return setenv("ASAN_OPTIONS", more, 1);
}

FIXTURE_SETUP(storm)
{
	const char *const none[] = { NULL };

	ASSERT_EQ(0, quarantine_little());
	pair_init(&self->pair);
	pair_config(&self->config, variant->way);
	if (!variant->shared)
		self->config.more[0].group++;
	self->tally = mmap(NULL, sizeof(*self->tally), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->tally);
	self->seed = seed_get();
	TH_LOG("STORM_SEED=%#llx", (unsigned long long)self->seed);
	if (variant->two) {
		ASSERT_EQ(0, pair_start(&self->pair, &self->config, none));
	} else {
		self->config.nr_more = 0;
		ASSERT_EQ(0, peer_start(&self->pair.a, &self->config,
					variant->arg));
	}
}

FIXTURE_TEARDOWN(storm)
{
	EXPECT_EQ(0, pair_close(&self->pair));
	munmap(self->tally, sizeof(*self->tally));
}

/* splitmix64 */
static uint64_t any(struct client *c, uint64_t below)
{
	uint64_t x = c->state += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return (x ^ x >> 31) % below;
}

/* Have the device copy a number from one page to the next. */
static void copy(struct client *c, struct peer *peer)
{
	/* Others of the group mustn't map other memory at the same address. */
	const uint64_t offset = (1 + c->number) * 2 * PAGE;
	const uint64_t iova = COMMON + offset;
	const uint64_t number = any(c, UINT64_MAX);
	int fd = c->common < 0 ? peer_memory(MEMORY) :
				 fcntl(c->common, F_DUPFD_CLOEXEC, 0);
	uint64_t found = ~number;

	if (pwrite(fd, &number, sizeof(number), offset) == sizeof(number) &&
	    !wire_map(peer->sock, iova, 2 * PAGE, PEER_RW, fd, offset) &&
	    peer_dma(peer, iova, iova + PAGE, 8) == FAKE_DMA_DONE &&
	    pread(fd, &found, sizeof(found), offset + PAGE) ==
	    sizeof(found) &&
	    found == number)
		atomic_fetch_add(&c->tally->copied, 1);
	close(fd);
}

/* Each client's own, which is a process. */
static uint8_t memory[2 * PAGE];

/* The same with memory that the daemon has to ask for, and to send back. */
static void copy_unshared(struct client *c, struct peer *peer)
{
	struct mirror *m = c->mirror;
	const uint64_t number = any(c, UINT64_MAX);
	bool twin = m->twin >= 0;

	memcpy(memory, &number, sizeof(number));
	if (!mirror_map(m, peer, UNSHARED, memory, sizeof(memory), PEER_RW) &&
	    peer_dma(peer, UNSHARED, UNSHARED + PAGE, 8) == FAKE_DMA_DONE &&
	    !memcmp(memory + PAGE, &number, sizeof(number)))
		atomic_fetch_add(twin ? &c->tally->by_twin : &c->tally->by_main,
				 1);
	wire_unmap(peer->sock, UNSHARED, sizeof(memory), 0);
	m->nr_maps = 0;
}

/* Go while the daemon waits for an answer, or has just asked. */
static void leave_unanswered(struct client *c, struct peer *peer)
{
	const struct vfio_user_dma_map map = {
		.argsz = sizeof(map),
		.flags = PEER_RW,
		.address = UNSHARED,
		.size = sizeof(memory),
	};

	c->mirror->maps[c->mirror->nr_maps++] =
		(struct mirror_map){ UNSHARED, sizeof(memory), memory };
	c->mirror->how = MIRROR_SILENT;
	wire_command(peer->sock, 1, VFIO_USER_DMA_MAP, &map, sizeof(map), NULL,
		     0);
	peer_pause(any(c, 3));
	/* The twin socket alone is as much of an end. */
	if (c->mirror->twin >= 0 && any(c, 2)) {
		shutdown(c->mirror->twin, SHUT_RDWR);
		wire_closed(peer->sock);
	}
	close_fd(&peer->sock);
}

static void set_irqs(struct client *c, struct peer *peer)
{
	int fds[4], i;

	for (i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	wire_set_irqs(peer->sock, VFIO_USER_IRQ_SET_DATA_EVENTFD |
		      VFIO_USER_IRQ_SET_ACTION_TRIGGER, PEER_MSIX, any(c, 8),
		      ARRAY_SIZE(fds), NULL, 0, fds, ARRAY_SIZE(fds));
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

/*
 * Keep the BAR mapped when the session has ended. The kernel doesn't reset the
 * device as long as it is, and nobody may get it.
 */
static void keep_bar(struct client *c, struct peer *peer)
{
	static struct wire_reply r;
	uint64_t *bar, seen;

	if (wire_region_info(peer->sock, PEER_BAR0, 4096, &r) || r.nr_fds != 1)
		return;
	bar = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r.fds[0], 0);
	wire_close_fds(&r);
	if (bar == MAP_FAILED)
		return;
	bar += FAKE_REG_SCRATCH / sizeof(*bar);
	__atomic_store_n(bar, ++c->mine, __ATOMIC_SEQ_CST);
	close_fd(&peer->sock);
	peer_pause(any(c, 20));
	seen = __atomic_load_n(bar, __ATOMIC_SEQ_CST);
	if (seen != c->mine)
		atomic_fetch_add(&c->tally->shared, 1);
	munmap(bar - FAKE_REG_SCRATCH / sizeof(*bar), PAGE);
}

/* Some of a message, with an fd. */
static void half(struct client *c, struct peer *peer)
{
	struct vfio_user_header header =
		wire_header(9, any(c, 20), any(c, 2000));
	int fd = eventfd(0, EFD_CLOEXEC);

	wire_send(peer->sock, &header, 1 + any(c, sizeof(header)), &fd, 1);
	close(fd);
}

static void junk(struct client *c, struct peer *peer)
{
	uint64_t bytes[16];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bytes); i++)
		bytes[i] = any(c, UINT64_MAX);
	wire_send(peer->sock, bytes, sizeof(bytes), NULL, 0);
}

static void act(struct client *c, struct peer *peer)
{
	switch (any(c, 8)) {
	case 0:
		set_irqs(c, peer);
		break;
	case 1:
		keep_bar(c, peer);
		break;
	case 2:
		half(c, peer);
		close_fd(&peer->sock);
		break;
	case 3:
		junk(c, peer);
		close_fd(&peer->sock);
		break;
	case 4:
		if (c->mirror)
			leave_unanswered(c, peer);
		else
			peer_pause(any(c, 5));
		break;
	default:
		if (c->mirror && any(c, 2))
			copy_unshared(c, peer);
		else
			copy(c, peer);
	}
}

/*
 * Something isn't as this client left it: it shares the device with somebody, or
 * has none. In a group, a session that has only just shown its memory may be
 * ended with the last of those that had, whose fd may be left.
 */
static void not_alone(struct client *c, struct peer *peer)
{
	bool ended = c->common >= 0 && wire_closed(peer->sock);

	atomic_fetch_add(ended ? &c->tally->ended : &c->tally->shared, 1);
	close_fd(&peer->sock);
}

/* The device is this client's alone, from the first moment to the last. */
static void be_served(struct client *c, struct peer *peer)
{
	unsigned int i, n = any(c, 6);
	uint64_t found;

	c->mine = (uint64_t)getpid() << 32 | any(c, INT32_MAX);
	if (c->common >= 0 &&
	    wire_map(peer->sock, COMMON, PAGE, PEER_RW, c->common, 0)) {
		atomic_fetch_add(&c->tally->ended, 1);
		return;
	}
	found = peer_get64(peer, FAKE_REG_SCRATCH);
	if (found || peer_put64(peer, FAKE_REG_SCRATCH, c->mine)) {
		not_alone(c, peer);
		return;
	}
	atomic_fetch_add(&c->tally->served, 1);
	for (i = 0; i < n && peer->sock >= 0; i++) {
		act(c, peer);
		if (peer->sock >= 0 &&
		    peer_get64(peer, FAKE_REG_SCRATCH) != c->mine)
			not_alone(c, peer);
	}
}

/* VERSION; as wire_version(). */
static int say_version(struct client *c, struct peer *peer,
		       struct wire_reply *r)
{
	static const char *const texts[] = {
		NULL, "{}",
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}",
	};
	static struct mirror mirror;

	if (!c->unshared || !any(c, 4))
		return wire_version(peer->sock,
				    texts[any(c, ARRAY_SIZE(texts))], r);
	/* It connects by itself. */
	close_fd(&peer->sock);
	c->mirror = &mirror;
	return mirror_connect(&mirror, peer, any(c, 2), "");
}

static void end_mirror(struct client *c)
{
	if (!c->mirror)
		return;
	mirror_close(c->mirror);
	atomic_fetch_add(&c->tally->bad, c->mirror->bad);
	c->mirror = NULL;
}

static void greet(struct client *c, struct peer *peer)
{
	static struct wire_reply r;
	int ret;

	r.nr_fds = 0;
	ret = say_version(c, peer, &r);
	if (!ret) {
		be_served(c, peer);
		/* The twin socket, if it has asked for one. */
		wire_close_fds(&r);
	} else if (ret == EBUSY) {
		atomic_fetch_add(&c->tally->busy, 1);
	} else if (ret == -EPIPE || ret == -ECONNRESET) {
		atomic_fetch_add(&c->tally->closed, 1);
	} else {
		atomic_store(&c->tally->last, ret);
		atomic_fetch_add(&c->tally->other, 1);
	}
	end_mirror(c);
}

static void client_run(struct client *c)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		struct peer peer = c->peers[any(c, c->nr_peers)];

		peer.sock = wire_connect(peer.daemon.socket);
		if (peer.sock < 0)
			continue;
		switch (any(c, 8)) {
		case 0:
			peer_pause(any(c, 10));
			break;
		case 1:
			half(c, &peer);
			break;
		default:
			greet(c, &peer);
		}
		close_fd(&peer.sock);
	}
}

static pid_t client_start(const struct client *client)
{
	struct client c = *client;
	pid_t pid = fork();

	if (!pid)
		client_run(&c);
	return pid;
}

/* Kill one after the other, and start another in its place. */
static int rage(struct client *c, pid_t *pids)
{
	unsigned int i, victim, silent = 0;
	json_t *status;

	for (i = 0; i < KILLS; i++) {
		victim = any(c, CLIENTS);
		kill(pids[victim], SIGKILL);
		if (waitpid(pids[victim], NULL, 0) != pids[victim])
			return -ECHILD;
		c->number = victim;
		pids[victim] = client_start(c);
		peer_pause(any(c, 20));
		if (i % 16)
			continue;
		status = peer_status(&c->peers[0]);
		silent += !status;
		json_decref(status);
	}
	return silent;
}

static void end(const pid_t *pids)
{
	unsigned int i;

	for (i = 0; i < CLIENTS; i++)
		kill(pids[i], SIGKILL);
	for (i = 0; i < CLIENTS; i++)
		waitpid(pids[i], NULL, 0);
}

/* All of it once; afterwards it's quiet again. */
static int storm(struct client *c, pid_t *pids)
{
	unsigned int i;
	int silent;

	for (i = 0; i < CLIENTS; i++) {
		c->number = i;
		c->state += i;
		pids[i] = client_start(c);
	}
	silent = rage(c, pids);
	end(pids);
	return silent ? silent : peer_wait_idle(&c->peers[0]);
}

static bool is_sanitized(void)
{
#ifdef __SANITIZE_ADDRESS__
	return true;
#else
	/* By "make tsan". */
	return getenv("TSAN_OPTIONS");
#endif
}

/* A session is one, and so is who is refused. */
static json_int_t nr_threads_of(const json_t *status)
{
	return json_integer_value(json_object_get(status, "sessions")) +
	       json_integer_value(json_object_get(status, "refused"));
}

/* How many threads the daemon has had. */
static long nr_threads(const struct peer *peer)
{
	json_t *status = peer_status(peer), *device;
	long nr = nr_threads_of(status);
	size_t i;

	json_array_foreach(json_object_get(status, "devices"), i, device)
		nr += nr_threads_of(device);
	json_decref(status);
	return nr;
}

/* The daemon's memory, without what grows by each thread whatever it does. */
static long rss_of(const struct peer *peer)
{
	long rss = fake_rss(peer->daemon.pid);

	return is_sanitized() ? rss - nr_threads(peer) * RSS_THREAD : rss;
}

/* One who comes after the storm has all of the device. */
static bool is_served(struct client *c, struct peer *peer)
{
	unsigned int copied = atomic_load(&c->tally->copied);

	if (peer_connect(peer) || peer_get64(peer, FAKE_REG_SCRATCH))
		return false;
	copy(c, peer);
	close_fd(&peer->sock);
	return atomic_load(&c->tally->copied) == copied + 1;
}

TEST_F_TIMEOUT(storm, nothing_is_left_and_none_had_what_another_had, 120)
{
	struct fake_control *control = self->pair.a.root.control;
	struct peer peers[2] = { self->pair.a, self->pair.b };
	struct tally *t = self->tally;
	struct client c = {
		.peers = peers,
		.nr_peers = variant->two ? 2 : 1,
		.state = self->seed,
		.tally = t,
		.common = variant->shared ? peer_memory(MEMORY) : -1,
		.unshared = variant->arg,
	};
	unsigned int i;
	long rss;

	for (i = 0; i < c.nr_peers; i++)
		EXPECT_TRUE(is_served(&c, &peers[i]));
	ASSERT_EQ(0, peer_wait_idle(&peers[0]));
	EXPECT_EQ(0, storm(&c, self->pids));
	rss = rss_of(&peers[0]);
	EXPECT_EQ(0, storm(&c, self->pids));

	TH_LOG("%u served, %u copied, %u and %u by message, %u busy, %u closed, %u ended",
	       t->served, t->copied, t->by_main, t->by_twin, t->busy,
	       t->closed, t->ended);
	EXPECT_LT(10, atomic_load(&t->served));
	EXPECT_LT(10, atomic_load(&t->copied));
	EXPECT_EQ(c.unshared, t->by_main > 10);
	EXPECT_EQ(c.unshared, t->by_twin > 10);
	EXPECT_EQ(0, atomic_load(&t->bad));
	EXPECT_LT(10, atomic_load(&t->busy));
	EXPECT_EQ(0, atomic_load(&t->shared));
	EXPECT_EQ(0, atomic_load(&t->other))
		TH_LOG("the last: %d", t->last);
	EXPECT_EQ(0, peer_wait_idle(&peers[0]));
	EXPECT_EQ(0, control->nr_maps);
	EXPECT_EQ(0, control->hidden_fds);
	EXPECT_GT(rss + RSS_SLACK, rss_of(&peers[0]))
		TH_LOG("%ld KiB before", rss / 1024);
	for (i = 0; i < c.nr_peers; i++)
		EXPECT_TRUE(is_served(&c, &peers[i]));
	EXPECT_EQ(0, peer_wait_idle(&peers[0]));
	EXPECT_EQ(0, control->orphans);
}

TEST_HARNESS_MAIN
