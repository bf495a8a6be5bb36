/* SPDX-License-Identifier: GPL-2.0-or-later */
/* holder.h: one place that may hold a copy of a job, and what it does when it is told to.
 * Must not know: the other places, sockets, clocks (time is an argument), how a copy is made.
 * Invariant: a copy runs only while its lease lasts. A lease is counted from the stamp of a
 * report of this place's that the order echoes, so the clocks of two machines are never
 * compared; and an order that is not newer than the last is not obeyed, so one that was late on
 * its way changes nothing. Source: docs/migration.md, "Who may run". */
#ifndef MOSIX_CORE_PLAN_HOLDER_H
#define MOSIX_CORE_PLAN_HOLDER_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds. */
enum {
    MX_BEAT_MS = 500,   /* orders and reports are said again this often */
    MX_LEASE_MS = 3000, /* a copy stops this long after the report that was last answered */
    MX_LEASE_SLACK_MS =
        400, /* for clocks that differ in speed, and until a copy stands still */
    MX_PATIENCE_MS = 30 * 1000, /* silence after which a place has lost its copy */
};

/* What the home asks of a place. */
enum mx_want {
    MX_WANT_DROP,
    MX_WANT_BUILD,
    MX_WANT_RUN,
    MX_WANT_COPY,
    MX_WANT_FREEZE,
    MX_WANTS
};

/* What a place has. */
enum mx_is {
    MX_IS_NONE,     /* no copy */
    MX_IS_BUILDING, /* a copy is arriving */
    MX_IS_READY,    /* whole, and has not run here */
    MX_IS_RUNNING,
    MX_IS_COPYING,  /* runs while its memory is being sent */
    MX_IS_STOPPING, /* was told to stand still and may still run */
    MX_IS_FROZEN,   /* stands still */
    MX_IS_DROPPING, /* is being taken away, may still run */
    MX_STATES,
};

/* Why a copy is not what it should be. */
enum mx_why {
    MX_WHY_NOT, /* nothing is wrong */
    MX_WHY_REFUSED,
    MX_WHY_NO_ROOM,
    MX_WHY_BAD_IMAGE,
    MX_WHY_DIED,
    MX_WHY_SILENT,
    MX_WHY_CUT,
    MX_WHY_SLOW,
    MX_WHY_ENDED,  /* the job ended by itself */
    MX_WHY_KILLED, /* the job was killed at home */
    MX_WHYS,
};

/* Only newer orders (higher numbers) are obeyed. stamp_ms: of the last report that the home has
 * got from this place, 0 before the first. */
struct mx_order {
    uint32_t number;
    uint32_t move; /* which move it belongs to */
    enum mx_want want;
    int64_t stamp_ms;
};

struct mx_report {
    uint32_t number; /* grows with each */
    uint32_t obeyed; /* number of the last order that was obeyed */
    uint32_t
        move; /* the move that the copy came with; of a source, the one that it is copied for */
    enum mx_is is;
    enum mx_why why;
    int64_t stamp_ms;  /* this place's clock, above 0 */
    uint32_t progress; /* grows while a copy is being sent or arriving */
    uint32_t left_ms;  /* of a source: estimate of how long sending the rest would take */
};

enum mx_holder_event {
    MX_HOLD_TICK,
    MX_HOLD_ORDER,    /* order */
    MX_HOLD_ARRIVING, /* some of the image has come (progress) */
    MX_HOLD_WHOLE,    /* the image is complete and verified, for move */
    MX_HOLD_ROUND,    /* all pages were sent once more; left_ms for those changed since;
                         UINT32_MAX: not known */
    MX_HOLD_STOPPED,  /* the copy stands still */
    MX_HOLD_FAILED,   /* why: building or reading the copy failed, or the copy died */
    MX_HOLD_DROPPED,  /* nothing of the copy is left */
};

struct mx_holder_in {
    enum mx_holder_event what;
    int64_t now_ms; /* above 0, never less than before */
    const struct mx_order *order;
    uint32_t move;
    uint32_t left_ms;
    enum mx_why why;
};

/* What the caller must now do, in this order. */
enum mx_holder_do {
    MX_DO_BUILD,     /* take an image for move, and say WHOLE or FAILED */
    MX_DO_COPY,      /* send memory while it runs, and say ROUND after each pass */
    MX_DO_STOP,      /* stop it, and say STOPPED */
    MX_DO_SEND_REST, /* send what is left of the image */
    MX_DO_RUN,       /* let it run; if it was being copied that ends */
    MX_DO_DROP,      /* take everything away, and say DROPPED */
    MX_DO_REPORT,    /* send report */
};

enum { MX_HOLDER_ACTIONS_MAX = 4 };

struct mx_holder_out {
    unsigned count;
    enum mx_holder_do actions[MX_HOLDER_ACTIONS_MAX];
    struct mx_report report;
    int64_t wake_ms; /* say TICK then, at the latest; 0: not needed */
};

/* Embedded by its owner; its fields are for tests and printing. */
struct mx_holder {
    bool is_home; /* the home's own place: it needs no lease, and is told everything at once */
    enum mx_is is;
    enum mx_why why;
    uint32_t obeyed, move, reports, progress, left_ms;
    int64_t lease_end_ms, heard_ms, reported_ms;
    bool is_freeze_wanted; /* while STOPPING or FROZEN: the rest of the image is to be sent */
    bool is_rest_sent;
};

/* A place without a copy; has_job: the home's, where the job runs. */
void mx_holder_init(struct mx_holder *h, bool is_home, bool has_job);

/* One thing happened. Never fails: what does not fit the state changes nothing. */
void mx_holder_step(struct mx_holder *h, const struct mx_holder_in *in,
                    struct mx_holder_out *out);

const char *mx_is_text(enum mx_is is);
const char *mx_want_text(enum mx_want want);
const char *mx_why_text(enum mx_why why);

#endif
