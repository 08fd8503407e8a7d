// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each call of the daemon's that can fail does, once: the first, the second, and
 * so on until there are no more, while a client does all that a client can
 * (script.c), while the daemon starts, and while it ends. Afterwards it is as
 * good as new, or has ended as its manual says.
 *
 * What is wrong is said as "CALL N ERROR: ...". With FAULT="CALL N ERROR" in the
 * environment nothing else is tried: -t and -v choose the test and the variant.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "faults.h"
#include "script.h"
#include "util.h"

#include "kselftest_harness.h"

/* How long what must happen may take, in milliseconds. */
#define PATIENCE_MS	20000
#define STEP_MS		1
/* Then there is no use in going on. */
#define MAX_FAILURES	5
/* Occurrences of one call that may be asked for. */
#define MAX_OCCURRENCES	10000

/* The exit codes of --help. */
#define EXIT_SIGNAL	0
#define EXIT_FAILED	1
#define EXIT_DEVICE	3
#define EXIT_LAST	4

/* With sanitizers a failure takes several times as long. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED	true
#else
#define SANITIZED	false
#endif

/* Tests that the last one takes into account. */
#define NR_TESTS	(2 * 8 + 5)
/* For one test, in seconds. */
#define LIMIT		280

/**
 * struct call - a row of calls.h
 * @name: of the call
 * @errors: what it fails with
 */
static const struct call {
	const char *name;
	int errors[FAULT_MAX_ERRORS];
} calls[] = {
	{ "nothing", { 0 } },
#define CALL(name, ...)	{ #name, { __VA_ARGS__ } },
#include "calls.h"
};

/**
 * struct sweep - one after the other
 * @page: of the daemon's
 * @tried: how many failed
 * @failures: how often that did harm
 * @recover: what to do then
 * @most: occurrences of one call that are tried; 0: all
 * @errors: of one call that are tried
 */
struct sweep {
	struct fault_page *page;
	unsigned int tried;
	unsigned int failures;
	int (*recover)(struct fault_page *page);
	unsigned int most;
	unsigned int errors;
};

/* Too large for a stack. */
static struct pair pair;
static struct script script;
/* The daemon's, when it has ended by itself. */
static int exit_code;
/* What another one has left. */
static ino_t left_socket;

static void arm(struct fault_page *page, enum fault_call call, int error,
		unsigned int n)
{
	__atomic_store_n(&page->call, FAULT_NONE, __ATOMIC_RELEASE);
	page->nth = n;
	page->error = error;
	page->seen = 0;
	page->hit = 0;
	__atomic_store_n(&page->call, call, __ATOMIC_RELEASE);
}

static void disarm(struct fault_page *page)
{
	__atomic_store_n(&page->call, FAULT_NONE, __ATOMIC_RELEASE);
}

static struct fault_page *page_create(const struct fake_root *root)
{
	struct fault_page *page;
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/" FAULT_FILE, root->path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return NULL;
	page = ftruncate(fd, sizeof(*page)) ? MAP_FAILED :
		mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED,
		     fd, 0);
	close(fd);
	return page == MAP_FAILED ? NULL : page;
}

static int spawn(const char *const *more)
{
	const struct fake_config *config = &pair.a.root.control->config;
	char monitor[192], device[2][96], sockets[2][160];
	const char *args[16] = { monitor };
	unsigned int i, n = 1, nr = 1 + config->nr_more;
	int ret;

	snprintf(pair.a.monitor, sizeof(pair.a.monitor), "%s/monitor",
		 pair.a.root.path);
	snprintf(monitor, sizeof(monitor), "--monitor=%s", pair.a.monitor);
	for (i = 0; i < nr; i++) {
		snprintf(device[i], sizeof(device[i]), "--device=%s",
			 i ? config->more[0].name : config->name);
		snprintf(sockets[i], sizeof(sockets[i]),
			 "--socket-path=%s/%c", pair.a.root.path, 'a' + i);
		args[n++] = device[i];
		args[n++] = sockets[i];
	}
	while (*more)
		args[n++] = *more++;
	ret = fake_daemon_spawn(&pair.a.daemon, &pair.a.root, args);
	pair.b = pair.a;
	snprintf(pair.a.daemon.socket, sizeof(pair.a.daemon.socket), "%s/a",
		 pair.a.root.path);
	return ret;
}

static bool answers(void)
{
	json_t *status = peer_status(&pair.a);

	json_decref(status);
	return status;
}

/* Has it ended by itself? Then its exit code is kept. */
static bool has_ended(void)
{
	int ret;

	if (pair.a.daemon.pid < 0)
		return true;
	ret = fake_daemon_wait(&pair.a.daemon, 0);
	if (ret == -ETIMEDOUT)
		return false;
	exit_code = ret;
	return true;
}

/* Wait until it serves, or has ended: 0 or -ETIMEDOUT. */
static int wait_start(void)
{
	unsigned int ms;

	for (ms = 0; ms < PATIENCE_MS && !has_ended(); ms += STEP_MS) {
		if (answers())
			return 0;
		peer_pause(STEP_MS);
	}
	return has_ended() ? 0 : -ETIMEDOUT;
}

/* Does the monitor say that a client is there? */
static bool has_session(void)
{
	json_t *status = peer_status(&pair.a), *entry;
	json_t *devices = json_object_get(status, "devices");
	bool has = !status || !(devices || json_is_null(json_object_get(status,
							"session")));
	size_t i;

	json_array_foreach(devices, i, entry)
		has |= !json_is_null(json_object_get(entry, "session"));
	json_decref(status);
	return has;
}

static bool log_says(const char *text)
{
	return peer_log_has(&pair.a, text);
}

/* Is memory of a client's, or for one, mapped by the daemon? */
static bool has_memory(void)
{
	char path[64], line[512];
	bool has = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pair.a.daemon.pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		has |= !!strstr(line, "memfd:");
	if (f)
		fclose(f);
	return has || !f;
}

/* What of a session is there, or NULL. */
static const char *what_is_left(void)
{
	const struct fake_control *control = pair.a.root.control;

	if (has_session())
		return "there is still a session";
	if (control->nr_maps)
		return "the device still reaches memory";
	/* What the kernel may still have stays mapped (vfio/window.c). */
	if (has_memory() && !log_says("the kernel does not unmap"))
		return "the daemon has still mapped memory";
	if (control->nr_doorbells)
		return "there are still doorbells";
	if (control->nr_log_ranges)
		return "what the device writes is still logged";
	return control->irq.index == FAKE_NO_INDEX ? NULL :
		"there are still interrupts";
}

/* The same, after a while. */
static const char *wait_idle(void)
{
	const char *left = what_is_left();
	unsigned int ms;

	for (ms = 0; left && ms < PATIENCE_MS && !has_ended(); ms += STEP_MS) {
		peer_pause(STEP_MS);
		left = what_is_left();
	}
	return has_ended() ? "it has ended" : left;
}

static int nr_fds(void)
{
	return fake_nr_fds(&pair.a.root, pair.a.daemon.pid);
}

static bool wait_fds(int fds)
{
	unsigned int ms;

	for (ms = 0; ms < PATIENCE_MS; ms += STEP_MS) {
		if (nr_fds() == fds)
			return true;
		peer_pause(STEP_MS);
	}
	return false;
}

/*
 * All of the script, in which something of @page's may fail, unless it is NULL;
 * what is wrong, or NULL.
 */
static const char *run_script(const struct fault_page *page)
{
	script.failed = page ? &page->hit : NULL;
	script.ret = 0;
	if (script_begin(&script))
		script_run(&script);
	script_end(&script);
	return script.wrong;
}

/* What is wrong with a session after the others have ended, or NULL. */
static const char *check_session(int idle_fds)
{
	const char *wrong = wait_idle();

	if (!wrong)
		wrong = run_script(NULL);
	if (!wrong)
		wrong = wait_idle();
	if (!wrong && !wait_fds(idle_fds))
		wrong = "fds are left";
	return wrong;
}

/* What is to fail, as it is said and asked for. */
static const char *fault_name(enum fault_call call, int error, unsigned int n)
{
	static char name[128];
	bool nl = !strncmp(calls[call].name, "nl_", 3) && error <= NLE_MAX;

	if (nl)
		snprintf(name, sizeof(name), "%s %u NLE_%d", calls[call].name,
			 n, error);
	else
		snprintf(name, sizeof(name), "%s %u %s", calls[call].name, n,
			 strerrorname_np(error));
	return name;
}

static void complain(struct fault_page *page, const char *name,
		     const char *wrong)
{
	char log[16384];

	printf("# %s: %s (%d); it failed before %#llx of vfio-bridge-faulty\n",
	       name, wrong, script.ret, (unsigned long long)page->where);
	if (getenv("FAULT"))
		fprintf(stderr, "%s", fake_daemon_log(&pair.a.daemon, log,
						      sizeof(log)));
}

/*
 * All occurrences of a call with an error, until there are no more: what @try
 * returns is wrong, unless it is NULL.
 */
static void sweep_call(struct sweep *s, enum fault_call call, int error,
		       const char *(*try)(struct fault_page *page))
{
	const char *only = getenv("FAULT"), *name, *wrong;
	unsigned int n = 0;

	do {
		name = fault_name(call, error, ++n);
		if (only && strcmp(only, name)) {
			s->page->hit = n < MAX_OCCURRENCES;
			continue;
		}
		arm(s->page, call, error, n);
		wrong = try(s->page);
		disarm(s->page);
		s->tried += s->page->hit;
		if (!wrong)
			continue;
		complain(s->page, name, wrong);
		s->failures++;
		if (s->recover)
			s->recover(s->page);
	} while (s->page->hit && n != s->most && s->failures < MAX_FAILURES);
}

/* @counts, unless it is NULL, says which calls there are at all. */
static void sweep(struct sweep *s, const uint64_t *counts,
		  const char *(*try)(struct fault_page *page))
{
	unsigned int call, i;

	for (call = FAULT_NONE + 1; call < FAULT_NR_CALLS; call++) {
		if (counts && !counts[call])
			continue;
		for (i = 0; i < s->errors && calls[call].errors[i]; i++)
			sweep_call(s, call, calls[call].errors[i], try);
	}
}

static const char *const *daemon_args;
static int idle_fds;

static int begin(void)
{
	int ret = spawn(daemon_args);

	if (!ret)
		ret = wait_start();
	return !ret && has_ended() ? -ECHILD : ret;
}

/* Start again, with nothing that fails, and know how many fds that takes. */
static int begin_session(struct fault_page *page)
{
	int ret;

	fake_daemon_stop(&pair.a.daemon, SIGKILL);
	disarm(page);
	ret = begin();
	if (ret)
		return ret;
	if (run_script(NULL)) {
		printf("# %s: %d\n", script.wrong, script.ret);
		return -EIO;
	}
	if (wait_idle())
		return -ETIMEDOUT;
	idle_fds = nr_fds();
	return 0;
}

/* Is there no socket, or one that isn't the daemon's? */
static bool is_gone(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? errno == ENOENT : st.st_ino == left_socket;
}

/*
 * It may end if it has to: by itself, with a code that is documented, a word
 * about it, and its sockets removed. If removing fails, they stay.
 */
static const char *check_end(const struct fault_page *page, int code)
{
	bool stays = page->call == FAULT_lstat || page->call == FAULT_unlink;

	if (code == EXIT_SIGNAL)
		return "it has ended as if it had been told to";
	if (code > EXIT_LAST)
		return "it has ended with a code that means nothing";
	if (page->call != FAULT_write && !log_says("\n"))
		return "it has ended without a word";
	if (!stays && !(is_gone(pair.a.daemon.socket) &&
			is_gone(pair.b.daemon.socket) &&
			is_gone(pair.a.monitor)))
		return "it has left a socket";
	return NULL;
}

/* Only that it can't wait any more ends all of it, and it says so. */
static bool had_to_end(void)
{
	if (!log_says("cannot wait for clients"))
		return false;
	if (!has_ended())
		exit_code = fake_daemon_wait(&pair.a.daemon, PATIENCE_MS);
	return exit_code == EXIT_FAILED;
}

static const char *try_session(struct fault_page *page)
{
	const char *wrong = run_script(page);

	disarm(page);
	if (!wrong)
		wrong = check_session(idle_fds);
	if (wrong && !had_to_end())
		return wrong;
	/* Nothing of this may excuse what comes after it. */
	if ((wrong || has_memory()) && begin_session(page))
		return "it does not start again";
	return NULL;
}

/* A socket that a daemon which was killed has left, for the first device. */
static int leave_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;
	struct stat st;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.64s/a",
		 pair.a.root.path);
	unlink(addr.sun_path);
	ret = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	close(fd);
	if (!ret)
		ret = lstat(addr.sun_path, &st);
	left_socket = st.st_ino;
	return ret;
}

/* Without this it can't be confined, and must not serve. */
static bool is_needed(const struct fault_page *what)
{
	switch (what->call) {
	case FAULT_capng_apply:
	case FAULT_capng_get_caps_process:
	case FAULT_prctl:
	case FAULT_seccomp_attr_set:
	case FAULT_seccomp_init:
	case FAULT_seccomp_load:
	case FAULT_seccomp_rule_add:
	case FAULT_seccomp_rule_add_array:
	case FAULT_unshare:
		return true;
	case FAULT_syscall:
		/* The first one asks whether there is Landlock. */
		return what->nth > 1;
	default:
		return false;
	}
}

/* Starting it: it serves, or says why it doesn't. */
static const char *try_start(struct fault_page *page)
{
	const struct fault_page what = *page;
	const char *wrong;

	if (leave_socket() || spawn(daemon_args))
		return "no process";
	if (wait_start())
		return "it does not start";
	disarm(page);
	wrong = has_ended() ? "it has ended" : run_script(NULL);
	if (!wrong)
		wrong = wait_idle();
	if (!wrong)
		exit_code = fake_daemon_stop(&pair.a.daemon, SIGTERM);
	if (!wrong && !exit_code)
		return page->hit && is_needed(&what) ?
			"it serves, and is not confined" : NULL;
	/* Having served, it may still fail to wait. */
	if (!has_ended() && !had_to_end())
		return wrong;
	return check_end(&what, exit_code);
}

/* Ending it, while a client has all that it can have. */
static const char *try_end(struct fault_page *page)
{
	const struct fault_page what = *page;
	const char *wrong = NULL;

	disarm(page);
	if (begin())
		return "it does not start";
	script.failed = NULL;
	if (!script_begin(&script))
		wrong = script.wrong;
	arm(page, what.call, what.error, what.nth);
	if (fake_daemon_stop(&pair.a.daemon, SIGTERM))
		wrong = "it has not ended with 0";
	script_end(&script);
	return wrong;
}

/* Places that make calls, of all tests, and of how many of these. */
static struct sites {
	unsigned int tests;
	uint32_t nr;
	uint64_t at[FAULT_MAX_SITES];
} *reached;

/* Before the tests, which are processes of their own. */
static void __attribute__((constructor)) sites_share(void)
{
	reached = mmap(NULL, sizeof(*reached), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static bool site_is_reached(uint64_t site)
{
	uint32_t i;

	for (i = 0; i < reached->nr; i++) {
		if (reached->at[i] == site)
			return true;
	}
	return false;
}

/* What one test has reached. */
static void sites_add(const struct fault_page *page)
{
	uint32_t i;

	for (i = 0; i < min(page->nr_sites, (uint32_t)FAULT_MAX_SITES); i++) {
		if (!site_is_reached(page->sites[i]) &&
		    reached->nr < FAULT_MAX_SITES)
			reached->at[reached->nr++] = page->sites[i];
	}
	reached->tests++;
}

/* Said to standard output, which is for results. */
static int spawn_quietly(const char *const *more)
{
	int saved, null, ret;

	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(null, STDOUT_FILENO);
	ret = spawn(more);
	dup2(saved, STDOUT_FILENO);
	close(null);
	close(saved);
	return ret;
}

/*
 * More processes than CHECK_MOST are looked at only as long as this machine has
 * them.
 */
#define CHECK_MOST	60

/* With --check it looks, says what it sees, and ends. */
static const char *try_check(struct fault_page *page)
{
	if (spawn_quietly(daemon_args))
		return "no process";
	switch (fake_daemon_wait(&pair.a.daemon, PATIENCE_MS)) {
	case EXIT_SIGNAL:
	case EXIT_FAILED:
	case EXIT_DEVICE:
		return NULL;
	case -ETIMEDOUT:
		return "it does not end";
	default:
		return "it has ended with another code";
	}
}

static int stop(struct fault_page *page)
{
	disarm(page);
	return fake_daemon_stop(&pair.a.daemon, SIGKILL);
}

/**
 * struct setup - what to do it with
 * @way: into the kernel
 * @two: devices of one group
 * @bus_reset: the device can't be reset by itself
 * @memory: how the client's gets to the device
 * @args: more arguments of the daemon's
 * @most: occurrences of one call that are tried; 0: all
 * @brief: what another variant has with each error is tried with one
 */
struct setup {
	enum peer_way way;
	bool two;
	bool bus_reset;
	enum script_memory memory;
	const char *args[5];
	unsigned int most;
	bool brief;
};

static int set_up(const struct setup *setup, struct sweep *s)
{
	struct fake_config config;
	char program[600];
	int ret;

	snprintf(program, sizeof(program), "%s",
		 peer_program("vfio-bridge-faulty"));
	setenv(FAKE_DAEMON_ENV, program, 1);
	pair_init(&pair);
	script = (struct script){
		.pair = &pair,
		.two = setup->two,
		.memory = setup->memory,
		.own_bar = setup->way == PEER_TYPE1 && !setup->memory,
	};
	script_config(&config, setup->way, setup->two);
	config.flr = !setup->bus_reset;
	daemon_args = setup->args;
	ret = peer_machine(&pair.a, &config);
	s->page = ret ? NULL : page_create(&pair.a.root);
	s->recover = stop;
	s->most = setup->most;
	s->errors = setup->brief || SANITIZED ? 1 : FAULT_MAX_ERRORS;
	return s->page ? 0 : -ENOMEM;
}

FIXTURE(session)
{
	struct sweep sweep;
};

FIXTURE_VARIANT(session)
{
	struct setup setup;
};

FIXTURE_VARIANT_ADD(session, map_file)
{
	.setup.way = PEER_MAP_FILE,
	.setup.args = { "--ioeventfd=0:0x100:4" },
};

FIXTURE_VARIANT_ADD(session, map)
{
	.setup.way = PEER_MAP,
	.setup.brief = true,
};

FIXTURE_VARIANT_ADD(session, type1)
{
	.setup.way = PEER_TYPE1,
	.setup.bus_reset = true,
};

FIXTURE_VARIANT_ADD(session, retain)
{
	.setup.way = PEER_MAP_FILE,
	.setup.args = { "--on-disconnect=retain", "--idle-low-power",
			"--ioeventfd=0:0x100:4" },
};

FIXTURE_VARIANT_ADD(session, shadow)
{
	.setup.way = PEER_TYPE1,
	.setup.memory = SCRIPT_SHADOW,
	.setup.args = { "--shadow-dma" },
};

FIXTURE_VARIANT_ADD(session, twin)
{
	.setup.way = PEER_MAP_FILE,
	.setup.memory = SCRIPT_TWIN,
	.setup.brief = true,
	.setup.args = { "--shadow-dma" },
};

FIXTURE_VARIANT_ADD(session, group)
{
	.setup.way = PEER_MAP_FILE,
	.setup.two = true,
};

FIXTURE_VARIANT_ADD(session, group_type1)
{
	.setup.way = PEER_TYPE1,
	.setup.two = true,
	.setup.brief = true,
};

FIXTURE_SETUP(session)
{
	ASSERT_EQ(0, set_up(&variant->setup, &self->sweep));
}

FIXTURE_TEARDOWN(session)
{
	sites_add(self->sweep.page);
	EXPECT_EQ(0, pair_close(&pair));
}

TEST_F_TIMEOUT(session, leaves_nothing_behind, LIMIT)
{
	struct fault_page *page = self->sweep.page;
	uint64_t counts[FAULT_NR_CALLS];
	unsigned int i;

	ASSERT_EQ(0, begin_session(page));
	memcpy(counts, page->counts, sizeof(counts));
	ASSERT_EQ(NULL, run_script(NULL));
	ASSERT_EQ(NULL, wait_idle());
	for (i = 0; i < FAULT_NR_CALLS; i++)
		counts[i] = page->counts[i] - counts[i];
	self->sweep.recover = begin_session;
	sweep(&self->sweep, counts, try_session);
	EXPECT_EQ(0, self->sweep.failures);
	EXPECT_LT(0, self->sweep.tried);
	TH_LOG("%u tried", self->sweep.tried);
}

TEST_F_TIMEOUT(session, ends_with_the_daemon, LIMIT)
{
	/* Once with nothing that fails. */
	ASSERT_EQ(NULL, try_end(self->sweep.page));
	sweep(&self->sweep, NULL, try_end);
	EXPECT_EQ(0, self->sweep.failures);
	EXPECT_LT(0, self->sweep.tried);
	TH_LOG("%u tried", self->sweep.tried);
}

FIXTURE(start)
{
	struct sweep sweep;
};

FIXTURE_VARIANT(start)
{
	struct setup setup;
	const char *(*try)(struct fault_page *page);
};

FIXTURE_VARIANT_ADD(start, map_file)
{
	.setup.way = PEER_MAP_FILE,
	.setup.args = {
		"--ioeventfd=0:0x100:4", "--socket-mode=0666",
		"--socket-user=0",
	},
	.try = try_start,
};

FIXTURE_VARIANT_ADD(start, type1)
{
	.setup.way = PEER_TYPE1,
	.setup.bus_reset = true,
	.try = try_start,
};

FIXTURE_VARIANT_ADD(start, group)
{
	.setup.way = PEER_MAP_FILE,
	.setup.two = true,
	.try = try_start,
};

FIXTURE_VARIANT_ADD(start, check)
{
	.setup.way = PEER_MAP_FILE,
	.setup.args = { "--check" },
	.setup.most = CHECK_MOST,
	.setup.brief = true,
	.try = try_check,
};

FIXTURE_VARIANT_ADD(start, check_type1)
{
	.setup.way = PEER_TYPE1,
	.setup.args = { "--check" },
	.setup.most = CHECK_MOST,
	.setup.brief = true,
	.try = try_check,
};

FIXTURE_SETUP(start)
{
	ASSERT_EQ(0, set_up(&variant->setup, &self->sweep));
}

FIXTURE_TEARDOWN(start)
{
	sites_add(self->sweep.page);
	EXPECT_EQ(0, pair_close(&pair));
}

TEST_F_TIMEOUT(start, serves_or_says_why_not, LIMIT)
{
	/* Once with nothing that fails. */
	ASSERT_EQ(NULL, variant->try(self->sweep.page));
	sweep(&self->sweep, NULL, variant->try);
	EXPECT_EQ(0, self->sweep.failures);
	EXPECT_LT(0, self->sweep.tried);
	TH_LOG("%u tried", self->sweep.tried);
}

#ifndef __SANITIZE_ADDRESS__

/* Functions of which not every call need be made here, and why. */
static const char *const unreached[] = {
	/* Not what this client, or who starts the daemon, does. */
	"access_has_group", "access_user", "access_group", "activation_take",
	"main_take_fd", "iommufd_map_bar", "vfio_dmabuf_export",
	"device_check_retained", "device_give_back",
	/* For EPERM, which is not what ioctl(2) is made to fail with. */
	"vfio_group_is_alone",
	/* What the software VFIO hasn't got, and what older kernels need. */
	"power_d3_is_disabled", "type1_is_same_file",
	/* Only with root's privileges, or as what isn't the software VFIO. */
	"namespace_enter", "namespace_make", "namespace_take",
	"namespace_attach", "namespace_build", "namespace_move",
	"namespace_switch", "sandbox_keep_memlock",
	/* Uevents, of which there are none. */
	"pci_uevents_next",
	/* The compiler has copies of these for what the above would call for. */
	"device_drop", "device_set_req", "listen_probe", "msg_conn_drop_fds",
	"peer_fail", "vfio_read_cdev", "watch_set_client",
	/* Of the tool's. */
	"pci_bind", "pci_unbind", "pci_write", "pci_can_reset",
	/* --check, of devices that the software VFIO hasn't got. */
	"check_device", "check_driver", "check_listens", "check_one", "check_find", "check_socket",
	"pci_check_usage", "pci_check_interface", "pci_check_network",
	"pci_check_block", "pci_check_disks", "pci_find_holder",
	"pci_find_mount", "pci_is_default_route", "pci_is_swap",
	"vfio_check", "vfio_check_holders", "vfio_check_node",
	"vfio_has_groups", "vfio_say_holder",
	/* More clients than there is room for. */
	"refuse_make_room", "refuse_start",
	/* More than one failure, or more than a client may have. */
	"msg_take_fds", "peer_enqueue",
	NULL
};

static bool is_unreached(const char *function)
{
	const char *const *name = unreached;

	while (*name && strcmp(*name, function))
		name++;
	return *name;
}

/* The last of all: tests run in the order of their fixtures. */
FIXTURE(calls)
{
	char program[512];
	char command[600 + FAULT_MAX_SITES * 16];
};

FIXTURE_SETUP(calls)
{
	snprintf(self->program, sizeof(self->program), "%s",
		 peer_program("vfio-bridge-faulty"));
	snprintf(self->command, sizeof(self->command),
		 "addr2line -afie '%s'", self->program);
}

FIXTURE_TEARDOWN(calls)
{
}

/* Add the calls to @command that nobody made; how many there are in all. */
static unsigned int list_calls(const char *program, char *command, size_t room)
{
	char line[512], call[128] = "";
	size_t len = strlen(command);
	unsigned long long at;
	unsigned int nr = 0;
	FILE *f;

	snprintf(line, sizeof(line), "objdump -d --no-show-raw-insn '%.400s'",
		 program);
	f = popen(line, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %llx:", &at) != 1)
			continue;
		/* A call is known by what it returns to. */
		if (call[0] && !site_is_reached(at))
			len += snprintf(command + len, room - len, " %#llx",
					at - 1);
		call[0] = '\0';
		nr += sscanf(line, " %*x: call %*x <faulty_%127[^>]>",
			     call) == 1;
	}
	return f && !pclose(f) ? nr : 0;
}

TEST_F(calls, were_all_made)
{
	char line[512], place[512];
	unsigned int missing = 0;
	bool first = false;
	FILE *f;

	if (reached->tests < NR_TESTS)
		SKIP(return, "takes all of the tests before it");
	EXPECT_LT(0, list_calls(self->program, self->command,
				sizeof(self->command)));
	f = popen(self->command, "r");
	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f)) {
		/* An address, then where it is, and where that is inlined. */
		if (!strncmp(line, "0x", 2)) {
			first = true;
			continue;
		}
		if (!fgets(place, sizeof(place), f))
			break;
		line[strcspn(line, "\n")] = '\0';
		if (!first || !strcmp(line, "close_fd") ||
		    strstr(place, "/include/"))
			continue;
		first = false;
		if (is_unreached(line))
			continue;
		printf("# %s() has not made the call at %s", line, place);
		missing++;
	}
	EXPECT_EQ(0, pclose(f));
	EXPECT_EQ(0, missing);
}

#endif

TEST_HARNESS_MAIN
