/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keep.h: a view that outlives a job: lets jobs of this user on this computer into it.
 * Must not know: how the view was built, the session.
 * Threads: all calls but keep_listen are for the thread that runs the view's file client.
 * Source: docs/views.md. */
#ifndef MRC_AGENT_KEEP_H
#define MRC_AGENT_KEEP_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrc/agent/view.h"
#include "mrc/job.h"
#include "mrcfs/mrcfs.h"

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    KEEP_NAME_BYTES = 8,  /* of the view's id: where it is met; the rest is known to its jobs only */
    KEEP_JOINS_MAX = 256, /* jobs in one view at a time */
};

enum keep_kind { KEEP_JOIN, KEEP_BARRIER, KEEP_STATS, KEEP_USED };

/* Both ends are the same program (the id is told only to jobs of the same connection, whose key has
 * the agents' hashes), so structs are messages, one to a packet. Behind KEEP_JOIN's request and the answer to KEEP_USED comes a
 * profile (docs/profiles.md): what the job will ask for, and what was asked for since it joined. */
struct keep_request {
    enum keep_kind kind;
    uint64_t mark; /* KEEP_JOIN: of struct mfs_serve_opts, must be in effect first */
    uint8_t id[JOB_KEEP_ID_BYTES];
};

/* To KEEP_JOIN come the descriptors of the namespaces (mount, then user if there is one) and
 * first the page of struct mfs_behind_count. */
struct keep_answer {
    enum keep_kind kind;
    bool is_shared; /* other jobs were in the view since this one joined */
    int lost_rc;    /* KEEP_BARRIER: what was lost meanwhile of what was written in the view; 0: nothing */
    char lost[200]; /* in words */
    struct mfs_stats stats;
    struct view_report report;
};

/* Where a view's jobs find it; the length for bind and connect. */
socklen_t keep_address(const uint8_t id[JOB_KEEP_ID_BYTES], struct sockaddr_un *out);

/* From now on jobs can knock; they are heard when keep_new was called. */
MUST int keep_listen(const uint8_t id[JOB_KEEP_ID_BYTES], int *fd_out);

struct keep;

struct keep_opts {
    struct loop *loop;
    struct mfs_client *client;
    uint64_t mark; /* in effect already */
    uint8_t id[JOB_KEEP_ID_BYTES];
    /* Taken. */
    int listen_fd;
    int page_fd;
    int mount_ns_fd;
    int user_ns_fd; /* -1: the jobs stay in that of the agent */
    int over_fd;    /* closed when it is over: after keep_finish, with the last job */
    struct view_report report;
};

/* The descriptors are taken on failure too. */
MUST int keep_new(const struct keep_opts *o, struct keep **out);
void keep_mark(struct keep *k, uint64_t mark);
/* No further job is let in. */
void keep_finish(struct keep *k);
/* Jobs that are in it see its end. */
void keep_free(struct keep *k);

#endif
