/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PROTOCOL_PEER_H
#define PROTOCOL_PEER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "selftests/fake/fixture.h"
#include "wire.h"

/*
 * A daemon on the software VFIO and one client of it, for tests that aren't
 * about starting one. Functions return 0 or a negative errno unless they say
 * otherwise.
 */

/* The ways into the kernel that a test can go. */
enum peer_way {
	PEER_MAP_FILE,	/* iommufd with IOMMU_IOAS_MAP_FILE */
	PEER_MAP,	/* iommufd without */
	PEER_TYPE1,	/* group and container */
};

/* What the fake device's regions and interrupts are called here. */
#define PEER_BAR0		0
#define PEER_BAR2		2
#define PEER_BAR4		4
#define PEER_ROM		6
#define PEER_CONFIG		7
#define PEER_INTX		0
#define PEER_MSI		1
#define PEER_MSIX		2
#define PEER_ERR		3
#define PEER_REQ		4

#define PEER_RW			(VFIO_USER_DMA_MAP_READ | \
				 VFIO_USER_DMA_MAP_WRITE)

/**
 * struct peer - the daemon and its client
 * @root: the machine
 * @daemon: the daemon
 * @monitor: path of its monitor's socket
 * @idle_fds: how many fds it has without a client
 * @fds: how many it has with this one, greeted and with nothing set up
 * @max_maps: how many DMA maps it says that it takes
 * @sock: the client's end, -1 if it isn't connected
 */
struct peer {
	struct fake_root root;
	struct fake_daemon daemon;
	char monitor[160];
	int idle_fds;
	int fds;
	unsigned int max_maps;
	int sock;
};

/**
 * peer_program() - the path of a program that was built beside this test
 * @name: relative to the build directory: "vfio-user"
 *
 * Return: a static string.
 */
const char *peer_program(const char *name);

/** peer_config() - the default machine, with one way in */
void peer_config(struct fake_config *config, enum peer_way way);

/** peer_init() - nothing is there yet, which peer_close() knows */
void peer_init(struct peer *peer);

/** peer_machine() - make the machine; no daemon and no client yet */
int peer_machine(struct peer *peer, const struct fake_config *config);

/**
 * peer_start() - make the machine and start the daemon
 * @peer: filled in
 * @config: the machine
 * @arg: one more argument for the daemon, or NULL
 */
int peer_start(struct peer *peer, const struct fake_config *config,
	       const char *arg);

/** peer_start_with() - peer_start(), with more arguments and NULL at the end */
int peer_start_with(struct peer *peer, const struct fake_config *config,
		    const char *const more[]);

/** peer_connect() - connect and say VERSION; 0 or what wire_expect() says */
int peer_connect(struct peer *peer);

/** peer_begin() - peer_start() and peer_connect() */
int peer_begin(struct peer *peer, const struct fake_config *config,
	       const char *arg);

/** peer_open() - peer_begin() with one way in */
int peer_open(struct peer *peer, enum peer_way way);

/** peer_hang_up() - close the client's end and wait for the session's end */
int peer_hang_up(struct peer *peer);

/**
 * peer_leave() - close the client's end and wait until the session is over
 *
 * Unlike with peer_hang_up(), its device may stay open.
 */
int peer_leave(struct peer *peer);

/** peer_wait_idle() - wait until the daemon has no client, or -ETIMEDOUT */
int peer_wait_idle(const struct peer *peer);

/**
 * peer_close() - end the client, the daemon and the machine
 * @peer: as far as it has come
 *
 * Return: the daemon's exit code: anything but 0 is an error of its own or of
 * the sanitizers.
 */
int peer_close(struct peer *peer);

/** peer_nr_fds() - how many fds the daemon has more than with a new client */
int peer_nr_fds(const struct peer *peer);

/**
 * peer_wait_nr_fds() - peer_nr_fds(), when it is what is expected or after a while
 * @peer: a daemon and its client
 * @nr: what is expected
 *
 * For fds that the daemon has closed by threads of their own (bridge/screen.c).
 */
int peer_wait_nr_fds(const struct peer *peer, int nr);

/** peer_ioctls() - how often the daemon has made this ioctl */
const uint64_t *peer_ioctls(const struct peer *peer, enum fake_kind kind,
			    unsigned long request);

/**
 * peer_hold() - hold a call of the daemon's, as a kernel that doesn't return
 * @peer: whose daemon; this is its rule 0
 * @call: which
 * @nth: the next time is 1
 *
 * Until fake_rules_clear(), no signal ends it.
 */
void peer_hold(struct peer *peer, const struct fake_call_entry *call,
	       unsigned int nth);

/** peer_wait_held() - wait until the daemon has come to it; false if not */
bool peer_wait_held(const struct peer *peer, unsigned int nth);

/** peer_log_has() - has the daemon logged a line with @text in it? */
bool peer_log_has(const struct peer *peer, const char *text);

/** peer_log_count() - in how many places its log says @text */
unsigned int peer_log_count(const struct peer *peer, const char *text);

/** peer_wait_log() - peer_log_has(), after a while */
bool peer_wait_log(const struct peer *peer, const char *text);

/** peer_status() - what the monitor says in time; a new reference, or NULL */
json_t *peer_status(const struct peer *peer);

/** peer_memory() - a new memfd of @size bytes; -1 if there is none */
int peer_memory(size_t size);

/** peer_put64() - write a register of BAR0; as wire_write() */
int peer_put64(const struct peer *peer, uint64_t reg, uint64_t value);

/** peer_get64() - read a register of BAR0; UINT64_MAX on failure */
uint64_t peer_get64(const struct peer *peer, uint64_t reg);

/**
 * peer_dma() - have the device copy memory
 * @peer: a greeted client
 * @src: I/O virtual address
 * @dst: I/O virtual address
 * @len: in bytes
 *
 * Turns bus mastering on first. Return: FAKE_DMA_*, or UINT64_MAX.
 */
uint64_t peer_dma(const struct peer *peer, uint64_t src, uint64_t dst,
		  uint64_t len);

/** peer_fired() - what an eventfd counts, which is 0 afterwards */
uint64_t peer_fired(int fd);

/** peer_wait_fired() - peer_fired(), as soon as it counts something */
uint64_t peer_wait_fired(int fd);

/** peer_pause() - wait that many milliseconds */
void peer_pause(unsigned int ms);

#endif
