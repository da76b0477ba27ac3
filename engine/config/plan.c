/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decides how the queues of a group are bound: how many bytes of a packet the kernel copies, which queue flags are set,
 * and whether there is a flow table.
 *
 * The plugin that needs most decides. An option may ask for more than the plugins need; one that asks for less is
 * refused, and so is one that no plugin makes use of. Reads nothing but the group and what the plugins declare, so the
 * result is the same on every machine. Runs in the supervisor, once for each plugin chain.
 */
#include "config/plan.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

const struct plan_plugin *plan_who_needs(const struct plan *plan, uint64_t needs)
{
    for (unsigned i = 0; i < plan->plugin_count; i++) {
        if ((plan->plugins[i].needs & needs) != 0) {
            return &plan->plugins[i];
        }
    }
    return NULL;
}

/* Bytes of each packet that the plugin must get; 0: none. For flow verdicts the engine reads headers itself. */
static uint32_t needed_bytes(const struct plan_plugin *plugin)
{
    uint32_t headers = (plugin->needs & NFQE_NEED_HEADERS) != 0 ? plugin->header_bytes : 0;

    if ((plugin->needs & NFQE_NEED_PAYLOAD) != 0) {
        return COPY_RANGE_MAX;
    }
    if ((plugin->needs & NFQE_NEED_FLOW) != 0 && headers < NFQE_HEADER_BYTES_DEFAULT) {
        return NFQE_HEADER_BYTES_DEFAULT;
    }
    return headers;
}

/* Bytes to copy for the plugin: with a need of headers, so many that hardly a packet hides them. */
static uint32_t wanted_bytes(const struct plan_plugin *plugin)
{
    uint32_t needed = needed_bytes(plugin);

    return needed > 0 && needed < PLAN_HEADER_BYTES ? PLAN_HEADER_BYTES : needed;
}

/* How much of each packet the kernel copies: what the user says, which must be enough, or what the plugins want. */
static int plan_copy_range(const struct queue_group *group, struct plan *plan, struct error *error)
{
    uint32_t largest = 0;

    for (unsigned i = 0; i < plan->plugin_count; i++) {
        uint32_t needed = needed_bytes(&plan->plugins[i]);
        uint32_t wanted = wanted_bytes(&plan->plugins[i]);

        if (group->copy_range != 0 && group->copy_range < needed) {
            return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                             "--copy-range %" PRIu32 ": plugin %s needs %" PRIu32
                             " bytes; leave the option out or raise it",
                             group->copy_range, plan->plugins[i].id, needed);
        }
        largest = wanted > largest ? wanted : largest;
    }
    plan->settings.copy_range = group->copy_range != 0 ? group->copy_range : largest;
    plan->settings.copy_packet = plan->settings.copy_range > 0;
    return 0;
}

static int plan_flags(const struct queue_group *group, struct plan *plan, struct error *error)
{
    const struct plan_plugin *segments = plan_who_needs(plan, NFQE_NEED_SEGMENTS);
    /* Of a packet that segmentation offload made, up to 512 KiB, the kernel copies no more than of any other. */
    bool whole = plan_who_needs(plan, NFQE_NEED_SEGMENTS | NFQE_NEED_PAYLOAD) == NULL;
    bool gso = group->gso == GSO_ON || (group->gso == GSO_AUTO && whole);
    uint32_t flags = (group->fail_open ? QUEUE_FAIL_OPEN : 0) | (group->conntrack ? QUEUE_CONNTRACK : 0) |
                     (gso ? QUEUE_GSO : 0) | (group->uid_gid ? QUEUE_UID_GID : 0) | (group->secctx ? QUEUE_SECCTX : 0);

    if (group->gso == GSO_ON && segments != NULL) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--gso on: plugin %s needs packets one by one, as they are on the wire; leave the option out",
                         segments->id);
    }
    for (size_t i = 0; i < QUEUE_FLAG_COUNT; i++) {
        if (plan_who_needs(plan, queue_flags[i].need) != NULL) {
            flags |= queue_flags[i].bit;
        }
    }
    plan->settings.flags = flags;
    plan->gso_optional = group->gso == GSO_AUTO;
    return 0;
}

static int plan_flows(const struct queue_group *group, struct plan *plan, struct error *error)
{
    const char *option = group->flow_table != 0         ? "flow-table"
                         : group->flow_timeout_ms != 0  ? "flow-timeout"
                         : group->bypass_mark.mask != 0 ? "bypass-mark"
                                                        : NULL;

    plan->flow_timeout_ms = group->flow_timeout_ms != 0 ? group->flow_timeout_ms : PLAN_FLOW_TIMEOUT_DEFAULT_MS;
    if (plan_who_needs(plan, NFQE_NEED_FLOW) != NULL) {
        plan->flows = group->flow_table != 0 ? group->flow_table : PLAN_FLOWS_DEFAULT;
    } else if (option != NULL) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--%s: no plugin of the chain decides for flows (NFQE_NEED_FLOW); leave the option out",
                         option);
    }
    return 0;
}

int plan_make(const struct queue_group *group, const struct plan_plugin *plugins, unsigned count, struct plan *plan,
              struct error *error)
{
    struct plan made = {.plugin_count = count,
                        .settings.max_len = group->max_len,
                        .no_enobufs = group->no_enobufs,
                        .receive_buffer = group->receive_buffer};
    int code;

    memcpy(made.plugins, plugins, count * sizeof(plugins[0]));
    code = plan_copy_range(group, &made, error);
    if (code == 0) {
        code = plan_flags(group, &made, error);
    }
    if (code == 0) {
        code = plan_flows(group, &made, error);
    }
    if (code == 0) {
        *plan = made;
    }
    return code;
}
