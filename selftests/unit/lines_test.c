// SPDX-License-Identifier: GPL-2.0-only
/* How many lines of the log a client can cause, as time goes by. */
#include "bridge/bridge.h"

#include "kselftest_harness.h"

#define MINUTE	(LINES_INTERVAL * INT64_C(1000))

/* How many of @nr lines at @now may be. */
static unsigned int allowed(struct lines *l, int64_t now, unsigned int nr)
{
	unsigned int i, n = 0;

	for (i = 0; i < nr; i++)
		n += lines_count(l, now) < LINES_MAX;
	return n;
}

TEST(so_many_in_a_minute)
{
	struct lines l = { 0 };
	int64_t begin = 12345;

	EXPECT_EQ(60, LINES_INTERVAL);
	EXPECT_EQ(100, allowed(&l, begin, 1000));
	EXPECT_EQ(0, allowed(&l, begin + MINUTE - 1, 1000));
	EXPECT_EQ(100, allowed(&l, begin + MINUTE, 1000));
	EXPECT_EQ(0, allowed(&l, begin + 2 * MINUTE - 1, 1000));
}

TEST(minutes_begin_with_a_line)
{
	struct lines l = { 0 };

	EXPECT_EQ(100, allowed(&l, 10 * MINUTE - 1, 1000));
	EXPECT_EQ(0, allowed(&l, 10 * MINUTE, 1));
	EXPECT_EQ(1, allowed(&l, 20 * MINUTE, 1));
	EXPECT_EQ(99, allowed(&l, 20 * MINUTE + 1, 1000));
}

/* It is said once that there are no more. */
TEST(one_is_the_first_too_many)
{
	struct lines l = { 0 };
	unsigned int i, first = 0;

	for (i = 0; i < 1000; i++)
		first += lines_count(&l, 1) == LINES_MAX;
	EXPECT_EQ(1, first);
}

TEST_HARNESS_MAIN
