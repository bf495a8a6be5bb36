/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scan.h: whole lists of directories under lease: asked for by one request, and, when
 * directories are visited one after the other, before anybody asks for them. Must not know:
 * FUSE. */
#ifndef MRCFS_CLIENT_SCAN_H
#define MRCFS_CLIENT_SCAN_H

#include "common/base/attr.h"
#include "common/base/list.h"
#include "common/base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_call;
struct mfs_caller;
struct mfs_known;
struct mfs_session;

enum {
    MFS_LIST_OPEN_BYTES = 256 << 10, /* what the kernel's own opendir asks for at once */
    MFS_LIST_AHEAD_BYTES = 32 << 10, /* of a directory that nobody has opened yet; twice as many as lists have, if these are longer */
    MFS_LISTS_MAX = 128,             /* asked for ahead at a time */
    MFS_LISTS_BYTES_MAX = 1 << 20, /* and so many bytes of answers, by what they were so far */
    MFS_SCAN_FIRST = 8, /* directories ahead of the first one that is opened; four times as many
                           at each further one */
    MFS_SCAN_MAX = 512,
    /* Names in these. A third of the tokens that the server keeps (MFS_MEMBER_TOKENS_MAX): what is listed must be there still when it
       is visited. */
    MFS_SCAN_NAMES_MAX = 16 * 1024,
};

/* Where a list that is being learned from has got to: its last node, its last directory, names so far. */
struct mfs_order {
    uint64_t last, last_dir;
    uint32_t names;
};

/* Of a session. */
struct mfs_scan {
    struct link flights; /* lists under way */
    size_t count;        /* those that were asked for ahead */
    size_t bytes;        /* what they are expected to bring */
    size_t typical;      /* bytes of a list */
    uint64_t current;    /* the directory opened last that was listed by its parent */
    unsigned window;     /* directories to be ahead of it */
    bool is_backward;    /* it was visited after the one that follows it in the list */
    uint32_t uid, gid;   /* of whom it was opened for */
    uint64_t missed_in;   /* where the directory lies in which a name was last looked up that nothing was known of */
    uint64_t missed_last; /* that directory */
    unsigned missed;      /* how many of those beside each other that were in turn */
};

/* How a flight ended, for calls that waited for it. */
struct mfs_landing {
    int rc;
    /* Of the call that it was made for; empty for others: what came may be older than they are.
     */
    struct bytes entries; /* without nodes */
    bool is_eof;
};

/* Notes what a part of a list says of its names and their nodes, call being what it answers,
 * and leaves the part without nodes in out. order: zero at the list's start. *is_whole: all of
 * them are granted. Returns 0 or -EPROTO. */
MUST int mfs_scan_learn(struct mfs_call *call, struct bytes list, struct mfs_order *order,
                        struct wr *out, bool *is_whole);
/* node was listed after what order says, in directory dir. */
void mfs_scan_note_order(struct mfs_session *s, struct mfs_order *order, uint64_t dir,
                         struct mfs_known *n, bool is_dir);

/* Is it worth asking for the list of call's directory in size bytes? */
bool mfs_scan_may_list(const struct mfs_session *s, uint64_t node, uint32_t size);
/* Asks for the list of call's directory; call, not sent, is resumed when it is there. False:
 * nothing was done. */
MUST bool mfs_scan_list(struct mfs_call *call, const struct mfs_caller *who);
/* call, not sent, is resumed when a list of its directory that is under way is there. False:
 * none is. */
MUST bool mfs_scan_wait(struct mfs_call *call);
/* A call for a list, of a directory that is known later (paths.c): then _expected, with its node.
 * _unexpect: it was not sent. NULL: no room. */
struct mfs_call *mfs_scan_expect(struct mfs_session *s, uint32_t size_bytes);
void mfs_scan_expected(struct mfs_call *call);
void mfs_scan_unexpect(struct mfs_call *call);
/* call doesn't wait any more, if it does. */
void mfs_scan_leave(struct mfs_call *call);
/* The kernel opens directory node: lists that will be wanted next are asked for. */
void mfs_scan_opened(struct mfs_session *s, uint64_t node, const struct mfs_caller *who);
/* A name in directory node is not known: its list is asked for if nothing is known of it. */
void mfs_scan_missed(struct mfs_session *s, uint64_t node, const struct mfs_caller *who);
/* The list of directory node will be wanted. Returns 1: it is under way; 0: it is known, or not to be had; -EAGAIN: there is no
 * room for it now. depth: of the answer that it is asked because of. */
MUST int mfs_scan_want(struct mfs_session *s, uint64_t node, const struct mfs_caller *who,
                       uint64_t depth);
/* The attributes of n are about to be dropped. */
void mfs_scan_lost(struct mfs_session *s, const struct mfs_known *n);
/* dir is being opened: if many of its files' attributes were dropped, its list is forgotten, so that one more brings them all. */
void mfs_scan_renew(struct mfs_known *dir);
/* What follows n when everything is visited in the order of the lists, directories after their
 * parents; NULL: nothing is known. */
struct mfs_known *mfs_scan_next(const struct mfs_session *s, const struct mfs_known *n);

#endif
