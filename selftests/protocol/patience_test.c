// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients that don't go on: how long the daemon waits for them. The waiting is
 * ten seconds for each, so all of them are waited for at the same time.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "pair.h"
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
	const struct vfio_user_header reset =
		wire_header(2, VFIO_USER_DEVICE_RESET, 0);
	const uint8_t *bytes = (const uint8_t *)&reset;
	struct peer silent, slow, deaf, idle, pausing;
	struct vfio_user_device_info info;
	static struct wire_reply r;
	struct fake_config config;

	peer_config(&config, PEER_MAP_FILE);
	ASSERT_EQ(0, peer_start(&silent, &config, NULL));
	ASSERT_EQ(0, peer_start(&slow, &config, NULL));
	ASSERT_EQ(0, peer_start(&deaf, &config, NULL));
	ASSERT_EQ(0, peer_start(&idle, &config, NULL));
	ASSERT_EQ(0, peer_start(&pausing, &config, NULL));
	silent.sock = wire_connect(silent.daemon.socket);
	slow.sock = wire_connect(slow.daemon.socket);
	EXPECT_EQ(0, wire_send(slow.sock, &header, sizeof(header), NULL, 0));
	EXPECT_EQ(0, peer_connect(&deaf));
	EXPECT_EQ(0, peer_connect(&idle));
	EXPECT_EQ(0, peer_connect(&pausing));
	EXPECT_EQ(0, wire_send(pausing.sock, bytes, 6, NULL, 0));
	be_deaf(deaf.sock);

	peer_pause(7000);
	EXPECT_TRUE(wire_quiet(silent.sock));
	EXPECT_TRUE(wire_quiet(slow.sock));
	/* That much time there is. */
	EXPECT_EQ(0, wire_send(pausing.sock, bytes + 6, sizeof(reset) - 6,
			       NULL, 0));
	EXPECT_EQ(0, wire_expect(pausing.sock, 2, VFIO_USER_DEVICE_RESET, &r));
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
	EXPECT_EQ(0, peer_close(&pausing));
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

#define DEAF_DAEMONS	2
#define DEAF_DEVICES	4
#define DEAF_SOCKETS	(DEAF_DAEMONS * DEAF_DEVICES)
/* Sessions, on all sockets but the last, and those who come second to them. */
#define DEAF_SESSIONS	(DEAF_SOCKETS - 1)
#define DEAF_CLIENTS	16

/* For how long somebody who reads is served meanwhile, at most. */
#define DEAF_S		40
/* What is documented are 10 seconds; the daemon stops sooner than the client. */
#define DEAF_LEAST_MS	5000

FIXTURE(deaf)
{
	struct peer daemons[DEAF_DAEMONS];
	struct peer sockets[DEAF_SOCKETS];
	char names[DEAF_DEVICES][64];
	int clients[DEAF_CLIENTS];
	int memory;
};

/* A daemon with four devices, each in a group of its own. */
static int start_four(struct peer *peer, struct peer *sockets,
		      char (*names)[64])
{
	char args[DEAF_DEVICES][2][200], monitor[200];
	const char *argv[2 * DEAF_DEVICES + 2] = { monitor };
	struct fake_config config;
	char dir[128];
	int i, n, ret;

	peer_config(&config, PEER_MAP_FILE);
	snprintf(names[0], sizeof(names[0]), "%s", config.name);
	config.nr_more = DEAF_DEVICES - 1;
	for (i = 1; i < DEAF_DEVICES; i++) {
		snprintf(names[i], sizeof(names[i]), "0000:01:%02x.0", i);
		config.more[i - 1].group = config.group + i;
		config.more[i - 1].cdev = config.cdev + i;
		strcpy(config.more[i - 1].name, names[i]);
	}
	ret = peer_machine(peer, &config);
	if (ret)
		return ret;
	snprintf(dir, sizeof(dir), "%s", peer->root.path);
	snprintf(peer->monitor, sizeof(peer->monitor), "%s/monitor", dir);
	snprintf(monitor, sizeof(monitor), "--monitor=%s", peer->monitor);
	for (i = 0; i < DEAF_DEVICES; i++) {
		snprintf(args[i][0], sizeof(args[i][0]), "--device=%s",
			 names[i]);
		snprintf(args[i][1], sizeof(args[i][1]), "--socket-path=%s/%d",
			 dir, i);
		argv[2 * i + 1] = args[i][0];
		argv[2 * i + 2] = args[i][1];
	}
	ret = fake_daemon_start(&peer->daemon, &peer->root, argv);
	if (ret)
		return ret;
	peer->idle_fds = fake_nr_fds(&peer->root, peer->daemon.pid);
	for (i = 0; i < DEAF_DEVICES; i++) {
		sockets[i] = *peer;
		n = snprintf(sockets[i].daemon.socket,
			     sizeof(sockets[i].daemon.socket), "%s/%d", dir, i);
		if (n >= sizeof(sockets[i].daemon.socket))
			return -ENAMETOOLONG;
	}
	return 0;
}

FIXTURE_SETUP(deaf)
{
	int i;

	for (i = 0; i < DEAF_CLIENTS; i++)
		self->clients[i] = -1;
	for (i = 0; i < DEAF_DAEMONS; i++)
		ASSERT_EQ(0, start_four(&self->daemons[i],
					&self->sockets[i * DEAF_DEVICES],
					self->names));
	self->memory = peer_memory(0x2000);
	ASSERT_LE(0, self->memory);
}

FIXTURE_TEARDOWN(deaf)
{
	int i;

	for (i = 0; i < DEAF_CLIENTS; i++)
		close_fd(&self->clients[i]);
	for (i = 0; i < DEAF_DAEMONS; i++)
		EXPECT_EQ(0, peer_close(&self->daemons[i]));
	close(self->memory);
}

/* The same with replies that carry fds. */
static void be_deaf_to_fds(int sock)
{
	const struct vfio_user_region_info info = {
		.argsz = 4096,
		.index = PEER_BAR0,
	};
	const struct timeval soon = { .tv_usec = 100000 };
	uint16_t i;

	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	for (i = 0; !wire_command(sock, i, VFIO_USER_DEVICE_GET_REGION_INFO,
				  &info, sizeof(info), NULL, 0); i++)
		;
}

static int deaf_session(struct peer *peer, int kind, int memory)
{
	int ret = peer_connect(peer);

	if (!ret)
		ret = wire_map(peer->sock, 0, 0x2000, PEER_RW, memory, 0);
	if (ret)
		return ret;
	if (kind % 2)
		be_deaf_to_fds(peer->sock);
	else
		be_deaf(peer->sock);
	return 0;
}

/* One who is told to go, again and again, and doesn't listen. */
static int deaf_second(const struct peer *peer)
{
	const struct vfio_user_version version = { 0, 1 };
	int i, sock = wire_connect(peer->daemon.socket);

	for (i = 0; sock >= 0 && i < 100; i++)
		wire_command(sock, i, VFIO_USER_VERSION, &version,
			     sizeof(version), NULL, 0);
	return sock;
}

/* Without reading any of what is there to be read. */
static unsigned int count_open(const int *clients, unsigned int nr)
{
	unsigned int i, open = 0;

	for (i = 0; i < nr; i++) {
		struct pollfd hung_up = { .fd = clients[i] };

		open += poll(&hung_up, 1, 0) == 0;
	}
	return open;
}

/* All that a session is good for, fds in both directions included. */
static int polite_session(struct peer *peer, int memory)
{
	static struct wire_reply r;
	int event = eventfd(0, EFD_CLOEXEC);
	int ret = peer_connect(peer);

	if (!ret)
		ret = wire_region_info(peer->sock, PEER_BAR0, 4096, &r);
	if (!ret && r.nr_fds != 1)
		ret = -EBADMSG;
	wire_close_fds(&r);
	if (!ret)
		ret = wire_map(peer->sock, 0, 0x2000, PEER_RW, memory, 0);
	if (!ret && peer_dma(peer, 0, 0x1000, 8) != FAKE_DMA_DONE)
		ret = -EIO;
	if (!ret)
		ret = wire_set_irqs(peer->sock,
				    VFIO_USER_IRQ_SET_DATA_EVENTFD |
				    VFIO_USER_IRQ_SET_ACTION_TRIGGER, PEER_MSIX,
				    0, 1, NULL, 0, &event, 1);
	close_fd(&peer->sock);
	close(event);
	return ret;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

TEST_F_TIMEOUT(deaf, sixteen_who_never_read_are_given_up, 90)
{
	struct peer *polite = &self->sockets[DEAF_SESSIONS];
	int64_t begun = now_ms(), first = 0;
	unsigned int i, served = 0;

	for (i = 0; i < DEAF_SESSIONS; i++) {
		struct peer *peer = &self->sockets[i];

		ASSERT_EQ(0, deaf_session(peer, i, self->memory));
		self->clients[i] = peer->sock;
	}
	for (; i < DEAF_CLIENTS; i++) {
		self->clients[i] =
			deaf_second(&self->sockets[i % DEAF_SESSIONS]);
		ASSERT_LE(0, self->clients[i]);
	}
	while (count_open(self->clients, DEAF_CLIENTS) &&
	       now_ms() < begun + DEAF_S * 1000) {
		if (!first && count_open(self->clients, DEAF_SESSIONS) <
		    DEAF_SESSIONS)
			first = now_ms() - begun;
		ASSERT_EQ(0, polite_session(polite, self->memory));
		ASSERT_EQ(0, pair_wait_left(polite,
					    self->names[DEAF_DEVICES - 1]));
		served++;
		peer_pause(100);
	}
	TH_LOG("%u served meanwhile", served);
	EXPECT_EQ(0, count_open(self->clients, DEAF_CLIENTS));
	EXPECT_LT(DEAF_LEAST_MS, first);
	EXPECT_LT(1, served);

	/* Nothing of what was sent to them has been read, and all goes on. */
	EXPECT_EQ(DEAF_SESSIONS, peer_log_count(&self->daemons[0], "too slow") +
		  peer_log_count(&self->daemons[1], "too slow"));
	for (i = 0; i < DEAF_SOCKETS; i++) {
		/* What it wasn't interested in holds the device. */
		if (i < DEAF_SESSIONS && i % 2) {
			EXPECT_EQ(EBUSY, polite_session(&self->sockets[i],
							self->memory));
			close_fd(&self->clients[i]);
		}
		EXPECT_EQ(0, polite_session(&self->sockets[i], self->memory));
	}
	for (i = 0; i < DEAF_DAEMONS; i++) {
		EXPECT_EQ(0, peer_wait_idle(&self->daemons[i]));
		EXPECT_EQ(0, self->daemons[i].root.control->nr_maps);
	}
}

TEST_HARNESS_MAIN
