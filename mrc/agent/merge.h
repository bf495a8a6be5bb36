/* SPDX-License-Identifier: GPL-2.0-or-later */
/* merge.h: two directories shown as one: the head's files first, then the target's; whatever is
 * written goes to the head (--overlay).
 * Must not know: FUSE (mergefuse/), how the directories were mounted.
 * Threads: any; functions that change names take turns.
 *
 * Nothing of the target is ever changed. Before a target's file is changed it is copied to the
 * head, with the directories that lead to it. A target's file that is removed or renamed is
 * remembered as hidden as long as the merge lives: the head gets no marks of that, so the next
 * job sees the target's file again. Directories that the target has can't be renamed (EXDEV, as
 * in other union file systems: mv then copies).
 *
 * Paths: absolute, of the merged tree, clean. Results: 0 or more, or -errno. */
#ifndef MRC_AGENT_MERGE_H
#define MRC_AGENT_MERGE_H

#include "common/base/attr.h"

#include <dirent.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

enum { MERGE_HIDDEN_MAX = 100000 }; /* names of the target removed by one job: some 20 MB */

enum merge_side { MERGE_HEAD, MERGE_TARGET };

struct merge;

/* Directories, borrowed as long as the merge; target_fd -1: there is only the head's. */
MUST int merge_new(int head_fd, int target_fd, struct merge **out);
void merge_free(struct merge *m);

/* Which side shows path: its lstat in *st. Inode numbers of the two sides are kept apart. */
MUST int merge_find(struct merge *m, const char *path, struct stat *st);
/* The same for a descriptor of merge_open. */
MUST int merge_fstat(int fd, enum merge_side side, struct stat *st);

/* Calls fn for each name, "." and ".." included, until it returns other than 0. */
MUST int merge_list(struct merge *m, const char *path,
                    int (*fn)(void *ctx, const char *name, const struct stat *st), void *ctx);

/* Makes sure that path is on the head. with_contents false: a file may be left empty. */
MUST int merge_copy_up(struct merge *m, const char *path, bool with_contents);

/* Opens a file; flags as of open(2). Returns the descriptor; *side_out tells where it is. */
MUST int merge_open(struct merge *m, const char *path, int flags, mode_t mode,
                    enum merge_side *side_out);

/* Opens path itself, links too, for nothing but naming it; after is_change on the head. */
MUST int merge_open_path(struct merge *m, const char *path, bool is_change);

/* The system calls of these names, on the merged tree. */
MUST int merge_readlink(struct merge *m, const char *path, char *text, size_t size_bytes);
MUST int merge_mknod(struct merge *m, const char *path, mode_t mode, dev_t device);
MUST int merge_mkdir(struct merge *m, const char *path, mode_t mode);
MUST int merge_symlink(struct merge *m, const char *to, const char *path);
MUST int merge_link(struct merge *m, const char *from, const char *to);
MUST int merge_unlink(struct merge *m, const char *path);
MUST int merge_rmdir(struct merge *m, const char *path);
MUST int merge_rename(struct merge *m, const char *from, const char *to, unsigned flags);
MUST int merge_chmod(struct merge *m, const char *path, mode_t mode);
MUST int merge_chown(struct merge *m, const char *path, uid_t uid, gid_t gid);
MUST int merge_utimens(struct merge *m, const char *path, const struct timespec times[2]);

#endif
