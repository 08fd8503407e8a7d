// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules 24 and 25: the client's eventfds, which the kernel signals. The test
 * raises the software device's interrupts itself, from outside of the daemon.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

#define VECTORS		100
#define EVENTFD_TRIGGER	(VFIO_USER_IRQ_SET_DATA_EVENTFD | \
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER)
#define NONE_TRIGGER	(VFIO_USER_IRQ_SET_DATA_NONE | \
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER)
#define BOOL_TRIGGER	(VFIO_USER_IRQ_SET_DATA_BOOL | \
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER)

FIXTURE(irq)
{
	struct peer peer;
	struct fake_config config;
	struct wire_reply r;
	struct fake_control *control;
	int fds[VECTORS];
};

FIXTURE_VARIANT(irq)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(irq, iommufd)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(irq, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(irq)
{
	unsigned int i;

	peer_config(&self->config, variant->way);
	self->config.irqs[PEER_MSIX].count = VECTORS;
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	self->control = self->peer.root.control;
	for (i = 0; i < VECTORS; i++)
		self->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, self->fds[VECTORS - 1]);
}

FIXTURE_TEARDOWN(irq)
{
	unsigned int i;

	for (i = 0; i < VECTORS; i++)
		close(self->fds[i]);
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* Give the eventfds of a range, or with @fds NULL take them away. */
static int set_fds(const struct peer *peer, uint32_t index, uint32_t start,
		   uint32_t count, const int *fds)
{
	return wire_set_irqs(peer->sock, EVENTFD_TRIGGER, index, start, count,
			     NULL, 0, fds, fds ? count : 0);
}

/* All of a range, as many at a time as one message takes. */
static int set_all(const struct peer *peer, uint32_t index, uint32_t count,
		   const int *fds)
{
	const uint32_t most = 8;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < count && !ret; i += most)
		ret = set_fds(peer, index, i, min(most, count - i), fds + i);
	return ret;
}

/* Which of the first 64 vectors arrive at their own eventfd, as bits. */
static uint64_t arriving(struct fake_control *control, uint32_t index,
			 uint32_t count, const int *fds)
{
	uint64_t seen = 0;
	uint32_t i, j;

	for (i = 0; i < count; i++) {
		fake_irq_raise(control, index, i);
		for (j = 0; j < count; j++) {
			uint64_t fired = peer_fired(fds[j]);

			if (fired && (i != j || fired != 1))
				return UINT64_MAX;
			if (fired)
				seen |= 1ull << i;
		}
	}
	return seen;
}

static int disable(const struct peer *peer, uint32_t index)
{
	return wire_set_irqs(peer->sock, NONE_TRIGGER, index, 0, 0, NULL, 0,
			     NULL, 0);
}

TEST_F(irq, rule24_info_is_the_kernels)
{
	struct vfio_user_irq_info info;
	uint32_t i;

	for (i = 0; i < self->config.nr_irqs; i++) {
		ASSERT_EQ(0, wire_irq_info(self->peer.sock, i, &info));
		EXPECT_EQ(sizeof(info), info.argsz);
		EXPECT_EQ(self->config.irqs[i].flags, info.flags);
		EXPECT_EQ(i, info.index);
		EXPECT_EQ(self->config.irqs[i].count, info.count);
	}
}

TEST_F(irq, rule24_info_index_out_of_range_is_einval)
{
	static const uint32_t indexes[] = { 5, 6, 32, 0x80000000, ~0u };
	struct vfio_user_irq_info info;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(indexes); i++)
		EXPECT_EQ(EINVAL, wire_irq_info(self->peer.sock, indexes[i],
						&info));
}

/* What the kernel doesn't describe, such as ERR of a conventional device. */
TEST_F(irq, rule24_absent_index_is_einval)
{
	struct vfio_user_irq_info info;

	ASSERT_EQ(0, peer_hang_up(&self->peer));
	self->control->config.irqs[PEER_ERR].flags = 0;
	self->control->config.irqs[PEER_ERR].count = 0;
	ASSERT_EQ(0, peer_connect(&self->peer));
	EXPECT_EQ(EINVAL, wire_irq_info(self->peer.sock, PEER_ERR, &info));
	EXPECT_EQ(EINVAL, set_fds(&self->peer, PEER_ERR, 0, 1, self->fds));
	EXPECT_EQ(0, set_fds(&self->peer, PEER_REQ, 0, 1, self->fds));
}

/* All combinations of the six flags but those with one of each kind. */
TEST_F(irq, rule24_exactly_one_data_and_one_action_flag)
{
	uint64_t before = self->control->calls[FAKE_IOCTL];
	uint32_t flags;

	for (flags = 0; flags < 64; flags++) {
		int data = __builtin_popcount(flags & 7);
		int action = __builtin_popcount(flags >> 3);

		if (data == 1 && action == 1)
			continue;
		EXPECT_EQ(EINVAL, wire_set_irqs(self->peer.sock, flags,
						PEER_MSIX, 0, 1, "\1", 1,
						self->fds, !!(flags & 4)));
	}
	EXPECT_EQ(before, self->control->calls[FAKE_IOCTL]);
}

TEST_F(irq, rule24_unknown_flags_are_einval)
{
	uint32_t bit;

	for (bit = 6; bit < 32; bit++)
		EXPECT_EQ(EINVAL, wire_set_irqs(self->peer.sock,
						EVENTFD_TRIGGER | 1u << bit,
						PEER_MSIX, 0, 1, NULL, 0,
						self->fds, 1));
	EXPECT_EQ(FAKE_NO_INDEX, self->control->irq.index);
}

TEST_F(irq, rule24_argsz_below_the_structure_is_einval)
{
	struct vfio_user_irq_set set = {
		.argsz = sizeof(set) - 1,
		.flags = NONE_TRIGGER,
		.index = PEER_MSIX,
	};

	EXPECT_EQ(EINVAL, wire_call(self->peer.sock, VFIO_USER_DEVICE_SET_IRQS,
				    &set, sizeof(set), &self->r));
}

TEST_F(irq, rule24_range_is_checked_without_overflow)
{
	static const struct {
		uint32_t index;
		uint32_t start;
		uint32_t count;
	} ranges[] = {
		{ PEER_INTX, 0, 2 }, { PEER_INTX, 1, 1 }, { PEER_INTX, 1, 0 },
		{ PEER_MSIX, VECTORS, 1 }, { PEER_MSIX, VECTORS - 1, 2 },
		{ PEER_MSIX, 0, VECTORS + 1 }, { PEER_MSIX, ~0u, 1 },
		{ PEER_MSIX, 1, ~0u }, { PEER_MSIX, ~0u, ~0u },
		{ PEER_MSIX, 0x80000000, 0x80000000 }, { PEER_ERR, 1, 1 },
		{ PEER_REQ, 0, 2 }, { 5, 0, 1 }, { 31, 0, 1 }, { 32, 0, 1 },
		{ ~0u, 0, 1 },
	};
	uint64_t before = self->control->calls[FAKE_IOCTL];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		EXPECT_EQ(EINVAL, wire_set_irqs(self->peer.sock, NONE_TRIGGER,
						ranges[i].index,
						ranges[i].start,
						ranges[i].count, NULL, 0,
						NULL, 0));
		EXPECT_EQ(EINVAL, wire_set_irqs(self->peer.sock,
						EVENTFD_TRIGGER,
						ranges[i].index,
						ranges[i].start,
						ranges[i].count, NULL, 0,
						NULL, 0));
	}
	EXPECT_EQ(before, self->control->calls[FAKE_IOCTL]);
}

TEST_F(irq, rule24_each_eventfd_is_signalled_by_its_vector)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
	EXPECT_EQ(0xff, arriving(self->control, PEER_MSIX, 8, self->fds));
	ASSERT_EQ(0, disable(&self->peer, PEER_MSIX));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSI, 0, 4, self->fds));
	EXPECT_EQ(0xf, arriving(self->control, PEER_MSI, 4, self->fds));
	ASSERT_EQ(0, disable(&self->peer, PEER_MSI));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_INTX, 0, 1, self->fds));
	EXPECT_EQ(1, arriving(self->control, PEER_INTX, 1, self->fds));
}

/* The daemon is stopped, and the interrupts arrive all the same. */
TEST_F(irq, rule24_interrupts_do_not_pass_through_the_daemon)
{
	uint64_t seen;

	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
	ASSERT_EQ(0, kill(self->peer.daemon.pid, SIGSTOP));
	seen = arriving(self->control, PEER_MSIX, 8, self->fds);
	kill(self->peer.daemon.pid, SIGCONT);
	EXPECT_EQ(0xff, seen);
}

TEST_F(irq, rule24_number_of_eventfds_is_count_or_none)
{
	unsigned int count, nr;

	for (count = 1; count <= 8; count++) {
		for (nr = 1; nr <= 8; nr++) {
			if (nr == count)
				continue;
			EXPECT_EQ(EINVAL,
				  wire_set_irqs(self->peer.sock,
						EVENTFD_TRIGGER, PEER_MSIX, 0,
						count, NULL, 0, self->fds,
						nr));
		}
	}
	EXPECT_EQ(EINVAL, wire_set_irqs(self->peer.sock, EVENTFD_TRIGGER,
					PEER_MSIX, 0, 0, NULL, 0, NULL, 0));
	EXPECT_EQ(FAKE_NO_INDEX, self->control->irq.index);
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

TEST_F(irq, rule24_no_eventfds_de_assign)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 2, 3, NULL));
	EXPECT_EQ(0xe3, arriving(self->control, PEER_MSIX, 8, self->fds));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 3, 1, self->fds + 3));
	EXPECT_EQ(0xeb, arriving(self->control, PEER_MSIX, 8, self->fds));
}

TEST_F(irq, rule24_an_eventfd_takes_the_place_of_another)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 4, self->fds));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 1, 1, self->fds + 50));
	EXPECT_EQ(0xd, arriving(self->control, PEER_MSIX, 4, self->fds));
	EXPECT_EQ(1, peer_fired(self->fds[50]));
}

TEST_F(irq, rule24_none_with_count_0_disables)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
	ASSERT_EQ(0, disable(&self->peer, PEER_MSIX));
	EXPECT_EQ(FAKE_NO_INDEX, self->control->irq.index);
	EXPECT_EQ(0, arriving(self->control, PEER_MSIX, 8, self->fds));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	/* And it can be enabled again, with fewer or with more. */
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 2, self->fds));
	ASSERT_EQ(0, disable(&self->peer, PEER_MSIX));
	ASSERT_EQ(0, set_all(&self->peer, PEER_MSIX, 20, self->fds));
	EXPECT_EQ((1 << 20) - 1, arriving(self->control, PEER_MSIX, 20,
					  self->fds));
}

TEST_F(irq, rule24_none_triggers_a_range)
{
	unsigned int i;

	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
	ASSERT_EQ(0, wire_set_irqs(self->peer.sock, NONE_TRIGGER, PEER_MSIX, 2,
				   3, NULL, 0, NULL, 0));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(i >= 2 && i < 5, peer_fired(self->fds[i]));
}

TEST_F(irq, rule24_bool_triggers_those_that_are_true)
{
	unsigned int i;

	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
	ASSERT_EQ(0, wire_set_irqs(self->peer.sock, BOOL_TRIGGER, PEER_MSIX, 1,
				   5, "\1\0\1\1\0", 5, NULL, 0));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(i == 1 || i == 3 || i == 4,
			  peer_fired(self->fds[i]));
}

TEST_F(irq, rule24_bool_carries_count_bytes)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
	EXPECT_EQ(EINVAL, wire_set_irqs(self->peer.sock, BOOL_TRIGGER,
					PEER_MSIX, 0, 8, "\1\1\1\1\1\1\1", 7,
					NULL, 0));
	EXPECT_EQ(EINVAL, wire_set_irqs(self->peer.sock, BOOL_TRIGGER,
					PEER_MSIX, 0, 8, NULL, 0, NULL, 0));
	EXPECT_EQ(EINVAL, wire_set_irqs(self->peer.sock, BOOL_TRIGGER,
					PEER_MSIX, 0, 0, "\1", 1, NULL, 0));
	EXPECT_EQ(0, peer_fired(self->fds[0]));
}

TEST_F(irq, rule24_fds_without_eventfd_flag_are_einval)
{
	EXPECT_EQ(EINVAL, wire_set_irqs(self->peer.sock, NONE_TRIGGER,
					PEER_MSIX, 0, 1, NULL, 0, self->fds,
					1));
	EXPECT_EQ(EINVAL, wire_set_irqs(self->peer.sock, BOOL_TRIGGER,
					PEER_MSIX, 0, 1, "\1", 1, self->fds,
					1));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

TEST_F(irq, rule24_intx_is_masked_and_unmasked)
{
	const uint32_t mask = VFIO_USER_IRQ_SET_DATA_NONE |
			      VFIO_USER_IRQ_SET_ACTION_MASK;
	const uint32_t unmask = VFIO_USER_IRQ_SET_DATA_NONE |
				VFIO_USER_IRQ_SET_ACTION_UNMASK;

	ASSERT_EQ(0, set_fds(&self->peer, PEER_INTX, 0, 1, self->fds));
	ASSERT_EQ(0, wire_set_irqs(self->peer.sock, mask, PEER_INTX, 0, 1,
				   NULL, 0, NULL, 0));
	fake_irq_raise(self->control, PEER_INTX, 0);
	EXPECT_EQ(0, peer_fired(self->fds[0]));
	ASSERT_EQ(0, wire_set_irqs(self->peer.sock, unmask, PEER_INTX, 0, 1,
				   NULL, 0, NULL, 0));
	EXPECT_EQ(1, peer_fired(self->fds[0]));
}

TEST_F(irq, rule24_intx_is_unmasked_by_an_eventfd)
{
	const uint32_t unmask = VFIO_USER_IRQ_SET_DATA_EVENTFD |
				VFIO_USER_IRQ_SET_ACTION_UNMASK;

	ASSERT_EQ(0, set_fds(&self->peer, PEER_INTX, 0, 1, self->fds));
	ASSERT_EQ(0, wire_set_irqs(self->peer.sock, unmask, PEER_INTX, 0, 1,
				   NULL, 0, self->fds + 1, 1));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	fake_irq_raise(self->control, PEER_INTX, 0);
	fake_irq_raise(self->control, PEER_INTX, 0);
	EXPECT_EQ(1, peer_fired(self->fds[0]));
	ASSERT_EQ(0, eventfd_write(self->fds[1], 1));
	EXPECT_EQ(1, fake_irq_poll(self->control));
	EXPECT_EQ(1, peer_fired(self->fds[0]));
}

TEST_F(irq, rule24_more_vectors_than_one_message_takes)
{
	unsigned int i;

	ASSERT_EQ(0, set_all(&self->peer, PEER_MSIX, VECTORS, self->fds));
	for (i = 0; i < VECTORS; i++) {
		EXPECT_EQ(1, fake_irq_raise(self->control, PEER_MSIX, i));
		EXPECT_EQ(1, peer_fired(self->fds[i]));
	}
	ASSERT_EQ(0, disable(&self->peer, PEER_MSIX));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

/* From the last to the first, which needs no more room after the first. */
TEST_F(irq, rule24_vectors_in_any_order)
{
	int i;

	for (i = 56; i >= 0; i -= 8)
		ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, i, 8,
				     self->fds + i));
	EXPECT_EQ(~0ull, arriving(self->control, PEER_MSIX, 64, self->fds));
}

/* As QEMU sends them: runs of those that have an fd and those that don't. */
TEST_F(irq, rule24_runs_of_present_and_absent_eventfds)
{
	static const struct {
		uint32_t count;
		bool present;
	} runs[] = {
		{ 1, true }, { 3, false }, { 8, true }, { 1, false },
		{ 8, true }, { 8, false }, { 2, true }, { 9, false },
		{ 8, true },
	};
	uint64_t want = 0;
	uint32_t start = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(runs); i++) {
		ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, start,
				     runs[i].count, runs[i].present ?
				     self->fds + start : NULL));
		if (runs[i].present)
			want |= ((1ull << runs[i].count) - 1) << start;
		start += runs[i].count;
	}
	EXPECT_EQ(want, arriving(self->control, PEER_MSIX, start, self->fds));
}

/* Nothing but the kernel's reference is left where it can be changed later. */
TEST_F(irq, rule24_eventfds_are_not_kept_without_need)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_INTX, 0, 1, self->fds));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	ASSERT_EQ(0, disable(&self->peer, PEER_INTX));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds + 8));
	EXPECT_EQ(8, peer_nr_fds(&self->peer));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, NULL));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

TEST_F(irq, rule24_fd_that_is_no_eventfd_is_what_the_kernel_says)
{
	int fds[2] = { self->fds[0], peer_memory(4096) };

	EXPECT_EQ(EINVAL, set_fds(&self->peer, PEER_MSIX, 0, 2, fds));
	EXPECT_EQ(EINVAL, set_fds(&self->peer, PEER_INTX, 0, 1, fds + 1));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	EXPECT_EQ(0, set_all(&self->peer, PEER_MSIX, 20, self->fds));
	EXPECT_EQ(0xff, arriving(self->control, PEER_MSIX, 8, self->fds));
	close(fds[1]);
}

TEST_F(irq, rule24_error_of_the_kernel_goes_back)
{
	const unsigned long request = VFIO_DEVICE_SET_IRQS;

	fake_fail_ioctl(&self->peer.root, FAKE_DEVICE, request, ENOSPC);
	EXPECT_EQ(ENOSPC, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	fake_fail_ioctl(&self->peer.root, FAKE_DEVICE, request, EBUSY);
	EXPECT_EQ(EBUSY, disable(&self->peer, PEER_MSIX));
	EXPECT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
}

/* One of INTx, MSI and MSI-X at a time, says the kernel. */
TEST_F(irq, rule24_second_index_is_what_the_kernel_says)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_INTX, 0, 1, self->fds));
	EXPECT_EQ(EINVAL, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
	ASSERT_EQ(0, disable(&self->peer, PEER_INTX));
	EXPECT_EQ(0, set_fds(&self->peer, PEER_MSIX, 0, 8, self->fds));
}

TEST_F(irq, rule25_err_is_signalled_to_client_and_daemon)
{
	json_t *status, *session;

	ASSERT_EQ(0, set_fds(&self->peer, PEER_ERR, 0, 1, self->fds));
	ASSERT_EQ(1, fake_irq_raise(self->control, PEER_ERR, 0));
	EXPECT_EQ(1, peer_wait_fired(self->fds[0]));
	EXPECT_TRUE(peer_log_has(&self->peer, "the device reports an error"));
	status = peer_status(&self->peer);
	session = json_object_get(status, "session");
	EXPECT_EQ(1, json_integer_value(json_object_get(session, "errors")));
	json_decref(status);
}

/* As the kernel counts the device's errors: a line for each kind. */
static int count_errors(const struct peer *peer, const char *severity,
			unsigned int timeouts, unsigned int aborts)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path),
		 "%s/sys/devices/pci0000:00/%s/aer_dev_%s", peer->root.path,
		 peer->root.control->config.name, severity);
	file = fopen(path, "we");
	if (!file)
		return -errno;
	fprintf(file, "Undefined 0\nCmpltTO %u\nCmpltAbrt %u\nTOTAL_ERR %u\n",
		timeouts, aborts, timeouts + aborts);
	return fclose(file) ? -errno : 0;
}

#define ABORT	"0000:01:00.0: CmpltAbrt"
#define TIMEOUT	"0000:01:00.0: CmpltTO"

/* To take the eventfd waits for the daemon, if it is still busy with the last. */
static void raise_err(struct __test_metadata *_metadata, struct peer *peer,
		      int *fd)
{
	ASSERT_EQ(0, set_fds(peer, PEER_ERR, 0, 1, fd));
	ASSERT_EQ(1, fake_irq_raise(peer->root.control, PEER_ERR, 0));
	EXPECT_EQ(1, peer_wait_fired(*fd));
}

/* What it was, and where: of what is new. */
TEST_F(irq, rule25_err_is_told_with_what_the_kernel_has_counted)
{
	static const char *const args[] = { NULL };
	struct peer *peer = &self->peer;

	EXPECT_EQ(0, fake_daemon_stop(&peer->daemon, SIGTERM));
	close_fd(&peer->sock);
	ASSERT_EQ(0, count_errors(peer, "nonfatal", 3, 0));
	ASSERT_EQ(0, count_errors(peer, "fatal", 0, 0));
	ASSERT_EQ(0, fake_daemon_start(&peer->daemon, &peer->root, args));
	ASSERT_EQ(0, count_errors(peer, "nonfatal", 4, 0));
	ASSERT_EQ(0, peer_connect(peer));

	raise_err(_metadata, peer, self->fds);
	EXPECT_TRUE(peer_log_has(peer, "the device reports an error\n"));
	ASSERT_EQ(0, count_errors(peer, "nonfatal", 4, 1));
	raise_err(_metadata, peer, self->fds);
	EXPECT_TRUE(peer_log_has(peer, "an error: " ABORT " (non-fatal)\n"));
	ASSERT_EQ(0, count_errors(peer, "nonfatal", 5, 1));
	ASSERT_EQ(0, count_errors(peer, "fatal", 0, 1));
	raise_err(_metadata, peer, self->fds);
	EXPECT_TRUE(peer_log_has(peer, "an error: " ABORT " (fatal), "
				 TIMEOUT " (non-fatal)\n"));
	raise_err(_metadata, peer, self->fds);
	EXPECT_EQ(2, peer_log_count(peer, "the device reports an error\n"));
}

TEST_F(irq, rule25_req_is_signalled_to_client_and_daemon)
{
	json_t *status, *session;

	ASSERT_EQ(0, set_fds(&self->peer, PEER_REQ, 0, 1, self->fds));
	ASSERT_EQ(1, fake_irq_raise(self->control, PEER_REQ, 0));
	EXPECT_EQ(1, peer_wait_fired(self->fds[0]));
	EXPECT_TRUE(peer_log_has(&self->peer, "asks for the device back"));
	status = peer_status(&self->peer);
	session = json_object_get(status, "session");
	EXPECT_EQ(1, json_integer_value(json_object_get(session, "release_requests")));
	json_decref(status);
}

TEST_F(irq, rule25_daemon_learns_of_them_without_the_client)
{
	ASSERT_EQ(1, fake_irq_raise(self->control, PEER_ERR, 0));
	EXPECT_TRUE(peer_wait_log(&self->peer, "the device reports an error"));
	/* This ends the session, see release_test.c. */
	ASSERT_EQ(1, fake_irq_raise(self->control, PEER_REQ, 0));
	EXPECT_TRUE(peer_wait_log(&self->peer, "asks for the device back"));
}

TEST_F(irq, rule25_each_goes_to_its_own_eventfd)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_ERR, 0, 1, self->fds));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_REQ, 0, 1, self->fds + 1));
	ASSERT_EQ(1, fake_irq_raise(self->control, PEER_REQ, 0));
	EXPECT_EQ(1, peer_wait_fired(self->fds[1]));
	EXPECT_EQ(0, peer_fired(self->fds[0]));
	ASSERT_EQ(1, fake_irq_raise(self->control, PEER_ERR, 0));
	EXPECT_EQ(1, peer_wait_fired(self->fds[0]));
	EXPECT_EQ(0, peer_fired(self->fds[1]));
}

/* Both ways to take the client's eventfd away; the daemon still learns. */
TEST_F(irq, rule25_without_eventfd_only_the_daemon_is_signalled)
{
	const char *words = "the device reports an error";
	unsigned int i, ms;

	for (i = 1; i <= 2; i++) {
		ASSERT_EQ(0, set_fds(&self->peer, PEER_ERR, 0, 1, self->fds));
		ASSERT_EQ(0, i == 1 ? set_fds(&self->peer, PEER_ERR, 0, 1,
					      NULL) :
				      disable(&self->peer, PEER_ERR));
		ASSERT_EQ(1, fake_irq_raise(self->control, PEER_ERR, 0));
		for (ms = 0; ms < 5000 && peer_log_count(&self->peer, words) <
		     i; ms++)
			peer_pause(1);
		EXPECT_EQ(i, peer_log_count(&self->peer, words));
		EXPECT_EQ(0, peer_fired(self->fds[0]));
		EXPECT_EQ(0, peer_nr_fds(&self->peer));
	}
}

TEST_F(irq, rule25_client_can_trigger_them)
{
	ASSERT_EQ(0, set_fds(&self->peer, PEER_ERR, 0, 1, self->fds));
	ASSERT_EQ(0, wire_set_irqs(self->peer.sock, NONE_TRIGGER, PEER_ERR, 0,
				   1, NULL, 0, NULL, 0));
	EXPECT_EQ(1, peer_wait_fired(self->fds[0]));
	ASSERT_EQ(0, wire_set_irqs(self->peer.sock, BOOL_TRIGGER, PEER_ERR, 0,
				   1, "\1", 1, NULL, 0));
	EXPECT_EQ(1, peer_wait_fired(self->fds[0]));
	ASSERT_EQ(0, wire_set_irqs(self->peer.sock, BOOL_TRIGGER, PEER_ERR, 0,
				   1, "\0", 1, NULL, 0));
	peer_pause(20);
	EXPECT_EQ(0, peer_fired(self->fds[0]));
}

TEST_F(irq, rule25_they_cannot_be_masked)
{
	EXPECT_EQ(ENOTTY, wire_set_irqs(self->peer.sock,
					VFIO_USER_IRQ_SET_DATA_NONE |
					VFIO_USER_IRQ_SET_ACTION_MASK,
					PEER_ERR, 0, 1, NULL, 0, NULL, 0));
	EXPECT_EQ(ENOTTY, wire_set_irqs(self->peer.sock,
					VFIO_USER_IRQ_SET_DATA_EVENTFD |
					VFIO_USER_IRQ_SET_ACTION_UNMASK,
					PEER_REQ, 0, 1, NULL, 0, self->fds,
					1));
	EXPECT_EQ(0, peer_nr_fds(&self->peer));
}

TEST_F(irq, rule25_fd_that_is_no_eventfd_is_einval)
{
	int fd = peer_memory(4096);

	ASSERT_EQ(0, set_fds(&self->peer, PEER_ERR, 0, 1, self->fds));
	EXPECT_EQ(EINVAL, set_fds(&self->peer, PEER_ERR, 0, 1, &fd));
	/* The one that was there stays. */
	ASSERT_EQ(1, fake_irq_raise(self->control, PEER_ERR, 0));
	EXPECT_EQ(1, peer_wait_fired(self->fds[0]));
	close(fd);
}

/*
 * A client could make a write to its eventfd block, and the daemon would not hear
 * of what comes next. The kernel doesn't wait: once for the daemon, once for the
 * client.
 */
TEST_F(irq, rule25_the_kernel_signals_the_clients_eventfd)
{
	static const uint32_t indexes[] = {
		PEER_ERR, PEER_REQ, PEER_ERR, PEER_REQ,
	};
	unsigned int i;
	uint64_t sent;

	for (i = 0; i < ARRAY_SIZE(indexes); i++) {
		ASSERT_EQ(0, set_fds(&self->peer, indexes[i], 0, 1,
				     self->fds + i));
		sent = self->control->irq.sent;
		ASSERT_EQ(1, fake_irq_raise(self->control, indexes[i], 0));
		EXPECT_EQ(1, peer_wait_fired(self->fds[i]));
		/* When this is done, so is what the daemon has begun. */
		ASSERT_EQ(0, set_fds(&self->peer, indexes[i], 0, 1,
				     self->fds + i));
		EXPECT_EQ(sent + 2, self->control->irq.sent);
	}
}

/* An eventfd that blocks who writes to it must not block the daemon. */
TEST_F(irq, rule25_eventfd_that_is_full_blocks_nobody)
{
	struct vfio_user_device_info info;
	int fd = eventfd(0, EFD_CLOEXEC);

	ASSERT_EQ(0, eventfd_write(fd, UINT64_MAX - 1));
	ASSERT_EQ(0, set_fds(&self->peer, PEER_ERR, 0, 1, &fd));
	ASSERT_EQ(1, fake_irq_raise(self->control, PEER_ERR, 0));
	EXPECT_TRUE(peer_wait_log(&self->peer, "the device reports an error"));
	peer_pause(20);
	EXPECT_EQ(0, wire_info(self->peer.sock, &info));
	EXPECT_EQ(0, set_fds(&self->peer, PEER_ERR, 0, 1, self->fds));
	EXPECT_EQ(0, peer_hang_up(&self->peer));
	EXPECT_EQ(0, peer_connect(&self->peer));
	close(fd);
}

TEST_HARNESS_MAIN
