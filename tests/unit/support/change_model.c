/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changes packets slowly.
 *
 * Checksums are verified in whole numbers, modulo 0xffff, over an array that is put together for it: pseudo-header, then
 * what counts of the packet. What is left is 0 for a right checksum. Sources: RFC 791, 8200, 9293, 768, 792, 4443, 3828
 * (UDP-Lite), 4340 (DCCP), 9260 (SCTP), and the rules of kernels as packet/change_rules.h describes them.
 */
#include "change_model.h"

#include "reference.h"

#include <errno.h>
#include <string.h>

/* ---- what a packet is -------------------------------------------------------------------------------------------- */

static unsigned pair(const uint8_t *bytes)
{
    return bytes[0] * 256U + bytes[1];
}

static void put_pair(uint8_t *bytes, size_t value)
{
    bytes[0] = (uint8_t)(value / 256);
    bytes[1] = (uint8_t)(value % 256);
}

static struct reference look_at(const uint8_t *bytes, size_t len)
{
    return reference_read(bytes, len, len, 0);
}

static size_t ip_length(const uint8_t *bytes, size_t len)
{
    size_t said = len;

    if (len >= 20 && bytes[0] / 16 == 4 && pair(bytes + 2) != 0) {
        said = pair(bytes + 2);
    } else if (len >= 40 && bytes[0] / 16 == 6 && pair(bytes + 4) != 0) {
        said = 40 + pair(bytes + 4);
    }
    return said < len ? said : len;
}

/* Where the checksum is in the transport header, and how much of that has to be there. False: the protocol has none. */
static bool has_checksum(unsigned protocol, size_t *place, size_t *size)
{
    static const struct {
        unsigned protocol;
        size_t place, size;
    } table[] = {{6, 16, 20}, {17, 6, 8}, {136, 6, 8}, {33, 6, 12}, {1, 2, 8}, {58, 2, 8}, {132, 8, 12}};

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].protocol == protocol) {
            *place = table[i].place;
            *size = table[i].size;
            return true;
        }
    }
    return false;
}

static size_t after_header(unsigned kind, const uint8_t *header)
{
    return kind == 44 ? 8 : kind == 51 ? (header[1] + (size_t)2) * 4 : (header[1] + (size_t)1) * 8;
}

/* The address in the pseudo-header, of an IPv6 packet whose transport header is there. NULL: not known. */
static const uint8_t *last_address(const uint8_t *bytes, size_t transport)
{
    unsigned kind = bytes[6];

    for (size_t at = 40; at < transport;) {
        size_t size = after_header(kind, bytes + at);

        if (kind == 43 && bytes[at + 3] > 0) {
            size_t addresses = bytes[at + 1] / 2;

            if (addresses == 0 || (bytes[at + 2] != 0 && bytes[at + 2] != 2 && bytes[at + 2] != 4)) {
                return NULL;
            }
            return bytes + at + 8 + (bytes[at + 2] == 0 ? (addresses - 1) * 16 : 0);
        }
        kind = bytes[at];
        at += size;
    }
    return bytes + 24;
}

/* Whether the transport header has a checksum that can follow a change, and where. */
static bool find_checksum(const uint8_t *bytes, size_t len, size_t *place)
{
    struct reference found = look_at(bytes, len);
    size_t size;

    if (found.version == 0 || found.transport == REFERENCE_NONE || !has_checksum(found.protocol, place, &size) ||
        found.transport + size > len || (found.fragment && found.protocol == 132)) {
        return false;
    }
    *place += found.transport;
    return true;
}

/* ---- checksums --------------------------------------------------------------------------------------------------- */

static unsigned modulo(const uint8_t *bytes, size_t len)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum += i % 2 == 0 ? bytes[i] * 256U : bytes[i];
    }
    return (unsigned)(sum % 0xffff);
}

static size_t counted(const struct reference *found, const uint8_t *header, size_t len)
{
    size_t count = len;

    if (found->protocol == 17 || found->protocol == 136) {
        count = pair(header + 4);
        return count < 8 || count > len ? len : count;
    }
    if (found->protocol == 33 && header[5] % 16 != 0) {
        count = header[4] * (size_t)4 + (header[5] % 16 - (size_t)1) * 4;
        return count < 12 || count > len ? len : count;
    }
    return count;
}

/* What is left of the checksum. *known: false if the pseudo-header has an address that is not known; that counts as 0. */
static uint32_t leftover(const uint8_t *bytes, size_t len, bool *known)
{
    static uint8_t all[CHANGE_MODEL_MAX + 40];
    struct reference found = look_at(bytes, len);
    const uint8_t *header = bytes + found.transport;
    size_t here = len - found.transport;
    size_t count = counted(&found, header, here);
    size_t address = found.version == 4 ? 4 : 16;
    size_t said = found.fragment ? 0 : found.protocol == 17 ? count : here;
    const uint8_t *dest = found.version == 4 ? bytes + 16 : last_address(bytes, found.transport);

    *known = dest != NULL || found.protocol == 132 || found.protocol == 1;
    if (found.protocol == 132) {
        uint32_t crc = UINT32_MAX;

        for (size_t i = 0; i < here; i++) {
            crc ^= i >= 8 && i < 12 ? 0U : header[i];
            for (unsigned bit = 0; bit < 8; bit++) {
                crc = crc % 2 == 1 ? crc / 2 ^ UINT32_C(0x82f63b78) : crc / 2;
            }
        }
        return ~crc ^
               (header[8] + header[9] * UINT32_C(256) + header[10] * UINT32_C(65536) + header[11] * UINT32_C(16777216));
    }
    if (found.protocol == 1) {
        return modulo(header, count);
    }
    memset(all, 0, 40);
    memcpy(all, bytes + (found.version == 4 ? 12 : 8), address);
    if (dest != NULL) {
        memcpy(all + 16, dest, address);
    }
    put_pair(all + 34, said);
    all[37] = (uint8_t)found.protocol;
    memcpy(all + 38, header, count);
    return modulo(all, 38 + count);
}

void change_model_make_right(uint8_t *bytes, size_t len)
{
    bool known;
    size_t place;
    size_t size = bytes[0] % 16 * (size_t)4;

    if (bytes[0] / 16 == 4 && size >= 20 && size <= len) {
        put_pair(bytes + 10, 0);
        put_pair(bytes + 10, 0xffff - modulo(bytes, size));
    }
    if (!find_checksum(bytes, len, &place)) {
        return;
    }
    if (look_at(bytes, len).protocol == 132) {
        uint32_t crc;

        memset(bytes + place, 0, 4);
        crc = leftover(bytes, len, &known);
        for (unsigned i = 0; i < 4; i++, crc /= 256) {
            bytes[place + i] = (uint8_t)crc;
        }
        return;
    }
    put_pair(bytes + place, 0);
    put_pair(bytes + place, 0xffff - leftover(bytes, len, &known));
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static bool same_bytes(const uint8_t *a, const uint8_t *b, size_t from, size_t to)
{
    while (from < to) {
        if (a[from] != b[from]) {
            return false;
        }
        from++;
    }
    return true;
}

/* Where the kernel finds the end of the extension headers; 0: nowhere. */
static size_t extensions_end(const uint8_t *bytes, size_t len)
{
    unsigned kind = bytes[6];
    size_t at = 40;

    for (unsigned count = 0; kind == 0 || kind == 43 || kind == 44 || kind == 51 || kind == 60; count++) {
        unsigned next;

        if (count == 12 || at + 2 > len) {
            return 0;
        }
        next = bytes[at];
        at += after_header(kind, bytes + at);
        if (at > len) {
            return 0;
        }
        kind = next;
    }
    return at;
}

static bool same_headers(const struct change_model *model, const uint8_t *bytes, size_t len, size_t *headers)
{
    const uint8_t *old = model->old;

    if (old[0] / 16 == 4) {
        *headers = old[0] % 16 * (size_t)4;
        return *headers >= 20 && *headers <= model->old_len && *headers <= len && bytes[0] == old[0] &&
               bytes[6] / 128 == old[6] / 128 && bytes[6] % 64 == old[6] % 64 && bytes[7] == old[7] &&
               same_bytes(old, bytes, 20, *headers) && pair(bytes + 2) == len;
    }
    *headers = extensions_end(old, model->old_len);
    return *headers != 0 && *headers <= len && bytes[0] / 16 == 6 && bytes[6] == old[6] &&
           same_bytes(old, bytes, 40, *headers) && pair(bytes + 4) == len - 40;
}

int change_model_allows(const struct change_model *model, const uint8_t *bytes, size_t len)
{
    struct reference found = look_at(model->old, model->old_len);
    size_t headers;
    size_t unused;
    bool checked;

    if (model->truncated || len > CHANGE_MODEL_MAX) {
        return -EMSGSIZE;
    }
    if (found.version == 0 || !model->ip_hook || len < (found.version == 4 ? 20U : 40U) ||
        !same_headers(model, bytes, len, &headers)) {
        return -EOPNOTSUPP;
    }
    if (found.transport != REFERENCE_NONE && len < found.transport) {
        return -EOPNOTSUPP;
    }
    if ((model->gso || found.fragment) && len != model->old_len) {
        return -EOPNOTSUPP;
    }
    checked = has_checksum(found.protocol, &unused, &unused);
    if (found.fragment && found.transport == REFERENCE_NONE) {
        checked = checked || found.protocol == 0;
    } else {
        checked = checked && found.fragment && !find_checksum(model->old, model->old_len, &unused);
    }
    return checked && !same_bytes(model->old, bytes, headers, len) ? -EOPNOTSUPP : 0;
}

/* ---- changes ----------------------------------------------------------------------------------------------------- */

static void put_ip_length(uint8_t *bytes, size_t len)
{
    if (len >= 20 && bytes[0] / 16 == 4) {
        put_pair(bytes + 2, len);
    } else if (len >= 40 && bytes[0] / 16 == 6) {
        put_pair(bytes + 4, len - 40);
    }
}

/* The IP headers have another length or, of IPv6, another protocol: not what a packet may have in the end. */
static bool is_other_ip(const struct change_model *model, const struct reference *found)
{
    struct reference old = look_at(model->old, model->old_len);

    if (found->version == 4 || old.version == 4) {
        return model->bytes[0] != model->old[0];
    }
    return old.transport != REFERENCE_NONE && (old.transport != found->transport || old.protocol != found->protocol);
}

static void put_lengths(struct change_model *model)
{
    struct reference found;
    size_t here;
    size_t rest = 0;

    put_ip_length(model->bytes, model->len);
    found = look_at(model->bytes, model->len);
    if (found.version == 0 || found.transport == REFERENCE_NONE || found.fragment || model->len < found.transport + 8 ||
        is_other_ip(model, &found)) {
        return;
    }
    here = model->len - found.transport;
    for (size_t i = 0; i < model->len; i++) {
        rest += model->after[i];
    }
    if (found.protocol == 17) {
        put_pair(model->bytes + found.transport + 4, rest + 8 <= here ? here - rest : here);
    } else if (found.protocol == 136 && pair(model->bytes + found.transport + 4) > here) {
        put_pair(model->bytes + found.transport + 4, 0);
    }
}

void change_model_init(struct change_model *model, const uint8_t *bytes, size_t len)
{
    struct reference found;

    model->truncated = model->gso = model->pending = model->ip_hook = model->changed = model->replaced = false;
    memset(model->after, 0, sizeof(model->after));
    model->old_len = ip_length(bytes, len);
    model->len = model->old_len;
    if (model->len == 0) {
        return;
    }
    memcpy(model->old, bytes, model->len);
    memcpy(model->bytes, bytes, model->len);
    found = look_at(model->old, model->len);
    if (found.version != 0 && found.protocol == 17 && found.transport != REFERENCE_NONE &&
        found.transport + 8 <= model->len && pair(bytes + found.transport + 4) >= 8) {
        for (size_t i = found.transport + pair(bytes + found.transport + 4); i < model->len; i++) {
            model->after[i] = true;
        }
    }
}

int change_model_splice(struct change_model *model, size_t offset, size_t remove, const uint8_t *bytes, size_t count)
{
    static struct change_model made;
    int code;

    if (offset > model->len || remove > model->len - offset || (bytes == NULL && count > 0)) {
        return -EINVAL;
    }
    if (model->len - remove + count > CHANGE_MODEL_MAX) {
        return -EMSGSIZE;
    }
    made.len = 0;
    for (size_t i = 0; i <= model->len; i++) {
        for (size_t k = 0; i == offset && k < count; k++) {
            made.after[made.len] = offset > 0 && model->after[offset - 1];
            made.bytes[made.len++] = bytes[k];
        }
        if (i < model->len && (i < offset || i >= offset + remove)) {
            made.after[made.len] = model->after[i];
            made.bytes[made.len++] = model->bytes[i];
        }
    }
    put_ip_length(made.bytes, made.len);
    code = change_model_allows(model, made.bytes, made.len);
    if (code == 0) {
        memcpy(model->bytes, made.bytes, made.len);
        memcpy(model->after, made.after, made.len);
        model->len = made.len;
        model->changed = true;
        put_lengths(model);
    }
    return code;
}

int change_model_replace(struct change_model *model, const uint8_t *bytes, size_t len)
{
    int code = change_model_splice(model, 0, model->len, bytes, len);

    if (code == 0) {
        memset(model->after, 0, len);
        put_lengths(model);
        model->replaced = true;
    }
    return code;
}

int change_model_writable(struct change_model *model, size_t offset, size_t len)
{
    if (offset > model->len || len > model->len - offset) {
        return -EINVAL;
    }
    if (!model->changed) {
        return change_model_splice(model, 0, 0, NULL, 0);
    }
    put_lengths(model);
    return 0;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

enum outcome { OUTCOME_AS_IS, OUTCOME_NONE, OUTCOME_RIGHT, OUTCOME_AS_RECEIVED, OUTCOME_IMPOSSIBLE };

/* What is to become of the transport's checksum. */
static enum outcome decide(const struct change_model *model)
{
    struct reference was = look_at(model->old, model->old_len);
    struct reference is = look_at(model->bytes, model->len);
    bool had_none;
    bool based;
    bool known_before = true;
    bool known;
    size_t old_place;
    size_t place;
    if (!find_checksum(model->bytes, model->len, &place)) {
        return OUTCOME_AS_IS;
    }
    leftover(model->bytes, model->len, &known);
    based = find_checksum(model->old, model->old_len, &old_place) && was.protocol == is.protocol && !model->pending &&
            !model->gso;
    had_none = based && was.protocol == 17 && pair(model->old + old_place) == 0;
    if (based) {
        leftover(model->old, model->old_len, &known_before);
    }
    if (is.protocol == 17 && pair(model->bytes + place) == 0 && !model->pending && !model->gso &&
        (is.version == 4 || (had_none && !model->replaced))) {
        return OUTCOME_NONE;
    }
    if (based && !had_none && known == known_before && (!model->replaced || is.fragment)) {
        return OUTCOME_AS_RECEIVED;
    }
    return is.fragment || !known ? OUTCOME_IMPOSSIBLE : OUTCOME_RIGHT;
}

int change_model_check(struct change_model *model)
{
    int code = 0;

    if (model->changed) {
        put_lengths(model);
        code = change_model_allows(model, model->bytes, model->len);
    }
    return code == 0 && model->changed && decide(model) == OUTCOME_IMPOSSIBLE ? -EOPNOTSUPP : code;
}

static const char *compare_checksum(const struct change_model *model, const uint8_t *bytes, size_t len,
                                    enum outcome outcome)
{
    struct reference found = look_at(bytes, len);
    bool known;
    size_t place = 0;
    uint32_t left;
    uint32_t expected = 0;

    if (outcome == OUTCOME_AS_IS) {
        return NULL;
    }
    find_checksum(bytes, len, &place);
    if (outcome == OUTCOME_NONE) {
        return pair(bytes + place) == 0 ? NULL : "a checksum, where the sender made none";
    }
    left = leftover(bytes, len, &known);
    if (outcome == OUTCOME_AS_RECEIVED) {
        expected = leftover(model->old, model->old_len, &known);
    }
    if (left != expected) {
        return expected == 0 ? "a wrong checksum" : "a checksum that is not wrong as it was";
    }
    if (found.protocol == 17 || found.protocol == 136) {
        return pair(bytes + place) != 0 ? NULL : "a UDP checksum of 0";
    }
    return found.protocol == 132 || pair(bytes + place) != 0xffff ? NULL : "a checksum of 0xffff";
}

const char *change_model_compare(const struct change_model *model, const uint8_t *bytes, size_t len)
{
    enum outcome outcome = decide(model);
    size_t place = SIZE_MAX;
    size_t size = look_at(model->bytes, model->len).protocol == 132 ? 4 : 2;

    if (len != model->len) {
        return "another length";
    }
    if (outcome != OUTCOME_AS_IS) {
        find_checksum(model->bytes, model->len, &place);
    }
    for (size_t i = 0; i < len; i++) {
        bool ipv4_checksum = bytes[0] / 16 == 4 && (i == 10 || i == 11);

        if (bytes[i] != model->bytes[i] && !ipv4_checksum && !(i >= place && i - place < size)) {
            return "other bytes";
        }
    }
    if (bytes[0] / 16 == 4 && (modulo(bytes, bytes[0] % 16 * (size_t)4) != 0 || pair(bytes + 10) == 0xffff)) {
        return "a wrong IPv4 checksum";
    }
    return compare_checksum(model, bytes, len, outcome);
}
