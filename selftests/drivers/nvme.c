// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver for an NVMe controller.
 *
 * Queue 0 is the admin queue; queue pair q uses MSI-X vector q, whose eventfd
 * is all that is ever waited for. A command's identifier is the slot that it
 * has in its queue; each slot owns a page for a PRP list, so that submitting
 * allocates nothing. Once the queues exist, a read or write is a store to
 * memory and two to doorbells: no message, no system call but the poll(2) of
 * the eventfd.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include "nvme.h"

#define NVME_REG_CAP		0x00
#define NVME_REG_CC		0x14
#define NVME_REG_CSTS		0x1c
#define NVME_REG_AQA		0x24
#define NVME_REG_ASQ		0x28
#define NVME_REG_ACQ		0x30
#define NVME_REG_DOORBELLS	0x1000

#define NVME_CC_ENABLE		(1u << 0)
#define NVME_CC_IOSQES		(6u << 16)	/* 64 bytes */
#define NVME_CC_IOCQES		(4u << 20)	/* 16 bytes */
#define NVME_CSTS_READY		(1u << 0)
#define NVME_CSTS_FATAL		(1u << 1)

#define NVME_ADMIN_CREATE_SQ	0x01
#define NVME_ADMIN_CREATE_CQ	0x05
#define NVME_ADMIN_IDENTIFY	0x06
#define NVME_ADMIN_SET_FEATURES	0x09
#define NVME_FEATURE_QUEUES	0x07
#define NVME_QUEUE_CONTIGUOUS	(1u << 0)
#define NVME_CQ_IRQ_ENABLED	(1u << 1)
#define NVME_IDENTIFY_NAMESPACE	0
#define NVME_IDENTIFY_CTRL	1

#define NVME_IO_WRITE		0x01
#define NVME_IO_READ		0x02

#define NVME_PAGE		4096u
#define NVME_LIST_ENTRIES	(NVME_PAGE / 8)
#define NVME_NSID		1
#define NVME_ADMIN_DEPTH	16
#define NVME_TIMEOUT_MS		20000

struct nvme_command {
	uint8_t opcode;
	uint8_t flags;
	uint16_t cid;
	uint32_t nsid;
	uint64_t reserved;
	uint64_t metadata;
	uint64_t prp1;
	uint64_t prp2;
	uint32_t cdw10;
	uint32_t cdw11;
	uint32_t cdw12;
	uint32_t cdw13;
	uint32_t cdw14;
	uint32_t cdw15;
};

_Static_assert(sizeof(struct nvme_command) == 64, "nvme_command");

struct nvme_completion {
	uint32_t result;
	uint32_t reserved;
	uint16_t sq_head;
	uint16_t sq_id;
	uint16_t cid;
	uint16_t status;
};

_Static_assert(sizeof(struct nvme_completion) == 16, "nvme_completion");

static void ring(struct nvme *n, unsigned int doorbell, uint32_t value)
{
	access_bar_write32(&n->bar, NVME_REG_DOORBELLS + doorbell * n->stride,
			   value);
}

static int wait_ready(struct nvme *n, uint32_t want)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	int left = NVME_TIMEOUT_MS;
	uint32_t csts;

	for (;;) {
		csts = access_bar_read32(&n->bar, NVME_REG_CSTS);
		if (csts == ~0u)
			return -ENODEV;
		if (csts & NVME_CSTS_FATAL && want)
			return -EIO;
		if ((csts & NVME_CSTS_READY) == want)
			return 0;
		if (!left--)
			return -ETIMEDOUT;
		nanosleep(&nap, NULL);
	}
}

uint32_t nvme_csts(struct nvme *n)
{
	return access_bar_read32(&n->bar, NVME_REG_CSTS);
}

bool nvme_fatal(struct nvme *n)
{
	return nvme_csts(n) & NVME_CSTS_FATAL;
}

static int disable(struct nvme *n)
{
	access_bar_write32(&n->bar, NVME_REG_CC, 0);
	return wait_ready(n, 0);
}

static int queue_init(struct nvme *n, struct nvme_queue *q, unsigned int depth)
{
	/* One page holds NVME_MAX_DEPTH entries of either queue. */
	_Static_assert(NVME_MAX_DEPTH * sizeof(struct nvme_command) <=
		       NVME_PAGE, "a submission queue is a page");
	int ret;

	ret = access_dma_alloc(n->a, (2 + depth) * NVME_PAGE, &q->mem);
	if (ret)
		return ret;
	q->sq = q->mem.mem;
	q->cq = q->mem.mem + NVME_PAGE;
	q->lists = q->mem.mem + 2 * NVME_PAGE;
	q->lists_iova = q->mem.iova + 2 * NVME_PAGE;
	q->depth = depth;
	q->phase = 1;
	return 0;
}

static int find_slot(struct nvme_queue *q)
{
	unsigned int slot;

	if (q->in_flight >= q->depth - 1)
		return -EAGAIN;
	for (slot = 0; q->busy[slot]; slot++)
		;
	return slot;
}

static void push(struct nvme *n, unsigned int queue, unsigned int slot,
		 struct nvme_command *command)
{
	struct nvme_queue *q = &n->queues[queue];

	command->cid = slot;
	memcpy(q->sq + q->tail * sizeof(*command), command, sizeof(*command));
	q->busy[slot] = true;
	q->in_flight++;
	q->tail = (q->tail + 1) % q->depth;
	ring(n, 2 * queue, q->tail);
}

bool nvme_arrived(const struct nvme *n, unsigned int queue)
{
	const struct nvme_queue *q = &n->queues[queue];
	const struct nvme_completion *c = q->cq + q->head * sizeof(*c);

	return (__atomic_load_n(&c->status, __ATOMIC_ACQUIRE) & 1) == q->phase;
}

/* The next completion of a queue, if it is there: its slot, or -EAGAIN. */
static int reap(struct nvme *n, unsigned int queue, uint16_t *status)
{
	struct nvme_queue *q = &n->queues[queue];
	struct nvme_completion *c = q->cq + q->head * sizeof(*c);
	uint16_t field, slot;

	if (!nvme_arrived(n, queue))
		return -EAGAIN;
	field = c->status;
	slot = c->cid;
	if (++q->head == q->depth) {
		q->head = 0;
		q->phase ^= 1;
	}
	ring(n, 2 * queue + 1, q->head);
	if (slot >= q->depth || !q->busy[slot])
		return -EPROTO;
	q->busy[slot] = false;
	if (!--q->in_flight)
		q->awake = false;
	*status = field >> 1;
	return slot;
}

int nvme_wait(struct nvme *n, unsigned int queue, int timeout_ms,
	      uint16_t *status)
{
	struct nvme_queue *q = &n->queues[queue];
	int64_t times;
	int slot;

	for (;;) {
		slot = q->awake ? reap(n, queue, status) : -EAGAIN;
		if (slot != -EAGAIN)
			return slot;
		times = access_irq_wait(q->irq, timeout_ms);
		if (times < 0)
			return times;
		if (!times)
			return -ETIMEDOUT;
		q->signals += times;
		q->awake = true;
	}
}

/* Wait for one completion and turn a status into an errno. */
static int finish(struct nvme *n, unsigned int queue)
{
	uint16_t status;
	int slot;

	slot = nvme_wait(n, queue, NVME_TIMEOUT_MS, &status);
	if (slot < 0)
		return slot;
	if (status) {
		n->status = status;
		return -EIO;
	}
	return 0;
}

static int admin(struct nvme *n, struct nvme_command *command)
{
	int slot = find_slot(&n->queues[0]);

	if (slot < 0)
		return slot;
	push(n, 0, slot, command);
	return finish(n, 0);
}

static void copy_string(char *to, const uint8_t *from, size_t len)
{
	memcpy(to, from, len);
	while (len && (to[len - 1] == ' ' || !to[len - 1]))
		len--;
	to[len] = '\0';
}

static int identify_ctrl(struct nvme *n, struct access_dma *page)
{
	struct nvme_command command = {
		.opcode = NVME_ADMIN_IDENTIFY,
		.prp1 = page->iova,
		.cdw10 = NVME_IDENTIFY_CTRL,
	};
	const uint8_t *data = page->mem;
	int ret;

	ret = admin(n, &command);
	if (ret)
		return ret;
	copy_string(n->serial, data + 4, sizeof(n->serial) - 1);
	copy_string(n->model, data + 24, sizeof(n->model) - 1);
	copy_string(n->firmware, data + 64, sizeof(n->firmware) - 1);
	/* MDTS, a power of two in pages; a list of one page is what we have. */
	n->max_transfer = NVME_LIST_ENTRIES * NVME_PAGE;
	if (data[77] && data[77] < 9)
		n->max_transfer = (uint64_t)NVME_PAGE << data[77];
	return 0;
}

static int identify_namespace(struct nvme *n, struct access_dma *page)
{
	struct nvme_command command = {
		.opcode = NVME_ADMIN_IDENTIFY,
		.nsid = NVME_NSID,
		.prp1 = page->iova,
		.cdw10 = NVME_IDENTIFY_NAMESPACE,
	};
	const uint8_t *data = page->mem;
	uint32_t format;
	int ret;

	ret = admin(n, &command);
	if (ret)
		return ret;
	memcpy(&n->nr_blocks, data, sizeof(n->nr_blocks));
	/* FLBAS says which of the formats that follow at 128 is in use. */
	memcpy(&format, data + 128 + 4 * (data[26] & 0xf), sizeof(format));
	n->block_size = 1u << ((format >> 16) & 0xff);
	if (n->block_size < 512 || n->block_size > NVME_PAGE)
		return -EPROTO;
	return 0;
}

static int identify(struct nvme *n)
{
	struct access_dma page = {};
	int ret;

	ret = access_dma_alloc(n->a, NVME_PAGE, &page);
	if (ret)
		return ret;
	ret = identify_ctrl(n, &page);
	if (!ret)
		ret = identify_namespace(n, &page);
	access_dma_free(n->a, &page);
	return ret;
}

static int create_queue(struct nvme *n, unsigned int queue, unsigned int depth)
{
	struct nvme_queue *q = &n->queues[queue];
	struct nvme_command command = {
		.opcode = NVME_ADMIN_CREATE_CQ,
		.cdw10 = (depth - 1) << 16 | queue,
		.cdw11 = queue << 16 | NVME_CQ_IRQ_ENABLED |
			 NVME_QUEUE_CONTIGUOUS,
	};
	int ret;

	ret = queue_init(n, q, depth);
	if (ret)
		return ret;
	command.prp1 = q->mem.iova + NVME_PAGE;
	ret = admin(n, &command);
	if (ret)
		return ret;
	command.opcode = NVME_ADMIN_CREATE_SQ;
	command.prp1 = q->mem.iova;
	command.cdw11 = queue << 16 | NVME_QUEUE_CONTIGUOUS;
	return admin(n, &command);
}

static int create_queues(struct nvme *n, unsigned int depth)
{
	struct nvme_command command = {
		.opcode = NVME_ADMIN_SET_FEATURES,
		.cdw10 = NVME_FEATURE_QUEUES,
		.cdw11 = (n->nr_queues - 1) << 16 | (n->nr_queues - 1),
	};
	unsigned int queue;
	int ret;

	ret = admin(n, &command);
	for (queue = 1; !ret && queue <= n->nr_queues; queue++)
		ret = create_queue(n, queue, depth);
	return ret;
}

static int setup_irqs(struct nvme *n)
{
	int fds[NVME_MAX_QUEUES + 1];
	unsigned int i;

	for (i = 0; i <= n->nr_queues; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		n->queues[i].irq = fds[i];
		if (fds[i] < 0)
			return -errno;
	}
	return access_irq_enable(n->a, VFIO_PCI_MSIX_IRQ_INDEX, 0,
				 n->nr_queues + 1, fds);
}

static void write_address(struct nvme *n, uint32_t offset, uint64_t address)
{
	access_bar_write32(&n->bar, offset, address);
	access_bar_write32(&n->bar, offset + 4, address >> 32);
}

static int enable(struct nvme *n)
{
	struct nvme_queue *q = &n->queues[0];
	int ret;

	ret = queue_init(n, q, NVME_ADMIN_DEPTH);
	if (ret)
		return ret;
	access_bar_write32(&n->bar, NVME_REG_AQA,
			   (NVME_ADMIN_DEPTH - 1) << 16 |
			   (NVME_ADMIN_DEPTH - 1));
	write_address(n, NVME_REG_ASQ, q->mem.iova);
	write_address(n, NVME_REG_ACQ, q->mem.iova + NVME_PAGE);
	access_bar_write32(&n->bar, NVME_REG_CC,
			   NVME_CC_ENABLE | NVME_CC_IOSQES | NVME_CC_IOCQES);
	return wait_ready(n, NVME_CSTS_READY);
}

static int start(struct nvme *n, unsigned int depth)
{
	int ret;

	ret = disable(n);
	if (!ret)
		ret = setup_irqs(n);
	if (!ret)
		ret = enable(n);
	if (!ret)
		ret = identify(n);
	if (!ret)
		ret = create_queues(n, depth);
	return ret;
}

int nvme_open(struct nvme *n, struct access *a, unsigned int nr_queues,
	      unsigned int depth)
{
	unsigned int i;
	int ret;

	if (!nr_queues || nr_queues > NVME_MAX_QUEUES ||
	    depth < 2 || depth > NVME_MAX_DEPTH)
		return -EINVAL;
	memset(n, 0, sizeof(*n));
	for (i = 0; i <= NVME_MAX_QUEUES; i++)
		n->queues[i].irq = -1;
	ret = access_enable(a);
	if (ret)
		return ret;
	ret = access_bar_open(a, VFIO_PCI_BAR0_REGION_INDEX, &n->bar);
	if (ret)
		return ret;
	n->a = a;
	n->nr_queues = nr_queues;
	/* CAP.DSTRD, a power of two in words */
	n->stride = 4u << (access_bar_read32(&n->bar, NVME_REG_CAP + 4) & 0xf);
	ret = start(n, depth);
	if (ret)
		nvme_close(n);
	return ret;
}

void nvme_close(struct nvme *n)
{
	unsigned int i;

	if (!n->a)
		return;
	disable(n);
	access_irq_disable(n->a, VFIO_PCI_MSIX_IRQ_INDEX);
	for (i = 0; i <= n->nr_queues; i++) {
		access_dma_free(n->a, &n->queues[i].mem);
		close_fd(&n->queues[i].irq);
	}
	access_bar_close(&n->bar);
	n->a = NULL;
}

/* The second PRP entry for @len bytes at the page-aligned @iova. */
static uint64_t second_prp(struct nvme_queue *q, unsigned int slot,
			   uint64_t iova, uint64_t len)
{
	uint64_t *list = q->lists + slot * NVME_LIST_ENTRIES;
	unsigned int i, pages = (len + NVME_PAGE - 1) / NVME_PAGE;

	if (pages < 2)
		return 0;
	if (pages == 2)
		return iova + NVME_PAGE;
	for (i = 1; i < pages; i++)
		list[i - 1] = iova + (uint64_t)i * NVME_PAGE;
	return q->lists_iova + (uint64_t)slot * NVME_PAGE;
}

int nvme_submit(struct nvme *n, unsigned int queue, bool write, uint64_t block,
		unsigned int count, uint64_t iova)
{
	struct nvme_queue *q = &n->queues[queue];
	uint64_t len = (uint64_t)count * n->block_size;
	struct nvme_command command = {
		.opcode = write ? NVME_IO_WRITE : NVME_IO_READ,
		.nsid = NVME_NSID,
		.prp1 = iova,
		.cdw10 = block,
		.cdw11 = block >> 32,
		.cdw12 = count - 1,
	};
	int slot;

	if (!queue || queue > n->nr_queues || iova % NVME_PAGE || !len ||
	    len > n->max_transfer)
		return -EINVAL;
	slot = find_slot(q);
	if (slot < 0)
		return slot;
	command.prp2 = second_prp(q, slot, iova, len);
	push(n, queue, slot, &command);
	return slot;
}

int nvme_io(struct nvme *n, unsigned int queue, bool write, uint64_t block,
	    unsigned int count, uint64_t iova)
{
	int slot = nvme_submit(n, queue, write, block, count, iova);

	return slot < 0 ? slot : finish(n, queue);
}

int nvme_transfer(struct nvme *n, unsigned int queue, bool write,
		  uint64_t block, uint64_t size, uint64_t iova, uint64_t chunk)
{
	uint64_t done = 0, len;
	int ret = 0, end;

	if (!chunk || chunk % NVME_PAGE || size % n->block_size)
		return -EINVAL;
	while (done < size && !ret) {
		len = min(chunk, size - done);
		ret = nvme_submit(n, queue, write,
				  block + done / n->block_size,
				  len / n->block_size, iova + done);
		if (ret >= 0) {
			done += len;
			ret = 0;
		} else if (ret == -EAGAIN) {
			ret = finish(n, queue);
		}
	}
	while (n->queues[queue].in_flight) {
		end = finish(n, queue);
		if (end)
			ret = end;
		if (end && end != -EIO)
			break;
	}
	return ret;
}
