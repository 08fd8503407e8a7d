// SPDX-License-Identifier: GPL-2.0-only
/*
 * What keeps the daemon from starting: each is said in words that help, ends it
 * with the documented exit code, and leaves nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"
#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

/* The exit codes of --help. */
#define EXIT_USAGE	2
#define EXIT_DEVICE	3
#define EXIT_SOCKET	4

FIXTURE(startup)
{
	struct peer peer;
	struct fake_config config;
};

FIXTURE_SETUP(startup)
{
	peer_init(&self->peer);
	fake_config_default(&self->config);
}

FIXTURE_TEARDOWN(startup)
{
	EXPECT_EQ(0, peer_close(&self->peer));
}

/* Run the daemon with these arguments until it ends by itself. */
static int run(struct peer *peer, const char *arg, const char *more)
{
	const char *const args[] = { arg, more, NULL };
	int ret;

	ret = fake_daemon_spawn(&peer->daemon, &peer->root, args);
	if (ret)
		return ret;
	ret = fake_daemon_wait(&peer->daemon, 15000);
	if (ret == -ETIMEDOUT)
		fake_daemon_stop(&peer->daemon, SIGKILL);
	return ret;
}

/* Has it said all of these words (@third may be NULL) in one line, no more? */
static bool said(const struct peer *peer, const char *first,
		 const char *second, const char *third)
{
	return peer_log_has(peer, first) && peer_log_has(peer, second) &&
	       (!third || peer_log_has(peer, third)) &&
	       peer_log_count(peer, "\n") == 1;
}

/* No socket is left, and the device is free for somebody else. */
static bool is_clean(struct peer *peer)
{
	const struct fake_control *control = peer->root.control;
	struct stat st;

	return stat(peer->daemon.socket, &st) && errno == ENOENT &&
	       !control->nr_maps && !control->hidden_fds && !control->orphans;
}

/* Put another link, or none, where the device's directory has one. */
static int relink(const struct peer *peer, const char *name, const char *to)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/%s",
		 peer->root.path, peer->root.control->config.name, name);
	if (unlink(path))
		return -errno;
	return to && symlink(to, path) ? -errno : 0;
}

TEST_F(startup, device_without_driver_says_how_to_bind_it)
{
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	ASSERT_EQ(0, relink(&self->peer, "driver", NULL));
	EXPECT_EQ(EXIT_DEVICE, run(&self->peer, NULL, NULL));
	EXPECT_TRUE(said(&self->peer, "0000:01:00.0: no driver has it",
			 "vfio-pci", "vfio-user bind 0000:01:00.0"));
	EXPECT_TRUE(is_clean(&self->peer));
}

TEST_F(startup, device_of_another_driver_names_it)
{
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	ASSERT_EQ(0, relink(&self->peer, "driver",
			    "../../../../bus/pci/drivers/nvme"));
	EXPECT_EQ(EXIT_DEVICE, run(&self->peer, NULL, NULL));
	EXPECT_TRUE(said(&self->peer, "driver nvme has it", "vfio-pci",
			 "vfio-user bind 0000:01:00.0"));
	EXPECT_TRUE(is_clean(&self->peer));
}

TEST_F(startup, group_that_is_not_viable_names_the_spoiler)
{
	static const char *const ways[] = { "--iommu=iommufd",
					    "--iommu=type1" };
	unsigned int i;

	self->config.not_viable = true;
	strcpy(self->config.spoiler, "e1000e");
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		EXPECT_EQ(EXIT_DEVICE, run(&self->peer, ways[i], NULL));
		EXPECT_TRUE(said(&self->peer, "IOMMU group 7 is not viable",
				 "0000:01:00.1 (driver e1000e)",
				 "bind that device to vfio-pci"));
		EXPECT_TRUE(is_clean(&self->peer));
	}
}

/*
 * EPERM, and no device of the group has a driver of the kernel's: of a device that
 * is alone in its group that has one reason, else it may have two.
 */
TEST_F(startup, bind_that_is_denied_says_what_it_may_be)
{
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	fake_fail_ioctl(&self->peer.root, FAKE_DEVICE,
			ABI_VFIO_DEVICE_BIND_IOMMUFD, EPERM);
	EXPECT_EQ(EXIT_DEVICE, run(&self->peer, "--iommu=iommufd", NULL));
	EXPECT_TRUE(said(&self->peer, "nothing isolates its interrupts",
			 "interrupt remapping", "allow_unsafe_interrupts"));
	EXPECT_FALSE(peer_log_has(&self->peer, "another process"));
	EXPECT_TRUE(is_clean(&self->peer));
}

TEST_F(startup, bind_that_is_denied_in_a_group_of_two)
{
	self->config.nr_more = 1;
	self->config.more[0] = (struct fake_more){
		.name = "0000:01:01.0",
		.group = self->config.group,
		.cdev = self->config.cdev + 1,
	};
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	fake_fail_ioctl(&self->peer.root, FAKE_DEVICE,
			ABI_VFIO_DEVICE_BIND_IOMMUFD, EPERM);
	EXPECT_EQ(EXIT_DEVICE, run(&self->peer, "--iommu=iommufd", NULL));
	EXPECT_TRUE(said(&self->peer, "another process has a device of its group",
			 "nothing isolates its interrupts",
			 "allow_unsafe_interrupts"));
	EXPECT_TRUE(is_clean(&self->peer));
}

/* The kernel says so, and nothing in sysfs shows why. */
TEST_F(startup, group_that_is_not_viable_without_a_visible_spoiler)
{
	self->config.not_viable = true;
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	EXPECT_EQ(EXIT_DEVICE, run(&self->peer, "--iommu=type1", NULL));
	EXPECT_TRUE(said(&self->peer, "IOMMU group 7 is not viable",
			 "/sys/kernel/iommu_groups/7/devices", "vfio-pci"));
	EXPECT_TRUE(is_clean(&self->peer));
}

TEST_F(startup, no_iommu_says_how_to_turn_it_on)
{
	peer_config(&self->config, PEER_TYPE1);
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	ASSERT_EQ(0, relink(&self->peer, "iommu_group", NULL));
	EXPECT_EQ(EXIT_DEVICE, run(&self->peer, NULL, NULL));
	EXPECT_TRUE(said(&self->peer, "no IOMMU", "firmware",
			 "intel_iommu=on"));
	EXPECT_TRUE(is_clean(&self->peer));
}

TEST_F(startup, noiommu_mode_is_refused)
{
	peer_config(&self->config, PEER_TYPE1);
	self->config.noiommu = true;
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	EXPECT_EQ(EXIT_DEVICE, run(&self->peer, NULL, NULL));
	EXPECT_TRUE(said(&self->peer, "no IOMMU confines this device",
			 "all of the machine's memory", "--unsafe-noiommu"));
	EXPECT_TRUE(is_clean(&self->peer));
}

/* Its addresses mean nothing, so memory with an fd isn't taken. */
TEST_F(startup, noiommu_mode_is_served_when_asked_for)
{
	int memory = peer_memory(4096);

	peer_config(&self->config, PEER_TYPE1);
	self->config.noiommu = true;
	ASSERT_EQ(0, peer_start(&self->peer, &self->config,
				"--unsafe-noiommu"));
	ASSERT_EQ(0, peer_connect(&self->peer));
	EXPECT_EQ(EOPNOTSUPP, wire_map(self->peer.sock, 0, 4096, PEER_RW,
				       memory, 0));
	EXPECT_EQ(FAKE_ID, peer_get64(&self->peer, FAKE_REG_ID));
	close(memory);
}

TEST_F(startup, device_that_is_not_there)
{
	const char *uuid = "--device=12345678-1234-1234-1234-123456789abc";

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	EXPECT_EQ(EXIT_DEVICE, run(&self->peer, "--device=0000:02:00.0",
				   NULL));
	EXPECT_TRUE(said(&self->peer, "0000:02:00.0", "no such device",
			 "lspci -D"));
	EXPECT_EQ(EXIT_DEVICE, run(&self->peer, uuid, NULL));
	EXPECT_TRUE(peer_log_has(&self->peer, "no such device"));
}

TEST_F(startup, device_that_is_no_name)
{
	static const char *const names[] = {
		"--device=", "--device=eth0", "--device=01:00.8",
		"--device=01:20.0", "--device=01:00", "--device=/dev/null",
		"--device=01:00.0x",
	};
	unsigned int i;

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_EQ(EXIT_USAGE, run(&self->peer, names[i], NULL));
		EXPECT_TRUE(said(&self->peer, names[i], "PCI address",
				 "0000:01:00.0"));
	}
	EXPECT_TRUE(is_clean(&self->peer));
}

TEST_F(startup, device_by_any_of_its_names)
{
	static const char *const names[] = {
		"--device=0000:01:00.0", "--device=01:00.0",
		"--device=/sys/bus/pci/devices/0000:01:00.0",
	};
	unsigned int i;

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		const char *const args[] = { names[i], NULL };

		ASSERT_EQ(0, fake_daemon_start(&self->peer.daemon,
					       &self->peer.root, args));
		EXPECT_TRUE(peer_wait_log(&self->peer,
					  "0000:01:00.0: listening"));
		EXPECT_EQ(0, fake_daemon_stop(&self->peer.daemon, SIGTERM));
	}
}

TEST_F(startup, mediated_device_by_its_uuid)
{
	fake_config_mdev(&self->config);
	ASSERT_EQ(0, peer_begin(&self->peer, &self->config, NULL));
	EXPECT_EQ(FAKE_ID, peer_get64(&self->peer, FAKE_REG_ID));
}

TEST_F(startup, device_that_another_process_has)
{
	static const char *const ways[] = { "--iommu=iommufd",
					    "--iommu=type1" };
	struct peer other;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		ASSERT_EQ(0, peer_begin(&self->peer, &self->config, ways[i]));
		other = self->peer;
		EXPECT_EQ(EXIT_DEVICE, run(&other, ways[i], NULL));
		EXPECT_TRUE(said(&other, "busy", "another process", "open"));
		EXPECT_EQ(FAKE_ID, peer_get64(&self->peer, FAKE_REG_ID));
		ASSERT_EQ(0, peer_close(&self->peer));
	}
	self->peer.root.control = NULL;
}

/* As for a user who has been given nothing. */
TEST_F(startup, no_permission_says_for_what_and_as_whom)
{
	const struct fake_rule rule = {
		.call = FAKE_OPEN,
		.err = EACCES,
	};
	char whom[32];

	snprintf(whom, sizeof(whom), "as uid %u", geteuid());
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	fake_rule_set(&self->peer.root, 0, &rule);
	EXPECT_EQ(EXIT_DEVICE, run(&self->peer, "--iommu=type1", NULL));
	EXPECT_TRUE(said(&self->peer, "no permission to open /dev/vfio/vfio",
			 whom, "chown"));
	EXPECT_EQ(EXIT_DEVICE, run(&self->peer, "--iommu=iommufd", NULL));
	EXPECT_TRUE(said(&self->peer, "no permission to open /dev/iommu",
			 whom, "chown"));
	EXPECT_TRUE(is_clean(&self->peer));
}

TEST_F(startup, kernel_without_vfio)
{
	self->config.has_iommufd = false;
	self->config.has_type1 = false;
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	EXPECT_EQ(EXIT_DEVICE, run(&self->peer, NULL, NULL));
	EXPECT_TRUE(said(&self->peer, "/dev/vfio/vfio does not exist",
			 "bound to vfio-pci", "modprobe vfio-pci"));
}

TEST_F(startup, iommufd_that_is_not_there)
{
	peer_config(&self->config, PEER_TYPE1);
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	EXPECT_EQ(EXIT_DEVICE, run(&self->peer, "--iommu=iommufd", NULL));
	EXPECT_TRUE(said(&self->peer, "/dev/vfio/devices", "vfio-pci",
			 "--iommu=type1"));
}

/* Each ioctl on the way to an open device fails in its turn. */
TEST_F(startup, kernel_that_fails_leaves_nothing_open)
{
	static const struct {
		const char *way;
		enum fake_kind kind;
		unsigned long request;
	} calls[] = {
		{ "--iommu=iommufd", FAKE_DEVICE,
		  ABI_VFIO_DEVICE_BIND_IOMMUFD },
		{ "--iommu=iommufd", FAKE_IOMMUFD, ABI_IOMMU_IOAS_ALLOC },
		{ "--iommu=iommufd", FAKE_DEVICE,
		  ABI_VFIO_DEVICE_ATTACH_IOMMUFD_PT },
		{ "--iommu=iommufd", FAKE_DEVICE, VFIO_DEVICE_GET_INFO },
		{ "--iommu=type1", FAKE_GROUP, VFIO_GROUP_GET_STATUS },
		{ "--iommu=type1", FAKE_CONTAINER, VFIO_CHECK_EXTENSION },
		{ "--iommu=type1", FAKE_GROUP, VFIO_GROUP_SET_CONTAINER },
		{ "--iommu=type1", FAKE_CONTAINER, VFIO_SET_IOMMU },
		{ "--iommu=type1", FAKE_GROUP, VFIO_GROUP_GET_DEVICE_FD },
		{ "--iommu=type1", FAKE_DEVICE, VFIO_DEVICE_GET_INFO },
	};
	unsigned int i;

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		fake_fail_ioctl(&self->peer.root, calls[i].kind,
				calls[i].request, EIO);
		EXPECT_EQ(EXIT_DEVICE, run(&self->peer, calls[i].way, NULL))
			TH_LOG("call %u", i);
		EXPECT_TRUE(peer_log_has(&self->peer, "cannot open"));
		EXPECT_TRUE(is_clean(&self->peer));
	}
}

/* A socket at a path of the test's own. */
static void socket_path(const struct peer *peer, char *option, size_t len,
			const char *name)
{
	snprintf(option, len, "--socket-path=%s/%s", peer->root.path, name);
}

TEST_F(startup, socket_that_is_alive_is_left_alone)
{
	struct peer other;
	char option[200];

	ASSERT_EQ(0, peer_start(&self->peer, &self->config, NULL));
	other = self->peer;
	snprintf(option, sizeof(option), "--socket-path=%s",
		 self->peer.daemon.socket);
	EXPECT_EQ(EXIT_SOCKET, run(&other, option, NULL));
	EXPECT_TRUE(said(&other, option, "another process listens there",
			 "choose another path"));
	EXPECT_EQ(0, peer_connect(&self->peer));
}

TEST_F(startup, socket_that_is_stale_is_replaced)
{
	char option[200];
	const char *const args[] = { option, NULL };

	ASSERT_EQ(0, peer_start(&self->peer, &self->config, NULL));
	EXPECT_EQ(128 + SIGKILL, fake_daemon_stop(&self->peer.daemon,
						  SIGKILL));
	EXPECT_EQ(-ECONNREFUSED, wire_connect(self->peer.daemon.socket));
	snprintf(option, sizeof(option), "--socket-path=%s",
		 self->peer.daemon.socket);
	ASSERT_EQ(0, fake_daemon_start(&self->peer.daemon, &self->peer.root,
				       args));
	EXPECT_EQ(0, peer_connect(&self->peer));
}

TEST_F(startup, path_that_is_no_socket_is_left_alone)
{
	char option[200];
	struct stat st;
	int fd;

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	socket_path(&self->peer, option, sizeof(option), "precious");
	fd = open(strchr(option, '/'), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ASSERT_LE(0, fd);
	close(fd);
	EXPECT_EQ(EXIT_SOCKET, run(&self->peer, option, NULL));
	EXPECT_TRUE(said(&self->peer, option, "not a socket",
			 "choose another path"));
	ASSERT_EQ(0, stat(strchr(option, '/'), &st));
	EXPECT_TRUE(S_ISREG(st.st_mode));
}

TEST_F(startup, path_without_a_directory)
{
	char option[200];

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	socket_path(&self->peer, option, sizeof(option), "nowhere/socket");
	EXPECT_EQ(EXIT_SOCKET, run(&self->peer, option, NULL));
	EXPECT_TRUE(said(&self->peer, option, "directory", "does not exist"));
}

TEST_F(startup, path_that_is_too_long)
{
	char option[200], name[110];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	socket_path(&self->peer, option, sizeof(option), name);
	EXPECT_EQ(EXIT_SOCKET, run(&self->peer, option, NULL));
	EXPECT_TRUE(said(&self->peer, option, "longer than 107 bytes",
			 "shorter"));
}

/* Where nobody may make a file, not even root. */
TEST_F(startup, path_where_nothing_can_be_made)
{
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	EXPECT_EQ(EXIT_SOCKET, run(&self->peer, "--socket-path=/proc/socket",
				   NULL));
	EXPECT_TRUE(said(&self->peer, "--socket-path=/proc/socket",
			 "cannot listen there", NULL));
}

/* The client's socket isn't made, or is removed again. */
TEST_F(startup, monitor_that_cannot_listen)
{
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	EXPECT_EQ(EXIT_SOCKET, run(&self->peer, "--monitor=/nowhere/monitor",
				   NULL));
	EXPECT_TRUE(said(&self->peer, "--monitor=/nowhere/monitor",
			 "directory", "does not exist"));
	EXPECT_TRUE(is_clean(&self->peer));
}

TEST_F(startup, monitor_is_removed_when_the_socket_fails)
{
	char monitor[200];
	struct stat st;

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	snprintf(monitor, sizeof(monitor), "--monitor=%s/monitor",
		 self->peer.root.path);
	EXPECT_EQ(EXIT_SOCKET, run(&self->peer, monitor,
				   "--socket-path=/nowhere/socket"));
	EXPECT_NE(0, stat(strchr(monitor, '/'), &st));
}

/* What the kernel calls the mode of a process's filter: 2, or 0 without one. */
static int seccomp_mode(pid_t pid)
{
	char path[64], line[256];
	int mode = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && mode < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "Seccomp: %d", &mode);
	if (f)
		fclose(f);
	return mode;
}

TEST_F(startup, sandbox_is_entered)
{
	ASSERT_EQ(0, peer_start(&self->peer, &self->config, NULL));
#ifdef __SANITIZE_ADDRESS__
	EXPECT_EQ(0, seccomp_mode(self->peer.daemon.pid));
	EXPECT_TRUE(peer_log_has(&self->peer, "sandbox: none"));
#else
	EXPECT_EQ(2, seccomp_mode(self->peer.daemon.pid));
#endif
	EXPECT_EQ(0, peer_connect(&self->peer));
}

TEST_F(startup, no_sandbox_says_what_it_gives_up)
{
	bool told;

	ASSERT_EQ(0, peer_start(&self->peer, &self->config, "--no-sandbox"));
	EXPECT_EQ(0, seccomp_mode(self->peer.daemon.pid));
	told = peer_log_has(&self->peer,
			    "--no-sandbox: nothing is given up: capabilities, system calls, files, mounts; the process can be traced and leaves cores");
	EXPECT_TRUE(told);
	EXPECT_EQ(0, peer_connect(&self->peer));
}

TEST_F(startup, fd_that_is_no_unix_socket)
{
	int inet = socket(AF_INET, SOCK_STREAM, 0), pipes[2];
	char option[32];

	ASSERT_LE(0, inet);
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	snprintf(option, sizeof(option), "--fd=%d", pipes[0]);
	EXPECT_EQ(EXIT_SOCKET, run(&self->peer, option, NULL));
	EXPECT_TRUE(said(&self->peer, option, "not an open UNIX stream",
			 NULL));
	snprintf(option, sizeof(option), "--fd=%d", inet);
	EXPECT_EQ(EXIT_SOCKET, run(&self->peer, option, NULL));
	EXPECT_TRUE(said(&self->peer, option, "not an open UNIX stream",
			 NULL));
	EXPECT_EQ(EXIT_SOCKET, run(&self->peer, "--fd=900", NULL));
	EXPECT_TRUE(said(&self->peer, "--fd=900", "not an open UNIX stream",
			 NULL));
	close(inet);
	close(pipes[0]);
	close(pipes[1]);
}

/* Messages have no ends in it, but a datagram has. */
TEST_F(startup, fd_that_is_no_stream)
{
	char option[32];
	int pair[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	snprintf(option, sizeof(option), "--fd=%d", pair[1]);
	EXPECT_EQ(EXIT_SOCKET, run(&self->peer, option, NULL));
	EXPECT_TRUE(said(&self->peer, option, "stream socket", NULL));
	close(pair[0]);
	close(pair[1]);
}

TEST_F(startup, bad_options_are_named)
{
	static const struct {
		const char *option;
		const char *words;
	} options[] = {
		{ "--iommu=vtd", "--iommu=vtd" },
		{ "--iommu=", "--iommu=" },
		{ "--mmap=maybe", "--mmap=maybe" },
		{ "--on-disconnect=never", "--on-disconnect=never" },
		{ "--fd=one", "--fd=one" },
		{ "--fd=-1", "--fd=-1" },
		{ "--fd=1x", "--fd=1x" },
		{ "--nonsense", "--nonsense" },
		{ "--mmap", "--mmap" },
		{ "--verbose=1", "--verbose" },
		{ "0000:01:00.0", "0000:01:00.0" },
	};
	unsigned int i;

	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		EXPECT_EQ(EXIT_USAGE, run(&self->peer, options[i].option,
					  NULL))
			TH_LOG("%s", options[i].option);
		EXPECT_TRUE(peer_log_has(&self->peer, options[i].words));
		EXPECT_TRUE(is_clean(&self->peer));
	}
	EXPECT_EQ(0, self->peer.root.control->calls[FAKE_IOCTL]);
}

/* Run a command, and keep what it says on stdout and stderr. */
static int shell(char *out, size_t len, const char *args)
{
	char command[600];
	FILE *file;
	size_t n;
	int status;

	snprintf(command, sizeof(command), "exec %s %s 2>&1 </dev/null",
		 peer_program("vfio-bridge-fake"), args);
	file = popen(command, "re");
	if (!file)
		return -errno;
	n = fread(out, 1, len - 1, file);
	out[n] = '\0';
	status = pclose(file);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

TEST(options_that_are_missing_are_named)
{
	char out[4096];

	EXPECT_EQ(EXIT_USAGE, shell(out, sizeof(out), "--socket-path=/x"));
	EXPECT_NE(NULL, strstr(out, "--device=DEVICE"));
	EXPECT_EQ(EXIT_USAGE, shell(out, sizeof(out), "--device=01:00.0"));
	EXPECT_NE(NULL, strstr(out, "--socket-path=PATH or --fd=N"));
	EXPECT_EQ(EXIT_USAGE, shell(out, sizeof(out),
				    "--device=01:00.0 --socket-path=/x --fd=0"));
	EXPECT_NE(NULL, strstr(out, "one of the two"));
}

TEST(help_lists_the_exit_codes)
{
	char out[8192];

	EXPECT_EQ(0, shell(out, sizeof(out), "--help"));
	EXPECT_NE(NULL, strstr(out, "2 bad options"));
	EXPECT_NE(NULL, strstr(out, "3 the device can't be exported"));
	EXPECT_NE(NULL, strstr(out, "4 the socket can't be made"));
}

TEST(capabilities_are_json)
{
	char out[8192];
	json_t *json;

	EXPECT_EQ(0, shell(out, sizeof(out), "--print-capabilities"));
	json = json_loads(out, 0, NULL);
	ASSERT_NE(NULL, json);
	EXPECT_STREQ("vfio-user",
		     json_string_value(json_object_get(json, "type")));
	json_decref(json);
}

TEST_HARNESS_MAIN
