// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rule 22: REGION_WRITE_MULTI does one write after the other, stops at the
 * first that fails, and says how many it did.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

#define ONE		sizeof(struct vfio_user_write_one)
#define COUNT		sizeof(struct vfio_user_write_multi)

/* As many as the largest message has room for. */
#define MOST		((VFIO_USER_DEF_MAX_XFER + 64 - COUNT) / ONE)

FIXTURE(multi)
{
	struct peer peer;
	struct wire_reply r;
	uint64_t before;	/* accesses to the device */
};

FIXTURE_SETUP(multi)
{
	ASSERT_EQ(0, peer_open(&self->peer, PEER_MAP_FILE));
	self->before = self->peer.root.control->nr_accesses;
}

FIXTURE_TEARDOWN(multi)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

static struct vfio_user_write_one write_one(uint32_t region, uint64_t offset,
					    uint32_t count, uint64_t value)
{
	struct vfio_user_write_one one = {
		.offset = offset,
		.region = region,
		.count = count,
	};

	memcpy(one.data, &value, sizeof(value));
	return one;
}

/* A message that says @nr and has @len bytes of @writes; the reply in @done. */
static int call(int sock, uint64_t nr, const void *writes, size_t len,
		uint64_t *done)
{
	uint8_t *payload = malloc(COUNT + len);
	struct wire_reply r;
	int ret;

	if (!payload)
		return -ENOMEM;
	memcpy(payload, &nr, COUNT);
	if (len)
		memcpy(payload + COUNT, writes, len);
	ret = wire_call(sock, VFIO_USER_REGION_WRITE_MULTI, payload,
			COUNT + len, &r);
	free(payload);
	if (ret)
		return ret;
	/* The count, and nothing else. */
	if (r.len != COUNT || r.nr_fds) {
		wire_close_fds(&r);
		return -EPROTO;
	}
	memcpy(done, r.payload, COUNT);
	return 0;
}

static uint64_t nr_accesses(const struct peer *peer)
{
	return __atomic_load_n(&peer->root.control->nr_accesses,
			       __ATOMIC_ACQUIRE);
}

TEST_F(multi, rule22_writes_are_done_in_order_each_with_its_width)
{
	const struct vfio_user_write_one writes[] = {
		write_one(PEER_BAR0, 0x100, 8, 0x1122334455667788),
		write_one(PEER_BAR2, 0x1004, 4, 0xaabbccdd),
		write_one(PEER_BAR0, 0x102, 2, 0xffff1234),
		write_one(PEER_BAR0, 0x107, 1, 0xffffff99),
	};
	static const uint64_t values[] = {
		0x1122334455667788, 0xaabbccdd, 0x1234, 0x99
	};
	const struct fake_access *access;
	uint64_t done, value;
	int i;

	ASSERT_EQ(0, call(self->peer.sock, 4, writes, sizeof(writes), &done));
	EXPECT_EQ(4, done);
	ASSERT_EQ(self->before + 4, nr_accesses(&self->peer));
	for (i = 0; i < 4; i++) {
		access = fake_last_access(&self->peer.root, 3 - i);
		EXPECT_TRUE(access->write);
		EXPECT_EQ(writes[i].region, access->index);
		EXPECT_EQ(writes[i].offset, access->offset);
		EXPECT_EQ(writes[i].count, access->width);
		EXPECT_EQ(values[i], access->value);
	}
	value = peer_get64(&self->peer, 0x100);
	EXPECT_EQ(0x9922334412347788, value);
}

TEST_F(multi, rule22_nothing_to_write_is_nothing_done)
{
	uint64_t done = 99;

	EXPECT_EQ(0, call(self->peer.sock, 0, NULL, 0, &done));
	EXPECT_EQ(0, done);
	EXPECT_EQ(self->before, nr_accesses(&self->peer));
}

/* What can't be written ends it: before it all is done, behind it nothing. */
TEST_F(multi, rule22_stops_at_the_first_that_is_wrong)
{
	const struct vfio_user_write_one wrong[] = {
		write_one(9, 0, 4, 0),
		write_one(UINT32_MAX, 0, 4, 0),
		write_one(8, 0, 4, 0),
		write_one(1, 0, 4, 0),
		write_one(PEER_ROM, 0, 4, 0),
		write_one(PEER_BAR0, 0x3ffd, 4, 0),
		write_one(PEER_BAR0, 0x4000, 1, 0),
		write_one(PEER_BAR0, UINT64_MAX - 1, 4, 0),
		write_one(PEER_BAR0, 0x200, 9, 0),
		write_one(PEER_BAR0, 0x200, UINT32_MAX, 0),
	};
	struct vfio_user_write_one writes[3];
	uint64_t done;
	int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		writes[0] = write_one(PEER_BAR0, 0x100, 4, i + 1);
		writes[1] = wrong[i];
		writes[2] = write_one(PEER_BAR0, 0x108, 4, i + 1);
		ASSERT_EQ(0, call(self->peer.sock, 3, writes, sizeof(writes),
				  &done));
		EXPECT_EQ(1, done);
		EXPECT_EQ(i + 1, peer_get64(&self->peer, 0x100));
		EXPECT_EQ(0, peer_get64(&self->peer, 0x108));
		EXPECT_EQ(0, peer_get64(&self->peer, 0x200));
		/* As the first one too. */
		ASSERT_EQ(0, call(self->peer.sock, 2, &writes[1], 2 * ONE,
				  &done));
		EXPECT_EQ(0, done);
		EXPECT_EQ(0, peer_get64(&self->peer, 0x108));
	}
}

TEST_F(multi, rule22_stops_where_the_kernel_says_no)
{
	const struct fake_rule fails = {
		.call = FAKE_PWRITE,
		.nth = 2,
		.err = EIO,
	};
	const struct vfio_user_write_one writes[] = {
		write_one(PEER_BAR0, 0x100, 4, 1),
		write_one(PEER_BAR0, 0x108, 4, 1),
		write_one(PEER_BAR0, 0x110, 4, 1),
	};
	uint64_t done;

	fake_rule_set(&self->peer.root, 0, &fails);
	ASSERT_EQ(0, call(self->peer.sock, 3, writes, sizeof(writes), &done));
	EXPECT_EQ(1, done);
	EXPECT_EQ(self->before + 1, nr_accesses(&self->peer));
}

/* Half a write isn't one. */
TEST_F(multi, rule22_a_short_write_does_not_count)
{
	const struct fake_rule shortens = {
		.call = FAKE_PWRITE,
		.nth = 2,
		.limit = 2,
	};
	const struct vfio_user_write_one writes[] = {
		write_one(PEER_BAR0, 0x100, 4, 1),
		write_one(PEER_BAR0, 0x108, 4, 1),
		write_one(PEER_BAR0, 0x110, 4, 1),
	};
	uint64_t done;

	fake_rule_set(&self->peer.root, 0, &shortens);
	ASSERT_EQ(0, call(self->peer.sock, 3, writes, sizeof(writes), &done));
	EXPECT_EQ(1, done);
	EXPECT_EQ(0, peer_get64(&self->peer, 0x110));
}

TEST_F(multi, rule22_more_than_the_payload_has_is_einval)
{
	const struct vfio_user_write_one writes[] = {
		write_one(PEER_BAR0, 0x100, 4, 1),
		write_one(PEER_BAR0, 0x108, 4, 1),
	};
	/* Times 24 the third is 8, the last 48: both in 64 bits. */
	static const uint64_t counts[] = {
		3, UINT64_MAX, 0xaaaaaaaaaaaaaabull, 1ull << 61, 1ull << 32,
		(1ull << 61) + 2,
	};
	uint64_t done;
	int i;

	for (i = 0; i < ARRAY_SIZE(counts); i++)
		EXPECT_EQ(EINVAL, call(self->peer.sock, counts[i], writes,
				       sizeof(writes), &done));
	/* The second has lost a byte. */
	EXPECT_EQ(EINVAL, call(self->peer.sock, 2, writes, sizeof(writes) - 1,
			       &done));
	EXPECT_EQ(EINVAL, call(self->peer.sock, 1, NULL, 0, &done));
	EXPECT_EQ(self->before, nr_accesses(&self->peer));
	EXPECT_EQ(0, call(self->peer.sock, 2, writes, sizeof(writes), &done));
	EXPECT_EQ(2, done);
}

TEST_F(multi, rule22_a_payload_without_a_count_is_einval)
{
	const uint64_t zero = 0;

	EXPECT_EQ(EINVAL, wire_call(self->peer.sock,
				    VFIO_USER_REGION_WRITE_MULTI, &zero,
				    COUNT - 1, &self->r));
}

/* Rule 3, here. */
TEST_F(multi, rule22_what_follows_the_last_write_is_ignored)
{
	const struct vfio_user_write_one writes[] = {
		write_one(PEER_BAR0, 0x100, 4, 1),
		write_one(PEER_BAR0, 0x108, 4, 1),
	};
	uint64_t done;

	ASSERT_EQ(0, call(self->peer.sock, 1, writes, sizeof(writes), &done));
	EXPECT_EQ(1, done);
	EXPECT_EQ(self->before + 1, nr_accesses(&self->peer));
}

TEST_F(multi, rule22_as_many_as_the_largest_message_holds)
{
	struct vfio_user_write_one *writes = calloc(MOST, ONE);
	uint64_t done, i;

	ASSERT_NE(NULL, writes);
	for (i = 0; i < MOST; i++)
		writes[i] = write_one(PEER_BAR0, 0x100 + i % 64 * 8, 8, i);
	ASSERT_EQ(0, call(self->peer.sock, MOST, writes, MOST * ONE, &done));
	free(writes);
	EXPECT_EQ(MOST, done);
	EXPECT_EQ(self->before + MOST, nr_accesses(&self->peer));
	EXPECT_EQ(MOST - 1, peer_get64(&self->peer,
				       0x100 + (MOST - 1) % 64 * 8));
}

TEST_F(multi, rule22_without_a_reply_it_is_done_all_the_same)
{
	struct {
		struct vfio_user_header header;
		uint64_t nr;
		struct vfio_user_write_one writes[2];
	} __attribute__((packed)) message = {
		.header = wire_header(5, VFIO_USER_REGION_WRITE_MULTI,
				      COUNT + 2 * ONE),
		.nr = 2,
		.writes = {
			write_one(PEER_BAR0, 0x100, 8, 17),
			write_one(99, 0, 8, 0),
		},
	};

	message.header.flags |= VFIO_USER_FLAG_NO_REPLY;
	ASSERT_EQ(0, wire_send(self->peer.sock, &message, sizeof(message),
			       NULL, 0));
	/* The next reply is to this. */
	EXPECT_EQ(17, peer_get64(&self->peer, 0x100));
}

TEST(rule22_the_server_says_that_it_can)
{
	struct wire_reply r;
	struct peer peer;
	json_t *json;

	ASSERT_EQ(0, peer_open(&peer, PEER_TYPE1));
	ASSERT_EQ(0, peer_hang_up(&peer));
	peer.sock = wire_connect(peer.daemon.socket);
	ASSERT_LE(0, peer.sock);
	ASSERT_EQ(0, wire_version(peer.sock, NULL, &r));
	json = json_loads((char *)r.payload + sizeof(struct vfio_user_version),
			  0, NULL);
	ASSERT_NE(NULL, json);
	EXPECT_TRUE(json_is_true(json_object_get(json_object_get(json,
								 "capabilities"),
						 "write_multiple")));
	json_decref(json);
	EXPECT_EQ(0, peer_close(&peer));
}

TEST_HARNESS_MAIN
