/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cluster_figures.c: what a cluster of many nodes reaches in simulation, against bounds: ages
 * on the board, bytes, how soon a crash is known, false deaths, healing of a partition. Usage:
 * cluster_figures            the small ones (make check) cluster_figures -a         all (make
 * soak) cluster_figures NAME SEED  one of them cluster_figures -l         their names Prints a
 * line for each value: name, value, bound, and whether it holds; exit status 1 if one does not.
 * Source of the bounds: docs/gossip.md; the law: "Formulae" there. */
#include "tests/sim/cluster.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECOND = 1000000 };

struct figure {
    const char *name;
    bool is_small;
    unsigned count, clusters, window, period_ms, descriptor_max;
    unsigned loss;  /* of a million */
    double seconds; /* of virtual time that is measured; of crashes: how many */
    void (*run)(const struct figure *f, uint64_t seed);
    double bounds[4];
};

static int bad;

/* A bound: 0 is none at all, the value is for information; below 0: the value must be 0. */
enum { NONE = -1 };

static void say(const struct figure *f, const char *what, double value, double bound,
                const char *unit)
{
    bool is_well = bound < 0 ? value == 0 : bound == 0 || value <= bound;
    printf("%-14s %-34s %10.3f", f->name, what, value);
    if (bound > 0)
        printf("  <= %-8g", bound);
    else
        printf("  %-11s", bound < 0 ? "none" : "");
    printf(" %s%s\n", unit, is_well ? "" : "   NOT REACHED");
    fflush(stdout);
    bad += !is_well;
}

/* The first of the nodes, up to end, run and know each other. */
static void begin_some(struct cluster *c, const struct figure *f, uint64_t seed, unsigned end)
{
    struct cluster_opts o = { .seed = seed,
                              .count = f->count,
                              .clusters = f->clusters,
                              .period_ms = (uint16_t)f->period_ms,
                              .window = (uint16_t)f->window,
                              .descriptor_max = (uint8_t)f->descriptor_max,
                              .is_quiet = true };
    cluster_init(c, &o);
    for (unsigned i = 0; i < c->count; i++)
        c->w.nodes[i].offset_us = (int64_t)rng_below(&c->w.rng, 1000) * 1000 * 1000;
    for (unsigned i = 0; i < end; i++)
        cluster_start(c, i);
    for (unsigned i = 0; i < end; i++)
        for (unsigned k = 0; k < end; k++)
            if (k != i)
                cluster_know(c, i, k, true);
    c->w.net.loss = f->loss;
}

static void begin(struct cluster *c, const struct figure *f, uint64_t seed)
{
    begin_some(c, f, seed, f->count);
}

/* ---- ages ---- */

/* Average age in periods. Source: docs/gossip.md, "Formulae". */
static double law(double n, double w, double loss)
{
    double age = (n / w - 1 + log(w)) / 2 + 0.5;
    return age * 2 / ((1 - loss) + (1 - loss) * (1 - loss));
}

struct ages {
    uint64_t *counts; /* by 10 ms */
    double sum, worst;
    uint64_t all, worst_count;
};

enum { AGES = 60000 };

static void age_add(struct ages *a, uint64_t us)
{
    a->sum += (double)us;
    a->all++;
    a->counts[us / 10000 < AGES ? us / 10000 : AGES - 1]++;
}

static double age_at(const struct ages *a, double share)
{
    uint64_t left = (uint64_t)((double)a->all * share);
    for (unsigned i = 0; i < AGES; i++) {
        if (a->counts[i] > left)
            return (i + 1) * 0.01;
        left -= a->counts[i];
    }
    return AGES * 0.01;
}

/* Of nodes of the own cluster and of others. */
static void sample(const struct cluster *c, struct ages *own, struct ages *others)
{
    unsigned every = c->count > 2000 ? 37 : 1;
    for (unsigned i = c->w.now_us % every; i < c->count; i += every) {
        uint64_t worst = 0;
        for (unsigned k = 0; k < c->count; k++) {
            if (k == i)
                continue;
            bool is_own = cluster_of(c, i) == cluster_of(c, k);
            uint64_t us =
                c->nodes[i].peers[k].has_entry ? cluster_age_us(c, i, k) : c->w.now_us;
            age_add(is_own ? own : others, us);
            if (is_own && us > worst)
                worst = us;
        }
        own->worst += (double)worst;
        own->worst_count++;
    }
}

static void run_ages(const struct figure *f, uint64_t seed)
{
    struct cluster c;
    struct ages own = { .counts = calloc(AGES, 8) }, others = { .counts = calloc(AGES, 8) };
    begin(&c, f, seed);
    double n = (double)f->count, D = f->period_ms / 1000.0;
    double share = f->clusters > 1 ? f->window / 2.0 : f->window;
    /* Until the oldest entries are as old as they get; what other clusters say comes slowly. */
    double own_n = n / f->clusters;
    double settle = D / 2 * (log(share) + own_n / share * log(100 * own_n));
    if (f->clusters > 1 && settle < 80)
        settle = 80;
    cluster_run(&c, (uint64_t)(settle * SECOND));
    uint64_t bytes = c.w.counts.bytes;
    unsigned samples = 20;
    for (unsigned i = 0; i < samples; i++) {
        cluster_run(&c, (uint64_t)(f->seconds / samples * SECOND) + rng_below(&c.w.rng, 1000));
        sample(&c, &own, &others);
    }
    double average = own.sum / (double)own.all / SECOND;
    say(f, "average age", average, f->bounds[0], "s");
    say(f, "99th percentile of age", age_at(&own, 0.99), f->bounds[1], "s");
    say(f, "mean of the worst age", own.worst / (double)own.worst_count / SECOND, 0, "s");
    say(f, "bytes per node and second", (double)(c.w.counts.bytes - bytes) / f->seconds / n,
        f->bounds[2], "B/s");
    if (f->clusters > 1) {
        say(f, "average age, other clusters, by then", others.sum / (double)others.all / SECOND,
            0, "s");
    } else {
        double expected = law(n, f->window, f->loss / 1e6) * D;
        say(f, "away from the law", 100 * fabs(average / expected - 1), f->bounds[3], "%");
    }
    free(own.counts);
    free(others.counts);
    cluster_fini(&c);
}

/* ---- crashes ---- */

/* What the observers know of what happens, and when they came to know it. */
struct watch {
    const struct figure *f;
    uint64_t *suspected_us,
        *dead_us; /* [subject * count + observer]: first time since the crash; 0: not yet */
    uint64_t *crashed_us; /* [subject]; 0: it lives */
    uint64_t false_deaths, false_suspicions;
    bool is_spared; /* pauses are no death */
};

static void on_change(struct cluster *c, unsigned node, const struct gsp_change *what)
{
    struct watch *s = c->ctx;
    size_t at = (size_t)what->node * c->count + node;
    if (!s->crashed_us[what->node]) {
        s->false_suspicions += what->state == GSP_SUSPECT;
        s->false_deaths += what->state == GSP_DEAD;
        return;
    }
    if (what->state == GSP_SUSPECT && !s->suspected_us[at])
        s->suspected_us[at] = c->w.now_us;
    if (what->state == GSP_DEAD && !s->dead_us[at])
        s->dead_us[at] = c->w.now_us;
}

static void watch_begin(struct watch *s, struct cluster *c, const struct figure *f)
{
    size_t all = (size_t)f->count * f->count;
    *s = (struct watch){ .f = f,
                         .suspected_us = calloc(all, 8),
                         .dead_us = calloc(all, 8),
                         .crashed_us = calloc(f->count, 8) };
    c->on_change = on_change;
    c->ctx = s;
}

static void watch_end(struct watch *s)
{
    free(s->suspected_us);
    free(s->dead_us);
    free(s->crashed_us);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

struct values {
    double *at;
    size_t count;
};

static void value_add(struct values *v, double x)
{
    if ((v->count & (v->count - 1)) == 0)
        v->at = realloc(v->at, (v->count ? 2 * v->count : 1) * sizeof *v->at);
    if (!v->at)
        exit(99);
    v->at[v->count++] = x;
}

/* The value that share of them do not exceed. */
static double value_at(struct values *v, double share)
{
    qsort(v->at, v->count, sizeof *v->at, compare);
    size_t at = (size_t)ceil(share * (double)v->count);
    return v->count ? v->at[at ? at - 1 : 0] : 1e9;
}

/* For each crash: when each observer that lives to the end knew, and when the last of them did.
 */
static void crash_values(const struct watch *s, const struct cluster *c,
                         const uint64_t *known_us, struct values *each, struct values *last,
                         struct values *first)
{
    for (unsigned node = 0; node < c->count; node++) {
        double worst = 0, best = 1e9;
        if (!s->crashed_us[node])
            continue;
        for (unsigned by = 0; by < c->count; by++) {
            uint64_t us = known_us[(size_t)node * c->count + by];
            if (s->crashed_us[by])
                continue;
            double t = us ? (double)(us - s->crashed_us[node]) / SECOND : 1e9;
            value_add(each, t);
            worst = t > worst ? t : worst;
            best = t < best ? t : best;
        }
        value_add(last, worst);
        value_add(first, best);
    }
}

static void say_values(const struct figure *f, const struct watch *s, const struct cluster *c,
                       const uint64_t *known_us, const char *state, double bound)
{
    struct values each = { 0 }, last = { 0 }, first = { 0 };
    char what[80];
    crash_values(s, c, known_us, &each, &last, &first);
    snprintf(what, sizeof what, "%s: first, median", state);
    say(f, what, value_at(&first, 0.5), 0, "s");
    snprintf(what, sizeof what, "%s: any node, 99th percentile", state);
    say(f, what, value_at(&each, 0.99), 0, "s");
    snprintf(what, sizeof what, "%s: all nodes, median", state);
    say(f, what, value_at(&last, 0.5), 0, "s");
    /* Of few crashes the 99th percentile is the worst of them, which says little. */
    unsigned percent = last.count >= 100 ? 99 : 90;
    snprintf(what, sizeof what, "%s: all nodes, %uth percentile", state, percent);
    say(f, what, value_at(&last, percent / 100.0), bound, "s");
    free(each.at);
    free(last.at);
    free(first.at);
}

/* f->seconds: how many nodes crash; apart_ms: one after another, on average. bounds: SUSPECT,
 * DEAD, false deaths. */
static void crashes(const struct figure *f, uint64_t seed, uint32_t apart_ms)
{
    struct cluster c;
    struct watch s;
    begin(&c, f, seed);
    watch_begin(&s, &c, f);
    cluster_run(&c, 5 * SECOND);
    for (unsigned i = 0; i < (unsigned)f->seconds; i++) {
        unsigned node = rng_below(&c.w.rng, c.count);
        while (s.crashed_us[node])
            node = rng_below(&c.w.rng, c.count);
        cluster_run(&c, rng_below(&c.w.rng, 2 * 1000 * apart_ms));
        world_crash(&c.w, node);
        s.crashed_us[node] = c.w.now_us;
    }
    cluster_run(&c, 20 * SECOND);
    say_values(f, &s, &c, s.suspected_us, "suspected", f->bounds[0]);
    say_values(f, &s, &c, s.dead_us, "dead", f->bounds[1]);
    say(f, "false deaths", (double)s.false_deaths, f->bounds[2], "");
    say(f, "bytes per node and second",
        (double)c.w.counts.bytes / ((double)c.w.now_us / SECOND - 1) / f->count, 0, "B/s");
    watch_end(&s);
    cluster_fini(&c);
}

/* One in two seconds. */
static void run_crashes(const struct figure *f, uint64_t seed)
{
    crashes(f, seed, 2000);
}

/* Two a second: accusations wait for room in datagrams. */
static void run_many_crashes(const struct figure *f, uint64_t seed)
{
    crashes(f, seed, 500);
}

/* ---- false deaths ---- */

enum thing { DO_PAUSE };

/* One in twenty nodes stands still for three seconds, over and over. */
static void on_thing(struct cluster *c, unsigned kind, unsigned node, uint64_t value)
{
    (void)kind;
    world_pause(&c->w, node, value);
    world_later(&c->w, c->w.now_us + value + 500000 + rng_below(&c->w.rng, 10 * SECOND),
                DO_PAUSE, node, value);
}

/* f->seconds of virtual time. bounds: false deaths in all; of pauses: seconds of one. */
static void run_false_deaths(const struct figure *f, uint64_t seed)
{
    struct cluster c;
    struct watch s;
    begin(&c, f, seed);
    watch_begin(&s, &c, f);
    c.on_thing = on_thing;
    if (f->bounds[1] > 0)
        for (unsigned i = 0; i < c.count / 20; i++)
            world_later(&c.w, c.w.now_us + rng_below(&c.w.rng, 5 * SECOND), DO_PAUSE, i * 20,
                        (uint64_t)(f->bounds[1] * SECOND));
    cluster_run(&c, (uint64_t)(f->seconds * SECOND));
    double hours = f->seconds * f->count / 3600;
    say(f, "node-hours", hours, 0, "h");
    say(f, "false suspicions per node-hour, anywhere",
        (double)s.false_suspicions / c.count / hours, 0, "");
    say(f, "false deaths", (double)s.false_deaths, f->bounds[0], "");
    say(f, "bytes per node and second", (double)c.w.counts.bytes / f->seconds / c.count, 0,
        "B/s");
    watch_end(&s);
    cluster_fini(&c);
}

/* ---- a partition ---- */

static bool is_whole(const struct cluster *c)
{
    for (unsigned i = 0; i < c->count; i++)
        for (unsigned k = 0; k < c->count; k++)
            if (k != i && (c->nodes[i].peers[k].state != GSP_ALIVE ||
                           c->nodes[i].peers[k].incarnation != c->nodes[k].incarnation))
                return false;
    return true;
}

/* f->seconds: how long the halves are apart. bounds: seconds until all are alive for all; until
 * all entries are young. */
static void run_heal(const struct figure *f, uint64_t seed)
{
    struct cluster c;
    uint64_t apart = 0, dead = 0;
    begin(&c, f, seed);
    cluster_run(&c, 5 * SECOND);
    for (unsigned i = 0; i < c.count; i++)
        c.w.nodes[i].group = i % 2;
    cluster_run(&c, (uint64_t)(f->seconds * SECOND));
    for (unsigned i = 0; i < c.count; i++)
        for (unsigned k = 0; k < c.count; k++) {
            apart += i % 2 != k % 2;
            dead += i % 2 != k % 2 && c.nodes[i].peers[k].state == GSP_DEAD;
        }
    say(f, "of the other half dead, before", 100.0 * (double)dead / (double)apart, 0, "%");
    world_heal(&c.w);
    uint64_t healed_us = c.w.now_us, bytes = c.w.counts.bytes;
    while (!is_whole(&c) && c.w.now_us < healed_us + 300ull * SECOND)
        cluster_run(&c, SECOND / 4);
    double seconds = (double)(c.w.now_us - healed_us) / SECOND;
    say(f, "whole again", seconds, f->bounds[0], "s");
    say(f, "bytes per node and second", (double)(c.w.counts.bytes - bytes) / seconds / c.count,
        0, "B/s");
    cluster_fini(&c);
}

/* ---- a newcomer ---- */

static bool is_known(const struct cluster *c, unsigned node)
{
    for (unsigned i = 0; i < c->count; i++)
        if (i != node && (c->nodes[i].peers[node].state != GSP_ALIVE ||
                          !c->nodes[i].peers[node].descriptor_number))
            return false;
    return true;
}

static bool knows_all(const struct cluster *c, unsigned node)
{
    for (unsigned i = 0; i < c->count; i++)
        if (i != node && (c->nodes[node].peers[i].state != GSP_ALIVE ||
                          !c->nodes[node].peers[i].descriptor_number))
            return false;
    return true;
}

/* The last node comes and knows one other. bounds: seconds until all know it; until it knows
 * all; bytes per second of the node that sends most meanwhile. */
static void run_join(const struct figure *f, uint64_t seed)
{
    struct cluster c;
    unsigned new = f->count - 1;
    double known = -1, all = -1;
    begin_some(&c, f, seed, new);
    for (unsigned i = 0; i < new; i++)
        cluster_describe(&c, i);
    cluster_run(&c, (uint64_t)(f->seconds * SECOND));
    uint64_t *sent = calloc(c.count, sizeof *sent), start_us = c.w.now_us, most = 0;
    if (!sent)
        exit(99);
    for (unsigned i = 0; i < new; i++)
        sent[i] = c.nodes[i].counts.bytes;
    c.opts.is_quiet = false;
    cluster_start(&c, new);
    cluster_know(&c, new, 0, false);
    cluster_describe(&c, new);
    for (double t = 0; (known < 0 || all < 0) && t < 300; t += 0.1) {
        cluster_run(&c, SECOND / 10);
        if (known < 0 && is_known(&c, new))
            known = t;
        if (all < 0 && knows_all(&c, new))
            all = t;
    }
    double seconds = (double)(c.w.now_us - start_us) / SECOND;
    for (unsigned i = 0; i < c.count; i++)
        most =
            c.nodes[i].counts.bytes - sent[i] > most ? c.nodes[i].counts.bytes - sent[i] : most;
    say(f, "all know it after", known < 0 ? 1e9 : known, f->bounds[0], "s");
    say(f, "it knows all after", all < 0 ? 1e9 : all, f->bounds[1], "s");
    say(f, "bytes per second, of who sends most", (double)most / seconds, f->bounds[2], "B/s");
    free(sent);
    cluster_fini(&c);
}

/* clang-format off */
/* name, small, nodes, clusters, window, period, descriptor, loss, seconds or crashes, what, bounds */
static const struct figure figures[] = {
    { "age-100", true, 100, 1, 32, 245, 0, 0, 60, run_ages, { 0 } },
    { "age-300", true, 300, 1, 32, 245, 0, 0, 30, run_ages, { 0, 0, 0, 2 } },
    { "crash-100", true, 100, 1, 16, 245, 0, 0, 20, run_crashes, { 2.2, 6, NONE } },
    { "heal-100", true, 100, 1, 16, 245, 0, 0, 30, run_heal, { 60 } },
    { "pauses-100", true, 100, 1, 16, 245, 0, 0, 60, run_false_deaths, { NONE, 3 } },
    { "loss5-100", true, 100, 1, 16, 245, 0, 50000, 60, run_false_deaths, { NONE } },
    { "join-100", true, 100, 1, 16, 245, 200, 0, 30, run_join, { 2, 20 } },
    { "join-1000", false, 1000, 1, 64, 245, 200, 0, 60, run_join, { 5, 60 } },
    { "age-1000", false, 1000, 1, 64, 245, 0, 0, 60, run_ages, { 2.5, 10, 9500, 2 } },
    { "age-1000-loss", false, 1000, 1, 64, 245, 0, 200000, 60, run_ages, { 0 } },
    { "age-10000", false, 10000, 1, 80, 160, 0, 0, 30, run_ages, { 10.5, 0, 17500, 2 } },
    { "age-10x1000", false, 10000, 10, 64, 245, 0, 0, 20, run_ages, { 5, 0, 9500 } },
    { "crash-1000", false, 1000, 1, 64, 245, 0, 0, 100, run_crashes, { 2.5, 7, NONE } },
    { "crash-10000", false, 10000, 1, 80, 160, 0, 0, 100, run_many_crashes, { 2.5, 7.5, NONE } },
    { "crash-loss20", false, 1000, 1, 64, 245, 0, 200000, 100, run_crashes, { 0 } },
    { "heal-1000", false, 1000, 1, 64, 245, 0, 0, 60, run_heal, { 60 } },
    { "heal-10x100", false, 1000, 10, 64, 245, 0, 0, 60, run_heal, { 60 } },
    { "pauses-1000", false, 1000, 1, 8, 245, 0, 0, 600, run_false_deaths, { NONE, 3 } },
    { "loss5-1000", false, 1000, 1, 8, 245, 0, 50000, 9000, run_false_deaths, { NONE } },
    { "loss20-1000", false, 1000, 1, 8, 245, 0, 200000, 3600, run_false_deaths, { 1 } },
};
/* clang-format on */

static void run(const struct figure *f, uint64_t seed)
{
    f->run(f, seed);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    bool is_known = false;
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        const struct figure *f = &figures[i];
        if (strcmp(name, "-l") == 0) {
            puts(f->name);
            is_known = true;
        } else if (*name ? strcmp(name, "-a") == 0 || strcmp(name, f->name) == 0
                         : f->is_small) {
            run(f, argc > 2 ? strtoull(argv[2], NULL, 0) : 1);
            is_known = true;
        }
    }
    if (!is_known)
        fprintf(stderr, "cluster_figures: no figure %s\n", name);
    return bad || !is_known;
}
