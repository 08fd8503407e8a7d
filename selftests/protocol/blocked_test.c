// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each call that a session makes of the kernel, from opening the device to
 * closing it, doesn't return, and no signal changes that. Nobody else may notice:
 * the monitor answers, another device of the daemon serves a whole session, who
 * wants the same device is told that it is busy, and SIGTERM ends the daemon as
 * soon as the call has returned, or else after its time.
 *
 * Which calls there are is not written down here. A session is recorded as the
 * fake sees it, then run again and again, with another of its calls held until
 * the test has seen what it wants to see.
 */
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "feature.h"
#include "pair.h"
#include "util.h"

#include "kselftest_harness.h"

#define SIZE		0x10000
#define DEVICE_B	"0000:02:00.0"
#define WAIT_MS		8000
/* Calls that a session makes, at most. */
#define MAX_CALLS	FAKE_CALL_LOG_LEN
/* For one test that tries them all, in seconds, on a machine that is busy. */
#define TIME		100

/**
 * struct recording - the calls of one session
 * @calls: in order
 * @nr: how many
 * @nr_served: how many of them before its client hung up
 */
struct recording {
	struct fake_call_entry calls[MAX_CALLS];
	unsigned int nr;
	unsigned int nr_served;
};

FIXTURE(blocked)
{
	struct pair pair;
	struct peer *a;
	struct peer *b;
	struct fake_config config;
	struct recording recording;
	int memory;
};

FIXTURE_VARIANT(blocked)
{
	enum peer_way way;
	bool bus_reset;
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
};

FIXTURE_VARIANT_ADD(blocked, retained)
{
	.way = PEER_MAP_FILE,
	.args = { "--on-disconnect=retain" },
};

FIXTURE_SETUP(blocked)
{
	struct fake_config *config = &self->config;

	pair_init(&self->pair);
	self->a = &self->pair.a;
	self->b = &self->pair.b;
	self->memory = peer_memory(2 * SIZE);
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
	close(self->memory);
}

/* Look at what there is, and let the device at the memory. */
static int use_device(struct peer *peer, int memory, int event)
{
	struct vfio_user_irq_info irq;
	struct vfio_user_device_info info;
	struct wire_reply r;

	if (wire_info(peer->sock, &info) ||
	    wire_region_info(peer->sock, PEER_BAR0, 4096, &r))
		return -1;
	wire_close_fds(&r);
	if (wire_irq_info(peer->sock, PEER_MSIX, &irq) ||
	    wire_map(peer->sock, 0, SIZE, PEER_RW, memory, 0) ||
	    wire_map(peer->sock, SIZE, SIZE, PEER_RW, memory, SIZE) ||
	    wire_set_irqs(peer->sock, VFIO_USER_IRQ_SET_DATA_EVENTFD |
			  VFIO_USER_IRQ_SET_ACTION_TRIGGER, PEER_MSIX, 0, 1,
			  NULL, 0, &event, 1) ||
	    peer_dma(peer, 0, SIZE, 64) != FAKE_DMA_DONE)
		return -1;
	return wire_unmap(peer->sock, SIZE, SIZE, 0);
}

/* Save it, and begin to load it again, which the reset ends. */
static int migrate_device(struct peer *peer)
{
	uint8_t data[64];
	uint32_t got;

	if (feature_set_state(peer->sock, VFIO_USER_STATE_STOP) ||
	    feature_set_state(peer->sock, VFIO_USER_STATE_STOP_COPY) ||
	    stream_read(peer->sock, data, sizeof(data), &got) ||
	    feature_set_state(peer->sock, VFIO_USER_STATE_STOP) ||
	    feature_set_state(peer->sock, VFIO_USER_STATE_RESUMING) ||
	    stream_write(peer->sock, data, got))
		return -1;
	return wire_reset(peer->sock);
}

static int start_logging(struct peer *peer)
{
	const struct vfio_user_feature_logging_start start = {
		.page_size = 4096,
	};
	struct wire_reply r;

	return feature_call(peer->sock, VFIO_USER_FEATURE_SET |
			    VFIO_USER_FEATURE_DMA_LOGGING_START, 4096, &start,
			    sizeof(start), &r);
}

/* All that a client can do, up to its end: much is left to be undone. */
static int serve(struct peer *peer, int memory)
{
	int event = eventfd(0, EFD_CLOEXEC), ret;

	ret = peer_connect(peer);
	if (!ret)
		ret = use_device(peer, memory, event);
	if (!ret)
		ret = migrate_device(peer);
	if (!ret)
		ret = start_logging(peer);
	close(event);
	return ret;
}

/* Wait until the session of @device is gone; its device may be retained. */
static int leave(struct peer *peer, const char *device)
{
	close_fd(&peer->sock);
	return pair_wait_left(peer, device);
}

static int record(struct peer *peer, int memory, struct recording *to)
{
	const struct fake_control *control = peer->root.control;
	uint64_t first = control->nr_logged, n;

	if (serve(peer, memory))
		return -EPROTO;
	to->nr_served = control->nr_logged - first;
	if (leave(peer, PAIR_DEVICE_A))
		return -ETIMEDOUT;
	to->nr = control->nr_logged - first;
	if (to->nr > MAX_CALLS)
		return -E2BIG;
	for (n = 0; n < to->nr; n++)
		to->calls[n] = control->call_log[(first + n) %
						 FAKE_CALL_LOG_LEN];
	return 0;
}

static bool same_call(const struct fake_call_entry *a,
		      const struct fake_call_entry *b)
{
	return a->call == b->call && a->kind == b->kind &&
	       a->request == b->request;
}

/* The which-th of its kind in the session it is; *@last if no other follows. */
static unsigned int occurrence(const struct recording *in, unsigned int at,
			       bool *last)
{
	unsigned int i, nth = 0;

	*last = true;
	for (i = 0; i < in->nr; i++) {
		if (!same_call(&in->calls[i], &in->calls[at]))
			continue;
		if (i <= at)
			nth++;
		else
			*last = false;
	}
	return nth;
}

/* A client that does all of it, in a process of its own. */
static pid_t serve_apart(struct peer *peer, int memory)
{
	pid_t pid = fork();

	if (!pid) {
		close_fd(&peer->sock);
		_exit(serve(peer, memory) ? 1 : 0);
	}
	return pid;
}

static bool ended_well(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

static bool status_is_told(const struct peer *peer)
{
	json_t *status = peer_status(peer), *list, *session;
	bool told;

	list = json_object_get(status, "devices");
	session = json_object_get(json_array_get(list, 0), "session");
	told = json_array_size(list) == 2 && json_is_object(session);
	json_decref(status);
	return told;
}

/* The other device, from VERSION to the end of its session. */
static bool other_is_served(struct peer *peer, int memory)
{
	if (peer_connect(peer) ||
	    wire_map(peer->sock, 0, SIZE, PEER_RW, memory, 0) ||
	    peer_dma(peer, 0, 64, 64) != FAKE_DMA_DONE ||
	    wire_unmap(peer->sock, 0, SIZE, 0) || wire_reset(peer->sock))
		return false;
	return !leave(peer, DEVICE_B);
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
	unsigned int nth = occurrence(&self->recording, i, &last);
	const char *wrong = NULL;
	struct wire_reply r;
	int another;
	pid_t pid;

	peer_hold(self->a, &self->recording.calls[i], nth);
	pid = serve_apart(self->a, self->memory);
	if (!peer_wait_held(self->a, nth))
		return "the session doesn't come so far";
	if (!status_is_told(self->a))
		wrong = "no status";
	else if (!other_is_served(self->b, self->memory))
		wrong = "the other device isn't served";
	another = wire_connect(self->a->daemon.socket);
	if (serving && wire_version(another, NULL, &r) != EBUSY)
		wrong = "another client isn't told EBUSY";

	fake_rules_clear(&self->a->root);
	if (!ended_well(pid))
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
	ASSERT_EQ(0, serve(self->a, self->memory));
	ASSERT_EQ(0, leave(self->a, PAIR_DEVICE_A));
	ASSERT_EQ(0, record(self->a, self->memory, &self->recording));
	ASSERT_LT(self->recording.nr_served, self->recording.nr);
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

/* Is it the first or the last of its kind? All would take long. */
static bool is_an_end(const struct recording *in, unsigned int at)
{
	bool last;

	return occurrence(in, at, &last) == 1 || last;
}

/* SIGTERM while a call is held; NULL, or what should not have been. */
static const char *try_end(struct _test_data_blocked *self, unsigned int i)
{
	struct fake_daemon *daemon = &self->a->daemon;
	const char *wrong = NULL;
	unsigned int nth;
	bool last;
	pid_t pid;

	nth = occurrence(&self->recording, i, &last);
	peer_hold(self->a, &self->recording.calls[i], nth);
	pid = serve_apart(self->a, self->memory);
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
	if (fake_daemon_wait(daemon, WAIT_MS))
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
	ASSERT_EQ(0, record(self->a, self->memory, &self->recording));
	ASSERT_EQ(0, fake_daemon_stop(&self->a->daemon, SIGTERM));
	for (i = 0; i < self->recording.nr; i++) {
		if (!is_an_end(&self->recording, i))
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
	EXPECT_EQ(0, fake_daemon_wait(daemon, WAIT_MS));
	EXPECT_EQ(1, self->a->root.control->enables);
	EXPECT_NE(0, access("/tmp/never-1", F_OK));
}

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
	self->memory = peer_memory(SIZE);
	pair_config(&config, PEER_MAP_FILE);
	config.more[0].group = config.group + 1;
	strcpy(config.more[0].name, DEVICE_B);
	ASSERT_EQ(0, pair_start(&self->pair, &config, args));
	ASSERT_EQ(0, peer_connect(self->a));
	ASSERT_EQ(0, leave(self->a, PAIR_DEVICE_A));
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
	EXPECT_EQ(0, wire_map(self->b->sock, 0, SIZE, PEER_RW, self->memory, 0));
	EXPECT_EQ(0, leave(self->b, DEVICE_B));
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
	EXPECT_EQ(0, fake_daemon_wait(daemon, WAIT_MS));
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
	pid_t pid;

	peer_config(&config, PEER_TYPE1);
	config.migration = VFIO_USER_MIGRATION_STOP_COPY;
	ASSERT_EQ(0, peer_start(&other, &config, NULL));
	peer_hold(&other, &map, 1);
	pid = serve_apart(&other, self->memory);
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

TEST_HARNESS_MAIN
