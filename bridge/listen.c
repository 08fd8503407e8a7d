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
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bridge.h"

#define LISTEN_BACKLOG	64

static int listen_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* Does somebody listen at @addr? 0 if not and nothing is in the way. */
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

int listen_open(const char *path, char *why, size_t len)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;

	why[0] = '\0';
	if (strlen(path) >= sizeof(addr.sun_path)) {
		snprintf(why, len, "the path is longer than %zu bytes: choose a shorter one",
			 sizeof(addr.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(addr.sun_path, path);

	ret = listen_probe(&addr, why, len);
	if (ret)
		return ret;
	fd = listen_socket();
	if (fd < 0)
		return fd;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, LISTEN_BACKLOG)) {
		ret = -errno;
		snprintf(why, len, "cannot listen there: %s%s",
			 strerrordesc_np(-ret), ret == -ENOENT ?
			 " (its directory does not exist)" : "");
		close(fd);
		return ret;
	}
	return fd;
}

void listen_close(int *fd, const char *path)
{
	struct sockaddr_un addr;
	socklen_t len = sizeof(addr);

	/* Only what we have bound is ours to remove. */
	if (*fd >= 0 && path &&
	    !getsockname(*fd, (struct sockaddr *)&addr, &len) &&
	    !strcmp(addr.sun_path, path))
		unlink(path);
	close_fd(fd);
}
