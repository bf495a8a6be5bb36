/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shown.c: a figure as bars show it.
 * Must not know: screens. */
#include "gossip/monitor/core/shown.h"

/* clang-format off */
const char *const mon_shown_names[MON_SHOWN] = {
    [MON_SHOW_LOAD] = "load by speed",  [MON_SHOW_RAW_LOAD] = "load of a core", [MON_SHOW_MEMORY] = "memory used %",
    [MON_SHOW_RAW_MEMORY] = "memory used", [MON_SHOW_SWAP] = "swap used %",     [MON_SHOW_GUESTS] = "guests",
    [MON_SHOW_FROZEN] = "frozen",       [MON_SHOW_SPEED] = "speed",             [MON_SHOW_UTIL] = "utilizability %",
};
/* clang-format on */

bool mon_is_there(const struct mon_node *n)
{
    return n->state == MON_ALIVE || n->state == MON_SUSPECT;
}

bool mon_is_stale(const struct mon_node *n)
{
    return n->figures[MON_age_ms] > MON_STALE_MS;
}

int64_t mon_shown_value(const struct mon_node *n, enum mon_shown shown)
{
    const int64_t *f = n->figures;
    if (!mon_is_there(n))
        return MON_UNKNOWN;
    switch (shown) {
    case MON_SHOW_LOAD: return f[MON_load_centi];
    case MON_SHOW_RAW_LOAD: return f[MON_load_raw_centi];
    case MON_SHOW_MEMORY: return mon_memory_used_pct(n);
    case MON_SHOW_RAW_MEMORY:
        if (f[MON_memory_mb] < 0 || f[MON_memory_free_mb] < 0)
            return MON_UNKNOWN;
        return f[MON_memory_free_mb] < f[MON_memory_mb]
                   ? f[MON_memory_mb] - f[MON_memory_free_mb]
                   : 0;
    case MON_SHOW_SWAP: return f[MON_swap_mb] == 0 ? 0 : f[MON_swap_used_pct];
    case MON_SHOW_GUESTS: return f[MON_guests];
    case MON_SHOW_FROZEN: return f[MON_frozen];
    case MON_SHOW_SPEED: return f[MON_speed];
    case MON_SHOW_UTIL:
        return f[MON_psi_memory_pct] < 0     ? MON_UNKNOWN
               : f[MON_psi_memory_pct] < 100 ? 100 - f[MON_psi_memory_pct]
                                             : 0;
    case MON_SHOWN: break;
    }
    return MON_UNKNOWN;
}

int64_t mon_shown_whole(const struct mon_node *n, enum mon_shown shown)
{
    if (mon_shown_value(n, shown) < 0)
        return 0;
    if (shown == MON_SHOW_MEMORY)
        return 100;
    return shown == MON_SHOW_RAW_MEMORY ? n->figures[MON_memory_mb] : 0;
}

/* 1, 2 or 5 with zeros, at least least. */
static int64_t round_up(int64_t value, int64_t least)
{
    int64_t round = least;
    for (unsigned i = 0; round < value && round < INT64_MAX / 10; i++)
        round = i % 3 == 1 ? round / 2 * 5 : round * 2;
    return round;
}

int64_t mon_shown_scale(enum mon_shown shown, const struct mon_table *t, const uint32_t *order,
                        size_t count)
{
    int64_t most = 0;
    if (shown == MON_SHOW_MEMORY || shown == MON_SHOW_SWAP || shown == MON_SHOW_UTIL)
        return 100;
    for (size_t i = 0; i < count; i++) {
        const struct mon_node *n = &t->nodes[order[i]];
        int64_t value = mon_shown_value(n, shown), whole = mon_shown_whole(n, shown);
        most = value > most ? value : most;
        most = whole > most ? whole : most;
    }
    if (shown == MON_SHOW_RAW_MEMORY)
        return most ? most : 1;
    return round_up(most, shown == MON_SHOW_SPEED                                ? 10000
                          : shown == MON_SHOW_GUESTS || shown == MON_SHOW_FROZEN ? 10
                                                                                 : 100);
}

void mon_shown_text(struct text *out, int64_t value, enum mon_shown shown)
{
    if (value < 0)
        text_put(out, "-");
    else if (shown == MON_SHOW_LOAD || shown == MON_SHOW_RAW_LOAD)
        text_fixed(out, value < 99999 ? value : 99999, 2);
    else if (shown == MON_SHOW_RAW_MEMORY)
        text_size(out, value);
    else
        text_int(out, value < 999999 ? value : 999999);
    if (value >= 0 &&
        (shown == MON_SHOW_MEMORY || shown == MON_SHOW_SWAP || shown == MON_SHOW_UTIL))
        text_put(out, "%");
}

enum mon_style mon_shown_style(int64_t value, int64_t scale, enum mon_shown shown)
{
    int64_t pct = scale > 0 && value < INT64_MAX / 100 ? value * 100 / scale : 100;
    switch (shown) {
    case MON_SHOW_LOAD:
    case MON_SHOW_RAW_LOAD: return value < 80 ? MON_LOW : value < 150 ? MON_MIDDLE : MON_HIGH;
    case MON_SHOW_MEMORY:
    case MON_SHOW_SWAP: return value < 75 ? MON_LOW : value < 90 ? MON_MIDDLE : MON_HIGH;
    case MON_SHOW_UTIL: return value >= 90 ? MON_LOW : value >= 60 ? MON_MIDDLE : MON_HIGH;
    case MON_SHOW_FROZEN: return value ? MON_MIDDLE : MON_LOW;
    case MON_SHOW_RAW_MEMORY: return pct < 75 ? MON_LOW : pct < 90 ? MON_MIDDLE : MON_HIGH;
    case MON_SHOW_GUESTS:
    case MON_SHOW_SPEED:
    case MON_SHOWN: break;
    }
    return MON_LOW;
}

/* Between powers of two it is a straight line, which is near enough for a bar. */
static double log2_of(double x)
{
    double n = 0;
    for (; x >= 2; x /= 2)
        n++;
    return n + x - 1;
}

unsigned mon_shown_steps(int64_t value, int64_t scale, unsigned steps, bool is_log)
{
    if (value <= 0 || scale <= 0)
        return 0;
    double part = value < scale ? (double)value / (double)scale : 1;
    if (is_log)
        part = log2_of(1 + part * 255) / 8;
    unsigned n = (unsigned)(part * steps + 0.5);
    return n > steps ? steps : n ? n : steps != 0;
}

const char *mon_state_words(const struct mon_node *n, enum mon_style *style)
{
    static const struct {
        const char *words;
        uint8_t style;
    } states[MON_STATES] = { [MON_ALIVE] = { "alive", MON_GOOD },
                             [MON_SUSPECT] = { "SUSPECT", MON_WARN },
                             [MON_DEAD] = { "DEAD", MON_BAD },
                             [MON_LEFT] = { "left", MON_DIM },
                             [MON_NEVER] = { "unknown", MON_DIM } };
    *style = n->is_revoked ? MON_BAD : (enum mon_style)states[n->state].style;
    return n->is_revoked ? "REVOKED" : states[n->state].words;
}
