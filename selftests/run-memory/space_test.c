// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces and the devices in them, with bridges that are made up: what
 * each has been told, and what becomes of a change that one of them refuses.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "standin.h"
#include "tools/vfio-user-run/space.h"

#include "kselftest_harness.h"

#define PAGE	4096ul
#define IOVA	0x100000ul
#define RW	(VFIO_USER_DMA_MAP_READ | VFIO_USER_DMA_MAP_WRITE)

/* A bridge, as the client library would have it. */
struct vfio_user_client {
	struct vfio_user_caps caps;
	struct {
		uint64_t iova;
		uint64_t size;
	} maps[16];
	unsigned int nr;
	unsigned int messages;
	unsigned int refuse;	/* the how manieth map from now */
};

const struct vfio_user_caps *
vfio_user_server_caps(const struct vfio_user_client *c)
{
	return &c->caps;
}

int vfio_user_dma_map(struct vfio_user_client *c, uint64_t iova, uint64_t size,
		      int fd, uint64_t offset, uint32_t flags)
{
	c->messages++;
	if (c->refuse && !--c->refuse)
		return -EBADMSG;
	c->maps[c->nr % 16].iova = iova;
	c->maps[c->nr % 16].size = size;
	c->nr++;
	return 0;
}

int vfio_user_dma_unmap(struct vfio_user_client *c, uint64_t iova,
			uint64_t size)
{
	unsigned int i;

	c->messages++;
	for (i = 0; i < c->nr; i++) {
		if (c->maps[i].iova != iova || c->maps[i].size != size)
			continue;
		c->maps[i] = c->maps[--c->nr];
		return 0;
	}
	return -ENOENT;
}

int vfio_user_dma_unmap_all(struct vfio_user_client *c)
{
	c->messages++;
	c->nr = 0;
	return 0;
}

int run_device_lock(struct run_device *dev, struct vfio_user_client **client)
{
	*client = dev->client;
	return 0;
}

ssize_t run_device_unlock(struct run_device *dev, ssize_t ret)
{
	return ret;
}

FIXTURE(space)
{
	struct run_space *space;
	struct vfio_user_client bridge[2];
	struct run_device dev[2];
	uint8_t *memory;
	uint64_t n;
};

FIXTURE_SETUP(space)
{
	int i;

	self->space = run_space_new();
	for (i = 0; i < 2; i++) {
		caps_default(&self->bridge[i].caps);
		self->dev[i].client = &self->bridge[i];
	}
	self->memory = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	standin_said[0] = '\0';
}

FIXTURE_TEARDOWN(space)
{
	run_space_remove(self->space, &self->dev[0]);
	run_space_remove(self->space, &self->dev[1]);
	run_space_free(self->space);
	/* What it unmapped was mapped. */
	EXPECT_EQ('\0', standin_said[0]);
}

static int map(struct run_space *space, uint64_t iova, uint8_t *at, size_t size)
{
	return run_space_map(space, iova, at, size, RW);
}

TEST_F(space, all_devices_have_a_map)
{
	ASSERT_EQ(0, run_space_add(self->space, &self->dev[0]));
	ASSERT_EQ(0, map(self->space, IOVA, self->memory, PAGE));
	ASSERT_EQ(0, run_space_add(self->space, &self->dev[1]));
	ASSERT_EQ(0, map(self->space, IOVA + PAGE, self->memory, PAGE));
	EXPECT_EQ(2, self->bridge[0].nr);
	EXPECT_EQ(2, self->bridge[1].nr);
	EXPECT_EQ(0, run_space_unmap(self->space, IOVA, IOVA + PAGE - 1,
				     -EINVAL, &self->n));
	EXPECT_EQ(PAGE, self->n);
	EXPECT_EQ(1, self->bridge[0].nr);
	EXPECT_EQ(1, self->bridge[1].nr);
	EXPECT_EQ(IOVA + PAGE, self->bridge[1].maps[0].iova);
}

TEST_F(space, all_or_none)
{
	int i;

	ASSERT_EQ(0, run_space_add(self->space, &self->dev[0]));
	ASSERT_EQ(0, run_space_add(self->space, &self->dev[1]));
	for (i = 0; i < 2; i++) {
		self->bridge[i].refuse = 1;
		EXPECT_EQ(-EBADMSG, map(self->space, IOVA, self->memory, PAGE));
		EXPECT_EQ(0, self->bridge[0].nr);
		EXPECT_EQ(0, self->bridge[1].nr);
	}
	EXPECT_EQ(0, map(self->space, IOVA, self->memory, PAGE));
	EXPECT_EQ(1, self->bridge[0].nr);
	EXPECT_EQ(1, self->bridge[1].nr);
}

/* Memory of two kinds, so that one map is two or three at a bridge. */
static void mix(struct __test_metadata *_metadata, uint8_t *memory)
{
	ASSERT_EQ(memory + PAGE,
		  run_memory_mmap_shared(memory + PAGE, PAGE,
					 PROT_READ | PROT_WRITE, MAP_SHARED |
					 MAP_ANONYMOUS | MAP_FIXED));
}

TEST_F(space, several_files_in_one_map)
{
	struct run_iommu_info info;

	mix(_metadata, self->memory);
	ASSERT_EQ(0, run_space_add(self->space, &self->dev[0]));
	ASSERT_EQ(0, run_space_add(self->space, &self->dev[1]));
	self->bridge[0].refuse = 3;
	EXPECT_EQ(-EBADMSG, map(self->space, IOVA, self->memory, 3 * PAGE));
	EXPECT_EQ(0, self->bridge[0].nr);
	EXPECT_EQ(0, self->bridge[1].nr);
	self->bridge[1].refuse = 2;
	EXPECT_EQ(-EBADMSG, map(self->space, IOVA, self->memory, 3 * PAGE));
	EXPECT_EQ(0, self->bridge[0].nr);
	EXPECT_EQ(0, self->bridge[1].nr);

	EXPECT_EQ(0, map(self->space, IOVA, self->memory, 3 * PAGE));
	EXPECT_EQ(3, self->bridge[0].nr);
	EXPECT_EQ(3, self->bridge[1].nr);
	run_space_info(self->space, &info);
	EXPECT_EQ(3, info.nr_maps);
	/* It is one map to the program. */
	EXPECT_EQ(-EINVAL, run_space_unmap(self->space, IOVA, IOVA + PAGE - 1,
					   -EINVAL, &self->n));
	EXPECT_EQ(0, run_space_unmap(self->space, IOVA, IOVA + 3 * PAGE - 1,
				     -EINVAL, &self->n));
	EXPECT_EQ(3 * PAGE, self->n);
	EXPECT_EQ(0, self->bridge[0].nr);
}

TEST_F(space, a_device_that_can_not_have_all)
{
	ASSERT_EQ(0, run_space_add(self->space, &self->dev[0]));
	ASSERT_EQ(0, map(self->space, IOVA, self->memory, PAGE));
	ASSERT_EQ(0, map(self->space, IOVA + PAGE, self->memory, PAGE));
	self->bridge[1].refuse = 2;
	EXPECT_EQ(-EBADMSG, run_space_add(self->space, &self->dev[1]));
	EXPECT_EQ(0, self->bridge[1].nr);
	self->bridge[1].caps.max_dma_maps = 1;
	EXPECT_EQ(-ENOSPC, run_space_add(self->space, &self->dev[1]));
	EXPECT_EQ(0, self->bridge[1].nr);
	self->bridge[1].caps.max_dma_maps = 2;
	self->bridge[1].caps.knows_iova_ranges = true;
	self->bridge[1].caps.nr_iova_ranges = 1;
	self->bridge[1].caps.iova_ranges[0].first = IOVA + PAGE;
	self->bridge[1].caps.iova_ranges[0].last = UINT64_MAX;
	EXPECT_EQ(-EADDRINUSE, run_space_add(self->space, &self->dev[1]));
	EXPECT_EQ(2, self->bridge[0].nr);
	self->bridge[1].caps.iova_ranges[0].first = IOVA;
	EXPECT_EQ(0, run_space_add(self->space, &self->dev[1]));
	EXPECT_EQ(2, self->bridge[1].nr);
}

TEST_F(space, limits)
{
	self->bridge[0].caps.max_dma_maps = 2;
	ASSERT_EQ(0, run_space_add(self->space, &self->dev[0]));
	ASSERT_EQ(0, map(self->space, IOVA, self->memory, PAGE));
	mix(_metadata, self->memory);
	EXPECT_EQ(-ENOSPC, map(self->space, IOVA + PAGE, self->memory,
			       2 * PAGE));
	EXPECT_EQ(1, self->bridge[0].nr);
	ASSERT_EQ(0, map(self->space, IOVA + PAGE, self->memory, PAGE));
	EXPECT_EQ(-ENOSPC, map(self->space, 0, self->memory, PAGE));
	/* A range that is taken is said first. */
	EXPECT_EQ(-EEXIST, map(self->space, IOVA, self->memory, PAGE));
	EXPECT_EQ(0, run_space_unmap(self->space, IOVA, IOVA + PAGE - 1, 0,
				     &self->n));
	EXPECT_EQ(0, map(self->space, 0, self->memory, PAGE));
}

TEST_F(space, what_all_can_do)
{
	struct run_iommu_info info;
	struct vfio_user_caps *a = &self->bridge[0].caps;
	struct vfio_user_caps *b = &self->bridge[1].caps;

	run_space_info(self->space, &info);
	EXPECT_EQ(1, info.nr_ranges);
	EXPECT_EQ(UINT64_MAX, info.ranges[0].last);
	EXPECT_EQ(UINT64_MAX, info.pgsizes);

	a->pgsizes = PAGE | 2 << 20;
	b->pgsizes = PAGE | 1 << 30;
	a->max_dma_maps = 7;
	a->knows_iova_ranges = true;
	a->nr_iova_ranges = 3;
	a->iova_ranges[0].last = 0xfedfffff;
	a->iova_ranges[1].first = 0xfef00000;
	a->iova_ranges[1].last = 0x7fffffffff;
	a->iova_ranges[2].first = 0x8000000000;
	a->iova_ranges[2].last = 0xffffffffff;
	b->knows_iova_ranges = true;
	b->nr_iova_ranges = 1;
	b->iova_ranges[0].first = 0x1000;
	b->iova_ranges[0].last = 0xffffffff;
	ASSERT_EQ(0, run_space_add(self->space, &self->dev[0]));
	ASSERT_EQ(0, run_space_add(self->space, &self->dev[1]));
	run_space_info(self->space, &info);
	EXPECT_EQ(PAGE, info.pgsizes);
	EXPECT_EQ(7, info.max_maps);
	ASSERT_EQ(2, info.nr_ranges);
	EXPECT_EQ(0x1000, info.ranges[0].first);
	EXPECT_EQ(0xfedfffff, info.ranges[0].last);
	EXPECT_EQ(0xfef00000, info.ranges[1].first);
	EXPECT_EQ(0xffffffff, info.ranges[1].last);
	EXPECT_EQ(-EINVAL, map(self->space, 0, self->memory, PAGE));
	EXPECT_EQ(-EINVAL, map(self->space, 0xfedff000, self->memory,
			       2 * PAGE));
	EXPECT_EQ(-EINVAL, map(self->space, IOVA, self->memory, 5));
	EXPECT_EQ(0, self->bridge[0].messages);
}

TEST_F(space, memory_is_looked_at_with_the_first_device)
{
	EXPECT_EQ(0, map(self->space, IOVA, (void *)PAGE, PAGE));
	EXPECT_EQ(-EFAULT, run_space_add(self->space, &self->dev[0]));
	EXPECT_EQ(0, self->bridge[0].nr);
	ASSERT_EQ(0, run_space_unmap(self->space, 0, UINT64_MAX, 0, &self->n));
	EXPECT_EQ(PAGE, self->n);

	EXPECT_EQ(0, map(self->space, IOVA, self->memory, PAGE));
	EXPECT_EQ(0, run_space_add(self->space, &self->dev[0]));
	EXPECT_EQ(1, self->bridge[0].nr);
	run_space_remove(self->space, &self->dev[0]);
	EXPECT_EQ(0, self->bridge[0].nr);
	ASSERT_EQ(0, run_memory_munmap(self->memory, PAGE));
	EXPECT_EQ(-EFAULT, run_space_add(self->space, &self->dev[0]));
}

TEST_F(space, unmap_all_is_one_message)
{
	unsigned int i, messages;

	ASSERT_EQ(0, run_space_add(self->space, &self->dev[0]));
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, map(self->space, IOVA + i * PAGE, self->memory,
				 PAGE));
	messages = self->bridge[0].messages;
	EXPECT_EQ(0, run_space_unmap(self->space, 0, UINT64_MAX, 0, &self->n));
	EXPECT_EQ(8 * PAGE, self->n);
	EXPECT_EQ(messages + 1, self->bridge[0].messages);
	EXPECT_EQ(0, self->bridge[0].nr);
}

TEST_F(space, maps_that_are_cut)
{
	const uint64_t first = IOVA + PAGE, last = IOVA + 5 * PAGE - 1;
	unsigned int i;

	ASSERT_EQ(0, run_space_add(self->space, &self->dev[0]));
	/* Two pages each: the first and the last are cut. */
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, map(self->space, IOVA + i * 2 * PAGE, self->memory,
				 2 * PAGE));
	EXPECT_EQ(-EINVAL, run_space_unmap(self->space, first, last, -EINVAL,
					   &self->n));
	EXPECT_EQ(0, run_space_unmap(self->space, first, last, 1, &self->n));
	EXPECT_EQ(0, self->n);
	EXPECT_EQ(-ENOENT, run_space_unmap(self->space, first, last, 2,
					   &self->n));
	EXPECT_EQ(3, self->bridge[0].nr);
	EXPECT_EQ(0, run_space_unmap(self->space, first, last, 0, &self->n));
	EXPECT_EQ(2 * PAGE, self->n);
	EXPECT_EQ(2, self->bridge[0].nr);
	/* Up to here the first was before the range. */
	EXPECT_EQ(0, run_space_unmap(self->space, IOVA + 2 * PAGE, last, 1,
				     &self->n));
	EXPECT_EQ(2 * PAGE, self->n);
	EXPECT_EQ(1, self->bridge[0].nr);
	EXPECT_EQ(IOVA, self->bridge[0].maps[0].iova);
}

TEST_F(space, a_copy_is_all_or_none)
{
	struct run_space *to = run_space_new();
	struct run_place place = { .iova = 0, .size = 4 * PAGE, .flags = RW };

	ASSERT_EQ(0, map(self->space, IOVA, self->memory, 2 * PAGE));
	ASSERT_EQ(0, map(self->space, IOVA + 2 * PAGE, self->memory, 2 * PAGE));
	ASSERT_EQ(0, run_space_add(to, &self->dev[0]));
	self->bridge[0].refuse = 2;
	EXPECT_EQ(-EBADMSG, run_space_copy(to, &place, self->space, IOVA));
	EXPECT_EQ(0, self->bridge[0].nr);
	EXPECT_EQ(0, run_space_copy(to, &place, self->space, IOVA));
	EXPECT_EQ(2, self->bridge[0].nr);
	run_space_remove(to, &self->dev[0]);
	run_space_free(to);
}

TEST_HARNESS_MAIN
