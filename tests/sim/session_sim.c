/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session_sim.c: two ends of a session in simulated time over a link that delivers pieces of
 * any size: nothing is lost, doubled or out of order, credit is kept, and cutting the stream into
 * pieces anywhere changes nothing. Usage: session_sim [seed]; without one, a fixed set of seeds. */
#include "tests/sim/ends.h"

static const struct mrc_session_opts as_head = { .is_head = true, .software = "sim" };
static const struct mrc_session_opts as_agent = { .software = "sim" };

static void random_run(void)
{
    static struct end head, agent;
    end_init(&head, &as_head);
    end_init(&agent, &as_agent);
    for (int i = 0; i < CHANS; i++)
        end_open(&head);
    for (int turn = 0; !end_is_done(&head) || !end_is_done(&agent); turn++) {
        CHECK(turn < 200000);
        for (int k = 0; k < 4; k++) {
            end_act(&head);
            end_act(&agent);
        }
        end_drain(&head, 100000);
        end_drain(&agent, 100000);
        end_deliver(&head, &agent, rnd((uint32_t)head.wire_len + 1));
        end_deliver(&agent, &head, rnd((uint32_t)agent.wire_len + 1));
    }
    end_fini(&head);
    end_fini(&agent);
}

/* One direction of a short session, fed to a fresh end in two pieces, at every byte. */
static void cut_everywhere(void)
{
    static struct end head, whole, cut;
    end_init(&head, &as_head);
    for (int i = 0; i < CHANS; i++)
        end_open(&head);
    for (int i = 0; i < CHANS; i++) {
        end_wish(&head, MRC_EV_QUEUED, head.chans[i], 1 + (uint64_t)i * 100);
        head.queued[i] += 1 + (uint64_t)i * 100;
        end_wish(&head, MRC_EV_END, head.chans[i], 0);
    }
    end_drain(&head, PIPE_SIZE / 2);
    end_init(&whole, &as_agent);
    CHECK(end_feed(&whole, head.wire, head.wire_len) == 0);
    CHECK(whole.chan_count == CHANS && whole.got_eof[CHANS - 1]);
    for (size_t at = 0; at <= head.wire_len; at++) {
        end_init(&cut, &as_agent);
        CHECK(end_feed(&cut, head.wire, at) == 0);
        CHECK(end_feed(&cut, head.wire + at, head.wire_len - at) == 0);
        CHECK(cut.trace == whole.trace);
        end_fini(&cut);
    }
    end_init(&cut, &as_agent);
    for (size_t at = 0; at < head.wire_len; at++)
        CHECK(end_feed(&cut, head.wire + at, 1) == 0);
    CHECK(cut.trace == whole.trace);
    end_fini(&cut);
    end_fini(&whole);
    end_fini(&head);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t end = argc > 1 ? first + 1 : 21;
    for (ends_seed = first; ends_seed < end; ends_seed++) {
        ends_state = ends_seed;
        random_run();
    }
    cut_everywhere();
    return 0;
}
