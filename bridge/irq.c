// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts: the client's eventfds, handed to the kernel.
 *
 * After SET_IRQS the kernel signals the client's eventfd itself; the daemon has
 * no part in an interrupt and keeps no copy of the fd. There are
 * exceptions. With --shadow-dma the kernel signals eventfds of ours, see relay.c.
 * ERR and REQ concern the daemon as well and are watched, see
 * watch.c. And an index with VFIO_IRQ_INFO_NORESIZE can't be given more vectors
 * once some are enabled, while a client whose vectors don't fit in one message
 * sends several; its eventfds are kept, and when another range comes the index
 * is disabled and enabled again with all of them.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge.h"

static const struct vfio_irq *irq_find(const struct session *s, uint32_t index)
{
	if (index >= s->dev.nr_irqs || s->dev.irqs[index].error)
		return NULL;
	return &s->dev.irqs[index];
}

int irq_handle_info(struct session *s, struct msg *m)
{
	const struct vfio_user_irq_info *request = m->payload;
	const struct vfio_irq *irq = irq_find(s, request->index);
	struct vfio_user_irq_info *reply;
	uint32_t index = request->index;

	if (request->argsz < sizeof(*reply) || !irq)
		return -EINVAL;
	reply = session_reply(s, m, sizeof(*reply));
	if (!reply)
		return 0;

	*reply = (struct vfio_user_irq_info){
		.argsz = sizeof(*reply),
		.flags = irq->flags,
		.index = index,
		.count = irq->count,
	};
	return session_reply_send(s, m, sizeof(*reply), -1);
}

static bool irq_one_bit(uint32_t flags)
{
	return flags && !(flags & (flags - 1));
}

static int irq_check(const struct session *s, const struct msg *m)
{
	const struct vfio_user_irq_set *set = m->payload;
	const struct vfio_irq *irq = irq_find(s, set->index);
	uint32_t data = set->flags & VFIO_USER_IRQ_SET_DATA_MASK;

	if (!irq || !irq_one_bit(data) ||
	    !irq_one_bit(set->flags & VFIO_USER_IRQ_SET_ACTION_BITS) ||
	    set->flags & ~(VFIO_USER_IRQ_SET_DATA_MASK |
			   VFIO_USER_IRQ_SET_ACTION_BITS) ||
	    set->argsz < sizeof(*set) || set->start >= irq->count ||
	    !range_within(set->start, set->count, irq->count))
		return -EINVAL;

	switch (data) {
	case VFIO_USER_IRQ_SET_DATA_NONE:
		return m->nr_fds ? -EINVAL : 0;
	case VFIO_USER_IRQ_SET_DATA_BOOL:
		return m->nr_fds || !set->count ||
		       set->count > m->len - sizeof(*set) ? -EINVAL : 0;
	default:
		return !set->count ||
		       (m->nr_fds && m->nr_fds != set->count) ? -EINVAL : 0;
	}
}

/* Remember the eventfds of a range; they are taken out of the message. */
static int irq_keep(struct session *s, const struct vfio_user_irq_set *set,
		    struct msg *m)
{
	struct irq_vectors *v = &s->irqs[set->index];
	uint32_t total = s->dev.irqs[set->index].count;
	uint32_t i;

	if (!v->fds) {
		v->fds = malloc(total * sizeof(*v->fds));
		if (!v->fds)
			return -ENOMEM;
		for (i = 0; i < total; i++)
			v->fds[i] = -1;
	}
	for (i = 0; i < set->count; i++) {
		close_fd(&v->fds[set->start + i]);
		if (m->nr_fds) {
			v->fds[set->start + i] = m->fds[i];
			m->fds[i] = -1;
		}
	}
	return 0;
}

static void irq_forget(struct session *s, uint32_t index)
{
	struct irq_vectors *v = &s->irqs[index];
	uint32_t i;

	v->enabled = 0;
	for (i = 0; v->fds && i < s->dev.irqs[index].count; i++)
		close_fd(&v->fds[i]);
	free(v->fds);
	v->fds = NULL;
}

void irq_forget_all(struct session *s)
{
	uint32_t i;

	for (i = 0; i < s->dev.nr_irqs; i++)
		irq_forget(s, i);
}

/* An index of fixed size, in use, is to have more: off, and on with all. */
static int irq_enlarge(struct session *s, const struct vfio_user_irq_set *set)
{
	struct irq_vectors *v = &s->irqs[set->index];
	uint32_t total = set->start + set->count;
	int ret;

	ret = vfio_irq_set(&s->dev, VFIO_IRQ_SET_DATA_NONE |
			   VFIO_IRQ_SET_ACTION_TRIGGER, set->index, 0, 0, NULL);
	if (ret)
		return ret;
	ret = vfio_irq_set(&s->dev, VFIO_IRQ_SET_DATA_EVENTFD |
			   VFIO_IRQ_SET_ACTION_TRIGGER, set->index, 0, total,
			   v->fds);
	if (ret)
		irq_forget(s, set->index);
	else
		v->enabled = total;
	return ret;
}

/* The kernel has refused a range: like it, forget all of that range. */
static void irq_drop(struct session *s, const struct vfio_user_irq_set *set)
{
	struct irq_vectors *v = &s->irqs[set->index];
	uint32_t i;

	for (i = 0; i < set->count; i++)
		close_fd(&v->fds[set->start + i]);
}

/* Eventfds for a range of an index that can't be enlarged. */
static int irq_set_fixed(struct session *s, const struct vfio_user_irq_set *set,
			 struct msg *m)
{
	struct irq_vectors *v = &s->irqs[set->index];
	int ret;

	ret = irq_keep(s, set, m);
	if (ret)
		return ret;
	if (v->enabled && set->start + set->count > v->enabled)
		return irq_enlarge(s, set);

	ret = vfio_irq_set(&s->dev, set->flags, set->index, set->start,
			   set->count, v->fds + set->start);
	if (ret)
		irq_drop(s, set);
	else
		v->enabled = max(v->enabled, set->start + set->count);
	return ret;
}

static int irq_set_eventfds(struct session *s,
			    const struct vfio_user_irq_set *set, struct msg *m)
{
	int fds[VFIO_USER_MAX_SCM_FDS], *none;
	int ret;

	if (s->dev.irqs[set->index].flags & VFIO_IRQ_INFO_NORESIZE &&
	    set->flags & VFIO_USER_IRQ_SET_ACTION_TRIGGER)
		return irq_set_fixed(s, set, m);
	if (m->nr_fds) {
		/* The message isn't aligned, and its fds stay the message's. */
		memcpy(fds, m->fds, set->count * sizeof(fds[0]));
		return vfio_irq_set(&s->dev, set->flags, set->index,
				    set->start, set->count, fds);
	}

	none = malloc(set->count * sizeof(*none));
	if (!none)
		return -ENOMEM;
	memset(none, 0xff, set->count * sizeof(*none));
	ret = vfio_irq_set(&s->dev, set->flags, set->index, set->start,
			   set->count, none);
	free(none);
	return ret;
}

/* The same with eventfds of ours, which are passed on to the client's. */
static int irq_set_relayed(struct session *s,
			   const struct vfio_user_irq_set *set, struct msg *m)
{
	struct relay_vector new[BRIDGE_MAX_MSG_FDS];
	int ret;

	ret = relay_prepare(s, set->index, m, new);
	if (ret)
		return ret;
	ret = irq_set_eventfds(s, set, m);
	return relay_finish(s, set, m->nr_fds, new, ret);
}

static int irq_set(struct session *s, const struct vfio_user_irq_set *set,
		   struct msg *m)
{
	int kind = watch_index(s, set->index);
	int ret;

	if (kind >= 0)
		return watch_set(s, kind, set->flags, set->count, set->data,
				 m->nr_fds ? m->fds[0] : -1);
	if (set->flags & VFIO_USER_IRQ_SET_DATA_EVENTFD)
		return s->relay &&
		       set->flags & VFIO_USER_IRQ_SET_ACTION_TRIGGER ?
			irq_set_relayed(s, set, m) :
			irq_set_eventfds(s, set, m);

	ret = vfio_irq_set(&s->dev, set->flags, set->index, set->start,
			   set->count, set->data);
	if (!ret)
		ret = relay_pass(s);
	if (!ret && !set->count &&
	    set->flags & VFIO_USER_IRQ_SET_ACTION_TRIGGER) {
		irq_forget(s, set->index);
		relay_forget(s, set->index);
	}
	return ret;
}

int irq_handle_set(struct session *s, struct msg *m)
{
	int ret = irq_check(s, m);

	if (!ret)
		ret = irq_set(s, m->payload, m);
	return ret ? ret : session_reply_send(s, m, 0, -1);
}
