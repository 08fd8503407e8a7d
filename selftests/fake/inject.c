// SPDX-License-Identifier: GPL-2.0-only
/*
 * The test's rules: each interposed call asks here first, before anything has
 * happened. A rule counts by itself, so that a test can say "the second map
 * from now on" whatever came before.
 */
#include <linux/ioctl.h>
#include <time.h>

#include "internal.h"

static bool rule_matches(const struct fake_rule *rule, enum fake_call call,
			 enum fake_kind kind, unsigned long request)
{
	if (__atomic_load_n(&rule->call, __ATOMIC_ACQUIRE) != call)
		return false;
	return call != FAKE_IOCTL ||
	       (rule->kind == kind && rule->request == request);
}

/* Until there is no such rule any more. */
static void rule_hold(const struct fake_rule *rule)
{
	const struct timespec step = { .tv_nsec = 1000000 };
	uint32_t call = rule->call;

	while (__atomic_load_n(&rule->call, __ATOMIC_ACQUIRE) == call) {
		if (nanosleep(&step, NULL) && !rule->stubborn)
			return;
	}
}

static void rule_delay(const struct fake_rule *rule)
{
	struct timespec delay = {
		.tv_sec = rule->delay_ms / 1000,
		.tv_nsec = rule->delay_ms % 1000 * 1000000l,
	};

	if (!rule->delay_ms)
		return;
	while (nanosleep(&delay, &delay) && rule->stubborn)
		;
}

static int rules_apply(enum fake_call call, enum fake_kind kind,
		       unsigned long request, size_t *count)
{
	struct fake_control *control = fake_control();
	uint32_t seen;
	int i, ret = 0;

	for (i = 0; i < FAKE_MAX_RULES && !ret; i++) {
		struct fake_rule *rule = &control->rules[i];

		if (!rule_matches(rule, call, kind, request))
			continue;
		seen = __atomic_add_fetch(&rule->seen, 1, __ATOMIC_RELAXED);
		if (rule->nth && rule->nth != seen)
			continue;
		ret = -(int)rule->err;
		if (rule->delay_ms == FAKE_HOLD)
			rule_hold(rule);
		else
			rule_delay(rule);
		if (count && rule->limit)
			*count = min(*count, (size_t)rule->limit);
	}
	return ret;
}

static void count_up(uint64_t *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static void log_call(enum fake_call call, enum fake_kind kind,
		     unsigned long request)
{
	struct fake_control *control = fake_control();
	uint64_t n = __atomic_fetch_add(&control->nr_logged, 1,
					__ATOMIC_RELAXED);

	count_up(&control->calls[call]);
	control->call_log[n % FAKE_CALL_LOG_LEN] = (struct fake_call_entry){
		.call = call,
		.kind = kind,
		.request = request,
	};
}

int inject(enum fake_call call)
{
	log_call(call, 0, 0);
	return rules_apply(call, 0, 0, NULL);
}

int inject_ioctl(enum fake_kind kind, unsigned long request)
{
	log_call(FAKE_IOCTL, kind, request);
	count_up(&fake_control()->ioctls[kind][_IOC_NR(request)]);
	return rules_apply(FAKE_IOCTL, kind, request, NULL);
}

int inject_transfer(enum fake_call call, size_t *count)
{
	log_call(call, 0, 0);
	return rules_apply(call, 0, 0, count);
}
