// SPDX-License-Identifier: GPL-2.0-only
/*
 * The socket's file, while it is made: what it looks like before anybody can
 * connect, and what comes of it when somebody who may write to its directory puts
 * something else in its place.
 *
 * bind(2) and listen(2) are this file's, so that it can look, and be that somebody,
 * at the right moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "bridge/bridge.h"

#include "kselftest_harness.h"

#define USER	65533
#define GROUP	65531

/* What happens to the socket once it is there; the rest is what was seen. */
static struct {
	void (*swap)(void);
	char dir[64];
	char path[128];
	char victim[128];
	bool listened;
	struct stat before_listen;
} scene;

int bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	int ret = syscall(SYS_bind, fd, addr.__sockaddr__, len);

	if (!ret && scene.swap)
		scene.swap();
	return ret;
}

int listen(int fd, int backlog)
{
	scene.listened = true;
	if (lstat(scene.path, &scene.before_listen))
		return -1;
	return syscall(SYS_listen, fd, backlog);
}

FIXTURE(socket)
{
	struct access access;
	struct listener listener;
	char why[256];
};

FIXTURE_SETUP(socket)
{
	int fd;

	memset(&scene, 0, sizeof(scene));
	strcpy(scene.dir, "/tmp/listen-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(scene.dir));
	snprintf(scene.path, sizeof(scene.path), "%s/socket", scene.dir);
	snprintf(scene.victim, sizeof(scene.victim), "%s/victim", scene.dir);
	fd = open(scene.victim, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fchmod(fd, 0600));
	close(fd);
	self->listener.fd = -1;
	self->access = (struct access){
		.has_mode = true,
		.mode = 0666,
		.user = geteuid() ? -1 : USER,
		.group = geteuid() ? getegid() : GROUP,
	};
}

FIXTURE_TEARDOWN(socket)
{
	listen_close(&self->listener);
	unlink(scene.path);
	unlink(scene.victim);
	EXPECT_EQ(0, rmdir(scene.dir));
}

static int open_it(struct _test_data_socket *self)
{
	return listen_open(&self->listener, scene.path, &self->access,
			   self->why, sizeof(self->why));
}

/* Before the first could connect. */
TEST_F(socket, is_given_away_before_it_listens)
{
	mode_t usual = umask(027);

	EXPECT_EQ(0, open_it(self));
	/* It is other files' as ever. */
	EXPECT_EQ(027, umask(usual));
	ASSERT_TRUE(scene.listened);
	EXPECT_EQ(0666, scene.before_listen.st_mode & 07777);
	EXPECT_EQ(self->access.group, scene.before_listen.st_gid);
	if (!geteuid())
		EXPECT_EQ(USER, scene.before_listen.st_uid);
}

TEST_F(socket, has_the_usual_mode_if_none_is_asked_for)
{
	mode_t usual = umask(027);

	self->access.has_mode = false;
	EXPECT_EQ(0, open_it(self));
	umask(usual);
	EXPECT_EQ(0750, scene.before_listen.st_mode & 07777);
}

static bool victim_is_untouched(void)
{
	struct stat st;

	return !stat(scene.victim, &st) && st.st_uid == geteuid() &&
	       (st.st_mode & 07777) == 0600;
}

static void swap_for_link(void)
{
	if (unlink(scene.path) || symlink(scene.victim, scene.path))
		abort();
}

static void swap_for_second_name(void)
{
	if (unlink(scene.path) || link(scene.victim, scene.path))
		abort();
}

/* A socket of the victim's has a second name, too. */
static void swap_for_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, scene.victim);
	if (unlink(scene.victim) ||
	    syscall(SYS_bind, fd, &addr, sizeof(addr)) ||
	    chmod(scene.victim, 0600) || unlink(scene.path) ||
	    link(scene.victim, scene.path))
		abort();
	close(fd);
}

TEST_F(socket, somebody_elses_file_in_its_place_is_left_alone)
{
	static void (*const swaps[])(void) = {
		swap_for_link, swap_for_second_name, swap_for_socket,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(swaps); i++) {
		scene.swap = swaps[i];
		EXPECT_EQ(-ENOTSOCK, open_it(self));
		EXPECT_NE(NULL, strstr(self->why, "something else"));
		EXPECT_FALSE(scene.listened);
		EXPECT_TRUE(victim_is_untouched()) {
			TH_LOG("swap %u", i);
		}
		unlink(scene.path);
	}
}

/* Only its mode is asked for: nothing of what is there then is changed. */
TEST_F(socket, mode_is_not_somebody_elses_files)
{
	self->access.user = -1;
	self->access.group = -1;
	scene.swap = swap_for_link;
	open_it(self);
	EXPECT_TRUE(victim_is_untouched());
}

TEST_HARNESS_MAIN
