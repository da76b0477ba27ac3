/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The little that all kinds of process do alike; see engine.h.
 */
#include "process/engine.h"

#include "base/log.h"
#include "base/util.h"

#include <nfqe/plugin.h>

#include <cap-ng.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define PLUGIN_LINES_PER_SECOND 20

/* Of this process. */
static struct log_limit plugin_lines;

const char *engine_verdict_name(uint32_t verdict)
{
    return verdict == NFQE_ACCEPT ? "accept" : "drop";
}

void engine_log_plugin(void *context, int level, const char *id, const char *text)
{
    static const char *const levels[] = {
        [NFQE_LOG_ERROR] = "error: ", [NFQE_LOG_WARNING] = "warning: ", [NFQE_LOG_INFO] = ""};
    unsigned missed;

    (void)context;
    if (!log_limit_pass(&plugin_lines, monotonic_ns(), &missed)) {
        return;
    }
    if (missed > 0) {
        log_line("plugin %s: %u more lines not shown (limit %d a second)", id, missed, PLUGIN_LINES_PER_SECOND);
    }
    log_line("plugin %s: %s%s", id, level >= 0 && level < (int)ARRAY_SIZE(levels) ? levels[level] : "", text);
}

void engine_tie_to_supervisor(const struct engine *engine)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != engine->supervisor) {
        _exit(ENGINE_EXIT_FAILED);
    }
}

bool has_cap_net_admin(void)
{
    return capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) == 1;
}

int engine_pin(int cpu)
{
    size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
    cpu_set_t *set;
    int result;

    if (cpu == QUEUE_GROUP_NO_CPU) {
        return 0;
    }
    set = CPU_ALLOC(CPUS_MAX);
    if (set == NULL) {
        return -1;
    }
    CPU_ZERO_S(size, set);
    CPU_SET_S((size_t)cpu, size, set);
    result = sched_setaffinity(0, size, set);
    CPU_FREE(set);
    return result;
}

/* One that is not open in this process by intention is -1. */
static bool is_open(int fd)
{
    return fd < 0 || fcntl(fd, F_GETFD) >= 0;
}

const char *process_check_intact(const struct engine *engine)
{
    bool all = is_open(engine->doorbell);

    for (unsigned i = 0; i < engine->queue_count; i++) {
        const struct engine_queue *queue = &engine->queues[i];

        all = all && is_open(queue->kernel.socket) && is_open(queue->wake) && is_open(queue->shm.fd);
    }
    for (unsigned i = 0; i < engine->plugin_count; i++) {
        all = all && is_open(engine->plugins[i].memfd);
    }
    if (!all) {
        return "closed descriptors of the engine; a plugin must not close what it did not open";
    }
    return has_cap_net_admin() ? NULL : "gave up CAP_NET_ADMIN, without which the kernel takes no verdict";
}

void engine_begin_process(const struct engine *engine, const char *name)
{
    static const int left_to_supervisor[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    const struct rlimit no_core = {0, 0};
    sigset_t none;

    plugin_lines = (struct log_limit){.burst = PLUGIN_LINES_PER_SECOND, .period_ns = NS_PER_S};
    prctl(PR_SET_NAME, name);
    engine_tie_to_supervisor(engine);
    for (size_t i = 0; i < ARRAY_SIZE(left_to_supervisor); i++) {
        signal(left_to_supervisor[i], SIG_IGN);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setrlimit(RLIMIT_CORE, &no_core); /* the replacement starts after the dump: a second for 256 MiB */
}

void engine_set_state(const struct engine *engine, const struct engine_queue *queue, enum worker_state state)
{
    queue->control->state = state;
    eventfd_signal(engine->doorbell);
}

void engine_fail(const struct engine *engine, const struct engine_queue *queue, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(queue->control->message, sizeof(queue->control->message), format, arguments);
    va_end(arguments);
    if (queue->control->state >= WORKER_SERVING) { /* before, it has not started: WORKER_STARTING says that */
        engine_set_state(engine, queue, WORKER_FAILED);
    }
    _exit(ENGINE_EXIT_FAILED);
}

void eventfd_signal(int eventfd)
{
    const uint64_t one = 1;

    if (write(eventfd, &one, sizeof(one)) < 0) {
        return; /* its counter is full: it rings already */
    }
}

void eventfd_consume(int eventfd)
{
    uint64_t count;

    if (read(eventfd, &count, sizeof(count)) < 0) {
        return; /* nobody rang */
    }
}
