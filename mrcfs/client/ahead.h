/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ahead.h: opening ahead: when the small files of a directory are read one after the other, the
 * next ones are opened before anybody asks. */
#ifndef MRCFS_CLIENT_AHEAD_H
#define MRCFS_CLIENT_AHEAD_H

#include "common/base/attr.h"
#include "mrcfs/ops.h"

#include <stdbool.h>
#include <stdint.h>

struct mfs_call;
struct mfs_caller;
struct mfs_session;

enum {
    MFS_AHEAD_MAX = 256,           /* files opened ahead at a time under lease */
    MFS_AHEAD_UNLEASED_MAX = 64,   /* … and without */
    MFS_AHEAD_HINTS_MAX = 128,     /* of these because of a profile */
    MFS_AHEAD_BYTES_MAX = 1 << 20, /* what they are expected to bring, and have brought */
    MFS_AHEAD_LOST_FROM = 3,       /* doubts about the kernel's pages (below) that are believed */
    MFS_AHEAD_LOST_MAX = 16,
};

/* A file that was opened before anybody asked. */
struct mfs_ahead_file {
    uint64_t node; /* 0 = free */
    uint32_t uid;  /* of whom it was opened for */
    bool is_answered;
    bool is_hint;     /* because of a profile: makes room for others */
    bool is_stale;    /* a change was reported: not to be used */
    uint32_t changes; /* of the node, that it was opened after */
    /* Under lease: those of any kind; and those that were told. */
    uint32_t own_changes, told_count;
    bool is_clean;  /* the answer may be believed */
    uint64_t depth; /* round trips that it was had after */
    size_t bytes;   /* that come along */
    uint64_t asked_ms;
    struct mfs_open_rep rep; /* head points to the copy below */
    uint8_t *head;
    struct mfs_call *waiter; /* the kernel's open that came meanwhile; never sent */
};

struct mfs_ahead {
    struct mfs_ahead_file files[MFS_AHEAD_MAX];
    size_t bytes;         /* of all of them */
    size_t hints;         /* those because of profiles */
    uint64_t last_opened; /* node */
    unsigned run;         /* files opened one after the other in the order of their directory */
    unsigned in_dir;      /* … and in any order, of one directory */
    unsigned dirs;        /* directories beside it that were gone through so before, doubled with each */
    /* How much speaks for it that the kernel has dropped the pages of what was read before: two for each such file that it reads
       again from the start, less one for each that is opened. */
    unsigned lost;
};

/* The kernel reads a small file from its start whose pages it was to have. */
void mfs_ahead_missed(struct mfs_session *s);
/* Are such pages lost, so that files are opened ahead once more? */
static inline bool mfs_ahead_is_lost(const struct mfs_ahead *a)
{
    return a->lost >= MFS_AHEAD_LOST_FROM;
}
/* Was node opened ahead, and would mfs_ahead_take find it? */
MUST bool mfs_ahead_has(struct mfs_session *s, uint64_t node, const struct mfs_caller *who);
/* node was opened for reading without asking the server. */
void mfs_ahead_known(struct mfs_session *s, uint64_t node, const struct mfs_caller *who);
/* node is being opened for reading: if the files before it in its directory were, opens those
 * that will be next. */
void mfs_ahead_look(struct mfs_session *s, uint64_t node, const struct mfs_caller *who);
/* node will be opened for reading: is opened now, if that is worth it. False: there is no room. depth: of the answer that it
 * is asked because of. */
MUST bool mfs_ahead_want(struct mfs_session *s, uint64_t node, const struct mfs_caller *who,
                         uint64_t depth);
/* Answers call, an open that was not sent, by what was opened ahead, now or when it comes.
 * False: there is none. */
MUST bool mfs_ahead_take(struct mfs_session *s, struct mfs_call *call,
                         const struct mfs_caller *who);
/* call doesn't wait any more, if it does. */
void mfs_ahead_leave(struct mfs_call *call);
/* A change of node was reported: what was opened before it is of no use. */
void mfs_ahead_changed(struct mfs_session *s, uint64_t node);
/* Gives up what was answered; what is still under way is given up when it is. */
void mfs_ahead_drop_all(struct mfs_session *s);
/* Frees its memory; nothing is told to the server. */
void mfs_ahead_fini(struct mfs_ahead *a);

#endif
