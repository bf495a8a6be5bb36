/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session_sim.c: two ends of a session in simulated time over a link that delivers pieces of
 * any size: nothing is lost, doubled or out of order, credit is kept, and cutting the stream
 * anywhere changes nothing. Usage: session_sim [seed]; without one, a fixed set of seeds. */
#include "mrc/session/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "session_sim: seed %llu: %s:%d: %s\n", (unsigned long long)seed,   \
                    __FILE__, __LINE__, #condition);                                           \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

enum { CHANS = 6, PIPE_SIZE = 1 << 20, TOTAL = 3 * 1024 * 1024 / CHANS };

static uint64_t seed, state;

static uint32_t rnd(uint32_t below)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33) % below;
}

/* What byte number offset of a channel is, so that a wrong one shows. */
static uint8_t pattern(uint32_t chan, bool from_head, uint64_t offset)
{
    return (uint8_t)(offset * 31 + (offset >> 8) * 7 + chan * 13 + from_head);
}

struct end {
    struct mrc_session s;
    struct mrc_action act;
    bool is_head;
    uint32_t chans[CHANS];
    int chan_count;
    uint64_t queued[CHANS], written[CHANS], received[CHANS], consumed[CHANS];
    bool ended[CHANS], got_eof[CHANS];
    uint8_t *out; /* bytes on their way to the other end */
    size_t out_len;
    uint64_t trace; /* of all actions on input */
};

static int index_of(const struct end *e, uint32_t chan)
{
    for (int i = 0; i < e->chan_count; i++)
        if (e->chans[i] == chan)
            return i;
    return -1;
}

static void note(struct end *e, uint64_t x)
{
    e->trace = (e->trace ^ x) * 1099511628211ull;
}

static void on_action(struct end *e)
{
    const struct mrc_action *a = &e->act;
    if (a->kind == MRC_ACT_NONE)
        return;
    int i = index_of(e, a->chan);
    switch (a->kind) {
    case MRC_ACT_OPENED:
        CHECK(e->chan_count < CHANS);
        e->chans[e->chan_count++] = a->chan;
        break;
    case MRC_ACT_DATA:
        CHECK(i >= 0 && !e->got_eof[i]);
        for (uint32_t k = 0; k < a->body.len; k++)
            CHECK(a->body.ptr[k] == pattern(a->chan, !e->is_head, e->received[i] + k));
        e->received[i] += a->body.len;
        break;
    case MRC_ACT_EOF:
        CHECK(i >= 0 && !e->got_eof[i]);
        e->got_eof[i] = true;
        break;
    case MRC_ACT_HELLO:
    case MRC_ACT_ROOM: break;
    default: CHECK(!"an action that nobody caused");
    }
    note(e, (uint64_t)a->kind << 32 | a->chan);
    for (uint32_t k = 0; k < a->body.len; k++)
        note(e, a->body.ptr[k]);
}

static void feed(struct end *e, const uint8_t *p, size_t len)
{
    struct mrc_event ev = { .kind = MRC_EV_INPUT, .input = { p, (uint32_t)len } };
    while (ev.input.len) {
        CHECK(mrc_session_step(&e->s, &ev, &e->act) == 0);
        size_t used = ev.input.len - e->act.input_left;
        on_action(e);
        CHECK(mrc_session_check(&e->s));
        ev.input.ptr += used;
        ev.input.len = (uint32_t)e->act.input_left;
    }
}

static void wish(struct end *e, enum mrc_event_kind kind, uint32_t chan, uint64_t amount)
{
    struct mrc_event ev = { .kind = kind, .chan = chan, .amount = amount };
    CHECK(mrc_session_step(&e->s, &ev, &e->act) == 0);
    CHECK(mrc_session_check(&e->s));
}

static void append(struct end *e, const void *p, size_t len)
{
    CHECK(e->out_len + len <= PIPE_SIZE);
    memcpy(e->out + e->out_len, p, len);
    e->out_len += len;
}

static void open_chan(struct end *e)
{
    struct mrc_event ev = { .kind = MRC_EV_OPEN,
                            .weight = (uint8_t)(1 + rnd(255)),
                            .service = bytes_of("test") };
    CHECK(mrc_session_step(&e->s, &ev, &e->act) == 0 && e->act.kind == MRC_ACT_CHAN);
    append(e, e->act.head, e->act.head_len);
    e->chans[e->chan_count++] = e->act.chan;
}

/* Writes until the session has nothing more or the link is full. */
static void drain(struct end *e, size_t room)
{
    struct mrc_event ev = { .kind = MRC_EV_WRITE };
    while (e->out_len < room) {
        CHECK(mrc_session_step(&e->s, &ev, &e->act) == 0);
        CHECK(mrc_session_check(&e->s));
        if (e->act.kind != MRC_ACT_WRITE)
            return;
        append(e, e->act.head, e->act.head_len);
        if (!e->act.body_len)
            continue;
        int i = index_of(e, e->act.chan);
        CHECK(i >= 0);
        for (uint32_t k = 0; k < e->act.body_len; k++) {
            uint8_t byte = pattern(e->act.chan, e->is_head, e->written[i]++);
            append(e, &byte, 1);
        }
        CHECK(e->written[i] <= e->queued[i]);
    }
}

static void act_randomly(struct end *e)
{
    if (!e->chan_count)
        return;
    int i = (int)rnd((uint32_t)e->chan_count);
    if (!mrc_session_has(&e->s, e->chans[i]))
        return;
    if (!e->ended[i] && e->queued[i] < TOTAL && rnd(3)) {
        uint64_t n = 1 + rnd(60000);
        if (n > TOTAL - e->queued[i])
            n = TOTAL - e->queued[i];
        wish(e, MRC_EV_QUEUED, e->chans[i], n);
        e->queued[i] += n;
    } else if (!e->ended[i] && e->queued[i] == TOTAL) {
        e->ended[i] = true;
        wish(e, MRC_EV_END, e->chans[i], 0);
    }
    if (e->received[i] > e->consumed[i] && mrc_session_has(&e->s, e->chans[i])) {
        uint64_t n = 1 + rnd((uint32_t)(e->received[i] - e->consumed[i]));
        wish(e, MRC_EV_CONSUMED, e->chans[i], n);
        e->consumed[i] += n;
    }
}

static void end_init(struct end *e, bool is_head)
{
    memset(e, 0, sizeof *e);
    e->is_head = is_head;
    e->out = malloc(PIPE_SIZE);
    CHECK(e->out);
    struct mrc_session_opts o = { .is_head = is_head, .software = "sim" };
    mrc_session_init(&e->s, &o);
}

static bool is_done(const struct end *e)
{
    for (int i = 0; i < e->chan_count; i++)
        if (mrc_session_has(&e->s, e->chans[i]) || e->received[i] != TOTAL ||
            e->written[i] != TOTAL)
            return false;
    return e->chan_count == CHANS;
}

/* Some of what is on the way arrives, in pieces of any size. */
static void deliver(struct end *from, struct end *to)
{
    size_t n = rnd((uint32_t)from->out_len + 1), done = 0;
    while (done < n) {
        size_t piece = 1 + rnd(rnd(4) ? 20000 : 7);
        if (piece > n - done)
            piece = n - done;
        feed(to, from->out + done, piece);
        done += piece;
    }
    memmove(from->out, from->out + n, from->out_len - n);
    from->out_len -= n;
}

static void random_run(void)
{
    static struct end head, agent;
    end_init(&head, true);
    end_init(&agent, false);
    for (int i = 0; i < CHANS; i++)
        open_chan(&head);
    for (int turn = 0; !is_done(&head) || !is_done(&agent); turn++) {
        CHECK(turn < 200000);
        for (int k = 0; k < 4; k++) {
            act_randomly(&head);
            act_randomly(&agent);
        }
        drain(&head, 100000);
        drain(&agent, 100000);
        deliver(&head, &agent);
        deliver(&agent, &head);
    }
    free(head.out);
    free(agent.out);
}

/* One direction of a short session, replayed into a fresh end cut at every byte. */
static void cut_everywhere(void)
{
    static struct end head, whole, cut;
    end_init(&head, true);
    for (int i = 0; i < CHANS; i++)
        open_chan(&head);
    for (int i = 0; i < CHANS; i++) {
        wish(&head, MRC_EV_QUEUED, head.chans[i], 1 + (uint64_t)i * 100);
        head.queued[i] += 1 + (uint64_t)i * 100;
        wish(&head, MRC_EV_END, head.chans[i], 0);
    }
    drain(&head, PIPE_SIZE / 2);
    end_init(&whole, false);
    feed(&whole, head.out, head.out_len);
    CHECK(whole.chan_count == CHANS && whole.got_eof[CHANS - 1]);
    for (size_t at = 0; at <= head.out_len; at++) {
        end_init(&cut, false);
        feed(&cut, head.out, at);
        feed(&cut, head.out + at, head.out_len - at);
        CHECK(cut.trace == whole.trace);
        free(cut.out);
    }
    end_init(&cut, false);
    for (size_t at = 0; at < head.out_len; at++)
        feed(&cut, head.out + at, 1);
    CHECK(cut.trace == whole.trace);
    free(cut.out);
    free(whole.out);
    free(head.out);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t end = argc > 1 ? first + 1 : 21;
    for (seed = first; seed < end; seed++) {
        state = seed;
        random_run();
    }
    cut_everywhere();
    return 0;
}
