/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vfio-user wire format, protocol version 0.1.
 *
 * These structures are what travels on the socket. They are ours and fixed:
 * little is shared with <linux/vfio.h>, whose structures grow with the kernel
 * and must never be put on the wire. All fields are in host byte order, all
 * sizes are in bytes, and nothing is aligned: a message may start anywhere in
 * a receive buffer, hence the packing.
 *
 * Source: QEMU, docs/interop/vfio-user.rst.
 */
#ifndef VFIO_USER_H
#define VFIO_USER_H

#include <stdint.h>

#define VFIO_USER_MAJOR		0
#define VFIO_USER_MINOR		1

/* What a side that says nothing about itself is taken to support. */
#define VFIO_USER_DEF_MAX_MSG_FDS	1
#define VFIO_USER_DEF_MAX_XFER		(1024 * 1024)
#define VFIO_USER_DEF_PGSIZES		4096
#define VFIO_USER_DEF_MAX_DMA_MAPS	65535

/* SCM_RIGHTS carries no more than this (SCM_MAX_FD in the kernel). */
#define VFIO_USER_MAX_SCM_FDS		253

enum vfio_user_command {
	VFIO_USER_VERSION			= 1,
	VFIO_USER_DMA_MAP			= 2,
	VFIO_USER_DMA_UNMAP			= 3,
	VFIO_USER_DEVICE_GET_INFO		= 4,
	VFIO_USER_DEVICE_GET_REGION_INFO	= 5,
	VFIO_USER_DEVICE_GET_REGION_IO_FDS	= 6,
	VFIO_USER_DEVICE_GET_IRQ_INFO		= 7,
	VFIO_USER_DEVICE_SET_IRQS		= 8,
	VFIO_USER_REGION_READ			= 9,
	VFIO_USER_REGION_WRITE			= 10,
	VFIO_USER_DMA_READ			= 11,
	VFIO_USER_DMA_WRITE			= 12,
	VFIO_USER_DEVICE_RESET			= 13,
	/* 14 was DIRTY_PAGES and is retired */
	VFIO_USER_REGION_WRITE_MULTI		= 15,
	VFIO_USER_DEVICE_FEATURE		= 16,
	VFIO_USER_MIG_DATA_READ			= 17,
	VFIO_USER_MIG_DATA_WRITE		= 18,
	VFIO_USER_COMMAND_MAX			= 18,
};

/* struct vfio_user_header.flags */
#define VFIO_USER_TYPE_MASK		0xfu
#define VFIO_USER_TYPE_COMMAND		0x0u
#define VFIO_USER_TYPE_REPLY		0x1u
#define VFIO_USER_FLAG_NO_REPLY		(1u << 4)
#define VFIO_USER_FLAG_ERROR		(1u << 5)

/**
 * struct vfio_user_header - what every message begins with
 * @id: chosen by the sender of a command, echoed in its reply
 * @command: enum vfio_user_command
 * @size: of the whole message, this header included
 * @flags: VFIO_USER_TYPE_* and VFIO_USER_FLAG_*
 * @error: in a reply with VFIO_USER_FLAG_ERROR, a positive errno
 */
struct vfio_user_header {
	uint16_t id;
	uint16_t command;
	uint32_t size;
	uint32_t flags;
	uint32_t error;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_header) == 16, "header");

/* VERSION, both ways; a NUL-terminated JSON object may follow. */
struct vfio_user_version {
	uint16_t major;
	uint16_t minor;
	char data[];
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_version) == 4, "version");

#define VFIO_USER_DMA_MAP_READ		(1u << 0)
#define VFIO_USER_DMA_MAP_WRITE		(1u << 1)
/* Later drafts of the specification; hints to the server that we may ignore. */
#define VFIO_USER_DMA_MAP_MMAP		(1u << 2)
#define VFIO_USER_DMA_MAP_FILE_IO	(1u << 3)

struct vfio_user_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset;
	uint64_t address;
	uint64_t size;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_dma_map) == 32, "dma_map");

#define VFIO_USER_DMA_UNMAP_GET_DIRTY_BITMAP	(1u << 0)
#define VFIO_USER_DMA_UNMAP_ALL			(1u << 1)

struct vfio_user_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t address;
	uint64_t size;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_dma_unmap) == 24, "dma_unmap");

#define VFIO_USER_DEVICE_FLAG_RESET	(1u << 0)
#define VFIO_USER_DEVICE_FLAG_PCI	(1u << 1)

struct vfio_user_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_device_info) == 16, "device_info");

#define VFIO_USER_REGION_FLAG_READ	(1u << 0)
#define VFIO_USER_REGION_FLAG_WRITE	(1u << 1)
#define VFIO_USER_REGION_FLAG_MMAP	(1u << 2)
#define VFIO_USER_REGION_FLAG_CAPS	(1u << 3)

/* cap_offset and each cap's next count from the start of this structure. */
struct vfio_user_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset;
	uint64_t size;
	uint64_t offset;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_region_info) == 32, "region_info");

#define VFIO_USER_REGION_CAP_SPARSE_MMAP	1
#define VFIO_USER_REGION_CAP_TYPE		2
#define VFIO_USER_REGION_CAP_MSIX_MAPPABLE	3

struct vfio_user_cap_header {
	uint16_t id;
	uint16_t version;
	uint32_t next;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_cap_header) == 8, "cap_header");

struct vfio_user_sparse_area {
	uint64_t offset;
	uint64_t size;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_sparse_area) == 16, "sparse_area");

struct vfio_user_cap_sparse_mmap {
	struct vfio_user_cap_header header;
	uint32_t nr_areas;
	uint32_t reserved;
	struct vfio_user_sparse_area areas[];
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_cap_sparse_mmap) == 16, "cap_sparse");

struct vfio_user_cap_type {
	struct vfio_user_cap_header header;
	uint32_t type;
	uint32_t subtype;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_cap_type) == 16, "cap_type");

struct vfio_user_region_io_fds {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_region_io_fds) == 16, "region_io_fds");

#define VFIO_USER_IO_FD_TYPE_IOEVENTFD	0
#define VFIO_USER_IO_FD_TYPE_IOREGIONFD	1
/* As KVM_IOEVENTFD_FLAG_DATAMATCH */
#define VFIO_USER_IO_FD_DATAMATCH	(1u << 0)

struct vfio_user_io_fd {
	uint64_t offset;
	uint64_t size;
	uint32_t fd_index;
	uint32_t type;
	uint32_t flags;
	uint32_t padding;
	uint64_t datamatch;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_io_fd) == 40, "io_fd");

#define VFIO_USER_IRQ_INFO_EVENTFD	(1u << 0)
#define VFIO_USER_IRQ_INFO_MASKABLE	(1u << 1)
#define VFIO_USER_IRQ_INFO_AUTOMASKED	(1u << 2)
#define VFIO_USER_IRQ_INFO_NORESIZE	(1u << 3)

struct vfio_user_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_irq_info) == 16, "irq_info");

#define VFIO_USER_IRQ_SET_DATA_NONE		(1u << 0)
#define VFIO_USER_IRQ_SET_DATA_BOOL		(1u << 1)
#define VFIO_USER_IRQ_SET_DATA_EVENTFD		(1u << 2)
#define VFIO_USER_IRQ_SET_ACTION_MASK		(1u << 3)
#define VFIO_USER_IRQ_SET_ACTION_UNMASK		(1u << 4)
#define VFIO_USER_IRQ_SET_ACTION_TRIGGER	(1u << 5)
#define VFIO_USER_IRQ_SET_DATA_MASK		0x07u
#define VFIO_USER_IRQ_SET_ACTION_BITS		0x38u

struct vfio_user_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
	uint8_t data[];
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_irq_set) == 20, "irq_set");

/* REGION_READ and REGION_WRITE, both ways */
struct vfio_user_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
	uint8_t data[];
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_region_access) == 16, "region_access");

/* One of the writes of REGION_WRITE_MULTI */
struct vfio_user_write_one {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
	uint8_t data[8];
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_write_one) == 24, "write_one");

/* In the reply, only the count. */
struct vfio_user_write_multi {
	uint64_t wr_cnt;
	struct vfio_user_write_one wrs[];
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_write_multi) == 8, "write_multi");

#define VFIO_USER_FEATURE_MASK		0xffffu
#define VFIO_USER_FEATURE_GET		(1u << 16)
#define VFIO_USER_FEATURE_SET		(1u << 17)
#define VFIO_USER_FEATURE_PROBE		(1u << 18)

#define VFIO_USER_FEATURE_MIGRATION		1
#define VFIO_USER_FEATURE_MIG_DEVICE_STATE	2
#define VFIO_USER_FEATURE_DMA_LOGGING_START	6
#define VFIO_USER_FEATURE_DMA_LOGGING_STOP	7
#define VFIO_USER_FEATURE_DMA_LOGGING_REPORT	8

struct vfio_user_device_feature {
	uint32_t argsz;
	uint32_t flags;
	uint8_t data[];
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_device_feature) == 8, "device_feature");

#define VFIO_USER_MIGRATION_STOP_COPY	(1u << 0)
#define VFIO_USER_MIGRATION_P2P		(1u << 1)
#define VFIO_USER_MIGRATION_PRE_COPY	(1u << 2)

struct vfio_user_feature_migration {
	uint64_t flags;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_feature_migration) == 8, "migration");

enum vfio_user_device_state {
	VFIO_USER_STATE_ERROR		= 0,
	VFIO_USER_STATE_STOP		= 1,
	VFIO_USER_STATE_RUNNING		= 2,
	VFIO_USER_STATE_STOP_COPY	= 3,
	VFIO_USER_STATE_RESUMING	= 4,
	VFIO_USER_STATE_RUNNING_P2P	= 5,
	VFIO_USER_STATE_PRE_COPY	= 6,
	VFIO_USER_STATE_PRE_COPY_P2P	= 7,
};

/* data_fd has no meaning on a socket. */
struct vfio_user_feature_mig_state {
	uint32_t device_state;
	uint32_t data_fd;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_feature_mig_state) == 8, "mig_state");

struct vfio_user_feature_logging_range {
	uint64_t iova;
	uint64_t length;
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_feature_logging_range) == 16,
	       "logging_range");

struct vfio_user_feature_logging_start {
	uint64_t page_size;
	uint32_t num_ranges;
	uint32_t reserved;
	struct vfio_user_feature_logging_range ranges[];
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_feature_logging_start) == 16,
	       "logging_start");

struct vfio_user_feature_logging_report {
	uint64_t iova;
	uint64_t length;
	uint64_t page_size;
	uint8_t bitmap[];
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_feature_logging_report) == 24,
	       "logging_report");

/* MIG_DATA_READ and MIG_DATA_WRITE, both ways */
struct vfio_user_mig_data {
	uint32_t argsz;
	uint32_t size;
	uint8_t data[];
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_mig_data) == 8, "mig_data");

/* DMA_READ and DMA_WRITE, both ways but for the reply to DMA_WRITE */
struct vfio_user_dma_access {
	uint64_t address;
	uint64_t count;
	uint8_t data[];
} __attribute__((packed));

_Static_assert(sizeof(struct vfio_user_dma_access) == 16, "dma_access");

#endif
