/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker has answered for flows: their later packets get the same answer, and no plugin is called for them.
 *
 * Several bursts are with a worker at a time, and the flow table, which outlives all workers, learns of an answer only
 * when the answer is read. These are the flows of the packets in between. The worker does not know what a flow is:
 * whoever gives it a packet says the number of the packet's flow, and an epoch. Number and epoch together mean one
 * flow as long as any of its packets is in flight. With another epoch the number means another flow, of which nothing
 * has been answered.
 *
 * A packet that begins a connection is treated as by the flow table (flow_table.h): if its flow is accepted, the
 * plugins decide it, and also the later packets of the flow in its burst; if it is then accepted itself, the answer for
 * the flow is forgotten. So whether a packet is accepted that no plugin decided has to be known here. Packets that may
 * not decide their flow are treated as there, too.
 *
 * Never allocates. Process: [worker].
 */
#ifndef ENGINE_PLUGIN_CHAIN_FLOWS_H
#define ENGINE_PLUGIN_CHAIN_FLOWS_H

#include "base/limits.h"
#include "plugin/plugin_chain.h"

#include <stdbool.h>
#include <stdint.h>

#define CHAIN_NO_FLOW UINT32_MAX

/* The flow of a packet. */
struct chain_flow {
    uint32_t number; /* below FLOWS_IN_FLIGHT_MAX; CHAIN_NO_FLOW: the packet has none */
    uint32_t epoch;  /* not 0 */
    bool begins;     /* the packet begins a connection */
    bool alone;      /* it may not decide its flow, and is not accepted with it */
    bool accepted;   /* the flow table has accepted the flow; counts for the first packet of number and epoch */
};

struct chain_flows {
    struct chain_flow_kept {
        uint32_t epoch;
        uint32_t begun;              /* the burst in which a connection of the flow began; 0: none */
        struct plugin_answer answer; /* NFQE_CONTINUE: none */
    } kept[FLOWS_IN_FLIGHT_MAX];     /* by the flow's number */
    uint32_t burst;                  /* number of the current burst; not 0 once there is one */
    uint32_t giver;                  /* position of a plugin that may answer for flows */
    nfqe_verdict default_verdict;    /* of a packet that no plugin decides */
    nfqe_verdict on_crash;           /* of a packet with an answer that is not valid */
};

/* No flow is answered. The verdicts are NFQE_ACCEPT or NFQE_DROP. */
void chain_flows_init(struct chain_flows *flows, const struct plugin_chain *chain, nfqe_verdict default_verdict,
                      nfqe_verdict on_crash);

/* To be called before the first packet of each burst. */
void chain_flows_begin_burst(struct chain_flows *flows);

/*
 * Whether the packet's flow is answered; *answer: with what. To be called once for each packet, in order. False: the
 * plugins have to be asked, and chain_flows_note() to be called before the next packet.
 */
bool chain_flows_find(struct chain_flows *flows, const struct chain_flow *flow, struct plugin_answer *answer);

/*
 * Notes what the plugins answered to a packet of the flow. rights: of the plugin that answered. The
 * answer does not count for the flow if the packet's checksum is wrong.
 */
void chain_flows_note(struct chain_flows *flows, const struct chain_flow *flow, const struct nfqe_packet *packet,
                      const struct plugin_answer *answer, const struct plugin_rights *rights);

#endif
