// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration: the kernel's stream of the device's state, read and written by
 * message.
 *
 * The kernel gives an fd for the stream with the state that begins it. It stays
 * in the daemon; MIG_DATA_READ and MIG_DATA_WRITE are read(2) and write(2) on
 * it. It is closed when a state is reached that has no stream, or another one.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <unistd.h>

#include "bridge.h"

static bool migration_has_stream(uint32_t state)
{
	return state == VFIO_USER_STATE_STOP_COPY ||
	       state == VFIO_USER_STATE_RESUMING ||
	       state == VFIO_USER_STATE_PRE_COPY ||
	       state == VFIO_USER_STATE_PRE_COPY_P2P;
}

int migration_get_state(struct session *s, uint32_t *state)
{
	struct vfio_device_feature_mig_state data = { .data_fd = -1 };
	int ret;

	ret = vfio_feature(&s->dev, VFIO_USER_FEATURE_GET |
			   VFIO_USER_FEATURE_MIG_DEVICE_STATE, &data,
			   sizeof(data));
	*state = data.device_state;
	return ret;
}

int migration_set_state(struct session *s, uint32_t state)
{
	struct vfio_device_feature_mig_state data = {
		.device_state = state,
		.data_fd = -1,
	};
	int ret;

	ret = vfio_feature(&s->dev, VFIO_USER_FEATURE_SET |
			   VFIO_USER_FEATURE_MIG_DEVICE_STATE, &data,
			   sizeof(data));
	if (ret)
		return ret;

	/* PRE_COPY to STOP_COPY goes on with the stream that it has. */
	if (data.data_fd >= 0 || !migration_has_stream(state))
		close_fd(&s->migration);
	if (data.data_fd >= 0)
		s->migration = data.data_fd;
	return 0;
}

/*
 * Less than what was asked for means the end of the stream, so read until
 * there is no more; ENOMSG is PRE_COPY's way of saying that for now.
 *
 * Syscalls: read
 */
static ssize_t migration_read(struct session *s, uint8_t *buf, size_t len)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = read(s->migration, buf + have, len - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != ENOMSG)
			return -errno;
		if (n <= 0)
			break;
		have += n;
	}
	return have;
}

int migration_handle_read(struct session *s, struct msg *m)
{
	const struct vfio_user_mig_data *request = m->payload;
	struct vfio_user_mig_data *reply;
	uint32_t size = request->size;
	ssize_t n;

	if (s->migration < 0 || size > BRIDGE_MAX_XFER ||
	    request->argsz < sizeof(*reply) ||
	    request->argsz - sizeof(*reply) < size)
		return -EINVAL;
	reply = session_reply(s, m, sizeof(*reply) + size);
	if (!reply)
		return 0;

	n = migration_read(s, reply->data, size);
	if (n < 0)
		return n;
	reply->argsz = sizeof(*reply) + n;
	reply->size = n;
	return session_reply_send(s, m, sizeof(*reply) + n, -1);
}

/* Syscalls: write */
int migration_handle_write(struct session *s, struct msg *m)
{
	const struct vfio_user_mig_data *request = m->payload;
	size_t done = 0;

	if (s->migration < 0 || request->size > BRIDGE_MAX_XFER ||
	    request->size > m->len - sizeof(*request))
		return -EINVAL;
	while (done < request->size) {
		ssize_t n = write(s->migration, request->data + done,
				  request->size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += n;
	}
	return session_reply_send(s, m, 0, -1);
}
