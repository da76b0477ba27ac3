/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations by which plugins change the bytes of packets, and what comes of these in the end.
 *
 * They count for a packet that the plugin has now (plugin/packet_set.h), and for a plugin that has declared MODIFY. What a
 * kernel would not take is refused by the operation; what a plugin has written through a pointer is looked at when its
 * function returns, and its verdict is invalid then. Process: [worker].
 */
#ifndef ENGINE_PLUGIN_PACKET_EDITS_H
#define ENGINE_PLUGIN_PACKET_EDITS_H

#include "packet/change.h"
#include "plugin/packet_set.h"
#include "plugin/plugin_chain.h"

#include <stdatomic.h>
#include <stdint.h>

struct packet_edits {
    const struct packet_set *set;
    const struct plugin_chain *chain;
    const _Atomic uint32_t *plugin; /* position of the one that runs */
    struct packet_change *changes;  /* of the set's packets, by their indices */
    uint8_t *spare;
    uint16_t refused[BURST_MAX]; /* 1 more than the rule for which a change was refused last; 0: none was */
};

/* How a packet leaves. */
struct packet_edited {
    const uint8_t *bytes;
    uint32_t len;     /* 0: as it was received */
    uint16_t refused; /* as in struct packet_edits */
};

/* Operations are about these from now on; NULL: no plugin changes packets. */
void packet_edits_begin(struct packet_edits *edits);

/* Packet `index` of the set, which was just filled, has no change. */
void packet_edits_fill(struct packet_edits *edits, unsigned index);

/*
 * After the function of a plugin with MODIFY returned: the verdict, or VERDICT_FORBIDDEN_CHANGE if the packet cannot go on
 * as it is now. A packet that is dropped is not looked at. edits: NULL: nothing was changed.
 */
nfqe_verdict packet_edits_look(struct packet_edits *edits, struct nfqe_packet *packet, nfqe_verdict verdict);

/* The packet as it was received: itself, if nothing was changed. edits: NULL: nothing was. */
const struct nfqe_packet *packet_edits_received(const struct packet_edits *edits, const struct nfqe_packet *packet);

/*
 * The packet has its answer, after which nothing changes it: makes its checksums. The answer becomes
 * VERDICT_FORBIDDEN_CHANGE if it cannot go on as it is.
 */
struct packet_edited packet_edits_finish(struct packet_edits *edits, unsigned index, struct plugin_answer *answer);

/* The operations of struct nfqe_packet_operations. */
uint8_t *packet_edits_writable(struct nfqe_packet *packet, uint32_t offset, uint32_t len);
int packet_edits_splice(struct nfqe_packet *packet, uint32_t offset, uint32_t remove, const void *bytes, uint32_t len);
int packet_edits_replace(struct nfqe_packet *packet, const void *bytes, uint32_t len);
int packet_edits_check(struct nfqe_packet *packet);

#endif
