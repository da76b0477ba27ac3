/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plugin_load.c with real shared objects, the plugins of tests/abi: what plugin_link() refuses and with which message,
 * and the arguments and results of load(), open(), close() and unload().
 *
 * Always: after each test the plugin is unmapped and its copy is closed. To check arguments, the plugin's table gets
 * functions of this program.
 */
#include "unit.h"

#include "abi_main.h"
#include "plugin/plugin_file.h"
#include "plugin/plugin_load.h"
#include "plugin/plugin_options.h"
#include "scratch.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENGINE "this engine (" NFQE_VERSION ")"
#define NO_HANDLE "has no handle(), which every plugin must have, also beside handle_batch()"
#define NO_CODE(function) "its " function " is no function, neither of the plugin nor of a library that it links"

static struct plugin plugin = {.memfd = -1};
static struct error error;
static char log_text[1024];

static void write_log(void *context, int level, const char *id, const char *text)
{
    size_t used = strlen(log_text);

    assert_ptr_equal(context, &plugin);
    snprintf(log_text + used, sizeof(log_text) - used, "%d %s: %s\n", level, id, text);
}

static const struct host_services services = {.context = &plugin, .log = write_log};

static void prepare(const char *path, const char *values)
{
    plugin = (struct plugin){.path = path, .values_text = values};
    memset(&error, 0, sizeof(error));
    log_text[0] = '\0';
    assert_int_equal(plugin_file_check(&plugin, &error), 0);
}

/* Links the plugin `name` of tests/abi; values: for its options, or NULL. */
static int link_plugin(const char *name, const char *values)
{
    prepare(scratch_copy("plugin.so", name), values);
    memset(&plugin.table, 0xa5, sizeof(plugin.table));
    return plugin_link(&plugin, &services, &error);
}

static int end(void **state)
{
    (void)state;
    plugin_options_done(&plugin.config);
    if (plugin.library != NULL) {
        assert_int_equal(dlclose(plugin.library), 0);
    }
    plugin_file_close(&plugin);
    plugin = (struct plugin){.memfd = -1};
    return 0;
}

static void expect_refusal(const char *name, const char *values, int code, const char *message)
{
    assert_int_equal(link_plugin(name, values), code);
    assert_string_equal(error.text, message);
    assert_int_equal(error.code, code);
    assert_int_equal(error.exit_code, EXIT_CODE_PLUGIN);
    end(NULL);
}

/* ---- plugin_link() --------------------------------------------------------------------------------- */

static void test_a_linked_plugin_has_its_functions_its_host_and_its_values(void **state)
{
    const struct nfqe_plugin *exported;

    (void)state;
    assert_int_equal(link_plugin("options", "name=x,rate=7"), 0);
    exported = dlsym(plugin.library, NFQE_SYMBOL);
    assert_non_null(exported);
    assert_memory_equal(&plugin.table, exported, sizeof(plugin.table));
    assert_string_equal(*(const char *const *)plugin.config.members, "x"); /* its first member */
    assert_int_equal(plugin.host.table.abi, NFQE_ABI_VERSION);
    plugin.host.table.log(&plugin.host.table, NFQE_LOG_INFO, "of %s", "the host");
    assert_string_equal(log_text, "2 options: of the host\n");
}

/* Two plugins may have functions of the same name; each must find its own. */
static void test_the_symbols_of_a_plugin_are_its_own(void **state)
{
    (void)state;
    assert_int_equal(link_plugin("good", NULL), 0);
    assert_non_null(dlsym(plugin.library, NFQE_SYMBOL));
    assert_null(dlsym(RTLD_DEFAULT, NFQE_SYMBOL));
}

/* Its struct and each of its options are longer than ours. */
static void test_a_plugin_of_a_later_minor_version_is_read_up_to_our_size(void **state)
{
    (void)state;
    assert_int_equal(link_plugin("later_minor", NULL), 0);
    assert_int_equal(*(const int64_t *)plugin.config.members, 1);
    assert_string_equal(((const char *const *)plugin.config.members)[1], "two"); /* of its second option */
    assert_int_equal(plugin.host.fail_text[0], '\0'); /* nothing was written past the table */
}

static void test_what_cannot_be_mapped_or_has_another_symbol_is_refused(void **state)
{
    (void)state;
    expect_refusal("unresolved", NULL, -ENOEXEC, "cannot be loaded: undefined symbol: nfqe_test_nobody_has_this");
    expect_refusal("no_symbol", NULL, -ENOEXEC, "does not export nfqe_plugin_v2; it must use NFQE_PLUGIN(...)");
    expect_refusal(
        "other_symbol", NULL, -ENOEXEC,
        "its symbol nfqe_plugin_v2 is not what its section .nfqe_plugin holds; does it link another plugin?");
}

/* The loader's message then starts with the name of that library, which must stay. */
static void test_a_library_that_is_missing_is_named(void **state)
{
    size_t len;
    char *data = scratch_read(scratch_built("misbehave"), &len);
    char *name = memmem(data, len, "libc.so.6", sizeof("libc.so.6"));

    (void)state;
    assert_non_null(name);
    memcpy(name, "libx.so.6", sizeof("libx.so.6"));
    prepare(scratch_write("plugin.so", data, len), NULL);
    free(data);
    assert_int_equal(plugin_link(&plugin, &services, &error), -ENOEXEC);
    assert_string_equal(error.text, "cannot be loaded: libx.so.6: cannot open shared object file: No such file or "
                                    "directory");
}

static void test_functions_that_must_or_must_not_be_there(void **state)
{
    (void)state;
    expect_refusal("fields_no_handle", NULL, -EINVAL, NO_HANDLE);
    expect_refusal("fields_batch_only", NULL, -EINVAL, NO_HANDLE);
    /* Of two flaws, the one that is checked first is reported. */
    expect_refusal("fields_no_handle_but_save", "rate=1", -EINVAL, NO_HANDLE);
    expect_refusal("zoo_handle_data", "rate=1", -ENOEXEC, NO_CODE("handle()"));
    expect_refusal("good", "rate=1", -EINVAL, "unknown option rate; this plugin takes none");
}

static void test_each_function_must_be_code(void **state)
{
    static const char *const functions[] = {"load", "open", "handle", "handle_batch", "close", "unload", "ext"};

    (void)state;
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        char name[32];
        char message[128];

        snprintf(name, sizeof(name), "zoo_%s_data", functions[i]);
        snprintf(message, sizeof(message), NO_CODE("%s()"), functions[i]);
        expect_refusal(name, NULL, -ENOEXEC, message);
    }
    expect_refusal("zoo_handle_nowhere", NULL, -ENOEXEC, NO_CODE("handle()"));
}

/* Such as free() for unload(). */
static void test_a_function_may_be_that_of_a_library(void **state)
{
    (void)state;
    assert_int_equal(link_plugin("zoo_unload_library", NULL), 0);
    end(NULL);
    assert_int_equal(link_plugin("zoo_handle_library", NULL), 0);
}

/* Its values would get nowhere. */
static void test_a_config_struct_without_load_and_open_is_refused(void **state)
{
    (void)state;
    expect_refusal("options_no_load", NULL, -EINVAL,
                   "has a config struct, and neither load() nor open(), which get it; add one of them");
    expect_refusal("options_no_load", "rate=1", -EINVAL,
                   "has a config struct, and neither load() nor open(), which get it; add one of them");
}

/* What lies after the list is a place that cannot be read, or one that is no element. */
static void test_a_list_of_options_without_an_end_is_refused(void **state)
{
    (void)state;
    assert_int_equal(link_plugin("options_no_end", NULL), -EBADMSG);
    assert_non_null(strstr(error.text, "; the list must end with an element whose name is NULL"));
}

/* It would end the process that loads it. */
static void test_a_plugin_that_needs_a_sanitizer_is_refused_where_there_is_none(void **state)
{
    (void)state;
    if (access(scratch_built("sanitized"), R_OK) != 0) {
        print_message("skipped: gcc has not compiled the plugin\n");
        skip();
    }
    if (dlsym(RTLD_DEFAULT, "__asan_init") != NULL) {
        assert_int_equal(link_plugin("sanitized", NULL), 0); /* this program has the sanitizer's run time */
        return;
    }
    prepare(scratch_copy("plugin.so", "good"), NULL);
    assert_false(plugin.address_sanitizer);
    end(NULL);
    expect_refusal("sanitized", NULL, -ENOEXEC,
                   "is built with AddressSanitizer, whose run time must be loaded before the engine; start it with "
                   "LD_PRELOAD=$(cc -print-file-name=libasan.so)");
}

static void test_the_executable_segment_may_be_the_first(void **state)
{
    (void)state;
    assert_int_equal(link_plugin("good_code_first", NULL), 0);
}

/* The offset of handle() in the library `good`. */
static uint64_t place_of_handle(void)
{
    struct link_map *map;
    uint64_t place;

    assert_int_equal(link_plugin("good", NULL), 0);
    assert_int_equal(dlinfo(plugin.library, RTLD_DI_LINKMAP, &map), 0);
    place = (uintptr_t)plugin.table.handle - map->l_addr;
    end(NULL);
    return place;
}

/* Links `good` with the start or the end of its executable segment changed; 0: unchanged. */
static int link_with_segment(uint64_t start_at, uint64_t end_at)
{
    size_t len;
    char *data = scratch_read(scratch_built("good"), &len);
    ElfW(Ehdr) header;
    ElfW(Phdr) segment = {0};
    size_t place;

    memcpy(&header, data, sizeof(header));
    for (place = header.e_phoff; segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0; place += sizeof(segment)) {
        memcpy(&segment, data + place, sizeof(segment));
    }
    if (start_at != 0) {
        uint64_t later = start_at - segment.p_vaddr;

        segment.p_offset += later;
        segment.p_vaddr += later;
        segment.p_paddr += later;
        segment.p_filesz -= later;
        segment.p_memsz -= later;
    }
    if (end_at != 0) {
        segment.p_filesz = segment.p_memsz = end_at - segment.p_vaddr;
    }
    memcpy(data + place - sizeof(segment), &segment, sizeof(segment));
    prepare(scratch_write("plugin.so", data, len), NULL);
    free(data);
    return plugin_link(&plugin, &services, &error);
}

/* Segments are mapped in whole pages, so the code outside of the changed segment is still there. */
static void test_code_is_the_plugins_from_the_first_byte_of_its_segment_to_the_last(void **state)
{
    const uint64_t handle = place_of_handle();

    (void)state;
    assert_int_equal(link_with_segment(0, handle), -ENOEXEC);
    assert_string_equal(error.text, NO_CODE("handle()"));
    end(NULL);
    assert_int_equal(link_with_segment(0, handle + 1), 0);
    end(NULL);
    assert_int_equal(link_with_segment(handle, 0), 0);
    end(NULL);
    assert_int_equal(link_with_segment(handle + 1, 0), -ENOEXEC);
    assert_string_equal(error.text, NO_CODE("handle()"));
}

/* option_size is changed in the file: with it, the engine would read outside of the list. */
static void test_an_option_size_that_is_not_one_is_refused(void **state)
{
    const uint32_t size = 40;
    size_t len;
    char *data = scratch_read(scratch_built("options"), &len);
    char *head = memmem(data, len, "nfqe-so", 8);

    (void)state;
    assert_non_null(head);
    memcpy(head + 164, &size, sizeof(size));
    prepare(scratch_write("plugin.so", data, len), "name=x");
    free(data);
    assert_int_equal(plugin_link(&plugin, &services, &error), -EBADMSG);
    assert_string_equal(error.text, "its option_size is 40, ABI 2.0 has 64; the plugin must use NFQE_PLUGIN(...)");
}

/* ---- load(), open(), close() and unload() ---------------------------------------------------------- */

static void test_the_functions_are_called_in_their_order_and_log_to_the_services(void **state)
{
    (void)state;
    assert_int_equal(link_plugin("narrator_one", NULL), 0);
    assert_int_equal(plugin_load(&plugin, &error), 0);
    assert_int_equal(plugin_open(&plugin, &error), 0);
    plugin_close(&plugin);
    plugin_unload(&plugin);
    assert_string_equal(log_text, "2 narrator_one: load in test_plugin_loa\n2 narrator_one: open in test_plugin_loa\n"
                                  "2 narrator_one: close in test_plugin_loa\n"
                                  "2 narrator_one: unload in test_plugin_loa\n");
    assert_string_equal(error.text, "");
}

static int answer; /* what own_load() and own_open() return */
static char shared_data;
static char self_data;
static unsigned called;

static int own_load(const struct nfqe_host *host, const void *config, void **shared)
{
    assert_ptr_equal(host, &plugin.host.table);
    assert_non_null(config);
    assert_ptr_equal(config, plugin.config.members);
    *shared = &shared_data;
    called++;
    return answer;
}

static int own_open(const struct nfqe_host *host, const void *config, const void *shared, void **self)
{
    assert_ptr_equal(host, &plugin.host.table);
    assert_non_null(config);
    assert_ptr_equal(config, plugin.config.members);
    assert_ptr_equal(shared, &shared_data);
    *self = &self_data;
    called++;
    return answer;
}

static void own_close(void *self)
{
    assert_ptr_equal(self, &self_data);
    called++;
}

static void own_unload(void *shared)
{
    assert_ptr_equal(shared, &shared_data);
    called++;
}

/* A plugin with these functions and a config struct. */
static void take_own_functions(void)
{
    assert_int_equal(link_plugin("later_minor", NULL), 0);
    plugin.table = (struct nfqe_plugin){.load = own_load, .open = own_open, .close = own_close, .unload = own_unload};
    answer = 0;
    called = 0;
}

static void test_each_function_gets_what_the_one_before_made(void **state)
{
    (void)state;
    take_own_functions();
    assert_int_equal(plugin_load(&plugin, &error), 0);
    assert_int_equal(plugin_open(&plugin, &error), 0);
    plugin_close(&plugin);
    plugin_unload(&plugin);
    assert_int_equal(called, 4);
}

static void test_a_function_that_is_not_there_is_not_called(void **state)
{
    (void)state;
    take_own_functions();
    plugin.table = (struct nfqe_plugin){0};
    assert_int_equal(plugin_load(&plugin, &error), 0);
    assert_int_equal(plugin_open(&plugin, &error), 0);
    plugin_close(&plugin);
    plugin_unload(&plugin);
    assert_null(plugin.shared);
    assert_null(plugin.self);
}

static void test_counters_and_reasons_are_counted(void **state)
{
    (void)state;
    assert_int_equal(link_plugin("fields_counted", NULL), 0);
    assert_int_equal(plugin.lists.counter_count, 2);
    assert_int_equal(plugin.lists.reason_count, 1);
    end(NULL);
    expect_refusal("fields_counters_count", NULL, -EBADMSG,
                   "its counter 2 of 2 has no name; the number of elements must be right");
}

static void test_a_positive_result_of_load_is_a_failure(void **state)
{
    (void)state;
    take_own_functions();
    answer = 1;
    assert_int_equal(plugin_load(&plugin, &error), -EINVAL);
    assert_string_equal(error.text,
                        "load() returned 1; it must return 0, or after a failure what host->fail() returns, a "
                        "negative errno");
}

/* A reason that was set before the call is not the reason of its failure. */
static void test_a_failure_without_a_reason_is_told_by_its_number(void **state)
{
    (void)state;
    take_own_functions();
    (plugin.host.table.fail)(&plugin.host.table, -ENOENT, "earlier");
    answer = -EIO;
    assert_int_equal(plugin_load(&plugin, &error), -EIO);
    assert_string_equal(error.text, "load() failed with -5 (Input/output error) and gave no reason");
    assert_int_equal(error.exit_code, EXIT_CODE_PLUGIN);
    (plugin.host.table.fail)(&plugin.host.table, -ENOENT, "earlier");
    assert_int_equal(plugin_open(&plugin, &error), -EIO);
    assert_string_equal(error.text, "open() failed with -5 (Input/output error) and gave no reason");
    answer = 1;
    assert_int_equal(plugin_open(&plugin, &error), -EINVAL);
    assert_string_equal(error.text,
                        "open() returned 1; it must return 0, or after a failure what host->fail() returns, a "
                        "negative errno");
}

static void test_a_failure_is_told_in_the_words_of_the_plugin(void **state)
{
    (void)state;
    assert_int_equal(link_plugin("misbehave", "do=fail,in=load"), 0);
    assert_int_equal(plugin_load(&plugin, &error), -ENOENT);
    assert_string_equal(error.text, "load() failed: the list /etc/list cannot be read");
    end(NULL);
    assert_int_equal(link_plugin("misbehave", "do=fail,in=open"), 0);
    assert_int_equal(plugin_load(&plugin, &error), 0);
    assert_int_equal(plugin_open(&plugin, &error), -ENOENT);
    assert_string_equal(error.text, "open() failed: the list /etc/list cannot be read");
    assert_int_equal(error.code, -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_linked_plugin_has_its_functions_its_host_and_its_values, end),
        cmocka_unit_test_teardown(test_the_symbols_of_a_plugin_are_its_own, end),
        cmocka_unit_test_teardown(test_a_plugin_of_a_later_minor_version_is_read_up_to_our_size, end),
        cmocka_unit_test_teardown(test_what_cannot_be_mapped_or_has_another_symbol_is_refused, end),
        cmocka_unit_test_teardown(test_a_library_that_is_missing_is_named, end),
        cmocka_unit_test_teardown(test_functions_that_must_or_must_not_be_there, end),
        cmocka_unit_test_teardown(test_each_function_must_be_code, end),
        cmocka_unit_test_teardown(test_a_function_may_be_that_of_a_library, end),
        cmocka_unit_test_teardown(test_a_config_struct_without_load_and_open_is_refused, end),
        cmocka_unit_test_teardown(test_a_list_of_options_without_an_end_is_refused, end),
        cmocka_unit_test_teardown(test_a_plugin_that_needs_a_sanitizer_is_refused_where_there_is_none, end),
        cmocka_unit_test_teardown(test_code_is_the_plugins_from_the_first_byte_of_its_segment_to_the_last, end),
        cmocka_unit_test_teardown(test_the_executable_segment_may_be_the_first, end),
        cmocka_unit_test_teardown(test_an_option_size_that_is_not_one_is_refused, end),
        cmocka_unit_test_teardown(test_the_functions_are_called_in_their_order_and_log_to_the_services, end),
        cmocka_unit_test_teardown(test_each_function_gets_what_the_one_before_made, end),
        cmocka_unit_test_teardown(test_a_function_that_is_not_there_is_not_called, end),
        cmocka_unit_test_teardown(test_counters_and_reasons_are_counted, end),
        cmocka_unit_test_teardown(test_a_positive_result_of_load_is_a_failure, end),
        cmocka_unit_test_teardown(test_a_failure_without_a_reason_is_told_by_its_number, end),
        cmocka_unit_test_teardown(test_a_failure_is_told_in_the_words_of_the_plugin, end),
    };

    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
