/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stay.h: why a process that is at home has to stay there.
 * Must not know: who asks, moves. */
#ifndef MOSIX_CORE_MOVE_STAY_H
#define MOSIX_CORE_MOVE_STAY_H

#include "common/base/err.h"

#include <sys/types.h>

/* Could process pid leave, as far as can be seen while it runs? Returns 0; -ENOTSUP with words;
 * -ESRCH, -EPERM. */
MUST int mx_stay_look(pid_t pid, struct err *e);

#endif
