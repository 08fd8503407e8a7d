// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients that came while another one is served.
 *
 * Each is told EBUSY, or EACCES if it may not connect at all, in an error reply to
 * its VERSION, so it must be waited
 * for until it has sent one: the reply echoes the message's id. A client may
 * have sent fds along, and closing the last reference to one can block
 * (join.c), so each client is refused by a thread of its own, of which there
 * are only so many; the main thread never holds what a client has sent. Who asks
 * the monitor may have sent some as well, and is hung up on in the same way. When
 * there are as many as there may be, the client that came first is hung up on
 * and its thread interrupted, to make room. A thread counts until it has closed
 * all that its client sent. Nobody waits for these threads.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bridge.h"

#define REFUSE_MAX		17
/* Of these, only for whoever asks the monitor: the others can't take them all. */
#define REFUSE_MONITOR		1
#define REFUSE_STACK		(64 * 1024)

/**
 * struct refusal - a client that is being refused
 * @used: this entry means something; then @thread hasn't ended
 * @thread: refuses it
 * @fd: its socket, -1 while that is closed
 * @error: what it is told, 0 for nothing
 * @number: the lower, the longer it has been here
 */
struct refusal {
	bool used;
	pthread_t thread;
	int fd;
	int error;
	uint64_t number;
};

static pthread_mutex_t refuse_lock;
static struct refusal refusals[REFUSE_MAX];

void refuse_init(void)
{
	pthread_mutex_init(&refuse_lock, NULL);
}

/* With refuse_lock. An entry that isn't in use, or NULL. */
static struct refusal *refuse_find_free(void)
{
	unsigned int i;

	for (i = 0; i < REFUSE_MAX; i++) {
		if (!refusals[i].used)
			return &refusals[i];
	}
	return NULL;
}

/* With refuse_lock: of those in use; how many aren't is added to *@nr_free. */
static struct refusal *refuse_find_oldest(unsigned int *nr_free)
{
	struct refusal *oldest = NULL;
	unsigned int i;

	for (i = 0; i < REFUSE_MAX; i++) {
		if (!refusals[i].used)
			(*nr_free)++;
		else if (!oldest || refusals[i].number < oldest->number)
			oldest = &refusals[i];
	}
	return oldest;
}

/* Syscalls: close */
static void refuse_hang_up(struct refusal *r)
{
	int fd;

	pthread_mutex_lock(&refuse_lock);
	fd = r->fd;
	r->fd = -1;
	pthread_mutex_unlock(&refuse_lock);
	close(fd);
	pthread_mutex_lock(&refuse_lock);
	r->used = false;
	pthread_mutex_unlock(&refuse_lock);
}

/*
 * Closing with data unread would show the client a reset, not our reply.
 *
 * Syscalls: recvfrom
 */
static void refuse_drain(int fd)
{
	char buf[4096];
	int i;

	for (i = 0; i < 16; i++) {
		if (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) <= 0)
			return;
	}
}

/* Syscalls: recvfrom sendto setsockopt(SO_RCVTIMEO) */
static void refuse_answer(int fd, int error)
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
	header.error = error;
	if (send(fd, &header, sizeof(header), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

static void *refuse_thread(void *arg)
{
	struct refusal *r = arg;

	/* Only this thread changes it. */
	if (r->error)
		refuse_answer(r->fd, r->error);
	refuse_hang_up(r);
	return NULL;
}

/* Syscalls: shutdown */
bool refuse_make_room(bool monitor)
{
	struct refusal *oldest;
	unsigned int nr_free = 0;
	bool room;

	pthread_mutex_lock(&refuse_lock);
	oldest = refuse_find_oldest(&nr_free);
	room = nr_free > (monitor ? 0 : REFUSE_MONITOR);
	if (!room) {
		if (oldest->fd >= 0)
			shutdown(oldest->fd, SHUT_RDWR);
		pthread_kill(oldest->thread, WATCH_SIGNAL);
	}
	pthread_mutex_unlock(&refuse_lock);
	return room;
}

/* With refuse_lock. */
static int refuse_run(struct refusal *r, int fd, int error)
{
	static uint64_t number;
	pthread_attr_t attr;
	int ret;

	ret = pthread_attr_init(&attr);
	if (ret)
		return -ret;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, REFUSE_STACK);
	r->fd = fd;
	r->error = error;
	r->number = number++;
	ret = pthread_create(&r->thread, &attr, refuse_thread, r);
	pthread_attr_destroy(&attr);
	r->used = !ret;
	return -ret;
}

/* Syscalls: close */
int refuse_start(int fd, int error)
{
	struct refusal *r;
	int ret;

	pthread_mutex_lock(&refuse_lock);
	r = refuse_find_free();
	ret = r ? refuse_run(r, fd, error) : -EBUSY;
	pthread_mutex_unlock(&refuse_lock);
	if (ret)
		close(fd);
	return ret;
}
