// SPDX-License-Identifier: GPL-2.0-only
/*
 * The test's side: the machine's directory, in shared memory if there is any,
 * and the daemon as a child process.
 *
 * That the daemon is ready is read from its log: connecting to find out would be
 * a session, and a socket that listens belongs to a daemon that still confines
 * itself.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "tree.h"
#include "util.h"

#define DAEMON_START_MS		20000
#define DAEMON_STOP_MS		10000
#define DAEMON_MAX_ARGS		32

static void irq_lock_init(struct fake_irq *irq)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&irq->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	irq->index = FAKE_NO_INDEX;
}

static int control_create(struct fake_root *root,
			  const struct fake_config *config)
{
	struct fake_control *control;
	int fd, ret = 0;

	fd = tree_file(root->path, "control", NULL, 0);
	if (fd < 0)
		return fd;
	if (ftruncate(fd, sizeof(*control))) {
		ret = -errno;
		goto close;
	}
	control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, 0);
	if (control == MAP_FAILED) {
		ret = -errno;
		goto close;
	}

	control->size = sizeof(*control);
	control->config = *config;
	irq_lock_init(&control->irq);
	control->magic = FAKE_MAGIC;
	root->control = control;
close:
	close(fd);
	return ret;
}

int fake_root_create(struct fake_root *root, const struct fake_config *config)
{
	int ret;

	root->control = NULL;
	snprintf(root->path, sizeof(root->path), "%s/vfio-fake-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(root->path))
		return -errno;
	/* A daemon that drops its privileges still has to get in. */
	if (chmod(root->path, 0755)) {
		ret = -errno;
		goto destroy;
	}

	ret = tree_create(root->path, config);
	if (ret)
		goto destroy;
	ret = control_create(root, config);
	if (ret)
		goto destroy;
	return 0;

destroy:
	fake_root_destroy(root);
	return ret;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	return remove(path);
}

void fake_root_destroy(struct fake_root *root)
{
	if (root->control)
		munmap(root->control, sizeof(*root->control));
	root->control = NULL;
	nftw(root->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void fake_rule_set(struct fake_root *root, unsigned int slot,
		   const struct fake_rule *rule)
{
	struct fake_rule *shared = &root->control->rules[slot];

	__atomic_store_n(&shared->call, FAKE_NONE, __ATOMIC_RELEASE);
	shared->kind = rule->kind;
	shared->request = rule->request;
	shared->nth = rule->nth;
	shared->err = rule->err;
	shared->delay_ms = rule->delay_ms;
	shared->limit = rule->limit;
	shared->stubborn = rule->stubborn;
	shared->seen = 0;
	__atomic_store_n(&shared->call, rule->call, __ATOMIC_RELEASE);
}

void fake_rules_clear(struct fake_root *root)
{
	const struct fake_rule none = { .call = FAKE_NONE };
	unsigned int i;

	for (i = 0; i < FAKE_MAX_RULES; i++)
		fake_rule_set(root, i, &none);
}

void fake_fail_ioctl(struct fake_root *root, enum fake_kind kind,
		     unsigned long request, int err)
{
	const struct fake_rule rule = {
		.call = FAKE_IOCTL,
		.kind = kind,
		.request = request,
		.nth = 1,
		.err = err,
	};

	fake_rule_set(root, 0, &rule);
}

const struct fake_access *fake_last_access(const struct fake_root *root,
					   unsigned int back)
{
	uint64_t nr = __atomic_load_n(&root->control->nr_accesses,
				      __ATOMIC_ACQUIRE);

	if (back >= nr || back >= FAKE_LOG_LEN)
		return NULL;
	return &root->control->log[(nr - 1 - back) % FAKE_LOG_LEN];
}

static bool begins(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/**
 * struct daemon_args - a command line being put together
 * @argv: what is given to execv(3)
 * @device: room for what is added
 * @socket: room for what is added
 */
struct daemon_args {
	const char *argv[DAEMON_MAX_ARGS + 4];
	char device[96];
	char socket[128];
};

static int daemon_args(struct daemon_args *cmd, struct fake_daemon *daemon,
		       const struct fake_root *root, const char *const args[])
{
	bool has_socket = false, has_device = false;
	unsigned int nr = 0;

	cmd->argv[nr++] = getenv(FAKE_DAEMON_ENV);
	if (!cmd->argv[0])
		return -ENOENT;
	for (; *args; args++) {
		if (nr == DAEMON_MAX_ARGS)
			return -E2BIG;
		if (begins(*args, "--socket-path="))
			snprintf(daemon->socket, sizeof(daemon->socket), "%s",
				 *args + strlen("--socket-path="));
		has_socket |= begins(*args, "--socket-path=") ||
			      begins(*args, "--fd=");
		has_device |= begins(*args, "--device");
		cmd->argv[nr++] = *args;
	}
	if (!has_socket) {
		snprintf(cmd->socket, sizeof(cmd->socket), "--socket-path=%s",
			 daemon->socket);
		cmd->argv[nr++] = cmd->socket;
	}
	if (!has_device) {
		snprintf(cmd->device, sizeof(cmd->device), "--device=%s",
			 root->control->config.name);
		cmd->argv[nr++] = cmd->device;
	}
	cmd->argv[nr] = NULL;
	return 0;
}

static void daemon_exec(const struct fake_daemon *daemon,
			const struct fake_root *root,
			const struct daemon_args *cmd)
{
	int fd = open(daemon->log, O_WRONLY | O_APPEND);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 ||
	    setenv(FAKE_ROOT_ENV, root->path, 1))
		_exit(127);
	if (fd != STDERR_FILENO)
		close(fd);
	execv(cmd->argv[0], (char *const *)cmd->argv);
	dprintf(STDERR_FILENO, "%s: %s\n", cmd->argv[0], strerror(errno));
	_exit(127);
}

int fake_daemon_spawn(struct fake_daemon *daemon, const struct fake_root *root,
		      const char *const args[])
{
	static unsigned int serial;
	struct daemon_args cmd;
	int ret;

	serial++;
	snprintf(daemon->socket, sizeof(daemon->socket), "%s/socket-%u",
		 root->path, serial);
	snprintf(daemon->log, sizeof(daemon->log), "%s/log-%u", root->path,
		 serial);
	daemon->pid = -1;
	ret = daemon_args(&cmd, daemon, root, args);
	if (ret)
		return ret;
	ret = open(daemon->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		   0666);
	if (ret < 0)
		return -errno;
	close(ret);

	daemon->pid = fork();
	if (daemon->pid < 0)
		return -errno;
	if (!daemon->pid)
		daemon_exec(daemon, root, &cmd);
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

static void pause_ms(unsigned int ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000l };

	nanosleep(&ts, NULL);
}

static bool daemon_listens(const struct fake_daemon *daemon)
{
	char log[4096], line[300];

	snprintf(line, sizeof(line), "listening on %s\n", daemon->socket);
	return strstr(fake_daemon_log(daemon, log, sizeof(log)), line);
}

int fake_daemon_start(struct fake_daemon *daemon, const struct fake_root *root,
		      const char *const args[])
{
	uint64_t end = now_ms() + DAEMON_START_MS;
	int ret;

	ret = fake_daemon_spawn(daemon, root, args);
	if (ret)
		return ret;
	while (now_ms() < end) {
		if (daemon_listens(daemon))
			return 0;
		if (fake_daemon_wait(daemon, 0) != -ETIMEDOUT)
			return -ECHILD;
		pause_ms(2);
	}
	fake_daemon_stop(daemon, SIGKILL);
	return -ETIMEDOUT;
}

int fake_daemon_wait(struct fake_daemon *daemon, unsigned int ms)
{
	uint64_t end = now_ms() + ms;
	int status;

	for (;;) {
		pid_t pid = waitpid(daemon->pid, &status, WNOHANG);

		if (pid < 0)
			return -errno;
		if (pid)
			break;
		if (now_ms() >= end)
			return -ETIMEDOUT;
		pause_ms(1);
	}
	daemon->pid = -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
				     WEXITSTATUS(status);
}

int fake_daemon_stop(struct fake_daemon *daemon, int signal)
{
	int ret;

	if (daemon->pid < 0)
		return 0;
	kill(daemon->pid, signal);
	ret = fake_daemon_wait(daemon, DAEMON_STOP_MS);
	if (ret != -ETIMEDOUT)
		return ret;
	kill(daemon->pid, SIGKILL);
	return fake_daemon_wait(daemon, DAEMON_STOP_MS);
}

char *fake_daemon_log(const struct fake_daemon *daemon, char *buf, size_t len)
{
	int fd = open(daemon->log, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n = 0;

	if (fd >= 0 && !fstat(fd, &st))
		n = pread(fd, buf, len - 1,
			  st.st_size > len - 1 ? st.st_size - (len - 1) : 0);
	buf[max(n, (ssize_t)0)] = '\0';
	if (fd >= 0)
		close(fd);
	return buf;
}

int fake_nr_fds(const struct fake_root *root, pid_t pid)
{
	char path[64];
	int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (readdir(dir))
		nr++;
	/* Without . and .., and in one's own process without this directory. */
	nr -= 2 + (pid == getpid());
	closedir(dir);
	return nr - root->control->hidden_fds;
}

int fake_nr_mappings(pid_t pid)
{
	char path[64];
	int nr = 0, c;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while ((c = getc(file)) != EOF)
		nr += c == '\n';
	fclose(file);
	return nr;
}

long fake_rss(pid_t pid)
{
	char path[64];
	long pages = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	if (fscanf(file, "%*s %ld", &pages) != 1)
		pages = -1;
	fclose(file);
	return pages < 0 ? -EIO : pages * sysconf(_SC_PAGESIZE);
}

long fake_anon(pid_t pid)
{
	long kib = -1;
	char line[256];
	FILE *file;

	snprintf(line, sizeof(line), "/proc/%d/status", pid);
	file = fopen(line, "re");
	if (!file)
		return -errno;
	while (kib < 0 && fgets(line, sizeof(line), file))
		sscanf(line, "RssAnon: %ld", &kib);
	fclose(file);
	return kib < 0 ? -EIO : kib * 1024;
}
