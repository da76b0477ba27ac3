/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's end of the channel to the fork server, and the fork server's states: none, waiting to be started
 * again, loading, ready, leaving, given up.
 *
 * While it loads, each plugin has --load-timeout for its constructors and as long again for load(): whenever the fork
 * server's status shows a later step, the time begins again. It is added up from look to look, and what passes between
 * two looks counts for LOOK_MAX_MS at most: while the machine or the supervisor was paused, the fork server may have
 * been, too. One that takes longer is killed, and its end is handled like any other. Invalid messages are skipped.
 * Process: [supervisor].
 */
#include "process/forkserver_client.h"

#include "base/arith.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/close_fds.h"
#include "base/fd.h"
#include "base/shm.h"
#include "process/queue_messages.h"
#include "process/watched_channel.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 1000 /* a plugin file that is whole again is found within a second */
#define MESSAGES_A_TURN 16
#define LOOK_MAX_MS 50 /* looks are 10 ms apart, but for a busy machine */

/*
 * The time for one worker, from the request to its first message. On 2 CPUs it takes 0.2 ms, and 0.1 ms more for each
 * MiB of the fork server, whose page tables are copied twice; beside 16 processes that compute, up to 100 ms and 2 ms
 * more for each MiB. To kill a fork server that is only slow costs another load(), so there is some reserve, and one
 * that gets no CPU has longer (birth_watch.c).
 */
#define BIRTH_MS 500
#define BIRTH_MS_PER_MIB 4

static struct forkserver_step current_step(const struct forkserver_client *client)
{
    return (struct forkserver_step){client->engine->status->plugin, client->engine->status->stage};
}

static void set_timeout(struct forkserver_client *client, uint64_t timeout_ms)
{
    client->step = current_step(client);
    client->timeout_ns = timeout_ms * NS_PER_MS;
    client->waited_ns = 0;
    client->looked_ns = monotonic_ns();
}

void forkserver_client_init(struct forkserver_client *client, struct engine *engine,
                            const struct engine_programs *programs, struct event_loop *loop)
{
    const struct queue_group *group = engine->generation->group;

    *client = (struct forkserver_client){
        .engine = engine,
        .programs = programs,
        .loop = loop,
        .channel = {.fd = -1},
        .backoff = {.min_ms = BACKOFF_MIN_MS, .max_ms = BACKOFF_MAX_MS},
    };
    child_init(&client->process, NULL, NULL);
    option_files_init(&client->files);
    areas_init(&client->areas, engine->queue_count, group->workers + group->spares, engine->generation->plugin_count,
               group->plugin_memory);
}

/* ---- in the new process ------------------------------------------------------------------------------------------ */

/*
 * Their memory is not inherited (queue_shm.c), and their descriptors are closed. With the seed of the flow tables a plugin
 * could choose packets whose flows collide.
 */
static void forget_queues(struct engine *engine)
{
    for (unsigned i = 0; i < engine->queue_count; i++) {
        struct engine_queue *queue = &engine->queues[i];

        queue->kernel.socket = -1;
        queue->control = NULL;
        queue_shm_init(&queue->shm);
    }
    explicit_bzero(&engine->flow_seed, sizeof(engine->flow_seed));
}

/* Before any code of a plugin runs. */
static void run(const struct forkserver_client *client, int channel) __attribute__((noreturn));

static void run(const struct forkserver_client *client, int channel)
{
    struct engine *engine = client->engine;
    int kept[PLUGINS_MAX + 2];
    unsigned count = 0;

    kept[count++] = channel;
    kept[count++] = engine->log;
    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        kept[count++] = engine->generation->plugins[i].memfd;
    }
    close_fds_but(kept, count);
    forget_queues(engine);
    engine->channel = channel;
    client->programs->forkserver_run(engine, client->programs);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

int forkserver_client_start(struct forkserver_client *client, struct error *error)
{
    int theirs = -1;
    int code;

    client->retry_ns = 0;
    areas_begin(&client->areas);
    memset(client->engine->status, 0,
           offsetof(struct forkserver_status, counters.names)); /* names have no end of their own */
    memset(client->engine->status->reasons.first, 0, sizeof(client->engine->status->reasons.first));
    code = watched_channel_open(&client->channel, client->loop, &theirs);
    if (code < 0) {
        forkserver_client_retry(client);
        return error_set(error, EXIT_CODE_RUN_TIME, code, "no channel for the fork server: %s", strerror(-code));
    }
    code = child_fork(&client->process, client->loop);
    if (code == 0) {
        run(client, theirs);
    }
    close_fd(&theirs);
    if (code < 0) {
        watched_channel_close(&client->channel, client->loop);
        forkserver_client_retry(client);
        return error_set(error, EXIT_CODE_RUN_TIME, code, "no process for the fork server: %s", strerror(-code));
    }
    client->hung = false;
    client->leaving = false;
    set_timeout(client, client->engine->generation->group->load_timeout_ms);
    return 0;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* Never waits for room in the channel: the fork server may not read. */
static bool tell(const struct forkserver_client *client, const struct process_message *message, const int *fd)
{
    return client->ready && channel_send(client->channel.fd, message, sizeof(*message), fd, fd != NULL ? 1 : 0) == 0;
}

bool forkserver_client_request(struct forkserver_client *client, const struct process_message *message, int channel)
{
    return tell(client, message, &channel);
}

/* A fork copies the page tables of what load() built, twice. */
static unsigned birth_timeout_ms(pid_t forkserver)
{
    unsigned long pages = 0;
    char path[32];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/statm", forkserver);
    file = fopen(path, "re");
    if (file != NULL) {
        if (fscanf(file, "%*u %lu", &pages) != 1) {
            pages = 0;
        }
        fclose(file);
    }
    return BIRTH_MS + (unsigned)(pages / ((1U << 20) / SHM_PAGE_SIZE)) * BIRTH_MS_PER_MIB;
}

/* Answers with what an option names. Without room for the answer there is none, and it takes too long. */
static void give_file(struct forkserver_client *client, const struct process_message *request)
{
    int fd =
        option_files_get(&client->files, client->engine->generation, request->value, request->slot, request->access);
    const struct process_message answer = process_message_make(FORKSERVER_FILE, fd < 0 ? (uint32_t)-fd : 0);

    channel_send(client->channel.fd, &answer, sizeof(answer), &fd, fd >= 0 ? 1 : 0);
}

/* Answers what a plugin declares. It is copied first: plugins can write to it at any time. */
static void give_area(struct forkserver_client *client, const struct process_message *request)
{
    struct area_declaration declared;
    struct process_message answer;
    int table = -1;
    int code;

    memcpy(&declared, &client->engine->status->area, sizeof(declared));
    declared.plugin = request->value;
    code = areas_declare(&client->areas, &declared, &table);
    answer = process_message_make(FORKSERVER_FILE, (uint32_t)-code);
    channel_send(client->channel.fd, &answer, sizeof(answer), &table, table >= 0 ? 1 : 0);
    close_fd(&table);
}

/* Before a worker can be born. What the first fork server says stays: its cells are counted in. */
static void take_names(struct engine *engine)
{
    if (engine->reasons_known) {
        return;
    }
    engine->reasons_known = true;
    reason_names_take(&engine->counters, &engine->status->counters, engine->generation->plugin_count);
    reason_names_take(&engine->reasons, &engine->status->reasons, engine->generation->plugin_count);
    for (unsigned i = 0; i < engine->queue_count; i++) {
        for (unsigned plugin = 0; plugin <= PLUGINS_MAX; plugin++) {
            engine->queues[i].control->reasons[plugin] = engine->reasons.first[plugin];
        }
    }
}

static void become_ready(struct forkserver_client *client)
{
    take_names(client->engine);
    client->ready = true;
    client->timeout_ns = 0;
    client->birth_timeout_ms = birth_timeout_ms(client->process.pid);
    option_files_seal(&client->files);
    areas_commit(&client->areas);
    backoff_reset(&client->backoff);
}

bool forkserver_client_receive(struct forkserver_client *client)
{
    bool ready = false;

    for (unsigned i = 0; i < MESSAGES_A_TURN && client->channel.fd >= 0; i++) {
        struct process_message message;
        pid_t sender;
        ssize_t len = channel_receive(client->channel.fd, &message, sizeof(message), &sender);

        if (len == 0) {
            event_loop_unwatch(client->loop, &client->channel); /* its process ends, or a plugin closed it */
            client->ready = ready = false;
        }
        if (len <= 0) {
            break;
        }
        if (process_message_check(&message, (size_t)len, FROM_FORKSERVER, client->engine->queue_count) < 0 ||
            client->ready || client->hung) {
            continue;
        }
        if (message.kind == FORKSERVER_OPEN) {
            give_file(client, &message);
        } else if (message.kind == FORKSERVER_AREA) {
            give_area(client, &message);
        } else {
            become_ready(client);
            ready = true;
        }
    }
    return ready;
}

/* ---- its end --------------------------------------------------------------------------------------------------- */

/*
 * Until it has begun, a worker and the process between are in the fork server's group; one of them may be in a fork
 * handler that does not return. As long as the fork server has not been reaped, the group's number is no other's.
 */
static void kill_unborn(const struct forkserver_client *client)
{
    kill(-client->process.pid, SIGKILL);
}

void forkserver_client_forget(struct forkserver_client *client)
{
    kill_unborn(client);
    child_done(&client->process, client->loop);
}

bool forkserver_client_reap(struct forkserver_client *client, int *status)
{
    if (!child_has_ended(&client->process)) {
        return false;
    }
    kill_unborn(client);
    return child_reap(&client->process, client->loop, status);
}

void forkserver_client_ended(struct forkserver_client *client)
{
    watched_channel_close(&client->channel, client->loop);
    client->ready = false;
    client->timeout_ns = 0;
}

unsigned forkserver_client_retry(struct forkserver_client *client)
{
    unsigned wait_ms = backoff_next(&client->backoff);

    client->retry_ns = monotonic_ns() + wait_ms * NS_PER_MS;
    return wait_ms;
}

void forkserver_client_give_up(struct forkserver_client *client)
{
    if (client->process.pid != 0) {
        client->hung = true;
        client->ready = false;
        client->timeout_ns = 0;
        child_kill(&client->process, monotonic_ns());
    }
}

/* Plugins are linked and loaded in order. One that says it is at an earlier step gets no time for that. */
static bool is_later(const struct forkserver_step *step, const struct forkserver_step *than)
{
    if (step->plugin.generation != than->plugin.generation) {
        return than->plugin.generation == 0; /* it is at the first plugin */
    }
    return step->plugin.index != than->plugin.index ? step->plugin.index > than->plugin.index
                                                    : step->stage > than->stage;
}

bool forkserver_client_look(struct forkserver_client *client, uint64_t now_ns)
{
    struct forkserver_step step = current_step(client);

    if (client->process.pid == 0 || client->timeout_ns == 0) {
        return false;
    }
    if (!client->leaving && is_later(&step, &client->step)) {
        set_timeout(client, client->engine->generation->group->load_timeout_ms);
        return false;
    }
    if (now_ns > client->looked_ns) {
        client->waited_ns += min_u64(now_ns - client->looked_ns, LOOK_MAX_MS * NS_PER_MS);
        client->looked_ns = now_ns;
    }
    if (client->waited_ns < client->timeout_ns) {
        return false;
    }
    forkserver_client_give_up(client);
    return true;
}

void forkserver_client_leave(struct forkserver_client *client)
{
    const struct process_message message = process_message_make(FORKSERVER_LEAVE, 0);

    client->retry_ns = 0; /* one that has ended is not started again */
    if (client->process.pid == 0) {
        return;
    }
    if (tell(client, &message, NULL)) {
        client->leaving = true;
        set_timeout(client, FORKSERVER_LEAVE_WAIT_MS);
    } else {
        client->timeout_ns = 0;
        child_kill(&client->process, monotonic_ns());
    }
}

void forkserver_client_done(struct forkserver_client *client)
{
    watched_channel_close(&client->channel, client->loop);
    option_files_done(&client->files);
    areas_done(&client->areas);
    child_done(&client->process, client->loop);
}
