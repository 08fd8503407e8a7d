// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients that don't go on: how long the daemon waits for them. The waiting is
 * ten seconds for each, so all of them are waited for at the same time.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

/* Send commands and read none of their replies, until nothing more goes. */
static void be_deaf(int sock)
{
	const struct vfio_user_region_access id = {
		.region = PEER_BAR0,
		.count = 8,
	};
	const struct timeval soon = { .tv_usec = 100000 };
	uint16_t i;

	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	for (i = 0; !wire_command(sock, i, VFIO_USER_REGION_READ, &id,
				  sizeof(id), NULL, 0); i++)
		;
}

TEST(clients_that_take_forever_are_given_up)
{
	struct vfio_user_header header =
		wire_header(1, VFIO_USER_VERSION, 100);
	struct peer silent, slow, deaf, idle;
	struct vfio_user_device_info info;
	struct fake_config config;

	peer_config(&config, PEER_MAP_FILE);
	ASSERT_EQ(0, peer_start(&silent, &config, NULL));
	ASSERT_EQ(0, peer_start(&slow, &config, NULL));
	ASSERT_EQ(0, peer_start(&deaf, &config, NULL));
	ASSERT_EQ(0, peer_start(&idle, &config, NULL));
	silent.sock = wire_connect(silent.daemon.socket);
	slow.sock = wire_connect(slow.daemon.socket);
	EXPECT_EQ(0, wire_send(slow.sock, &header, sizeof(header), NULL, 0));
	EXPECT_EQ(0, peer_connect(&deaf));
	EXPECT_EQ(0, peer_connect(&idle));
	be_deaf(deaf.sock);

	peer_pause(7000);
	EXPECT_TRUE(wire_quiet(silent.sock));
	EXPECT_TRUE(wire_quiet(slow.sock));
	EXPECT_TRUE(wire_closed(silent.sock));
	EXPECT_TRUE(wire_closed(slow.sock));
	EXPECT_EQ(0, peer_wait_idle(&deaf));
	EXPECT_TRUE(peer_log_has(&silent, "too slow"));
	EXPECT_TRUE(peer_log_has(&slow, "too slow"));
	/* Who has been greeted may be idle. */
	EXPECT_EQ(0, wire_info(idle.sock, &info));

	EXPECT_EQ(0, peer_hang_up(&silent));
	EXPECT_EQ(0, peer_connect(&silent));
	EXPECT_EQ(0, peer_hang_up(&deaf));
	EXPECT_EQ(0, peer_connect(&deaf));
	EXPECT_EQ(0, peer_close(&silent));
	EXPECT_EQ(0, peer_close(&slow));
	EXPECT_EQ(0, peer_close(&deaf));
	EXPECT_EQ(0, peer_close(&idle));
}

/* For longer than any of them may, shorter than their messages would take. */
#define DRIBBLE_S	25
#define DRIBBLERS	4

/* One byte each second from each; until the daemon has closed on all of them. */
static unsigned int dribble(struct peer *peers, unsigned int count)
{
	unsigned int s, i, open = count;
	char byte = 0;

	for (s = 0; s < DRIBBLE_S && open; s++) {
		open = 0;
		for (i = 0; i < count; i++)
			open += send(peers[i].sock, &byte, 1,
				     MSG_NOSIGNAL) == 1;
		peer_pause(1000);
	}
	return open;
}

/* Half of them begin a VERSION, the others something that comes after it. */
static int begin(struct peer *peer, bool greeted)
{
	struct vfio_user_header header =
		wire_header(1, greeted ? VFIO_USER_REGION_WRITE :
			    VFIO_USER_VERSION, 1000);
	int ret = 0;

	if (greeted)
		ret = peer_connect(peer);
	else
		peer->sock = wire_connect(peer->daemon.socket);
	return ret ? ret : wire_send(peer->sock, &header, sizeof(header), NULL,
				     0);
}

FIXTURE(dribble)
{
	struct peer peers[DRIBBLERS];
};

FIXTURE_SETUP(dribble)
{
	struct fake_config config;
	int i;

	peer_config(&config, PEER_MAP_FILE);
	for (i = 0; i < DRIBBLERS; i++)
		ASSERT_EQ(0, peer_start(&self->peers[i], &config, NULL));
}

FIXTURE_TEARDOWN(dribble)
{
	int i;

	for (i = 0; i < DRIBBLERS; i++)
		EXPECT_EQ(0, peer_close(&self->peers[i]));
}

TEST_F_TIMEOUT(dribble, a_byte_a_second_is_given_up, 90)
{
	struct peer *peers = self->peers;
	int i;

	for (i = 0; i < DRIBBLERS; i++)
		ASSERT_EQ(0, begin(&peers[i], i % 2));
	EXPECT_EQ(0, dribble(peers, DRIBBLERS));
	for (i = 0; i < DRIBBLERS; i++) {
		EXPECT_TRUE(peer_log_has(&peers[i], "too slow"));
		EXPECT_EQ(0, peer_hang_up(&peers[i]));
		EXPECT_EQ(0, peer_connect(&peers[i]));
	}
}

TEST_HARNESS_MAIN
