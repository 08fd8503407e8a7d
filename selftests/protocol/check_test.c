// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-bridge --check: everything that stands in the way is said, each with what
 * to do, and nothing is opened to find it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pair.h"
#include "selftests/fake/tree.h"
#include "util.h"

#include "kselftest_harness.h"

#define DEVICE_DIR	"sys/devices/pci0000:00/" PAIR_DEVICE_A
#define OTHER_UID	65534
#define EXIT_OK		0
#define EXIT_USAGE	2
#define EXIT_DEVICE	3

FIXTURE(check)
{
	struct peer peer;
	struct fake_config config;
	char out[16384];
	uid_t uid;
	const char *args[8];
};

FIXTURE_VARIANT(check)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(check, iommufd)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(check, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(check)
{
	peer_init(&self->peer);
	pair_config(&self->config, variant->way);
	self->args[0] = "--device=" PAIR_DEVICE_A;
	umask(0);
}

FIXTURE_TEARDOWN(check)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* In the child: become the daemon, with all that it says in a pipe. */
static void become(const char *root, uid_t uid, const char *const args[],
		   int out)
{
	const char *argv[80] = { peer_program("vfio-bridge-fake"), "--check" };
	unsigned int n = 2;
	int program;

	while (*args)
		argv[n++] = *args++;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may be in a place that only we can get to. */
	program = open(argv[0], O_RDONLY | O_CLOEXEC);
	if (setenv(FAKE_ROOT_ENV, root, 1) || dup2(out, 1) < 0 ||
	    dup2(out, 2) < 0 || (uid && setuid(uid)))
		_exit(127);
	fexecve(program, (char *const *)argv, environ);
	_exit(127);
}

/* Run --check to its end: its exit code, and what it has printed. */
static int check(const char *root, uid_t uid, const char *const args[],
		 char *out, size_t len)
{
	size_t have = 0;
	int pipes[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid)
		become(root, uid, args, pipes[1]);
	close(pipes[1]);
	while ((n = read(pipes[0], out + have, len - 1 - have)) > 0)
		have += n;
	out[have] = '\0';
	close(pipes[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -ECHILD;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

/* The check of self->args, for self->uid. */
#define CHECK() check(self->peer.root.path, self->uid, self->args, self->out, \
		      sizeof(self->out))

/* Has it printed this? If not, show what it did print. */
static bool said(const char *out, const char *text)
{
	if (strstr(out, text))
		return true;
	fprintf(stderr, "missing: %s\n%s", text, out);
	return false;
}

#define EXPECT_SAID(text) EXPECT_TRUE(said(self->out, text))

static unsigned int count(const char *text, const char *what)
{
	unsigned int n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

/* How many obstacles it has printed. */
#define NR_OBSTACLES() count(self->out, "\n  - ")

static char *below(char *buf, const struct peer *peer, const char *path)
{
	sprintf(buf, "%s/%s", peer->root.path, path);
	return buf;
}

static int make_file(const struct peer *peer, const char *path,
		     const char *text)
{
	int fd = tree_file(peer->root.path, path, text, strlen(text));

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int remove_file(const struct peer *peer, const char *path)
{
	char full[256];

	return unlink(below(full, peer, path)) ? -errno : 0;
}

/* Give the first device to another driver, or with NULL to none. */
static int give_to(const struct peer *peer, const char *driver)
{
	char link[256], target[128];

	below(link, peer, DEVICE_DIR "/driver");
	if (unlink(link))
		return -errno;
	snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s",
		 driver ? driver : "");
	return driver && symlink(target, link) ? -errno : 0;
}

/* Has the fake seen anything that VFIO would notice? */
static bool untouched(const struct fake_control *control)
{
	uint64_t seen = control->calls[FAKE_IOCTL] + control->enables;
	int i;

	for (i = 0; i < FAKE_NR_KINDS; i++)
		seen += control->opens[i];
	return !seen;
}

TEST_F(check, nothing_in_the_way)
{
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	EXPECT_EQ(EXIT_OK, CHECK());
	EXPECT_SAID(PAIR_DEVICE_A ": ");
	EXPECT_SAID("Red Hat");
	EXPECT_EQ(1, count(self->out, variant->way == PEER_TYPE1 ?
			   "can be exported, through type1" :
			   "can be exported, through iommufd"));
	EXPECT_EQ(0, NR_OBSTACLES());
	EXPECT_TRUE(untouched(self->peer.root.control));
}

TEST_F(check, each_device_and_what_they_share)
{
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	self->args[1] = "--device=" PAIR_DEVICE_B;
	self->args[2] = "--device=0000:09:00.0";
	self->args[3] = "--device=nonsense";
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	EXPECT_EQ(2, count(self->out, "can be exported"));
	EXPECT_SAID("shares IOMMU group 7 with " PAIR_DEVICE_A);
	EXPECT_SAID("shares IOMMU group 7 with " PAIR_DEVICE_B);
	EXPECT_SAID("there is no such device (lspci -D");
	EXPECT_SAID("that is no device");
	EXPECT_EQ(2, NR_OBSTACLES());
}

TEST_F(check, without_a_device_those_that_vfio_has)
{
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	self->args[0] = NULL;
	EXPECT_EQ(EXIT_OK, CHECK());
	EXPECT_EQ(2, count(self->out, "can be exported"));
	ASSERT_EQ(0, give_to(&self->peer, NULL));
	EXPECT_EQ(EXIT_OK, CHECK());
	EXPECT_EQ(1, count(self->out, "can be exported"));
}

/* All at once: none of them hides another. */
TEST_F(check, every_obstacle_is_said)
{
	strcpy(self->config.spoiler, "snd_hda_intel");
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	ASSERT_EQ(0, make_file(&self->peer, "elsewhere", ""));
	ASSERT_EQ(0, give_to(&self->peer, "igb"));
	ASSERT_EQ(0, make_file(&self->peer, DEVICE_DIR "/net/eth77/flags",
			       "0x1003\n"));
	self->args[1] = "--socket-path=/nowhere/at/all";
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	EXPECT_SAID("driver igb has it, not vfio-pci: 'vfio-user bind "
		    PAIR_DEVICE_A "'");
	EXPECT_SAID("network interface eth77 is up");
	EXPECT_SAID("IOMMU group 7 is not viable because of 0000:01:00.1 (driver snd_hda_intel)");
	EXPECT_SAID("the directory /nowhere/at does not exist");
	EXPECT_EQ(4, NR_OBSTACLES());
	EXPECT_TRUE(untouched(self->peer.root.control));
}

TEST_F(check, every_spoiler_of_the_group)
{
	char link[256];

	strcpy(self->config.spoiler, "snd_hda_intel");
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	below(link, &self->peer,
	      "sys/devices/pci0000:00/" PAIR_DEVICE_B "/driver");
	ASSERT_EQ(0, unlink(link));
	ASSERT_EQ(0, symlink("../../../bus/pci/drivers/nvme", link));
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	EXPECT_SAID("because of 0000:01:00.1 (driver snd_hda_intel)");
	EXPECT_SAID("because of " PAIR_DEVICE_B " (driver nvme)");
	EXPECT_EQ(2, NR_OBSTACLES());
}

/* Where the root file system of this machine is, by number. */
static int find_mount(char *number, char *where)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	int n = f ? fscanf(f, "%*d %*d %31s %*s %511s", number, where) : 0;

	if (f)
		fclose(f);
	return n == 2 ? 0 : -ENOENT;
}

TEST_F(check, disk_that_is_mounted)
{
	char number[32], where[512], link[256];

	ASSERT_EQ(0, find_mount(number, where));
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	ASSERT_EQ(0, give_to(&self->peer, "nvme"));
	ASSERT_EQ(0, make_file(&self->peer,
			       DEVICE_DIR "/nvme/nvme9/nvme9n1/dev", number));
	ASSERT_EQ(0, make_file(&self->peer,
			       DEVICE_DIR "/nvme/nvme9/nvme9n1/holders/dm-7",
			       ""));
	ASSERT_EQ(0, make_file(&self->peer, "sys/class/block/README", ""));
	ASSERT_EQ(0, symlink("../../../" DEVICE_DIR "/nvme/nvme9/nvme9n1",
			     below(link, &self->peer,
				   "sys/class/block/nvme9n1")));
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	snprintf(link, sizeof(link), "its disk nvme9n1 is mounted on %.200s",
		 where);
	EXPECT_SAID(link);
	EXPECT_SAID("its disk nvme9n1 is part of dm-7");
	EXPECT_EQ(3, NR_OBSTACLES());
}

TEST_F(check, nodes_that_may_not_be_opened)
{
	bool type1 = variant->way == PEER_TYPE1;
	char path[256];

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	below(path, &self->peer, type1 ? "dev/vfio/7" : "dev/vfio/devices/vfio0");
	ASSERT_EQ(0, chmod(path, 0600));
	self->uid = OTHER_UID;
	/* The choice falls on what can be opened. */
	self->args[1] = type1 ? "--iommu=type1" : "--iommu=iommufd";
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	EXPECT_SAID(type1 ? "no permission to open /dev/vfio/7 as uid 65534" :
		    "no permission to open /dev/vfio/devices/vfio0 as uid 65534");
	EXPECT_SAID("mode 600");
	EXPECT_EQ(1, NR_OBSTACLES());
	ASSERT_EQ(0, chmod(path, 0666));
	EXPECT_EQ(EXIT_OK, CHECK());
}

TEST_F(check, nodes_that_are_not_there)
{
	bool type1 = variant->way == PEER_TYPE1;

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	ASSERT_EQ(0, remove_file(&self->peer,
				 type1 ? "dev/vfio/7" : "dev/iommu"));
	self->args[1] = type1 ? "--iommu=type1" : "--iommu=iommufd";
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	EXPECT_SAID(type1 ? "/dev/vfio/7 does not exist" :
		    "/dev/iommu does not exist: modprobe iommufd, or use --iommu=type1");
	EXPECT_EQ(1, NR_OBSTACLES());
}

TEST_F(check, module_that_is_not_there)
{
	char path[256];

	pair_config(&self->config, PEER_TYPE1);
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	ASSERT_EQ(0, remove_file(&self->peer,
				 "sys/module/vfio_iommu_type1/refcnt"));
	ASSERT_EQ(0, rmdir(below(path, &self->peer,
				 "sys/module/vfio_iommu_type1")));
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	EXPECT_SAID("modprobe vfio_iommu_type1");
	EXPECT_EQ(1, NR_OBSTACLES());
}

/* The test is the one that has it. */
TEST_F(check, who_has_the_group_open)
{
	char path[256], who[64];
	int fd;

	pair_config(&self->config, PEER_TYPE1);
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	fd = open(below(path, &self->peer, "dev/vfio/7"), O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	snprintf(who, sizeof(who), "process %d (check_test) has /dev/vfio/7 open",
		 getpid());
	EXPECT_SAID(who);
	EXPECT_EQ(1, NR_OBSTACLES());
	close(fd);
	EXPECT_EQ(EXIT_OK, CHECK());
}

TEST_F(check, device_without_an_iommu)
{
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	ASSERT_EQ(0, remove_file(&self->peer, DEVICE_DIR "/iommu_group"));
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	EXPECT_SAID("no IOMMU confines this device, while others");
	EXPECT_EQ(1, NR_OBSTACLES());
}

TEST_F(check, machine_without_an_iommu)
{
	char from[256], to[256];

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	ASSERT_EQ(0, remove_file(&self->peer, DEVICE_DIR "/iommu_group"));
	below(from, &self->peer, "sys/kernel/iommu_groups");
	ASSERT_EQ(0, rename(from, below(to, &self->peer, "gone")));
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	EXPECT_SAID("no IOMMU that is on");
	EXPECT_SAID("intel_iommu=on");
}

TEST_F(check, mode_without_an_iommu_has_to_be_asked_for)
{
	pair_config(&self->config, PEER_TYPE1);
	self->config.noiommu = true;
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	EXPECT_SAID("--unsafe-noiommu allows that");
	self->args[1] = "--unsafe-noiommu";
	EXPECT_EQ(EXIT_OK, CHECK());
}

TEST_F(check, sockets_that_cannot_be)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char arg[300], path[256], monitor[300];

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	below(path, &self->peer, "busy");
	strcpy(addr.sun_path, path);
	ASSERT_EQ(0, bind(sock, (struct sockaddr *)&addr, sizeof(addr)));
	snprintf(arg, sizeof(arg), "--socket-path=%s", path);
	self->args[1] = arg;

	/* Nobody listens there: it would be replaced. */
	EXPECT_EQ(EXIT_OK, CHECK());
	ASSERT_EQ(0, listen(sock, 1));
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	EXPECT_SAID("another process listens there");
	EXPECT_EQ(-1, accept4(sock, NULL, NULL, fcntl(sock, F_SETFL,
						      O_NONBLOCK)));
	EXPECT_EQ(EAGAIN, errno);

	ASSERT_EQ(0, make_file(&self->peer, "file", ""));
	snprintf(monitor, sizeof(monitor), "--monitor=%s/file",
		 self->peer.root.path);
	self->args[1] = monitor;
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	EXPECT_SAID("it exists and is not a socket");
	close(sock);
}

TEST_F(check, notes_stand_in_nobodys_way)
{
	const struct rlimit limit = { 65536, 65536 };

	self->config.flr = false;
	self->config.bus_reset = false;
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	self->uid = OTHER_UID;
	EXPECT_EQ(EXIT_OK, CHECK());
	EXPECT_SAID("note: it has no reset of its own");
	EXPECT_SAID("note: the memlock limit is 65536 bytes");

	ASSERT_EQ(0, make_file(&self->peer, DEVICE_DIR "/reset_method",
			       "bus\n"));
	EXPECT_EQ(EXIT_OK, CHECK());
	EXPECT_SAID("note: it has no reset of its own");
	ASSERT_EQ(0, make_file(&self->peer, DEVICE_DIR "/reset_method",
			       "flr bus\n"));
	EXPECT_EQ(EXIT_OK, CHECK());
	EXPECT_EQ(NULL, strstr(self->out, "no reset of its own"));
}

TEST_F(check, no_more_devices_than_there_can_be)
{
	const char *args[66] = { NULL };
	char names[65][32];
	int i;

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	for (i = 0; i < 65; i++) {
		snprintf(names[i], sizeof(names[i]), "--device=0000:05:%02x.%d",
			 i / 8, i % 8);
		args[i] = names[i];
	}
	EXPECT_EQ(EXIT_USAGE, check(self->peer.root.path, 0, args, self->out,
				    sizeof(self->out)));
	EXPECT_SAID("64 is the most there can be");
	args[64] = NULL;
	EXPECT_EQ(EXIT_DEVICE, check(self->peer.root.path, 0, args, self->out,
				     sizeof(self->out)));
	EXPECT_EQ(64, NR_OBSTACLES());
}

TEST_F(check, mediated_device)
{
	fake_config_mdev(&self->config);
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	self->args[0] = "--device=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
	EXPECT_EQ(EXIT_OK, CHECK());
	self->args[0] = "--device=83b8f4f2-509f-382f-3c1e-e6bfe0fa1002";
	EXPECT_EQ(EXIT_DEVICE, CHECK());
	EXPECT_SAID("ls /sys/bus/mdev/devices lists them");
}

TEST_HARNESS_MAIN
