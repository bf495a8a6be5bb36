/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trees.h: which trees the job sees, and what the file server serves for it.
 * Must not know: how they get there. */
#ifndef MRC_TREES_H
#define MRC_TREES_H

#include "mrc/options.h"
#include "mrcfs/mrcfs.h"

enum { MRC_TREES_MAX = 100, MRC_HIDING_MAX = 512 };

struct mrc_tree {
    int kind; /* enum view_kind of mrc/agent/view.h, whose numbers are on the wire */
    char *path;
    bool is_read_only;
    bool is_default;      /* not asked for by name: gives way to what is */
    size_t export_number; /* head trees */
};

struct mrc_trees {
    char *home; /* as $HOME or the user database names it */
    char *cwd;
    struct mrc_tree list[MRC_TREES_MAX];
    size_t count;
    struct mfs_export exports[MFS_EXPORTS_MAX];
    size_t export_count;
    char *hide[MRC_HIDING_MAX];
    size_t hide_count;
    char *show[MRC_HIDING_MAX];
    size_t show_count;
    bool cwd_is_targets; /* the working directory is a system directory: the target's own is
                            used */
};

/* Decides from the options, $HOME and the working directory. Returns 0 or -errno with words. */
MUST int mrc_trees_make(const struct mrc_options *o, struct mrc_trees *t, struct err *e);
void mrc_trees_fini(struct mrc_trees *t);

/* The head's tree that the job sees path (absolute) in; NULL: it is the target's, or overlaid. */
const struct mrc_tree *mrc_trees_head_of(const struct mrc_trees *t, const char *path);

/* How the file server is to serve them. Borrows t. */
struct mfs_serve_opts mrc_trees_serve(const struct mrc_trees *t);

#endif
