/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of plugins: a line of a plugin is a log line of the engine that names the queue, the plugin and the level.
 *
 * The limit is for all plugins of a process together, and for all of their threads. The lines that it held back are
 * counted and said before the next one that passes; lines of levels that are not shown do not count.
 * Process: [fork server] [worker].
 */
#include "process/plugin_services.h"

#include "base/arith.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rate_limit.h"
#include "process/plugin_areas.h"

#include <pthread.h>
#include <stdio.h>

#define PLACE_MAX 32

static struct rate_limit limit;
static unsigned last_shown;
static char place_of_process[PLACE_MAX];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* the limit is of all threads */

/* Returns whether one more line may be written. *missed as from rate_limit_pass(). */
static bool pass_limit(unsigned *missed)
{
    bool pass;

    pthread_mutex_lock(&mutex);
    pass = rate_limit_pass(&limit, monotonic_ns(), missed);
    pthread_mutex_unlock(&mutex);
    return pass;
}

static void log_plugin(void *context, int level, const char *id, const char *text)
{
    static const char *const levels[] = {
        [NFQE_LOG_ERROR] = "error: ",
        [NFQE_LOG_WARNING] = "warning: ",
        [NFQE_LOG_INFO] = "",
        [NFQE_LOG_DEBUG] = "debug: ",
    };
    bool known = level >= 0 && level < (int)ARRAY_SIZE(levels);
    unsigned missed;

    (void)context;
    if ((known && (unsigned)level > last_shown) || !pass_limit(&missed)) {
        return;
    }
    if (missed > 0) {
        log_line("%splugin %s: %u more lines not shown (limit %d a second)", place_of_process, id, missed,
                 PLUGIN_SERVICES_LINES_PER_SECOND);
    }
    log_line("%splugin %s: %s%s", place_of_process, id, known ? levels[level] : "", text);
}

const struct host_services plugin_services = {
    .log = log_plugin, .area_declare = plugin_areas_declare, .area = plugin_areas_find};

void plugin_services_begin(unsigned shown, const char *place)
{
    last_shown = shown;
    snprintf(place_of_process, sizeof(place_of_process), "%s", place);
    limit = (struct rate_limit){.burst = PLUGIN_SERVICES_LINES_PER_SECOND, .period_ns = NS_PER_S};
}
