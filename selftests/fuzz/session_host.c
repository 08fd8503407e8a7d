// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an operator's tool does with the device beside the daemon: it binds it to a
 * driver, and looks for what the machine itself uses it for. What the kernel tells
 * of routes, mounts and swap is the input's.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks.h"
#include "session_fuzz.h"

#define HOST_DEVICE	"sys/devices/pci0000:00/0000:01:00.0"

static const char *const proc_files[] = {
	"/proc/net/route", "/proc/net/ipv6_route", "/proc/self/mountinfo",
	"/proc/swaps",
};

/* Which text each of them has, 0 for none */
static uint8_t proc_texts[ARRAY_SIZE(proc_files)];

static const char *proc_text(unsigned int which)
{
	static const char *const texts[] = {
		"eth0 00000000 0100A8C0\n", "eth1 00000000\neth0 0000A8C0\n",
		"00000000000000000000000000000000 00 0 0 0 0 0 0 0 eth0\n",
		"00000000000000000000000000000000 40 0 0 0 0 0 0 0 eth0\n",
		"20 1 259:0 / /mnt rw\n", "20 1 8:1 / / rw\n\n21 20 259:0",
		"Filename\n/dev/sda partition\n", "/dev/sdb\n", "\n", "x",
	};

	return texts[which % ARRAY_SIZE(texts)];
}

FILE *fuzz_fopen(const char *path, const char *mode)
{
	const char *text;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(proc_files); i++) {
		if (strcmp(path, proc_files[i]) || !proc_texts[i])
			continue;
		text = proc_text(proc_texts[i]);
		return fmemopen((char *)text, strlen(text), "r");
	}
	return fopen(path, mode);
}

static void host_say(const char *text, void *arg)
{
	(void)arg;
	fuzz_require(!!text[0], "a use is told in words");
}

void host_look(struct fuzz *f)
{
	static const char *const drivers[] = {
		"vfio-pci", "", "e1000e", "none-such",
	};
	const char *sysfs = machine_daemon.bridges[0].device.sysfs;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(proc_files); i++)
		proc_texts[i] = fuzz_u8(f);
	pci_check_usage(sysfs, host_say, NULL);
	pci_can_reset(sysfs);
	pci_bind(sysfs, drivers[fuzz_u8(f) % ARRAY_SIZE(drivers)]);
	memset(proc_texts, 0, sizeof(proc_texts));
}

static void host_dir(const char *name)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", machine_root.path, name);
	fuzz_require(!mkdir(path, 0700), "a directory");
}

static void host_file(const char *name, const char *text)
{
	char path[192];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", machine_root.path, name);
	file = fopen(path, "we");
	fuzz_require(!!file, "a file");
	fputs(text, file);
	fclose(file);
}

/* The device is a network interface's and a disk's as well. */
void host_init(void)
{
	char path[192];

	host_dir("sys/bus/pci/drivers/e1000e");
	host_file("sys/bus/pci/drivers/vfio-pci/unbind", "");
	host_file("sys/bus/pci/drivers_probe", "");
	host_dir("sys/module/vfio_pci");
	host_dir("sys/module/vfio_pci/parameters");
	/* What is closed stays awake. */
	host_file("sys/module/vfio_pci/parameters/disable_idle_d3", "Y\n");
	host_file(HOST_DEVICE "/reset_method", "bus flr\n");
	host_dir(HOST_DEVICE "/net");
	host_dir(HOST_DEVICE "/net/eth0");
	host_file(HOST_DEVICE "/net/eth0/flags", "0x1003\n");
	host_dir(HOST_DEVICE "/net/eth2");
	host_dir(HOST_DEVICE "/block");
	host_dir(HOST_DEVICE "/block/sda");
	host_dir(HOST_DEVICE "/block/sda/holders");
	host_dir(HOST_DEVICE "/block/sda/holders/md0");
	host_file(HOST_DEVICE "/block/sda/dev", "259:0\n");
	host_dir("sys/class");
	host_dir("sys/class/block");
	host_dir("sys/class/block/sdb");
	snprintf(path, sizeof(path), "%s/sys/class/block/sda",
		 machine_root.path);
	fuzz_require(!symlink("../../devices/pci0000:00/0000:01:00.0/block/sda",
			      path), "a link");
}
