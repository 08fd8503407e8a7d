// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients that don't drive a device: hostile ones, those who come second, those
 * who only look, and one that moves a serial card's state to another card.
 */
#include <errno.h>
#include <linux/serial_reg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "soak.h"

#define MESSAGES	40
#define SESSIONS	12
#define LINGER_US	300000
#define STREAM		4096
#define MAX_CROWD	8
#define REFUSED		16	/* REFUSE_MAX */

/*
 * Hostile
 */

static int raw_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = 1 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	close(fd);
	return -errno;
}

/*
 * A header that may be right in part, a payload of noise, fds that nobody has
 * asked for; sometimes only the beginning of it all. Stores to the device are
 * left out: what noise in its registers does is no question to the bridge.
 */
static ssize_t send_noise(struct soak *s, int fd, int file)
{
	struct {
		struct vfio_user_header hdr;
		uint8_t payload[256];
	} __attribute__((packed)) m;
	size_t size = sizeof(m.hdr) + soak_random(s, sizeof(m.payload) + 1);
	struct iovec iov = { .iov_base = &m, .iov_len = size };
	union {
		struct cmsghdr hdr;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} control = {};
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	unsigned int i, nr = soak_random(s, 8);

	soak_fill(&m, sizeof(m), soak_random(s, ~0u));
	m.hdr.command = soak_random(s, 24);
	if (m.hdr.command == VFIO_USER_REGION_WRITE ||
	    m.hdr.command == VFIO_USER_REGION_WRITE_MULTI)
		m.hdr.command = VFIO_USER_DMA_MAP;
	m.hdr.size = soak_random(s, 8) ? size : m.hdr.size;
	m.hdr.flags = soak_random(s, 8) ? 0 : m.hdr.flags;
	/* The argsz of most commands, and numbers that mean something */
	if (soak_random(s, 2))
		*(uint32_t *)m.payload = size - sizeof(m.hdr);
	for (i = 1; i < 8 && soak_random(s, 2); i++)
		((uint32_t *)m.payload)[i] = soak_random(s, 16);
	if (nr && nr <= 4) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		control.hdr.cmsg_len = CMSG_LEN(nr * sizeof(int));
		for (i = 0; i < nr; i++)
			((int *)CMSG_DATA(&control.hdr))[i] = file;
	}
	if (!soak_random(s, 10))
		iov.iov_len = 1 + soak_random(s, size - 1);
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

int soak_hostile(struct soak *s)
{
	unsigned int i, nr = 1 + soak_random(s, MESSAGES);
	int file = memfd_create("noise", MFD_CLOEXEC);
	struct access *a = NULL;
	char reply[4096];
	int fd, ret = 0;

	if (file < 0 || ftruncate(file, 1 << 20))
		return -errno;
	/* Some say VERSION before that. */
	if (soak_random(s, 3)) {
		ret = soak_connect(s, s->paths[0], &a);
		fd = ret ? ret : vfio_user_client_fd(access_socket_client(a));
	} else {
		fd = raw_connect(s->paths[0]);
	}
	if (fd < 0)
		return fd;
	for (i = 0; i < nr && send_noise(s, fd, file) > 0; i++) {
		soak_count(&s->counters->wrong_messages, 1);
		while (recv(fd, reply, sizeof(reply), MSG_DONTWAIT) > 0)
			;
	}
	usleep(soak_random(s, LINGER_US));
	if (a)
		access_close(a);
	else
		close(fd);
	close(file);
	return 0;
}

/*
 * Polite
 */

/* Either it has the device for a moment, or it is told that somebody else has. */
int soak_second(struct soak *s)
{
	struct access *a;
	int ret = access_socket_open(s->paths[0], NULL, &a);

	if (ret == -EBUSY) {
		soak_count(&s->counters->refused, 1);
		return 0;
	}
	if (ret)
		return ret;
	soak_count(&s->counters->sessions, 1);
	access_close(a);
	return 0;
}

/*
 * As many as there can be: a session on each socket, and on one of them as many
 * as are refused at a time, each by a thread, which waits for what they say.
 */
int soak_crowd(struct soak *s)
{
	const struct vfio_user_header version = {
		.command = VFIO_USER_VERSION,
		.size = sizeof(version),
	};
	struct access *as[MAX_CROWD] = {};
	struct vfio_user_header reply;
	int fds[REFUSED], i, ret = 0;

	for (i = 0; !ret && i < MAX_CROWD && s->paths[i]; i++)
		ret = soak_connect(s, s->paths[i], &as[i]);
	for (i = 0; i < REFUSED; i++)
		fds[i] = ret ? -1 : raw_connect(s->paths[0]);
	for (i = 0; !ret && i < REFUSED; i++) {
		if (send(fds[i], &version, sizeof(version), MSG_NOSIGNAL) < 0 ||
		    recv(fds[i], &reply, sizeof(reply), MSG_WAITALL) !=
		    sizeof(reply) || reply.error != EBUSY)
			ret = -EPROTO;
		else
			soak_count(&s->counters->refused, 1);
	}
	for (i = 0; i < REFUSED; i++)
		close_fd(&fds[i]);
	for (i = 0; i < MAX_CROWD && as[i]; i++)
		access_close(as[i]);
	return ret;
}

int soak_quick(struct soak *s)
{
	unsigned int i, nr = 2 + soak_random(s, SESSIONS);
	struct access_dma dma = {};
	struct access_region region;
	struct access *a;
	int ret = 0;

	for (i = 0; !ret && i < nr; i++) {
		ret = soak_connect(s, s->paths[0], &a);
		if (ret)
			return ret;
		ret = a->ops->region(a, VFIO_PCI_CONFIG_REGION_INDEX, &region);
		if (!ret && soak_random(s, 2))
			ret = soak_alloc(s, a, 4096 * (1 + soak_random(s, 512)),
					 &dma);
		if (dma.size) {
			munmap(dma.mem, dma.size);
			close(dma.fd);
			memset(&dma, 0, sizeof(dma));
		}
		access_close(a);
	}
	return ret;
}

/*
 * Migration
 */

static int uart_send(struct access *a, const char *text)
{
	int ret = 0;

	for (; *text && !ret; text++)
		ret = access_write(a, 0, UART_TX, 1, *text);
	return ret;
}

static bool uart_has(struct access *a, const char *text)
{
	while (access_read(a, 0, UART_LSR, 1) & UART_LSR_DR) {
		if (access_read(a, 0, UART_RX, 1) != *text++)
			return false;
	}
	return !*text;
}

static int uart_clear(struct access *a)
{
	return access_write(a, 0, UART_FCR, 1,
			    UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
}

static int move_state(struct vfio_user_client *from, struct vfio_user_client *to)
{
	static char stream[STREAM];
	ssize_t len;
	int ret;

	ret = vfio_user_migration_set_state(from, VFIO_USER_STATE_STOP_COPY);
	if (ret)
		return ret;
	len = vfio_user_migration_read(from, stream, sizeof(stream));
	if (len <= 0)
		return len ? len : -ENODATA;
	ret = vfio_user_migration_set_state(to, VFIO_USER_STATE_RESUMING);
	if (!ret)
		ret = vfio_user_migration_write(to, stream, len);
	if (!ret)
		ret = vfio_user_migration_set_state(to, VFIO_USER_STATE_RUNNING);
	return ret;
}

/* What waits in one card's buffer is to be found in the other's. */
static int migrate(struct soak *s, struct access *from, struct access *to)
{
	char text[12];
	int ret;

	snprintf(text, sizeof(text), "%u", soak_random(s, ~0u));
	ret = uart_clear(from);
	if (!ret)
		ret = uart_send(from, text);
	if (!ret)
		ret = move_state(access_socket_client(from),
				 access_socket_client(to));
	if (ret)
		return ret;
	if (!uart_has(to, text))
		return soak_data_error(s, "mtty: the other card has other text");
	soak_count(&s->counters->migrations, 1);
	return 0;
}

int soak_migrate(struct soak *s)
{
	unsigned int from = soak_random(s, 2);
	struct access *as[2] = {};
	int ret;

	ret = soak_connect(s, s->paths[0], &as[0]);
	if (!ret) {
		ret = soak_connect(s, s->paths[1], &as[1]);
		if (!ret) {
			ret = migrate(s, as[from], as[!from]);
			access_close(as[1]);
		}
		access_close(as[0]);
	}
	return ret;
}
