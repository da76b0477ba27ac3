/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes a queue group from options: a copy of the options that concern the group, with its strings in one allocation.
 *
 * The option parsers have checked every value, so only a lack of memory can fail here. What the plugins decide (copy
 * range, flags, flow table) is not decided here but in plan.c. Runs in the supervisor, before any other process exists;
 * the others inherit the group and only read it.
 */
#include "config/queue_group.h"

#include "config/plugin_path.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Copies `text` to *end and moves *end past the copy. Returns the copy, or NULL for NULL. */
static const char *copy_text(char **end, const char *text)
{
    char *copy = *end;

    if (text == NULL) {
        return NULL;
    }
    *end = stpcpy(copy, text) + 1;
    return copy;
}

/* The same for the path of a plugin. size: what is left. */
static const char *copy_path(char **end, size_t size, const struct options *options, const char *path)
{
    char *copy = *end;

    *end += plugin_path_write(copy, size, options->plugin_directory, path) + 1;
    return copy;
}

static int copy_plugins(const struct options *options, struct queue_group *group)
{
    size_t size = 1;
    char *end;

    for (unsigned i = 0; i < options->plugin_count; i++) {
        const struct plugin_setting *plugin = &options->plugins[i];

        size += plugin_path_write(NULL, 0, options->plugin_directory, plugin->path) + 1 +
                (plugin->name != NULL ? strlen(plugin->name) + 1 : 0) +
                (plugin->values != NULL ? strlen(plugin->values) + 1 : 0);
    }
    group->text = malloc(size);
    if (group->text == NULL) {
        return -ENOMEM;
    }
    end = group->text;
    for (unsigned i = 0; i < options->plugin_count; i++) {
        group->plugins[i].path = copy_path(&end, size - (size_t)(end - group->text), options, options->plugins[i].path);
        group->plugins[i].name = copy_text(&end, options->plugins[i].name);
        group->plugins[i].values = copy_text(&end, options->plugins[i].values);
    }
    group->plugin_count = options->plugin_count;
    return 0;
}

static void copy_workers(const struct options *options, struct queue_group *group)
{
    memcpy(group->cpus, options->cpus, sizeof(group->cpus));
    group->cpu_count = options->cpu_count;
    group->workers = (unsigned)options->workers;
    group->spares = (unsigned)options->spares;
    group->worker_uids = options->worker_uids;
    group->worker_uids_given = options_given(options, "worker-uids");
    group->priority = options->priority;
    group->core_dumps = options->core_dumps;
    group->plugin_log = options->plugin_log;
    group->plugin_memory = options->plugin_memory;
}

static void copy_policy(const struct options *options, struct queue_group *group)
{
    group->default_verdict = options->default_verdict;
    group->on_crash = options->on_crash;
    group->on_stop = options->on_stop;
    group->bypass_mark = options->bypass_mark;
    group->repeat_mask = options->repeat_mask;
    group->reject_mark = options->reject_mark;
    group->reject_by_rule = options->reject_by_rule;
    group->reject_rate = (uint32_t)options->reject_rate;
    group->crash_limit = options->crash_limit;
    group->on_crash_limit = options->on_crash_limit;
    group->outage_timeout_ms = options->outage_timeout_ms;
    group->on_outage = options->on_outage;
    group->outage_retry_ms = options->outage_retry_ms;
    group->max_len = (uint32_t)options->max_len;
    group->copy_range = (uint32_t)options->copy_range;
    group->receive_buffer = options->receive_buffer;
    group->flow_table = (uint32_t)options->flow_table;
    group->flow_timeout_ms = options->flow_timeout_ms;
    group->gso = options->gso;
    group->fail_open = options->fail_open;
    group->conntrack = options->conntrack;
    group->uid_gid = options->uid_gid;
    group->secctx = options->secctx;
    group->no_enobufs = options->no_enobufs;
    group->drain_timeout_ms = options->drain_timeout_ms;
    group->load_timeout_ms = options->load_timeout_ms;
    group->handle_timeout_ms = options->handle_timeout_ms;
}

int queue_group_new(const struct options *options, const struct queue_group **group, struct error *error)
{
    struct queue_group *made = calloc(1, sizeof(*made));

    if (made == NULL || copy_plugins(options, made) < 0) {
        queue_group_free(made);
        return error_set(error, EXIT_CODE_RUN_TIME, -ENOMEM, "out of memory");
    }
    memcpy(made->queues, options->queues, sizeof(made->queues));
    made->queue_count = options->queue_count;
    copy_workers(options, made);
    copy_policy(options, made);
    *group = made;
    return 0;
}

int queue_group_cpu(const struct queue_group *group, unsigned index, unsigned worker)
{
    unsigned turn = index * group->workers + worker;

    return group->cpu_count > 0 ? group->cpus[turn % group->cpu_count] : QUEUE_GROUP_NO_CPU;
}

const char *queue_group_verdict_name(uint32_t verdict)
{
    return verdict == NFQE_ACCEPT ? "accept" : "drop";
}

void queue_group_free(const struct queue_group *group)
{
    if (group != NULL) {
        free(group->text);
        free((void *)(uintptr_t)group);
    }
}
