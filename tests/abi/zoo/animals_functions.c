/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Animals that are refused because of what their functions are or do, and animals whose file changes while the engine
 * runs.
 */
#include "scratch.h"
#include "zoo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char *good_in_front(const char *path)
{
    (void)path;
    return scratch_copy("front.so", "good");
}

static const char *many_in_front(const char *path)
{
    (void)path;
    return scratch_copy("front.so", "fields_multiple");
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
    return front_with("misbehave", "do=close-descriptors,in=load");
}

static const char *open_closer_in_front(const char *path)
{
    (void)path;
    return front_with("misbehave", "do=close-descriptors,in=open");
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
    {.name = "duplicate-id-of-many", .plugin = "fields_multiple", .in_front = many_in_front},
    {.name = "unresolved-symbol", .plugin = "unresolved"},
    {.name = "no-handle", .plugin = "fields_no_handle"},
    {.name = "handle-batch-alone", .plugin = "fields_batch_only"},
    {.name = "handle-in-data", .plugin = "zoo_handle_data"},
    {.name = "handle-nowhere", .plugin = "zoo_handle_nowhere"},
    {.name = "open-in-data", .plugin = "zoo_open_data"},
    {.name = "has-save", .plugin = "fields_save", .shows = "plugin fields"},
    {.name = "has-counters", .plugin = "fields_counters", .shows = "plugin fields: counters:"},
    {.name = "has-counted-lists", .plugin = "fields_counted", .shows = "plugin fields 1.0.0"},
    {.name = "counters-fewer-than-said", .plugin = "fields_counters_count"},
    {.name = "reason-with-a-capital", .plugin = "fields_reasons_name"},

    {.name = "constructor-crashes", .plugin = "constructor_crashes"},
    {.name = "constructor-starts-a-thread", .plugin = "constructor_thread"},
    {.name = "load-fails", .plugin = "misbehave", .values = "do=fail,in=load"},
    {.name = "load-fails-at-length", .plugin = "misbehave", .values = "do=fail-at-length,in=load"},
    {.name = "load-fails-silently", .plugin = "misbehave", .values = "do=fail-silently,in=load"},
    {.name = "load-crashes", .plugin = "misbehave", .values = "do=crash,in=load"},
    {.name = "load-aborts", .plugin = "misbehave", .values = "do=abort,in=load"},
    {.name = "load-hangs", .plugin = "misbehave", .values = "do=hang,in=load", .hangs = true},
    {.name = "load-starts-a-thread", .plugin = "misbehave", .values = "do=start-thread,in=load"},
    {.name = "load-exits-3", .plugin = "misbehave", .values = "do=exit:3,in=load"},
    {.name = "load-exits-0", .plugin = "misbehave", .values = "do=_exit:0,in=load"},
    {.name = "load-closes-descriptors", .plugin = "misbehave", .values = "do=close-descriptors,in=load"},
    {.name = "load-closes-standard-descriptors", .plugin = "misbehave", .values = "do=close-all-descriptors,in=load"},
    {.name = "load-in-front-closes-descriptors", .plugin = "good", .in_front = load_closer_in_front},
    {.name = "load-drops-capabilities", .plugin = "misbehave", .values = "do=drop-capabilities,in=load"},
    {.name = "load-after-another-drops-capabilities",
     .plugin = "misbehave",
     .values = "do=drop-capabilities,in=load",
     .in_front = good_in_front},

    {.name = "open-fails", .plugin = "misbehave", .values = "do=fail,in=open"},
    {.name = "open-fails-silently", .plugin = "misbehave", .values = "do=fail-silently,in=open"},
    {.name = "open-crashes", .plugin = "misbehave", .values = "do=crash,in=open"},
    {.name = "open-aborts", .plugin = "misbehave", .values = "do=abort,in=open"},
    {.name = "open-hangs", .plugin = "misbehave", .values = "do=hang,in=open", .hangs = true},
    {.name = "open-exits-3", .plugin = "misbehave", .values = "do=exit:3,in=open"},
    {.name = "open-exits-0", .plugin = "misbehave", .values = "do=_exit:0,in=open"},
    {.name = "open-closes-descriptors", .plugin = "misbehave", .values = "do=close-descriptors,in=open"},
    {.name = "open-closes-standard-descriptors", .plugin = "misbehave", .values = "do=close-all-descriptors,in=open"},
    {.name = "open-in-front-closes-descriptors", .plugin = "good", .in_front = open_closer_in_front},

    {.name = "one-of-many",
     .plugin = "fields_multiple",
     .values = "@name=second",
     .in_front = many_in_front,
     .shows = "plugin fields@second 1.0.0"},
    /* These must load. A worker has no capability that it could give up. */
    {.name = "unload-is-free", .plugin = "fields_unload_free", .shows = "plugin fields 1.0.0"},
    {.name = "unload-in-another-library", .plugin = "zoo_unload_library", .shows = "plugin zoo_foreign_code 1.0.0"},
    {.name = "open-drops-capabilities",
     .plugin = "misbehave",
     .values = "do=drop-capabilities,in=open",
     .shows = "plugin misbehave 1.2.3"},

    /* The engine runs the copy that it checked. */
    {.name = "replaced-before-load",
     .plugin = "narrator_one",
     .in_front = replacer_in_front,
     .one_user = true,
     .shows = ": load in nfqe-forkserver"},
    {.name = "overwritten-before-load",
     .plugin = "narrator_one",
     .in_front = overwriter_in_front,
     .one_user = true,
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
