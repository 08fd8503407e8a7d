// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands of the server's: over which socket they go, what they look like, what
 * is taken for an answer, and how little a client can do by not answering.
 *
 * --shadow-dma makes the daemon send them: DMA_READ at each DMA_MAP and before
 * each register write, DMA_WRITE when the device has written.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mirror.h"
#include "util.h"

#include "kselftest_harness.h"

#define IOVA		0x100000
#define SIZE		0x4000
#define HALF		(SIZE / 2)

/* As bridge/peer.c and the specification have it. */
#define DEADLINE_MS	5000
#define MAX_QUEUED	64

FIXTURE(twin)
{
	struct peer peer;
	struct mirror mirror;
	struct fake_config config;
	struct wire_reply r;
	uint8_t mem[SIZE];
};

FIXTURE_VARIANT(twin)
{
	bool twin;
};

FIXTURE_VARIANT_ADD(twin, twin_socket)
{
	.twin = true,
};

FIXTURE_VARIANT_ADD(twin, main_socket)
{
	.twin = false,
};

FIXTURE_SETUP(twin)
{
	peer_config(&self->config, PEER_MAP_FILE);
	ASSERT_EQ(0, peer_start(&self->peer, &self->config, "--shadow-dma"));
	ASSERT_EQ(0, mirror_connect(&self->mirror, &self->peer, variant->twin,
				    ""));
}

FIXTURE_TEARDOWN(twin)
{
	mirror_close(&self->mirror);
	EXPECT_EQ(0, peer_close(&self->peer));
	EXPECT_EQ(0, atomic_load(&self->mirror.bad));
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* Is the daemon rid of its client, and does it serve the next as well? */
static int next_client(struct mirror *mirror, struct peer *peer, bool twin)
{
	uint8_t byte_map[4096] = { 0 };
	int ret;

	if (!wire_closed(peer->sock))
		return -EISCONN;
	mirror_close(mirror);
	ret = peer_hang_up(peer);
	if (ret)
		return ret;
	ret = mirror_connect(mirror, peer, twin, "");
	if (!ret)
		ret = mirror_map(mirror, peer, IOVA, byte_map,
				 sizeof(byte_map), PEER_RW);
	return ret ? ret : peer_put64(peer, FAKE_REG_SCRATCH, 1);
}

/* Have the device change memory that the client hasn't seen yet. */
static int change(const struct peer *peer, uint8_t *mem)
{
	memset(mem, 0x5a, HALF);
	return peer_dma(peer, IOVA, IOVA + HALF, HALF) == FAKE_DMA_DONE ?
		0 : -EIO;
}

/* A map by hand: the answer doesn't come, or comes too slowly. */
static int be_asked(struct peer *peer, struct mirror *mirror,
		    enum mirror_how how)
{
	struct vfio_user_dma_map map = {
		.argsz = sizeof(map),
		.flags = PEER_RW,
		.address = IOVA,
		.size = SIZE,
	};
	static uint8_t mem[SIZE];

	mirror->maps[0] = (struct mirror_map){ IOVA, SIZE, mem };
	mirror->nr_maps = 1;
	mirror->how = how;
	return wire_command(peer->sock, 1, VFIO_USER_DMA_MAP, &map,
			    sizeof(map), NULL, 0);
}

TEST(twin_socket_is_made_for_those_who_ask)
{
	static struct peer peer;
	static struct mirror mirror;
	struct fake_config config;
	int type, domain;
	socklen_t len = sizeof(int);

	peer_config(&config, PEER_MAP_FILE);
	ASSERT_EQ(0, peer_start(&peer, &config, NULL));
	ASSERT_EQ(0, mirror_connect(&mirror, &peer, true, ""));
	EXPECT_EQ(0, getsockopt(mirror.twin, SOL_SOCKET, SO_TYPE, &type, &len));
	EXPECT_EQ(SOCK_STREAM, type);
	EXPECT_EQ(0, getsockopt(mirror.twin, SOL_SOCKET, SO_DOMAIN, &domain,
				&len));
	EXPECT_EQ(AF_UNIX, domain);
	/* And goes with the session, at both ends. */
	close_fd(&peer.sock);
	EXPECT_EQ(0, peer_wait_idle(&peer));
	pthread_join(mirror.thread, NULL);
	close_fd(&mirror.twin);
	EXPECT_EQ(0, peer_close(&peer));
}

TEST(twin_socket_is_not_made_for_others)
{
	static struct peer peer;
	static struct wire_reply r;
	struct fake_config config;

	peer_config(&config, PEER_MAP_FILE);
	ASSERT_EQ(0, peer_start(&peer, &config, NULL));
	peer.sock = wire_connect(peer.daemon.socket);
	ASSERT_EQ(0, wire_version(peer.sock, NULL, &r));
	EXPECT_EQ(0, r.nr_fds);
	EXPECT_NE(NULL, strstr((char *)r.payload + 4,
			       "\"twin_socket\":{\"supported\":false}"));
	EXPECT_EQ(0, peer_close(&peer));
}

/* Nobody gets the other end, so commands go over the main socket. */
TEST(twin_socket_is_not_made_without_a_reply)
{
	static const char payload[] =
		"\0\0\1\0{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}";
	struct vfio_user_header header = wire_header(1, VFIO_USER_VERSION,
						     sizeof(payload));
	static struct mirror mirror = { .twin = -1 };
	static uint8_t mem[SIZE];
	static struct peer peer;
	struct fake_config config;

	peer_config(&config, PEER_MAP_FILE);
	ASSERT_EQ(0, peer_start(&peer, &config, "--shadow-dma"));
	peer.sock = wire_connect(peer.daemon.socket);
	header.flags |= VFIO_USER_FLAG_NO_REPLY;
	ASSERT_EQ(0, wire_send(peer.sock, &header, sizeof(header), NULL, 0));
	ASSERT_EQ(0, wire_send(peer.sock, payload, sizeof(payload), NULL, 0));
	wire_on_command(mirror_answer, &mirror);
	EXPECT_EQ(0, mirror_map(&mirror, &peer, IOVA, mem, SIZE, PEER_RW));
	EXPECT_EQ(1, atomic_load(&mirror.reads));
	wire_on_command(NULL, NULL);
	EXPECT_EQ(0, peer_close(&peer));
}

TEST_F(twin, requests_are_well_formed_and_answered)
{
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	EXPECT_EQ(1, atomic_load(&self->mirror.reads));
	EXPECT_EQ(IOVA, self->mirror.log[0].iova);
	EXPECT_EQ(SIZE, self->mirror.log[0].count);
	mirror_forget(&self->mirror);
	ASSERT_EQ(0, change(&self->peer, self->mem));
	EXPECT_EQ(5, atomic_load(&self->mirror.reads));
	EXPECT_EQ(1, atomic_load(&self->mirror.writes));
	EXPECT_TRUE(self->mirror.log[5].write);
	EXPECT_EQ(IOVA + HALF, self->mirror.log[5].iova);
	EXPECT_EQ(HALF, self->mirror.log[5].count);
	EXPECT_EQ(0, memcmp(self->mem, self->mem + HALF, HALF));
}

TEST_F(twin, reply_to_a_write_may_have_a_count_of_8_bytes)
{
	self->mirror.how = MIRROR_LONG_WRITE;
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	EXPECT_EQ(0, change(&self->peer, self->mem));
	EXPECT_EQ(1, atomic_load(&self->mirror.writes));
}

TEST_F(twin, requests_are_split_by_what_the_client_takes)
{
	mirror_close(&self->mirror);
	ASSERT_EQ(0, peer_hang_up(&self->peer));
	ASSERT_EQ(0, mirror_connect(&self->mirror, &self->peer, variant->twin,
				    "\"max_data_xfer_size\":1000,"));
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	EXPECT_EQ(17, atomic_load(&self->mirror.reads));
	EXPECT_EQ(IOVA + 1000, self->mirror.log[1].iova);
	EXPECT_EQ(SIZE - 16000, self->mirror.log[16].count);
	ASSERT_EQ(0, change(&self->peer, self->mem));
	EXPECT_EQ(9, atomic_load(&self->mirror.writes));
	EXPECT_EQ(1000, self->mirror.largest);
	EXPECT_EQ(0, memcmp(self->mem, self->mem + HALF, HALF));
}

/* The daemon takes no more itself than it says, whatever the client would. */
TEST_F(twin, requests_are_no_larger_than_a_mebibyte)
{
	static uint8_t mem[3 << 20];

	mirror_close(&self->mirror);
	ASSERT_EQ(0, peer_hang_up(&self->peer));
	ASSERT_EQ(0, mirror_connect(&self->mirror, &self->peer, variant->twin,
				    "\"max_data_xfer_size\":1099511627776,"));
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, mem,
				sizeof(mem), PEER_RW));
	EXPECT_EQ(3, atomic_load(&self->mirror.reads));
	EXPECT_EQ(1 << 20, self->mirror.largest);
}

TEST_F(twin, nonsense_in_place_of_a_reply_to_a_read_ends_the_session)
{
	int how;

	for (how = MIRROR_ID; how < MIRROR_NR_WAYS; how++) {
		self->mirror.how = how;
		EXPECT_NE(0, mirror_map(&self->mirror, &self->peer, IOVA,
					self->mem, SIZE, PEER_RW));
		EXPECT_EQ(1, atomic_load(&self->mirror.reads));
		self->mirror.how = MIRROR_RIGHT;
		EXPECT_EQ(0, next_client(&self->mirror, &self->peer,
					 variant->twin))
			TH_LOG("after nonsense %d", how);
		mirror_close(&self->mirror);
		ASSERT_EQ(0, peer_hang_up(&self->peer));
		ASSERT_EQ(0, mirror_connect(&self->mirror, &self->peer,
					    variant->twin, ""));
	}
	EXPECT_EQ(MIRROR_NR_WAYS - MIRROR_ID,
		  peer_log_count(&self->peer, "answers with nonsense"));
}

TEST_F(twin, nonsense_in_place_of_a_reply_to_a_write_ends_the_session)
{
	int how;

	for (how = MIRROR_ID; how < MIRROR_NR_WAYS; how++) {
		ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA,
					self->mem, SIZE, PEER_RW));
		ASSERT_EQ(0, change(&self->peer, self->mem));
		memset(self->mem, how, HALF);
		ASSERT_EQ(0, peer_put64(&self->peer, FAKE_REG_DOORBELL, 1));
		self->mirror.how = how;
		EXPECT_EQ(UINT64_MAX, peer_get64(&self->peer,
						 FAKE_REG_STATUS));
		self->mirror.how = MIRROR_RIGHT;
		EXPECT_EQ(0, next_client(&self->mirror, &self->peer,
					 variant->twin))
			TH_LOG("after nonsense %d", how);
		mirror_close(&self->mirror);
		ASSERT_EQ(0, peer_hang_up(&self->peer));
		ASSERT_EQ(0, mirror_connect(&self->mirror, &self->peer,
					    variant->twin, ""));
	}
	EXPECT_EQ(MIRROR_NR_WAYS - MIRROR_ID,
		  peer_log_count(&self->peer, "answers with nonsense"));
}

TEST_F(twin, client_that_hangs_up_while_it_is_asked_is_gone_at_once)
{
	int64_t before;

	ASSERT_EQ(0, be_asked(&self->peer, &self->mirror, MIRROR_SILENT));
	peer_pause(50);
	before = now_ms();
	/* The twin socket stays open. */
	EXPECT_EQ(0, peer_hang_up(&self->peer));
	EXPECT_GT(2000, now_ms() - before);
}

TEST_F(twin, daemon_ends_while_it_waits_for_an_answer)
{
	ASSERT_EQ(0, be_asked(&self->peer, &self->mirror, MIRROR_SILENT));
	peer_pause(50);
	ASSERT_EQ(0, kill(self->peer.daemon.pid, SIGTERM));
	EXPECT_EQ(0, fake_daemon_wait(&self->peer.daemon, 2000));
}

/* All of them at the same time, as each takes the whole deadline. */
TEST(clients_that_do_not_answer_in_time_lose_their_session)
{
	static struct mirror silent[2], dribble;
	static struct peer peers[3];
	struct fake_config config;
	unsigned int i;
	int64_t start;

	peer_config(&config, PEER_MAP_FILE);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, peer_start(&peers[i], &config, "--shadow-dma"));
	ASSERT_EQ(0, mirror_connect(&silent[0], &peers[0], false, ""));
	wire_on_command(NULL, NULL);
	ASSERT_EQ(0, mirror_connect(&silent[1], &peers[1], true, ""));
	ASSERT_EQ(0, mirror_connect(&dribble, &peers[2], true, ""));
	start = now_ms();
	ASSERT_EQ(0, be_asked(&peers[0], &silent[0], MIRROR_SILENT));
	ASSERT_EQ(0, be_asked(&peers[1], &silent[1], MIRROR_SILENT));
	ASSERT_EQ(0, be_asked(&peers[2], &dribble, MIRROR_DRIBBLE));

	peer_pause(DEADLINE_MS - 1000);
	for (i = 1; i < 3; i++)
		EXPECT_TRUE(wire_quiet(peers[i].sock));
	EXPECT_FALSE(peer_log_has(&peers[0], "in time"));
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(peer_wait_log(&peers[i], "in time"));
	EXPECT_GT(DEADLINE_MS + 2000, now_ms() - start);
	/* What was asked is still there to be read. */
	EXPECT_EQ(1, wire_recv(peers[0].sock, &silent[0].r));
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(wire_closed(peers[i].sock));

	EXPECT_EQ(0, next_client(&silent[0], &peers[0], false));
	mirror_close(&silent[0]);
	EXPECT_EQ(0, next_client(&silent[1], &peers[1], true));
	mirror_close(&silent[1]);
	mirror_close(&dribble);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, peer_close(&peers[i]));
}

/*
 * The next tests play the main socket by hand: a DMA_MAP, and before its
 * DMA_READ is answered, other commands.
 */
FIXTURE(queue)
{
	struct peer peer;
	struct fake_config config;
	struct mirror mirror;
	struct wire_reply r;
	struct wire_reply request;
};

FIXTURE_SETUP(queue)
{
	peer_config(&self->config, PEER_MAP_FILE);
	ASSERT_EQ(0, peer_start(&self->peer, &self->config, "--shadow-dma"));
	ASSERT_EQ(0, mirror_connect(&self->mirror, &self->peer, false, ""));
	ASSERT_EQ(0, be_asked(&self->peer, &self->mirror, MIRROR_RIGHT));
	ASSERT_EQ(1, wire_recv(self->peer.sock, &self->request));
	ASSERT_EQ(VFIO_USER_DMA_READ, self->request.header.command);
}

FIXTURE_TEARDOWN(queue)
{
	mirror_close(&self->mirror);
	EXPECT_EQ(0, peer_close(&self->peer));
	EXPECT_EQ(0, atomic_load(&self->mirror.bad));
}

/* A write to the scratch register that doesn't want a reply. */
static int post_scratch(int sock, uint16_t id, uint64_t value)
{
	struct {
		struct vfio_user_header header;
		struct vfio_user_region_access access;
		uint64_t value;
	} __attribute__((packed)) write = {
		.header = wire_header(id, VFIO_USER_REGION_WRITE, 24),
		.access.region = PEER_BAR0,
		.access.offset = FAKE_REG_SCRATCH,
		.access.count = 8,
		.value = value,
	};

	write.header.flags |= VFIO_USER_FLAG_NO_REPLY;
	return wire_send(sock, &write, sizeof(write), NULL, 0);
}

static int ask_scratch(int sock, uint16_t id)
{
	const struct vfio_user_region_access read = {
		.region = PEER_BAR0,
		.offset = FAKE_REG_SCRATCH,
		.count = 8,
	};

	return wire_command(sock, id, VFIO_USER_REGION_READ, &read,
			    sizeof(read), NULL, 0);
}

static int enable_memory(const struct peer *peer)
{
	const uint16_t command = 2;

	return wire_write(peer->sock, PEER_CONFIG, 4, &command,
			  sizeof(command), NULL);
}

TEST_F(queue, commands_that_came_before_the_answer_are_done_in_order)
{
	uint16_t command = 2;
	struct {
		struct vfio_user_region_access access;
		uint16_t value;
	} __attribute__((packed)) write = {
		.access = { .region = PEER_CONFIG, .offset = 4, .count = 2 },
		.value = command,
	};
	/* Opening the device takes some. */
	uint64_t value, before = self->peer.root.control->nr_accesses;
	uint16_t i;

	ASSERT_EQ(0, wire_command(self->peer.sock, 2, VFIO_USER_REGION_WRITE,
				  &write, sizeof(write), NULL, 0));
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, post_scratch(self->peer.sock, 100 + i, 1000 + i));
		ASSERT_EQ(0, ask_scratch(self->peer.sock, 200 + i));
	}
	peer_pause(20);
	EXPECT_EQ(before, self->peer.root.control->nr_accesses);
	ASSERT_EQ(0, mirror_answer(self->peer.sock, &self->request,
				   &self->mirror));

	EXPECT_EQ(0, wire_expect(self->peer.sock, 1, VFIO_USER_DMA_MAP,
				 &self->r));
	EXPECT_EQ(0, wire_expect(self->peer.sock, 2, VFIO_USER_REGION_WRITE,
				 &self->r));
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, wire_expect(self->peer.sock, 200 + i,
					 VFIO_USER_REGION_READ, &self->r));
		memcpy(&value, self->r.payload + 16, sizeof(value));
		EXPECT_EQ(1000 + i, value);
	}
}

TEST_F(queue, as_many_as_are_kept_are_done)
{
	unsigned int i;

	for (i = 0; i < MAX_QUEUED; i++)
		ASSERT_EQ(0, post_scratch(self->peer.sock, i, i));
	peer_pause(20);
	ASSERT_EQ(0, mirror_answer(self->peer.sock, &self->request,
				   &self->mirror));
	EXPECT_EQ(0, wire_expect(self->peer.sock, 1, VFIO_USER_DMA_MAP,
				 &self->r));
	/* Before each of the writes, the daemon has asked again. */
	EXPECT_EQ(0, enable_memory(&self->peer));
	EXPECT_EQ(MAX_QUEUED + 2, atomic_load(&self->mirror.reads));
}

TEST_F(queue, too_many_end_the_session)
{
	unsigned int i;

	for (i = 0; i <= MAX_QUEUED; i++)
		ASSERT_EQ(0, post_scratch(self->peer.sock, i, i));
	EXPECT_EQ(0, next_client(&self->mirror, &self->peer, false));
	EXPECT_TRUE(peer_log_has(&self->peer,
				 "sends commands instead of an answer"));
}

TEST_F(queue, too_much_ends_the_session)
{
	static uint8_t payload[sizeof(struct vfio_user_region_access) +
			       (1 << 20)];
	unsigned int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, wire_command(self->peer.sock, i,
					  VFIO_USER_REGION_WRITE, payload,
					  sizeof(payload), NULL, 0));
	peer_pause(20);
	EXPECT_FALSE(peer_log_has(&self->peer, "session ended"));
	wire_command(self->peer.sock, i, VFIO_USER_REGION_WRITE, payload,
		     sizeof(payload), NULL, 0);
	EXPECT_EQ(0, next_client(&self->mirror, &self->peer, false));
	EXPECT_TRUE(peer_log_has(&self->peer,
				 "sends commands instead of an answer"));
}

TEST_F(queue, fds_wait_with_their_commands)
{
	struct vfio_user_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_USER_IRQ_SET_DATA_EVENTFD |
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER,
		.index = PEER_MSIX,
		.count = 1,
	};
	int fds[12], i;

	for (i = 0; i < 12; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_EQ(0, wire_command(self->peer.sock, 2,
				  VFIO_USER_DEVICE_SET_IRQS, &set, sizeof(set),
				  fds, 1));
	/* Too many to be taken by any command: not kept, and refused. */
	ASSERT_EQ(0, wire_command(self->peer.sock, 3,
				  VFIO_USER_DEVICE_SET_IRQS, &set, sizeof(set),
				  fds, 12));
	ASSERT_EQ(0, mirror_answer(self->peer.sock, &self->request,
				   &self->mirror));
	EXPECT_EQ(0, wire_expect(self->peer.sock, 1, VFIO_USER_DMA_MAP,
				 &self->r));
	EXPECT_EQ(0, wire_expect(self->peer.sock, 2, VFIO_USER_DEVICE_SET_IRQS,
				 &self->r));
	EXPECT_EQ(EINVAL, wire_expect(self->peer.sock, 3,
				      VFIO_USER_DEVICE_SET_IRQS, &self->r));
	EXPECT_EQ(1, fake_irq_raise(self->peer.root.control, PEER_MSIX, 0));
	EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer, fds[0]));
	for (i = 0; i < 12; i++)
		close(fds[i]);
}

TEST_F(queue, fds_that_wait_go_with_the_session)
{
	struct vfio_user_irq_set set = { .argsz = sizeof(set) };
	int fds[8], i;

	for (i = 0; i < 8; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, wire_command(self->peer.sock, i,
					  VFIO_USER_DEVICE_SET_IRQS, &set,
					  sizeof(set), fds, 8));
	peer_pause(20);
	EXPECT_LE(64, peer_nr_fds(&self->peer));
	EXPECT_EQ(0, peer_hang_up(&self->peer));
	for (i = 0; i < 8; i++)
		close(fds[i]);
}

TEST_F(queue, reply_that_nothing_waits_for_ends_the_session)
{
	struct wire_reply *r = &self->request;

	/* The second time, its request has been answered. */
	ASSERT_EQ(0, mirror_answer(self->peer.sock, r, &self->mirror));
	EXPECT_EQ(0, wire_expect(self->peer.sock, 1, VFIO_USER_DMA_MAP,
				 &self->r));
	ASSERT_EQ(0, wire_send(self->peer.sock, &r->header, sizeof(r->header),
			       NULL, 0));
	ASSERT_EQ(0, wire_send(self->peer.sock, r->payload, r->len, NULL, 0));
	EXPECT_EQ(0, next_client(&self->mirror, &self->peer, false));
}

TEST_HARNESS_MAIN
