/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confine.h: a process that serves strangers gives up what it does not need.
 * Must not know: what it serves. */
#ifndef GOSSIP_MONITOR_CONFINE_H
#define GOSSIP_MONITOR_CONFINE_H

#include "common/base/attr.h"
#include "common/base/err.h"

/* Of root: becomes this user (a name; NULL: nobody), with no groups but that user's own, or
 * fails with words. Of others: nothing. */
MUST int confine_user(const char *user, struct err *e);

/* No file can be opened from now on, no program or process started, no TCP connection made; no
 * new privileges. Sockets that are there go on, and so does connecting to sockets with names.
 * What the kernel can't do is left out: it is a second wall. Returns how much of it there is: 0
 * nothing, 1 system calls, 2 files too. */
int confine_self(void);

#endif
