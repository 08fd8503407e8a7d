// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the daemon makes of the kernel's messages about its devices: are they there?
 * The messages are this file's, and so is the driver that sysfs shows.
 */
#include <errno.h>
#include <string.h>

#include "bridge/bridge.h"

#include "kselftest_harness.h"

#define A	"0000:01:00.0"
#define B	"83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"

/* Messages that are waiting, and what comes after the last: 0 or an error. */
static struct {
	struct pci_uevent events[4];
	unsigned int nr;
	unsigned int next;
	int end;
	const char *driver;
} kernel;

int pci_uevents_open(struct pci_uevents **out)
{
	return -EPROTONOSUPPORT;
}

void pci_uevents_close(struct pci_uevents *u)
{
}

int pci_uevents_fd(const struct pci_uevents *u)
{
	return -1;
}

int pci_uevents_next(struct pci_uevents *u, struct pci_uevent *event)
{
	if (kernel.next == kernel.nr)
		return kernel.end;
	*event = kernel.events[kernel.next++];
	return 1;
}

int pci_driver(const char *sysfs, char *buf, size_t len)
{
	snprintf(buf, len, "%s", kernel.driver);
	return 0;
}

FIXTURE(presence)
{
	struct daemon daemon;
	struct bridge *a;
	struct bridge *b;
};

FIXTURE_SETUP(presence)
{
	struct daemon *d = &self->daemon;

	memset(&kernel, 0, sizeof(kernel));
	d->nr_bridges = 2;
	self->a = &d->bridges[0];
	self->b = &d->bridges[1];
	strcpy(self->a->device.name, A);
	strcpy(self->b->device.name, B);
	self->b->device.mdev = true;
}

FIXTURE_TEARDOWN(presence)
{
}

static void tell(struct daemon *d, enum pci_uevent_action action,
		 const char *name, const char *driver)
{
	struct pci_uevent *event = &kernel.events[0];

	kernel.nr = 1;
	kernel.next = 0;
	event->action = action;
	strcpy(event->name, name);
	strcpy(event->driver, driver);
	uevent_handle(d);
}

TEST_F(presence, unbound_and_bound_again)
{
	struct daemon *d = &self->daemon;

	tell(d, PCI_UEVENT_UNBIND, A, "");
	EXPECT_TRUE(self->a->absent);
	EXPECT_FALSE(self->b->absent);
	/* Plugged in, and without a driver so far. */
	tell(d, PCI_UEVENT_ADD, A, "");
	EXPECT_TRUE(self->a->absent);
	tell(d, PCI_UEVENT_BIND, A, "nvme");
	EXPECT_TRUE(self->a->absent);
	tell(d, PCI_UEVENT_BIND, "0000:01:00.1", "vfio-pci");
	EXPECT_TRUE(self->a->absent);
	tell(d, PCI_UEVENT_BIND, A, "vfio-pci");
	EXPECT_FALSE(self->a->absent);
}

TEST_F(presence, unplugged)
{
	tell(&self->daemon, PCI_UEVENT_REMOVE, A, "");
	EXPECT_TRUE(self->a->absent);
	tell(&self->daemon, PCI_UEVENT_BIND, A, "mlx5_vfio_pci");
	EXPECT_FALSE(self->a->absent);
}

/* Its driver is of the kernel's, under any name. */
TEST_F(presence, mediated_device)
{
	tell(&self->daemon, PCI_UEVENT_UNBIND, B, "");
	EXPECT_TRUE(self->b->absent);
	tell(&self->daemon, PCI_UEVENT_BIND, B, "mtty");
	EXPECT_FALSE(self->b->absent);
}

/* Some are lost: sysfs knows how things are. */
TEST_F(presence, too_many_messages)
{
	kernel.end = -ENOBUFS;
	kernel.driver = "";
	uevent_handle(&self->daemon);
	EXPECT_TRUE(self->a->absent);
	kernel.driver = "vfio-pci";
	uevent_handle(&self->daemon);
	EXPECT_FALSE(self->a->absent);
	kernel.driver = "nvme";
	uevent_handle(&self->daemon);
	EXPECT_TRUE(self->a->absent);
}

/* Operators aren't told, and devices are served all the same. */
TEST_F(presence, kernel_that_tells_nothing)
{
	EXPECT_EQ(-1, uevent_start(&self->daemon));
	uevent_stop(&self->daemon);
	EXPECT_FALSE(self->a->absent);
}

TEST_HARNESS_MAIN
