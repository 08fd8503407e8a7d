// SPDX-License-Identifier: GPL-2.0-only
/*
 * The daemon's monitor socket: connect, read one JSON document, done.
 *
 * The daemon writes the document and closes; nothing is sent to it. It isn't
 * trusted to end, hence the bounds on time and length.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tool.h"

#define MONITOR_TIMEOUT_S	30
#define MONITOR_MAX_TEXT	(64 * 1024 * 1024)

static int monitor_connect(const char *path)
{
	const struct timeval tv = { .tv_sec = MONITOR_TIMEOUT_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		ret = errno == EAGAIN ? -ETIMEDOUT : -errno;
		close(fd);
		return ret;
	}
	return fd;
}

/* Read to the end of @fd; @text grows by doubling. */
static int monitor_read(int fd, char **text)
{
	size_t len = 0, size = 4096;
	char *bigger;
	ssize_t n;

	*text = malloc(size);
	while (*text) {
		n = recv(fd, *text + len, size - len - 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		len += n;
		(*text)[len] = '\0';
		if (n == 0)
			return 0;
		if (len < size - 1)
			continue;
		if (size >= MONITOR_MAX_TEXT)
			return -EMSGSIZE;
		size *= 2;
		bigger = realloc(*text, size);
		if (!bigger)
			return -ENOMEM;
		*text = bigger;
	}
	return -ENOMEM;
}

int monitor_fetch(const char *path, char **text)
{
	int fd, ret;

	fd = monitor_connect(path);
	if (fd < 0)
		return fd;
	ret = monitor_read(fd, text);
	if (ret)
		free(*text);
	close(fd);
	return ret;
}
