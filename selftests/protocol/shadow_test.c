// SPDX-License-Identifier: GPL-2.0-only
/*
 * --shadow-dma: a client that shares no memory, and a device that uses it all
 * the same. The software device copies memory when its doorbell is written, so
 * what it reads and what it writes can be compared byte by byte.
 *
 * A device that writes by itself is played by writing to the daemon's memory
 * from outside, where the device's copy is.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mirror.h"
#include "util.h"

#include "kselftest_harness.h"

#define IOVA		0x100000
#define OTHER		0x800000
#define SIZE		0x8000
#define HALF		(SIZE / 2)

#define EVENTFD_TRIGGER	(VFIO_USER_IRQ_SET_DATA_EVENTFD | \
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER)
#define NONE_TRIGGER	(VFIO_USER_IRQ_SET_DATA_NONE | \
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER)
#define NONE_MASK	(VFIO_USER_IRQ_SET_DATA_NONE | \
			 VFIO_USER_IRQ_SET_ACTION_MASK)
#define NONE_UNMASK	(VFIO_USER_IRQ_SET_DATA_NONE | \
			 VFIO_USER_IRQ_SET_ACTION_UNMASK)
#define EVENTFD_UNMASK	(VFIO_USER_IRQ_SET_DATA_EVENTFD | \
			 VFIO_USER_IRQ_SET_ACTION_UNMASK)

FIXTURE(shadow)
{
	struct peer peer;
	struct mirror mirror;
	struct fake_config config;
	struct fake_control *control;
	struct wire_reply r;
	int fds[8];
	uint8_t mem[SIZE];
	uint8_t other[SIZE];
};

FIXTURE_VARIANT(shadow)
{
	enum peer_way way;
	bool twin;
};

FIXTURE_VARIANT_ADD(shadow, twin_socket)
{
	.way = PEER_MAP_FILE,
	.twin = true,
};

FIXTURE_VARIANT_ADD(shadow, main_socket)
{
	.way = PEER_MAP_FILE,
	.twin = false,
};

FIXTURE_VARIANT_ADD(shadow, ioas_map)
{
	.way = PEER_MAP,
	.twin = true,
};

FIXTURE_VARIANT_ADD(shadow, type1)
{
	.way = PEER_TYPE1,
	.twin = false,
};

static void fill(uint8_t *mem, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		mem[i] = rand();
}

FIXTURE_SETUP(shadow)
{
	unsigned int i;

	peer_config(&self->config, variant->way);
	ASSERT_EQ(0, peer_start(&self->peer, &self->config,
				"--shadow-dma=64K"));
	ASSERT_EQ(0, mirror_connect(&self->mirror, &self->peer, variant->twin,
				    ""));
	self->control = self->peer.root.control;
	for (i = 0; i < ARRAY_SIZE(self->fds); i++)
		self->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fill(self->mem, SIZE);
	fill(self->other, SIZE);
}

FIXTURE_TEARDOWN(shadow)
{
	unsigned int i;

	mirror_close(&self->mirror);
	for (i = 0; i < ARRAY_SIZE(self->fds); i++)
		close(self->fds[i]);
	EXPECT_EQ(0, peer_close(&self->peer));
	EXPECT_EQ(0, atomic_load(&self->mirror.bad));
}

/* Turn memory decoding and bus mastering on. */
static int enable(const struct peer *peer)
{
	const uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	return wire_write(peer->sock, PEER_CONFIG, PCI_COMMAND, &command,
			  sizeof(command), NULL);
}

/* Have the device copy, and don't look whether it has. */
static int copy(const struct peer *peer, uint64_t src, uint64_t dst,
		uint64_t len)
{
	if (enable(peer) || peer_put64(peer, FAKE_REG_DMA_SRC, src) ||
	    peer_put64(peer, FAKE_REG_DMA_DST, dst) ||
	    peer_put64(peer, FAKE_REG_DMA_LEN, len) ||
	    peer_put64(peer, FAKE_REG_DOORBELL, 1))
		return -EIO;
	return 0;
}

static int set_fds(const struct peer *peer, uint32_t index, uint32_t start,
		   uint32_t count, const int *fds)
{
	return wire_set_irqs(peer->sock, EVENTFD_TRIGGER, index, start, count,
			     NULL, 0, fds, fds ? count : 0);
}

static int irq_action(const struct peer *peer, uint32_t flags, uint32_t index,
		      uint32_t count)
{
	return wire_set_irqs(peer->sock, flags, index, 0, count, NULL, 0, NULL,
			     0);
}

TEST_F(shadow, device_reads_and_writes_memory_that_is_not_shared)
{
	unsigned int i;

	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	for (i = 0; i < 4; i++) {
		fill(self->mem, HALF);
		EXPECT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, IOVA,
						  IOVA + HALF, HALF));
		EXPECT_EQ(0, memcmp(self->mem, self->mem + HALF, HALF));
	}
}

TEST_F(shadow, device_copies_between_maps)
{
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, OTHER, self->other,
				SIZE, PEER_RW));
	EXPECT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, IOVA + 3, OTHER + 4095,
					  SIZE - 4095));
	EXPECT_EQ(0, memcmp(self->mem + 3, self->other + 4095, SIZE - 4095));
	fill(self->other, SIZE);
	EXPECT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, OTHER, IOVA, SIZE));
	EXPECT_EQ(0, memcmp(self->mem, self->other, SIZE));
}

/* Memory that the client has set before it is mapped, and after. */
TEST_F(shadow, client_memory_is_read_before_each_register_write)
{
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	EXPECT_EQ(1, atomic_load(&self->mirror.reads));
	ASSERT_EQ(0, enable(&self->peer));
	EXPECT_EQ(2, atomic_load(&self->mirror.reads));
	ASSERT_EQ(0, peer_put64(&self->peer, FAKE_REG_SCRATCH, 1));
	EXPECT_EQ(3, atomic_load(&self->mirror.reads));
	/* Neither a register that is read nor one that can't be written. */
	EXPECT_EQ(1, peer_get64(&self->peer, FAKE_REG_SCRATCH));
	EXPECT_EQ(EINVAL, wire_write(self->peer.sock, PEER_BAR0, UINT64_MAX,
				     self->mem, 8, NULL));
	EXPECT_EQ(3, atomic_load(&self->mirror.reads));
	EXPECT_EQ(0, atomic_load(&self->mirror.writes));
}

TEST_F(shadow, client_memory_is_read_before_several_writes_in_one)
{
	struct {
		struct vfio_user_write_multi multi;
		struct vfio_user_write_one one[4];
	} __attribute__((packed)) request = { .multi.wr_cnt = 4 };
	const uint64_t values[] = { IOVA, IOVA + HALF, HALF, 1 };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		request.one[i].offset = FAKE_REG_DMA_SRC + 8 * i;
		request.one[i].count = 8;
		memcpy(request.one[i].data, &values[i], 8);
	}
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	ASSERT_EQ(0, enable(&self->peer));
	mirror_forget(&self->mirror);
	fill(self->mem, HALF);
	ASSERT_EQ(0, wire_call(self->peer.sock, VFIO_USER_REGION_WRITE_MULTI,
			       &request, sizeof(request), &self->r));
	EXPECT_EQ(1, atomic_load(&self->mirror.reads));
	EXPECT_EQ(FAKE_DMA_DONE, peer_get64(&self->peer, FAKE_REG_STATUS));
	EXPECT_EQ(0, memcmp(self->mem, self->mem + HALF, HALF));
}

/* Bytes next to each other, changed by one side each at the same time. */
TEST_F(shadow, neighbouring_bytes_of_both_sides_do_not_mix)
{
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	memset(self->mem, 1, SIZE);
	ASSERT_EQ(0, enable(&self->peer));
	memset(self->mem, 2, 16);
	/* The device makes 100 to 115 a 2, the client 99 and 116 a 3. */
	ASSERT_EQ(0, copy(&self->peer, IOVA, IOVA + 100, 16));
	self->mem[99] = 3;
	self->mem[116] = 3;
	mirror_forget(&self->mirror);
	EXPECT_EQ(FAKE_DMA_DONE, peer_get64(&self->peer, FAKE_REG_STATUS));
	EXPECT_EQ(1, atomic_load(&self->mirror.writes));
	EXPECT_EQ(IOVA + 100, self->mirror.log[0].iova);
	EXPECT_EQ(16, self->mirror.log[0].count);
	EXPECT_EQ(3, self->mem[99]);
	EXPECT_EQ(2, self->mem[100]);
	EXPECT_EQ(2, self->mem[115]);
	EXPECT_EQ(3, self->mem[116]);
	/* And the device sees the client's. */
	EXPECT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, IOVA + 98, IOVA + 200,
					  20));
	EXPECT_EQ(0, memcmp(self->mem + 98, self->mem + 200, 20));
}

/* The client sets back what the device has written: that is a change, too. */
TEST_F(shadow, client_can_set_back_what_the_device_wrote)
{
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	memset(self->mem, 0, SIZE);
	self->mem[0] = 7;
	ASSERT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, IOVA, IOVA + 8, 1));
	EXPECT_EQ(7, self->mem[8]);
	self->mem[8] = 0;
	ASSERT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, IOVA + 8, IOVA + 16,
					  1));
	EXPECT_EQ(0, self->mem[8]);
	EXPECT_EQ(0, self->mem[16]);
	/* And the device can write the same again. */
	ASSERT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, IOVA, IOVA + 8, 1));
	EXPECT_EQ(7, self->mem[8]);
}

TEST_F(shadow, what_the_device_wrote_comes_before_the_interrupt)
{
	unsigned int i;

	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
	for (i = 0; i < 8; i++) {
		fill(self->mem, HALF);
		ASSERT_EQ(0, copy(&self->peer, IOVA, IOVA + HALF, HALF));
		EXPECT_NE(0, memcmp(self->mem, self->mem + HALF, HALF));
		ASSERT_EQ(1, fake_irq_raise(self->control, PEER_MSIX, i));
		EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer,
					       self->fds[i]));
		EXPECT_EQ(0, memcmp(self->mem, self->mem + HALF, HALF));
	}
	/* Nobody else's, and not twice. */
	peer_pause(20);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(0, peer_fired(self->fds[i]));
}

/* The device raises its interrupt while a command is being done. */
TEST_F(shadow, interrupt_of_a_register_write_arrives)
{
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSI, 0, 4, self->fds));
	ASSERT_EQ(0, copy(&self->peer, IOVA, IOVA + HALF, HALF));
	ASSERT_EQ(0, peer_put64(&self->peer, FAKE_REG_RAISE,
				(uint64_t)PEER_MSI << 32 | 2));
	EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer,
				       self->fds[2]));
	EXPECT_EQ(0, memcmp(self->mem, self->mem + HALF, HALF));
}

/* As many as there are, all while the daemon can't look. */
TEST_F(shadow, interrupts_at_the_same_time_all_arrive)
{
	unsigned int i, j;

	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
	ASSERT_EQ(0, kill(self->peer.daemon.pid, SIGSTOP));
	for (i = 0; i < 3; i++) {
		for (j = 0; j < 8; j++)
			fake_irq_raise(self->control, PEER_MSIX, j);
	}
	kill(self->peer.daemon.pid, SIGCONT);
	for (j = 0; j < 8; j++)
		EXPECT_LE(1, mirror_wait_fired(&self->mirror, &self->peer,
					       self->fds[j]));
}

TEST_F(shadow, eventfds_are_replaced_and_taken_away)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 4, self->fds));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 1, 1, self->fds + 7));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 2, 1, NULL));
	EXPECT_EQ(1, fake_irq_raise(self->control, PEER_MSIX, 1));
	EXPECT_EQ(0, fake_irq_raise(self->control, PEER_MSIX, 2));
	EXPECT_EQ(1, fake_irq_raise(self->control, PEER_MSIX, 3));
	EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer,
				       self->fds[7]));
	EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer,
				       self->fds[3]));
	EXPECT_EQ(0, peer_fired(self->fds[1]));
	EXPECT_EQ(0, peer_fired(self->fds[2]));
	ASSERT_EQ(0, irq_action(&self->peer, NONE_TRIGGER, PEER_MSIX, 0));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	/* And it can be enabled again. */
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 1, self->fds));
	EXPECT_EQ(1, fake_irq_raise(self->control, PEER_MSIX, 0));
	EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer,
				       self->fds[0]));
}

/* More than one message takes: an index of fixed size is enlarged. */
TEST_F(shadow, eventfds_of_several_messages_all_arrive)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 4, self->fds));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 4, 4, self->fds + 4));
	EXPECT_EQ(1, fake_irq_raise(self->control, PEER_MSIX, 0));
	EXPECT_EQ(1, fake_irq_raise(self->control, PEER_MSIX, 7));
	EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer,
				       self->fds[0]));
	EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer,
				       self->fds[7]));
}

TEST_F(shadow, client_can_trigger_interrupts)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 4, self->fds));
	ASSERT_EQ(0, irq_action(&self->peer, NONE_TRIGGER, PEER_MSIX, 1));
	EXPECT_EQ(1, peer_fired(self->fds[0]));
	EXPECT_EQ(0, peer_fired(self->fds[1]));
}

/* Give time to raise an interrupt between SET_IRQS and what it does. */
static void delay_set_irqs(struct peer *peer)
{
	const struct fake_rule rule = {
		.call = FAKE_IOCTL,
		.kind = FAKE_DEVICE,
		.request = VFIO_DEVICE_SET_IRQS,
		.nth = 1,
		.delay_ms = 1000,
	};

	fake_rule_set(&peer->root, 0, &rule);
}

/* What has been signalled before goes to those who waited for it then. */
TEST_F(shadow, interrupts_are_passed_on_before_eventfds_change)
{
	struct vfio_user_irq_set set = {
		.argsz = sizeof(set),
		.flags = EVENTFD_TRIGGER,
		.index = PEER_MSIX,
		.count = 1,
	};

	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 2, self->fds));
	delay_set_irqs(&self->peer);
	ASSERT_EQ(0, wire_command(self->peer.sock, 1,
				  VFIO_USER_DEVICE_SET_IRQS, &set, sizeof(set),
				  self->fds + 7, 1));
	peer_pause(100);
	EXPECT_EQ(1, fake_irq_raise(self->control, PEER_MSIX, 0));
	EXPECT_EQ(0, wire_expect(self->peer.sock, 1, VFIO_USER_DEVICE_SET_IRQS,
				 &self->r));
	EXPECT_EQ(1, peer_fired(self->fds[0]));
	peer_pause(20);
	EXPECT_EQ(0, peer_fired(self->fds[7]));
}

TEST_F(shadow, intx_is_masked_until_the_client_unmasks_it)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_INTX, 0, 1, self->fds));
	EXPECT_EQ(1, fake_irq_raise(self->control, PEER_INTX, 0));
	EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer,
				       self->fds[0]));
	EXPECT_TRUE(self->control->irq.masked);
	EXPECT_EQ(0, fake_irq_raise(self->control, PEER_INTX, 0));
	peer_pause(20);
	EXPECT_EQ(0, peer_fired(self->fds[0]));
	ASSERT_EQ(0, irq_action(&self->peer, NONE_UNMASK, PEER_INTX, 1));
	EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer,
				       self->fds[0]));
}

TEST_F(shadow, intx_is_unmasked_by_an_eventfd)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_INTX, 0, 1, self->fds));
	ASSERT_EQ(0, wire_set_irqs(self->peer.sock, EVENTFD_UNMASK, PEER_INTX,
				   0, 1, NULL, 0, self->fds + 1, 1));
	EXPECT_EQ(1, fake_irq_raise(self->control, PEER_INTX, 0));
	EXPECT_EQ(0, fake_irq_raise(self->control, PEER_INTX, 0));
	EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer,
				       self->fds[0]));
	ASSERT_EQ(0, eventfd_write(self->fds[1], 1));
	EXPECT_EQ(1, fake_irq_poll(self->control));
	EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer,
				       self->fds[0]));
}

/* Once the client has its reply, nothing comes any more. */
TEST_F(shadow, intx_is_quiet_when_masking_it_is_replied_to)
{
	struct vfio_user_irq_set set = {
		.argsz = sizeof(set),
		.flags = NONE_MASK,
		.index = PEER_INTX,
		.count = 1,
	};

	ASSERT_EQ(0, set_fds(&self->peer, PEER_INTX, 0, 1, self->fds));
	delay_set_irqs(&self->peer);
	ASSERT_EQ(0, wire_command(self->peer.sock, 1,
				  VFIO_USER_DEVICE_SET_IRQS, &set, sizeof(set),
				  NULL, 0));
	peer_pause(100);
	EXPECT_EQ(1, fake_irq_raise(self->control, PEER_INTX, 0));
	EXPECT_EQ(0, wire_expect(self->peer.sock, 1, VFIO_USER_DEVICE_SET_IRQS,
				 &self->r));
	EXPECT_EQ(1, peer_fired(self->fds[0]));
	fake_irq_raise(self->control, PEER_INTX, 0);
	peer_pause(20);
	EXPECT_EQ(0, peer_fired(self->fds[0]));
}

TEST_F(shadow, eventfd_that_is_full_blocks_nobody)
{
	struct vfio_user_device_info info;
	int fd = eventfd(0, EFD_CLOEXEC);

	ASSERT_EQ(0, eventfd_write(fd, UINT64_MAX - 1));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 1, &fd));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 1, 1, self->fds));
	ASSERT_EQ(1, fake_irq_raise(self->control, PEER_MSIX, 0));
	ASSERT_EQ(1, fake_irq_raise(self->control, PEER_MSIX, 1));
	EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer,
				       self->fds[0]));
	EXPECT_EQ(0, wire_info(self->peer.sock, &info));
	EXPECT_EQ(UINT64_MAX - 1, peer_fired(fd));
	close(fd);
}

TEST_F(shadow, fd_that_is_no_eventfd_is_einval)
{
	int fds[2] = { self->fds[0], peer_memory(4096) };

	EXPECT_EQ(EINVAL, set_fds(&self->peer, PEER_MSIX, 0, 2, fds));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	EXPECT_EQ(FAKE_NO_INDEX, self->control->irq.index);
	close(fds[1]);
}

/* What the kernel refuses changes nothing. */
TEST_F(shadow, error_of_the_kernel_leaves_the_eventfds_that_were)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_INTX, 0, 1, self->fds));
	EXPECT_EQ(EINVAL, set_fds(&self->peer, PEER_MSIX, 0, 1,
				  self->fds + 1));
	EXPECT_EQ(1, fake_irq_raise(self->control, PEER_INTX, 0));
	EXPECT_EQ(1, mirror_wait_fired(&self->mirror, &self->peer,
				       self->fds[0]));
	EXPECT_EQ(0, peer_fired(self->fds[1]));
}

TEST_F(shadow, unmapping_sends_what_the_device_wrote)
{
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, OTHER, self->other,
				SIZE, PEER_RW));
	ASSERT_EQ(0, copy(&self->peer, IOVA, OTHER, HALF));
	ASSERT_EQ(0, copy(&self->peer, IOVA, IOVA + HALF, HALF));
	EXPECT_NE(0, memcmp(self->mem, self->other, HALF));
	ASSERT_EQ(0, wire_unmap(self->peer.sock, OTHER, SIZE, 0));
	EXPECT_EQ(0, memcmp(self->mem, self->other, HALF));
	/* Of the other maps, too: one may tell of what is in another. */
	EXPECT_EQ(0, memcmp(self->mem, self->mem + HALF, HALF));
	EXPECT_EQ(1, self->control->nr_maps);
	/* It isn't asked for any more. */
	mirror_forget(&self->mirror);
	ASSERT_EQ(0, peer_put64(&self->peer, FAKE_REG_SCRATCH, 1));
	EXPECT_EQ(1, atomic_load(&self->mirror.reads));
	EXPECT_EQ(IOVA, self->mirror.log[0].iova);
}

TEST_F(shadow, unmapping_all_sends_what_the_device_wrote)
{
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, OTHER, self->other,
				SIZE, PEER_RW));
	ASSERT_EQ(0, copy(&self->peer, IOVA, OTHER, SIZE));
	ASSERT_EQ(0, copy(&self->peer, OTHER + 1, IOVA, SIZE - 1));
	ASSERT_EQ(0, wire_unmap(self->peer.sock, 0, 0, VFIO_USER_DMA_UNMAP_ALL));
	EXPECT_EQ(0, memcmp(self->mem, self->other + 1, SIZE - 1));
	EXPECT_EQ(0, self->control->nr_maps);
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

TEST_F(shadow, reset_sends_what_the_device_wrote)
{
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	ASSERT_EQ(0, copy(&self->peer, IOVA, IOVA + HALF, HALF));
	ASSERT_EQ(0, wire_reset(self->peer.sock));
	EXPECT_EQ(0, memcmp(self->mem, self->mem + HALF, HALF));
}

TEST_F(shadow, map_that_the_device_may_not_write_is_not_written)
{
	uint8_t before[SIZE];

	memcpy(before, self->mem, SIZE);
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, VFIO_USER_DMA_MAP_READ));
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, OTHER, self->other,
				SIZE, PEER_RW));
	EXPECT_EQ(FAKE_DMA_WRITE_FAULT, peer_dma(&self->peer, OTHER, IOVA,
						 64));
	EXPECT_EQ(0, memcmp(self->mem, before, SIZE));
	/* But read, also what the client changes in it. */
	fill(self->mem, SIZE);
	EXPECT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, IOVA, OTHER, SIZE));
	EXPECT_EQ(0, memcmp(self->mem, self->other, SIZE));
}

/* What was there before has to be known to tell what the device changes. */
TEST_F(shadow, map_that_may_not_be_read_is_eopnotsupp)
{
	EXPECT_EQ(EOPNOTSUPP, mirror_map(&self->mirror, &self->peer, IOVA,
					 self->mem, SIZE,
					 VFIO_USER_DMA_MAP_WRITE));
	EXPECT_EQ(0, atomic_load(&self->mirror.reads));
	EXPECT_EQ(0, self->control->nr_maps);
	EXPECT_TRUE(peer_log_has(&self->peer, "map it readable, too"));
}

TEST_F(shadow, memory_is_bounded)
{
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, OTHER, self->other,
				SIZE, PEER_RW));
	EXPECT_EQ(ENOMEM, wire_map(self->peer.sock, 2 * OTHER, 4096, PEER_RW,
				   -1, 0));
	EXPECT_EQ(ENOMEM, wire_map(self->peer.sock, 2 * OTHER, 1ull << 38,
				   PEER_RW, -1, 0));
	EXPECT_TRUE(peer_log_has(&self->peer, "--shadow-dma=MAX raises it"));
	EXPECT_EQ(1, peer_log_count(&self->peer, "no room for"));
	ASSERT_EQ(0, wire_unmap(self->peer.sock, OTHER, SIZE, 0));
	self->mirror.nr_maps = 1;
	EXPECT_EQ(0, mirror_map(&self->mirror, &self->peer, 2 * OTHER,
				self->other, SIZE, PEER_RW));
}

TEST_F(shadow, offset_without_a_file_does_not_matter)
{
	self->mirror.maps[0] = (struct mirror_map){ IOVA, SIZE, self->mem };
	self->mirror.nr_maps = 1;
	ASSERT_EQ(0, wire_map(self->peer.sock, IOVA, SIZE, PEER_RW, -1,
			      0x40000000));
	EXPECT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, IOVA, IOVA + HALF,
					  HALF));
	EXPECT_EQ(0, memcmp(self->mem, self->mem + HALF, HALF));
}

TEST_F(shadow, map_with_a_file_is_shared_as_ever)
{
	int fd = peer_memory(SIZE);

	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	ASSERT_EQ(0, wire_map(self->peer.sock, OTHER, SIZE, PEER_RW, fd, 0));
	ASSERT_EQ(0, copy(&self->peer, IOVA, OTHER, SIZE));
	/* Without a message. */
	EXPECT_EQ(SIZE, pread(fd, self->other, SIZE, 0));
	EXPECT_EQ(0, memcmp(self->mem, self->other, SIZE));
	EXPECT_EQ(0, atomic_load(&self->mirror.writes));
	ASSERT_EQ(0, wire_unmap(self->peer.sock, OTHER, SIZE, 0));
	close(fd);
}

TEST_F(shadow, client_that_refuses_while_mapping_gets_its_own_error)
{
	self->mirror.how = MIRROR_ERROR;
	EXPECT_EQ(EFAULT, mirror_map(&self->mirror, &self->peer, IOVA,
				     self->mem, SIZE, PEER_RW));
	self->mirror.how = MIRROR_ERROR_0;
	EXPECT_EQ(EIO, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				  SIZE, PEER_RW));
	EXPECT_EQ(0, self->control->nr_maps);
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	self->mirror.how = MIRROR_RIGHT;
	EXPECT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
}

TEST_F(shadow, error_of_the_kernel_while_mapping_goes_back)
{
	self->control->config.memlock = SIZE - 4096;
	EXPECT_EQ(ENOMEM, mirror_map(&self->mirror, &self->peer, IOVA,
				     self->mem, SIZE, PEER_RW));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	/* Nothing of it is asked for afterwards. */
	mirror_forget(&self->mirror);
	ASSERT_EQ(0, enable(&self->peer));
	EXPECT_EQ(0, atomic_load(&self->mirror.reads));
}

TEST_F(shadow, client_that_refuses_to_be_read_does_not_write_registers)
{
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	ASSERT_EQ(0, enable(&self->peer));
	self->mirror.how = MIRROR_ERROR;
	EXPECT_EQ(EFAULT, peer_put64(&self->peer, FAKE_REG_SCRATCH, 7));
	EXPECT_TRUE(wire_closed(self->peer.sock));
	EXPECT_EQ(PEER_CONFIG, fake_last_access(&self->peer.root, 0)->index);
	EXPECT_TRUE(peer_log_has(&self->peer, "refuses access"));
}

TEST_F(shadow, client_that_refuses_to_be_written_loses_its_session)
{
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	ASSERT_EQ(0, copy(&self->peer, IOVA, IOVA + HALF, HALF));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 1, self->fds));
	self->mirror.how = MIRROR_ERROR;
	ASSERT_EQ(1, fake_irq_raise(self->control, PEER_MSIX, 0));
	/* Not even the interrupt comes. */
	EXPECT_EQ(0, mirror_wait_fired(&self->mirror, &self->peer,
				       self->fds[0]));
	EXPECT_TRUE(wire_closed(self->peer.sock));
	EXPECT_TRUE(peer_log_has(&self->peer, "refuses access"));
}

TEST_F(shadow, regions_cannot_be_mapped)
{
	struct vfio_user_region_info info;

	ASSERT_EQ(0, wire_region_info(self->peer.sock, PEER_BAR0, sizeof(info),
				      &self->r));
	memcpy(&info, self->r.payload, sizeof(info));
	EXPECT_EQ(0, info.flags & VFIO_USER_REGION_FLAG_MMAP);
	EXPECT_EQ(0, self->r.nr_fds);
}

TEST_F(shadow, status_tells_of_it)
{
	json_t *status, *dma;

	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	status = peer_status(&self->peer);
	dma = json_object_get(json_object_get(status, "session"), "dma");
	EXPECT_EQ(SIZE, json_integer_value(json_object_get(dma,
							   "shadowed_bytes")));
	EXPECT_EQ(0, json_integer_value(json_object_get(dma,
							"maps_without_fd")));
	EXPECT_EQ(1, json_integer_value(json_object_get(status, "requests")));
	json_decref(status);
	ASSERT_EQ(0, wire_unmap(self->peer.sock, IOVA, SIZE, 0));
	status = peer_status(&self->peer);
	dma = json_object_get(json_object_get(status, "session"), "dma");
	EXPECT_EQ(0, json_integer_value(json_object_get(dma,
							"shadowed_bytes")));
	json_decref(status);
}

TEST_F(shadow, nothing_is_left_of_a_session)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA,
					self->mem, SIZE, PEER_RW));
		ASSERT_EQ(0, copy(&self->peer, IOVA, IOVA + HALF, HALF));
		ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
		mirror_close(&self->mirror);
		ASSERT_EQ(0, peer_hang_up(&self->peer));
		EXPECT_EQ(0, self->control->nr_maps);
		ASSERT_EQ(0, mirror_connect(&self->mirror, &self->peer,
					    variant->twin, ""));
	}
}

/**
 * struct writer - a device that writes to memory all the time
 * @pid: the daemon
 * @address: of the device's copy in it, SIZE bytes
 * @pause_us: between two rounds, in microseconds
 * @stop: told to end
 * @thread: does it
 */
struct writer {
	pid_t pid;
	unsigned long address;
	unsigned int pause_us;
	atomic_bool stop;
	pthread_t thread;
};

static void writer_put(const struct writer *w, size_t offset, uint32_t value)
{
	struct iovec local = { &value, sizeof(value) };
	struct iovec remote = {
		(void *)(w->address + offset), sizeof(value)
	};

	process_vm_writev(w->pid, &local, 1, &remote, 1, 0);
}

/* Data at the end and at the beginning, then a number that tells of both. */
static void *writer_thread(void *arg)
{
	struct writer *w = arg;
	uint32_t n;

	for (n = 1; !w->stop; n++) {
		writer_put(w, 0, n);
		writer_put(w, SIZE - 4, n);
		writer_put(w, HALF, n);
		if (w->pause_us)
			usleep(w->pause_us);
	}
	return NULL;
}

static int writer_start(struct writer *w, const struct peer *peer,
			unsigned int pause_us)
{
	char path[64], line[512];
	FILE *file;

	w->pid = peer->daemon.pid;
	w->pause_us = pause_us;
	w->stop = false;
	w->address = 0;
	snprintf(path, sizeof(path), "/proc/%d/maps", w->pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (strstr(line, "memfd:vfio-bridge-shadow"))
			w->address = strtoul(line, NULL, 16);
	}
	fclose(file);
	if (!w->address)
		return -ENOENT;
	return -pthread_create(&w->thread, NULL, writer_thread, w);
}

static void writer_stop(struct writer *w)
{
	w->stop = true;
	pthread_join(w->thread, NULL);
}

static uint32_t get32(const uint8_t *mem, size_t offset)
{
	uint32_t value;

	memcpy(&value, mem + offset, sizeof(value));
	return value;
}

/* The number never tells of data that the client doesn't have. */
TEST_F_TIMEOUT(shadow, what_the_device_wrote_first_is_seen_first, 120)
{
	uint32_t told = 0;
	bool early = false;
	struct writer w;
	int i;

	memset(self->mem, 0, SIZE);
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	ASSERT_EQ(0, enable(&self->peer));
	ASSERT_EQ(0, writer_start(&w, &self->peer, 100));
	/* And on until the device has begun, on a busy machine. */
	for (i = 0; !early && (i < 500 || (!told && i < 10000)); i++) {
		ASSERT_EQ(0, peer_get64(&self->peer, FAKE_REG_SCRATCH));
		told = get32(self->mem, HALF);
		early = told > get32(self->mem, 0) ||
			told > get32(self->mem, SIZE - 4);
	}
	writer_stop(&w);
	EXPECT_FALSE(early)
		TH_LOG("told of %u, data %u and %u", told, get32(self->mem, 0),
		       get32(self->mem, SIZE - 4));
	EXPECT_LT(0, told);
	EXPECT_FALSE(peer_log_has(&self->peer, "does not stop writing"));
}

TEST_F(shadow, device_that_does_not_stop_writing_stops_nobody)
{
	struct writer w;
	int i;

	memset(self->mem, 0, SIZE);
	ASSERT_EQ(0, mirror_map(&self->mirror, &self->peer, IOVA, self->mem,
				SIZE, PEER_RW));
	ASSERT_EQ(0, enable(&self->peer));
	/* A look at all of the device's copy takes longer than a write. */
	ASSERT_EQ(0, writer_start(&w, &self->peer, 0));
	for (i = 0; i < 1000 && !get32(self->mem, HALF); i++)
		ASSERT_EQ(0, peer_get64(&self->peer, FAKE_REG_SCRATCH));
	writer_stop(&w);
	EXPECT_LT(0, get32(self->mem, HALF));
	EXPECT_EQ(0, peer_get64(&self->peer, FAKE_REG_SCRATCH));
	EXPECT_EQ(get32(self->mem, 0), get32(self->mem, HALF));
}

/* Options that don't go together are said to be wrong, and which ones. */
static int start_with(const char *a, const char *b, struct peer *peer)
{
	const char *const args[] = { a, b, NULL };
	struct fake_config config;
	int ret;

	peer_config(&config, PEER_MAP_FILE);
	ret = peer_machine(peer, &config);
	if (!ret)
		ret = fake_daemon_spawn(&peer->daemon, &peer->root, args);
	return ret ? ret : fake_daemon_wait(&peer->daemon, 5000);
}

TEST(option_needs_to_see_every_access)
{
	static const char *const others[] = {
		"--mmap=on", "--ioeventfd=0:0x28:8:1",
	};
	struct peer peer;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(others); i++) {
		EXPECT_EQ(2, start_with("--shadow-dma", others[i], &peer));
		EXPECT_TRUE(peer_log_has(&peer, "--shadow-dma does not go"));
		EXPECT_EQ(0, peer_close(&peer));
		EXPECT_EQ(2, start_with(others[i], "--shadow-dma", &peer));
		EXPECT_EQ(0, peer_close(&peer));
	}
	EXPECT_EQ(-ETIMEDOUT, start_with("--shadow-dma", "--mmap=off", &peer));
	EXPECT_EQ(0, peer_close(&peer));
}

TEST(option_takes_a_size)
{
	static const char *const wrong[] = {
		"--shadow-dma=", "--shadow-dma=0", "--shadow-dma=x",
		"--shadow-dma=1T", "--shadow-dma=-1", "--shadow-dma=1Kx",
		"--shadow-dma=99999999999G", "--shadow-dma=K",
	};
	static const char *const right[] = {
		"--shadow-dma=4096", "--shadow-dma=1G", "--shadow-dma=0x10M",
	};
	struct peer peer;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(2, start_with(wrong[i], NULL, &peer))
			TH_LOG("%s", wrong[i]);
		EXPECT_TRUE(peer_log_has(&peer, "give a number of bytes"));
		EXPECT_EQ(0, peer_close(&peer));
	}
	for (i = 0; i < ARRAY_SIZE(right); i++) {
		struct fake_config config;

		peer_config(&config, PEER_MAP_FILE);
		EXPECT_EQ(0, peer_start(&peer, &config, right[i]));
		EXPECT_EQ(0, peer_close(&peer));
	}
}

TEST_HARNESS_MAIN
