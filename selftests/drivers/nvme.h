/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DRIVERS_NVME_H
#define DRIVERS_NVME_H

#include "access.h"

#define NVME_MAX_QUEUES		16	/* I/O queue pairs */
#define NVME_MAX_DEPTH		64

/**
 * struct nvme_queue - a submission queue with its completion queue
 * @mem: both queues, and a page for each slot's PRP list
 * @sq: submission entries, in @mem
 * @cq: completion entries, in @mem
 * @lists: PRP lists, in @mem
 * @lists_iova: where the device has them
 * @irq: eventfd of its MSI-X vector, which has the queue's number
 * @signals: how often @irq has been signalled
 * @awake: it has been since there was last nothing in flight
 * @depth: entries of each queue
 * @tail: where the next submission goes
 * @head: where the next completion is looked for
 * @phase: what its phase bit will be
 * @busy: slots whose command hasn't completed
 * @in_flight: how many those are
 */
struct nvme_queue {
	struct access_dma mem;
	void *sq;
	void *cq;
	uint64_t *lists;
	uint64_t lists_iova;
	int irq;
	uint64_t signals;
	bool awake;
	uint16_t depth;
	uint16_t tail;
	uint16_t head;
	uint16_t phase;
	bool busy[NVME_MAX_DEPTH];
	unsigned int in_flight;
};

/**
 * struct nvme - an NVMe controller with one namespace in use
 * @a: the device, owned by the caller
 * @bar: its registers
 * @stride: bytes from one doorbell to the next
 * @nr_queues: I/O queue pairs; they are numbered from 1, 0 is the admin queue
 * @queues: the admin queue, then the others
 * @model: as the controller says, without trailing blanks
 * @serial: likewise
 * @firmware: likewise
 * @block_size: bytes in a block
 * @nr_blocks: how many there are
 * @max_transfer: most bytes in one command
 * @status: status field of the last command that failed, phase bit removed
 */
struct nvme {
	struct access *a;
	struct access_bar bar;
	uint32_t stride;
	unsigned int nr_queues;
	struct nvme_queue queues[NVME_MAX_QUEUES + 1];
	char model[41];
	char serial[21];
	char firmware[9];
	uint32_t block_size;
	uint64_t nr_blocks;
	uint64_t max_transfer;
	uint16_t status;
};

/**
 * nvme_open() - reset the controller, identify it, and create its queues
 * @n: filled in
 * @a: the device, which must outlive @n
 * @nr_queues: I/O queue pairs, up to NVME_MAX_QUEUES
 * @depth: entries of each queue, from 2 to NVME_MAX_DEPTH; one less is how
 *         many commands can be in flight
 *
 * Return: 0, -ENODEV if this is no NVMe controller, -ETIMEDOUT, -EIO if the
 * controller fails a command (@n->status), or another negative errno. On
 * error nothing is left to be closed.
 */
int nvme_open(struct nvme *n, struct access *a, unsigned int nr_queues,
	      unsigned int depth);

/**
 * nvme_close() - disable the controller and free everything
 * @n: an open controller, dead or alive, or all zeroes
 */
void nvme_close(struct nvme *n);

/** nvme_csts() - the controller's status register */
uint32_t nvme_csts(struct nvme *n);

/** nvme_fatal() - has the controller given up (CSTS.CFS)? */
bool nvme_fatal(struct nvme *n);

/**
 * nvme_submit() - start one read or write
 * @n: an open controller
 * @queue: 1 to nr_queues
 * @write: from memory to the disk, or the other way
 * @block: first block on the disk
 * @count: blocks, up to max_transfer bytes in all
 * @iova: of the data, page-aligned
 *
 * Return: the slot that it has, -EAGAIN when the queue is full, or -EINVAL.
 */
int nvme_submit(struct nvme *n, unsigned int queue, bool write, uint64_t block,
		unsigned int count, uint64_t iova);

/**
 * nvme_arrived() - is a queue's next completion in memory?
 * @n: an open controller
 * @queue: 0 to nr_queues
 *
 * It stays there for nvme_wait(), which waits for the interrupt all the same.
 */
bool nvme_arrived(const struct nvme *n, unsigned int queue);

/**
 * nvme_wait() - wait for the next completion of a queue, by its interrupt
 * @n: an open controller
 * @queue: 0 to nr_queues
 * @timeout_ms: how long, in milliseconds
 * @status: set to the command's status field, 0 for success
 *
 * Nothing counts as completed before the queue has been signalled: a command
 * that is alone in flight fails here if its interrupt doesn't come.
 *
 * Return: the slot whose command has completed, -ETIMEDOUT, or -EPROTO when
 * the completion makes no sense.
 */
int nvme_wait(struct nvme *n, unsigned int queue, int timeout_ms,
	      uint16_t *status);

/**
 * nvme_io() - one read or write, from beginning to end
 *
 * As nvme_submit() and nvme_wait().
 *
 * Return: 0, -EIO if the controller failed it (@n->status), -ETIMEDOUT, or
 * another negative errno.
 */
int nvme_io(struct nvme *n, unsigned int queue, bool write, uint64_t block,
	    unsigned int count, uint64_t iova);

/**
 * nvme_transfer() - much data, with several commands in flight
 * @n: an open controller
 * @queue: 1 to nr_queues; nothing else must be in flight on it
 * @write: from memory to the disk, or the other way
 * @block: first block on the disk
 * @size: in bytes, whole blocks
 * @iova: of the data, page-aligned
 * @chunk: bytes in one command, whole pages
 *
 * Return: as nvme_io(); what was in flight has ended either way, except
 * after -ETIMEDOUT.
 */
int nvme_transfer(struct nvme *n, unsigned int queue, bool write,
		  uint64_t block, uint64_t size, uint64_t iova, uint64_t chunk);

#endif
