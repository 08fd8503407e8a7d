// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fds that aren't what they are taken for: everything that has an fd, sent where
 * memory is expected and where eventfds are. Whether the kernel takes one isn't
 * the daemon's to say, but for files of any file system (bridge/screen.c): it
 * passes on what the kernel says, with --shadow-dma as without, goes on, and keeps
 * none. lab: hw/fds_test.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/vfio.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kinds.h"
#include "mirror.h"
#include "util.h"

#include "kselftest_harness.h"

#define PAGE		0x1000ull
#define MEMORY		(4 * PAGE)
#define HUGE		(2ul << 20)

#define EVENTFD_TRIGGER	(VFIO_USER_IRQ_SET_DATA_EVENTFD | \
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER)

/* The daemon's sockets, which come before the other kinds. */
enum {
	SOCKET_OWN,
	SOCKET_TWIN,
	SOCKET_REFUSED,
	SOCKET_MONITOR,
	SOCKET_LISTENER,
	SOCKETS,
};

FIXTURE(fds)
{
	struct peer peer;
	struct fake_config config;
	struct mirror mirror;
	struct kind kinds[SOCKETS + KINDS_MAX];
	unsigned int nr;
	int memory;
};

FIXTURE_VARIANT(fds)
{
	enum peer_way way;
	const char *arg;
};

FIXTURE_VARIANT_ADD(fds, map_file)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(fds, map)
{
	.way = PEER_MAP,
};

FIXTURE_VARIANT_ADD(fds, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_VARIANT_ADD(fds, shadow_dma)
{
	.way = PEER_MAP_FILE,
	.arg = "--shadow-dma",
};

/* A socket of the daemon's on which it listens; it is the test's child. */
static int listener(const struct peer *peer)
{
	int pidfd = syscall(SYS_pidfd_open, peer->daemon.pid, 0);
	int i, fd = -1, listens = 0;
	socklen_t len = sizeof(listens);

	for (i = 3; i < 64 && !listens; i++) {
		close_fd(&fd);
		fd = syscall(SYS_pidfd_getfd, pidfd, i, 0);
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len))
			listens = 0;
	}
	if (!listens)
		close_fd(&fd);
	close(pidfd);
	return fd;
}

/* What a session has, and what it can get at. */
static void add_sockets(struct kind *kinds, const struct peer *peer, int twin)
{
	const struct vfio_user_version version = { 0, 1 };
	int refused = wire_connect(peer->daemon.socket);

	wire_command(refused, 1, VFIO_USER_VERSION, &version, sizeof(version),
		     NULL, 0);
	kinds[SOCKET_OWN] = (struct kind){
		"the session's own socket", fcntl(peer->sock, F_DUPFD_CLOEXEC, 0),
		ENODEV, EINVAL, true
	};
	kinds[SOCKET_TWIN] = (struct kind){
		"the twin socket", fcntl(twin, F_DUPFD_CLOEXEC, 0), ENODEV,
		EINVAL, true
	};
	kinds[SOCKET_REFUSED] = (struct kind){
		"another connection to the daemon", refused, ENODEV, EINVAL, true
	};
	kinds[SOCKET_MONITOR] = (struct kind){
		"the monitor's", wire_connect(peer->monitor), ENODEV, EINVAL, true
	};
	kinds[SOCKET_LISTENER] = (struct kind){
		"the socket on which the daemon listens", listener(peer),
		ENODEV, EINVAL, true
	};
}

static bool is_hung_up(int sock)
{
	struct pollfd hung_up = { .fd = sock };

	return poll(&hung_up, 1, 10000) == 1;
}

FIXTURE_SETUP(fds)
{
	unsigned int i;

	peer_config(&self->config, variant->way);
	ASSERT_EQ(0, peer_start(&self->peer, &self->config, variant->arg));
	ASSERT_EQ(0, mirror_connect(&self->mirror, &self->peer, true, ""));
	add_sockets(self->kinds, &self->peer, self->mirror.twin);
	self->nr = SOCKETS + kinds_open(self->kinds + SOCKETS);
	for (i = 0; i < self->nr; i++)
		ASSERT_LE(0, self->kinds[i].fd)
			TH_LOG("%s", self->kinds[i].name);
	/* The daemon is done with what it has of them itself. */
	ASSERT_TRUE(is_hung_up(self->kinds[SOCKET_REFUSED].fd));
	ASSERT_TRUE(is_hung_up(self->kinds[SOCKET_MONITOR].fd));
	self->memory = peer_memory(MEMORY);
}

FIXTURE_TEARDOWN(fds)
{
	unsigned int i;

	mirror_close(&self->mirror);
	for (i = 0; i < self->nr; i++)
		close(self->kinds[i].fd);
	close(self->memory);
	EXPECT_EQ(0, peer_close(&self->peer));
}

static int set_one(const struct peer *peer, uint32_t index, int fd)
{
	return wire_set_irqs(peer->sock, EVENTFD_TRIGGER, index, 0, 1, NULL, 0,
			     &fd, 1);
}

static int disable(const struct peer *peer, uint32_t index)
{
	return wire_set_irqs(peer->sock, VFIO_USER_IRQ_SET_DATA_NONE |
			     VFIO_USER_IRQ_SET_ACTION_TRIGGER, index, 0, 0,
			     NULL, 0, NULL, 0);
}

TEST_F(fds, where_memory_is_expected)
{
	static const enum kinds_way ways[] = {
		[PEER_MAP_FILE] = KINDS_MAP_FILE,
		[PEER_MAP] = KINDS_MMAP,
		[PEER_TYPE1] = KINDS_TYPE1,
	};
	const struct peer *peer = &self->peer;
	int before = peer_nr_fds(peer);
	unsigned int i;
	int ret;

	for (i = 0; i < self->nr; i++) {
		const struct kind *kind = &self->kinds[i];

		ret = wire_map(peer->sock, 0, PAGE, PEER_RW, kind->fd, 0);
		EXPECT_EQ(kinds_map(kind, ways[variant->way], true), -ret)
			TH_LOG("%s", kind->name);
		EXPECT_EQ(!ret, peer->root.control->nr_maps);
		EXPECT_EQ(ret ? ENOENT : 0,
			  wire_unmap(peer->sock, 0, PAGE, 0));
		EXPECT_EQ(before, peer_wait_nr_fds(peer, before))
			TH_LOG("%s", kind->name);
	}
	EXPECT_EQ(0, wire_map(peer->sock, 0, PAGE, PEER_RW, self->memory, 0));
}

TEST_F(fds, where_eventfds_are_expected)
{
	const uint32_t indexes[] = {
		PEER_INTX, PEER_MSI, PEER_MSIX, PEER_ERR, PEER_REQ,
	};
	const struct peer *peer = &self->peer;
	int before = peer_nr_fds(peer);
	unsigned int i, n;

	for (n = 0; n < ARRAY_SIZE(indexes); n++) {
		for (i = 0; i < self->nr; i++) {
			const struct kind *kind = &self->kinds[i];
			int ret = set_one(peer, indexes[n], kind->fd);

			EXPECT_EQ(kinds_event(kind, true), -ret)
				TH_LOG("%s as %u", kind->name, indexes[n]);
			if (!ret)
				EXPECT_EQ(0, disable(peer, indexes[n]));
		}
		EXPECT_EQ(before, peer_wait_nr_fds(peer, before));
	}
}

TEST_F(fds, device_in_place_of_an_eventfd)
{
	static struct wire_reply r;

	if (variant->arg)
		SKIP(return, "with %s nobody has an fd of it", variant->arg);
	ASSERT_EQ(0, wire_region_info(self->peer.sock, PEER_BAR0, 4096, &r));
	ASSERT_EQ(1, r.nr_fds);
	EXPECT_EQ(EINVAL, set_one(&self->peer, PEER_MSIX, r.fds[0]));
	EXPECT_EQ(EINVAL, set_one(&self->peer, PEER_REQ, r.fds[0]));
	wire_close_fds(&r);
}

/* It is one counter, and each session's end takes away what is its own. */
TEST_F(fds, eventfd_that_another_session_has)
{
	const struct peer *peer = &self->peer;
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct peer other;

	ASSERT_EQ(0, peer_start(&other, &self->config, NULL));
	ASSERT_EQ(0, peer_connect(&other));
	EXPECT_EQ(0, set_one(&other, PEER_MSIX, event));
	EXPECT_EQ(0, set_one(peer, PEER_MSIX, event));
	EXPECT_EQ(1, fake_irq_raise(other.root.control, PEER_MSIX, 0));
	EXPECT_EQ(1, peer_fired(event));
	EXPECT_EQ(0, peer_hang_up(&other));
	EXPECT_EQ(0, peer_fired(event));
	EXPECT_EQ(1, fake_irq_raise(peer->root.control, PEER_MSIX, 0));
	EXPECT_EQ(1, peer_wait_fired(event));
	EXPECT_EQ(0, peer_close(&other));
	close(event);
}

/* The kernel, which may have been asked by way of REQ, has ours there again. */
TEST_F(fds, release_is_heard_of_after_eventfds_were_set)
{
	const struct peer *peer = &self->peer;
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	EXPECT_EQ(0, set_one(peer, PEER_MSIX, event));
	EXPECT_EQ(EINVAL, set_one(peer, PEER_MSIX, self->memory));
	EXPECT_EQ(1, fake_irq_raise(peer->root.control, PEER_REQ, 0));
	EXPECT_TRUE(peer_wait_log(peer, "the kernel asks for the device back"));
	EXPECT_TRUE(wire_closed(peer->sock));
	EXPECT_EQ(0, peer_fired(event));
	close(event);
}

/* Nobody can say what is an eventfd, so nothing is written to. */
TEST_F(fds, device_without_req_relays_nothing)
{
	int before, event = eventfd(0, EFD_CLOEXEC);
	struct mirror mirror;
	struct peer peer;

	self->config.irqs[PEER_REQ].flags = 0;
	self->config.irqs[PEER_REQ].count = 0;
	ASSERT_EQ(0, peer_start(&peer, &self->config, variant->arg));
	ASSERT_EQ(0, mirror_connect(&mirror, &peer, true, ""));
	before = fake_nr_fds(&peer.root, peer.daemon.pid);
	EXPECT_EQ(variant->arg ? ENOTTY : 0,
		  set_one(&peer, PEER_MSIX, event));
	EXPECT_EQ(variant->arg ? FAKE_NO_INDEX : PEER_MSIX,
		  peer.root.control->irq.index);
	EXPECT_EQ(variant->arg ? EINVAL : 0, disable(&peer, PEER_MSIX));
	EXPECT_EQ(before, fake_nr_fds(&peer.root, peer.daemon.pid));
	mirror_close(&mirror);
	EXPECT_EQ(0, peer_close(&peer));
	close(event);
}

/* It shrinks, is nothing, and grows again, and the device goes on. */
TEST_F(fds, memory_that_shrinks_while_it_is_mapped)
{
	const struct peer *peer = &self->peer;
	int i, before = peer_nr_fds(peer);

	ASSERT_EQ(0, wire_map(peer->sock, 0, MEMORY, PEER_RW, self->memory, 0));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, ftruncate(self->memory, i == 1 ? PAGE : 0));
		EXPECT_NE(UINT64_MAX, peer_dma(peer, 0, 3 * PAGE, 8));
		EXPECT_EQ(EEXIST, wire_map(peer->sock, 0, MEMORY, PEER_RW,
					   self->memory, 0));
		ASSERT_EQ(0, ftruncate(self->memory, MEMORY));
		EXPECT_EQ(FAKE_DMA_DONE, peer_dma(peer, 0, 3 * PAGE, 8));
	}
	EXPECT_EQ(0, wire_unmap(peer->sock, 0, MEMORY, 0));
	EXPECT_EQ(before, peer_wait_nr_fds(peer, before));
}

/* With windows it needs its own page size; whichever way, nothing is left. */
TEST_F(fds, huge_pages)
{
	const struct peer *peer = &self->peer;
	int before = peer_nr_fds(peer);
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	void *mem;

	if (fd >= 0)
		EXPECT_EQ(0, ftruncate(fd, HUGE));
	mem = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED) {
		close_fd(&fd);
		SKIP(return, "no huge pages: %s", strerror(errno));
	}
	munmap(mem, HUGE);
	EXPECT_EQ(0, wire_map(peer->sock, 0, HUGE, PEER_RW, fd, 0));
	EXPECT_EQ(1, peer->root.control->nr_maps);
	EXPECT_EQ(EINVAL, set_one(peer, PEER_MSIX, fd));
	EXPECT_EQ(0, wire_unmap(peer->sock, 0, HUGE, 0));
	EXPECT_EQ(0, peer->root.control->nr_maps);
	EXPECT_EQ(before, peer_wait_nr_fds(peer, before));
	close(fd);
}

TEST_HARNESS_MAIN
