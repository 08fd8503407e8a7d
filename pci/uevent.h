/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PCI_UEVENT_H
#define PCI_UEVENT_H

#include <stdbool.h>
#include <stddef.h>
#include "device.h"

enum pci_uevent_action {
	PCI_UEVENT_ADD,		/* the device is there, without a driver yet */
	PCI_UEVENT_BIND,	/* a driver has it */
	PCI_UEVENT_UNBIND,	/* a driver has it no more */
	PCI_UEVENT_REMOVE,	/* the device is gone */
};

/**
 * struct pci_uevent - something has happened to a device
 * @action: what
 * @name: PCI address or UUID, as in struct pci_name
 * @driver: with PCI_UEVENT_BIND, which; else ""
 */
struct pci_uevent {
	enum pci_uevent_action action;
	char name[PCI_NAME_LEN];
	char driver[64];
};

struct pci_uevents;

/**
 * pci_uevents_open() - hear what the kernel tells of devices
 * @out: set to a source of events, to be given to pci_uevents_close()
 *
 * The kernel tells it in the network namespace of the host only: in another
 * one this succeeds and nothing ever comes.
 *
 * Return: 0 or a negative errno.
 */
int pci_uevents_open(struct pci_uevents **out);

/** pci_uevents_close() - the counterpart of pci_uevents_open(); NULL is none */
void pci_uevents_close(struct pci_uevents *u);

/**
 * pci_uevents_fd() - for poll(2)
 * @u: the source
 *
 * Return: an fd that is readable when there is something; stays @u's.
 */
int pci_uevents_fd(const struct pci_uevents *u);

/**
 * pci_uevents_next() - take the next event of a PCI or mediated device
 * @u: the source
 * @event: filled in
 *
 * Doesn't wait.
 *
 * Return: 1; 0 if there is none at this time; -ENOBUFS: some were lost, look
 * for yourself how things are; or another negative errno.
 */
int pci_uevents_next(struct pci_uevents *u, struct pci_uevent *event);

/**
 * pci_uevent_parse() - read one message of the kernel's
 * @buf: "action@path", then "KEY=value", a NUL after each
 * @len: in bytes
 * @event: filled in
 *
 * Return: false if it isn't about a PCI or mediated device, or is something
 * else that we don't look at, or isn't well-formed.
 */
bool pci_uevent_parse(const char *buf, size_t len, struct pci_uevent *event);

#endif
