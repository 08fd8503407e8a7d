// SPDX-License-Identifier: GPL-2.0-only
/*
 * What nearly all of these tests begin with: a machine, the daemon on it, and
 * a client that has been greeted.
 *
 * A test must not look at the daemon while it is still at work, so whatever
 * looks from outside comes after a reply, or waits: for the log to have a
 * line, or for the number of fds to be what it is without a client.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"
#include "util.h"

/* How long to wait for what happens by itself, in milliseconds. */
#define PEER_WAIT_MS		8000
#define PEER_STEP_MS		2
#define PEER_MAX_ARGS		8

const char *peer_program(const char *name)
{
	static char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *dir = path;
	int i;

	path[max(n, (ssize_t)0)] = '\0';
	/* This program is selftests/ROOM/NAME. */
	for (i = 0; i < 3 && strrchr(path, '/'); i++) {
		dir = strrchr(path, '/');
		*dir = '\0';
	}
	snprintf(dir, sizeof(path) - (dir - path), "/%s", name);
	return path;
}

void peer_config(struct fake_config *config, enum peer_way way)
{
	fake_config_default(config);
	config->has_iommufd = way != PEER_TYPE1;
	config->has_map_file = way == PEER_MAP_FILE;
	config->has_type1 = way == PEER_TYPE1;
}

void peer_init(struct peer *peer)
{
	peer->sock = -1;
	peer->daemon.pid = -1;
	peer->root.control = NULL;
}

int peer_machine(struct peer *peer, const struct fake_config *config)
{
	peer_init(peer);
	setenv(FAKE_DAEMON_ENV, peer_program("vfio-bridge-fake"), 0);
	return fake_root_create(&peer->root, config);
}

int peer_start_with(struct peer *peer, const struct fake_config *config,
		    const char *const more[])
{
	char monitor[sizeof(peer->monitor) + 16];
	const char *args[PEER_MAX_ARGS] = { monitor };
	unsigned int n = 1;
	int ret;

	while (*more && n < PEER_MAX_ARGS - 1)
		args[n++] = *more++;

	ret = peer_machine(peer, config);
	if (ret)
		return ret;
	snprintf(peer->monitor, sizeof(peer->monitor), "%s/monitor",
		 peer->root.path);
	snprintf(monitor, sizeof(monitor), "--monitor=%s", peer->monitor);
	ret = fake_daemon_start(&peer->daemon, &peer->root, args);
	if (ret)
		return ret;
	peer->idle_fds = fake_nr_fds(&peer->root, peer->daemon.pid);
	return 0;
}

int peer_start(struct peer *peer, const struct fake_config *config,
	       const char *arg)
{
	const char *const more[] = { arg, NULL };

	return peer_start_with(peer, config, more);
}

static unsigned int peer_max_maps(const struct wire_reply *r)
{
	const size_t skip = sizeof(struct vfio_user_version);
	json_t *root, *caps;
	unsigned int max;

	/* Without the NUL at its end. */
	root = json_loadb((const char *)r->payload + skip, r->len - skip - 1, 0,
			  NULL);
	caps = json_object_get(root, "capabilities");
	max = json_integer_value(json_object_get(caps, "max_dma_maps"));
	json_decref(root);
	return max;
}

int peer_connect(struct peer *peer)
{
	struct wire_reply r;
	int ret;

	peer->sock = wire_connect(peer->daemon.socket);
	if (peer->sock < 0)
		return peer->sock;
	ret = wire_version(peer->sock, NULL, &r);
	if (ret)
		return ret;
	peer->fds = fake_nr_fds(&peer->root, peer->daemon.pid);
	peer->max_maps = peer_max_maps(&r);
	return 0;
}

int peer_begin(struct peer *peer, const struct fake_config *config,
	       const char *arg)
{
	int ret = peer_start(peer, config, arg);

	return ret ? ret : peer_connect(peer);
}

int peer_open(struct peer *peer, enum peer_way way)
{
	struct fake_config config;

	peer_config(&config, way);
	return peer_begin(peer, &config, NULL);
}

void peer_pause(unsigned int ms)
{
	struct timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000l,
	};

	nanosleep(&ts, NULL);
}

int peer_wait_idle(const struct peer *peer)
{
	unsigned int ms;

	for (ms = 0; ms < PEER_WAIT_MS; ms += PEER_STEP_MS) {
		if (fake_nr_fds(&peer->root, peer->daemon.pid) ==
		    peer->idle_fds)
			return 0;
		peer_pause(PEER_STEP_MS);
	}
	return -ETIMEDOUT;
}

int peer_hang_up(struct peer *peer)
{
	close_fd(&peer->sock);
	return peer_wait_idle(peer);
}

int peer_leave(struct peer *peer)
{
	unsigned int ms;
	json_t *status;
	bool left;

	close_fd(&peer->sock);
	for (ms = 0; ms < PEER_WAIT_MS; ms += PEER_STEP_MS) {
		status = peer_status(peer);
		left = json_is_null(json_object_get(status, "session"));
		json_decref(status);
		if (left)
			return 0;
		peer_pause(PEER_STEP_MS);
	}
	return -ETIMEDOUT;
}

static void peer_show_log(const struct peer *peer)
{
	char log[16384];

	fprintf(stderr, "%s", fake_daemon_log(&peer->daemon, log, sizeof(log)));
}

int peer_close(struct peer *peer)
{
	int ret = 0;

	close_fd(&peer->sock);
	if (peer->daemon.pid >= 0) {
		ret = fake_daemon_stop(&peer->daemon, SIGTERM);
		if (ret)
			peer_show_log(peer);
	}
	if (peer->root.control)
		fake_root_destroy(&peer->root);
	return ret;
}

int peer_nr_fds(const struct peer *peer)
{
	return fake_nr_fds(&peer->root, peer->daemon.pid) - peer->fds;
}

int peer_wait_nr_fds(const struct peer *peer, int nr)
{
	int i;

	for (i = 0; i < 1000 && peer_nr_fds(peer) != nr; i++)
		peer_pause(10);
	return peer_nr_fds(peer);
}

const uint64_t *peer_ioctls(const struct peer *peer, enum fake_kind kind,
			    unsigned long request)
{
	return &peer->root.control->ioctls[kind][_IOC_NR(request)];
}

void peer_hold(struct peer *peer, const struct fake_call_entry *call,
	       unsigned int nth)
{
	const struct fake_rule rule = {
		.call = call->call,
		.kind = call->kind,
		.request = call->request,
		.nth = nth,
		.delay_ms = FAKE_HOLD,
		.stubborn = true,
	};

	fake_rule_set(&peer->root, 0, &rule);
}

bool peer_wait_held(const struct peer *peer, unsigned int nth)
{
	const struct fake_rule *rule = &peer->root.control->rules[0];
	unsigned int ms;

	for (ms = 0; ms < PEER_WAIT_MS; ms += PEER_STEP_MS) {
		if (__atomic_load_n(&rule->seen, __ATOMIC_ACQUIRE) >= nth)
			return true;
		peer_pause(PEER_STEP_MS);
	}
	return false;
}

unsigned int peer_log_count(const struct peer *peer, const char *text)
{
	char log[65536];
	unsigned int n = 0;
	const char *p = fake_daemon_log(&peer->daemon, log, sizeof(log));

	while ((p = strstr(p, text))) {
		p += strlen(text);
		n++;
	}
	return n;
}

bool peer_log_has(const struct peer *peer, const char *text)
{
	return peer_log_count(peer, text);
}

bool peer_wait_log(const struct peer *peer, const char *text)
{
	unsigned int ms;

	for (ms = 0; ms < PEER_WAIT_MS; ms += PEER_STEP_MS) {
		if (peer_log_has(peer, text))
			return true;
		peer_pause(PEER_STEP_MS);
	}
	return false;
}

json_t *peer_status(const struct peer *peer)
{
	const struct timeval limit = { .tv_sec = PEER_WAIT_MS / 1000 };
	int sock = wire_connect(peer->monitor);
	json_t *json;

	if (sock < 0)
		return NULL;
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	json = json_loadfd(sock, 0, NULL);
	close(sock);
	return json;
}

int peer_memory(size_t size)
{
	int fd = memfd_create("client", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, size))
		close_fd(&fd);
	return fd;
}

int peer_put64(const struct peer *peer, uint64_t reg, uint64_t value)
{
	return wire_write(peer->sock, PEER_BAR0, reg, &value, sizeof(value),
			  NULL);
}

uint64_t peer_get64(const struct peer *peer, uint64_t reg)
{
	uint64_t value;

	return wire_read(peer->sock, PEER_BAR0, reg, &value, sizeof(value),
			 NULL) ? UINT64_MAX : value;
}

uint64_t peer_dma(const struct peer *peer, uint64_t src, uint64_t dst,
		  uint64_t len)
{
	const uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	if (wire_write(peer->sock, PEER_CONFIG, PCI_COMMAND, &command,
		       sizeof(command), NULL) ||
	    peer_put64(peer, FAKE_REG_DMA_SRC, src) ||
	    peer_put64(peer, FAKE_REG_DMA_DST, dst) ||
	    peer_put64(peer, FAKE_REG_DMA_LEN, len) ||
	    peer_put64(peer, FAKE_REG_DOORBELL, 1))
		return UINT64_MAX;
	return peer_get64(peer, FAKE_REG_STATUS);
}

uint64_t peer_fired(int fd)
{
	eventfd_t value;

	if (fcntl(fd, F_SETFL, O_NONBLOCK) || eventfd_read(fd, &value))
		return 0;
	return value;
}

uint64_t peer_wait_fired(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	return poll(&wait, 1, PEER_WAIT_MS) == 1 ? peer_fired(fd) : 0;
}
