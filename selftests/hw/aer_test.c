// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PCI Express error reaches the client as its ERR eventfd.
 *
 * The error is one of the root port, injected by the emulator's monitor. The
 * kernel's AER driver, which the port is bound to, logs it and tells the
 * drivers of all devices below the port, of which vfio-pci is one; that signals
 * ERR. (An error of the NVMe itself would get nowhere: the controller has no
 * AER capability, and with none the kernel leaves its reporting off.)
 *
 * The device has to be open, for otherwise there is nobody to be told. The
 * test can't reach the monitor once it is confined, so a process that it forks
 * before does that: it gets a line for each error and answers with a byte.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "hw.h"
#include "kselftest_harness.h"
#include "selftests/drivers/nvme.h"

#define DEPTH		8
#define SIZE		(64u << 10)
#define BLOCK		4096	/* the disk's first blocks are left alone */
#define WAIT_MS		20000
#define TIMEOUT		120

/* Severities as the port has them after a reset; as the kernel counts them. */
#define NON_FATAL	"COMP_ABORT", "CmpltAbrt (non-fatal)"
#define FATAL		"MALF_TLP", "MalfTLP (fatal)"

FIXTURE(aer)
{
	struct hw hw;
	struct nvme nvme;
	struct access_dma dma;
	int injector;
	int err;
};

FIXTURE_VARIANT(aer)
{
	struct hw_way way;
};

FIXTURE_VARIANT_ADD(aer, socket_iommufd)
{
	.way = { .socket = true, .iommu = VFIO_IOMMU_IOMMUFD },
};

FIXTURE_VARIANT_ADD(aer, socket_type1)
{
	.way = { .socket = true, .iommu = VFIO_IOMMU_TYPE1 },
};

FIXTURE_VARIANT_ADD(aer, vfio_iommufd)
{
	.way = { .iommu = VFIO_IOMMU_IOMMUFD },
};

FIXTURE_VARIANT_ADD(aer, vfio_type1)
{
	.way = { .iommu = VFIO_IOMMU_TYPE1 },
};

static void injector(int sock)
{
	char error[32], command[256], done;
	ssize_t n;

	while ((n = recv(sock, error, sizeof(error) - 1, 0)) > 0) {
		error[n] = '\0';
		/* The monitor answers OK or Error, both with success. */
		snprintf(command, sizeof(command),
			 "\"$LAB_TOP\"/selftests/lab/qmp --hmp 'pcie_aer_inject_error rp-nvme %s' | grep -q '\"OK '",
			 error);
		done = !system(command);
		send(sock, &done, 1, MSG_NOSIGNAL);
	}
	_exit(0);
}

/* A socket to it, or a negative errno; it ends when that is closed. */
static int start_injector(void)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (!pid) {
		close(pair[0]);
		injector(pair[1]);
	}
	close(pair[1]);
	return pid < 0 ? -errno : pair[0];
}

static bool inject(int sock, const char *error)
{
	char done = 0;

	return send(sock, error, strlen(error), MSG_NOSIGNAL) > 0 &&
	       recv(sock, &done, 1, 0) == 1 && done;
}

FIXTURE_SETUP(aer)
{
	const char *missing = hw_missing("LAB_NVME", variant->way.iommu);
	struct access *a;

	if (!missing && !getenv("LAB_TOP"))
		missing = "the lab's monitor is not there: LAB_TOP is not set";
	if (missing)
		SKIP(return, "%s", missing);
	self->injector = start_injector();
	ASSERT_LE(0, self->injector);
	ASSERT_EQ(0, hw_open(&self->hw, "LAB_NVME", &variant->way));
	a = self->hw.access;
	ASSERT_EQ(0, nvme_open(&self->nvme, a, 1, DEPTH));
	ASSERT_EQ(0, access_dma_alloc(a, SIZE, &self->dma));
	self->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, self->err);
	ASSERT_EQ(0, access_irq_enable(a, VFIO_PCI_ERR_IRQ_INDEX, 0, 1,
				       &self->err));
}

FIXTURE_TEARDOWN(aer)
{
	access_dma_free(self->hw.access, &self->dma);
	nvme_close(&self->nvme);
	EXPECT_EQ(0, hw_close(&self->hw));
	close(self->err);
	close(self->injector);
}

/* ": BDF: " of the port above a device, as the log has it. */
static const char *port_of(const char *bdf)
{
	char path[128], link[256];
	static char port[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	link[n < 0 ? 0 : n] = '\0';
	*(strrchr(link, '/') ?: link) = '\0';
	snprintf(port, sizeof(port), ": %.12s: ",
		 strrchr(link, '/') ? strrchr(link, '/') + 1 : "none");
	return port;
}

static int transfer(struct nvme *n, struct access_dma *dma, bool write)
{
	return nvme_io(n, 1, write, BLOCK, SIZE / n->block_size, dma->iova);
}

static bool holds(const struct access_dma *dma, uint8_t byte)
{
	const uint8_t *mem = dma->mem;

	return mem[0] == byte && !memcmp(mem, mem + 1, SIZE - 1);
}

/* For the time that the kernel itself resets what is below the port: EAGAIN. */
static int reset(struct access *a)
{
	int ret, ms = WAIT_MS;

	while ((ret = a->ops->reset(a)) == -EAGAIN && ms > 0) {
		usleep(10000);
		ms -= 10;
	}
	return ret;
}

/* The error, what is said of it, and a device that works after a reset. */
#define RECOVER(...)	RECOVER_FROM(__VA_ARGS__)
#define RECOVER_FROM(error, told) do {					\
	struct access *a = self->hw.access;				\
	struct nvme *n = &self->nvme;					\
									\
	memset(self->dma.mem, 0xa5, SIZE);				\
	ASSERT_EQ(0, transfer(n, &self->dma, true));			\
	EXPECT_EQ(0, access_irq_wait(self->err, 0));			\
	if (variant->way.socket)					\
		EXPECT_EQ(0, hw_monitor(&self->hw.daemon, "session.errors")); \
	ASSERT_TRUE(inject(self->injector, error));			\
	EXPECT_EQ(1, access_irq_wait(self->err, WAIT_MS));		\
	if (variant->way.socket) {					\
		EXPECT_LE(1, hw_monitor(&self->hw.daemon, "session.errors")); \
		EXPECT_EQ(1, hw_daemon_log_has(&self->hw.daemon,	\
					       "the device reports an error: ")); \
		EXPECT_EQ(1, hw_daemon_log_has(&self->hw.daemon, told)); \
		EXPECT_EQ(1, hw_daemon_log_has(&self->hw.daemon,	\
					       port_of(getenv("LAB_NVME")))); \
	}								\
	nvme_close(n);							\
	ASSERT_EQ(0, reset(a));						\
	ASSERT_EQ(0, nvme_open(n, a, 1, DEPTH));			\
	memset(self->dma.mem, 0, SIZE);					\
	ASSERT_EQ(0, transfer(n, &self->dma, false));			\
	EXPECT_TRUE(holds(&self->dma, 0xa5));				\
} while (0)

TEST_F_TIMEOUT(aer, nonfatal_error, TIMEOUT)
{
	RECOVER(NON_FATAL);
	EXPECT_EQ(0, access_irq_wait(self->err, 0));
	if (variant->way.socket)
		EXPECT_EQ(1, hw_monitor(&self->hw.daemon, "session.errors"));
}

/*
 * The kernel resets what is below the port, for which vfio-pci has no way to
 * recover. Newer kernels tell it that as well, and ERR comes twice.
 */
TEST_F_TIMEOUT(aer, fatal_error, TIMEOUT)
{
	RECOVER(FATAL);
}

TEST_HARNESS_MAIN
