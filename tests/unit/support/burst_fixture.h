/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A journal with a burst in it, as a worker with one burst in flight leaves it: messages that were received, packets that
 * were decoded, verdicts that were given. For the tests of engine/burst.
 *
 * The journal lies in memory that forked processes share. Nothing was received from a socket: the receive headers are
 * filled in as recvmmsg() would.
 */
#ifndef UNIT_BURST_FIXTURE_H
#define UNIT_BURST_FIXTURE_H

#include "burst/journal.h"

#include <nfqe/packet.h>

#define BURST_SLOT_SIZE 256
#define BURST_LEN 60 /* bytes of each message */

/* Phase words that no worker writes. */
extern const uint32_t burst_wild_phases[3];

/* How far a worker has come with a burst. */
enum burst_phase {
    BURST_IDLE,      /* it is answered, and committed */
    BURST_RECEIVING,
    BURST_HANDLING,  /* its receive is committed */
    BURST_SENDING,
};

struct burst_fixture {
    struct journal *journal;
    struct burst *burst; /* the first one in it */
    struct nfqe_packet packets[BURST_MAX];
};

/* A fresh journal, IDLE. */
void burst_fixture_init(struct burst_fixture *fixture);
void burst_fixture_done(struct burst_fixture *fixture);

/*
 * `count` messages received, each a packet, with the ids first_id, first_id + 1, ..., none decided; a worker has come to
 * `phase` with them. Nothing is counted.
 */
void burst_fill(struct burst_fixture *fixture, unsigned count, uint32_t first_id, enum burst_phase phase);

/*
 * Brings a journal to `phase` with its first burst, of whose packets only the ids matter: `count` of them, which are
 * outstanding if its receive is committed. stats: what the commit of the receive counts.
 */
void burst_journal_enter(struct journal *journal, unsigned count, enum burst_phase phase,
                         const struct queue_stats *stats);

/* How far a worker has come, as the journal says. */
enum burst_phase burst_phase_of(const struct journal *journal);

/* What the next worker does first; *ids: those that are left outstanding. Returns how far the dead one had come. */
enum burst_phase burst_recover_journal(struct burst_fixture *fixture, struct outstanding *ids);

/* None of the first `count` packets has a verdict. */
void burst_assert_undecided(const struct burst *burst, unsigned count);

/* For cmocka: set up and tear down; *state is the fixture. */
int burst_set_up(void **state);
int burst_tear_down(void **state);

#endif
