/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FAULTS_INJECT_H
#define FAULTS_INJECT_H

#undef _FORTIFY_SOURCE

#include <cap-ng.h>
#include <dirent.h>
#include <execinfo.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <netlink/netlink.h>
#include <pci/pci.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <search.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"

/* The place in the daemon that has called what stands for the function. */
#define CALLER		__builtin_return_address(0)

/**
 * fault() - is it this one that is to fail?
 * @call: what is called
 * @caller: from where
 *
 * Defined by whoever says which fails: inject.c, or a fuzzer.
 *
 * Return: the error, or 0.
 */
int fault(enum fault_call call, void *caller);

/** fault_errno() - the same, with errno set to the error */
bool fault_errno(enum fault_call call, void *caller);

/** fault_json_start() - from now on jansson's allocations may fail, too */
void fault_json_start(void);

#endif
