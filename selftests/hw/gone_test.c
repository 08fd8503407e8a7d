// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that doesn't answer on its bus: the bridge above it is told to pass
 * nothing on to that bus, so that its configuration reads all ones, and the
 * kernel waits a long time for a reset to be over. And one that answers, but
 * isn't reset: because the kernel is at that for somebody else, or has no way to
 * do it any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "hw.h"
#include "kselftest_harness.h"
#include "pci/device.h"
#include "selftests/drivers/igb.h"

#define NO_BUS		0xfe
#define WAIT_MS		90000	/* the kernel waits for a minute */
#define STEP_MS		50
#define TIMEOUT		180

FIXTURE(gone)
{
	struct hw_daemon daemon;
	struct access *access;
	int method;	/* ways to reset the device */
	int port;
	uint8_t bus;
};

FIXTURE_VARIANT(gone)
{
	enum vfio_iommu_kind iommu;
};

FIXTURE_VARIANT_ADD(gone, iommufd)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
};

FIXTURE_VARIANT_ADD(gone, type1)
{
	.iommu = VFIO_IOMMU_TYPE1,
};

/* A file of a device's in sysfs. */
static int open_file(const char *bdf, const char *name, int flags)
{
	char path[PCI_SYSFS_LEN + 32];
	struct pci_name device;

	if (pci_resolve(bdf, &device))
		return -1;
	snprintf(path, sizeof(path), "%s/%s", device.sysfs, name);
	return open(path, flags | O_CLOEXEC);
}

/* The configuration space of the bridge above a device. */
static int open_port(const char *bdf)
{
	return open_file(bdf, "../config", O_RDWR);
}

static bool set_bus(int port, uint8_t bus)
{
	return pwrite(port, &bus, 1, PCI_SECONDARY_BUS) == 1;
}

/* Only a line's end: none. */
static bool set_methods(int method, const char *line)
{
	return pwrite(method, line, strlen(line), 0) == strlen(line);
}

FIXTURE_SETUP(gone)
{
	const char *missing = hw_missing("LAB_IGB", variant->iommu);
	struct hw_daemon_opts opts = { .iommu = variant->iommu };

	self->port = -1;
	self->method = -1;
	if (!missing)
		missing = hw_missing("LAB_NVME", variant->iommu);
	if (missing)
		SKIP(return, "%s", missing);
	opts.bdf = getenv("LAB_IGB");
	opts.second = getenv("LAB_NVME");
	ASSERT_EQ(0, hw_daemon_start(&self->daemon, &opts));
	self->port = open_port(opts.bdf);
	ASSERT_LE(0, self->port);
	ASSERT_EQ(1, pread(self->port, &self->bus, 1, PCI_SECONDARY_BUS));
	self->method = open_file(opts.bdf, "reset_method", O_RDWR);
	ASSERT_LE(0, self->method);
}

FIXTURE_TEARDOWN(gone)
{
	if (self->port >= 0)
		EXPECT_TRUE(set_bus(self->port, self->bus));
	if (self->method >= 0)
		EXPECT_TRUE(set_methods(self->method, "default\n"));
	access_close(self->access);
	EXPECT_EQ(0, hw_daemon_stop(&self->daemon));
	close(self->port);
	close(self->method);
}

TEST_F_TIMEOUT(gone, client_reads_ones, TIMEOUT)
{
	struct hw_daemon *d = &self->daemon;
	struct access *a;

	ASSERT_EQ(0, access_socket_open(d->socket, NULL, &self->access));
	a = self->access;
	EXPECT_NE(UINT32_MAX, access_config_read(a, PCI_CLASS_REVISION, 4));
	EXPECT_EQ(0, hw_daemon_log_has(d, "reads all ones"));
	ASSERT_TRUE(set_bus(self->port, NO_BUS));
	EXPECT_EQ(UINT32_MAX, access_config_read(a, PCI_CLASS_REVISION, 4));
	EXPECT_EQ(1, hw_daemon_log_has(d, "reads all ones"));

	ASSERT_TRUE(set_bus(self->port, self->bus));
	access_close(a);
	self->access = NULL;
	EXPECT_EQ(0, hw_as_client(d, HW_CLIENT_UID, igb_leave_mark));
	EXPECT_EQ(-ENODATA, hw_as_client(d, HW_CLIENT_UID, igb_find_mark));
}

static void nap(void)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000 };

	nanosleep(&step, NULL);
}

/* Opening it resets it, for which the kernel waits: nobody else does. */
TEST_F_TIMEOUT(gone, other_device_does_not_wait, TIMEOUT)
{
	struct hw_daemon *d = &self->daemon;
	int i, ms, status, ret = -1;
	struct access *a;
	pid_t pid;

	ASSERT_TRUE(set_bus(self->port, NO_BUS));
	pid = fork();
	if (!pid)
		_exit(-access_socket_open(d->socket, NULL, &a));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, access_socket_open(d->second, NULL, &a));
		EXPECT_NE(UINT32_MAX,
			  access_config_read(a, PCI_CLASS_REVISION, 4));
		access_close(a);
		/* Still at it, so that these have shown something. */
		EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);

	/* And the next client of it waits as long as the kernel does. */
	ASSERT_TRUE(set_bus(self->port, self->bus));
	for (ms = 0; ms < WAIT_MS; ms += STEP_MS) {
		ret = hw_as_client(d, HW_CLIENT_UID, igb_leave_mark);
		if (!ret)
			break;
		nap();
	}
	EXPECT_EQ(0, ret);
}

/* Reset it again and again, as whoever may write to sysfs can. */
static pid_t reset_all_the_time(const char *bdf)
{
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open_file(bdf, "reset", O_WRONLY);
	while (pwrite(fd, "1", 1, 0) == 1)
		;
	_exit(1);
}

/* @want, or what the device's reset says after a long time of something else. */
static int reset_until(struct access *a, int want)
{
	int ms, ret = 0;

	for (ms = 0; ms < WAIT_MS; ms += STEP_MS) {
		ret = a->ops->reset(a);
		if (ret == want)
			break;
		nap();
	}
	return ret;
}

/* The client is told so, and can try again. */
TEST_F_TIMEOUT(gone, reset_while_the_kernel_is_at_one, TIMEOUT)
{
	struct hw_daemon *d = &self->daemon;
	int status;
	pid_t pid;

	ASSERT_EQ(0, access_socket_open(d->socket, NULL, &self->access));
	pid = reset_all_the_time(getenv("LAB_IGB"));
	EXPECT_EQ(-EAGAIN, reset_until(self->access, -EAGAIN));
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, reset_until(self->access, 0));
	EXPECT_NE(UINT32_MAX,
		  access_config_read(self->access, PCI_CLASS_REVISION, 4));
}

/* It goes to nobody until it can be reset again. */
TEST_F_TIMEOUT(gone, reset_that_is_not_to_be_had, TIMEOUT)
{
	struct hw_daemon *d = &self->daemon;

	ASSERT_EQ(0, access_socket_open(d->socket, NULL, &self->access));
	ASSERT_TRUE(set_methods(self->method, "\n"));
	EXPECT_EQ(-ENOTTY, self->access->ops->reset(self->access));
	EXPECT_NE(UINT32_MAX,
		  access_config_read(self->access, PCI_CLASS_REVISION, 4));
	access_close(self->access);
	self->access = NULL;
	EXPECT_EQ(-EIO, hw_as_client(d, HW_CLIENT_UID, igb_leave_mark));
	EXPECT_EQ(1, hw_daemon_log_has(d, "its reset fails"));

	ASSERT_TRUE(set_methods(self->method, "default\n"));
	EXPECT_EQ(0, hw_as_client(d, HW_CLIENT_UID, igb_leave_mark));
	EXPECT_EQ(-ENODATA, hw_as_client(d, HW_CLIENT_UID, igb_find_mark));
}

TEST_HARNESS_MAIN
