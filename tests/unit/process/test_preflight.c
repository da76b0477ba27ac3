/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * preflight_check(): what this machine cannot do is refused, in order and word by word, before anything is opened.
 *
 * The machine is a record: plugin files, CPUs, memory, capability and limits come from this file.
 */
/* Longer than 500 lines: each refusal of a start, word by word, on one machine of this file */
#include "unit.h"

#include "base/clock.h"
#include "base/log.h"
#include "plugin/plugin_file.h"
#include "process/memory.h"
#include "process/preflight.h"
#include "process/process.h"
#include "process/queues.h"
#include "process/ring.h"
#include "queue/bridges.h"
#include "queue/nfqueue_proc.h"
#include "queue/queue_owner.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define MIB ((uint64_t)1024 * 1024)

/* What this machine says, and what was done to it. */
static struct {
    const char *refused_path; /* of the plugin file that is refused; NULL: none */
    const char *foreign_path; /* of the plugin file that belongs to another user */
    unsigned checked_files;
    bool affinity_fails;
    unsigned last_cpu; /* this process may run on the CPUs from 1 to this one */
    uint64_t available; /* bytes of memory */
    bool all_of_it;     /* no cgroup has a limit */
    bool capable;
    struct rlimit limit;
    unsigned raised;
    struct queue_owner owner; /* of queue 65535, with a process id; 0: no process is found */
    bool owned;
    unsigned owner_looks; /* so often it is there */
    unsigned looks;
    unsigned pauses;
    uint64_t now_ns; /* its clock goes on in pauses alone */
    const char *bridge; /* whose packets go through iptables; NULL: none */
} machine;

static struct queue_group group;
static struct generation generation;
static struct error error;
static char logged[LOG_LINE_MAX];

int __wrap_plugin_file_check(struct plugin *plugin, struct error *refusal);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
void __wrap_memory_find_available(struct memory_available *available);
bool __wrap_has_cap_net_admin(void);
int __wrap_getrlimit(int resource, struct rlimit *limit);
int __real_getrlimit(int resource, struct rlimit *limit);
int __wrap_setrlimit(int resource, const struct rlimit *limit);
int __real_setrlimit(int resource, const struct rlimit *limit);
void __wrap_log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The id of a plugin is its path up to the first '.'; a path with "flow" in it decides for flows, one with "many" can be
 * in a chain more than once, one with "again" uses NFQE_NEED_REQUEUE.
 */
int __wrap_plugin_file_check(struct plugin *plugin, struct error *refusal)
{
    machine.checked_files++;
    if (machine.refused_path != NULL && strcmp(plugin->path, machine.refused_path) == 0) {
        return error_set(refusal, EXIT_CODE_PLUGIN, -ENOENT, "no such file");
    }
    snprintf(plugin->id, sizeof(plugin->id), "%.*s", (int)strcspn(plugin->path, "."), plugin->path);
    plugin->needs = strstr(plugin->path, "flow") != NULL ? NFQE_NEED_FLOW : NFQE_NEED_HEADERS;
    plugin->uses = NFQE_NEED_OWNER | (strstr(plugin->path, "again") != NULL ? NFQE_NEED_REQUEUE : 0);
    plugin->flags = strstr(plugin->path, "many") != NULL ? NFQE_PLUGIN_MULTIPLE : 0;
    plugin->header_bytes = 777;
    plugin->foreign_owner = machine.foreign_path != NULL && strcmp(plugin->path, machine.foreign_path) == 0;
    plugin->owner = 1001;
    return 0;
}

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
    assert_int_equal(pid, 0);
    assert_true(size >= CPUS_MAX / 8);
    if (machine.affinity_fails) {
        return -1;
    }
    CPU_ZERO_S(size, set);
    for (unsigned cpu = 1; cpu <= machine.last_cpu; cpu++) {
        CPU_SET_S((size_t)cpu, size, set);
    }
    return 0;
}

void __wrap_memory_find_available(struct memory_available *available)
{
    available->bytes = machine.available;
    strcpy(available->owner, machine.all_of_it ? "this machine" : "/cgroup/memory.max");
    available->is_limit = !machine.all_of_it;
}

bool __wrap_has_cap_net_admin(void)
{
    return machine.capable;
}

int __wrap_getrlimit(int resource, struct rlimit *limit)
{
    if (resource != RLIMIT_NOFILE) {
        return __real_getrlimit(resource, limit);
    }
    *limit = machine.limit;
    return 0;
}

int __wrap_setrlimit(int resource, const struct rlimit *limit)
{
    if (resource != RLIMIT_NOFILE) {
        return __real_setrlimit(resource, limit);
    }
    machine.limit = *limit;
    machine.raised++;
    return 0;
}

void __wrap_log_line(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(logged, sizeof(logged), format, arguments);
    va_end(arguments);
}

bool __wrap_bridges_find_filtered(char name[IF_NAMESIZE]);
int __wrap_nfqueue_read_status(uint16_t queue, struct nfqueue_status *status);
int __wrap_queue_owner_find(uint32_t port_id, struct queue_owner *owner);
int __wrap_nanosleep(const struct timespec *pause, struct timespec *left);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_nfqueue_read_status(uint16_t queue, struct nfqueue_status *status)
{
    machine.looks++;
    if (!machine.owned || queue != 65535 || machine.looks > machine.owner_looks) {
        return -ENOENT;
    }
    *status = (struct nfqueue_status){.queue = queue, .port_id = 4711};
    return 0;
}

int __wrap_queue_owner_find(uint32_t port_id, struct queue_owner *owner)
{
    assert_int_equal(port_id, 4711);
    *owner = machine.owner;
    return machine.owner.pid != 0 ? 0 : -ENOENT;
}

int __wrap_nanosleep(const struct timespec *pause, struct timespec *left)
{
    (void)left;
    assert_in_range(pause->tv_nsec, 1, 100 * 1000 * 1000);
    machine.now_ns += (uint64_t)pause->tv_nsec;
    machine.pauses++;
    return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    now->tv_sec = (time_t)(machine.now_ns / NS_PER_S);
    now->tv_nsec = (long)(machine.now_ns % NS_PER_S);
    return 0;
}

bool __wrap_bridges_find_filtered(char name[IF_NAMESIZE])
{
    if (machine.bridge == NULL) {
        return false;
    }
    strcpy(name, machine.bridge);
    return true;
}

static int set_up(void **state)
{
    (void)state;
    memset(&machine, 0, sizeof(machine));
    memset(&group, 0, sizeof(group));
    memset(&error, 0, sizeof(error));
    logged[0] = '\0';
    machine.last_cpu = 3;
    machine.capable = true;
    machine.limit = (struct rlimit){.rlim_cur = 1024, .rlim_max = 524288};
    machine.available = UINT64_MAX;
    group.plugins[0] = (struct plugin_setting){.path = "a.so"};
    group.plugins[1] = (struct plugin_setting){.path = "b.so", .values = "k=v"};
    group.plugin_count = 2;
    group.queues[0] = 65535;
    group.queue_count = 1;
    group.workers = group.spares = 1;
    return 0;
}

static int check(void)
{
    generation_init(&generation, 1, &group);
    return preflight_check(&generation, &error);
}

static void assert_passed(int code)
{
    if (code != 0) {
        fail_msg("refused: %s", error.text);
    }
}

static void assert_refused(int code, int expected, enum exit_code exit_code, const char *line)
{
    char text[ERROR_LINE_MAX];

    assert_int_equal(code, expected);
    assert_int_equal(error.exit_code, exit_code);
    assert_string_equal(error_format(&error, text), line);
    assert_int_equal(machine.raised, 0);
}

/* ---- plugin files ------------------------------------------------------------------------------------- */

static void test_plugins_are_checked_in_order_with_their_values(void **state)
{
    (void)state;
    assert_passed(check());
    assert_int_equal(generation.plugin_count, 2);
    assert_int_equal(machine.checked_files, 2);
    assert_string_equal(generation.plugins[0].path, "a.so");
    assert_null(generation.plugins[0].values_text);
    assert_string_equal(generation.plugins[1].path, "b.so");
    assert_string_equal(generation.plugins[1].values_text, "k=v");
    assert_string_equal(logged, "");
}

static void test_first_plugin_that_is_refused_ends_the_check(void **state)
{
    (void)state;
    group.plugins[2].path = "c.so";
    group.plugin_count = 3;
    machine.refused_path = "b.so";
    machine.capable = false;
    assert_refused(check(), -ENOENT, EXIT_CODE_PLUGIN, "b.so: no such file");
    assert_int_equal(generation.plugin_count, 1); /* whose copy is to be closed */
    assert_int_equal(machine.checked_files, 2);
}

static void test_plugin_can_be_in_a_chain_once(void **state)
{
    (void)state;
    group.plugins[2].path = "a.so.2";
    group.plugin_count = 3;
    assert_refused(check(), -EEXIST, EXIT_CODE_PLUGIN,
                   "a.so.2: its id a is also that of a.so; a chain can have a plugin once");
    assert_int_equal(generation.plugin_count, 3); /* its copy is open, too */
    group.plugins[2].path = "b.so.2";
    assert_refused(check(), -EEXIST, EXIT_CODE_PLUGIN,
                   "b.so.2: its id b is also that of b.so; a chain can have a plugin once");
}

static void test_plugin_that_says_so_can_be_in_a_chain_more_than_once(void **state)
{
    (void)state;
    group.plugins[0].path = "a.many";
    group.plugins[1].path = "a.many.2";
    assert_refused(check(), -EEXIST, EXIT_CODE_PLUGIN,
                   "a.many.2: its id a is also that of a.many; give each a name of its own: --plugin FILE,@name=NAME");
    group.plugins[1].name = "second";
    assert_passed(check());
    assert_string_equal(generation.plugins[0].id, "a");
    assert_string_equal(generation.plugins[1].id, "a@second");
    assert_string_equal(generation.plan.plugins[1].id, "a@second");
    machine.raised = 0;
    group.plugins[0].name = "second";
    assert_refused(check(), -EEXIST, EXIT_CODE_PLUGIN,
                   "a.many.2: its id a@second is also that of a.many; give each a name of its own: --plugin "
                   "FILE,@name=NAME");
    group.plugins[0].name = "first";
    assert_passed(check());
    machine.raised = 0;
    group.plugins[0].path = "a.once"; /* both must say so */
    assert_refused(check(), -EEXIST, EXIT_CODE_PLUGIN,
                   "a.many.2: its id a is also that of a.once; a chain can have a plugin once");
    group.plugins[0].path = "ab.once"; /* another id */
    assert_passed(check());
    assert_string_equal(generation.plugins[0].id, "ab@first");
}

static void test_plugin_of_another_user_is_warned_of(void **state)
{
    (void)state;
    machine.foreign_path = "b.so";
    assert_passed(check());
    assert_string_equal(logged, "b.so: warning: belongs to user 1001, who can change what the next start runs");
}

/* ---- CPUs --------------------------------------------------------------------------------------------- */

static void test_cpus_must_be_available(void **state)
{
    (void)state;
    group.cpu_count = 2;
    group.cpus[0] = 1;
    group.cpus[1] = 3;
    assert_passed(check());
    machine.raised = 0;
    group.cpus[1] = 4;
    assert_refused(check(), -EINVAL, EXIT_CODE_CONFIGURATION,
                   "--cpu: CPU 4 is not available to this process; see taskset -p $$");
    group.cpus[0] = 0;
    assert_refused(check(), -EINVAL, EXIT_CODE_CONFIGURATION,
                   "--cpu: CPU 0 is not available to this process; see taskset -p $$");
    group.cpus[0] = CPUS_MAX - 1;
    machine.last_cpu = CPUS_MAX - 1;
    assert_passed(check());
}

static void test_cpus_that_cannot_be_asked_for_are_left_to_the_worker(void **state)
{
    (void)state;
    group.cpu_count = 1;
    group.cpus[0] = 900;
    machine.affinity_fails = true;
    assert_passed(check());
}

/* ---- plan and memory ---------------------------------------------------------------------------------- */

static void test_plan_is_made_from_the_heads_of_the_plugins(void **state)
{
    (void)state;
    group.max_len = 55;
    assert_passed(check());
    assert_int_equal(generation.plan.settings.copy_range, 777);
    assert_int_equal(generation.plan.optional_flags & QUEUE_UID_GID, QUEUE_UID_GID); /* used */
    assert_int_equal(generation.plan.settings.max_len, 55);
    assert_int_equal(generation.plan.plugin_count, 2);
    assert_string_equal(generation.plan.plugins[1].id, "b");
    assert_string_equal(generation.plan.plugins[1].path, "b.so");
    group.copy_range = 776;
    machine.raised = 0;
    assert_refused(check(), -EINVAL, EXIT_CODE_CONFIGURATION,
                   "--copy-range 776: plugin a needs 777 bytes; leave the option out or raise it");
}

static void test_use_that_the_options_leave_no_room_for_is_withheld_and_named(void **state)
{
    (void)state;
    group.plugins[0].path = "flow.so";
    group.plugins[1].path = "again.so";
    assert_passed(check());
    assert_int_equal(generation.plugins[1].uses, NFQE_NEED_OWNER | NFQE_NEED_REQUEUE);
    assert_string_equal(logged, "");
    group.bypass_mark = (struct mark_setting){0x40000000, 0x40000000};
    assert_passed(check());
    assert_int_equal(generation.plugins[0].uses, NFQE_NEED_OWNER);
    assert_int_equal(generation.plugins[1].uses, NFQE_NEED_OWNER);
    assert_string_equal(logged,
                        "plugin again: NFQE_NEED_REQUEUE, which it can do without, is not offered: --bypass-mark has "
                        "bits of the default --repeat-mark 0x70000000; name others");
}

/* What the queues take from the start on: each its memory, each process 256 KiB, workers the memory of their answers. */
static uint64_t memory_at_start(void)
{
    const struct queue_shm_layout layout = queues_layout(&generation.plan);
    uint64_t workers = (uint64_t)group.queue_count * (group.workers + group.spares);

    return group.queue_count * queue_shm_size(&layout) + (2 + group.queue_count + workers) * MIB / 4 +
           workers * RING_ANSWERS_FILE_SIZE;
}

static void test_flow_tables_of_all_queues_must_fit_the_memory(void **state)
{
    (void)state;
    group.plugins[1].path = "flow.so";
    group.flow_table = 1000000;
    group.queue_count = 3;
    assert_passed(check());
    machine.available = memory_at_start();
    assert_passed(check());
    machine.raised = 0;
    machine.available--;
    assert_refused(
        check(), -ENOMEM, EXIT_CODE_CONFIGURATION,
        "the queues take 212 MiB of memory (3 queues: flow tables 208 MiB, received packets 2 MiB, processes 3 "
        "MiB), /cgroup/memory.max has 211 MiB left; lower --flow-table, or raise that limit");
    machine.all_of_it = true; /* there is none to raise */
    assert_refused(
        check(), -ENOMEM, EXIT_CODE_CONFIGURATION,
        "the queues take 212 MiB of memory (3 queues: flow tables 208 MiB, received packets 2 MiB, processes 3 "
        "MiB), this machine has 211 MiB left; lower --flow-table");
    group.queue_count = 2;
    assert_passed(check());
}

/* A plugin that needs whole packets has slots of 65,920 bytes. */
static void test_received_packets_of_all_queues_must_fit_the_memory(void **state)
{
    (void)state;
    group.copy_range = COPY_RANGE_MAX;
    group.queue_count = 64;
    group.spares = 3;
    assert_passed(check());
    machine.raised = 0;
    machine.available = memory_at_start() - 1;
    assert_refused(
        check(), -ENOMEM, EXIT_CODE_CONFIGURATION,
        "the queues take 1124 MiB of memory (64 queues: flow tables 0 MiB, received packets 1034 MiB, processes "
        "90 MiB), /cgroup/memory.max has 1123 MiB left; use fewer queues, --workers and --spares, or raise that "
        "limit");
}

static void test_memory_that_is_taken_under_load_alone_is_warned_of(void **state)
{
    uint64_t rings;

    (void)state;
    group.queue_count = 4;
    group.workers = 2;
    assert_passed(check());
    rings = 4 * 2 * ring_packets_size(ring_frame_size(queues_layout(&generation.plan).slot_size));
    machine.available = memory_at_start() + rings;
    assert_passed(check());
    assert_string_equal(logged, "");
    machine.available--;
    assert_passed(check());
    assert_string_equal(logged,
                        "warning: under load the queues take up to 10 MiB of memory, 3 MiB of it for packets on "
                        "their way to workers; /cgroup/memory.max has 9 MiB left");
}

static void test_memory_that_is_not_known_refuses_nothing(void **state)
{
    (void)state;
    group.plugins[1].path = "flow.so";
    group.flow_table = 16 * 1024 * 1024;
    group.queue_count = QUEUES_MAX;
    assert_passed(check());
    assert_string_equal(logged, "");
}

/* ---- capability and limits ---------------------------------------------------------------------------- */

static void test_capability_is_asked_for_last(void **state)
{
    (void)state;
    machine.capable = false;
    assert_refused(check(), -EPERM, EXIT_CODE_QUEUE,
                   "queue 65535: cannot be bound without CAP_NET_ADMIN; start nfq-engine as root");
    group.copy_range = 776; /* what is wrong on any machine is said first */
    assert_int_equal(check(), -EINVAL);
}

static void test_descriptor_limit_is_raised_as_far_as_it_may_be(void **state)
{
    (void)state;
    assert_passed(check());
    assert_int_equal(machine.raised, 1);
    assert_int_equal(machine.limit.rlim_cur, 524288);
    assert_int_equal(machine.limit.rlim_max, 524288);
}

/* Of each queue 5, of each worker and spare 3, of the plugins one each, and 64. */
static void test_descriptor_limit_that_is_too_low_is_named(void **state)
{
    (void)state;
    group.queue_count = 100;
    group.workers = 2;
    group.spares = 1;
    machine.limit = (struct rlimit){.rlim_cur = 1024, .rlim_max = 1765};
    assert_refused(
        check(), -EMFILE, EXIT_CODE_CONFIGURATION,
        "100 queues with 3 workers and spares each need 1766 file descriptors, the limit is 1765; run: ulimit "
        "-n 1766");
    memset(&error, 0, sizeof(error));
    machine.limit = (struct rlimit){.rlim_cur = 1024, .rlim_max = 1766};
    assert_passed(check());
}

/* ---- owners of the queues ----------------------------------------------------------------------------- */

static void own(unsigned looks, struct queue_owner owner)
{
    machine.owned = true;
    machine.owner_looks = looks;
    machine.owner = owner;
}

static void test_owner_that_is_ending_is_waited_for_and_named(void **state)
{
    (void)state;
    own(5, (struct queue_owner){.pid = 77, .name = "old one", .ending = true});
    assert_passed(check());
    assert_int_equal(machine.looks, 6);
    assert_int_equal(machine.pauses, 5);
    assert_string_equal(logged,
                        "queue 65535: process 77 (old one), which owns it, is ending; waiting up to 3000 ms for that");
}

static void test_owner_that_goes_on_is_not_waited_for(void **state)
{
    (void)state;
    group.queues[1] = 1;
    group.queue_count = 2;
    own(UINT_MAX, (struct queue_owner){.pid = 77, .name = "other"});
    assert_passed(check()); /* it is refused when it is opened */
    assert_int_equal(machine.pauses, 2); /* it may have been killed just now */
    assert_int_equal(machine.looks, 3); /* none at the next queue */
    assert_string_equal(logged, "");
}

static void test_owner_that_never_ends_is_waited_for_with_a_limit(void **state)
{
    (void)state;
    own(UINT_MAX, (struct queue_owner){0});
    assert_passed(check());
    assert_int_equal(machine.pauses, 10); /* 100 ms */
    assert_string_equal(logged, "");
    own(UINT_MAX, (struct queue_owner){.pid = 77, .name = "old one", .ending = true});
    machine.pauses = 0;
    assert_passed(check());
    assert_int_equal(machine.pauses, 300); /* 3 s */
}

/* Only where nothing else is wrong: a refusal is one line. */
static void test_bridge_that_loses_packets_is_named_with_what_cures_it(void **state)
{
    (void)state;
    machine.bridge = "br-lan";
    machine.capable = false;
    assert_int_equal(check(), -EPERM);
    assert_string_equal(logged, "");
    machine.capable = true;
    memset(&error, 0, sizeof(error));
    assert_passed(check());
    assert_memory_equal(logged, "bridge br-lan: ", 15);
    assert_non_null(strstr(logged, "iptables -t raw -A PREROUTING -m pkttype ! --pkt-type unicast -j CT --notrack"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_plugins_are_checked_in_order_with_their_values, set_up),
        cmocka_unit_test_setup(test_first_plugin_that_is_refused_ends_the_check, set_up),
        cmocka_unit_test_setup(test_plugin_can_be_in_a_chain_once, set_up),
        cmocka_unit_test_setup(test_plugin_that_says_so_can_be_in_a_chain_more_than_once, set_up),
        cmocka_unit_test_setup(test_plugin_of_another_user_is_warned_of, set_up),
        cmocka_unit_test_setup(test_cpus_must_be_available, set_up),
        cmocka_unit_test_setup(test_cpus_that_cannot_be_asked_for_are_left_to_the_worker, set_up),
        cmocka_unit_test_setup(test_plan_is_made_from_the_heads_of_the_plugins, set_up),
        cmocka_unit_test_setup(test_use_that_the_options_leave_no_room_for_is_withheld_and_named, set_up),
        cmocka_unit_test_setup(test_flow_tables_of_all_queues_must_fit_the_memory, set_up),
        cmocka_unit_test_setup(test_received_packets_of_all_queues_must_fit_the_memory, set_up),
        cmocka_unit_test_setup(test_memory_that_is_taken_under_load_alone_is_warned_of, set_up),
        cmocka_unit_test_setup(test_memory_that_is_not_known_refuses_nothing, set_up),
        cmocka_unit_test_setup(test_capability_is_asked_for_last, set_up),
        cmocka_unit_test_setup(test_descriptor_limit_is_raised_as_far_as_it_may_be, set_up),
        cmocka_unit_test_setup(test_descriptor_limit_that_is_too_low_is_named, set_up),
        cmocka_unit_test_setup(test_owner_that_is_ending_is_waited_for_and_named, set_up),
        cmocka_unit_test_setup(test_owner_that_goes_on_is_not_waited_for, set_up),
        cmocka_unit_test_setup(test_owner_that_never_ends_is_waited_for_with_a_limit, set_up),
        cmocka_unit_test_setup(test_bridge_that_loses_packets_is_named_with_what_cures_it, set_up),
    };

    return cmocka_run_group_tests_name("preflight", tests, NULL, NULL);
}
