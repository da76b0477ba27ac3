/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Refuses options that contradict each other, and options that have no effect because of another one.
 *
 * Always: the defaults agree with each other, so a refusal names an option that the user gave, and says what to change.
 * A pure function of the options: whether this machine can do what they say is checked when the engine starts. Runs
 * before any process is forked.
 */
#include "config/option_conflicts.h"

#include <errno.h>
#include <inttypes.h>

/* Workers of one queue that share a CPU by accident would only take turns. */
static int check_cpus(const struct options *options, struct error *error)
{
    if (options->cpu_count == 0 || options->cpu_count >= options->workers) {
        return 0;
    }
    return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                     "--workers %" PRIu64 ": --cpu names %u CPUs; name one for each worker of a queue (the same one "
                     "twice if they are to share it), or leave --cpu out",
                     options->workers, options->cpu_count);
}

static int check_uids(const struct options *options, struct error *error)
{
    const struct uid_range *range = &options->worker_uids;
    uint64_t available = (uint64_t)range->last - range->first + 1;
    uint64_t needed = WORKER_UIDS_NEEDED(options->queue_count, options->workers + options->spares);

    if (range->first == 0 || available >= needed) {
        return 0;
    }
    return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                     "--worker-uids %" PRIu32 "-%" PRIu32 ": has %" PRIu64 " user ids, but %" PRIu64
                     " are needed for these queues, workers and spares",
                     range->first, range->last, available, needed);
}

static int check_crash_limit(const struct options *options, struct error *error)
{
    if (options->crash_limit.count == 0 && options_given(options, "on-crash-limit")) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--on-crash-limit: has no effect with --crash-limit off; leave one of them out");
    }
    if (options->on_crash_limit == CRASH_LIMIT_SKIP && options->plugin_count == 1) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--on-crash-limit skip: without its only plugin the chain decides nothing; use outage, with "
                         "--on-outage for the verdict, or stop");
    }
    return 0;
}

static int check_outage(const struct options *options, struct error *error)
{
    if (options->on_outage == OUTAGE_STOP && options_given(options, "outage-retry")) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--outage-retry: has no effect with --on-outage stop; leave one of them out");
    }
    return 0;
}

/* What a rule sends the engine does not. */
static int check_reject(const struct options *options, struct error *error)
{
    const char *other = options->reject_mark.mask != 0 ? "reject-mark" : "reject-rate";

    if (options->reject_by_rule.mask == 0 || (options->reject_mark.mask == 0 && options->reject_rate == 0)) {
        return 0;
    }
    return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                     "--%s: has no effect with --reject-by-rule; leave one of them out", other);
}

int option_conflicts_check(const struct options *options, struct error *error)
{
    int code = check_cpus(options, error);

    if (code == 0) {
        code = check_uids(options, error);
    }
    if (code == 0) {
        code = check_crash_limit(options, error);
    }
    if (code == 0) {
        code = check_outage(options, error);
    }
    if (code == 0) {
        code = check_reject(options, error);
    }
    return code;
}
