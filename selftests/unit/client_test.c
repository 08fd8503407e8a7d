// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client library against a server that says whatever a test wants.
 *
 * The client is synchronous and numbers its commands from 1 (VERSION), so the
 * server needs no thread: its replies are queued in the socket before the
 * client asks, and what the client sent is looked at afterwards. Whatever the
 * server does wrong must be noticed, must end the connection, and must leave
 * no fd behind.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "msg.h"
#include "tools/lib/client.h"

#include "kselftest_harness.h"

#define REPLY	VFIO_USER_TYPE_REPLY
#define ERROR	(VFIO_USER_TYPE_REPLY | VFIO_USER_FLAG_ERROR)

static const char version_reply[] =
	"\0\0\1\0{\"capabilities\":{\"max_msg_fds\":4,\"max_data_xfer_size\":16}}";

/* Fds of this process that are open; opendir()'s own is among them always. */
static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Queue bytes that begin with a header, and some fds. */
static void queue(int sock, const struct vfio_user_header *header,
		  const void *payload, size_t len, unsigned int nr_fds)
{
	int event = eventfd(0, 0);
	const int fds[] = { event, event, event, event };
	struct iovec iov[] = {
		{ (void *)header, sizeof(*header) },
		{ (void *)payload, len },
	};
	union {
		char buf[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };

	if (nr_fds) {
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, nr_fds * sizeof(int));
	}
	if (sendmsg(sock, &mh, MSG_NOSIGNAL) != sizeof(*header) + len)
		abort();
	close(event);
}

static void queue_reply(int sock, uint16_t id, uint16_t command,
			const void *payload, size_t len, unsigned int nr_fds)
{
	const struct vfio_user_header header = {
		.id = id,
		.command = command,
		.size = sizeof(header) + len,
		.flags = REPLY,
	};

	queue(sock, &header, payload, len, nr_fds);
}

static void queue_error(int sock, uint16_t id, uint16_t command,
			uint32_t error, unsigned int nr_fds)
{
	const struct vfio_user_header header = {
		.id = id,
		.command = command,
		.size = sizeof(header),
		.flags = ERROR,
		.error = error,
	};

	queue(sock, &header, NULL, 0, nr_fds);
}

static const struct vfio_user_client_opts quick = { .timeout_ms = 50 };

/* Connect to a server that answers VERSION with these bytes. */
static int connect_to(const void *payload, size_t len, unsigned int nr_fds)
{
	struct vfio_user_client *c;
	int sv[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
		return -errno;
	queue_reply(sv[1], 1, VFIO_USER_VERSION, payload, len, nr_fds);
	ret = vfio_user_connect_fd(sv[0], &quick, &c);
	close(sv[1]);
	if (!ret)
		vfio_user_disconnect(c);
	return ret;
}

FIXTURE(client)
{
	struct vfio_user_client *c;
	struct msg_conn server;
	struct msg m;
	int sock;
	int fds_before;
};

FIXTURE_SETUP(client)
{
	int sv[2];

	self->fds_before = count_fds();
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	self->sock = sv[1];
	ASSERT_EQ(0, msg_conn_init(&self->server, sv[1], 65536, 0));
	queue_reply(sv[1], 1, VFIO_USER_VERSION, version_reply,
		    sizeof(version_reply), 0);
	ASSERT_EQ(0, vfio_user_connect_fd(sv[0], &quick, &self->c));
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	ASSERT_EQ(VFIO_USER_VERSION, self->m.header.command);
}

FIXTURE_TEARDOWN(client)
{
	vfio_user_disconnect(self->c);
	msg_conn_exit(&self->server);
	EXPECT_EQ(self->fds_before, count_fds());
}

/* After a violation nothing is sent any more, and every call fails. */
#define EXPECT_BROKEN(error) do {					\
	uint64_t sent = vfio_user_messages_sent(self->c);		\
									\
	EXPECT_EQ(error, vfio_user_reset(self->c));			\
	EXPECT_EQ(sent, vfio_user_messages_sent(self->c));		\
} while (0)

TEST(connect_passes_the_error_of_the_server_on)
{
	struct vfio_user_client *c;
	int before = count_fds(), sv[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	queue_error(sv[1], 1, VFIO_USER_VERSION, EBUSY, 0);
	EXPECT_EQ(-EBUSY, vfio_user_connect_fd(sv[0], &quick, &c));
	close(sv[1]);
	EXPECT_EQ(before, count_fds());
}

TEST(connect_reads_the_error_of_a_server_that_has_closed)
{
	struct vfio_user_client *c;
	int sv[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	queue_error(sv[1], 1, VFIO_USER_VERSION, EBUSY, 0);
	close(sv[1]);
	EXPECT_EQ(-EBUSY, vfio_user_connect_fd(sv[0], &quick, &c));
}

TEST(connect_to_a_server_that_closes)
{
	struct vfio_user_client *c;
	int sv[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	close(sv[1]);
	EXPECT_EQ(-ECONNRESET, vfio_user_connect_fd(sv[0], &quick, &c));
}

TEST(connect_to_a_server_that_is_silent)
{
	struct vfio_user_client *c;
	int sv[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	EXPECT_EQ(-ETIMEDOUT, vfio_user_connect_fd(sv[0], &quick, &c));
	close(sv[1]);
}

TEST(connect_refuses_a_path_that_is_too_long)
{
	struct vfio_user_client *c;
	char path[109];

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	EXPECT_EQ(-ENAMETOOLONG, vfio_user_connect(path, NULL, &c));
	path[sizeof(path) - 2] = '\0';
	EXPECT_EQ(-ENOENT, vfio_user_connect(path, NULL, &c));
}

TEST(version_that_was_not_proposed_is_refused)
{
	EXPECT_EQ(0, connect_to("\0\0\1\0", 4, 0));
	EXPECT_EQ(0, connect_to("\0\0\0\0", 4, 0));
	EXPECT_EQ(-EPROTO, connect_to("\0\0\2\0", 4, 0));
	EXPECT_EQ(-EPROTO, connect_to("\1\0\1\0", 4, 0));
	EXPECT_EQ(-EPROTO, connect_to("\0\0\1", 3, 0));
}

TEST(version_with_malformed_capabilities_is_refused)
{
	EXPECT_EQ(-EPROTO, connect_to("\0\0\1\0{}", 6, 0));
	EXPECT_EQ(-EPROTO, connect_to("\0\0\1\0{", 6, 0));
	EXPECT_EQ(0, connect_to("\0\0\1\0{}", 7, 0));
}

TEST(version_with_fds_is_refused)
{
	int before = count_fds();

	EXPECT_EQ(-EPROTO, connect_to("\0\0\1\0", 4, 1));
	EXPECT_EQ(before, count_fds());
}

TEST_F(client, knows_what_the_server_said)
{
	EXPECT_EQ(1, vfio_user_server_version(self->c));
	EXPECT_EQ(4, vfio_user_server_caps(self->c)->max_msg_fds);
	EXPECT_EQ(16, vfio_user_server_caps(self->c)->max_data_xfer_size);
	EXPECT_EQ(1, vfio_user_messages_sent(self->c));
}

TEST_F(client, error_reply_is_an_answer)
{
	queue_error(self->sock, 2, VFIO_USER_DEVICE_RESET, ENOTTY, 0);
	queue_error(self->sock, 3, VFIO_USER_DEVICE_RESET, 0, 0);
	queue_error(self->sock, 4, VFIO_USER_DEVICE_RESET, 0xfffffffe, 0);
	queue_reply(self->sock, 5, VFIO_USER_DEVICE_RESET, NULL, 0, 0);
	EXPECT_EQ(-ENOTTY, vfio_user_reset(self->c));
	EXPECT_EQ(-EIO, vfio_user_reset(self->c));
	EXPECT_EQ(-EIO, vfio_user_reset(self->c));
	EXPECT_EQ(0, vfio_user_reset(self->c));
	EXPECT_EQ(5, vfio_user_messages_sent(self->c));
}

TEST_F(client, fds_of_an_error_reply_are_closed)
{
	int before = count_fds();

	queue_error(self->sock, 2, VFIO_USER_DEVICE_RESET, EIO, 3);
	EXPECT_EQ(-EIO, vfio_user_reset(self->c));
	EXPECT_EQ(before, count_fds());
}

TEST_F(client, fds_of_half_a_reply_are_closed)
{
	const struct vfio_user_header header = {
		.id = 2,
		.command = VFIO_USER_DEVICE_GET_REGION_INFO,
		.size = 4096,
		.flags = REPLY,
	};
	struct vfio_user_region_info *info, half = { 0 };
	int before = count_fds(), fd;

	queue(self->sock, &header, &half, sizeof(half), 2);
	EXPECT_EQ(-ETIMEDOUT, vfio_user_region_info(self->c, 0, &info, &fd));
	EXPECT_EQ(before, count_fds());
}

TEST_F(client, reply_to_another_id_is_a_violation)
{
	queue_reply(self->sock, 3, VFIO_USER_DEVICE_RESET, NULL, 0, 0);
	EXPECT_EQ(-EPROTO, vfio_user_reset(self->c));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, reply_to_another_command_is_a_violation)
{
	queue_reply(self->sock, 2, VFIO_USER_DMA_MAP, NULL, 0, 0);
	EXPECT_EQ(-EPROTO, vfio_user_reset(self->c));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, unknown_type_is_a_violation)
{
	const struct vfio_user_header header = {
		.id = 2,
		.command = VFIO_USER_DEVICE_RESET,
		.size = sizeof(header),
		.flags = 2,
	};

	queue(self->sock, &header, NULL, 0, 1);
	EXPECT_EQ(-EPROTO, vfio_user_reset(self->c));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, impossible_sizes_are_violations)
{
	struct vfio_user_header header = {
		.id = 2,
		.command = VFIO_USER_DEVICE_RESET,
		.size = UINT32_MAX,
		.flags = REPLY,
	};

	queue(self->sock, &header, NULL, 0, 1);
	EXPECT_EQ(-EPROTO, vfio_user_reset(self->c));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, size_below_the_header_is_a_violation)
{
	struct vfio_user_header header = {
		.id = 2,
		.command = VFIO_USER_DEVICE_RESET,
		.size = sizeof(header) - 1,
		.flags = REPLY,
	};

	queue(self->sock, &header, NULL, 0, 0);
	EXPECT_EQ(-EPROTO, vfio_user_reset(self->c));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, payload_where_none_belongs_is_a_violation)
{
	queue_reply(self->sock, 2, VFIO_USER_DEVICE_RESET, "x", 1, 0);
	EXPECT_EQ(-EPROTO, vfio_user_reset(self->c));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, fds_where_none_belong_are_a_violation)
{
	queue_reply(self->sock, 2, VFIO_USER_DEVICE_RESET, NULL, 0, 1);
	EXPECT_EQ(-EPROTO, vfio_user_reset(self->c));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, late_reply_breaks_the_connection)
{
	EXPECT_EQ(-ETIMEDOUT, vfio_user_reset(self->c));
	EXPECT_BROKEN(-ECONNRESET);
}

TEST_F(client, lost_connection_breaks_it)
{
	shutdown(self->sock, SHUT_RDWR);
	EXPECT_EQ(-ECONNRESET, vfio_user_reset(self->c));
	EXPECT_BROKEN(-ECONNRESET);
}

TEST_F(client, half_a_reply_breaks_the_connection)
{
	struct vfio_user_header header = {
		.id = 2,
		.command = VFIO_USER_DEVICE_RESET,
		.size = sizeof(header) + 8,
		.flags = REPLY,
	};

	queue(self->sock, &header, "1234", 4, 0);
	shutdown(self->sock, SHUT_WR);
	EXPECT_EQ(-ECONNRESET, vfio_user_reset(self->c));
	EXPECT_BROKEN(-ECONNRESET);
}

TEST_F(client, commands_of_the_server_are_refused)
{
	struct vfio_user_header header = {
		.id = 77,
		.command = VFIO_USER_DMA_READ,
		.size = sizeof(header),
	};

	queue(self->sock, &header, NULL, 0, 2);
	header.flags = VFIO_USER_FLAG_NO_REPLY;
	queue(self->sock, &header, NULL, 0, 0);
	queue_reply(self->sock, 2, VFIO_USER_DEVICE_RESET, NULL, 0, 0);
	queue_reply(self->sock, 3, VFIO_USER_DEVICE_RESET, NULL, 0, 0);
	EXPECT_EQ(0, vfio_user_reset(self->c));
	EXPECT_EQ(0, vfio_user_reset(self->c));

	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	EXPECT_EQ(2, self->m.header.id);
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	EXPECT_EQ(77, self->m.header.id);
	EXPECT_EQ(VFIO_USER_DMA_READ, self->m.header.command);
	EXPECT_EQ(ERROR, self->m.header.flags);
	EXPECT_EQ(EOPNOTSUPP, self->m.header.error);
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	EXPECT_EQ(3, self->m.header.id);
}

TEST_F(client, commands_of_the_server_without_end_are_a_violation)
{
	const struct vfio_user_header header = {
		.command = VFIO_USER_DMA_WRITE,
		.size = sizeof(header),
		.flags = VFIO_USER_FLAG_NO_REPLY,
	};
	int i;

	for (i = 0; i < 100; i++)
		queue(self->sock, &header, NULL, 0, 0);
	queue_reply(self->sock, 2, VFIO_USER_DEVICE_RESET, NULL, 0, 0);
	EXPECT_EQ(-EPROTO, vfio_user_reset(self->c));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, device_info)
{
	struct vfio_user_device_info info = { 16, 3, 9, 5 };

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_GET_INFO, &info,
		    sizeof(info), 0);
	memset(&info, 0, sizeof(info));
	ASSERT_EQ(0, vfio_user_device_info(self->c, &info));
	EXPECT_EQ(3, info.flags);
	EXPECT_EQ(9, info.num_regions);
	EXPECT_EQ(5, info.num_irqs);

	queue_reply(self->sock, 3, VFIO_USER_DEVICE_GET_INFO, &info, 15, 0);
	EXPECT_EQ(-EPROTO, vfio_user_device_info(self->c, &info));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, device_of_a_billion_regions_is_a_violation)
{
	struct vfio_user_device_info info = { 16, 3, 1u << 30, 5 };

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_GET_INFO, &info,
		    sizeof(info), 0);
	EXPECT_EQ(-EPROTO, vfio_user_device_info(self->c, &info));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, irq_info_of_another_index_is_a_violation)
{
	struct vfio_user_irq_info info = { 16, 1, 2, 8 };

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_GET_IRQ_INFO, &info,
		    sizeof(info), 0);
	queue_reply(self->sock, 3, VFIO_USER_DEVICE_GET_IRQ_INFO, &info,
		    sizeof(info), 0);
	ASSERT_EQ(0, vfio_user_irq_info(self->c, 2, &info));
	EXPECT_EQ(8, info.count);
	EXPECT_EQ(-EPROTO, vfio_user_irq_info(self->c, 1, &info));
	EXPECT_BROKEN(-EPROTO);
}

/* A region with a type and a sparse mmap capability of two areas. */
struct region {
	struct vfio_user_region_info info;
	struct vfio_user_cap_type type;
	struct vfio_user_cap_header sparse;
	uint32_t nr_areas;
	uint32_t reserved;
	struct vfio_user_sparse_area areas[2];
} __attribute__((packed));

#define TYPE_AT		offsetof(struct region, type)
#define SPARSE_AT	offsetof(struct region, sparse)

static const struct region good_region = {
	.info = {
		.argsz = sizeof(struct region),
		.flags = 0xf,
		.index = 2,
		.cap_offset = TYPE_AT,
		.size = 0x4000,
		.offset = 0x20000000000,
	},
	.type = {
		{ VFIO_USER_REGION_CAP_TYPE, 1, SPARSE_AT },
		.type = 5,
		.subtype = 6,
	},
	.sparse = { VFIO_USER_REGION_CAP_SPARSE_MMAP, 1, 0 },
	.nr_areas = 2,
	.areas = { { 0, 0x1000 }, { 0x3000, 0x1000 } },
};

/* Answer both questions about region 2, the second with @len and @nr_fds. */
static void queue_region(int sock, const struct region *r, size_t len,
			 unsigned int nr_fds)
{
	queue_reply(sock, 2, VFIO_USER_DEVICE_GET_REGION_INFO, r,
		    sizeof(r->info), nr_fds ? 1 : 0);
	queue_reply(sock, 3, VFIO_USER_DEVICE_GET_REGION_INFO, r, len, nr_fds);
}

static int region_of(struct vfio_user_client *c)
{
	struct vfio_user_region_info *info;
	int fd, ret;

	ret = vfio_user_region_info(c, 2, &info, &fd);
	if (!ret) {
		close_fd(&fd);
		free(info);
	}
	return ret;
}

TEST_F(client, region_info_is_asked_for_twice)
{
	const struct vfio_user_cap_sparse_mmap *sparse;
	struct vfio_user_region_info *info, ask;
	const struct vfio_user_cap_type *type;
	int fd = -1;

	queue_region(self->sock, &good_region, sizeof(good_region), 1);
	ASSERT_EQ(0, vfio_user_region_info(self->c, 2, &info, &fd));
	EXPECT_LE(0, fcntl(fd, F_GETFD));
	close(fd);
	EXPECT_EQ(0x4000, info->size);
	type = (const void *)vfio_user_region_cap(info,
			VFIO_USER_REGION_CAP_TYPE);
	ASSERT_NE(NULL, type);
	EXPECT_EQ(6, type->subtype);
	sparse = (const void *)vfio_user_region_cap(info,
			VFIO_USER_REGION_CAP_SPARSE_MMAP);
	ASSERT_NE(NULL, sparse);
	EXPECT_EQ(2, sparse->nr_areas);
	EXPECT_EQ(0x3000, sparse->areas[1].offset);
	EXPECT_EQ(NULL, vfio_user_region_cap(info,
					     VFIO_USER_REGION_CAP_MSIX_MAPPABLE));
	free(info);

	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	memcpy(&ask, self->m.payload, sizeof(ask));
	EXPECT_EQ(sizeof(ask), ask.argsz);
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	memcpy(&ask, self->m.payload, sizeof(ask));
	EXPECT_EQ(sizeof(good_region), ask.argsz);
}

TEST_F(client, region_without_capabilities_is_asked_for_once)
{
	struct region r = good_region;
	struct vfio_user_region_info *info;
	int fd = 99;

	r.info.argsz = sizeof(r.info);
	r.info.flags = 3;
	queue_reply(self->sock, 2, VFIO_USER_DEVICE_GET_REGION_INFO, &r,
		    sizeof(r.info), 0);
	ASSERT_EQ(0, vfio_user_region_info(self->c, 2, &info, &fd));
	EXPECT_EQ(-1, fd);
	EXPECT_EQ(NULL, vfio_user_region_cap(info, VFIO_USER_REGION_CAP_TYPE));
	EXPECT_EQ(2, vfio_user_messages_sent(self->c));
	free(info);
}

TEST_F(client, region_fd_that_is_not_wanted_is_closed)
{
	struct vfio_user_region_info *info;
	int before = count_fds();

	queue_region(self->sock, &good_region, sizeof(good_region), 1);
	ASSERT_EQ(0, vfio_user_region_info(self->c, 2, &info, NULL));
	EXPECT_EQ(before, count_fds());
	free(info);
}

/*
 * What a server may do to the description of a region. A field of zero leaves
 * the good one; each variant is one lie.
 */
FIXTURE(region)
{
	struct vfio_user_client *c;
	int sock;
	int fds_before;
};

FIXTURE_VARIANT(region)
{
	size_t at;
	uint32_t value;
	size_t len;
	unsigned int nr_fds;
};

#define LIE(field, is) { \
	.at = offsetof(struct region, field), \
	.value = is, \
	.len = sizeof(struct region), \
	.nr_fds = 1, \
}

FIXTURE_VARIANT_ADD(region, argsz_below_the_fixed_part)
	LIE(info.argsz, 31);
FIXTURE_VARIANT_ADD(region, argsz_without_bound)
	LIE(info.argsz, 1u << 30);
FIXTURE_VARIANT_ADD(region, argsz_above_what_came)
	LIE(info.argsz, sizeof(struct region) + 1);
FIXTURE_VARIANT_ADD(region, another_index)
	LIE(info.index, 3);
FIXTURE_VARIANT_ADD(region, cap_offset_inside_the_fixed_part)
	LIE(info.cap_offset, 8);
FIXTURE_VARIANT_ADD(region, cap_offset_outside)
	LIE(info.cap_offset, sizeof(struct region));
FIXTURE_VARIANT_ADD(region, cap_offset_near_the_end)
	LIE(info.cap_offset, sizeof(struct region) - 4);
FIXTURE_VARIANT_ADD(region, cap_offset_that_wraps)
	LIE(info.cap_offset, UINT32_MAX);
FIXTURE_VARIANT_ADD(region, chain_that_loops)
	LIE(type.header.next, TYPE_AT);
FIXTURE_VARIANT_ADD(region, chain_that_goes_back)
	LIE(sparse.next, TYPE_AT);
FIXTURE_VARIANT_ADD(region, chain_that_overlaps)
	LIE(type.header.next, TYPE_AT + 4);
FIXTURE_VARIANT_ADD(region, chain_that_leaves)
	LIE(type.header.next, UINT32_MAX - 3);
FIXTURE_VARIANT_ADD(region, one_area_too_many)
	LIE(nr_areas, 3);
FIXTURE_VARIANT_ADD(region, areas_that_wrap)
	LIE(nr_areas, 1u << 28);
FIXTURE_VARIANT_ADD(region, area_outside_the_region)
	LIE(areas[1].offset, 0x3001);
FIXTURE_VARIANT_ADD(region, size_that_is_negative)
	LIE(info.size, 0);
FIXTURE_VARIANT_ADD(region, offset_that_is_negative)
	LIE(info.offset, 0);

FIXTURE_VARIANT_ADD(region, no_fd_to_map) {
	.at = offsetof(struct region, info.index),
	.value = 2,
	.len = sizeof(struct region),
};

FIXTURE_VARIANT_ADD(region, two_fds_to_map) {
	.at = offsetof(struct region, info.index),
	.value = 2,
	.len = sizeof(struct region),
	.nr_fds = 2,
};

FIXTURE_VARIANT_ADD(region, fd_but_no_mmap) {
	.at = offsetof(struct region, info.flags),
	.value = 0xb,
	.len = sizeof(struct region),
	.nr_fds = 1,
};

FIXTURE_VARIANT_ADD(region, reply_cut_short) {
	.at = offsetof(struct region, info.index),
	.value = 2,
	.len = sizeof(struct vfio_user_region_info) - 1,
	.nr_fds = 1,
};

FIXTURE_VARIANT_ADD(region, reply_without_capabilities) {
	.at = offsetof(struct region, info.index),
	.value = 2,
	.len = sizeof(struct vfio_user_region_info),
	.nr_fds = 1,
};

FIXTURE_SETUP(region)
{
	int sv[2];

	self->fds_before = count_fds();
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	self->sock = sv[1];
	queue_reply(sv[1], 1, VFIO_USER_VERSION, version_reply,
		    sizeof(version_reply), 0);
	ASSERT_EQ(0, vfio_user_connect_fd(sv[0], &quick, &self->c));
}

FIXTURE_TEARDOWN(region)
{
	vfio_user_disconnect(self->c);
	close(self->sock);
	EXPECT_EQ(self->fds_before, count_fds());
}

TEST_F(region, lie_is_a_violation)
{
	struct region r = good_region;

	/* A 64-bit field gets its sign. */
	if (!variant->value)
		((uint8_t *)&r)[variant->at + 7] = 0x80;
	else
		memcpy((uint8_t *)&r + variant->at, &variant->value,
		       sizeof(variant->value));
	queue_region(self->sock, &r, variant->len, variant->nr_fds);
	EXPECT_EQ(-EPROTO, region_of(self->c));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, region_argsz_without_bound_is_not_asked_for)
{
	struct region r = good_region;

	r.info.argsz = 64 * 1024 + 1;
	queue_region(self->sock, &r, sizeof(r), 1);
	EXPECT_EQ(-EPROTO, region_of(self->c));
	EXPECT_EQ(2, vfio_user_messages_sent(self->c));
}

struct expected_irqs {
	uint32_t start;
	uint32_t count;
	unsigned int nr_fds;
};

TEST_F(client, rule24_vectors_are_split_by_max_msg_fds_and_runs)
{
	static const struct expected_irqs expected[] = {
		{ 10, 4, 4 }, { 14, 2, 2 }, { 16, 5, 0 }, { 21, 1, 1 },
	};
	const int fd = self->sock;
	const int fds[] = {
		fd, fd, fd, fd, fd, fd, -1, -1, -1, -1, -1, fd,
	};
	struct vfio_user_irq_set set;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(expected); i++)
		queue_reply(self->sock, 2 + i, VFIO_USER_DEVICE_SET_IRQS,
			    NULL, 0, 0);
	EXPECT_EQ(0, vfio_user_irq_set(self->c, 0x24, 2, 10, ARRAY_SIZE(fds),
				       fds));

	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		ASSERT_EQ(1, msg_recv(&self->server, &self->m));
		ASSERT_EQ(sizeof(set), self->m.len);
		memcpy(&set, self->m.payload, sizeof(set));
		EXPECT_EQ(sizeof(set), set.argsz);
		EXPECT_EQ(0x24, set.flags);
		EXPECT_EQ(2, set.index);
		EXPECT_EQ(expected[i].start, set.start);
		EXPECT_EQ(expected[i].count, set.count);
		EXPECT_EQ(expected[i].nr_fds, self->m.nr_fds);
		msg_close_fds(&self->m);
	}
	EXPECT_EQ(1 + i, vfio_user_messages_sent(self->c));
}

TEST_F(client, rule24_splitting_stops_at_an_error)
{
	const int fd = self->sock;
	const int fds[] = { fd, fd, fd, fd, fd, fd };

	queue_error(self->sock, 2, VFIO_USER_DEVICE_SET_IRQS, EINVAL, 0);
	EXPECT_EQ(-EINVAL, vfio_user_irq_set(self->c, 0x24, 2, 0, 6, fds));
	EXPECT_EQ(2, vfio_user_messages_sent(self->c));
	EXPECT_EQ(-EINVAL, vfio_user_irq_set(self->c, 0x24, 2, UINT32_MAX, 2,
					     fds));
	EXPECT_EQ(2, vfio_user_messages_sent(self->c));
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	EXPECT_EQ(4, self->m.nr_fds);
	msg_close_fds(&self->m);
}

TEST_F(client, rule24_booleans_go_as_bytes)
{
	static const uint8_t bools[] = { 1, 0, 1 };
	struct vfio_user_irq_set set;

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_SET_IRQS, NULL, 0, 0);
	EXPECT_EQ(0, vfio_user_irq_set(self->c, 0x22, 2, 7, 3, bools));
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	ASSERT_EQ(sizeof(set) + sizeof(bools), self->m.len);
	memcpy(&set, self->m.payload, sizeof(set));
	EXPECT_EQ(sizeof(set) + sizeof(bools), set.argsz);
	EXPECT_EQ(0, memcmp(bools, self->m.payload + sizeof(set),
			    sizeof(bools)));
}

TEST_F(client, bad_fd_of_the_caller_breaks_nothing)
{
	queue_reply(self->sock, 3, VFIO_USER_DEVICE_RESET, NULL, 0, 0);
	EXPECT_EQ(-EBADF, vfio_user_dma_map(self->c, 0, 4096, 1000, 0, 3));
	EXPECT_EQ(0, vfio_user_reset(self->c));
	EXPECT_EQ(2, vfio_user_messages_sent(self->c));
}

struct access {
	struct vfio_user_region_access a;
	char data[16];
} __attribute__((packed));

TEST_F(client, rule11_reads_are_split_by_max_data_xfer_size)
{
	struct access first = { { 100, 7, 16 }, "0123456789abcdef" };
	struct access second = { { 116, 7, 4 }, "ghij" };
	struct vfio_user_region_access ask;
	char buf[20];

	queue_reply(self->sock, 2, VFIO_USER_REGION_READ, &first,
		    sizeof(first), 0);
	queue_reply(self->sock, 3, VFIO_USER_REGION_READ, &second,
		    sizeof(second.a) + 4, 0);
	ASSERT_EQ(20, vfio_user_region_read(self->c, 7, 100, buf, 20));
	EXPECT_EQ(0, memcmp("0123456789abcdefghij", buf, 20));

	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	memcpy(&ask, self->m.payload, sizeof(ask));
	EXPECT_EQ(16, ask.count);
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	memcpy(&ask, self->m.payload, sizeof(ask));
	EXPECT_EQ(116, ask.offset);
	EXPECT_EQ(4, ask.count);
}

TEST_F(client, short_read_is_short)
{
	struct access r = { { 0, 0, 3 }, "abc" };
	char buf[20];

	queue_reply(self->sock, 2, VFIO_USER_REGION_READ, &r,
		    sizeof(r.a) + 3, 0);
	EXPECT_EQ(3, vfio_user_region_read(self->c, 0, 0, buf, 20));
	EXPECT_EQ(2, vfio_user_messages_sent(self->c));
}

TEST_F(client, read_of_more_than_was_asked_is_a_violation)
{
	struct access r = { { 0, 0, 16 }, "0123456789abcdef" };
	char buf[8];

	queue_reply(self->sock, 2, VFIO_USER_REGION_READ, &r, sizeof(r), 0);
	EXPECT_EQ(-EPROTO, vfio_user_region_read(self->c, 0, 0, buf, 8));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, read_without_its_data_is_a_violation)
{
	struct access r = { { 0, 0, 8 }, "01234567" };
	char buf[8];

	queue_reply(self->sock, 2, VFIO_USER_REGION_READ, &r,
		    sizeof(r.a) + 7, 0);
	EXPECT_EQ(-EPROTO, vfio_user_region_read(self->c, 0, 0, buf, 8));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, writes_are_split_and_counted)
{
	struct vfio_user_region_access r = { 0, 1, 16 };
	static const char data[20] = "0123456789abcdefghi";

	queue_reply(self->sock, 2, VFIO_USER_REGION_WRITE, &r, sizeof(r), 0);
	r.offset = 16;
	r.count = 4;
	queue_reply(self->sock, 3, VFIO_USER_REGION_WRITE, &r, sizeof(r), 0);
	EXPECT_EQ(20, vfio_user_region_write(self->c, 1, 0, data, 20));
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	ASSERT_EQ(sizeof(r) + 16, self->m.len);
	EXPECT_EQ(0, memcmp(data, self->m.payload + sizeof(r), 16));
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	ASSERT_EQ(sizeof(r) + 4, self->m.len);
	EXPECT_EQ(0, memcmp(data + 16, self->m.payload + sizeof(r), 4));
}

TEST_F(client, unmap_of_something_else_is_a_violation)
{
	struct vfio_user_dma_unmap r = { 24, 0, 0x1000, 0x1000 };

	queue_reply(self->sock, 2, VFIO_USER_DMA_UNMAP, &r, sizeof(r), 0);
	queue_reply(self->sock, 3, VFIO_USER_DMA_UNMAP, &r, sizeof(r), 0);
	EXPECT_EQ(0, vfio_user_dma_unmap(self->c, 0x1000, 0x1000));
	EXPECT_EQ(-EPROTO, vfio_user_dma_unmap(self->c, 0x1000, 0x2000));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, request_gives_fds_away_and_closes_what_has_no_room)
{
	int before = count_fds(), fds[2];
	unsigned int nr = 2;
	char reply[4];

	queue_reply(self->sock, 2, 99, "abcd", 4, 1);
	queue_reply(self->sock, 3, 99, "abcde", 5, 1);
	queue_reply(self->sock, 4, 99, "", 0, 1);
	queue_reply(self->sock, 5, 99, "", 0, 2);

	EXPECT_EQ(4, vfio_user_request(self->c, 99, NULL, 0, NULL, 0, reply, 4,
				       fds, &nr));
	EXPECT_EQ(1, nr);
	EXPECT_EQ(-1, fds[1]);
	EXPECT_EQ(0, close(fds[0]));
	nr = 2;
	EXPECT_EQ(-EMSGSIZE, vfio_user_request(self->c, 99, NULL, 0, NULL, 0,
					       reply, 4, fds, &nr));
	EXPECT_EQ(0, nr);
	EXPECT_EQ(0, vfio_user_request(self->c, 99, NULL, 0, NULL, 0, NULL, 0,
				       NULL, NULL));
	nr = 1;
	EXPECT_EQ(-EPROTO, vfio_user_request(self->c, 99, NULL, 0, NULL, 0,
					     NULL, 0, fds, &nr));
	EXPECT_BROKEN(-EPROTO);
	EXPECT_EQ(before, count_fds());
}

TEST_F(client, request_that_is_too_large_breaks_nothing)
{
	struct iovec huge = { "", SIZE_MAX };

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_RESET, NULL, 0, 0);
	EXPECT_EQ(-EMSGSIZE, vfio_user_request(self->c, 99, &huge, 1, NULL, 0,
					       NULL, 0, NULL, NULL));
	EXPECT_EQ(0, vfio_user_reset(self->c));
}

static const char multi_reply[] =
	"\0\0\1\0{\"capabilities\":{\"max_data_xfer_size\":50,\"write_multiple\":true}}";

/* The client again, of a server that takes two writes in one message. */
static int connect_multi(struct vfio_user_client **c)
{
	int sv[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
		return -errno;
	queue_reply(sv[1], 1, VFIO_USER_VERSION, multi_reply,
		    sizeof(multi_reply), 0);
	ret = vfio_user_connect_fd(sv[0], &quick, c);
	return ret ? ret : sv[1];
}

static const struct vfio_user_write_one writes[5] = {
	{ 0, 1, 4, "aaaa" }, { 4, 1, 4, "bbbb" }, { 8, 1, 8, "cccccccc" },
	{ 16, 1, 1, "d" }, { 18, 1, 2, "ee" },
};

TEST(rule22_writes_go_several_in_a_message)
{
	const uint64_t two = 2, one = 1;
	struct vfio_user_client *c;
	struct msg_conn server;
	struct msg m;
	int sock = connect_multi(&c), i;

	ASSERT_LE(0, sock);
	queue_reply(sock, 2, VFIO_USER_REGION_WRITE_MULTI, &two, 8, 0);
	queue_reply(sock, 3, VFIO_USER_REGION_WRITE_MULTI, &two, 8, 0);
	queue_reply(sock, 4, VFIO_USER_REGION_WRITE_MULTI, &one, 8, 0);
	EXPECT_EQ(5, vfio_user_region_write_multi(c, writes, 5));

	ASSERT_EQ(0, msg_conn_init(&server, sock, 65536, 0));
	ASSERT_EQ(1, msg_recv(&server, &m));
	for (i = 0; i < 5; i += 2) {
		uint64_t nr = i < 4 ? 2 : 1;

		ASSERT_EQ(1, msg_recv(&server, &m));
		ASSERT_EQ(8 + nr * sizeof(writes[0]), m.len);
		EXPECT_EQ(0, memcmp(&nr, m.payload, 8));
		EXPECT_EQ(0, memcmp(&writes[i], (char *)m.payload + 8,
				    nr * sizeof(writes[0])));
	}
	vfio_user_disconnect(c);
	msg_conn_exit(&server);
}

TEST(rule22_writes_stop_at_the_first_that_fails)
{
	const uint64_t one = 1, two = 2;
	struct vfio_user_client *c;
	int sock = connect_multi(&c);

	ASSERT_LE(0, sock);
	queue_reply(sock, 2, VFIO_USER_REGION_WRITE_MULTI, &two, 8, 0);
	queue_reply(sock, 3, VFIO_USER_REGION_WRITE_MULTI, &one, 8, 0);
	queue_reply(sock, 4, VFIO_USER_REGION_WRITE_MULTI, &two, 8, 0);
	queue_error(sock, 5, VFIO_USER_REGION_WRITE_MULTI, EIO, 0);
	queue_error(sock, 6, VFIO_USER_REGION_WRITE_MULTI, EIO, 0);
	EXPECT_EQ(3, vfio_user_region_write_multi(c, writes, 5));
	EXPECT_EQ(2, vfio_user_region_write_multi(c, writes, 5));
	EXPECT_EQ(-EIO, vfio_user_region_write_multi(c, writes, 5));
	vfio_user_disconnect(c);
	close(sock);
}

TEST(rule22_more_writes_than_were_asked_for_are_a_violation)
{
	struct vfio_user_client *c;
	const uint64_t three = 3;
	int sock = connect_multi(&c);

	ASSERT_LE(0, sock);
	queue_reply(sock, 2, VFIO_USER_REGION_WRITE_MULTI, &three, 8, 0);
	EXPECT_EQ(-EPROTO, vfio_user_region_write_multi(c, writes, 5));
	EXPECT_EQ(-EPROTO, vfio_user_reset(c));
	vfio_user_disconnect(c);
	close(sock);
}

TEST_F(client, rule22_nothing_is_sent_that_the_server_does_not_know)
{
	EXPECT_EQ(-EOPNOTSUPP, vfio_user_region_write_multi(self->c, writes, 5));
	EXPECT_EQ(1, vfio_user_messages_sent(self->c));
}

struct doorbells {
	struct vfio_user_region_io_fds fixed;
	struct vfio_user_io_fd ios[3];
} __attribute__((packed));

#define DOORBELLS(nr) (sizeof(struct vfio_user_region_io_fds) + \
		       (nr) * sizeof(struct vfio_user_io_fd))

static const struct doorbells good_doorbells = {
	.fixed = { DOORBELLS(3), 0, 2, 3 },
	.ios = {
		{ .offset = 0x1000, .size = 4 },
		{ .offset = 0x1004, .size = 4, .fd_index = 1 },
		{ .offset = 0x1008, .size = 4, .fd_index = 1,
		  .flags = VFIO_USER_IO_FD_DATAMATCH, .datamatch = 7 },
	},
};

/* Answer both questions about the doorbells of region 2. */
static void queue_doorbells(int sock, const struct doorbells *d, size_t len,
			    unsigned int nr_fds)
{
	queue_reply(sock, 2, VFIO_USER_DEVICE_GET_REGION_IO_FDS, d,
		    sizeof(d->fixed), 0);
	queue_reply(sock, 3, VFIO_USER_DEVICE_GET_REGION_IO_FDS, d, len,
		    nr_fds);
}

TEST_F(client, rule23_doorbells_come_with_their_fds)
{
	struct vfio_user_region_io_fds ask;
	struct vfio_user_io_fds *io;
	int fd;

	queue_doorbells(self->sock, &good_doorbells, DOORBELLS(3), 2);
	ASSERT_EQ(0, vfio_user_region_io_fds(self->c, 2, &io));
	EXPECT_EQ(2, io->nr_fds);
	EXPECT_EQ(3, io->nr_ios);
	EXPECT_EQ(0x1004, io->ios[1].offset);
	EXPECT_EQ(7, io->ios[2].datamatch);
	fd = io->fds[0];
	io->fds[0] = -1;
	vfio_user_io_fds_free(io);
	EXPECT_EQ(0, close(fd));

	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	memcpy(&ask, self->m.payload, sizeof(ask));
	EXPECT_EQ(sizeof(ask), ask.argsz);
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	memcpy(&ask, self->m.payload, sizeof(ask));
	EXPECT_EQ(DOORBELLS(3), ask.argsz);
	EXPECT_EQ(2, ask.index);
}

TEST_F(client, rule23_no_doorbells_are_none)
{
	const struct vfio_user_region_io_fds none = { sizeof(none), 0, 2, 0 };
	struct vfio_user_io_fds *io;

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_GET_REGION_IO_FDS, &none,
		    sizeof(none), 0);
	ASSERT_EQ(0, vfio_user_region_io_fds(self->c, 2, &io));
	EXPECT_EQ(0, io->nr_fds);
	EXPECT_EQ(0, io->nr_ios);
	EXPECT_EQ(2, vfio_user_messages_sent(self->c));
	vfio_user_io_fds_free(io);
	vfio_user_io_fds_free(NULL);
}

/* What a server may do to the description of doorbells. */
FIXTURE(doorbells)
{
	struct vfio_user_client *c;
	int sock;
	int fds_before;
};

FIXTURE_VARIANT(doorbells)
{
	size_t at;
	uint32_t value;
	size_t len;
	unsigned int nr_fds;
};

#define DOORBELL_LIE(field, is, length, fds) { \
	.at = offsetof(struct doorbells, field), \
	.value = is, \
	.len = length, \
	.nr_fds = fds, \
}

FIXTURE_VARIANT_ADD(doorbells, argsz_below_the_count)
	DOORBELL_LIE(fixed.argsz, DOORBELLS(3) - 1, DOORBELLS(3), 2);
FIXTURE_VARIANT_ADD(doorbells, argsz_without_bound)
	DOORBELL_LIE(fixed.argsz, 1u << 30, DOORBELLS(3), 2);
FIXTURE_VARIANT_ADD(doorbells, count_without_bound)
	DOORBELL_LIE(fixed.count, 1u << 30, DOORBELLS(3), 2);
FIXTURE_VARIANT_ADD(doorbells, another_index)
	DOORBELL_LIE(fixed.index, 1, DOORBELLS(3), 2);
FIXTURE_VARIANT_ADD(doorbells, reply_cut_short)
	DOORBELL_LIE(fixed.index, 2, DOORBELLS(3) - 1, 2);
FIXTURE_VARIANT_ADD(doorbells, fd_that_did_not_come)
	DOORBELL_LIE(ios[1].fd_index, 2, DOORBELLS(3), 2);
FIXTURE_VARIANT_ADD(doorbells, no_fds)
	DOORBELL_LIE(fixed.index, 2, DOORBELLS(3), 0);
FIXTURE_VARIANT_ADD(doorbells, more_fds_than_doorbells)
	DOORBELL_LIE(fixed.index, 2, DOORBELLS(3), 4);
FIXTURE_VARIANT_ADD(doorbells, offset_that_wraps)
	DOORBELL_LIE(ios[2].offset, 0, DOORBELLS(3), 2);

FIXTURE_SETUP(doorbells)
{
	int sv[2];

	self->fds_before = count_fds();
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	self->sock = sv[1];
	queue_reply(sv[1], 1, VFIO_USER_VERSION, version_reply,
		    sizeof(version_reply), 0);
	ASSERT_EQ(0, vfio_user_connect_fd(sv[0], &quick, &self->c));
}

FIXTURE_TEARDOWN(doorbells)
{
	vfio_user_disconnect(self->c);
	close(self->sock);
	EXPECT_EQ(self->fds_before, count_fds());
}

TEST_F(doorbells, lie_is_a_violation)
{
	struct doorbells d = good_doorbells;
	struct vfio_user_io_fds *io;

	/* A 64-bit field gets all its bits. */
	if (!variant->value)
		memset((uint8_t *)&d + variant->at, 0xff, 8);
	else
		memcpy((uint8_t *)&d + variant->at, &variant->value,
		       sizeof(variant->value));
	queue_doorbells(self->sock, &d, variant->len, variant->nr_fds);
	EXPECT_EQ(-EPROTO, vfio_user_region_io_fds(self->c, 2, &io));
	EXPECT_BROKEN(-EPROTO);
}

struct feature {
	struct vfio_user_device_feature fixed;
	char data[16];
} __attribute__((packed));

#define GET_9	(VFIO_USER_FEATURE_GET | 9)

TEST_F(client, rule27_features_go_and_come)
{
	static const struct feature r = { { 16, GET_9 }, "12345678" };
	struct vfio_user_device_feature ask;
	char data[8];

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_FEATURE, &r, 16, 0);
	ASSERT_EQ(8, vfio_user_feature(self->c, GET_9, "abcd", 4, data, 8));
	EXPECT_EQ(0, memcmp("12345678", data, 8));
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	ASSERT_EQ(sizeof(ask) + 4, self->m.len);
	memcpy(&ask, self->m.payload, sizeof(ask));
	EXPECT_EQ(16, ask.argsz);
	EXPECT_EQ(GET_9, ask.flags);
	EXPECT_EQ(0, memcmp("abcd", self->m.payload + sizeof(ask), 4));
}

TEST_F(client, rule27_probe_has_no_data)
{
	struct vfio_user_device_feature r = {
		.argsz = 8,
		.flags = VFIO_USER_FEATURE_PROBE | 2,
	};

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_FEATURE, &r, 8, 0);
	queue_error(self->sock, 3, VFIO_USER_DEVICE_FEATURE, ENOTTY, 0);
	EXPECT_EQ(0, vfio_user_feature(self->c, r.flags, NULL, 0, NULL, 0));
	EXPECT_EQ(-ENOTTY, vfio_user_feature(self->c, r.flags, NULL, 0, NULL,
					     0));
}

TEST_F(client, rule27_data_that_has_no_room_is_missed_not_trusted)
{
	struct feature r = { { 24, GET_9 }, "0123456789abcdef" };
	char data[8];

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_FEATURE, &r, 8, 0);
	EXPECT_EQ(-ENOSPC, vfio_user_feature(self->c, GET_9, NULL, 0, data, 8));
	queue_reply(self->sock, 3, VFIO_USER_DEVICE_FEATURE, &r, 24, 0);
	EXPECT_EQ(-EPROTO, vfio_user_feature(self->c, GET_9, NULL, 0, data, 8));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, rule27_answer_for_another_feature_is_a_violation)
{
	struct feature r = { { 16, GET_9 + 1 }, "12345678" };
	char data[8];

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_FEATURE, &r, 16, 0);
	EXPECT_EQ(-EPROTO, vfio_user_feature(self->c, GET_9, NULL, 0, data, 8));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, rule27_feature_with_an_impossible_argsz_is_a_violation)
{
	struct feature r = { { 15, GET_9 }, "12345678" };
	char data[8];

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_FEATURE, &r, 16, 0);
	EXPECT_EQ(-EPROTO, vfio_user_feature(self->c, GET_9, NULL, 0, data, 8));
	EXPECT_BROKEN(-EPROTO);
}

#define GET_FLAGS	(VFIO_USER_FEATURE_GET | VFIO_USER_FEATURE_MIGRATION)
#define GET_STATE	(VFIO_USER_FEATURE_GET | \
			 VFIO_USER_FEATURE_MIG_DEVICE_STATE)
#define SET_STATE	(VFIO_USER_FEATURE_SET | \
			 VFIO_USER_FEATURE_MIG_DEVICE_STATE)

struct mig_state {
	struct vfio_user_device_feature fixed;
	struct vfio_user_feature_mig_state state;
} __attribute__((packed));

TEST_F(client, rule27_migration_flags)
{
	static const struct feature r = { { 16, GET_FLAGS }, "\5" };
	uint64_t flags = 0;

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_FEATURE, &r, 16, 0);
	queue_error(self->sock, 3, VFIO_USER_DEVICE_FEATURE, ENOTTY, 0);
	queue_error(self->sock, 4, VFIO_USER_DEVICE_FEATURE, EOPNOTSUPP, 0);
	queue_error(self->sock, 5, VFIO_USER_DEVICE_FEATURE, EIO, 0);
	EXPECT_EQ(0, vfio_user_migration_flags(self->c, &flags));
	EXPECT_EQ(5, flags);
	EXPECT_EQ(-ENOTTY, vfio_user_migration_flags(self->c, &flags));
	EXPECT_EQ(-ENOTTY, vfio_user_migration_flags(self->c, &flags));
	EXPECT_EQ(-EIO, vfio_user_migration_flags(self->c, &flags));
}

TEST_F(client, rule27_migration_flags_that_are_cut_are_a_violation)
{
	static const struct feature r = { { 15, GET_FLAGS }, "\5" };
	uint64_t flags;

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_FEATURE, &r, 15, 0);
	EXPECT_EQ(-EPROTO, vfio_user_migration_flags(self->c, &flags));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, rule27_migration_states)
{
	struct mig_state r = { { 16, SET_STATE }, { 6, -1 } }, ask;
	uint32_t state = 0;

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_FEATURE, &r, 16, 0);
	r.fixed.flags = GET_STATE;
	queue_reply(self->sock, 3, VFIO_USER_DEVICE_FEATURE, &r, 16, 0);
	queue_error(self->sock, 4, VFIO_USER_DEVICE_FEATURE, EINVAL, 0);
	EXPECT_EQ(0, vfio_user_migration_set_state(self->c, 6));
	EXPECT_EQ(0, vfio_user_migration_get_state(self->c, &state));
	EXPECT_EQ(6, state);
	EXPECT_EQ(-EINVAL, vfio_user_migration_set_state(self->c, 4));

	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	ASSERT_EQ(sizeof(ask), self->m.len);
	memcpy(&ask, self->m.payload, sizeof(ask));
	EXPECT_EQ(sizeof(ask), ask.fixed.argsz);
	EXPECT_EQ(SET_STATE, ask.fixed.flags);
	EXPECT_EQ(6, ask.state.device_state);
}

TEST_F(client, rule27_state_that_does_not_exist_is_a_violation)
{
	struct mig_state r = { { 16, GET_STATE }, { 8, -1 } };
	uint32_t state;

	queue_reply(self->sock, 2, VFIO_USER_DEVICE_FEATURE, &r, 16, 0);
	EXPECT_EQ(-EPROTO, vfio_user_migration_get_state(self->c, &state));
	EXPECT_BROKEN(-EPROTO);
}

struct mig_data {
	struct vfio_user_mig_data d;
	char data[16];
} __attribute__((packed));

TEST_F(client, rule27_stream_is_read_until_it_ends)
{
	struct mig_data first = { { 24, 16 }, "0123456789abcdef" };
	struct mig_data second = { { 12, 4 }, "ghij" };
	struct mig_data end = { { 8, 0 }, "" };
	struct vfio_user_mig_data ask;
	char buf[40];

	queue_reply(self->sock, 2, VFIO_USER_MIG_DATA_READ, &first, 24, 0);
	queue_reply(self->sock, 3, VFIO_USER_MIG_DATA_READ, &second, 12, 0);
	queue_reply(self->sock, 4, VFIO_USER_MIG_DATA_READ, &end, 8, 0);
	ASSERT_EQ(20, vfio_user_migration_read(self->c, buf, 40));
	EXPECT_EQ(0, memcmp("0123456789abcdefghij", buf, 20));
	EXPECT_EQ(3, vfio_user_messages_sent(self->c));
	EXPECT_EQ(0, vfio_user_migration_read(self->c, buf, 40));

	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	ASSERT_EQ(sizeof(ask), self->m.len);
	memcpy(&ask, self->m.payload, sizeof(ask));
	EXPECT_EQ(24, ask.argsz);
	EXPECT_EQ(16, ask.size);
}

TEST_F(client, rule27_more_stream_than_was_asked_for_is_a_violation)
{
	struct mig_data r = { { 24, 16 }, "0123456789abcdef" };
	char buf[8];

	queue_reply(self->sock, 2, VFIO_USER_MIG_DATA_READ, &r, 24, 0);
	EXPECT_EQ(-EPROTO, vfio_user_migration_read(self->c, buf, 8));
	EXPECT_BROKEN(-EPROTO);
}

TEST_F(client, rule27_stream_without_its_data_is_a_violation)
{
	struct mig_data r = { { 16, 8 }, "01234567" };
	char buf[8];

	queue_reply(self->sock, 2, VFIO_USER_MIG_DATA_READ, &r, 15, 0);
	EXPECT_EQ(-EPROTO, vfio_user_migration_read(self->c, buf, 8));
	EXPECT_BROKEN(-EPROTO);
}

/* As read(2): what has come first, and the error alone. */
TEST_F(client, rule27_what_came_before_an_error_is_not_lost)
{
	struct mig_data r = { { 24, 16 }, "0123456789abcdef" };
	struct mig_data rest = { { 12, 4 }, "ghij" };
	char buf[20];

	queue_reply(self->sock, 2, VFIO_USER_MIG_DATA_READ, &r, 24, 0);
	queue_error(self->sock, 3, VFIO_USER_MIG_DATA_READ, ENODEV, 0);
	queue_reply(self->sock, 4, VFIO_USER_MIG_DATA_READ, &rest, 12, 0);
	EXPECT_EQ(16, vfio_user_migration_read(self->c, buf, 20));
	EXPECT_EQ(0, memcmp("0123456789abcdef", buf, 16));
	EXPECT_EQ(3, vfio_user_messages_sent(self->c));
	EXPECT_EQ(-ENODEV, vfio_user_migration_read(self->c, buf, 20));
	EXPECT_EQ(3, vfio_user_messages_sent(self->c));
	EXPECT_EQ(4, vfio_user_migration_read(self->c, buf, 20));
	EXPECT_EQ(0, memcmp("ghij", buf, 4));
}

TEST_F(client, rule27_error_at_the_first_piece_is_told_at_once)
{
	struct mig_data r = { { 12, 4 }, "0123" };
	char buf[20];

	queue_error(self->sock, 2, VFIO_USER_MIG_DATA_READ, ENODEV, 0);
	queue_reply(self->sock, 3, VFIO_USER_MIG_DATA_READ, &r, 12, 0);
	EXPECT_EQ(-ENODEV, vfio_user_migration_read(self->c, buf, 20));
	EXPECT_EQ(4, vfio_user_migration_read(self->c, buf, 20));
}

/* Have an error to be told next time. */
static ssize_t read_half(int sock, struct vfio_user_client *c, uint16_t id)
{
	struct mig_data r = { { 24, 16 }, "0123456789abcdef" };
	char buf[20];

	queue_reply(sock, id, VFIO_USER_MIG_DATA_READ, &r, 24, 0);
	queue_error(sock, id + 1, VFIO_USER_MIG_DATA_READ, ENODEV, 0);
	return vfio_user_migration_read(c, buf, 20);
}

static int set_state(int sock, struct vfio_user_client *c, uint16_t id,
		     uint32_t state)
{
	struct mig_state r = { { 16, SET_STATE }, { state, -1 } };

	queue_reply(sock, id, VFIO_USER_DEVICE_FEATURE, &r, 16, 0);
	return vfio_user_migration_set_state(c, state);
}

/* It is of one stream, which goes on from PRE_COPY to STOP_COPY. */
TEST_F(client, rule27_error_ends_with_its_stream)
{
	struct mig_data r = { { 12, 4 }, "0123" };
	char buf[4];

	ASSERT_EQ(16, read_half(self->sock, self->c, 2));
	ASSERT_EQ(0, set_state(self->sock, self->c, 4,
			       VFIO_USER_STATE_STOP_COPY));
	EXPECT_EQ(-ENODEV, vfio_user_migration_read(self->c, buf, 4));

	ASSERT_EQ(16, read_half(self->sock, self->c, 5));
	ASSERT_EQ(0, set_state(self->sock, self->c, 7, VFIO_USER_STATE_STOP));
	queue_reply(self->sock, 8, VFIO_USER_MIG_DATA_READ, &r, 12, 0);
	EXPECT_EQ(4, vfio_user_migration_read(self->c, buf, 4));

	ASSERT_EQ(16, read_half(self->sock, self->c, 9));
	queue_reply(self->sock, 11, VFIO_USER_DEVICE_RESET, NULL, 0, 0);
	ASSERT_EQ(0, vfio_user_reset(self->c));
	queue_reply(self->sock, 12, VFIO_USER_MIG_DATA_READ, &r, 12, 0);
	EXPECT_EQ(4, vfio_user_migration_read(self->c, buf, 4));
}

TEST_F(client, rule27_stream_is_written_in_pieces)
{
	static const char data[20] = "0123456789abcdefghi";
	struct vfio_user_mig_data ask;

	queue_reply(self->sock, 2, VFIO_USER_MIG_DATA_WRITE, NULL, 0, 0);
	queue_reply(self->sock, 3, VFIO_USER_MIG_DATA_WRITE, NULL, 0, 0);
	queue_error(self->sock, 4, VFIO_USER_MIG_DATA_WRITE, ENOMEM, 0);
	EXPECT_EQ(0, vfio_user_migration_write(self->c, data, 20));
	EXPECT_EQ(-ENOMEM, vfio_user_migration_write(self->c, data, 20));

	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	ASSERT_EQ(sizeof(ask) + 16, self->m.len);
	memcpy(&ask, self->m.payload, sizeof(ask));
	EXPECT_EQ(24, ask.argsz);
	EXPECT_EQ(16, ask.size);
	EXPECT_EQ(0, memcmp(data, self->m.payload + sizeof(ask), 16));
	ASSERT_EQ(1, msg_recv(&self->server, &self->m));
	ASSERT_EQ(sizeof(ask) + 4, self->m.len);
	EXPECT_EQ(0, memcmp(data + 16, self->m.payload + sizeof(ask), 4));
}

TEST_HARNESS_MAIN
