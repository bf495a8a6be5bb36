/* SPDX-License-Identifier: GPL-2.0-or-later */
/* view.h: builds the root directory that a job sees: the target's own trees with the head's
 * mounted in at their own paths, in namespaces of the job's own.
 * Must not know: the session, the file protocol, how the job is started.
 *
 * Who does what:
 *   agent   view_probe() once; view_socketpair(); fork(). The child calls view_enter(). The
 *           agent stays outside of all namespaces and goes on running its loop, because it
 *           answers the FUSE requests that building the view causes: for each VIEW_MSG_FUSE it
 *           attaches the descriptor to its file client. VIEW_MSG_DONE or VIEW_MSG_FAILED ends
 *           the conversation.
 *   child   view_enter() (user and mount namespace, root directory, working directory), then
 *           view_start_init(), which forks the first process of the job's pid namespace and
 *           mounts /proc there. The child then waits for it (view_wait_init) and does no more.
 *   init    a small supervisor of the caller's: starts the job, reaps orphans. When it dies the
 *           kernel kills everything in the pid namespace and all mounts go away. Before the
 *           job's exec it calls view_drop_privilege() in the job's process.
 *   agent   view_cleanup() when the job is over, and once at its start.
 *
 * A view that jobs share (keep.h) has no init: its child calls view_enter() and view_hold(). The
 * child of each job calls view_join() in place of view_enter().
 *
 * Source: docs/ARCHITECTURE.md, "The view"; user_namespaces(7), pivot_root(2). */
#ifndef MRC_AGENT_VIEW_H
#define MRC_AGENT_VIEW_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    VIEW_MOUNTS_MAX =
        128, /* trees in one view: MFS_EXPORTS_MAX from the head, as many others */
    VIEW_ENTRIES_MAX = 50000 /* names of a directory whose copy must be built, see plan.h */
};

enum view_kind {
    VIEW_HEAD,    /* the head's tree, export export_number */
    VIEW_TARGET,  /* the target's own directory, inside a head tree */
    VIEW_SCRATCH, /* what the view shows at path; writes stay on the target and vanish */
    VIEW_OVERLAY  /* the head's files first, then the target's */
};

/* path: absolute, without "." and ".." and double slashes, as the job names it. */
struct view_mount {
    enum view_kind kind;
    const char *path;
    size_t export_number; /* VIEW_HEAD, VIEW_OVERLAY */
    bool is_read_only;
};

/* By which privilege the view is built, best first. */
enum view_means {
    VIEW_MEANS_NONE,
    VIEW_MEANS_ROOT,       /* real root: mount and pid namespaces, no user namespace */
    VIEW_MEANS_USERNS,     /* user namespace, FUSE mounted inside */
    VIEW_MEANS_FUSERMOUNT, /* fusermount3 outside, bound in inside a user namespace */
    VIEW_MEANS_DIRECT      /* fusermount3 over existing directories; no namespaces at all */
};

/* What works on this computer, and why not. */
struct view_probe {
    enum view_means means;
    bool has_user_ns;
    bool has_pid_ns; /* with a /proc of its own */
    bool has_fuse;   /* mounted by ourselves, inside the namespaces */
    bool has_fusermount;
    bool has_overlay; /* for VIEW_SCRATCH */
    /* One sentence each with the remedy; empty when it works. */
    struct err no_user_ns;
    struct err no_pid_ns;
    struct err no_fuse;
    struct err no_fusermount;
    struct err no_overlay;
};

/* Tries everything for real in child processes (some milliseconds). cache_dir as in view_opts,
 * may be NULL. Always fills *out. */
void view_probe(const char *cache_dir, struct view_probe *out);

/* The one sentence for means == VIEW_MEANS_NONE: what is missing and what would help. */
void view_probe_text(const struct view_probe *p, struct err *e);

struct view_opts {
    const struct view_probe *probe; /* what view_probe() found */
    const struct view_mount *mounts;
    size_t count;
    /* The root directory is the head's: mounts[] then has a VIEW_HEAD with path "/"; /proc,
     * /sys, /dev, /run and /tmp are the target's. Otherwise the root is the target's. */
    bool is_root_view;
    const char *cwd; /* absolute; must exist in the view */
    /* The identity that the job is shown inside a user namespace; outside it is always ours.
     * Without a user namespace (real root, direct) the job keeps the ids it has: root stays
     * root, also in a root view of another user's head; see view_report. */
    uid_t job_uid;
    gid_t job_gid;
    const char *cache_dir; /* absolute, exists, ours: records of places, upper layers */
    const char *source;    /* first column of /proc/mounts for head trees; NULL: "mrc" */
    /* Text of mount(2)'s data argument for the FUSE mount of an export; called in the child, so
     * it may only read memory. NULL: a plain default (allow_other, default_permissions). */
    int (*mount_text)(void *ctx, size_t export_number, int fuse_fd, uid_t uid, gid_t gid,
                      bool allow_other, char *text, size_t size_bytes);
    void *ctx;
    bool shows_mrc; /* in /.mrc, for a job that may start others */
    bool is_bare; /* no trees, no namespaces: the job is among the target's other processes */
    bool no_pid_ns; /* don't use a pid namespace even if it works */
    /* Root view: show the target's /etc/resolv.conf in place of the head's, so that names
     * resolve in the target's network. */
    bool wants_target_resolver;
};

struct view_report {
    enum view_means means;
    bool has_pid_ns; /* false: the caller must kill the job's tree itself, as subreaper */
    uid_t uid;       /* the job's ids as the job sees them */
    gid_t gid;
    pid_t init_pid; /* as the agent sees it; set from view_start_init() on */
    /* Shortcomings that the user may want to know with -v ("/home has 12000 entries: …");
     * lines, cut at the size. */
    char notes[1024];
};

/* --- between the child and the agent --- */

enum view_message_kind {
    VIEW_MSG_FUSE,  /* a mounted /dev/fuse of export_number: serve it now */
    VIEW_MSG_MOUNT_NS, /* of a view that is held: the namespace that jobs copy */
    VIEW_MSG_USER_NS,  /* and the one that they enter, if there is one */
    VIEW_MSG_DONE,  /* the view stands and init runs: report */
    VIEW_MSG_FAILED /* rc and words */
};

struct view_message {
    enum view_message_kind kind;
    size_t export_number;
    int fd; /* of FUSE, MOUNT_NS, USER_NS: the receiver's to close; else -1 */
    int rc;
    bool is_cwd; /* what failed is the way to the working directory */
    struct view_report report;
    struct err err;
};

/* A pair of sockets that keep messages whole, close-on-exec, pair[0] (the agent's end)
 * non-blocking. */
MUST int view_socketpair(int pair[2]);

/* Next message of the child. Returns 1, 0 when the child is gone, -EAGAIN when there is none
 * yet, -EPROTO for something else than a message. */
MUST int view_receive(int sock, struct view_message *out);

/* --- in the child --- */

/* The ids with which the file client must show the head user's own files for these means (see
 * mfs_client_opts.own_uid): job_uid and job_gid inside a user namespace with FUSE mounted
 * inside, ours otherwise. */
void view_owner(const struct view_probe *p, uid_t job_uid, gid_t job_gid, uid_t *uid_out,
                gid_t *gid_out);

/* Builds the view around the calling process, which must be a single-threaded child made by
 * fork() for it, and changes to o->cwd there. Sends VIEW_MSG_FUSE messages over sock on the
 * way; on failure also VIEW_MSG_FAILED, and then the process is good for nothing but _exit. The
 * process dies when its parent does. Returns 0, or -errno with words. */
MUST int view_enter(const struct view_opts *o, int sock, struct view_report *r, struct err *e);

/* Forks the job's init: process 1 of a new pid namespace with its own /proc, or without one
 * (r->has_pid_ns false) an ordinary child. In the parent *pid_out is its pid and VIEW_MSG_DONE
 * has been sent; in init *pid_out is 0. Init is killed when the parent dies, and must keep
 * the close-on-exec descriptors that it inherits (r of view_enter may hold locks in them).
 * Returns 0, or -errno with words (VIEW_MSG_FAILED has been sent). */
MUST int view_start_init(const struct view_opts *o, int sock, struct view_report *r,
                         pid_t *pid_out, struct err *e);

/* After view_enter, for a view that jobs are to share: passes its namespaces on, says that it
 * stands, and keeps it until killed; only for means ROOT and USERNS. Returns only on failure (told): -errno. */
MUST int view_hold(int sock, struct view_report *r, struct err *e);

/* Enters a copy of a held view: as view_enter, with the report of the view's own agent in place of
 * o->probe and o->mounts. user_ns_fd: -1 if it has none. Mounts made from now on are in the copy only. */
MUST int view_join(const struct view_opts *o, const struct view_report *held, int mount_ns_fd,
                   int user_ns_fd, int sock, struct view_report *r, struct err *e);

/* Waits for init and returns its wait status. */
int view_wait_init(pid_t pid);

/* Right before the job's exec: gives up the capabilities with which the view was built, also
 * for a job that is shown as root in a user namespace. Does nothing for real root. */
MUST int view_drop_privilege(const struct view_report *r, struct err *e);

/* --- in the agent, afterwards --- */

/* Removes what views that are over have left outside of their namespaces: mount points in
 * shared temporary directories (those that no other view uses), upper layers of VIEW_SCRATCH,
 * FUSE mounts of VIEW_MEANS_DIRECT and _FUSERMOUNT. Whatever is in use is left for a later
 * call. Call after the job's processes are dead, and at the agent's start. */
void view_cleanup(const char *cache_dir);

#endif
