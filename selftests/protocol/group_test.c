// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two devices of one IOMMU group in one daemon: what they share is shared by one
 * client, and nobody else gets in.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "abi/iommufd.h"
#include "pair.h"
#include "util.h"

#include "kselftest_harness.h"

#define SIZE		0x10000
#define IOVA		0x100000

/* Nobody. */
#define OTHER_UID	65534

/* Files that a session can show. */
#define MAX_SHOWN	64

static const char *const no_args[] = { NULL };

FIXTURE(group)
{
	struct pair pair;
	struct fake_config config;
	struct peer *a;
	struct peer *b;
	int memory;
	int foreign;	/* memory of another client's */
};

FIXTURE_VARIANT(group)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(group, map_file)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(group, map)
{
	.way = PEER_MAP,
};

FIXTURE_VARIANT_ADD(group, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(group)
{
	pair_init(&self->pair);
	pair_config(&self->config, variant->way);
	self->a = &self->pair.a;
	self->b = &self->pair.b;
	self->memory = peer_memory(SIZE);
	self->foreign = peer_memory(SIZE);
	ASSERT_LE(0, self->memory);
	ASSERT_LE(0, self->foreign);
}

FIXTURE_TEARDOWN(group)
{
	EXPECT_EQ(0, pair_close(&self->pair));
	close(self->memory);
	close(self->foreign);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* Start the daemon, and greet both. */
static int start(struct pair *pair, const struct fake_config *config,
		 const char *const args[])
{
	int ret = pair_start(pair, config, args);

	if (ret)
		return ret;
	ret = peer_connect(&pair->a);
	return ret ? ret : peer_connect(&pair->b);
}

static int map(const struct peer *peer, uint64_t iova, int fd)
{
	return wire_map(peer->sock, iova, SIZE, PEER_RW, fd, 0);
}

static int unmap(const struct peer *peer, uint64_t iova)
{
	return wire_unmap(peer->sock, iova, SIZE, 0);
}

static uint64_t nr_maps(const struct peer *peer)
{
	return peer->root.control->nr_maps;
}

/* Does the device reach memory there? */
static bool reaches(const struct peer *peer, uint64_t iova)
{
	return peer_dma(peer, iova, iova + 64, 64) == FAKE_DMA_DONE;
}

/* Send DMA_MAP, and don't wait for what comes of it. */
static int send_map(const struct peer *peer, uint64_t iova, uint64_t offset,
		    int fd)
{
	const struct vfio_user_dma_map request = {
		.argsz = sizeof(request),
		.flags = PEER_RW,
		.offset = offset,
		.address = iova,
		.size = SIZE / 2,
	};

	return wire_command(peer->sock, 1, VFIO_USER_DMA_MAP, &request,
			    sizeof(request), &fd, 1);
}

static int expect_map(const struct peer *peer)
{
	struct wire_reply r;

	return wire_expect(peer->sock, 1, VFIO_USER_DMA_MAP, &r);
}

/* What the kernel opens once for all devices of the group. */
static uint64_t nr_containers(const struct peer *peer)
{
	return peer->root.control->opens[FAKE_IOMMUFD] +
	       peer->root.control->opens[FAKE_CONTAINER];
}

/* Both map the same memory, which shows that they are one client's. */
static int map_both(const struct pair *pair, uint64_t iova, int fd)
{
	int ret = map(&pair->a, iova, fd);

	return ret ? ret : map(&pair->b, iova, fd);
}

/* REGION_WRITE to configuration space, from @offset on. */
static int put_config(const struct peer *peer, uint64_t offset,
		      const void *buf, size_t count)
{
	return wire_write(peer->sock, PEER_CONFIG, offset, buf, count, NULL);
}

/* Is bus mastering on? */
static bool is_master(const struct peer *peer)
{
	uint16_t command = 0;

	wire_read(peer->sock, PEER_CONFIG, PCI_COMMAND, &command,
		  sizeof(command), NULL);
	return command & PCI_COMMAND_MASTER;
}

/* REGION_WRITE_MULTI with one write, of the command register. */
static int put_multi(const struct peer *peer)
{
	struct {
		uint64_t nr;
		struct vfio_user_write_one one;
	} __attribute__((packed)) multi = {
		.nr = 1,
		.one = {
			.offset = PCI_COMMAND,
			.region = PEER_CONFIG,
			.count = 2,
			.data = { PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY },
		},
	};
	struct wire_reply r;

	return wire_call(peer->sock, VFIO_USER_REGION_WRITE_MULTI, &multi,
			 sizeof(multi), &r);
}

static int set_running(const struct peer *peer)
{
	struct {
		struct vfio_user_device_feature feature;
		struct vfio_user_feature_mig_state state;
	} __attribute__((packed)) request = {
		.feature = {
			.argsz = sizeof(request),
			.flags = VFIO_USER_FEATURE_SET |
				 VFIO_USER_FEATURE_MIG_DEVICE_STATE,
		},
		.state.device_state = VFIO_USER_STATE_RUNNING,
	};
	struct wire_reply r;

	return wire_call(peer->sock, VFIO_USER_DEVICE_FEATURE, &request,
			 sizeof(request), &r);
}

/* Does the client get the device's fd, or hear of it? -1 on error. */
static int gets_fd(const struct peer *peer)
{
	const struct vfio_user_region_info *info;
	struct wire_reply r;
	int fds;

	if (wire_region_info(peer->sock, PEER_BAR0, 4096, &r))
		return -1;
	info = (const void *)r.payload;
	fds = r.nr_fds;
	wire_close_fds(&r);
	if (!fds != !(info->flags & VFIO_USER_REGION_FLAG_MMAP))
		return -1;
	return fds;
}

/*
 * Everything by which a device could be made to do DMA, and what is left: true
 * if the one is refused and the other works.
 */
static bool is_powerless(const struct peer *peer)
{
	static const uint8_t ones[16] = {
		[0 ... 15] = 0xff
	};
	uint64_t at;

	for (at = 0; at <= 4; at++) {
		if (put_config(peer, at, ones, 8 - at) != EACCES ||
		    put_config(peer, at, ones, sizeof(ones)) != EACCES)
			return false;
	}
	return put_config(peer, PCI_COMMAND, ones, 1) == EACCES &&
	       put_config(peer, 0x40, ones, 4) == EACCES &&
	       peer_put64(peer, FAKE_REG_DOORBELL, 1) == EACCES &&
	       put_multi(peer) == EACCES && set_running(peer) == EACCES &&
	       !gets_fd(peer) && !is_master(peer) &&
	       peer_get64(peer, FAKE_REG_SCRATCH) != UINT64_MAX;
}

TEST_F(group, one_client_has_both)
{
	uint64_t before;

	ASSERT_EQ(0, pair_start(&self->pair, &self->config, no_args));
	before = nr_containers(self->a);
	ASSERT_EQ(0, peer_connect(self->a));
	ASSERT_EQ(0, peer_connect(self->b));
	EXPECT_EQ(before + 1, nr_containers(self->a));
	EXPECT_TRUE(peer_log_has(self->a, PAIR_DEVICE_B
				 " shares IOMMU group 7 with " PAIR_DEVICE_A));

	EXPECT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_EQ(0, map(self->b, IOVA, self->memory));
	EXPECT_EQ(1, nr_maps(self->a));
	EXPECT_TRUE(reaches(self->a, IOVA));
	EXPECT_TRUE(reaches(self->b, IOVA));
	EXPECT_FALSE(peer_log_has(self->a, "refused"));
}

TEST_F(group, registers_and_interrupts_are_its_own)
{
	int fds[2] = { eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC) };
	struct peer *peers[2] = { self->a, self->b };
	int i;

	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map_both(&self->pair, IOVA, self->memory));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, peer_put64(peers[i], FAKE_REG_SCRATCH, 10 + i));
		EXPECT_EQ(0, wire_set_irqs(peers[i]->sock,
					   VFIO_USER_IRQ_SET_DATA_EVENTFD |
					   VFIO_USER_IRQ_SET_ACTION_TRIGGER,
					   PEER_MSIX, 0, 1, NULL, 0, &fds[i],
					   1));
	}
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(10 + i, peer_get64(peers[i], FAKE_REG_SCRATCH));
		EXPECT_EQ(1, fake_irq_raise_on(self->a->root.control, i,
					       PEER_MSIX, 0));
		EXPECT_EQ(1, peer_fired(fds[i]));
		EXPECT_EQ(0, peer_fired(fds[!i]));
	}
	EXPECT_EQ(0, wire_reset(self->a->sock));
	EXPECT_EQ(0, peer_get64(self->a, FAKE_REG_SCRATCH));
	EXPECT_EQ(11, peer_get64(self->b, FAKE_REG_SCRATCH));
	close(fds[0]);
	close(fds[1]);
}

TEST_F(group, map_goes_with_its_last_user)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	ASSERT_EQ(0, map(self->b, IOVA, self->memory));
	EXPECT_EQ(0, unmap(self->a, IOVA));
	EXPECT_EQ(1, nr_maps(self->a));
	EXPECT_TRUE(reaches(self->b, IOVA));
	EXPECT_EQ(ENOENT, unmap(self->a, IOVA));
	EXPECT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_EQ(0, unmap(self->b, IOVA));
	EXPECT_EQ(1, nr_maps(self->a));
	EXPECT_EQ(0, unmap(self->a, IOVA));
	EXPECT_EQ(0, nr_maps(self->a));
	EXPECT_FALSE(reaches(self->b, IOVA));
}

TEST_F(group, who_goes_takes_only_what_it_alone_had)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	ASSERT_EQ(0, map(self->b, IOVA, self->memory));
	ASSERT_EQ(0, map(self->a, IOVA + SIZE, self->memory));
	close_fd(&self->a->sock);
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	EXPECT_EQ(1, nr_maps(self->a));
	EXPECT_TRUE(reaches(self->b, IOVA));
	EXPECT_FALSE(reaches(self->b, IOVA + SIZE));

	ASSERT_EQ(0, peer_connect(self->a));
	EXPECT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_TRUE(reaches(self->a, IOVA));
	close_fd(&self->b->sock);
	EXPECT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_B));
	EXPECT_TRUE(reaches(self->a, IOVA));
}

TEST_F(group, nothing_is_left_when_both_are_gone)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	ASSERT_EQ(0, map(self->b, IOVA, self->memory));
	close_fd(&self->a->sock);
	EXPECT_EQ(0, peer_hang_up(self->b));
	EXPECT_EQ(0, nr_maps(self->a));
	EXPECT_EQ(0, self->a->root.control->orphans);
}

TEST_F(group, other_memory_is_another_client)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_EQ(EACCES, map(self->b, IOVA + SIZE, self->foreign));
	EXPECT_TRUE(peer_log_has(self->a, "IOMMU group 7 with " PAIR_DEVICE_A));
	EXPECT_TRUE(peer_log_has(self->a, "shares other memory: session ended"));
	EXPECT_TRUE(wire_closed(self->b->sock));
	ASSERT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_B));
	EXPECT_EQ(1, nr_maps(self->a));
	EXPECT_TRUE(reaches(self->a, IOVA));

	/* Who is the same gets the device, and then maps what it likes. */
	close_fd(&self->b->sock);
	ASSERT_EQ(0, peer_connect(self->b));
	EXPECT_EQ(0, map(self->b, IOVA, self->memory));
	EXPECT_EQ(0, map(self->b, IOVA + SIZE, self->foreign));

	/* That doesn't change when it has nothing mapped. */
	EXPECT_EQ(0, wire_unmap(self->b->sock, 0, 0, VFIO_USER_DMA_UNMAP_ALL));
	EXPECT_EQ(0, wire_unmap(self->a->sock, 0, 0, VFIO_USER_DMA_UNMAP_ALL));
	EXPECT_EQ(0, map(self->b, IOVA, self->foreign));
	EXPECT_TRUE(reaches(self->a, IOVA));
}

TEST_F(group, who_has_shown_nothing_has_no_power)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_TRUE(is_powerless(self->b));
	EXPECT_FALSE(reaches(self->b, IOVA));
	EXPECT_EQ(1, peer_log_count(self->a, "until then it can only look (it shares IOMMU group 7 with "
				    PAIR_DEVICE_A));

	/* It is no different for having had its device reset. */
	EXPECT_EQ(0, wire_reset(self->b->sock));
	EXPECT_TRUE(is_powerless(self->b));

	EXPECT_EQ(0, map(self->b, IOVA, self->memory));
	EXPECT_EQ(1, gets_fd(self->b));
	EXPECT_TRUE(reaches(self->b, IOVA));
	EXPECT_TRUE(is_master(self->b));
}

/* Whoever had power first is the client, with or without maps. */
TEST_F(group, power_before_any_map)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	EXPECT_EQ(1, gets_fd(self->a));
	EXPECT_TRUE(is_powerless(self->b));
	EXPECT_EQ(EACCES, map(self->b, IOVA, self->foreign));
	EXPECT_TRUE(wire_closed(self->b->sock));
	EXPECT_EQ(0, nr_maps(self->a));
	EXPECT_EQ(0, map(self->a, IOVA, self->memory));
}

/* The same for bus mastering, without any fd. */
TEST_F(group, bus_mastering_before_any_map)
{
	static const char *const off[] = { "--mmap=off", NULL };

	ASSERT_EQ(0, start(&self->pair, &self->config, off));
	EXPECT_FALSE(reaches(self->b, IOVA));
	EXPECT_TRUE(is_master(self->b));
	EXPECT_EQ(EACCES, map(self->a, IOVA, self->memory));
	EXPECT_TRUE(wire_closed(self->a->sock));
	EXPECT_FALSE(reaches(self->b, IOVA));
}

/* What it had mapped is gone, its power isn't. */
TEST_F(group, power_after_the_last_unmap)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_EQ(1, gets_fd(self->a));
	EXPECT_EQ(0, unmap(self->a, IOVA));
	EXPECT_TRUE(is_powerless(self->b));
	EXPECT_EQ(EACCES, map(self->b, IOVA, self->foreign));
	EXPECT_TRUE(wire_closed(self->b->sock));
	EXPECT_EQ(0, nr_maps(self->a));
}

/* One file of several is something that another VMM may have as well. */
TEST_F(group, all_of_the_memory_has_to_be_shown)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	ASSERT_EQ(0, map(self->a, IOVA + SIZE, self->foreign));
	EXPECT_EQ(0, map(self->b, IOVA, self->memory));
	EXPECT_TRUE(is_powerless(self->b));
	EXPECT_FALSE(reaches(self->b, IOVA + SIZE));
	EXPECT_EQ(0, map(self->b, IOVA + 2 * SIZE, self->foreign));
	EXPECT_EQ(1, gets_fd(self->b));
	EXPECT_TRUE(reaches(self->b, IOVA + SIZE));
}

/* The file that an fd is of, once more, for something else. */
static int reopen(int fd, int mode)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, mode | O_CLOEXEC);
}

static int map_to_read(const struct peer *peer, uint64_t iova, int fd)
{
	return wire_map(peer->sock, iova, SIZE, VFIO_USER_DMA_MAP_READ, fd, 0);
}

/* Who can only read the memory isn't who lets its device write to it. */
TEST_F(group, what_can_only_be_read_shows_nothing)
{
	int fd = reopen(self->memory, O_RDONLY);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_EQ(0, map_to_read(self->b, IOVA + SIZE, fd));
	EXPECT_TRUE(is_powerless(self->b));
	EXPECT_FALSE(reaches(self->b, IOVA));

	/* Until it can write to it as well. */
	EXPECT_EQ(0, map(self->b, IOVA, self->memory));
	EXPECT_EQ(1, gets_fd(self->b));
	close(fd);
}

/* If the other's can only read it, whoever can read it could have done that. */
TEST_F(group, what_is_only_read_is_shown_by_reading)
{
	int fd = reopen(self->memory, O_RDONLY);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map_to_read(self->a, IOVA, self->memory));
	EXPECT_TRUE(is_powerless(self->b));
	EXPECT_EQ(0, map_to_read(self->b, IOVA + SIZE, fd));
	EXPECT_EQ(1, gets_fd(self->b));
	close(fd);
}

/* Memory that isn't a regular file is memory all the same. */
TEST_F(group, memory_of_a_device_node_has_to_be_shown)
{
	int one = open("/dev/zero", O_RDWR | O_CLOEXEC);
	int other = open("/dev/zero", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, one);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	if (variant->way == PEER_TYPE1) {
		EXPECT_EQ(EACCES, map(self->a, IOVA + SIZE, one));
	} else {
		ASSERT_EQ(0, map(self->a, IOVA + SIZE, one));
		EXPECT_EQ(0, map(self->b, IOVA, self->memory));
		EXPECT_TRUE(is_powerless(self->b));
		EXPECT_EQ(0, map(self->b, IOVA + 2 * SIZE, other));
		EXPECT_EQ(1, gets_fd(self->b));
	}
	close(one);
	close(other);
}

/* Each of these files, one behind the other. */
static int map_files(const struct peer *peer, const int *fds, unsigned int nr)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < nr && !ret; i++)
		ret = map(peer, IOVA + i * SIZE, fds[i]);
	return ret;
}

/* With one more, nobody can show to be the same. */
TEST_F(group, as_many_files_as_can_be_shown)
{
	int fds[MAX_SHOWN + 1];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = peer_memory(SIZE);
		ASSERT_LE(0, fds[i]);
	}
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map_files(self->a, fds, MAX_SHOWN));
	/* One twice is one. */
	ASSERT_EQ(0, map(self->b, 2 * IOVA + MAX_SHOWN * SIZE, fds[0]));
	ASSERT_EQ(0, map_files(self->b, fds, MAX_SHOWN - 1));
	EXPECT_TRUE(is_powerless(self->b));
	ASSERT_EQ(0, map(self->b, IOVA + (MAX_SHOWN - 1) * SIZE,
			 fds[MAX_SHOWN - 1]));
	EXPECT_EQ(1, gets_fd(self->b));

	close_fd(&self->b->sock);
	ASSERT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_B));
	ASSERT_EQ(0, map(self->a, IOVA + MAX_SHOWN * SIZE,
			 fds[MAX_SHOWN]));
	ASSERT_EQ(0, peer_connect(self->b));
	ASSERT_EQ(0, map_files(self->b, fds, ARRAY_SIZE(fds)));
	EXPECT_TRUE(is_powerless(self->b));
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

/* A file of no name, with memory in it, on the disk. */
static int disk_file(void)
{
	int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 && ftruncate(fd, SIZE)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* One that was made after the file of @old was gone, and has its number. */
static int file_of_number(ino_t old)
{
	int i, fds[16], found = -1;
	struct stat st;

	for (i = 0; i < 16; i++)
		fds[i] = disk_file();
	for (i = 0; i < 16; i++) {
		if (found < 0 && !fstat(fds[i], &st) && st.st_ino == old)
			found = fds[i];
		else if (fds[i] >= 0)
			close(fds[i]);
	}
	return found;
}

/* Its number is a new file's, which nobody has shown. */
TEST_F(group, file_that_was_shown_and_is_gone)
{
	int fd = disk_file();
	struct stat st;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fstat(fd, &st));
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	ASSERT_EQ(0, map(self->a, IOVA + SIZE, fd));
	ASSERT_EQ(0, map(self->b, IOVA + SIZE, fd));
	ASSERT_EQ(0, unmap(self->a, IOVA + SIZE));
	ASSERT_EQ(0, unmap(self->b, IOVA + SIZE));
	close(fd);
	fd = file_of_number(st.st_ino);
	if (fd < 0)
		SKIP(return, "/var/tmp doesn't give numbers of files again");
	ASSERT_EQ(0, map(self->a, IOVA + SIZE, fd));
	ASSERT_EQ(0, unmap(self->a, IOVA));
	EXPECT_TRUE(is_powerless(self->b));
	EXPECT_EQ(0, map(self->b, IOVA + SIZE, fd));
	EXPECT_EQ(1, gets_fd(self->b));
	close(fd);
}

/* It may have kept the fd: nobody takes its place while the group is open. */
TEST_F(group, client_that_has_gone_with_an_fd)
{
	struct wire_reply r;

	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, wire_region_info(self->a->sock, PEER_BAR0, 4096, &r));
	ASSERT_EQ(1, r.nr_fds);
	close_fd(&self->a->sock);
	EXPECT_TRUE(wire_closed(self->b->sock));
	EXPECT_TRUE(peer_wait_log(self->a, "may have kept the fd of a device"));
	ASSERT_EQ(0, peer_wait_idle(self->a));
	close_fd(&self->b->sock);
	EXPECT_EQ(EBUSY, peer_connect(self->b));
	wire_close_fds(&r);
	close_fd(&self->b->sock);
	EXPECT_EQ(0, peer_connect(self->b));
	EXPECT_EQ(0, map(self->b, IOVA, self->foreign));
	EXPECT_TRUE(reaches(self->b, IOVA));
}

/* Without one, there is nothing that it could have kept. */
TEST_F(group, client_that_has_gone_without_an_fd)
{
	static const char *const off[] = { "--mmap=off", NULL };

	ASSERT_EQ(0, start(&self->pair, &self->config, off));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_TRUE(is_powerless(self->b));
	close_fd(&self->a->sock);
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	EXPECT_EQ(0, map(self->b, IOVA, self->foreign));
	EXPECT_TRUE(reaches(self->b, IOVA));
}

/*
 * A file by which the client can only read is no way to have it written, nor the
 * other way round: the kernel, which says so else, isn't asked again.
 */
TEST_F(group, same_map_takes_the_same_rights)
{
	int to_read = reopen(self->memory, O_RDONLY);
	int to_write = reopen(self->memory, O_WRONLY);

	ASSERT_LE(0, to_read);
	ASSERT_LE(0, to_write);
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_EQ(EACCES, map(self->b, IOVA, to_read));
	EXPECT_EQ(EACCES, map(self->b, IOVA, to_write));
	ASSERT_EQ(0, map_to_read(self->a, IOVA + SIZE, self->memory));
	EXPECT_EQ(EACCES, map_to_read(self->b, IOVA + SIZE, to_write));
	EXPECT_TRUE(is_powerless(self->b));

	/* The session goes on. */
	EXPECT_EQ(0, map_to_read(self->b, IOVA + SIZE, to_read));
	EXPECT_EQ(0, map(self->b, IOVA, self->memory));
	EXPECT_EQ(1, gets_fd(self->b));
	close(to_read);
	close(to_write);
}

TEST_F(group, other_user_waits_for_the_last)
{
	char pid[32];

	ASSERT_EQ(0, pair_start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, peer_connect(self->a));
	EXPECT_EQ(EBUSY, pair_as(self->b, OTHER_UID));
	snprintf(pid, sizeof(pid), "serves pid %d of uid %d", getpid(),
		 getuid());
	EXPECT_TRUE(peer_log_has(self->a, "of uid 65534 refused"));
	EXPECT_TRUE(peer_log_has(self->a, "another user's (it shares IOMMU group 7 with "
				 PAIR_DEVICE_A));
	EXPECT_TRUE(peer_log_has(self->a, pid));
	ASSERT_EQ(0, peer_hang_up(self->a));
	EXPECT_EQ(0, pair_as(self->b, OTHER_UID));
}

/* As one that comes to the socket itself: who goes is waited for. */
TEST_F(group, other_user_waits_for_a_session_that_ends)
{
	const struct fake_rule slow = {
		.call = FAKE_IOCTL,
		.kind = FAKE_DEVICE,
		.request = VFIO_DEVICE_SET_IRQS,
		.nth = 1,
		.delay_ms = 700,
		.stubborn = true,
	};

	ASSERT_EQ(0, pair_start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, peer_connect(self->a));
	fake_rule_set(&self->a->root, 0, &slow);
	close_fd(&self->a->sock);
	EXPECT_EQ(0, pair_as(self->b, OTHER_UID));
	EXPECT_EQ(0, peer_log_count(self->a, "refused"));
}

TEST_F(group, overlap_that_is_not_the_same)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_EQ(EEXIST, wire_map(self->b->sock, IOVA, SIZE / 2, PEER_RW,
				   self->memory, 0));
	EXPECT_EQ(EEXIST, wire_map(self->b->sock, IOVA, SIZE,
				   VFIO_USER_DMA_MAP_READ, self->memory, 0));
	EXPECT_EQ(EEXIST, wire_map(self->b->sock, IOVA + SIZE / 2, SIZE / 2,
				   PEER_RW, self->memory, 0));
	EXPECT_TRUE(peer_log_has(self->a, "overlaps another map and is not the same (it shares IOMMU group 7 with "
				 PAIR_DEVICE_A));
	/* Another address alone, and another place in the file alone. */
	EXPECT_EQ(EEXIST, map(self->b, IOVA + SIZE / 2, self->memory));
	ASSERT_EQ(0, ftruncate(self->memory, 2 * SIZE));
	EXPECT_EQ(EEXIST, wire_map(self->b->sock, IOVA, SIZE, PEER_RW,
				   self->memory, SIZE));
	EXPECT_EQ(1, nr_maps(self->a));
	EXPECT_TRUE(reaches(self->a, IOVA));
}

/* A VMM takes the old one from all of its devices before it gives a new one. */
TEST_F(group, overlap_that_goes_in_time)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	ASSERT_EQ(0, map(self->b, IOVA + SIZE, self->memory));
	ASSERT_EQ(0, send_map(self->b, IOVA, SIZE / 2, self->memory));
	peer_pause(150);
	EXPECT_EQ(0, unmap(self->a, IOVA));
	EXPECT_EQ(0, expect_map(self->b));
	EXPECT_EQ(0, wire_map(self->a->sock, IOVA, SIZE / 2, PEER_RW,
			      self->memory, SIZE / 2));
	EXPECT_EQ(2, nr_maps(self->a));
}

TEST_F(group, map_without_a_file_is_nobody_elses)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, -1));
	EXPECT_EQ(0, map(self->b, IOVA, self->memory));
	EXPECT_EQ(1, nr_maps(self->a));
	EXPECT_EQ(0, unmap(self->a, IOVA));
	EXPECT_EQ(1, nr_maps(self->a));
}

TEST_F(group, kernel_that_refuses_a_map)
{
	unsigned long request = variant->way == PEER_TYPE1 ?
		VFIO_IOMMU_MAP_DMA : variant->way == PEER_MAP ?
		ABI_IOMMU_IOAS_MAP : ABI_IOMMU_IOAS_MAP_FILE;

	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	fake_fail_ioctl(&self->a->root, variant->way == PEER_TYPE1 ?
			FAKE_CONTAINER : FAKE_IOMMUFD, request, ENOMEM);
	EXPECT_EQ(ENOMEM, map(self->a, IOVA, self->memory));
	EXPECT_EQ(0, nr_maps(self->a));
	EXPECT_EQ(0, map(self->b, IOVA, self->foreign));
	EXPECT_EQ(1, nr_maps(self->a));
	/* What failed has shown nothing. */
	EXPECT_EQ(EACCES, map(self->a, IOVA + SIZE, self->memory));
	EXPECT_TRUE(wire_closed(self->a->sock));
}

TEST_F(group, kernel_that_does_not_unmap_ends_both)
{
	bool type1 = variant->way == PEER_TYPE1;

	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	ASSERT_EQ(0, map(self->b, IOVA, self->memory));
	ASSERT_EQ(0, unmap(self->b, IOVA));
	fake_fail_ioctl(&self->a->root, type1 ? FAKE_CONTAINER : FAKE_IOMMUFD,
			type1 ? VFIO_IOMMU_UNMAP_DMA : ABI_IOMMU_IOAS_UNMAP,
			EIO);
	EXPECT_EQ(EIO, unmap(self->a, IOVA));
	EXPECT_TRUE(wire_closed(self->a->sock));
	EXPECT_TRUE(wire_closed(self->b->sock));
	ASSERT_EQ(0, peer_wait_idle(self->a));
	EXPECT_EQ(0, nr_maps(self->a));

	close_fd(&self->a->sock);
	ASSERT_EQ(0, peer_connect(self->a));
	EXPECT_EQ(0, map(self->a, IOVA, self->foreign));
}

/* What is retained holds on to the address space as well. */
TEST_F(group, kernel_that_does_not_unmap_ends_what_is_retained)
{
	static const char *const retain[] = { "--on-disconnect=retain", NULL };
	bool type1 = variant->way == PEER_TYPE1;

	ASSERT_EQ(0, start(&self->pair, &self->config, retain));
	ASSERT_EQ(0, map_both(&self->pair, IOVA, self->memory));
	close_fd(&self->a->sock);
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	fake_fail_ioctl(&self->a->root, type1 ? FAKE_CONTAINER : FAKE_IOMMUFD,
			type1 ? VFIO_IOMMU_UNMAP_DMA : ABI_IOMMU_IOAS_UNMAP,
			EIO);
	EXPECT_EQ(EIO, unmap(self->b, IOVA));
	EXPECT_TRUE(wire_closed(self->b->sock));
	ASSERT_EQ(0, peer_wait_idle(self->a));
	EXPECT_EQ(0, nr_maps(self->a));
	EXPECT_EQ(0, pair_as(self->a, OTHER_UID));
}

TEST_F(group, retained_device_keeps_its_place)
{
	static const char *const retain[] = { "--on-disconnect=retain", NULL };

	ASSERT_EQ(0, start(&self->pair, &self->config, retain));
	ASSERT_EQ(0, map_both(&self->pair, IOVA, self->memory));
	ASSERT_EQ(0, peer_put64(self->a, FAKE_REG_SCRATCH, 5));
	close_fd(&self->a->sock);
	close_fd(&self->b->sock);
	ASSERT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_A));
	ASSERT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_B));
	EXPECT_EQ(EBUSY, pair_as(self->b, OTHER_UID));
	EXPECT_TRUE(peer_log_has(self->a, "retained for uid 0"));
	ASSERT_EQ(0, peer_connect(self->a));
	EXPECT_EQ(5, peer_get64(self->a, FAKE_REG_SCRATCH));
	ASSERT_EQ(0, peer_connect(self->b));
	EXPECT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_EQ(0, map(self->b, IOVA, self->memory));
	EXPECT_EQ(1, nr_maps(self->a));
}

/* What a client takes back is still its own, and nobody gets in beside. */
TEST_F(group, retained_device_is_still_its_clients)
{
	static const char *const retain[] = { "--on-disconnect=retain", NULL };

	ASSERT_EQ(0, start(&self->pair, &self->config, retain));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_EQ(1, gets_fd(self->a));
	close_fd(&self->a->sock);
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	EXPECT_TRUE(is_powerless(self->b));
	EXPECT_EQ(EACCES, map(self->b, IOVA, self->memory));
	EXPECT_TRUE(wire_closed(self->b->sock));
	ASSERT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_B));
	ASSERT_EQ(0, peer_connect(self->a));
	EXPECT_EQ(1, gets_fd(self->a));
	EXPECT_EQ(0, map(self->a, IOVA, self->memory));
	close_fd(&self->b->sock);
	ASSERT_EQ(0, peer_connect(self->b));
	EXPECT_EQ(0, map(self->b, IOVA, self->memory));
	EXPECT_TRUE(reaches(self->b, IOVA));
}

/* Who takes a retained device while that is closed has its place in the group. */
TEST_F(group, place_of_a_device_that_is_just_given_back)
{
	static const char *const retain[] = { "--on-disconnect=retain", NULL };
	const struct fake_rule slow = {
		.call = FAKE_CLOSE,
		.nth = 1,
		.delay_ms = 1000,
		.stubborn = true,
	};
	struct wire_reply r;

	ASSERT_EQ(0, pair_start(&self->pair, &self->config, retain));
	ASSERT_EQ(0, peer_connect(self->a));
	close_fd(&self->a->sock);
	ASSERT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_A));
	/* Its session has begun before the kernel asks. */
	self->a->sock = wire_connect(self->a->daemon.socket);
	ASSERT_LE(0, self->a->sock);
	json_decref(peer_status(self->a));
	fake_rule_set(&self->a->root, 0, &slow);
	ASSERT_EQ(1, fake_irq_raise(self->a->root.control, PEER_REQ, 0));
	ASSERT_TRUE(peer_wait_log(self->a, "not retained any more"));
	ASSERT_EQ(0, wire_version(self->a->sock, NULL, &r));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	peer_pause(1500);
	EXPECT_EQ(EBUSY, pair_as(self->b, OTHER_UID));
}

TEST_F(group, shadow_dma_is_for_one_at_a_time)
{
	static const char *const shadow[] = { "--shadow-dma", NULL };
	struct wire_reply r;

	ASSERT_EQ(0, pair_start(&self->pair, &self->config, shadow));
	ASSERT_EQ(0, peer_connect(self->a));
	self->b->sock = wire_connect(self->b->daemon.socket);
	EXPECT_EQ(EBUSY, wire_version(self->b->sock, NULL, &r));
	EXPECT_TRUE(peer_log_has(self->a, "with --shadow-dma only one device"));
	close_fd(&self->b->sock);
	ASSERT_EQ(0, peer_hang_up(self->a));
	EXPECT_EQ(0, peer_connect(self->b));
}

TEST_F(group, reset_of_the_bus_with_an_idle_one)
{
	struct vfio_user_device_info info;

	self->config.flr = false;
	ASSERT_EQ(0, pair_start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, peer_connect(self->a));
	ASSERT_EQ(0, wire_info(self->a->sock, &info));
	EXPECT_TRUE(info.flags & VFIO_USER_DEVICE_FLAG_RESET);
	EXPECT_EQ(0, wire_reset(self->a->sock));
	EXPECT_EQ(1, self->a->root.control->hot_resets);
}

TEST_F(group, reset_of_the_bus_with_one_of_the_same_client)
{
	self->config.flr = false;
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	ASSERT_EQ(0, map(self->b, IOVA, self->memory));
	ASSERT_EQ(0, peer_put64(self->b, FAKE_REG_SCRATCH, 5));
	EXPECT_EQ(0, wire_reset(self->a->sock));
	EXPECT_EQ(1, self->a->root.control->hot_resets);
	EXPECT_EQ(0, peer_get64(self->b, FAKE_REG_SCRATCH));
	EXPECT_FALSE(peer_log_has(self->a, "refused"));
}

TEST_F(group, no_reset_of_the_bus_with_one_that_has_shown_nothing)
{
	self->config.flr = false;
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_EQ(EBUSY, wire_reset(self->a->sock));
	EXPECT_EQ(EBUSY, wire_reset(self->b->sock));
	EXPECT_TRUE(peer_log_has(self->a, "a reset of the bus would touch a device of what may be another client (it shares IOMMU group 7 with "
				 PAIR_DEVICE_B));
	EXPECT_EQ(0, self->a->root.control->hot_resets);
}

TEST_F(group, reset_of_a_bus_that_the_other_is_not_on)
{
	self->config.flr = false;
	strcpy(self->config.more[0].name, "0000:02:00.0");
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	EXPECT_EQ(0, wire_reset(self->a->sock));
	EXPECT_EQ(1, self->a->root.control->hot_resets);
}

TEST_F(group, no_reset_of_the_bus_with_a_retained_one)
{
	static const char *const retain[] = { "--on-disconnect=retain", NULL };

	self->config.flr = false;
	ASSERT_EQ(0, start(&self->pair, &self->config, retain));
	ASSERT_EQ(0, map_both(&self->pair, IOVA, self->memory));
	close_fd(&self->b->sock);
	ASSERT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_B));
	EXPECT_EQ(EBUSY, wire_reset(self->a->sock));
	EXPECT_TRUE(peer_log_has(self->a, "would touch a retained device"));
}

/*
 * A client that has gone but kept the device's fd. The cdev is not given again;
 * out of the group, which the other device keeps open, it is, and the daemon
 * resets it, since the kernel doesn't.
 */
TEST_F(group, device_that_is_still_held)
{
	bool type1 = variant->way == PEER_TYPE1;
	struct wire_reply r;
	int fd;

	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map_both(&self->pair, IOVA, self->memory));
	ASSERT_EQ(0, wire_region_info(self->a->sock, PEER_BAR0, 4096, &r));
	ASSERT_EQ(1, r.nr_fds);
	fd = r.fds[0];
	ASSERT_EQ(0, peer_put64(self->a, FAKE_REG_SCRATCH, 5));
	close_fd(&self->a->sock);
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	EXPECT_EQ(type1 ? 0 : EBUSY, peer_connect(self->a));
	EXPECT_EQ(type1, !peer_get64(self->a, FAKE_REG_SCRATCH));
	EXPECT_EQ(!type1, peer_log_has(self->a, "still held"));
	close(fd);
	close_fd(&self->a->sock);
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	EXPECT_EQ(0, peer_connect(self->a));
}

/* The kernel takes its time for one map; nobody else has to. */
TEST_F(group, slow_map_delays_nobody_else)
{
	bool type1 = variant->way == PEER_TYPE1;
	const struct fake_rule slow = {
		.call = FAKE_IOCTL,
		.kind = type1 ? FAKE_CONTAINER : FAKE_IOMMUFD,
		.request = type1 ? VFIO_IOMMU_MAP_DMA :
			   variant->way == PEER_MAP ? ABI_IOMMU_IOAS_MAP :
						      ABI_IOMMU_IOAS_MAP_FILE,
		.nth = 1,
		.delay_ms = 3000,
		.stubborn = true,
	};
	int64_t begin;
	json_t *status;

	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	fake_rule_set(&self->a->root, 0, &slow);
	begin = now_ms();
	ASSERT_EQ(0, send_map(self->a, IOVA, 0, self->memory));
	peer_pause(100);
	EXPECT_EQ(0, map(self->b, IOVA + SIZE, self->memory));
	EXPECT_TRUE(reaches(self->b, IOVA + SIZE));
	status = peer_status(self->a);
	EXPECT_NE(NULL, status);
	json_decref(status);
	EXPECT_GT(2000, now_ms() - begin);

	/* The same map has to wait for it. */
	EXPECT_EQ(0, wire_map(self->b->sock, IOVA, SIZE / 2, PEER_RW,
			      self->memory, 0));
	EXPECT_LE(2900, now_ms() - begin);
	EXPECT_EQ(0, expect_map(self->a));
	EXPECT_EQ(2, nr_maps(self->a));
}

TEST_F(group, who_waits_for_a_slow_map_can_go)
{
	bool type1 = variant->way == PEER_TYPE1;
	const struct fake_rule slow = {
		.call = FAKE_IOCTL,
		.kind = type1 ? FAKE_CONTAINER : FAKE_IOMMUFD,
		.request = type1 ? VFIO_IOMMU_MAP_DMA :
			   variant->way == PEER_MAP ? ABI_IOMMU_IOAS_MAP :
						      ABI_IOMMU_IOAS_MAP_FILE,
		.nth = 1,
		.delay_ms = 3000,
		.stubborn = true,
	};
	int64_t begin;

	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	fake_rule_set(&self->a->root, 0, &slow);
	begin = now_ms();
	ASSERT_EQ(0, send_map(self->a, IOVA, 0, self->memory));
	peer_pause(100);
	ASSERT_EQ(0, send_map(self->b, IOVA, 0, self->memory));
	peer_pause(100);
	close_fd(&self->b->sock);
	EXPECT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_B));
	EXPECT_GT(2500, now_ms() - begin);
	EXPECT_EQ(0, expect_map(self->a));
}

TEST_F(group, status_says_who_shares)
{
	json_t *status, *first, *other;

	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	status = peer_status(self->a);
	first = json_array_get(json_object_get(status, "devices"), 0);
	EXPECT_STREQ(PAIR_DEVICE_A,
		     json_string_value(json_object_get(first, "device")));
	EXPECT_EQ(7, json_integer_value(json_object_get(first, "group")));
	other = json_object_get(first, "shares_group_with");
	EXPECT_STREQ(PAIR_DEVICE_B,
		     json_string_value(json_array_get(other, 0)));
	json_decref(status);
}

TEST_F(group, other_groups_share_nothing)
{
	self->config.more[0].group = 8;
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	EXPECT_EQ(0, map(self->a, IOVA, self->memory));
	EXPECT_EQ(0, map(self->b, IOVA, self->foreign));
	EXPECT_EQ(2, nr_maps(self->a));
	EXPECT_EQ(0, unmap(self->a, IOVA));
	EXPECT_FALSE(reaches(self->a, IOVA));
	EXPECT_TRUE(reaches(self->b, IOVA));
	close_fd(&self->b->sock);
	ASSERT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_B));
	EXPECT_EQ(0, pair_as(self->b, OTHER_UID));
}

/* What the container takes is for both together, and what is alike is one. */
TEST(maps_are_counted_together)
{
	struct fake_config config;
	int memory = peer_memory(SIZE);
	struct pair pair;

	pair_init(&pair);
	pair_config(&config, PEER_TYPE1);
	config.dma_avail = 3;
	ASSERT_EQ(0, pair_start(&pair, &config, no_args));
	ASSERT_EQ(0, peer_connect(&pair.a));
	EXPECT_EQ(0, map(&pair.a, IOVA, memory));
	EXPECT_EQ(0, map(&pair.a, IOVA + SIZE, memory));
	ASSERT_EQ(0, peer_connect(&pair.b));
	EXPECT_EQ(3, pair.b.max_maps);
	/* It is the daemon that counts. */
	pair.a.root.control->config.dma_avail = 100;
	EXPECT_EQ(0, map(&pair.b, IOVA, memory));
	EXPECT_EQ(0, map(&pair.b, IOVA + 2 * SIZE, memory));
	EXPECT_EQ(ENOSPC, map(&pair.a, IOVA + 3 * SIZE, memory));
	EXPECT_EQ(0, map(&pair.b, IOVA + SIZE, memory));
	/* What is unmapped makes room. */
	EXPECT_EQ(0, unmap(&pair.b, IOVA + 2 * SIZE));
	EXPECT_EQ(0, map(&pair.b, IOVA + 3 * SIZE, memory));
	EXPECT_EQ(ENOSPC, map(&pair.a, IOVA + 2 * SIZE, memory));

	/* The next container is another one. */
	close_fd(&pair.b.sock);
	ASSERT_EQ(0, peer_hang_up(&pair.a));
	ASSERT_EQ(0, peer_connect(&pair.a));
	EXPECT_EQ(100, pair.a.max_maps);
	EXPECT_EQ(0, pair_close(&pair));
	close(memory);
}

/* The fd of a session's device, and where BAR0 is in it. */
static int get_bar(const struct peer *peer, uint64_t *offset)
{
	const struct vfio_user_region_info *info;
	struct wire_reply r;

	if (wire_region_info(peer->sock, PEER_BAR0, 4096, &r) || r.nr_fds != 1)
		return -1;
	info = (const void *)r.payload;
	*offset = info->offset;
	return r.fds[0];
}

static int map_bar(const struct peer *peer, uint64_t iova, int fd,
		   uint64_t offset)
{
	return wire_map(peer->sock, iova, 4096, PEER_RW, fd, offset);
}

/*
 * The kernel doesn't take away what is mapped of a device that is closed: only
 * its own session can be relied on for that, and has it to itself.
 */
TEST(type1_maps_no_device_but_the_sessions_own)
{
	int other = eventfd(0, EFD_CLOEXEC), memory = peer_memory(SIZE);
	struct fake_config config;
	uint64_t at_a = 0, at_b = 0;
	struct pair pair;
	int a, b;

	pair_init(&pair);
	pair_config(&config, PEER_TYPE1);
	ASSERT_EQ(0, start(&pair, &config, no_args));
	ASSERT_EQ(0, map_both(&pair, IOVA, memory));
	a = get_bar(&pair.a, &at_a);
	b = get_bar(&pair.b, &at_b);
	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	EXPECT_EQ(EACCES, map_bar(&pair.b, IOVA + SIZE, a, at_a));
	EXPECT_EQ(EACCES, map_bar(&pair.a, IOVA + SIZE, b, at_b));
	EXPECT_EQ(EACCES, map_bar(&pair.a, IOVA + SIZE, other, 0));
	EXPECT_EQ(1, nr_maps(&pair.a));
	EXPECT_EQ(0, map_bar(&pair.a, IOVA + SIZE, a, at_a));
	/* It isn't the same, however alike they look. */
	EXPECT_EQ(EEXIST, map_bar(&pair.b, IOVA + SIZE, b, at_b));
	EXPECT_EQ(2, nr_maps(&pair.a));

	/* With its session it goes, and an fd of that is nobody's. */
	close_fd(&pair.a.sock);
	ASSERT_EQ(0, pair_wait_left(&pair.b, PAIR_DEVICE_A));
	EXPECT_EQ(1, nr_maps(&pair.b));
	ASSERT_EQ(0, peer_connect(&pair.a));
	ASSERT_EQ(0, map(&pair.a, IOVA, memory));
	EXPECT_EQ(EACCES, map_bar(&pair.a, IOVA + SIZE, a, at_a));
	close(a);
	close(b);
	close(other);
	close(memory);
	EXPECT_EQ(0, pair_close(&pair));
}

/* Nobody else has it, so nobody else has to show it. */
TEST(registers_need_not_be_shown)
{
	int bar, memory = peer_memory(SIZE);
	struct fake_config config;
	struct pair pair;
	uint64_t at = 0;

	pair_init(&pair);
	pair_config(&config, PEER_TYPE1);
	ASSERT_EQ(0, start(&pair, &config, no_args));
	ASSERT_EQ(0, map(&pair.a, IOVA, memory));
	bar = get_bar(&pair.a, &at);
	ASSERT_LE(0, bar);
	ASSERT_EQ(0, map_bar(&pair.a, IOVA + SIZE, bar, at));
	EXPECT_TRUE(is_powerless(&pair.b));
	EXPECT_EQ(0, map(&pair.b, IOVA, memory));
	EXPECT_EQ(1, gets_fd(&pair.b));
	close(bar);
	close(memory);
	EXPECT_EQ(0, pair_close(&pair));
}

FIXTURE(groups)
{
	struct pair pair;
	int memory;
};

FIXTURE_SETUP(groups)
{
	pair_init(&self->pair);
	self->memory = peer_memory(SIZE);
	ASSERT_LE(0, self->memory);
}

FIXTURE_TEARDOWN(groups)
{
	EXPECT_EQ(0, pair_close(&self->pair));
	close(self->memory);
}

/* What is mapped by its address are mappings of one process. */
TEST_F_TIMEOUT(groups, mappings_are_counted_for_all, 240)
{
	struct peer *a = &self->pair.a, *b = &self->pair.b;
	struct fake_config config;
	uint64_t i;

	pair_config(&config, PEER_MAP);
	config.more[0].group = 8;
	ASSERT_EQ(0, start(&self->pair, &config, no_args));
	for (i = 0; i < a->max_maps; i++)
		ASSERT_EQ(0, map(a, IOVA + i * SIZE, self->memory));
	EXPECT_EQ(ENOSPC, map(b, IOVA, self->memory));
	EXPECT_EQ(0, unmap(a, IOVA));
	EXPECT_EQ(0, map(b, IOVA, self->memory));
	EXPECT_EQ(ENOSPC, map(a, IOVA, self->memory));
}

TEST_HARNESS_MAIN
