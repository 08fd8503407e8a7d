// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that go away and come back.
 *
 * A device that is unplugged, or bound to another driver, is let go of because
 * the kernel asks for it (watch.c). What is told here is what becomes of it then:
 * the socket stays, clients that come meanwhile are told what opening the device
 * says, and when it is bound to a VFIO driver again the next one is served. A
 * session opens the device by its address, so there is nothing to be done for
 * that; operators want to know.
 *
 * Where there are no such messages (in a network namespace of its own) or some
 * were lost, only the telling suffers.
 */
#include <errno.h>
#include <string.h>

#include "bridge.h"
#include "log.h"

int uevent_start(struct daemon *d)
{
	int ret = pci_uevents_open(&d->uevents);

	if (ret)
		log_info("the kernel does not tell of devices that come and go: %s",
			 strerrordesc_np(-ret));
	return ret ? -1 : pci_uevents_fd(d->uevents);
}

void uevent_stop(struct daemon *d)
{
	pci_uevents_close(d->uevents);
	d->uevents = NULL;
}

static void uevent_gone(struct bridge *b)
{
	if (b->absent)
		return;
	b->absent = true;
	log_info("%s: gone; whoever connects is told so until it is back",
		 b->device.name);
}

static void uevent_bound(struct bridge *b, const char *driver)
{
	bool ours = b->device.mdev || strstr(driver, "vfio");

	if (!ours)
		log_info("%s: driver %s has it now: 'vfio-user bind %s' binds it to vfio-pci again, as root",
			 b->device.name, driver, b->device.name);
	else if (b->absent)
		log_info("%s: back, bound to %s", b->device.name, driver);
	b->absent = !ours;
}

/* Some messages are lost: look how things are. */
static void uevent_look(struct bridge *b)
{
	char driver[64];

	if (pci_driver(b->device.sysfs, driver, sizeof(driver)) || !driver[0])
		uevent_gone(b);
	else
		uevent_bound(b, driver);
}

static void uevent_apply(struct bridge *b, const struct pci_uevent *event)
{
	if (strcmp(event->name, b->device.name))
		return;
	switch (event->action) {
	case PCI_UEVENT_ADD:
		break;
	case PCI_UEVENT_BIND:
		uevent_bound(b, event->driver);
		break;
	case PCI_UEVENT_UNBIND:
	case PCI_UEVENT_REMOVE:
		uevent_gone(b);
		break;
	}
}

void uevent_handle(struct daemon *d)
{
	struct pci_uevent event;
	unsigned int i;
	int ret;

	while ((ret = pci_uevents_next(d->uevents, &event)) > 0) {
		for (i = 0; i < d->nr_bridges; i++)
			uevent_apply(&d->bridges[i], &event);
	}
	if (ret != -ENOBUFS)
		return;
	for (i = 0; i < d->nr_bridges; i++)
		uevent_look(&d->bridges[i]);
}
