/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is checked against this machine before anything is opened: plugin files, CPUs, memory, capability.
 *
 * A mistake that is found here has disturbed no traffic: no queue is bound yet. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_PREFLIGHT_H
#define ENGINE_PROCESS_PREFLIGHT_H

#include "base/error.h"
#include "config/plan.h"
#include "config/queue_group.h"
#include "plugin/plugin.h"

/*
 * Checks and copies the plugin files of the group into plugins[PLUGINS_MAX], makes the plan of its queues, and checks
 * that this machine can do it; raises the limit on descriptors as far as it may be. *count gets the number of plugins
 * that were checked, also on failure: the caller closes their copies. Returns 0, or a negative errno with the first
 * reason in *error.
 */
int preflight_check(const struct queue_group *group, struct plugin *plugins, unsigned *count, struct plan *plan,
                    struct error *error);

#endif
