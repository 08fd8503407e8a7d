// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run a test that is written for plain VFIO on a real device, by vfio-user-run
 * and a daemon of its own: without privileges, and with no /dev at all.
 *
 * Under the name type1_NAME or iommufd_NAME it runs NAME, which is beside it,
 * with a daemon that takes that way into the kernel. Under the name other_NAME
 * it runs it with /dev and all privileges on another device, which is the
 * kernel's to answer for.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftests/hw/hw.h"
#include "util.h"

/* As kselftest has them */
#define EXIT_FAIL	1
#define EXIT_SKIP	4

static int fail(const char *what, int err)
{
	printf("Bail out! %s: %s\n", what, strerror(-err));
	return EXIT_FAIL;
}

static void run_test(const char *dir, const char *test,
		     const struct hw_daemon *d, bool on_other)
{
	char launcher[PATH_MAX], path[PATH_MAX], device[128];
	char *argv[6] = { launcher, "--device", device, "--", path, NULL };
	int ret = 0;

	snprintf(launcher, sizeof(launcher), "%s/../../vfio-user-run", dir);
	snprintf(path, sizeof(path), "%s/%s", dir, test);
	snprintf(device, sizeof(device), "%s=%s", getenv("LAB_IGB"), d->socket);
	if (on_other) {
		setenv("TEST_BDF", getenv("LAB_NVME"), 1);
		setenv("TEST_DIRECT", "1", 1);
	} else {
		ret = hw_confine(HW_CLIENT_UID);
	}
	if (!ret) {
		execv(launcher, argv);
		ret = -errno;
	}
	fail(launcher, ret);
	_exit(EXIT_FAIL);
}

int main(int argc, char **argv)
{
	struct hw_daemon_opts opts = { .bdf = getenv("LAB_IGB") };
	const char *name = basename(argv[0]), *why;
	char exe[PATH_MAX] = "";
	bool on_other;
	struct hw_daemon d;
	int ret, status;
	pid_t pid;

	opts.iommu = strncmp(name, "iommufd_", 8) ? VFIO_IOMMU_TYPE1 :
						    VFIO_IOMMU_IOMMUFD;
	on_other = !strncmp(name, "other_", 6);
	why = hw_missing("LAB_IGB", opts.iommu);
	if (!why && on_other)
		why = hw_missing("LAB_NVME", opts.iommu);
	if (why) {
		printf("TAP version 13\n1..0 # SKIP %s\n", why);
		return EXIT_SKIP;
	}
	if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0)
		return fail("/proc/self/exe", -errno);
	ret = hw_daemon_start(&d, &opts);
	if (ret)
		return fail("cannot start the daemon", ret);
	fflush(stdout);
	pid = fork();
	if (!pid)
		run_test(dirname(exe), strchr(name, '_') + 1, &d, on_other);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return fail("cannot run the test", -errno);
	ret = hw_daemon_stop(&d);
	if (!WIFEXITED(status))
		return fail("the test was killed", -EINTR);
	return WEXITSTATUS(status) ?: ret;
}
