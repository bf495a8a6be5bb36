/* SPDX-License-Identifier: GPL-2.0-or-later */
/* watch.h: directories whose changes the client is told of, so that it may believe what it
 * knows of them without asking. Must not know: operations, replies. A watch must stand before
 * what is promised is read: then every later change makes an event, and every event a notice.
 * Not seen by the kernel's watches, and so bounded by MFS_PROMISE_MS: changes through a shared
 * mapping until the file is closed, and through a hard link in a directory that is not watched.
 * Source: inotify(7). Threads: starts one, which reads events. mu guards the table; a node's
 * watch is set once under mu and read freely. */
#ifndef MRCFS_SERVER_WATCH_H
#define MRCFS_SERVER_WATCH_H

#include "mrcfs/server/nodes.h"
#include "mrcfs/server/stream.h"

enum {
    MFS_PROMISE_MS =
        30000, /* what is promised is asked for again after this time all the same */
};

enum mfs_watch_state { MFS_WATCH_NONE, MFS_WATCH_STANDS, MFS_WATCH_REFUSED };

struct mfs_watches {
    int fd;   /* inotify; -1: nothing is promised */
    int stop; /* eventfd */
    unsigned sweeps;   /* the event thread's: looks for removed files that are still to be made */
    uint64_t sweep_ms; /* the next one */
    int mark_fd; /* see struct mfs_serve_opts; -1: none */
    struct mfs_nodes *nodes;
    struct mfs_stream *out;
    pthread_mutex_t *order; /* held while an event is counted; may be NULL */
    pthread_mutex_t mu;
    struct mfs_table by_wd;
    bool knows_own; /* the client's own changes are not told (leases are granted) */
    bool is_broken; /* events were lost: nothing is promised any more */
    pthread_t thread;
    bool has_thread;
};

/* Notices go to out. Whoever sends what depends on a directory's events holds order (may be
 * NULL) from looking at them until it is sent: what happens later is then told later. Unless is_wanted, or without inotify, it works all the same with nothing
 * promised. mark_fd: -1 or as in struct mfs_serve_opts, borrowed until _stop. Returns 0 or -errno.
 */
MUST int mfs_watches_start(struct mfs_watches *w, bool is_wanted, struct mfs_nodes *nodes,
                           struct mfs_stream *out, pthread_mutex_t *order, int mark_fd);
void mfs_watches_stop(struct mfs_watches *w);

/* The caller's working directory is /proc/self/fd. dir: a pinned directory. True if every
 * change in it from now on is told. */
bool mfs_watch(struct mfs_watches *w, struct mfs_node *dir);

enum {
    /* Events of one directory that are expected at once: more than operations run at once. */
    MFS_EXPECTED_MAX = 512,
};

/* With knows_own: an operation is about to cause one event (mask, of inotify) of a name in the
 * watched dir, which is not told. _withdraw: it did not. */
void mfs_watch_expect(struct mfs_watches *w, struct mfs_node *dir, const char *name,
                      uint32_t mask);
void mfs_watch_withdraw(struct mfs_watches *w, struct mfs_node *dir, const char *name,
                        uint32_t mask);
/* dir is being freed. */
void mfs_watch_expect_none(struct mfs_node *dir);
/* Somebody else has changed node: the client is told if it believes anything. */
void mfs_watch_tell(struct mfs_watches *w, uint64_t node);

/* Do all changes of the file system behind fd pass through this kernel? */
bool mfs_is_local(int fd);

/* dir is being freed; the nodes' lock may be held. */
void mfs_unwatch(struct mfs_watches *w, struct mfs_node *dir);

#endif
