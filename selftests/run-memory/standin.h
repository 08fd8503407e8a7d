/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STANDIN_H
#define STANDIN_H

#include "tools/vfio-user-run/run.h"

/* The last line that run_say() was asked to say. */
extern char standin_said[1024];

/* The kernel is one that can't be asked for a mapping. */
extern bool standin_no_query;

#endif
