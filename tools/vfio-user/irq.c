// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-user irq: arm an interrupt index, print what fires.
 *
 * Each sub-index gets an eventfd, which the server hands on to the kernel: no
 * message of the server is between the interrupt and the line that is printed.
 * The kernel masks a level-triggered interrupt (INTx) as it signals it, so
 * such an index is unmasked again each time. The index is disarmed at the end,
 * at SIGINT and SIGTERM, too.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>

#include "log.h"
#include "tool.h"

#define TRIGGER_TIMEOUT_S	5
#define MAX_TIMEOUT_S		(INT32_MAX / 1000)
/* The most eventfds that are made; MSI-X has 2048 vectors at most. */
#define MAX_ARMED		4096

/* What epoll tells besides a sub-index. */
#define EVENT_SERVER	(-1)
#define EVENT_SIGNAL	(-2)

struct irq_args {
	uint32_t index;
	uint64_t count;
	uint64_t timeout;
	bool trigger;
};

/**
 * struct irq_watch - an index that is armed
 * @c: the client
 * @index: interrupt index
 * @automasked: unmask after each interrupt
 * @count: sub-indexes that are armed
 * @fds: an eventfd each
 * @seen: which of them have fired
 * @nr_seen: how many of them have
 * @epoll: waits for them, the server and signals
 * @signals: signalfd
 * @start: when it was armed, in milliseconds
 */
struct irq_watch {
	struct vfio_user_client *c;
	uint32_t index;
	bool automasked;
	uint32_t count;
	int *fds;
	bool *seen;
	uint32_t nr_seen;
	int epoll;
	int signals;
	int64_t start;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int watch_add(struct irq_watch *w, int fd, uint32_t events,
		     int64_t what)
{
	struct epoll_event event = { .events = events, .data.u64 = what };

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static void watch_exit(struct irq_watch *w)
{
	uint32_t i;

	for (i = 0; w->fds && i < w->count; i++)
		close_fd(&w->fds[i]);
	close_fd(&w->signals);
	close_fd(&w->epoll);
	free(w->seen);
	free(w->fds);
}

/* Returns 0 or a negative errno; watch_exit() is due in either case. */
static int watch_init(struct irq_watch *w)
{
	sigset_t set;
	uint32_t i;
	int ret;

	w->signals = -1;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->fds = malloc(w->count * sizeof(*w->fds));
	w->seen = calloc(w->count, sizeof(*w->seen));
	if (!w->fds || !w->seen) {
		w->count = 0;
		return -ENOMEM;
	}
	for (i = 0; i < w->count; i++)
		w->fds[i] = -1;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	w->signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (w->epoll < 0 || w->signals < 0)
		return -errno;

	ret = watch_add(w, w->signals, EPOLLIN, EVENT_SIGNAL);
	if (!ret)
		ret = watch_add(w, vfio_user_client_fd(w->c), EPOLLRDHUP,
				EVENT_SERVER);
	for (i = 0; i < w->count && !ret; i++) {
		w->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (w->fds[i] < 0)
			return -errno;
		ret = watch_add(w, w->fds[i], EPOLLIN, i);
	}
	return ret;
}

/* A sub-index fired: say so. */
static int watch_fired(struct irq_watch *w, uint32_t sub)
{
	const char *name = tool_irq_name(w->index);
	int64_t ms = now_ms() - w->start;
	eventfd_t times;

	if (eventfd_read(w->fds[sub], &times))
		return 0;
	printf("%5lld.%03lld ", (long long)ms / 1000, (long long)ms % 1000);
	if (name)
		printf("%s", name);
	else
		printf("interrupt %u", w->index);
	printf(" sub-index %u fired", sub);
	if (times > 1)
		printf(" %llu times", (unsigned long long)times);
	putchar('\n');
	fflush(stdout);

	if (!w->seen[sub])
		w->nr_seen++;
	w->seen[sub] = true;
	if (!w->automasked)
		return 0;
	return vfio_user_irq_set(w->c, VFIO_USER_IRQ_SET_DATA_NONE |
				 VFIO_USER_IRQ_SET_ACTION_UNMASK,
				 w->index, sub, 1, NULL);
}

/* Wait for one event; returns 1 to go on, 0 for the end, or an errno. */
static int watch_wait(struct irq_watch *w, int64_t deadline)
{
	int64_t left = deadline ? max(deadline - now_ms(), (int64_t)0) : -1;
	struct epoll_event event;
	int ret;

	ret = epoll_wait(w->epoll, &event, 1, left);
	if (ret < 0 && errno == EINTR)
		return 1;
	if (ret <= 0)
		return ret ? -errno : 0;

	switch ((int64_t)event.data.u64) {
	case EVENT_SIGNAL:
		return 0;
	case EVENT_SERVER:
		return -ECONNRESET;
	default:
		ret = watch_fired(w, event.data.u64);
		return ret ? ret : 1;
	}
}

static int watch_run(struct irq_watch *w, const struct irq_args *args)
{
	int64_t deadline = 0;
	int ret;

	w->start = now_ms();
	if (args->timeout)
		deadline = w->start + args->timeout * 1000;
	if (args->trigger) {
		ret = vfio_user_irq_set(w->c, VFIO_USER_IRQ_SET_DATA_NONE |
					VFIO_USER_IRQ_SET_ACTION_TRIGGER,
					w->index, 0, w->count, NULL);
		if (ret)
			return tool_fail(ret, "can't trigger the interrupt");
	}
	do {
		ret = watch_wait(w, deadline);
	} while (ret > 0 && (!args->trigger || w->nr_seen < w->count));
	if (ret < 0)
		return tool_fail(ret, "can't wait for interrupts");

	if (args->trigger && w->nr_seen < w->count) {
		log_err("only %u of %u sub-indexes fired", w->nr_seen,
			w->count);
		return TOOL_FAILED;
	}
	if (!w->nr_seen) {
		log_err("nothing fired");
		return TOOL_FAILED;
	}
	return TOOL_OK;
}

static int watch_arm(struct irq_watch *w, const struct irq_args *args)
{
	int ret;

	ret = vfio_user_irq_set(w->c, VFIO_USER_IRQ_SET_DATA_EVENTFD |
				VFIO_USER_IRQ_SET_ACTION_TRIGGER,
				w->index, 0, w->count, w->fds);
	if (ret)
		return tool_fail(ret, "can't arm %u sub-indexes", w->count);
	ret = watch_run(w, args);
	/* If this fails the session is over, and that disarms, too. */
	vfio_user_irq_set(w->c, VFIO_USER_IRQ_SET_DATA_NONE |
			  VFIO_USER_IRQ_SET_ACTION_TRIGGER, w->index, 0, 0,
			  NULL);
	return ret;
}

static int irq_watch(struct vfio_user_client *c, const struct irq_args *args)
{
	struct irq_watch w = { .c = c, .index = args->index };
	struct vfio_user_irq_info info;
	int ret;

	ret = vfio_user_irq_info(c, args->index, &info);
	if (ret == -EINVAL || (!ret && !info.count)) {
		log_err("the device has no interrupt of index %u; 'vfio-user info' lists them",
			args->index);
		return TOOL_FAILED;
	}
	if (ret)
		return tool_fail(ret, "can't ask about the interrupt");
	if (args->count > info.count) {
		log_err("--count=%llu: the index has only %u",
			(unsigned long long)args->count, info.count);
		return TOOL_USAGE;
	}
	w.count = args->count ? args->count : info.count;
	w.automasked = info.flags & VFIO_USER_IRQ_INFO_AUTOMASKED;
	if (w.count > MAX_ARMED) {
		log_err("the index has %u sub-indexes: arm at most %u with --count",
			info.count, MAX_ARMED);
		return TOOL_USAGE;
	}

	ret = watch_init(&w);
	if (ret == -EMFILE)
		ret = tool_fail(ret, "%u eventfds: use --count or 'ulimit -n'",
				w.count);
	else if (ret)
		ret = tool_fail(ret, "can't make %u eventfds", w.count);
	else
		ret = watch_arm(&w, args);
	watch_exit(&w);
	return ret;
}

static bool irq_parse(int argc, char **argv, struct irq_args *args)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'c' },
		{ "timeout", required_argument, NULL, 't' },
		{ "trigger", no_argument, NULL, 's' },
		{ }
	};
	int opt;

	while ((opt = tool_getopt(argc, argv, options)) != -1) {
		if (opt == 's')
			args->trigger = true;
		else if (opt == '?' ||
			 (opt == 'c' && !tool_number("count", optarg,
						     &args->count)) ||
			 (opt == 't' && !tool_number("timeout", optarg,
						     &args->timeout)))
			return false;
	}
	if (args->timeout > MAX_TIMEOUT_S) {
		log_err("--timeout takes at most %d seconds", MAX_TIMEOUT_S);
		return false;
	}
	if (args->trigger && !args->timeout)
		args->timeout = TRIGGER_TIMEOUT_S;
	return tool_operands(argc, argv, 2, 2) &&
		tool_irq(argv[optind + 1], &args->index);
}

static int irq_run(int argc, char **argv)
{
	struct irq_args args = { 0 };
	struct vfio_user_client *c;
	int ret;

	if (!irq_parse(argc, argv, &args))
		return TOOL_USAGE;
	if (tool_connect(argv[optind], &c))
		return TOOL_FAILED;
	ret = irq_watch(c, &args);
	vfio_user_disconnect(c);
	return ret;
}

const struct subcommand cmd_irq = {
	.name = "irq",
	.args = "SOCKET INDEX [--count=N] [--timeout=SECONDS] [--trigger]",
	.summary = "Arm an interrupt index and print what fires",
	.help =
"  SOCKET     the server's UNIX socket\n"
"  INDEX      intx, msi, msix, err, req, or a number\n"
"  --count    arm only so many sub-indexes\n"
"  --timeout  stop after so many seconds; 0, or not given: at SIGINT or\n"
"             SIGTERM\n"
"  --trigger  fire each of them once by software, stop when all have fired;\n"
"             the time-out is 5 seconds if not given\n"
"\n"
"A line is the time since arming in seconds, the index and the sub-index.\n"
"It has worked if something fired; with --trigger, if everything did.\n",
	.run = irq_run,
};
