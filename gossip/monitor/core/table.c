/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table.c: sums and orders of nodes.
 * Must not know: where they come from, how they are shown. */
#include "gossip/monitor/core/table.h"

#include <string.h>

const char *const mon_state_names[MON_STATES] = { "alive", "suspect", "dead", "left",
                                                  "unknown" };
const char *const mon_sort_names[MON_SORTS] = { "number", "name", "load", "memory",
                                                "guests", "age",  "state" };

static void add(int64_t *sum, int64_t figure)
{
    if (figure > 0 && *sum < INT64_MAX - figure)
        *sum += figure;
}

int64_t mon_memory_used_pct(const struct mon_node *n)
{
    int64_t all = n->figures[MON_memory_mb], free_mb = n->figures[MON_memory_free_mb];
    if (all <= 0 || free_mb < 0)
        return MON_UNKNOWN;
    return free_mb >= all ? 0 : (int64_t)((double)(all - free_mb) * 100 / (double)all + 0.5);
}

int64_t mon_swap_used_mb(const struct mon_node *n)
{
    int64_t all = n->figures[MON_swap_mb], pct = n->figures[MON_swap_used_pct];
    if (all < 0 || pct < 0)
        return MON_UNKNOWN;
    pct = pct < 100 ? pct : 100;
    return all / 100 * pct + all % 100 * pct / 100;
}

void mon_totals(const struct mon_table *t, int cluster, struct mon_totals *out)
{
    double load = 0, raw = 0, load_cores = 0, raw_cores = 0;
    *out = (struct mon_totals){ .oldest_ms = MON_UNKNOWN };
    for (size_t i = 0; i < t->count; i++) {
        const struct mon_node *n = &t->nodes[i];
        const int64_t *f = n->figures;
        if (cluster != MON_ALL_CLUSTERS && n->cluster != cluster)
            continue;
        out->nodes++;
        out->states[n->state]++;
        if (n->state != MON_ALIVE && n->state != MON_SUSPECT)
            continue;
        double cores = f[MON_cores] > 0 ? (double)f[MON_cores] : 1;
        out->with_figures += f[MON_load_centi] >= 0;
        add(&out->cores, f[MON_cores]);
        add(&out->memory_mb, f[MON_memory_mb]);
        add(&out->memory_free_mb, f[MON_memory_free_mb]);
        add(&out->swap_mb, f[MON_swap_mb]);
        add(&out->swap_used_mb, mon_swap_used_mb(n));
        add(&out->guests, f[MON_guests]);
        add(&out->frozen, f[MON_frozen]);
        if (f[MON_load_centi] >= 0) {
            load += (double)f[MON_load_centi] * cores;
            load_cores += cores;
        }
        if (f[MON_load_raw_centi] >= 0) {
            raw += (double)f[MON_load_raw_centi] * cores;
            raw_cores += cores;
        }
        if (f[MON_age_ms] > out->oldest_ms)
            out->oldest_ms = f[MON_age_ms];
    }
    out->load_centi = load_cores > 0 ? (int64_t)(load / load_cores + 0.5) : MON_UNKNOWN;
    out->load_raw_centi = raw_cores > 0 ? (int64_t)(raw / raw_cores + 0.5) : MON_UNKNOWN;
}

void mon_count_states(struct mon_table *t)
{
    for (size_t i = 0; i < t->cluster_count; i++)
        memset(t->clusters[i].states, 0, sizeof t->clusters[i].states);
    for (size_t i = 0; i < t->count; i++)
        t->clusters[t->nodes[i].cluster].states[t->nodes[i].state]++;
}

/* ---- choosing ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool has_part(const char *words, const char *part)
{
    for (; *words; words++) {
        size_t i = 0;
        while (part[i] && lower(words[i]) == lower(part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return !*part;
}

static bool is_chosen(const struct mon_node *n, const struct mon_choice *c)
{
    if (c->cluster != MON_ALL_CLUSTERS && n->cluster != c->cluster)
        return false;
    if (!c->with_dead && n->state != MON_ALIVE && n->state != MON_SUSPECT)
        return false;
    return !c->find || has_part(n->name, c->find) || has_part(n->address, c->find);
}

/* Names with numbers in the order that people expect: n2 before n10. */
static int name_order(const char *a, const char *b)
{
    while (*a && *b) {
        bool a_digit = *a >= '0' && *a <= '9', b_digit = *b >= '0' && *b <= '9';
        if (a_digit && b_digit) {
            const char *a_first, *b_first;
            for (; *a == '0'; a++)
                ;
            for (; *b == '0'; b++)
                ;
            for (a_first = a; *a >= '0' && *a <= '9'; a++)
                ;
            for (b_first = b; *b >= '0' && *b <= '9'; b++)
                ;
            if (a - a_first != b - b_first)
                return a - a_first < b - b_first ? -1 : 1;
            int order = memcmp(a_first, b_first, (size_t)(a - a_first));
            if (order)
                return order;
            continue;
        }
        if (lower(*a) != lower(*b))
            return lower(*a) < lower(*b) ? -1 : 1;
        a++;
        b++;
    }
    return *a ? 1 : *b ? -1 : 0;
}

/* What is sorted downwards by. */
static int64_t rank(const struct mon_node *n, enum mon_sort sort)
{
    static const uint8_t trouble[MON_STATES] = {
        [MON_ALIVE] = 0, [MON_SUSPECT] = 4, [MON_DEAD] = 3, [MON_NEVER] = 2, [MON_LEFT] = 1
    };
    switch (sort) {
    case MON_BY_LOAD: return n->figures[MON_load_centi];
    case MON_BY_MEMORY: return mon_memory_used_pct(n);
    case MON_BY_GUESTS: return n->figures[MON_guests];
    case MON_BY_AGE: return n->figures[MON_age_ms];
    case MON_BY_STATE: return trouble[n->state];
    case MON_BY_NUMBER:
    case MON_BY_NAME:
    case MON_SORTS: break;
    }
    return 0;
}

static bool is_before(const struct mon_node *a, const struct mon_node *b, enum mon_sort sort)
{
    int64_t ra = rank(a, sort), rb = rank(b, sort);
    if (ra != rb)
        return ra > rb;
    int names = sort == MON_BY_NAME ? name_order(a->name, b->name) : 0;
    return names ? names < 0 : a->number < b->number;
}

static void sink(const struct mon_table *t, enum mon_sort sort, uint32_t *order, size_t at,
                 size_t count)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count &&
            is_before(&t->nodes[order[child]], &t->nodes[order[child + 1]], sort))
            child++;
        if (!is_before(&t->nodes[order[at]], &t->nodes[order[child]], sort))
            return;
        uint32_t swap = order[at];
        order[at] = order[child];
        order[child] = swap;
    }
}

size_t mon_choose(const struct mon_table *t, const struct mon_choice *c, uint32_t *order)
{
    size_t count = 0;
    bool is_sorted = true;
    for (size_t i = 0; i < t->count; i++) {
        if (!is_chosen(&t->nodes[i], c))
            continue;
        if (count && !is_before(&t->nodes[order[count - 1]], &t->nodes[i], c->sort))
            is_sorted = false;
        order[count++] = (uint32_t)i;
    }
    if (is_sorted)
        return count;
    /* a heap sort: n log n whatever a daemon sends, and no memory */
    for (size_t i = count / 2; i-- > 0;)
        sink(t, c->sort, order, i, count);
    for (size_t end = count; end-- > 1;) {
        uint32_t swap = order[0];
        order[0] = order[end];
        order[end] = swap;
        sink(t, c->sort, order, 0, end);
    }
    return count;
}
