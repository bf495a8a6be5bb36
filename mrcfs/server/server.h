/* SPDX-License-Identifier: GPL-2.0-or-later */
/* server.h: what the server's files share: its state, an operation in progress, the table of
 * operations.
 * Must not know: how the streams reach the client. */
#ifndef MRCFS_SERVER_SERVER_H
#define MRCFS_SERVER_SERVER_H

#include "common/base/attr.h"
#include "mrcfs/chunks/naming.h"
#include "mrcfs/chunks/set.h"
#include "mrcfs/ids.h"
#include "mrcfs/mrcfs.h"
#include "mrcfs/ops.h"
#include "mrcfs/packer.h"
#include "mrcfs/server/caller.h"
#include "mrcfs/server/fileleases.h"
#include "mrcfs/server/files.h"
#include "mrcfs/server/hidden.h"
#include "mrcfs/server/hide.h"
#include "mrcfs/server/journal.h"
#include "mrcfs/server/leases.h"
#include "mrcfs/server/locks.h"
#include "mrcfs/server/nodes.h"
#include "mrcfs/server/note.h"
#include "mrcfs/server/pool.h"
#include "mrcfs/server/stream.h"
#include "mrcfs/server/supply.h"
#include "mrcfs/server/watch.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct statx;

enum {
    /* Replies waiting to be written, of each stream, beyond which no operation of its kind is
     * started. */
    MFS_OUT_MAX = 4 << 20,
    /* Descriptors that nodes and open files leave for everything else. */
    MFS_FDS_KEPT = 256,
    /* Where the file data of a reply begins in its memory; what comes before is shorter. */
    MFS_PAYLOAD_AT = 192,
    /* Files up to this size come along with the answer to open. */
    MFS_HEAD_SIZE = 64 * 1024,
};

enum { MFS_META, MFS_BULK, MFS_STREAMS };

struct mfs_served {
    char *path;
    bool is_read_only;
    uint64_t root_dev;
    uint64_t root_mount; /* 0: not known */
};

/* Constant while serving, but for the parts that have locks of their own and failed. */
struct mfs_server {
    struct mfs_served exports[MFS_EXPORTS_MAX];
    size_t export_count;
    struct mfs_hide hide;
    struct mfs_hidden hidden;
    struct mfs_id_map uids;
    struct mfs_id_map gids;
    bool is_single_user; /* MFS_FEATURE_SINGLE_USER */
    bool has_promises;   /* MFS_FEATURE_PROMISES, or leases are granted */
    bool wants_leases;   /* MFS_FEATURE_LEASES */
    bool has_packing;    /* MFS_FEATURE_PACKS */
    struct mfs_chunk_set *chunks; /* guarded by chunks_mu: that the client has; NULL: it keeps none */
    struct mfs_naming naming;     /* likewise */
    pthread_mutex_t chunks_mu;
    struct mfs_supply supply;
    bool follows_links;
    uint32_t own_uid;
    struct mfs_callers callers;
    int broker_fd; /* until leases.member has it */
    int finder_fd; /* likewise; -1: none */
    int mark_fd;   /* -1: none */
    struct mfs_activity *activity; /* may be NULL */
    int proc_fd; /* /proc/self/fd: how O_PATH descriptors are opened for real */
    struct mfs_nodes nodes;
    struct mfs_files files;
    struct mfs_journal journal;
    struct mfs_locks locks;
    struct mfs_leases leases;
    struct mfs_fileleases fileleases;
    struct mfs_pool pool;
    struct mfs_watches watches;
    struct mfs_packer packers[MFS_STREAMS];
    struct mfs_stream streams[MFS_STREAMS];
    bool is_order_broken; /* ordered.h; belongs to the ordered request that runs */
    pthread_mutex_t mu;   /* guards failed and failure */
    int failed;           /* -errno of the first failure */
    struct err failure;
    void (*on_note)(void *ctx, const char *text); /* may be NULL */
    void *on_note_ctx;
};

/* A worker thread's own. Its working directory is proc_fd, for the system calls that have no
 * *at form: "N" there is the file behind descriptor N. */
struct mfs_worker {
    struct mfs_server *srv;
    struct mfs_caller caller;
    uint32_t umask;
    uint64_t found; /* node of the last lookup, for do_walk.c */
};

/* One request being answered. */
struct mfs_call {
    struct mfs_server *srv;
    struct mfs_worker *worker;
    struct mfs_request *rq;
    int result;          /* what the operation returned */
    bool is_parked;      /* is_deferred, and begins again later: nothing is done yet */
    bool is_deferred;    /* somebody else took rq and will answer */
    struct mfs_out *out; /* reply whose last field's bytes are at MFS_PAYLOAD_AT already */
    uint32_t uid;        /* the caller, in numbers of this computer */
    uint32_t gid;
    /* Borrowed, given back when the operation is over. */
    struct mfs_node *nodes[4];
    struct mfs_file *files[2];
    unsigned node_count;
    unsigned file_count;
    /* Tokens (mrcfs/server/leases.h), and what the reply lets the client believe. */
    struct mfs_op_use uses[MFS_USES_MAX];
    unsigned use_count;
    unsigned restarts;
    struct mfs_op_change changes[MFS_USES_MAX];
    unsigned change_count;
    struct mfs_filelease *filelease; /* for the file that is added next */
    struct mfs_grant *grants;
    size_t grant_count;
    size_t grant_size;
};

/* clang-format off */
/* mfs_do_<op>: carries out one operation. Returns 0 with the reply's fields in p, or -errno. Views in p point into the
 * request, into o->out, or into memory of struct … that outlives the reply's encoding. */
#define OP(number, name, req, rep) \
    MUST int mfs_do_##name(struct mfs_call *o, const struct mfs_##name##_req *q, struct mfs_##name##_rep *p);
#include "mrcfs/ops.def"
#undef OP
/* clang-format on */

/* A file just looked at, and how to ask more about it. */
struct mfs_seen {
    unsigned export_number;
    const struct statx *stx;
    int dir_fd;
    const char *name; /* NULL: the file behind dir_fd itself */
};

/* ---- for the operations ---- */

/* Borrow for the rest of the operation. _rw: -EROFS if its export is read-only. */
MUST int mfs_op_node(struct mfs_call *o, uint64_t id, struct mfs_node **n);
MUST int mfs_op_node_rw(struct mfs_call *o, uint64_t id, struct mfs_node **n);
MUST int mfs_op_file(struct mfs_call *o, uint64_t fh, struct mfs_file **f);
/* Keeps a pinned node (NULL: nothing) until the operation is over. */
void mfs_op_keep(struct mfs_call *o, struct mfs_node *n);

/* Copies a name to be used in a directory. Returns 0; -EINVAL for "", ".", ".." and names with
 * a slash or NUL; -ENAMETOOLONG. */
MUST int mfs_op_name_text(struct bytes v, char name[MFS_NAME_MAX + 1]);
bool mfs_op_is_hidden(struct mfs_call *o, const struct mfs_node *dir, const char *name);
bool mfs_op_is_above_hidden(struct mfs_call *o, const struct mfs_node *dir, const char *name);

/* Attributes of a file of an export, as the client shall see them. */
void mfs_attr_of(const struct mfs_server *srv, const struct mfs_seen *seen, struct mfs_attr *a);
uint64_t mfs_ino_of(const struct mfs_server *srv, unsigned export_number, uint64_t dev,
                    uint64_t ino);
MUST int mfs_node_attr(struct mfs_call *o, struct mfs_node *n, struct mfs_attr *a);
MUST int mfs_file_attr(struct mfs_call *o, const struct mfs_file *f, struct mfs_attr *a);

/* The entry of a name just found in dir (NULL: an unnamed file): its node, counted. fd: O_PATH,
 * taken, or -1 with stx filled in. */
MUST int mfs_op_enter(struct mfs_call *o, const struct mfs_place *at, int *fd,
                      struct statx *stx, struct mfs_entry *e);

/* The entry of a link just found at a place: of what it leads to if that is in the export,
 * isn't hidden, and isn't a directory that the link lies in; else its own. link_fd: O_PATH,
 * taken. Nothing is promised: either may change in places that are not watched. (follow.c) */
MUST int mfs_enter_link(struct mfs_call *o, const struct mfs_place *at, int *link_fd,
                        struct mfs_entry *e);

/* A name in the watched directory, seen when its events were as many, may be believed, present
 * or absent; false if more have come. */
bool mfs_op_promise_name(struct mfs_node *dir, uint32_t events);

/* Opens the file behind an O_PATH descriptor: regular files and directories only, -ENXIO for
 * the rest. Returns the descriptor or -errno. */
MUST int mfs_open_real(struct mfs_call *o, const struct mfs_node *n, int flags);
/* "N" for N's descriptor, to be used with proc_fd or in the worker's directory. */
struct mfs_fd_name {
    char text[16];
};
struct mfs_fd_name mfs_fd_name(int fd);
/* Adds an open file of the pinned node n. fd is taken. */
MUST int mfs_op_add_file(struct mfs_call *o, struct mfs_node *n, int *fd, int oflags,
                         uint64_t *fh);
/* Can no name in or beneath the directory be hidden, and may the server's user change names
 * there? Then the client can know that a change will be made. */
bool mfs_op_is_open_to_changes(struct mfs_call *o, const struct mfs_node *dir);
/* Does MFS_ATTR_MOVES hold of the directory? */
bool mfs_op_moves(struct mfs_call *o, struct mfs_node *dir);
void mfs_op_set_umask(struct mfs_call *o, uint32_t umask_bits);

/* A reply with room for size_bytes at MFS_PAYLOAD_AT, given to o->out. Returns 0 or -ENOMEM. */
MUST int mfs_op_payload(struct mfs_call *o, size_t size_bytes, uint8_t **at);

/* Answers a request that has no reply fields, or failed. */
void mfs_reply_status(struct mfs_server *srv, uint64_t id, int rc);

/* ---- for serve.c ---- */
void mfs_run_request(void *worker, struct mfs_request *rq);
/* For operations that act as nobody and wait for nothing, in any thread. */
void mfs_run_at_once(struct mfs_server *srv, struct mfs_request *rq);
/* The first failure counts; the streams are shut so that everything ends. */
void mfs_server_fail(struct mfs_server *srv, int rc, const struct err *why);

#endif
