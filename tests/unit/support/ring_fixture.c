/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two sides of a ring, and its packets.
 *
 * A packet of id n has n % 97 bytes, a security context of n % 5 and a link-layer header of n % 19, all derived from the
 * id. Its answer is its id, too.
 */
#include "ring_fixture.h"

#include "unit.h"

#include "base/fd.h"

#include <string.h>
#include <unistd.h>

static const struct nfqueue_conntrack no_conntrack;

static void attach(struct ring_fixture *fixture)
{
    int passed[RING_FDS];

    ring_worker_fds(&fixture->queue, passed);
    for (unsigned i = 0; i < RING_FDS; i++) {
        fixture->fds[i] = dup(passed[i]);
        passed[i] = dup(passed[i]);
        assert_true(fixture->fds[i] >= 0 && passed[i] >= 0);
    }
    ring_submit_passed(&fixture->queue);
    assert_int_equal(ring_answer_attach(&fixture->worker, passed), 0);
    assert_true(ring_is_sealed(&fixture->queue));
}

void ring_fixture_init(struct ring_fixture *fixture)
{
    assert_int_equal(ring_submit_new(&fixture->queue, RING_SLOT_SIZE), 0);
    attach(fixture);
}

void ring_fixture_init_changing(struct ring_fixture *fixture)
{
    assert_int_equal(ring_submit_new_changing(&fixture->queue, RING_SLOT_SIZE), 0);
    attach(fixture);
}

void ring_fixture_done(struct ring_fixture *fixture)
{
    ring_submit_done(&fixture->queue);
    ring_answer_done(&fixture->worker);
    for (unsigned i = 0; i < RING_FDS; i++) {
        close_fd(&fixture->fds[i]);
    }
}

int ring_set_up(void **state)
{
    static struct ring_fixture fixture;

    ring_fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

int ring_tear_down(void **state)
{
    ring_fixture_done(*state);
    return 0;
}

const struct nfqe_packet *ring_test_packet(uint32_t id)
{
    static uint8_t bytes[97];
    static char secctx[5];
    static uint8_t link_header[19];
    static struct nfqe_packet packet;

    memset(bytes, (int)(id & 0xff), sizeof(bytes));
    memset(secctx, (int)('a' + id % 26), sizeof(secctx));
    memset(link_header, (int)(~id & 0xff), sizeof(link_header));
    packet = (struct nfqe_packet){
        .size = sizeof(packet),
        .data = bytes,
        .len = id % sizeof(bytes),
        .id = id,
        .mark = ~id,
        .secctx_len = id % (uint32_t)sizeof(secctx),
        .secctx = secctx,
        .link_header_len = (uint16_t)(id % sizeof(link_header)),
        .link_header = link_header,
    };
    return &packet;
}

/* The part arrived, and is NULL if it has no bytes. */
static bool is_same(const void *part, size_t len, const void *expected, size_t expected_len)
{
    return len == expected_len && (len == 0 ? part == NULL : memcmp(part, expected, len) == 0);
}

bool ring_is_test_packet(const struct nfqe_packet *packet, uint32_t id)
{
    const struct nfqe_packet *expected = ring_test_packet(id);

    return packet->size == sizeof(*packet) && packet->id == id && packet->mark == ~id &&
           is_same(packet->data, packet->len, expected->data, expected->len) &&
           is_same(packet->secctx, packet->secctx_len, expected->secctx, expected->secctx_len) &&
           is_same(packet->link_header, packet->link_header_len, expected->link_header, expected->link_header_len);
}

void ring_submit_test_frame(struct ring_submit *ring, uint32_t first_id, uint32_t count)
{
    const struct ring_flow flow = {.number = RING_NO_FLOW};

    assert_true(ring_has_room(ring));
    ring_begin(ring, 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(ring_add(ring, ring_test_packet(first_id + i), &no_conntrack,
                                  (struct ring_origin){0, (uint16_t)(first_id + i)}, &flow),
                         0);
    }
    ring_submit(ring);
}

void ring_answer_test_frame(struct ring_answer *ring)
{
    const struct ring_frame *frame = ring_next_frame(ring);

    assert_non_null(frame);
    for (uint32_t i = 0; i < frame->count; i++) {
        struct nfqe_packet packet;
        struct ring_flow flow;

        ring_frame_packet(frame, i, &packet, &flow);
        assert_true(ring_is_test_packet(&packet, packet.id));
        if (packet.id % 3 == 0) { /* some answers have two records, so both begin at each place of the stream */
            ring_put_changes(ring, frame, i, &(struct packet_changes){packet.id, UINT32_MAX});
        }
        ring_put(ring, frame, i, packet.id, i % PLUGINS_MAX);
        ring_publish(ring);
    }
    ring_frame_handled(ring);
}

void ring_assert_answered(struct ring_submit *ring, uint32_t id, bool last)
{
    struct ring_answered answered;

    assert_int_equal(ring_take(ring, &answered), 1);
    assert_int_equal(answered.origin.entry, (uint16_t)id);
    assert_int_equal(answered.answer, id);
    assert_int_equal(answered.last, last);
    if (answered.changes.mark_mask != 0) {
        assert_int_equal(answered.changes.mark_bits, id);
    }
}
