/* SPDX-License-Identifier: GPL-2.0-or-later */
/* parts.h: inside of this folder: the operations of the file system that shows a merge of two
 * directories, by kind, and what they share.
 * Must not know: how the directories were mounted.
 * Threads: some that all do the same. names is held for reading while a path is used, for
 * writing while names change, so that a path stays true as long as it is used; table guards the
 * nodes.
 *
 * Nothing is cached: another program may change the head's side at any time, and says so to
 * nobody here. Locks are kept by the kernel for this mount alone. */
#ifndef MRC_AGENT_MERGEFUSE_PARTS_H
#define MRC_AGENT_MERGEFUSE_PARTS_H

#include "common/base/attr.h"
#include "mrc/agent/merge.h"
#include "mrc/agent/nodes.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>

/* This process serves one. */
struct mergefuse {
    struct merge *merge;
    int head_fd;
    pthread_rwlock_t names;
    pthread_mutex_t table; /* guards nodes and the lists of open files */
    struct nodes nodes;
};
extern struct mergefuse mergefuse_it;

/* FUSE's handle of an open file is its address. */
struct mergefuse_file {
    int fd;
    enum merge_side side;
    struct node *node;
    struct mergefuse_file *next; /* of the same node */
};

static inline struct node *mergefuse_node(fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? &mergefuse_it.nodes.root : (struct node *)(uintptr_t)ino;
}

static inline struct mergefuse_file *mergefuse_file(const struct fuse_file_info *fi)
{
    return (struct mergefuse_file *)(uintptr_t)fi->fh;
}

/* Of a system call. */
static inline int mergefuse_result(long rc)
{
    return rc < 0 ? -errno : (int)rc;
}

/* ---- shared.c ---- */

/* 0 or a negative errno. */
void mergefuse_reply(fuse_req_t req, int rc);
/* The path of name (NULL: none) in ino. The caller holds names. */
MUST int mergefuse_path(fuse_ino_t ino, const char *name, char text[PATH_MAX]);
/* The same, but take names for reading and for writing, also on failure. */
MUST int mergefuse_begin(fuse_ino_t ino, const char *name, char text[PATH_MAX]);
MUST int mergefuse_begin_change(fuse_ino_t ino, const char *name, char text[PATH_MAX]);
/* Gives names back. */
void mergefuse_end(void);
/* Real root serves all users: what was made at path, with result rc, belongs to who made it.
 * Returns rc, or why not. */
MUST int mergefuse_give(fuse_req_t req, int rc, const char *path);
/* What path, which is name in parent, is now; the node counts as known to the kernel. */
MUST int mergefuse_find_entry(fuse_ino_t parent, const char *name, const char *path,
                              struct fuse_entry_param *e);
void mergefuse_forget(fuse_ino_t ino, uint64_t count);

/* ---- the kinds of requests: each adds its operations ---- */

void mergefuse_names(struct fuse_lowlevel_ops *ops);
void mergefuse_attr(struct fuse_lowlevel_ops *ops);
void mergefuse_files(struct fuse_lowlevel_ops *ops);
void mergefuse_dirs(struct fuse_lowlevel_ops *ops);
void mergefuse_xattr(struct fuse_lowlevel_ops *ops);

#endif
