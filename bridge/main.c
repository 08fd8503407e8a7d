// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-bridge: physical PCI devices, each offered on a UNIX socket by vfio-user.
 *
 * The main thread opens each device once, to be able to say at once what is
 * wrong with it, and closes it again. Then it waits: for clients, of which the
 * first on a socket gets a session (a thread of its own) and others are refused
 * as long as it lasts; for whoever asks the monitor; for SIGTERM; and for the
 * sessions' ends. It never talks to a device and never waits for a client, nor
 * for a session that hasn't said that it is done: what one device's kernel
 * driver takes its time for delays no other device.
 *
 * A device is finished when it will serve nobody any more: with a connected
 * socket, or --on-disconnect=exit, when its client has gone. The daemon ends
 * when all of its devices are finished.
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
#include "bridge/sandbox.h"
#include "log.h"

/* Of each device there are two: its socket, and its REQ while it is retained. */
enum { POLL_SIGNAL, POLL_DONE, POLL_UEVENT, POLL_MONITOR, POLL_LISTEN };
#define POLL_MAX	(POLL_LISTEN + 2 * MAX_DEVICES)

/* How long nobody is accepted when somebody can't be, in milliseconds. */
#define MAIN_PAUSE_MS	100
/* Between two tries to get sessions that end out of their waits. */
#define MAIN_INTERRUPT_MS	10

static void main_interrupt(int signal)
{
}

/* Syscalls at start: eventfd2 rt_sigaction signalfd4 */
static int main_signals(struct daemon *d)
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
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	d->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return d->signal_fd < 0 || d->done_fd < 0 ? -errno : 0;
}

/*
 * A client with a thousand vectors brings as many eventfds. Who started us set
 * the hard limit; the soft one is for programs that use select(2).
 *
 * Syscalls at start: prlimit64
 */
static void main_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/*
 * The socket that --fd names: 1 if it is connected, 0 if it listens.
 *
 * Syscalls at start: getsockopt(SO_ACCEPTCONN) getsockopt(SO_DOMAIN)
 * Syscalls at start: getsockopt(SO_TYPE)
 */
static int main_take_fd(struct bridge *b)
{
	int fd = b->own->fd, listening, domain, type;
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
	b->listener.fd = fd;
	return 0;
}

/* Where a device's clients come from: 1 if its only one is there, 0 if not. */
static int main_listen(struct bridge *b)
{
	const char *path = b->own->socket_path;
	char why[256];
	int ret;

	if (!path)
		return main_take_fd(b);
	ret = listen_open(&b->listener, path, &b->opts->access, why,
			  sizeof(why));
	if (ret)
		log_err("--socket-path=%s: %s", path, why);
	return ret;
}

static int main_listen_monitor(struct daemon *d)
{
	const char *path = d->opts->monitor_path;
	char why[256];
	int ret;

	if (!path)
		return 0;
	ret = listen_open(&d->monitor, path, NULL, why, sizeof(why));
	if (ret)
		log_err("--monitor=%s: %s", path, why);
	return ret;
}

/* Syscalls: clock_gettime */
static int64_t main_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* The end of a session may be the device's: that of one that had it. */
static bool main_ends_with_session(const struct bridge *b)
{
	return b->listener.fd < 0 ||
	       (b->opts->on_disconnect == ON_DISCONNECT_EXIT &&
		atomic_load(&b->stats.sessions));
}

/* Its session is over, which makes room for the next. */
static void main_reap_one(struct bridge *b)
{
	session_reap(b);
	b->listen_after = 0;
	b->hold_until = 0;
	if (main_ends_with_session(b)) {
		b->finished = true;
		listen_close(&b->listener);
	}
}

/*
 * See to the sessions that are done; true if some are left.
 *
 * Syscalls: read
 */
static bool main_reap(struct daemon *d)
{
	eventfd_t value;
	bool left = false;
	unsigned int i;

	/* Which ones they are, they say themselves. */
	if (eventfd_read(d->done_fd, &value))
		value = 0;
	for (i = 0; i < d->nr_bridges; i++) {
		struct bridge *b = &d->bridges[i];

		if (b->session && atomic_load(&b->session->done))
			main_reap_one(b);
		if (b->session)
			left = true;
	}
	return left;
}

static bool main_is_finished(const struct daemon *d)
{
	unsigned int i;

	for (i = 0; i < d->nr_bridges; i++) {
		if (!d->bridges[i].finished)
			return false;
	}
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

static void main_refuse(struct bridge *b, int fd, int error,
			const struct ucred *peer)
{
	if (error == EACCES)
		log_info("%s: refused client pid %d of uid %d, gid %d: neither --allow-uid nor --allow-gid lets it in",
			 b->device.name, peer->pid, peer->uid, peer->gid);
	else
		log_info("%s: busy with pid %d: refused client pid %d of uid %d",
			 b->device.name, b->session->peer.pid, peer->pid,
			 peer->uid);
	atomic_fetch_add(&b->stats.refused, 1);
	refuse_start(fd, error);
}

/* Syscalls: accept4 */
static void main_accept(struct bridge *b)
{
	const struct access *access = &b->opts->access;
	bool may_refuse = b->session || access_is_limited(access);
	struct ucred peer = { 0 };
	int fd, ret;

	if (main_hold(b))
		return;
	/* One that can't be answered, or has no fd to be had, waits, too. */
	fd = may_refuse && !refuse_make_room() ? -1 :
		accept4(b->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		b->listen_after = main_now() + MAIN_PAUSE_MS;
		return;
	}
	if (!access_allows(access, fd, &peer)) {
		main_refuse(b, fd, EACCES, &peer);
		return;
	}
	if (b->session) {
		main_refuse(b, fd, EBUSY, &peer);
		return;
	}
	ret = session_start(b, fd);
	if (ret)
		log_err("%s: cannot serve a client: %s", b->device.name,
			strerrordesc_np(-ret));
}

/* Syscalls: accept4 */
static void main_monitor(struct daemon *d)
{
	int fd = accept4(d->monitor.fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		monitor_answer(d, fd);
	else
		d->monitor_after = main_now() + MAIN_PAUSE_MS;
}

/* What to wait for; true if somebody isn't waited for at this time. */
static bool main_poll_fds(const struct daemon *d, struct pollfd *fds)
{
	bool pause = main_now() < d->monitor_after, paused = pause;
	unsigned int i;

	fds[POLL_SIGNAL].fd = d->signal_fd;
	fds[POLL_DONE].fd = d->done_fd;
	fds[POLL_UEVENT].fd = d->uevent_fd;
	fds[POLL_MONITOR].fd = pause ? -1 : d->monitor.fd;
	for (i = 0; i < d->nr_bridges; i++) {
		const struct bridge *b = &d->bridges[i];

		pause = main_now() < b->listen_after;
		fds[POLL_LISTEN + i].fd = pause ? -1 : b->listener.fd;
		fds[POLL_LISTEN + d->nr_bridges + i].fd = b->retained_req;
		paused |= pause;
	}
	return paused;
}

/*
 * Wait for something to do; while somebody isn't accepted, not for long.
 *
 * Syscalls: poll
 */
static int main_poll(const struct daemon *d, struct pollfd *fds)
{
	unsigned int i, nr = POLL_LISTEN + 2 * d->nr_bridges;
	bool paused = main_poll_fds(d, fds);

	for (i = 0; i < nr; i++) {
		fds[i].events = POLLIN;
		fds[i].revents = 0;
	}
	return poll(fds, nr, paused ? MAIN_PAUSE_MS : -1);
}

static void main_accept_all(struct daemon *d, const struct pollfd *fds)
{
	unsigned int i;

	for (i = 0; i < d->nr_bridges; i++) {
		if (fds[POLL_LISTEN + i].revents && !d->bridges[i].finished)
			main_accept(&d->bridges[i]);
	}
}

static void main_check_retained(struct daemon *d, const struct pollfd *fds)
{
	unsigned int i;

	for (i = 0; i < d->nr_bridges; i++) {
		if (fds[POLL_LISTEN + d->nr_bridges + i].revents)
			device_check_retained(&d->bridges[i]);
	}
}

static void main_interrupt_all(struct daemon *d)
{
	unsigned int i;

	for (i = 0; i < d->nr_bridges; i++) {
		if (d->bridges[i].session)
			session_interrupt(d->bridges[i].session);
	}
}

/* The kernel holds on to a session: there is nothing to wait for. */
static void main_give_up(const struct daemon *d)
{
	unsigned int i;

	for (i = 0; i < d->nr_bridges; i++) {
		const struct bridge *b = &d->bridges[i];

		if (b->session)
			log_err("%s: the session of pid %d does not end: the kernel does not return from what it was asked last",
				b->device.name, b->session->peer.pid);
	}
	_exit(BRIDGE_EXIT_FAILED);
}

/*
 * Hang up on all clients, and wait until all of their sessions are gone.
 *
 * Syscalls: poll
 */
static void main_end_sessions(struct daemon *d)
{
	int64_t limit = main_now() + BRIDGE_END_TIMEOUT * 1000;
	struct pollfd done = { .fd = d->done_fd, .events = POLLIN };
	unsigned int i;

	for (i = 0; i < d->nr_bridges; i++) {
		if (d->bridges[i].session)
			session_stop(d->bridges[i].session);
	}
	while (main_reap(d)) {
		if (main_now() >= limit)
			main_give_up(d);
		main_interrupt_all(d);
		poll(&done, 1, MAIN_INTERRUPT_MS);
	}
}

static void main_loop(struct daemon *d)
{
	struct pollfd fds[POLL_MAX];
	bool stop = false;
	unsigned int i;

	while (!stop) {
		if (main_poll(d, fds) < 0 && errno != EINTR)
			break;
		main_reap(d);
		main_check_retained(d, fds);
		if (fds[POLL_UEVENT].revents)
			uevent_handle(d);
		stop = main_is_finished(d) || fds[POLL_SIGNAL].revents;
		if (fds[POLL_MONITOR].revents)
			main_monitor(d);
		if (!stop)
			main_accept_all(d, fds);
	}

	main_end_sessions(d);
	for (i = 0; i < d->nr_bridges; i++)
		device_drop_retained(&d->bridges[i]);
}

static int main_resolve(struct bridge *b)
{
	const char *name = b->own->device;
	int ret = pci_resolve(name, &b->device);

	if (ret == -EINVAL) {
		log_err("--device=%s: give a PCI address such as 0000:01:00.0, or a mediated device's UUID",
			name);
		return BRIDGE_EXIT_USAGE;
	}
	if (ret) {
		log_err("--device=%s: there is no such device (%s)", name,
			pci_list_hint(&b->device));
		return BRIDGE_EXIT_DEVICE;
	}
	/* Now: libpci reads files that the sandbox doesn't leave. */
	pci_describe(b->device.sysfs, b->description, sizeof(b->description));
	return BRIDGE_EXIT_OK;
}

/* The same device may have been named in two ways. */
static bool main_is_double(const struct bridge *b)
{
	const struct bridge *other;

	for (other = b->daemon->bridges; other < b; other++) {
		if (!strcmp(other->device.name, b->device.name)) {
			log_err("--device=%s: it is given twice",
				b->own->device);
			return true;
		}
	}
	return false;
}

static int main_find(struct daemon *d)
{
	unsigned int i;
	int ret;

	for (i = 0; i < d->nr_bridges; i++) {
		ret = main_resolve(&d->bridges[i]);
		if (ret)
			return ret;
		if (main_is_double(&d->bridges[i]))
			return BRIDGE_EXIT_USAGE;
	}
	for (i = 0; i < d->nr_bridges; i++) {
		if (device_check(&d->bridges[i]))
			return BRIDGE_EXIT_DEVICE;
	}
	if (space_start(d)) {
		log_err("out of memory");
		return BRIDGE_EXIT_FAILED;
	}
	return BRIDGE_EXIT_OK;
}

static int main_begin(struct bridge *b)
{
	const struct device_options *own = b->own;
	struct ucred peer = { 0 };
	int ret;

	if (b->listener.fd >= 0) {
		log_info("%s: listening on %s", b->device.name,
			 own->socket_path ? own->socket_path :
			 "the socket that was given");
		return 0;
	}
	if (!access_allows(&b->opts->access, own->fd, &peer)) {
		log_err("--fd=%d: it is connected to pid %d of uid %d, gid %d, which neither --allow-uid nor --allow-gid lets in",
			own->fd, peer.pid, peer.uid, peer.gid);
		return -EACCES;
	}
	ret = session_start(b, own->fd);
	if (ret)
		log_err("--fd=%d: %s", own->fd, strerrordesc_np(-ret));
	return ret;
}

static int main_listen_all(struct daemon *d)
{
	unsigned int i;

	if (main_listen_monitor(d))
		return BRIDGE_EXIT_SOCKET;
	for (i = 0; i < d->nr_bridges; i++) {
		if (main_listen(&d->bridges[i]) < 0)
			return BRIDGE_EXIT_SOCKET;
	}
	return BRIDGE_EXIT_OK;
}

/* What the daemon goes on needing. */
static void main_describe_sandbox(const struct daemon *d, struct sandbox *sb)
{
	unsigned int i;

	sb->unsafe_noiommu = d->opts->unsafe_noiommu;
	if (d->opts->monitor_path)
		sb->sockets[sb->nr_sockets++] = d->opts->monitor_path;
	for (i = 0; i < d->nr_bridges; i++) {
		const struct bridge *b = &d->bridges[i];

		sb->devices[sb->nr_devices++] = b->device.sysfs;
		if (b->own->socket_path)
			sb->sockets[sb->nr_sockets++] = b->own->socket_path;
	}
}

/* Try the devices as they will be opened, make the sockets, confine. */
static int main_prepare(struct daemon *d)
{
	bool confine = !d->opts->no_sandbox;
	struct sandbox sb = { 0 };
	int ret;

	main_describe_sandbox(d, &sb);
	if (confine && sandbox_prepare(&sb))
		return BRIDGE_EXIT_FAILED;
	ret = main_find(d);
	if (ret)
		return ret;
	if (confine && sandbox_resume())
		return BRIDGE_EXIT_FAILED;
	ret = main_listen_all(d);
	if (ret)
		return ret;
	if (confine)
		return sandbox_enter(&sb) ? BRIDGE_EXIT_FAILED : 0;
	log_info("--no-sandbox: nothing is given up: capabilities, system calls, files, mounts; the process can be traced and leaves cores");
	return BRIDGE_EXIT_OK;
}

static int main_serve(struct daemon *d)
{
	int ret = BRIDGE_EXIT_OK;
	unsigned int i;

	for (i = 0; i < d->nr_bridges && !ret; i++)
		ret = main_begin(&d->bridges[i]) ? BRIDGE_EXIT_SOCKET : 0;
	if (ret)
		main_end_sessions(d);
	else
		main_loop(d);
	return ret;
}

static void main_init(struct daemon *d, const struct options *opts)
{
	unsigned int i;

	d->opts = opts;
	d->monitor.fd = -1;
	d->nr_bridges = opts->nr_devices;
	for (i = 0; i < d->nr_bridges; i++) {
		struct bridge *b = &d->bridges[i];

		b->daemon = d;
		b->opts = opts;
		b->own = &opts->devices[i];
		b->index = i;
		b->listener.fd = -1;
		b->retained_req = -1;
		b->group = -1;
		pthread_mutex_init(&b->lock, NULL);
	}
}

static void main_close(struct daemon *d)
{
	unsigned int i;

	for (i = 0; i < d->nr_bridges; i++)
		listen_close(&d->bridges[i].listener);
	listen_close(&d->monitor);
	uevent_stop(d);
	space_stop(d);
}

int main(int argc, char **argv)
{
	static struct options opts;
	static struct daemon d;
	int ret;

	log_init("vfio-bridge", false);
	ret = options_parse(&opts, argc, argv);
	if (ret >= 0)
		return ret;
	log_init("vfio-bridge", opts.verbose);
	if (opts.check)
		return check_run(&opts);
	/* As a constant, so that a session's buffers go back when it ends. */
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);

	main_init(&d, &opts);
	ret = main_signals(&d);
	if (ret) {
		log_err("cannot wait for signals: %s", strerrordesc_np(-ret));
		return BRIDGE_EXIT_FAILED;
	}
	main_raise_limit();
	refuse_init();
	d.uevent_fd = uevent_start(&d);
	ret = main_prepare(&d);
	if (!ret)
		ret = main_serve(&d);
	main_close(&d);
	return ret;
}
