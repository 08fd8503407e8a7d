// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the two sides say of themselves in VERSION: capabilities, as JSON.
 *
 * Each capability that is a number or a boolean is a row of caps_table: where
 * it is in the JSON, its type, its range, and the field of struct
 * vfio_user_caps that holds it. Reading and writing walk the same table, so
 * what is written can be read back. iova_ranges, the only list, stands by
 * itself.
 *
 * The text comes from the other side of the socket and is not trusted. jansson
 * checks that it is UTF-8 and one JSON value without anything after it, limits
 * its depth (so that its recursion can't exhaust the stack), refuses integers
 * that don't fit in 64 bits with a sign, and tells integers from other
 * numbers and from booleans. What it can't see is checked here: the NUL that
 * must end the text and be the only one. A key that comes twice is refused
 * everywhere, known or not: which of the two counts would otherwise depend on
 * who reads it.
 *
 * jansson seeds its hash tables when it makes the first object, which may open
 * /dev/urandom. A program that confines itself calls json_object_seed(0)
 * before it does.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "caps.h"
#include "json.h"
#include "vfio_user.h"

enum cap_type {
	CAP_U32,
	CAP_U64,
	CAP_BITS,	/* a uint64_t of which each bit has a meaning */
	CAP_INT,
	CAP_BOOL,
};

/**
 * struct cap - one capability
 * @object: the object inside "capabilities" that it is in; NULL for
 *          "capabilities" itself
 * @name: its key
 * @type: of the field
 * @min: least value; a field below it has nothing to say and isn't written
 * @max: largest value; a field above it is written as this, bits above are
 *       dropped
 * @offset: of the field in struct vfio_user_caps, in bytes
 */
struct cap {
	const char *object;
	const char *name;
	enum cap_type type;
	int64_t min;
	int64_t max;
	size_t offset;
};

#define CAP(object, name, type, min, max, field) \
	{ object, name, type, min, max, offsetof(struct vfio_user_caps, field) }

static const struct cap caps_table[] = {
	CAP(NULL, "max_msg_fds", CAP_U32, 1, VFIO_USER_MAX_SCM_FDS,
	    max_msg_fds),
	CAP(NULL, "max_data_xfer_size", CAP_U64, 1, INT64_MAX,
	    max_data_xfer_size),
	CAP(NULL, "max_dma_maps", CAP_U32, 1, UINT32_MAX, max_dma_maps),
	CAP(NULL, "pgsizes", CAP_BITS, 1, INT64_MAX, pgsizes),
	CAP(NULL, "write_multiple", CAP_BOOL, 0, 1, write_multiple),
	CAP("twin_socket", "supported", CAP_BOOL, 0, 1, twin_socket),
	CAP("twin_socket", "fd_index", CAP_INT, 0, VFIO_USER_MAX_SCM_FDS - 1,
	    twin_fd_index),
	CAP("migration", "pgsize", CAP_U64, 1, INT64_MAX, migration_pgsize),
};

void caps_default(struct vfio_user_caps *caps)
{
	memset(caps, 0, sizeof(*caps));
	caps->max_msg_fds = VFIO_USER_DEF_MAX_MSG_FDS;
	caps->max_data_xfer_size = VFIO_USER_DEF_MAX_XFER;
	caps->max_dma_maps = VFIO_USER_DEF_MAX_DMA_MAPS;
	caps->pgsizes = VFIO_USER_DEF_PGSIZES;
	caps->twin_fd_index = -1;
}

static void cap_set(struct vfio_user_caps *caps, const struct cap *cap,
		    int64_t value)
{
	void *field = (char *)caps + cap->offset;

	switch (cap->type) {
	case CAP_U32:
		*(uint32_t *)field = value;
		break;
	case CAP_U64:
	case CAP_BITS:
		*(uint64_t *)field = value;
		break;
	case CAP_INT:
		*(int *)field = value;
		break;
	case CAP_BOOL:
		*(bool *)field = value;
		break;
	}
}

static int64_t cap_get(const struct vfio_user_caps *caps,
		       const struct cap *cap)
{
	const void *field = (const char *)caps + cap->offset;
	int64_t value = 0;

	switch (cap->type) {
	case CAP_U32:
		value = *(const uint32_t *)field;
		break;
	case CAP_U64:
		value = *(const uint64_t *)field;
		if (value < 0)
			value = INT64_MAX;
		break;
	case CAP_BITS:
		value = *(const uint64_t *)field & cap->max;
		break;
	case CAP_INT:
		value = *(const int *)field;
		break;
	case CAP_BOOL:
		value = *(const bool *)field;
		break;
	}
	return min(value, cap->max);
}

static int cap_parse(const json_t *json, const struct cap *cap,
		     struct vfio_user_caps *caps)
{
	int64_t value;

	if (cap->object) {
		json = json_object_get(json, cap->object);
		if (json && !json_is_object(json))
			return -EINVAL;
	}
	json = json_object_get(json, cap->name);
	if (!json)
		return 0;

	if (cap->type == CAP_BOOL) {
		if (!json_is_boolean(json))
			return -EINVAL;
		value = json_is_true(json);
	} else {
		if (!json_is_integer(json))
			return -EINVAL;
		value = json_integer_value(json);
	}
	if (value < cap->min || value > cap->max)
		return -EINVAL;

	cap_set(caps, cap, value);
	return 0;
}

static int caps_parse_iova_ranges(const json_t *list,
				  struct vfio_user_caps *caps)
{
	size_t i, nr = json_array_size(list);

	if (!list)
		return 0;
	if (!json_is_array(list) || nr > VFIO_USER_MAX_IOVA_RANGES)
		return -EINVAL;

	for (i = 0; i < nr; i++) {
		const json_t *pair = json_array_get(list, i);
		const json_t *first = json_array_get(pair, 0);
		const json_t *last = json_array_get(pair, 1);

		if (json_array_size(pair) != 2 || !json_is_integer(first) ||
		    !json_is_integer(last) || json_integer_value(first) < 0 ||
		    json_integer_value(first) > json_integer_value(last))
			return -EINVAL;
		caps->iova_ranges[i].first = json_integer_value(first);
		caps->iova_ranges[i].last = json_integer_value(last);
	}
	caps->nr_iova_ranges = nr;
	caps->knows_iova_ranges = true;
	return 0;
}

static int caps_parse_root(const json_t *root, struct vfio_user_caps *caps)
{
	const json_t *json;
	unsigned int i;
	int ret;

	if (!json_is_object(root))
		return -EINVAL;
	json = json_object_get(root, "capabilities");
	if (!json)
		return 0;
	if (!json_is_object(json))
		return -EINVAL;

	for (i = 0; i < ARRAY_SIZE(caps_table); i++) {
		ret = cap_parse(json, &caps_table[i], caps);
		if (ret)
			return ret;
	}
	return caps_parse_iova_ranges(json_object_get(json, "iova_ranges"),
				      caps);
}

int caps_parse(const char *data, size_t len, struct vfio_user_caps *caps)
{
	json_error_t error;
	json_t *root;
	int ret;

	caps_default(caps);
	if (!len)
		return 0;
	if (len > CAPS_MAX_JSON)
		return -EINVAL;
	if (memchr(data, '\0', len) != data + len - 1)
		return -EINVAL;

	root = json_loadb(data, len - 1, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return json_error_code(&error) == json_error_out_of_memory ?
			-ENOMEM : -EINVAL;

	ret = caps_parse_root(root, caps);
	json_decref(root);
	return ret;
}

/* The object that @cap is a key of, made if it isn't there yet. */
static json_t *cap_parent(json_t *json, const struct cap *cap)
{
	json_t *object;

	if (!cap->object)
		return json;
	object = json_object_get(json, cap->object);
	if (object)
		return object;
	object = json_object();
	return json_object_set_new(json, cap->object, object) ? NULL : object;
}

static int cap_format(const struct vfio_user_caps *caps,
		      const struct cap *cap, json_t *json)
{
	int64_t value = cap_get(caps, cap);
	json_t *parent;

	if (value < cap->min)
		return 0;
	parent = cap_parent(json, cap);
	if (!parent)
		return -ENOMEM;
	return json_object_set_new(parent, cap->name,
				   cap->type == CAP_BOOL ?
				   json_boolean(value) : json_integer(value)) ?
		-ENOMEM : 0;
}

/* A range that begins where JSON's integers have ended can't be said. */
static int caps_format_iova_ranges(const struct vfio_user_caps *caps,
				   json_t *json)
{
	json_t *list = json_array();
	unsigned int i;

	if (json_object_set_new(json, "iova_ranges", list))
		return -ENOMEM;

	for (i = 0; i < caps->nr_iova_ranges; i++) {
		uint64_t first = caps->iova_ranges[i].first;
		uint64_t last = caps->iova_ranges[i].last;
		json_t *pair;

		if (first > INT64_MAX)
			continue;
		if (last > INT64_MAX)
			last = INT64_MAX;
		pair = json_pack("[I, I]", (json_int_t)first,
				 (json_int_t)last);
		if (json_array_append_new(list, pair))
			return -ENOMEM;
	}
	return 0;
}

char *caps_format(const struct vfio_user_caps *caps)
{
	json_t *json = json_object();
	json_t *root = json_pack("{s:O}", "capabilities", json);
	char *text = NULL;
	unsigned int i;

	if (!root)
		goto put_json;
	for (i = 0; i < ARRAY_SIZE(caps_table); i++) {
		if (cap_format(caps, &caps_table[i], json))
			goto put_root;
	}
	if (caps->knows_iova_ranges && caps_format_iova_ranges(caps, json))
		goto put_root;
	text = json_text(root, JSON_COMPACT);

put_root:
	json_decref(root);
put_json:
	json_decref(json);
	return text;
}
