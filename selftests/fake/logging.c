// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA logging: which pages the device has written since it was last asked.
 * The page size of a report needn't be that of the log: a bit stands for all
 * that it covers.
 */
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* As many ranges as fit in a page of the kernel's. */
#define MAX_RANGES		256

/* Ranges that are logged, and pages in them that were written. */
static struct span_set ranges, dirty;

static const struct fake_config *config(void)
{
	return &fake_control()->config;
}

static void set_clear(struct span_set *set)
{
	struct span *span;

	while ((span = span_find(set, 0, UINT64_MAX))) {
		span_erase(set, span);
		free(span);
	}
}

static int set_add(struct span_set *set, uint64_t start, uint64_t last)
{
	struct span *span = calloc(1, sizeof(*span));

	if (!span)
		return -ENOMEM;
	span->start = start;
	span->last = last;
	span_insert(set, span);
	return 0;
}

void logging_exit(void)
{
	set_clear(&ranges);
	set_clear(&dirty);
	fake_control()->nr_log_ranges = 0;
}

void logging_write(uint64_t iova, uint64_t size)
{
	uint64_t page = config()->log_page, at = iova & ~(page - 1), last;

	/* What can't be remembered is as good as a driver's bug. */
	for (last = at + (page - 1); at < iova + size; at += page, last += page) {
		if (span_find(&ranges, at, last) &&
		    !span_find(&dirty, at, last) && set_add(&dirty, at, last))
			abort();
	}
}

static long range_add(const struct vfio_device_feature_dma_logging_range *range,
		      uint64_t page)
{
	uint64_t end;

	if ((range->iova | range->length) & (page - 1))
		return -EINVAL;
	if (add_overflows(range->iova, range->length, &end))
		return -EOVERFLOW;
	if (span_find(&ranges, range->iova, end - 1))
		return -EINVAL;
	return set_add(&ranges, range->iova, end - 1);
}

long logging_start(uint32_t flags, void *data, size_t len)
{
	struct vfio_device_feature_dma_logging_control *control = data;
	const struct vfio_device_feature_dma_logging_range *range;
	uint32_t i;
	long ret;

	if (!config()->logging)
		return -ENOTTY;
	ret = feature_check(flags, len, VFIO_DEVICE_FEATURE_SET,
			    sizeof(*control));
	if (ret != 1)
		return ret;
	if (!control->num_ranges)
		return -EINVAL;
	if (control->num_ranges > MAX_RANGES)
		return -E2BIG;
	if (fake_control()->nr_log_ranges)
		return -EINVAL;

	range = (const void *)(uintptr_t)control->ranges;
	for (i = 0, ret = 0; i < control->num_ranges && !ret; i++)
		ret = range_add(&range[i], control->page_size);
	if (ret) {
		set_clear(&ranges);
		return ret;
	}
	control->page_size = config()->log_page;
	fake_control()->nr_log_ranges = control->num_ranges;
	return 0;
}

long logging_stop(uint32_t flags, size_t len)
{
	int ret;

	if (!config()->logging)
		return -ENOTTY;
	ret = feature_check(flags, len, VFIO_DEVICE_FEATURE_SET, 0);
	if (ret != 1)
		return ret;
	logging_exit();
	return 0;
}

static void report(uint64_t iova, uint64_t last, uint64_t page, uint64_t *bits)
{
	struct span *span;
	uint64_t first, end;

	while ((span = span_find(&dirty, iova, last))) {
		first = (max(span->start, iova) - iova) / page;
		end = (min(span->last, last) - iova) / page;
		for (; first <= end; first++)
			bits[first / 64] |= 1ull << (first % 64);
		span_erase(&dirty, span);
		free(span);
	}
}

long logging_report(uint32_t flags, const void *data, size_t len)
{
	const struct vfio_device_feature_dma_logging_report *ask = data;
	uint64_t end;
	int ret;

	if (!config()->logging)
		return -ENOTTY;
	ret = feature_check(flags, len, VFIO_DEVICE_FEATURE_GET, sizeof(*ask));
	if (ret != 1)
		return ret;
	if (ask->page_size < FAKE_PAGE_SIZE ||
	    ask->page_size & (ask->page_size - 1))
		return -EINVAL;
	if (add_overflows(ask->iova, ask->length, &end))
		return -EOVERFLOW;
	if (!fake_control()->nr_log_ranges)
		return -EINVAL;
	report(ask->iova, end - 1, ask->page_size,
	       (void *)(uintptr_t)ask->bitmap);
	return 0;
}
