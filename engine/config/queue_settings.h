/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a queue is bound: the settings that the kernel keeps for it, and the flags that a kernel may lack.
 *
 * Configuration knows no netlink header, so the flags have their numbers here; nfqueue_config.c asserts that they are
 * the kernel's.
 */
#ifndef ENGINE_CONFIG_QUEUE_SETTINGS_H
#define ENGINE_CONFIG_QUEUE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_FAIL_OPEN UINT32_C(0x01)
#define QUEUE_CONNTRACK UINT32_C(0x02)
#define QUEUE_GSO UINT32_C(0x04)
#define QUEUE_UID_GID UINT32_C(0x08)
#define QUEUE_SECCTX UINT32_C(0x10)

struct queue_settings {
    bool copy_packet;    /* false: metadata only */
    uint32_t copy_range; /* bytes; with copy_packet */
    uint32_t max_len;    /* packets */
    uint32_t flags;      /* QUEUE_... */
};

struct queue_flag {
    uint32_t bit;
    uint64_t need;      /* NFQE_NEED_... of plugins that ask for it; 0: only the user asks for it */
    const char *name;   /* of the option, without its dashes */
    const char *kernel; /* what a kernel that lacks the flag lacks */
};

#define QUEUE_FLAG_COUNT 5
extern const struct queue_flag queue_flags[QUEUE_FLAG_COUNT];

#define QUEUE_FLAG_NAMES_MAX 64

/* "gso,uid-gid", or "none", in text[QUEUE_FLAG_NAMES_MAX]. Returns text. */
const char *queue_flag_names(uint32_t flags, char *text);

#endif
