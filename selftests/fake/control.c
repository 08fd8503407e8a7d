// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page shared with the test. The first call that could concern the fake
 * looks for the directory in the environment and maps the page; without one,
 * every call goes to the kernel as it would without the fake.
 *
 * One lock serializes all of the fake, as none of its work waits for anything.
 * It is recursive, so that a sanitizer which finds something wrong in here can
 * still open and map what it reads to say so.
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"

static pthread_once_t lock_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock;
static struct fake_control *page;
static char root[PATH_MAX];
static bool attaching;

/* What a killed process left behind is no longer there. */
static void control_forget(struct fake_control *control)
{
	control->orphans = 0;
	control->hidden_fds = 0;
	control->nr_maps = 0;
	control->mapped = 0;
	memset(control->maps, 0, sizeof(control->maps));
}

static struct fake_control *control_map(const char *dir)
{
	struct fake_control *control;
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/control", dir) >= sizeof(path))
		return NULL;
	fd = raw_openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	control = (void *)syscall(SYS_mmap, NULL, sizeof(*control),
				  PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0l);
	raw_close(fd);
	if (control == MAP_FAILED)
		return NULL;
	if (control->magic != FAKE_MAGIC || control->size != sizeof(*control)) {
		fprintf(stderr, "%s: not this fake's control page\n", path);
		abort();
	}
	return control;
}

static void control_attach(void)
{
	const char *dir = getenv(FAKE_ROOT_ENV);
	struct fake_control *control;

	if (!dir || strlen(dir) >= sizeof(root))
		return;
	control = control_map(dir);
	if (!control)
		return;

	if (control->pid && control->pid != getpid() && kill(control->pid, 0))
		control_forget(control);
	control->pid = getpid();
	strcpy(root, dir);
	__atomic_store_n(&page, control, __ATOMIC_RELEASE);
}

struct fake_control *fake_control(void)
{
	struct fake_control *control = __atomic_load_n(&page, __ATOMIC_ACQUIRE);

	if (control)
		return control;
	if (!__atomic_test_and_set(&attaching, __ATOMIC_ACQUIRE)) {
		control_attach();
		__atomic_clear(&attaching, __ATOMIC_RELEASE);
	}
	return __atomic_load_n(&page, __ATOMIC_ACQUIRE);
}

const char *fake_root(void)
{
	return fake_control() ? root : NULL;
}

/*
 * Two threads that come here one after the other have not agreed on anything by
 * that, as little as two that call a kernel. To ThreadSanitizer a lock is an
 * agreement, and each call would hide the races around it.
 */
static void lock_tell_nothing(void)
{
	if (!AnnotateIgnoreSyncBegin)
		return;
	AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
	AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
	AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}

static void lock_told_nothing(void)
{
	if (!AnnotateIgnoreSyncBegin)
		return;
	AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
	AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
	AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
}

static void lock_init(void)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

void fake_lock(void)
{
	lock_tell_nothing();
	pthread_once(&lock_once, lock_init);
	pthread_mutex_lock(&lock);
}

void fake_unlock(void)
{
	pthread_mutex_unlock(&lock);
	lock_told_nothing();
}

char *fake_path(char *buf, const char *path)
{
	size_t len = strlen(root);

	memcpy(buf, root, len);
	snprintf(buf + len, PATH_MAX - len, "/%s", path);
	return buf;
}
