// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program does with processes, threads and fds, run by vfio-user-run.
 *
 * Not a test of the kernel's VFIO: some of this is different there, as is said
 * in vfio-user-run's documentation.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "plain.h"

#define PAGE		4096u
#define IOVA		0x10000000ull
#define CONFIG		((off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40)
/* More fds than the library takes the numbers of */
#define MANY_FDS	4096
#define NR_THREADS	4
#define NR_ROUNDS	200
#define NR_WANTED	11
#define NR_CANCELS	200

FIXTURE(process)
{
	struct plain p;
};

FIXTURE_SETUP(process)
{
	const char *why = plain_init(&self->p);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, plain_open(&self->p, VFIO_TYPE1v2_IOMMU));
}

FIXTURE_TEARDOWN(process)
{
	plain_exit(&self->p);
}

static bool works(int device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint32_t value;

	return !ioctl(device, VFIO_DEVICE_GET_INFO, &info) &&
	       info.num_regions == VFIO_PCI_NUM_REGIONS &&
	       pread(device, &value, 4, CONFIG) == 4;
}

/* Exit status of a child, -1 for a signal. */
static int child_status(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int child_of_user(struct plain *p)
{
	struct stat st;
	uint32_t value;

	if (ERRNO_OF(pread(p->device, &value, 4, CONFIG)) != EIO)
		return 1;
	if (ERRNO_OF(ioctl(p->device, VFIO_DEVICE_RESET)) != EIO)
		return 2;
	if (ERRNO_OF(ioctl(p->container, VFIO_GET_API_VERSION)) != EIO)
		return 3;
	if (fstat(p->group, &st) || !S_ISCHR(st.st_mode))
		return 4;
	/* Its parent has the device. */
	if (ERRNO_OF(open(p->group_path, O_RDWR)) != EBUSY)
		return 5;
	if (close(p->device) || close(p->group) || close(p->container))
		return 6;
	return 0;
}

TEST_F(process, child_has_nothing_of_its_parent)
{
	pid_t pid = fork();

	if (!pid)
		_exit(child_of_user(&self->p));
	EXPECT_EQ(0, child_status(pid));
	EXPECT_TRUE(works(self->p.device));
}

TEST_F(process, child_opens_what_its_parent_has_closed)
{
	struct plain other;
	pid_t pid;

	plain_exit(&self->p);
	pid = fork();
	if (!pid) {
		if (plain_init(&other) || plain_open(&other, VFIO_TYPE1_IOMMU))
			_exit(1);
		_exit(works(other.device) ? 0 : 2);
	}
	EXPECT_EQ(0, child_status(pid));
	/* It has ended without closing anything. */
	EXPECT_EQ(0, plain_open(&self->p, VFIO_TYPE1v2_IOMMU));
	EXPECT_TRUE(works(self->p.device));
}

TEST_F(process, parent_can_close_while_a_child_lives)
{
	int pipefd[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(pipefd));
	pid = fork();
	if (!pid) {
		close(pipefd[1]);
		_exit(read(pipefd[0], &c, 1));
	}
	close(pipefd[0]);
	plain_exit(&self->p);
	EXPECT_EQ(0, plain_open(&self->p, VFIO_TYPE1v2_IOMMU));
	EXPECT_TRUE(works(self->p.device));
	close(pipefd[1]);
	EXPECT_EQ(0, child_status(pid));
}

TEST_F(process, child_opens_what_its_parent_closes_later)
{
	struct plain other;
	int pipefd[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(pipefd));
	pid = fork();
	if (!pid) {
		close(pipefd[1]);
		if (read(pipefd[0], &c, 1) || plain_init(&other))
			_exit(1);
		if (plain_open(&other, VFIO_TYPE1v2_IOMMU))
			_exit(2);
		_exit(works(other.device) ? 0 : 3);
	}
	close(pipefd[0]);
	plain_exit(&self->p);
	close(pipefd[1]);
	EXPECT_EQ(0, child_status(pid));
}

TEST_F(process, vfork_child_closes_its_own)
{
	pid_t pid = vfork();

	if (!pid) {
		close(self->p.device);
		dup2(0, self->p.group);
		_exit(0);
	}
	EXPECT_EQ(0, child_status(pid));
	EXPECT_TRUE(works(self->p.device));
	EXPECT_EQ(0, close(self->p.device));
	self->p.device = -1;
	EXPECT_EQ(0, ioctl(self->p.group, VFIO_GROUP_UNSET_CONTAINER));
}

/* What another program finds open: how many lines have @what in them. */
static int inherited(const char *what)
{
	char line[512];
	int n = 0;
	FILE *ls = popen("exec ls -l /proc/self/fd", "r");

	if (!ls)
		return -1;
	while (fgets(line, sizeof(line), ls))
		n += !!strstr(line, what);
	pclose(ls);
	return n;
}

TEST_F(process, exec_leaves_what_was_asked_for)
{
	void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ,
		.vaddr = (uintptr_t)memory,
		.iova = IOVA,
		.size = PAGE,
	};

	ASSERT_NE(MAP_FAILED, memory);
	ASSERT_EQ(0, ioctl(self->p.container, VFIO_IOMMU_MAP_DMA, &map));
	EXPECT_EQ(0, inherited("socket:"));
	/* The group and the container; the device has FD_CLOEXEC. */
	EXPECT_EQ(2, inherited("memfd:"));
	ASSERT_EQ(0, fcntl(self->p.group, F_SETFD, FD_CLOEXEC));
	EXPECT_EQ(1, inherited("memfd:"));
	EXPECT_TRUE(works(self->p.device));
}

TEST_F(process, fds_have_the_least_numbers)
{
	int low = dup(0);

	ASSERT_EQ(0, close(low));
	ASSERT_EQ(0, close(self->p.device));
	low = dup(0);
	ASSERT_EQ(0, close(low));
	self->p.device = ioctl(self->p.group, VFIO_GROUP_GET_DEVICE_FD,
			       self->p.bdf);
	EXPECT_EQ(low, self->p.device);
}

TEST_F(process, closes_all_but_its_own)
{
	int fd;

	for (fd = 3; fd < MANY_FDS; fd++) {
		if (fd != self->p.device && fd != self->p.group &&
		    fd != self->p.container)
			close(fd);
	}
	EXPECT_TRUE(works(self->p.device));
	ASSERT_EQ(0, close_range(self->p.device + 1, ~0u, 0));
	EXPECT_TRUE(works(self->p.device));
	closefrom(self->p.device + 1);
	EXPECT_TRUE(works(self->p.device));
}

TEST_F(process, closes_behind_our_back)
{
	int pipefd[2], number = self->p.device;
	char c = 0;

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(0, syscall(SYS_close, number));
	ASSERT_EQ(number, syscall(SYS_dup3, pipefd[0], number, 0));
	ASSERT_EQ(1, write(pipefd[1], "x", 1));
	EXPECT_EQ(1, read(number, &c, 1));
	EXPECT_EQ('x', c);
	EXPECT_EQ(ENOTTY, ERRNO_OF(ioctl(number, VFIO_DEVICE_RESET)));
	close(pipefd[0]);
	close(pipefd[1]);
}

TEST_F(process, knows_the_names_of_old_libraries)
{
	struct stat st[8];
	unsigned int i;

	EXPECT_EQ(0, __xstat(1, "/dev/vfio/vfio", &st[0]));
	EXPECT_EQ(0, __lxstat(1, "/dev/vfio/vfio", &st[1]));
	EXPECT_EQ(0, __fxstat(1, self->p.container, &st[2]));
	EXPECT_EQ(0, __fxstatat(1, AT_FDCWD, "/dev/vfio/vfio", &st[3], 0));
	/* In the old program these four have names that end in 64. */
	EXPECT_EQ(0, stat("/dev/vfio/vfio", &st[4]));
	EXPECT_EQ(0, lstat("/dev/vfio/vfio", &st[5]));
	EXPECT_EQ(0, fstat(self->p.container, &st[6]));
	EXPECT_EQ(0, fstatat(AT_FDCWD, "/dev/vfio/vfio", &st[7], 0));
	for (i = 0; i < 8; i++) {
		EXPECT_TRUE(S_ISCHR(st[i].st_mode));
		EXPECT_EQ(st[0].st_rdev, st[i].st_rdev);
	}
	/* And gives others to libc */
	EXPECT_EQ(0, __xstat(1, "/dev", &st[0]));
	EXPECT_TRUE(S_ISDIR(st[0].st_mode));
	EXPECT_EQ(ENOENT, ERRNO_OF(__lxstat(1, "/dev/no/such", &st[0])));
}

/* Of these there is one in the library, whatever libc has. */
TEST_F(process, knows_names_that_no_header_has)
{
	int (*by_how)(int dir, const char *path, const struct open_how *how,
		      size_t size) = dlsym(RTLD_DEFAULT, "openat2");
	int (*also_close)(int fd) = dlsym(RTLD_DEFAULT, "__close");
	int (*also_open)(const char *path, int flags, ...) =
		dlsym(RTLD_DEFAULT, "__open");
	struct open_how how = { .flags = O_RDWR };
	int fds[3];
	unsigned int i;

	ASSERT_TRUE(by_how && also_close && also_open);
	fds[0] = also_open("/dev/vfio/vfio", O_RDWR);
	fds[1] = by_how(AT_FDCWD, "/dev/vfio/vfio", &how, sizeof(how));
	fds[2] = creat("/dev/vfio/vfio", 0600);
	for (i = 0; i < 3; i++) {
		ASSERT_LE(0, fds[i]);
		EXPECT_EQ(VFIO_API_VERSION, ioctl(fds[i],
						  VFIO_GET_API_VERSION));
		EXPECT_EQ(0, also_close(fds[i]));
		EXPECT_EQ(EBADF, ERRNO_OF(ioctl(fds[i],
						VFIO_GET_API_VERSION)));
	}
	/* And gives others to the kernel */
	EXPECT_EQ(ENOENT, ERRNO_OF(by_how(AT_FDCWD, "/dev/no/such", &how,
					  sizeof(how))));
	EXPECT_EQ(EFAULT, ERRNO_OF(by_how(AT_FDCWD, "/dev/vfio/vfio", NULL,
					  sizeof(how))));
}

TEST_F(process, knows_the_names_of_fortified_calls)
{
	int flags = O_RDWR | atoi("0");
	size_t four = 4 | atoi("0");
	uint32_t value = 0, same = 1;
	char buf[16];
	int fd;

	/* Each of these is another function when the compiler can't tell. */
	fd = open("/dev/vfio/vfio", flags);
	ASSERT_LE(0, fd);
	EXPECT_EQ(VFIO_API_VERSION, ioctl(fd, VFIO_GET_API_VERSION));
	close(fd);
	fd = openat(AT_FDCWD, "/dev/vfio/vfio", flags);
	ASSERT_LE(0, fd);
	EXPECT_EQ(EINVAL, ERRNO_OF(read(fd, buf, four)));
	close(fd);
	ASSERT_EQ(4, pread(self->p.device, buf, four, CONFIG));
	memcpy(&value, buf, sizeof(value));
	ASSERT_EQ(4, pread(self->p.device, &same, sizeof(same), CONFIG));
	EXPECT_EQ(same, value);
}

/* A line of the debugger's view: it has a beginning and an end. */
static bool is_debug_line(const char *line)
{
	const char *end = strstr(line, " us>\n");

	return line[0] == '[' && strchr(line, ']') && strstr(line, " = ") &&
	       end && !end[5];
}

TEST_F(process, every_call_can_be_seen)
{
	static const char * const wanted[NR_WANTED] = {
		"open(\"/dev/vfio/vfio\", 0x2) = ",
		", VFIO_GROUP_SET_CONTAINER, {",
		", VFIO_SET_IOMMU, 0x3) = 0 <",
		", VFIO_GROUP_GET_DEVICE_FD, {\"",
		/* It has 20 bytes or 24, by the kernel's headers. */
		", flags=RESET|PCI, num_regions=9, num_irqs=5}) = 0 <",
		", VFIO_DEVICE_GET_INFO, ",
		"}) = -1 EINVAL <",
		"pread(",
		", region 7, 0, 4) = 4 <",
		", VFIO_DEVICE_RESET, ",
		"close(",
	};
	unsigned int i, calls = 0, seen = 0;
	char exe[256], command[600], line[1024];
	ssize_t n;
	FILE *f;

	plain_exit(&self->p);
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	ASSERT_LT(0, n);
	exe[n] = '\0';
	snprintf(command, sizeof(command),
		 "VFIO_USER_RUN_DEBUG=1 exec %s -t shows_itself 2>&1", exe);
	f = popen(command, "r");
	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f)) {
		if (line[0] != '[')
			continue;
		calls++;
		EXPECT_TRUE(is_debug_line(line)) TH_LOG("%s", line);
		for (i = 0; i < NR_WANTED; i++)
			seen |= strstr(line, wanted[i]) ? 1u << i : 0;
	}
	pclose(f);
	EXPECT_LT(10, calls);
	for (i = 0; i < NR_WANTED; i++) {
		EXPECT_TRUE(seen & 1u << i)
			TH_LOG("not seen: %s", wanted[i]);
	}
}

/* What every_call_can_be_seen looks at */
TEST_F(process, shows_itself)
{
	struct vfio_device_info info = { .argsz = 1 };

	EXPECT_TRUE(works(self->p.device));
	EXPECT_EQ(EINVAL, ERRNO_OF(ioctl(self->p.device, VFIO_DEVICE_GET_INFO,
					 &info)));
	EXPECT_EQ(0, ioctl(self->p.device, VFIO_DEVICE_RESET));
}

struct job {
	pthread_t thread;
	const struct plain *p;
	uint64_t iova;
	void *memory;
	unsigned int failures;
};

static void *job_run(void *arg)
{
	struct job *job = arg;
	unsigned int i;

	for (i = 0; i < NR_ROUNDS; i++) {
		struct vfio_iommu_type1_dma_map map = {
			.argsz = sizeof(map),
			.flags = VFIO_DMA_MAP_FLAG_READ |
				 VFIO_DMA_MAP_FLAG_WRITE,
			.vaddr = (uintptr_t)job->memory,
			.iova = job->iova,
			.size = PAGE,
		};
		struct vfio_iommu_type1_dma_unmap unmap = {
			.argsz = sizeof(unmap),
			.iova = job->iova,
			.size = PAGE,
		};
		int fd = dup(job->p->device);

		job->failures += !!ioctl(job->p->container, VFIO_IOMMU_MAP_DMA,
					 &map);
		job->failures += !works(fd);
		job->failures += !!close(fd);
		job->failures += !!ioctl(job->p->container,
					 VFIO_IOMMU_UNMAP_DMA, &unmap) ||
				 unmap.size != PAGE;
	}
	return NULL;
}

TEST_F(process, threads_share_a_device)
{
	struct job jobs[NR_THREADS];
	unsigned int i;
	char *memory;

	memory = mmap(NULL, NR_THREADS * PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, memory);
	for (i = 0; i < NR_THREADS; i++) {
		jobs[i] = (struct job){
			.p = &self->p,
			.iova = IOVA + i * PAGE,
			.memory = memory + i * PAGE,
		};
		ASSERT_EQ(0, pthread_create(&jobs[i].thread, NULL, job_run,
					    &jobs[i]));
	}
	for (i = 0; i < NR_THREADS; i++) {
		pthread_join(jobs[i].thread, NULL);
		EXPECT_EQ(0, jobs[i].failures);
	}
	munmap(memory, NR_THREADS * PAGE);
}

/* Until it is cancelled; not everything that it calls need notice. */
static void *call_for_ever(void *arg)
{
	struct plain *p = arg;

	for (;;) {
		if (!works(p->device))
			return NULL;
		pthread_testcancel();
	}
}

TEST_F(process, cancelled_threads_leave_no_lock)
{
	pthread_t thread;
	unsigned int i;
	void *result;

	for (i = 0; i < NR_CANCELS; i++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, call_for_ever,
					    &self->p));
		/* Somewhere else in what it does each time */
		usleep(i * 7);
		ASSERT_EQ(0, pthread_cancel(thread));
		ASSERT_EQ(0, pthread_join(thread, &result));
		ASSERT_EQ(PTHREAD_CANCELED, result);
		ASSERT_TRUE(works(self->p.device));
	}
}

/**
 * struct doomed - a thread that is to be cancelled at its next chance
 * @p: the device
 * @file: a file of two pages
 * @failed: the first call that hasn't worked, or isn't over
 */
struct doomed {
	struct plain *p;
	int file;
	const char *failed;
};

/* POSIX has none of these be a cancellation point, and libc neither. */
static void *call_what_is_no_point(void *arg)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct doomed *d = arg;
	struct stat st;
	char *map;

	pthread_cancel(pthread_self());
	d->failed = "mmap() of a region";
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, d->p->device, 0);
	if (map == MAP_FAILED)
		return NULL;
	d->failed = "munmap() of a region";
	if (munmap(map, PAGE))
		return NULL;
	d->failed = "mmap() of a file";
	map = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, d->file, 0);
	if (map == MAP_FAILED)
		return NULL;
	d->failed = "mremap()";
	map = mremap(map, 2 * PAGE, PAGE, MREMAP_MAYMOVE);
	if (map == MAP_FAILED || munmap(map, PAGE))
		return NULL;
	d->failed = "mmap() of shared memory";
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED || munmap(map, PAGE))
		return NULL;
	d->failed = "fstat()";
	if (fstat(d->p->device, &st))
		return NULL;
	d->failed = "ioctl()";
	if (ioctl(d->p->device, VFIO_DEVICE_GET_INFO, &info))
		return NULL;
	d->failed = NULL;
	pthread_testcancel();
	return NULL;
}

static int nr_open_fds(void)
{
	int fd, nr = 0;

	for (fd = 0; fd < MANY_FDS; fd++)
		nr += syscall(SYS_fcntl, fd, F_GETFD) >= 0;
	return nr;
}

TEST_F(process, what_is_no_cancellation_point_stays_none)
{
	struct doomed d = { .p = &self->p };
	int nr, round;
	pthread_t thread;
	void *result;

	d.file = memfd_create("file", MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(d.file, 2 * PAGE));
	for (round = 0; round < 2; round++) {
		nr = nr_open_fds();
		ASSERT_EQ(0, pthread_create(&thread, NULL,
					    call_what_is_no_point, &d));
		ASSERT_EQ(0, pthread_join(thread, &result));
		EXPECT_EQ(PTHREAD_CANCELED, result);
		ASSERT_EQ(NULL, d.failed)
			TH_LOG("%s", d.failed);
	}
	EXPECT_EQ(nr, nr_open_fds());
	close(d.file);
}

static void *close_for_itself(void *arg)
{
	int device = *(int *)arg;

	if (close_range(device, device, CLOSE_RANGE_UNSHARE))
		return "close_range() failed";
	return works(device) ? "it is still there" : NULL;
}

TEST_F(process, a_thread_closes_its_own_copies)
{
	pthread_t thread;
	void *why;

	ASSERT_EQ(0, pthread_create(&thread, NULL, close_for_itself,
				    &self->p.device));
	ASSERT_EQ(0, pthread_join(thread, &why));
	EXPECT_EQ(NULL, why);
	EXPECT_TRUE(works(self->p.device));
}

/* So that one can see whether it is the same when it is opened again. */
static bool leave_mark(int device)
{
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	return pwrite(device, &command, 2, CONFIG + PCI_COMMAND) == 2 &&
	       pread(device, &command, 2, CONFIG + PCI_COMMAND) == 2 &&
	       command & PCI_COMMAND_MASTER;
}

/* Nobody had it any more, so it was closed, and begins anew. */
static bool opens_afresh(struct plain *p)
{
	uint16_t command;

	p->device = ioctl(p->group, VFIO_GROUP_GET_DEVICE_FD, p->bdf);
	return works(p->device) &&
	       pread(p->device, &command, 2, CONFIG + PCI_COMMAND) == 2 &&
	       !(command & PCI_COMMAND_MASTER);
}

TEST_F(process, closes_all_copies_without_threads)
{
	int device = self->p.device;

	ASSERT_TRUE(leave_mark(device));
	ASSERT_EQ(0, close_range(device, device, CLOSE_RANGE_UNSHARE));
	EXPECT_FALSE(works(device));
	EXPECT_TRUE(opens_afresh(&self->p));
}

static void *close_for_all(void *arg)
{
	int device = *(int *)arg;

	return close_range(device, device, 0) ? "close_range() failed" : NULL;
}

TEST_F(process, a_thread_closes_for_all)
{
	int device = self->p.device;
	pthread_t thread;
	void *why;

	ASSERT_TRUE(leave_mark(device));
	ASSERT_EQ(0, pthread_create(&thread, NULL, close_for_all, &device));
	ASSERT_EQ(0, pthread_join(thread, &why));
	EXPECT_EQ(NULL, why);
	EXPECT_FALSE(works(device));
	EXPECT_TRUE(opens_afresh(&self->p));
}

TEST_HARNESS_MAIN
