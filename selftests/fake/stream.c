// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file that a migration's data goes through: read while the device saves,
 * written while it resumes. Its fds are memory files with nothing in them, so
 * that they have a number and a name; what is read and written is here.
 *
 * A stream that its state has left behind still has its fds, which are dead:
 * ENODEV, as the kernel's drivers say.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"

/**
 * struct stream - one stream
 * @file: what its fds refer to
 * @saving: it can be read; else it can be written
 * @disabled: it can't be either
 * @err: errno of reading on after @len, or 0
 * @pos: how much has been read
 * @len: how much can be read, or has been written
 * @size: most that it holds
 * @data: what it holds
 */
struct stream {
	struct fake_file file;
	bool saving;
	bool disabled;
	int err;
	size_t pos;
	size_t len;
	size_t size;
	uint8_t data[];
};

static ssize_t stream_read(struct fake_file *file, void *buf, size_t count)
{
	struct stream *stream = container_of(file, struct stream, file);

	if (!stream->saving)
		return -EBADF;
	if (stream->disabled)
		return -ENODEV;
	count = min(count, stream->len - stream->pos);
	if (!count)
		return -stream->err;
	memcpy(buf, stream->data + stream->pos, count);
	stream->pos += count;
	return count;
}

static ssize_t stream_write(struct fake_file *file, const void *buf,
			    size_t count)
{
	struct stream *stream = container_of(file, struct stream, file);

	if (stream->saving)
		return -EBADF;
	if (stream->disabled)
		return -ENODEV;
	if (count > stream->size - stream->len)
		return -ENOMEM;
	memcpy(stream->data + stream->len, buf, count);
	stream->len += count;
	return count;
}

static long stream_ioctl(struct fake_file *file, int fd, unsigned long request,
			 void *arg)
{
	return -ENOTTY;
}

static void stream_release(struct fake_file *file)
{
	free(container_of(file, struct stream, file));
}

static const struct fake_ops stream_ops = {
	.kind = FAKE_STREAM,
	.ioctl = stream_ioctl,
	.read = stream_read,
	.write = stream_write,
	.release = stream_release,
};

struct stream *stream_new(bool saving, size_t size)
{
	struct stream *stream = calloc(1, sizeof(*stream) + size);

	if (stream) {
		stream->file = (struct fake_file){ &stream_ops, 1 };
		stream->saving = saving;
		stream->size = size;
	}
	return stream;
}

int stream_fd(struct stream *stream)
{
	int fd = syscall(SYS_memfd_create, "vfio-migration", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	file_get(&stream->file);
	return file_install(fd, &stream->file);
}

uint8_t *stream_data(struct stream *stream, size_t *len)
{
	*len = stream->len;
	return stream->data;
}

void stream_fill(struct stream *stream, size_t len, int err)
{
	stream->len = len;
	stream->err = err;
}

void stream_disable(struct stream **stream)
{
	if (!*stream)
		return;
	(*stream)->disabled = true;
	file_put(&(*stream)->file);
	*stream = NULL;
}
