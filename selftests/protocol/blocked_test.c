// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each call that a session makes of the kernel, from opening the device to
 * closing it, doesn't return, and no signal changes that. Nobody else may notice:
 * the monitor answers, another device of the daemon serves a whole session, who
 * wants the same device is told that it is busy, and SIGTERM ends the daemon as
 * soon as the call has returned, or else after its time.
 *
 * Which calls there are is not written down here, see held.h. Devices that share
 * something with the one whose call it is are in blocked_group_test.c, retained
 * ones and clients that don't answer either in blocked_more_test.c.
 */
#include <linux/vfio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "held.h"
#include "util.h"

#include "kselftest_harness.h"

#define DEVICE_B	"0000:02:00.0"
#define DOORBELL	"--ioeventfd=0:0x100:4:1"
/* For one test that tries them all, in seconds, on a machine that is busy. */
#define TIME		100

FIXTURE(blocked)
{
	struct pair pair;
	struct peer *a;
	struct peer *b;
	struct fake_config config;
	struct held_client client;
	struct recording recording;
};

FIXTURE_VARIANT(blocked)
{
	enum peer_way way;
	bool bus_reset;
	bool unshared;
	const char *own;
	const char *args[2];
};

FIXTURE_VARIANT_ADD(blocked, iommufd)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(blocked, iommufd_windows)
{
	.way = PEER_MAP,
	.bus_reset = true,
};

FIXTURE_VARIANT_ADD(blocked, type1)
{
	.way = PEER_TYPE1,
	.own = DOORBELL,
};

FIXTURE_VARIANT_ADD(blocked, retained)
{
	.way = PEER_MAP_FILE,
	.own = DOORBELL,
	.args = { "--on-disconnect=retain" },
};

FIXTURE_VARIANT_ADD(blocked, shadow_dma)
{
	.way = PEER_MAP_FILE,
	.unshared = true,
	.args = { "--shadow-dma" },
};

FIXTURE_SETUP(blocked)
{
	struct fake_config *config = &self->config;

	pair_init(&self->pair);
	self->pair.own = variant->own;
	self->a = &self->pair.a;
	self->b = &self->pair.b;
	self->client = (struct held_client){
		.peer = self->a,
		.memory = peer_memory(2 * HELD_SIZE),
		.unshared = variant->unshared,
		.doorbell = variant->own,
	};
	pair_config(config, variant->way);
	config->more[0].group = config->group + 1;
	strcpy(config->more[0].name, DEVICE_B);
	config->flr = !variant->bus_reset;
	config->migration = VFIO_USER_MIGRATION_STOP_COPY;
	config->logging = true;
	ASSERT_EQ(0, peer_machine(self->a, config));
}

FIXTURE_TEARDOWN(blocked)
{
	fake_rules_clear(&self->a->root);
	EXPECT_EQ(0, pair_close(&self->pair));
	close(self->client.memory);
}

static int start(struct pair *pair, const struct fake_config *config,
		 const char *const args[])
{
	fake_rules_clear(&pair->a.root);
	return pair_spawn(pair, config->more[0].name, args);
}

/* Hold one of the calls of a session; NULL, or what should not have been. */
static const char *try_call(struct _test_data_blocked *self, unsigned int i)
{
	bool serving = i < self->recording.nr_served, last;
	unsigned int nth = held_occurrence(&self->recording, i, &last);
	const char *wrong = NULL;
	struct wire_reply r;
	int another;
	pid_t pid;

	peer_hold(self->a, &self->recording.calls[i], nth);
	pid = held_serve_apart(&self->client);
	if (!peer_wait_held(self->a, nth))
		return "the session doesn't come so far";
	if (!held_status(self->a, 2))
		wrong = "no status";
	else if (!held_other_is_served(self->b, DEVICE_B,
				       self->client.memory))
		wrong = "the other device isn't served";
	another = wire_connect(self->a->daemon.socket);
	if (serving && wire_version(another, NULL, &r) != EBUSY)
		wrong = "another client isn't told EBUSY";

	fake_rules_clear(&self->a->root);
	if (!held_ended_well(pid))
		wrong = "the session doesn't go on";
	/* After one that has hung up, it only had to wait. */
	if (!serving && wire_version(another, NULL, &r))
		wrong = "the next client isn't served";
	close(another);
	return pair_wait_left(self->a, PAIR_DEVICE_A) ? "it stays" : wrong;
}

TEST_F_TIMEOUT(blocked, nobody_else_waits, TIME)
{
	const struct fake_call_entry *call;
	const char *wrong;
	unsigned int i;

	ASSERT_EQ(0, start(&self->pair, &self->config, variant->args));
	/* What is retained is another session's first. */
	ASSERT_EQ(0, held_serve(&self->client));
	ASSERT_EQ(0, held_leave(self->a, PAIR_DEVICE_A));
	ASSERT_EQ(0, held_record(&self->client, &self->recording));
	ASSERT_LT(self->recording.nr_served, self->recording.nr);
	EXPECT_EQ(!variant->own, held_find(&self->recording, FAKE_DEVICE,
					   VFIO_DEVICE_IOEVENTFD) < 0);
	for (i = 0; i < self->recording.nr; i++) {
		call = &self->recording.calls[i];
		wrong = try_call(self, i);
		ASSERT_EQ(NULL, wrong) {
			TH_LOG("call %u of %u (%u, of a %u, %#llx): %s", i,
			       self->recording.nr, call->call, call->kind,
			       (unsigned long long)call->request, wrong);
		}
	}
}

/* SIGTERM while a call is held; NULL, or what should not have been. */
static const char *try_end(struct _test_data_blocked *self, unsigned int i)
{
	struct fake_daemon *daemon = &self->a->daemon;
	const char *wrong = NULL;
	unsigned int nth;
	bool last;
	pid_t pid;

	nth = held_occurrence(&self->recording, i, &last);
	peer_hold(self->a, &self->recording.calls[i], nth);
	pid = held_serve_apart(&self->client);
	if (!peer_wait_held(self->a, nth))
		return "the session doesn't come so far";
	if (peer_connect(self->b))
		return "the other device isn't served";
	kill(daemon->pid, SIGTERM);
	if (!wire_closed(self->b->sock))
		wrong = "the other session doesn't end";
	close_fd(&self->b->sock);
	if (fake_daemon_wait(daemon, 20) != -ETIMEDOUT)
		wrong = "the daemon ends before the session";

	fake_rules_clear(&self->a->root);
	if (fake_daemon_wait(daemon, HELD_WAIT_MS))
		wrong = "the daemon doesn't end, or not well";
	if (self->a->root.control->nr_maps)
		wrong = "there is still memory mapped";
	/* How far it came, nobody knows. */
	waitpid(pid, NULL, 0);
	return wrong;
}

TEST_F_TIMEOUT(blocked, end_comes_with_the_call, TIME)
{
	const struct fake_call_entry *call;
	const char *wrong;
	unsigned int i;

	ASSERT_EQ(0, start(&self->pair, &self->config, variant->args));
	ASSERT_EQ(0, held_record(&self->client, &self->recording));
	ASSERT_EQ(0, fake_daemon_stop(&self->a->daemon, SIGTERM));
	for (i = 0; i < self->recording.nr; i++) {
		if (!held_is_an_end(&self->recording, i))
			continue;
		call = &self->recording.calls[i];
		ASSERT_EQ(0, start(&self->pair, &self->config, variant->args));
		wrong = try_end(self, i);
		ASSERT_EQ(NULL, wrong) {
			TH_LOG("call %u of %u (%u, of a %u, %#llx): %s", i,
			       self->recording.nr, call->call, call->kind,
			       (unsigned long long)call->request, wrong);
		}
	}
}

/* The devices are tried one after the other when the daemon starts. */
TEST_F(blocked, end_comes_before_the_next_device_is_tried)
{
	const struct fake_call_entry info = {
		FAKE_IOCTL, FAKE_DEVICE, VFIO_DEVICE_GET_INFO
	};
	const char *const args[] = {
		"--device=" PAIR_DEVICE_A, "--socket-path=/tmp/never-1",
		"--device=" DEVICE_B, "--socket-path=/tmp/never-2", NULL
	};
	struct fake_daemon *daemon = &self->a->daemon;

	peer_hold(self->a, &info, 1);
	ASSERT_EQ(0, fake_daemon_spawn(daemon, &self->a->root, args));
	ASSERT_TRUE(peer_wait_held(self->a, 1));
	kill(daemon->pid, SIGTERM);
	fake_rules_clear(&self->a->root);
	EXPECT_EQ(0, fake_daemon_wait(daemon, HELD_WAIT_MS));
	EXPECT_EQ(1, self->a->root.control->enables);
	EXPECT_NE(0, access("/tmp/never-1", F_OK));
}

TEST_HARNESS_MAIN
