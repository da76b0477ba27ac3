/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * find_words - looks for numbered words in the payload of TCP, and says at the end how many different ones it saw.
 *
 * A word is FIND_WORDS_MAGIC and a number below WORDS_MAX in 4 bytes, most significant first. Only what is there within
 * one packet is found. It accepts every packet.
 */
#include <nfqe/plugin.h>

#include <inttypes.h>
#include <string.h>

#define FIND_WORDS_MAGIC "nfqe-word" /* the test writes the same */
#define MAGIC_SIZE (sizeof(FIND_WORDS_MAGIC) - 1)
#define WORDS_MAX 65536

/* Static: one worker a process. */
static struct {
    const struct nfqe_host *host;
    uint32_t words;
    uint64_t truncated;
    uint8_t seen[WORDS_MAX];
} state;

static void find(const uint8_t *payload, uint32_t len)
{
    const uint8_t *end = payload + len;

    for (const uint8_t *word = payload;
         (word = memmem(word, (size_t)(end - word), FIND_WORDS_MAGIC, MAGIC_SIZE)) != NULL; word += MAGIC_SIZE) {
        const uint8_t *number = word + MAGIC_SIZE;
        uint32_t index;

        if (end - number < 4) {
            return;
        }
        index = ((uint32_t)number[0] << 24) | ((uint32_t)number[1] << 16) | ((uint32_t)number[2] << 8) | number[3];
        if (index < WORDS_MAX && state.seen[index] == 0) {
            state.seen[index] = 1;
            state.words++;
        }
    }
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    uint32_t len;
    const uint8_t *payload = nfqe_tcp(packet) != NULL ? nfqe_payload(packet, &len) : NULL;

    (void)self;
    state.truncated += (packet->flags & NFQE_PACKET_TRUNCATED) != 0;
    if (payload != NULL) {
        find(payload, len);
    }
    return NFQE_ACCEPT;
}

static int open_worker(const struct nfqe_host *host, const void *config, const void *shared, void **self)
{
    (void)shared;
    (void)config;
    (void)self;
    state.host = host;
    return 0;
}

static void close_worker(void *self)
{
    (void)self;
    state.host->log(state.host, NFQE_LOG_INFO, "total: words=%" PRIu32 " truncated=%" PRIu64, state.words,
                    state.truncated);
}

NFQE_PLUGIN(.id = "find_words", .version = "1.0.0", .needs = NFQE_NEED_PAYLOAD, .open = open_worker, .handle = handle,
            .close = close_worker)
