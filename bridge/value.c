// SPDX-License-Identifier: GPL-2.0-only
/*
 * Values of options: numbers, sizes and choices, as people write them. What is
 * wrong with one is said with the option's name.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bridge.h"
#include "log.h"

#define VALUE_MAX_SECONDS	86400

int value_choice(const char *name, const char *value,
		 const char *const *choices)
{
	int i;

	for (i = 0; choices[i]; i++) {
		if (!strcmp(value, choices[i]))
			return i;
	}
	log_err("--%s=%s: choose one of those that --help lists", name, value);
	return -1;
}

int value_fd(const char *value)
{
	char *end;
	long fd;

	errno = 0;
	fd = strtol(value, &end, 10);
	if (errno || end == value || *end || fd < 0 || fd > INT_MAX) {
		log_err("--fd=%s: give the number of an open socket", value);
		return -1;
	}
	return fd;
}

int value_seconds(const char *name, const char *value)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(value, &end, 10);
	if (errno || end == value || *end || n < 0 ||
	    n > VALUE_MAX_SECONDS) {
		log_err("--%s=%s: give a number of seconds, up to a day (%d)",
			name, value, VALUE_MAX_SECONDS);
		return -1;
	}
	return n;
}

/* A number as C writes them, at *@at, which becomes what follows it. */
static bool value_number(const char **at, uint64_t *value)
{
	char *end;

	/* strtoull() takes blanks and signs, too. */
	if (!isdigit((unsigned char)**at))
		return false;
	errno = 0;
	*value = strtoull(*at, &end, 0);
	*at = end;
	return !errno;
}

bool value_doorbell(const char *value, struct doorbell *d)
{
	uint64_t part[4] = { 0 }, width;
	unsigned int n = 0;

	do {
		if (n == ARRAY_SIZE(part) || !value_number(&value, &part[n]))
			return false;
		n++;
	} while (*value++ == ':');
	width = part[2];
	if (n < 3 || value[-1] || part[0] >= VFIO_MAX_REGIONS ||
	    !width || width > 8 || width & (width - 1) ||
	    part[1] & (width - 1) ||
	    (width < 8 && part[3] >> (8 * width)))
		return false;
	*d = (struct doorbell){ part[0], part[1], width, n == 4, part[3] };
	return true;
}

uint64_t value_size(const char *value)
{
	static const char units[] = "KMG";
	unsigned long long n;
	const char *unit;
	char *end;

	errno = 0;
	n = strtoull(value, &end, 0);
	if (errno || end == value || strchr(value, '-'))
		return 0;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		unsigned int shift = 10 * (unit - units + 1);

		if (n > UINT64_MAX >> shift)
			return 0;
		n <<= shift;
		end++;
	}
	return *end ? 0 : n;
}

int value_count(const char *name, const char *value, uint32_t *count)
{
	uint64_t n = value_size(value);

	if (n && n <= UINT32_MAX) {
		*count = n;
		return 0;
	}
	log_err("--%s=%s: give a number, at least 1", name, value);
	return -1;
}
