/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running the plugin chain: which plugin is called for which packet, what is said meanwhile of where the calls are, what
 * the answers are, and where the verdicts of handle_batch() lie.
 *
 * The members share one pair of functions and have a table of answers each. Answers for flows are in
 * test_chain_flows.c.
 */
#include "unit.h"

#include "guarded.h"
#include "plugin/chain_run.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMBERS 3
#define UNTOUCHED UINT32_C(0x5a5a5a5a)
#define FIRST_ID 700
#define ROUNDS 2000

struct call {
    unsigned member;
    size_t count; /* of the packets that handle_batch() got; 0: handle() */
    uint32_t place;  /* of the packet; in a batch, of the first one */
    uint32_t packet; /* the words that say where the calls are */
    uint32_t plugin;
    uint32_t progress;
};

struct member {
    unsigned number;
    nfqe_verdict answers[BURST_MAX]; /* by the place of the packet */
};

static struct guarded room;
static struct call calls[MEMBERS * BURST_MAX];
static unsigned call_count;
static struct member members[MEMBERS];
static _Atomic uint32_t words[3];
static struct plugin_chain chain;
static struct chain_run run;
static struct nfqe_packet packets[BURST_MAX];
static struct chain_batch batch;
static struct plugin_answer answers[BURST_MAX];
static unsigned one_too_many; /* not 0: handle_batch() writes one verdict too many */

static void note_call(const struct member *member, size_t count, const struct nfqe_packet *packet)
{
    assert_true(call_count < sizeof(calls) / sizeof(calls[0]));
    calls[call_count++] = (struct call){.member = member->number,
                                        .count = count,
                                        .place = packet->id - FIRST_ID,
                                        .packet = words[0],
                                        .plugin = words[1],
                                        .progress = words[2]};
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    const struct member *member = self;

    note_call(member, 0, packet);
    return member->answers[packet->id - FIRST_ID];
}

static void handle_batch(void *self, struct nfqe_packet *const *given, size_t n, nfqe_verdict *out)
{
    const struct member *member = self;

    note_call(member, n, given[0]);
    assert_ptr_equal(out + n, run.verdicts_end);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(out[i], NFQE_CONTINUE); /* what it starts as */
        out[i] = member->answers[given[i]->id - FIRST_ID];
    }
    for (size_t i = 0; i < one_too_many; i++) {
        out[n + i] = NFQE_ACCEPT;
    }
}

/* batches: bit i: member i has handle_batch(). All answer NFQE_CONTINUE until the test says otherwise. */
static void build(unsigned count, unsigned batches)
{
    memset(members, 0, sizeof(members));
    memset(&chain, 0, sizeof(chain));
    call_count = 0;
    for (unsigned i = 0; i < count; i++) {
        members[i].number = i;
        plugin_chain_add(&chain,
                         &(struct plugin_chain_member){.handle = handle,
                                                       .handle_batch = (batches & 1u << i) != 0 ? handle_batch : NULL,
                                                       .self = &members[i]});
    }
    for (unsigned i = 0; i < BURST_MAX; i++) {
        answers[i] = (struct plugin_answer){.verdict = UNTOUCHED, .plugin = UNTOUCHED};
    }
}

/* A batch of the packets whose places are given. */
static void fill(const unsigned *places, unsigned count)
{
    batch.count = count;
    for (unsigned i = 0; i < count; i++) {
        batch.packets[i] = &packets[places[i]];
        batch.places[i] = places[i];
    }
}

static void fill_all(unsigned count)
{
    unsigned places[BURST_MAX];

    for (unsigned i = 0; i < count; i++) {
        places[i] = i;
    }
    fill(places, count);
}

static void assert_answer(unsigned place, nfqe_verdict verdict, uint32_t plugin)
{
    assert_int_equal(answers[place].verdict, verdict);
    assert_int_equal(answers[place].plugin, plugin);
}

static void assert_nothing_runs(void)
{
    assert_int_equal(words[0], CHAIN_NONE);
    assert_int_equal(words[1], CHAIN_NONE);
}

/* ---- one packet --------------------------------------------------------------------------------------------- */

static void test_packet_passes_the_plugins_up_to_the_first_that_answers(void **state)
{
    (void)state;
    for (unsigned decider = 0; decider <= MEMBERS; decider++) {
        struct plugin_answer answer;

        build(MEMBERS, 0);
        for (unsigned i = decider; i < MEMBERS; i++) {
            members[i].answers[7] = NFQE_DROP + i; /* valid or not: it is the answer */
        }
        answer = chain_run_packet(&run, &packets[7], 7);
        assert_int_equal(answer.plugin, decider);
        assert_int_equal(answer.verdict, decider < MEMBERS ? NFQE_DROP + decider : NFQE_CONTINUE);
        assert_int_equal(call_count, decider < MEMBERS ? decider + 1 : MEMBERS);
        for (unsigned i = 0; i < call_count; i++) {
            assert_int_equal(calls[i].member, i);
            assert_int_equal(calls[i].place, 7);
        }
        chain_run_end(&run);
        assert_nothing_runs();
    }
}

static void test_chain_without_plugins_answers_nothing(void **state)
{
    struct plugin_answer answer;

    (void)state;
    build(0, 0);
    answer = chain_run_packet(&run, &packets[0], 0);
    assert_int_equal(answer.verdict, NFQE_CONTINUE);
    assert_int_equal(answer.plugin, 0);
    fill_all(2);
    assert_false(chain_run_batch(&run, &batch, NULL, answers));
    assert_answer(0, NFQE_CONTINUE, 0);
    assert_answer(1, NFQE_CONTINUE, 0);
    assert_nothing_runs();
}

static void test_words_say_which_packet_is_with_which_plugin(void **state)
{
    (void)state;
    words[2] = UINT32_MAX - 1; /* it wraps */
    build(MEMBERS, 0);
    chain_run_packet(&run, &packets[3], 40); /* the place is the caller's to choose */
    for (unsigned i = 0; i < call_count; i++) {
        assert_int_equal(calls[i].packet, 40);
        assert_int_equal(calls[i].plugin, i);
        assert_int_not_equal(calls[i].progress, i > 0 ? calls[i - 1].progress : words[2]);
    }
    build(MEMBERS, 2);
    fill((const unsigned[]){5, 9}, 2);
    chain_run_batch(&run, &batch, NULL, answers);
    assert_int_equal(call_count, 2 + 1 + 2);
    for (unsigned i = 0; i < call_count; i++) {
        assert_int_equal(calls[i].plugin, calls[i].member);
        assert_int_equal(calls[i].packet, calls[i].count > 0 ? CHAIN_NONE : calls[i].place);
        assert_int_not_equal(calls[i].progress, i > 0 ? calls[i - 1].progress : words[2]);
    }
    assert_int_not_equal(words[2], calls[call_count - 1].progress);
    assert_nothing_runs();
}

/* ---- batches ------------------------------------------------------------------------------------------------ */

static void test_each_plugin_gets_what_is_undecided_in_order_before_the_next(void **state)
{
    (void)state;
    build(MEMBERS, 7);
    members[0].answers[8] = NFQE_DROP;
    members[1].answers[2] = NFQE_ACCEPT;
    members[1].answers[8] = NFQE_ACCEPT; /* too late */
    members[2].answers[2] = NFQE_DROP;   /* too late */
    members[2].answers[30] = 77;
    fill((const unsigned[]){2, 8, 30, 63}, 4);
    assert_false(chain_run_batch(&run, &batch, NULL, answers));
    assert_int_equal(call_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(calls[i].member, i);
        assert_int_equal(calls[i].count, 4 - i);
        assert_int_equal(calls[i].place, i < 2 ? 2 : 30);
    }
    for (unsigned place = 0; place < BURST_MAX; place++) {
        switch (place) {
        case 2:
            assert_answer(place, NFQE_ACCEPT, 1);
            break;
        case 8:
            assert_answer(place, NFQE_DROP, 0);
            break;
        case 30:
            assert_answer(place, 77, 2);
            break;
        case 63:
            assert_answer(place, NFQE_CONTINUE, MEMBERS);
            break;
        default:
            assert_answer(place, UNTOUCHED, UNTOUCHED);
        }
    }
}

static void test_plugin_is_not_called_for_nothing(void **state)
{
    (void)state;
    for (unsigned batches = 0; batches < 8; batches++) {
        build(MEMBERS, batches);
        members[0].answers[0] = NFQE_ACCEPT;
        fill_all(1);
        chain_run_batch(&run, &batch, NULL, answers);
        assert_int_equal(call_count, 1);
        fill_all(0);
        chain_run_batch(&run, &batch, NULL, answers);
        assert_int_equal(call_count, 1);
        assert_nothing_runs();
    }
}

static void test_batch_answers_as_packet_by_packet(void **state)
{
    uint64_t random = 577215664901532;

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct plugin_answer alone[BURST_MAX];
        unsigned count = unit_random_below(&random, BURST_MAX + 1);

        build(1 + round % MEMBERS, unit_random_below(&random, 8));
        for (unsigned i = 0; i < chain.count; i++) {
            for (unsigned place = 0; place < count; place++) {
                members[i].answers[place] = unit_random_below(&random, 2) == 0 ? unit_random_below(&random, 6) : 0;
            }
        }
        for (unsigned place = 0; place < count; place++) {
            alone[place] = chain_run_packet(&run, &packets[place], place);
        }
        call_count = 0;
        fill_all(count);
        chain_run_batch(&run, &batch, NULL, answers);
        assert_memory_equal(answers, alone, count * sizeof(alone[0]));
    }
}

static void test_batch_says_whether_a_plugin_answered_for_a_flow(void **state)
{
    static const nfqe_verdict given[] = {NFQE_ACCEPT, NFQE_DROP | NFQE_FLOW, NFQE_ACCEPT | NFQE_FLOW, NFQE_FLOW,
                                         NFQE_HELD | NFQE_FLOW};

    (void)state;
    for (unsigned i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        for (unsigned may = 0; may < 2; may++) {
            build(2, may + 1);
            chain.members[1].rights.needs = may != 0 ? NFQE_NEED_FLOW : 0;
            members[1].answers[1] = given[i];
            fill_all(3);
            assert_int_equal(chain_run_batch(&run, &batch, NULL, answers), may != 0 && (i == 1 || i == 2));
            assert_answer(1, given[i], 1);
        }
    }
}

/* ---- the room for verdicts ---------------------------------------------------------------------------------- */

static void test_verdicts_of_any_number_end_where_the_room_ends(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= BURST_MAX; count++) {
        build(1, 1); /* handle_batch() compares */
        members[0].answers[count - 1] = NFQE_DROP;
        fill_all(count);
        chain_run_batch(&run, &batch, NULL, answers);
        assert_int_equal(call_count, 1);
        assert_answer(count - 1, NFQE_DROP, 0);
    }
}

/* The room ends at a page that cannot be written. */
static void test_one_verdict_too_many_ends_the_process_before_any_is_believed(void **state)
{
    static const unsigned counts[] = {1, 2, BURST_MAX - 1, BURST_MAX};

    (void)state;
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        for (one_too_many = 0; one_too_many < 2; one_too_many++) {
            int status;
            pid_t child = fork();

            assert_true(child >= 0);
            if (child == 0) {
                const struct rlimit no_core = {0, 0};

                setrlimit(RLIMIT_CORE, &no_core);
                signal(SIGSEGV, SIG_DFL);
                build(1, 1);
                fill_all(counts[i]);
                chain_run_batch(&run, &batch, NULL, answers);
                _exit(0);
            }
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_int_equal(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, one_too_many != 0);
            assert_int_equal(WIFEXITED(status) && WEXITSTATUS(status) == 0, one_too_many == 0);
        }
    }
    one_too_many = 0;
}

static int set_up(void **state)
{
    (void)state;
    guarded_init(&room, BURST_MAX * sizeof(nfqe_verdict));
    run = (struct chain_run){
        .chain = &chain,
        .position = {.packet = &words[0], .plugin = &words[1], .progress = &words[2]},
        .verdicts_end = guarded_put(&room, NULL, 0, sizeof(nfqe_verdict)),
    };
    for (unsigned i = 0; i < BURST_MAX; i++) {
        packets[i] = (struct nfqe_packet){.size = sizeof(packets[i]), .id = FIRST_ID + i};
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guarded_done(&room);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packet_passes_the_plugins_up_to_the_first_that_answers),
        cmocka_unit_test(test_chain_without_plugins_answers_nothing),
        cmocka_unit_test(test_words_say_which_packet_is_with_which_plugin),
        cmocka_unit_test(test_each_plugin_gets_what_is_undecided_in_order_before_the_next),
        cmocka_unit_test(test_plugin_is_not_called_for_nothing),
        cmocka_unit_test(test_batch_answers_as_packet_by_packet),
        cmocka_unit_test(test_batch_says_whether_a_plugin_answered_for_a_flow),
        cmocka_unit_test(test_verdicts_of_any_number_end_where_the_room_ends),
        cmocka_unit_test(test_one_verdict_too_many_ends_the_process_before_any_is_believed),
    };

    return cmocka_run_group_tests_name("chain_run", tests, set_up, tear_down);
}
