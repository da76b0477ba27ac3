/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plugin chain: what is called for a packet, in order, and what comes of it, an answer. Made once, when the plugins
 * are open in this process; never changed after that. chain_run.h calls it.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_CHAIN_H
#define ENGINE_PLUGIN_PLUGIN_CHAIN_H

#include "base/limits.h"
#include "plugin/verdict.h"

#include <nfqe/plugin.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plugin_chain_member {
    nfqe_verdict (*handle)(void *self, struct nfqe_packet *packet);
    void (*handle_batch)(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out); /* or NULL */
    void *self;
    struct plugin_rights rights; /* all zero: CONTINUE, ACCEPT and DROP */
};

struct plugin_chain {
    struct plugin_chain_member members[PLUGINS_MAX];
    unsigned count;
    bool has_batch; /* at least one member has handle_batch() */
};

/* What the plugin chain said about a packet. */
struct plugin_answer {
    nfqe_verdict verdict; /* as the plugin returned it, valid or not; NFQE_CONTINUE: all plugins did */
    uint32_t plugin;      /* the position of the one that gave it; the length of the chain: none */
};

/* Appends a member; at most PLUGINS_MAX, which the command line sees to. */
static inline void plugin_chain_add(struct plugin_chain *chain, const struct plugin_chain_member *member)
{
    chain->members[chain->count++] = *member;
    chain->has_batch = chain->has_batch || member->handle_batch != NULL;
}

/* What the plugin at this position may answer. At the position after the last: no more than CONTINUE. */
static inline const struct plugin_rights *plugin_chain_rights(const struct plugin_chain *chain, uint32_t plugin)
{
    static const struct plugin_rights none;

    return plugin < chain->count ? &chain->members[plugin].rights : &none;
}

#endif
