// SPDX-License-Identifier: GPL-2.0-only
/*
 * soak_client KIND SEED COUNTERS PATH...: one client of the soak, random but for
 * its seed.
 *
 * Started as root, it opens the file of counters and becomes a user that can
 * reach nothing but the sockets; "direct" alone stays root, and uses a device
 * that no daemon has. Ends with 0, with 1 if something didn't work, or with 2
 * after a data error. What didn't work may be somebody's fault who took the
 * device away, which soak knows.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "selftests/hw/hw.h"
#include "soak.h"

#define BUSY_MS		20000	/* for the daemon to be done with the last client */

static const struct {
	const char *name;
	int (*run)(struct soak *s);
} kinds[] = {
	{ "nvme", soak_nvme },
	{ "shadow", soak_shadow },
	{ "edu", soak_edu },
	{ "igb", soak_igb },
	{ "direct", soak_direct },
	{ "group", soak_group },
	{ "hostile", soak_hostile },
	{ "second", soak_second },
	{ "crowd", soak_crowd },
	{ "quick", soak_quick },
	{ "migrate", soak_migrate },
};

/* Marsaglia's xorshift */
static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

uint32_t soak_random(struct soak *s, uint32_t below)
{
	return (next(&s->seed) >> 32) % below;
}

static uint64_t scatter(uint64_t seed)
{
	return (seed + 1) * 0x9e3779b97f4a7c15ull | 1;
}

void soak_fill(void *mem, size_t size, uint64_t seed)
{
	uint64_t x = scatter(seed), word;
	size_t i;

	for (i = 0; i < size; i += sizeof(word)) {
		word = next(&x);
		memcpy(mem + i, &word, min(size - i, sizeof(word)));
	}
}

int soak_data_error(struct soak *s, const char *what)
{
	soak_count(&s->counters->data_errors, 1);
	fprintf(stderr, "data error: %s\n", what);
	return -EILSEQ;
}

int soak_verify(struct soak *s, const char *what, const void *mem, size_t size,
		uint64_t seed, uint64_t moved)
{
	uint64_t x = scatter(seed), word;
	size_t i;

	for (i = 0; i < size; i += sizeof(word)) {
		word = next(&x);
		if (memcmp(mem + i, &word, min(size - i, sizeof(word))))
			return soak_data_error(s, what);
	}
	soak_count(&s->counters->dma_bytes, moved);
	return 0;
}

int soak_connect(struct soak *s, const char *path, struct access **out)
{
	unsigned int ms;
	int ret;

	for (ms = 0; ms < BUSY_MS; ms += 20) {
		ret = access_socket_open(path, NULL, out);
		if (ret != -EBUSY)
			break;
		usleep(20000);
	}
	if (!ret)
		soak_count(&s->counters->sessions, 1);
	return ret;
}

int soak_alloc(struct soak *s, struct access *a, uint64_t size,
	       struct access_dma *dma)
{
	int ret = access_dma_alloc(a, size, dma);

	if (!ret)
		soak_count(&s->counters->maps, 1);
	return ret;
}

void soak_by_message(struct soak *s, struct access_bar *bar)
{
	if (!bar->mem || soak_random(s, 2))
		return;
	munmap(bar->mem, bar->size);
	bar->mem = NULL;
}

int soak_reset(struct soak *s, struct access *a)
{
	int ret, ms = BUSY_MS;

	/* While the kernel itself resets the device, after a fatal error */
	while ((ret = a->ops->reset(a)) == -EAGAIN && ms > 0) {
		usleep(20000);
		ms -= 20;
	}
	if (!ret)
		soak_count(&s->counters->resets, 1);
	return ret;
}

static int say_usage(void)
{
	fputs("usage: soak_client KIND SEED COUNTERS PATH...\n", stderr);
	return 125;
}

int main(int argc, char **argv)
{
	struct soak s = {};
	unsigned int i;
	int fd, ret;

	if (argc < 5)
		return say_usage();
	s.seed = scatter(strtoull(argv[2], NULL, 0));
	s.paths = argv + 4;
	for (i = 0; i < ARRAY_SIZE(kinds) && strcmp(kinds[i].name, argv[1]); i++)
		;
	if (i == ARRAY_SIZE(kinds))
		return say_usage();
	fd = open(argv[3], O_RDWR | O_CLOEXEC);
	s.counters = mmap(NULL, sizeof(*s.counters), PROT_READ | PROT_WRITE,
			  MAP_SHARED, fd, 0);
	if (fd < 0 || s.counters == MAP_FAILED) {
		perror(argv[3]);
		return 125;
	}
	close(fd);
	ret = kinds[i].run == soak_direct ? 0 : hw_confine(HW_CLIENT_UID);
	if (!ret)
		ret = kinds[i].run(&s);
	/* What the data error is has been said. */
	if (ret && ret != -EILSEQ)
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-ret));
	return ret == -EILSEQ ? 2 : ret ? 1 : 0;
}
