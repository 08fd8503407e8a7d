/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What objects of ours call in a fuzzer in place of libc's, or libnl's, function
 * of the same name without fuzz_ (see rename). Each fuzzer has those that the
 * Makefile says are to be renamed for it.
 */
#ifndef FUZZ_HOOKS_H
#define FUZZ_HOOKS_H

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

/* quiet.c */
ssize_t fuzz_write(int fd, const void *buf, size_t count);

/* clock.c */
int fuzz_clock_gettime(clockid_t clock, struct timespec *now);
int fuzz_pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *lock,
				clockid_t clock, const struct timespec *until);
int fuzz_pthread_clockjoin_np(pthread_t thread, void **ret, clockid_t clock,
			      const struct timespec *until);

/* run_server.c */
ssize_t fuzz_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t fuzz_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t fuzz_recv(int fd, void *buf, size_t len, int flags);
int fuzz_poll(struct pollfd *fds, nfds_t nr, int ms);
int fuzz_nanosleep(const struct timespec *time, struct timespec *left);

/* session_machine.c, start_calls.c */
struct nl_sock;
struct sockaddr_nl;
int fuzz_nl_recv(struct nl_sock *sock, struct sockaddr_nl *from,
		 unsigned char **buf, struct ucred **creds);
int fuzz_getsockopt(int fd, int level, int name, void *value, socklen_t *len);

/* session_host.c, setting.c */
FILE *fuzz_fopen(const char *path, const char *mode);

/* setting.c */
DIR *fuzz_opendir(const char *path);
ssize_t fuzz_readlink(const char *path, char *buf, size_t len);

/* main.c: the daemon's */
int fuzz_main(int argc, char **argv);

#endif
