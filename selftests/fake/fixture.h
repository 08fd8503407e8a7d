/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FAKE_FIXTURE_H
#define FAKE_FIXTURE_H

#include <stddef.h>
#include <sys/types.h>

#include "fake.h"

/*
 * The test's side of the software VFIO: a directory that stands for the
 * machine, and the daemon that runs on it. Functions return 0 or a negative
 * errno unless they say otherwise. They don't need the fake in the test's own
 * process.
 */

/* The environment variable that names the daemon with the fake in it. */
#define FAKE_DAEMON_ENV		"VFIO_BRIDGE_FAKE"

/**
 * struct fake_root - a machine
 * @path: its directory
 * @control: its control page
 */
struct fake_root {
	char path[64];
	struct fake_control *control;
};

/**
 * fake_config_default() - a PCI device with all of it
 * @config: filled in: 0000:01:00.0, group 7, both ways in, function-level
 *          reset; BAR0 with the registers, BAR2 with a sparse capability and
 *          the MSI-X table, BAR4 with I/O ports, a ROM, no VGA; INTx, 4 MSI,
 *          16 MSI-X, ERR, REQ; pages of 4 KiB and up, two IOVA ranges around the
 *          interrupt window, 65535 maps; it can't migrate
 */
void fake_config_default(struct fake_config *config);

/**
 * fake_config_mdev() - a mediated device
 * @config: filled in; the same shape, by a UUID
 */
void fake_config_mdev(struct fake_config *config);

/**
 * fake_root_create() - make the machine
 * @root: filled in
 * @config: what it is like; copied
 *
 * Sysfs and device nodes follow @config; what concerns only answers can be
 * changed later in @root->control->config.
 */
int fake_root_create(struct fake_root *root, const struct fake_config *config);

/**
 * fake_root_destroy() - remove it
 * @root: a machine; daemons on it have ended
 */
void fake_root_destroy(struct fake_root *root);

/**
 * fake_rule_set() - make a call fail
 * @root: the machine
 * @slot: which rule, below FAKE_MAX_RULES; the old one goes
 * @rule: the new one; its @seen is taken as 0
 */
void fake_rule_set(struct fake_root *root, unsigned int slot,
		   const struct fake_rule *rule);

/** fake_rules_clear() - no call fails any more */
void fake_rules_clear(struct fake_root *root);

/**
 * fake_fail_ioctl() - rule 0: the next such ioctl fails
 * @root: the machine
 * @kind: on what kind of fd
 * @request: its number
 * @err: a positive errno
 */
void fake_fail_ioctl(struct fake_root *root, enum fake_kind kind,
		     unsigned long request, int err);

/**
 * fake_last_access() - the newest entry of the access log
 * @root: the machine
 * @back: how many accesses before the newest, below FAKE_LOG_LEN
 *
 * Return: the entry, or NULL if there were fewer accesses.
 */
const struct fake_access *fake_last_access(const struct fake_root *root,
					   unsigned int back);

/**
 * fake_doorbells_poll() - do what the kernel does when an eventfd fires
 * @root: the machine, whose daemon waits for a message
 *
 * Writes to the device's memory for each doorbell that was rung, and logs it.
 * What a register does when it is written happens in the daemon only, and so
 * not here. While memory decoding is off nothing is written.
 *
 * Return: how many were rung, or a negative errno.
 */
int fake_doorbells_poll(const struct fake_root *root);

/**
 * struct fake_daemon - a running daemon
 * @pid: its process; -1 when it is reaped
 * @socket: where it listens
 * @log: file that has its stderr
 */
struct fake_daemon {
	pid_t pid;
	char socket[108];
	char log[160];
};

/**
 * fake_daemon_spawn() - start the daemon and don't wait for anything
 * @daemon: filled in; @socket is a path that isn't used yet
 * @root: the machine that it runs on
 * @args: its arguments without the program's name, NULL at the end. An
 *        argument that begins with "--socket-path=" sets @socket; if there is
 *        none, and none that begins with "--fd=", --socket-path=@socket is
 *        added. If none begins with "--device", --device= with the machine's
 *        device is added.
 *
 * The program is the one that the environment names. It dies with the test.
 */
int fake_daemon_spawn(struct fake_daemon *daemon, const struct fake_root *root,
		      const char *const args[]);

/**
 * fake_daemon_start() - start the daemon and wait until its socket listens
 *
 * As fake_daemon_spawn(). Waits without connecting, so no session is used up.
 *
 * Return: also -ECHILD if it ended instead (it is reaped; its log is there),
 * -ETIMEDOUT after 20 seconds (it is killed).
 */
int fake_daemon_start(struct fake_daemon *daemon, const struct fake_root *root,
		      const char *const args[]);

/**
 * fake_daemon_wait() - wait for its end
 * @daemon: a daemon
 * @ms: how long at most, in milliseconds
 *
 * Return: its exit code, 128 and more for a signal, or -ETIMEDOUT.
 */
int fake_daemon_wait(struct fake_daemon *daemon, unsigned int ms);

/**
 * fake_daemon_stop() - send a signal and wait
 * @daemon: a daemon; nothing happens if it is reaped already
 * @signal: SIGTERM for instance; SIGKILL follows after 10 seconds
 *
 * Return: as fake_daemon_wait().
 */
int fake_daemon_stop(struct fake_daemon *daemon, int signal);

/**
 * fake_daemon_log() - what it has written to stderr so far
 * @daemon: a daemon, running or not
 * @buf: filled in, with a NUL; the end if not all of it fits
 * @len: of @buf in bytes
 *
 * Return: @buf.
 */
char *fake_daemon_log(const struct fake_daemon *daemon, char *buf, size_t len);

/**
 * fake_nr_fds() - how many fds a process has
 * @root: the machine; the fake's own fds, which stand for a kernel's
 *        references, don't count
 * @pid: the process
 *
 * Return: the number, or a negative errno.
 */
int fake_nr_fds(const struct fake_root *root, pid_t pid);

/** fake_nr_mappings() - how many memory mappings a process has */
int fake_nr_mappings(pid_t pid);

/** fake_rss() - a process's resident memory in bytes, or a negative errno */
long fake_rss(pid_t pid);

/** fake_anon() - how much of that is memory of its own, as fake_rss() */
long fake_anon(pid_t pid);

#endif
