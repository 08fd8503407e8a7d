// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the daemon calls in place of libc's and other libraries' functions, when
 * start_fuzz starts it, and start_failing.c isn't enough. The sandbox is the real
 * one, but for this:
 *
 * - a socket's path that isn't in the machine's directory is refused;
 * - nothing is mounted before there is a mount namespace for it;
 * - of /dev/vfio, all of the machine's directory is taken along: the software
 *   kernel goes on opening files in it;
 * - Landlock is that of an older kernel, if the input says so.
 *
 * Uevents come from the fuzzer. Where the kernel doesn't return from something,
 * the time that is waited for it passes at once.
 *
 * The sanitizers are in the process that confines itself, and make system calls
 * of their own, and some to say what they have found, which all go on the list
 * for the filter:
 *
 * Syscalls: sched_yield sigaltstack
 * Syscalls: open readlink
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netlink/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bridge/bridge.h"
#include "clock.h"
#include "hooks.h"
#include "start.h"
#include "start_hooks.h"

/* How long what isn't there is waited for in vain, in milliseconds. */
#define SHORT_MS	10
#define HELD_MS		1
/* How much time passes then, if it is the kernel that doesn't return. */
#define HELD_PASS_MS	1000

static pthread_t main_thread;

void start_calls_init(void)
{
	main_thread = pthread_self();
	clock_patience(start.held ? HELD_MS : SHORT_MS);
}

/*
 * Sockets, and what is at their paths: in the machine's directory, which is the
 * current one.
 */

static bool strays(const char *path)
{
	size_t len = strlen(setting.root.path);

	if (strstr(path, "..") || (path[0] == '/' &&
				   (strncmp(path, setting.root.path, len) ||
				    path[len] != '/'))) {
		errno = EACCES;
		return true;
	}
	return false;
}

static bool strays_to(const struct sockaddr *addr)
{
	/* NULL-terminated: the daemon checks the length. */
	return addr->sa_family == AF_UNIX &&
	       strays(((const struct sockaddr_un *)addr)->sun_path);
}

int fuzz_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return start_fails("bind") || strays_to(addr) ? -1 : bind(fd, addr, len);
}

int fuzz_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return start_fails("connect") || strays_to(addr) ? -1 :
		connect(fd, addr, len);
}

int fuzz_unlink(const char *path)
{
	return start_fails("unlink") || strays(path) ? -1 : unlink(path);
}

int fuzz_lchown(const char *path, uid_t user, gid_t group)
{
	return start_fails("lchown") || strays(path) ? -1 :
		lchown(path, user, group);
}

int fuzz_chmod(const char *path, mode_t mode)
{
	return start_fails("chmod") || strays(path) ? -1 : chmod(path, mode);
}

/*
 * Mounts
 */

/* The fake's own says that it is never allowed. */
int fuzz_unshare(int flags)
{
	if (start_fails("unshare") || syscall(SYS_unshare, flags))
		return -1;
	start_told->unshared = true;
	start_told->confined = true;
	return 0;
}

int fuzz_mount(const char *from, const char *to, const char *type,
	       unsigned long flags, const void *data)
{
	fuzz_require(start_told->unshared, "nothing is mounted on the machine");
	return start_fails("mount") ? -1 : mount(from, to, type, flags, data);
}

/* Of the nodes, their place in the machine's directory, or all of it. */
static const char *own_node(const char *path, char *buf)
{
	if (!strcmp(path, "/dev/vfio"))
		return setting.root.path;
	if (strcmp(path, "/dev/iommu"))
		return path;
	snprintf(buf, PATH_MAX, "%s%s", setting.root.path, path);
	return buf;
}

char *fuzz_realpath(const char *path, char *resolved)
{
	char buf[PATH_MAX];

	return start_fails("realpath") ? NULL :
		realpath(own_node(path, buf), resolved);
}

int fuzz_open_tree(int dir, const char *path, unsigned int flags)
{
	return start_fails("open_tree") ? -1 : open_tree(dir, path, flags);
}

/*
 * Landlock, and the one call that has no function
 */

static long landlock_create(long *arg)
{
	long version;

	if (start_fails("landlock_create_ruleset"))
		return -1;
	if (arg[2] != LANDLOCK_CREATE_RULESET_VERSION)
		return syscall(SYS_landlock_create_ruleset, arg[0], arg[1],
			       arg[2]);
	version = syscall(SYS_landlock_create_ruleset, NULL, 0, arg[2]);
	if (!start.landlock) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return min(version, (long)start.landlock);
}

long fuzz_syscall(long number, ...)
{
	long arg[4];
	va_list args;
	int i;

	va_start(args, number);
	for (i = 0; i < 4; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	switch (number) {
	case SYS_landlock_create_ruleset:
		return landlock_create(arg);
	case SYS_landlock_add_rule:
		if (start_fails("landlock_add_rule"))
			return -1;
		break;
	case SYS_landlock_restrict_self:
		if (start_fails("landlock_restrict_self"))
			return -1;
		start_told->confined = true;
		break;
	case SYS_pivot_root:
		fuzz_require(start_told->unshared,
			     "nothing is mounted on the machine");
		if (start_fails("pivot_root"))
			return -1;
		break;
	default:
		fuzz_require(0, "this system call is known");
	}
	return syscall(number, arg[0], arg[1], arg[2], arg[3]);
}

/*
 * Signals and time
 */

int fuzz_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	int ret = start_fails("pthread_sigmask") ? errno :
		pthread_sigmask(how, set, old);

	if (!ret)
		start_told->blocked = true;
	return ret;
}

static bool is_main_thread(void)
{
	return pthread_equal(pthread_self(), main_thread);
}

/* The main loop's waits. Those that end after a time end soon. */
int fuzz_poll(struct pollfd *fds, nfds_t nr, int ms)
{
	int ret, wait = min(ms, start.held ? HELD_MS : SHORT_MS);

	if (start_fails("poll"))
		return -1;
	if (!is_main_thread() || !ms)
		return poll(fds, nr, ms);
	/* More than the end of a session is waited for. */
	if (nr > 1 && !atomic_exchange(&start_told->serving, true))
		start_wake();
	ret = poll(fds, nr, wait);
	if (!ret && ms > 0)
		clock_forward(start.held ? HELD_PASS_MS : ms - wait);
	return ret;
}

/*
 * Uevents
 */

int fuzz_nl_socket_get_fd(const struct nl_sock *sock)
{
	(void)sock;
	start_told->hears = true;
	return start_uevent_fd();
}

int fuzz_nl_recv(struct nl_sock *sock, struct sockaddr_nl *from,
		 unsigned char **buf, struct ucred **creds)
{
	unsigned char text[256];
	ssize_t len = start_uevent(text, sizeof(text));

	(void)sock;
	(void)creds;
	if (len < 0)
		return -NLE_AGAIN;
	atomic_fetch_add(&start_told->uevents, 1);
	start_wake();
	/* One byte is an error, or says that there is nothing more. */
	if (len == 1)
		return -(int)text[0];
	memset(from, 0, sizeof(*from));
	from->nl_pid = text[0] & 1;
	*buf = malloc(len - 1);
	memcpy(*buf, text + 1, len - 1);
	return len - 1;
}

/* The log, of which somebody who looks into a finding may want to see more. */
ssize_t fuzz_write(int fd, const void *buf, size_t count)
{
	static int shown = -1;

	if (shown < 0)
		shown = !!getenv("START_FUZZ_SHOW");
	return shown ? write(fd, buf, count) : (ssize_t)count;
}
