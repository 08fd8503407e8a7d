// SPDX-License-Identifier: GPL-2.0-only
/*
 * nvme_read [--type1] [--leave] BDF: an NVMe driver that is a program for
 * /dev/vfio, and prints what it finds: in which state the controller was, what
 * it says of itself, and blocks of its disk. It takes iommufd where there is
 * one, unless told to take groups. With --leave, it ends with the controller
 * running and everything set up, as a program does that is killed.
 *
 * What it prints is the same whichever way it reaches the controller.
 */
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "selftests/drivers/nvme.h"

#define NR_BLOCKS	64
#define STEP		8191	/* blocks from one that is read to the next */
#define QUEUES		2
#define DEPTH		8

/* What says whether the controller runs. Other registers keep what they had. */
static const struct {
	const char *name;
	unsigned int offset;
} states[] = {
	{ "CC", 0x14 }, { "CSTS", 0x1c },
};

static int fail(const char *what, int ret)
{
	fprintf(stderr, "nvme_read: %s: %s\n", what, strerror(-ret));
	return 1;
}

/* Reads the registers before anything is enabled, but for memory decoding. */
static int print_state(struct access *a)
{
	uint32_t command = access_config_read(a, PCI_COMMAND, 2);
	unsigned int i;
	int ret;

	printf("bus mastering: %u\n", !!(command & PCI_COMMAND_MASTER));
	ret = access_config_write(a, PCI_COMMAND, 2,
				  command | PCI_COMMAND_MEMORY);
	for (i = 0; !ret && i < ARRAY_SIZE(states); i++)
		printf("%s: %#jx\n", states[i].name, (uintmax_t)
		       access_read(a, VFIO_PCI_BAR0_REGION_INDEX,
				   states[i].offset, 4));
	return ret;
}

static void print_identity(const struct nvme *n)
{
	printf("model: %s\nserial: %s\nfirmware: %s\nblocks: %ju of %u bytes\n",
	       n->model, n->serial, n->firmware, (uintmax_t)n->nr_blocks,
	       n->block_size);
}

/* FNV-1a */
static uint64_t hash(const uint8_t *data, size_t size)
{
	uint64_t h = 0xcbf29ce484222325;

	while (size--)
		h = (h ^ *data++) * 0x100000001b3;
	return h;
}

static int read_blocks(struct nvme *n, const struct access_dma *dma)
{
	unsigned int i;
	int ret;

	for (i = 0; i < NR_BLOCKS; i++) {
		uint64_t block = i * (uint64_t)STEP % n->nr_blocks;

		memset(dma->mem, 0xff, n->block_size);
		ret = nvme_io(n, 1 + i % QUEUES, false, block, 1, dma->iova);
		if (ret)
			return ret;
		printf("block %ju: %016jx\n", (uintmax_t)block,
		       (uintmax_t)hash(dma->mem, n->block_size));
		if (!block)
			printf("it begins with: %.32s\n",
			       (const char *)dma->mem);
	}
	return 0;
}

static int run(struct access *a, bool leave)
{
	struct access_dma dma;
	struct nvme n;
	int ret;

	ret = print_state(a);
	if (ret)
		return fail("cannot read its state", ret);
	ret = nvme_open(&n, a, QUEUES, DEPTH);
	if (ret)
		return fail("cannot start it", ret);
	print_identity(&n);
	ret = access_dma_alloc(a, n.block_size, &dma);
	if (ret) {
		nvme_close(&n);
		return fail("cannot map memory", ret);
	}
	ret = read_blocks(&n, &dma);
	if (leave) {
		fflush(stdout);
		_exit(!!ret);
	}
	access_dma_free(a, &dma);
	nvme_close(&n);
	return ret ? fail("cannot read", ret) : 0;
}

int main(int argc, char **argv)
{
	enum vfio_iommu_kind kind = VFIO_IOMMU_AUTO;
	struct vfio_why why = { 0 };
	struct access *a;
	bool leave = false;
	int ret;

	for (; argc > 2; argc--, argv++) {
		if (!strcmp(argv[1], "--type1"))
			kind = VFIO_IOMMU_TYPE1;
		else if (!strcmp(argv[1], "--leave"))
			leave = true;
		else
			break;
	}
	if (argc != 2) {
		fprintf(stderr, "usage: nvme_read [--type1] [--leave] BDF\n");
		return 1;
	}
	ret = access_vfio_open(argv[1], kind, &why, &a);
	if (ret) {
		fprintf(stderr, "nvme_read: %s\n", why.text);
		return 1;
	}
	ret = run(a, leave);
	access_close(a);
	return ret;
}
