// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-user dma: does the server map and unmap as the protocol says?
 *
 * Maps memory of this process, maps it again, unmaps it and unmaps it again,
 * and compares each answer with the one that the protocol wants.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "log.h"
#include "tool.h"

struct dma_args {
	uint64_t iova;
	uint64_t size;
	bool read_only;
};

static const char *answer(int ret)
{
	return ret ? tool_errno_name(ret) : "ok";
}

/* Print what came of a step; returns whether it is what had to come. */
static bool step(const char *what, int ret, int expected)
{
	printf("%-12s %s", what, answer(ret));
	if (ret != expected)
		printf(", but the protocol says %s", answer(expected));
	putchar('\n');
	fflush(stdout);
	return ret == expected;
}

static bool in_iova_ranges(const struct vfio_user_caps *caps,
			   const struct dma_args *args)
{
	uint64_t last = args->iova + (args->size - 1);
	unsigned int i;

	if (last < args->iova)
		return false;
	for (i = 0; i < caps->nr_iova_ranges; i++) {
		if (args->iova >= caps->iova_ranges[i].first &&
		    last <= caps->iova_ranges[i].last)
			return true;
	}
	return !caps->nr_iova_ranges;
}

/* A map that can't work says nothing of the server: don't try. */
static int check_place(const struct vfio_user_caps *caps,
		       const struct dma_args *args)
{
	uint64_t page = caps->pgsizes & -caps->pgsizes;

	if ((args->iova | args->size) & (page - 1)) {
		log_err("--iova and --size must be multiples of the server's page size, %llu",
			(unsigned long long)page);
		return TOOL_USAGE;
	}
	if (!in_iova_ranges(caps, args)) {
		log_err("that is outside of what the IOMMU can map; 'vfio-user info' lists its IOVA ranges");
		return TOOL_USAGE;
	}
	return TOOL_OK;
}

static int dma_check(struct vfio_user_client *c, const struct dma_args *args,
		     int fd)
{
	uint32_t flags = VFIO_USER_DMA_MAP_READ;
	bool good;
	int ret;

	if (!args->read_only)
		flags |= VFIO_USER_DMA_MAP_WRITE;
	ret = vfio_user_dma_map(c, args->iova, args->size, fd, 0, flags);
	if (!step("map", ret, 0))
		return tool_fail(ret, "can't map %#llx bytes at %#llx",
				 (unsigned long long)args->size,
				 (unsigned long long)args->iova);

	ret = vfio_user_dma_map(c, args->iova, args->size, fd, 0, flags);
	good = step("map again", ret, -EEXIST);
	ret = vfio_user_dma_unmap(c, args->iova, args->size);
	good &= step("unmap", ret, 0);
	ret = vfio_user_dma_unmap(c, args->iova, args->size);
	good &= step("unmap again", ret, -ENOENT);
	return good ? TOOL_OK : TOOL_FAILED;
}

/* Memory that only this process and the server know of; an fd or an errno. */
static int dma_memory(uint64_t size)
{
	int fd = memfd_create("vfio-user-dma", MFD_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	if (size <= INT64_MAX && !ftruncate(fd, size))
		return fd;
	ret = size > INT64_MAX ? -EFBIG : -errno;
	close(fd);
	return ret;
}

static bool dma_parse(int argc, char **argv, struct dma_args *args)
{
	static const struct option options[] = {
		{ "iova", required_argument, NULL, 'i' },
		{ "size", required_argument, NULL, 's' },
		{ "read-only", no_argument, NULL, 'r' },
		{ }
	};
	bool have_iova = false;
	int opt;

	while ((opt = tool_getopt(argc, argv, options)) != -1) {
		if (opt == '?' ||
		    (opt == 'i' && !tool_size("iova", optarg, &args->iova)) ||
		    (opt == 's' && !tool_size("size", optarg, &args->size)))
			return false;
		have_iova |= opt == 'i';
		args->read_only |= opt == 'r';
	}
	if (!tool_operands(argc, argv, 1, 1))
		return false;
	if (!have_iova || !args->size) {
		log_err("dma: give --iova and a --size above 0; see 'vfio-user dma --help'");
		return false;
	}
	return true;
}

static int dma_run(int argc, char **argv)
{
	struct dma_args args = { 0 };
	struct vfio_user_client *c;
	int fd, ret;

	if (!dma_parse(argc, argv, &args))
		return TOOL_USAGE;
	fd = dma_memory(args.size);
	if (fd < 0)
		return tool_fail(fd, "can't make memory of %#llx bytes",
				 (unsigned long long)args.size);

	ret = tool_connect(argv[optind], &c);
	if (!ret) {
		ret = check_place(vfio_user_server_caps(c), &args);
		if (!ret)
			ret = dma_check(c, &args, fd);
		vfio_user_disconnect(c);
	}
	close(fd);
	return ret;
}

const struct subcommand cmd_dma = {
	.name = "dma",
	.args = "SOCKET --iova=ADDRESS --size=SIZE [--read-only]",
	.summary = "Map and unmap memory, and check the server's answers",
	.help =
"  SOCKET       the server's UNIX socket\n"
"  --iova       I/O virtual address to map at; may end in K, M or G\n"
"  --size       bytes to map; may end in K, M or G\n"
"  --read-only  let the device only read the memory\n"
"\n"
"Maps (ok), maps again (EEXIST), unmaps (ok), unmaps again (ENOENT). A line\n"
"for each tells the answer; another one than in brackets is a failure.\n",
	.run = dma_run,
};
