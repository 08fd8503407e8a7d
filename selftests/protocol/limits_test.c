// SPDX-License-Identifier: GPL-2.0-only
/* What an operator allows a session at most. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"
#include "util.h"
#include "wire.h"

#include "kselftest_harness.h"

#define PAGE	4096
#define MEMORY	(64 * PAGE)

FIXTURE(limits)
{
	struct peer peer;
	int memory;
};

FIXTURE_VARIANT(limits)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(limits, iommufd)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(limits, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(limits)
{
	peer_init(&self->peer);
	self->memory = peer_memory(MEMORY);
	ASSERT_LE(0, self->memory);
}

FIXTURE_TEARDOWN(limits)
{
	close(self->memory);
	EXPECT_EQ(0, peer_close(&self->peer));
}

static int begin(struct peer *peer, enum peer_way way, const char *arg)
{
	struct fake_config config;

	peer_config(&config, way);
	config.ranges[1].last = (1ull << 48) - 1;
	return peer_begin(peer, &config, arg);
}

TEST_F(limits, no_more_maps_than_allowed)
{
	struct peer *peer = &self->peer;
	uint64_t i;

	ASSERT_EQ(0, begin(peer, variant->way, "--max-dma-maps=3"));
	/* The client has been told. */
	EXPECT_EQ(3, peer->max_maps);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, wire_map(peer->sock, i * PAGE, PAGE, PEER_RW,
				      self->memory, 0));
	EXPECT_EQ(ENOSPC, wire_map(peer->sock, i * PAGE, PAGE, PEER_RW,
				   self->memory, 0));
	EXPECT_EQ(0, wire_unmap(peer->sock, 0, PAGE, 0));
	EXPECT_EQ(0, wire_map(peer->sock, i * PAGE, PAGE, PEER_RW,
			      self->memory, 0));
}

TEST_F(limits, no_more_memory_than_allowed)
{
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, begin(peer, variant->way, "--max-dma=64K"));
	EXPECT_EQ(0, wire_map(peer->sock, 0, 15 * PAGE, PEER_RW, self->memory,
			      0));
	EXPECT_EQ(ENOMEM, wire_map(peer->sock, 0x100000, 2 * PAGE, PEER_RW,
				   self->memory, 0));
	EXPECT_TRUE(peer_log_has(peer, "--max-dma=65536 does not allow it"));
	/* The last page that there is, and none after it. */
	EXPECT_EQ(0, wire_map(peer->sock, 0x100000, PAGE, PEER_RW,
			      self->memory, 0));
	EXPECT_EQ(ENOMEM, wire_map(peer->sock, 0x200000, PAGE, PEER_RW,
				   self->memory, 0));
	EXPECT_EQ(0, wire_unmap(peer->sock, 0, 15 * PAGE, 0));
	EXPECT_EQ(0, wire_map(peer->sock, 0x200000, PAGE, PEER_RW,
			      self->memory, 0));
}

/* The same bytes mapped often count as often: it is what is pinned. */
TEST_F(limits, usual_limit_is_twice_the_memory)
{
	uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE;
	struct peer *peer = &self->peer;
	int memory = peer_memory(1);

	ASSERT_LE(0, memory);
	ASSERT_EQ(0, ftruncate(memory, all + PAGE));
	ASSERT_EQ(0, begin(peer, variant->way, NULL));
	EXPECT_EQ(0, wire_map(peer->sock, 1ull << 40, all, PEER_RW, memory,
			      0));
	EXPECT_EQ(0, wire_map(peer->sock, 2ull << 40, all, PEER_RW, memory,
			      0));
	EXPECT_EQ(ENOMEM, wire_map(peer->sock, 3ull << 40, PAGE, PEER_RW,
				   memory, 0));
	close(memory);
}

TEST_F(limits, many_messages_are_told_of_once)
{
	struct peer *peer = &self->peer;
	unsigned int i;

	ASSERT_EQ(0, begin(peer, variant->way, "--message-rate=20"));
	for (i = 0; i < 2000; i++)
		peer_get64(peer, 0);
	EXPECT_EQ(1, peer_log_count(peer, "more than 20 messages a second"));
	/* It is an observation, and no limit. */
	EXPECT_EQ(FAKE_ID, peer_get64(peer, FAKE_REG_ID));
}

/*
 * What a client does wrong is told, but not as often as it likes. (100 in a
 * minute; that the minute is over before a thousand messages are through would
 * take a very slow machine.)
 */
#define MANY	1000
#define LINES	100

static unsigned int lines_of(const struct peer *peer, const char *text)
{
	static char log[1 << 20];
	unsigned int nr = 0;
	const char *at;

	fake_daemon_log(&peer->daemon, log, sizeof(log));
	for (at = log; (at = strstr(at, text)); at++)
		nr++;
	return nr;
}

TEST_F(limits, complaints_of_a_session)
{
	struct peer *peer = &self->peer;
	unsigned int i;

	ASSERT_EQ(0, begin(peer, variant->way, "--max-dma=64K"));
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(ENOMEM, wire_map(peer->sock, 0, 17 * PAGE, PEER_RW,
					   self->memory, 0));
	EXPECT_EQ(LINES, lines_of(peer, "does not allow it"));
	EXPECT_EQ(1, lines_of(peer, "no more lines like the last"));
	/* Another session of the client's has no more. */
	ASSERT_EQ(0, peer_hang_up(peer));
	ASSERT_EQ(0, peer_connect(peer));
	EXPECT_EQ(ENOMEM, wire_map(peer->sock, 0, 17 * PAGE, PEER_RW,
				   self->memory, 0));
	EXPECT_EQ(LINES, lines_of(peer, "does not allow it"));
}

/* And none of it hides what there is to say of others. */
TEST_F(limits, lines_about_clients_that_are_refused)
{
	struct peer *peer = &self->peer;
	unsigned int i;
	int sock;

	ASSERT_EQ(0, begin(peer, variant->way, "--max-dma=64K"));
	for (i = 0; i < 3 * LINES; i++) {
		struct wire_reply r;

		sock = wire_connect(peer->daemon.socket);
		ASSERT_EQ(EBUSY, wire_version(sock, NULL, &r));
		close(sock);
	}
	EXPECT_EQ(LINES, lines_of(peer, "busy with pid"));
	EXPECT_EQ(1, lines_of(peer, "no more lines like the last"));
	EXPECT_EQ(ENOMEM, wire_map(peer->sock, 0, 17 * PAGE, PEER_RW,
				   self->memory, 0));
	EXPECT_EQ(1, lines_of(peer, "does not allow it"));
}

TEST_F(limits, errors_that_the_client_fires_itself)
{
	struct peer *peer = &self->peer;
	unsigned int i;

	ASSERT_EQ(0, begin(peer, variant->way, NULL));
	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(0, wire_set_irqs(peer->sock,
					   VFIO_USER_IRQ_SET_DATA_NONE |
					   VFIO_USER_IRQ_SET_ACTION_TRIGGER,
					   PEER_ERR, 0, 1, NULL, 0, NULL, 0));
		peer_pause(1);
	}
	EXPECT_TRUE(peer_wait_log(peer, "no more lines like the last"));
	EXPECT_EQ(LINES, lines_of(peer, "the device reports an error"));
}

TEST_F(limits, few_messages_are_not_told_of)
{
	struct peer *peer = &self->peer;
	unsigned int i;

	ASSERT_EQ(0, begin(peer, variant->way, "--message-rate=20"));
	for (i = 0; i < 60; i++) {
		peer_get64(peer, 0);
		peer_pause(60);
	}
	EXPECT_FALSE(peer_log_has(peer, "messages a second"));
}

TEST_F(limits, values_that_can_not_be)
{
	static const char *const bad[] = {
		"--max-dma=", "--max-dma=0", "--max-dma=-1", "--max-dma=1x",
		"--max-dma-maps=0", "--max-dma-maps=4294967296",
		"--message-rate=0", "--message-rate=often",
	};
	struct fake_config config;
	unsigned int i;

	peer_config(&config, variant->way);
	ASSERT_EQ(0, peer_machine(&self->peer, &config));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *const args[] = { bad[i], NULL };

		ASSERT_EQ(0, fake_daemon_spawn(&self->peer.daemon,
					       &self->peer.root, args));
		EXPECT_EQ(2, fake_daemon_wait(&self->peer.daemon, 15000));
		EXPECT_EQ(1, peer_log_count(&self->peer, "\n"));
	}
}

TEST_HARNESS_MAIN
