// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients that mean harm: to the daemon, which must go on, and to the clients
 * after them, who must be served or refused.
 *
 * The means are fds that block who closes them or writes to them, messages
 * that never get whole, replies that nobody reads, and more fds than there may
 * be. What the daemon does meanwhile is seen from outside: by what it answers
 * to others, by the processor time that it takes, and by how it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

#define VECTORS		8
#define EVENTFD_TRIGGER	(VFIO_USER_IRQ_SET_DATA_EVENTFD | \
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER)
#define NONE_TRIGGER	(VFIO_USER_IRQ_SET_DATA_NONE | \
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER)

/* As many clients as can be refused at one time. */
#define REFUSALS	16
/* As many threads as close in place of sessions (bridge/screen.c). */
#define CLOSERS		16

/*
 * Processor time that is too much for a second of waiting, in milliseconds. Who
 * waits takes none; who doesn't takes what a busy machine has left for it.
 */
#define BUSY_MS		50

/* How long a SIGTERM may take, in milliseconds. */
#define STOP_MS		5000

FIXTURE(hostile)
{
	struct peer peer;
	struct fake_config config;
	struct wire_reply r;
};

FIXTURE_SETUP(hostile)
{
	peer_config(&self->config, PEER_MAP_FILE);
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
}

FIXTURE_TEARDOWN(hostile)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

/**
 * struct sticky - a TCP connection, one end of which blocks who closes it
 * @fd: that end: it has sent what nobody receives, and lingers
 * @other: the end that doesn't receive
 */
struct sticky {
	int fd;
	int other;
};

static int tcp_pair(struct sticky *s)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	s->other = -1;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!bind(listener, (struct sockaddr *)&addr, len) &&
	    !listen(listener, 1) &&
	    !getsockname(listener, (struct sockaddr *)&addr, &len) &&
	    !connect(s->fd, (struct sockaddr *)&addr, len))
		s->other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return s->other < 0 ? -ECONNREFUSED : 0;
}

static int sticky_open(struct sticky *s)
{
	const struct linger forever = { .l_onoff = 1, .l_linger = 100000 };
	static const char junk[65536];
	int ret = tcp_pair(s);

	if (ret)
		return ret;
	while (send(s->fd, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	if (setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &forever, sizeof(forever)))
		return -errno;
	return 0;
}

/*
 * Send a command with the end that blocks. If the daemon is to have the last
 * reference to it, it is stopped until ours is closed; which also gets it out
 * of a close that it is in.
 */
static int sticky_send(int sock, uint16_t command, const void *payload,
		       size_t len, struct sticky *s)
{
	int ret;

	ret = sticky_open(s);
	if (ret)
		return ret;
	ret = wire_command(sock, 1, command, payload, len, &s->fd, 1);
	close(s->fd);
	return ret;
}

/*
 * Stop the daemon, and wait until all of its threads have: what is sent after
 * this it doesn't receive, and so doesn't close, before it goes on.
 */
static int daemon_freeze(const struct peer *peer)
{
	int status;

	if (kill(peer->daemon.pid, SIGSTOP) ||
	    waitpid(peer->daemon.pid, &status, WUNTRACED) != peer->daemon.pid)
		return -errno;
	return WIFSTOPPED(status) ? 0 : -ECHILD;
}

/*
 * With more sockets than are closed elsewhere, in commands that take no fd. All are
 * answered but the one that the session closes itself.
 */
static int session_gets_stuck(struct peer *peer, struct sticky *s,
			      unsigned int count)
{
	const struct vfio_user_device_info info = { .argsz = sizeof(info) };
	struct wire_reply r;
	unsigned int i;
	int ret = daemon_freeze(peer);

	for (i = 0; i < count && !ret; i++)
		ret = sticky_send(peer->sock, VFIO_USER_DEVICE_GET_INFO, &info,
				  sizeof(info), &s[i]);
	kill(peer->daemon.pid, SIGCONT);
	for (i = 0; i < CLOSERS && !ret; i++)
		ret = wire_expect(peer->sock, 1, VFIO_USER_DEVICE_GET_INFO,
				  &r) == EINVAL ? 0 : -EPROTO;
	peer_pause(200);
	return ret;
}

static void sticky_close_others(struct sticky *s, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		close(s[i].other);
}

/* Clients that come while another is served. */
static int refused_get_stuck(struct peer *peer, struct sticky *s, int *socks,
			     unsigned int count)
{
	const struct vfio_user_version version = { 0, 1 };
	unsigned int i;
	int ret = daemon_freeze(peer);

	for (i = 0; i < count && !ret; i++) {
		socks[i] = wire_connect(peer->daemon.socket);
		ret = sticky_send(socks[i], VFIO_USER_VERSION, &version,
				  sizeof(version), &s[i]);
	}
	kill(peer->daemon.pid, SIGCONT);
	peer_pause(200);
	return ret;
}

/* What another client's VERSION gets. */
static int another(const struct peer *peer)
{
	int sock = wire_connect(peer->daemon.socket);
	struct wire_reply r;
	int ret;

	if (sock < 0)
		return sock;
	ret = wire_version(sock, NULL, &r);
	close(sock);
	return ret;
}

static bool monitor_answers(const struct peer *peer)
{
	json_t *status = peer_status(peer);

	json_decref(status);
	return status;
}

/* A number of the session that the monitor tells of. */
static int counted(const struct peer *peer, const char *key)
{
	json_t *status = peer_status(peer);
	json_t *session = json_object_get(status, "session");
	int n = json_integer_value(json_object_get(session, key));

	json_decref(status);
	return n;
}

/* How much processor time the daemon takes in a second, in milliseconds. */
static unsigned int busy_ms(const struct peer *peer)
{
	struct timespec before = { 0 }, after = { .tv_sec = 3600 };
	clockid_t clock;

	if (clock_getcpuclockid(peer->daemon.pid, &clock))
		return UINT32_MAX;
	clock_gettime(clock, &before);
	peer_pause(1000);
	clock_gettime(clock, &after);
	return (after.tv_sec - before.tv_sec) * 1000 +
	       (after.tv_nsec - before.tv_nsec) / 1000000;
}

static int set_eventfd(const struct peer *peer, uint32_t index, uint32_t start,
		       uint32_t count, const int *fds)
{
	return wire_set_irqs(peer->sock, EVENTFD_TRIGGER, index, start, count,
			     NULL, 0, fds, count);
}

/* Commands whose replies nobody reads, until no more can be sent. */
static void be_deaf(int sock)
{
	const struct vfio_user_region_access id = {
		.region = PEER_BAR0,
		.count = 4096,
	};
	const struct timeval soon = { .tv_usec = 100000 };
	uint16_t i;

	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	for (i = 0; !wire_command(sock, i, VFIO_USER_REGION_READ, &id,
				  sizeof(id), NULL, 0); i++)
		;
}

TEST_F(hostile, session_stuck_in_a_close_gives_way_to_the_next)
{
	struct sticky s[CLOSERS + 1];

	ASSERT_EQ(0, session_gets_stuck(&self->peer, s, ARRAY_SIZE(s)));
	ASSERT_TRUE(wire_quiet(self->peer.sock));
	EXPECT_EQ(EBUSY, another(&self->peer));
	EXPECT_TRUE(monitor_answers(&self->peer));
	close(self->peer.sock);
	EXPECT_EQ(0, peer_connect(&self->peer));
	sticky_close_others(s, ARRAY_SIZE(s));
}

TEST_F(hostile, session_stuck_in_a_close_ends_with_sigterm)
{
	struct sticky s[CLOSERS + 1];

	ASSERT_EQ(0, session_gets_stuck(&self->peer, s, ARRAY_SIZE(s)));
	ASSERT_TRUE(wire_quiet(self->peer.sock));
	kill(self->peer.daemon.pid, SIGTERM);
	EXPECT_EQ(0, fake_daemon_wait(&self->peer.daemon, STOP_MS));
	sticky_close_others(s, ARRAY_SIZE(s));
}

/* Some are received and closed, the others go with the socket. */
TEST_F(hostile, many_fds_that_get_stuck_give_way_to_the_next)
{
	struct sticky s[CLOSERS + 6];

	ASSERT_EQ(0, session_gets_stuck(&self->peer, s, ARRAY_SIZE(s)));
	close(self->peer.sock);
	EXPECT_EQ(0, peer_connect(&self->peer));
	sticky_close_others(s, ARRAY_SIZE(s));
}

TEST_F(hostile, refused_client_stuck_in_a_close_holds_nobody_up)
{
	struct vfio_user_device_info info;
	struct sticky s;
	int sock;

	ASSERT_EQ(0, refused_get_stuck(&self->peer, &s, &sock, 1));
	EXPECT_TRUE(monitor_answers(&self->peer));
	EXPECT_EQ(EBUSY, another(&self->peer));
	EXPECT_EQ(0, wire_info(self->peer.sock, &info));

	/* Not even when the daemon ends. */
	kill(self->peer.daemon.pid, SIGTERM);
	EXPECT_EQ(0, fake_daemon_wait(&self->peer.daemon, STOP_MS));
	close(sock);
	close(s.other);
}

TEST_F(hostile, refused_clients_stuck_in_a_close_make_room)
{
	struct sticky s[REFUSALS];
	int socks[REFUSALS];
	unsigned int i;

	ASSERT_EQ(0, refused_get_stuck(&self->peer, s, socks, REFUSALS));
	EXPECT_TRUE(monitor_answers(&self->peer));
	EXPECT_EQ(EBUSY, another(&self->peer));
	for (i = 0; i < REFUSALS; i++) {
		close(socks[i]);
		close(s[i].other);
	}
}

/* Who asks the monitor has nothing to send, and can all the same. */
TEST_F(hostile, monitors_clients_stuck_in_a_close_hold_nobody_up)
{
	struct vfio_user_device_info info;
	struct sticky s[REFUSALS];
	int socks[REFUSALS];
	unsigned int i;

	ASSERT_EQ(0, daemon_freeze(&self->peer));
	for (i = 0; i < REFUSALS; i++) {
		socks[i] = wire_connect(self->peer.monitor);
		EXPECT_EQ(0, sticky_send(socks[i], VFIO_USER_VERSION, NULL, 0,
					 &s[i]));
	}
	kill(self->peer.daemon.pid, SIGCONT);
	EXPECT_EQ(EBUSY, another(&self->peer));
	EXPECT_TRUE(monitor_answers(&self->peer));
	EXPECT_EQ(0, wire_info(self->peer.sock, &info));
	for (i = 0; i < REFUSALS; i++) {
		close(socks[i]);
		close(s[i].other);
	}
}

/* As many as can be refused at a time, and don't say what they want. */
TEST_F(hostile, refused_clients_leave_room_for_the_monitor)
{
	int socks[REFUSALS];
	unsigned int i;

	for (i = 0; i < REFUSALS; i++) {
		socks[i] = wire_connect(self->peer.daemon.socket);
		ASSERT_LE(0, socks[i]);
	}
	peer_pause(200);
	EXPECT_TRUE(monitor_answers(&self->peer));
	/* And not because one of them was hung up on. */
	for (i = 0; i < REFUSALS; i++) {
		EXPECT_TRUE(wire_quiet(socks[i]));
		close(socks[i]);
	}
}

/* Clients that nobody has accepted by the time that the daemon is to end. */
TEST_F(hostile, clients_that_wait_do_not_keep_the_daemon)
{
	const char *const paths[] = {
		self->peer.daemon.socket, self->peer.monitor
	};
	struct sticky s[ARRAY_SIZE(paths)];
	int socks[ARRAY_SIZE(paths)];
	unsigned int i;

	ASSERT_EQ(0, daemon_freeze(&self->peer));
	kill(self->peer.daemon.pid, SIGTERM);
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		socks[i] = wire_connect(paths[i]);
		EXPECT_EQ(0, sticky_send(socks[i], VFIO_USER_VERSION, NULL, 0,
					 &s[i]));
	}
	kill(self->peer.daemon.pid, SIGCONT);
	EXPECT_EQ(0, fake_daemon_wait(&self->peer.daemon, STOP_MS));
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		close(socks[i]);
		close(s[i].other);
	}
}

TEST_F(hostile, refused_client_that_sends_a_byte_keeps_nobody_busy)
{
	int sock = wire_connect(self->peer.daemon.socket);

	ASSERT_LE(0, sock);
	ASSERT_EQ(0, wire_send(sock, "x", 1, NULL, 0));
	EXPECT_GT(BUSY_MS, busy_ms(&self->peer));
	EXPECT_EQ(EBUSY, another(&self->peer));
	close(sock);
}

/* It can still receive, so it isn't gone; but it doesn't, so it isn't done. */
TEST_F(hostile, half_closed_client_leaves_nobody_waiting)
{
	be_deaf(self->peer.sock);
	ASSERT_EQ(0, shutdown(self->peer.sock, SHUT_WR));
	EXPECT_EQ(EBUSY, another(&self->peer));
	EXPECT_EQ(EBUSY, another(&self->peer));
	EXPECT_TRUE(monitor_answers(&self->peer));
}

/* From now on the daemon gets no more fds than it has. */
static int no_more_fds(const struct peer *peer)
{
	struct rlimit limit;
	char path[64];
	int fd = -1;

	do {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d",
			 peer->daemon.pid, ++fd);
	} while (!faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW));
	limit.rlim_cur = fd;
	limit.rlim_max = fd;
	return prlimit(peer->daemon.pid, RLIMIT_NOFILE, &limit, NULL) ?
		-errno : 0;
}

TEST_F(hostile, used_up_fds_keep_nobody_busy_and_come_back)
{
	const struct vfio_user_version version = { 0, 1 };
	int fds[VECTORS], sock, i;

	for (i = 0; i < VECTORS; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC);
		ASSERT_EQ(0, set_eventfd(&self->peer, PEER_MSIX, i, 1,
					 &fds[i]));
	}
	ASSERT_LE(VECTORS, peer_nr_fds(&self->peer));
	ASSERT_EQ(0, no_more_fds(&self->peer));
	sock = wire_connect(self->peer.daemon.socket);
	ASSERT_LE(0, sock);
	ASSERT_EQ(0, wire_command(sock, 7, VFIO_USER_VERSION, &version,
				  sizeof(version), NULL, 0));
	EXPECT_GT(BUSY_MS, busy_ms(&self->peer));
	EXPECT_TRUE(wire_quiet(sock));

	ASSERT_EQ(0, wire_set_irqs(self->peer.sock, NONE_TRIGGER, PEER_MSIX, 0,
				   0, NULL, 0, NULL, 0));
	EXPECT_EQ(EBUSY, wire_expect(sock, 7, VFIO_USER_VERSION, &self->r));
	EXPECT_TRUE(monitor_answers(&self->peer));
	close(sock);
	for (i = 0; i < VECTORS; i++)
		close(fds[i]);
}

/* ERR's is full and blocks who writes to it; REQ comes after it. */
TEST_F(hostile, full_eventfd_hides_nothing_that_comes_after)
{
	struct fake_control *control = self->peer.root.control;
	int full = eventfd(0, EFD_CLOEXEC), req = eventfd(0, EFD_CLOEXEC);

	ASSERT_EQ(0, eventfd_write(full, UINT64_MAX - 1));
	ASSERT_EQ(0, set_eventfd(&self->peer, PEER_ERR, 0, 1, &full));
	ASSERT_EQ(0, set_eventfd(&self->peer, PEER_REQ, 0, 1, &req));
	ASSERT_EQ(1, fake_irq_raise(control, PEER_ERR, 0));
	ASSERT_TRUE(peer_wait_log(&self->peer, "reports an error"));
	ASSERT_EQ(1, fake_irq_raise(control, PEER_REQ, 0));
	EXPECT_EQ(1, peer_wait_fired(req));
	EXPECT_TRUE(peer_wait_log(&self->peer, "asks for the device back"));
	EXPECT_EQ(1, counted(&self->peer, "errors"));
	EXPECT_EQ(1, counted(&self->peer, "release_requests"));
	EXPECT_EQ(UINT64_MAX - 1, peer_fired(full));
	close(full);
	close(req);
}

TEST_F(hostile, fewer_vectors_than_asked_for_is_enospc)
{
	int fds[VECTORS], i;

	for (i = 0; i < VECTORS; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	self->peer.root.control->config.irq_room = 3;
	EXPECT_EQ(ENOSPC, set_eventfd(&self->peer, PEER_MSI, 0, 4, fds));
	EXPECT_EQ(ENOSPC, set_eventfd(&self->peer, PEER_MSIX, 0, VECTORS, fds));
	/* Nothing is set up, so nothing is signalled; three can be had. */
	EXPECT_EQ(0, fake_irq_raise(self->peer.root.control, PEER_MSIX, 0));
	EXPECT_EQ(0, set_eventfd(&self->peer, PEER_MSIX, 0, 3, fds));
	EXPECT_EQ(1, fake_irq_raise(self->peer.root.control, PEER_MSIX, 2));
	EXPECT_EQ(1, peer_wait_fired(fds[2]));
	for (i = 0; i < VECTORS; i++)
		close(fds[i]);
}

/* Whoever can connect could end the daemon otherwise. */
TEST(exit_waits_for_a_client_that_had_the_device)
{
	struct vfio_user_header header = wire_header(1, VFIO_USER_VERSION, 0);
	struct fake_config config;
	struct peer peer;
	int sock;

	peer_config(&config, PEER_MAP_FILE);
	ASSERT_EQ(0, peer_start(&peer, &config, "--on-disconnect=exit"));
	sock = wire_connect(peer.daemon.socket);
	EXPECT_LE(0, sock);
	close(sock);
	EXPECT_EQ(0, peer_wait_idle(&peer));

	sock = wire_connect(peer.daemon.socket);
	header.size = 0;
	EXPECT_EQ(0, wire_send(sock, &header, sizeof(header), NULL, 0));
	EXPECT_EQ(-ETIMEDOUT, fake_daemon_wait(&peer.daemon, 500));
	close(sock);

	EXPECT_EQ(0, peer_wait_idle(&peer));
	EXPECT_EQ(0, peer_connect(&peer));
	close_fd(&peer.sock);
	EXPECT_EQ(0, fake_daemon_wait(&peer.daemon, 8000));
	EXPECT_EQ(0, peer_close(&peer));
}

TEST_HARNESS_MAIN
