/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The daemons that machines are given their devices by.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include "selftests/hw/hw.h"

/**
 * daemon_way() - the way into the kernel that a daemon would choose
 * @env: LAB_NVME, LAB_IGB or LAB_EDU
 */
enum vfio_iommu_kind daemon_way(const char *env);

/**
 * daemon_start() - start a daemon that tells what it does
 * @d: filled in; stopped with hw_daemon_stop()
 * @env: LAB_NVME, LAB_IGB or LAB_EDU
 * @iommu: the way into the kernel
 * @no_mmap: clients can't map BARs
 *
 * Return: as hw_daemon_start().
 */
int daemon_start(struct hw_daemon *d, const char *env,
		 enum vfio_iommu_kind iommu, bool no_mmap);

/**
 * daemon_rest() - wait until a daemon serves nobody
 * @d: a daemon
 *
 * Return: 0 or a negative errno.
 */
int daemon_rest(const struct hw_daemon *d);

/**
 * daemon_show() - copy a daemon's log to stderr
 * @d: a daemon; nothing is done for one that is stopped
 */
void daemon_show(const struct hw_daemon *d);

#endif
