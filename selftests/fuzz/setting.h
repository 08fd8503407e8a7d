/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What surrounds a start of the daemon, for the fuzzers that make one: the
 * operator's command line, and a machine with a /proc, of which parts can be
 * missing. Nothing outside of the machine's directory is changed.
 */
#ifndef FUZZ_SETTING_H
#define FUZZ_SETTING_H

#include <limits.h>

#include "fuzz.h"
#include "selftests/fake/fixture.h"

#define SETTING_MAX_ARGS	24
#define SETTING_MAX_VALUE	192

/* Paths for sockets: two that can be, one that is too long, one in no directory. */
#define SETTING_SOCKETS		4

/* What is at the paths of sockets before. */
enum at_path {
	AT_NOTHING,
	AT_DEAD_SOCKET,
	AT_SOCKET,
	AT_FILE,
	AT_DIRECTORY,
	NR_AT,
};

/**
 * struct setting - the only one
 * @root: the machine
 * @sockets: paths in its directory
 */
struct setting {
	struct fake_root root;
	char sockets[SETTING_SOCKETS][160];
};

extern struct setting setting;

/**
 * setting_create() - make the machine; it goes when the process ends
 * @config: what it is like
 */
void setting_create(const struct fake_config *config);

/**
 * setting_args() - take a command line, which may be any
 * @f: the input
 * @argv: filled in, with NULL at the end; SETTING_MAX_ARGS + 1 entries
 *
 * Return: how many.
 */
int setting_args(struct fuzz *f, char **argv);

/**
 * setting_activate() - hand over sockets, or not
 * @how: of the input, a byte; below 0x80 for none
 *
 * Sets the environment of this process, which is the one that is meant or isn't.
 */
void setting_activate(unsigned int how);

/** setting_take_parts() - take which parts of the machine shall be missing */
unsigned int setting_take_parts(struct fuzz *f);

/**
 * setting_move_parts() - take parts of the machine away, or put them back
 * @which: from setting_take_parts()
 * @away: they go
 */
void setting_move_parts(unsigned int which, bool away);

/**
 * setting_mend() - make the machine whole
 *
 * AFL++ has one machine for many processes, of which each may end with a finding
 * and leave it as it is.
 */
void setting_mend(void);

/** setting_rules() - take which calls of the software VFIO fail */
void setting_rules(struct fuzz *f);

/**
 * setting_put() - put something at a path
 * @path: where nothing is
 * @what: what it shall be
 *
 * Return: an fd that keeps it as it is, or -1 if that isn't needed.
 */
int setting_put(const char *path, enum at_path what);

/** setting_clear() - remove what is at a path */
void setting_clear(const char *path);

#endif
