/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record.h: notes in the cache directory of what a view has made outside of its namespaces, so
 * that it is removed even if the view's processes are killed.
 * Must not know: how a view is built.
 *
 * A record is a small file that its view holds locked. One that nobody holds is swept: what it
 * names is removed if no other view uses it. */
#ifndef MRC_AGENT_RECORD_H
#define MRC_AGENT_RECORD_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum record_kind {
    RECORD_PLACE,   /* directory made in a shared temporary directory: rmdir */
    RECORD_SCRATCH, /* directory of ours with all that is in it */
    RECORD_MOUNT    /* mount point of fusermount3 */
};

struct record {
    int fd; /* locked; closing it in every process ends the use */
    char path[4200];
};

/* Writes a record about path before that is made. Returns 0 or -errno with words. */
MUST int record_new(const char *cache_dir, enum record_kind kind, const char *path,
                    struct record *out, struct err *e);

/* It was not made after all. */
void record_drop(struct record *r);

/* Makes sure that the directory path exists in a shared temporary directory, and that no view's
 * sweeping takes it away while this process, or one that inherits its descriptors, lives:
 * rmdir(2) succeeds on a directory that is a mount point in somebody else's namespace, and
 * takes that mount away. Returns 0 or -errno with words. */
MUST int place_take(const char *cache_dir, const char *path, struct err *e);

/* Makes a fresh empty directory for a scratch layer, removed by the sweep; its path, without
 * symbolic links, is the caller's to free. Returns 0 or -errno with words. */
MUST int scratch_take(const char *cache_dir, char **path_out, struct err *e);

/* Removes what the records name that nobody uses. unmount takes care of RECORD_MOUNT; NULL:
 * leave those. */
void record_sweep(const char *cache_dir, int (*unmount)(const char *path));

/* Removes name in dir_fd with all that is in it; doesn't follow symbolic links. */
MUST int tree_remove(int dir_fd, const char *name);

#endif
