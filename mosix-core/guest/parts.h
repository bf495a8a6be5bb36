/* SPDX-License-Identifier: GPL-2.0-or-later */
/* parts.h: what supervising consists of.
 * Must not know: who asks. */
#ifndef MOSIX_CORE_GUEST_PARTS_H
#define MOSIX_CORE_GUEST_PARTS_H

#include "mosix-core/deputy/link.h"
#include "mosix-core/guest/body.h"
#include "mosix-core/guest/supervise.h"

struct guest {
    const struct mx_guest_how *how;
    struct mx_link link;
    int listener, children_fd;
    struct mx_body *bodies[MX_BODIES_MAX];
    unsigned count;
    int result; /* of the first body */
    int told;
    struct mx_tracee *t; /* the first body */
    bool is_pausing;
    bool is_fetched; /* all are to go home */
    bool is_left;    /* what was told waits until there are no children */
};

struct mx_body *mx_guest_find(struct guest *g, uint32_t who);
/* Does anything else of its process go on? */
bool mx_guest_has_others(const struct guest *g, const struct mx_body *b);

/* A pause (pause.c): nothing is to be under way: what home has sent until it has paused is
 * dealt with, and new calls are not taken. */
bool mx_pause_may_begin(const struct guest *g);
MUST int mx_pause_begin(struct guest *g, struct err *e);
/* One goes on with its call, or has come: it is paused too, or once more. */
MUST int mx_pause_one(struct guest *g, struct mx_body *b);
/* b's call has ended while all is to pause, or has not been looked at: it stands still with
 * that. */
MUST int mx_pause_hold(struct guest *g, struct mx_body *b, enum mx_body_end how, int64_t result,
                       struct err *e);
bool mx_pause_is_over(const struct guest *g);
/* What is done piece by piece goes on to its end, unless a piece waits for something: after so
 * long it is paused again. -1: there is none. */
int mx_pause_patience_ms(const struct guest *g);
MUST int mx_pause_again(struct guest *g);
/* All stand as good as still, and home has nothing more to say: the first is caught in g->t,
 * and the other threads are in g->how->others. */
MUST int mx_pause_catch(struct guest *g, struct err *e);
/* All threads of a process that are caught, but for the first, which is first. They are the
 * taker's then. */
MUST int mx_pause_take(struct guest *g, const struct mx_body *of, const struct mx_tracee *first,
                       struct mx_threads *out, struct err *e);

/* Nothing is read ahead or written behind any more; a read that waits for what was to come is
 * made at home, now if a piece of it has been read already. */
MUST int mx_guest_leave_ahead(struct guest *g, struct mx_body *b, struct err *e);

#endif
