/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PROTOCOL_FEATURE_H
#define PROTOCOL_FEATURE_H

#include "wire.h"

/*
 * DEVICE_FEATURE and the migration stream, from a client's side. Functions
 * return what wire_expect() does.
 */

/* What a DEVICE_FEATURE message begins with, in bytes. */
#define FEATURE_FIXED		sizeof(struct vfio_user_device_feature)

/**
 * feature_call() - DEVICE_FEATURE as it is told
 * @sock: the socket
 * @flags: feature and method
 * @argsz: what the message says there
 * @data: what follows the fixed part
 * @len: its length in bytes
 * @r: filled in; the caller owns its fds
 */
int feature_call(int sock, uint32_t flags, uint32_t argsz, const void *data,
		 size_t len, struct wire_reply *r);

/**
 * feature_is() - does a reply say this of itself?
 * @r: a reply to DEVICE_FEATURE
 * @flags: of the request
 * @argsz: what it has to say there
 * @len: length of the data in bytes
 */
bool feature_is(const struct wire_reply *r, uint32_t flags, uint32_t argsz,
		size_t len);

/** feature_set_state() - go to a migration state; -EPROTO if told otherwise */
int feature_set_state(int sock, uint32_t state);

/** feature_state() - the migration state, or UINT32_MAX */
uint32_t feature_state(int sock);

/**
 * stream_read() - MIG_DATA_READ
 * @sock: the socket
 * @buf: filled in
 * @size: how much to ask for, in bytes
 * @got: set to how much came
 */
int stream_read(int sock, void *buf, uint32_t size, uint32_t *got);

/** stream_write() - MIG_DATA_WRITE of @size bytes */
int stream_write(int sock, const void *buf, uint32_t size);

#endif
