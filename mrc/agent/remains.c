/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remains.c: judges what /proc says.
 * Must not know: /proc; see remainsscan.c. */
#include "mrc/agent/remains.h"

static const struct remains_proc *find(const struct remains_proc *list, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].pid == pid)
            return &list[i];
    return NULL;
}

/* The outermost agent among p and those it descends from; NULL: none. */
static const struct remains_proc *agent_of(const struct remains_proc *list, size_t count,
                                           const struct remains_proc *p)
{
    const struct remains_proc *top = NULL;
    size_t steps = 0;
    for (; p && steps <= count; p = find(list, count, p->parent), steps++) /* a list may be torn */
        if (p->is_agent)
            top = p;
    return top;
}

void remains_judge(const struct remains_proc *list, size_t count, pid_t own, struct remains *out)
{
    *out = (struct remains){ 0 };
    for (size_t i = 0; i < count; i++) {
        const struct remains_proc *p = &list[i], *top = agent_of(list, count, p);
        bool is_wrong = false;
        if (top && top->pid == own)
            continue;
        if (top == p && p->phase == REMAINS_WAITS) {
            out->away++;
            if (!out->first_away)
                out->first_away = p->pid;
        } else if (top == p && p->phase == REMAINS_HOLDS) {
            out->held++;
        } else if (top == p && (!p->is_adopted || p->phase == REMAINS_RESUMED)) {
            out->live++;
        } else if (top == p) {
            out->alone++;
            is_wrong = true;
        } else if (!top && p->sees_view) {
            out->stray++;
            is_wrong = true;
        }
        if (is_wrong && !out->first)
            out->first = p->pid;
    }
}
