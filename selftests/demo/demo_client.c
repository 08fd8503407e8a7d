// SPDX-License-Identifier: GPL-2.0-only
/*
 * demo_client SOCKET MONITOR: drives an NVMe controller that it can't open.
 *
 * Prints what the controller says of itself and the first block of its disk,
 * then reads many blocks and asks the daemon how many messages that took. It
 * checks that /dev has nothing for it before it begins.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "selftests/drivers/nvme.h"
#include "selftests/hw/hw.h"

#define NR_READS	1000
#define QUEUE		1
#define DEPTH		16

static bool dev_is_empty(void)
{
	struct dirent *entry;
	DIR *dir = opendir("/dev");
	bool empty = true;

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			empty = false;
	if (dir)
		closedir(dir);
	return empty;
}

static void print_identity(const struct nvme *n)
{
	printf("  model     %s\n  serial    %s\n  firmware  %s\n", n->model,
	       n->serial, n->firmware);
	printf("  capacity  %ju blocks of %u bytes, %ju MiB\n",
	       (uintmax_t)n->nr_blocks, n->block_size,
	       (uintmax_t)(n->nr_blocks * n->block_size >> 20));
}

/* As hexdump -C, which leaves out lines that repeat the one before. */
static void print_block(const uint8_t *block, unsigned int size)
{
	unsigned int i, j;
	bool same = false;

	for (i = 0; i < size; i += 16) {
		if (i && !memcmp(block + i, block + i - 16, 16)) {
			if (!same)
				printf("  *\n");
			same = true;
			continue;
		}
		same = false;
		printf("  %03x ", i);
		for (j = i; j < i + 16; j++)
			printf(" %02x", block[j]);
		printf("  |");
		for (j = i; j < i + 16; j++)
			putchar(isprint(block[j]) ? block[j] : '.');
		printf("|\n");
	}
	printf("  %03x\n", size);
}

static int read_first_block(struct nvme *n, struct access_dma *dma)
{
	uint64_t signals = n->queues[QUEUE].signals;
	int ret;

	ret = nvme_io(n, QUEUE, false, 0, 1, dma->iova);
	if (ret) {
		printf("reading failed: %s\n", strerror(-ret));
		return ret;
	}
	printf("The first block, read by the device's DMA, signalled by MSI-X vector %u (%ju time):\n",
	       QUEUE, (uintmax_t)(n->queues[QUEUE].signals - signals));
	print_block(dma->mem, n->block_size);
	return 0;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - start->tv_sec +
	       (now.tv_nsec - start->tv_nsec) / 1e9;
}

static int read_many(struct nvme *n, struct access_dma *dma,
		     const struct hw_daemon *daemon)
{
	int64_t before = hw_monitor(daemon, "messages");
	uint64_t signals = n->queues[QUEUE].signals;
	struct timespec start;
	double seconds;
	int i, ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (i = 0; i < NR_READS && !ret; i++)
		ret = nvme_io(n, QUEUE, false, i, 1, dma->iova);
	seconds = seconds_since(&start);
	if (ret || before < 0) {
		printf("reading failed: %s\n", strerror(ret ? -ret : -before));
		return ret ? ret : before;
	}
	printf("Reading %d blocks took %.2f s, %ju interrupts and %jd messages (the daemon has counted %jd in all).\n",
	       NR_READS, seconds,
	       (uintmax_t)(n->queues[QUEUE].signals - signals),
	       (intmax_t)(hw_monitor(daemon, "messages") - before),
	       (intmax_t)before);
	return 0;
}

static int use(struct access *a, const struct hw_daemon *daemon)
{
	struct access_dma dma = {};
	struct nvme n;
	int ret;

	ret = nvme_open(&n, a, 1, DEPTH);
	if (ret) {
		printf("setting up the controller failed: %s\n",
		       strerror(-ret));
		return ret;
	}
	printf("The controller says of itself:\n");
	print_identity(&n);
	ret = access_dma_alloc(a, n.block_size, &dma);
	if (!ret)
		ret = read_first_block(&n, &dma);
	if (!ret)
		ret = read_many(&n, &dma, daemon);
	access_dma_free(a, &dma);
	nvme_close(&n);
	return ret;
}

int main(int argc, char **argv)
{
	struct hw_daemon daemon = {};
	struct access *a;
	int ret;

	if (argc != 3) {
		fprintf(stderr, "usage: demo_client SOCKET MONITOR\n");
		return 2;
	}
	if (!dev_is_empty()) {
		fprintf(stderr, "demo_client: there are devices in /dev\n");
		return 1;
	}
	snprintf(daemon.monitor, sizeof(daemon.monitor), "%s", argv[2]);
	ret = access_socket_open(argv[1], NULL, &a);
	if (ret) {
		fprintf(stderr, "demo_client: %s: %s\n", argv[1],
			strerror(-ret));
		return 1;
	}
	ret = use(a, &daemon);
	access_close(a);
	return ret ? 1 : 0;
}
