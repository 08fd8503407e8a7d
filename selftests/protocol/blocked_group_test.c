// SPDX-License-Identifier: GPL-2.0-only
/*
 * As blocked_test.c, with two devices of one IOMMU group: each call that the
 * session of one makes of the kernel doesn't return. What the session of the
 * other, its mate, may have to wait for is the group's container, which has to
 * be open before its device is, and closed before it is opened anew; and a
 * client that goes, for who comes after it must not be taken for the same. It
 * waits for nothing else, and never once it has its device. Devices of other
 * groups wait for nothing at all.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/iommufd.h"
#include "held.h"
#include "util.h"

#include "kselftest_harness.h"

#define OTHER_DEVICE	"0000:02:00.0"
/* Where the mate's own maps are. */
#define MATE_STAYS	(16 * HELD_SIZE)
#define MATE_COMES	(17 * HELD_SIZE)
/* For one test that tries them all, in seconds, on a machine that is busy. */
#define TIME		100

FIXTURE(blocked_group)
{
	struct pair pair;
	struct peer *a;
	struct peer *mate;
	struct peer other;
	struct fake_config config;
	struct held_client client;
	struct recording recording;
	int opening;	/* the first call that opens the container, ... */
	int opened;	/* ... and the last; -ENOENT if none does */
};

/* The mate has its device all the time, or comes when a call is held. */
FIXTURE_VARIANT(blocked_group)
{
	enum peer_way way;
	bool stays;
};

FIXTURE_VARIANT_ADD(blocked_group, iommufd_stays)
{
	.way = PEER_MAP_FILE,
	.stays = true,
};

FIXTURE_VARIANT_ADD(blocked_group, iommufd_comes)
{
	.way = PEER_MAP,
};

FIXTURE_VARIANT_ADD(blocked_group, type1_stays)
{
	.way = PEER_TYPE1,
	.stays = true,
};

FIXTURE_VARIANT_ADD(blocked_group, type1_comes)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(blocked_group)
{
	struct fake_config *config = &self->config;

	pair_init(&self->pair);
	self->pair.own = "--ioeventfd=0:0x100:4:1";
	self->a = &self->pair.a;
	self->mate = &self->pair.b;
	self->other.sock = -1;
	self->client = (struct held_client){
		.peer = self->a,
		.memory = peer_memory(2 * HELD_SIZE),
		.doorbell = true,
	};
	pair_config(config, variant->way);
	config->more[config->nr_more++] = (struct fake_more){
		.name = OTHER_DEVICE,
		.group = config->group + 1,
		.cdev = config->cdev + 2,
	};
	config->migration = VFIO_USER_MIGRATION_STOP_COPY;
	config->logging = true;
	ASSERT_EQ(0, peer_machine(self->a, config));
}

FIXTURE_TEARDOWN(blocked_group)
{
	fake_rules_clear(&self->a->root);
	close_fd(&self->other.sock);
	EXPECT_EQ(0, pair_close(&self->pair));
	close(self->client.memory);
}

/* The last socket is the other's, which pair_spawn() takes for the mate's. */
static int start(struct _test_data_blocked_group *self, bool stays)
{
	const char *args[3] = { "--device=" OTHER_DEVICE };
	struct peer *mate = self->mate;
	char socket[160];
	int ret;

	snprintf(socket, sizeof(socket), "--socket-path=%s/other",
		 self->a->root.path);
	args[1] = socket;
	fake_rules_clear(&self->a->root);
	ret = pair_spawn(&self->pair, PAIR_DEVICE_B, args);
	if (ret)
		return ret;
	self->other = *mate;
	snprintf(mate->daemon.socket, sizeof(mate->daemon.socket), "%s/b",
		 mate->root.path);
	if (!stays)
		return 0;
	ret = peer_connect(mate);
	return ret ? ret : wire_map(mate->sock, MATE_STAYS, HELD_SIZE, PEER_RW,
				    self->client.memory, 0);
}

/* The mate has its device, and shows that it is the same client. */
static bool uses_device(struct peer *mate, int memory)
{
	return !wire_map(mate->sock, MATE_COMES, HELD_SIZE, PEER_RW, memory,
			 0) &&
	       peer_dma(mate, MATE_COMES, MATE_COMES + 64, 64) ==
	       FAKE_DMA_DONE &&
	       !wire_unmap(mate->sock, MATE_COMES, HELD_SIZE, 0);
}

static int come(struct peer *mate)
{
	const struct vfio_user_version version = {
		.major = VFIO_USER_MAJOR,
		.minor = VFIO_USER_MINOR,
	};

	mate->sock = wire_connect(mate->daemon.socket);
	return wire_command(mate->sock, 1, VFIO_USER_VERSION, &version,
			    sizeof(version), NULL, 0);
}

/* It has come, and goes again. */
static bool is_served(struct peer *mate, int memory)
{
	struct wire_reply r;

	return !wire_expect(mate->sock, 1, VFIO_USER_VERSION, &r) &&
	       uses_device(mate, memory) && !held_leave(mate, PAIR_DEVICE_B);
}

/*
 * After a call that it had to wait for. It has shown nothing until then, and may
 * be ended with the client that had the group, and has an fd of its device.
 */
static bool is_served_then(struct peer *mate, int memory)
{
	if (is_served(mate, memory))
		return true;
	if (!wire_closed(mate->sock))
		return false;
	close_fd(&mate->sock);
	return !come(mate) && is_served(mate, memory);
}

/* Must who comes wait for this call? */
static bool must_wait(const struct _test_data_blocked_group *self,
		      unsigned int i)
{
	return ((int)i >= self->opening && (int)i <= self->opened) ||
	       i >= self->recording.nr_served;
}

/* While a call is held; NULL, or what should not have been. */
static const char *look_around(struct _test_data_blocked_group *self,
			       bool stays, bool waits)
{
	int memory = self->client.memory;

	if (!stays && come(self->mate))
		return "the mate can't come";
	if (stays && !uses_device(self->mate, memory))
		return "the mate can't go on";
	if (!stays && !waits && !is_served(self->mate, memory))
		return "the mate isn't served";
	if (!held_status(self->a, 3))
		return "no status";
	if (!held_other_is_served(&self->other, OTHER_DEVICE, memory))
		return "the device of another group isn't served";
	if (!stays && waits && !wire_quiet(self->mate->sock))
		return "the mate doesn't wait";
	return NULL;
}

/* Hold one of the calls of a session; NULL, or what should not have been. */
static const char *try_call(struct _test_data_blocked_group *self, bool stays,
			    unsigned int i)
{
	bool waits = must_wait(self, i), last;
	unsigned int nth = held_occurrence(&self->recording, i, &last);
	const char *wrong;
	pid_t pid;

	peer_hold(self->a, &self->recording.calls[i], nth);
	pid = held_serve_apart(&self->client);
	if (!peer_wait_held(self->a, nth))
		return "the session doesn't come so far";
	wrong = look_around(self, stays, waits);

	fake_rules_clear(&self->a->root);
	if (!held_ended_well(pid) && !wrong)
		wrong = "the session doesn't go on";
	if (!wrong && !stays && waits &&
	    !is_served_then(self->mate, self->client.memory))
		wrong = "the mate isn't served afterwards";
	if (pair_wait_left(self->a, PAIR_DEVICE_A))
		return "it stays";
	return wrong;
}

/* Record a session, and find what opens the container in it. */
static int record(struct _test_data_blocked_group *self, enum peer_way way)
{
	const struct recording *in = &self->recording;
	int ret = held_record(&self->client, &self->recording);

	if (way == PEER_TYPE1) {
		self->opening = held_find(in, FAKE_CONTAINER,
					  VFIO_GET_API_VERSION);
		self->opened = held_find(in, FAKE_CONTAINER, VFIO_SET_IOMMU);
	} else {
		self->opening = held_find(in, FAKE_IOMMUFD,
					  ABI_IOMMU_IOAS_ALLOC);
		self->opened = self->opening;
	}
	/* The open(2) before these. */
	self->opening--;
	return ret;
}

TEST_F_TIMEOUT(blocked_group, mate_waits_for_little_and_others_for_nothing,
	       TIME)
{
	const struct fake_call_entry *call;
	const char *wrong;
	unsigned int i;

	ASSERT_EQ(0, start(self, variant->stays));
	ASSERT_EQ(0, record(self, variant->way));
	ASSERT_EQ(variant->stays, self->opened < 0);
	for (i = 0; i < self->recording.nr; i++) {
		call = &self->recording.calls[i];
		wrong = try_call(self, variant->stays, i);
		ASSERT_EQ(NULL, wrong) {
			TH_LOG("call %u of %u (%u, of a %u, %#llx): %s", i,
			       self->recording.nr, call->call, call->kind,
			       (unsigned long long)call->request, wrong);
		}
	}
}

/* SIGTERM while a call is held; NULL, or what should not have been. */
static const char *try_end(struct _test_data_blocked_group *self, bool stays,
			   unsigned int i)
{
	struct fake_daemon *daemon = &self->a->daemon;
	bool waits = must_wait(self, i), last;
	unsigned int nth = held_occurrence(&self->recording, i, &last);
	const char *wrong = NULL;
	struct wire_reply r;
	pid_t pid;

	peer_hold(self->a, &self->recording.calls[i], nth);
	pid = held_serve_apart(&self->client);
	if (!peer_wait_held(self->a, nth))
		return "the session doesn't come so far";
	if (peer_connect(&self->other))
		return "the device of another group isn't served";
	if (!stays && (come(self->mate) ||
		       (!waits && wire_expect(self->mate->sock, 1,
					      VFIO_USER_VERSION, &r))))
		return "the mate isn't served";
	kill(daemon->pid, SIGTERM);
	if (!wire_closed(self->other.sock))
		wrong = "the session of another group doesn't end";
	if ((stays || !waits) && !wire_closed(self->mate->sock))
		wrong = "the mate's session doesn't end";
	close_fd(&self->other.sock);
	if (fake_daemon_wait(daemon, 20) != -ETIMEDOUT)
		wrong = "the daemon ends before the session";

	fake_rules_clear(&self->a->root);
	if (fake_daemon_wait(daemon, HELD_WAIT_MS))
		wrong = "the daemon doesn't end, or not well";
	close_fd(&self->mate->sock);
	if (self->a->root.control->nr_maps)
		wrong = "there is still memory mapped";
	/* How far it came, nobody knows. */
	waitpid(pid, NULL, 0);
	return wrong;
}

TEST_F_TIMEOUT(blocked_group, end_comes_with_the_call, TIME)
{
	const struct fake_call_entry *call;
	const char *wrong;
	unsigned int i;

	ASSERT_EQ(0, start(self, variant->stays));
	ASSERT_EQ(0, record(self, variant->way));
	ASSERT_EQ(0, fake_daemon_stop(&self->a->daemon, SIGTERM));
	for (i = 0; i < self->recording.nr; i++) {
		if (!held_is_an_end(&self->recording, i))
			continue;
		call = &self->recording.calls[i];
		close_fd(&self->mate->sock);
		ASSERT_EQ(0, start(self, variant->stays));
		wrong = try_end(self, variant->stays, i);
		ASSERT_EQ(NULL, wrong) {
			TH_LOG("call %u of %u (%u, of a %u, %#llx): %s", i,
			       self->recording.nr, call->call, call->kind,
			       (unsigned long long)call->request, wrong);
		}
	}
}

TEST_HARNESS_MAIN
