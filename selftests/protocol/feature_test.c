// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rule 27, the features: what is passed to the kernel and what isn't, and the
 * logging of DMA writes. Migration's states and stream are in migration_test.c.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "feature.h"
#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

#define GET		VFIO_USER_FEATURE_GET
#define SET		VFIO_USER_FEATURE_SET
#define PROBE		VFIO_USER_FEATURE_PROBE
#define MIGRATION	VFIO_USER_FEATURE_MIGRATION
#define MIG_STATE	VFIO_USER_FEATURE_MIG_DEVICE_STATE
#define LOG_START	VFIO_USER_FEATURE_DMA_LOGGING_START
#define LOG_STOP	VFIO_USER_FEATURE_DMA_LOGGING_STOP
#define LOG_REPORT	VFIO_USER_FEATURE_DMA_LOGGING_REPORT

#define PAGE		4096ull
#define IOVA		0x100000ull
#define MEM_SIZE	(16 * PAGE)

/* What each feature can be asked for. */
static const struct {
	uint32_t index;
	uint32_t methods;
} features[] = {
	{ MIGRATION, GET },
	{ MIG_STATE, GET | SET },
	{ LOG_START, SET },
	{ LOG_STOP, SET },
	{ LOG_REPORT, GET },
};

/* Data that makes sense for each of them. */
static const uint64_t any[] = { PAGE, 1, PAGE, PAGE };

FIXTURE(feature)
{
	struct peer peer;
	struct fake_config config;
	struct wire_reply r;
	int mem;
};

FIXTURE_VARIANT(feature)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(feature, iommufd)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(feature, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(feature)
{
	peer_init(&self->peer);
	self->mem = -1;
	peer_config(&self->config, variant->way);
	self->config.migration = VFIO_USER_MIGRATION_STOP_COPY |
				 VFIO_USER_MIGRATION_PRE_COPY;
	self->config.logging = true;
}

FIXTURE_TEARDOWN(feature)
{
	close_fd(&self->mem);
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* How often the kernel has been asked for a feature. */
static uint64_t nr_asked(const struct peer *peer)
{
	return *peer_ioctls(peer, FAKE_DEVICE, VFIO_DEVICE_FEATURE);
}

/* Without data, and with room in the reply for any of them. */
static int call(const struct peer *peer, uint32_t flags, struct wire_reply *r)
{
	return feature_call(peer->sock, flags, 64, NULL, 0, r);
}

TEST_F(feature, rule27_probe_says_what_there_is)
{
	static const uint32_t asked[] = { 0, GET, SET, GET | SET };
	int i, j, want;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		for (j = 0; j < ARRAY_SIZE(asked); j++) {
			uint32_t flags = PROBE | asked[j] | features[i].index;

			want = asked[j] & ~features[i].methods ? EINVAL : 0;
			EXPECT_EQ(want, feature_call(self->peer.sock, flags,
						     FEATURE_FIXED, NULL, 0,
						     &self->r));
			if (want)
				continue;
			EXPECT_TRUE(feature_is(&self->r, flags, FEATURE_FIXED,
					       0));
		}
	}
	EXPECT_EQ(VFIO_USER_STATE_RUNNING, feature_state(self->peer.sock));
	EXPECT_EQ(0, self->peer.root.control->nr_log_ranges);
}

TEST_F(feature, rule27_what_the_device_lacks_is_the_kernels_error)
{
	int i;

	self->config.migration = 0;
	self->config.logging = false;
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		uint32_t method = features[i].methods & GET ? GET : SET;

		EXPECT_EQ(ENOTTY, call(&self->peer, PROBE | features[i].index,
				       &self->r));
		EXPECT_EQ(ENOTTY, feature_call(self->peer.sock,
					       method | features[i].index, 64,
					       any, sizeof(any), &self->r));
	}
}

TEST_F(feature, rule27_the_kernels_errors_go_back)
{
	int i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		uint32_t method = features[i].methods & GET ? GET : SET;

		fake_fail_ioctl(&self->peer.root, FAKE_DEVICE,
				VFIO_DEVICE_FEATURE, EBUSY);
		EXPECT_EQ(EBUSY, feature_call(self->peer.sock,
					      method | features[i].index, 64,
					      any, sizeof(any), &self->r));
		fake_fail_ioctl(&self->peer.root, FAKE_DEVICE,
				VFIO_DEVICE_FEATURE, EPERM);
		EXPECT_EQ(EPERM, call(&self->peer, PROBE | features[i].index,
				      &self->r));
	}
}

static bool is_listed(uint32_t index)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(features); i++) {
		if (features[i].index == index)
			return true;
	}
	return false;
}

TEST_F(feature, rule27_other_features_are_eopnotsupp)
{
	static const uint32_t methods[] = { PROBE, PROBE | GET, GET, SET, 0 };
	uint64_t before;
	uint32_t index;
	int i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	before = nr_asked(&self->peer);
	for (index = 0; index <= 0xffff; index += index < 32 ? 1 : 0x7ff) {
		if (is_listed(index))
			continue;
		for (i = 0; i < ARRAY_SIZE(methods); i++)
			EXPECT_EQ(EOPNOTSUPP, call(&self->peer,
						   methods[i] | index,
						   &self->r));
	}
	EXPECT_EQ(EOPNOTSUPP, call(&self->peer, PROBE | 0xffff, &self->r));
	/* The kernel, which knows more of them, isn't asked. */
	EXPECT_EQ(before, nr_asked(&self->peer));
}

TEST_F(feature, rule27_flags_that_make_no_sense_are_einval)
{
	uint64_t before;
	uint32_t method, index;
	int i, bit;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	before = nr_asked(&self->peer);
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		index = features[i].index;
		/* Neither, both, and what the feature hasn't. */
		for (method = 0; method <= (GET | SET); method += GET) {
			if (method && method != (GET | SET) &&
			    method & features[i].methods)
				continue;
			EXPECT_EQ(EINVAL, feature_call(self->peer.sock,
						       method | index, 64,
						       any, sizeof(any),
						       &self->r));
		}
		for (bit = 19; bit < 32; bit++) {
			EXPECT_EQ(EINVAL, call(&self->peer, 1u << bit | PROBE |
					       index, &self->r));
			EXPECT_EQ(EINVAL, call(&self->peer, 1u << bit | index |
					       features[i].methods, &self->r));
		}
	}
	EXPECT_EQ(before, nr_asked(&self->peer));
}

/* Rules 3 and 18, here. */
TEST_F(feature, rule27_a_small_argsz_or_payload_is_einval)
{
	const struct vfio_user_device_feature message = {
		.argsz = 64,
		.flags = PROBE | MIGRATION,
	};

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_EQ(EINVAL, feature_call(self->peer.sock, PROBE | MIGRATION,
				       FEATURE_FIXED - 1, NULL, 0, &self->r));
	EXPECT_EQ(EINVAL, feature_call(self->peer.sock, GET | MIGRATION, 0,
				       NULL, 0, &self->r));
	EXPECT_EQ(EINVAL, wire_call(self->peer.sock, VFIO_USER_DEVICE_FEATURE,
				    &message, sizeof(message) - 1, &self->r));
	EXPECT_EQ(0, wire_call(self->peer.sock, VFIO_USER_DEVICE_FEATURE,
			       &message, sizeof(message), &self->r));
}

TEST_F(feature, rule27_argsz_for_the_fixed_part_says_how_much_is_needed)
{
	static const uint32_t asks[] = { GET | MIGRATION, GET | MIG_STATE };
	int i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (i = 0; i < ARRAY_SIZE(asks); i++) {
		ASSERT_EQ(0, feature_call(self->peer.sock, asks[i],
					  FEATURE_FIXED, NULL, 0, &self->r));
		EXPECT_TRUE(feature_is(&self->r, asks[i], FEATURE_FIXED + 8,
				       0));
		ASSERT_EQ(0, feature_call(self->peer.sock, asks[i],
					  FEATURE_FIXED + 7, NULL, 0,
					  &self->r));
		EXPECT_TRUE(feature_is(&self->r, asks[i], FEATURE_FIXED + 8,
				       0));
		ASSERT_EQ(0, feature_call(self->peer.sock, asks[i], UINT32_MAX,
					  NULL, 0, &self->r));
		EXPECT_TRUE(feature_is(&self->r, asks[i], FEATURE_FIXED + 8,
				       8));
	}
}

TEST_F(feature, rule27_get_migration_passes_the_kernels_flags)
{
	static const uint64_t kinds[] = { 1, 3, 5, 7 };
	uint64_t flags;
	int i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		self->peer.root.control->config.migration = kinds[i];
		ASSERT_EQ(0, call(&self->peer, GET | MIGRATION, &self->r));
		ASSERT_TRUE(feature_is(&self->r, GET | MIGRATION,
				       FEATURE_FIXED + 8, 8));
		memcpy(&flags, self->r.payload + FEATURE_FIXED, 8);
		EXPECT_EQ(kinds[i], flags);
	}
}

/* Rule 6, here. */
TEST_F(feature, rule27_fds_are_refused)
{
	static const uint16_t commands[] = {
		VFIO_USER_DEVICE_FEATURE, VFIO_USER_MIG_DATA_READ,
		VFIO_USER_MIG_DATA_WRITE, VFIO_USER_REGION_WRITE_MULTI,
		VFIO_USER_DEVICE_GET_REGION_IO_FDS,
	};
	const uint32_t payload[4] = { 64, PROBE | MIGRATION };
	int event = eventfd(0, EFD_CLOEXEC), i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		EXPECT_EQ(EINVAL, wire_call_fds(self->peer.sock, commands[i],
						payload, sizeof(payload),
						&event, 1, &self->r));
	}
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	close(event);
}

/* SET of LOG_START with @nr ranges, of which the message has @have. */
static int log_start(const struct peer *peer, uint64_t page_size, uint32_t nr,
		     const struct vfio_user_feature_logging_range *ranges,
		     uint32_t have, struct wire_reply *r)
{
	struct vfio_user_feature_logging_start start = {
		.page_size = page_size,
		.num_ranges = nr,
	};
	size_t len = have * sizeof(*ranges);
	uint8_t data[sizeof(start) + 300 * sizeof(*ranges)];

	memcpy(data, &start, sizeof(start));
	if (len)
		memcpy(data + sizeof(start), ranges, len);
	return feature_call(peer->sock, SET | LOG_START,
			    FEATURE_FIXED + sizeof(start) + len, data,
			    sizeof(start) + len, r);
}

static int log_stop(const struct peer *peer, struct wire_reply *r)
{
	int ret = feature_call(peer->sock, SET | LOG_STOP, FEATURE_FIXED, NULL,
			       0, r);

	return !ret && !feature_is(r, SET | LOG_STOP, FEATURE_FIXED, 0) ?
	       -EPROTO : ret;
}

/* GET of LOG_REPORT, with room for @room bytes of the bitmap. */
static int log_ask(const struct peer *peer, uint64_t iova, uint64_t length,
		   uint64_t page_size, size_t room, struct wire_reply *r)
{
	const struct vfio_user_feature_logging_report report = {
		.iova = iova,
		.length = length,
		.page_size = page_size,
	};

	return feature_call(peer->sock, GET | LOG_REPORT,
			    FEATURE_FIXED + sizeof(report) + room, &report,
			    sizeof(report), r);
}

/* The bitmap of at most 64 pages, as a word. */
static int log_report(const struct peer *peer, uint64_t iova, uint64_t length,
		      uint64_t page_size, uint64_t *bits)
{
	struct vfio_user_feature_logging_report report;
	const uint32_t len = sizeof(report) + sizeof(*bits);
	struct wire_reply r;
	int ret;

	ret = log_ask(peer, iova, length, page_size, sizeof(*bits), &r);
	if (ret)
		return ret;
	if (!feature_is(&r, GET | LOG_REPORT, FEATURE_FIXED + len, len))
		return -EPROTO;
	memcpy(&report, r.payload + FEATURE_FIXED, sizeof(report));
	memcpy(bits, r.payload + FEATURE_FIXED + sizeof(report),
	       sizeof(*bits));
	/* It says again what was asked. */
	return report.iova == iova && report.length == length &&
	       report.page_size == page_size ? 0 : -EPROTO;
}

/* Memory that the device can write to. */
static int map(struct peer *peer, int *mem)
{
	*mem = peer_memory(MEM_SIZE);
	if (*mem < 0)
		return *mem;
	return wire_map(peer->sock, IOVA, MEM_SIZE, PEER_RW, *mem, 0);
}

static const struct vfio_user_feature_logging_range half = {
	IOVA, MEM_SIZE / 2
};

TEST_F(feature, rule27_dma_writes_are_logged)
{
	struct vfio_user_feature_logging_start started;
	const uint32_t len = sizeof(started) + sizeof(half);
	uint64_t bits;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, map(&self->peer, &self->mem));
	ASSERT_EQ(0, log_start(&self->peer, 2 * PAGE, 1, &half, 1, &self->r));
	/* The reply is the request, with the page size that it has become. */
	ASSERT_TRUE(feature_is(&self->r, SET | LOG_START, FEATURE_FIXED + len,
			       len));
	memcpy(&started, self->r.payload + FEATURE_FIXED, sizeof(started));
	EXPECT_EQ(PAGE, started.page_size);
	EXPECT_EQ(1, started.num_ranges);
	EXPECT_EQ(0, started.reserved);
	EXPECT_EQ(0, memcmp(&half, self->r.payload + FEATURE_FIXED +
			    sizeof(started), sizeof(half)));

	EXPECT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, IOVA,
					  IOVA + 2 * PAGE, 8));
	EXPECT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, IOVA,
					  IOVA + 5 * PAGE - 4, 8));
	EXPECT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, IOVA,
					  IOVA + 9 * PAGE, 8));
	EXPECT_EQ(0, log_report(&self->peer, IOVA, 2 * PAGE, PAGE, &bits));
	EXPECT_EQ(0, bits);
	EXPECT_EQ(0, log_report(&self->peer, IOVA, MEM_SIZE, PAGE, &bits));
	EXPECT_EQ(0x34, bits);
	EXPECT_EQ(0, log_report(&self->peer, IOVA, MEM_SIZE, PAGE, &bits));
	EXPECT_EQ(0, bits);

	ASSERT_EQ(0, log_stop(&self->peer, &self->r));
	EXPECT_EQ(0, self->peer.root.control->nr_log_ranges);
	EXPECT_EQ(EINVAL, log_report(&self->peer, IOVA, MEM_SIZE, PAGE,
				     &bits));
}

/* By pages larger than those of the log, and from within a page. */
TEST_F(feature, rule27_reports_have_the_page_size_that_was_asked_for)
{
	uint64_t bits;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, map(&self->peer, &self->mem));
	ASSERT_EQ(0, log_start(&self->peer, PAGE, 1, &half, 1, &self->r));
	peer_dma(&self->peer, IOVA, IOVA + 5 * PAGE, 8);
	EXPECT_EQ(0, log_report(&self->peer, IOVA, MEM_SIZE, 4 * PAGE, &bits));
	EXPECT_EQ(2, bits);
	peer_dma(&self->peer, IOVA, IOVA + 5 * PAGE, 8);
	EXPECT_EQ(0, log_report(&self->peer, IOVA + 4 * PAGE, MEM_SIZE, PAGE,
				&bits));
	EXPECT_EQ(2, bits);
	EXPECT_EQ(EINVAL, log_report(&self->peer, IOVA, MEM_SIZE, 2048,
				     &bits));
}

/* As the specification has it; a kernel wants them all said. */
TEST_F(feature, rule27_no_ranges_log_everything)
{
	struct vfio_user_feature_logging_start started;
	uint64_t bits;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, map(&self->peer, &self->mem));
	ASSERT_EQ(0, log_start(&self->peer, PAGE, 0, NULL, 0, &self->r));
	ASSERT_TRUE(feature_is(&self->r, SET | LOG_START, FEATURE_FIXED +
			       sizeof(started), sizeof(started)));
	memcpy(&started, self->r.payload + FEATURE_FIXED, sizeof(started));
	EXPECT_EQ(0, started.num_ranges);
	EXPECT_EQ(2, self->peer.root.control->nr_log_ranges);
	peer_dma(&self->peer, IOVA, IOVA + 15 * PAGE, 8);
	EXPECT_EQ(0, log_report(&self->peer, IOVA, MEM_SIZE, PAGE, &bits));
	EXPECT_EQ(0x8000, bits);
}

/* The end of the last address is said with one bit more than there are. */
TEST_F(feature, rule27_no_ranges_of_an_iommu_that_maps_the_last_address)
{
	uint64_t bits;

	self->config.ranges[1].last = UINT64_MAX;
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, map(&self->peer, &self->mem));
	ASSERT_EQ(0, log_start(&self->peer, PAGE, 0, NULL, 0, &self->r));
	EXPECT_EQ(2, self->peer.root.control->nr_log_ranges);
	peer_dma(&self->peer, IOVA, IOVA + 15 * PAGE, 8);
	EXPECT_EQ(0, log_report(&self->peer, IOVA, MEM_SIZE, PAGE, &bits));
	EXPECT_EQ(0x8000, bits);
}

/* Also where the kernel knows no bounds. */
TEST_F(feature, rule27_no_ranges_of_an_iommu_without_bounds)
{
	uint64_t bits;

	self->config.nr_ranges = 0;
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, map(&self->peer, &self->mem));
	ASSERT_EQ(0, log_start(&self->peer, PAGE, 0, NULL, 0, &self->r));
	EXPECT_EQ(1, self->peer.root.control->nr_log_ranges);
	peer_dma(&self->peer, IOVA, IOVA + 15 * PAGE, 8);
	EXPECT_EQ(0, log_report(&self->peer, IOVA, MEM_SIZE, PAGE, &bits));
	EXPECT_EQ(0x8000, bits);
}

TEST_F(feature, rule27_ranges_beyond_the_payload_are_einval)
{
	/* Times 16 the second is 0 in 32 bits, the third 16. */
	static const uint32_t counts[] = {
		2, 0x10000000, 0x10000001, UINT32_MAX, 1u << 31
	};
	uint64_t before;
	int i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	before = nr_asked(&self->peer);
	for (i = 0; i < ARRAY_SIZE(counts); i++)
		EXPECT_EQ(EINVAL, log_start(&self->peer, PAGE, counts[i],
					    &half, 1, &self->r));
	EXPECT_EQ(EINVAL, log_start(&self->peer, PAGE, 1, NULL, 0, &self->r));
	EXPECT_EQ(before, nr_asked(&self->peer));
}

TEST_F(feature, rule27_a_log_start_that_is_too_short_is_einval)
{
	struct vfio_user_feature_logging_start data = { .page_size = PAGE };
	size_t len;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (len = 0; len < sizeof(data); len++)
		EXPECT_EQ(EINVAL, feature_call(self->peer.sock,
					       SET | LOG_START, 64, &data, len,
					       &self->r));
	data.reserved = 1;
	EXPECT_EQ(EINVAL, feature_call(self->peer.sock, SET | LOG_START, 64,
				       &data, sizeof(data), &self->r));
	EXPECT_EQ(0, self->peer.root.control->nr_log_ranges);
}

TEST_F(feature, rule27_ranges_that_the_kernel_refuses)
{
	struct vfio_user_feature_logging_range ranges[300];
	uint32_t i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		ranges[i].iova = IOVA + i * PAGE;
		ranges[i].length = PAGE;
	}
	EXPECT_EQ(E2BIG, log_start(&self->peer, PAGE, 257, ranges, 257,
				   &self->r));
	EXPECT_EQ(0, log_start(&self->peer, PAGE, 256, ranges, 300, &self->r));
	EXPECT_EQ(EINVAL, log_start(&self->peer, PAGE, 1, ranges, 1,
				    &self->r));
	EXPECT_EQ(0, log_stop(&self->peer, &self->r));
	EXPECT_EQ(EINVAL, log_start(&self->peer, 0, 1, ranges, 1, &self->r));
	EXPECT_EQ(EINVAL, log_start(&self->peer, 1ull << 63, 1, ranges, 1,
				    &self->r));
	ranges[1].iova = IOVA;
	EXPECT_EQ(EINVAL, log_start(&self->peer, PAGE, 2, ranges, 2,
				    &self->r));
	ranges[0].iova++;
	EXPECT_EQ(EINVAL, log_start(&self->peer, PAGE, 1, ranges, 1,
				    &self->r));
	ranges[0].iova = -PAGE;
	EXPECT_EQ(EOVERFLOW, log_start(&self->peer, PAGE, 1, ranges, 1,
				       &self->r));
	EXPECT_EQ(0, self->peer.root.control->nr_log_ranges);
}

struct bad_report {
	uint64_t iova;
	uint64_t length;
	uint64_t page_size;
};

/* Nonsense, and bitmaps larger than a message may be. */
TEST_F(feature, rule27_reports_that_make_no_sense_are_einval)
{
	static const struct bad_report bad[] = {
		{ IOVA, 0, PAGE },
		{ 0, 0, 1ull << 63 },
		{ IOVA, PAGE, 0 },
		{ IOVA, PAGE, 3 },
		{ IOVA, PAGE, PAGE + 1 },
		{ IOVA, PAGE, UINT64_MAX },
		{ 0, UINT64_MAX, PAGE },
		{ 0, UINT64_MAX, 1 },
		{ 0, (8ull << 20) * PAGE + 1, PAGE },
		{ UINT64_MAX - PAGE + 1, 2 * PAGE, PAGE },
		{ UINT64_MAX, UINT64_MAX, PAGE },
		{ 2, UINT64_MAX, 1ull << 63 },
	};
	uint64_t before;
	long rss;
	int i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, log_start(&self->peer, PAGE, 1, &half, 1, &self->r));
	before = nr_asked(&self->peer);
	rss = fake_rss(self->peer.daemon.pid);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(EINVAL, log_ask(&self->peer, bad[i].iova,
					  bad[i].length, bad[i].page_size,
					  UINT32_MAX - 64, &self->r));
	EXPECT_EQ(before, nr_asked(&self->peer));
	EXPECT_GT(rss + (1 << 20), fake_rss(self->peer.daemon.pid));
}

TEST_F(feature, rule27_a_report_that_is_too_short_is_einval)
{
	const struct vfio_user_feature_logging_report data = {
		IOVA, PAGE, PAGE
	};
	size_t len;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, log_start(&self->peer, PAGE, 1, &half, 1, &self->r));
	for (len = 0; len < sizeof(data); len++)
		EXPECT_EQ(EINVAL, feature_call(self->peer.sock,
					       GET | LOG_REPORT, 64, &data,
					       len, &self->r));
}

TEST_F(feature, rule27_the_largest_report_is_as_large_as_a_read)
{
	const uint64_t length = (8ull << 20) * PAGE;
	struct vfio_user_feature_logging_report report;
	const uint32_t fixed = FEATURE_FIXED + sizeof(report);
	uint8_t *bitmap = self->r.payload + fixed;
	size_t i, other = 0;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, map(&self->peer, &self->mem));
	ASSERT_EQ(0, log_start(&self->peer, PAGE, 1, &half, 1, &self->r));
	peer_dma(&self->peer, IOVA, IOVA + 3 * PAGE, 8);
	ASSERT_EQ(0, log_ask(&self->peer, 0, length, PAGE, 1 << 20, &self->r));
	ASSERT_EQ(fixed + (1 << 20), self->r.len);
	for (i = 0; i < 1 << 20; i++)
		other += bitmap[i];
	/* Page 0x103. */
	EXPECT_EQ(8, bitmap[0x20]);
	EXPECT_EQ(8, other);
}

/* What is reported is forgotten by the kernel, so it must not be for nothing. */
TEST_F(feature, rule27_a_report_without_room_for_it_loses_nothing)
{
	struct vfio_user_feature_logging_report report;
	const uint32_t full = FEATURE_FIXED + sizeof(report) + 8;
	uint64_t bits, before;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, map(&self->peer, &self->mem));
	ASSERT_EQ(0, log_start(&self->peer, PAGE, 1, &half, 1, &self->r));
	peer_dma(&self->peer, IOVA, IOVA + 3 * PAGE, 8);
	before = nr_asked(&self->peer);
	ASSERT_EQ(0, log_ask(&self->peer, IOVA, MEM_SIZE, PAGE, 0, &self->r));
	EXPECT_TRUE(feature_is(&self->r, GET | LOG_REPORT, full, 0));
	ASSERT_EQ(0, log_ask(&self->peer, IOVA, MEM_SIZE, PAGE, 7, &self->r));
	EXPECT_TRUE(feature_is(&self->r, GET | LOG_REPORT, full, 0));
	EXPECT_EQ(before, nr_asked(&self->peer));
	EXPECT_EQ(0, log_report(&self->peer, IOVA, MEM_SIZE, PAGE, &bits));
	EXPECT_EQ(8, bits);
}

/* A device that stays open isn't left logging for nobody. */
TEST_F(feature, rule27_the_end_of_the_session_ends_the_logging)
{
	ASSERT_EQ(0, peer_start(&self->peer, &self->config,
				"--on-disconnect=retain"));
	ASSERT_EQ(0, peer_connect(&self->peer));
	ASSERT_EQ(0, log_start(&self->peer, PAGE, 1, &half, 1, &self->r));
	EXPECT_EQ(1, self->peer.root.control->nr_log_ranges);
	close_fd(&self->peer.sock);
	ASSERT_TRUE(peer_wait_log(&self->peer, "is gone"));
	EXPECT_EQ(0, self->peer.root.control->nr_log_ranges);
	ASSERT_EQ(0, peer_connect(&self->peer));
	EXPECT_EQ(0, log_start(&self->peer, PAGE, 1, &half, 1, &self->r));
}

TEST_HARNESS_MAIN
