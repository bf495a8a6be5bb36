/* SPDX-License-Identifier: GPL-2.0-or-later */
/* migrate.c: the phases of a move. Each phase says what every place should do (orders, said
 * again at each beat, so a lost one costs time and nothing else) and what makes it end. Must
 * not know: sockets, clocks, how copies are made. Source: docs/migration.md, "A move". */
#include "mosix-core/plan/migrate.h"

#include <errno.h>
#include <string.h>

static const char *const phase_texts[MX_PHASES] = {
    [MX_SETTLED] = "settled",           [MX_ASKING] = "asking",
    [MX_COPYING] = "copying",           [MX_FREEZING] = "freezing",
    [MX_COMMITTING] = "committing",     [MX_REVOKING] = "revoking",
    [MX_ROLLING_BACK] = "rolling-back", [MX_OVER] = "over",
};

/* What source and destination are told in each phase. */
static const struct {
    enum mx_want here, there;
} plans[MX_PHASES] = {
    [MX_SETTLED] = { MX_WANT_RUN, MX_WANT_DROP },
    [MX_ASKING] = { MX_WANT_RUN, MX_WANT_BUILD },
    [MX_COPYING] = { MX_WANT_COPY, MX_WANT_BUILD },
    [MX_FREEZING] = { MX_WANT_FREEZE, MX_WANT_BUILD },
    [MX_COMMITTING] = { MX_WANT_FREEZE, MX_WANT_RUN },
    [MX_REVOKING] = { MX_WANT_FREEZE, MX_WANT_DROP },
    [MX_ROLLING_BACK] = { MX_WANT_RUN, MX_WANT_DROP },
    [MX_OVER] = { MX_WANT_DROP, MX_WANT_DROP },
};

const char *mx_phase_text(enum mx_phase phase)
{
    return phase_texts[phase];
}

/* ---- places ---- */

static struct mx_place *find(struct mx_migrate *m, uint32_t id)
{
    for (unsigned i = 0; i < MX_PLACES_MAX; i++)
        if (m->places[i].is_used && m->places[i].id == id)
            return &m->places[i];
    return NULL;
}

static struct mx_place *add(struct mx_migrate *m, uint32_t id, int64_t now_ms)
{
    for (unsigned i = 0; i < MX_PLACES_MAX; i++) {
        struct mx_place *p = &m->places[i];
        if (p->is_used)
            continue;
        *p = (struct mx_place){ .id = id, .is_used = true, .heard_ms = now_ms };
        return p;
    }
    return NULL;
}

static bool is_moving(const struct mx_migrate *m)
{
    return m->phase != MX_SETTLED && m->phase != MX_OVER;
}

static enum mx_want want_of(const struct mx_migrate *m, uint32_t id)
{
    if (id == m->here)
        return plans[m->phase].here;
    return is_moving(m) && id == m->there ? plans[m->phase].there : MX_WANT_DROP;
}

/* A copy that had leave to run stands still by now, whatever became of the messages. */
static bool has_lapsed(const struct mx_place *p, int64_t now_ms)
{
    return p->id != MX_HOME &&
           (p->leased_ms == 0 || now_ms >= p->leased_ms + MX_LEASE_MS + MX_LEASE_SLACK_MS);
}

/* Has the place said how it is since it was told what is wanted now? */
static bool has_obeyed(const struct mx_place *p, const struct mx_report *r)
{
    return r->obeyed >= p->wanted_since;
}

/* ---- phases ---- */

static void enter(struct mx_migrate *m, enum mx_phase phase, int64_t now_ms)
{
    m->phase = phase;
    m->since_ms = m->grew_ms = now_ms;
}

static void settle(struct mx_migrate *m, uint32_t id, int64_t now_ms,
                   struct mx_migrate_out *out)
{
    bool has_moved = id == m->there;
    out->has_moved = has_moved;
    out->has_failed = !has_moved;
    out->why = has_moved ? MX_WHY_NOT : m->why;
    m->here = id;
    enter(m, MX_SETTLED, now_ms);
}

static void end_job(struct mx_migrate *m, enum mx_why why, int64_t now_ms,
                    struct mx_migrate_out *out)
{
    out->has_ended = true;
    out->why = why;
    enter(m, MX_OVER, now_ms);
}

/* Undoes what can be undone: the source runs on, once the destination can't. */
static void give_up(struct mx_migrate *m, enum mx_why why, int64_t now_ms)
{
    struct mx_place *there = find(m, m->there);
    m->why = why;
    enter(m, m->phase == MX_COMMITTING && there ? MX_REVOKING : MX_ROLLING_BACK, now_ms);
}

/* ---- reports ---- */

static void note_growth(struct mx_migrate *m, unsigned side, uint32_t progress, int64_t now_ms)
{
    if (m->progress[side] == progress)
        return;
    m->progress[side] = progress;
    m->grew_ms = now_ms;
}

/* Going on pays as long as each round leaves less than the best before. */
static void note_round(struct mx_migrate *m, const struct mx_report *r)
{
    if (r->progress == m->progress[0] || r->left_ms == UINT32_MAX)
        return;
    if (r->left_ms < m->least_left_ms - m->least_left_ms / 8) {
        m->least_left_ms = r->left_ms;
        m->vain_rounds = 0;
    } else {
        m->vain_rounds++;
    }
}

/* The source is as it was told to be, or the job is lost. */
static void on_source(struct mx_migrate *m, const struct mx_place *p, const struct mx_report *r,
                      int64_t now_ms, struct mx_migrate_out *out)
{
    bool is_lost = r->is == MX_IS_NONE || r->is == MX_IS_DROPPING;
    if (is_lost && (m->phase == MX_COMMITTING || m->phase == MX_REVOKING))
        return; /* all may be well with the destination; if not, rolling back finds nothing */
    if (is_lost) {
        end_job(m, r->why ? r->why : MX_WHY_DIED, now_ms, out);
        return;
    }
    bool is_for_this = r->move == m->move && has_obeyed(p, r);
    if (m->phase == MX_COPYING || m->phase == MX_FREEZING) {
        if (is_for_this && r->is == MX_IS_RUNNING && r->why) {
            give_up(m, r->why, now_ms);
            return;
        }
        note_round(m, r);
        note_growth(m, 0, r->progress, now_ms);
    }
    bool is_little =
        r->progress > 0 && (r->left_ms <= MX_FREEZE_AIM_MS || r->progress >= MX_ROUNDS_MAX ||
                            m->vain_rounds >= MX_ROUNDS_VAIN_MAX);
    if (m->phase == MX_COPYING && is_for_this && r->is == MX_IS_COPYING && is_little)
        enter(m, MX_FREEZING, now_ms);
    else if (m->phase == MX_ROLLING_BACK && has_obeyed(p, r) && r->is == MX_IS_RUNNING)
        settle(m, m->here, now_ms, out);
}

static void on_destination(struct mx_migrate *m, const struct mx_place *p,
                           const struct mx_report *r, int64_t now_ms,
                           struct mx_migrate_out *out)
{
    bool is_none = r->is == MX_IS_NONE || r->is == MX_IS_DROPPING;
    bool is_ours = r->move == m->move;
    if (!has_obeyed(p, r))
        return;
    if (m->phase == MX_ASKING || m->phase == MX_COPYING || m->phase == MX_FREEZING) {
        if (is_none && is_ours && r->why) {
            give_up(m, r->why, now_ms);
            return;
        }
        if (is_ours)
            note_growth(m, 1, r->progress, now_ms);
        if (m->phase == MX_ASKING && is_ours && r->is == MX_IS_BUILDING)
            enter(m, MX_COPYING, now_ms);
        /* Whole means that the source stands still: its last pages were sent after it stopped.
         */
        else if (m->phase != MX_ASKING && is_ours && r->is == MX_IS_READY)
            enter(m, MX_COMMITTING, now_ms);
    } else if (m->phase == MX_COMMITTING) {
        if (is_ours && r->is == MX_IS_RUNNING)
            settle(m, m->there, now_ms, out);
        else if (is_none)
            give_up(m, r->why ? r->why : MX_WHY_DIED, now_ms);
    } else if (m->phase == MX_REVOKING && r->is == MX_IS_NONE) {
        enter(m, MX_ROLLING_BACK, now_ms);
    }
}

static void on_report(struct mx_migrate *m, const struct mx_migrate_in *in,
                      struct mx_migrate_out *out)
{
    const struct mx_report *r = in->report;
    struct mx_place *p = find(m, in->place);
    if (!p || r->number <= p->reports || r->is >= MX_STATES || r->why >= MX_WHYS)
        return;
    p->reports = r->number;
    p->is = r->is;
    p->stamp_ms = r->stamp_ms;
    p->heard_ms = in->now_ms;
    if (p->id == m->here && m->phase != MX_OVER)
        on_source(m, p, r, in->now_ms, out);
    else if (is_moving(m) && p->id == m->there)
        on_destination(m, p, r, in->now_ms, out);
    else if (r->is == MX_IS_NONE && has_obeyed(p, r) && p->id != MX_HOME)
        p->is_used = false;
}

/* ---- time and losses ---- */

/* Leave has been taken back: the source runs on when the destination's has run out. */
static void after_revoke(struct mx_migrate *m, int64_t now_ms)
{
    const struct mx_place *there = find(m, m->there);
    bool is_safe = !there || has_lapsed(there, now_ms);
    if (m->phase == MX_REVOKING && is_safe)
        enter(m, MX_ROLLING_BACK, now_ms);
}

static bool is_silent(const struct mx_place *p, int64_t now_ms, int64_t limit_ms)
{
    return p && p->id != MX_HOME && now_ms - p->heard_ms >= limit_ms;
}

static void on_tick(struct mx_migrate *m, const struct mx_migrate_in *in,
                    struct mx_migrate_out *out)
{
    int64_t now_ms = in->now_ms, here_for_ms = now_ms - m->since_ms;
    const struct mx_place *here = find(m, m->here),
                          *there = is_moving(m) ? find(m, m->there) : NULL;
    bool is_sending =
        m->phase == MX_ASKING || m->phase == MX_COPYING || m->phase == MX_FREEZING;
    if (m->phase == MX_OVER)
        return;
    if (is_sending && is_silent(there, now_ms, MX_LEASE_MS))
        give_up(m, MX_WHY_SILENT, now_ms);
    else if (m->phase == MX_COPYING && is_silent(here, now_ms, MX_LEASE_MS))
        give_up(m, MX_WHY_SILENT, now_ms);
    else if (is_sending && (now_ms - m->grew_ms >= MX_STALL_MS || here_for_ms >= MX_COPY_MS))
        give_up(m, MX_WHY_SLOW, now_ms);
    else if (m->phase == MX_COMMITTING && here_for_ms >= MX_COMMIT_MS)
        give_up(m, MX_WHY_SILENT, now_ms);
    after_revoke(m, now_ms);
    bool needs_here = m->phase != MX_COMMITTING && m->phase != MX_REVOKING;
    if (needs_here && is_silent(here, now_ms, MX_PATIENCE_MS) && has_lapsed(here, now_ms))
        end_job(m, MX_WHY_SILENT, now_ms, out);
}

static void on_cut(struct mx_migrate *m, const struct mx_migrate_in *in,
                   struct mx_migrate_out *out UNUSED)
{
    bool is_there = is_moving(m) && in->place == m->there;
    if (is_there && m->phase != MX_REVOKING && m->phase != MX_ROLLING_BACK)
        give_up(m, MX_WHY_CUT, in->now_ms);
}

static void on_dead(struct mx_migrate *m, const struct mx_migrate_in *in,
                    struct mx_migrate_out *out)
{
    struct mx_place *p = find(m, in->place);
    if (!p || p->id == MX_HOME)
        return;
    p->is_used = false;
    if (m->phase == MX_OVER)
        return;
    if (is_moving(m) && p->id == m->there) {
        give_up(m, MX_WHY_DIED, in->now_ms);
        after_revoke(m, in->now_ms);
    } else if (p->id == m->here && m->phase != MX_COMMITTING && m->phase != MX_REVOKING) {
        end_job(m, MX_WHY_DIED, in->now_ms, out);
    }
}

static void on_killed(struct mx_migrate *m, const struct mx_migrate_in *in,
                      struct mx_migrate_out *out)
{
    if (m->phase != MX_OVER)
        end_job(m, MX_WHY_KILLED, in->now_ms, out);
}

/* ---- orders ---- */

/* Forgotten when it can't have a copy: it has dropped it by itself after its own patience. */
static bool is_forgotten(const struct mx_migrate *m, struct mx_place *p, int64_t now_ms)
{
    bool is_wanted = p->id == MX_HOME || (p->id == m->here && m->phase != MX_OVER) ||
                     (is_moving(m) && p->id == m->there);
    if (is_wanted) {
        p->dropped_ms = 0;
        return false;
    }
    if (!p->dropped_ms)
        p->dropped_ms = now_ms;
    return now_ms - p->dropped_ms >= 2 * MX_PATIENCE_MS;
}

static void give_order(struct mx_migrate *m, struct mx_place *p, struct mx_migrate_out *out)
{
    enum mx_want want = want_of(m, p->id);
    bool is_leave = want == MX_WANT_RUN || want == MX_WANT_COPY;
    m->orders++;
    if (want != p->want || !p->wanted_since)
        p->wanted_since = m->orders;
    p->want = want;
    if (is_leave && p->stamp_ms)
        p->leased_ms =
            p->heard_ms; /* the lease counts from the report, which was made before */
    out->orders[out->order_count].place = p->id;
    out->orders[out->order_count++].order = (struct mx_order){
        .number = m->orders, .move = m->move, .want = want, .stamp_ms = p->stamp_ms
    };
}

/* To whom the phase now wants something else, and to all at each beat. */
static void give_orders(struct mx_migrate *m, int64_t now_ms, struct mx_migrate_out *out)
{
    bool is_beat = now_ms - m->ordered_ms >= MX_BEAT_MS;
    if (is_beat)
        m->ordered_ms = now_ms;
    bool is_anybody_away = false;
    for (unsigned i = 0; i < MX_PLACES_MAX; i++) {
        struct mx_place *p = &m->places[i];
        if (p->is_used && is_forgotten(m, p, now_ms))
            p->is_used = false;
        if (!p->is_used)
            continue;
        is_anybody_away |= p->id != MX_HOME;
        bool is_new = want_of(m, p->id) != p->want || !p->wanted_since;
        if (is_new || (is_beat && (p->id != MX_HOME || is_moving(m))))
            give_order(m, p, out);
    }
    if (is_anybody_away || is_moving(m))
        out->wake_ms = m->ordered_ms + MX_BEAT_MS;
}

/* ---- */

void mx_migrate_init(struct mx_migrate *m, int64_t now_ms)
{
    memset(m, 0, sizeof *m);
    struct mx_place *home = add(m, MX_HOME, now_ms);
    home->is = MX_IS_RUNNING;
    home->want = MX_WANT_RUN;
    home->wanted_since = 1;
    m->here = MX_HOME;
    m->ordered_ms = now_ms;
    enter(m, MX_SETTLED, now_ms);
}

static int start_move(struct mx_migrate *m, const struct mx_migrate_in *in)
{
    if (m->phase == MX_OVER)
        return -ESRCH;
    if (is_moving(m))
        return -EBUSY;
    if (in->place == m->here)
        return -EALREADY;
    struct mx_place *p = find(m, in->place);
    if (p && p->id != MX_HOME)
        return -EBUSY; /* its old copy is not yet gone */
    if (!p)
        p = add(m, in->place, in->now_ms);
    if (!p)
        return -EBUSY;
    p->heard_ms = in->now_ms;
    m->there = in->place;
    m->move++;
    m->progress[0] = m->progress[1] = m->vain_rounds = 0;
    m->least_left_ms = UINT32_MAX;
    m->why = MX_WHY_NOT;
    enter(m, MX_ASKING, in->now_ms);
    return 0;
}

typedef void (*mig_fn)(struct mx_migrate *m, const struct mx_migrate_in *in,
                       struct mx_migrate_out *out);
static const mig_fn events[] = {
    [MX_MIG_TICK] = on_tick, [MX_MIG_REPORT] = on_report, [MX_MIG_CUT] = on_cut,
    [MX_MIG_DEAD] = on_dead, [MX_MIG_KILLED] = on_killed,
};

int mx_migrate_step(struct mx_migrate *m, const struct mx_migrate_in *in,
                    struct mx_migrate_out *out)
{
    memset(out, 0, sizeof *out);
    if (in->what == MX_MIG_MOVE) {
        int rc = start_move(m, in);
        if (rc < 0)
            return rc;
    } else if ((unsigned)in->what < ARRAY_LEN(events)) {
        events[in->what](m, in, out);
    }
    give_orders(m, in->now_ms, out);
    return 0;
}

bool mx_migrate_serves(const struct mx_migrate *m, uint32_t place)
{
    return place == m->here && m->phase != MX_OVER && m->phase != MX_COMMITTING &&
           m->phase != MX_REVOKING;
}
