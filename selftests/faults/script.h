/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FAULTS_SCRIPT_H
#define FAULTS_SCRIPT_H

#include "selftests/protocol/mirror.h"
#include "selftests/protocol/pair.h"

/*
 * What a client does who does everything: each command of the table in
 * bridge/session.c, on one device or on two of one group.
 */

/* How the client's memory gets to the device. */
enum script_memory {
	SCRIPT_SHARED,	/* it is the client's file */
	SCRIPT_SHADOW,	/* it is not shared; asked for over the main socket */
	SCRIPT_TWIN,	/* the same over a twin socket */
};

/**
 * struct script - a client and how it gets on
 * @pair: the daemon; the second device's is used if there is one
 * @two: there is
 * @memory: how it is shared
 * @own_bar: the device's own BAR can be mapped for DMA as well
 * @failed: is not 0 once something has failed; from then on any error will do,
 *          and an end. Before, or if NULL, every reply must be right
 * @wrong: what was neither, or NULL
 * @ret: what it returned
 * @ended: the daemon has hung up; nothing more is asked of it
 * @file: the client's memory
 * @mirror: answers for memory that isn't shared
 */
struct script {
	struct pair *pair;
	bool two;
	enum script_memory memory;
	bool own_bar;
	const uint32_t *failed;
	const char *wrong;
	int ret;
	bool ended;
	int file;
	struct mirror mirror;
};

/** script_config() - the machine that scripts are for, with one way in */
void script_config(struct fake_config *config, enum peer_way way, bool two);

/**
 * script_begin() - connect, and set everything up that can be
 * @s: its @pair, @two, @memory, @own_bar and @failed are set
 *
 * Return: true if the daemon did as it must; @s->wrong says what it did not.
 */
bool script_begin(struct script *s);

/** script_run() - everything else that a client can ask for; as script_begin() */
bool script_run(struct script *s);

/** script_end() - hang up, with everything still set up */
void script_end(struct script *s);

#endif
