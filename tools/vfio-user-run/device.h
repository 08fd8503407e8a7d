/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files for a device's fd share. */
#ifndef DEVICE_H
#define DEVICE_H

#include "attach.h"

/* How an offset names a region: vfio-pci's, which programs have learnt. */
#define DEVICE_REGION_SHIFT	40
#define DEVICE_REGION_MASK	((1ull << DEVICE_REGION_SHIFT) - 1)

/**
 * struct device_file - a device's fd
 * @file: what is common
 * @dev: the device
 * @group: whose GET_DEVICE_FD it came from, with a reference; NULL: its own
 *         node was opened
 * @iommufd: what it is bound to, with a reference; NULL: a container, or not
 *           bound
 * @id: of the device in @iommufd
 * @granted: it may be used
 */
struct device_file {
	struct run_file file;
	struct run_device *dev;
	struct run_group *group;
	struct run_file *iommufd;
	uint32_t id;
	atomic_bool granted;
};

static inline struct device_file *to_device_file(struct run_file *file)
{
	return container_of(file, struct device_file, file);
}

/* device_info.c */
int device_get_info(struct run_device *dev, void *arg);
int device_get_region_info(struct run_device *dev, void *arg);

/**
 * device_region() - describe a region, without its capabilities
 * @dev: the device
 * @index: region index
 * @info: filled in
 * @fd: set to what to map it from, or -1; may be NULL
 *
 * Return: 0 or a negative errno.
 */
int device_region(struct run_device *dev, uint32_t index,
		  struct vfio_user_region_info *info, int *fd);

/* device_irq.c */
int device_get_irq_info(struct run_device *dev, void *arg);
int device_set_irqs(struct run_device *dev, void *arg);

/* device_reset.c */
int device_reset(struct run_device *dev);
int device_hot_reset_info(void *arg);
int device_hot_reset(const struct device_file *df, void *arg);
int device_ioeventfd(void *arg);

/* device_feature.c */
int device_feature(struct run_device *dev, void *arg);

/* device_migration.c, device_logging.c: features; @data is the program's */
int device_migration_flags(struct run_device *dev, uint32_t flags, void *data);
int device_migration_state(struct run_device *dev, uint32_t flags, void *data);
int device_logging_start(struct run_device *dev, uint32_t flags, void *data);
int device_logging_stop(struct run_device *dev, uint32_t flags, void *data);
int device_logging_report(struct run_device *dev, uint32_t flags, void *data);

/* device_iommufd.c */
int device_bind(struct device_file *df, void *arg);
void device_unbind(struct device_file *df);
int device_attach(struct device_file *df, void *arg);
int device_detach(struct device_file *df, void *arg);

#endif
