/* SPDX-License-Identifier: GPL-2.0-or-later */
/* join.h: a job's way into a kept view (keep.h), seen from the job.
 * Must not know: the session, how a job is started. */
#ifndef MRC_AGENT_JOIN_H
#define MRC_AGENT_JOIN_H

#include "common/sys/loop.h"
#include "mrc/agent/keep.h"

/* What a job holds of the view that it shares. Zeroed by JOINED_NONE. */
struct joined {
    int sock;        /* to the view's agent; -1: none is shared */
    int mount_ns_fd; /* until the view is entered */
    int user_ns_fd;
    struct view_report report;
    const struct mfs_behind_count *behind; /* the page */
    struct mfs_stats stats;                /* when it was joined */
};
#define JOINED_NONE { .sock = -1, .mount_ns_fd = -1, .user_ns_fd = -1 }
void joined_fini(struct joined *j);

/* Waits on the loop until the view lets us in. on_done is called once, from the loop, with rc 0 and
 * *out filled, or -errno and words: -ETIMEDOUT; -ECONNRESET the view ended; -EPERM what answers is
 * not ours. */
struct joining;
struct joining_opts {
    struct loop *loop;
    uint8_t id[JOB_KEEP_ID_BYTES];
    uint64_t mark;
    struct bytes profile; /* to be followed, may be empty; outlives the joining */
    struct joined *out;
    void (*on_done)(void *ctx, int rc, const char *why);
    void *ctx;
};
MUST int joining_start(const struct joining_opts *o, struct joining **out);
void joining_free(struct joining *j);

/* In the supervisor, at the job's end: asks for word when all that was asked for through the view is
 * done at the head, and waits for that word. Return 0; -ECONNRESET the view has ended; _wait also -ETIMEDOUT: to be
 * called again. *lost_rc: 0, or with words what was lost of what was written in the view since the job joined. */
MUST int joined_barrier(const struct joined *j);
MUST int joined_barrier_wait(const struct joined *j, int timeout_ms, int *lost_rc, struct err *lost);
/* What the view's client has asked for since the job joined; *is_shared_out: other jobs' requests may be among them. Blocks a moment. */
MUST int joined_stats(const struct joined *j, struct mfs_stats *out, bool *is_shared_out);

/* What the view's client was asked for since the job joined, as a profile, into room of MFS_PROFILE_MAX bytes. Returns its
 * length, 0 if there is none. Blocks a moment. */
size_t joined_used(const struct joined *j, uint8_t *room);

#endif
