/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BRIDGE_BRIDGE_H
#define BRIDGE_BRIDGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "caps.h"
#include "msg.h"
#include "pci/aer.h"
#include "pci/device.h"
#include "pci/uevent.h"
#include "util.h"
#include "vfio/vfio.h"

/* Exit codes, documented in Documentation/vfio-bridge.rst. */
enum bridge_exit {
	BRIDGE_EXIT_OK		= 0,	/* ended by a signal, or with its client */
	BRIDGE_EXIT_FAILED	= 1,	/* something failed while it ran */
	BRIDGE_EXIT_USAGE	= 2,	/* bad options */
	BRIDGE_EXIT_DEVICE	= 3,	/* the device can't be exported */
	BRIDGE_EXIT_SOCKET	= 4,	/* the socket can't be made */
};

/* Fds that we take in one message; QEMU refuses a server that says over 16. */
#define BRIDGE_MAX_MSG_FDS	8
#define BRIDGE_MAX_XFER		VFIO_USER_DEF_MAX_XFER
/* The largest message: header, fixed payload, data. */
#define BRIDGE_MAX_MSG		(sizeof(struct vfio_user_header) + 64 + \
				 BRIDGE_MAX_XFER)
/* The smallest message with fds: SET_IRQS. DMA_MAP is larger. */
#define BRIDGE_FD_MIN		(sizeof(struct vfio_user_header) + \
				 sizeof(struct vfio_user_irq_set))
/* How long a session may take to end before the daemon does, in seconds. */
#define BRIDGE_END_TIMEOUT	30
/* How long a client may keep a device that is asked for back, in seconds. */
#define BRIDGE_RELEASE_TIMEOUT	30
/* How long a client may take to begin, or to read a reply, in seconds. */
#define BRIDGE_CLIENT_TIMEOUT	10
/* More messages in a second than a client sends that maps what it can. */
#define BRIDGE_MESSAGE_RATE	50000

/* Doorbells that an operator can name, for a device. */
#define MAX_DOORBELLS		16
/* Devices of one daemon; they must fit in a word, see space.h. */
#define MAX_DEVICES		64

/**
 * struct doorbell - a register that the kernel writes when an eventfd fires
 * @region: region index
 * @offset: in the region, in bytes
 * @width: of the write, 1, 2, 4 or 8 bytes
 * @match: only stores of @data to the register fire it
 * @data: what is written to it
 */
struct doorbell {
	uint32_t region;
	uint64_t offset;
	uint32_t width;
	bool match;
	uint64_t data;
};

/* Users, and groups, that an operator can name. */
#define MAX_ALLOWED	16

/**
 * struct access - who may connect
 * @has_mode: @mode is the socket's
 * @mode: permissions of the socket's file
 * @user: owner of the socket's file, -1 for whoever makes it
 * @group: its group, -1 for the usual one
 * @nr_uids: entries of @uids in use
 * @uids: users that may; with @gids, nobody else
 * @nr_gids: entries of @gids in use
 * @gids: groups whose members may
 */
struct access {
	bool has_mode;
	mode_t mode;
	int64_t user;
	int64_t group;
	unsigned int nr_uids;
	uint32_t uids[MAX_ALLOWED];
	unsigned int nr_gids;
	uint32_t gids[MAX_ALLOWED];
};

/* What becomes of the device when its client goes. */
enum on_disconnect {
	ON_DISCONNECT_RESET,
	ON_DISCONNECT_RETAIN,
	ON_DISCONNECT_EXIT,
};

/**
 * struct device_options - what the command line says of one device
 * @device: as the operator named it; NULL if it wasn't
 * @socket_path: where to listen, or NULL
 * @fd: socket to serve instead, or -1
 * @nr_doorbells: entries of @doorbells in use
 * @doorbells: offered with GET_REGION_IO_FDS
 */
struct device_options {
	const char *device;
	const char *socket_path;
	int fd;
	unsigned int nr_doorbells;
	struct doorbell doorbells[MAX_DOORBELLS];
};

/**
 * struct options - what the command line says
 * @nr_devices: entries of @devices in use
 * @devices: in the order in which they were given
 * @monitor_path: where to answer questions about ourselves, or NULL
 * @access: who may connect to the devices' sockets
 * @iommu: which way into the kernel
 * @mmap: clients may map regions
 * @mmap_asked: the operator has said so
 * @on_disconnect: what becomes of the device
 * @idle_low_power: a device that nobody uses may sleep
 * @release_timeout: how long a client may keep a device that the kernel asks
 *                   for back, in seconds
 * @max_dma_maps: DMA maps that a session can have at one time, at most
 * @max_dma: bytes that the device can reach in a session, at most
 * @message_rate: messages in a second that the log tells of
 * @unsafe_noiommu: export a device that no IOMMU confines
 * @shadow_max: how much memory that clients don't share is shadowed for a
 *              session, in bytes; 0: none, without --shadow-dma
 * @no_sandbox: give up no privilege
 * @check: only say what stands in the way
 * @verbose: log every message
 */
struct options {
	unsigned int nr_devices;
	struct device_options devices[MAX_DEVICES];
	const char *monitor_path;
	struct access access;
	enum vfio_iommu_kind iommu;
	bool mmap;
	bool mmap_asked;
	enum on_disconnect on_disconnect;
	bool idle_low_power;
	unsigned int release_timeout;
	uint32_t max_dma_maps;
	uint64_t max_dma;
	uint32_t message_rate;
	bool unsafe_noiommu;
	uint64_t shadow_max;
	bool no_sandbox;
	bool check;
	bool verbose;
};

/**
 * struct stats - counters for the monitor; written by the session's thread
 * @messages: commands received since the daemon started
 * @commands: the same by command number; 0 counts unknown ones
 * @requests: commands sent to clients
 * @sessions: sessions that got the device
 * @refused: clients that didn't
 */
struct stats {
	atomic_ullong messages;
	atomic_ullong commands[VFIO_USER_COMMAND_MAX + 1];
	atomic_ullong requests;
	atomic_ullong sessions;
	atomic_ullong refused;
};

/**
 * struct dma_space - what a session has mapped, by I/O virtual address
 * @tree: of struct dma_map, see tsearch(3)
 * @count: maps in @tree
 * @bytes: bytes that the device can reach
 * @shadowed: those of @bytes that are memory of the daemon's own
 * @without_fd: maps in @tree that the device can't reach
 * @told_without_fd: the operator has been told of such maps
 */
struct dma_space {
	void *tree;
	uint32_t count;
	uint64_t bytes;
	uint64_t shadowed;
	uint32_t without_fd;
	bool told_without_fd;
};

/**
 * struct irq_vectors - the eventfds of an index that can't be enlarged
 * @fds: by sub-index, -1 where none is; NULL until the first is set
 * @enabled: how many the kernel has enabled, 0 if the index is off
 */
struct irq_vectors {
	int *fds;
	uint32_t enabled;
};

/**
 * struct watch - ERR and REQ, which the daemon wants to know of too
 * @thread: waits for them
 * @running: @thread exists
 * @stop: eventfd that ends @thread
 * @ours: by ERR, REQ: the eventfd that the kernel signals
 * @lock: protects @client
 * @client: by ERR, REQ: the client's eventfd, or -1
 * @fired: by ERR, REQ: how often
 * @release_at: when the session is ended because of REQ, CLOCK_MONOTONIC
 *              milliseconds; 0: not asked for, INT64_MAX: done
 * @session: whose device it is
 */
#define WATCH_ERR	0
#define WATCH_REQ	1
#define WATCH_KINDS	2
struct watch {
	pthread_t thread;
	bool running;
	int stop;
	int ours[WATCH_KINDS];
	pthread_mutex_t lock;
	int client[WATCH_KINDS];
	atomic_ullong fired[WATCH_KINDS];
	int64_t release_at;
	struct session *session;
};

struct peer_command;

/**
 * struct peer_link - commands to the client, and what it sends meanwhile
 * @twin: the socket for them; its fd is -1 if they go over the session's
 * @id: of the last one
 * @first: the client's commands that wait to be done, @nr_queued of them
 * @last: of these
 * @nr_queued: how many
 * @queued_bytes: their payloads, in bytes
 * @current: the one that is being done
 */
struct peer_link {
	struct msg_conn twin;
	uint16_t id;
	struct peer_command *first;
	struct peer_command *last;
	unsigned int nr_queued;
	size_t queued_bytes;
	struct peer_command *current;
};

struct bridge;
struct daemon;
struct relay;
struct shadow;
struct shadow_space;
struct space;

/**
 * struct session - one client, from its connection to its end
 * @bridge: what it belongs to
 * @conn: its socket
 * @peer: who it is, as the kernel says
 * @thread: serves it
 * @lock: protects @dma, @open and @conn's fd against the main thread
 * @open: @dev is open
 * @dev: the device
 * @iommu: what its IOMMU can do
 * @caps: what the client said of itself
 * @greeted: VERSION has succeeded
 * @closing: end the session after this message's reply
 * @ending: the thread receives no more
 * @done: the thread has nothing left to do
 * @unsure: the kernel didn't unmap or end what it should have: what the device
 *          can reach and do, only closing it makes sure of
 * @gone: the device's configuration has read all ones
 * @burst: messages since @burst_since
 * @burst_since: CLOCK_MONOTONIC milliseconds
 * @told_of_rate: the log has told of too many messages
 * @told_of_fds: the log has told of an fd that isn't touched
 * @dma: what is mapped
 * @irqs: by interrupt index
 * @watch: ERR and REQ
 * @doorbells: eventfds of the options' doorbells, -1 where none is yet
 * @migration: fd of the migration stream, or -1
 * @logging: the device logs what it writes to memory
 * @link: commands to the client
 * @shadow: memory that the client doesn't share; NULL without --shadow-dma
 * @relay: interrupts that are passed on; NULL without --shadow-dma
 */
struct session {
	struct bridge *bridge;
	struct msg_conn conn;
	struct ucred peer;
	pthread_t thread;
	pthread_mutex_t lock;
	bool open;
	struct vfio_device dev;
	struct vfio_iommu_info iommu;
	struct vfio_user_caps caps;
	bool greeted;
	bool closing;
	atomic_bool ending;
	atomic_bool done;
	atomic_bool unsure;
	atomic_bool gone;
	uint32_t burst;
	int64_t burst_since;
	bool told_of_rate;
	bool told_of_fds;
	struct dma_space dma;
	struct irq_vectors irqs[VFIO_MAX_IRQS];
	struct watch watch;
	int doorbells[MAX_DOORBELLS];
	int migration;
	bool logging;
	struct peer_link link;
	struct shadow_space *shadow;
	struct relay *relay;
};

/**
 * struct listener - a socket that clients connect to
 * @fd: accepts them, -1 if there is none
 * @path: that it was bound to, or NULL
 * @dev: of the socket's file
 * @ino: the same
 */
struct listener {
	int fd;
	const char *path;
	dev_t dev;
	ino_t ino;
};

/* Files that a session can show, to be the same client as others. */
#define HOLDER_MAX_SHOWN	64

/**
 * struct space_file - a file of a client's memory
 * @dev: of the file
 * @ino: the same
 * @born: when it was made, in seconds; 0 if nobody knows
 * @born_nsec: the rest
 * @writeable: the client can write to it
 */
struct space_file {
	dev_t dev;
	ino_t ino;
	int64_t born;
	uint32_t born_nsec;
	bool writeable;
};

/**
 * struct group_member - a device's place in its group (group.c, holder.c)
 * @in: it has one: a session has the device, or it is retained
 * @uid: whose it is
 * @pid: the same
 * @session: that has the device; NULL while it is retained
 * @same: it is of the client that has the group; set by its own thread, for
 *        good
 * @told: the log has told that it isn't
 * @looked: when it was last looked whether it is, see struct space
 * @nr_shown: entries of @shown in use
 * @shown: files that it has mapped before it was
 * @maps: maps that it has
 */
struct group_member {
	bool in;
	uid_t uid;
	pid_t pid;
	struct session *session;
	bool same;
	bool told;
	uint64_t looked;
	unsigned int nr_shown;
	struct space_file shown[HOLDER_MAX_SHOWN];
	uint32_t maps;
};

/* Of each kind, in the log, in so many seconds. */
#define LINES_MAX		100
#define LINES_INTERVAL		60

/* Lines that clients can cause: that are refused; that are served; by ERR and REQ. */
enum lines_kind { LINES_REFUSED, LINES_CLIENT, LINES_EVENT, LINES_KINDS };

/**
 * struct lines - lines of one kind
 * @since: when counting began, CLOCK_MONOTONIC milliseconds
 * @nr: how many there have been since; one more than LINES_MAX is as good as any
 */
struct lines {
	int64_t since;
	unsigned int nr;
};

/**
 * struct bridge - one device on its socket
 * @daemon: what it belongs to
 * @opts: the command line
 * @own: its part of that
 * @index: which of the daemon's it is
 * @device: what it exports
 * @description: of @device, for people
 * @aer: its errors; NULL if they aren't counted
 * @listener: accepts clients; none if it was given a connected socket
 * @session: the client that is served, or NULL
 * @finished: it will serve nobody any more
 * @listen_after: accept nobody before this, CLOCK_MONOTONIC milliseconds
 * @hold_until: until then a client waits for @session, which ends, to be gone;
 *              0 if none does
 * @stats: counters
 * @lines: lines of the log that its clients have caused
 * @lines_lock: protects @lines; nothing else is taken while it is held
 * @lock: protects @retained and @retained_uid
 * @retained: with --on-disconnect=retain, the device of the last session
 * @retained_req: eventfd that fires when the kernel wants @retained back, or -1
 * @retained_uid: who may have it
 * @asleep: @retained may sleep; changed by whoever puts it there or takes it
 * @told_awake: the log has said that it does not sleep
 * @last_peer: the last client that had the device; pid 0 if none had
 * @has_reset: the kernel could reset it when the daemon started
 * @absent: no VFIO driver has it at this time
 * @group: IOMMU group, -1 if it has none
 * @space: what the group shares; NULL if no other device of ours is in it
 * @member: its place there
 */
struct bridge {
	struct daemon *daemon;
	const struct options *opts;
	const struct device_options *own;
	unsigned int index;
	struct pci_name device;
	char description[256];
	struct pci_aer *aer;
	struct listener listener;
	struct session *session;
	bool finished;
	int64_t listen_after;
	int64_t hold_until;
	struct stats stats;
	struct lines lines[LINES_KINDS];
	pthread_mutex_t lines_lock;
	pthread_mutex_t lock;
	struct vfio_device *retained;
	atomic_int retained_req;
	uid_t retained_uid;
	atomic_bool asleep;
	bool told_awake;
	struct ucred last_peer;
	bool has_reset;
	bool absent;
	int group;
	struct space *space;
	struct group_member member;
};

/**
 * struct daemon - all of its devices, and what they have in common
 * @opts: the command line
 * @monitor: accepts questions, if asked for
 * @monitor_after: accept none before this, CLOCK_MONOTONIC milliseconds
 * @signal_fd: SIGTERM and SIGINT
 * @uevents: what the kernel tells of devices; NULL if it doesn't
 * @uevent_fd: for poll(2), or -1
 * @done_fd: eventfd, signalled by a session's thread as the last thing
 * @nr_bridges: entries of @bridges in use
 * @bridges: a device each
 */
struct daemon {
	const struct options *opts;
	struct listener monitor;
	int64_t monitor_after;
	int signal_fd;
	struct pci_uevents *uevents;
	int uevent_fd;
	int done_fd;
	unsigned int nr_bridges;
	struct bridge bridges[MAX_DEVICES];
};

/* clock.c */

/** clock_ms() - CLOCK_MONOTONIC in milliseconds */
int64_t clock_ms(void);

/* lines.c */

/**
 * lines_count() - count one more
 * @l: of which kind
 * @now: clock_ms()
 *
 * Return: how many there have been before it, up to one more than LINES_MAX.
 */
unsigned int lines_count(struct lines *l, int64_t now);

/**
 * lines_allow() - may there be one more line?
 * @b: whose client causes it
 * @kind: of line
 *
 * Instead of the first that may not be, says that there are no more. Any thread
 * may ask.
 */
bool lines_allow(struct bridge *b, enum lines_kind kind);

/* options.c */

/**
 * options_parse() - read the command line
 * @opts: filled in
 * @argc: as main() got it
 * @argv: as main() got it; @opts points into it
 *
 * Return: -1 to go on, or the code to exit with (after --help, or an error
 * that has been reported).
 */
int options_parse(struct options *opts, int argc, char **argv);

/* usage.c */

/* What --help and --print-capabilities print. */
extern const char usage_help[];
extern const char usage_capabilities[];

/* value.c */

/**
 * value_choice() - one of a few words
 * @name: of the option, without dashes, for the log
 * @value: what was given
 * @choices: the words, NULL at the end
 *
 * Return: the word's index; -1 if it is none of them, which is logged.
 */
int value_choice(const char *name, const char *value,
		 const char *const *choices);

/** value_fd() - a file descriptor's number; -1 if it isn't one, logged */
int value_fd(const char *value);

/** value_seconds() - a number of seconds; -1 if it isn't one, logged */
int value_seconds(const char *name, const char *value);

/** value_size() - bytes, with K, M or G behind them; 0 if it isn't that */
uint64_t value_size(const char *value);

/**
 * value_count() - a number, at least 1
 * @name: of the option, without dashes, for the log
 * @value: what was given
 * @count: filled in
 *
 * Return: 0; -1 if it isn't one, which is logged.
 */
int value_count(const char *name, const char *value, uint32_t *count);

/** value_doorbell() - REGION:OFFSET:WIDTH[:DATA]; false if it isn't that */
bool value_doorbell(const char *value, struct doorbell *d);

/* access.c */

/*
 * The values of --socket-mode, --socket-user, --socket-group, --allow-uid and
 * --allow-gid. Each returns 0, or -1 for one that can't be, which is logged.
 */
int access_set_mode(struct access *a, const char *value);
int access_set_user(struct access *a, const char *value);
int access_set_group(struct access *a, const char *value);
int access_add_uid(struct access *a, const char *value);
int access_add_gid(struct access *a, const char *value);

/**
 * access_apply() - give a socket its owner and group
 * @a: what the options say
 * @path: of a socket that nobody listens on yet
 *
 * Its mode is the one that it is made with (listen.c).
 *
 * Return: 0; -ENOTSOCK if something else is there; or what chown(2) says.
 */
int access_apply(const struct access *a, const char *path);

/** access_is_limited() - can access_allows() be false? */
bool access_is_limited(const struct access *a);

/**
 * access_allows() - may who has connected be served?
 * @a: what the options say
 * @fd: its socket
 * @peer: filled in: who it is
 */
bool access_allows(const struct access *a, int fd, struct ucred *peer);

/* activation.c */

/**
 * activation_take() - take the sockets that LISTEN_FDS tells of
 * @opts: devices without a socket get one
 *
 * Return: 0; -EBADF or -EINVAL, which is logged: they aren't there, or there
 * are more than devices to use them.
 */
int activation_take(struct options *opts);

/* listen.c */

/**
 * listen_open() - listen on a path
 * @l: filled in: a non-blocking socket
 * @path: of the socket; must stay. A socket that nobody listens on is replaced.
 * @access: whose it is to be; NULL for the process's, with its umask
 * @why: one line about what is wrong
 * @len: of @why in bytes
 *
 * Return: 0; -EADDRINUSE if somebody listens there, -EEXIST if it isn't a
 * socket, -ENAMETOOLONG, or what socket(2), bind(2) and listen(2) say.
 */
int listen_open(struct listener *l, const char *path,
		const struct access *access, char *why, size_t len);

/**
 * listen_close() - stop listening, and remove the path if it is still ours
 * @l: from listen_open(), or with an fd of another origin and no path
 *
 * Waits for nothing that clients who weren't accepted have sent.
 */
void listen_close(struct listener *l);

/* join.c */

/**
 * join_interrupting() - join a thread, with signals to get it out of waits
 * @thread: a thread that ends when its waits do
 * @seconds: how long to try
 *
 * Return: 0, or -ETIMEDOUT when it is still there.
 */
int join_interrupting(pthread_t thread, unsigned int seconds);

/* screen.c */

/**
 * screen_fd() - look at an fd that a client has sent
 * @fd: the fd; it is the caller's again if it is returned
 *
 * Never waits for anybody to whom the fd's file system belongs, unless very many
 * such fds were sent.
 *
 * Return: @fd, or -1 if it is nothing that a client has to send and something
 * that one could make the daemon wait with; then it is closed, or will be.
 */
int screen_fd(int fd);

/**
 * screen_hang_up() - close a client's socket, and with it what it has sent
 * @sock: the socket
 *
 * Waits as little as screen_fd().
 */
void screen_hang_up(int sock);

/* refuse.c */

/** refuse_init() - before anything else of this file; cannot fail */
void refuse_init(void);

/**
 * refuse_make_room() - can one more client be refused at this time?
 * @monitor: it is one of the monitor's, for whom there is room of their own
 *
 * Return: false if there are as many as there may be; the one that came first is
 * then hung up on and got out of what it waits for, so that there soon is room.
 */
bool refuse_make_room(bool monitor);

/**
 * refuse_start() - tell a client no as soon as it has sent its VERSION
 * @fd: its socket, blocking, owned by this from now on. refuse_make_room() has
 *      said that there is room.
 * @error: a positive errno, for the reply; 0 to only close @fd
 *
 * In a thread of its own, for BRIDGE_CLIENT_TIMEOUT at most.
 *
 * Return: 0 or a negative errno.
 */
int refuse_start(int fd, int error);

/* session.c */

/**
 * session_start() - serve a client in a thread of its own
 * @b: the bridge; its session becomes this one
 * @fd: connected socket, owned by the session, even on error
 *
 * Return: 0 or a negative errno.
 */
int session_start(struct bridge *b, int fd);

/**
 * session_is_ending() - is this session as good as over?
 * @s: the session
 *
 * Return: true if its client has hung up, or if it is being torn down. Then
 * the next client need only wait for it.
 */
bool session_is_ending(struct session *s);

/**
 * session_interrupt() - get a session's thread out of a wait
 * @s: a session that is ending
 */
void session_interrupt(struct session *s);

/**
 * session_stop() - hang up on the client; the session ends soon
 * @s: a session; its client may be gone already. Any thread may call this.
 */
void session_stop(struct session *s);

/**
 * session_reap() - free a session whose thread has said that it is done
 * @b: the bridge; has no session afterwards. Called by the main thread.
 */
void session_reap(struct bridge *b);

/** session_command_name() - of a command number, for people; never NULL */
const char *session_command_name(unsigned int number);

/**
 * session_reply() - begin a reply
 * @s: the session
 * @m: the command
 * @len: payload bytes, at most
 *
 * Return: room for @len bytes of payload, not aligned and not cleared; NULL if
 * the client can't be written to (the session is then closing). Handlers may
 * use the room even for a command that wants no reply.
 */
void *session_reply(struct session *s, const struct msg *m, size_t len);

/**
 * session_reply_send() - finish the reply begun last
 * @s: the session
 * @m: the command; with No_reply nothing is sent
 * @len: payload bytes
 * @fd: to go with it, or -1; stays the caller's
 *
 * Return: 0. A client that can't be written to ends the session.
 */
int session_reply_send(struct session *s, const struct msg *m, size_t len,
		       int fd);

/** session_reply_send_fds() - as session_reply_send(), with @nr_fds of @fds */
int session_reply_send_fds(struct session *s, const struct msg *m, size_t len,
			   const int *fds, unsigned int nr_fds);

/*
 * Command handlers. Each is called with a message whose payload has at least
 * the command table's length and whose fds are at most the table's number; it
 * returns 0 after session_reply_send(), or a negative errno that becomes the
 * error reply. Fds that it wants to keep it takes out of the message.
 */
int version_handle(struct session *s, struct msg *m);
int dma_handle_map(struct session *s, struct msg *m);
int dma_handle_unmap(struct session *s, struct msg *m);
int device_handle_info(struct session *s, struct msg *m);
int device_handle_reset(struct session *s, struct msg *m);
int region_handle_info(struct session *s, struct msg *m);
int region_handle_read(struct session *s, struct msg *m);
int region_handle_write(struct session *s, struct msg *m);
int region_handle_write_multi(struct session *s, struct msg *m);
int ioeventfd_handle(struct session *s, struct msg *m);
int feature_handle(struct session *s, struct msg *m);
int migration_handle_read(struct session *s, struct msg *m);
int migration_handle_write(struct session *s, struct msg *m);
int irq_handle_info(struct session *s, struct msg *m);
int irq_handle_set(struct session *s, struct msg *m);

/* device.c */

/**
 * device_open() - open the device for a session, or take the retained one
 * @s: the session; its dev and iommu are filled in
 *
 * Return: 0; -EBUSY if somebody else holds it, which the log says; or what
 * vfio_device_open() says.
 */
int device_open(struct session *s);

/**
 * device_quiesce() - stop the device at the end of a session
 * @s: the session
 */
void device_quiesce(struct session *s);

/**
 * device_look_at() - has the client read what a device that is gone gives?
 * @s: the session
 * @data: of the configuration space
 * @len: its length in bytes
 *
 * The log says so once for each session; the client gets what it has read.
 */
void device_look_at(struct session *s, const void *data, size_t len);

/**
 * device_release() - the last step of a session's end
 * @s: the session; nothing of it is mapped or armed any more
 *
 * Closes the device or, with --on-disconnect=retain, keeps it.
 */
void device_release(struct session *s);

/**
 * device_check() - can the device be exported? Says on stderr if not.
 * @b: the bridge; its group is set
 *
 * Opens and closes it, which makes the kernel reset it.
 *
 * Return: 0 or a negative errno.
 */
int device_check(struct bridge *b);

/** device_check_retained() - close a retained device that is asked for back */
void device_check_retained(struct bridge *b);

/** device_drop_retained() - close a retained device, if there is one */
void device_drop_retained(struct bridge *b);

/**
 * device_start_drop() - device_drop_retained() in a thread of its own
 * @b: the bridge
 * @thread: filled in, to be joined
 *
 * Return: 0, or a negative errno: no thread was to be had, and it is closed.
 */
int device_start_drop(struct bridge *b, pthread_t *thread);

/* power.c */

/**
 * power_check() - with --idle-low-power, does the kernel do its part?
 * @d: the daemon; the log says if not
 */
void power_check(const struct daemon *d);

/**
 * power_sleep() - with --idle-low-power, let a device sleep
 * @b: the bridge
 * @dev: its device, which is to be retained; nobody uses it
 *
 * Return: true if it may sleep now. Else the log has said why, once.
 */
bool power_sleep(struct bridge *b, struct vfio_device *dev);

/**
 * power_wake() - wake a device that was retained, if it sleeps
 * @b: the bridge
 * @dev: its device, not retained any more; nobody has touched it
 *
 * Return: 0, or what the kernel says, which is logged: it can't be used.
 */
int power_wake(struct bridge *b, struct vfio_device *dev);

/* group.c */

/**
 * group_start() - find the groups of which several devices are ours
 * @d: the daemon; each bridge's group is known
 *
 * Return: 0 or -ENOMEM.
 */
int group_start(struct daemon *d);

/** group_stop() - the counterpart of group_start(); no session is left */
void group_stop(struct daemon *d);

/**
 * group_join() - may this client have a device of a group that others have?
 * @s: the session. Its device needn't be open; if it was retained, it is in the
 *     space already.
 *
 * Does nothing for a device whose group has no other of ours, as all of these.
 *
 * Return: 0, or -EBUSY with the reason in the log.
 */
int group_join(struct session *s);

/**
 * group_opened() - the device is open: agree on how much can be mapped
 * @s: the session; its iommu has been filled in
 */
void group_opened(struct session *s);

/**
 * group_keep() - the session is over, its device is retained
 * @s: the session; its bridge is locked
 *
 * Return: false if it can't be: the device must be closed.
 */
bool group_keep(struct session *s);

/** group_leave() - the device is closed, or never was open */
void group_leave(struct bridge *b);

/**
 * group_last_peer() - who had the device, or another of its group, last
 * @b: the bridge
 *
 * Return: pid 0 if nobody had.
 */
struct ucred group_last_peer(struct bridge *b);

/**
 * group_check_reset() - may this device be reset, if others are with it?
 * @s: the session
 *
 * Return: 0, or -EBUSY with the reason in the log.
 */
int group_check_reset(struct session *s);

/* holder.c */

/**
 * holder_check_power() - may the session do what could make its device do DMA?
 * @s: the session
 *
 * If nobody else has the group, it is this client's from now on.
 *
 * Return: 0, or -EACCES as long as the session hasn't shown that it is of the
 * client that has the group, which the log says once.
 */
int holder_check_power(struct session *s);

/**
 * holder_give_fd() - may the client have the device's fd?
 * @s: the session
 *
 * As holder_check_power(), and said of each fd that is about to be sent: the
 * client may keep it.
 */
bool holder_give_fd(struct session *s);

/* space.c */

/**
 * space_map() - let the devices of a shared group reach memory
 * @s: the session; its device's group is shared
 * @map: the client's map, checked against the session's others
 * @fd: the client's file
 *
 * Return: 0; -EACCES: it isn't the memory of the client that has the group, and
 * the session is closing; -EEXIST: something else is mapped there; -ENOSPC: too
 * many maps; or what the kernel says.
 */
int space_map(struct session *s, const struct vfio_user_dma_map *map, int fd);

/**
 * space_unmap() - the session has no use for a map any more
 * @s: the session
 * @iova: of exactly what space_map() has mapped
 * @size: the same, in bytes
 *
 * The kernel's map goes with its last user.
 *
 * Return: 0 or what the kernel says; all sessions of the space end then.
 */
int space_unmap(struct session *s, uint64_t iova, uint64_t size);

/* dma.c */

/**
 * dma_unmap_all() - unmap whatever the session has mapped
 * @s: the session; has no maps afterwards
 *
 * Return: 0, or the kernel's first error. It isn't known then what the device
 * can reach until it is closed, and the session is closing.
 */
int dma_unmap_all(struct session *s);

/**
 * dma_for_each() - look at each map
 * @dma: the space; the caller holds the session's lock
 * @fn: called in order of address; @fd says whether the device can reach it
 * @arg: for @fn
 */
void dma_for_each(const struct dma_space *dma,
		  void (*fn)(uint64_t iova, uint64_t size, uint32_t flags,
			     bool fd, void *arg), void *arg);

/* irq.c */

/** irq_forget_all() - close the eventfds that are kept; the index is off */
void irq_forget_all(struct session *s);

/* peer.c */

/**
 * peer_twin() - make a socket for commands to the client
 * @s: the session, which hasn't one yet
 *
 * Return: the client's end, owned by the caller, or a negative errno.
 */
int peer_twin(struct session *s);

/**
 * peer_dma_read() - read the client's memory by message
 * @s: the session; no reply of its own is begun, and the command that is being
 *     done came through the queue
 * @iova: I/O virtual address; the client has mapped the range
 * @buf: where the data goes
 * @len: in bytes; more than the client takes at once is split
 *
 * Return: 0; what the client's error reply says; or, with the session closing,
 * -ETIMEDOUT, -EPROTO for nonsense, -ENOBUFS for too many commands that came
 * instead, -ECONNRESET, or what its socket says.
 */
int peer_dma_read(struct session *s, uint64_t iova, void *buf, size_t len);

/** peer_dma_write() - as peer_dma_read(), to the client's memory */
int peer_dma_write(struct session *s, uint64_t iova, const void *buf,
		   size_t len);

/**
 * peer_enqueue() - keep a command until the one that is being done is done
 * @s: the session
 * @m: copied; its fds are the queue's from now on, even on error
 *
 * Return: 0, -ENOBUFS if too much is kept already, or -ENOMEM.
 */
int peer_enqueue(struct session *s, struct msg *m);

/**
 * peer_dequeue() - take the next command that was kept
 * @s: the session
 * @m: filled in; its payload stays until the next call, its fds are the
 *     caller's
 *
 * Return: true if there was one.
 */
bool peer_dequeue(struct session *s, struct msg *m);

/** peer_close() - close the twin socket, forget what is kept */
void peer_close(struct session *s);

/* shadow.c */

/**
 * shadow_start() - with --shadow-dma, prepare for memory that isn't shared
 * @s: the session; its device is open. Its maps are limited further.
 *
 * Return: 0 or -ENOMEM.
 */
int shadow_start(struct session *s);

/** shadow_stop() - free it all, after dma_unmap_all(); safe if never started */
void shadow_stop(struct session *s);

/**
 * shadow_map() - memory in place of what the client doesn't share
 * @s: the session
 * @map: the client's map, checked; its memory is read now
 * @shadow: for shadow_retire(), or for shadow_free() if nothing came of it
 *
 * Return: the file that holds the memory, owned by the caller; -EOPNOTSUPP for
 * memory that isn't readable, -ENOMEM for more than the operator allows (which
 * the log says), what peer_dma_read() says, or another negative errno.
 */
int shadow_map(struct session *s, const struct vfio_user_dma_map *map,
	       struct shadow **shadow);

/** shadow_free() - free a shadow that the device can't reach; NULL is none */
void shadow_free(struct shadow *shadow);

/**
 * shadow_retire() - the device can't reach it any more
 * @shadow: goes with the next shadow_push(); NULL is none
 */
void shadow_retire(struct shadow *shadow);

/**
 * shadow_pull() - let the device see what the client has changed
 * @s: the session; nothing happens without --shadow-dma
 *
 * Return: 0, or a negative errno with the session closing.
 */
int shadow_pull(struct session *s);

/**
 * shadow_push() - let the client see what the device has changed
 * @s: the session; nothing happens without --shadow-dma
 *
 * Return: 0, or a negative errno with the session closing.
 */
int shadow_push(struct session *s);

/* relay.c */

/**
 * struct relay_vector - an interrupt that is passed on
 * @ours: what the kernel signals, -1 if none
 * @client: what the client waits for, -1 if none
 */
struct relay_vector {
	int ours;
	int client;
};

/**
 * relay_start() - with --shadow-dma, prepare for passing interrupts on
 * @s: the session, after shadow_start(); this is its thread
 *
 * Return: 0 or a negative errno.
 */
int relay_start(struct session *s);

/** relay_stop() - forget them all; safe if relay_start() never was */
void relay_stop(struct session *s);

/**
 * relay_wait() - wait for the client, and pass interrupts on meanwhile
 * @s: a session with a relay
 *
 * Return: 1: msg_recv() has something to receive; 0: look at the queue, and
 * call again; or a negative errno, which ends the session.
 */
int relay_wait(struct session *s);

/**
 * relay_prepare() - put eventfds of ours in place of the client's
 * @s: a session with a relay
 * @index: interrupt index
 * @m: its eventfds are exchanged
 * @new: filled in, an entry for each of them, for relay_finish()
 *
 * Return: 0, -EINVAL if one isn't an eventfd, or another negative errno.
 */
int relay_prepare(struct session *s, uint32_t index, struct msg *m,
		  struct relay_vector *new);

/**
 * relay_finish() - the kernel has answered
 * @s: a session with a relay
 * @set: the range, checked
 * @nr: entries of @new, 0 if the range is to have no eventfds
 * @new: from relay_prepare(), taken over
 * @err: what the kernel said; on error all stays as it was
 *
 * Return: @err, or what passing on what was signalled until now says.
 */
int relay_finish(struct session *s, const struct vfio_user_irq_set *set,
		 unsigned int nr, struct relay_vector *new, int err);

/**
 * relay_pass() - pass on whatever has been signalled
 * @s: the session; nothing happens without --shadow-dma
 *
 * Return: 0, or a negative errno with the session closing.
 */
int relay_pass(struct session *s);

/** relay_forget() - an index is off; nothing happens without --shadow-dma */
void relay_forget(struct session *s, uint32_t index);

/* ioeventfd.c */

/** ioeventfd_close_all() - take all doorbells from the kernel and close them */
void ioeventfd_close_all(struct session *s);

/* feature.c */

/** feature_stop_all() - end what the session has the device do by a feature */
void feature_stop_all(struct session *s);

/* migration.c */

/**
 * migration_get_state() - the device's migration state
 * @s: the session
 * @state: enum vfio_user_device_state
 *
 * Return: 0 or what the kernel says.
 */
int migration_get_state(struct session *s, uint32_t *state);

/**
 * migration_set_state() - take the device to a migration state
 * @s: the session; its stream is the state's afterwards
 * @state: enum vfio_user_device_state
 *
 * Return: 0 or what the kernel says.
 */
int migration_set_state(struct session *s, uint32_t state);

/* watch.c */

/* Its handler does nothing: it makes a system call return. */
#define WATCH_SIGNAL	SIGUSR1

/**
 * watch_start() - have the kernel tell us of errors and of release requests
 * @s: a session whose device is open
 *
 * A device that has neither index is watched for nothing.
 *
 * Return: 0 or a negative errno.
 */
int watch_start(struct session *s);

/** watch_stop() - the counterpart of watch_start(); safe if it never started */
void watch_stop(struct session *s);

/**
 * watch_index() - is this one of the indexes that are watched?
 * @s: the session
 * @index: interrupt index
 *
 * Return: WATCH_ERR, WATCH_REQ, or -1.
 */
int watch_index(const struct session *s, uint32_t index);

/**
 * watch_set() - SET_IRQS on a watched index
 * @s: the session
 * @kind: WATCH_ERR or WATCH_REQ
 * @flags: of the message, checked
 * @count: 0 or 1
 * @data: the message's data, checked
 * @fd: the client's eventfd with DATA_EVENTFD, or -1; stays the caller's
 *
 * Return: 0 or a negative errno, the kernel's where it is asked.
 */
int watch_set(struct session *s, int kind, uint32_t flags, uint32_t count,
	      const uint8_t *data, int fd);

/**
 * watch_check_eventfd() - have the kernel say whether an fd is an eventfd
 * @s: a session whose device is watched
 * @fd: the client's; stays the caller's
 *
 * The device's REQ is given it for a moment, which disturbs no other interrupt.
 *
 * Return: 0 if it is; the kernel's answer if it isn't, -EINVAL or -EBADF;
 * -ENOTTY if the device has no REQ.
 */
int watch_check_eventfd(struct session *s, int fd);

/* check.c */

/**
 * check_run() - print what stands in the way of each device, opening nothing
 * @opts: the command line; without devices, those that VFIO has are filled in
 *
 * Return: the code to exit with.
 */
int check_run(struct options *opts);

/**
 * watch_retained() - have the kernel say when it wants a retained device back
 * @dev: open, and no session's
 *
 * Return: an eventfd owned by the caller, or -1: the device has no REQ, or the
 * kernel refuses.
 */
int watch_retained(struct vfio_device *dev);

/* uevent.c */

/**
 * uevent_start() - hear of devices that come and go
 * @d: the daemon
 *
 * Return: an fd for poll(2), or -1 if there is nothing to be heard, which the
 * log says.
 */
int uevent_start(struct daemon *d);

/** uevent_stop() - the counterpart of uevent_start(), whatever that returned */
void uevent_stop(struct daemon *d);

/** uevent_handle() - the fd is readable: log what has become of our devices */
void uevent_handle(struct daemon *d);

/* serve.c */

/**
 * serve_loop() - serve clients until a signal or the last device ends it
 * @d: the daemon. Its sockets listen, or have sessions already; when this
 *     returns it has no session and retains no device.
 *
 * Return: the exit code.
 */
int serve_loop(struct daemon *d);

/**
 * serve_end() - hang up on all clients, close retained devices
 * @d: the daemon; has no session and retains no device afterwards
 *
 * Waits for the kernel, but not longer than BRIDGE_END_TIMEOUT: then it ends the
 * process.
 */
void serve_end(struct daemon *d);

/* monitor.c */

/**
 * monitor_answer() - tell whoever connected how things are, and hang up
 * @d: the daemon
 * @fd: connected socket, closed by this
 *
 * One JSON object in UTF-8, a newline, end of file.
 */
void monitor_answer(struct daemon *d, int fd);

#endif
