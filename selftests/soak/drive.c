// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients that drive a device: data through it and back, interrupts, maps that
 * come and go, and a reset in the middle.
 *
 * Each begins with a look at what the last client may have left, in the igb a
 * register that a reset clears, and leaves something there itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "selftests/drivers/edu.h"
#include "selftests/drivers/igb.h"
#include "selftests/drivers/nvme.h"
#include "soak.h"

#define DEPTH		8
#define CHUNK		(32u << 10)
#define FIRST_BLOCK	8192	/* the disk's first blocks are left alone */
#define NR_BLOCKS	65536	/* what is written to, from there */
#define ROUNDS		12
#define IRQ_MS		20000

#define SPARE_IOVA	0xc000000ull	/* out of the way of access_dma_alloc() */
#define SPARE_PAGES	64
#define SPARE_OFFSET	8192ull	/* in its file, and as much behind it */

/* The igb's status register in its BAR 0 */
#define WORD		8

/* Bits of the igb's register that mark it as used by us. */
#define MARK		0x5a00

/*
 * Memory of a random size at an address that was used before, out of the middle
 * of a file. What the device reaches there is compared by who calls this.
 */
static int spare_map(struct soak *s, struct access *a, struct access_dma *dma)
{
	int ret;

	dma->size = (1 + soak_random(s, SPARE_PAGES)) * 4096ull;
	dma->iova = SPARE_IOVA;
	dma->fd = memfd_create("spare", MFD_CLOEXEC);
	if (dma->fd < 0)
		return -errno;
	dma->mem = ftruncate(dma->fd, dma->size + 2 * SPARE_OFFSET) ? MAP_FAILED :
		   mmap(NULL, dma->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			dma->fd, SPARE_OFFSET);
	ret = dma->mem == MAP_FAILED ? -errno :
	      a->ops->dma_map(a, dma->iova, dma->size, dma->fd, SPARE_OFFSET,
			      VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
	if (!ret) {
		soak_count(&s->counters->maps, 1);
		return 0;
	}
	if (dma->mem != MAP_FAILED)
		munmap(dma->mem, dma->size);
	close(dma->fd);
	memset(dma, 0, sizeof(*dma));
	return ret;
}

/* As access_dma_free(), but what unmapping says is looked at, too. */
static int free_checked(struct access *a, struct access_dma *dma)
{
	int ret = 0;

	if (!dma->size)
		return 0;
	ret = a->ops->dma_unmap(a, dma->iova, dma->size);
	munmap(dma->mem, dma->size);
	close(dma->fd);
	memset(dma, 0, sizeof(*dma));
	return ret;
}

/*
 * NVMe
 */

static uint64_t signals(const struct nvme *n)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i <= n->nr_queues; i++)
		sum += n->queues[i].signals;
	return sum;
}

static int nvme_begin(struct soak *s, struct nvme *n, struct access *a)
{
	int ret = nvme_open(n, a, 1 + soak_random(s, 3), DEPTH);

	if (!ret)
		soak_by_message(s, &n->bar);
	return ret;
}

static void nvme_end(struct soak *s, struct nvme *n)
{
	soak_count(&s->counters->interrupts, signals(n));
	nvme_close(n);
}

/*
 * For whoever reads the log: did the controller not do it, or did its interrupt
 * not come?
 */
static int nvme_failed(struct nvme *n, int ret)
{
	unsigned int i;

	fprintf(stderr, "nvme: %s, status %#x, command register %#x\n",
		strerror(-ret), nvme_csts(n),
		access_config_read(n->a, PCI_COMMAND, 2));
	for (i = 0; i <= n->nr_queues; i++)
		fprintf(stderr, "nvme: queue %u: %u in flight, %s, %llu signals\n",
			i, n->queues[i].in_flight, nvme_arrived(n, i) ?
			"one is done" : "none is done",
			(unsigned long long)n->queues[i].signals);
	return ret;
}

/* Out of one memory, on the disk, and into another. */
static int nvme_round(struct soak *s, struct nvme *n, struct access_dma *from,
		      struct access_dma *to)
{
	uint64_t seed = soak_random(s, ~0u), max = min(from->size, to->size);
	uint64_t size = (1 + soak_random(s, max / 4096)) * 4096;
	uint64_t block = FIRST_BLOCK +
			 soak_random(s, NR_BLOCKS - size / n->block_size);
	unsigned int queue = 1 + soak_random(s, n->nr_queues);
	int ret;

	soak_fill(from->mem, size, seed);
	ret = nvme_transfer(n, queue, true, block, size, from->iova, CHUNK);
	if (ret)
		return nvme_failed(n, ret);
	memset(to->mem, 0xee, size);
	ret = nvme_transfer(n, queue, false, block, size, to->iova, CHUNK);
	return ret ? nvme_failed(n, ret) :
		     soak_verify(s, "nvme", to->mem, size, seed, 2 * size);
}

static int nvme_rounds(struct soak *s, struct access *a, struct nvme *n,
		       bool spare)
{
	unsigned int i, rounds = 2 + soak_random(s, ROUNDS);
	unsigned int reset = soak_random(s, 2 * rounds);
	struct access_dma dma = {}, other = {};
	int ret;

	ret = soak_alloc(s, a, (8 + soak_random(s, 64)) * 4096, &dma);
	for (i = 0; !ret && i < rounds; i++) {
		if (spare)
			ret = spare_map(s, a, &other);
		if (!ret)
			ret = nvme_round(s, n, &dma, spare ? &other : &dma);
		if (!ret)
			ret = free_checked(a, &other);
		if (ret || i != reset)
			continue;
		nvme_end(s, n);
		ret = soak_reset(s, a);
		if (!ret)
			ret = nvme_begin(s, n, a);
		if (ret)
			memset(n, 0, sizeof(*n));
	}
	access_dma_free(a, &other);
	access_dma_free(a, &dma);
	return ret;
}

int soak_nvme(struct soak *s)
{
	struct nvme n = {};
	struct access *a;
	int ret;

	ret = soak_connect(s, s->paths[0], &a);
	if (ret)
		return ret;
	ret = nvme_begin(s, &n, a);
	if (!ret) {
		ret = nvme_rounds(s, a, &n, true);
		if (n.a)
			nvme_end(s, &n);
	}
	access_close(a);
	return ret;
}

/* Each store to a register has the daemon read all memory: it is kept small. */
int soak_shadow(struct soak *s)
{
	struct access_dma dma = {};
	unsigned int i, ms = IRQ_MS;
	struct nvme n = {};
	struct access *a;
	int ret;

	while ((ret = access_shadow_open(s->paths[0], soak_random(s, 2), &a)) ==
	       -EBUSY && ms) {
		usleep(20000);
		ms -= 20;
	}
	if (ret)
		return ret;
	soak_count(&s->counters->sessions, 1);
	ret = nvme_open(&n, a, 1, 4);
	if (!ret)
		ret = soak_alloc(s, a, 32 << 10, &dma);
	for (i = 0; !ret && i < 4; i++)
		ret = nvme_round(s, &n, &dma, &dma);
	access_dma_free(a, &dma);
	if (n.a)
		nvme_end(s, &n);
	access_close(a);
	return ret;
}

/*
 * edu
 */

static int edu_interrupt(struct soak *s, struct edu *edu, uint32_t bit)
{
	if (access_irq_wait(edu->irq, IRQ_MS) < 1)
		return -ETIMEDOUT;
	soak_count(&s->counters->interrupts, 1);
	edu_ack(edu, bit);
	if (edu->irq_index != VFIO_PCI_INTX_IRQ_INDEX)
		return 0;
	return access_irq_unmask(edu->a, VFIO_PCI_INTX_IRQ_INDEX, 0);
}

/* Into the device and back, with an interrupt for the end of one of them. */
static int edu_round(struct soak *s, struct edu *edu, struct access_dma *from,
		     struct access_dma *to)
{
	uint32_t size = 1 + soak_random(s, EDU_BUFFER_SIZE - 1);
	uint64_t seed = soak_random(s, ~0u);
	uint64_t where = soak_random(s, to->size / 4096) * 4096;
	int ret;

	soak_fill(from->mem, size, seed);
	ret = edu_dma(edu, from->iova, 0, size, false);
	if (ret)
		return ret;
	memset(to->mem + where, ~*(uint8_t *)from->mem, size);
	edu_dma_start(edu, to->iova + where, 0, size, true, true);
	ret = edu_interrupt(s, edu, EDU_IRQ_DMA);
	return ret ? ret : soak_verify(s, "edu", to->mem + where, size, seed,
				       2 * size);
}

/* What has been unmapped the device doesn't reach, and nobody says so. */
static int edu_unmapped(struct soak *s, struct edu *edu, struct access_dma *dma)
{
	uint64_t seed = soak_random(s, ~0u);
	int ret;

	ret = edu->a->ops->dma_unmap(edu->a, dma->iova, dma->size);
	if (ret)
		return ret;
	soak_fill(dma->mem, EDU_BUFFER_SIZE, seed);
	ret = edu_dma(edu, dma->iova, 0, EDU_BUFFER_SIZE, true);
	if (!ret)
		ret = soak_verify(s, "edu: memory that was unmapped", dma->mem,
				  EDU_BUFFER_SIZE, seed, 0);
	if (!ret)
		soak_count(&s->counters->unreached, 1);
	munmap(dma->mem, dma->size);
	close(dma->fd);
	memset(dma, 0, sizeof(*dma));
	return ret;
}

static int edu_rounds(struct soak *s, struct edu *edu)
{
	struct access_dma dma = {}, other = {};
	unsigned int i, rounds = 1 + soak_random(s, ROUNDS);
	int ret;

	ret = soak_alloc(s, edu->a, 4096 * (1 + soak_random(s, 16)), &dma);
	for (i = 0; !ret && i < rounds; i++) {
		ret = spare_map(s, edu->a, &other);
		if (!ret)
			ret = edu_round(s, edu, &dma, &other);
		if (!ret)
			ret = soak_random(s, 4) ? free_checked(edu->a, &other) :
			      edu_unmapped(s, edu, &other);
		if (ret)
			break;
		edu_raise(edu, EDU_IRQ_FACTORIAL);
		ret = edu_interrupt(s, edu, EDU_IRQ_FACTORIAL);
	}
	access_dma_free(edu->a, &other);
	access_dma_free(edu->a, &dma);
	return ret;
}

int soak_edu(struct soak *s)
{
	struct edu edu = {};
	struct access *a;
	int ret;

	ret = soak_connect(s, s->paths[0], &a);
	if (ret)
		return ret;
	ret = edu_open(&edu, a);
	if (!ret) {
		soak_by_message(s, &edu.bar);
		ret = edu_irq_setup(&edu, soak_random(s, 2) ?
				    VFIO_PCI_INTX_IRQ_INDEX :
				    VFIO_PCI_MSI_IRQ_INDEX);
	}
	if (!ret)
		ret = edu_rounds(s, &edu);
	edu_close(&edu);
	access_close(a);
	return ret;
}

/*
 * Two edus of one group. To use the second one takes having mapped the memory
 * by which its session is the same client's as the first's.
 */

static int group_open(struct soak *s, int i, int fd, uint64_t size,
		      struct access **a, struct edu *edu)
{
	int ret = soak_connect(s, s->paths[i], a);

	if (ret) {
		*a = NULL;
		return ret;
	}
	ret = (*a)->ops->dma_map(*a, SPARE_IOVA, size, fd, 0,
				 VFIO_DMA_MAP_FLAG_READ |
				 VFIO_DMA_MAP_FLAG_WRITE);
	if (ret)
		return ret;
	soak_count(&s->counters->maps, 1);
	return edu_open(edu, *a);
}

static int group_rounds(struct soak *s, struct edu *edus, void *mem,
			uint64_t size)
{
	struct access_dma dma = { .mem = mem, .iova = SPARE_IOVA, .size = size };
	unsigned int i, rounds = 1 + soak_random(s, ROUNDS);
	int ret = 0;

	for (i = 0; !ret && i < 2; i++)
		ret = edu_irq_setup(&edus[i], VFIO_PCI_MSI_IRQ_INDEX);
	for (i = 0; !ret && i < rounds; i++)
		ret = edu_round(s, &edus[soak_random(s, 2)], &dma, &dma);
	if (ret || soak_random(s, 2))
		return ret;
	/*
	 * The bus is both's, and their one client may have it reset. What it has
	 * set up is there afterwards.
	 */
	ret = soak_reset(s, edus[soak_random(s, 2)].a);
	for (i = 0; !ret && i < 2; i++)
		ret = edu_round(s, &edus[i], &dma, &dma);
	return ret;
}

int soak_group(struct soak *s)
{
	uint64_t size = 4096 * (2 + soak_random(s, 32));
	struct access *as[2] = {};
	struct edu edus[2] = {};
	int fd = memfd_create("both", MFD_CLOEXEC);
	void *mem;
	int i, ret;

	if (fd < 0 || ftruncate(fd, size))
		return -errno;
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		return -errno;
	ret = group_open(s, 0, fd, size, &as[0], &edus[0]);
	if (!ret)
		ret = group_open(s, 1, fd, size, &as[1], &edus[1]);
	if (!ret)
		ret = group_rounds(s, edus, mem, size);
	for (i = 0; i < 2; i++) {
		edu_close(&edus[i]);
		access_close(as[i]);
	}
	return ret;
}

/*
 * igb
 */

static int igb_is_fresh(struct soak *s, struct igb *igb)
{
	if ((igb_mark(igb) & 0xff00) == MARK)
		return soak_data_error(s, "igb: what was there before is there still");
	return 0;
}

/* Each comes on the eventfd of its vector. */
static int igb_fire(struct soak *s, struct igb *igb)
{
	unsigned int i, vector, count = igb->nr_vectors;

	for (i = 0; i < 2 * count; i++) {
		vector = soak_random(s, count);
		igb_trigger(igb, 1u << vector);
		if (access_irq_wait(igb->fds[vector], IRQ_MS) != 1)
			return -ETIMEDOUT;
		soak_count(&s->counters->interrupts, 1);
	}
	return 0;
}

/* It clears the device's registers; the client's eventfds stay. */
static int igb_reset(struct soak *s, struct igb *igb)
{
	int ret = soak_reset(s, igb->a);

	if (!ret)
		ret = access_enable(igb->a);
	if (!ret)
		ret = igb_is_fresh(s, igb);
	if (ret)
		return ret;
	igb_irq_arm(igb);
	return igb_fire(s, igb);
}

static int igb_maps(struct soak *s, struct access *a)
{
	struct access_dma dma[16] = {};
	unsigned int i, nr = soak_random(s, ARRAY_SIZE(dma));
	int ret = 0;

	for (i = 0; !ret && i < nr; i++)
		ret = soak_alloc(s, a, 4096 * (1 + soak_random(s, 256)), &dma[i]);
	/* What isn't unmapped here goes with the session. */
	for (i = 0; i < ARRAY_SIZE(dma); i += 1 + soak_random(s, 2))
		access_dma_free(a, &dma[i]);
	return ret;
}

/*
 * Where the file of the device has another BAR: that of BAR 0, which all clients
 * use, begins at 0. In the igb's other one nothing is found, by message nor in a
 * mapping, where BAR 0 has a register that isn't 0.
 */
static int igb_other_bar(struct soak *s, struct igb *igb)
{
	struct access_bar bar;
	uint32_t mapped;
	int ret;

	ret = access_bar_open(igb->a, VFIO_PCI_BAR1_REGION_INDEX, &bar);
	if (ret || !bar.mem)
		return ret;
	mapped = access_bar_read32(&bar, WORD);
	munmap(bar.mem, bar.size);
	bar.mem = NULL;
	if (mapped != access_bar_read32(&bar, WORD))
		ret = soak_data_error(s, "igb: another BAR's mapping is elsewhere");
	access_bar_close(&bar);
	return ret;
}

static int igb_round(struct soak *s, struct igb *igb, uint16_t mark)
{
	int ret = igb_fire(s, igb);

	if (!ret)
		ret = igb_maps(s, igb->a);
	if (ret)
		return ret;
	if (igb_mark(igb) != mark)
		return -EIO;
	return soak_random(s, 3) ? 0 : igb_reset(s, igb);
}

static int igb_rounds(struct soak *s, struct igb *igb)
{
	uint16_t mark = MARK | soak_random(s, 256);
	unsigned int i, rounds = 1 + soak_random(s, ROUNDS);
	int ret = 0;

	for (i = 0; !ret && i < rounds; i++) {
		igb_set_mark(igb, mark);
		ret = igb_irq_setup(igb, 1 + soak_random(s, IGB_NR_VECTORS));
		if (!ret)
			ret = igb_round(s, igb, mark);
		igb_irq_stop(igb);
	}
	igb_set_mark(igb, mark);
	return ret;
}

int soak_igb(struct soak *s)
{
	struct igb igb = {};
	struct access *a;
	int ret;

	ret = soak_connect(s, s->paths[0], &a);
	if (ret)
		return ret;
	ret = igb_open(&igb, a);
	if (!ret) {
		soak_by_message(s, &igb.bar);
		ret = igb_is_fresh(s, &igb);
	}
	if (!ret)
		ret = igb_other_bar(s, &igb);
	if (!ret)
		ret = igb_rounds(s, &igb);
	if (igb.a)
		igb_close(&igb);
	access_close(a);
	return ret;
}

/* A program for VFIO, when no daemon has the igb. */
int soak_direct(struct soak *s)
{
	enum vfio_iommu_kind kind = soak_random(s, 2) &&
				    !access("/dev/iommu", F_OK) ?
		VFIO_IOMMU_IOMMUFD : VFIO_IOMMU_TYPE1;
	struct vfio_why why = {};
	struct igb igb = {};
	struct access *a;
	int ret;

	ret = access_vfio_open(s->paths[0], kind, &why, &a);
	if (ret) {
		fprintf(stderr, "%s\n", why.text);
		return ret;
	}
	ret = igb_open(&igb, a);
	if (!ret)
		ret = igb_is_fresh(s, &igb);
	if (!ret)
		ret = igb_rounds(s, &igb);
	if (igb.a)
		igb_close(&igb);
	access_close(a);
	return ret;
}
