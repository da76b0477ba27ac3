/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host table of a plugin: what its functions make of what the plugin gives them, and where it says the plugin runs.
 */
#include "unit.h"

#include "plugin/host.h"

#include <errno.h>
#include <pthread.h>
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

static unsigned declared;

static int declare(void *context, const struct plugin_host *of, uint32_t kind, const char *name, uint64_t len)
{
    assert_ptr_equal(context, &host);
    assert_ptr_equal(of, &host);
    declared++;
    return kind == NFQE_AREA_QUEUE && strcmp(name, "a") == 0 && len == 7 ? 0 : -EEXIST;
}

static const struct nfqe_area *find(void *context, const struct plugin_host *of, const char *name)
{
    static const struct nfqe_area area;

    assert_ptr_equal(context, &host);
    assert_ptr_equal(of, &host);
    return strcmp(name, "a") == 0 ? &area : NULL;
}

static const struct host_services services = {
    .context = &host, .log = write_log, .area_declare = declare, .area = find};

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

static void *declare_in_thread(void *code)
{
    *(int *)code = table->area_declare(table, NFQE_AREA_QUEUE, "a", 7);
    return NULL;
}

/* The rest is the process's to say. */
static void test_areas_are_declared_in_load_by_its_thread(void **state)
{
    pthread_t thread;
    int code = 0;

    (void)state;
    declared = 0;
    assert_int_equal(table->area_declare(table, NFQE_AREA_QUEUE, "a", 7), -EPERM);
    host.loading = true;
    assert_int_equal(pthread_create(&thread, NULL, declare_in_thread, &code), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(code, -EPERM);
    assert_int_equal(table->area_declare(table, NFQE_AREA_QUEUE, NULL, 7), -EINVAL);
    assert_int_equal(declared, 0);
    assert_int_equal(table->area_declare(table, NFQE_AREA_QUEUE, "a", 7), 0);
    assert_int_equal(table->area_declare(table, NFQE_AREA_QUEUE, "b", 7), -EEXIST);
    assert_int_equal(declared, 2);
}

static void test_areas_are_found_by_name(void **state)
{
    (void)state;
    assert_non_null(table->area(table, "a"));
    assert_null(table->area(table, "b"));
    errno = 0;
    assert_null(table->area(table, NULL));
    assert_int_equal(errno, EINVAL);
}

/* Such as one that only looks at plugins. */
static void test_a_process_without_areas_says_so(void **state)
{
    static const struct host_services none = {.context = &host, .log = write_log};

    (void)state;
    plugin_host_init(&host, &none, "x");
    host.loading = true;
    errno = 0;
    assert_int_equal(table->area_declare(table, NFQE_AREA_QUEUE, "a", 7), -EPERM);
    assert_null(table->area(table, "a"));
    assert_int_equal(errno, EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_text_is_logged_without_a_format, set_up),
        cmocka_unit_test_setup(test_the_host_says_where_the_plugin_runs, set_up),
        cmocka_unit_test_setup(test_counters_are_there_in_a_worker_alone, set_up),
        cmocka_unit_test_setup(test_areas_are_declared_in_load_by_its_thread, set_up),
        cmocka_unit_test_setup(test_areas_are_found_by_name, set_up),
        cmocka_unit_test_setup(test_a_process_without_areas_says_so, set_up),
    };

    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
