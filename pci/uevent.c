// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel tells of devices: uevents, over a netlink socket.
 *
 * A message is a list of strings: "bind@/devices/pci0000:00/0000:00:06.0", then
 * "ACTION=bind", "SUBSYSTEM=pci", "DRIVER=vfio-pci" and others
 * (Documentation/core-api/kobject.rst and lib/kobject_uevent.c in the kernel).
 * Group 1 has the kernel's own messages; udev sends to group 2. Any process
 * with CAP_NET_ADMIN can send to a group, so only port 0, the kernel, is
 * listened to.
 *
 * Messages can get lost when nobody reads for long. Who listens must be able to
 * look at sysfs instead.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>

#include "uevent.h"

#define UEVENT_GROUP_KERNEL	1
/* Plugging in a whole tree of devices makes thousands at a time. */
#define UEVENT_BUFFER		(1024 * 1024)

struct pci_uevents {
	struct nl_sock *sock;
};

static const char *const uevent_actions[] = {
	[PCI_UEVENT_ADD] = "add",
	[PCI_UEVENT_BIND] = "bind",
	[PCI_UEVENT_UNBIND] = "unbind",
	[PCI_UEVENT_REMOVE] = "remove",
};

/* libnl has numbers of its own for errors; these are what can happen here. */
static int uevent_errno(int err)
{
	switch (-err) {
	case NLE_NOMEM:
		return -ENOBUFS;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_AF_NOSUPPORT:
		return -EPROTONOSUPPORT;
	default:
		return -EIO;
	}
}

/* Syscalls at start: bind fcntl getsockname setsockopt socket */
int pci_uevents_open(struct pci_uevents **out)
{
	struct pci_uevents *u = calloc(1, sizeof(*u));
	int err;

	if (!u)
		return -ENOMEM;
	u->sock = nl_socket_alloc();
	if (!u->sock) {
		free(u);
		return -ENOMEM;
	}
	nl_join_groups(u->sock, UEVENT_GROUP_KERNEL);
	err = nl_connect(u->sock, NETLINK_KOBJECT_UEVENT);
	if (!err)
		err = nl_socket_set_nonblocking(u->sock);
	if (!err)
		err = nl_socket_set_buffer_size(u->sock, UEVENT_BUFFER, 0);
	if (err) {
		pci_uevents_close(u);
		return uevent_errno(err);
	}
	*out = u;
	return 0;
}

/* Syscalls: close */
void pci_uevents_close(struct pci_uevents *u)
{
	if (!u)
		return;
	nl_socket_free(u->sock);
	free(u);
}

int pci_uevents_fd(const struct pci_uevents *u)
{
	return nl_socket_get_fd(u->sock);
}

/* The value of @key in a list of strings that ends with a NUL, or NULL. */
static const char *uevent_value(const char *buf, size_t len, const char *key)
{
	size_t key_len = strlen(key);
	const char *s;

	for (s = buf; s < buf + len; s += strlen(s) + 1) {
		if (!strncmp(s, key, key_len) && s[key_len] == '=')
			return s + key_len + 1;
	}
	return NULL;
}

static bool uevent_copy(char *to, size_t len, const char *from)
{
	if (!from || strlen(from) >= len)
		return false;
	strcpy(to, from);
	return true;
}

static bool uevent_action(const char *action, struct pci_uevent *event)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(uevent_actions); i++) {
		if (!strcmp(action, uevent_actions[i])) {
			event->action = i;
			return true;
		}
	}
	return false;
}

bool pci_uevent_parse(const char *buf, size_t len, struct pci_uevent *event)
{
	const char *action, *subsystem, *path, *driver;

	if (!len || buf[len - 1])
		return false;
	action = uevent_value(buf, len, "ACTION");
	subsystem = uevent_value(buf, len, "SUBSYSTEM");
	path = uevent_value(buf, len, "DEVPATH");
	if (!action || !subsystem || !path || !strrchr(path, '/') ||
	    (strcmp(subsystem, "pci") && strcmp(subsystem, "mdev")) ||
	    !uevent_action(action, event) ||
	    !uevent_copy(event->name, sizeof(event->name),
			 strrchr(path, '/') + 1))
		return false;

	event->driver[0] = '\0';
	driver = uevent_value(buf, len, "DRIVER");
	return event->action != PCI_UEVENT_BIND ||
	       uevent_copy(event->driver, sizeof(event->driver), driver);
}

/* Syscalls: recvmsg */
int pci_uevents_next(struct pci_uevents *u, struct pci_uevent *event)
{
	struct sockaddr_nl from;
	unsigned char *buf;
	bool ours;
	int n;

	for (;;) {
		buf = NULL;
		n = nl_recv(u->sock, &from, &buf, NULL);
		if (n == 0 || n == -NLE_AGAIN)
			return 0;
		if (n < 0)
			return uevent_errno(n);
		ours = !from.nl_pid &&
		       pci_uevent_parse((const char *)buf, n, event);
		free(buf);
		if (ours)
			return 1;
	}
}
