// SPDX-License-Identifier: GPL-2.0-only
/*
 * What surrounds a start of the daemon: see setting.h.
 *
 * /proc is a small one of the fuzzer's own. What the daemon looks for in it, it
 * finds there, with fuzz_fopen() and its like in place of libc's.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hooks.h"
#include "setting.h"
#include "util.h"

struct setting setting;

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
		strcpy(arg + len, setting.sockets[how % SETTING_SOCKETS]);
	} else {
		strcpy(arg + len, values[how % ARRAY_SIZE(values)]);
	}
}

int setting_args(struct fuzz *f, char **argv)
{
	static char args[SETTING_MAX_ARGS][SETTING_MAX_VALUE];
	unsigned int nr = fuzz_u8(f) % SETTING_MAX_ARGS, i;

	memset(args, 0, sizeof(args));
	strcpy(args[0], "vfio-bridge");
	argv[0] = args[0];
	for (i = 1; i <= nr && i < SETTING_MAX_ARGS; i++) {
		unsigned int name = fuzz_u8(f);

		strcpy(args[i], names[name % ARRAY_SIZE(names)]);
		if (strchr(args[i], '='))
			add_value(f, args[i]);
		argv[i] = args[i];
	}
	argv[i] = NULL;
	return i;
}

void setting_activate(unsigned int how)
{
	char pid[16], nr[16];

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

	snprintf(there, sizeof(there), "%s%s", setting.root.path, parts[which]);
	snprintf(gone, sizeof(gone), "%s/gone-%u", setting.root.path, which);
	fuzz_require(!rename(away ? there : gone, away ? gone : there),
		     "a part of the machine can be moved");
}

unsigned int setting_take_parts(struct fuzz *f)
{
	return fuzz_u16(f) & ((1u << ARRAY_SIZE(parts)) - 1);
}

/* One may lie in another that comes later. */
void setting_move_parts(unsigned int which, bool away)
{
	unsigned int i, part;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		part = away ? i : ARRAY_SIZE(parts) - 1 - i;
		if (which & 1u << part)
			move_part(part, away);
	}
}

void setting_mend(void)
{
	char gone[PATH_MAX];
	unsigned int i;

	for (i = ARRAY_SIZE(parts); i--;) {
		snprintf(gone, sizeof(gone), "%s/gone-%u", setting.root.path,
			 i);
		if (!access(gone, F_OK))
			move_part(i, false);
	}
	for (i = 0; i < 2; i++)
		setting_clear(setting.sockets[i]);
	fake_rules_clear(&setting.root);
}

void setting_rules(struct fuzz *f)
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
		fake_rule_set(&setting.root, i, &rule);
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

int setting_put(const char *path, enum at_path what)
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

void setting_clear(const char *path)
{
	if (unlink(path))
		rmdir(path);
}

/*
 * All of it
 */

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
		snprintf(path, sizeof(path), "%s%s", setting.root.path, dirs[i]);
		fuzz_require(!mkdir(path, 0700), "a directory");
	}
	snprintf(path, sizeof(path), "%s/proc/1/fd/3", setting.root.path);
	fuzz_require(!symlink("/dev/vfio/7", path), "a link");
	snprintf(path, sizeof(path), "%s/proc/1/fd/4", setting.root.path);
	fuzz_require(!symlink("/dev/vfio/devices/vfio0", path), "a link");
	snprintf(path, sizeof(path), "%s/proc/1/comm", setting.root.path);
	file = fopen(path, "we");
	fuzz_require(!!file, "a file");
	fputs("init\n", file);
	fclose(file);
}

static pid_t maker;

/* A process that AFL++ forks from the one that made it may end before. */
static void remove_root(void)
{
	if (getpid() == maker)
		fake_root_destroy(&setting.root);
}

static void make_paths(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		snprintf(setting.sockets[i], sizeof(setting.sockets[i]),
			 "%s/socket-%u", setting.root.path, i);
	snprintf(setting.sockets[2], sizeof(setting.sockets[2]), "%s/",
		 setting.root.path);
	memset(setting.sockets[2] + strlen(setting.sockets[2]), 'x',
	       sizeof(setting.sockets[2]) / 2);
	snprintf(setting.sockets[3], sizeof(setting.sockets[3]),
		 "%s/none/socket", setting.root.path);
}

void setting_create(const struct fake_config *config)
{
	fuzz_require(!fake_root_create(&setting.root, config),
		     "there is a machine");
	setenv(FAKE_ROOT_ENV, setting.root.path, 1);
	maker = getpid();
	atexit(remove_root);
	make_proc();
	make_paths();
}

/* Where a path in /proc is: below the machine's directory. */
static const char *own_proc(const char *path, char *buf)
{
	if (strncmp(path, "/proc", 5))
		return path;
	snprintf(buf, PATH_MAX, "%s%s", setting.root.path, path);
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
