// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client's end of the socket, for tests: it sends whatever it is told to,
 * in pieces or many messages at once, with fds wherever they are wanted.
 *
 * It shares nothing with the daemon or the client library but the structures
 * of vfio_user.h, so that a mistake in their framing isn't made here, too. A
 * message is received by two reads, one for the header and one for the payload,
 * which end where it ends.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util.h"
#include "wire.h"

union wire_control {
	char buf[CMSG_SPACE(sizeof(int) * VFIO_USER_MAX_SCM_FDS)];
	struct cmsghdr align;
};

int wire_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock, ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	if (!connect(sock, (struct sockaddr *)&addr, sizeof(addr)))
		return sock;

	ret = -errno;
	close(sock);
	return ret;
}

struct vfio_user_header wire_header(uint16_t id, uint16_t command,
				    size_t payload)
{
	return (struct vfio_user_header){
		.id = id,
		.command = command,
		.size = sizeof(struct vfio_user_header) + payload,
		.flags = VFIO_USER_TYPE_COMMAND,
	};
}

void wire_put(uint8_t *buf, size_t *at, uint16_t id, uint16_t command,
	      const void *payload, size_t len)
{
	struct vfio_user_header header = wire_header(id, command, len);

	memcpy(buf + *at, &header, sizeof(header));
	if (len)
		memcpy(buf + *at + sizeof(header), payload, len);
	*at += sizeof(header) + len;
}

static void wire_attach(struct msghdr *mh, union wire_control *control,
			const int *fds, unsigned int nr_fds)
{
	struct cmsghdr *cmsg;

	memset(control, 0, sizeof(*control));
	mh->msg_control = control;
	mh->msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
	cmsg = CMSG_FIRSTHDR(mh);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
	memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nr_fds);
}

int wire_send(int sock, const void *buf, size_t len, const int *fds,
	      unsigned int nr_fds)
{
	struct iovec iov = { (void *)buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	union wire_control control;
	ssize_t n;

	if (nr_fds)
		wire_attach(&mh, &control, fds, nr_fds);
	while (iov.iov_len) {
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= n;
		mh.msg_control = NULL;
		mh.msg_controllen = 0;
	}
	return 0;
}

int wire_command(int sock, uint16_t id, uint16_t command, const void *payload,
		 size_t len, const int *fds, unsigned int nr_fds)
{
	uint8_t buf[sizeof(struct vfio_user_header) + WIRE_MAX_PAYLOAD];
	size_t at = 0;

	if (len > WIRE_MAX_PAYLOAD)
		return -EMSGSIZE;
	wire_put(buf, &at, id, command, payload, len);
	return wire_send(sock, buf, at, fds, nr_fds);
}

static int wire_take_fds(struct msghdr *mh, struct wire_reply *r)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(mh);
	size_t nr;

	if (mh->msg_flags & MSG_CTRUNC)
		return -EMFILE;
	if (!cmsg)
		return 0;
	nr = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	if (nr > VFIO_USER_MAX_SCM_FDS - r->nr_fds)
		return -EMFILE;
	memcpy(&r->fds[r->nr_fds], CMSG_DATA(cmsg), nr * sizeof(int));
	r->nr_fds += nr;
	return 0;
}

/* Exactly @len bytes: 1, or 0 if the other side closed before the first. */
static int wire_take(int sock, void *buf, size_t len, struct wire_reply *r)
{
	struct iovec iov = { buf, len };
	union wire_control control;
	struct pollfd wait = { .fd = sock, .events = POLLIN };
	ssize_t n;
	int ret;

	while (iov.iov_len) {
		struct msghdr mh = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};

		if (poll(&wait, 1, WIRE_TIMEOUT_MS) <= 0)
			return -ETIMEDOUT;
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
		if (n < 0)
			return -errno;
		if (n == 0)
			return iov.iov_len == len ? 0 : -ECONNRESET;
		ret = wire_take_fds(&mh, r);
		if (ret)
			return ret;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= n;
	}
	return 1;
}

int wire_recv(int sock, struct wire_reply *r)
{
	int ret;

	r->nr_fds = 0;
	r->len = 0;
	ret = wire_take(sock, &r->header, sizeof(r->header), r);
	if (ret <= 0)
		return ret;
	if (r->header.size < sizeof(r->header) ||
	    r->header.size - sizeof(r->header) > WIRE_MAX_PAYLOAD)
		return -EMSGSIZE;
	r->len = r->header.size - sizeof(r->header);
	ret = wire_take(sock, r->payload, r->len, r);
	return ret ? ret : -ECONNRESET;
}

void wire_close_fds(struct wire_reply *r)
{
	while (r->nr_fds)
		close(r->fds[--r->nr_fds]);
}

static int (*on_command)(int sock, struct wire_reply *command, void *arg);
static void *on_command_arg;

void wire_on_command(int (*fn)(int sock, struct wire_reply *command, void *arg),
		     void *arg)
{
	on_command = fn;
	on_command_arg = arg;
}

/* The next message that on_command doesn't take; as wire_recv(). */
static int wire_recv_reply(int sock, struct wire_reply *r)
{
	int ret;

	for (;;) {
		ret = wire_recv(sock, r);
		if (ret <= 0 || !on_command ||
		    (r->header.flags & VFIO_USER_TYPE_MASK) !=
		    VFIO_USER_TYPE_COMMAND)
			return ret;
		ret = on_command(sock, r, on_command_arg);
		if (ret)
			return ret;
	}
}

int wire_expect(int sock, uint16_t id, uint16_t command, struct wire_reply *r)
{
	uint32_t flags;
	int ret;

	ret = wire_recv_reply(sock, r);
	if (ret < 0)
		return ret;
	if (!ret)
		return -EPIPE;

	flags = r->header.flags;
	if (r->header.id != id || r->header.command != command ||
	    (flags & ~VFIO_USER_FLAG_ERROR) != VFIO_USER_TYPE_REPLY)
		return -EPROTO;
	if (!(flags & VFIO_USER_FLAG_ERROR))
		return r->header.error ? -EPROTO : 0;
	if (r->len || r->nr_fds || !r->header.error)
		return -EPROTO;
	return r->header.error;
}

int wire_call_fds(int sock, uint16_t command, const void *payload, size_t len,
		  const int *fds, unsigned int nr_fds, struct wire_reply *r)
{
	static uint16_t last_id = 0xff00;
	uint16_t id = ++last_id;
	int ret;

	r->nr_fds = 0;
	ret = wire_command(sock, id, command, payload, len, fds, nr_fds);
	return ret ? ret : wire_expect(sock, id, command, r);
}

int wire_call(int sock, uint16_t command, const void *payload, size_t len,
	      struct wire_reply *r)
{
	return wire_call_fds(sock, command, payload, len, NULL, 0, r);
}

bool wire_closed(int sock)
{
	struct pollfd wait = { .fd = sock, .events = POLLIN };
	char byte;

	/* A reset is what a server leaves that closed with our data unread. */
	return poll(&wait, 1, WIRE_TIMEOUT_MS) == 1 &&
	       (recv(sock, &byte, 1, 0) == 0 || errno == ECONNRESET);
}

bool wire_quiet(int sock)
{
	char byte;

	return recv(sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       errno == EAGAIN;
}

/* For commands whose reply is @want bytes long and has no fds. */
static int wire_call_plain(int sock, uint16_t command, const void *payload,
			   size_t len, size_t want, struct wire_reply *r)
{
	int ret = wire_call(sock, command, payload, len, r);

	if (ret)
		return ret;
	if (r->len == want && !r->nr_fds)
		return 0;
	wire_close_fds(r);
	return -EPROTO;
}

int wire_version(int sock, const char *json, struct wire_reply *r)
{
	size_t len = json ? strlen(json) + 1 : 0;
	uint8_t payload[sizeof(struct vfio_user_version) + 4096];
	struct vfio_user_version version = {
		.major = VFIO_USER_MAJOR,
		.minor = VFIO_USER_MINOR,
	};

	if (len > 4096)
		return -EMSGSIZE;
	memcpy(payload, &version, sizeof(version));
	if (len)
		memcpy(payload + sizeof(version), json, len);
	return wire_call(sock, VFIO_USER_VERSION, payload,
			 sizeof(version) + len, r);
}

int wire_map(int sock, uint64_t iova, uint64_t size, uint32_t flags, int fd,
	     uint64_t offset)
{
	struct vfio_user_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.offset = offset,
		.address = iova,
		.size = size,
	};
	struct wire_reply r;
	int ret;

	ret = wire_call_fds(sock, VFIO_USER_DMA_MAP, &map, sizeof(map), &fd,
			    fd >= 0, &r);
	return ret ? ret : r.len || r.nr_fds ? -EPROTO : 0;
}

int wire_unmap(int sock, uint64_t iova, uint64_t size, uint32_t flags)
{
	struct vfio_user_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = flags,
		.address = iova,
		.size = size,
	};
	struct wire_reply r;
	int ret;

	ret = wire_call_plain(sock, VFIO_USER_DMA_UNMAP, &unmap, sizeof(unmap),
			      sizeof(unmap), &r);
	if (ret)
		return ret;
	return memcmp(r.payload, &unmap, sizeof(unmap)) ? -EPROTO : 0;
}

int wire_info(int sock, struct vfio_user_device_info *info)
{
	struct vfio_user_device_info request = { .argsz = sizeof(request) };
	struct wire_reply r;
	int ret;

	ret = wire_call_plain(sock, VFIO_USER_DEVICE_GET_INFO, &request,
			      sizeof(request), sizeof(*info), &r);
	if (!ret)
		memcpy(info, r.payload, sizeof(*info));
	return ret;
}

int wire_region_info(int sock, uint32_t index, uint32_t argsz,
		     struct wire_reply *r)
{
	struct vfio_user_region_info request = {
		.argsz = argsz,
		.index = index,
	};

	return wire_call(sock, VFIO_USER_DEVICE_GET_REGION_INFO, &request,
			 sizeof(request), r);
}

int wire_irq_info(int sock, uint32_t index, struct vfio_user_irq_info *info)
{
	struct vfio_user_irq_info request = {
		.argsz = sizeof(request),
		.index = index,
	};
	struct wire_reply r;
	int ret;

	ret = wire_call_plain(sock, VFIO_USER_DEVICE_GET_IRQ_INFO, &request,
			      sizeof(request), sizeof(*info), &r);
	if (!ret)
		memcpy(info, r.payload, sizeof(*info));
	return ret;
}

/* Is the reply to an access one to this access? */
static int wire_check_access(const struct wire_reply *r,
			     const struct vfio_user_region_access *request,
			     bool data, uint32_t *done)
{
	struct vfio_user_region_access reply;

	if (r->len < sizeof(reply) || r->nr_fds)
		return -EPROTO;
	memcpy(&reply, r->payload, sizeof(reply));
	if (reply.offset != request->offset ||
	    reply.region != request->region ||
	    reply.count > request->count ||
	    r->len != sizeof(reply) + (data ? reply.count : 0))
		return -EPROTO;
	if (done)
		*done = reply.count;
	else if (reply.count != request->count)
		return -EPROTO;
	return 0;
}

int wire_read(int sock, uint32_t region, uint64_t offset, void *buf,
	      uint32_t count, uint32_t *done)
{
	struct vfio_user_region_access request = {
		.offset = offset,
		.region = region,
		.count = count,
	};
	struct wire_reply r;
	int ret;

	ret = wire_call(sock, VFIO_USER_REGION_READ, &request, sizeof(request),
			&r);
	if (!ret)
		ret = wire_check_access(&r, &request, true, done);
	if (!ret)
		memcpy(buf, r.payload + sizeof(request),
		       r.len - sizeof(request));
	return ret;
}

int wire_write(int sock, uint32_t region, uint64_t offset, const void *buf,
	       uint32_t count, uint32_t *done)
{
	uint8_t payload[WIRE_MAX_PAYLOAD];
	struct vfio_user_region_access request = {
		.offset = offset,
		.region = region,
		.count = count,
	};
	struct wire_reply r;
	int ret;

	if (count > sizeof(payload) - sizeof(request))
		return -EMSGSIZE;
	memcpy(payload, &request, sizeof(request));
	memcpy(payload + sizeof(request), buf, count);
	ret = wire_call(sock, VFIO_USER_REGION_WRITE, payload,
			sizeof(request) + count, &r);
	return ret ? ret : wire_check_access(&r, &request, false, done);
}

int wire_reset(int sock)
{
	struct wire_reply r;

	return wire_call_plain(sock, VFIO_USER_DEVICE_RESET, NULL, 0, 0, &r);
}

int wire_set_irqs(int sock, uint32_t flags, uint32_t index, uint32_t start,
		  uint32_t count, const void *data, size_t len,
		  const int *fds, unsigned int nr_fds)
{
	uint8_t payload[sizeof(struct vfio_user_irq_set) + 4096];
	struct vfio_user_irq_set set = {
		.argsz = sizeof(set) + len,
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
	};
	struct wire_reply r;
	int ret;

	if (len > 4096)
		return -EMSGSIZE;
	memcpy(payload, &set, sizeof(set));
	if (len)
		memcpy(payload + sizeof(set), data, len);
	ret = wire_call_fds(sock, VFIO_USER_DEVICE_SET_IRQS, payload,
			    sizeof(set) + len, fds, nr_fds, &r);
	return ret ? ret : r.len || r.nr_fds ? -EPROTO : 0;
}
