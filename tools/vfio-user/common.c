// SPDX-License-Identifier: GPL-2.0-only
/*
 * What all subcommands need: reading arguments, saying what is wrong, names.
 *
 * Whatever an operator can get wrong is answered with one line that ends in
 * what to do. Functions that read an argument print that line themselves, so
 * that a subcommand has only to return TOOL_USAGE.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "log.h"
#include "tool.h"

static const char * const region_names[PCI_NR_REGIONS] = {
	"BAR0", "BAR1", "BAR2", "BAR3", "BAR4", "BAR5", "ROM", "CONFIG", "VGA",
};

static const char * const irq_names[PCI_NR_IRQS] = {
	"INTX", "MSI", "MSIX", "ERR", "REQ",
};

const char *tool_region_name(uint32_t index)
{
	return index < PCI_NR_REGIONS ? region_names[index] : NULL;
}

const char *tool_irq_name(uint32_t index)
{
	return index < PCI_NR_IRQS ? irq_names[index] : NULL;
}

int tool_getopt(int argc, char **argv, const struct option *options)
{
	int opt;

	/* There being no short options, -x is a long one that is wrong. */
	opterr = 0;
	opt = getopt_long_only(argc, argv, ":", options, NULL);
	if (opt == ':') {
		log_err("%s: this option needs a value; see 'vfio-user %s --help'",
			argv[optind - 1], argv[0]);
		return '?';
	}
	if (opt == '?')
		log_err("%s: no such option, or it takes no value; see 'vfio-user %s --help'",
			argv[optind - 1], argv[0]);
	return opt;
}

bool tool_operands(int argc, char **argv, int least, int most)
{
	int n = argc - optind;

	if (n >= least && n <= most)
		return true;
	log_err("%s: too %s arguments; see 'vfio-user %s --help'",
		argv[0], n < least ? "few" : "many", argv[0]);
	return false;
}

const char *tool_errno_name(int err)
{
	const char *name = strerrorname_np(-err);

	return name ? name : "an unknown error";
}

/* What to do about an error that has the same cause wherever it comes from. */
static const char *hint(int err)
{
	switch (err) {
	case -EPROTO:
		return "; --verbose says what the server did wrong";
	case -ECONNRESET:
		return "; the server ended the session, its log says why";
	case -ETIMEDOUT:
		return "; the server is stuck or isn't a vfio-user server";
	default:
		return "";
	}
}

int tool_fail(int err, const char *fmt, ...)
{
	char what[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	log_err("%s: %s%s", what, strerror(-err), hint(err));
	return TOOL_FAILED;
}

static const char *connect_hint(int err)
{
	switch (err) {
	case -ENOENT:
		return "; is vfio-bridge running with this --socket-path?";
	case -ECONNREFUSED:
		return "; nobody listens there, start vfio-bridge";
	case -EACCES:
	case -EPERM:
		return "; be a user who may write to the socket";
	case -EBUSY:
		return "; another client has the device, end that one first";
	case -ENAMETOOLONG:
		return "; a socket's path has at most 107 characters, use a shorter one";
	case -ENOTSOCK:
		return "; this is not a socket";
	default:
		return hint(err);
	}
}

int tool_connect(const char *path, struct vfio_user_client **out)
{
	int ret = vfio_user_connect(path, NULL, out);

	if (!ret)
		return TOOL_OK;
	log_err("can't connect to %s: %s%s", path, strerror(-ret),
		connect_hint(ret));
	return TOOL_FAILED;
}

/* Digits at the start of @text; *@end is what follows, NULL if none do. */
static uint64_t leading_number(const char *text, char **end)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	uint64_t value;

	*end = NULL;
	if (hex ? !isxdigit((unsigned char)text[2]) :
		  !isdigit((unsigned char)text[0]))
		return 0;
	errno = 0;
	value = strtoull(text, end, hex ? 16 : 10);
	if (errno)
		*end = NULL;
	return value;
}

bool tool_number(const char *what, const char *text, uint64_t *value)
{
	char *end;

	*value = leading_number(text, &end);
	if (end && !*end)
		return true;
	log_err("%s '%s' is no number below 2^64: write it in decimal, or in hexadecimal after 0x",
		what, text);
	return false;
}

bool tool_size(const char *what, const char *text, uint64_t *value)
{
	static const char suffixes[] = "KMG";
	const char *suffix;
	uint64_t unit;
	char *end;

	*value = leading_number(text, &end);
	if (end && !*end)
		return true;
	suffix = end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
	if (suffix && !end[1]) {
		unit = 1ull << 10 * (suffix - suffixes + 1);
		if (!__builtin_mul_overflow(*value, unit, value))
			return true;
	}
	log_err("%s '%s' is no size below 2^64: write a number of bytes, or one with K, M or G",
		what, text);
	return false;
}

bool tool_width(const char *text, unsigned int *width)
{
	if (strlen(text) == 1 && strchr("1248", text[0])) {
		*width = text[0] - '0';
		return true;
	}
	log_err("--width=%s: an access is 1, 2, 4 or 8 bytes wide", text);
	return false;
}

static bool find_name(const char * const *names, unsigned int nr,
		      const char *text, uint32_t *index)
{
	char *end;
	uint64_t value = leading_number(text, &end);
	unsigned int i;

	if (end && !*end && value <= UINT32_MAX) {
		*index = value;
		return true;
	}
	for (i = 0; i < nr; i++) {
		if (!strcasecmp(text, names[i])) {
			*index = i;
			return true;
		}
	}
	return false;
}

bool tool_region(const char *text, uint32_t *index)
{
	if (find_name(region_names, PCI_NR_REGIONS, text, index))
		return true;
	log_err("region '%s': say bar0 to bar5, rom, config, vga, or a number",
		text);
	return false;
}

bool tool_irq(const char *text, uint32_t *index)
{
	if (find_name(irq_names, PCI_NR_IRQS, text, index))
		return true;
	log_err("interrupt '%s': say intx, msi, msix, err, req, or a number",
		text);
	return false;
}

int tool_check_range(struct vfio_user_client *c, uint32_t index,
		     uint64_t offset, uint64_t count, uint32_t flag)
{
	struct vfio_user_region_info *info;
	uint64_t size;
	bool allowed;
	int ret;

	ret = vfio_user_region_info(c, index, &info, NULL);
	if (ret == -EINVAL) {
		log_err("the device has no region %u; 'vfio-user info' lists them",
			index);
		return TOOL_FAILED;
	}
	if (ret)
		return tool_fail(ret, "can't ask about region %u", index);
	size = info->size;
	allowed = info->flags & flag;
	free(info);

	if (!size || !allowed) {
		log_err("region %u %s; 'vfio-user info' lists what can be done",
			index, size ? "doesn't allow that" : "is empty");
		return TOOL_FAILED;
	}
	if (!range_within(offset, count, size)) {
		log_err("%#llx bytes at %#llx are not inside region %u: its size is %#llx",
			(unsigned long long)count, (unsigned long long)offset,
			index, (unsigned long long)size);
		return TOOL_USAGE;
	}
	return TOOL_OK;
}
