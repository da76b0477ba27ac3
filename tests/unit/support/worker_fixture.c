/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a worker, and the plugins in it.
 */
#include "worker_fixture.h"

#include "rights.h"

#include "base/channel.h"
#include "process/plugin_services.h"
#include "process/worker.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 20000
#define TIMEOUT_MS 60000

struct lone_worker lone;

void __wrap_log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The line that the worker leaves while it has no ring. */
void __wrap_log_line(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(lone.seen->line, sizeof(lone.seen->line), format, arguments);
    va_end(arguments);
}

/* ---- the plugins -------------------------------------------------------------------------------------------------- */

static int open_plugin(const struct nfqe_host *host, const void *config, const void *shared, void **self)
{
    unsigned number = (unsigned)((const struct acting *)shared - lone.plugins);
    cpu_set_t cpus;

    (void)config;
    *self = &lone.plugins[number];
    lone.seen->opened[number]++;
    lone.seen->uid = getuid();
    prctl(PR_GET_PDEATHSIG, &lone.seen->death_signal);
    sched_getaffinity(0, sizeof(cpus), &cpus);
    lone.seen->cpus = CPU_COUNT(&cpus);
    lone.seen->has_channel = lone.base.engine.channel >= 0;
    return lone.plugins[number].in_open != NULL ? lone.plugins[number].in_open(host) : 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    const struct acting *acting = self;

    (void)packet;
    lone.seen->handled[acting - lone.plugins]++;
    if (acting->in_handle != NULL) {
        acting->in_handle();
    }
    return acting->answer;
}

void lone_handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = handle(self, packets[i]);
    }
}

static void close_plugin(void *self)
{
    const struct acting *acting = self;

    lone.seen->closed[acting - lone.plugins]++;
    if (acting->in_close != NULL) {
        acting->in_close();
    }
}

/* ---- supervisor and queue process ----------------------------------------------------------------------------------- */

int lone_set_up(void **state)
{
    struct generation *generation = &lone.base.generation;

    (void)state;
    memset(&lone, 0, sizeof(lone));
    engine_fixture_init(&lone.base, 2, TIMEOUT_MS);
    lone.base.group.default_verdict = NFQE_ACCEPT;
    lone.seen = mmap(NULL, sizeof(*lone.seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(lone.seen != MAP_FAILED);
    generation->plugin_count = LONE_PLUGINS;
    for (unsigned i = 0; i < LONE_PLUGINS; i++) {
        generation->plugins[i] = (struct plugin){
            .memfd = -1,
            .id = "acting",
            .table = {.open = open_plugin, .handle = handle, .close = close_plugin},
            .shared = &lone.plugins[i],
        };
        plugin_host_init(&generation->plugins[i].host, &plugin_services, generation->plugins[i].id);
        lone.plugins[i].answer = NFQE_CONTINUE;
    }
    ring_submit_init(&lone.ring);
    counter_cells_init(&lone.cells);
    lone.channel = -1;
    lone.epoll = epoll_create1(EPOLL_CLOEXEC);
    return lone.epoll < 0;
}

int lone_tear_down(void **state)
{
    (void)state;
    if (lone.pid > 0) {
        kill(lone.pid, SIGKILL);
        waitpid(lone.pid, NULL, 0);
    }
    ring_submit_done(&lone.ring);
    counter_cells_done(&lone.cells);
    close(lone.channel);
    close(lone.epoll);
    munmap(lone.seen, sizeof(*lone.seen));
    engine_fixture_done(&lone.base);
    return 0;
}

void lone_start_birth(struct worker_birth birth)
{
    int theirs;

    assert_int_equal(channel_new(&lone.channel, &theirs), 0);
    lone.pid = fork();
    assert_true(lone.pid >= 0);
    if (lone.pid == 0) {
        close(lone.channel);
        close(lone.epoll);
        if (lone.as_user && setresuid(RIGHTS_UID, RIGHTS_UID, RIGHTS_UID) < 0) {
            _exit(0);
        }
        lone.base.engine.channel = theirs;
        worker_run(&lone.base.engine, &birth);
    }
    close(theirs);
}

void lone_start(void)
{
    lone_start_birth((struct worker_birth){.uid = PRIVILEGES_SAME_UID});
}

void lone_wait_hello(void)
{
    struct process_message message;

    assert_int_equal(channel_wait(lone.channel, &message, sizeof(message), NULL, 0), sizeof(message));
    assert_int_equal(process_message_check(&message, sizeof(message), FROM_BIRTH, 2), 0);
    assert_int_equal(message.kind, WORKER_HELLO);
    assert_int_equal(lone.seen->opened[0], 0);
}

void lone_pass_ring(void)
{
    lone_pass_ring_and_log(-1);
}

void lone_pass_ring_and_log(int log)
{
    const struct process_message message = process_message_make(WORKER_DESCRIPTORS, 0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int fds[WORKER_FDS_MAX];
    unsigned count = RING_FDS;

    assert_int_equal(ring_submit_new(&lone.ring, RING_SLOT_SIZE), 0);
    assert_int_equal(epoll_ctl(lone.epoll, EPOLL_CTL_ADD, lone.ring.answered, &event), 0);
    ring_worker_fds(&lone.ring, fds);
    if (lone.cells.fd >= 0) {
        fds[count++] = lone.cells.fd;
    }
    if (log >= 0) {
        fds[count++] = log;
    }
    assert_int_equal(channel_send(lone.channel, &message, sizeof(message), fds, count), 0);
    ring_submit_passed(&lone.ring);
}

static void wait_answered(void)
{
    struct epoll_event event;

    assert_int_equal(epoll_wait(lone.epoll, &event, 1, WAIT_MS), 1);
}

uint32_t lone_wait_state(void)
{
    while (!ring_is_sealed(&lone.ring) || ring_state(&lone.ring) == RING_OPENING) {
        wait_answered();
    }
    return ring_state(&lone.ring);
}

void lone_start_with_ring(void)
{
    lone_start();
    lone_wait_hello();
    lone_pass_ring();
}

void lone_start_and_open(void)
{
    lone_start_with_ring();
    assert_int_equal(lone_wait_state(), RING_OPENED);
}

int lone_wait_status(void)
{
    int status;

    assert_int_equal(waitpid(lone.pid, &status, 0), lone.pid);
    lone.pid = 0;
    return status;
}

void lone_assert_answers(unsigned count, uint32_t answer, uint32_t plugin)
{
    for (unsigned i = 0; i < count;) {
        struct ring_answered answered;

        if (ring_take(&lone.ring, &answered) == 1) {
            assert_int_equal(answered.origin.entry, i++);
            assert_int_equal(answered.answer, answer);
            assert_int_equal(answered.plugin, plugin);
        } else if (ring_sleep(&lone.ring)) {
            wait_answered();
            assert_int_equal(ring_awake(&lone.ring, true), 0);
        }
    }
}

void lone_assert_failed(const char *expected)
{
    char text[RING_TEXT_SIZE];

    assert_int_equal(lone_wait_status(), EXITED(PROCESS_EXIT_FAILED));
    assert_true(ring_is_sealed(&lone.ring));
    assert_int_equal(ring_state(&lone.ring), RING_FAILED);
    ring_copy_text(&lone.ring, text, sizeof(text));
    assert_string_equal(text, expected);
    assert_int_equal(lone.seen->closed[0] + lone.seen->closed[1], 0);
}
