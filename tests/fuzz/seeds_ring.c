/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seeds of a hostile worker: what an honest one does, then one lie each.
 */
#include "seed.h"

#include "process/ring_submit.h"
#include "ring_moves.h"

#include <string.h>

static void put_move(struct seed *seed, enum ring_move move, int argument)
{
    seed_put_u8(seed, (uint8_t)move);
    if (argument >= 0) {
        seed_put_u8(seed, (uint8_t)argument);
    }
}

static void put_record(struct seed *seed, uint16_t kind, uint16_t frame, uint16_t packet, uint32_t plugin)
{
    const struct ring_verdict record = {.head = {kind, sizeof(record), frame, packet}, .answer = 1, .plugin = plugin};

    put_move(seed, MOVE_RECORD, -1);
    seed_put(seed, &record, sizeof(record));
}

static void put_write(struct seed *seed, size_t offset, const void *bytes, uint8_t len)
{
    put_move(seed, MOVE_WRITE, -1);
    seed_put_u8(seed, (uint8_t)(offset / 2 >> 8));
    seed_put_u8(seed, (uint8_t)(offset / 2));
    seed_put_u8(seed, len);
    seed_put(seed, bytes, len);
}

/* A worker that has attached, and a frame of four packets. */
static struct seed begin(void)
{
    struct seed seed = {.len = 0};

    put_move(&seed, MOVE_GUARD, -1);
    put_move(&seed, MOVE_SEAL, -1);
    put_move(&seed, MOVE_ASK, -1);
    put_move(&seed, MOVE_SUBMIT, 3);
    return seed;
}

static void save(const char *name, struct seed *seed)
{
    put_move(seed, MOVE_SLEEP, -1);
    put_move(seed, MOVE_TAKE, 255);
    put_move(seed, MOVE_SUBMIT, 0);
    put_move(seed, MOVE_TAKE, 255);
    put_move(seed, MOVE_ASK, -1);
    seed_save("ring", name, seed);
}

static void make_honest(void)
{
    struct seed seed = begin();

    for (int i = 0; i < 6; i++) {
        put_move(&seed, MOVE_SUBMIT, 60 + i);
        put_move(&seed, MOVE_FILL, i);
        put_move(&seed, MOVE_SLEEP, -1);
        put_move(&seed, MOVE_ANSWER, 100);
        put_move(&seed, MOVE_RING, -1);
        seed_put_u64(&seed, 1);
        put_move(&seed, MOVE_TAKE, 90);
        put_move(&seed, MOVE_SLEEP, -1);
    }
    put_move(&seed, MOVE_LEAVE, -1);
    put_move(&seed, MOVE_HANG_UP, -1);
    save("honest", &seed);
}

static void put_bytes(struct seed *seed, uint32_t offset, uint16_t len)
{
    const struct ring_bytes bytes = {.head = {RING_BYTES, sizeof(bytes), 0, 0}, .offset = offset, .len = len};

    put_move(seed, MOVE_RECORD, -1);
    seed_put(seed, &bytes, sizeof(bytes));
}

/* A ring has places for changed packets if the input has an odd length. */
static void make_claims(void)
{
    static const struct {
        const char *names[2];
        size_t offset;
        uint16_t len;
    } cases[] = {{{"bytes_first", "bytes_first_too"}, RING_CHANGES_OFFSET, 1},
                 {{"bytes_last", "bytes_last_too"}, RING_CHANGING_FILE_SIZE - COPY_RANGE_MAX, COPY_RANGE_MAX},
                 {{"bytes_before", "bytes_before_too"}, RING_CHANGES_OFFSET - 1, 100},
                 {{"bytes_after", "bytes_after_too"}, RING_CHANGING_FILE_SIZE - 99, 100}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned odd = 0; odd < 2; odd++) {
            struct seed seed = begin();

            put_record(&seed, RING_CHANGE, 0, 0, 2);
            put_bytes(&seed, (uint32_t)cases[i].offset, cases[i].len);
            put_record(&seed, RING_VERDICT, 0, 0, 2);
            if (seed.len % 2 != odd) {
                put_move(&seed, MOVE_ASK, -1);
            }
            save(cases[i].names[odd], &seed);
        }
    }
}

static void make_lies(void)
{
    static const uint32_t counts[] = {8, 32, RING_ANSWERS_SIZE + 16, UINT32_MAX - 15};
    struct seed seed = begin();

    put_record(&seed, RING_VERDICT, 0, 1, 2);
    put_record(&seed, RING_VERDICT, 0, 1, 2);
    save("twice", &seed);
    seed = begin();
    put_record(&seed, RING_CHANGE, 0, 0, 2);
    put_record(&seed, RING_CHANGE, 0, 0, 2);
    save("change_twice", &seed);
    seed = begin();
    put_record(&seed, RING_VERDICT, 1, 0, 0);
    save("no_frame", &seed);
    seed = begin();
    put_record(&seed, RING_VERDICT, 0, 64, 0);
    save("no_packet", &seed);
    seed = begin();
    put_record(&seed, RING_RELEASE, 0, 0, 0);
    save("kind", &seed);
    seed = begin();
    put_record(&seed, RING_VERDICT, 0, 0, UINT32_MAX);
    save("plugin", &seed);
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        seed = begin();
        put_move(&seed, MOVE_ANSWER, 1);
        put_move(&seed, MOVE_PUBLISH, -1);
        seed_put_u32(&seed, counts[i]);
        save(counts[i] == 8 ? "half" : counts[i] == 32 ? "more" : counts[i] > INT32_MAX ? "back" : "far", &seed);
    }
}

static void make_others(void)
{
    static const char text[] = "\x1b[31mred\n";
    struct seed seed = begin();

    put_move(&seed, MOVE_ANSWER, 2);
    put_write(&seed, 0, text, sizeof(text));
    save("guard", &seed);
    seed = begin();
    put_write(&seed, offsetof(struct ring_worker_words, plugin), "\1\1\1\1\2\2\2\2\x1b[31mred\n", 18);
    save("text", &seed);
    seed = begin();
    for (unsigned i = 0; i < RING_BELLS_MAX + 2; i++) {
        put_move(&seed, MOVE_RING, -1);
        seed_put_u64(&seed, UINT64_MAX - 1);
        put_move(&seed, MOVE_SLEEP, -1);
    }
    save("flood", &seed);
    seed = begin();
    put_move(&seed, MOVE_NOD, -1);
    seed_put_u32(&seed, 1);
    put_move(&seed, MOVE_ANSWER, 1);
    put_move(&seed, MOVE_TAKE, 1);
    put_move(&seed, MOVE_RETIRE, -1);
    put_move(&seed, MOVE_HANG_UP, -1);
    put_move(&seed, MOVE_LEAVE, -1);
    save("death", &seed);
    seed.len = 0;
    put_move(&seed, MOVE_PUBLISH, -1);
    seed_put_u32(&seed, 16);
    put_move(&seed, MOVE_TAKE, 1);
    put_move(&seed, MOVE_ASK, -1);
    save("not_sealed", &seed);
}

void make_rings(void)
{
    make_honest();
    make_lies();
    make_claims();
    make_others();
}
