// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sockets that are there before the daemon is: socket activation.
 *
 * Who starts the daemon may have made its sockets already, systemd for instance
 * with a .socket unit. LISTEN_FDS says how many there are, from fd 3 on, and
 * LISTEN_PID for whom (sd_listen_fds(3)). They go to the devices that have no
 * --socket-path and no --fd, in the order in which these are named.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridge.h"
#include "log.h"

#define ACTIVATION_FIRST	3

/* How many sockets were handed over. */
static unsigned int activation_count(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	unsigned long n;

	if (!pid || !fds || strtoul(pid, NULL, 10) != (unsigned long)getpid())
		return 0;
	n = strtoul(fds, NULL, 10);
	return n <= INT_MAX - ACTIVATION_FIRST ? n : 0;
}

/* Syscalls at start: fcntl(F_SETFD) */
int activation_take(struct options *opts)
{
	unsigned int nr = activation_count(), used = 0, i;
	struct device_options *own;
	int fd;

	for (i = 0; i < opts->nr_devices; i++) {
		own = &opts->devices[i];
		if (own->socket_path || own->fd >= 0 || used == nr)
			continue;
		fd = ACTIVATION_FIRST + used++;
		if (fcntl(fd, F_SETFD, FD_CLOEXEC)) {
			log_err("LISTEN_FDS=%u: fd %d is not open", nr, fd);
			return -EBADF;
		}
		own->fd = fd;
	}
	if (used < nr) {
		log_err("LISTEN_FDS=%u: there are %u devices without a socket of their own; make as many sockets as those",
			nr, used);
		return -EINVAL;
	}
	return 0;
}
