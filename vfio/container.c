// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the devices of one IOMMU group have to share.
 *
 * The IOMMU can't tell the devices of a group apart, so the kernel gives them
 * one address space and one owner: a group is opened once, and its devices come
 * out of that; with iommufd they are bound to one iommufd and attached to one
 * I/O address space. The first device of a group that is opened here makes the
 * container, the next ones join it, the last one out closes it. Devices of
 * different groups never share one.
 *
 * A container is in a list as long as somebody refers to it, which is longer
 * than it is in use: who opens it while another closes it waits for that, and
 * isn't told that the group is busy. Nothing but opening and closing a
 * container, and looking at its windows, happens with its lock held: a device
 * that takes long to open or to close keeps no other one waiting.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

static pthread_once_t containers_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t containers_lock;
static LIST_HEAD(, vfio_container) containers;

static void vfio_containers_init(void)
{
	pthread_mutex_init(&containers_lock, NULL);
}

/* With containers_lock. */
static struct vfio_container *vfio_container_find(const struct vfio_device *dev)
{
	struct vfio_container *c;

	if (dev->group < 0)
		return NULL;
	LIST_FOREACH(c, &containers, entry) {
		if (c->group == dev->group && c->ops == dev->ops)
			return c;
	}
	return NULL;
}

/* With containers_lock. */
static struct vfio_container *vfio_container_new(const struct vfio_device *dev)
{
	struct vfio_container *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ops = dev->ops;
	c->group = dev->group;
	c->noiommu = dev->noiommu;
	c->emulated = dev->emulated;
	c->fd = -1;
	c->group_fd = -1;
	c->max_windows = vfio_window_limit();
	pthread_mutex_init(&c->lock, NULL);
	LIST_INSERT_HEAD(&containers, c, entry);
	return c;
}

static void vfio_container_unref(struct vfio_container *c)
{
	pthread_mutex_lock(&containers_lock);
	if (--c->refs) {
		pthread_mutex_unlock(&containers_lock);
		return;
	}
	LIST_REMOVE(c, entry);
	pthread_mutex_unlock(&containers_lock);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* With its lock: one user more, if it may be. */
static int vfio_container_use(struct vfio_device *dev, bool share,
			      struct vfio_why *why)
{
	struct vfio_container *c = dev->container;
	int ret = 0;

	if (!c->users) {
		c->shared = share;
		ret = c->ops->open(dev, why);
	} else if (!share || !c->shared) {
		vfio_why_set(why, "IOMMU group %d is in use by another device of this process, which does not share it",
			     c->group);
		ret = -EBUSY;
	}
	if (ret)
		return ret;
	dev->joined = c->users++;
	return 0;
}

int vfio_container_get(struct vfio_device *dev, bool share,
		       struct vfio_why *why)
{
	struct vfio_container *c;
	int ret;

	pthread_once(&containers_once, vfio_containers_init);
	pthread_mutex_lock(&containers_lock);
	c = vfio_container_find(dev);
	if (!c)
		c = vfio_container_new(dev);
	if (c)
		c->refs++;
	pthread_mutex_unlock(&containers_lock);
	if (!c)
		return -ENOMEM;

	dev->container = c;
	pthread_mutex_lock(&c->lock);
	ret = vfio_container_use(dev, share, why);
	pthread_mutex_unlock(&c->lock);
	if (ret) {
		dev->container = NULL;
		vfio_container_unref(c);
	}
	return ret;
}

void vfio_container_put(struct vfio_device *dev)
{
	struct vfio_container *c = dev->container;

	pthread_mutex_lock(&c->lock);
	if (!--c->users) {
		c->ops->close(c);
		vfio_window_forget_all(c);
	}
	pthread_mutex_unlock(&c->lock);
	dev->container = NULL;
	vfio_container_unref(c);
}
