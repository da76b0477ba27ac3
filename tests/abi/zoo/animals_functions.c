/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Animals that are refused for what their functions are or do, and those whose file is changed under the engine.
 */
#include "scratch.h"
#include "zoo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HANG_LIMIT_MS 1300 /* the load time-out of 300 ms and what a run may take */

static const char *good_in_front(const char *path)
{
    (void)path;
    return scratch_copy("front.so", "good");
}

static const char *front_with(const char *plugin, const char *values)
{
    static char argument[2048];

    snprintf(argument, sizeof(argument), "%s,%s", scratch_copy("front.so", plugin), values);
    return argument;
}

static const char *load_closer_in_front(const char *path)
{
    (void)path;
    return front_with("zoo_escape", "load=close-all");
}

static const char *open_closer_in_front(const char *path)
{
    (void)path;
    return front_with("zoo_escape", "open=close-all");
}

static const char *replacer_in_front(const char *path)
{
    char values[1024];

    snprintf(values, sizeof(values), "target=%s,source=%s", path, scratch_copy("other.so", "narrator_two"));
    return front_with("zoo_replacer", values);
}

static const char *overwriter_in_front(const char *path)
{
    char values[1024];

    snprintf(values, sizeof(values), "target=%s,source=%s,in-place=on", path, scratch_copy("other.so", "narrator_two"));
    return front_with("zoo_replacer", values);
}

static void copy_over(void)
{
    scratch_copy("animal.so", "constructor_crashes");
}

static void empty(void)
{
    scratch_write("animal.so", "", 0);
}

const struct animal zoo_functions[] = {
    {.name = "duplicate-id", .plugin = "good", .in_front = good_in_front},
    {.name = "unresolved-symbol", .plugin = "unresolved"},
    {.name = "no-handle", .plugin = "fields_no_handle"},
    {.name = "handle-batch-alone", .plugin = "fields_batch_only"},
    {.name = "handle-in-another-library", .plugin = "zoo_handle_library"},
    {.name = "handle-in-data", .plugin = "zoo_handle_data"},
    {.name = "handle-nowhere", .plugin = "zoo_handle_nowhere"},
    {.name = "open-in-another-library", .plugin = "zoo_open_library"},
    {.name = "has-tick", .plugin = "fields_tick"},
    {.name = "has-save", .plugin = "fields_save"},
    {.name = "has-counters", .plugin = "fields_counters"},

    {.name = "constructor-crashes", .plugin = "constructor_crashes"},
    {.name = "constructor-starts-a-thread", .plugin = "constructor_thread"},
    {.name = "load-fails", .plugin = "misbehave", .values = "load=fail"},
    {.name = "load-fails-at-length", .plugin = "misbehave", .values = "load=fail-at-length"},
    {.name = "load-fails-silently", .plugin = "misbehave", .values = "load=silent"},
    {.name = "load-crashes", .plugin = "misbehave", .values = "load=crash"},
    {.name = "load-aborts", .plugin = "misbehave", .values = "load=abort"},
    {.name = "load-hangs", .plugin = "misbehave", .values = "load=hang", .limit_ms = HANG_LIMIT_MS},
    {.name = "load-starts-a-thread", .plugin = "misbehave", .values = "load=thread"},
    {.name = "load-exits-3", .plugin = "misbehave", .values = "load=exit-3"},
    {.name = "load-exits-0", .plugin = "misbehave", .values = "load=exit-0"},
    {.name = "load-closes-descriptors", .plugin = "zoo_escape", .values = "load=close-all"},
    {.name = "load-closes-standard-descriptors", .plugin = "zoo_escape", .values = "load=close-really-all"},
    {.name = "load-in-front-closes-descriptors", .plugin = "good", .in_front = load_closer_in_front},
    {.name = "load-drops-capabilities", .plugin = "zoo_escape", .values = "load=drop-capabilities"},
    {.name = "load-behind-another-drops-capabilities",
     .plugin = "zoo_escape",
     .values = "load=drop-capabilities",
     .in_front = good_in_front},

    {.name = "open-fails", .plugin = "misbehave", .values = "open=fail"},
    {.name = "open-fails-silently", .plugin = "misbehave", .values = "open=silent"},
    {.name = "open-crashes", .plugin = "misbehave", .values = "open=crash"},
    {.name = "open-aborts", .plugin = "misbehave", .values = "open=abort"},
    {.name = "open-hangs", .plugin = "misbehave", .values = "open=hang", .limit_ms = HANG_LIMIT_MS},
    {.name = "open-exits-3", .plugin = "misbehave", .values = "open=exit-3"},
    {.name = "open-exits-0", .plugin = "misbehave", .values = "open=exit-0"},
    {.name = "open-closes-descriptors", .plugin = "zoo_escape", .values = "open=close-all"},
    {.name = "open-closes-standard-descriptors", .plugin = "zoo_escape", .values = "open=close-really-all"},
    {.name = "open-in-front-closes-descriptors", .plugin = "good", .in_front = open_closer_in_front},
    {.name = "open-drops-capabilities", .plugin = "zoo_escape", .values = "open=drop-capabilities"},

    /* These must load: what was checked is what runs, whatever happens to the file. */
    {.name = "replaced-before-load",
     .plugin = "narrator_one",
     .in_front = replacer_in_front,
     .shows = ": load in nfqe-forkserver"},
    {.name = "overwritten-before-load",
     .plugin = "narrator_one",
     .in_front = overwriter_in_front,
     .shows = ": load in nfqe-forkserver"},
    {.name = "copied-over-while-it-runs",
     .plugin = "narrator_one",
     .when_ready = copy_over,
     .shows = ": unload in nfqe-forkserver"},
    {.name = "emptied-while-it-runs",
     .plugin = "narrator_one",
     .when_ready = empty,
     .shows = ": unload in nfqe-forkserver"},
    {.name = NULL},
};
