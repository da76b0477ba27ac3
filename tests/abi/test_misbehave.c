/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test plugin misbehave refuses options that it does not know, so that no test passes because of a typing error.
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

        /* No reason: the engine refuses the option by the plugin's declaration. */
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
        cmocka_unit_test(the_test_plugin_refuses_a_misbehaviour_that_it_does_not_have),
    };

    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
