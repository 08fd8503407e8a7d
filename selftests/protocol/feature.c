// SPDX-License-Identifier: GPL-2.0-only
/* DEVICE_FEATURE and the migration stream: messages put together and checked. */
#include <errno.h>
#include <string.h>

#include "feature.h"

#define MIG_STATE		VFIO_USER_FEATURE_MIG_DEVICE_STATE

int feature_call(int sock, uint32_t flags, uint32_t argsz, const void *data,
		 size_t len, struct wire_reply *r)
{
	const struct vfio_user_device_feature feature = {
		.argsz = argsz,
		.flags = flags,
	};
	uint8_t payload[sizeof(feature) + 8192];

	if (len > 8192)
		return -EMSGSIZE;
	memcpy(payload, &feature, sizeof(feature));
	if (len)
		memcpy(payload + sizeof(feature), data, len);
	return wire_call(sock, VFIO_USER_DEVICE_FEATURE, payload,
			 sizeof(feature) + len, r);
}

bool feature_is(const struct wire_reply *r, uint32_t flags, uint32_t argsz,
		size_t len)
{
	struct vfio_user_device_feature feature;

	if (r->nr_fds || r->len != sizeof(feature) + len)
		return false;
	memcpy(&feature, r->payload, sizeof(feature));
	return feature.flags == flags && feature.argsz == argsz;
}

/* GET or SET the state; what the reply says of it. */
static int feature_call_state(int sock, uint32_t method, uint32_t *state)
{
	struct vfio_user_feature_mig_state data = {
		.device_state = *state,
		.data_fd = 77,
	};
	const uint32_t argsz = FEATURE_FIXED + sizeof(data);
	struct wire_reply r;
	int ret;

	ret = feature_call(sock, method | MIG_STATE, argsz, &data,
			   sizeof(data), &r);
	if (ret)
		return ret;
	if (!feature_is(&r, method | MIG_STATE, argsz, sizeof(data))) {
		wire_close_fds(&r);
		return -EPROTO;
	}
	memcpy(&data, r.payload + FEATURE_FIXED, sizeof(data));
	*state = data.device_state;
	/* No number of the daemon's means anything here. */
	return data.data_fd == UINT32_MAX ? 0 : -EPROTO;
}

int feature_set_state(int sock, uint32_t state)
{
	uint32_t reached = state;
	int ret = feature_call_state(sock, VFIO_USER_FEATURE_SET, &reached);

	return !ret && reached != state ? -EPROTO : ret;
}

uint32_t feature_state(int sock)
{
	uint32_t state = UINT32_MAX;
	int ret = feature_call_state(sock, VFIO_USER_FEATURE_GET, &state);

	return ret ? UINT32_MAX : state;
}

int stream_read(int sock, void *buf, uint32_t size, uint32_t *got)
{
	struct vfio_user_mig_data data = {
		.argsz = sizeof(data) + size,
		.size = size,
	};
	struct wire_reply r;
	int ret;

	*got = 0;
	ret = wire_call(sock, VFIO_USER_MIG_DATA_READ, &data, sizeof(data),
			&r);
	if (ret)
		return ret;
	if (r.nr_fds || r.len < sizeof(data)) {
		wire_close_fds(&r);
		return -EPROTO;
	}
	memcpy(&data, r.payload, sizeof(data));
	if (data.argsz != r.len || data.size > size ||
	    r.len != sizeof(data) + data.size)
		return -EPROTO;
	memcpy(buf, r.payload + sizeof(data), data.size);
	*got = data.size;
	return 0;
}

int stream_write(int sock, const void *buf, uint32_t size)
{
	uint8_t payload[WIRE_MAX_PAYLOAD];
	const struct vfio_user_mig_data data = {
		.argsz = sizeof(data) + size,
		.size = size,
	};
	struct wire_reply r;
	int ret;

	if (size > sizeof(payload) - sizeof(data))
		return -EMSGSIZE;
	memcpy(payload, &data, sizeof(data));
	memcpy(payload + sizeof(data), buf, size);
	ret = wire_call(sock, VFIO_USER_MIG_DATA_WRITE, payload,
			sizeof(data) + size, &r);
	return ret ? ret : r.len || r.nr_fds ? -EPROTO : 0;
}
