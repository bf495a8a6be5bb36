/* SPDX-License-Identifier: GPL-2.0-or-later */
/* deferred.h: deferred close: a file that the kernel has closed stays open at the server for a
 * while, if it was open for writing, not for the first time, and this client is alone with it
 * (own.h). A program that opens it again in the same way goes on with it, and one that reads it
 * is answered as while it was open, without asking: logs, databases.
 * The server is told when somebody else wants the file, when it is to be opened in another way,
 * when a job ends, and soon. Must not know: libfuse. Threads: the loop's. */
#ifndef MRCFS_CLIENT_DEFERRED_H
#define MRCFS_CLIENT_DEFERRED_H

#include "common/base/list.h"
#include "common/sys/loop.h"
#include "mrcfs/ops.h"

#include <stdbool.h>
#include <stdint.h>

struct mfs_caller;
struct mfs_client;
struct mfs_known;
struct mfs_opened;
struct mfs_session;

enum {
    MFS_DEFERRED_MAX = 256, /* files of a mounted tree; the one that was closed first goes */
    MFS_DEFERRED_MS = 5000, /* how long a file stays open */
};

struct mfs_deferred {
    struct link files; /* struct mfs_opened, by parked; what was closed last at the end */
    unsigned count;
    struct loop_timer timer;
};

void mfs_deferred_init(struct mfs_deferred *d);
/* The session ends: the files are freed with its others. */
void mfs_deferred_fini(struct mfs_deferred *d);

/* f was closed, and is no longer counted as open. True: it is kept, and the server not told; f
 * is not the caller's any more. */
MUST bool mfs_deferred_keep(struct mfs_session *s, struct mfs_opened *f);
/* The file to go on with for who opens n with flags (the host's); it is the caller's. NULL:
 * none. */
MUST struct mfs_opened *mfs_deferred_take(struct mfs_session *s, struct mfs_known *n,
                                          const struct mfs_caller *who, int flags);
/* The server is told of the closing of n, or of all; nothing of n is here afterwards. */
void mfs_deferred_end(struct mfs_session *s, struct mfs_known *n);
void mfs_deferred_end_all(struct mfs_client *c);
/* The kernel is gone. */
void mfs_deferred_leave(struct mfs_session *s);
/* The same for the recall of n with number serial, which goes on when the server has closed it,
 * since a program there that waits for that may want to execute the file. False: nothing is to
 * be waited for. */
MUST bool mfs_deferred_recall(struct mfs_session *s, struct mfs_known *n, uint64_t serial);

#endif
