/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * firewall_rules_print(): the rules for one queue and for several, with a mark and without, in each form.
 *
 * Complete texts are compared. A text with both forms is for nft, so every line of the other form must be a comment.
 */
#include "unit.h"

#include "config/firewall_rules.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT_MAX 16384

/* What firewall_rules_print() writes to standard output, as a string. */
static enum exit_code print(const struct options *options, char text[TEXT_MAX], struct error *error)
{
    int saved = dup(STDOUT_FILENO);
    int file = memfd_create("rules", 0);
    int code;
    ssize_t len;

    fflush(stdout);
    dup2(file, STDOUT_FILENO);
    code = firewall_rules_print(options, error);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    len = pread(file, text, TEXT_MAX - 1, 0);
    close(file);
    close(saved);
    assert_in_range(len, 0, TEXT_MAX - 2);
    text[len] = '\0';
    return code == 0 ? EXIT_CODE_OK : error->exit_code;
}

static void print_rules(const struct options *options, char text[TEXT_MAX])
{
    struct error error = {0};

    assert_int_equal(print(options, text, &error), EXIT_CODE_OK);
    assert_string_equal(error.text, "");
}

static void assert_rules(const struct options *options, const char *expected)
{
    char text[TEXT_MAX];

    print_rules(options, text);
    assert_string_equal(text, expected);
}

#define WITH_MARK .bypass_mark = {.bits = 0x10, .mask = 0xf0}

#define INTRODUCTION(match)                                                                                            \
    "# Every packet to, from and through this machine is queued, but what connection tracking finds invalid is "       \
    "dropped.\n"                                                                                                       \
    "# The kernel reassembles fragments before that. While no engine runs, packets pass.\n"                            \
    "# To queue only some connections, in both directions, put a match before the queue statement, such as\n"          \
    "#   " match "\n"                                                                                                  \
    "# On the output hook, packets have their addresses from before destination NAT.\n"

/* ---- nft ----------------------------------------------------------------------------------------------- */

#define NFT_RULES                                                                                                      \
    INTRODUCTION("meta l4proto tcp ct original proto-dst 443")                                                         \
    "# For nft -f -. Loading it again replaces the rules.\n"                                                           \
    "# To remove, once the engine has stopped: nft delete table inet nfq-engine\n"

#define NFT_INTRODUCTION                                                                                               \
    "# If nft says \"No such file or directory\" at the queue statement, the kernel is built without\n"                \
    "# CONFIG_NFT_QUEUE; use --print-rules=iptables then.\n" NFT_RULES

/* The first line creates the table, so that the second one can flush it. */
#define NFT_TABLE                                                                                                      \
    "table inet nfq-engine\n"                                                                                          \
    "flush table inet nfq-engine\n"                                                                                    \
    "table inet nfq-engine {\n"                                                                                        \
    "\tchain to-queue {\n"

#define NFT_HOOKS                                                                                                      \
    "\tchain input {\n"                                                                                                \
    "\t\ttype filter hook input priority mangle; policy accept;\n"                                                     \
    "\t\tjump to-queue\n"                                                                                              \
    "\t}\n"                                                                                                            \
    "\tchain forward {\n"                                                                                              \
    "\t\ttype filter hook forward priority mangle; policy accept;\n"                                                   \
    "\t\tjump to-queue\n"                                                                                              \
    "\t}\n"                                                                                                            \
    "\tchain output {\n"                                                                                               \
    "\t\ttype filter hook output priority mangle; policy accept;\n"                                                    \
    "\t\tjump to-queue\n"                                                                                              \
    "\t}\n"

#define NFT_SAVE(bits, others)                                                                                         \
    "\tchain save {\n"                                                                                                 \
    "\t\tmeta l4proto { tcp, udp, icmp, icmpv6 } ct mark set ct mark and " others " or " bits "\n"                     \
    "\t\tmeta mark set meta mark and " others "\n"                                                                     \
    "\t}\n"

#define NFT_SAVE_ON(hook, mask, bits)                                                                                  \
    "\tchain " hook "-save {\n"                                                                                        \
    "\t\ttype filter hook " hook " priority mangle + 1; policy accept;\n"                                              \
    "\t\tmeta mark and " mask " == " bits " jump save\n"                                                               \
    "\t}\n"

#define NFT_QUEUE(queues)                                                                                              \
    "\t\tct state invalid counter drop\n"                                                                              \
    "\t\tcounter queue num " queues " bypass\n"                                                                        \
    "\t}\n" NFT_HOOKS

#define NFT_WITH_MARK(queues, mask, bits, others)                                                                      \
    NFT_INTRODUCTION NFT_TABLE "\t\tmeta mark set meta mark and " others "\n"                                          \
                               "\t\tct state related ct status expected ct mark set ct mark and " others "\n"          \
                               "\t\ttcp flags & (fin | syn | rst | ack) == syn ct mark set ct mark and " others "\n"   \
                               "\t\tct mark and " mask " == " bits " counter accept\n" NFT_QUEUE(queues)               \
                                   NFT_SAVE(bits, others) NFT_SAVE_ON("input", mask, bits)                             \
                                       NFT_SAVE_ON("forward", mask, bits) "}\n"

#define NFT_WITHOUT_MARK(queues) NFT_INTRODUCTION NFT_TABLE NFT_QUEUE(queues) "}\n"

#define THIS_KERNEL "# This kernel has no queue statement for nft (CONFIG_NFT_QUEUE)"

static void test_nft_rules_queue_everything_with_bypass(void **state)
{
    (void)state;
    assert_rules(&(struct options){.print_rules = RULES_NFT, .queues = {7}, .queue_count = 1}, NFT_WITHOUT_MARK("7"));
    assert_rules(&(struct options){.print_rules = RULES_NFT, .queues = {0, 1, 2}, .queue_count = 3},
                 NFT_WITHOUT_MARK("0-2"));
    assert_rules(&(struct options){.print_rules = RULES_NFT, .queues = {65535}, .queue_count = 1},
                 NFT_WITHOUT_MARK("65535"));
}

/* The rules clear the engine's bits of a mark and leave its other bits alone. */
static void test_nft_rules_let_marked_flows_and_no_others_pass_and_save_the_mark(void **state)
{
    (void)state;
    assert_rules(&(struct options){.print_rules = RULES_NFT, .queues = {7}, .queue_count = 1, WITH_MARK},
                 NFT_WITH_MARK("7", "0xf0", "0x10", "0xffffff0f"));
    assert_rules(&(struct options){.print_rules = RULES_NFT, .queues = {4, 5}, .queue_count = 2, WITH_MARK},
                 NFT_WITH_MARK("4-5", "0xf0", "0x10", "0xffffff0f"));
    assert_rules(&(struct options){.print_rules = RULES_NFT,
                                   .queues = {7},
                                   .queue_count = 1,
                                   .bypass_mark = {.bits = 0x80000001, .mask = 0xffffffff}},
                 NFT_WITH_MARK("7", "0xffffffff", "0x80000001", "0x0"));
}

/* ---- iptables ------------------------------------------------------------------------------------------ */

#define IPTABLES_INTRODUCTION                                                                                          \
    INTRODUCTION("-p tcp -m conntrack --ctorigdstport 443")                                                            \
    "# For iptables-restore --noflush, and the same for ip6tables-restore --noflush. To remove, with each of\n"        \
    "# iptables and ip6tables (and before it is loaded again, or the jumps would be there twice):\n"                   \
    "#   for hook in INPUT FORWARD OUTPUT; do iptables -t mangle -D $hook -j nfqe-queue; done\n"                       \
    "#   iptables -t mangle -F nfqe-queue; iptables -t mangle -X nfqe-queue\n"

/* Without a mark, there is no chain that saves it. */
#define IPTABLES_MARK_INTRODUCTION                                                                                     \
    IPTABLES_INTRODUCTION                                                                                              \
    "#   for hook in INPUT FORWARD; do iptables -D $hook -j nfqe-save; done\n"                                         \
    "#   iptables -F nfqe-save; iptables -X nfqe-save\n"

#define IPTABLES_HOOKS                                                                                                 \
    "-A INPUT -j nfqe-queue\n"                                                                                         \
    "-A FORWARD -j nfqe-queue\n"                                                                                       \
    "-A OUTPUT -j nfqe-queue\n"                                                                                        \
    "COMMIT\n"

#define IPTABLES_WITHOUT_MARK(queues)                                                                                  \
    IPTABLES_INTRODUCTION                                                                                              \
    "*mangle\n"                                                                                                        \
    ":nfqe-queue - [0:0]\n"                                                                                            \
    "-A nfqe-queue -m conntrack --ctstate INVALID -j DROP\n"                                                           \
    "-A nfqe-queue -j NFQUEUE " queues " --queue-bypass\n" IPTABLES_HOOKS

#define IPTABLES_WITH_MARK(queues, mask, bits)                                                                         \
    IPTABLES_MARK_INTRODUCTION                                                                                         \
    "*mangle\n"                                                                                                        \
    ":nfqe-queue - [0:0]\n"                                                                                            \
    "-A nfqe-queue -j MARK --set-xmark 0x0/" mask "\n"                                                                 \
    "-A nfqe-queue -m conntrack --ctstate RELATED --ctstatus EXPECTED -j CONNMARK --set-xmark 0x0/" mask "\n"          \
    "-A nfqe-queue -p tcp --syn -j CONNMARK --set-xmark 0x0/" mask "\n"                                                \
    "-A nfqe-queue -m connmark --mark " bits "/" mask " -j ACCEPT\n"                                                   \
    "-A nfqe-queue -m conntrack --ctstate INVALID -j DROP\n"                                                           \
    "-A nfqe-queue -j NFQUEUE " queues " --queue-bypass\n" IPTABLES_HOOKS "*filter\n"                                  \
    ":nfqe-save - [0:0]\n"                                                                                             \
    "-A nfqe-save -m mark ! --mark " bits "/" mask " -j RETURN\n"                                                      \
    "-A nfqe-save -p tcp -j CONNMARK --save-mark --mask " mask "\n"                                                    \
    "-A nfqe-save -p udp -j CONNMARK --save-mark --mask " mask "\n"                                                    \
    "-A nfqe-save -p icmp -j CONNMARK --save-mark --mask " mask "\n"                                                   \
    "-A nfqe-save -p icmpv6 -j CONNMARK --save-mark --mask " mask "\n"                                                 \
    "-A nfqe-save -j MARK --set-xmark 0x0/" mask "\n"                                                                  \
    "-I INPUT 1 -j nfqe-save\n"                                                                                        \
    "-I FORWARD 1 -j nfqe-save\n"                                                                                      \
    "COMMIT\n"

static void test_iptables_rules_queue_everything_with_bypass(void **state)
{
    (void)state;
    assert_rules(&(struct options){.print_rules = RULES_IPTABLES, .queues = {7}, .queue_count = 1},
                 IPTABLES_WITHOUT_MARK("--queue-num 7"));
    assert_rules(&(struct options){.print_rules = RULES_IPTABLES, .queues = {0, 1, 2}, .queue_count = 3},
                 IPTABLES_WITHOUT_MARK("--queue-balance 0:2"));
}

static void test_iptables_rules_let_marked_flows_and_no_others_pass_and_save_the_mark(void **state)
{
    (void)state;
    assert_rules(&(struct options){.print_rules = RULES_IPTABLES, .queues = {7}, .queue_count = 1, WITH_MARK},
                 IPTABLES_WITH_MARK("--queue-num 7", "0xf0", "0x10"));
    assert_rules(&(struct options){.print_rules = RULES_IPTABLES, .queues = {4, 5}, .queue_count = 2, WITH_MARK},
                 IPTABLES_WITH_MARK("--queue-balance 4:5", "0xf0", "0x10"));
}

/* ---- both ------------------------------------------------------------------------------------------------ */

/* Copies the lines that are neither comments nor blank. */
static void copy_rules(const char *from, char to[TEXT_MAX])
{
    size_t len = 0;

    for (const char *line = from; *line != '\0';) {
        const char *end = strchr(line, '\n');

        assert_non_null(end); /* every line ends with a newline */
        if (line[0] != '#' && end > line) {
            memcpy(to + len, line, (size_t)(end + 1 - line));
            len += (size_t)(end + 1 - line);
        }
        line = end + 1;
    }
    to[len] = '\0';
}

/* Copies the lines that start with "# ", without it. */
static void copy_comments(const char *from, char to[TEXT_MAX])
{
    size_t len = 0;

    for (const char *line = from; *line != '\0';) {
        const char *end = strchr(line, '\n');

        assert_non_null(end);
        if (line[0] == '#') {
            assert_int_equal(line[1], ' ');
            memcpy(to + len, line + 2, (size_t)(end - line - 1));
            len += (size_t)(end - line - 1);
        }
        line = end + 1;
    }
    to[len] = '\0';
}

/* ---- answers to senders -------------------------------------------------------------------------------- */

static void test_rules_let_answers_pass_before_all_others(void **state)
{
    const struct options nft = {.queues = {1},
                                .queue_count = 1,
                                .print_rules = RULES_NFT,
                                .reject_mark = {.bits = 0x8000000, .mask = 0xc000000}};
    struct options iptables = nft;
    char text[TEXT_MAX];

    (void)state;
    assert_rules(&nft, NFT_INTRODUCTION NFT_TABLE
                 "\t\tmeta mark and 0xc000000 == 0x8000000 counter accept\n" NFT_QUEUE("1") "}\n");
    iptables.print_rules = RULES_IPTABLES;
    iptables.bypass_mark = (struct mark_setting){0x10, 0xf0};
    print_rules(&iptables, text);
    assert_non_null(strstr(text, "*mangle\n:nfqe-queue - [0:0]\n"
                                 "-A nfqe-queue -m mark --mark 0x8000000/0xc000000 -j ACCEPT\n"
                                 "-A nfqe-queue -j MARK --set-xmark 0x0/0xf0\n"));
    assert_string_equal(strstr(text, "-I FORWARD 1 -j nfqe-save\nCOMMIT\n"),
                        "-I FORWARD 1 -j nfqe-save\nCOMMIT\n"
                        "*filter\n"
                        "-I INPUT 1 -m mark --mark 0x8000000/0xc000000 -j ACCEPT\n"
                        "-I OUTPUT 1 -m mark --mark 0x8000000/0xc000000 -j ACCEPT\n"
                        "COMMIT\n");
    assert_non_null(strstr(text,
                           "#   iptables -F nfqe-save; iptables -X nfqe-save\n"
                           "#   for hook in INPUT OUTPUT; do iptables -D $hook -m mark --mark 0x8000000/0xc000000 -j "
                           "ACCEPT; done\n"
                           "*mangle\n"));
}

static void test_rules_reject_what_the_engine_leaves_to_them(void **state)
{
    const struct options nft = {
        .queues = {1}, .queue_count = 1, .print_rules = RULES_NFT, .reject_by_rule = {.bits = 0x8, .mask = 0xc}};
    struct options iptables = nft;
    char text[TEXT_MAX];

    (void)state;
    assert_rules(&nft, NFT_INTRODUCTION NFT_TABLE
                 "\t\tmeta mark and 0xc == 0x8 meta l4proto tcp counter reject with tcp reset\n"
                 "\t\tmeta mark and 0xc == 0x8 counter reject\n"
                 "\t\ttcp flags & rst == rst ct state related counter accept\n"
                 "\t\tmeta l4proto { icmp, icmpv6 } ct state related fib saddr type local counter accept\n" NFT_QUEUE(
                     "1") "}\n");
    iptables.print_rules = RULES_IPTABLES;
    print_rules(&iptables, text);
    assert_non_null(
        strstr(text, "#   for hook in INPUT FORWARD OUTPUT; do\n"
                     "#     iptables -D $hook -m mark --mark 0x8/0xc -j nfqe-reject\n"
                     "#     iptables -t security -D $hook -m mark --mark 0x8/0xc -j DROP\n"
                     "#   done; iptables -F nfqe-reject; iptables -X nfqe-reject\n"
                     "*security\n"
                     "-A INPUT -m mark --mark 0x8/0xc -j DROP\n"
                     "-A FORWARD -m mark --mark 0x8/0xc -j DROP\n"
                     "-A OUTPUT -m mark --mark 0x8/0xc -j DROP\n"
                     "COMMIT\n"
                     "*filter\n"
                     ":nfqe-reject - [0:0]\n"
                     "-A nfqe-reject -p tcp -j REJECT --reject-with tcp-reset\n"
                     "-A nfqe-reject -j REJECT\n"
                     "-I INPUT 1 -m mark --mark 0x8/0xc -j nfqe-reject\n"
                     "-I FORWARD 1 -m mark --mark 0x8/0xc -j nfqe-reject\n"
                     "-I OUTPUT 1 -m mark --mark 0x8/0xc -j nfqe-reject\n"
                     "COMMIT\n"
                     "*mangle\n"
                     ":nfqe-queue - [0:0]\n"
                     "-A nfqe-queue -m mark --mark 0x8/0xc -j ACCEPT\n"
                     "-A nfqe-queue -p tcp --tcp-flags RST RST -m conntrack --ctstate RELATED -j ACCEPT\n"
                     "-A nfqe-queue -p icmp -m conntrack --ctstate RELATED -m addrtype --src-type LOCAL -j ACCEPT\n"
                     "-A nfqe-queue -p icmpv6 -m conntrack --ctstate RELATED -m addrtype --src-type LOCAL -j "
                     "ACCEPT\n"
                     "-A nfqe-queue -m conntrack --ctstate INVALID -j DROP\n"));
}

static void test_of_both_forms_all_that_is_not_nft_is_a_comment(void **state)
{
    struct options options[] = {
        {.queues = {7}, .queue_count = 1},
        {.queues = {7}, .queue_count = 1, WITH_MARK},
        {.queues = {4, 5, 6}, .queue_count = 3},
        {.queues = {4, 5, 6}, .queue_count = 3, WITH_MARK},
    };
    char both[TEXT_MAX];
    char alone[TEXT_MAX];
    char rules[TEXT_MAX];
    char rules_alone[TEXT_MAX];
    char comments[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        options[i].print_rules = RULES_BOTH;
        print_rules(&options[i], both);
        options[i].print_rules = RULES_NFT;
        print_rules(&options[i], alone);
        copy_rules(both, rules);
        copy_rules(alone, rules_alone);
        assert_string_equal(rules, rules_alone);
        assert_int_equal(strncmp(both, alone, strlen(alone)), 0);

        options[i].print_rules = RULES_IPTABLES;
        print_rules(&options[i], alone);
        copy_rules(alone, rules_alone);
        copy_comments(both, comments);
        assert_true(strlen(comments) > strlen(rules_alone));
        assert_string_equal(comments + strlen(comments) - strlen(rules_alone), rules_alone);
        assert_non_null(strstr(both, "print only this with --print-rules=iptables"));
    }
}

static void test_where_the_kernel_cannot_queue_with_nft_the_rules_are_for_iptables(void **state)
{
    struct options options = {.queues = {7}, .queue_count = 1, .nft_queue_missing = true};

    (void)state;
    options.print_rules = RULES_BOTH;
    assert_rules(&options,
                 THIS_KERNEL ", so the rules are for iptables alone.\n" IPTABLES_WITHOUT_MARK("--queue-num 7"));
    options.print_rules = RULES_IPTABLES;
    assert_rules(&options, IPTABLES_WITHOUT_MARK("--queue-num 7"));
    options.print_rules = RULES_NFT;
    assert_rules(&options, THIS_KERNEL
                 " and refuses these rules; use --print-rules=iptables.\n" NFT_RULES NFT_TABLE NFT_QUEUE("7") "}\n");
}

/* ---- which queues ---------------------------------------------------------------------------------------- */

static void test_queues_given_in_any_order_are_one_range(void **state)
{
    (void)state;
    assert_rules(&(struct options){.print_rules = RULES_NFT, .queues = {3, 1, 2}, .queue_count = 3},
                 NFT_WITHOUT_MARK("1-3"));
    assert_rules(&(struct options){.print_rules = RULES_IPTABLES, .queues = {3, 1, 2}, .queue_count = 3},
                 IPTABLES_WITHOUT_MARK("--queue-balance 1:3"));
    assert_rules(&(struct options){.print_rules = RULES_NFT, .queues = {65535, 65534}, .queue_count = 2},
                 NFT_WITHOUT_MARK("65534-65535"));
}

static void test_queues_with_a_hole_are_refused_and_nothing_is_printed(void **state)
{
    static const struct {
        struct options options;
        const char *error;
    } cases[] = {
        {{.queues = {1, 3}, .queue_count = 2},
         "--print-rules: the queues between 1 and 3 are not all given; one rule takes a range such as --queue 1-3"},
        {{.queues = {9, 4, 5, 7, 8}, .queue_count = 5},
         "--print-rules: the queues between 4 and 9 are not all given; one rule takes a range such as --queue 4-9"},
        {{.queues = {65535, 0}, .queue_count = 2},
         "--print-rules: the queues between 0 and 65535 are not all given; one rule takes a range such as --queue "
         "0-65535"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (enum rules_form form = RULES_BOTH; form <= RULES_IPTABLES; form++) {
            struct options options = cases[i].options;
            struct error error = {0};
            char text[TEXT_MAX];

            options.print_rules = form;
            assert_int_equal(print(&options, text, &error), EXIT_CODE_CONFIGURATION);
            assert_string_equal(error.text, cases[i].error);
            assert_string_equal(text, "");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nft_rules_queue_everything_with_bypass),
        cmocka_unit_test(test_nft_rules_let_marked_flows_and_no_others_pass_and_save_the_mark),
        cmocka_unit_test(test_iptables_rules_queue_everything_with_bypass),
        cmocka_unit_test(test_iptables_rules_let_marked_flows_and_no_others_pass_and_save_the_mark),
        cmocka_unit_test(test_rules_let_answers_pass_before_all_others),
        cmocka_unit_test(test_rules_reject_what_the_engine_leaves_to_them),
        cmocka_unit_test(test_of_both_forms_all_that_is_not_nft_is_a_comment),
        cmocka_unit_test(test_where_the_kernel_cannot_queue_with_nft_the_rules_are_for_iptables),
        cmocka_unit_test(test_queues_given_in_any_order_are_one_range),
        cmocka_unit_test(test_queues_with_a_hole_are_refused_and_nothing_is_printed),
    };

    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
