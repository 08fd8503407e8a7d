/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The client's end of a vfio-user socket, for tools and tests.
 *
 * All functions that talk to the server send one command, or several one
 * after the other, and wait for each reply. They return a negative errno on
 * error: the one that the server's error reply said (-EIO if it said none);
 * -ETIMEDOUT when no reply came in time; -EPROTO when a reply makes no sense;
 * -ECONNRESET when the server is gone. The last three end the connection:
 * every later call then fails with -EPROTO or -ECONNRESET, and all that is
 * left to do is vfio_user_disconnect().
 *
 * Fds that are passed in stay the caller's. A client is not thread-safe: one
 * thread at a time may call functions on it.
 *
 * A server may send commands, too: DMA_READ and DMA_WRITE for memory that it
 * was told of without a file, see vfio_user_dma_map_shadow(). Every function
 * that waits for a reply answers them meanwhile. Who has mapped such memory
 * calls vfio_user_serve() at all other times: before poll(2), because a command
 * may have been received together with the last reply, and after it, when one
 * of the client's fds is readable.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
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
 * @timeout_ms: how long the server may be silent, in milliseconds, while it
 *              owes a reply or doesn't take a command; 0 for 30 seconds, -1
 *              for ever
 * @version_data: JSON to send instead of the usual, its NUL included; NULL
 *                for the usual
 * @twin_socket: ask for a second socket for the server's commands
 */
struct vfio_user_client_opts {
	uint32_t max_msg_fds;
	int timeout_ms;
	const char *version_data;
	bool twin_socket;
};

/**
 * vfio_user_connect() - connect to a server and negotiate the version
 * @path: of its UNIX socket
 * @opts: NULL for the usual
 * @out: the client, to be given to vfio_user_disconnect()
 *
 * Return: 0 or a negative errno; what the server's error reply said comes
 * back as is, for instance -EBUSY when somebody else has the device.
 * -ENAMETOOLONG: @path doesn't fit in a socket address; or what connect(2)
 * fails with.
 */
int vfio_user_connect(const char *path,
		      const struct vfio_user_client_opts *opts,
		      struct vfio_user_client **out);

/**
 * vfio_user_connect_fd() - the same on a socket that is connected already
 * @fd: the socket; the client owns it, even on error
 * @opts: NULL for the usual
 * @out: the client
 *
 * Return: as vfio_user_connect().
 */
int vfio_user_connect_fd(int fd, const struct vfio_user_client_opts *opts,
			 struct vfio_user_client **out);

/**
 * vfio_user_disconnect() - close the connection and free the client
 * @c: may be NULL. Regions that were mapped stay mapped.
 */
void vfio_user_disconnect(struct vfio_user_client *c);

/**
 * vfio_user_server_caps() - what the server said of itself
 * @c: the client
 *
 * Return: the capabilities, which live as long as @c.
 */
const struct vfio_user_caps *
vfio_user_server_caps(const struct vfio_user_client *c);

/**
 * vfio_user_server_version() - the negotiated version
 * @c: the client
 *
 * Return: major << 16 | minor.
 */
uint32_t vfio_user_server_version(const struct vfio_user_client *c);

/**
 * vfio_user_client_fd() - the socket, for poll(2)
 * @c: the client
 *
 * Return: the fd, still the client's.
 */
int vfio_user_client_fd(const struct vfio_user_client *c);

/**
 * vfio_user_client_twin_fd() - the socket for the server's commands, for poll(2)
 * @c: the client
 *
 * Return: the fd, still the client's; -1 if they come over the same socket as
 * everything else, because no other was asked for, or the server has none.
 */
int vfio_user_client_twin_fd(const struct vfio_user_client *c);

/**
 * vfio_user_messages_sent() - commands sent since the connection was made
 * @c: the client
 *
 * Return: their number; VERSION was the first.
 */
uint64_t vfio_user_messages_sent(const struct vfio_user_client *c);

/**
 * vfio_user_device_info() - VFIO_USER_DEVICE_GET_INFO
 * @c: the client
 * @info: filled in; undefined on error
 *
 * Return: 0 or a negative errno; -EPROTO, too, for a device of more than 4096
 * regions or interrupt indexes.
 */
int vfio_user_device_info(struct vfio_user_client *c,
			  struct vfio_user_device_info *info);

/**
 * vfio_user_region_info() - describe a region, with its capabilities
 * @c: the client
 * @index: region index
 * @info: set to a structure with the capability chain behind it, argsz bytes
 *        in all, to be freed with free(3). It is checked: every capability and
 *        every sparse area lies inside, the chain ends, cap_offset is 0 if
 *        there is none, and size (with offset, if the region can be mapped)
 *        fits in a signed 64-bit number.
 * @fd: set to the fd to map the region from, owned by the caller; -1 when it
 *      can't be mapped. NULL if it isn't wanted.
 *
 * Return: 0 or a negative errno; -EPROTO when the server's reply makes no
 * sense. On error neither @info nor @fd is set.
 */
int vfio_user_region_info(struct vfio_user_client *c, uint32_t index,
			  struct vfio_user_region_info **info, int *fd);

/**
 * vfio_user_region_cap() - look for a capability of a region
 * @info: from vfio_user_region_info()
 * @id: VFIO_USER_REGION_CAP_*
 *
 * Return: the first capability @id in the chain, part of @info, or NULL.
 */
const struct vfio_user_cap_header *
vfio_user_region_cap(const struct vfio_user_region_info *info, uint16_t id);

/**
 * vfio_user_irq_info() - VFIO_USER_DEVICE_GET_IRQ_INFO
 * @c: the client
 * @index: interrupt index
 * @info: filled in; undefined on error
 *
 * Return: 0 or a negative errno.
 */
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
 * fds for all or none of its sub-indexes. When one of them fails, those before
 * it have had their effect.
 *
 * Return: 0 or a negative errno.
 */
int vfio_user_irq_set(struct vfio_user_client *c, uint32_t flags,
		      uint32_t index, uint32_t start, uint32_t count,
		      const void *data);

/**
 * vfio_user_region_read() - read from a region over the socket
 * @c: the client
 * @index: region index
 * @offset: in the region, in bytes
 * @buf: where the data goes
 * @count: bytes; larger than the server's max_data_xfer_size is split
 *
 * Return: bytes read, which may be fewer than @count, or a negative errno.
 * An error after some bytes were read gives their number.
 */
ssize_t vfio_user_region_read(struct vfio_user_client *c, uint32_t index,
			      uint64_t offset, void *buf, size_t count);

/**
 * vfio_user_region_write() - write to a region over the socket
 * @c: the client
 * @index: region index
 * @offset: in the region, in bytes
 * @buf: what to write
 * @count: bytes; larger than the server's max_data_xfer_size is split
 *
 * Return: bytes written, which may be fewer than @count, or a negative errno.
 * An error after some bytes were written gives their number.
 */
ssize_t vfio_user_region_write(struct vfio_user_client *c, uint32_t index,
			       uint64_t offset, const void *buf, size_t count);

/**
 * vfio_user_region_write_multi() - several small writes in one message
 * @c: the client
 * @wrs: the writes, of 8 bytes at most each, done in this order
 * @nr: how many; more than fit in one message are sent in several
 *
 * Return: how many were done; the one after those failed, and no later one was
 * tried. -EOPNOTSUPP, and nothing is sent: the server didn't say that it can
 * do this. Or another negative errno. An error after some writes were done
 * gives their number.
 */
ssize_t vfio_user_region_write_multi(struct vfio_user_client *c,
				     const struct vfio_user_write_one *wrs,
				     size_t nr);

/**
 * struct vfio_user_io_fds - eventfds that stand for stores to a region
 * @fds: owned by whoever has this; who takes one sets it to -1
 * @nr_fds: entries in @fds
 * @nr_ios: entries in @ios
 * @ios: which stores; fd_index is below @nr_fds, and several may share an fd
 */
struct vfio_user_io_fds {
	int fds[VFIO_USER_MAX_SCM_FDS];
	unsigned int nr_fds;
	uint32_t nr_ios;
	struct vfio_user_io_fd ios[];
};

/**
 * vfio_user_region_io_fds() - the doorbells that a region has eventfds for
 * @c: the client
 * @index: region index
 * @io: set to a structure to be given to vfio_user_io_fds_free(), also when
 *      there are none
 *
 * Return: 0 or a negative errno; @io isn't set then.
 */
int vfio_user_region_io_fds(struct vfio_user_client *c, uint32_t index,
			    struct vfio_user_io_fds **io);

/**
 * vfio_user_io_fds_free() - close the eventfds that nobody took, and free
 * @io: may be NULL
 */
void vfio_user_io_fds_free(struct vfio_user_io_fds *io);

/**
 * vfio_user_dma_map() - let the device reach memory
 * @c: the client
 * @iova: I/O virtual address, in bytes
 * @size: in bytes
 * @fd: file that holds the memory, still the caller's; -1 for none
 * @offset: of the memory in the file, in bytes
 * @flags: VFIO_USER_DMA_MAP_*
 *
 * Return: 0 or a negative errno: -EEXIST when it overlaps another map,
 * -ENOSPC when there are as many as the server takes, -EINVAL when it isn't
 * aligned to the server's page sizes.
 */
int vfio_user_dma_map(struct vfio_user_client *c, uint64_t iova, uint64_t size,
		      int fd, uint64_t offset, uint32_t flags);

/**
 * vfio_user_dma_map_shadow() - let the device reach memory that isn't shared
 * @c: the client
 * @iova: I/O virtual address, in bytes
 * @size: in bytes
 * @memory: the memory, still the caller's; it is read and written until it is
 *          unmapped, in functions of this library and nowhere else
 * @flags: VFIO_USER_DMA_MAP_*: what the device, and so the server, may do
 *
 * The server reads and writes it by message, before the device does and after,
 * if it can do that at all: vfio-bridge does with --shadow-dma, and else takes
 * the map but doesn't let the device reach the memory.
 *
 * Return: 0 or a negative errno: -EEXIST when it overlaps another map, -EINVAL
 * for a range that can't be.
 */
int vfio_user_dma_map_shadow(struct vfio_user_client *c, uint64_t iova,
			     uint64_t size, void *memory, uint32_t flags);

/**
 * vfio_user_serve() - answer the commands of the server's that wait
 * @c: the client
 *
 * To be called before vfio_user_client_fd() and vfio_user_client_twin_fd() are
 * polled, and when one of them is readable. Doesn't wait, except for the rest of
 * a command that has come in part.
 *
 * Return: how many were answered, 0 if none was there; -EPROTO when there was
 * something else, -ECONNRESET when the server is gone, or another negative
 * errno.
 */
int vfio_user_serve(struct vfio_user_client *c);

/**
 * vfio_user_dma_unmap() - take back what one vfio_user_dma_map() gave
 * @c: the client
 * @iova: as it was mapped
 * @size: as it was mapped, in bytes
 *
 * Return: 0: the device can't reach the memory any more; -ENOENT: nothing is
 * mapped there; -EINVAL: the range is only a part of a map; or another
 * negative errno.
 */
int vfio_user_dma_unmap(struct vfio_user_client *c, uint64_t iova,
			uint64_t size);

/**
 * vfio_user_dma_unmap_all() - take back all that was mapped
 * @c: the client
 *
 * Return: 0 or a negative errno.
 */
int vfio_user_dma_unmap_all(struct vfio_user_client *c);

/**
 * vfio_user_reset() - reset the device
 * @c: the client
 *
 * Return: 0 or a negative errno.
 */
int vfio_user_reset(struct vfio_user_client *c);

/**
 * vfio_user_feature() - VFIO_USER_DEVICE_FEATURE
 * @c: the client
 * @flags: feature index | VFIO_USER_FEATURE_GET, _SET or _PROBE
 * @in: data to send behind the fixed part
 * @in_len: its length in bytes; 0 for none
 * @out: where the reply's data goes; what comes is not checked
 * @out_len: room for it in bytes; 0 for none
 *
 * Return: bytes of data in the reply, @out_len at most; -ENOSPC: there are
 * more, and the server sent none; or another negative errno, -ENOTTY or
 * -EOPNOTSUPP for a feature that isn't there.
 */
ssize_t vfio_user_feature(struct vfio_user_client *c, uint32_t flags,
			  const void *in, size_t in_len,
			  void *out, size_t out_len);

/**
 * vfio_user_migration_flags() - can the device migrate, and how?
 * @c: the client
 * @flags: VFIO_USER_MIGRATION_*
 *
 * Return: 0 or a negative errno; -ENOTTY: it can't, whatever the server
 * answered to say so.
 */
int vfio_user_migration_flags(struct vfio_user_client *c, uint64_t *flags);

/**
 * vfio_user_migration_get_state() - the device's migration state
 * @c: the client
 * @state: enum vfio_user_device_state
 *
 * Return: 0 or a negative errno.
 */
int vfio_user_migration_get_state(struct vfio_user_client *c, uint32_t *state);

/**
 * vfio_user_migration_set_state() - take the device to a migration state
 * @c: the client
 * @state: enum vfio_user_device_state
 *
 * Return: 0: it is there; or a negative errno: it is somewhere on the way,
 * vfio_user_migration_get_state() tells.
 */
int vfio_user_migration_set_state(struct vfio_user_client *c, uint32_t state);

/**
 * vfio_user_migration_read() - read from the stream of the device's state
 * @c: the client; the device is in PRE_COPY or STOP_COPY
 * @buf: where the data goes
 * @count: bytes; larger than the server's max_data_xfer_size is split
 *
 * Return: bytes read; fewer than @count: there is no more for now (in PRE_COPY)
 * or at all (in STOP_COPY), or something failed after these. Which of the two,
 * the next call tells: 0, or a negative errno. So only 0 is the stream's end.
 */
ssize_t vfio_user_migration_read(struct vfio_user_client *c, void *buf,
				 size_t count);

/**
 * vfio_user_migration_write() - write to the stream of the device's state
 * @c: the client; the device is in RESUMING
 * @buf: what to write
 * @count: bytes; larger than the server's max_data_xfer_size is split
 *
 * Return: 0: all of it is written; or a negative errno.
 */
int vfio_user_migration_write(struct vfio_user_client *c, const void *buf,
			      size_t count);

/**
 * vfio_user_request() - any command: send, wait, receive
 * @c: the client
 * @command: enum vfio_user_command, or any other number
 * @req: request payload
 * @nr_req: entries in @req
 * @fds: fds to send, still the caller's
 * @nr_fds: how many; not limited by the server's max_msg_fds
 * @reply: buffer for the reply's payload
 * @reply_size: its size; a longer payload is -EMSGSIZE
 * @reply_fds: room for fds that come with the reply (-1 where none came), or
 *             NULL: whatever comes is closed
 * @nr_reply_fds: in: how much room, more fds than that are -EPROTO; out: how
 *                many came. Owned by the caller. Unused without @reply_fds.
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
