// SPDX-License-Identifier: GPL-2.0-only
/*
 * FUSE's protocol, as little as serves one file. The mount's root is no directory
 * but that file, so there are no names to look up: opening it, asking for its
 * attributes, reading and writing a page, and flushing it are all there is. What is
 * written the kernel keeps, and writes when it likes, at the latest when the last
 * fd goes.
 *
 * The server is a process of its own and has no fd of the file: else one that is
 * killed would wait for itself, for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slow_file.h"
#include "util.h"

#define SLOW_FILE_WAIT_MS	10000
#define SLOW_FILE_STEP_US	10000

static void answer(int device, uint64_t unique, int error,
		   const void *data, size_t len)
{
	struct fuse_out_header header = {
		.len = sizeof(header) + len,
		.error = error,
		.unique = unique,
	};
	struct iovec iov[] = {
		{ &header, sizeof(header) },
		{ (void *)data, len },
	};

	/* Who asked may be gone. */
	if (writev(device, iov, len ? 2 : 1) < 0)
		return;
}

static void answer_init(int device, const struct fuse_in_header *in)
{
	const struct fuse_init_in *init = (const void *)(in + 1);
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = min((uint32_t)FUSE_KERNEL_MINOR_VERSION, init->minor),
		.max_write = 4096,
		.flags = FUSE_WRITEBACK_CACHE,
	};

	answer(device, in->unique, 0, &out, sizeof(out));
}

/* Good for no time at all: whoever wants to know has to ask. */
static void answer_attributes(int device,
			      const struct fuse_in_header *in)
{
	struct fuse_attr_out out = {
		.attr = {
			.ino = FUSE_ROOT_ID,
			.size = SLOW_FILE_SIZE,
			.mode = S_IFREG | 0600,
			.nlink = 1,
			.uid = geteuid(),
			.gid = getegid(),
			.blksize = 4096,
		},
	};

	answer(device, in->unique, 0, &out, sizeof(out));
}

static void answer_write(int device, const struct fuse_in_header *in)
{
	const struct fuse_write_in *write = (const void *)(in + 1);
	struct fuse_write_out out = { .size = write->size };

	answer(device, in->unique, 0, &out, sizeof(out));
}

static void answer_request(int device, const struct fuse_in_header *in)
{
	static const uint8_t zeroes[SLOW_FILE_SIZE];
	const struct fuse_open_out open = { 0 };
	const struct fuse_read_in *read = (const void *)(in + 1);

	switch (in->opcode) {
	case FUSE_INIT:
		answer_init(device, in);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		answer_attributes(device, in);
		break;
	case FUSE_OPEN:
		answer(device, in->unique, 0, &open, sizeof(open));
		break;
	case FUSE_READ:
		answer(device, in->unique, 0, zeroes,
		       min((size_t)read->size, sizeof(zeroes)));
		break;
	case FUSE_WRITE:
		answer_write(device, in);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		answer(device, in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(device, in->unique, -ENOSYS, NULL, 0);
	}
}

/* Nobody waits for an answer to these. */
static bool is_notice(const struct fuse_in_header *in)
{
	return in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET ||
	       in->opcode == FUSE_INTERRUPT;
}

/* With an error if that is what there is to say: what was asked is forgotten. */
static void answer_held(int device, struct slow_file_state *state,
			const uint64_t *held)
{
	unsigned int i, n = atomic_load(&state->nr_held);

	for (i = 0; i < n; i++)
		answer(device, held[i], -EIO, NULL, 0);
	atomic_store(&state->nr_held, 0);
}

static void serve(int device, struct slow_file_state *state)
{
	/* No less is given to read(2) (FUSE_MIN_READ_BUFFER). */
	static uint8_t buf[64 * 1024] __attribute__((aligned(8)));
	const struct fuse_in_header *in = (const void *)buf;
	struct pollfd pfd = { .fd = device, .events = POLLIN };
	uint64_t held[SLOW_FILE_MAX_HELD];
	ssize_t n;

	for (;;) {
		if (!atomic_load(&state->hold))
			answer_held(device, state, held);
		if (poll(&pfd, 1, SLOW_FILE_STEP_US / 1000) <= 0)
			continue;
		n = read(device, buf, sizeof(buf));
		if (n < 0 && errno == ENODEV)
			return;
		if (n < (ssize_t)sizeof(*in) || is_notice(in))
			continue;
		if (atomic_load(&state->hold) &&
		    atomic_load(&state->nr_held) < ARRAY_SIZE(held))
			held[atomic_fetch_add(&state->nr_held, 1)] = in->unique;
		else
			answer_request(device, in);
	}
}

static int write_map(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	int ret = n < 0 ? -errno : 0;

	close_fd(&fd);
	return ret;
}

/* So that mounting is ours to do, though nobody is root. */
static int enter_user_namespace(void)
{
	char uids[64], gids[64];
	int ret;

	snprintf(uids, sizeof(uids), "%u %u 1", geteuid(), geteuid());
	snprintf(gids, sizeof(gids), "%u %u 1", getegid(), getegid());
	if (unshare(CLONE_NEWUSER))
		return -errno;
	ret = write_map("/proc/self/setgroups", "deny");
	if (!ret)
		ret = write_map("/proc/self/uid_map", uids);
	return ret ? ret : write_map("/proc/self/gid_map", gids);
}

/* Mounts of ours are nobody else's. */
static int enter_namespace(void)
{
	int ret = geteuid() ? enter_user_namespace() : 0;

	if (ret)
		return ret;
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	return 0;
}

static int mount_file(const char *path, int device)
{
	char options[128];

	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=%o,user_id=%u,group_id=%u", device,
		 S_IFREG | 0600, geteuid(), getegid());
	return mount("slow_file", path, "fuse", MS_NOSUID | MS_NODEV,
		     options) ? -errno : 0;
}

static int start_server(struct slow_file *s, int device)
{
	const pid_t parent = getpid();
	void *state;

	state = mmap(NULL, sizeof(*s->state), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (state == MAP_FAILED)
		return -errno;
	s->state = state;
	s->server = fork();
	if (s->server)
		return s->server < 0 ? -errno : 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		serve(device, state);
	_exit(0);
}

int slow_file_mount(struct slow_file *s)
{
	int fd, ret, device;
	struct stat st;

	*s = (struct slow_file){ .path = "/tmp/slow-file-XXXXXX" };
	fd = mkstemp(s->path);
	if (fd < 0)
		return -errno;
	close(fd);
	ret = enter_namespace();
	/* From inside: the kernel wants it to be of the mount's user namespace. */
	device = ret ? ret : open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (!ret && device < 0)
		ret = -errno;
	if (!ret)
		ret = mount_file(s->path, device);
	if (!ret)
		ret = start_server(s, device);
	close_fd(&device);
	/* Before anybody has asked it is root's, which may be nobody in here. */
	if (!ret && stat(s->path, &st))
		ret = -errno;
	if (ret)
		unlink(s->path);
	return ret;
}

int slow_file_open(const struct slow_file *s, int flags)
{
	int fd = open(s->path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void slow_file_hold(struct slow_file *s)
{
	atomic_store(&s->state->hold, true);
}

/* Until there are at least @count, or none if that is 0. */
static int wait_held(struct slow_file *s, unsigned int count)
{
	unsigned int i, held;

	for (i = 0; i < SLOW_FILE_WAIT_MS * 1000 / SLOW_FILE_STEP_US; i++) {
		held = atomic_load(&s->state->nr_held);
		if (count ? held >= count : !held)
			return 0;
		usleep(SLOW_FILE_STEP_US);
	}
	return -ETIMEDOUT;
}

int slow_file_wait_held(struct slow_file *s, unsigned int count)
{
	return wait_held(s, count);
}

void slow_file_release(struct slow_file *s)
{
	atomic_store(&s->state->hold, false);
	wait_held(s, 0);
}

void slow_file_unmount(struct slow_file *s)
{
	if (s->server <= 0)
		return;
	umount2(s->path, MNT_DETACH);
	/* Whoever still waits for it is told that it is over. */
	kill(s->server, SIGKILL);
	waitpid(s->server, NULL, 0);
	munmap(s->state, sizeof(*s->state));
	unlink(s->path);
}
