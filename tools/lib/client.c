// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client's end of a vfio-user socket: the connection, and requests on it.
 *
 * One command at a time: client_call() sends it, waits for its reply, and
 * checks what all replies have in common; the functions in client_*.c add
 * the payload and check what is special to their command.
 *
 * The server is not trusted. Nothing is allocated by a size that it says
 * without a bound, every length, offset and number of fds in a reply is
 * checked before use, and fds that nobody asked for are closed. A server that
 * breaks the protocol once can't be in step with its client any more, so the
 * first violation breaks the client for good: the socket is shut down, which
 * ends the session on the server's side too, and every later call fails at
 * once. The same goes for a lost connection and for a reply that takes too
 * long, because it would be taken for the reply to the next command.
 *
 * An error reply is none of that: it is the server's answer, and comes back
 * as a negative errno.
 *
 * The server may send commands of its own (DMA_READ, DMA_WRITE) at any time,
 * also while a reply is due: client_serve.c answers them. The number of those
 * that are refused, and still come, while a reply is due is limited.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "internal.h"
#include "log.h"

/* Data, and room for the largest fixed payload beside it, or for VERSION. */
#define CLIENT_MAX_MSG		(CLIENT_MAX_XFER + 4096)
/* The smallest reply with an fd: a region's description. */
#define CLIENT_FD_MIN		(sizeof(struct vfio_user_header) + \
				 sizeof(struct vfio_user_region_info))
/* The largest errno that an error reply is believed to mean. */
#define CLIENT_MAX_ERRNO	4095

#define CLIENT_TIMEOUT_MS	30000

int client_break(struct vfio_user_client *c, int err)
{
	c->broken = err == -EPROTO ? -EPROTO : -ECONNRESET;
	shutdown(c->conn.fd, SHUT_RDWR);
	/* Nobody would ever see them, and a program may close what it finds. */
	msg_conn_drop_fds(&c->conn);
	return err;
}

int client_violation(struct vfio_user_client *c, struct msg *m,
		     const char *what)
{
	log_debug("the server's message (command %u, %u bytes, %u fds) has %s",
		  m->header.command, m->header.size, m->nr_fds, what);
	msg_close_fds(m);
	return client_break(c, -EPROTO);
}

static int client_send(struct vfio_user_client *c, uint16_t command,
		       const struct iovec *req, int nr_req,
		       const int *fds, unsigned int nr_fds)
{
	struct vfio_user_header *header;
	size_t len = 0;
	uint8_t *to;
	int i, ret;

	if (nr_fds > VFIO_USER_MAX_SCM_FDS)
		return -EINVAL;
	for (i = 0; i < nr_req; i++) {
		if (req[i].iov_len > CLIENT_MAX_MSG - sizeof(*header) - len)
			return -EMSGSIZE;
		len += req[i].iov_len;
	}

	header = msg_reserve(&c->conn, len);
	if (!header)
		return client_break(c, -errno);
	memset(header, 0, sizeof(*header));
	header->id = ++c->id;
	header->command = command;
	header->size = sizeof(*header) + len;
	header->flags = VFIO_USER_TYPE_COMMAND;
	for (to = (uint8_t *)(header + 1), i = 0; i < nr_req; i++) {
		if (req[i].iov_len)
			memcpy(to, req[i].iov_base, req[i].iov_len);
		to += req[i].iov_len;
	}

	ret = msg_commit(&c->conn, fds, nr_fds);
	/* The kernel looks at the fds before it sends anything. */
	if (ret == -EBADF || ret == -ETOOMANYREFS)
		return ret;
	if (!ret)
		ret = msg_flush(&c->conn);
	/* A server that has closed may have said why: that can be received. */
	if (ret && ret != -EPIPE)
		return client_break(c, ret == -EAGAIN ? -ETIMEDOUT : ret);
	c->messages_sent++;
	return 0;
}

/* Receive a reply; what comes before it is served. */
static int client_recv(struct vfio_user_client *c, struct msg *m)
{
	unsigned int strays = 0;
	int ret;

	while (strays <= CLIENT_MAX_STRAYS) {
		ret = client_wait(c, &strays);
		if (ret)
			return ret;
		ret = msg_recv(&c->conn, m);
		if (ret == -EMSGSIZE)
			return client_violation(c, m, "an impossible size");
		if (ret <= 0) {
			msg_close_fds(m);
			if (ret == 0)
				ret = -ECONNRESET;
			return client_break(c, ret == -EAGAIN ? -ETIMEDOUT :
					    ret);
		}

		switch (m->header.flags & VFIO_USER_TYPE_MASK) {
		case VFIO_USER_TYPE_REPLY:
			return 0;
		case VFIO_USER_TYPE_COMMAND:
			ret = client_serve(c, &c->conn, m);
			if (ret < 0)
				return ret;
			strays += ret;
			break;
		default:
			return client_violation(c, m, "an unknown type");
		}
	}
	return client_violation(c, m, "come instead of a reply once too often");
}

int client_call(struct vfio_user_client *c, uint16_t command,
		const struct iovec *req, int nr_req,
		const int *fds, unsigned int nr_fds, struct msg *m)
{
	int ret;

	if (c->broken)
		return c->broken;
	ret = client_send(c, command, req, nr_req, fds, nr_fds);
	if (ret)
		return ret;
	ret = client_recv(c, m);
	if (ret)
		return ret;

	if (m->header.id != c->id)
		return client_violation(c, m, "the id of another command");
	if (m->header.command != command)
		return client_violation(c, m, "another command's number");
	if (!(m->header.flags & VFIO_USER_FLAG_ERROR))
		return 0;

	msg_close_fds(m);
	if (!m->header.error || m->header.error > CLIENT_MAX_ERRNO)
		return -EIO;
	return -(int)m->header.error;
}

int client_command(struct vfio_user_client *c, uint16_t command,
		   const struct iovec *req, int nr_req,
		   const int *fds, unsigned int nr_fds)
{
	struct msg m;
	int ret;

	ret = client_call(c, command, req, nr_req, fds, nr_fds, &m);
	if (ret)
		return ret;
	if (m.nr_fds || m.len)
		return client_violation(c, &m, "a payload or fds, and should have none");
	return 0;
}

int client_exchange(struct vfio_user_client *c, uint16_t command,
		    const void *req, size_t req_size,
		    void *reply, size_t reply_size)
{
	struct iovec iov = { (void *)req, req_size };
	struct msg m;
	int ret;

	ret = client_call(c, command, &iov, 1, NULL, 0, &m);
	if (ret)
		return ret;
	if (m.nr_fds)
		return client_violation(c, &m, "fds that nobody asked for");
	if (m.len != reply_size)
		return client_violation(c, &m, "a payload of the wrong length");

	memcpy(reply, m.payload, reply_size);
	return 0;
}

static int client_timeout(const struct vfio_user_client_opts *opts)
{
	return opts && opts->timeout_ms ? opts->timeout_ms : CLIENT_TIMEOUT_MS;
}

/* Set the socket's time-outs, which hold for connecting, too. */
static int client_set_timeout(int fd, int ms)
{
	struct timeval tv = { 0 };

	if (ms > 0) {
		tv.tv_sec = ms / 1000;
		tv.tv_usec = ms % 1000 * 1000;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)))
		return -errno;
	return 0;
}

/* Our end of a twin socket, if one was asked for and is there. */
static int client_take_twin(struct vfio_user_client *c, struct msg *m,
			    bool asked)
{
	bool there = asked && c->caps.twin_socket;
	int index = c->caps.twin_fd_index;
	int ret;

	if (m->nr_fds != there)
		return client_violation(c, m, "the wrong number of fds");
	if (!there)
		return 0;
	if (index < 0 || index >= m->nr_fds)
		return client_violation(c, m, "no index for its fd");
	/* Commands come without fds: look for them with each. */
	ret = msg_conn_init(&c->twin, m->fds[index], CLIENT_MAX_MSG, 0);
	m->fds[index] = -1;
	msg_close_fds(m);
	return ret ? ret : client_set_timeout(c->twin.fd, c->timeout_ms);
}

static int client_check_version(struct vfio_user_client *c, struct msg *m,
				bool twin)
{
	struct vfio_user_version version;
	int ret;

	if (m->len < sizeof(version))
		return client_violation(c, m, "a payload of the wrong length");
	memcpy(&version, m->payload, sizeof(version));
	if (version.major != VFIO_USER_MAJOR ||
	    version.minor > VFIO_USER_MINOR)
		return client_violation(c, m, "a version we didn't propose");

	ret = caps_parse((char *)m->payload + sizeof(version),
			 m->len - sizeof(version), &c->caps);
	if (ret == -EINVAL)
		return client_violation(c, m, "malformed capabilities");
	if (ret) {
		msg_close_fds(m);
		return ret;
	}
	c->version = (uint32_t)version.major << 16 | version.minor;
	return client_take_twin(c, m, twin);
}

/* What this client says of itself; to be freed with free(3). */
static char *client_caps(bool twin)
{
	struct vfio_user_caps caps;

	caps_default(&caps);
	caps.max_msg_fds = VFIO_USER_MAX_SCM_FDS;
	caps.max_data_xfer_size = CLIENT_MAX_XFER;
	caps.knows_iova_ranges = true;
	caps.twin_socket = twin;
	return caps_format(&caps);
}

static int client_negotiate(struct vfio_user_client *c,
			    const struct vfio_user_client_opts *opts)
{
	const char *data = opts ? opts->version_data : NULL;
	bool twin = opts && opts->twin_socket;
	struct vfio_user_version version = {
		.major = VFIO_USER_MAJOR,
		.minor = VFIO_USER_MINOR,
	};
	char *usual = NULL;
	struct iovec iov[2];
	struct msg m;
	int ret;

	if (!data) {
		usual = client_caps(twin);
		if (!usual)
			return -ENOMEM;
		data = usual;
	}
	iov[0] = (struct iovec) { &version, sizeof(version) };
	iov[1] = (struct iovec) { (char *)data, strlen(data) + 1 };

	ret = client_call(c, VFIO_USER_VERSION, iov, 2, NULL, 0, &m);
	if (!ret)
		ret = client_check_version(c, &m, twin);
	free(usual);
	return ret;
}

int vfio_user_connect_fd(int fd, const struct vfio_user_client_opts *opts,
			 struct vfio_user_client **out)
{
	struct vfio_user_client *c;
	int ret;

	ret = client_set_timeout(fd, client_timeout(opts));
	if (ret)
		goto close_socket;
	c = calloc(1, sizeof(*c));
	if (!c) {
		ret = -ENOMEM;
		goto close_socket;
	}
	c->twin.fd = -1;
	c->timeout_ms = client_timeout(opts);
	ret = msg_conn_init(&c->conn, fd, CLIENT_MAX_MSG, CLIENT_FD_MIN);
	if (ret)
		goto free_client;

	ret = client_negotiate(c, opts);
	if (ret)
		goto exit_conn;
	c->max_msg_fds = c->caps.max_msg_fds;
	if (opts && opts->max_msg_fds && opts->max_msg_fds < c->max_msg_fds)
		c->max_msg_fds = opts->max_msg_fds;
	*out = c;
	return 0;

exit_conn:
	msg_conn_exit(&c->twin);
	msg_conn_exit(&c->conn);
free_client:
	free(c);
	return ret;
close_socket:
	close(fd);
	return ret;
}

int vfio_user_connect(const char *path,
		      const struct vfio_user_client_opts *opts,
		      struct vfio_user_client **out)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret = client_set_timeout(fd, client_timeout(opts));
	if (ret)
		goto close_socket;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		ret = errno == EAGAIN ? -ETIMEDOUT : -errno;
		goto close_socket;
	}
	return vfio_user_connect_fd(fd, opts, out);

close_socket:
	close(fd);
	return ret;
}

void vfio_user_disconnect(struct vfio_user_client *c)
{
	if (!c)
		return;
	msg_conn_exit(&c->twin);
	msg_conn_exit(&c->conn);
	free(c->maps);
	free(c);
}

const struct vfio_user_caps *
vfio_user_server_caps(const struct vfio_user_client *c)
{
	return &c->caps;
}

uint32_t vfio_user_server_version(const struct vfio_user_client *c)
{
	return c->version;
}

int vfio_user_client_fd(const struct vfio_user_client *c)
{
	return c->conn.fd;
}

int vfio_user_client_twin_fd(const struct vfio_user_client *c)
{
	return c->twin.fd;
}

uint64_t vfio_user_messages_sent(const struct vfio_user_client *c)
{
	return c->messages_sent;
}

size_t client_max_xfer(const struct vfio_user_client *c)
{
	if (c->caps.max_data_xfer_size < CLIENT_MAX_XFER)
		return c->caps.max_data_xfer_size;
	return CLIENT_MAX_XFER;
}

ssize_t vfio_user_request(struct vfio_user_client *c, uint16_t command,
			  const struct iovec *req, int nr_req,
			  const int *fds, unsigned int nr_fds,
			  void *reply, size_t reply_size,
			  int *reply_fds, unsigned int *nr_reply_fds)
{
	unsigned int i, room = reply_fds ? *nr_reply_fds : 0;
	struct msg m;
	ssize_t ret;

	for (i = 0; i < room; i++)
		reply_fds[i] = -1;
	if (reply_fds)
		*nr_reply_fds = 0;

	ret = client_call(c, command, req, nr_req, fds, nr_fds, &m);
	if (ret)
		return ret;
	if (reply_fds && m.nr_fds > room)
		return client_violation(c, &m, "more fds than there is room");
	if (m.len > reply_size) {
		ret = -EMSGSIZE;
		goto close_fds;
	}

	if (m.len)
		memcpy(reply, m.payload, m.len);
	ret = m.len;
	for (i = 0; reply_fds && i < m.nr_fds; i++) {
		reply_fds[i] = m.fds[i];
		m.fds[i] = -1;
		*nr_reply_fds = i + 1;
	}

close_fds:
	msg_close_fds(&m);
	return ret;
}
