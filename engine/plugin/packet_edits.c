/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between a plugin's call and packet/change.c.
 *
 * An operation finds its packet as all operations do, and the plugin by the position that the worker shows to the queue
 * process anyway. For each packet, the last rule that refused a change is kept, and goes with the answer: the queue
 * process counts such packets, since a plugin may not look at the error code. Process: [worker].
 */
#include "plugin/packet_edits.h"

#include "packet/change_rules.h"

#include <errno.h>
#include <stddef.h>

static struct packet_edits *current;

/* Returns the index of the packet, or a negative errno. */
static int find(const struct nfqe_packet *packet)
{
    int index = packet_set_find(packet);
    uint32_t plugin;

    if (index < 0) {
        return index;
    }
    if (current == NULL) {
        return -EPERM;
    }
    plugin = atomic_load_explicit(current->plugin, memory_order_relaxed);
    return (plugin_chain_rights(current->chain, plugin)->needs & NFQE_NEED_MODIFY) != 0 ? index : -EPERM;
}

/* -EINVAL is a mistake of the plugin's; the others say that a kernel would not take the packet. */
static int note(struct packet_edits *edits, unsigned index, int code)
{
    if (code < 0 && code != -EINVAL) {
        edits->refused[index] = (uint16_t)(edits->changes[index].broken + 1);
    }
    return code;
}

uint8_t *packet_edits_writable(struct nfqe_packet *packet, uint32_t offset, uint32_t len)
{
    uint8_t *bytes = NULL;
    int index = find(packet);
    int code = index;

    if (index >= 0) {
        code = packet_change_writable(&current->changes[index], packet, offset, len, &bytes);
        note(current, (unsigned)index, code);
    }
    if (code < 0) {
        errno = -code;
    }
    return bytes;
}

int packet_edits_splice(struct nfqe_packet *packet, uint32_t offset, uint32_t remove, const void *bytes, uint32_t len)
{
    int index = find(packet);

    return index < 0 ? index
                     : note(current, (unsigned)index,
                            packet_change_splice(&current->changes[index], packet, offset, remove, bytes, len));
}

int packet_edits_replace(struct nfqe_packet *packet, const void *bytes, uint32_t len)
{
    int index = find(packet);

    return index < 0
               ? index
               : note(current, (unsigned)index, packet_change_replace(&current->changes[index], packet, bytes, len));
}

int packet_edits_check(struct nfqe_packet *packet)
{
    int index = find(packet);

    return index < 0 ? index : note(current, (unsigned)index, packet_change_check(&current->changes[index], packet));
}

void packet_edits_begin(struct packet_edits *edits)
{
    current = edits;
}

void packet_edits_fill(struct packet_edits *edits, unsigned index)
{
    struct packet_change *change = &edits->changes[index];

    packet_change_init(change, change->buffer, &edits->spare, CHANGE_RULES_ALL);
    edits->refused[index] = 0;
}

nfqe_verdict packet_edits_look(struct packet_edits *edits, struct nfqe_packet *packet, nfqe_verdict verdict)
{
    unsigned index;

    if (edits == NULL || verdict_action(verdict) == NFQE_DROP) {
        return verdict;
    }
    index = (unsigned)(packet - edits->set->packets);
    return note(edits, index, packet_change_check(&edits->changes[index], packet)) == 0 ? verdict
                                                                                        : VERDICT_FORBIDDEN_CHANGE;
}

const struct nfqe_packet *packet_edits_received(const struct packet_edits *edits, const struct nfqe_packet *packet)
{
    const struct packet_change *change;

    if (edits == NULL) {
        return packet;
    }
    change = &edits->changes[packet - edits->set->packets];
    return change->is_changed ? &change->received : packet;
}

struct packet_edited packet_edits_finish(struct packet_edits *edits, unsigned index, struct plugin_answer *answer)
{
    struct packet_change *change = &edits->changes[index];
    struct packet_edited edited = {0};

    if (change->is_changed && answer->verdict != VERDICT_FORBIDDEN_CHANGE &&
        verdict_action(answer->verdict) != NFQE_DROP) {
        struct nfqe_packet changed = edits->set->packets[index];

        if (note(edits, index, packet_change_finish(change, &changed)) == 0) {
            edited.bytes = change->buffer;
            edited.len = change->len;
        } else {
            answer->verdict = VERDICT_FORBIDDEN_CHANGE;
        }
    }
    edited.refused = edits->refused[index];
    return edited;
}
