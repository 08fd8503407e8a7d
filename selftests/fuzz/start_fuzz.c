// SPDX-License-Identifier: GPL-2.0-only
/*
 * The daemon as it is started, serves and ends, with its sandbox, on the software
 * VFIO: a process for each input.
 *
 * The input is a command line, the sockets that are handed over, what is at the
 * sockets' paths, whether it is root who starts it, which parts of the machine
 * are missing, which calls of the kernel's, of libc's and of other libraries'
 * fail, and then step after step: clients come, say something and go, somebody
 * asks the monitor, devices come and go, the kernel holds on to a device, a
 * socket's path becomes somebody else's, signals come. In the end there is
 * SIGTERM, if nothing has ended the daemon before.
 *
 * Besides what the sanitizers find in it: it ends, in time, with a documented
 * exit code that belongs to what happened; it makes no system call that its
 * filter refuses; no fd is left but the main loop's two, nothing is mapped and no
 * device is open; its sockets are gone, and what isn't its own at their paths is
 * as before.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/vfio.h>
#include <netlink/errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bridge/bridge.h"
#include "hooks.h"
#include "selftests/protocol/wire.h"
#include "start.h"

#define MAX_STEPS	32
#define MAX_CLIENTS	8
#define MANY_CLIENTS	20
#define MAX_RAW		256
#define MEMORY_SIZE	0x10000
#define NR_DEVICES	3

/*
 * How long an answer is waited for, and how long a start and an end may take, in
 * milliseconds. Who isn't answered isn't waited for again.
 */
#define REPLY_MS	300
#define SETTLE_MS	20
#define END_MS		30000
/* The same if the kernel may hold on to something: then it is let go. */
#define HELD_REPLY_MS	10
#define HELD_START_MS	50
#define HELD_END_MS	300

/* What the machine and the command line are like. */
#define HOW_PARTS	(1u << 0)
#define HOW_PATHS	(1u << 1)
#define HOW_RULES	(1u << 2)
#define HOW_ANY_ARGS	(1u << 3)
#define HOW_FAILING	(1u << 4)
#define HOW_FDS		(1u << 5)
#define HOW_HELD	(1u << 6)
#define HOW_LANDLOCK	(1u << 7)

/* And who starts it. */
#define WHO_NOBODY	(1u << 0)
#define WHO_SHUT	(1u << 1)
#define WHO_LEAKS	(1u << 2)
#define WHO_STAYS	(1u << 3)

/* What is handed over. */
enum handed {
	HANDED_NOTHING,
	HANDED_LISTENER,
	HANDED_CLIENT,
	HANDED_DATAGRAMS,
	HANDED_FILE,
	NR_HANDED,
};

/* Where clients come to. */
enum place {
	PLACE_SOCKET,
	PLACE_HANDED = PLACE_SOCKET + NR_DEVICES,
	PLACE_MONITOR = PLACE_HANDED + START_FDS,
	NR_PLACES,
};

/**
 * struct client - somebody who speaks to the daemon
 * @fd: -1 if there is none
 * @id: of the last message
 * @ignored: there was no answer
 */
struct client {
	int fd;
	uint16_t id;
	bool ignored;
};

/**
 * struct run - an input at work
 * @f: the rest of it
 * @pid: the daemon
 * @pidfd: the same
 * @clients: those that are there
 * @at: what is at the places
 * @ino: of AT_SOCKET
 * @at_fds: keep it as it is
 * @how: HOW_
 * @told: uevents
 * @signals: those that were sent, a bit each
 * @visited: somebody came
 */
struct run {
	struct fuzz *f;
	pid_t pid;
	int pidfd;
	struct client clients[MAX_CLIENTS];
	enum at_path at[NR_PLACES];
	ino_t ino[NR_PLACES];
	int at_fds[NR_PLACES];
	unsigned int how;
	unsigned int told;
	uint32_t signals;
	bool visited;
};

static char places[NR_PLACES][108];
static int memory_fd, event_fd;

/*
 * The command line
 */

static void add_socket(struct fuzz *f, unsigned int i, char *arg, size_t len)
{
	unsigned int how = fuzz_u8(f);

	if (how < 0x90)
		snprintf(arg, len, "--socket-path=%s", places[i]);
	else if (how < 0xa0)
		snprintf(arg, len, "--socket-path=socket-%u", i);
	else if (how < 0xb0)
		snprintf(arg, len, "--socket-path=%s",
			 setting.sockets[how % SETTING_SOCKETS]);
	else if (how < 0xe0)
		snprintf(arg, len, "--fd=%u",
			 START_FIRST_FD + how % (START_FDS + 1));
	else
		/* One that is handed over, or none */
		strcpy(arg, "-v");
}

/* A command line that starts a daemon, most often. */
static void right_args(struct fuzz *f)
{
	static const char *const more[] = {
		"-v", "--monitor", "--on-disconnect=retain",
		"--on-disconnect=exit", "--iommu=type1", "--iommu=iommufd",
		"--allow-uid=0", "--allow-uid=77", "--allow-gid=77",
		"--no-sandbox", "--unsafe-noiommu", "--shadow-dma",
		"--mmap=off", "--socket-mode=0660", "--socket-user=1",
		"--socket-group=1", "--idle-low-power", "--release-timeout=0",
		"--ioeventfd=0:0x28:8:1", "--check", "--help", "--monitor=",
		"--message-rate=3", "--print-capabilities",
	};
	static const char *const devices[] = {
		"--device=0000:01:00.0", "--device=01:00.1",
		"--device=0000:02:00.0", "--device=0000:09:00.0",
	};
	static char sockets[NR_DEVICES][SETTING_MAX_VALUE], monitor[128];
	unsigned int shape = fuzz_u8(f), nr = 0, i;

	start.argv[nr++] = "vfio-bridge";
	for (i = 0; i < shape % NR_DEVICES + 1; i++) {
		unsigned int device = shape & 0x80 ? fuzz_u8(f) : i;

		start.argv[nr++] = (char *)devices[device % ARRAY_SIZE(devices)];
		add_socket(f, i, sockets[i], sizeof(sockets[i]));
		start.argv[nr++] = sockets[i];
	}
	snprintf(monitor, sizeof(monitor), "--monitor=%s",
		 places[PLACE_MONITOR]);
	for (i = 0; i < (shape >> 2) % 8; i++) {
		start.argv[nr] = (char *)more[fuzz_u8(f) % ARRAY_SIZE(more)];
		if (!strcmp(start.argv[nr], "--monitor"))
			start.argv[nr] = monitor;
		nr++;
	}
	start.argv[nr] = NULL;
	start.argc = nr;
}

/*
 * The machine
 */

static void failing(struct fuzz *f)
{
	unsigned int i;

	for (i = 0; i < START_FAILING; i++) {
		start.failing[i].name = start_call_name(fuzz_u8(f));
		start.failing[i].nth = fuzz_u8(f) % 32;
		start.failing[i].err = fuzz_u8(f) % 133 + 1;
	}
}

static bool fails(const char *name)
{
	unsigned int i;

	for (i = 0; i < START_FAILING; i++) {
		if (start.failing[i].name && start.failing[i].nth &&
		    !strcmp(start.failing[i].name, name))
			return true;
	}
	return false;
}

/* Somebody who isn't root may or may not open the nodes. */
static void set_nodes(bool shut)
{
	static const char *const nodes[] = {
		"iommu", "vfio/vfio", "vfio/7", "vfio/9", "vfio/devices/vfio0",
		"vfio/devices/vfio1", "vfio/devices/vfio2",
	};
	static int is_shut = -1;
	char path[128];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(nodes) && shut != is_shut; i++) {
		snprintf(path, sizeof(path), "%s/dev/%s", setting.root.path,
			 nodes[i]);
		fuzz_require(!chmod(path, shut ? 0600 : 0666), "a node's mode");
	}
	is_shut = shut;
}

static void put_at(struct run *r, unsigned int place, enum at_path what)
{
	struct stat st;

	r->at[place] = what;
	r->at_fds[place] = setting_put(places[place], what);
	r->ino[place] = lstat(places[place], &st) ? 0 : st.st_ino;
}

static struct client *new_client(struct run *r, int fd)
{
	unsigned int i;

	for (i = 0; i < MAX_CLIENTS; i++) {
		if (r->clients[i].fd < 0) {
			r->clients[i] = (struct client){ .fd = fd };
			r->visited = true;
			return &r->clients[i];
		}
	}
	close(fd);
	return NULL;
}

static int hand_over(struct run *r, unsigned int i, enum handed what)
{
	int fds[2];

	switch (what) {
	case HANDED_LISTENER:
		put_at(r, PLACE_HANDED + i, AT_SOCKET);
		return fcntl(r->at_fds[PLACE_HANDED + i], F_DUPFD_CLOEXEC,
			     START_OWN_FDS);
	case HANDED_CLIENT:
		fuzz_require(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
					 fds), "sockets");
		new_client(r, fds[1]);
		break;
	case HANDED_DATAGRAMS:
		fds[0] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		break;
	case HANDED_FILE:
		fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		break;
	default:
		return -1;
	}
	/* Not where another one is to be put in the daemon */
	i = fcntl(fds[0], F_DUPFD_CLOEXEC, START_OWN_FDS);
	close(fds[0]);
	return i;
}

/* Rules for calls that the kernel doesn't return from, until they are cleared. */
static void hold(struct run *r)
{
	static const uint32_t calls[] = {
		FAKE_CLOSE, FAKE_IOCTL, FAKE_PREAD, FAKE_PWRITE, FAKE_OPEN,
	};
	unsigned int how = fuzz_u8(r->f);
	const struct fake_rule rule = {
		.call = calls[how % ARRAY_SIZE(calls)],
		.kind = FAKE_DEVICE,
		.request = ';' << 8 | (100 + fuzz_u8(r->f) % 32),
		.nth = how >> 4 & 3,
		.delay_ms = FAKE_HOLD,
		.stubborn = how & 0x80,
	};

	if (start.held)
		fake_rule_set(&setting.root, FAKE_MAX_RULES - 1, &rule);
}

/* It shows where it is. */
static void never(const struct run *r, const char *what)
{
	kill(r->pid, SIGABRT);
	poll(NULL, 0, REPLY_MS);
	fuzz_require(0, what);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/*
 * Clients
 */

static bool has_ended(const struct run *r)
{
	struct pollfd end = { r->pidfd, POLLIN, 0 };

	return start_told->returned || poll(&end, 1, 0) == 1;
}

/* Until there is something to receive, or nothing will come. */
static bool await(const struct run *r, int fd)
{
	struct pollfd fds[] = { { fd, POLLIN, 0 }, { r->pidfd, POLLIN, 0 } };
	int ret;

	do {
		ret = poll(fds, ARRAY_SIZE(fds),
			   start.held ? HELD_REPLY_MS : REPLY_MS);
	} while (ret < 0 && errno == EINTR);
	return fds[0].revents;
}

/* Take whatever there is, fds as well; false if nothing more comes. */
static bool hear(const struct run *r, int fd, char *buf, size_t *len)
{
	char control[CMSG_SPACE(32 * sizeof(int))];
	struct iovec iov = { buf, *len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	ssize_t n;
	int taken;
	size_t i;

	*len = 0;
	if (!await(r, fd))
		return false;
	n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	cmsg = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
	for (i = 0; cmsg && CMSG_LEN((i + 1) * sizeof(int)) <= cmsg->cmsg_len;
	     i++) {
		memcpy(&taken, CMSG_DATA(cmsg) + i * sizeof(int),
		       sizeof(taken));
		close(taken);
	}
	*len = max(n, (ssize_t)0);
	return n > 0;
}

/* Nobody waits for a place in a queue, nor for room in a socket. */
static int connect_to(unsigned int place)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, places[place]);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		close_fd(&fd);
	return fd;
}

static void come(struct run *r)
{
	unsigned int place = fuzz_u8(r->f) % PLACE_MONITOR;
	int fd = connect_to(place);
	struct client *c = fd < 0 ? NULL : new_client(r, fd);

	/* Nobody looks after somebody else's socket. */
	if (c && place < PLACE_HANDED)
		c->ignored = r->at[place] != AT_NOTHING;
}

/* More than can be refused at one time. */
static void come_all(struct run *r)
{
	unsigned int place = fuzz_u8(r->f) % PLACE_MONITOR, i;
	int fds[MANY_CLIENTS];

	for (i = 0; i < MANY_CLIENTS; i++)
		fds[i] = connect_to(place);
	r->visited = true;
	start_wait(r->pidfd, 1);
	for (i = 0; i < MANY_CLIENTS; i++)
		close_fd(&fds[i]);
}

static size_t fill(struct fuzz *f, unsigned int command, void *payload)
{
	static const char hello[] = "{\"capabilities\":{\"max_msg_fds\":8}}";
	struct vfio_user_version version = { 0, 1 };
	struct vfio_user_dma_map map = {
		.argsz = sizeof(map), .flags = 3, .size = MEMORY_SIZE,
	};
	struct vfio_user_region_access access = {
		.region = fuzz_u8(f) & 0xf, .offset = fuzz_u8(f), .count = 4,
	};
	struct vfio_user_irq_set set = {
		.argsz = sizeof(set), .index = fuzz_u8(f) % 6, .count = 1,
		.flags = VFIO_USER_IRQ_SET_DATA_EVENTFD |
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER,
	};
	uint32_t info[8] = { sizeof(info), 0, fuzz_u8(f) & 0xf };

	switch (command) {
	case VFIO_USER_VERSION:
		memcpy(payload, &version, sizeof(version));
		memcpy(payload + sizeof(version), hello, sizeof(hello));
		return sizeof(version) + sizeof(hello);
	case VFIO_USER_DMA_MAP:
		memcpy(payload, &map, sizeof(map));
		return sizeof(map);
	case VFIO_USER_REGION_READ:
	case VFIO_USER_REGION_WRITE:
		memcpy(payload, &access, sizeof(access));
		fuzz_bytes(f, payload + sizeof(access), access.count);
		return sizeof(access) +
		       (command == VFIO_USER_REGION_WRITE ? access.count : 0);
	case VFIO_USER_DEVICE_SET_IRQS:
		memcpy(payload, &set, sizeof(set));
		return sizeof(set);
	default:
		memcpy(payload, info, sizeof(info));
		return sizeof(info);
	}
}

static void say(struct run *r, unsigned int command)
{
	struct client *c = &r->clients[fuzz_u8(r->f) % MAX_CLIENTS];
	char buf[MAX_RAW];
	size_t len;
	int fd;

	if (c->fd < 0)
		return;
	len = fill(r->f, command, buf);
	fd = command == VFIO_USER_DMA_MAP ? memory_fd : event_fd;
	if (wire_command(c->fd, ++c->id, command, buf, len, &fd,
			 command == VFIO_USER_DMA_MAP ||
			 command == VFIO_USER_DEVICE_SET_IRQS))
		return;
	len = sizeof(buf);
	c->ignored = c->ignored || !hear(r, c->fd, buf, &len);
}

static void say_anything(struct run *r)
{
	struct client *c = &r->clients[fuzz_u8(r->f) % MAX_CLIENTS];
	uint8_t len = fuzz_u8(r->f);
	char buf[MAX_RAW];

	fuzz_bytes(r->f, buf, len);
	if (c->fd >= 0)
		wire_send(c->fd, buf, len, NULL, 0);
}

static void go(struct run *r)
{
	close_fd(&r->clients[fuzz_u8(r->f) % MAX_CLIENTS].fd);
}

/*
 * Others than clients
 */

static void ask_monitor(struct run *r)
{
	int fd = connect_to(PLACE_MONITOR);
	static char text[65536];
	size_t at = 0, len;

	if (fd < 0)
		return;
	if (fuzz_u8(r->f) < 0xc0) {
		do {
			len = sizeof(text) - at;
		} while (len && hear(r, fd, text + at, &len) && (at += len));
		fuzz_require(!at || r->how & HOW_FAILING ||
			     (text[0] == '{' && text[at - 1] == '\n'),
			     "the monitor tells an object, to its end");
	}
	close(fd);
}

static void happen(struct run *r)
{
	static const char *const actions[] = {
		"add", "bind", "unbind", "remove", "change",
	};
	static const char *const drivers[] = {
		"vfio-pci", "e1000e", "", "vfio_mtty",
	};
	unsigned int how = fuzz_u8(r->f);
	char text[256];
	int len;

	text[0] = how & 1;
	len = 1 + snprintf(text + 1, sizeof(text) - 1,
		"x@y%cACTION=%s%cSUBSYSTEM=%s%cDEVPATH=/devices/0000:01:00.%u%cDRIVER=%s",
		0, actions[(how >> 1) % ARRAY_SIZE(actions)], 0,
		how & 0x80 ? "pci" : "mdev", 0, how >> 4 & 1, 0,
		drivers[how >> 5 & 3]) + 1;
	if (how >= 0xf0) {
		/* An error, or no more than a reason to look */
		text[0] = how & 1 ? NLE_NOMEM : 0;
		len = 1;
	}
	start_tell(text, len);
	r->told++;
}

/* The main loop has seen what came before. */
static void settle(struct run *r)
{
	const char nothing = 0;
	unsigned int tries;

	if (!start_told->hears)
		return;
	start_tell(&nothing, sizeof(nothing));
	r->told++;
	for (tries = 0; tries < 100 && start_told->uevents != r->told &&
	     !has_ended(r); tries++)
		start_wait(r->pidfd, start.held ? 1 : SETTLE_MS);
}

static void raise_irq(struct run *r)
{
	unsigned int how = fuzz_u8(r->f);

	fake_irq_raise_on(setting.root.control, (how & 0xf) % NR_DEVICES,
			  how >> 4 & 7, 0);
}

static void send_signal(struct run *r)
{
	static const int numbers[] = {
		SIGTERM, SIGINT, SIGHUP, WATCH_SIGNAL, SIGPIPE, SIGKILL,
	};
	int number = numbers[fuzz_u8(r->f) % ARRAY_SIZE(numbers)];

	/* These end a process that hasn't begun to look. */
	if (number == SIGPIPE && !start_told->serving)
		return;
	r->signals |= 1u << number;
	kill(r->pid, number);
}

/* A path becomes somebody else's. */
static void take_path(struct run *r)
{
	unsigned int place = fuzz_u8(r->f) % NR_PLACES;

	if (r->at[place] != AT_NOTHING)
		return;
	setting_clear(places[place]);
	put_at(r, place, fuzz_u8(r->f) & 1 ? AT_FILE : AT_SOCKET);
}

static void step(struct run *r)
{
	unsigned int what = fuzz_u8(r->f);

	switch (what % 16) {
	case 0:
	case 1:
		come(r);
		break;
	case 2:
		say(r, VFIO_USER_VERSION);
		break;
	case 3:
		say(r, (what >> 4) % (VFIO_USER_COMMAND_MAX + 1));
		break;
	case 4:
		say(r, VFIO_USER_DMA_MAP);
		break;
	case 5:
		say_anything(r);
		break;
	case 6:
		go(r);
		break;
	case 7:
		ask_monitor(r);
		break;
	case 8:
		happen(r);
		break;
	case 9:
		raise_irq(r);
		break;
	case 10:
		send_signal(r);
		break;
	case 11:
		take_path(r);
		break;
	case 12:
		hold(r);
		break;
	case 13:
		come_all(r);
		break;
	case 14:
		say(r, VFIO_USER_DEVICE_SET_IRQS);
		break;
	default:
		settle(r);
	}
}

/*
 * The end
 */

static void check_path(const struct run *r, unsigned int place)
{
	struct stat st;
	bool there = !lstat(places[place], &st);

	switch (r->at[place]) {
	case AT_NOTHING:
		fuzz_require(!there || !start_told->returned ||
			     fails("unlink") || fails("lstat"),
			     "a socket goes with the daemon");
		break;
	case AT_FILE:
		fuzz_require(there && S_ISREG(st.st_mode),
			     "somebody's file is left alone");
		break;
	case AT_DIRECTORY:
		fuzz_require(there && S_ISDIR(st.st_mode),
			     "somebody's directory is left alone");
		break;
	case AT_SOCKET:
		fuzz_require(there && st.st_ino == r->ino[place],
			     "somebody's socket is left alone");
		break;
	default:
		break;
	}
}

static void check_signal(const struct run *r, int number)
{
	fuzz_require(number != SIGSYS,
		     "the daemon makes no system call but those it may");
	fuzz_require(r->signals & 1u << number, "nothing else ends it");
	fuzz_require(number == SIGKILL || !start_told->blocked,
		     "a daemon that looks for a signal ends by itself");
}

static void check_code(const struct run *r, int code)
{
	const uint32_t ending = 1u << SIGTERM | 1u << SIGINT | 1u << SIGHUP;
	bool failed = r->how & (HOW_RULES | HOW_FAILING | HOW_HELD);

	fuzz_require(code <= BRIDGE_EXIT_SOCKET, "exit codes are documented");
	fuzz_require(code != BRIDGE_EXIT_FAILED || failed,
		     "it fails for a reason");
	fuzz_require(start_told->returned ||
		     (code == BRIDGE_EXIT_FAILED && start.held),
		     "it ends in the middle only if the kernel holds on");
	if (!start_told->serving)
		return;
	fuzz_require(code <= BRIDGE_EXIT_FAILED,
		     "a daemon that serves has started");
	fuzz_require(code || r->signals & ending || r->visited,
		     "it ends when it is told to, or with its client");
}

static void check_machine(const struct run *r)
{
	const struct fake_control *control = setting.root.control;

	if (!start_told->returned)
		return;
	fuzz_require(!start_told->left, "no fd is left");
	/* With calls that fail, what close(2) alone undoes may remain noted. */
	if (r->how & HOW_RULES)
		return;
	fuzz_require(!control->nr_maps, "nothing is mapped in the end");
	fuzz_require(!control->nr_doorbells, "no doorbell is left");
	fuzz_require(!control->orphans, "the device is closed");
	fuzz_require(!control->hidden_fds, "the kernel holds no file");
}

static void check(const struct run *r, int status)
{
	unsigned int i;

	fuzz_require(!start_told->reported, "the daemon does nothing wrong");
	if (WIFSIGNALED(status))
		check_signal(r, WTERMSIG(status));
	else
		check_code(r, WEXITSTATUS(status));
	check_machine(r);
	for (i = 0; i < NR_PLACES; i++)
		check_path(r, i);
}

static bool await_end(const struct run *r, int ms)
{
	struct pollfd end = { r->pidfd, POLLIN, 0 };
	int ret;

	do {
		ret = poll(&end, 1, ms);
	} while (ret < 0 && errno == EINTR);
	return ret == 1;
}

static void hang_up(struct run *r)
{
	unsigned int i;

	for (i = 0; i < MAX_CLIENTS; i++)
		close_fd(&r->clients[i].fd);
}

/* Its exit status. */
static int end(struct run *r, bool stay)
{
	int64_t limit;
	int status;

	if (!stay)
		hang_up(r);
	if (!has_ended(r)) {
		r->signals |= 1u << SIGTERM;
		kill(r->pid, SIGTERM);
	}
	start_told->left_alone = true;
	limit = now_ms() + HELD_END_MS;
	while (start.held && !has_ended(r) && now_ms() < limit)
		start_wait(r->pidfd, HELD_END_MS);
	fake_rules_clear(&setting.root);
	limit = now_ms() + END_MS;
	while (!has_ended(r) && now_ms() < limit)
		start_wait(r->pidfd, END_MS);
	/* Who is refused may stay for a time, and nobody waits for that. */
	hang_up(r);
	if (!await_end(r, END_MS))
		never(r, "the daemon ends");
	fuzz_require(waitpid(r->pid, &status, 0) == r->pid, "it was ours");
	close(r->pidfd);
	start_ended();
	return status;
}

/*
 * All of it
 */

static void forget(void)
{
	struct fake_control *control = setting.root.control;

	control->orphans = 0;
	control->hidden_fds = 0;
	control->nr_maps = 0;
	control->mapped = 0;
	control->nr_doorbells = 0;
	control->asleep = false;
	memset(control->maps, 0, sizeof(control->maps));
	memset(control->doorbells, 0, sizeof(control->doorbells));
}

static void prepare(struct run *r, unsigned int who)
{
	unsigned int i;

	for (i = 0; i < MAX_CLIENTS; i++)
		r->clients[i].fd = -1;
	for (i = 0; i < NR_PLACES; i++)
		put_at(r, i, r->how & HOW_PATHS && i < PLACE_HANDED ?
		       fuzz_u8(r->f) % NR_AT : AT_NOTHING);
	memset(&start, 0, sizeof(start));
	start.nobody = who & WHO_NOBODY;
	start.leaks = who & WHO_LEAKS;
	start.held = r->how & HOW_HELD;
	start.landlock = r->how & HOW_LANDLOCK ? fuzz_u8(r->f) % START_LANDLOCK :
						 START_LANDLOCK;
	set_nodes(who & WHO_SHUT);
	if (r->how & HOW_FAILING)
		failing(r->f);
	if (r->how & HOW_RULES)
		setting_rules(r->f);
	start.activate = r->how & HOW_FDS ? fuzz_u8(r->f) : 0;
	for (i = 0; i < START_FDS; i++)
		start.fds[i] = r->how & HOW_FDS ?
			hand_over(r, i, fuzz_u8(r->f) % NR_HANDED) : -1;
	if (r->how & HOW_ANY_ARGS)
		start.argc = setting_args(r->f, start.argv);
	else
		right_args(r->f);
}

static void serve(struct run *r)
{
	int64_t limit;
	int i;

	r->pid = start_fork();
	r->pidfd = pidfd_open(r->pid, 0);
	for (i = 0; i < START_FDS; i++)
		close_fd(&start.fds[i]);
	limit = now_ms() + (start.held ? HELD_START_MS : END_MS);
	while (!start_told->serving && !has_ended(r) && now_ms() < limit)
		start_wait(r->pidfd, start.held ? HELD_START_MS : END_MS);
	if (!start.held && !start_told->serving && !has_ended(r))
		never(r, "the daemon starts");
	for (i = 0; i < MAX_STEPS && r->f->size && !has_ended(r); i++)
		step(r);
}

static void run(struct fuzz *f)
{
	struct run r = { .f = f, .how = fuzz_u8(f) };
	unsigned int who = fuzz_u8(f), gone, i;
	int status;

	gone = r.how & HOW_PARTS ? setting_take_parts(f) : 0;
	setting_mend();
	for (i = 0; i < NR_PLACES; i++)
		setting_clear(places[i]);
	forget();
	prepare(&r, who);
	setting_move_parts(gone, true);
	serve(&r);
	status = end(&r, who & WHO_STAYS);
	setting_move_parts(gone, false);
	check(&r, status);
	for (i = 0; i < NR_PLACES; i++) {
		close_fd(&r.at_fds[i]);
		setting_clear(places[i]);
	}
}

static void make_places(void)
{
	static const char *const names[] = {
		"socket-0", "socket-1", "socket-2", "handed-0", "handed-1",
		"handed-2", "monitor",
	};
	unsigned int i;

	for (i = 0; i < NR_PLACES; i++)
		snprintf(places[i], sizeof(places[i]), "%s/%s",
			 setting.root.path, names[i]);
}

static int open_to_all(const char *path, const struct stat *st, int type,
		       struct FTW *ftw)
{
	(void)ftw;
	if (type == FTW_SL)
		return 0;
	return chmod(path, S_ISDIR(st->st_mode) ? 0777 : 0666);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct fake_config config;

	(void)argc;
	(void)argv;
	fake_config_default(&config);
	config.nr_more = 2;
	config.more[0] = (struct fake_more){ "0000:01:00.1", config.group, 1 };
	config.more[1] = (struct fake_more){ "0000:02:00.0", 9, 2 };
	config.low_power = true;
	setting_create(&config);
	/* Who isn't root has the machine's directory for himself, too. */
	fuzz_require(!nftw(setting.root.path, open_to_all, 16, FTW_PHYS),
		     "modes of files");
	make_places();
	start_init();
	memory_fd = memfd_create("memory", MFD_CLOEXEC);
	fuzz_require(!ftruncate(memory_fd, MEMORY_SIZE), "memory");
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = { data, size };
	int before = fuzz_lowest_fd();

	run(&f);
	fuzz_require(fuzz_lowest_fd() == before, "the fuzzer leaves no fd");
	return 0;
}
