/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Verdict messages as the kernel reads them, with the checks that it makes of each. For the fuzzer of the journal and
 * for the property test.
 */
#ifndef FUZZ_VERDICT_MESSAGES_H
#define FUZZ_VERDICT_MESSAGES_H

#include "queue/nfqueue_encode.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct verdict_message {
    bool batch;
    uint32_t id;
    uint32_t verdict; /* as the kernel reads it; NF_... */
    bool has_mark;
    uint32_t mark;
    const void *payload; /* inside the buffer; NULL: none */
    uint32_t payload_len;
};

/*
 * Reads the message at *offset of the encoded bytes, and moves *offset past it. False: there is no more. Breaks a
 * promise if it is not a verdict message of this queue, with this serial, that the kernel would take as it is meant.
 */
bool verdict_message_next(const struct nfqueue_encoder *verdicts, size_t *offset, struct verdict_message *message);

/* What the kernel must be told for an entry's verdict. */
uint32_t verdict_for_kernel(uint32_t verdict);

#endif
