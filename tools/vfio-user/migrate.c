// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-user migrate: a device's state into a file, and into another device.
 *
 * The stream is the kernel driver's, which is the only one to know what is in
 * it. Saving reads it while the device runs, if the device can do that
 * (PRE_COPY), for a limited time; then stops it and reads the rest (STOP_COPY).
 * What is saved goes to a temporary file that gets its name when it is
 * complete, so that a save that fails leaves what was there before. Loading
 * takes the device to RESUMING, writes the stream, and takes it to STOP, which
 * is where its driver looks at what it got, and to RUNNING.
 *
 * What fails leaves a device that runs: as it was when it was to be saved,
 * after a reset when its state has been half overwritten.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "tool.h"

/* Read and written at one time, in bytes. */
#define CHUNK_BYTES		(1024 * 1024)
/* Longest time in PRE_COPY: a busy device may never come to an end of it. */
#define PRE_COPY_SECONDS	30
/* Between two signs of life. */
#define PROGRESS_SECONDS	2

struct migrate_args {
	const char *save;
	const char *load;
	bool info;
	bool resume;
};

/**
 * struct migrate - one run
 * @c: the device
 * @name: of the file, as it was given
 * @label: what to call it
 * @path: of the temporary file; "" for what has none
 * @fd: the file
 * @done: bytes that went one way or the other
 * @start: when this began, in seconds
 * @told: when there was a sign of life, in seconds
 */
struct migrate {
	struct vfio_user_client *c;
	const char *name;
	const char *label;
	char path[4096];
	int fd;
	uint64_t done;
	time_t start;
	time_t told;
};

static const char * const state_names[] = {
	[VFIO_USER_STATE_ERROR]		= "ERROR",
	[VFIO_USER_STATE_STOP]		= "STOP",
	[VFIO_USER_STATE_RUNNING]	= "RUNNING",
	[VFIO_USER_STATE_STOP_COPY]	= "STOP_COPY",
	[VFIO_USER_STATE_RESUMING]	= "RESUMING",
	[VFIO_USER_STATE_RUNNING_P2P]	= "RUNNING_P2P",
	[VFIO_USER_STATE_PRE_COPY]	= "PRE_COPY",
	[VFIO_USER_STATE_PRE_COPY_P2P]	= "PRE_COPY_P2P",
};

static uint8_t chunk[CHUNK_BYTES];
static atomic_bool interrupted;

static void on_signal(int signal)
{
	interrupted = true;
}

/* From now on a signal ends the work and not the process. */
static void catch_signals(void)
{
	const struct sigaction action = {
		.sa_handler = on_signal,
		.sa_flags = SA_RESTART,
	};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void progress(struct migrate *m, size_t n)
{
	m->done += n;
	if (now() < m->told + PROGRESS_SECONDS)
		return;
	m->told = now();
	log_info("%llu bytes in %lld s", (unsigned long long)m->done,
		 (long long)(m->told - m->start));
}

static int set_state(struct migrate *m, uint32_t state)
{
	int ret = vfio_user_migration_set_state(m->c, state);

	if (ret)
		tool_fail(ret, "can't take the device to the state %s",
			  state_names[state]);
	return ret;
}

/* Can the device migrate, and in what state is it? An exit code. */
static int query(struct vfio_user_client *c, uint64_t *flags, uint32_t *state)
{
	int ret;

	ret = vfio_user_migration_flags(c, flags);
	if (!ret && !(*flags & VFIO_USER_MIGRATION_STOP_COPY))
		ret = -ENOTTY;
	if (ret == -ENOTTY) {
		log_err("the device can't migrate: its kernel driver, which must be one made for the device and not plain vfio-pci, doesn't know how");
		return TOOL_FAILED;
	}
	if (!ret)
		ret = vfio_user_migration_get_state(c, state);
	if (ret)
		return tool_fail(ret, "can't ask how the device migrates");
	return TOOL_OK;
}

static int print_info(uint64_t flags, uint32_t state)
{
	printf("Migration:%s%s%s\n",
	       flags & VFIO_USER_MIGRATION_STOP_COPY ? " STOP_COPY" : "",
	       flags & VFIO_USER_MIGRATION_P2P ? " P2P" : "",
	       flags & VFIO_USER_MIGRATION_PRE_COPY ? " PRE_COPY" : "");
	printf("State: %s\n", state_names[state]);
	return TOOL_OK;
}

/*
 * Where the stream goes: stdout, what exists and is no plain file, or else a
 * temporary file beside the one that is to be.
 */
static int open_output(struct migrate *m)
{
	struct stat st;
	int n;

	if (!strcmp(m->name, "-")) {
		m->fd = STDOUT_FILENO;
		return 0;
	}
	if (!stat(m->name, &st) && !S_ISREG(st.st_mode)) {
		m->fd = open(m->name, O_WRONLY | O_CLOEXEC);
		return m->fd < 0 ? -errno : 0;
	}

	n = snprintf(m->path, sizeof(m->path), "%s.XXXXXX", m->name);
	if (n >= sizeof(m->path)) {
		m->path[0] = '\0';
		return -ENAMETOOLONG;
	}
	catch_signals();
	m->fd = mkostemp(m->path, O_CLOEXEC);
	if (m->fd < 0) {
		n = -errno;
		m->path[0] = '\0';
		return n;
	}
	return 0;
}

/* All is written: let the file have its name. */
static int finish_output(struct migrate *m)
{
	int fd = m->fd;

	m->fd = -1;
	if (close(fd) || (m->path[0] && rename(m->path, m->name)))
		return tool_fail(-errno, "can't write %s", m->label);
	m->path[0] = '\0';
	return TOOL_OK;
}

static void drop_output(struct migrate *m)
{
	close_fd(&m->fd);
	if (m->path[0])
		unlink(m->path);
}

static int write_out(int fd, const uint8_t *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, buf + done, len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += max(n, (ssize_t)0);
	}
	return 0;
}

/*
 * Copy the stream to its end; or, with a @limit, until that time or until there is
 * no more for now, after which the next read is that of the rest.
 */
static int save_stream(struct migrate *m, time_t limit)
{
	ssize_t n;
	int ret;

	do {
		if (interrupted) {
			log_err("interrupted");
			return TOOL_FAILED;
		}
		n = vfio_user_migration_read(m->c, chunk, sizeof(chunk));
		if (n < 0)
			return tool_fail(n, "can't read the device's state");
		ret = write_out(m->fd, chunk, n);
		if (ret)
			return tool_fail(ret, "can't write %s", m->label);
		progress(m, n);
	} while (limit ? n == sizeof(chunk) && now() < limit : n > 0);
	return TOOL_OK;
}

/* From @state, RUNNING or STOP, to STOP_COPY and its end. */
static int save_state(struct migrate *m, uint64_t flags, uint32_t state)
{
	if (flags & VFIO_USER_MIGRATION_PRE_COPY &&
	    state == VFIO_USER_STATE_RUNNING) {
		if (set_state(m, VFIO_USER_STATE_PRE_COPY) ||
		    save_stream(m, now() + PRE_COPY_SECONDS))
			return TOOL_FAILED;
	}
	if (set_state(m, VFIO_USER_STATE_STOP_COPY) || save_stream(m, 0))
		return TOOL_FAILED;
	return finish_output(m);
}

static int save(struct migrate *m, uint64_t flags, uint32_t state, bool resume)
{
	uint32_t end = resume ? VFIO_USER_STATE_RUNNING : VFIO_USER_STATE_STOP;

	if (state != VFIO_USER_STATE_RUNNING && state != VFIO_USER_STATE_STOP) {
		log_err("the device is in the state %s and can't be saved; 'vfio-user reset' makes it run",
			state_names[state]);
		return TOOL_FAILED;
	}
	if (save_state(m, flags, state)) {
		/* It has to go on, and what else is wrong has been said. */
		vfio_user_migration_set_state(m->c, state);
		return TOOL_FAILED;
	}
	if (set_state(m, end))
		return TOOL_FAILED;
	log_info("saved %llu bytes; the device is in the state %s",
		 (unsigned long long)m->done, state_names[end]);
	return TOOL_OK;
}

static int open_input(struct migrate *m)
{
	m->fd = STDIN_FILENO;
	if (strcmp(m->name, "-"))
		m->fd = open(m->name, O_RDONLY | O_CLOEXEC);
	return m->fd < 0 ? -errno : 0;
}

static int load_stream(struct migrate *m)
{
	ssize_t n;
	int ret;

	while ((n = read(m->fd, chunk, sizeof(chunk))) > 0) {
		ret = vfio_user_migration_write(m->c, chunk, n);
		if (ret)
			return tool_fail(ret, "the device refuses what %s has after %llu bytes: is that the state of such a device?",
					 m->label, (unsigned long long)m->done);
		progress(m, n);
	}
	if (n < 0)
		return tool_fail(-errno, "can't read %s", m->label);
	return TOOL_OK;
}

static int load_state(struct migrate *m)
{
	int ret;

	ret = load_stream(m);
	if (ret)
		return ret;
	ret = vfio_user_migration_set_state(m->c, VFIO_USER_STATE_STOP);
	if (ret)
		return tool_fail(ret, "the device refuses the %llu bytes of %s: are they all of the state of such a device?",
				 (unsigned long long)m->done, m->label);
	return set_state(m, VFIO_USER_STATE_RUNNING) ? TOOL_FAILED : TOOL_OK;
}

static int load(struct migrate *m)
{
	int ret;

	if (set_state(m, VFIO_USER_STATE_RESUMING))
		return TOOL_FAILED;
	if (!load_state(m)) {
		log_info("loaded %llu bytes; the device is in the state RUNNING",
			 (unsigned long long)m->done);
		return TOOL_OK;
	}

	ret = vfio_user_reset(m->c);
	if (ret)
		return tool_fail(ret, "nor can it be reset");
	log_err("the device has been reset");
	return TOOL_FAILED;
}

static int run(struct migrate *m, const struct migrate_args *args)
{
	uint64_t flags;
	uint32_t state;
	int ret;

	ret = query(m->c, &flags, &state);
	if (ret)
		return ret;
	if (args->save)
		return save(m, flags, state, args->resume);
	if (args->load)
		return load(m);
	return print_info(flags, state);
}

static bool parse(int argc, char **argv, struct migrate_args *args)
{
	static const struct option options[] = {
		{ "save", required_argument, NULL, 's' },
		{ "load", required_argument, NULL, 'l' },
		{ "info", no_argument, NULL, 'i' },
		{ "resume", no_argument, NULL, 'r' },
		{ }
	};
	int opt;

	while ((opt = tool_getopt(argc, argv, options)) != -1) {
		if (opt == '?')
			return false;
		if (opt == 's')
			args->save = optarg;
		if (opt == 'l')
			args->load = optarg;
		args->info |= opt == 'i';
		args->resume |= opt == 'r';
	}
	if (!tool_operands(argc, argv, 1, 1))
		return false;
	if (!!args->save + !!args->load + args->info != 1) {
		log_err("migrate: give one of --save, --load and --info; see 'vfio-user migrate --help'");
		return false;
	}
	if (args->resume && !args->save) {
		log_err("--resume goes with --save: a loaded device runs anyway");
		return false;
	}
	return true;
}

static int migrate_run(int argc, char **argv)
{
	struct migrate_args args = { 0 };
	struct migrate m = { .fd = -1 };
	int ret = 0;

	if (!parse(argc, argv, &args))
		return TOOL_USAGE;
	m.name = args.save ? args.save : args.load;
	m.label = m.name;
	if (m.name && !strcmp(m.name, "-"))
		m.label = args.save ? "standard output" : "standard input";
	/* Before the device is touched. */
	if (args.save)
		ret = open_output(&m);
	else if (args.load)
		ret = open_input(&m);
	if (ret)
		return tool_fail(ret, "can't open %s", m.name);

	ret = tool_connect(argv[optind], &m.c);
	if (!ret) {
		m.start = now();
		m.told = m.start;
		ret = run(&m, &args);
		vfio_user_disconnect(m.c);
	}
	drop_output(&m);
	return ret;
}

const struct subcommand cmd_migrate = {
	.name = "migrate",
	.args = "SOCKET --save FILE [--resume] | --load FILE | --info",
	.summary = "Save a device's state to a file, or load it from one",
	.help =
"  SOCKET       the server's UNIX socket\n"
"  --save FILE  stop the device and write its state to FILE (- for stdout)\n"
"  --resume     let the device run again when it is saved\n"
"  --load FILE  replace the device's state by what FILE has (- for stdin), and\n"
"               let it run\n"
"  --info       print how the device can migrate, and its present state\n"
"\n"
"FILE has what the device's kernel driver wrote, and nothing else. It can be\n"
"loaded into a device of the same kind, on this machine or on another.\n"
"A save that fails leaves no FILE, and lets the device go on as it was. A load\n"
"that fails resets the device.\n"
"\n"
"This command is a session of its own, and by default vfio-bridge resets its\n"
"device between sessions: what is saved is then a device just reset, and what\n"
"was loaded is gone when the command ends. Run vfio-bridge with\n"
"--on-disconnect=retain, and all its clients as one user: the state of the last\n"
"client's device is saved, and the next client finds the device as it was\n"
"loaded. Its interrupts and its bus mastering are off at the end of each session\n"
"and are the next client's to turn on; memory is the next client's to map.\n",
	.run = migrate_run,
};
