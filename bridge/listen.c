// SPDX-License-Identifier: GPL-2.0-only
/*
 * The path that clients connect to.
 *
 * A path that exists is not simply unlinked: it may be somebody's. A socket
 * that takes a connection is alive and left alone; one that refuses it is what
 * a daemon that was killed left behind, and is replaced; anything else isn't
 * ours to remove.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bridge.h"

#define LISTEN_BACKLOG	64

/* Syscalls at start: socket */
static int listen_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/*
 * Does somebody listen at @addr? 0 if not and nothing is in the way.
 *
 * Syscalls at start: close connect newfstatat unlink
 */
static int listen_probe(const struct sockaddr_un *addr, char *why, size_t len)
{
	struct stat st;
	int fd, ret;

	if (lstat(addr->sun_path, &st)) {
		if (errno == ENOENT)
			return 0;
		ret = -errno;
		snprintf(why, len, "cannot look at it: %s", strerrordesc_np(-ret));
		return ret;
	}
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, len, "it exists and is not a socket: remove it, or choose another path");
		return -EEXIST;
	}

	fd = listen_socket();
	if (fd < 0)
		return fd;
	ret = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ?
		-errno : 0;
	close(fd);
	if (ret == -ECONNREFUSED)
		return unlink(addr->sun_path) && errno != ENOENT ? -errno : 0;
	if (ret == -EACCES) {
		snprintf(why, len, "it exists and belongs to somebody else: remove it, or choose another path");
		return ret;
	}
	snprintf(why, len, "another process listens there: end it, or choose another path");
	return -EADDRINUSE;
}

/*
 * A path that somebody has replaced meanwhile is theirs.
 *
 * Syscalls: newfstatat
 */
static bool listen_is_ours(const struct listener *l)
{
	struct stat st;

	return l->path && !lstat(l->path, &st) && S_ISSOCK(st.st_mode) &&
	       st.st_dev == l->dev && st.st_ino == l->ino;
}

/*
 * Remember which file it is.
 *
 * Syscalls at start: newfstatat
 */
static int listen_identify(struct listener *l, const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return -errno;
	l->path = path;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return 0;
}

/*
 * Make the socket's file. It has its mode from the beginning: to change that later,
 * by its path, would change what somebody has put there meanwhile. There are no
 * other threads yet that make files.
 *
 * Syscalls at start: bind umask
 */
static int listen_make(int fd, const struct sockaddr_un *addr,
		       const struct access *access)
{
	bool has_mode = access && access->has_mode;
	mode_t usual = has_mode ? umask(~access->mode & 0777) : 0;
	int ret = 0;

	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		ret = -errno;
	if (has_mode)
		umask(usual);
	return ret;
}

/* Syscalls at start: listen */
static int listen_bind(struct listener *l, const char *path,
		       const struct sockaddr_un *addr,
		       const struct access *access)
{
	int ret;

	ret = listen_make(l->fd, addr, access);
	if (!ret)
		ret = listen_identify(l, path);
	if (!ret && access)
		ret = access_apply(access, path);
	if (!ret && listen(l->fd, LISTEN_BACKLOG))
		ret = -errno;
	return ret;
}

static const char *listen_hint(int err)
{
	switch (err) {
	case -ENOENT:
		return " (its directory does not exist)";
	case -EPERM:
		return " (only root gives a socket to others)";
	case -ENOTSOCK:
		return " (something else has been put there meanwhile)";
	default:
		return "";
	}
}

int listen_open(struct listener *l, const char *path,
		const struct access *access, char *why, size_t len)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int ret;

	why[0] = '\0';
	*l = (struct listener){ .fd = -1 };
	if (strlen(path) >= sizeof(addr.sun_path)) {
		snprintf(why, len, "the path is longer than %zu bytes: choose a shorter one",
			 sizeof(addr.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(addr.sun_path, path);

	ret = listen_probe(&addr, why, len);
	if (ret)
		return ret;
	ret = listen_socket();
	if (ret < 0)
		return ret;
	l->fd = ret;
	ret = listen_bind(l, path, &addr, access);
	if (ret) {
		snprintf(why, len, "cannot listen there: %s%s",
			 strerrordesc_np(-ret), listen_hint(ret));
		listen_close(l);
	}
	return ret;
}

/* Syscalls: close */
static void *listen_thread(void *arg)
{
	close((intptr_t)arg);
	return NULL;
}

/*
 * Who wasn't accepted goes with the socket, and with them what they have sent,
 * which may block who closes it (join.c): a thread that nobody waits for. Without
 * one it stays open until the process ends.
 *
 * Syscalls: unlink
 */
void listen_close(struct listener *l)
{
	pthread_t thread;

	if (l->fd < 0)
		return;
	if (listen_is_ours(l))
		unlink(l->path);
	if (!pthread_create(&thread, NULL, listen_thread,
			    (void *)(intptr_t)l->fd))
		pthread_detach(thread);
	l->fd = -1;
}
