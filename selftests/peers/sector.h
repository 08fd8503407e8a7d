/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What sector.S and the tests that boot it agree about. Read by both the
 * assembler and the compiler.
 */
#ifndef SECTOR_H
#define SECTOR_H

#define SECTOR_SIZE	512

/* Offsets in the sector of what a test chooses, 32 bits each. */
#define SECTOR_LBA	432	/* the block that it counts in and fills */
#define SECTOR_SEED	440	/* for the numbers that it fills it with */

/* One of these numbers from the one before. */
#define SECTOR_FACTOR	1664525
#define SECTOR_ADDEND	1013904223

/* What it prints. */
#define SECTOR_RUNNING	"sector: running\r\n"
#define SECTOR_WRITTEN	"sector: written\r\n"
#define SECTOR_FAILED	"sector: the disk failed\r\n"

#endif
