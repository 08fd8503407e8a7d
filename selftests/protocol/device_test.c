// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules 18 to 21: what the device is like, and its regions: described, mapped,
 * read and written. The software device logs each access with its width.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

#define INFO_SIZE	sizeof(struct vfio_user_region_info)

/* A machine whose shape the test may change, and nothing started yet. */
FIXTURE(device)
{
	struct peer peer;
	struct fake_config config;
	struct wire_reply r;
};

FIXTURE_VARIANT(device)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(device, iommufd)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(device, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(device)
{
	peer_init(&self->peer);
	peer_config(&self->config, variant->way);
}

FIXTURE_TEARDOWN(device)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

static struct vfio_user_region_info info_of(const struct wire_reply *r)
{
	struct vfio_user_region_info info = { 0 };

	if (r->len >= sizeof(info))
		memcpy(&info, r->payload, sizeof(info));
	return info;
}

/* Where a capability begins in the payload, 0 if it isn't there. */
static uint32_t find_cap(const struct wire_reply *r, uint16_t id)
{
	struct vfio_user_cap_header header;
	uint32_t at = info_of(r).cap_offset;

	while (at && at + sizeof(header) <= r->len) {
		memcpy(&header, r->payload + at, sizeof(header));
		if (header.id == id)
			return at;
		if (header.next <= at)
			return 0;
		at = header.next;
	}
	return 0;
}

TEST_F(device, rule18_info_argsz_below_the_structure_is_einval)
{
	struct vfio_user_device_info info = { .argsz = sizeof(info) - 1 };

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_EQ(EINVAL, wire_call(self->peer.sock, VFIO_USER_DEVICE_GET_INFO,
				    &info, sizeof(info), &self->r));
	info.argsz = 0;
	EXPECT_EQ(EINVAL, wire_call(self->peer.sock, VFIO_USER_DEVICE_GET_INFO,
				    &info, sizeof(info), &self->r));
}

TEST_F(device, rule18_region_argsz_below_the_structure_is_einval)
{
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_EQ(EINVAL, wire_region_info(self->peer.sock, PEER_BAR0,
					   INFO_SIZE - 1, &self->r));
	EXPECT_EQ(EINVAL, wire_region_info(self->peer.sock, PEER_BAR0, 0,
					   &self->r));
}

TEST_F(device, rule18_irq_argsz_below_the_structure_is_einval)
{
	struct vfio_user_irq_info info = { .argsz = sizeof(info) - 1 };

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_EQ(EINVAL, wire_call(self->peer.sock,
				    VFIO_USER_DEVICE_GET_IRQ_INFO, &info,
				    sizeof(info), &self->r));
}

/* The fixed part, without a sign of capabilities that aren't there. */
TEST_F(device, rule18_region_argsz_for_the_fixed_part_says_how_much_is_needed)
{
	struct vfio_user_region_info small, info;
	uint32_t need;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, wire_region_info(self->peer.sock, PEER_BAR2, INFO_SIZE,
				      &self->r));
	ASSERT_EQ(INFO_SIZE, self->r.len);
	wire_close_fds(&self->r);
	small = info_of(&self->r);
	need = small.argsz;
	EXPECT_LT(INFO_SIZE, need);
	EXPECT_EQ(0, small.cap_offset);
	EXPECT_EQ(0, small.flags & VFIO_USER_REGION_FLAG_CAPS);

	/* A byte less than needed is as good as none. */
	ASSERT_EQ(0, wire_region_info(self->peer.sock, PEER_BAR2, need - 1,
				      &self->r));
	EXPECT_EQ(INFO_SIZE, self->r.len);
	EXPECT_EQ(need, info_of(&self->r).argsz);
	wire_close_fds(&self->r);

	ASSERT_EQ(0, wire_region_info(self->peer.sock, PEER_BAR2, need,
				      &self->r));
	EXPECT_EQ(need, self->r.len);
	wire_close_fds(&self->r);
	info = info_of(&self->r);
	EXPECT_EQ(need, info.argsz);
	EXPECT_EQ(INFO_SIZE, info.cap_offset);
	EXPECT_EQ(small.flags | VFIO_USER_REGION_FLAG_CAPS, info.flags);
	EXPECT_EQ(small.size, info.size);
	EXPECT_EQ(small.offset, info.offset);
}

TEST_F(device, rule18_more_room_than_needed_is_not_used)
{
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, wire_region_info(self->peer.sock, PEER_CONFIG, UINT32_MAX,
				      &self->r));
	EXPECT_EQ(INFO_SIZE, self->r.len);
	EXPECT_EQ(INFO_SIZE, info_of(&self->r).argsz);
	EXPECT_EQ(0, info_of(&self->r).cap_offset);
	EXPECT_EQ(0, info_of(&self->r).flags & VFIO_USER_REGION_FLAG_CAPS);
}

TEST_F(device, rule19_info_passes_flags_and_numbers)
{
	struct vfio_user_device_info info;

	self->config.nr_regions = 11;
	self->config.regions[9] = self->config.regions[PEER_BAR4];
	self->config.regions[10] = self->config.regions[PEER_BAR4];
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, wire_info(self->peer.sock, &info));
	EXPECT_EQ(16, info.argsz);
	EXPECT_EQ(VFIO_USER_DEVICE_FLAG_RESET | VFIO_USER_DEVICE_FLAG_PCI,
		  info.flags);
	EXPECT_EQ(11, info.num_regions);
	EXPECT_EQ(5, info.num_irqs);
}

/* A client that knows of capabilities still gets 16 bytes. */
TEST_F(device, rule19_info_is_16_bytes_never_more)
{
	uint32_t request[16] = { sizeof(request) };

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, wire_call(self->peer.sock, VFIO_USER_DEVICE_GET_INFO,
			       request, sizeof(request), &self->r));
	EXPECT_EQ(16, self->r.len);
	memcpy(request, self->r.payload, 4);
	EXPECT_EQ(16, request[0]);
}

TEST_F(device, rule19_other_flags_of_the_kernel_stay_there)
{
	struct vfio_user_device_info info;

	self->config.device_flags |= VFIO_DEVICE_FLAGS_CAPS | 1u << 20;
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, wire_info(self->peer.sock, &info));
	EXPECT_EQ(VFIO_USER_DEVICE_FLAG_RESET | VFIO_USER_DEVICE_FLAG_PCI,
		  info.flags);
}

TEST_F(device, rule20_region_is_as_the_kernel_says)
{
	static const uint32_t rw = VFIO_USER_REGION_FLAG_READ |
				   VFIO_USER_REGION_FLAG_WRITE;
	struct vfio_user_region_info info;
	uint32_t i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (i = 0; i < self->config.nr_regions; i++) {
		const struct fake_region *region = &self->config.regions[i];

		if (region->absent)
			continue;
		ASSERT_EQ(0, wire_region_info(self->peer.sock, i, 4096,
					      &self->r));
		wire_close_fds(&self->r);
		info = info_of(&self->r);
		EXPECT_EQ(i, info.index);
		EXPECT_EQ(region->size, info.size);
		EXPECT_EQ(region->flags & rw, info.flags & rw);
		EXPECT_EQ(self->r.len, info.argsz);
	}
}

TEST_F(device, rule20_region_out_of_range_is_einval)
{
	static const uint32_t indexes[] = { 9, 10, 64, 0x80000000, ~0u };
	unsigned int i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (i = 0; i < ARRAY_SIZE(indexes); i++)
		EXPECT_EQ(EINVAL, wire_region_info(self->peer.sock, indexes[i],
						   4096, &self->r));
}

/* VGA, on nearly all devices. */
TEST_F(device, rule20_absent_region_is_einval)
{
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_EQ(EINVAL, wire_region_info(self->peer.sock,
					   VFIO_PCI_VGA_REGION_INDEX, 4096,
					   &self->r));
}

TEST_F(device, rule20_sparse_areas_and_msix_mappable_are_passed)
{
	const struct fake_region *region = &self->config.regions[PEER_BAR2];
	struct vfio_user_cap_sparse_mmap sparse;
	struct vfio_user_sparse_area area;
	uint32_t at, i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, wire_region_info(self->peer.sock, PEER_BAR2, 4096,
				      &self->r));
	wire_close_fds(&self->r);
	EXPECT_NE(0, info_of(&self->r).flags & VFIO_USER_REGION_FLAG_CAPS);
	EXPECT_NE(0, find_cap(&self->r, VFIO_USER_REGION_CAP_MSIX_MAPPABLE));
	at = find_cap(&self->r, VFIO_USER_REGION_CAP_SPARSE_MMAP);
	ASSERT_NE(0, at);
	ASSERT_LE(at + sizeof(sparse) + 2 * sizeof(area), self->r.len);
	memcpy(&sparse, self->r.payload + at, sizeof(sparse));
	ASSERT_EQ(region->nr_sparse, sparse.nr_areas);
	for (i = 0; i < sparse.nr_areas; i++) {
		memcpy(&area, self->r.payload + at + sizeof(sparse) +
		       i * sizeof(area), sizeof(area));
		EXPECT_EQ(region->sparse[i].offset, area.offset);
		EXPECT_EQ(region->sparse[i].size, area.size);
	}
}

TEST_F(device, rule20_type_is_passed)
{
	struct vfio_user_cap_type type;
	uint32_t at;

	self->config.nr_regions = 10;
	self->config.regions[9] = (struct fake_region){
		.size = 4096,
		.flags = VFIO_REGION_INFO_FLAG_READ,
		.has_type = true,
		.type = 0x80008086,
		.subtype = 3,
	};
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, wire_region_info(self->peer.sock, 9, 4096, &self->r));
	EXPECT_EQ(0, self->r.nr_fds);
	at = find_cap(&self->r, VFIO_USER_REGION_CAP_TYPE);
	ASSERT_NE(0, at);
	ASSERT_EQ(at + sizeof(type), self->r.len);
	memcpy(&type, self->r.payload + at, sizeof(type));
	EXPECT_EQ(0x80008086, type.type);
	EXPECT_EQ(3, type.subtype);
	EXPECT_EQ(0, type.header.next);
}

/* All three of them: each is reached from the one before. */
TEST_F(device, rule20_chain_is_whole)
{
	struct fake_region *region = &self->config.regions[PEER_BAR2];

	region->has_type = true;
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, wire_region_info(self->peer.sock, PEER_BAR2, 4096,
				      &self->r));
	wire_close_fds(&self->r);
	EXPECT_NE(0, find_cap(&self->r, VFIO_USER_REGION_CAP_TYPE));
	EXPECT_NE(0, find_cap(&self->r, VFIO_USER_REGION_CAP_SPARSE_MMAP));
	EXPECT_NE(0, find_cap(&self->r, VFIO_USER_REGION_CAP_MSIX_MAPPABLE));
}

TEST_F(device, rule20_mappable_region_has_exactly_one_fd)
{
	uint32_t i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (i = 0; i <= PEER_CONFIG; i++) {
		bool map = self->config.regions[i].flags &
			   VFIO_REGION_INFO_FLAG_MMAP;

		ASSERT_EQ(0, wire_region_info(self->peer.sock, i, 4096,
					      &self->r));
		EXPECT_EQ(map, self->r.nr_fds);
		EXPECT_EQ(map, !!(info_of(&self->r).flags &
				  VFIO_USER_REGION_FLAG_MMAP));
		wire_close_fds(&self->r);
	}
	/* The daemon keeps the one it had. */
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

TEST_F(device, rule20_fd_is_mapped_at_the_offset)
{
	const uint64_t *bar;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, wire_region_info(self->peer.sock, PEER_BAR0, 4096,
				      &self->r));
	ASSERT_EQ(1, self->r.nr_fds);
	bar = mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->r.fds[0],
		   info_of(&self->r).offset);
	ASSERT_NE(MAP_FAILED, bar);
	EXPECT_EQ(FAKE_ID, bar[FAKE_REG_ID / 8]);
	ASSERT_EQ(0, peer_put64(&self->peer, FAKE_REG_SCRATCH, 0x5eed));
	EXPECT_EQ(0x5eed, bar[FAKE_REG_SCRATCH / 8]);
	munmap((void *)bar, 4096);
	wire_close_fds(&self->r);
}

TEST_F(device, rule20_without_mmap_nothing_says_that_it_could_be_mapped)
{
	struct vfio_user_region_info info;
	uint32_t i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, "--mmap=off"));
	for (i = 0; i <= PEER_CONFIG; i++) {
		ASSERT_EQ(0, wire_region_info(self->peer.sock, i, 4096,
					      &self->r));
		info = info_of(&self->r);
		EXPECT_EQ(0, self->r.nr_fds);
		EXPECT_EQ(0, info.flags & VFIO_USER_REGION_FLAG_MMAP);
		EXPECT_EQ(0, info.offset);
		EXPECT_EQ(0, find_cap(&self->r,
				      VFIO_USER_REGION_CAP_SPARSE_MMAP));
	}
}

/* The rest of the chain stays. */
TEST_F(device, rule20_without_mmap_other_capabilities_are_passed)
{
	self->config.regions[PEER_BAR2].has_type = true;
	self->config.regions[PEER_BAR2].type = 5;
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, "--mmap=off"));
	ASSERT_EQ(0, wire_region_info(self->peer.sock, PEER_BAR2, 4096,
				      &self->r));
	EXPECT_NE(0, find_cap(&self->r, VFIO_USER_REGION_CAP_TYPE));
	EXPECT_NE(0, find_cap(&self->r, VFIO_USER_REGION_CAP_MSIX_MAPPABLE));
	EXPECT_EQ(info_of(&self->r).argsz, self->r.len);
}

/* Is the newest access this one, and the only one since @before? */
static bool is_one_access(const struct peer *peer, uint64_t before,
			  uint32_t width, uint64_t offset, bool write)
{
	const struct fake_access *access = fake_last_access(&peer->root, 0);

	return peer->root.control->nr_accesses == before + 1 && access &&
	       access->index == PEER_BAR0 && access->width == width &&
	       access->offset == offset && access->write == write;
}

TEST_F(device, rule21_natural_widths_are_one_access)
{
	uint64_t before, value = 0x8877665544332211;
	uint32_t width;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (width = 1; width <= 8; width *= 2) {
		uint64_t offset = 0x100 + width;

		before = self->peer.root.control->nr_accesses;
		ASSERT_EQ(0, wire_read(self->peer.sock, PEER_BAR0, offset,
				       &value, width, NULL));
		EXPECT_TRUE(is_one_access(&self->peer, before, width, offset,
					  false));
		before = self->peer.root.control->nr_accesses;
		ASSERT_EQ(0, wire_write(self->peer.sock, PEER_BAR0, offset,
					&value, width, NULL));
		EXPECT_TRUE(is_one_access(&self->peer, before, width, offset,
					  true));
	}
}

TEST_F(device, rule21_data_goes_where_it_should)
{
	static const uint32_t counts[] = { 1, 2, 3, 4, 7, 8, 13, 64, 3000 };
	uint8_t out[4000], in[4000];
	unsigned int i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (i = 0; i < sizeof(out); i++)
		out[i] = i * 7 + i / 256;
	ASSERT_EQ(0, wire_write(self->peer.sock, PEER_BAR2, 0x2001, out,
				sizeof(out), NULL));
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		ASSERT_EQ(0, wire_read(self->peer.sock, PEER_BAR2, 0x2001 + i,
				       in, counts[i], NULL));
		EXPECT_EQ(0, memcmp(in, out + i, counts[i]));
	}
}

TEST_F(device, rule21_index_out_of_range_is_einval)
{
	static const uint32_t indexes[] = { 8, 9, 63, 64, 0x10000, ~0u };
	uint64_t value = 0, before;
	unsigned int i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	before = self->peer.root.control->calls[FAKE_PREAD] +
		 self->peer.root.control->calls[FAKE_PWRITE];
	for (i = 0; i < ARRAY_SIZE(indexes); i++) {
		EXPECT_EQ(EINVAL, wire_read(self->peer.sock, indexes[i], 0,
					    &value, 4, NULL));
		EXPECT_EQ(EINVAL, wire_write(self->peer.sock, indexes[i], 0,
					     &value, 4, NULL));
	}
	EXPECT_EQ(before, self->peer.root.control->calls[FAKE_PREAD] +
		  self->peer.root.control->calls[FAKE_PWRITE]);
}

TEST_F(device, rule21_outside_the_region_is_einval)
{
	static const struct {
		uint64_t offset;
		uint32_t count;
	} ranges[] = {
		{ 0x4000, 1 }, { 0x3fff, 2 }, { 0x3ffc, 8 }, { 0, 0x4001 },
		{ ~0ull, 1 }, { ~0ull, 2 }, { -4ull, 4 }, { -4ull, 8 },
		{ 1ull << 40, 4 }, { 1ull << 63, 8 },
	};
	uint8_t buf[0x4001] = { 0 };
	uint64_t before;
	unsigned int i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	before = self->peer.root.control->calls[FAKE_PREAD] +
		 self->peer.root.control->calls[FAKE_PWRITE];
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		EXPECT_EQ(EINVAL, wire_read(self->peer.sock, PEER_BAR0,
					    ranges[i].offset, buf,
					    ranges[i].count, NULL));
		EXPECT_EQ(EINVAL, wire_write(self->peer.sock, PEER_BAR0,
					     ranges[i].offset, buf,
					     ranges[i].count, NULL));
	}
	EXPECT_EQ(before, self->peer.root.control->calls[FAKE_PREAD] +
		  self->peer.root.control->calls[FAKE_PWRITE]);
}

TEST_F(device, rule21_last_bytes_of_the_region_are_inside)
{
	uint64_t value = 0x1234;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_EQ(0, wire_write(self->peer.sock, PEER_BAR0, 0x3ff8, &value, 8,
				NULL));
	EXPECT_EQ(0, wire_read(self->peer.sock, PEER_BAR0, 0x3ff8, &value, 8,
			       NULL));
	EXPECT_EQ(0x1234, value);
}

TEST_F(device, rule21_count_up_to_max_data_xfer_size)
{
	const uint32_t most = VFIO_USER_DEF_MAX_XFER;
	uint8_t *buf = malloc(most + 1);

	memset(buf, 0x3c, most + 1);
	self->config.regions[PEER_BAR4].size = 4 * most;
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, wire_write(self->peer.sock, PEER_BAR4, 8, buf, most,
				NULL));
	memset(buf, 0, most);
	ASSERT_EQ(0, wire_read(self->peer.sock, PEER_BAR4, 8, buf, most,
			       NULL));
	EXPECT_EQ(0x3c, buf[0]);
	EXPECT_EQ(0x3c, buf[most - 1]);
	EXPECT_EQ(EINVAL, wire_read(self->peer.sock, PEER_BAR4, 8, buf,
				    most + 1, NULL));
	EXPECT_EQ(EINVAL, wire_write(self->peer.sock, PEER_BAR4, 8, buf,
				     most + 1, NULL));
	EXPECT_EQ(EINVAL, wire_read(self->peer.sock, PEER_BAR4, 8, buf,
				    2 * most, NULL));
	free(buf);
}

TEST_F(device, rule21_read_only_region_is_not_written)
{
	uint32_t value = 0;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_EQ(0, wire_read(self->peer.sock, PEER_ROM, 0, &value, 4, NULL));
	EXPECT_EQ(0xaa55, value);
	EXPECT_EQ(EINVAL, wire_write(self->peer.sock, PEER_ROM, 0, &value, 4,
				     NULL));
}

TEST_F(device, rule21_write_only_region_is_not_read)
{
	uint32_t value = 0;

	self->config.regions[PEER_BAR4].flags = VFIO_REGION_INFO_FLAG_WRITE;
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_EQ(0, wire_write(self->peer.sock, PEER_BAR4, 0, &value, 4,
				NULL));
	EXPECT_EQ(EINVAL, wire_read(self->peer.sock, PEER_BAR4, 0, &value, 4,
				    NULL));
}

/* More bytes announced than there are in the message. */
TEST_F(device, rule21_write_with_too_little_data_is_einval)
{
	struct {
		struct vfio_user_region_access access;
		uint8_t data[7];
	} __attribute__((packed)) request = {
		.access = {
			.offset = FAKE_REG_SCRATCH,
			.region = PEER_BAR0,
			.count = 8,
		},
		.data = { 1, 2, 3, 4, 5, 6, 7 },
	};

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_EQ(EINVAL, wire_call(self->peer.sock, VFIO_USER_REGION_WRITE,
				    &request, sizeof(request), &self->r));
	EXPECT_EQ(0, peer_get64(&self->peer, FAKE_REG_SCRATCH));
}

TEST_F(device, rule21_nothing_to_transfer_is_no_error)
{
	uint8_t byte = 0;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_EQ(0, wire_read(self->peer.sock, PEER_BAR0, 0, &byte, 0, NULL));
	EXPECT_EQ(0, wire_write(self->peer.sock, PEER_BAR0, 0, &byte, 0,
				NULL));
}

TEST_F(device, rule21_short_read_is_a_short_count)
{
	const struct fake_rule rule = { .call = FAKE_PREAD, .limit = 5 };
	uint8_t buf[16];
	uint32_t done;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	fake_rule_set(&self->peer.root, 0, &rule);
	ASSERT_EQ(0, wire_read(self->peer.sock, PEER_BAR0, 0, buf, 16, &done));
	EXPECT_EQ(5, done);
}

TEST_F(device, rule21_short_write_is_a_short_count)
{
	const struct fake_rule rule = { .call = FAKE_PWRITE, .limit = 3 };
	uint8_t buf[16] = { 0 };
	uint32_t done;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	fake_rule_set(&self->peer.root, 0, &rule);
	ASSERT_EQ(0, wire_write(self->peer.sock, PEER_BAR2, 0x2000, buf, 16,
				&done));
	EXPECT_EQ(3, done);
}

TEST_F(device, rule21_error_of_the_kernel_goes_back)
{
	static const int errors[] = { EIO, EFAULT, ENODEV };
	struct fake_rule rule = { .nth = 1 };
	uint32_t value = 0;
	unsigned int i;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		rule.err = errors[i];
		rule.call = FAKE_PREAD;
		fake_rule_set(&self->peer.root, 0, &rule);
		EXPECT_EQ(errors[i], wire_read(self->peer.sock, PEER_BAR0, 0,
					       &value, 4, NULL));
		rule.call = FAKE_PWRITE;
		fake_rule_set(&self->peer.root, 0, &rule);
		EXPECT_EQ(errors[i], wire_write(self->peer.sock, PEER_BAR0, 0,
						&value, 4, NULL));
	}
	EXPECT_EQ(0, wire_read(self->peer.sock, PEER_BAR0, 0, &value, 4,
			       NULL));
}

/* Memory decoding off is the case that would be a SIGBUS by a mapping. */
TEST_F(device, rule21_access_without_memory_decoding_is_an_error)
{
	uint16_t command = 0;
	uint32_t value;

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, wire_write(self->peer.sock, PEER_CONFIG, PCI_COMMAND,
				&command, 2, NULL));
	EXPECT_EQ(EIO, wire_read(self->peer.sock, PEER_BAR0, 0, &value, 4,
				 NULL));
	command = PCI_COMMAND_MEMORY;
	ASSERT_EQ(0, wire_write(self->peer.sock, PEER_CONFIG, PCI_COMMAND,
				&command, 2, NULL));
	EXPECT_EQ(0, wire_read(self->peer.sock, PEER_BAR0, 0, &value, 4,
			       NULL));
}

TEST_HARNESS_MAIN
