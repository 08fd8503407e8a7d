// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands of the server's: it reads and writes memory that it was told of
 * without a file.
 *
 * They come over the twin socket, if there is one, else among the replies on
 * the main one. What they ask for must lie in one map and be what the map
 * allows; anything else is answered with an error, EOPNOTSUPP if there is no
 * such map at all. The list of maps is sorted,
 * and searched by halves.
 *
 * While a reply is due on the main socket and commands may come over the other,
 * both are waited for. Without a twin socket there is one to wait for, and
 * receiving from it does.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "log.h"

/* What is answered in one vfio_user_serve(), before others have their turn. */
#define SERVE_MAX_COMMANDS	1024

/* How many maps end at or before @iova: the first that may hold it is next. */
static size_t serve_position(const struct vfio_user_client *c, uint64_t iova)
{
	size_t low = 0, high = c->nr_maps;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct client_map *map = &c->maps[middle];

		if (map->iova + (map->size - 1) < iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The memory that a command is about, if it may have it. */
static int serve_find(const struct vfio_user_client *c,
		      const struct vfio_user_dma_access *a, uint32_t flag,
		      uint8_t **memory)
{
	size_t i = serve_position(c, a->address);
	const struct client_map *map = &c->maps[i];

	if (i == c->nr_maps || map->iova > a->address ||
	    !range_within(a->address - map->iova, a->count, map->size))
		return -EFAULT;
	if (!(map->flags & flag))
		return -EACCES;
	*memory = map->memory + (a->address - map->iova);
	return 0;
}

/* Begin an answer: returns the room for its payload, NULL if it can't be sent. */
static void *serve_reply(struct msg_conn *conn, const struct msg *m, size_t len,
			 int err)
{
	struct vfio_user_header *header = msg_reserve(conn, len);

	if (!header)
		return NULL;
	*header = (struct vfio_user_header){
		.id = m->header.id,
		.command = m->header.command,
		.size = sizeof(*header) + len,
		.flags = VFIO_USER_TYPE_REPLY |
			 (err ? VFIO_USER_FLAG_ERROR : 0),
		.error = -err,
	};
	return header + 1;
}

static int serve_read(struct vfio_user_client *c, struct msg_conn *conn,
		      const struct msg *m)
{
	struct vfio_user_dma_access request;
	uint8_t *memory, *payload;
	int ret;

	if (m->len < sizeof(request))
		return -EINVAL;
	memcpy(&request, m->payload, sizeof(request));
	if (request.count > CLIENT_MAX_XFER)
		return -EINVAL;
	ret = serve_find(c, &request, VFIO_USER_DMA_MAP_READ, &memory);
	if (ret)
		return ret;
	payload = serve_reply(conn, m, sizeof(request) + request.count, 0);
	if (!payload)
		return client_break(c, -errno);
	memcpy(payload, &request, sizeof(request));
	memcpy(payload + sizeof(request), memory, request.count);
	return 0;
}

static int serve_write(struct vfio_user_client *c, struct msg_conn *conn,
		       const struct msg *m)
{
	struct vfio_user_dma_access request;
	uint8_t *memory, *payload;
	int ret;

	if (m->len < sizeof(request))
		return -EINVAL;
	memcpy(&request, m->payload, sizeof(request));
	if (request.count > m->len - sizeof(request))
		return -EINVAL;
	ret = serve_find(c, &request, VFIO_USER_DMA_MAP_WRITE, &memory);
	if (ret)
		return ret;
	memcpy(memory, (uint8_t *)m->payload + sizeof(request), request.count);
	/* The whole structure, whose count is as good as one of 4 bytes. */
	payload = serve_reply(conn, m, sizeof(request), 0);
	if (!payload)
		return client_break(c, -errno);
	memcpy(payload, &request, sizeof(request));
	return 0;
}

int client_serve(struct vfio_user_client *c, struct msg_conn *conn,
		 struct msg *m)
{
	bool fds = m->nr_fds;
	int ret, err;

	msg_close_fds(m);
	if (!c->nr_maps)
		err = -EOPNOTSUPP;
	else if (fds)
		err = -EINVAL;
	else if (m->header.command == VFIO_USER_DMA_READ)
		err = serve_read(c, conn, m);
	else if (m->header.command == VFIO_USER_DMA_WRITE)
		err = serve_write(c, conn, m);
	else
		err = -EOPNOTSUPP;
	if (c->broken)
		return c->broken;
	/* What was reserved and isn't committed is as if it never was. */
	if (m->header.flags & VFIO_USER_FLAG_NO_REPLY)
		return err ? 1 : 0;

	if (err && !serve_reply(conn, m, 0, err))
		return client_break(c, -errno);
	ret = msg_commit(conn, NULL, 0);
	if (ret)
		return client_break(c, ret);
	return err ? 1 : 0;
}

/* Receive one command on a socket where only commands come, and answer it. */
static int serve_one(struct vfio_user_client *c, struct msg_conn *conn)
{
	struct msg m;
	int ret;

	ret = msg_recv(conn, &m);
	if (ret == -EMSGSIZE)
		return client_violation(c, &m, "an impossible size");
	if (ret <= 0) {
		msg_close_fds(&m);
		return client_break(c, ret == -EAGAIN ? -ETIMEDOUT :
				    ret ? ret : -ECONNRESET);
	}
	if ((m.header.flags & VFIO_USER_TYPE_MASK) != VFIO_USER_TYPE_COMMAND)
		return client_violation(c, &m, "come though nothing was asked");
	return client_serve(c, conn, &m);
}

/*
 * Is something there to be received? Waits @ms for either socket, if nothing
 * is; returns 0 if that takes too long.
 */
static int serve_poll(struct vfio_user_client *c, int ms, bool *twin)
{
	struct pollfd fds[] = {
		{ .fd = c->twin.fd, .events = POLLIN },
		{ .fd = c->conn.fd, .events = POLLIN },
	};
	int n, ret;

	*twin = c->twin.fd >= 0 && msg_is_buffered(&c->twin);
	if (*twin || msg_is_buffered(&c->conn))
		return 1;
	ret = msg_flush(&c->conn);
	if (!ret && c->twin.fd >= 0)
		ret = msg_flush(&c->twin);
	if (ret && ret != -EPIPE)
		return client_break(c, ret == -EAGAIN ? -ETIMEDOUT : ret);
	do {
		n = poll(fds, ARRAY_SIZE(fds), ms);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return client_break(c, -errno);
	*twin = fds[0].revents;
	return n > 0;
}

int client_wait(struct vfio_user_client *c, unsigned int *strays)
{
	bool twin;
	int ret;

	if (c->twin.fd < 0)
		return 0;
	while (*strays <= CLIENT_MAX_STRAYS) {
		ret = serve_poll(c, c->timeout_ms, &twin);
		if (!ret)
			return client_break(c, -ETIMEDOUT);
		if (ret < 0)
			return ret;
		if (!twin)
			return 0;
		ret = serve_one(c, &c->twin);
		if (ret < 0)
			return ret;
		*strays += ret;
	}
	log_debug("the server sends commands that are refused instead of a reply");
	return client_break(c, -EPROTO);
}

int vfio_user_serve(struct vfio_user_client *c)
{
	int n, ret;
	bool twin;

	if (c->broken)
		return c->broken;
	for (n = 0; n < SERVE_MAX_COMMANDS; n++) {
		ret = serve_poll(c, 0, &twin);
		if (ret < 0)
			return ret;
		if (!ret)
			return n;
		ret = serve_one(c, twin ? &c->twin : &c->conn);
		if (ret < 0)
			return ret;
	}
	/* Sends the last answers. */
	ret = serve_poll(c, 0, &twin);
	return ret < 0 ? ret : n;
}

static int serve_register(struct vfio_user_client *c,
			  const struct client_map *map)
{
	size_t i = serve_position(c, map->iova);
	struct client_map *maps;

	if (i < c->nr_maps &&
	    c->maps[i].iova <= map->iova + (map->size - 1))
		return -EEXIST;
	maps = realloc(c->maps, (c->nr_maps + 1) * sizeof(*maps));
	if (!maps)
		return -ENOMEM;
	c->maps = maps;
	memmove(&maps[i + 1], &maps[i], (c->nr_maps - i) * sizeof(*maps));
	maps[i] = *map;
	c->nr_maps++;
	return 0;
}

void client_forget(struct vfio_user_client *c, uint64_t iova, uint64_t size)
{
	size_t i = serve_position(c, iova);

	if (!size) {
		c->nr_maps = 0;
		return;
	}
	if (i == c->nr_maps || c->maps[i].iova != iova ||
	    c->maps[i].size != size)
		return;
	c->nr_maps--;
	memmove(&c->maps[i], &c->maps[i + 1],
		(c->nr_maps - i) * sizeof(*c->maps));
}

int vfio_user_dma_map_shadow(struct vfio_user_client *c, uint64_t iova,
			     uint64_t size, void *memory, uint32_t flags)
{
	const struct client_map map = { iova, size, memory, flags };
	uint64_t last;
	int ret;

	if (!size || size > SIZE_MAX || add_overflows(iova, size - 1, &last))
		return -EINVAL;
	/* First, as the server may ask before it replies. */
	ret = serve_register(c, &map);
	if (ret)
		return ret;
	ret = vfio_user_dma_map(c, iova, size, -1, 0, flags);
	if (ret)
		client_forget(c, iova, size);
	return ret;
}
