// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-bridge: physical PCI devices, each offered on a UNIX socket by vfio-user.
 *
 * The main thread opens each device once, to be able to say at once what is
 * wrong with it, and closes it again. Then it makes the sockets, gives up what it
 * doesn't need any more, and serves (serve.c).
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridge.h"
#include "bridge/sandbox.h"
#include "log.h"

static void main_interrupt(int signal)
{
}

/* Syscalls at start: eventfd2 rt_sigaction signalfd4 */
static int main_signals(struct daemon *d)
{
	const struct sigaction interrupt = { .sa_handler = main_interrupt };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	/* Threads inherit this, so the signals come here and nowhere else. */
	if (pthread_sigmask(SIG_BLOCK, &set, NULL))
		return -EINVAL;
	signal(SIGPIPE, SIG_IGN);
	sigaction(WATCH_SIGNAL, &interrupt, NULL);
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	d->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return d->signal_fd < 0 || d->done_fd < 0 ? -errno : 0;
}

/*
 * A client with a thousand vectors brings as many eventfds. Who started us set
 * the hard limit; the soft one is for programs that use select(2).
 *
 * Syscalls at start: prlimit64
 */
static void main_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/*
 * The socket that --fd names: 1 if it is connected, 0 if it listens.
 *
 * Syscalls at start: getsockopt(SO_ACCEPTCONN) getsockopt(SO_DOMAIN)
 * Syscalls at start: getsockopt(SO_TYPE)
 */
static int main_take_fd(struct bridge *b)
{
	int fd = b->own->fd, listening, domain, type;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) ||
	    domain != AF_UNIX || type != SOCK_STREAM) {
		log_err("--fd=%d: not an open UNIX stream socket", fd);
		return -ENOTSOCK;
	}
	if (!listening)
		return 1;
	b->listener.fd = fd;
	return 0;
}

/* Where a device's clients come from: 1 if its only one is there, 0 if not. */
static int main_listen(struct bridge *b)
{
	const char *path = b->own->socket_path;
	char why[256];
	int ret;

	if (!path)
		return main_take_fd(b);
	ret = listen_open(&b->listener, path, &b->opts->access, why,
			  sizeof(why));
	if (ret)
		log_err("--socket-path=%s: %s", path, why);
	return ret;
}

static int main_listen_monitor(struct daemon *d)
{
	const char *path = d->opts->monitor_path;
	char why[256];
	int ret;

	if (!path)
		return 0;
	ret = listen_open(&d->monitor, path, NULL, why, sizeof(why));
	if (ret)
		log_err("--monitor=%s: %s", path, why);
	return ret;
}

static int main_resolve(struct bridge *b)
{
	const char *name = b->own->device;
	int ret = pci_resolve(name, &b->device);

	if (ret == -EINVAL) {
		log_err("--device=%s: give a PCI address such as 0000:01:00.0, or a mediated device's UUID",
			name);
		return BRIDGE_EXIT_USAGE;
	}
	if (ret) {
		log_err("--device=%s: there is no such device (%s)", name,
			pci_list_hint(&b->device));
		return BRIDGE_EXIT_DEVICE;
	}
	/* Now: libpci reads files that the sandbox doesn't leave. */
	pci_describe(b->device.sysfs, b->description, sizeof(b->description));
	b->aer = pci_aer_open(b->device.sysfs);
	return BRIDGE_EXIT_OK;
}

/* The same device may have been named in two ways. */
static bool main_is_double(const struct bridge *b)
{
	const struct bridge *other;

	for (other = b->daemon->bridges; other < b; other++) {
		if (!strcmp(other->device.name, b->device.name)) {
			log_err("--device=%s: it is given twice",
				b->own->device);
			return true;
		}
	}
	return false;
}

/* Syscalls: poll */
static bool main_is_to_end(const struct daemon *d)
{
	struct pollfd signal = { .fd = d->signal_fd, .events = POLLIN };

	return poll(&signal, 1, 0) == 1;
}

static int main_find(struct daemon *d)
{
	unsigned int i;
	int ret;

	for (i = 0; i < d->nr_bridges; i++) {
		ret = main_resolve(&d->bridges[i]);
		if (ret)
			return ret;
		if (main_is_double(&d->bridges[i]))
			return BRIDGE_EXIT_USAGE;
	}
	power_check(d);
	/* A device can take a minute to be reset: not all, if it is to end. */
	for (i = 0; i < d->nr_bridges && !main_is_to_end(d); i++) {
		if (device_check(&d->bridges[i]))
			return BRIDGE_EXIT_DEVICE;
	}
	if (group_start(d)) {
		log_err("out of memory");
		return BRIDGE_EXIT_FAILED;
	}
	return BRIDGE_EXIT_OK;
}

static int main_begin(struct bridge *b)
{
	const struct device_options *own = b->own;
	struct ucred peer = { 0 };
	int ret;

	if (b->listener.fd >= 0) {
		log_info("%s: listening on %s", b->device.name,
			 own->socket_path ? own->socket_path :
			 "the socket that was given");
		return 0;
	}
	if (!access_allows(&b->opts->access, own->fd, &peer)) {
		log_err("--fd=%d: it is connected to pid %d of uid %d, gid %d, which neither --allow-uid nor --allow-gid lets in",
			own->fd, peer.pid, peer.uid, peer.gid);
		return -EACCES;
	}
	ret = session_start(b, own->fd);
	if (ret)
		log_err("--fd=%d: %s", own->fd, strerrordesc_np(-ret));
	return ret;
}

static int main_listen_all(struct daemon *d)
{
	unsigned int i;

	if (main_listen_monitor(d))
		return BRIDGE_EXIT_SOCKET;
	for (i = 0; i < d->nr_bridges; i++) {
		if (main_listen(&d->bridges[i]) < 0)
			return BRIDGE_EXIT_SOCKET;
	}
	return BRIDGE_EXIT_OK;
}

/* What the daemon goes on needing. */
static void main_describe_sandbox(const struct daemon *d, struct sandbox *sb)
{
	unsigned int i;

	sb->unsafe_noiommu = d->opts->unsafe_noiommu;
	if (d->opts->monitor_path)
		sb->sockets[sb->nr_sockets++] = d->opts->monitor_path;
	for (i = 0; i < d->nr_bridges; i++) {
		const struct bridge *b = &d->bridges[i];

		sb->devices[sb->nr_devices++] = b->device.sysfs;
		if (b->own->socket_path)
			sb->sockets[sb->nr_sockets++] = b->own->socket_path;
	}
}

/* Try the devices as they will be opened, make the sockets, confine. */
static int main_prepare(struct daemon *d)
{
	bool confine = !d->opts->no_sandbox;
	struct sandbox sb = { 0 };
	int ret;

	main_describe_sandbox(d, &sb);
	if (confine && sandbox_prepare(&sb))
		return BRIDGE_EXIT_FAILED;
	ret = main_find(d);
	if (ret)
		return ret;
	if (confine && sandbox_resume())
		return BRIDGE_EXIT_FAILED;
	ret = main_listen_all(d);
	if (ret)
		return ret;
	if (confine)
		return sandbox_enter(&sb) ? BRIDGE_EXIT_FAILED : 0;
	log_info("--no-sandbox: nothing is given up: capabilities, system calls, files, mounts; the process can be traced and leaves cores");
	return BRIDGE_EXIT_OK;
}

static int main_serve(struct daemon *d)
{
	int ret = BRIDGE_EXIT_OK;
	unsigned int i;

	for (i = 0; i < d->nr_bridges && !ret; i++)
		ret = main_begin(&d->bridges[i]) ? BRIDGE_EXIT_SOCKET : 0;
	if (!ret)
		return serve_loop(d);
	serve_end(d);
	return ret;
}

static void main_init(struct daemon *d, const struct options *opts)
{
	unsigned int i;

	d->opts = opts;
	d->monitor.fd = -1;
	d->nr_bridges = opts->nr_devices;
	for (i = 0; i < d->nr_bridges; i++) {
		struct bridge *b = &d->bridges[i];

		b->daemon = d;
		b->opts = opts;
		b->own = &opts->devices[i];
		b->index = i;
		b->listener.fd = -1;
		b->retained_req = -1;
		b->group = -1;
		pthread_mutex_init(&b->lock, NULL);
		pthread_mutex_init(&b->lines_lock, NULL);
	}
}

static void main_close(struct daemon *d)
{
	unsigned int i;

	for (i = 0; i < d->nr_bridges; i++) {
		listen_close(&d->bridges[i].listener);
		pci_aer_close(d->bridges[i].aer);
	}
	listen_close(&d->monitor);
	uevent_stop(d);
	group_stop(d);
}

/*
 * What a session has had goes back when it ends, and the next one finds nothing
 * but the same heap: what the daemon holds while idle doesn't depend on how many
 * clients it has had. Left is what libc keeps of the stacks of threads that have
 * ended, 20 KiB or less of each that were there at one time.
 */
static void main_allocator(void)
{
	/* As a constant: buffers are mapped, and unmapped when they are freed. */
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	/*
	 * Else each thread that finds the others' heaps in use begins a new one,
	 * which stays and keeps some 76 KiB. No call waits for another's malloc()
	 * for long enough to notice.
	 */
	mallopt(M_ARENA_MAX, 1);
}

int main(int argc, char **argv)
{
	static struct options opts;
	static struct daemon d;
	int ret;

	log_init("vfio-bridge", false);
	ret = options_parse(&opts, argc, argv);
	if (ret >= 0)
		return ret;
	log_init("vfio-bridge", opts.verbose);
	if (opts.check)
		return check_run(&opts);
	main_allocator();

	main_init(&d, &opts);
	ret = main_signals(&d);
	if (ret) {
		log_err("cannot wait for signals: %s", strerrordesc_np(-ret));
		return BRIDGE_EXIT_FAILED;
	}
	main_raise_limit();
	refuse_init();
	d.uevent_fd = uevent_start(&d);
	ret = main_prepare(&d);
	if (!ret)
		ret = main_serve(&d);
	main_close(&d);
	return ret;
}
