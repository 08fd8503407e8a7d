// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules 1 to 7: how messages and their fds are told apart on a stream, and what
 * becomes of those that can't be.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi/iommufd.h"
#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

#define HEADER_SIZE	sizeof(struct vfio_user_header)
#define PAGE		0x1000ull

FIXTURE(framing)
{
	struct peer peer;
	struct wire_reply r;
};

FIXTURE_SETUP(framing)
{
	ASSERT_EQ(0, peer_open(&self->peer, PEER_MAP_FILE));
}

FIXTURE_TEARDOWN(framing)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* A DMA_MAP of one page, for batches. */
static struct vfio_user_dma_map page_map(unsigned int page)
{
	return (struct vfio_user_dma_map){
		.argsz = sizeof(struct vfio_user_dma_map),
		.flags = PEER_RW,
		.address = page * PAGE,
		.size = PAGE,
	};
}

static bool is_alive(const struct peer *peer)
{
	struct vfio_user_device_info info;

	return !wire_info(peer->sock, &info);
}

/* Send only this header; the answer has to be EINVAL and the end. */
static bool header_ends_session(struct peer *peer,
				const struct vfio_user_header *header,
				struct wire_reply *r)
{
	return !wire_send(peer->sock, header, sizeof(*header), NULL, 0) &&
	       wire_expect(peer->sock, header->id, header->command, r) ==
	       EINVAL && wire_closed(peer->sock);
}

TEST_F(framing, rule1_size_below_header_is_einval_and_close)
{
	static const uint32_t sizes[] = { 0, 1, 4, 15 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct vfio_user_header header =
			wire_header(70 + i, VFIO_USER_DEVICE_GET_INFO, 0);

		header.size = sizes[i];
		EXPECT_TRUE(header_ends_session(&self->peer, &header,
						&self->r));
		ASSERT_EQ(0, peer_hang_up(&self->peer));
		ASSERT_EQ(0, peer_connect(&self->peer));
	}
}

TEST_F(framing, rule1_size_above_limit_is_einval_and_close)
{
	static const uint32_t sizes[] = { 2u << 20, 0x7fffffff, 0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct vfio_user_header header =
			wire_header(80 + i, VFIO_USER_REGION_WRITE, 0);

		header.size = sizes[i];
		EXPECT_TRUE(header_ends_session(&self->peer, &header,
						&self->r));
		ASSERT_EQ(0, peer_hang_up(&self->peer));
		ASSERT_EQ(0, peer_connect(&self->peer));
	}
}

TEST_F(framing, rule1_fds_of_an_impossible_header_are_closed)
{
	struct vfio_user_header header = wire_header(1, VFIO_USER_DMA_MAP, 0);
	int fd = peer_memory(PAGE);

	header.size = 3;
	ASSERT_EQ(0, wire_send(self->peer.sock, &header, sizeof(header), &fd,
			       1));
	EXPECT_EQ(EINVAL, wire_expect(self->peer.sock, 1, VFIO_USER_DMA_MAP,
				      &self->r));
	EXPECT_TRUE(wire_closed(self->peer.sock));
	EXPECT_EQ(0, peer_hang_up(&self->peer));
	close(fd);
}

TEST(rule1_memory_does_not_follow_size)
{
	struct vfio_user_header header =
		wire_header(2, VFIO_USER_REGION_WRITE, 0);
	struct fake_config config;
	struct peer peer;
	unsigned int i;
	long before;

	/* What is free'd shall be gone. */
	setenv("ASAN_OPTIONS", "quarantine_size_mb=0", 1);
	peer_config(&config, PEER_MAP_FILE);
	ASSERT_EQ(0, peer_begin(&peer, &config, NULL));
	before = fake_rss(peer.daemon.pid);
	/* The largest that is believed: announced, never sent. */
	header.size = HEADER_SIZE + VFIO_USER_DEF_MAX_XFER;
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(0, wire_send(peer.sock, &header, sizeof(header),
				       NULL, 0));
		EXPECT_EQ(0, peer_hang_up(&peer));
		EXPECT_EQ(0, peer_connect(&peer));
	}
	EXPECT_GT(8 << 20, fake_rss(peer.daemon.pid) - before);
	EXPECT_EQ(0, peer_close(&peer));
}

TEST_F(framing, rule1_largest_message_is_taken)
{
	uint8_t *data = calloc(1, VFIO_USER_DEF_MAX_XFER);
	uint32_t done;

	/* Larger than the region, so it is refused, but read whole. */
	EXPECT_EQ(EINVAL, wire_write(self->peer.sock, PEER_BAR0, 0, data,
				     VFIO_USER_DEF_MAX_XFER, &done));
	EXPECT_TRUE(is_alive(&self->peer));
	free(data);
}

TEST_F(framing, rule2_message_byte_by_byte)
{
	struct vfio_user_device_info info = { .argsz = sizeof(info) };
	uint8_t buf[64];
	size_t i, at = 0;

	wire_put(buf, &at, 7, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info));
	for (i = 0; i < at; i++) {
		ASSERT_EQ(0, wire_send(self->peer.sock, buf + i, 1, NULL, 0));
		EXPECT_TRUE(wire_quiet(self->peer.sock) || i == at - 1);
		peer_pause(1);
	}
	ASSERT_EQ(0, wire_expect(self->peer.sock, 7, VFIO_USER_DEVICE_GET_INFO,
				 &self->r));
	EXPECT_EQ(sizeof(info), self->r.len);
	EXPECT_TRUE(is_alive(&self->peer));
}

/* A DMA_MAP in two pieces, the fd on the first, cut at each place. */
TEST_F(framing, rule2_message_with_fd_cut_anywhere)
{
	int fd = peer_memory(PAGE);
	unsigned int cut;

	for (cut = 1; cut < HEADER_SIZE + sizeof(struct vfio_user_dma_map);
	     cut++) {
		struct vfio_user_dma_map map = page_map(cut);
		uint8_t buf[64];
		size_t at = 0;

		wire_put(buf, &at, cut, VFIO_USER_DMA_MAP, &map, sizeof(map));
		ASSERT_EQ(0, wire_send(self->peer.sock, buf, cut, &fd, 1));
		if (cut % 2)
			peer_pause(1);
		ASSERT_EQ(0, wire_send(self->peer.sock, buf + cut, at - cut,
				       NULL, 0));
		ASSERT_EQ(0, wire_expect(self->peer.sock, cut,
					 VFIO_USER_DMA_MAP, &self->r));
		EXPECT_EQ(cut, self->peer.root.control->nr_maps);
	}
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	close(fd);
}

TEST_F(framing, rule2_several_messages_in_one_write)
{
	struct vfio_user_device_info info = { .argsz = sizeof(info) };
	uint8_t buf[4096];
	size_t at = 0;
	unsigned int i;

	for (i = 0; i < 100; i++)
		wire_put(buf, &at, 1000 + i, VFIO_USER_DEVICE_GET_INFO, &info,
			 sizeof(info));
	ASSERT_EQ(0, wire_send(self->peer.sock, buf, at, NULL, 0));
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, wire_expect(self->peer.sock, 1000 + i,
					 VFIO_USER_DEVICE_GET_INFO, &self->r));
}

TEST_F(framing, rule2_more_messages_than_the_daemon_reads_at_once)
{
	struct vfio_user_device_info info = { .argsz = sizeof(info) };
	const unsigned int n = 3000;
	uint8_t *buf = malloc(n * 64);
	size_t at = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		wire_put(buf, &at, i, VFIO_USER_DEVICE_GET_INFO, &info,
			 sizeof(info));
	ASSERT_EQ(0, wire_send(self->peer.sock, buf, at, NULL, 0));
	for (i = 0; i < n; i++)
		ASSERT_EQ(0, wire_expect(self->peer.sock, i,
					 VFIO_USER_DEVICE_GET_INFO, &self->r));
	free(buf);
}

/* One message, and a second with an fd, without waiting between them. */
TEST_F(framing, rule2_fds_on_the_second_message)
{
	struct vfio_user_dma_map with = page_map(2), without = page_map(1);
	int fd = peer_memory(PAGE);

	ASSERT_EQ(0, wire_command(self->peer.sock, 1, VFIO_USER_DMA_MAP,
				  &without, sizeof(without), NULL, 0));
	ASSERT_EQ(0, wire_command(self->peer.sock, 2, VFIO_USER_DMA_MAP, &with,
				  sizeof(with), &fd, 1));
	ASSERT_EQ(0, wire_expect(self->peer.sock, 1, VFIO_USER_DMA_MAP,
				 &self->r));
	ASSERT_EQ(0, wire_expect(self->peer.sock, 2, VFIO_USER_DMA_MAP,
				 &self->r));
	ASSERT_EQ(1, self->peer.root.control->nr_maps);
	EXPECT_EQ(2 * PAGE, self->peer.root.control->maps[0].iova);
	close(fd);
}

/* Which of a batch's maps the kernel has been given, as bits. */
static uint64_t kernel_maps(const struct fake_control *control)
{
	uint64_t seen = 0;
	int i;

	for (i = 0; i < FAKE_SHOWN_MAPS; i++) {
		if (control->maps[i].used)
			seen |= 1ull << (control->maps[i].iova / PAGE);
	}
	return seen;
}

/* How the messages of a batch are put into writes. */
enum batch_shape {
	BATCH_SINGLE,	/* a write for each */
	BATCH_BEFORE,	/* those without an fd together, those with one alone */
	BATCH_AFTER,	/* one with an fd, and what follows without */
	BATCH_SHAPES,
};

/* Does a message begin a new write? */
static bool batch_splits(enum batch_shape shape, bool has_fd, bool had_fd)
{
	return shape == BATCH_SINGLE || has_fd ||
	       (shape == BATCH_BEFORE && had_fd);
}

/* Send the maps 1 to @n, those in @with with an fd, without waiting. */
static int send_batch(int sock, unsigned int n, uint64_t with, int fd,
		      enum batch_shape shape)
{
	uint8_t buf[64 * 64];
	bool has_fd, had_fd = false, attach = false;
	size_t at = 0;
	unsigned int i;
	int ret = 0;

	for (i = 1; i <= n && !ret; i++, had_fd = has_fd) {
		struct vfio_user_dma_map map = page_map(i);

		has_fd = with >> i & 1;
		if (at && batch_splits(shape, has_fd, had_fd)) {
			ret = wire_send(sock, buf, at, &fd, attach);
			attach = false;
			at = 0;
		}
		wire_put(buf, &at, i, VFIO_USER_DMA_MAP, &map, sizeof(map));
		attach |= has_fd;
	}
	return ret ? ret : wire_send(sock, buf, at, &fd, attach);
}

static int batch_replies(int sock, unsigned int n, struct wire_reply *r)
{
	unsigned int i;
	int ret = 0;

	for (i = 1; i <= n && !ret; i++)
		ret = wire_expect(sock, i, VFIO_USER_DMA_MAP, r);
	return ret;
}

/* Each way to give an fd to some of seven maps. */
TEST_F(framing, rule2_fds_stay_with_their_message_in_a_batch)
{
	int fd = peer_memory(PAGE);
	unsigned int round;

	for (round = 0; round < 128 * BATCH_SHAPES; round++) {
		uint64_t with = round / BATCH_SHAPES * 2;

		ASSERT_EQ(0, send_batch(self->peer.sock, 7, with, fd,
					round % BATCH_SHAPES));
		ASSERT_EQ(0, batch_replies(self->peer.sock, 7, &self->r));
		ASSERT_EQ(with, kernel_maps(self->peer.root.control));
		ASSERT_EQ(0, wire_unmap(self->peer.sock, 0, 0,
					VFIO_USER_DMA_UNMAP_ALL));
	}
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	close(fd);
}

/* Long batches, so that reads end in the middle of messages. */
TEST_F(framing, rule2_fds_stay_with_their_message_in_long_batches)
{
	int fd = peer_memory(PAGE);
	unsigned int round;

	srandom(42);
	for (round = 0; round < 60; round++) {
		uint64_t with = ((uint64_t)random() << 31 | random()) & ~1ull;
		unsigned int n = 20 + random() % 42;

		with &= (2ull << n) - 1;
		if (round % 2)
			with &= (uint64_t)random() << 20;
		ASSERT_EQ(0, send_batch(self->peer.sock, n, with, fd,
					round % BATCH_SHAPES));
		ASSERT_EQ(0, batch_replies(self->peer.sock, n, &self->r));
		ASSERT_EQ(with, kernel_maps(self->peer.root.control));
		ASSERT_EQ(0, wire_unmap(self->peer.sock, 0, 0,
					VFIO_USER_DMA_UNMAP_ALL));
	}
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	close(fd);
}

/* One command of a mixed sequence. */
static int send_mixed(int sock, uint16_t id, unsigned int kind, int fd)
{
	struct vfio_user_device_info info = { .argsz = sizeof(info) };
	struct vfio_user_dma_map map = page_map(id);

	switch (kind) {
	case VFIO_USER_DEVICE_RESET:
		return wire_command(sock, id, kind, NULL, 0, NULL, 0);
	case VFIO_USER_DEVICE_GET_INFO:
		return wire_command(sock, id, kind, &info, sizeof(info), NULL,
				    0);
	default:
		return wire_command(sock, id, kind, &map, sizeof(map), &fd,
				    fd >= 0);
	}
}

/*
 * Messages that are shorter than any that has fds stand between those that
 * have some; all of them wait before the daemon reads the first.
 */
TEST_F(framing, rule2_fds_stay_with_their_message_among_short_ones)
{
	static const uint16_t kinds[] = {
		VFIO_USER_DEVICE_RESET, VFIO_USER_DEVICE_GET_INFO,
		VFIO_USER_DMA_MAP, VFIO_USER_DMA_MAP,
	};
	int fd = peer_memory(PAGE);
	unsigned int round, i;

	for (round = 0; round < 256; round++) {
		uint64_t with = 0;

		ASSERT_EQ(0, kill(self->peer.daemon.pid, SIGSTOP));
		for (i = 0; i < 12; i++) {
			/* The first four are each of the 256 sequences. */
			unsigned int kind = i < 4 ? round >> 2 * i & 3 :
					    (round + i * i) & 3;

			EXPECT_EQ(0, send_mixed(self->peer.sock, i,
						kinds[kind],
						kind == 3 ? fd : -1));
			with |= (uint64_t)(kind == 3) << i;
		}
		ASSERT_EQ(0, kill(self->peer.daemon.pid, SIGCONT));
		for (i = 0; i < 12; i++) {
			ASSERT_EQ(1, wire_recv(self->peer.sock, &self->r));
			ASSERT_EQ(i, self->r.header.id);
			ASSERT_EQ(0, self->r.header.error);
		}
		ASSERT_EQ(with, kernel_maps(self->peer.root.control));
		ASSERT_EQ(0, wire_unmap(self->peer.sock, 0, 0,
					VFIO_USER_DMA_UNMAP_ALL));
	}
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	close(fd);
}

/* The fd comes with the first byte of a message whose rest is late. */
TEST_F(framing, rule2_fd_message_in_pieces_after_others)
{
	struct vfio_user_dma_map map;
	int fd = peer_memory(PAGE);
	unsigned int cut;

	for (cut = 1; cut < 40; cut += 3) {
		uint8_t buf[64];
		size_t at = 0;

		map = page_map(1);
		ASSERT_EQ(0, wire_command(self->peer.sock, 1, VFIO_USER_DMA_MAP,
					  &map, sizeof(map), NULL, 0));
		map = page_map(2);
		wire_put(buf, &at, 2, VFIO_USER_DMA_MAP, &map, sizeof(map));
		ASSERT_EQ(0, wire_send(self->peer.sock, buf, cut, &fd, 1));
		peer_pause(cut % 2);
		ASSERT_EQ(0, wire_send(self->peer.sock, buf + cut, at - cut,
				       NULL, 0));
		map = page_map(3);
		ASSERT_EQ(0, wire_command(self->peer.sock, 3, VFIO_USER_DMA_MAP,
					  &map, sizeof(map), NULL, 0));
		ASSERT_EQ(0, batch_replies(self->peer.sock, 3, &self->r));
		ASSERT_EQ(1ull << 2, kernel_maps(self->peer.root.control));
		ASSERT_EQ(0, wire_unmap(self->peer.sock, 0, 0,
					VFIO_USER_DMA_UNMAP_ALL));
	}
	close(fd);
}

TEST_F(framing, rule2_half_a_message_and_the_end)
{
	struct vfio_user_dma_map map = page_map(1);
	int fd = peer_memory(PAGE);
	uint8_t buf[64];
	size_t at = 0;

	wire_put(buf, &at, 1, VFIO_USER_DMA_MAP, &map, sizeof(map));
	ASSERT_EQ(0, wire_send(self->peer.sock, buf, at - 1, &fd, 1));
	ASSERT_EQ(0, peer_hang_up(&self->peer));
	EXPECT_EQ(0, *peer_ioctls(&self->peer, FAKE_IOMMUFD,
				  ABI_IOMMU_IOAS_MAP_FILE));
	EXPECT_EQ(0, peer_connect(&self->peer));
	close(fd);
}

TEST_F(framing, rule3_longer_payload_is_accepted)
{
	uint8_t payload[1000];
	struct vfio_user_device_info info = { .argsz = sizeof(info) };

	memset(payload, 0xa5, sizeof(payload));
	memcpy(payload, &info, sizeof(info));
	ASSERT_EQ(0, wire_call(self->peer.sock, VFIO_USER_DEVICE_GET_INFO,
			       payload, sizeof(payload), &self->r));
	EXPECT_EQ(sizeof(info), self->r.len);
}

/* All commands that have a payload, each a byte too short. */
TEST_F(framing, rule3_shorter_payload_is_einval)
{
	static const struct {
		uint16_t command;
		size_t size;
	} commands[] = {
		{ VFIO_USER_DMA_MAP, sizeof(struct vfio_user_dma_map) },
		{ VFIO_USER_DMA_UNMAP, sizeof(struct vfio_user_dma_unmap) },
		{ VFIO_USER_DEVICE_GET_INFO,
		  sizeof(struct vfio_user_device_info) },
		{ VFIO_USER_DEVICE_GET_REGION_INFO,
		  sizeof(struct vfio_user_region_info) },
		{ VFIO_USER_DEVICE_GET_IRQ_INFO,
		  sizeof(struct vfio_user_irq_info) },
		{ VFIO_USER_DEVICE_SET_IRQS, sizeof(struct vfio_user_irq_set) },
		{ VFIO_USER_REGION_READ,
		  sizeof(struct vfio_user_region_access) },
		{ VFIO_USER_REGION_WRITE,
		  sizeof(struct vfio_user_region_access) },
	};
	/* Valid as far as it goes: argsz, or an offset of 32. */
	const uint32_t payload[16] = { 32 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		EXPECT_EQ(EINVAL, wire_call(self->peer.sock,
					    commands[i].command, payload,
					    commands[i].size - 1, &self->r));
		EXPECT_EQ(EINVAL, wire_call(self->peer.sock,
					    commands[i].command, NULL, 0,
					    &self->r));
	}
	EXPECT_TRUE(is_alive(&self->peer));
}

/* Send a command with No_reply, and see that nothing comes but the next. */
static int send_silently(const struct peer *peer, uint16_t command,
			 const void *payload, size_t len, const int *fds,
			 unsigned int nr_fds)
{
	uint8_t buf[256];
	struct vfio_user_header header = wire_header(99, command, len);

	header.flags |= VFIO_USER_FLAG_NO_REPLY;
	memcpy(buf, &header, sizeof(header));
	if (len)
		memcpy(buf + sizeof(header), payload, len);
	return wire_send(peer->sock, buf, sizeof(header) + len, fds, nr_fds);
}

TEST_F(framing, rule4_no_reply_gets_no_reply)
{
	struct vfio_user_dma_map map = page_map(1);
	struct vfio_user_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.address = PAGE,
		.size = PAGE,
	};
	int fd = peer_memory(PAGE);

	ASSERT_EQ(0, send_silently(&self->peer, VFIO_USER_DMA_MAP, &map,
				   sizeof(map), &fd, 1));
	EXPECT_TRUE(is_alive(&self->peer));
	EXPECT_EQ(1, self->peer.root.control->nr_maps);
	ASSERT_EQ(0, send_silently(&self->peer, VFIO_USER_DMA_UNMAP, &unmap,
				   sizeof(unmap), NULL, 0));
	EXPECT_TRUE(is_alive(&self->peer));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	close(fd);
}

TEST_F(framing, rule4_no_reply_gets_no_error)
{
	struct vfio_user_dma_map map = page_map(0);
	int fd = peer_memory(PAGE);

	map.size = 0;
	ASSERT_EQ(0, send_silently(&self->peer, VFIO_USER_DMA_MAP, &map,
				   sizeof(map), &fd, 1));
	ASSERT_EQ(0, send_silently(&self->peer, 77, NULL, 0, NULL, 0));
	ASSERT_EQ(0, send_silently(&self->peer, VFIO_USER_DEVICE_RESET, NULL, 0,
				   &fd, 1));
	EXPECT_TRUE(is_alive(&self->peer));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	close(fd);
}

/* A region's fd is part of a reply, so without one it doesn't come either. */
TEST_F(framing, rule4_no_reply_gets_no_fd)
{
	struct vfio_user_region_info info = {
		.argsz = sizeof(info),
		.index = PEER_BAR0,
	};

	ASSERT_EQ(0, send_silently(&self->peer,
				   VFIO_USER_DEVICE_GET_REGION_INFO, &info,
				   sizeof(info), NULL, 0));
	EXPECT_TRUE(is_alive(&self->peer));
}

/* Write and read one register back to back: each reads what came before. */
TEST_F(framing, rule4_effects_are_in_the_order_of_commands)
{
	struct {
		struct vfio_user_region_access access;
		uint64_t value;
	} __attribute__((packed)) w = {
		.access = {
			.offset = FAKE_REG_SCRATCH,
			.region = PEER_BAR0,
			.count = 8,
		},
	};
	uint8_t buf[64 * 128];
	uint64_t i, value;
	size_t at = 0;

	for (i = 0; i < 64; i++) {
		struct vfio_user_header header =
			wire_header(0, VFIO_USER_REGION_WRITE, sizeof(w));

		w.value = i;
		header.flags |= VFIO_USER_FLAG_NO_REPLY;
		memcpy(buf + at, &header, sizeof(header));
		memcpy(buf + at + sizeof(header), &w, sizeof(w));
		at += sizeof(header) + sizeof(w);
		wire_put(buf, &at, i, VFIO_USER_REGION_READ, &w.access,
			 sizeof(w.access));
	}
	ASSERT_EQ(0, wire_send(self->peer.sock, buf, at, NULL, 0));
	for (i = 0; i < 64; i++) {
		ASSERT_EQ(0, wire_expect(self->peer.sock, i,
					 VFIO_USER_REGION_READ, &self->r));
		ASSERT_EQ(sizeof(w), self->r.len);
		memcpy(&value, self->r.payload + sizeof(w.access), 8);
		ASSERT_EQ(i, value);
	}
}

TEST_F(framing, rule5_reply_echoes_id_and_command)
{
	static const uint16_t ids[] = { 0, 1, 0x1234, 0x8000, 0xffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		ASSERT_EQ(0, wire_command(self->peer.sock, ids[i],
					  VFIO_USER_DEVICE_RESET, NULL, 0,
					  NULL, 0));
		EXPECT_EQ(0, wire_expect(self->peer.sock, ids[i],
					 VFIO_USER_DEVICE_RESET, &self->r));
		ASSERT_EQ(0, wire_command(self->peer.sock, ids[i], 0x4321,
					  NULL, 0, NULL, 0));
		EXPECT_EQ(EOPNOTSUPP, wire_expect(self->peer.sock, ids[i],
						  0x4321, &self->r));
	}
}

TEST_F(framing, rule5_unexpected_reply_closes_without_a_word)
{
	struct vfio_user_header header =
		wire_header(5, VFIO_USER_DEVICE_RESET, 0);

	header.flags = VFIO_USER_TYPE_REPLY;
	ASSERT_EQ(0, wire_send(self->peer.sock, &header, sizeof(header), NULL,
			       0));
	EXPECT_TRUE(wire_closed(self->peer.sock));
	EXPECT_EQ(0, self->peer.root.control->resets);
}

TEST_F(framing, rule5_unknown_type_is_einval_and_close)
{
	uint32_t type;

	for (type = 2; type <= VFIO_USER_TYPE_MASK; type++) {
		struct vfio_user_header header =
			wire_header(type, VFIO_USER_DEVICE_RESET, 0);

		header.flags = type;
		EXPECT_TRUE(header_ends_session(&self->peer, &header,
						&self->r));
		ASSERT_EQ(0, peer_hang_up(&self->peer));
		ASSERT_EQ(0, peer_connect(&self->peer));
	}
	EXPECT_EQ(0, self->peer.root.control->resets);
}

/* Whatever takes no fds, with one. */
TEST_F(framing, rule6_fd_where_none_belongs_is_einval)
{
	static const uint16_t commands[] = {
		VFIO_USER_VERSION, VFIO_USER_DMA_UNMAP,
		VFIO_USER_DEVICE_GET_INFO, VFIO_USER_DEVICE_GET_REGION_INFO,
		VFIO_USER_DEVICE_GET_IRQ_INFO, VFIO_USER_REGION_READ,
		VFIO_USER_REGION_WRITE, VFIO_USER_DEVICE_RESET,
	};
	int fd = eventfd(0, EFD_CLOEXEC);
	/* 16 is a size that all of them take as argsz, and an offset. */
	const uint64_t payload[8] = { 32 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		EXPECT_EQ(EINVAL, wire_call_fds(self->peer.sock, commands[i],
						payload, sizeof(payload), &fd,
						1, &self->r));
		EXPECT_EQ(0, peer_nr_fds(&self->peer));
	}
	EXPECT_EQ(0, self->peer.root.control->resets);
	EXPECT_TRUE(is_alive(&self->peer));
	close(fd);
}

TEST_F(framing, rule6_two_fds_for_a_map_are_einval)
{
	struct vfio_user_dma_map map = page_map(1);
	int fds[2] = { peer_memory(PAGE), peer_memory(PAGE) };

	EXPECT_EQ(EINVAL, wire_call_fds(self->peer.sock, VFIO_USER_DMA_MAP,
					&map, sizeof(map), fds, 2, &self->r));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	EXPECT_TRUE(is_alive(&self->peer));
}

TEST_F(framing, rule6_as_many_fds_as_a_message_carries_are_all_closed)
{
	int fd = eventfd(0, EFD_CLOEXEC), fds[VFIO_USER_MAX_SCM_FDS];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = fd;
	EXPECT_EQ(EINVAL, wire_call_fds(self->peer.sock,
					VFIO_USER_DEVICE_RESET, NULL, 0, fds,
					ARRAY_SIZE(fds), &self->r));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	EXPECT_TRUE(is_alive(&self->peer));
	close(fd);
}

TEST_F(framing, rule6_more_fds_than_advertised_are_einval)
{
	struct vfio_user_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_USER_IRQ_SET_DATA_EVENTFD |
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER,
		.index = PEER_MSIX,
		.count = 9,
	};
	int fd = eventfd(0, EFD_CLOEXEC);
	int fds[9] = { fd, fd, fd, fd, fd, fd, fd, fd, fd };

	EXPECT_EQ(EINVAL, wire_call_fds(self->peer.sock,
					VFIO_USER_DEVICE_SET_IRQS, &set,
					sizeof(set), fds, 9, &self->r));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	EXPECT_EQ(FAKE_NO_INDEX, self->peer.root.control->irq.index);
	close(fd);
}

/* Fds that come with later pieces of a message are the message's as well. */
TEST_F(framing, rule6_fds_on_each_piece_of_a_message_are_all_closed)
{
	struct vfio_user_dma_map map = page_map(1);
	int fd = peer_memory(PAGE);
	uint8_t buf[64];
	size_t i, at = 0;

	wire_put(buf, &at, 3, VFIO_USER_DMA_MAP, &map, sizeof(map));
	for (i = 0; i < at; i++)
		ASSERT_EQ(0, wire_send(self->peer.sock, buf + i, 1, &fd, 1));
	EXPECT_EQ(EINVAL, wire_expect(self->peer.sock, 3, VFIO_USER_DMA_MAP,
				      &self->r));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
	close(fd);
}

TEST_F(framing, rule6_too_many_fds_in_pieces_close)
{
	struct vfio_user_dma_map map = page_map(1);
	int fd = eventfd(0, EFD_CLOEXEC), fds[VFIO_USER_MAX_SCM_FDS];
	uint8_t buf[64];
	size_t i, at = 0;

	for (i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = fd;
	wire_put(buf, &at, 3, VFIO_USER_DMA_MAP, &map, sizeof(map));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, wire_send(self->peer.sock, buf + i, 1, fds,
				       ARRAY_SIZE(fds)));
	EXPECT_TRUE(wire_closed(self->peer.sock));
	EXPECT_EQ(0, peer_hang_up(&self->peer));
	close(fd);
}

/* No room for the fds in the daemon: the kernel drops them, and says so. */
TEST_F(framing, rule6_truncated_fds_close)
{
	struct vfio_user_dma_map map = page_map(1);
	struct rlimit old, none = { .rlim_cur = 10 };
	int fd = peer_memory(PAGE);

	ASSERT_EQ(0, prlimit(self->peer.daemon.pid, RLIMIT_NOFILE, NULL,
			     &old));
	none.rlim_max = old.rlim_max;
	ASSERT_EQ(0, prlimit(self->peer.daemon.pid, RLIMIT_NOFILE, &none,
			     NULL));
	ASSERT_EQ(0, wire_command(self->peer.sock, 3, VFIO_USER_DMA_MAP, &map,
				  sizeof(map), &fd, 1));
	EXPECT_TRUE(wire_closed(self->peer.sock));
	ASSERT_EQ(0, prlimit(self->peer.daemon.pid, RLIMIT_NOFILE, &old,
			     NULL));
	EXPECT_EQ(0, peer_hang_up(&self->peer));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
	EXPECT_EQ(0, peer_connect(&self->peer));
	close(fd);
}

/* All numbers that aren't commands, and those that this server doesn't do. */
TEST_F(framing, rule7_unknown_command_is_eopnotsupp)
{
	static const uint16_t commands[] = {
		0, VFIO_USER_DMA_READ, VFIO_USER_DMA_WRITE, 19, 20, 255, 256,
		0x7fff, 0x8000, 0xffff,
	};
	const uint64_t payload[8] = { 32 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		EXPECT_EQ(EOPNOTSUPP, wire_call(self->peer.sock, commands[i],
						NULL, 0, &self->r));
		EXPECT_EQ(EOPNOTSUPP, wire_call(self->peer.sock, commands[i],
						payload, sizeof(payload),
						&self->r));
	}
	EXPECT_TRUE(is_alive(&self->peer));
}

TEST_F(framing, rule7_retired_command_is_eopnotsupp)
{
	EXPECT_EQ(EOPNOTSUPP, wire_call(self->peer.sock, 14, NULL, 0,
					&self->r));
	EXPECT_TRUE(is_alive(&self->peer));
}

TEST_F(framing, rule7_fds_of_an_unknown_command_are_closed)
{
	int fd = peer_memory(PAGE);

	EXPECT_EQ(EOPNOTSUPP, wire_call_fds(self->peer.sock, 99, NULL, 0, &fd,
					    1, &self->r));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	EXPECT_TRUE(is_alive(&self->peer));
	close(fd);
}

TEST_HARNESS_MAIN
