/* SPDX-License-Identifier: GPL-2.0-or-later */
/* finding.h: what mrc doctor has found out about one thing, and how the agent tells its own.
 * Must not know: how it was found out. Source: mrc/doctor.def. */
#ifndef MRC_FINDING_H
#define MRC_FINDING_H

#include "common/base/attr.h"
#include "common/base/wire.h"

/* Requests of the agent's service "doctor": PING is answered at once by u64, milliseconds since 1970 there; CHECK by
 * findings, one after the other. */
enum { FINDING_PING = 'p', FINDING_CHECK = 'c' };

enum finding_check {
#define CHECK(number, id, label) FINDING_##id = number,
#include "mrc/doctor.def"
#undef CHECK
};

enum finding_state {
    FINDING_OK,
    FINDING_NOTE,    /* works, but something is missing or left */
    FINDING_FAILED,  /* mrc doesn't work because of it */
    FINDING_UNKNOWN, /* could not be found out */
    FINDING_STATES
};

struct finding {
    uint8_t check; /* enum finding_check */
    uint8_t state;
    char detail[400]; /* one sentence, or its main part */
    char remedy[300]; /* what helps; empty when the detail says it, or nothing is wrong */
};

/* Returns the label, and the id in *id_out (may be NULL); NULL for a number that is none. */
const char *finding_label(unsigned check, const char **id_out);
const char *finding_state_name(unsigned state); /* "ok", "note", "failed", "unknown" */

void finding_put(struct wr *w, const struct finding *f);
/* Returns 0; -EPROTO malformed. Control characters become "?"; longer texts are cut. */
MUST int finding_get(struct rd *r, struct finding *f);

#endif
