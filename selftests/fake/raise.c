// SPDX-License-Identifier: GPL-2.0-only
/*
 * How an interrupt gets to whoever waits for it. This file is linked into the
 * daemon, whose device model raises interrupts, and into the tests, which raise
 * them from outside: no thread of the fake's runs in the daemon, since that
 * would change what the daemon may do (unshare(2), for one).
 *
 * The eventfds are the daemon's; a test borrows one with pidfd_getfd(2) for
 * each signal.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fake.h"
#include "util.h"

void fake_irq_lock(struct fake_control *control)
{
	if (pthread_mutex_lock(&control->irq.lock) == EOWNERDEAD)
		pthread_mutex_consistent(&control->irq.lock);
}

void fake_irq_unlock(struct fake_control *control)
{
	pthread_mutex_unlock(&control->irq.lock);
}

int fake_fd_get(pid_t pid, int fd)
{
	int pidfd, ret;

	if (pid == getpid())
		return fd;

	pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return -errno;
	ret = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (ret < 0)
		ret = -errno;
	syscall(SYS_close, pidfd);
	return ret;
}

void fake_fd_put(pid_t pid, int fd)
{
	if (pid != getpid())
		syscall(SYS_close, fd);
}

/* Is one of @events there now? */
static bool fd_is_ready(int fd, short events)
{
	struct pollfd wait = { .fd = fd, .events = events };
	struct timespec now = { 0 };

	return syscall(SYS_ppoll, &wait, 1, &now, NULL, 0) == 1 &&
	       wait.revents & events;
}

int fake_eventfd_signal(int fd)
{
	const uint64_t one = 1;

	if (!fd_is_ready(fd, POLLOUT))
		return 0;
	return syscall(SYS_write, fd, &one, sizeof(one)) == sizeof(one) ?
	       0 : -EIO;
}

uint64_t fake_eventfd_take(int fd)
{
	uint64_t count;

	if (!fd_is_ready(fd, POLLIN) ||
	    syscall(SYS_read, fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

static int irq_signal(struct fake_irq *irq, int target)
{
	int fd, ret;

	if (target < 0)
		return 0;
	fd = fake_fd_get(irq->pid, target);
	if (fd < 0)
		return fd;

	ret = fake_eventfd_signal(fd);
	fake_fd_put(irq->pid, fd);
	if (ret)
		return ret;
	irq->sent++;
	return 1;
}

static int intx_poll(struct fake_irq *irq)
{
	int fd;

	if (irq->index != VFIO_PCI_INTX_IRQ_INDEX || irq->unmask < 0)
		return 0;
	fd = fake_fd_get(irq->pid, irq->unmask);
	if (fd < 0)
		return fd;

	if (fake_eventfd_take(fd))
		irq->masked = false;
	fake_fd_put(irq->pid, fd);
	return 0;
}

static int intx_deliver(struct fake_irq *irq)
{
	if (irq->masked || !irq->pending)
		return 0;
	irq->masked = true;
	irq->pending = false;
	return irq_signal(irq, irq->fd[0]);
}

static int irq_raise(struct fake_irq *irq, uint32_t index, uint32_t vector)
{
	int ret;

	if (index == VFIO_PCI_ERR_IRQ_INDEX || index == VFIO_PCI_REQ_IRQ_INDEX)
		return vector ? -EINVAL : irq_signal(irq, irq->single[index]);
	if (index != irq->index || vector >= irq->nr)
		return 0;
	if (index != VFIO_PCI_INTX_IRQ_INDEX)
		return irq_signal(irq, irq->fd[vector]);

	ret = intx_poll(irq);
	if (ret)
		return ret;
	irq->pending = true;
	return intx_deliver(irq);
}

int fake_irq_raise_on(struct fake_control *control, unsigned int device,
		      uint32_t index, uint32_t vector)
{
	int ret;

	fake_irq_lock(control);
	ret = irq_raise(device ? &control->more_irq[device - 1] :
				 &control->irq, index, vector);
	fake_irq_unlock(control);
	return ret;
}

int fake_irq_raise(struct fake_control *control, uint32_t index,
		   uint32_t vector)
{
	return fake_irq_raise_on(control, 0, index, vector);
}

int fake_irq_poll(struct fake_control *control)
{
	int ret;

	fake_irq_lock(control);
	ret = intx_poll(&control->irq);
	if (!ret)
		ret = intx_deliver(&control->irq);
	fake_irq_unlock(control);
	return ret;
}
