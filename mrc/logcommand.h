/* SPDX-License-Identifier: GPL-2.0-or-later */
/* logcommand.h: mrc logs: what the processes of this user that nobody looks at have to tell, here or on a target.
 * Must not know: what is in the logs. Source: common/sys/ringlog.h. */
#ifndef MRC_LOGCOMMAND_H
#define MRC_LOGCOMMAND_H

#include "common/base/attr.h"
#include "common/base/err.h"

/* Both print, the oldest line first. Return 0 or -errno with words. */
MUST int mrc_logs_here(struct err *e);
/* fd: a stream to an agent; taken. */
MUST int mrc_logs_there(int fd, const char *host, struct err *e);

#endif
