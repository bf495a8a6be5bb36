/* SPDX-License-Identifier: GPL-2.0-or-later */
/* migrate_sim.c: a home, its job and three hosts with clocks of their own, on links that delay,
 * lose and cut, with hosts and homes that die, copies that can't be built and memory that can't
 * be read. A copy that is away may go home by itself, over the stream of its calls: it stands
 * still, sends itself, and runs there when that has come; then the home ends all connections.
 * Checked at every event:
 *   - never do two copies run;
 *   - no call of the job is served twice or from an older state;
 *   - while the job has not ended there is a copy in its last state, but if the place that had
 * it died or was cut off; and at the end: one copy runs where the home thinks and gets on, or
 * the job has ended with a reason and no copy is left anywhere; all in bounded time, and with
 * moves that succeed where nothing went wrong. Usage: migrate_sim [seed], or migrate_sim -n
 * SEEDS; without either a fault at each message of each kind of move, and then a fixed number
 * of seeds. */
#include "mosix-core/plan/migrate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PLACES = 4,
    EVENTS = 1024,
    STOP_MS = 100,    /* how long a copy may take to stand still */
    CALM_MS = 100000, /* all is settled so long after the last fault */
    SEEDS = 3000,
};

enum kind {
    EV_NONE,
    EV_ORDER,
    EV_REPORT,
    EV_CALL,
    EV_REPLY,
    EV_WORK,
    EV_TICK_HOME,
    EV_TICK,
    EV_ROUND,
    EV_ARRIVE,
    EV_WHOLE,
    EV_STOPPED,
    EV_DROPPED,
    EV_MOVE,
    EV_CRASH,
    EV_HOME_CRASH,
    EV_DEAD,
    EV_CUT,
    EV_KILL,
    EV_MISS,
    EV_BACK,   /* a copy has arrived at home by itself */
    EV_CLOSED, /* the home has ended its connection to a place */
};

struct event {
    enum kind kind;
    int64_t at_ms;
    uint32_t place, other, life, stream;
    uint64_t value, born; /* born: which came first of those at the same time */
    struct mx_order order;
    struct mx_report report;
};

/* The copy that is really there. */
struct body {
    bool is_here, is_running, is_whole;
    bool is_going;    /* home: it stands still, and is not heard of otherwise */
    uint64_t version; /* calls that it has had answers of */
};

struct place {
    bool is_alive;
    uint32_t life;   /* of the copy: what was under way for an older one counts no more */
    uint32_t stream; /* of the connection, likewise */
    bool is_closing; /* it has been ended, and the place doesn't know yet */
    struct mx_holder holder;
    struct body body;
    int64_t offset_ms, rate; /* local = offset + time * rate / 1000000 */
    int64_t cut_until_ms;    /* nothing gets to or from it */
    int64_t reached_ms[2];   /* a stream keeps its order: when its last message arrives */
    bool is_failing_build, is_failing_copy;
    unsigned rounds;
    uint32_t calls, calls_seen; /* one that was overtaken on its way is not looked at */
};

static struct {
    uint64_t seed, rng, born;
    int64_t now_ms, last_fault_ms;
    struct event events[EVENTS];
    unsigned event_count;
    int64_t tick_ms[PLACES + 1];
    struct place places[PLACES];
    struct mx_migrate home;
    int64_t home_offset_ms, home_rate;
    bool is_home_alive, is_over, was_destroyed, has_faults, has_backs;
    enum mx_why over_why;
    uint64_t served, served_before;
    int64_t over_ms, home_died_ms;
    unsigned loss_percent, moved, failed, came, steps;
    /* The fault of a systematic run: at message number at. */
    unsigned messages, fault_at;
    enum {
        FAULT_NONE,
        FAULT_LOSE,
        FAULT_CUT,
        FAULT_LONG_CUT,
        FAULT_CRASH_FROM,
        FAULT_CRASH_TO,
        FAULT_HOME,
        FAULTS
    } fault;
    int64_t back_at_ms; /* of a systematic run: it goes home by itself then; 0: it doesn't */
    uint32_t from, to;
} w;

static struct {
    unsigned long runs, moved, failed, came, ended[MX_WHYS], lost_home;
} sum;

static void fail_at(const char *what, int line)
{
    fprintf(stderr,
            "migrate_sim: seed %" PRIu64 ", fault %d at message %u of a move %u>%u: at %" PRId64
            " ms, line %d: %s\n",
            w.seed, w.fault, w.fault_at, w.from, w.to, w.now_ms, line, what);
    fprintf(stderr, "home: %s here %u there %u served %" PRIu64 "\n",
            mx_phase_text(w.home.phase), w.home.here, w.home.there, w.served);
    for (unsigned i = 0; i < PLACES; i++) {
        const struct place *p = &w.places[i];
        fprintf(stderr, "place %u: %s%s, copy %d running %d version %" PRIu64 "\n", i,
                p->is_alive ? "" : "dead, ", mx_is_text(p->holder.is), p->body.is_here,
                p->body.is_running, p->body.version);
    }
    exit(1);
}
#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition))                                                                      \
            fail_at(#condition, __LINE__);                                                     \
    } while (0)

static uint32_t rnd(uint32_t below)
{
    w.rng = w.rng * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(w.rng >> 33) % below;
}

static int64_t local(int64_t offset_ms, int64_t rate)
{
    return offset_ms + w.now_ms * rate / 1000000;
}

static int64_t global(int64_t at_ms, int64_t offset_ms, int64_t rate)
{
    int64_t t = (at_ms - offset_ms) * 1000000 / rate + 1;
    return t > w.now_ms ? t : w.now_ms + 1;
}

static struct event *later(enum kind kind, uint32_t place, int64_t at_ms)
{
    if (w.event_count == EVENTS)
        fail_at("too many events", __LINE__);
    struct event *e = &w.events[w.event_count++];
    *e = (struct event){ .kind = kind,
                         .at_ms = at_ms,
                         .place = place,
                         .born = ++w.born,
                         .life = place < PLACES ? w.places[place].life : 0,
                         .stream = place < PLACES ? w.places[place].stream : 0 };
    return e;
}

/* The next tick of a place, or with PLACES of the home. */
static void tick_at(uint32_t place, int64_t at_ms)
{
    if (w.tick_ms[place] > w.now_ms && w.tick_ms[place] <= at_ms)
        return;
    w.tick_ms[place] = at_ms;
    later(place < PLACES ? EV_TICK : EV_TICK_HOME, place, at_ms);
}

static bool is_cut(uint32_t id)
{
    return id != MX_HOME && w.now_ms < w.places[id].cut_until_ms;
}

static void destroy(uint32_t id)
{
    struct place *p = &w.places[id];
    if (p->body.is_here)
        w.was_destroyed = true;
    p->is_alive = false;
    p->body = (struct body){ 0 };
    p->life++;
}

static void faulty_until(int64_t at_ms)
{
    if (at_ms > w.last_fault_ms)
        w.last_fault_ms = at_ms;
}

static void cut(uint32_t id, int64_t for_ms)
{
    w.places[id].cut_until_ms = w.now_ms + for_ms;
    faulty_until(w.now_ms + for_ms);
    if (for_ms >= MX_PATIENCE_MS / 2)
        w.was_destroyed = true; /* it may be given up at one end while the other still waits */
    if (rnd(2))
        later(EV_CUT, id, w.now_ms + rnd(100));
}

static void crash(uint32_t id)
{
    faulty_until(w.now_ms);
    if (id == MX_HOME) {
        w.is_home_alive = false;
        w.home_died_ms = w.now_ms;
        destroy(MX_HOME);
        return;
    }
    destroy(id);
    if (rnd(2))
        later(EV_DEAD, id, w.now_ms + rnd(1000));
}

/* One message between the home and a place. Returns NULL when it is lost. */
static struct event *send_message(enum kind kind, uint32_t id, bool is_to_home)
{
    if (id == MX_HOME)
        return later(kind, id, w.now_ms);
    unsigned number = w.messages++;
    if (w.fault != FAULT_NONE && number == w.fault_at) {
        faulty_until(w.now_ms);
        switch (w.fault) {
        case FAULT_LOSE: return NULL;
        case FAULT_CUT: cut(id, 1000 + rnd(4000)); break;
        case FAULT_LONG_CUT: cut(id, MX_PATIENCE_MS * 2); break;
        case FAULT_CRASH_FROM: crash(w.from); break;
        case FAULT_CRASH_TO: crash(w.to); break;
        case FAULT_HOME: crash(MX_HOME); break;
        case FAULT_NONE:
        case FAULTS: break;
        }
    }
    if (!w.is_home_alive || !w.places[id].is_alive || is_cut(id) || rnd(100) < w.loss_percent)
        return NULL;
    /* A stream keeps its order, but with losses there are several streams, one after the other.
     */
    int64_t at = w.now_ms + 1 + rnd(rnd(20) ? 5 : 200);
    if (!w.loss_percent && at < w.places[id].reached_ms[is_to_home])
        at = w.places[id].reached_ms[is_to_home];
    w.places[id].reached_ms[is_to_home] = at;
    return later(kind, id, at);
}

/* ---- the home ---- */

static void home_step(struct mx_migrate_in in)
{
    struct mx_migrate_out out;
    if (!w.is_home_alive)
        return;
    in.now_ms = local(w.home_offset_ms, w.home_rate);
    int rc = mx_migrate_step(&w.home, &in, &out);
    CHECK(rc == 0 || in.what == MX_MIG_MOVE);
    for (unsigned i = 0; i < out.order_count; i++) {
        struct event *e = send_message(EV_ORDER, out.orders[i].place, false);
        if (e)
            e->order = out.orders[i].order;
    }
    w.moved += out.has_moved;
    w.failed += out.has_failed;
    CHECK(!out.has_failed || out.why != MX_WHY_NOT);
    if (out.has_ended) {
        CHECK(!w.is_over && out.why != MX_WHY_NOT);
        w.is_over = true;
        w.over_why = out.why;
        w.over_ms = w.now_ms;
    }
    if (out.wake_ms)
        tick_at(PLACES, global(out.wake_ms, w.home_offset_ms, w.home_rate));
}

/* Each call once, in order, and only from the one place that has the right. A call said twice
 * gets its answer twice. */
static void home_call(uint32_t id, uint64_t number, uint32_t call)
{
    if (!w.is_home_alive || w.is_over || !mx_migrate_serves(&w.home, id))
        return;
    if (call <= w.places[id].calls_seen)
        return;
    w.places[id].calls_seen = call;
    CHECK(number == w.served || number == w.served + 1);
    w.served = number;
    struct event *e = send_message(EV_REPLY, id, false);
    if (e)
        e->value = number;
}

/* A copy has come home by itself, whole: it runs here, and nothing else of the job's is
 * anywhere. Hosts find their connections ended. */
static void home_back(uint32_t id, uint64_t version)
{
    if (!w.is_home_alive || w.is_over)
        return;
    CHECK(mx_migrate_serves(&w.home, id));
    for (uint32_t i = 0; i < PLACES; i++) {
        struct place *p = &w.places[i];
        int64_t at = p->cut_until_ms > w.now_ms ? p->cut_until_ms : w.now_ms;
        p->stream++;
        if (i != MX_HOME && p->is_alive) {
            p->is_closing = true;
            later(EV_CLOSED, i, at + rnd(50));
        }
    }
    w.came++;
    mx_migrate_init(&w.home, local(w.home_offset_ms, w.home_rate));
    struct place *home = &w.places[MX_HOME];
    mx_holder_init(&home->holder, true, true);
    home->life++;
    home->calls = home->calls_seen = 0;
    home->body = (struct body){
        .is_here = true, .is_running = true, .is_whole = true, .version = version
    };
    later(EV_WORK, MX_HOME, w.now_ms + 1);
}

/* ---- a place ---- */

static void start_work(uint32_t id)
{
    later(EV_WORK, id, w.now_ms + 1 + rnd(50));
}

static void act(uint32_t id, enum mx_holder_do what, const struct mx_report *report)
{
    struct place *p = &w.places[id];
    struct event *e;
    switch (what) {
    case MX_DO_BUILD:
        p->life++;
        p->body = (struct body){ .is_here = true };
        if (p->is_failing_build)
            later(EV_MISS, id, w.now_ms + 1 + rnd(50))->value = MX_WHY_NO_ROOM;
        break;
    case MX_DO_COPY:
        p->rounds = 0;
        later(EV_ROUND, id, w.now_ms + 5 + rnd(200))->other = w.home.there;
        if (p->is_failing_copy)
            later(EV_MISS, id, w.now_ms + 1 + rnd(100))->value = MX_WHY_REFUSED;
        break;
    case MX_DO_STOP: later(EV_STOPPED, id, w.now_ms + rnd(STOP_MS)); break;
    case MX_DO_SEND_REST:
        CHECK(!p->body.is_running);
        e = later(EV_WHOLE, w.home.there, w.now_ms + 1 + rnd(300));
        e->other = id;
        e->value = p->body.version;
        e->order.move = p->holder.move;
        break;
    case MX_DO_RUN:
        CHECK(p->body.is_here && p->body.is_whole);
        if (p->body.is_going) /* who holds it hears of nothing else until it has gone */
            break;
        if (!p->body.is_running)
            start_work(id);
        p->body.is_running = true;
        break;
    case MX_DO_DROP: later(EV_DROPPED, id, w.now_ms + rnd(STOP_MS)); break;
    case MX_DO_REPORT:
        e = send_message(EV_REPORT, id, true);
        if (e)
            e->report = *report;
        break;
    }
}

static void place_step(uint32_t id, struct mx_holder_in in)
{
    struct place *p = &w.places[id];
    struct mx_holder_out out;
    if (!p->is_alive)
        return;
    in.now_ms = local(p->offset_ms, p->rate);
    mx_holder_step(&p->holder, &in, &out);
    for (unsigned i = 0; i < out.count; i++)
        act(id, out.actions[i], &out.report);
    if (out.wake_ms)
        tick_at(id, global(out.wake_ms, p->offset_ms, p->rate));
}

/* It stands still from now on, and what is lost of it on its way is lost. */
static void go_home(uint32_t id)
{
    struct place *p = &w.places[id];
    p->body.is_running = false;
    p->body.is_going = true;
    struct event *e = send_message(EV_BACK, id, true);
    if (e) {
        e->value = p->body.version;
        e->at_ms += rnd(rnd(2) ? 20 : 3000); /* as long as its memory takes */
        faulty_until(e->at_ms);
        return;
    }
    w.was_destroyed = true;
    if (p->is_alive)
        later(EV_MISS, id, w.now_ms + 1 + rnd(100))->value = MX_WHY_CUT;
}

static bool goes_home(uint32_t id)
{
    bool is_time = w.back_at_ms && w.now_ms >= w.back_at_ms && !w.came;
    return id != MX_HOME &&
           (is_time || (w.has_backs && w.now_ms < w.last_fault_ms && rnd(100) == 0)) &&
           w.places[id].holder.is != MX_IS_STOPPING;
}

static void work(uint32_t id)
{
    struct place *p = &w.places[id];
    if (!p->body.is_running)
        return;
    if (goes_home(id)) {
        go_home(id);
        return;
    }
    start_work(id);
    struct event *e = send_message(EV_CALL, id, true);
    p->calls++;
    if (e) {
        e->value = p->body.version + 1;
        e->other = p->calls;
    }
}

/* One pass over memory; the destination gets it if it can be reached from here. */
static void copy_round(uint32_t id, uint32_t to)
{
    struct place *p = &w.places[id];
    if (p->holder.is != MX_IS_COPYING)
        return;
    p->rounds++;
    if (!is_cut(id) && !is_cut(to))
        later(EV_ARRIVE, to, w.now_ms + 1 + rnd(20))->order.move = p->holder.move;
    later(EV_ROUND, id, w.now_ms + 5 + rnd(200))->other = to;
    if (!is_cut(id) && !is_cut(to))
        place_step(id, (struct mx_holder_in){ .what = MX_HOLD_ROUND,
                                              .left_ms = rnd(400 / p->rounds) });
}

static void image_whole(const struct event *e)
{
    struct place *to = &w.places[e->place];
    if (!to->is_alive || !to->body.is_here || to->body.is_whole || is_cut(e->place) ||
        is_cut(e->other))
        return;
    if (to->holder.move != e->order.move)
        return;
    if (w.has_faults && rnd(20) == 0) {
        place_step(e->place,
                   (struct mx_holder_in){ .what = MX_HOLD_FAILED, .why = MX_WHY_BAD_IMAGE });
        return;
    }
    to->body.is_whole = true;
    to->body.version = e->value;
    place_step(e->place, (struct mx_holder_in){ .what = MX_HOLD_WHOLE, .move = e->order.move });
}

static bool is_talking; /* a single seed is told event by event */

static void tell(const struct event *e)
{
    static const char *const names[] = {
        [EV_NONE] = "",
        [EV_ORDER] = "order",
        [EV_REPORT] = "report",
        [EV_CALL] = "call",
        [EV_REPLY] = "reply",
        [EV_WORK] = "work",
        [EV_TICK_HOME] = "tick home",
        [EV_TICK] = "tick",
        [EV_ROUND] = "round",
        [EV_ARRIVE] = "arrive",
        [EV_WHOLE] = "whole",
        [EV_STOPPED] = "stopped",
        [EV_DROPPED] = "dropped",
        [EV_MOVE] = "MOVE",
        [EV_CRASH] = "CRASH",
        [EV_HOME_CRASH] = "HOME CRASH",
        [EV_DEAD] = "dead",
        [EV_CUT] = "CUT",
        [EV_KILL] = "KILL",
        [EV_MISS] = "MISS",
        [EV_BACK] = "BACK",
        [EV_CLOSED] = "closed",
    };
    if (e->kind == EV_WORK || e->kind == EV_TICK || e->kind == EV_TICK_HOME ||
        e->kind == EV_CALL || e->kind == EV_REPLY)
        return;
    printf("[%6" PRId64 "] %u %s", w.now_ms, e->place, names[e->kind]);
    if (e->kind == EV_ORDER)
        printf(" %u %s move %u", e->order.number, mx_want_text(e->order.want), e->order.move);
    if (e->kind == EV_REPORT)
        printf(" %u obeyed %u %s move %u why %d", e->report.number, e->report.obeyed,
               mx_is_text(e->report.is), e->report.move, e->report.why);
    printf("  | home %s %u>%u\n", mx_phase_text(w.home.phase), w.home.here, w.home.there);
}

static void take(struct event *e)
{
    if (is_talking)
        tell(e);

    struct place *p = e->place < PLACES ? &w.places[e->place] : NULL;
    bool is_of_stream = e->kind == EV_ORDER || e->kind == EV_REPORT || e->kind == EV_CALL ||
                        e->kind == EV_REPLY || e->kind == EV_BACK || e->kind == EV_DEAD;
    if (p && is_of_stream && e->stream != p->stream)
        return;
    bool is_current = p && p->is_alive && e->life == p->life;
    switch (e->kind) {
    case EV_NONE: break;
    case EV_ORDER:
        place_step(e->place,
                   (struct mx_holder_in){ .what = MX_HOLD_ORDER, .order = &e->order });
        break;
    case EV_REPORT:
        home_step((struct mx_migrate_in){
            .what = MX_MIG_REPORT, .place = e->place, .report = &e->report });
        break;
    case EV_CALL: home_call(e->place, e->value, e->other); break;
    case EV_REPLY:
        if (is_current && p->body.is_here && p->body.version + 1 == e->value &&
            p->body.is_running)
            p->body.version++;
        break;
    case EV_WORK:
        if (is_current)
            work(e->place);
        break;
    case EV_TICK_HOME:
        if (w.tick_ms[PLACES] != e->at_ms)
            break;
        home_step((struct mx_migrate_in){ .what = MX_MIG_TICK });
        break;
    case EV_TICK:
        if (w.tick_ms[e->place] == e->at_ms)
            place_step(e->place, (struct mx_holder_in){ .what = MX_HOLD_TICK });
        break;
    case EV_ROUND:
        if (is_current)
            copy_round(e->place, e->other);
        break;
    case EV_ARRIVE:
        place_step(e->place,
                   (struct mx_holder_in){ .what = MX_HOLD_ARRIVING, .move = e->order.move });
        break;
    case EV_WHOLE: image_whole(e); break;
    case EV_STOPPED:
        if (!is_current || p->holder.is != MX_IS_STOPPING || p->body.is_going)
            break;
        p->body.is_running = false;
        place_step(e->place, (struct mx_holder_in){ .what = MX_HOLD_STOPPED });
        break;
    case EV_DROPPED:
        if (!is_current)
            break;
        p->body = (struct body){ 0 };
        p->life++;
        place_step(e->place, (struct mx_holder_in){ .what = MX_HOLD_DROPPED });
        break;
    case EV_MISS:
        if (is_current)
            place_step(e->place, (struct mx_holder_in){ .what = MX_HOLD_FAILED,
                                                        .why = (enum mx_why)e->value });
        break;
    case EV_BACK:
        if (!is_current)
            break;
        if (w.is_home_alive && !w.is_over && !mx_migrate_serves(&w.home, e->place))
            later(EV_BACK, e->place, w.now_ms + 10)->value = e->value; /* not yet its turn */
        else
            home_back(e->place, e->value);
        break;
    case EV_CLOSED:
        if (!p->is_closing || !p->is_alive)
            break;
        p->is_closing = false;
        p->body = (struct body){ 0 };
        p->life++;
        p->calls = p->calls_seen = 0;
        mx_holder_init(&p->holder, false, false);
        break;
    case EV_MOVE:
        if (p->is_closing)
            break;
        home_step((struct mx_migrate_in){ .what = MX_MIG_MOVE, .place = e->place });
        break;
    case EV_CRASH: crash(e->place); break;
    case EV_HOME_CRASH: crash(MX_HOME); break;
    case EV_DEAD:
        home_step((struct mx_migrate_in){ .what = MX_MIG_DEAD, .place = e->place });
        break;
    case EV_CUT:
        if (e->value)
            cut(e->place, (int64_t)e->value);
        else
            home_step((struct mx_migrate_in){ .what = MX_MIG_CUT, .place = e->place });
        break;
    case EV_KILL: home_step((struct mx_migrate_in){ .what = MX_MIG_KILLED }); break;
    }
}

/* ---- what must hold ---- */

static void check_all(void)
{
    unsigned running = 0;
    bool is_kept = false;
    for (unsigned i = 0; i < PLACES; i++) {
        const struct body *b = &w.places[i].body;
        running += b->is_running;
        /* An answer may be on its way: then it will be given once more. */
        is_kept |= b->is_here && b->is_whole && b->version + 1 >= w.served;
    }
    CHECK(running <= 1);
    if (w.is_home_alive && !w.is_over)
        CHECK(is_kept || w.was_destroyed);
    int64_t end_ms = w.is_over ? w.over_ms : w.home_died_ms;
    int64_t grace_ms = MX_LEASE_MS + MX_LEASE_SLACK_MS + STOP_MS;
    if ((w.is_over || !w.is_home_alive) && w.now_ms > end_ms + grace_ms)
        CHECK(running == 0);
}

static void check_end(void)
{
    unsigned copies = 0, running = 0;
    for (unsigned i = 0; i < PLACES; i++) {
        copies += w.places[i].body.is_here;
        running += w.places[i].body.is_running;
    }
    sum.moved += w.moved;
    sum.failed += w.failed;
    sum.came += w.came;
    sum.lost_home += !w.is_home_alive;
    if (w.is_over)
        sum.ended[w.over_why]++;
    if (w.is_over || !w.is_home_alive) {
        CHECK(copies == 0);
        return;
    }
    CHECK(w.home.phase == MX_SETTLED);
    CHECK(running == 1 && copies == 1 && w.places[w.home.here].body.is_running);
    CHECK(w.served > w.served_before);
}

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->born < b->born;
}

/* Nothing but beats will come: the job is where it stays, or has ended, and nobody else has
 * anything of it. */
static bool is_quiet(void)
{
    unsigned copies = 0;
    for (unsigned i = 0; i < PLACES; i++)
        if (w.places[i].is_alive)
            copies += w.places[i].body.is_here ||
                      w.places[i].holder.is !=
                          (w.places[i].body.is_here ? MX_IS_RUNNING : MX_IS_NONE);
    if (w.is_over || !w.is_home_alive)
        return copies == 0;
    return w.home.phase == MX_SETTLED && copies == 1 && w.places[w.home.here].body.is_running;
}

static struct event next_event(void)
{
    unsigned first = 0;
    for (unsigned i = 1; i < w.event_count; i++)
        if (is_before(&w.events[i], &w.events[first]))
            first = i;
    struct event e = w.events[first];
    w.events[first] = w.events[--w.event_count];
    return e;
}

/* Until last_ms and the last fault, then until all is quiet, then a little longer: it must get
 * on. */
static void run(int64_t last_ms)
{
    w.last_fault_ms = last_ms;
    int64_t quiet_ms = 0;
    while (w.event_count) {
        struct event e = next_event();
        w.now_ms = e.at_ms;
        if (w.now_ms <= w.last_fault_ms) {
            quiet_ms = 0;
        } else {
            w.loss_percent = 0;
            CHECK(w.now_ms < w.last_fault_ms + CALM_MS || quiet_ms);
            if (quiet_ms <= w.last_fault_ms)
                quiet_ms = 0;
            if (!quiet_ms && is_quiet()) {
                quiet_ms = w.now_ms;
                w.served_before = w.served;
            }
            if (quiet_ms && w.now_ms > quiet_ms + 2000)
                break;
        }
        take(&e);
        check_all();
        CHECK(++w.steps < 400000);
    }
    check_end();
    sum.runs++;
}

static void begin(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.seed = seed;
    w.rng = seed * 0x9e3779b97f4a7c15ull + 1;
    w.is_home_alive = true;
    w.home_offset_ms = 1 + rnd(1000000);
    w.home_rate = 980000 + rnd(40000);
    mx_migrate_init(&w.home, local(w.home_offset_ms, w.home_rate));
    for (unsigned i = 0; i < PLACES; i++) {
        struct place *p = &w.places[i];
        p->is_alive = true;
        p->offset_ms = i ? 1 + rnd(1000000) : w.home_offset_ms;
        p->rate = i ? 980000 + rnd(40000) : w.home_rate;
        mx_holder_init(&p->holder, i == MX_HOME, i == MX_HOME);
    }
    w.places[MX_HOME].body =
        (struct body){ .is_here = true, .is_running = true, .is_whole = true };
    start_work(MX_HOME);
}

/* Moves and faults at random. */
static void run_seed(uint64_t seed)
{
    begin(seed);
    w.has_faults = seed % 8 != 0;
    w.has_backs = seed % 2;
    unsigned moves = 1 + rnd(6);
    int64_t at_ms = 0;
    for (unsigned i = 0; i < moves; i++)
        later(EV_MOVE, rnd(PLACES),
              at_ms += 100 + rnd(w.has_faults ? 8000 : 4000) + (w.has_faults ? 0 : 6000));
    if (w.has_faults) {
        w.loss_percent = rnd(3) ? 0 : rnd(30);
        for (unsigned i = rnd(4); i > 0; i--)
            later(EV_CUT, 1 + rnd(PLACES - 1), rnd((uint32_t)at_ms + 3000))->value =
                100 + rnd(rnd(3) ? 5000 : 2 * MX_PATIENCE_MS);
        if (rnd(5) == 0)
            later(EV_CRASH, 1 + rnd(PLACES - 1), rnd((uint32_t)at_ms + 3000));
        if (rnd(16) == 0)
            later(EV_HOME_CRASH, MX_HOME, rnd((uint32_t)at_ms + 3000));
        if (rnd(16) == 0)
            later(EV_KILL, MX_HOME, rnd((uint32_t)at_ms + 3000));
        for (unsigned i = 0; i < PLACES; i++) {
            w.places[i].is_failing_build = rnd(10) == 0;
            w.places[i].is_failing_copy = rnd(10) == 0;
        }
    }
    run(at_ms + 5000);
    if (!w.has_faults)
        CHECK((w.failed == 0 || w.came) && !w.is_over);
}

/* Home to 1; then, if from is not the home, to where the move under test begins; then that
 * move, with its fault. */
static unsigned run_fault(uint32_t from, uint32_t to, int fault, unsigned at, int64_t back_ms)
{
    begin(at * 31u + (unsigned)fault);
    w.from = from;
    w.to = to;
    int64_t at_ms = 100;
    if (from != MX_HOME)
        later(EV_MOVE, from, 10);
    if (from != MX_HOME)
        at_ms = 4000;
    w.fault = fault;
    w.fault_at = at;
    if (to != from)
        later(EV_MOVE, to, at_ms);
    if (back_ms)
        w.back_at_ms = at_ms + back_ms;
    run(at_ms + 4000);
    if (fault == FAULT_NONE && !back_ms)
        CHECK(w.moved == (from == MX_HOME ? 1 : 2) && w.failed == 0 && !w.is_over);
    if (fault == FAULT_NONE && back_ms)
        CHECK(w.came == 1 && w.home.here == MX_HOME && !w.is_over);
    return w.messages;
}

static void run_faults(void)
{
    static const uint32_t moves[][2] = { { MX_HOME, 1 }, { 1, MX_HOME }, { 1, 2 } };
    for (unsigned k = 0; k < ARRAY_LEN(moves); k++) {
        run_fault(moves[k][0], moves[k][1], FAULT_NONE, 0, 0);
        /* The messages until some time after the move. */
        unsigned end = 300;
        for (int fault = FAULT_LOSE; fault < FAULTS; fault++)
            for (unsigned at = 0; at < end; at++)
                run_fault(moves[k][0], moves[k][1], fault, at, 0);
    }
    /* It goes home by itself, when nothing else happens and in the middle of a move. */
    for (int64_t back_ms = 1; back_ms < 1000; back_ms += 90)
        for (uint32_t to = 1; to <= 2; to++) {
            run_fault(1, to, FAULT_NONE, 0, back_ms);
            for (int fault = FAULT_LOSE; fault < FAULTS; fault++)
                for (unsigned at = 0; at < 100; at += 3)
                    run_fault(1, to, fault, at, back_ms);
        }
}

int main(int argc, char **argv)
{
    uint64_t first = 1, count = SEEDS;
    if (argc == 2) {
        is_talking = true;
        run_seed(strtoull(argv[1], NULL, 10));
        printf("%s here %u, %u moved, %u failed\n", mx_phase_text(w.home.phase), w.home.here,
               w.moved, w.failed);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "-n") == 0)
        count = strtoull(argv[2], NULL, 10);
    run_faults();
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed);
    printf("%lu runs: %lu moves succeeded, %lu failed; %lu came home by themselves; homes lost "
           "%lu; jobs ended:",
           sum.runs, sum.moved, sum.failed, sum.came, sum.lost_home);
    for (int why = 1; why < MX_WHYS; why++)
        printf(" %lu (%s)", sum.ended[why], mx_why_text((enum mx_why)why));
    printf("\n");
    /* The runs have seen what they are for. */
    if (!sum.moved || !sum.failed || !sum.came || !sum.lost_home || !sum.ended[MX_WHY_SILENT] ||
        !sum.ended[MX_WHY_DIED]) {
        fprintf(stderr, "migrate_sim: some outcomes never happened\n");
        return 1;
    }
    return 0;
}
