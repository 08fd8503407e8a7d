// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client that has the daemon make each call of the kernel that it can be made
 * to make.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "feature.h"
#include "held.h"
#include "mirror.h"
#include "util.h"

/* Where the memory is that isn't shared. */
#define UNSHARED	(4 * HELD_SIZE)

/* Look at what there is, and let the device at the memory. */
static int use_device(const struct held_client *c, int event)
{
	struct peer *peer = c->peer;
	struct vfio_user_irq_info irq;
	struct vfio_user_device_info info;
	struct wire_reply r;

	if (wire_info(peer->sock, &info) ||
	    wire_region_info(peer->sock, PEER_BAR0, 4096, &r))
		return -1;
	wire_close_fds(&r);
	if (wire_irq_info(peer->sock, PEER_MSIX, &irq) ||
	    wire_map(peer->sock, 0, HELD_SIZE, PEER_RW, c->memory, 0) ||
	    wire_map(peer->sock, HELD_SIZE, HELD_SIZE, PEER_RW, c->memory,
		     HELD_SIZE) ||
	    wire_set_irqs(peer->sock, VFIO_USER_IRQ_SET_DATA_EVENTFD |
			  VFIO_USER_IRQ_SET_ACTION_TRIGGER, PEER_MSIX, 0, 1,
			  NULL, 0, &event, 1) ||
	    peer_dma(peer, 0, HELD_SIZE, 64) != FAKE_DMA_DONE)
		return -1;
	return wire_unmap(peer->sock, HELD_SIZE, HELD_SIZE, 0);
}

/* Let it at memory that is asked for and sent back by message. */
static int use_unshared(struct mirror *m, struct peer *peer)
{
	static uint8_t memory[HELD_SIZE];

	if (mirror_map(m, peer, UNSHARED, memory, HELD_SIZE, PEER_RW) ||
	    peer_dma(peer, UNSHARED, UNSHARED + 64, 64) != FAKE_DMA_DONE)
		return -1;
	return wire_unmap(peer->sock, UNSHARED, HELD_SIZE, 0);
}

static int ask_for_doorbell(struct peer *peer)
{
	const struct vfio_user_region_io_fds request = {
		.argsz = 4096,
		.index = PEER_BAR0,
	};
	struct wire_reply r;
	int ret;

	ret = wire_call(peer->sock, VFIO_USER_DEVICE_GET_REGION_IO_FDS,
			&request, sizeof(request), &r);
	if (ret)
		return ret;
	ret = r.nr_fds == 1 ? 0 : -ENOENT;
	wire_close_fds(&r);
	return ret;
}

/* Save it, and begin to load it again, which the reset ends. */
static int migrate_device(struct peer *peer)
{
	uint8_t data[64];
	uint32_t got;

	if (feature_set_state(peer->sock, VFIO_USER_STATE_STOP) ||
	    feature_set_state(peer->sock, VFIO_USER_STATE_STOP_COPY) ||
	    stream_read(peer->sock, data, sizeof(data), &got) ||
	    feature_set_state(peer->sock, VFIO_USER_STATE_STOP) ||
	    feature_set_state(peer->sock, VFIO_USER_STATE_RESUMING) ||
	    stream_write(peer->sock, data, got))
		return -1;
	return wire_reset(peer->sock);
}

static int start_logging(struct peer *peer)
{
	const struct vfio_user_feature_logging_start start = {
		.page_size = 4096,
	};
	struct wire_reply r;

	return feature_call(peer->sock, VFIO_USER_FEATURE_SET |
			    VFIO_USER_FEATURE_DMA_LOGGING_START, 4096, &start,
			    sizeof(start), &r);
}

int held_serve(const struct held_client *c)
{
	static struct mirror mirror;
	int event = eventfd(0, EFD_CLOEXEC), ret;

	ret = c->unshared ? mirror_connect(&mirror, c->peer, false, "") :
			    peer_connect(c->peer);
	if (!ret)
		ret = use_device(c, event);
	if (!ret && c->unshared)
		ret = use_unshared(&mirror, c->peer);
	if (!ret && c->doorbell)
		ret = ask_for_doorbell(c->peer);
	if (!ret)
		ret = migrate_device(c->peer);
	if (!ret)
		ret = start_logging(c->peer);
	if (c->unshared)
		mirror_close(&mirror);
	close(event);
	return ret;
}

pid_t held_serve_apart(const struct held_client *c)
{
	pid_t pid = fork();

	if (!pid) {
		close_fd(&c->peer->sock);
		_exit(held_serve(c) ? 1 : 0);
	}
	return pid;
}

bool held_ended_well(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

/* The device of the session may be retained. */
int held_leave(struct peer *peer, const char *device)
{
	close_fd(&peer->sock);
	return pair_wait_left(peer, device);
}

int held_record(const struct held_client *c, struct recording *to)
{
	const struct fake_control *control = c->peer->root.control;
	uint64_t first = control->nr_logged, n;

	if (held_serve(c))
		return -EPROTO;
	to->nr_served = control->nr_logged - first;
	if (held_leave(c->peer, PAIR_DEVICE_A))
		return -ETIMEDOUT;
	to->nr = control->nr_logged - first;
	if (to->nr > HELD_MAX_CALLS)
		return -E2BIG;
	for (n = 0; n < to->nr; n++)
		to->calls[n] = control->call_log[(first + n) %
						 FAKE_CALL_LOG_LEN];
	return 0;
}

int held_find(const struct recording *in, enum fake_kind kind,
	      unsigned long request)
{
	unsigned int i;

	for (i = 0; i < in->nr; i++) {
		if (in->calls[i].call == FAKE_IOCTL &&
		    in->calls[i].kind == kind &&
		    in->calls[i].request == request)
			return i;
	}
	return -ENOENT;
}

static bool same_call(const struct fake_call_entry *a,
		      const struct fake_call_entry *b)
{
	return a->call == b->call && a->kind == b->kind &&
	       a->request == b->request;
}

unsigned int held_occurrence(const struct recording *in, unsigned int at,
			     bool *last)
{
	unsigned int i, nth = 0;

	*last = true;
	for (i = 0; i < in->nr; i++) {
		if (!same_call(&in->calls[i], &in->calls[at]))
			continue;
		if (i <= at)
			nth++;
		else
			*last = false;
	}
	return nth;
}

bool held_is_an_end(const struct recording *in, unsigned int at)
{
	bool last;

	return held_occurrence(in, at, &last) == 1 || last;
}

bool held_status(const struct peer *peer, unsigned int nr)
{
	json_t *status = peer_status(peer), *list, *session;
	bool told;

	list = json_object_get(status, "devices");
	session = json_object_get(json_array_get(list, 0), "session");
	told = json_array_size(list) == nr && json_is_object(session);
	json_decref(status);
	return told;
}

/* From VERSION to the end of its session. */
bool held_other_is_served(struct peer *peer, const char *device, int memory)
{
	if (peer_connect(peer) ||
	    wire_map(peer->sock, 0, HELD_SIZE, PEER_RW, memory, 0) ||
	    peer_dma(peer, 0, 64, 64) != FAKE_DMA_DONE ||
	    wire_unmap(peer->sock, 0, HELD_SIZE, 0) || wire_reset(peer->sock))
		return false;
	return !held_leave(peer, device);
}
