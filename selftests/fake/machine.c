// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which devices the machine has. Device 0 is the one that the configuration
 * describes; the others are like it, but for their names, nodes and groups, and
 * have memory and interrupts of their own. Only device 0 has doorbells, migrates
 * and logs.
 */
#include <string.h>

#include "internal.h"

static const struct fake_config *config(void)
{
	return &fake_control()->config;
}

unsigned int machine_nr(void)
{
	return 1 + min(config()->nr_more, (uint32_t)FAKE_MAX_MORE);
}

const char *machine_name(unsigned int index)
{
	return index ? config()->more[index - 1].name : config()->name;
}

uint32_t machine_group(unsigned int index)
{
	return index ? config()->more[index - 1].group : config()->group;
}

uint32_t machine_cdev(unsigned int index)
{
	return index ? config()->more[index - 1].cdev : config()->cdev;
}

struct fake_irq *machine_irq(unsigned int index)
{
	struct fake_control *control = fake_control();

	return index ? &control->more_irq[index - 1] : &control->irq;
}

int machine_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < machine_nr(); i++) {
		if (!strcmp(name, machine_name(i)))
			return i;
	}
	return -ENODEV;
}

int machine_find_cdev(uint32_t cdev)
{
	unsigned int i;

	for (i = 0; i < machine_nr(); i++) {
		if (cdev == machine_cdev(i))
			return i;
	}
	return -ENODEV;
}

/* "0000:01:": domain and bus. */
bool machine_same_bus(unsigned int a, unsigned int b)
{
	return a == b || !strncmp(machine_name(a), machine_name(b), 8);
}
