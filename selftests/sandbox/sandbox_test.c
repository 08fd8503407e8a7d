// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sandbox from within: a process confines itself as the daemon does, and
 * tries what must not work.
 *
 * Each try is a process of its own, for most of them end in being killed. The
 * daemon may be started by root or by anybody, so all is tried as both. Landlock
 * isn't in every kernel; where it is missing, what only it refuses is skipped.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bridge/sandbox.h"
#include "log.h"
#include "util.h"

#include "kselftest_harness.h"

#define NOBODY		65534
/* Stand in for the directory of the daemon's device, and of another one. */
#define OUR_DEVICE	"/sys/devices/system/cpu"
#define OTHER_DEVICE	"/sys/devices/virtual"

/* What a try ends with, if it isn't a negative errno. */
#define WORKED		0
#define KILLED		1
#define NOT_CONFINED	2

/* What the tries need, made before they are confined. */
static struct {
	char dir[64];
	char path[128];
	char file[128];
	struct sockaddr_un abstract;
	socklen_t abstract_len;
	int abstract_listener;
	int listener;
	int client;
	int datagrams;
	int eventfd;
	pid_t parent;
} setup;

static int ret_of(long ret)
{
	return ret < 0 ? -errno : WORKED;
}

/*
 * System calls that nobody gets through.
 */

static int try_exec(void)
{
	return ret_of(execl("/bin/true", "true", NULL));
}

static int try_fork(void)
{
	return ret_of(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int try_user_namespace(void)
{
	return ret_of(syscall(SYS_clone, CLONE_NEWUSER | CLONE_THREAD |
			      CLONE_SIGHAND | CLONE_VM, 0, 0, 0, 0));
}

static int try_unshare(void)
{
	return ret_of(unshare(CLONE_NEWUSER));
}

static int try_internet(void)
{
	return ret_of(socket(AF_INET, SOCK_STREAM, 0));
}

static int try_unix_socket(void)
{
	return ret_of(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int try_socketpair(void)
{
	int fds[2];

	return ret_of(socketpair(AF_INET, SOCK_STREAM, 0, fds));
}

static int try_datagram_pair(void)
{
	int fds[2];

	return ret_of(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds));
}

/* A client may have sent the socket. */
static int try_datagram(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	strcpy(addr.sun_path, setup.path);
	return ret_of(sendto(setup.datagrams, "x", 1, 0,
			     (struct sockaddr *)&addr, sizeof(addr)));
}

static int try_connect(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	strcpy(addr.sun_path, setup.path);
	return ret_of(connect(setup.client, (struct sockaddr *)&addr,
			      sizeof(addr)));
}

static int try_bind(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	return ret_of(bind(setup.client, (struct sockaddr *)&addr,
			   sizeof(addr.sun_family)));
}

static int try_ptrace(void)
{
	return ret_of(ptrace(PTRACE_ATTACH, setup.parent, 0, 0));
}

static int try_read_memory(void)
{
	char c;
	struct iovec local = { &c, 1 }, remote = { &setup, 1 };

	return ret_of(syscall(SYS_process_vm_readv, setup.parent, &local, 1,
			      &remote, 1, 0));
}

static int try_take_fd(void)
{
	return ret_of(syscall(SYS_pidfd_open, setup.parent, 0));
}

static int try_unknown_ioctl(void)
{
	int n;

	return ret_of(ioctl(setup.client, FIONREAD, &n));
}

/* Like VFIO's, and none that the daemon has a use for. */
static int try_unused_ioctl(void)
{
	return ret_of(ioctl(setup.client, _IO(';', 99)));
}

static int try_type_into_terminal(void)
{
	return ret_of(ioctl(STDERR_FILENO, TIOCSTI, "x"));
}

static int try_owner_of_signals(void)
{
	return ret_of(fcntl(setup.client, F_SETOWN, setup.parent));
}

static int try_map_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -errno : WORKED;
}

static int try_make_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return ret_of(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int try_kill(void)
{
	return ret_of(kill(setup.parent, SIGTERM));
}

static int try_kill_thread(void)
{
	return ret_of(syscall(SYS_tgkill, setup.parent, setup.parent, SIGTERM));
}

static int try_handler(void)
{
	return signal(SIGSYS, SIG_IGN) == SIG_ERR ? -errno : WORKED;
}

static int try_mount(void)
{
	return ret_of(mount("none", "/", "tmpfs", 0, NULL));
}

static int try_unmount(void)
{
	return ret_of(umount2("/", MNT_DETACH));
}

static int try_chroot(void)
{
	return ret_of(chroot("/"));
}

static int try_setuid(void)
{
	return ret_of(syscall(SYS_setuid, 0));
}

static int try_capset(void)
{
	return ret_of(syscall(SYS_capset, NULL, NULL));
}

static int try_limit(void)
{
	const struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	return ret_of(setrlimit(RLIMIT_CORE, &limit));
}

static int try_dumpable(void)
{
	return ret_of(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int try_bpf(void)
{
	return ret_of(syscall(SYS_bpf, 0, NULL, 0));
}

static int try_io_uring(void)
{
	return ret_of(syscall(SYS_io_uring_setup, 1, NULL));
}

static int try_userfaultfd(void)
{
	return ret_of(syscall(SYS_userfaultfd, 0));
}

static int try_perf(void)
{
	return ret_of(syscall(SYS_perf_event_open, NULL, 0, 0, -1, 0));
}

static int try_keys(void)
{
	return ret_of(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int try_module(void)
{
	return ret_of(syscall(SYS_finit_module, setup.client, "", 0));
}

static int try_file_handle(void)
{
	return ret_of(syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, 0));
}

static int try_rename(void)
{
	return ret_of(rename(setup.path, "/tmp/elsewhere"));
}

static int try_chmod(void)
{
	return ret_of(chmod(setup.path, 0777));
}

static int try_chown(void)
{
	return ret_of(chown(setup.path, 0, 0));
}

static int try_clock(void)
{
	const struct timespec ts = { 0 };

	return ret_of(syscall(SYS_clock_settime, CLOCK_REALTIME, &ts));
}

static int try_reboot(void)
{
	return ret_of(syscall(SYS_reboot, 0, 0, 0, NULL));
}

/*
 * Paths. They end in EACCES or, in a mount namespace, ENOENT.
 */

static int try_passwd(void)
{
	return ret_of(open("/etc/passwd", O_RDONLY));
}

static int try_other_device(void)
{
	return ret_of(open(OTHER_DEVICE, O_RDONLY | O_DIRECTORY));
}

static int try_memory_of_init(void)
{
	return ret_of(open("/proc/1/mem", O_RDWR));
}

static int try_own_memory(void)
{
	return ret_of(open("/proc/self/mem", O_RDWR));
}

static int try_devices(void)
{
	return ret_of(open("/dev/null", O_RDWR));
}

static int try_create(void)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/new", setup.dir);
	return ret_of(open(path, O_RDWR | O_CREAT, 0600));
}

static int try_write_sysfs(void)
{
	return ret_of(open(OUR_DEVICE "/uevent", O_WRONLY));
}

static int try_kernel_sysfs(void)
{
	return ret_of(open("/sys/kernel", O_RDONLY | O_DIRECTORY));
}

/*
 * What has to work.
 */

static void *thread(void *arg)
{
	eventfd_t value;

	eventfd_read(setup.eventfd, &value);
	free(malloc(1 << 20));
	return arg;
}

static int try_threads(void)
{
	pthread_t t;
	void *ret;
	int i;

	for (i = 0; i < 20; i++) {
		if (pthread_create(&t, NULL, thread, &setup) ||
		    pthread_kill(t, 0) || eventfd_write(setup.eventfd, 1) ||
		    pthread_join(t, &ret) || ret != &setup)
			return -ECHILD;
	}
	return WORKED;
}

/* Without clone3(2), which can't be looked into, there is clone(2). */
static int try_clone3(void)
{
	return ret_of(syscall(SYS_clone3, NULL, 0));
}

static int try_memory(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	char *p;

	if (fd < 0 || ftruncate(fd, 1 << 20))
		return -errno;
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	p[4096] = 1;
	return ret_of(munmap(p, 1 << 20));
}

static int try_own_device(void)
{
	return ret_of(open(OUR_DEVICE "/uevent", O_RDONLY));
}

/* The kernel says of a path that isn't there that it isn't, not more. */
static int try_nodes(void)
{
	int ret = ret_of(open("/dev/vfio", O_RDONLY | O_DIRECTORY));

	return ret == -ENOENT ? WORKED : ret;
}

static int try_unlink(void)
{
	return ret_of(unlink(setup.path));
}

static int try_is_alive(void)
{
	/* Nobody has that. */
	return kill(INT32_MAX, 0) && errno == ESRCH ? WORKED : -errno;
}

static int try_log(void)
{
	log_info("a line of the daemon's");
	return WORKED;
}

/**
 * struct attempt - something that a confined process does
 * @what: for people
 * @try: returns WORKED or a negative errno
 * @end: what that must be, or KILLED
 */
struct attempt {
	const char *what;
	int (*try)(void);
	int end;
};

static const struct attempt calls[] = {
	{ "run a program", try_exec, KILLED },
	{ "fork", try_fork, KILLED },
	{ "make a thread in a user namespace", try_user_namespace, KILLED },
	{ "make a user namespace", try_unshare, KILLED },
	{ "make an internet socket", try_internet, KILLED },
	{ "make a UNIX socket", try_unix_socket, KILLED },
	{ "make a pair of internet sockets", try_socketpair, KILLED },
	{ "make a pair of datagram sockets", try_datagram_pair, KILLED },
	{ "send a datagram to a path", try_datagram, KILLED },
	{ "connect to a UNIX socket", try_connect, KILLED },
	{ "bind a socket", try_bind, KILLED },
	{ "trace a process", try_ptrace, KILLED },
	{ "read a process's memory", try_read_memory, KILLED },
	{ "take a process's fds", try_take_fd, KILLED },
	{ "use an ioctl that isn't VFIO's", try_unknown_ioctl, KILLED },
	{ "use an ioctl that nobody makes", try_unused_ioctl, KILLED },
	{ "type into the terminal", try_type_into_terminal, KILLED },
	{ "have signals sent", try_owner_of_signals, KILLED },
	{ "map code", try_map_code, KILLED },
	{ "turn memory into code", try_make_code, KILLED },
	{ "kill a process", try_kill, KILLED },
	{ "kill another's thread", try_kill_thread, KILLED },
	{ "ignore being killed", try_handler, KILLED },
	{ "mount", try_mount, KILLED },
	{ "unmount", try_unmount, KILLED },
	{ "change the root", try_chroot, KILLED },
	{ "become root", try_setuid, KILLED },
	{ "set capabilities", try_capset, KILLED },
	{ "lift a limit", try_limit, KILLED },
	{ "become traceable", try_dumpable, KILLED },
	{ "load BPF", try_bpf, KILLED },
	{ "use io_uring", try_io_uring, KILLED },
	{ "use userfaultfd", try_userfaultfd, KILLED },
	{ "use perf events", try_perf, KILLED },
	{ "use the kernel's keys", try_keys, KILLED },
	{ "load a module", try_module, KILLED },
	{ "open a file by its handle", try_file_handle, KILLED },
	{ "rename a file", try_rename, KILLED },
	{ "change a file's mode", try_chmod, KILLED },
	{ "change a file's owner", try_chown, KILLED },
	{ "set the clock", try_clock, KILLED },
	{ "reboot", try_reboot, KILLED },
	{ "use clone3", try_clone3, -ENOSYS },
};

static const struct attempt paths[] = {
	{ "open /etc/passwd", try_passwd, -EACCES },
	{ "open another device's directory", try_other_device, -EACCES },
	{ "open the kernel's directory in /sys", try_kernel_sysfs, -EACCES },
	{ "open init's memory", try_memory_of_init, -EACCES },
	{ "open its own memory", try_own_memory, -EACCES },
	{ "open other nodes in /dev", try_devices, -EACCES },
	{ "create a file beside its socket", try_create, -EACCES },
	{ "write to its device's directory", try_write_sysfs, -EACCES },
};

static const struct attempt needs[] = {
	{ "use threads", try_threads, WORKED },
	{ "use memory", try_memory, WORKED },
	{ "read its device's directory", try_own_device, WORKED },
	{ "open VFIO's directory", try_nodes, WORKED },
	{ "remove its socket", try_unlink, WORKED },
	{ "ask whether a process exists", try_is_alive, WORKED },
	{ "log", try_log, WORKED },
};

static int landlock_version(void)
{
	return max(0l, syscall(SYS_landlock_create_ruleset, NULL, 0,
			       LANDLOCK_CREATE_RULESET_VERSION));
}

FIXTURE(sandbox)
{
	struct sandbox sb;
};

FIXTURE_VARIANT(sandbox)
{
	uid_t uid;
};

FIXTURE_VARIANT_ADD(sandbox, root)
{
	.uid = 0,
};

FIXTURE_VARIANT_ADD(sandbox, nobody)
{
	.uid = NOBODY,
};

/* A socket with a name that the kernel chose, and no file. */
static void make_abstract(struct __test_metadata *_metadata)
{
	struct sockaddr_un *addr = &setup.abstract;

	addr->sun_family = AF_UNIX;
	setup.abstract_len = sizeof(*addr);
	setup.abstract_listener = socket(AF_UNIX, SOCK_STREAM, 0);
	ASSERT_EQ(0, bind(setup.abstract_listener, (struct sockaddr *)addr,
			  sizeof(addr->sun_family)));
	ASSERT_EQ(0, getsockname(setup.abstract_listener,
				 (struct sockaddr *)addr,
				 &setup.abstract_len));
	ASSERT_EQ(0, listen(setup.abstract_listener, 1));
}

static void make_file(struct __test_metadata *_metadata)
{
	int fd;

	snprintf(setup.file, sizeof(setup.file), "%s/file", setup.dir);
	fd = open(setup.file, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, write(fd, "x", 1));
	close(fd);
}

static void make_socket(struct __test_metadata *_metadata, uid_t uid)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	strcpy(setup.dir, "/tmp/sandbox-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(setup.dir));
	snprintf(setup.path, sizeof(setup.path), "%s/socket", setup.dir);
	strcpy(addr.sun_path, setup.path);
	setup.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	ASSERT_EQ(0, bind(setup.listener, (struct sockaddr *)&addr,
			  sizeof(addr)));
	ASSERT_EQ(0, listen(setup.listener, 1));
	ASSERT_EQ(0, chown(setup.dir, uid, uid));
	ASSERT_EQ(0, chown(setup.path, uid, uid));
	setup.client = socket(AF_UNIX, SOCK_STREAM, 0);
	ASSERT_LE(0, setup.client);
	setup.datagrams = socket(AF_UNIX, SOCK_DGRAM, 0);
	ASSERT_LE(0, setup.datagrams);
	setup.eventfd = eventfd(0, 0);
	ASSERT_LE(0, setup.eventfd);
	setup.parent = getpid();
}

FIXTURE_SETUP(sandbox)
{
	if (getuid())
		SKIP(return, "needs root, to become somebody else");
	log_init("sandbox_test", false);
	make_socket(_metadata, variant->uid);
	make_abstract(_metadata);
	make_file(_metadata);
	self->sb = (struct sandbox){
		.devices = { OUR_DEVICE },
		.nr_devices = 1,
		.sockets = { setup.path },
		.nr_sockets = 1,
	};
}

FIXTURE_TEARDOWN(sandbox)
{
	unlink(setup.path);
	unlink(setup.file);
	rmdir(setup.dir);
}

/* As main() does. */
static bool confine(const struct sandbox *sb, uid_t uid)
{
	if (uid && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
		return false;
	/* As a program that was run by that user is. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
		return false;
	return !sandbox_prepare(sb) && !sandbox_resume() && !sandbox_enter(sb);
}

/* Confine a process and let it try: WORKED, KILLED, a negative errno. */
static int confined(const struct sandbox *sb, uid_t uid, int (*try)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (!confine(sb, uid))
			_exit(NOT_CONFINED);
		status = try();
		/* errno doesn't fit with the rest. */
		_exit(status < 0 ? 3 - status : status);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return NOT_CONFINED;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED : NOT_CONFINED;
	return WEXITSTATUS(status) > 3 ? 3 - WEXITSTATUS(status) :
					 WEXITSTATUS(status);
}

TEST_F(sandbox, calls_that_kill)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		EXPECT_EQ(calls[i].end, confined(&self->sb, variant->uid,
						 calls[i].try)) {
			TH_LOG("%s", calls[i].what);
		}
	}
}

#ifdef __x86_64__
/* As a program for x32 does. */
static int try_x32(void)
{
	return ret_of(syscall(0x40000000 | SYS_getppid));
}

/* As a program for i386 does: getppid(2), which has another number there. */
static int try_i386(void)
{
	long ret;

	asm volatile("int $0x80" : "=a" (ret) : "a" (64l) :
		     "memory", "r8", "r9", "r10", "r11");
	return ret > 0 ? WORKED : -ENOSYS;
}

/* What the kernel has been built without ends a process, or fails. */
static bool works(int (*try)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(try() == WORKED ? 0 : 1);
	return waitpid(pid, &status, 0) == pid && !status;
}

/* Numbers of system calls mean something else there. */
TEST_F(sandbox, calls_of_other_architectures)
{
	EXPECT_EQ(KILLED, confined(&self->sb, variant->uid, try_x32));
	if (works(try_i386))
		EXPECT_EQ(KILLED, confined(&self->sb, variant->uid, try_i386));
}
#endif

/* ';' is VFIO's and iommufd's. */
TEST(ioctls_are_vfios)
{
	const struct sandbox_call *call;
	unsigned int nr = 0;

	for (call = sandbox_calls; call->name; call++) {
		if (strcmp(call->name, "ioctl"))
			continue;
		nr++;
		EXPECT_TRUE(call->has_arg);
		EXPECT_EQ(';', _IOC_TYPE(call->arg)) {
			TH_LOG("ioctl %#x", call->arg);
		}
	}
	EXPECT_LT(20, nr);
}

TEST_F(sandbox, paths_that_are_gone)
{
	size_t i;
	int end;

	if (landlock_version() < 5)
		SKIP(return, "this kernel has no Landlock, or an old one");
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		end = confined(&self->sb, variant->uid, paths[i].try);
		/* Root has a mount namespace without it, read-only. */
		if (!variant->uid && (end == -ENOENT || end == -EROFS))
			end = paths[i].end;
		EXPECT_EQ(paths[i].end, end) {
			TH_LOG("%s", paths[i].what);
		}
	}
}

TEST_F(sandbox, what_has_to_work)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(needs); i++) {
		EXPECT_EQ(needs[i].end, confined(&self->sb, variant->uid,
						 needs[i].try)) {
			TH_LOG("%s", needs[i].what);
		}
	}
}

/* Without Landlock's help, too. */
TEST_F(sandbox, mounts_are_gone)
{
	if (variant->uid)
		SKIP(return, "only root may have mounts of its own");
	EXPECT_EQ(-ENOENT, confined(&self->sb, 0, try_passwd));
	EXPECT_EQ(-ENOENT, confined(&self->sb, 0, try_memory_of_init));
	EXPECT_EQ(-ENOENT, confined(&self->sb, 0, try_devices));
}

/* The mount namespace by itself, where Landlock would refuse first. */
static int moved(const struct sandbox *sb, int (*try)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(namespace_enter(sb) ? NOT_CONFINED : -try());
	waitpid(pid, &status, 0);
	return -WEXITSTATUS(status);
}

/* What was mounted on the root is one step up from it. */
static int try_old_root(void)
{
	return ret_of(open("/../etc/passwd", O_RDONLY));
}

TEST_F(sandbox, namespace_alone)
{
	if (variant->uid)
		SKIP(return, "only root may have mounts of its own");
	EXPECT_EQ(-ENOENT, moved(&self->sb, try_passwd));
	EXPECT_EQ(-ENOENT, moved(&self->sb, try_old_root));
	EXPECT_EQ(-EROFS, moved(&self->sb, try_write_sysfs));
	EXPECT_EQ(WORKED, moved(&self->sb, try_own_device));
	EXPECT_EQ(WORKED, moved(&self->sb, try_unlink));
}

/* A process that is confined, and waits to be looked at; -1 if it isn't. */
static pid_t start_confined(const struct sandbox *sb, uid_t uid)
{
	int ready[2], err = -1;
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		close(ready[0]);
		err = confine(sb, uid) ? 0 : -1;
		err = write(ready[1], &err, sizeof(err));
		for (;;)
			poll(NULL, 0, -1);
	}
	close(ready[1]);
	if (read(ready[0], &err, sizeof(err)) != sizeof(err))
		err = -1;
	close(ready[0]);
	if (!err)
		return pid;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return -1;
}

/* What follows @field in /proc/PID/@file, as a number; "unlimited" is ~0. */
static unsigned long long value_of(pid_t pid, const char *file,
				   const char *field, int base)
{
	unsigned long long value = ~1ull;
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		const char *at = line + strlen(field);

		if (strncmp(line, field, strlen(field)))
			continue;
		value = strstr(at, "unlimited") ? ~0ull :
			strtoull(at, NULL, base);
	}
	if (f)
		fclose(f);
	return value;
}

static unsigned long long status_of(pid_t pid, const char *field, int base)
{
	return value_of(pid, "status", field, base);
}

TEST_F(sandbox, the_kernel_says_so)
{
	pid_t pid = start_confined(&self->sb, variant->uid);

	ASSERT_LT(0, pid);
	EXPECT_EQ(0, status_of(pid, "CapEff:", 16));
	EXPECT_EQ(0, status_of(pid, "CapPrm:", 16));
	EXPECT_EQ(0, status_of(pid, "CapInh:", 16));
	EXPECT_EQ(0, status_of(pid, "CapAmb:", 16));
	if (!variant->uid)
		EXPECT_EQ(0, status_of(pid, "CapBnd:", 16));
	EXPECT_EQ(1, status_of(pid, "NoNewPrivs:", 10));
	EXPECT_EQ(2, status_of(pid, "Seccomp:", 10));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* What another process of the same user can do to it. */
static int look_at(pid_t pid, uid_t uid)
{
	char path[64];
	int status;
	pid_t other = fork();

	if (!other) {
		if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
			_exit(1);
		snprintf(path, sizeof(path), "/proc/%d/mem", pid);
		if (!ptrace(PTRACE_SEIZE, pid, 0, 0) || errno != EPERM)
			_exit(2);
		if (open(path, O_RDONLY) >= 0 || errno != EACCES)
			_exit(3);
		_exit(0);
	}
	waitpid(other, &status, 0);
	return status;
}

TEST_F(sandbox, others_of_the_user_stay_out)
{
	pid_t pid;

	if (!variant->uid)
		SKIP(return, "nobody keeps root out");
	pid = start_confined(&self->sb, variant->uid);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, look_at(pid, variant->uid));
	EXPECT_EQ(0, value_of(pid, "limits", "Max core file size", 10));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* With CAP_IPC_LOCK there is no limit; it must not appear with its loss. */
TEST_F(sandbox, root_keeps_its_memory)
{
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	const struct rlimit small = { 1 << 16, 1 << 16 };
	unsigned long long limit;
	pid_t pid;

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &small));
	if (!variant->uid && setrlimit(RLIMIT_MEMLOCK, &none))
		SKIP(return, "this root may not raise limits");
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &small));
	pid = start_confined(&self->sb, variant->uid);
	ASSERT_LT(0, pid);
	limit = value_of(pid, "limits", "Max locked memory", 10);
	EXPECT_EQ(variant->uid ? 1 << 16 : ~0ull, limit);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Landlock by itself, where the filter would kill first. */
static int landlocked(const struct sandbox *sb, int (*try)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    landlock_enter(sb) <= 0)
			_exit(NOT_CONFINED);
		_exit(-try());
	}
	waitpid(pid, &status, 0);
	return -WEXITSTATUS(status);
}

static int try_signal(void)
{
	return ret_of(kill(setup.parent, 0));
}

static int try_tcp(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(1),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return ret_of(connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
}

static int try_abstract(void)
{
	return ret_of(connect(setup.client, (struct sockaddr *)&setup.abstract,
			      setup.abstract_len));
}

static int try_truncate(void)
{
	return ret_of(truncate(setup.file, 0));
}

/* ENOTTY, if it gets as far as the device. */
static int try_ioctl_of_device(void)
{
	int n, fd = open("/dev/zero", O_RDONLY);

	return fd < 0 ? WORKED : ret_of(ioctl(fd, TIOCGPGRP, &n));
}

TEST_F(sandbox, landlock_alone)
{
	int version = landlock_version();

	if (version < 6)
		SKIP(return, "this kernel has no Landlock, or an old one");
	EXPECT_EQ(-EPERM, landlocked(&self->sb, try_signal));
	EXPECT_EQ(-EACCES, landlocked(&self->sb, try_tcp));
	EXPECT_EQ(-EACCES, landlocked(&self->sb, try_passwd));
	EXPECT_EQ(-EACCES, landlocked(&self->sb, try_exec));
	EXPECT_EQ(-EACCES, landlocked(&self->sb, try_other_device));
	EXPECT_EQ(-EACCES, landlocked(&self->sb, try_write_sysfs));
	EXPECT_EQ(-EACCES, landlocked(&self->sb, try_truncate));
	EXPECT_EQ(-EPERM, landlocked(&self->sb, try_abstract));
	/* Left to be read, a device can't be asked anything. */
	self->sb.devices[0] = "/dev";
	EXPECT_EQ(-EACCES, landlocked(&self->sb, try_ioctl_of_device));
	if (version >= 9)
		EXPECT_EQ(-EACCES, landlocked(&self->sb, try_connect));
}

TEST_HARNESS_MAIN
