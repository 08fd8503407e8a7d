// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rule 27, migration: the states, and the stream that MIG_DATA_READ and
 * MIG_DATA_WRITE stand for. What is saved ends with the device's SCRATCH
 * register, and a device that resumes refuses anything but all of it, in order.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "feature.h"
#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

#define STOP		VFIO_USER_STATE_STOP
#define RUNNING		VFIO_USER_STATE_RUNNING
#define STOP_COPY	VFIO_USER_STATE_STOP_COPY
#define RESUMING	VFIO_USER_STATE_RESUMING
#define RUNNING_P2P	VFIO_USER_STATE_RUNNING_P2P
#define PRE_COPY	VFIO_USER_STATE_PRE_COPY
#define PRE_COPY_P2P	VFIO_USER_STATE_PRE_COPY_P2P

#define MIG_STATE	VFIO_USER_FEATURE_MIG_DEVICE_STATE
#define SET		VFIO_USER_FEATURE_SET

/* Length of the device's state here, and how much of it PRE_COPY yields. */
#define LEN		1000
#define INITIAL		300

FIXTURE(migration)
{
	struct peer peer;
	struct fake_config config;
	struct wire_reply r;
	uint8_t data[LEN * 2];
	uint32_t got;
};

FIXTURE_SETUP(migration)
{
	peer_config(&self->config, PEER_MAP_FILE);
	self->config.migration = VFIO_USER_MIGRATION_STOP_COPY |
				 VFIO_USER_MIGRATION_P2P |
				 VFIO_USER_MIGRATION_PRE_COPY;
	self->config.mig_len = LEN;
	self->config.mig_initial = INITIAL;
	self->config.mig_enomsg = true;
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
}

FIXTURE_TEARDOWN(migration)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* "migration" of a VERSION reply: its pgsize, or 0 if it isn't there. */
static json_int_t migration_pgsize(const struct peer *peer)
{
	int sock = wire_connect(peer->daemon.socket);
	json_int_t pgsize = -1;
	struct wire_reply r;
	json_t *json = NULL, *caps;

	if (sock >= 0 && !wire_version(sock, NULL, &r))
		json = json_loads((char *)r.payload +
				  sizeof(struct vfio_user_version), 0, NULL);
	caps = json_object_get(json, "capabilities");
	if (caps) {
		json_t *migration = json_object_get(caps, "migration");

		pgsize = json_integer_value(json_object_get(migration,
							    "pgsize"));
		if (migration && !pgsize)
			pgsize = -1;
	}
	json_decref(json);
	close(sock);
	return pgsize;
}

TEST_F(migration, rule27_version_says_migration_exactly_when_it_can)
{
	struct fake_config *config = &self->peer.root.control->config;

	ASSERT_EQ(0, peer_hang_up(&self->peer));
	EXPECT_EQ(4096, migration_pgsize(&self->peer));
	ASSERT_EQ(0, peer_wait_idle(&self->peer));
	config->migration = 0;
	EXPECT_EQ(0, migration_pgsize(&self->peer));
	ASSERT_EQ(0, peer_wait_idle(&self->peer));
	config->logging = true;
	EXPECT_EQ(0, migration_pgsize(&self->peer));
	ASSERT_EQ(0, peer_wait_idle(&self->peer));
	config->migration = VFIO_USER_MIGRATION_STOP_COPY;
	EXPECT_EQ(4096, migration_pgsize(&self->peer));
	ASSERT_EQ(0, peer_wait_idle(&self->peer));
}

/* QEMU takes no reply longer than its request (see rule 12's test). */
TEST_F(migration, rule27_version_still_fits_in_qemus_request)
{
	static const char qemu[] =
		"{\"capabilities\": {"
		"\"pgsizes\": 4096, \"max_msg_fds\": 16, \"max_dma_maps\": 65535, \"max_data_xfer_size\": 1048576, \"migration\": {"
		"\"max_bitmap_size\": 268435456, \"pgsize\": 4096}, \"write_multiple\": true}}";

	ASSERT_EQ(0, peer_hang_up(&self->peer));
	self->peer.root.control->config.pgsizes = ~0xfffull;
	self->peer.sock = wire_connect(self->peer.daemon.socket);
	ASSERT_LE(0, self->peer.sock);
	ASSERT_EQ(0, wire_version(self->peer.sock, qemu, &self->r));
	EXPECT_NE(NULL, strstr((char *)self->r.payload +
			       sizeof(struct vfio_user_version),
			       "\"migration\""));
	EXPECT_GE(sizeof(struct vfio_user_version) + sizeof(qemu),
		  self->r.len);
}

TEST_F(migration, rule27_states_are_the_kernels)
{
	static const uint32_t way[] = {
		STOP, RUNNING, RUNNING_P2P, STOP_COPY, RUNNING, PRE_COPY,
		PRE_COPY_P2P, STOP_COPY, STOP, RESUMING, RESUMING
	};
	int i;

	EXPECT_EQ(RUNNING, feature_state(self->peer.sock));
	for (i = 0; i < ARRAY_SIZE(way); i++) {
		ASSERT_EQ(0, feature_set_state(self->peer.sock, way[i]));
		EXPECT_EQ(way[i], self->peer.root.control->mig_state);
		EXPECT_EQ(way[i], feature_state(self->peer.sock));
	}
}

TEST_F(migration, rule27_a_state_that_cannot_be_reached_is_the_kernels_error)
{
	EXPECT_EQ(EINVAL, feature_set_state(self->peer.sock, 0));
	EXPECT_EQ(EINVAL, feature_set_state(self->peer.sock, 8));
	EXPECT_EQ(EINVAL, feature_set_state(self->peer.sock, UINT32_MAX));
	EXPECT_EQ(RUNNING, feature_state(self->peer.sock));
	self->peer.root.control->config.migration =
		VFIO_USER_MIGRATION_STOP_COPY;
	EXPECT_EQ(EINVAL, feature_set_state(self->peer.sock, PRE_COPY));
	EXPECT_EQ(EINVAL, feature_set_state(self->peer.sock, RUNNING_P2P));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

/* What was being read goes on. */
TEST_F(migration, rule27_a_refused_state_keeps_the_stream)
{
	ASSERT_EQ(0, feature_set_state(self->peer.sock, STOP_COPY));
	ASSERT_EQ(0, stream_read(self->peer.sock, self->data, 100,
				 &self->got));
	EXPECT_EQ(EINVAL, feature_set_state(self->peer.sock, PRE_COPY));
	EXPECT_EQ(EINVAL, feature_set_state(self->peer.sock, 0));
	EXPECT_EQ(STOP_COPY, feature_state(self->peer.sock));
	ASSERT_EQ(0, stream_read(self->peer.sock, self->data, LEN,
				 &self->got));
	EXPECT_EQ(LEN - 100, self->got);
}

TEST_F(migration, rule27_the_same_state_again_keeps_the_stream)
{
	ASSERT_EQ(0, feature_set_state(self->peer.sock, STOP_COPY));
	ASSERT_EQ(0, stream_read(self->peer.sock, self->data, 100,
				 &self->got));
	ASSERT_EQ(0, feature_set_state(self->peer.sock, STOP_COPY));
	ASSERT_EQ(0, stream_read(self->peer.sock, self->data, LEN,
				 &self->got));
	EXPECT_EQ(LEN - 100, self->got);
}

/* Each by its own message: 4 bytes of the state and 4 of the fd. */
TEST_F(migration, rule27_a_state_that_is_too_short_is_einval)
{
	const struct vfio_user_feature_mig_state data = { STOP, 0 };
	size_t len;

	for (len = 0; len < sizeof(data); len++)
		EXPECT_EQ(EINVAL, feature_call(self->peer.sock,
					       SET | MIG_STATE, 64, &data, len,
					       &self->r));
	EXPECT_EQ(RUNNING, feature_state(self->peer.sock));
	/* Without room for the reply it is done all the same (rule 18). */
	ASSERT_EQ(0, feature_call(self->peer.sock, SET | MIG_STATE,
				  FEATURE_FIXED, &data, sizeof(data),
				  &self->r));
	EXPECT_TRUE(feature_is(&self->r, SET | MIG_STATE, FEATURE_FIXED + 8,
			       0));
	EXPECT_EQ(STOP, feature_state(self->peer.sock));
}

/* Is this how many more fds the daemon has after going there? */
static bool goes_with_fds(const struct peer *peer, uint32_t state, int fds)
{
	return !feature_set_state(peer->sock, state) &&
	       peer_nr_fds(peer) == fds;
}

/* feature_set_state() sees to it that no fd and no number comes with a reply. */
TEST_F(migration, rule27_the_stream_is_the_daemons_until_its_state_ends)
{
	struct peer *peer = &self->peer;
	const uint64_t *opened = &peer->root.control->opens[FAKE_STREAM];

	EXPECT_TRUE(goes_with_fds(peer, STOP, 0));
	EXPECT_TRUE(goes_with_fds(peer, STOP_COPY, 1));
	EXPECT_TRUE(goes_with_fds(peer, STOP_COPY, 1));
	EXPECT_EQ(1, *opened);
	EXPECT_TRUE(goes_with_fds(peer, STOP, 0));
	EXPECT_TRUE(goes_with_fds(peer, STOP_COPY, 1));
	EXPECT_TRUE(goes_with_fds(peer, RUNNING, 0));
	EXPECT_TRUE(goes_with_fds(peer, PRE_COPY, 1));
	EXPECT_TRUE(goes_with_fds(peer, PRE_COPY_P2P, 1));
	EXPECT_EQ(3, *opened);
	EXPECT_TRUE(goes_with_fds(peer, RUNNING_P2P, 0));
	EXPECT_TRUE(goes_with_fds(peer, PRE_COPY_P2P, 1));
	EXPECT_TRUE(goes_with_fds(peer, PRE_COPY, 1));
	EXPECT_TRUE(goes_with_fds(peer, STOP_COPY, 1));
	EXPECT_EQ(4, *opened);
	/* Another stream takes the place of that one. */
	EXPECT_TRUE(goes_with_fds(peer, RESUMING, 1));
	EXPECT_EQ(5, *opened);
}

TEST_F(migration, rule27_a_reset_ends_the_stream)
{
	ASSERT_TRUE(goes_with_fds(&self->peer, STOP_COPY, 1));
	ASSERT_EQ(0, wire_reset(self->peer.sock));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	EXPECT_EQ(RUNNING, feature_state(self->peer.sock));
	EXPECT_EQ(EINVAL, stream_read(self->peer.sock, self->data, 1,
				      &self->got));
}

TEST_F(migration, rule27_the_end_of_the_session_ends_the_stream)
{
	ASSERT_TRUE(goes_with_fds(&self->peer, STOP_COPY, 1));
	ASSERT_EQ(0, peer_hang_up(&self->peer));
	ASSERT_EQ(0, peer_connect(&self->peer));
	EXPECT_EQ(RUNNING, feature_state(self->peer.sock));
	EXPECT_EQ(EINVAL, stream_read(self->peer.sock, self->data, 1,
				      &self->got));
	ASSERT_TRUE(goes_with_fds(&self->peer, RESUMING, 1));
	ASSERT_EQ(0, peer_hang_up(&self->peer));
}

/* A retained device keeps its state; the stream was the client's. */
TEST(rule27_a_retained_device_has_no_stream_left)
{
	struct fake_config config;
	struct peer peer;
	uint32_t got;
	char byte;
	int fds;

	peer_config(&config, PEER_MAP_FILE);
	config.migration = VFIO_USER_MIGRATION_STOP_COPY;
	ASSERT_EQ(0, peer_begin(&peer, &config, "--on-disconnect=retain"));
	fds = peer.fds;
	ASSERT_EQ(0, feature_set_state(peer.sock, STOP_COPY));
	close_fd(&peer.sock);
	ASSERT_TRUE(peer_wait_log(&peer, "is gone"));
	ASSERT_EQ(0, peer_connect(&peer));
	EXPECT_EQ(fds, peer.fds);
	EXPECT_EQ(STOP_COPY, feature_state(peer.sock));
	EXPECT_EQ(EINVAL, stream_read(peer.sock, &byte, 1, &got));
	EXPECT_EQ(0, feature_set_state(peer.sock, RUNNING));
	EXPECT_EQ(0, peer_close(&peer));
}

TEST_F(migration, rule27_without_a_stream_there_is_no_data)
{
	static const uint32_t states[] = { RUNNING, STOP, RUNNING_P2P };
	int i;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		ASSERT_EQ(0, feature_set_state(self->peer.sock, states[i]));
		EXPECT_EQ(EINVAL, stream_read(self->peer.sock, self->data, 8,
					      &self->got));
		EXPECT_EQ(EINVAL, stream_read(self->peer.sock, self->data, 0,
					      &self->got));
		EXPECT_EQ(EINVAL, stream_write(self->peer.sock, self->data,
					       8));
		EXPECT_EQ(EINVAL, stream_write(self->peer.sock, self->data,
					       0));
	}
}

TEST_F(migration, rule27_the_wrong_direction_is_the_kernels_error)
{
	ASSERT_EQ(0, feature_set_state(self->peer.sock, STOP_COPY));
	EXPECT_EQ(EBADF, stream_write(self->peer.sock, self->data, 8));
	ASSERT_EQ(0, feature_set_state(self->peer.sock, RESUMING));
	EXPECT_EQ(EBADF, stream_read(self->peer.sock, self->data, 8,
				     &self->got));
}

/* Less than was asked for is how a client knows that it has all of it. */
TEST_F(migration, rule27_only_the_end_is_shorter_than_asked)
{
	int i;

	ASSERT_EQ(0, feature_set_state(self->peer.sock, STOP_COPY));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, stream_read(self->peer.sock, self->data, 300,
					 &self->got));
		EXPECT_EQ(300, self->got);
	}
	ASSERT_EQ(0, stream_read(self->peer.sock, self->data, 300,
				 &self->got));
	EXPECT_EQ(LEN - 900, self->got);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, stream_read(self->peer.sock, self->data, 300,
					 &self->got));
		EXPECT_EQ(0, self->got);
	}

	/* To the byte. */
	ASSERT_EQ(0, feature_set_state(self->peer.sock, STOP));
	ASSERT_EQ(0, feature_set_state(self->peer.sock, STOP_COPY));
	ASSERT_EQ(0, stream_read(self->peer.sock, self->data, LEN,
				 &self->got));
	EXPECT_EQ(LEN, self->got);
	ASSERT_EQ(0, stream_read(self->peer.sock, self->data, 1, &self->got));
	EXPECT_EQ(0, self->got);
	ASSERT_EQ(0, stream_read(self->peer.sock, self->data, 0, &self->got));
	EXPECT_EQ(0, self->got);
}

/* A driver may give as little at a time as it likes, and be interrupted. */
TEST_F(migration, rule27_a_read_gathers_what_the_kernel_gives_in_pieces)
{
	const struct fake_rule pieces = { .call = FAKE_READ, .limit = 7 };
	const struct fake_rule signal = {
		.call = FAKE_READ,
		.nth = 3,
		.err = EINTR,
	};

	ASSERT_EQ(0, feature_set_state(self->peer.sock, STOP_COPY));
	fake_rule_set(&self->peer.root, 0, &pieces);
	fake_rule_set(&self->peer.root, 1, &signal);
	ASSERT_EQ(0, stream_read(self->peer.sock, self->data, 500,
				 &self->got));
	EXPECT_EQ(500, self->got);
	ASSERT_EQ(0, stream_read(self->peer.sock, self->data + 500, LEN,
				 &self->got));
	EXPECT_EQ(LEN - 500, self->got);

	fake_rules_clear(&self->peer.root);
	ASSERT_EQ(0, feature_set_state(self->peer.sock, RESUMING));
	EXPECT_EQ(0, stream_write(self->peer.sock, self->data, LEN));
	EXPECT_EQ(0, feature_set_state(self->peer.sock, STOP));
}

TEST_F(migration, rule27_a_write_goes_on_until_the_kernel_has_it_all)
{
	const struct fake_rule pieces = { .call = FAKE_WRITE, .limit = 7 };
	const struct fake_rule signal = {
		.call = FAKE_WRITE,
		.nth = 3,
		.err = EINTR,
	};

	ASSERT_EQ(0, feature_set_state(self->peer.sock, STOP_COPY));
	ASSERT_EQ(0, stream_read(self->peer.sock, self->data, LEN,
				 &self->got));
	ASSERT_EQ(0, feature_set_state(self->peer.sock, RESUMING));
	fake_rule_set(&self->peer.root, 0, &pieces);
	fake_rule_set(&self->peer.root, 1, &signal);
	EXPECT_EQ(0, stream_write(self->peer.sock, self->data, LEN));
	EXPECT_EQ(0, feature_set_state(self->peer.sock, STOP));
}

TEST_F(migration, rule27_the_streams_errors_go_back)
{
	const struct fake_rule reads = { .call = FAKE_READ, .err = EIO };
	const struct fake_rule writes = { .call = FAKE_WRITE, .err = ENOSPC };

	ASSERT_EQ(0, feature_set_state(self->peer.sock, STOP_COPY));
	fake_rule_set(&self->peer.root, 0, &reads);
	fake_rule_set(&self->peer.root, 1, &writes);
	EXPECT_EQ(EIO, stream_read(self->peer.sock, self->data, 8,
				   &self->got));
	ASSERT_EQ(0, feature_set_state(self->peer.sock, RESUMING));
	EXPECT_EQ(ENOSPC, stream_write(self->peer.sock, self->data, 8));
	fake_rules_clear(&self->peer.root);
	EXPECT_EQ(ENOMEM, stream_write(self->peer.sock, self->data, LEN + 1));
}

static int raw_read(const struct peer *peer, uint32_t argsz, uint32_t size,
		    size_t len, struct wire_reply *r)
{
	const struct vfio_user_mig_data data = { argsz, size };

	return wire_call(peer->sock, VFIO_USER_MIG_DATA_READ, &data, len, r);
}

TEST_F(migration, rule27_reads_are_checked)
{
	const uint32_t fixed = sizeof(struct vfio_user_mig_data);
	const uint32_t max = VFIO_USER_DEF_MAX_XFER;
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, feature_set_state(peer->sock, STOP_COPY));
	EXPECT_EQ(EINVAL, raw_read(peer, fixed + 8, 8, fixed - 1, &self->r));
	EXPECT_EQ(EINVAL, raw_read(peer, 0, 8, fixed, &self->r));
	EXPECT_EQ(EINVAL, raw_read(peer, fixed - 1, 0, fixed, &self->r));
	EXPECT_EQ(EINVAL, raw_read(peer, fixed + 7, 8, fixed, &self->r));
	EXPECT_EQ(EINVAL, raw_read(peer, fixed, UINT32_MAX, fixed, &self->r));
	EXPECT_EQ(EINVAL, raw_read(peer, UINT32_MAX, max + 1, fixed,
				   &self->r));
	EXPECT_EQ(EINVAL, raw_read(peer, UINT32_MAX, UINT32_MAX, fixed,
				   &self->r));
	/* Of all that, nothing was read; the most that can be asked for is all. */
	ASSERT_EQ(0, raw_read(peer, fixed + max, max, fixed, &self->r));
	EXPECT_EQ(fixed + LEN, self->r.len);
}

static int raw_write(const struct peer *peer, uint32_t argsz, uint32_t size,
		     const void *bytes, size_t len)
{
	const struct vfio_user_mig_data data = { argsz, size };
	uint8_t payload[sizeof(data) + LEN * 2];
	struct wire_reply r;

	memcpy(payload, &data, sizeof(data));
	memcpy(payload + sizeof(data), bytes, len);
	return wire_call(peer->sock, VFIO_USER_MIG_DATA_WRITE, payload,
			 sizeof(data) + len, &r);
}

TEST_F(migration, rule27_writes_are_checked)
{
	const struct vfio_user_mig_data one = { sizeof(one) + 1, 1 };
	const uint32_t max = VFIO_USER_DEF_MAX_XFER;
	struct peer *peer = &self->peer;
	const uint32_t fixed = sizeof(one);

	ASSERT_EQ(0, feature_set_state(peer->sock, STOP_COPY));
	ASSERT_EQ(0, stream_read(peer->sock, self->data, LEN, &self->got));
	ASSERT_EQ(0, feature_set_state(peer->sock, RESUMING));
	EXPECT_EQ(EINVAL, wire_call(peer->sock, VFIO_USER_MIG_DATA_WRITE,
				    &one, fixed - 1, &self->r));
	EXPECT_EQ(EINVAL, raw_write(peer, fixed + 9, 9, self->data, 8));
	EXPECT_EQ(EINVAL, raw_write(peer, fixed, 1, self->data, 0));
	EXPECT_EQ(EINVAL, raw_write(peer, fixed, max + 1, self->data, 8));
	EXPECT_EQ(EINVAL, raw_write(peer, fixed, UINT32_MAX, self->data, 8));
	/* Of all that nothing was written; and rule 3. */
	EXPECT_EQ(0, raw_write(peer, fixed, 0, self->data, 8));
	EXPECT_EQ(0, raw_write(peer, 0, 600, self->data, 700));
	EXPECT_EQ(0, raw_write(peer, UINT32_MAX, LEN - 600, self->data + 600,
			       LEN - 600));
	EXPECT_EQ(0, feature_set_state(peer->sock, STOP));
}

/* The client can see that it was refused, and go on with what was missing. */
TEST_F(migration, rule27_what_cannot_be_resumed_is_refused)
{
	ASSERT_EQ(0, feature_set_state(self->peer.sock, STOP_COPY));
	ASSERT_EQ(0, stream_read(self->peer.sock, self->data, LEN,
				 &self->got));
	ASSERT_EQ(0, feature_set_state(self->peer.sock, RESUMING));
	EXPECT_EQ(EINVAL, feature_set_state(self->peer.sock, STOP));
	EXPECT_EQ(0, stream_write(self->peer.sock, self->data, LEN - 1));
	EXPECT_EQ(EINVAL, feature_set_state(self->peer.sock, RUNNING));
	EXPECT_EQ(RESUMING, feature_state(self->peer.sock));
	EXPECT_EQ(1, peer_nr_fds(&self->peer));
	EXPECT_EQ(0, stream_write(self->peer.sock, self->data + LEN - 1, 1));
	EXPECT_EQ(0, feature_set_state(self->peer.sock, RUNNING));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

/* PRE_COPY has an end of its own, behind which the stream goes on. */
TEST_F(migration, rule27_pre_copy_is_a_part_of_the_stream)
{
	int enomsg;

	for (enomsg = 0; enomsg < 2; enomsg++) {
		self->peer.root.control->config.mig_enomsg = enomsg;
		ASSERT_EQ(0, feature_set_state(self->peer.sock, PRE_COPY));
		ASSERT_EQ(0, stream_read(self->peer.sock, self->data, 200,
					 &self->got));
		EXPECT_EQ(200, self->got);
		ASSERT_EQ(0, stream_read(self->peer.sock, self->data, 200,
					 &self->got));
		EXPECT_EQ(INITIAL - 200, self->got);
		ASSERT_EQ(0, stream_read(self->peer.sock, self->data, 200,
					 &self->got));
		EXPECT_EQ(0, self->got);
		ASSERT_EQ(0, feature_set_state(self->peer.sock, STOP_COPY));
		ASSERT_EQ(0, stream_read(self->peer.sock, self->data, LEN,
					 &self->got));
		EXPECT_EQ(LEN - INITIAL, self->got);
		ASSERT_EQ(0, feature_set_state(self->peer.sock, RUNNING));
	}
}

/**
 * FIXTURE(two) - one device's state goes to another, each behind a daemon
 * @len: of the state, in bytes
 * @chunk: how much is read and written at a time
 * @initial: what PRE_COPY yields; 0 to go to STOP_COPY at once
 * @enomsg: how that ends
 */
FIXTURE(two)
{
	struct peer from;
	struct peer to;
	uint8_t *data;
	uint32_t len;
};

FIXTURE_VARIANT(two)
{
	uint32_t len;
	uint32_t chunk;
	uint32_t initial;
	bool enomsg;
};

FIXTURE_VARIANT_ADD(two, stop_copy)
{
	.len = 1000,
	.chunk = 4096,
};

FIXTURE_VARIANT_ADD(two, stop_copy_by_a_few_bytes)
{
	.len = 1000,
	.chunk = 7,
};

FIXTURE_VARIANT_ADD(two, stop_copy_of_as_much_as_is_asked_for)
{
	.len = 1000,
	.chunk = 500,
};

FIXTURE_VARIANT_ADD(two, stop_copy_of_little)
{
	.len = FAKE_MIG_MIN,
	.chunk = 4096,
};

FIXTURE_VARIANT_ADD(two, stop_copy_of_more_than_a_message)
{
	.len = 3 * VFIO_USER_DEF_MAX_XFER + 5,
	.chunk = VFIO_USER_DEF_MAX_XFER,
};

FIXTURE_VARIANT_ADD(two, pre_copy)
{
	.len = 100000,
	.chunk = 4096,
	.initial = 70000,
	.enomsg = true,
};

FIXTURE_VARIANT_ADD(two, pre_copy_that_looks_ended)
{
	.len = 100000,
	.chunk = 4096,
	.initial = 8192,
};

FIXTURE_SETUP(two)
{
	struct fake_config config;

	peer_init(&self->from);
	self->to = self->from;
	self->len = 0;
	self->data = malloc(variant->len + variant->chunk);
	ASSERT_NE(NULL, self->data);
	peer_config(&config, PEER_MAP_FILE);
	config.migration = VFIO_USER_MIGRATION_STOP_COPY |
			   VFIO_USER_MIGRATION_PRE_COPY;
	config.mig_len = variant->len;
	config.mig_initial = variant->initial;
	config.mig_enomsg = variant->enomsg;
	ASSERT_EQ(0, peer_begin(&self->from, &config, NULL));
	peer_config(&config, PEER_TYPE1);
	config.migration = VFIO_USER_MIGRATION_STOP_COPY;
	config.mig_len = variant->len;
	ASSERT_EQ(0, peer_begin(&self->to, &config, NULL));
}

FIXTURE_TEARDOWN(two)
{
	EXPECT_EQ(0, peer_close(&self->from));
	EXPECT_EQ(0, peer_close(&self->to));
	free(self->data);
}

/* Read until less comes than was asked for, but not more than @max. */
static int save(int sock, uint8_t *data, uint32_t *len, uint32_t max,
		uint32_t chunk)
{
	uint32_t got;
	int ret;

	do {
		if (*len > max)
			return -EMSGSIZE;
		ret = stream_read(sock, data + *len, chunk, &got);
		*len += got;
	} while (!ret && got == chunk);
	return ret;
}

static int load(int sock, const uint8_t *data, uint32_t len, uint32_t chunk)
{
	uint32_t done, part;
	int ret = 0;

	for (done = 0; done < len && !ret; done += part) {
		part = min(len - done, chunk);
		ret = stream_write(sock, data + done, part);
	}
	return ret;
}

TEST_F(two, rule27_what_one_saves_another_resumes)
{
	int from = self->from.sock, to = self->to.sock;

	ASSERT_EQ(0, peer_put64(&self->from, FAKE_REG_SCRATCH, 1));
	if (variant->initial) {
		ASSERT_EQ(0, feature_set_state(from, PRE_COPY));
		ASSERT_EQ(0, save(from, self->data, &self->len, variant->len,
				  variant->chunk));
		EXPECT_EQ(variant->initial, self->len);
	}
	/* It runs until it is stopped. */
	ASSERT_EQ(0, peer_put64(&self->from, FAKE_REG_SCRATCH, 0x123456789abc));
	ASSERT_EQ(0, feature_set_state(from, STOP_COPY));
	ASSERT_EQ(0, save(from, self->data, &self->len, variant->len,
			  variant->chunk));
	ASSERT_EQ(variant->len, self->len);
	EXPECT_EQ(0, feature_set_state(from, STOP));

	EXPECT_EQ(0, peer_get64(&self->to, FAKE_REG_SCRATCH));
	ASSERT_EQ(0, feature_set_state(to, RESUMING));
	ASSERT_EQ(0, load(to, self->data, self->len, variant->chunk));
	ASSERT_EQ(0, feature_set_state(to, RUNNING));
	EXPECT_EQ(0x123456789abc, peer_get64(&self->to, FAKE_REG_SCRATCH));
	EXPECT_EQ(0, peer_nr_fds(&self->from));
	EXPECT_EQ(0, peer_nr_fds(&self->to));
}

TEST_HARNESS_MAIN
