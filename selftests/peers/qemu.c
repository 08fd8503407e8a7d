// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU runs in the file tree that LAB_QEMU_ROOT names (selftests/lab/fetch-root
 * makes it), in namespaces of its own for mounts and for the network, as a user
 * without rights, without capabilities, and with next to no memory that it may
 * lock. In its /tmp is its directory, in its /run is the daemon's, with the
 * socket; its /dev is empty.
 *
 * Its patience is set to a minute: it gives up on a server that is silent for
 * five seconds, and on a busy host that emulates the emulator, pinning all of
 * the machine's memory can take longer.
 *
 * Its logs are files, which are there to be read whatever becomes of it: what
 * the machine sends to its serial port, what the firmware says, and stderr.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "qemu.h"
#include "sector.h"

#define QEMU_PROGRAM	"/usr/bin/qemu-system-x86_64"
#define QEMU_MEMLOCK	(64ul << 10)

/* What is done in seconds, on a busy host that emulates the emulator. */
#define QEMU_LIMIT_MS	120000
#define QEMU_END_MS	20000
#define QEMU_POLL_MS	20

/* Of each log, the end that is shown when a test fails, in bytes. */
#define QEMU_SHOW	12000

static const char *const logs[] = { "stderr", "serial", "firmware" };

static void nap(void)
{
	const struct timespec ts = { .tv_nsec = QEMU_POLL_MS * 1000000 };

	nanosleep(&ts, NULL);
}

const char *qemu_missing(void)
{
	static char reason[PATH_MAX + 64];
	const char *root = getenv("LAB_QEMU_ROOT");
	char path[PATH_MAX];

	if (!root)
		return "no QEMU with vfio-user: LAB_QEMU_ROOT is not set";
	snprintf(path, sizeof(path), "%s" QEMU_PROGRAM, root);
	if (!access(path, X_OK))
		return NULL;
	snprintf(reason, sizeof(reason), "there is no %s", path);
	return reason;
}

static int bind_at(const char *dir, const char *where)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", getenv("LAB_QEMU_ROOT"), where);
	return mount(dir, path, NULL, MS_BIND, NULL) ? -errno : 0;
}

static int confine(const struct qemu *q, const struct hw_daemon *d)
{
	const struct rlimit memlock = { QEMU_MEMLOCK, QEMU_MEMLOCK };

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    bind_at(q->dir, "/tmp") || bind_at(d->dir, "/run") ||
	    chroot(getenv("LAB_QEMU_ROOT")) || chdir("/") ||
	    setrlimit(RLIMIT_MEMLOCK, &memlock) || setgroups(0, NULL) ||
	    setresgid(HW_CLIENT_UID, HW_CLIENT_UID, HW_CLIENT_UID) ||
	    setresuid(HW_CLIENT_UID, HW_CLIENT_UID, HW_CLIENT_UID) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL))
		return -errno;
	return 0;
}

static void run(void)
{
	static char *const argv[] = {
		QEMU_PROGRAM, "-nodefaults", "-no-user-config",
		"-display", "none", "-accel", "tcg",
		"-machine", "q35,memory-backend=m,sata=off,smbus=off,i8042=off",
		"-object", "memory-backend-memfd,id=m,size=32M,share=on",
		"-chardev", "file,id=serial,path=/tmp/serial",
		"-serial", "chardev:serial",
		"-chardev", "file,id=firmware,path=/tmp/firmware",
		"-device", "isa-debugcon,iobase=0x402,chardev=firmware",
		"-qmp", "unix:/tmp/qmp,server=on,wait=off",
		"-device", "pcie-root-port,id=rp0,chassis=1",
		"-device", "{\"driver\":\"vfio-user-pci\",\"id\":\"dev0\",\"bus\":\"rp0\",\"bootindex\":1,\"x-msg-timeout\":60000,\"socket\":{\"type\":\"unix\",\"path\":\"/run/socket\"}}",
		NULL
	};

	execv(QEMU_PROGRAM, argv);
	perror(QEMU_PROGRAM);
}

static int open_stderr(const struct qemu *q)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/stderr", q->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

int qemu_start(struct qemu *q, const struct hw_daemon *d)
{
	int fd, ret;

	*q = (struct qemu){ .qmp = -1, .dir = "/tmp/qemu.XXXXXX" };
	if (!mkdtemp(q->dir)) {
		q->dir[0] = '\0';
		return -errno;
	}
	if (chown(q->dir, HW_CLIENT_UID, HW_CLIENT_UID))
		return -errno;
	fd = open_stderr(q);
	if (fd < 0)
		return fd;
	q->pid = fork();
	if (!q->pid) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		ret = confine(q, d);
		if (ret)
			fprintf(stderr, "confine: %s\n", strerror(-ret));
		else
			run();
		_exit(127);
	}
	close(fd);
	if (q->pid < 0) {
		q->pid = 0;
		return -errno;
	}
	return 0;
}

bool qemu_alive(struct qemu *q)
{
	if (q->pid && waitpid(q->pid, &q->status, WNOHANG) == q->pid)
		q->pid = 0;
	return q->pid;
}

/* A log as a string to be freed, NULL if there is none. */
static char *read_log(const struct qemu *q, const char *log)
{
	char path[64], *text = NULL;
	struct stat st;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", q->dir, log);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st))
		text = calloc(1, st.st_size + 1);
	if (text) {
		n = read(fd, text, st.st_size);
		text[max(n, (ssize_t)0)] = '\0';
	}
	close(fd);
	return text;
}

unsigned int qemu_said(const struct qemu *q, const char *log, const char *text)
{
	char *all = read_log(q, log);
	const char *at = all;
	unsigned int n = 0;

	while (at && (at = strstr(at, text))) {
		at += strlen(text);
		n++;
	}
	free(all);
	return n;
}

uint64_t qemu_number(const struct qemu *q, const char *log, const char *text)
{
	char *all = read_log(q, log);
	const char *at = all;
	uint64_t number = 0;

	while (at && (at = strstr(at, text))) {
		at += strlen(text);
		number = strtoull(at, NULL, 16);
	}
	free(all);
	return number;
}

int qemu_wait_for(struct qemu *q, const char *log, const char *text,
		  unsigned int count)
{
	int ms;

	for (ms = QEMU_LIMIT_MS; ms > 0; ms -= QEMU_POLL_MS) {
		if (qemu_said(q, log, text) >= count)
			return 0;
		if (qemu_said(q, "serial", SECTOR_FAILED))
			return -EIO;
		if (!qemu_alive(q))
			return -ECHILD;
		nap();
	}
	return -ETIMEDOUT;
}

int qemu_wait(struct qemu *q, unsigned int count)
{
	return qemu_wait_for(q, "serial", SECTOR_WRITTEN, count);
}

/*
 * The monitor
 */

static int connect_once(struct qemu *q)
{
	const struct timeval limit = { .tv_sec = QEMU_LIMIT_MS / 1000 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/qmp", q->dir);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		ret = -errno;
		close(fd);
		return ret;
	}
	q->qmp = fd;
	return 0;
}

/* What QEMU says next, events counted and left out; NULL if nothing comes. */
static json_t *receive(struct qemu *q, bool event)
{
	const char *name;
	json_t *message;

	while ((message = json_loadfd(q->qmp, JSON_DISABLE_EOF_CHECK, NULL))) {
		name = json_string_value(json_object_get(message, "event"));
		if (!name)
			return message;
		/* Each event names the device, and once more without an id. */
		if (!strcmp(name, "DEVICE_DELETED") &&
		    json_object_get(json_object_get(message, "data"), "device"))
			q->deleted++;
		if (event)
			return message;
		json_decref(message);
	}
	return NULL;
}

/* The reply to a command, a new reference, NULL if none came. */
static json_t *exchange(struct qemu *q, const char *name, json_t *arguments)
{
	json_t *command = json_pack("{s:s, s:o*}", "execute", name,
				    "arguments", arguments);
	int ret = -1;

	if (command && q->qmp >= 0)
		ret = json_dumpfd(command, q->qmp, JSON_COMPACT);
	json_decref(command);
	return ret ? NULL : receive(q, false);
}

/* What a reply says, a new reference in @value if that isn't NULL. */
static int command(struct qemu *q, const char *name, json_t *arguments,
		   json_t **value)
{
	json_t *reply = exchange(q, name, arguments);
	json_t *error = json_object_get(reply, "error");
	int ret = 0;

	if (!reply)
		return -ECONNRESET;
	if (error) {
		fprintf(stderr, "QEMU: %s: %s\n", name,
			json_string_value(json_object_get(error, "desc")));
		ret = -EREMOTEIO;
	} else if (value) {
		*value = json_incref(json_object_get(reply, "return"));
	}
	json_decref(reply);
	return ret;
}

int qemu_command(struct qemu *q, const char *name, json_t *arguments)
{
	return command(q, name, arguments, NULL);
}

int64_t qemu_get(struct qemu *q, const char *path, const char *property)
{
	json_t *value = NULL;
	int64_t number;
	int ret;

	ret = command(q, "qom-get", json_pack("{s:s, s:s}", "path", path,
					      "property", property), &value);
	if (ret)
		return ret;
	number = json_is_integer(value) ? json_integer_value(value) : -EINVAL;
	json_decref(value);
	return number;
}

int qemu_human(struct qemu *q, const char *line, char *text, size_t len)
{
	json_t *value = NULL;
	int ret;

	ret = command(q, "human-monitor-command",
		      json_pack("{s:s}", "command-line", line), &value);
	if (ret)
		return ret;
	snprintf(text, len, "%s", json_string_value(value));
	json_decref(value);
	return 0;
}

int qemu_connect(struct qemu *q)
{
	json_t *greeting;
	int ret, ms;

	for (ms = QEMU_LIMIT_MS; ms > 0; ms -= QEMU_POLL_MS) {
		ret = connect_once(q);
		if (!ret)
			break;
		if (!qemu_alive(q))
			return -ECHILD;
		nap();
	}
	if (ret)
		return ret;
	greeting = receive(q, false);
	if (!greeting)
		return qemu_alive(q) ? -ETIMEDOUT : -ECHILD;
	json_decref(greeting);
	return qemu_command(q, "qmp_capabilities", NULL);
}

int qemu_wait_deleted(struct qemu *q, unsigned int count)
{
	json_t *message;

	while (q->deleted < count) {
		message = receive(q, true);
		if (!message)
			return -ETIMEDOUT;
		json_decref(message);
	}
	return 0;
}

/*
 * The end
 */

int qemu_end(struct qemu *q, int signal)
{
	int ms;

	if (!qemu_alive(q))
		return 0;
	kill(q->pid, signal);
	for (ms = QEMU_END_MS; ms > 0; ms -= QEMU_POLL_MS) {
		if (!qemu_alive(q))
			return 0;
		nap();
	}
	kill(q->pid, SIGKILL);
	waitpid(q->pid, &q->status, 0);
	q->pid = 0;
	return -ETIMEDOUT;
}

static void show_log(const struct qemu *q, const char *log)
{
	char *text = read_log(q, log);
	size_t len = text ? strlen(text) : 0;

	fprintf(stderr, "---- QEMU's %s:\n%s\n", log,
		text ? text + (len > QEMU_SHOW ? len - QEMU_SHOW : 0) :
		"(none)");
	free(text);
}

void qemu_cleanup(struct qemu *q, bool show)
{
	char path[64];
	unsigned int i;

	if (!q->dir[0])
		return;
	qemu_end(q, SIGKILL);
	close_fd(&q->qmp);
	for (i = 0; i < ARRAY_SIZE(logs); i++) {
		if (show)
			show_log(q, logs[i]);
		snprintf(path, sizeof(path), "%s/%s", q->dir, logs[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/qmp", q->dir);
	unlink(path);
	rmdir(q->dir);
	q->dir[0] = '\0';
}
