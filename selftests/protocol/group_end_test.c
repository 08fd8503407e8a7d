// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of the client that has an IOMMU group: what it may have left must not
 * become another's, whoever comes, or is about to do something, just then.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"
#include "pair.h"
#include "util.h"

#include "kselftest_harness.h"

#define SIZE		0x10000
#define IOVA		0x100000

/* Nobody. */
#define OTHER_UID	65534

#define DEVICE_C	"0000:01:02.0"

/* As long as somebody waits who mustn't go on, for what it is worth. */
#define SILENCE_MS	100
/* What is documented are 10 seconds. */
#define PATIENCE_MS	20000

static const char *const no_args[] = { NULL };
static const char *const retain[] = { "--on-disconnect=retain", NULL };

static const struct fake_call_entry any_close = { .call = FAKE_CLOSE };
static const struct fake_call_entry any_read = { .call = FAKE_PREAD };
static const struct fake_call_entry set_irqs = {
	.call = FAKE_IOCTL,
	.kind = FAKE_DEVICE,
	.request = VFIO_DEVICE_SET_IRQS,
};

FIXTURE(end)
{
	struct pair pair;
	struct fake_config config;
	struct peer *a;
	struct peer *b;
	int memory;
	int foreign;	/* memory of another client's */
};

FIXTURE_VARIANT(end)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(end, map_file)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(end, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(end)
{
	pair_init(&self->pair);
	pair_config(&self->config, variant->way);
	self->a = &self->pair.a;
	self->b = &self->pair.b;
	self->memory = peer_memory(SIZE);
	self->foreign = peer_memory(SIZE);
	ASSERT_LE(0, self->memory);
	ASSERT_LE(0, self->foreign);
}

FIXTURE_TEARDOWN(end)
{
	if (self->a->root.control)
		fake_rules_clear(&self->a->root);
	EXPECT_EQ(0, pair_close(&self->pair));
	close(self->memory);
	close(self->foreign);
}

/* Start the daemon, and greet both. */
static int start(struct pair *pair, const struct fake_config *config,
		 const char *const args[])
{
	int ret = pair_start(pair, config, args);

	if (ret)
		return ret;
	ret = peer_connect(&pair->a);
	return ret ? ret : peer_connect(&pair->b);
}

static int map(const struct peer *peer, uint64_t iova, int fd)
{
	return wire_map(peer->sock, iova, SIZE, PEER_RW, fd, 0);
}

/* Send a command, and don't wait for what comes of it. */
static int send_version(struct peer *peer)
{
	const struct vfio_user_version version = {
		.major = VFIO_USER_MAJOR,
		.minor = VFIO_USER_MINOR,
	};

	close_fd(&peer->sock);
	peer->sock = wire_connect(peer->daemon.socket);
	return wire_command(peer->sock, 1, VFIO_USER_VERSION, &version,
			    sizeof(version), NULL, 0);
}

static int send_map(const struct peer *peer, uint64_t iova, int fd)
{
	const struct vfio_user_dma_map request = {
		.argsz = sizeof(request),
		.flags = PEER_RW,
		.address = iova,
		.size = SIZE,
	};

	return wire_command(peer->sock, 1, VFIO_USER_DMA_MAP, &request,
			    sizeof(request), &fd, 1);
}

static int send_read(const struct peer *peer)
{
	const struct vfio_user_region_access request = {
		.region = PEER_BAR0,
		.count = 8,
	};

	return wire_command(peer->sock, 1, VFIO_USER_REGION_READ, &request,
			    sizeof(request), NULL, 0);
}

static int expect(const struct peer *peer, uint16_t command)
{
	struct wire_reply r;

	return wire_expect(peer->sock, 1, command, &r);
}

/* It waits for something that the test holds. */
static bool waits(const struct peer *peer)
{
	peer_pause(SILENCE_MS);
	return wire_quiet(peer->sock);
}

/* Nobody is in its way, and the device does what it is told. */
static bool has_the_group(const struct peer *peer, uint64_t iova, int fd)
{
	return !map(peer, iova, fd) &&
	       peer_dma(peer, iova, iova + 64, 64) == FAKE_DMA_DONE;
}

/* The next time that the kernel is to unmap something, it doesn't. */
static void fail_unmap(struct peer *peer, enum peer_way way, unsigned int slot,
		       uint32_t delay_ms)
{
	bool type1 = way == PEER_TYPE1;
	const struct fake_rule rule = {
		.call = FAKE_IOCTL,
		.kind = type1 ? FAKE_CONTAINER : FAKE_IOMMUFD,
		.request = type1 ? VFIO_IOMMU_UNMAP_DMA : ABI_IOMMU_IOAS_UNMAP,
		.nth = 1,
		.err = EIO,
		.delay_ms = delay_ms,
		.stubborn = true,
	};

	fake_rule_set(&peer->root, slot, &rule);
}

/* How many maps the kernel was asked for. */
static uint64_t nr_maps_made(const struct peer *peer, enum peer_way way)
{
	return way == PEER_TYPE1 ?
	       *peer_ioctls(peer, FAKE_CONTAINER, VFIO_IOMMU_MAP_DMA) :
	       *peer_ioctls(peer, FAKE_IOMMUFD, ABI_IOMMU_IOAS_MAP_FILE);
}

/*
 * The last of a client has gone with an fd, and another's session is being ended:
 * who comes now doesn't get in beside that.
 */
TEST_F(end, newcomer_while_the_others_are_ended)
{
	struct wire_reply r;

	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, wire_region_info(self->a->sock, PEER_BAR0, 4096, &r));
	ASSERT_EQ(1, r.nr_fds);
	/* The first is that of the client's own device. */
	peer_hold(self->a, &any_close, 2);
	close_fd(&self->a->sock);
	ASSERT_TRUE(peer_wait_held(self->a, 2));
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	wire_close_fds(&r);

	ASSERT_EQ(0, send_version(self->a));
	EXPECT_TRUE(waits(self->a));
	fake_rules_clear(&self->a->root);
	EXPECT_EQ(0, expect(self->a, VFIO_USER_VERSION));
	EXPECT_TRUE(has_the_group(self->a, IOVA, self->foreign));
}

/* The same if the fd is still there: it is the kernel then that refuses. */
TEST_F(end, newcomer_while_the_fd_is_kept)
{
	struct wire_reply r;

	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, wire_region_info(self->a->sock, PEER_BAR0, 4096, &r));
	ASSERT_EQ(1, r.nr_fds);
	peer_hold(self->a, &any_close, 2);
	close_fd(&self->a->sock);
	ASSERT_TRUE(peer_wait_held(self->a, 2));
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));

	ASSERT_EQ(0, send_version(self->a));
	EXPECT_TRUE(waits(self->a));
	fake_rules_clear(&self->a->root);
	EXPECT_EQ(EBUSY, expect(self->a, VFIO_USER_VERSION));
	wire_close_fds(&r);
}

/* What a map has waited for isn't there any more: it is too late for it. */
TEST_F(end, map_that_waits_when_the_client_goes)
{
	struct wire_reply r;
	uint64_t made;

	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	ASSERT_EQ(0, wire_region_info(self->a->sock, PEER_BAR0, 4096, &r));
	ASSERT_EQ(1, r.nr_fds);
	made = nr_maps_made(self->a, variant->way);
	ASSERT_EQ(0, send_map(self->b, IOVA + SIZE, self->foreign));
	EXPECT_TRUE(waits(self->b));
	close_fd(&self->a->sock);
	EXPECT_TRUE(wire_closed(self->b->sock));
	ASSERT_EQ(0, peer_wait_idle(self->a));
	EXPECT_EQ(made, nr_maps_made(self->a, variant->way));
	wire_close_fds(&r);
}

/* An fd that a client had keeps the group only as long as that is open. */
TEST_F(end, fd_of_an_earlier_client)
{
	struct wire_reply r;

	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, wire_region_info(self->a->sock, PEER_BAR0, 4096, &r));
	ASSERT_EQ(1, r.nr_fds);
	wire_close_fds(&r);
	close_fd(&self->b->sock);
	ASSERT_EQ(0, peer_hang_up(self->a));

	ASSERT_EQ(0, peer_connect(self->a));
	ASSERT_EQ(0, peer_connect(self->b));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	/* Nor does one that somebody would have liked to have. */
	ASSERT_EQ(0, wire_region_info(self->b->sock, PEER_BAR0, 4096, &r));
	ASSERT_EQ(0, r.nr_fds);
	close_fd(&self->a->sock);
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	EXPECT_TRUE(has_the_group(self->b, IOVA, self->foreign));
}

/* One that had nothing to keep is closed; its session is over already. */
TEST_F(end, others_are_ended_while_one_is_closed)
{
	struct fake_control *control;
	struct wire_reply r;

	ASSERT_EQ(0, start(&self->pair, &self->config, retain));
	control = self->a->root.control;
	ASSERT_EQ(0, wire_region_info(self->a->sock, PEER_BAR0, 4096, &r));
	ASSERT_EQ(1, r.nr_fds);
	peer_hold(self->b, &any_close, 1);
	close_fd(&self->b->sock);
	ASSERT_TRUE(peer_wait_held(self->b, 1));
	/* What doesn't answer isn't retained. */
	control->config.gone = true;
	close_fd(&self->a->sock);
	ASSERT_TRUE(peer_wait_log(self->a, "client pid"));
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	control->config.gone = false;
	wire_close_fds(&r);
	fake_rules_clear(&self->a->root);
	ASSERT_EQ(0, peer_wait_idle(self->a));
	ASSERT_EQ(0, peer_connect(self->a));
	EXPECT_TRUE(has_the_group(self->a, IOVA, self->foreign));
}

/* Nobody knows what the devices reach until the last has been closed. */
TEST_F(end, newcomer_while_not_all_is_unmapped)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	peer_hold(self->b, &any_read, 1);
	ASSERT_EQ(0, send_read(self->b));
	ASSERT_TRUE(peer_wait_held(self->b, 1));
	fail_unmap(self->a, variant->way, 1, 0);
	EXPECT_EQ(EIO, wire_unmap(self->a->sock, IOVA, SIZE, 0));
	EXPECT_TRUE(wire_closed(self->a->sock));
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));

	ASSERT_EQ(0, send_version(self->a));
	EXPECT_TRUE(waits(self->a));
	fake_rules_clear(&self->a->root);
	EXPECT_EQ(0, expect(self->a, VFIO_USER_VERSION));
	EXPECT_TRUE(has_the_group(self->a, IOVA, self->foreign));
}

TEST_F(end, map_that_waits_when_not_all_is_unmapped)
{
	uint64_t made;

	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	made = nr_maps_made(self->a, variant->way);
	ASSERT_EQ(0, send_map(self->b, IOVA + SIZE, self->foreign));
	EXPECT_TRUE(waits(self->b));
	fail_unmap(self->a, variant->way, 0, 0);
	EXPECT_EQ(EIO, wire_unmap(self->a->sock, IOVA, SIZE, 0));
	EXPECT_TRUE(wire_closed(self->b->sock));
	ASSERT_EQ(0, peer_wait_idle(self->a));
	EXPECT_EQ(made, nr_maps_made(self->a, variant->way));
}

/*
 * Its client has taken it back, and waits for the group's other session to be
 * gone; that leaves more than it should. So both are closed, and then all is well.
 */
TEST_F(end, taken_back_while_not_all_is_unmapped)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, retain));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	ASSERT_EQ(0, map(self->b, IOVA, self->memory));
	close_fd(&self->a->sock);
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	fail_unmap(self->b, variant->way, 0, FAKE_HOLD);
	close_fd(&self->b->sock);
	ASSERT_TRUE(peer_wait_held(self->b, 1));
	ASSERT_EQ(0, send_version(self->a));
	EXPECT_TRUE(waits(self->a));
	fake_rules_clear(&self->a->root);
	EXPECT_EQ(EBUSY, expect(self->a, VFIO_USER_VERSION));
	EXPECT_TRUE(peer_log_has(self->a, "memory was not unmapped"));
	ASSERT_EQ(0, peer_hang_up(self->a));
	EXPECT_EQ(0, self->a->root.control->nr_maps);
	EXPECT_EQ(0, pair_as(self->b, OTHER_UID));
}

/* How often the interrupts of a device are set when its session ends. */
static unsigned int nr_sets_at_the_end(struct peer *peer, const char *device)
{
	const uint64_t *sets = peer_ioctls(peer, FAKE_DEVICE,
					   VFIO_DEVICE_SET_IRQS);
	uint64_t before = *sets;

	close_fd(&peer->sock);
	return pair_wait_left(peer, device) ? 0 : *sets - before;
}

/* The last thing before it is retained is to have the kernel ask for it. */
TEST_F(end, retained_while_not_all_is_unmapped)
{
	unsigned int nr;

	ASSERT_EQ(0, start(&self->pair, &self->config, retain));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	ASSERT_EQ(0, map(self->b, IOVA, self->memory));
	nr = nr_sets_at_the_end(self->b, PAIR_DEVICE_B);
	ASSERT_LT(0, nr);
	ASSERT_EQ(0, peer_connect(self->b));
	ASSERT_EQ(0, map(self->b, IOVA, self->memory));

	peer_hold(self->b, &set_irqs, nr);
	close_fd(&self->b->sock);
	ASSERT_TRUE(peer_wait_held(self->b, nr));
	fail_unmap(self->a, variant->way, 1, 0);
	EXPECT_EQ(EIO, wire_unmap(self->a->sock, IOVA, SIZE, 0));
	EXPECT_TRUE(wire_closed(self->a->sock));
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	fake_rules_clear(&self->b->root);
	ASSERT_EQ(0, peer_wait_idle(self->a));
	EXPECT_EQ(0, pair_as(self->b, OTHER_UID));
}

/* Of a device that its session had no power over there is nothing to keep. */
TEST_F(end, what_has_shown_nothing_is_not_retained)
{
	uint64_t enables;

	ASSERT_EQ(0, start(&self->pair, &self->config, retain));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	enables = self->a->root.control->enables;
	close_fd(&self->b->sock);
	ASSERT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_B));
	ASSERT_EQ(0, peer_connect(self->b));
	EXPECT_EQ(enables + 1, self->a->root.control->enables);
	EXPECT_EQ(EACCES, peer_put64(self->b, FAKE_REG_SCRATCH, 1));

	/* With the other, there is. */
	ASSERT_EQ(0, map(self->b, IOVA, self->memory));
	close_fd(&self->b->sock);
	ASSERT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_B));
	ASSERT_EQ(0, peer_connect(self->b));
	EXPECT_EQ(enables + 1, self->a->root.control->enables);
	EXPECT_EQ(0, peer_put64(self->b, FAKE_REG_SCRATCH, 1));
}

/* It is in the way on the other socket as well, until the kernel has it back. */
TEST_F(end, retained_device_of_another_user)
{
	ASSERT_EQ(0, pair_start(&self->pair, &self->config, retain));
	ASSERT_EQ(0, peer_connect(self->a));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	close_fd(&self->a->sock);
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	EXPECT_EQ(EBUSY, pair_as(self->b, OTHER_UID));
	EXPECT_TRUE(peer_log_has(self->a, "it is another user's (it shares IOMMU group 7 with "
				 PAIR_DEVICE_A ", which is retained for"));
	ASSERT_EQ(1, fake_irq_raise(self->a->root.control, PEER_REQ, 0));
	ASSERT_EQ(0, peer_wait_idle(self->a));
	EXPECT_EQ(0, pair_as(self->b, OTHER_UID));
}

/* Who got no device has no place in the group either. */
TEST_F(end, device_that_can_not_be_opened)
{
	static const struct fake_call_entry calls[2][2] = {
		{
			{ FAKE_IOCTL, FAKE_DEVICE,
			  ABI_VFIO_DEVICE_BIND_IOMMUFD },
			{ FAKE_IOCTL, FAKE_IOMMUFD,
			  ABI_IOMMU_IOAS_IOVA_RANGES },
		}, {
			{ FAKE_IOCTL, FAKE_GROUP, VFIO_GROUP_GET_DEVICE_FD },
			{ FAKE_IOCTL, FAKE_CONTAINER, VFIO_IOMMU_GET_INFO },
		},
	};
	const struct fake_call_entry *call;
	unsigned int i;

	ASSERT_EQ(0, pair_start(&self->pair, &self->config, no_args));
	for (i = 0; i < ARRAY_SIZE(calls[0]); i++) {
		call = &calls[variant->way == PEER_TYPE1][i];
		fake_fail_ioctl(&self->a->root, call->kind, call->request, EIO);
		EXPECT_EQ(EIO, peer_connect(self->a));
		EXPECT_EQ(0, peer_hang_up(self->a));
		EXPECT_EQ(0, pair_as(self->b, OTHER_UID));
		ASSERT_EQ(0, peer_wait_idle(self->a));
	}
}

/* It leaves nothing that a client would have to wait for. */
TEST_F(end, who_has_shown_nothing_delays_nobody)
{
	ASSERT_EQ(0, start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	peer_hold(self->b, &any_close, 1);
	close_fd(&self->b->sock);
	ASSERT_TRUE(peer_wait_held(self->b, 1));
	close_fd(&self->a->sock);
	ASSERT_EQ(0, pair_wait_left(self->b, PAIR_DEVICE_A));
	ASSERT_EQ(0, peer_connect(self->a));
	EXPECT_TRUE(has_the_group(self->a, IOVA, self->memory));
}

/* Nothing in the way of another uid is left when a client gives up waiting. */
TEST_F(end, who_waits_can_go)
{
	ASSERT_EQ(0, pair_start(&self->pair, &self->config, no_args));
	ASSERT_EQ(0, peer_connect(self->a));
	ASSERT_EQ(0, map(self->a, IOVA, self->memory));
	peer_hold(self->a, &any_close, 1);
	close_fd(&self->a->sock);
	ASSERT_TRUE(peer_wait_held(self->a, 1));
	ASSERT_EQ(0, send_version(self->b));
	EXPECT_TRUE(waits(self->b));
	close_fd(&self->b->sock);
	EXPECT_EQ(0, pair_wait_left(self->a, PAIR_DEVICE_B));
	fake_rules_clear(&self->a->root);
	ASSERT_EQ(0, peer_wait_idle(self->a));
	EXPECT_EQ(0, pair_as(self->b, OTHER_UID));
}

/* Who doesn't go in time isn't waited for any longer, and still has the group. */
TEST(session_that_does_not_end)
{
	int memory = peer_memory(SIZE);
	struct pollfd wait = { .events = POLLIN };
	struct pair pair;

	pair_init(&pair);
	ASSERT_EQ(0, pair_open(&pair, PEER_MAP_FILE));
	ASSERT_EQ(0, map(&pair.a, IOVA, memory));
	close_fd(&pair.b.sock);
	ASSERT_EQ(0, pair_wait_left(&pair.a, PAIR_DEVICE_B));
	peer_hold(&pair.a, &any_close, 1);
	close_fd(&pair.a.sock);
	ASSERT_TRUE(peer_wait_held(&pair.a, 1));
	ASSERT_EQ(0, send_version(&pair.b));
	wait.fd = pair.b.sock;
	EXPECT_EQ(1, poll(&wait, 1, PATIENCE_MS));
	EXPECT_EQ(0, expect(&pair.b, VFIO_USER_VERSION));
	EXPECT_EQ(EACCES, peer_put64(&pair.b, FAKE_REG_SCRATCH, 1));
	fake_rules_clear(&pair.a.root);
	ASSERT_EQ(0, pair_wait_left(&pair.b, PAIR_DEVICE_A));
	EXPECT_TRUE(has_the_group(&pair.b, IOVA, memory));
	EXPECT_EQ(0, pair_close(&pair));
	close(memory);
}

/* All of a group share one address space, however many there are. */
TEST(three_devices)
{
	char device[64] = "--device=" DEVICE_C, socket[160];
	const char *const args[] = { device, socket, NULL };
	int memory = peer_memory(SIZE);
	struct fake_config config;
	struct pair pair;
	struct peer c;

	pair_init(&pair);
	pair_config(&config, PEER_MAP_FILE);
	config.more[config.nr_more++] = (struct fake_more){
		.name = DEVICE_C,
		.group = config.group,
		.cdev = config.cdev + 2,
	};
	ASSERT_EQ(0, peer_machine(&pair.a, &config));
	snprintf(socket, sizeof(socket), "--socket-path=%s/c",
		 pair.a.root.path);
	ASSERT_EQ(0, pair_spawn(&pair, PAIR_DEVICE_B, args));
	EXPECT_EQ(2, peer_log_count(&pair.a, "shares IOMMU group 7 with "
				    PAIR_DEVICE_A));
	c = pair.b;
	snprintf(pair.b.daemon.socket, sizeof(pair.b.daemon.socket), "%s/b",
		 pair.a.root.path);

	/* Of any two, one is in the way of the other. */
	ASSERT_EQ(0, peer_connect(&pair.b));
	ASSERT_EQ(0, map(&pair.b, IOVA, memory));
	EXPECT_EQ(EBUSY, pair_as(&c, OTHER_UID));
	EXPECT_EQ(EBUSY, pair_as(&pair.a, OTHER_UID));
	ASSERT_EQ(0, peer_connect(&c));
	EXPECT_EQ(EACCES, peer_put64(&c, FAKE_REG_SCRATCH, 1));
	EXPECT_TRUE(has_the_group(&c, IOVA, memory));
	EXPECT_EQ(1, c.root.control->nr_maps);
	close_fd(&c.sock);
	EXPECT_EQ(0, pair_close(&pair));
	close(memory);
}

TEST_HARNESS_MAIN
