/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See rules.h.
 *
 * Packets are queued on the input, forward and output hooks at the priority of the mangle table: behind
 * connection tracking and destination NAT, so both directions of a flow have the same addresses there.
 * The mark is saved in chains that come later: a verdict ends the chain that queued, not the hook.
 */
#include "rules.h"

#include "refuse.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

static const char *const hooks[][2] = {{"input", "INPUT"}, {"forward", "FORWARD"}, {"output", "OUTPUT"}};
#define HOOKS (sizeof(hooks) / sizeof(hooks[0]))

struct queue_range {
    unsigned first;
    unsigned last;
};

static enum exit_code find_range(const struct options *options, struct queue_range *range, char *error)
{
    *range = (struct queue_range){options->queues[0], options->queues[0]};
    for (unsigned i = 1; i < options->queue_count; i++) {
        range->first = options->queues[i] < range->first ? options->queues[i] : range->first;
        range->last = options->queues[i] > range->last ? options->queues[i] : range->last;
    }
    if (range->last - range->first + 1 != options->queue_count) {
        return refuse(error, OPTIONS_ERROR_MAX, EXIT_CODE_CONFIGURATION,
                      "--print-rules: the queues between %u and %u are not all given; one rule takes a range such as "
                      "--queue %u-%u",
                      range->first, range->last, range->first, range->last);
    }
    return EXIT_CODE_OK;
}

static void print_nft(const struct options *options, const struct queue_range *range)
{
    uint32_t bits = options->bypass_mark.bits;
    uint32_t mask = options->bypass_mark.mask;

    printf("# For nft -f -. To remove: nft delete table inet nfq-engine\n"
           "table inet nfq-engine {\n"
           "\tchain to-queue {\n");
    if (mask != 0) {
        printf("\t\tct mark and 0x%" PRIx32 " == 0x%" PRIx32 " counter accept\n", mask, bits);
    }
    printf("\t\tcounter queue num %u", range->first);
    printf(range->last > range->first ? "-%u bypass\n\t}\n" : " bypass\n\t}\n", range->last);
    for (unsigned i = 0; i < HOOKS; i++) {
        printf("\tchain %s {\n"
               "\t\ttype filter hook %s priority mangle; policy accept;\n"
               "\t\tjump to-queue\n"
               "\t}\n",
               hooks[i][0], hooks[i][0]);
    }
    for (unsigned i = 0; i < HOOKS && mask != 0; i++) {
        printf("\tchain %s-save {\n"
               "\t\ttype filter hook %s priority mangle + 1; policy accept;\n"
               "\t\tmeta mark and 0x%" PRIx32 " == 0x%" PRIx32 " ct mark set ct mark and 0x%" PRIx32 " or 0x%" PRIx32
               "\n"
               "\t}\n",
               hooks[i][0], hooks[i][0], mask, bits, ~mask, bits);
    }
    printf("}\n");
}

/* prefix: in front of each line. */
static void print_iptables(const struct options *options, const struct queue_range *range, const char *prefix)
{
    uint32_t bits = options->bypass_mark.bits;
    uint32_t mask = options->bypass_mark.mask;

    printf("%s*mangle\n%s:nfqe-queue - [0:0]\n", prefix, prefix);
    if (mask != 0) {
        printf("%s-A nfqe-queue -m connmark --mark 0x%" PRIx32 "/0x%" PRIx32 " -j ACCEPT\n", prefix, bits, mask);
    }
    if (range->last > range->first) {
        printf("%s-A nfqe-queue -j NFQUEUE --queue-balance %u:%u --queue-bypass\n", prefix, range->first, range->last);
    } else {
        printf("%s-A nfqe-queue -j NFQUEUE --queue-num %u --queue-bypass\n", prefix, range->first);
    }
    for (unsigned i = 0; i < HOOKS; i++) {
        printf("%s-A %s -j nfqe-queue\n", prefix, hooks[i][1]);
    }
    printf("%sCOMMIT\n", prefix);
    if (mask == 0) {
        return;
    }
    printf("%s*filter\n%s:nfqe-save - [0:0]\n", prefix, prefix);
    printf("%s-A nfqe-save -m mark --mark 0x%" PRIx32 "/0x%" PRIx32 " -j CONNMARK --save-mark --mask 0x%" PRIx32 "\n",
           prefix, bits, mask, mask);
    for (unsigned i = 0; i < HOOKS; i++) {
        printf("%s-I %s 1 -j nfqe-save\n", prefix, hooks[i][1]);
    }
    printf("%sCOMMIT\n", prefix);
}

static void print_iptables_remarks(void)
{
    printf("# For iptables-restore --noflush, and the same for ip6tables-restore --noflush. To remove, for each of\n"
           "# the hooks: iptables -t mangle -D HOOK -j nfqe-queue; iptables -D HOOK -j nfqe-save\n");
}

enum exit_code rules_print(const struct options *options, char *error)
{
    struct queue_range range;
    enum exit_code code = find_range(options, &range, error);

    if (code != EXIT_CODE_OK) {
        return code;
    }
    printf("# Every packet to, from and through this machine goes to the queues, and passes while nobody owns them.\n"
           "# To queue only some of them, put a match such as `%s` in front of the queue.\n",
           options->print_rules == RULES_IPTABLES ? "-p tcp --dport 443" : "tcp dport 443");
    if (options->print_rules != RULES_IPTABLES) {
        print_nft(options, &range);
    }
    if (options->print_rules == RULES_BOTH) {
        printf("\n# The same with iptables; print only this with --print-rules=iptables.\n");
    }
    if (options->print_rules != RULES_NFT) {
        print_iptables_remarks();
        print_iptables(options, &range, options->print_rules == RULES_BOTH ? "# " : "");
    }
    return EXIT_CODE_OK;
}
