/* SPDX-License-Identifier: GPL-2.0-or-later */
/* background.h: a command that goes on behind its caller's back: it ends for the caller when it is ready, and from then on holds
 * nothing of his, so that who reads what it says sees the end. Must not know: what is being done. */
#ifndef MRCFS_BACKGROUND_H
#define MRCFS_BACKGROUND_H

#include "common/base/attr.h"
#include "common/sys/loop.h"

#include <stdbool.h>
#include <stddef.h>

/* Zero: in the foreground. */
struct mfs_background {
    bool is_wanted;
    int ready; /* told by one byte */
    int words; /* what is said on standard error, by this process's children too, until it is ready, is shown to the caller */
    const char *who;
    struct loop_fd watch;
    char line[512];
    size_t len_bytes;
};

/* Goes on in a child, whose standard output is nowhere and whose standard error is shown by its parent, the caller's process.
 * Returns 0 in the child; 1 in the parent, when the child is ready or has failed: *status is what to exit with; -errno. */
MUST int mfs_background_start(struct mfs_background *b, int *status);
/* The child is ready. It has its standard streams nowhere; what its children say is kept, line by line, in the log of the
 * user's processes (mrc logs) as who's, a word that lives as long. Returns 0 or -errno. */
MUST int mfs_background_ready(struct mfs_background *b, struct loop *loop, const char *who);
/* Before the loop is freed. */
void mfs_background_end(struct mfs_background *b);

#endif
