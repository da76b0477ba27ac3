/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The settings that the kernel keeps for a queue, and the flags of it that a kernel may lack.
 *
 * The layer config/ includes no netlink header, so the flags are defined here; nfqueue_config.c asserts that they
 * have the kernel's values.
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
    uint64_t need;      /* NFQE_NEED_... that asks for it; 0: only the user can */
    const char *name;   /* of the option, without dashes */
    const char *kernel; /* the version or the configuration option that brings it */
};

#define QUEUE_FLAG_COUNT 5
extern const struct queue_flag queue_flags[QUEUE_FLAG_COUNT];

#define QUEUE_FLAG_NAMES_MAX 64

/* "gso,uid-gid", or "none", in text[QUEUE_FLAG_NAMES_MAX]. Returns text. */
const char *queue_flag_names(uint32_t flags, char *text);

#endif
