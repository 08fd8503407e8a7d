// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the daemon holds of memory doesn't grow by what is done with it, however
 * often: not by commands, those that fail neither, nor by sessions, refused
 * clients and whoever asks the monitor.
 *
 * Each thing is done until it has cost all that it costs once, and then so often
 * that a loss of the least that can be allocated would be seen. What is lost is
 * found by the sanitizers as well; what is kept in a list, and freed in the end,
 * only here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "feature.h"
#include "pair.h"
#include "util.h"
#include "wire.h"

#include "kselftest_harness.h"

#define PAGE		0x1000ull
#define IOVA		0x100000

/* malloc() gives no less than this. */
#define LEAST		32
/* What is free in the heap is used up before it grows. */
#define ROOM		(160 * 1024)
/* Some pages of stacks */
#define SLACK		(16 * 1024)
/* How many are refused at one time, each by a thread: REFUSE_MAX */
#define CROWD		16

#ifdef __SANITIZE_ADDRESS__
/* Slow, and looks for leaks by itself, at the end; its own records grow. */
#define MANY		100
#define JUDGED		false
#else
#define MANY		((ROOM + 2 * SLACK) / LEAST)
#define JUDGED		true
#endif
#define FEW		100

FIXTURE(growth)
{
	struct peer peer;
	struct fake_config config;
	int memory;
	int event;
};

FIXTURE_VARIANT(growth)
{
	enum peer_way way;
	const char *arg;
	bool shadow;
	bool first;
};

FIXTURE_VARIANT_ADD(growth, iommufd)
{
	.way = PEER_MAP_FILE,
	.first = true,
};

FIXTURE_VARIANT_ADD(growth, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_VARIANT_ADD(growth, shadow_dma)
{
	.way = PEER_MAP_FILE,
	.arg = "--shadow-dma",
	.shadow = true,
};

FIXTURE_VARIANT_ADD(growth, retain)
{
	.way = PEER_MAP_FILE,
	.arg = "--on-disconnect=retain",
};

FIXTURE_SETUP(growth)
{
	self->peer.daemon.pid = -1;
	self->peer.sock = -1;
	self->peer.root.control = NULL;
	self->memory = peer_memory(16 * PAGE);
	self->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, self->memory);
	ASSERT_LE(0, self->event);
	peer_config(&self->config, variant->way);
	self->config.migration = VFIO_USER_MIGRATION_STOP_COPY;
	self->config.mig_len = 100;
	ASSERT_EQ(0, peer_start(&self->peer, &self->config, variant->arg));
}

FIXTURE_TEARDOWN(growth)
{
	close(self->memory);
	close(self->event);
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* What is done again and again: 0 if it did what it should. */
typedef int (*growth_fn)(struct peer *peer, int memory, int event);

/* How much the daemon holds after so many times, or a negative errno. */
static long after(int times, growth_fn fn, struct peer *peer, int memory,
		  int event)
{
	int i, ret = 0;

	for (i = 0; !ret && i < times; i++)
		ret = fn(peer, memory, event);
	if (!ret && peer->sock < 0)
		ret = peer_leave(peer);
	if (ret)
		return ret < 0 ? ret : -ret;
	return fake_anon(peer->daemon.pid);
}

/*
 * Does the daemon hold no more in the end than when it was done a few times?
 * False as well if it could not be done.
 */
static bool levels_off(const char *name, growth_fn fn, struct peer *peer,
		       int memory, int event)
{
	long few, many;

	few = after(FEW, fn, peer, memory, event);
	many = few < 0 ? few : after(MANY, fn, peer, memory, event);
	printf("# %s: %ld bytes, %ld after %d times more\n", name, few, many,
	       MANY);
	return few >= 0 && many >= 0 && (many - few <= SLACK || !JUDGED);
}

/*
 * Commands
 */

static int map(struct peer *peer, int memory, int event)
{
	int ret = wire_map(peer->sock, IOVA, 2 * PAGE, PEER_RW, memory, PAGE);

	return ret ? ret : wire_unmap(peer->sock, IOVA, 2 * PAGE, 0);
}

static int map_without_fd(struct peer *peer, int memory, int event)
{
	int ret = wire_map(peer->sock, IOVA, PAGE, PEER_RW, -1, 0);

	return ret ? ret : wire_unmap(peer->sock, 0, 0, VFIO_USER_DMA_UNMAP_ALL);
}

/* No memory, not there, and none to unmap */
static int map_wrong(struct peer *peer, int memory, int event)
{
	if (!wire_map(peer->sock, IOVA, PAGE, PEER_RW, event, 0) ||
	    !wire_map(peer->sock, IOVA, PAGE, PEER_RW, memory, 16 * PAGE) ||
	    !wire_unmap(peer->sock, IOVA, PAGE, 0))
		return -EPROTO;
	return 0;
}

static int vectors(struct peer *peer, int memory, int event)
{
	const int fds[2] = { event, event };
	int ret;

	ret = wire_set_irqs(peer->sock, VFIO_USER_IRQ_SET_DATA_EVENTFD |
			    VFIO_USER_IRQ_SET_ACTION_TRIGGER, PEER_MSIX, 0, 2,
			    NULL, 0, fds, 2);
	if (!ret && wire_set_irqs(peer->sock, VFIO_USER_IRQ_SET_DATA_EVENTFD |
				  VFIO_USER_IRQ_SET_ACTION_TRIGGER, PEER_MSIX,
				  0, 1, NULL, 0, &memory, 1) == 0)
		ret = -EPROTO;
	return ret ? ret : wire_set_irqs(peer->sock,
					 VFIO_USER_IRQ_SET_DATA_NONE |
					 VFIO_USER_IRQ_SET_ACTION_TRIGGER,
					 PEER_MSIX, 0, 0, NULL, 0, NULL, 0);
}

static int request(struct peer *peer, int memory, int event)
{
	return wire_set_irqs(peer->sock, VFIO_USER_IRQ_SET_DATA_EVENTFD |
			     VFIO_USER_IRQ_SET_ACTION_TRIGGER, PEER_REQ, 0, 1,
			     NULL, 0, &event, 1);
}

static int region(struct peer *peer, int memory, int event)
{
	static struct wire_reply r;
	uint64_t value = 0;
	int ret;

	ret = wire_region_info(peer->sock, PEER_BAR2, 4096, &r);
	wire_close_fds(&r);
	if (!ret)
		ret = peer_put64(peer, FAKE_REG_SCRATCH, 1);
	if (!ret)
		ret = wire_read(peer->sock, PEER_BAR0, FAKE_REG_SCRATCH, &value,
				sizeof(value), NULL);
	if (!ret && wire_read(peer->sock, PEER_BAR0, 1ull << 40, &value,
			      sizeof(value), NULL) == 0)
		ret = -EPROTO;
	return ret;
}

static int writes(struct peer *peer, int memory, int event)
{
	static struct wire_reply r;
	struct {
		uint64_t nr;
		struct vfio_user_write_one one[2];
	} __attribute__((packed)) payload = { .nr = 2 };
	int i;

	for (i = 0; i < 2; i++) {
		payload.one[i].region = PEER_BAR0;
		payload.one[i].offset = FAKE_REG_SCRATCH;
		payload.one[i].count = 8;
	}
	return wire_call(peer->sock, VFIO_USER_REGION_WRITE_MULTI, &payload,
			 sizeof(payload), &r);
}

static int migration(struct peer *peer, int memory, int event)
{
	char data[200];
	uint32_t got;
	int ret;

	ret = feature_set_state(peer->sock, VFIO_USER_STATE_STOP_COPY);
	if (!ret)
		ret = stream_read(peer->sock, data, sizeof(data), &got);
	if (!ret)
		ret = feature_set_state(peer->sock, VFIO_USER_STATE_RUNNING);
	return ret;
}

static int features(struct peer *peer, int memory, int event)
{
	static struct wire_reply r;
	int ret = feature_call(peer->sock, VFIO_USER_FEATURE_GET |
			       VFIO_USER_FEATURE_MIGRATION, FEATURE_FIXED + 8,
			       NULL, 0, &r);

	if (!ret && feature_call(peer->sock, VFIO_USER_FEATURE_GET | 99,
				 FEATURE_FIXED + 8, NULL, 0, &r) == 0)
		ret = -EPROTO;
	return ret;
}

static int reset(struct peer *peer, int memory, int event)
{
	return wire_reset(peer->sock);
}

/*
 * Clients. Each waits until the daemon is done with the last.
 */

static int session(struct peer *peer, int memory, int event)
{
	const int fds[2] = { event, event };
	int ret = peer_connect(peer);

	if (!ret)
		ret = wire_map(peer->sock, IOVA, PAGE, PEER_RW, memory, 0);
	if (!ret)
		ret = wire_set_irqs(peer->sock, VFIO_USER_IRQ_SET_DATA_EVENTFD |
				    VFIO_USER_IRQ_SET_ACTION_TRIGGER,
				    PEER_MSIX, 0, 2, NULL, 0, fds, 2);
	close_fd(&peer->sock);
	return ret;
}

/* It sends half a header with an fd, and isn't heard of any more. */
static int half(struct peer *peer, int memory, int event)
{
	static const char text[7] = "";
	int ret = peer_connect(peer);

	if (!ret)
		ret = wire_send(peer->sock, text, sizeof(text), &memory, 1);
	close_fd(&peer->sock);
	return ret;
}

/* While somebody has the device */
static int refused(struct peer *peer, int memory, int event)
{
	static struct wire_reply r;
	int sock = wire_connect(peer->daemon.socket);
	int ret = wire_version(sock, NULL, &r);

	close(sock);
	return ret == EBUSY ? 0 : -EPROTO;
}

/* All of the threads that there can be have been, and left their stacks. */
static int crowd(struct peer *peer)
{
	static struct wire_reply r;
	int socks[CROWD], i, ret = 0;

	for (i = 0; i < CROWD; i++)
		socks[i] = wire_connect(peer->daemon.socket);
	/* Nobody is turned away for one who says something. */
	for (i = 0; i < CROWD; i++) {
		if (wire_version(socks[i], NULL, &r) != EBUSY)
			ret = -EPROTO;
		close(socks[i]);
	}
	return ret;
}

static int status(struct peer *peer, int memory, int event)
{
	json_t *json = peer_status(peer);

	json_decref(json);
	return json ? 0 : -EPROTO;
}

static const struct {
	const char *name;
	growth_fn fn;
	enum {
		COMMAND,	/* of a client that is there */
		ASKING,		/* it would have to answer, with --shadow-dma */
		ONCE,		/* the same in all variants: only in the first */
		CLIENT,		/* of its own */
	} kind;
} things[] = {
	{ "map", map, COMMAND },
	{ "map without fd", map_without_fd, ASKING },
	{ "wrong map", map_wrong, COMMAND },
	{ "vectors", vectors, COMMAND },
	{ "request", request, ONCE },
	{ "region", region, ONCE },
	{ "writes", writes, ONCE },
	{ "migration", migration, ONCE },
	{ "features", features, ONCE },
	{ "reset", reset, COMMAND },
	{ "refused client", refused, ONCE },
	{ "status", status, ONCE },
	{ "session", session, CLIENT },
	{ "half a message", half, CLIENT },
};

TEST_F_TIMEOUT(growth, nothing_costs_more_the_more_often_it_is_done, 240)
{
	struct peer *peer = &self->peer;
	unsigned int i;

	ASSERT_EQ(0, peer_connect(peer));
	ASSERT_EQ(0, crowd(peer));
	for (i = 0; i < ARRAY_SIZE(things); i++) {
		if ((variant->shadow && things[i].kind == ASKING) ||
		    (!variant->first && things[i].kind == ONCE))
			continue;
		if (things[i].kind == CLIENT && peer->sock >= 0)
			ASSERT_EQ(0, peer_leave(peer));
		EXPECT_TRUE(levels_off(things[i].name, things[i].fn, peer,
				       self->memory, self->event));
	}
}

/* Stacks and buffers of the second session's, and not a heap besides. */
#define SECOND		(64 * 1024)

TEST(devices_share_a_heap)
{
	const char *const none[] = { NULL };
	struct fake_config config;
	struct pair pair;
	long one, both;

	pair_init(&pair);
	pair_config(&config, PEER_MAP_FILE);
	config.more[0].group++;
	EXPECT_EQ(0, pair_start(&pair, &config, none));
	EXPECT_EQ(0, peer_connect(&pair.a));
	EXPECT_EQ(0, crowd(&pair.a));
	one = fake_anon(pair.a.daemon.pid);
	EXPECT_EQ(0, peer_connect(&pair.b));
	both = fake_anon(pair.a.daemon.pid);
	EXPECT_LT(0, one);
	EXPECT_TRUE(!JUDGED || both - one <= SECOND)
		TH_LOG("%ld bytes with one client, %ld with two", one, both);
	EXPECT_EQ(0, pair_close(&pair));
}

TEST_HARNESS_MAIN
