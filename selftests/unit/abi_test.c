// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is what include/abi/ says the kernel's? Each number, each structure's size and
 * where its fields are, against the headers of the kernel's newest source. These
 * are taken by their path in that source: <linux/vfio.h> would be the
 * distribution's, which may lack what is asked here. <linux/fcntl.h> doesn't go
 * together with libc's; the kernel itself is asked for what is of there.
 */
#include <fcntl.h>
#include <linux/stddef.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Marks that go when the headers are installed, or that theirs have of late */
#define __user
#ifndef __counted_by
#define __counted_by(member)
#endif

#include <include/uapi/linux/iommufd.h>
#include <include/uapi/linux/vfio.h>

#include "abi/fcntl.h"
#include "abi/iommufd.h"
#include "abi/vfio.h"
#include "util.h"

#include "kselftest_harness.h"

/**
 * struct same - what is to be the same
 * @name: of it
 * @ours: its value here
 * @theirs: and in the kernel's header
 */
struct same {
	const char *name;
	uint64_t ours;
	uint64_t theirs;
};

#define NUMBER(name)	{ #name, ABI_##name, name }
#define SIZE(type)	{ #type, sizeof(struct abi_##type), sizeof(struct type) }
#define FIELD(type, field) \
	{ #type "." #field, offsetof(struct abi_##type, field), \
	  offsetof(struct type, field) }
#define RESERVED(type) \
	{ #type ".reserved", offsetof(struct abi_##type, reserved), \
	  offsetof(struct type, __reserved) }

static void compare(struct __test_metadata *_metadata, const struct same *same,
		    size_t nr)
{
	for (; nr; nr--, same++) {
		EXPECT_EQ(same->theirs, same->ours)
			TH_LOG("%s", same->name);
	}
}

TEST(fcntl_numbers)
{
	unsigned int major, minor;
	struct utsname name;
	int fds[2], again;

	ASSERT_EQ(0, uname(&name));
	ASSERT_TRUE(sscanf(name.release, "%u.%u", &major, &minor) == 2);
	if (major < 6 || (major == 6 && minor < 10))
		SKIP(return, "Linux %s has no F_DUPFD_QUERY", name.release);
	ASSERT_EQ(0, pipe(fds));
	again = dup(fds[0]);
	EXPECT_EQ(1, fcntl(fds[0], ABI_F_DUPFD_QUERY, again));
	EXPECT_EQ(0, fcntl(fds[0], ABI_F_DUPFD_QUERY, fds[1]));
	close(again);
	close(fds[0]);
	close(fds[1]);
}

TEST(iommufd_numbers)
{
	static const struct same same[] = {
		NUMBER(IOMMUFD_TYPE),
		NUMBER(IOMMUFD_CMD_BASE),
		NUMBER(IOMMU_DESTROY),
		NUMBER(IOMMU_IOAS_ALLOC),
		NUMBER(IOMMU_IOAS_ALLOW_IOVAS),
		NUMBER(IOMMU_IOAS_COPY),
		NUMBER(IOMMU_IOAS_IOVA_RANGES),
		NUMBER(IOMMU_IOAS_MAP),
		NUMBER(IOMMU_IOAS_UNMAP),
		NUMBER(IOMMU_OPTION),
		NUMBER(IOMMU_VFIO_IOAS),
		NUMBER(IOMMU_HWPT_ALLOC),
		NUMBER(IOMMU_GET_HW_INFO),
		NUMBER(IOMMU_HWPT_SET_DIRTY_TRACKING),
		NUMBER(IOMMU_HWPT_GET_DIRTY_BITMAP),
		NUMBER(IOMMU_HWPT_INVALIDATE),
		NUMBER(IOMMU_FAULT_QUEUE_ALLOC),
		NUMBER(IOMMU_IOAS_MAP_FILE),
		NUMBER(IOMMU_VIOMMU_ALLOC),
		NUMBER(IOMMU_VDEVICE_ALLOC),
		NUMBER(IOMMU_IOAS_CHANGE_PROCESS),
		NUMBER(IOMMU_VEVENTQ_ALLOC),
		NUMBER(IOMMU_HW_QUEUE_ALLOC),
		NUMBER(IOMMU_IOAS_NOIOMMU_GET_PA),
		NUMBER(IOMMU_IOAS_MAP_FIXED_IOVA),
		NUMBER(IOMMU_IOAS_MAP_WRITEABLE),
		NUMBER(IOMMU_IOAS_MAP_READABLE),
		NUMBER(IOMMU_OPTION_RLIMIT_MODE),
		NUMBER(IOMMU_OPTION_HUGE_PAGES),
		NUMBER(IOMMU_OPTION_OP_SET),
		NUMBER(IOMMU_OPTION_OP_GET),
		NUMBER(IOMMU_VFIO_IOAS_GET),
		NUMBER(IOMMU_VFIO_IOAS_SET),
		NUMBER(IOMMU_VFIO_IOAS_CLEAR),
	};

	compare(_metadata, same, ARRAY_SIZE(same));
}

TEST(iommufd_spaces)
{
	static const struct same same[] = {
		SIZE(iommu_destroy),
		FIELD(iommu_destroy, size),
		FIELD(iommu_destroy, id),
		SIZE(iommu_ioas_alloc),
		FIELD(iommu_ioas_alloc, size),
		FIELD(iommu_ioas_alloc, flags),
		FIELD(iommu_ioas_alloc, out_ioas_id),
		SIZE(iommu_iova_range),
		FIELD(iommu_iova_range, start),
		FIELD(iommu_iova_range, last),
		SIZE(iommu_ioas_iova_ranges),
		FIELD(iommu_ioas_iova_ranges, size),
		FIELD(iommu_ioas_iova_ranges, ioas_id),
		FIELD(iommu_ioas_iova_ranges, num_iovas),
		RESERVED(iommu_ioas_iova_ranges),
		FIELD(iommu_ioas_iova_ranges, allowed_iovas),
		FIELD(iommu_ioas_iova_ranges, out_iova_alignment),
		SIZE(iommu_ioas_allow_iovas),
		FIELD(iommu_ioas_allow_iovas, size),
		FIELD(iommu_ioas_allow_iovas, ioas_id),
		FIELD(iommu_ioas_allow_iovas, num_iovas),
		RESERVED(iommu_ioas_allow_iovas),
		FIELD(iommu_ioas_allow_iovas, allowed_iovas),
	};

	compare(_metadata, same, ARRAY_SIZE(same));
}

TEST(iommufd_maps)
{
	static const struct same same[] = {
		SIZE(iommu_ioas_map),
		FIELD(iommu_ioas_map, size),
		FIELD(iommu_ioas_map, flags),
		FIELD(iommu_ioas_map, ioas_id),
		RESERVED(iommu_ioas_map),
		FIELD(iommu_ioas_map, user_va),
		FIELD(iommu_ioas_map, length),
		FIELD(iommu_ioas_map, iova),
		SIZE(iommu_ioas_map_file),
		FIELD(iommu_ioas_map_file, size),
		FIELD(iommu_ioas_map_file, flags),
		FIELD(iommu_ioas_map_file, ioas_id),
		FIELD(iommu_ioas_map_file, fd),
		FIELD(iommu_ioas_map_file, start),
		FIELD(iommu_ioas_map_file, length),
		FIELD(iommu_ioas_map_file, iova),
		SIZE(iommu_ioas_copy),
		FIELD(iommu_ioas_copy, size),
		FIELD(iommu_ioas_copy, flags),
		FIELD(iommu_ioas_copy, dst_ioas_id),
		FIELD(iommu_ioas_copy, src_ioas_id),
		FIELD(iommu_ioas_copy, length),
		FIELD(iommu_ioas_copy, dst_iova),
		FIELD(iommu_ioas_copy, src_iova),
		SIZE(iommu_ioas_unmap),
		FIELD(iommu_ioas_unmap, size),
		FIELD(iommu_ioas_unmap, ioas_id),
		FIELD(iommu_ioas_unmap, iova),
		FIELD(iommu_ioas_unmap, length),
	};

	compare(_metadata, same, ARRAY_SIZE(same));
}

TEST(iommufd_options)
{
	static const struct same same[] = {
		SIZE(iommu_option),
		FIELD(iommu_option, size),
		FIELD(iommu_option, option_id),
		FIELD(iommu_option, op),
		RESERVED(iommu_option),
		FIELD(iommu_option, object_id),
		FIELD(iommu_option, val64),
		SIZE(iommu_vfio_ioas),
		FIELD(iommu_vfio_ioas, size),
		FIELD(iommu_vfio_ioas, ioas_id),
		FIELD(iommu_vfio_ioas, op),
		RESERVED(iommu_vfio_ioas),
		SIZE(iommu_ioas_change_process),
		FIELD(iommu_ioas_change_process, size),
		RESERVED(iommu_ioas_change_process),
	};

	compare(_metadata, same, ARRAY_SIZE(same));
}

TEST(vfio_device)
{
	static const struct same same[] = {
		NUMBER(VFIO_TYPE),
		NUMBER(VFIO_BASE),
		NUMBER(VFIO_DEVICE_BIND_IOMMUFD),
		NUMBER(VFIO_DEVICE_BIND_FLAG_TOKEN),
		SIZE(vfio_device_bind_iommufd),
		FIELD(vfio_device_bind_iommufd, argsz),
		FIELD(vfio_device_bind_iommufd, flags),
		FIELD(vfio_device_bind_iommufd, iommufd),
		FIELD(vfio_device_bind_iommufd, out_devid),
		FIELD(vfio_device_bind_iommufd, token_uuid_ptr),
		NUMBER(VFIO_DEVICE_ATTACH_IOMMUFD_PT),
		NUMBER(VFIO_DEVICE_ATTACH_PASID),
		SIZE(vfio_device_attach_iommufd_pt),
		FIELD(vfio_device_attach_iommufd_pt, argsz),
		FIELD(vfio_device_attach_iommufd_pt, flags),
		FIELD(vfio_device_attach_iommufd_pt, pt_id),
		FIELD(vfio_device_attach_iommufd_pt, pasid),
		NUMBER(VFIO_DEVICE_DETACH_IOMMUFD_PT),
		NUMBER(VFIO_DEVICE_DETACH_PASID),
		SIZE(vfio_device_detach_iommufd_pt),
		FIELD(vfio_device_detach_iommufd_pt, argsz),
		FIELD(vfio_device_detach_iommufd_pt, flags),
		FIELD(vfio_device_detach_iommufd_pt, pasid),
		NUMBER(VFIO_PCI_HOT_RESET_FLAG_DEV_ID),
		NUMBER(VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED),
		NUMBER(VFIO_PCI_DEVID_OWNED),
		{ "VFIO_PCI_DEVID_NOT_OWNED", ABI_VFIO_PCI_DEVID_NOT_OWNED,
		  (uint32_t)VFIO_PCI_DEVID_NOT_OWNED },
		NUMBER(VFIO_DEVICE_FEATURE_DMA_BUF),
		SIZE(vfio_device_feature_dma_buf),
		FIELD(vfio_device_feature_dma_buf, region_index),
		FIELD(vfio_device_feature_dma_buf, open_flags),
		FIELD(vfio_device_feature_dma_buf, flags),
		FIELD(vfio_device_feature_dma_buf, nr_ranges),
		SIZE(vfio_region_dma_range),
		FIELD(vfio_region_dma_range, offset),
		FIELD(vfio_region_dma_range, length),
	};

	compare(_metadata, same, ARRAY_SIZE(same));
}

TEST_HARNESS_MAIN
