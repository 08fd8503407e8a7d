// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process that start_fuzz starts the daemon in.
 *
 * It is forked and then calls the daemon's main(). What libFuzzer counts it
 * counts in memory that its parent sees as well, from the start, for it may be
 * killed: the pages that have the counters are exchanged for shared ones, in the
 * child alone. What else is in these pages is the child's as before. (AFL++ and
 * clang's counters of lines, as coverage has them made, are shared by
 * themselves.)
 *
 * libFuzzer's handlers are not for this process: what a sanitizer finds, and what
 * would end the daemon, is told to the parent, which ends as with any finding.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hooks.h"
#include "start.h"
#include "start_hooks.h"
#include "util.h"

#define NOBODY		65534
/* More than the daemon opens here. */
#define COUNTED_FDS	256

struct start start;
struct start_told *start_told;

/* The pages that have the counters, and how the parent sees the child's. */
static uint8_t *pages, *view;
static size_t pages_len;
static int pages_fd = -1;

static int wake_fd, null_fd, uevent_fds[2];

/*
 * What the sanitizers do unless the environment says otherwise. A process that
 * is confined can't start a program that knows the names of functions.
 */
const char *__asan_default_options(void)
{
#ifdef __clang__
	return "abort_on_error=1:color=never:symbolize=0";
#else
	return "abort_on_error=1:color=never";
#endif
}

/* With gcc, a library that knows nothing of the other's. */
const char *__ubsan_default_options(void)
{
	return "abort_on_error=1:color=never";
}

/* Out of the way of those that are handed over. */
static int own_fd(int fd)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, START_OWN_FDS);

	fuzz_require(fd >= 0 && own >= 0, "there is an fd");
	close(fd);
	return own;
}

static void *shared(size_t len, int fd)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE,
			    MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);

	fuzz_require(memory != MAP_FAILED, "there is memory");
	return memory;
}

static void counters_init(void)
{
	size_t page = sysconf(_SC_PAGESIZE);
	uint8_t *begin = counters_begin, *end = counters_end;

	if (begin == end)
		return;
	pages = begin - (uintptr_t)begin % page;
	pages_len = (end - pages + page - 1) / page * page;
	pages_fd = own_fd(memfd_create("counters", MFD_CLOEXEC));
	fuzz_require(!ftruncate(pages_fd, pages_len), "there is memory");
	view = shared(pages_len, pages_fd);
}

/* By a system call: what is between variables is not to be read. */
static void counters_share(void)
{
	if (!pages)
		return;
	if (syscall(SYS_pwrite64, pages_fd, pages, pages_len, 0l) !=
	    (long)pages_len ||
	    mmap(pages, pages_len, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, pages_fd, 0) == MAP_FAILED)
		abort();
}

void start_ended(void)
{
	uint8_t *own, *its;

	for (own = counters_begin; own < counters_end; own++) {
		its = view + (own - pages);
		*own = max(*own, *its);
	}
}

void start_init(void)
{
	/* --no is for one option and for none: getopt(3) says so on stderr. */
	opterr = 0;
	start_told = shared(sizeof(*start_told), -1);
	counters_init();
	wake_fd = own_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	null_fd = own_fd(open("/dev/null", O_RDWR | O_CLOEXEC));
}

void start_wake(void)
{
	eventfd_write(wake_fd, 1);
}

bool start_wait(int pidfd, int ms)
{
	struct pollfd fds[] = { { pidfd, POLLIN, 0 }, { wake_fd, POLLIN, 0 } };
	eventfd_t value;
	int ret;

	do {
		ret = poll(fds, ARRAY_SIZE(fds), ms);
	} while (ret < 0 && errno == EINTR);
	eventfd_read(wake_fd, &value);
	return ret > 0;
}

void start_tell(const void *uevent, size_t len)
{
	/* A daemon that doesn't listen any more isn't told. */
	if (send(uevent_fds[0], uevent, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

ssize_t start_uevent(void *buf, size_t len)
{
	ssize_t n = recv(uevent_fds[1], buf, len, MSG_DONTWAIT);

	return n > 0 ? n : -1;
}

int start_uevent_fd(void)
{
	return uevent_fds[1];
}

/*
 * In the child
 */

static void child_reports(void)
{
	start_told->reported = true;
}

/* As the sanitizers have it; the second time it ends the process. */
static void child_crashes(int number)
{
	start_told->reported = true;
	dprintf(STDERR_FILENO, "the daemon gets signal %d\n", number);
	if (__sanitizer_print_stack_trace)
		__sanitizer_print_stack_trace();
	/* That one isn't made by what is returned to. */
	if (number == SIGABRT)
		raise(SIGABRT);
}

static void child_signals(void)
{
	struct sigaction crash = {
		.sa_handler = child_crashes, .sa_flags = SA_RESETHAND,
	};
	static const int crashes[] = {
		SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV,
	};
	sigset_t none;
	int i;

	for (i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	for (i = 0; i < ARRAY_SIZE(crashes); i++)
		sigaction(crashes[i], &crash, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(child_reports);
}

/* What is handed over, and what isn't: the parent's ends of it. */
static void child_fds(void)
{
	int i;

	for (i = 0; i < START_FDS; i++) {
		if (start.fds[i] >= 0)
			dup2(start.fds[i], START_FIRST_FD + i);
		else
			close(START_FIRST_FD + i);
	}
	close_range(START_FIRST_FD + START_FDS, START_OWN_FDS - 1, 0);
	close(uevent_fds[0]);
	dup2(null_fd, STDOUT_FILENO);
}

/* A change of user makes one forget whose death is to be one's own. */
static void child_becomes_nobody(void)
{
	if (geteuid())
		return;
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY) || prctl(PR_SET_DUMPABLE, 1) ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL))
		abort();
}

static void child_look(bool open[COUNTED_FDS])
{
	int i;

	for (i = 0; i < COUNTED_FDS; i++)
		open[i] = fcntl(i, F_GETFD) >= 0;
}

static unsigned int child_count(const bool before[COUNTED_FDS])
{
	bool now[COUNTED_FDS];
	unsigned int left = 0, i;

	child_look(now);
	for (i = 0; i < COUNTED_FDS; i++)
		left += now[i] && !before[i];
	return left;
}

/*
 * Who looks for leaks stops all threads as a debugger does, which no signal may
 * disturb: when the parent sends no more, and only if it is allowed at all.
 */
static void child_find_leaks(void)
{
	if (!start.leaks || start_told->confined ||
	    !__lsan_do_recoverable_leak_check)
		return;
	while (!start_told->left_alone)
		poll(NULL, 0, 1);
	signal(SIGTERM, SIG_IGN);
	if (__lsan_do_recoverable_leak_check())
		start_told->reported = true;
}

static void child_run(void)
{
	bool before[COUNTED_FDS];
	unsigned int kept, left;
	int ret, tries = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	counters_share();
	child_signals();
	setting.root.control->pid = getpid();
	child_fds();
	if (chdir(setting.root.path))
		abort();
	if (start.nobody)
		child_becomes_nobody();
	setting_activate(start.activate);
	start_calls_init();
	child_look(before);
	ret = fuzz_main(start.argc, start.argv);
	start_told->returned = true;
	start_wake();
	/*
	 * The two that the main loop waits for go with the process, and so does
	 * a listener that no thread could be made to close. Somebody who is
	 * refused may still be on his way out.
	 */
	kept = 2 + start_failed("pthread_create");
	while (child_count(before) > kept && tries++ < 5000)
		poll(NULL, 0, 1);
	left = child_count(before);
	start_told->left = left > kept ? left - kept : 0;
	child_find_leaks();
	_exit(ret);
}

pid_t start_fork(void)
{
	sigset_t all, old;
	eventfd_t value;
	pid_t pid;

	memset(start_told, 0, sizeof(*start_told));
	eventfd_read(wake_fd, &value);
	fuzz_require(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
				 uevent_fds), "sockets");
	uevent_fds[0] = own_fd(uevent_fds[0]);
	uevent_fds[1] = own_fd(uevent_fds[1]);
	fflush(NULL);
	/* None is to find libFuzzer's handlers in the child. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	fuzz_require(pid >= 0, "there is room for a process");
	if (!pid)
		child_run();
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(uevent_fds[1]);
	return pid;
}
