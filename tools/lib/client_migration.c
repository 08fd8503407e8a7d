// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration: the device's states, and the stream that carries one device's
 * state to another.
 *
 * The states and the ways between them are those of the kernel's VFIO. The
 * stream has no form that is known here. A piece from the server that is shorter
 * than what was asked for means its end, which in PRE_COPY is the end only for
 * now.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "internal.h"
#include "log.h"

/* A feature whose reply must have exactly @len bytes of data. */
static int migration_feature(struct vfio_user_client *c, uint32_t flags,
			     void *data, size_t len)
{
	ssize_t n = vfio_user_feature(c, flags, NULL, 0, data, len);

	if (n < 0 && n != -ENOSPC)
		return n;
	if (n != len) {
		log_debug("the server's answer about migration has the wrong length");
		return client_break(c, -EPROTO);
	}
	return 0;
}

int vfio_user_migration_flags(struct vfio_user_client *c, uint64_t *flags)
{
	struct vfio_user_feature_migration data;
	int ret;

	ret = migration_feature(c, VFIO_USER_FEATURE_GET |
				VFIO_USER_FEATURE_MIGRATION,
				&data, sizeof(data));
	/* What servers that lack the feature, or all features, answer. */
	if (ret == -EOPNOTSUPP || ret == -EINVAL)
		return -ENOTTY;
	if (!ret)
		*flags = data.flags;
	return ret;
}

int vfio_user_migration_get_state(struct vfio_user_client *c, uint32_t *state)
{
	struct vfio_user_feature_mig_state data;
	int ret;

	ret = migration_feature(c, VFIO_USER_FEATURE_GET |
				VFIO_USER_FEATURE_MIG_DEVICE_STATE,
				&data, sizeof(data));
	if (ret)
		return ret;
	if (data.device_state > VFIO_USER_STATE_PRE_COPY_P2P) {
		log_debug("the server says that the device is in state %u",
			  data.device_state);
		return client_break(c, -EPROTO);
	}
	*state = data.device_state;
	return 0;
}

int vfio_user_migration_set_state(struct vfio_user_client *c, uint32_t state)
{
	const struct vfio_user_feature_mig_state data = {
		.device_state = state,
		.data_fd = -1,
	};
	ssize_t n = vfio_user_feature(c, VFIO_USER_FEATURE_SET |
				      VFIO_USER_FEATURE_MIG_DEVICE_STATE,
				      &data, sizeof(data), NULL, 0);

	/* Only from PRE_COPY to STOP_COPY does the stream stay the same. */
	if (state != VFIO_USER_STATE_STOP_COPY)
		c->stream_error = 0;
	return n < 0 ? n : 0;
}

/* One message; returns the bytes that came. */
static ssize_t migration_read_some(struct vfio_user_client *c, void *buf,
				   uint32_t count)
{
	struct vfio_user_mig_data reply, req = {
		.argsz = sizeof(req) + count,
		.size = count,
	};
	struct iovec iov = { &req, sizeof(req) };
	struct msg m;
	int ret;

	ret = client_call(c, VFIO_USER_MIG_DATA_READ, &iov, 1, NULL, 0, &m);
	if (ret)
		return ret;
	if (m.nr_fds)
		return client_violation(c, &m, "fds that nobody asked for");
	if (m.len < sizeof(reply))
		return client_violation(c, &m, "a payload of the wrong length");
	memcpy(&reply, m.payload, sizeof(reply));
	if (reply.size > count)
		return client_violation(c, &m, "a count above what was asked");
	if (m.len != sizeof(reply) + reply.size)
		return client_violation(c, &m, "a payload of the wrong length");

	memcpy(buf, (char *)m.payload + sizeof(reply), reply.size);
	return reply.size;
}

/* What has come is gone from the server: first that, then the error. */
ssize_t vfio_user_migration_read(struct vfio_user_client *c, void *buf,
				 size_t count)
{
	ssize_t n = c->stream_error;
	size_t done = 0;

	if (count > SSIZE_MAX)
		return -EINVAL;
	c->stream_error = 0;
	if (n)
		return n;
	while (done < count) {
		size_t ask = min(count - done, client_max_xfer(c));

		n = migration_read_some(c, (char *)buf + done, ask);
		if (n < 0 && !done)
			return n;
		if (n < 0) {
			c->stream_error = n;
			break;
		}
		done += n;
		if (n < ask)
			break;
	}
	return done;
}

static int migration_write_some(struct vfio_user_client *c, const void *buf,
				uint32_t count)
{
	struct vfio_user_mig_data req = {
		.argsz = sizeof(req) + count,
		.size = count,
	};
	struct iovec iov[] = {
		{ &req, sizeof(req) },
		{ (void *)buf, count },
	};

	return client_command(c, VFIO_USER_MIG_DATA_WRITE, iov, 2, NULL, 0);
}

int vfio_user_migration_write(struct vfio_user_client *c, const void *buf,
			      size_t count)
{
	size_t done = 0;

	while (done < count) {
		size_t piece = min(count - done, client_max_xfer(c));
		int ret = migration_write_some(c, (const char *)buf + done,
					       piece);

		if (ret)
			return ret;
		done += piece;
	}
	return 0;
}
