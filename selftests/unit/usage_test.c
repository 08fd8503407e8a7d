// SPDX-License-Identifier: GPL-2.0-only
/* The defaults are those that --help and Documentation/vfio-bridge.rst tell. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridge/bridge.h"

#include "kselftest_harness.h"

static struct options parsed(void)
{
	const char *const argv[] = { "vfio-bridge", "--device=1:0.0", "--fd=3", NULL };
	struct options opts;

	optind = 1;
	if (options_parse(&opts, ARRAY_SIZE(argv) - 1, (char **)argv) != -1)
		abort();
	return opts;
}

TEST(limits_of_a_session)
{
	struct options opts = parsed();

	EXPECT_EQ(50000, opts.message_rate);
	EXPECT_NE(NULL, strstr(usage_help, "log tells of (50000)"));
	EXPECT_EQ(2 * (uint64_t)sysconf(_SC_PHYS_PAGES) *
		  sysconf(_SC_PAGESIZE), opts.max_dma);
	EXPECT_NE(NULL, strstr(usage_help, "(twice the\n"));
	/* It is the IOMMU that says how many. */
	EXPECT_EQ(UINT32_MAX, opts.max_dma_maps);
	EXPECT_NE(NULL, strstr(usage_help, "(what the IOMMU takes)"));
}

TEST(times)
{
	EXPECT_EQ(30, parsed().release_timeout);
	EXPECT_NE(NULL, strstr(usage_help, "if it has been told so (30)"));
	/* For VERSION, and for the rest of a message that has begun. */
	EXPECT_EQ(10, BRIDGE_CLIENT_TIMEOUT);
}

TEST(nobody_is_kept_out_and_all_is_given_up)
{
	struct options opts = parsed();

	EXPECT_FALSE(access_is_limited(&opts.access));
	EXPECT_FALSE(opts.access.has_mode);
	EXPECT_EQ(-1, opts.access.user);
	EXPECT_EQ(-1, opts.access.group);
	EXPECT_FALSE(opts.no_sandbox);
	EXPECT_FALSE(opts.unsafe_noiommu);
	EXPECT_EQ(ON_DISCONNECT_RESET, opts.on_disconnect);
}

TEST_HARNESS_MAIN
