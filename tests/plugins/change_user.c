/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * change_user - open() becomes the user nobody, as a plugin that means well might do.
 *
 * With that the worker loses every capability, CAP_NET_ADMIN included, and the kernel takes no verdict from it any
 * more. With keep=on the plugin keeps that one. A change of user also clears the signal that a process asked
 * to get when its parent dies.
 */
#include <nfqe/plugin.h>

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY 65534

static int load(const struct nfqe_host *host, const struct nfqe_value *values, size_t n, void **shared)
{
    static int keep;

    (void)host;
    (void)n;
    keep = (int)values[0].integer;
    *shared = &keep;
    return 0;
}

static int keep_net_admin(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
        {.effective = 1u << CAP_NET_ADMIN, .permitted = 1u << CAP_NET_ADMIN}};

    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int open_worker(const struct nfqe_host *host, const void *shared, const struct nfqe_state *old, void **self)
{
    int keep = *(const int *)shared;

    (void)host;
    (void)old;
    (void)self;
    prctl(PR_SET_KEEPCAPS, keep);
    if (setuid(NOBODY) < 0) {
        return -errno;
    }
    return keep ? keep_net_admin() : 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

static const struct nfqe_option options[] = {
    {.name = "keep", .type = NFQE_OPTION_BOOLEAN, .default_value = "off", .help = "keep CAP_NET_ADMIN"},
    {.name = NULL},
};

NFQE_PLUGIN(.id = "change_user", .version = "1.0.0", .options = options, .load = load, .open = open_worker,
            .handle = handle)
