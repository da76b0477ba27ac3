/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * struct queue: what is asked of the kernel when a queue is opened, bound and closed, and the reason and exit code of
 * each refusal.
 *
 * The nfqueue_...() functions are replaced at link time by ones that record each call and answer as the test says.
 */
/* Longer than 500 lines: each refusal, word by word, on one kernel of this file */
#include "unit.h"

#include "queue/nfqueue_config.h"
#include "queue/nfqueue_proc.h"
#include "queue/nfqueue_socket.h"
#include "queue/queue.h"
#include "queue/queue_owner.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NUMBER 7
#define PORT_ID 4242
#define MIB ((uint64_t)1024 * 1024)

/* What the kernel says, and what it was asked. */
static struct {
    int open_code;
    int status_code; /* 0: another program owns the queue */
    int owner_code; /* 0: its process is found */
    uint32_t lacking; /* flags */
    int owned_code; /* to a probe of no flag */
    int buffer_code;
    int bind_code;
    bool no_enobufs;
    uint32_t probed;
    uint64_t buffer;
    struct queue_settings bound;
    unsigned opens;
    unsigned binds;
    unsigned unbinds;
    uint32_t waiting;
    uint32_t owner; /* port id */
} kernel;

static struct queue queue;
static struct plan plan;
static struct error error;

int __wrap_nfqueue_open(bool no_enobufs, int *fd, uint32_t *port_id);
int __wrap_nfqueue_read_status(uint16_t number, struct nfqueue_status *status);
int __wrap_queue_owner_find(uint32_t port_id, struct queue_owner *owner);
int __wrap_nfqueue_probe_flag(int fd, uint16_t number, uint32_t flag);
int __wrap_nfqueue_set_receive_buffer(int fd, uint64_t bytes, uint64_t *granted);
int __wrap_nfqueue_bind(int fd, uint16_t number, const struct queue_settings *settings);
int __wrap_nfqueue_unbind(int fd, uint16_t number);

int __wrap_nfqueue_open(bool no_enobufs, int *fd, uint32_t *port_id)
{
    kernel.opens++;
    kernel.no_enobufs = no_enobufs;
    if (kernel.open_code == 0) {
        *fd = eventfd(0, EFD_CLOEXEC);
        *port_id = PORT_ID;
    }
    return kernel.open_code;
}

int __wrap_nfqueue_read_status(uint16_t number, struct nfqueue_status *status)
{
    assert_int_equal(number, NUMBER);
    if (kernel.status_code == 0) {
        *status = (struct nfqueue_status){.queue = number, .port_id = kernel.owner, .waiting = kernel.waiting};
    }
    return kernel.status_code;
}

int __wrap_queue_owner_find(uint32_t port_id, struct queue_owner *owner)
{
    assert_int_equal(port_id, 1234);
    *owner = (struct queue_owner){.pid = 77, .name = "other program"};
    return kernel.owner_code;
}

int __wrap_nfqueue_probe_flag(int fd, uint16_t number, uint32_t flag)
{
    assert_int_equal(fd, queue.socket);
    assert_int_equal(number, NUMBER);
    kernel.probed |= flag;
    if (flag == 0) {
        return kernel.owned_code;
    }
    return (kernel.lacking & flag) != 0 ? -EOPNOTSUPP : 0;
}

int __wrap_nfqueue_set_receive_buffer(int fd, uint64_t bytes, uint64_t *granted)
{
    assert_int_equal(fd, queue.socket);
    kernel.buffer = bytes;
    *granted = 11111;
    return kernel.buffer_code;
}

int __wrap_nfqueue_bind(int fd, uint16_t number, const struct queue_settings *settings)
{
    assert_int_equal(fd, queue.socket);
    assert_int_equal(number, NUMBER);
    kernel.binds++;
    kernel.bound = *settings;
    return kernel.bind_code;
}

int __wrap_nfqueue_unbind(int fd, uint16_t number)
{
    assert_true(fd >= 0);
    assert_int_equal(fd, queue.socket);
    assert_int_equal(number, NUMBER);
    kernel.unbinds++;
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof(kernel));
    memset(&plan, 0, sizeof(plan));
    memset(&error, 0, sizeof(error));
    memset(&queue, 0xee, sizeof(queue));
    kernel.status_code = -ENODEV;
    kernel.owner = 1234;
    plan.settings = (struct queue_settings){.copy_packet = true, .copy_range = 128, .max_len = 1000};
    queue_init(&queue, NUMBER);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    queue_close(&queue);
    return 0;
}

static void assert_opened(int code)
{
    if (code != 0) {
        fail_msg("refused: %s", error.text);
    }
}

static void assert_refused(int code, int expected, enum exit_code exit_code, const char *line)
{
    assert_int_equal(code, expected);
    assert_int_equal(error.code, expected);
    assert_int_equal(error.exit_code, exit_code);
    assert_string_equal(error.text, line);
}

/* ---- opening ------------------------------------------------------------------------------------------ */

static void test_new_queue_is_closed(void **state)
{
    (void)state;
    assert_int_equal(queue.number, NUMBER);
    assert_int_equal(queue.socket, -1);
    assert_false(queue.bound);
    queue_close(&queue);
    assert_int_equal(kernel.unbinds, 0);
}

static void test_open_queue_has_its_socket_and_the_settings_of_the_plan(void **state)
{
    (void)state;
    plan.settings.flags = QUEUE_GSO | QUEUE_SECCTX;
    plan.no_enobufs = true;
    assert_opened(queue_open(&queue, &plan, &error));
    assert_int_equal(error.exit_code, EXIT_CODE_OK); /* no reason without a refusal */
    assert_string_equal(error.text, "");
    assert_int_equal(kernel.opens, 1);
    assert_true(queue.socket >= 0);
    assert_int_equal(queue.port_id, PORT_ID);
    assert_memory_equal(&queue.settings, &plan.settings, sizeof(plan.settings));
    assert_int_equal(queue.receive_buffer, 11111);
    assert_true(kernel.no_enobufs);
    assert_false(queue.bound);
    assert_int_equal(kernel.binds, 0);
    queue_close(&queue);
    plan.no_enobufs = false;
    assert_opened(queue_open(&queue, &plan, &error));
    assert_false(kernel.no_enobufs);
}

static void test_kernel_without_queues_is_named(void **state)
{
    (void)state;
    kernel.open_code = -EPROTONOSUPPORT;
    assert_refused(queue_open(&queue, &plan, &error), -EPROTONOSUPPORT, EXIT_CODE_QUEUE,
                   "queue 7: no netlink socket: Protocol not supported; is the kernel built with "
                   "CONFIG_NETFILTER_NETLINK_QUEUE?");
    assert_int_equal(queue.socket, -1);
}

#define OWNED "queue 7: is owned by process 77 (other program), netlink port id 1234; stop it or choose another queue"

static void test_queue_of_another_program_is_refused_before_anything_is_asked(void **state)
{
    (void)state;
    kernel.status_code = 0;
    plan.settings.flags = QUEUE_GSO;
    assert_refused(queue_open(&queue, &plan, &error), -EPERM, EXIT_CODE_QUEUE, OWNED);
    assert_int_equal(kernel.probed, 0);
    assert_int_equal(kernel.buffer, 0);
    queue_close(&queue);
    kernel.owner_code = -ENOENT;
    assert_refused(
        queue_open(&queue, &plan, &error), -EPERM, EXIT_CODE_QUEUE,
        "queue 7: is owned by netlink port id 1234, which no process has that can be seen from here; perhaps "
        "one in a container: stop it or choose another queue");
}

#define OWNED_BY_UNKNOWN                                                                                               \
    "queue 7: cannot be bound: Operation not permitted; another program owns it (root sees its netlink port id in "    \
    "/proc/net/netfilter/nfnetlink_queue, which cannot be read here: Permission denied), or CAP_NET_ADMIN is that of " \
    "a "                                                                                                               \
    "user namespace to which this network does not belong"

static void test_queue_of_another_program_is_refused_without_proc(void **state)
{
    (void)state;
    kernel.status_code = -EACCES;
    kernel.owned_code = -EPERM;
    plan.settings.flags = QUEUE_GSO;
    assert_refused(queue_open(&queue, &plan, &error), -EPERM, EXIT_CODE_QUEUE, OWNED_BY_UNKNOWN);
    assert_int_equal(kernel.probed, 0);
    assert_int_equal(kernel.buffer, 0);
    queue_close(&queue);
    kernel.owned_code = 0;
    assert_opened(queue_open(&queue, &plan, &error));
    kernel.bind_code = -EPERM;
    assert_refused(queue_bind(&queue, &error), -EPERM, EXIT_CODE_QUEUE, OWNED_BY_UNKNOWN);
}

/* ---- flags -------------------------------------------------------------------------------------------- */

static void test_each_flag_of_the_plan_is_probed_and_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < QUEUE_FLAG_COUNT; i++) {
        kernel.probed = 0;
        kernel.lacking = ~queue_flags[i].bit;
        plan.settings.flags = queue_flags[i].bit;
        assert_opened(queue_open(&queue, &plan, &error));
        assert_int_equal(kernel.probed, queue_flags[i].bit);
        assert_int_equal(queue.settings.flags, queue_flags[i].bit);
        queue_close(&queue);
    }
}

static void test_flag_that_the_kernel_lacks_is_refused_in_the_name_of_its_option(void **state)
{
#define LACKS ": this kernel lacks that queue flag; it takes "
    static const struct {
        uint32_t flag;
        const char *line;
    } cases[] = {
        {QUEUE_FAIL_OPEN, "--fail-open" LACKS "Linux 3.6"},
        {QUEUE_CONNTRACK, "--conntrack" LACKS "CONFIG_NETFILTER_NETLINK_GLUE_CT and nf_conntrack_netlink"},
        {QUEUE_GSO, "--gso" LACKS "Linux 3.10"},
        {QUEUE_UID_GID, "--uid-gid" LACKS "Linux 3.14"},
        {QUEUE_SECCTX, "--secctx" LACKS "CONFIG_NETWORK_SECMARK"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        plan.settings.flags = cases[i].flag | QUEUE_FAIL_OPEN;
        kernel.lacking = cases[i].flag;
        assert_refused(queue_open(&queue, &plan, &error), -EOPNOTSUPP, EXIT_CODE_CONFIGURATION, cases[i].line);
        assert_int_equal(kernel.buffer, 0);
        queue_close(&queue);
    }
}

static void test_flag_that_the_kernel_lacks_is_refused_in_the_name_of_its_plugin(void **state)
{
    (void)state;
    plan.plugin_count = 2;
    plan.plugins[0] = (struct plan_plugin){.id = "one", .path = "./one.so", .needs = NFQE_NEED_CONNTRACK};
    plan.plugins[1] = (struct plan_plugin){.id = "two", .path = "./two.so", .needs = NFQE_NEED_OWNER};
    plan.settings.flags = QUEUE_CONNTRACK | QUEUE_UID_GID;
    kernel.lacking = QUEUE_UID_GID;
    assert_refused(queue_open(&queue, &plan, &error), -EOPNOTSUPP, EXIT_CODE_PLUGIN,
                   "./two.so: needs the queue flag uid-gid, which this kernel lacks; it takes Linux 3.14");
}

static void test_optional_flags_are_left_out_on_a_kernel_without_them(void **state)
{
    (void)state;
    plan.settings.flags = QUEUE_FAIL_OPEN | QUEUE_GSO | QUEUE_SECCTX;
    plan.optional_flags = QUEUE_GSO;
    kernel.lacking = QUEUE_GSO;
    assert_opened(queue_open(&queue, &plan, &error));
    assert_int_equal(queue.settings.flags, QUEUE_FAIL_OPEN | QUEUE_SECCTX);
    assert_int_equal(kernel.probed, QUEUE_FAIL_OPEN | QUEUE_GSO | QUEUE_SECCTX);
    queue_close(&queue);
    kernel.lacking = QUEUE_SECCTX; /* optional is GSO alone */
    assert_int_equal(queue_open(&queue, &plan, &error), -EOPNOTSUPP);
    queue_close(&queue);
    plan.optional_flags = QUEUE_SECCTX;
    assert_opened(queue_open(&queue, &plan, &error));
    assert_int_equal(queue.settings.flags, QUEUE_FAIL_OPEN | QUEUE_GSO);
}

/* ---- receive buffer ----------------------------------------------------------------------------------- */

static uint64_t buffer_for(uint32_t max_len, uint32_t copy_range, uint64_t given)
{
    plan.settings.max_len = max_len;
    plan.settings.copy_range = copy_range;
    plan.receive_buffer = given;
    assert_opened(queue_open(&queue, &plan, &error));
    queue_close(&queue);
    assert_int_equal(queue.wanted_receive_buffer, kernel.buffer);
    return kernel.buffer;
}

static void test_receive_buffer_has_room_for_a_full_queue(void **state)
{
    (void)state;
    assert_int_equal(buffer_for(1, 0, 0), 2048);
    assert_int_equal(buffer_for(1000, 128, 0), 2176000);
    assert_int_equal(buffer_for(8192, 0, 0), 16 * MIB);
}

/* The kernel rounds what it allocates for a message up to a power of two. */
static void test_receive_buffer_counts_messages_as_the_kernel_does(void **state)
{
    (void)state;
    assert_int_equal(buffer_for(100, 1216, 0), 100 * (2048 + 1216));
    assert_int_equal(buffer_for(100, 1217, 0), 100 * (4096 + 256));
    assert_int_equal(buffer_for(100, 65531, 0), 100 * (131072 + 256));
    plan.settings.flags = QUEUE_CONNTRACK;
    assert_int_equal(buffer_for(100, 192, 0), 100 * (2048 + 256));
    assert_int_equal(buffer_for(100, 193, 0), 100 * (4096 + 256));
}

static void test_receive_buffer_that_the_user_did_not_size_is_known_to_be_so(void **state)
{
    (void)state;
    buffer_for(8192, 128, 0);
    assert_true(queue.limited_receive_buffer);
    buffer_for(8192, 128, 4096);
    assert_false(queue.limited_receive_buffer);
}

static void test_receive_buffer_is_at_most_256_mib_unless_the_user_says_more(void **state)
{
    (void)state;
    assert_int_equal(buffer_for(131072, 0, 0), 256 * MIB);
    assert_int_equal(buffer_for(131071, 0, 0), 256 * MIB - 2048);
    assert_int_equal(buffer_for(131073, 0, 0), 256 * MIB);
    assert_int_equal(buffer_for(1048576, 65531, 0), 256 * MIB); /* the product does not fit 32 bits */
    assert_int_equal(buffer_for(1048576, 65531, 1024 * MIB), 1024 * MIB);
}

static void test_receive_buffer_of_the_user_is_taken_as_it_is(void **state)
{
    (void)state;
    assert_int_equal(buffer_for(8192, 65531, 4096), 4096);
    assert_int_equal(buffer_for(1, 0, 300 * MIB), 300 * MIB);
}

static void test_receive_buffer_that_cannot_be_set_is_refused(void **state)
{
    (void)state;
    kernel.buffer_code = -ENOMEM;
    assert_refused(queue_open(&queue, &plan, &error), -ENOMEM, EXIT_CODE_QUEUE,
                   "queue 7: its receive buffer cannot be set: Cannot allocate memory");
}

/* ---- binding ------------------------------------------------------------------------------------------ */

static void test_bind_asks_for_what_is_left_of_the_plan(void **state)
{
    (void)state;
    plan.settings.flags = QUEUE_FAIL_OPEN | QUEUE_GSO;
    plan.optional_flags = QUEUE_GSO;
    kernel.lacking = QUEUE_GSO;
    assert_opened(queue_open(&queue, &plan, &error));
    assert_opened(queue_bind(&queue, &error));
    assert_true(queue.bound);
    assert_true(kernel.bound.copy_packet);
    assert_int_equal(kernel.bound.copy_range, 128);
    assert_int_equal(kernel.bound.max_len, 1000);
    assert_int_equal(kernel.bound.flags, QUEUE_FAIL_OPEN);
}

static void test_bind_that_another_program_was_first_to_names_it(void **state)
{
    (void)state;
    assert_opened(queue_open(&queue, &plan, &error));
    kernel.bind_code = -EPERM;
    kernel.status_code = 0;
    assert_refused(queue_bind(&queue, &error), -EPERM, EXIT_CODE_QUEUE, OWNED);
    assert_false(queue.bound);
}

static void test_bind_that_the_kernel_refuses_says_why(void **state)
{
    (void)state;
    assert_opened(queue_open(&queue, &plan, &error));
    kernel.bind_code = -EPERM;
    assert_refused(queue_bind(&queue, &error), -EPERM, EXIT_CODE_QUEUE,
                   "queue 7: cannot be bound: Operation not permitted");
    kernel.bind_code = -EBUSY;
    kernel.status_code = 0; /* an owner is looked for only where it is the reason */
    assert_refused(queue_bind(&queue, &error), -EBUSY, EXIT_CODE_QUEUE,
                   "queue 7: cannot be bound: Device or resource busy");
    assert_false(queue.bound);
    queue_close(&queue);
    assert_int_equal(kernel.unbinds, 0);
}

static void test_close_unbinds_what_is_bound_once(void **state)
{
    int fd;

    (void)state;
    assert_opened(queue_open(&queue, &plan, &error));
    assert_opened(queue_bind(&queue, &error));
    fd = queue.socket;
    queue_close(&queue);
    assert_int_equal(kernel.unbinds, 1);
    assert_false(queue.bound);
    assert_int_equal(queue.socket, -1);
    assert_int_equal(close(fd), -1); /* it is closed */
    queue_close(&queue);
    assert_int_equal(kernel.unbinds, 1);
}

static void test_last_figures_of_a_queue_are_kept(void **state)
{
    struct nfqueue_status status = {.waiting = 1};

    (void)state;
    assert_opened(queue_open(&queue, &plan, &error));
    assert_int_equal(queue_read_status(&queue, &status), -ENODEV);
    assert_int_equal(status.waiting, 1);
    assert_opened(queue_bind(&queue, &error));
    kernel.status_code = 0;
    kernel.owner = PORT_ID;
    kernel.waiting = 5;
    queue_unbind(&queue);
    assert_int_equal(kernel.unbinds, 1);
    assert_false(queue.bound);
    assert_true(queue.socket >= 0);
    kernel.status_code = -ENOENT;
    assert_int_equal(queue_read_status(&queue, &status), 0);
    assert_int_equal(status.waiting, 5);
    queue_unbind(&queue);
    queue_close(&queue);
    assert_int_equal(kernel.unbinds, 1);
    assert_int_equal(queue_read_status(&queue, &status), 0);
    assert_int_equal(status.waiting, 5);
}

static void test_figures_of_another_socket_s_queue_are_not_the_engine_s(void **state)
{
    struct nfqueue_status status = {.waiting = 1};

    (void)state;
    assert_opened(queue_open(&queue, &plan, &error));
    assert_opened(queue_bind(&queue, &error));
    kernel.status_code = 0;
    kernel.owner = PORT_ID;
    kernel.waiting = 5;
    assert_int_equal(queue_read_status(&queue, &status), 0);
    assert_int_equal(status.waiting, 5);
    kernel.owner = PORT_ID + 1;
    kernel.waiting = 6;
    assert_int_equal(queue_read_status(&queue, &status), -ENODEV);
    queue_unbind(&queue);
    kernel.owner = PORT_ID;
    assert_int_equal(queue_read_status(&queue, &status), -ENODEV);
    assert_int_equal(status.waiting, 5);
    queue_close(&queue);
}

/* Such as 0, which would be a figure. */
static void test_figures_that_the_kernel_did_not_give_are_none(void **state)
{
    struct nfqueue_status status = {.waiting = 1};

    (void)state;
    assert_opened(queue_open(&queue, &plan, &error));
    assert_opened(queue_bind(&queue, &error));
    kernel.status_code = -EACCES;
    queue_unbind(&queue);
    kernel.status_code = 0;
    assert_int_equal(queue_read_status(&queue, &status), -EACCES);
    assert_int_equal(status.waiting, 1);
    queue_close(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_new_queue_is_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_queue_has_its_socket_and_the_settings_of_the_plan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kernel_without_queues_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_queue_of_another_program_is_refused_before_anything_is_asked, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_queue_of_another_program_is_refused_without_proc, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_flag_of_the_plan_is_probed_and_no_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flag_that_the_kernel_lacks_is_refused_in_the_name_of_its_option, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_flag_that_the_kernel_lacks_is_refused_in_the_name_of_its_plugin, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_optional_flags_are_left_out_on_a_kernel_without_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_receive_buffer_has_room_for_a_full_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_receive_buffer_counts_messages_as_the_kernel_does, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_receive_buffer_that_the_user_did_not_size_is_known_to_be_so, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_receive_buffer_is_at_most_256_mib_unless_the_user_says_more, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_receive_buffer_of_the_user_is_taken_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_receive_buffer_that_cannot_be_set_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bind_asks_for_what_is_left_of_the_plan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bind_that_another_program_was_first_to_names_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bind_that_the_kernel_refuses_says_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_close_unbinds_what_is_bound_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_last_figures_of_a_queue_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_figures_of_another_socket_s_queue_are_not_the_engine_s, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_figures_that_the_kernel_did_not_give_are_none, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
