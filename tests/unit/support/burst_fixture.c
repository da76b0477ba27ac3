/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making and filling the journal of the fixture.
 *
 * The packets have no bytes: neither the journal nor the pipeline looks into them.
 */
#include "burst_fixture.h"

#include "unit.h"

#include <sys/mman.h>

const uint32_t burst_wild_phases[3] = {BURST_SENDING + 1, 77, 0xff};

void burst_fixture_init(struct burst_fixture *fixture)
{
    void *memory = mmap(NULL, sizeof(*fixture->burst), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(memory != MAP_FAILED);
    fixture->burst = memory;
    burst_init(fixture->burst);
}

void burst_fixture_done(struct burst_fixture *fixture)
{
    munmap(fixture->burst, sizeof(*fixture->burst));
    fixture->burst = NULL;
}

void burst_fill(struct burst_fixture *fixture, unsigned count, uint32_t first_id, enum burst_phase phase)
{
    struct burst *burst = fixture->burst;

    burst_begin_receive(burst);
    for (unsigned i = 0; i < count; i++) {
        burst->messages[i].msg_len = BURST_LEN;
        burst->entries[i].id = first_id + i;
        burst->entries[i].verdict = 0;
        burst->entries[i].flags = 0;
        fixture->packets[i] = (struct nfqe_packet){.size = sizeof(struct nfqe_packet), .id = first_id + i};
    }
    burst->packets = count;
    burst_enter(burst, phase);
}

void burst_assert_undecided(const struct burst *burst, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_false(burst_is_decided(burst, i));
    }
}

int burst_set_up(void **state)
{
    static struct burst_fixture fixture;

    burst_fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

int burst_tear_down(void **state)
{
    burst_fixture_done(*state);
    return 0;
}
