// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may connect: the socket's file, the lists of users and groups, and sockets
 * that are there before the daemon.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"
#include "util.h"
#include "wire.h"

#include "kselftest_harness.h"

#define UID	65533
#define GID	65531
#define GROUP	65530

#define DEVICE_A	"0000:01:00.0"
#define DEVICE_B	"0000:01:01.0"

FIXTURE(access)
{
	struct peer peer;
	struct fake_config config;
	int sockets[2];
};

FIXTURE_SETUP(access)
{
	peer_init(&self->peer);
	self->sockets[0] = -1;
	self->sockets[1] = -1;
	fake_config_default(&self->config);
	self->config.nr_more = 1;
	self->config.more[0] = (struct fake_more){
		.name = DEVICE_B,
		.group = self->config.group + 1,
		.cdev = self->config.cdev + 1,
	};
	ASSERT_EQ(0, peer_machine(&self->peer, &self->config));
}

FIXTURE_TEARDOWN(access)
{
	close_fd(&self->sockets[0]);
	close_fd(&self->sockets[1]);
	EXPECT_EQ(0, peer_close(&self->peer));
}

static int start(struct peer *peer, const char *arg, const char *more)
{
	const char *const args[] = { arg, more, NULL };

	return fake_daemon_start(&peer->daemon, &peer->root, args);
}

/*
 * What VERSION says to somebody else, who is in @group beside their own, and in
 * one more that nobody asks for.
 */
static int knock(const struct peer *peer, uid_t uid, gid_t gid, gid_t group)
{
	const gid_t groups[] = { 1, group };
	struct wire_reply r;
	int status, sock;
	pid_t pid = fork();

	if (!pid) {
		if (setgroups(ARRAY_SIZE(groups), groups) || setgid(gid) ||
		    setuid(uid))
			_exit(255);
		sock = wire_connect(peer->daemon.socket);
		_exit(sock < 0 ? 254 : wire_version(sock, NULL, &r) & 0xff);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -ECHILD;
	return WEXITSTATUS(status);
}

TEST_F(access, socket_has_the_mode_and_owner_that_were_asked_for)
{
	const char *const args[] = {
		"--socket-mode=0620", "--socket-user=65533",
		"--socket-group=65531", NULL
	};
	struct stat st;

	if (geteuid())
		SKIP(return, "only root can give a file away");
	ASSERT_EQ(0, fake_daemon_start(&self->peer.daemon, &self->peer.root,
				       args));
	ASSERT_EQ(0, stat(self->peer.daemon.socket, &st));
	EXPECT_EQ(0620, st.st_mode & 07777);
	EXPECT_EQ(UID, st.st_uid);
	EXPECT_EQ(GID, st.st_gid);
	/* And the kernel goes by that: 254 is "can't connect". */
	EXPECT_EQ(0, knock(&self->peer, UID, GROUP, GROUP));
	EXPECT_EQ(254, knock(&self->peer, UID - 1, GROUP, GROUP));
}

TEST_F(access, names_are_looked_up)
{
	struct stat st;

	if (geteuid())
		SKIP(return, "only root can give a file away");
	ASSERT_EQ(0, start(&self->peer, "--socket-user=nobody",
			   "--socket-group=daemon"));
	ASSERT_EQ(0, stat(self->peer.daemon.socket, &st));
	EXPECT_EQ(65534, st.st_uid);
	EXPECT_EQ(getgrnam("daemon")->gr_gid, st.st_gid);
}

TEST_F(access, only_the_users_that_are_allowed)
{
	if (geteuid())
		SKIP(return, "only root can be somebody else");
	ASSERT_EQ(0, start(&self->peer, "--allow-uid=65533",
			   "--socket-mode=0666"));
	EXPECT_EQ(0, knock(&self->peer, UID, GID, GROUP));
	EXPECT_EQ(EACCES, knock(&self->peer, UID - 1, GID, GROUP));
	EXPECT_TRUE(peer_log_has(&self->peer, "of uid 65532, gid 65531: neither"));
	/* Root is a user like others. */
	EXPECT_EQ(EACCES, knock(&self->peer, 0, 0, 0));
	EXPECT_EQ(0, knock(&self->peer, UID, GID, GROUP));
}

TEST_F(access, members_of_groups_that_are_allowed)
{
	if (geteuid())
		SKIP(return, "only root can be somebody else");
	ASSERT_EQ(0, start(&self->peer, "--allow-gid=65531",
			   "--socket-mode=0666"));
	/* the group of its own, one of its others, none */
	EXPECT_EQ(0, knock(&self->peer, UID, GID, GROUP));
	EXPECT_EQ(0, knock(&self->peer, UID, GROUP, GID));
	EXPECT_EQ(EACCES, knock(&self->peer, UID, GROUP, GROUP));
}

TEST_F(access, one_match_is_enough)
{
	const char *const args[] = {
		"--allow-uid=65529", "--allow-uid=65533", "--allow-gid=65529",
		"--allow-gid=65531", "--socket-mode=0666", NULL
	};

	if (geteuid())
		SKIP(return, "only root can be somebody else");
	ASSERT_EQ(0, fake_daemon_start(&self->peer.daemon, &self->peer.root,
				       args));
	EXPECT_EQ(0, knock(&self->peer, UID, GROUP, GROUP));
	EXPECT_EQ(0, knock(&self->peer, UID - 1, GID, GROUP));
	EXPECT_EQ(0, knock(&self->peer, UID - 1, GROUP, GID));
	EXPECT_EQ(EACCES, knock(&self->peer, UID - 1, GROUP, GROUP));
}

/* Who may not connect learns nothing of who is served. */
TEST_F(access, is_asked_before_the_device_is_busy)
{
	if (geteuid())
		SKIP(return, "only root can be somebody else");
	ASSERT_EQ(0, start(&self->peer, "--allow-uid=0",
			   "--socket-mode=0666"));
	ASSERT_EQ(0, peer_connect(&self->peer));
	EXPECT_EQ(EACCES, knock(&self->peer, UID, GID, GROUP));
	EXPECT_EQ(EBUSY, knock(&self->peer, 0, 0, 0));
	EXPECT_EQ(0, wire_reset(self->peer.sock));
}

static int refused(struct peer *peer, const char *arg)
{
	const char *const args[] = { arg, NULL };

	if (fake_daemon_spawn(&peer->daemon, &peer->root, args))
		return -1;
	return fake_daemon_wait(&peer->daemon, 15000);
}

TEST_F(access, values_that_can_not_be)
{
	static const char *const bad[] = {
		"--socket-mode=", "--socket-mode=8", "--socket-mode=01777",
		"--socket-mode=-1", "--socket-user=no such", "--socket-user=-1",
		"--socket-group=4294967295", "--allow-uid=", "--allow-uid=1x",
		"--allow-gid=no such",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(2, refused(&self->peer, bad[i]));
		EXPECT_EQ(1, peer_log_count(&self->peer, "\n"));
	}
}

static int listener(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd >= 0 && (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
			listen(fd, 4)))
		close_fd(&fd);
	return fd;
}

/* As systemd does it: sockets from fd 3 on, and two variables. */
static void activate(const struct peer *peer, const int *fds, int nr,
		     bool for_another, const char *const args[])
{
	char pid[16], count[16];
	int i, log = open(peer->daemon.log, O_WRONLY | O_CREAT, 0666);

	/* Out of the way of where they go. */
	dup2(log, STDERR_FILENO);
	for (i = 0; i < nr; i++)
		dup2(fds[i], 60 + i);
	for (i = 0; i < nr; i++)
		dup2(60 + i, 3 + i);
	snprintf(pid, sizeof(pid), "%d", for_another ? 1 : getpid());
	snprintf(count, sizeof(count), "%d", nr);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", count, 1);
	setenv(FAKE_ROOT_ENV, peer->root.path, 1);
	execv(getenv(FAKE_DAEMON_ENV), (char **)args);
	_exit(127);
}

static const char *const one_device[] = {
	"vfio-bridge", "--device=" DEVICE_A, NULL
};

static int run_activated(struct peer *peer, const int *fds, int nr,
			 bool for_another, const char *const args[])
{
	snprintf(peer->daemon.log, sizeof(peer->daemon.log), "%s/log-active",
		 peer->root.path);
	peer->daemon.pid = fork();
	if (!peer->daemon.pid)
		activate(peer, fds, nr, for_another, args);
	return peer->daemon.pid < 0 ? -errno : 0;
}

TEST_F(access, socket_that_is_there_already)
{
	struct peer *peer = &self->peer;

	snprintf(peer->daemon.socket, sizeof(peer->daemon.socket), "%s/active",
		 peer->root.path);
	self->sockets[0] = listener(peer->daemon.socket);
	ASSERT_LE(0, self->sockets[0]);
	ASSERT_EQ(0, run_activated(peer, self->sockets, 1, false, one_device));
	EXPECT_EQ(0, peer_connect(peer));
	EXPECT_EQ(0, wire_reset(peer->sock));
	close_fd(&peer->sock);
	/* It isn't the daemon's, and stays when that ends. */
	EXPECT_EQ(0, fake_daemon_stop(&peer->daemon, SIGTERM));
	EXPECT_EQ(0, access(peer->daemon.socket, F_OK));
	/* For another daemon, which is started when somebody comes. */
	ASSERT_EQ(0, run_activated(peer, self->sockets, 1, false, one_device));
	EXPECT_EQ(0, peer_connect(peer));
}

/* A socket at a path of the test's, for the daemon to be given. */
static int make_socket(struct peer *peer, const char *name)
{
	int fd;

	snprintf(peer->daemon.socket, sizeof(peer->daemon.socket), "%.80s/%s",
		 peer->root.path, name);
	fd = listener(peer->daemon.socket);
	if (fd >= 0 && chmod(peer->daemon.socket, 0666))
		close_fd(&fd);
	return fd;
}

/* Whoever has made the socket: who is served is the daemon's to say. */
TEST_F(access, socket_that_is_there_already_has_its_lists)
{
	static const char *const args[] = {
		"vfio-bridge", "--device=" DEVICE_A, "--allow-uid=65533", NULL
	};
	struct peer *peer = &self->peer;

	if (geteuid())
		SKIP(return, "only root can be somebody else");
	self->sockets[0] = make_socket(peer, "given");
	ASSERT_LE(0, self->sockets[0]);
	ASSERT_EQ(0, run_activated(peer, self->sockets, 1, false, args));
	EXPECT_EQ(0, knock(peer, UID, GID, GROUP));
	EXPECT_EQ(EACCES, knock(peer, UID - 1, GID, GROUP));
}

/* Our end of a connection that @uid has made, who waits at the other. */
static int connected_by(struct peer *peer, uid_t uid, pid_t *pid)
{
	int sock = make_socket(peer, "given"), fd;

	*pid = fork();
	if (!*pid) {
		if (setgroups(0, NULL) || setgid(GID) || setuid(uid) ||
		    wire_connect(peer->daemon.socket) < 0)
			_exit(1);
		pause();
	}
	fd = accept4(sock, NULL, NULL, 0);
	close(sock);
	unlink(peer->daemon.socket);
	return fd;
}

TEST_F(access, connected_socket_is_of_who_has_connected)
{
	char option[32];
	const char *const args[] = { option, "--allow-uid=65533", NULL };
	struct peer *peer = &self->peer;
	uid_t uid;
	pid_t pid;
	int fd;

	if (geteuid())
		SKIP(return, "only root can be somebody else");
	for (uid = UID; uid >= UID - 1; uid--) {
		fd = connected_by(peer, uid, &pid);
		ASSERT_LE(0, fd);
		snprintf(option, sizeof(option), "--fd=%d", fd);
		ASSERT_EQ(0, fake_daemon_spawn(&peer->daemon, &peer->root,
					       args));
		close(fd);
		if (uid != UID)
			EXPECT_EQ(4, fake_daemon_wait(&peer->daemon, 15000));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		if (uid == UID)
			EXPECT_EQ(0, fake_daemon_wait(&peer->daemon, 15000));
	}
	EXPECT_TRUE(peer_log_has(peer, "of uid 65532, gid 65531, which neither"));
}

TEST_F(access, sockets_go_to_devices_in_their_order)
{
	static const char *const args[] = {
		"vfio-bridge", "--device=" DEVICE_A, "--device=" DEVICE_B, NULL
	};
	struct peer *peer = &self->peer;

	self->sockets[0] = make_socket(peer, "first");
	self->sockets[1] = make_socket(peer, "second");
	ASSERT_EQ(0, run_activated(peer, self->sockets, 2, false, args));
	ASSERT_EQ(0, peer_connect(peer));
	EXPECT_TRUE(peer_log_has(peer, DEVICE_B ": serving"));
	EXPECT_FALSE(peer_log_has(peer, DEVICE_A ": serving"));
}

TEST_F(access, sockets_go_to_devices_without_one_of_their_own)
{
	char path[200];
	const char *const args[] = {
		"vfio-bridge", "--device=" DEVICE_A, path,
		"--device=" DEVICE_B, NULL
	};
	struct peer *peer = &self->peer;

	snprintf(path, sizeof(path), "--socket-path=%s/own", peer->root.path);
	self->sockets[0] = make_socket(peer, "given");
	ASSERT_EQ(0, run_activated(peer, self->sockets, 1, false, args));
	ASSERT_EQ(0, peer_connect(peer));
	EXPECT_TRUE(peer_log_has(peer, DEVICE_B ": serving"));
}

TEST_F(access, more_sockets_than_devices)
{
	self->sockets[0] = listener("");
	self->sockets[1] = dup(self->sockets[0]);
	ASSERT_EQ(0, run_activated(&self->peer, self->sockets, 2, false,
				   one_device));
	EXPECT_EQ(2, fake_daemon_wait(&self->peer.daemon, 15000));
	EXPECT_TRUE(peer_log_has(&self->peer, "as many sockets"));
}

TEST_F(access, sockets_for_another_process)
{
	self->sockets[0] = listener("");
	ASSERT_EQ(0, run_activated(&self->peer, self->sockets, 1, true,
				   one_device));
	EXPECT_EQ(2, fake_daemon_wait(&self->peer.daemon, 15000));
	EXPECT_TRUE(peer_log_has(&self->peer, "give --socket-path=PATH"));
}

TEST_HARNESS_MAIN
