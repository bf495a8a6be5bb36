/* SPDX-License-Identifier: GPL-2.0-or-later */
/* toplist.c: the rows of mrc top and their rates.
 * Must not know: how they are shown. */
#include "mrc/topcommand.h"

#include "common/sys/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t rate_of(uint64_t now, uint64_t before, uint64_t took_ms)
{
    return now > before ? (now - before) * 1000 / took_ms : 0;
}

/* A process tells nothing while nothing happens: then the rate is 0. */
void top_row_rates(struct top_row *row, const struct activity *before)
{
    const struct activity *now = &row->now;
    uint64_t took_ms = now->written_ms - before->written_ms;
    bool is_told = now->written_ms > before->written_ms;
    row->sent_rate = is_told ? rate_of(now->sent_bytes, before->sent_bytes, took_ms) : 0;
    row->received_rate = is_told ? rate_of(now->received_bytes, before->received_bytes, took_ms) : 0;
}

static const struct activity *find(const struct top_list *l, const struct activity *a)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->rows[i].now.pid == a->pid && l->rows[i].now.began_ms == a->began_ms)
            return &l->rows[i].now;
    return NULL;
}

static int compare(const void *left, const void *right)
{
    const struct activity *a = &((const struct top_row *)left)->now, *b = &((const struct top_row *)right)->now;
    int order = strcmp(a->host, b->host);
    if (!order)
        order = (int)b->kind - (int)a->kind;
    if (!order)
        order = a->began_ms < b->began_ms ? -1 : a->began_ms > b->began_ms;
    return order ? order : (a->pid > b->pid) - (a->pid < b->pid);
}

int top_list_next(struct top_list *l)
{
    struct activity *list;
    int count = activity_list(&list);
    if (count < 0)
        return count;
    struct top_list next = { .count = (size_t)count, .at_ms = clock_mono_ms() };
    next.rows = calloc((size_t)count + 1, sizeof *next.rows);
    for (int i = 0; next.rows && i < count; i++) {
        const struct activity *before = find(l, &list[i]);
        next.rows[i].now = list[i];
        next.rows[i].age_ms = next.at_ms - list[i].began_ms;
        next.jobs += list[i].kind == ACTIVITY_JOB;
        if (before)
            top_row_rates(&next.rows[i], before);
    }
    free(list);
    if (!next.rows)
        return -ENOMEM;
    qsort(next.rows, next.count, sizeof *next.rows, compare);
    top_list_fini(l);
    *l = next;
    return 0;
}

void top_list_fini(struct top_list *l)
{
    free(l->rows);
    *l = (struct top_list){ NULL, 0, 0, 0 };
}
