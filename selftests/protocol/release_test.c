// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that the kernel asks for back: the client is told and has some time,
 * then the session ends. Whoever unbinds or unplugs it must not wait for ever.
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"
#include "util.h"
#include "wire.h"

#include "kselftest_harness.h"

#define EVENTFD_TRIGGER	(VFIO_USER_IRQ_SET_DATA_EVENTFD | \
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER)

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

FIXTURE(release)
{
	struct peer peer;
	struct fake_control *control;
	int fd;
};

FIXTURE_VARIANT(release)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(release, iommufd)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(release, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(release)
{
	peer_init(&self->peer);
	self->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(release)
{
	close(self->fd);
	EXPECT_EQ(0, peer_close(&self->peer));
}

static int start(struct peer *peer, enum peer_way way, const char *arg)
{
	struct fake_config config;

	peer_config(&config, way);
	return peer_begin(peer, &config, arg);
}

/* The client wants to be told. */
static int listen_to_req(const struct peer *peer, int fd)
{
	return wire_set_irqs(peer->sock, EVENTFD_TRIGGER, PEER_REQ, 0, 1, NULL,
			     0, &fd, fd >= 0);
}

static int raise_req(const struct peer *peer)
{
	return fake_irq_raise(peer->root.control, PEER_REQ, 0);
}

TEST_F(release, client_without_eventfd_goes_at_once)
{
	ASSERT_EQ(0, start(&self->peer, variant->way, NULL));
	ASSERT_EQ(1, raise_req(&self->peer));
	EXPECT_TRUE(wire_closed(self->peer.sock));
	EXPECT_EQ(0, peer_wait_idle(&self->peer));
	EXPECT_TRUE(peer_log_has(&self->peer, "has not let go"));
	EXPECT_EQ(0, self->peer.root.control->orphans);
}

TEST_F(release, client_that_does_not_let_go_is_ended)
{
	ASSERT_EQ(0, start(&self->peer, variant->way, "--release-timeout=1"));
	ASSERT_EQ(0, listen_to_req(&self->peer, self->fd));
	ASSERT_EQ(1, raise_req(&self->peer));
	EXPECT_EQ(1, peer_wait_fired(self->fd));
	/* Its time isn't over. */
	EXPECT_EQ(0, wire_reset(self->peer.sock));
	EXPECT_TRUE(peer_wait_log(&self->peer, "has 1 s to let go"));
	EXPECT_TRUE(wire_closed(self->peer.sock));
	EXPECT_EQ(0, peer_wait_idle(&self->peer));
}

/* The kernel asks every few seconds; only the first time counts. */
TEST_F(release, asking_again_gives_no_more_time)
{
	unsigned int i;

	ASSERT_EQ(0, start(&self->peer, variant->way, "--release-timeout=2"));
	ASSERT_EQ(0, listen_to_req(&self->peer, self->fd));
	for (i = 0; i < 15 && raise_req(&self->peer) == 1; i++)
		peer_pause(200);
	EXPECT_TRUE(wire_closed(self->peer.sock));
	EXPECT_EQ(0, peer_wait_idle(&self->peer));
	EXPECT_EQ(1, peer_log_count(&self->peer, "has 2 s to let go"));
}

TEST_F(release, client_that_lets_go_is_not_disturbed)
{
	ASSERT_EQ(0, start(&self->peer, variant->way, NULL));
	ASSERT_EQ(0, listen_to_req(&self->peer, self->fd));
	ASSERT_EQ(1, raise_req(&self->peer));
	EXPECT_EQ(1, peer_wait_fired(self->fd));
	EXPECT_TRUE(peer_wait_log(&self->peer, "has 30 s to let go"));
	ASSERT_EQ(0, peer_hang_up(&self->peer));
	EXPECT_FALSE(peer_log_has(&self->peer, "has not let go"));
	/* The next one's time has not begun. */
	ASSERT_EQ(0, peer_connect(&self->peer));
	EXPECT_EQ(0, wire_reset(self->peer.sock));
}

TEST_F(release, retained_device_is_given_back_at_once)
{
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, start(peer, variant->way, "--on-disconnect=retain"));
	ASSERT_EQ(0, peer_leave(peer));
	EXPECT_LT(peer->idle_fds, peer_nr_fds(peer) + peer->fds);
	ASSERT_EQ(1, raise_req(peer));
	EXPECT_TRUE(peer_wait_log(peer, "not retained any more"));
	EXPECT_EQ(0, peer_wait_idle(peer));
	EXPECT_EQ(peer->idle_fds, peer_nr_fds(peer) + peer->fds);
	/* And it can be had again. */
	EXPECT_EQ(0, peer_connect(peer));
}

/* The kernel takes its time to close it; only who wants that device waits. */
TEST_F(release, retained_device_that_is_slow_to_close)
{
	const struct fake_rule slow = {
		.call = FAKE_CLOSE,
		.nth = 1,
		.delay_ms = 3000,
		.stubborn = true,
	};
	struct peer *peer = &self->peer;
	int64_t begin;
	json_t *status;

	ASSERT_EQ(0, start(peer, variant->way,
			   "--on-disconnect=retain"));
	ASSERT_EQ(0, peer_leave(peer));
	fake_rule_set(&peer->root, 0, &slow);
	begin = now_ms();
	ASSERT_EQ(1, raise_req(peer));
	ASSERT_TRUE(peer_wait_log(peer, "not retained any more"));
	status = peer_status(peer);
	EXPECT_NE(NULL, status);
	json_decref(status);
	EXPECT_GT(2000, now_ms() - begin);
	EXPECT_EQ(0, peer_connect(peer));
	EXPECT_LE(2900, now_ms() - begin);
}

TEST_F(release, retained_device_that_is_used_again)
{
	struct peer *peer = &self->peer;
	unsigned int i;

	ASSERT_EQ(0, start(peer, variant->way, "--on-disconnect=retain"));
	ASSERT_EQ(0, peer_leave(peer));
	ASSERT_EQ(0, peer_connect(peer));
	ASSERT_EQ(0, listen_to_req(peer, self->fd));
	ASSERT_EQ(1, raise_req(peer));
	EXPECT_EQ(1, peer_wait_fired(self->fd));
	/* Its thread may still have a copy of the client's. */
	for (i = 0; i < 500 && peer_nr_fds(peer) != 1; i++)
		peer_pause(10);
	EXPECT_EQ(1, peer_nr_fds(peer));
	EXPECT_FALSE(peer_log_has(peer, "not retained any more"));
}

TEST_F(release, option_takes_seconds)
{
	static const char *const bad[] = {
		"--release-timeout=", "--release-timeout=-1",
		"--release-timeout=1x", "--release-timeout=86401",
	};
	struct fake_config config;
	unsigned int i;

	peer_config(&config, variant->way);
	ASSERT_EQ(0, peer_machine(&self->peer, &config));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *const args[] = { bad[i], NULL };

		ASSERT_EQ(0, fake_daemon_spawn(&self->peer.daemon,
					       &self->peer.root, args));
		EXPECT_EQ(2, fake_daemon_wait(&self->peer.daemon, 15000));
		EXPECT_TRUE(peer_log_has(&self->peer, "a number of seconds"));
	}
}

TEST_HARNESS_MAIN
