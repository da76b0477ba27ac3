/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --print-rules: the firewall rules that queue packets, and with --bypass-mark those that let accepted flows bypass the
 * queue.
 *
 * Packets are queued on the input, forward and output hooks at the priority of the mangle table, which is after
 * connection tracking. The rules ask for the state of connections in any case: then the kernel reassembles fragments
 * before the queue, so that no match of a protocol or port misses one, and what it finds invalid is dropped: a plugin
 * would decide by packets that their receiver ignores.
 *
 * An accept verdict ends the nft chain that queued the packet but not the hook, so chains of a later priority see the
 * packet with the mark that the engine set, and save the mark's bits in the connection, and clear them in the packet:
 * it may be sent through a tunnel next. On the output hook the engine sets none, since the kernel would route the
 * packet once more (burst/decide.h), so there is nothing to save.
 *
 * Only a packet of a flow that the engine has accepted may carry the bits, and only from the verdict to the rule that
 * saves them. The rules clear the bits where they come from elsewhere: of every packet before the queue, since the
 * kernel keeps a mark through tunnels; of a new expected connection (such as FTP data), since the kernel copies
 * the mark of the connection that announced it; and of a connection that gets a SYN, since after a reset by the
 * server the kernel uses its entry for the next connection with the same ports. They are saved only for protocols
 * whose connections every kernel tells apart: of others, all between two hosts may be one connection.
 *
 * With --reject-mark, answers to senders of dropped packets pass the queue, and with iptables the rules of the filter
 * table, too: they belong to no connection, so rules that drop the state `invalid` would drop them. They leave by the
 * output hook; those to senders on this machine come in by the input hook with the mark. An nft chain of another table
 * cannot be passed by a rule of this one.
 *
 * With --reject-by-rule, packets whose senders are to be told come to the rules a second time, with a mark. If the rule
 * that rejects them is missing they are queued again, and the engine drops them. Of iptables, only the filter table can
 * reject, so a rule in front of the queue lets them go there; after it, the security table drops what was not
 * rejected, since the filter table is the one that is flushed by other programs. What the kernel sends is related to the
 * connection; it passes the queue, or a dropped flow would drop it.
 *
 * Runs before any process is forked; writes to standard output.
 */
#include "config/firewall_rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The bits of the mark are saved on the first two. */
static const char *const hooks[][2] = {{"input", "INPUT"}, {"forward", "FORWARD"}, {"output", "OUTPUT"}};
#define HOOKS (sizeof(hooks) / sizeof(hooks[0]))
#define SAVING_HOOKS (HOOKS - 1)

/* Of answers to senders. */
static const char *const answer_hooks[] = {"INPUT", "OUTPUT"};
#define ANSWER_HOOKS (sizeof(answer_hooks) / sizeof(answer_hooks[0]))

/* Of which connection tracking always knows the ports, or what is in their place. */
static const char *const saved_protocols[] = {"tcp", "udp", "icmp", "icmpv6"};
#define SAVED_PROTOCOLS (sizeof(saved_protocols) / sizeof(saved_protocols[0]))

struct queue_range {
    unsigned first;
    unsigned last;
};

static int find_range(const struct options *options, struct queue_range *range, struct error *error)
{
    *range = (struct queue_range){options->queues[0], options->queues[0]};
    for (unsigned i = 1; i < options->queue_count; i++) {
        range->first = options->queues[i] < range->first ? options->queues[i] : range->first;
        range->last = options->queues[i] > range->last ? options->queues[i] : range->last;
    }
    if (range->last - range->first + 1 != options->queue_count) {
        return error_set(
            error, EXIT_CODE_CONFIGURATION, -EINVAL,
            "--print-rules: the queues between %u and %u are not all given; one rule takes a range such as "
            "--queue %u-%u",
            range->first, range->last, range->first, range->last);
    }
    return 0;
}

/* The bits where the engine did not set them, and then the connections that bypass the queue. */
static void print_nft_bypass(uint32_t bits, uint32_t mask)
{
    printf("\t\tmeta mark set meta mark and 0x%" PRIx32 "\n"
           "\t\tct state related ct status expected ct mark set ct mark and 0x%" PRIx32 "\n"
           "\t\ttcp flags & (fin | syn | rst | ack) == syn ct mark set ct mark and 0x%" PRIx32 "\n"
           "\t\tct mark and 0x%" PRIx32 " == 0x%" PRIx32 " counter accept\n",
           ~mask, ~mask, ~mask, mask, bits);
}

static void print_nft_save(uint32_t bits, uint32_t mask)
{
    printf("\tchain save {\n"
           "\t\tmeta l4proto { ");
    for (unsigned i = 0; i < SAVED_PROTOCOLS; i++) {
        printf("%s%s", i > 0 ? ", " : "", saved_protocols[i]);
    }
    printf(" } ct mark set ct mark and 0x%" PRIx32 " or 0x%" PRIx32 "\n"
           "\t\tmeta mark set meta mark and 0x%" PRIx32 "\n"
           "\t}\n",
           ~mask, bits, ~mask);
    for (unsigned i = 0; i < SAVING_HOOKS; i++) {
        printf("\tchain %s-save {\n"
               "\t\ttype filter hook %s priority mangle + 1; policy accept;\n"
               "\t\tmeta mark and 0x%" PRIx32 " == 0x%" PRIx32 " jump save\n"
               "\t}\n",
               hooks[i][0], hooks[i][0], mask, bits);
    }
}

/* Of options that name no mark it prints nothing. */
static void print_nft_answers(const struct mark_setting *mark)
{
    if (mark->mask != 0) {
        printf("\t\tmeta mark and 0x%" PRIx32 " == 0x%" PRIx32 " counter accept\n", mark->mask, mark->bits);
    }
}

static void print_nft_by_rule(const struct mark_setting *mark)
{
    if (mark->mask != 0) {
        printf("\t\tmeta mark and 0x%" PRIx32 " == 0x%" PRIx32 " meta l4proto tcp counter reject with tcp reset\n"
               "\t\tmeta mark and 0x%" PRIx32 " == 0x%" PRIx32 " counter reject\n"
               "\t\ttcp flags & rst == rst ct state related counter accept\n"
               "\t\tmeta l4proto { icmp, icmpv6 } ct state related fib saddr type local counter accept\n",
               mark->mask, mark->bits, mark->mask, mark->bits);
    }
}

static void print_nft(const struct options *options, const struct queue_range *range)
{
    uint32_t bits = options->bypass_mark.bits;
    uint32_t mask = options->bypass_mark.mask;

    printf("# For nft -f -. Loading it again replaces the rules.\n"
           "# To remove, once the engine has stopped: nft delete table inet nfq-engine\n"
           "table inet nfq-engine\n"
           "flush table inet nfq-engine\n"
           "table inet nfq-engine {\n"
           "\tchain to-queue {\n");
    print_nft_answers(&options->reject_mark);
    print_nft_by_rule(&options->reject_by_rule);
    if (mask != 0) {
        print_nft_bypass(bits, mask);
    }
    printf("\t\tct state invalid counter drop\n"
           "\t\tcounter queue num %u",
           range->first);
    printf(range->last > range->first ? "-%u bypass\n\t}\n" : " bypass\n\t}\n", range->last);
    for (unsigned i = 0; i < HOOKS; i++) {
        printf("\tchain %s {\n"
               "\t\ttype filter hook %s priority mangle; policy accept;\n"
               "\t\tjump to-queue\n"
               "\t}\n",
               hooks[i][0], hooks[i][0]);
    }
    if (mask != 0) {
        print_nft_save(bits, mask);
    }
    printf("}\n");
}

static void print_iptables_bypass(uint32_t bits, uint32_t mask, const char *prefix)
{
    printf("%s-A nfqe-queue -j MARK --set-xmark 0x0/0x%" PRIx32 "\n", prefix, mask);
    printf("%s-A nfqe-queue -m conntrack --ctstate RELATED --ctstatus EXPECTED -j CONNMARK --set-xmark 0x0/0x%" PRIx32
           "\n",
           prefix, mask);
    printf("%s-A nfqe-queue -p tcp --syn -j CONNMARK --set-xmark 0x0/0x%" PRIx32 "\n", prefix, mask);
    printf("%s-A nfqe-queue -m connmark --mark 0x%" PRIx32 "/0x%" PRIx32 " -j ACCEPT\n", prefix, bits, mask);
}

static void print_iptables_save(uint32_t bits, uint32_t mask, const char *prefix)
{
    printf("%s*filter\n%s:nfqe-save - [0:0]\n", prefix, prefix);
    printf("%s-A nfqe-save -m mark ! --mark 0x%" PRIx32 "/0x%" PRIx32 " -j RETURN\n", prefix, bits, mask);
    for (unsigned i = 0; i < SAVED_PROTOCOLS; i++) {
        printf("%s-A nfqe-save -p %s -j CONNMARK --save-mark --mask 0x%" PRIx32 "\n", prefix, saved_protocols[i], mask);
    }
    printf("%s-A nfqe-save -j MARK --set-xmark 0x0/0x%" PRIx32 "\n", prefix, mask);
    for (unsigned i = 0; i < SAVING_HOOKS; i++) {
        printf("%s-I %s 1 -j nfqe-save\n", prefix, hooks[i][1]);
    }
    printf("%sCOMMIT\n", prefix);
}

static void print_iptables_answers(const struct mark_setting *mark, const char *prefix)
{
    printf("%s*filter\n", prefix);
    for (unsigned i = 0; i < ANSWER_HOOKS; i++) {
        printf("%s-I %s 1 -m mark --mark 0x%" PRIx32 "/0x%" PRIx32 " -j ACCEPT\n", prefix, answer_hooks[i], mark->bits,
               mark->mask);
    }
    printf("%sCOMMIT\n", prefix);
}

/* Loaded first: a kernel without the security table refuses all of it. */
static void print_iptables_rejecting(const struct mark_setting *mark, const char *prefix)
{
    printf("%s*security\n", prefix);
    for (unsigned i = 0; i < HOOKS; i++) {
        printf("%s-A %s -m mark --mark 0x%" PRIx32 "/0x%" PRIx32 " -j DROP\n", prefix, hooks[i][1], mark->bits,
               mark->mask);
    }
    printf("%sCOMMIT\n%s*filter\n%s:nfqe-reject - [0:0]\n", prefix, prefix, prefix);
    printf("%s-A nfqe-reject -p tcp -j REJECT --reject-with tcp-reset\n%s-A nfqe-reject -j REJECT\n", prefix, prefix);
    for (unsigned i = 0; i < HOOKS; i++) {
        printf("%s-I %s 1 -m mark --mark 0x%" PRIx32 "/0x%" PRIx32 " -j nfqe-reject\n", prefix, hooks[i][1], mark->bits,
               mark->mask);
    }
    printf("%sCOMMIT\n", prefix);
}

/* In front of the queue. */
static void print_iptables_rejected(const struct mark_setting *mark, const char *prefix)
{
    printf("%s-A nfqe-queue -m mark --mark 0x%" PRIx32 "/0x%" PRIx32 " -j ACCEPT\n", prefix, mark->bits, mark->mask);
    printf("%s-A nfqe-queue -p tcp --tcp-flags RST RST -m conntrack --ctstate RELATED -j ACCEPT\n", prefix);
    printf("%s-A nfqe-queue -p icmp -m conntrack --ctstate RELATED -m addrtype --src-type LOCAL -j ACCEPT\n", prefix);
    printf("%s-A nfqe-queue -p icmpv6 -m conntrack --ctstate RELATED -m addrtype --src-type LOCAL -j ACCEPT\n", prefix);
}

/* prefix: written before each line. */
static void print_iptables(const struct options *options, const struct queue_range *range, const char *prefix)
{
    uint32_t bits = options->bypass_mark.bits;
    uint32_t mask = options->bypass_mark.mask;

    if (options->reject_by_rule.mask != 0) {
        print_iptables_rejecting(&options->reject_by_rule, prefix);
    }
    printf("%s*mangle\n%s:nfqe-queue - [0:0]\n", prefix, prefix);
    if (options->reject_by_rule.mask != 0) {
        print_iptables_rejected(&options->reject_by_rule, prefix);
    }
    if (options->reject_mark.mask != 0) {
        printf("%s-A nfqe-queue -m mark --mark 0x%" PRIx32 "/0x%" PRIx32 " -j ACCEPT\n", prefix,
               options->reject_mark.bits, options->reject_mark.mask);
    }
    if (mask != 0) {
        print_iptables_bypass(bits, mask, prefix);
    }
    printf("%s-A nfqe-queue -m conntrack --ctstate INVALID -j DROP\n", prefix);
    if (range->last > range->first) {
        printf("%s-A nfqe-queue -j NFQUEUE --queue-balance %u:%u --queue-bypass\n", prefix, range->first, range->last);
    } else {
        printf("%s-A nfqe-queue -j NFQUEUE --queue-num %u --queue-bypass\n", prefix, range->first);
    }
    for (unsigned i = 0; i < HOOKS; i++) {
        printf("%s-A %s -j nfqe-queue\n", prefix, hooks[i][1]);
    }
    printf("%sCOMMIT\n", prefix);
    if (mask != 0) {
        print_iptables_save(bits, mask, prefix);
    }
    if (options->reject_mark.mask != 0) {
        print_iptables_answers(&options->reject_mark, prefix);
    }
}

static void print_iptables_remarks(const struct options *options)
{
    const struct mark_setting *reject = &options->reject_mark;
    const struct mark_setting *by_rule = &options->reject_by_rule;

    printf("# For iptables-restore --noflush, and the same for ip6tables-restore --noflush. To remove, with each of\n"
           "# iptables and ip6tables (and before it is loaded again, or the jumps would be there twice):\n"
           "#   for hook in INPUT FORWARD OUTPUT; do iptables -t mangle -D $hook -j nfqe-queue; done\n"
           "#   iptables -t mangle -F nfqe-queue; iptables -t mangle -X nfqe-queue\n");
    if (options->bypass_mark.mask != 0) {
        printf("#   for hook in INPUT FORWARD; do iptables -D $hook -j nfqe-save; done\n"
               "#   iptables -F nfqe-save; iptables -X nfqe-save\n");
    }
    if (reject->mask != 0) {
        printf("#   for hook in INPUT OUTPUT; do iptables -D $hook -m mark --mark 0x%" PRIx32 "/0x%" PRIx32
               " -j ACCEPT; done\n",
               reject->bits, reject->mask);
    }
    if (by_rule->mask != 0) {
        printf("#   for hook in INPUT FORWARD OUTPUT; do\n"
               "#     iptables -D $hook -m mark --mark 0x%" PRIx32 "/0x%" PRIx32 " -j nfqe-reject\n"
               "#     iptables -t security -D $hook -m mark --mark 0x%" PRIx32 "/0x%" PRIx32 " -j DROP\n"
               "#   done; iptables -F nfqe-reject; iptables -X nfqe-reject\n",
               by_rule->bits, by_rule->mask, by_rule->bits, by_rule->mask);
    }
}

/* What nft says of a kernel that refuses its rules does not name the reason. */
static void print_nft_remark(enum rules_form form, bool missing)
{
    if (missing && form == RULES_IPTABLES) {
        return;
    }
    if (missing) {
        printf("# This kernel has no queue statement for nft (CONFIG_NFT_QUEUE)%s.\n",
               form == RULES_NFT ? " and refuses these rules; use --print-rules=iptables"
                                 : ", so the rules are for iptables alone");
    } else if (form != RULES_IPTABLES) {
        printf("# If nft says \"No such file or directory\" at the queue statement, the kernel is built without\n"
               "# CONFIG_NFT_QUEUE; use --print-rules=iptables then.\n");
    }
}

static void print_remarks(bool nft)
{
    printf("# Every packet to, from and through this machine is queued, but what connection tracking finds invalid is "
           "dropped.\n"
           "# The kernel reassembles fragments before that. While no engine runs, packets pass.\n"
           "# To queue only some connections, in both directions, put a match before the queue statement, such as\n"
           "#   %s\n"
           "# On the output hook, packets have their addresses from before destination NAT.\n",
           nft ? "meta l4proto tcp ct original proto-dst 443" : "-p tcp -m conntrack --ctorigdstport 443");
}

int firewall_rules_print(const struct options *options, struct error *error)
{
    enum rules_form form = options->print_rules;
    struct queue_range range;
    int code = find_range(options, &range, error);

    if (code != 0) {
        return code;
    }
    print_nft_remark(form, options->nft_queue_missing);
    if (form == RULES_BOTH && options->nft_queue_missing) {
        form = RULES_IPTABLES;
    }
    print_remarks(form != RULES_IPTABLES);
    if (form != RULES_IPTABLES) {
        print_nft(options, &range);
    }
    if (form == RULES_BOTH) {
        printf("\n# The same with iptables; print only this with --print-rules=iptables.\n");
    }
    if (form != RULES_NFT) {
        print_iptables_remarks(options);
        print_iptables(options, &range, form == RULES_BOTH ? "# " : "");
    }
    return 0;
}
