// SPDX-License-Identifier: GPL-2.0-only
/*
 * SIGTERM at every point of a session. A session is a list of steps; for each
 * of them there is one that gets so far, in which the daemon is told to end. It
 * does, with 0, the device's bus mastering off, and nothing of it left.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mirror.h"
#include "util.h"

#include "kselftest_harness.h"

#define PAGE		0x1000ull

/*
 * How long the end may take, in milliseconds: what is documented is 30 s, which
 * only a kernel that doesn't return takes.
 */
#define STOP_MS		8000
/* How long the kernel takes for a call that is to be interrupted. */
#define SLOW_MS		300

FIXTURE(term)
{
	struct peer peer;
	struct fake_config config;
	struct mirror mirror;
	int memory;
	int event;
	int second;
};

FIXTURE_VARIANT(term)
{
	enum peer_way way;
	const char *arg;
	int signal;
};

FIXTURE_VARIANT_ADD(term, iommufd)
{
	.way = PEER_MAP_FILE,
	.signal = SIGTERM,
};

FIXTURE_VARIANT_ADD(term, type1)
{
	.way = PEER_TYPE1,
	.signal = SIGTERM,
};

FIXTURE_VARIANT_ADD(term, retain)
{
	.way = PEER_MAP_FILE,
	.arg = "--on-disconnect=retain",
	.signal = SIGTERM,
};

FIXTURE_VARIANT_ADD(term, sigint)
{
	.way = PEER_MAP_FILE,
	.signal = SIGINT,
};

FIXTURE_SETUP(term)
{
	peer_config(&self->config, variant->way);
	peer_init(&self->peer);
	self->memory = peer_memory(4 * PAGE);
	self->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	self->second = -1;
	ASSERT_LE(0, self->memory);
	ASSERT_LE(0, self->event);
}

FIXTURE_TEARDOWN(term)
{
	close(self->memory);
	close(self->event);
	EXPECT_EQ(0, peer_close(&self->peer));
}

static int step_connect(struct peer *peer, int memory, int event)
{
	peer->sock = wire_connect(peer->daemon.socket);
	return peer->sock < 0 ? peer->sock : 0;
}

static int step_half_header(struct peer *peer, int memory, int event)
{
	struct vfio_user_header header = wire_header(1, VFIO_USER_VERSION, 4);

	return wire_send(peer->sock, &header, 7, NULL, 0);
}

static int step_reconnect(struct peer *peer, int memory, int event)
{
	close_fd(&peer->sock);
	return peer_connect(peer);
}

static int step_half_payload(struct peer *peer, int memory, int event)
{
	struct vfio_user_header header =
		wire_header(1, VFIO_USER_DMA_MAP, 32);

	return wire_send(peer->sock, &header, sizeof(header), &memory, 1);
}

static int step_info(struct peer *peer, int memory, int event)
{
	struct vfio_user_device_info info;

	return wire_info(peer->sock, &info);
}

static int step_map(struct peer *peer, int memory, int event)
{
	return wire_map(peer->sock, 0, 4 * PAGE, PEER_RW, memory, 0);
}

static int step_irqs(struct peer *peer, int memory, int event)
{
	return wire_set_irqs(peer->sock, VFIO_USER_IRQ_SET_DATA_EVENTFD |
			     VFIO_USER_IRQ_SET_ACTION_TRIGGER, PEER_MSIX, 0, 1,
			     NULL, 0, &event, 1);
}

static int step_dma(struct peer *peer, int memory, int event)
{
	return peer_dma(peer, 0, PAGE, 8) == FAKE_DMA_DONE ? 0 : -EIO;
}

/* The reset isn't done when the daemon is told to end. */
static int step_slow_reset(struct peer *peer, int memory, int event)
{
	const struct fake_rule slow = {
		.call = FAKE_IOCTL,
		.kind = FAKE_DEVICE,
		.request = VFIO_DEVICE_RESET,
		.nth = 1,
		.delay_ms = SLOW_MS,
		.stubborn = true,
	};

	fake_rule_set(&peer->root, 0, &slow);
	return wire_command(peer->sock, 1, VFIO_USER_DEVICE_RESET, NULL, 0,
			    NULL, 0);
}

static int step_many(struct peer *peer, int memory, int event)
{
	const struct vfio_user_region_access read = {
		.region = PEER_CONFIG,
		.count = 4,
	};
	int i, ret = 0;

	for (i = 0; i < 100 && !ret; i++)
		ret = wire_command(peer->sock, i, VFIO_USER_REGION_READ, &read,
				   sizeof(read), NULL, 0);
	return ret;
}

static int step_hang_up(struct peer *peer, int memory, int event)
{
	const struct fake_rule slow = {
		.call = FAKE_IOCTL,
		.kind = FAKE_DEVICE,
		.request = VFIO_DEVICE_SET_IRQS,
		.nth = 1,
		.delay_ms = SLOW_MS,
		.stubborn = true,
	};

	fake_rule_set(&peer->root, 0, &slow);
	close_fd(&peer->sock);
	return 0;
}

static const struct step {
	const char *name;
	int (*go)(struct peer *peer, int memory, int event);
} steps[] = {
	{ "connect", step_connect },
	{ "half a header", step_half_header },
	{ "VERSION", step_reconnect },
	{ "DEVICE_GET_INFO", step_info },
	{ "DMA_MAP", step_map },
	{ "SET_IRQS", step_irqs },
	{ "DMA", step_dma },
	{ "a reset that takes its time", step_slow_reset },
	{ "many commands", step_many },
	{ "half a payload", step_half_payload },
	{ "teardown", step_hang_up },
};

/* Is bus mastering off, if anybody has turned it on? */
static bool is_quiet(const struct peer *peer)
{
	const struct fake_access *access;
	unsigned int back = 0;

	while ((access = fake_last_access(&peer->root, back++))) {
		if (access->write && access->index == PEER_CONFIG &&
		    access->offset == PCI_COMMAND)
			return !(access->value & PCI_COMMAND_MASTER);
	}
	return true;
}

static bool is_all_gone(const struct peer *peer)
{
	const struct fake_control *control = peer->root.control;
	struct stat st;

	return !control->nr_maps && !control->mapped && !control->orphans &&
	       !control->hidden_fds && control->irq.index == FAKE_NO_INDEX &&
	       stat(peer->daemon.socket, &st) && stat(peer->monitor, &st);
}

TEST_F_TIMEOUT(term, at_every_step, 90)
{
	struct peer *peer = &self->peer;
	unsigned int last, i;

	for (last = 0; last < ARRAY_SIZE(steps); last++) {
		ASSERT_EQ(0, peer_start(peer, &self->config, variant->arg));
		for (i = 0; i <= last; i++)
			ASSERT_EQ(0, steps[i].go(peer, self->memory,
						 self->event))
				TH_LOG("%s", steps[i].name);
		kill(peer->daemon.pid, variant->signal);
		EXPECT_EQ(0, fake_daemon_wait(&peer->daemon, STOP_MS))
			TH_LOG("after %s", steps[last].name);
		EXPECT_TRUE(is_quiet(peer));
		EXPECT_TRUE(is_all_gone(peer))
			TH_LOG("after %s", steps[last].name);
		ASSERT_EQ(0, peer_close(peer));
	}
}

TEST_F(term, twice)
{
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, peer_begin(peer, &self->config, variant->arg));
	ASSERT_EQ(0, step_map(peer, self->memory, self->event));
	ASSERT_EQ(0, step_slow_reset(peer, self->memory, self->event));
	kill(peer->daemon.pid, variant->signal);
	peer_pause(20);
	kill(peer->daemon.pid, variant->signal);
	EXPECT_EQ(0, fake_daemon_wait(&peer->daemon, STOP_MS));
	EXPECT_TRUE(is_all_gone(peer));
}

TEST_F(term, while_a_second_client_waits)
{
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, peer_begin(peer, &self->config, variant->arg));
	self->second = wire_connect(peer->daemon.socket);
	ASSERT_TRUE(peer_wait_log(peer, "refused client"));
	kill(peer->daemon.pid, variant->signal);
	EXPECT_EQ(0, fake_daemon_wait(&peer->daemon, STOP_MS));
	EXPECT_TRUE(wire_closed(self->second));
	EXPECT_TRUE(is_all_gone(peer));
	close(self->second);
}

/* A client that has gone has left the device to the next, or to nobody. */
TEST_F(term, between_two_sessions)
{
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, peer_begin(peer, &self->config, variant->arg));
	ASSERT_EQ(0, step_map(peer, self->memory, self->event));
	ASSERT_EQ(0, step_dma(peer, self->memory, self->event));
	close_fd(&peer->sock);
	while (peer->root.control->nr_maps)
		peer_pause(1);
	kill(peer->daemon.pid, variant->signal);
	EXPECT_EQ(0, fake_daemon_wait(&peer->daemon, STOP_MS));
	EXPECT_TRUE(is_quiet(peer));
	EXPECT_TRUE(is_all_gone(peer));
}

/* The daemon has asked for memory, and the client doesn't answer. */
TEST_F(term, while_the_client_is_asked)
{
	static uint8_t mem[PAGE];
	const struct vfio_user_dma_map map = {
		.argsz = sizeof(map),
		.flags = PEER_RW,
		.size = PAGE,
	};
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, peer_start(peer, &self->config, "--shadow-dma"));
	ASSERT_EQ(0, mirror_connect(&self->mirror, peer, true, ""));
	self->mirror.maps[0] = (struct mirror_map){ 0, PAGE, mem };
	self->mirror.nr_maps = 1;
	self->mirror.how = MIRROR_SILENT;
	ASSERT_EQ(0, wire_command(peer->sock, 1, VFIO_USER_DMA_MAP, &map,
				  sizeof(map), NULL, 0));
	while (!self->mirror.reads)
		peer_pause(1);
	kill(peer->daemon.pid, variant->signal);
	/* Sooner than the client would be given up for not answering. */
	EXPECT_EQ(0, fake_daemon_wait(&peer->daemon, 4000));
	EXPECT_TRUE(is_all_gone(peer));
	mirror_close(&self->mirror);
}

/* Whatever it has got to by then: it ends, and leaves no socket behind. */
TEST_F(term, while_it_starts)
{
	const char *const args[] = { variant->arg, NULL };
	struct peer *peer = &self->peer;
	struct stat st;
	unsigned int ms;
	int ret;

	ASSERT_EQ(0, peer_machine(peer, &self->config));
	for (ms = 0; ms < 40; ms += 2) {
		ASSERT_EQ(0, fake_daemon_spawn(&peer->daemon, &peer->root,
					       args));
		peer_pause(ms);
		kill(peer->daemon.pid, variant->signal);
		ret = fake_daemon_wait(&peer->daemon, STOP_MS);
		/* Until it has begun to listen to signals, they kill it. */
		EXPECT_TRUE(!ret || ret == 128 + variant->signal)
			TH_LOG("%d after %u ms", ret, ms);
		EXPECT_NE(0, stat(peer->daemon.socket, &st));
	}
}

TEST_HARNESS_MAIN
