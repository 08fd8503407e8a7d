// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_IOEVENTFD, with vfio-pci's rules. When the eventfd fires nobody
 * here is told: a kernel has a callback for that, and this would need a thread.
 * The test rings and then says so (ring.c).
 */
#include <linux/vfio.h>
#include <string.h>

#include "internal.h"

#define MSIX_ENTRY_SIZE		16

static const struct fake_config *config(void)
{
	return &fake_control()->config;
}

void doorbell_init(void)
{
	struct fake_control *control = fake_control();

	control->nr_doorbells = 0;
	memset(control->doorbells, 0, sizeof(control->doorbells));
}

static void doorbell_remove(struct fake_doorbell *doorbell)
{
	unhide_fd(&doorbell->fd);
	doorbell->width = 0;
	fake_control()->nr_doorbells--;
}

void doorbell_exit(void)
{
	struct fake_doorbell *doorbell = fake_control()->doorbells;
	int i;

	for (i = 0; i < FAKE_MAX_DOORBELLS; i++, doorbell++) {
		if (doorbell->width)
			doorbell_remove(doorbell);
	}
}

/* The entry with this write; with no width, one that is free. */
static struct fake_doorbell *doorbell_find(const struct fake_doorbell *like)
{
	struct fake_doorbell *doorbell = fake_control()->doorbells;
	int i;

	for (i = 0; i < FAKE_MAX_DOORBELLS; i++, doorbell++) {
		if (doorbell->width == like->width &&
		    (!like->width || (doorbell->region == like->region &&
				      doorbell->offset == like->offset &&
				      doorbell->data == like->data)))
			return doorbell;
	}
	return NULL;
}

static long doorbell_check(const struct fake_doorbell *doorbell)
{
	uint64_t end = doorbell->offset + doorbell->width;
	uint32_t vectors = config()->irqs[VFIO_PCI_MSIX_IRQ_INDEX].count;

	if (doorbell->region > VFIO_PCI_BAR5_REGION_INDEX ||
	    end > config()->regions[doorbell->region].size)
		return -EINVAL;
	if (doorbell->region == FAKE_MSIX_BAR &&
	    doorbell->offset < vectors * MSIX_ENTRY_SIZE)
		return -EINVAL;
	return 0;
}

static long doorbell_add(const struct fake_doorbell *like)
{
	const struct fake_doorbell none = { .width = 0 };
	struct fake_doorbell *doorbell = doorbell_find(&none);
	int fd;

	if (like->fd < 0)
		return -ENODEV;
	if (!doorbell)
		return -ENOSPC;
	fd = eventfd_take(like->fd);
	if (fd < 0)
		return fd;
	*doorbell = *like;
	doorbell->fd = fd;
	fake_control()->nr_doorbells++;
	return 0;
}

long doorbell_set(const void *arg)
{
	const struct vfio_device_ioeventfd *set = arg;
	uint32_t width = set->flags & VFIO_DEVICE_IOEVENTFD_SIZE_MASK;
	const struct fake_doorbell like = {
		.fd = set->fd,
		.region = set->offset >> FAKE_REGION_SHIFT,
		.width = width,
		.offset = set->offset & ((1ull << FAKE_REGION_SHIFT) - 1),
		.data = set->data,
	};
	struct fake_doorbell *old;
	long ret;

	/* No mediated device has them. */
	if (config()->mdev)
		return -ENOTTY;
	if (set->argsz < sizeof(*set) || set->flags != width || !width ||
	    width & (width - 1) || set->fd < -1)
		return -EINVAL;
	ret = doorbell_check(&like);
	if (ret)
		return ret;

	old = doorbell_find(&like);
	if (!old)
		return doorbell_add(&like);
	if (like.fd >= 0)
		return -EEXIST;
	doorbell_remove(old);
	return 0;
}
