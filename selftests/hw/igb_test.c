// SPDX-License-Identifier: GPL-2.0-only
/*
 * An 82576: function-level reset, and more MSI-X vectors than go into one
 * message.
 */
#include "hw.h"
#include "kselftest_harness.h"
#include "selftests/drivers/igb.h"

#define SIGNAL_MS	5000
#define MARK		0x1234

FIXTURE(igb)
{
	struct hw hw;
	struct igb igb;
};

FIXTURE_VARIANT(igb)
{
	struct hw_way way;
};

FIXTURE_VARIANT_ADD(igb, socket_iommufd)
{
	.way = { .socket = true, .iommu = VFIO_IOMMU_IOMMUFD },
};

FIXTURE_VARIANT_ADD(igb, socket_type1)
{
	.way = { .socket = true, .iommu = VFIO_IOMMU_TYPE1 },
};

FIXTURE_VARIANT_ADD(igb, vfio_iommufd)
{
	.way = { .iommu = VFIO_IOMMU_IOMMUFD },
};

FIXTURE_VARIANT_ADD(igb, vfio_type1)
{
	.way = { .iommu = VFIO_IOMMU_TYPE1 },
};

FIXTURE_SETUP(igb)
{
	const char *missing = hw_missing("LAB_IGB", variant->way.iommu);

	if (missing)
		SKIP(return, "%s", missing);
	ASSERT_EQ(0, hw_open(&self->hw, "LAB_IGB", &variant->way));
	ASSERT_EQ(0, igb_open(&self->igb, self->hw.access));
}

FIXTURE_TEARDOWN(igb)
{
	igb_close(&self->igb);
	EXPECT_EQ(0, hw_close(&self->hw));
}

/* Returns the vectors that were signalled exactly once, as bits. */
static uint32_t signalled(struct igb *igb, uint32_t expected)
{
	uint32_t bits = 0;
	unsigned int i;

	/* First those that must come, then whether others came as well. */
	for (i = 0; i < igb->nr_vectors; i++)
		if (expected & 1u << i &&
		    access_irq_wait(igb->fds[i], SIGNAL_MS) == 1)
			bits |= 1u << i;
	for (i = 0; i < igb->nr_vectors; i++)
		if (access_irq_wait(igb->fds[i], 0))
			bits ^= 1u << i;
	return bits;
}

static void check_vectors(struct __test_metadata *_metadata, struct igb *igb,
			  unsigned int count)
{
	unsigned int i;

	ASSERT_EQ(0, igb_irq_setup(igb, count));
	for (i = 0; i < count; i++) {
		igb_trigger(igb, 1u << i);
		EXPECT_EQ(1u << i, signalled(igb, 1u << i));
	}
	igb_trigger(igb, (1u << count) - 1);
	EXPECT_EQ((1u << count) - 1, signalled(igb, (1u << count) - 1));
	igb_irq_stop(igb);
}

TEST_F(igb, reset)
{
	struct access *a = self->hw.access;

	igb_set_mark(&self->igb, MARK);
	ASSERT_EQ(MARK, igb_mark(&self->igb));
	ASSERT_EQ(0, a->ops->reset(a));
	ASSERT_EQ(0, access_enable(a));
	EXPECT_NE(MARK, igb_mark(&self->igb));
	EXPECT_NE(~0u, igb_status(&self->igb));
	check_vectors(_metadata, &self->igb, 2);
}

TEST_F(igb, function_level_reset)
{
	igb_set_mark(&self->igb, MARK);
	ASSERT_EQ(MARK, igb_mark(&self->igb));
	ASSERT_EQ(0, igb_flr(&self->igb));
	EXPECT_NE(MARK, igb_mark(&self->igb));
	EXPECT_NE(~0u, igb_status(&self->igb));
	check_vectors(_metadata, &self->igb, 2);
}

TEST_F(igb, all_vectors)
{
	const struct vfio_user_caps *caps;
	struct vfio_user_client *client;
	uint32_t flags, count;

	ASSERT_EQ(0, self->hw.access->ops->irq(self->hw.access,
					       VFIO_PCI_MSIX_IRQ_INDEX, &flags,
					       &count));
	ASSERT_EQ(IGB_NR_VECTORS, count);
	if (variant->way.socket) {
		/* The daemon takes fewer fds in one message than that. */
		client = access_socket_client(self->hw.access);
		caps = vfio_user_server_caps(client);
		EXPECT_GT(IGB_NR_VECTORS, caps->max_msg_fds);
	}
	check_vectors(_metadata, &self->igb, IGB_NR_VECTORS);
	/* Fewer, and all of them again */
	check_vectors(_metadata, &self->igb, 3);
	check_vectors(_metadata, &self->igb, IGB_NR_VECTORS);
}

/* A second session finds nothing of the first one's interrupts. */
TEST_F(igb, vectors_of_next_session)
{
	ASSERT_EQ(0, igb_irq_setup(&self->igb, IGB_NR_VECTORS));
	igb_set_mark(&self->igb, MARK);
	igb_close(&self->igb);
	ASSERT_EQ(0, hw_reopen(&self->hw));
	ASSERT_EQ(0, igb_open(&self->igb, self->hw.access));
	EXPECT_NE(MARK, igb_mark(&self->igb));
	check_vectors(_metadata, &self->igb, IGB_NR_VECTORS);
}

/*
 * The same with a client that sends few fds in one message.
 */

FIXTURE(igb_few_fds)
{
	struct hw_daemon daemon;
	struct access *access;
	struct igb igb;
};

FIXTURE_VARIANT(igb_few_fds)
{
	enum vfio_iommu_kind iommu;
	uint32_t max_msg_fds;
};

FIXTURE_VARIANT_ADD(igb_few_fds, iommufd_4)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
	.max_msg_fds = 4,
};

FIXTURE_VARIANT_ADD(igb_few_fds, iommufd_1)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
	.max_msg_fds = 1,
};

FIXTURE_VARIANT_ADD(igb_few_fds, type1_4)
{
	.iommu = VFIO_IOMMU_TYPE1,
	.max_msg_fds = 4,
};

FIXTURE_VARIANT_ADD(igb_few_fds, type1_1)
{
	.iommu = VFIO_IOMMU_TYPE1,
	.max_msg_fds = 1,
};

FIXTURE_SETUP(igb_few_fds)
{
	const struct vfio_user_client_opts opts = {
		.max_msg_fds = variant->max_msg_fds,
	};
	struct hw_daemon_opts daemon = { .iommu = variant->iommu };
	const char *missing = hw_missing("LAB_IGB", variant->iommu);

	if (missing)
		SKIP(return, "%s", missing);
	daemon.bdf = getenv("LAB_IGB");
	ASSERT_EQ(0, hw_daemon_start(&self->daemon, &daemon));
	ASSERT_EQ(0, hw_confine(HW_CLIENT_UID));
	ASSERT_EQ(0, access_socket_open(self->daemon.socket, &opts,
					&self->access));
	ASSERT_EQ(0, igb_open(&self->igb, self->access));
}

FIXTURE_TEARDOWN(igb_few_fds)
{
	igb_close(&self->igb);
	access_close(self->access);
	EXPECT_EQ(0, hw_daemon_stop(&self->daemon));
}

TEST_F(igb_few_fds, all_vectors)
{
	uint64_t before = self->access->ops->messages(self->access);

	ASSERT_EQ(0, igb_irq_setup(&self->igb, IGB_NR_VECTORS));
	EXPECT_LE(before + (IGB_NR_VECTORS + variant->max_msg_fds - 1) /
		  variant->max_msg_fds,
		  self->access->ops->messages(self->access));
	igb_irq_stop(&self->igb);
	check_vectors(_metadata, &self->igb, IGB_NR_VECTORS);
}

TEST_HARNESS_MAIN
