// SPDX-License-Identifier: GPL-2.0-only
/*
 * The script. A step is one command, or a few that belong together. While
 * something may fail, a step may be answered with an error, or not at all if
 * the daemon hangs up: then the rest is left out. It may not be answered wrongly,
 * and must not be left unanswered.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "script.h"
#include "selftests/protocol/feature.h"
#include "util.h"

#define PAGE		4096
#define MEMORY		(16 * PAGE)
#define IOVA		0x100000
#define OTHER_IOVA	0x800000
#define LATE_IOVA	0xc00000
#define BAR_IOVA	0x500000
#define BARE_IOVA	0x1000000
#define MIG_LEN		1000

#define SET		VFIO_USER_FEATURE_SET
#define GET		VFIO_USER_FEATURE_GET
#define LOG_START	VFIO_USER_FEATURE_DMA_LOGGING_START
#define LOG_STOP	VFIO_USER_FEATURE_DMA_LOGGING_STOP
#define LOG_REPORT	VFIO_USER_FEATURE_DMA_LOGGING_REPORT

#define TRIGGER		(VFIO_USER_IRQ_SET_DATA_EVENTFD | \
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER)
#define NONE_TRIGGER	(VFIO_USER_IRQ_SET_DATA_NONE | \
			 VFIO_USER_IRQ_SET_ACTION_TRIGGER)

static bool script_has_failed(const struct script *s)
{
	return s->failed && __atomic_load_n(s->failed, __ATOMIC_ACQUIRE);
}

/* May the daemon have answered so? Else nothing more is done. */
static bool script_step(struct script *s, int ret, const char *what)
{
	bool failed = script_has_failed(s);

	if (!ret || (ret > 0 && failed))
		return true;
	if (failed && (ret == -EPIPE || ret == -ECONNRESET)) {
		s->ended = true;
		return false;
	}
	s->wrong = what;
	s->ret = ret;
	return false;
}

static bool script_goes_on(const struct script *s)
{
	return !s->ended && !s->wrong;
}

/* One step of the script s; those that follow an end aren't made. */
#define STEP(call) ({							\
	script_goes_on(s) && script_step(s, call, #call);		\
})

/* What must be true as long as nothing has failed. */
#define WANT(condition) STEP((condition) ? 0 : EIO)

void script_config(struct fake_config *config, enum peer_way way, bool two)
{
	if (two)
		pair_config(config, way);
	else
		peer_config(config, way);
	config->migration = VFIO_USER_MIGRATION_STOP_COPY |
			    VFIO_USER_MIGRATION_P2P |
			    VFIO_USER_MIGRATION_PRE_COPY;
	config->mig_len = MIG_LEN;
	config->mig_enomsg = true;
	config->logging = true;
	config->low_power = true;
}

/* A listing that ends by itself in a monitor, if it is one. */
static int script_status(const struct peer *peer)
{
	json_t *status = peer_status(peer);
	int ret = json_is_object(status) ? 0 : EIO;

	json_decref(status);
	return ret;
}

static int script_version(struct script *s, struct peer *peer)
{
	static const char json[] =
		"{\"capabilities\":{\"iova_ranges\":[[0,4095]],\"max_msg_fds\":16}}";
	struct wire_reply r;

	peer->sock = wire_connect(peer->daemon.socket);
	if (peer->sock < 0)
		return peer->sock;
	return wire_version(peer->sock, json, &r);
}

/* A second client; while something may fail, it may be the first. */
static int script_refused(struct script *s, struct peer *peer)
{
	struct wire_reply r;
	int sock = wire_connect(peer->daemon.socket), ret;

	if (sock < 0)
		return sock;
	ret = wire_version(sock, NULL, &r);
	close(sock);
	if (ret == EBUSY)
		return 0;
	/* It is the other client's socket that hangs up. */
	return !ret || ret == -EPIPE || ret == -ECONNRESET ? EIO : ret;
}

static void script_describe(struct script *s, struct peer *peer)
{
	struct vfio_user_device_info info = { 0 };
	struct vfio_user_irq_info irq;
	struct wire_reply r;
	uint32_t i;

	STEP(wire_info(peer->sock, &info));
	for (i = 0; i < info.num_regions; i++) {
		if (i == VFIO_PCI_VGA_REGION_INDEX)
			continue;
		if (STEP(wire_region_info(peer->sock, i, 4096, &r)))
			wire_close_fds(&r);
	}
	for (i = 0; i < info.num_irqs; i++)
		STEP(wire_irq_info(peer->sock, i, &irq));
}

static void script_events(int *fds, unsigned int nr)
{
	while (nr--)
		fds[nr] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void script_close(int *fds, unsigned int nr)
{
	while (nr--)
		close_fd(&fds[nr]);
}

static int script_irq(struct peer *peer, uint32_t flags, uint32_t index,
		      uint32_t start, const int *fds, uint32_t nr)
{
	return wire_set_irqs(peer->sock, flags, index, start, nr, NULL, 0,
			     fds, fds ? nr : 0);
}

/* Vectors that are set up, enlarged, fired; they stay. */
static void script_vectors(struct script *s, struct peer *peer)
{
	int fds[8];

	script_events(fds, ARRAY_SIZE(fds));
	STEP(script_irq(peer, TRIGGER, PEER_MSIX, 0, fds, 4));
	STEP(script_irq(peer, TRIGGER, PEER_MSIX, 4, fds + 4, 4));
	STEP(script_irq(peer, TRIGGER, PEER_MSIX, 2, fds + 2, 2));
	STEP(script_irq(peer, NONE_TRIGGER, PEER_MSIX, 3, NULL, 1));
	STEP(script_irq(peer, TRIGGER, PEER_ERR, 0, fds, 1));
	STEP(script_irq(peer, TRIGGER, PEER_REQ, 0, fds + 1, 1));
	STEP(script_irq(peer, NONE_TRIGGER, PEER_ERR, 0, NULL, 1));
	STEP(wire_set_irqs(peer->sock, TRIGGER, PEER_MSIX, 5, 1, NULL, 0,
			   NULL, 0));
	script_close(fds, ARRAY_SIZE(fds));
}

/* INTx, in its turn: only one of the three can be set up. */
static void script_intx(struct script *s, struct peer *peer)
{
	int fds[2];

	script_events(fds, ARRAY_SIZE(fds));
	STEP(script_irq(peer, TRIGGER, PEER_INTX, 0, fds, 1));
	STEP(script_irq(peer, VFIO_USER_IRQ_SET_DATA_EVENTFD |
			VFIO_USER_IRQ_SET_ACTION_UNMASK, PEER_INTX, 0,
			fds + 1, 1));
	STEP(script_irq(peer, VFIO_USER_IRQ_SET_DATA_NONE |
			VFIO_USER_IRQ_SET_ACTION_MASK, PEER_INTX, 0, NULL,
			1));
	STEP(wire_set_irqs(peer->sock, TRIGGER, PEER_INTX, 0, 1, NULL, 0,
			   NULL, 0));
	STEP(script_irq(peer, NONE_TRIGGER, PEER_INTX, 0, NULL, 0));
	script_close(fds, ARRAY_SIZE(fds));
}

/* Does an eventfd fire, unless something fails? */
static bool script_fired(struct script *s, int fd)
{
	unsigned int ms;

	for (ms = 0; ms < WIRE_TIMEOUT_MS && !script_has_failed(s); ms++) {
		if (peer_fired(fd))
			return true;
		peer_pause(1);
	}
	return false;
}

/* An error of the device's, which the daemon passes on by itself. */
static void script_error(struct script *s, struct peer *peer)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	STEP(script_irq(peer, TRIGGER, PEER_ERR, 0, &fd, 1));
	if (script_goes_on(s)) {
		fake_irq_raise(s->pair->a.root.control, PEER_ERR, 0);
		WANT(script_fired(s, fd));
	}
	script_close(&fd, 1);
}

/* Memory that the device reaches, until the client hangs up. */
static int script_share(struct script *s, struct peer *peer, uint64_t iova,
			uint32_t flags)
{
	static uint8_t bare[2][MEMORY];
	struct mirror *m = &s->mirror;

	if (s->memory == SCRIPT_SHARED)
		return wire_map(peer->sock, iova, MEMORY, flags, s->file, 0);
	if (m->nr_maps == ARRAY_SIZE(bare))
		m->nr_maps = 0;
	return mirror_map(m, peer, iova, bare[m->nr_maps], MEMORY, flags);
}

/* The device's own registers, from where its region says. */
static int script_map_bar(const struct peer *peer)
{
	struct vfio_user_region_info info;
	struct wire_reply r;
	int ret;

	ret = wire_region_info(peer->sock, PEER_BAR0, 4096, &r);
	if (ret)
		return ret;
	memcpy(&info, r.payload, sizeof(info));
	ret = r.nr_fds != 1 ? EIO :
		wire_map(peer->sock, BAR_IOVA, PAGE, PEER_RW, r.fds[0],
			 info.offset);
	wire_close_fds(&r);
	return ret;
}

/* What the daemon doesn't touch, and has a thread close. */
static int script_map_path(const struct peer *peer)
{
	int fd = open("/", O_PATH | O_CLOEXEC);
	int ret = wire_map(peer->sock, BAR_IOVA, PAGE, PEER_RW, fd, 0);

	close(fd);
	if (ret == EACCES)
		return 0;
	return ret ? ret : EIO;
}

static void script_map(struct script *s, struct peer *peer)
{
	STEP(script_map_path(peer));
	STEP(script_share(s, peer, IOVA, PEER_RW));
	STEP(script_share(s, peer, OTHER_IOVA, VFIO_USER_DMA_MAP_READ));
	if (s->memory == SCRIPT_SHARED)
		STEP(wire_map(peer->sock, BARE_IOVA, MEMORY, PEER_RW, -1,
			      0));
}

bool script_begin(struct script *s)
{
	struct peer *a = &s->pair->a, *b = &s->pair->b;
	int ret;

	s->ended = false;
	s->wrong = NULL;
	s->mirror.twin = -1;
	s->file = peer_memory(MEMORY);
	if (s->memory == SCRIPT_SHARED) {
		STEP(script_version(s, a));
	} else {
		ret = mirror_connect(&s->mirror, a, s->memory == SCRIPT_TWIN,
				     "");
		STEP(ret);
		/* As far as it came is no use. */
		if (ret) {
			s->ended = true;
			close_fd(&s->mirror.twin);
		}
	}
	if (s->two)
		STEP(script_version(s, b));
	script_vectors(s, a);
	script_map(s, a);
	if (s->two) {
		script_vectors(s, b);
		script_map(s, b);
	}
	return !s->wrong;
}

static int script_io_fds(struct peer *peer, uint32_t region)
{
	const struct vfio_user_region_io_fds request = {
		.argsz = 4096,
		.index = region,
	};
	struct wire_reply r;
	int ret;

	ret = wire_call(peer->sock, VFIO_USER_DEVICE_GET_REGION_IO_FDS,
			&request, sizeof(request), &r);
	if (!ret)
		wire_close_fds(&r);
	return ret;
}

static int script_write_multi(struct peer *peer)
{
	const struct vfio_user_write_one ones[] = {
		{ FAKE_REG_SCRATCH, PEER_BAR0, 4, { 1 } },
		{ FAKE_REG_SCRATCH, PEER_BAR0, 8, { 2 } },
	};
	struct vfio_user_write_multi multi = { .wr_cnt = ARRAY_SIZE(ones) };
	uint8_t payload[sizeof(multi) + sizeof(ones)];
	struct wire_reply r;
	int ret;

	memcpy(payload, &multi, sizeof(multi));
	memcpy(payload + sizeof(multi), ones, sizeof(ones));
	ret = wire_call(peer->sock, VFIO_USER_REGION_WRITE_MULTI, payload,
			sizeof(payload), &r);
	if (ret)
		return ret;
	if (r.len != sizeof(multi) || r.nr_fds)
		return -EPROTO;
	memcpy(&multi, r.payload, sizeof(multi));
	return multi.wr_cnt == ARRAY_SIZE(ones) ? 0 : EIO;
}

static int script_copy(struct peer *peer)
{
	uint64_t status = peer_dma(peer, IOVA, IOVA + PAGE, 64);

	return status == FAKE_DMA_DONE ? 0 : EIO;
}

static void script_registers(struct script *s, struct peer *peer)
{
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	uint64_t value;

	STEP(wire_write(peer->sock, PEER_CONFIG, PCI_COMMAND, &command,
			sizeof(command), NULL));
	STEP(wire_read(peer->sock, PEER_CONFIG, 0, &value, sizeof(value),
		       NULL));
	STEP(script_write_multi(peer));
	STEP(wire_read(peer->sock, PEER_BAR0, FAKE_REG_SCRATCH, &value,
		       sizeof(value), NULL));
	WANT(value == 2);
	STEP(script_io_fds(peer, PEER_BAR0));
	STEP(script_copy(peer));
}

static int script_feature(struct peer *peer, uint32_t flags, const void *data,
			  size_t len, uint32_t room)
{
	struct wire_reply r;
	int ret = feature_call(peer->sock, flags, FEATURE_FIXED + room, data,
			       len, &r);

	if (!ret && r.nr_fds) {
		wire_close_fds(&r);
		return -EPROTO;
	}
	return ret;
}

static void script_logging(struct script *s, struct peer *peer)
{
	const struct vfio_user_feature_logging_range range = { IOVA, MEMORY };
	struct vfio_user_feature_logging_start start = {
		.page_size = PAGE,
		.num_ranges = 1,
	};
	uint8_t some[sizeof(start) + sizeof(range)];
	const struct vfio_user_feature_logging_report report = {
		.iova = IOVA,
		.length = MEMORY,
		.page_size = PAGE,
	};

	memcpy(some, &start, sizeof(start));
	memcpy(some + sizeof(start), &range, sizeof(range));
	STEP(script_feature(peer, SET | LOG_START, some, sizeof(some),
			    sizeof(some)));
	STEP(script_feature(peer, GET | LOG_REPORT, &report, sizeof(report),
			    sizeof(report) + 8));
	STEP(script_feature(peer, SET | LOG_STOP, NULL, 0, 0));
	/* Of everything, until the client hangs up. */
	start.num_ranges = 0;
	STEP(script_feature(peer, SET | LOG_START, &start, sizeof(start),
			    sizeof(start)));
}

/* There and back: what was saved is what is resumed. */
static void script_migrate(struct script *s, struct peer *peer)
{
	uint8_t data[MIG_LEN];
	uint32_t got = 0;

	STEP(script_feature(peer, GET | VFIO_USER_FEATURE_PROBE |
			    VFIO_USER_FEATURE_MIGRATION, NULL, 0, 0));
	STEP(script_feature(peer, GET | VFIO_USER_FEATURE_MIGRATION, NULL,
			    0, 8));
	STEP(script_feature(peer, GET |
			    VFIO_USER_FEATURE_MIG_DEVICE_STATE, NULL, 0, 8));
	STEP(feature_set_state(peer->sock, VFIO_USER_STATE_STOP));
	STEP(feature_set_state(peer->sock, VFIO_USER_STATE_STOP_COPY));
	STEP(stream_read(peer->sock, data, sizeof(data), &got));
	WANT(got == sizeof(data));
	STEP(feature_set_state(peer->sock, VFIO_USER_STATE_STOP));
	STEP(feature_set_state(peer->sock, VFIO_USER_STATE_RESUMING));
	STEP(stream_write(peer->sock, data, got));
	STEP(feature_set_state(peer->sock, VFIO_USER_STATE_STOP));
	STEP(feature_set_state(peer->sock, VFIO_USER_STATE_RUNNING));
	/* One that is saving ends with a reset, or when the client hangs up. */
	STEP(feature_set_state(peer->sock, VFIO_USER_STATE_PRE_COPY));
	STEP(wire_reset(peer->sock));
	STEP(feature_set_state(peer->sock, VFIO_USER_STATE_PRE_COPY));
}

/* One more, which goes by itself; then all go, and come again. */
static void script_maps(struct script *s, struct peer *peer)
{
	STEP(script_share(s, peer, LATE_IOVA, PEER_RW));
	STEP(wire_unmap(peer->sock, LATE_IOVA, MEMORY, 0));
	if (s->own_bar)
		STEP(script_map_bar(peer));
	STEP(wire_unmap(peer->sock, 0, 0, VFIO_USER_DMA_UNMAP_ALL));
	script_map(s, peer);
}

static void script_device(struct script *s, struct peer *peer)
{
	script_describe(s, peer);
	script_registers(s, peer);
	script_maps(s, peer);
	STEP(script_irq(peer, NONE_TRIGGER, PEER_MSIX, 0, NULL, 0));
	script_intx(s, peer);
	STEP(script_refused(s, peer));
}

bool script_run(struct script *s)
{
	struct peer *a = &s->pair->a;

	script_device(s, a);
	if (s->two)
		script_device(s, &s->pair->b);
	script_logging(s, a);
	script_error(s, a);
	STEP(wire_reset(a->sock));
	script_vectors(s, a);
	script_migrate(s, a);
	STEP(script_status(a));
	return !s->wrong;
}

void script_end(struct script *s)
{
	if (s->mirror.twin >= 0)
		mirror_close(&s->mirror);
	wire_on_command(NULL, NULL);
	close_fd(&s->pair->a.sock);
	close_fd(&s->pair->b.sock);
	close_fd(&s->file);
}
