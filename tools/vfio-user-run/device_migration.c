// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration: the device's state, and the fd that has its data.
 *
 * The kernel gives an fd when the device begins to save or to load. Ours is of
 * our own making: reading from it and writing to it are messages. What the
 * kernel says of the amount still to come (VFIO_MIG_GET_PRECOPY_INFO) has none,
 * so that is ENOTTY.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdlib.h>

#include "device.h"

/* Most bytes that are copied at a time: as many as one message carries */
#define STREAM_CHUNK		VFIO_USER_DEF_MAX_XFER

/**
 * struct stream - an fd for the data of a migration
 * @file: what is common
 * @dev: the device, which may be closed by now
 */
struct stream {
	struct run_file file;
	struct run_device *dev;
};

static int stream_ioctl(struct run_file *file, unsigned long request, void *arg)
{
	return -ENOTTY;
}

static ssize_t stream_move(struct stream *s, void *buf, size_t count,
			   bool is_write)
{
	struct vfio_user_client *client;
	ssize_t ret;

	ret = run_device_lock(s->dev, &client);
	if (ret)
		return ret;
	if (!is_write)
		return run_device_unlock(s->dev,
					 vfio_user_migration_read(client, buf,
								  count));
	ret = vfio_user_migration_write(client, buf, count);
	ret = run_device_unlock(s->dev, ret);
	return ret ? ret : (ssize_t)count;
}

/* Of one chunk, through @bounce, because @user may be a bad pointer. */
static ssize_t stream_copy(struct stream *s, void *user, size_t count,
			   bool is_write, void *bounce)
{
	ssize_t n;

	if (is_write && run_copy_in(bounce, user, count))
		return -EFAULT;
	n = stream_move(s, bounce, count, is_write);
	if (n > 0 && !is_write && run_copy_out(user, bounce, n))
		return -EFAULT;
	return n;
}

static ssize_t stream_access(struct run_file *file, char *buf, size_t count,
			     bool is_write)
{
	struct stream *s = container_of(file, struct stream, file);
	size_t done = 0, ask;
	void *bounce;
	ssize_t n;

	if (!count)
		return 0;
	bounce = malloc(min(count, (size_t)STREAM_CHUNK));
	if (!bounce)
		return -ENOMEM;
	do {
		ask = min(count - done, (size_t)STREAM_CHUNK);
		n = stream_copy(s, buf + done, ask, is_write, bounce);
		done += n > 0 ? n : 0;
	} while (n == ask && done < count);
	free(bounce);
	return done ? done : n;
}

static ssize_t stream_read(struct run_file *file, void *buf, size_t count,
			   off_t offset)
{
	return stream_access(file, buf, count, false);
}

static ssize_t stream_write(struct run_file *file, const void *buf,
			    size_t count, off_t offset)
{
	return stream_access(file, (void *)buf, count, true);
}

static void stream_release(struct run_file *file)
{
	free(container_of(file, struct stream, file));
}

static const struct run_ops stream_ops = {
	.ioctl = stream_ioctl,
	.pread = stream_read,
	.pwrite = stream_write,
	.release = stream_release,
};

static int stream_open(struct run_device *dev)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	run_file_init(&s->file, RUN_STREAM, &stream_ops);
	s->dev = dev;
	return run_file_install(&s->file, O_CLOEXEC, -1);
}

int device_migration_flags(struct run_device *dev, uint32_t flags, void *data)
{
	struct vfio_user_client *client;
	uint64_t out;
	int ret;

	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	ret = vfio_user_migration_flags(client, &out);
	ret = run_device_unlock(dev, ret);
	return ret ? ret : run_copy_out(data, &out, sizeof(out));
}

static bool state_saves(uint32_t state)
{
	return state == VFIO_USER_STATE_STOP_COPY ||
	       state == VFIO_USER_STATE_PRE_COPY ||
	       state == VFIO_USER_STATE_PRE_COPY_P2P;
}

/* A stream begins with these; going on saving, it is the same. */
static bool state_begins_stream(uint32_t old, uint32_t new)
{
	if (new == VFIO_USER_STATE_RESUMING)
		return old != new;
	return state_saves(new) && !state_saves(old);
}

static int state_change(struct run_device *dev, uint32_t *old, uint32_t new)
{
	struct vfio_user_client *client;
	int ret;

	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	ret = vfio_user_migration_get_state(client, old);
	if (!ret)
		ret = vfio_user_migration_set_state(client, new);
	return run_device_unlock(dev, ret);
}

static int state_get(struct run_device *dev, uint32_t *state)
{
	struct vfio_user_client *client;
	int ret;

	ret = run_device_lock(dev, &client);
	if (ret)
		return ret;
	ret = vfio_user_migration_get_state(client, state);
	return run_device_unlock(dev, ret);
}

int device_migration_state(struct run_device *dev, uint32_t flags, void *data)
{
	struct vfio_device_feature_mig_state mig;
	uint32_t old;
	int ret;

	if (run_copy_in(&mig, data, sizeof(mig)))
		return -EFAULT;
	mig.data_fd = -1;
	if (flags & VFIO_DEVICE_FEATURE_GET) {
		ret = state_get(dev, &mig.device_state);
		return ret ? ret : run_copy_out(data, &mig, sizeof(mig));
	}
	ret = state_change(dev, &old, mig.device_state);
	if (!ret && state_begins_stream(old, mig.device_state)) {
		mig.data_fd = stream_open(dev);
		ret = min(mig.data_fd, 0);
	}
	/* Also after an error, as the kernel does. */
	return run_copy_out(data, &mig, sizeof(mig)) ? -EFAULT : ret;
}
