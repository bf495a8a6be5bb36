/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stay.c: what can't be in an image, and what can't be told truthfully elsewhere.
 * Must not know: who asks, moves. */
#include "mosix-core/move/stay.h"

#include "mosix-core/deputy/own.h"
#include "mosix-core/image/capture.h"

int mx_stay_look(pid_t pid, struct err *e)
{
    int rc = mx_capture_look(pid, MX_CAPTURE_MOVE, e);
    return rc == 0 ? mx_own_look(pid, e) : rc;
}
