/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looking through the supervisor's children, in /proc.
 *
 * A child that is not reaped keeps its pid, and only the supervisor reaps, so a pid that was read here is still that
 * child's when it is killed. A uid that a worker has which lives, or was asked for, is left alone: it ends when that worker
 * has. Process: [supervisor].
 */
#include "process/strays.h"

#include "base/clock.h"
#include "process/child_list.h"
#include "process/ends.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define LOOK_AFTER_MS 10

/* The effective uid of a process. Returns whether it could be read. */
static bool uid_of(pid_t pid, uid_t *uid)
{
    char path[32];
    char line[128];
    bool found = false;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    file = fopen(path, "re");
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
        found = sscanf(line, "Uid: %*u %u", uid) == 1;
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

static bool is_in_use(const struct children *children, uid_t uid)
{
    for (unsigned i = 0; i < children->engine->queue_count * children->places; i++) {
        const struct children_worker *worker = &children->workers[i];

        if (worker->number != 0 && !worker->ended && worker->uid == uid) {
            return true;
        }
    }
    return false;
}

/* Not the fork server, a queue process or a worker, nor a process between the fork server and a worker. */
static bool is_left_over(const struct children *children, pid_t pid)
{
    const struct engine *engine = children->engine;
    uid_t uid;

    return !ends_know(children, pid) && uid_of(pid, &uid) &&
           privileges_is_worker_uid(&engine->privileges, engine->generation->number, uid) && !is_in_use(children, uid);
}

static bool kill_left_over(void *context, pid_t pid)
{
    if (is_left_over(context, pid)) {
        kill(pid, SIGKILL);
    }
    return true;
}

void strays_kill(struct children *children)
{
    if (children->engine->privileges.form == PRIVILEGES_NAMESPACE) {
        child_list_each(getpid(), kill_left_over, children);
    }
}

void strays_look_soon(struct children *children)
{
    if (children->engine->privileges.form == PRIVILEGES_NAMESPACE && children->left_over.link == NULL) {
        event_loop_start_timer(children->loop, &children->left_over,
                               event_loop_now(children->loop) + LOOK_AFTER_MS * NS_PER_MS);
    }
}
