// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the bridge costs once a client is set up: nothing, is the claim.
 *
 * It runs in the lab, with two NVMe controllers that are alike. This one
 * process reads 4 KiB blocks from the one with the kernel's VFIO and from the
 * other through the bridge. Both run the same functions on the same kind of
 * memory; what differs is struct access_ops, which a read doesn't call. Of
 * each it measures
 *
 * - reads a second with DEPTH commands in flight and with one, where the
 *   process sleeps until the interrupt's eventfd wakes it up;
 * - the latency of an interrupt: from when the completion is in memory, where
 *   this process sees it because it looks all the time, to when the eventfd
 *   has been read.
 *
 * While it reads, the daemon must neither handle a message nor get any
 * processor time: its counter and its clock have to stand still.
 *
 * The lab is an emulated machine on a host that does other things as well, so
 * its speed changes, within milliseconds and by more than what is looked for.
 * Therefore rounds are short, there are many, and they follow each other as
 * direct, bridge, bridge, direct, and then the other way round, in which a
 * drift cancels out. Of each kind the median counts, for the sake of those
 * that the host interrupted. Then the controllers change roles, and the
 * geometric mean of both ratios is what one block has found: what makes one
 * controller faster cancels out as well. What is printed is the median of the
 * blocks, and between what the middle half of them lies.
 *
 * The process and the interrupts are kept on one processor: where the kernel
 * puts an interrupt isn't the bridge's choice, but changes what it costs.
 */
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "selftests/drivers/nvme.h"
#include "selftests/hw/hw.h"
#include "util.h"

#define BLOCKS		11
#define GROUPS		200	/* of four rounds of each figure, twice a block */
#define MANY_READS	16	/* in a round, up to DEPTH in flight */
#define ONE_READS	2	/* in a round, one in flight */
#define IRQ_READS	4	/* in a round, for the latency */

#define DEPTH		8
#define QUEUE		1
#define READ_SIZE	4096u
#define AREA_SIZE	(4ull << 20)	/* what is read, at the disk's end */
#define WAIT_MS		20000

enum figure_index { MANY, ONE, IRQ, NR_FIGURES };

/* The better of two is the larger one, or the smaller one. */
static const struct figure {
	const char *what;
	double target;
	bool larger;
} figures[NR_FIGURES] = {
	[MANY] = { "reads a second, 8 in flight", 0.98, true },
	[ONE] = { "reads a second, 1 in flight", 0.98, true },
	[IRQ] = { "latency of an interrupt, ns", 1.03, false },
};

struct medians {
	double direct;
	double bridge;
};

/* One controller, in either role. */
struct disk {
	const char *bdf;
	struct hw_daemon daemon;
	struct nvme nvme;
	struct access_dma dma;	/* a page for each slot */
	uint64_t next;		/* read, counted from the beginning */
};

struct bench {
	enum vfio_iommu_kind iommu;
	struct disk disks[2];
	int64_t messages;	/* that the daemon handled meanwhile */
	uint64_t cpu_ns;	/* and what processor time it had */
};

static void die(const char *what, int err)
{
	fprintf(stderr, "nvme_bench: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void must(int ret, const char *what)
{
	if (ret < 0)
		die(what, ret);
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static int compare_double(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Sorts, for the caller that wants other quantiles as well. */
static double median(double *values, unsigned int n)
{
	qsort(values, n, sizeof(*values), compare_double);
	return n % 2 ? values[n / 2] :
		       (values[n / 2 - 1] + values[n / 2]) / 2;
}

/*
 * Reading
 */

static uint64_t area_begin(const struct nvme *n)
{
	return n->nr_blocks - AREA_SIZE / n->block_size;
}

/* The next read, into the page of the slot that it will have. */
static void submit(struct disk *d, uint64_t iova)
{
	struct nvme *n = &d->nvme;
	uint64_t at = d->next++ % (AREA_SIZE / READ_SIZE);

	must(nvme_submit(n, QUEUE, false,
			 area_begin(n) + at * (READ_SIZE / n->block_size),
			 READ_SIZE / n->block_size, iova), "submitting a read");
}

/* Its slot. */
static unsigned int complete(struct disk *d)
{
	uint16_t status = 0;
	int slot = nvme_wait(&d->nvme, QUEUE, WAIT_MS, &status);

	must(slot, "waiting for a read");
	if (status)
		die("the controller failed a read", -EIO);
	return slot;
}

static double many(struct disk *d)
{
	double start = now_ns();
	unsigned int i, slot;

	for (i = 0; i < DEPTH; i++)
		submit(d, d->dma.iova + i * READ_SIZE);
	for (; i < MANY_READS; i++) {
		slot = complete(d);
		submit(d, d->dma.iova + slot * READ_SIZE);
	}
	for (i = 0; i < DEPTH; i++)
		complete(d);
	return MANY_READS * 1e9 / (now_ns() - start);
}

static double one(struct disk *d)
{
	double start = now_ns();
	unsigned int i;

	for (i = 0; i < ONE_READS; i++) {
		submit(d, d->dma.iova);
		complete(d);
	}
	return ONE_READS * 1e9 / (now_ns() - start);
}

static double irq(struct disk *d)
{
	double latency[IRQ_READS], start;
	unsigned int i;

	for (i = 0; i < IRQ_READS; i++) {
		submit(d, d->dma.iova);
		while (!nvme_arrived(&d->nvme, QUEUE))
			;
		start = now_ns();
		complete(d);
		latency[i] = now_ns() - start;
	}
	return median(latency, IRQ_READS);
}

/* Every page of the area has its own number in all of its words. */
static void fill_area(struct disk *d)
{
	struct access_dma area = {};
	struct nvme *n = &d->nvme;
	uint64_t i, *words;

	must(access_dma_alloc(n->a, AREA_SIZE, &area), "allocating memory");
	words = area.mem;
	for (i = 0; i < AREA_SIZE / sizeof(*words); i++)
		words[i] = i * sizeof(*words) / READ_SIZE;
	must(nvme_transfer(n, QUEUE, true, area_begin(n), AREA_SIZE, area.iova,
			   16 * READ_SIZE), "writing what is to be read");
	access_dma_free(n->a, &area);
}

/* The latest read must have brought what was written. */
static void check_data(struct disk *d)
{
	const uint64_t *words = d->dma.mem;
	uint64_t i, at;

	memset(d->dma.mem, 0xee, READ_SIZE);
	at = d->next % (AREA_SIZE / READ_SIZE);
	submit(d, d->dma.iova);
	complete(d);
	for (i = 0; i < READ_SIZE / sizeof(*words); i++) {
		if (words[i] != at)
			die("what was read isn't what was written", -EIO);
	}
}

static double (*const rounds[NR_FIGURES])(struct disk *d) = {
	[MANY] = many,
	[ONE] = one,
	[IRQ] = irq,
};

/*
 * Sessions
 */

static void open_disk(struct bench *b, struct disk *d, bool bridge)
{
	struct vfio_why why = {};
	struct access *a;
	int ret, tries = 1000;

	/* Whoever had the device last may still be closing it. */
	do {
		ret = bridge ? access_socket_open(d->daemon.socket, NULL, &a) :
			access_vfio_open(d->bdf, b->iommu, &why, &a);
	} while (ret == -EBUSY && tries-- && !usleep(10000));
	must(ret, bridge ? "connecting to the daemon" : "opening the device");
	must(nvme_open(&d->nvme, a, QUEUE, DEPTH + 1), "starting the NVMe");
	must(access_dma_alloc(a, DEPTH * READ_SIZE, &d->dma),
	     "allocating memory");
}

static void close_disk(struct disk *d)
{
	struct access *a = d->nvme.a;

	access_dma_free(a, &d->dma);
	nvme_close(&d->nvme);
	access_close(a);
}

/* Of one figure, what half a block's rounds have found. */
struct samples {
	double direct[2 * GROUPS];
	double bridge[2 * GROUPS];
};

static void group(struct disk *direct, struct disk *bridge,
		  enum figure_index f, unsigned int i, struct samples *s)
{
	double (*round)(struct disk *d) = rounds[f];
	double *outer = i % 2 ? s->bridge : s->direct;
	double *inner = i % 2 ? s->direct : s->bridge;

	outer[2 * i] = round(i % 2 ? bridge : direct);
	inner[2 * i] = round(i % 2 ? direct : bridge);
	inner[2 * i + 1] = round(i % 2 ? direct : bridge);
	outer[2 * i + 1] = round(i % 2 ? bridge : direct);
}

static void measure(struct disk *direct, struct disk *bridge,
		    struct medians found[NR_FIGURES])
{
	struct samples s[NR_FIGURES];
	unsigned int f, i;

	for (i = 0; i < GROUPS; i++)
		for (f = 0; f < NR_FIGURES; f++)
			group(direct, bridge, f, i, &s[f]);
	for (f = 0; f < NR_FIGURES; f++) {
		found[f].direct = median(s[f].direct, 2 * GROUPS);
		found[f].bridge = median(s[f].bridge, 2 * GROUPS);
	}
}

/* One of the disks directly, the other through the bridge. */
static void half_block(struct bench *b, struct disk *direct,
		       struct disk *bridge, struct medians found[NR_FIGURES])
{
	struct hw_counts after;
	int64_t messages;
	uint64_t cpu_ns;
	unsigned int f;

	open_disk(b, direct, false);
	open_disk(b, bridge, true);
	for (f = 0; f < NR_FIGURES; f++) {
		rounds[f](direct);
		rounds[f](bridge);
	}
	messages = hw_monitor(&bridge->daemon, "messages");
	must(messages, "asking the monitor");
	must(hw_daemon_rest(&bridge->daemon, &cpu_ns), "waiting for a daemon");
	measure(direct, bridge, found);
	must(hw_daemon_counts(&bridge->daemon, &after), "looking at a daemon");
	b->cpu_ns += after.cpu_ns - cpu_ns;
	b->messages += hw_monitor(&bridge->daemon, "messages") - messages;
	check_data(direct);
	check_data(bridge);
	close_disk(direct);
	close_disk(bridge);
}

/* Of one figure, what the blocks have found. */
struct series {
	double direct[BLOCKS];
	double bridge[BLOCKS];
	double ratio[BLOCKS];
};

static void block(struct bench *b, unsigned int i,
		  struct series series[NR_FIGURES])
{
	struct medians found[2][NR_FIGURES];
	unsigned int f;

	half_block(b, &b->disks[0], &b->disks[1], found[0]);
	half_block(b, &b->disks[1], &b->disks[0], found[1]);
	for (f = 0; f < NR_FIGURES; f++) {
		series[f].direct[i] =
			sqrt(found[0][f].direct * found[1][f].direct);
		series[f].bridge[i] =
			sqrt(found[0][f].bridge * found[1][f].bridge);
		series[f].ratio[i] = series[f].bridge[i] / series[f].direct[i];
	}
}

/*
 * The table
 */

static bool print_ratio(const struct figure *f, struct series *s)
{
	double ratio = median(s->ratio, BLOCKS);
	bool met = f->larger ? ratio >= f->target : ratio <= f->target;

	printf("%-36s %9.0f %9.0f %8.3f   %.3f to %.3f   %s %.2f  %s\n",
	       f->what, median(s->direct, BLOCKS), median(s->bridge, BLOCKS),
	       ratio, s->ratio[BLOCKS / 4], s->ratio[BLOCKS - 1 - BLOCKS / 4],
	       f->larger ? ">=" : "<=", f->target, met ? "met" : "MISSED");
	return met;
}

static bool print_zero(const char *what, int64_t value)
{
	printf("%-36s %9s %9jd %8s   %14s   %7s  %s\n", what, "-",
	       (intmax_t)value, "", "", "0", value ? "MISSED" : "met");
	return !value;
}

static bool print_table(struct bench *b, struct series series[NR_FIGURES])
{
	bool met = true;
	unsigned int i;

	printf("%-36s %9s %9s %8s   %14s   %7s\n", "", "direct", "bridge",
	       "ratio", "middle half", "target");
	for (i = 0; i < NR_FIGURES; i++)
		met &= print_ratio(&figures[i], &series[i]);
	met &= print_zero("messages that the daemon handled", b->messages);
	met &= print_zero("processor time of the daemon, ns", b->cpu_ns);
	return met;
}

/* This process and the interrupts of the devices that are opened from now. */
static void use_one_processor(void)
{
	FILE *file = fopen("/proc/irq/default_smp_affinity", "we");
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (!file || fprintf(file, "1\n") < 0 || fclose(file) ||
	    sched_setaffinity(0, sizeof(set), &set))
		die("choosing a processor", -errno);
}

/* A way into the kernel that both devices have. */
static void choose_iommu(struct bench *b)
{
	const char *missing = NULL;
	unsigned int i;

	b->iommu = VFIO_IOMMU_IOMMUFD;
	for (i = 0; i < 2; i++) {
		setenv("LAB_NVME", b->disks[i].bdf, 1);
		if (hw_missing("LAB_NVME", b->iommu))
			b->iommu = VFIO_IOMMU_TYPE1;
		missing = hw_missing("LAB_NVME", b->iommu);
		if (missing) {
			fprintf(stderr, "nvme_bench: %s: %s\n",
				b->disks[i].bdf, missing);
			exit(1);
		}
	}
}

static void prepare(struct bench *b, struct disk *d)
{
	const struct hw_daemon_opts opts = {
		.bdf = d->bdf,
		.iommu = b->iommu,
	};

	must(hw_daemon_start(&d->daemon, &opts), "starting a daemon");
	open_disk(b, d, false);
	fill_area(d);
	close_disk(d);
}

int main(int argc, char **argv)
{
	static struct series series[NR_FIGURES];
	struct bench b = {};
	unsigned int i;
	bool met;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 3) {
		fprintf(stderr, "usage: nvme_bench BDF BDF\n");
		return 2;
	}
	for (i = 0; i < 2; i++)
		b.disks[i].bdf = argv[1 + i];
	choose_iommu(&b);
	for (i = 0; i < 2; i++)
		prepare(&b, &b.disks[i]);
	use_one_processor();
	for (i = 0; i < BLOCKS; i++)
		block(&b, i, series);
	met = print_table(&b, series);
	for (i = 0; i < 2; i++)
		must(hw_daemon_stop(&b.disks[i].daemon), "stopping a daemon");
	return !met;
}
