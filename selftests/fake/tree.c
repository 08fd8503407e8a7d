// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine's directory: sysfs as far as a VFIO program looks at it, with
 * relative links as the kernel has them, a marker for each node in /dev, and
 * the device's memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tree.h"
#include "util.h"

/**
 * struct tree - one being made
 * @root: its directory
 * @config: the machine
 * @dir: the device's directory in sysfs, relative to @root
 * @bus: its bus: pci or mdev
 * @err: the first error, or 0; after one, nothing more is made
 */
struct tree {
	const char *root;
	const struct fake_config *config;
	char dir[128];
	const char *bus;
	int err;
};

/* Make the directories that lead to the last name of a path. */
static int make_parents(char *path)
{
	char *slash = path;

	while ((slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

int tree_file(const char *root, const char *path, const void *data, size_t len)
{
	char full[PATH_MAX];
	int fd, ret;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	ret = make_parents(full);
	if (ret)
		return ret;
	fd = open(full, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	if (write(fd, data, len) != len) {
		close(fd);
		return -EIO;
	}
	return fd;
}

static void __printf(3, 4) tree_text(struct tree *tree, const char *path,
				     const char *fmt, ...)
{
	char text[1024];
	va_list args;
	int fd;

	if (tree->err)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fd = tree_file(tree->root, path, text, strlen(text));
	if (fd < 0)
		tree->err = fd;
	else
		close(fd);
}

/* A link from one path of the tree to another, relative. */
static void tree_link(struct tree *tree, const char *from, const char *to)
{
	char full[PATH_MAX], target[PATH_MAX] = "";
	const char *p;

	if (tree->err)
		return;
	for (p = strchr(from, '/'); p; p = strchr(p + 1, '/'))
		strcat(target, "../");
	strcat(target, to);
	snprintf(full, sizeof(full), "%s/%s", tree->root, from);
	tree->err = make_parents(full);
	if (!tree->err && symlink(target, full))
		tree->err = -errno;
}

/* The path of something in a directory; valid until the next call but one. */
static const char *in(const char *dir, const char *fmt, const char *name)
{
	static char paths[2][PATH_MAX];
	static unsigned int turn;
	char *path = paths[turn++ % 2];
	int n = snprintf(path, PATH_MAX, "%s/", dir);

	snprintf(path + n, PATH_MAX - n, fmt, name);
	return path;
}

static void tree_common(struct tree *tree, const char *dir, const char *name,
			const char *driver)
{
	char group[64], driver_dir[96];

	snprintf(group, sizeof(group), "sys/kernel/iommu_groups/%u",
		 tree->config->group);
	snprintf(driver_dir, sizeof(driver_dir), "sys/bus/%s/drivers/%s",
		 tree->bus, driver);
	tree_text(tree, in(dir, "%s", "driver_override"), "(null)\n");
	tree_text(tree, in(driver_dir, "%s", "bind"), "%s", "");
	tree_link(tree, in(dir, "%s", "driver"), driver_dir);
	tree_link(tree, in(driver_dir, "%s", name), dir);
	tree_link(tree, in(dir, "%s", "iommu_group"), group);
	tree_link(tree, in(group, "devices/%s", name), dir);
	snprintf(driver_dir, sizeof(driver_dir), "sys/bus/%s/devices",
		 tree->bus);
	tree_link(tree, in(driver_dir, "%s", name), dir);
}

static void tree_config_space(struct tree *tree, const char *dir)
{
	uint8_t space[4096];
	int fd;

	if (tree->err)
		return;
	fake_config_pci(tree->config, space, sizeof(space));
	fd = tree_file(tree->root, in(dir, "%s", "config"), space,
		       sizeof(space));
	if (fd < 0)
		tree->err = fd;
	else
		close(fd);
}

static void tree_resources(struct tree *tree, const char *dir)
{
	char text[1024] = "";
	uint64_t start;
	size_t n = 0;
	int i;

	for (i = 0; i < 13; i++) {
		uint64_t size = i < 7 ? tree->config->regions[i].size : 0;

		start = size ? 0xfe000000ull + i * 0x100000 : 0;
		n += snprintf(text + n, sizeof(text) - n,
			      "0x%016llx 0x%016llx 0x%016llx\n",
			      (unsigned long long)start,
			      (unsigned long long)(size ? start + size - 1 : 0),
			      size ? 0x40200ull : 0ull);
	}
	tree_text(tree, in(dir, "%s", "resource"), "%s", text);
}

static void tree_pci_files(struct tree *tree, const char *dir)
{
	tree_text(tree, in(dir, "%s", "vendor"), "0x%04x\n", FAKE_VENDOR);
	tree_text(tree, in(dir, "%s", "device"), "0x%04x\n", FAKE_PRODUCT);
	tree_text(tree, in(dir, "%s", "subsystem_vendor"), "0x%04x\n",
		  FAKE_VENDOR);
	tree_text(tree, in(dir, "%s", "subsystem_device"), "0x%04x\n",
		  FAKE_PRODUCT);
	tree_text(tree, in(dir, "%s", "class"), "0x%06x\n", FAKE_CLASS);
	tree_text(tree, in(dir, "%s", "irq"), "11\n");
	tree_text(tree, in(dir, "%s", "aer_dev_fatal"),
		  "CmpltTO 0\nCmpltAbrt 0\nTOTAL_ERR_FATAL 0\n");
	tree_text(tree, in(dir, "%s", "aer_dev_nonfatal"),
		  "CmpltTO 0\nCmpltAbrt 0\nTOTAL_ERR_NONFATAL 0\n");
	tree_resources(tree, dir);
	tree_config_space(tree, dir);
}

static void tree_spoiler(struct tree *tree)
{
	const char *dir = "sys/devices/pci0000:00/0000:01:00.1";

	if (!tree->config->spoiler[0])
		return;
	tree_pci_files(tree, dir);
	tree_common(tree, dir, "0000:01:00.1", tree->config->spoiler);
}

static void tree_device(struct tree *tree)
{
	const struct fake_config *config = tree->config;
	char cdev[32];

	if (config->mdev) {
		tree->bus = "mdev";
		snprintf(tree->dir, sizeof(tree->dir),
			 "sys/devices/virtual/mtty/mtty/%s", config->name);
		tree_text(tree,
			  "sys/devices/virtual/mtty/mtty/mdev_supported_types/mtty-1/name",
			  "Single port serial\n");
		tree_link(tree, in(tree->dir, "%s", "mdev_type"),
			  "sys/devices/virtual/mtty/mtty/mdev_supported_types/mtty-1");
		tree_common(tree, tree->dir, config->name, "vfio_mtty");
	} else {
		tree->bus = "pci";
		snprintf(tree->dir, sizeof(tree->dir),
			 "sys/devices/pci0000:00/%s", config->name);
		tree_pci_files(tree, tree->dir);
		tree_common(tree, tree->dir, config->name, "vfio-pci");
		if (config->flr || config->bus_reset)
			tree_text(tree, in(tree->dir, "%s", "reset"), "%s",
				  "");
	}

	snprintf(cdev, sizeof(cdev), "vfio%u", config->cdev);
	if (config->has_iommufd)
		tree_text(tree, in(tree->dir, "vfio-dev/%s/dev", cdev),
			  "511:%u\n", config->cdev);
}

static void tree_nodes(struct tree *tree)
{
	const struct fake_config *config = tree->config;
	char path[64];

	if (config->has_type1) {
		tree_text(tree, "sys/module/vfio_iommu_type1/refcnt", "0\n");
		tree_text(tree, "dev/vfio/vfio", "%s", "");
		snprintf(path, sizeof(path), "dev/vfio/%s%u",
			 config->noiommu ? "noiommu-" : "", config->group);
		tree_text(tree, path, "%s", "");
	}
	if (config->has_iommufd) {
		tree_text(tree, "dev/iommu", "%s", "");
		snprintf(path, sizeof(path), "dev/vfio/devices/vfio%u",
			 config->cdev);
		tree_text(tree, path, "%s", "");
	}
}

static void tree_memory(struct tree *tree)
{
	char path[96];
	int fd;

	if (tree->err)
		return;
	snprintf(path, sizeof(path), "mem/%s", tree->config->name);
	fd = tree_file(tree->root, path, NULL, 0);
	if (fd < 0) {
		tree->err = fd;
		return;
	}
	if (ftruncate(fd, (off_t)tree->config->nr_regions <<
			  FAKE_REGION_SHIFT))
		tree->err = -errno;
	close(fd);
}

/* One more device, with nodes and memory of its own. */
static void tree_more(struct tree *tree, const struct fake_more *more)
{
	const struct fake_config *first = tree->config;
	struct fake_config config = *first;

	memcpy(config.name, more->name, sizeof(config.name));
	config.group = more->group;
	config.cdev = more->cdev;
	tree->config = &config;
	tree_device(tree);
	tree_nodes(tree);
	tree_memory(tree);
	tree->config = first;
}

int tree_create(const char *root, const struct fake_config *config)
{
	struct tree tree = { .root = root, .config = config };
	uint32_t i;

	tree_device(&tree);
	tree_spoiler(&tree);
	tree_nodes(&tree);
	tree_memory(&tree);
	for (i = 0; i < config->nr_more; i++)
		tree_more(&tree, &config->more[i]);
	return tree.err;
}
