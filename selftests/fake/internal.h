/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FAKE_INTERNAL_H
#define FAKE_INTERNAL_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fake.h"
#include "span.h"
#include "util.h"

/*
 * What the parts of the software kernel know of each other. All of it is
 * called with fake_lock() held unless it says otherwise, returns a negative
 * errno on failure, and makes its system calls with syscall(2), because the
 * C library's names are taken.
 */

/* Fds that the fake holds for itself are above this, if there is room. */
#define FAKE_FD_BASE		700

/* The host's page size is taken as this; the fake IOMMU's is configured. */
#define FAKE_PAGE_SIZE		4096ull

/*
 * control.c: the page shared with the test
 */

/**
 * fake_control() - the shared page
 *
 * Needs no lock. Return: the page, or NULL if no test is behind this process.
 */
struct fake_control *fake_control(void);

/** fake_root() - the directory, an absolute path; NULL without a test */
const char *fake_root(void);

void fake_lock(void);
void fake_unlock(void);

/**
 * fake_path() - a path below the root
 * @buf: filled in; PATH_MAX bytes
 * @path: relative to the root
 *
 * Return: @buf.
 */
char *fake_path(char *buf, const char *path);

/*
 * machine.c: devices, by index, of which 0 is the first
 */
unsigned int machine_nr(void);
const char *machine_name(unsigned int index);
uint32_t machine_group(unsigned int index);
uint32_t machine_cdev(unsigned int index);
struct fake_irq *machine_irq(unsigned int index);

/** machine_find() - the index of a device, or -ENODEV */
int machine_find(const char *name);
int machine_find_cdev(uint32_t cdev);

/** machine_same_bus() - does a reset of the one's bus touch the other? */
bool machine_same_bus(unsigned int a, unsigned int b);

/*
 * inject.c: rules and counters. Called without the lock, before the call.
 */

/**
 * inject() - count a call, wait, fail
 * @call: which one
 *
 * Return: 0, or the negative errno that it shall fail with.
 */
int inject(enum fake_call call);

/** inject_ioctl() - as inject(), for FAKE_IOCTL of @request on a @kind */
int inject_ioctl(enum fake_kind kind, unsigned long request);

/** inject_transfer() - as inject(), and may shorten @count */
int inject_transfer(enum fake_call call, size_t *count);

/*
 * fd.c: what is behind an fd
 */
struct fake_file;

/**
 * struct fake_ops - one kind of fd
 * @kind: which one
 * @ioctl: @fd is the number it was called with
 * @read: read(2), for those that are streams; else NULL
 * @write: write(2), if @read isn't NULL
 * @release: the last reference is gone: free it
 */
struct fake_ops {
	enum fake_kind kind;
	long (*ioctl)(struct fake_file *file, int fd, unsigned long request,
		      void *arg);
	ssize_t (*read)(struct fake_file *file, void *buf, size_t count);
	ssize_t (*write)(struct fake_file *file, const void *buf,
			 size_t count);
	void (*release)(struct fake_file *file);
};

/**
 * struct fake_file - the object behind fds, a part of a larger one
 * @ops: what it is
 * @refs: fds and objects that refer to it
 */
struct fake_file {
	const struct fake_ops *ops;
	unsigned int refs;
};

/**
 * file_install() - make an fd refer to an object
 * @fd: a new fd
 * @file: the reference goes to the fd
 *
 * Return: @fd, or -EMFILE if the fake has no room for such a number: then
 * the fd is closed and the reference is given back.
 */
int file_install(int fd, struct fake_file *file);

/** file_any() - the object behind an fd, or NULL. Needs no lock */
struct fake_file *file_any(int fd);

/** file_of() - the object behind an fd of one kind, or NULL */
struct fake_file *file_of(int fd, enum fake_kind kind);

void file_get(struct fake_file *file);
void file_put(struct fake_file *file);

/*
 * backing.c: references to files, as pinning memory takes them
 */

/**
 * struct backing - a file that is mapped, for the process or for the device
 * @dev: its identity
 * @ino: its identity
 * @shmem: it is shared memory, or of huge pages
 * @writeable: @fd can be written to
 * @fd: an fd of the fake's own; -1 if there was no room for one
 * @refs: how many refer to it
 * @next: in the same bucket
 */
struct backing {
	dev_t dev;
	ino_t ino;
	bool shmem;
	bool writeable;
	int fd;
	unsigned int refs;
	struct backing *next;
};

/**
 * backing_open() - refer to the file behind an fd
 * @fd: any fd
 * @st: filled in
 *
 * One system call if the file is known, since benchmarks go through here.
 *
 * Return: the file, or NULL with errno set.
 */
struct backing *backing_open(int fd, struct stat *st);
void backing_get(struct backing *backing);
void backing_put(struct backing *backing);

/** hide_fd() - a duplicate for the fake's own use, or a negative errno */
int hide_fd(int fd);

/** unhide_fd() - close one, and make it -1 */
void unhide_fd(int *fd);

/*
 * window.c: the process's shared mappings of files
 */
void window_add(void *addr, size_t len, int prot, int fd, uint64_t offset);
void window_remove(void *addr, size_t len);
bool window_overlaps(void *addr, size_t len);

/**
 * struct dma_source - memory that a DMA map is made of
 * @backing: the file, a reference; NULL for memory of the process
 * @offset: in the file, or the address in the process
 */
struct dma_source {
	struct backing *backing;
	uint64_t offset;
};

/**
 * window_pin() - what is behind an address of the process
 * @vaddr: the address
 * @size: in bytes
 * @write: the device wants to write there
 * @source: filled in
 *
 * Return: 0, or -EFAULT for what can't be pinned.
 */
int window_pin(uint64_t vaddr, uint64_t size, bool write,
	       struct dma_source *source);

/*
 * dma.c: I/O address spaces
 */

/**
 * struct dma_space - one I/O address space; all zero is an empty one
 * @maps: struct dma_map, by I/O virtual address
 * @nr: how many
 */
struct dma_space {
	struct span_set maps;
	uint64_t nr;
};

/** dma_overlaps() - is anything mapped in [start, last]? */
bool dma_overlaps(const struct dma_space *space, uint64_t start,
		  uint64_t last);

/** dma_in_range() - can the IOMMU map all of [start, last]? */
bool dma_in_range(uint64_t start, uint64_t last);

/** dma_cut() - does [start, last] have a part of a map, not the whole? */
bool dma_cut(const struct dma_space *space, uint64_t start, uint64_t last);

/**
 * dma_find_room() - lowest free addresses
 * @space: the address space
 * @size: in bytes
 * @align: a power of two
 * @iova: filled in
 *
 * Return: 0 or -ENOSPC.
 */
int dma_find_room(const struct dma_space *space, uint64_t size,
		  uint64_t align, uint64_t *iova);

/**
 * dma_map() - add a map
 * @space: the address space
 * @iova: first address
 * @size: in bytes, not 0; nothing is mapped there
 * @read: the device may read
 * @write: the device may write
 * @source: the memory; on success its reference is the map's
 *
 * Return: 0, or -ENOMEM over the configured limit.
 */
int dma_map(struct dma_space *space, uint64_t iova, uint64_t size, bool read,
	    bool write, const struct dma_source *source);

/** dma_unmap() - remove all that overlaps [start, last]; returns bytes */
uint64_t dma_unmap(struct dma_space *space, uint64_t start, uint64_t last);

/**
 * dma_copy() - the device reads or writes memory
 * @space: the address space
 * @iova: first address
 * @buf: the device's side
 * @size: in bytes
 * @write: to memory
 *
 * Return: 0, or -EFAULT if something there isn't mapped for that.
 */
int dma_copy(const struct dma_space *space, uint64_t iova, void *buf,
	     size_t size, bool write);

/*
 * chain.c: capability chains of VFIO's information structures
 */
#define CHAIN_MAX		1024

/**
 * struct chain - capabilities that follow a structure
 * @base: size of the structure in bytes
 * @size: of the capabilities in bytes
 * @last: where the last one begins in @data
 * @data: the capabilities
 */
struct chain {
	size_t base;
	size_t size;
	size_t last;
	uint8_t data[CHAIN_MAX] __attribute__((aligned(8)));
};

/** chain_add() - add one of @size bytes, header included; never fails */
void *chain_add(struct chain *chain, uint16_t id, size_t size);

/**
 * chain_put() - hand the chain to the caller of an ioctl
 * @chain: the capabilities
 * @arg: the structure
 * @argsz: how long @arg may be; becomes how long it would have to be
 * @cap_offset: becomes where the chain begins in @arg, or 0
 *
 * Return: true if there are any.
 */
bool chain_put(const struct chain *chain, void *arg, uint32_t *argsz,
	       uint32_t *cap_offset);

/*
 * container.c, group.c, iommufd.c, device.c: the nodes in /dev. The open
 * functions get an fd of the node's marker file, which becomes theirs, and the
 * number in the node's name, and return it, or another one, or a negative errno.
 */
struct container;
struct ioas;

int container_open(int fd, uint32_t number);
int group_open(int fd, uint32_t number);
int iommufd_open(int fd, uint32_t number);
int device_open_cdev(int fd, uint32_t number);

/** container_attach() - VFIO_GROUP_SET_CONTAINER; takes a reference */
struct container *container_attach(struct fake_file *file);
void container_detach(struct container *container);

/** container_space() - NULL before VFIO_SET_IOMMU, and without an IOMMU */
struct dma_space *container_space(struct container *container);

/** container_ready() - was there a VFIO_SET_IOMMU? */
bool container_ready(const struct container *container);

/** group_container() - the container of a group, or NULL */
struct container *group_container(struct fake_file *group);

/** group_is_open() - does any process have the group open? */
bool group_is_open(uint32_t number);

/** group_number() - which group it is */
uint32_t group_number(struct fake_file *group);

/** group_use() - one device more, or with false one less, came of it */
void group_use(struct fake_file *group, bool use);

/** iommufd_new_id() - number for an object */
uint32_t iommufd_new_id(struct fake_file *iommufd);

/** iommufd_attach() - an address space becomes a device's; NULL if unknown */
struct ioas *iommufd_attach(struct fake_file *iommufd, uint32_t id);
void iommufd_detach(struct ioas *ioas);
struct dma_space *ioas_space(struct ioas *ioas);

/**
 * struct device - an open device, or one that is going to be
 * @file: what the fd refers to
 * @index: which device
 * @bound: it can be used
 * @group: which it came from, a reference; NULL for a cdev
 * @iommufd: which it is bound to, a reference; NULL with a group
 * @ioas: which it is attached to, or NULL
 * @id: its number in the iommufd
 * @next: in the list of those that another process still holds
 */
struct device {
	struct fake_file file;
	unsigned int index;
	bool bound;
	struct fake_file *group;
	struct fake_file *iommufd;
	struct ioas *ioas;
	uint32_t id;
	struct device *next;
};

/** device_get_fd() - VFIO_GROUP_GET_DEVICE_FD */
int device_get_fd(struct fake_file *group, unsigned int index);

/** raw_fstat() - fstat(2), which knows of no device */
int raw_fstat(int fd, struct stat *st);

/** device_held() - does any process hold one of a group? Sees to orphans first */
bool device_held(uint32_t group);

/**
 * device_open_memory() - open a device's file, without its lock
 * @st: of a file
 *
 * Return: an fd if it is such a file, or a negative errno.
 */
int device_open_memory(const struct stat *st);

/** device_space() - where its DMA goes, NULL for nowhere */
struct dma_space *device_space(const struct device *dev);

/** device_disturb() - something is asked of it: does it sleep? */
void device_disturb(const struct device *dev);

/** device_mmap() - may this be mapped? 0 or -EINVAL */
int device_mmap(const struct device *dev, uint64_t offset, size_t len);

/*
 * irq.c
 */
void irq_init(unsigned int index);
void irq_exit(unsigned int index);
long irq_info(void *arg);
long irq_set(unsigned int index, void *arg);

/** eventfd_take() - hide_fd() for an eventfd; -EINVAL if it isn't one */
int eventfd_take(int fd);

/*
 * doorbell.c
 */
void doorbell_init(void);
void doorbell_exit(void);
long doorbell_set(const void *arg);

/*
 * feature.c: VFIO_DEVICE_FEATURE. @fd is one of the device's.
 */
long feature_call(int fd, void *arg);

/**
 * feature_check() - what the kernel checks for each feature alike
 * @flags: of the call
 * @len: of the data, in bytes
 * @methods: VFIO_DEVICE_FEATURE_GET and _SET that the feature has
 * @need: least length of the data, in bytes
 *
 * Return: 1 to go on, 0 for a probe that has found it, or -EINVAL.
 */
int feature_check(uint32_t flags, size_t len, uint32_t methods, size_t need);

/*
 * migration.c and logging.c: features, each with the length of its data
 */

/** migration_exit() - the device is reset or closed: running, no stream */
void migration_exit(void);
long migration_info(uint32_t flags, void *data, size_t len);
long migration_state(int fd, uint32_t flags, void *data, size_t len);

/** logging_write() - the device has written @size bytes to memory */
void logging_write(uint64_t iova, uint64_t size);

/** logging_exit() - nothing is logged any more, and the log is lost */
void logging_exit(void);
long logging_start(uint32_t flags, void *data, size_t len);
long logging_stop(uint32_t flags, size_t len);
long logging_report(uint32_t flags, const void *data, size_t len);

/*
 * stream.c: the file of a migration
 */
struct stream;

/**
 * stream_new() - a stream
 * @saving: it can be read; else it can be written
 * @size: most bytes that it holds
 *
 * Return: the stream, a reference, or NULL.
 */
struct stream *stream_new(bool saving, size_t size);

/** stream_fd() - an fd for a stream, or a negative errno */
int stream_fd(struct stream *stream);

/**
 * stream_data() - what is in it
 * @stream: a stream
 * @len: set to how much has been written
 */
uint8_t *stream_data(struct stream *stream, size_t *len);

/**
 * stream_fill() - let the first bytes of stream_data() be read
 * @stream: a stream that saves
 * @len: how many
 * @err: errno of reading on; 0: it is the end
 */
void stream_fill(struct stream *stream, size_t len, int err);

/** stream_disable() - its fds are of no use any more; gives up the reference */
void stream_disable(struct stream **stream);

/*
 * model.c: what the device does. @fd is one of the device's.
 */

/**
 * model_reset() - the device forgets
 * @index: which
 * @fd: one of its fds
 * @config: its configuration space too, as when it is opened; a reset of an
 *          open device restores that
 */
void model_reset(unsigned int index, int fd, bool config);
ssize_t model_read(struct device *dev, int fd, void *buf, size_t count,
		   uint64_t pos);
ssize_t model_write(struct device *dev, int fd, const void *buf, size_t count,
		    uint64_t pos);

/** model_get_state() - what of the device migrates */
uint64_t model_get_state(int fd);
void model_set_state(int fd, uint64_t state);

/**
 * config_mask() - which bits of the configuration space can be written
 * @config: the machine
 * @offset: in bytes, a multiple of 4
 */
uint32_t config_mask(const struct fake_config *config, uint32_t offset);

/*
 * path.c: opens a node, or -ENXIO if it isn't one. Called without the lock.
 */
int node_open(const char *path, int flags);

/* System calls past the C library; -1 and errno, as there. */
static inline int raw_openat(int dir, const char *path, int flags, mode_t mode)
{
	return syscall(SYS_openat, dir, path, flags, mode);
}

/* Take the lock of an open file; it goes with the last duplicate of the fd. */
static inline int raw_flock(int fd)
{
	return syscall(SYS_flock, fd, LOCK_EX | LOCK_NB);
}

/* ThreadSanitizer's, if it is there. */
#pragma weak __interceptor_close
#pragma weak AnnotateIgnoreSyncBegin
#pragma weak AnnotateIgnoreSyncEnd
#pragma weak AnnotateIgnoreReadsBegin
#pragma weak AnnotateIgnoreReadsEnd
#pragma weak AnnotateIgnoreWritesBegin
#pragma weak AnnotateIgnoreWritesEnd
int __interceptor_close(int fd);
void AnnotateIgnoreSyncBegin(const char *file, int line);
void AnnotateIgnoreSyncEnd(const char *file, int line);
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

/* It watches over the numbers of fds. */
static inline int raw_close(int fd)
{
	if (__interceptor_close)
		return __interceptor_close(fd);
	return syscall(SYS_close, fd);
}

static inline int raw_fcntl(int fd, int cmd, unsigned long arg)
{
	return syscall(SYS_fcntl, fd, cmd, arg);
}

static inline ssize_t raw_pread(int fd, void *buf, size_t count, off_t pos)
{
	return syscall(SYS_pread64, fd, buf, count, pos);
}

static inline ssize_t raw_pwrite(int fd, const void *buf, size_t count,
				 off_t pos)
{
	return syscall(SYS_pwrite64, fd, buf, count, pos);
}

/* What an interposed function returns for 0 or more, or a negative errno. */
static inline long libc_result(long ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

#endif
