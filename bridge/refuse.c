// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients that came while another one is served.
 *
 * Each is told EBUSY, in an error reply to its VERSION, so it must be waited
 * for until it has sent one: the reply echoes the message's id. The waiting is
 * the main thread's and blocks nobody; it is bounded in number and in time,
 * and nothing but a header is ever looked at.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bridge.h"

static time_t refuse_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void refuse_remove(struct refusals *r, unsigned int i)
{
	close(r->fds[i]);
	r->count--;
	memmove(&r->fds[i], &r->fds[i + 1], (r->count - i) * sizeof(r->fds[0]));
	memmove(&r->deadlines[i], &r->deadlines[i + 1],
		(r->count - i) * sizeof(r->deadlines[0]));
}

void refuse_add(struct refusals *r, int fd)
{
	if (r->count == REFUSE_MAX)
		refuse_remove(r, 0);
	r->fds[r->count] = fd;
	r->deadlines[r->count] = refuse_now() + BRIDGE_CLIENT_TIMEOUT;
	r->count++;
}

/* Closing with data unread would show the client a reset, not our reply. */
static void refuse_drain(int fd)
{
	char buf[4096];
	int i;

	for (i = 0; i < 16; i++) {
		if (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) <= 0)
			return;
	}
}

/* True if the client has been answered, or is gone. */
static bool refuse_try(int fd)
{
	struct vfio_user_header header;
	ssize_t n = recv(fd, &header, sizeof(header), MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return errno != EAGAIN && errno != EINTR;
	if (n == 0)
		return true;
	if (n < sizeof(header))
		return false;

	refuse_drain(fd);
	if (header.flags & VFIO_USER_FLAG_NO_REPLY)
		return true;
	header.size = sizeof(header);
	header.flags = VFIO_USER_TYPE_REPLY | VFIO_USER_FLAG_ERROR;
	header.error = EBUSY;
	n = send(fd, &header, sizeof(header), MSG_NOSIGNAL | MSG_DONTWAIT);
	return true;
}

void refuse_poll(struct refusals *r)
{
	time_t now = refuse_now();
	unsigned int i = 0;

	while (i < r->count) {
		if (refuse_try(r->fds[i]) || r->deadlines[i] <= now)
			refuse_remove(r, i);
		else
			i++;
	}
}

void refuse_all(struct refusals *r)
{
	while (r->count)
		refuse_remove(r, 0);
}
