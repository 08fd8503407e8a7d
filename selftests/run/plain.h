/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device by plain VFIO, for tests that run on the kernel as well as by
 * vfio-user-run. Which device it is says the environment: TEST_BDF, or LAB_IGB
 * in the lab; TEST_GROUP and TEST_CDEV where sysfs doesn't have it. TEST_DIRECT
 * says that it is the kernel's although vfio-user-run runs the test.
 */
#ifndef RUN_PLAIN_H
#define RUN_PLAIN_H

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>

/* 0, or why a call failed */
#define ERRNO_OF(call)		((call) < 0 ? errno : 0)
#define MAP_ERRNO_OF(call)	((call) == MAP_FAILED ? errno : 0)

/**
 * struct plain - a device, as far as it is open
 * @bdf: its PCI address
 * @group_path: its group's node
 * @cdev_path: its own node; "" if there is none
 * @container: fd, or -1, as the next two
 * @group: fd
 * @device: fd
 */
struct plain {
	char bdf[64];
	char group_path[64];
	char cdev_path[64];
	int container;
	int group;
	int device;
};

/**
 * plain_init() - find out where the device is; nothing is opened
 *
 * Return: NULL, or why that can't be said, for SKIP().
 */
const char *plain_init(struct plain *p);

/**
 * plain_open() - by its group, in a container of some type
 *
 * Return: 0 or a negative errno; what is open so far is there then.
 */
int plain_open(struct plain *p, unsigned long type);

/** plain_exit() - close what is open */
void plain_exit(struct plain *p);

/**
 * plain_cap() - look for a capability in what an ioctl has filled in
 * @info: the structure
 * @offset: of the first capability
 * @id: which
 *
 * Return: the capability, or NULL.
 */
void *plain_cap(void *info, uint32_t offset, uint16_t id);

/**
 * plain_overflow() - what a range that wraps around is refused with
 *
 * Return: EOVERFLOW, as the kernel says since Linux 6.19 and vfio-user-run says
 * everywhere; EINVAL on a kernel before that.
 */
int plain_overflow(void);

/* What programs call that were linked with a libc before 2.33 */
int __xstat(int ver, const char *path, struct stat *st);
int __lxstat(int ver, const char *path, struct stat *st);
int __fxstat(int ver, int fd, struct stat *st);
int __fxstatat(int ver, int dir, const char *path, struct stat *st, int flags);

#endif
