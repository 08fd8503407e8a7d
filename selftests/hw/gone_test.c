// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that doesn't answer on its bus: the bridge above it is told to pass
 * nothing on to that bus, so that its configuration reads all ones, and the
 * kernel waits a long time for a reset to be over.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* The configuration space of the bridge above a device. */
static int open_port(const char *bdf)
{
	char path[PCI_SYSFS_LEN + 32];
	struct pci_name device;

	if (pci_resolve(bdf, &device))
		return -1;
	snprintf(path, sizeof(path), "%s/../config", device.sysfs);
	return open(path, O_RDWR | O_CLOEXEC);
}

static bool set_bus(int port, uint8_t bus)
{
	return pwrite(port, &bus, 1, PCI_SECONDARY_BUS) == 1;
}

FIXTURE_SETUP(gone)
{
	const char *missing = hw_missing("LAB_IGB", variant->iommu);
	struct hw_daemon_opts opts = { .iommu = variant->iommu };

	self->port = -1;
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
}

FIXTURE_TEARDOWN(gone)
{
	if (self->port >= 0)
		EXPECT_TRUE(set_bus(self->port, self->bus));
	access_close(self->access);
	EXPECT_EQ(0, hw_daemon_stop(&self->daemon));
	close(self->port);
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

TEST_HARNESS_MAIN
