// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the process has mapped, as the kernel sees it.
 *
 * Since Linux 6.11 /proc/self/maps can be asked for the mapping at an address.
 * Before that, its text is read whole. What madvise(2) has said of a mapping is
 * only in /proc/self/smaps, which takes the kernel long, because it counts all
 * pages; so the flags of all private mappings are kept, and read again when one
 * isn't covered by them, or madvise(2) and the like were called (advice.c).
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "memory.h"

/* <linux/fs.h> has it since Linux 6.11. */
struct maps_query {
	uint64_t size;
	uint64_t query_flags;
	uint64_t query_addr;
	uint64_t vma_start;
	uint64_t vma_end;
	uint64_t vma_flags;
	uint64_t vma_page_size;
	uint64_t vma_offset;
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint32_t vma_name_size;
	uint32_t build_id_size;
	uint64_t vma_name_addr;
	uint64_t build_id_addr;
};

_Static_assert(sizeof(struct maps_query) == 104, "the kernel's layout");

#define MAPS_QUERY		_IOWR('f', 17, struct maps_query)
#define MAPS_QUERY_READ		0x1
#define MAPS_QUERY_WRITE	0x2
#define MAPS_QUERY_EXEC		0x4
#define MAPS_QUERY_SHARED	0x8

/* The flags of the private mappings, as they were when smaps was read. */
struct known {
	uint64_t start;
	uint64_t end;
	uint64_t page_size;
	unsigned int flags;
};

static struct known *known;
static size_t nr_known;
static atomic_bool known_stale = true;

static int maps_ask(struct run_maps *maps, uint64_t addr, struct run_vma *vma)
{
	struct maps_query q = {
		.size = sizeof(q),
		.query_addr = addr,
		.vma_name_size = sizeof(vma->name),
		.vma_name_addr = (uintptr_t)vma->name,
	};

	vma->name[0] = '\0';
	if (run_real()->ioctl(maps->fd, MAPS_QUERY, &q)) {
		if (errno != E2BIG)
			return -errno;
		q.vma_name_size = 0;
		q.vma_name_addr = 0;
		if (run_real()->ioctl(maps->fd, MAPS_QUERY, &q))
			return -errno;
	}
	vma->start = q.vma_start;
	vma->end = q.vma_end;
	vma->offset = q.vma_offset;
	vma->inode = q.inode;
	vma->dev = makedev(q.dev_major, q.dev_minor);
	vma->page_size = q.vma_page_size;
	vma->prot = (q.vma_flags & MAPS_QUERY_READ ? PROT_READ : 0) |
		    (q.vma_flags & MAPS_QUERY_WRITE ? PROT_WRITE : 0) |
		    (q.vma_flags & MAPS_QUERY_EXEC ? PROT_EXEC : 0);
	vma->shared = q.vma_flags & MAPS_QUERY_SHARED;
	return 0;
}

/* A line of /proc/self/maps, or the first of each mapping in smaps. */
static bool maps_parse(const char *line, struct run_vma *vma)
{
	unsigned long start, end, offset, inode;
	unsigned int major, minor;
	char prot[5];
	int at = 0;
	size_t len;

	if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %n", &start, &end, prot,
		   &offset, &major, &minor, &inode, &at) < 7)
		return false;
	vma->start = start;
	vma->end = end;
	vma->offset = offset;
	vma->inode = inode;
	vma->dev = makedev(major, minor);
	vma->page_size = 0;
	vma->prot = (prot[0] == 'r' ? PROT_READ : 0) |
		    (prot[1] == 'w' ? PROT_WRITE : 0) |
		    (prot[2] == 'x' ? PROT_EXEC : 0);
	vma->shared = prot[3] == 's';
	len = min(strcspn(line + at, "\n"), sizeof(vma->name) - 1);
	memcpy(vma->name, line + at, len);
	vma->name[len] = '\0';
	return true;
}

static int maps_read(struct run_maps *maps)
{
	size_t room = 0, len = 0;
	ssize_t got;
	char *more;

	do {
		if (room - len < 65536) {
			room += 262144;
			more = realloc(maps->text, room);
			if (!more)
				return -ENOMEM;
			maps->text = more;
		}
		got = run_real()->read(maps->fd, maps->text + len,
				       room - len - 1);
		if (got > 0)
			len += got;
	} while (got > 0);
	maps->text[len] = '\0';
	return got ? -errno : 0;
}

int run_maps_open(struct run_maps *maps)
{
	struct run_vma vma;
	int ret;

	maps->text = NULL;
	maps->fd = run_real()->open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (maps->fd < 0)
		return -errno;
	ret = maps_ask(maps, (uintptr_t)&vma, &vma);
	if (ret == -ENOTTY)
		ret = maps_read(maps);
	if (ret)
		run_maps_close(maps);
	return ret;
}

void run_maps_close(struct run_maps *maps)
{
	run_real()->close(maps->fd);
	free(maps->text);
}

int run_maps_find(struct run_maps *maps, uint64_t addr, struct run_vma *vma)
{
	const char *line = maps->text;

	if (!line)
		return maps_ask(maps, addr, vma);
	while (maps_parse(line, vma)) {
		if (addr < vma->start)
			return -ENOENT;
		if (addr < vma->end)
			return 0;
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return -ENOENT;
}

static unsigned int flags_parse(const char *list)
{
	static const struct {
		char name[3];
		unsigned int flag;
	} names[] = {
		{ "gd", RUN_VMA_GROWS },
		{ "dc", RUN_VMA_DONTFORK },
		{ "wf", RUN_VMA_WIPEONFORK },
		{ "dd", RUN_VMA_DONTDUMP },
		{ "hg", RUN_VMA_HUGEPAGE },
		{ "nh", RUN_VMA_NOHUGEPAGE },
		{ "lo", RUN_VMA_LOCKED },
		{ "nr", RUN_VMA_NORESERVE },
		{ "um", RUN_VMA_UFFD },
		{ "uw", RUN_VMA_UFFD },
		{ "ui", RUN_VMA_UFFD },
		{ "io", RUN_VMA_SPECIAL },
		{ "pf", RUN_VMA_SPECIAL },
		{ "mm", RUN_VMA_SPECIAL },
		{ "ss", RUN_VMA_SPECIAL },
		{ "sl", RUN_VMA_SEALED },
	};
	unsigned int i, flags = 0;

	while (*list) {
		while (isspace(*list))
			list++;
		for (i = 0; i < ARRAY_SIZE(names); i++)
			if (!strncmp(list, names[i].name, 2))
				flags |= names[i].flag;
		while (*list && !isspace(*list))
			list++;
	}
	return flags;
}

static int known_add(const struct known *one)
{
	struct known *more;

	if (nr_known % 256 == 0) {
		more = realloc(known, (nr_known + 256) * sizeof(*known));
		if (!more)
			return -ENOMEM;
		known = more;
	}
	known[nr_known++] = *one;
	return 0;
}

static int known_parse(FILE *smaps)
{
	struct known one = { 0 };
	struct run_vma vma;
	bool keep = false;
	size_t room = 0;
	char *line = NULL;
	int ret = 0;

	nr_known = 0;
	while (!ret && getline(&line, &room, smaps) > 0) {
		unsigned long kb;

		if (!strncmp(line, "VmFlags:", 8)) {
			one.flags = flags_parse(line + 8);
			if (keep)
				ret = known_add(&one);
		} else if (sscanf(line, "KernelPageSize: %lu kB", &kb) == 1) {
			one.page_size = (uint64_t)kb << 10;
		} else if (maps_parse(line, &vma)) {
			one.start = vma.start;
			one.end = vma.end;
			keep = !vma.shared;
		}
	}
	free(line);
	return ret;
}

static int known_read(void)
{
	FILE *smaps;
	int fd, ret;

	fd = run_real()->open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	smaps = fdopen(fd, "r");
	if (!smaps) {
		run_real()->close(fd);
		return -ENOMEM;
	}
	atomic_store(&known_stale, false);
	ret = known_parse(smaps);
	if (ret)
		run_maps_forget();
	fclose(smaps);
	return ret;
}

static const struct known *known_find(const struct run_vma *vma)
{
	size_t first = 0, last = nr_known;

	while (first < last) {
		size_t mid = (first + last) / 2;

		if (vma->start < known[mid].start)
			last = mid;
		else if (vma->start >= known[mid].end)
			first = mid + 1;
		else
			return vma->end <= known[mid].end ? &known[mid] : NULL;
	}
	return NULL;
}

int run_maps_flags(struct run_vma *vma, unsigned int *flags)
{
	const struct known *one = NULL;
	int ret;

	if (!atomic_load(&known_stale))
		one = known_find(vma);
	if (!one) {
		ret = known_read();
		if (ret)
			return ret;
		one = known_find(vma);
	}
	if (!one)
		return -EAGAIN;
	vma->page_size = one->page_size;
	*flags = one->flags;
	return 0;
}

void run_maps_forget(void)
{
	atomic_store(&known_stale, true);
}

uint64_t run_huge_page_size(void)
{
	static atomic_ullong size;
	unsigned long kb = 0;
	char text[8192] = "";
	char *at;
	int fd;

	if (atomic_load(&size))
		return atomic_load(&size);
	fd = run_real()->open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (run_real()->read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	run_real()->close(fd);
	at = strstr(text, "Hugepagesize:");
	if (at && sscanf(at, "Hugepagesize: %lu kB", &kb) == 1)
		atomic_store(&size, (uint64_t)kb << 10);
	return atomic_load(&size);
}
