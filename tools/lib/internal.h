/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the client library share among themselves. */
#ifndef CLIENT_INTERNAL_H
#define CLIENT_INTERNAL_H

#include "client.h"
#include "msg.h"

/* The most data that one message carries, whatever the server would take. */
#define CLIENT_MAX_XFER		VFIO_USER_DEF_MAX_XFER
/* The most regions or interrupt indexes that a device is believed to have. */
#define CLIENT_MAX_INDEXES	4096

/* How many commands that are refused may come while a reply is due. */
#define CLIENT_MAX_STRAYS	64

/**
 * struct client_map - memory that the server reads and writes by message
 * @iova: first I/O virtual address
 * @size: in bytes
 * @memory: the caller's
 * @flags: VFIO_USER_DMA_MAP_*
 */
struct client_map {
	uint64_t iova;
	uint64_t size;
	uint8_t *memory;
	uint32_t flags;
};

/**
 * struct vfio_user_client - a connection to a server
 * @conn: the socket and its buffers
 * @twin: the socket for the server's commands; its fd is -1 if there is none
 * @timeout_ms: how long to wait, for poll(2)
 * @maps: memory that the server may ask for, in order of address
 * @nr_maps: entries of @maps
 * @caps: what the server said of itself
 * @version: negotiated, major << 16 | minor
 * @max_msg_fds: most fds to send in one message
 * @messages_sent: commands since the connection was made
 * @id: of the last command
 * @broken: 0, or what every further call fails with
 * @stream_error: 0, or what the next read of the migration stream fails with
 */
struct vfio_user_client {
	struct msg_conn conn;
	struct msg_conn twin;
	int timeout_ms;
	struct client_map *maps;
	size_t nr_maps;
	struct vfio_user_caps caps;
	uint32_t version;
	uint32_t max_msg_fds;
	uint64_t messages_sent;
	uint16_t id;
	int broken;
	int stream_error;
};

/**
 * client_break() - nothing more can come of this connection
 * @c: the client
 * @err: negative errno, why
 *
 * Return: @err.
 */
int client_break(struct vfio_user_client *c, int err);

/**
 * client_violation() - the server broke the protocol
 * @c: the client, broken by this
 * @m: the message that did; its fds are closed
 * @what: what it has that it shouldn't, for the log
 *
 * Return: -EPROTO.
 */
int client_violation(struct vfio_user_client *c, struct msg *m,
		     const char *what);

/**
 * client_call() - send a command and wait for its reply
 * @c: the client
 * @command: its number
 * @req: request payload
 * @nr_req: entries in @req
 * @fds: to go with it, still the caller's
 * @nr_fds: entries in @fds
 * @m: on success a reply to this command that isn't an error. Its payload is
 *     valid until the next call, its fds are the caller's.
 *
 * Return: 0 or a negative errno; no fds are left then.
 */
int client_call(struct vfio_user_client *c, uint16_t command,
		const struct iovec *req, int nr_req,
		const int *fds, unsigned int nr_fds, struct msg *m);

/** client_command() - client_call() for a reply that must be empty */
int client_command(struct vfio_user_client *c, uint16_t command,
		   const struct iovec *req, int nr_req,
		   const int *fds, unsigned int nr_fds);

/**
 * client_exchange() - the usual: a structure there, one back, no fds
 * @c: the client
 * @command: its number
 * @req: request payload
 * @req_size: its length in bytes
 * @reply: filled in
 * @reply_size: the length that the reply must have, in bytes
 *
 * Return: 0 or a negative errno.
 */
int client_exchange(struct vfio_user_client *c, uint16_t command,
		    const void *req, size_t req_size,
		    void *reply, size_t reply_size);

/**
 * client_serve() - answer a command of the server's
 * @c: the client
 * @conn: where it came from
 * @m: the command; its fds are closed
 *
 * The answer is queued.
 *
 * Return: 0 if what it asked for was done, 1 if it was refused, or a negative
 * errno with the client broken.
 */
int client_serve(struct vfio_user_client *c, struct msg_conn *conn,
		 struct msg *m);

/**
 * client_wait() - with a twin socket, serve it until the main one is readable
 * @c: the client
 * @strays: increased by the number of commands that were refused
 *
 * Return: 0, or a negative errno with the client broken.
 */
int client_wait(struct vfio_user_client *c, unsigned int *strays);

/**
 * client_forget() - unmapped memory isn't served any more
 * @c: the client
 * @iova: as it was mapped
 * @size: as it was mapped, in bytes; 0 for all memory
 */
void client_forget(struct vfio_user_client *c, uint64_t iova, uint64_t size);

/**
 * client_max_xfer() - how much data goes into one message
 * @c: the client
 *
 * Return: bytes, at least 1.
 */
size_t client_max_xfer(const struct vfio_user_client *c);

#endif
