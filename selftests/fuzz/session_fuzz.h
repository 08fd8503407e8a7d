/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of session_fuzz: its clients (session_fuzz.c), what they say
 * (session_payload.c), whom they say it to (session_machine.c), and what else is
 * done with the device (session_host.c).
 */
#ifndef FUZZ_SESSION_FUZZ_H
#define FUZZ_SESSION_FUZZ_H

#include "bridge/bridge.h"
#include "fuzz.h"
#include "selftests/fake/fixture.h"

#define MAX_DATA	1024
/* More than the daemon reads of JSON */
#define MAX_JSON	(CAPS_MAX_JSON + 16)
#define MAX_PAYLOAD	(MAX_JSON + 64)

#define NR_CLIENTS	2

/* What the daemon and the machine are like. */
#define HOW_TYPE1	(1u << 0)
#define HOW_MMAP_OFF	(1u << 1)
#define HOW_SHADOW	(1u << 2)
#define HOW_RETAIN	(1u << 3)
#define HOW_NO_RESET	(1u << 4)
#define HOW_STATIC	(1u << 5)
#define HOW_RULES	(1u << 6)
#define HOW_OWN_VERSION	(1u << 7)

/* And further. */
#define TOO_GROUP	(1u << 8)
#define TOO_AGAIN	(1u << 9)
#define TOO_OTHER_UID	(1u << 10)
#define TOO_RATE	(1u << 11)
#define TOO_LIMITS	(1u << 12)
#define TOO_RELEASE	(1u << 13)
#define TOO_NO_BUS	(1u << 14)
#define TOO_ENOMSG	(1u << 15)

/* And what else may be so. */
#define YET_FAULTS	(1u << 16)
#define YET_LOW_POWER	(1u << 17)
#define YET_RANGES	(1u << 18)
#define YET_DOORBELLS	(1u << 19)
#define YET_CREDENTIALS	(1u << 20)
#define YET_LATE	(1u << 21)
#define YET_HELD	(1u << 22)
#define YET_PARTS	(1u << 23)

/**
 * payload_fill() - what a right message carries
 * @f: the input
 * @command: its command
 * @payload: filled in, of MAX_PAYLOAD bytes
 *
 * Return: how many bytes it is.
 */
size_t payload_fill(struct fuzz *f, unsigned int command, void *payload);

/** payload_page() - an I/O virtual address that the input chooses */
uint64_t payload_page(struct fuzz *f);

/* session_machine.c */

extern struct daemon machine_daemon;
extern struct fake_root machine_root;
/* Of the input that is at work */
extern unsigned int machine_how;

/** machine_init() - once: the machine, and the daemon but for its clients */
void machine_init(void);

/**
 * machine_begin() - the daemon starts, as the input has it
 * @f: the input
 * @how: HOW_*, TOO_* and YET_*
 *
 * Return: false if it doesn't because something is wrong with the device, as it
 * should be then; machine_end() is to be called all the same.
 */
bool machine_begin(struct fuzz *f, unsigned int how);

/** machine_end() - the daemon ends; says so if something is left */
void machine_end(void);

/** machine_user() - who the clients are from now on: the first, the second ... */
void machine_user(unsigned int which);

/** machine_raise() - the device signals an interrupt that the input chooses */
void machine_raise(struct fuzz *f, struct bridge *b);

/** machine_others() - something happens that is nobody's message */
void machine_others(struct fuzz *f);

/** machine_ask_back() - the kernel wants a device back that may be retained */
void machine_ask_back(struct bridge *b);

/* session_host.c */

/** host_init() - once: what else is in the machine's sysfs */
void host_init(void);

/** host_look() - somebody looks what uses the device, and binds it to a driver */
void host_look(struct fuzz *f);

/** wait_for() - is @fd readable in @ms? libFuzzer's own signals don't count. */
bool wait_for(int fd, int ms);

/* How long a session may take to end, in milliseconds. */
#define END_MS		20000

#endif
