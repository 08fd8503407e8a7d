// SPDX-License-Identifier: GPL-2.0-only
/*
 * pthread_cancel(3) of a thread that is in one of our calls.
 *
 * What the library does in such a call, on sockets and files, are cancellation
 * points. A thread that ended there would take the library's locks with it, and
 * what it has borrowed. So cancellation is off from the first lock that a thread
 * takes to the last that it gives back: the linker turns the library's calls of
 * pthread_mutex_lock(3) and the like into these functions. The calls that borrow
 * a file from the table for longer turn it off themselves.
 * A cancellation that comes meanwhile waits for the program's next point.
 */
#include <pthread.h>

#include "interpose.h"

static __thread unsigned int cancel_depth
	__attribute__((tls_model("initial-exec")));
static __thread int cancel_state
	__attribute__((tls_model("initial-exec")));

void run_cancel_off(void)
{
	int state;

	if (cancel_depth++)
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	cancel_state = state;
}

void run_cancel_restore(void)
{
	if (!--cancel_depth)
		pthread_setcancelstate(cancel_state, NULL);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	run_cancel_off();
	return __real_pthread_mutex_lock(mutex);
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	run_cancel_off();
	return __real_pthread_rwlock_rdlock(lock);
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	run_cancel_off();
	return __real_pthread_rwlock_wrlock(lock);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	int ret = __real_pthread_mutex_unlock(mutex);

	run_cancel_restore();
	return ret;
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
	int ret = __real_pthread_rwlock_unlock(lock);

	run_cancel_restore();
	return ret;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	int ret;

	run_cancel_off();
	ret = __real_pthread_mutex_trylock(mutex);
	if (ret)
		run_cancel_restore();
	return ret;
}
