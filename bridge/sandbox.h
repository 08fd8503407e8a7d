/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BRIDGE_SANDBOX_H
#define BRIDGE_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

/* Devices, and sockets, that a sandbox can leave: each its own and the monitor. */
#define SANDBOX_MAX_PATHS	65

/**
 * struct sandbox - what is left to the daemon
 * @devices: directories in /sys of its devices
 * @nr_devices: how many
 * @sockets: paths that it unlinks when it ends
 * @nr_sockets: how many
 * @unsafe_noiommu: it opens devices without an IOMMU, which takes a capability
 */
struct sandbox {
	const char *devices[SANDBOX_MAX_PATHS];
	unsigned int nr_devices;
	const char *sockets[SANDBOX_MAX_PATHS];
	unsigned int nr_sockets;
	bool unsafe_noiommu;
};

/* sandbox.c */

/**
 * sandbox_prepare() - try how it will be without capabilities
 * @sb: what is to be left
 *
 * Until sandbox_enter(), no capability is in effect, so that what the devices'
 * nodes don't allow shows while the daemon starts. A limit on locked memory
 * that a capability lifts is lifted for good.
 *
 * Return: 0 or a negative errno, which has been reported.
 */
int sandbox_prepare(const struct sandbox *sb);

/** sandbox_resume() - capabilities are in effect again, to make sockets with */
int sandbox_resume(void);

/**
 * sandbox_enter() - give up whatever isn't needed any more
 * @sb: what is to be left
 *
 * Before there are threads. What the kernel doesn't have is told to the
 * operator; what it has and refuses is an error.
 *
 * Return: 0 or a negative errno, which has been reported.
 */
int sandbox_enter(const struct sandbox *sb);

/* namespace.c */

/**
 * namespace_enter() - leave the machine's files
 * @sb: whose devices and directories are to be seen
 *
 * Return: 0; -EPERM if that isn't allowed to this process; or a negative errno
 * after which it must not go on.
 */
int namespace_enter(const struct sandbox *sb);

/* landlock.c */

/**
 * landlock_enter() - have the kernel refuse all paths but the daemon's
 * @sb: whose devices and directories are left
 *
 * Return: the version of Landlock's interface, 0 if the kernel has none, or a
 * negative errno.
 */
int landlock_enter(const struct sandbox *sb);

/** landlock_missing() - what a version doesn't confine, for people, or NULL */
const char *landlock_missing(int version);

/* seccomp.c */

/**
 * struct sandbox_call - a system call that is made
 * @name: as on x86-64
 * @has_arg: only with @arg, as the argument that seccomp.c says
 * @arg: this
 */
struct sandbox_call {
	const char *name;
	bool has_arg;
	uint32_t arg;
};

/* All of them, made by bridge/syscalls out of comments; ends without a name. */
extern const struct sandbox_call sandbox_calls[];

/**
 * seccomp_enter() - be killed at any system call that isn't listed
 *
 * Return: 0 or a negative errno.
 */
int seccomp_enter(void);

#endif
