/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctorcommand.h: mrc doctor: what works with a target and why not, and what is left there.
 * Must not know: what the agent looks at. Source: mrc/doctor.def. */
#ifndef MRC_DOCTORCOMMAND_H
#define MRC_DOCTORCOMMAND_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrc/finding.h"
#include "mrc/transport.h"

#include <stdbool.h>
#include <stddef.h>

enum { DOCTOR_FINDINGS_MAX = 64 };

struct doctor_list {
    struct finding items[DOCTOR_FINDINGS_MAX];
    size_t count;
};

/* Connects, looks and prints. Returns 0 when mrc would work, 1 when it would not, -errno with words when nothing
 * could be printed. */
MUST int mrc_doctor(const struct mrc_transport_opts *t, bool wants_json, struct err *e);

/* Adds a finding; beyond DOCTOR_FINDINGS_MAX none. remedy may be NULL. */
void mrc_doctor_tell(struct doctor_list *l, enum finding_check check, enum finding_state state, const char *remedy,
                     const char *fmt, ...) PRINTF(5, 6);
/* doctorhere.c: what is to be known of this computer. */
void mrc_doctor_here(struct doctor_list *l);

#endif
