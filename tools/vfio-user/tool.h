/* SPDX-License-Identifier: GPL-2.0-only */
/* What the subcommands of vfio-user share. */
#ifndef TOOL_H
#define TOOL_H

#include <getopt.h>
#include <jansson.h>
#include <stdint.h>
#include "tools/lib/client.h"
#include "util.h"

/* Exit codes, documented in --help. */
#define TOOL_OK		0
#define TOOL_FAILED	1
#define TOOL_USAGE	2

/* Indexes that a PCI device has, in the order of the kernel's VFIO. */
#define PCI_NR_REGIONS		9
#define PCI_NR_IRQS		5
#define PCI_CONFIG_REGION	7

/**
 * struct subcommand - one row of the table in main.c
 * @name: what it is called
 * @args: its synopsis
 * @summary: one line for --help
 * @help: the rest of SUBCOMMAND --help, whole lines
 * @run: called with @name as argv[0]; returns an exit code
 */
struct subcommand {
	const char *name;
	const char *args;
	const char *summary;
	const char *help;
	int (*run)(int argc, char **argv);
};

extern const struct subcommand cmd_bind;
extern const struct subcommand cmd_dma;
extern const struct subcommand cmd_info;
extern const struct subcommand cmd_irq;
extern const struct subcommand cmd_lspci;
extern const struct subcommand cmd_migrate;
extern const struct subcommand cmd_read;
extern const struct subcommand cmd_reset;
extern const struct subcommand cmd_status;
extern const struct subcommand cmd_unbind;
extern const struct subcommand cmd_write;

/**
 * tool_getopt() - getopt_long(3) that says what is wrong and what to do
 * @argc: of the subcommand
 * @argv: of the subcommand
 * @options: long options; there are no short ones
 *
 * Return: val of the option found, -1 after the last one, '?' after an error
 * that has been printed.
 */
int tool_getopt(int argc, char **argv, const struct option *options);

/**
 * tool_operands() - check how many arguments are left after the options
 * @argc: of the subcommand
 * @argv: of the subcommand, permuted by tool_getopt()
 * @least: fewest
 * @most: most
 *
 * Return: false after an error that has been printed.
 */
bool tool_operands(int argc, char **argv, int least, int most);

/**
 * tool_fail() - print what failed, why, and what to do where that is known
 * @err: negative errno
 * @fmt: printf format of what was tried
 *
 * Return: TOOL_FAILED.
 */
int tool_fail(int err, const char *fmt, ...) __printf(2, 3);

/**
 * tool_errno_name() - EEXIST and the like
 * @err: negative errno
 *
 * Return: a constant string.
 */
const char *tool_errno_name(int err);

/**
 * tool_connect() - vfio_user_connect() that prints why it failed
 * @path: of the socket
 * @out: the client
 *
 * Return: TOOL_OK or TOOL_FAILED.
 */
int tool_connect(const char *path, struct vfio_user_client **out);

/**
 * tool_number() - read a number
 * @what: what it is, for the error message
 * @text: decimal, or hexadecimal after 0x
 * @value: filled in
 *
 * Return: false after an error that has been printed.
 */
bool tool_number(const char *what, const char *text, uint64_t *value);

/**
 * tool_size() - read a number of bytes
 * @what: what it is, for the error message
 * @text: as for tool_number(); may end in K, M or G
 * @value: filled in, in bytes
 *
 * Return: false after an error that has been printed.
 */
bool tool_size(const char *what, const char *text, uint64_t *value);

/**
 * tool_width() - read the width of an access
 * @text: 1, 2, 4 or 8
 * @width: filled in, in bytes
 *
 * Return: false after an error that has been printed.
 */
bool tool_width(const char *text, unsigned int *width);

/**
 * tool_region() - read which region is meant
 * @text: number or name
 * @index: filled in
 *
 * Return: false after an error that has been printed.
 */
bool tool_region(const char *text, uint32_t *index);

/**
 * tool_irq() - read which interrupt index is meant
 * @text: number or name
 * @index: filled in
 *
 * Return: false after an error that has been printed.
 */
bool tool_irq(const char *text, uint32_t *index);

/**
 * tool_region_name() - name of a PCI device's region
 * @index: region index
 *
 * Return: a constant string; NULL for a region that has only a number.
 */
const char *tool_region_name(uint32_t index);

/**
 * tool_irq_name() - name of a PCI device's interrupt index
 * @index: interrupt index
 *
 * Return: a constant string; NULL for an index that has only a number.
 */
const char *tool_irq_name(uint32_t index);

/**
 * tool_check_range() - do these bytes lie in the region, and can they be used?
 * @c: the client
 * @index: region index
 * @offset: first byte
 * @count: how many bytes
 * @flag: VFIO_USER_REGION_FLAG_READ or _WRITE, which the region must have
 *
 * Return: TOOL_OK; TOOL_FAILED or TOOL_USAGE after an error that has been
 * printed.
 */
int tool_check_range(struct vfio_user_client *c, uint32_t index,
		     uint64_t offset, uint64_t count, uint32_t flag);

/**
 * tool_print_json() - print any JSON value as indented lines on stdout
 * @json: an object or array prints its members as "key: value"
 * @depth: how far to indent, in steps
 *
 * Control characters in strings are replaced, because who wrote the text isn't
 * trusted with the terminal.
 */
void tool_print_json(const json_t *json, int depth);

/**
 * monitor_fetch() - all that a daemon's monitor socket says
 * @path: of the socket
 * @text: set to a NUL-terminated string, to be freed by the caller
 *
 * Return: 0 or a negative errno; -EMSGSIZE if it is longer than is sensible.
 */
int monitor_fetch(const char *path, char **text);

#endif
