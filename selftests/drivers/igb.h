/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DRIVERS_IGB_H
#define DRIVERS_IGB_H

#include "access.h"

#define IGB_NR_VECTORS		10

/**
 * struct igb - an Intel 82576, without its network
 * @a: the device, owned by the caller
 * @bar: its registers
 * @fds: eventfd of each vector, owned by this; valid when @nr_vectors isn't 0
 * @nr_vectors: vectors that are set up
 */
struct igb {
	struct access *a;
	struct access_bar bar;
	int fds[IGB_NR_VECTORS];
	unsigned int nr_vectors;
};

/**
 * igb_open() - get at the device's registers
 * @igb: filled in
 * @a: the device, which must outlive @igb
 *
 * Return: 0 or a negative errno; -ENODEV if it isn't an 82576.
 */
int igb_open(struct igb *igb, struct access *a);

/**
 * igb_close() - stop interrupts and let go of the registers
 * @igb: an open igb, or all zeroes
 */
void igb_close(struct igb *igb);

/** igb_status() - the device status register; all ones when it doesn't answer */
uint32_t igb_status(struct igb *igb);

/**
 * igb_set_mark() - leave a number in a register that a reset clears
 * @igb: an open igb
 * @mark: 16 bits
 */
void igb_set_mark(struct igb *igb, uint16_t mark);

/** igb_mark() - what is there now */
uint16_t igb_mark(struct igb *igb);

/**
 * igb_leave_mark() - leave one, and nothing else
 * @a: the device
 *
 * Return: 0 or a negative errno.
 */
int igb_leave_mark(struct access *a);

/** igb_find_mark() - is that still there? 0 if it is, -ENODATA if not */
int igb_find_mark(struct access *a);

/**
 * igb_flr() - ask for a function-level reset through the PCI Express
 *	       capability
 * @igb: an open igb; its interrupts are gone afterwards, memory decoding and
 *       bus mastering are on
 *
 * Return: 0, -ENOTTY if the device can't, or a negative errno.
 */
int igb_flr(struct igb *igb);

/**
 * igb_irq_setup() - arm MSI-X vectors 0 to @count - 1 and make the device use
 *		     them
 * @igb: an open igb, whose @fds this sets
 * @count: up to IGB_NR_VECTORS
 *
 * Return: 0 or a negative errno.
 */
int igb_irq_setup(struct igb *igb, unsigned int count);

/**
 * igb_irq_arm() - make the device use the vectors of igb_irq_setup() again
 * @igb: an open igb that has been reset, and that is enabled
 */
void igb_irq_arm(struct igb *igb);

/** igb_irq_stop() - the counterpart of igb_irq_setup() */
void igb_irq_stop(struct igb *igb);

/** igb_trigger() - raise the vectors whose bits are set, by software */
void igb_trigger(struct igb *igb, uint32_t vectors);

#endif
