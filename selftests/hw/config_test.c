// SPDX-License-Identifier: GPL-2.0-only
/*
 * The configuration space, byte for byte.
 *
 * A client that has changed nothing must see what the device has, which sysfs
 * shows, without any exception. After it has written, vfio-pci lets it believe
 * that some of it went to the device: the places are in a table below, with
 * the reason. A difference anywhere else is a failure, and it is printed.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include "hw.h"
#include "kselftest_harness.h"

#define CONFIG_SIZE	4096	/* at most */

/**
 * struct exception - where vfio-pci keeps what the client wrote to itself
 * @cap: PCI_CAP_ID_*, 0 for the header
 * @offset: from the capability, in bytes, whole words
 * @mask: bits of the 32 there
 * @why: the reason
 */
struct exception {
	uint8_t cap;
	uint8_t offset;
	uint32_t mask;
	const char *why;
};

static const char bar_why[] =
	"where the host has it is the host's business: sized and moved in the client's view only";
static const char msi_why[] =
	"where MSI goes is the host's business: the client's value is kept, not used";

static const struct exception exceptions[] = {
	{ 0, PCI_BASE_ADDRESS_0, ~0u, bar_why },
	{ 0, PCI_BASE_ADDRESS_1, ~0u, bar_why },
	{ 0, PCI_BASE_ADDRESS_2, ~0u, bar_why },
	{ 0, PCI_BASE_ADDRESS_3, ~0u, bar_why },
	{ 0, PCI_BASE_ADDRESS_4, ~0u, bar_why },
	{ 0, PCI_BASE_ADDRESS_5, ~0u, bar_why },
	{ 0, PCI_ROM_ADDRESS, ~0u, bar_why },
	{ 0, PCI_INTERRUPT_LINE, 0xff,
	  "a note of system software, which the device makes no use of" },
	{ PCI_CAP_ID_MSI, 0,
	  (PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE) << 16,
	  "whether and how often MSI is sent is set by SET_IRQS" },
	{ PCI_CAP_ID_MSI, PCI_MSI_ADDRESS_LO, ~0u, msi_why },
	{ PCI_CAP_ID_MSI, PCI_MSI_ADDRESS_HI, ~0u, msi_why },
	{ PCI_CAP_ID_MSI, PCI_MSI_DATA_64, 0xffff, msi_why },
};

/**
 * struct views - one configuration space, seen from both sides
 * @hw: the device
 * @sysfs: its file in sysfs, opened by root
 * @device: what that shows
 * @seen: what the client sees
 * @size: of both, in bytes
 */
struct views {
	struct hw hw;
	int sysfs;
	uint8_t device[CONFIG_SIZE];
	uint8_t seen[CONFIG_SIZE];
	ssize_t size;
};

FIXTURE(config)
{
	struct views views;
};

FIXTURE_VARIANT(config)
{
	struct hw_way way;
};

FIXTURE_VARIANT_ADD(config, socket_iommufd)
{
	.way = { .socket = true, .iommu = VFIO_IOMMU_IOMMUFD },
};

FIXTURE_VARIANT_ADD(config, socket_type1)
{
	.way = { .socket = true, .iommu = VFIO_IOMMU_TYPE1 },
};

FIXTURE_VARIANT_ADD(config, vfio_iommufd)
{
	.way = { .iommu = VFIO_IOMMU_IOMMUFD },
};

FIXTURE_VARIANT_ADD(config, vfio_type1)
{
	.way = { .iommu = VFIO_IOMMU_TYPE1 },
};

FIXTURE_SETUP(config)
{
	self->views.sysfs = -1;
}

FIXTURE_TEARDOWN(config)
{
	close_fd(&self->views.sysfs);
	EXPECT_EQ(0, hw_close(&self->views.hw));
}

static void open_device(struct __test_metadata *_metadata,
			struct views *v, const struct hw_way *way,
			const char *env)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config",
		 getenv(env));
	/* Only root sees all of it. */
	v->sysfs = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, v->sysfs);
	ASSERT_EQ(0, hw_open(&v->hw, env, way));
}

/* Both views, as they are now. */
static void look(struct __test_metadata *_metadata, struct views *v)
{
	struct access *a = v->hw.access;
	struct access_region region;

	ASSERT_EQ(0, a->ops->region(a, VFIO_PCI_CONFIG_REGION_INDEX, &region));
	v->size = pread(v->sysfs, v->device, CONFIG_SIZE, 0);
	ASSERT_LE(PCI_CFG_SPACE_SIZE, v->size);
	ASSERT_EQ(region.size, v->size);
	ASSERT_EQ(v->size,
		  a->ops->read(a, VFIO_PCI_CONFIG_REGION_INDEX, 0, v->seen,
			       v->size));
}

/* Bits of the configuration space that may differ. */
static void find_exceptions(struct access *a, uint8_t *mask)
{
	const struct exception *e;
	unsigned int cap, i;

	memset(mask, 0, CONFIG_SIZE);
	for (e = exceptions; e < exceptions + ARRAY_SIZE(exceptions); e++) {
		cap = e->cap ? access_capability(a, e->cap) : 0;
		if (e->cap && !cap)
			continue;
		for (i = 0; i < 4; i++)
			mask[cap + e->offset + i] |= e->mask >> 8 * i;
	}
}

/* Why a byte may differ. */
static const char *why_differs(struct access *a, unsigned int byte)
{
	const struct exception *e;
	unsigned int at;

	for (e = exceptions; e < exceptions + ARRAY_SIZE(exceptions); e++) {
		at = (e->cap ? access_capability(a, e->cap) : 0) + e->offset;
		if (byte >= at && byte < at + 4)
			return e->why;
	}
	return "(not in the table)";
}

/* One line for each word that differs as it may. */
static void explain(struct access *a, const uint8_t *device,
		    const uint8_t *seen, ssize_t size)
{
	ssize_t i;

	for (i = 0; i < size; i += 4)
		if (memcmp(device + i, seen + i, 4))
			printf("# 0x%02zx is the client's own: %s\n", i,
			       why_differs(a, i));
}

/* Differences in bits that aren't in @mask; prints them. */
static unsigned int differences(const uint8_t *a, const uint8_t *b,
				const uint8_t *mask, ssize_t size,
				const char *what)
{
	unsigned int found = 0;
	ssize_t i;

	for (i = 0; i < size; i++) {
		if (!((a[i] ^ b[i]) & ~mask[i]))
			continue;
		printf("# %s at 0x%03zx: 0x%02x 0x%02x\n", what, i, a[i], b[i]);
		found++;
	}
	return found;
}

/* Does reading with this width give the same? */
static bool same_at_width(struct access *a, const uint8_t *seen,
			  unsigned int width)
{
	uint32_t value;
	unsigned int i;

	for (i = 0; i < PCI_CFG_SPACE_SIZE; i += width) {
		value = access_config_read(a, i, width);
		if (memcmp(&value, seen + i, width)) {
			printf("# read by %u at 0x%02x: 0x%x\n", width, i,
			       value);
			return false;
		}
	}
	return true;
}

static void same_as_sysfs(struct __test_metadata *_metadata,
			  struct views *v)
{
	static const uint8_t none[CONFIG_SIZE];
	unsigned int width;

	look(_metadata, v);
	EXPECT_EQ(0, differences(v->device, v->seen, none, v->size,
				 "device, client"));
	ASSERT_EQ(0, access_enable(v->hw.access));
	look(_metadata, v);
	EXPECT_EQ(0, differences(v->device, v->seen, none, v->size,
				 "enabled: device, client"));
	for (width = 1; width <= 4; width *= 2)
		EXPECT_TRUE(same_at_width(v->hw.access, v->seen, width));
}

static void write_all_over(struct access *a)
{
	unsigned int msi = access_capability(a, PCI_CAP_ID_MSI);
	unsigned int i;

	access_config_write(a, PCI_VENDOR_ID, 4, 0x12345678);
	for (i = PCI_BASE_ADDRESS_0; i <= PCI_BASE_ADDRESS_5; i += 4)
		access_config_write(a, i, 4, ~0u);
	access_config_write(a, PCI_ROM_ADDRESS, 4, ~0u);
	access_config_write(a, PCI_SUBSYSTEM_VENDOR_ID, 4, 0x12345678);
	access_config_write(a, PCI_CAPABILITY_LIST, 1, 0xfc);
	access_config_write(a, PCI_INTERRUPT_LINE, 1, 0x5a);
	access_config_write(a, PCI_INTERRUPT_PIN, 1, 4);
	if (!msi)
		return;
	access_config_write(a, msi + PCI_MSI_FLAGS, 2,
			    access_config_read(a, msi + PCI_MSI_FLAGS, 2) |
			    PCI_MSI_FLAGS_ENABLE);
	access_config_write(a, msi + PCI_MSI_ADDRESS_LO, 4, 0xfee01000);
	access_config_write(a, msi + PCI_MSI_ADDRESS_HI, 4, 0x1234);
	access_config_write(a, msi + PCI_MSI_DATA_64, 2, 0x1234);
}

/* Interrupts on, and everything that can be written, written. */
static void what_the_client_writes(struct __test_metadata *_metadata,
				   struct views *v)
{
	struct access *a = v->hw.access;
	uint8_t before[CONFIG_SIZE], mask[CONFIG_SIZE];
	int fd = eventfd(0, EFD_CLOEXEC);

	ASSERT_EQ(0, access_enable(a));
	find_exceptions(a, mask);
	ASSERT_EQ(0, access_irq_enable(a, access_capability(a, PCI_CAP_ID_MSI) ?
				       VFIO_PCI_MSI_IRQ_INDEX :
				       VFIO_PCI_MSIX_IRQ_INDEX, 0, 1, &fd));
	look(_metadata, v);
	memcpy(before, v->device, sizeof(before));
	write_all_over(a);
	look(_metadata, v);
	EXPECT_EQ(0, differences(v->device, v->seen, mask, v->size,
				 "written: device, client"));
	explain(a, v->device, v->seen, v->size);
	/* Some of it did stick for the client: */
	EXPECT_EQ(0x5a, v->seen[PCI_INTERRUPT_LINE]);
	EXPECT_EQ(0xff, v->seen[PCI_BASE_ADDRESS_0 + 3]);
	/* and none of it went to the device. */
	memset(mask, 0, sizeof(mask));
	EXPECT_EQ(0, differences(before, v->device, mask, v->size,
				 "device, before and after"));
	close(fd);
}

static void check_device(struct __test_metadata *_metadata,
			 struct views *v, const struct hw_way *way,
			 const char *env)
{
	const char *missing = hw_missing(env, way->iommu);

	if (missing)
		SKIP(return, "%s", missing);
	open_device(_metadata, v, way, env);
	same_as_sysfs(_metadata, v);
	what_the_client_writes(_metadata, v);
}

TEST_F(config, nvme)
{
	check_device(_metadata, &self->views, &variant->way, "LAB_NVME");
}

TEST_F(config, igb)
{
	check_device(_metadata, &self->views, &variant->way, "LAB_IGB");
}

TEST_F(config, edu)
{
	check_device(_metadata, &self->views, &variant->way, "LAB_EDU");
}

TEST_HARNESS_MAIN
