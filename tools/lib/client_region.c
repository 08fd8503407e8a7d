// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions: what they are, and access to them by message.
 *
 * A description is asked for with room for its fixed part first, then again
 * with as much as the server said it needs, up to a bound. What comes is copied
 * and every offset in it checked before anybody sees it.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "log.h"

/* The longest description of a region that is believed, in bytes. */
#define CLIENT_MAX_REGION_INFO	(64 * 1024)

/* Is the sparse mmap capability at @offset sound? */
static bool region_sparse_ok(const struct vfio_user_region_info *info,
			     uint32_t offset)
{
	const struct vfio_user_cap_sparse_mmap *cap = (const void *)
		((const char *)info + offset);
	uint32_t i;

	if (!range_within(offset, sizeof(*cap), info->argsz) ||
	    cap->nr_areas > (info->argsz - offset - sizeof(*cap)) /
			    sizeof(cap->areas[0]))
		return false;
	for (i = 0; i < cap->nr_areas; i++) {
		if (!range_within(cap->areas[i].offset, cap->areas[i].size,
				  info->size))
			return false;
	}
	return true;
}

/* Does each capability lie inside and after the one before? */
static bool region_caps_ok(const struct vfio_user_region_info *info)
{
	uint32_t offset = info->cap_offset;
	uint64_t end = sizeof(*info);

	while (offset) {
		const struct vfio_user_cap_header *cap = (const void *)
			((const char *)info + offset);

		if (offset < end ||
		    !range_within(offset, sizeof(*cap), info->argsz))
			return false;
		if (cap->id == VFIO_USER_REGION_CAP_SPARSE_MMAP &&
		    !region_sparse_ok(info, offset))
			return false;
		if (cap->id == VFIO_USER_REGION_CAP_TYPE &&
		    !range_within(offset, sizeof(struct vfio_user_cap_type),
				  info->argsz))
			return false;
		end = (uint64_t)offset + sizeof(*cap);
		offset = cap->next;
	}
	return true;
}

/* Offsets in a file, and so the sizes of what is mapped, are signed. */
static bool region_size_ok(const struct vfio_user_region_info *info)
{
	if (!(info->flags & VFIO_USER_REGION_FLAG_MMAP))
		return info->size <= INT64_MAX;
	return range_within(info->offset, info->size, INT64_MAX);
}

/*
 * Ask for a region's description with room for @argsz bytes. On success @m has
 * the fixed part at least, and @need is how much the server would have said.
 */
static int region_ask(struct vfio_user_client *c, uint32_t index,
		      uint32_t argsz, struct msg *m, uint32_t *need)
{
	struct vfio_user_region_info info = { .argsz = argsz, .index = index };
	struct iovec iov = { &info, sizeof(info) };
	int ret;

	ret = client_call(c, VFIO_USER_DEVICE_GET_REGION_INFO, &iov, 1,
			  NULL, 0, m);
	if (ret)
		return ret;
	if (m->len < sizeof(info) || m->len > argsz)
		return client_violation(c, m, "a payload of the wrong length");
	memcpy(&info, m->payload, sizeof(info));
	if (info.index != index)
		return client_violation(c, m, "another region's index");
	if (info.argsz < sizeof(info) || info.argsz > CLIENT_MAX_REGION_INFO)
		return client_violation(c, m, "an impossible argsz");

	*need = info.argsz;
	return 0;
}

/* Copy the description in @m, check the copy, and take the fd. */
static int region_take(struct vfio_user_client *c, struct msg *m,
		       struct vfio_user_region_info **out, int *fd)
{
	struct vfio_user_region_info *info = malloc(m->len);
	const char *wrong = NULL;
	unsigned int want;

	if (!info) {
		msg_close_fds(m);
		return -ENOMEM;
	}
	memcpy(info, m->payload, m->len);
	if (!(info->flags & VFIO_USER_REGION_FLAG_CAPS))
		info->cap_offset = 0;
	want = info->flags & VFIO_USER_REGION_FLAG_MMAP ? 1 : 0;

	if (info->argsz > m->len)
		wrong = "less than its argsz says";
	else if (!region_size_ok(info))
		wrong = "an impossible size or offset";
	else if (!region_caps_ok(info))
		wrong = "malformed region capabilities";
	else if (m->nr_fds != want)
		wrong = "the wrong number of fds";
	if (wrong) {
		free(info);
		return client_violation(c, m, wrong);
	}

	if (fd) {
		*fd = want ? m->fds[0] : -1;
		m->fds[0] = -1;
	}
	msg_close_fds(m);
	*out = info;
	return 0;
}

int vfio_user_region_info(struct vfio_user_client *c, uint32_t index,
			  struct vfio_user_region_info **info, int *fd)
{
	struct msg m;
	uint32_t need;
	int ret;

	ret = region_ask(c, index, sizeof(**info), &m, &need);
	if (ret)
		return ret;
	if (need > sizeof(**info)) {
		msg_close_fds(&m);
		ret = region_ask(c, index, need, &m, &need);
		if (ret)
			return ret;
	}
	return region_take(c, &m, info, fd);
}

const struct vfio_user_cap_header *
vfio_user_region_cap(const struct vfio_user_region_info *info, uint16_t id)
{
	uint32_t offset = info->cap_offset;

	while (offset) {
		const struct vfio_user_cap_header *cap = (const void *)
			((const char *)info + offset);

		if (cap->id == id)
			return cap;
		offset = cap->next;
	}
	return NULL;
}

/*
 * One READ or WRITE. On success @m is the reply, whose structure is checked
 * but for its length; returns the count in it.
 */
static ssize_t region_access(struct vfio_user_client *c, uint16_t command,
			     const struct vfio_user_region_access *req,
			     const void *data, struct msg *m)
{
	struct vfio_user_region_access reply;
	struct iovec iov[] = {
		{ (void *)req, sizeof(*req) },
		{ (void *)data, req->count },
	};
	int ret;

	ret = client_call(c, command, iov, data ? 2 : 1, NULL, 0, m);
	if (ret)
		return ret;
	if (m->nr_fds)
		return client_violation(c, m, "fds that nobody asked for");
	if (m->len < sizeof(reply))
		return client_violation(c, m, "a payload of the wrong length");
	memcpy(&reply, m->payload, sizeof(reply));
	if (reply.offset != req->offset || reply.region != req->region)
		return client_violation(c, m, "another access's place");
	if (reply.count > req->count)
		return client_violation(c, m, "a count above what was asked");
	return reply.count;
}

static ssize_t region_read_some(struct vfio_user_client *c,
				const struct vfio_user_region_access *req,
				void *buf)
{
	struct msg m;
	ssize_t n;

	n = region_access(c, VFIO_USER_REGION_READ, req, NULL, &m);
	if (n < 0)
		return n;
	if (m.len != sizeof(*req) + n)
		return client_violation(c, &m, "a payload of the wrong length");

	memcpy(buf, (char *)m.payload + sizeof(*req), n);
	return n;
}

static ssize_t region_write_some(struct vfio_user_client *c,
				 const struct vfio_user_region_access *req,
				 const void *buf)
{
	struct msg m;
	ssize_t n;

	n = region_access(c, VFIO_USER_REGION_WRITE, req, buf, &m);
	if (n < 0)
		return n;
	if (m.len != sizeof(*req))
		return client_violation(c, &m, "a payload of the wrong length");
	return n;
}

/* Read into @in, or else write from @out, in as many messages as it takes. */
static ssize_t region_transfer(struct vfio_user_client *c, uint32_t index,
			       uint64_t offset, void *in, const void *out,
			       size_t count)
{
	size_t done = 0;
	uint64_t end;

	if (count > SSIZE_MAX || add_overflows(offset, count, &end))
		return -EINVAL;

	while (done < count) {
		struct vfio_user_region_access req = {
			.offset = offset + done,
			.region = index,
			.count = min(count - done, client_max_xfer(c)),
		};
		ssize_t n;

		if (in)
			n = region_read_some(c, &req, (char *)in + done);
		else
			n = region_write_some(c, &req,
					      (const char *)out + done);
		if (n < 0)
			return done ? (ssize_t)done : n;
		done += n;
		if (n < req.count)
			break;
	}
	return done;
}

ssize_t vfio_user_region_read(struct vfio_user_client *c, uint32_t index,
			      uint64_t offset, void *buf, size_t count)
{
	return region_transfer(c, index, offset, buf, NULL, count);
}

ssize_t vfio_user_region_write(struct vfio_user_client *c, uint32_t index,
			       uint64_t offset, const void *buf, size_t count)
{
	return region_transfer(c, index, offset, NULL, buf, count);
}

/* The writes of one message; returns how many were done. */
static ssize_t region_write_batch(struct vfio_user_client *c,
				  const struct vfio_user_write_one *wrs,
				  size_t nr)
{
	struct vfio_user_write_multi req = { .wr_cnt = nr }, reply;
	struct iovec iov[] = {
		{ &req, sizeof(req) },
		{ (void *)wrs, nr * sizeof(*wrs) },
	};
	struct msg m;
	int ret;

	ret = client_call(c, VFIO_USER_REGION_WRITE_MULTI, iov, 2, NULL, 0, &m);
	if (ret)
		return ret;
	if (m.nr_fds)
		return client_violation(c, &m, "fds that nobody asked for");
	if (m.len != sizeof(reply))
		return client_violation(c, &m, "a payload of the wrong length");
	memcpy(&reply, m.payload, sizeof(reply));
	if (reply.wr_cnt > nr)
		return client_violation(c, &m, "a count above what was asked");
	return reply.wr_cnt;
}

ssize_t vfio_user_region_write_multi(struct vfio_user_client *c,
				     const struct vfio_user_write_one *wrs,
				     size_t nr)
{
	/* The limit is for the data, of which there are a few bytes in each. */
	size_t most = max(client_max_xfer(c) / sizeof(*wrs), (size_t)1);
	size_t done = 0;

	if (!c->caps.write_multiple)
		return -EOPNOTSUPP;
	if (nr > SSIZE_MAX)
		return -EINVAL;

	while (done < nr) {
		size_t batch = min(nr - done, most);
		ssize_t n = region_write_batch(c, wrs + done, batch);

		if (n < 0)
			return done ? (ssize_t)done : n;
		done += n;
		if (n < batch)
			break;
	}
	return done;
}

/*
 * Ask with room for @argsz bytes. On success @m is the reply, whose fixed part
 * is checked and goes into @fixed.
 */
static int io_fds_ask(struct vfio_user_client *c, uint32_t index,
		      uint32_t argsz, struct msg *m,
		      struct vfio_user_region_io_fds *fixed)
{
	struct vfio_user_region_io_fds req = {
		.argsz = argsz,
		.index = index,
	};
	struct iovec iov = { &req, sizeof(req) };
	uint64_t full;
	int ret;

	ret = client_call(c, VFIO_USER_DEVICE_GET_REGION_IO_FDS, &iov, 1,
			  NULL, 0, m);
	if (ret)
		return ret;
	if (m->len < sizeof(*fixed))
		return client_violation(c, m, "a payload of the wrong length");
	memcpy(fixed, m->payload, sizeof(*fixed));
	if (fixed->index != index)
		return client_violation(c, m, "another region's index");
	full = sizeof(*fixed) +
	       fixed->count * (uint64_t)sizeof(struct vfio_user_io_fd);
	if (fixed->argsz < full || full > CLIENT_MAX_REGION_INFO ||
	    fixed->argsz > CLIENT_MAX_REGION_INFO)
		return client_violation(c, m, "an impossible argsz or count");
	return 0;
}

/* Has each sub-region its fd, and each fd a sub-region that it may be for? */
static bool io_fds_ok(const struct vfio_user_io_fds *io)
{
	uint64_t end;
	uint32_t i;

	for (i = 0; i < io->nr_ios; i++) {
		if (io->ios[i].fd_index >= io->nr_fds ||
		    add_overflows(io->ios[i].offset, io->ios[i].size, &end))
			return false;
	}
	return io->nr_fds <= io->nr_ios;
}

/* Copy the sub-regions in @m, check the copy, and take the fds. */
static int io_fds_take(struct vfio_user_client *c, struct msg *m,
		       uint32_t count, struct vfio_user_io_fds **out)
{
	size_t len = count * sizeof(struct vfio_user_io_fd);
	struct vfio_user_io_fds *io;

	if (m->len - sizeof(struct vfio_user_region_io_fds) < len)
		return client_violation(c, m, "less than its count says");
	io = malloc(sizeof(*io) + len);
	if (!io) {
		msg_close_fds(m);
		return -ENOMEM;
	}
	io->nr_ios = count;
	io->nr_fds = m->nr_fds;
	memcpy(io->ios, (char *)m->payload +
	       sizeof(struct vfio_user_region_io_fds), len);
	if (!io_fds_ok(io)) {
		free(io);
		return client_violation(c, m, "impossible sub-regions");
	}

	memcpy(io->fds, m->fds, m->nr_fds * sizeof(m->fds[0]));
	*out = io;
	return 0;
}

int vfio_user_region_io_fds(struct vfio_user_client *c, uint32_t index,
			    struct vfio_user_io_fds **io)
{
	struct vfio_user_region_io_fds fixed;
	struct msg m;
	int ret;

	ret = io_fds_ask(c, index, sizeof(fixed), &m, &fixed);
	if (ret)
		return ret;
	if (fixed.argsz > sizeof(fixed)) {
		msg_close_fds(&m);
		ret = io_fds_ask(c, index, fixed.argsz, &m, &fixed);
		if (ret)
			return ret;
	}
	return io_fds_take(c, &m, fixed.count, io);
}

void vfio_user_io_fds_free(struct vfio_user_io_fds *io)
{
	unsigned int i;

	if (!io)
		return;
	for (i = 0; i < io->nr_fds; i++)
		close_fd(&io->fds[i]);
	free(io);
}
