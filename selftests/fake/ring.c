// SPDX-License-Identifier: GPL-2.0-only
/*
 * Doorbells, seen from the test: it borrows their eventfds, and for each one
 * that has fired writes to the file that is the device's memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <unistd.h>

#include "fixture.h"
#include "util.h"

static uint64_t position(uint32_t region, uint64_t offset)
{
	return ((uint64_t)region << FAKE_REGION_SHIFT) + offset;
}

static bool decodes_memory(int memory)
{
	uint16_t command = 0;

	return pread(memory, &command, sizeof(command),
		     position(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND)) ==
	       sizeof(command) && command & PCI_COMMAND_MEMORY;
}

static int ring(struct fake_control *control,
		const struct fake_doorbell *doorbell, int memory)
{
	if (!decodes_memory(memory))
		return 0;
	if (pwrite(memory, &doorbell->data, doorbell->width,
		   position(doorbell->region, doorbell->offset)) !=
	    doorbell->width)
		return -EIO;
	control->log[control->nr_accesses % FAKE_LOG_LEN] =
		(struct fake_access){
			.index = doorbell->region,
			.width = doorbell->width,
			.offset = doorbell->offset,
			.value = doorbell->data,
			.write = true,
		};
	__atomic_add_fetch(&control->nr_accesses, 1, __ATOMIC_RELEASE);
	return 0;
}

/* Has this one fired? */
static int fired(const struct fake_control *control,
		 const struct fake_doorbell *doorbell)
{
	int fd, ret;

	if (!doorbell->width)
		return 0;
	fd = fake_fd_get(control->pid, doorbell->fd);
	if (fd < 0)
		return fd;
	ret = fake_eventfd_take(fd) > 0;
	fake_fd_put(control->pid, fd);
	return ret;
}

int fake_doorbells_poll(const struct fake_root *root)
{
	char path[sizeof(root->path) + sizeof(root->control->config.name) + 8];
	struct fake_control *control = root->control;
	int i, memory, nr = 0, ret = 0;

	/* The fake may be in this process too, but knows no such path. */
	snprintf(path, sizeof(path), "%s/mem/%s", root->path,
		 control->config.name);
	memory = open(path, O_RDWR | O_CLOEXEC);
	if (memory < 0)
		return -errno;
	for (i = 0; i < FAKE_MAX_DOORBELLS && ret >= 0; i++) {
		ret = fired(control, &control->doorbells[i]);
		if (ret <= 0)
			continue;
		nr++;
		ret = ring(control, &control->doorbells[i], memory);
	}
	close(memory);
	return ret < 0 ? ret : nr;
}
