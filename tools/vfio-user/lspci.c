// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-user lspci: the configuration space, decoded by lspci.
 *
 * Configuration space is read over the socket and written as the hex dump that
 * "lspci -xxxx" prints and "lspci -F FILE" reads. The file is in memory and
 * has no name of its own, so there is nothing to clean up, and this process
 * becomes lspci, whose exit code is then the answer.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "log.h"
#include "tool.h"

#define CONFIG_SIZE	256
#define EXTENDED_SIZE	4096
/* Without a whole standard header there is nothing to decode. */
#define HEADER_SIZE	64

/* Does @text look like "0000:00:00.0" or "00:00.0"? */
static bool is_pci_address(const char *text)
{
	static const char form[] = "xxxx:xx:xx.x";
	const char *f = form + (strlen(text) == 7 ? 5 : 0);

	for (; *f && *text; f++, text++) {
		if (*f == 'x' ? !isxdigit((unsigned char)*text) : *f != *text)
			return false;
	}
	return !*f && !*text;
}

/* The first string in the document that is a PCI address, or NULL. */
static const char *find_address(const json_t *json)
{
	const char *found = NULL, *key;
	json_t *value;
	size_t i;

	if (json_is_string(json) && is_pci_address(json_string_value(json)))
		return json_string_value(json);
	json_object_foreach((json_t *)json, key, value) {
		found = find_address(value);
		if (found)
			return found;
	}
	json_array_foreach(json, i, value) {
		found = find_address(value);
		if (found)
			return found;
	}
	return NULL;
}

/* What the daemon calls the device; @slot stays as it is if it doesn't say. */
static int ask_monitor(const char *path, char *slot, size_t len)
{
	const char *address;
	json_t *json;
	char *text;
	int ret;

	ret = monitor_fetch(path, &text);
	if (ret)
		return tool_fail(ret, "can't read %s", path);
	json = json_loads(text, 0, NULL);
	address = find_address(json);
	if (address)
		snprintf(slot, len, "%s", address);
	json_decref(json);
	free(text);
	return TOOL_OK;
}

/* Read configuration space; returns its length in bytes or a negative errno. */
static ssize_t read_config(const char *path, uint8_t *config)
{
	struct vfio_user_region_info *info;
	struct vfio_user_client *c;
	ssize_t n;
	int ret;

	if (tool_connect(path, &c))
		return -1;
	ret = vfio_user_region_info(c, PCI_CONFIG_REGION, &info, NULL);
	if (ret) {
		tool_fail(ret, "no configuration space");
		n = -1;
		goto disconnect;
	}

	/* Some mediated devices have a byte less than the usual. */
	n = vfio_user_region_read(c, PCI_CONFIG_REGION, 0, config,
				  info->size >= EXTENDED_SIZE ? EXTENDED_SIZE :
				  min(info->size, (uint64_t)CONFIG_SIZE));
	free(info);
	if (n < 0) {
		tool_fail(n, "can't read configuration space");
	} else if (n < HEADER_SIZE) {
		log_err("only %zd bytes of configuration space can be read: is this a PCI device?",
			n);
		n = -1;
	}

disconnect:
	vfio_user_disconnect(c);
	return n;
}

/* Returns an fd that lspci can read and inherit, or a negative errno. */
static int write_dump(const char *slot, const uint8_t *config, size_t len)
{
	int fd = memfd_create("config", 0);
	int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *file = copy < 0 ? NULL : fdopen(copy, "w");
	size_t i;
	int ret;

	if (!file)
		goto close_fds;
	fprintf(file, "%s vfio-user device\n", slot);
	for (i = 0; i < len; i++) {
		if (i % 16 == 0)
			fprintf(file, "%02zx:", i);
		fprintf(file, " %02x%s", config[i],
			i % 16 == 15 || i == len - 1 ? "\n" : "");
	}
	if (!fclose(file))
		return fd;
	copy = -1;

close_fds:
	ret = -errno;
	close_fd(&copy);
	close_fd(&fd);
	return ret;
}

static int run_lspci(int fd, int argc, char **args)
{
	char **argv = calloc(argc + 5, sizeof(*argv));
	char file[32];
	int n = 0;

	if (!argv)
		return tool_fail(-ENOMEM, "can't start lspci");
	snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	argv[n++] = "lspci";
	argv[n++] = "-F";
	argv[n++] = file;
	if (!argc)
		argv[n++] = "-vv";
	memcpy(argv + n, args, argc * sizeof(*argv));

	execvp(argv[0], argv);
	n = -errno;
	free(argv);
	if (n == -ENOENT) {
		log_err("lspci isn't installed: install the package pciutils");
		return TOOL_FAILED;
	}
	return tool_fail(n, "can't start lspci");
}

static int lspci_run(int argc, char **argv)
{
	static const char monitor[] = "--monitor=";
	char slot[16] = "00:00.0";
	uint8_t config[EXTENDED_SIZE];
	ssize_t len;
	int fd;

	/* All options after SOCKET are lspci's, so getopt() has no say. */
	argc--, argv++;
	if (argc && !strncmp(argv[0], monitor, sizeof(monitor) - 1)) {
		if (ask_monitor(argv[0] + sizeof(monitor) - 1, slot,
				sizeof(slot)))
			return TOOL_FAILED;
		argc--, argv++;
	}
	if (!argc || argv[0][0] == '-') {
		log_err("lspci: SOCKET comes first; see 'vfio-user lspci --help'");
		return TOOL_USAGE;
	}

	len = read_config(argv[0], config);
	if (len < 0)
		return TOOL_FAILED;
	fd = write_dump(slot, config, len);
	if (fd < 0)
		return tool_fail(fd, "can't write a temporary file");
	return run_lspci(fd, argc - 1, argv + 1);
}

const struct subcommand cmd_lspci = {
	.name = "lspci",
	.args = "[--monitor=MONITOR-SOCKET] SOCKET [LSPCI-ARGUMENTS]",
	.summary = "Decode the device's configuration space with lspci",
	.help =
"  SOCKET           the server's UNIX socket\n"
"  LSPCI-ARGUMENTS  for lspci, instead of -vv\n"
"  --monitor=MONITOR-SOCKET\n"
"                   ask the daemon for the device's address; it is shown as\n"
"                   00:00.0 otherwise\n"
"\n"
"Needs lspci, of the package pciutils. What lspci exits with is the exit code.\n",
	.run = lspci_run,
};
