// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU runs in the file tree that LAB_QEMU_ROOT names (selftests/lab/fetch-root
 * makes it), in namespaces of its own for mounts and for the network, as a user
 * without rights, without capabilities, and with next to no memory that it may
 * lock. In its /tmp is its directory, in its /run are those of the daemons, with
 * their sockets, and what it boots; its /dev is empty.
 *
 * Its patience is set to a minute: it gives up on a server that is silent for
 * five seconds, and on a busy host that emulates the emulator, pinning all of
 * the machine's memory can take longer.
 *
 * Its logs are files, which are there to be read whatever becomes of it: what
 * the machine sends to its serial port, what the firmware says, and stderr. What
 * the machine gets from its serial port comes from a FIFO, of which both ends
 * are kept open so that it never ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
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

/*
 * What is done in seconds, on a busy host that emulates the emulator; and what
 * takes a minute or more, when Linux is to boot.
 */
#define QEMU_LIMIT_MS	120000
#define QEMU_LINUX_MS	480000
#define QEMU_END_MS	20000
#define QEMU_POLL_MS	20

/* Of each log, the end that is shown when a test fails, in bytes. */
#define QEMU_SHOW	24000

static const char *const logs[] = { "stderr", "serial", "firmware" };

/* What else is in its directory. */
static const char *const others[] = { "input", "qmp" };

#define QEMU_MAX_ARGS	64

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

/* Where @where is in QEMU's file tree. */
static void tree_path(const char *where, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s%s", getenv("LAB_QEMU_ROOT"), where);
}

static int bind_at(const char *dir, const char *where)
{
	char path[PATH_MAX];

	tree_path(where, path);
	return mount(dir, path, NULL, MS_BIND, NULL) ? -errno : 0;
}

static int bind_new(const char *dir, const char *where)
{
	char path[PATH_MAX];

	tree_path(where, path);
	return mkdir(path, 0755) ? -errno : bind_at(dir, where);
}

/* /run, with a directory for each daemon and one for the Linux to boot. */
static int make_run(const struct qemu_machine *m)
{
	char path[PATH_MAX], where[32];
	unsigned int i;
	int ret = 0;

	tree_path("/run", path);
	if (mount("run", path, "tmpfs", 0, "mode=755"))
		return -errno;
	for (i = 0; i < QEMU_DEVICES && m->daemons[i] && !ret; i++) {
		snprintf(where, sizeof(where), "/run/dev%u", i);
		ret = bind_new(m->daemons[i]->dir, where);
	}
	if (m->linux_dir && !ret)
		ret = bind_new(m->linux_dir, "/run/linux");
	return ret;
}

static int confine(const struct qemu *q, const struct qemu_machine *m)
{
	const struct rlimit memlock = { QEMU_MEMLOCK, QEMU_MEMLOCK };
	int ret;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	ret = bind_at(q->dir, "/tmp");
	if (!ret)
		ret = make_run(m);
	if (ret)
		return ret;
	if (chroot(getenv("LAB_QEMU_ROOT")) || chdir("/") ||
	    setrlimit(RLIMIT_MEMLOCK, &memlock) || setgroups(0, NULL) ||
	    setresgid(HW_CLIENT_UID, HW_CLIENT_UID, HW_CLIENT_UID) ||
	    setresuid(HW_CLIENT_UID, HW_CLIENT_UID, HW_CLIENT_UID) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL))
		return -errno;
	return 0;
}

struct args {
	char *argv[QEMU_MAX_ARGS + 1];
	unsigned int n;
};

/* One more argument, a copy, for as long as this child lives. */
static void __attribute__((format(printf, 2, 3)))
add(struct args *args, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (args->n == QEMU_MAX_ARGS ||
	    vasprintf(&args->argv[args->n++], format, ap) < 0)
		_exit(127);
	va_end(ap);
}

/* A device on a root port of its own. */
static void add_device(struct args *args, unsigned int i)
{
	add(args, "-device");
	add(args, "pcie-root-port,id=rp%u,chassis=%u", i, i + 1);
	add(args, "-device");
	add(args, "{\"driver\":\"vfio-user-pci\",\"id\":\"dev%u\",\"bus\":\"rp%u\",\"bootindex\":%u,\"x-msg-timeout\":60000,\"socket\":{\"type\":\"unix\",\"path\":\"/run/dev%u/socket\"}}",
	    i, i, i + 1, i);
}

/*
 * Time passes in leaps: the kernel is told to trust its clock, and the disk's
 * driver to be patient. And it is told to let the IOAPIC be, which message
 * signalled interrupts don't need: Linux (7.3) isn't safe from a tick of the
 * timer while it sets up that interrupt's line, and here ticks are always late.
 */
static void add_linux(struct args *args)
{
	add(args, "-kernel");
	add(args, "/run/linux/vmlinux");
	add(args, "-initrd");
	add(args, "/run/linux/initrd");
	add(args, "-append");
	add(args, "console=ttyS0 panic=-1 noapic tsc=reliable nvme_core.io_timeout=240 nvme_core.admin_timeout=240");
	add(args, "-no-reboot");
}

static void run(const struct qemu_machine *m)
{
	static const char *const common[] = {
		QEMU_PROGRAM, "-nodefaults", "-no-user-config",
		"-display", "none", "-accel", "tcg",
		"-machine", "q35,memory-backend=m,sata=off,smbus=off,i8042=off",
		"-chardev",
		"file,id=serial,path=/tmp/serial,input-path=/tmp/input",
		"-serial", "chardev:serial",
		"-chardev", "file,id=firmware,path=/tmp/firmware",
		"-device", "isa-debugcon,iobase=0x402,chardev=firmware",
		"-qmp", "unix:/tmp/qmp,server=on,wait=off",
	};
	struct args args = {};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(common); i++)
		add(&args, "%s", common[i]);
	add(&args, "-object");
	add(&args, "memory-backend-memfd,id=m,size=%s,share=on",
	    m->linux_dir ? "64M" : "32M");
	for (i = 0; i < QEMU_DEVICES && m->daemons[i]; i++)
		add_device(&args, i);
	if (m->linux_dir)
		add_linux(&args);
	execv(QEMU_PROGRAM, args.argv);
	perror(QEMU_PROGRAM);
}

/* The directory, with the way in to the serial port. */
static int make_dir(struct qemu *q)
{
	char path[64];

	if (!mkdtemp(q->dir)) {
		q->dir[0] = '\0';
		return -errno;
	}
	snprintf(path, sizeof(path), "%s/input", q->dir);
	if (mkfifo(path, 0600) ||
	    chown(path, HW_CLIENT_UID, HW_CLIENT_UID) ||
	    chown(q->dir, HW_CLIENT_UID, HW_CLIENT_UID))
		return -errno;
	q->input = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return q->input < 0 ? -errno : 0;
}

static int open_stderr(const struct qemu *q)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/stderr", q->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

int qemu_start_machine(struct qemu *q, const struct qemu_machine *m)
{
	int fd, ret;

	*q = (struct qemu){
		.qmp = -1,
		.input = -1,
		.limit_ms = m->linux_dir ? QEMU_LINUX_MS : QEMU_LIMIT_MS,
		.dir = "/tmp/qemu.XXXXXX",
	};
	ret = make_dir(q);
	if (ret)
		return ret;
	fd = open_stderr(q);
	if (fd < 0)
		return fd;
	q->pid = fork();
	if (!q->pid) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		ret = confine(q, m);
		if (ret)
			fprintf(stderr, "confine: %s\n", strerror(-ret));
		else
			run(m);
		_exit(127);
	}
	close(fd);
	if (q->pid < 0) {
		q->pid = 0;
		return -errno;
	}
	return 0;
}

int qemu_start(struct qemu *q, const struct hw_daemon *d)
{
	const struct qemu_machine machine = { .daemons = { d } };

	return qemu_start_machine(q, &machine);
}

/* Does /proc/PID/NAME have a line with @text? */
static bool proc_has(pid_t pid, const char *name, const char *text)
{
	char path[64], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, text);
	if (file)
		fclose(file);
	if (!found)
		fprintf(stderr, "%s: no \"%s\"\n", path, text);
	return found;
}

/* Has it a mount namespace of its own, without /dev/vfio? */
static bool away_from_devices(pid_t pid)
{
	char path[64], its[64] = "", ours[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	if (readlink(path, its, sizeof(its) - 1) < 0 ||
	    readlink("/proc/self/ns/mnt", ours, sizeof(ours) - 1) < 0 ||
	    !strcmp(its, ours)) {
		fprintf(stderr, "%s: %s\n", path, its);
		return false;
	}
	snprintf(path, sizeof(path), "/proc/%d/root/dev/vfio", pid);
	if (access(path, F_OK) && errno == ENOENT)
		return true;
	fprintf(stderr, "%s: it is there\n", path);
	return false;
}

bool qemu_confined(const struct qemu *q)
{
	static const char *const status[] = {
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000",
		"CapEff:\t0000000000000000", "CapAmb:\t0000000000000000",
		"NoNewPrivs:\t1", "Uid:\t65533\t65533\t65533\t65533",
		"Gid:\t65533\t65533\t65533\t65533",
	};
	bool ret = true;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(status); i++)
		ret &= proc_has(q->pid, "status", status[i]);
	ret &= proc_has(q->pid, "limits", "Max locked memory         65536 ");
	return ret & away_from_devices(q->pid);
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

	for (ms = q->limit_ms; ms > 0; ms -= QEMU_POLL_MS) {
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

int qemu_say(struct qemu *q, const char *text)
{
	ssize_t n = write(q->input, text, strlen(text));

	if (n < 0)
		return -errno;
	return n == strlen(text) ? 0 : -EAGAIN;
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

int qemu_wait_end(struct qemu *q)
{
	int ms;

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

int qemu_end(struct qemu *q, int signal)
{
	if (!qemu_alive(q))
		return 0;
	kill(q->pid, signal);
	return qemu_wait_end(q);
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
	close_fd(&q->input);
	for (i = 0; i < ARRAY_SIZE(logs); i++) {
		if (show)
			show_log(q, logs[i]);
		snprintf(path, sizeof(path), "%s/%s", q->dir, logs[i]);
		unlink(path);
	}
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		snprintf(path, sizeof(path), "%s/%s", q->dir, others[i]);
		unlink(path);
	}
	rmdir(q->dir);
	q->dir[0] = '\0';
}
