/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuse.h: inside of this folder, the only one of the file client that knows libfuse: the
 * kernel's requests become calls of the server, the answers its replies. Must not know:
 * sockets, how calls travel. */
#ifndef MRCFS_CLIENT_FUSE_FUSE_H
#define MRCFS_CLIENT_FUSE_FUSE_H

#include "common/base/wire.h"
#include "mrcfs/chunks/put.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/session.h"

#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct mfs_opened;
struct mfs_piece;

/* ---- request.c ---- */

struct mfs_session *mfs_fuse_session(fuse_req_t req);
/* Who asks, in the server's numbers: who nobody there is, asks as nobody. */
struct mfs_caller mfs_fuse_caller(fuse_req_t req);
/* Who asks to change what is in or about node, or to make a file in it. If it has the
 * set-group-id bit and the caller is in its group by a supplementary one, which the server
 * can't know, that group takes the place of the main one: whether the bit may stay depends on
 * it, and nothing else does. */
struct mfs_caller mfs_fuse_caller_of(fuse_req_t req, uint64_t node);
struct mfs_caller mfs_fuse_member(const struct mfs_session *s, struct mfs_caller who,
                                  uint64_t node);
struct mfs_caller mfs_fuse_mapped_caller(const struct mfs_client *c, uint32_t uid, uint32_t gid,
                                         uint32_t pid);
/* A call for req about node ino, or NULL, and req has been answered. */
struct mfs_call *mfs_fuse_begin(fuse_req_t req, fuse_ino_t ino, mfs_reply_fn fn);
/* Before call, not sent, waits for the answer to another one (scan.h, ahead.h): its process may be killed meanwhile. */
void mfs_fuse_waiting(struct mfs_call *call);
/* After the call was sent; rc is what sending returned. */
void mfs_fuse_sent(struct mfs_call *call, int rc);
/* The positive errno for the kernel. */
int mfs_fuse_errno(int rc);
void mfs_fuse_error(fuse_req_t req, int rc);
/* Answers req with the failure of earlier writes to n, answered before they were made, of which
 * nobody was told. False: there is none. */
MUST bool mfs_fuse_tell_behind(fuse_req_t req, struct mfs_known *n);
/* The answer to what returns nothing: only the error counts. */
int mfs_fuse_done(struct mfs_call *call, int rc, struct rd *body);

#define SEND(op, call, m, var_bytes)                                                           \
    do {                                                                                       \
        struct mfs_caller who = mfs_fuse_caller((call)->req);                                  \
        mfs_fuse_sent(call, mfs_send_##op(call, &who, m, var_bytes));                          \
    } while (0)
/* The same for what changes node. */
#define SEND_CHANGE(op, call, node, m, var_bytes)                                              \
    do {                                                                                       \
        struct mfs_caller who = mfs_fuse_caller_of((call)->req, node);                         \
        mfs_fuse_sent(call, mfs_send_##op(call, &who, m, var_bytes));                          \
    } while (0)

/* ---- the kinds of requests: each adds its operations ---- */

void mfs_fuse_entries(struct fuse_lowlevel_ops *ops);
void mfs_fuse_attr(struct fuse_lowlevel_ops *ops);
void mfs_fuse_xattr(struct fuse_lowlevel_ops *ops);
void mfs_fuse_open(struct fuse_lowlevel_ops *ops);
void mfs_fuse_data(struct fuse_lowlevel_ops *ops);
void mfs_fuse_dir(struct fuse_lowlevel_ops *ops);
void mfs_fuse_lock(struct fuse_lowlevel_ops *ops);
void mfs_fuse_statfs(struct fuse_lowlevel_ops *ops);

/* statfs.c: a directory is being opened: who goes through directories may ask for the file
 * system's room next. */
void mfs_fuse_space_ahead(struct mfs_session *s, const struct mfs_caller *who);

/* open.c: what the server said when it opened call's file for node. */
void mfs_fuse_learn_opened(struct mfs_call *call, const struct mfs_open_rep *m);
/* later.c: opens f for reading without asking the server, as far as that can be. False: it must be asked. */
MUST bool mfs_fuse_begin_later(struct mfs_session *s, struct mfs_opened *f, const struct mfs_caller *who);

/* fetch.c: reads by way of the cache of chunks, if there is one and the file is large enough. False: nothing was
 * done. */
bool mfs_fuse_fetch(fuse_req_t req, fuse_ino_t ino, struct mfs_opened *f, size_t size,
                    off_t offset);
/* The same ahead of the kernel, of a file of which mfs_fuse_may_fetch: mfs_fuse_piece_came is
 * called, perhaps at once. *depth: the call's, unless there is none. False: nothing was done. */
struct mfs_piece_range {
    uint64_t offset;
    size_t size;
    bool is_last; /* of those that are asked for together */
};
bool mfs_fuse_may_fetch(const struct mfs_session *s, const struct mfs_opened *f);
bool mfs_fuse_fetch_piece(struct mfs_session *s, const struct mfs_caller *who,
                          struct mfs_opened *f, const struct mfs_piece_range *at,
                          struct mfs_piece *p, uint64_t *depth);
/* readahead.c: what was asked for ahead of the kernel is there, or rc says why not: then came is
 * NULL or is freed. Takes came's memory. */
struct mfs_piece_bytes {
    void *memory; /* to be freed */
    const uint8_t *ptr;
    size_t len_bytes;
};
void mfs_fuse_piece_came(struct mfs_piece *p, int rc, const struct mfs_piece_bytes *came);
/* The file that it is for; NULL: closed, or nobody wants it any more. */
struct mfs_opened *mfs_fuse_piece_file(const struct mfs_piece *p);
/* The kernel reads of f: from what was asked for ahead, or by asking for it. */
void mfs_fuse_read_on(fuse_req_t req, fuse_ino_t ino, struct mfs_opened *f, size_t size,
                      off_t offset);
/* put.c: this chunk of a file came from the server. */
void mfs_fuse_saw(struct mfs_client *c, const struct mfs_seen_chunk *x);
/* A write that is answered before it is made is sent by names as far as the server has it. False: it was not sent. */
MUST bool mfs_fuse_put(struct mfs_call *call, const struct mfs_caller *who,
                       const struct mfs_write_req *m);
/* data.c: reads from the server. */
void mfs_fuse_read(fuse_req_t req, fuse_ino_t ino, uint64_t fh, size_t size, uint64_t offset);

/* Handles in if it is one that libfuse doesn't know. False: it is libfuse's. */
bool mfs_fuse_take_raw(struct mfs_session *s, const struct mfs_raw_request *in);

/* ---- what they share ---- */

static inline struct mfs_opened *mfs_fuse_opened(const struct fuse_file_info *fi)
{
    return (struct mfs_opened *)(uintptr_t)fi->fh;
}

/* Checks an entry from the server and enters its node. Returns 0, -EPROTO, -ENOMEM (then the
 * server has been told to forget it). */
MUST int mfs_fuse_take_entry(struct mfs_session *s, uint64_t parent, const struct mfs_entry *e,
                             struct fuse_entry_param *p);
/* The same for a node whose attributes are granted: the kernel is being told of it once more.
 */
void mfs_fuse_known_entry(struct mfs_session *s, struct mfs_known *n,
                          struct fuse_entry_param *p);
void mfs_fuse_forget(struct mfs_session *s, uint64_t node, uint64_t nlookup);
/* The names of a list that the kernel will not be told of with their nodes. */
void mfs_fuse_drop_entries(struct mfs_session *s, struct rd r);
/* Attributes as they are shown here; n may be NULL. */
void mfs_fuse_stat(const struct mfs_session *s, struct mfs_known *n, const struct mfs_attr *is,
                   struct stat *st);
double mfs_fuse_seconds(uint32_t valid_ms);
struct mfs_fuse_created {
    struct mfs_create_rep m;
    struct fuse_entry_param entry;
    struct fuse_file_info fi;
};

/* create and tmpfile answer alike. Returns 0, or -EPROTO: body is malformed. *rc is what the
 * server said, and becomes what the kernel is to be told: if 0, the file is call->file and
 * described by *new, and mfs_fuse_undo_create takes it back if the kernel doesn't want it any
 * more; if negative, call->file is freed. */
MUST int mfs_fuse_take_created(struct mfs_call *call, int *rc, struct rd *body,
                               struct mfs_fuse_created *new);
void mfs_fuse_undo_create(struct mfs_call *call, const struct mfs_create_rep *m);
/* A closing was answered: the lock requests that waited for it. */
void mfs_fuse_resume_locks(struct mfs_known *n);

#endif
