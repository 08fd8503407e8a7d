// SPDX-License-Identifier: GPL-2.0-only
/*
 * Errors that PCI Express reports (AER), as the kernel counts them.
 *
 * vfio-pci says of an error that there was one, no more. It may be the device's, or
 * that of a port above it, of which all drivers below are told. What it was, the
 * kernel has counted by then, in two files in the directory of each of them
 * (Documentation/ABI/testing/sysfs-bus-pci-devices-aer_stats in the kernel), a line
 * for each kind of error:
 *
 *	CmpltAbrt 1
 *	TOTAL_ERR_NONFATAL 1
 *
 * A file that is read from its beginning again is made anew. That of a device that
 * is unplugged stays empty from then on, also when it comes back; its ports stay.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aer.h"
#include "util.h"

/* Files of the device, and of ports above it, that are looked at. */
#define AER_MAX_FILES	16
/* Kinds of errors: a bit each of a register. */
#define AER_MAX_KINDS	32
#define AER_FILE_SIZE	4096

/**
 * struct aer_file - errors of one severity of a device or port
 * @name: of the device or port
 * @severity: for people
 * @fd: of the file
 * @counts: how many there were of each kind, by line, when it was read last
 */
struct aer_file {
	char name[16];
	const char *severity;
	int fd;
	uint64_t counts[AER_MAX_KINDS];
};

struct pci_aer {
	unsigned int nr;
	struct aer_file files[AER_MAX_FILES];
};

/**
 * struct aer_text - what is told
 * @buf: of @len bytes, @used of which are
 */
struct aer_text {
	char *buf;
	size_t len;
	size_t used;
};

static void aer_tell(struct aer_text *text, const struct aer_file *f,
		     const char *kind)
{
	int n = snprintf(text->buf + text->used, text->len - text->used,
			 "%s%s: %s (%s)", text->used ? ", " : "", f->name, kind,
			 f->severity);

	if (n > 0 && n < text->len - text->used)
		text->used += n;
	else
		text->buf[text->used] = '\0';
}

/* A line: how many there have been of a kind. */
static void aer_read_line(struct aer_file *f, unsigned int kind,
			  const char *line, struct aer_text *text)
{
	unsigned long long count;
	char name[32];

	if (sscanf(line, "%31s %llu", name, &count) != 2 ||
	    !strncmp(name, "TOTAL", 5))
		return;
	if (count > f->counts[kind] && text)
		aer_tell(text, f, name);
	f->counts[kind] = count;
}

/* Syscalls: pread64 */
static void aer_read(struct aer_file *f, struct aer_text *text)
{
	char buf[AER_FILE_SIZE], *line = buf, *end;
	ssize_t n = pread(f->fd, buf, sizeof(buf) - 1, 0);
	unsigned int kind;

	buf[max(n, (ssize_t)0)] = '\0';
	for (kind = 0; kind < AER_MAX_KINDS; kind++) {
		end = strchr(line, '\n');
		if (!end)
			break;
		*end = '\0';
		aer_read_line(f, kind, line, text);
		line = end + 1;
	}
}

/* Syscalls at start: openat */
static void aer_open_file(struct pci_aer *aer, const char *dir,
			  const char *file, const char *severity)
{
	struct aer_file *f = &aer->files[aer->nr];
	char path[PATH_MAX + 32];

	if (aer->nr == AER_MAX_FILES)
		return;
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0)
		return;
	snprintf(f->name, sizeof(f->name), "%.15s", strrchr(dir, '/') + 1);
	f->severity = severity;
	aer_read(f, NULL);
	aer->nr++;
}

/* From the device up to its root port, whose directories lie in each other. */
static void aer_open_all(struct pci_aer *aer, char *dir)
{
	char *slash;

	while ((slash = strrchr(dir, '/')) && strncmp(slash, "/pci", 4)) {
		aer_open_file(aer, dir, "aer_dev_fatal", "fatal");
		aer_open_file(aer, dir, "aer_dev_nonfatal", "non-fatal");
		*slash = '\0';
	}
}

/* Syscalls at start: readlink */
struct pci_aer *pci_aer_open(const char *sysfs)
{
	struct pci_aer *aer = calloc(1, sizeof(*aer));
	char link[PATH_MAX], dir[PATH_MAX], *path;
	ssize_t n;

	if (!aer)
		return NULL;
	/* "../../../devices/pci0000:00/0000:00:02.0/0000:01:00.0" */
	n = readlink(sysfs, link, sizeof(link) - 1);
	link[max(n, (ssize_t)0)] = '\0';
	path = strstr(link, "/devices/");
	if (path && snprintf(dir, sizeof(dir), "/sys%s", path) < sizeof(dir))
		aer_open_all(aer, dir);
	if (aer->nr)
		return aer;
	free(aer);
	return NULL;
}

/* Syscalls: close */
void pci_aer_close(struct pci_aer *aer)
{
	while (aer && aer->nr)
		close(aer->files[--aer->nr].fd);
	free(aer);
}

void pci_aer_news(struct pci_aer *aer, char *buf, size_t len)
{
	struct aer_text text = { .buf = buf, .len = len };
	unsigned int i;

	buf[0] = '\0';
	for (i = 0; aer && i < aer->nr; i++)
		aer_read(&aer->files[i], &text);
}
