/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small table; nothing here is called for a packet but queue_workers_place(). Process: [queue process].
 */
#include "process/queue_workers.h"

#include <poll.h>
#include <stddef.h>

void queue_workers_init(struct queue_workers *workers, unsigned place_count)
{
    *workers = (struct queue_workers){.place_count = place_count};
    for (unsigned i = 0; i < QUEUE_WORKERS_MAX; i++) {
        ring_submit_init(&workers->all[i].ring);
    }
}

struct queue_worker *queue_workers_find(struct queue_workers *workers, uint32_t number)
{
    for (unsigned i = 0; i < QUEUE_WORKERS_MAX; i++) {
        if (workers->all[i].number == number) {
            return &workers->all[i];
        }
    }
    return NULL;
}

struct queue_worker *queue_workers_add(struct queue_workers *workers, uint32_t number)
{
    struct queue_worker *worker = queue_workers_find(workers, 0);

    if (worker != NULL) {
        unsigned index = (unsigned)(worker - workers->all);

        workers->end = index < workers->end ? workers->end : index + 1;
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
