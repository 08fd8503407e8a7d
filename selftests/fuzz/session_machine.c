// SPDX-License-Identifier: GPL-2.0-only
/*
 * The daemon that the hostile clients talk to, but for its main loop, and the
 * machine that it runs on: what they are like, which calls fail, and what
 * happens to them besides the clients' messages.
 *
 * Each input is a start of the daemon: its device is looked at first, as with
 * main(), so that what the daemon knows of it is true.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/vfio.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "faults.h"
#include "hooks.h"
#include "log.h"
#include "selftests/faults/inject.h"
#include "session_fuzz.h"

/* Parts of the machine that are otherwise */
#define PART_EMULATED	(1u << 0)
#define PART_NOT_VIABLE	(1u << 1)
#define PART_VERSION	(1u << 2)
#define PART_NO_REQ	(1u << 3)
#define PART_NOT_PCI	(1u << 4)
#define PART_MEMLOCK	(1u << 5)
#define PART_FEW_IRQS	(1u << 6)
#define PART_NO_IOMMU	(1u << 7)
/* Not viable because of a device that one can see */
#define PART_SPOILED	(PART_NOT_VIABLE | PART_MEMLOCK)

#define DEVICE_DIR	"sys/devices/pci0000:00/0000:01:00.0"
#define SPOILER_DIR	"sys/kernel/iommu_groups/7/devices/0000:01:00.2"

struct daemon machine_daemon;
struct fake_root machine_root;
unsigned int machine_how;

static struct options opts;
static struct fake_config usual;
static struct device_options usual_device;
/* What of the machine is there, or isn't */
static unsigned int machine_parts;

bool wait_for(int fd, int ms)
{
	struct pollfd pfd = { fd, POLLIN, 0 };
	int ret;

	do {
		ret = poll(&pfd, 1, ms);
	} while (ret < 0 && errno == EINTR);
	return ret == 1;
}

/*
 * Who the clients are. The kernel knows the fuzzer itself.
 */

static unsigned int user, nr_groups;

void machine_user(unsigned int which)
{
	user = which;
}

int fuzz_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	static const gid_t groups[] = { 1, 2, -2 };
	struct ucred *peer = value;
	int ret;

	if (name == SO_PEERGROUPS) {
		*len = min(nr_groups * sizeof(groups[0]), sizeof(groups));
		memcpy(value, groups, *len);
		return 0;
	}
	ret = getsockopt(fd, level, name, value, len);
	if (!ret && name == SO_PEERCRED)
		peer->uid += user;
	return ret;
}

/*
 * What happens
 */

static void see_to_retained(struct bridge *b)
{
	bool asked;

	pthread_mutex_lock(&b->lock);
	asked = b->retained_req >= 0 && wait_for(b->retained_req, 0);
	pthread_mutex_unlock(&b->lock);
	/* If there is no thread for it, the kernel would ask again, later. */
	while (asked && !faults_hit(FAULT_pthread_create) &&
	       !faults_hit(FAULT_eventfd_read)) {
		device_check_retained(b);
		sched_yield();
		pthread_mutex_lock(&b->lock);
		asked = b->retained;
		pthread_mutex_unlock(&b->lock);
	}
}

void machine_raise(struct fuzz *f, struct bridge *b)
{
	unsigned int which = fuzz_u8(f);

	fake_irq_raise_on(machine_root.control, b->index, which & 7,
			  which >> 3);
	see_to_retained(b);
}

void machine_ask_back(struct bridge *b)
{
	fake_irq_raise_on(machine_root.control, b->index,
			  VFIO_PCI_REQ_IRQ_INDEX, 0);
	see_to_retained(b);
}

/* In place of libnl's function: what the kernel would tell. */
static struct fuzz *uevents;

int fuzz_nl_recv(struct nl_sock *sock, struct sockaddr_nl *from,
		 unsigned char **buf, struct ucred **creds)
{
	static const char *const actions[] = {
		"add", "bind", "unbind", "remove", "change",
	};
	static const char *const drivers[] = {
		"vfio-pci", "e1000e", "", "vfio_mtty",
	};
	unsigned int how = fuzz_u8(uevents);
	char text[256];
	int len;

	(void)sock;
	(void)creds;
	if (!uevents->size || how >= 0xf0)
		return how == 0xff ? -NLE_NOMEM : how == 0xfe ? -NLE_PERM : 0;
	memset(from, 0, sizeof(*from));
	from->nl_pid = how >= 0xe0;
	len = snprintf(text, sizeof(text),
		       "x@y%cACTION=%s%cSUBSYSTEM=%s%cDEVPATH=/devices/0000:01:00.%u%cDRIVER=%s",
		       0, actions[how % ARRAY_SIZE(actions)], 0,
		       how & 0x40 ? "mdev" : how & 0x80 ? "usb" : "pci", 0,
		       how >> 3 & 1, 0, drivers[how >> 4 & 3]) + 1;
	if (how >= 0xd0)
		text[fuzz_u8(uevents) % len] = fuzz_u8(uevents);
	*buf = malloc(len);
	memcpy(*buf, text, len);
	return len;
}

static void do_refuse(struct fuzz *f)
{
	struct vfio_user_header header = {
		.id = fuzz_u8(f), .command = VFIO_USER_VERSION,
		.size = sizeof(header), .flags = fuzz_u8(f),
	};
	unsigned int len = fuzz_u8(f) % (sizeof(header) + 1);
	char reply[sizeof(header)];
	struct ucred peer;
	int fds[2];

	nr_groups = header.id & 3;
	if (!refuse_make_room(false) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return;
	access_allows(&opts.access, fds[0], &peer);
	fuzz_require(send(fds[1], &header, len, MSG_NOSIGNAL) == (ssize_t)len,
		     "a socket takes a header");
	refuse_start(fds[0], EBUSY);
	/* The thread's last sign is that its end is closed. */
	shutdown(fds[1], SHUT_WR);
	while (wait_for(fds[1], END_MS) && recv(fds[1], reply, sizeof(reply),
						MSG_DONTWAIT) > 0)
		;
	close(fds[1]);
}

/* More than can be refused at one time. */
static void do_refuse_many(void)
{
	int fds[32][2], nr = 0;
	char byte;

	while (nr < ARRAY_SIZE(fds) && refuse_make_room(false)) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[nr]))
			break;
		refuse_start(fds[nr++][0], EACCES);
	}
	while (nr--) {
		shutdown(fds[nr][1], SHUT_WR);
		while (wait_for(fds[nr][1], END_MS) &&
		       recv(fds[nr][1], &byte, 1, MSG_DONTWAIT) > 0)
			;
		close(fds[nr][1]);
	}
}

static void do_monitor(void)
{
	char answer[4096];
	int fds[2];

	if (!refuse_make_room(true) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return;
	monitor_answer(&machine_daemon, fds[0]);
	/* As with who is refused */
	while (wait_for(fds[1], END_MS) &&
	       recv(fds[1], answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
	close(fds[1]);
}

/* The machine isn't what it was when the daemon looked at it. */
static void do_change(struct fuzz *f)
{
	struct fake_config *config = &machine_root.control->config;

	switch (fuzz_u8(f) % 8) {
	case 0:
		config->gone = !config->gone;
		break;
	case 1:
		config->flr = !config->flr;
		break;
	case 2:
		config->bus_reset = !config->bus_reset;
		break;
	case 3:
		config->memlock ^= 0x2000;
		break;
	case 4:
		config->irq_room ^= 1;
		break;
	case 5:
		config->migration ^= 7;
		break;
	case 6:
		config->low_power = !config->low_power;
		break;
	default:
		config->has_map_file = !config->has_map_file;
	}
}

static void do_interrupt(void)
{
	struct session *s = machine_daemon.bridges[0].session;

	if (!s)
		return;
	session_is_ending(s);
	session_interrupt(s);
}

/* Who waits finds out. */
static void do_time(struct fuzz *f)
{
	unsigned int how = fuzz_u8(f);

	if (how & 1)
		clock_forward((how >> 1) * 1000);
	else
		clock_step((how >> 1) * 100);
	do_interrupt();
}

void machine_others(struct fuzz *f)
{
	switch (fuzz_u8(f) % 8) {
	case 0:
		do_monitor();
		break;
	case 1:
		do_refuse(f);
		break;
	case 2:
		uevents = f;
		if (machine_daemon.uevents)
			uevent_handle(&machine_daemon);
		break;
	case 3:
		do_refuse_many();
		break;
	case 4:
		do_interrupt();
		break;
	case 5:
		do_change(f);
		break;
	case 6:
		do_time(f);
		break;
	default:
		host_look(f);
	}
}

/*
 * What the daemon and the machine are like
 */

static void set_rules(struct fuzz *f)
{
	unsigned int i, nr = fuzz_u8(f) % 3;
	struct fake_rule rule;

	for (i = 0; i < nr; i++) {
		rule = (struct fake_rule){
			.call = fuzz_u8(f),
			.kind = fuzz_u8(f) % FAKE_NR_KINDS,
			.request = ';' << 8 | (100 + fuzz_u8(f) % 48),
			.nth = fuzz_u8(f) & 7,
			.err = fuzz_u8(f) % 134,
		};
		rule.call = rule.call < 0x80 ? FAKE_IOCTL :
					       rule.call % FAKE_NR_CALLS;
		/* Nothing can be said of a machine that lets go of nothing. */
		if (rule.call == FAKE_CLOSE || rule.call == FAKE_MUNMAP)
			continue;
		rule.limit = rule.err ? 0 : fuzz_u8(f);
		fake_rule_set(&machine_root, i, &rule);
	}
}

/* What is there in sysfs and in /dev, or isn't. */
static void make_part(const char *name, bool there)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", machine_root.path, name);
	if (there)
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	else
		unlink(path);
}

/* One more device of the group, with a driver that spoils it. */
static void make_spoiler(bool there)
{
	char dir[160], link[192];

	snprintf(dir, sizeof(dir), "%s/%s", machine_root.path, SPOILER_DIR);
	snprintf(link, sizeof(link), "%s/driver", dir);
	if (there)
		fuzz_require(!mkdir(dir, 0700) &&
			     !symlink("../../../bus/pci/drivers/e1000e", link),
			     "a device in sysfs");
	else if (!unlink(link))
		rmdir(dir);
}

static void make_parts(unsigned int parts)
{
	if (parts & PART_EMULATED || machine_parts & PART_EMULATED)
		make_part(DEVICE_DIR "/mdev_type", parts & PART_EMULATED);
	if (parts & PART_NO_IOMMU || machine_parts & PART_NO_IOMMU)
		make_part("dev/vfio/noiommu-7", parts & PART_NO_IOMMU);
	if (parts & PART_NOT_VIABLE || machine_parts & PART_NOT_VIABLE)
		make_spoiler((parts & PART_SPOILED) == PART_SPOILED);
	machine_parts = parts;
}

static void set_parts(unsigned int parts)
{
	struct fake_config *config = &machine_root.control->config;

	make_parts(parts);
	config->not_viable = parts & PART_NOT_VIABLE;
	config->api_version += !!(parts & PART_VERSION);
	if (parts & PART_NO_REQ) {
		config->irqs[VFIO_PCI_ERR_IRQ_INDEX].count = 0;
		config->irqs[VFIO_PCI_REQ_IRQ_INDEX].count = 0;
	}
	if (parts & PART_NOT_PCI)
		config->device_flags = 0;
	config->memlock = parts & PART_MEMLOCK ? 0x4000 : 0;
	config->irq_room = parts & PART_FEW_IRQS ? 1 : 0;
	config->noiommu = parts & PART_NO_IOMMU;
}

/* An IOMMU whose addresses go high, with room for two maps. */
static void set_ranges(struct fake_config *config)
{
	config->nr_ranges = 3;
	config->ranges[0].first = 0;
	config->ranges[0].last = 0xfffff;
	config->ranges[1].first = 0x100000000;
	config->ranges[1].last = (UINT64_C(1) << 63) + 0xfff;
	config->ranges[2].first = config->ranges[1].last + 1;
	config->ranges[2].last = UINT64_MAX;
	config->dma_avail = 2;
}

/* One in place of the usual two, most often one that can't be. */
static void set_doorbell(unsigned int which)
{
	static const struct doorbell odd[] = {
		{ .region = 9, .width = 8 },
		{ .region = 0, .offset = 0x4000, .width = 8 },
		{ .region = 0, .offset = UINT64_MAX, .width = 8 },
		{ .region = VFIO_PCI_CONFIG_REGION_INDEX, .width = 4 },
		{ .region = VFIO_PCI_BAR2_REGION_INDEX, .width = 4 },
		{
			.region = VFIO_PCI_BAR2_REGION_INDEX, .width = 2,
			.offset = 0x1000, .match = true, .data = 7,
		},
	};

	opts.devices[0].nr_doorbells = 1;
	opts.devices[0].doorbells[0] = odd[which % ARRAY_SIZE(odd)];
}

static void set_options(unsigned int how)
{
	opts.iommu = how & HOW_TYPE1 ? VFIO_IOMMU_TYPE1 : VFIO_IOMMU_IOMMUFD;
	opts.mmap = !(how & (HOW_MMAP_OFF | HOW_SHADOW));
	opts.shadow_max = how & HOW_SHADOW ? 1 << 20 : 0;
	opts.on_disconnect = how & HOW_RETAIN ? ON_DISCONNECT_RETAIN :
						ON_DISCONNECT_RESET;
	opts.message_rate = how & TOO_RATE ? 3 : BRIDGE_MESSAGE_RATE;
	opts.verbose = how & TOO_RATE;
	opts.unsafe_noiommu = how & TOO_RATE;
	opts.idle_low_power = how & (TOO_RATE | YET_LOW_POWER);
	opts.max_dma_maps = how & TOO_LIMITS ? 2 : UINT32_MAX;
	opts.max_dma = how & TOO_LIMITS ? 0x8000 : UINT64_MAX;
	opts.release_timeout = how & TOO_RELEASE ? 0 : BRIDGE_RELEASE_TIMEOUT;
	opts.devices[0] = usual_device;
}

static void set_machine(struct fuzz *f, unsigned int how)
{
	struct fake_config *config = &machine_root.control->config;

	*config = usual;
	config->flr = !(how & HOW_NO_RESET);
	config->bus_reset = !(how & TOO_NO_BUS);
	config->migration = how & HOW_STATIC ? 0 : 7;
	config->mig_enomsg = how & TOO_ENOMSG;
	config->logging = !(how & HOW_STATIC);
	config->has_map_file = !(how & TOO_ENOMSG);
	config->low_power = how & YET_LOW_POWER;
	if (how & YET_RANGES)
		set_ranges(config);
	if (how & YET_DOORBELLS)
		set_doorbell(fuzz_u8(f));
	if (how & YET_PARTS)
		set_parts(fuzz_u8(f));
}

static bool bridge_begin(struct bridge *b)
{
	b->group = -1;
	b->told_awake = false;
	b->absent = false;
	memset(&b->last_peer, 0, sizeof(b->last_peer));
	return !device_check(b);
}

bool machine_begin(struct fuzz *f, unsigned int how)
{
	struct daemon *d = &machine_daemon;
	bool good = true;
	unsigned int i;

	machine_how = how;
	machine_user(0);
	clock_begin(how & YET_LATE ? 991 : 0);
	set_options(how);
	set_machine(f, how);
	if (how & YET_FAULTS)
		faults_begin(f);
	/* Not in every network namespace */
	uevent_start(d);
	power_check(d);
	d->nr_bridges = how & TOO_GROUP ? NR_CLIENTS : 1;
	for (i = 0; i < d->nr_bridges; i++)
		good &= bridge_begin(&d->bridges[i]);
	if (how & HOW_RULES)
		set_rules(f);
	return good && !group_start(d);
}

static void check_clean(void)
{
	struct fake_control *control = machine_root.control;

	unsigned int tries;

	/*
	 * That clients have let go of it is seen when it is opened again. What is
	 * on its way in sockets that nobody has any more, a thread of the kernel's
	 * collects in its own time.
	 */
	for (tries = 0; control->orphans && tries < END_MS / 10; tries++) {
		device_check(&machine_daemon.bridges[0]);
		if (control->orphans)
			poll(NULL, 0, 10);
	}
	fuzz_require(!control->nr_maps, "nothing is mapped in the end");
	fuzz_require(!control->nr_doorbells, "no doorbell is left");
	fuzz_require(!control->orphans, "the device is closed");
}

void machine_end(void)
{
	struct daemon *d = &machine_daemon;
	pthread_t thread;
	unsigned int i;
	bool noted;

	for (i = 0; i < d->nr_bridges; i++) {
		if (!device_start_drop(&d->bridges[i], &thread))
			pthread_join(thread, NULL);
	}
	group_stop(d);
	if (d->uevents)
		uevent_stop(d);
	/* With calls that fail, what close(2) alone undoes may remain noted. */
	noted = machine_how & HOW_RULES || faults_hit(FAULT_ioctl);
	faults_end();
	fake_rules_clear(&machine_root);
	if (!noted)
		check_clean();
	make_parts(0);
}

/*
 * Once
 */

/* Gets threads out of system calls, as in the daemon. */
static void main_interrupted(int number)
{
	(void)number;
}

static void bridge_init(unsigned int i)
{
	struct bridge *b = &machine_daemon.bridges[i];

	b->daemon = &machine_daemon;
	b->opts = &opts;
	b->own = &opts.devices[i];
	b->index = i;
	b->listener.fd = -1;
	b->retained_req = -1;
	pthread_mutex_init(&b->lock, NULL);
	pthread_mutex_init(&b->lines_lock, NULL);
	fuzz_require(!pci_resolve(b->own->device, &b->device),
		     "the device is there");
}

static void daemon_init(void)
{
	static const char *const argv[] = {
		"session_fuzz", "--device=0000:01:00.0",
		"--socket-path=/nowhere/socket", "--ioeventfd=0:0x28:8:1",
		"--ioeventfd=0:0x30:4:2", "--device=0000:01:00.1",
		"--socket-path=/nowhere/other", NULL,
	};
	struct sigaction interrupt = { .sa_handler = main_interrupted };
	unsigned int i;

	log_init("session_fuzz", true);
	signal(SIGPIPE, SIG_IGN);
	sigaction(WATCH_SIGNAL, &interrupt, NULL);
	refuse_init();
	fuzz_require(options_parse(&opts, ARRAY_SIZE(argv) - 1,
				   (char **)argv) < 0,
		     "the options are right");
	opts.access.gids[opts.access.nr_gids++] = -2;
	usual_device = opts.devices[0];
	machine_daemon.opts = &opts;
	machine_daemon.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (i = 0; i < NR_CLIENTS; i++)
		bridge_init(i);
}

static void remove_root(void)
{
	fake_root_destroy(&machine_root);
}

void machine_init(void)
{
	fake_config_default(&usual);
	usual.migration = 7;
	usual.mig_len = 4096;
	usual.mig_initial = 1024;
	usual.logging = true;
	usual.log_page = 4096;
	usual.nr_more = 1;
	usual.more[0] = (struct fake_more){ "0000:01:00.1", usual.group, 1 };
	fuzz_require(!fake_root_create(&machine_root, &usual),
		     "there is a machine");
	setenv(FAKE_ROOT_ENV, machine_root.path, 1);
	atexit(remove_root);
	host_init();
	fault_json_start();
	daemon_init();
}
