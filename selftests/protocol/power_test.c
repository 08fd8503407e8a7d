// SPDX-License-Identifier: GPL-2.0-only
/*
 * --idle-low-power: a device that is retained for nobody in particular sleeps,
 * and is awake before the next client, or anything else, touches it.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pair.h"
#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

#define OTHER_UID	12345

static const char *const retain_asleep[] = {
	"--on-disconnect=retain", "--idle-low-power", NULL
};

FIXTURE(power)
{
	struct peer peer;
	struct fake_config config;
};

FIXTURE_VARIANT(power)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(power, iommufd)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(power, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(power)
{
	peer_init(&self->peer);
	peer_config(&self->config, variant->way);
	self->config.low_power = true;
}

FIXTURE_TEARDOWN(power)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* One client has come and gone, and left a mark in the device. */
static int use_once(struct peer *peer, const struct fake_config *config,
		    const char *const args[])
{
	int ret = peer_start_with(peer, config, args);

	if (!ret)
		ret = peer_connect(peer);
	if (!ret)
		ret = peer_put64(peer, FAKE_REG_SCRATCH, 99);
	return ret ? ret : peer_leave(peer);
}

static bool says_asleep(const struct peer *peer)
{
	json_t *status = peer_status(peer);
	bool asleep = json_is_true(json_object_get(status, "low_power"));

	json_decref(status);
	return asleep;
}

TEST_F(power, retained_device_sleeps_until_the_next_client)
{
	const struct fake_control *control;
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, use_once(peer, &self->config, retain_asleep));
	control = peer->root.control;
	EXPECT_TRUE(control->asleep);
	EXPECT_TRUE(says_asleep(peer));
	EXPECT_TRUE(peer_log_has(peer, "may sleep until the next client"));

	ASSERT_EQ(0, peer_connect(peer));
	EXPECT_FALSE(control->asleep);
	EXPECT_FALSE(says_asleep(peer));
	EXPECT_EQ(99, peer_get64(peer, FAKE_REG_SCRATCH));
	ASSERT_EQ(0, peer_leave(peer));
	EXPECT_TRUE(control->asleep);
	EXPECT_EQ(2, control->sleeps);
	EXPECT_EQ(0, control->disturbed);
	/* Once when the daemon started, once for both clients. */
	EXPECT_EQ(2, control->enables);
}

TEST_F(power, nothing_sleeps_without_the_option)
{
	static const char *const args[] = { "--on-disconnect=retain", NULL };
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, use_once(peer, &self->config, args));
	EXPECT_EQ(0, peer->root.control->sleeps);
	EXPECT_FALSE(says_asleep(peer));
}

/* It is closed: that is all, and the kernel's affair. */
TEST_F(power, closed_device_is_left_to_the_kernel)
{
	static const char *const args[] = { "--idle-low-power", NULL };
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, use_once(peer, &self->config, args));
	EXPECT_EQ(0, peer_wait_idle(peer));
	EXPECT_EQ(0, peer->root.control->sleeps);
	EXPECT_FALSE(says_asleep(peer));
}

TEST_F(power, device_that_cannot_sleep_stays_awake)
{
	struct peer *peer = &self->peer;

	self->config.low_power = false;
	ASSERT_EQ(0, use_once(peer, &self->config, retain_asleep));
	ASSERT_EQ(0, peer_connect(peer));
	EXPECT_EQ(99, peer_get64(peer, FAKE_REG_SCRATCH));
	ASSERT_EQ(0, peer_leave(peer));
	EXPECT_FALSE(says_asleep(peer));
	EXPECT_EQ(1, peer_log_count(peer, "stays awake while it is retained"));
	EXPECT_TRUE(peer_log_has(peer, "it takes Linux 6.1"));
}

TEST_F(power, device_that_does_not_wake_is_opened_afresh)
{
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, use_once(peer, &self->config, retain_asleep));
	fake_fail_ioctl(&peer->root, FAKE_DEVICE, VFIO_DEVICE_FEATURE, EIO);
	ASSERT_EQ(0, peer_connect(peer));
	EXPECT_TRUE(peer_log_has(peer, "does not wake"));
	EXPECT_EQ(0, peer_get64(peer, FAKE_REG_SCRATCH));
	EXPECT_FALSE(says_asleep(peer));
	ASSERT_EQ(0, peer_leave(peer));
	EXPECT_TRUE(says_asleep(peer));
}

TEST_F(power, device_is_given_back_asleep)
{
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, use_once(peer, &self->config, retain_asleep));
	ASSERT_EQ(1, fake_irq_raise(peer->root.control, PEER_REQ, 0));
	EXPECT_EQ(0, peer_wait_idle(peer));
	EXPECT_FALSE(peer->root.control->asleep);
	EXPECT_FALSE(says_asleep(peer));
	ASSERT_EQ(0, peer_connect(peer));
	EXPECT_EQ(FAKE_ID, peer_get64(peer, FAKE_REG_ID));
}

TEST_F(power, who_is_refused_does_not_wake_it)
{
	struct peer *peer = &self->peer;

	if (geteuid())
		SKIP(return, "only root can be another user");
	ASSERT_EQ(0, use_once(peer, &self->config, retain_asleep));
	EXPECT_EQ(EBUSY, pair_as(peer, OTHER_UID));
	EXPECT_TRUE(peer->root.control->asleep);
	EXPECT_TRUE(says_asleep(peer));
	EXPECT_EQ(0, peer->root.control->disturbed);
}

/* What vfio-pci's parameter says of devices that nobody has open. */
static int set_disable_idle_d3(const struct fake_root *root, const char *value)
{
	static const char *const dirs[] = {
		"", "/sys/module", "/sys/module/vfio_pci",
		"/sys/module/vfio_pci/parameters",
	};
	char path[160];
	unsigned int i;
	FILE *file;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "%s%s", root->path, dirs[i]);
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
	}
	snprintf(path, sizeof(path), "%s%s/disable_idle_d3", root->path,
		 dirs[i - 1]);
	file = fopen(path, "w");
	if (!file)
		return -errno;
	fputs(value, file);
	return fclose(file) ? -EIO : 0;
}

TEST_F(power, parameter_that_keeps_closed_devices_awake_is_told)
{
	static const char *const args[] = { "--idle-low-power", NULL };
	struct peer *peer = &self->peer;

	ASSERT_EQ(0, peer_machine(peer, &self->config));
	ASSERT_EQ(0, set_disable_idle_d3(&peer->root, "N\n"));
	ASSERT_EQ(0, fake_daemon_start(&peer->daemon, &peer->root, args));
	EXPECT_FALSE(peer_log_has(peer, "disable_idle_d3"));
	ASSERT_EQ(0, fake_daemon_stop(&peer->daemon, SIGTERM));

	ASSERT_EQ(0, set_disable_idle_d3(&peer->root, "Y\n"));
	ASSERT_EQ(0, fake_daemon_start(&peer->daemon, &peer->root, args));
	EXPECT_TRUE(peer_log_has(peer, "set its parameter disable_idle_d3 to N"));
}

TEST_HARNESS_MAIN
