// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kernel that pins memory holds pages; the fake holds the file they are of,
 * one fd for each file however often it is mapped. So the daemon can close and
 * unmap as it likes, and the device still reaches the memory until it is
 * unmapped from the IOMMU.
 */
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>

#include "internal.h"

#define BACKING_BUCKETS		256

static struct backing *buckets[BACKING_BUCKETS];

int hide_fd(int fd)
{
	int hidden = raw_fcntl(fd, F_DUPFD_CLOEXEC, FAKE_FD_BASE);

	if (hidden < 0)
		hidden = raw_fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (hidden < 0)
		return -errno;
	fake_control()->hidden_fds++;
	return hidden;
}

void unhide_fd(int *fd)
{
	if (*fd < 0)
		return;
	raw_close(*fd);
	*fd = -1;
	fake_control()->hidden_fds--;
}

static struct backing **backing_bucket(dev_t dev, ino_t ino)
{
	return &buckets[(ino ^ dev) % BACKING_BUCKETS];
}

static bool is_shmem(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && (fs.f_type == TMPFS_MAGIC ||
				     fs.f_type == HUGETLBFS_MAGIC);
}

static bool is_writeable(int fd)
{
	return (raw_fcntl(fd, F_GETFL, 0) & O_ACCMODE) == O_RDWR;
}

/*
 * The device's own file is opened anew instead of duplicated: a BAR that is
 * mapped for DMA doesn't hold the device.
 */
static int hide_file(int fd, const struct stat *st)
{
	int memory = device_open_memory(st), hidden;

	if (memory < 0)
		return hide_fd(fd);
	hidden = hide_fd(memory);
	raw_close(memory);
	return hidden;
}

static struct backing *backing_new(int fd, const struct stat *st)
{
	struct backing **bucket = backing_bucket(st->st_dev, st->st_ino);
	struct backing *backing = malloc(sizeof(*backing));

	if (!backing)
		return NULL;
	*backing = (struct backing){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.shmem = is_shmem(fd),
		.writeable = is_writeable(fd),
		.fd = max(hide_file(fd, st), -1),
		.refs = 1,
		.next = *bucket,
	};
	*bucket = backing;
	return backing;
}

struct backing *backing_open(int fd, struct stat *st)
{
	struct backing *backing;

	if (raw_fstat(fd, st))
		return NULL;
	backing = *backing_bucket(st->st_dev, st->st_ino);
	while (backing && (backing->dev != st->st_dev ||
			   backing->ino != st->st_ino))
		backing = backing->next;
	if (!backing)
		return backing_new(fd, st);

	if (!backing->writeable && is_writeable(fd)) {
		unhide_fd(&backing->fd);
		backing->fd = max(hide_fd(fd), -1);
		backing->writeable = true;
	}
	backing->refs++;
	return backing;
}

void backing_get(struct backing *backing)
{
	backing->refs++;
}

void backing_put(struct backing *backing)
{
	struct backing **at;

	if (!backing || --backing->refs)
		return;
	at = backing_bucket(backing->dev, backing->ino);
	while (*at != backing)
		at = &(*at)->next;
	*at = backing->next;
	unhide_fd(&backing->fd);
	free(backing);
}
