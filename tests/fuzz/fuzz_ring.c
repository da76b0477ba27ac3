/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker that does with its side of a ring whatever the input says, between any two calls of the queue process.
 *
 * Input: moves, see ring_moves.h. The queue process must not crash and not wait; it believes an answer only if it is for
 * a packet that is in flight and has none, and nothing after the first broken rule. Its books are kept a second time
 * here. A wait would be reported as an input that hangs.
 */
#include "input.h"
#include "process/ring_answer.h"
#include "process/ring_submit.h"
#include "ring_moves.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

static const struct nfqueue_conntrack no_conntrack;

#define SLOT_SIZE 64
#define IDS_MAX 1024 /* more than from the oldest packet in flight to the newest */

_Static_assert(IDS_MAX > 2 * RING_FRAMES * BURST_MAX, "ids in flight are told apart");

static struct ring_submit ring;
static int fds[RING_FDS];              /* the worker's */
static struct ring_worker_words *theirs; /* as the worker has them mapped: writable */
static uint32_t written;               /* bytes of records that the worker wrote */
static bool in_flight[IDS_MAX];
static uint32_t next_id;
static bool broken;

/* ---- the queue process ------------------------------------------------------------------------------------------ */

static struct ring_origin make_origin(uint32_t id)
{
    return (struct ring_origin){(uint16_t)(id >> 16), (uint16_t)id};
}

static uint32_t id_of(struct ring_origin origin)
{
    return (uint32_t)origin.burst << 16 | origin.entry;
}

static void fill(uint32_t count)
{
    static uint8_t bytes[SLOT_SIZE];
    const struct ring_flow flow = {.number = RING_NO_FLOW};

    ring_begin(&ring, count % 2 == 0 ? RING_ONE_BY_ONE : 0);
    PROMISE(ring_is_filling(&ring));
    for (uint32_t i = 0; i < count; i++) {
        const struct nfqe_packet packet = {.size = sizeof(packet),
                                           .data = bytes,
                                           .len = i % 4 == 0 ? SLOT_SIZE : i % (SLOT_SIZE - 2),
                                           .secctx = (const char *)bytes,
                                           .secctx_len = i % 2,
                                           .link_header = bytes,
                                           .link_header_len = (uint16_t)(i % 4 / 2)};

        PROMISE(ring_add(&ring, &packet, &no_conntrack, make_origin(next_id + i), &flow) == 0);
    }
    PROMISE(count < BURST_MAX ||
            ring_add(&ring, &(struct nfqe_packet){0}, &no_conntrack, make_origin(0), &flow) == -ENOSPC);
    PROMISE(ring.used <= ring.frame_size);
}

/* What was filled before, but not submitted, is begun again. */
static void submit(uint32_t count)
{
    if (!ring_has_room(&ring)) {
        return;
    }
    fill(count);
    ring_submit(&ring);
    for (uint32_t i = 0; i < count; i++) {
        PROMISE(!in_flight[next_id % IDS_MAX]);
        in_flight[next_id++ % IDS_MAX] = true;
    }
    PROMISE(ring_in_flight(&ring));
}

/* What the worker says that it has made is inside of its file, and not before the places for that. */
static void check_made(const struct ring_answered *answered)
{
    static uint8_t copy[COPY_RANGE_MAX];

    if (answered->made.len > 0) {
        PROMISE(ring.answers_size == RING_CHANGING_FILE_SIZE && answered->made.len <= sizeof(copy));
        PROMISE(answered->made.offset >= RING_CHANGES_OFFSET);
        PROMISE(answered->made.len <= ring.answers_size - answered->made.offset);
        PROMISE(ring_copy_made(&ring, answered, copy) == 0);
    }
}

static int take_one(void)
{
    const struct ring_answered untouched = {{1, 2}, 3, 4, false, {5, 6}, {7, 8, 9}};
    struct ring_answered answered = untouched;
    int code = ring_take(&ring, &answered);

    PROMISE(code == 1 || code == 0 || code == -EBADMSG);
    PROMISE(!broken || code == -EBADMSG);
    if (code == 1) {
        PROMISE(in_flight[id_of(answered.origin) % IDS_MAX]);
        in_flight[id_of(answered.origin) % IDS_MAX] = false;
        PROMISE(answered.plugin <= PLUGINS_MAX);
        check_made(&answered);
    } else {
        PROMISE(answered.answer == untouched.answer && id_of(answered.origin) == id_of(untouched.origin));
        PROMISE(answered.changes.mark_mask == untouched.changes.mark_mask);
        PROMISE(answered.made.len == untouched.made.len);
    }
    broken |= code < 0;
    return code;
}

static void take(unsigned limit)
{
    while (limit-- > 0 && take_one() > 0) {
    }
}

static void sleep_and_wake(void)
{
    struct pollfd answered = {.fd = ring.answered, .events = POLLIN};

    if (ring_sleep(&ring)) {
        PROMISE(!broken && (!ring.sealed || ring.ours->asleep == ring_asleep(ring.wakes)));
        broken |= ring_awake(&ring, poll(&answered, 1, 0) == 1) < 0;
    } else {
        atomic_store(&theirs->published, ring.taken); /* "there was none" */
        PROMISE(take_one() != 0);
    }
    PROMISE(broken || ring.ours->asleep == 0);
}

static void ask(void)
{
    char text[RING_TEXT_SIZE];

    ring_state(&ring);
    PROMISE(ring_plugin(&ring) <= PLUGINS_MAX);
    memset(text, 1, sizeof(text));
    ring_copy_text(&ring, text, sizeof(text));
    PROMISE(strnlen(text, sizeof(text)) < sizeof(text));
    for (const char *next = text; *next != '\0'; next++) {
        PROMISE(*next >= ' ' && *next <= '~');
    }
}

static void retire(void)
{
    const struct ring_flight *oldest = ring_oldest(&ring);

    if (oldest != NULL) {
        PROMISE(oldest->unanswered != 0);
        for (uint32_t i = 0; i < oldest->count; i++) {
            if ((oldest->unanswered & UINT64_C(1) << i) != 0) {
                in_flight[id_of(oldest->origins[i]) % IDS_MAX] = false;
            }
        }
    }
    ring_retire_oldest(&ring);
}

/* The ring's books are those that are kept here. */
static void check_books(void)
{
    uint32_t ours = 0;
    uint32_t its = 0;

    for (uint32_t i = 0; i < IDS_MAX; i++) {
        ours += in_flight[i];
    }
    for (uint32_t number = ring.retired; number != ring.submitted; number++) {
        const struct ring_flight *flight = &ring.flights[number % RING_FRAMES];

        PROMISE(flight->number == number && flight->count <= BURST_MAX);
        its += (uint32_t)__builtin_popcountll(flight->unanswered);
        for (uint32_t i = 0; i < flight->count; i++) {
            PROMISE((flight->unanswered & UINT64_C(1) << i) == 0 || in_flight[id_of(flight->origins[i]) % IDS_MAX]);
        }
    }
    PROMISE(ours == its && ring.submitted - ring.retired <= RING_FRAMES);
    PROMISE(ring_in_flight(&ring) == (ours != 0));
}

/* ---- the worker ------------------------------------------------------------------------------------------------- */

static void put_record(const struct ring_verdict *record)
{
    memcpy((char *)theirs + SHM_PAGE_SIZE + written % RING_ANSWERS_SIZE, record, sizeof(*record));
    written += (uint32_t)sizeof(*record);
    atomic_store(&theirs->published, written);
}

static void put_change(uint16_t frame, uint16_t packet)
{
    const struct ring_change change = {.head = {RING_CHANGE, sizeof(change), frame, packet},
                                       .changes = {packet, UINT32_MAX}};
    struct ring_verdict record;

    memcpy(&record, &change, sizeof(record));
    put_record(&record);
}

static void answer(unsigned limit)
{
    written = ring.taken;
    for (uint32_t number = ring.retired; number != ring.submitted; number++) {
        const struct ring_flight *flight = &ring.flights[number % RING_FRAMES];

        for (uint32_t i = 0; i < flight->count && limit > 0; i++) {
            if ((flight->unanswered & UINT64_C(1) << i) != 0) {
                if (i % 3 == 0) {
                    put_change((uint16_t)number, (uint16_t)i);
                }
                put_record(&(struct ring_verdict){
                    .head = {RING_VERDICT, sizeof(struct ring_verdict), (uint16_t)number, (uint16_t)i}, .answer = i});
                limit--;
            }
        }
    }
}

static void write_anywhere(struct input *input)
{
    uint8_t place[2];
    size_t offset;
    size_t len;

    input_bytes(input, place, sizeof(place));
    len = input_u8(input);
    offset = 2 * (size_t)(place[0] << 8 | place[1]) % RING_ANSWERS_FILE_SIZE;
    if (len > RING_ANSWERS_FILE_SIZE - offset) {
        len = RING_ANSWERS_FILE_SIZE - offset;
    }
    input_bytes(input, (char *)theirs + offset, len);
}

static void signal_many(uint64_t count)
{
    PROMISE(write(fds[RING_FD_ANSWERED], &count, sizeof(count)) == sizeof(count) || errno == EAGAIN || errno == EINVAL);
}

/* ---- moves ------------------------------------------------------------------------------------------------------- */

static void move_queue(enum ring_move move, struct input *input)
{
    switch (move) {
    case MOVE_SUBMIT:
        submit(1 + input_u8(input) % BURST_MAX);
        break;
    case MOVE_FILL:
        if (ring_has_room(&ring)) {
            fill(1 + input_u8(input) % BURST_MAX);
        }
        break;
    case MOVE_TAKE:
        take(input_u8(input));
        break;
    case MOVE_SLEEP:
        sleep_and_wake();
        break;
    case MOVE_RETIRE:
        retire();
        break;
    case MOVE_ASK:
        ask();
        break;
    default:
        ring_request_leave(&ring);
    }
}

static void move_worker(enum ring_move move, struct input *input)
{
    struct ring_verdict record;

    switch (move) {
    case MOVE_ANSWER:
        answer(input_u8(input));
        break;
    case MOVE_RECORD:
        input_bytes(input, &record, sizeof(record));
        put_record(&record);
        break;
    case MOVE_PUBLISH:
        atomic_store(&theirs->published, input_u32(input));
        break;
    case MOVE_WRITE:
        write_anywhere(input);
        break;
    case MOVE_GUARD:
        theirs->guard_before = theirs->guard_after = RING_GUARD;
        break;
    case MOVE_SEAL:
        shm_seal_writers(fds[RING_FD_ANSWERS]);
        break;
    case MOVE_RING:
        signal_many(input_u64(input));
        break;
    case MOVE_NOD:
        atomic_store(&theirs->asleep, input_u32(input));
        break;
    default:
        ring_submit_passed(&ring);
        fds[RING_FD_PACKETS] = -1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct input input = {data, len};
    void *memory;

    PROMISE((len % 2 != 0 ? ring_submit_new_changing(&ring, SLOT_SIZE) : ring_submit_new(&ring, SLOT_SIZE)) == 0);
    ring_worker_fds(&ring, fds);
    PROMISE(shm_map(ring.answers, RING_ANSWERS_FILE_SIZE, true, &memory) == 0);
    theirs = memory;
    written = 0;
    next_id = 0;
    broken = false;
    memset(in_flight, 0, sizeof(in_flight));
    while (input.len > 0) {
        enum ring_move move = input_u8(&input) % MOVES;

        if (move < MOVE_ANSWER) {
            move_queue(move, &input);
        } else {
            move_worker(move, &input);
        }
        check_books();
    }
    while (ring_in_flight(&ring)) {
        retire();
    }
    check_books();
    shm_unmap(memory, RING_ANSWERS_FILE_SIZE);
    ring_submit_done(&ring);
    return 0;
}
