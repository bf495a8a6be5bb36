/* SPDX-License-Identifier: GPL-2.0-or-later */
/* below.h: the processes that descend from one, as /proc shows them now.
 * Must not know: what is done to them. */
#ifndef MRC_AGENT_BELOW_H
#define MRC_AGENT_BELOW_H

#include "common/base/attr.h"

#include <sys/types.h>

enum { BELOW_MAX = 65536 }; /* processes; those beyond are not seen */

struct below_proc {
    pid_t pid, parent;
    char state; /* the letter of proc(5) */
};

/* Parents come before their children, whichever of their threads started these, and whatever session they are in. *out is to be
 * freed. Returns how many, or -errno. */
MUST int below_list(pid_t ancestor, struct below_proc **out);

#endif
