/* SPDX-License-Identifier: GPL-2.0-or-later */
/* journal.h: what a file server has told its client, in a file, for the server that takes its place if it dies (docs/detach.md):
 * which directory and which open file has which number, and what it is known by.
 * Must not know: the wire.
 * Nothing of it is believed that is not found to be so: a journal that was cut, or whose end was lost, only makes more numbers
 * stale. Threads: any may note. */
#ifndef MRCFS_SERVER_JOURNAL_H
#define MRCFS_SERVER_JOURNAL_H

#include "mrcfs/server/files.h"
#include "mrcfs/server/nodes.h"

enum {
    MFS_JOURNAL_MAX = 64 << 20, /* bytes; what comes then is not noted */
    MFS_JOURNAL_SERVERS_MAX = 1 << 20,
    MFS_JOURNAL_RANGE_BITS = 40, /* of the numbers that one server gives */
};

struct mfs_journal {
    int fd; /* -1: none is kept */
    pthread_mutex_t mu; /* guards bytes, and the order of what is written */
    uint64_t bytes;
};

/* Before anybody is served, when the exports are there: gives the tables what the servers before this one had told, as far as it
 * can be found, and a range of numbers of their own. fd: read and appended to; the caller's. Returns 0, or -errno: then nothing
 * may be served, because numbers might be given twice. */
MUST int mfs_journal_start(struct mfs_journal *j, int fd, struct mfs_nodes *nodes, struct mfs_files *files);

/* The node is new, or somewhere else. Its table's mu is held. */
void mfs_journal_node(struct mfs_journal *j, struct mfs_node *n);
/* A file of the pinned node was opened; flags of open(2). */
void mfs_journal_open(struct mfs_journal *j, struct mfs_nodes *t, struct mfs_node *n, uint64_t fh, int flags);
/* It was closed; or locked, so that nobody else could go on with it. */
void mfs_journal_close(struct mfs_journal *j, uint64_t fh);

#endif
