/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's end of the channel to the fork server, and the fork server's states: none, waiting to be started
 * again, loading, ready, given up.
 *
 * While it loads, each plugin has --load-timeout for its constructors and as long again for load(): whenever the fork
 * server's status shows another step, the deadline is moved. A fork server that misses it is killed, and its end is
 * handled like any other. Messages are read until there is none; invalid ones are skipped. Process: [supervisor].
 */
#include "process/forkserver_client.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 1000 /* a plugin file that is whole again is found within a second */

static struct forkserver_step current_step(const struct forkserver_client *client)
{
    return (struct forkserver_step){client->engine->status->plugin, client->engine->status->stage};
}

static void set_deadline(struct forkserver_client *client)
{
    client->step = current_step(client);
    client->deadline_ns = monotonic_ns() + client->engine->generation->group->load_timeout_ms * NS_PER_MS;
}

void forkserver_client_init(struct forkserver_client *client, struct engine *engine,
                            const struct engine_programs *programs, struct event_loop *loop, const int *close_in_child)
{
    *client = (struct forkserver_client){
        .engine = engine,
        .programs = programs,
        .loop = loop,
        .close_in_child = close_in_child,
        .channel = {.fd = -1},
        .backoff = {.min_ms = BACKOFF_MIN_MS, .max_ms = BACKOFF_MAX_MS},
    };
}

/* In the new process. */
static void run(const struct forkserver_client *client, int channel) __attribute__((noreturn));

static void run(const struct forkserver_client *client, int channel)
{
    for (const int *fd = client->close_in_child; *fd >= 0; fd++) {
        close(*fd);
    }
    client->programs->forkserver_run(client->engine, channel, client->programs);
}

static void close_channel(struct forkserver_client *client)
{
    event_loop_unwatch(client->loop, &client->channel);
    close_fd(&client->channel.fd);
}

/* Opens a channel and watches our end. *theirs gets the other one. */
static int open_channel(struct forkserver_client *client, int *theirs)
{
    int ends[2];
    int code;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return -errno;
    }
    client->channel.fd = ends[0];
    code = event_loop_watch(client->loop, &client->channel, EPOLLIN);
    if (code < 0) {
        close_fd(&client->channel.fd);
        close(ends[1]);
        return code;
    }
    *theirs = ends[1];
    return 0;
}

int forkserver_client_start(struct forkserver_client *client, struct error *error)
{
    int theirs = -1;
    pid_t pid;
    int code;

    client->retry_ns = 0;
    memset(client->engine->status, 0, sizeof(*client->engine->status));
    code = open_channel(client, &theirs);
    if (code < 0) {
        forkserver_client_retry(client);
        return error_set(error, EXIT_CODE_RUN_TIME, code, "no channel for the fork server: %s", strerror(-code));
    }
    pid = fork();
    if (pid == 0) {
        close(client->channel.fd);
        run(client, theirs);
    }
    code = pid < 0 ? -errno : 0;
    close(theirs);
    if (code < 0) {
        close_channel(client);
        forkserver_client_retry(client);
        return error_set(error, EXIT_CODE_RUN_TIME, code, "no process for the fork server: %s", strerror(-code));
    }
    client->pid = pid;
    client->hung = false;
    set_deadline(client);
    return 0;
}

/* Never waits for room in the channel: the fork server may not read. */
static bool tell(const struct forkserver_client *client, enum forkserver_message_kind kind, unsigned queue)
{
    const struct forkserver_message message = forkserver_message_make(kind, queue, 0);

    return client->ready &&
           send(client->channel.fd, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(message);
}

bool forkserver_client_request(struct forkserver_client *client, unsigned queue)
{
    if (!tell(client, FORKSERVER_FORK, queue)) {
        return false;
    }
    client->outstanding++;
    return true;
}

/*
 * The next message, whatever it is. Returns its length, also if that is more than there is room for (MSG_TRUNC); 0 or
 * negative: there is none, or the other end is closed. If a fork server ends with requests unread, the kernel reports
 * ECONNRESET once, before the messages that it had sent.
 */
static ssize_t receive_any(const struct forkserver_client *client, struct forkserver_message *message)
{
    ssize_t len;

    do {
        len = recv(client->channel.fd, message, sizeof(*message), MSG_DONTWAIT | MSG_TRUNC);
    } while (len < 0 && errno == ECONNRESET);
    return len;
}

bool forkserver_client_receive(struct forkserver_client *client, struct forkserver_message *message)
{
    ssize_t len;

    while (client->channel.fd >= 0 && (len = receive_any(client, message)) > 0) {
        if (forkserver_message_check(message, (size_t)len, FROM_FORKSERVER, client->engine->queue_count) < 0) {
            continue;
        }
        if (message->kind == FORKSERVER_READY) {
            client->ready = true;
            client->deadline_ns = 0;
            backoff_reset(&client->backoff);
        } else {
            client->outstanding -= client->outstanding > 0;
        }
        return true;
    }
    return false;
}

/* ---- ends of children that are not known yet ------------------------------------------------------------------- */

void forkserver_client_note_exit(struct forkserver_client *client, pid_t pid, int status)
{
    if (client->outstanding > 0 && client->early_exit_count < FORKSERVER_EARLY_EXITS) {
        client->early_exits[client->early_exit_count++] = (struct forkserver_early_exit){pid, status};
    }
}

bool forkserver_client_find_exit(const struct forkserver_client *client, pid_t pid, int *status)
{
    for (unsigned i = 0; i < client->early_exit_count; i++) {
        if (client->early_exits[i].pid == pid) {
            *status = client->early_exits[i].status;
            return true;
        }
    }
    return false;
}

void forkserver_client_forget_exits(struct forkserver_client *client)
{
    if (client->outstanding == 0) {
        client->early_exit_count = 0;
    }
}

/* ---- its end --------------------------------------------------------------------------------------------------- */

void forkserver_client_ended(struct forkserver_client *client)
{
    close_channel(client);
    client->pid = 0;
    client->ready = false;
    client->deadline_ns = 0;
    client->outstanding = 0;
    client->early_exit_count = 0;
}

unsigned forkserver_client_retry(struct forkserver_client *client)
{
    unsigned wait_ms = backoff_next(&client->backoff);

    client->retry_ns = monotonic_ns() + wait_ms * NS_PER_MS;
    return wait_ms;
}

void forkserver_client_give_up(struct forkserver_client *client)
{
    if (client->pid != 0) {
        client->hung = true;
        client->deadline_ns = 0;
        kill(client->pid, SIGKILL);
    }
}

void forkserver_client_check_deadline(struct forkserver_client *client, uint64_t now_ns)
{
    struct forkserver_step step = current_step(client);

    if (client->pid == 0 || client->deadline_ns == 0) {
        return;
    }
    if (step.stage != client->step.stage || !plugin_ref_equal(step.plugin, client->step.plugin)) {
        set_deadline(client);
    } else if (now_ns >= client->deadline_ns) {
        forkserver_client_give_up(client);
    }
}

/* Whether it ended within FORKSERVER_LEAVE_WAIT_MS; then it is reaped. */
static bool wait_for_end(pid_t pid, int *status)
{
    for (unsigned i = 0; i < FORKSERVER_LEAVE_WAIT_MS; i++) {
        if (waitpid(pid, status, WNOHANG) == pid) {
            return true;
        }
        poll(NULL, 0, 1);
    }
    return false;
}

int forkserver_client_leave(struct forkserver_client *client, int *status)
{
    int code = 0;

    *status = 0;
    if (client->pid == 0) {
        return 0;
    }
    if (tell(client, FORKSERVER_LEAVE, 0)) {
        if (wait_for_end(client->pid, status)) {
            client->pid = 0;
            return 0;
        }
        code = -ETIMEDOUT;
    }
    kill(client->pid, SIGKILL);
    waitpid(client->pid, NULL, 0);
    client->pid = 0;
    return code;
}

void forkserver_client_done(struct forkserver_client *client)
{
    close_channel(client);
}
