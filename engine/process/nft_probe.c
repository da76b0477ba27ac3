/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asks the kernel for a rule with a queue statement, in a transaction that is never committed.
 *
 * nf_tables takes changes as a batch of messages between two marks. It checks each message as it comes, and loads the
 * module that a statement needs; without the mark at the end it takes everything back. So the table, the chain and the
 * rule of the batch are never there for others, and the answer to the rule is all that is left: ENOENT if there is no
 * such statement. Without CAP_NET_ADMIN or nf_tables the kernel refuses the batch as a whole, with an error of its
 * first message, and nothing is known. Process: the one that prints the rules.
 */
#include "process/nft_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define NAME "nfqe-probe"
#define ANSWER_SECONDS 2 /* the kernel may have to load a module */

enum { SEQUENCE_BEGIN = 1, SEQUENCE_TABLE, SEQUENCE_CHAIN, SEQUENCE_RULE };

/* Begins a message in the batch. */
static struct nlmsghdr *put_message(struct mnl_nlmsg_batch *batch, uint16_t type, uint16_t flags, uint32_t sequence,
                                    uint16_t subsystem)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(mnl_nlmsg_batch_current(batch));
    struct nfgenmsg *family;

    header->nlmsg_type = type;
    header->nlmsg_flags = NLM_F_REQUEST | flags;
    header->nlmsg_seq = sequence;
    family = mnl_nlmsg_put_extra_header(header, sizeof(*family));
    *family = (struct nfgenmsg){.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0, .res_id = htons(subsystem)};
    return header;
}

static struct nlmsghdr *put_change(struct mnl_nlmsg_batch *batch, uint16_t type, uint16_t flags, uint32_t sequence)
{
    return put_message(batch, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, sequence, 0);
}

static void put_rule(struct mnl_nlmsg_batch *batch)
{
    struct nlmsghdr *rule = put_change(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, SEQUENCE_RULE);
    struct nlattr *statements;
    struct nlattr *statement;
    struct nlattr *data;

    mnl_attr_put_strz(rule, NFTA_RULE_TABLE, NAME);
    mnl_attr_put_strz(rule, NFTA_RULE_CHAIN, NAME);
    statements = mnl_attr_nest_start(rule, NFTA_RULE_EXPRESSIONS);
    statement = mnl_attr_nest_start(rule, NFTA_LIST_ELEM);
    mnl_attr_put_strz(rule, NFTA_EXPR_NAME, "queue");
    data = mnl_attr_nest_start(rule, NFTA_EXPR_DATA);
    mnl_attr_put_u16(rule, NFTA_QUEUE_NUM, 0);
    mnl_attr_put_u16(rule, NFTA_QUEUE_TOTAL, htons(1));
    mnl_attr_nest_end(rule, data);
    mnl_attr_nest_end(rule, statement);
    mnl_attr_nest_end(rule, statements);
}

static void put_all(struct mnl_nlmsg_batch *batch)
{
    struct nlmsghdr *message;

    put_message(batch, NFNL_MSG_BATCH_BEGIN, 0, SEQUENCE_BEGIN, NFNL_SUBSYS_NFTABLES);
    mnl_nlmsg_batch_next(batch);
    message = put_change(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE, SEQUENCE_TABLE);
    mnl_attr_put_strz(message, NFTA_TABLE_NAME, NAME);
    mnl_nlmsg_batch_next(batch);
    message = put_change(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE, SEQUENCE_CHAIN);
    mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, NAME);
    mnl_attr_put_strz(message, NFTA_CHAIN_NAME, NAME);
    mnl_nlmsg_batch_next(batch);
    put_rule(batch);
    mnl_nlmsg_batch_next(batch);
}

/*
 * Whether the answer is in these messages: the one to the rule, or an error of a message before it, which leaves the
 * rule without a meaning. *missing: the kernel found all that the rule refers to, but not its statement.
 */
static bool find_answer(const char *bytes, size_t size, bool *missing)
{
    const struct nlmsghdr *header = (const void *)bytes;
    int len = (int)size;

    for (; mnl_nlmsg_ok(header, len); header = mnl_nlmsg_next(header, &len)) {
        const struct nlmsgerr *answer = mnl_nlmsg_get_payload(header);
        bool is_rule = header->nlmsg_seq == SEQUENCE_RULE;

        if (header->nlmsg_type == NLMSG_ERROR && mnl_nlmsg_get_payload_len(header) >= sizeof(*answer) &&
            (is_rule || (answer->error != 0 && header->nlmsg_seq < SEQUENCE_RULE))) {
            *missing = is_rule && answer->error == -ENOENT;
            return true;
        }
    }
    return false;
}

static bool ask(struct mnl_socket *socket)
{
    const struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    static char request[4096];
    static char answer[8192];
    struct mnl_nlmsg_batch *batch = mnl_nlmsg_batch_start(request, sizeof(request) / 2);
    bool missing = false;

    if (batch == NULL) {
        return false;
    }
    put_all(batch);
    setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (mnl_socket_sendto(socket, mnl_nlmsg_batch_head(batch), mnl_nlmsg_batch_size(batch)) >= 0) {
        ssize_t len;

        do {
            len = mnl_socket_recvfrom(socket, answer, sizeof(answer));
        } while (len > 0 && !find_answer(answer, (size_t)len, &missing));
    }
    mnl_nlmsg_batch_stop(batch);
    return missing;
}

bool nft_probe_queue_is_missing(void)
{
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    bool missing = socket != NULL && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 && ask(socket);

    if (socket != NULL) {
        mnl_socket_close(socket);
    }
    return missing;
}
