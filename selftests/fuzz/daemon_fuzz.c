// SPDX-License-Identifier: GPL-2.0-only
/*
 * The daemon's start, on the software VFIO: what operators, who starts it, and
 * the machine's directories tell it.
 *
 * The input is a command line, the sockets that are handed over, what is at the
 * sockets' paths, which parts of the machine are missing, and which calls fail.
 * If the options are right, --check looks at the devices, and without it the
 * sockets are made and somebody connects, as main() has it.
 *
 * /proc is a small one of the fuzzer's own. Besides what the sanitizers find: no
 * fd is left, and a path that isn't ours any more is left alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bridge/bridge.h"
#include "fuzz.h"
#include "hooks.h"
#include "log.h"
#include "selftests/fake/fixture.h"

#define MAX_ARGS	24
#define MAX_VALUE	192

/* What is at the paths of sockets before. */
enum at_path {
	AT_NOTHING,
	AT_DEAD_SOCKET,
	AT_SOCKET,
	AT_FILE,
	AT_DIRECTORY,
	NR_AT,
};

static struct fake_root root;
/* Two that can be, one that is too long, and one in no directory. */
static char sockets[4][160];
static int null_fd;

/* What the daemon calls in place of libc's: /proc is below the machine's root. */
static const char *own_proc(const char *path, char *buf)
{
	if (strncmp(path, "/proc", 5))
		return path;
	snprintf(buf, PATH_MAX, "%s%s", root.path, path);
	return buf;
}

DIR *fuzz_opendir(const char *path)
{
	char buf[PATH_MAX];

	return opendir(own_proc(path, buf));
}

FILE *fuzz_fopen(const char *path, const char *mode)
{
	char buf[PATH_MAX];

	return fopen(own_proc(path, buf), mode);
}

ssize_t fuzz_readlink(const char *path, char *buf, size_t len)
{
	char own[PATH_MAX];

	return readlink(own_proc(path, own), buf, len);
}

/*
 * The command line
 */

static const char *const values[] = {
	"0000:01:00.0", "01:00.0", "0000:01:00.1", "0000:09:00.0",
	"/sys/bus/pci/devices/0000:01:00.0",
	"83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", "1", "0", "4096", "64M", "2G",
	"18446744073709551615", "99999999999G", "-1", "0x10", "on", "off",
	"auto", "type1", "iommufd", "reset", "retain", "exit", "0660", "0888",
	"root", "daemon", "nobody-at-all", "0:0x28:8:1", "0:0x28:4", "1:2:3",
	"0:8:8:0x100000000", "0:8:3", "300", "86401", "", "4294967295",
};

static const char *const names[] = {
	"--device=", "--socket-path=", "--fd=", "--monitor=", "--iommu=",
	"--mmap=", "--on-disconnect=", "--release-timeout=",
	"--max-dma-maps=", "--max-dma=", "--message-rate=", "--socket-mode=",
	"--socket-user=", "--socket-group=", "--allow-uid=", "--allow-gid=",
	"--ioeventfd=", "--shadow-dma=", "--shadow-dma", "--unsafe-noiommu",
	"--check", "--no-sandbox", "--print-capabilities", "--help", "-v",
	"--no", "", "-", "device",
};

static void add_value(struct fuzz *f, char *arg)
{
	unsigned int how = fuzz_u8(f), len = strlen(arg);

	if (how >= 0xf8) {
		/* Longer than a socket's path can be */
		memset(arg + len, 'x', 120);
	} else if (how >= 0xe0) {
		fuzz_bytes(f, arg + len, how & 0x1f);
	} else if (how >= 0xc0) {
		strcpy(arg + len, sockets[how & 3]);
	} else {
		strcpy(arg + len, values[how % ARRAY_SIZE(values)]);
	}
}

static int make_args(struct fuzz *f, char **argv)
{
	static char args[MAX_ARGS][MAX_VALUE];
	unsigned int nr = fuzz_u8(f) % MAX_ARGS, i;

	memset(args, 0, sizeof(args));
	strcpy(args[0], "vfio-bridge");
	argv[0] = args[0];
	for (i = 1; i <= nr && i < MAX_ARGS; i++) {
		unsigned int name = fuzz_u8(f);

		strcpy(args[i], names[name % ARRAY_SIZE(names)]);
		if (strchr(args[i], '='))
			add_value(f, args[i]);
		argv[i] = args[i];
	}
	argv[i] = NULL;
	return i;
}

/* A command line that starts a daemon, most often. */
static int make_right_args(struct fuzz *f, char **argv)
{
	static const char *const more[] = {
		"--check", "--unsafe-noiommu", "--iommu=type1",
		"--iommu=iommufd", "--allow-gid=0", "--allow-uid=77",
		"--socket-mode=0600", "--socket-user=0", "--socket-group=0",
		"--monitor=/nowhere/monitor", "--ioeventfd=0:0x28:8",
		"--ioeventfd=0:0x100000:8", "--no-sandbox", "--shadow-dma",
		"--idle-low-power",
	};
	static char path[2][MAX_VALUE + 16];
	unsigned int i, nr = 0, how;

	argv[nr++] = "vfio-bridge";
	for (i = 0; i < 2; i++) {
		how = fuzz_u8(f);
		snprintf(path[i], sizeof(path[i]), "--socket-path=%s",
			 sockets[how < 0x80 ? i :
				 how % ARRAY_SIZE(sockets)]);
		argv[nr++] = i ? "--device=0000:01:00.1" :
				 "--device=0000:01:00.0";
		argv[nr++] = path[i];
	}
	for (i = 0; i < 2; i++)
		argv[nr++] = (char *)more[fuzz_u8(f) % ARRAY_SIZE(more)];
	argv[nr] = NULL;
	return nr;
}

static void set_activation(struct fuzz *f)
{
	char pid[16], nr[16];
	unsigned int how = fuzz_u8(f);

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	if (how < 0x80)
		return;
	snprintf(pid, sizeof(pid), "%d", how & 1 ? getpid() : 1);
	snprintf(nr, sizeof(nr), "%d", (int8_t)(how << 3) >> 4);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", nr, 1);
}

/*
 * The machine
 */

/* What can be missing; each has its place back in the end. */
static const char *const parts[] = {
	"/dev/iommu", "/dev/vfio/vfio", "/dev/vfio/7",
	"/dev/vfio/devices/vfio0", "/sys/bus/pci/drivers/vfio-pci",
	"/sys/devices/pci0000:00/0000:01:00.0/driver",
	"/sys/devices/pci0000:00/0000:01:00.0/iommu_group",
	"/sys/devices/pci0000:00/0000:01:00.0/vfio-dev",
	"/sys/devices/pci0000:00/0000:01:00.0/reset",
	"/sys/devices/pci0000:00/0000:01:00.0/class",
	"/sys/kernel/iommu_groups/7/devices/0000:01:00.1",
	"/sys/kernel/iommu_groups", "/sys/module/vfio_iommu_type1",
	"/proc/1", "/sys/bus/pci/devices/0000:01:00.1",
};

static void move_part(unsigned int which, bool away)
{
	char there[PATH_MAX], gone[PATH_MAX];

	snprintf(there, sizeof(there), "%s%s", root.path, parts[which]);
	snprintf(gone, sizeof(gone), "%s/gone-%u", root.path, which);
	fuzz_require(!rename(away ? there : gone, away ? gone : there),
		     "a part of the machine can be moved");
}

/* One may lie in another that comes later. */
static void move_parts(unsigned int which, bool away)
{
	unsigned int i, part;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		part = away ? i : ARRAY_SIZE(parts) - 1 - i;
		if (which & 1u << part)
			move_part(part, away);
	}
}

static void set_rules(struct fuzz *f)
{
	static const uint32_t calls[] = {
		FAKE_STAT, FAKE_READLINK, FAKE_ACCESS, FAKE_OPENDIR, FAKE_OPEN,
		FAKE_IOCTL, FAKE_PREAD,
	};
	unsigned int i, nr = fuzz_u8(f) % 3;
	struct fake_rule rule;

	for (i = 0; i < nr; i++) {
		rule = (struct fake_rule){
			.call = calls[fuzz_u8(f) % ARRAY_SIZE(calls)],
			.kind = fuzz_u8(f) % FAKE_NR_KINDS,
			.request = ';' << 8 | (100 + fuzz_u8(f) % 32),
			.nth = fuzz_u8(f) & 7,
			.err = fuzz_u8(f) % 133 + 1,
		};
		fake_rule_set(&root, i, &rule);
	}
}

/*
 * Sockets
 */

static int bound_socket(const char *path, bool listening)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	fuzz_require(!bind(fd, (struct sockaddr *)&addr, sizeof(addr)) &&
		     (!listening || !listen(fd, 1)), "there is a socket");
	return fd;
}

/* Return: an fd that keeps it as it is, or -1. */
static int path_set(const char *path, enum at_path what)
{
	int fd = -1;

	switch (what) {
	case AT_DEAD_SOCKET:
		close(bound_socket(path, false));
		break;
	case AT_SOCKET:
		fd = bound_socket(path, true);
		break;
	case AT_FILE:
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		break;
	case AT_DIRECTORY:
		mkdir(path, 0700);
		break;
	default:
		break;
	}
	return fd;
}

static void path_clear(const char *path)
{
	if (unlink(path))
		rmdir(path);
}

static void visit(const struct options *opts, const struct listener *l)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct ucred peer = { 0 };
	int fd, client;

	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	strcpy(addr.sun_path, l->path);
	if (connect(client, (struct sockaddr *)&addr, sizeof(addr)))
		goto close;
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0 && access_allows(&opts->access, fd, &peer))
		fuzz_require(peer.pid == getpid(), "a client is who it is");
	close_fd(&fd);
close:
	close(client);
}

static void listen_on(struct fuzz *f, const struct options *opts,
		      const char *path)
{
	unsigned int how = fuzz_u8(f);
	struct stat st;
	struct listener l;
	char why[256];

	/* As main(), with a path that isn't one of ours left alone */
	if (listen_open(&l, path, how & 1 ? &opts->access : NULL, why,
			sizeof(why))) {
		fuzz_require(l.fd < 0, "no fd after an error");
		return;
	}
	visit(opts, &l);
	if (how & 2) {
		path_clear(path);
		path_set(path, AT_FILE);
	}
	listen_close(&l);
	fuzz_require(!lstat(path, &st) == !!(how & 2),
		     "a path goes if it is ours");
	path_clear(path);
}

static void listen_all(struct fuzz *f, const struct options *opts)
{
	unsigned int i;

	for (i = 0; i < opts->nr_devices; i++) {
		const char *path = opts->devices[i].socket_path;

		/* Nothing outside of the fuzzer's own directory */
		if (path && !strncmp(path, root.path, strlen(root.path)))
			listen_on(f, opts, path);
	}
}

/*
 * All of it
 */

static void check_devices(const struct options *opts)
{
	static struct daemon d;
	unsigned int i;

	memset(&d, 0, sizeof(d));
	d.opts = opts;
	d.nr_bridges = opts->nr_devices;
	for (i = 0; i < d.nr_bridges; i++) {
		struct bridge *b = &d.bridges[i];

		b->daemon = &d;
		b->opts = opts;
		b->own = &opts->devices[i];
		b->index = i;
		b->group = -1;
		if (!pci_resolve(b->own->device, &b->device))
			device_check(b);
	}
	power_check(&d);
	if (!group_start(&d))
		group_stop(&d);
}

static void start(struct fuzz *f, int argc, char **argv)
{
	static struct options opts;

	/* getopt(3) begins anew. */
	optind = 0;
	if (options_parse(&opts, argc, argv) >= 0)
		return;
	if (opts.check) {
		check_run(&opts);
		return;
	}
	check_devices(&opts);
	listen_all(f, &opts);
}

static void run(struct fuzz *f)
{
	char *argv[MAX_ARGS + 1];
	unsigned int how = fuzz_u8(f), gone = 0, i;
	int argc, fds[2];

	if (how & 1)
		gone = fuzz_u16(f) & ((1u << ARRAY_SIZE(parts)) - 1);
	for (i = 0; i < 2; i++)
		fds[i] = path_set(sockets[i], how & 2 ? fuzz_u8(f) % NR_AT : 0);
	if (how & 4)
		set_rules(f);
	set_activation(f);
	argc = how & 8 ? make_args(f, argv) : make_right_args(f, argv);
	move_parts(gone, true);
	start(f, argc, argv);
	move_parts(gone, false);
	fake_rules_clear(&root);
	for (i = 0; i < 2; i++) {
		close_fd(&fds[i]);
		path_clear(sockets[i]);
	}
}

/* Process 1 has the device's nodes open. */
static void make_proc(void)
{
	static const char *const dirs[] = {
		"/proc", "/proc/1", "/proc/1/fd", "/proc/x", "/proc/2",
	};
	char path[PATH_MAX];
	unsigned int i;
	FILE *file;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "%s%s", root.path, dirs[i]);
		fuzz_require(!mkdir(path, 0700), "a directory");
	}
	snprintf(path, sizeof(path), "%s/proc/1/fd/3", root.path);
	fuzz_require(!symlink("/dev/vfio/7", path), "a link");
	snprintf(path, sizeof(path), "%s/proc/1/fd/4", root.path);
	fuzz_require(!symlink("/dev/vfio/devices/vfio0", path), "a link");
	snprintf(path, sizeof(path), "%s/proc/1/comm", root.path);
	file = fopen(path, "we");
	fuzz_require(!!file, "a file");
	fputs("init\n", file);
	fclose(file);
}

static void remove_root(void)
{
	fake_root_destroy(&root);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct fake_config config;
	unsigned int i;

	(void)argc;
	(void)argv;
	/* --no is for one option and for none: getopt(3) says so on stderr. */
	opterr = 0;
	log_init("daemon_fuzz", true);
	fake_config_default(&config);
	strcpy(config.spoiler, "e1000e");
	fuzz_require(!fake_root_create(&root, &config), "there is a machine");
	setenv(FAKE_ROOT_ENV, root.path, 1);
	atexit(remove_root);
	make_proc();
	for (i = 0; i < 2; i++)
		snprintf(sockets[i], sizeof(sockets[i]), "%s/socket-%u",
			 root.path, i);
	snprintf(sockets[2], sizeof(sockets[2]), "%s/", root.path);
	memset(sockets[2] + strlen(sockets[2]), 'x', sizeof(sockets[2]) / 2);
	snprintf(sockets[3], sizeof(sockets[3]), "%s/none/socket", root.path);
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = { data, size };
	int before = fuzz_lowest_fd(), out;

	/* What is printed for people is nothing to look at. */
	fflush(stdout);
	out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, before);
	dup2(null_fd, STDOUT_FILENO);
	run(&f);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	fuzz_require(fuzz_lowest_fd() == before, "no fd is left");
	return 0;
}
