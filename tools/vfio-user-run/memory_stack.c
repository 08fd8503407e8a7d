// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which memory is the stack of a thread.
 *
 * A stack must not become a memfd's. It would be shared with a child of
 * fork(2), which goes on with the same one. The thread that converts memory
 * must not wait for itself, neither by writing to its stack nor by setting
 * errno; the variables of a thread are above its stack, in the same memory. And
 * the kernel writes there when it likes (rseq, signals): where userfaultfd(2)
 * is for the program's own accesses only, that would end the program.
 *
 * Nothing in /proc says where a stack begins and ends: it is private memory like
 * any other, and what lies next to it is often one mapping with it. libc knows,
 * and each thread asks it when it begins (interpose_thread.c). What it says
 * includes the thread's variables, and not the guard. The first thread's stack
 * grows, which the kernel tells; its variables are elsewhere, and are noted
 * when the library is loaded.
 *
 * Not known are the stacks that a program has for its coroutines, those of
 * threads that it makes by clone(2), and those of libc's own helpers (a timer's
 * with SIGEV_THREAD, say). For whoever calls us on such a stack, what is close
 * to where the stack is in use counts as a part of it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

#include "memory.h"

/* Of a stack that isn't known: what we use, and our callers, generously */
#define STACK_BELOW	(256 << 10)
#define STACK_ABOVE	(16 << 10)

static struct run_stack *stacks;
static __thread struct run_stack *own
	__attribute__((tls_model("initial-exec")));

static void stack_add(struct run_stack *stack)
{
	stack->next = stacks;
	stacks = stack;
	own = stack;
}

/*
 * The variables of the first thread: struct pthread, and what is below it, which
 * since glibc 2.41 includes what the kernel writes to.
 */
static void __attribute__((constructor)) stack_init(void)
{
	const ptrdiff_t *rseq = dlsym(RTLD_DEFAULT, "__rseq_offset");
	static struct run_stack first;
	uint64_t self = (uintptr_t)pthread_self();
	uint64_t start = min(self, (uint64_t)(uintptr_t)&errno);

	if (rseq)
		start = min(start, self + *rseq);
	first.start = start;
	first.end = self + run_page_size();
	stack_add(&first);
}

void run_stack_enter(struct run_stack *stack)
{
	pthread_attr_t attr;
	size_t size = 0;
	void *start = NULL;

	if (!pthread_getattr_np(pthread_self(), &attr)) {
		pthread_attr_getstack(&attr, &start, &size);
		pthread_attr_destroy(&attr);
	}
	stack->start = (uintptr_t)start;
	stack->end = stack->start + size;
	run_memory_lock();
	stack_add(stack);
	run_memory_unlock();
}

void run_stack_leave(struct run_stack *stack)
{
	struct run_stack **at;

	run_memory_lock();
	for (at = &stacks; *at; at = &(*at)->next) {
		if (*at == stack) {
			*at = stack->next;
			break;
		}
	}
	run_memory_unlock();
}

void run_stack_forked(void)
{
	stacks = own;
	if (own)
		own->next = NULL;
}

static bool stack_unknown(uint64_t start, uint64_t end)
{
	uint64_t here = (uintptr_t)__builtin_frame_address(0);

	if (own && here >= own->start && here < own->end)
		return false;
	return start < here + STACK_ABOVE && end > here - STACK_BELOW;
}

const char *run_stack_in(uint64_t start, uint64_t end)
{
	const struct run_stack *stack;

	for (stack = stacks; stack; stack = stack->next) {
		if (start >= stack->end || end <= stack->start)
			continue;
		return stack == own ? "the calling thread has its stack there" :
				      "another thread has its stack there";
	}
	return stack_unknown(start, end) ?
	       "the calling thread has its stack there" : NULL;
}
