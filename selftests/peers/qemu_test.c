// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU's own vfio-user client, driving an NVMe controller through the daemon.
 *
 * The machine in that QEMU has its firmware and nothing else: SeaBIOS finds the
 * controller on the socket, reads the first block of its disk, and runs it. That
 * block is sector.S, which counts itself on the disk and fills a block with
 * numbers that follow from the count and from a seed. So each boot proves
 * configuration space, BARs and DMA both ways, and each time anew.
 *
 * Every test has a block of its own. When it is done the test reads it with
 * our own client; and it prints where the block is, its count and the seed, for
 * boot-qemu, which looks at the image of the disk from outside.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "daemon.h"
#include "qemu.h"
#include "kselftest_harness.h"
#include "sector.h"
#include "selftests/drivers/nvme.h"

/* How often what is done again and again is done. */
#define TIMES		10

/* Seconds for one test: TIMES boots on a busy host, and some. */
#define LIMIT		400

/* Clients that come while QEMU is served, and how long they wait. */
#define NR_RIVALS	8
#define RIVAL_MS	20000

/* What the firmware says of what it finds, and of what it doesn't. */
#define FIRST_BAR	"bdf=01:00.0  bar 0, addr "
#define NO_DISK		"No bootable device"

/* The first register of QEMU's edu device, as the monitor shows it. */
#define EDU_ANSWER	"0x010000ed"

/* Of the disk's first MiB, which other tests leave alone. */
#define FIRST_BLOCK	16
#define NR_BLOCKS	1000

#define WORDS		(SECTOR_SIZE / 4)

/* Where the machine's ACPI hardware is told which slot of which bus to free. */
#define ACPI_PCI_EJECT	0xcc8
#define ACPI_PCI_BUS	0xcd0

/**
 * struct stage - what each test has
 * @daemon: a daemon on the NVMe
 * @qemu: a machine
 * @block: where on the disk the sector is to write
 * @seed: what it is to begin with
 */
struct stage {
	struct hw_daemon daemon;
	struct qemu qemu;
	uint32_t block;
	uint32_t seed;
};

/* Read or write one block of the disk, with our own client. */
static int disk_block(const struct hw_daemon *d, bool write, uint32_t block,
		      void *data)
{
	struct access_dma dma = {};
	struct access *a;
	struct nvme n;
	int ret;

	ret = daemon_rest(d);
	if (!ret)
		ret = access_socket_open(d->socket, NULL, &a);
	if (ret)
		return ret;
	ret = nvme_open(&n, a, 1, 4);
	if (ret)
		goto close;
	ret = access_dma_alloc(a, SECTOR_SIZE, &dma);
	if (ret)
		goto shut;
	if (write)
		memcpy(dma.mem, data, SECTOR_SIZE);
	ret = nvme_io(&n, 1, write, block, 1, dma.iova);
	if (!write)
		memcpy(data, dma.mem, SECTOR_SIZE);
	access_dma_free(a, &dma);
shut:
	nvme_close(&n);
close:
	access_close(a);
	return ret ? ret : daemon_rest(d);
}

/* The assembled sector is beside this program. */
static int read_sector(uint8_t *sector)
{
	char path[PATH_MAX + 16];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
	FILE *file;

	if (n < 0)
		return -errno;
	path[n] = '\0';
	strcpy(strrchr(path, '/'), "/sector.bin");
	file = fopen(path, "re");
	if (!file)
		return -errno;
	n = fread(sector, 1, SECTOR_SIZE, file);
	fclose(file);
	return n == SECTOR_SIZE ? 0 : -EIO;
}

static int install_sector(const struct hw_daemon *d, uint32_t block,
			  uint32_t seed)
{
	uint8_t sector[SECTOR_SIZE], zeroes[SECTOR_SIZE] = {};
	int ret = read_sector(sector);

	if (ret)
		return ret;
	memcpy(sector + SECTOR_LBA, &block, sizeof(block));
	memcpy(sector + SECTOR_SEED, &seed, sizeof(seed));
	ret = disk_block(d, true, 0, sector);
	return ret ? ret : disk_block(d, true, block, zeroes);
}

/* Has the sector written its block, and as many times? */
static bool written(const struct stage *s, uint32_t count)
{
	uint32_t words[WORDS] = {}, x = count + s->seed;
	int ret = disk_block(&s->daemon, false, s->block, words);
	unsigned int i;

	if (ret || words[0] != count) {
		fprintf(stderr, "block %u: %s, count %u instead of %u\n",
			s->block, strerror(-ret), words[0], count);
		return false;
	}
	for (i = 1; i < WORDS; i++) {
		x = x * SECTOR_FACTOR + SECTOR_ADDEND;
		if (words[i] != x)
			return false;
	}
	printf("# block %u count %u seed %u\n", s->block, count, s->seed);
	fflush(stdout);
	return true;
}

static int stage_open(struct stage *s, enum vfio_iommu_kind iommu, bool no_mmap)
{
	int ret = daemon_start(&s->daemon, "LAB_NVME", iommu, no_mmap);

	/* Each test is a process: that makes the block its own. */
	s->block = FIRST_BLOCK + getpid() % NR_BLOCKS;
	s->seed = time(NULL) * 1000003u + getpid();
	return ret ? ret : install_sector(&s->daemon, s->block, s->seed);
}

static int stage_close(struct stage *s, bool failed)
{
	qemu_cleanup(&s->qemu, failed);
	if (failed)
		daemon_show(&s->daemon);
	return hw_daemon_stop(&s->daemon);
}

/*
 * Each way into the kernel, with BARs that are mapped and that aren't.
 */
FIXTURE(qemu)
{
	struct stage stage;
};

FIXTURE_VARIANT(qemu)
{
	enum vfio_iommu_kind iommu;
	bool no_mmap;
};

FIXTURE_VARIANT_ADD(qemu, iommufd)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
};

FIXTURE_VARIANT_ADD(qemu, iommufd_nommap)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
	.no_mmap = true,
};

FIXTURE_VARIANT_ADD(qemu, type1)
{
	.iommu = VFIO_IOMMU_TYPE1,
};

FIXTURE_VARIANT_ADD(qemu, type1_nommap)
{
	.iommu = VFIO_IOMMU_TYPE1,
	.no_mmap = true,
};

FIXTURE_SETUP(qemu)
{
	const char *missing = qemu_missing();

	if (!missing)
		missing = hw_missing("LAB_NVME", variant->iommu);
	if (missing)
		SKIP(return, "%s", missing);
	ASSERT_EQ(0, stage_open(&self->stage, variant->iommu,
				variant->no_mmap));
}

FIXTURE_TEARDOWN(qemu)
{
	EXPECT_EQ(0, stage_close(&self->stage, !__test_passed(_metadata)));
}

TEST_F_TIMEOUT(qemu, boots_from_the_disk, LIMIT)
{
	struct stage *s = &self->stage;
	struct qemu *q = &s->qemu;

	ASSERT_EQ(0, qemu_start(q, &s->daemon));
	ASSERT_EQ(0, qemu_wait(q, 1));
	EXPECT_EQ(1, qemu_said(q, "serial", SECTOR_RUNNING));

	EXPECT_TRUE(qemu_confined(q));

	EXPECT_EQ(0, qemu_end(q, SIGTERM));
	EXPECT_TRUE(WIFEXITED(q->status));
	EXPECT_TRUE(written(s, 1));
}

/*
 * What is done again and again, on the usual way.
 */
FIXTURE(again)
{
	struct stage stage;
	enum vfio_iommu_kind iommu;
};

FIXTURE_SETUP(again)
{
	const char *missing = qemu_missing();

	self->iommu = daemon_way("LAB_NVME");
	if (!missing)
		missing = hw_missing("LAB_NVME", self->iommu);
	if (missing)
		SKIP(return, "%s", missing);
	ASSERT_EQ(0, stage_open(&self->stage, self->iommu, false));
}

FIXTURE_TEARDOWN(again)
{
	EXPECT_EQ(0, stage_close(&self->stage, !__test_passed(_metadata)));
}

TEST_F_TIMEOUT(again, killed_and_started, LIMIT)
{
	struct stage *s = &self->stage;
	unsigned int i;

	for (i = 1; i <= TIMES; i++) {
		ASSERT_EQ(0, qemu_start(&s->qemu, &s->daemon));
		ASSERT_EQ(0, qemu_wait(&s->qemu, 1));
		ASSERT_EQ(0, qemu_end(&s->qemu, SIGKILL));
		ASSERT_TRUE(WIFSIGNALED(s->qemu.status));
		ASSERT_EQ(0, daemon_rest(&s->daemon));
		qemu_cleanup(&s->qemu, false);
	}
	EXPECT_TRUE(written(s, TIMES));
}

TEST_F_TIMEOUT(again, system_reset, LIMIT)
{
	struct stage *s = &self->stage;
	struct qemu *q = &s->qemu;
	unsigned int i;

	ASSERT_EQ(0, qemu_start(q, &s->daemon));
	ASSERT_EQ(0, qemu_connect(q));
	ASSERT_EQ(0, qemu_wait(q, 1));
	for (i = 1; i <= TIMES; i++) {
		ASSERT_EQ(0, qemu_command(q, "system_reset", NULL));
		ASSERT_EQ(0, qemu_wait(q, 1 + i));
	}
	EXPECT_EQ(0, qemu_end(q, SIGTERM));
	EXPECT_TRUE(written(s, 1 + TIMES));
}

/*
 * What goes wrong elsewhere.
 */

/* The pid of whoever listens on @path. */
static pid_t listener(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ucred peer = {};
	socklen_t len = sizeof(peer);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	close_fd(&fd);
	return peer.pid;
}

TEST_F_TIMEOUT(again, survives_the_daemon, LIMIT)
{
	struct stage *s = &self->stage;
	struct qemu *q = &s->qemu;
	pid_t pid = listener(s->daemon.monitor);
	unsigned int said;
	int status;

	ASSERT_LT(0, pid);
	ASSERT_EQ(0, qemu_start(q, &s->daemon));
	ASSERT_EQ(0, qemu_connect(q));
	ASSERT_EQ(0, qemu_wait(q, 1));
	said = qemu_said(q, "stderr", "vfio");
	ASSERT_EQ(0, kill(pid, SIGKILL));
	status = hw_daemon_stop(&s->daemon);
	ASSERT_TRUE(status > 0 && WIFSIGNALED(status));

	/* It says so when it next wants something of the device. */
	EXPECT_EQ(0, qemu_command(q, "system_reset", NULL));
	EXPECT_EQ(0, qemu_command(q, "query-status", NULL));
	EXPECT_TRUE(qemu_alive(q));
	EXPECT_LT(said, qemu_said(q, "stderr", "vfio"));
	EXPECT_EQ(0, qemu_end(q, SIGTERM));
	EXPECT_TRUE(WIFEXITED(q->status));
	qemu_cleanup(q, false);

	ASSERT_EQ(0, daemon_start(&s->daemon, "LAB_NVME", self->iommu,
				  false));
	ASSERT_EQ(0, qemu_start(q, &s->daemon));
	ASSERT_EQ(0, qemu_wait(q, 1));
	EXPECT_EQ(0, qemu_end(q, SIGTERM));
	EXPECT_TRUE(written(s, 2));
}

TEST_F_TIMEOUT(again, has_the_device_to_itself, LIMIT)
{
	const struct vfio_user_client_opts opts = { .timeout_ms = RIVAL_MS };
	struct stage *s = &self->stage;
	struct qemu *q = &s->qemu, rival = {};
	pid_t rivals[NR_RIVALS];
	struct access *a;
	unsigned int i;
	int status;

	ASSERT_EQ(0, qemu_start(q, &s->daemon));
	ASSERT_EQ(0, qemu_connect(q));
	ASSERT_EQ(0, qemu_start(&rival, &s->daemon));
	for (i = 0; i < NR_RIVALS; i++) {
		rivals[i] = fork();
		if (!rivals[i])
			_exit(-access_socket_open(s->daemon.socket, &opts, &a));
		ASSERT_LT(0, rivals[i]);
	}
	for (i = 0; i < NR_RIVALS; i++) {
		ASSERT_EQ(rivals[i], waitpid(rivals[i], &status, 0));
		EXPECT_TRUE(WIFEXITED(status));
		EXPECT_EQ(EBUSY, WEXITSTATUS(status));
	}
	EXPECT_EQ(-ECHILD, qemu_wait(&rival, 1));
	EXPECT_LT(0, qemu_said(&rival, "stderr", "Device or resource busy"));
	qemu_cleanup(&rival, false);
	EXPECT_EQ(NR_RIVALS + 1, hw_monitor(&s->daemon, "refused"));

	EXPECT_EQ(0, qemu_wait(q, 1));
	ASSERT_EQ(0, qemu_command(q, "system_reset", NULL));
	EXPECT_EQ(0, qemu_wait(q, 2));
	EXPECT_EQ(0, qemu_end(q, SIGTERM));
	EXPECT_TRUE(written(s, 2));
}

/*
 * Unplugging and plugging. This takes a device without MSI-X: on one that has
 * it QEMU (11.1.3) fails an assertion of its own, subregion->container == mr,
 * when it is unplugged, whatever the server. So the disk can't be used, and
 * the machine finds nothing to boot.
 */
FIXTURE(plug)
{
	struct hw_daemon daemon;
	struct qemu qemu;
};

FIXTURE_SETUP(plug)
{
	const char *missing = qemu_missing();
	enum vfio_iommu_kind iommu = daemon_way("LAB_EDU");

	if (!missing)
		missing = hw_missing("LAB_EDU", iommu);
	if (missing)
		SKIP(return, "%s", missing);
	ASSERT_EQ(0, daemon_start(&self->daemon, "LAB_EDU", iommu, false));
}

FIXTURE_TEARDOWN(plug)
{
	bool failed = !__test_passed(_metadata);

	qemu_cleanup(&self->qemu, failed);
	if (failed)
		daemon_show(&self->daemon);
	EXPECT_EQ(0, hw_daemon_stop(&self->daemon));
}

/*
 * There is no operating system to let go of the device when it is asked to, so
 * this does at the monitor what one would do: it tells the ACPI hardware to
 * eject slot 0 of the port's bus.
 */
static int unplug(struct qemu *q, unsigned int count)
{
	int64_t bus = qemu_get(q, "/machine/peripheral/rp0/rp0",
			       "acpi-pcihp-bsel");
	char line[64], text[256];
	int ret;

	if (bus < 0)
		return bus;
	ret = qemu_command(q, "device_del", json_pack("{s:s}", "id", "dev0"));
	if (ret)
		return ret;
	snprintf(line, sizeof(line), "o/w %#x %#x", ACPI_PCI_BUS,
		 (unsigned int)bus);
	ret = qemu_human(q, line, text, sizeof(text));
	if (ret)
		return ret;
	snprintf(line, sizeof(line), "o/w %#x 1", ACPI_PCI_EJECT);
	ret = qemu_human(q, line, text, sizeof(text));
	return ret ? ret : qemu_wait_deleted(q, count);
}

static int plug(struct qemu *q)
{
	return qemu_command(q, "device_add",
			    json_pack("{s:s, s:s, s:s, s:i, s:{s:s, s:s}}",
				      "driver", "vfio-user-pci", "id", "dev0",
				      "bus", "rp0", "x-msg-timeout", 60000,
				      "socket", "type", "unix", "path",
				      "/run/dev0/socket"));
}

/* The device answers where the firmware has just put it, and no other does. */
static bool answers(struct qemu *q, unsigned int resets)
{
	uint64_t bar;
	char line[64], text[256] = "";

	if (qemu_wait_for(q, "firmware", NO_DISK, 1 + resets))
		return false;
	bar = qemu_number(q, "firmware", FIRST_BAR);
	snprintf(line, sizeof(line), "xp/1wx %#llx", (unsigned long long)bar);
	if (!bar || qemu_human(q, line, text, sizeof(text)))
		return false;
	fprintf(stderr, "%s: %s", line, text);
	return strstr(text, EDU_ANSWER);
}

TEST_F_TIMEOUT(plug, unplugged_and_plugged, LIMIT)
{
	struct qemu *q = &self->qemu;
	unsigned int i;

	ASSERT_EQ(0, qemu_start(q, &self->daemon));
	ASSERT_EQ(0, qemu_connect(q));
	ASSERT_TRUE(answers(q, 0));
	for (i = 1; i <= TIMES; i++) {
		ASSERT_EQ(0, unplug(q, i));
		ASSERT_EQ(0, daemon_rest(&self->daemon));
		ASSERT_EQ(0, plug(q));
		ASSERT_EQ(0, qemu_command(q, "system_reset", NULL));
		ASSERT_TRUE(answers(q, i));
	}
	EXPECT_EQ(1 + TIMES, hw_monitor(&self->daemon, "sessions"));
	EXPECT_EQ(0, qemu_end(q, SIGTERM));
}

TEST_HARNESS_MAIN
