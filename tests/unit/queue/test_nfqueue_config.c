/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration requests as they go to the kernel, and the size of a receive slot.
 *
 * nfqueue_send() is replaced at link time by one that records the message and, where the test says so, leaves the
 * kernel's answer in the socket before it returns, as the kernel does.
 */
#include "base/limits.h"
#include "config/queue_settings.h"
#include "kernel_messages.h"
#include "queue/nfqueue_config.h"
#include "queue/nfqueue_sequence.h"
#include "queue/nfqueue_socket.h"
#include "queue/queue_shm.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE 4711

static char sent[1024] __attribute__((aligned(NLMSG_ALIGNTO)));
static size_t sent_len;
static unsigned sends;
static int send_code;
static int ends[2];     /* the engine's end of the socket, and the kernel's */
static bool has_answer; /* the kernel answers the request, with: */
static int answer;

#define SOCKET ends[0]

int __wrap_nfqueue_send(int fd, const void *data, size_t len);

int __wrap_nfqueue_send(int fd, const void *data, size_t len)
{
    assert_int_equal(fd, SOCKET);
    assert_true(len <= sizeof(sent));
    memcpy(sent, data, len);
    sent_len = len;
    sends++;
    if (has_answer) {
        struct {
            struct nlmsghdr header;
            struct nlmsgerr error;
        } reply = {.header.nlmsg_len = sizeof(reply),
                   .header.nlmsg_type = NLMSG_ERROR,
                   .header.nlmsg_seq = ((const struct nlmsghdr *)data)->nlmsg_seq, /* as netlink_ack() does */
                   .error.error = answer};

        assert_int_equal(send(ends[1], &reply, sizeof(reply), 0), sizeof(reply));
    }
    return send_code;
}

/* The value of an attribute in host byte order. Returns whether the message has it. */
static bool find_u32(const struct nlmsghdr *message, uint16_t type, uint32_t *value)
{
    struct nlattr *attribute; /* mnl_attr_for_each() casts const away */

    mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
    {
        if (mnl_attr_get_type(attribute) == type) {
            *value = ntohl(mnl_attr_get_u32(attribute));
            return true;
        }
    }
    return false;
}

static void assert_is_for_the_queue(const struct nlmsghdr *message)
{
    const struct nfgenmsg *family = mnl_nlmsg_get_payload(message);

    assert_int_equal(message->nlmsg_type, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG);
    assert_int_equal(ntohs(family->res_id), QUEUE);
    assert_int_equal(message->nlmsg_seq, NFQUEUE_SEQUENCE_CONFIGURATION);
}

static int set_up(void **state)
{
    (void)state;
    sends = 0;
    send_code = 0;
    has_answer = false;
    return socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
}

static int tear_down(void **state)
{
    (void)state;
    close(ends[0]);
    return close(ends[1]);
}

static void assert_socket_is_empty(void)
{
    char byte;

    assert_int_equal(recv(SOCKET, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

/* The one message that was sent. */
static const struct nlmsghdr *the_message(void)
{
    const struct nlmsghdr *message = (const void *)sent;

    assert_int_equal(sends, 1);
    assert_true(mnl_nlmsg_ok(message, (int)sent_len));
    assert_int_equal(message->nlmsg_len, sent_len);
    assert_is_for_the_queue(message);
    assert_int_equal(message->nlmsg_flags & NLM_F_ACK, 0); /* an acknowledgement would lie among the packets */
    return message;
}

static const void *find(const struct nlmsghdr *message, uint16_t type, size_t len)
{
    struct nlattr *attribute;

    mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
    {
        if (mnl_attr_get_type(attribute) == type) {
            assert_true(mnl_attr_get_payload_len(attribute) >= len);
            return mnl_attr_get_payload(attribute);
        }
    }
    return NULL;
}

static void assert_command(const struct nlmsghdr *message, uint8_t command)
{
    const struct nfqnl_msg_config_cmd *found = find(message, NFQA_CFG_CMD, sizeof(*found));

    assert_non_null(found);
    assert_int_equal(found->command, command);
}

static void test_bind_sets_everything_in_one_message(void **state)
{
    const struct queue_settings settings = {
        .copy_packet = true, .copy_range = 300, .max_len = 5000, .flags = QUEUE_GSO | QUEUE_FAIL_OPEN};
    const struct nlmsghdr *message;
    const struct nfqnl_msg_config_params *parameters;
    uint32_t value;

    (void)state;
    assert_int_equal(nfqueue_bind(SOCKET, QUEUE, &settings), 0);
    message = the_message();
    assert_command(message, NFQNL_CFG_CMD_BIND);
    parameters = find(message, NFQA_CFG_PARAMS, 5);
    assert_non_null(parameters);
    assert_int_equal(parameters->copy_mode, NFQNL_COPY_PACKET);
    assert_int_equal(ntohl(parameters->copy_range), 300);
    assert_true(find_u32(message, NFQA_CFG_QUEUE_MAXLEN, &value));
    assert_int_equal(value, 5000);
    assert_true(find_u32(message, NFQA_CFG_FLAGS, &value));
    assert_int_equal(value, QUEUE_GSO | QUEUE_FAIL_OPEN);
    assert_true(find_u32(message, NFQA_CFG_MASK, &value)); /* an old kernel refuses flags that it does not know */
    assert_int_equal(value, QUEUE_GSO | QUEUE_FAIL_OPEN);
}

static void test_bind_without_packets_asks_for_metadata(void **state)
{
    const struct queue_settings settings = {.copy_packet = false, .copy_range = 0, .max_len = 1};
    const struct nfqnl_msg_config_params *parameters;

    (void)state;
    assert_int_equal(nfqueue_bind(SOCKET, QUEUE, &settings), 0);
    parameters = find(the_message(), NFQA_CFG_PARAMS, 5);
    assert_non_null(parameters);
    assert_int_equal(parameters->copy_mode, NFQNL_COPY_META);
}

static void test_refusal_of_the_kernel_is_returned_and_taken_from_the_socket(void **state)
{
    static const int refusals[] = {-EPERM, -EBUSY, -EOPNOTSUPP, -ENODEV};
    const struct queue_settings settings = {.copy_packet = true, .copy_range = 300, .max_len = 1};

    (void)state;
    has_answer = true;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        answer = refusals[i];
        assert_int_equal(nfqueue_bind(SOCKET, QUEUE, &settings), refusals[i]);
        assert_socket_is_empty();
        assert_int_equal(nfqueue_unbind(SOCKET, QUEUE), refusals[i]);
        assert_socket_is_empty();
    }
}

static void test_send_that_fails_is_returned(void **state)
{
    const struct queue_settings settings = {.max_len = 1};

    (void)state;
    send_code = -EBADF;
    assert_int_equal(nfqueue_bind(SOCKET, QUEUE, &settings), -EBADF);
    assert_int_equal(nfqueue_unbind(SOCKET, QUEUE), -EBADF);
}

/* A queue that is bound already may have packets in its socket: they are the worker's. */
static void test_request_leaves_a_packet_where_it_is(void **state)
{
    struct {
        struct nlmsghdr header;
        char bytes[64];
    } packet = {.header.nlmsg_len = sizeof(packet), .header.nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET};
    char found[sizeof(packet)];

    (void)state;
    assert_int_equal(send(ends[1], &packet, sizeof(packet), 0), sizeof(packet));
    assert_int_equal(nfqueue_unbind(SOCKET, QUEUE), 0);
    assert_command(the_message(), NFQNL_CFG_CMD_UNBIND);
    assert_int_equal(recv(SOCKET, found, sizeof(found), MSG_DONTWAIT), sizeof(packet));
    assert_memory_equal(found, &packet, sizeof(packet));
}

/* What the kernel says of a verdict is the worker's, too. */
static void test_request_leaves_the_answer_to_a_verdict_where_it_is(void **state)
{
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
    } stale = {.header.nlmsg_len = sizeof(stale),
               .header.nlmsg_type = NLMSG_ERROR,
               .header.nlmsg_seq = NFQUEUE_SEQUENCE_RESENT | 5,
               .error.error = -ENOENT};
    char found[sizeof(stale)];

    (void)state;
    assert_int_equal(send(ends[1], &stale, sizeof(stale), 0), sizeof(stale));
    assert_int_equal(nfqueue_unbind(SOCKET, QUEUE), 0);
    assert_int_equal(recv(SOCKET, found, sizeof(found), MSG_DONTWAIT), sizeof(stale));
    assert_memory_equal(found, &stale, sizeof(stale));
}

static void test_flag_is_unknown_only_if_the_kernel_says_so(void **state)
{
    const struct nlmsghdr *message;
    uint32_t value;

    (void)state;
    has_answer = true;
    answer = -ENODEV; /* what a kernel says that knows the flag: the queue is not bound */
    assert_int_equal(nfqueue_probe_flag(SOCKET, QUEUE, QUEUE_SECCTX), 0);
    message = the_message();
    assert_true(find_u32(message, NFQA_CFG_FLAGS, &value));
    assert_int_equal(value, QUEUE_SECCTX);
    assert_true(find_u32(message, NFQA_CFG_MASK, &value));
    assert_int_equal(value, QUEUE_SECCTX);
    assert_null(find(message, NFQA_CFG_CMD, 0)); /* asking changes nothing */
    answer = -EOPNOTSUPP;
    assert_int_equal(nfqueue_probe_flag(SOCKET, QUEUE, QUEUE_SECCTX), -EOPNOTSUPP);
    answer = -EPERM; /* another socket owns the queue */
    assert_int_equal(nfqueue_probe_flag(SOCKET, QUEUE, 0), -EPERM);
    assert_socket_is_empty();
    has_answer = false;
    assert_int_equal(nfqueue_probe_flag(SOCKET, QUEUE, QUEUE_SECCTX), 0);
}

/* A packet that comes between the two settings must not get the verdict that the flag had before. */
static void assert_flag_is_set_before_the_length(bool accept)
{
    const struct nlmsghdr *message = (const void *)sent;
    uint32_t flags = 0;
    uint32_t mask = 0;
    uint32_t length = UINT32_MAX;
    int left;

    assert_int_equal(nfqueue_stop_queueing(SOCKET, QUEUE, accept), send_code);
    assert_int_equal(sends, 1);
    left = (int)sent_len;
    assert_true(mnl_nlmsg_ok(message, left));
    assert_is_for_the_queue(message);
    assert_true(find_u32(message, NFQA_CFG_FLAGS, &flags) && find_u32(message, NFQA_CFG_MASK, &mask));
    assert_int_equal(mask, QUEUE_FAIL_OPEN);
    assert_int_equal(flags, accept ? QUEUE_FAIL_OPEN : 0);
    assert_false(find_u32(message, NFQA_CFG_QUEUE_MAXLEN, &length));

    message = mnl_nlmsg_next(message, &left);
    assert_true(mnl_nlmsg_ok(message, left));
    assert_is_for_the_queue(message);
    assert_true(find_u32(message, NFQA_CFG_QUEUE_MAXLEN, &length));
    assert_int_equal(length, 0);
    assert_false(find_u32(message, NFQA_CFG_FLAGS, &flags));

    mnl_nlmsg_next(message, &left);
    assert_int_equal(left, 0);
}

static void test_a_stop_that_accepts_sets_fail_open_before_the_length(void **state)
{
    (void)state;
    assert_flag_is_set_before_the_length(true);
}

static void test_a_stop_that_drops_clears_fail_open_before_the_length(void **state)
{
    (void)state;
    assert_flag_is_set_before_the_length(false);
}

static void test_a_stop_reports_what_the_send_said(void **state)
{
    (void)state;
    send_code = -ENOBUFS;
    assert_flag_is_set_before_the_length(true);
}

static void test_slot_holds_the_largest_message_of_its_copy_range(void **state)
{
    static const uint32_t ranges[] = {0, 1, 63, 64, 65, 128, 1500, 65530, COPY_RANGE_MAX};
    static struct message overhead;

    (void)state;
    message_all(&overhead, NFQA_PAYLOAD);
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        const struct queue_settings settings = {.copy_packet = true, .copy_range = ranges[i]};
        uint32_t size = nfqueue_slot_size(&settings);

        assert_int_equal(size % QUEUE_SHM_SLOT_ALIGN, 0);
        assert_true(size <= QUEUE_SHM_SLOT_MAX);
        assert_true(size >= overhead.len + NLA_HDRLEN + ranges[i]);
    }
}

/* A later kernel may add attributes, and each slot of a queue is memory that stays in use. */
static void test_slot_has_room_for_more_attributes_and_not_for_many(void **state)
{
    const struct queue_settings settings = {.copy_packet = true, .copy_range = 512};
    uint32_t size = nfqueue_slot_size(&settings);
    static struct message overhead;

    (void)state;
    message_all(&overhead, NFQA_PAYLOAD);
    assert_true(size >= overhead.len + NLA_HDRLEN + settings.copy_range + 8 * NLA_ALIGN(NLA_HDRLEN + sizeof(uint64_t)));
    assert_true(size <= 2 * settings.copy_range);
}

static void test_slot_grows_by_a_cache_line_when_the_copied_bytes_need_it(void **state)
{
    struct queue_settings settings = {.copy_packet = true};
    uint32_t size = nfqueue_slot_size(&settings);

    (void)state;
    for (uint32_t range = 1; range <= 4 * QUEUE_SHM_SLOT_ALIGN; range++) {
        settings.copy_range = range;
        size += range % QUEUE_SHM_SLOT_ALIGN == 1 ? QUEUE_SHM_SLOT_ALIGN : 0;
        assert_int_equal(nfqueue_slot_size(&settings), size);
    }
}

/* A security context is at most a page; a connection has two tuples, NAT, a helper and labels. */
static void test_slot_has_room_for_what_the_flags_add(void **state)
{
    static const struct {
        uint32_t flags;
        uint32_t bytes;
    } added[] = {{QUEUE_SECCTX, 4096}, {QUEUE_CONNTRACK, 800}, {QUEUE_SECCTX | QUEUE_CONNTRACK, 4896}};
    struct queue_settings settings = {.copy_packet = true, .copy_range = COPY_RANGE_MAX};
    uint32_t without = nfqueue_slot_size(&settings);

    (void)state;
    for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
        settings.flags = added[i].flags;
        assert_true(nfqueue_slot_size(&settings) >= without + added[i].bytes);
        assert_true(nfqueue_slot_size(&settings) <= QUEUE_SHM_SLOT_MAX);
    }
    settings.flags = QUEUE_GSO | QUEUE_UID_GID | QUEUE_FAIL_OPEN; /* these add no more than a few bytes */
    assert_int_equal(nfqueue_slot_size(&settings), without);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_bind_sets_everything_in_one_message),
        TEST(test_bind_without_packets_asks_for_metadata),
        TEST(test_refusal_of_the_kernel_is_returned_and_taken_from_the_socket),
        TEST(test_send_that_fails_is_returned),
        TEST(test_request_leaves_a_packet_where_it_is),
        TEST(test_request_leaves_the_answer_to_a_verdict_where_it_is),
        TEST(test_flag_is_unknown_only_if_the_kernel_says_so),
        TEST(test_a_stop_that_accepts_sets_fail_open_before_the_length),
        TEST(test_a_stop_that_drops_clears_fail_open_before_the_length),
        TEST(test_a_stop_reports_what_the_send_said),
        cmocka_unit_test(test_slot_holds_the_largest_message_of_its_copy_range),
        cmocka_unit_test(test_slot_has_room_for_more_attributes_and_not_for_many),
        cmocka_unit_test(test_slot_grows_by_a_cache_line_when_the_copied_bytes_need_it),
        cmocka_unit_test(test_slot_has_room_for_what_the_flags_add),
    };

    return cmocka_run_group_tests_name("nfqueue_config", tests, NULL, NULL);
}
