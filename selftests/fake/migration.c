// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration: the states of the device, and what of it goes into a stream.
 *
 * A driver does the arcs between neighbouring states, and the kernel finds the
 * way from one state to another: the shortest, on which no state that saves
 * lies between the ends, unless both ends save. Back from STOP_COPY to PRE_COPY
 * there is none.
 *
 * The state is config.mig_len bytes: a magic number and the length, bytes that
 * follow from where they are, and at the end the SCRATCH register, so that what
 * was loaded into another device can be read there. What is resumed is checked
 * when the device stops, and refused unless it is all there.
 */
#include <linux/vfio.h>
#include <string.h>

#include "internal.h"

/* Newer than some machines' headers. */
#define STATE_PRE_COPY		6
#define STATE_PRE_COPY_P2P	7
#define NR_STATES		8
#define HAS_PRE_COPY		(1u << 2)

#define FAR			NR_STATES
#define MAGIC			0x6e6f697461726769ull

static struct stream *stream;

static const struct fake_config *config(void)
{
	return &fake_control()->config;
}

void migration_exit(void)
{
	stream_disable(&stream);
	fake_control()->mig_state = VFIO_DEVICE_STATE_RUNNING;
}

static bool state_saves(uint32_t state)
{
	return state == VFIO_DEVICE_STATE_STOP_COPY ||
	       state == STATE_PRE_COPY || state == STATE_PRE_COPY_P2P;
}

static bool state_exists(uint32_t state)
{
	bool p2p = config()->migration & VFIO_MIGRATION_P2P;
	bool pre_copy = config()->migration & HAS_PRE_COPY;

	switch (state) {
	case VFIO_DEVICE_STATE_STOP:
	case VFIO_DEVICE_STATE_RUNNING:
	case VFIO_DEVICE_STATE_STOP_COPY:
	case VFIO_DEVICE_STATE_RESUMING:
		return true;
	case VFIO_DEVICE_STATE_RUNNING_P2P:
		return p2p;
	case STATE_PRE_COPY:
		return pre_copy;
	case STATE_PRE_COPY_P2P:
		return p2p && pre_copy;
	default:
		return false;
	}
}

/* The arcs that a driver with all of it has, and those of one without P2P. */
static bool is_arc(uint32_t from, uint32_t to)
{
	static const uint8_t both[NR_STATES] = {
		[VFIO_DEVICE_STATE_STOP] = 1 << VFIO_DEVICE_STATE_STOP_COPY |
					   1 << VFIO_DEVICE_STATE_RESUMING,
		[VFIO_DEVICE_STATE_STOP_COPY] = 1 << VFIO_DEVICE_STATE_STOP,
		[VFIO_DEVICE_STATE_RESUMING] = 1 << VFIO_DEVICE_STATE_STOP,
		[VFIO_DEVICE_STATE_RUNNING] = 1 << STATE_PRE_COPY,
		[STATE_PRE_COPY] = 1 << VFIO_DEVICE_STATE_RUNNING,
	};
	static const uint8_t with_p2p[NR_STATES] = {
		[VFIO_DEVICE_STATE_RUNNING] =
			1 << VFIO_DEVICE_STATE_RUNNING_P2P,
		[VFIO_DEVICE_STATE_RUNNING_P2P] =
			1 << VFIO_DEVICE_STATE_RUNNING |
			1 << VFIO_DEVICE_STATE_STOP | 1 << STATE_PRE_COPY_P2P,
		[VFIO_DEVICE_STATE_STOP] = 1 << VFIO_DEVICE_STATE_RUNNING_P2P,
		[STATE_PRE_COPY] = 1 << STATE_PRE_COPY_P2P,
		[STATE_PRE_COPY_P2P] = 1 << STATE_PRE_COPY |
				       1 << VFIO_DEVICE_STATE_RUNNING_P2P |
				       1 << VFIO_DEVICE_STATE_STOP_COPY,
	};
	static const uint8_t without[NR_STATES] = {
		[VFIO_DEVICE_STATE_RUNNING] = 1 << VFIO_DEVICE_STATE_STOP,
		[VFIO_DEVICE_STATE_STOP] = 1 << VFIO_DEVICE_STATE_RUNNING,
		[STATE_PRE_COPY] = 1 << VFIO_DEVICE_STATE_STOP_COPY,
	};
	uint8_t arcs = both[from];

	arcs |= config()->migration & VFIO_MIGRATION_P2P ? with_p2p[from] :
							   without[from];
	return arcs & 1 << to && state_exists(to);
}

/* Can a way to @to begin with this arc? */
static bool leads(uint32_t from, uint32_t next, uint32_t to, bool saving)
{
	return is_arc(from, next) &&
	       (next == to || saving || !state_saves(next));
}

/* How many arcs it is from each state to @to, at most FAR. */
static void distances(uint32_t to, bool saving, uint8_t *far)
{
	uint32_t from, next, round;

	memset(far, FAR, NR_STATES);
	far[to] = 0;
	for (round = 0; round < NR_STATES * NR_STATES; round++) {
		from = round % NR_STATES;
		for (next = 0; next < NR_STATES; next++) {
			if (leads(from, next, to, saving) &&
			    far[next] + 1 < far[from])
				far[from] = far[next] + 1;
		}
	}
}

static int next_state(uint32_t from, uint32_t to, uint32_t *next)
{
	uint8_t far[NR_STATES];
	bool saving;

	if (!state_exists(to) || !state_exists(from) ||
	    (from == VFIO_DEVICE_STATE_STOP_COPY && to != from &&
	     state_saves(to)))
		return -EINVAL;
	saving = state_saves(from) && state_saves(to);
	distances(to, saving, far);
	for (*next = 0; *next < NR_STATES; ++*next) {
		if (leads(from, *next, to, saving) && far[*next] < far[from])
			return 0;
	}
	return -EINVAL;
}

/* Byte number @i of what lies between the length and the register. */
static uint8_t filler(size_t i)
{
	return i * 167 + (i >> 8);
}

static void state_write(uint8_t *data, size_t len, uint64_t state)
{
	const uint64_t head[2] = { MAGIC, len };
	size_t i;

	memcpy(data, head, sizeof(head));
	for (i = sizeof(head); i < len - sizeof(state); i++)
		data[i] = filler(i);
	memcpy(data + len - sizeof(state), &state, sizeof(state));
}

static int state_read(const uint8_t *data, size_t len, uint64_t *state)
{
	uint64_t head[2];
	size_t i;

	if (len != config()->mig_len)
		return -EINVAL;
	memcpy(head, data, sizeof(head));
	if (head[0] != MAGIC || head[1] != len)
		return -EINVAL;
	for (i = sizeof(head); i < len - sizeof(*state); i++) {
		if (data[i] != filler(i))
			return -EINVAL;
	}
	memcpy(state, data + len - sizeof(*state), sizeof(*state));
	return 0;
}

/* Begin to save, or go on: all that there is only once the device stands. */
static int step_save(int fd, uint32_t to, bool *opened)
{
	bool stands = to == VFIO_DEVICE_STATE_STOP_COPY;
	size_t len = config()->mig_len, ignored;

	if (!stream) {
		stream = stream_new(true, len);
		if (!stream)
			return -ENOMEM;
		*opened = true;
	}
	state_write(stream_data(stream, &ignored), len, model_get_state(fd));
	stream_fill(stream, stands ? len : config()->mig_initial,
		    !stands && config()->mig_enomsg ? ENOMSG : 0);
	return 0;
}

static int step_stop_resuming(int fd)
{
	uint64_t state;
	uint8_t *data;
	size_t len;
	int ret;

	data = stream_data(stream, &len);
	ret = state_read(data, len, &state);
	if (ret)
		return ret;
	model_set_state(fd, state);
	stream_disable(&stream);
	return 0;
}

static int step(int fd, uint32_t from, uint32_t to, bool *opened)
{
	if (state_saves(to))
		return step_save(fd, to, opened);
	if (from == VFIO_DEVICE_STATE_RESUMING)
		return step_stop_resuming(fd);
	if (to == VFIO_DEVICE_STATE_RESUMING) {
		stream = stream_new(false, config()->mig_len);
		*opened = stream;
		return stream ? 0 : -ENOMEM;
	}
	stream_disable(&stream);
	return 0;
}

static long state_set(int fd, struct vfio_device_feature_mig_state *state)
{
	uint32_t *current = &fake_control()->mig_state;
	uint32_t to = state->device_state, next;
	bool opened = false;
	int ret = 0;

	state->data_fd = -1;
	while (!ret && *current != to) {
		ret = next_state(*current, to, &next);
		if (!ret)
			ret = step(fd, *current, next, &opened);
		if (!ret)
			*current = next;
	}
	if (ret || !opened)
		return ret;
	ret = stream_fd(stream);
	if (ret < 0)
		return ret;
	state->data_fd = ret;
	return 0;
}

long migration_state(int fd, uint32_t flags, void *data, size_t len)
{
	struct vfio_device_feature_mig_state *state = data;
	int ret;

	if (!config()->migration)
		return -ENOTTY;
	ret = feature_check(flags, len, VFIO_DEVICE_FEATURE_GET |
			    VFIO_DEVICE_FEATURE_SET, sizeof(*state));
	if (ret != 1)
		return ret;
	if (flags & VFIO_DEVICE_FEATURE_SET)
		return state_set(fd, state);
	state->device_state = fake_control()->mig_state;
	state->data_fd = -1;
	return 0;
}

long migration_info(uint32_t flags, void *data, size_t len)
{
	struct vfio_device_feature_migration *info = data;
	int ret;

	if (!config()->migration)
		return -ENOTTY;
	ret = feature_check(flags, len, VFIO_DEVICE_FEATURE_GET,
			    sizeof(*info));
	if (ret == 1) {
		info->flags = config()->migration;
		ret = 0;
	}
	return ret;
}
