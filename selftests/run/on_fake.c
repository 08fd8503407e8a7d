// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run a test that is written for plain VFIO on the software VFIO: it makes the
 * machine, starts the daemon on it, and runs the test by vfio-user-run.
 *
 * Under the name fake_NAME it runs NAME, which is beside it, so that a test can
 * be listed under that name; under fake_migrate_NAME the device can migrate. The
 * environment says where the test's device is.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "selftests/fake/fixture.h"
#include "util.h"

#define NAME_PREFIX	"fake_"

static int fail(const char *what, int err)
{
	printf("Bail out! %s: %s\n", what, strerror(-err));
	return 1;
}

/* What is built beside this program's directory's parent. */
static const char *built(const char *name)
{
	static char path[2][PATH_MAX];
	static unsigned int n;
	char *out = path[n++ % 2];
	char exe[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[len > 0 ? len : 0] = '\0';
	snprintf(out, PATH_MAX, "%s/../../%s", dirname(exe), name);
	return out;
}

/* The test that this program's own name says; NULL if it says none. */
static char *test_of_name(const char *self)
{
	const char *slash = strrchr(self, '/');
	const char *name = slash ? slash + 1 : self;
	char *path;

	if (strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) ||
	    asprintf(&path, "%.*s%s", (int)(name - self), self,
		     name + strlen(NAME_PREFIX)) < 0)
		return NULL;
	return path;
}

static void run_test(const struct fake_root *root,
		     const struct fake_daemon *daemon, char **argv)
{
	const struct fake_config *config = &root->control->config;
	char device[512], group[16];
	const char *args[64] = { built("vfio-user-run"), "--device", device,
				 "--" };
	unsigned int n = 4;

	snprintf(device, sizeof(device), "%s=%s,group=%u,cdev=vfio0",
		 config->name, daemon->socket, config->group);
	snprintf(group, sizeof(group), "%u", config->group);
	setenv("TEST_BDF", config->name, 1);
	setenv("TEST_GROUP", group, 1);
	setenv("TEST_CDEV", "vfio0", 1);
	setenv("TEST_FAKE_ROOT", root->path, 1);
	while (*argv && n + 1 < ARRAY_SIZE(args))
		args[n++] = *argv++;
	execvp(args[0], (char **)args);
	exit(fail(args[0], -errno));
}

int main(int argc, char **argv)
{
	const char *no_args[1] = { NULL };
	struct fake_config config;
	struct fake_daemon daemon;
	struct fake_root root;
	int ret, status;
	pid_t pid;

	argv[0] = test_of_name(argv[0]);
	if (!argv[0])
		argv++;
	setenv(FAKE_DAEMON_ENV, built("vfio-bridge-fake"), 0);
	fake_config_default(&config);
	if (strstr(argv[0] ?: "", "/migrate_")) {
		config.migration = VFIO_MIGRATION_STOP_COPY;
		config.logging = true;
	}
	ret = fake_root_create(&root, &config);
	if (ret)
		return fail("cannot make the machine", ret);
	ret = fake_daemon_start(&daemon, &root, no_args);
	if (ret)
		return fail("cannot start the daemon", ret);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run_test(&root, &daemon, argv);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return fail("cannot run the test", -errno);
	fake_daemon_stop(&daemon, SIGTERM);
	fake_root_destroy(&root);
	if (WIFSIGNALED(status))
		return fail("the test was killed", -EINTR);
	return WEXITSTATUS(status);
}
