/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When an outage begins, and when it ends.
 *
 * Time is counted by looks, each of which counts for a bounded step: if this process or the machine stood still, no
 * place has had a chance to get its worker meanwhile. Process: [queue process].
 */
#include "process/queue_outage.h"

#include "base/arith.h"
#include "base/clock.h"

_Static_assert(WORKERS_MAX <= 32, "a word has a bit for each place");

void queue_outage_init(struct queue_outage *outage, struct queue_loop *loop, const struct queue_tell *tell,
                       uint64_t timeout_ms)
{
    *outage = (struct queue_outage){.loop = loop, .tell = tell, .timeout_ns = timeout_ms * NS_PER_MS};
}

void queue_outage_begin(struct queue_outage *outage)
{
    struct queue_workers *workers = &outage->loop->workers;
    uint32_t before = atomic_load_explicit(&outage->tell->control->outage, memory_order_relaxed);

    workers->held = atomic_load_explicit(&outage->tell->control->give_up, memory_order_acquire) != 0;
    queue_workers_fill(workers);
    for (unsigned place = 0; place < workers->place_count; place++) {
        if (workers->places[place] == NULL) {
            outage->loop->outage |= before & 1U << place;
        }
    }
}

/* Returns whether it is on the way to an outage. */
static bool look_at_place(struct queue_outage *outage, unsigned place, bool given_up, uint64_t step_ns)
{
    const unsigned bit = 1U << place;

    if (outage->loop->workers.places[place] != NULL) {
        outage->empty_ns[place] = 0;
        outage->loop->outage &= ~bit;
        return false;
    }
    outage->empty_ns[place] = min_u64(outage->empty_ns[place] + step_ns, outage->timeout_ns);
    if (given_up || outage->empty_ns[place] == outage->timeout_ns) {
        outage->loop->outage |= bit;
    }
    return (outage->loop->outage & bit) == 0;
}

bool queue_outage_look(struct queue_outage *outage, uint64_t step_ns, uint64_t now_ns)
{
    struct queue_loop *loop = outage->loop;
    const unsigned before = loop->outage;
    bool given_up = atomic_load_explicit(&outage->tell->control->give_up, memory_order_acquire) != 0;
    bool filled;
    bool soon = false;

    loop->workers.held = given_up;
    filled = queue_workers_fill(&loop->workers);
    for (unsigned place = 0; place < loop->workers.place_count; place++) {
        soon |= look_at_place(outage, place, given_up, step_ns);
    }
    if (filled || (loop->outage & ~before) != 0) {
        queue_loop_submit(loop, now_ns);
    }
    queue_tell_word(outage->tell, &outage->tell->control->outage, loop->outage);
    return soon;
}
