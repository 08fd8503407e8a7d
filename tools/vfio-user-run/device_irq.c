// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts: GET_IRQ_INFO and SET_IRQS.
 *
 * The eventfds go to the bridge, and from there to the kernel, which signals
 * them. Arguments are checked as the kernel checks them before it looks at the
 * device, so that what is wrong with them is said in the kernel's words: the
 * socket has one error for much of it.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

static int irq_describe(struct run_device *dev, uint32_t index,
			struct vfio_user_irq_info *info)
{
	struct vfio_user_client *client;
	int ret;

	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	ret = vfio_user_irq_info(client, index, info);
	return run_device_unlock(dev, ret);
}

int device_get_irq_info(struct run_device *dev, void *arg)
{
	struct vfio_user_irq_info wire;
	struct vfio_irq_info info;
	int ret;

	if (run_copy_in(&info, arg, sizeof(info)))
		return -EFAULT;
	if (info.argsz < sizeof(info))
		return -EINVAL;
	ret = irq_describe(dev, info.index, &wire);
	if (ret)
		return ret;
	info.flags = wire.flags;
	info.count = wire.count;
	return run_copy_out(arg, &info, sizeof(info));
}

/* Return: bytes of data that follow, or a negative errno. */
static ssize_t irq_data_size(const struct vfio_irq_set *set)
{
	uint64_t size;

	switch (set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		return 0;
	case VFIO_IRQ_SET_DATA_BOOL:
		size = set->count;
		break;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		size = (uint64_t)set->count * sizeof(int32_t);
		break;
	default:
		return -EINVAL;
	}
	return set->argsz - sizeof(*set) < size ? -EINVAL : (ssize_t)size;
}

static ssize_t irq_check(struct run_device *dev, const struct vfio_irq_set *set)
{
	struct vfio_user_irq_info info;
	int ret;

	if (set->argsz < sizeof(*set) || set->count >= UINT32_MAX - set->start ||
	    set->flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK |
			   VFIO_IRQ_SET_ACTION_TYPE_MASK))
		return -EINVAL;
	ret = irq_describe(dev, set->index, &info);
	if (ret)
		return ret;
	if (set->start >= info.count || set->start + set->count > info.count)
		return -EINVAL;
	return irq_data_size(set);
}

static bool irq_action_is_one(uint32_t flags)
{
	flags &= VFIO_IRQ_SET_ACTION_TYPE_MASK;
	return flags && !(flags & (flags - 1));
}

static int irq_send(struct run_device *dev, const struct vfio_irq_set *set,
		    const void *data)
{
	struct vfio_user_client *client;
	int ret;

	if (!irq_action_is_one(set->flags))
		return -ENOTTY;
	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	ret = vfio_user_irq_set(client, set->flags, set->index, set->start,
				set->count, data);
	return run_device_unlock(dev, ret);
}

int device_set_irqs(struct run_device *dev, void *arg)
{
	struct vfio_irq_set set;
	void *data = NULL;
	ssize_t size;
	int ret;

	if (run_copy_in(&set, arg, sizeof(set)))
		return -EFAULT;
	size = irq_check(dev, &set);
	if (size < 0)
		return size;
	if (size) {
		data = malloc(size);
		if (!data)
			return -ENOMEM;
	}
	ret = run_copy_in(data, (char *)arg + sizeof(set), size);
	if (!ret)
		ret = irq_send(dev, &set, data);
	free(data);
	return ret;
}
