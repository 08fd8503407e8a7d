// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules 8 to 12: VERSION, what the two sides say of themselves, and that
 * nothing else comes before it.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

/* A daemon, and a client that has said nothing yet. */
FIXTURE(version)
{
	struct peer peer;
	struct wire_reply r;
};

FIXTURE_SETUP(version)
{
	struct fake_config config;

	peer_config(&config, PEER_MAP_FILE);
	ASSERT_EQ(0, peer_start(&self->peer, &config, NULL));
	self->peer.sock = wire_connect(self->peer.daemon.socket);
	ASSERT_LE(0, self->peer.sock);
}

FIXTURE_TEARDOWN(version)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* The same, for what depends on the way into the kernel. */
FIXTURE(offer)
{
	struct peer peer;
	struct fake_config config;
	struct wire_reply r;
};

FIXTURE_VARIANT(offer)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(offer, map_file)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(offer, map)
{
	.way = PEER_MAP,
};

FIXTURE_VARIANT_ADD(offer, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(offer)
{
	peer_config(&self->config, variant->way);
	ASSERT_EQ(0, peer_start(&self->peer, &self->config, NULL));
	self->peer.sock = wire_connect(self->peer.daemon.socket);
	ASSERT_LE(0, self->peer.sock);
}

FIXTURE_TEARDOWN(offer)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* Begin anew with another connection, which isn't greeted either. */
static bool again(struct peer *peer)
{
	if (peer_hang_up(peer))
		return false;
	peer->sock = wire_connect(peer->daemon.socket);
	return peer->sock >= 0;
}

/* VERSION with these numbers and these bytes behind them. */
static int version_raw(struct peer *peer, uint16_t major, uint16_t minor,
		       const void *data, size_t len, struct wire_reply *r)
{
	uint8_t payload[sizeof(struct vfio_user_version) + 4096];
	struct vfio_user_version version = { .major = major, .minor = minor };

	memcpy(payload, &version, sizeof(version));
	memcpy(payload + sizeof(version), data, len);
	return wire_call(peer->sock, VFIO_USER_VERSION, payload,
			 sizeof(version) + len, r);
}

/* Is a VERSION with these bytes answered with EINVAL and the end? */
static bool is_refused(struct peer *peer, const void *data, size_t len,
		       struct wire_reply *r)
{
	return version_raw(peer, 0, 1, data, len, r) == EINVAL &&
	       wire_closed(peer->sock) && again(peer);
}

static bool json_is_refused(struct peer *peer, const char *json,
			    struct wire_reply *r)
{
	return is_refused(peer, json, strlen(json) + 1, r);
}

/* The "capabilities" of a VERSION reply; a new reference, or NULL. */
static json_t *reply_caps(const struct wire_reply *r)
{
	const char *text = (const char *)r->payload +
			   sizeof(struct vfio_user_version);
	size_t len = r->len - sizeof(struct vfio_user_version);
	json_t *root, *caps;

	if (r->len <= sizeof(struct vfio_user_version) ||
	    memchr(text, '\0', len) != text + len - 1)
		return NULL;
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	caps = json_incref(json_object_get(root, "capabilities"));
	json_decref(root);
	return caps;
}

static json_int_t number(json_t *caps, const char *key)
{
	return json_integer_value(json_object_get(caps, key));
}

static json_int_t element(json_t *pair, size_t i)
{
	return json_integer_value(json_array_get(pair, i));
}

TEST_F(version, rule8_any_command_before_version_is_einval_and_close)
{
	const uint64_t payload[8] = { 32 };
	uint16_t command;

	for (command = 0; command <= VFIO_USER_COMMAND_MAX + 1; command++) {
		if (command == VFIO_USER_VERSION)
			continue;
		EXPECT_EQ(EINVAL, wire_call(self->peer.sock, command, payload,
					    sizeof(payload), &self->r));
		EXPECT_TRUE(wire_closed(self->peer.sock));
		ASSERT_TRUE(again(&self->peer));
	}
	EXPECT_EQ(0, self->peer.root.control->resets);
}

TEST_F(version, rule8_fds_of_a_command_before_version_are_closed)
{
	struct vfio_user_dma_map map = {
		.argsz = sizeof(map),
		.flags = PEER_RW,
		.size = 4096,
	};
	int fd = peer_memory(4096);

	EXPECT_EQ(EINVAL, wire_call_fds(self->peer.sock, VFIO_USER_DMA_MAP,
					&map, sizeof(map), &fd, 1, &self->r));
	EXPECT_TRUE(wire_closed(self->peer.sock));
	EXPECT_EQ(0, peer_hang_up(&self->peer));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
	close(fd);
}

TEST_F(version, rule8_second_version_is_einval_and_session_lives)
{
	struct vfio_user_device_info info;

	ASSERT_EQ(0, wire_version(self->peer.sock, NULL, &self->r));
	EXPECT_EQ(EINVAL, wire_version(self->peer.sock, NULL, &self->r));
	EXPECT_EQ(EINVAL, wire_version(self->peer.sock, "no JSON", &self->r));
	EXPECT_EQ(0, wire_info(self->peer.sock, &info));
}

TEST_F(version, rule9_other_major_is_einval_and_close)
{
	static const uint16_t majors[] = { 1, 2, 0x100, 0xffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(majors); i++) {
		EXPECT_EQ(EINVAL, version_raw(&self->peer, majors[i], 1, "", 0,
					      &self->r));
		EXPECT_TRUE(wire_closed(self->peer.sock));
		ASSERT_TRUE(again(&self->peer));
	}
}

TEST_F(version, rule9_minor_is_the_lesser_of_both)
{
	static const struct {
		uint16_t asked;
		uint16_t answer;
	} minors[] = { { 0, 0 }, { 1, 1 }, { 2, 1 }, { 0xffff, 1 } };
	struct vfio_user_version version;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(minors); i++) {
		ASSERT_EQ(0, version_raw(&self->peer, 0, minors[i].asked, "",
					 0, &self->r));
		ASSERT_LT(sizeof(version), self->r.len);
		memcpy(&version, self->r.payload, sizeof(version));
		EXPECT_EQ(0, version.major);
		EXPECT_EQ(minors[i].answer, version.minor);
		ASSERT_TRUE(again(&self->peer));
	}
}

TEST_F(version, rule10_json_is_optional)
{
	ASSERT_EQ(0, version_raw(&self->peer, 0, 1, "", 0, &self->r));
	ASSERT_TRUE(again(&self->peer));
	ASSERT_EQ(0, wire_version(self->peer.sock, "{}", &self->r));
	ASSERT_TRUE(again(&self->peer));
	ASSERT_EQ(0, wire_version(self->peer.sock, "{\"capabilities\":{}}",
				  &self->r));
}

TEST_F(version, rule10_no_nul_is_einval_and_close)
{
	EXPECT_TRUE(is_refused(&self->peer, "{}", 2, &self->r));
	/* An object, if its last byte were the NUL. */
	EXPECT_TRUE(is_refused(&self->peer, "{} ", 3, &self->r));
}

TEST_F(version, rule10_nul_before_the_end_is_einval_and_close)
{
	EXPECT_TRUE(is_refused(&self->peer, "{}\0", 4, &self->r));
	EXPECT_TRUE(is_refused(&self->peer, "{}\0{}", 6, &self->r));
	EXPECT_TRUE(is_refused(&self->peer, "", 1, &self->r));
}

TEST_F(version, rule10_invalid_utf8_is_einval_and_close)
{
	EXPECT_TRUE(json_is_refused(&self->peer, "{\"a\":\"\xff\"}",
				    &self->r));
	EXPECT_TRUE(json_is_refused(&self->peer, "{\"a\":\"\xc0\x80\"}",
				    &self->r));
	EXPECT_TRUE(json_is_refused(&self->peer, "{\"a\":\"\xed\xa0\x80\"}",
				    &self->r));
}

TEST_F(version, rule10_not_an_object_is_einval_and_close)
{
	static const char *const texts[] = {
		"null", "1", "\"capabilities\"", "[]", "[{}]", "{", "{}{}",
		"{\"capabilities\":[]}", "{\"capabilities\":null}",
		"{\"capabilities\":1}", "nonsense",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		EXPECT_TRUE(json_is_refused(&self->peer, texts[i], &self->r))
			TH_LOG("accepted: %s", texts[i]);
	}
}

/* Depth that would exhaust the stack of a parser that doesn't look. */
TEST_F(version, rule10_deep_json_is_einval_and_close)
{
	char text[4001];

	memset(text, '[', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	EXPECT_TRUE(json_is_refused(&self->peer, text, &self->r));
}

TEST_F(version, rule10_wrong_type_or_range_is_einval_and_close)
{
	static const char *const caps[] = {
		"\"max_msg_fds\":-1", "\"max_msg_fds\":0",
		"\"max_msg_fds\":254", "\"max_msg_fds\":\"8\"",
		"\"max_msg_fds\":8.5", "\"max_msg_fds\":4294967297",
		"\"max_data_xfer_size\":0", "\"max_data_xfer_size\":-4096",
		"\"max_data_xfer_size\":true", "\"max_dma_maps\":0",
		"\"max_dma_maps\":4294967296", "\"max_dma_maps\":null",
		"\"pgsizes\":0", "\"pgsizes\":-4096", "\"pgsizes\":[4096]",
		"\"pgsizes\":18446744073709551616", "\"write_multiple\":1",
		"\"twin_socket\":true", "\"twin_socket\":{\"supported\":1}",
		"\"migration\":4096", "\"migration\":{\"pgsize\":0}",
	};
	char text[128];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		snprintf(text, sizeof(text), "{\"capabilities\":{%s}}",
			 caps[i]);
		EXPECT_TRUE(json_is_refused(&self->peer, text, &self->r))
			TH_LOG("accepted: %s", text);
	}
}

TEST_F(version, rule10_limits_of_the_ranges_are_accepted)
{
	static const char *const caps[] = {
		"\"max_msg_fds\":1", "\"max_msg_fds\":253",
		"\"max_data_xfer_size\":1", "\"max_dma_maps\":4294967295",
		"\"pgsizes\":4096", "\"write_multiple\":true",
		"\"twin_socket\":{\"supported\":false}",
		"\"migration\":{\"pgsize\":4096}",
	};
	char text[128];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		snprintf(text, sizeof(text), "{\"capabilities\":{%s}}",
			 caps[i]);
		EXPECT_EQ(0, wire_version(self->peer.sock, text, &self->r))
			TH_LOG("refused: %s", text);
		ASSERT_TRUE(again(&self->peer));
	}
}

TEST_F(version, rule10_unknown_capabilities_are_ignored)
{
	ASSERT_EQ(0, wire_version(self->peer.sock,
				  "{\"x\":[1,{}],\"capabilities\":{\"y\":-1,\"migration\":{\"max_bitmap_size\":1,\"pgsize\":4096},\"z\":{\"pgsizes\":0}}}",
				  &self->r));
}

TEST_F(offer, rule11_reply_states_what_the_server_can_take)
{
	uint64_t sizes = variant->way == PEER_TYPE1 ? self->config.pgsizes :
						      4096;
	json_t *caps, *twin;

	ASSERT_EQ(0, wire_version(self->peer.sock, NULL, &self->r));
	EXPECT_EQ(0, self->r.nr_fds);
	caps = reply_caps(&self->r);
	ASSERT_NE(NULL, caps);
	EXPECT_EQ(8, number(caps, "max_msg_fds"));
	EXPECT_EQ(1 << 20, number(caps, "max_data_xfer_size"));
	EXPECT_LE(60000, number(caps, "max_dma_maps"));
	EXPECT_GE(65535, number(caps, "max_dma_maps"));
	EXPECT_EQ(sizes & INT64_MAX, number(caps, "pgsizes"));
	EXPECT_TRUE(json_is_boolean(json_object_get(caps, "write_multiple")));
	twin = json_object_get(caps, "twin_socket");
	EXPECT_TRUE(json_is_boolean(json_object_get(twin, "supported")));
	json_decref(caps);
}

/* Whatever the client says, more or less than the server's own. */
TEST_F(offer, rule11_reply_does_not_depend_on_the_client)
{
	static const char *const clients[] = {
		"{\"capabilities\":{\"max_msg_fds\":1,\"max_data_xfer_size\":64,\"max_dma_maps\":3,\"pgsizes\":65536}}",
		"{\"capabilities\":{\"max_msg_fds\":253,\"max_data_xfer_size\":1099511627776,\"write_multiple\":true}}",
	};
	json_t *first, *caps;
	unsigned int i;

	ASSERT_EQ(0, wire_version(self->peer.sock, NULL, &self->r));
	first = reply_caps(&self->r);
	ASSERT_NE(NULL, first);
	for (i = 0; i < ARRAY_SIZE(clients); i++) {
		ASSERT_TRUE(again(&self->peer));
		ASSERT_EQ(0, wire_version(self->peer.sock, clients[i],
					  &self->r));
		caps = reply_caps(&self->r);
		EXPECT_TRUE(json_equal(first, caps));
		json_decref(caps);
	}
	json_decref(first);
}

/* A device that can't migrate says nothing about migration. */
TEST_F(offer, rule11_migration_is_absent_without_it)
{
	json_t *caps;

	ASSERT_EQ(0, wire_version(self->peer.sock, NULL, &self->r));
	caps = reply_caps(&self->r);
	EXPECT_EQ(NULL, json_object_get(caps, "migration"));
	json_decref(caps);
}

TEST_F(offer, rule11_page_sizes_are_those_of_the_iommu)
{
	uint64_t wide = 0x10000 | 0x200000;
	json_t *caps;

	self->peer.root.control->config.pgsizes = wide;
	ASSERT_EQ(0, wire_version(self->peer.sock, NULL, &self->r));
	caps = reply_caps(&self->r);
	/* iommufd tells the least one only. */
	EXPECT_EQ(variant->way == PEER_TYPE1 ? wide : 0x10000,
		  number(caps, "pgsizes"));
	json_decref(caps);
}

TEST_F(offer, rule11_max_dma_maps_is_the_limit_of_the_iommu)
{
	json_t *caps;

	self->peer.root.control->config.dma_avail = 100;
	ASSERT_EQ(0, wire_version(self->peer.sock, NULL, &self->r));
	caps = reply_caps(&self->r);
	/* iommufd has no limit of its own. */
	EXPECT_LE(variant->way == PEER_TYPE1 ? 100 : 60000,
		  number(caps, "max_dma_maps"));
	EXPECT_GE(variant->way == PEER_TYPE1 ? 100 : 65535,
		  number(caps, "max_dma_maps"));
	json_decref(caps);
}

/* The extension is for clients that know it. */
static const char knows_ranges[] = "{\"capabilities\":{\"iova_ranges\":[]}}";

/*
 * QEMU, up to 11.1 at least, doesn't take a reply that is longer than its
 * request: this one, to the byte.
 */
TEST_F(offer, rule12_reply_fits_in_qemus_request)
{
	static const char qemu[] =
		"{\"capabilities\": {"
		"\"pgsizes\": 4096, \"max_msg_fds\": 16, \"max_dma_maps\": 65535, \"max_data_xfer_size\": 1048576, \"migration\": {"
		"\"max_bitmap_size\": 268435456, \"pgsize\": 4096}, \"write_multiple\": true}}";

	self->peer.root.control->config.pgsizes = ~0xfffull;
	ASSERT_EQ(0, wire_version(self->peer.sock, qemu, &self->r));
	EXPECT_EQ(0, self->r.header.error);
	EXPECT_GE(sizeof(struct vfio_user_version) + sizeof(qemu), self->r.len);
}

TEST_F(offer, rule12_iova_ranges_are_those_of_the_kernel)
{
	const struct fake_config *config = &self->config;
	json_t *caps, *list;
	unsigned int i;

	ASSERT_EQ(0, wire_version(self->peer.sock, knows_ranges, &self->r));
	caps = reply_caps(&self->r);
	list = json_object_get(caps, "iova_ranges");
	ASSERT_EQ(config->nr_ranges, json_array_size(list));
	for (i = 0; i < config->nr_ranges; i++) {
		json_t *pair = json_array_get(list, i);

		EXPECT_EQ(2, json_array_size(pair));
		EXPECT_EQ(config->ranges[i].first, element(pair, 0));
		EXPECT_EQ(config->ranges[i].last, element(pair, 1));
	}
	json_decref(caps);
}

/* JSON's integers end before an IOMMU of 64 bits does. */
TEST_F(offer, rule12_ranges_beyond_json_are_cut)
{
	json_t *caps, *pair;

	self->peer.root.control->config.nr_ranges = 1;
	self->peer.root.control->config.ranges[0].last = UINT64_MAX;
	ASSERT_EQ(0, wire_version(self->peer.sock, knows_ranges, &self->r));
	caps = reply_caps(&self->r);
	pair = json_array_get(json_object_get(caps, "iova_ranges"), 0);
	EXPECT_EQ(INT64_MAX, element(pair, 1));
	json_decref(caps);
}

TEST_HARNESS_MAIN
