/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of plugins: a line of a plugin is a log line of the engine that names the plugin and the level.
 *
 * The limit is for all plugins of a process together. The lines that it held back are counted and said before the next
 * one that passes. Process: [fork server] [worker].
 */
#include "process/plugin_services.h"

#include "base/arith.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rate_limit.h"

static struct rate_limit limit;

static void log_plugin(void *context, int level, const char *id, const char *text)
{
    static const char *const levels[] = {
        [NFQE_LOG_ERROR] = "error: ", [NFQE_LOG_WARNING] = "warning: ", [NFQE_LOG_INFO] = ""};
    unsigned missed;

    (void)context;
    if (!rate_limit_pass(&limit, monotonic_ns(), &missed)) {
        return;
    }
    if (missed > 0) {
        log_line("plugin %s: %u more lines not shown (limit %d a second)", id, missed,
                 PLUGIN_SERVICES_LINES_PER_SECOND);
    }
    log_line("plugin %s: %s%s", id, level >= 0 && level < (int)ARRAY_SIZE(levels) ? levels[level] : "", text);
}

const struct host_services plugin_services = {.log = log_plugin};

void plugin_services_begin(void)
{
    limit = (struct rate_limit){.burst = PLUGIN_SERVICES_LINES_PER_SECOND, .period_ns = NS_PER_S};
}
