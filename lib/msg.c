// SPDX-License-Identifier: GPL-2.0-only
/*
 * One message and its file descriptors, in and out of a stream socket.
 *
 * Messages that wait are read many at a time, because system calls are what a
 * pipelining client would pay most for. What makes this hard is that fds belong
 * to the first byte of a message, while recvmsg(2) says only that some came with
 * the bytes it returned: it reads over the end of data without fds into data
 * with fds, then stops (unix_stream_read_generic() in the kernel), so which of
 * several messages the fds came with can't be told afterwards. There are two
 * ways around it.
 *
 * When more than one message may wait, look first: MSG_PEEK without room for
 * fds answers MSG_CTRUNC if any fds are among what waits. If none are, all of
 * it is taken at once; if some are, only the first message is taken, in a
 * recvmsg(2) that ends with it, and any fds that come are its own. That takes
 * two system calls, for many messages or for one.
 *
 * When one message at a time is what has come so far, one system call does:
 * read no more than the smallest message that can carry fds. If several
 * messages begin in so little, all but the last are too small to carry any, so
 * the fds are the last one's. A peer that sends fds with a message that takes
 * none may so have them refused with the message behind it; that is all it
 * gains. A read that fills this little room is a sign that more waits.
 *
 * Either way a message that has come only in part is completed by reads that
 * end with it, and fds are given out with a message behind which nothing is
 * buffered.
 *
 * The buffer holds one message of the largest size. A header that says more is
 * refused before anything is read by that size, and nothing is ever allocated
 * by a size from the socket.
 *
 * Sending gathers replies in a buffer of the same size, which is flushed before
 * the receiving side would block; a message with fds travels in a sendmsg(2)
 * of its own.
 *
 * The system calls block, and a blocked one is ended by shutting the socket
 * down. Only while there is a deadline is poll(2) asked first: a time-out of
 * the socket begins anew with each byte that the other side deals out.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "msg.h"

/* How much of what waits is looked at, in bytes: copied twice, so not all. */
#define MSG_PEEK_WINDOW		8192

int msg_conn_init(struct msg_conn *c, int fd, size_t max_size, size_t fd_min)
{
	memset(c, 0, sizeof(*c));
	c->fd = fd;
	c->fd_min = min(fd_min, (size_t)MSG_PEEK_WINDOW);
	c->max_size = max(max_size, (size_t)MSG_PEEK_WINDOW);
	c->tx_size = c->max_size;
	c->rx = malloc(c->max_size);
	c->tx = malloc(c->tx_size);
	if (c->rx && c->tx)
		return 0;

	msg_conn_exit(c);
	return -ENOMEM;
}

void msg_conn_drop_fds(struct msg_conn *c)
{
	while (c->nr_fds)
		close_fd(&c->fds[--c->nr_fds]);
}

void msg_conn_exit(struct msg_conn *c)
{
	msg_conn_drop_fds(c);
	/* Somebody may look whether there is one (session_is_ending()). */
	if (c->fd >= 0)
		close_fd(&c->fd);
	free(c->rx);
	free(c->tx);
	c->rx = NULL;
	c->tx = NULL;
}

void msg_close_fds(struct msg *m)
{
	unsigned int i;

	for (i = 0; i < m->nr_fds; i++)
		close_fd(&m->fds[i]);
	m->nr_fds = 0;
}

/* Syscalls: clock_gettime */
static int64_t msg_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

void msg_set_deadline(struct msg_conn *c, unsigned int ms, int other)
{
	c->deadline = ms ? msg_now() + ms : 0;
	c->other = other;
}

/*
 * Until the deadline, wait for POLLIN or POLLOUT on the socket.
 *
 * Syscalls: poll
 */
static int msg_wait(const struct msg_conn *c, short events)
{
	struct pollfd fds[] = {
		{ .fd = c->fd, .events = events },
		{ .fd = c->other, .events = POLLRDHUP },
	};
	int64_t left;
	int n;

	do {
		left = c->deadline - msg_now();
		if (left <= 0)
			return -ETIMEDOUT;
		n = poll(fds, ARRAY_SIZE(fds), left);
	} while (!n || (n < 0 && errno == EINTR));
	if (n < 0)
		return -errno;
	return fds[1].revents ? -ECONNRESET : 0;
}

/* Keep the fds in @mh, with those of the same message that came before. */
static int msg_take_fds(struct msg_conn *c, struct msghdr *mh)
{
	struct cmsghdr *cmsg;
	int ret = 0;

	for (cmsg = CMSG_FIRSTHDR(mh); cmsg; cmsg = CMSG_NXTHDR(mh, cmsg)) {
		size_t i, n;

		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
			if (c->screen)
				fd = c->screen(fd);
			if (c->nr_fds < ARRAY_SIZE(c->fds)) {
				c->fds[c->nr_fds++] = fd;
			} else {
				close_fd(&fd);
				ret = -EMFILE;
			}
		}
	}
	if (mh->msg_flags & MSG_CTRUNC)
		ret = -EMFILE;
	return ret;
}

/*
 * Take up to @len bytes off the socket; returns how many, 0 at its end.
 *
 * Syscalls: recvmsg
 */
static ssize_t msg_take(struct msg_conn *c, size_t len)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * VFIO_USER_MAX_SCM_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { c->rx + c->rx_tail, len };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;
	int ret;

	ret = c->deadline ? msg_wait(c, POLLIN) : 0;
	if (ret)
		return ret;
	do {
		n = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;

	ret = mh.msg_controllen || mh.msg_flags & MSG_CTRUNC ?
		msg_take_fds(c, &mh) : 0;
	if (ret)
		return ret;
	c->rx_tail += n;
	return n;
}

/* Size of the message at rx_head: 0 if its header isn't all there yet. */
static size_t msg_size(const struct msg_conn *c)
{
	struct vfio_user_header header;

	if (c->rx_tail - c->rx_head < sizeof(header))
		return 0;
	memcpy(&header, c->rx + c->rx_head, sizeof(header));
	return header.size;
}

/*
 * Look at what waits, and take as much as has no fds but the first message's.
 *
 * Syscalls: recvmsg
 */
static ssize_t msg_fill_many(struct msg_conn *c)
{
	struct iovec iov = { c->rx, min(c->max_size, (size_t)MSG_PEEK_WINDOW) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t first;
	ssize_t n;

	n = c->deadline ? msg_wait(c, POLLIN) : 0;
	if (n)
		return n;
	do {
		n = recvmsg(c->fd, &mh, MSG_PEEK);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;

	c->rx_tail = n;
	first = msg_size(c);
	c->rx_tail = 0;
	c->more = n > first;
	if (!(mh.msg_flags & MSG_CTRUNC))
		return msg_take(c, n);
	if (first < sizeof(struct vfio_user_header))
		first = sizeof(struct vfio_user_header);
	return msg_take(c, min(first, (size_t)n));
}

/* Nothing is buffered: take what waits, as far as its fds are unambiguous. */
static ssize_t msg_fill(struct msg_conn *c)
{
	ssize_t n;

	c->rx_head = 0;
	c->rx_tail = 0;
	if (c->more || !c->fd_min)
		return msg_fill_many(c);

	n = msg_take(c, c->fd_min);
	c->more = n == c->fd_min;
	return n;
}

/* Some of a message is buffered: take more, but not beyond its end. */
static ssize_t msg_complete(struct msg_conn *c, size_t size)
{
	size_t have = c->rx_tail - c->rx_head;

	if (c->rx_head + size > c->max_size) {
		memmove(c->rx, c->rx + c->rx_head, have);
		c->rx_head = 0;
		c->rx_tail = have;
	}
	return msg_take(c, size - have);
}

/* The fds change hands with the message, not before: a time-out loses none. */
static void msg_give_fds(struct msg_conn *c, struct msg *m)
{
	if (c->rx_head != c->rx_tail)
		return;
	memcpy(m->fds, c->fds, c->nr_fds * sizeof(c->fds[0]));
	m->nr_fds = c->nr_fds;
	c->nr_fds = 0;
}

/* Is all of a message there? @m gets its header as soon as that is. */
static int msg_is_whole(const struct msg_conn *c, struct msg *m)
{
	const size_t have = c->rx_tail - c->rx_head;
	const size_t size = msg_size(c);

	if (have < sizeof(m->header))
		return 0;
	memcpy(&m->header, c->rx + c->rx_head, sizeof(m->header));
	if (size < sizeof(m->header) || size > c->max_size)
		return -EMSGSIZE;
	return have >= size;
}

/* Receive more: 1, 0 at the end, or a negative errno. */
static int msg_more(struct msg_conn *c)
{
	const size_t have = c->rx_tail - c->rx_head;
	int ret = c->tx_len ? msg_flush(c) : 0;
	ssize_t n;

	if (ret)
		return ret;
	if (!have) {
		n = msg_fill(c);
	} else {
		if (c->patience && !c->deadline)
			msg_set_deadline(c, c->patience, -1);
		n = msg_complete(c, max(msg_size(c),
					sizeof(struct vfio_user_header)));
	}
	if (n)
		return n < 0 ? n : 1;
	return have ? -ECONNRESET : 0;
}

static int msg_recv_whole(struct msg_conn *c, struct msg *m)
{
	int ret;

	for (;;) {
		ret = msg_is_whole(c, m);
		if (ret)
			return ret;
		ret = msg_more(c);
		if (ret <= 0)
			return ret;
	}
}

int msg_recv(struct msg_conn *c, struct msg *m)
{
	const int64_t deadline = c->deadline;
	int ret;

	m->nr_fds = 0;
	ret = msg_recv_whole(c, m);
	c->deadline = deadline;
	if (ret <= 0)
		return ret;

	m->payload = c->rx + c->rx_head + sizeof(m->header);
	m->len = m->header.size - sizeof(m->header);
	c->rx_head += m->header.size;
	msg_give_fds(c, m);
	return 1;
}

/* Syscalls: sendmsg */
static int msg_send(struct msg_conn *c, const uint8_t *buf, size_t len,
		    const int *fds, unsigned int nr_fds)
{
	const int flags = MSG_NOSIGNAL | (c->deadline ? MSG_DONTWAIT : 0);
	union {
		char buf[CMSG_SPACE(sizeof(int) * VFIO_USER_MAX_SCM_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { (void *)buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int ret;

	if (nr_fds) {
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nr_fds);
	}

	while (iov.iov_len) {
		ssize_t n = sendmsg(c->fd, &mh, flags);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && c->deadline) {
			ret = msg_wait(c, POLLOUT);
			if (ret)
				goto failed;
			continue;
		}
		ret = -errno;
		if (n < 0)
			goto failed;
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= n;
		mh.msg_control = NULL;
		mh.msg_controllen = 0;
	}
	return 0;

failed:
	/*
	 * What follows a piece of a message can't be told from its rest; and the
	 * other side doesn't read, if the socket's time for it is over.
	 */
	if (iov.iov_len < len || ret == -EAGAIN)
		c->error = ret;
	return ret;
}

int msg_flush(struct msg_conn *c)
{
	size_t len = c->tx_len;

	c->tx_len = 0;
	if (!c->error)
		c->error = msg_send(c, c->tx, len, NULL, 0);
	return c->error;
}

struct vfio_user_header *msg_reserve(struct msg_conn *c, size_t payload)
{
	const size_t hlen = sizeof(struct vfio_user_header);
	int ret;

	if (payload > c->max_size - hlen) {
		errno = EMSGSIZE;
		return NULL;
	}
	if (c->tx_len + hlen + payload > c->tx_size) {
		ret = msg_flush(c);
		if (ret) {
			errno = -ret;
			return NULL;
		}
	}
	return (struct vfio_user_header *)(c->tx + c->tx_len);
}

int msg_commit(struct msg_conn *c, const int *fds, unsigned int nr_fds)
{
	struct vfio_user_header header;
	size_t start = c->tx_len;
	int ret;

	memcpy(&header, c->tx + start, sizeof(header));
	if (!nr_fds) {
		c->tx_len += header.size;
		return 0;
	}

	ret = msg_flush(c);
	if (ret)
		return ret;
	return msg_send(c, c->tx + start, header.size, fds, nr_fds);
}
