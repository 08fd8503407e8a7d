// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of a file system that is the client's own, and doesn't answer: nothing
 * of the daemon waits for one but what is there for that.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mirror.h"
#include "peer.h"
#include "slow_file.h"
#include "util.h"

#include "kselftest_harness.h"

#define PAGE		0x1000ull
/* As many threads as wait in place of sessions (bridge/screen.c). */
#define CLOSERS		16

#define EVENTFD_TRIGGER	(VFIO_USER_IRQ_SET_DATA_EVENTFD | \
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER)

FIXTURE(screen)
{
	struct peer peer;
	struct slow_file file;
	int fd;
	int memory;
};

FIXTURE_VARIANT(screen)
{
	enum peer_way way;
	const char *arg;
};

FIXTURE_VARIANT_ADD(screen, map_file)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(screen, map)
{
	.way = PEER_MAP,
};

FIXTURE_VARIANT_ADD(screen, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_VARIANT_ADD(screen, shadow_dma)
{
	.way = PEER_MAP_FILE,
	.arg = "--shadow-dma",
};

FIXTURE_SETUP(screen)
{
	struct fake_config config;
	int ret;

	peer_config(&config, variant->way);
	ASSERT_EQ(0, peer_start(&self->peer, &config, variant->arg));
	ret = slow_file_mount(&self->file);
	if (ret)
		SKIP(return, "no FUSE here: %s", strerror(-ret));
	self->fd = slow_file_open(&self->file, O_RDWR);
	ASSERT_LE(0, self->fd);
	self->memory = peer_memory(PAGE);
	ASSERT_EQ(0, peer_connect(&self->peer));
	slow_file_hold(&self->file);
}

FIXTURE_TEARDOWN(screen)
{
	if (self->file.server > 0) {
		slow_file_release(&self->file);
		close(self->fd);
		close(self->memory);
	}
	slow_file_unmount(&self->file);
	EXPECT_EQ(0, peer_close(&self->peer));
}

static int map(const struct peer *peer, int fd)
{
	return wire_map(peer->sock, 0, PAGE, PEER_RW, fd, 0);
}

/* The session goes on, and ends, and so does the device's next. */
static void expect_served(struct __test_metadata *_metadata, struct peer *peer,
			  int memory)
{
	json_t *status;

	EXPECT_EQ(0, map(peer, memory));
	EXPECT_EQ(0, wire_unmap(peer->sock, 0, PAGE, 0));
	status = peer_status(peer);
	EXPECT_NE(NULL, status);
	json_decref(status);
	EXPECT_EQ(0, peer_hang_up(peer));
	EXPECT_EQ(0, peer_connect(peer));
	EXPECT_EQ(0, map(peer, memory));
}

TEST_F(screen, as_memory)
{
	struct peer *peer = &self->peer;
	int i, path = slow_file_open(&self->file, O_PATH);

	ASSERT_LE(0, path);
	for (i = 0; i < 2; i++)
		EXPECT_EQ(EACCES, map(peer, self->fd));
	EXPECT_EQ(EACCES, map(peer, path));
	/* Two flushes are waited for; a path has nothing to flush. */
	EXPECT_EQ(0, slow_file_wait_held(&self->file, 2));
	EXPECT_EQ(1, peer_log_count(peer, "neither shared memory nor an event"));
	expect_served(_metadata, peer, self->memory);
	close(path);
}

TEST_F(screen, as_an_event)
{
	int fds[] = { eventfd(0, EFD_CLOEXEC), self->fd };
	struct peer *peer = &self->peer;
	unsigned int nr;

	for (nr = 1; nr <= ARRAY_SIZE(fds); nr++)
		EXPECT_EQ(EINVAL, wire_set_irqs(peer->sock, EVENTFD_TRIGGER,
						PEER_MSIX, 0, nr, NULL, 0,
						fds + ARRAY_SIZE(fds) - nr,
						nr));
	EXPECT_EQ(0, fake_irq_raise(peer->root.control, PEER_MSIX, 0));
	EXPECT_EQ(0, slow_file_wait_held(&self->file, 2));
	expect_served(_metadata, peer, self->memory);
	close(fds[0]);
}

/*
 * Send the file, and let something wait to be written to it: that is done before the
 * last fd of it is gone.
 */
static int send_unwritten(struct slow_file *file, int fd, int sock)
{
	static const uint8_t page[PAGE];
	int other, ret;

	slow_file_release(file);
	other = slow_file_open(file, O_RDWR);
	ret = other < 0 ? other : wire_send(sock, page, 1, &other, 1);
	close_fd(&other);
	if (!ret && pwrite(fd, page, PAGE, 0) != PAGE)
		ret = -EIO;
	slow_file_hold(file);
	return ret;
}

/* An end of a socket in which that file waits. */
static int socket_with_file(struct slow_file *file, int fd)
{
	int fds[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	ret = send_unwritten(file, fd, fds[1]);
	close(fds[1]);
	if (ret)
		close(fds[0]);
	return ret ? ret : fds[0];
}

/* Until SIGCONT the daemon receives nothing. */
static int stop_daemon(const struct peer *peer)
{
	if (kill(peer->daemon.pid, SIGSTOP) ||
	    waitpid(peer->daemon.pid, NULL, WUNTRACED) != peer->daemon.pid)
		return -errno;
	return 0;
}

TEST_F(screen, in_a_socket)
{
	const struct vfio_user_dma_map request = {
		.argsz = sizeof(request),
		.flags = PEER_RW,
		.size = PAGE,
	};
	int fd = socket_with_file(&self->file, self->fd);
	struct wire_reply *r = malloc(sizeof(*r));
	struct peer *peer = &self->peer;

	ASSERT_LE(0, fd);
	/* Meanwhile, so that the daemon has the last fd of the socket. */
	EXPECT_EQ(0, stop_daemon(peer));
	EXPECT_EQ(0, wire_command(peer->sock, 1, VFIO_USER_DMA_MAP, &request,
				  sizeof(request), &fd, 1));
	close(fd);
	EXPECT_EQ(0, kill(peer->daemon.pid, SIGCONT));
	EXPECT_EQ(EACCES, wire_expect(peer->sock, 1, VFIO_USER_DMA_MAP, r));
	EXPECT_EQ(0, slow_file_wait_held(&self->file, 1));
	expect_served(_metadata, peer, self->memory);
	free(r);
}

/* A reply ends the session: what comes long after it is never received. */
static void leave_behind(struct __test_metadata *_metadata, struct peer *peer,
			 struct slow_file *file, int fd, int sock)
{
	struct vfio_user_header header =
		wire_header(1, VFIO_USER_DMA_READ, sizeof(header));
	static const uint8_t junk[0x8000];

	header.flags = VFIO_USER_TYPE_REPLY;
	EXPECT_EQ(0, stop_daemon(peer));
	EXPECT_EQ(0, wire_send(sock, &header, sizeof(header), NULL, 0));
	EXPECT_EQ(0, wire_send(sock, junk, sizeof(junk), NULL, 0));
	EXPECT_EQ(0, send_unwritten(file, fd, sock));
	if (sock != peer->sock)
		EXPECT_EQ(0, wire_send(peer->sock, &header, sizeof(header),
				       NULL, 0));
	EXPECT_EQ(0, kill(peer->daemon.pid, SIGCONT));
	EXPECT_EQ(0, slow_file_wait_held(file, 1));
}

TEST_F(screen, that_nobody_receives)
{
	struct peer *peer = &self->peer;

	leave_behind(_metadata, peer, &self->file, self->fd, peer->sock);
	close(peer->sock);
	EXPECT_EQ(0, peer_connect(peer));
	expect_served(_metadata, peer, self->memory);
}

TEST_F(screen, that_nobody_receives_over_the_other_socket)
{
	struct peer *peer = &self->peer;
	struct mirror mirror;

	if (!variant->arg)
		SKIP(return, "the daemon asks nothing");
	ASSERT_EQ(0, peer_hang_up(peer));
	ASSERT_EQ(0, mirror_connect(&mirror, peer, true, ""));
	leave_behind(_metadata, peer, &self->file, self->fd, mirror.twin);
	mirror_close(&mirror);
	close(peer->sock);
	EXPECT_EQ(0, peer_connect(peer));
	expect_served(_metadata, peer, self->memory);
}

/* Commands that take none close it, and so do those that aren't whole. */
TEST_F(screen, with_what_takes_none)
{
	struct vfio_user_header header =
		wire_header(2, VFIO_USER_DMA_MAP,
			    sizeof(struct vfio_user_dma_map));
	struct peer *peer = &self->peer;
	struct wire_reply *r = malloc(sizeof(*r));

	EXPECT_EQ(0, wire_command(peer->sock, 1, VFIO_USER_DEVICE_RESET, NULL,
				  0, &self->fd, 1));
	EXPECT_EQ(EINVAL, wire_expect(peer->sock, 1, VFIO_USER_DEVICE_RESET,
				      r));
	EXPECT_EQ(0, slow_file_wait_held(&self->file, 1));
	EXPECT_EQ(0, wire_send(peer->sock, &header, sizeof(header), &self->fd,
			       1));
	EXPECT_EQ(0, slow_file_wait_held(&self->file, 2));
	EXPECT_EQ(0, peer_hang_up(peer));
	EXPECT_EQ(0, peer_connect(peer));
	expect_served(_metadata, peer, self->memory);
	free(r);
}

/* How many threads the daemon has. */
static int nr_threads(const struct peer *peer)
{
	char path[64];
	DIR *dir;
	int nr = -2;

	snprintf(path, sizeof(path), "/proc/%d/task", peer->daemon.pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

/* One session waits then, its own; and what has been held is done at last. */
TEST_F(screen, more_than_there_are_threads_for)
{
	const struct vfio_user_dma_map one_more = {
		.argsz = sizeof(one_more),
		.flags = PEER_RW,
		.size = PAGE,
	};
	struct peer *peer = &self->peer;
	struct wire_reply *r = malloc(sizeof(*r));
	int fds = fake_nr_fds(&peer->root, peer->daemon.pid);
	int i, threads = nr_threads(peer);
	json_t *status;

	for (i = 0; i < CLOSERS; i++)
		EXPECT_EQ(EACCES, map(peer, self->fd));
	EXPECT_EQ(0, wire_command(peer->sock, 1, VFIO_USER_DMA_MAP, &one_more,
				  sizeof(one_more), &self->fd, 1));
	EXPECT_EQ(0, slow_file_wait_held(&self->file, CLOSERS + 1));
	EXPECT_TRUE(wire_quiet(peer->sock));
	status = peer_status(peer);
	EXPECT_NE(NULL, status);
	json_decref(status);

	slow_file_release(&self->file);
	EXPECT_EQ(EACCES, wire_expect(peer->sock, 1, VFIO_USER_DMA_MAP, r));
	for (i = 0; i < 1000 && nr_threads(peer) != threads; i++)
		peer_pause(10);
	EXPECT_EQ(threads, nr_threads(peer));
	EXPECT_EQ(fds, fake_nr_fds(&peer->root, peer->daemon.pid));
	/* There are as many threads again. */
	slow_file_hold(&self->file);
	for (i = 0; i < CLOSERS; i++)
		EXPECT_EQ(EACCES, map(peer, self->fd));
	EXPECT_EQ(0, slow_file_wait_held(&self->file, CLOSERS));
	expect_served(_metadata, peer, self->memory);
	free(r);
}

/* The other socket, where a reply has come before anything was asked. */
TEST_F(screen, with_an_answer)
{
	struct vfio_user_header header = wire_header(1, VFIO_USER_DMA_READ, 0);
	struct peer *peer = &self->peer;
	struct mirror mirror;
	static uint8_t page[PAGE] __attribute__((aligned(PAGE)));

	if (!variant->arg)
		SKIP(return, "the daemon asks nothing");
	ASSERT_EQ(0, peer_hang_up(peer));
	ASSERT_EQ(0, mirror_connect(&mirror, peer, true, ""));
	header.flags = VFIO_USER_TYPE_REPLY;
	EXPECT_EQ(0, wire_send(mirror.twin, &header, sizeof(header), &self->fd,
			       1));
	EXPECT_EQ(-EPIPE, mirror_map(&mirror, peer, 0, page, PAGE, PEER_RW));
	EXPECT_EQ(0, slow_file_wait_held(&self->file, 1));
	mirror_close(&mirror);
	EXPECT_EQ(0, peer_hang_up(peer));
	EXPECT_EQ(0, peer_connect(peer));
	expect_served(_metadata, peer, self->memory);
}

/* The device is free and the socket gone, though the process can't be, yet. */
TEST_F(screen, sigterm_meanwhile)
{
	struct peer *peer = &self->peer;
	int i;

	EXPECT_EQ(0, map(peer, self->memory));
	EXPECT_EQ(1, peer->root.control->nr_maps);
	EXPECT_EQ(EACCES, map(peer, self->fd));
	EXPECT_EQ(0, slow_file_wait_held(&self->file, 1));
	EXPECT_EQ(0, kill(peer->daemon.pid, SIGTERM));
	EXPECT_TRUE(wire_closed(peer->sock));
	for (i = 0; i < 1000 && !access(peer->daemon.socket, F_OK); i++)
		peer_pause(10);
	EXPECT_NE(0, access(peer->daemon.socket, F_OK));
	EXPECT_EQ(0, peer->root.control->nr_maps);
}

TEST_HARNESS_MAIN
