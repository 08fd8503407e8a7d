// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-bridge: a physical PCI device, offered on a UNIX socket by vfio-user.
 *
 * The main thread opens the device once, to be able to say at once what is
 * wrong with it, and closes it again. Then it waits: for clients, of which the
 * first gets a session (a thread of its own) and others are refused as long as
 * it lasts; for whoever asks the monitor; for SIGTERM; and for the session's
 * end. It never talks to the device and never waits for a client.
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bridge.h"
#include "log.h"

enum { POLL_SIGNAL, POLL_DONE, POLL_LISTEN, POLL_MONITOR, POLL_FDS };

/* How long nobody is accepted when somebody can't be, in milliseconds. */
#define MAIN_PAUSE_MS	100

static void main_interrupt(int signal)
{
}

static int main_signals(struct bridge *b)
{
	const struct sigaction interrupt = { .sa_handler = main_interrupt };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	/* Threads inherit this, so the signals come here and nowhere else. */
	if (pthread_sigmask(SIG_BLOCK, &set, NULL))
		return -EINVAL;
	signal(SIGPIPE, SIG_IGN);
	sigaction(WATCH_SIGNAL, &interrupt, NULL);
	b->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	b->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return b->signal_fd < 0 || b->done_fd < 0 ? -errno : 0;
}

/*
 * A client with a thousand vectors brings as many eventfds. Who started us set
 * the hard limit; the soft one is for programs that use select(2).
 */
static void main_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* The socket that --fd names: 1 if it is connected, 0 if it listens. */
static int main_take_fd(struct bridge *b)
{
	int fd = b->opts->fd, listening, domain, type;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) ||
	    domain != AF_UNIX || type != SOCK_STREAM) {
		log_err("--fd=%d: not an open UNIX stream socket", fd);
		return -ENOTSOCK;
	}
	if (!listening)
		return 1;
	b->listen_fd = fd;
	return 0;
}

static int main_listen(struct bridge *b)
{
	const struct options *o = b->opts;
	char why[256];

	if (o->monitor_path) {
		b->monitor_fd = listen_open(o->monitor_path, why, sizeof(why));
		if (b->monitor_fd < 0) {
			log_err("--monitor=%s: %s", o->monitor_path, why);
			return b->monitor_fd;
		}
	}
	if (!o->socket_path)
		return main_take_fd(b);

	b->listen_fd = listen_open(o->socket_path, why, sizeof(why));
	if (b->listen_fd < 0) {
		log_err("--socket-path=%s: %s", o->socket_path, why);
		return b->listen_fd;
	}
	return 0;
}

static int64_t main_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* True if a session has ended, which makes room for the next. */
static bool main_reap(struct bridge *b)
{
	eventfd_t value;

	if (eventfd_read(b->done_fd, &value))
		return false;
	session_end(b);
	b->listen_after = 0;
	b->hold_until = 0;
	return true;
}

/*
 * Who comes right after another has gone finds it still being torn down, and
 * waits in the socket's backlog, for a time.
 */
static bool main_hold(struct bridge *b)
{
	int64_t now = main_now();

	if (!b->session || !session_is_ending(b->session))
		return false;
	if (!b->hold_until)
		b->hold_until = now + BRIDGE_CLIENT_TIMEOUT * 1000;
	if (now >= b->hold_until)
		return false;
	if (now >= b->hold_until - (BRIDGE_CLIENT_TIMEOUT - 1) * 1000)
		session_interrupt(b->session);
	b->listen_after = now + MAIN_PAUSE_MS;
	return true;
}

static void main_refuse(struct bridge *b, int fd)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	log_info("%s: busy with pid %d: refused client pid %d of uid %d",
		 b->device.name, b->session->peer.pid, peer.pid, peer.uid);
	atomic_fetch_add(&b->stats.refused, 1);
	refuse_start(fd);
}

static void main_accept(struct bridge *b)
{
	int fd, ret;

	if (main_hold(b))
		return;
	/* One that can't be answered, or has no fd to be had, waits, too. */
	fd = b->session && !refuse_make_room() ? -1 :
		accept4(b->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		b->listen_after = main_now() + MAIN_PAUSE_MS;
		return;
	}
	if (b->session) {
		main_refuse(b, fd);
		return;
	}
	ret = session_start(b, fd);
	if (ret)
		log_err("%s: cannot serve a client: %s", b->device.name,
			strerrordesc_np(-ret));
}

static void main_monitor(struct bridge *b)
{
	int fd = accept4(b->monitor_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		monitor_answer(b, fd);
	else
		b->listen_after = main_now() + MAIN_PAUSE_MS;
}

/* Wait for something to do; while nobody is accepted, not for long. */
static int main_poll(struct bridge *b, struct pollfd *fds)
{
	bool pause = main_now() < b->listen_after;
	int i;

	fds[POLL_SIGNAL].fd = b->signal_fd;
	fds[POLL_DONE].fd = b->done_fd;
	fds[POLL_LISTEN].fd = pause ? -1 : b->listen_fd;
	fds[POLL_MONITOR].fd = pause ? -1 : b->monitor_fd;
	for (i = 0; i < POLL_FDS; i++) {
		fds[i].events = POLLIN;
		fds[i].revents = 0;
	}
	return poll(fds, POLL_FDS, pause ? MAIN_PAUSE_MS : -1);
}

/* The end of a session may be the daemon's: that of one that had the device. */
static bool main_ends_with_session(const struct bridge *b)
{
	return b->listen_fd < 0 ||
	       (b->opts->on_disconnect == ON_DISCONNECT_EXIT &&
		atomic_load(&b->stats.sessions));
}

static void main_loop(struct bridge *b)
{
	struct pollfd fds[POLL_FDS];
	bool stop = false;

	while (!stop) {
		if (main_poll(b, fds) < 0 && errno != EINTR)
			break;
		if (main_reap(b))
			stop = main_ends_with_session(b);
		if (fds[POLL_SIGNAL].revents)
			stop = true;
		if (fds[POLL_MONITOR].revents)
			main_monitor(b);
		if (fds[POLL_LISTEN].revents && !stop)
			main_accept(b);
	}

	if (b->session)
		session_end(b);
	device_drop_retained(b);
}

static int main_find(struct bridge *b)
{
	int ret = pci_resolve(b->opts->device, &b->device);

	if (ret == -EINVAL) {
		log_err("--device=%s: give a PCI address such as 0000:01:00.0, or a mediated device's UUID",
			b->opts->device);
		return BRIDGE_EXIT_USAGE;
	}
	if (ret) {
		log_err("--device=%s: there is no such device (lspci -D lists them)",
			b->opts->device);
		return BRIDGE_EXIT_DEVICE;
	}
	return device_check(b) ? BRIDGE_EXIT_DEVICE : BRIDGE_EXIT_OK;
}

static int main_serve(struct bridge *b)
{
	int ret = main_listen(b);

	if (ret < 0)
		return BRIDGE_EXIT_SOCKET;
	if (ret == 1) {
		ret = session_start(b, b->opts->fd);
		if (ret) {
			log_err("--fd=%d: %s", b->opts->fd,
				strerrordesc_np(-ret));
			return BRIDGE_EXIT_SOCKET;
		}
	} else {
		log_info("%s: listening on %s", b->device.name,
			 b->opts->socket_path ? b->opts->socket_path :
			 "the socket that was given");
	}
	main_loop(b);
	return BRIDGE_EXIT_OK;
}

int main(int argc, char **argv)
{
	struct options opts;
	struct bridge b = {
		.opts = &opts,
		.listen_fd = -1,
		.monitor_fd = -1,
	};
	int ret;

	log_init("vfio-bridge", false);
	ret = options_parse(&opts, argc, argv);
	if (ret >= 0)
		return ret;
	log_init("vfio-bridge", opts.verbose);
	/* As a constant, so that a session's buffers go back when it ends. */
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);

	ret = main_signals(&b);
	if (ret) {
		log_err("cannot wait for signals: %s", strerrordesc_np(-ret));
		return BRIDGE_EXIT_FAILED;
	}
	main_raise_limit();
	refuse_init();
	ret = main_find(&b);
	if (!ret)
		ret = main_serve(&b);
	listen_close(&b.listen_fd, opts.socket_path);
	listen_close(&b.monitor_fd, opts.monitor_path);
	return ret;
}
