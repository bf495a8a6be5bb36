/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve.h: the file server as a process of its own, apart from the one that speaks with the
 * target. Must not know: who asks. */
#ifndef MRC_SERVE_H
#define MRC_SERVE_H

#include "mrcfs/mrcfs.h"

/* The first byte of the request that an agent serve a directory ("serve-meta"); its path
 * follows.
 */
enum { MRC_SERVE_READ_ONLY = 1, MRC_SERVE_FOLLOW_LINKS = 2 };

struct mrc_server {
    pid_t pid;   /* 0 = none */
    int meta_fd; /* our ends of its streams; -1 = none */
    int bulk_fd;
    struct mfs_activity *activity; /* what it does; until mrc_serve_end; may be NULL */
};

/* Forks the server; o's descriptors are ignored but for mark_fd, which stays the caller's too. It must be called while there is one thread.
 * The process ends when both streams are closed, and when we die. */
MUST int mrc_serve_start(const struct mfs_serve_opts *o, struct mrc_server *out, struct err *e);

/* Waits for its end, which the closed streams cause: at most wait_ms, then kills it. Returns 0;
 * -EPROTO its client sent garbage, of which it has said nothing: the caller knows the host;
 * -EIO it failed, and its own words went to standard error. */
MUST int mrc_serve_end(struct mrc_server *s, int wait_ms);

#endif
