// SPDX-License-Identifier: GPL-2.0-only
/*
 * One client's session, and the table of the commands it can give.
 *
 * A session is a thread that receives a message, does what it says, and sends
 * the reply; then the next. Commands are done in the order they came in, each
 * complete before the next begins. While one is being done nothing is asked of
 * the client, so neither side ever waits for the other in a circle. The
 * exception is --shadow-dma (shadow.c), where the client has to answer while it
 * waits, and what it sent before is kept meanwhile (peer.c).
 *
 * What can be checked for every command alike is checked here, once, before
 * its handler runs: the type, whether VERSION came first, the payload's least
 * length, the number of fds. Adding a command is adding a row and a function.
 *
 * When the session ends, for whatever reason, everything that it set up goes,
 * in this order: bus mastering off, interrupts disabled, memory unmapped, fds
 * closed. The thread's last act is to tell the main thread, which joins it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "bridge.h"
#include "log.h"

/**
 * struct command - a row of the table
 * @name: for the log
 * @handle: what does it
 * @min_payload: shortest payload, in bytes; a longer one is taken, what is too
 *               much is the handler's to ignore
 * @max_fds: most fds that may come with it
 * @before_version: may be given before VERSION has succeeded
 */
struct command {
	const char *name;
	int (*handle)(struct session *s, struct msg *m);
	size_t min_payload;
	unsigned int max_fds;
	bool before_version;
};

static const struct command commands[VFIO_USER_COMMAND_MAX + 1] = {
	[VFIO_USER_VERSION] = {
		"VERSION", version_handle,
		sizeof(struct vfio_user_version), 0, true
	},
	[VFIO_USER_DMA_MAP] = {
		"DMA_MAP", dma_handle_map,
		sizeof(struct vfio_user_dma_map), 1
	},
	[VFIO_USER_DMA_UNMAP] = {
		"DMA_UNMAP", dma_handle_unmap,
		sizeof(struct vfio_user_dma_unmap), 0
	},
	[VFIO_USER_DEVICE_GET_INFO] = {
		"DEVICE_GET_INFO", device_handle_info,
		sizeof(struct vfio_user_device_info), 0
	},
	[VFIO_USER_DEVICE_GET_REGION_INFO] = {
		"DEVICE_GET_REGION_INFO", region_handle_info,
		sizeof(struct vfio_user_region_info), 0
	},
	[VFIO_USER_DEVICE_GET_REGION_IO_FDS] = {
		"DEVICE_GET_REGION_IO_FDS", ioeventfd_handle,
		sizeof(struct vfio_user_region_io_fds), 0
	},
	[VFIO_USER_DEVICE_GET_IRQ_INFO] = {
		"DEVICE_GET_IRQ_INFO", irq_handle_info,
		sizeof(struct vfio_user_irq_info), 0
	},
	[VFIO_USER_DEVICE_SET_IRQS] = {
		"DEVICE_SET_IRQS", irq_handle_set,
		sizeof(struct vfio_user_irq_set), BRIDGE_MAX_MSG_FDS
	},
	[VFIO_USER_REGION_READ] = {
		"REGION_READ", region_handle_read,
		sizeof(struct vfio_user_region_access), 0
	},
	[VFIO_USER_REGION_WRITE] = {
		"REGION_WRITE", region_handle_write,
		sizeof(struct vfio_user_region_access), 0
	},
	[VFIO_USER_DEVICE_RESET] = {
		"DEVICE_RESET", device_handle_reset, 0, 0
	},
	[VFIO_USER_REGION_WRITE_MULTI] = {
		"REGION_WRITE_MULTI", region_handle_write_multi,
		sizeof(struct vfio_user_write_multi), 0
	},
	[VFIO_USER_DEVICE_FEATURE] = {
		"DEVICE_FEATURE", feature_handle,
		sizeof(struct vfio_user_device_feature), 0
	},
	[VFIO_USER_MIG_DATA_READ] = {
		"MIG_DATA_READ", migration_handle_read,
		sizeof(struct vfio_user_mig_data), 0
	},
	[VFIO_USER_MIG_DATA_WRITE] = {
		"MIG_DATA_WRITE", migration_handle_write,
		sizeof(struct vfio_user_mig_data), 0
	},
};

const char *session_command_name(unsigned int number)
{
	return number < ARRAY_SIZE(commands) && commands[number].name ?
		commands[number].name : "unknown";
}

static bool session_wants_reply(const struct msg *m)
{
	return !(m->header.flags & VFIO_USER_FLAG_NO_REPLY);
}

void *session_reply(struct session *s, const struct msg *m, size_t len)
{
	struct vfio_user_header *header = msg_reserve(&s->conn, len);

	if (!header) {
		s->closing = true;
		return NULL;
	}
	return header + 1;
}

static int session_send(struct session *s, const struct msg *m, size_t len,
			uint32_t flags, uint32_t error, const int *fds,
			unsigned int nr_fds)
{
	struct vfio_user_header *header = msg_reserve(&s->conn, len);

	if (!header)
		s->closing = true;
	if (!header || !session_wants_reply(m))
		return 0;
	*header = (struct vfio_user_header){
		.id = m->header.id,
		.command = m->header.command,
		.size = sizeof(*header) + len,
		.flags = VFIO_USER_TYPE_REPLY | flags,
		.error = error,
	};
	if (msg_commit(&s->conn, fds, nr_fds))
		s->closing = true;
	return 0;
}

int session_reply_send(struct session *s, const struct msg *m, size_t len,
		       int fd)
{
	return session_send(s, m, len, 0, 0, &fd, fd >= 0);
}

int session_reply_send_fds(struct session *s, const struct msg *m, size_t len,
			   const int *fds, unsigned int nr_fds)
{
	return session_send(s, m, len, 0, 0, fds, nr_fds);
}

/* Is one of the command's fds something that we don't touch, see screen.c? */
static int session_check_fds(struct session *s, const struct msg *m)
{
	unsigned int i;

	for (i = 0; i < m->nr_fds && m->fds[i] >= 0; i++)
		;
	if (i == m->nr_fds)
		return 0;
	if (!s->told_of_fds)
		log_err("%s: client pid %d sent a file that is neither shared memory nor an event: use a memfd, tmpfs (/dev/shm) or huge pages (said once)",
			s->bridge->device.name, s->peer.pid);
	s->told_of_fds = true;
	return m->header.command == VFIO_USER_DMA_MAP ? -EACCES : -EINVAL;
}

/* What every command must satisfy; @command is set if it may be handled. */
static int session_check(struct session *s, const struct msg *m,
			 const struct command **command)
{
	unsigned int number = m->header.command;
	const struct command *c = number < ARRAY_SIZE(commands) ?
		&commands[number] : NULL;

	if ((m->header.flags & VFIO_USER_TYPE_MASK) != VFIO_USER_TYPE_COMMAND ||
	    (!s->greeted && !(c && c->before_version))) {
		s->closing = true;
		return -EINVAL;
	}
	if (!c || !c->handle)
		return -EOPNOTSUPP;
	if (m->nr_fds > c->max_fds || m->len < c->min_payload)
		return -EINVAL;
	*command = c;
	return session_check_fds(s, m);
}

/*
 * A client that sends as much as this is either told not to map registers, or
 * doesn't behave: somebody may want to look. It isn't slowed down.
 */
static void session_watch_rate(struct session *s)
{
	uint32_t rate = s->bridge->opts->message_rate;
	int64_t now;

	if (++s->burst < rate || s->told_of_rate)
		return;
	now = clock_ms();
	if (s->burst_since && now - s->burst_since < 1000) {
		s->told_of_rate = true;
		log_info("%s: client pid %d sends more than %u messages a second (said once)",
			 s->bridge->device.name, s->peer.pid, rate);
	}
	s->burst = 0;
	s->burst_since = now;
}

static void session_count(struct session *s, unsigned int number)
{
	struct stats *stats = &s->bridge->stats;

	session_watch_rate(s);
	if (number >= ARRAY_SIZE(commands) || !commands[number].handle)
		number = 0;
	atomic_fetch_add_explicit(&stats->messages, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&stats->commands[number], 1,
				  memory_order_relaxed);
}

static void session_handle(struct session *s, struct msg *m)
{
	const struct command *command = NULL;
	unsigned int number = m->header.command;
	int ret;

	session_count(s, number);
	/* Nothing of ours waits for a reply, and a reply can't be replied to. */
	if ((m->header.flags & VFIO_USER_TYPE_MASK) == VFIO_USER_TYPE_REPLY) {
		s->closing = true;
		msg_close_fds(m);
		return;
	}

	ret = session_check(s, m, &command);
	if (!ret)
		ret = command->handle(s, m);
	msg_close_fds(m);
	if (ret)
		session_send(s, m, 0, VFIO_USER_FLAG_ERROR, -ret, NULL, 0);

	if (s->bridge->opts->verbose)
		log_debug("%s: %s (%u bytes, id %u): %s",
			  s->bridge->device.name, session_command_name(number),
			  m->header.size, m->header.id,
			  ret ? strerrorname_np(-ret) : "ok");
}

/* A header that can't be: tell the client, if it listens, and give up. */
static void session_bad_size(struct session *s, struct msg *m)
{
	if (lines_allow(s->bridge, LINES_CLIENT))
		log_info("%s: client pid %d sent a message of %u bytes: closed",
			 s->bridge->device.name, s->peer.pid, m->header.size);
	msg_close_fds(m);
	session_send(s, m, 0, VFIO_USER_FLAG_ERROR, EINVAL, NULL, 0);
}

/* The next command; where the client may be asked something, via the queue. */
static int session_next(struct session *s, struct msg *m)
{
	int ret;

	if (!s->shadow)
		return msg_recv(&s->conn, m);

	while (!peer_dequeue(s, m)) {
		ret = relay_wait(s);
		if (!ret)
			continue;
		if (ret > 0)
			ret = msg_recv(&s->conn, m);
		if (ret > 0)
			ret = peer_enqueue(s, m);
		else if (!ret)
			return 0;
		if (ret < 0)
			return ret;
	}
	return 1;
}

static void session_loop(struct session *s)
{
	struct msg m;
	int ret, flushed;

	do {
		ret = session_next(s, &m);
		if (ret == -EMSGSIZE)
			session_bad_size(s, &m);
		if (ret <= 0)
			break;
		session_handle(s, &m);
	} while (!s->closing);

	/* Who doesn't read is found out by a reply. */
	flushed = msg_flush(&s->conn);
	if (ret >= 0)
		ret = flushed;
	if (ret < 0 && ret != -EMSGSIZE && ret != -ECONNRESET &&
	    ret != -EPIPE && lines_allow(s->bridge, LINES_CLIENT))
		log_info("%s: client pid %d: %s: closed",
			 s->bridge->device.name, s->peer.pid,
			 ret == -EAGAIN || ret == -ETIMEDOUT ? "too slow" :
			 strerrordesc_np(-ret));
}

/* The order is the point: see the top of the file. */
static void session_teardown(struct session *s)
{
	bool open;

	atomic_store(&s->ending, true);
	if (s->open) {
		watch_stop(s);
		ioeventfd_close_all(s);
		feature_stop_all(s);
		close_fd(&s->migration);
		device_quiesce(s);
		dma_unmap_all(s);
		shadow_stop(s);
		irq_forget_all(s);
		relay_stop(s);
	}
	peer_close(s);
	pthread_mutex_lock(&s->lock);
	open = s->open;
	s->open = false;
	pthread_mutex_unlock(&s->lock);
	/* Takes as long as a reset, so without the lock. */
	if (open)
		device_release(s);
}

/*
 * What the client has sent and nobody received goes with the socket, fds
 * included, so this may block (join.c) and is not the main thread's to do.
 */
static void session_hang_up(struct session *s)
{
	int fd;

	pthread_mutex_lock(&s->lock);
	fd = s->conn.fd;
	s->conn.fd = -1;
	pthread_mutex_unlock(&s->lock);
	msg_conn_exit(&s->conn);
	screen_hang_up(fd);
}

/* Syscalls: write */
static void *session_thread(void *arg)
{
	struct session *s = arg;

	session_loop(s);
	session_teardown(s);
	session_hang_up(s);
	atomic_store(&s->done, true);
	eventfd_write(s->bridge->daemon->done_fd, 1);
	return NULL;
}

/*
 * For all of VERSION together: a time-out of the socket would begin anew with
 * each byte. version_handle() takes the deadline off again.
 *
 * Syscalls: setsockopt(SO_SNDTIMEO)
 */
static int session_socket(struct session *s)
{
	const struct timeval timeout = { .tv_sec = BRIDGE_CLIENT_TIMEOUT };

	msg_set_deadline(&s->conn, BRIDGE_CLIENT_TIMEOUT * 1000, -1);
	if (setsockopt(s->conn.fd, SOL_SOCKET, SO_SNDTIMEO, &timeout,
		       sizeof(timeout)))
		return -errno;
	return 0;
}

static void session_free(struct session *s)
{
	pthread_mutex_destroy(&s->lock);
	msg_conn_exit(&s->conn);
	free(s);
}

/* Syscalls: close getsockopt(SO_PEERCRED) */
int session_start(struct bridge *b, int fd)
{
	struct session *s = calloc(1, sizeof(*s));
	socklen_t len = sizeof(s->peer);
	int ret;

	if (!s) {
		close(fd);
		return -ENOMEM;
	}
	s->bridge = b;
	pthread_mutex_init(&s->lock, NULL);
	caps_default(&s->caps);
	memset(s->doorbells, 0xff, sizeof(s->doorbells));
	s->migration = -1;
	s->link.twin.fd = -1;
	ret = msg_conn_init(&s->conn, fd, BRIDGE_MAX_MSG, BRIDGE_FD_MIN);
	if (ret)
		goto free;
	s->conn.screen = screen_fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &s->peer, &len)) {
		ret = -errno;
		goto free;
	}
	ret = session_socket(s);
	if (ret)
		goto free;
	b->session = s;
	ret = -pthread_create(&s->thread, NULL, session_thread, s);
	if (ret)
		goto clear;
	return 0;

clear:
	b->session = NULL;
free:
	session_free(s);
	return ret;
}

/* Syscalls: poll */
bool session_is_ending(struct session *s)
{
	struct pollfd pfd = { 0 };
	bool gone;

	/* POLLHUP: the client has closed, and not just one direction. */
	pthread_mutex_lock(&s->lock);
	pfd.fd = s->conn.fd;
	gone = pfd.fd < 0 || poll(&pfd, 1, 0) == 1;
	pthread_mutex_unlock(&s->lock);
	return gone || atomic_load(&s->ending);
}

void session_interrupt(struct session *s)
{
	pthread_kill(s->thread, WATCH_SIGNAL);
}

/* Syscalls: shutdown */
void session_stop(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->conn.fd >= 0)
		shutdown(s->conn.fd, SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
}

void session_reap(struct bridge *b)
{
	struct session *s = b->session;

	pthread_join(s->thread, NULL);
	b->session = NULL;
	session_free(s);
}
