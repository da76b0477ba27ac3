/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a frame to its answers.
 *
 * The packets are copied out of the ring, which this process can only read, into private memory, since the plugins get
 * structs that they could write to; the bytes stay where they are. Process: [worker].
 */
#include "process/worker_frames.h"

#include "base/shm.h"
#include "queue/conntrack_entry.h"

#include <errno.h>
#include <sys/mman.h>

_Static_assert(BURST_MAX * sizeof(nfqe_verdict) <= SHM_PAGE_SIZE, "one page of verdicts");

int worker_frames_init(struct worker_frames *frames, struct ring_answer *ring)
{
    char *pages = mmap(NULL, 2 * (size_t)SHM_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED) {
        return -errno;
    }
    if (mprotect(pages + SHM_PAGE_SIZE, SHM_PAGE_SIZE, PROT_NONE) < 0) {
        int code = -errno;

        munmap(pages, 2 * (size_t)SHM_PAGE_SIZE);
        return code;
    }
    *frames = (struct worker_frames){.ring = ring, .verdicts = (nfqe_verdict *)(void *)pages};
    return 0;
}

void worker_frames_done(struct worker_frames *frames)
{
    munmap(frames->verdicts, 2 * (size_t)SHM_PAGE_SIZE);
}

/* The operations get no more than the packet. */
static struct worker_frames *current;

static const struct nfqe_conntrack_entry *conntrack(struct nfqe_packet *packet)
{
    int index = packet_set_find(packet);
    const struct ring_conntrack *from;

    if (index < 0) {
        errno = -index;
        return NULL;
    }
    from = &current->frame->packets[index].conntrack;
    if (from->len == 0) {
        errno = ENOENT;
        return NULL;
    }
    if ((current->entries_decoded >> index & 1) == 0) {
        conntrack_entry_decode((const char *)current->frame + from->bytes, from->len, from->info,
                               &current->entries[index]);
        current->entries_decoded |= UINT64_C(1) << index;
    }
    return &current->entries[index];
}

static const struct nfqe_packet_operations operations = {.size = sizeof(operations),
                                                         .set_mark = packet_set_mark,
                                                         .conntrack = conntrack,
                                                         .writable = packet_edits_writable,
                                                         .splice = packet_edits_splice,
                                                         .replace = packet_edits_replace,
                                                         .check_change = packet_edits_check};

/* Each packet that can be in flight has its place in the ring, and the last one is for the next change. */
static void begin_edits(struct worker_frames *frames)
{
    struct packet_edits *edits = &frames->edits;

    edits->set = &frames->set;
    edits->chain = &frames->chain;
    edits->plugin = &frames->ring->ours->plugin;
    for (unsigned i = 0; i < RING_CHANGES - 1; i++) {
        frames->packet_changes[i].buffer = frames->ring->changes + (size_t)i * RING_CHANGE_STRIDE;
    }
    edits->spare = frames->ring->changes + (size_t)(RING_CHANGES - 1) * RING_CHANGE_STRIDE;
    frames->run.edits = edits;
}

void worker_frames_begin(struct worker_frames *frames, nfqe_verdict default_verdict, nfqe_verdict on_crash,
                         uint32_t engine_mark)
{
    uint64_t needs = 0;

    for (unsigned i = 0; i < frames->chain.count; i++) {
        needs |= frames->chain.members[i].rights.needs;
    }
    frames->run = (struct chain_run){
        .chain = &frames->chain,
        .position = {.packet = &frames->ring->ours->packet,
                     .plugin = &frames->ring->ours->plugin,
                     .progress = &frames->progress},
        .verdicts_end = frames->verdicts + SHM_PAGE_SIZE / sizeof(nfqe_verdict),
        .flows = (needs & NFQE_NEED_FLOW) != 0 ? &frames->flows : NULL,
    };
    if ((needs & NFQE_NEED_MODIFY) != 0 && frames->ring->changes != NULL) {
        begin_edits(frames);
    }
    packet_edits_begin(frames->run.edits);
    chain_flows_init(&frames->flows, &frames->chain, default_verdict, on_crash);
    packet_set_begin(&frames->set, &operations, engine_mark);
    current = frames;
}

/* No packet of the frame is changed. Its place in the ring is not read any more. */
static void begin_frame_edits(struct worker_frames *frames, const struct ring_frame *frame)
{
    frames->edits.changes = &frames->packet_changes[frame->number % RING_FRAMES * BURST_MAX];
    for (uint32_t i = 0; i < frame->count; i++) {
        packet_edits_fill(&frames->edits, i);
    }
}

static void copy_packets(struct worker_frames *frames, const struct ring_frame *frame)
{
    frames->frame = frame;
    frames->entries_decoded = 0;
    for (uint32_t i = 0; i < frame->count; i++) {
        struct ring_flow flow;

        ring_frame_packet(frame, i, &frames->set.packets[i], &flow);
        packet_set_fill(&frames->set, i);
        frames->packet_flows[i] = (struct chain_flow){.number = flow.number,
                                                      .epoch = flow.epoch,
                                                      .begins = flow.begins != 0,
                                                      .alone = flow.alone != 0,
                                                      .accepted = flow.accepted != 0};
    }
    if (frames->run.edits != NULL) {
        begin_frame_edits(frames, frame);
    }
}

static void put_edited(struct worker_frames *frames, const struct ring_frame *frame, uint32_t index,
                       struct plugin_answer *answer)
{
    const struct packet_edited edited = packet_edits_finish(&frames->edits, index, answer);

    if (edited.len > 0 || edited.refused != 0) {
        ring_put_bytes(frames->ring, frame, index, edited.bytes, edited.len, edited.refused);
    }
}

static void put(struct worker_frames *frames, const struct ring_frame *frame, uint32_t index,
                struct plugin_answer *answer)
{
    const struct packet_changes *changes = &frames->set.changes[index];

    if (changes->mark_mask != 0) {
        ring_put_changes(frames->ring, frame, index, changes);
    }
    if (frames->run.edits != NULL) {
        put_edited(frames, frame, index, answer);
    }
    ring_put(frames->ring, frame, index, answer->verdict, answer->plugin);
}

static void run_one_by_one(struct worker_frames *frames, const struct ring_frame *frame)
{
    if (frames->run.flows != NULL) {
        chain_flows_begin_burst(frames->run.flows);
    }
    for (uint32_t i = 0; i < frame->count; i++) {
        struct nfqe_packet *packet = &frames->set.packets[i];
        struct plugin_answer answer;

        frames->set.open = UINT64_C(1) << i;
        answer = frames->run.flows != NULL ? chain_run_flow_packet(&frames->run, packet, i, &frames->packet_flows[i])
                                           : chain_run_packet(&frames->run, packet, i);
        put(frames, frame, i, &answer);
        ring_publish(frames->ring);
    }
    chain_run_end(&frames->run);
}

static void run_batch(struct worker_frames *frames, const struct ring_frame *frame)
{
    struct plugin_answer answers[BURST_MAX];
    struct chain_batch batch = {.count = frame->count};

    for (uint32_t i = 0; i < frame->count; i++) {
        batch.packets[i] = &frames->set.packets[i];
        batch.places[i] = i;
        frames->set.open |= UINT64_C(1) << i;
    }
    chain_run_batch(&frames->run, &batch, frames->packet_flows, answers);
    for (uint32_t i = 0; i < frame->count; i++) {
        put(frames, frame, i, &answers[i]);
    }
}

bool worker_frames_handle(struct worker_frames *frames)
{
    const struct ring_frame *frame = ring_next_frame(frames->ring);

    if (frame == NULL) {
        return false;
    }
    copy_packets(frames, frame);
    if (frames->chain.has_batch && (frame->flags & RING_ONE_BY_ONE) == 0) {
        run_batch(frames, frame);
    } else {
        run_one_by_one(frames, frame);
    }
    frames->set.open = 0;
    ring_frame_handled(frames->ring);
    return true;
}
