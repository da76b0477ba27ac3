/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decides how the queues of a group are bound: how many bytes of a packet the kernel copies, which queue flags are set,
 * and whether there is a flow table.
 *
 * The plugin that needs most decides. An option may ask for more than the plugins need; one that asks for less is
 * refused, and so is one that no plugin makes use of. What a plugin uses without a need is asked for, too, and refuses
 * nothing; what the options leave no room for is taken out of its uses. Reads nothing but the group and what the plugins
 * declare, so the result is the same on every machine. Runs in the supervisor, once for each plugin chain.
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

/* Whether a plugin needs or uses one of these. */
static bool is_wanted(const struct plan *plan, uint64_t needs)
{
    for (unsigned i = 0; i < plan->plugin_count; i++) {
        if (((plan->plugins[i].needs | plan->plugins[i].uses) & needs) != 0) {
            return true;
        }
    }
    return false;
}

/* Bytes of each packet that go with these needs; 0: none. For flow verdicts and answers the engine reads headers itself. */
static uint32_t find_bytes(uint64_t needs, uint32_t header_bytes)
{
    uint32_t headers = (needs & NFQE_NEED_HEADERS) != 0 ? header_bytes : 0;

    if ((needs & (NFQE_NEED_PAYLOAD | NFQE_NEED_MODIFY)) != 0) {
        return COPY_RANGE_MAX; /* a changed packet replaces the whole one */
    }
    if ((needs & (NFQE_NEED_FLOW | NFQE_NEED_INJECT)) != 0 && headers < NFQE_HEADER_BYTES_DEFAULT) {
        return NFQE_HEADER_BYTES_DEFAULT;
    }
    return headers;
}

/* Bytes to copy for the plugin: if it wants headers, so many that hardly a packet hides them. */
static uint32_t wanted_bytes(const struct plan_plugin *plugin)
{
    uint32_t wanted = find_bytes(plugin->needs | plugin->uses, plugin->header_bytes);

    return wanted > 0 && wanted < PLAN_HEADER_BYTES ? PLAN_HEADER_BYTES : wanted;
}

/* How much of each packet the kernel copies: what the user says, which must be enough, or what the plugins want. */
static int plan_copy_range(const struct queue_group *group, struct plan *plan, struct error *error)
{
    uint32_t largest = 0;

    for (unsigned i = 0; i < plan->plugin_count; i++) {
        uint32_t needed = find_bytes(plan->plugins[i].needs, plan->plugins[i].header_bytes);
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

/*
 * Answers need the addresses from before a NAT, which the connection has. Without it they are those of the packet, which
 * is as good where there is no NAT.
 */
static void plan_nat(const struct queue_group *group, struct plan *plan)
{
    if (is_wanted(plan, NFQE_NEED_INJECT) && group->reject_by_rule.mask == 0 &&
        (plan->settings.flags & QUEUE_CONNTRACK) == 0) {
        plan->settings.flags |= QUEUE_CONNTRACK;
        plan->optional_flags |= plan_who_needs(plan, NFQE_NEED_CONNTRACK) == NULL ? QUEUE_CONNTRACK : 0;
    }
}

static int plan_flags(const struct queue_group *group, struct plan *plan, struct error *error)
{
    /* The length of a packet that segmentation offload made cannot change. */
    const struct plan_plugin *segments = plan_who_needs(plan, NFQE_NEED_SEGMENTS | NFQE_NEED_MODIFY);
    /* Of a packet that segmentation offload made, up to 512 KiB, the kernel copies no more than of any other. */
    bool whole = !is_wanted(plan, NFQE_NEED_SEGMENTS | NFQE_NEED_PAYLOAD | NFQE_NEED_MODIFY);
    bool gso = group->gso == GSO_ON || (group->gso == GSO_AUTO && whole);
    uint32_t flags = (group->fail_open ? QUEUE_FAIL_OPEN : 0) | (group->conntrack ? QUEUE_CONNTRACK : 0) |
                     (gso ? QUEUE_GSO : 0) | (group->uid_gid ? QUEUE_UID_GID : 0) | (group->secctx ? QUEUE_SECCTX : 0);

    if (group->gso == GSO_ON && segments != NULL) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--gso on: plugin %s needs packets one by one, as they are on the wire; leave the option out",
                         segments->id);
    }
    plan->settings.flags = flags;
    plan_nat(group, plan);
    plan->optional_flags |= group->gso == GSO_AUTO ? QUEUE_GSO : 0;
    for (size_t i = 0; i < QUEUE_FLAG_COUNT; i++) {
        const struct queue_flag *flag = &queue_flags[i];

        if (is_wanted(plan, flag->need)) {
            plan->settings.flags |= flag->bit;
            if ((flags & flag->bit) == 0 && plan_who_needs(plan, flag->need) == NULL) {
                plan->optional_flags |= flag->bit;
            }
        }
    }
    return 0;
}

static int plan_flows(const struct queue_group *group, struct plan *plan, struct error *error)
{
    const char *option = group->flow_table != 0         ? "flow-table"
                         : group->flow_timeout_ms != 0  ? "flow-timeout"
                         : group->bypass_mark.mask != 0 ? "bypass-mark"
                                                        : NULL;

    plan->flow_timeout_ms = group->flow_timeout_ms != 0 ? group->flow_timeout_ms : PLAN_FLOW_TIMEOUT_DEFAULT_MS;
    if (is_wanted(plan, NFQE_NEED_FLOW)) {
        plan->flows = group->flow_table != 0 ? group->flow_table : PLAN_FLOWS_DEFAULT;
    } else if (option != NULL) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--%s: no plugin of the chain decides for flows (NFQE_NEED_FLOW); leave the option out",
                         option);
    }
    return 0;
}

static void withhold(struct plan *plan, uint64_t uses)
{
    for (unsigned i = 0; i < plan->plugin_count; i++) {
        plan->plugins[i].uses &= ~uses;
    }
}

static int plan_repeats(const struct queue_group *group, struct plan *plan, struct error *error)
{
    uint32_t mask = group->repeat_mask != 0 ? group->repeat_mask : PLAN_REPEAT_MASK_DEFAULT;
    bool optional = group->repeat_mask == 0 && plan_who_needs(plan, NFQE_NEED_REQUEUE) == NULL;

    if (!is_wanted(plan, NFQE_NEED_REQUEUE)) {
        return group->repeat_mask == 0
                   ? 0
                   : error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                               "--repeat-mark: no plugin of the chain has the rules run again (NFQE_NEED_REQUEUE); "
                               "leave the option out");
    }
    if ((mask & group->bypass_mark.mask) != 0 && optional) {
        withhold(plan, NFQE_NEED_REQUEUE);
        return 0;
    }
    if ((mask & group->bypass_mark.mask) != 0) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--repeat-mark 0x%" PRIx32 ": has bits of --bypass-mark; name others", mask);
    }
    plan->repeat_mask = mask;
    return 0;
}

static int plan_rejects(const struct queue_group *group, struct plan *plan, struct error *error)
{
    const struct mark_setting *mark = group->reject_by_rule.mask != 0 ? &group->reject_by_rule : &group->reject_mark;
    const char *name = group->reject_by_rule.mask != 0 ? "reject-by-rule" : "reject-mark";
    const char *option = mark->mask != 0 ? name : group->reject_rate != 0 ? "reject-rate" : NULL;

    if (!is_wanted(plan, NFQE_NEED_INJECT)) {
        return option == NULL ? 0
                              : error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                                          "--%s: no plugin of the chain tells senders that their packets are dropped "
                                          "(NFQE_NEED_INJECT); leave the option out",
                                          option);
    }
    if ((mark->mask & (group->bypass_mark.mask | plan->repeat_mask)) != 0) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--%s 0x%" PRIx32 "/0x%" PRIx32 ": has bits of --bypass-mark or --repeat-mark; name others",
                         name, mark->bits, mark->mask);
    }
    plan->rejects = true;
    plan->reject_rate = group->reject_rate != 0 ? group->reject_rate : PLAN_REJECT_RATE_DEFAULT;
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
    made.changes = is_wanted(&made, NFQE_NEED_MODIFY);
    code = plan_copy_range(group, &made, error);
    if (code == 0) {
        code = plan_flags(group, &made, error);
    }
    if (code == 0) {
        code = plan_flows(group, &made, error);
    }
    if (code == 0) {
        code = plan_repeats(group, &made, error);
    }
    if (code == 0) {
        code = plan_rejects(group, &made, error);
    }
    if (code == 0) {
        *plan = made;
    }
    return code;
}
