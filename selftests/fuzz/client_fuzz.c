// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hostile server, for the client library.
 *
 * The input says which of the library's functions are called, one after the
 * other, and what the server answers to each. One process plays both sides:
 * the server's messages are written to the socket before the function that will
 * read them is called, because the library's ids and commands are known in
 * advance. A reply is right in all that the input doesn't make wrong: otherwise
 * nothing would get past the check of the header.
 *
 * Besides what the sanitizers find: no fd is left, and what client.h promises of
 * a region's description holds.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "log.h"
#include "tools/lib/internal.h"

#define MAX_PAYLOAD	2048
#define MAX_CALLS	64
#define MEMORY		0x4000

/* How a message of the server's differs from what it should be. */
#define WRONG_ID	(1u << 0)
#define WRONG_COMMAND	(1u << 1)
#define ERROR_REPLY	(1u << 2)
#define A_COMMAND	(1u << 3)
#define WRONG_SIZE	(1u << 4)
#define WITH_FDS	(1u << 5)
#define OTHER_FLAGS	(1u << 6)
#define LAST		(1u << 7)

static uint8_t memory[MEMORY] __attribute__((aligned(4096)));
static int some_fd;

static void server_send(int fd, const void *data, size_t len, unsigned int fds)
{
	char control[CMSG_SPACE(4 * sizeof(int))];
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	unsigned int i;

	if (fds) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(fds * sizeof(int));
		for (i = 0; i < fds; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &some_fd,
			       sizeof(int));
	}
	/* A socket that is full, or closed, is a server that says no more. */
	if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

/* One message; false if the server says nothing after it. */
static bool server_say(struct fuzz *f, int fd, uint16_t id, uint16_t command)
{
	uint8_t buf[sizeof(struct vfio_user_header) + MAX_PAYLOAD];
	struct vfio_user_header *header = (void *)buf;
	unsigned int how = fuzz_u8(f);
	size_t len = fuzz_u16(f) % (MAX_PAYLOAD + 1);

	*header = (struct vfio_user_header){
		.id = how & WRONG_ID ? fuzz_u16(f) : id,
		.command = how & WRONG_COMMAND ? fuzz_u8(f) : command,
		.size = sizeof(*header) + len,
		.flags = how & A_COMMAND ? VFIO_USER_TYPE_COMMAND :
					   VFIO_USER_TYPE_REPLY,
	};
	if (how & OTHER_FLAGS)
		header->flags ^= fuzz_u8(f);
	if (how & ERROR_REPLY) {
		header->flags |= VFIO_USER_FLAG_ERROR;
		header->error = fuzz_u16(f);
	}
	if (how & WRONG_SIZE)
		header->size = (uint32_t)fuzz_u16(f) << (fuzz_u8(f) % 17);
	fuzz_bytes(f, header + 1, len);
	server_send(fd, buf, sizeof(*header) + len,
		    how & WITH_FDS ? fuzz_u8(f) % 4 + 1 : 0);
	return !(how & LAST);
}

/*
 * What the server says to the library's next command, and after it. One that
 * says nothing hangs up, now and then without: to be waited for takes time.
 */
static void server_prepare(struct fuzz *f, int fd, uint16_t id,
			   uint16_t command)
{
	unsigned int nr = fuzz_u8(f), i;

	for (i = 0; i < nr % 4; i++) {
		if (!server_say(f, fd, id + i, command))
			shutdown(fd, SHUT_WR);
	}
	if (!(nr % 4) && nr != UINT8_MAX - 3)
		shutdown(fd, SHUT_WR);
}

/* What the library has sent is of no interest, but must not fill the socket. */
static void server_drain(int fd)
{
	static char buf[65536];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

/* Every capability and every area lies inside, says client.h. */
static void check_region(const struct vfio_user_region_info *info)
{
	const struct vfio_user_cap_sparse_mmap *sparse;
	const struct vfio_user_cap_header *cap;
	const char *end = (const char *)info + info->argsz;
	uint16_t id;

	for (id = 1; id <= 4; id++) {
		cap = vfio_user_region_cap(info, id);
		if (!cap)
			continue;
		fuzz_require((const char *)(cap + 1) <= end,
			     "a capability lies inside");
		if (id != VFIO_USER_REGION_CAP_SPARSE_MMAP)
			continue;
		sparse = (const void *)cap;
		fuzz_require((const char *)&sparse->areas[sparse->nr_areas] <=
			     end, "all sparse areas lie inside");
	}
}

static void call_region_info(struct vfio_user_client *c, uint32_t index)
{
	struct vfio_user_region_info *info;
	int fd = -1;

	if (vfio_user_region_info(c, index, &info, index & 1 ? &fd : NULL))
		return;
	check_region(info);
	free(info);
	close_fd(&fd);
}

static void call_io_fds(struct vfio_user_client *c, uint32_t index)
{
	struct vfio_user_io_fds *io;
	uint32_t i;

	if (vfio_user_region_io_fds(c, index, &io))
		return;
	for (i = 0; i < io->nr_ios; i++)
		fuzz_require(io->ios[i].fd_index < io->nr_fds,
			     "an eventfd's index is one that there is");
	vfio_user_io_fds_free(io);
}

static void call_write_multi(struct vfio_user_client *c, unsigned int nr)
{
	struct vfio_user_write_one writes[64] = { 0 };
	unsigned int i;
	ssize_t n;

	nr = nr % ARRAY_SIZE(writes) + 1;
	for (i = 0; i < nr; i++)
		writes[i].count = 4;
	n = vfio_user_region_write_multi(c, writes, nr);
	fuzz_require(n <= (ssize_t)nr, "no more writes done than asked for");
}

static void call_irq_set(struct vfio_user_client *c, unsigned int nr)
{
	int fds[64];
	unsigned int i;

	nr = nr % ARRAY_SIZE(fds);
	for (i = 0; i < nr; i++)
		fds[i] = i % 5 == 4 ? -1 : some_fd;
	vfio_user_irq_set(c, 1u << nr % 3 | VFIO_USER_IRQ_SET_ACTION_TRIGGER, 2,
			  0, nr, fds);
}

static void call_feature(struct vfio_user_client *c, unsigned int arg)
{
	uint8_t data[64] = { 0 };
	uint32_t state;
	uint64_t flags;

	switch (arg % 4) {
	case 0:
		vfio_user_migration_flags(c, &flags);
		break;
	case 1:
		vfio_user_migration_get_state(c, &state);
		break;
	case 2:
		vfio_user_migration_set_state(c, arg >> 4);
		break;
	default:
		vfio_user_feature(c, arg, data, arg >> 4, data, arg >> 3);
	}
}

static void call_transfer(struct vfio_user_client *c, unsigned int number,
			  unsigned int arg)
{
	static uint8_t data[4096];
	ssize_t n;

	switch (number) {
	case VFIO_USER_REGION_READ:
		n = vfio_user_region_read(c, 0, arg, data, arg * 16);
		break;
	case VFIO_USER_REGION_WRITE:
		n = vfio_user_region_write(c, 0, arg, data, arg * 16);
		break;
	case VFIO_USER_MIG_DATA_READ:
		n = vfio_user_migration_read(c, data, arg * 16);
		break;
	default:
		n = vfio_user_migration_write(c, data, arg * 16);
	}
	fuzz_require(n <= (ssize_t)arg * 16, "no more bytes than asked for");
}

/* Any command, with whatever comes back. */
static void call_request(struct vfio_user_client *c, unsigned int arg)
{
	struct vfio_user_device_info info = { .argsz = sizeof(info) };
	struct iovec iov = { &info, arg % (sizeof(info) + 1) };
	unsigned int nr = arg % 4, i;
	char reply[256];
	int fds[4];
	ssize_t n;

	n = vfio_user_request(c, arg, &iov, 1, &some_fd, arg >> 7, reply,
			      arg & 0x40 ? sizeof(reply) : 16,
			      arg & 0x20 ? fds : NULL, &nr);
	fuzz_require(n <= (ssize_t)sizeof(reply), "no more than there is room");
	for (i = 0; arg & 0x20 && i < arg % 4; i++)
		close_fd(&fds[i]);
}

static void call_serve(struct vfio_user_client *c)
{
	fuzz_require(vfio_user_client_fd(c) >= 0 &&
		     vfio_user_messages_sent(c) && vfio_user_server_caps(c) &&
		     vfio_user_server_version(c) <= VFIO_USER_MINOR &&
		     vfio_user_client_twin_fd(c) >= -1, "a client is whole");
	vfio_user_serve(c);
}

static void call(struct vfio_user_client *c, unsigned int number,
		 unsigned int arg)
{
	struct vfio_user_device_info device;
	struct vfio_user_irq_info irq;

	switch (number) {
	case VFIO_USER_DMA_MAP:
		if (arg & 1)
			vfio_user_dma_map(c, arg << 12, 4096, some_fd, 0, 3);
		else
			vfio_user_dma_map_shadow(c, (arg & 0xf) << 12, 4096,
						 memory, arg >> 4 & 3);
		break;
	case VFIO_USER_DMA_UNMAP:
		if (arg & 1)
			vfio_user_dma_unmap_all(c);
		else
			vfio_user_dma_unmap(c, (arg & 0xf) << 12, 4096);
		break;
	case VFIO_USER_DEVICE_GET_INFO:
		vfio_user_device_info(c, &device);
		break;
	case VFIO_USER_DEVICE_GET_REGION_INFO:
		call_region_info(c, arg);
		break;
	case VFIO_USER_DEVICE_GET_REGION_IO_FDS:
		call_io_fds(c, arg);
		break;
	case VFIO_USER_DEVICE_GET_IRQ_INFO:
		vfio_user_irq_info(c, arg, &irq);
		break;
	case VFIO_USER_DEVICE_SET_IRQS:
		call_irq_set(c, arg);
		break;
	case VFIO_USER_DEVICE_RESET:
		vfio_user_reset(c);
		break;
	case VFIO_USER_REGION_WRITE_MULTI:
		call_write_multi(c, arg);
		break;
	case VFIO_USER_DEVICE_FEATURE:
		call_feature(c, arg);
		break;
	case VFIO_USER_REGION_READ:
	case VFIO_USER_REGION_WRITE:
	case VFIO_USER_MIG_DATA_READ:
	case VFIO_USER_MIG_DATA_WRITE:
		call_transfer(c, number, arg);
		break;
	case VFIO_USER_VERSION:
		call_request(c, arg);
		break;
	default:
		call_serve(c);
	}
}

#define USUAL_JSON	"{\"capabilities\":" \
			"{\"max_msg_fds\":8,\"write_multiple\":true}}"

static void server_version(struct fuzz *f, int fd, bool own)
{
	static const struct {
		struct vfio_user_header header;
		uint16_t major;
		uint16_t minor;
		char json[sizeof(USUAL_JSON)];
	} __attribute__((packed)) usual = {
		.header = {
			.id = 1, .command = VFIO_USER_VERSION,
			.size = sizeof(usual), .flags = VFIO_USER_TYPE_REPLY,
		},
		.major = VFIO_USER_MAJOR,
		.minor = VFIO_USER_MINOR,
		.json = USUAL_JSON,
	};

	if (own)
		server_prepare(f, fd, 1, VFIO_USER_VERSION);
	else
		server_send(fd, &usual, sizeof(usual), 0);
}

static void run(struct fuzz *f)
{
	struct vfio_user_client_opts opts = { .timeout_ms = 1 };
	struct vfio_user_client *c;
	unsigned int how = fuzz_u8(f), number, arg, i;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return;
	opts.twin_socket = how & 2;
	server_version(f, fds[1], how & 1);
	if (vfio_user_connect_fd(fds[0], &opts, &c))
		goto close;
	for (i = 0; i < MAX_CALLS && f->size && !c->broken; i++) {
		number = fuzz_u8(f) % (VFIO_USER_COMMAND_MAX + 1);
		arg = fuzz_u8(f);
		server_prepare(f, fds[1], c->id + 1, number);
		call(c, number, arg);
		server_drain(fds[1]);
	}
	vfio_user_disconnect(c);
close:
	close(fds[1]);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("client_fuzz", true);
	signal(SIGPIPE, SIG_IGN);
	some_fd = memfd_create("some", MFD_CLOEXEC);
	fuzz_require(some_fd >= 0, "there is a file to send");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = { data, size };
	unsigned int before = fuzz_nr_fds();

	run(&f);
	fuzz_require(fuzz_nr_fds() == before, "no fd is left");
	return 0;
}
