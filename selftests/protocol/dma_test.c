// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules 13 to 17: what the client maps, and what the device reaches then. The
 * software device copies memory by itself, so each test can ask it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "abi/iommufd.h"
#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

#define PAGE		0x1000ull
#define MEMORY		(64 * PAGE)

FIXTURE(dma)
{
	struct peer peer;
	struct wire_reply r;
	int memory;
	uint64_t *words;
	enum fake_kind kind;
	unsigned long map_ioctl;
	unsigned long unmap_ioctl;
};

FIXTURE_VARIANT(dma)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(dma, map_file)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(dma, map)
{
	.way = PEER_MAP,
};

FIXTURE_VARIANT_ADD(dma, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(dma)
{
	self->kind = variant->way == PEER_TYPE1 ? FAKE_CONTAINER :
						  FAKE_IOMMUFD;
	self->map_ioctl = variant->way == PEER_TYPE1 ? VFIO_IOMMU_MAP_DMA :
			  variant->way == PEER_MAP ? ABI_IOMMU_IOAS_MAP :
						     ABI_IOMMU_IOAS_MAP_FILE;
	self->unmap_ioctl = variant->way == PEER_TYPE1 ? VFIO_IOMMU_UNMAP_DMA :
							 ABI_IOMMU_IOAS_UNMAP;
	ASSERT_EQ(0, peer_open(&self->peer, variant->way));
	self->memory = peer_memory(MEMORY);
	ASSERT_LE(0, self->memory);
	self->words = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED,
			   self->memory, 0);
	ASSERT_NE(MAP_FAILED, self->words);
}

FIXTURE_TEARDOWN(dma)
{
	munmap(self->words, MEMORY);
	close(self->memory);
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* Maps that are judged before the kernel is asked: one way in is enough. */
FIXTURE(dma_check)
{
	struct peer peer;
	struct wire_reply r;
	int memory;
	const uint64_t *map_calls;
};

FIXTURE_SETUP(dma_check)
{
	ASSERT_EQ(0, peer_open(&self->peer, PEER_MAP_FILE));
	self->map_calls = peer_ioctls(&self->peer, FAKE_IOMMUFD,
				      ABI_IOMMU_IOAS_MAP_FILE);
	self->memory = peer_memory(MEMORY);
	ASSERT_LE(0, self->memory);
}

FIXTURE_TEARDOWN(dma_check)
{
	close(self->memory);
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* A DMA_MAP with each field as given. */
static int map_raw(const struct peer *peer, struct vfio_user_dma_map map,
		   int fd, struct wire_reply *r)
{
	return wire_call_fds(peer->sock, VFIO_USER_DMA_MAP, &map, sizeof(map),
			     &fd, fd >= 0, r);
}

/* Send @n maps or unmaps of one page each, with many in flight. */
static int many(const struct peer *peer, uint16_t command, unsigned int n,
		int fd, struct wire_reply *r)
{
	const unsigned int in_flight = 64;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < n + in_flight && !ret; i++) {
		struct vfio_user_dma_map map = {
			.argsz = sizeof(map),
			.flags = PEER_RW,
			.offset = i % 64 * PAGE,
			.address = i * PAGE,
			.size = PAGE,
		};
		struct vfio_user_dma_unmap unmap = {
			.argsz = sizeof(unmap),
			.address = i * PAGE,
			.size = PAGE,
		};
		bool is_map = command == VFIO_USER_DMA_MAP;

		if (i < n)
			ret = wire_command(peer->sock, i, command,
					   is_map ? (void *)&map :
						    (void *)&unmap,
					   is_map ? sizeof(map) :
						    sizeof(unmap),
					   &fd, is_map && fd >= 0);
		if (!ret && i >= in_flight)
			ret = wire_expect(peer->sock, i - in_flight, command,
					  r);
	}
	return ret;
}

TEST_F(dma_check, rule13_size_zero_is_einval)
{
	EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0, 0, PEER_RW,
				   self->memory, 0));
	EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0, 0, PEER_RW, -1, 0));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

TEST_F(dma_check, rule13_size_of_no_whole_pages_is_einval)
{
	static const uint64_t sizes[] = { 1, 2048, 4095, 4097, 0x1001, ~0ull };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0, sizes[i],
					   PEER_RW, self->memory, 0));
		EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0, sizes[i],
					   PEER_RW, -1, 0));
	}
	EXPECT_EQ(0, *self->map_calls);
}

TEST_F(dma_check, rule13_unaligned_iova_is_einval)
{
	EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 1, PAGE, PEER_RW,
				   self->memory, 0));
	EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0x800, PAGE, PEER_RW, -1,
				   0));
}

TEST_F(dma_check, rule13_unaligned_offset_is_einval)
{
	EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0, PAGE, PEER_RW,
				   self->memory, 1));
	EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0, PAGE, PEER_RW,
				   self->memory, 0x800));
}

/* The least page counts, not 4096. */
TEST_F(dma, rule13_pages_are_those_of_the_iommu)
{
	ASSERT_EQ(0, peer_hang_up(&self->peer));
	self->peer.root.control->config.pgsizes = ~0xffffull;
	ASSERT_EQ(0, peer_connect(&self->peer));
	EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0, PAGE, PEER_RW, -1, 0));
	EXPECT_EQ(EINVAL, wire_map(self->peer.sock, PAGE, 0x10000, PEER_RW,
				   -1, 0));
	EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0, 0x10000, PEER_RW, -1,
				   PAGE));
	EXPECT_EQ(0, wire_map(self->peer.sock, 0, 0x10000, PEER_RW, -1, 0));
}

TEST_F(dma_check, rule13_wrap_around_is_einval)
{
	static const struct {
		uint64_t iova;
		uint64_t size;
		uint64_t offset;
	} ranges[] = {
		{ -PAGE, 2 * PAGE, 0 },
		{ 0x8000000000000000, 0x8000000000001000, 0 },
		{ 2 * PAGE, -PAGE, 0 },
		{ 0, PAGE, -PAGE },
		{ 0, 2 * PAGE, -PAGE },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		EXPECT_EQ(EINVAL, wire_map(self->peer.sock, ranges[i].iova,
					   ranges[i].size, PEER_RW,
					   self->memory, ranges[i].offset));
		EXPECT_EQ(EINVAL, wire_map(self->peer.sock, ranges[i].iova,
					   ranges[i].size, PEER_RW, -1,
					   ranges[i].offset));
	}
	EXPECT_EQ(0, *self->map_calls);
}

TEST_F(dma_check, rule13_unknown_flags_are_einval)
{
	unsigned int bit;

	for (bit = 4; bit < 32; bit++) {
		EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0, PAGE,
					   PEER_RW | 1u << bit, self->memory,
					   0));
	}
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
}

TEST_F(dma_check, rule13_newer_flags_are_accepted)
{
	EXPECT_EQ(0, wire_map(self->peer.sock, 0, PAGE,
			      PEER_RW | VFIO_USER_DMA_MAP_MMAP, self->memory,
			      0));
	EXPECT_EQ(0, wire_map(self->peer.sock, PAGE, PAGE,
			      PEER_RW | VFIO_USER_DMA_MAP_FILE_IO,
			      self->memory, PAGE));
	EXPECT_EQ(2, self->peer.root.control->nr_maps);
}

TEST_F(dma_check, rule13_neither_readable_nor_writeable_is_einval)
{
	EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0, PAGE, 0, self->memory,
				   0));
	EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0, PAGE,
				   VFIO_USER_DMA_MAP_MMAP, self->memory, 0));
}

/* Each way that two ranges can overlap, with and without an fd. */
TEST_F(dma_check, rule13_overlap_is_eexist)
{
	static const struct {
		uint64_t first;
		uint64_t pages;
	} ranges[] = {
		{ 10, 4 }, { 10, 1 }, { 13, 1 }, { 11, 2 }, { 9, 2 },
		{ 13, 2 }, { 8, 20 }, { 0, 11 },
	};
	const int fds[] = { self->memory, -1 };
	unsigned int i, old, new;

	for (old = 0; old < 2; old++) {
		ASSERT_EQ(0, wire_map(self->peer.sock, 10 * PAGE, 4 * PAGE,
				      PEER_RW, fds[old], 0));
		for (i = 0; i < 2 * ARRAY_SIZE(ranges); i++) {
			new = i % 2;
			EXPECT_EQ(EEXIST, wire_map(self->peer.sock,
						   ranges[i / 2].first * PAGE,
						   ranges[i / 2].pages * PAGE,
						   PEER_RW, fds[new], 0));
		}
		EXPECT_EQ(!old, self->peer.root.control->nr_maps);
		ASSERT_EQ(0, wire_unmap(self->peer.sock, 10 * PAGE, 4 * PAGE,
					0));
	}
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

TEST_F(dma_check, rule13_neighbours_do_not_overlap)
{
	ASSERT_EQ(0, wire_map(self->peer.sock, 10 * PAGE, 2 * PAGE, PEER_RW,
			      self->memory, 0));
	EXPECT_EQ(0, wire_map(self->peer.sock, 9 * PAGE, PAGE, PEER_RW,
			      self->memory, 0));
	EXPECT_EQ(0, wire_map(self->peer.sock, 12 * PAGE, PAGE, PEER_RW,
			      self->memory, 0));
	EXPECT_EQ(3, self->peer.root.control->nr_maps);
}

TEST_F_TIMEOUT(dma, rule13_more_maps_than_advertised_is_enospc, 240)
{
	uint64_t n;

	ASSERT_EQ(0, peer_hang_up(&self->peer));
	self->peer.root.control->config.dma_avail = 20;
	ASSERT_EQ(0, peer_connect(&self->peer));
	n = self->peer.max_maps;
	ASSERT_LE(20, n);
	ASSERT_EQ(0, many(&self->peer, VFIO_USER_DMA_MAP, n, -1, &self->r));
	EXPECT_EQ(ENOSPC, wire_map(self->peer.sock, n * PAGE, PAGE, PEER_RW,
				   -1, 0));
	EXPECT_EQ(ENOSPC, wire_map(self->peer.sock, n * PAGE, PAGE, PEER_RW,
				   self->memory, 0));
	/* And one less makes room for one more. */
	ASSERT_EQ(0, wire_unmap(self->peer.sock, 0, PAGE, 0));
	EXPECT_EQ(0, wire_map(self->peer.sock, n * PAGE, PAGE, PEER_RW,
			      self->memory, 0));
}

TEST_F(dma, rule13_outside_iova_ranges_is_what_the_kernel_says)
{
	EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0xfee00000, PAGE, PEER_RW,
				   self->memory, 0));
	EXPECT_EQ(EINVAL, wire_map(self->peer.sock, 0x8000000000, PAGE,
				   PEER_RW, self->memory, 0));
	EXPECT_EQ(2, *peer_ioctls(&self->peer, self->kind, self->map_ioctl));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

TEST_F(dma, rule14_device_reads_and_writes_what_is_mapped)
{
	self->words[0] = 0x1122334455667788;
	ASSERT_EQ(0, wire_map(self->peer.sock, 0x100000, 2 * PAGE, PEER_RW,
			      self->memory, 0));
	ASSERT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, 0x100000, 0x101000, 8));
	EXPECT_EQ(0x1122334455667788, self->words[PAGE / 8]);
}

TEST_F(dma, rule14_offset_is_in_the_file)
{
	self->words[3 * PAGE / 8] = 42;
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW, self->memory,
			      3 * PAGE));
	ASSERT_EQ(0, wire_map(self->peer.sock, PAGE, PAGE, PEER_RW,
			      self->memory, 7 * PAGE));
	ASSERT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, 0, PAGE, 8));
	EXPECT_EQ(42, self->words[7 * PAGE / 8]);
}

TEST_F(dma, rule14_the_kernel_is_asked_once)
{
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, MEMORY, PEER_RW,
			      self->memory, 0));
	EXPECT_EQ(1, *peer_ioctls(&self->peer, self->kind, self->map_ioctl));
	EXPECT_EQ(MEMORY, self->peer.root.control->mapped);
}

TEST_F(dma, rule14_error_of_the_kernel_goes_back)
{
	static const int errors[] = { ENOMEM, EFAULT, EBUSY, EPERM };
	int mappings = fake_nr_mappings(self->peer.daemon.pid);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		fake_fail_ioctl(&self->peer.root, self->kind, self->map_ioctl,
				errors[i]);
		EXPECT_EQ(errors[i], wire_map(self->peer.sock, 0, PAGE,
					      PEER_RW, self->memory, 0));
	}
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	EXPECT_GE(mappings + 1, fake_nr_mappings(self->peer.daemon.pid));
	/* Nothing is left in the way of another try. */
	EXPECT_EQ(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW, self->memory,
			      0));
}

TEST_F(dma, rule14_memlock_is_enomem_and_a_hint)
{
	struct rlimit limit;

	ASSERT_EQ(0, prlimit(self->peer.daemon.pid, RLIMIT_MEMLOCK, NULL,
			     &limit));
	limit.rlim_cur = 4 * PAGE;
	ASSERT_EQ(0, prlimit(self->peer.daemon.pid, RLIMIT_MEMLOCK, &limit,
			     NULL));
	self->peer.root.control->config.memlock = 4 * PAGE;
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, 4 * PAGE, PEER_RW,
			      self->memory, 0));
	EXPECT_EQ(ENOMEM, wire_map(self->peer.sock, 4 * PAGE, PAGE, PEER_RW,
				   self->memory, 0));
	/* How much there is, how much of it is left, and whose it is. */
	EXPECT_TRUE(peer_log_has(&self->peer, "memlock limit is 16384"));
	EXPECT_TRUE(peer_log_has(&self->peer,
				 "cannot map 4096 bytes for DMA beside the 16384"));
	EXPECT_TRUE(peer_log_has(&self->peer, variant->way == PEER_TYPE1 ?
				 "that its devices have pinned" :
				 "that its user's processes have pinned"));
	EXPECT_TRUE(peer_log_has(&self->peer, "ulimit -l"));
}

TEST_F(dma, rule14_read_only_map_is_not_written_by_the_device)
{
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, PAGE,
			      VFIO_USER_DMA_MAP_READ, self->memory, 0));
	ASSERT_EQ(0, wire_map(self->peer.sock, PAGE, PAGE, PEER_RW,
			      self->memory, PAGE));
	self->words[0] = 1;
	self->words[PAGE / 8] = 2;
	EXPECT_EQ(FAKE_DMA_WRITE_FAULT, peer_dma(&self->peer, PAGE, 0, 8));
	EXPECT_EQ(1, self->words[0]);
	EXPECT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, 0, PAGE, 8));
	EXPECT_EQ(1, self->words[PAGE / 8]);
}

TEST_F(dma, rule14_write_only_map_is_not_read_by_the_device)
{
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, PAGE,
			      VFIO_USER_DMA_MAP_WRITE, self->memory, 0));
	ASSERT_EQ(0, wire_map(self->peer.sock, PAGE, PAGE, PEER_RW,
			      self->memory, PAGE));
	EXPECT_EQ(FAKE_DMA_READ_FAULT, peer_dma(&self->peer, 0, PAGE, 8));
	EXPECT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, PAGE, 0, 8));
}

TEST_F(dma, rule14_fd_opened_for_reading_maps_read_only)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->memory);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(EACCES, wire_map(self->peer.sock, 0, PAGE, PEER_RW, fd, 0));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
	EXPECT_EQ(0, wire_map(self->peer.sock, 0, PAGE, VFIO_USER_DMA_MAP_READ,
			      fd, 0));
	close(fd);
}

/* What the client itself can no longer write, its device can't either. */
TEST_F(dma, rule14_sealed_memory_is_not_mapped_for_writing)
{
	int fd = peer_memory(PAGE);

	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	EXPECT_EQ(EPERM, wire_map(self->peer.sock, 0, PAGE, PEER_RW, fd, 0));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
	EXPECT_EQ(0, wire_map(self->peer.sock, 0, PAGE, VFIO_USER_DMA_MAP_READ,
			      fd, 0));
	close(fd);
}

TEST_F(dma, rule14_beyond_the_end_of_the_file_is_efault)
{
	EXPECT_EQ(EFAULT, wire_map(self->peer.sock, 0, MEMORY + PAGE, PEER_RW,
				   self->memory, 0));
	EXPECT_EQ(EFAULT, wire_map(self->peer.sock, 0, PAGE, PEER_RW,
				   self->memory, MEMORY));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
}

/* Something that can't be mapped: an error, and the daemon lives. */
TEST_F(dma, rule14_fd_that_is_no_memory_fails)
{
	int fds[2], dir = open("/", O_RDONLY | O_CLOEXEC);
	unsigned int i;

	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	for (i = 0; i < 2; i++)
		EXPECT_LT(0, wire_map(self->peer.sock, 0, PAGE,
				      VFIO_USER_DMA_MAP_READ, fds[i], 0));
	EXPECT_LT(0, wire_map(self->peer.sock, 0, PAGE, VFIO_USER_DMA_MAP_READ,
			      dir, 0));
	EXPECT_LT(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW,
			      self->peer.sock, 0));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
	EXPECT_EQ(0, peer_wait_nr_fds(&self->peer, 0));
	EXPECT_EQ(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW, self->memory,
			      0));
}

/*
 * A file on a disk isn't shared memory, which MAP_FILE alone can take. One of a file
 * system that has no disk might be anybody's: screen_test.
 */
TEST_F(dma, rule14_ordinary_file_is_mapped_too)
{
	char path[] = "/var/tmp/dma-test-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	uint64_t value = 77;
	struct stat st;

	ASSERT_LE(0, fd);
	unlink(path);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	ASSERT_EQ(8, pwrite(fd, &value, 8, 0));
	ASSERT_EQ(0, fstat(fd, &st));
	if (!major(st.st_dev))
		SKIP(return, "no disk behind /var/tmp");
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW, fd, 0));
	ASSERT_EQ(0, wire_map(self->peer.sock, PAGE, PAGE, PEER_RW,
			      self->memory, 0));
	EXPECT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, 0, PAGE, 8));
	EXPECT_EQ(77, self->words[0]);
	close(fd);
}

TEST_F(dma, rule14_fd_is_closed_when_it_is_mapped)
{
	unsigned int i;

	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, wire_map(self->peer.sock, i * PAGE, PAGE, PEER_RW,
				      self->memory, i * PAGE));
	}
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

/* Nothing reads the client's memory, so there is nothing to die of. */
TEST_F(dma, rule14_truncated_file_does_not_kill_the_daemon)
{
	struct vfio_user_device_info info;
	int fd = peer_memory(2 * PAGE);

	ASSERT_EQ(0, wire_map(self->peer.sock, 0, 2 * PAGE, PEER_RW, fd, 0));
	ASSERT_EQ(0, ftruncate(fd, 0));
	EXPECT_EQ(0, wire_info(self->peer.sock, &info));
	EXPECT_EQ(0, wire_unmap(self->peer.sock, 0, 2 * PAGE, 0));
	EXPECT_EQ(0, wire_info(self->peer.sock, &info));
	close(fd);
}

TEST_F(dma_check, rule14_argsz_below_the_structure_is_einval)
{
	struct vfio_user_dma_map map = {
		.argsz = sizeof(map) - 1,
		.flags = PEER_RW,
		.size = PAGE,
	};

	EXPECT_EQ(EINVAL, map_raw(&self->peer, map, self->memory, &self->r));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
}

TEST_F(dma, rule15_map_without_fd_succeeds_and_is_not_reached)
{
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW, -1, 0));
	ASSERT_EQ(0, wire_map(self->peer.sock, PAGE, PAGE, PEER_RW,
			      self->memory, 0));
	EXPECT_EQ(1, self->peer.root.control->nr_maps);
	EXPECT_EQ(FAKE_DMA_READ_FAULT, peer_dma(&self->peer, 0, PAGE, 8));
	EXPECT_EQ(FAKE_DMA_WRITE_FAULT, peer_dma(&self->peer, PAGE, 0, 8));
}

TEST_F(dma, rule15_map_without_fd_is_unmapped_like_any_other)
{
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, 2 * PAGE, PEER_RW, -1, 0));
	EXPECT_EQ(EINVAL, wire_unmap(self->peer.sock, 0, PAGE, 0));
	EXPECT_EQ(0, wire_unmap(self->peer.sock, 0, 2 * PAGE, 0));
	EXPECT_EQ(ENOENT, wire_unmap(self->peer.sock, 0, 2 * PAGE, 0));
	EXPECT_EQ(0, *peer_ioctls(&self->peer, self->kind, self->unmap_ioctl));
}

TEST_F(dma_check, rule15_map_without_fd_is_in_the_status)
{
	json_t *status, *dma, *entry;

	ASSERT_EQ(0, wire_map(self->peer.sock, 0x5000, 3 * PAGE, PEER_RW, -1,
			      0));
	ASSERT_EQ(0, wire_map(self->peer.sock, 0x9000, PAGE, PEER_RW,
			      self->memory, 0));
	status = peer_status(&self->peer);
	ASSERT_NE(NULL, status);
	dma = json_object_get(json_object_get(status, "session"), "dma");
	EXPECT_EQ(2, json_integer_value(json_object_get(dma, "maps")));
	EXPECT_EQ(PAGE, json_integer_value(json_object_get(dma, "bytes")));
	EXPECT_EQ(1, json_integer_value(json_object_get(dma,
							"maps_without_fd")));
	entry = json_array_get(json_object_get(dma, "without_fd"), 0);
	EXPECT_EQ(0x5000, json_integer_value(json_object_get(entry,
							     "address")));
	EXPECT_EQ(3 * PAGE, json_integer_value(json_object_get(entry,
							       "size")));
	json_decref(status);
}

TEST_F(dma_check, rule15_map_without_fd_is_logged_once)
{
	const char *words = "the device cannot reach it";

	ASSERT_EQ(0, wire_map(self->peer.sock, 0x7000, PAGE, PEER_RW, -1, 0));
	EXPECT_TRUE(peer_log_has(&self->peer, "0x7000"));
	ASSERT_EQ(0, wire_map(self->peer.sock, 0x8000, PAGE, PEER_RW, -1, 0));
	ASSERT_EQ(0, wire_unmap(self->peer.sock, 0x7000, PAGE, 0));
	ASSERT_EQ(0, wire_map(self->peer.sock, 0x7000, PAGE, PEER_RW, -1, 0));
	EXPECT_EQ(1, peer_log_count(&self->peer, words));
	/* Once for each client: the next may be another program. */
	ASSERT_EQ(0, peer_hang_up(&self->peer));
	ASSERT_EQ(0, peer_connect(&self->peer));
	ASSERT_EQ(0, wire_map(self->peer.sock, 0x7000, PAGE, PEER_RW, -1, 0));
	EXPECT_EQ(2, peer_log_count(&self->peer, words));
}

TEST_F(dma, rule16_unmap_of_a_map_ends_it)
{
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW, self->memory,
			      0));
	ASSERT_EQ(0, wire_map(self->peer.sock, PAGE, PAGE, PEER_RW,
			      self->memory, PAGE));
	ASSERT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, 0, PAGE, 8));
	ASSERT_EQ(0, wire_unmap(self->peer.sock, 0, PAGE, 0));
	EXPECT_EQ(FAKE_DMA_READ_FAULT, peer_dma(&self->peer, 0, PAGE, 8));
	EXPECT_EQ(FAKE_DMA_WRITE_FAULT, peer_dma(&self->peer, PAGE, 0, 8));
	EXPECT_EQ(1, self->peer.root.control->nr_maps);
}

TEST_F(dma_check, rule16_unmap_of_nothing_is_enoent)
{
	EXPECT_EQ(ENOENT, wire_unmap(self->peer.sock, 0, PAGE, 0));
	ASSERT_EQ(0, wire_map(self->peer.sock, 10 * PAGE, PAGE, PEER_RW,
			      self->memory, 0));
	EXPECT_EQ(ENOENT, wire_unmap(self->peer.sock, 9 * PAGE, PAGE, 0));
	EXPECT_EQ(ENOENT, wire_unmap(self->peer.sock, 11 * PAGE, PAGE, 0));
	ASSERT_EQ(0, wire_unmap(self->peer.sock, 10 * PAGE, PAGE, 0));
	EXPECT_EQ(ENOENT, wire_unmap(self->peer.sock, 10 * PAGE, PAGE, 0));
}

TEST_F(dma_check, rule16_unmap_that_only_overlaps_is_einval)
{
	static const struct {
		uint64_t first;
		uint64_t pages;
	} ranges[] = {
		{ 10, 1 }, { 13, 1 }, { 11, 2 }, { 9, 2 }, { 13, 2 },
		{ 9, 6 }, { 10, 5 }, { 9, 5 }, { 10, 6 },
	};
	unsigned int i;

	/* Two neighbours: a range that is exactly both isn't one map. */
	ASSERT_EQ(0, wire_map(self->peer.sock, 10 * PAGE, 4 * PAGE, PEER_RW,
			      self->memory, 0));
	ASSERT_EQ(0, wire_map(self->peer.sock, 14 * PAGE, 2 * PAGE, PEER_RW,
			      self->memory, 0));
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		EXPECT_EQ(EINVAL, wire_unmap(self->peer.sock,
					     ranges[i].first * PAGE,
					     ranges[i].pages * PAGE, 0));
	}
	EXPECT_EQ(2, self->peer.root.control->nr_maps);
}

TEST_F(dma_check, rule16_unmap_of_what_is_no_range_is_einval)
{
	EXPECT_EQ(EINVAL, wire_unmap(self->peer.sock, 0, 0, 0));
	EXPECT_EQ(EINVAL, wire_unmap(self->peer.sock, 0, 1, 0));
	EXPECT_EQ(EINVAL, wire_unmap(self->peer.sock, 8, PAGE, 0));
	EXPECT_EQ(EINVAL, wire_unmap(self->peer.sock, -PAGE, 2 * PAGE, 0));
}

TEST_F(dma_check, rule16_unmap_unknown_flags_are_einval)
{
	unsigned int bit;

	ASSERT_EQ(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW, self->memory,
			      0));
	for (bit = 2; bit < 32; bit++)
		EXPECT_EQ(EINVAL, wire_unmap(self->peer.sock, 0, PAGE,
					     1u << bit));
	EXPECT_EQ(1, self->peer.root.control->nr_maps);
}

TEST_F(dma_check, rule16_unmap_repeats_the_request)
{
	struct {
		struct vfio_user_dma_unmap unmap;
		uint8_t more[64];
	} __attribute__((packed)) request = {
		.unmap = {
			.argsz = sizeof(request),
			.address = 5 * PAGE,
			.size = PAGE,
		},
	};

	ASSERT_EQ(0, wire_map(self->peer.sock, 5 * PAGE, PAGE, PEER_RW,
			      self->memory, 0));
	ASSERT_EQ(0, wire_call(self->peer.sock, VFIO_USER_DMA_UNMAP, &request,
			       sizeof(request), &self->r));
	ASSERT_EQ(sizeof(request.unmap), self->r.len);
	EXPECT_EQ(0, memcmp(&request, self->r.payload, self->r.len));
}

TEST_F(dma, rule16_after_unmap_the_daemon_holds_nothing)
{
	uint64_t hidden = self->peer.root.control->hidden_fds;
	int mappings, i;

	/* Once, for what the allocator keeps. */
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW, self->memory,
			      0));
	ASSERT_EQ(0, wire_unmap(self->peer.sock, 0, PAGE, 0));
	mappings = fake_nr_mappings(self->peer.daemon.pid);
	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, wire_map(self->peer.sock, i * PAGE, PAGE, PEER_RW,
				      self->memory, i * PAGE));
	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, wire_unmap(self->peer.sock, i * PAGE, PAGE, 0));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	EXPECT_EQ(mappings, fake_nr_mappings(self->peer.daemon.pid));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
	EXPECT_EQ(hidden, self->peer.root.control->hidden_fds);
}

TEST_F(dma, rule16_unmap_all)
{
	json_t *status, *dma;
	unsigned int i;

	for (i = 0; i < 30; i++)
		ASSERT_EQ(0, wire_map(self->peer.sock, i * 2 * PAGE, PAGE,
				      PEER_RW, i % 3 ? self->memory : -1,
				      i * PAGE));
	ASSERT_EQ(0, wire_unmap(self->peer.sock, 0, 0,
				VFIO_USER_DMA_UNMAP_ALL));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	status = peer_status(&self->peer);
	dma = json_object_get(json_object_get(status, "session"), "dma");
	EXPECT_EQ(0, json_integer_value(json_object_get(dma, "maps")));
	EXPECT_EQ(0, json_integer_value(json_object_get(dma, "bytes")));
	json_decref(status);
	/* Of nothing it works as well. */
	EXPECT_EQ(0, wire_unmap(self->peer.sock, 0, 0,
				VFIO_USER_DMA_UNMAP_ALL));
}

TEST_F(dma_check, rule16_unmap_all_with_a_range_is_einval)
{
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW, self->memory,
			      0));
	EXPECT_EQ(EINVAL, wire_unmap(self->peer.sock, 0, PAGE,
				     VFIO_USER_DMA_UNMAP_ALL));
	EXPECT_EQ(EINVAL, wire_unmap(self->peer.sock, PAGE, 0,
				     VFIO_USER_DMA_UNMAP_ALL));
	EXPECT_EQ(1, self->peer.root.control->nr_maps);
}

TEST_F(dma_check, rule16_unmap_with_dirty_bitmap_is_eopnotsupp)
{
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW, self->memory,
			      0));
	EXPECT_EQ(EOPNOTSUPP, wire_unmap(self->peer.sock, 0, PAGE,
					 VFIO_USER_DMA_UNMAP_GET_DIRTY_BITMAP));
	EXPECT_EQ(1, self->peer.root.control->nr_maps);
}

TEST_F(dma_check, rule16_unmap_argsz_below_the_structure_is_einval)
{
	struct vfio_user_dma_unmap unmap = {
		.argsz = sizeof(unmap) - 1,
		.size = PAGE,
	};

	ASSERT_EQ(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW, self->memory,
			      0));
	EXPECT_EQ(EINVAL, wire_call(self->peer.sock, VFIO_USER_DMA_UNMAP,
				    &unmap, sizeof(unmap), &self->r));
	EXPECT_EQ(1, self->peer.root.control->nr_maps);
}

/*
 * What the kernel doesn't unmap the device may still reach: that isn't called
 * a success, and the session ends, because closing the device makes sure.
 */
TEST_F(dma, rule16_unmap_that_the_kernel_refuses_ends_the_session)
{
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW, self->memory,
			      0));
	fake_fail_ioctl(&self->peer.root, self->kind, self->unmap_ioctl, EIO);
	EXPECT_EQ(EIO, wire_unmap(self->peer.sock, 0, PAGE, 0));
	EXPECT_TRUE(wire_closed(self->peer.sock));
	EXPECT_EQ(0, peer_hang_up(&self->peer));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
	EXPECT_EQ(0, peer_connect(&self->peer));
}

TEST_F(dma, rule16_unmap_all_that_the_kernel_refuses_ends_the_session)
{
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, PAGE, PEER_RW, self->memory,
			      0));
	ASSERT_EQ(0, wire_map(self->peer.sock, PAGE, PAGE, PEER_RW,
			      self->memory, 0));
	fake_fail_ioctl(&self->peer.root, self->kind, self->unmap_ioctl, EIO);
	EXPECT_EQ(EIO, wire_unmap(self->peer.sock, 0, 0,
				  VFIO_USER_DMA_UNMAP_ALL));
	EXPECT_TRUE(wire_closed(self->peer.sock));
	EXPECT_EQ(0, peer_hang_up(&self->peer));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
}

/*
 * Without IOMMU_IOAS_MAP_FILE iommufd knows memory by its address, which may
 * have to stay what it is; otherwise no mapping of the daemon's own is needed.
 */
TEST_F(dma, rule17_sixty_thousand_maps)
{
	const unsigned int n = 60000;
	int before;

	ASSERT_EQ(0, many(&self->peer, VFIO_USER_DMA_MAP, 100, self->memory,
			  &self->r));
	ASSERT_EQ(0, wire_unmap(self->peer.sock, 0, 0,
				VFIO_USER_DMA_UNMAP_ALL));
	before = fake_nr_mappings(self->peer.daemon.pid);
	ASSERT_EQ(0, many(&self->peer, VFIO_USER_DMA_MAP, n, self->memory,
			  &self->r));
	EXPECT_EQ(n, self->peer.root.control->nr_maps);
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	/* The heap may have grown by a piece or two; 60,000 it may not. */
	if (variant->way != PEER_MAP)
		EXPECT_GT(before + 32,
			  fake_nr_mappings(self->peer.daemon.pid));
	ASSERT_EQ(0, many(&self->peer, VFIO_USER_DMA_UNMAP, n, -1, &self->r));
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
	EXPECT_GT(before + 32, fake_nr_mappings(self->peer.daemon.pid));
}

TEST_F_TIMEOUT(dma, rule17_each_of_many_maps_is_found, 240)
{
	const unsigned int n = 5000;
	unsigned int i;

	ASSERT_EQ(0, many(&self->peer, VFIO_USER_DMA_MAP, n, self->memory,
			  &self->r));
	for (i = 0; i < n; i++) {
		uint64_t iova = (uint64_t)(i * 2741 % n) * PAGE;

		ASSERT_EQ(EEXIST, wire_map(self->peer.sock, iova, PAGE,
					   PEER_RW, -1, 0));
		ASSERT_EQ(0, wire_unmap(self->peer.sock, iova, PAGE, 0));
		ASSERT_EQ(ENOENT, wire_unmap(self->peer.sock, iova, PAGE, 0));
	}
	EXPECT_EQ(0, self->peer.root.control->nr_maps);
}

TEST_HARNESS_MAIN
