/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The workers of queue_fixture.h: they answer as the engine's do, but a habit decides how they begin and end.
 */
#include "queue_fixture.h"

#include "base/channel.h"
#include "base/close_fds.h"
#include "process/worker_frames.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static void wait_for_go(void)
{
    while (fixture.memory->go_on == 0) {
        poll(NULL, 0, 1);
    }
}

static void hang(void) __attribute__((noreturn));

static void hang(void)
{
    for (;;) {
        pause();
    }
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    const uint32_t deed = fixture.memory->deeds[packet->id];

    (void)self;
    fixture.memory->shown_by[packet->id] = getpid();
    fixture.memory->shown[packet->id]++;
    if (deed == KILLS_ITSELF) {
        raise(SIGKILL);
    }
    if (deed == HANGS) {
        hang();
    }
    if (deed == IS_SLOW) {
        poll(NULL, 0, FIXTURE_SLOW_MS);
    }
    if (deed == WAITS_FOR_ME) {
        wait_for_go();
    }
    return fixture_answer_to(packet->id);
}

static void work(struct worker_frames *frames)
{
    for (;;) {
        while (worker_frames_handle(frames)) {
        }
        if (ring_requested(frames->ring) == RING_LEAVE) {
            return;
        }
        if (ring_answer_sleep(frames->ring)) {
            if (ring_answer_wait(frames->ring) < 0) {
                _exit(2);
            }
            ring_answer_awake(frames->ring);
        }
    }
}

static void bustle(struct ring_answer *ring) __attribute__((noreturn));

static void bustle(struct ring_answer *ring)
{
    for (uint32_t i = 0;; i++) {
        ring_say_position(ring, i % 2, 0);
        poll(NULL, 0, 1);
    }
}

void fixture_run_worker(int channel, enum habit habit)
{
    static struct ring_answer ring;
    static struct worker_frames frames;
    static const struct ring_frame none;
    int fds[RING_FDS];
    char byte;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close_fds_but(&channel, 1);
    alarm(2 * FIXTURE_SECONDS);
    ring_answer_init(&ring);
    if (channel_wait(channel, &byte, sizeof(byte), fds, RING_FDS) != 1 || ring_answer_attach(&ring, fds) < 0 ||
        worker_frames_init(&frames, &ring) < 0) {
        _exit(3);
    }
    ring_say_position(&ring, 0, 0);
    if (habit == NEVER_OPENS) {
        hang();
    }
    if (habit == BUSTLES) {
        bustle(&ring);
    }
    if (habit == OPENS_WHEN_I_SAY) {
        wait_for_go();
    }
    if (habit == FAILS) {
        ring_say_text(&ring, "no file");
        ring_say_state(&ring, RING_FAILED);
        _exit(4);
    }
    if (habit == LIES) {
        ring_put(&ring, &none, 0, NFQE_ACCEPT, 0);
        ring_frame_handled(&ring);
        ring_say_state(&ring, RING_OPENING);
        hang();
    }
    plugin_chain_add(&frames.chain, &(struct plugin_chain_member){.handle = handle});
    worker_frames_begin(&frames, NFQE_ACCEPT, NFQE_DROP, 0);
    ring_say_position(&ring, PLUGINS_MAX, 0);
    ring_say_state(&ring, RING_OPENED);
    if (habit == IGNORES) {
        hang();
    }
    work(&frames);
    ring_say_position(&ring, 0, 0);
    ring_say_state(&ring, RING_CLOSING);
    if (habit == HANGS_IN_CLOSE) {
        hang();
    }
    if (habit == WAITS_IN_CLOSE) {
        wait_for_go();
    }
    _exit(0);
}
