// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device as a whole: opened for a session, described, reset, let go.
 *
 * Between sessions the daemon holds nothing of the device, unless it retains
 * it: closing and opening again is what makes the kernel reset it, so that
 * what one client left in it the next can't read; and others find it free. An
 * old client that kept the device's fd (its mapping of a BAR) keeps the device
 * open in the kernel; then opening fails, and nobody else is served until it
 * has let go.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bridge.h"
#include "log.h"

static bool device_can_reset(const struct vfio_device *dev)
{
	return dev->flags & VFIO_DEVICE_FLAGS_RESET || dev->can_hot_reset;
}

/* Syscalls: kill(0) */
static void device_log_held(const struct session *s, const char *why)
{
	struct bridge *b = s->bridge;
	const struct ucred peer = group_last_peer(b), *last = &peer;

	if (!lines_allow(b, LINES_CLIENT))
		return;
	if (!last->pid)
		log_err("%s: %s", b->device.name, why);
	else
		log_err("%s: still held, most likely by the last client, pid %d of uid %d (%s), which keeps a region mapped or its fd open: end that process (%s)",
			b->device.name, last->pid, last->uid,
			kill(last->pid, 0) && errno == ESRCH ?
			"gone, but what it passed on may live" : "alive", why);
}

static unsigned int device_open_flags(const struct bridge *b)
{
	return (b->opts->unsafe_noiommu ? VFIO_OPEN_UNSAFE_NOIOMMU : 0) |
	       (b->space ? VFIO_OPEN_SHARE : 0);
}

static void device_set_gone(struct session *s)
{
	if (!atomic_exchange(&s->gone, true))
		log_err("%s: its configuration reads all ones: it is gone from the bus, or does not answer there",
			s->bridge->device.name);
}

void device_quiesce(struct session *s)
{
	int ret = vfio_device_quiesce(&s->dev);

	if (ret == -ENODEV)
		device_set_gone(s);
	else if (ret)
		s->unsure = true;
}

void device_look_at(struct session *s, const void *data, size_t len)
{
	const uint8_t *byte = data;

	if (atomic_load(&s->gone) || byte[0] != 0xff ||
	    memcmp(byte, byte + 1, len - 1))
		return;
	/* A register may well read like this. */
	if (vfio_device_is_gone(&s->dev))
		device_set_gone(s);
}

/* What is shared was settled by the groups when the daemon started. */
static int device_check_group(const struct bridge *b)
{
	if (!b->space || vfio_read_group(b->device.sysfs) == b->group)
		return 0;
	log_err("%s: it is not in IOMMU group %d any more, as it was when the daemon started: start the daemon again",
		b->device.name, b->group);
	return -ENODEV;
}

/*
 * The kernel resets it on opening and doesn't say if that fails, but that the
 * device can't be reset. One that can't be from the first is served all the same
 * (device_warn_no_reset()).
 */
static int device_check_was_reset(struct session *s)
{
	struct bridge *b = s->bridge;

	if (!b->has_reset || s->dev.flags & VFIO_DEVICE_FLAGS_RESET)
		return 0;
	if (lines_allow(b, LINES_CLIENT))
		log_err("%s: its reset fails, which worked when the daemon started: nobody is served with what the last client may have left in it",
			b->device.name);
	vfio_device_close(&s->dev);
	return -EIO;
}

static int device_open_fresh(struct session *s)
{
	const struct bridge *b = s->bridge;
	struct vfio_why why;
	int ret;

	ret = device_check_group(b);
	if (ret)
		return ret;
	ret = vfio_device_open(&s->dev, b->device.name, b->device.sysfs,
			       b->opts->iommu, device_open_flags(b), &why);
	if (ret == -EBUSY)
		device_log_held(s, why.text);
	else if (ret && lines_allow(s->bridge, LINES_CLIENT))
		log_err("%s: cannot open the device: %s", b->device.name,
			why.text[0] ? why.text : strerrordesc_np(-ret));
	return ret ? ret : device_check_was_reset(s);
}

/* The main thread, which waits for it, reads it without the lock. */
static void device_set_req(struct bridge *b, int fd)
{
	int old = atomic_exchange(&b->retained_req, fd);

	close_fd(&old);
}

/* 1 if the device was retained, for this client; 0 if it wasn't. */
static int device_take_retained(struct session *s)
{
	struct bridge *b = s->bridge;
	int ret = 0;

	pthread_mutex_lock(&b->lock);
	if (b->retained && s->peer.uid != b->retained_uid) {
		if (lines_allow(b, LINES_CLIENT))
			log_err("%s: retained for uid %d: refusing uid %d",
				b->device.name, b->retained_uid, s->peer.uid);
		ret = -EBUSY;
	} else if (b->retained) {
		s->dev = *b->retained;
		free(b->retained);
		b->retained = NULL;
		device_set_req(b, -1);
		ret = 1;
	}
	pthread_mutex_unlock(&b->lock);
	return ret;
}

/* Can what was retained be used? If not, it is as if it hadn't been. */
static bool device_is_usable(struct session *s)
{
	struct bridge *b = s->bridge;

	if (!power_wake(b, &s->dev) && !vfio_device_is_gone(&s->dev))
		return true;
	log_info("%s: closed and opened again, instead of retained",
		 b->device.name);
	vfio_device_close(&s->dev);
	return false;
}

/* Opens the device, or takes the retained one, if its group allows. */
static int device_get(struct session *s)
{
	int ret, retained = device_take_retained(s);
	struct bridge *b = s->bridge;

	if (retained < 0)
		return retained;
	ret = group_join(s);
	if (ret && retained) {
		atomic_store(&b->asleep, false);
		vfio_device_close(&s->dev);
		group_leave(b);
	}
	if (ret || (retained && device_is_usable(s)))
		return ret;
	ret = device_open_fresh(s);
	if (ret)
		group_leave(b);
	return ret;
}

int device_open(struct session *s)
{
	struct bridge *b = s->bridge;
	int ret;

	ret = device_get(s);
	if (ret)
		return ret;

	ret = s->dev.ops->info(&s->dev, &s->iommu);
	if (ret)
		goto close;
	ret = watch_start(s);
	if (ret)
		goto close;
	group_opened(s);

	pthread_mutex_lock(&s->lock);
	s->open = true;
	pthread_mutex_unlock(&s->lock);
	b->last_peer = s->peer;
	log_info("%s: serving pid %d of uid %d through %s", b->device.name,
		 s->peer.pid, s->peer.uid, s->dev.ops->name);
	return 0;

close:
	log_err("%s: cannot set up the device: %s", b->device.name,
		strerrordesc_np(-ret));
	vfio_device_close(&s->dev);
	group_leave(b);
	return ret;
}

/* With the lock. */
static void device_drop(struct bridge *b)
{
	device_set_req(b, -1);
	if (!b->retained)
		return;
	vfio_device_close(b->retained);
	atomic_store(&b->asleep, false);
	free(b->retained);
	b->retained = NULL;
	group_leave(b);
}

static bool device_retain(struct session *s)
{
	struct bridge *b = s->bridge;
	struct vfio_device *dev;
	bool asleep;
	int req;

	if (b->opts->on_disconnect != ON_DISCONNECT_RETAIN || s->gone)
		return false;
	if (s->unsure) {
		log_err("%s: the kernel did not end all of the session: closed instead of retained",
			b->device.name);
		return false;
	}
	dev = malloc(sizeof(*dev));
	if (!dev) {
		log_err("%s: out of memory: closed instead of retained",
			b->device.name);
		return false;
	}
	*dev = s->dev;
	req = watch_retained(dev);
	/* The last that is done with it: the kernel would only wake it again. */
	asleep = power_sleep(b, dev);
	/* Who takes or drops it finds its place in the group settled. */
	pthread_mutex_lock(&b->lock);
	b->retained = dev;
	device_set_req(b, req);
	atomic_store(&b->asleep, asleep);
	b->retained_uid = s->peer.uid;
	if (!group_keep(s))
		device_drop(b);
	pthread_mutex_unlock(&b->lock);
	return true;
}

void device_release(struct session *s)
{
	struct bridge *b = s->bridge;

	log_info("%s: client pid %d is gone", b->device.name, s->peer.pid);
	if (device_retain(s))
		return;
	vfio_device_close(&s->dev);
	group_leave(b);
}

/*
 * With the lock until all of it is over: a client that comes meanwhile waits, and
 * then finds a device that is closed, and its place in the group free.
 */
void device_drop_retained(struct bridge *b)
{
	pthread_mutex_lock(&b->lock);
	device_drop(b);
	pthread_mutex_unlock(&b->lock);
}

static void *device_drop_thread(void *arg)
{
	device_drop_retained(arg);
	return NULL;
}

int device_start_drop(struct bridge *b, pthread_t *thread)
{
	int ret = -pthread_create(thread, NULL, device_drop_thread, b);

	if (ret)
		device_drop_retained(b);
	return ret;
}

static void *device_give_back(void *arg)
{
	struct bridge *b = arg;

	pthread_mutex_lock(&b->lock);
	/* The next client may have it by now; the kernel asks again. */
	if (b->retained)
		log_info("%s: the kernel asks for the device back: not retained any more",
			 b->device.name);
	device_drop(b);
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

/* Syscalls: read */
void device_check_retained(struct bridge *b)
{
	pthread_t thread;
	eventfd_t value;
	bool asked;

	/* Another thread takes or drops it, and the fd with it. */
	if (pthread_mutex_trylock(&b->lock))
		return;
	asked = b->retained_req >= 0 && !eventfd_read(b->retained_req, &value);
	pthread_mutex_unlock(&b->lock);
	if (!asked)
		return;
	/*
	 * It takes as long as a reset, and this thread has others to see to.
	 * If there is no other at this time, the kernel asks again.
	 */
	if (!pthread_create(&thread, NULL, device_give_back, b))
		pthread_detach(thread);
}

/*
 * Only the kernel knows all that stands in the way of one: try.
 *
 * Syscalls at start: close eventfd2
 */
static int device_try_doorbell(struct vfio_device *dev,
			       const struct doorbell *d)
{
	int fd, ret;

	fd = eventfd(0, EFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = vfio_ioeventfd(dev, d->region, d->offset, d->width, d->data, fd);
	if (!ret)
		ret = vfio_ioeventfd(dev, d->region, d->offset, d->width,
				     d->data, -1);
	close(fd);
	return ret;
}

static const char *device_doorbell_hint(int err)
{
	switch (err) {
	case -ENOTTY:
		return " (the device's driver has none)";
	case -EINVAL:
		return " (it must be in a BAR, outside of the MSI-X table)";
	default:
		return "";
	}
}

/* Can the doorbells be had that the operator named? */
static int device_check_doorbells(const struct bridge *b,
				  struct vfio_device *dev)
{
	unsigned int i;
	int ret;

	for (i = 0; i < b->own->nr_doorbells; i++) {
		const struct doorbell *d = &b->own->doorbells[i];

		if (d->region >= dev->nr_regions ||
		    !range_within(d->offset, d->width,
				  dev->regions[d->region].size)) {
			log_err("%s: --ioeventfd: region %u has no %u bytes at %#llx; 'vfio-user info' lists the regions",
				b->device.name, d->region, d->width,
				(unsigned long long)d->offset);
			return -ERANGE;
		}
		ret = device_try_doorbell(dev, d);
		if (ret) {
			log_err("%s: --ioeventfd: the kernel refuses a doorbell at %#llx of region %u: %s%s",
				b->device.name, (unsigned long long)d->offset,
				d->region, strerrordesc_np(-ret),
				device_doorbell_hint(ret));
			return ret;
		}
	}
	return 0;
}

/* What an operator should know of a device that nothing resets. */
static void device_warn_no_reset(const struct bridge *b,
				 const struct vfio_device *dev)
{
	if (b->opts->on_disconnect == ON_DISCONNECT_RESET &&
	    !device_can_reset(dev))
		log_info("%s: neither the device nor its bus can be reset: a client may find in it what the last one left",
			 b->device.name);
}

int device_check(struct bridge *b)
{
	const char *name = b->device.name;
	struct vfio_device dev;
	char driver[64];
	struct vfio_why why;
	int ret;

	ret = pci_driver(b->device.sysfs, driver, sizeof(driver));
	if (!ret && !b->device.mdev && !strstr(driver, "vfio")) {
		log_err("%s: %s%s has it, not vfio-pci: 'vfio-user bind %s' binds it, as root",
			name, driver[0] ? "driver " : "no driver", driver, name);
		return -ENODEV;
	}

	ret = vfio_device_open(&dev, name, b->device.sysfs, b->opts->iommu,
			       device_open_flags(b), &why);
	if (ret) {
		log_err("%s: cannot open the device: %s", name,
			why.text[0] ? why.text : strerrordesc_np(-ret));
		return ret;
	}
	b->group = dev.group;
	b->has_reset = dev.flags & VFIO_DEVICE_FLAGS_RESET;
	ret = device_check_doorbells(b, &dev);
	if (!ret)
		device_warn_no_reset(b, &dev);
	vfio_device_close(&dev);
	return ret;
}

int device_handle_info(struct session *s, struct msg *m)
{
	const struct vfio_user_device_info *request = m->payload;
	struct vfio_user_device_info *reply;

	if (request->argsz < sizeof(*reply))
		return -EINVAL;
	reply = session_reply(s, m, sizeof(*reply));
	if (!reply)
		return 0;

	*reply = (struct vfio_user_device_info){
		.argsz = sizeof(*reply),
		.num_regions = s->dev.nr_regions,
		.num_irqs = s->dev.nr_irqs,
	};
	if (s->dev.flags & VFIO_DEVICE_FLAGS_PCI)
		reply->flags |= VFIO_USER_DEVICE_FLAG_PCI;
	if (device_can_reset(&s->dev))
		reply->flags |= VFIO_USER_DEVICE_FLAG_RESET;
	return session_reply_send(s, m, sizeof(*reply), -1);
}

int device_handle_reset(struct session *s, struct msg *m)
{
	int ret = group_check_reset(s);

	if (!ret)
		ret = vfio_device_reset(&s->dev);
	if (ret)
		return ret;
	/* It runs again, and a stream that it had is dead. */
	close_fd(&s->migration);
	/* The client may use the memory for something else from now on. */
	ret = shadow_push(s);
	return ret ? ret : session_reply_send(s, m, 0, -1);
}
