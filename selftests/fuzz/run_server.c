// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hostile bridges, for the preload library.
 *
 * They live in the library's own thread: when the library waits for its socket
 * (fuzz_recvmsg(), fuzz_poll()), what it has sent is answered first. So an input
 * always does the same thing, nobody has to be waited for, and a bridge that
 * says nothing costs no time: the wait is over at once, as if its time were up.
 *
 * An answer is right in all that the input doesn't make wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "hooks.h"
#include "run_fuzz.h"
#include "tools/vfio-user-run/run.h"
#include "vfio_user.h"

/* Room for a message; a region's accesses are no larger. */
#define MAX_MESSAGE	(128 * 1024)
/* Where the servers' fds are: not among the program's, nor the library's own. */
#define SERVER_FDS	400
/* Up to here an answer is right. */
#define HOW_RIGHT	0xe0
/* Bytes that a device can save, before it has no more. */
#define STREAM_SIZE	0x3000

/* What is wrong with an answer. */
enum wrong {
	WRONG_ERROR,
	WRONG_HANG_UP,
	WRONG_SILENCE,
	WRONG_ID,
	WRONG_COMMAND,
	WRONG_MORE_FDS,
	WRONG_NO_FDS,
	WRONG_SHORTER,
	WRONG_LONGER,
	WRONG_BYTES,
	WRONG_WORD,
	WRONG_COMMAND_FIRST,
	WRONG_FLAGS,
	WRONG_SIZE,
	WRONG_TWICE,
	WRONG_RAW,
};

/**
 * struct server - a bridge
 * @listener: what the library connects to
 * @conn: what it has connected, or -1
 * @in: what it has sent and wasn't answered
 * @in_len: bytes of @in
 * @state: migration state
 * @sent: bytes of the migration stream
 */
struct server {
	int listener;
	int conn;
	uint8_t in[MAX_MESSAGE];
	size_t in_len;
	uint32_t state;
	uint32_t sent;
};

/**
 * struct answer - a reply in the making
 * @header: of the reply
 * @payload: what follows
 * @len: bytes of @payload
 * @nr_fds: how many fds go with it
 */
struct answer {
	struct vfio_user_header header;
	uint8_t payload[MAX_MESSAGE];
	size_t len;
	unsigned int nr_fds;
};

static struct server servers[NR_SERVERS];
static struct fuzz *input;
static bool trusted;
static int bar_fd;
static char directory[32];

static void answer_version(struct answer *a)
{
	static const char *const texts[] = {
		"{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":65536,\"pgsizes\":4096}}",
		"{}",
		"{\"capabilities\":{\"max_msg_fds\":1,\"max_data_xfer_size\":16}}",
		"{\"capabilities\":{\"max_dma_maps\":3,\"pgsizes\":4096,\"write_multiple\":true}}",
		"{\"capabilities\":{\"pgsizes\":2097152}}",
		"{\"capabilities\":{\"iova_ranges\":[[0,65535],[1048576,4294967295]]}}",
		"{\"capabilities\":{\"iova_ranges\":[[8192,4294967295]],\"migration\":{\"pgsize\":4096}}}",
		"{\"capabilities\":{\"max_dma_maps\":0}}",
	};
	struct vfio_user_version version = {
		VFIO_USER_MAJOR, VFIO_USER_MINOR
	};
	const char *text = texts[fuzz_u8(input) % ARRAY_SIZE(texts)];

	memcpy(a->payload, &version, sizeof(version));
	strcpy((char *)a->payload + sizeof(version), text);
	a->len = sizeof(version) + strlen(text) + 1;
}

static void answer_region(struct answer *a, const void *payload)
{
	static const struct {
		struct vfio_user_region_info info;
		struct vfio_user_cap_sparse_mmap cap;
		struct vfio_user_sparse_area areas[1];
	} __attribute__((packed)) sparse = {
		.info = {
			.argsz = sizeof(sparse), .index = 2, .size = 0x4000,
			.flags = 0xf, .cap_offset = sizeof(sparse.info),
			.offset = 0x4000,
		},
		.cap = {
			.header = { .id = VFIO_USER_REGION_CAP_SPARSE_MMAP,
				    .version = 1 },
			.nr_areas = 1,
		},
		.areas = { { 0x1000, 0x1000 } },
	};
	struct vfio_user_region_info info, *out = (void *)a->payload;

	memcpy(&info, payload, sizeof(info));
	*out = (struct vfio_user_region_info){
		.argsz = sizeof(*out), .index = info.index, .flags = 3,
		.size = info.index == 7 ? 4096 : info.index < 6 ? 0x2000 : 0,
	};
	a->len = sizeof(*out);
	if (info.index == 2) {
		a->len = min((size_t)info.argsz, sizeof(sparse));
		a->len = max(a->len, sizeof(info));
		memcpy(a->payload, &sparse, a->len);
	} else if (!info.index) {
		out->flags |= VFIO_USER_REGION_FLAG_MMAP;
	}
	a->nr_fds = out->flags & VFIO_USER_REGION_FLAG_MMAP ? 1 : 0;
}

static void answer_feature(struct server *s, struct answer *a,
			   const uint8_t *payload, size_t len)
{
	struct vfio_user_device_feature feature;
	uint32_t state;

	memcpy(&feature, payload, sizeof(feature));
	memcpy(a->payload, payload, len);
	a->len = len;
	if (feature.flags & VFIO_USER_FEATURE_PROBE)
		return;
	switch (feature.flags & VFIO_USER_FEATURE_MASK) {
	case VFIO_USER_FEATURE_MIGRATION:
		memset(a->payload + sizeof(feature), 7, 1);
		a->len = sizeof(feature) + 8;
		break;
	case VFIO_USER_FEATURE_MIG_DEVICE_STATE:
		if (feature.flags & VFIO_USER_FEATURE_SET &&
		    len >= sizeof(feature) + sizeof(state)) {
			memcpy(&s->state, payload + sizeof(feature),
			       sizeof(state));
			s->sent = 0;
		}
		memcpy(a->payload + sizeof(feature), &s->state, sizeof(state));
		a->len = sizeof(feature) + 8;
		break;
	case VFIO_USER_FEATURE_DMA_LOGGING_REPORT:
		a->len = min((size_t)feature.argsz, sizeof(a->payload));
		memset(a->payload + len, 0x55, a->len - min(len, a->len));
		break;
	}
	memcpy(a->payload, &a->len, sizeof(uint32_t));
}

static void answer_stream(struct server *s, struct answer *a,
			  const void *payload)
{
	struct vfio_user_mig_data data;

	memcpy(&data, payload, sizeof(data));
	data.size = min(data.size, STREAM_SIZE - s->sent);
	data.argsz = sizeof(data) + data.size;
	s->sent += data.size;
	memcpy(a->payload, &data, sizeof(data));
	memset(a->payload + sizeof(data), 0x5a, data.size);
	a->len = sizeof(data) + data.size;
}

static void answer_access(struct answer *a, const void *payload, bool read)
{
	struct vfio_user_region_access access;

	memcpy(&access, payload, sizeof(access));
	memcpy(a->payload, &access, sizeof(access));
	a->len = sizeof(access);
	if (!read || access.count > MAX_MESSAGE - sizeof(access))
		return;
	memset(a->payload + sizeof(access), 0xa5, access.count);
	a->len += access.count;
}

/* The least that a command's payload has. */
static size_t least(unsigned int command)
{
	switch (command) {
	case VFIO_USER_DEVICE_GET_REGION_INFO:
		return sizeof(struct vfio_user_region_info);
	case VFIO_USER_DEVICE_GET_IRQ_INFO:
	case VFIO_USER_REGION_READ:
	case VFIO_USER_REGION_WRITE:
		return sizeof(struct vfio_user_region_access);
	case VFIO_USER_DMA_UNMAP:
		return sizeof(struct vfio_user_dma_unmap);
	case VFIO_USER_DEVICE_FEATURE:
	case VFIO_USER_MIG_DATA_READ:
		return sizeof(struct vfio_user_device_feature);
	default:
		return 0;
	}
}

/* The right answer. */
static void answer(struct server *s, struct answer *a, const uint8_t *payload,
		   size_t len)
{
	static const struct vfio_user_device_info device = {
		.argsz = sizeof(device), .flags = 3,
		.num_regions = 9, .num_irqs = 5,
	};
	struct vfio_user_irq_info irq;
	unsigned int command = a->header.command;

	fuzz_require(len >= least(command),
		     "the library's commands have what belongs to them");
	switch (command) {
	case VFIO_USER_VERSION:
		answer_version(a);
		break;
	case VFIO_USER_DEVICE_GET_INFO:
		memcpy(a->payload, &device, sizeof(device));
		a->len = sizeof(device);
		break;
	case VFIO_USER_DEVICE_GET_REGION_INFO:
		answer_region(a, payload);
		break;
	case VFIO_USER_DEVICE_GET_IRQ_INFO:
		memcpy(&irq, payload, sizeof(irq));
		irq.flags = 1;
		irq.count = irq.index == 2 ? 16 : 1;
		memcpy(a->payload, &irq, sizeof(irq));
		a->len = sizeof(irq);
		break;
	case VFIO_USER_DMA_UNMAP:
		memcpy(a->payload, payload, sizeof(struct vfio_user_dma_unmap));
		a->len = sizeof(struct vfio_user_dma_unmap);
		break;
	case VFIO_USER_DEVICE_FEATURE:
		answer_feature(s, a, payload, len);
		break;
	case VFIO_USER_MIG_DATA_READ:
		answer_stream(s, a, payload);
		break;
	case VFIO_USER_REGION_READ:
	case VFIO_USER_REGION_WRITE:
		answer_access(a, payload, command == VFIO_USER_REGION_READ);
		break;
	}
}

static void hang_up(struct server *s)
{
	close_fd(&s->conn);
	s->in_len = 0;
}

static void server_send(struct server *s, const struct answer *a)
{
	char control[CMSG_SPACE(4 * sizeof(int))];
	struct iovec iov = {
		.iov_base = (void *)a, .iov_len = sizeof(a->header) + a->len,
	};
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	unsigned int i;

	if (a->nr_fds) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(a->nr_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(a->nr_fds * sizeof(int));
		for (i = 0; i < a->nr_fds; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &bar_fd,
			       sizeof(int));
	}
	if (sendmsg(s->conn, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    (ssize_t)iov.iov_len)
		hang_up(s);
}

/* A command of the server's own, which nobody has asked for. */
static void send_command(struct server *s)
{
	static struct answer a;
	struct vfio_user_dma_access access = {
		.address = (fuzz_u8(input) & 0xf) * 4096ull,
		.count = fuzz_u16(input) & 0xfff,
	};
	bool write = fuzz_u8(input) & 1;

	a.header = (struct vfio_user_header){
		.id = fuzz_u8(input),
		.command = write ? VFIO_USER_DMA_WRITE : VFIO_USER_DMA_READ,
	};
	memcpy(a.payload, &access, sizeof(access));
	a.len = sizeof(access) + (write ? access.count : 0);
	a.header.size = sizeof(a.header) + a.len;
	server_send(s, &a);
}

static void spoil_bytes(struct answer *a, size_t nr)
{
	size_t at = fuzz_u8(input);

	if (a->len < nr)
		return;
	at = at % (a->len - nr + 1);
	fuzz_bytes(input, a->payload + at, nr);
}

/* Make an answer wrong; false if there is to be none. */
static bool spoil(struct server *s, struct answer *a, enum wrong wrong)
{
	switch (wrong) {
	case WRONG_ERROR:
		a->header.flags |= VFIO_USER_FLAG_ERROR;
		a->header.error = fuzz_u8(input);
		a->len = 0;
		a->nr_fds = 0;
		break;
	case WRONG_HANG_UP:
		hang_up(s);
		return false;
	case WRONG_SILENCE:
		return false;
	case WRONG_ID:
		a->header.id ^= fuzz_u8(input);
		break;
	case WRONG_COMMAND:
		a->header.command = fuzz_u8(input);
		break;
	case WRONG_MORE_FDS:
		a->nr_fds += fuzz_u8(input) % 3 + 1;
		break;
	case WRONG_NO_FDS:
		a->nr_fds = 0;
		break;
	case WRONG_SHORTER:
		a->len -= min((size_t)fuzz_u8(input), a->len);
		break;
	case WRONG_LONGER:
		a->len = min(a->len + fuzz_u8(input), sizeof(a->payload));
		break;
	case WRONG_BYTES:
		spoil_bytes(a, 8);
		break;
	case WRONG_WORD:
		spoil_bytes(a, 1);
		break;
	case WRONG_COMMAND_FIRST:
		send_command(s);
		break;
	case WRONG_FLAGS:
		a->header.flags ^= fuzz_u8(input);
		break;
	case WRONG_RAW:
		a->len = fuzz_u8(input);
		fuzz_bytes(input, a->payload, a->len);
		break;
	default:
		break;
	}
	return s->conn >= 0;
}

/* One command of the library's. */
static void serve(struct server *s, const struct vfio_user_header *header,
		  const uint8_t *payload)
{
	static struct answer a;
	unsigned int how = fuzz_u8(input);
	bool right = trusted || how < HOW_RIGHT;
	enum wrong wrong = how & 0xf;

	a.header = *header;
	a.header.flags = VFIO_USER_TYPE_REPLY;
	a.len = 0;
	a.nr_fds = 0;
	answer(s, &a, payload, header->size - sizeof(*header));
	if (header->flags & VFIO_USER_FLAG_NO_REPLY)
		return;
	if (!right && !spoil(s, &a, wrong))
		return;
	a.header.size = sizeof(a.header) + a.len;
	if (!right && wrong == WRONG_SIZE)
		a.header.size = (uint32_t)fuzz_u16(input) << fuzz_u8(input) % 17;
	server_send(s, &a);
	if (!right && wrong == WRONG_TWICE && s->conn >= 0)
		server_send(s, &a);
}

/* All whole commands that are there. */
static void serve_all(struct server *s)
{
	struct vfio_user_header header;

	while (s->conn >= 0 && s->in_len >= sizeof(header)) {
		memcpy(&header, s->in, sizeof(header));
		fuzz_require(header.size >= sizeof(header) &&
			     header.size <= sizeof(s->in),
			     "the library's commands have a size that can be");
		if (s->in_len < header.size)
			return;
		/* What is no command answers one of ours. */
		if (!(header.flags & VFIO_USER_TYPE_MASK))
			serve(s, &header, s->in + sizeof(header));
		if (s->conn < 0)
			return;
		s->in_len -= header.size;
		memmove(s->in, s->in + header.size, s->in_len);
	}
}

/* Has the library connected, and is still there? */
static bool server_accept(struct server *s)
{
	int fd;

	if (s->conn >= 0)
		return true;
	fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return false;
	s->conn = fcntl(fd, F_DUPFD_CLOEXEC, SERVER_FDS);
	close(fd);
	s->state = VFIO_USER_STATE_RUNNING;
	return true;
}

/* Fds that come with the commands are nothing to us: the kernel drops them. */
static void server_pump(struct server *s)
{
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	while (server_accept(s)) {
		iov.iov_base = s->in + s->in_len;
		iov.iov_len = sizeof(s->in) - s->in_len;
		n = recvmsg(s->conn, &msg, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			hang_up(s);
			continue;
		}
		s->in_len += n;
		serve_all(s);
	}
}

static void pump(void)
{
	unsigned int i;

	for (i = 0; i < NR_SERVERS && input; i++)
		server_pump(&servers[i]);
}

/*
 * What the library calls
 */

ssize_t fuzz_recvmsg(int fd, struct msghdr *msg, int flags)
{
	pump();
	return recvmsg(fd, msg, flags | MSG_DONTWAIT);
}

ssize_t fuzz_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t n;
	int i;

	for (i = 0; i < 8; i++) {
		n = sendmsg(fd, msg, flags | MSG_DONTWAIT);
		if (n >= 0 || errno != EAGAIN)
			return n;
		pump();
	}
	errno = EAGAIN;
	return -1;
}

ssize_t fuzz_recv(int fd, void *buf, size_t len, int flags)
{
	return recv(fd, buf, len, flags | MSG_DONTWAIT);
}

int fuzz_poll(struct pollfd *fds, nfds_t nr, int ms)
{
	(void)ms;
	pump();
	return poll(fds, nr, 0);
}

int fuzz_nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)time;
	(void)left;
	return 0;
}

/*
 * Beginning and end
 */

static void remove_directory(void)
{
	char path[64];
	unsigned int i;

	for (i = 0; i < NR_SERVERS; i++) {
		snprintf(path, sizeof(path), "%s/%u", directory, i);
		unlink(path);
	}
	rmdir(directory);
}

static void server_listen(struct server *s, unsigned int nr)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%u", directory, nr);
	fuzz_require(!bind(fd, (struct sockaddr *)&addr, sizeof(addr)) &&
		     !listen(fd, 8), "there is a socket");
	s->listener = fcntl(fd, F_DUPFD_CLOEXEC, SERVER_FDS);
	s->conn = -1;
	close(fd);
}

void server_init(void)
{
	char env[512];
	unsigned int i;
	int fd;

	fd = memfd_create("bar", MFD_CLOEXEC);
	fuzz_require(fd >= 0 && !ftruncate(fd, 0x10000), "memory");
	bar_fd = fcntl(fd, F_DUPFD_CLOEXEC, SERVER_FDS);
	close(fd);
	strcpy(directory, "/tmp/run-fuzz-XXXXXX");
	fuzz_require(!!mkdtemp(directory), "a directory");
	atexit(remove_directory);
	for (i = 0; i < NR_SERVERS; i++)
		server_listen(&servers[i], i);
	/* Two devices of one group, and one that is alone in its own. */
	snprintf(env, sizeof(env),
		 "0000:01:00.0=%s/0,group=7,cdev=vfio0\n"
		 "0000:01:00.1=%s/1,group=7,cdev=vfio1\n"
		 "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001=%s/2,group=8,cdev=vfio2\n",
		 directory, directory, directory);
	setenv(RUN_ENV_DEVICES, env, 1);
}

void server_begin(struct fuzz *f)
{
	input = f;
}

void server_trust(bool trust)
{
	trusted = trust;
}

void server_end(void)
{
	unsigned int i;

	pump();
	input = NULL;
	for (i = 0; i < NR_SERVERS; i++)
		fuzz_require(servers[i].conn < 0,
			     "the library has hung up on all bridges");
}
