// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the hostile clients' messages carry: right for their commands, with values
 * that the input chooses from small ranges.
 */
#include <string.h>

#include "session_fuzz.h"

uint64_t payload_page(struct fuzz *f)
{
	static const uint64_t bases[] = {
		0, 0x100000, 0xfee00000, 0x100000000, 0xfffffffff000,
		0xfffffffffffff000,
	};
	uint8_t value = fuzz_u8(f);

	return bases[(value >> 4) % ARRAY_SIZE(bases)] + (value & 0xf) * 4096;
}

static size_t fill_map(struct fuzz *f, void *payload)
{
	struct vfio_user_dma_map *map = payload;
	unsigned int flags = fuzz_u8(f);

	*map = (struct vfio_user_dma_map){
		.argsz = sizeof(*map),
		.flags = flags & 7,
		/* Of memory; or of a region, if the fd is a device's */
		.offset = (fuzz_u8(f) & 0xf) * 4096 +
			  ((uint64_t)(flags >> 3) << 40),
		.address = payload_page(f),
		.size = (fuzz_u8(f) & 0x1f) * 4096,
	};
	return sizeof(*map);
}

static size_t fill_unmap(struct fuzz *f, void *payload)
{
	struct vfio_user_dma_unmap *unmap = payload;

	*unmap = (struct vfio_user_dma_unmap){
		.argsz = sizeof(*unmap),
		.flags = fuzz_u8(f) & 3,
		.address = payload_page(f),
		.size = (fuzz_u8(f) & 0x1f) * 4096,
	};
	return sizeof(*unmap);
}

/* Those that begin with argsz, flags, index and are this long. */
static size_t fill_index(struct fuzz *f, void *payload, size_t len)
{
	uint32_t head[3] = { len + (fuzz_u8(f) << 2), 0, fuzz_u8(f) & 0xf };

	memcpy(payload, head, sizeof(head));
	return len;
}

static size_t fill_irqs(struct fuzz *f, void *payload)
{
	struct vfio_user_irq_set *set = payload;
	size_t data = 0;

	*set = (struct vfio_user_irq_set){
		.flags = fuzz_u8(f) & 0x3f,
		.index = fuzz_u8(f) & 7,
		.start = fuzz_u8(f) & 0x1f,
		.count = fuzz_u8(f) & 0x1f,
	};
	if (set->flags & VFIO_USER_IRQ_SET_DATA_BOOL)
		data = set->count;
	set->argsz = sizeof(*set) + data;
	fuzz_bytes(f, set + 1, data);
	return sizeof(*set) + data;
}

static size_t fill_access(struct fuzz *f, void *payload, bool write)
{
	struct vfio_user_region_access *access = payload;

	*access = (struct vfio_user_region_access){
		.offset = fuzz_u16(f),
		.region = fuzz_u8(f) & 0xf,
		.count = fuzz_u16(f) & 0x7ff,
	};
	if (!write)
		return sizeof(*access);
	access->count &= MAX_DATA / 2 - 1;
	fuzz_bytes(f, access + 1, access->count);
	return sizeof(*access) + access->count;
}

static size_t fill_multi(struct fuzz *f, void *payload)
{
	struct vfio_user_write_multi *multi = payload;
	unsigned int i;

	multi->wr_cnt = fuzz_u8(f) & 0xf;
	for (i = 0; i < multi->wr_cnt; i++) {
		multi->wrs[i] = (struct vfio_user_write_one){
			.offset = fuzz_u16(f),
			.region = fuzz_u8(f) & 0xf,
			.count = fuzz_u8(f) & 0xf,
		};
		fuzz_bytes(f, multi->wrs[i].data, 8);
	}
	return sizeof(*multi) + i * sizeof(multi->wrs[0]);
}

static size_t fill_feature(struct fuzz *f, void *payload)
{
	struct vfio_user_device_feature *feature = payload;
	size_t data = fuzz_u8(f) & 0x7f;

	feature->flags = (fuzz_u8(f) & 0xf) | (fuzz_u8(f) & 7) << 16;
	feature->argsz = sizeof(*feature) + (fuzz_u8(f) << 2);
	fuzz_bytes(f, feature->data, data);
	return sizeof(*feature) + data;
}

static size_t fill_migration(struct fuzz *f, void *payload, bool write)
{
	struct vfio_user_mig_data *data = payload;

	data->size = fuzz_u16(f) & (MAX_DATA / 2 - 1);
	data->argsz = sizeof(*data) + data->size;
	if (!write)
		return sizeof(*data);
	fuzz_bytes(f, data->data, data->size);
	return sizeof(*data) + data->size;
}

static size_t fill_version(struct fuzz *f, void *payload)
{
	static const char *const texts[] = {
		"{\"capabilities\":{\"max_msg_fds\":8}}", "", "{}",
		"{\"capabilities\":{\"iova_ranges\":[]}}",
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true},\"max_data_xfer_size\":4096}}",
		"{\"capabilities\":{\"max_data_xfer_size\":64,\"pgsizes\":4096,\"max_dma_maps\":7}}",
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":3}}}",
		"{\"capabilities\":{\"twin_socket\":7,\"write_multiple\":1}}",
		"{\"capabilities\":{\"migration\":{\"pgsize\":4096},\"write_multiple\":true}}",
		"{\"capabilities\":{\"migration\":{\"pgsize\":0}}}",
		"{\"capabilities\":{\"migration\":[]}}",
		"{\"capabilities\":{\"iova_ranges\":[[0,1],[1],\"x\"]}}",
		"{\"capabilities\":{\"iova_ranges\":[[9,1]],\"max_msg_fds\":1e9}}",
		"{\"capabilities\":{\"pgsizes\":18446744073709551616}}",
		"{\"capabilities\":{\"max_msg_fds\":-1}}", "[]",
		"{\"capabilities\":[]}", "{\"capabilities\":",
		"{\"capabilities\":{\"iova_ranges\":[]}} ",
		"{\"capabilities\":{\"iova_ranges\":{}}}",
		"{\"capabilities\":{\"iova_ranges\":[[0,4095]],\"twin_socket\":{\"supported\":true}}}",
	};
	struct vfio_user_version *version = payload;
	const char *text = texts[fuzz_u8(f) % ARRAY_SIZE(texts)];
	size_t len;

	*version = (struct vfio_user_version){
		VFIO_USER_MAJOR, VFIO_USER_MINOR
	};
	strcpy(version->data, text);
	len = strlen(text);
	/* One is longer than anybody takes. */
	if (len && text[len - 1] == ' ') {
		memset(version->data + len, ' ', MAX_JSON - len);
		len = MAX_JSON;
		version->data[len] = '\0';
	}
	return sizeof(*version) + len + 1;
}

size_t payload_fill(struct fuzz *f, unsigned int command, void *payload)
{
	switch (command) {
	case VFIO_USER_VERSION:
		return fill_version(f, payload);
	case VFIO_USER_DMA_MAP:
		return fill_map(f, payload);
	case VFIO_USER_DMA_UNMAP:
		return fill_unmap(f, payload);
	case VFIO_USER_DEVICE_GET_INFO:
		return fill_index(f, payload,
				  sizeof(struct vfio_user_device_info));
	case VFIO_USER_DEVICE_GET_REGION_INFO:
		return fill_index(f, payload,
				  sizeof(struct vfio_user_region_info));
	case VFIO_USER_DEVICE_GET_REGION_IO_FDS:
		return fill_index(f, payload,
				  sizeof(struct vfio_user_region_io_fds));
	case VFIO_USER_DEVICE_GET_IRQ_INFO:
		return fill_index(f, payload,
				  sizeof(struct vfio_user_irq_info));
	case VFIO_USER_DEVICE_SET_IRQS:
		return fill_irqs(f, payload);
	case VFIO_USER_REGION_READ:
	case VFIO_USER_REGION_WRITE:
		return fill_access(f, payload,
				   command == VFIO_USER_REGION_WRITE);
	case VFIO_USER_REGION_WRITE_MULTI:
		return fill_multi(f, payload);
	case VFIO_USER_DEVICE_FEATURE:
		return fill_feature(f, payload);
	case VFIO_USER_MIG_DATA_READ:
	case VFIO_USER_MIG_DATA_WRITE:
		return fill_migration(f, payload,
				      command == VFIO_USER_MIG_DATA_WRITE);
	default:
		return 0;
	}
}
