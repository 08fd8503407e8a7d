/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kinds of clients of the soak share. */
#ifndef SOAK_H
#define SOAK_H

#include <stdint.h>
#include "selftests/drivers/access.h"

/**
 * struct soak_counters - a file that all clients count in
 *
 * soak reads it as an array of 64-bit numbers, in this order. A client counts
 * what has happened, when it has: DMA bytes once they were compared.
 */
struct soak_counters {
	uint64_t sessions;
	uint64_t maps;
	uint64_t dma_bytes;
	uint64_t unreached;
	uint64_t interrupts;
	uint64_t resets;
	uint64_t refused;
	uint64_t wrong_messages;
	uint64_t migrations;
	uint64_t data_errors;
};

/**
 * struct soak - one client
 * @counters: shared with all others
 * @paths: its sockets, or for "direct" the device
 * @seed: state of its random numbers
 */
struct soak {
	struct soak_counters *counters;
	char **paths;
	uint64_t seed;
};

/** soak_count() - add @n to one of struct soak_counters */
static inline void soak_count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/** soak_random() - a number below @below */
uint32_t soak_random(struct soak *s, uint32_t below);

/** soak_fill() - bytes that don't repeat, others for each @seed */
void soak_fill(void *mem, size_t size, uint64_t seed);

/**
 * soak_verify() - compare what DMA has brought, and count it
 * @s: the client
 * @what: for the log
 * @mem: what is there
 * @size: in bytes
 * @seed: what soak_fill() filled it with
 * @moved: how many bytes DMA has moved for that
 *
 * Return: 0, or -EILSEQ for a data error.
 */
int soak_verify(struct soak *s, const char *what, const void *mem, size_t size,
		uint64_t seed, uint64_t moved);

/** soak_data_error() - count a data error and log it; returns -EILSEQ */
int soak_data_error(struct soak *s, const char *what);

/**
 * soak_connect() - connect to a daemon that may not be done with the last one
 * @s: the client
 * @path: of the socket
 * @out: the device
 *
 * Return: 0, and the session is counted, or a negative errno.
 */
int soak_connect(struct soak *s, const char *path, struct access **out);

/** soak_alloc() - access_dma_alloc(), counted */
int soak_alloc(struct soak *s, struct access *a, uint64_t size,
	       struct access_dma *dma);

/** soak_by_message() - half of the time: don't use the BAR's mapping */
void soak_by_message(struct soak *s, struct access_bar *bar);

/** soak_reset() - reset a device, counted */
int soak_reset(struct soak *s, struct access *a);

/*
 * The kinds of clients. They return 0 if all was as it should be, or a negative
 * errno.
 */
int soak_nvme(struct soak *s);
int soak_shadow(struct soak *s);
int soak_edu(struct soak *s);
int soak_igb(struct soak *s);
int soak_direct(struct soak *s);
int soak_group(struct soak *s);
int soak_hostile(struct soak *s);
int soak_second(struct soak *s);
int soak_crowd(struct soak *s);
int soak_quick(struct soak *s);
int soak_migrate(struct soak *s);

#endif
