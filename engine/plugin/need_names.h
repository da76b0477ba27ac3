/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the needs of plugins are called in messages: as an author writes them, without NFQE_NEED_. Process: any.
 */
#ifndef ENGINE_PLUGIN_NEED_NAMES_H
#define ENGINE_PLUGIN_NEED_NAMES_H

#include <nfqe/plugin.h>

#define NEED_BITS 64

/* The need with this bit, below NEED_BITS; NULL: none has it. */
static inline const char *need_name(unsigned bit)
{
    static const char *const names[NEED_BITS] = {
        [NFQE_NEED_HEADERS_BIT] = "HEADERS",
        [NFQE_NEED_PAYLOAD_BIT] = "PAYLOAD",
        [NFQE_NEED_MODIFY_BIT] = "MODIFY",
        [NFQE_NEED_HOLD_BIT] = "HOLD",
        [NFQE_NEED_FLOW_BIT] = "FLOW",
        [NFQE_NEED_REQUEUE_BIT] = "REQUEUE",
        [NFQE_NEED_CONNTRACK_BIT] = "CONNTRACK",
        [NFQE_NEED_OWNER_BIT] = "OWNER",
        [NFQE_NEED_SECCTX_BIT] = "SECCTX",
        [NFQE_NEED_SEGMENTS_BIT] = "SEGMENTS",
        [NFQE_NEED_METADATA_BIT] = "METADATA",
        [NFQE_NEED_INJECT_BIT] = "INJECT",
        [NFQE_NEED_EVERY_PACKET_BIT] = "EVERY_PACKET",
        [NFQE_NEED_PRIORITY_BIT] = "PRIORITY",
    };

    return names[bit];
}

#endif
