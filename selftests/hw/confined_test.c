// SPDX-License-Identifier: GPL-2.0-only
/*
 * The daemon in its sandbox, on a real kernel and a real device: what the kernel
 * says of the process, that a client is served all the same, and memory limits.
 *
 * These tests start the daemon themselves, as root and as nobody: the others run
 * it as nobody only, and with a limit that is large enough.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "hw.h"
#include "kselftest_harness.h"
#include "tools/lib/client.h"

#define START_MS	20000
#define STEP_MS		20
#define LIMIT		(1ul << 20)
#define SIZE		(8ul << 20)
#define IOVA		0x800000
#define READ_WRITE	(VFIO_USER_DMA_MAP_READ | VFIO_USER_DMA_MAP_WRITE)

FIXTURE(confined)
{
	char dir[32];
	char socket[64];
	char log[64];
	pid_t pid;
	int memory;
	struct vfio_user_client *client;
};

FIXTURE_VARIANT(confined)
{
	enum vfio_iommu_kind iommu;
};

FIXTURE_VARIANT_ADD(confined, iommufd)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
};

FIXTURE_VARIANT_ADD(confined, type1)
{
	.iommu = VFIO_IOMMU_TYPE1,
};

FIXTURE_SETUP(confined)
{
	const char *missing = hw_missing("LAB_EDU", variant->iommu);

	if (missing)
		SKIP(return, "%s", missing);
	strcpy(self->dir, "/tmp/confined.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->socket, sizeof(self->socket), "%s/socket", self->dir);
	snprintf(self->log, sizeof(self->log), "%s/log", self->dir);
	self->memory = memfd_create("confined", 0);
	ASSERT_LE(0, self->memory);
	ASSERT_EQ(0, ftruncate(self->memory, SIZE));
}

FIXTURE_TEARDOWN(confined)
{
	if (self->client)
		vfio_user_disconnect(self->client);
	if (self->pid > 0) {
		kill(self->pid, SIGKILL);
		waitpid(self->pid, NULL, 0);
	}
	unlink(self->log);
	unlink(self->socket);
	rmdir(self->dir);
}

static uid_t new_owner;

static int chown_one(const char *path, const struct stat *st, int type,
		     struct FTW *ftw)
{
	return chown(path, new_owner, new_owner);
}

/* All of VFIO's nodes are @uid's. */
static int give_nodes(uid_t uid)
{
	new_owner = uid;
	if (chown("/dev/iommu", uid, uid) && errno != ENOENT)
		return -errno;
	return nftw("/dev/vfio", chown_one, 16, FTW_PHYS) ? -errno : 0;
}

static bool log_has(const char *path, const char *text)
{
	char log[8192];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	n = fd < 0 ? -1 : read(fd, log, sizeof(log) - 1);
	if (fd >= 0)
		close(fd);
	log[n < 0 ? 0 : n] = '\0';
	return strstr(log, text);
}

static void exec_daemon(const char *socket, const char *log,
			enum vfio_iommu_kind iommu, uid_t uid)
{
	const struct rlimit limit = { LIMIT, LIMIT };
	char program[PATH_MAX], path[80];
	int up = 3, fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 20);

	program[n < 0 ? 0 : n] = '\0';
	while (up-- && strrchr(program, '/'))
		*strrchr(program, '/') = '\0';
	strcat(program, "/vfio-bridge");
	snprintf(path, sizeof(path), "--socket-path=%s", socket);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 ||
	    setrlimit(RLIMIT_MEMLOCK, &limit) ||
	    (uid && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid))))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl(program, program, "--device", getenv("LAB_EDU"), path,
	      iommu == VFIO_IOMMU_IOMMUFD ? "--iommu=iommufd" :
					    "--iommu=type1", NULL);
	_exit(127);
}

/* Run the daemon as @uid: its pid once it listens, or its exit code, negative. */
static pid_t start(const char *dir, const char *socket, const char *log,
		   enum vfio_iommu_kind iommu, uid_t uid)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000l };
	int status, ms;
	pid_t pid;

	if (chown(dir, uid, uid))
		return -1000;
	pid = fork();
	if (!pid)
		exec_daemon(socket, log, iommu, uid);
	for (ms = 0; pid > 0 && ms < START_MS; ms += STEP_MS) {
		if (log_has(log, "listening on"))
			return pid;
		if (waitpid(pid, &status, WNOHANG) == pid)
			return -WEXITSTATUS(status);
		nanosleep(&step, NULL);
	}
	return -1000;
}

/* What follows @field in /proc/PID/status. */
static unsigned long long status_of(pid_t pid, const char *field, int base)
{
	unsigned long long value = ~0ull;
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, field, strlen(field)))
			value = strtoull(line + strlen(field), NULL, base);
	}
	if (f)
		fclose(f);
	return value;
}

static bool has_own_mounts(pid_t pid)
{
	char path[64], ours[64] = "", theirs[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	return readlink("/proc/self/ns/mnt", ours, sizeof(ours) - 1) > 0 &&
	       readlink(path, theirs, sizeof(theirs) - 1) > 0 &&
	       strcmp(ours, theirs);
}

static void expect_confined(struct __test_metadata *_metadata, pid_t pid)
{
	EXPECT_EQ(0, status_of(pid, "CapEff:", 16));
	EXPECT_EQ(0, status_of(pid, "CapPrm:", 16));
	EXPECT_EQ(1, status_of(pid, "NoNewPrivs:", 10));
	EXPECT_EQ(2, status_of(pid, "Seccomp:", 10));
}

static void expect_vendor(struct __test_metadata *_metadata,
			  struct vfio_user_client *client)
{
	uint16_t vendor = 0;

	EXPECT_EQ(sizeof(vendor),
		  vfio_user_region_read(client, VFIO_PCI_CONFIG_REGION_INDEX,
					PCI_VENDOR_ID, &vendor,
					sizeof(vendor)));
	/* QEMU's edu */
	EXPECT_EQ(0x1234, vendor);
}

/* Session after session: the device is opened within the sandbox. */
TEST_F(confined, root_serves_without_privileges)
{
	int i, status;

	ASSERT_EQ(0, give_nodes(0));
	self->pid = start(self->dir, self->socket, self->log, variant->iommu,
			  0);
	ASSERT_LT(0, self->pid);
	expect_confined(_metadata, self->pid);
	EXPECT_EQ(0, status_of(self->pid, "CapBnd:", 16));
	EXPECT_TRUE(has_own_mounts(self->pid));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vfio_user_connect(self->socket, NULL,
					       &self->client));
		expect_vendor(_metadata, self->client);
		/* More than the limit that it was started with. */
		EXPECT_EQ(0, vfio_user_dma_map(self->client, IOVA, SIZE,
					       self->memory, 0, READ_WRITE));
		vfio_user_disconnect(self->client);
		self->client = NULL;
	}
	ASSERT_EQ(0, kill(self->pid, SIGTERM));
	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));
	self->pid = 0;
	EXPECT_EQ(0, status);
	EXPECT_NE(0, access(self->socket, F_OK));
}

TEST_F(confined, nobody_is_told_of_the_memlock_limit)
{
	ASSERT_EQ(0, give_nodes(HW_DAEMON_UID));
	self->pid = start(self->dir, self->socket, self->log, variant->iommu,
			  HW_DAEMON_UID);
	ASSERT_LT(0, self->pid);
	expect_confined(_metadata, self->pid);
	EXPECT_FALSE(has_own_mounts(self->pid));
	ASSERT_EQ(0, vfio_user_connect(self->socket, NULL, &self->client));
	expect_vendor(_metadata, self->client);
	EXPECT_EQ(-ENOMEM, vfio_user_dma_map(self->client, IOVA, SIZE,
					     self->memory, 0, READ_WRITE));
	EXPECT_TRUE(log_has(self->log, "cannot map 8388608 bytes for DMA"));
	EXPECT_TRUE(log_has(self->log, "memlock limit is 1048576"));
	EXPECT_EQ(0, vfio_user_dma_map(self->client, IOVA, LIMIT / 2,
				       self->memory, 0, READ_WRITE));
}

/* Without capabilities, root can't open what isn't root's. */
TEST_F(confined, root_is_told_at_once_of_nodes_that_are_not_its_own)
{
	ASSERT_EQ(0, give_nodes(HW_DAEMON_UID));
	self->pid = start(self->dir, self->socket, self->log, variant->iommu,
			  0);
	EXPECT_EQ(-3, self->pid);
	EXPECT_TRUE(log_has(self->log, "no permission to open /dev/"));
}

TEST_HARNESS_MAIN
