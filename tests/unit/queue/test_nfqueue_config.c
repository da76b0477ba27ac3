/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration requests of a stop, as they go to the kernel: nfqueue_send() is replaced at link time.
 */
#include "config/queue_settings.h"
#include "queue/nfqueue_config.h"
#include "queue/nfqueue_sequence.h"
#include "queue/nfqueue_socket.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>

#define QUEUE 4711
#define SOCKET 12

static char sent[1024] __attribute__((aligned(NLMSG_ALIGNTO)));
static size_t sent_len;
static unsigned sends;
static int send_code;

int __wrap_nfqueue_send(int fd, const void *data, size_t len);

int __wrap_nfqueue_send(int fd, const void *data, size_t len)
{
    assert_int_equal(fd, SOCKET);
    assert_true(len <= sizeof(sent));
    memcpy(sent, data, len);
    sent_len = len;
    sends++;
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

/* A packet that comes between the two settings must not get the verdict that the flag had before. */
static void assert_flag_is_set_before_the_length(bool accept)
{
    const struct nlmsghdr *message = (const void *)sent;
    uint32_t flags = 0;
    uint32_t mask = 0;
    uint32_t length = UINT32_MAX;
    int left;

    sends = 0;
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
    send_code = 0;
    assert_flag_is_set_before_the_length(true);
}

static void test_a_stop_that_drops_clears_fail_open_before_the_length(void **state)
{
    (void)state;
    send_code = 0;
    assert_flag_is_set_before_the_length(false);
}

static void test_a_stop_reports_what_the_send_said(void **state)
{
    (void)state;
    send_code = -ENOBUFS;
    assert_flag_is_set_before_the_length(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stop_that_accepts_sets_fail_open_before_the_length),
        cmocka_unit_test(test_a_stop_that_drops_clears_fail_open_before_the_length),
        cmocka_unit_test(test_a_stop_reports_what_the_send_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
