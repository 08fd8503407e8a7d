// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hostile client, for the daemon's sessions on the software VFIO.
 *
 * The input is a list of messages. Each begins as a right one for its command,
 * with values that the input chooses from small ranges, and is then made wrong
 * as the input says: another type, size or length, bytes overwritten, fds of
 * all kinds, sent in two pieces. The input also says which machine it is, with
 * which options the daemon was started, and which calls of the kernel fail.
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
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridge/bridge.h"
#include "fuzz.h"
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

/* What the daemon and the machine are like. */
#define HOW_TYPE1	(1u << 0)
#define HOW_MMAP_OFF	(1u << 1)
#define HOW_SHADOW	(1u << 2)
#define HOW_RETAIN	(1u << 3)
#define HOW_NO_RESET	(1u << 4)
#define HOW_STATIC	(1u << 5)
#define HOW_RULES	(1u << 6)
#define HOW_OWN_VERSION	(1u << 7)

enum some_fd {
	FD_MEMORY,
	FD_EVENT,
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

/* The client's side of the conversation. */
struct conversation {
	struct fuzz *f;
	int socket;
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
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true},\"max_data_xfer_size\":64}}",
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

static void put(struct conversation *c, const void *data, size_t len,
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
	if (sendmsg(c->socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    (ssize_t)len)
		c->over = true;
}

/* The daemon wants to read or write our memory: answer, rightly or not. */
static void serve(struct conversation *c, const struct message *m, size_t len)
{
	struct message reply = { .header = m->header };
	struct vfio_user_dma_access *access = (void *)reply.payload;
	unsigned int how = fuzz_u8(c->f);
	size_t data = 0;

	if (len < sizeof(m->header) + sizeof(*access))
		return;
	memcpy(access, m->payload, sizeof(*access));
	if (m->header.command == VFIO_USER_DMA_READ)
		data = min(access->count, (uint64_t)MAX_DATA);
	reply.header.flags = VFIO_USER_TYPE_REPLY;
	if (how == 0xff)
		reply.header.id++;
	if (how == 0xfe)
		reply.header.flags |= VFIO_USER_FLAG_ERROR;
	if (how == 0xfd)
		data = fuzz_u16(c->f) % MAX_DATA;
	if (how == 0xfc)
		access->count = fuzz_u16(c->f);
	reply.header.size = sizeof(reply.header) + sizeof(*access) + data;
	put(c, &reply, reply.header.size, NULL, 0);
}

static void close_all(struct msghdr *msg)
{
	struct cmsghdr *cmsg;
	size_t i, nr;
	int fd;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		nr = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < nr; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int),
			       sizeof(fd));
			close(fd);
		}
	}
}

/* Receive @len bytes; false if the session has ended, or says nothing. */
static bool get(struct conversation *c, void *data, size_t len)
{
	char control[CMSG_SPACE(64 * sizeof(int))];
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	ssize_t n;

	while (iov.iov_len) {
		if (!wait_for(c->socket, REPLY_MS))
			return false;
		msg.msg_controllen = sizeof(control);
		n = recvmsg(c->socket, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n <= 0)
			return false;
		close_all(&msg);
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= n;
	}
	return true;
}

static bool get_message(struct conversation *c, struct message *m)
{
	static uint8_t rest[BRIDGE_MAX_MSG];
	size_t len, head;

	if (!get(c, &m->header, sizeof(m->header)))
		return false;
	fuzz_require(m->header.size >= sizeof(m->header) &&
		     m->header.size <= sizeof(rest),
		     "the daemon's messages have a size that can be");
	len = m->header.size - sizeof(m->header);
	head = min(len, sizeof(m->payload));
	return get(c, m->payload, head) && get(c, rest, len - head);
}

/* Until the reply to the message with @id, or the end. */
static void await(struct conversation *c, uint16_t id)
{
	struct message m;

	while (!c->over) {
		if (!get_message(c, &m)) {
			c->over = true;
			return;
		}
		if ((m.header.flags & VFIO_USER_TYPE_MASK) ==
		    VFIO_USER_TYPE_COMMAND)
			serve(c, &m, m.header.size);
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
	put(c, &m, first, fds, nr_fds);
	if (first < len)
		put(c, (char *)&m + first, len - first, NULL, 0);
	/* Who lies about the size isn't answered until it hangs up. */
	if (m.header.size > len)
		c->over = true;
	else if (!(m.header.flags & VFIO_USER_FLAG_NO_REPLY))
		await(c, c->id);
}

static void converse(struct conversation *c, bool own_version)
{
	unsigned int i, command;

	if (!own_version)
		say(c, VFIO_USER_VERSION, 0);
	for (i = 0; i < MAX_MESSAGES && c->f->size && !c->over; i++) {
		command = fuzz_u8(c->f) % (VFIO_USER_COMMAND_MAX + 3);
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
			.call = fuzz_u8(f) % FAKE_NR_CALLS,
			.kind = fuzz_u8(f) % FAKE_NR_KINDS,
			.request = ';' << 8 | (100 + fuzz_u8(f) % 32),
			.nth = fuzz_u8(f) & 7,
			.err = fuzz_u8(f) % 134,
		};
		/* Nothing can be said of a machine that lets go of nothing. */
		if (rule.call == FAKE_CLOSE || rule.call == FAKE_MUNMAP)
			continue;
		rule.limit = rule.err ? 0 : fuzz_u8(f);
		fake_rule_set(&root, i, &rule);
	}
}

static void set_machine(unsigned int how)
{
	struct fake_config *config = &root.control->config;

	opts.iommu = how & HOW_TYPE1 ? VFIO_IOMMU_TYPE1 : VFIO_IOMMU_IOMMUFD;
	opts.mmap = !(how & (HOW_MMAP_OFF | HOW_SHADOW));
	opts.shadow_max = how & HOW_SHADOW ? 1 << 20 : 0;
	opts.on_disconnect = how & HOW_RETAIN ? ON_DISCONNECT_RETAIN :
						ON_DISCONNECT_RESET;
	config->flr = !(how & HOW_NO_RESET);
	config->migration = how & HOW_STATIC ? 0 : 7;
	config->logging = !(how & HOW_STATIC);
}

static void end(struct bridge *b)
{
	eventfd_t value;

	fuzz_require(wait_for(daemon_.done_fd, END_MS),
		     "a session ends when its client has gone");
	eventfd_read(daemon_.done_fd, &value);
	session_reap(b);
	device_drop_retained(b);
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

static void run(struct fuzz *f)
{
	struct bridge *b = &daemon_.bridges[0];
	struct conversation c = { .f = f };
	unsigned int how = fuzz_u8(f);
	int fds[2];

	set_machine(how);
	if (how & HOW_RULES)
		set_rules(f);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		goto clear;
	c.socket = fds[1];
	if (session_start(b, fds[0])) {
		close(fds[1]);
		goto clear;
	}
	converse(&c, how & HOW_OWN_VERSION);
	close(fds[1]);
	end(b);
	check_clean(how & HOW_RULES);
clear:
	fake_rules_clear(&root);
}

static void some_fds_open(void)
{
	char path[64];
	int pipes[2], sockets[2];

	some_fds[FD_MEMORY] = memfd_create("memory", MFD_CLOEXEC);
	fuzz_require(!ftruncate(some_fds[FD_MEMORY], MEMORY_SIZE), "memory");
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

static void daemon_start(void)
{
	static const char *const argv[] = {
		"session_fuzz", "--device=0000:01:00.0",
		"--socket-path=/nowhere/socket", "--ioeventfd=0:0x28:8:1", NULL,
	};
	struct bridge *b = &daemon_.bridges[0];
	struct sigaction interrupt = { .sa_handler = main_interrupted };

	signal(SIGPIPE, SIG_IGN);
	sigaction(WATCH_SIGNAL, &interrupt, NULL);
	fuzz_require(options_parse(&opts, ARRAY_SIZE(argv) - 1,
				   (char **)argv) < 0,
		     "the options are right");
	daemon_.opts = &opts;
	daemon_.nr_bridges = 1;
	daemon_.done_fd = eventfd(0, EFD_CLOEXEC);
	b->daemon = &daemon_;
	b->opts = &opts;
	b->own = &opts.devices[0];
	b->listener.fd = -1;
	b->retained_req = -1;
	pthread_mutex_init(&b->lock, NULL);
	fuzz_require(!pci_resolve(b->own->device, &b->device),
		     "the device is there");
	fuzz_require(!device_check(b), "the device can be exported");
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
	int before = fuzz_lowest_fd();

	run(&f);
	fuzz_require(fuzz_lowest_fd() == before, "no fd is left");
	return 0;
}
