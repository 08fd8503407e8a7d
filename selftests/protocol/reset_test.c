// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rule 26: DEVICE_RESET, by function or by bus, and what is said of it.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

/* A machine that the test may change, and nothing started yet. */
FIXTURE(reset)
{
	struct peer peer;
	struct fake_config config;
};

FIXTURE_VARIANT(reset)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(reset, iommufd)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(reset, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(reset)
{
	peer_init(&self->peer);
	peer_config(&self->config, variant->way);
}

FIXTURE_TEARDOWN(reset)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

static bool says_reset(const struct peer *peer)
{
	struct vfio_user_device_info info;

	return !wire_info(peer->sock, &info) &&
	       info.flags & VFIO_USER_DEVICE_FLAG_RESET;
}

/* One more device on the bus; is it the daemon's as well? */
static void add_neighbour(struct fake_config *config, bool owned)
{
	config->others[config->nr_others++] = (struct fake_other){
		.group = owned ? config->group : config->group + 1,
		.bus = 1,
		.devfn = config->nr_others,
		.owned = owned,
	};
}

TEST_F(reset, rule26_function_level_reset)
{
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_TRUE(says_reset(&self->peer));
	ASSERT_EQ(0, peer_put64(&self->peer, FAKE_REG_SCRATCH, 1));
	EXPECT_EQ(0, wire_reset(self->peer.sock));
	EXPECT_EQ(1, self->peer.root.control->resets);
	EXPECT_EQ(0, self->peer.root.control->hot_resets);
	EXPECT_EQ(0, peer_get64(&self->peer, FAKE_REG_SCRATCH));
}

TEST_F(reset, rule26_error_of_the_kernel_goes_back)
{
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	fake_fail_ioctl(&self->peer.root, FAKE_DEVICE, VFIO_DEVICE_RESET,
			EAGAIN);
	EXPECT_EQ(EAGAIN, wire_reset(self->peer.sock));
	EXPECT_EQ(0, wire_reset(self->peer.sock));
}

TEST_F(reset, rule26_bus_reset_where_there_is_no_other)
{
	self->config.flr = false;
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_TRUE(says_reset(&self->peer));
	ASSERT_EQ(0, peer_put64(&self->peer, FAKE_REG_SCRATCH, 1));
	EXPECT_EQ(0, wire_reset(self->peer.sock));
	EXPECT_EQ(1, self->peer.root.control->hot_resets);
	EXPECT_EQ(0, peer_get64(&self->peer, FAKE_REG_SCRATCH));
}

TEST_F(reset, rule26_bus_reset_with_devices_of_the_daemon)
{
	self->config.flr = false;
	add_neighbour(&self->config, true);
	add_neighbour(&self->config, true);
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_TRUE(says_reset(&self->peer));
	EXPECT_EQ(0, wire_reset(self->peer.sock));
	EXPECT_EQ(1, self->peer.root.control->hot_resets);
}

TEST_F(reset, rule26_no_bus_reset_with_devices_of_others)
{
	self->config.flr = false;
	add_neighbour(&self->config, true);
	add_neighbour(&self->config, false);
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_FALSE(says_reset(&self->peer));
	EXPECT_EQ(ENOTTY, wire_reset(self->peer.sock));
	EXPECT_EQ(0, *peer_ioctls(&self->peer, FAKE_DEVICE,
				  VFIO_DEVICE_PCI_HOT_RESET));
}

/* What others have on the bus doesn't matter when the bus isn't reset. */
TEST_F(reset, rule26_function_level_reset_beside_devices_of_others)
{
	add_neighbour(&self->config, false);
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_TRUE(says_reset(&self->peer));
	EXPECT_EQ(0, wire_reset(self->peer.sock));
	EXPECT_EQ(0, self->peer.root.control->hot_resets);
}

TEST_F(reset, rule26_error_of_a_bus_reset_goes_back)
{
	self->config.flr = false;
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	fake_fail_ioctl(&self->peer.root, FAKE_DEVICE,
			VFIO_DEVICE_PCI_HOT_RESET, EIO);
	EXPECT_EQ(EIO, wire_reset(self->peer.sock));
}

TEST_F(reset, rule26_device_without_any_reset)
{
	self->config.flr = false;
	self->config.bus_reset = false;
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_FALSE(says_reset(&self->peer));
	EXPECT_EQ(ENOTTY, wire_reset(self->peer.sock));
}

TEST_F(reset, rule26_maps_and_interrupts_outlive_a_reset)
{
	int memory = peer_memory(4096), fd = eventfd(0, EFD_CLOEXEC);

	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	ASSERT_EQ(0, wire_map(self->peer.sock, 0, 4096, PEER_RW, memory, 0));
	ASSERT_EQ(0, wire_set_irqs(self->peer.sock,
				   VFIO_USER_IRQ_SET_DATA_EVENTFD |
				   VFIO_USER_IRQ_SET_ACTION_TRIGGER, PEER_MSIX,
				   0, 1, NULL, 0, &fd, 1));
	ASSERT_EQ(0, wire_reset(self->peer.sock));
	EXPECT_EQ(FAKE_DMA_DONE, peer_dma(&self->peer, 0, 2048, 8));
	fake_irq_raise(self->peer.root.control, PEER_MSIX, 0);
	EXPECT_EQ(1, peer_fired(fd));
	close(memory);
	close(fd);
}

TEST_HARNESS_MAIN
