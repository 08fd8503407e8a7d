// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that memory is mapped from.
 *
 * One fd of our own for each file, however many mappings it has, for as long as
 * one of them is mapped here or for a device. Regular files, memfds and huge
 * pages among them, are told by device and inode; whether the fd can write
 * makes two of one, since a device that is to write needs the one that can. All
 * that isn't a regular file, such as a device's fd, may share its inode with
 * others, so each is its own.
 *
 * Files of mappings that we weren't told of are looked for among the program's
 * open fds, then in /proc/self/map_files, which needs privilege, and at last by
 * the path that /proc/self/maps has.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

static void *files;

static int file_compare(const void *a, const void *b)
{
	const struct run_memory_file *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return (int)x->writeable - (int)y->writeable;
}

static struct run_memory_file *file_find(dev_t dev, ino_t ino, bool writeable)
{
	struct run_memory_file key = {
		.dev = dev,
		.ino = ino,
		.writeable = writeable,
	};
	struct run_memory_file **found = tfind(&key, &files, file_compare);

	if (!found || !run_memory_file_ok(*found))
		return NULL;
	run_memory_file_get(*found);
	return *found;
}

static int file_dup(int fd)
{
	int own = run_real()->fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return own < 0 ? -errno : run_fd_hide(own);
}

static int file_new(int fd, const struct stat *st, bool writeable,
		    struct run_memory_file **file)
{
	struct run_memory_file *f, **at;

	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->refs = 1;
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	f->regular = S_ISREG(st->st_mode);
	f->writeable = writeable;
	f->fd = file_dup(fd);
	if (f->fd < 0) {
		int ret = f->fd;

		free(f);
		return ret;
	}
	if (f->regular) {
		/* One whose fd the program has closed makes room. */
		at = tfind(f, &files, file_compare);
		if (at) {
			(*at)->regular = false;
			tdelete(f, &files, file_compare);
		}
		if (!tsearch(f, &files, file_compare))
			f->regular = false;
	}
	*file = f;
	return 0;
}

int run_memory_file_open(int fd, struct run_memory_file **file)
{
	bool writeable;
	struct stat st;
	int flags;

	flags = run_real()->fcntl(fd, F_GETFL);
	if (flags < 0 || run_real()->fstat(fd, &st))
		return -errno;
	writeable = (flags & O_ACCMODE) == O_RDWR;
	*file = S_ISREG(st.st_mode) ?
		file_find(st.st_dev, st.st_ino, writeable) : NULL;
	return *file ? 0 : file_new(fd, &st, writeable, file);
}

bool run_memory_file_ok(const struct run_memory_file *file)
{
	struct stat st;

	return !run_real()->fstat(file->fd, &st) && st.st_dev == file->dev &&
	       st.st_ino == file->ino;
}

void run_memory_file_get(struct run_memory_file *file)
{
	file->refs++;
}

void run_memory_file_put(struct run_memory_file *file)
{
	if (--file->refs)
		return;
	if (file->regular)
		tdelete(file, &files, file_compare);
	if (run_memory_file_ok(file))
		run_fd_close(file->fd);
	free(file);
}

/*
 * Take an fd if it is the mapping's file, and can do what is wanted. Some
 * filesystems have a device of their own in stat(2), so by name the inode is
 * enough.
 */
static int file_try(int fd, const struct run_vma *vma, bool by_name,
		    bool writeable, struct run_memory_file **file)
{
	struct stat st;
	int flags;

	if (run_real()->fstat(fd, &st) || st.st_ino != vma->inode ||
	    !S_ISREG(st.st_mode) || (!by_name && st.st_dev != vma->dev))
		return -ENOENT;
	flags = run_real()->fcntl(fd, F_GETFL);
	if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY)
		return -ENOENT;
	if (writeable && (flags & O_ACCMODE) != O_RDWR)
		return -EACCES;
	return run_memory_file_open(fd, file);
}

static int file_of_fds(const struct run_vma *vma, bool writeable,
		       struct run_memory_file **file)
{
	int ret = -ENOENT, now;
	struct dirent *entry;
	DIR *dir;

	dir = opendir("/proc/self/fd");
	if (!dir)
		return -ENOENT;
	while (ret && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		now = file_try(atoi(entry->d_name), vma, false, writeable,
			       file);
		if (now != -ENOENT)
			ret = now;
	}
	closedir(dir);
	return ret;
}

static int file_of_path(const char *path, const struct run_vma *vma,
			bool writeable, struct run_memory_file **file)
{
	int fd, ret;

	fd = run_real()->open(path, O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
			      (writeable ? O_RDWR : O_RDONLY));
	if (fd < 0)
		return errno == EACCES ? -EACCES : -ENOENT;
	ret = file_try(fd, vma, true, writeable, file);
	run_real()->close(fd);
	return ret;
}

static int file_of_mapping(const struct run_vma *vma, bool writeable,
			   struct run_memory_file **file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
		 (unsigned long)vma->start, (unsigned long)vma->end);
	return file_of_path(path, vma, writeable, file);
}

int run_memory_file_of(const struct run_vma *vma, bool writeable,
		       struct run_memory_file **file)
{
	int ret, last;

	*file = file_find(vma->dev, vma->inode, true);
	if (!*file && !writeable)
		*file = file_find(vma->dev, vma->inode, false);
	if (*file)
		return 0;

	ret = file_of_fds(vma, writeable, file);
	if (ret)
		ret = file_of_mapping(vma, writeable, file);
	if (ret && vma->name[0] == '/') {
		last = file_of_path(vma->name, vma, writeable, file);
		if (!last || ret == -ENOENT)
			ret = last;
	}
	return ret;
}
