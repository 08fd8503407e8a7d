// SPDX-License-Identifier: GPL-2.0-only
/*
 * seccomp: the system calls that the daemon makes, and no others.
 *
 * Beside each function that makes some, a comment says which:
 *
 *	Syscalls: pread64 fcntl(F_DUPFD_CLOEXEC)
 *
 * bridge/syscalls makes the list out of these comments when the daemon is
 * built. What is in brackets is the one value that an argument may have, for
 * those that do different things by it. "Syscalls at start:" are made before
 * the filter is in force and don't get on the list. That the comments name what
 * the functions call is tested (selftests/unit/syscalls_test.pl).
 *
 * What the C library does beneath, at any time, in any function:
 *
 * - memory. Syscalls: brk mmap munmap mremap mprotect madvise
 * - threads. Syscalls: clone futex set_robust_list rseq exit exit_group
 * - their internal signals. Syscalls: rt_sigaction(32) rt_sigaction(33)
 * - and where they run. Syscalls: sched_getaffinity getcpu
 * - signals. Syscalls: rt_sigprocmask rt_sigreturn restart_syscall tgkill
 * - names of itself. Syscalls: getpid gettid
 * - time, where the vDSO doesn't know. Syscalls: clock_gettime gettimeofday
 * - chance. Syscalls: getrandom
 * - last words, before abort(3). Syscalls: write writev
 *
 * Names are x86-64's. On other architectures, what they call the same thing is
 * allowed as well; names that an architecture doesn't have are passed over.
 *
 * A system call that isn't allowed kills the process, at once and whole: it
 * holds a device, which the kernel then stops and takes back, and somebody who
 * got as far as that is to have no second try. The kernel's log has its number
 * ("type=1326 ... syscall=").
 */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridge/sandbox.h"
#include "util.h"

/* What of socketpair(2)'s type isn't a flag. */
#define SOCK_TYPE_MASK		0xf
#define CLONE_NAMESPACES	(CLONE_NEWNS | CLONE_NEWCGROUP | \
				 CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
				 CLONE_NEWPID | CLONE_NEWNET)
#ifdef __s390__
#define CLONE_FLAGS_ARG		1
#else
#define CLONE_FLAGS_ARG		0
#endif

/* Other names, on other architectures, for the same. */
static const char *const also[][5] = {
	{ "access", "faccessat" },
	{ "clock_gettime", "clock_gettime64" },
	{ "epoll_wait", "epoll_pwait" },
	{ "fcntl", "fcntl64" },
	{ "fstat", "fstat64", "newfstatat", "fstatat64", "statx" },
	{ "ftruncate", "ftruncate64" },
	{ "futex", "futex_time64" },
	{ "lseek", "_llseek" },
	{ "mmap", "mmap2" },
	{ "newfstatat", "fstat", "fstatat64", "fstat64", "statx" },
	{ "poll", "ppoll", "ppoll_time64" },
	{ "prlimit64", "getrlimit", "ugetrlimit" },
	{ "readlink", "readlinkat" },
	{ "recvfrom", "recv" },
	{ "rt_sigreturn", "sigreturn" },
	{ "sendto", "send" },
	{ "timer_settime", "timer_settime64" },
	{ "unlink", "unlinkat" },
};

/* Which argument it is that is in brackets in the comments. */
static const struct {
	const char *name;
	unsigned int arg;
} bracketed[] = {
	{ "fcntl", 1 },
	{ "fcntl64", 1 },
	{ "getsockopt", 2 },
	{ "ioctl", 1 },
	{ "kill", 1 },
	{ "rt_sigaction", 0 },
	{ "setsockopt", 2 },
	{ "socketpair", 0 },
};

/**
 * struct narrow - an argument that is restricted wherever the call is made
 * @name: of the system call
 * @arg: which argument
 * @mask: these bits of it ...
 * @value: ... must be these
 */
struct narrow {
	const char *name;
	unsigned int arg;
	uint64_t mask;
	uint64_t value;
};

static const struct narrow narrowed[] = {
	/* No code but what was loaded. */
	{ "mmap", 2, PROT_EXEC, 0 },
	{ "mmap2", 2, PROT_EXEC, 0 },
	{ "mprotect", 2, PROT_EXEC, 0 },
	/* Threads; no processes, no namespaces. */
	{ "clone", CLONE_FLAGS_ARG, CLONE_THREAD | CLONE_NAMESPACES,
	  CLONE_THREAD },
	/* Limits are looked at, not set. */
	{ "prlimit64", 2, UINT64_MAX, 0 },
	/* Nothing goes to anybody but who is connected. */
	{ "sendto", 4, UINT64_MAX, 0 },
	{ "socketpair", 1, SOCK_TYPE_MASK, SOCK_STREAM },
};

static unsigned int seccomp_bracketed_arg(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bracketed); i++) {
		if (!strcmp(bracketed[i].name, name))
			return bracketed[i].arg;
	}
	/* Never matches: the list names a call that this file doesn't know. */
	return UINT32_MAX;
}

static const struct narrow *seccomp_narrow(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(narrowed); i++) {
		if (!strcmp(narrowed[i].name, name))
			return &narrowed[i];
	}
	return NULL;
}

/* Allow @name if it is a system call of this architecture. */
static int seccomp_allow(scmp_filter_ctx ctx, const char *name,
			 const struct sandbox_call *call)
{
	const struct narrow *narrow = seccomp_narrow(name);
	int number = seccomp_syscall_resolve_name(name);
	struct scmp_arg_cmp cmp[2];
	unsigned int nr = 0;

	if (number < 0)
		return 0;
	if (call->has_arg)
		cmp[nr++] = SCMP_CMP(seccomp_bracketed_arg(name),
				     SCMP_CMP_MASKED_EQ, UINT32_MAX, call->arg);
	if (narrow)
		cmp[nr++] = SCMP_CMP(narrow->arg, SCMP_CMP_MASKED_EQ,
				     narrow->mask, narrow->value);
	if (!strcmp(name, "tgkill"))
		cmp[nr++] = SCMP_CMP(0, SCMP_CMP_MASKED_EQ, UINT32_MAX,
				     getpid());
	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, number, nr, cmp);
}

static int seccomp_allow_call(scmp_filter_ctx ctx,
			      const struct sandbox_call *call)
{
	unsigned int i, n;
	int ret;

	ret = seccomp_allow(ctx, call->name, call);
	for (i = 0; !ret && i < ARRAY_SIZE(also); i++) {
		if (strcmp(also[i][0], call->name))
			continue;
		for (n = 1; !ret && n < ARRAY_SIZE(also[i]) && also[i][n]; n++)
			ret = seccomp_allow(ctx, also[i][n], call);
	}
	return ret;
}

/* Syscalls at start: prctl seccomp */
int seccomp_enter(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	const struct sandbox_call *call;
	int ret;

	if (!ctx)
		return -ENOMEM;
	/* A tree, rather than one comparison after another. */
	ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!ret)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
				       SCMP_ACT_KILL_PROCESS);
	/* Its flags can't be looked at. Without it, there is clone(2). */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
				       SCMP_SYS(clone3), 0);
	for (call = sandbox_calls; !ret && call->name; call++)
		ret = seccomp_allow_call(ctx, call);
	if (!ret)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	return ret;
}
