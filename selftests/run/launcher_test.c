// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-user-run: what it refuses to run and why, and what it leaves to the
 * program that it runs.
 */
#include <elf.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kselftest_harness.h"

#define EXIT_USAGE	125
#define EXIT_CANT_RUN	126
#define EXIT_NOT_FOUND	127
#define NOBODY		65534
/* Where an ELF file says which machine it is for */
#define MACHINE_OFFSET	18
#define DEVICE		"0000:ff:1f.7=/run/no/such,group=9999"

FIXTURE(launcher)
{
	char dir[32];
	char output[8192];
};

FIXTURE_SETUP(launcher)
{
	strcpy(self->dir, "/tmp/launcher-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, chmod(self->dir, 0755));
}

FIXTURE_TEARDOWN(launcher)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", self->dir);
	ASSERT_EQ(0, system(command));
}

/* What is built, two directories up from here. */
static void built(const char *name, char *path)
{
	char exe[PATH_MAX / 2] = "";
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[n > 0 ? n : 0] = '\0';
	snprintf(path, PATH_MAX, "%s/../../%s", dirname(exe), name);
}

/*
 * Return: exit status; what the launcher and the program say is in @output. For
 * another user the launcher is the one in @dir: where it was built may be a
 * place that only we can get to.
 */
static int launch(char *output, size_t size, const char *dir, uid_t uid,
		  char **argv)
{
	char launcher[PATH_MAX];
	int pipefd[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	if (uid)
		snprintf(launcher, sizeof(launcher), "%s/vfio-user-run", dir);
	else
		built("vfio-user-run", launcher);
	argv[0] = launcher;
	if (pipe(pipefd))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(pipefd[1], STDOUT_FILENO);
		dup2(pipefd[1], STDERR_FILENO);
		close(pipefd[0]);
		close(pipefd[1]);
		if (uid && (setgid(uid) || setuid(uid)))
			_exit(1);
		execv(launcher, argv);
		_exit(1);
	}
	close(pipefd[1]);
	do {
		n = read(pipefd[0], output + len, size - 1 - len);
		len += n > 0 ? n : 0;
	} while (n > 0);
	output[len] = '\0';
	close(pipefd[0]);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

#define LAUNCH_AS(uid, ...)						\
	launch(self->output, sizeof(self->output), self->dir, uid,	\
	       (char *[]){ NULL, __VA_ARGS__, NULL })
#define LAUNCH(...)	LAUNCH_AS(0, __VA_ARGS__)
#define SAYS(text)	(!!strstr(self->output, text))

/* A copy of a program, in the test's directory. */
static int copy(const char *from, const char *to, mode_t mode)
{
	char buf[65536];
	ssize_t n;
	int in, out;

	in = open(from, O_RDONLY);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	if (in < 0 || out < 0)
		return -1;
	while ((n = read(in, buf, sizeof(buf))) > 0) {
		if (write(out, buf, n) != n)
			return -1;
	}
	close(in);
	close(out);
	return chmod(to, mode);
}

static void path_in(const char *dir, const char *name, char path[64])
{
	snprintf(path, 64, "%s/%s", dir, name);
}

static int write_script(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return -1;
	fputs(text, f);
	fclose(f);
	return chmod(path, 0755);
}

/* The launcher and its library, for LAUNCH_AS(). */
static int copy_launcher(const char *dir)
{
	static const char *const names[] = {
		"vfio-user-run", "libvfio-user-run.so",
	};
	char from[PATH_MAX], to[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		built(names[i], from);
		path_in(dir, names[i], to);
		if (copy(from, to, 0755))
			return -1;
	}
	return 0;
}

TEST_F(launcher, refuses_wrong_options)
{
	EXPECT_EQ(EXIT_USAGE, LAUNCH("--no-such", "true"));
	EXPECT_EQ(EXIT_USAGE, LAUNCH("--"));
	EXPECT_TRUE(SAYS("no program"));
	EXPECT_EQ(EXIT_USAGE, LAUNCH("--device", "0000:00:00.0", "true"));
	EXPECT_TRUE(SAYS("not BDF=SOCKET"));
	EXPECT_EQ(EXIT_USAGE, LAUNCH("--device", "x=y,group=z", "true"));
	EXPECT_TRUE(SAYS("not BDF=SOCKET"));
	EXPECT_EQ(EXIT_USAGE, LAUNCH("--device", "x=y,group=1,cdev=sda",
				     "true"));
	EXPECT_TRUE(SAYS("not BDF=SOCKET"));
	EXPECT_EQ(EXIT_USAGE, LAUNCH("--device", "ffff:ff:1f.7=s", "true"));
	EXPECT_TRUE(SAYS("sysfs has neither"));
	EXPECT_EQ(0, LAUNCH("--help"));
	EXPECT_TRUE(SAYS("usage: vfio-user-run"));
}

TEST_F(launcher, finds_the_program_or_says_so)
{
	char path[64];

	EXPECT_EQ(EXIT_NOT_FOUND, LAUNCH("no-such-program-at-all"));
	EXPECT_TRUE(SAYS("no-such-program-at-all: No such file"));
	EXPECT_EQ(EXIT_CANT_RUN, LAUNCH(self->dir));
	path_in(self->dir, "file", path);
	ASSERT_EQ(0, write_script(path, "#!/bin/sh\nexit 42\n"));
	EXPECT_EQ(42, LAUNCH(path));
	ASSERT_EQ(0, chmod(path, 0644));
	EXPECT_EQ(EXIT_CANT_RUN, LAUNCH(path));
	EXPECT_EQ(7, LAUNCH("sh", "-c", "exit 7"));
	EXPECT_EQ(7, LAUNCH("--", "sh", "-c", "exit 7"));
}

TEST_F(launcher, refuses_static_programs)
{
	char program[PATH_MAX], script[64], text[PATH_MAX + 16];

	built("selftests/run/static_program", program);
	EXPECT_EQ(EXIT_CANT_RUN, LAUNCH("--device", DEVICE, program));
	EXPECT_TRUE(SAYS("is statically linked"));
	/* And scripts for which they are the interpreter */
	path_in(self->dir, "script", script);
	snprintf(text, sizeof(text), "#! %s -x\n", program);
	ASSERT_EQ(0, write_script(script, text));
	EXPECT_EQ(EXIT_CANT_RUN, LAUNCH(script));
	EXPECT_TRUE(SAYS("is statically linked"));
}

TEST_F(launcher, refuses_programs_with_privileges)
{
	/* cap_net_raw, permitted and effective, as revision 2 */
	static const uint32_t caps[5] = { 0x02000001, 1u << 13 };
	char path[64];

	if (getuid())
		SKIP(return, "only root can make such programs");
	ASSERT_EQ(0, copy_launcher(self->dir));
	path_in(self->dir, "program", path);
	ASSERT_EQ(0, copy("/bin/true", path, 04755));
	EXPECT_EQ(EXIT_CANT_RUN, LAUNCH_AS(NOBODY, path));
	EXPECT_TRUE(SAYS("is a set-user-ID program"));
	/* To root it gives nothing. */
	EXPECT_EQ(0, LAUNCH(path));
	ASSERT_EQ(0, chmod(path, 02755));
	EXPECT_EQ(EXIT_CANT_RUN, LAUNCH_AS(NOBODY, path));
	EXPECT_TRUE(SAYS("is a set-group-ID program"));
	ASSERT_EQ(0, chmod(path, 0755));
	EXPECT_EQ(0, LAUNCH_AS(NOBODY, path));
	ASSERT_EQ(0, setxattr(path, "security.capability", caps, sizeof(caps),
			      0));
	EXPECT_EQ(EXIT_CANT_RUN, LAUNCH_AS(NOBODY, path));
	EXPECT_TRUE(SAYS("has file capabilities"));
}

TEST_F(launcher, refuses_other_architectures)
{
	char path[64];
	uint16_t machine = EM_S390;
	int fd;

	path_in(self->dir, "program", path);
	ASSERT_EQ(0, copy("/bin/true", path, 0755));
	fd = open(path, O_WRONLY);
	ASSERT_EQ(sizeof(machine), pwrite(fd, &machine, sizeof(machine),
					  MACHINE_OFFSET));
	close(fd);
	EXPECT_EQ(EXIT_CANT_RUN, LAUNCH(path));
	EXPECT_TRUE(SAYS("another architecture"));
}

TEST_F(launcher, keeps_what_the_environment_has)
{
	setenv("LD_PRELOAD", "libm.so.6", 1);
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	EXPECT_EQ(0, LAUNCH("--device", DEVICE, "env"));
	EXPECT_TRUE(SAYS("/libvfio-user-run.so:libm.so.6\n"));
	EXPECT_TRUE(SAYS("ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0\n"));
	EXPECT_TRUE(SAYS("VFIO_USER_RUN_DEVICES=0000:ff:1f.7=/run/no/such,group=9999\n"));
	EXPECT_EQ(0, LAUNCH("cat", "/proc/self/maps"));
	EXPECT_TRUE(SAYS("/libm.so.6\n"));
	EXPECT_TRUE(SAYS("/libvfio-user-run.so\n"));
}

TEST_F(launcher, names_devices_in_full)
{
	EXPECT_EQ(0, LAUNCH("--device", "ff:1f.7=sock,cdev=vfio3",
			    "--device", "a-uuid=/s,with,commas,group=5", "env"));
	EXPECT_TRUE(SAYS("DEVICES=0000:ff:1f.7=/"));
	EXPECT_TRUE(SAYS("/sock,cdev=vfio3\n"));
	EXPECT_TRUE(SAYS("a-uuid=/s,with,commas,group=5\n"));
}

TEST_F(launcher, leaves_other_programs_alone)
{
	/* Without a device nothing is answered. */
	EXPECT_EQ(1, LAUNCH("sh", "-c", "[ -c /dev/vfio/9999 ]"));
	EXPECT_EQ(0, LAUNCH("--device", DEVICE, "sh", "-c",
			    "[ -c /dev/vfio/9999 ] && [ -c /dev/vfio/vfio ]"));
	EXPECT_EQ(1, LAUNCH("--device", DEVICE, "sh", "-c",
			    "[ -e /dev/vfio/9998 ]"));
	EXPECT_EQ(0, LAUNCH("--device", DEVICE, "sh", "-c",
			    "echo text >$0/a && cat $0/a", self->dir));
	EXPECT_TRUE(SAYS("text\n"));
	/* The bridge isn't there: that is what opening the group says. */
	EXPECT_NE(0, LAUNCH("--device", DEVICE, "sh", "-c",
			    "exec 3<>/dev/vfio/9999"));
	EXPECT_TRUE(SAYS("cannot connect to /run/no/such: No such file"));
}

TEST_HARNESS_MAIN
