/* SPDX-License-Identifier: GPL-2.0-or-later */
/* holder.c: orders and events at one place, as a table of what each order means in each state.
 * Must not know: sockets, clocks, how a copy is made.
 * Source: docs/migration.md, "Who may run". */
#include "mosix-core/plan/holder.h"

#include <string.h>

static const char *const is_texts[MX_STATES] = {
    [MX_IS_NONE] = "none",       [MX_IS_BUILDING] = "building", [MX_IS_READY] = "ready",
    [MX_IS_RUNNING] = "running", [MX_IS_COPYING] = "copying",   [MX_IS_STOPPING] = "stopping",
    [MX_IS_FROZEN] = "frozen",   [MX_IS_DROPPING] = "dropping",
};
static const char *const want_texts[MX_WANTS] = {
    [MX_WANT_DROP] = "drop", [MX_WANT_BUILD] = "build",   [MX_WANT_RUN] = "run",
    [MX_WANT_COPY] = "copy", [MX_WANT_FREEZE] = "freeze",
};
static const char *const why_texts[MX_WHYS] = {
    [MX_WHY_NOT] = "nothing is wrong",
    [MX_WHY_REFUSED] = "it can't be moved",
    [MX_WHY_NO_ROOM] = "there is no room for it",
    [MX_WHY_BAD_IMAGE] = "its image did not arrive whole",
    [MX_WHY_DIED] = "its copy died",
    [MX_WHY_SILENT] = "nothing was heard of the node for too long",
    [MX_WHY_CUT] = "the connection was lost",
    [MX_WHY_SLOW] = "it took too long",
    [MX_WHY_ENDED] = "the job ended",
    [MX_WHY_KILLED] = "the job was killed",
};

const char *mx_is_text(enum mx_is is)
{
    return is_texts[is];
}

const char *mx_want_text(enum mx_want want)
{
    return want_texts[want];
}

const char *mx_why_text(enum mx_why why)
{
    return why_texts[why];
}

void mx_holder_init(struct mx_holder *h, bool is_home, bool has_job)
{
    memset(h, 0, sizeof *h);
    h->is_home = is_home;
    h->is = has_job ? MX_IS_RUNNING : MX_IS_NONE;
}

static void act(struct mx_holder_out *out, enum mx_holder_do what)
{
    if (out->count < MX_HOLDER_ACTIONS_MAX)
        out->actions[out->count++] = what;
}

static bool has_lease(const struct mx_holder *h, int64_t now_ms)
{
    return h->is_home || now_ms < h->lease_end_ms;
}

static void start_drop(struct mx_holder *h, struct mx_holder_out *out, enum mx_why why)
{
    if (h->is == MX_IS_DROPPING || h->is == MX_IS_NONE)
        return;
    h->is = MX_IS_DROPPING;
    if (why)
        h->why = why;
    act(out, MX_DO_DROP);
}

static void start_stop(struct mx_holder *h, struct mx_holder_out *out)
{
    h->is = MX_IS_STOPPING;
    act(out, MX_DO_STOP);
}

static void send_rest(struct mx_holder *h, struct mx_holder_out *out)
{
    if (h->is_rest_sent)
        return;
    h->is_rest_sent = true;
    act(out, MX_DO_SEND_REST);
}

/* ---- orders ---- */

static void want_drop(struct mx_holder *h, const struct mx_holder_in *in UNUSED,
                      struct mx_holder_out *out)
{
    start_drop(h, out, MX_WHY_NOT);
}

static void want_build(struct mx_holder *h, const struct mx_holder_in *in,
                       struct mx_holder_out *out)
{
    if (h->is == MX_IS_NONE) {
        if (h->why && h->move == in->order->move)
            return; /* it has failed, and the home doesn't know yet */
        h->is = MX_IS_BUILDING;
        h->move = in->order->move;
        h->why = MX_WHY_NOT;
        h->progress = 0;
        act(out, MX_DO_BUILD);
    } else if ((h->is == MX_IS_BUILDING || h->is == MX_IS_READY) &&
               h->move != in->order->move) {
        start_drop(h, out, MX_WHY_NOT); /* the next order finds nothing here, and begins anew */
    }
}

static void want_run(struct mx_holder *h, const struct mx_holder_in *in,
                     struct mx_holder_out *out)
{
    bool is_ready = h->is == MX_IS_READY && h->move == in->order->move;
    if (!is_ready && h->is != MX_IS_FROZEN && h->is != MX_IS_COPYING)
        return;
    if (!has_lease(h, in->now_ms))
        return;
    h->is = MX_IS_RUNNING;
    h->why = MX_WHY_NOT;
    h->is_freeze_wanted = false;
    act(out, MX_DO_RUN);
}

static void want_copy(struct mx_holder *h, const struct mx_holder_in *in,
                      struct mx_holder_out *out)
{
    if (h->is == MX_IS_FROZEN) /* its lease had run out */
        want_run(h, in, out);
    if (h->is != MX_IS_RUNNING || (h->why && h->move == in->order->move))
        return;
    h->is = MX_IS_COPYING;
    h->move = in->order->move;
    h->why = MX_WHY_NOT;
    h->progress = 0;
    h->left_ms = UINT32_MAX;
    h->is_rest_sent = false;
    act(out, MX_DO_COPY);
}

/* Only for the move that it is being copied for: the destination would have nothing else. */
static void want_freeze(struct mx_holder *h, const struct mx_holder_in *in,
                        struct mx_holder_out *out)
{
    if (h->move != in->order->move)
        return;
    if (h->is == MX_IS_COPYING) {
        h->is_freeze_wanted = true;
        start_stop(h, out);
    } else if (h->is == MX_IS_STOPPING) {
        h->is_freeze_wanted = true;
    } else if (h->is == MX_IS_FROZEN) {
        h->is_freeze_wanted = true;
        send_rest(h, out);
    }
}

typedef void (*want_fn)(struct mx_holder *h, const struct mx_holder_in *in,
                        struct mx_holder_out *out);
static const want_fn wants[MX_WANTS] = {
    [MX_WANT_DROP] = want_drop, [MX_WANT_BUILD] = want_build,   [MX_WANT_RUN] = want_run,
    [MX_WANT_COPY] = want_copy, [MX_WANT_FREEZE] = want_freeze,
};

static void on_order(struct mx_holder *h, const struct mx_holder_in *in,
                     struct mx_holder_out *out)
{
    const struct mx_order *o = in->order;
    if (o->number <= h->obeyed || o->want >= MX_WANTS)
        return;
    h->obeyed = o->number;
    h->heard_ms = in->now_ms;
    bool is_leave_to_run = o->want == MX_WANT_RUN || o->want == MX_WANT_COPY;
    if (is_leave_to_run && o->stamp_ms > 0 && o->stamp_ms + MX_LEASE_MS > h->lease_end_ms)
        h->lease_end_ms = o->stamp_ms + MX_LEASE_MS;
    wants[o->want](h, in, out);
    h->reported_ms = 0; /* each order is answered */
}

/* ---- events ---- */

static void on_tick(struct mx_holder *h, const struct mx_holder_in *in,
                    struct mx_holder_out *out)
{
    if (h->is_home || h->is == MX_IS_NONE)
        return;
    if ((h->is == MX_IS_RUNNING || h->is == MX_IS_COPYING) && !has_lease(h, in->now_ms))
        start_stop(h, out);
    if (in->now_ms - h->heard_ms >= MX_PATIENCE_MS)
        start_drop(h, out, MX_WHY_SILENT);
}

static void on_whole(struct mx_holder *h, const struct mx_holder_in *in,
                     struct mx_holder_out *out UNUSED)
{
    if (h->is == MX_IS_BUILDING && h->move == in->move)
        h->is = MX_IS_READY;
}

static void on_arriving(struct mx_holder *h, const struct mx_holder_in *in,
                        struct mx_holder_out *out UNUSED)
{
    if (h->is == MX_IS_BUILDING && h->move == in->move)
        h->progress++;
}

static void on_round(struct mx_holder *h, const struct mx_holder_in *in,
                     struct mx_holder_out *out UNUSED)
{
    if (h->is != MX_IS_COPYING)
        return;
    h->progress++;
    h->left_ms = in->left_ms;
}

static void on_stopped(struct mx_holder *h, const struct mx_holder_in *in UNUSED,
                       struct mx_holder_out *out)
{
    if (h->is != MX_IS_STOPPING)
        return;
    h->is = MX_IS_FROZEN;
    if (h->is_freeze_wanted)
        send_rest(h, out);
}

/* A source that can't be read runs on; anything else has lost its copy. */
static void on_failed(struct mx_holder *h, const struct mx_holder_in *in,
                      struct mx_holder_out *out)
{
    bool is_source = h->is == MX_IS_COPYING || (h->is == MX_IS_STOPPING && h->is_freeze_wanted);
    enum mx_why why = in->why ? in->why : MX_WHY_DIED;
    if (is_source && why == MX_WHY_REFUSED && has_lease(h, in->now_ms)) {
        h->is = MX_IS_RUNNING;
        h->why = why;
        h->is_freeze_wanted = false;
        act(out, MX_DO_RUN);
    } else if (why != MX_WHY_REFUSED || h->is == MX_IS_BUILDING || h->is == MX_IS_READY) {
        start_drop(h, out, why);
    } /* else the refusal of a copying that is over */
}

static void on_dropped(struct mx_holder *h, const struct mx_holder_in *in UNUSED,
                       struct mx_holder_out *out UNUSED)
{
    if (h->is != MX_IS_DROPPING)
        return;
    h->is = MX_IS_NONE;
    h->is_freeze_wanted = h->is_rest_sent = false;
    h->lease_end_ms = 0;
}

typedef void (*hold_fn)(struct mx_holder *h, const struct mx_holder_in *in,
                        struct mx_holder_out *out);
static const hold_fn events[] = {
    [MX_HOLD_TICK] = on_tick,     [MX_HOLD_ORDER] = on_order,
    [MX_HOLD_WHOLE] = on_whole,   [MX_HOLD_ARRIVING] = on_arriving,
    [MX_HOLD_ROUND] = on_round,   [MX_HOLD_STOPPED] = on_stopped,
    [MX_HOLD_FAILED] = on_failed, [MX_HOLD_DROPPED] = on_dropped,
};

static void report(struct mx_holder *h, int64_t now_ms, struct mx_holder_out *out)
{
    h->reported_ms = now_ms;
    out->report = (struct mx_report){
        .number = ++h->reports,
        .obeyed = h->obeyed,
        .move = h->move,
        .is = h->is,
        .why = h->why,
        .stamp_ms = now_ms,
        .progress = h->progress,
        .left_ms = h->left_ms,
    };
    act(out, MX_DO_REPORT);
}

void mx_holder_step(struct mx_holder *h, const struct mx_holder_in *in,
                    struct mx_holder_out *out)
{
    enum mx_is before = h->is;
    uint32_t progress = h->progress;
    memset(out, 0, sizeof *out);
    if ((unsigned)in->what >= ARRAY_LEN(events))
        return;
    events[in->what](h, in, out);
    bool is_due = h->is != MX_IS_NONE && in->now_ms - h->reported_ms >= MX_BEAT_MS;
    bool is_asked = in->what == MX_HOLD_ORDER && h->reported_ms == 0;
    if (h->is != before || h->progress != progress || is_due || is_asked)
        report(h, in->now_ms, out);
    if (h->is == MX_IS_NONE)
        return;
    out->wake_ms = h->reported_ms + MX_BEAT_MS;
    bool is_running = h->is == MX_IS_RUNNING || h->is == MX_IS_COPYING;
    if (!h->is_home && is_running && h->lease_end_ms < out->wake_ms)
        out->wake_ms = h->lease_end_ms;
}
