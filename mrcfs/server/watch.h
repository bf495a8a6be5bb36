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
    struct mfs_nodes *nodes;
    struct mfs_stream *out;
    pthread_mutex_t mu;
    struct mfs_table by_wd;
    bool is_broken; /* events were lost: nothing is promised any more */
    pthread_t thread;
    bool has_thread;
};

/* Notices go to out. Unless is_wanted, or without inotify, it works all the same with nothing
 * promised. Returns 0 or -errno. */
MUST int mfs_watches_start(struct mfs_watches *w, bool is_wanted, struct mfs_nodes *nodes,
                           struct mfs_stream *out);
void mfs_watches_stop(struct mfs_watches *w);

/* The caller's working directory is /proc/self/fd. dir: a pinned directory. True if every
 * change in it from now on is told. */
bool mfs_watch(struct mfs_watches *w, struct mfs_node *dir);

/* dir is being freed; the nodes' lock may be held. */
void mfs_unwatch(struct mfs_watches *w, struct mfs_node *dir);

#endif
