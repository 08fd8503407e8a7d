// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client library as the one that is asked: DMA_READ and DMA_WRITE over
 * either socket, and what a server must not get at.
 *
 * As in client_test.c the server needs no thread: what it sends is queued
 * before the client looks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "msg.h"
#include "tools/lib/client.h"
#include "util.h"

#include "kselftest_harness.h"

#define IOVA	0x10000
#define SIZE	0x2000
#define RW	(VFIO_USER_DMA_MAP_READ | VFIO_USER_DMA_MAP_WRITE)
#define ERROR	(VFIO_USER_TYPE_REPLY | VFIO_USER_FLAG_ERROR)

static const struct vfio_user_client_opts plain = { .timeout_ms = 100 };
static const struct vfio_user_client_opts twins = {
	.timeout_ms = 100,
	.twin_socket = true,
};

FIXTURE(serve)
{
	struct vfio_user_client *c;
	struct msg_conn server;
	struct msg_conn *asks;
	struct msg_conn twin;
	struct msg m;
	uint16_t last_id;
	uint8_t mem[SIZE];
	uint8_t other[SIZE];
};

FIXTURE_VARIANT(serve)
{
	bool twin;
};

FIXTURE_VARIANT_ADD(serve, main_socket)
{
	.twin = false,
};

FIXTURE_VARIANT_ADD(serve, twin_socket)
{
	.twin = true,
};

/* Put a message into a connection's socket. */
static void put(struct msg_conn *conn, uint16_t id, uint16_t command,
		uint32_t flags, const void *payload, size_t len)
{
	struct vfio_user_header *header = msg_reserve(conn, len);

	*header = (struct vfio_user_header){
		.id = id,
		.command = command,
		.size = sizeof(*header) + len,
		.flags = flags,
	};
	if (len)
		memcpy(header + 1, payload, len);
	if (msg_commit(conn, NULL, 0) || msg_flush(conn))
		abort();
}

/* Put a reply to VERSION into @sock, with a socket, or without if it is -1. */
static void put_version(int sock, const char *caps, int fd)
{
	struct {
		struct vfio_user_header header;
		struct vfio_user_version version;
		char json[128];
	} __attribute__((packed)) reply = {
		.header.id = 1,
		.header.command = VFIO_USER_VERSION,
		.header.flags = VFIO_USER_TYPE_REPLY,
		.version.minor = VFIO_USER_MINOR,
	};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { &reply, sizeof(reply.header) +
				     sizeof(reply.version) + strlen(caps) + 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	reply.header.size = iov.iov_len;
	strcpy(reply.json, caps);
	if (fd >= 0) {
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	if (sendmsg(sock, &mh, MSG_NOSIGNAL) != iov.iov_len)
		abort();
}

static const char with_twin[] =
	"{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}";

FIXTURE_SETUP(serve)
{
	int sv[2], twin[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, twin));
	put_version(sv[1], variant->twin ? with_twin : "{}",
		    variant->twin ? twin[0] : -1);
	ASSERT_EQ(0, vfio_user_connect_fd(sv[0],
					  variant->twin ? &twins : &plain,
					  &self->c));
	close(twin[0]);
	ASSERT_EQ(0, msg_conn_init(&self->server, sv[1], 2 << 20, 0));
	ASSERT_EQ(0, msg_conn_init(&self->twin, twin[1], 2 << 20, 0));
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	self->asks = variant->twin ? &self->twin : &self->server;
	self->last_id = 1;
}

FIXTURE_TEARDOWN(serve)
{
	vfio_user_disconnect(self->c);
	msg_conn_exit(&self->server);
	msg_conn_exit(&self->twin);
}

/* Have the client map memory; the server says yes. */
#define MAP(iova, mem, flags) do {					\
	put(&self->server, ++self->last_id, VFIO_USER_DMA_MAP,		\
	    VFIO_USER_TYPE_REPLY, NULL, 0);				\
	ASSERT_EQ(0, vfio_user_dma_map_shadow(self->c, iova, SIZE, mem,	\
					      flags));			\
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));		\
	ASSERT_EQ(VFIO_USER_DMA_MAP, self->m.header.command);		\
} while (0)

/* The server's side of a request, with data for a write. */
static void ask(struct msg_conn *conn, uint16_t id, uint16_t command,
		uint64_t address, uint64_t count, const void *data)
{
	uint8_t buf[sizeof(struct vfio_user_dma_access) + SIZE];
	const struct vfio_user_dma_access a = { address, count };

	memcpy(buf, &a, sizeof(a));
	if (data)
		memcpy(buf + sizeof(a), data, count);
	put(conn, id, command, 0, buf, sizeof(a) + (data ? count : 0));
}

#define EXPECT_ANSWER(want_id, want_error) do {				\
	const uint32_t error = want_error;				\
									\
	ASSERT_EQ(1, msg_recv(self->asks, &self->m));			\
	EXPECT_EQ(want_id, self->m.header.id);				\
	EXPECT_EQ(error, self->m.header.error);				\
	EXPECT_EQ(error ? ERROR : VFIO_USER_TYPE_REPLY,			\
		  self->m.header.flags);				\
} while (0)

TEST_F(serve, map_is_announced_without_an_fd)
{
	struct vfio_user_dma_map map;

	MAP(IOVA, self->mem, RW);
	ASSERT_EQ(sizeof(map), self->m.len);
	memcpy(&map, self->m.payload, sizeof(map));
	EXPECT_EQ(IOVA, map.address);
	EXPECT_EQ(SIZE, map.size);
	EXPECT_EQ(RW, map.flags);
	EXPECT_EQ(0, self->m.nr_fds);
}

TEST_F(serve, memory_is_read)
{
	struct vfio_user_dma_access a;

	MAP(IOVA, self->mem, RW);
	memcpy(self->mem + 5, "hello", 5);
	ask(self->asks, 9, VFIO_USER_DMA_READ, IOVA + 5, 5, NULL);
	EXPECT_EQ(1, vfio_user_serve(self->c));
	EXPECT_ANSWER(9, 0);
	EXPECT_EQ(VFIO_USER_DMA_READ, self->m.header.command);
	ASSERT_EQ(sizeof(a) + 5, self->m.len);
	memcpy(&a, self->m.payload, sizeof(a));
	EXPECT_EQ(IOVA + 5, a.address);
	EXPECT_EQ(5, a.count);
	EXPECT_EQ(0, memcmp((char *)self->m.payload + sizeof(a), "hello", 5));
}

TEST_F(serve, memory_is_written)
{
	struct vfio_user_dma_access a;

	MAP(IOVA, self->mem, RW);
	ask(self->asks, 9, VFIO_USER_DMA_WRITE, IOVA + SIZE - 5, 5, "hello");
	EXPECT_EQ(1, vfio_user_serve(self->c));
	EXPECT_ANSWER(9, 0);
	EXPECT_EQ(VFIO_USER_DMA_WRITE, self->m.header.command);
	ASSERT_EQ(sizeof(a), self->m.len);
	memcpy(&a, self->m.payload, sizeof(a));
	EXPECT_EQ(IOVA + SIZE - 5, a.address);
	EXPECT_EQ(5, a.count);
	EXPECT_EQ(0, memcmp(self->mem + SIZE - 5, "hello", 5));
	EXPECT_EQ(0, self->mem[SIZE - 6]);
}

TEST_F(serve, nothing_waits_is_0)
{
	MAP(IOVA, self->mem, RW);
	EXPECT_EQ(0, vfio_user_serve(self->c));
}

TEST_F(serve, several_are_answered_in_order)
{
	uint16_t i;

	MAP(IOVA, self->mem, RW);
	for (i = 0; i < 20; i++)
		ask(self->asks, i, VFIO_USER_DMA_WRITE, IOVA + i, 1, "x");
	EXPECT_EQ(20, vfio_user_serve(self->c));
	for (i = 0; i < 20; i++)
		EXPECT_ANSWER(i, 0);
	EXPECT_EQ(0, memcmp(self->mem, "xxxxxxxxxxxxxxxxxxxx", 21));
}

/* The reply comes behind the requests, or before them on another socket. */
TEST_F(serve, requests_are_answered_while_a_reply_is_due)
{
	MAP(IOVA, self->mem, RW);
	ask(self->asks, 9, VFIO_USER_DMA_WRITE, IOVA, 2, "ab");
	ask(self->asks, 10, VFIO_USER_DMA_READ, IOVA, 2, NULL);
	put(&self->server, ++self->last_id, VFIO_USER_DEVICE_RESET,
	    VFIO_USER_TYPE_REPLY, NULL, 0);
	EXPECT_EQ(0, vfio_user_reset(self->c));
	EXPECT_EQ(0, memcmp(self->mem, "ab", 2));
	/* On the main socket the answers wait to be sent with what comes. */
	EXPECT_EQ(0, vfio_user_serve(self->c));
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	EXPECT_EQ(VFIO_USER_DEVICE_RESET, self->m.header.command);
	EXPECT_ANSWER(9, 0);
	EXPECT_EQ(16, self->m.len);
	EXPECT_ANSWER(10, 0);
	EXPECT_EQ(18, self->m.len);
}

/* As many as it takes: only those that are refused are limited. */
TEST_F(serve, requests_without_number_are_answered_while_a_reply_is_due)
{
	int i;

	MAP(IOVA, self->mem, RW);
	for (i = 0; i < 100; i++)
		ask(self->asks, i, VFIO_USER_DMA_WRITE, IOVA + i, 1, "x");
	put(&self->server, ++self->last_id, VFIO_USER_DEVICE_RESET,
	    VFIO_USER_TYPE_REPLY, NULL, 0);
	EXPECT_EQ(0, vfio_user_reset(self->c));
	EXPECT_EQ('x', self->mem[99]);
}

TEST_F(serve, refusals_without_number_are_a_violation)
{
	int i;

	MAP(IOVA, self->mem, RW);
	for (i = 0; i < 100; i++)
		ask(self->asks, i, VFIO_USER_DMA_READ, 0, 1, NULL);
	EXPECT_EQ(-EPROTO, vfio_user_reset(self->c));
	EXPECT_EQ(-EPROTO, vfio_user_serve(self->c));
}

TEST_F(serve, what_is_not_mapped_is_efault)
{
	static const struct {
		uint64_t address;
		uint64_t count;
	} ranges[] = {
		{ IOVA - 1, 1 }, { IOVA - 1, 2 }, { IOVA + SIZE, 1 },
		{ IOVA + SIZE - 1, 2 }, { IOVA, SIZE + 1 }, { 0, 1 },
		{ UINT64_MAX, 1 }, { IOVA + SIZE + SIZE, 1 },
		{ IOVA - 1, SIZE + 2 },
	};
	unsigned int i;

	MAP(IOVA, self->mem, RW);
	MAP(IOVA + 4 * SIZE, self->other, RW);
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		ask(self->asks, i, VFIO_USER_DMA_READ, ranges[i].address,
		    ranges[i].count, NULL);
		EXPECT_EQ(1, vfio_user_serve(self->c));
		EXPECT_ANSWER(i, EFAULT);
	}
}

TEST_F(serve, malformed_requests_are_einval)
{
	struct vfio_user_dma_access a = { IOVA, 10 };
	uint8_t write[sizeof(a) + 9];

	MAP(IOVA, self->mem, RW);
	put(self->asks, 1, VFIO_USER_DMA_READ, 0, &a, sizeof(a) - 1);
	put(self->asks, 2, VFIO_USER_DMA_WRITE, 0, &a, sizeof(a) - 1);
	memcpy(write, &a, sizeof(a));
	memset(write + sizeof(a), 'x', 9);
	put(self->asks, 3, VFIO_USER_DMA_WRITE, 0, write, sizeof(write));
	a.count = (1 << 20) + 1;
	put(self->asks, 4, VFIO_USER_DMA_READ, 0, &a, sizeof(a));
	a.count = UINT64_MAX;
	put(self->asks, 5, VFIO_USER_DMA_WRITE, 0, &a, sizeof(a));
	EXPECT_EQ(5, vfio_user_serve(self->c));
	EXPECT_ANSWER(1, EINVAL);
	EXPECT_ANSWER(2, EINVAL);
	EXPECT_ANSWER(3, EINVAL);
	EXPECT_ANSWER(4, EINVAL);
	EXPECT_ANSWER(5, EINVAL);
	EXPECT_EQ(0, self->mem[0]);
}

TEST_F(serve, map_allows_only_what_its_flags_say)
{
	MAP(IOVA, self->mem, VFIO_USER_DMA_MAP_READ);
	MAP(IOVA + SIZE, self->other, VFIO_USER_DMA_MAP_WRITE);
	ask(self->asks, 1, VFIO_USER_DMA_READ, IOVA, 1, NULL);
	ask(self->asks, 2, VFIO_USER_DMA_WRITE, IOVA, 1, "x");
	ask(self->asks, 3, VFIO_USER_DMA_READ, IOVA + SIZE, 1, NULL);
	ask(self->asks, 4, VFIO_USER_DMA_WRITE, IOVA + SIZE, 1, "x");
	EXPECT_EQ(4, vfio_user_serve(self->c));
	EXPECT_ANSWER(1, 0);
	EXPECT_ANSWER(2, EACCES);
	EXPECT_ANSWER(3, EACCES);
	EXPECT_ANSWER(4, 0);
	EXPECT_EQ(0, self->mem[0]);
	EXPECT_EQ('x', self->other[0]);
}

TEST_F(serve, other_commands_are_eopnotsupp)
{
	MAP(IOVA, self->mem, RW);
	ask(self->asks, 1, VFIO_USER_REGION_READ, IOVA, 1, NULL);
	EXPECT_EQ(1, vfio_user_serve(self->c));
	EXPECT_ANSWER(1, EOPNOTSUPP);
}

TEST_F(serve, no_reply_is_sent_to_those_who_want_none)
{
	const struct vfio_user_dma_access a = { IOVA, 1 };
	uint8_t write[sizeof(a) + 1];

	MAP(IOVA, self->mem, RW);
	memcpy(write, &a, sizeof(a));
	write[sizeof(a)] = 'x';
	put(self->asks, 1, VFIO_USER_DMA_WRITE, VFIO_USER_FLAG_NO_REPLY, write,
	    sizeof(write));
	put(self->asks, 2, VFIO_USER_DMA_WRITE, VFIO_USER_FLAG_NO_REPLY, &a,
	    sizeof(a));
	ask(self->asks, 3, VFIO_USER_DMA_READ, IOVA, 1, NULL);
	EXPECT_EQ(3, vfio_user_serve(self->c));
	EXPECT_EQ('x', self->mem[0]);
	EXPECT_ANSWER(3, 0);
}

TEST_F(serve, maps_are_found_among_many)
{
	static uint8_t many[64][SIZE];
	int i, n;

	for (i = 0; i < 64; i++) {
		n = (i * 37) % 64;
		MAP(IOVA + n * 2 * SIZE, many[n], RW);
	}
	for (i = 0; i < 64; i++)
		ask(self->asks, i, VFIO_USER_DMA_WRITE,
		    IOVA + i * 2 * SIZE + i, 1, "x");
	EXPECT_EQ(64, vfio_user_serve(self->c));
	for (i = 0; i < 64; i++)
		EXPECT_EQ('x', many[i][i]);
}

TEST_F(serve, ranges_that_cannot_be_are_refused_before_anything_is_sent)
{
	uint64_t sent;

	MAP(IOVA, self->mem, RW);
	sent = vfio_user_messages_sent(self->c);
	EXPECT_EQ(-EINVAL, vfio_user_dma_map_shadow(self->c, IOVA, 0,
						    self->other, RW));
	EXPECT_EQ(-EINVAL, vfio_user_dma_map_shadow(self->c, UINT64_MAX, 2,
						    self->other, RW));
	EXPECT_EQ(-EEXIST, vfio_user_dma_map_shadow(self->c, IOVA + SIZE - 1,
						    SIZE, self->other, RW));
	EXPECT_EQ(-EEXIST, vfio_user_dma_map_shadow(self->c, IOVA - 1, 2,
						    self->other, RW));
	EXPECT_EQ(-EEXIST, vfio_user_dma_map_shadow(self->c, 0, 4 * IOVA,
						    self->other, RW));
	EXPECT_EQ(sent, vfio_user_messages_sent(self->c));
}

TEST_F(serve, map_that_is_refused_is_not_served)
{
	struct vfio_user_header refusal = {
		.id = ++self->last_id,
		.command = VFIO_USER_DMA_MAP,
		.size = sizeof(refusal),
		.flags = ERROR,
		.error = ENOMEM,
	};

	ASSERT_EQ(sizeof(refusal), send(self->server.fd, &refusal,
					sizeof(refusal), 0));
	EXPECT_EQ(-ENOMEM, vfio_user_dma_map_shadow(self->c, IOVA, SIZE,
						    self->mem, RW));
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	MAP(IOVA + SIZE, self->other, RW);
	ask(self->asks, 1, VFIO_USER_DMA_READ, IOVA, 1, NULL);
	EXPECT_EQ(1, vfio_user_serve(self->c));
	EXPECT_ANSWER(1, EFAULT);
}

TEST_F(serve, memory_is_served_until_it_is_unmapped)
{
	struct vfio_user_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.address = IOVA,
		.size = SIZE,
	};

	MAP(IOVA, self->mem, RW);
	MAP(IOVA + SIZE, self->other, RW);
	ask(self->asks, 8, VFIO_USER_DMA_WRITE, IOVA, 1, "x");
	put(&self->server, ++self->last_id, VFIO_USER_DMA_UNMAP,
	    VFIO_USER_TYPE_REPLY, &unmap, sizeof(unmap));
	ASSERT_EQ(0, vfio_user_dma_unmap(self->c, IOVA, SIZE));
	EXPECT_EQ('x', self->mem[0]);
	ask(self->asks, 9, VFIO_USER_DMA_WRITE, IOVA, 1, "y");
	ask(self->asks, 10, VFIO_USER_DMA_WRITE, IOVA + SIZE, 1, "z");
	EXPECT_EQ(2, vfio_user_serve(self->c));
	EXPECT_EQ('x', self->mem[0]);
	EXPECT_EQ('z', self->other[0]);

	unmap = (struct vfio_user_dma_unmap){
		.argsz = sizeof(unmap),
		.flags = VFIO_USER_DMA_UNMAP_ALL,
	};
	put(&self->server, ++self->last_id, VFIO_USER_DMA_UNMAP,
	    VFIO_USER_TYPE_REPLY, &unmap, sizeof(unmap));
	ASSERT_EQ(0, vfio_user_dma_unmap_all(self->c));
	ask(self->asks, 11, VFIO_USER_DMA_WRITE, IOVA + SIZE, 1, "y");
	EXPECT_EQ(1, vfio_user_serve(self->c));
	EXPECT_EQ('z', self->other[0]);
}

TEST_F(serve, reply_that_nothing_waits_for_is_a_violation)
{
	put(self->asks, 1, VFIO_USER_DEVICE_RESET, VFIO_USER_TYPE_REPLY, NULL,
	    0);
	EXPECT_EQ(-EPROTO, vfio_user_serve(self->c));
	EXPECT_EQ(-EPROTO, vfio_user_reset(self->c));
}

TEST_F(serve, server_that_is_gone_is_econnreset)
{
	shutdown(self->server.fd, SHUT_RDWR);
	EXPECT_EQ(-ECONNRESET, vfio_user_serve(self->c));
}

TEST_F(serve, server_that_is_silent_is_etimedout)
{
	EXPECT_EQ(-ETIMEDOUT, vfio_user_reset(self->c));
}

TEST_F(serve, twin_socket_is_known)
{
	int fd = vfio_user_client_twin_fd(self->c);

	EXPECT_EQ(variant->twin, fd >= 0);
	ASSERT_EQ(1, send(self->twin.fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) <
		     0 || variant->twin);
}

/* What a client says that asks, and what it takes for an answer. */
static int negotiate(const struct vfio_user_client_opts *opts,
		     const char *caps, bool fd)
{
	struct vfio_user_client *c;
	int sv[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
		return -errno;
	put_version(sv[1], caps, fd ? sv[1] : -1);
	ret = vfio_user_connect_fd(sv[0], opts, &c);
	close(sv[1]);
	if (!ret)
		vfio_user_disconnect(c);
	return ret;
}

TEST(twin_socket_that_is_not_there_is_done_without)
{
	EXPECT_EQ(0, negotiate(&twins, "{}", false));
	EXPECT_EQ(0, negotiate(&twins, "{\"capabilities\":{\"twin_socket\":{\"supported\":false}}}",
			       false));
}

TEST(twin_socket_that_makes_no_sense_is_a_violation)
{
	static const char no_index[] =
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}";
	static const char wrong_index[] =
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":1}}}";

	EXPECT_EQ(-EPROTO, negotiate(&twins, with_twin, false));
	EXPECT_EQ(-EPROTO, negotiate(&twins, no_index, true));
	EXPECT_EQ(-EPROTO, negotiate(&twins, wrong_index, true));
	EXPECT_EQ(-EPROTO, negotiate(&twins, "{}", true));
	/* An fd that comes to who hasn't asked. */
	EXPECT_EQ(-EPROTO, negotiate(&plain, with_twin, true));
}

TEST_HARNESS_MAIN
