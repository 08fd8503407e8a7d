// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two devices of one IOMMU group, through one daemon: both for one client, with
 * one file of memory; for no other; and each for itself in all else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hw.h"
#include "kselftest_harness.h"
#include "selftests/drivers/edu.h"

#define SIGNAL_MS	5000	/* for a signal that must come */
#define SILENCE_MS	100	/* for one that mustn't */

#define SIZE		0x10000
#define IOVA		0x200000
#define RW		(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

/**
 * struct foreign - a process of another user that tries to connect
 * @pid: it
 * @go: written to, it connects; closed, it ends
 */
struct foreign {
	pid_t pid;
	int go;
};

FIXTURE(group)
{
	struct hw_daemon daemon;
	struct foreign foreign;
	struct access *access[2];
	struct edu edu[2];
	int fd;
	uint8_t *mem;
};

FIXTURE_VARIANT(group)
{
	enum vfio_iommu_kind iommu;
};

FIXTURE_VARIANT_ADD(group, iommufd)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
};

FIXTURE_VARIANT_ADD(group, type1)
{
	.iommu = VFIO_IOMMU_TYPE1,
};

/* The child: its exit code is what connecting says. */
static void foreign_run(const char *path, int go)
{
	struct access *a;
	char byte;
	int ret;

	ret = hw_confine(HW_OTHER_UID);
	if (ret || read(go, &byte, 1) != 1)
		_exit(255);
	ret = access_socket_open(path, NULL, &a);
	if (!ret)
		access_close(a);
	_exit(-ret);
}

/* While this process still may, make one that will be somebody else. */
static int foreign_start(struct foreign *f, const char *path)
{
	int pipes[2];

	if (pipe(pipes))
		return -errno;
	f->pid = fork();
	if (!f->pid) {
		close(pipes[1]);
		foreign_run(path, pipes[0]);
	}
	close(pipes[0]);
	f->go = pipes[1];
	return f->pid < 0 ? -errno : 0;
}

/* 0, the errno that it was told, or -ECHILD. */
static int foreign_try(struct foreign *f)
{
	int status;

	if (write(f->go, "!", 1) != 1 ||
	    waitpid(f->pid, &status, 0) != f->pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) == 255)
		return -ECHILD;
	return WEXITSTATUS(status);
}

/* The session, and nothing that shows whose it is. */
static int connect_one(const struct hw_daemon *d, int which, struct access **a)
{
	return access_socket_open(which ? d->second : d->socket, NULL, a);
}

static int map(struct access *a, uint64_t iova, int fd)
{
	return a->ops->dma_map(a, iova, SIZE, fd, 0, RW);
}

/* Memory first: it is what a device is given for if another has been. */
static int open_one(const struct hw_daemon *d, int which, int fd,
		    struct access **a, struct edu *edu)
{
	int ret = connect_one(d, which, a);

	if (!ret)
		ret = map(*a, IOVA, fd);
	return ret ? ret : edu_open(edu, *a);
}

static void close_one(struct access **a, struct edu *edu)
{
	edu_close(edu);
	access_close(*a);
	*a = NULL;
	memset(edu, 0, sizeof(*edu));
}

FIXTURE_SETUP(group)
{
	const struct hw_daemon_opts opts = {
		.bdf = getenv("LAB_EDU_A"),
		.second = getenv("LAB_EDU_B"),
		.iommu = variant->iommu,
	};
	const char *missing = hw_missing("LAB_EDU_A", variant->iommu);

	if (!missing)
		missing = hw_missing("LAB_EDU_B", variant->iommu);
	if (missing)
		SKIP(return, "%s", missing);
	self->fd = memfd_create("client", MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(self->fd, SIZE));
	self->mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_EQ(0, hw_daemon_start(&self->daemon, &opts));
	ASSERT_EQ(0, foreign_start(&self->foreign, self->daemon.second));
	ASSERT_EQ(0, hw_confine(HW_CLIENT_UID));
	ASSERT_EQ(0, connect_one(&self->daemon, 0, &self->access[0]));
	ASSERT_EQ(0, edu_open(&self->edu[0], self->access[0]));
}

FIXTURE_TEARDOWN(group)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (self->access[i])
			close_one(&self->access[i], &self->edu[i]);
	}
	if (self->foreign.go > 0)
		close(self->foreign.go);
	EXPECT_EQ(0, hw_daemon_stop(&self->daemon));
}

/* Out of the client's memory into the device and back to another place. */
static bool copies(struct edu *edu, uint8_t *mem, uint8_t seed)
{
	memset(mem, seed, 256);
	memset(mem + 4096, 0, 256);
	return !edu_dma(edu, IOVA, 0, 256, false) &&
	       !edu_dma(edu, IOVA + 4096, 0, 256, true) &&
	       !memcmp(mem, mem + 4096, 256);
}

/* Open the second device as well, and let both reach the memory. */
#define OPEN_BOTH() do { \
	ASSERT_EQ(0, map(self->access[0], IOVA, self->fd)); \
	ASSERT_EQ(0, open_one(&self->daemon, 1, self->fd, &self->access[1], \
			      &self->edu[1])); \
} while (0)

TEST_F(group, both_reach_the_memory)
{
	OPEN_BOTH();
	EXPECT_EQ(1, hw_daemon_log_has(&self->daemon, "shares IOMMU group"));
	EXPECT_TRUE(copies(&self->edu[0], self->mem, 0x5a));
	EXPECT_TRUE(copies(&self->edu[1], self->mem, 0xa5));
	/* What the one has left there the other reads. */
	memset(self->mem + 8192, 0x77, 128);
	ASSERT_EQ(0, edu_dma(&self->edu[0], IOVA + 8192, 0, 128, false));
	memset(self->mem + 8192, 0, 128);
	ASSERT_EQ(0, edu_dma(&self->edu[0], IOVA + 8192, 0, 128, true));
	ASSERT_EQ(0, edu_dma(&self->edu[1], IOVA + 8192, 0, 128, false));
	ASSERT_EQ(0, edu_dma(&self->edu[1], IOVA + 12288, 0, 128, true));
	EXPECT_EQ(0x77, self->mem[12288]);
	EXPECT_EQ(0x77, self->mem[12288 + 127]);
}

TEST_F(group, interrupts_of_each)
{
	int i;

	OPEN_BOTH();
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, edu_irq_setup(&self->edu[i],
					   VFIO_PCI_MSI_IRQ_INDEX));
	for (i = 0; i < 2; i++) {
		edu_raise(&self->edu[i], 1);
		EXPECT_EQ(1, access_irq_wait(self->edu[i].irq, SIGNAL_MS));
		EXPECT_EQ(0, access_irq_wait(self->edu[!i].irq, SILENCE_MS));
		EXPECT_EQ(0, edu_irq_status(&self->edu[!i]));
		edu_ack(&self->edu[i], 1);
	}
}

/* Neither can be reset alone, and the bus only for one client. */
TEST_F(group, reset_of_one)
{
	struct access *a = self->access[0];

	ASSERT_EQ(0, a->ops->reset(a));
	ASSERT_EQ(0, connect_one(&self->daemon, 1, &self->access[1]));
	EXPECT_EQ(-EBUSY, a->ops->reset(a));
	EXPECT_EQ(1, hw_daemon_log_has(&self->daemon,
				       "a reset of the bus would touch"));
	ASSERT_EQ(0, map(a, IOVA, self->fd));
	ASSERT_EQ(0, map(self->access[1], IOVA, self->fd));
	ASSERT_EQ(0, edu_open(&self->edu[1], self->access[1]));
	EXPECT_TRUE(copies(&self->edu[1], self->mem, 0x11));
	EXPECT_EQ(0, a->ops->reset(a));
	EXPECT_TRUE(edu_alive(&self->edu[0], 0x1234));
	EXPECT_TRUE(edu_alive(&self->edu[1], 0x4321));
	EXPECT_TRUE(copies(&self->edu[0], self->mem, 0x22));
	EXPECT_TRUE(copies(&self->edu[1], self->mem, 0x33));
}

TEST_F(group, another_user_is_refused)
{
	EXPECT_EQ(EBUSY, foreign_try(&self->foreign));
	EXPECT_EQ(1, hw_daemon_log_has(&self->daemon, "it is another user's"));
	EXPECT_TRUE(edu_alive(&self->edu[0], 1));
}

/* The kernel frees the group with its last device. */
TEST_F(group, another_user_comes_when_all_have_gone)
{
	OPEN_BOTH();
	close_one(&self->access[0], &self->edu[0]);
	close_one(&self->access[1], &self->edu[1]);
	EXPECT_EQ(0, foreign_try(&self->foreign));
}

TEST_F(group, other_memory_is_refused)
{
	int fd = memfd_create("other", MFD_CLOEXEC);

	ASSERT_EQ(0, ftruncate(fd, SIZE));
	ASSERT_EQ(0, map(self->access[0], IOVA, self->fd));
	ASSERT_EQ(0, connect_one(&self->daemon, 1, &self->access[1]));
	EXPECT_EQ(-EACCES, map(self->access[1], IOVA + SIZE, fd));
	EXPECT_NE(0, map(self->access[1], IOVA, self->fd));
	EXPECT_EQ(1, hw_daemon_log_has(&self->daemon,
				       "shares other memory: session ended"));
	close_one(&self->access[1], &self->edu[1]);
	ASSERT_EQ(0, open_one(&self->daemon, 1, self->fd, &self->access[1],
			      &self->edu[1]));
	EXPECT_EQ(0, map(self->access[1], IOVA + SIZE, fd));
	close(fd);
}

/*
 * The device has all that it needs to read and write memory but for its
 * client's power over it. Then it has that too.
 */
TEST_F(group, memory_of_who_has_not_shown_to_be_the_same)
{
	struct access_region bar0;
	struct access *b;

	ASSERT_EQ(0, map(self->access[0], IOVA, self->fd));
	ASSERT_EQ(0, connect_one(&self->daemon, 1, &self->access[1]));
	b = self->access[1];
	ASSERT_EQ(0, b->ops->region(b, VFIO_PCI_BAR0_REGION_INDEX, &bar0));
	EXPECT_FALSE(bar0.flags & VFIO_REGION_INFO_FLAG_MMAP);
	EXPECT_EQ(-EACCES, access_enable(b));

	self->edu[1].a = b;
	self->edu[1].irq = -1;
	ASSERT_EQ(0, access_bar_open(b, VFIO_PCI_BAR0_REGION_INDEX,
				     &self->edu[1].bar));
	EXPECT_FALSE(copies(&self->edu[1], self->mem, 0x5a));
	EXPECT_EQ(0, self->mem[4096]);
	EXPECT_EQ(0x5a, self->mem[0]);

	ASSERT_EQ(0, map(b, IOVA, self->fd));
	ASSERT_EQ(0, access_enable(b));
	EXPECT_TRUE(copies(&self->edu[1], self->mem, 0xa5));
	ASSERT_EQ(0, b->ops->region(b, VFIO_PCI_BAR0_REGION_INDEX, &bar0));
	EXPECT_TRUE(bar0.flags & VFIO_REGION_INFO_FLAG_MMAP);
}

TEST_F(group, one_goes_and_the_other_goes_on)
{
	struct access *b;

	OPEN_BOTH();
	close_one(&self->access[0], &self->edu[0]);
	EXPECT_TRUE(copies(&self->edu[1], self->mem, 0x44));
	ASSERT_EQ(0, open_one(&self->daemon, 0, self->fd, &self->access[0],
			      &self->edu[0]));
	EXPECT_TRUE(copies(&self->edu[1], self->mem, 0x55));
	EXPECT_TRUE(copies(&self->edu[0], self->mem, 0x66));

	/* The kernel's map goes with its last user, who is the first now. */
	b = self->access[1];
	ASSERT_EQ(0, b->ops->dma_unmap(b, IOVA, SIZE));
	EXPECT_TRUE(copies(&self->edu[0], self->mem, 0x77));
}

TEST_HARNESS_MAIN
