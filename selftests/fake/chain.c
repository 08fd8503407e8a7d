// SPDX-License-Identifier: GPL-2.0-only
/* Capability chains, as VFIO appends them to its information structures. */
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

void *chain_add(struct chain *chain, uint16_t id, size_t size)
{
	struct vfio_info_cap_header *last = (void *)&chain->data[chain->last];
	struct vfio_info_cap_header *header = (void *)&chain->data[chain->size];

	if (size > CHAIN_MAX - chain->size)
		abort();
	if (chain->size)
		last->next = chain->base + chain->size;
	chain->last = chain->size;
	chain->size += (size + 7) & ~7ul;

	memset(header, 0, size);
	header->id = id;
	header->version = 1;
	return header;
}

bool chain_put(const struct chain *chain, void *arg, uint32_t *argsz,
	       uint32_t *cap_offset)
{
	uint32_t room = *argsz;

	*cap_offset = 0;
	if (!chain->size)
		return false;
	if (room < chain->base + chain->size) {
		*argsz = chain->base + chain->size;
	} else {
		memcpy((char *)arg + chain->base, chain->data, chain->size);
		*cap_offset = chain->base;
	}
	return true;
}
