/* SPDX-License-Identifier: GPL-2.0-or-later */
/* progress.h: when a line tells that a job waits for contents of files, and with which figures. Pure: a step is a look.
 * Must not know: terminals, where the figures come from. */
#ifndef MRC_PROGRESS_H
#define MRC_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PROGRESS_LOOK_MS = 250,       /* between two looks while something moves: the line changes no more often */
    PROGRESS_IDLE_LOOK_MS = 1000, /* else */
    PROGRESS_WAIT_MS = 1000,      /* before it appears */
    PROGRESS_QUIET_MS = 750,      /* without a byte: it disappears */
    PROGRESS_LEAST = 16 << 10,    /* bytes between two looks that count as contents of files, and not as names */
};

struct progress_look {
    uint64_t now_ms;
    uint64_t sent_bytes;   /* of files, to the target, ever */
    uint64_t unsent_bytes; /* that wait to be sent */
    bool is_allowed;       /* nothing stands where the line would, and nobody is disturbed */
    bool has_printed;      /* the job, since the look before */
};

enum progress_order { PROGRESS_NOTHING, PROGRESS_DRAW, PROGRESS_ERASE };

struct progress {
    bool is_begun;     /* there was a look */
    bool is_moving, is_shown;
    uint64_t since_ms; /* of is_moving: without a pause, and without a word of the job's */
    uint64_t last_ms;  /* when bytes moved last */
    uint64_t look_ms, sent_bytes, first_bytes;
    uint64_t rate;     /* bytes a second, over the last seconds */
};

struct progress_line {
    uint64_t bytes; /* since it began to wait */
    uint64_t rate;
};

/* *out is for DRAW. A line that is not shown is not erased. */
enum progress_order progress_step(struct progress *p, const struct progress_look *look, struct progress_line *out);
/* Somebody else has erased it. */
void progress_erased(struct progress *p);

#endif
