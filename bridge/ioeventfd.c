// SPDX-License-Identifier: GPL-2.0-only
/*
 * Doorbells: registers that the kernel writes when an eventfd fires.
 *
 * The operator names them (--ioeventfd), because what a register does with the
 * value that is written to it only a driver knows. A client asks for their
 * eventfds and gives them to KVM; a guest's store to the register then goes
 * from KVM to VFIO inside the kernel. The eventfds are made when they are first
 * asked for, and end with the session.
 *
 * As many are offered as the client takes fds in one message.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bridge.h"

/* Syscalls: close eventfd2 */
static int ioeventfd_open(struct session *s, unsigned int i)
{
	const struct doorbell *d = &s->bridge->own->doorbells[i];
	int fd, ret;

	if (s->doorbells[i] >= 0)
		return 0;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	ret = vfio_ioeventfd(&s->dev, d->region, d->offset, d->width, d->data,
			     fd);
	if (ret) {
		close(fd);
		return ret;
	}
	s->doorbells[i] = fd;
	return 0;
}

void ioeventfd_close_all(struct session *s)
{
	const struct device_options *o = s->bridge->own;
	unsigned int i;

	for (i = 0; i < o->nr_doorbells; i++) {
		const struct doorbell *d = &o->doorbells[i];

		if (s->doorbells[i] < 0)
			continue;
		if (vfio_ioeventfd(&s->dev, d->region, d->offset, d->width,
				   d->data, -1))
			s->unsure = true;
		close_fd(&s->doorbells[i]);
	}
}

/* Indexes of the doorbells of a region, as many as one message has room for. */
static unsigned int ioeventfd_list(const struct session *s, uint32_t region,
				   unsigned int *which)
{
	const struct device_options *o = s->bridge->own;
	unsigned int i, n = 0;

	for (i = 0; i < o->nr_doorbells; i++) {
		if (o->doorbells[i].region == region && n < s->caps.max_msg_fds)
			which[n++] = i;
	}
	return n;
}

static void ioeventfd_describe(const struct doorbell *d, unsigned int index,
			       struct vfio_user_io_fd *io)
{
	*io = (struct vfio_user_io_fd){
		.offset = d->offset,
		.size = d->width,
		.fd_index = index,
		.type = VFIO_USER_IO_FD_TYPE_IOEVENTFD,
		.flags = d->match ? VFIO_USER_IO_FD_DATAMATCH : 0,
		.datamatch = d->match ? d->data : 0,
	};
}

int ioeventfd_handle(struct session *s, struct msg *m)
{
	const struct vfio_user_region_io_fds *request = m->payload;
	unsigned int which[MAX_DOORBELLS], i, n;
	struct vfio_user_region_io_fds *reply;
	struct vfio_user_io_fd *io;
	int fds[MAX_DOORBELLS];
	size_t len;
	int ret;

	if (request->argsz < sizeof(*reply) || request->flags ||
	    request->index >= s->dev.nr_regions ||
	    s->dev.regions[request->index].error)
		return -EINVAL;
	n = ioeventfd_list(s, request->index, which);
	/* What fires them writes to the device. */
	ret = n ? holder_check_power(s) : 0;
	if (ret)
		return ret;
	len = sizeof(*reply) + n * sizeof(*io);
	reply = session_reply(s, m, len);
	if (!reply)
		return 0;
	*reply = (struct vfio_user_region_io_fds){
		.argsz = len,
		.index = request->index,
		.count = n,
	};
	if (request->argsz < len)
		return session_reply_send(s, m, sizeof(*reply), -1);

	io = (struct vfio_user_io_fd *)(reply + 1);
	for (i = 0; i < n; i++) {
		ret = ioeventfd_open(s, which[i]);
		if (ret)
			return ret;
		ioeventfd_describe(&s->bridge->own->doorbells[which[i]], i,
				   &io[i]);
		fds[i] = s->doorbells[which[i]];
	}
	return session_reply_send_fds(s, m, len, fds, n);
}
