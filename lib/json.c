// SPDX-License-Identifier: GPL-2.0-only
/* JSON as text, all of it or nothing. */
#include <stdlib.h>

#include "json.h"

char *json_text(const json_t *json, size_t flags)
{
	size_t len = json_dumpb(json, NULL, 0, flags);
	char *text = len ? malloc(len + 1) : NULL;

	if (!text)
		return NULL;
	if (json_dumpb(json, text, len, flags) != len) {
		free(text);
		return NULL;
	}
	text[len] = '\0';
	return text;
}
