/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LIB_MSG_H
#define LIB_MSG_H

#include <stddef.h>
#include <stdint.h>
#include "util.h"
#include "vfio_user.h"

/**
 * struct msg - one received message
 * @header: a copy of its header
 * @payload: what follows the header, in the connection's buffer; not aligned;
 *           valid until the next msg_recv()
 * @len: length of @payload in bytes
 * @fds: the file descriptors that came with it; -1 for one that the connection's
 *       @screen has kept. Whoever takes one sets it to -1; msg_close_fds()
 *       closes the rest.
 * @nr_fds: how many came
 */
struct msg {
	struct vfio_user_header header;
	void *payload;
	size_t len;
	int fds[VFIO_USER_MAX_SCM_FDS];
	unsigned int nr_fds;
};

/**
 * struct msg_conn - one end of a vfio-user socket
 * @fd: the socket, owned by the connection
 * @max_size: no message larger than this is received, in bytes
 * @fd_min: size of the smallest message that can carry fds, 0 if unknown
 * @more: more than one message may wait
 * @deadline: when to give up, CLOCK_MONOTONIC milliseconds; 0: never
 * @other: a socket whose end makes waiting end, too, while there is a deadline
 * @patience: how long the rest of a message may take that has begun, in
 *            milliseconds; 0: as long as it likes
 * @screen: is given each fd that comes; returns it, or -1 if it has closed it or
 *          will. NULL: none is looked at.
 * @rx: receive buffer of @max_size bytes
 * @rx_head: first byte in @rx that isn't consumed
 * @rx_tail: end of what was received in @rx
 * @fds: what came with the message that is being received
 * @nr_fds: how many of @fds
 * @tx: send buffer of @tx_size bytes
 * @tx_size: size of @tx in bytes
 * @tx_len: bytes in @tx that wait for msg_flush()
 * @error: negative errno with which sending failed, 0 if it didn't. What was
 *         sent may end within a message, so no more is sent.
 */
struct msg_conn {
	int fd;
	size_t max_size;
	size_t fd_min;
	bool more;
	int64_t deadline;
	int other;
	unsigned int patience;
	int (*screen)(int fd);
	uint8_t *rx;
	size_t rx_head;
	size_t rx_tail;
	int fds[VFIO_USER_MAX_SCM_FDS];
	unsigned int nr_fds;
	uint8_t *tx;
	size_t tx_size;
	size_t tx_len;
	int error;
};

/**
 * msg_conn_init() - make a connection of a socket
 * @c: filled in
 * @fd: a connected, blocking SOCK_STREAM AF_UNIX socket; the connection owns
 *      it, even if this fails
 * @max_size: largest message in either direction, header included, in bytes
 * @fd_min: size in bytes, header included, of the smallest message that may
 *          come with fds; spares a system call for each message. 0 if any may.
 *
 * Return: 0 or -ENOMEM.
 */
int msg_conn_init(struct msg_conn *c, int fd, size_t max_size, size_t fd_min);

/**
 * msg_conn_exit() - close the socket and free the buffers
 * @c: a connection; what waits to be sent is lost
 */
void msg_conn_exit(struct msg_conn *c);

/**
 * msg_conn_drop_fds() - close what came with a message that isn't whole
 * @c: a connection that nothing is received from any more
 */
void msg_conn_drop_fds(struct msg_conn *c);

/**
 * msg_set_deadline() - bound the time that receiving and sending may take
 * @c: the connection
 * @ms: milliseconds from now, for all that is received and sent until then
 *      together; 0: no bound any more but the socket's own time-outs
 * @other: a socket whose end ends the waiting as well; may be the connection's
 *
 * After it, functions that receive or send fail with -ETIMEDOUT when they would
 * have to wait, and with -ECONNRESET when @other's other side has closed. What
 * was being received or sent then is lost, and so is the connection.
 */
void msg_set_deadline(struct msg_conn *c, unsigned int ms, int other);

/**
 * msg_set_patience() - bound the time that the rest of a message may take
 * @c: the connection
 * @ms: milliseconds from when some of a message was received and more is waited
 *      for, until it is whole; 0: no bound
 *
 * msg_recv() then fails with -ETIMEDOUT, and the connection is lost. A deadline
 * that is set already counts instead.
 */
static inline void msg_set_patience(struct msg_conn *c, unsigned int ms)
{
	c->patience = ms;
}

/**
 * msg_is_buffered() - has some of a message been received that nobody took?
 * @c: the connection
 *
 * Return: true if poll(2) on the socket doesn't tell whether msg_recv() would
 * wait.
 */
static inline bool msg_is_buffered(const struct msg_conn *c)
{
	return c->rx_head != c->rx_tail;
}

/**
 * msg_recv() - wait for the next message and receive all of it
 * @c: the connection
 * @m: filled in; the caller owns its fds, on success and on error alike
 *
 * Whatever waits in the send buffer is sent before blocking.
 *
 * Return: 1 for a message, 0 when the other side has closed, or
 * -EMSGSIZE: the header in @m says a size that can't be (@m->header is
 *            valid, its fds are closed with the connection); nothing more can
 *            be received,
 * -ECONNRESET: the other side closed in the middle of a message,
 * -EMFILE: fds were lost because this process has no room for more,
 * -EAGAIN: the socket's receive time-out ended, nothing is lost,
 * -ETIMEDOUT: the deadline has passed, or the patience is at an end,
 * or what recvmsg(2) and sendmsg(2) fail with.
 */
int msg_recv(struct msg_conn *c, struct msg *m);

/**
 * msg_close_fds() - close the fds of a message that nobody took
 * @m: a message
 */
void msg_close_fds(struct msg *m);

/**
 * msg_reserve() - room in the send buffer for one message
 * @c: the connection
 * @payload: payload bytes wanted, so that header and payload are not larger
 *           than the connection's max_size
 *
 * Flushes first when there isn't room. The caller fills in the header and the
 * payload behind it, then calls msg_commit(); or does nothing, to drop it.
 *
 * Return: the message's header, with the payload's room right behind; NULL if
 * flushing failed or @payload is too large (errno tells).
 */
struct vfio_user_header *msg_reserve(struct msg_conn *c, size_t payload);

/**
 * msg_commit() - queue the message that stands in the reserved room
 * @c: the connection
 * @fds: fds to go with it; the caller keeps them
 * @nr_fds: how many, 0 for most messages
 *
 * The header's size field says how long it is. A message with fds is sent at
 * once, after what was queued before it, so that the fds travel with its
 * first byte; others wait for msg_flush() or the next blocking msg_recv().
 *
 * Return: 0 or a negative errno of sendmsg(2).
 */
int msg_commit(struct msg_conn *c, const int *fds, unsigned int nr_fds);

/**
 * msg_flush() - send what is queued
 * @c: the connection
 *
 * Return: 0 or a negative errno of sendmsg(2).
 */
int msg_flush(struct msg_conn *c);

#endif
