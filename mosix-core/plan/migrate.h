/* SPDX-License-Identifier: GPL-2.0-or-later */
/* migrate.h: the home's side of a job's moves: who has the copy that runs, and how it is handed
 * on. Must not know: sockets, clocks (time is an argument), how copies are made; holder.h is
 * the other half. Invariant: at most one copy may run at any instant; the copy that was last
 * allowed to run is dropped only after the next one is known to run; every move ends in bounded
 * time, at one place or the other, or the job ends with a reason. Source: docs/migration.md, "A
 * move". */
#ifndef MOSIX_CORE_PLAN_MIGRATE_H
#define MOSIX_CORE_PLAN_MIGRATE_H

#include "mosix-core/plan/holder.h"

/* Milliseconds, if nothing else is said. */
enum {
    MX_COMMIT_MS = 2000,      /* a whole copy says within it that it runs, or is given up */
    MX_STALL_MS = 10 * 1000,  /* a transfer that does not grow for so long is given up */
    MX_FREEZE_AIM_MS = 4,     /* freeze when the rest can be sent in this time */
    MX_COPY_MS = 3600 * 1000, /* a whole transfer */
};

enum {
    MX_PLACES_MAX = 4,  /* home, source, destination, and one that has not yet said that its old
                           copy is gone */
    MX_ROUNDS_MAX = 30, /* passes over memory before the job is frozen whatever is left */
    MX_ROUNDS_VAIN_MAX = 4, /* of them those that leave hardly less than one before has left */
};

enum mx_phase {
    MX_SETTLED,    /* runs here; nothing is under way */
    MX_ASKING,     /* the destination was asked to take it */
    MX_COPYING,    /* memory is being sent while it runs */
    MX_FREEZING,   /* stands still; the destination is not yet whole */
    MX_COMMITTING, /* the destination may run; it is not known whether it does */
    MX_REVOKING, /* the destination may no longer run; it is not known whether it still does */
    MX_ROLLING_BACK, /* the source was told to run on; it is not known whether it does */
    MX_OVER,         /* the job has ended; copies are dropped */
    MX_PHASES,
};

/* A node, as one life of its daemon: one that was started again is another place. */
enum { MX_HOME = 0 };

enum mx_migrate_event {
    MX_MIG_TICK,
    MX_MIG_MOVE,   /* somebody wants it at place */
    MX_MIG_REPORT, /* report, of place */
    MX_MIG_CUT,    /* place can't be reached now; its copy may or may not run */
    MX_MIG_DEAD,   /* place and all it had is known to be gone */
    MX_MIG_KILLED, /* the job was killed at home, or has ended there */
};

struct mx_migrate_in {
    enum mx_migrate_event what;
    int64_t now_ms; /* above 0, never less than before */
    uint32_t place;
    const struct mx_report *report;
};

enum { MX_MIGRATE_ORDERS_MAX = MX_PLACES_MAX };

struct mx_migrate_out {
    unsigned order_count;
    struct {
        uint32_t place;
        struct mx_order order;
    } orders[MX_MIGRATE_ORDERS_MAX];
    bool has_moved;  /* a move has ended at its destination */
    bool has_failed; /* a move has ended at its source, because of why */
    bool has_ended;  /* the job is over, because of why: tell its parent */
    enum mx_why why;
    int64_t wake_ms; /* say TICK then, at the latest; 0: not needed */
};

/* What the home knows of one place. */
struct mx_place {
    uint32_t id;
    bool is_used;
    enum mx_want want;
    uint32_t wanted_since; /* number of the first order of this want */
    uint32_t reports;      /* number of the newest report */
    enum mx_is is;
    int64_t stamp_ms;  /* its clock, from its newest report */
    int64_t heard_ms;  /* our clock */
    int64_t leased_ms; /* our clock when the report came that the last leave to run answered; 0:
                          never */
    int64_t dropped_ms; /* when it was first told to drop its copy; 0: it is in use */
};

/* Embedded by its owner; its fields are for tests and printing. */
struct mx_migrate {
    enum mx_phase phase;
    struct mx_place places[MX_PLACES_MAX];
    uint32_t here, there; /* places; there counts during a move */
    uint32_t orders, move;
    enum mx_why why;  /* of the failure that is being dealt with */
    int64_t since_ms; /* of this phase */
    int64_t grew_ms;
    uint32_t progress[2]; /* of source and destination */
    uint32_t least_left_ms, vain_rounds;
    int64_t ordered_ms;
};

/* The job runs at home. */
void mx_migrate_init(struct mx_migrate *m, int64_t now_ms);

/* One thing happened. Returns 0; for MX_MIG_MOVE also -EBUSY while another move is under way or
 * too many places still have old copies, -EALREADY when it is there, -ESRCH when the job is
 * over: nothing has changed then. */
MUST int mx_migrate_step(struct mx_migrate *m, const struct mx_migrate_in *in,
                         struct mx_migrate_out *out);

/* May a call of the copy at place be served? Only one place at a time has this right; a call
 * that comes before its turn waits. */
bool mx_migrate_serves(const struct mx_migrate *m, uint32_t place);

const char *mx_phase_text(enum mx_phase phase);

#endif
