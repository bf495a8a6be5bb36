/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nodes.h: the files that the client knows, by number: each an O_PATH descriptor, never a path.
 * Must not know: the wire, who asks, what may be seen.
 * A node is one (export, view, device, inode) as long as the client remembers it. Views are for
 * directories that the client reaches through a followed link: its kernel takes a directory to
 * be in one place only, so each way to one is a node of its own. Descriptors of nodes not used
 * lately are closed when there are too many; such a node is found again by its parent and name
 * and is stale when something else is there. Threads: mu guards everything in the table and the
 * nodes but pinned nodes' fd, which stays as it is while pinned. */
#ifndef MRCFS_SERVER_NODES_H
#define MRCFS_SERVER_NODES_H

#include "common/base/attr.h"
#include "common/base/list.h"
#include "mrcfs/server/table.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct statx;
struct mfs_journal;
struct mfs_watches;

enum {
    /* Nodes at once: about 1 GB at the server; the client's kernel forgets under memory
     * pressure of its own long before. Reached: ENFILE. */
    MFS_NODES_MAX = 4 << 20,
    /* Names of one directory that are remembered as reported: a name that changes all the time
       is reported once. */
    MFS_TOLD_MAX = 8,
};

/* What a file is, for telling whether it is still the same one. btime guards against an inode
 * number used again; 0 = the file system doesn't say. */
struct mfs_identity {
    uint64_t dev;
    uint64_t ino;
    uint64_t mount;
    int64_t btime_sec;
    uint32_t btime_nsec;
    uint32_t type; /* mode & S_IFMT */
};

/* An open file of a node: keeps the node known, and lends it its descriptor. */
struct mfs_holder {
    struct link link;
    struct mfs_node *node;
    int fd;
};

/* How a file was left by the client's own last change of it. */
struct mfs_left {
    bool is_known;
    uint32_t mode;
    uint32_t nlink;
    uint32_t uid;
    uint32_t gid;
    uint64_t size;
    int64_t mtime_sec;
    int64_t ctime_sec;
    uint32_t mtime_nsec;
    uint32_t ctime_nsec;
};

struct mfs_expected;

/* MFS_ATTR_MOVES of a directory, once it was looked at. */
enum mfs_moves { MFS_MOVES_UNKNOWN, MFS_MOVES_YES, MFS_MOVES_NO };

struct mfs_node {
    uint64_t id;
    unsigned export_number; /* from 0 */
    struct mfs_identity identity;
    int fd; /* O_PATH, or -1 */
    bool is_root;
    bool is_noted; /* in the journal */
    bool is_stale; /* replaced in by_file by a newer file with the same inode number */
    uint64_t view; /* of a directory: which followed link it was reached by; 0 = none */
    uint64_t via;  /* where a view begins: the node of the directory that holds the link */
    unsigned pins;
    unsigned children;
    struct link holders;
    uint64_t nlookup;
    struct mfs_node *parent; /* counted in its children */
    char *name;              /* last known */
    struct mfs_link by_id;
    struct mfs_link by_file;
    struct link lru;  /* in it while fd >= 0 and not root */
    bool is_promised; /* the client believes the attributes that it was sent */
    int watch_state;  /* of a directory: enum mfs_watch_state; see watch.h */
    int wd;
    uint8_t moves;           /* of a directory: enum mfs_moves */
    uint32_t events;         /* that came for the directory so far */
    uint32_t names_promised; /* times that a name in it was, present or absent */
    uint32_t told_at;        /* names_promised when told[] was begun */
    uint32_t told_count;
    unsigned changing;     /* changes by the client that are being made */
    struct mfs_left left;  /* by the last one */
    bool is_left_doubtful; /* somebody else's event may still be on the way */
    struct mfs_expected
        *expected; /* events of a directory that the client causes; see watch.h */
    unsigned expected_count;
    uint32_t told[MFS_TOLD_MAX]; /* hashes of names that the client was told to forget since */
};

struct mfs_nodes {
    int proc_fd; /* /proc/self/fd */
    pthread_mutex_t mu;
    struct mfs_table by_id;
    struct mfs_table by_file;
    struct link lru; /* most recently used first */
    size_t open_count;
    size_t open_max;
    uint64_t last_id;
    bool has_fine_times;         /* no two changes look alike */
    struct mfs_journal *journal; /* what is told is noted there; may be NULL */
    struct mfs_watches *watches; /* told when a directory is forgotten; may be NULL */
};

/* How it came that a file is entered. */
enum mfs_found { MFS_FOUND_LOOKED, MFS_FOUND_MADE, MFS_FOUND_LISTED };

/* Where a node was found. */
struct mfs_place {
    struct mfs_node *parent; /* pinned; NULL for a root or an unnamed file */
    const char *name;        /* NULL with parent NULL */
    unsigned export_number;
    bool is_watched; /* every change in parent since before the file was looked at is told */
    uint32_t events; /* parent's when that began */
    uint64_t view;   /* not 0: a directory here begins this view, by a link that is in via */
    uint64_t via;
    enum mfs_found how;
    uint64_t wanted; /* not 0: the number of what was MADE, chosen by the client */
};

/* open_max: descriptors that nodes may keep open. */
void mfs_nodes_init(struct mfs_nodes *t, size_t open_max);
void mfs_nodes_fini(struct mfs_nodes *t);

/* statx with what identities need; flags as statx(2). Returns 0 or -errno. */
MUST int mfs_statx(int fd, const char *name, int flags, struct statx *stx);
void mfs_identity_of(const struct statx *stx, struct mfs_identity *id);
/* O_PATH descriptor of one name in a directory, itself if it is a link. Returns it or -errno.
 */
MUST int mfs_open_beneath(int dir_fd, const char *name);

/* Makes fd (taken) the root of the next export; its node number is the count so far plus 1. */
MUST int mfs_nodes_add_root(struct mfs_nodes *t, int *fd, unsigned export_number);

/* Borrows a node with its descriptor open, until mfs_node_unpin. Returns 0; -ESTALE unknown or
 * no longer there; or what opening it gave. */
MUST int mfs_node_pin(struct mfs_nodes *t, uint64_t id, struct mfs_node **out);
void mfs_node_unpin(struct mfs_nodes *t, struct mfs_node *n);

/* h->fd, open, belongs to the pinned node n from now on; until _unhold, which comes before it
 * is closed. h with node NULL: nothing. */
void mfs_node_hold(struct mfs_nodes *t, struct mfs_node *n, struct mfs_holder *h);
void mfs_node_unhold(struct mfs_nodes *t, struct mfs_holder *h);

/* The node of a file just found: known or new, counted once more as looked up. fd: its O_PATH
 * descriptor, taken; or -1: opened when needed (needs a parent). Returns 0; -ENFILE at
 * MFS_NODES_MAX; -ENOMEM; -EINVAL: the wanted number is another node's. The number goes to *id:
 * the node itself may be forgotten at once. */
MUST int mfs_node_enter(struct mfs_nodes *t, const struct mfs_place *at, int *fd,
                        const struct statx *stx, uint64_t *id);
/* A node that an earlier server gave this number, and which is to be found again by its parent and name: not looked at yet. What
 * makes no sense, or has no parent, is left out; one that is there already is somewhere else. is_on_root_dev: on the file system
 * of its export's root, whatever its number is now. id's mount is not used. Before anybody is served. */
void mfs_nodes_restore(struct mfs_nodes *t, uint64_t id, uint64_t parent, unsigned export_number, const char *name,
                       const struct mfs_identity *what, bool is_on_root_dev);
void mfs_node_forget(struct mfs_nodes *t, uint64_t id, uint64_t nlookup);

/* Borrows the node of this file in dir if the client knows it, with its descriptor open: what
 * is about to lose its name must not be lost. NULL if not. */
struct mfs_node *mfs_node_secure(struct mfs_nodes *t, const struct mfs_identity *what,
                                 const struct mfs_node *dir);

/* Is this directory the pinned n, or one that it is in as the client sees it? */
bool mfs_node_is_within(struct mfs_nodes *t, const struct mfs_node *n,
                        const struct mfs_identity *what);

/* Closes descriptors of files that were removed here and that the client doesn't have open: they would keep
 * the files' space. Looks at each descriptor. */
void mfs_nodes_let_go(struct mfs_nodes *t);

/* The number of the node of this file in dir's export, 0 if the client doesn't know it.
 * *is_as_told: it was last known as name in dir. */
uint64_t mfs_node_known(struct mfs_nodes *t, const struct mfs_identity *what,
                        const struct mfs_node *dir, const char *name, bool *is_as_told);

/* Before the pinned node n is looked at: can every change of it be told from now on? It is
 * still what its last known place names, and that directory is watched; or it is a watched
 * directory itself. Then *events is to be given to mfs_node_promise afterwards. */
bool mfs_node_may_promise(struct mfs_nodes *t, struct mfs_node *n, uint32_t *events);
/* What was seen of node id may be believed, unless something happened since: then false.
 * watched: the directory whose events count, NULL: itself or its last known parent. */
bool mfs_node_promise(struct mfs_nodes *t, uint64_t id, const struct mfs_node *watched,
                      uint32_t events);

/* Has the client not been told since? */
bool mfs_node_is_promised(struct mfs_nodes *t, uint64_t id);
/* Has nothing happened in directory id since? */
bool mfs_node_events_are(struct mfs_nodes *t, uint64_t id, uint32_t events);

/* Around a change of the pinned (or held) node n by the client; fd: a descriptor of the file.
 * Returns true if somebody else has changed it since the client did last, or may have: that is
 * not hidden by this change. */
bool mfs_node_change_begin(struct mfs_nodes *t, struct mfs_node *n, int fd);
void mfs_node_change_end(struct mfs_nodes *t, struct mfs_node *n, int fd);
/* It was made just now by the client, and looks like this. */
void mfs_node_made(struct mfs_nodes *t, uint64_t id, const struct statx *stx);
/* Is it as the client itself left it, so that it need not be told? */
bool mfs_node_is_as_left(struct mfs_nodes *t, uint64_t id, const struct statx *stx);

/* The client is about to be told: was there a promise? It is none any more. */
bool mfs_node_take_promise(struct mfs_nodes *t, uint64_t id);

/* The file identified was renamed by us: the node, if known, is now at another place. */
void mfs_node_moved(struct mfs_nodes *t, const struct mfs_identity *what,
                    const struct mfs_place *to);

/* Absolute path of a pinned node, by last known names, beneath root_path. Returns 0 or
 * -ENAMETOOLONG. */
MUST int mfs_node_path(struct mfs_nodes *t, const struct mfs_node *n, const char *root_path,
                       char *path, size_t size_bytes);

#endif
