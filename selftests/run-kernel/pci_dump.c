// SPDX-License-Identifier: GPL-2.0-only
/*
 * pci_dump BDF: prints what VFIO says of a PCI device, its configuration space
 * and the beginning of its BARs, by a group, a container and system calls, and
 * nothing of this project: as one would write it who pokes at registers.
 *
 * What it prints is the same whichever way it reaches the device. Of the
 * container that is the IOVA ranges: page sizes and how many maps are left
 * differ among the kernel's own two.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_BYTES	64	/* of a BAR that are printed */

static int container, group, device;

/* The number of the device's group, from sysfs. */
static int group_of(const char *bdf)
{
	char link[128], target[256];
	ssize_t n;

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group",
		 bdf);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		err(1, "%s", link);
	target[n] = '\0';
	return atoi(strrchr(target, '/') + 1);
}

static void open_device(const char *bdf)
{
	char path[32];

	container = open("/dev/vfio/vfio", O_RDWR);
	if (container < 0)
		err(1, "/dev/vfio/vfio");
	snprintf(path, sizeof(path), "/dev/vfio/%d", group_of(bdf));
	group = open(path, O_RDWR);
	if (group < 0)
		err(1, "%s", path);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		err(1, "cannot set up the container");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (device < 0)
		err(1, "%s", bdf);
}

/*
 * Ask again with the room that the answer wants. The structures all begin with
 * argsz.
 */
static void *ask(int fd, unsigned long request, const void *question,
		 size_t size, const char *what)
{
	uint32_t argsz = size;
	void *info = NULL;

	do {
		size = argsz;
		info = realloc(info, size);
		if (!info)
			err(1, "%s", what);
		memset(info, 0, size);
		memcpy(info, question, *(const uint32_t *)question);
		memcpy(info, &size, sizeof(uint32_t));
		if (ioctl(fd, request, info))
			err(1, "%s", what);
		memcpy(&argsz, info, sizeof(argsz));
	} while (argsz > size);
	return info;
}

static void print_ranges(void)
{
	struct vfio_iommu_type1_info q = { .argsz = sizeof(q) }, *info;
	struct vfio_info_cap_header *cap;
	uint32_t offset, i;

	info = ask(container, VFIO_IOMMU_GET_INFO, &q, sizeof(q), "container");
	offset = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;
	for (; offset; offset = cap->next) {
		struct vfio_iommu_type1_info_cap_iova_range *r;

		cap = (void *)((char *)info + offset);
		if (cap->id != VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
			continue;
		r = (void *)cap;
		for (i = 0; i < r->nr_iovas; i++)
			printf("IOVA %#llx to %#llx\n", r->iova_ranges[i].start,
			       r->iova_ranges[i].end);
	}
	free(info);
}

/* @size bytes of @region, in lines of 16. */
static void print_bytes(const struct vfio_region_info *region, uint32_t size)
{
	uint32_t i, word;
	ssize_t n;

	for (i = 0; i < size; i += sizeof(word)) {
		n = pread(device, &word, sizeof(word), region->offset + i);
		if (n != sizeof(word)) {
			printf("\n%#x: %s\n", i, n < 0 ? strerror(errno) :
							 "the end");
			return;
		}
		if (!(i % 16))
			printf("  %03x:", i);
		printf(i % 16 == 12 ? " %08x\n" : " %08x", word);
	}
}

static void print_sparse(struct vfio_info_cap_header *cap)
{
	struct vfio_region_info_cap_sparse_mmap *sparse = (void *)cap;
	uint32_t i;

	for (i = 0; i < sparse->nr_areas; i++)
		printf("  to be mapped: %#llx to %#llx\n",
		       sparse->areas[i].offset,
		       sparse->areas[i].offset + sparse->areas[i].size);
}

static void print_region(uint32_t index)
{
	struct vfio_region_info q = { .argsz = sizeof(q), .index = index };
	struct vfio_info_cap_header *cap;
	struct vfio_region_info *info;
	uint32_t offset;

	/* Not every device has all of them: the VGA region, for one. */
	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &q)) {
		printf("region %u: %s\n", index, strerror(errno));
		return;
	}
	q.argsz = sizeof(q);
	info = ask(device, VFIO_DEVICE_GET_REGION_INFO, &q, sizeof(q),
		   "region");
	printf("region %u: flags %#x, size %#llx\n", index, info->flags,
	       info->size);
	offset = info->flags & VFIO_REGION_INFO_FLAG_CAPS ? info->cap_offset :
							    0;
	for (; offset; offset = cap->next) {
		cap = (void *)((char *)info + offset);
		printf("  capability %u, version %u\n", cap->id, cap->version);
		if (cap->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP)
			print_sparse(cap);
	}
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		print_bytes(info, info->size);
	else if (index <= VFIO_PCI_BAR5_REGION_INDEX && info->size)
		print_bytes(info, BAR_BYTES);
	free(info);
}

static void print_irq(uint32_t index)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info))
		printf("interrupt %u: %s\n", index, strerror(errno));
	else
		printf("interrupt %u: flags %#x, count %u\n", index, info.flags,
		       info.count);
}

static void enable_memory(void)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	uint16_t command = PCI_COMMAND_MEMORY;

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    pwrite(device, &command, sizeof(command),
		   config.offset + PCI_COMMAND) != sizeof(command))
		err(1, "cannot enable the device");
}

int main(int argc, char **argv)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint32_t i;

	if (argc != 2)
		errx(1, "usage: pci_dump BDF");
	open_device(argv[1]);
	if (ioctl(device, VFIO_DEVICE_GET_INFO, &info))
		err(1, "%s", argv[1]);
	printf("flags %#x\n", info.flags);
	print_ranges();
	enable_memory();
	for (i = 0; i < info.num_regions; i++)
		print_region(i);
	for (i = 0; i < info.num_irqs; i++)
		print_irq(i);
	return 0;
}
