// SPDX-License-Identifier: GPL-2.0-only
/*
 * Receiving and sending messages: rules 1 to 6 of the protocol, as far as
 * lib/msg.c keeps them, one test a behaviour.
 *
 * One end of a socket pair is the connection under test; on the other end the
 * test writes bytes and fds in every shape that a stream socket allows. Fds
 * are told apart by the inode they stand for.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "msg.h"

#include "kselftest_harness.h"

#define MAX_SIZE	65536

FIXTURE(msg) {
	struct msg_conn conn;
	struct msg m;
	int peer;
};

/* Both ways of receiving: a look first, always or only when more may wait. */
#define FD_MIN		36

FIXTURE_VARIANT(msg) {
	size_t fd_min;
};

FIXTURE_VARIANT_ADD(msg, look) {
	.fd_min = 0,
};

FIXTURE_VARIANT_ADD(msg, short) {
	.fd_min = FD_MIN,
};

FIXTURE_SETUP(msg)
{
	const struct timeval timeout = { .tv_sec = 5 };
	int sv[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
	ASSERT_EQ(0, setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &timeout,
				sizeof(timeout)));
	ASSERT_EQ(0, msg_conn_init(&self->conn, sv[0], MAX_SIZE,
				   variant->fd_min));
	self->peer = sv[1];
}

FIXTURE_TEARDOWN(msg)
{
	msg_conn_exit(&self->conn);
	close(self->peer);
}

/* Append a message with @len bytes of @fill to @buf; returns its size. */
static size_t put(void *buf, uint16_t id, size_t len, int fill)
{
	struct vfio_user_header header = {
		.id = id,
		.command = VFIO_USER_REGION_READ,
		.size = sizeof(header) + len,
	};

	memcpy(buf, &header, sizeof(header));
	memset((char *)buf + sizeof(header), fill, len);
	return header.size;
}

static int send_fds(int sock, const void *buf, size_t len, const int *fds,
		    unsigned int nr_fds)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * VFIO_USER_MAX_SCM_FDS)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (nr_fds) {
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nr_fds);
	}
	return sendmsg(sock, &mh, 0) == (ssize_t)len ? 0 : -errno;
}

static ino_t inode(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

static int count_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

TEST_F(msg, rule1_size_below_the_header_is_refused)
{
	struct vfio_user_header header = { .id = 7, .size = 15 };

	ASSERT_EQ(sizeof(header), write(self->peer, &header, sizeof(header)));
	EXPECT_EQ(-EMSGSIZE, msg_recv(&self->conn, &self->m));
	EXPECT_EQ(7, self->m.header.id);
}

TEST_F(msg, rule1_size_above_the_limit_is_refused)
{
	struct vfio_user_header header = { .id = 8, .size = MAX_SIZE + 1 };

	ASSERT_EQ(sizeof(header), write(self->peer, &header, sizeof(header)));
	EXPECT_EQ(-EMSGSIZE, msg_recv(&self->conn, &self->m));
	EXPECT_EQ(8, self->m.header.id);
}

TEST_F(msg, rule1_size_of_the_limit_is_received)
{
	char *buf = malloc(MAX_SIZE);
	const char *payload;

	ASSERT_NE(NULL, buf);
	put(buf, 1, MAX_SIZE - sizeof(struct vfio_user_header), 0x5a);
	ASSERT_EQ(MAX_SIZE, write(self->peer, buf, MAX_SIZE));
	free(buf);
	ASSERT_EQ(1, msg_recv(&self->conn, &self->m));
	payload = self->m.payload;
	EXPECT_EQ(MAX_SIZE - sizeof(struct vfio_user_header), self->m.len);
	EXPECT_EQ(0x5a, payload[0]);
	EXPECT_EQ(0x5a, payload[self->m.len - 1]);
}

TEST_F(msg, rule2_byte_by_byte)
{
	int value = eventfd(3, EFD_CLOEXEC);
	char buf[64];
	size_t i, n = put(buf, 9, 20, 0x11);
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (i = 0; i < n; i++)
			send_fds(self->peer, buf + i, 1, &value, i == 0);
		_exit(0);
	}
	ASSERT_EQ(1, msg_recv(&self->conn, &self->m));
	EXPECT_EQ(9, self->m.header.id);
	EXPECT_EQ(20, self->m.len);
	EXPECT_EQ(1, self->m.nr_fds);
	msg_close_fds(&self->m);
	close(value);
}

TEST_F(msg, rule2_many_messages_in_one_read)
{
	char buf[4096];
	size_t n = 0;
	int i;

	for (i = 0; i < 40; i++)
		n += put(buf + n, i, i, i);
	ASSERT_EQ(n, write(self->peer, buf, n));
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(1, msg_recv(&self->conn, &self->m));
		ASSERT_EQ(i, self->m.header.id);
		ASSERT_EQ(i, self->m.len);
		if (i)
			ASSERT_EQ(i, *(char *)self->m.payload);
	}
}

/*
 * Every way of giving fds or none to five messages in a row, each sent by
 * itself, all waiting before the first is received. Those that are too small
 * for fds get none.
 */
TEST_F(msg, rule2_fds_come_with_their_own_message)
{
	const size_t lens[] = { 32, 0, 16, 32, 20 };
	unsigned int shape, i, fit = 0;
	char buf[64];
	int fds[5];

	for (i = 0; i < 5; i++)
		fit |= (16 + lens[i] >= variant->fd_min) << i;

	for (i = 0; i < 5; i++)
		fds[i] = memfd_create("m", MFD_CLOEXEC);
	for (shape = 0; shape < 32; shape++) {
		for (i = 0; i < 5; i++)
			ASSERT_EQ(0, send_fds(self->peer, buf,
					      put(buf, i, lens[i], i),
					      &fds[i], (shape & fit) >> i & 1));
		for (i = 0; i < 5; i++) {
			ASSERT_EQ(1, msg_recv(&self->conn, &self->m));
			ASSERT_EQ(i, self->m.header.id);
			ASSERT_EQ((shape & fit) >> i & 1, self->m.nr_fds);
			if (self->m.nr_fds)
				ASSERT_EQ(inode(fds[i]),
					  inode(self->m.fds[0]));
			msg_close_fds(&self->m);
		}
	}
	for (i = 0; i < 5; i++)
		close(fds[i]);
}

/* Two messages in one sendmsg(2): the fds are on the first byte of the first. */
TEST_F(msg, rule2_fds_of_a_batch_are_the_first_messages)
{
	int fd = memfd_create("m", MFD_CLOEXEC);
	char buf[128];
	size_t n;

	n = put(buf, 1, 4, 0);
	ASSERT_EQ(n, write(self->peer, buf, n));
	n = put(buf, 2, 20, 0);
	n += put(buf + n, 3, 8, 0);
	ASSERT_EQ(0, send_fds(self->peer, buf, n, &fd, 1));

	ASSERT_EQ(1, msg_recv(&self->conn, &self->m));
	EXPECT_EQ(0, self->m.nr_fds);
	ASSERT_EQ(1, msg_recv(&self->conn, &self->m));
	EXPECT_EQ(2, self->m.header.id);
	EXPECT_EQ(1, self->m.nr_fds);
	msg_close_fds(&self->m);
	ASSERT_EQ(1, msg_recv(&self->conn, &self->m));
	EXPECT_EQ(3, self->m.header.id);
	EXPECT_EQ(0, self->m.nr_fds);
	close(fd);
}

/* A short one and the next one's fds in what is read at first. */
TEST_F(msg, rule2_fds_behind_a_short_message_are_the_next_ones)
{
	int fd = memfd_create("m", MFD_CLOEXEC);
	char buf[64];
	size_t n, i;

	for (i = 0; i < 20; i += 4) {
		n = put(buf, 1, i, 0);
		ASSERT_EQ(n, write(self->peer, buf, n));
		ASSERT_EQ(0, send_fds(self->peer, buf, put(buf, 2, 32, 0), &fd,
				      1));
		ASSERT_EQ(1, msg_recv(&self->conn, &self->m));
		EXPECT_EQ(0, self->m.nr_fds);
		ASSERT_EQ(1, msg_recv(&self->conn, &self->m));
		EXPECT_EQ(2, self->m.header.id);
		EXPECT_EQ(1, self->m.nr_fds);
		msg_close_fds(&self->m);
	}
	close(fd);
}

TEST_F(msg, rule2_timeout_between_two_pieces_loses_nothing)
{
	const struct timeval soon = { .tv_usec = 1000 };
	int fd = memfd_create("m", MFD_CLOEXEC);
	char buf[64];
	size_t n = put(buf, 5, 32, 7);

	ASSERT_EQ(0, setsockopt(self->conn.fd, SOL_SOCKET, SO_RCVTIMEO, &soon,
				sizeof(soon)));
	ASSERT_EQ(0, send_fds(self->peer, buf, 20, &fd, 1));
	EXPECT_EQ(-EAGAIN, msg_recv(&self->conn, &self->m));
	EXPECT_EQ(0, self->m.nr_fds);
	ASSERT_EQ(n - 20, write(self->peer, buf + 20, n - 20));
	ASSERT_EQ(1, msg_recv(&self->conn, &self->m));
	ASSERT_EQ(1, self->m.nr_fds);
	EXPECT_EQ(inode(fd), inode(self->m.fds[0]));
	msg_close_fds(&self->m);
	close(fd);
}

TEST_F(msg, rule6_fds_of_a_message_that_never_ends_are_closed)
{
	int before = count_fds();
	struct msg_conn conn;
	int sv[2], fds[3];
	char buf[64];
	struct msg m;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
	ASSERT_EQ(0, msg_conn_init(&conn, sv[0], MAX_SIZE, variant->fd_min));
	put(buf, 5, 32, 7);
	fds[0] = sv[1];
	fds[1] = sv[1];
	fds[2] = sv[1];
	ASSERT_EQ(0, send_fds(sv[1], buf, 20, fds, 3));
	ASSERT_EQ(0, shutdown(sv[1], SHUT_WR));
	EXPECT_EQ(-ECONNRESET, msg_recv(&conn, &m));
	msg_close_fds(&m);
	msg_conn_exit(&conn);
	close(sv[1]);
	EXPECT_EQ(before, count_fds());
}

/* With room for two more fds, the kernel drops the third and says so. */
TEST_F(msg, rule6_lost_fds_are_an_error)
{
	struct rlimit old, limit;
	int fds[3], next;
	char buf[64];
	size_t n = put(buf, 1, 0, 0);

	fds[0] = self->peer;
	fds[1] = self->peer;
	fds[2] = self->peer;
	ASSERT_EQ(0, send_fds(self->peer, buf, n, fds, 3));
	next = dup(self->peer);
	close(next);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	limit = old;
	limit.rlim_cur = next + 2;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(-EMFILE, msg_recv(&self->conn, &self->m));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
}

TEST_F(msg, end_of_file_between_messages_is_the_end)
{
	ASSERT_EQ(0, shutdown(self->peer, SHUT_WR));
	EXPECT_EQ(0, msg_recv(&self->conn, &self->m));
}

TEST_F(msg, replies_wait_until_nothing_is_left_to_receive)
{
	struct vfio_user_header *header;
	char buf[256];
	size_t n;

	n = put(buf, 1, 0, 0);
	n += put(buf + n, 2, 0, 0);
	ASSERT_EQ(n, write(self->peer, buf, n));
	ASSERT_EQ(1, msg_recv(&self->conn, &self->m));
	header = msg_reserve(&self->conn, 0);
	ASSERT_NE(NULL, header);
	*header = self->m.header;
	ASSERT_EQ(0, msg_commit(&self->conn, NULL, 0));
	EXPECT_EQ(-1, recv(self->peer, buf, sizeof(buf), MSG_DONTWAIT));

	ASSERT_EQ(1, msg_recv(&self->conn, &self->m));
	EXPECT_EQ(-1, recv(self->peer, buf, sizeof(buf), MSG_DONTWAIT));
	ASSERT_EQ(0, shutdown(self->peer, SHUT_WR));
	EXPECT_EQ(0, msg_recv(&self->conn, &self->m));
	EXPECT_EQ(sizeof(*header), recv(self->peer, buf, sizeof(buf),
					MSG_DONTWAIT));
}

TEST_F(msg, a_reply_with_an_fd_comes_after_those_before_it)
{
	struct msg_conn peer;
	struct vfio_user_header *header;
	struct msg m;
	int i;

	ASSERT_EQ(0, msg_conn_init(&peer, dup(self->peer), MAX_SIZE, 0));
	for (i = 0; i < 2; i++) {
		header = msg_reserve(&self->conn, 0);
		ASSERT_NE(NULL, header);
		*header = (struct vfio_user_header){
			.id = i, .size = sizeof(*header),
		};
		ASSERT_EQ(0, msg_commit(&self->conn, &self->peer, i));
	}
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(1, msg_recv(&peer, &m));
		EXPECT_EQ(i, m.header.id);
		EXPECT_EQ(i, m.nr_fds);
		msg_close_fds(&m);
	}
	msg_conn_exit(&peer);
}

TEST_F(msg, a_payload_larger_than_the_limit_is_not_reserved)
{
	EXPECT_EQ(NULL, msg_reserve(&self->conn, MAX_SIZE));
	EXPECT_EQ(EMSGSIZE, errno);
}

static size_t drain(int sock)
{
	char buf[65536];
	size_t total = 0;
	ssize_t n;

	while ((n = recv(sock, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		total += n;
	return total;
}

/* A peer that reads too late: what it then reads must not begin in the middle. */
TEST_F(msg, nothing_is_sent_behind_a_piece_of_a_message)
{
	const struct timeval soon = { .tv_usec = 1000 };
	const size_t len = MAX_SIZE - sizeof(struct vfio_user_header);
	struct vfio_user_header *header;
	int size = 4608;
	size_t piece;

	ASSERT_EQ(0, setsockopt(self->conn.fd, SOL_SOCKET, SO_SNDTIMEO, &soon,
				sizeof(soon)));
	ASSERT_EQ(0, setsockopt(self->conn.fd, SOL_SOCKET, SO_SNDBUF, &size,
				sizeof(size)));
	header = msg_reserve(&self->conn, len);
	ASSERT_NE(NULL, header);
	put(header, 1, len, 0);
	ASSERT_EQ(0, msg_commit(&self->conn, NULL, 0));
	EXPECT_EQ(-EAGAIN, msg_flush(&self->conn));
	piece = drain(self->peer);
	ASSERT_LT(0, piece);
	ASSERT_GT(MAX_SIZE, piece);

	header = msg_reserve(&self->conn, 0);
	if (header) {
		put(header, 2, 0, 0);
		msg_commit(&self->conn, NULL, 0);
	}
	EXPECT_EQ(-EAGAIN, msg_flush(&self->conn));
	EXPECT_EQ(0, drain(self->peer));
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

TEST_F(msg, deadline_is_for_all_of_a_message)
{
	int64_t start = now_ms();
	char buf[MAX_SIZE];
	size_t size = put(buf, 1, 100, 0), i;
	pid_t child;

	msg_set_deadline(&self->conn, 200, -1);
	child = fork();
	ASSERT_LE(0, child);
	/* Never as long without a byte as the deadline is. */
	for (i = 0; !child && i < size; i++) {
		send(self->peer, buf + i, 1, MSG_NOSIGNAL);
		usleep(20000);
	}
	if (!child)
		_exit(0);
	EXPECT_EQ(-ETIMEDOUT, msg_recv(&self->conn, &self->m));
	EXPECT_LE(200, now_ms() - start);
	EXPECT_GT(1500, now_ms() - start);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

TEST_F(msg, deadline_is_for_sending_too)
{
	const size_t len = MAX_SIZE - sizeof(struct vfio_user_header);
	struct vfio_user_header *header;
	int size = 4608;

	ASSERT_EQ(0, setsockopt(self->conn.fd, SOL_SOCKET, SO_SNDBUF, &size,
				sizeof(size)));
	header = msg_reserve(&self->conn, len);
	ASSERT_NE(NULL, header);
	put(header, 1, len, 0);
	ASSERT_EQ(0, msg_commit(&self->conn, NULL, 0));
	msg_set_deadline(&self->conn, 50, -1);
	EXPECT_EQ(-ETIMEDOUT, msg_flush(&self->conn));
}

TEST_F(msg, deadline_can_be_taken_back)
{
	char buf[64];
	size_t size = put(buf, 1, 8, 0);

	msg_set_deadline(&self->conn, 1, -1);
	usleep(2000);
	msg_set_deadline(&self->conn, 0, -1);
	ASSERT_EQ(size, send(self->peer, buf, size, 0));
	EXPECT_EQ(1, msg_recv(&self->conn, &self->m));
}

TEST_F(msg, other_socket_that_is_closed_ends_the_waiting)
{
	int sv[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
	close(sv[1]);
	msg_set_deadline(&self->conn, 5000, sv[0]);
	EXPECT_EQ(-ECONNRESET, msg_recv(&self->conn, &self->m));
	close(sv[0]);
}

TEST_F(msg, what_is_buffered_is_known)
{
	char buf[128];
	size_t size = put(buf, 1, 4, 0);

	size += put(buf + size, 2, 4, 0);
	EXPECT_FALSE(msg_is_buffered(&self->conn));
	ASSERT_EQ(size, send(self->peer, buf, size, 0));
	EXPECT_EQ(1, msg_recv(&self->conn, &self->m));
	EXPECT_TRUE(msg_is_buffered(&self->conn));
	EXPECT_EQ(1, msg_recv(&self->conn, &self->m));
	EXPECT_FALSE(msg_is_buffered(&self->conn));
}

TEST_HARNESS_MAIN
