/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small table; nothing here is called for a packet but queue_workers_place(). Entries at and after `end` are not
 * looked at and not even cleared: a queue with one worker and one spare has the memory of two. Process: [queue process].
 */
#include "process/queue_workers.h"

#include <poll.h>
#include <stddef.h>
#include <string.h>

void queue_workers_init(struct queue_workers *workers, unsigned place_count)
{
    workers->end = 0;
    memset(workers->places, 0, sizeof(workers->places));
    workers->place_count = place_count;
    workers->held = false;
}

struct queue_worker *queue_workers_find(struct queue_workers *workers, uint32_t number)
{
    for (unsigned i = 0; i < workers->end; i++) {
        if (workers->all[i].number == number) {
            return &workers->all[i];
        }
    }
    return NULL;
}

/* An entry that is free: a gap before the end, or the one at the end. NULL: there is none. */
static struct queue_worker *find_free(struct queue_workers *workers)
{
    struct queue_worker *gap = queue_workers_find(workers, 0);

    if (gap == NULL && workers->end < QUEUE_WORKERS_MAX) {
        gap = &workers->all[workers->end++];
    }
    return gap;
}

struct queue_worker *queue_workers_add(struct queue_workers *workers, uint32_t number)
{
    struct queue_worker *worker = find_free(workers);

    if (worker != NULL) {
        *worker =
            (struct queue_worker){.number = number, .place = QUEUE_NO_PLACE, .bell = {.fd = -1}, .end = {.fd = -1}};
        ring_submit_init(&worker->ring);
    }
    return worker;
}

/* Its pidfd says so already; that it is lost is found later. */
static bool has_ended(const struct queue_worker *worker)
{
    struct pollfd end = {.fd = worker->end.fd, .events = POLLIN};

    return poll(&end, 1, 0) > 0;
}

bool queue_workers_fill(struct queue_workers *workers)
{
    bool filled = false;

    for (unsigned place = 0; place < workers->place_count && !workers->held; place++) {
        for (unsigned i = 0; i < workers->end && workers->places[place] == NULL; i++) {
            struct queue_worker *worker = &workers->all[i];

            if (worker->number != 0 && worker->opened && !worker->retired && worker->place == QUEUE_NO_PLACE &&
                !has_ended(worker)) {
                worker->place = place;
                workers->places[place] = worker;
                filled = true;
            }
        }
    }
    return filled;
}

void queue_workers_leave_place(struct queue_workers *workers, struct queue_worker *worker)
{
    if (worker->place != QUEUE_NO_PLACE) {
        workers->places[worker->place] = NULL;
        worker->place = QUEUE_NO_PLACE;
    }
}

void queue_workers_remove(struct queue_workers *workers, struct queue_worker *worker)
{
    queue_workers_leave_place(workers, worker);
    ring_submit_done(&worker->ring);
    worker->number = 0;
    while (workers->end > 0 && workers->all[workers->end - 1].number == 0) {
        workers->end--;
    }
}
