/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests on real devices share: which device, which way to it, a
 * daemon of its own for each test, and a client that can't do what the daemon
 * does for it. These run as root in the lab's guest, which sets LAB_NVME,
 * LAB_IGB, LAB_EDU, and LAB_EDU_A and LAB_EDU_B, which share a group.
 */
#ifndef HW_H
#define HW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "selftests/drivers/access.h"

/* Who is who. Root starts them. */
#define HW_DAEMON_UID	65534
#define HW_CLIENT_UID	65533
#define HW_OTHER_UID	65532

/**
 * struct hw_daemon_opts - how to run vfio-bridge
 * @bdf: PCI address of the device, or UUID of a mediated one
 * @second: another device, NULL for none
 * @iommu: --iommu=
 * @on_disconnect: --on-disconnect=, NULL for the default
 * @no_mmap: --mmap=off
 * @shadow: --shadow-dma
 * @verbose: --verbose
 * @idle_low_power: --idle-low-power
 * @release_timeout: --release-timeout, in seconds, 0 for the default
 */
struct hw_daemon_opts {
	const char *bdf;
	const char *second;
	enum vfio_iommu_kind iommu;
	const char *on_disconnect;
	bool no_mmap;
	bool shadow;
	bool verbose;
	bool idle_low_power;
	unsigned int release_timeout;
};

/**
 * struct hw_daemon - a daemon that runs as nobody
 * @keeper: socket to the process, still root, that started it; -1 for none
 * @keeper_pid: that process
 * @dir: directory with the sockets and the log
 * @socket: path of its socket, which anybody may connect to
 * @second: the same for its second device, if it has one
 * @monitor: path of its monitor, which anybody may connect to
 */
struct hw_daemon {
	int keeper;
	pid_t keeper_pid;
	char dir[32];
	char socket[48];
	char second[48];
	char monitor[48];
};

/**
 * struct hw_counts - what a daemon holds
 * @fds: open file descriptors
 * @maps: mappings, lines in /proc/PID/maps
 * @rss_kib: resident memory in KiB
 * @cpu_ns: processor time that its threads have had, in nanoseconds
 */
struct hw_counts {
	unsigned long fds;
	unsigned long maps;
	unsigned long rss_kib;
	uint64_t cpu_ns;
};

/**
 * hw_missing() - why a test can't run here
 * @env: LAB_NVME, LAB_IGB or LAB_EDU
 * @iommu: the way into the kernel that it is about
 *
 * Return: NULL if it can, else the reason, for SKIP().
 */
const char *hw_missing(const char *env, enum vfio_iommu_kind iommu);

/**
 * hw_daemon_start() - run vfio-bridge as an unprivileged user
 * @d: filled in
 * @opts: how
 *
 * The daemon ends with the test, however that ends. What it says goes to
 * stderr when it is stopped.
 *
 * Return: 0 once it listens, or a negative errno; -ECHILD if it ended.
 */
int hw_daemon_start(struct hw_daemon *d, const struct hw_daemon_opts *opts);

/**
 * hw_daemon_stop() - end the daemon with SIGTERM and wait for it
 * @d: a started daemon; all zeroes or stopped already is fine too
 *
 * Return: its exit status, as waitpid(2) has it, or a negative errno.
 */
int hw_daemon_stop(struct hw_daemon *d);

/**
 * hw_daemon_wait() - wait for the daemon to end by itself
 * @d: a started daemon
 *
 * Return: its exit status, as waitpid(2) has it; -ETIMEDOUT after 10 seconds.
 */
int hw_daemon_wait(struct hw_daemon *d);

/**
 * hw_daemon_counts() - what the daemon holds now
 * @d: a started daemon
 * @counts: filled in
 */
int hw_daemon_counts(struct hw_daemon *d, struct hw_counts *counts);

/**
 * hw_daemon_rest() - wait until the daemon waits
 * @d: a started daemon
 * @cpu_ns: processor time that its threads have had by then, in nanoseconds
 *
 * A reply may arrive before the thread that sent it has gone back to sleep.
 *
 * Return: 0, -ETIMEDOUT if it hasn't stopped working after 10 seconds, or
 * another negative errno.
 */
int hw_daemon_rest(struct hw_daemon *d, uint64_t *cpu_ns);

/**
 * hw_daemon_log_has() - has the daemon said something?
 * @d: a started daemon
 * @text: to be looked for
 *
 * Return: 1 if it has, 0 if not, or a negative errno.
 */
int hw_daemon_log_has(struct hw_daemon *d, const char *text);

/**
 * hw_monitor() - one number from the daemon's monitor
 * @d: a started daemon
 * @key: of the document, for instance "messages"; "a.b" is b in a
 *
 * Return: the number, 0 or 1 for false or true, or a negative errno.
 */
int64_t hw_monitor(const struct hw_daemon *d, const char *key);

/**
 * hw_confine() - make this process unable to reach any device
 * @uid: whom to become, for good
 *
 * It gets a mount namespace with an empty /dev and loses all privileges.
 *
 * Return: 0 or a negative errno.
 */
int hw_confine(uid_t uid);

/**
 * hw_as_client() - be a client, from connecting to leaving, in a process
 * @d: a started daemon
 * @uid: whose
 * @use: what it does; returns 0 or a negative errno
 *
 * Return: what @use says, or another negative errno.
 */
int hw_as_client(struct hw_daemon *d, uid_t uid, int (*use)(struct access *a));

/**
 * struct hw_way - a way to the device, what a fixture's variants are made of
 * @socket: through the daemon, not directly
 * @shadow: with @socket: no memory is shared
 * @twin: with @shadow: what the daemon asks goes over a socket of its own
 * @iommu: the way into the kernel, of the daemon or directly
 */
struct hw_way {
	bool socket;
	bool shadow;
	bool twin;
	enum vfio_iommu_kind iommu;
};

/**
 * struct hw - a device for one test
 * @bdf: its PCI address
 * @way: how it is reached
 * @daemon: if it is reached by a socket
 * @kmsg: the kernel's log, from where this began
 * @access: the device, open
 */
struct hw {
	const char *bdf;
	struct hw_way way;
	struct hw_daemon daemon;
	int kmsg;
	struct access *access;
};

/**
 * hw_open() - open a device; with a socket, behind a daemon of its own
 * @hw: filled in
 * @env: LAB_NVME, LAB_IGB or LAB_EDU, which hw_missing() knows to be there
 * @way: how
 *
 * With a socket, the calling process is confined from then on.
 *
 * Return: 0 or a negative errno.
 */
int hw_open(struct hw *hw, const char *env, const struct hw_way *way);

/**
 * hw_reopen() - close the device and open it anew, another session
 * @hw: an open device
 *
 * Return: 0 or a negative errno.
 */
int hw_reopen(struct hw *hw);

/**
 * hw_faulted() - has the IOMMU stopped the device since this last looked?
 * @hw: an open device
 * @address: where the device wanted to go, in bytes
 *
 * The kernel limits how many faults it logs in five seconds: a test that
 * misses one tries again.
 */
bool hw_faulted(struct hw *hw, uint64_t address);

/**
 * hw_close() - the counterpart of hw_open()
 * @hw: an open device, or all zeroes
 *
 * Return: 0, -ECHILD if the daemon ended other than by SIGTERM and with 0, or
 * another negative errno.
 */
int hw_close(struct hw *hw);

#endif
