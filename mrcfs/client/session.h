/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session.h: inside of the file client: one session with the kernel, that is one mounted
 * export. Must not know: libfuse's interface. */
#ifndef MRCFS_CLIENT_SESSION_H
#define MRCFS_CLIENT_SESSION_H

#include "common/base/list.h"
#include "common/sys/loop.h"
#include "mrcfs/client/covered.h"
#include "mrcfs/client/ahead.h"
#include "mrcfs/client/deferred.h"
#include "mrcfs/client/dentries.h"
#include "mrcfs/client/known.h"
#include "mrcfs/client/rawfuse.h"
#include "mrcfs/client/scan.h"
#include "mrcfs/client/shed.h"
#include "mrcfs/client/space.h"
#include "mrcfs/client/warm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuse_session;
struct mfs_call;
struct mfs_client;
struct mfs_open_rep;
struct mfs_opened;

enum { MFS_FUSE_ROOT = 1 }; /* the root's number for the kernel */

struct mfs_session {
    struct link link;
    struct mfs_client *client;
    size_t export_number;
    uint64_t root; /* the server's number of the node that FUSE calls 1 */
    struct fuse_session *se;
    int fd;
    struct loop_fd watch;
    struct mfs_known_table nodes;
    struct mfs_dentries names;
    uint32_t expiries; /* of all leases so far */
    size_t reader_count;
    struct link readers; /* struct mfs_handle: that was used last at the end */
    struct link contents; /* own.h: nodes whose contents are known, that was used last at the end */
    size_t content_bytes;
    struct link dropped; /* struct mfs_handle: dropped for recalls that are not answered yet */
    struct link files; /* struct mfs_opened: the kernel may go without closing them */
    struct mfs_deferred deferred;
    struct link again; /* nodes whose notice is to be repeated */
    struct loop_timer again_timer;
    struct mfs_raw_init init;
    bool is_detached;
    struct mfs_ahead ahead;
    uint64_t change_count; /* of nodes, by us or recalled, so far */
    struct mfs_scan scan;
    struct link parts; /* paths.h: lookups under way */
    struct mfs_space space; /* of the root's file system */
    struct link warmings; /* struct mfs_warming: profiles that are followed */
    struct mfs_shed shed;
    struct mfs_covered covered[MFS_COVERED_MAX];
};

/* FUSE's node 1 is the export's root, whatever its number; that number's own owner, should it
 * have one, gets the other. Its own inverse. */
static inline uint64_t mfs_session_swap_root(const struct mfs_session *s, uint64_t number)
{
    if (number == MFS_FUSE_ROOT)
        return s->root;
    return number == s->root ? MFS_FUSE_ROOT : number;
}

/* The node that the kernel calls number; NULL: nothing is known of it. */
static inline struct mfs_known *mfs_session_known(const struct mfs_session *s, uint64_t number)
{
    return mfs_known_find(&s->nodes, mfs_session_swap_root(s, number));
}

/* Answers the kernel's open that call stands for: with what the server said, or with rc if it
 * is negative. Implemented by fuse/open.c. */
void mfs_session_answer_open(struct mfs_call *call, int rc, const struct mfs_open_rep *m);

/* Files that are open here and not yet at the server, by fuse/later.c. Who else may change node n soon: they are opened there.
 * The kernel's request is kept until then, and false is returned if it is none of those that wait. */
void mfs_session_open_later(struct mfs_session *s, struct mfs_known *n);
MUST bool mfs_session_take_later(struct mfs_session *s, const struct mfs_raw_request *in, const void *ptr,
                                 size_t len_bytes);
/* f is being closed. */
void mfs_session_end_later(struct mfs_opened *f);

/* Reading ahead, by fuse/readahead.c. f is being closed. */
void mfs_session_end_reading(struct mfs_opened *f);
/* What was asked for of node ahead is of no use any more. */
void mfs_session_drop_read(struct mfs_session *s, uint64_t node);

#endif
