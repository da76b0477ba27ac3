/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's part of a packet's way: takes frames from its ring, runs the plugin chain over their packets, answers.
 *
 * Answers become visible one after the other if packets go through handle(), and together if the chain has
 * handle_batch(). What handle_batch() may write to ends at a page that cannot be accessed, so one verdict too many is a
 * crash before any of them is believed. Process: [worker].
 */
#ifndef ENGINE_PROCESS_WORKER_FRAMES_H
#define ENGINE_PROCESS_WORKER_FRAMES_H

#include "plugin/chain_flows.h"
#include "plugin/chain_run.h"
#include "plugin/packet_edits.h"
#include "plugin/packet_set.h"
#include "plugin/plugin_chain.h"
#include "process/ring_answer.h"

#include <stdbool.h>

struct worker_frames {
    struct ring_answer *ring;
    struct plugin_chain chain; /* the caller's to fill, before worker_frames_begin() */
    struct chain_run run;
    struct chain_flows flows;
    _Atomic uint32_t progress;
    nfqe_verdict *verdicts;    /* of a page, before one that cannot be accessed */
    struct packet_set set;     /* the packets of the frame that is handled */
    struct packet_edits edits; /* of these, if a plugin changes packets */
    struct packet_change
        packet_changes[RING_FRAMES * BURST_MAX]; /* of all frames: the queue process may read the bytes */
    const struct ring_frame *frame; /* that one */
    struct nfqe_conntrack_entry entries[BURST_MAX];
    uint64_t entries_decoded;  /* bit i: a plugin has asked for entry i */
    struct chain_flow packet_flows[BURST_MAX];
};

/* Prepares with an empty chain. Returns 0 or a negative errno. */
int worker_frames_init(struct worker_frames *frames, struct ring_answer *ring);

/*
 * The chain is complete. The verdicts: of packets that no plugin decides, and with an invalid answer. engine_mark: bits
 * of the packet mark that plugins may not change.
 */
void worker_frames_begin(struct worker_frames *frames, nfqe_verdict default_verdict, nfqe_verdict on_crash,
                         uint32_t engine_mark);

/* Handles the next frame, if there is one; returns whether there was. */
bool worker_frames_handle(struct worker_frames *frames);

void worker_frames_done(struct worker_frames *frames);

#endif
