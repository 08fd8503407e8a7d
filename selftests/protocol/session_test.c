// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sessions: who gets one, how it ends, what is left of it, and what becomes of
 * the device. In which order things happen is seen in the fake's log of calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/iommufd.h"
#include "peer.h"
#include "util.h"

#include "kselftest_harness.h"

#define PAGE		0x1000ull

/* The sanitizers make them slow, and see by themselves what is lost. */
#ifdef __SANITIZE_ADDRESS__
#define NR_SESSIONS	100
/* Its own records grow with each thread; it looks for leaks itself, at the end. */
#define RSS_SLACK	(16 * 1024 * 1024)
#else
#define NR_SESSIONS	1000
/* A leak of 1 KiB a session would be 1 MiB in the end. */
#define RSS_SLACK	900000
#endif

/* A machine, nothing started yet, and what a client needs. */
struct setting {
	struct peer peer;
	struct fake_config config;
	struct fake_control *control;
	struct wire_reply r;
	int memory;
	int fds[8];
};

FIXTURE(session)
{
	struct setting setting;
};

FIXTURE_VARIANT(session)
{
	enum peer_way way;
};

FIXTURE_VARIANT_ADD(session, iommufd)
{
	.way = PEER_MAP_FILE,
};

FIXTURE_VARIANT_ADD(session, type1)
{
	.way = PEER_TYPE1,
};

FIXTURE_SETUP(session)
{
	struct setting *s = &self->setting;
	unsigned int i;

	peer_init(&s->peer);
	peer_config(&s->config, variant->way);
	s->memory = peer_memory(16 * PAGE);
	for (i = 0; i < ARRAY_SIZE(s->fds); i++)
		s->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, s->fds[7]);
}

FIXTURE_TEARDOWN(session)
{
	struct setting *s = &self->setting;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(s->fds); i++)
		close(s->fds[i]);
	close(s->memory);
	EXPECT_EQ(0, peer_close(&s->peer));
}

static int start(struct setting *s, const char *option)
{
	int ret = peer_start(&s->peer, &s->config, option);

	s->control = s->peer.root.control;
	return ret ? ret : peer_connect(&s->peer);
}

/* Set up all that a session can have; 0 if that worked. */
static int set_up(struct setting *s)
{
	const struct peer *peer = &s->peer;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < 3 && !ret; i++)
		ret = wire_map(peer->sock, i * PAGE, PAGE, PEER_RW,
			       s->memory, i * PAGE);
	if (!ret)
		ret = wire_map(peer->sock, 8 * PAGE, PAGE, PEER_RW, -1, 0);
	if (!ret)
		ret = wire_set_irqs(peer->sock,
				    VFIO_USER_IRQ_SET_DATA_EVENTFD |
				    VFIO_USER_IRQ_SET_ACTION_TRIGGER,
				    PEER_MSIX, 0, 8, NULL, 0, s->fds, 8);
	if (!ret)
		ret = peer_put64(peer, FAKE_REG_SCRATCH, 0x5ec2e7);
	/* Turns bus mastering on. */
	if (!ret && peer_dma(peer, 0, PAGE, 8) != FAKE_DMA_DONE)
		ret = -EIO;
	return ret;
}

static bool is_all_gone(const struct fake_control *control)
{
	return !control->nr_maps && !control->mapped &&
	       control->irq.index == FAKE_NO_INDEX && !control->hidden_fds;
}

/* The last thing written to the command register. */
static uint64_t last_command(const struct peer *peer)
{
	const struct fake_access *access;
	unsigned int back = 0;

	while ((access = fake_last_access(&peer->root, back++))) {
		if (access->write && access->index == PEER_CONFIG &&
		    access->offset == PCI_COMMAND)
			return access->value;
	}
	return UINT64_MAX;
}

TEST_F(session, second_client_is_told_ebusy)
{
	struct setting *s = &self->setting;
	struct vfio_user_device_info info;
	char refused[64];
	int sock;

	ASSERT_EQ(0, start(s, NULL));
	sock = wire_connect(s->peer.daemon.socket);
	EXPECT_EQ(EBUSY, wire_version(sock, NULL, &s->r));
	EXPECT_TRUE(wire_closed(sock));
	close(sock);
	snprintf(refused, sizeof(refused), "refused client pid %d of uid %d",
		 getpid(), getuid());
	EXPECT_TRUE(peer_log_has(&s->peer, refused));
	EXPECT_EQ(0, wire_info(s->peer.sock, &info));
}

TEST_F(session, each_of_many_second_clients_is_told_ebusy)
{
	struct setting *s = &self->setting;
	struct vfio_user_device_info info;
	int socks[12], i;

	ASSERT_EQ(0, start(s, NULL));
	for (i = 0; i < ARRAY_SIZE(socks); i++)
		socks[i] = wire_connect(s->peer.daemon.socket);
	for (i = ARRAY_SIZE(socks) - 1; i >= 0; i--) {
		EXPECT_EQ(EBUSY, wire_version(socks[i], "{}", &s->r));
		EXPECT_TRUE(wire_closed(socks[i]));
		close(socks[i]);
	}
	EXPECT_EQ(0, wire_info(s->peer.sock, &info));
}

/* More of them than the daemon lets wait, and none says anything. */
TEST_F(session, silent_second_clients_are_in_nobodys_way)
{
	struct setting *s = &self->setting;
	struct vfio_user_device_info info;
	int socks[40], sock;
	unsigned int i;

	ASSERT_EQ(0, start(s, NULL));
	for (i = 0; i < ARRAY_SIZE(socks); i++)
		socks[i] = wire_connect(s->peer.daemon.socket);
	sock = wire_connect(s->peer.daemon.socket);
	EXPECT_EQ(EBUSY, wire_version(sock, NULL, &s->r));
	EXPECT_EQ(0, wire_info(s->peer.sock, &info));
	EXPECT_GE(17, peer_nr_fds(&s->peer));
	close(sock);
	for (i = 0; i < ARRAY_SIZE(socks); i++)
		close(socks[i]);
	/* The device becomes free all the same. */
	close_fd(&s->peer.sock);
	EXPECT_EQ(0, peer_wait_idle(&s->peer));
	EXPECT_EQ(0, peer_connect(&s->peer));
}

TEST_F(session, refusals_and_sessions_are_counted)
{
	struct setting *s = &self->setting;
	json_t *status;
	int sock;

	ASSERT_EQ(0, start(s, NULL));
	sock = wire_connect(s->peer.daemon.socket);
	EXPECT_EQ(EBUSY, wire_version(sock, NULL, &s->r));
	close(sock);
	status = peer_status(&s->peer);
	EXPECT_EQ(1, json_integer_value(json_object_get(status, "refused")));
	EXPECT_EQ(1, json_integer_value(json_object_get(status, "sessions")));
	json_decref(status);
}

/* Not even the time for the daemon to notice. */
TEST_F(session, next_client_may_come_at_once)
{
	struct setting *s = &self->setting;
	unsigned int i;

	ASSERT_EQ(0, start(s, NULL));
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, wire_map(s->peer.sock, 0, PAGE, PEER_RW,
				      s->memory, 0));
		close_fd(&s->peer.sock);
		ASSERT_EQ(0, peer_connect(&s->peer));
	}
}

TEST_F(session, nothing_is_left_when_the_client_hangs_up)
{
	struct setting *s = &self->setting;

	ASSERT_EQ(0, start(s, NULL));
	ASSERT_EQ(0, set_up(s));
	EXPECT_EQ(3, s->control->nr_maps);
	EXPECT_EQ(0, peer_hang_up(&s->peer));
	EXPECT_TRUE(is_all_gone(s->control));
}

TEST_F(session, nothing_is_left_after_a_protocol_error)
{
	struct setting *s = &self->setting;
	static const char junk[64] = "what is this?";

	ASSERT_EQ(0, start(s, NULL));
	ASSERT_EQ(0, set_up(s));
	ASSERT_EQ(0, wire_send(s->peer.sock, junk, sizeof(junk), NULL, 0));
	EXPECT_EQ(0, peer_wait_idle(&s->peer));
	EXPECT_TRUE(is_all_gone(s->control));
	EXPECT_EQ(0, peer_hang_up(&s->peer));
}

TEST_F(session, nothing_is_left_when_the_client_is_killed)
{
	struct setting *s = &self->setting;
	pid_t child;
	int status;

	ASSERT_EQ(0, start(s, NULL));
	ASSERT_EQ(0, peer_hang_up(&s->peer));
	child = fork();
	if (!child) {
		if (!peer_connect(&s->peer) && !set_up(s))
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(0, peer_wait_idle(&s->peer));
	EXPECT_TRUE(is_all_gone(s->control));
	EXPECT_EQ(0, peer_connect(&s->peer));
}

/* The kernel fails at everything that the end of a session asks of it. */
TEST_F(session, nothing_is_left_when_the_end_fails)
{
	struct setting *s = &self->setting;
	struct fake_rule rule = { .call = FAKE_IOCTL, .err = EIO };

	ASSERT_EQ(0, start(s, NULL));
	ASSERT_EQ(0, set_up(s));
	rule.kind = FAKE_DEVICE;
	rule.request = VFIO_DEVICE_SET_IRQS;
	fake_rule_set(&s->peer.root, 0, &rule);
	rule.kind = variant->way == PEER_TYPE1 ? FAKE_CONTAINER : FAKE_IOMMUFD;
	rule.request = variant->way == PEER_TYPE1 ? VFIO_IOMMU_UNMAP_DMA :
						    ABI_IOMMU_IOAS_UNMAP;
	fake_rule_set(&s->peer.root, 1, &rule);
	rule.call = FAKE_PWRITE;
	fake_rule_set(&s->peer.root, 2, &rule);
	EXPECT_EQ(0, peer_hang_up(&s->peer));
	EXPECT_TRUE(is_all_gone(s->control));
	fake_rules_clear(&s->peer.root);
	EXPECT_EQ(0, peer_connect(&s->peer));
}

/* The number of the first or of the last such call since call @from. */
static uint64_t find_call(const struct fake_control *control, uint64_t from,
			  enum fake_call call, unsigned long request, bool last)
{
	uint64_t found = UINT64_MAX, n;

	for (n = from; n < control->nr_logged; n++) {
		const struct fake_call_entry *entry =
			&control->call_log[n % FAKE_CALL_LOG_LEN];

		if (entry->call != call || entry->request != request)
			continue;
		found = n;
		if (!last)
			break;
	}
	return found;
}

/* Bus mastering off, interrupts off, memory unmapped, fds closed. */
static bool ended_in_order(const struct setting *s, enum peer_way way,
			   uint64_t from)
{
	const unsigned long unmap = way == PEER_TYPE1 ? VFIO_IOMMU_UNMAP_DMA :
							ABI_IOMMU_IOAS_UNMAP;
	const struct fake_control *c = s->control;
	uint64_t irqs, irqs_last, maps, maps_last, master, closed;

	if (c->nr_logged - from > FAKE_CALL_LOG_LEN)
		return false;
	master = find_call(c, from, FAKE_PWRITE, 0, true);
	irqs = find_call(c, from, FAKE_IOCTL, VFIO_DEVICE_SET_IRQS, false);
	irqs_last = find_call(c, from, FAKE_IOCTL, VFIO_DEVICE_SET_IRQS, true);
	maps = find_call(c, from, FAKE_IOCTL, unmap, false);
	maps_last = find_call(c, from, FAKE_IOCTL, unmap, true);
	closed = find_call(c, from, FAKE_CLOSE, 0, false);
	return master < irqs && irqs_last < maps && maps_last < closed &&
	       closed != UINT64_MAX &&
	       !(last_command(&s->peer) & PCI_COMMAND_MASTER);
}

TEST_F(session, end_is_in_order)
{
	struct setting *s = &self->setting;
	uint64_t from;

	ASSERT_EQ(0, start(s, NULL));
	ASSERT_EQ(0, set_up(s));
	ASSERT_NE(0, last_command(&s->peer) & PCI_COMMAND_MASTER);
	from = s->control->nr_logged;
	ASSERT_EQ(0, peer_hang_up(&s->peer));
	EXPECT_TRUE(ended_in_order(s, variant->way, from));
}

TEST_F(session, sigterm_ends_it_in_order)
{
	struct setting *s = &self->setting;
	struct stat st;
	uint64_t from;

	ASSERT_EQ(0, start(s, NULL));
	ASSERT_EQ(0, set_up(s));
	from = s->control->nr_logged;
	EXPECT_EQ(0, fake_daemon_stop(&s->peer.daemon, SIGTERM));
	EXPECT_TRUE(wire_closed(s->peer.sock));
	EXPECT_TRUE(ended_in_order(s, variant->way, from));
	EXPECT_TRUE(is_all_gone(s->control));
	EXPECT_NE(0, stat(s->peer.daemon.socket, &st));
	EXPECT_NE(0, stat(s->peer.monitor, &st));
}

TEST_F(session, sigint_and_sighup_end_it_too)
{
	struct setting *s = &self->setting;

	ASSERT_EQ(0, start(s, NULL));
	EXPECT_EQ(0, fake_daemon_stop(&s->peer.daemon, SIGINT));
	ASSERT_EQ(0, peer_close(&s->peer));
	ASSERT_EQ(0, start(s, NULL));
	EXPECT_EQ(0, fake_daemon_stop(&s->peer.daemon, SIGHUP));
}

/* The client has the BAR mapped, with the fd closed or without a mapping. */
static void *hold_device(struct setting *s, bool mapped, int *fd)
{
	void *bar = NULL;

	*fd = -1;
	if (wire_region_info(s->peer.sock, PEER_BAR0, 4096, &s->r) ||
	    s->r.nr_fds != 1)
		return NULL;
	*fd = s->r.fds[0];
	if (mapped) {
		bar = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, *fd, 0);
		close_fd(fd);
	}
	return bar;
}

TEST_F(session, device_whose_bar_is_mapped_is_held)
{
	struct setting *s = &self->setting;
	char who[64];
	void *bar;
	int fd;

	ASSERT_EQ(0, start(s, NULL));
	bar = hold_device(s, true, &fd);
	ASSERT_NE(NULL, bar);
	ASSERT_NE(MAP_FAILED, bar);
	ASSERT_EQ(0, peer_hang_up(&s->peer));

	EXPECT_EQ(EBUSY, peer_connect(&s->peer));
	EXPECT_TRUE(wire_closed(s->peer.sock));
	snprintf(who, sizeof(who), "last client, pid %d of uid %d", getpid(),
		 getuid());
	EXPECT_TRUE(peer_log_has(&s->peer, who));
	ASSERT_EQ(0, peer_hang_up(&s->peer));

	munmap(bar, PAGE);
	EXPECT_EQ(0, peer_connect(&s->peer));
}

TEST_F(session, device_whose_fd_is_open_is_held)
{
	struct setting *s = &self->setting;
	int fd;

	ASSERT_EQ(0, start(s, NULL));
	hold_device(s, false, &fd);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, peer_hang_up(&s->peer));
	EXPECT_EQ(EBUSY, peer_connect(&s->peer));
	ASSERT_EQ(0, peer_hang_up(&s->peer));
	EXPECT_EQ(EBUSY, peer_connect(&s->peer));
	ASSERT_EQ(0, peer_hang_up(&s->peer));
	close(fd);
	EXPECT_EQ(0, peer_connect(&s->peer));
}

TEST_F(session, without_mmap_nobody_can_hold_the_device)
{
	struct setting *s = &self->setting;

	ASSERT_EQ(0, start(s, "--mmap=off"));
	ASSERT_EQ(0, wire_region_info(s->peer.sock, PEER_BAR0, 4096,
				      &s->r));
	EXPECT_EQ(0, s->r.nr_fds);
	ASSERT_EQ(0, peer_hang_up(&s->peer));
	EXPECT_EQ(0, peer_connect(&s->peer));
}

TEST_F(session, reset_is_what_becomes_of_the_device)
{
	struct setting *s = &self->setting;
	uint64_t enables;

	ASSERT_EQ(0, start(s, NULL));
	ASSERT_EQ(0, set_up(s));
	enables = s->control->enables;
	ASSERT_EQ(0, peer_hang_up(&s->peer));
	ASSERT_EQ(0, peer_connect(&s->peer));
	EXPECT_EQ(enables + 1, s->control->enables);
	EXPECT_EQ(0, peer_get64(&s->peer, FAKE_REG_SCRATCH));
}

TEST_F(session, retained_device_keeps_its_state)
{
	struct setting *s = &self->setting;
	uint64_t enables;

	ASSERT_EQ(0, start(s, "--on-disconnect=retain"));
	ASSERT_EQ(0, set_up(s));
	enables = s->control->enables;
	close_fd(&s->peer.sock);
	ASSERT_EQ(0, peer_connect(&s->peer));
	EXPECT_EQ(enables, s->control->enables);
	EXPECT_EQ(0x5ec2e7, peer_get64(&s->peer, FAKE_REG_SCRATCH));
}

/* Of the session nothing stays; the client sets up again. */
TEST_F(session, retained_device_is_quiet)
{
	struct setting *s = &self->setting;

	ASSERT_EQ(0, start(s, "--on-disconnect=retain"));
	ASSERT_EQ(0, set_up(s));
	close_fd(&s->peer.sock);
	ASSERT_EQ(0, peer_connect(&s->peer));
	EXPECT_EQ(0, s->control->nr_maps);
	EXPECT_EQ(FAKE_NO_INDEX, s->control->irq.index);
	EXPECT_EQ(0, last_command(&s->peer) & PCI_COMMAND_MASTER);
	EXPECT_EQ(0, set_up(s));
}

/* Whether unmapping fails at the session's end or before. */
TEST_F(session, retained_device_that_is_not_unmapped_is_closed)
{
	struct setting *s = &self->setting;
	const bool type1 = variant->way == PEER_TYPE1;
	uint64_t enables;
	int i;

	ASSERT_EQ(0, start(s, "--on-disconnect=retain"));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, set_up(s));
		enables = s->control->enables;
		fake_fail_ioctl(&s->peer.root,
				type1 ? FAKE_CONTAINER : FAKE_IOMMUFD,
				type1 ? VFIO_IOMMU_UNMAP_DMA :
					ABI_IOMMU_IOAS_UNMAP, EIO);
		if (i)
			ASSERT_EQ(EIO, wire_unmap(s->peer.sock, 0, PAGE, 0));
		close_fd(&s->peer.sock);
		ASSERT_EQ(0, peer_connect(&s->peer));
		EXPECT_EQ(enables + 1, s->control->enables);
		EXPECT_EQ(0, s->control->nr_maps);
	}
}

TEST_F(session, retained_device_is_for_the_same_uid)
{
	struct setting *s = &self->setting;
	pid_t child;
	int status;

	if (geteuid())
		SKIP(return, "only root can be somebody else");
	ASSERT_EQ(0, start(s, "--on-disconnect=retain"));
	ASSERT_EQ(0, chmod(s->peer.daemon.socket, 0666));
	close_fd(&s->peer.sock);
	child = fork();
	if (!child) {
		if (setresuid(65534, 65534, 65534))
			_exit(1);
		_exit(peer_connect(&s->peer) == EBUSY ? 0 : 2);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(peer_log_has(&s->peer,
				 "retained for uid 0: refusing uid 65534"));
	EXPECT_EQ(0, peer_connect(&s->peer));
}

TEST_F(session, exit_ends_the_daemon_with_its_client)
{
	struct setting *s = &self->setting;
	struct stat st;

	ASSERT_EQ(0, start(s, "--on-disconnect=exit"));
	ASSERT_EQ(0, set_up(s));
	close_fd(&s->peer.sock);
	EXPECT_EQ(0, fake_daemon_wait(&s->peer.daemon, 10000));
	EXPECT_TRUE(is_all_gone(s->control));
	EXPECT_NE(0, stat(s->peer.daemon.socket, &st));
}

/* A client that is refused isn't the daemon's client. */
TEST_F(session, exit_does_not_end_the_daemon_with_another)
{
	struct setting *s = &self->setting;
	struct vfio_user_device_info info;
	int sock;

	ASSERT_EQ(0, start(s, "--on-disconnect=exit"));
	sock = wire_connect(s->peer.daemon.socket);
	EXPECT_EQ(EBUSY, wire_version(sock, NULL, &s->r));
	close(sock);
	EXPECT_EQ(0, wire_info(s->peer.sock, &info));
	close_fd(&s->peer.sock);
	EXPECT_EQ(0, fake_daemon_wait(&s->peer.daemon, 10000));
}

/* Start with --fd= of a socket that the daemon inherits. */
static int start_with_fd(struct setting *s, int fd)
{
	char option[32];
	const char *const args[] = { option, NULL };
	int ret;

	snprintf(option, sizeof(option), "--fd=%d", fd);
	ret = peer_machine(&s->peer, &s->config);
	s->control = s->peer.root.control;
	return ret ? ret : fake_daemon_spawn(&s->peer.daemon,
					     &s->peer.root, args);
}

TEST_F(session, connected_fd_is_served_and_its_end_is_the_daemons)
{
	struct setting *s = &self->setting;
	int pair[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, fcntl(pair[0], F_SETFD, FD_CLOEXEC));
	ASSERT_EQ(0, start_with_fd(s, pair[1]));
	close(pair[1]);
	s->peer.sock = pair[0];
	ASSERT_EQ(0, wire_version(s->peer.sock, NULL, &s->r));
	ASSERT_EQ(0, set_up(s));
	close_fd(&s->peer.sock);
	EXPECT_EQ(0, fake_daemon_wait(&s->peer.daemon, 10000));
	EXPECT_TRUE(is_all_gone(s->control));
}

TEST_F(session, listening_fd_is_served_again_and_again)
{
	struct setting *s = &self->setting;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct stat st;
	unsigned int i;

	snprintf(addr.sun_path, sizeof(addr.sun_path),
		 "/tmp/session-test-%d.sock", getpid());
	ASSERT_EQ(0, bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_EQ(0, listen(fd, 8));
	ASSERT_EQ(0, start_with_fd(s, fd));
	close(fd);
	strcpy(s->peer.daemon.socket, addr.sun_path);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, peer_connect(&s->peer));
		ASSERT_EQ(0, set_up(s));
		close_fd(&s->peer.sock);
	}
	EXPECT_EQ(0, fake_daemon_stop(&s->peer.daemon, SIGTERM));
	/* The daemon hasn't made this path, and doesn't remove it. */
	EXPECT_EQ(0, stat(addr.sun_path, &st));
	unlink(addr.sun_path);
}

/* One whole session, ended in one of several ways. */
static int one_session(struct setting *s, unsigned int how)
{
	static const char junk[16] = "";
	int ret = peer_connect(&s->peer);

	if (!ret)
		ret = set_up(s);
	if (!ret && how % 4 == 1)
		ret = wire_send(s->peer.sock, junk, sizeof(junk), NULL, 0);
	if (!ret && how % 4 == 2)
		ret = wire_unmap(s->peer.sock, 0, 0,
				 VFIO_USER_DMA_UNMAP_ALL);
	if (!ret && how % 4 == 3)
		ret = wire_send(s->peer.sock, junk, 7, &s->memory, 1);
	close_fd(&s->peer.sock);
	return ret;
}

TEST_F_TIMEOUT(session, thousand_sessions_leave_nothing_behind, 240)
{
	struct setting *s = &self->setting;
	int fds, mappings, i;
	long rss;

	/* What is free'd shall be gone. */
	setenv("ASAN_OPTIONS", "quarantine_size_mb=0", 1);
	ASSERT_EQ(0, start(s, NULL));
	close_fd(&s->peer.sock);
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, one_session(s, i));
	ASSERT_EQ(0, peer_wait_idle(&s->peer));
	fds = fake_nr_fds(&s->peer.root, s->peer.daemon.pid);
	mappings = fake_nr_mappings(s->peer.daemon.pid);
	rss = fake_rss(s->peer.daemon.pid);

	for (i = 0; i < NR_SESSIONS; i++)
		ASSERT_EQ(0, one_session(s, i));
	ASSERT_EQ(0, peer_wait_idle(&s->peer));
	EXPECT_EQ(fds, fake_nr_fds(&s->peer.root, s->peer.daemon.pid));
	EXPECT_GE(mappings + 8, fake_nr_mappings(s->peer.daemon.pid));
	EXPECT_GT(rss + RSS_SLACK, fake_rss(s->peer.daemon.pid));
	EXPECT_TRUE(is_all_gone(s->control));
}

TEST_HARNESS_MAIN
