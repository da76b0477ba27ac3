/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds bridges and their ports with rtnetlink: one dump of all links that are bridges, then for each of them one of
 * the links that have it as their master. The kernel filters both.
 *
 * Whether br_netfilter is loaded, and for which families it is on, is in /proc/sys/net/bridge. Runs once, at the start;
 * the number of bridges that are looked at is limited. Process: [supervisor].
 */
#include "queue/bridges.h"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define BRIDGES_MAX 64
#define PORTS_MIN 2 /* of one alone there are no copies */
#define DUMP_SIZE 32768 /* the kernel's messages of a dump are not larger */

static const char *const switches[] = {"/proc/sys/net/bridge/bridge-nf-call-iptables",
                                       "/proc/sys/net/bridge/bridge-nf-call-ip6tables"};

struct links {
    unsigned count;
    int indices[BRIDGES_MAX]; /* of the first ones */
};

static bool is_on(const char *path)
{
    FILE *file = fopen(path, "re");
    bool on = file != NULL && fgetc(file) == '1';

    if (file != NULL) {
        fclose(file);
    }
    return on;
}

static int add_link(const struct nlmsghdr *header, void *context)
{
    const struct ifinfomsg *link = mnl_nlmsg_get_payload(header);
    struct links *links = context;

    if (header->nlmsg_type != RTM_NEWLINK) {
        return MNL_CB_OK;
    }
    if (links->count < BRIDGES_MAX) {
        links->indices[links->count] = link->ifi_index;
    }
    links->count++;
    return MNL_CB_OK;
}

/* Lists the bridges; or if master is not 0, its ports. False: the kernel does not answer. */
static bool list_links(struct mnl_socket *socket, int master, struct links *links)
{
    static char answer[DUMP_SIZE];
    char request[MNL_ALIGN(sizeof(struct nlmsghdr)) + 128];
    struct nlmsghdr *header = mnl_nlmsg_put_header(request);
    struct ifinfomsg *link;
    int code = MNL_CB_OK;

    header->nlmsg_type = RTM_GETLINK;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    link = mnl_nlmsg_put_extra_header(header, sizeof(*link));
    link->ifi_family = AF_UNSPEC;
    if (master != 0) {
        mnl_attr_put_u32(header, IFLA_MASTER, (uint32_t)master);
    } else {
        struct nlattr *information = mnl_attr_nest_start(header, IFLA_LINKINFO);

        mnl_attr_put_strz(header, IFLA_INFO_KIND, "bridge");
        mnl_attr_nest_end(header, information);
    }
    *links = (struct links){0};
    if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0) {
        return false;
    }
    while (code == MNL_CB_OK) {
        ssize_t len = mnl_socket_recvfrom(socket, answer, sizeof(answer));

        code = len < 0 ? MNL_CB_ERROR : mnl_cb_run(answer, (size_t)len, 0, 0, add_link, links);
    }
    return code == MNL_CB_STOP;
}

static bool find(struct mnl_socket *socket, char name[IF_NAMESIZE])
{
    struct links bridges;
    struct links ports;

    if (!list_links(socket, 0, &bridges)) {
        return false;
    }
    for (unsigned i = 0; i < bridges.count && i < BRIDGES_MAX; i++) {
        if (list_links(socket, bridges.indices[i], &ports) && ports.count >= PORTS_MIN &&
            if_indextoname((unsigned)bridges.indices[i], name) != NULL) {
            return true;
        }
    }
    return false;
}

bool bridges_find_filtered(char name[IF_NAMESIZE])
{
    struct mnl_socket *socket;
    bool found;

    if (!is_on(switches[0]) && !is_on(switches[1])) {
        return false;
    }
    socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (socket == NULL) {
        return false;
    }
    found = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 && find(socket, name);
    mnl_socket_close(socket);
    return found;
}
