// SPDX-License-Identifier: GPL-2.0-only
/*
 * The devices that the launcher told of, and the connections to their bridges.
 *
 * There is one connection to a device at a time, made when its group is opened
 * or when its own node is bound to an iommufd. It ends with the last file that
 * needs it. The bridge resets the device then, as the kernel does when a device
 * is closed, and like close(2) in the kernel we wait until that is done: so
 * whoever opens the device next finds it free. A program that ends without
 * closing hangs up in the library's destructor.
 *
 * A bridge can still be busy with the end of a session whose program was killed;
 * connecting is tried again for a second before EBUSY is believed.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "interpose.h"
#include "log.h"

/* How long a bridge may take to let a device go, in milliseconds */
#define HANG_UP_MS	10000
/* How long, and how often, to try a bridge that is busy, in milliseconds */
#define BUSY_MS		1000
#define BUSY_STEP_MS	20

static struct run_device *devices;
static unsigned int nr_devices;
static pthread_once_t devices_once = PTHREAD_ONCE_INIT;

void run_say(const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_err("%s", text);
}

static void device_option(struct run_device *dev, const char *option)
{
	if (!strncmp(option, "group=", strlen("group=")))
		dev->group = atoi(option + strlen("group="));
	else if (!strncmp(option, "cdev=", strlen("cdev=")))
		snprintf(dev->cdev, sizeof(dev->cdev), "%s",
			 option + strlen("cdev="));
}

/* The launcher has checked it; what it is told of what isn't there is "". */
static void device_parse(struct run_device *dev, char *line)
{
	char *socket = strchr(line, '=');
	char *option;

	pthread_mutex_init(&dev->lock, NULL);
	dev->group = -1;
	if (!socket)
		return;
	*socket++ = '\0';
	while ((option = strrchr(socket, ',')) &&
	       (!strncmp(option, ",group=", 7) ||
		!strncmp(option, ",cdev=", 6))) {
		*option = '\0';
		device_option(dev, option + 1);
	}
	snprintf(dev->bdf, sizeof(dev->bdf), "%s", line);
	snprintf(dev->socket, sizeof(dev->socket), "%s", socket);
}

static void devices_init(void)
{
	const char *env = getenv(RUN_ENV_DEVICES);
	char *text, *line, *rest;
	unsigned int nr = 0;
	const char *p;

	log_init("vfio-user-run", false);
	run_table_init();
	if (!env)
		return;
	for (p = env; *p; p++)
		nr += *p == '\n';
	text = strdup(env);
	devices = calloc(nr + 1, sizeof(*devices));
	if (text && devices) {
		for (rest = text; (line = strsep(&rest, "\n"));) {
			if (*line)
				device_parse(&devices[nr_devices++], line);
		}
	}
	free(text);
}

struct run_device *run_devices(unsigned int *nr)
{
	pthread_once(&devices_once, devices_init);
	*nr = nr_devices;
	return devices;
}

/* Return: a hidden fd or a negative errno. */
static int device_socket(const struct run_device *dev)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	fd = run_fd_hide(fd);
	if (fd < 0)
		return fd;
	memcpy(addr.sun_path, dev->socket, strlen(dev->socket));
	do {
		ret = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	} while (ret && errno == EINTR);
	if (ret) {
		ret = -errno;
		run_fd_close(fd);
		return ret;
	}
	return fd;
}

static int device_connect_once(struct run_device *dev)
{
	int fd = device_socket(dev);
	int ret;

	if (fd < 0)
		return fd;
	ret = vfio_user_connect_fd(fd, NULL, &dev->client);
	/* The client library has closed it, but doesn't know that it is hidden. */
	if (ret)
		run_fd_show(fd);
	return ret;
}

/* With the device's lock. */
static int device_connect(struct run_device *dev)
{
	const struct timespec step = { .tv_nsec = BUSY_STEP_MS * 1000000L };
	unsigned int i;
	int ret = -EBUSY;

	for (i = 0; i < BUSY_MS / BUSY_STEP_MS && ret == -EBUSY; i++) {
		if (i)
			nanosleep(&step, NULL);
		ret = device_connect_once(dev);
	}
	if (ret) {
		dev->client = NULL;
		run_say("%s: cannot connect to %s: %s", dev->bdf, dev->socket,
			ret == -EBUSY ? "somebody else has the device" :
			strerrordesc_np(-ret));
	}
	return ret;
}

/* With the device's lock. The bridge's end closes when it is done. */
static void device_hang_up(struct run_device *dev)
{
	struct pollfd pfd = { .events = POLLIN };
	char buf[64];
	int fd;

	if (!dev->client)
		return;
	fd = vfio_user_client_fd(dev->client);
	pfd.fd = fd;
	if (!shutdown(fd, SHUT_WR)) {
		while (poll(&pfd, 1, HANG_UP_MS) > 0 &&
		       recv(fd, buf, sizeof(buf), 0) > 0)
			;
	}
	run_fd_show(fd);
	vfio_user_disconnect(dev->client);
	dev->client = NULL;
}

int run_device_get(struct run_device *dev)
{
	int ret = -EBUSY;

	pthread_mutex_lock(&dev->lock);
	if (!dev->in_use) {
		ret = device_connect(dev);
		dev->in_use = !ret;
	}
	pthread_mutex_unlock(&dev->lock);
	return ret;
}

void run_device_put(struct run_device *dev)
{
	pthread_mutex_lock(&dev->lock);
	device_hang_up(dev);
	dev->in_use = false;
	dev->is_stale = false;
	pthread_mutex_unlock(&dev->lock);
}

int run_device_renew(struct run_device *dev)
{
	struct run_space *space = dev->space;
	int ret;

	if (space)
		run_space_remove(space, dev);
	pthread_mutex_lock(&dev->lock);
	device_hang_up(dev);
	ret = device_connect(dev);
	dev->is_stale = ret;
	pthread_mutex_unlock(&dev->lock);
	if (!space)
		return ret;
	dev->space = NULL;
	if (!ret)
		ret = run_space_add(space, dev);
	if (!ret)
		dev->space = space;
	return ret;
}

int run_device_lock(struct run_device *dev, struct vfio_user_client **client)
{
	pthread_mutex_lock(&dev->lock);
	*client = dev->client;
	if (*client)
		return 0;
	pthread_mutex_unlock(&dev->lock);
	return -EIO;
}

ssize_t run_device_unlock(struct run_device *dev, ssize_t ret)
{
	pthread_mutex_unlock(&dev->lock);
	if (ret != -ECONNRESET && ret != -EPROTO && ret != -ETIMEDOUT)
		return ret;
	run_say("%s: the connection to %s is lost", dev->bdf, dev->socket);
	return -EIO;
}

/* Other threads, which may have held a lock, are not in the child. */
void run_connections_fork(void)
{
	unsigned int i;

	for (i = 0; i < nr_devices; i++) {
		struct run_device *dev = &devices[i];

		pthread_mutex_init(&dev->lock, NULL);
		if (dev->client) {
			run_fd_show(vfio_user_client_fd(dev->client));
			vfio_user_disconnect(dev->client);
		}
		dev->client = NULL;
		dev->in_use = false;
		dev->is_bound = false;
		dev->is_stale = false;
		dev->opens = 0;
		dev->iommufd = NULL;
		dev->space = NULL;
	}
}

static void __attribute__((destructor)) devices_exit(void)
{
	unsigned int i;

	for (i = 0; i < nr_devices; i++) {
		/* Another thread may be in the middle of a call. */
		if (pthread_mutex_trylock(&devices[i].lock))
			continue;
		device_hang_up(&devices[i]);
		pthread_mutex_unlock(&devices[i].lock);
	}
}
