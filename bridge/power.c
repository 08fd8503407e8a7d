// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that nobody uses may sleep, with --idle-low-power.
 *
 * One that is closed does so by itself: vfio-pci lets the kernel suspend it
 * (D3hot, or D3cold where the platform can), unless its parameter
 * disable_idle_d3 says no. One that is retained is open, which keeps it awake.
 * The kernel is told then that it may sleep (VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
 * Linux 6.1), and told otherwise before the next client touches it. Whatever
 * else the daemon does with it meanwhile, closing it above all, wakes it in the
 * kernel.
 *
 * Nothing is asked of the device in between, so nobody waits for a wake-up by it
 * (LOW_POWER_ENTRY_WITH_WAKEUP): who reads its configuration in sysfs has the
 * kernel wake it, and put it to sleep again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bridge.h"
#include "log.h"

#define POWER_NO_D3	"/sys/module/vfio_pci/parameters/disable_idle_d3"

/* Syscalls at start: close openat read */
static bool power_d3_is_disabled(void)
{
	int fd = open(POWER_NO_D3, O_RDONLY | O_CLOEXEC);
	char value = 'N';

	if (fd < 0)
		return false;
	if (read(fd, &value, 1) != 1)
		value = 'N';
	close(fd);
	return value == 'Y';
}

void power_check(const struct daemon *d)
{
	if (!d->opts->idle_low_power ||
	    d->opts->on_disconnect == ON_DISCONNECT_RETAIN ||
	    !power_d3_is_disabled())
		return;
	log_info("--idle-low-power: vfio-pci keeps devices that are closed awake: set its parameter disable_idle_d3 to N");
}

bool power_sleep(struct bridge *b, struct vfio_device *dev)
{
	int ret;

	if (!b->opts->idle_low_power)
		return false;
	ret = vfio_device_sleep(dev);
	if (!ret) {
		log_info("%s: may sleep until the next client comes",
			 b->device.name);
		return true;
	}
	if (!b->told_awake)
		log_info("%s: --idle-low-power: stays awake while it is retained: %s%s",
			 b->device.name, strerrordesc_np(-ret),
			 ret == -ENOTTY ? " (it takes Linux 6.1, and a driver that can)" : "");
	b->told_awake = true;
	return false;
}

int power_wake(struct bridge *b, struct vfio_device *dev)
{
	int ret;

	if (!atomic_exchange(&b->asleep, false))
		return 0;
	ret = vfio_device_wake(dev);
	if (ret)
		log_err("%s: does not wake: %s", b->device.name,
			strerrordesc_np(-ret));
	return ret;
}
