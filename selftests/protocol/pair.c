// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two devices of one daemon, and a client of each.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pair.h"
#include "util.h"

#define PAIR_MAX_ARGS		16
#define PAIR_WAIT_MS		8000
#define PAIR_STEP_MS		5

void pair_config(struct fake_config *config, enum peer_way way)
{
	peer_config(config, way);
	config->nr_more = 1;
	config->more[0] = (struct fake_more){
		.name = PAIR_DEVICE_B,
		.group = config->group,
		.cdev = config->cdev + 1,
	};
}

void pair_init(struct pair *pair)
{
	memset(pair, 0, sizeof(*pair));
	pair->a.daemon.pid = -1;
	pair->a.sock = -1;
	pair->b.sock = -1;
}

/* The last socket that it listens on is what fake_daemon_start() waits for. */
int pair_spawn(struct pair *pair, const char *device_b,
	       const char *const args[])
{
	char socket_a[160], socket_b[160], monitor[192], device[96];
	const char *argv[PAIR_MAX_ARGS] = {
		monitor, "--device=" PAIR_DEVICE_A, socket_a,
	};
	unsigned int n = 3;
	int ret;

	snprintf(pair->a.monitor, sizeof(pair->a.monitor), "%s/monitor",
		 pair->a.root.path);
	snprintf(monitor, sizeof(monitor), "--monitor=%s", pair->a.monitor);
	snprintf(device, sizeof(device), "--device=%s", device_b);
	snprintf(socket_a, sizeof(socket_a), "--socket-path=%s/a",
		 pair->a.root.path);
	snprintf(socket_b, sizeof(socket_b), "--socket-path=%s/b",
		 pair->a.root.path);
	if (pair->own)
		argv[n++] = pair->own;
	argv[n++] = device;
	argv[n++] = socket_b;
	while (*args && n < PAIR_MAX_ARGS - 1)
		argv[n++] = *args++;
	ret = fake_daemon_start(&pair->a.daemon, &pair->a.root, argv);
	if (ret)
		return ret;

	pair->a.idle_fds = fake_nr_fds(&pair->a.root, pair->a.daemon.pid);
	pair->b = pair->a;
	snprintf(pair->a.daemon.socket, sizeof(pair->a.daemon.socket), "%s/a",
		 pair->a.root.path);
	return 0;
}

int pair_start(struct pair *pair, const struct fake_config *config,
	       const char *const args[])
{
	int ret = peer_machine(&pair->a, config);

	return ret ? ret : pair_spawn(pair, config->more[0].name, args);
}

int pair_open(struct pair *pair, enum peer_way way)
{
	const char *const none[] = { NULL };
	struct fake_config config;
	int ret;

	pair_config(&config, way);
	ret = pair_start(pair, &config, none);
	if (ret)
		return ret;
	ret = peer_connect(&pair->a);
	return ret ? ret : peer_connect(&pair->b);
}

int pair_close(struct pair *pair)
{
	close_fd(&pair->b.sock);
	return peer_close(&pair->a);
}

int pair_as(const struct peer *peer, uid_t uid)
{
	struct wire_reply r;
	int status, sock;
	pid_t pid;

	if (chmod(peer->daemon.socket, 0777))
		return -errno;
	pid = fork();
	if (!pid) {
		if (setuid(uid))
			_exit(255);
		sock = wire_connect(peer->daemon.socket);
		_exit(sock < 0 ? 255 : wire_version(sock, NULL, &r) & 0xff);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) == 255)
		return -ECHILD;
	return WEXITSTATUS(status);
}

/* Is there a session of this device? */
static bool pair_has_session(const struct peer *peer, const char *device)
{
	json_t *status = peer_status(peer), *entry;
	bool has = false;
	size_t i;

	json_array_foreach(json_object_get(status, "devices"), i, entry) {
		const char *name =
			json_string_value(json_object_get(entry, "device"));

		if (name && !strcmp(name, device))
			has = json_is_object(json_object_get(entry, "session"));
	}
	json_decref(status);
	return has;
}

int pair_wait_left(const struct peer *peer, const char *device)
{
	unsigned int ms;

	for (ms = 0; ms < PAIR_WAIT_MS; ms += PAIR_STEP_MS) {
		if (!pair_has_session(peer, device))
			return 0;
		peer_pause(PAIR_STEP_MS);
	}
	return -ETIMEDOUT;
}
