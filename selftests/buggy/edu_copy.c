// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver with a bug in it, for Documentation/debugging-a-driver.rst.
 *
 * It drives QEMU's educational device by plain VFIO, with a group and a
 * container: has it copy some bytes from memory to a buffer of its own, and
 * back to another place in memory, and looks whether they have arrived. The
 * device raises INTx at the end of each copy. Nothing of this project is in
 * here, but for the bug.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define EDU_IRQ_STATUS		0x24
#define EDU_IRQ_ACK		0x64
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98
#define EDU_DMA_TO_DEVICE	0x5	/* start, and interrupt at the end */
#define EDU_DMA_FROM_DEVICE	0x7

#define BUFFER			0x40000	/* the device's own */
#define IOVA			0x100000
#define MEMORY_SIZE		0x2000
#define BLOCK_SIZE		256
#define BLOCKS			3

struct edu {
	int container;
	int group;
	int device;
	int irq;
	uint32_t *registers;
	uint8_t *memory;
};

static uint32_t reg_read(struct edu *d, unsigned int offset)
{
	return __atomic_load_n(d->registers + offset / 4, __ATOMIC_ACQUIRE);
}

static void reg_write(struct edu *d, unsigned int offset, uint32_t value)
{
	__atomic_store_n(d->registers + offset / 4, value, __ATOMIC_RELEASE);
}

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

static void open_device(struct edu *d, const char *bdf)
{
	char path[32];

	d->container = open("/dev/vfio/vfio", O_RDWR);
	if (d->container < 0)
		err(1, "/dev/vfio/vfio");
	snprintf(path, sizeof(path), "/dev/vfio/%d", group_of(bdf));
	d->group = open(path, O_RDWR);
	if (d->group < 0)
		err(1, "%s", path);
	if (ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &d->container) ||
	    ioctl(d->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		err(1, "cannot set up the container");
	d->device = ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (d->device < 0)
		err(1, "%s", bdf);
}

static void map_registers(struct edu *d)
{
	struct vfio_region_info bar = {
		.argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX,
	};

	if (ioctl(d->device, VFIO_DEVICE_GET_REGION_INFO, &bar))
		err(1, "cannot find the registers");
	d->registers = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			    d->device, bar.offset);
	if (d->registers == MAP_FAILED)
		err(1, "cannot map the registers");
}

static void map_memory(struct edu *d)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = IOVA,
		.size = MEMORY_SIZE,
	};

	d->memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (d->memory == MAP_FAILED)
		err(1, "no memory");
	map.vaddr = (uintptr_t)d->memory;
	if (ioctl(d->container, VFIO_IOMMU_MAP_DMA, &map))
		err(1, "cannot map memory for the device");
}

static void enable_bus_mastering(struct edu *d)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	if (ioctl(d->device, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    pwrite(d->device, &command, sizeof(command),
		   config.offset + PCI_COMMAND) != sizeof(command))
		err(1, "cannot enable the device");
}

/* @flags say what is done, and what @fd is for. */
static void set_intx(struct edu *d, uint32_t flags, int fd)
{
	char buf[sizeof(struct vfio_irq_set) + sizeof(fd)] = "";
	struct vfio_irq_set *set = (void *)buf;

	set->argsz = sizeof(*set);
	if (flags & VFIO_IRQ_SET_DATA_EVENTFD)
		set->argsz += sizeof(fd);
	set->flags = flags;
	set->index = VFIO_PCI_INTX_IRQ_INDEX;
	set->count = 1;
	memcpy(set->data, &fd, sizeof(fd));
	if (ioctl(d->device, VFIO_DEVICE_SET_IRQS, set))
		err(1, "cannot set the interrupt up");
}

static void enable_intx(struct edu *d)
{
	struct vfio_irq_info info = {
		.argsz = sizeof(info), .index = VFIO_PCI_INTX_IRQ_INDEX,
	};

	if (ioctl(d->device, VFIO_DEVICE_GET_IRQ_INFO, &info) || !info.count)
		errx(1, "the device has no INTx");
	reg_write(d, EDU_IRQ_ACK, ~0u);
	d->irq = eventfd(0, EFD_CLOEXEC);
	if (d->irq < 0)
		err(1, "eventfd");
	set_intx(d, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		 d->irq);
}

static void wait_for_interrupt(struct edu *d, const char *what)
{
	struct pollfd fd = { .fd = d->irq, .events = POLLIN };
	uint64_t count;

	if (poll(&fd, 1, 5000) != 1)
		errx(1, "%s: no interrupt", what);
	if (read(d->irq, &count, sizeof(count)) != sizeof(count))
		err(1, "%s", what);
	reg_write(d, EDU_IRQ_ACK, reg_read(d, EDU_IRQ_STATUS));
}

static void copy(struct edu *d, uint32_t from, uint32_t to, uint32_t command)
{
	reg_write(d, EDU_DMA_SRC, from);
	reg_write(d, EDU_DMA_DST, to);
	reg_write(d, EDU_DMA_COUNT, BLOCK_SIZE);
	reg_write(d, EDU_DMA_COMMAND, command);
}

static void there_and_back(struct edu *d, unsigned int block)
{
	uint8_t *out = d->memory + block * BLOCK_SIZE;
	uint8_t *in = out + MEMORY_SIZE / 2;

	memset(out, 'a' + block, BLOCK_SIZE);
	copy(d, IOVA + (out - d->memory), BUFFER, EDU_DMA_TO_DEVICE);
	wait_for_interrupt(d, "to the device");
	copy(d, BUFFER, IOVA + (in - d->memory), EDU_DMA_FROM_DEVICE);
	wait_for_interrupt(d, "from the device");
	if (memcmp(out, in, BLOCK_SIZE))
		errx(1, "block %u has not come back", block);
	printf("block %u: there and back\n", block);
}

int main(int argc, char **argv)
{
	unsigned int block;
	struct edu d;

	if (argc != 2)
		errx(1, "usage: edu_copy BDF");
	setlinebuf(stdout);
	open_device(&d, argv[1]);
	map_registers(&d);
	map_memory(&d);
	enable_bus_mastering(&d);
	enable_intx(&d);
	for (block = 0; block < BLOCKS; block++)
		there_and_back(&d, block);
	return 0;
}
