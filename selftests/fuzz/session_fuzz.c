// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hostile clients, for the daemon's sessions on the software VFIO.
 *
 * The input is a list of messages. Each begins as a right one for its command,
 * with values that the input chooses from small ranges, and is then made wrong
 * as the input says: another type, size or length, bytes overwritten, fds of
 * all kinds, sent in two pieces. Between them other things happen: the device
 * copies memory or raises an interrupt, somebody asks the monitor, another
 * client is refused, uevents come. The input also says which machine it is,
 * with which options the daemon was started, which calls of the kernel fail,
 * whether there are two devices in a group, and how many clients come.
 *
 * The daemon's main loop isn't here: a session runs in its thread, as it does
 * in the daemon, and this thread is the client and starts and reaps it. Each
 * reply is waited for before the next message is sent, so that an input always
 * does the same thing.
 *
 * Besides what the sanitizers find: a session ends when its client has gone, the
 * kernel has nothing mapped then and no device open, and no fd is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/vfio.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge/bridge.h"
#include "fuzz.h"
#include "hooks.h"
#include "log.h"
#include "selftests/fake/fixture.h"

#define MAX_MESSAGES	48
#define MAX_DATA	1024
#define MAX_FDS		12
#define MEMORY_SIZE	0x10000

/* How long a session may take for one message, and to end, in milliseconds. */
#define REPLY_MS	2000
#define END_MS		20000

/* How a message differs from what it should be. */
#define NO_REPLY	(1u << 0)
#define OTHER_TYPE	(1u << 1)
#define OTHER_SIZE	(1u << 2)
#define OTHER_LENGTH	(1u << 3)
#define POKED		(1u << 4)
#define WITH_FDS	(1u << 5)
#define IN_PIECES	(1u << 6)
#define RAW		(1u << 7)
/* Not the input's to say: its reply comes when it comes. */
#define NOT_AWAITED	(1u << 8)

/* What comes in place of a command. */
#define DO_COPY		(VFIO_USER_COMMAND_MAX + 3)
#define DO_RAISE	(VFIO_USER_COMMAND_MAX + 4)
#define DO_OTHERS	(VFIO_USER_COMMAND_MAX + 5)
#define NR_DO		(VFIO_USER_COMMAND_MAX + 6)

/* What the daemon and the machine are like. */
#define HOW_TYPE1	(1u << 0)
#define HOW_MMAP_OFF	(1u << 1)
#define HOW_SHADOW	(1u << 2)
#define HOW_RETAIN	(1u << 3)
#define HOW_NO_RESET	(1u << 4)
#define HOW_STATIC	(1u << 5)
#define HOW_RULES	(1u << 6)
#define HOW_OWN_VERSION	(1u << 7)

/* And further. */
#define TOO_GROUP	(1u << 0)
#define TOO_AGAIN	(1u << 1)
#define TOO_OTHER_UID	(1u << 2)
#define TOO_RATE	(1u << 3)
#define TOO_LIMITS	(1u << 4)
#define TOO_RELEASE	(1u << 5)
#define TOO_NO_BUS	(1u << 6)
#define TOO_ENOMSG	(1u << 7)

#define NR_CLIENTS	2

enum some_fd {
	FD_MEMORY,
	FD_EVENT,
	FD_OTHER_MEMORY,
	FD_MEMORY_READ_ONLY,
	FD_PIPE,
	FD_NULL,
	FD_EPOLL,
	FD_DIRECTORY,
	FD_SOCKET,
	NR_FDS,
};

struct message {
	struct vfio_user_header header;
	uint8_t payload[MAX_DATA + 64];
};

/**
 * struct conversation - a client's side
 * @f: what it says
 * @bridge: whom it talks to
 * @socket: -1 if there is none
 * @twin: the socket for the daemon's commands, -1 if there is none
 * @id: of the last message
 * @over: nothing more is said
 */
struct conversation {
	struct fuzz *f;
	struct bridge *bridge;
	int socket;
	int twin;
	uint16_t id;
	bool over;
};

static struct options opts;
static struct daemon daemon_;
static struct fake_root root;
static int some_fds[NR_FDS];

/*
 * Payloads
 */

static uint64_t page(struct fuzz *f)
{
	static const uint64_t bases[] = {
		0, 0x100000, 0xfee00000, 0x100000000, 0xfffffffff000,
		0xfffffffffffff000,
	};
	uint8_t value = fuzz_u8(f);

	return bases[(value >> 4) % ARRAY_SIZE(bases)] + (value & 0xf) * 4096;
}

static size_t fill_map(struct fuzz *f, void *payload)
{
	struct vfio_user_dma_map *map = payload;

	*map = (struct vfio_user_dma_map){
		.argsz = sizeof(*map),
		.flags = fuzz_u8(f) & 7,
		.offset = (fuzz_u8(f) & 0xf) * 4096,
		.address = page(f),
		.size = (fuzz_u8(f) & 0x1f) * 4096,
	};
	return sizeof(*map);
}

static size_t fill_unmap(struct fuzz *f, void *payload)
{
	struct vfio_user_dma_unmap *unmap = payload;

	*unmap = (struct vfio_user_dma_unmap){
		.argsz = sizeof(*unmap),
		.flags = fuzz_u8(f) & 3,
		.address = page(f),
		.size = (fuzz_u8(f) & 0x1f) * 4096,
	};
	return sizeof(*unmap);
}

/* Those that begin with argsz, flags, index and are this long. */
static size_t fill_index(struct fuzz *f, void *payload, size_t len)
{
	uint32_t head[3] = { len + (fuzz_u8(f) << 2), 0, fuzz_u8(f) & 0xf };

	memcpy(payload, head, sizeof(head));
	return len;
}

static size_t fill_irqs(struct fuzz *f, void *payload)
{
	struct vfio_user_irq_set *set = payload;
	size_t data = 0;

	*set = (struct vfio_user_irq_set){
		.flags = fuzz_u8(f) & 0x3f,
		.index = fuzz_u8(f) & 7,
		.start = fuzz_u8(f) & 0x1f,
		.count = fuzz_u8(f) & 0x1f,
	};
	if (set->flags & VFIO_USER_IRQ_SET_DATA_BOOL)
		data = set->count;
	set->argsz = sizeof(*set) + data;
	fuzz_bytes(f, set + 1, data);
	return sizeof(*set) + data;
}

static size_t fill_access(struct fuzz *f, void *payload, bool write)
{
	struct vfio_user_region_access *access = payload;

	*access = (struct vfio_user_region_access){
		.region = fuzz_u8(f) & 0xf,
		.offset = fuzz_u16(f),
		.count = fuzz_u16(f) & 0x7ff,
	};
	if (!write)
		return sizeof(*access);
	access->count &= MAX_DATA / 2 - 1;
	fuzz_bytes(f, access + 1, access->count);
	return sizeof(*access) + access->count;
}

static size_t fill_multi(struct fuzz *f, void *payload)
{
	struct vfio_user_write_multi *multi = payload;
	unsigned int i;

	multi->wr_cnt = fuzz_u8(f) & 0xf;
	for (i = 0; i < multi->wr_cnt; i++) {
		multi->wrs[i] = (struct vfio_user_write_one){
			.region = fuzz_u8(f) & 0xf,
			.offset = fuzz_u16(f),
			.count = fuzz_u8(f) & 0xf,
		};
		fuzz_bytes(f, multi->wrs[i].data, 8);
	}
	return sizeof(*multi) + i * sizeof(multi->wrs[0]);
}

static size_t fill_feature(struct fuzz *f, void *payload)
{
	struct vfio_user_device_feature *feature = payload;
	size_t data = fuzz_u8(f) & 0x7f;

	feature->flags = (fuzz_u8(f) & 0xf) | (fuzz_u8(f) & 7) << 16;
	feature->argsz = sizeof(*feature) + (fuzz_u8(f) << 2);
	fuzz_bytes(f, feature->data, data);
	return sizeof(*feature) + data;
}

static size_t fill_migration(struct fuzz *f, void *payload, bool write)
{
	struct vfio_user_mig_data *data = payload;

	data->size = fuzz_u16(f) & (MAX_DATA / 2 - 1);
	data->argsz = sizeof(*data) + data->size;
	if (!write)
		return sizeof(*data);
	fuzz_bytes(f, data->data, data->size);
	return sizeof(*data) + data->size;
}

static size_t fill_version(struct fuzz *f, void *payload)
{
	static const char *const texts[] = {
		"", "{}", "{\"capabilities\":{\"max_msg_fds\":8}}",
		"{\"capabilities\":{\"iova_ranges\":[]}}",
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true},\"max_data_xfer_size\":4096}}",
		"{\"capabilities\":{\"max_data_xfer_size\":64,\"pgsizes\":4096,\"max_dma_maps\":7}}",
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":3}}}",
		"{\"capabilities\":{\"twin_socket\":7,\"write_multiple\":1}}",
		"{\"capabilities\":{\"migration\":{\"pgsize\":4096},\"write_multiple\":true}}",
		"{\"capabilities\":{\"migration\":{\"pgsize\":0}}}",
		"{\"capabilities\":{\"migration\":[]}}",
		"{\"capabilities\":{\"iova_ranges\":[[0,1],[1],\"x\"]}}",
		"{\"capabilities\":{\"iova_ranges\":[[9,1]],\"max_msg_fds\":1e9}}",
		"{\"capabilities\":{\"pgsizes\":18446744073709551616}}",
		"{\"capabilities\":{\"max_msg_fds\":-1}}", "[]",
		"{\"capabilities\":[]}", "{\"capabilities\":",
	};
	struct vfio_user_version *version = payload;
	const char *text = texts[fuzz_u8(f) % ARRAY_SIZE(texts)];

	*version = (struct vfio_user_version){
		VFIO_USER_MAJOR, VFIO_USER_MINOR
	};
	strcpy(version->data, text);
	return sizeof(*version) + strlen(text) + 1;
}

static size_t fill(struct fuzz *f, unsigned int command, void *payload)
{
	switch (command) {
	case VFIO_USER_VERSION:
		return fill_version(f, payload);
	case VFIO_USER_DMA_MAP:
		return fill_map(f, payload);
	case VFIO_USER_DMA_UNMAP:
		return fill_unmap(f, payload);
	case VFIO_USER_DEVICE_GET_INFO:
		return fill_index(f, payload,
				  sizeof(struct vfio_user_device_info));
	case VFIO_USER_DEVICE_GET_REGION_INFO:
		return fill_index(f, payload,
				  sizeof(struct vfio_user_region_info));
	case VFIO_USER_DEVICE_GET_REGION_IO_FDS:
		return fill_index(f, payload,
				  sizeof(struct vfio_user_region_io_fds));
	case VFIO_USER_DEVICE_GET_IRQ_INFO:
		return fill_index(f, payload,
				  sizeof(struct vfio_user_irq_info));
	case VFIO_USER_DEVICE_SET_IRQS:
		return fill_irqs(f, payload);
	case VFIO_USER_REGION_READ:
	case VFIO_USER_REGION_WRITE:
		return fill_access(f, payload,
				   command == VFIO_USER_REGION_WRITE);
	case VFIO_USER_REGION_WRITE_MULTI:
		return fill_multi(f, payload);
	case VFIO_USER_DEVICE_FEATURE:
		return fill_feature(f, payload);
	case VFIO_USER_MIG_DATA_READ:
	case VFIO_USER_MIG_DATA_WRITE:
		return fill_migration(f, payload,
				      command == VFIO_USER_MIG_DATA_WRITE);
	default:
		return 0;
	}
}

/*
 * The socket
 */

/* Is @fd readable in time? libFuzzer's own signals don't count. */
static bool wait_for(int fd, int ms)
{
	struct pollfd pfd = { fd, POLLIN, 0 };
	int ret;

	do {
		ret = poll(&pfd, 1, ms);
	} while (ret < 0 && errno == EINTR);
	return ret == 1;
}

static unsigned int take_fds(struct fuzz *f, int *fds)
{
	unsigned int how = fuzz_u8(f), nr = how % (MAX_FDS + 1), i;

	for (i = 0; i < nr; i++)
		fds[i] = some_fds[how & 0x80 ? fuzz_u8(f) % NR_FDS :
				  how >> 4 & 1];
	return nr;
}

static void put(struct conversation *c, int fd, const void *data, size_t len,
		const int *fds, unsigned int nr_fds)
{
	char control[CMSG_SPACE(MAX_FDS * sizeof(int))];
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (nr_fds) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nr_fds * sizeof(int));
	}
	if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    (ssize_t)len)
		c->over = true;
}

static void say(struct conversation *c, unsigned int command, unsigned int how);

/* Some of the client's memory, of which the input changes a little. */
static void fill_memory(struct conversation *c, uint8_t *to, size_t len)
{
	memset(to, 0x5a, len);
	if (len)
		to[fuzz_u16(c->f) % len] = fuzz_u8(c->f);
}

/*
 * The daemon wants to read or write our memory: answer, rightly or not, on the
 * socket that it asked on.
 */
static void serve(struct conversation *c, int fd, const struct message *m,
		  size_t len)
{
	static struct {
		struct vfio_user_header header;
		struct vfio_user_dma_access access;
		uint8_t data[MEMORY_SIZE * 2];
	} __attribute__((packed)) reply;
	unsigned int how = fuzz_u8(c->f);
	size_t data = 0;

	fuzz_require(len >= sizeof(m->header) + sizeof(reply.access),
		     "the daemon's commands have what belongs to them");
	reply.header = m->header;
	memcpy(&reply.access, m->payload, sizeof(reply.access));
	if (m->header.command == VFIO_USER_DMA_READ)
		data = min(reply.access.count, (uint64_t)sizeof(reply.data));
	fill_memory(c, reply.data, data);
	reply.header.flags = VFIO_USER_TYPE_REPLY;
	switch (how) {
	case 0xff:
		reply.header.id++;
		break;
	case 0xfe:
		reply.header.flags |= VFIO_USER_FLAG_ERROR;
		reply.header.error = fuzz_u8(c->f);
		break;
	case 0xfd:
		data = fuzz_u16(c->f) % MAX_DATA;
		break;
	case 0xfc:
		reply.access.count = fuzz_u16(c->f);
		break;
	case 0xfb:
		/* The other form of a reply to a write */
		if (m->header.command == VFIO_USER_DMA_WRITE)
			data = -4;
		break;
	case 0xfa:
		/* Other commands first, which have to wait */
		for (how = fuzz_u8(c->f) % 80; how; how--)
			say(c, fuzz_u8(c->f) % (VFIO_USER_COMMAND_MAX + 1),
			    NOT_AWAITED);
		break;
	case 0xf9:
		c->over = true;
		return;
	}
	reply.header.size = sizeof(reply.header) + sizeof(reply.access) + data;
	put(c, fd, &reply, reply.header.size, NULL, 0);
}

/* The daemon's twin socket is kept, if it is one; regions' fds aren't. */
static void take_all(struct conversation *c, struct msghdr *msg)
{
	struct cmsghdr *cmsg;
	struct stat st;
	size_t i, nr;
	int fd;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		nr = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < nr; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int),
			       sizeof(fd));
			if (c->twin < 0 && !fstat(fd, &st) &&
			    S_ISSOCK(st.st_mode))
				c->twin = fd;
			else
				close(fd);
		}
	}
}

/* Receive @len bytes; false if the session has ended, or says nothing. */
static bool get(struct conversation *c, int fd, void *data, size_t len)
{
	char control[CMSG_SPACE(64 * sizeof(int))];
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	ssize_t n;

	while (iov.iov_len) {
		if (!wait_for(fd, REPLY_MS))
			return false;
		msg.msg_controllen = sizeof(control);
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n <= 0)
			return false;
		take_all(c, &msg);
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= n;
	}
	return true;
}

/* The socket on which there is something to receive. */
static int get_socket(const struct conversation *c)
{
	struct pollfd fds[] = {
		{ c->socket, POLLIN, 0 }, { c->twin, POLLIN, 0 },
	};
	int ret;

	do {
		ret = poll(fds, ARRAY_SIZE(fds), REPLY_MS);
	} while (ret < 0 && errno == EINTR);
	return fds[1].revents & POLLIN ? c->twin : c->socket;
}

static bool get_message(struct conversation *c, int fd, struct message *m)
{
	static uint8_t rest[BRIDGE_MAX_MSG];
	size_t len, head;

	if (!get(c, fd, &m->header, sizeof(m->header)))
		return false;
	fuzz_require(m->header.size >= sizeof(m->header) &&
		     m->header.size <= sizeof(rest),
		     "the daemon's messages have a size that can be");
	len = m->header.size - sizeof(m->header);
	head = min(len, sizeof(m->payload));
	return get(c, fd, m->payload, head) && get(c, fd, rest, len - head);
}

/* Until the reply to the message with @id, or the end. */
static void await(struct conversation *c, uint16_t id)
{
	struct message m;
	int fd;

	while (!c->over) {
		fd = get_socket(c);
		if (!get_message(c, fd, &m)) {
			c->over = true;
			return;
		}
		if ((m.header.flags & VFIO_USER_TYPE_MASK) ==
		    VFIO_USER_TYPE_COMMAND)
			serve(c, fd, &m, m.header.size);
		else if (m.header.id == id)
			return;
	}
}

static void say(struct conversation *c, unsigned int command, unsigned int how)
{
	struct message m = {
		.header = { .id = ++c->id, .command = command },
	};
	int fds[MAX_FDS];
	unsigned int nr_fds = 0;
	size_t len, at, first;

	if (how & RAW) {
		len = fuzz_u16(c->f) % MAX_DATA;
		fuzz_bytes(c->f, m.payload, len);
	} else {
		len = fill(c->f, command, m.payload);
	}
	if (how & OTHER_LENGTH)
		len = min(len + (int8_t)fuzz_u8(c->f), sizeof(m.payload));
	if (how & POKED && len > 8) {
		at = fuzz_u16(c->f) % (len - 8);
		fuzz_bytes(c->f, m.payload + at, 8);
	}
	m.header.size = sizeof(m.header) + len;
	if (how & NO_REPLY)
		m.header.flags |= VFIO_USER_FLAG_NO_REPLY;
	if (how & OTHER_TYPE)
		m.header.flags ^= fuzz_u8(c->f);
	if (how & WITH_FDS)
		nr_fds = take_fds(c->f, fds);
	len = m.header.size;
	if (how & OTHER_SIZE)
		m.header.size = (uint32_t)fuzz_u16(c->f) << (fuzz_u8(c->f) % 17);

	first = how & IN_PIECES ? fuzz_u8(c->f) % len + 1 : len;
	put(c, c->socket, &m, first, fds, nr_fds);
	if (first < len)
		put(c, c->socket, (char *)&m + first, len - first, NULL, 0);
	/* Who lies about the size isn't answered until it hangs up. */
	if (m.header.size > len)
		c->over = true;
	else if (!(m.header.flags & VFIO_USER_FLAG_NO_REPLY) &&
		 !(how & NOT_AWAITED))
		await(c, c->id);
}

static void say_write(struct conversation *c, uint32_t region, uint64_t offset,
		      uint64_t value, uint32_t count)
{
	struct {
		struct vfio_user_header header;
		struct vfio_user_region_access access;
		uint64_t value;
	} __attribute__((packed)) m = {
		.header = {
			.id = ++c->id, .command = VFIO_USER_REGION_WRITE,
			.size = sizeof(m) - sizeof(value) + count,
		},
		.access = { .offset = offset, .region = region, .count = count },
		.value = value,
	};

	if (c->over)
		return;
	put(c, c->socket, &m, m.header.size, NULL, 0);
	await(c, c->id);
}

/* The device copies some of the client's memory, as its driver would have it. */
static void do_copy(struct conversation *c)
{
	static const uint64_t registers[] = {
		FAKE_REG_DMA_SRC, FAKE_REG_DMA_DST, FAKE_REG_DMA_LEN,
		FAKE_REG_DOORBELL,
	};
	uint64_t values[] = {
		page(c->f) + fuzz_u8(c->f), page(c->f) + fuzz_u8(c->f),
		fuzz_u16(c->f) & 0x3fff, 1,
	};
	unsigned int i;

	say_write(c, VFIO_PCI_CONFIG_REGION_INDEX, 4, 6, 2);
	for (i = 0; i < ARRAY_SIZE(registers); i++)
		say_write(c, 0, registers[i], values[i], 8);
}

/* What the main thread does for a retained device: a thread may see to it. */
static void see_to_retained(struct bridge *b)
{
	bool asked;

	pthread_mutex_lock(&b->lock);
	asked = b->retained_req >= 0 && wait_for(b->retained_req, 0);
	pthread_mutex_unlock(&b->lock);
	while (asked) {
		device_check_retained(b);
		sched_yield();
		pthread_mutex_lock(&b->lock);
		asked = b->retained;
		pthread_mutex_unlock(&b->lock);
	}
}

static void do_raise(struct conversation *c)
{
	unsigned int which = fuzz_u8(c->f);

	fake_irq_raise_on(root.control, c->bridge->index, which & 7,
			  which >> 3);
	see_to_retained(c->bridge);
}

/*
 * Others than the clients
 */

/* In place of libnl's function: what the kernel would tell. */
static struct fuzz *uevents;

int fuzz_nl_recv(struct nl_sock *sock, struct sockaddr_nl *from,
		 unsigned char **buf, struct ucred **creds)
{
	static const char *const actions[] = {
		"add", "bind", "unbind", "remove", "change",
	};
	static const char *const drivers[] = {
		"vfio-pci", "e1000e", "", "vfio_mtty",
	};
	unsigned int how = fuzz_u8(uevents);
	char text[256];
	int len;

	(void)sock;
	(void)creds;
	if (!uevents->size || how >= 0xf0)
		return how == 0xff ? -NLE_NOMEM : how == 0xfe ? -NLE_PERM : 0;
	memset(from, 0, sizeof(*from));
	from->nl_pid = how >= 0xe0;
	len = snprintf(text, sizeof(text),
		       "x@y%cACTION=%s%cSUBSYSTEM=%s%cDEVPATH=/devices/0000:01:00.%u%cDRIVER=%s",
		       0, actions[how % ARRAY_SIZE(actions)], 0,
		       how & 0x40 ? "mdev" : how & 0x80 ? "usb" : "pci", 0,
		       how >> 3 & 1, 0, drivers[how >> 4 & 3]) + 1;
	if (how >= 0xd0)
		text[fuzz_u8(uevents) % len] = fuzz_u8(uevents);
	*buf = malloc(len);
	memcpy(*buf, text, len);
	return len;
}

static void do_refuse(struct fuzz *f)
{
	struct vfio_user_header header = {
		.id = fuzz_u8(f), .command = VFIO_USER_VERSION,
		.size = sizeof(header), .flags = fuzz_u8(f),
	};
	unsigned int len = fuzz_u8(f) % (sizeof(header) + 1);
	char reply[sizeof(header)];
	struct ucred peer;
	int fds[2];

	if (!refuse_make_room(false) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return;
	access_allows(&opts.access, fds[0], &peer);
	fuzz_require(send(fds[1], &header, len, MSG_NOSIGNAL) == (ssize_t)len,
		     "a socket takes a header");
	refuse_start(fds[0], EBUSY);
	/* The thread's last sign is that its end is closed. */
	shutdown(fds[1], SHUT_WR);
	while (wait_for(fds[1], END_MS) && recv(fds[1], reply, sizeof(reply),
						MSG_DONTWAIT) > 0)
		;
	close(fds[1]);
}

/* More than can be refused at one time. */
static void do_refuse_many(void)
{
	int fds[32][2], nr = 0;
	char byte;

	while (nr < ARRAY_SIZE(fds) && refuse_make_room(false)) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[nr]))
			break;
		refuse_start(fds[nr++][0], EACCES);
	}
	while (nr--) {
		shutdown(fds[nr][1], SHUT_WR);
		while (wait_for(fds[nr][1], END_MS) &&
		       recv(fds[nr][1], &byte, 1, MSG_DONTWAIT) > 0)
			;
		close(fds[nr][1]);
	}
}

static void do_monitor(void)
{
	char answer[4096];
	int fds[2];

	if (!refuse_make_room(true) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return;
	monitor_answer(&daemon_, fds[0]);
	/* As with who is refused */
	while (wait_for(fds[1], END_MS) &&
	       recv(fds[1], answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
	close(fds[1]);
}

static void do_others(struct fuzz *f)
{
	switch (fuzz_u8(f) % 5) {
	case 0:
		do_monitor();
		break;
	case 1:
		do_refuse(f);
		break;
	case 2:
		uevents = f;
		if (daemon_.uevents)
			uevent_handle(&daemon_);
		break;
	case 3:
		do_refuse_many();
		break;
	default:
		session_is_ending(daemon_.bridges[0].session);
		session_interrupt(daemon_.bridges[0].session);
	}
}

static void converse(struct conversation *all, unsigned int nr,
		     bool own_version)
{
	struct conversation *c = all;
	unsigned int i, command;

	for (i = 0; i < nr && !own_version; i++)
		say(&all[i], VFIO_USER_VERSION, 0);
	for (i = 0; i < MAX_MESSAGES && c->f->size; i++) {
		command = fuzz_u8(c->f);
		c = &all[(command >> 7) % nr];
		command = (command & 0x7f) % NR_DO;
		if (c->over)
			continue;
		if (command == DO_COPY)
			do_copy(c);
		else if (command == DO_RAISE)
			do_raise(c);
		else if (command == DO_OTHERS)
			do_others(c->f);
		else
			say(c, command, fuzz_u8(c->f));
	}
}

/*
 * The daemon and the machine
 */

static void set_rules(struct fuzz *f)
{
	unsigned int i, nr = fuzz_u8(f) % 3;
	struct fake_rule rule;

	for (i = 0; i < nr; i++) {
		rule = (struct fake_rule){
			.call = fuzz_u8(f),
			.kind = fuzz_u8(f) % FAKE_NR_KINDS,
			.request = ';' << 8 | (100 + fuzz_u8(f) % 48),
			.nth = fuzz_u8(f) & 7,
			.err = fuzz_u8(f) % 134,
		};
		rule.call = rule.call < 0x80 ? FAKE_IOCTL :
					       rule.call % FAKE_NR_CALLS;
		/* Nothing can be said of a machine that lets go of nothing. */
		if (rule.call == FAKE_CLOSE || rule.call == FAKE_MUNMAP)
			continue;
		rule.limit = rule.err ? 0 : fuzz_u8(f);
		fake_rule_set(&root, i, &rule);
	}
}

static void set_machine(unsigned int how, unsigned int too)
{
	struct fake_config *config = &root.control->config;

	opts.iommu = how & HOW_TYPE1 ? VFIO_IOMMU_TYPE1 : VFIO_IOMMU_IOMMUFD;
	opts.mmap = !(how & (HOW_MMAP_OFF | HOW_SHADOW));
	opts.shadow_max = how & HOW_SHADOW ? 1 << 20 : 0;
	opts.on_disconnect = how & HOW_RETAIN ? ON_DISCONNECT_RETAIN :
						ON_DISCONNECT_RESET;
	opts.message_rate = too & TOO_RATE ? 3 : BRIDGE_MESSAGE_RATE;
	opts.verbose = too & TOO_RATE;
	opts.idle_low_power = too & TOO_RATE;
	opts.max_dma_maps = too & TOO_LIMITS ? 2 : UINT32_MAX;
	opts.max_dma = too & TOO_LIMITS ? 0x8000 : UINT64_MAX;
	opts.release_timeout = too & TOO_RELEASE ? 0 : BRIDGE_RELEASE_TIMEOUT;
	config->flr = !(how & HOW_NO_RESET);
	config->bus_reset = !(too & TOO_NO_BUS);
	config->migration = how & HOW_STATIC ? 0 : 7;
	config->mig_enomsg = too & TOO_ENOMSG;
	config->logging = !(how & HOW_STATIC);
	config->has_map_file = !(too & TOO_ENOMSG);
}

/* Those that are done are reaped, as the main thread does. */
static void reap(unsigned int nr)
{
	eventfd_t value;
	unsigned int i, left = 1;

	while (left) {
		left = 0;
		for (i = 0; i < nr; i++) {
			struct bridge *b = &daemon_.bridges[i];

			if (b->session && atomic_load(&b->session->done))
				session_reap(b);
			left += !!b->session;
		}
		if (!left)
			break;
		fuzz_require(wait_for(daemon_.done_fd, END_MS),
			     "a session ends when its client has gone");
		eventfd_read(daemon_.done_fd, &value);
	}
	eventfd_read(daemon_.done_fd, &value);
}

static void check_clean(bool rules)
{
	/* With calls that fail, what close(2) alone undoes may remain noted. */
	if (rules)
		return;
	fuzz_require(!root.control->nr_maps, "nothing is mapped in the end");
	fuzz_require(!root.control->nr_doorbells, "no doorbell is left");
	fuzz_require(!root.control->orphans, "the device is closed");
}

static bool connect_to(struct conversation *c, struct bridge *b)
{
	int fds[2];

	c->bridge = b;
	c->over = true;
	c->socket = -1;
	c->twin = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return false;
	c->socket = fds[1];
	c->over = session_start(b, fds[0]);
	return !c->over;
}

/* A client for each device, from beginning to end. */
static void serve_clients(struct fuzz *f, unsigned int nr, unsigned int how)
{
	struct conversation all[NR_CLIENTS];
	unsigned int i;

	for (i = 0; i < nr; i++) {
		all[i] = (struct conversation){ .f = f };
		connect_to(&all[i], &daemon_.bridges[i]);
	}
	converse(all, nr, how & HOW_OWN_VERSION);
	for (i = 0; i < nr; i++) {
		close_fd(&all[i].socket);
		close_fd(&all[i].twin);
	}
	reap(nr);
}

static void run(struct fuzz *f)
{
	unsigned int how = fuzz_u8(f), too = fuzz_u8(f);
	unsigned int nr = too & TOO_GROUP ? NR_CLIENTS : 1, i;

	set_machine(how, too);
	if (how & HOW_RULES)
		set_rules(f);
	daemon_.nr_bridges = nr;
	fuzz_require(!group_start(&daemon_), "there is memory");
	serve_clients(f, nr, how);
	if (too & TOO_OTHER_UID) {
		daemon_.bridges[0].retained_uid++;
		daemon_.bridges[1].member.uid++;
	}
	if (too & TOO_RELEASE) {
		fake_irq_raise(root.control, VFIO_PCI_REQ_IRQ_INDEX, 0);
		see_to_retained(&daemon_.bridges[0]);
	}
	if (too & TOO_AGAIN)
		serve_clients(f, nr, how);
	for (i = 0; i < nr; i++)
		device_drop_retained(&daemon_.bridges[i]);
	group_stop(&daemon_);
	check_clean(how & HOW_RULES);
	fake_rules_clear(&root);
}

static void some_fds_open(void)
{
	char path[64];
	int pipes[2], sockets[2];

	some_fds[FD_MEMORY] = memfd_create("memory", MFD_CLOEXEC);
	fuzz_require(!ftruncate(some_fds[FD_MEMORY], MEMORY_SIZE), "memory");
	some_fds[FD_OTHER_MEMORY] = memfd_create("other", MFD_CLOEXEC);
	fuzz_require(!ftruncate(some_fds[FD_OTHER_MEMORY], MEMORY_SIZE),
		     "memory");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", some_fds[FD_MEMORY]);
	some_fds[FD_MEMORY_READ_ONLY] = open(path, O_RDONLY | O_CLOEXEC);
	some_fds[FD_EVENT] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fuzz_require(!pipe2(pipes, O_CLOEXEC), "a pipe");
	some_fds[FD_PIPE] = pipes[1];
	some_fds[FD_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
	some_fds[FD_EPOLL] = epoll_create1(EPOLL_CLOEXEC);
	some_fds[FD_DIRECTORY] = open("/", O_RDONLY | O_CLOEXEC);
	fuzz_require(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				 sockets), "sockets");
	some_fds[FD_SOCKET] = sockets[0];
}

/* Gets threads out of system calls, as in the daemon. */
static void main_interrupted(int number)
{
	(void)number;
}

static void bridge_start(unsigned int i)
{
	struct bridge *b = &daemon_.bridges[i];

	b->daemon = &daemon_;
	b->opts = &opts;
	b->own = &opts.devices[i];
	b->index = i;
	b->listener.fd = -1;
	b->retained_req = -1;
	pthread_mutex_init(&b->lock, NULL);
	pthread_mutex_init(&b->lines_lock, NULL);
	fuzz_require(!pci_resolve(b->own->device, &b->device),
		     "the device is there");
	fuzz_require(!device_check(b), "the device can be exported");
}

static void daemon_start(void)
{
	static const char *const argv[] = {
		"session_fuzz", "--device=0000:01:00.0",
		"--socket-path=/nowhere/socket", "--ioeventfd=0:0x28:8:1",
		"--ioeventfd=0:0x30:4:2", "--device=0000:01:00.1",
		"--socket-path=/nowhere/other", NULL,
	};
	struct sigaction interrupt = { .sa_handler = main_interrupted };
	unsigned int i;

	log_init("session_fuzz", true);
	signal(SIGPIPE, SIG_IGN);
	sigaction(WATCH_SIGNAL, &interrupt, NULL);
	refuse_init();
	fuzz_require(options_parse(&opts, ARRAY_SIZE(argv) - 1,
				   (char **)argv) < 0,
		     "the options are right");
	opts.access.gids[opts.access.nr_gids++] = -2;
	daemon_.opts = &opts;
	daemon_.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	daemon_.nr_bridges = NR_CLIENTS;
	for (i = 0; i < NR_CLIENTS; i++)
		bridge_start(i);
	/* Not in every network namespace */
	uevent_start(&daemon_);
}

static void remove_root(void)
{
	fake_root_destroy(&root);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct fake_config config;

	(void)argc;
	(void)argv;
	fake_config_default(&config);
	config.migration = 7;
	config.mig_len = 4096;
	config.mig_initial = 1024;
	config.logging = true;
	config.log_page = 4096;
	config.nr_more = 1;
	config.more[0] = (struct fake_more){ "0000:01:00.1", config.group, 1 };
	fuzz_require(!fake_root_create(&root, &config), "there is a machine");
	setenv(FAKE_ROOT_ENV, root.path, 1);
	atexit(remove_root);
	some_fds_open();
	daemon_start();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = { data, size };
	int before = fuzz_lowest_fd(), i;

	run(&f);
	/* A thread that refuses a client which was hung up on ends by itself. */
	for (i = 0; i < END_MS && fuzz_lowest_fd() != before; i++)
		poll(NULL, 0, 1);
	fuzz_require(fuzz_lowest_fd() == before, "no fd is left");
	return 0;
}
