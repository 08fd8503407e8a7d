/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PCI_AER_H
#define PCI_AER_H

#include <stddef.h>

struct pci_aer;

/**
 * pci_aer_open() - begin to count the errors of a device and of the ports above it
 * @sysfs: directory of the device
 *
 * Takes a few fds, since files in /sys may be out of reach later.
 *
 * Return: what pci_aer_close() frees; NULL if the kernel counts none of them, or
 * there is no memory or no fd for that.
 */
struct pci_aer *pci_aer_open(const char *sysfs);

/** pci_aer_close() - the counterpart of pci_aer_open(), whatever that returned */
void pci_aer_close(struct pci_aer *aer);

/**
 * pci_aer_news() - which errors there have been since it was asked last
 * @aer: may be NULL
 * @buf: filled in: "0000:00:02.0: CmpltAbrt (non-fatal)", with commas between
 *       several; empty if there have been none
 * @len: size of @buf; what doesn't fit is left out
 */
void pci_aer_news(struct pci_aer *aer, char *buf, size_t len);

#endif
