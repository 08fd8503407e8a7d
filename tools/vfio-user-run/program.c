// SPDX-License-Identifier: GPL-2.0-only
/*
 * Can a library be preloaded into a program?
 *
 * The dynamic linker does that, so the program must have one, the same that
 * this launcher has; and it must not run it in secure mode, in which
 * LD_PRELOAD is ignored: that is so when the program gets privileges by its
 * set-user-ID or set-group-ID bit or by file capabilities. Of a script the
 * interpreter is looked at.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "launch.h"

/* An ELF file's header, and one of its segments; of 64 bits, as the library */
struct elf_header {
	uint8_t ident[EI_NIDENT];
	uint16_t type;
	uint16_t machine;
	uint32_t version;
	uint64_t entry;
	uint64_t phoff;
	uint64_t shoff;
	uint32_t flags;
	uint16_t ehsize;
	uint16_t phentsize;
	uint16_t phnum;
	uint16_t shentsize;
	uint16_t shnum;
	uint16_t shstrndx;
};

_Static_assert(sizeof(struct elf_header) == 64, "elf_header");

struct elf_segment {
	uint32_t type;
	uint32_t flags;
	uint64_t offset;
	uint64_t vaddr;
	uint64_t paddr;
	uint64_t filesz;
	uint64_t memsz;
	uint64_t align;
};

_Static_assert(sizeof(struct elf_segment) == 56, "elf_segment");

/* As deep as the kernel follows scripts that have scripts as interpreters */
#define MAX_SCRIPTS	4

static int path_try(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EACCES;
	return access(path, X_OK) ? -errno : 0;
}

int program_find(const char *name, char path[PATH_MAX])
{
	const char *dirs = getenv("PATH");
	int ret = -ENOENT, n;

	if (strchr(name, '/')) {
		snprintf(path, PATH_MAX, "%s", name);
		return path_try(path);
	}
	if (!dirs)
		dirs = "/usr/local/bin:/bin:/usr/bin";
	for (;;) {
		size_t len = strcspn(dirs, ":");

		n = snprintf(path, PATH_MAX, "%.*s%s%s", (int)len, dirs,
			     len ? "/" : "", name);
		if (n < PATH_MAX) {
			int err = path_try(path);

			if (!err)
				return 0;
			if (err == -EACCES)
				ret = err;
		}
		if (!dirs[len])
			return ret;
		dirs += len + 1;
	}
}

/* Set-ID bits and capabilities count where the mount and the user let them. */
static const char *program_privileges(int fd)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(fd, &st) || fstatvfs(fd, &fs))
		return NULL;
	if (fs.f_flag & ST_NOSUID)
		return NULL;
	if (st.st_mode & S_ISUID && st.st_uid != geteuid())
		return "is a set-user-ID program, which can't be run this way";
	if (st.st_mode & S_ISGID && st.st_mode & 0010 &&
	    st.st_gid != getegid())
		return "is a set-group-ID program, which can't be run this way";
	if (getuid() &&
	    fgetxattr(fd, "security.capability", NULL, 0) > 0)
		return "has file capabilities: it can't be run this way";
	return NULL;
}

/* The dynamic linker of an ELF file, or "" if it has none. */
static int elf_interpreter(int fd, const struct elf_header *header, char *name,
			   size_t size)
{
	struct elf_segment p;
	unsigned int i;
	ssize_t n;

	name[0] = '\0';
	for (i = 0; i < header->phnum; i++) {
		off_t at = header->phoff + (off_t)i * header->phentsize;

		if (pread(fd, &p, sizeof(p), at) != sizeof(p))
			return -ENOEXEC;
		if (p.type != PT_INTERP)
			continue;
		if (p.filesz >= size)
			return -ENOEXEC;
		n = pread(fd, name, p.filesz, p.offset);
		if (n != p.filesz)
			return -ENOEXEC;
		name[n] = '\0';
		return 0;
	}
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int elf_own(struct elf_header *header, char *interpreter, size_t size)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int ret = -ENOEXEC;

	if (fd < 0)
		return -errno;
	if (pread(fd, header, sizeof(*header), 0) == sizeof(*header))
		ret = elf_interpreter(fd, header, interpreter, size);
	close(fd);
	return ret;
}

static const char *elf_check(int fd, const struct elf_header *header)
{
	char interpreter[PATH_MAX], own_interpreter[PATH_MAX];
	struct elf_header own;

	if (elf_own(&own, own_interpreter, sizeof(own_interpreter)))
		return NULL;
	if (header->ident[EI_CLASS] != own.ident[EI_CLASS] ||
	    header->ident[EI_DATA] != own.ident[EI_DATA] ||
	    header->machine != own.machine)
		return "is for another architecture than vfio-user-run";
	if (elf_interpreter(fd, header, interpreter, sizeof(interpreter)))
		return "is damaged";
	if (!interpreter[0])
		return "is statically linked: it can't be run this way";
	if (strcmp(base_name(interpreter), base_name(own_interpreter)))
		return "is for another C library than vfio-user-run";
	return NULL;
}

/* The first word after "#!"; false if it isn't a script. */
static bool script_interpreter(char *text, char path[PATH_MAX])
{
	char *word;

	if (strncmp(text, "#!", 2))
		return false;
	text[strcspn(text, "\n")] = '\0';
	word = text + 2 + strspn(text + 2, " \t");
	word[strcspn(word, " \t")] = '\0';
	snprintf(path, PATH_MAX, "%s", word);
	return true;
}

static const char *program_check_depth(const char *path, unsigned int depth)
{
	char text[256] __attribute__((aligned(8))) = "";
	char interpreter[PATH_MAX];
	const char *why = NULL;
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* What can be executed and not read is for the kernel to judge. */
	if (fd < 0)
		return NULL;
	n = pread(fd, text, sizeof(text) - 1, 0);
	if (n >= (ssize_t)sizeof(struct elf_header) && !memcmp(text, ELFMAG, SELFMAG)) {
		why = program_privileges(fd);
		if (!why)
			why = elf_check(fd, (struct elf_header *)text);
	} else if (script_interpreter(text, interpreter) &&
		   depth < MAX_SCRIPTS) {
		why = program_check_depth(interpreter, depth + 1);
	}
	close(fd);
	return why;
}

const char *program_check(const char *path)
{
	return program_check_depth(path, 0);
}
