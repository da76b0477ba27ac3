/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dividing the range of uids, and finding out what the machine allows.
 *
 * The range has first one uid for each queue process, then two blocks, for generations of even and odd number. A block
 * has one uid for the fork server, then two for each slot of each queue. A user namespace gets a block, so the queue
 * processes are in none.
 *
 * Whether a form can be had depends on capabilities, sysctls, seccomp filters and mounts of a container, and on its map
 * of uids. No file says all that, so a child tries it with the code that a fork server runs, and reports over a pipe.
 * Process: [supervisor], before it has started another process; the uids: all.
 */
#include "process/privileges_plan.h"

#include "base/fd.h"
#include "base/limits.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TURNS WORKER_UIDS
#define BLOCKS 2
#define ZOMBIE "State:\tZ" /* in /proc/PID/status, before the uids */
#define OVERFLOW_UID 65534 /* nobody: who has no uid of his own; and 65535 is -1 in 16 bits */

/* ---- uids ------------------------------------------------------------------------------------------------------ */

static uint64_t block_size(const struct privileges_plan *plan)
{
    return 1 + (uint64_t)plan->queues * plan->slots * TURNS;
}

static struct privileges_range block(const struct privileges_plan *plan, uint32_t generation)
{
    uint64_t first = plan->range.first + plan->queues + generation % BLOCKS * block_size(plan);

    return (struct privileges_range){(uid_t)first, (uid_t)(first + block_size(plan) - 1)};
}

uid_t privileges_queue_uid(const struct privileges_plan *plan, unsigned queue)
{
    return plan->form == PRIVILEGES_SAME ? PRIVILEGES_SAME_UID : plan->range.first + queue;
}

uid_t privileges_worker_uid(const struct privileges_plan *plan, uint32_t generation, unsigned queue, unsigned slot,
                            unsigned turn)
{
    uid_t forkserver = block(plan, generation).first;

    switch (plan->form) {
    case PRIVILEGES_NAMESPACE:
        return forkserver + 1 + (queue * plan->slots + slot) * TURNS + turn % TURNS;
    case PRIVILEGES_ONE_UID:
        return forkserver;
    case PRIVILEGES_SAME:
        break;
    }
    return PRIVILEGES_SAME_UID;
}

unsigned privileges_worker_processes(const struct privileges_plan *plan)
{
    switch (plan->form) {
    case PRIVILEGES_NAMESPACE:
        return PRIVILEGES_WORKER_PROCESSES_MAX;
    case PRIVILEGES_ONE_UID: /* of all workers together */
        return PRIVILEGES_WORKER_PROCESSES_MAX * plan->queues * plan->slots;
    case PRIVILEGES_SAME:
        break;
    }
    return 0; /* the user's other processes count, too */
}

bool privileges_is_worker_uid(const struct privileges_plan *plan, uint32_t generation, uid_t uid)
{
    struct privileges_range uids = block(plan, generation);

    return plan->form == PRIVILEGES_NAMESPACE && uid > uids.first && uid <= uids.last;
}

int privileges_become_forkserver(const struct privileges_plan *plan, uint32_t generation, struct error *error)
{
    struct privileges_range uids = block(plan, generation);

    switch (plan->form) {
    case PRIVILEGES_NAMESPACE:
        return privileges_drop_forkserver(uids.first, uids.first, uids.last, error);
    case PRIVILEGES_ONE_UID:
        return privileges_drop_forkserver(uids.first, PRIVILEGES_SAME_UID, PRIVILEGES_SAME_UID, error);
    case PRIVILEGES_SAME:
        break;
    }
    return privileges_drop_forkserver(PRIVILEGES_SAME_UID, PRIVILEGES_SAME_UID, PRIVILEGES_SAME_UID, error);
}

/* ---- what the machine allows ----------------------------------------------------------------------------------- */

struct attempt {
    int code;
    bool nested;
    char reason[ERROR_TEXT_MAX];
};

/* In a child: becomes a fork server, the last one of the range so that all uids are tried, and then a worker. */
static void attempt(const struct privileges_plan *plan, int pipe_end) __attribute__((noreturn));

static void attempt(const struct privileges_plan *plan, int pipe_end)
{
    struct attempt result = {0};
    struct error error = {0};

    result.code = privileges_become_forkserver(plan, BLOCKS - 1, &error);
    if (result.code == 0) {
        result.code = privileges_drop_worker(
            privileges_worker_uid(plan, BLOCKS - 1, plan->queues - 1, plan->slots - 1, TURNS - 1), 0, &error);
    }
    result.nested = unshare(CLONE_NEWUSER) == 0;
    memcpy(result.reason, error.text, sizeof(result.reason));
    _exit(write(pipe_end, &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 1);
}

/* Returns 0, or the negative errno of the attempt with the reason in the plan. */
static int try_form(struct privileges_plan *plan, enum privileges_form form)
{
    struct attempt result = {.code = -ECHILD, .reason = "no process could be made to try it"};
    int ends[2];
    pid_t child;

    plan->form = form;
    if (pipe2(ends, O_CLOEXEC) == 0) {
        child = fork();
        if (child == 0) {
            attempt(plan, ends[1]);
        }
        close_fd(&ends[1]);
        if (child > 0) {
            struct attempt got;

            if (read(ends[0], &got, sizeof(got)) == (ssize_t)sizeof(got)) {
                result = got;
            }
            waitpid(child, NULL, 0);
        }
        close_fd(&ends[0]);
    }
    plan->nested = result.nested;
    if (result.code != 0) {
        memcpy(plan->reason, result.reason, sizeof(plan->reason));
    }
    return result.code;
}

static void choose_form(struct privileges_plan *plan)
{
    /* CAP_KILL: without it, not even root ends processes of other users, and their death with it is not sent either. */
    if (!privileges_has(PRIVILEGES_CAPABILITY(CAP_SETUID) | PRIVILEGES_CAPABILITY(CAP_SETGID) |
                        PRIVILEGES_CAPABILITY(CAP_SETPCAP) | PRIVILEGES_CAPABILITY(CAP_KILL))) {
        snprintf(plan->reason, sizeof(plan->reason), "%s",
                 "it needs CAP_SETUID, CAP_SETGID, CAP_SETPCAP and CAP_KILL; start nfq-engine as root");
        try_form(plan, PRIVILEGES_SAME); /* only for whether namespaces can be made */
        return;
    }
    if (try_form(plan, PRIVILEGES_NAMESPACE) != 0 && try_form(plan, PRIVILEGES_ONE_UID) != 0) {
        char reason[ERROR_TEXT_MAX];

        memcpy(reason, plan->reason, sizeof(reason));
        try_form(plan, PRIVILEGES_SAME);
        memcpy(plan->reason, reason, sizeof(reason));
    }
}

/* ---- the range ------------------------------------------------------------------------------------------------- */

/* Whether the process, an entry of /proc, has a uid of the range. One that has ended, reaped or not, has none. */
static bool is_in_range(const char *name, const struct privileges_range *range)
{
    char path[64];
    char line[256];
    unsigned uid[4];
    bool in_range = false;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%.20s/status", name);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL && strncmp(line, ZOMBIE, strlen(ZOMBIE)) != 0) {
        if (sscanf(line, "Uid: %u %u %u %u", &uid[0], &uid[1], &uid[2], &uid[3]) == 4) {
            for (unsigned i = 0; i < 4; i++) {
                in_range = in_range || (uid[i] >= range->first && uid[i] <= range->last);
            }
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return in_range;
}

/* A process that has a uid of the range, or 0. */
static pid_t find_stranger(const struct privileges_range *range)
{
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    pid_t found = 0;

    if (directory == NULL) {
        return 0;
    }
    while (found == 0 && (entry = readdir(directory)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0]) && is_in_range(entry->d_name, range)) {
            found = (pid_t)strtol(entry->d_name, NULL, 10);
        }
    }
    closedir(directory);
    return found;
}

static int check_range(const struct privileges_plan *plan, struct error *error)
{
    const struct privileges_range *range = &plan->range;
    uint64_t needed = WORKER_UIDS_NEEDED(plan->queues, plan->slots);

    if (range->first == 0 || range->first > range->last || range->last == PRIVILEGES_SAME_UID ||
        (range->first <= OVERFLOW_UID + 1 && range->last >= OVERFLOW_UID)) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "uids %u-%u: not a range of uids without 0, 65534, 65535 and 4294967295", range->first,
                         range->last);
    }
    if ((uint64_t)range->last - range->first + 1 < needed) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -ERANGE,
                         "uids %u-%u: %u queues with %u workers and spares each take %llu uids, these are %u",
                         range->first, range->last, plan->queues, plan->slots, (unsigned long long)needed,
                         range->last - range->first + 1);
    }
    return 0;
}

int privileges_plan_make(const struct privileges_range *range, unsigned queues, unsigned slots,
                         struct privileges_plan *plan, struct error *error)
{
    struct privileges_plan made = {.range = *range, .queues = queues, .slots = slots};
    bool off = range->first == 0 && range->last == 0;
    int code = off ? 0 : check_range(&made, error);

    if (off) {
        made.form = PRIVILEGES_SAME;
        snprintf(made.reason, sizeof(made.reason), "--worker-uids off");
        *plan = made;
    } else if (code == 0) {
        choose_form(&made);
        if (made.form != PRIVILEGES_SAME) {
            made.stranger = find_stranger(range);
        }
        *plan = made;
    }
    return code;
}

/* What falls with the form; NULL: nothing. */
static const char *what_falls(enum privileges_form form)
{
    switch (form) {
    case PRIVILEGES_NAMESPACE:
        break;
    case PRIVILEGES_ONE_UID:
        return "workers share a uid: a plugin can stop, kill and slow down the workers of other queues";
    case PRIVILEGES_SAME:
        return "workers run as the user of the engine: a plugin can stop and kill all its processes, and use the files "
               "of that user";
    }
    return NULL;
}

/* Appends one promise that falls to the line. */
static void append(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(char *text, const char *format, ...)
{
    size_t len = strlen(text);
    va_list arguments;

    if (len > 0) {
        len += (size_t)snprintf(text + len, ERROR_LINE_MAX - len, "; ");
    }
    va_start(arguments, format);
    vsnprintf(text + len, ERROR_LINE_MAX - len, format, arguments);
    va_end(arguments);
}

const char *privileges_plan_warning(const struct privileges_plan *plan, char *text)
{
    const char *falls = what_falls(plan->form);

    *text = '\0';
    if (falls != NULL) {
        append(text, "%s (%s)", falls, plan->reason);
    }
    if (plan->nested) {
        append(text, "plugins can make user namespaces, and reach more of the kernel in them");
    }
    if (plan->stranger != 0) {
        append(text,
               "process %d has a uid of the range %u-%u: it and plugins can stop and kill each other; each engine "
               "of a machine needs a range of its own",
               (int)plan->stranger, plan->range.first, plan->range.last);
    }
    return *text != '\0' ? text : NULL;
}
