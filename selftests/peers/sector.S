/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A boot sector that reports on COM1, and on the disk it was booted from.
 *
 * It says that it runs, reads a block, counts itself in the block's first word,
 * fills the others with numbers that depend on that count and on a seed,
 * writes the block back, and says how that went. Which block, and the seed, is
 * up to who puts the sector on the disk: see sector.h. So the numbers can't be
 * from another time. Words are of 32 bits.
 */
#include "selftests/peers/sector.h"

#define COM1		0x3f8
#define COM1_STATUS	(COM1 + 5)
#define COM_EMPTY	0x20

#define LOADED		0x7c00
#define BUFFER		0x8000

#define DISK_READ	0x42
#define DISK_WRITE	0x43

	.code16
	.text
	.globl	_start
_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$LOADED, %sp
	ljmp	$0, $1f
1:	sti
	cld
	movw	$running, %si
	call	print

	movb	$DISK_READ, %ah
	call	disk
	movl	BUFFER, %eax
	incl	%eax
	movw	$BUFFER, %di
	movw	$(SECTOR_SIZE / 4 - 1), %cx
	stosl
	addl	seed, %eax
2:	imull	$SECTOR_FACTOR, %eax, %eax
	addl	$SECTOR_ADDEND, %eax
	stosl
	loop	2b
	movb	$DISK_WRITE, %ah
	call	disk

	movw	$written, %si
	call	print
stop:	cli
	hlt
	jmp	stop

/* Does what %ah says with the block and the buffer; %dl is still the disk. */
disk:	xorb	%al, %al
	movw	$packet, %si
	int	$0x13
	jnc	3f
	movw	$failed, %si
	call	print
	jmp	stop

/* Prints the string at %si; keeps %dx. */
print:	pushw	%dx
4:	movw	$COM1_STATUS, %dx
	inb	%dx, %al
	testb	$COM_EMPTY, %al
	jz	4b
	lodsb
	testb	%al, %al
	jz	5f
	movw	$COM1, %dx
	outb	%al, %dx
	jmp	4b
5:	popw	%dx
3:	ret

running:
	.asciz	SECTOR_RUNNING
written:
	.asciz	SECTOR_WRITTEN
failed:
	.asciz	SECTOR_FAILED

	/* Ends with the block's number, of which a test sets the lower half. */
	.org	SECTOR_LBA - 8
packet:	.byte	16, 0
	.word	1
	.word	BUFFER, 0
	.quad	0
	.org	SECTOR_SEED
seed:	.long	0
	.org	SECTOR_SIZE - 2
	.word	0xaa55
