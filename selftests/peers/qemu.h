/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU as a client of the daemon: unprivileged, in a file tree of its own with
 * no device in it, with a machine that has the devices on the sockets, and boots
 * from the first or boots a Linux that is given to it.
 */
#ifndef QEMU_H
#define QEMU_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "selftests/hw/hw.h"

/* Devices that a machine may have. */
#define QEMU_DEVICES	2

/**
 * struct qemu_machine - what a machine is made of
 * @daemons: of its devices; those behind the first NULL are ignored. Device i
 *           is "devI" on the root port "rpI", from the socket
 *           /run/devI/socket in QEMU's file tree
 * @linux_dir: directory with vmlinux and initrd, NULL to boot the first device.
 *             Each user can read it. The machine ends instead of starting again
 */
struct qemu_machine {
	const struct hw_daemon *daemons[QEMU_DEVICES];
	const char *linux_dir;
};

/**
 * struct qemu - a running machine
 * @pid: QEMU's, 0 when there is none
 * @status: as waitpid(2) has it, once QEMU has ended
 * @qmp: connection to the monitor, -1 when there is none
 * @input: into the serial port, -1 when there is none
 * @limit_ms: how long qemu_wait() and its like wait
 * @deleted: DEVICE_DELETED events that have come
 * @dir: directory with the logs and the monitor, also when QEMU has ended;
 *       empty when there is none
 */
struct qemu {
	pid_t pid;
	int status;
	int qmp;
	int input;
	int limit_ms;
	unsigned int deleted;
	char dir[32];
};

/**
 * qemu_missing() - why QEMU can't be run here
 *
 * Return: NULL if it can, else the reason, for SKIP().
 */
const char *qemu_missing(void);

/**
 * qemu_start_machine() - start QEMU
 * @q: all zeroes, or used before and cleaned up
 * @m: the machine, which is not used any more when this returns
 *
 * The machine has memory in a memfd, 32 MiB or what its Linux needs, a serial
 * port, no network but what is among its devices. QEMU ends with the calling
 * process.
 *
 * Return: 0 or a negative errno. That QEMU runs doesn't mean that it has made
 * its machine: see qemu_connect() and qemu_wait().
 */
int qemu_start_machine(struct qemu *q, const struct qemu_machine *m);

/**
 * qemu_start() - start QEMU on the socket of a daemon
 * @q: all zeroes, or used before and cleaned up
 * @d: the daemon of the only device
 *
 * Return: as qemu_start_machine().
 */
int qemu_start(struct qemu *q, const struct hw_daemon *d);

/**
 * qemu_confined() - is QEMU as unable as it is meant to be?
 * @q: a running machine, past its start
 *
 * Return: true when it is a user without rights and capabilities, that may lock
 * 64 KiB and has a mount namespace without /dev/vfio. What it has instead goes to
 * stderr.
 */
bool qemu_confined(const struct qemu *q);

/**
 * qemu_connect() - connect to the monitor
 * @q: a machine
 *
 * Return: 0 once the machine is made, or a negative errno; -ECHILD when QEMU
 * has ended instead.
 */
int qemu_connect(struct qemu *q);

/**
 * qemu_command() - a command for the monitor
 * @q: connected
 * @name: of the command
 * @arguments: taken over; NULL for none
 *
 * Return: 0; -EREMOTEIO when QEMU says that it fails, and the reason goes to
 * stderr; or another negative errno.
 */
int qemu_command(struct qemu *q, const char *name, json_t *arguments);

/**
 * qemu_get() - a number from the machine's object tree
 * @q: connected
 * @path: of the object
 * @property: of the object
 *
 * Return: the number, or a negative errno.
 */
int64_t qemu_get(struct qemu *q, const char *path, const char *property);

/**
 * qemu_human() - a line for the monitor, as people type it
 * @q: connected
 * @line: the line
 * @text: what the monitor prints, cut if it is too long
 * @len: room in @text, in bytes
 *
 * Return: as qemu_command().
 */
int qemu_human(struct qemu *q, const char *line, char *text, size_t len);

/**
 * qemu_wait_deleted() - wait until as many devices have been unplugged
 * @q: connected
 * @count: since it was started
 *
 * Return: 0 or a negative errno.
 */
int qemu_wait_deleted(struct qemu *q, unsigned int count);

/**
 * qemu_number() - the hexadecimal number behind a text in a log
 * @q: a machine, running or not
 * @log: as for qemu_said()
 * @text: to be looked for; the last counts
 *
 * Return: the number, 0 if there is none.
 */
uint64_t qemu_number(const struct qemu *q, const char *log, const char *text);

/**
 * qemu_wait_for() - wait until a log has a text
 * @q: a machine
 * @log: as for qemu_said()
 * @text: to be looked for
 * @count: how many times since it was started
 *
 * Return: as qemu_wait().
 */
int qemu_wait_for(struct qemu *q, const char *log, const char *text,
		  unsigned int count);

/**
 * qemu_wait() - wait until the sector has booted and written its block
 * @q: a machine
 * @count: how many times since it was started
 *
 * Return: 0, -EIO when the sector says that the disk failed, -ECHILD when
 * QEMU has ended, or -ETIMEDOUT.
 */
int qemu_wait(struct qemu *q, unsigned int count);

/**
 * qemu_said() - does a log have a text?
 * @q: a machine, running or not
 * @log: "serial", "firmware" or "stderr"
 * @text: to be looked for
 *
 * Return: how many times it is there.
 */
unsigned int qemu_said(const struct qemu *q, const char *log, const char *text);

/**
 * qemu_say() - send a text to the machine's serial port
 * @q: a machine
 * @text: shorter than a pipe is long
 *
 * Return: 0 or a negative errno.
 */
int qemu_say(struct qemu *q, const char *text);

/** qemu_alive() - is it there? */
bool qemu_alive(struct qemu *q);

/**
 * qemu_end() - send QEMU a signal and wait for its end
 * @q: a machine, or none
 * @signal: SIGTERM makes it quit as people would
 *
 * Return: 0 or -ETIMEDOUT, and it is dead then, too.
 */
int qemu_end(struct qemu *q, int signal);

/**
 * qemu_wait_end() - wait until QEMU ends by itself
 * @q: a machine, or none
 *
 * Return: 0 or -ETIMEDOUT, and it is dead then, too.
 */
int qemu_wait_end(struct qemu *q);

/**
 * qemu_cleanup() - end QEMU if need be, and remove its logs
 * @q: a machine, or none
 * @show: copy the logs to stderr first
 */
void qemu_cleanup(struct qemu *q, bool show);

#endif
