/* SPDX-License-Identifier: GPL-2.0-or-later */
/* build.h: does the steps of a plan, inside the namespaces.
 * Must not know: how the namespaces were entered, the session, the file protocol. */
#ifndef MRC_AGENT_BUILD_H
#define MRC_AGENT_BUILD_H

#include "mrc/agent/plan.h"
#include "mrc/agent/view.h"

struct build {
    const struct view_opts *o;
    struct view_report *report;
    int sock; /* where VIEW_MSG_FUSE goes */
    struct plan plan;
    /* Of each step, without symbolic links: the target's directory that it shows, or the one
     * that takes the writes of a PLAN_SCRATCH; NULL where it has none. */
    char *sources[PLAN_STEPS_MAX];
    int skeletons[PLAN_STEPS_MAX]; /* mounted skeletons, to be sealed */
    size_t skeleton_count;
    int root_fd; /* the new root, as far as it stands */
    uid_t uid;   /* as the mounts' owner, in our namespace */
    gid_t gid;
    bool is_user_ns;
    char
        *outside[VIEW_MOUNTS_MAX]; /* by export number: where fusermount3 mounted it, or NULL */
};

/* Adds a line to r->notes, as far as there is room. */
void view_note(struct view_report *r, const char *fmt, ...) PRINTF(2, 3);

/* Text of a path of the target, as it is reached while building: under /.old. Returns 0 or
 * -ENAMETOOLONG. */
MUST int build_old_path(const char *path, char *text, size_t size_bytes);

/* Tells the agent to serve fuse_fd; doesn't take it. */
MUST int view_send_fuse(int sock, size_t export_number, int fuse_fd, struct err *e);

/* Makes the plan and what it needs outside: sources, places, directories for layers. To be
 * called before any namespace is entered. Returns 0 or -errno with words. */
MUST int build_prepare(struct build *b, const struct view_opts *o, int sock,
                       struct view_report *r, struct err *e);

/* Builds the new root and changes into it. In the namespaces; b->uid, gid, is_user_ns set. */
MUST int build_run(struct build *b, struct err *e);

/* The namespaces and mounts stay. */
void build_free(struct build *b);

#endif
