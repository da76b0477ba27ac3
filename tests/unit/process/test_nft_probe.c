/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether the kernel has the queue statement of nft: what each answer means, and that no refusal is waited out.
 *
 * The kernel of this machine is asked with and without the right to change rules. Its answers are received through this
 * file, which counts those that did not come, and can give others in their place.
 */
#include "rights.h"
#include "unit.h"

#include "process/nft_probe.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <string.h>

/* The messages of the batch, in order. */
enum { BEGIN = 1, TABLE, CHAIN, RULE };

struct answer {
    uint32_t sequence;
    int error;
};

static struct {
    const struct answer *answers; /* each in a datagram of its own; NULL: the kernel's */
    unsigned count;
    unsigned received;
    unsigned waited_out;
} kernel;

ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *socket, void *bytes, size_t size);
ssize_t __real_mnl_socket_recvfrom(const struct mnl_socket *socket, void *bytes, size_t size);

ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *socket, void *bytes, size_t size)
{
    struct nlmsghdr *header;
    struct nlmsgerr *error;
    ssize_t len = -1;

    if (kernel.answers == NULL) {
        len = __real_mnl_socket_recvfrom(socket, bytes, size);
    } else if (kernel.received < kernel.count) {
        header = mnl_nlmsg_put_header(bytes);
        error = mnl_nlmsg_put_extra_header(header, sizeof(*error));
        header->nlmsg_type = NLMSG_ERROR;
        header->nlmsg_seq = kernel.answers[kernel.received].sequence;
        error->error = kernel.answers[kernel.received].error;
        len = (ssize_t)header->nlmsg_len;
    } else {
        errno = EAGAIN;
    }
    kernel.received++;
    kernel.waited_out += len < 0;
    return len;
}

/* No message of such a kernel is left to be waited for. */
static void expect(bool missing, const struct answer *answers, unsigned count)
{
    memset(&kernel, 0, sizeof(kernel));
    kernel.answers = answers;
    kernel.count = count;
    assert_int_equal(nft_probe_queue_is_missing(), missing);
    assert_int_equal(kernel.received, count);
    assert_int_equal(kernel.waited_out, 0);
}

static void test_only_the_answer_to_the_rule_says_that_the_statement_is_missing(void **state)
{
    static const int errors[] = {-EPERM, -EOPNOTSUPP, -ENOENT, -EINVAL};

    (void)state;
    for (uint32_t sequence = BEGIN; sequence <= RULE; sequence++) {
        for (unsigned i = 0; i < 4; i++) {
            const struct answer answers[] = {{RULE + 1, -ENOENT}, {sequence, errors[i]}};

            expect(sequence == RULE && errors[i] == -ENOENT, answers, 2);
        }
    }
}

/* An error of the table or the chain is also one of the rule, whose answer then says nothing of the statement. */
static void test_the_first_error_counts(void **state)
{
    static const struct answer refused[] = {{TABLE, 0}, {CHAIN, -ENOENT}};
    static const struct answer has_it[] = {{TABLE, 0}, {CHAIN, 0}, {RULE, 0}};

    (void)state;
    expect(false, refused, 2);
    expect(false, has_it, 3);
}

static void ask(void)
{
    nft_probe_queue_is_missing();
    EXPECT(kernel.received > 0 && kernel.waited_out == 0);
}

static void ask_without_right(void)
{
    EXPECT(!nft_probe_queue_is_missing());
    EXPECT(kernel.received > 0 && kernel.waited_out == 0);
}

static void test_the_kernel_answers_with_and_without_the_right(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof(kernel));
    assert_int_equal(rights_run_as_user(ask_without_right), 0);
    assert_int_equal(rights_run(ask), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_answer_to_the_rule_says_that_the_statement_is_missing),
        cmocka_unit_test(test_the_first_error_counts),
        cmocka_unit_test(test_the_kernel_answers_with_and_without_the_right),
    };

    return cmocka_run_group_tests_name("nft_probe", tests, NULL, NULL);
}
