// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the daemon gives up once it has started.
 *
 * It serves clients that nobody trusts, and devices that read and write what
 * they are told to. If one of them gets to run code in here, this is what is
 * left to that code: the fds that are open, the nodes of VFIO, and the system
 * calls that the daemon itself makes.
 *
 * Each step makes the next one hard to undo, and the system calls that undo
 * one are gone after the last:
 *
 * 1. a mount namespace with little in it (namespace.c), if that is allowed;
 * 2. no capabilities, and none to be had from any program (no_new_privs);
 * 3. nobody traces the process or reads its memory, and it leaves no core;
 * 4. paths: VFIO's nodes, the devices' directories in sysfs (landlock.c);
 * 5. system calls: those that are named in comments (seccomp.c).
 *
 * The daemon must be able to do afterwards what it did before: open the device
 * for each client. So the device is tried without capabilities from the start.
 * Only sockets are made with them, for the directory and the owner that a
 * socket is to have may need that.
 */
#include <cap-ng.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "bridge/sandbox.h"
#include "log.h"

static bool sandbox_can(int capability)
{
	return capng_have_capability(CAPNG_EFFECTIVE, capability);
}

/* The one capability that may be needed later on. */
static bool sandbox_keeps(const struct sandbox *sb, int capability)
{
	return sb->unsafe_noiommu && capability == CAP_SYS_RAWIO;
}

/*
 * With CAP_IPC_LOCK there is no limit on locked memory. Who started us with it
 * meant that, so it shall be so without it.
 *
 * Syscalls at start: prlimit64
 */
static int sandbox_keep_memlock(void)
{
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit limit;

	if (!sandbox_can(CAP_IPC_LOCK) || !setrlimit(RLIMIT_MEMLOCK, &none))
		return 0;
	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_MEMLOCK, &limit) ? -errno : 0;
}

static int sandbox_fail(const char *what, int err)
{
	log_err("cannot give up %s: %s; --no-sandbox does without", what,
		strerrordesc_np(-err));
	return err;
}

/* Syscalls at start: capget capset prctl */
int sandbox_prepare(const struct sandbox *sb)
{
	int capability, ret;

	if (capng_get_caps_process())
		return sandbox_fail("capabilities", -EPERM);
	ret = sandbox_keep_memlock();
	if (ret)
		return sandbox_fail("the limit on locked memory", ret);
	for (capability = 0; capability <= CAP_LAST_CAP; capability++) {
		if (!sandbox_keeps(sb, capability))
			capng_update(CAPNG_DROP, CAPNG_EFFECTIVE, capability);
	}
	return capng_apply(CAPNG_SELECT_CAPS) ?
		sandbox_fail("capabilities", -EPERM) : 0;
}

/* Syscalls at start: capget capset prctl */
int sandbox_resume(void)
{
	int capability;

	for (capability = 0; capability <= CAP_LAST_CAP; capability++) {
		if (capng_have_capability(CAPNG_PERMITTED, capability))
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, capability);
	}
	return capng_apply(CAPNG_SELECT_CAPS) ?
		sandbox_fail("capabilities", -EPERM) : 0;
}

/* Syscalls at start: capget capset prctl */
static int sandbox_drop_capabilities(const struct sandbox *sb)
{
	bool rawio = sb->unsafe_noiommu && sandbox_can(CAP_SYS_RAWIO);
	bool bounds = sandbox_can(CAP_SETPCAP);

	capng_clear(CAPNG_SELECT_ALL);
	if (rawio) {
		log_info("--unsafe-noiommu: keeping CAP_SYS_RAWIO, to open the device with");
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
			     CAP_SYS_RAWIO);
	}
	/* Who may not change the bounding set can't use it either. */
	return capng_apply(bounds ? CAPNG_SELECT_ALL : CAPNG_SELECT_CAPS) ?
		-EPERM : 0;
}

/* Syscalls at start: prctl prlimit64 */
static int sandbox_close_windows(void)
{
	const struct rlimit none = { 0, 0 };

	/* Without memory of the process for others: no tracing, no core. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    setrlimit(RLIMIT_CORE, &none))
		return -errno;
	return 0;
}

static int sandbox_confine_paths(const struct sandbox *sb)
{
	const char *missing;
	int version = landlock_enter(sb);

	if (version < 0)
		return version;
	missing = landlock_missing(version);
	if (missing)
		log_info("sandbox: this kernel's Landlock (version %d) does not confine %s",
			 version, missing);
	return 0;
}

int sandbox_enter(const struct sandbox *sb)
{
	int ret;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	log_info("sandbox: none, for the sanitizers that this is built with need more");
	return 0;
#endif
	ret = namespace_enter(sb);
	if (ret && ret != -EPERM)
		return sandbox_fail("the machine's mounts", ret);
	ret = sandbox_drop_capabilities(sb);
	if (ret)
		return sandbox_fail("capabilities", ret);
	ret = sandbox_close_windows();
	if (ret)
		return sandbox_fail("being traced", ret);
	ret = sandbox_confine_paths(sb);
	if (ret)
		return sandbox_fail("paths (Landlock)", ret);
	/* Now, because jansson would open a file for it later. */
	json_object_seed(0);
	ret = seccomp_enter();
	return ret ? sandbox_fail("system calls (seccomp)", ret) : 0;
}
