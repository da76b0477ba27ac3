/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unbinding all queues: with one reading of the kernel's table, which is replaced at link time, and after it.
 */
#include "engine_fixture.h"

#include "process/queues.h"
#include "queue/nfqueue_config.h"
#include "queue/nfqueue_proc.h"

#include <errno.h>
#include <string.h>

#define QUEUES 4
#define FIRST ENGINE_FIXTURE_QUEUE
#define PORT_ID 4711
#define WAITING 5

static struct {
    struct engine_fixture base;
    int code; /* of reading the table to its end */
    unsigned readings;
    unsigned unbinds;
} fixture;

int __wrap_nfqueue_each_status(nfqueue_visit_status *visit, void *context);
int __wrap_nfqueue_read_status(uint16_t queue, struct nfqueue_status *status);
int __wrap_nfqueue_unbind(int socket, uint16_t queue);

/* The second queue is that of another socket, the third has no line. */
int __wrap_nfqueue_each_status(nfqueue_visit_status *visit, void *context)
{
    assert_int_equal(fixture.unbinds, 0); /* it would be gone, and its figures */
    fixture.readings++;
    for (unsigned i = 0; i <= QUEUES; i++) {
        const struct nfqueue_status status = {
            .queue = FIRST + i, .port_id = i == 1 ? 12345 : PORT_ID + i, .waiting = WAITING + i};

        if (i != 2) {
            visit(context, &status);
        }
    }
    return fixture.code;
}

int __wrap_nfqueue_read_status(uint16_t queue, struct nfqueue_status *status)
{
    (void)queue;
    (void)status;
    fixture.readings++;
    return -ENODEV;
}

int __wrap_nfqueue_unbind(int socket, uint16_t queue)
{
    assert_int_equal(socket, fixture.base.engine.queues[queue - FIRST].kernel.socket);
    fixture.unbinds++;
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    engine_fixture_init(&fixture.base, QUEUES, 1000);
    for (unsigned i = 0; i < QUEUES; i++) {
        fixture.base.engine.queues[i].kernel.bound = true;
        fixture.base.engine.queues[i].kernel.port_id = PORT_ID + i;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    engine_fixture_done(&fixture.base);
    return 0;
}

static void assert_last(unsigned index, int code)
{
    const struct queue *kernel = &fixture.base.engine.queues[index].kernel;
    struct nfqueue_status status = {.waiting = 0};

    assert_true(kernel->unbound && !kernel->bound);
    assert_int_equal(queue_read_status(kernel, &status), code);
    assert_int_equal(status.waiting, code == 0 ? WAITING + index : 0);
}

static void test_all_queues_are_unbound_with_one_reading(void **state)
{
    (void)state;
    queues_unbind(&fixture.base.engine);
    assert_last(0, 0);
    assert_last(1, -ENODEV);
    assert_last(2, -ENODEV);
    assert_last(3, 0);
    assert_int_equal(fixture.readings, 1);
    assert_int_equal(fixture.unbinds, QUEUES);
}

static void test_reading_that_fails_says_why_figures_are_unknown(void **state)
{
    (void)state;
    fixture.code = -EIO;
    queues_unbind(&fixture.base.engine);
    assert_last(0, 0);
    assert_last(2, -EIO);
    assert_int_equal(fixture.unbinds, QUEUES);
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_all_queues_are_unbound_with_one_reading),
        WITH_ENGINE(test_reading_that_fails_says_why_figures_are_unknown),
    };

    return cmocka_run_group_tests_name("queues", tests, NULL, NULL);
}
