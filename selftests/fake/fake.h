/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FAKE_FAKE_H
#define FAKE_FAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The page that a test shares with the software VFIO inside the daemon: the
 * file "control" in the directory that the environment names. The test writes
 * the configuration and the rules, the fake writes what it saw. Counters are
 * written under the fake's lock and read by the test when the daemon waits for
 * its next message, so they need no lock of their own; the interrupt state
 * changes on both sides and has one.
 */

/* The environment variable that names the directory. */
#define FAKE_ROOT_ENV		"VFIO_FAKE_ROOT"

#define FAKE_MAGIC		0x454b4146u

#define FAKE_MAX_REGIONS	16
#define FAKE_MAX_SPARSE		4
#define FAKE_MAX_IRQS		8
#define FAKE_MAX_VECTORS	512
#define FAKE_MAX_RANGES		8
#define FAKE_MAX_OTHERS		8
#define FAKE_MAX_RULES		16
#define FAKE_MAX_MORE		3
#define FAKE_SHOWN_MAPS		256
#define FAKE_LOG_LEN		64
#define FAKE_CALL_LOG_LEN	256
#define FAKE_MAX_DOORBELLS	64

/* Where a region begins in the device's file and so on its fd, as vfio-pci. */
#define FAKE_REGION_SHIFT	40

/**
 * enum fake_call - what a rule can hit and what is counted
 *
 * Only what concerns the fake counts: paths below its root, its own fds, and
 * for the two about memory, shared mappings of a file. PREAD and PWRITE are
 * accesses to the device, READ and WRITE those of a migration stream.
 */
enum fake_call {
	FAKE_NONE,
	FAKE_OPEN,
	FAKE_CLOSE,
	FAKE_STAT,
	FAKE_READLINK,
	FAKE_ACCESS,
	FAKE_OPENDIR,
	FAKE_PREAD,
	FAKE_PWRITE,
	FAKE_MMAP,
	FAKE_MUNMAP,
	FAKE_IOCTL,
	FAKE_READ,
	FAKE_WRITE,
	FAKE_NR_CALLS,
};

/* What an fd is. The ioctl numbers of one kind mean other things to another. */
enum fake_kind {
	FAKE_CONTAINER,
	FAKE_GROUP,
	FAKE_DEVICE,
	FAKE_IOMMUFD,
	FAKE_STREAM,
	FAKE_NR_KINDS,
};

#define FAKE_HOLD		UINT32_MAX

/**
 * struct fake_rule - make one call fail, come late or fall short
 * @call: which call; FAKE_NONE for a rule that isn't used
 * @kind: for FAKE_IOCTL, on what kind of fd
 * @request: for FAKE_IOCTL, its number
 * @nth: which occurrence since the rule was written, from 1; 0: all of them
 * @err: the errno to fail with; 0: the call happens
 * @delay_ms: wait this long first, in milliseconds; FAKE_HOLD: until the rule
 *            is taken away
 * @limit: for FAKE_PREAD, FAKE_PWRITE, FAKE_READ and FAKE_WRITE with @err 0:
 *         transfer at most this many bytes; 0: no limit
 * @stubborn: no signal ends the wait, as with a kernel that doesn't return
 * @seen: occurrences so far, counted by the fake
 */
struct fake_rule {
	uint32_t call;
	uint32_t kind;
	uint64_t request;
	uint32_t nth;
	uint32_t err;
	uint32_t delay_ms;
	uint32_t limit;
	bool stubborn;
	uint32_t seen;
};

/**
 * struct fake_region - one region of the device
 * @size: in bytes
 * @flags: VFIO_REGION_INFO_FLAG_*, without CAPS
 * @absent: asking for it fails with EINVAL, as for VGA on most devices
 * @has_sparse: it has a sparse mmap capability
 * @has_type: it has a type capability
 * @msix_mappable: it has the capability of that name
 * @type: with @has_type
 * @subtype: with @has_type
 * @nr_sparse: entries of @sparse in use
 * @sparse: what can be mapped, offset in the region and size, in bytes
 */
struct fake_region {
	uint64_t size;
	uint32_t flags;
	bool absent;
	bool has_sparse;
	bool has_type;
	bool msix_mappable;
	uint32_t type;
	uint32_t subtype;
	uint32_t nr_sparse;
	struct {
		uint64_t offset;
		uint64_t size;
	} sparse[FAKE_MAX_SPARSE];
};

/**
 * struct fake_other - a device beside ours that a reset of the bus touches
 * @group: its IOMMU group
 * @segment: PCI domain
 * @bus: bus number
 * @devfn: slot and function
 * @owned: with iommufd, it counts as the caller's
 */
struct fake_other {
	uint32_t group;
	uint16_t segment;
	uint8_t bus;
	uint8_t devfn;
	bool owned;
};

/**
 * struct fake_more - one more device, like the first
 * @name: PCI address; on the first's bus a reset of that touches it as well
 * @group: its IOMMU group
 * @cdev: number of its node in /dev/vfio/devices
 */
struct fake_more {
	char name[64];
	uint32_t group;
	uint32_t cdev;
};

/**
 * struct fake_config - the machine that the fake plays
 * @name: of the device: PCI address, or UUID of a mediated device
 * @group: its IOMMU group
 * @cdev: number of its node in /dev/vfio/devices
 * @has_iommufd: there is a /dev/iommu and a node for the device
 * @has_map_file: IOMMU_IOAS_MAP_FILE is known
 * @has_type1: there is a /dev/vfio/vfio and a node for the group
 * @mdev: a mediated device: memory is looked up when the device uses it
 * @noiommu: no IOMMU; the group's node is /dev/vfio/noiommu-N
 * @not_viable: another driver holds a device of the group
 * @spoiler: name of the driver of a second device in the group, which is what
 *           sysfs shows; empty for no second device
 * @flr: the device can be reset by itself
 * @bus_reset: its bus can be reset
 * @gone: nothing answers on the bus: reads give all ones, writes go nowhere, a
 *        reset fails; but the kernel keeps the vendor that it has seen
 * @device_flags: VFIO_DEVICE_FLAGS_*, without RESET, which @flr sets
 * @api_version: what VFIO_GET_API_VERSION answers
 * @nr_more: entries of @more in use
 * @more: devices beside the first; for mediated devices there are none
 * @nr_others: entries of @others in use
 * @others: what else a reset of the bus touches
 * @nr_regions: entries of @regions in use
 * @regions: by index
 * @nr_irqs: entries of @irqs in use
 * @irqs: by index; flags as VFIO_IRQ_INFO_*; count 0 with flags 0: asking for
 *        it fails with EINVAL
 * @irq_room: how many MSI or MSI-X vectors are to be had: who wants more is told
 *            the number and gets none; 0: no limit
 * @pgsizes: page sizes of the IOMMU, or'ed together, in bytes
 * @nr_ranges: entries of @ranges in use
 * @ranges: I/O virtual addresses that can be mapped, both ends included
 * @dma_avail: how many maps a type1 container takes
 * @memlock: bytes that can be mapped before ENOMEM; 0: no limit
 * @migration: VFIO_MIGRATION_* that it has; 0: it can't migrate
 * @mig_len: length of its state in a stream, in bytes, at least FAKE_MIG_MIN
 * @mig_initial: how much of that PRE_COPY yields, in bytes
 * @mig_enomsg: what ends PRE_COPY's part is ENOMSG; else it looks like the end
 *              of the stream, as with the mtty driver
 * @low_power: it can be let sleep
 * @logging: it can log what it writes to memory
 * @log_page: the page size that it logs by, in bytes, whatever it is asked for
 */
struct fake_config {
	char name[64];
	uint32_t group;
	uint32_t cdev;
	bool has_iommufd;
	bool has_map_file;
	bool has_type1;
	bool mdev;
	bool noiommu;
	bool not_viable;
	char spoiler[32];
	bool flr;
	bool bus_reset;
	bool gone;
	uint32_t device_flags;
	uint32_t api_version;
	uint32_t nr_more;
	struct fake_more more[FAKE_MAX_MORE];
	uint32_t nr_others;
	struct fake_other others[FAKE_MAX_OTHERS];
	uint32_t nr_regions;
	struct fake_region regions[FAKE_MAX_REGIONS];
	uint32_t nr_irqs;
	struct {
		uint32_t flags;
		uint32_t count;
	} irqs[FAKE_MAX_IRQS];
	uint32_t irq_room;
	uint64_t pgsizes;
	uint32_t nr_ranges;
	struct {
		uint64_t first;
		uint64_t last;
	} ranges[FAKE_MAX_RANGES];
	uint32_t dma_avail;
	uint64_t memlock;
	uint32_t migration;
	uint32_t mig_len;
	uint32_t mig_initial;
	bool mig_enomsg;
	bool low_power;
	bool logging;
	uint64_t log_page;
};

/* The least state that can be migrated: what it begins and ends with. */
#define FAKE_MIG_MIN		24

/**
 * struct fake_map - one DMA map
 * @used: this entry means something
 * @iova: first address
 * @size: in bytes
 * @read: the device may read
 * @write: the device may write
 * @from_file: the memory is of a file; else it is the process's own
 * @dev: the file's device number
 * @ino: the file's inode number
 * @offset: in the file; without a file, the address in the process
 */
struct fake_map {
	bool used;
	uint64_t iova;
	uint64_t size;
	bool read;
	bool write;
	bool from_file;
	uint64_t dev;
	uint64_t ino;
	uint64_t offset;
};

/**
 * struct fake_access - one access to the device, as wide as the bus saw it
 * @index: region
 * @width: in bytes: 1, 2, 4 or 8
 * @offset: in the region
 * @value: little-endian, what was read or written
 * @write: a write
 */
struct fake_access {
	uint32_t index;
	uint32_t width;
	uint64_t offset;
	uint64_t value;
	bool write;
};

/**
 * struct fake_call_entry - a call, as the log has it
 * @call: which
 * @kind: for FAKE_IOCTL, on what kind of fd
 * @request: for FAKE_IOCTL, its number
 */
struct fake_call_entry {
	uint32_t call;
	uint32_t kind;
	uint64_t request;
};

/* No interrupt index is set up. */
#define FAKE_NO_INDEX		UINT32_MAX

/**
 * struct fake_irq - the interrupts, as SET_IRQS left them
 * @lock: of this structure, shared between the processes, robust
 * @pid: whose fds these are
 * @index: which of INTx, MSI and MSI-X is set up; FAKE_NO_INDEX: none
 * @nr: how many of its vectors were allocated
 * @fd: eventfd of each vector, -1 for none
 * @single: eventfd of ERR and of REQ, by index; -1 for none
 * @unmask: eventfd that unmasks INTx, -1 for none
 * @masked: INTx is masked
 * @pending: INTx is asserted though masked
 * @sent: how many eventfds were signalled
 */
struct fake_irq {
	pthread_mutex_t lock;
	pid_t pid;
	uint32_t index;
	uint32_t nr;
	int32_t fd[FAKE_MAX_VECTORS];
	int32_t single[FAKE_MAX_IRQS];
	int32_t unmask;
	bool masked;
	bool pending;
	uint64_t sent;
};

/**
 * struct fake_doorbell - a VFIO_DEVICE_IOEVENTFD
 * @fd: the eventfd, of the process that has the fake
 * @region: region
 * @width: of the write, in bytes; 0: this entry isn't in use
 * @offset: in the region
 * @data: what is written, little-endian
 */
struct fake_doorbell {
	int32_t fd;
	uint32_t region;
	uint32_t width;
	uint64_t offset;
	uint64_t data;
};

/**
 * struct fake_control - the shared page
 * @magic: FAKE_MAGIC
 * @size: of this structure in bytes, against a stale binary
 * @pid: the process that has the fake in it
 * @config: written by the test, best before the daemon opens the device; each
 *          answer reads it anew
 * @rules: written by the test at any time; @call last
 * @calls: how often each call happened
 * @ioctls: how often each ioctl happened, by kind and _IOC_NR
 * @opens: how often each kind of fd was opened
 * @enables: how often a device went from closed to open (and was reset)
 * @resets: VFIO_DEVICE_RESET that worked
 * @hot_resets: VFIO_DEVICE_PCI_HOT_RESET that worked
 * @orphans: devices that this process closed and another still holds
 * @hidden_fds: fds that the fake holds where a kernel would hold a reference
 * @nr_maps: DMA maps that exist
 * @mapped: their sizes, summed up
 * @most_maps: the most that existed at one time
 * @maps: some of them: the first FAKE_SHOWN_MAPS, while there are no more
 * @nr_accesses: accesses to the device so far
 * @log: the last ones; access number n is in entry n % FAKE_LOG_LEN
 * @mig_state: migration state of the device, as VFIO numbers them
 * @asleep: the first device has been let sleep
 * @sleeps: how often
 * @disturbed: what was asked of it while it slept, other than to wake
 * @nr_log_ranges: ranges whose DMA writes are logged; 0: no logging
 * @nr_doorbells: how many of @doorbells are in use
 * @doorbells: the ioeventfds
 * @nr_logged: calls so far
 * @call_log: the last ones, in order; call number n is in entry
 *            n % FAKE_CALL_LOG_LEN
 * @irq: the interrupts
 * @more_irq: those of the devices beside the first; @irq's lock protects them
 */
struct fake_control {
	uint32_t magic;
	uint32_t size;
	pid_t pid;
	struct fake_config config;
	struct fake_rule rules[FAKE_MAX_RULES];
	uint64_t calls[FAKE_NR_CALLS];
	uint64_t ioctls[FAKE_NR_KINDS][256];
	uint64_t opens[FAKE_NR_KINDS];
	uint64_t enables;
	uint64_t resets;
	uint64_t hot_resets;
	uint64_t orphans;
	uint64_t hidden_fds;
	uint64_t nr_maps;
	uint64_t mapped;
	uint64_t most_maps;
	struct fake_map maps[FAKE_SHOWN_MAPS];
	uint64_t nr_accesses;
	struct fake_access log[FAKE_LOG_LEN];
	uint64_t nr_logged;
	struct fake_call_entry call_log[FAKE_CALL_LOG_LEN];
	uint32_t mig_state;
	bool asleep;
	uint64_t sleeps;
	uint64_t disturbed;
	uint32_t nr_log_ranges;
	uint32_t nr_doorbells;
	struct fake_doorbell doorbells[FAKE_MAX_DOORBELLS];
	struct fake_irq irq;
	struct fake_irq more_irq[FAKE_MAX_MORE];
};

/*
 * The device's registers, at the start of BAR0, 8 bytes each, little-endian.
 * They act on accesses through the fd only; a mapping of the BAR shows what
 * they hold. The rest of BAR0 and the other BARs are memory.
 */
#define FAKE_REG_ID		0x00	/* read-only, FAKE_ID */
#define FAKE_REG_SCRATCH	0x08	/* 0 after a reset */
#define FAKE_REG_DMA_SRC	0x10	/* I/O virtual address */
#define FAKE_REG_DMA_DST	0x18	/* I/O virtual address */
#define FAKE_REG_DMA_LEN	0x20	/* bytes */
#define FAKE_REG_DOORBELL	0x28	/* write 1: copy LEN bytes, SRC to DST */
#define FAKE_REG_STATUS		0x30	/* of the last copy, FAKE_DMA_* */
#define FAKE_REG_RAISE		0x38	/* write index << 32 | vector */
#define FAKE_REGS_SIZE		0x40

#define FAKE_ID			0x30766f6966656b61ull

#define FAKE_DMA_NONE		0	/* nothing was copied since the reset */
#define FAKE_DMA_DONE		1
#define FAKE_DMA_NO_MASTER	2	/* bus mastering is off */
#define FAKE_DMA_READ_FAULT	3	/* SRC isn't mapped, or not readable */
#define FAKE_DMA_WRITE_FAULT	4	/* DST isn't mapped, or not writeable */

/* Where MSI-X has its table, at offset 0, and its pending bits. */
#define FAKE_MSIX_BAR		2
#define FAKE_MSIX_PBA		0x800

/* Which device this is; no driver knows it. */
#define FAKE_VENDOR		0x1b36
#define FAKE_PRODUCT		0x0fff
#define FAKE_CLASS		0xff0000u

/**
 * fake_irq_raise() - the device signals an interrupt
 * @control: the shared page, in the test or in the daemon
 * @index: VFIO_PCI_*_IRQ_INDEX
 * @vector: sub-index
 *
 * INTx is masked as it is signalled; while it is masked the interrupt waits
 * for the unmasking. An unmask eventfd is looked at here, not when it is
 * signalled: call this again, or fake_irq_poll(), to see its effect.
 *
 * Return: 1 if an eventfd was signalled, 0 if nobody listens or it has to
 * wait, or a negative errno.
 */
int fake_irq_raise(struct fake_control *control, uint32_t index,
		   uint32_t vector);

/**
 * fake_irq_raise_on() - as fake_irq_raise(), by any device
 * @control: the shared page
 * @device: 0 for the first, n for more[n - 1]
 * @index: VFIO_PCI_*_IRQ_INDEX
 * @vector: sub-index
 */
int fake_irq_raise_on(struct fake_control *control, unsigned int device,
		      uint32_t index, uint32_t vector);

/**
 * fake_irq_poll() - act on INTx's unmask eventfd
 * @control: the shared page
 *
 * Return: 1 if INTx was unmasked and signalled again, 0, or a negative errno.
 */
int fake_irq_poll(struct fake_control *control);

/**
 * fake_eventfd_signal() - add 1 to an eventfd, as a kernel does
 * @fd: an eventfd of this process
 *
 * Never waits: one that is full stays full.
 *
 * Return: 0, or -EIO if it isn't an eventfd.
 */
int fake_eventfd_signal(int fd);

/**
 * fake_irq_lock() - take the lock of the interrupt state
 * @control: the shared page
 *
 * Works also after a process died with the lock held.
 */
void fake_irq_lock(struct fake_control *control);

/**
 * fake_irq_unlock() - the counterpart of fake_irq_lock()
 * @control: the shared page
 */
void fake_irq_unlock(struct fake_control *control);

/**
 * fake_fd_get() - an fd of this process's for one of another's
 * @pid: whose it is; of this process itself it is the same fd
 * @fd: its number there
 *
 * Return: an fd for fake_fd_put(), or a negative errno.
 */
int fake_fd_get(pid_t pid, int fd);

/**
 * fake_fd_put() - the counterpart of fake_fd_get()
 * @pid: the same
 * @fd: from fake_fd_get()
 */
void fake_fd_put(pid_t pid, int fd);

/**
 * fake_eventfd_take() - what an eventfd counts
 * @fd: an eventfd of this process, which counts nothing afterwards
 *
 * Return: the count, 0 if there is none. Never waits.
 */
uint64_t fake_eventfd_take(int fd);

/**
 * fake_config_pci() - the PCI header and the capabilities
 * @config: the machine
 * @buf: filled in with the configuration space after a reset
 * @len: of @buf in bytes, at least 256
 */
void fake_config_pci(const struct fake_config *config, uint8_t *buf,
		     size_t len);

#endif
