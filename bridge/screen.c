// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which fds of a client's are looked at.
 *
 * A client's file may be one of a file system that is the client's own: anybody
 * can mount one (FUSE). Then the client says when stat(2) has an answer, when a page
 * is there to be pinned, and when close(2) returns, for a file is flushed first; and
 * once its server has taken note of the request, no signal ends the wait, SIGKILL
 * included (request_wait_answer() in the kernel). So what may be such a file is
 * found out by calls that never ask a file system, and given to a thread of its
 * own, which closes it and is waited for by nobody. That is all that has an inode
 * of a file system, but for
 * - shared memory: memfds, tmpfs, huge pages;
 * - file systems on a block device, which only root can mount; others have a
 *   device number of major 0.
 * An fd that stands for a path only (O_PATH) says too little to tell. A socket may
 * have such files in it, that nobody has received, or linger; no command takes one.
 *
 * What nobody has received goes with the socket that it came by, which is closed in
 * the same way if there is any.
 *
 * There are only so many of these threads. When all of them are stuck, which
 * takes somebody who means it, the thread that receives such a file closes it
 * itself, or that closes its socket (security.rst).
 *
 * What is left needs no look at what it is: what it isn't the kernel says,
 * wherever it is used.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge.h"

#define SCREEN_MAX_CLOSERS	16
#define SCREEN_STACK		(64 * 1024)

static atomic_uint screen_closers;

/*
 * Does only the kernel itself say how long it takes? Only shared memory has
 * seals, huge pages included, whether any are set or not.
 *
 * Syscalls: fcntl(F_GETFL) fcntl(F_GET_SEALS) statx
 */
static bool screen_passes(int fd)
{
	struct statx st;
	int flags;

	if (fcntl(fd, F_GET_SEALS) >= 0)
		return true;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || flags & O_PATH)
		return false;
	/* What is known of it without asking. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st))
		return false;
	switch (st.stx_mode & S_IFMT) {
	case 0:		/* eventfds, and all that has no inode of its own */
	case S_IFCHR:	/* the device itself */
		return true;
	default:
		return st.stx_dev_major;
	}
}

/* Syscalls: close */
static void *screen_closer(void *arg)
{
	close((intptr_t)arg);
	atomic_fetch_sub(&screen_closers, 1);
	return NULL;
}

static bool screen_close_elsewhere(int fd)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	if (pthread_attr_init(&attr))
		return false;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, SCREEN_STACK);
	ret = pthread_create(&thread, &attr, screen_closer,
			     (void *)(intptr_t)fd);
	pthread_attr_destroy(&attr);
	return !ret;
}

/* Syscalls: close */
static void screen_close(int fd)
{
	if (atomic_fetch_add(&screen_closers, 1) < SCREEN_MAX_CLOSERS &&
	    screen_close_elsewhere(fd))
		return;
	atomic_fetch_sub(&screen_closers, 1);
	close(fd);
}

int screen_fd(int fd)
{
	if (screen_passes(fd))
		return fd;
	screen_close(fd);
	return -1;
}

/* Syscalls: close recvfrom shutdown */
void screen_hang_up(int sock)
{
	char left;

	/* Nothing comes any more; what has come can be read all the same. */
	shutdown(sock, SHUT_RDWR);
	if (recv(sock, &left, sizeof(left), MSG_PEEK | MSG_DONTWAIT) > 0)
		screen_close(sock);
	else
		close(sock);
}
