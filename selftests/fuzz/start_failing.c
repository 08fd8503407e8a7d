// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the daemon calls in place of libc's and other libraries' functions, when
 * start_fuzz starts it: these do the same, or fail if the input says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <netlink/netlink.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "hooks.h"
#include "start.h"
#include "start_hooks.h"
#include "util.h"

static const char *const names[] = {
	"accept4", "bind", "calloc", "capng_apply", "capng_get_caps_process",
	"chdir", "chmod", "connect", "eventfd", "fstat", "getcwd", "getrlimit",
	"getsockopt", "landlock_add_rule", "landlock_create_ruleset",
	"landlock_restrict_self", "lchown", "listen", "lstat", "malloc",
	"mkdir", "mount", "mount_setattr", "move_mount", "nl_connect", "open",
	"open_tree", "pivot_root", "poll", "prctl", "pthread_create",
	"pthread_sigmask", "realpath", "seccomp_attr_set", "seccomp_init",
	"seccomp_load", "seccomp_rule_add", "seccomp_rule_add_array",
	"setrlimit", "setsockopt", "signalfd", "socket", "umount2", "unlink",
	"unshare",
};

const char *start_call_name(unsigned int number)
{
	return names[number % ARRAY_SIZE(names)];
}

bool start_fails(const char *name)
{
	unsigned int i;

	for (i = 0; i < START_FAILING; i++) {
		struct start_failing *f = &start.failing[i];

		if (f->name && !strcmp(f->name, name) &&
		    atomic_fetch_add(&f->seen, 1) + 1 == f->nth) {
			errno = f->err;
			return true;
		}
	}
	return false;
}

unsigned int start_failed(const char *name)
{
	unsigned int i, nr = 0;

	for (i = 0; i < START_FAILING; i++) {
		struct start_failing *f = &start.failing[i];

		nr += f->name && !strcmp(f->name, name) &&
		      atomic_load(&f->seen) >= f->nth;
	}
	return nr;
}

int fuzz_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return start_fails("accept4") ? -1 : accept4(fd, addr, len, flags);
}

void *fuzz_calloc(size_t nr, size_t size)
{
	return start_fails("calloc") ? NULL : calloc(nr, size);
}

int fuzz_capng_apply(capng_select_t set)
{
	return start_fails("capng_apply") ? -1 : capng_apply(set);
}

int fuzz_capng_get_caps_process(void)
{
	return start_fails("capng_get_caps_process") ? -1 : capng_get_caps_process();
}

int fuzz_chdir(const char *path)
{
	return start_fails("chdir") ? -1 : chdir(path);
}

int fuzz_eventfd(unsigned int count, int flags)
{
	return start_fails("eventfd") ? -1 : eventfd(count, flags);
}

int fuzz_fstat(int fd, struct stat *st)
{
	return start_fails("fstat") ? -1 : fstat(fd, st);
}

char *fuzz_getcwd(char *buf, size_t len)
{
	return start_fails("getcwd") ? NULL : getcwd(buf, len);
}

int fuzz_getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
	return start_fails("getrlimit") ? -1 : getrlimit(resource, limit);
}

int fuzz_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	return start_fails("getsockopt") ? -1 :
		getsockopt(fd, level, name, value, len);
}

int fuzz_listen(int fd, int backlog)
{
	return start_fails("listen") ? -1 : listen(fd, backlog);
}

int fuzz_lstat(const char *path, struct stat *st)
{
	return start_fails("lstat") ? -1 : lstat(path, st);
}

void *fuzz_malloc(size_t size)
{
	return start_fails("malloc") ? NULL : malloc(size);
}

int fuzz_mkdir(const char *path, mode_t mode)
{
	return start_fails("mkdir") ? -1 : mkdir(path, mode);
}

int fuzz_mount_setattr(int fd, const char *path, unsigned int flags,
		       struct mount_attr *attr, size_t size)
{
	return start_fails("mount_setattr") ? -1 :
		mount_setattr(fd, path, flags, attr, size);
}

int fuzz_move_mount(int from, const char *from_path, int to,
		    const char *to_path, unsigned int flags)
{
	return start_fails("move_mount") ? -1 :
		move_mount(from, from_path, to, to_path, flags);
}

int fuzz_nl_connect(struct nl_sock *sock, int protocol)
{
	return start_fails("nl_connect") ? -NLE_NOMEM : nl_connect(sock, protocol);
}

int fuzz_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			void *(*fn)(void *arg), void *arg)
{
	return start_fails("pthread_create") ? errno :
		pthread_create(thread, attr, fn, arg);
}

int fuzz_seccomp_attr_set(scmp_filter_ctx ctx, enum scmp_filter_attr attr,
			  uint32_t value)
{
	return start_fails("seccomp_attr_set") ? -errno :
		seccomp_attr_set(ctx, attr, value);
}

scmp_filter_ctx fuzz_seccomp_init(uint32_t action)
{
	return start_fails("seccomp_init") ? NULL : seccomp_init(action);
}

int fuzz_seccomp_rule_add_array(scmp_filter_ctx ctx, uint32_t action,
				int number, unsigned int nr,
				const struct scmp_arg_cmp *args)
{
	return start_fails("seccomp_rule_add_array") ? -errno :
		seccomp_rule_add_array(ctx, action, number, nr, args);
}

int fuzz_setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	return start_fails("setrlimit") ? -1 : setrlimit(resource, limit);
}

int fuzz_setsockopt(int fd, int level, int name, const void *value,
		    socklen_t len)
{
	return start_fails("setsockopt") ? -1 :
		setsockopt(fd, level, name, value, len);
}

int fuzz_signalfd(int fd, const sigset_t *set, int flags)
{
	return start_fails("signalfd") ? -1 : signalfd(fd, set, flags);
}

int fuzz_socket(int domain, int type, int protocol)
{
	return start_fails("socket") ? -1 : socket(domain, type, protocol);
}

int fuzz_umount2(const char *path, int flags)
{
	return start_fails("umount2") ? -1 : umount2(path, flags);
}

int fuzz_seccomp_rule_add(scmp_filter_ctx ctx, uint32_t action, int number,
			  unsigned int nr, ...)
{
	/* The daemon gives no arguments in this way. */
	return start_fails("seccomp_rule_add") ? -errno :
		seccomp_rule_add_array(ctx, action, number, 0, NULL);
}

int fuzz_seccomp_load(const scmp_filter_ctx ctx)
{
	start_told->confined = true;
	return start_fails("seccomp_load") ? -errno : seccomp_load(ctx);
}

int fuzz_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	if (start_fails("open"))
		return -1;
	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	return open(path, flags, mode);
}

int fuzz_prctl(int option, ...)
{
	unsigned long arg[4];
	va_list args;
	int i;

	if (start_fails("prctl"))
		return -1;
	va_start(args, option);
	for (i = 0; i < 4; i++)
		arg[i] = va_arg(args, unsigned long);
	va_end(args);
	return prctl(option, arg[0], arg[1], arg[2], arg[3]);
}
