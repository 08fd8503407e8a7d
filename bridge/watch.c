// SPDX-License-Identifier: GPL-2.0-only
/*
 * ERR and REQ: a device that reports an error, or that is asked for back.
 *
 * These two the daemon wants to know of as well as the client, and the kernel
 * signals one eventfd an index. So the kernel is given an eventfd of ours, and
 * a thread passes the signal on to the client's. They are rare, and unlike
 * MSI and INTx nothing waits on their speed.
 *
 * REQ means that somebody unbinds or unplugs the device and waits, in the
 * kernel, until it is closed. A client that has an eventfd for it is given some
 * time to let go (--release-timeout), then its session is ended; one that has
 * none could not know, and is ended at once. A device that is retained while
 * nobody uses it is closed at once, too: the main thread listens to its REQ.
 *
 * An eventfd that a client chose is never written to from here: a client can make
 * that block (a counter that is full), and then nobody would hear that the device
 * is asked for. Instead the kernel, which signals without waiting, is given the
 * client's for a moment and told to fire it. A signal that falls into that moment
 * reaches the client and not us; REQ comes again.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vfio.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "bridge.h"
#include "log.h"

static const uint32_t watch_indexes[WATCH_KINDS] = {
	[WATCH_ERR] = VFIO_PCI_ERR_IRQ_INDEX,
	[WATCH_REQ] = VFIO_PCI_REQ_IRQ_INDEX,
};

static const char *const watch_texts[WATCH_KINDS] = {
	[WATCH_ERR] = "the device reports an error",
	[WATCH_REQ] = "the kernel asks for the device back",
};

static bool watch_device_has(const struct vfio_device *dev, int kind)
{
	uint32_t index = watch_indexes[kind];

	return dev->flags & VFIO_DEVICE_FLAGS_PCI &&
	       index < dev->nr_irqs && !dev->irqs[index].error &&
	       dev->irqs[index].count;
}

static bool watch_exists(const struct session *s, int kind)
{
	return watch_device_has(&s->dev, kind);
}

int watch_index(const struct session *s, uint32_t index)
{
	int kind;

	for (kind = 0; kind < WATCH_KINDS; kind++) {
		if (index == watch_indexes[kind] && watch_exists(s, kind))
			return kind;
	}
	return -1;
}

/* Make the kernel signal @fd for @kind. */
static int watch_arm(struct session *s, int kind, int fd)
{
	return vfio_irq_set(&s->dev, VFIO_IRQ_SET_DATA_EVENTFD |
			    VFIO_IRQ_SET_ACTION_TRIGGER, watch_indexes[kind],
			    0, 1, &fd);
}

/* Fire what the kernel signals for @kind. */
static int watch_trigger(struct session *s, int kind)
{
	return vfio_irq_set(&s->dev, VFIO_IRQ_SET_DATA_NONE |
			    VFIO_IRQ_SET_ACTION_TRIGGER, watch_indexes[kind],
			    0, 1, NULL);
}

static void watch_signal(struct watch *w, int kind)
{
	struct session *s = w->session;
	int ret = 0;

	pthread_mutex_lock(&w->lock);
	if (w->client[kind] >= 0 && !watch_arm(s, kind, w->client[kind])) {
		watch_trigger(s, kind);
		ret = watch_arm(s, kind, w->ours[kind]);
	}
	pthread_mutex_unlock(&w->lock);
	if (ret)
		log_err("%s: the kernel refuses an eventfd that it had: %s",
			s->bridge->device.name, strerrordesc_np(-ret));
}

/*
 * The kernel asks again and again until it has the device: the first time
 * counts. A client that isn't told of it has nothing to wait for.
 */
static void watch_release_begin(struct watch *w)
{
	const struct bridge *b = w->session->bridge;
	unsigned int seconds = b->opts->release_timeout;

	if (w->release_at)
		return;
	pthread_mutex_lock(&w->lock);
	if (w->client[WATCH_REQ] < 0)
		seconds = 0;
	pthread_mutex_unlock(&w->lock);
	w->release_at = clock_ms() + seconds * INT64_C(1000);
	if (seconds)
		log_info("%s: client pid %d has %u s to let go of it",
			 b->device.name, w->session->peer.pid, seconds);
}

/* How long to wait for something to happen, for poll(2). */
static int watch_release_wait(const struct watch *w)
{
	int64_t left = w->release_at - clock_ms();

	if (!w->release_at || w->release_at == INT64_MAX)
		return -1;
	return left < 0 ? 0 : min(left, (int64_t)INT_MAX);
}

static void watch_release(struct watch *w)
{
	const struct bridge *b = w->session->bridge;

	if (watch_release_wait(w))
		return;
	log_info("%s: client pid %d has not let go: session ended",
		 b->device.name, w->session->peer.pid);
	w->release_at = INT64_MAX;
	session_stop(w->session);
}

/* A client can fire these itself, as often as it likes. */
static void watch_tell(struct bridge *b, int kind)
{
	char news[512] = "";

	if (kind == WATCH_ERR)
		pci_aer_news(b->aer, news, sizeof(news));
	if (lines_allow(b, LINES_EVENT))
		log_info("%s: %s%s%s", b->device.name, watch_texts[kind],
			 news[0] ? ": " : "", news);
}

static void watch_fired(struct watch *w, int kind)
{
	struct bridge *b = w->session->bridge;

	atomic_fetch_add(&w->fired[kind], 1);
	watch_tell(b, kind);
	watch_signal(w, kind);
	if (kind == WATCH_REQ)
		watch_release_begin(w);
}

/* Syscalls: poll read */
static void *watch_thread(void *arg)
{
	struct watch *w = arg;
	struct pollfd fds[WATCH_KINDS + 1] = {
		{ .fd = w->ours[WATCH_ERR], .events = POLLIN },
		{ .fd = w->ours[WATCH_REQ], .events = POLLIN },
		{ .fd = w->stop, .events = POLLIN },
	};
	eventfd_t value;
	int kind;

	while (poll(fds, ARRAY_SIZE(fds), watch_release_wait(w)) >= 0 ||
	       errno == EINTR) {
		if (fds[WATCH_KINDS].revents)
			break;
		for (kind = 0; kind < WATCH_KINDS; kind++) {
			if (fds[kind].revents & POLLIN &&
			    !eventfd_read(w->ours[kind], &value))
				watch_fired(w, kind);
		}
		watch_release(w);
	}
	return NULL;
}

/* Syscalls: eventfd2 */
static int watch_open(struct session *s)
{
	struct watch *w = &s->watch;
	int kind;
	int ret;

	w->stop = eventfd(0, EFD_CLOEXEC);
	if (w->stop < 0)
		return -errno;
	for (kind = 0; kind < WATCH_KINDS; kind++) {
		if (!watch_exists(s, kind))
			continue;
		w->ours[kind] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (w->ours[kind] < 0)
			return -errno;
		ret = watch_arm(s, kind, w->ours[kind]);
		if (ret)
			return ret;
	}
	return 0;
}

int watch_start(struct session *s)
{
	struct watch *w = &s->watch;
	char old[1];
	int kind, ret;

	/* What was before is not what this client will be told of. */
	pci_aer_news(s->bridge->aer, old, sizeof(old));
	w->session = s;
	w->release_at = 0;
	w->stop = -1;
	for (kind = 0; kind < WATCH_KINDS; kind++) {
		w->ours[kind] = -1;
		w->client[kind] = -1;
	}
	pthread_mutex_init(&w->lock, NULL);

	ret = watch_open(s);
	if (!ret)
		ret = -pthread_create(&w->thread, NULL, watch_thread, w);
	if (ret)
		goto stop;
	w->running = true;
	return 0;

stop:
	watch_stop(s);
	return ret;
}

/* Syscalls: write */
void watch_stop(struct session *s)
{
	struct watch *w = &s->watch;
	int kind;

	if (w->running) {
		eventfd_write(w->stop, 1);
		/* Not before it has ended: it uses the session. */
		while (join_interrupting(w->thread, BRIDGE_END_TIMEOUT))
			continue;
		w->running = false;
	}
	for (kind = 0; kind < WATCH_KINDS; kind++) {
		close_fd(&w->ours[kind]);
		close_fd(&w->client[kind]);
	}
	close_fd(&w->stop);
}

/*
 * With the lock.
 *
 * Syscalls: fcntl(F_DUPFD_CLOEXEC)
 */
static int watch_set_client(struct watch *w, int kind, int fd)
{
	int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (fd >= 0 && copy < 0)
		return -errno;
	close_fd(&w->client[kind]);
	w->client[kind] = copy;
	return 0;
}

/*
 * Is @fd an eventfd? The kernel knows: give it the client's, then ours again.
 * A signal that falls between the two reaches the client and not us. With the
 * lock.
 */
static int watch_try(struct session *s, int kind, int fd)
{
	int ret = watch_arm(s, kind, fd);

	return ret ? ret : watch_arm(s, kind, s->watch.ours[kind]);
}

int watch_check_eventfd(struct session *s, int fd)
{
	struct watch *w = &s->watch;
	int ret;

	if (w->ours[WATCH_REQ] < 0)
		return -ENOTTY;
	pthread_mutex_lock(&w->lock);
	ret = watch_try(s, WATCH_REQ, fd);
	pthread_mutex_unlock(&w->lock);
	return ret;
}

static int watch_set_eventfd(struct session *s, int kind, int fd)
{
	struct watch *w = &s->watch;
	int ret = 0;

	pthread_mutex_lock(&w->lock);
	if (fd >= 0)
		ret = watch_try(s, kind, fd);
	if (!ret)
		ret = watch_set_client(w, kind, fd);
	pthread_mutex_unlock(&w->lock);
	return ret;
}

int watch_set(struct session *s, int kind, uint32_t flags, uint32_t count,
	      const uint8_t *data, int fd)
{
	/* As the kernel: these can be armed and fired, not masked. */
	if (!(flags & VFIO_USER_IRQ_SET_ACTION_TRIGGER))
		return -ENOTTY;
	if (flags & VFIO_USER_IRQ_SET_DATA_EVENTFD)
		return watch_set_eventfd(s, kind, fd);
	if (!count)
		return watch_set_eventfd(s, kind, -1);
	if (flags & VFIO_USER_IRQ_SET_DATA_BOOL && !data[0])
		return 0;
	return watch_trigger(s, kind);
}

/* Syscalls: eventfd2 */
int watch_retained(struct vfio_device *dev)
{
	const uint32_t index = watch_indexes[WATCH_REQ];
	int fd;

	if (!watch_device_has(dev, WATCH_REQ))
		return -1;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd >= 0 && vfio_irq_set(dev, VFIO_IRQ_SET_DATA_EVENTFD |
				    VFIO_IRQ_SET_ACTION_TRIGGER, index, 0, 1,
				    &fd))
		close_fd(&fd);
	return fd;
}
