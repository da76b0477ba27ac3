/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the engine's processes offer to the plugins that they run: a log, with a limit on its lines, and areas
 * (plugin_areas.h).
 *
 * A plugin keeps its host table from load() on, so fork server and workers offer the same services; what they count is
 * counted in each process for itself. Process: [fork server] [worker].
 */
#ifndef ENGINE_PROCESS_PLUGIN_SERVICES_H
#define ENGINE_PROCESS_PLUGIN_SERVICES_H

#include "plugin/host.h"

#define PLUGIN_SERVICES_LINES_PER_SECOND 20

extern const struct host_services plugin_services;

/*
 * In a new process, before a plugin runs there: nothing is counted yet. shown: enum nfqe_log_level; lines of later levels
 * are not shown. place: what the lines begin with, "queue 1: " in a worker.
 */
void plugin_services_begin(unsigned shown, const char *place);

#endif
