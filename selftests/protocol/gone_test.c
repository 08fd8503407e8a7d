// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that doesn't answer on its bus any more, and one whose reset fails: its
 * client gets what the kernel says, the log says so once, and nobody gets it in
 * the state that the last client left, or instead of one that answers.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <signal.h>
#include <unistd.h>

#include "abi/vfio.h"
#include "pair.h"
#include "util.h"

#include "kselftest_harness.h"

#define EXIT_DEVICE	3
#define ALL_ONES	"its configuration reads all ones"
#define MARK		99

FIXTURE(gone)
{
	struct peer peer;
	struct fake_config config;
	struct fake_config *now;
};

FIXTURE_VARIANT(gone)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(gone, iommufd)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(gone, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(gone)
{
	peer_init(&self->peer);
	peer_config(&self->config, variant->way);
}

FIXTURE_TEARDOWN(gone)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* A daemon, and a client that has left a mark in the device. */
static int start(struct _test_data_gone *self, const char *arg)
{
	int ret = peer_start(&self->peer, &self->config, arg);

	if (ret)
		return ret;
	self->now = &self->peer.root.control->config;
	ret = peer_connect(&self->peer);
	return ret ? ret : peer_put64(&self->peer, FAKE_REG_SCRATCH, MARK);
}

static int try_connect(const struct peer *peer)
{
	int sock = wire_connect(peer->daemon.socket), ret;
	struct wire_reply r;

	ret = wire_version(sock, NULL, &r);
	close(sock);
	return ret;
}

static uint32_t config32(const struct peer *peer, uint64_t offset)
{
	uint32_t value = 0;

	return wire_read(peer->sock, PEER_CONFIG, offset, &value,
			 sizeof(value), NULL) ? 0 : value;
}

static bool answers(const struct peer *peer)
{
	json_t *status = peer_status(peer), *session, *answer;
	bool yes;

	session = json_object_get(status, "session");
	answer = json_object_get(session, "device_answers");
	yes = !json_is_false(answer);
	json_decref(status);
	return yes;
}

/* Writes to configuration space, of all accesses from @first on. */
static unsigned int config_writes(const struct fake_control *control,
				  uint64_t first)
{
	unsigned int n = 0;

	for (; first < control->nr_accesses; first++) {
		const struct fake_access *a =
			&control->log[first % FAKE_LOG_LEN];

		n += a->write && a->index == PEER_CONFIG;
	}
	return n;
}

TEST_F(gone, client_reads_what_there_is)
{
	struct peer *peer = &self->peer;
	uint64_t before;

	ASSERT_EQ(0, start(self, NULL));
	EXPECT_TRUE(answers(peer));
	self->now->gone = true;
	before = peer->root.control->nr_accesses;
	EXPECT_EQ(UINT32_MAX, config32(peer, PCI_COMMAND));
	EXPECT_EQ(UINT32_MAX, config32(peer, PCI_CLASS_REVISION));
	EXPECT_EQ(UINT64_MAX, peer_get64(peer, FAKE_REG_ID));
	EXPECT_EQ(ENOTTY, wire_reset(peer->sock));
	EXPECT_FALSE(answers(peer));
	ASSERT_EQ(0, peer_hang_up(peer));
	EXPECT_EQ(1, peer_log_count(peer, ALL_ONES));
	EXPECT_EQ(0, config_writes(peer->root.control, before));
}

TEST_F(gone, end_of_the_session_finds_out)
{
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, start(self, NULL));
	self->now->gone = true;
	ASSERT_EQ(0, peer_hang_up(peer));
	EXPECT_EQ(1, peer_log_count(peer, ALL_ONES));
}

TEST_F(gone, register_of_ones_is_no_device_that_is_gone)
{
	const uint16_t ones = 0xffff;
	struct peer *peer = &self->peer;
	uint16_t value = 0;

	ASSERT_EQ(0, start(self, NULL));
	ASSERT_EQ(0, wire_write(peer->sock, PEER_CONFIG, PCI_CACHE_LINE_SIZE,
				&ones, sizeof(ones), NULL));
	ASSERT_EQ(0, wire_read(peer->sock, PEER_CONFIG, PCI_CACHE_LINE_SIZE,
			       &value, sizeof(value), NULL));
	ASSERT_EQ(ones, value);
	EXPECT_TRUE(answers(peer));
	ASSERT_EQ(0, peer_hang_up(peer));
	EXPECT_FALSE(peer_log_has(peer, ALL_ONES));
}

TEST_F(gone, next_client_is_refused_until_it_is_back)
{
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, start(self, NULL));
	ASSERT_EQ(0, peer_hang_up(peer));
	self->now->gone = true;
	EXPECT_EQ(ENODEV, try_connect(peer));
	EXPECT_TRUE(peer_log_has(peer, "cannot open the device: " ALL_ONES));
	EXPECT_EQ(0, peer_wait_idle(peer));
	self->now->gone = false;
	ASSERT_EQ(0, peer_connect(peer));
	EXPECT_EQ(FAKE_ID, peer_get64(peer, FAKE_REG_ID));
}

TEST_F(gone, daemon_does_not_start_with_it)
{
	const char *const none[] = { NULL };
	struct peer *peer = &self->peer;

	self->config.gone = true;
	ASSERT_EQ(0, peer_machine(peer, &self->config));
	ASSERT_EQ(0, fake_daemon_spawn(&peer->daemon, &peer->root, none));
	EXPECT_EQ(EXIT_DEVICE, fake_daemon_wait(&peer->daemon, 15000));
	EXPECT_TRUE(peer_log_has(peer, ALL_ONES));
}

TEST_F(gone, device_that_is_gone_is_not_retained)
{
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, start(self, "--on-disconnect=retain"));
	self->now->gone = true;
	ASSERT_EQ(0, peer_hang_up(peer));
	self->now->gone = false;
	ASSERT_EQ(0, peer_connect(peer));
	EXPECT_EQ(0, peer_get64(peer, FAKE_REG_SCRATCH));
}

TEST_F(gone, retained_device_that_goes)
{
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, start(self, "--on-disconnect=retain"));
	ASSERT_EQ(0, peer_leave(peer));
	self->now->gone = true;
	EXPECT_EQ(ENODEV, try_connect(peer));
	EXPECT_EQ(0, peer_wait_idle(peer));
	self->now->gone = false;
	ASSERT_EQ(0, peer_connect(peer));
	EXPECT_EQ(0, peer_get64(peer, FAKE_REG_SCRATCH));
}

/* The kernel opens it all the same, and says that it can't be reset. */
TEST_F(gone, device_that_was_not_reset_is_nobodys)
{
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, start(self, NULL));
	ASSERT_EQ(0, peer_hang_up(peer));
	self->now->flr = false;
	EXPECT_EQ(EIO, try_connect(peer));
	EXPECT_EQ(EIO, try_connect(peer));
	EXPECT_TRUE(peer_log_has(peer, "its reset fails, which worked"));
	EXPECT_EQ(0, peer_wait_idle(peer));
	self->now->flr = true;
	EXPECT_EQ(0, peer_connect(peer));
}

/* As while the kernel recovers from an error: another time it may work. */
TEST_F(gone, opening_that_fails_for_now)
{
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, start(self, NULL));
	ASSERT_EQ(0, peer_hang_up(peer));
	fake_fail_ioctl(&peer->root, variant->way == PEER_TYPE1 ? FAKE_GROUP :
			FAKE_DEVICE, variant->way == PEER_TYPE1 ?
			VFIO_GROUP_GET_DEVICE_FD :
			ABI_VFIO_DEVICE_BIND_IOMMUFD, EAGAIN);
	EXPECT_EQ(EAGAIN, try_connect(peer));
	EXPECT_EQ(0, peer_wait_idle(peer));
	EXPECT_EQ(0, peer_connect(peer));
}

/* Out of a group that is open, the daemon resets what the kernel doesn't. */
TEST(device_of_a_group_that_cannot_be_reset)
{
	const char *const none[] = { NULL };
	struct fake_config config;
	struct pair pair;

	pair_init(&pair);
	pair_config(&config, PEER_TYPE1);
	ASSERT_EQ(0, pair_start(&pair, &config, none));
	ASSERT_EQ(0, peer_connect(&pair.a));
	ASSERT_EQ(0, peer_connect(&pair.b));
	ASSERT_EQ(0, peer_put64(&pair.b, FAKE_REG_SCRATCH, MARK));
	close_fd(&pair.b.sock);
	ASSERT_EQ(0, pair_wait_left(&pair.a, PAIR_DEVICE_B));

	fake_fail_ioctl(&pair.a.root, FAKE_DEVICE, VFIO_DEVICE_RESET, EAGAIN);
	EXPECT_EQ(EAGAIN, try_connect(&pair.b));
	EXPECT_TRUE(peer_log_has(&pair.a, PAIR_DEVICE_B
				 ": cannot open the device: it cannot be reset"));
	EXPECT_EQ(FAKE_ID, peer_get64(&pair.a, FAKE_REG_ID));
	ASSERT_EQ(0, peer_connect(&pair.b));
	EXPECT_EQ(0, peer_get64(&pair.b, FAKE_REG_SCRATCH));
	EXPECT_EQ(0, pair_close(&pair));
}

TEST_HARNESS_MAIN
