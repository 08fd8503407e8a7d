/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * As hooks.h, what start_calls.c and start_failing.c alone have; and what only
 * some compilers have.
 */
#ifndef FUZZ_START_HOOKS_H
#define FUZZ_START_HOOKS_H

#include <cap-ng.h>
#include <seccomp.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

int fuzz_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int fuzz_bind(int fd, const struct sockaddr *addr, socklen_t len);
void *fuzz_calloc(size_t nr, size_t size);
int fuzz_capng_apply(capng_select_t set);
int fuzz_capng_get_caps_process(void);
int fuzz_chdir(const char *path);
int fuzz_chmod(const char *path, mode_t mode);
int fuzz_connect(int fd, const struct sockaddr *addr, socklen_t len);
int fuzz_eventfd(unsigned int count, int flags);
int fuzz_fstat(int fd, struct stat *st);
char *fuzz_getcwd(char *buf, size_t len);
int fuzz_getrlimit(__rlimit_resource_t resource, struct rlimit *limit);
int fuzz_lchown(const char *path, uid_t user, gid_t group);
int fuzz_listen(int fd, int backlog);
int fuzz_lstat(const char *path, struct stat *st);
void *fuzz_malloc(size_t size);
int fuzz_mkdir(const char *path, mode_t mode);
int fuzz_mount(const char *from, const char *to, const char *type,
	       unsigned long flags, const void *data);
int fuzz_mount_setattr(int fd, const char *path, unsigned int flags,
		       struct mount_attr *attr, size_t size);
int fuzz_move_mount(int from, const char *from_path, int to,
		    const char *to_path, unsigned int flags);
int fuzz_nl_connect(struct nl_sock *sock, int protocol);
int fuzz_nl_socket_get_fd(const struct nl_sock *sock);
int fuzz_open(const char *path, int flags, ...);
int fuzz_open_tree(int dir, const char *path, unsigned int flags);
int fuzz_prctl(int option, ...);
int fuzz_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			void *(*fn)(void *arg), void *arg);
int fuzz_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
char *fuzz_realpath(const char *path, char *resolved);
int fuzz_seccomp_attr_set(scmp_filter_ctx ctx, enum scmp_filter_attr attr,
			  uint32_t value);
scmp_filter_ctx fuzz_seccomp_init(uint32_t action);
int fuzz_seccomp_load(const scmp_filter_ctx ctx);
int fuzz_seccomp_rule_add(scmp_filter_ctx ctx, uint32_t action, int number,
			  unsigned int nr, ...);
int fuzz_seccomp_rule_add_array(scmp_filter_ctx ctx, uint32_t action,
				int number, unsigned int nr,
				const struct scmp_arg_cmp *args);
int fuzz_setrlimit(__rlimit_resource_t resource, const struct rlimit *limit);
int fuzz_setsockopt(int fd, int level, int name, const void *value,
		    socklen_t len);
int fuzz_signalfd(int fd, const sigset_t *set, int flags);
int fuzz_socket(int domain, int type, int protocol);
long fuzz_syscall(long number, ...);
int fuzz_umount2(const char *path, int flags);
int fuzz_unlink(const char *path);
int fuzz_unshare(int flags);

/* The counters of libFuzzer, if there are any; the linker knows where. */
extern uint8_t counters_begin[] __asm__("__start___sancov_cntrs")
	__attribute__((weak, visibility("hidden")));
extern uint8_t counters_end[] __asm__("__stop___sancov_cntrs")
	__attribute__((weak, visibility("hidden")));

/* Of the sanitizers, if there are any. */
void __sanitizer_set_death_callback(void (*fn)(void));
void __sanitizer_print_stack_trace(void);
int __lsan_do_recoverable_leak_check(void);
#pragma weak __sanitizer_set_death_callback
#pragma weak __sanitizer_print_stack_trace
#pragma weak __lsan_do_recoverable_leak_check
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

#endif
