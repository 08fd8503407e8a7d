// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mediated device: the kernel's mtty sample, a card with two serial ports.
 *
 * It has neither an IOMMU nor a PCI address, does no DMA, and echoes what is
 * sent: a byte written to the transmitter waits in a buffer of 16 until it is
 * read from the receiver. And it can migrate, the only one of the lab's devices
 * that can. What is in the buffers of one card, behind one bridge, is to be
 * found in those of another, behind another bridge.
 *
 * Each test makes its own cards. A process forked off before the test gives up
 * its privileges removes them when the test has ended in whatever way.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/serial_reg.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include "hw.h"
#include "kselftest_harness.h"
#include "tools/lib/client.h"

#define MTTY_TYPE	"/sys/devices/virtual/mtty/mtty/mdev_supported_types/mtty-2"
#define MTTY_ID		0x32534348	/* device and vendor */
#define MTTY_CLASS	0x070002	/* a serial port, 16550-compatible */
#define MTTY_HEADER	24		/* bytes of its stream before the ports */

#define SIGNAL_MS	5000	/* for a signal that must come */
#define SILENCE_MS	100	/* for one that mustn't */
#define REST_MS		10000	/* for a daemon to be done with a client */

static const char * const uuids[] = {
	"6d747479-0000-4000-8000-000000000001",
	"6d747479-0000-4000-8000-000000000002",
};

/**
 * struct card - a card, its bridge, and a client
 * @uuid: its name
 * @keeper: pipe to the process that removes it, -1 if there is none
 * @keeper_pid: that process
 * @daemon: its bridge
 * @c: the client, or NULL
 */
struct card {
	const char *uuid;
	int keeper;
	pid_t keeper_pid;
	struct hw_daemon daemon;
	struct vfio_user_client *c;
};

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == strlen(text) ? 0 : -EIO;
}

/* Waits until nobody has the other end of the pipe, and removes the card. */
static void keep_card(const char *uuid, int fd)
{
	char path[PATH_MAX], byte;

	setsid();
	while (read(fd, &byte, 1) > 0)
		;
	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/remove", uuid);
	_exit(write_text(path, "1") ? 1 : 0);
}

static int card_create(struct card *card, const char *uuid)
{
	int fds[2], ret;

	if (pipe(fds))
		return -errno;
	ret = write_text(MTTY_TYPE "/create", uuid);
	if (ret)
		goto close_pipe;
	card->keeper_pid = fork();
	if (!card->keeper_pid) {
		close(fds[1]);
		keep_card(uuid, fds[0]);
	}
	close(fds[0]);
	card->uuid = uuid;
	card->keeper = fds[1];
	return card->keeper_pid < 0 ? -errno : 0;

close_pipe:
	close(fds[0]);
	close(fds[1]);
	return ret;
}

static int card_remove(struct card *card)
{
	int status = 0;

	if (!card->uuid)
		return 0;
	close_fd(&card->keeper);
	waitpid(card->keeper_pid, &status, 0);
	return status;
}

/* A daemon that opens its device afresh refuses clients meanwhile. */
static int card_connect(struct card *card)
{
	const struct timespec nap = { .tv_nsec = 10000000 };
	int ret, ms;

	for (ms = 0; ms < REST_MS; ms += 10) {
		ret = vfio_user_connect(card->daemon.socket, NULL, &card->c);
		if (ret != -EBUSY)
			return ret;
		nanosleep(&nap, NULL);
	}
	return ret;
}

static int card_reconnect(struct card *card)
{
	vfio_user_disconnect(card->c);
	card->c = NULL;
	return card_connect(card);
}

/*
 * The serial port
 */

static int uart_read(struct card *card, unsigned int port, unsigned int reg)
{
	uint8_t value = 0;
	ssize_t n = vfio_user_region_read(card->c, port, reg, &value, 1);

	return n == 1 ? value : n < 0 ? n : -EIO;
}

static int uart_write(struct card *card, unsigned int port, unsigned int reg,
		      uint8_t value)
{
	ssize_t n = vfio_user_region_write(card->c, port, reg, &value, 1);

	return n == 1 ? 0 : n < 0 ? n : -EIO;
}

static int uart_send(struct card *card, unsigned int port, const char *text)
{
	int ret = 0;

	for (; *text && !ret; text++)
		ret = uart_write(card, port, UART_TX, *text);
	return ret;
}

/* All that waits in the receiver, as a string; its length. */
static int uart_receive(struct card *card, unsigned int port, char *buf,
			size_t len)
{
	int lsr, n = 0;

	while ((lsr = uart_read(card, port, UART_LSR)) & UART_LSR_DR) {
		if (lsr < 0 || n == len - 1)
			return -EIO;
		buf[n++] = uart_read(card, port, UART_RX);
	}
	buf[n] = '\0';
	return n;
}

static bool signalled(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	eventfd_t value;

	return poll(&pfd, 1, ms) == 1 && !eventfd_read(fd, &value);
}

static int irq_arm(struct card *card, uint32_t index, int fd)
{
	return vfio_user_irq_set(card->c, VFIO_USER_IRQ_SET_DATA_EVENTFD |
				 VFIO_USER_IRQ_SET_ACTION_TRIGGER, index, 0, 1,
				 &fd);
}

static int intx_unmask(struct card *card)
{
	return vfio_user_irq_set(card->c, VFIO_USER_IRQ_SET_DATA_NONE |
				 VFIO_USER_IRQ_SET_ACTION_UNMASK,
				 VFIO_PCI_INTX_IRQ_INDEX, 0, 1, NULL);
}

/*
 * Migration
 */

static int state_of(struct card *card)
{
	uint32_t state;
	int ret = vfio_user_migration_get_state(card->c, &state);

	return ret ? ret : (int)state;
}

static int set_state(struct card *card, uint32_t state)
{
	return vfio_user_migration_set_state(card->c, state);
}

static int load(struct card *card, const void *stream, size_t len)
{
	int ret;

	ret = set_state(card, VFIO_USER_STATE_RESUMING);
	if (!ret)
		ret = vfio_user_migration_write(card->c, stream, len);
	if (!ret)
		ret = set_state(card, VFIO_USER_STATE_STOP);
	return ret ? ret : set_state(card, VFIO_USER_STATE_RUNNING);
}

/* Without a stop on the way. */
static ssize_t save(struct card *card, void *stream, size_t len)
{
	int ret = set_state(card, VFIO_USER_STATE_STOP_COPY);

	return ret ? ret : vfio_user_migration_read(card->c, stream, len);
}

/*
 * Two cards, each behind a bridge of its own
 */

/**
 * struct pair - what a test has
 * @cards: the cards
 * @dir: a directory that the clients may write to
 * @tool: the program vfio-user
 */
struct pair {
	struct card cards[2];
	char dir[32];
	int tool;
};

/* The tool is beside the tests' directory: ../../vfio-user from here. */
static int open_tool(void)
{
	char path[PATH_MAX];
	int fd, up;
	ssize_t n;

	n = readlink("/proc/self/exe", path, sizeof(path) - 20);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	for (up = 0; up < 3 && strrchr(path, '/'); up++)
		*strrchr(path, '/') = '\0';
	fd = open(strcat(path, "/vfio-user"), O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int pair_start(struct pair *pair, enum vfio_iommu_kind iommu,
		      const char *on_disconnect)
{
	int i, ret = 0;

	for (i = 0; i < 2 && !ret; i++)
		ret = card_create(&pair->cards[i], uuids[i]);
	for (i = 0; i < 2 && !ret; i++) {
		const struct hw_daemon_opts opts = {
			.bdf = uuids[i],
			.iommu = iommu,
			.on_disconnect = on_disconnect,
		};

		ret = hw_daemon_start(&pair->cards[i].daemon, &opts);
	}
	return ret;
}

static int pair_open(struct pair *pair, enum vfio_iommu_kind iommu,
		     const char *on_disconnect)
{
	int ret;

	strcpy(pair->dir, "/tmp/mtty.XXXXXX");
	if (!mkdtemp(pair->dir) ||
	    chown(pair->dir, HW_CLIENT_UID, HW_CLIENT_UID))
		return -errno;
	pair->tool = open_tool();
	if (pair->tool < 0)
		return pair->tool;
	ret = pair_start(pair, iommu, on_disconnect);
	if (!ret)
		ret = hw_confine(HW_CLIENT_UID);
	if (!ret)
		ret = card_connect(&pair->cards[0]);
	return ret ? ret : card_connect(&pair->cards[1]);
}

/* The other way round: later processes hold ends of earlier pipes. */
static int pair_close(struct pair *pair)
{
	int i, ret = 0;

	for (i = 1; i >= 0; i--) {
		vfio_user_disconnect(pair->cards[i].c);
		ret |= hw_daemon_stop(&pair->cards[i].daemon);
	}
	for (i = 1; i >= 0; i--)
		ret |= card_remove(&pair->cards[i]);
	if (pair->dir[0] && rmdir(pair->dir))
		ret |= -errno;
	return ret;
}

static const char *missing(enum vfio_iommu_kind iommu)
{
	if (access(MTTY_TYPE, F_OK))
		return "this kernel has no mtty sample driver";
	if (getuid())
		return "needs root";
	if (iommu == VFIO_IOMMU_IOMMUFD && access("/dev/iommu", F_OK))
		return "this kernel has no iommufd";
	if (iommu == VFIO_IOMMU_TYPE1 && access("/dev/vfio/vfio", F_OK))
		return "this kernel has no VFIO container";
	return NULL;
}

FIXTURE(mtty)
{
	struct pair pair;
	struct card *a;
	struct card *b;
	char stream[4096];
	char text[32];
	int event;
};

FIXTURE_VARIANT(mtty)
{
	enum vfio_iommu_kind iommu;
};

FIXTURE_VARIANT_ADD(mtty, iommufd)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
};

FIXTURE_VARIANT_ADD(mtty, type1)
{
	.iommu = VFIO_IOMMU_TYPE1,
};

FIXTURE_SETUP(mtty)
{
	const char *why = missing(variant->iommu);

	if (why)
		SKIP(return, "%s", why);
	self->event = eventfd(0, EFD_CLOEXEC);
	ASSERT_LE(0, self->event);
	self->a = &self->pair.cards[0];
	self->b = &self->pair.cards[1];
	ASSERT_EQ(0, pair_open(&self->pair, variant->iommu, NULL));
}

FIXTURE_TEARDOWN(mtty)
{
	EXPECT_EQ(0, pair_close(&self->pair));
}

TEST_F(mtty, is_described_as_a_pci_device)
{
	struct vfio_user_device_info info;
	struct vfio_user_region_info *region;
	struct vfio_user_irq_info irq;
	uint32_t id;
	int fd;

	ASSERT_EQ(0, vfio_user_device_info(self->a->c, &info));
	EXPECT_TRUE(info.flags & VFIO_USER_DEVICE_FLAG_PCI);
	EXPECT_TRUE(info.flags & VFIO_USER_DEVICE_FLAG_RESET);
	EXPECT_EQ(VFIO_PCI_NUM_REGIONS, info.num_regions);

	ASSERT_EQ(0, vfio_user_region_info(self->a->c, 0, &region, &fd));
	EXPECT_EQ(8, region->size);
	EXPECT_EQ(VFIO_USER_REGION_FLAG_READ | VFIO_USER_REGION_FLAG_WRITE,
		  region->flags);
	EXPECT_EQ(-1, fd);
	free(region);

	ASSERT_EQ(4, vfio_user_region_read(self->a->c,
					   VFIO_PCI_CONFIG_REGION_INDEX,
					   PCI_VENDOR_ID, &id, 4));
	EXPECT_EQ(MTTY_ID, id);
	ASSERT_EQ(4, vfio_user_region_read(self->a->c,
					   VFIO_PCI_CONFIG_REGION_INDEX,
					   PCI_CLASS_REVISION, &id, 4));
	EXPECT_EQ(MTTY_CLASS, id >> 8);

	ASSERT_EQ(0, vfio_user_irq_info(self->a->c, VFIO_PCI_INTX_IRQ_INDEX,
					&irq));
	EXPECT_EQ(1, irq.count);
	EXPECT_EQ(-EINVAL, vfio_user_irq_info(self->a->c,
					      VFIO_PCI_ERR_IRQ_INDEX, &irq));
}

TEST_F(mtty, what_is_sent_comes_back)
{
	struct card *a = self->a;

	ASSERT_EQ(0, uart_write(a, 0, UART_SCR, 0x5a));
	ASSERT_EQ(0, uart_write(a, 1, UART_SCR, 0xa5));
	EXPECT_EQ(0x5a, uart_read(a, 0, UART_SCR));
	EXPECT_EQ(0xa5, uart_read(a, 1, UART_SCR));
	EXPECT_EQ(UART_LSR_TEMT | UART_LSR_THRE, uart_read(a, 0, UART_LSR));

	ASSERT_EQ(0, uart_send(a, 0, "one"));
	ASSERT_EQ(0, uart_send(a, 1, "another"));
	EXPECT_EQ(3, uart_receive(a, 0, self->text, sizeof(self->text)));
	EXPECT_STREQ("one", self->text);
	EXPECT_EQ(7, uart_receive(a, 1, self->text, sizeof(self->text)));
	EXPECT_STREQ("another", self->text);
	/* And the other card has heard nothing of it. */
	EXPECT_EQ(0, uart_receive(self->b, 0, self->text, sizeof(self->text)));

	ASSERT_EQ(0, uart_send(a, 0, "lost"));
	ASSERT_EQ(0, uart_write(a, 0, UART_FCR, UART_FCR_ENABLE_FIFO |
				UART_FCR_CLEAR_RCVR));
	EXPECT_EQ(0, uart_receive(a, 0, self->text, sizeof(self->text)));
}

TEST_F(mtty, rule22_bytes_are_sent_by_one_message)
{
	struct vfio_user_write_one wrs[6] = {};
	uint64_t sent = vfio_user_messages_sent(self->a->c);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrs); i++) {
		wrs[i].count = 1;
		wrs[i].data[0] = 'a' + i;
	}
	/* Not in the region: this one fails, and those after it aren't tried. */
	wrs[4].offset = 8;
	EXPECT_EQ(4, vfio_user_region_write_multi(self->a->c, wrs, 6));
	EXPECT_EQ(sent + 1, vfio_user_messages_sent(self->a->c));
	EXPECT_EQ(4, uart_receive(self->a, 0, self->text, sizeof(self->text)));
	EXPECT_STREQ("abcd", self->text);
}

/* The card signals when its buffer gets its first byte. */
TEST_F(mtty, intx_is_signalled_and_masked)
{
	struct card *a = self->a;

	ASSERT_EQ(0, irq_arm(a, VFIO_PCI_INTX_IRQ_INDEX, self->event));
	ASSERT_EQ(0, uart_write(a, 0, UART_FCR, UART_FCR_ENABLE_FIFO));
	ASSERT_EQ(0, uart_write(a, 0, UART_IER, UART_IER_RDI));
	EXPECT_FALSE(signalled(self->event, SILENCE_MS));

	ASSERT_EQ(0, uart_send(a, 0, "x"));
	EXPECT_TRUE(signalled(self->event, SIGNAL_MS));
	EXPECT_EQ(UART_IIR_RDI | 0xc0, uart_read(a, 0, UART_IIR));
	EXPECT_EQ('x', uart_read(a, 0, UART_RX));
	/* Masked until it is unmasked. */
	ASSERT_EQ(0, uart_send(a, 0, "y"));
	EXPECT_FALSE(signalled(self->event, SILENCE_MS));
	EXPECT_EQ('y', uart_read(a, 0, UART_RX));
	ASSERT_EQ(0, intx_unmask(a));
	ASSERT_EQ(0, uart_send(a, 0, "z"));
	EXPECT_TRUE(signalled(self->event, SIGNAL_MS));

	/* Disabled, and what is sent then signals nothing. */
	ASSERT_EQ(0, vfio_user_irq_set(a->c, VFIO_USER_IRQ_SET_DATA_NONE |
				       VFIO_USER_IRQ_SET_ACTION_TRIGGER,
				       VFIO_PCI_INTX_IRQ_INDEX, 0, 0, NULL));
	EXPECT_EQ('z', uart_read(a, 0, UART_RX));
	ASSERT_EQ(0, uart_send(a, 0, "x"));
	EXPECT_FALSE(signalled(self->event, SILENCE_MS));
}

TEST_F(mtty, msi_is_signalled_each_time)
{
	struct card *a = self->a;
	int i;

	ASSERT_EQ(0, irq_arm(a, VFIO_PCI_MSI_IRQ_INDEX, self->event));
	ASSERT_EQ(0, uart_write(a, 0, UART_FCR, UART_FCR_ENABLE_FIFO));
	ASSERT_EQ(0, uart_write(a, 0, UART_IER, UART_IER_RDI));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, uart_send(a, 0, "x"));
		EXPECT_TRUE(signalled(self->event, SIGNAL_MS));
		EXPECT_EQ('x', uart_read(a, 0, UART_RX));
	}
	EXPECT_EQ(-EINVAL, irq_arm(a, VFIO_PCI_INTX_IRQ_INDEX, self->event));
}

/*
 * The card does no DMA, but takes maps: the kernel remembers by which address
 * in the daemon each can be reached, so those mappings stay until the end.
 */
TEST_F(mtty, memory_is_mapped_and_unmapped)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);
	struct hw_counts before, after;
	struct vfio_user_client *c = self->a->c;

	ASSERT_EQ(0, ftruncate(fd, 1 << 20));
	/* The stack of the thread that answers is kept for the next. */
	EXPECT_EQ(0, hw_monitor(&self->a->daemon, "session.dma.maps"));
	ASSERT_EQ(0, hw_daemon_counts(&self->a->daemon, &before));
	ASSERT_EQ(0, vfio_user_dma_map(c, 0x10000, 0x10000, fd, 0, 3));
	ASSERT_EQ(0, vfio_user_dma_map(c, 0x40000, 0x1000, fd, 0x20000, 1));
	EXPECT_EQ(-EEXIST, vfio_user_dma_map(c, 0x18000, 0x1000, fd, 0, 3));
	EXPECT_EQ(2, hw_monitor(&self->a->daemon, "session.dma.maps"));
	EXPECT_EQ(0, vfio_user_dma_unmap(c, 0x10000, 0x10000));
	EXPECT_EQ(0, vfio_user_dma_unmap_all(c));
	ASSERT_EQ(0, hw_daemon_counts(&self->a->daemon, &after));
	EXPECT_EQ(before.maps, after.maps);
	EXPECT_EQ(before.fds, after.fds);
	close(fd);
}

TEST_F(mtty, rule27_states_are_the_kernels)
{
	struct card *a = self->a;
	uint64_t flags;
	char byte;

	ASSERT_EQ(0, vfio_user_migration_flags(a->c, &flags));
	EXPECT_EQ(VFIO_USER_MIGRATION_STOP_COPY | VFIO_USER_MIGRATION_P2P |
		  VFIO_USER_MIGRATION_PRE_COPY, flags);
	EXPECT_EQ(VFIO_USER_STATE_RUNNING, state_of(a));
	EXPECT_EQ(-EINVAL, vfio_user_migration_read(a->c, &byte, 1));
	EXPECT_EQ(-EINVAL, vfio_user_migration_write(a->c, &byte, 1));

	EXPECT_EQ(0, set_state(a, VFIO_USER_STATE_STOP));
	EXPECT_EQ(VFIO_USER_STATE_STOP, state_of(a));
	EXPECT_EQ(0, set_state(a, VFIO_USER_STATE_STOP_COPY));
	EXPECT_EQ(-EINVAL, set_state(a, VFIO_USER_STATE_PRE_COPY));
	EXPECT_EQ(VFIO_USER_STATE_STOP_COPY, state_of(a));
	EXPECT_EQ(-EINVAL, set_state(a, VFIO_USER_STATE_ERROR));
	EXPECT_EQ(-EINVAL, set_state(a, 8));
	EXPECT_EQ(0, set_state(a, VFIO_USER_STATE_RUNNING));
	EXPECT_EQ(VFIO_USER_STATE_RUNNING, state_of(a));
	EXPECT_EQ(-EINVAL, vfio_user_migration_read(a->c, &byte, 1));
}

TEST_F(mtty, rule27_stop_copy_moves_what_is_in_the_buffers)
{
	ssize_t len;

	ASSERT_EQ(0, uart_write(self->a, 0, UART_SCR, 0x5a));
	ASSERT_EQ(0, uart_send(self->a, 0, "in flight"));
	ASSERT_EQ(0, uart_send(self->a, 1, "too"));
	ASSERT_EQ(0, uart_send(self->b, 0, "in the way"));

	len = save(self->a, self->stream, sizeof(self->stream));
	ASSERT_LT(MTTY_HEADER, len);
	EXPECT_EQ(0, vfio_user_migration_read(self->a->c, self->stream + len,
					      1));
	ASSERT_EQ(0, load(self->b, self->stream, len));

	EXPECT_EQ(0x5a, uart_read(self->b, 0, UART_SCR));
	EXPECT_EQ(9, uart_receive(self->b, 0, self->text, sizeof(self->text)));
	EXPECT_STREQ("in flight", self->text);
	EXPECT_EQ(3, uart_receive(self->b, 1, self->text, sizeof(self->text)));
	EXPECT_STREQ("too", self->text);
}

TEST_F(mtty, rule27_pre_copy_moves_what_came_meanwhile)
{
	ssize_t first, rest;
	struct card *a = self->a;

	ASSERT_EQ(0, uart_send(a, 0, "early"));
	ASSERT_EQ(0, set_state(a, VFIO_USER_STATE_PRE_COPY));
	first = vfio_user_migration_read(a->c, self->stream,
					 sizeof(self->stream));
	EXPECT_EQ(MTTY_HEADER, first);
	/* The end only for now, as often as it is asked. */
	EXPECT_EQ(0, vfio_user_migration_read(a->c, self->stream + first, 1));
	/* The card runs all the while. */
	ASSERT_EQ(0, uart_send(a, 0, " and late"));
	EXPECT_EQ('e', uart_read(a, 0, UART_RX));

	ASSERT_EQ(0, set_state(a, VFIO_USER_STATE_STOP_COPY));
	rest = vfio_user_migration_read(a->c, self->stream + first,
					sizeof(self->stream) - first);
	ASSERT_LT(0, rest);
	ASSERT_EQ(0, load(self->b, self->stream, first + rest));
	EXPECT_EQ(13, uart_receive(self->b, 0, self->text,
				   sizeof(self->text)));
	EXPECT_STREQ("arly and late", self->text);
	/* A stream that is read to its end hurts nobody. */
	ASSERT_EQ(0, set_state(a, VFIO_USER_STATE_RUNNING));
	EXPECT_EQ(13, uart_receive(a, 0, self->text, sizeof(self->text)));
}

TEST_F(mtty, rule27_stream_byte_by_byte)
{
	ssize_t len, i;

	ASSERT_EQ(0, uart_send(self->a, 0, "drop by drop"));
	ASSERT_EQ(0, set_state(self->a, VFIO_USER_STATE_STOP_COPY));
	for (len = 0; vfio_user_migration_read(self->a->c, self->stream + len,
					       1) == 1; len++)
		ASSERT_GT(sizeof(self->stream), len + 1);
	ASSERT_EQ(0, set_state(self->b, VFIO_USER_STATE_RESUMING));
	for (i = 0; i < len; i++)
		ASSERT_EQ(0, vfio_user_migration_write(self->b->c,
						       self->stream + i, 1));
	ASSERT_EQ(0, set_state(self->b, VFIO_USER_STATE_RUNNING));
	EXPECT_EQ(12, uart_receive(self->b, 0, self->text,
				   sizeof(self->text)));
	EXPECT_STREQ("drop by drop", self->text);
}

TEST_F(mtty, rule27_bad_streams_are_refused_and_a_reset_recovers)
{
	struct card *b = self->b;
	ssize_t len;

	ASSERT_EQ(0, uart_send(self->a, 0, "whole"));
	len = save(self->a, self->stream, sizeof(self->stream));
	ASSERT_LT(MTTY_HEADER, len);

	/* One byte less, one byte more, another magic. */
	EXPECT_EQ(-EINVAL, load(b, self->stream, len - 1));
	EXPECT_EQ(VFIO_USER_STATE_RESUMING, state_of(b));
	ASSERT_EQ(0, vfio_user_reset(b->c));
	EXPECT_EQ(VFIO_USER_STATE_RUNNING, state_of(b));
	EXPECT_EQ(-EINVAL, vfio_user_migration_write(b->c, self->stream, 1));
	EXPECT_EQ(-ENOMEM, load(b, self->stream, len + 1));
	ASSERT_EQ(0, vfio_user_reset(b->c));
	self->stream[0] ^= 1;
	EXPECT_EQ(-EFAULT, load(b, self->stream, len));
	ASSERT_EQ(0, vfio_user_reset(b->c));
	self->stream[0] ^= 1;
	EXPECT_EQ(0, load(b, self->stream, len));
	EXPECT_EQ(5, uart_receive(b, 0, self->text, sizeof(self->text)));
}

/* The card logs nothing, but its driver has the interface. */
TEST_F(mtty, rule27_dma_logging)
{
	const uint32_t set = VFIO_USER_FEATURE_SET;
	struct {
		struct vfio_user_feature_logging_start start;
		struct vfio_user_feature_logging_range range;
	} __attribute__((packed)) start = {
		.start = { .page_size = 4096, .num_ranges = 1 },
		.range = { .iova = 0, .length = 1 << 20 },
	}, out;
	struct {
		struct vfio_user_feature_logging_report report;
		uint64_t bitmap[4];
	} __attribute__((packed)) report = {
		.report = { .length = 1 << 20, .page_size = 4096 },
		.bitmap = { 1, 1, 1, 1 },
	};

	ASSERT_EQ(sizeof(out),
		  vfio_user_feature(self->a->c, set |
				    VFIO_USER_FEATURE_DMA_LOGGING_START,
				    &start, sizeof(start), &out, sizeof(out)));
	ASSERT_EQ(sizeof(report),
		  vfio_user_feature(self->a->c, VFIO_USER_FEATURE_GET |
				    VFIO_USER_FEATURE_DMA_LOGGING_REPORT,
				    &report, sizeof(report.report),
				    &report, sizeof(report)));
	EXPECT_EQ(0, report.bitmap[0] | report.bitmap[3]);
	EXPECT_EQ(0, vfio_user_feature(self->a->c, set |
				       VFIO_USER_FEATURE_DMA_LOGGING_STOP,
				       NULL, 0, NULL, 0));
}

/* What becomes of a card between two clients. */
FIXTURE(mtty_kept)
{
	struct pair pair;
	struct card *a;
	struct card *b;
	char text[32];
};

FIXTURE_VARIANT(mtty_kept)
{
	enum vfio_iommu_kind iommu;
	const char *on_disconnect;
};

FIXTURE_VARIANT_ADD(mtty_kept, iommufd_retain)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
	.on_disconnect = "retain",
};

FIXTURE_VARIANT_ADD(mtty_kept, type1_retain)
{
	.iommu = VFIO_IOMMU_TYPE1,
	.on_disconnect = "retain",
};

FIXTURE_VARIANT_ADD(mtty_kept, iommufd_reset)
{
	.iommu = VFIO_IOMMU_IOMMUFD,
};

FIXTURE_VARIANT_ADD(mtty_kept, type1_reset)
{
	.iommu = VFIO_IOMMU_TYPE1,
};

FIXTURE_SETUP(mtty_kept)
{
	const char *why = missing(variant->iommu);

	if (why)
		SKIP(return, "%s", why);
	self->a = &self->pair.cards[0];
	self->b = &self->pair.cards[1];
	ASSERT_EQ(0, pair_open(&self->pair, variant->iommu,
			       variant->on_disconnect));
}

FIXTURE_TEARDOWN(mtty_kept)
{
	EXPECT_EQ(0, pair_close(&self->pair));
}

/*
 * A client that goes in the middle of a migration. The next one finds a card
 * that runs, or with --on-disconnect=retain the card as it was left, but not
 * its stream.
 */
TEST_F(mtty_kept, next_client_finds_what_the_operator_chose)
{
	struct card *a = self->a;
	char byte = 0;

	ASSERT_EQ(0, set_state(a, VFIO_USER_STATE_RESUMING));
	ASSERT_EQ(0, vfio_user_migration_write(a->c, &byte, 1));
	ASSERT_EQ(0, card_reconnect(a));
	EXPECT_EQ(-EINVAL, vfio_user_migration_write(a->c, &byte, 1));
	EXPECT_EQ(variant->on_disconnect ? VFIO_USER_STATE_RESUMING :
		  VFIO_USER_STATE_RUNNING, state_of(a));
	ASSERT_EQ(0, vfio_user_reset(a->c));
	EXPECT_EQ(VFIO_USER_STATE_RUNNING, state_of(a));

	ASSERT_EQ(0, set_state(a, VFIO_USER_STATE_STOP));
	ASSERT_EQ(0, card_reconnect(a));
	EXPECT_EQ(variant->on_disconnect ? VFIO_USER_STATE_STOP :
		  VFIO_USER_STATE_RUNNING, state_of(a));
}

/* Run vfio-user migrate on a card; its exit status. */
static int tool(struct card *card, int program, const char *option,
		const char *file)
{
	char *argv[6] = { "vfio-user", "migrate", card->daemon.socket,
			  (char *)option, (char *)file };
	int status;
	pid_t pid;

	vfio_user_disconnect(card->c);
	card->c = NULL;
	pid = fork();
	if (!pid) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		fexecve(program, argv, environ);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

/* With either choice: the card's reset leaves its buffers as they are. */
TEST_F(mtty_kept, tool_saves_to_a_file_and_loads_from_it)
{
	char file[64];
	struct stat st;

	snprintf(file, sizeof(file), "%s/state", self->pair.dir);
	ASSERT_EQ(0, uart_send(self->a, 0, "by way of file"));
	EXPECT_EQ(0, tool(self->a, self->pair.tool, "--save", file));
	ASSERT_EQ(0, stat(file, &st));
	EXPECT_LT(MTTY_HEADER, st.st_size);
	EXPECT_EQ(0600, st.st_mode & 07777);
	EXPECT_EQ(0, tool(self->a, self->pair.tool, "--info", NULL));
	EXPECT_EQ(0, tool(self->b, self->pair.tool, "--load", file));
	ASSERT_EQ(0, card_connect(self->b));
	EXPECT_EQ(VFIO_USER_STATE_RUNNING, state_of(self->b));
	EXPECT_EQ(14, uart_receive(self->b, 0, self->text,
				   sizeof(self->text)));
	EXPECT_STREQ("by way of file", self->text);

	/* Cut, it is refused, and the card runs again. */
	ASSERT_EQ(0, truncate(file, st.st_size - 1));
	EXPECT_EQ(1, tool(self->b, self->pair.tool, "--load", file));
	ASSERT_EQ(0, card_connect(self->b));
	EXPECT_EQ(VFIO_USER_STATE_RUNNING, state_of(self->b));
	EXPECT_EQ(0, unlink(file));
}

/* The file of before is replaced by a whole one or not at all. */
TEST_F(mtty_kept, tool_replaces_a_file_when_it_has_all)
{
	struct stat before, after;
	char file[64];
	int fd;

	snprintf(file, sizeof(file), "%s/state", self->pair.dir);
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_EQ(4, write(fd, "kept", 4));
	close(fd);
	ASSERT_EQ(0, stat(file, &before));
	/* Can't be saved like this, and is still like this if it is kept. */
	ASSERT_EQ(0, set_state(self->a, VFIO_USER_STATE_RESUMING));
	if (variant->on_disconnect) {
		EXPECT_EQ(1, tool(self->a, self->pair.tool, "--save", file));
		ASSERT_EQ(0, stat(file, &after));
		EXPECT_EQ(before.st_ino, after.st_ino);
		EXPECT_EQ(4, after.st_size);
		ASSERT_EQ(0, card_connect(self->a));
		ASSERT_EQ(0, vfio_user_reset(self->a->c));
	}
	EXPECT_EQ(0, tool(self->a, self->pair.tool, "--save", file));
	ASSERT_EQ(0, stat(file, &after));
	EXPECT_LT(MTTY_HEADER, after.st_size);
	EXPECT_EQ(0, unlink(file));
}

TEST_HARNESS_MAIN
