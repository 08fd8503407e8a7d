/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What <linux/fcntl.h> and <fcntl.h> have of late, under a name of our own: the
 * headers of the machine that builds may be older than the kernel of the one
 * that runs. A kernel that lacks a command answers EINVAL.
 */
#ifndef ABI_FCNTL_H
#define ABI_FCNTL_H

/* Linux 6.10: are two fds the same open file? */
#define ABI_F_DUPFD_QUERY	1027

#endif
