// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linux, in a QEMU that has an NVMe controller and an 82576 through a daemon
 * each. Its kernel is selftests/lab/guest.config, its process 1 is linux-init,
 * which copies a file on the disk, resets the disk's controller again and again,
 * and fetches a file by TFTP. boot-linux makes the disk, and looks at it when
 * all is over: that the files are there with what they are to have is seen from
 * outside.
 *
 * What is seen here is how that came about. The machine stops and waits to be
 * told to go on before it copies and when it is done, and the same around the
 * transfer. In between neither daemon may handle a message: registers, DMA and
 * interrupts are the machine's own. And the machine counts the interrupts that
 * came by MSI-X.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "daemon.h"
#include "qemu.h"
#include "kselftest_harness.h"

/* Seconds for all of it on a busy host. On an idle one it takes a quarter. */
#define LIMIT		800

/* How often linux-init resets the disk's controller, and what it says of it. */
#define RESETS		10
#define RESETS_DONE	"guest: resets 10\r\n"

/**
 * struct moment - what is counted where the machine waits
 * @nvme: messages that the disk's daemon has handled
 * @igb: and the network's
 * @nvme_irqs: interrupts that the machine had from the disk, by MSI-X
 * @igb_irqs: and from the network
 */
struct moment {
	int64_t nvme;
	int64_t igb;
	uint64_t nvme_irqs;
	uint64_t igb_irqs;
};

/* Why this can't run here; NULL if it can. */
static const char *linux_missing(void)
{
	const char *missing = qemu_missing();

	if (!missing)
		missing = hw_missing("LAB_NVME", daemon_way("LAB_NVME"));
	if (!missing)
		missing = hw_missing("LAB_IGB", daemon_way("LAB_IGB"));
	if (!missing && !getenv("LAB_LINUX"))
		missing = "no Linux to boot: LAB_LINUX is not set";
	return missing;
}

/**
 * struct stage - what there is
 * @nvme: a daemon on the NVMe
 * @igb: a daemon on the network controller
 * @qemu: the machine
 * @start: when it was started, in seconds
 */
struct stage {
	struct hw_daemon nvme;
	struct hw_daemon igb;
	struct qemu qemu;
	time_t start;
};

FIXTURE(linux_guest)
{
	struct stage stage;
};

FIXTURE_SETUP(linux_guest)
{
	struct stage *s = &self->stage;
	const char *missing = linux_missing();

	if (missing)
		SKIP(return, "%s", missing);
	ASSERT_EQ(0, daemon_start(&s->nvme, "LAB_NVME",
				  daemon_way("LAB_NVME"), false));
	ASSERT_EQ(0, daemon_start(&s->igb, "LAB_IGB",
				  daemon_way("LAB_IGB"), false));
}

FIXTURE_TEARDOWN(linux_guest)
{
	struct stage *s = &self->stage;
	bool failed = !__test_passed(_metadata);

	qemu_cleanup(&s->qemu, failed);
	if (failed) {
		daemon_show(&s->nvme);
		daemon_show(&s->igb);
	}
	EXPECT_EQ(0, hw_daemon_stop(&s->igb));
	EXPECT_EQ(0, hw_daemon_stop(&s->nvme));
}

/* Wait until the machine says that it is @at, where it waits. */
static int reach(struct stage *s, const char *at, struct moment *m)
{
	struct qemu *q = &s->qemu;
	char text[64];
	int ret;

	snprintf(text, sizeof(text), "guest: %s\r\n", at);
	ret = qemu_wait_for(q, "serial", text, 1);
	if (ret)
		return ret;
	printf("# %s after %ld s\n", at, (long)(time(NULL) - s->start));
	m->nvme = hw_monitor(&s->nvme, "messages");
	m->igb = hw_monitor(&s->igb, "messages");
	m->nvme_irqs = qemu_number(q, "serial", "guest: nvme interrupts ");
	m->igb_irqs = qemu_number(q, "serial", "guest: eth0 interrupts ");
	if (m->nvme < 0)
		return m->nvme;
	return m->igb < 0 ? m->igb : 0;
}

static int go_on(struct stage *s)
{
	return qemu_say(&s->qemu, "\n");
}

TEST_F_TIMEOUT(linux_guest, uses_disk_and_network, LIMIT)
{
	struct stage *s = &self->stage;
	const struct qemu_machine machine = {
		.daemons = { &s->nvme, &s->igb },
		.linux_dir = getenv("LAB_LINUX"),
	};
	struct qemu *q = &s->qemu;
	struct moment before, after;

	s->start = time(NULL);
	ASSERT_EQ(0, qemu_start_machine(q, &machine));
	ASSERT_EQ(0, reach(s, "mounted", &before));
	EXPECT_TRUE(qemu_confined(q));
	EXPECT_EQ(1, qemu_said(q, "serial", "guest: disk driver nvme\r\n"));
	EXPECT_EQ(1, qemu_said(q, "serial", "guest: net driver igb\r\n"));

	ASSERT_EQ(0, go_on(s));
	ASSERT_EQ(0, reach(s, "copied", &after));
	EXPECT_EQ(before.nvme, after.nvme);
	EXPECT_EQ(before.igb, after.igb);
	EXPECT_LT(before.nvme_irqs, after.nvme_irqs);

	ASSERT_EQ(0, go_on(s));
	ASSERT_EQ(0, reach(s, "online", &before));
	EXPECT_EQ(1, qemu_said(q, "serial", RESETS_DONE));
	EXPECT_LE(after.nvme + RESETS, before.nvme);

	ASSERT_EQ(0, go_on(s));
	ASSERT_EQ(0, reach(s, "fetched", &after));
	EXPECT_EQ(before.nvme, after.nvme);
	EXPECT_EQ(before.igb, after.igb);
	EXPECT_LT(before.igb_irqs, after.igb_irqs);

	ASSERT_EQ(0, go_on(s));
	EXPECT_EQ(-ECHILD, qemu_wait_for(q, "serial", "guest: failed", 1));
	EXPECT_EQ(1, qemu_said(q, "serial", "guest: unmounted\r\n"));
	EXPECT_TRUE(WIFEXITED(q->status));
	EXPECT_EQ(0, WEXITSTATUS(q->status));
	EXPECT_EQ(0, daemon_rest(&s->nvme));
	EXPECT_EQ(0, daemon_rest(&s->igb));
}

TEST_HARNESS_MAIN
