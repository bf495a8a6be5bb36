/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ends.c: what both simulations of sessions do with an end.
 * Must not know: what is simulated. */
#include "tests/sim/ends.h"

#include <stdio.h>
#include <string.h>

uint64_t ends_seed, ends_state;

void ends_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "seed %llu: %s:%d: %s\n", (unsigned long long)ends_seed, file, line, condition);
    exit(1);
}

uint32_t rnd(uint32_t below)
{
    ends_state = ends_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(ends_state >> 33) % below;
}

/* What byte number offset of a channel is, so that a wrong one shows. */
static uint8_t pattern(uint32_t chan, bool from_head, uint64_t offset)
{
    return (uint8_t)(offset * 31 + (offset >> 8) * 7 + chan * 13 + from_head);
}

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

static void forget(struct end *e, uint64_t n)
{
    CHECK(n <= e->kept_len);
    memmove(e->kept, e->kept + n, e->kept_len - n);
    e->kept_len -= n;
    e->sent = e->sent > n ? e->sent - n : 0;
}

static void on_data(struct end *e, const struct mrc_action *a, int i)
{
    CHECK(i >= 0 && !e->got_eof[i]);
    for (uint32_t k = 0; k < a->body.len; k++)
        CHECK(a->body.ptr[k] == pattern(a->chan, !e->is_head, e->received[i] + k));
    e->received[i] += a->body.len;
}

static void on_action(struct end *e)
{
    const struct mrc_action *a = &e->act;
    int i = index_of(e, a->chan);
    switch (a->kind) {
    case MRC_ACT_NONE: return;
    case MRC_ACT_ACKED: forget(e, a->amount); return;
    case MRC_ACT_RESUMED:
        forget(e, a->amount);
        e->sent = 0;
        e->resumed++;
        return;
    case MRC_ACT_BYE: e->refused++; return;
    case MRC_ACT_OPENED:
        CHECK(e->chan_count < CHANS);
        e->chans[e->chan_count++] = a->chan;
        break;
    case MRC_ACT_DATA: on_data(e, a, i); break;
    case MRC_ACT_EOF:
        CHECK(i >= 0 && !e->got_eof[i]);
        e->got_eof[i] = true;
        break;
    case MRC_ACT_HELLO:
    case MRC_ACT_ANEW: return;
    case MRC_ACT_ROOM: break;
    default: CHECK(!"an action that nobody caused");
    }
    note(e, (uint64_t)a->kind << 32 | a->chan);
    for (uint32_t k = 0; k < a->body.len; k++)
        note(e, a->body.ptr[k]);
}

int end_step(struct end *e, const struct mrc_event *ev)
{
    int rc = mrc_session_step(&e->s, ev, &e->act);
    CHECK(mrc_session_check(&e->s));
    return rc;
}

int end_feed(struct end *e, const uint8_t *p, size_t len)
{
    struct mrc_event ev = { .kind = MRC_EV_INPUT, .input = { p, (uint32_t)len } };
    while (ev.input.len) {
        int rc = end_step(e, &ev);
        if (rc < 0)
            return rc;
        size_t used = ev.input.len - e->act.input_left;
        on_action(e);
        ev.input.ptr += used;
        ev.input.len = (uint32_t)e->act.input_left;
    }
    return 0;
}

void end_wish(struct end *e, enum mrc_event_kind kind, uint32_t chan, uint64_t amount)
{
    struct mrc_event ev = { .kind = kind, .chan = chan, .amount = amount };
    CHECK(end_step(e, &ev) == 0);
}

static void keep(struct end *e, const void *p, size_t len)
{
    CHECK(e->kept_len + len <= PIPE_SIZE);
    memcpy(e->kept + e->kept_len, p, len);
    e->kept_len += len;
}

static void wire(struct end *e, const void *p, size_t len)
{
    CHECK(e->wire_len + len <= PIPE_SIZE);
    memcpy(e->wire + e->wire_len, p, len);
    e->wire_len += len;
}

void end_open(struct end *e)
{
    struct mrc_event ev = { .kind = MRC_EV_OPEN,
                            .weight = (uint8_t)(1 + rnd(255)),
                            .service = bytes_of("test") };
    CHECK(end_step(e, &ev) == 0 && e->act.kind == MRC_ACT_CHAN);
    keep(e, e->act.head, e->act.head_len);
    e->chans[e->chan_count++] = e->act.chan;
}

static void keep_body(struct end *e)
{
    int i = index_of(e, e->act.chan);
    CHECK(i >= 0);
    for (uint32_t k = 0; k < e->act.body_len; k++) {
        uint8_t byte = pattern(e->act.chan, e->is_head, e->written[i]++);
        keep(e, &byte, 1);
    }
    CHECK(e->written[i] <= e->queued[i]);
}

void end_drain(struct end *e, size_t room)
{
    struct mrc_event ev = { .kind = MRC_EV_WRITE };
    while (e->wire_len < room) {
        CHECK(end_step(e, &ev) == 0);
        bool is_more = e->act.kind == MRC_ACT_WRITE;
        if (is_more && e->act.is_outside) {
            CHECK(!e->act.body_len);
            wire(e, e->act.head, e->act.head_len);
        } else if (is_more) {
            keep(e, e->act.head, e->act.head_len);
            if (e->act.body_len)
                keep_body(e);
        }
        if (e->s.line == MRC_LINE_UP) {
            wire(e, e->kept + e->sent, e->kept_len - e->sent);
            e->sent = e->kept_len;
        }
        CHECK(e->s.out_total - e->s.out_acked == e->kept_len);
        if (!is_more)
            return;
    }
}

void end_act(struct end *e)
{
    if (!e->chan_count)
        return;
    int i = (int)rnd((uint32_t)e->chan_count);
    if (!mrc_session_has(&e->s, e->chans[i]))
        return;
    if (!e->ended[i] && e->queued[i] < e->total && rnd(3)) {
        uint64_t n = 1 + rnd(60000);
        if (n > e->total - e->queued[i])
            n = e->total - e->queued[i];
        end_wish(e, MRC_EV_QUEUED, e->chans[i], n);
        e->queued[i] += n;
    } else if (!e->ended[i] && e->queued[i] == e->total) {
        e->ended[i] = true;
        end_wish(e, MRC_EV_END, e->chans[i], 0);
    }
    if (e->received[i] > e->consumed[i] && mrc_session_has(&e->s, e->chans[i])) {
        uint64_t n = 1 + rnd((uint32_t)(e->received[i] - e->consumed[i]));
        end_wish(e, MRC_EV_CONSUMED, e->chans[i], n);
        e->consumed[i] += n;
    }
}

void end_init(struct end *e, const struct mrc_session_opts *o)
{
    memset(e, 0, sizeof *e);
    e->is_head = o->is_head;
    e->total = TOTAL;
    e->kept = malloc(PIPE_SIZE);
    e->wire = malloc(PIPE_SIZE);
    CHECK(e->kept && e->wire);
    mrc_session_init(&e->s, o);
}

void end_fini(struct end *e)
{
    free(e->kept);
    free(e->wire);
}

bool end_is_done(const struct end *e)
{
    for (int i = 0; i < e->chan_count; i++)
        if (mrc_session_has(&e->s, e->chans[i]) || e->received[i] != e->total ||
            e->written[i] != e->total)
            return false;
    return e->chan_count == CHANS;
}

void end_deliver(struct end *from, struct end *to, size_t n)
{
    size_t done = 0;
    while (done < n) {
        size_t piece = 1 + rnd(rnd(4) ? 20000 : 7);
        if (piece > n - done)
            piece = n - done;
        CHECK(end_feed(to, from->wire + done, piece) == 0);
        done += piece;
    }
    memmove(from->wire, from->wire + n, from->wire_len - n);
    from->wire_len -= n;
}
