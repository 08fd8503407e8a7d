/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the preload library share among themselves.
 *
 * A program opens nodes of VFIO and gets fds for them. Behind each such fd
 * number is a struct run_file (files.c): a container, a group, a device or an
 * iommufd. Calls on the fd come to it from interpose.c. Several fds can stand
 * for one file (dup(2)); it goes with the last of them and with the last other
 * file that needs it, as in the kernel.
 *
 * A container and an iommufd's IOAS each have a struct run_space (space.c):
 * what is mapped, and which devices see it. A device (connection.c) is in one
 * space at most, and every map of the space is made known to each device that
 * is in it.
 *
 * Locks, in the order in which they are taken: the file's, the space's, the
 * connection's, the table of files, the table of memory. None is held while
 * the program's own code can run.
 */
#ifndef RUN_H
#define RUN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "tools/lib/client.h"
#include "util.h"

/* The launcher tells the library by these. */
/* A line each: BDF=SOCKET,group=N,cdev=vfioN; without what there isn't */
#define RUN_ENV_DEVICES	"VFIO_USER_RUN_DEVICES"
#define RUN_ENV_DEBUG	"VFIO_USER_RUN_DEBUG"

/* The functions of libc that are not to come back to us (real.c). */
struct run_real {
	int (*open)(const char *path, int flags, ...);
	int (*openat)(int dir, const char *path, int flags, ...);
	int (*close)(int fd);
	int (*dup)(int fd);
	int (*dup2)(int old, int new);
	int (*dup3)(int old, int new, int flags);
	int (*fcntl)(int fd, int cmd, ...);
	int (*ioctl)(int fd, unsigned long request, ...);
	ssize_t (*read)(int fd, void *buf, size_t count);
	ssize_t (*write)(int fd, const void *buf, size_t count);
	ssize_t (*pread)(int fd, void *buf, size_t count, off_t offset);
	ssize_t (*pwrite)(int fd, const void *buf, size_t count, off_t offset);
	void *(*mmap)(void *addr, size_t len, int prot, int flags, int fd,
		      off_t offset);
	int (*munmap)(void *addr, size_t len);
	void *(*mremap)(void *addr, size_t old_len, size_t len, int flags, ...);
	int (*access)(const char *path, int mode);
	int (*faccessat)(int dir, const char *path, int mode, int flags);
	int (*stat)(const char *path, struct stat *st);
	int (*lstat)(const char *path, struct stat *st);
	int (*fstat)(int fd, struct stat *st);
	int (*fstatat)(int dir, const char *path, struct stat *st, int flags);
	int (*statx)(int dir, const char *path, int flags, unsigned int mask,
		     struct statx *st);
};

/**
 * run_real() - libc's own functions
 *
 * Return: the table, filled in; never NULL. Safe at any time, from any thread.
 */
const struct run_real *run_real(void);

/* connection.c */

struct run_file;

/**
 * struct run_device - a device that the launcher was told of
 * @bdf: PCI address, or a mediated device's UUID
 * @socket: of the bridge
 * @group: IOMMU group number as sysfs has it, -1 if it has none
 * @cdev: "vfioN" as sysfs has it, or ""
 * @lock: protects the rest and serialises messages: a client isn't thread-safe
 * @client: the connection; NULL while nobody has the device open
 * @in_use: a group or a bound device needs the connection
 * @is_bound: it is by its own node that it is in use
 * @is_stale: it has been used, and is to be reset before it is used again
 * @opens: files of the device, of the group's making
 * @iommufd: that it is on by way of its group, with a reference, or NULL; the
 *           group may be on another by now
 * @iommufd_id: its object ID there
 * @space: which it is in, or NULL
 */
struct run_device {
	char bdf[64];
	char socket[108];
	int group;
	char cdev[32];
	pthread_mutex_t lock;
	struct vfio_user_client *client;
	bool in_use;
	bool is_bound;
	bool is_stale;
	unsigned int opens;
	struct run_file *iommufd;
	uint32_t iommufd_id;
	struct run_space *space;
};

/** run_devices() - all that were given; @nr is set to how many */
struct run_device *run_devices(unsigned int *nr);

/**
 * run_device_get() - connect
 * @dev: the device
 *
 * Return: 0, to be undone by run_device_put(); -EBUSY: another client has it,
 * or this program; or another negative errno.
 */
int run_device_get(struct run_device *dev);

/** run_device_put() - hang up, and wait until the bridge has let the device go */
void run_device_put(struct run_device *dev);

/**
 * run_device_renew() - hang up and connect again, for the reset that this makes
 * @dev: connected; stays in its space, if it is in one
 *
 * Return: 0, -EBUSY as long as a region is mapped, or another negative errno.
 */
int run_device_renew(struct run_device *dev);

/**
 * run_device_lock() - have the connection to oneself, until run_device_unlock()
 * @dev: a device
 * @client: set to the connection
 *
 * Return: 0, or -EIO without the lock: it is lost.
 */
int run_device_lock(struct run_device *dev, struct vfio_user_client **client);

/**
 * run_device_unlock() - and what the program is told
 * @dev: from run_device_lock()
 * @ret: of the client library's
 *
 * Return: @ret, or -EIO if the connection broke.
 */
ssize_t run_device_unlock(struct run_device *dev, ssize_t ret);

/* files.c */

enum run_kind {
	RUN_CONTAINER,
	RUN_GROUP,
	RUN_DEVICE,
	RUN_IOMMUFD,
	RUN_STREAM,
};

/**
 * struct run_ops - what can be done with a file
 * @ioctl: returns what ioctl(2) does, or a negative errno; @arg is the
 *         program's pointer, or number, unchecked
 * @pread: as pread(2), or a negative errno; NULL: -EINVAL, as the kernel says
 * @pwrite: as pwrite(2), or a negative errno
 * @mmap: map a part of it; as mmap(2), or a negative errno as a pointer
 * @release: the last user is gone: free it
 */
struct run_ops {
	int (*ioctl)(struct run_file *file, unsigned long request, void *arg);
	ssize_t (*pread)(struct run_file *file, void *buf, size_t count,
			 off_t offset);
	ssize_t (*pwrite)(struct run_file *file, const void *buf, size_t count,
			  off_t offset);
	void *(*mmap)(struct run_file *file, void *addr, size_t len, int prot,
		      int flags, off_t offset);
	void (*release)(struct run_file *file);
};

/**
 * struct run_file - what stands behind an fd; the first member of each kind's
 *                   own structure
 * @kind: which
 * @ops: what it can do
 * @refs: fds and other files that need it
 * @rdev: what fstat(2) says it is
 * @twin: the real node, opened beside ours for devices that aren't ours; -1 if
 *        there is none. Containers and iommufds have one.
 * @owner: the process that opened it; a child of its can do nothing with it but
 *         dup and close it, because the connection is its parent's
 * @pos: for read(2) and write(2), which nobody can seek
 * @is_real: the program has put a device that isn't ours on it: every ioctl
 *           goes to @twin
 */
struct run_file {
	enum run_kind kind;
	const struct run_ops *ops;
	atomic_uint refs;
	dev_t rdev;
	int twin;
	pid_t owner;
	atomic_llong pos;
	atomic_bool is_real;
};

/** run_file_init() - the part that all kinds have; one reference, no twin */
void run_file_init(struct run_file *file, enum run_kind kind,
		   const struct run_ops *ops);

/**
 * run_file_install() - give a file an fd number
 * @file: with one reference, which the fd has from now on (also on error)
 * @flags: O_CLOEXEC or 0
 * @fd: to use, or -1 for a new one that nothing can be done with but by us
 *
 * Return: the fd or a negative errno.
 */
int run_file_install(struct run_file *file, int flags, int fd);

/**
 * run_file_find() - what stands behind an fd
 * @fd: any number
 *
 * Return: the file with a reference for the caller, or NULL: not one of ours.
 * Takes no lock for numbers that never were ours.
 */
struct run_file *run_file_find(int fd);

/**
 * run_fd_hide() - take an fd of the library's own out of the program's way
 * @fd: owned by the caller; closed in any case
 *
 * Return: another number for the same file, above what programs use, with
 * FD_CLOEXEC, which close(2), close_range(2) and dup2(2) of the program leave
 * alone; to be closed by run_fd_close(). Or a negative errno.
 */
int run_fd_hide(int fd);

/** run_fd_close() - close an fd from run_fd_hide(); -1 is allowed */
void run_fd_close(int fd);

/** run_fd_show() - a hidden fd was closed, or is the program's from now on */
void run_fd_show(int fd);

/** run_file_get() - another reference */
void run_file_get(struct run_file *file);

/** run_file_put() - give one back; the last one releases the file */
void run_file_put(struct run_file *file);

/* space.c */

/**
 * struct run_space - an I/O address space, as a program sees it
 *
 * Made by run_space_new(). Its own lock makes each function below atomic.
 */
struct run_space;

/**
 * run_space_new() - an empty one with no device
 *
 * Return: the space, with one reference, or NULL if out of memory.
 */
struct run_space *run_space_new(void);

/**
 * run_space_free() - give a reference back; the last one frees the space
 * @space: may be NULL. No device is in it when the last reference goes.
 */
void run_space_free(struct run_space *space);

/**
 * run_space_add() - let a device see all that is mapped, from now on
 * @space: the space
 * @dev: connected, and in no other space
 *
 * Memory that was mapped while no device was there is looked at only now.
 *
 * Return: 0 or a negative errno, with nothing changed: -EADDRINUSE when
 * something is mapped that the device's IOMMU can't map, by address or by
 * alignment; or what run_space_map() returns.
 */
int run_space_add(struct run_space *space, struct run_device *dev);

/** run_space_remove() - the device sees nothing of it any more */
void run_space_remove(struct run_space *space, struct run_device *dev);

/**
 * run_space_map() - map a range of the program's memory
 * @space: the space
 * @iova: I/O virtual address, in bytes
 * @vaddr: in the program
 * @size: in bytes
 * @flags: VFIO_USER_DMA_MAP_READ, _WRITE
 *
 * Without a device in the space it is only remembered, and nothing is known of
 * the memory yet, as in the kernel.
 *
 * Return: 0; -EINVAL: not aligned to the least page size, or outside the
 * ranges of run_space_info(); -EOVERFLOW: it wraps around; -EEXIST: it overlaps
 * a map; -ENOSPC: there are as many as a server takes; -EOPNOTSUPP: no fd can
 * be had for the memory, which stderr says; -EFAULT: there is no memory; or
 * what a device's server says. All devices have it, or none.
 */
int run_space_map(struct run_space *space, uint64_t iova, void *vaddr,
		  uint64_t size, uint32_t flags);

/** run_space_map_file() - the same with memory that is a file's already */
int run_space_map_file(struct run_space *space, uint64_t iova, int fd,
		       uint64_t offset, uint64_t size, uint32_t flags);

/**
 * run_space_unmap() - unmap all maps that lie in a range
 * @space: the space
 * @first: I/O virtual address, in bytes
 * @last: of the last byte
 * @cut: what to do with a map that lies in the range only in part: a negative
 *       errno with which nothing is unmapped; 0: leave that map; 1: unmap it if
 *       it begins in the range, but if one lies across @first, unmap nothing;
 *       2: unmap those before it, then fail with -ENOENT, as iommufd does
 * @unmapped: set to the bytes that were unmapped
 *
 * Return: 0 or a negative errno.
 */
int run_space_unmap(struct run_space *space, uint64_t first, uint64_t last,
		    int cut, uint64_t *unmapped);

/**
 * struct run_iommu_info - what all devices of a space can do
 * @pgsizes: page sizes, or'ed together, in bytes
 * @max_maps: most maps at one time
 * @nr_maps: maps at this time, as a server counts them: memory that consists
 *           of several files counts as often
 * @nr_ranges: entries of @ranges
 * @ranges: I/O virtual addresses that can be mapped, both ends included
 */
struct run_iommu_info {
	uint64_t pgsizes;
	uint32_t max_maps;
	uint32_t nr_maps;
	unsigned int nr_ranges;
	struct {
		uint64_t first;
		uint64_t last;
	} ranges[64];
};

/** run_space_info() - of a space with its devices; all of 64 bits without any */
void run_space_info(struct run_space *space, struct run_iommu_info *info);

/* memory.c */

struct run_memory_file;

/**
 * struct run_segment - a piece of the program's memory, as a file has it
 * @file: keeps @fd open: a reference, for run_segments_free()
 * @fd: the file, shared with others: not to be closed
 * @offset: in the file, in bytes
 * @size: in bytes
 */
struct run_segment {
	struct run_memory_file *file;
	int fd;
	uint64_t offset;
	uint64_t size;
};

/**
 * run_memory_resolve() - find or make the files behind a range of memory
 * @vaddr: first byte, aligned to a page
 * @size: in bytes, a multiple of the page size
 * @writeable: the device will write
 * @segments: set to an array, in order of address, for run_segments_free()
 * @nr: how many
 *
 * Private anonymous memory becomes a memfd's, in place, contents kept, while
 * other threads may use it.
 *
 * Return: 0; -EOPNOTSUPP when there is no way, which stderr says; -EFAULT
 * where nothing is mapped or access isn't allowed; or another negative errno.
 */
int run_memory_resolve(void *vaddr, size_t size, bool writeable,
		       struct run_segment **segments, unsigned int *nr);

/**
 * run_memory_resolve_file() - the same for a file that the program names
 * @fd: the file; stays the caller's
 * @offset: in the file, in bytes
 * @size: in bytes
 * @segments: set to an array of one, for run_segments_free()
 *
 * Return: 0, -EBADF, or another negative errno.
 */
int run_memory_resolve_file(int fd, uint64_t offset, uint64_t size,
			    struct run_segment **segments);

/** run_segments_free() - nobody needs them any more */
void run_segments_free(struct run_segment *segments, unsigned int nr);

/**
 * run_memory_mmap_shared() - mmap(2) with MAP_SHARED | MAP_ANONYMOUS
 * @addr: as for mmap(2), as all that follows
 * @len: in bytes
 * @prot: PROT_*
 * @flags: MAP_*; MAP_HUGETLB with a page size is understood
 *
 * The memory is a file's, which is remembered: neither run_memory_mapped() nor
 * run_memory_unmapped() is to be called.
 *
 * Return: as mmap(2), errno included.
 */
void *run_memory_mmap_shared(void *addr, size_t len, int prot, int flags);

/**
 * run_memory_mapped() - the program has mapped a file, or a device's region
 * @addr: where
 * @len: in bytes
 * @fd: the file; stays the caller's
 * @offset: in the file, in bytes
 *
 * So that the file is known when the memory is mapped for DMA, even if the
 * program has closed it by then. What was known of the range before is
 * forgotten.
 */
void run_memory_mapped(void *addr, size_t len, int fd, off_t offset);

/**
 * run_memory_munmap() - munmap(2), with run_memory_unmapped() in one
 * @addr: as for munmap(2)
 * @len: in bytes
 *
 * Return: as munmap(2), errno included.
 */
int run_memory_munmap(void *addr, size_t len);

/**
 * run_memory_unmapped() - another mapping has taken the place of what was there
 * @addr: where
 * @len: in bytes
 */
void run_memory_unmapped(void *addr, size_t len);

/** run_memory_moved() - mremap(2) has moved or resized a mapping */
void run_memory_moved(void *old, size_t old_len, void *addr, size_t len);

/* container.c, group.c, device.c, iommufd.c: what opening a node gives */

/** run_container_new() - /dev/vfio/vfio; NULL if out of memory */
struct run_file *run_container_new(void);

/**
 * run_group_new() - /dev/vfio/GROUP
 * @group: of at least one of run_devices()
 * @file: set to the file
 *
 * Return: 0; -EBUSY: it is open already, here or elsewhere; or a negative errno.
 */
int run_group_new(int group, struct run_file **file);

/**
 * run_device_new_cdev() - /dev/vfio/devices/vfioN, not bound yet
 * @dev: the device
 *
 * Return: the file, or NULL if out of memory.
 */
struct run_file *run_device_new_cdev(struct run_device *dev);

/** run_iommufd_new() - /dev/iommu; NULL if out of memory */
struct run_file *run_iommufd_new(void);

/**
 * run_container_ioctl() - the container's ioctls, on a container or an iommufd
 * @file: either; an iommufd has these too (CONFIG_IOMMUFD_VFIO_CONTAINER)
 * @request: ioctl number
 * @arg: the program's
 *
 * Return: what ioctl(2) does, or a negative errno.
 */
int run_container_ioctl(struct run_file *file, unsigned long request,
			void *arg);

/**
 * run_iommufd_find_ioas() - the address space of an IOAS
 * @file: an iommufd
 * @id: as the program has it
 *
 * Return: the space, with a reference, for run_space_free(); or NULL.
 */
struct run_space *run_iommufd_find_ioas(struct run_file *file, uint32_t id);

/**
 * run_iommufd_attach() - VFIO_DEVICE_ATTACH_IOMMUFD_PT
 * @file: an iommufd
 * @id: from run_iommufd_add_device()
 * @pt_id: of an IOAS, or of a page table that an earlier attachment gave; set
 *         to the page table's number
 *
 * Adds the device to the IOAS's space, which is then in use. A device that is
 * attached already is moved.
 *
 * Return: 0; -ENOENT: there is no such object; -EINVAL: it is of another kind;
 * or what run_space_add() returns. On error the device stays where it was.
 */
int run_iommufd_attach(struct run_file *file, uint32_t id, uint32_t *pt_id);

/** run_iommufd_detach() - of a device that need not be attached */
void run_iommufd_detach(struct run_file *file, uint32_t id);

/**
 * run_iommufd_add_device() - a device is bound to an iommufd
 * @file: an iommufd
 * @dev: connected
 * @id: set to its object ID, from the same numbers as those of an IOAS
 *
 * Return: 0 or a negative errno.
 */
int run_iommufd_add_device(struct run_file *file, struct run_device *dev,
			   uint32_t *id);

/** run_iommufd_remove_device() - it isn't any more; it is detached, too */
void run_iommufd_remove_device(struct run_file *file, uint32_t id);

/**
 * run_iommufd_compat_create() - see to it that there is a compatibility IOAS
 * @file: an iommufd, which a group is put on
 *
 * Return: 0 or a negative errno.
 */
int run_iommufd_compat_create(struct run_file *file);

/**
 * run_iommufd_compat() - the address space that the container's ioctls are for
 * @file: an iommufd
 * @id: set to the IOAS's number, for run_iommufd_attach(); may be NULL
 *
 * Return: the space, as run_iommufd_find_ioas(); NULL: there is none, which
 * the kernel says as ENODEV.
 */
struct run_space *run_iommufd_compat(struct run_file *file, uint32_t *id);

/* user.c: the program's memory, named by an ioctl */

/** run_copy_in() - read it; 0, or -EFAULT where it can't be read */
int run_copy_in(void *to, const void *user, size_t size);

/** run_copy_out() - write it; 0, or -EFAULT where it can't be written */
int run_copy_out(void *user, const void *from, size_t size);

/* debug.c */

/** run_debug() - does the operator want to see every call? */
bool run_debug(void);

/**
 * run_debug_ioctl() - print an ioctl, by name, with its arguments decoded
 * @file: on which
 * @fd: the program's number
 * @request: ioctl number
 * @arg: the program's, after the call
 * @ret: what it returns, or a negative errno
 * @us: how long it took, in microseconds
 */
void run_debug_ioctl(const struct run_file *file, int fd,
		     unsigned long request, const void *arg, int ret,
		     uint64_t us);

/** run_say() - one line on stderr, with our name in front */
void run_say(const char *fmt, ...) __printf(1, 2);

#endif
