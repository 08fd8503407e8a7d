// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client's end of a vfio-user socket.
 *
 * One command at a time: client_call() sends it, waits for its reply, and
 * checks what all replies have in common; the functions that others call add
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
 * The server may send commands of its own (DMA_READ, DMA_WRITE) at any time.
 * This client's memory is reached through the fds that it maps, so those
 * commands are answered with EOPNOTSUPP, and the number of them that is
 * suffered while a reply is due is limited.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client.h"
#include "log.h"
#include "msg.h"

/* The most data that one message carries, whatever the server would take. */
#define CLIENT_MAX_XFER		VFIO_USER_DEF_MAX_XFER
/* Room for the largest fixed payload beside that data, and for VERSION. */
#define CLIENT_MAX_MSG		(CLIENT_MAX_XFER + 4096)
/* The smallest reply with an fd: a region's description. */
#define CLIENT_FD_MIN		(sizeof(struct vfio_user_header) + \
				 sizeof(struct vfio_user_region_info))
/* The longest description of a region that is believed, in bytes. */
#define CLIENT_MAX_REGION_INFO	(64 * 1024)
/* The most regions or interrupt indexes that a device is believed to have. */
#define CLIENT_MAX_INDEXES	4096
/* How many commands of the server's may come while a reply is due. */
#define CLIENT_MAX_STRAYS	64
/* The largest errno that an error reply is believed to mean. */
#define CLIENT_MAX_ERRNO	4095

#define CLIENT_TIMEOUT_MS	30000

/**
 * struct vfio_user_client - a connection to a server
 * @conn: the socket and its buffers
 * @caps: what the server said of itself
 * @version: negotiated, major << 16 | minor
 * @max_msg_fds: most fds to send in one message
 * @messages_sent: commands since the connection was made
 * @id: of the last command
 * @broken: 0, or what every further call fails with
 */
struct vfio_user_client {
	struct msg_conn conn;
	struct vfio_user_caps caps;
	uint32_t version;
	uint32_t max_msg_fds;
	uint64_t messages_sent;
	uint16_t id;
	int broken;
};

/* Nothing more can come of this connection, because of @err. */
static int client_break(struct vfio_user_client *c, int err)
{
	c->broken = err == -EPROTO ? -EPROTO : -ECONNRESET;
	shutdown(c->conn.fd, SHUT_RDWR);
	return err;
}

/* The server broke the protocol with the message @m. */
static int client_violation(struct vfio_user_client *c, struct msg *m,
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

/* Answer a command of the server's. */
static int client_refuse(struct vfio_user_client *c, struct msg *m)
{
	struct vfio_user_header *header;

	msg_close_fds(m);
	if (m->header.flags & VFIO_USER_FLAG_NO_REPLY)
		return 0;
	header = msg_reserve(&c->conn, 0);
	if (!header)
		return client_break(c, -errno);

	*header = (struct vfio_user_header) {
		.id = m->header.id,
		.command = m->header.command,
		.size = sizeof(*header),
		.flags = VFIO_USER_TYPE_REPLY | VFIO_USER_FLAG_ERROR,
		.error = EOPNOTSUPP,
	};
	return msg_commit(&c->conn, NULL, 0);
}

static int client_recv(struct vfio_user_client *c, struct msg *m)
{
	int ret, strays;

	for (strays = 0; strays <= CLIENT_MAX_STRAYS; strays++) {
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
			ret = client_refuse(c, m);
			if (ret)
				return ret;
			break;
		default:
			return client_violation(c, m, "an unknown type");
		}
	}
	return client_violation(c, m, "come instead of a reply once too often");
}

/*
 * Send a command and wait for its reply. On success @m is a reply to this
 * command that isn't an error; its payload is valid until the next call, and
 * its fds are the caller's. On error no fds are left.
 */
static int client_call(struct vfio_user_client *c, uint16_t command,
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

/*
 * The usual command: one structure there, one or none back, no fds back.
 * The reply must have the length of @reply, which then holds it.
 */
static int client_exchange(struct vfio_user_client *c, uint16_t command,
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

/* Set the socket's time-outs, which hold for connecting, too. */
static int client_set_timeout(int fd, const struct vfio_user_client_opts *opts)
{
	int ms = opts && opts->timeout_ms ? opts->timeout_ms :
		CLIENT_TIMEOUT_MS;
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

static int client_check_version(struct vfio_user_client *c, struct msg *m)
{
	struct vfio_user_version version;
	int ret;

	if (m->nr_fds)
		return client_violation(c, m, "fds that nobody asked for");
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
	if (ret)
		return ret;
	c->version = (uint32_t)version.major << 16 | version.minor;
	return 0;
}

/* What this client says of itself; to be freed with free(3). */
static char *client_caps(void)
{
	struct vfio_user_caps caps;

	caps_default(&caps);
	caps.max_msg_fds = VFIO_USER_MAX_SCM_FDS;
	caps.max_data_xfer_size = CLIENT_MAX_XFER;
	return caps_format(&caps);
}

static int client_negotiate(struct vfio_user_client *c, const char *data)
{
	struct vfio_user_version version = {
		.major = VFIO_USER_MAJOR,
		.minor = VFIO_USER_MINOR,
	};
	char *usual = NULL;
	struct iovec iov[2];
	struct msg m;
	int ret;

	if (!data) {
		usual = client_caps();
		if (!usual)
			return -ENOMEM;
		data = usual;
	}
	iov[0] = (struct iovec) { &version, sizeof(version) };
	iov[1] = (struct iovec) { (char *)data, strlen(data) + 1 };

	ret = client_call(c, VFIO_USER_VERSION, iov, 2, NULL, 0, &m);
	if (!ret)
		ret = client_check_version(c, &m);
	free(usual);
	return ret;
}

int vfio_user_connect_fd(int fd, const struct vfio_user_client_opts *opts,
			 struct vfio_user_client **out)
{
	struct vfio_user_client *c;
	int ret;

	ret = client_set_timeout(fd, opts);
	if (ret)
		goto close_socket;
	c = calloc(1, sizeof(*c));
	if (!c) {
		ret = -ENOMEM;
		goto close_socket;
	}
	ret = msg_conn_init(&c->conn, fd, CLIENT_MAX_MSG, CLIENT_FD_MIN);
	if (ret)
		goto free_client;

	ret = client_negotiate(c, opts ? opts->version_data : NULL);
	if (ret)
		goto exit_conn;
	c->max_msg_fds = c->caps.max_msg_fds;
	if (opts && opts->max_msg_fds && opts->max_msg_fds < c->max_msg_fds)
		c->max_msg_fds = opts->max_msg_fds;
	*out = c;
	return 0;

exit_conn:
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
	ret = client_set_timeout(fd, opts);
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
	msg_conn_exit(&c->conn);
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

uint64_t vfio_user_messages_sent(const struct vfio_user_client *c)
{
	return c->messages_sent;
}

int vfio_user_device_info(struct vfio_user_client *c,
			  struct vfio_user_device_info *info)
{
	struct vfio_user_device_info req = { .argsz = sizeof(req) };
	int ret;

	ret = client_exchange(c, VFIO_USER_DEVICE_GET_INFO, &req, sizeof(req),
			      info, sizeof(*info));
	if (ret)
		return ret;
	if (info->argsz < sizeof(*info) ||
	    info->num_regions > CLIENT_MAX_INDEXES ||
	    info->num_irqs > CLIENT_MAX_INDEXES) {
		log_debug("the server describes a device with argsz %u, %u regions, %u interrupts",
			  info->argsz, info->num_regions, info->num_irqs);
		return client_break(c, -EPROTO);
	}
	return 0;
}

/* Is the sparse mmap capability at @offset sound? */
static bool region_sparse_ok(const struct vfio_user_region_info *info,
			     uint32_t offset)
{
	const struct vfio_user_cap_sparse_mmap *cap = (const void *)
		((const char *)info + offset);
	uint32_t i;

	if (!range_within(offset, sizeof(*cap), info->argsz) ||
	    cap->nr_areas > (info->argsz - offset - sizeof(*cap)) /
			    sizeof(cap->areas[0]))
		return false;
	for (i = 0; i < cap->nr_areas; i++) {
		if (!range_within(cap->areas[i].offset, cap->areas[i].size,
				  info->size))
			return false;
	}
	return true;
}

/* Does each capability lie inside and after the one before? */
static bool region_caps_ok(const struct vfio_user_region_info *info)
{
	uint32_t offset = info->cap_offset;
	uint64_t end = sizeof(*info);

	while (offset) {
		const struct vfio_user_cap_header *cap = (const void *)
			((const char *)info + offset);

		if (offset < end ||
		    !range_within(offset, sizeof(*cap), info->argsz))
			return false;
		if (cap->id == VFIO_USER_REGION_CAP_SPARSE_MMAP &&
		    !region_sparse_ok(info, offset))
			return false;
		if (cap->id == VFIO_USER_REGION_CAP_TYPE &&
		    !range_within(offset, sizeof(struct vfio_user_cap_type),
				  info->argsz))
			return false;
		end = (uint64_t)offset + sizeof(*cap);
		offset = cap->next;
	}
	return true;
}

/* Offsets in a file, and so the sizes of what is mapped, are signed. */
static bool region_size_ok(const struct vfio_user_region_info *info)
{
	if (!(info->flags & VFIO_USER_REGION_FLAG_MMAP))
		return info->size <= INT64_MAX;
	return range_within(info->offset, info->size, INT64_MAX);
}

/*
 * Ask for a region's description with room for @argsz bytes. On success @m has
 * the fixed part at least, and @need is how much the server would have said.
 */
static int region_ask(struct vfio_user_client *c, uint32_t index,
		      uint32_t argsz, struct msg *m, uint32_t *need)
{
	struct vfio_user_region_info info = { .argsz = argsz, .index = index };
	struct iovec iov = { &info, sizeof(info) };
	int ret;

	ret = client_call(c, VFIO_USER_DEVICE_GET_REGION_INFO, &iov, 1,
			  NULL, 0, m);
	if (ret)
		return ret;
	if (m->len < sizeof(info) || m->len > argsz)
		return client_violation(c, m, "a payload of the wrong length");
	memcpy(&info, m->payload, sizeof(info));
	if (info.index != index)
		return client_violation(c, m, "another region's index");
	if (info.argsz < sizeof(info) || info.argsz > CLIENT_MAX_REGION_INFO)
		return client_violation(c, m, "an impossible argsz");

	*need = info.argsz;
	return 0;
}

/* Copy the description in @m, check the copy, and take the fd. */
static int region_take(struct vfio_user_client *c, struct msg *m,
		       struct vfio_user_region_info **out, int *fd)
{
	struct vfio_user_region_info *info = malloc(m->len);
	const char *wrong = NULL;
	unsigned int want;

	if (!info) {
		msg_close_fds(m);
		return -ENOMEM;
	}
	memcpy(info, m->payload, m->len);
	if (!(info->flags & VFIO_USER_REGION_FLAG_CAPS))
		info->cap_offset = 0;
	want = info->flags & VFIO_USER_REGION_FLAG_MMAP ? 1 : 0;

	if (info->argsz > m->len)
		wrong = "less than its argsz says";
	else if (!region_size_ok(info))
		wrong = "an impossible size or offset";
	else if (!region_caps_ok(info))
		wrong = "malformed region capabilities";
	else if (m->nr_fds != want)
		wrong = "the wrong number of fds";
	if (wrong) {
		free(info);
		return client_violation(c, m, wrong);
	}

	if (fd) {
		*fd = want ? m->fds[0] : -1;
		m->fds[0] = -1;
	}
	msg_close_fds(m);
	*out = info;
	return 0;
}

int vfio_user_region_info(struct vfio_user_client *c, uint32_t index,
			  struct vfio_user_region_info **info, int *fd)
{
	struct msg m;
	uint32_t need;
	int ret;

	ret = region_ask(c, index, sizeof(**info), &m, &need);
	if (ret)
		return ret;
	if (need > sizeof(**info)) {
		msg_close_fds(&m);
		ret = region_ask(c, index, need, &m, &need);
		if (ret)
			return ret;
	}
	return region_take(c, &m, info, fd);
}

const struct vfio_user_cap_header *
vfio_user_region_cap(const struct vfio_user_region_info *info, uint16_t id)
{
	uint32_t offset = info->cap_offset;

	while (offset) {
		const struct vfio_user_cap_header *cap = (const void *)
			((const char *)info + offset);

		if (cap->id == id)
			return cap;
		offset = cap->next;
	}
	return NULL;
}

int vfio_user_irq_info(struct vfio_user_client *c, uint32_t index,
		       struct vfio_user_irq_info *info)
{
	struct vfio_user_irq_info req = {
		.argsz = sizeof(req),
		.index = index,
	};
	int ret;

	ret = client_exchange(c, VFIO_USER_DEVICE_GET_IRQ_INFO,
			      &req, sizeof(req), info, sizeof(*info));
	if (ret)
		return ret;
	if (info->argsz < sizeof(*info) || info->index != index) {
		log_debug("the server answers for interrupt %u with argsz %u, index %u",
			  index, info->argsz, info->index);
		return client_break(c, -EPROTO);
	}
	return 0;
}

/* One message: @size bytes at @data, or @nr_fds fds. */
static int irq_send(struct vfio_user_client *c,
		    const struct vfio_user_irq_set *set,
		    const void *data, size_t size,
		    const int *fds, unsigned int nr_fds)
{
	struct vfio_user_irq_set req = *set;
	struct iovec iov[] = {
		{ &req, sizeof(req) },
		{ (void *)data, size },
	};
	struct msg m;
	int ret;

	if (size > CLIENT_MAX_XFER)
		return -EMSGSIZE;
	req.argsz = sizeof(req) + size;
	ret = client_call(c, VFIO_USER_DEVICE_SET_IRQS, iov, size ? 2 : 1,
			  fds, nr_fds, &m);
	if (ret)
		return ret;
	if (m.nr_fds || m.len)
		return client_violation(c, &m, "a payload or fds, and should have none");
	return 0;
}

/* How many of the first @count of @fds go into one message. */
static uint32_t irq_run(const struct vfio_user_client *c, const int *fds,
			uint32_t count)
{
	bool present = fds[0] >= 0;
	uint32_t n;

	for (n = 1; n < count && (fds[n] >= 0) == present; n++) {
		if (present && n == c->max_msg_fds)
			break;
	}
	return n;
}

static int irq_set_eventfds(struct vfio_user_client *c,
			    const struct vfio_user_irq_set *set,
			    const int *fds)
{
	uint32_t done = 0;

	while (done < set->count) {
		struct vfio_user_irq_set run = *set;
		int ret;

		run.start = set->start + done;
		run.count = irq_run(c, fds + done, set->count - done);
		ret = irq_send(c, &run, NULL, 0, fds + done,
			       fds[done] >= 0 ? run.count : 0);
		if (ret)
			return ret;
		done += run.count;
	}
	return 0;
}

int vfio_user_irq_set(struct vfio_user_client *c, uint32_t flags,
		      uint32_t index, uint32_t start, uint32_t count,
		      const void *data)
{
	struct vfio_user_irq_set set = {
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
	};
	uint32_t type = flags & VFIO_USER_IRQ_SET_DATA_MASK;

	if (type == VFIO_USER_IRQ_SET_DATA_NONE || !count)
		return irq_send(c, &set, NULL, 0, NULL, 0);
	if (count > UINT32_MAX - start || !data)
		return -EINVAL;
	if (type == VFIO_USER_IRQ_SET_DATA_BOOL)
		return irq_send(c, &set, data, count, NULL, 0);
	if (type == VFIO_USER_IRQ_SET_DATA_EVENTFD)
		return irq_set_eventfds(c, &set, data);
	return -EINVAL;
}

/* Bytes of an access that go into one message. */
static size_t client_max_xfer(const struct vfio_user_client *c)
{
	if (c->caps.max_data_xfer_size < CLIENT_MAX_XFER)
		return c->caps.max_data_xfer_size;
	return CLIENT_MAX_XFER;
}

/*
 * One READ or WRITE. On success @m is the reply, whose structure is checked
 * but for its length; returns the count in it.
 */
static ssize_t region_access(struct vfio_user_client *c, uint16_t command,
			     const struct vfio_user_region_access *req,
			     const void *data, struct msg *m)
{
	struct vfio_user_region_access reply;
	struct iovec iov[] = {
		{ (void *)req, sizeof(*req) },
		{ (void *)data, req->count },
	};
	int ret;

	ret = client_call(c, command, iov, data ? 2 : 1, NULL, 0, m);
	if (ret)
		return ret;
	if (m->nr_fds)
		return client_violation(c, m, "fds that nobody asked for");
	if (m->len < sizeof(reply))
		return client_violation(c, m, "a payload of the wrong length");
	memcpy(&reply, m->payload, sizeof(reply));
	if (reply.offset != req->offset || reply.region != req->region)
		return client_violation(c, m, "another access's place");
	if (reply.count > req->count)
		return client_violation(c, m, "a count above what was asked");
	return reply.count;
}

static ssize_t region_read_some(struct vfio_user_client *c,
				const struct vfio_user_region_access *req,
				void *buf)
{
	struct msg m;
	ssize_t n;

	n = region_access(c, VFIO_USER_REGION_READ, req, NULL, &m);
	if (n < 0)
		return n;
	if (m.len != sizeof(*req) + n)
		return client_violation(c, &m, "a payload of the wrong length");

	memcpy(buf, (char *)m.payload + sizeof(*req), n);
	return n;
}

static ssize_t region_write_some(struct vfio_user_client *c,
				 const struct vfio_user_region_access *req,
				 const void *buf)
{
	struct msg m;
	ssize_t n;

	n = region_access(c, VFIO_USER_REGION_WRITE, req, buf, &m);
	if (n < 0)
		return n;
	if (m.len != sizeof(*req))
		return client_violation(c, &m, "a payload of the wrong length");
	return n;
}

/* Read into @in, or else write from @out, in as many messages as it takes. */
static ssize_t region_transfer(struct vfio_user_client *c, uint32_t index,
			       uint64_t offset, void *in, const void *out,
			       size_t count)
{
	size_t done = 0;
	uint64_t end;

	if (count > SSIZE_MAX || add_overflows(offset, count, &end))
		return -EINVAL;

	while (done < count) {
		struct vfio_user_region_access req = {
			.offset = offset + done,
			.region = index,
			.count = min(count - done, client_max_xfer(c)),
		};
		ssize_t n;

		if (in)
			n = region_read_some(c, &req, (char *)in + done);
		else
			n = region_write_some(c, &req,
					      (const char *)out + done);
		if (n < 0)
			return done ? (ssize_t)done : n;
		done += n;
		if (n < req.count)
			break;
	}
	return done;
}

ssize_t vfio_user_region_read(struct vfio_user_client *c, uint32_t index,
			      uint64_t offset, void *buf, size_t count)
{
	return region_transfer(c, index, offset, buf, NULL, count);
}

ssize_t vfio_user_region_write(struct vfio_user_client *c, uint32_t index,
			       uint64_t offset, const void *buf, size_t count)
{
	return region_transfer(c, index, offset, NULL, buf, count);
}

int vfio_user_dma_map(struct vfio_user_client *c, uint64_t iova, uint64_t size,
		      int fd, uint64_t offset, uint32_t flags)
{
	struct vfio_user_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.offset = offset,
		.address = iova,
		.size = size,
	};
	struct iovec iov = { &map, sizeof(map) };
	struct msg m;
	int ret;

	ret = client_call(c, VFIO_USER_DMA_MAP, &iov, 1, &fd, fd >= 0 ? 1 : 0,
			  &m);
	if (ret)
		return ret;
	if (m.nr_fds || m.len)
		return client_violation(c, &m, "a payload or fds, and should have none");
	return 0;
}

static int client_unmap(struct vfio_user_client *c,
			struct vfio_user_dma_unmap req)
{
	struct vfio_user_dma_unmap reply;
	int ret;

	ret = client_exchange(c, VFIO_USER_DMA_UNMAP, &req, sizeof(req),
			      &reply, sizeof(reply));
	if (ret)
		return ret;
	if (reply.address != req.address || reply.size != req.size) {
		log_debug("the server unmapped something else");
		return client_break(c, -EPROTO);
	}
	return 0;
}

int vfio_user_dma_unmap(struct vfio_user_client *c, uint64_t iova,
			uint64_t size)
{
	return client_unmap(c, (struct vfio_user_dma_unmap) {
		.argsz = sizeof(struct vfio_user_dma_unmap),
		.address = iova,
		.size = size,
	});
}

int vfio_user_dma_unmap_all(struct vfio_user_client *c)
{
	return client_unmap(c, (struct vfio_user_dma_unmap) {
		.argsz = sizeof(struct vfio_user_dma_unmap),
		.flags = VFIO_USER_DMA_UNMAP_ALL,
	});
}

int vfio_user_reset(struct vfio_user_client *c)
{
	struct msg m;
	int ret;

	ret = client_call(c, VFIO_USER_DEVICE_RESET, NULL, 0, NULL, 0, &m);
	if (ret)
		return ret;
	if (m.nr_fds || m.len)
		return client_violation(c, &m, "a payload or fds, and should have none");
	return 0;
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
