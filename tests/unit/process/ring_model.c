/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Coroutines, choices, store buffers, and the states that were seen.
 *
 * The scheduler has no context of its own: it runs in the side that has come to its next step, and switches to the other
 * side if that is chosen. The explorer's context begins a run and gets control back at its end.
 */
#include "ring_model.h"

#include "ring_model_shim.h"

#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#define STACK_SIZE ((size_t)64 * 1024)
#define BUFFER_MAX 8         /* stores in a store buffer */
#define DEPTH_MAX 4096       /* choices of a run */
#define STATES_SIZE (1U << 21)

enum step { STEP_START, STEP_LOAD, STEP_STORE, STEP_WAKE, STEP_SIGNAL, STEP_ENTER, STEP_WAIT, STEP_END };
enum action { RUN_QUEUE, RUN_WORKER, FLUSH_QUEUE, FLUSH_WORKER, KILL_WORKER, ACTIONS };

static const char *const step_names[] = {"start", "load", "store", "wake", "signal", "enter", "wait", "end"};
static const char *const action_names[] = {"queue", "worker", "flush queue", "flush worker", "kill worker"};

struct buffered {
    _Atomic uint32_t *word;
    uint32_t value;
};

struct side {
    ucontext_t context;
    enum step pending; /* what it does when it is chosen */
    uint64_t history;  /* what it did and read since its last mark */
    struct buffered buffer[BUFFER_MAX];
    unsigned buffered;
};

struct choice {
    uint8_t actions[ACTIONS];
    uint8_t count;
    uint8_t taken;
    uint8_t step; /* of the side that was chosen, for the print */
};

static char stacks[MODEL_SIDES][STACK_SIZE];
static uint64_t seen[STATES_SIZE]; /* a hash table; 0: free */

static struct {
    const struct model *model;
    struct side sides[MODEL_SIDES];
    enum model_side running;
    bool exploring;
    bool worker_dead;
    bool answered; /* the eventfd has an edge that was not seen */
    bool worker_waits;
    struct choice path[DEPTH_MAX];
    unsigned depth;  /* choices of this run */
    unsigned prefix; /* choices that are repeated */
    bool over;
    ucontext_t explorer;
    struct model_result result;
} state;

/* ---- states ------------------------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

static uint64_t hash_memory(uint64_t hash, const struct model_memory *memory)
{
    for (size_t i = 0; i < memory->size; i += sizeof(uint64_t)) {
        uint64_t value;

        memcpy(&value, (const char *)memory->start + i, sizeof(value));
        hash = mix(hash, value);
    }
    return hash;
}

static uint64_t hash_state(void)
{
    uint64_t hash = 1 + state.worker_dead + 2 * state.answered + 4 * (uint64_t)state.worker_waits;

    for (unsigned i = 0; i < MODEL_SIDES; i++) {
        const struct side *side = &state.sides[i];

        hash = mix(mix(hash, side->history), 16 * side->buffered + side->pending);
        for (unsigned j = 0; j < side->buffered; j++) {
            hash = mix(mix(hash, (uintptr_t)side->buffer[j].word), side->buffer[j].value);
        }
    }
    for (unsigned i = 0; i < sizeof(state.model->memories) / sizeof(state.model->memories[0]); i++) {
        hash = hash_memory(hash, &state.model->memories[i]);
    }
    return hash | 1;
}

/* Whether the state is new; it is not any more then. */
static bool enter_state(void)
{
    uint64_t hash = hash_state();
    unsigned place = (unsigned)(hash >> 32) % STATES_SIZE;

    while (seen[place] != 0) {
        if (seen[place] == hash) {
            return false;
        }
        place = (place + 1) % STATES_SIZE;
    }
    seen[place] = hash;
    state.result.states++;
    model_check(state.result.states < STATES_SIZE / 2, "the model has room for its states");
    return true;
}

/* ---- choices ----------------------------------------------------------------------------------------------------- */

static void end_run(void)
{
    state.over = true;
    swapcontext(&state.sides[state.running].context, &state.explorer);
}

void model_check(bool holds, const char *promise)
{
    if (!holds) {
        state.result.violation = promise;
        end_run();
    }
}

static void flush_one(struct side *side)
{
    *side->buffer[0].word = side->buffer[0].value;
    side->buffered--;
    memmove(&side->buffer[0], &side->buffer[1], side->buffered * sizeof(side->buffer[0]));
}

static void flush(struct side *side)
{
    while (side->buffered > 0) {
        flush_one(side);
    }
}

static bool can_run(enum model_side which)
{
    const struct side *side = &state.sides[which];

    if (side->pending == STEP_END || (which == MODEL_WORKER && state.worker_dead)) {
        return false;
    }
    if (side->pending == STEP_WAIT) {
        return which == MODEL_QUEUE ? state.answered || state.worker_dead : !state.worker_waits;
    }
    return true;
}

static bool can_happen(enum action action)
{
    switch (action) {
    case RUN_QUEUE:
    case RUN_WORKER:
        return can_run(action == RUN_QUEUE ? MODEL_QUEUE : MODEL_WORKER);
    case FLUSH_QUEUE:
    case FLUSH_WORKER:
        return state.sides[action - FLUSH_QUEUE].buffered > 0;
    default:
        return state.model->deaths && !state.worker_dead;
    }
}

/* The next action of this run. -1: there is none, or the run ends here. */
static int choose(void)
{
    struct choice *choice = &state.path[state.depth];

    if (state.depth >= state.prefix) {
        *choice = (struct choice){.count = 0};
        for (unsigned action = 0; action < ACTIONS; action++) {
            if (can_happen((enum action)action)) {
                choice->actions[choice->count++] = (uint8_t)action;
            }
        }
        if (choice->count == 0) {
            model_check(state.sides[MODEL_QUEUE].pending == STEP_END, "no side waits for something that has happened");
            return -1;
        }
        if (!enter_state()) {
            return -1;
        }
    }
    state.depth++;
    model_check(state.depth < DEPTH_MAX, "the model has room for the choices of a run");
    return choice->actions[choice->taken];
}

/* Chooses until a side is to run, and switches to it. */
static void schedule(void)
{
    enum model_side self = state.running;

    for (;;) {
        int action = choose();

        switch (action) {
        case RUN_QUEUE:
        case RUN_WORKER:
            state.running = action == RUN_QUEUE ? MODEL_QUEUE : MODEL_WORKER;
            state.path[state.depth - 1].step = (uint8_t)state.sides[state.running].pending;
            if (state.running != self) {
                swapcontext(&state.sides[self].context, &state.sides[state.running].context);
            }
            return;
        case FLUSH_QUEUE:
        case FLUSH_WORKER:
            flush_one(&state.sides[action - FLUSH_QUEUE]);
            break;
        case KILL_WORKER:
            flush(&state.sides[MODEL_WORKER]); /* what a processor has stored becomes visible */
            state.worker_dead = true;
            break;
        default:
            end_run();
        }
    }
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* Stops before a step until this side is chosen. */
static struct side *step(enum step pending)
{
    state.sides[state.running].pending = pending;
    schedule();
    return &state.sides[state.running];
}

static void remember(struct side *side, uint64_t value)
{
    side->history = mix(mix(side->history, side->pending), value);
}

uint32_t model_load(const _Atomic uint32_t *word)
{
    struct side *side;
    uint32_t value;

    if (!state.exploring) {
        return *word;
    }
    side = step(STEP_LOAD);
    value = *word;
    for (unsigned i = 0; i < side->buffered; i++) {
        if (side->buffer[i].word == word) {
            value = side->buffer[i].value;
        }
    }
    remember(side, value);
    return value;
}

void model_store(_Atomic uint32_t *word, uint32_t value, memory_order order)
{
    struct side *side;

    if (!state.exploring) {
        *word = value;
        return;
    }
    side = step(STEP_STORE);
    if (order == memory_order_seq_cst && !state.model->weak[state.running]) {
        flush(side);
        *word = value;
    } else {
        model_check(side->buffered < BUFFER_MAX, "the model has room for buffered stores");
        side->buffer[side->buffered++] = (struct buffered){word, value};
    }
    remember(side, value);
}

/* A system call: the kernel's locks empty the store buffer. */
static struct side *enter_kernel(enum step pending)
{
    struct side *side = step(pending);

    flush(side);
    return side;
}

void model_signal(int fd)
{
    (void)fd;
    remember(enter_kernel(STEP_SIGNAL), 0);
    state.answered = true;
}

/* The kernel compares and begins to wait in one step: a lock keeps the two sides apart. Only the worker waits so. */
int model_futex_wait(const _Atomic uint32_t *word, uint32_t value)
{
    struct side *side = enter_kernel(STEP_ENTER);

    state.worker_waits = *word == value;
    remember(side, state.worker_waits);
    if (state.worker_waits) {
        remember(step(STEP_WAIT), 0);
    }
    return 0;
}

void model_futex_wake(const _Atomic uint32_t *word)
{
    (void)word;
    remember(enter_kernel(STEP_WAKE), 0);
    state.worker_waits = false;
}

struct model_wake model_wait_queue(void)
{
    struct model_wake wake;
    struct side *side;

    enter_kernel(STEP_ENTER);
    side = step(STEP_WAIT);
    wake = (struct model_wake){state.answered, state.worker_dead};
    state.answered = false;
    remember(side, 2 * (uint64_t)wake.dead + wake.rung);
    return wake;
}

void model_mark(unsigned place)
{
    state.sides[state.running].history = place;
}

/* ---- exploring --------------------------------------------------------------------------------------------------- */

static void run_side(void)
{
    enum model_side self = state.running;

    state.model->scripts[self]();
    flush(&state.sides[self]); /* an exit is a system call */
    state.sides[self].history = 0;
    state.worker_dead |= self == MODEL_WORKER;
    step(STEP_END);
}

static void run_once(void)
{
    memset(state.sides, 0, sizeof(state.sides));
    state.running = MODEL_QUEUE;
    state.worker_dead = false;
    state.answered = false;
    state.worker_waits = false;
    state.depth = 0;
    state.over = false;
    state.exploring = false;
    state.model->reset();
    for (unsigned i = 0; i < MODEL_SIDES; i++) {
        ucontext_t *context = &state.sides[i].context;

        getcontext(context);
        context->uc_stack = (stack_t){.ss_sp = stacks[i], .ss_size = STACK_SIZE};
        makecontext(context, run_side, 0);
    }
    state.exploring = true;
    swapcontext(&state.explorer, &state.sides[MODEL_QUEUE].context);
    state.exploring = false;
}

/* Makes the last choice that has something left take that. Returns false: all is explored. */
static bool next_run(void)
{
    unsigned depth = state.depth;

    while (depth > 0 && state.path[depth - 1].taken + 1U == state.path[depth - 1].count) {
        depth--;
    }
    if (depth > 0) {
        state.path[depth - 1].taken++;
    }
    state.prefix = depth;
    return depth > 0;
}

struct model_result model_explore(const struct model *model)
{
    memset(&state, 0, sizeof(state));
    memset(seen, 0, sizeof(seen));
    state.model = model;
    do {
        run_once();
        state.result.runs++;
    } while (state.result.violation == NULL && next_run());
    return state.result;
}

void model_print_run(void)
{
    for (unsigned i = 0; i < state.depth; i++) {
        const struct choice *choice = &state.path[i];
        unsigned action = choice->actions[choice->taken];

        printf("%s %s\n", action_names[action], action <= RUN_WORKER ? step_names[choice->step] : "");
    }
}
