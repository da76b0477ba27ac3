/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checks of a start, in this order: plugin files, CPUs, the plan of the queues, memory, system calls, capability,
 * descriptors. If nothing is refused, it waits for owners of the queues that are ending.
 *
 * Each refusal says what to do. A check that cannot find out what it needs refuses nothing: the operation itself will
 * fail later, with its own message. Process: [supervisor].
 */
#include "process/preflight.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "plugin/plugin_file.h"
#include "process/memory.h"
#include "process/process.h"
#include "process/queues.h"
#include "queue/bridges.h"
#include "queue/nfqueue_proc.h"
#include "queue/queue_owner.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define MIB (1024 * 1024)
#define PROCESSES_OF_ENGINE 2 /* supervisor and fork server */
#define PROCESS_MEMORY (256 * 1024) /* of a process without its plugins, the kernel's part included: measured with 97 */

/* A killed process keeps its socket until its memory is freed: of many gigabytes, that takes so long. */
#define OWNER_END_MS 3000
#define OWNER_UNSEEN_MS 100 /* between the end of a process and that of its socket */
#define OWNER_LOOK_MS 10

/* Makes the id one that no other plugin of the chain has. */
static void add_name(struct plugin *plugin, const char *name)
{
    size_t len = strlen(plugin->id);

    if (name != NULL) {
        snprintf(plugin->id + len, sizeof(plugin->id) - len, "@%s", name);
    }
}

static int check_id(const struct plugin *plugin, const struct plugin *other, struct error *error)
{
    size_t len = strcspn(plugin->id, "@");

    if (len != strcspn(other->id, "@") || memcmp(plugin->id, other->id, len) != 0) {
        return 0;
    }
    if ((plugin->flags & other->flags & NFQE_PLUGIN_MULTIPLE) == 0) {
        return error_set(error, EXIT_CODE_PLUGIN, -EEXIST,
                         "its id %.*s is also that of %s; a chain can have a plugin once", (int)len, plugin->id,
                         other->path);
    }
    if (strcmp(plugin->id, other->id) == 0) {
        return error_set(error, EXIT_CODE_PLUGIN, -EEXIST,
                         "its id %s is also that of %s; give each a name of its own: --plugin FILE,@name=NAME",
                         plugin->id, other->path);
    }
    return 0;
}

static int check_plugin(const struct plugin *plugins, unsigned index, struct error *error)
{
    const struct plugin *plugin = &plugins[index];

    for (unsigned i = 0; i < index; i++) {
        int code = check_id(plugin, &plugins[i], error);

        if (code < 0) {
            return code;
        }
    }
    if (plugin->foreign_owner) {
        log_line("%s: warning: belongs to user %u, who can change what the next start runs", plugin->path,
                 plugin->owner);
    }
    return 0;
}

static int check_plugins(struct generation *generation, struct error *error)
{
    const struct queue_group *group = generation->group;

    for (unsigned i = 0; i < group->plugin_count; i++) {
        struct plugin *plugin = &generation->plugins[i];
        int code;

        plugin->path = group->plugins[i].path;
        plugin->values_text = group->plugins[i].values;
        code = plugin_file_check(plugin, error);
        if (code == 0) {
            generation->plugin_count = i + 1;
            add_name(plugin, group->plugins[i].name);
            code = check_plugin(generation->plugins, i, error);
        }
        if (code != 0) {
            error_set_source(error, plugin->path, 0);
            return code;
        }
    }
    return 0;
}

static int check_cpus(const struct queue_group *group, struct error *error)
{
    size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    int code = 0;

    if (set == NULL || sched_getaffinity(0, size, set) < 0) {
        CPU_FREE(set);
        return 0; /* the worker will say so */
    }
    for (unsigned i = 0; i < group->cpu_count && code == 0; i++) {
        if (!CPU_ISSET_S((size_t)group->cpus[i], size, set)) {
            code = error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                             "--cpu: CPU %u is not available to this process; see taskset -p $$", group->cpus[i]);
        }
    }
    CPU_FREE(set);
    return code;
}

/* The only use that options can leave no room for. */
static void take_over_uses(struct plugin *plugin, uint64_t uses)
{
    if (plugin->uses != uses) {
        log_line("plugin %s: NFQE_NEED_REQUEUE, which it can do without, is not offered: --bypass-mark has bits of the "
                 "default --repeat-mark 0x%" PRIx32 "; name others",
                 plugin->id, PLAN_REPEAT_MASK_DEFAULT);
        plugin->uses = uses;
    }
}

static int make_plan(struct generation *generation, struct error *error)
{
    struct plan_plugin described[PLUGINS_MAX];
    int code;

    for (unsigned i = 0; i < generation->plugin_count; i++) {
        const struct plugin *plugin = &generation->plugins[i];

        described[i] = (struct plan_plugin){.id = plugin->id,
                                            .path = plugin->path,
                                            .needs = plugin->needs,
                                            .uses = plugin->uses,
                                            .header_bytes = plugin->header_bytes};
    }
    code = plan_make(generation->group, described, generation->plugin_count, &generation->plan, error);
    for (unsigned i = 0; i < generation->plugin_count && code == 0; i++) {
        take_over_uses(&generation->plugins[i], generation->plan.plugins[i].uses);
    }
    return code;
}

static uint64_t to_mib(uint64_t bytes)
{
    return (bytes + MIB - 1) / MIB;
}

/* What the queues of a group take, in bytes. */
struct memory_needs {
    uint64_t flows; /* flow tables; with the next two from the start on */
    uint64_t bursts; /* receive slots and journals */
    uint64_t processes; /* queue processes, workers and spares, with the memory in which they answer */
    uint64_t rings; /* under load: packets on their way to workers, and changed ones on their way back */
};

static struct memory_needs find_needs(const struct queue_group *group, const struct plan *plan)
{
    const struct queue_shm_layout layout = queues_layout(plan);
    const uint64_t workers = (uint64_t)group->queue_count * (group->workers + group->spares);
    const uint64_t rings = (uint64_t)group->queue_count * group->workers;
    const uint64_t changes = layout.changes ? QUEUE_SHM_CHANGES_SIZE * group->queue_count : 0;

    return (struct memory_needs){
        .flows = layout.flows_size * group->queue_count,
        .bursts = (queue_shm_size(&layout) - layout.flows_size) * group->queue_count - changes,
        .processes =
            (PROCESSES_OF_ENGINE + group->queue_count + workers) * PROCESS_MEMORY + workers * RING_ANSWERS_FILE_SIZE,
        .rings = rings * ring_packets_size(ring_frame_size(layout.slot_size)) + changes +
                 (layout.changes ? rings * (RING_CHANGING_FILE_SIZE - RING_ANSWERS_FILE_SIZE) : 0),
    };
}

/* Memory is taken at start or at the first packets, and the kernel would rather kill a process than refuse it. */
static int check_memory(const struct queue_group *group, const struct plan *plan, struct error *error)
{
    const struct memory_needs needs = find_needs(group, plan);
    const uint64_t needed = needs.flows + needs.bursts + needs.processes;
    struct memory_available available;

    memory_find_available(&available);
    if (needed > available.bytes) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -ENOMEM,
                         "the queues take %" PRIu64 " MiB of memory (%u queues: flow tables %" PRIu64
                         " MiB, received packets %" PRIu64 " MiB, processes %" PRIu64 " MiB), %s has %" PRIu64
                         " MiB left; %s%s",
                         to_mib(needed), group->queue_count, to_mib(needs.flows), to_mib(needs.bursts),
                         to_mib(needs.processes), available.owner, available.bytes / MIB,
                         needs.flows >= needed / 2 ? "lower --flow-table" : "use fewer queues, --workers and --spares",
                         available.is_limit ? ", or raise that limit" : "");
    }
    if (needed + needs.rings > available.bytes) {
        log_line("warning: under load the queues take up to %" PRIu64 " MiB of memory, %" PRIu64
                 " MiB of it for packets on their way to workers; %s has %" PRIu64 " MiB left",
                 to_mib(needed + needs.rings), to_mib(needs.rings), available.owner, available.bytes / MIB);
    }
    return 0;
}

static int refuse_call(const char *call, struct error *error)
{
    int code = -errno;

    return error_set(
        error, EXIT_CODE_RUN_TIME, code,
        "%s(2) is refused: %s; if a seccomp filter does it, as that of a container, let it allow this call", call,
        strerror(-code));
}

/* What a queue process calls when packets come, and nothing before. Refused then, the queue would be bound and dead. */
static int check_calls(struct error *error)
{
    struct mmsghdr message = {.msg_len = 0};
    struct epoll_event event;
    int ends[2] = {-1, -1};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int code = 0;

    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == 0 &&
        recvmmsg(ends[0], &message, 1, MSG_DONTWAIT, NULL) < 0 && errno != EAGAIN) {
        code = refuse_call("recvmmsg", error);
    } else if (epoll >= 0 && epoll_wait(epoll, &event, 1, 0) < 0 && errno != EINTR) {
        code = refuse_call("epoll_wait", error);
    }
    close_fd(&epoll);
    close_fd(&ends[0]);
    close_fd(&ends[1]);
    return code;
}

static int check_capability(const struct queue_group *group, struct error *error)
{
    if (!has_cap_net_admin()) {
        return error_set(error, EXIT_CODE_QUEUE, -EPERM,
                         "queue %u: cannot be bound without CAP_NET_ADMIN; start nfq-engine as root", group->queues[0]);
    }
    return 0;
}

/*
 * What the supervisor has open: of each queue its socket and memory, and its process's pidfd, channel and log; of each
 * worker pidfd, log, counter cells, and until it has its ring a channel; and some for itself, the fork server and births
 * on their way.
 */
#define DESCRIPTORS_OF_ENGINE 64
#define DESCRIPTORS_OF_QUEUE 5
#define DESCRIPTORS_OF_WORKER 4

/* The limit is often 1,024, and may be raised. */
static int check_descriptors(const struct queue_group *group, struct error *error)
{
    const uint64_t of_queue = DESCRIPTORS_OF_QUEUE + (uint64_t)DESCRIPTORS_OF_WORKER * (group->workers + group->spares);
    const uint64_t needed = DESCRIPTORS_OF_ENGINE + group->plugin_count + group->queue_count * of_queue;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return 0;
    }
    if (limit.rlim_max >= needed) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        return 0;
    }
    return error_set(error, EXIT_CODE_CONFIGURATION, -EMFILE,
                     "%u queues with %u workers and spares each need %" PRIu64
                     " file descriptors, the limit is %" PRIu64 "; run: ulimit -n %" PRIu64,
                     group->queue_count, group->workers + group->spares, needed, (uint64_t)limit.rlim_max, needed);
}

/*
 * Whether some socket owns the queue, and how long it may take until it does not. A process that was just killed may
 * look as if it went on, so it is looked at twice.
 */
static bool look_at_owner(uint16_t number, unsigned looks, struct queue_owner *owner, unsigned *patience_ms)
{
    struct nfqueue_status status;

    if (nfqueue_read_status(number, &status) != 0) {
        return false;
    }
    if (queue_owner_find(status.port_id, owner) != 0) {
        *owner = (struct queue_owner){0};
        *patience_ms = OWNER_UNSEEN_MS;
    } else {
        *patience_ms = owner->ending ? OWNER_END_MS : looks < 2 ? OWNER_UNSEEN_MS : 0;
    }
    return true;
}

/* If the queue's owner was killed, waits for its end. Returns whether the queue is free. */
static bool wait_for_owner(uint16_t number)
{
    const struct timespec pause = {.tv_nsec = OWNER_LOOK_MS * (long)NS_PER_MS};
    uint64_t begin_ns = monotonic_ns();
    struct queue_owner owner = {0};
    bool told = false;
    unsigned patience_ms;

    for (unsigned looks = 0;; looks++) {
        if (!look_at_owner(number, looks, &owner, &patience_ms)) {
            return true;
        }
        if ((monotonic_ns() - begin_ns) / NS_PER_MS >= patience_ms) {
            return false;
        }
        if (owner.ending && !told) {
            log_line("queue %u: process %d (%s), which owns it, is ending; waiting up to %d ms for that", number,
                     owner.pid, owner.name, OWNER_END_MS);
            told = true;
        }
        nanosleep(&pause, NULL);
    }
}

/* What is still owned is refused when it is opened, so the first one ends it. */
static void wait_for_owners(const struct queue_group *group)
{
    bool is_free = true;

    for (unsigned i = 0; i < group->queue_count && is_free; i++) {
        is_free = wait_for_owner(group->queues[i]);
    }
}

/* It costs packets that no counter shows, but where no rule queues them, it is as it should be. */
static void warn_of_bridges(void)
{
    char name[IF_NAMESIZE];

    if (bridges_find_filtered(name)) {
        log_line("bridge %s: where connections are tracked, the kernel drops broadcast and multicast packets that it "
                 "copies to the ports before they are queued, and counts them nowhere; if they are to be queued, run: "
                 "iptables -t raw -A PREROUTING -m pkttype ! --pkt-type unicast -j CT --notrack, and the same with "
                 "ip6tables",
                 name);
    }
}

int preflight_check(struct generation *generation, struct error *error)
{
    const struct queue_group *group = generation->group;
    int code = check_plugins(generation, error);

    if (code == 0) {
        code = check_cpus(group, error);
    }
    if (code == 0) {
        code = make_plan(generation, error);
    }
    if (code == 0) {
        code = check_memory(group, &generation->plan, error);
    }
    if (code == 0) {
        code = check_calls(error);
    }
    if (code == 0) {
        code = check_capability(group, error);
    }
    if (code == 0) {
        code = check_descriptors(group, error);
    }
    if (code == 0) {
        warn_of_bridges();
        wait_for_owners(group);
    }
    return code;
}
