// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rule 23: GET_REGION_IO_FDS gives the doorbells that --ioeventfd names, and
 * nothing without it. That an eventfd which fires writes to the device is for
 * the kernel to do: the test tells the software VFIO to look.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

#define FIXED		sizeof(struct vfio_user_region_io_fds)
#define ONE		sizeof(struct vfio_user_io_fd)

#define MAX_OPTIONS	20

/* The exit codes of --help. */
#define EXIT_USAGE	2
#define EXIT_DEVICE	3

FIXTURE(io_fds)
{
	struct peer peer;
	struct fake_config config;
	struct wire_reply r;
};

FIXTURE_SETUP(io_fds)
{
	peer_init(&self->peer);
	peer_config(&self->config, PEER_MAP_FILE);
}

FIXTURE_TEARDOWN(io_fds)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* Start the daemon with these options, NULL at the end; no client yet. */
static int start(struct peer *peer, const struct fake_config *config,
		 const char *const options[])
{
	int ret = peer_machine(peer, config);

	if (!ret)
		ret = fake_daemon_start(&peer->daemon, &peer->root, options);
	if (!ret)
		peer->idle_fds = fake_nr_fds(&peer->root, peer->daemon.pid);
	return ret;
}

/* A client that takes @max_fds fds in one message. */
static int greet(struct peer *peer, unsigned int max_fds)
{
	struct wire_reply r;
	char json[64];
	int ret;

	snprintf(json, sizeof(json), "{\"capabilities\":{\"max_msg_fds\":%u}}",
		 max_fds);
	peer->sock = wire_connect(peer->daemon.socket);
	if (peer->sock < 0)
		return peer->sock;
	ret = wire_version(peer->sock, json, &r);
	peer->fds = fake_nr_fds(&peer->root, peer->daemon.pid);
	return ret;
}

/* Start with @nr doorbells of 4 bytes in BAR0: DATA 1 at 0x100, 2 at 0x110, .. */
static int start_many(struct peer *peer, const struct fake_config *config,
		      unsigned int nr)
{
	const char *options[MAX_OPTIONS + 1] = { NULL };
	char text[MAX_OPTIONS][40];
	unsigned int i;

	for (i = 0; i < nr; i++) {
		snprintf(text[i], sizeof(text[i]), "--ioeventfd=0:%#x:4:%u",
			 0x100 + i * 0x10, i + 1);
		options[i] = text[i];
	}
	return start(peer, config, options);
}

static int get(int sock, uint32_t index, uint32_t argsz, uint32_t flags,
	       struct wire_reply *r)
{
	const struct vfio_user_region_io_fds request = {
		.argsz = argsz,
		.flags = flags,
		.index = index,
	};

	return wire_call(sock, VFIO_USER_DEVICE_GET_REGION_IO_FDS, &request,
			 sizeof(request), r);
}

/* Is this what a reply looks like that needs @argsz and tells of @count? */
static bool fixed_is(const struct wire_reply *r, uint32_t argsz,
		     uint32_t index, uint32_t count)
{
	struct vfio_user_region_io_fds fixed;

	if (r->len < FIXED)
		return false;
	memcpy(&fixed, r->payload, FIXED);
	return fixed.argsz == argsz && !fixed.flags && fixed.index == index &&
	       fixed.count == count;
}

static struct vfio_user_io_fd entry(const struct wire_reply *r, unsigned int i)
{
	struct vfio_user_io_fd io;

	memcpy(&io, r->payload + FIXED + i * ONE, ONE);
	return io;
}

/* Ring a doorbell, and see to it that the kernel hears. */
static int ring(const struct peer *peer, int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		return -errno;
	return fake_doorbells_poll(&peer->root);
}

static uint32_t nr_doorbells(const struct peer *peer)
{
	return peer->root.control->nr_doorbells;
}

TEST_F(io_fds, rule23_without_the_option_there_are_none)
{
	static const uint32_t there[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	int i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (i = 0; i < ARRAY_SIZE(there); i++) {
		ASSERT_EQ(0, get(self->peer.sock, there[i], FIXED, 0,
				 &self->r));
		EXPECT_EQ(FIXED, self->r.len);
		EXPECT_EQ(0, self->r.nr_fds);
		EXPECT_TRUE(fixed_is(&self->r, FIXED, there[i], 0));
	}
	EXPECT_EQ(0, *peer_ioctls(&self->peer, FAKE_DEVICE,
				  VFIO_DEVICE_IOEVENTFD));
}

TEST_F(io_fds, rule23_a_region_that_is_not_there_is_einval)
{
	ASSERT_EQ(0, start_many(&self->peer, &self->config, 1));
	ASSERT_EQ(0, greet(&self->peer, 8));
	EXPECT_EQ(EINVAL, get(self->peer.sock, 8, FIXED, 0, &self->r));
	EXPECT_EQ(EINVAL, get(self->peer.sock, 9, FIXED, 0, &self->r));
	EXPECT_EQ(EINVAL, get(self->peer.sock, 64, FIXED, 0, &self->r));
	EXPECT_EQ(EINVAL, get(self->peer.sock, UINT32_MAX, FIXED, 0,
			      &self->r));
}

TEST_F(io_fds, rule23_flags_and_a_small_argsz_are_einval)
{
	const struct vfio_user_region_io_fds request = { .argsz = 4096 };

	ASSERT_EQ(0, start_many(&self->peer, &self->config, 1));
	ASSERT_EQ(0, greet(&self->peer, 8));
	EXPECT_EQ(EINVAL, get(self->peer.sock, 0, FIXED - 1, 0, &self->r));
	EXPECT_EQ(EINVAL, get(self->peer.sock, 0, 0, 0, &self->r));
	EXPECT_EQ(EINVAL, get(self->peer.sock, 0, 4096, 1, &self->r));
	EXPECT_EQ(EINVAL, get(self->peer.sock, 0, 4096, 1u << 31, &self->r));
	EXPECT_EQ(EINVAL, wire_call(self->peer.sock,
				    VFIO_USER_DEVICE_GET_REGION_IO_FDS,
				    &request, FIXED - 1, &self->r));
	EXPECT_EQ(0, nr_doorbells(&self->peer));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

TEST_F(io_fds, rule23_doorbells_are_described)
{
	static const char *const options[] = {
		"--ioeventfd=0:0x100:4:0x12345678", "--ioeventfd=2:0x1008:8",
		"--ioeventfd=0:258:2:07", "--ioeventfd=0:0x107:1:0",
		"--ioeventfd=4:0:8:0xffffffffffffffff", NULL
	};
	static const struct vfio_user_io_fd want[] = {
		{ 0x100, 4, 0, 0, VFIO_USER_IO_FD_DATAMATCH, 0, 0x12345678 },
		{ 0x102, 2, 1, 0, VFIO_USER_IO_FD_DATAMATCH, 0, 7 },
		{ 0x107, 1, 2, 0, VFIO_USER_IO_FD_DATAMATCH, 0, 0 },
		{ 0x1008, 8, 0, 0, 0, 0, 0 },
		{ 0, 8, 0, 0, VFIO_USER_IO_FD_DATAMATCH, 0, UINT64_MAX },
	};
	static const uint32_t regions[] = { PEER_BAR0, PEER_BAR2, PEER_BAR4 };
	static const uint32_t counts[] = { 3, 1, 1 };
	struct vfio_user_io_fd io;
	unsigned int i, j, n = 0;

	ASSERT_EQ(0, start(&self->peer, &self->config, options));
	ASSERT_EQ(0, greet(&self->peer, 8));
	for (i = 0; i < ARRAY_SIZE(regions); i++) {
		ASSERT_EQ(0, get(self->peer.sock, regions[i], 4096, 0,
				 &self->r));
		ASSERT_EQ(FIXED + counts[i] * ONE, self->r.len);
		EXPECT_TRUE(fixed_is(&self->r, self->r.len, regions[i],
				     counts[i]));
		EXPECT_EQ(counts[i], self->r.nr_fds);
		for (j = 0; j < counts[i]; j++, n++) {
			io = entry(&self->r, j);
			EXPECT_EQ(0, memcmp(&want[n], &io, ONE));
		}
		wire_close_fds(&self->r);
	}
	ASSERT_EQ(0, get(self->peer.sock, 1, 4096, 0, &self->r));
	EXPECT_TRUE(fixed_is(&self->r, FIXED, 1, 0));
	EXPECT_EQ(0, self->r.nr_fds);
	EXPECT_EQ(5, nr_doorbells(&self->peer));
}

/* As rule 18; and nothing is set up for a reply that doesn't offer it. */
TEST_F(io_fds, rule23_argsz_for_the_fixed_part_says_how_much_is_needed)
{
	const uint32_t full = FIXED + 2 * ONE;

	ASSERT_EQ(0, start_many(&self->peer, &self->config, 2));
	ASSERT_EQ(0, greet(&self->peer, 8));
	ASSERT_EQ(0, get(self->peer.sock, 0, FIXED, 0, &self->r));
	EXPECT_EQ(FIXED, self->r.len);
	EXPECT_EQ(0, self->r.nr_fds);
	EXPECT_TRUE(fixed_is(&self->r, full, 0, 2));
	ASSERT_EQ(0, get(self->peer.sock, 0, full - 1, 0, &self->r));
	EXPECT_EQ(FIXED, self->r.len);
	EXPECT_EQ(0, self->r.nr_fds);
	EXPECT_EQ(0, nr_doorbells(&self->peer));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));

	ASSERT_EQ(0, get(self->peer.sock, 0, full, 0, &self->r));
	EXPECT_EQ(full, self->r.len);
	EXPECT_EQ(2, self->r.nr_fds);
	wire_close_fds(&self->r);
	EXPECT_EQ(2, nr_doorbells(&self->peer));
	EXPECT_EQ(2, peer_nr_fds(&self->peer));
}

TEST_F(io_fds, rule23_no_more_than_the_client_takes_fds)
{
	static const unsigned int max_fds[] = { 1, 3, 15, 16, 253 };
	unsigned int i, want;

	ASSERT_EQ(0, start_many(&self->peer, &self->config, 16));
	for (i = 0; i < ARRAY_SIZE(max_fds); i++) {
		want = max_fds[i] < 16 ? max_fds[i] : 16;
		ASSERT_EQ(0, greet(&self->peer, max_fds[i]));
		ASSERT_EQ(0, get(self->peer.sock, 0, 4096, 0, &self->r));
		EXPECT_EQ(want, self->r.nr_fds);
		EXPECT_EQ(FIXED + want * ONE, self->r.len);
		EXPECT_TRUE(fixed_is(&self->r, self->r.len, 0, want));
		EXPECT_EQ(want, nr_doorbells(&self->peer));
		wire_close_fds(&self->r);
		ASSERT_EQ(0, peer_hang_up(&self->peer));
	}
	/* What a client that says nothing takes is one. */
	ASSERT_EQ(0, peer_connect(&self->peer));
	ASSERT_EQ(0, get(self->peer.sock, 0, 4096, 0, &self->r));
	EXPECT_EQ(1, self->r.nr_fds);
	wire_close_fds(&self->r);
}

/* Each of them, by its own eventfd. */
TEST_F(io_fds, rule23_a_doorbell_writes_to_the_device)
{
	const struct fake_access *access;
	struct vfio_user_io_fd io;
	uint64_t before;
	int i;

	ASSERT_EQ(0, start_many(&self->peer, &self->config, 5));
	ASSERT_EQ(0, greet(&self->peer, 8));
	ASSERT_EQ(0, get(self->peer.sock, 0, 4096, 0, &self->r));
	ASSERT_EQ(5, self->r.nr_fds);
	before = self->peer.root.control->nr_accesses;
	EXPECT_EQ(0, fake_doorbells_poll(&self->peer.root));
	for (i = 4; i >= 0; i--) {
		io = entry(&self->r, i);
		ASSERT_GT(5, io.fd_index);
		EXPECT_EQ(1, ring(&self->peer, self->r.fds[io.fd_index]));
		access = fake_last_access(&self->peer.root, 0);
		ASSERT_NE(NULL, access);
		EXPECT_TRUE(access->write);
		EXPECT_EQ(PEER_BAR0, access->index);
		EXPECT_EQ(io.offset, access->offset);
		EXPECT_EQ(io.size, access->width);
		EXPECT_EQ(io.datamatch, access->value);
	}
	EXPECT_EQ(before + 5, self->peer.root.control->nr_accesses);
	EXPECT_EQ(3, peer_get64(&self->peer, 0x120));
	wire_close_fds(&self->r);
}

TEST_F(io_fds, rule23_a_doorbell_writes_as_many_bytes_as_it_is_wide)
{
	static const char *const options[] = {
		"--ioeventfd=0:0x100:1:0x11", "--ioeventfd=0:0x110:2:0x2222",
		"--ioeventfd=0:0x120:4:0x44444444",
		"--ioeventfd=0:0x130:8:0x8888888888888888", NULL
	};
	static const uint64_t want[] = {
		0xffffffffffffff11, 0xffffffffffff2222, 0xffffffff44444444,
		0x8888888888888888,
	};
	int i;

	ASSERT_EQ(0, start(&self->peer, &self->config, options));
	ASSERT_EQ(0, greet(&self->peer, 8));
	ASSERT_EQ(0, get(self->peer.sock, 0, 4096, 0, &self->r));
	ASSERT_EQ(4, self->r.nr_fds);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, peer_put64(&self->peer, 0x100 + i * 0x10,
					UINT64_MAX));
		EXPECT_EQ(1, ring(&self->peer, self->r.fds[i]));
		EXPECT_EQ(want[i], peer_get64(&self->peer, 0x100 + i * 0x10));
	}
	wire_close_fds(&self->r);
}

TEST_F(io_fds, rule23_without_data_zeroes_are_written)
{
	ASSERT_EQ(0, peer_start(&self->peer, &self->config,
				"--ioeventfd=0:0x100:4"));
	ASSERT_EQ(0, peer_connect(&self->peer));
	ASSERT_EQ(0, peer_put64(&self->peer, 0x100, UINT64_MAX));
	ASSERT_EQ(0, get(self->peer.sock, 0, 4096, 0, &self->r));
	ASSERT_EQ(1, self->r.nr_fds);
	EXPECT_EQ(1, ring(&self->peer, self->r.fds[0]));
	EXPECT_EQ(0xffffffff00000000, peer_get64(&self->peer, 0x100));
	wire_close_fds(&self->r);
}

TEST_F(io_fds, rule23_asked_again_they_are_the_same)
{
	int fd;

	ASSERT_EQ(0, start_many(&self->peer, &self->config, 1));
	ASSERT_EQ(0, greet(&self->peer, 1));
	EXPECT_EQ(0, nr_doorbells(&self->peer));
	ASSERT_EQ(0, get(self->peer.sock, 0, 4096, 0, &self->r));
	ASSERT_EQ(1, self->r.nr_fds);
	fd = self->r.fds[0];
	ASSERT_EQ(0, get(self->peer.sock, 0, 4096, 0, &self->r));
	ASSERT_EQ(1, self->r.nr_fds);
	EXPECT_EQ(1, nr_doorbells(&self->peer));
	EXPECT_EQ(1, peer_nr_fds(&self->peer));
	EXPECT_EQ(1, ring(&self->peer, fd));
	EXPECT_EQ(1, ring(&self->peer, self->r.fds[0]));
	close(fd);
	wire_close_fds(&self->r);
}

TEST_F(io_fds, rule23_a_reset_leaves_them)
{
	ASSERT_EQ(0, start_many(&self->peer, &self->config, 1));
	ASSERT_EQ(0, greet(&self->peer, 1));
	ASSERT_EQ(0, get(self->peer.sock, 0, 4096, 0, &self->r));
	ASSERT_EQ(1, self->r.nr_fds);
	ASSERT_EQ(0, wire_reset(self->peer.sock));
	EXPECT_EQ(1, ring(&self->peer, self->r.fds[0]));
	EXPECT_EQ(1, peer_get64(&self->peer, 0x100));
	wire_close_fds(&self->r);
}

/* A client can't ring what isn't its device any more. */
TEST_F(io_fds, rule23_the_end_of_the_session_takes_them_from_the_kernel)
{
	int old;

	ASSERT_EQ(0, start_many(&self->peer, &self->config, 3));
	ASSERT_EQ(0, greet(&self->peer, 8));
	ASSERT_EQ(0, get(self->peer.sock, 0, 4096, 0, &self->r));
	ASSERT_EQ(3, self->r.nr_fds);
	old = self->r.fds[0];
	self->r.fds[0] = dup(old);
	wire_close_fds(&self->r);
	ASSERT_EQ(0, peer_hang_up(&self->peer));
	EXPECT_EQ(0, nr_doorbells(&self->peer));
	EXPECT_EQ(0, self->peer.root.control->hidden_fds);

	ASSERT_EQ(0, greet(&self->peer, 8));
	EXPECT_EQ(0, ring(&self->peer, old));
	ASSERT_EQ(0, get(self->peer.sock, 0, 4096, 0, &self->r));
	ASSERT_EQ(3, self->r.nr_fds);
	EXPECT_EQ(0, ring(&self->peer, old));
	EXPECT_EQ(1, ring(&self->peer, self->r.fds[0]));
	close(old);
	wire_close_fds(&self->r);
}

/* Also when the device stays open. */
TEST_F(io_fds, rule23_a_retained_device_has_none_left)
{
	static const char *const options[] = {
		"--ioeventfd=0:0x100:4", "--ioeventfd=0:0x104:4",
		"--on-disconnect=retain", NULL
	};

	ASSERT_EQ(0, start(&self->peer, &self->config, options));
	ASSERT_EQ(0, greet(&self->peer, 8));
	ASSERT_EQ(0, get(self->peer.sock, 0, 4096, 0, &self->r));
	ASSERT_EQ(2, self->r.nr_fds);
	wire_close_fds(&self->r);
	close_fd(&self->peer.sock);
	ASSERT_TRUE(peer_wait_log(&self->peer, "is gone"));
	EXPECT_EQ(0, nr_doorbells(&self->peer));
	ASSERT_EQ(0, greet(&self->peer, 8));
	ASSERT_EQ(0, get(self->peer.sock, 0, 4096, 0, &self->r));
	EXPECT_EQ(2, self->r.nr_fds);
	wire_close_fds(&self->r);
}

TEST_F(io_fds, rule23_what_the_kernel_says_is_said)
{
	const struct fake_rule second = {
		.call = FAKE_IOCTL,
		.kind = FAKE_DEVICE,
		.request = VFIO_DEVICE_IOEVENTFD,
		.nth = 2,
		.err = ENOSPC,
	};

	ASSERT_EQ(0, start_many(&self->peer, &self->config, 3));
	ASSERT_EQ(0, greet(&self->peer, 8));
	fake_rule_set(&self->peer.root, 0, &second);
	EXPECT_EQ(ENOSPC, get(self->peer.sock, 0, 4096, 0, &self->r));
	EXPECT_EQ(1, peer_nr_fds(&self->peer));
	EXPECT_EQ(0, get(self->peer.sock, 0, 4096, 0, &self->r));
	EXPECT_EQ(3, self->r.nr_fds);
	EXPECT_EQ(3, peer_nr_fds(&self->peer));
	wire_close_fds(&self->r);
}

/* Run the daemon with these options until it ends by itself. */
static int run(struct peer *peer, const char *const options[])
{
	int ret = fake_daemon_spawn(&peer->daemon, &peer->root, options);

	if (ret)
		return ret;
	ret = fake_daemon_wait(&peer->daemon, 15000);
	if (ret == -ETIMEDOUT)
		fake_daemon_stop(&peer->daemon, SIGKILL);
	return ret;
}

TEST_F_TIMEOUT(io_fds, rule23_bad_options_are_bad_usage, 120)
{
	static const char *const bad[] = {
		"", "0", "0:0x100", "0:0x100:", ":0x100:4", "0::4", "x:0:4",
		"0:0x100:4:", "0:0x100:4:1:", "0:0x100:4:1:2", "0:0x100:4x",
		"0:0x100:4 ", " 0:0x100:4", "0: 0x100:4", "0:0x100:4:0xg",
		"-1:0x100:4", "0:-4:4", "+0:0x100:4", "0:0x100:-4",
		"0:0x100:4:-1", "64:0x100:4", "4294967296:0x100:4",
		"18446744073709551616:0x100:4", "0:0x10000000000000000:4",
		"0:0x100:0", "0:0x100:3", "0:0x100:5", "0:0x100:16",
		"0:0x100:0x100000004", "0:0x101:2", "0:0x102:4", "0:0x104:8",
		"0:0x100:1:256", "0:0x100:2:0x10000", "0:0x100:4:0x100000000",
		"0:0x100:8:0x10000000000000000", "0:08:4", "0,0x100,4",
	};
	const char *options[2] = { NULL };
	char text[80];
	int i;

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "--ioeventfd=%s", bad[i]);
		options[0] = text;
		EXPECT_EQ(EXIT_USAGE, run(&self->peer, options))
			TH_LOG("%s", text);
		EXPECT_TRUE(peer_log_has(&self->peer, text));
		EXPECT_TRUE(peer_log_has(&self->peer,
					 "give REGION:OFFSET:WIDTH[:DATA]"));
		EXPECT_EQ(1, peer_log_count(&self->peer, "\n"));
	}
	EXPECT_EQ(0, self->peer.root.control->enables);
}

TEST_F(io_fds, rule23_the_same_write_twice_is_bad_usage)
{
	static const char *const options[] = {
		"--ioeventfd=0:0x100:4:1", "--ioeventfd=0:0x100:4:2",
		"--ioeventfd=0:256:4:0x1", NULL
	};

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	EXPECT_EQ(EXIT_USAGE, run(&self->peer, options));
	EXPECT_TRUE(peer_log_has(&self->peer,
				 "--ioeventfd=0:256:4:0x1: there is one"));
}

TEST_F(io_fds, rule23_too_many_options_are_bad_usage)
{
	EXPECT_EQ(-ECHILD, start_many(&self->peer, &self->config, 17));
	EXPECT_TRUE(peer_log_has(&self->peer, "16 is the most there can be"));
}

struct refused {
	const char *option;
	const char *first;
	const char *second;
};

TEST_F_TIMEOUT(io_fds, rule23_doorbells_that_cannot_be_had_end_the_start,
	       120)
{
	static const struct refused refused[] = {
		{ "--ioeventfd=0:0x4000:4", "region 0 has no 4 bytes at 0x4000",
		  "vfio-user info" },
		{ "--ioeventfd=4:0x20:1", "region 4 has no 1 bytes at 0x20",
		  "vfio-user info" },
		{ "--ioeventfd=0:0xfffffffffffffff8:8", "region 0 has no 8",
		  "vfio-user info" },
		{ "--ioeventfd=1:0:4", "region 1 has no", "vfio-user info" },
		{ "--ioeventfd=8:0:4", "region 8 has no", "vfio-user info" },
		{ "--ioeventfd=63:0:4", "region 63 has no", "vfio-user info" },
		{ "--ioeventfd=6:0:4", "at 0 of region 6", "in a BAR" },
		{ "--ioeventfd=7:0x40:4", "at 0x40 of region 7", "in a BAR" },
		{ "--ioeventfd=2:0xfc:4", "at 0xfc of region 2", "MSI-X" },
	};
	const char *options[2] = { NULL };
	int i;

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		options[0] = refused[i].option;
		EXPECT_EQ(EXIT_DEVICE, run(&self->peer, options))
			TH_LOG("%s", options[0]);
		EXPECT_TRUE(peer_log_has(&self->peer, refused[i].first))
			TH_LOG("%s", options[0]);
		EXPECT_TRUE(peer_log_has(&self->peer, refused[i].second));
		EXPECT_EQ(1, peer_log_count(&self->peer, "\n"));
		EXPECT_EQ(0, self->peer.root.control->hidden_fds);
	}
}

TEST(rule23_a_driver_without_ioeventfds_ends_the_start)
{
	static const char *const options[] = { "--ioeventfd=0:0:4", NULL };
	struct fake_config config;
	struct peer peer;

	fake_config_mdev(&config);
	ASSERT_EQ(0, peer_machine(&peer, &config));
	EXPECT_EQ(EXIT_DEVICE, run(&peer, options));
	EXPECT_TRUE(peer_log_has(&peer, "the device's driver has none"));
	EXPECT_EQ(0, peer_close(&peer));
}

TEST_HARNESS_MAIN
