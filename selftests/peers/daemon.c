// SPDX-License-Identifier: GPL-2.0-only
/*
 * One daemon for each device. Its log is shown when a test fails, beside those
 * of the machine that it served.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "daemon.h"

/* Until a daemon is done with a client that is gone. */
#define REST_MS		20000
#define REST_POLL_MS	10

enum vfio_iommu_kind daemon_way(const char *env)
{
	return hw_missing(env, VFIO_IOMMU_IOMMUFD) ? VFIO_IOMMU_TYPE1 :
						     VFIO_IOMMU_IOMMUFD;
}

int daemon_start(struct hw_daemon *d, const char *env,
		 enum vfio_iommu_kind iommu, bool no_mmap)
{
	const struct hw_daemon_opts opts = {
		.bdf = getenv(env),
		.iommu = iommu,
		.no_mmap = no_mmap,
		.verbose = true,
	};

	return hw_daemon_start(d, &opts);
}

int daemon_rest(const struct hw_daemon *d)
{
	const struct timespec nap = { .tv_nsec = REST_POLL_MS * 1000000 };
	int64_t pid;
	int ms;

	for (ms = REST_MS; ms > 0; ms -= REST_POLL_MS) {
		pid = hw_monitor(d, "session.pid");
		if (pid < 0)
			return pid == -ENOENT ? 0 : pid;
		nanosleep(&nap, NULL);
	}
	return -ETIMEDOUT;
}

void daemon_show(const struct hw_daemon *d)
{
	char path[64], line[512];
	FILE *file;

	if (!d->dir[0])
		return;
	snprintf(path, sizeof(path), "%s/log", d->dir);
	file = fopen(path, "re");
	if (!file)
		return;
	fprintf(stderr, "---- the daemon's log:\n");
	while (fgets(line, sizeof(line), file))
		fputs(line, stderr);
	fclose(file);
}
