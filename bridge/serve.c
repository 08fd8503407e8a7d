// SPDX-License-Identifier: GPL-2.0-only
/*
 * The main thread at work: it waits for clients, of which the first on a socket
 * gets a session (a thread of its own) and others are refused as long as it
 * lasts; for whoever asks the monitor; for SIGTERM; and for the sessions' ends.
 * It never talks to a device and never waits for a client, nor for a session
 * that hasn't said that it is done: what one device's kernel driver takes its
 * time for delays no other device.
 *
 * A device is finished when it will serve nobody any more: with a connected
 * socket, or --on-disconnect=exit, when its client has gone. The daemon ends
 * when all of its devices are finished.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bridge.h"
#include "log.h"

/* Of each device there are two: its socket, and its REQ while it is retained. */
enum { POLL_SIGNAL, POLL_DONE, POLL_UEVENT, POLL_MONITOR, POLL_LISTEN };
#define POLL_MAX	(POLL_LISTEN + 2 * MAX_DEVICES)

/* How long nobody is accepted when somebody can't be, in milliseconds. */
#define SERVE_PAUSE_MS	100
/* Between two tries to get sessions that end out of their waits. */
#define SERVE_INTERRUPT_MS	10

/* The end of a session may be the device's: that of one that had it. */
static bool serve_ends_with_session(const struct bridge *b)
{
	return b->listener.fd < 0 ||
	       (b->opts->on_disconnect == ON_DISCONNECT_EXIT &&
		atomic_load(&b->stats.sessions));
}

/* Its session is over, which makes room for the next. */
static void serve_reap_one(struct bridge *b)
{
	session_reap(b);
	b->listen_after = 0;
	b->hold_until = 0;
	if (serve_ends_with_session(b)) {
		b->finished = true;
		listen_close(&b->listener);
	}
}

/*
 * See to the sessions that are done; true if some are left.
 *
 * Syscalls: read
 */
static bool serve_reap(struct daemon *d)
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
			serve_reap_one(b);
		if (b->session)
			left = true;
	}
	return left;
}

static bool serve_is_finished(const struct daemon *d)
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
static bool serve_hold(struct bridge *b)
{
	int64_t now = clock_ms();

	if (!b->session || !session_is_ending(b->session))
		return false;
	if (!b->hold_until)
		b->hold_until = now + BRIDGE_CLIENT_TIMEOUT * 1000;
	if (now >= b->hold_until)
		return false;
	if (now >= b->hold_until - (BRIDGE_CLIENT_TIMEOUT - 1) * 1000)
		session_interrupt(b->session);
	b->listen_after = now + SERVE_PAUSE_MS;
	return true;
}

static void serve_refuse(struct bridge *b, int fd, int error,
			 const struct ucred *peer)
{
	bool told = lines_allow(b, LINES_REFUSED);

	if (told && error == EACCES)
		log_info("%s: refused client pid %d of uid %d, gid %d: neither --allow-uid nor --allow-gid lets it in",
			 b->device.name, peer->pid, peer->uid, peer->gid);
	else if (told)
		log_info("%s: busy with pid %d: refused client pid %d of uid %d",
			 b->device.name, b->session->peer.pid, peer->pid,
			 peer->uid);
	atomic_fetch_add(&b->stats.refused, 1);
	refuse_start(fd, error);
}

/* Syscalls: accept4 */
static void serve_accept(struct bridge *b)
{
	const struct access *access = &b->opts->access;
	bool may_refuse = b->session || access_is_limited(access);
	struct ucred peer = { 0 };
	int fd, ret;

	if (serve_hold(b))
		return;
	/* One that can't be answered, or has no fd to be had, waits, too. */
	fd = may_refuse && !refuse_make_room(false) ? -1 :
		accept4(b->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		b->listen_after = clock_ms() + SERVE_PAUSE_MS;
		return;
	}
	if (!access_allows(access, fd, &peer)) {
		serve_refuse(b, fd, EACCES, &peer);
		return;
	}
	if (b->session) {
		serve_refuse(b, fd, EBUSY, &peer);
		return;
	}
	ret = session_start(b, fd);
	if (ret)
		log_err("%s: cannot serve a client: %s", b->device.name,
			strerrordesc_np(-ret));
}

/* Syscalls: accept4 */
static void serve_monitor(struct daemon *d)
{
	int fd = refuse_make_room(true) ?
		accept4(d->monitor.fd, NULL, NULL, SOCK_CLOEXEC) : -1;

	if (fd >= 0)
		monitor_answer(d, fd);
	else
		d->monitor_after = clock_ms() + SERVE_PAUSE_MS;
}

/* What to wait for; true if somebody isn't waited for at this time. */
static bool serve_poll_fds(const struct daemon *d, struct pollfd *fds)
{
	bool pause = clock_ms() < d->monitor_after, paused = pause;
	unsigned int i;

	fds[POLL_SIGNAL].fd = d->signal_fd;
	fds[POLL_DONE].fd = d->done_fd;
	fds[POLL_UEVENT].fd = d->uevent_fd;
	fds[POLL_MONITOR].fd = pause ? -1 : d->monitor.fd;
	for (i = 0; i < d->nr_bridges; i++) {
		const struct bridge *b = &d->bridges[i];

		pause = clock_ms() < b->listen_after;
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
static int serve_poll(const struct daemon *d, struct pollfd *fds)
{
	unsigned int i, nr = POLL_LISTEN + 2 * d->nr_bridges;
	bool paused = serve_poll_fds(d, fds);

	for (i = 0; i < nr; i++) {
		fds[i].events = POLLIN;
		fds[i].revents = 0;
	}
	return poll(fds, nr, paused ? SERVE_PAUSE_MS : -1);
}

static void serve_accept_all(struct daemon *d, const struct pollfd *fds)
{
	unsigned int i;

	for (i = 0; i < d->nr_bridges; i++) {
		if (fds[POLL_LISTEN + i].revents && !d->bridges[i].finished)
			serve_accept(&d->bridges[i]);
	}
}

static void serve_check_retained(struct daemon *d, const struct pollfd *fds)
{
	unsigned int i;

	for (i = 0; i < d->nr_bridges; i++) {
		if (fds[POLL_LISTEN + d->nr_bridges + i].revents)
			device_check_retained(&d->bridges[i]);
	}
}

static void serve_interrupt_all(struct daemon *d)
{
	unsigned int i;

	for (i = 0; i < d->nr_bridges; i++) {
		if (d->bridges[i].session)
			session_interrupt(d->bridges[i].session);
	}
}

/* The kernel holds on to a session, or to a device: nothing to wait for. */
static void serve_give_up(const struct daemon *d)
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
static void serve_end_sessions(struct daemon *d, int64_t limit)
{
	struct pollfd done = { .fd = d->done_fd, .events = POLLIN };
	unsigned int i;

	for (i = 0; i < d->nr_bridges; i++) {
		if (d->bridges[i].session)
			session_stop(d->bridges[i].session);
	}
	while (serve_reap(d)) {
		if (clock_ms() >= limit)
			serve_give_up(d);
		serve_interrupt_all(d);
		poll(&done, 1, SERVE_INTERRUPT_MS);
	}
}

/* Closing one takes as long as a reset: all at the same time. */
static void serve_end_retained(struct daemon *d, int64_t limit)
{
	pthread_t threads[MAX_DEVICES];
	bool started[MAX_DEVICES];
	unsigned int i;
	int64_t left;

	for (i = 0; i < d->nr_bridges; i++)
		started[i] = !device_start_drop(&d->bridges[i], &threads[i]);
	for (i = 0; i < d->nr_bridges; i++) {
		left = max(limit - clock_ms(), INT64_C(0)) / 1000;
		if (!started[i] || !join_interrupting(threads[i], left))
			continue;
		log_err("%s: it was retained and does not close: the kernel does not return from that",
			d->bridges[i].device.name);
		serve_give_up(d);
	}
}

void serve_end(struct daemon *d)
{
	int64_t limit = clock_ms() + BRIDGE_END_TIMEOUT * 1000;

	serve_end_sessions(d, limit);
	if (d->opts->on_disconnect == ON_DISCONNECT_RETAIN)
		serve_end_retained(d, limit);
}

int serve_loop(struct daemon *d)
{
	struct pollfd fds[POLL_MAX];
	int ret = BRIDGE_EXIT_OK;
	bool stop = false;

	while (!stop) {
		if (serve_poll(d, fds) < 0 && errno != EINTR) {
			log_err("cannot wait for clients: %s",
				strerrordesc_np(errno));
			ret = BRIDGE_EXIT_FAILED;
			break;
		}
		serve_reap(d);
		serve_check_retained(d, fds);
		if (fds[POLL_UEVENT].revents)
			uevent_handle(d);
		stop = serve_is_finished(d) || fds[POLL_SIGNAL].revents;
		if (fds[POLL_MONITOR].revents)
			serve_monitor(d);
		if (!stop)
			serve_accept_all(d, fds);
	}
	serve_end(d);
	return ret;
}
