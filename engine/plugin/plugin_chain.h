/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plugin chain: what is called for a packet, in order. Made once, when the plugins are open in this process; never
 * changed after that.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_CHAIN_H
#define ENGINE_PLUGIN_PLUGIN_CHAIN_H

#include "base/limits.h"

#include <nfqe/plugin.h>

#include <stdbool.h>
#include <stddef.h>

struct plugin_chain_member {
    nfqe_verdict (*handle)(void *self, struct nfqe_packet *packet);
    void (*handle_batch)(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out); /* or NULL */
    void *self;
    bool gives_flows; /* it may answer NFQE_FLOW */
};

struct plugin_chain {
    struct plugin_chain_member members[PLUGINS_MAX];
    unsigned count;
    bool has_batch; /* at least one member has handle_batch() */
};

/* Appends a member; at most PLUGINS_MAX, which the command line sees to. */
static inline void plugin_chain_add(struct plugin_chain *chain, const struct plugin_chain_member *member)
{
    chain->members[chain->count++] = *member;
    chain->has_batch = chain->has_batch || member->handle_batch != NULL;
}

#endif
