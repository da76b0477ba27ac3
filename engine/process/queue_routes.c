/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Routing.
 *
 * Packets are routed in the order in which they came. Those of a flow all have the same worker. A packet of a decided
 * flow is decided here, unless an earlier one of the flow is with a worker or waits for one.
 *
 * Some packets have a verdict before they are routed: their messages were cut, or a predecessor of this process decided
 * them. These wait until the earlier packets of their flow are decided, and only then have their effect on the flow.
 * Process: [queue process].
 */
#include "process/queue_routes.h"

/* ---- verdicts that were there from the first ------------------------------------------------------------ */

/* Whether one of the packets, a mask, is of the same flow as the one that was looked up, or neither has a flow. */
static bool any_of_flow(const struct queue_flight *flight, uint64_t packets, const struct flow_lookup *lookup)
{
    for (; packets != 0; packets &= packets - 1) {
        const struct flow_lookup *other = &flight->flows.lookups[__builtin_ctzll(packets)];

        if (lookup->has_flow ? flow_lookup_same(lookup, other) : !other->has_flow) {
            return true;
        }
    }
    return false;
}

/* Whether an earlier packet of the flow has no verdict. place: of the packet's burst in the order. */
static bool must_wait(const struct queue_loop *loop, unsigned place, unsigned packet)
{
    const struct flow_lookup *lookup = &loop->flights[loop->order[place]].flows.lookups[packet];

    for (unsigned i = 0; i <= place; i++) {
        const struct queue_flight *flight = &loop->flights[loop->order[i]];
        uint64_t earlier = flight->undecided & (i < place ? UINT64_MAX : QUEUE_BIT(packet) - 1);

        if (queue_routes_by_flow(loop) ? any_of_flow(flight, earlier, lookup) : earlier != 0) {
            return true;
        }
    }
    return false;
}

static void release_in_burst(struct queue_loop *loop, unsigned place, uint64_t packets)
{
    unsigned index = loop->order[place];
    struct queue_flight *flight = &loop->flights[index];
    const struct decide decide = queue_routes_decide(loop, index);

    for (uint64_t left = flight->waiting & packets; left != 0; left &= left - 1) {
        unsigned packet = (unsigned)__builtin_ctzll(left);

        if (!must_wait(loop, place, packet)) {
            decide_again(&decide, packet);
            flight->waiting &= ~QUEUE_BIT(packet);
            flight->unsent |= QUEUE_BIT(packet);
            loop->waiting--;
        }
    }
}

void queue_loop_release(struct queue_loop *loop)
{
    for (unsigned i = 0; i < loop->order_count && loop->waiting > 0; i++) {
        release_in_burst(loop, i, UINT64_MAX);
    }
}

/* ---- routing ----------------------------------------------------------------------------------------- */

/* The place whose worker has, or would get, the packets of this flow. */
static unsigned place_of(const struct queue_loop *loop, const struct queue_flight *flight, unsigned packet)
{
    return queue_workers_place(&loop->workers, queue_routes_by_flow(loop) ? flight->flows.lookups[packet].hash : 0);
}

/* No plugin can be asked for now: there is no worker, and it has been so for too long. */
static void decide_in_outage(struct queue_loop *loop, unsigned index, unsigned packet)
{
    const struct decide decide = queue_routes_decide(loop, index);

    decide_alone(&decide, packet, loop->on_outage, 0);
    queue_routes_leave_flow(loop, &loop->flights[index], packet);
    loop->flights[index].undecided &= ~QUEUE_BIT(packet);
    loop->flights[index].unsent |= QUEUE_BIT(packet);
}

/* Whether the worker gets one packet at a time. */
static bool is_alone(const struct queue_loop *loop, const struct queue_worker *worker)
{
    return (loop->alone_places & 1U << worker->place) != 0;
}

static void give(struct queue_loop *loop, struct queue_worker *worker, unsigned index, unsigned packet,
                 const struct ring_flow *flow, uint64_t now_ns)
{
    struct queue_flight *flight = &loop->flights[index];
    struct ring_submit *ring = &worker->ring;

    if (!ring_is_filling(ring)) {
        if (!ring_in_flight(ring)) {
            worker->since_ns = now_ns;
        }
        ring_begin(ring, flight->one_by_one || is_alone(loop, worker) ? RING_ONE_BY_ONE : 0);
    }
    if (ring_add(ring, &flight->packets[packet], &flight->conntracks[packet],
                 (struct ring_origin){(uint16_t)index, (uint16_t)packet}, flow) == 0) {
        flight->submitted |= QUEUE_BIT(packet);
    }
}

/* Whether the flow table decides the packet now: not before the packets of its flow that came earlier. */
static bool route_by_flow(struct queue_loop *loop, unsigned index, unsigned packet)
{
    struct queue_flight *flight = &loop->flights[index];
    const struct decide decide = queue_routes_decide(loop, index);

    if (flow_in_flight_find(&loop->in_flight, &flight->flows.lookups[packet]) != FLOW_IN_FLIGHT_NONE ||
        !decide_by_flow(&decide, packet)) {
        return false;
    }
    flight->undecided &= ~QUEUE_BIT(packet);
    flight->unsent |= QUEUE_BIT(packet);
    return true;
}

/* From here until it is decided, later packets of its flow come after it. */
static struct ring_flow enter_flow(struct queue_loop *loop, unsigned index, unsigned packet)
{
    struct queue_flight *flight = &loop->flights[index];
    const struct flow_lookup *lookup = &flight->flows.lookups[packet];
    uint32_t number = flow_in_flight_acquire(&loop->in_flight, lookup);

    flight->flow_numbers[packet] = number;
    if (number == FLOW_IN_FLIGHT_NONE) {
        return (struct ring_flow){.number = RING_NO_FLOW};
    }
    return (struct ring_flow){.number = number,
                              .epoch = flow_in_flight_epoch(&loop->in_flight, number),
                              .begins = lookup->traits.begins,
                              .alone = lookup->traits.alone,
                              .accepted = (lookup->traits.alone || flow_burst_has_begun(&flight->flows, packet)) &&
                                          flow_table_is_accepted(loop->flows, lookup)};
}

void queue_routes_leave_flow(struct queue_loop *loop, struct queue_flight *flight, unsigned packet)
{
    if (flight->flow_numbers[packet] != FLOW_IN_FLIGHT_NONE) {
        flow_in_flight_release(&loop->in_flight, flight->flow_numbers[packet]);
        flight->flow_numbers[packet] = FLOW_IN_FLIGHT_NONE;
    }
}

/* Whether the worker has a packet, and gets no other one until that is answered. */
static bool is_busy_alone(const struct queue_loop *loop, const struct queue_worker *worker)
{
    return is_alone(loop, worker) && (ring_is_filling(&worker->ring) || ring_in_flight(&worker->ring));
}

/* Decides the packet by its flow, or gives it to a worker, or leaves it without one. */
static void route(struct queue_loop *loop, unsigned index, unsigned packet, uint64_t now_ns)
{
    unsigned place = place_of(loop, &loop->flights[index], packet);
    struct queue_worker *worker = loop->workers.places[place];
    struct ring_flow flow = {.number = RING_NO_FLOW};

    if (loop->flows != NULL) {
        if (route_by_flow(loop, index, packet)) {
            return;
        }
        flow = enter_flow(loop, index, packet);
    }
    if (worker != NULL && (worker->retired || is_busy_alone(loop, worker))) {
        return; /* it has its turn later, perhaps with the next one at the place: so the flow's order is kept */
    }
    if (worker != NULL) {
        give(loop, worker, index, packet, &flow, now_ns);
    } else if ((loop->outage & 1U << place) != 0) {
        decide_in_outage(loop, index, packet);
    }
}

/*
 * A frame holds packets of one burst alone, so that all of a frame is handled in the same way. A worker that sleeps is
 * woken for its second frame, so that it has work for a while; for the first one only if there is nothing more to
 * receive, before this process waits.
 */
void queue_routes_burst(struct queue_loop *loop, unsigned burst, uint64_t now_ns)
{
    unsigned index = loop->order[burst];
    struct queue_flight *flight = &loop->flights[index];

    for (uint64_t left = (flight->undecided & ~flight->submitted) | flight->waiting; left != 0; left &= left - 1) {
        unsigned packet = (unsigned)__builtin_ctzll(left);

        if ((flight->waiting & QUEUE_BIT(packet)) != 0) {
            release_in_burst(loop, burst, QUEUE_BIT(packet));
        } else {
            route(loop, index, packet, now_ns);
        }
    }
    for (unsigned place = 0; place < loop->workers.place_count; place++) {
        struct queue_worker *worker = loop->workers.places[place];

        if (worker != NULL && ring_is_filling(&worker->ring)) {
            bool more = ring_in_flight(&worker->ring);

            ring_submit_quietly(&worker->ring);
            if (more) {
                ring_wake(&worker->ring);
            }
        }
    }
}

/* Packets without a worker are routed again: the first of a flow must not find the later ones in its way. */
static void leave_flows(struct queue_loop *loop)
{
    for (unsigned i = 0; i < loop->order_count; i++) {
        struct queue_flight *flight = &loop->flights[loop->order[i]];

        for (uint64_t left = flight->undecided & ~flight->submitted; left != 0; left &= left - 1) {
            queue_routes_leave_flow(loop, flight, (unsigned)__builtin_ctzll(left));
        }
    }
}

/* Not while its worker has a packet alone: the ring has room for as many frames as there are bursts. */
static void end_alone(struct queue_loop *loop)
{
    unsigned undecided = 0;

    for (unsigned i = 0; i < loop->order_count; i++) {
        undecided |= loop->flights[loop->order[i]].undecided != 0 ? 1U << loop->order[i] : 0;
    }
    for (unsigned place = 0; place < loop->workers.place_count; place++) {
        const struct queue_worker *worker = loop->workers.places[place];

        loop->alone[place] &= undecided;
        if (loop->alone[place] == 0 && (worker == NULL || !ring_in_flight(&worker->ring))) {
            loop->alone_places &= ~(1U << place);
        }
    }
}

void queue_loop_submit(struct queue_loop *loop, uint64_t now_ns)
{
    if (loop->alone_places != 0) {
        end_alone(loop);
    }
    leave_flows(loop);
    for (unsigned i = 0; i < loop->order_count; i++) {
        queue_routes_burst(loop, i, now_ns);
    }
}
