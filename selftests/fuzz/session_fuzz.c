// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hostile clients, for the daemon's sessions on the software VFIO.
 *
 * The input is a list of messages. Each begins as a right one for its command,
 * with values that the input chooses from small ranges, and is then made wrong
 * as the input says: another type, size or length, bytes overwritten, fds of
 * all kinds, sent in two pieces. Between them clients hang up and others come, and
 * other things happen, see session_machine.c. The input also says which machine it
 * is, with which options the daemon was started, which calls fail, whether there
 * are two devices in a group, and how many clients come.
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
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "session_fuzz.h"

#define MAX_MESSAGES	48
#define MAX_FDS		12
#define MEMORY_SIZE	0x10000

/* How long a session may take for one message, in milliseconds. */
#define REPLY_MS	2000

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
#define DO_VISIT	(VFIO_USER_COMMAND_MAX + 6)
#define DO_FLOOD	(VFIO_USER_COMMAND_MAX + 7)
#define NR_DO		(VFIO_USER_COMMAND_MAX + 8)

/* How somebody comes, or goes. */
#define VISIT_UNSEEN	(1u << 0)
#define VISIT_SILENT	(1u << 1)
#define VISIT_OTHER_UID	(1u << 2)

/* Reads that are as large as the region, in do_flood(). */
#define FLOOD_READ	0x4000
#define FLOOD_ROOM	8192

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
	FD_PATH,
	FD_SEALED,
	/* What the daemon has given to be mapped from, if it has */
	FD_REGION,
	NR_FDS,
};

struct message {
	struct vfio_user_header header;
	uint8_t payload[MAX_PAYLOAD];
};

/**
 * struct conversation - a client's side
 * @f: what it says
 * @bridge: whom it talks to
 * @socket: -1 if there is none
 * @twin: the socket for the daemon's commands, -1 if there is none
 * @region: the last fd of a region, -1 if there is none
 * @id: of the last message
 * @over: nothing more is said
 * @flooded: do_flood() has been, in this session
 * @held: messages are put here, @nr_held bytes so far, and sent later; or NULL
 */
struct conversation {
	struct fuzz *f;
	struct bridge *bridge;
	int socket;
	int twin;
	int region;
	uint16_t id;
	bool over;
	bool flooded;
	uint8_t *held;
	size_t nr_held;
};

static int some_fds[NR_FDS];

/*
 * The socket
 */

static unsigned int take_fds(struct conversation *c, int *fds)
{
	unsigned int how = fuzz_u8(c->f), nr = how % (MAX_FDS + 1);
	unsigned int i, which;

	for (i = 0; i < nr; i++) {
		which = how & 0x80 ? fuzz_u8(c->f) % NR_FDS : how >> 4 & 1;
		fds[i] = which == FD_REGION && c->region >= 0 ? c->region :
								some_fds[which];
	}
	return nr;
}

static void put(struct conversation *c, int fd, const void *data, size_t len,
		const int *fds, unsigned int nr_fds)
{
	char control[CMSG_SPACE(MAX_FDS * sizeof(int))];
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (c->held && c->nr_held + len <= FLOOD_ROOM) {
		memcpy(c->held + c->nr_held, data, len);
		c->nr_held += len;
		return;
	}
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

/* The daemon's twin socket is kept, if it is one; of other fds the last. */
static void take_one(struct conversation *c, int fd)
{
	struct stat st;

	if (c->twin < 0 && !fstat(fd, &st) && S_ISSOCK(st.st_mode)) {
		c->twin = fd;
	} else {
		close_fd(&c->region);
		c->region = fd;
	}
}

static void take_all(struct conversation *c, struct msghdr *msg)
{
	struct cmsghdr *cmsg;
	size_t i, nr;
	int fd;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		nr = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < nr; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int),
			       sizeof(fd));
			take_one(c, fd);
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
		len = payload_fill(c->f, command, m.payload);
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
		nr_fds = take_fds(c, fds);
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
		payload_page(c->f) + fuzz_u8(c->f),
		payload_page(c->f) + fuzz_u8(c->f),
		fuzz_u16(c->f) & 0x3fff, 1,
	};
	unsigned int i;

	say_write(c, VFIO_PCI_CONFIG_REGION_INDEX, 4, 6, 2);
	for (i = 0; i < ARRAY_SIZE(registers); i++)
		say_write(c, 0, registers[i], values[i], 8);
}

/*
 * As much to read as there is room for in the daemon's replies but for a few
 * bytes, and another message behind it, all of it before the first is answered.
 */
static void do_flood(struct conversation *c)
{
	struct {
		struct vfio_user_header header;
		struct vfio_user_region_access access;
	} m = { .header = { .command = VFIO_USER_REGION_READ } };
	size_t room = BRIDGE_MAX_MSG - fuzz_u8(c->f) % sizeof(m);
	uint8_t held[FLOOD_ROOM];
	unsigned int i, command;

	/* It takes long. */
	if (c->flooded)
		return;
	c->flooded = true;
	c->held = held;
	c->nr_held = 0;
	m.header.size = sizeof(m);
	m.access.count = FLOOD_READ;
	/* Each of the first two is answered before more is read. */
	for (i = 0; i < 2 || room > sizeof(m); i++) {
		m.header.id = ++c->id;
		if (i >= 2) {
			m.access.count = min(room - sizeof(m),
					     (size_t)FLOOD_READ);
			room -= sizeof(m) + m.access.count;
		}
		put(c, c->socket, &m, sizeof(m), NULL, 0);
	}
	command = fuzz_u8(c->f) % (VFIO_USER_COMMAND_MAX + 1);
	say(c, command, fuzz_u8(c->f) | NOT_AWAITED);
	c->held = NULL;
	put(c, c->socket, held, c->nr_held, NULL, 0);
	/* Whether there is a reply to the last one isn't known here. */
	await(c, m.header.id);
}

/* Those that are done are reaped, as the main thread does. */
static void reap(struct bridge *first, unsigned int nr)
{
	eventfd_t value;
	unsigned int i, left = 1;

	while (left) {
		left = 0;
		for (i = 0; i < nr; i++) {
			struct bridge *b = &first[i];

			if (b->session && atomic_load(&b->session->done))
				session_reap(b);
			left += !!b->session;
		}
		if (!left)
			break;
		fuzz_require(wait_for(machine_daemon.done_fd, END_MS),
			     "a session ends when its client has gone");
		eventfd_read(machine_daemon.done_fd, &value);
	}
	eventfd_read(machine_daemon.done_fd, &value);
}

static bool connect_to(struct conversation *c, struct bridge *b)
{
	const int yes = 1;
	int fds[2];

	*c = (struct conversation){
		.f = c->f, .bridge = b, .socket = -1, .twin = -1,
		.region = c->region, .over = true,
	};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return false;
	if (machine_how & YET_CREDENTIALS)
		setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes));
	c->socket = fds[1];
	c->over = session_start(b, fds[0]);
	return !c->over;
}

static void hang_up(struct conversation *c)
{
	close_fd(&c->socket);
	close_fd(&c->twin);
	if (!(machine_how & YET_HELD))
		close_fd(&c->region);
	c->over = true;
}

/* A client goes, or another comes where one has gone. */
static void do_visit(struct conversation *c)
{
	unsigned int how = fuzz_u8(c->f);

	if (c->socket >= 0) {
		hang_up(c);
		if (!(how & VISIT_UNSEEN))
			reap(c->bridge, 1);
		return;
	}
	reap(c->bridge, 1);
	machine_user(!!(how & VISIT_OTHER_UID));
	if (connect_to(c, c->bridge) && !(how & VISIT_SILENT))
		say(c, VFIO_USER_VERSION, 0);
}

static void do_one(struct conversation *c, unsigned int command)
{
	switch (command) {
	case DO_COPY:
		do_copy(c);
		break;
	case DO_RAISE:
		machine_raise(c->f, c->bridge);
		break;
	case DO_OTHERS:
		machine_others(c->f);
		break;
	case DO_FLOOD:
		do_flood(c);
		break;
	default:
		say(c, command, fuzz_u8(c->f));
	}
}

static void converse(struct conversation *all, unsigned int nr)
{
	struct conversation *c = all;
	unsigned int i, command;

	for (i = 0; i < nr && !(machine_how & HOW_OWN_VERSION); i++)
		say(&all[i], VFIO_USER_VERSION, 0);
	for (i = 0; i < MAX_MESSAGES && c->f->size; i++) {
		command = fuzz_u8(c->f);
		c = &all[(command >> 7) % nr];
		command = (command & 0x7f) % NR_DO;
		if (command == DO_VISIT)
			do_visit(c);
		else if (!c->over)
			do_one(c, command);
	}
}

/* A client for each device, from beginning to end. */
static void serve_clients(struct conversation *all, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		connect_to(&all[i], &machine_daemon.bridges[i]);
	converse(all, nr);
	for (i = 0; i < nr; i++)
		hang_up(&all[i]);
	reap(machine_daemon.bridges, nr);
}

static void serve_all(struct fuzz *f)
{
	struct conversation all[NR_CLIENTS];
	unsigned int i, nr = machine_daemon.nr_bridges;

	for (i = 0; i < nr; i++)
		all[i] = (struct conversation){ .f = f, .region = -1 };
	serve_clients(all, nr);
	machine_user(!!(machine_how & TOO_OTHER_UID));
	if (machine_how & TOO_RELEASE)
		machine_ask_back(machine_daemon.bridges);
	if (machine_how & TOO_AGAIN)
		serve_clients(all, nr);
	for (i = 0; i < nr; i++)
		close_fd(&all[i].region);
}

static void run(struct fuzz *f)
{
	unsigned int how = fuzz_u8(f);

	how |= fuzz_u8(f) << 8;
	how |= fuzz_u8(f) << 16;
	if (machine_begin(f, how))
		serve_all(f);
	machine_end();
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
	some_fds[FD_PATH] = open(path, O_PATH | O_CLOEXEC);
	some_fds[FD_SEALED] = memfd_create("sealed",
					   MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fuzz_require(!ftruncate(some_fds[FD_SEALED], MEMORY_SIZE) &&
		     !fcntl(some_fds[FD_SEALED], F_ADD_SEALS, F_SEAL_WRITE),
		     "sealed memory");
	some_fds[FD_REGION] = sockets[1];
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	some_fds_open();
	machine_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = { data, size };
	unsigned int before = fuzz_nr_fds(), i;

	run(&f);
	/* A thread that refuses a client which was hung up on ends by itself. */
	for (i = 0; i < END_MS && fuzz_nr_fds() != before; i++)
		poll(NULL, 0, 1);
	fuzz_require(fuzz_nr_fds() == before, "no fd is left");
	return 0;
}
