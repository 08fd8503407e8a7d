// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration and the logging of DMA, by the ioctls of plain VFIO: a device's
 * state is read, the device is taken back to it, and is what it was.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "plain.h"

#define NOWHERE		((void *)0x1000)
#define GET		VFIO_DEVICE_FEATURE_GET
#define SET		VFIO_DEVICE_FEATURE_SET
#define PROBE		VFIO_DEVICE_FEATURE_PROBE
#define STATE		VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE
#define LOG_START	VFIO_DEVICE_FEATURE_DMA_LOGGING_START
#define LOG_STOP	VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP
#define LOG_REPORT	VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT

FIXTURE(migrate)
{
	struct plain p;
	int fd;
};

FIXTURE_SETUP(migrate)
{
	const char *why = plain_init(&self->p);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, plain_open(&self->p, VFIO_TYPE1v2_IOMMU));
	self->fd = self->p.device;
}

FIXTURE_TEARDOWN(migrate)
{
	plain_exit(&self->p);
}

/* @data of @size bytes, there and back */
static int feature(int fd, uint32_t flags, void *data, size_t size)
{
	struct {
		struct vfio_device_feature feature;
		char data[64];
	} arg = { .feature = { .argsz = sizeof(arg.feature) + size,
			       .flags = flags } };
	int err;

	if (size)
		memcpy(arg.data, data, size);
	err = ERRNO_OF(ioctl(fd, VFIO_DEVICE_FEATURE, &arg));
	if (size)
		memcpy(data, arg.data, size);
	return err;
}

static int set_state(int fd, uint32_t state, int *data_fd)
{
	struct vfio_device_feature_mig_state mig = { .device_state = state };
	int err = feature(fd, STATE | SET, &mig, sizeof(mig));

	*data_fd = mig.data_fd;
	return err;
}

static int get_state(int fd)
{
	struct vfio_device_feature_mig_state mig = { 0 };

	return feature(fd, STATE | GET, &mig, sizeof(mig)) ?
	       -1 : (int)mig.device_state;
}

TEST_F(migrate, feature_errors)
{
	struct vfio_device_feature_mig_state mig = { 0 };
	uint64_t flags = 0;

	EXPECT_EQ(0, feature(self->fd, VFIO_DEVICE_FEATURE_MIGRATION | PROBE,
			     NULL, 0));
	EXPECT_EQ(0, feature(self->fd, VFIO_DEVICE_FEATURE_MIGRATION | PROBE |
			     GET, NULL, 0));
	EXPECT_EQ(EINVAL, feature(self->fd, VFIO_DEVICE_FEATURE_MIGRATION |
				  PROBE | SET, NULL, 0));
	EXPECT_EQ(EINVAL, feature(self->fd, VFIO_DEVICE_FEATURE_MIGRATION,
				  &flags, sizeof(flags)));
	EXPECT_EQ(EINVAL, feature(self->fd, VFIO_DEVICE_FEATURE_MIGRATION | GET,
				  &flags, sizeof(flags) - 1));
	EXPECT_EQ(0, feature(self->fd, VFIO_DEVICE_FEATURE_MIGRATION | GET,
			     &flags, sizeof(flags)));
	EXPECT_EQ(VFIO_MIGRATION_STOP_COPY, flags);
	EXPECT_EQ(0, feature(self->fd, STATE | PROBE | GET | SET, NULL, 0));
	EXPECT_EQ(EINVAL, feature(self->fd, STATE | SET, &mig,
				  sizeof(mig) - 1));
	EXPECT_EQ(ENOTTY, feature(self->fd, 0x7777 | PROBE, NULL, 0));
}

TEST_F(migrate, state_comes_back)
{
	static char state[1 << 20];
	int data_fd, other_fd;
	ssize_t len = 0, n;

	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, get_state(self->fd));
	ASSERT_EQ(0, set_state(self->fd, VFIO_DEVICE_STATE_STOP, &data_fd));
	EXPECT_EQ(-1, data_fd);
	ASSERT_EQ(0, set_state(self->fd, VFIO_DEVICE_STATE_STOP_COPY,
			       &data_fd));
	ASSERT_LE(0, data_fd);
	do {
		n = read(data_fd, state + len, 64);
		len += n > 0 ? n : 0;
	} while (n > 0);
	EXPECT_EQ(0, n);
	EXPECT_LT(64, len);
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(data_fd, VFIO_DEVICE_RESET)));
	close(data_fd);

	ASSERT_EQ(0, set_state(self->fd, VFIO_DEVICE_STATE_STOP, &data_fd));
	ASSERT_EQ(0, set_state(self->fd, VFIO_DEVICE_STATE_RESUMING,
			       &data_fd));
	ASSERT_LE(0, data_fd);
	EXPECT_EQ(len, write(data_fd, state, len));
	EXPECT_EQ(0, set_state(self->fd, VFIO_DEVICE_STATE_STOP, &other_fd));
	EXPECT_EQ(-1, other_fd);
	EXPECT_EQ(0, set_state(self->fd, VFIO_DEVICE_STATE_RUNNING, &other_fd));
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, get_state(self->fd));
	close(data_fd);
}

TEST_F(migrate, stream_and_bad_pointers)
{
	char state[64];
	int fd, other_fd;

	ASSERT_EQ(0, set_state(self->fd, VFIO_DEVICE_STATE_STOP, &fd));
	ASSERT_EQ(0, set_state(self->fd, VFIO_DEVICE_STATE_STOP_COPY, &fd));
	ASSERT_LE(0, fd);
	EXPECT_EQ(EFAULT, ERRNO_OF(read(fd, NOWHERE, 64)));
	EXPECT_EQ(0, read(fd, NOWHERE, 0));
	EXPECT_LT(0, read(fd, state, sizeof(state)));
	close(fd);
	ASSERT_EQ(0, set_state(self->fd, VFIO_DEVICE_STATE_STOP, &fd));
	ASSERT_EQ(0, set_state(self->fd, VFIO_DEVICE_STATE_RESUMING, &fd));
	ASSERT_LE(0, fd);
	EXPECT_EQ(EFAULT, ERRNO_OF(write(fd, NOWHERE, 64)));
	EXPECT_EQ(64, write(fd, state, 64));
	close(fd);
	set_state(self->fd, VFIO_DEVICE_STATE_STOP, &other_fd);
}

TEST_F(migrate, what_is_wrong_with_a_log)
{
	struct vfio_device_feature_dma_logging_range range = { 0, 0x10000 };
	struct vfio_device_feature_dma_logging_control log = {
		.page_size = 4096,
		.ranges = (uintptr_t)&range,
	};
	struct vfio_device_feature_dma_logging_report report = {
		.length = 0x10000,
		.page_size = 2048,
	};

	EXPECT_EQ(EINVAL, feature(self->fd, LOG_START | SET, &log,
				  sizeof(log)));
	log.num_ranges = 100000;
	EXPECT_EQ(E2BIG, feature(self->fd, LOG_START | SET, &log, sizeof(log)));
	log.num_ranges = 1;
	log.ranges = (uintptr_t)NOWHERE;
	EXPECT_EQ(EFAULT, feature(self->fd, LOG_START | SET, &log,
				  sizeof(log)));
	log.ranges = (uintptr_t)&range;
	range.iova = 1;
	EXPECT_EQ(EINVAL, feature(self->fd, LOG_START | SET, &log,
				  sizeof(log)));
	range.iova = -0x1000ull;
	EXPECT_EQ(EOVERFLOW, feature(self->fd, LOG_START | SET, &log,
				     sizeof(log)));
	EXPECT_EQ(EINVAL, feature(self->fd, LOG_REPORT | GET, &report,
				  sizeof(report)));
	report.page_size = 4096;
	report.iova = -0x1000ull;
	EXPECT_EQ(EOVERFLOW, feature(self->fd, LOG_REPORT | GET, &report,
				     sizeof(report)));
}

TEST_F(migrate, logs_dma)
{
	struct vfio_device_feature_dma_logging_range range = { 0, 0x10000 };
	struct vfio_device_feature_dma_logging_control log = {
		.page_size = 4096,
		.num_ranges = 1,
		.ranges = (uintptr_t)&range,
	};
	uint64_t bitmap = 1ull << 63;
	struct vfio_device_feature_dma_logging_report report = {
		.length = 0x10000,
		.page_size = 4096,
		.bitmap = (uintptr_t)&bitmap,
	};

	ASSERT_EQ(0, feature(self->fd, LOG_START | SET, &log, sizeof(log)));
	EXPECT_EQ(0, feature(self->fd, LOG_REPORT | GET, &report,
			     sizeof(report)));
	/* What was set is still. */
	EXPECT_NE(0, bitmap & 1ull << 63);
	report.bitmap = (uintptr_t)NOWHERE;
	EXPECT_EQ(EFAULT, feature(self->fd, LOG_REPORT | GET, &report,
				  sizeof(report)));
	EXPECT_EQ(0, feature(self->fd, LOG_STOP | SET, NULL, 0));
	EXPECT_NE(0, feature(self->fd, LOG_REPORT | GET, &report,
			     sizeof(report)));
}

TEST_HARNESS_MAIN
