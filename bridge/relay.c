// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts with --shadow-dma: passed on by the session's thread, after what
 * the device wrote.
 *
 * The kernel gets eventfds of ours in place of the client's, and the thread
 * waits for them beside its socket. When one is signalled, what the device has
 * changed in memory is sent to the client, and then the client's eventfd is
 * signalled. What masks and unmasks interrupts goes to the kernel as ever: INTx
 * is masked by the kernel when it signals our eventfd, and stays so until the
 * client unmasks it. Before the reply to a SET_IRQS that masks or disables
 * vectors or gives them other eventfds, whatever has been signalled is passed on
 * to the eventfds that were set until then: after the reply, the client sees no
 * interrupt of the time before.
 *
 * The client's eventfds are the client's: their counter may be full, and
 * writing would block. One that is full when it is looked at is left as it is,
 * since it says all that it could say. One that becomes full between looking and
 * writing, which takes a client that wants it, holds the thread only until a
 * timer's signal gets it out of the write. O_NONBLOCK would change the client's
 * own end as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "bridge.h"
#include "log.h"

/* Not all versions of glibc's headers have it. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id	_sigev_un._tid
#endif

/* How long writing to an eventfd may block, in nanoseconds. */
#define RELAY_WRITE_NS		10000000
/* Eventfds that are looked at together. */
#define RELAY_BATCH		64
/* More batches than that in a row are for the next time: 2048 vectors. */
#define RELAY_MAX_BATCHES	32

/**
 * struct relay - what passes interrupts on
 * @epoll: of the eventfds that the kernel signals
 * @timer: sends this thread WATCH_SIGNAL
 * @vectors: by index and sub-index; NULL until the first is set
 */
struct relay {
	int epoll;
	timer_t timer;
	struct relay_vector *vectors[VFIO_MAX_IRQS];
};

/* Syscalls: close epoll_create1 timer_create */
int relay_start(struct session *s)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = WATCH_SIGNAL,
		.sigev_notify_thread_id = gettid(),
	};
	struct relay *r;
	int ret;

	if (!s->shadow)
		return 0;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll < 0) {
		ret = -errno;
		goto free;
	}
	if (timer_create(CLOCK_MONOTONIC, &event, &r->timer)) {
		ret = -errno;
		goto close;
	}
	s->relay = r;
	return 0;

close:
	close(r->epoll);
free:
	free(r);
	return ret;
}

/* Syscalls: epoll_ctl */
static void relay_drop(struct relay *r, struct relay_vector *v)
{
	if (v->ours >= 0)
		epoll_ctl(r->epoll, EPOLL_CTL_DEL, v->ours, NULL);
	close_fd(&v->ours);
	close_fd(&v->client);
}

static void relay_drop_index(struct session *s, uint32_t index)
{
	struct relay_vector *vectors = s->relay->vectors[index];
	uint32_t i;

	for (i = 0; vectors && i < s->dev.irqs[index].count; i++)
		relay_drop(s->relay, &vectors[i]);
	free(vectors);
	s->relay->vectors[index] = NULL;
}

/* Syscalls: close timer_delete */
void relay_stop(struct session *s)
{
	uint32_t i;

	if (!s->relay)
		return;
	for (i = 0; i < s->dev.nr_irqs; i++)
		relay_drop_index(s, i);
	timer_delete(s->relay->timer);
	close(s->relay->epoll);
	free(s->relay);
	s->relay = NULL;
}

/* Syscalls: timer_settime */
static void relay_set_timer(struct relay *r, long ns)
{
	const struct itimerspec spec = {
		.it_value.tv_nsec = ns,
		.it_interval.tv_nsec = ns,
	};

	timer_settime(r->timer, 0, &spec, NULL);
}

/* Syscalls: poll write */
static void relay_signal(struct relay *r, int fd)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	const uint64_t one = 1;
	ssize_t n;

	if (fd < 0 || poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT))
		return;
	/* Again and again, as the first may come just before the write. */
	relay_set_timer(r, RELAY_WRITE_NS);
	n = write(fd, &one, sizeof(one));
	(void)n;
	relay_set_timer(r, 0);
}

/* Which vector an event is about; NULL if it is gone. */
static struct relay_vector *relay_find(struct relay *r,
				       const struct epoll_event *event)
{
	struct relay_vector *vectors = r->vectors[event->data.u64 >> 32];

	return vectors ? &vectors[(uint32_t)event->data.u64] : NULL;
}

/*
 * Pass on what has been signalled, some of it; returns how much or an error.
 *
 * Syscalls: epoll_wait read
 */
static int relay_batch(struct session *s)
{
	struct epoll_event events[RELAY_BATCH];
	struct relay *r = s->relay;
	struct relay_vector *v;
	eventfd_t value;
	int i, n, ret;

	n = epoll_wait(r->epoll, events, RELAY_BATCH, 0);
	if (n <= 0)
		return 0;
	/* Before looking at memory: what comes later has its own turn. */
	for (i = 0; i < n; i++) {
		v = relay_find(r, &events[i]);
		if (v)
			eventfd_read(v->ours, &value);
	}
	ret = shadow_push(s);
	if (ret)
		return ret;
	for (i = 0; i < n; i++) {
		v = relay_find(r, &events[i]);
		if (v)
			relay_signal(r, v->client);
	}
	return n;
}

int relay_pass(struct session *s)
{
	int i, ret = RELAY_BATCH;

	if (!s->relay)
		return 0;
	for (i = 0; i < RELAY_MAX_BATCHES && ret == RELAY_BATCH; i++)
		ret = relay_batch(s);
	return ret < 0 ? ret : 0;
}

/* Syscalls: poll */
int relay_wait(struct session *s)
{
	struct pollfd fds[] = {
		{ .fd = s->conn.fd, .events = POLLIN },
		{ .fd = s->relay->epoll, .events = POLLIN },
	};
	int ret;

	if (msg_is_buffered(&s->conn))
		return 1;
	ret = msg_flush(&s->conn);
	if (ret)
		return ret;
	if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
		return errno == EINTR ? 0 : -errno;
	/* A peer that doesn't let its memory be written has been told off. */
	if (fds[1].revents && relay_pass(s))
		return -ECONNRESET;
	/* What was there to receive may have been received on the way. */
	return fds[0].revents && !s->link.nr_queued;
}

/*
 * The kernel checks what it is given, which is ours; the client's it is shown at
 * another index. Nothing else tells an eventfd for certain: all inodes without
 * a type look alike, and a write to one of them can mean anything.
 *
 * Syscalls: eventfd2 fcntl(F_DUPFD_CLOEXEC)
 */
static int relay_prepare_one(struct session *s, struct msg *m, unsigned int i,
			     struct relay_vector *v)
{
	int copy, ret;

	ret = watch_check_eventfd(s, m->fds[i]);
	if (ret)
		return ret;
	v->ours = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->ours < 0)
		return -errno;
	copy = fcntl(v->ours, F_DUPFD_CLOEXEC, 0);
	if (copy < 0) {
		ret = -errno;
		close_fd(&v->ours);
		return ret;
	}
	v->client = m->fds[i];
	m->fds[i] = copy;
	return 0;
}

static int relay_alloc(struct session *s, uint32_t index)
{
	uint32_t i, total = s->dev.irqs[index].count;
	struct relay_vector *vectors;

	if (s->relay->vectors[index])
		return 0;
	vectors = malloc(total * sizeof(*vectors));
	if (!vectors)
		return -ENOMEM;
	for (i = 0; i < total; i++)
		vectors[i] = (struct relay_vector){ -1, -1 };
	s->relay->vectors[index] = vectors;
	return 0;
}

int relay_prepare(struct session *s, uint32_t index, struct msg *m,
		  struct relay_vector *new)
{
	unsigned int i;
	int ret;

	ret = relay_alloc(s, index);
	if (ret)
		return ret;
	for (i = 0; i < m->nr_fds; i++) {
		ret = relay_prepare_one(s, m, i, &new[i]);
		if (ret)
			break;
	}
	while (ret && i--)
		relay_drop(s->relay, &new[i]);
	return ret;
}

/* Syscalls: epoll_ctl */
static int relay_install(struct session *s, uint32_t index, uint32_t vector,
			 const struct relay_vector *new)
{
	struct relay_vector *v = &s->relay->vectors[index][vector];
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.u64 = (uint64_t)index << 32 | vector,
	};

	relay_drop(s->relay, v);
	if (!new)
		return 0;
	*v = *new;
	if (!epoll_ctl(s->relay->epoll, EPOLL_CTL_ADD, v->ours, &event))
		return 0;
	/* The kernel has it, and we would never hear of it. */
	s->closing = true;
	return -errno;
}

int relay_finish(struct session *s, const struct vfio_user_irq_set *set,
		 unsigned int nr, struct relay_vector *new, int err)
{
	unsigned int i;
	int ret = err;

	if (!ret)
		ret = relay_pass(s);
	for (i = 0; !ret && i < set->count; i++)
		ret = relay_install(s, set->index, set->start + i,
				    nr ? &new[i] : NULL);
	/* Those that were installed are the table's now, to the last one. */
	for (; ret && i < nr; i++)
		relay_drop(s->relay, &new[i]);
	return ret;
}

void relay_forget(struct session *s, uint32_t index)
{
	if (s->relay)
		relay_drop_index(s, index);
}
