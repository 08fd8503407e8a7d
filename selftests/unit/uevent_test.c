// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading the kernel's messages about devices, and the socket they come from.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pci/uevent.h"

#include "kselftest_harness.h"

/* A literal with NULs inside; the one at its end is the message's last. */
#define parse(text, event)	pci_uevent_parse(text, sizeof(text), event)

#define BIND "bind@/devices/pci0000:00/0000:00:1c.0/0000:01:00.0\0ACTION=bind\0DEVPATH=/devices/pci0000:00/0000:00:1c.0/0000:01:00.0\0SUBSYSTEM=pci\0DRIVER=vfio-pci\0SEQNUM=4711"
#define GONE "remove@/devices/pci0000:00/0000:00:06.0\0ACTION=remove\0SUBSYSTEM=pci\0DEVPATH=/devices/pci0000:00/0000:00:06.0"
#define UNBOUND "unbind@/devices/pci0000:00/0000:00:06.0\0ACTION=unbind\0SUBSYSTEM=pci\0DRIVER=x\0DEVPATH=/devices/pci0000:00/0000:00:06.0"
#define MEDIATED "add@/devices/virtual/mtty/mtty/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001\0ACTION=add\0SUBSYSTEM=mdev\0DEVPATH=/devices/virtual/mtty/mtty/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
#define USB "bind@/devices/x\0ACTION=bind\0SUBSYSTEM=usb\0DEVPATH=/devices/x\0DRIVER=hub"
#define CHANGED "change@/devices/x\0ACTION=change\0SUBSYSTEM=pci\0DEVPATH=/devices/x"

TEST(a_device_is_bound)
{
	struct pci_uevent event;

	ASSERT_TRUE(parse(BIND, &event));
	EXPECT_EQ(PCI_UEVENT_BIND, event.action);
	EXPECT_STREQ("0000:01:00.0", event.name);
	EXPECT_STREQ("vfio-pci", event.driver);
}

TEST(a_device_goes)
{
	struct pci_uevent event;

	ASSERT_TRUE(parse(GONE, &event));
	EXPECT_EQ(PCI_UEVENT_REMOVE, event.action);
	EXPECT_STREQ("0000:00:06.0", event.name);
	EXPECT_STREQ("", event.driver);

	ASSERT_TRUE(parse(UNBOUND, &event));
	EXPECT_EQ(PCI_UEVENT_UNBIND, event.action);
	EXPECT_STREQ("", event.driver);
}

TEST(a_mediated_device_by_its_uuid)
{
	struct pci_uevent event;

	ASSERT_TRUE(parse(MEDIATED, &event));
	EXPECT_EQ(PCI_UEVENT_ADD, event.action);
	EXPECT_STREQ("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", event.name);
}

TEST(others_are_passed_over)
{
	struct pci_uevent event;

	/* not a device of ours */
	EXPECT_FALSE(parse(USB, &event));
	/* pci, but a driver's module */
	EXPECT_FALSE(parse(CHANGED, &event));
}

TEST(what_is_not_well_formed)
{
	static const char unended[] = { 'A', 'C', 'T', 'I', 'O', 'N', '=', 'b' };
	char name[256];
	struct pci_uevent event;
	int n;

	EXPECT_FALSE(pci_uevent_parse("", 0, &event));
	EXPECT_FALSE(parse("", &event));
	EXPECT_FALSE(pci_uevent_parse(unended, sizeof(unended), &event));
	/* every message that is cut short */
	for (n = 0; n < (int)sizeof(BIND) - (int)sizeof("SEQNUM=4711"); n++)
		EXPECT_FALSE(pci_uevent_parse(BIND, n, &event) &&
			     strcmp(event.driver, "vfio-pci"));
	/* no path, no slash in it, no driver in a bind, a name too long */
	EXPECT_FALSE(parse("x\0ACTION=add\0SUBSYSTEM=pci", &event));
	EXPECT_FALSE(parse("x\0ACTION=add\0SUBSYSTEM=pci\0DEVPATH=x", &event));
	EXPECT_FALSE(parse("x\0ACTION=bind\0SUBSYSTEM=pci\0DEVPATH=/x",
			   &event));
	n = sprintf(name, "ACTION=add%cSUBSYSTEM=pci%cDEVPATH=/%0100d", 0, 0,
		    0);
	EXPECT_FALSE(pci_uevent_parse(name, n + 1, &event));
}

/* udev and others write this file to be told of a device once more. */
#define LOOPBACK	"/sys/class/net/lo/uevent"

TEST(the_socket)
{
	struct pci_uevents *u;
	struct pci_uevent event;
	struct pollfd pfd = { .events = POLLIN };
	int fd;

	ASSERT_EQ(0, pci_uevents_open(&u));
	/* Nothing has happened: it doesn't wait. */
	EXPECT_LE(0, pci_uevents_next(u, &event));
	pfd.fd = pci_uevents_fd(u);
	ASSERT_LE(0, pfd.fd);
	EXPECT_TRUE(fcntl(pfd.fd, F_GETFD) & FD_CLOEXEC);

	fd = open(LOOPBACK, O_WRONLY);
	if (fd < 0 || write(fd, "change", 6) != 6) {
		pci_uevents_close(u);
		SKIP(return, "cannot write " LOOPBACK);
	}
	close(fd);
	/* It comes, is not a PCI device's, and is taken away. */
	ASSERT_EQ(1, poll(&pfd, 1, 5000));
	EXPECT_EQ(0, pci_uevents_next(u, &event));
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	pci_uevents_close(u);
}

/* Who may, sends a message as the kernel's, to our socket alone. */
static int forge(int to)
{
	struct sockaddr_nl address;
	socklen_t len = sizeof(address);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
			NETLINK_KOBJECT_UEVENT);
	int ret = -1;

	if (fd < 0)
		return -1;
	if (!getsockname(to, (struct sockaddr *)&address, &len)) {
		address.nl_groups = 0;
		ret = sendto(fd, BIND, sizeof(BIND), 0,
			     (struct sockaddr *)&address, sizeof(address));
	}
	close(fd);
	return ret;
}

TEST(only_the_kernel_is_believed)
{
	struct pci_uevents *u;
	struct pci_uevent event;
	struct pollfd pfd = { .events = POLLIN };
	int sent;

	ASSERT_EQ(0, pci_uevents_open(&u));
	pfd.fd = pci_uevents_fd(u);
	sent = forge(pfd.fd);
	if (sent < 0) {
		pci_uevents_close(u);
		SKIP(return, "not allowed to send: %s", strerror(errno));
	}
	ASSERT_EQ(1, poll(&pfd, 1, 5000));
	EXPECT_EQ(0, pci_uevents_next(u, &event));
	pci_uevents_close(u);
}

TEST_HARNESS_MAIN
