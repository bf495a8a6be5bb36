/* SPDX-License-Identifier: GPL-2.0-or-later */
/* collector.h: a process at home that keeps what comes of a job's image while the job still
 * runs elsewhere and its stub makes its calls. Must not know: who decides, what is done with
 * the image. */
#ifndef MOSIX_CORE_MOVE_COLLECTOR_H
#define MOSIX_CORE_MOVE_COLLECTOR_H

#include "mosix-core/image/parts.h"
#include "mosix-core/move/conn.h"

#include <stdbool.h>

/* Is there memory enough to keep an image of a process like this one beside the process? */
bool mx_collector_has_room(pid_t stub);

/* Starts it: rounds come from a socket, which is taken; the whole image, when its end has come,
 * goes to c->plain. park: where the stub has room for it, or NULL. Its notes: MX_HANDS_SOME,
 * more has come; one with rc and words: it gives up; -ENOBUFS: the room can't be written.
 * Returns 0 or -errno with words. It is ended by mx_conn_end. */
MUST int mx_collector_start(struct mx_conn *c, int from, pid_t stub,
                            const struct mx_range *park, struct err *e);

#endif
