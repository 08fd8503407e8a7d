// SPDX-License-Identifier: GPL-2.0-only
/*
 * The daemon's sandbox as it is without sanitizers: what they need besides is
 * named in start_calls.c, so they live with it.
 */
#undef __SANITIZE_ADDRESS__
#include "bridge/sandbox.c"
