// SPDX-License-Identifier: GPL-2.0-only
/*
 * Capabilities: rules 10 to 12 of the protocol, one test a rule.
 *
 * caps_parse() gets what a hostile other side may send as version data;
 * caps_format() must say what caps_parse() and any other reader understand.
 * The text is always copied into a heap block of its exact size, so that the
 * address sanitizer sees a read beyond it.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "caps.h"
#include "vfio_user.h"

#include "kselftest_harness.h"

static int parse_bytes(const void *data, size_t len,
		       struct vfio_user_caps *caps)
{
	char *copy = calloc(1, len ? len : 1);
	int ret;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);
	ret = caps_parse(copy, len, caps);
	free(copy);
	return ret;
}

/* With the NUL that ends the string. */
static int parse(const char *text, struct vfio_user_caps *caps)
{
	return parse_bytes(text, strlen(text) + 1, caps);
}

/* One capability in the usual wrapping. */
static int parse_cap(const char *cap, struct vfio_user_caps *caps)
{
	char *text;
	int ret;

	if (asprintf(&text, "{\"capabilities\":{%s}}", cap) < 0)
		return -ENOMEM;
	ret = parse(text, caps);
	free(text);
	return ret;
}

static int refused(const char *cap)
{
	struct vfio_user_caps caps;

	return parse_cap(cap, &caps);
}

/* What caps_format() says, inside "capabilities"; to be put by the caller. */
static json_t *said(const struct vfio_user_caps *caps)
{
	char *text = caps_format(caps);
	json_t *root = text ? json_loads(text, 0, NULL) : NULL;
	json_t *json = json_incref(json_object_get(root, "capabilities"));

	json_decref(root);
	free(text);
	return json;
}

TEST(rule10_no_json_means_the_defaults)
{
	struct vfio_user_caps caps;

	ASSERT_EQ(0, parse_bytes("", 0, &caps));
	EXPECT_EQ(1, caps.max_msg_fds);
	EXPECT_EQ(1024 * 1024, caps.max_data_xfer_size);
	EXPECT_EQ(65535, caps.max_dma_maps);
	EXPECT_EQ(4096, caps.pgsizes);
	EXPECT_FALSE(caps.write_multiple);
	EXPECT_FALSE(caps.twin_socket);
	EXPECT_EQ(-1, caps.twin_fd_index);
	EXPECT_EQ(0, caps.migration_pgsize);
	EXPECT_EQ(0, caps.nr_iova_ranges);
}

TEST(rule10_an_empty_object_means_the_defaults)
{
	struct vfio_user_caps caps, defaults;

	caps_default(&defaults);
	ASSERT_EQ(0, parse("{}", &caps));
	EXPECT_EQ(0, memcmp(&defaults, &caps, sizeof(caps)));
	ASSERT_EQ(0, parse("{\"capabilities\":{}}", &caps));
	EXPECT_EQ(0, memcmp(&defaults, &caps, sizeof(caps)));
}

TEST(rule10_missing_nul_is_refused)
{
	struct vfio_user_caps caps;

	EXPECT_EQ(-EINVAL, parse_bytes("{}", 2, &caps));
	EXPECT_EQ(-EINVAL, parse_bytes("{", 1, &caps));
}

TEST(rule10_embedded_nul_is_refused)
{
	struct vfio_user_caps caps;

	EXPECT_EQ(-EINVAL, parse_bytes("{}\0", 4, &caps));
	EXPECT_EQ(-EINVAL, parse_bytes("{}\0{}", 6, &caps));
	EXPECT_EQ(-EINVAL, parse_bytes("\0{}", 4, &caps));
	EXPECT_EQ(-EINVAL, parse("{\"a\\u0000b\":1}", &caps));
}

TEST(rule10_empty_text_is_refused)
{
	struct vfio_user_caps caps;

	EXPECT_EQ(-EINVAL, parse("", &caps));
	EXPECT_EQ(-EINVAL, parse("  ", &caps));
}

TEST(rule10_invalid_utf8_is_refused)
{
	struct vfio_user_caps caps;

	EXPECT_EQ(-EINVAL, parse("{\"\xff\":1}", &caps));
	EXPECT_EQ(-EINVAL, parse("{\"a\":\"\xc3\"}", &caps));
	/* an overlong NUL, a surrogate, a value beyond Unicode */
	EXPECT_EQ(-EINVAL, parse("{\"\xc0\x80\":1}", &caps));
	EXPECT_EQ(-EINVAL, parse("{\"\xed\xa0\x80\":1}", &caps));
	EXPECT_EQ(-EINVAL, parse("{\"\xf5\x80\x80\x80\":1}", &caps));
	EXPECT_EQ(0, parse("{\"\xc3\xa9\":1}", &caps));
}

TEST(rule10_anything_but_an_object_is_refused)
{
	struct vfio_user_caps caps;

	EXPECT_EQ(-EINVAL, parse("[]", &caps));
	EXPECT_EQ(-EINVAL, parse("1", &caps));
	EXPECT_EQ(-EINVAL, parse("\"capabilities\"", &caps));
	EXPECT_EQ(-EINVAL, parse("null", &caps));
	EXPECT_EQ(-EINVAL, parse("true", &caps));
	EXPECT_EQ(-EINVAL, parse("{\"capabilities\":[]}", &caps));
	EXPECT_EQ(-EINVAL, parse("{\"capabilities\":null}", &caps));
	EXPECT_EQ(-EINVAL, parse("{\"capabilities\":1}", &caps));
}

TEST(rule10_trailing_garbage_is_refused)
{
	struct vfio_user_caps caps;

	EXPECT_EQ(-EINVAL, parse("{}{}", &caps));
	EXPECT_EQ(-EINVAL, parse("{} x", &caps));
	EXPECT_EQ(-EINVAL, parse("{},", &caps));
	EXPECT_EQ(0, parse("{}\n", &caps));
}

TEST(rule10_truncated_json_is_refused)
{
	static const char text[] =
		"{\"capabilities\":{\"max_msg_fds\":8,\"pgsizes\":4096}}";
	struct vfio_user_caps caps;
	size_t len;

	for (len = 0; len < sizeof(text) - 1; len++) {
		char cut[sizeof(text)];

		memcpy(cut, text, len);
		cut[len] = '\0';
		EXPECT_EQ(-EINVAL, parse(cut, &caps));
	}
	EXPECT_EQ(0, parse(text, &caps));
}

TEST(rule10_duplicate_keys_are_refused)
{
	struct vfio_user_caps caps;

	EXPECT_EQ(-EINVAL, refused("\"max_msg_fds\":1,\"max_msg_fds\":2"));
	EXPECT_EQ(-EINVAL, refused("\"other\":1,\"other\":1"));
	EXPECT_EQ(-EINVAL, parse("{\"capabilities\":{},\"capabilities\":{}}",
				 &caps));
}

TEST(rule10_unknown_capabilities_are_ignored)
{
	struct vfio_user_caps caps;

	ASSERT_EQ(0, parse("{\"x\":[1],\"capabilities\":{}}", &caps));
	ASSERT_EQ(0, parse_cap("\"y\":{\"z\":null},\"max_msg_fds\":9", &caps));
	EXPECT_EQ(9, caps.max_msg_fds);
	ASSERT_EQ(0, parse_cap("\"twin_socket\":{\"w\":\"\"}", &caps));
	EXPECT_FALSE(caps.twin_socket);
}

TEST(rule10_deep_nesting_is_refused)
{
	const int depth = 1000 * 1000;
	struct vfio_user_caps caps;
	char *text = malloc(depth + 1);

	ASSERT_NE(NULL, text);
	memset(text, '[', depth);
	memcpy(text, "{\"a\":", 5);
	text[depth] = '\0';
	EXPECT_EQ(-EINVAL, parse(text, &caps));
	free(text);
}

TEST(rule10_max_msg_fds_zero_is_refused)
{
	EXPECT_EQ(-EINVAL, refused("\"max_msg_fds\":0"));
}

TEST(rule10_max_msg_fds_negative_is_refused)
{
	EXPECT_EQ(-EINVAL, refused("\"max_msg_fds\":-1"));
	EXPECT_EQ(-EINVAL, refused("\"max_msg_fds\":-4294967295"));
}

TEST(rule10_max_msg_fds_above_scm_rights_is_refused)
{
	struct vfio_user_caps caps;

	ASSERT_EQ(0, parse_cap("\"max_msg_fds\":253", &caps));
	EXPECT_EQ(253, caps.max_msg_fds);
	EXPECT_EQ(-EINVAL, refused("\"max_msg_fds\":254"));
	/* 1 in its lower 32 bits */
	EXPECT_EQ(-EINVAL, refused("\"max_msg_fds\":4294967297"));
}

TEST(rule10_max_data_xfer_size_zero_is_refused)
{
	struct vfio_user_caps caps;

	EXPECT_EQ(-EINVAL, refused("\"max_data_xfer_size\":0"));
	EXPECT_EQ(-EINVAL, refused("\"max_data_xfer_size\":-1"));
	ASSERT_EQ(0, parse_cap("\"max_data_xfer_size\":1", &caps));
	EXPECT_EQ(1, caps.max_data_xfer_size);
}

TEST(rule10_max_dma_maps_out_of_range_is_refused)
{
	struct vfio_user_caps caps;

	EXPECT_EQ(-EINVAL, refused("\"max_dma_maps\":0"));
	EXPECT_EQ(-EINVAL, refused("\"max_dma_maps\":-1"));
	EXPECT_EQ(-EINVAL, refused("\"max_dma_maps\":4294967296"));
	ASSERT_EQ(0, parse_cap("\"max_dma_maps\":4294967295", &caps));
	EXPECT_EQ(UINT32_MAX, caps.max_dma_maps);
}

TEST(rule10_pgsizes_zero_is_refused)
{
	struct vfio_user_caps caps;

	EXPECT_EQ(-EINVAL, refused("\"pgsizes\":0"));
	EXPECT_EQ(-EINVAL, refused("\"pgsizes\":-4096"));
	ASSERT_EQ(0, parse_cap("\"pgsizes\":9223372036854771712", &caps));
	EXPECT_EQ(INT64_MAX & ~0xfffull, caps.pgsizes);
}

TEST(rule10_integer_above_63_bits_is_refused)
{
	EXPECT_EQ(-EINVAL, refused("\"pgsizes\":9223372036854775808"));
	/* 1 in its lower 64 bits */
	EXPECT_EQ(-EINVAL, refused("\"pgsizes\":18446744073709551617"));
}

TEST(rule10_number_that_is_no_integer_is_refused)
{
	EXPECT_EQ(-EINVAL, refused("\"pgsizes\":4096.0"));
	EXPECT_EQ(-EINVAL, refused("\"max_msg_fds\":1e1"));
	EXPECT_EQ(-EINVAL, refused("\"max_msg_fds\":0.5"));
	EXPECT_EQ(-EINVAL, refused("\"max_msg_fds\":1e999"));
}

TEST(rule10_wrong_type_is_refused)
{
	EXPECT_EQ(-EINVAL, refused("\"max_msg_fds\":\"8\""));
	EXPECT_EQ(-EINVAL, refused("\"max_msg_fds\":true"));
	EXPECT_EQ(-EINVAL, refused("\"max_msg_fds\":null"));
	EXPECT_EQ(-EINVAL, refused("\"max_data_xfer_size\":[1]"));
	EXPECT_EQ(-EINVAL, refused("\"max_dma_maps\":{}"));
	EXPECT_EQ(-EINVAL, refused("\"pgsizes\":false"));
	EXPECT_EQ(-EINVAL, refused("\"migration\":4096"));
	EXPECT_EQ(-EINVAL, refused("\"migration\":{\"pgsize\":\"4096\"}"));
}

TEST(rule10_boolean_is_not_an_integer)
{
	struct vfio_user_caps caps;

	EXPECT_EQ(-EINVAL, refused("\"write_multiple\":1"));
	EXPECT_EQ(-EINVAL, refused("\"write_multiple\":\"true\""));
	EXPECT_EQ(-EINVAL, refused("\"twin_socket\":{\"supported\":0}"));
	EXPECT_EQ(-EINVAL, refused("\"twin_socket\":true"));
	ASSERT_EQ(0, parse_cap("\"write_multiple\":true", &caps));
	EXPECT_TRUE(caps.write_multiple);
	ASSERT_EQ(0, parse_cap("\"twin_socket\":{\"supported\":true}", &caps));
	EXPECT_TRUE(caps.twin_socket);
	EXPECT_EQ(-1, caps.twin_fd_index);
	ASSERT_EQ(0, parse_cap("\"write_multiple\":false", &caps));
	EXPECT_FALSE(caps.write_multiple);
}

TEST(rule10_twin_socket_fd_index_out_of_range_is_refused)
{
	struct vfio_user_caps caps;

	EXPECT_EQ(-EINVAL, refused("\"twin_socket\":{\"fd_index\":-1}"));
	EXPECT_EQ(-EINVAL, refused("\"twin_socket\":{\"fd_index\":253}"));
	ASSERT_EQ(0, parse_cap("\"twin_socket\":{\"fd_index\":252}", &caps));
	EXPECT_EQ(252, caps.twin_fd_index);
}

TEST(rule10_migration_pgsize_zero_is_refused)
{
	struct vfio_user_caps caps;

	EXPECT_EQ(-EINVAL, refused("\"migration\":{\"pgsize\":0}"));
	ASSERT_EQ(0, parse_cap("\"migration\":{}", &caps));
	EXPECT_EQ(0, caps.migration_pgsize);
	ASSERT_EQ(0, parse_cap("\"migration\":{\"pgsize\":4096}", &caps));
	EXPECT_EQ(4096, caps.migration_pgsize);
}

TEST(rule11_what_is_not_said_is_the_default)
{
	struct vfio_user_caps caps, defaults;

	caps_default(&defaults);
	ASSERT_EQ(0, parse_cap("\"max_msg_fds\":8", &caps));
	EXPECT_EQ(8, caps.max_msg_fds);
	caps.max_msg_fds = defaults.max_msg_fds;
	EXPECT_EQ(0, memcmp(&defaults, &caps, sizeof(caps)));
}

TEST(rule11_everything_said_is_read_back)
{
	struct vfio_user_caps caps, back;
	char *text;

	caps_default(&caps);
	caps.max_msg_fds = 16;
	caps.max_data_xfer_size = 1ull << 40;
	caps.max_dma_maps = UINT32_MAX;
	caps.pgsizes = 0x40201000;
	caps.write_multiple = true;
	caps.twin_socket = true;
	caps.twin_fd_index = 3;
	caps.migration_pgsize = 65536;
	caps.knows_iova_ranges = true;
	caps.nr_iova_ranges = 2;
	caps.iova_ranges[0].last = 0xfedfffff;
	caps.iova_ranges[1].first = 0xfef00000;
	caps.iova_ranges[1].last = 0xffffffffffff;

	text = caps_format(&caps);
	ASSERT_NE(NULL, text);
	ASSERT_EQ(0, parse(text, &back));
	EXPECT_EQ(0, memcmp(&caps, &back, sizeof(caps)));
	free(text);
}

TEST(rule11_the_reply_states_each_capability)
{
	static const char * const keys[] = {
		"max_msg_fds", "max_data_xfer_size", "max_dma_maps",
		"pgsizes", "write_multiple", "twin_socket",
	};
	struct vfio_user_caps caps;
	unsigned int i;
	json_t *json;

	caps_default(&caps);
	json = said(&caps);
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		EXPECT_NE(NULL, json_object_get(json, keys[i]));
	EXPECT_EQ(ARRAY_SIZE(keys), json_object_size(json));
	json_decref(json);
}

TEST(rule11_migration_is_said_only_by_who_can)
{
	struct vfio_user_caps caps;
	const json_t *pgsize;
	json_t *json;

	caps_default(&caps);
	json = said(&caps);
	ASSERT_NE(NULL, json);
	EXPECT_EQ(NULL, json_object_get(json, "migration"));
	json_decref(json);

	caps.migration_pgsize = 4096;
	json = said(&caps);
	pgsize = json_object_get(json_object_get(json, "migration"), "pgsize");
	EXPECT_EQ(4096, json_integer_value(pgsize));
	json_decref(json);
}

TEST(rule11_numbers_above_63_bits_are_said_as_signed)
{
	struct vfio_user_caps caps, back;
	char *text;

	caps_default(&caps);
	caps.max_data_xfer_size = UINT64_MAX;
	caps.pgsizes = ~0xfffull;
	caps.knows_iova_ranges = true;
	caps.nr_iova_ranges = 3;
	caps.iova_ranges[0].last = 0xfff;
	caps.iova_ranges[1].first = 0x2000;
	caps.iova_ranges[1].last = UINT64_MAX;
	caps.iova_ranges[2].first = 1ull << 63;
	caps.iova_ranges[2].last = UINT64_MAX;

	text = caps_format(&caps);
	ASSERT_NE(NULL, text);
	ASSERT_EQ(0, parse(text, &back));
	EXPECT_EQ(INT64_MAX, back.max_data_xfer_size);
	EXPECT_EQ(INT64_MAX & ~0xfffull, back.pgsizes);
	ASSERT_EQ(2, back.nr_iova_ranges);
	EXPECT_EQ(0xfff, back.iova_ranges[0].last);
	EXPECT_EQ(0x2000, back.iova_ranges[1].first);
	EXPECT_EQ(INT64_MAX, back.iova_ranges[1].last);
	free(text);
}

TEST(rule12_iova_ranges_are_pairs)
{
	struct vfio_user_caps caps;

	ASSERT_EQ(0, parse_cap("\"iova_ranges\":[[0,4095],[8192,8192]]",
			       &caps));
	ASSERT_EQ(2, caps.nr_iova_ranges);
	EXPECT_EQ(0, caps.iova_ranges[0].first);
	EXPECT_EQ(4095, caps.iova_ranges[0].last);
	EXPECT_EQ(8192, caps.iova_ranges[1].first);
	EXPECT_EQ(8192, caps.iova_ranges[1].last);
	ASSERT_EQ(0, parse_cap("\"iova_ranges\":[]", &caps));
	EXPECT_EQ(0, caps.nr_iova_ranges);
	EXPECT_TRUE(caps.knows_iova_ranges);
}

TEST(rule12_iova_ranges_that_are_no_ranges_are_refused)
{
	EXPECT_EQ(-EINVAL, refused("\"iova_ranges\":{}"));
	EXPECT_EQ(-EINVAL, refused("\"iova_ranges\":null"));
	EXPECT_EQ(-EINVAL, refused("\"iova_ranges\":[1]"));
	EXPECT_EQ(-EINVAL, refused("\"iova_ranges\":[[0]]"));
	EXPECT_EQ(-EINVAL, refused("\"iova_ranges\":[[0,1,2]]"));
	EXPECT_EQ(-EINVAL, refused("\"iova_ranges\":[[2,1]]"));
	EXPECT_EQ(-EINVAL, refused("\"iova_ranges\":[[-1,1]]"));
	EXPECT_EQ(-EINVAL, refused("\"iova_ranges\":[[0,1.0]]"));
	EXPECT_EQ(-EINVAL, refused("\"iova_ranges\":[[false,true]]"));
}

TEST(rule12_more_iova_ranges_than_we_keep_are_refused)
{
	struct vfio_user_caps caps;
	char text[32 + 8 * (VFIO_USER_MAX_IOVA_RANGES + 1)];
	char *end = text + sprintf(text, "\"iova_ranges\":[[0,1]");
	int i;

	for (i = 1; i < VFIO_USER_MAX_IOVA_RANGES; i++)
		end += sprintf(end, ",[0,1]");
	sprintf(end, "]");
	ASSERT_EQ(0, parse_cap(text, &caps));
	EXPECT_EQ(VFIO_USER_MAX_IOVA_RANGES, caps.nr_iova_ranges);

	sprintf(end, ",[0,1]]");
	EXPECT_EQ(-EINVAL, refused(text));
}

/* A megabyte of empty objects took eighty to parse. */
TEST(rule10_more_json_than_the_bound_is_refused)
{
	struct vfio_user_caps caps;
	char text[CAPS_MAX_JSON + 1];

	memset(text, ' ', sizeof(text));
	memcpy(text, "{}", 2);
	text[CAPS_MAX_JSON - 1] = '\0';
	EXPECT_EQ(0, parse_bytes(text, CAPS_MAX_JSON, &caps));
	text[CAPS_MAX_JSON - 1] = ' ';
	text[CAPS_MAX_JSON] = '\0';
	EXPECT_EQ(-EINVAL, parse_bytes(text, CAPS_MAX_JSON + 1, &caps));
}

TEST_HARNESS_MAIN
