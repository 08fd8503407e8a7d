/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DRIVERS_EDU_H
#define DRIVERS_EDU_H

#include "access.h"

/* Bytes that the device keeps and can copy from and to memory. */
#define EDU_BUFFER_SIZE		4096

/* The device masks addresses with 28 bits. */
#define EDU_DMA_MASK		((1ull << 28) - 1)

/* Bits of the interrupt status: edu_raise() takes any, these mean something. */
#define EDU_IRQ_FACTORIAL	0x001u
#define EDU_IRQ_DMA		0x100u

/**
 * struct edu - QEMU's educational device
 * @a: the device, owned by the caller
 * @bar: its registers
 * @irq: eventfd of the interrupt that is set up, -1 without one
 * @irq_index: which interrupt index that is
 */
struct edu {
	struct access *a;
	struct access_bar bar;
	int irq;
	uint32_t irq_index;
};

/**
 * edu_open() - get at the device's registers
 * @edu: filled in
 * @a: the device, which must outlive @edu
 *
 * Return: 0 or a negative errno; -ENODEV if it isn't an edu.
 */
int edu_open(struct edu *edu, struct access *a);

/**
 * edu_close() - stop its interrupt and let go of its registers
 * @edu: an open edu, or all zeroes
 */
void edu_close(struct edu *edu);

/** edu_alive() - does the liveness register invert @value, as it should? */
bool edu_alive(struct edu *edu, uint32_t value);

/**
 * edu_factorial() - have the device compute a factorial
 * @edu: an open edu
 * @n: of what
 * @result: @n! modulo 2^32
 *
 * Return: 0 or -ETIMEDOUT.
 */
int edu_factorial(struct edu *edu, uint32_t n, uint32_t *result);

/**
 * edu_dma_start() - have the device copy, and return at once
 * @edu: an open edu
 * @iova: address of the memory; the device sees its lower 28 bits
 * @offset: in the device's buffer, in bytes
 * @count: bytes
 * @to_memory: from the device's buffer to memory, or the other way
 * @irq: raise EDU_IRQ_DMA at the end
 */
void edu_dma_start(struct edu *edu, uint64_t iova, uint32_t offset,
		   uint32_t count, bool to_memory, bool irq);

/**
 * edu_dma() - the same, and wait for its end by looking at the device
 *
 * Return: 0 or -ETIMEDOUT.
 */
int edu_dma(struct edu *edu, uint64_t iova, uint32_t offset, uint32_t count,
	    bool to_memory);

/**
 * edu_irq_setup() - have the device signal an eventfd
 * @edu: an open edu, whose @irq this sets
 * @index: VFIO_PCI_INTX_IRQ_INDEX or VFIO_PCI_MSI_IRQ_INDEX
 *
 * Return: 0 or a negative errno.
 */
int edu_irq_setup(struct edu *edu, uint32_t index);

/** edu_raise() - raise the interrupt with these bits in its status */
void edu_raise(struct edu *edu, uint32_t bits);

/** edu_irq_status() - which bits are raised */
uint32_t edu_irq_status(struct edu *edu);

/** edu_ack() - take bits back; INTx falls when none is left */
void edu_ack(struct edu *edu, uint32_t bits);

#endif
