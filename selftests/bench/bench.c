// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a message costs, against what it must cost at least.
 *
 * The floor is an echo over a bare socket pair: another process receives a
 * request of the same size and sends a reply of the same size, and does nothing
 * else. The daemon runs on the software VFIO, so the figures are those of the
 * socket, the framing and the bookkeeping, and of one pread(2). It is the
 * configuration space that is read, because that is what messages are for, and
 * because for a BAR the software VFIO looks at the command register first.
 *
 * Machines are noisy and change their speed, so nothing is compared across
 * runs: what is compared is measured in turns, a short round of the one and a
 * short round of the other, and what is printed is the median of the rounds'
 * ratios.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "selftests/fake/fixture.h"
#include "util.h"
#include "vfio_user.h"

#define ROUNDS		41
#define BATCH		64
#define ONE_BY_ONE	2000	/* messages a round, one at a time */
#define IN_FLIGHT	6400	/* messages a round, BATCH in flight */
#define MAP_PAIRS	500	/* DMA_MAP and DMA_UNMAP a round */
#define MANY_MAPS	60000
#define PAGE		4096ull
#define MANY_BASE	0x100000000ull

struct read_request {
	struct vfio_user_header header;
	struct vfio_user_region_access access;
} __attribute__((packed));

struct read_reply {
	struct vfio_user_header header;
	struct vfio_user_region_access access;
	uint32_t value;
} __attribute__((packed));

struct map_request {
	struct vfio_user_header header;
	struct vfio_user_dma_map map;
} __attribute__((packed));

struct unmap_request {
	struct vfio_user_header header;
	struct vfio_user_dma_unmap unmap;
} __attribute__((packed));

static void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static int compare_double(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare_double);
	return values[ROUNDS / 2];
}

static void receive(int sock, void *buf, size_t len)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = recv(sock, (char *)buf + have, len - have, 0);

		if (n <= 0)
			die("the other side is gone");
		have += n;
	}
}

/* The floor: a process that answers requests with replies of the right size. */
static int start_echo(void)
{
	struct read_request request;
	struct read_reply reply = { 0 };
	int sv[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		die("socketpair");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid) {
		close(sv[1]);
		return sv[0];
	}
	close(sv[0]);
	while (recv(sv[1], &request, sizeof(request), 0) == sizeof(request))
		send(sv[1], &reply, sizeof(reply), MSG_NOSIGNAL);
	_exit(0);
}

static void fill_read(struct read_request *request, uint16_t id)
{
	*request = (struct read_request){
		.header = {
			.id = id,
			.command = VFIO_USER_REGION_READ,
			.size = sizeof(*request),
		},
		.access = {
			.region = VFIO_PCI_CONFIG_REGION_INDEX,
			.count = sizeof(uint32_t),
		},
	};
}

/* Nanoseconds a message, one after the other. */
static double round_one_by_one(int sock)
{
	struct read_request request;
	struct read_reply reply;
	double start;
	int i;

	fill_read(&request, 1);
	start = now_ns();
	for (i = 0; i < ONE_BY_ONE; i++) {
		if (send(sock, &request, sizeof(request), 0) < 0)
			die("send");
		receive(sock, &reply, sizeof(reply));
	}
	return (now_ns() - start) / ONE_BY_ONE;
}

/* Nanoseconds a message, BATCH of them in flight. */
static double round_in_flight(int sock)
{
	struct read_request requests[BATCH];
	struct read_reply replies[BATCH];
	double start;
	int i;

	for (i = 0; i < BATCH; i++)
		fill_read(&requests[i], i);
	start = now_ns();
	for (i = 0; i < IN_FLIGHT; i += BATCH) {
		if (send(sock, requests, sizeof(requests), 0) < 0)
			die("send");
		receive(sock, replies, sizeof(replies));
	}
	for (i = 0; i < BATCH; i++) {
		if (replies[i].header.id != i ||
		    replies[i].header.flags != VFIO_USER_TYPE_REPLY)
			die("a reply is an error");
	}
	return (now_ns() - start) / IN_FLIGHT;
}

static int connect_daemon(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct {
		struct vfio_user_header header;
		struct vfio_user_version version;
	} __attribute__((packed)) hello = {
		.header = {
			.command = VFIO_USER_VERSION,
			.size = sizeof(hello),
		},
		.version = { VFIO_USER_MAJOR, VFIO_USER_MINOR },
	};
	char reply[4096];
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (sock < 0 || connect(sock, (struct sockaddr *)&addr, sizeof(addr)) ||
	    send(sock, &hello, sizeof(hello), 0) != sizeof(hello) ||
	    recv(sock, reply, sizeof(reply), 0) <= (ssize_t)sizeof(hello))
		die("connecting to the daemon");
	return sock;
}

static void send_with_fd(int sock, const void *buf, size_t len, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)buf, len };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&mh);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	if (sendmsg(sock, &mh, 0) != (ssize_t)len)
		die("sendmsg");
}

static void expect_success(int sock, size_t len)
{
	struct {
		struct vfio_user_header header;
		struct vfio_user_dma_unmap unmap;
	} __attribute__((packed)) reply;

	receive(sock, &reply, len);
	if (reply.header.flags & VFIO_USER_FLAG_ERROR) {
		errno = reply.header.error;
		die("a map is refused");
	}
}

static void map_page(int sock, uint64_t iova, int fd)
{
	const struct map_request request = {
		.header = {
			.command = VFIO_USER_DMA_MAP,
			.size = sizeof(request),
		},
		.map = {
			.argsz = sizeof(request.map),
			.flags = VFIO_USER_DMA_MAP_READ |
				 VFIO_USER_DMA_MAP_WRITE,
			.address = iova,
			.size = PAGE,
		},
	};

	send_with_fd(sock, &request, sizeof(request), fd);
	expect_success(sock, sizeof(struct vfio_user_header));
}

static void unmap_page(int sock, uint64_t iova)
{
	const struct unmap_request request = {
		.header = {
			.command = VFIO_USER_DMA_UNMAP,
			.size = sizeof(request),
		},
		.unmap = {
			.argsz = sizeof(request.unmap),
			.address = iova,
			.size = PAGE,
		},
	};

	if (send(sock, &request, sizeof(request), 0) < 0)
		die("send");
	expect_success(sock, sizeof(request));
}

/* Nanoseconds to map a page and unmap it again, beside what is mapped. */
static double round_map(int sock, int fd, bool many)
{
	double start = now_ns();
	uint64_t iova;
	int i;

	for (i = 0; i < MAP_PAIRS; i++) {
		/* In the middle of the others, another place each time. */
		iova = MANY_BASE + (many ? PAGE * (2 * (i * 97 % MANY_MAPS) + 1) :
				    PAGE * (2 * i + 1));
		map_page(sock, iova, fd);
		unmap_page(sock, iova);
	}
	return (now_ns() - start) / MAP_PAIRS;
}

/* Set by a row that misses its target. */
static bool missed;

static void row(const char *what, double ns, double ratio, const char *of,
		double target)
{
	printf("%-44s %9.0f ns   %6.3f x %-15s", what, ns, ratio, of);
	if (target > 0) {
		printf(" target <= %.3f  %s", target,
		       ratio <= target ? "met" : "MISSED");
		missed |= ratio > target;
	}
	printf("\n");
}

static void bench_read(int echo, int sock)
{
	double floor[ROUNDS], one[ROUNDS], many[ROUNDS];
	double one_ratio[ROUNDS], many_ratio[ROUNDS];
	double floor_ns;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		floor[i] = round_one_by_one(echo);
		one[i] = round_one_by_one(sock);
		many[i] = round_in_flight(sock);
		one_ratio[i] = one[i] / floor[i];
		many_ratio[i] = many[i] / floor[i];
	}
	floor_ns = median(floor);
	row("echo over a bare socket pair", floor_ns, 1, "echo", 0);
	row("REGION_READ of 4 bytes, one at a time", median(one),
	    median(one_ratio), "echo", 1.15);
	/* 600 ns where the echo takes 5 us */
	row("REGION_READ of 4 bytes, 64 in flight", median(many),
	    median(many_ratio), "echo", 0.12);
}

static void bench_map(int few_sock, int many_sock)
{
	double few[ROUNDS], many[ROUNDS], ratio[ROUNDS], few_ns;
	int fd = memfd_create("bench", MFD_CLOEXEC);
	int i;

	if (fd < 0 || ftruncate(fd, PAGE))
		die("memfd_create");
	for (i = 0; i < MANY_MAPS - 1; i++)
		map_page(many_sock, MANY_BASE + 2 * PAGE * i, fd);
	for (i = 0; i < ROUNDS; i++) {
		few[i] = round_map(few_sock, fd, false);
		many[i] = round_map(many_sock, fd, true);
		ratio[i] = many[i] / few[i];
	}
	few_ns = median(few);
	row("DMA_MAP and DMA_UNMAP of a page, the first", few_ns, 1,
	    "the first", 0);
	row("DMA_MAP and DMA_UNMAP of a page, the 60000th", median(many),
	    median(ratio), "the first", 1.3);
	close(fd);
}

int main(void)
{
	static const char *const args[] = { NULL };
	struct fake_daemon daemons[2];
	struct fake_root roots[2];
	struct fake_config config;
	int socks[2], echo, i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	fake_config_default(&config);
	for (i = 0; i < 2; i++) {
		if (fake_root_create(&roots[i], &config) ||
		    fake_daemon_start(&daemons[i], &roots[i], args))
			die("starting the daemon");
		socks[i] = connect_daemon(daemons[i].socket);
	}
	echo = start_echo();

	bench_read(echo, socks[0]);
	bench_map(socks[0], socks[1]);

	close(echo);
	for (i = 0; i < 2; i++) {
		close(socks[i]);
		fake_daemon_stop(&daemons[i], SIGTERM);
		fake_root_destroy(&roots[i]);
	}
	return missed;
}
