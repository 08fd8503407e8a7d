// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "kinds.h"
#include "util.h"

static void add(struct kind *kinds, unsigned int *nr, const char *name, int fd,
		int map, int event)
{
	kinds[(*nr)++] = (struct kind){ name, fd, map, event, false };
}

static void add_pair(struct kind *kinds, unsigned int *nr, const char *name,
		     const int *fds, int map)
{
	add(kinds, nr, name, fds[0], map, EINVAL);
	add(kinds, nr, name, fds[1], map, EINVAL);
}

static void add_sockets(struct kind *kinds, unsigned int *nr)
{
	int fds[2];

	if (!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		add_pair(kinds, nr, "stream socket", fds, ENODEV);
	if (!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds))
		add_pair(kinds, nr, "datagram socket", fds, ENODEV);
}

static void add_paths(struct kind *kinds, unsigned int *nr)
{
	add(kinds, nr, "directory", open("/", O_RDONLY | O_CLOEXEC), EACCES,
	    EINVAL);
	add(kinds, nr, "O_PATH", open("/", O_PATH | O_CLOEXEC), EBADF, EBADF);
	add(kinds, nr, "/dev/null", open("/dev/null", O_RDWR | O_CLOEXEC),
	    ENODEV, EINVAL);
	/* Mapped, it is memory as any other. */
	add(kinds, nr, "/dev/zero", open("/dev/zero", O_RDWR | O_CLOEXEC), 0,
	    EINVAL);
	add(kinds, nr, "/proc/self/mem",
	    open("/proc/self/mem", O_RDWR | O_CLOEXEC), ENODEV, EINVAL);
}

static void add_events(struct kind *kinds, unsigned int *nr)
{
	sigset_t set;
	int fds[2];

	sigemptyset(&set);
	if (!pipe2(fds, O_CLOEXEC))
		add_pair(kinds, nr, "pipe", fds, EACCES);
	add(kinds, nr, "epoll", epoll_create1(EPOLL_CLOEXEC), ENODEV, EINVAL);
	add(kinds, nr, "timerfd", timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC),
	    ENODEV, EINVAL);
	add(kinds, nr, "signalfd", signalfd(-1, &set, SFD_CLOEXEC), ENODEV,
	    EINVAL);
	add(kinds, nr, "inotify", inotify_init1(IN_CLOEXEC), EACCES, EINVAL);
	add(kinds, nr, "pidfd", syscall(SYS_pidfd_open, getpid(), 0), ENODEV,
	    EINVAL);
}

static void add_memory(struct kind *kinds, unsigned int *nr)
{
	int plain = memfd_create("plain", MFD_CLOEXEC);
	int sealed = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	/* Not as long as that, they couldn't be mapped either. */
	if (ftruncate(plain, KINDS_SIZE) || ftruncate(sealed, KINDS_SIZE))
		return;
	fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	add(kinds, nr, "memfd", plain, 0, EINVAL);
	add(kinds, nr, "sealed memfd", sealed, 0, EINVAL);
}

static void add_eventfds(struct kind *kinds, unsigned int *nr)
{
	add(kinds, nr, "eventfd", eventfd(0, EFD_CLOEXEC), ENODEV, 0);
	add(kinds, nr, "semaphore", eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE),
	    ENODEV, 0);
	add(kinds, nr, "full eventfd", eventfd(0, EFD_CLOEXEC), ENODEV, 0);
	eventfd_write(kinds[*nr - 1].fd, UINT64_MAX - 1);
}

/* May it be of a file system that somebody makes up, as far as one sees? */
static bool is_away(int fd)
{
	const mode_t plain[] = { S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK };
	struct stat st;
	unsigned int i;

	if (fcntl(fd, F_GETFL) & O_PATH)
		return true;
	if (fcntl(fd, F_GET_SEALS) >= 0 || fstat(fd, &st) || major(st.st_dev))
		return false;
	for (i = 0; i < ARRAY_SIZE(plain); i++) {
		if ((st.st_mode & S_IFMT) == plain[i])
			return true;
	}
	return false;
}

unsigned int kinds_open(struct kind *kinds)
{
	unsigned int i, nr = 0;

	add_sockets(kinds, &nr);
	add_paths(kinds, &nr);
	add_events(kinds, &nr);
	add_memory(kinds, &nr);
	add_eventfds(kinds, &nr);
	for (i = 0; i < nr; i++)
		kinds[i].away = is_away(kinds[i].fd);
	return nr;
}

int kinds_map(const struct kind *kind, enum kinds_way way, bool daemon)
{
	struct stat st;
	bool file = !fstat(kind->fd, &st) && S_ISREG(st.st_mode);

	if (daemon && kind->away)
		return -EACCES;
	if (way == KINDS_TYPE1 && !file)
		return -EACCES;
	if (way == KINDS_MAP_FILE && file && st.st_size < KINDS_SIZE)
		return -EFAULT;
	return -kind->map;
}

int kinds_event(const struct kind *kind, bool daemon)
{
	return daemon && kind->away ? -EINVAL : -kind->event;
}
