// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may connect.
 *
 * First the file system decides: the socket's owner, group and mode, which
 * --socket-user, --socket-group and --socket-mode set before listen(2), so that
 * nobody connects before. Then, with --allow-uid and
 * --allow-gid, the daemon: the kernel says who has connected, whatever way the
 * socket went to get there. One match is enough. A client's groups are all of
 * those it was in when it connected.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge.h"
#include "log.h"

/* What a process can be in, at most (NGROUPS_MAX). */
#define ACCESS_MAX_GROUPS	65536

/* A user or group number; -1 if it isn't one. */
static int64_t access_number(const char *value)
{
	unsigned long n;
	char *end;

	if (value[0] < '0' || value[0] > '9')
		return -1;
	errno = 0;
	n = strtoul(value, &end, 10);
	/* The last one means "none" to chown(2). */
	return errno || *end || n >= UINT_MAX ? -1 : (int64_t)n;
}

/* Syscalls at start: close connect lseek newfstatat openat read socket */
static int64_t access_user(const char *option, const char *value)
{
	int64_t n = access_number(value);
	const struct passwd *pw = n < 0 ? getpwnam(value) : NULL;

	if (pw)
		n = pw->pw_uid;
	if (n < 0)
		log_err("--%s=%s: there is no such user; give a name or a number",
			option, value);
	return n;
}

/* Syscalls at start: close connect lseek newfstatat openat read socket */
static int64_t access_group(const char *option, const char *value)
{
	int64_t n = access_number(value);
	const struct group *gr = n < 0 ? getgrnam(value) : NULL;

	if (gr)
		n = gr->gr_gid;
	if (n < 0)
		log_err("--%s=%s: there is no such group; give a name or a number",
			option, value);
	return n;
}

int access_set_mode(struct access *a, const char *value)
{
	unsigned long mode;
	char *end;

	mode = strtoul(value, &end, 8);
	if (end == value || *end || value[0] < '0' || mode > 0777) {
		log_err("--socket-mode=%s: give an octal number such as 0660",
			value);
		return -1;
	}
	a->mode = mode;
	a->has_mode = true;
	return 0;
}

int access_set_user(struct access *a, const char *value)
{
	a->user = access_user("socket-user", value);
	return a->user < 0 ? -1 : 0;
}

int access_set_group(struct access *a, const char *value)
{
	a->group = access_group("socket-group", value);
	return a->group < 0 ? -1 : 0;
}

static int access_add(const char *option, const char *value, int64_t n,
		      uint32_t *list, unsigned int *nr)
{
	if (n < 0)
		return -1;
	if (*nr == MAX_ALLOWED) {
		log_err("--%s=%s: %d is the most there can be", option, value,
			MAX_ALLOWED);
		return -1;
	}
	list[(*nr)++] = n;
	return 0;
}

int access_add_uid(struct access *a, const char *value)
{
	return access_add("allow-uid", value, access_user("allow-uid", value),
			  a->uids, &a->nr_uids);
}

int access_add_gid(struct access *a, const char *value)
{
	return access_add("allow-gid", value, access_group("allow-gid", value),
			  a->gids, &a->nr_gids);
}

/*
 * What is given away is what is looked at here. Who may write to the directory
 * could have put something else there meanwhile: a link to another's file, or that
 * file itself under a second name.
 *
 * Syscalls at start: fchownat newfstatat
 */
static int access_give(const struct access *a, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_nlink != 1)
		return -ENOTSOCK;
	return fchownat(fd, "", a->user < 0 ? -1 : a->user,
			a->group < 0 ? -1 : a->group, AT_EMPTY_PATH) ?
		-errno : 0;
}

/* Syscalls at start: close openat */
int access_apply(const struct access *a, const char *path)
{
	int fd, ret;

	if (a->user < 0 && a->group < 0)
		return 0;
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = access_give(a, fd);
	close(fd);
	return ret;
}

static bool access_has(const uint32_t *list, unsigned int nr, uint32_t n)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (list[i] == n)
			return true;
	}
	return false;
}

/* Syscalls: getsockopt(SO_PEERGROUPS) */
static bool access_has_group(const struct access *a, int fd)
{
	socklen_t len = ACCESS_MAX_GROUPS * sizeof(gid_t);
	gid_t *groups;
	bool found = false;
	size_t i;

	groups = malloc(len);
	if (!groups)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		len = 0;
	for (i = 0; i < len / sizeof(gid_t) && !found; i++)
		found = access_has(a->gids, a->nr_gids, groups[i]);
	free(groups);
	return found;
}

bool access_is_limited(const struct access *a)
{
	return a->nr_uids || a->nr_gids;
}

/* Syscalls: getsockopt(SO_PEERCRED) */
bool access_allows(const struct access *a, int fd, struct ucred *peer)
{
	socklen_t len = sizeof(*peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &len))
		return false;
	if (!access_is_limited(a))
		return true;
	return access_has(a->uids, a->nr_uids, peer->uid) ||
	       access_has(a->gids, a->nr_gids, peer->gid) ||
	       (a->nr_gids && access_has_group(a, fd));
}
