// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names of devices: what an operator may write, and what pci.ids knows.
 *
 * Addresses that aren't on this machine resolve to -ENODEV with the name in
 * full, which is enough to see how they were read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pci/device.h"

#include "kselftest_harness.h"

static const char *resolve(const char *arg, int *ret)
{
	static struct pci_name name;

	*ret = pci_resolve(arg, &name);
	return name.name;
}

TEST(an_address_without_a_domain_gets_domain_0)
{
	int ret;

	EXPECT_STREQ("0000:fe:1f.7", resolve("fe:1f.7", &ret));
	EXPECT_EQ(-ENODEV, ret);
}

TEST(an_address_is_read_in_full)
{
	int ret;

	EXPECT_STREQ("fffe:fe:1f.7", resolve("FFFE:FE:1F.7", &ret));
	EXPECT_EQ(-ENODEV, ret);
}

TEST(a_path_in_sys_is_read_by_its_last_part)
{
	int ret;

	EXPECT_STREQ("fffe:fe:1f.7",
		     resolve("/sys/bus/pci/devices/fffe:fe:1f.7", &ret));
	EXPECT_EQ(-ENODEV, ret);
}

TEST(a_uuid_is_a_mediated_device)
{
	struct pci_name name;

	EXPECT_EQ(-ENODEV,
		  pci_resolve("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", &name));
	EXPECT_TRUE(name.mdev);
	EXPECT_STREQ("/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
		     name.sysfs);
	EXPECT_EQ(-ENODEV,
		  pci_resolve("83B8F4F2-509F-382F-3C1E-E6BFE0FA1001", &name));
	EXPECT_STREQ("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", name.name);
	EXPECT_EQ(-ENODEV,
		  pci_resolve("/sys/devices/virtual/mtty/mtty/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
			      &name));
	EXPECT_STREQ("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", name.name);
}

TEST(what_is_no_name_is_einval)
{
	static const char *const bad[] = {
		"", "x", "00:00", "0000:00:00", "00:20.0", "00:00.8",
		"100:00.0", "0000:00:00.0x", "00:00.0 ", "/etc/passwd",
		"/sys/", "83b8f4f2-509f-382f-3c1e-e6bfe0fa100",
		"83b8f4f2-509f-382f-3c1e-e6bfe0fa100g",
		"../../../../etc",
	};
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		resolve(bad[i], &ret);
		EXPECT_EQ(-EINVAL, ret)
			TH_LOG("'%s'", bad[i]);
	}
}

FIXTURE(sysfs) {
	char dir[64];
};

FIXTURE_SETUP(sysfs)
{
	strcpy(self->dir, "/tmp/pci_test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
}

FIXTURE_TEARDOWN(sysfs)
{
	static const char *const files[] = {
		"class", "vendor", "device", "driver"
	};
	char path[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", self->dir, files[i]);
		unlink(path);
	}
	rmdir(self->dir);
}

static void write_id(const char *dir, const char *name, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f)
		return;
	fprintf(f, "%s\n", value);
	fclose(f);
}

TEST_F(sysfs, a_device_that_pci_ids_does_not_know_has_a_name_all_the_same)
{
	char buf[256];

	write_id(self->dir, "class", "0x00ff00");
	write_id(self->dir, "vendor", "0x1234");
	write_id(self->dir, "device", "0xfffe");
	pci_describe(self->dir, buf, sizeof(buf));
	EXPECT_NE(NULL, strstr(buf, "fffe"))
		TH_LOG("'%s'", buf);
}

TEST_F(sysfs, a_device_without_ids_has_no_description)
{
	char buf[256] = "x";

	pci_describe(self->dir, buf, sizeof(buf));
	EXPECT_STREQ("", buf);
}

TEST_F(sysfs, the_driver_is_the_last_part_of_the_link)
{
	char path[128], driver[16];

	EXPECT_EQ(0, pci_driver(self->dir, driver, sizeof(driver)));
	EXPECT_STREQ("", driver);

	snprintf(path, sizeof(path), "%s/driver", self->dir);
	ASSERT_EQ(0, symlink("../../bus/pci/drivers/vfio-pci", path));
	EXPECT_EQ(0, pci_driver(self->dir, driver, sizeof(driver)));
	EXPECT_STREQ("vfio-pci", driver);
	EXPECT_EQ(-ENAMETOOLONG, pci_driver(self->dir, driver, 8));
}

TEST_HARNESS_MAIN
