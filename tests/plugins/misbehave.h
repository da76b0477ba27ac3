/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * misbehave.h - the interface between the two sources of the plugin misbehave: misbehave.c decides when and in which
 * function, misbehave_ways.c has what is done then, in a table with an entry for each value of the option do=.
 *
 * Always: a way is called only in a function that its entry names, and its entry says whether it takes a number.
 */
#ifndef NFQE_TEST_MISBEHAVE_H
#define NFQE_TEST_MISBEHAVE_H

#include <nfqe/plugin.h>

#include <stdbool.h>

/* The functions of a plugin, as bits. */
enum place {
    IN_LOAD = 1,
    IN_OPEN = 2,
    IN_HANDLE = 4,
    IN_HANDLE_BATCH = 8,
    IN_CLOSE = 16,
    IN_UNLOAD = 32,
    IN_START = IN_LOAD | IN_OPEN,
    IN_PACKET = IN_HANDLE | IN_HANDLE_BATCH,
    ANYWHERE = IN_START | IN_PACKET | IN_CLOSE | IN_UNLOAD,
};

/* One call of a function that is to go wrong. */
struct occasion {
    const struct nfqe_host *host;
    const struct nfqe_packet *packet; /* in IN_PACKET; otherwise NULL */
    nfqe_verdict verdict;             /* in IN_PACKET: what the plugin is going to answer */
    long number;                      /* after the colon of do= */
    const char *file;                 /* of file=, or "" */
};

struct way {
    const char *name;
    unsigned places; /* where it can be done */
    bool takes_number;
    int (*act)(struct occasion *occasion); /* returns what load() or open() is to return; unused elsewhere */
};

/* Ends with an entry without a name. */
extern const struct way misbehave_ways[];

#endif
