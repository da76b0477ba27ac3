/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the attributes of a netlink message one after the other, and numbers in them.
 *
 * Inline, since every packet needs about ten of them. Nothing outside the bytes is read, whatever their lengths say.
 */
#ifndef ENGINE_QUEUE_ATTRIBUTE_H
#define ENGINE_QUEUE_ATTRIBUTE_H

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct attribute {
    unsigned type;
    const uint8_t *value;
    size_t len;
};

static inline uint32_t read_be32(const void *from)
{
    uint32_t value;

    memcpy(&value, from, sizeof(value));
    return ntohl(value);
}

static inline uint64_t read_be64(const void *from)
{
    uint64_t value;

    memcpy(&value, from, sizeof(value));
    return be64toh(value);
}

static inline uint16_t read_be16(const uint8_t *from)
{
    return (uint16_t)((from[0] << 8) | from[1]);
}

/*
 * Reads the attribute at *offset and moves that to the next one, at most to `len`. Returns whether there is one, and
 * all of it: if not, the rest of the bytes is NLA_HDRLEN or more if they are no whole attribute.
 */
static inline bool attribute_next(const uint8_t *bytes, size_t len, size_t *offset, struct attribute *attribute)
{
    size_t left = len - *offset;
    const struct nlattr *header = (const void *)(bytes + *offset);
    size_t size;

    if (left < NLA_HDRLEN) {
        return false;
    }
    size = header->nla_len;
    if (size < NLA_HDRLEN || size > left) {
        return false;
    }
    *attribute = (struct attribute){
        .type = header->nla_type & NLA_TYPE_MASK, .value = bytes + *offset + NLA_HDRLEN, .len = size - NLA_HDRLEN};
    *offset += NLA_ALIGN(size) < left ? NLA_ALIGN(size) : left;
    return true;
}

#endif
