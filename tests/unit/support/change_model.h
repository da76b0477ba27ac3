/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What becomes of a packet that is changed: a second implementation, which packet/change.c is compared with.
 *
 * It moves bytes one by one, keeps nothing but the two packets, applies the rules from their description, and verifies a
 * checksum by summing all that it is about, so it knows nothing of differences. It shares no code, table or constant
 * with the engine; it finds headers with reference.h.
 */
#ifndef UNIT_CHANGE_MODEL_H
#define UNIT_CHANGE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANGE_MODEL_MAX 65531

struct change_model {
    uint8_t old[CHANGE_MODEL_MAX]; /* as received, without padding */
    size_t old_len;
    uint8_t bytes[CHANGE_MODEL_MAX];
    bool after[CHANGE_MODEL_MAX]; /* of each byte: whether it comes after the UDP datagram */
    size_t len;
    bool truncated, gso, pending; /* what the kernel said of the packet */
    bool ip_hook;                 /* the hook is of the packet's IP version */
    bool changed, replaced;
};

/* The packet as received, perhaps with padding. Then the members about the kernel are to be set. */
void change_model_init(struct change_model *model, const uint8_t *bytes, size_t len);

/* Like the functions of packet/change.h of these names: 0, or the negative errno, and then nothing is changed. */
int change_model_writable(struct change_model *model, size_t offset, size_t len);
int change_model_splice(struct change_model *model, size_t offset, size_t remove, const uint8_t *bytes, size_t count);
int change_model_replace(struct change_model *model, const uint8_t *bytes, size_t len);
int change_model_check(struct change_model *model); /* and packet_change_finish(), which makes the checksums, too */

/* NULL: these bytes are the model's, but for checksums, which are right. Else what is wrong. After check(). */
const char *change_model_compare(const struct change_model *model, const uint8_t *bytes, size_t len);

/* Whether the bytes may take the place of those received; 0 or the negative errno. They have the right IP length. */
int change_model_allows(const struct change_model *model, const uint8_t *bytes, size_t len);

/* Makes the checksums of a packet right, for tests that need one; a UDP checksum of 0, too. */
void change_model_make_right(uint8_t *bytes, size_t len);

#endif
