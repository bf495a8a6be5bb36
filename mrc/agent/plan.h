/* SPDX-License-Identifier: GPL-2.0-or-later */
/* plan.h: in which steps a view is put together, given what exists on the target.
 * Must not know: how a step is done (build.c); it asks about the target through plan_oracle and
 * touches nothing.
 *
 * The new root is built in layers, short paths first. Where the target has no directory to
 * mount a head tree on, one must be made without changing the target: the deepest directory
 * that exists is covered by a *skeleton*, a small file system of ours that shows the same
 * entries (each bound in, sealed read-only afterwards, so that creating a name there fails with
 * EROFS instead of being silently lost). The root directory of the home view is such a skeleton
 * always. Only in directories that everybody may write to (sticky, such as /tmp), which jobs
 * must be able to write to as well, a directory is really made: a *place*, see place.h.
 *
 * Invariant: every step's path lies under a path of an earlier step, or is "/". */
#ifndef MRC_AGENT_PLAN_H
#define MRC_AGENT_PLAN_H

#include "mrc/agent/view.h"

enum { PLAN_STEPS_MAX = 8 * VIEW_MOUNTS_MAX + 16 }; /* at most 8 to prepare one tree */

enum plan_kind {
    PLAN_SKELETON, /* mount an empty file system here; has_source: with the entries that the
                      target's directory has, but for those that a later PLAN_MKDIR makes in it
                    */
    PLAN_MKDIR,    /* make this directory, and those on the way, inside the skeleton that is
                      base_len long */
    PLAN_BIND,     /* the target's directory of this name, with all that is mounted in it */
    PLAN_PLACE,    /* make sure that the target has this directory, and keep it there */
    PLAN_HEAD,     /* mount the head's tree */
    PLAN_TARGET,   /* like PLAN_BIND, for a tree that was asked for (may be a file) */
    PLAN_MERGE,    /* the head's tree over the target's directory, if has_source */
    PLAN_SCRATCH   /* overlay that takes the writes */
};

/* path is not terminated: the step is about path[0 .. path_len). */
struct plan_step {
    enum plan_kind kind;
    const char *path; /* borrowed from the mounts, or static */
    size_t path_len;
    size_t base_len; /* PLAN_MKDIR */
    bool has_source; /* PLAN_SKELETON, PLAN_MERGE */
    bool is_read_only;
    size_t export_number; /* PLAN_HEAD, PLAN_MERGE */
};

struct plan {
    size_t count;
    struct plan_step steps[PLAN_STEPS_MAX];
};

/* What the target has at a path. */
struct plan_node {
    bool exists;
    bool is_dir;         /* after following symbolic links */
    bool is_link;        /* the last component is a symbolic link */
    bool is_shared_temp; /* directory with sticky bit that everybody may write to */
    bool is_searchable;  /* directory that we may go through */
};

struct plan_oracle {
    /* Fills *out for path (terminated); what can't be known counts as not existing. */
    void (*look)(void *ctx, const char *path, struct plan_node *out);
    void *ctx;
};

/* Fills *out, whose steps point into o->mounts. Returns 0; -EINVAL for paths that are not clean
 * or can't come from the head, -EEXIST for two trees at one path, -ENOENT for a target tree
 * that isn't there, -ENOTDIR, -ENOSPC over a limit, -EOPNOTSUPP for VIEW_OVERLAY; all with
 * words. */
MUST int plan_make(const struct view_opts *o, const struct plan_oracle *t, struct plan *out,
                   struct err *e);

/* Whether a later step of p makes dir[0 .. dir_len)/name itself, so that the skeleton at dir
 * must not show the target's entry of that name. */
bool plan_makes(const struct plan *p, const char *dir, size_t dir_len, const char *name);

/* One line per step, for tests and traces. Returns 0 or -ENOSPC. */
MUST int plan_print(const struct plan *p, char *text, size_t size_bytes);

#endif
