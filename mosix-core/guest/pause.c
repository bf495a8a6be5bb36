/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pause.c: all threads of the first body stand still between their calls, for a move.
 * Must not know: what is done with them then. */
#include "mosix-core/guest/parts.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    LEAVING_TURNS = 2000, /* of half a millisecond: until a thread that ends has ended */
    PIECE_MS = 50,        /* a piece of what is there comes within it, as a rule */
};

/* Not while it has children, or is about to have one, which would be left behind. */
bool mx_pause_may_begin(const struct guest *g)
{
    if (g->is_pausing || g->count == 0)
        return false;
    for (unsigned i = 0; i < g->count; i++) {
        const struct mx_body *b = g->bodies[i];
        if (b->first->who != 0 || b->first->is_ended || b->back != MX_BACK_NONE ||
            b->is_forking)
            return false;
    }
    return true;
}

int mx_pause_one(struct guest *g, struct mx_body *b)
{
    if (!g->is_pausing)
        return 0;
    b->pauses_sent++;
    mx_link_begin(&g->link, MX_TALK_PAUSE, b->who);
    return mx_link_send(&g->link);
}

int mx_pause_begin(struct guest *g, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < g->count; i++)
        rc = mx_guest_leave_ahead(g, g->bodies[i], e);
    g->is_pausing = true;
    for (unsigned i = 0; rc == 0 && i < g->count; i++)
        rc = mx_pause_one(g, g->bodies[i]);
    return rc;
}

int mx_pause_hold(struct guest *g, struct mx_body *b, enum mx_body_end how, int64_t result,
                  struct err *e)
{
    if (b->signal_count)
        return mx_body_end_call(b, g->listener, how, result, e);
    int rc = mx_body_catch_call(b, g->listener, how, result, &b->held, e);
    b->is_caught = rc == 0;
    return rc;
}

/* More of its call is to come. */
static bool has_pieces(const struct mx_body *b)
{
    return b->is_calling && !b->is_held &&
           (b->transfer.is_active || b->mapping.step != MX_MAP_NONE);
}

bool mx_pause_is_over(const struct guest *g)
{
    if (!g->is_pausing)
        return false;
    for (unsigned i = 0; i < g->count; i++)
        if (g->bodies[i]->pauses_sent != g->bodies[i]->pauses_got || has_pieces(g->bodies[i]))
            return false;
    return true;
}

int mx_pause_patience_ms(const struct guest *g)
{
    for (unsigned i = 0; g->is_pausing && i < g->count; i++)
        if (has_pieces(g->bodies[i]))
            return PIECE_MS;
    return -1;
}

int mx_pause_again(struct guest *g)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < g->count; i++)
        if (g->bodies[i]->transfer.is_active && has_pieces(g->bodies[i]))
            rc = mx_pause_one(g, g->bodies[i]);
    return rc;
}

/* One that is about to end has still to say so to the others, in their memory. */
static int await_leaving(const struct mx_body *b, struct err *e)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d", (int)b->first->pid, (int)b->pid);
    for (unsigned i = 0; access(path, F_OK) == 0; i++) {
        if (i == LEAVING_TURNS)
            return err_say(e, ETIMEDOUT, "thread %d does not end", (int)b->pid);
        nanosleep(&(struct timespec){ 0, 500000 }, NULL);
    }
    return 0;
}

static int catch_one(struct guest *g, struct mx_body *b, struct err *e)
{
    int rc = 0;
    if (!b->is_caught && b->is_calling)
        rc = mx_body_catch_call(b, g->listener, MX_BODY_RESULT, MX_RESTART_ALWAYS, &b->held, e);
    else if (!b->is_caught) {
        rc = mx_body_catch(b, &b->held, true, e);
        b->is_found = rc == 0; /* in no call that we know of */
    }
    b->is_caught = rc == 0;
    return rc;
}

int mx_pause_take(struct guest *g, const struct mx_body *of, const struct mx_tracee *first,
                  struct mx_threads *out, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < g->count; i++) {
        struct mx_body *b = g->bodies[i];
        if (b == of || b->first != of || b->is_ended)
            continue;
        rc = mx_threads_take(out, first, &b->held, e);
        fd_close(&b->held.mem_fd);
        b->held = (struct mx_tracee){ .mem_fd = -1, .cancel_fd = -1 };
    }
    return rc;
}

int mx_pause_catch(struct guest *g, struct err *e)
{
    struct mx_body *first = mx_guest_find(g, 0);
    int rc = first ? 0 : -ESRCH;
    for (unsigned i = 0; rc == 0 && i < g->count; i++)
        rc = g->bodies[i]->is_ended ? await_leaving(g->bodies[i], e)
                                    : catch_one(g, g->bodies[i], e);
    for (unsigned i = 0; rc == 0 && i < g->count; i++) {
        struct mx_body *b = g->bodies[i];
        if (b->is_ended)
            continue;
        rc = mx_tracee_await(&b->held, e);
        b->held.syscall_at = b->syscall_at;
        b->held.is_watched = false; /* who serves it next watches it again */
        if (rc == 0 && b->is_found)
            mx_body_not_begun(b, &b->held.regs);
        if (rc == 0 && !b->signal_count)
            mx_timed_again(&b->timed, &b->held);
        if (rc == 0 && b->signal_count) /* they came when it was caught already */
            rc = mx_body_queue(b, &b->held, e);
    }
    if (rc < 0)
        return rc;
    *g->t = first->held;
    first->held = (struct mx_tracee){ .mem_fd = -1, .cancel_fd = -1 };
    return g->how->others ? mx_pause_take(g, first, g->t, g->how->others, e) : 0;
}
