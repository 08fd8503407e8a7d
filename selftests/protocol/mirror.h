/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PROTOCOL_MIRROR_H
#define PROTOCOL_MIRROR_H

#include <pthread.h>
#include <stdatomic.h>

#include "peer.h"

/*
 * A client that shares no memory but answers DMA_READ and DMA_WRITE, rightly
 * or not: over its main socket while it waits for replies, or over a twin
 * socket in a thread of its own. Functions return 0 or a negative errno unless
 * they say otherwise.
 */

#define MIRROR_MAX_MAPS		4
#define MIRROR_LOG_LEN		64

/* How commands of the server's are answered. */
enum mirror_how {
	MIRROR_RIGHT,
	MIRROR_LONG_WRITE,	/* as RIGHT, with 8 bytes of count for writes */
	MIRROR_SILENT,		/* not at all */
	MIRROR_DRIBBLE,		/* a byte at a time, over the main socket */
	MIRROR_ERROR,		/* EFAULT */
	MIRROR_ERROR_0,		/* an error that doesn't say which */
	MIRROR_ID,		/* from here on, nonsense: another id */
	MIRROR_COMMAND,		/* another command's number */
	MIRROR_ADDRESS,		/* another address */
	MIRROR_COUNT,		/* another count */
	MIRROR_SHORT,		/* a byte too little */
	MIRROR_LONG,		/* a byte too much */
	MIRROR_EMPTY,		/* nothing but a header */
	MIRROR_TYPE,		/* a message of no known type */
	MIRROR_FD,		/* an fd with it */
	MIRROR_SIZE,		/* a header with an impossible size */
	MIRROR_NR_WAYS,
};

/**
 * struct mirror_map - memory that isn't shared
 * @iova: where it is mapped
 * @size: in bytes
 * @mem: the memory, the test's
 */
struct mirror_map {
	uint64_t iova;
	uint64_t size;
	uint8_t *mem;
};

/**
 * struct mirror - the client
 * @how: enum mirror_how, applies to commands that come from now on
 * @twin: the twin socket, -1 if there is none
 * @thread: answers on @twin
 * @maps: what can be reached
 * @nr_maps: entries of @maps in use
 * @reads: DMA_READs so far
 * @writes: DMA_WRITEs so far
 * @bad: commands that weren't well formed, or about memory that isn't mapped
 * @log: the first requests since mirror_forget(), in order
 * @largest: most bytes in one of them
 * @r: what is received on @twin
 */
struct mirror {
	atomic_int how;
	int twin;
	pthread_t thread;
	struct mirror_map maps[MIRROR_MAX_MAPS];
	unsigned int nr_maps;
	atomic_uint reads;
	atomic_uint writes;
	atomic_uint bad;
	struct {
		uint64_t iova;
		uint64_t count;
		bool write;
	} log[MIRROR_LOG_LEN];
	uint64_t largest;
	struct wire_reply r;
};

/**
 * mirror_connect() - connect and say VERSION
 * @m: filled in
 * @peer: a daemon; its client is this one
 * @twin: ask for a twin socket
 * @caps: what else to say of oneself, JSON that ends with a comma, or ""
 *
 * Return: 0 or what wire_expect() says; -EPROTO if the reply doesn't offer what
 * was asked for.
 */
int mirror_connect(struct mirror *m, struct peer *peer, bool twin,
		   const char *caps);

/** mirror_close() - end the thread, and answer nothing any more */
void mirror_close(struct mirror *m);

/** mirror_forget() - count and log from 0 on again */
void mirror_forget(struct mirror *m);

/**
 * mirror_map() - map memory without sharing it
 * @m: the client
 * @peer: its daemon
 * @iova: where
 * @mem: the memory, which must stay until mirror_close()
 * @size: in bytes
 * @flags: VFIO_USER_DMA_MAP_*
 *
 * Return: as wire_map().
 */
int mirror_map(struct mirror *m, const struct peer *peer, uint64_t iova,
	       uint8_t *mem, size_t size, uint32_t flags);

/**
 * mirror_answer() - answer one command; suits wire_on_command()
 * @sock: where it came from
 * @r: the command
 * @arg: struct mirror
 */
int mirror_answer(int sock, struct wire_reply *r, void *arg);

/**
 * mirror_wait_fired() - wait for an eventfd, and answer meanwhile
 * @m: the client
 * @peer: its daemon
 * @fd: the eventfd
 *
 * Return: what it counts, 0 if that takes too long.
 */
uint64_t mirror_wait_fired(struct mirror *m, const struct peer *peer, int fd);

#endif
