// SPDX-License-Identifier: GPL-2.0-only
/*
 * As blocked_test.c, for what goes on without a client of its own, or with one
 * that keeps the daemon waiting as well: a retained device that doesn't close,
 * and clients that are asked for their memory and don't answer.
 */
#include <linux/vfio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "held.h"
#include "mirror.h"
#include "util.h"

#include "kselftest_harness.h"

#define DEVICE_B	"0000:02:00.0"
/* On a machine that is busy, in seconds. */
#define TIME		100

/* Devices that are retained for nobody in particular. */
FIXTURE(retained)
{
	struct pair pair;
	struct peer *a;
	struct peer *b;
	int memory;
};

FIXTURE_SETUP(retained)
{
	const char *const args[] = { "--on-disconnect=retain", NULL };
	struct fake_config config;

	pair_init(&self->pair);
	self->a = &self->pair.a;
	self->b = &self->pair.b;
	self->memory = peer_memory(HELD_SIZE);
	pair_config(&config, PEER_MAP_FILE);
	config.more[0].group = config.group + 1;
	strcpy(config.more[0].name, DEVICE_B);
	ASSERT_EQ(0, pair_start(&self->pair, &config, args));
	ASSERT_EQ(0, peer_connect(self->a));
	ASSERT_EQ(0, held_leave(self->a, PAIR_DEVICE_A));
}

FIXTURE_TEARDOWN(retained)
{
	fake_rules_clear(&self->a->root);
	EXPECT_EQ(0, pair_close(&self->pair));
	close(self->memory);
}

static const struct fake_call_entry any_close = { .call = FAKE_CLOSE };

/* The kernel wants it, and then takes its time: only who wants it too waits. */
TEST_F(retained, nobody_else_waits_for_one_that_is_given_back)
{
	struct wire_reply r;
	json_t *status;
	int next;

	peer_hold(self->a, &any_close, 1);
	ASSERT_EQ(1, fake_irq_raise(self->a->root.control, PEER_REQ, 0));
	ASSERT_TRUE(peer_wait_held(self->a, 1));
	next = wire_connect(self->a->daemon.socket);
	status = peer_status(self->a);
	EXPECT_NE(NULL, status);
	json_decref(status);
	ASSERT_EQ(0, peer_connect(self->b));
	EXPECT_EQ(0, wire_map(self->b->sock, 0, HELD_SIZE, PEER_RW, self->memory, 0));
	EXPECT_EQ(0, held_leave(self->b, DEVICE_B));
	EXPECT_TRUE(wire_quiet(next));

	fake_rules_clear(&self->a->root);
	EXPECT_EQ(0, wire_version(next, NULL, &r));
	close(next);
}

TEST_F(retained, end_comes_with_the_one_that_is_given_back)
{
	struct fake_daemon *daemon = &self->a->daemon;

	peer_hold(self->a, &any_close, 1);
	ASSERT_EQ(1, fake_irq_raise(self->a->root.control, PEER_REQ, 0));
	ASSERT_TRUE(peer_wait_held(self->a, 1));
	ASSERT_EQ(0, peer_connect(self->b));
	kill(daemon->pid, SIGTERM);
	EXPECT_TRUE(wire_closed(self->b->sock));
	EXPECT_EQ(-ETIMEDOUT, fake_daemon_wait(daemon, 50));
	fake_rules_clear(&self->a->root);
	EXPECT_EQ(0, fake_daemon_wait(daemon, HELD_WAIT_MS));
}

/* Two that wait for the kernel when the daemon ends, and don't get an answer. */
TEST_F_TIMEOUT(retained, end_that_the_kernel_keeps_from_coming, TIME)
{
	struct fake_daemon *daemon = &self->a->daemon;
	const struct fake_call_entry map = {
		FAKE_IOCTL, FAKE_CONTAINER, VFIO_IOMMU_MAP_DMA
	};
	struct fake_config config;
	struct peer other;
	const struct held_client client = {
		.peer = &other,
		.memory = self->memory,
	};
	pid_t pid;

	peer_config(&config, PEER_TYPE1);
	config.migration = VFIO_USER_MIGRATION_STOP_COPY;
	ASSERT_EQ(0, peer_start(&other, &config, NULL));
	peer_hold(&other, &map, 1);
	pid = held_serve_apart(&client);
	ASSERT_TRUE(peer_wait_held(&other, 1));
	peer_hold(self->a, &any_close, 1);

	kill(daemon->pid, SIGTERM);
	kill(other.daemon.pid, SIGTERM);
	EXPECT_EQ(-ETIMEDOUT, fake_daemon_wait(daemon, 25000));
	EXPECT_EQ(-ETIMEDOUT, fake_daemon_wait(&other.daemon, 0));
	EXPECT_EQ(1, fake_daemon_wait(daemon, 15000));
	EXPECT_EQ(1, fake_daemon_wait(&other.daemon, 15000));
	EXPECT_TRUE(peer_log_has(self->a, "was retained and does not close"));
	EXPECT_TRUE(peer_log_has(&other, "does not end: the kernel does not return"));
	waitpid(pid, NULL, 0);
	EXPECT_EQ(0, peer_close(&other));
}

/* Clients that are asked for their memory, and don't answer. */
FIXTURE(silent)
{
	struct pair pair;
	struct peer *a;
	struct peer *b;
	struct held_client client;
	struct mirror mirror;
	struct wire_reply r;
	uint8_t mem[HELD_SIZE];
};

FIXTURE_SETUP(silent)
{
	const char *const args[] = { "--shadow-dma", NULL };
	struct fake_config config;

	pair_init(&self->pair);
	self->a = &self->pair.a;
	self->b = &self->pair.b;
	self->client.peer = self->a;
	self->client.memory = peer_memory(2 * HELD_SIZE);
	pair_config(&config, PEER_MAP_FILE);
	config.more[0].group = config.group + 1;
	strcpy(config.more[0].name, DEVICE_B);
	config.migration = VFIO_USER_MIGRATION_STOP_COPY;
	config.logging = true;
	ASSERT_EQ(0, pair_start(&self->pair, &config, args));
}

FIXTURE_TEARDOWN(silent)
{
	mirror_close(&self->mirror);
	fake_rules_clear(&self->a->root);
	EXPECT_EQ(0, pair_close(&self->pair));
	close(self->client.memory);
}

/* Is a second client of this device told that there is one? */
static bool is_busy(const struct peer *peer)
{
	int sock = wire_connect(peer->daemon.socket);
	struct wire_reply r;
	int ret = wire_version(sock, NULL, &r);

	close(sock);
	return ret == EBUSY;
}

/* Map memory that isn't shared; true once the daemon has asked for it. */
static bool is_asked(struct peer *peer, struct wire_reply *r)
{
	const struct vfio_user_dma_map request = {
		.argsz = sizeof(request),
		.flags = PEER_RW,
		.size = HELD_SIZE,
	};

	return !wire_command(peer->sock, 1, VFIO_USER_DMA_MAP, &request,
			     sizeof(request), NULL, 0) &&
	       wire_recv(peer->sock, r) == 1 &&
	       r->header.command == VFIO_USER_DMA_READ;
}

static const struct fake_call_entry reset = {
	FAKE_IOCTL, FAKE_DEVICE, VFIO_DEVICE_RESET
};

/* Neither waits for the other, whichever of the two comes to its end. */
TEST_F_TIMEOUT(silent, beside_a_call_that_does_not_return, TIME)
{
	pid_t pid;

	peer_hold(self->a, &reset, 1);
	pid = held_serve_apart(&self->client);
	ASSERT_TRUE(peer_wait_held(self->a, 1));
	ASSERT_EQ(0, peer_connect(self->b));
	ASSERT_TRUE(is_asked(self->b, &self->r));
	EXPECT_TRUE(held_status(self->a, 2));
	EXPECT_TRUE(is_busy(self->a));
	EXPECT_TRUE(is_busy(self->b));
	/* It is given up, and the next is served. */
	EXPECT_TRUE(wire_closed(self->b->sock));
	close_fd(&self->b->sock);
	EXPECT_TRUE(held_other_is_served(self->b, DEVICE_B,
					 self->client.memory));

	ASSERT_EQ(0, peer_connect(self->b));
	ASSERT_TRUE(is_asked(self->b, &self->r));
	fake_rules_clear(&self->a->root);
	EXPECT_TRUE(held_ended_well(pid));
	EXPECT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_A));
	EXPECT_TRUE(wire_quiet(self->b->sock));
}

TEST_F(silent, end_waits_only_for_the_call)
{
	struct fake_daemon *daemon = &self->a->daemon;
	pid_t pid;

	peer_hold(self->a, &reset, 1);
	pid = held_serve_apart(&self->client);
	ASSERT_TRUE(peer_wait_held(self->a, 1));
	ASSERT_EQ(0, peer_connect(self->b));
	ASSERT_TRUE(is_asked(self->b, &self->r));
	kill(daemon->pid, SIGTERM);
	EXPECT_TRUE(wire_closed(self->b->sock));
	EXPECT_EQ(-ETIMEDOUT, fake_daemon_wait(daemon, 50));
	fake_rules_clear(&self->a->root);
	EXPECT_EQ(0, fake_daemon_wait(daemon, HELD_WAIT_MS));
	waitpid(pid, NULL, 0);
}

/* The device has written to memory that the client doesn't share. */
static int leave_something_to_send(struct mirror *m, struct peer *peer,
				   uint8_t *mem)
{
	memset(mem, 0x5a, HELD_SIZE / 2);
	if (mirror_connect(m, peer, false, "") ||
	    mirror_map(m, peer, 0, mem, HELD_SIZE, PEER_RW) ||
	    peer_dma(peer, 0, 64, 64) != FAKE_DMA_DONE)
		return -EPROTO;
	mirror_forget(m);
	return peer_put64(peer, FAKE_REG_DMA_DST, HELD_SIZE / 2) ||
	       peer_put64(peer, FAKE_REG_DOORBELL, 1) ? -EPROTO : 0;
}

/* First the kernel doesn't return, then the client doesn't answer. */
TEST_F_TIMEOUT(silent, after_a_call_that_did_not_return, TIME)
{
	const struct vfio_user_region_access access = {
		.offset = FAKE_REG_SCRATCH,
		.region = PEER_BAR0,
		.count = 8,
	};
	const struct fake_call_entry pread = { .call = FAKE_PREAD };
	struct fake_daemon *daemon = &self->a->daemon;

	ASSERT_EQ(0, leave_something_to_send(&self->mirror, self->a,
					     self->mem));
	peer_hold(self->a, &pread, 1);
	ASSERT_EQ(0, wire_command(self->a->sock, 1, VFIO_USER_REGION_READ,
				  &access, sizeof(access), NULL, 0));
	ASSERT_TRUE(peer_wait_held(self->a, 1));
	EXPECT_TRUE(held_status(self->a, 2));
	EXPECT_TRUE(is_busy(self->a));
	EXPECT_TRUE(held_other_is_served(self->b, DEVICE_B,
					 self->client.memory));
	EXPECT_TRUE(wire_quiet(self->a->sock));

	fake_rules_clear(&self->a->root);
	ASSERT_EQ(1, wire_recv(self->a->sock, &self->r));
	ASSERT_EQ(VFIO_USER_DMA_WRITE, self->r.header.command);
	EXPECT_TRUE(held_status(self->a, 2));
	EXPECT_TRUE(is_busy(self->a));
	EXPECT_TRUE(held_other_is_served(self->b, DEVICE_B,
					 self->client.memory));
	kill(daemon->pid, SIGTERM);
	EXPECT_EQ(0, fake_daemon_wait(daemon, HELD_WAIT_MS));
	EXPECT_EQ(0, self->a->root.control->nr_maps);
}

TEST_HARNESS_MAIN
