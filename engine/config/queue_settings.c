/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of queue flags: the need of a plugin that asks for the flag, its name in options and logs, and the kernel
 * version or option that it requires.
 *
 * plan.c sets the flags by this table, queue/ probes the kernel by it, and the startup report names the flags by it. So
 * a new flag is one more line here. Constant data, read in every process.
 */
#include "config/queue_settings.h"

#include <nfqe/plugin.h>

#include <string.h>

const struct queue_flag queue_flags[QUEUE_FLAG_COUNT] = {
    {QUEUE_FAIL_OPEN, 0, "fail-open", "Linux 3.6"},
    {QUEUE_CONNTRACK, NFQE_NEED_CONNTRACK, "conntrack", "CONFIG_NETFILTER_NETLINK_GLUE_CT and nf_conntrack_netlink"},
    {QUEUE_GSO, 0, "gso", "Linux 3.10"},
    {QUEUE_UID_GID, NFQE_NEED_OWNER, "uid-gid", "Linux 3.14"},
    {QUEUE_SECCTX, NFQE_NEED_SECCTX, "secctx", "CONFIG_NETWORK_SECMARK"},
};

_Static_assert(sizeof("fail-open,conntrack,gso,uid-gid,secctx") <= QUEUE_FLAG_NAMES_MAX, "all names fit");

const char *queue_flag_names(uint32_t flags, char *text)
{
    char *end = text;

    for (size_t i = 0; i < QUEUE_FLAG_COUNT; i++) {
        if ((flags & queue_flags[i].bit) != 0) {
            if (end != text) {
                *end++ = ',';
            }
            end = stpcpy(end, queue_flags[i].name);
        }
    }
    if (end == text) {
        strcpy(text, "none");
    }
    return text;
}
