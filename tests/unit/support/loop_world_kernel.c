/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel of loop_world.h: what a receive finds, and what a verdict has to be.
 */
#include "loop_world.h"

#include "flow_image.h"
#include "kernel_messages.h"
#include "queue/nfqueue_sequence.h"
#include "queue/nfqueue_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>

/* ---- the kernel: receiving ------------------------------------------------------------------------------------- */

static struct flow_packet make_packet(uint32_t number)
{
    const struct world_packet *packet = &world.packets[number];
    struct flow_packet bytes;

    flow_packet_make(&bytes, packet->flow, number % 2 != 0, packet->begins ? NFQE_TCP_SYN : NFQE_TCP_ACK);
    if (packet->flow == 0) {
        bytes.bytes[9] = 47; /* GRE */
    } else if (packet->fragment) {
        bytes.bytes[6] = 0x20; /* more fragments */
    }
    return bytes;
}

static void make_message(struct message *message, uint32_t number)
{
    static const uint8_t large[2 * WORLD_SLOT];
    const struct world_packet *packet = &world.packets[number];
    const uint32_t mark = htonl(WORLD_MARK | (packet->marked ? WORLD_BYPASS_BITS : 0));
    const struct flow_packet bytes = make_packet(number);

    message_begin(message);
    message_put_id(message, world_id_base + number);
    message_put(message, NFQA_MARK, &mark, sizeof(mark));
    if (packet->cut) {
        uint8_t cut[sizeof(large)] = {0};

        memcpy(cut, bytes.bytes, sizeof(bytes.bytes));
        message_put(message, NFQA_PAYLOAD, cut, sizeof(cut));
    } else {
        message_put(message, NFQA_PAYLOAD, bytes.bytes, sizeof(bytes.bytes));
    }
}

static void put(struct burst *burst, unsigned index, const struct message *message)
{
    struct msghdr *header = &burst->messages[index].msg_hdr;
    bool fits = message->len <= WORLD_SLOT;

    memcpy(header->msg_iov->iov_base, message->bytes, fits ? message->len : WORLD_SLOT);
    header->msg_flags = fits ? 0 : MSG_TRUNC;
    burst->messages[index].msg_len = (unsigned)(fits ? message->len : WORLD_SLOT);
}

int __wrap_nfqueue_receive(int fd, struct burst *burst);
int __wrap_nfqueue_send(int fd, const void *data, size_t len);

int __wrap_nfqueue_receive(int fd, struct burst *burst)
{
    struct message message;
    unsigned count = 0;

    (void)fd;
    world_queue_step();
    if (world.noise > 0) {
        world.noise--;
        message_begin(&message);
        message_answer(&message, -ENOENT, NFQUEUE_SEQUENCE_RESENT);
        put(burst, 0, &message);
        return 1;
    }
    for (; count < world.receive_max && world.next <= world.queued; count++) {
        struct world_packet *packet = &world.packets[world.next++];

        make_message(&message, world.next - 1);
        packet->lost = true;
        world_queue_step(); /* killed here, the message is gone */
        packet->lost = false;
        packet->received = true;
        put(burst, count, &message);
        world_queue_step();
    }
    return count > 0 ? (int)count : -EAGAIN;
}

/* ---- the kernel: verdicts ---------------------------------------------------------------------------------------- */

struct said {
    uint32_t verdict;
    bool marked;
    uint32_t mark;
    const uint8_t *payload; /* NULL: as it was received */
    uint32_t payload_len;
};

static uint32_t flag_free(uint32_t answer)
{
    return answer & ~NFQE_FLOW;
}

/* What the packet alone gets. */
static uint32_t alone(const struct world_packet *packet, bool *for_flow)
{
    bool keyed = packet->flow != 0 && world.generation.plan.flows != 0;

    *for_flow = false;
    if (packet->lost || packet->cut || packet->guilty) {
        return world.group.on_crash;
    }
    if (packet->outage) {
        return world.loop.on_outage;
    }
    switch (packet->answer) {
    case NFQE_CONTINUE:
        return world.group.default_verdict;
    case NFQE_ACCEPT:
    case NFQE_DROP:
        return packet->answer;
    case ACCEPT_FLOW:
    case DROP_FLOW:
        if (world.generation.plan.flows == 0) {
            return world.group.on_crash;
        }
        *for_flow = keyed && !packet->fragment;
        return flag_free(packet->answer);
    default:
        return world.group.on_crash;
    }
}

/* Follows the rules for the packet, the next one of its flow. */
static struct said expect(struct world_packet *packet)
{
    uint32_t *state = &world.flow_state[packet->flow];
    struct said said = {0};
    bool for_flow;

    said.verdict = alone(packet, &for_flow);
    packet->by_flow = false;
    if (*state != 0 && !packet->lost && !packet->cut && !packet->guilty &&
        !(*state == NFQE_ACCEPT && (packet->begins || packet->fragment))) {
        said.verdict = *state;
        packet->by_flow = true;
    } else if (for_flow) {
        *state = said.verdict;
    } else if (packet->begins && said.verdict == NFQE_ACCEPT && *state == NFQE_ACCEPT && !packet->lost) {
        *state = 0;
    }
    if (said.verdict == NFQE_ACCEPT && !packet->lost) {
        bool bypass = packet->by_flow || for_flow;

        said.marked = bypass || packet->marked;
        said.mark = bypass ? WORLD_MARK | WORLD_BYPASS_BITS : WORLD_MARK;
    }
    return said;
}

/* A packet has the bytes that the plugin gave it, if its own answer lets it go on; else those that it had. */
static void assert_payload(uint32_t number, const struct said *said)
{
    const struct world_packet *packet = &world.packets[number];
    const struct flow_packet received = make_packet(number);
    uint32_t added = world_added(number);
    uint32_t len = sizeof(received.bytes) + added;
    bool invalid =
        packet->answer > NFQE_DROP && (flag_free(packet->answer) > NFQE_DROP || world.generation.plan.flows == 0);

    if (!packet->changes || packet->fragment || said->verdict == NFQE_DROP || packet->by_flow || packet->guilty ||
        packet->outage || packet->lost || packet->cut || invalid) {
        assert_null(said->payload);
        return;
    }
    if (said->payload == NULL && (packet->answer & NFQE_FLOW) != 0) {
        return; /* a process died when the flow was decided and the packet was not, so it went on by its flow */
    }
    assert_int_equal(said->payload_len, len);
    assert_int_equal(said->payload[3], len);
    assert_memory_equal(said->payload + 12, received.bytes + 12, 4 + 4 + 8);
    for (uint32_t i = 0; i < added; i++) {
        assert_int_equal(said->payload[sizeof(received.bytes) + i], number & 0xff);
    }
}

const struct burst_entry *world_entry_of(uint32_t id)
{
    const struct journal *journal = world.engine.queues[0].shm.journal;

    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        for (unsigned place = 0; place < journal->bursts[i].packets; place++) {
            if (journal->bursts[i].entries[place].id == id) {
                return &journal->bursts[i].entries[place];
            }
        }
    }
    return NULL;
}

void world_expect_unread(void)
{
    const struct journal *journal = world.engine.queues[0].shm.journal;
    const struct outstanding *outstanding = &journal_totals(journal)->outstanding;

    for (uint32_t i = 1; i < world.next; i++) {
        struct world_packet *packet = &world.packets[i];

        if (outstanding_has(outstanding, world_id_base + i) && world_entry_of(world_id_base + i) != NULL) {
            packet->guilty = true;
        } else if (packet->received && packet->verdict == 0) {
            packet->lost = true;
        }
    }
}

static void assert_first_of_flow(uint32_t number)
{
    for (uint32_t i = number - 1; i > 0; i--) {
        if (world.packets[i].flow == world.packets[number].flow && world.packets[i].verdict == 0) {
            fail_msg("packet %u overtakes packet %u of its flow", number, i);
        }
    }
}

static void answer(uint32_t number, const struct said *said, bool batch)
{
    struct world_packet *packet = &world.packets[number];
    const struct burst_entry *entry = world_entry_of(world_id_base + number);
    struct said expected;

    if (packet->lost) {
        assert_false(batch);
        assert_null(entry);
    } else {
        assert_true(packet->received);
        assert_non_null(entry);
        assert_true((burst_entry_flags(entry) & BURST_DECIDED) != 0);
        assert_int_equal(entry->verdict, said->verdict);
        assert_first_of_flow(number);
    }
    expected = expect(packet);
    if (expected.verdict != said->verdict || expected.marked != said->marked ||
        (said->marked && expected.mark != said->mark)) {
        fail_msg("packet %u: verdict 0x%x, mark %d 0x%x; expected 0x%x, %d 0x%x", number, said->verdict, said->marked,
                 said->mark, expected.verdict, expected.marked, expected.mark);
    }
    assert_payload(number, said);
    packet->verdict = said->verdict;
    packet->by_batch = batch;
    packet->order = world.messages;
}

static void take_verdict(uint32_t number, const struct said *said, const struct nlmsghdr *message)
{
    bool batch = (message->nlmsg_type & 0xff) == NFQNL_MSG_VERDICT_BATCH;
    unsigned answered = 0;

    assert_in_range(number, 1, world.next - 1);
    world.batches += batch;
    for (uint32_t i = batch ? 1 : number; i <= number; i++) {
        if (world.packets[i].verdict == 0) {
            answer(i, said, batch);
            answered++;
        }
    }
    if (answered == 0) {
        assert_true((message->nlmsg_seq & NFQUEUE_SEQUENCE_RESENT) != 0);
        world.late++;
    }
}

int __wrap_nfqueue_send(int fd, const void *data, size_t len)
{
    const struct nlmsghdr *message = data;
    int left = (int)len;

    (void)fd;
    world_queue_step();
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        const struct nfqnl_msg_verdict_hdr *verdict = NULL;
        struct said said = {0};
        struct nlattr *attribute; /* mnl_attr_for_each() casts const away */

        world.messages++;
        mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
        {
            if (mnl_attr_get_type(attribute) == NFQA_VERDICT_HDR) {
                verdict = mnl_attr_get_payload(attribute);
            } else if (mnl_attr_get_type(attribute) == NFQA_MARK) {
                said.mark = ntohl(mnl_attr_get_u32(attribute));
                said.marked = true;
            } else if (mnl_attr_get_type(attribute) == NFQA_PAYLOAD) {
                said.payload = mnl_attr_get_payload(attribute);
                said.payload_len = mnl_attr_get_payload_len(attribute);
            }
        }
        assert_non_null(verdict);
        said.verdict = ntohl(verdict->verdict) == NF_ACCEPT ? NFQE_ACCEPT : NFQE_DROP;
        take_verdict(ntohl(verdict->id) - world_id_base, &said, message);
        world_queue_step();
    }
    assert_int_equal(left, 0);
    return 0;
}
