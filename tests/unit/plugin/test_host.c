/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host table of a plugin: what its functions make of what the plugin gives them, and where it says the plugin runs.
 */
#include "unit.h"

#include "plugin/host.h"

#include <stdio.h>
#include <string.h>

static struct plugin_host host;
static const struct nfqe_host *const table = &host.table;
static char log_text[2048];

static void write_log(void *context, int level, const char *id, const char *text)
{
    size_t used = strlen(log_text);

    assert_ptr_equal(context, &host);
    snprintf(log_text + used, sizeof(log_text) - used, "%d %s: %s\n", level, id, text);
}

static const struct host_services services = {.context = &host, .log = write_log};

static int set_up(void **state)
{
    (void)state;
    memset(&host, 0xa5, sizeof(host));
    plugin_host_init(&host, &services, "x");
    log_text[0] = '\0';
    return 0;
}

/* It ends with its length, not with a NUL, and one between its bytes hides none. Without bytes the line is empty. */
static void test_text_is_logged_without_a_format(void **state)
{
    char longer[600];

    (void)state;
    memset(longer, 'x', sizeof(longer));
    table->log_text(table, NFQE_LOG_ERROR, "100%s\0 too", 10);
    table->log_text(table, NFQE_LOG_DEBUG, "longer", 4);
    table->log_text(table, NFQE_LOG_INFO, NULL, 7);
    assert_string_equal(log_text, "0 x: 100%s? too\n3 x: long\n2 x: \n");
    log_text[0] = '\0';
    table->log_text(table, NFQE_LOG_INFO, longer, sizeof(longer));
    assert_int_equal(strlen(log_text), strlen("2 x: \n") + 512);
}

static void test_the_host_says_where_the_plugin_runs(void **state)
{
    (void)state;
    assert_int_equal(table->queue + table->worker_index + table->worker_count, 0);
    plugin_host_place(&host, 65535, 3, 4);
    assert_int_equal(table->queue, 65535);
    assert_int_equal(table->worker_index, 3);
    assert_int_equal(table->worker_count, 4);
}

static void test_counters_are_there_in_a_worker_alone(void **state)
{
    uint64_t cells[3] = {1, 0, 3};

    (void)state;
    nfqe_count(table, 0, 7); /* in load(): it is not counted */
    plugin_host_give_counters(&host, cells, 2);
    nfqe_count(table, 0, 2);
    nfqe_count(table, 1, UINT64_MAX);
    nfqe_count(table, 1, 5);
    nfqe_count(table, 2, 7); /* was not declared */
    nfqe_count(table, UINT32_MAX, 7);
    assert_int_equal(cells[0], 3);
    assert_int_equal(cells[1], 4);
    assert_int_equal(cells[2], 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_text_is_logged_without_a_format, set_up),
        cmocka_unit_test_setup(test_the_host_says_where_the_plugin_runs, set_up),
        cmocka_unit_test_setup(test_counters_are_there_in_a_worker_alone, set_up),
    };

    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
