// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients that came while another one is served.
 *
 * Each is told EBUSY, in an error reply to its VERSION, so it must be waited
 * for until it has sent one: the reply echoes the message's id. A client may
 * have sent fds along, and closing the last reference to one can block
 * (join.c), so each client is refused by a thread of its own, of which there
 * are only so many; the main thread never holds what a client has sent. When
 * there are as many as there may be, the client that has been silent for longest
 * is hung up on to make room. Nobody waits for these threads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bridge.h"

#define REFUSE_MAX		16
#define REFUSE_STACK		(64 * 1024)

/* Sockets of the clients that are being refused, the oldest first. */
static pthread_mutex_t refuse_lock = PTHREAD_MUTEX_INITIALIZER;
static int refuse_fds[REFUSE_MAX];
static unsigned int refuse_count;

static void refuse_remove(int fd)
{
	unsigned int i;

	pthread_mutex_lock(&refuse_lock);
	for (i = 0; refuse_fds[i] != fd; i++)
		;
	refuse_count--;
	memmove(&refuse_fds[i], &refuse_fds[i + 1],
		(refuse_count - i) * sizeof(refuse_fds[0]));
	pthread_mutex_unlock(&refuse_lock);
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

static void refuse_answer(int fd)
{
	const struct timeval timeout = { .tv_sec = BRIDGE_CLIENT_TIMEOUT };
	struct vfio_user_header header;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout,
		       sizeof(timeout)) ||
	    recv(fd, &header, sizeof(header), MSG_WAITALL) !=
	    (ssize_t)sizeof(header))
		return;
	refuse_drain(fd);
	if (header.flags & VFIO_USER_FLAG_NO_REPLY)
		return;

	header.size = sizeof(header);
	header.flags = VFIO_USER_TYPE_REPLY | VFIO_USER_FLAG_ERROR;
	header.error = EBUSY;
	if (send(fd, &header, sizeof(header), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

static void *refuse_thread(void *arg)
{
	int fd = (intptr_t)arg;

	refuse_answer(fd);
	refuse_remove(fd);
	close(fd);
	return NULL;
}

bool refuse_make_room(void)
{
	bool room;

	pthread_mutex_lock(&refuse_lock);
	room = refuse_count < REFUSE_MAX;
	if (!room)
		shutdown(refuse_fds[0], SHUT_RDWR);
	pthread_mutex_unlock(&refuse_lock);
	return room;
}

int refuse_start(int fd)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	ret = pthread_attr_init(&attr);
	if (ret)
		goto close;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, REFUSE_STACK);
	pthread_mutex_lock(&refuse_lock);
	refuse_fds[refuse_count++] = fd;
	pthread_mutex_unlock(&refuse_lock);
	ret = pthread_create(&thread, &attr, refuse_thread,
			     (void *)(intptr_t)fd);
	pthread_attr_destroy(&attr);
	if (!ret)
		return 0;
	refuse_remove(fd);
close:
	close(fd);
	return -ret;
}
