// SPDX-License-Identifier: GPL-2.0-only
/*
 * pthread_create(3) and thrd_create(3): each thread says where its stack is
 * before it does what it was made for, and takes that back at its end, however
 * that comes (memory_stack.c).
 */
#undef _FORTIFY_SOURCE
#include <stdlib.h>
#include <threads.h>

#include "interpose.h"
#include "memory.h"

/* What the thread is to do; freed by it. One of the two functions is there. */
struct thread_start {
	void *(*posix)(void *arg);
	thrd_start_t c11;
	void *arg;
};

static void thread_end(void *stack)
{
	run_stack_leave(stack);
}

static void *thread_run(void *arg)
{
	struct thread_start start = *(struct thread_start *)arg;
	struct run_stack stack;
	void *ret;

	free(arg);
	run_stack_enter(&stack);
	pthread_cleanup_push(thread_end, &stack);
	ret = start.posix ? start.posix(start.arg) :
			    (void *)(intptr_t)start.c11(start.arg);
	pthread_cleanup_pop(1);
	return ret;
}

static int thread_run_c11(void *arg)
{
	return (intptr_t)thread_run(arg);
}

/* Return: NULL: without a device of ours, or memory, it goes without us. */
static struct thread_start *thread_start(struct thread_start start)
{
	struct thread_start *copy;
	unsigned int nr;

	run_devices(&nr);
	if (!nr)
		return NULL;
	copy = malloc(sizeof(*copy));
	if (copy)
		*copy = start;
	return copy;
}

INTERPOSED int pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			      void *(*fn)(void *), void *arg)
{
	struct thread_start *start;
	int ret;

	start = thread_start((struct thread_start){ .posix = fn, .arg = arg });
	if (!start)
		return NEXT(pthread_create)(thread, attr, fn, arg);
	ret = NEXT(pthread_create)(thread, attr, thread_run, start);
	if (ret)
		free(start);
	return ret;
}

INTERPOSED int thrd_create(thrd_t *thread, thrd_start_t fn, void *arg)
{
	struct thread_start *start;
	int ret;

	start = thread_start((struct thread_start){ .c11 = fn, .arg = arg });
	if (!start)
		return NEXT(thrd_create)(thread, fn, arg);
	ret = NEXT(thrd_create)(thread, thread_run_c11, start);
	if (ret != thrd_success)
		free(start);
	return ret;
}
