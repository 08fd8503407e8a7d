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
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
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
#include "setting.h"

static int null_fd;

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
	static char path[2][SETTING_MAX_VALUE + 16];
	unsigned int i, nr = 0, how;

	argv[nr++] = "vfio-bridge";
	for (i = 0; i < 2; i++) {
		how = fuzz_u8(f);
		snprintf(path[i], sizeof(path[i]), "--socket-path=%s",
			 setting.sockets[how < 0x80 ? i :
				 how % SETTING_SOCKETS]);
		argv[nr++] = i ? "--device=0000:01:00.1" :
				 "--device=0000:01:00.0";
		argv[nr++] = path[i];
	}
	for (i = 0; i < 2; i++)
		argv[nr++] = (char *)more[fuzz_u8(f) % ARRAY_SIZE(more)];
	argv[nr] = NULL;
	return nr;
}

/*
 * Sockets
 */

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
		setting_clear(path);
		setting_put(path, AT_FILE);
	}
	listen_close(&l);
	fuzz_require(!lstat(path, &st) == !!(how & 2),
		     "a path goes if it is ours");
	setting_clear(path);
}

static void listen_all(struct fuzz *f, const struct options *opts)
{
	unsigned int i;

	for (i = 0; i < opts->nr_devices; i++) {
		const char *path = opts->devices[i].socket_path;

		/* Nothing outside of the fuzzer's own directory */
		if (path && !strncmp(path, setting.root.path,
				     strlen(setting.root.path)))
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
	char *argv[SETTING_MAX_ARGS + 1];
	unsigned int how = fuzz_u8(f), gone = 0, i;
	int argc, fds[2];

	if (how & 1)
		gone = setting_take_parts(f);
	for (i = 0; i < 2; i++)
		fds[i] = setting_put(setting.sockets[i],
				     how & 2 ? fuzz_u8(f) % NR_AT : 0);
	if (how & 4)
		setting_rules(f);
	setting_activate(fuzz_u8(f));
	argc = how & 8 ? setting_args(f, argv) : make_right_args(f, argv);
	setting_move_parts(gone, true);
	start(f, argc, argv);
	setting_move_parts(gone, false);
	fake_rules_clear(&setting.root);
	for (i = 0; i < 2; i++) {
		close_fd(&fds[i]);
		setting_clear(setting.sockets[i]);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct fake_config config;

	(void)argc;
	(void)argv;
	/* --no is for one option and for none: getopt(3) says so on stderr. */
	opterr = 0;
	log_init("daemon_fuzz", true);
	fake_config_default(&config);
	strcpy(config.spoiler, "e1000e");
	setting_create(&config);
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
	setting_mend();
	run(&f);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	fuzz_require(fuzz_lowest_fd() == before, "no fd is left");
	return 0;
}
