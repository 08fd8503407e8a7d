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

TEST_HARNESS_MAIN
