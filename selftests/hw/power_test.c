// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that nobody uses, and --idle-low-power: what the kernel says of them
 * in sysfs, and that they work when they are awake again.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "hw.h"
#include "kselftest_harness.h"
#include "pci/device.h"
#include "selftests/drivers/igb.h"

#define WAIT_MS		10000
#define STEP_MS		20
#define TIMEOUT		120
#define ASLEEP		"D3hot"
#define AWAKE		"D0"

FIXTURE(power)
{
	struct hw_daemon daemon;
	struct pci_name device;
};

FIXTURE_VARIANT(power)
{
	enum vfio_iommu_kind iommu;
};

FIXTURE_VARIANT_ADD(power, iommufd)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
};

FIXTURE_VARIANT_ADD(power, type1)
{
	.iommu = VFIO_IOMMU_TYPE1,
};

/* One line of a file of the device's in sysfs. */
static void read_line(const struct pci_name *device, const char *name,
		      char *buf, size_t len)
{
	char path[PCI_SYSFS_LEN + 32];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", device->sysfs, name);
	buf[0] = '\0';
	file = fopen(path, "re");
	if (!file || !fgets(buf, len, file))
		buf[0] = '\0';
	if (file)
		fclose(file);
	buf[strcspn(buf, "\n")] = '\0';
}

FIXTURE_SETUP(power)
{
	const char *missing = hw_missing("LAB_IGB", variant->iommu);
	char state[16];

	if (missing)
		SKIP(return, "%s", missing);
	ASSERT_EQ(0, pci_resolve(getenv("LAB_IGB"), &self->device));
	read_line(&self->device, "power/runtime_status", state, sizeof(state));
	if (!state[0])
		SKIP(return, "the kernel has no power management");
}

FIXTURE_TEARDOWN(power)
{
	EXPECT_EQ(0, hw_daemon_stop(&self->daemon));
}

static int start_daemon(struct hw_daemon *d, enum vfio_iommu_kind iommu,
			const char *on_disconnect, bool idle_low_power)
{
	const struct hw_daemon_opts opts = {
		.bdf = getenv("LAB_IGB"),
		.iommu = iommu,
		.on_disconnect = on_disconnect,
		.idle_low_power = idle_low_power,
	};

	return hw_daemon_start(d, &opts);
}

static void nap(void)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000 };

	nanosleep(&step, NULL);
}

static bool state_is(const struct pci_name *device, const char *state)
{
	char now[16];

	read_line(device, "power_state", now, sizeof(now));
	return !strcmp(now, state);
}

/* The kernel puts it to sleep when it gets to it. */
static bool falls_asleep(const struct pci_name *device)
{
	int ms;

	for (ms = 0; ms < WAIT_MS; ms += STEP_MS) {
		if (state_is(device, ASLEEP))
			return true;
		nap();
	}
	return false;
}

static bool session_ends(const struct hw_daemon *d)
{
	int ms;

	for (ms = 0; ms < WAIT_MS; ms += STEP_MS) {
		if (hw_monitor(d, "session.pid") < 0)
			return true;
		nap();
	}
	return false;
}

/* A client that looks whether the device is awake, and leaves a mark in it. */
static int work_awake(struct access *a)
{
	struct pci_name device;

	if (pci_resolve(getenv("LAB_IGB"), &device) ||
	    !state_is(&device, AWAKE))
		return -EHOSTDOWN;
	return igb_leave_mark(a);
}

TEST_F_TIMEOUT(power, closed_device_sleeps, TIMEOUT)
{
	struct hw_daemon *d = &self->daemon;

	ASSERT_EQ(0, start_daemon(d, variant->iommu, NULL, true));
	EXPECT_EQ(0, hw_daemon_log_has(d, "disable_idle_d3"));
	EXPECT_TRUE(falls_asleep(&self->device));
	ASSERT_EQ(0, hw_as_client(d, HW_CLIENT_UID, work_awake));
	EXPECT_TRUE(falls_asleep(&self->device));
	EXPECT_EQ(0, hw_monitor(d, "low_power"));
	EXPECT_EQ(0, hw_as_client(d, HW_CLIENT_UID, work_awake));
}

TEST_F_TIMEOUT(power, retained_device_stays_awake, TIMEOUT)
{
	struct hw_daemon *d = &self->daemon;

	ASSERT_EQ(0, start_daemon(d, variant->iommu, "retain", false));
	ASSERT_EQ(0, hw_as_client(d, HW_CLIENT_UID, work_awake));
	ASSERT_TRUE(session_ends(d));
	/* A kernel that wanted it to sleep would have done so by now. */
	sleep(1);
	EXPECT_TRUE(state_is(&self->device, AWAKE));
	EXPECT_EQ(0, hw_monitor(d, "low_power"));
}

TEST_F_TIMEOUT(power, retained_device_sleeps_with_the_option, TIMEOUT)
{
	struct hw_daemon *d = &self->daemon;
	int i;

	ASSERT_EQ(0, start_daemon(d, variant->iommu, "retain", true));
	ASSERT_EQ(0, hw_as_client(d, HW_CLIENT_UID, work_awake));
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(falls_asleep(&self->device));
		EXPECT_EQ(1, hw_monitor(d, "low_power"));
		EXPECT_EQ(0, hw_as_client(d, HW_CLIENT_UID, work_awake));
	}
	ASSERT_TRUE(falls_asleep(&self->device));
	EXPECT_EQ(0, hw_as_client(d, HW_CLIENT_UID, igb_find_mark));
}

/* Whoever looks at it wakes it, and it sleeps again. */
TEST_F_TIMEOUT(power, sleeping_device_that_is_looked_at, TIMEOUT)
{
	struct hw_daemon *d = &self->daemon;
	char path[PCI_SYSFS_LEN + 32];
	uint16_t vendor = 0;
	FILE *file;

	ASSERT_EQ(0, start_daemon(d, variant->iommu, "retain", true));
	ASSERT_EQ(0, hw_as_client(d, HW_CLIENT_UID, work_awake));
	ASSERT_TRUE(falls_asleep(&self->device));
	snprintf(path, sizeof(path), "%s/config", self->device.sysfs);
	file = fopen(path, "re");
	ASSERT_NE(NULL, file);
	EXPECT_EQ(1, fread(&vendor, sizeof(vendor), 1, file));
	fclose(file);
	EXPECT_EQ(0x8086, vendor);
	EXPECT_TRUE(falls_asleep(&self->device));
	EXPECT_EQ(0, hw_as_client(d, HW_CLIENT_UID, igb_find_mark));
}

/* It is unbound while it sleeps, and works for others when it is back. */
TEST_F_TIMEOUT(power, sleeping_device_is_given_back, TIMEOUT)
{
	struct hw_daemon *d = &self->daemon;
	struct vfio_why why;
	struct access *a;

	ASSERT_EQ(0, start_daemon(d, variant->iommu, "retain", true));
	ASSERT_EQ(0, hw_as_client(d, HW_CLIENT_UID, work_awake));
	ASSERT_TRUE(falls_asleep(&self->device));
	EXPECT_EQ(0, pci_bind(self->device.sysfs, ""));
	EXPECT_EQ(1, hw_daemon_log_has(d, "not retained any more"));
	EXPECT_EQ(0, hw_monitor(d, "low_power"));
	ASSERT_EQ(0, pci_bind(self->device.sysfs, "vfio-pci"));

	ASSERT_EQ(0, access_vfio_open(self->device.name, variant->iommu, &why,
				      &a))
		TH_LOG("%s", why.text);
	EXPECT_EQ(-ENODATA, igb_find_mark(a));
	EXPECT_EQ(0, work_awake(a));
	access_close(a);
	EXPECT_TRUE(falls_asleep(&self->device));
}

TEST_HARNESS_MAIN
