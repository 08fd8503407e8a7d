/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "caps.h"
#include "vfio_user.h"

struct vfio_user_client;

/**
 * struct vfio_user_client_opts - what may be different from the usual
 * @max_msg_fds: largest number of fds to send in one message; 0 for as many
 *               as the server takes
 * @timeout_ms: how long to wait for a reply; 0 for 30 seconds, -1 for ever
 * @version_data: JSON to send instead of the usual; NULL for the usual
 */
struct vfio_user_client_opts {
	uint32_t max_msg_fds;
	int timeout_ms;
	const char *version_data;
};

/**
 * vfio_user_connect() - connect to a server and negotiate the version
 * @path: of its UNIX socket
 * @opts: NULL for the usual
 * @out: the client, to be given to vfio_user_disconnect()
 *
 * Return: 0 or a negative errno; what the server's error reply said comes
 * back as is, for instance -EBUSY when somebody else has the device.
 */
int vfio_user_connect(const char *path, const struct vfio_user_client_opts *opts,
		      struct vfio_user_client **out);

/**
 * vfio_user_connect_fd() - the same on a socket that is connected already
 * @fd: the socket; the client owns it, even on error
 * @opts: NULL for the usual
 * @out: the client
 */
int vfio_user_connect_fd(int fd, const struct vfio_user_client_opts *opts,
			 struct vfio_user_client **out);

/**
 * vfio_user_disconnect() - close the connection and free the client
 * @c: may be NULL. Regions that were mapped stay mapped.
 */
void vfio_user_disconnect(struct vfio_user_client *c);

/** vfio_user_server_caps() - what the server said of itself; lives as long as @c */
const struct vfio_user_caps *vfio_user_server_caps(const struct vfio_user_client *c);

/** vfio_user_server_version() - negotiated version, major << 16 | minor */
uint32_t vfio_user_server_version(const struct vfio_user_client *c);

/** vfio_user_client_fd() - the socket, for poll(2); still the client's */
int vfio_user_client_fd(const struct vfio_user_client *c);

/** vfio_user_messages_sent() - commands sent since the connection was made */
uint64_t vfio_user_messages_sent(const struct vfio_user_client *c);

int vfio_user_device_info(struct vfio_user_client *c, struct vfio_user_device_info *info);

/**
 * vfio_user_region_info() - describe a region, with its capabilities
 * @c: the client
 * @index: region index
 * @info: set to a structure with the capability chain behind it, argsz bytes
 *        in all, checked (every offset inside), to be freed with free(3)
 * @fd: set to the fd to map the region from, owned by the caller; -1 when it
 *      can't be mapped. NULL if it isn't wanted.
 *
 * Return: 0 or a negative errno; -EPROTO when the server's reply makes no sense.
 */
int vfio_user_region_info(struct vfio_user_client *c, uint32_t index,
			  struct vfio_user_region_info **info, int *fd);

/** vfio_user_region_cap() - first capability @id in the chain of @info, or NULL */
const struct vfio_user_cap_header *
vfio_user_region_cap(const struct vfio_user_region_info *info, uint16_t id);

int vfio_user_irq_info(struct vfio_user_client *c, uint32_t index,
		       struct vfio_user_irq_info *info);

/**
 * vfio_user_irq_set() - set up, mask, unmask, trigger interrupts
 * @c: the client
 * @flags: one VFIO_USER_IRQ_SET_DATA_* and one VFIO_USER_IRQ_SET_ACTION_*
 * @index: interrupt index
 * @start: first sub-index
 * @count: number of sub-indexes
 * @data: count bytes with DATA_BOOL; count ints with DATA_EVENTFD, -1 for
 *        none; else NULL. The fds stay the caller's.
 *
 * Split into as many messages as the server's max_msg_fds asks for, each with
 * fds for all or none of its sub-indexes.
 *
 * Return: 0 or a negative errno.
 */
int vfio_user_irq_set(struct vfio_user_client *c, uint32_t flags, uint32_t index,
		      uint32_t start, uint32_t count, const void *data);

/**
 * vfio_user_region_read() - read from a region over the socket
 * @c: the client
 * @index: region index
 * @offset: in the region, in bytes
 * @buf: where the data goes
 * @count: bytes; larger than the server's max_data_xfer_size is split
 *
 * Return: bytes read, which may be fewer than @count, or a negative errno.
 */
ssize_t vfio_user_region_read(struct vfio_user_client *c, uint32_t index,
			      uint64_t offset, void *buf, size_t count);
ssize_t vfio_user_region_write(struct vfio_user_client *c, uint32_t index,
			       uint64_t offset, const void *buf, size_t count);

/**
 * vfio_user_dma_map() - let the device reach memory
 * @c: the client
 * @iova: I/O virtual address
 * @size: in bytes
 * @fd: file that holds the memory, still the caller's; -1 for none
 * @offset: of the memory in the file, in bytes
 * @flags: VFIO_USER_DMA_MAP_*
 */
int vfio_user_dma_map(struct vfio_user_client *c, uint64_t iova, uint64_t size,
		      int fd, uint64_t offset, uint32_t flags);
int vfio_user_dma_unmap(struct vfio_user_client *c, uint64_t iova, uint64_t size);
int vfio_user_dma_unmap_all(struct vfio_user_client *c);

int vfio_user_reset(struct vfio_user_client *c);

/**
 * vfio_user_request() - any command: send, wait, receive
 * @c: the client
 * @command: enum vfio_user_command, or any other number
 * @req: request payload
 * @nr_req: entries in @req
 * @fds: fds to send, still the caller's
 * @nr_fds: how many
 * @reply: buffer for the reply's payload
 * @reply_size: its size; a longer payload is -EMSGSIZE
 * @reply_fds: room for fds that come with the reply (-1 where none came), or NULL
 * @nr_reply_fds: in: how much room; out: how many came. Owned by the caller.
 *
 * Return: length of the reply's payload, or a negative errno; the errno of an
 * error reply comes back as is (-EIO if it says 0).
 */
ssize_t vfio_user_request(struct vfio_user_client *c, uint16_t command,
			  const struct iovec *req, int nr_req,
			  const int *fds, unsigned int nr_fds,
			  void *reply, size_t reply_size,
			  int *reply_fds, unsigned int *nr_reply_fds);

#endif
