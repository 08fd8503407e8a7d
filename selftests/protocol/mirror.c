// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client's memory, by message. What the server asks for is looked up in
 * the list of maps and counted; anything that it shouldn't have asked counts as
 * bad, which no test expects.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mirror.h"
#include "util.h"

#define MIRROR_WAIT_MS		8000

/* The reply to DMA_WRITE as in the specification's table: 4 bytes of count. */
#define SHORT_WRITE_REPLY	12

void mirror_forget(struct mirror *m)
{
	m->reads = 0;
	m->writes = 0;
	m->largest = 0;
	memset(m->log, 0, sizeof(m->log));
}

static uint8_t *mirror_find(struct mirror *m,
			    const struct vfio_user_dma_access *a)
{
	unsigned int i;

	for (i = 0; i < m->nr_maps; i++) {
		struct mirror_map *map = &m->maps[i];

		if (a->address >= map->iova &&
		    range_within(a->address - map->iova, a->count, map->size))
			return map->mem + (a->address - map->iova);
	}
	return NULL;
}

/* Is this what a server may say? If so, log it. */
static bool mirror_check(struct mirror *m, const struct wire_reply *r,
			 struct vfio_user_dma_access *a)
{
	bool write = r->header.command == VFIO_USER_DMA_WRITE;
	unsigned int nr = m->reads + m->writes;

	if ((!write && r->header.command != VFIO_USER_DMA_READ) ||
	    r->header.flags != VFIO_USER_TYPE_COMMAND || r->header.error ||
	    r->nr_fds || r->len < sizeof(*a))
		return false;
	memcpy(a, r->payload, sizeof(*a));
	if (!a->count || r->len != sizeof(*a) + (write ? a->count : 0))
		return false;

	if (nr < MIRROR_LOG_LEN) {
		m->log[nr].iova = a->address;
		m->log[nr].count = a->count;
		m->log[nr].write = write;
	}
	m->largest = max(m->largest, (uint64_t)a->count);
	if (write)
		m->writes++;
	else
		m->reads++;
	return true;
}

/* Spoil the reply in @r, which was right. */
static void mirror_spoil(struct wire_reply *r, enum mirror_how how)
{
	struct vfio_user_header *header = &r->header;

	switch (how) {
	case MIRROR_ERROR:
	case MIRROR_ERROR_0:
		header->flags |= VFIO_USER_FLAG_ERROR;
		header->error = how == MIRROR_ERROR ? EFAULT : 0;
		r->len = 0;
		break;
	case MIRROR_ID:
		header->id++;
		break;
	case MIRROR_COMMAND:
		header->command = VFIO_USER_DMA_READ + VFIO_USER_DMA_WRITE -
				  header->command;
		break;
	case MIRROR_ADDRESS:
		r->payload[offsetof(struct vfio_user_dma_access, address)]++;
		break;
	case MIRROR_COUNT:
		r->payload[offsetof(struct vfio_user_dma_access, count)]--;
		break;
	case MIRROR_SHORT:
		r->len--;
		break;
	case MIRROR_LONG:
		r->len++;
		break;
	case MIRROR_EMPTY:
		r->len = 0;
		break;
	case MIRROR_TYPE:
		header->flags = 2;
		break;
	default:
		break;
	}
	header->size = how == MIRROR_SIZE ? 3 : sizeof(*header) + r->len;
}

/* Header and payload; a byte each 200 ms if it is to take long. */
static int mirror_send(int sock, const struct wire_reply *r,
		       enum mirror_how how)
{
	uint8_t buf[sizeof(r->header) + sizeof(r->payload)];
	size_t len = sizeof(r->header) + r->len, i;
	int ret = 0;

	memcpy(buf, &r->header, sizeof(r->header));
	memcpy(buf + sizeof(r->header), r->payload, r->len);
	if (how != MIRROR_DRIBBLE)
		return wire_send(sock, buf, len, &sock, how == MIRROR_FD);
	for (i = 0; i < len && !ret; i++) {
		ret = wire_send(sock, buf + i, 1, NULL, 0);
		peer_pause(200);
	}
	return ret;
}

int mirror_answer(int sock, struct wire_reply *r, void *arg)
{
	bool write = r->header.command == VFIO_USER_DMA_WRITE;
	enum mirror_how how = ((struct mirror *)arg)->how;
	struct vfio_user_dma_access a;
	struct mirror *m = arg;
	uint8_t *mem;

	mem = mirror_check(m, r, &a) ? mirror_find(m, &a) : NULL;
	if (!mem) {
		m->bad++;
		wire_close_fds(r);
		return -EPROTO;
	}
	if (how == MIRROR_SILENT)
		return 0;

	if (write)
		memcpy(mem, r->payload + sizeof(a), a.count);
	else
		memcpy(r->payload + sizeof(a), mem, a.count);
	r->len = sizeof(a) + (write ? 0 : a.count);
	if (write && how != MIRROR_LONG_WRITE)
		r->len = SHORT_WRITE_REPLY;
	r->header.flags = VFIO_USER_TYPE_REPLY;
	mirror_spoil(r, how);
	mirror_send(sock, r, how);
	return 0;
}

static void *mirror_thread(void *arg)
{
	struct mirror *m = arg;
	int ret;

	do {
		ret = wire_recv(m->twin, &m->r);
		if (ret > 0)
			ret = mirror_answer(m->twin, &m->r, m) ? 0 : 1;
	} while (ret > 0 || ret == -ETIMEDOUT);
	return NULL;
}

/* Take the twin socket out of the reply to VERSION. */
static int mirror_twin(struct mirror *m, struct wire_reply *r)
{
	struct vfio_user_version version;
	json_t *json, *twin;
	int ret = -EPROTO;

	json = json_loads((char *)r->payload + sizeof(version), 0, NULL);
	twin = json_object_get(json_object_get(json, "capabilities"),
			       "twin_socket");
	if (json_is_true(json_object_get(twin, "supported")) &&
	    json_is_integer(json_object_get(twin, "fd_index")) &&
	    !json_integer_value(json_object_get(twin, "fd_index")) &&
	    r->nr_fds == 1) {
		m->twin = r->fds[0];
		ret = 0;
	}
	json_decref(json);
	return ret;
}

int mirror_connect(struct mirror *m, struct peer *peer, bool twin,
		   const char *caps)
{
	struct vfio_user_device_info info;
	char json[256];
	int ret;

	memset(m, 0, sizeof(*m));
	m->twin = -1;
	snprintf(json, sizeof(json),
		 "{\"capabilities\":{%s\"twin_socket\":{\"supported\":%s}}}",
		 caps, twin ? "true" : "false");
	peer->sock = wire_connect(peer->daemon.socket);
	if (peer->sock < 0)
		return peer->sock;
	ret = wire_version(peer->sock, json, &m->r);
	if (ret)
		return ret;
	if (!twin && !m->r.nr_fds)
		wire_on_command(mirror_answer, m);
	else
		ret = mirror_twin(m, &m->r);
	/* The daemon may have closed the twin socket's end only now. */
	if (!ret)
		ret = wire_info(peer->sock, &info);
	if (ret)
		return ret;
	peer->fds = fake_nr_fds(&peer->root, peer->daemon.pid);
	return twin ? -pthread_create(&m->thread, NULL, mirror_thread, m) : 0;
}

void mirror_close(struct mirror *m)
{
	wire_on_command(NULL, NULL);
	if (m->twin < 0)
		return;
	shutdown(m->twin, SHUT_RDWR);
	pthread_join(m->thread, NULL);
	close_fd(&m->twin);
}

int mirror_map(struct mirror *m, const struct peer *peer, uint64_t iova,
	       uint8_t *mem, size_t size, uint32_t flags)
{
	m->maps[m->nr_maps++] = (struct mirror_map){ iova, size, mem };
	return wire_map(peer->sock, iova, size, flags, -1, 0);
}

uint64_t mirror_wait_fired(struct mirror *m, const struct peer *peer, int fd)
{
	struct pollfd fds[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = m->twin < 0 ? peer->sock : -1, .events = POLLIN },
	};

	while (poll(fds, ARRAY_SIZE(fds), MIRROR_WAIT_MS) > 0) {
		if (fds[0].revents)
			return peer_fired(fd);
		if (wire_recv(peer->sock, &m->r) <= 0 ||
		    mirror_answer(peer->sock, &m->r, m))
			break;
	}
	return 0;
}
