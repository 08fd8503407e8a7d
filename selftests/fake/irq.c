// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_SET_IRQS, with vfio-pci's rules: one of INTx, MSI and MSI-X at a
 * time; the first TRIGGER allocates as many vectors as it names, and an index
 * without room to grow (NORESIZE) keeps that number until it is disabled. If it
 * can't have as many, the call returns how many it could, which is no errno. An
 * eventfd is held until another takes its place. Triggering with no data or
 * with booleans signals what is set up, as a loopback.
 */
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

/**
 * struct irq_call - a SET_IRQS that passed the common checks
 * @data: VFIO_IRQ_SET_DATA_*
 * @index: interrupt index
 * @start: first sub-index
 * @count: sub-indexes
 * @fds: with DATA_EVENTFD
 * @bools: with DATA_BOOL
 */
struct irq_call {
	uint32_t data;
	uint32_t index;
	uint32_t start;
	uint32_t count;
	const int32_t *fds;
	const uint8_t *bools;
};

static const struct fake_config *config(void)
{
	return &fake_control()->config;
}

/* Whose interrupts these are, for the time of a call. */
static unsigned int device;

static struct fake_irq *state(void)
{
	return machine_irq(device);
}

/* Without /proc, whatever has no file type passes; sockets and files do not. */
static bool is_eventfd(int fd)
{
	char path[64], link[64];
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, AT_FDCWD, path, link, sizeof(link) - 1);
	if (n < 0)
		return !fstat(fd, &st) && !(st.st_mode & S_IFMT);
	link[n] = '\0';
	return !strcmp(link, "anon_inode:[eventfd]");
}

int eventfd_take(int fd)
{
	int flags = raw_fcntl(fd, F_GETFL, 0);

	/* Which opens nothing: to most of the kernel it is no fd. */
	if (flags < 0 || flags & O_PATH)
		return -EBADF;
	if (!is_eventfd(fd))
		return -EINVAL;
	return hide_fd(fd);
}

/* Put an eventfd where another may be; fd -1 for none. */
static int eventfd_set(int32_t *slot, int fd)
{
	int taken = -1;

	if (fd >= 0) {
		taken = eventfd_take(fd);
		if (taken < 0)
			return taken;
	}
	unhide_fd(slot);
	*slot = taken;
	return 0;
}

static void eventfd_clear(int32_t *slot)
{
	unhide_fd(slot);
}

static void irq_disable(void)
{
	uint32_t i;

	for (i = 0; i < state()->nr; i++)
		eventfd_clear(&state()->fd[i]);
	eventfd_clear(&state()->unmask);
	state()->index = FAKE_NO_INDEX;
	state()->nr = 0;
	state()->masked = false;
	state()->pending = false;
}

void irq_init(unsigned int index)
{
	uint32_t i;

	device = index;
	fake_irq_lock(fake_control());
	state()->pid = getpid();
	state()->index = FAKE_NO_INDEX;
	state()->nr = 0;
	state()->unmask = -1;
	state()->masked = false;
	state()->pending = false;
	for (i = 0; i < FAKE_MAX_VECTORS; i++)
		state()->fd[i] = -1;
	for (i = 0; i < FAKE_MAX_IRQS; i++)
		state()->single[i] = -1;
	fake_irq_unlock(fake_control());
}

void irq_exit(unsigned int index)
{
	uint32_t i;

	device = index;
	fake_irq_lock(fake_control());
	irq_disable();
	for (i = 0; i < FAKE_MAX_IRQS; i++)
		eventfd_clear(&state()->single[i]);
	fake_irq_unlock(fake_control());
}

static bool irq_exists(uint32_t index)
{
	return index < config()->nr_irqs &&
	       (config()->irqs[index].flags || config()->irqs[index].count);
}

long irq_info(void *arg)
{
	struct vfio_irq_info *info = arg;

	if (info->argsz < sizeof(*info) || !irq_exists(info->index))
		return -EINVAL;
	info->flags = config()->irqs[info->index].flags;
	info->count = config()->irqs[info->index].count;
	return 0;
}

static bool irq_selects(const struct irq_call *call, uint32_t i)
{
	return call->data == VFIO_IRQ_SET_DATA_NONE || call->bools[i];
}

static void signal_fd(int fd)
{
	if (fd >= 0 && !fake_eventfd_signal(fd))
		state()->sent++;
}

/* INTx is asserted already, or was when it was masked. */
static void intx_unmask(void)
{
	state()->masked = false;
	if (!state()->pending)
		return;
	state()->pending = false;
	state()->masked = true;
	signal_fd(state()->fd[0]);
}

static long intx_mask(const struct irq_call *call, bool mask)
{
	if (state()->index != VFIO_PCI_INTX_IRQ_INDEX || call->start ||
	    call->count != 1)
		return -EINVAL;
	if (call->data == VFIO_IRQ_SET_DATA_EVENTFD)
		return mask ? -ENOTTY :
			      eventfd_set(&state()->unmask, call->fds[0]);
	if (!irq_selects(call, 0))
		return 0;
	if (mask)
		state()->masked = true;
	else
		intx_unmask();
	return 0;
}

static long intx_trigger(const struct irq_call *call)
{
	bool is_set = state()->index == VFIO_PCI_INTX_IRQ_INDEX;
	int ret;

	if (is_set && !call->count && call->data == VFIO_IRQ_SET_DATA_NONE) {
		irq_disable();
		return 0;
	}
	if ((!is_set && state()->index != FAKE_NO_INDEX) || call->start ||
	    call->count != 1)
		return -EINVAL;

	if (call->data == VFIO_IRQ_SET_DATA_EVENTFD) {
		ret = eventfd_set(&state()->fd[0], call->fds[0]);
		if (ret)
			return ret;
		state()->index = VFIO_PCI_INTX_IRQ_INDEX;
		state()->nr = 1;
		return 0;
	}
	if (!is_set)
		return -EINVAL;
	if (irq_selects(call, 0))
		signal_fd(state()->fd[0]);
	return 0;
}

static long msi_set_block(const struct irq_call *call)
{
	int32_t *slots = &state()->fd[call->start];
	uint32_t i;
	int ret = 0;

	if (call->start >= state()->nr ||
	    call->start + call->count > state()->nr)
		return -EINVAL;
	for (i = 0; i < call->count && !ret; i++) {
		eventfd_clear(&slots[i]);
		ret = eventfd_set(&slots[i], call->fds[i]);
	}
	/* What the call has set up before it failed goes. */
	while (ret && i--)
		eventfd_clear(&slots[i]);
	return ret;
}

static long msi_enable(const struct irq_call *call)
{
	bool was_none = state()->index == FAKE_NO_INDEX;
	bool grows = !(config()->irqs[call->index].flags &
		       VFIO_IRQ_INFO_NORESIZE);
	long ret;

	if (was_none && !call->count)
		return -EINVAL;
	if (was_none && config()->irq_room &&
	    call->start + call->count > config()->irq_room)
		return config()->irq_room;
	if (was_none || grows)
		state()->nr = max(state()->nr, call->start + call->count);
	state()->index = call->index;
	ret = msi_set_block(call);
	if (ret && was_none)
		irq_disable();
	return ret;
}

static long msi_trigger(const struct irq_call *call)
{
	bool is_set = state()->index == call->index;
	uint32_t i;

	if (is_set && !call->count && call->data == VFIO_IRQ_SET_DATA_NONE) {
		irq_disable();
		return 0;
	}
	if (!is_set && state()->index != FAKE_NO_INDEX)
		return -EINVAL;
	if (call->data == VFIO_IRQ_SET_DATA_EVENTFD)
		return msi_enable(call);
	if (!is_set || call->start + call->count > state()->nr)
		return -EINVAL;
	for (i = 0; i < call->count; i++) {
		if (irq_selects(call, i))
			signal_fd(state()->fd[call->start + i]);
	}
	return 0;
}

/* ERR and REQ, which don't interfere with the others. */
static long single_trigger(const struct irq_call *call)
{
	int32_t *slot = &state()->single[call->index];

	if (call->start || call->count > 1)
		return -EINVAL;
	if (call->data == VFIO_IRQ_SET_DATA_NONE) {
		if (*slot < 0)
			return -EINVAL;
		if (call->count)
			signal_fd(*slot);
		else
			eventfd_clear(slot);
		return 0;
	}
	if (!call->count)
		return -EINVAL;
	if (call->data == VFIO_IRQ_SET_DATA_EVENTFD)
		return eventfd_set(slot, call->fds[0]);
	if (call->bools[0])
		signal_fd(*slot);
	return 0;
}

static long irq_action(const struct irq_call *call, uint32_t action)
{
	switch (call->index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		if (action == VFIO_IRQ_SET_ACTION_MASK)
			return intx_mask(call, true);
		if (action == VFIO_IRQ_SET_ACTION_UNMASK)
			return intx_mask(call, false);
		if (action == VFIO_IRQ_SET_ACTION_TRIGGER)
			return intx_trigger(call);
		return -ENOTTY;
	case VFIO_PCI_MSI_IRQ_INDEX:
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return action == VFIO_IRQ_SET_ACTION_TRIGGER ?
		       msi_trigger(call) : -ENOTTY;
	default:
		return action == VFIO_IRQ_SET_ACTION_TRIGGER ?
		       single_trigger(call) : -ENOTTY;
	}
}

static long irq_check(const struct vfio_irq_set *set)
{
	uint32_t data = set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	size_t width = data == VFIO_IRQ_SET_DATA_EVENTFD ? sizeof(int32_t) :
		       data == VFIO_IRQ_SET_DATA_BOOL;
	uint32_t total;

	if (set->argsz < sizeof(*set) || set->index >= config()->nr_irqs ||
	    set->flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK |
			   VFIO_IRQ_SET_ACTION_TYPE_MASK))
		return -EINVAL;
	total = min(config()->irqs[set->index].count,
		    (uint32_t)FAKE_MAX_VECTORS);
	if (set->count >= UINT32_MAX - set->start || set->start >= total ||
	    set->start + set->count > total)
		return -EINVAL;
	if (!data || data & (data - 1))
		return -EINVAL;
	return set->argsz - sizeof(*set) < set->count * width ? -EINVAL : 0;
}

long irq_set(unsigned int index, void *arg)
{
	const struct vfio_irq_set *set = arg;
	struct irq_call call;
	long ret;

	device = index;
	ret = irq_check(set);
	if (ret)
		return ret;
	call = (struct irq_call){
		.data = set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK,
		.index = set->index,
		.start = set->start,
		.count = set->count,
		.fds = (const void *)set->data,
		.bools = set->data,
	};

	fake_irq_lock(fake_control());
	ret = irq_action(&call, set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK);
	fake_irq_unlock(fake_control());
	return ret;
}
