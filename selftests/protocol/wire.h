/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PROTOCOL_WIRE_H
#define PROTOCOL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vfio_user.h"

/* Longest payload of a message that the tests send or receive, in bytes. */
#define WIRE_MAX_PAYLOAD	(VFIO_USER_DEF_MAX_XFER + 4096)

/* How long a reply may take, in milliseconds. */
#define WIRE_TIMEOUT_MS		8000

/**
 * struct wire_reply - one received message
 * @header: its header
 * @len: length of @payload in bytes
 * @fds: what came with it, owned by whoever received it
 * @nr_fds: how many
 * @payload: what follows the header
 */
struct wire_reply {
	struct vfio_user_header header;
	size_t len;
	int fds[VFIO_USER_MAX_SCM_FDS];
	unsigned int nr_fds;
	uint8_t payload[WIRE_MAX_PAYLOAD];
};

/**
 * wire_connect() - connect to a socket, say nothing
 * @path: of the socket
 *
 * Return: a socket owned by the caller, or a negative errno.
 */
int wire_connect(const char *path);

/**
 * wire_header() - a command's header
 * @id: message id
 * @command: enum vfio_user_command
 * @payload: length of what follows, in bytes
 */
struct vfio_user_header wire_header(uint16_t id, uint16_t command,
				    size_t payload);

/**
 * wire_put() - append a command to a buffer
 * @buf: the buffer
 * @at: how much of it is used, in bytes; increased
 * @id: message id
 * @command: enum vfio_user_command
 * @payload: what follows the header
 * @len: its length in bytes
 */
void wire_put(uint8_t *buf, size_t *at, uint16_t id, uint16_t command,
	      const void *payload, size_t len);

/**
 * wire_send() - send bytes as they are, in one sendmsg(2) if the socket allows
 * @sock: the socket
 * @buf: the bytes
 * @len: how many
 * @fds: to go with the first of them
 * @nr_fds: how many
 *
 * Return: 0 or a negative errno.
 */
int wire_send(int sock, const void *buf, size_t len, const int *fds,
	      unsigned int nr_fds);

/**
 * wire_command() - send a command in one piece
 * @sock: the socket
 * @id: message id
 * @command: enum vfio_user_command
 * @payload: what follows the header
 * @len: its length in bytes
 * @fds: to go with it
 * @nr_fds: how many
 *
 * Return: 0 or a negative errno.
 */
int wire_command(int sock, uint16_t id, uint16_t command, const void *payload,
		 size_t len, const int *fds, unsigned int nr_fds);

/**
 * wire_recv() - receive one message, and not a byte of the next
 * @sock: the socket
 * @r: filled in
 *
 * Return: 1 for a message, 0 when the other side has closed, -ETIMEDOUT, or
 * another negative errno.
 */
int wire_recv(int sock, struct wire_reply *r);

/**
 * wire_on_command() - what to do with commands of the server's
 * @fn: called by wire_expect() with each that comes before the reply; returns
 *      0, or what wire_expect() is to return at once. NULL: none may come.
 * @arg: for @fn
 */
void wire_on_command(int (*fn)(int sock, struct wire_reply *command, void *arg),
		     void *arg);

/** wire_close_fds() - close the fds of a reply */
void wire_close_fds(struct wire_reply *r);

/**
 * wire_expect() - receive the reply to a command, and check its form
 * @sock: the socket
 * @id: of the command
 * @command: of the command
 * @r: filled in
 *
 * Return: 0 for success; the positive errno of an error reply; -EPROTO if it
 * isn't a reply to that command, or is an error with a payload or fds; -EPIPE
 * if there is none because the other side has closed; or another negative
 * errno.
 */
int wire_expect(int sock, uint16_t id, uint16_t command, struct wire_reply *r);

/**
 * wire_call_fds() - send a command and wait for its reply
 * @sock: the socket
 * @command: enum vfio_user_command
 * @payload: what follows the header
 * @len: its length in bytes
 * @fds: to go with it
 * @nr_fds: how many
 * @r: filled in; the caller owns its fds
 *
 * Return: as wire_expect().
 */
int wire_call_fds(int sock, uint16_t command, const void *payload, size_t len,
		  const int *fds, unsigned int nr_fds, struct wire_reply *r);

/** wire_call() - wire_call_fds() without any */
int wire_call(int sock, uint16_t command, const void *payload, size_t len,
	      struct wire_reply *r);

/**
 * wire_closed() - does the other side close, without sending anything more?
 * @sock: the socket
 *
 * Waits for it. Return: true if it does.
 */
bool wire_closed(int sock);

/**
 * wire_quiet() - has the other side nothing to say, and is it still there?
 * @sock: the socket
 *
 * Doesn't wait. Return: true if so.
 */
bool wire_quiet(int sock);

/*
 * Commands. All of them return what wire_expect() does, and -EPROTO for a
 * reply whose length isn't the documented one.
 */

/** wire_version() - VERSION with 0.1 and this JSON; NULL for none */
int wire_version(int sock, const char *json, struct wire_reply *r);

/**
 * wire_map() - DMA_MAP
 * @sock: the socket
 * @iova: I/O virtual address
 * @size: in bytes
 * @flags: VFIO_USER_DMA_MAP_*
 * @fd: memory, or -1 for a map without
 * @offset: in the memory, in bytes
 */
int wire_map(int sock, uint64_t iova, uint64_t size, uint32_t flags, int fd,
	     uint64_t offset);

/** wire_unmap() - DMA_UNMAP; the reply has to repeat the request */
int wire_unmap(int sock, uint64_t iova, uint64_t size, uint32_t flags);

/** wire_info() - DEVICE_GET_INFO */
int wire_info(int sock, struct vfio_user_device_info *info);

/**
 * wire_region_info() - DEVICE_GET_REGION_INFO
 * @sock: the socket
 * @index: region
 * @argsz: what the client says that it has room for, in bytes
 * @r: filled in; the caller owns its fds
 */
int wire_region_info(int sock, uint32_t index, uint32_t argsz,
		     struct wire_reply *r);

/** wire_irq_info() - DEVICE_GET_IRQ_INFO */
int wire_irq_info(int sock, uint32_t index, struct vfio_user_irq_info *info);

/**
 * wire_read() - REGION_READ
 * @sock: the socket
 * @region: index
 * @offset: in the region, in bytes
 * @buf: where the data goes
 * @count: bytes to read
 * @done: bytes read, unless NULL; with NULL it has to be @count
 */
int wire_read(int sock, uint32_t region, uint64_t offset, void *buf,
	      uint32_t count, uint32_t *done);

/** wire_write() - REGION_WRITE, as wire_read() */
int wire_write(int sock, uint32_t region, uint64_t offset, const void *buf,
	       uint32_t count, uint32_t *done);

/** wire_reset() - DEVICE_RESET */
int wire_reset(int sock);

/**
 * wire_set_irqs() - DEVICE_SET_IRQS
 * @sock: the socket
 * @flags: VFIO_USER_IRQ_SET_*
 * @index: interrupt index
 * @start: first sub-index
 * @count: sub-indexes
 * @data: what follows, or NULL
 * @len: its length in bytes
 * @fds: to go with it
 * @nr_fds: how many
 */
int wire_set_irqs(int sock, uint32_t flags, uint32_t index, uint32_t start,
		  uint32_t count, const void *data, size_t len,
		  const int *fds, unsigned int nr_fds);

#endif
