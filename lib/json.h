/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LIB_JSON_H
#define LIB_JSON_H

#include <jansson.h>

/**
 * json_text() - JSON as text
 * @json: the value, or NULL
 * @flags: JSON_COMPACT and the like
 *
 * In place of json_dumps(3), which overlooks that it has no memory for a key,
 * and leaves it out.
 *
 * Return: the text, to be freed, or NULL.
 */
char *json_text(const json_t *json, size_t flags);

#endif
