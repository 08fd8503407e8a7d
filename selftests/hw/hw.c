// SPDX-License-Identifier: GPL-2.0-only
/*
 * A daemon and a confined client for each test.
 *
 * A test process that reaches its device by a socket gives up all it could
 * reach the device with otherwise: it becomes a user that owns nothing, in a
 * mount namespace where /dev is empty. What still needs root - starting the
 * daemon, counting what it holds, stopping it - is done by a "keeper", a
 * process forked off before, which the test asks over a socket. When the test
 * ends in whatever way, that socket closes and the keeper ends the daemon.
 *
 * The daemon is unprivileged too: it is given the device's nodes and a limit
 * for locked memory, and becomes nobody. Its program is opened before that,
 * because nobody may not be able to walk to it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
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
#include "hw.h"
#include "pci/device.h"

#define HW_START_MS	20000
#define HW_END_MS	10000
#define HW_REST_MS	20	/* without work: it waits for something */
#define HW_MEMLOCK	(512ul << 20)

enum keeper_request {
	KEEPER_COUNTS,
	KEEPER_LOG_HAS,
	KEEPER_WAIT,
	KEEPER_STOP,
};

struct keeper_question {
	enum keeper_request request;
	char text[64];
};

struct keeper_answer {
	int ret;
	struct hw_counts counts;
};

static void nap_ms(unsigned int ms)
{
	const struct timespec nap = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000,
	};

	nanosleep(&nap, NULL);
}

static const char *iommu_name(enum vfio_iommu_kind kind)
{
	switch (kind) {
	case VFIO_IOMMU_IOMMUFD:
		return "iommufd";
	case VFIO_IOMMU_TYPE1:
		return "type1";
	default:
		return "auto";
	}
}

/* Name of the only entry in a directory, other than . and .., if any. */
static int only_entry(const char *dir, char name[NAME_MAX + 1])
{
	struct dirent *entry;
	DIR *d = opendir(dir);

	if (!d)
		return -errno;
	do {
		entry = readdir(d);
	} while (entry && entry->d_name[0] == '.');
	if (entry)
		strcpy(name, entry->d_name);
	closedir(d);
	return entry ? 0 : -ENOENT;
}

/* Where sysfs has @what of a device. */
static int sysfs_path(const char *device, const char *what, char *path,
		      size_t len)
{
	struct pci_name name;
	int ret = pci_resolve(device, &name);

	snprintf(path, len, "%s/%s", name.sysfs, what);
	return ret;
}

/* The nodes of a device: /dev/vfio/devices/vfioN with iommufd. */
static int cdev_path(const char *device, char *path, size_t len)
{
	char dir[PATH_MAX], name[NAME_MAX + 1];
	int ret;

	ret = sysfs_path(device, "vfio-dev", dir, sizeof(dir));
	if (!ret)
		ret = only_entry(dir, name);
	if (ret)
		return ret;
	snprintf(path, len, "/dev/vfio/devices/%s", name);
	return access(path, F_OK) ? -errno : 0;
}

/* And /dev/vfio/GROUP with type1. */
static int group_path(const char *device, char *path, size_t len)
{
	char link[PATH_MAX], target[PATH_MAX];
	ssize_t n;
	int ret;

	ret = sysfs_path(device, "iommu_group", link, sizeof(link));
	if (ret)
		return ret;
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	snprintf(path, len, "/dev/vfio/%s", strrchr(target, '/') + 1);
	return access(path, F_OK) ? -errno : 0;
}

const char *hw_missing(const char *env, enum vfio_iommu_kind iommu)
{
	static char reason[128];
	const char *bdf = getenv(env);
	char path[PATH_MAX];

	if (!bdf) {
		snprintf(reason, sizeof(reason), "no device: %s is not set",
			 env);
		return reason;
	}
	if (getuid())
		return "needs root";
	if (iommu == VFIO_IOMMU_IOMMUFD) {
		if (access("/dev/iommu", F_OK))
			return "this kernel has no iommufd";
		if (cdev_path(bdf, path, sizeof(path)))
			return "the device has no node in /dev/vfio/devices";
	} else {
		if (access("/dev/vfio/vfio", F_OK))
			return "this kernel has no VFIO container";
		if (group_path(bdf, path, sizeof(path)))
			return "the device's group has no node in /dev/vfio";
	}
	return NULL;
}

static int give_nodes(const char *bdf, enum vfio_iommu_kind iommu)
{
	char path[PATH_MAX];
	bool iommufd = iommu == VFIO_IOMMU_IOMMUFD;
	int ret;

	ret = iommufd ? cdev_path(bdf, path, sizeof(path)) :
			group_path(bdf, path, sizeof(path));
	if (ret)
		return ret;
	if (chown(path, HW_DAEMON_UID, HW_DAEMON_UID) ||
	    chown(iommufd ? "/dev/iommu" : "/dev/vfio/vfio",
		  HW_DAEMON_UID, HW_DAEMON_UID))
		return -errno;
	return 0;
}

static int become(uid_t uid)
{
	if (setgroups(0, NULL) || setresgid(uid, uid, uid) ||
	    setresuid(uid, uid, uid) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return 0;
}

int hw_confine(uid_t uid)
{
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/dev", "tmpfs", MS_RDONLY, "mode=755"))
		return -errno;
	return become(uid);
}

/*
 * The keeper
 */

struct keeper {
	const struct hw_daemon *d;
	pid_t pid;
	int status;
	bool ended;
};

/* The daemon is beside the tests' directory: ../../vfio-bridge from here. */
static int open_program(void)
{
	const char *path = getenv("VFIO_BRIDGE");
	char self[PATH_MAX];
	int up = 3, fd;
	ssize_t n;

	if (!path) {
		n = readlink("/proc/self/exe", self, sizeof(self) - 20);
		if (n < 0)
			return -errno;
		self[n] = '\0';
		while (up-- && strrchr(self, '/'))
			*strrchr(self, '/') = '\0';
		path = strcat(self, "/vfio-bridge");
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	return fd < 0 ? -errno : fd;
}

static void run_daemon(const struct hw_daemon *d,
		       const struct hw_daemon_opts *opts, int program)
{
	const struct rlimit memlock = { HW_MEMLOCK, HW_MEMLOCK };
	char socket[80], second[80], monitor[80], iommu[32], disconnect[40];
	char release[40];
	char *argv[16] = { "vfio-bridge", "--device", (char *)opts->bdf,
			  socket, monitor, iommu };
	int n = 6;

	snprintf(socket, sizeof(socket), "--socket-path=%s", d->socket);
	snprintf(monitor, sizeof(monitor), "--monitor=%s", d->monitor);
	snprintf(iommu, sizeof(iommu), "--iommu=%s", iommu_name(opts->iommu));
	if (opts->second) {
		snprintf(second, sizeof(second), "--socket-path=%s", d->second);
		argv[n++] = "--device";
		argv[n++] = (char *)opts->second;
		argv[n++] = second;
	}
	if (opts->on_disconnect) {
		snprintf(disconnect, sizeof(disconnect), "--on-disconnect=%s",
			 opts->on_disconnect);
		argv[n++] = disconnect;
	}
	if (opts->no_mmap)
		argv[n++] = "--mmap=off";
	if (opts->shadow)
		argv[n++] = "--shadow-dma";
	if (opts->verbose)
		argv[n++] = "--verbose";
	if (opts->idle_low_power)
		argv[n++] = "--idle-low-power";
	if (opts->release_timeout) {
		snprintf(release, sizeof(release), "--release-timeout=%u",
			 opts->release_timeout);
		argv[n++] = release;
	}
	if (setrlimit(RLIMIT_MEMLOCK, &memlock) || become(HW_DAEMON_UID))
		_exit(126);
	/* Only now: changing the user would clear it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	umask(0);
	fexecve(program, argv, environ);
	_exit(127);
}

static void log_path(const struct hw_daemon *d, char *path, size_t len)
{
	snprintf(path, len, "%s/log", d->dir);
}

/* The whole log as a string to be freed, NULL if there is none. */
static char *read_log(const struct hw_daemon *d)
{
	char path[64], *text = NULL;
	struct stat st;
	ssize_t n;
	int fd;

	log_path(d, path, sizeof(path));
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

static int log_has(const struct hw_daemon *d, const char *what)
{
	char *text = read_log(d);
	bool found;

	if (!text)
		return -ENOENT;
	found = strstr(text, what);
	free(text);
	return found;
}

static void show_log(const struct hw_daemon *d)
{
	char *text = read_log(d);

	if (text)
		fputs(text, stderr);
	free(text);
}

static bool has_ended(struct keeper *k)
{
	if (!k->ended)
		k->ended = waitpid(k->pid, &k->status, WNOHANG) == k->pid;
	return k->ended;
}

static int await_end(struct keeper *k, int ms)
{
	for (; !has_ended(k); ms -= 2) {
		if (ms <= 0)
			return -ETIMEDOUT;
		nap_ms(2);
	}
	return k->status;
}

static int await_ready(struct keeper *k)
{
	int ms = HW_START_MS;

	for (; log_has(k->d, "listening on") != 1; ms -= 5) {
		if (has_ended(k))
			return -ECHILD;
		if (ms <= 0)
			return -ETIMEDOUT;
		nap_ms(5);
	}
	return 0;
}

static int stop(struct keeper *k)
{
	int ret;

	if (!has_ended(k))
		kill(k->pid, SIGTERM);
	ret = await_end(k, HW_END_MS);
	if (ret == -ETIMEDOUT) {
		kill(k->pid, SIGKILL);
		waitpid(k->pid, &k->status, 0);
		k->ended = true;
	}
	return ret;
}

static unsigned long count_entries(const char *path)
{
	unsigned long n = 0;
	struct dirent *entry;
	DIR *dir = opendir(path);

	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

/* Lines of a file; *@rss is set from the line that begins with VmRSS. */
static unsigned long count_lines(const char *path, unsigned long *rss)
{
	char line[PATH_MAX + 128];
	unsigned long n = 0;
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file)) {
		n++;
		if (rss)
			sscanf(line, "VmRSS: %lu", rss);
	}
	if (file)
		fclose(file);
	return n;
}

/* All of a process's threads, those that have ended too; 0 on error. */
static uint64_t cpu_ns(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &ts))
		return 0;
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static int count(struct keeper *k, struct hw_counts *counts)
{
	char path[64];

	if (has_ended(k))
		return -ECHILD;
	snprintf(path, sizeof(path), "/proc/%d/fd", k->pid);
	counts->fds = count_entries(path);
	snprintf(path, sizeof(path), "/proc/%d/maps", k->pid);
	counts->maps = count_lines(path, NULL);
	snprintf(path, sizeof(path), "/proc/%d/status", k->pid);
	count_lines(path, &counts->rss_kib);
	counts->cpu_ns = cpu_ns(k->pid);
	return counts->fds && counts->maps && counts->rss_kib &&
	       counts->cpu_ns ? 0 : -EIO;
}

static void answer(struct keeper *k, const struct keeper_question *q,
		   struct keeper_answer *a)
{
	switch (q->request) {
	case KEEPER_COUNTS:
		a->ret = count(k, &a->counts);
		break;
	case KEEPER_LOG_HAS:
		a->ret = log_has(k->d, q->text);
		break;
	case KEEPER_WAIT:
		a->ret = await_end(k, HW_END_MS);
		break;
	case KEEPER_STOP:
		a->ret = stop(k);
		break;
	}
}

static int start(struct keeper *k, const struct hw_daemon_opts *opts)
{
	int program = open_program();
	char path[64];
	int fd;

	if (program < 0)
		return program;
	log_path(k->d, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	k->pid = fork();
	if (!k->pid) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		run_daemon(k->d, opts, program);
	}
	close(fd);
	close(program);
	return k->pid < 0 ? -errno : await_ready(k);
}

static void remove_dir(const struct hw_daemon *d)
{
	char path[64];

	log_path(d, path, sizeof(path));
	unlink(path);
	unlink(d->socket);
	unlink(d->second);
	unlink(d->monitor);
	rmdir(d->dir);
}

static void keep(const struct hw_daemon *d, const struct hw_daemon_opts *opts,
		 int fd)
{
	struct keeper k = { .d = d, .ended = true };
	struct keeper_question q;
	struct keeper_answer a = {};

	/* A test that takes too long is killed with its process group. */
	setsid();
	a.ret = give_nodes(opts->bdf, opts->iommu);
	if (!a.ret && opts->second)
		a.ret = give_nodes(opts->second, opts->iommu);
	if (!a.ret) {
		k.ended = false;
		a.ret = start(&k, opts);
	}
	if (a.ret)
		show_log(d);
	while (send(fd, &a, sizeof(a), MSG_NOSIGNAL) == sizeof(a) &&
	       recv(fd, &q, sizeof(q), 0) == sizeof(q))
		answer(&k, &q, &a);
	if (k.pid > 0)
		stop(&k);
	remove_dir(d);
	_exit(0);
}

/*
 * Asking the keeper
 */

static int receive(struct hw_daemon *d, struct keeper_answer *a)
{
	if (recv(d->keeper, a, sizeof(*a), 0) != sizeof(*a))
		return -EPIPE;
	return a->ret;
}

static int ask(struct hw_daemon *d, enum keeper_request request,
	       const char *text, struct keeper_answer *a)
{
	struct keeper_question q = { .request = request };

	if (!d->dir[0])
		return -EBADF;
	snprintf(q.text, sizeof(q.text), "%s", text);
	if (send(d->keeper, &q, sizeof(q), MSG_NOSIGNAL) != sizeof(q))
		return -EPIPE;
	return receive(d, a);
}

static void dismiss(struct hw_daemon *d)
{
	/* A keeper that was started later has inherited this end. */
	shutdown(d->keeper, SHUT_RDWR);
	close_fd(&d->keeper);
	waitpid(d->keeper_pid, NULL, 0);
	d->dir[0] = '\0';
}

int hw_daemon_start(struct hw_daemon *d, const struct hw_daemon_opts *opts)
{
	struct keeper_answer a;
	int pair[2], ret;

	strcpy(d->dir, "/tmp/hw.XXXXXX");
	if (!mkdtemp(d->dir) || chmod(d->dir, 0711) ||
	    chown(d->dir, HW_DAEMON_UID, HW_DAEMON_UID) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	snprintf(d->socket, sizeof(d->socket), "%s/socket", d->dir);
	snprintf(d->second, sizeof(d->second), "%s/second", d->dir);
	snprintf(d->monitor, sizeof(d->monitor), "%s/monitor", d->dir);
	d->keeper_pid = fork();
	if (!d->keeper_pid) {
		close(pair[0]);
		keep(d, opts, pair[1]);
	}
	ret = d->keeper_pid < 0 ? -errno : 0;
	close(pair[1]);
	d->keeper = pair[0];
	if (!ret)
		ret = receive(d, &a);
	if (ret)
		dismiss(d);
	return ret;
}

int hw_daemon_stop(struct hw_daemon *d)
{
	struct keeper_answer a;
	int ret;

	if (!d->dir[0])
		return 0;
	ret = ask(d, KEEPER_STOP, "", &a);
	dismiss(d);
	return ret;
}

int hw_daemon_wait(struct hw_daemon *d)
{
	struct keeper_answer a;

	return ask(d, KEEPER_WAIT, "", &a);
}

int hw_daemon_counts(struct hw_daemon *d, struct hw_counts *counts)
{
	struct keeper_answer a = {};
	int ret = ask(d, KEEPER_COUNTS, "", &a);

	*counts = a.counts;
	return ret;
}

int hw_daemon_rest(struct hw_daemon *d, uint64_t *cpu_ns)
{
	struct hw_counts before, after;
	int ret, ms = HW_END_MS;

	ret = hw_daemon_counts(d, &after);
	do {
		if (ret)
			return ret;
		if (ms <= 0)
			return -ETIMEDOUT;
		before = after;
		nap_ms(HW_REST_MS);
		ms -= HW_REST_MS;
		ret = hw_daemon_counts(d, &after);
	} while (ret || after.cpu_ns != before.cpu_ns);
	*cpu_ns = after.cpu_ns;
	return 0;
}

int hw_daemon_log_has(struct hw_daemon *d, const char *text)
{
	struct keeper_answer a;

	return ask(d, KEEPER_LOG_HAS, text, &a);
}

static json_t *monitor_read(const struct hw_daemon *d)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	json_t *document = NULL;
	char rest;

	if (fd < 0)
		return NULL;
	strcpy(addr.sun_path, d->monitor);
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		document = json_loadfd(fd, JSON_DISABLE_EOF_CHECK, NULL);
	/* Until the daemon has closed its end: its fds may be counted next. */
	while (document && read(fd, &rest, 1) == 1)
		;
	close(fd);
	return document;
}

int64_t hw_monitor(const struct hw_daemon *d, const char *key)
{
	json_t *document = monitor_read(d), *value = document;
	char path[64], *part, *rest = path;
	int64_t number = -ENOENT;

	if (!document)
		return -EIO;
	snprintf(path, sizeof(path), "%s", key);
	while ((part = strsep(&rest, ".")))
		value = json_object_get(value, part);
	if (json_is_integer(value))
		number = json_integer_value(value);
	else if (json_is_boolean(value))
		number = json_is_true(value);
	json_decref(document);
	return number;
}

/*
 * A device for one test
 */

int hw_as_client(struct hw_daemon *d, uid_t uid, int (*use)(struct access *a))
{
	struct access *a;
	int ret, status;
	pid_t pid = fork();

	if (!pid) {
		ret = hw_confine(uid);
		if (!ret)
			ret = access_socket_open(d->socket, NULL, &a);
		if (!ret)
			ret = use(a);
		_exit(-ret);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -ECHILD;
	return -WEXITSTATUS(status);
}

static int open_access(struct hw *hw)
{
	struct vfio_why why = {};
	int ret, ms = HW_END_MS;

	if (!hw->way.socket) {
		ret = access_vfio_open(hw->bdf, hw->way.iommu, &why,
				       &hw->access);
		if (ret)
			fprintf(stderr, "%s\n", why.text);
		return ret;
	}
	/* A daemon that opens its device afresh refuses clients meanwhile. */
	do {
		ret = hw->way.shadow ?
			access_shadow_open(hw->daemon.socket, hw->way.twin,
					   &hw->access) :
			access_socket_open(hw->daemon.socket, NULL,
					   &hw->access);
		if (ret != -EBUSY)
			return ret;
		nap_ms(10);
		ms -= 10;
	} while (ms > 0);
	return ret;
}

int hw_open(struct hw *hw, const char *env, const struct hw_way *way)
{
	const struct hw_daemon_opts opts = {
		.bdf = getenv(env),
		.iommu = way->iommu,
		.shadow = way->shadow,
	};
	int ret;

	hw->bdf = opts.bdf;
	hw->way = *way;
	hw->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (hw->kmsg < 0)
		return -errno;
	lseek(hw->kmsg, 0, SEEK_END);
	if (way->socket) {
		ret = hw_daemon_start(&hw->daemon, &opts);
		if (!ret)
			ret = hw_confine(HW_CLIENT_UID);
		if (ret)
			return ret;
	}
	return open_access(hw);
}

int hw_reopen(struct hw *hw)
{
	access_close(hw->access);
	hw->access = NULL;
	return open_access(hw);
}

bool hw_faulted(struct hw *hw, uint64_t address)
{
	char record[1024], where[32];
	bool found = false;
	ssize_t n;

	snprintf(where, sizeof(where), "fault addr 0x%jx ",
		 (uintmax_t)address);
	/* One read is one record; EPIPE means that some were overwritten. */
	while ((n = read(hw->kmsg, record, sizeof(record) - 1)) > 0 ||
	       (n < 0 && errno == EPIPE)) {
		record[max(n, (ssize_t)0)] = '\0';
		/* The log has the address without the domain. */
		if (strstr(record, "DMAR") && strstr(record, where) &&
		    strstr(record, strchr(hw->bdf, ':') + 1))
			found = true;
	}
	return found;
}

int hw_close(struct hw *hw)
{
	int status;

	if (hw->bdf)
		close_fd(&hw->kmsg);
	access_close(hw->access);
	hw->access = NULL;
	status = hw_daemon_stop(&hw->daemon);
	return status > 0 ? -ECHILD : status;
}
