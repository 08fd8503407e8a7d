// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands to the client: DMA_READ and DMA_WRITE.
 *
 * They go over the twin socket, if the client has asked for one in its VERSION,
 * else over the session's own. There the client may have sent commands before
 * it got ours, and does not take them back: those that come before the reply
 * are kept, in order, and done when the command that is being done is. How many
 * are kept, and how large they may be together, is bounded.
 *
 * One command at a time, and each has a deadline. A client that lets it pass,
 * or that answers something else, loses its session at once: its socket is shut
 * down, so that nothing waits for it again. So does a client that hangs up its
 * main socket; and since that is also how the main thread ends a session, a
 * daemon that is told to end never waits for an answer.
 *
 * A command of the client's that is being done must not lie in the receive
 * buffer, nor its reply in the send buffer, when something is asked: both are
 * used. A session in which something may be asked therefore takes every command
 * through the queue, which owns it until the next is taken.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bridge.h"
#include "log.h"

/* How long the client may take to answer one command, in milliseconds. */
#define PEER_TIMEOUT_MS		5000
/* How many of its commands are kept meanwhile, and how many bytes of them. */
#define PEER_MAX_QUEUED		64
#define PEER_MAX_QUEUED_BYTES	(2 * BRIDGE_MAX_MSG)
/* The largest errno that an error reply is believed to mean. */
#define PEER_MAX_ERRNO		4095
/* The reply to DMA_WRITE, as the specification's table has it. */
#define PEER_SHORT_WRITE_REPLY	12

struct peer_command {
	struct peer_command *next;
	struct msg msg;
	uint8_t payload[];
};

/* Syscalls: close socketpair(AF_UNIX) */
int peer_twin(struct session *s)
{
	int fds[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	/* Replies come without fds: look for them with each. */
	ret = msg_conn_init(&s->link.twin, fds[0], BRIDGE_MAX_MSG, 0);
	if (ret) {
		close(fds[1]);
		return ret;
	}
	s->link.twin.screen = screen_fd;
	return fds[1];
}

int peer_enqueue(struct session *s, struct msg *m)
{
	struct peer_link *link = &s->link;
	struct peer_command *c;
	unsigned int i;

	if (link->nr_queued == PEER_MAX_QUEUED ||
	    m->len > PEER_MAX_QUEUED_BYTES - link->queued_bytes) {
		msg_close_fds(m);
		return -ENOBUFS;
	}
	c = malloc(sizeof(*c) + m->len);
	if (!c) {
		msg_close_fds(m);
		return -ENOMEM;
	}
	/* No command takes as many; it is refused when it is its turn. */
	for (i = BRIDGE_MAX_MSG_FDS; i < m->nr_fds; i++)
		close_fd(&m->fds[i]);

	c->next = NULL;
	c->msg = *m;
	c->msg.payload = c->payload;
	memcpy(c->payload, m->payload, m->len);
	if (link->nr_queued++)
		link->last->next = c;
	else
		link->first = c;
	link->last = c;
	link->queued_bytes += m->len;
	return 0;
}

bool peer_dequeue(struct session *s, struct msg *m)
{
	struct peer_link *link = &s->link;
	struct peer_command *c = link->first;

	free(link->current);
	link->current = NULL;
	if (!link->nr_queued)
		return false;

	link->first = c->next;
	link->nr_queued--;
	link->queued_bytes -= c->msg.len;
	link->current = c;
	*m = c->msg;
	return true;
}

void peer_close(struct session *s)
{
	int twin = s->link.twin.fd;
	struct msg m;

	while (peer_dequeue(s, &m))
		msg_close_fds(&m);
	s->link.twin.fd = -1;
	msg_conn_exit(&s->link.twin);
	if (twin >= 0)
		screen_hang_up(twin);
}

/*
 * The client has done something that it can't be asked anything more after.
 *
 * Syscalls: shutdown
 */
static int peer_fail(struct session *s, uint16_t command, int err)
{
	const char *what = NULL;

	if (err == -ETIMEDOUT)
		what = "does not answer in time";
	else if (err == -ENOBUFS)
		what = "sends commands instead of an answer";
	else if (err == -EPROTO || err == -EMSGSIZE)
		what = "answers with nonsense";
	else if (err != -ECONNRESET && err != -EPIPE)
		what = strerrordesc_np(-err);
	if (what && !s->closing)
		log_err("%s: client pid %d was sent %s: %s: session ended",
			s->bridge->device.name, s->peer.pid,
			session_command_name(command), what);
	s->closing = true;
	shutdown(s->conn.fd, SHUT_RDWR);
	return err;
}

static int peer_send(struct msg_conn *c, uint16_t id, uint16_t command,
		     const struct vfio_user_dma_access *request,
		     const void *data)
{
	size_t len = sizeof(*request) + (data ? request->count : 0);
	struct vfio_user_header *header = msg_reserve(c, len);
	uint8_t *payload;
	int ret;

	if (!header)
		return -errno;
	*header = (struct vfio_user_header){
		.id = id,
		.command = command,
		.size = sizeof(*header) + len,
		.flags = VFIO_USER_TYPE_COMMAND,
	};
	payload = (uint8_t *)(header + 1);
	memcpy(payload, request, sizeof(*request));
	if (data)
		memcpy(payload + sizeof(*request), data, request->count);
	ret = msg_commit(c, NULL, 0);
	return ret ? ret : msg_flush(c);
}

static uint32_t peer_type(const struct msg *m)
{
	return m->header.flags & VFIO_USER_TYPE_MASK;
}

/* Wait for a reply; commands are kept if this is where commands come. */
static int peer_recv(struct session *s, struct msg_conn *c, struct msg *m)
{
	int ret;

	for (;;) {
		ret = msg_recv(c, m);
		if (ret > 0 && peer_type(m) == VFIO_USER_TYPE_REPLY &&
		    !m->nr_fds)
			return 0;
		if (ret > 0 && peer_type(m) == VFIO_USER_TYPE_COMMAND &&
		    c == &s->conn) {
			ret = peer_enqueue(s, m);
			if (ret)
				return ret;
			continue;
		}
		msg_close_fds(m);
		return ret > 0 ? -EPROTO : ret ? ret : -ECONNRESET;
	}
}

/* A command and its reply, which is checked but for its payload. */
static int peer_call(struct session *s, uint16_t command,
		     const struct vfio_user_dma_access *request,
		     const void *data, struct msg *m)
{
	struct msg_conn *c = s->link.twin.fd >= 0 ? &s->link.twin : &s->conn;
	uint16_t id = ++s->link.id;
	int ret;

	if (s->closing)
		return -ECONNRESET;
	atomic_fetch_add_explicit(&s->bridge->stats.requests, 1,
				  memory_order_relaxed);
	msg_set_deadline(c, PEER_TIMEOUT_MS, s->conn.fd);
	ret = peer_send(c, id, command, request, data);
	if (!ret)
		ret = peer_recv(s, c, m);
	msg_set_deadline(c, 0, -1);
	if (ret)
		return peer_fail(s, command, ret);

	if (m->header.id != id || m->header.command != command)
		return peer_fail(s, command, -EPROTO);
	if (!(m->header.flags & VFIO_USER_FLAG_ERROR))
		return 0;
	if (!m->header.error || m->header.error > PEER_MAX_ERRNO)
		return -EIO;
	return -(int)m->header.error;
}

static size_t peer_max_xfer(const struct session *s)
{
	return min(s->caps.max_data_xfer_size, (uint64_t)BRIDGE_MAX_XFER);
}

/* Is @m about the same bytes as @request, with @len bytes behind that? */
static bool peer_is_about(const struct msg *m,
			  const struct vfio_user_dma_access *request,
			  size_t len)
{
	return m->len == sizeof(*request) + len &&
	       !memcmp(m->payload, request, sizeof(*request));
}

int peer_dma_read(struct session *s, uint64_t iova, void *buf, size_t len)
{
	size_t done, n;
	struct msg m;
	int ret;

	for (done = 0; done < len; done += n) {
		struct vfio_user_dma_access request = {
			.address = iova + done,
		};

		n = min(len - done, peer_max_xfer(s));
		request.count = n;
		ret = peer_call(s, VFIO_USER_DMA_READ, &request, NULL, &m);
		if (ret)
			return ret;
		if (!peer_is_about(&m, &request, n))
			return peer_fail(s, VFIO_USER_DMA_READ, -EPROTO);
		memcpy((uint8_t *)buf + done,
		       (uint8_t *)m.payload + sizeof(request), n);
	}
	return 0;
}

/* Both forms of the reply: a count of 4 bytes, and one of 8. */
static bool peer_is_written(const struct msg *m,
			    const struct vfio_user_dma_access *request)
{
	uint32_t count = request->count;

	if (m->len != PEER_SHORT_WRITE_REPLY)
		return peer_is_about(m, request, 0);
	return !memcmp(m->payload, request, sizeof(request->address)) &&
	       !memcmp((uint8_t *)m->payload + sizeof(request->address),
		       &count, sizeof(count));
}

int peer_dma_write(struct session *s, uint64_t iova, const void *buf,
		   size_t len)
{
	size_t done, n;
	struct msg m;
	int ret;

	for (done = 0; done < len; done += n) {
		struct vfio_user_dma_access request = {
			.address = iova + done,
		};

		n = min(len - done, peer_max_xfer(s));
		request.count = n;
		ret = peer_call(s, VFIO_USER_DMA_WRITE, &request,
				(const uint8_t *)buf + done, &m);
		if (ret)
			return ret;
		if (!peer_is_written(&m, &request))
			return peer_fail(s, VFIO_USER_DMA_WRITE, -EPROTO);
	}
	return 0;
}
