/* SPDX-License-Identifier: GPL-2.0-or-later */
/* view.c: what keys make of a view.
 * Must not know: terminals, how it is drawn. */
#include "gossip/monitor/core/view.h"

#include <string.h>

void mon_view_init(struct mon_view *v)
{
    *v = (struct mon_view){ .cluster = MON_ALL_CLUSTERS };
}

int mon_view_cluster(const struct mon_view *v, const struct mon_table *t)
{
    for (size_t i = 0; v->cluster != MON_ALL_CLUSTERS && i < t->cluster_count; i++)
        if (t->clusters[i].number == (uint32_t)v->cluster)
            return (int)i;
    return MON_ALL_CLUSTERS;
}

size_t mon_view_choose(const struct mon_view *v, const struct mon_table *t, uint32_t *order)
{
    const struct mon_choice c = { mon_view_cluster(v, t), v->sort, !v->hides_dead,
                                  v->find[0] ? v->find : NULL };
    return mon_choose(t, &c, order);
}

/* by: +1 or -1. All clusters, then each, then all. */
static void next_cluster(struct mon_view *v, const struct mon_table *t, int by)
{
    int count = (int)t->cluster_count, at = mon_view_cluster(v, t);
    at = (at + 1 + by + count + 1) % (count + 1) - 1;
    v->cluster = at < 0 ? MON_ALL_CLUSTERS : (int)t->clusters[at].number;
    v->first = 0;
}

static void scroll(uint32_t *first, int64_t by, uint32_t count, uint32_t page)
{
    int64_t last = count > page ? (int64_t)count - page : 0, to = (int64_t)*first + by;
    *first = (uint32_t)(to < 0 ? 0 : to > last ? last : to);
}

static void type(struct mon_view *v, unsigned key)
{
    size_t len = strlen(v->typed);
    bool fits =
        v->typing == MON_TYPES_NUMBER ? key >= '0' && key <= '9' : key >= ' ' && key < 127;
    if (fits && len < MON_TYPED_MAX) {
        v->typed[len] = (char)key;
        v->typed[len + 1] = 0;
    } else if (key == MON_KEY_ERASE && len) {
        v->typed[len - 1] = 0;
    }
}

void mon_view_begin_at(struct mon_view *v, const struct mon_table *t, const uint32_t *order,
                       size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++)
        if (t->nodes[order[i]].number == number) {
            v->first = (uint32_t)i;
            return;
        }
}

static void begin_at(struct mon_view *v, const struct mon_table *t, const uint32_t *order)
{
    uint64_t number = 0;
    for (const char *c = v->typed; *c && number < UINT32_MAX; c++)
        number = number * 10 + (uint64_t)(*c - '0');
    mon_view_begin_at(v, t, order, v->chosen, number < UINT32_MAX ? (uint32_t)number : 0);
}

static void typed(struct mon_view *v, const struct mon_table *t, const uint32_t *order,
                  unsigned key)
{
    if (key != MON_KEY_ENTER && key != MON_KEY_ESCAPE) {
        type(v, key);
        return;
    }
    if (key == MON_KEY_ENTER && v->typing == MON_TYPES_NUMBER)
        begin_at(v, t, order);
    if (v->typing == MON_TYPES_FIND) {
        memcpy(v->find, v->typed, sizeof v->find);
        if (key == MON_KEY_ESCAPE)
            v->find[0] = 0;
        v->first = 0;
    }
    v->typing = MON_TYPES_NOTHING;
    v->typed[0] = 0;
}

static bool move(struct mon_view *v, unsigned key)
{
    uint32_t *first = v->is_help ? &v->help_first : &v->first;
    uint32_t count = v->is_help ? UINT32_MAX : v->chosen,
             page = v->is_help ? v->help_page : v->page;
    int64_t line = v->is_help || !v->line ? 1 : v->line;
    switch (key) {
    case MON_KEY_UP:
    case MON_KEY_LEFT: scroll(first, -line, count, page); return true;
    case MON_KEY_DOWN:
    case MON_KEY_RIGHT: scroll(first, line, count, page); return true;
    case MON_KEY_PAGE_UP: scroll(first, -(int64_t)page, count, page); return true;
    case MON_KEY_PAGE_DOWN: scroll(first, page, count, page); return true;
    case MON_KEY_HOME: *first = 0; return true;
    case MON_KEY_END: scroll(first, count, count, page); return true;
    default: return false;
    }
}

static bool choose_what(struct mon_view *v, unsigned key)
{
    static const struct {
        char key;
        uint8_t shown;
    } keys[] = {
        { 'l', MON_SHOW_LOAD },       { 'p', MON_SHOW_RAW_LOAD }, { 'm', MON_SHOW_MEMORY },
        { 'r', MON_SHOW_RAW_MEMORY }, { 'x', MON_SHOW_SWAP },     { 'g', MON_SHOW_GUESTS },
        { 'f', MON_SHOW_FROZEN },     { 's', MON_SHOW_SPEED },    { 'u', MON_SHOW_UTIL },
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if ((unsigned)keys[i].key == key) {
            v->shown = (enum mon_shown)keys[i].shown;
            return true;
        }
    return false;
}

enum mon_answer mon_view_key(struct mon_view *v, const struct mon_table *t,
                             const uint32_t *order, unsigned key)
{
    if (v->typing) {
        typed(v, t, order, key);
        return MON_GO_ON;
    }
    if (move(v, key))
        return MON_GO_ON;
    if (v->is_help && key != 'q') {
        v->is_help = false; /* any other key ends it, and means what it means */
        if (key == 'h' || key == '?' || key == MON_KEY_ESCAPE)
            return MON_GO_ON;
    }
    if (choose_what(v, key))
        return MON_GO_ON;
    switch (key) {
    case 'q':
    case 'Q': return MON_QUIT;
    case 'h':
    case '?':
        v->is_help = true;
        v->help_first = 0;
        break;
    case 'L': v->is_log = !v->is_log; break;
    case 'd': v->hides_dead = !v->hides_dead; break;
    case 't': v->hides_totals = !v->hides_totals; break;
    case '0': v->layout = MON_AUTO; break;
    case '1': v->layout = MON_LIST; break;
    case '2': v->layout = MON_BARS; break;
    case '3': v->layout = MON_MAP; break;
    case 'a': v->numbers = MON_NUMBERS_AUTO; break;
    case 'w': v->numbers = MON_NUMBERS_WIDE; break;
    case 'v': v->numbers = MON_NUMBERS_UPRIGHT; break;
    case 'V': v->numbers = MON_NUMBERS_TIGHT; break;
    case 'o':
        v->sort = (enum mon_sort)((v->sort + 1) % MON_SORTS);
        v->first = 0;
        break;
    case 'c': next_cluster(v, t, 1); break;
    case 'C': next_cluster(v, t, -1); break;
    case '+': v->typing = MON_TYPES_NUMBER; break;
    case '/': v->typing = MON_TYPES_FIND; break;
    case ' ': return MON_ASK_NOW;
    default: break;
    }
    return MON_GO_ON;
}
