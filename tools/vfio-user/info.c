// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-user info: what the device and its server are.
 *
 * Everything is asked for and put into one JSON document, which is printed as
 * it is or as text made from it, so that both say the same. Regions and
 * interrupt indexes that the device doesn't have (the kernel answers EINVAL
 * for VGA, and for ERR of a device that isn't PCI Express) are left out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tool.h"

struct flag_name {
	uint32_t flag;
	const char *name;
};

static const struct flag_name device_flags[] = {
	{ VFIO_USER_DEVICE_FLAG_PCI,		"PCI" },
	{ VFIO_USER_DEVICE_FLAG_RESET,		"reset" },
	{ }
};

static const struct flag_name region_flags[] = {
	{ VFIO_USER_REGION_FLAG_READ,		"read" },
	{ VFIO_USER_REGION_FLAG_WRITE,		"write" },
	{ VFIO_USER_REGION_FLAG_MMAP,		"mmap" },
	{ }
};

static const struct flag_name irq_flags[] = {
	{ VFIO_USER_IRQ_INFO_EVENTFD,		"eventfd" },
	{ VFIO_USER_IRQ_INFO_MASKABLE,		"maskable" },
	{ VFIO_USER_IRQ_INFO_AUTOMASKED,	"automasked" },
	{ VFIO_USER_IRQ_INFO_NORESIZE,		"noresize" },
	{ }
};

/*
 * The makers of JSON below return NULL when there is no memory, and jansson's
 * functions that put a value into another refuse NULL, so the failure of any
 * of them ends up as the failure to make the whole.
 */
static json_t *json_flags(uint32_t flags, const struct flag_name *names)
{
	json_t *list = json_array();

	for (; names->flag; names++) {
		if (flags & names->flag &&
		    json_array_append_new(list, json_string(names->name))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *json_sparse(const struct vfio_user_cap_header *header)
{
	const struct vfio_user_cap_sparse_mmap *cap = (const void *)header;
	json_t *list = json_array();
	uint32_t i;

	for (i = 0; i < cap->nr_areas; i++) {
		json_t *area = json_pack("{s:I, s:I}",
			"offset", (json_int_t)cap->areas[i].offset,
			"size", (json_int_t)cap->areas[i].size);

		if (json_array_append_new(list, area)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static int add_region_caps(json_t *json,
			   const struct vfio_user_region_info *info)
{
	const struct vfio_user_cap_header *cap;
	int ret = 0;

	cap = vfio_user_region_cap(info, VFIO_USER_REGION_CAP_SPARSE_MMAP);
	if (cap)
		ret |= json_object_set_new(json, "sparse", json_sparse(cap));
	cap = vfio_user_region_cap(info, VFIO_USER_REGION_CAP_MSIX_MAPPABLE);
	if (cap)
		ret |= json_object_set_new(json, "msix_mappable", json_true());
	cap = vfio_user_region_cap(info, VFIO_USER_REGION_CAP_TYPE);
	if (cap) {
		const struct vfio_user_cap_type *type = (const void *)cap;

		ret |= json_object_set_new(json, "type",
					   json_integer(type->type));
		ret |= json_object_set_new(json, "subtype",
					   json_integer(type->subtype));
	}
	return ret ? -ENOMEM : 0;
}

static json_t *json_region(const struct vfio_user_region_info *info, bool pci)
{
	json_t *json;

	json = json_pack("{s:i, s:s*, s:I, s:o}",
			 "index", (int)info->index,
			 "name", pci ? tool_region_name(info->index) : NULL,
			 "size", (json_int_t)info->size,
			 "flags", json_flags(info->flags, region_flags));
	if (json && add_region_caps(json, info)) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static int add_region(json_t *list, struct vfio_user_client *c,
		      uint32_t index, bool pci)
{
	struct vfio_user_region_info *info;
	int ret;

	ret = vfio_user_region_info(c, index, &info, NULL);
	if (ret == -EINVAL)
		return 0;
	if (ret)
		return ret;
	ret = json_array_append_new(list, json_region(info, pci)) ?
		-ENOMEM : 0;
	free(info);
	return ret;
}

static int add_irq(json_t *list, struct vfio_user_client *c, uint32_t index,
		   bool pci)
{
	struct vfio_user_irq_info info;
	json_t *json;
	int ret;

	ret = vfio_user_irq_info(c, index, &info);
	if (ret == -EINVAL)
		return 0;
	if (ret)
		return ret;
	json = json_pack("{s:i, s:s*, s:I, s:o}",
			 "index", (int)index,
			 "name", pci ? tool_irq_name(index) : NULL,
			 "count", (json_int_t)info.count,
			 "flags", json_flags(info.flags, irq_flags));
	return json_array_append_new(list, json) ? -ENOMEM : 0;
}

static int add_device(json_t *json, struct vfio_user_client *c)
{
	json_t *regions = json_array(), *irqs = json_array();
	struct vfio_user_device_info info;
	uint32_t i;
	bool pci;
	int ret;

	ret = json_object_set_new(json, "regions", regions);
	ret |= json_object_set_new(json, "irqs", irqs);
	if (ret)
		return -ENOMEM;

	ret = vfio_user_device_info(c, &info);
	if (ret)
		return ret;
	pci = info.flags & VFIO_USER_DEVICE_FLAG_PCI;
	for (i = 0; i < info.num_regions && !ret; i++)
		ret = add_region(regions, c, i, pci);
	for (i = 0; i < info.num_irqs && !ret; i++)
		ret = add_irq(irqs, c, i, pci);
	if (ret)
		return ret;
	return json_object_set_new(json, "device",
				   json_pack("{s:o}", "flags",
					     json_flags(info.flags,
							device_flags))) ?
		-ENOMEM : 0;
}

static int add_server(json_t *json, struct vfio_user_client *c)
{
	uint32_t version = vfio_user_server_version(c);
	char *text = caps_format(vfio_user_server_caps(c));
	json_t *caps = text ? json_loads(text, 0, NULL) : NULL;
	json_t *server;
	int ret;

	server = json_pack("{s:o}", "protocol",
			   json_sprintf("%u.%u", version >> 16,
					version & 0xffff));
	ret = json_object_update(server, caps);
	ret |= json_object_set_new(json, "server", server);
	json_decref(caps);
	free(text);
	return ret ? -ENOMEM : 0;
}

static void print_size(uint64_t size)
{
	static const char * const units[] = { "bytes", "KiB", "MiB", "GiB" };
	unsigned int unit = 0;

	while (unit < ARRAY_SIZE(units) - 1 && size >= 1024 &&
	       !(size % 1024)) {
		size /= 1024;
		unit++;
	}
	printf("%6llu %-5s", (unsigned long long)size, units[unit]);
}

static void print_flags(const json_t *flags)
{
	const json_t *flag;
	size_t i;

	json_array_foreach(flags, i, flag)
		printf(" %s", json_string_value(flag));
}

/* "  0 BAR0  ", or the number alone. */
static void print_index(const json_t *json)
{
	const char *name = json_string_value(json_object_get(json, "name"));

	printf("  %2lld %-7s", json_integer_value(json_object_get(json,
								  "index")),
	       name ? name : "");
}

static void print_region(const json_t *json)
{
	const json_t *area, *type = json_object_get(json, "type");
	json_int_t offset, size;
	size_t i;

	print_index(json);
	print_size(json_integer_value(json_object_get(json, "size")));
	print_flags(json_object_get(json, "flags"));
	putchar('\n');

	json_array_foreach(json_object_get(json, "sparse"), i, area) {
		offset = json_integer_value(json_object_get(area, "offset"));
		size = json_integer_value(json_object_get(area, "size"));
		printf("       mmap 0x%llx, 0x%llx bytes\n", offset, size);
	}
	if (json_object_get(json, "msix_mappable"))
		printf("       the MSI-X table can be mapped\n");
	if (type)
		printf("       type %#llx subtype %#llx\n",
		       json_integer_value(type),
		       json_integer_value(json_object_get(json, "subtype")));
}

static void print_irq(const json_t *json)
{
	print_index(json);
	printf("%6lld      ", json_integer_value(json_object_get(json,
								 "count")));
	print_flags(json_object_get(json, "flags"));
	putchar('\n');
}

/* IOVAs are read in hexadecimal, everything else that a server says isn't. */
static void print_server(json_t *server)
{
	json_t *caps = json_object_get(server, "capabilities");
	json_t *ranges = json_incref(json_object_get(caps, "iova_ranges"));
	const json_t *pair;
	size_t i;

	json_object_del(caps, "iova_ranges");
	printf("Server:\n");
	tool_print_json(server, 1);
	json_array_foreach(ranges, i, pair)
		printf("    IOVA range: 0x%llx-0x%llx\n",
		       json_integer_value(json_array_get(pair, 0)),
		       json_integer_value(json_array_get(pair, 1)));
	json_decref(ranges);
}

static void print_text(const json_t *json)
{
	const json_t *item;
	size_t i;

	printf("Device:");
	print_flags(json_object_get(json_object_get(json, "device"), "flags"));
	printf("\nRegions:\n");
	json_array_foreach(json_object_get(json, "regions"), i, item)
		print_region(item);
	printf("Interrupts:\n");
	json_array_foreach(json_object_get(json, "irqs"), i, item)
		print_irq(item);
	print_server(json_object_get(json, "server"));
}

static int print_info(struct vfio_user_client *c, bool raw)
{
	json_t *json = json_object();
	int ret = json ? 0 : -ENOMEM;

	if (!ret)
		ret = add_server(json, c);
	if (!ret)
		ret = add_device(json, c);
	if (ret) {
		ret = tool_fail(ret, "can't describe the device");
	} else if (raw) {
		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_text(json);
	}
	json_decref(json);
	return ret;
}

static int info_run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ }
	};
	struct vfio_user_client *c;
	bool raw = false;
	int opt, ret;

	while ((opt = tool_getopt(argc, argv, options)) != -1) {
		if (opt == '?')
			return TOOL_USAGE;
		raw = true;
	}
	if (!tool_operands(argc, argv, 1, 1))
		return TOOL_USAGE;

	if (tool_connect(argv[optind], &c))
		return TOOL_FAILED;
	ret = print_info(c, raw);
	vfio_user_disconnect(c);
	return ret;
}

const struct subcommand cmd_info = {
	.name = "info",
	.args = "SOCKET [--json]",
	.summary = "Print what the device and its server are",
	.help =
"  SOCKET  the server's UNIX socket\n"
"  --json  print JSON: server, device, regions, irqs\n",
	.run = info_run,
};
