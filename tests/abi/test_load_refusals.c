/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What only shows when a plugin is linked or started: the order of the checks, and the stage and the error number of a
 * refusal. The zoo holds the messages, and has what cannot be tried in this process: crashes, hangs and threads.
 *
 * Also here: that the test plugin misbehave refuses what it does not know, so that no test passes by a typing error.
 */
#include "abi_main.h"
#include "attempt.h"
#include "scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NO_HANDLE "has no handle(), which every plugin must have, also beside handle_batch()"
#define UNOFFERED(what)                                                                                                \
    "has " what ", which this engine (" NFQE_VERSION ") does not use yet; remove it or upgrade the engine"

static const struct {
    const char *plugin;
    const char *values;
    enum attempt_stage stage;
    int code;
    const char *message;
} refusals[] = {
    /* Two flaws: the first that is looked for is named. */
    {"fields_no_handle_but_tick", NULL, ATTEMPT_LINK, -EINVAL, NO_HANDLE},
    {"fields_tick", "rate=1", ATTEMPT_LINK, -ENOTSUP, UNOFFERED("tick()")},
    /* A failure in each function; the error number is the plugin's. */
    {"misbehave", "do=fail,in=load", ATTEMPT_LOAD, -ENOENT, "load() failed: the list /etc/list cannot be read"},
    {"misbehave", "do=fail,in=open", ATTEMPT_OPEN, -ENOENT, "open() failed: the list /etc/list cannot be read"},
};

static void each_refusal_is_of_its_stage(void **state)
{
    unsigned failures = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        failures += !attempt_is_refused(scratch_copy("flawed.so", refusals[i].plugin), refusals[i].values,
                                        refusals[i].stage, refusals[i].code, refusals[i].message);
    }
    assert_int_equal(failures, 0);
}

/* The plugin's own table, with option_size changed in the file: stepping by it would leave the list. */
static void an_option_size_that_is_not_one_is_refused(void **state)
{
    static const uint32_t sizes[] = {0, 40, 52};

    (void)state;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t len;
        char *data = scratch_read(scratch_built("options"), &len);
        char *head = memmem(data, len, "nfqe-so", 8);
        char message[256];

        assert_non_null(head);
        memcpy(head + 144, &sizes[i], sizeof(sizes[i]));
        snprintf(message, sizeof(message),
                 "its option_size is %u, ABI 1.0 has 48; the plugin must use NFQE_PLUGIN(...)", sizes[i]);
        assert_true(
            attempt_is_refused(scratch_write("stride.so", data, len), "name=x", ATTEMPT_LINK, -EBADMSG, message));
        free(data);
    }
}

static const struct {
    const char *values;
    const char *reason;
} unknown[] = {
    {"do=dance", "do=dance: no such misbehaviour"},
    {"do=", NULL},
    {"do=crashes", "do=crashes: no such misbehaviour"},
    {"do=cras", "do=cras: no such misbehaviour"},
    {"do=crash:1", "do=crash:1: takes no number"},
    {"do=exit", "do=exit: needs :NUMBER"},
    {"do=exit:", "do=exit:: must be a number of 0 to 1000000000"},
    {"do=exit:3x", "do=exit:3x: must be a number of 0 to 1000000000"},
    {"do=crash,in=close_worker", "in=close_worker: this plugin has no such function"},
    {"do=crash,in=handle_batch", "in=handle_batch: this plugin has no such function"},
    {"do=fail,in=handle", "do=fail is not possible with in=handle"},
    {"do=overrun:8,in=open", "do=overrun is not possible with in=open"},
    {"do=crash,on=all", "on=all: must be marked or every"},
    {"do=crash,in=open,on=every", "on=every: only with in=handle or in=handle_batch"},
    {"do=wait-for-file,in=load", "do=wait-for-file needs file=PATH, and nothing else takes it"},
    {"do=crash,file=/dev/null", "do=wait-for-file needs file=PATH, and nothing else takes it"},
    {"do=crash,where=open", NULL},
};

static void the_test_plugin_refuses_a_misbehaviour_that_it_does_not_have(void **state)
{
    const char *path = scratch_copy("misbehave.so", "misbehave");

    (void)state;
    for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        char message[256];
        struct attempt attempt;

        /* Without a reason here: the engine refuses it by the plugin's declaration of its options. */
        snprintf(message, sizeof(message), "load() failed: %s", unknown[i].reason != NULL ? unknown[i].reason : "");
        attempt_run(&attempt, path, unknown[i].values);
        assert_int_equal(attempt.stage, unknown[i].reason != NULL ? ATTEMPT_LOAD : ATTEMPT_LINK);
        assert_int_equal(attempt.code, -EINVAL);
        if (unknown[i].reason != NULL) {
            assert_string_equal(attempt.error.text, message);
        }
        attempt_done(&attempt);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_refusal_is_of_its_stage),
        cmocka_unit_test(an_option_size_that_is_not_one_is_refused),
        cmocka_unit_test(the_test_plugin_refuses_a_misbehaviour_that_it_does_not_have),
    };

    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
