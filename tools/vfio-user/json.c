// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any JSON document as lines that a person can read.
 *
 * Members of an object are "key: value", elements of an array "number: value",
 * what is inside of them stands below and is indented. Nothing is known about
 * the keys, so what a daemon of another version says is shown, too.
 */
#include <stdio.h>

#include "tool.h"

static void print_string(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	/* C0 and C1 control characters, the latter being two bytes of UTF-8 */
	for (; *s; s++) {
		if (*s < 0x20 || *s == 0x7f) {
			putchar('?');
		} else if (*s == 0xc2 && s[1] < 0xa0) {
			putchar('?');
			s++;
		} else {
			putchar(*s);
		}
	}
}

static bool is_scalar(const json_t *json)
{
	return !json_is_object(json) && !json_is_array(json);
}

static void print_scalar(const json_t *json)
{
	switch (json_typeof(json)) {
	case JSON_STRING:
		print_string(json_string_value(json));
		break;
	case JSON_INTEGER:
		printf("%" JSON_INTEGER_FORMAT, json_integer_value(json));
		break;
	case JSON_REAL:
		printf("%g", json_real_value(json));
		break;
	case JSON_TRUE:
		printf("yes");
		break;
	case JSON_FALSE:
		printf("no");
		break;
	default:
		printf("-");
		break;
	}
}

static bool has_only_scalars(const json_t *array)
{
	size_t i;

	for (i = 0; i < json_array_size(array); i++) {
		if (!is_scalar(json_array_get(array, i)))
			return false;
	}
	return true;
}

static void print_list(const json_t *array)
{
	size_t i;

	for (i = 0; i < json_array_size(array); i++) {
		printf(i ? ", " : " ");
		print_scalar(json_array_get(array, i));
	}
	putchar('\n');
}

/* What stands behind "key:", and below it. */
static void print_value(const json_t *json, int depth)
{
	if (is_scalar(json)) {
		putchar(' ');
		print_scalar(json);
		putchar('\n');
	} else if (!json_object_size(json) && !json_array_size(json)) {
		printf(" none\n");
	} else if (json_is_array(json) && has_only_scalars(json)) {
		print_list(json);
	} else {
		putchar('\n');
		tool_print_json(json, depth + 1);
	}
}

void tool_print_json(const json_t *json, int depth)
{
	const char *key;
	json_t *value;
	size_t i;

	if (is_scalar(json)) {
		print_scalar(json);
		putchar('\n');
	}
	json_object_foreach((json_t *)json, key, value) {
		printf("%*s", 2 * depth, "");
		print_string(key);
		putchar(':');
		print_value(value, depth);
	}
	json_array_foreach(json, i, value) {
		printf("%*s%zu:", 2 * depth, "", i);
		print_value(value, depth);
	}
}
