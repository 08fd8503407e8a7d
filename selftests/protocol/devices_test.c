// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several devices in one daemon: whose is which option, and that none of them
 * waits for another.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "pair.h"
#include "util.h"

#include "kselftest_harness.h"

#define EXIT_USAGE	2
#define EXIT_DEVICE	3
#define EXIT_SOCKET	4

#define SIZE		0x10000

#define A		"--device=" PAIR_DEVICE_A
#define B		"--device=" PAIR_DEVICE_B

static const char *const no_args[] = { NULL };

/* Two devices in groups of their own. */
FIXTURE(devices)
{
	struct pair pair;
	struct fake_config config;
	struct peer *a;
	struct peer *b;
};

FIXTURE_SETUP(devices)
{
	pair_init(&self->pair);
	pair_config(&self->config, PEER_TYPE1);
	self->config.more[0].group = 8;
	self->a = &self->pair.a;
	self->b = &self->pair.b;
}

FIXTURE_TEARDOWN(devices)
{
	EXPECT_EQ(0, pair_close(&self->pair));
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* Run the daemon with these arguments until it ends by itself. */
static int run(struct peer *peer, const char *const args[])
{
	int ret;

	ret = fake_daemon_spawn(&peer->daemon, &peer->root, args);
	if (ret)
		return ret;
	ret = fake_daemon_wait(&peer->daemon, 15000);
	if (ret == -ETIMEDOUT)
		fake_daemon_stop(&peer->daemon, SIGKILL);
	return ret;
}

/* Mistakes of the command line, and what is said of them, in one line. */
static const struct {
	const char *args[8];
	const char *said;
} mistakes[] = {
	{ { A, "--socket-path=/tmp/x", B }, PAIR_DEVICE_B ": on which socket?" },
	{ { A, B, "--socket-path=/tmp/x" }, PAIR_DEVICE_A ": on which socket?" },
	{ { "--socket-path=/tmp/x", A, B, "--socket-path=/tmp/y" },
	  "before the first --device" },
	{ { "--fd=5", A, "--fd=4", B, "--fd=3" }, "before the first --device" },
	{ { "--ioeventfd=0:0:4", A, "--fd=3", B, "--fd=4" },
	  "before the first --device" },
	{ { A, "--socket-path=/tmp/x", B, "--socket-path=/tmp/x" },
	  "--socket-path=/tmp/x: it is given to " PAIR_DEVICE_A " and to "
	  PAIR_DEVICE_B },
	{ { A, "--fd=5", B, "--fd=5" }, "--fd=5: it is given to" },
	{ { A, "--socket-path=/tmp/x", "--monitor=/tmp/x" },
	  "that is the monitor's" },
	{ { A, "--fd=5", B, "--socket-path=/tmp/x", "--fd=4" },
	  PAIR_DEVICE_B ": give --socket-path=PATH or --fd=N, one of the two" },
	{ { A, "--fd=5", "--device=1:0.0", "--fd=4" },
	  "--device=1:0.0: it is given twice" },
	{ { A, "--fd=5", B, "--fd=6", "--ioeventfd=0:0:4", "--shadow-dma" },
	  "--shadow-dma does not go with" },
};

TEST_F(devices, mistakes_are_said)
{
	size_t i;

	ASSERT_EQ(0, peer_machine(self->a, &self->config));
	for (i = 0; i < ARRAY_SIZE(mistakes); i++) {
		EXPECT_EQ(EXIT_USAGE, run(self->a, mistakes[i].args))
			TH_LOG("%zu", i);
		EXPECT_TRUE(peer_log_has(self->a, mistakes[i].said))
			TH_LOG("not said: %s", mistakes[i].said);
		EXPECT_EQ(1, peer_log_count(self->a, "\n"));
	}
}

TEST_F(devices, any_order_with_one)
{
	char path[200];
	const char *const args[] = { path, "--ioeventfd=0:0x1000:4", A, NULL };

	ASSERT_EQ(0, peer_machine(self->a, &self->config));
	snprintf(path, sizeof(path), "--socket-path=%s/early",
		 self->a->root.path);
	ASSERT_EQ(0, fake_daemon_start(&self->a->daemon, &self->a->root, args));
	EXPECT_EQ(0, peer_connect(self->a));
}

TEST_F(devices, one_that_cannot_be_exported_stops_all)
{
	const char *const args[] = { A, "--socket-path=/tmp/never-1",
				     "--device=0000:77:00.0",
				     "--socket-path=/tmp/never-2", NULL };
	struct stat st;

	ASSERT_EQ(0, peer_machine(self->a, &self->config));
	EXPECT_EQ(EXIT_DEVICE, run(self->a, args));
	EXPECT_EQ(-1, stat("/tmp/never-1", &st));
}

TEST_F(devices, socket_that_cannot_be_removes_the_others)
{
	char path[200];
	const char *const args[] = { A, path, B, "--socket-path=/nowhere/x",
				     NULL };
	struct stat st;

	ASSERT_EQ(0, peer_machine(self->a, &self->config));
	snprintf(path, sizeof(path), "--socket-path=%s/first",
		 self->a->root.path);
	EXPECT_EQ(EXIT_SOCKET, run(self->a, args));
	EXPECT_EQ(-1, stat(path + strlen("--socket-path="), &st));
	EXPECT_EQ(ENOENT, errno);
}

TEST_F(devices, each_has_a_session_and_doorbells_of_its_own)
{
	static const char *const bell[] = { "--ioeventfd=0:0x1000:4", NULL };
	struct vfio_user_region_io_fds request = {
		.argsz = sizeof(request) + 256,
	};
	struct wire_reply r;
	int other;

	/* The last device has none to offer, and the first isn't asked. */
	ASSERT_EQ(-ECHILD, pair_start(&self->pair, &self->config, bell));
	EXPECT_TRUE(peer_log_has(self->a, PAIR_DEVICE_B
				 ": --ioeventfd: the kernel refuses"));
	fake_root_destroy(&self->a->root);

	ASSERT_EQ(0, pair_start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, peer_connect(self->a));
	ASSERT_EQ(0, peer_connect(self->b));
	EXPECT_EQ(0, wire_call(self->b->sock,
			       VFIO_USER_DEVICE_GET_REGION_IO_FDS, &request,
			       sizeof(request), &r));

	/* A second client is refused where it comes, and only there. */
	other = wire_connect(self->a->daemon.socket);
	EXPECT_EQ(EBUSY, wire_version(other, NULL, &r));
	close(other);
	EXPECT_EQ(FAKE_ID, peer_get64(self->a, FAKE_REG_ID));
	EXPECT_EQ(FAKE_ID, peer_get64(self->b, FAKE_REG_ID));
}

TEST_F(devices, status_has_a_list)
{
	json_t *status, *list, *second;

	ASSERT_EQ(0, pair_start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, peer_connect(self->b));
	status = peer_status(self->a);
	list = json_object_get(status, "devices");
	ASSERT_EQ(2, json_array_size(list));
	second = json_array_get(list, 1);
	EXPECT_STREQ(PAIR_DEVICE_B,
		     json_string_value(json_object_get(second, "device")));
	EXPECT_TRUE(json_is_object(json_object_get(second, "session")));
	EXPECT_TRUE(json_is_null(json_object_get(json_array_get(list, 0),
						 "session")));
	EXPECT_EQ(NULL, json_object_get(second, "shares_group_with"));
	json_decref(status);
}

TEST_F(devices, exit_comes_with_the_last_client)
{
	static const char *const args[] = { "--on-disconnect=exit", NULL };
	struct stat st;

	ASSERT_EQ(0, pair_start(&self->pair, &self->config, args));
	ASSERT_EQ(0, peer_connect(self->a));
	ASSERT_EQ(0, peer_connect(self->b));
	close_fd(&self->a->sock);
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	EXPECT_EQ(-1, stat(self->a->daemon.socket, &st));
	EXPECT_EQ(FAKE_ID, peer_get64(self->b, FAKE_REG_ID));
	close_fd(&self->b->sock);
	EXPECT_EQ(0, fake_daemon_wait(&self->a->daemon, 8000));
}

TEST_F(devices, connected_sockets_of_each)
{
	char arg[2][16];
	const char *const args[] = { A, arg[0], B, arg[1], NULL };
	int pairs[2][2], i;

	ASSERT_EQ(0, peer_machine(self->a, &self->config));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]));
		fcntl(pairs[i][0], F_SETFD, FD_CLOEXEC);
		snprintf(arg[i], sizeof(arg[i]), "--fd=%d", pairs[i][1]);
	}
	ASSERT_EQ(0, fake_daemon_spawn(&self->a->daemon, &self->a->root, args));
	for (i = 0; i < 2; i++) {
		struct wire_reply r;

		close(pairs[i][1]);
		EXPECT_EQ(0, wire_version(pairs[i][0], NULL, &r));
	}
	close(pairs[0][0]);
	EXPECT_EQ(-ETIMEDOUT, fake_daemon_wait(&self->a->daemon, 500));
	close(pairs[1][0]);
	EXPECT_EQ(0, fake_daemon_wait(&self->a->daemon, 8000));
}

/* Send DMA_MAP of a file, and don't wait for what comes of it. */
static int send_map(const struct peer *peer, int fd)
{
	const struct vfio_user_dma_map request = {
		.argsz = sizeof(request),
		.flags = PEER_RW,
		.size = SIZE,
	};

	return wire_command(peer->sock, 1, VFIO_USER_DMA_MAP, &request,
			    sizeof(request), &fd, 1);
}

/* The next map hangs in the kernel, where no signal reaches it. */
static void hang(struct peer *peer, unsigned int ms)
{
	const struct fake_rule rule = {
		.call = FAKE_IOCTL,
		.kind = FAKE_CONTAINER,
		.request = VFIO_IOMMU_MAP_DMA,
		.nth = 1,
		.delay_ms = ms,
		.stubborn = true,
	};

	fake_rule_set(&peer->root, 0, &rule);
}

TEST_F(devices, one_that_hangs_keeps_no_other_waiting)
{
	int memory = peer_memory(SIZE), again;
	struct wire_reply r;
	int64_t begin;
	json_t *status;

	ASSERT_EQ(0, pair_start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, peer_connect(self->a));
	hang(self->a, 4000);
	begin = now_ms();
	ASSERT_EQ(0, send_map(self->a, memory));
	/* Its client goes, so that the session is to end, and can't. */
	peer_pause(100);
	close_fd(&self->a->sock);
	again = wire_connect(self->a->daemon.socket);

	ASSERT_EQ(0, peer_connect(self->b));
	EXPECT_EQ(0, wire_map(self->b->sock, 0, SIZE, PEER_RW, memory, 0));
	EXPECT_EQ(FAKE_DMA_DONE, peer_dma(self->b, 0, 64, 64));
	close_fd(&self->b->sock);
	EXPECT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_B));
	EXPECT_EQ(0, peer_connect(self->b));
	status = peer_status(self->a);
	EXPECT_NE(NULL, status);
	json_decref(status);
	EXPECT_GT(3000, now_ms() - begin);

	/* And who waits for it gets it. */
	EXPECT_EQ(0, wire_version(again, NULL, &r));
	EXPECT_LE(3900, now_ms() - begin);
	close(again);
	close(memory);
}

TEST_F(devices, end_of_all_waits_for_the_slowest)
{
	int memory = peer_memory(SIZE);
	int64_t begin;

	ASSERT_EQ(0, pair_start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, peer_connect(self->a));
	ASSERT_EQ(0, peer_connect(self->b));
	hang(self->a, 3000);
	begin = now_ms();
	ASSERT_EQ(0, send_map(self->a, memory));
	peer_pause(100);
	kill(self->a->daemon.pid, SIGTERM);
	EXPECT_TRUE(wire_closed(self->b->sock));
	EXPECT_GT(2000, now_ms() - begin);
	EXPECT_EQ(0, fake_daemon_wait(&self->a->daemon, 8000));
	EXPECT_LE(2900, now_ms() - begin);
	EXPECT_EQ(0, self->a->root.control->nr_maps);
	close(memory);
}

/* Somebody has put a socket of his own in its place: it is his. */
TEST_F(devices, socket_of_somebody_else_stays)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;

	ASSERT_EQ(0, pair_start(&self->pair, &self->config, no_args));
	strcpy(addr.sun_path, self->a->daemon.socket);
	ASSERT_EQ(0, unlink(addr.sun_path));
	ASSERT_EQ(0, bind(sock, (struct sockaddr *)&addr, sizeof(addr)));
	EXPECT_EQ(0, fake_daemon_stop(&self->a->daemon, SIGTERM));
	EXPECT_EQ(0, stat(addr.sun_path, &st));
	EXPECT_EQ(-1, stat(self->b->daemon.socket, &st));
	close(sock);
}

TEST_F(devices, uuid_that_is_not_there)
{
	const char *const args[] = {
		"--device=83b8f4f2-509f-382f-3c1e-e6bfe0fa1009", "--fd=5", NULL
	};

	ASSERT_EQ(0, peer_machine(self->a, &self->config));
	EXPECT_EQ(EXIT_DEVICE, run(self->a, args));
	EXPECT_TRUE(peer_log_has(self->a, "ls /sys/bus/mdev/devices lists them"));
}

TEST_HARNESS_MAIN
