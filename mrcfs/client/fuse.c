/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuse.c: the kernel's side of the file client: its requests become calls of the server, the
 * answers its replies. Long because it is the only file that knows libfuse.
 * Must not know: sockets, how calls travel.
 * Threads: the loop's only; the notifier's thread runs send_inval_*, which touch nothing but
 * the session's libfuse handle.
 *
 * What is cached: file pages only. Names and attributes are asked for each time (the server
 * says for how long they may be believed: 0 so far), absent names too. Pages survive an open
 * only if the file has not changed since they were read (known.h), and the kernel drops them
 * when an attribute answer shows another size or mtime (AUTO_INVAL_DATA). Files opened for
 * appending or with O_DIRECT bypass the pages, because the kernel would put appended bytes
 * where it believes the end to be (on the server they are where they belong in any case). The
 * writeback cache is off: a write is on the server when it returns. READDIRPLUS is off: entries
 * that may not be believed are worth nothing.
 *
 * Longer than most files: a flat list of operations, each a few lines. */
#include "common/sys/clock.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/known.h"
#include "mrcfs/client/notify.h"
#include "mrcfs/client/rawfuse.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    REQUEST_BYTES = MFS_DATA_MAX + 4096, /* libfuse's room for a request's head */
    REQUESTS_PER_TURN = 64,
    DIR_CHUNK_BYTES = 64 << 10, /* asked of the server at once, kept between readdirs */
    OPENED_AHEAD_MAX = 64,      /* files opened ahead at a time */
    AHEAD_KEPT_MS = 5000,       /* how long one waits for being wanted */
    SMALL_FILE = 64 << 10,      /* the server's bound for what comes along */
    HEAD_KEPT_MS = 2000,        /* how long a file that came along with open answers reads */
    FRESH_MS = 1000,            /* see repeat_notices */
};

/* A file that was opened before anybody asked, because its neighbours were read one after the
 * other. */
struct ahead {
    uint64_t node; /* 0 = free */
    uint32_t uid;  /* of whom it was opened for */
    bool is_answered;
    bool is_stale;    /* a change was reported: not to be used */
    uint32_t changes; /* of the node, that it was opened after */
    uint64_t asked_ms;
    struct mfs_open_rep rep; /* head points to the copy below */
    uint8_t *head;
    struct mfs_call *waiter; /* the kernel's open that came meanwhile; never sent */
};

struct mfs_session {
    struct link link;
    struct mfs_client *client;
    size_t export_number;
    uint64_t root; /* the server's number of the node that FUSE calls 1 */
    struct fuse_session *se;
    int fd;
    struct loop_fd watch;
    struct mfs_known_table nodes;
    struct link files; /* open ones: the kernel may go without closing them */
    struct link again; /* nodes whose notice is to be repeated */
    struct loop_timer again_timer;
    struct mfs_raw_init init;
    bool is_detached;
    struct ahead ahead[OPENED_AHEAD_MAX];
    uint64_t last_opened; /* node */
    unsigned run;         /* files opened one after the other in the order of their directory */
};

/* An open file or directory; FUSE's handle is its address. */
struct file {
    struct link open; /* in its session's files */
    uint64_t fh;      /* the server's */
    uint64_t node;
    bool is_written; /* since the last flush */
    bool had_locks;  /* of any kind, asked for through it */
    /* The whole file as it was at open, if it came along; for a moment. */
    uint8_t *head;
    size_t head_len;
    uint64_t head_until_ms;
    uint32_t changes; /* of the node, that it was opened after */
    /* Directories: entries received and not yet given to the kernel. */
    uint8_t *chunk;
    size_t chunk_at;
    size_t chunk_end;
    uint64_t cookie;      /* where the entry at chunk_at is */
    bool is_eof;          /* nothing follows the chunk */
    uint64_t notices;     /* that had come when the chunk was asked for */
    uint64_t last_listed; /* node given to the kernel last */
};

struct mfs_session *mfs_session_of(struct link *l)
{
    return LIST_ENTRY(l, struct mfs_session, link);
}

/* ---- numbers and owners ---- */

/* FUSE's node 1 is the export's root, whatever its number; that number's own owner, should it
 * have one, gets the other. Its own inverse. */
static uint64_t swap_root(const struct mfs_session *s, uint64_t number)
{
    if (number == FUSE_ROOT_ID)
        return s->root;
    return number == s->root ? FUSE_ROOT_ID : number;
}

/* Takes what attributes say about who may do what with n, found in parent (NULL: not known). */
static void learn(struct mfs_session *s, struct mfs_known *n, const struct mfs_known *parent,
                  const struct mfs_attr *a)
{
    n->has_told = true;
    n->told_size = a->size;
    n->told_mtime_sec = a->mtime_sec;
    n->told_mtime_nsec = a->mtime_nsec;
    n->told_ctime_sec = a->ctime_sec;
    n->told_ctime_nsec = a->ctime_nsec;
    n->is_small_file = S_ISREG(a->mode) && a->size && a->size <= SMALL_FILE;
    n->plain_until_ms =
        a->flags & MFS_ATTR_PLAIN && a->valid_ms ? clock_mono_ms() + a->valid_ms : 0;
    if (!s->client->opts.is_single_user)
        return;
    bool is_own = a->uid == s->client->opts.own_uid;
    bool is_writable = a->flags & MFS_ATTR_WRITABLE;
    if (parent && parent->is_removable_from)
        n->is_in_ours = true;
    n->is_ours = is_own || is_writable || n->is_in_ours;
    n->is_removable_from =
        S_ISDIR(a->mode) && (is_own || (is_writable && !(a->mode & S_ISVTX)));
}

static void fill_stat(const struct mfs_session *s, const struct mfs_known *n,
                      const struct mfs_attr *a, struct stat *st)
{
    const struct mfs_client_opts *o = &s->client->opts;
    *st = (struct stat){
        .st_ino = a->ino,
        .st_mode = a->mode,
        .st_nlink = a->nlink,
        .st_uid = mfs_idmap_here(&s->client->users, a->uid),
        .st_gid = mfs_idmap_here(&s->client->groups, a->gid),
        .st_rdev = makedev(a->rdev_major, a->rdev_minor),
        .st_size = (off_t)a->size,
        .st_blocks = (blkcnt_t)a->blocks,
        .st_blksize = a->blksize,
        .st_atim = { a->atime_sec, a->atime_nsec },
        .st_mtim = { a->mtime_sec, a->mtime_nsec },
        .st_ctim = { a->ctime_sec, a->ctime_nsec },
    };
    if (o->is_single_user && n && n->is_ours) {
        st->st_uid = o->own_uid;
        st->st_gid = o->own_gid;
    }
    if (o->shown.has_uid)
        st->st_uid = o->shown.uid;
    if (o->shown.has_gid)
        st->st_gid = o->shown.gid;
    if (o->shown.has_umask && !S_ISLNK(st->st_mode))
        st->st_mode = (st->st_mode & S_IFMT) | (0777 & ~o->shown.umask);
}

static double seconds_of(uint32_t valid_ms)
{
    return valid_ms / 1000.0;
}

/* ---- calls ---- */

static struct mfs_session *session_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* Who nobody there is, asks as nobody. */
static struct mfs_caller mapped_caller(const struct mfs_client *c, uint32_t uid, uint32_t gid,
                                       uint32_t pid)
{
    struct mfs_caller who = { MFS_NOBODY, MFS_NOBODY, pid };
    if (mfs_idmap_there(&c->users, uid, &who.uid) < 0 ||
        mfs_idmap_there(&c->groups, gid, &who.gid) < 0)
        who.uid = who.gid = MFS_NOBODY;
    return who;
}

static struct mfs_caller caller_of(fuse_req_t req)
{
    const struct fuse_ctx *x = fuse_req_ctx(req);
    return mapped_caller(session_of(req)->client, x->uid, x->gid, (uint32_t)x->pid);
}

/* The kernel takes ENOSYS as "never ask again" and, for open, as success. */
static int errno_of(int rc)
{
    return rc == -ENOSYS ? EOPNOTSUPP : -rc;
}

static void reply_error(fuse_req_t req, int rc)
{
    fuse_reply_err(req, errno_of(rc));
}

static void on_interrupt(fuse_req_t req, void *ctx)
{
    (void)req;
    mfs_call_interrupt(ctx);
}

/* A call for req, or NULL, and req has been answered. */
static struct mfs_call *begin(fuse_req_t req, fuse_ino_t ino, mfs_reply_fn fn)
{
    struct mfs_session *s = session_of(req);
    struct mfs_call *call = mfs_call_new(s->client, fn);
    if (!call) {
        fuse_reply_err(req, ENOMEM);
        return NULL;
    }
    call->session = s;
    call->req = req;
    call->node = swap_root(s, ino);
    call->pid = (uint32_t)fuse_req_ctx(req)->pid;
    return call;
}

/* rc is what sending returned. */
static void sent(struct mfs_call *call, int rc)
{
    if (rc < 0) {
        reply_error(call->req, rc);
        mfs_call_drop(call);
        return;
    }
    fuse_req_interrupt_func(call->req, on_interrupt, call);
}

#define SEND(op, call, m, var_bytes)                                                           \
    do {                                                                                       \
        struct mfs_caller who = caller_of((call)->req);                                        \
        sent(call, mfs_send_##op(call, &who, m, var_bytes));                                   \
    } while (0)

/* The answer to what returns nothing: only the error counts. */
static int on_done(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    reply_error(call->req, rc);
    return 0;
}

/* Its contents are about to be changed by us. */
static void count_change(struct mfs_session *s, uint64_t node)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, node);
    if (n)
        n->changes++;
}

/* ---- names ---- */

/* Checks an entry from the server and enters its node. Returns 0, -EPROTO, -ENOMEM (then the
 * server has been told to forget it). */
static int take_entry(struct mfs_session *s, uint64_t parent, const struct mfs_entry *e,
                      struct fuse_entry_param *p)
{
    if (!e->node || !mfs_attr_is_valid(&e->attr))
        return -EPROTO;
    struct mfs_known *n = mfs_known_look_up(&s->nodes, e->node);
    if (!n) {
        mfs_client_forget(s->client, e->node, 1);
        return -ENOMEM;
    }
    if (n->nlookup == 1)
        n->since_ms = clock_mono_ms();
    learn(s, n, mfs_known_find(&s->nodes, parent), &e->attr);
    *p = (struct fuse_entry_param){
        .ino = swap_root(s, e->node),
        .generation = e->generation,
        .attr_timeout = seconds_of(e->attr.valid_ms),
        .entry_timeout = seconds_of(e->valid_ms),
    };
    fill_stat(s, n, &e->attr, &p->attr);
    return 0;
}

static void forget(struct mfs_session *s, uint64_t node, uint64_t nlookup)
{
    if (node == s->root)
        return;
    mfs_known_forget(&s->nodes, node, nlookup);
    mfs_client_forget(s->client, node, nlookup);
}

/* lookup, mknod, mkdir, symlink and link answer alike. */
static int on_entry(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_lookup_rep m = { 0 };
    struct fuse_entry_param p;
    if (rc == 0) {
        rc = mfs_lookup_rep_get(body, &m);
        if (rc < 0)
            return rc;
        if (!m.entry.node && call->op == MFS_OP_lookup) { /* known to be absent */
            p = (struct fuse_entry_param){ .entry_timeout = seconds_of(m.entry.valid_ms) };
            fuse_reply_entry(call->req, &p);
            return 0;
        }
        rc = take_entry(call->session, call->node, &m.entry, &p);
        if (rc == -EPROTO)
            return rc;
    }
    if (rc < 0)
        reply_error(call->req, rc);
    else if (fuse_reply_entry(call->req, &p) < 0)
        forget(call->session, m.entry.node, 1);
    return 0;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mfs_call *call = begin(req, parent, on_entry);
    if (!call)
        return;
    struct mfs_lookup_req m = { call->node, bytes_of(name) };
    SEND(lookup, call, &m, m.name.len);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
    struct mfs_session *s = session_of(req);
    forget(s, swap_root(s, ino), nlookup);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    struct mfs_session *s = session_of(req);
    for (size_t i = 0; i < count; i++)
        forget(s, swap_root(s, forgets[i].ino), forgets[i].nlookup);
    fuse_reply_none(req);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                     dev_t rdev)
{
    struct mfs_call *call = begin(req, parent, on_entry);
    if (!call)
        return;
    struct mfs_mknod_req m = { call->node,  bytes_of(name), mode, fuse_req_ctx(req)->umask,
                               major(rdev), minor(rdev) };
    SEND(mknod, call, &m, m.name.len);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct mfs_call *call = begin(req, parent, on_entry);
    if (!call)
        return;
    struct mfs_mkdir_req m = { call->node, bytes_of(name), mode, fuse_req_ctx(req)->umask };
    SEND(mkdir, call, &m, m.name.len);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct mfs_call *call = begin(req, parent, on_entry);
    if (!call)
        return;
    struct mfs_symlink_req m = { call->node, bytes_of(name), bytes_of(target) };
    SEND(symlink, call, &m, m.name.len + m.target.len);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    struct mfs_call *call = begin(req, parent, on_entry);
    if (!call)
        return;
    struct mfs_link_req m = { swap_root(call->session, ino), call->node, bytes_of(name) };
    SEND(link, call, &m, m.new_name.len);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mfs_call *call = begin(req, parent, on_done);
    if (!call)
        return;
    struct mfs_unlink_req m = { call->node, bytes_of(name) };
    SEND(unlink, call, &m, m.name.len);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mfs_call *call = begin(req, parent, on_done);
    if (!call)
        return;
    struct mfs_rmdir_req m = { call->node, bytes_of(name) };
    SEND(rmdir, call, &m, m.name.len);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
                      const char *new_name, unsigned flags)
{
    struct mfs_call *call = begin(req, parent, on_done);
    if (!call)
        return;
    struct mfs_rename_req m = { call->node, bytes_of(name), swap_root(call->session, to),
                                bytes_of(new_name), mfs_rename_from_host(flags) };
    SEND(rename, call, &m, m.name.len + m.new_name.len);
}

static int on_readlink(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_readlink_rep m = { 0 };
    char text[MFS_TARGET_MAX + 1];
    if (rc == 0) {
        rc = mfs_readlink_rep_get(body, &m);
        if (rc < 0 || m.target.len == 0 || bytes_to_text(m.target, text, sizeof text) < 0)
            return -EPROTO;
    }
    if (rc < 0)
        reply_error(call->req, rc);
    else
        fuse_reply_readlink(call->req, text);
    return 0;
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct mfs_call *call = begin(req, ino, on_readlink);
    if (!call)
        return;
    struct mfs_readlink_req m = { call->node };
    SEND(readlink, call, &m, 0);
}

/* ---- attributes ---- */

static struct file *file_of(const struct fuse_file_info *fi)
{
    return (struct file *)(uintptr_t)fi->fh;
}

/* getattr and setattr answer alike. */
static int on_attr(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_getattr_rep m = { 0 };
    if (rc == 0) {
        rc = mfs_getattr_rep_get(body, &m);
        if (rc < 0 || !mfs_attr_is_valid(&m.attr))
            return -EPROTO;
    }
    if (rc < 0) {
        reply_error(call->req, rc);
        return 0;
    }
    struct mfs_session *s = call->session;
    struct mfs_known *n = mfs_known_find(&s->nodes, call->node);
    if (n)
        learn(s, n, NULL, &m.attr);
    struct stat st;
    fill_stat(s, n, &m.attr, &st);
    fuse_reply_attr(call->req, &st, seconds_of(m.attr.valid_ms));
    return 0;
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mfs_call *call = begin(req, ino, on_attr);
    if (!call)
        return;
    struct mfs_getattr_req m = { call->node, fi ? file_of(fi)->fh : 0 };
    SEND(getattr, call, &m, 0);
}

static uint32_t set_valid_of(int to_set)
{
    static const struct {
        int fuse;
        uint32_t ours;
    } table[] = {
        { FUSE_SET_ATTR_MODE, MFS_SET_MODE },
        { FUSE_SET_ATTR_UID, MFS_SET_UID },
        { FUSE_SET_ATTR_GID, MFS_SET_GID },
        { FUSE_SET_ATTR_SIZE, MFS_SET_SIZE },
        { FUSE_SET_ATTR_ATIME, MFS_SET_ATIME },
        { FUSE_SET_ATTR_MTIME, MFS_SET_MTIME },
        { FUSE_SET_ATTR_ATIME_NOW, MFS_SET_ATIME_NOW },
        { FUSE_SET_ATTR_MTIME_NOW, MFS_SET_MTIME_NOW },
    };
    uint32_t valid = 0;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (to_set & table[i].fuse)
            valid |= table[i].ours;
    /* The kernel sets both bits for "now". */
    if (valid & MFS_SET_ATIME_NOW)
        valid &= ~(uint32_t)MFS_SET_ATIME;
    if (valid & MFS_SET_MTIME_NOW)
        valid &= ~(uint32_t)MFS_SET_MTIME;
    return valid;
}

/* Owners to be set, in the server's numbers. What is shown instead of the real owner is not
 * set: it is only given back. */
static int map_new_owner(const struct mfs_client *c, struct stat *st, int *to_set)
{
    int rc = 0;
    if (c->opts.shown.has_uid && st->st_uid == c->opts.shown.uid)
        *to_set &= ~FUSE_SET_ATTR_UID;
    if (c->opts.shown.has_gid && st->st_gid == c->opts.shown.gid)
        *to_set &= ~FUSE_SET_ATTR_GID;
    if (*to_set & FUSE_SET_ATTR_UID)
        rc = mfs_idmap_there(&c->users, st->st_uid, &st->st_uid);
    if (rc == 0 && *to_set & FUSE_SET_ATTR_GID)
        rc = mfs_idmap_there(&c->groups, st->st_gid, &st->st_gid);
    return rc;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
                       struct fuse_file_info *fi)
{
    int rc = map_new_owner(session_of(req)->client, st, &to_set);
    if (rc < 0) {
        reply_error(req, rc);
        return;
    }
    struct mfs_call *call = begin(req, ino, on_attr);
    if (!call)
        return;
    if (to_set & FUSE_SET_ATTR_SIZE)
        count_change(call->session, call->node);
    struct mfs_setattr_req m = {
        .node = call->node,
        .fh = fi ? file_of(fi)->fh : 0,
        .valid = set_valid_of(to_set),
        .attr = {
            .mode = st->st_mode & 07777,
            .uid = st->st_uid,
            .gid = st->st_gid,
            .size = (uint64_t)st->st_size,
            .atime_sec = st->st_atim.tv_sec,
            .atime_nsec = (uint32_t)st->st_atim.tv_nsec,
            .mtime_sec = st->st_mtim.tv_sec,
            .mtime_nsec = (uint32_t)st->st_mtim.tv_nsec,
        },
    };
    SEND(setattr, call, &m, 0);
}

static void op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
    struct mfs_call *call = begin(req, ino, on_done);
    if (!call)
        return;
    struct mfs_access_req m = { call->node, (uint32_t)mask & 7 };
    SEND(access, call, &m, 0);
}

static int on_statfs(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_statfs_rep m = { 0 };
    if (rc == 0) {
        rc = mfs_statfs_rep_get(body, &m);
        if (rc < 0)
            return rc;
    }
    if (rc < 0) {
        reply_error(call->req, rc);
        return 0;
    }
    struct statvfs v = { .f_bsize = m.bsize,
                         .f_frsize = m.frsize,
                         .f_blocks = m.blocks,
                         .f_bfree = m.bfree,
                         .f_bavail = m.bavail,
                         .f_files = m.files,
                         .f_ffree = m.ffree,
                         .f_favail = m.favail,
                         .f_namemax = m.namemax };
    fuse_reply_statfs(call->req, &v);
    return 0;
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct mfs_call *call = begin(req, ino, on_statfs);
    if (!call)
        return;
    struct mfs_statfs_req m = { call->node };
    SEND(statfs, call, &m, 0);
}

/* ---- extended attributes ---- */

/* It is about to get or lose attributes by us. */
static void forget_plain(fuse_req_t req, fuse_ino_t ino)
{
    struct mfs_session *s = session_of(req);
    struct mfs_known *n = mfs_known_find(&s->nodes, swap_root(s, ino));
    if (n)
        n->plain_until_ms = 0;
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                        size_t size, int flags)
{
    forget_plain(req, ino);
    struct mfs_call *call = begin(req, ino, on_done);
    if (!call)
        return;
    struct mfs_setxattr_req m = { call->node,
                                  bytes_of(name),
                                  { (const uint8_t *)value, (uint32_t)size },
                                  mfs_xattr_from_host(flags) };
    SEND(setxattr, call, &m, m.name.len + size);
}

/* getxattr and listxattr answer alike; call->size is what the caller has room for. */
static int on_xattr(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_getxattr_rep m = { 0 };
    if (rc == 0) {
        rc = mfs_getxattr_rep_get(body, &m);
        if (rc < 0 || m.length > MFS_XATTR_SIZE_MAX || m.value.len > MFS_XATTR_SIZE_MAX)
            return -EPROTO;
        if (call->size && m.value.len > call->size)
            rc = -ERANGE;
    }
    if (rc < 0)
        reply_error(call->req, rc);
    else if (call->size)
        fuse_reply_buf(call->req, (const char *)m.value.ptr, m.value.len);
    else
        fuse_reply_xattr(call->req, m.length);
    return 0;
}

/* Known to have no extended attributes? */
static bool is_plain(fuse_req_t req, fuse_ino_t ino)
{
    struct mfs_session *s = session_of(req);
    const struct mfs_known *n = mfs_known_find(&s->nodes, swap_root(s, ino));
    bool is = n && n->plain_until_ms && clock_mono_ms() < n->plain_until_ms;
    s->client->stats.cache_hits += is;
    return is;
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    if (is_plain(req, ino)) {
        fuse_reply_err(req, ENODATA);
        return;
    }
    struct mfs_call *call = begin(req, ino, on_xattr);
    if (!call)
        return;
    call->size = size;
    struct mfs_getxattr_req m = { call->node, bytes_of(name), (uint32_t)size };
    SEND(getxattr, call, &m, m.name.len);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    if (is_plain(req, ino)) {
        if (size)
            fuse_reply_buf(req, NULL, 0);
        else
            fuse_reply_xattr(req, 0);
        return;
    }
    struct mfs_call *call = begin(req, ino, on_xattr);
    if (!call)
        return;
    call->size = size;
    struct mfs_listxattr_req m = { call->node, (uint32_t)size };
    SEND(listxattr, call, &m, 0);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct mfs_call *call = begin(req, ino, on_done);
    if (!call)
        return;
    struct mfs_removexattr_req m = { call->node, bytes_of(name) };
    SEND(removexattr, call, &m, m.name.len);
}

/* ---- open and close ---- */

static void resume_locks(struct mfs_known *n);

static struct file *file_new(struct mfs_call *call)
{
    struct file *f = calloc(1, sizeof *f);
    if (f) {
        f->node = call->node;
        list_push_back(&call->session->files, &f->open);
    }
    return f;
}

static void file_free(struct file *f)
{
    if (!f)
        return;
    list_remove(&f->open);
    free(f->chunk);
    free(f->head);
    free(f);
}

static int on_nothing(struct mfs_call *call, int rc, struct rd *body)
{
    (void)call;
    (void)rc;
    (void)body;
    return 0;
}

/* Closes a file of the server's that nobody waits for. */
static void release_unheard(struct mfs_client *c, uint64_t fh, bool is_dir)
{
    struct mfs_call *call = mfs_call_new(c, on_nothing);
    struct mfs_caller who = { c->opts.own_uid, c->opts.own_gid, 0 };
    if (!call)
        return;
    int rc = is_dir ? mfs_send_releasedir(call, &who, &(struct mfs_releasedir_req){ fh }, 0)
                    : mfs_send_release(call, &who, &(struct mfs_release_req){ fh }, 0);
    if (rc < 0)
        mfs_call_drop(call);
}

/* ---- processes that are being killed ---- */

/* Has the thread been sent SIGKILL, or a signal that ends it? The kernel makes the second the
 * first. */
static bool is_dying(uint32_t pid)
{
    char path[64], line[128];
    snprintf(path, sizeof path, "/proc/%u/status", pid);
    FILE *f = pid ? fopen(path, "re") : NULL;
    bool is_killed = false;
    while (f && fgets(line, sizeof line, f)) {
        unsigned long long set;
        if (sscanf(line, "SigPnd: %llx", &set) == 1 || sscanf(line, "ShdPnd: %llx", &set) == 1)
            is_killed = is_killed || set >> (SIGKILL - 1) & 1;
    }
    if (f)
        fclose(f);
    return is_killed;
}

/* A name of the list that the kernel will not be told of with its node. */
static void drop_entry(struct mfs_session *s, const struct mfs_dirent *d)
{
    if (d->has_entry)
        mfs_client_forget(s->client, d->entry.node, 1);
}

/* The same for all that is left of a list. */
static void drop_entries(struct mfs_session *s, struct rd r)
{
    struct mfs_dirent d;
    while (rd_left(&r) && mfs_dirent_get(&r, &d) == 0)
        drop_entry(s, &d);
}

/* The answer that nobody waits for any more: what it brings is given back. */
static int on_abandoned(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_lookup_rep entry = { 0 };
    struct mfs_create_rep created = { 0 };
    struct mfs_open_rep opened = { 0 };
    struct mfs_opendir_rep dir = { 0 };
    struct mfs_readdir_rep list = { 0 };
    if (rc < 0)
        return 0;
    switch (call->op) {
    case MFS_OP_lookup:
    case MFS_OP_mknod:
    case MFS_OP_mkdir:
    case MFS_OP_symlink:
    case MFS_OP_link: rc = mfs_lookup_rep_get(body, &entry); break;
    case MFS_OP_create:
        rc = mfs_create_rep_get(body, &created);
        entry.entry = created.entry;
        break;
    case MFS_OP_open: rc = mfs_open_rep_get(body, &opened); break;
    case MFS_OP_opendir: rc = mfs_opendir_rep_get(body, &dir); break;
    case MFS_OP_readdir: rc = mfs_readdir_rep_get(body, &list); break;
    default: break;
    }
    drop_entries(call->session, rd_of(list.entries.ptr, list.entries.len));
    if (entry.entry.node)
        mfs_client_forget(call->client, entry.entry.node, 1);
    if (created.fh || opened.fh)
        release_unheard(call->client, created.fh ? created.fh : opened.fh, false);
    if (dir.fh)
        release_unheard(call->client, dir.fh, true);
    return rc;
}

void mfs_session_abandon(struct mfs_call *call)
{
    if (!call->req || !is_dying(call->pid))
        return;
    list_remove(&call->interrupted);
    if (call->op == MFS_OP_open || call->op == MFS_OP_create || call->op == MFS_OP_opendir)
        file_free(call->file); /* of nobody yet; a readdir's is the kernel's */
    call->fn = on_abandoned;
    fuse_reply_err(call->req, EINTR);
    call->req = NULL;
}

/* ---- opening ---- */

/* How the kernel shall treat the file's pages; a are its attributes at this open. */
static void set_caching(struct mfs_session *s, uint64_t node, const struct mfs_attr *a,
                        int host_flags, struct fuse_file_info *fi)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, node);
    fi->keep_cache = n && mfs_known_may_keep_pages(n, a);
    /* Kernels before 6.6 refuse to map such a file shared; what is only written can't be. */
    bool may_bypass = mfs_raw_may_map_direct(&s->init) || (host_flags & O_ACCMODE) == O_WRONLY;
    fi->direct_io = (host_flags & (O_APPEND | O_DIRECT)) != 0 && may_bypass;
}

static void keep_head(struct file *f, const struct mfs_open_rep *m)
{
    if (!m->head.len || m->head.len != m->attr.size || !(f->head = malloc(m->head.len)))
        return;
    memcpy(f->head, m->head.ptr, m->head.len);
    f->head_len = m->head.len;
    f->head_until_ms = clock_mono_ms() + HEAD_KEPT_MS;
}

/* Answers a read from what came along with open, unless a change was made or reported since. */
static bool read_from_head(fuse_req_t req, struct file *f, size_t size, off_t offset)
{
    struct mfs_session *s = session_of(req);
    const struct mfs_known *n = f->head ? mfs_known_find(&s->nodes, f->node) : NULL;
    if (!n || n->changes != f->changes || clock_mono_ms() > f->head_until_ms || offset < 0)
        return false;
    size_t at = (size_t)offset < f->head_len ? (size_t)offset : f->head_len;
    size_t left = f->head_len - at;
    fuse_reply_buf(req, (const char *)f->head + at, size < left ? size : left);
    s->client->stats.cache_hits++;
    return true;
}

/* The kernel shall ask for the node's attributes, and drop pages that they don't fit, whatever
 * it was promised. It answers at once: pages are left alone by this call. */
static void distrust(struct mfs_session *s, uint64_t node)
{
    fuse_lowlevel_notify_inval_inode(s->se, swap_root(s, node), -1, 0);
}

/* Was the kernel told something else than a of n? */
static bool is_outdated(const struct mfs_known *n, const struct mfs_attr *a)
{
    return n->has_told &&
           (n->told_size != a->size || n->told_mtime_sec != a->mtime_sec ||
            n->told_mtime_nsec != a->mtime_nsec || n->told_ctime_sec != a->ctime_sec ||
            n->told_ctime_nsec != a->ctime_nsec);
}

/* The kernel's open is answered with what the server said. */
static void finish_open(struct mfs_call *call, const struct mfs_open_rep *m)
{
    struct mfs_session *s = call->session;
    struct file *f = call->file;
    struct fuse_file_info fi = { .fh = (uintptr_t)f };
    f->fh = m->fh;
    set_caching(s, call->node, &m->attr, (int)call->flags, &fi);
    /* Who opens a file sees it as it is, also before a notice of the change has come. */
    const struct mfs_known *n = mfs_known_find(&s->nodes, call->node);
    if (s->client->opts.is_loose && n && is_outdated(n, &m->attr))
        distrust(s, call->node);
    keep_head(f, m);
    if (fuse_reply_open(call->req, &fi) < 0) {
        file_free(f);
        release_unheard(s->client, m->fh, false);
    }
}

static int on_open(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_open_rep m = { 0 };
    if (rc == 0) {
        rc = mfs_open_rep_get(body, &m);
        if (rc < 0 || !m.fh || !mfs_attr_is_valid(&m.attr))
            return -EPROTO;
    }
    if (rc < 0) {
        file_free(call->file);
        reply_error(call->req, rc);
    } else {
        finish_open(call, &m);
    }
    return 0;
}

/* ---- opening ahead ---- */

static struct ahead *find_ahead(struct mfs_session *s, uint64_t node)
{
    for (size_t i = 0; node && i < OPENED_AHEAD_MAX; i++)
        if (s->ahead[i].node == node)
            return &s->ahead[i];
    return NULL;
}

/* Gives up an answered one that nobody wanted. */
static void drop_ahead(struct mfs_session *s, struct ahead *a)
{
    release_unheard(s->client, a->rep.fh, false);
    free(a->head);
    *a = (struct ahead){ 0 };
}

static struct ahead *free_ahead(struct mfs_session *s)
{
    struct ahead *oldest = NULL;
    for (size_t i = 0; i < OPENED_AHEAD_MAX; i++) {
        struct ahead *a = &s->ahead[i];
        if (!a->node)
            return a;
        if (a->is_answered && (!oldest || a->asked_ms < oldest->asked_ms))
            oldest = a;
    }
    if (oldest && clock_mono_ms() - oldest->asked_ms < AHEAD_KEPT_MS && !oldest->is_stale)
        return NULL;
    if (oldest)
        drop_ahead(s, oldest);
    return oldest;
}

static void answer_waiter(struct ahead *a, int rc)
{
    struct mfs_call *waiter = a->waiter;
    if (!waiter)
        return;
    a->waiter = NULL;
    if (rc < 0) {
        file_free(waiter->file);
        reply_error(waiter->req, rc);
    } else {
        finish_open(waiter, &a->rep);
    }
    mfs_call_drop(waiter);
}

static int on_ahead(struct mfs_call *call, int rc, struct rd *body)
{
    struct ahead *a = call->file;
    if (rc == 0 &&
        (mfs_open_rep_get(body, &a->rep) < 0 || !a->rep.fh || !mfs_attr_is_valid(&a->rep.attr)))
        return -EPROTO;
    if (rc < 0 || a->waiter) {
        answer_waiter(a, rc);
        *a = (struct ahead){ 0 };
        return 0;
    }
    a->is_answered = true;
    if (a->rep.head.len && (a->head = malloc(a->rep.head.len)))
        memcpy(a->head, a->rep.head.ptr, a->rep.head.len);
    a->rep.head = (struct bytes){ a->head, a->head ? a->rep.head.len : 0 };
    if (a->is_stale || call->session->is_detached)
        drop_ahead(call->session, a);
    return 0;
}

static bool open_ahead(struct mfs_session *s, uint64_t node, const struct mfs_caller *who)
{
    const struct mfs_known *n = mfs_known_find(&s->nodes, node);
    uint32_t changes = n ? n->changes : 0;
    struct ahead *a = free_ahead(s);
    struct mfs_call *call = a ? mfs_call_new(s->client, on_ahead) : NULL;
    if (!call)
        return false;
    call->session = s;
    call->node = node;
    call->file = a;
    *a = (struct ahead){
        .node = node, .uid = who->uid, .changes = changes, .asked_ms = clock_mono_ms()
    };
    int rc =
        mfs_send_open(call, who, &(struct mfs_open_req){ node, MFS_O_RDONLY | MFS_O_HEAD }, 0);
    if (rc < 0) {
        *a = (struct ahead){ 0 };
        mfs_call_drop(call);
    }
    return rc >= 0;
}

/* node is being opened for reading: if the files before it in its directory were, the next ones
 * will be. */
static void look_ahead(struct mfs_session *s, uint64_t node, const struct mfs_caller *who)
{
    enum { SKIPPED_MAX = 4, RUN_MAX = 4 };
    const struct mfs_known *n = mfs_known_find(&s->nodes, s->last_opened);
    bool is_next = false;
    for (int i = 0; n && i < SKIPPED_MAX && !is_next; i++) {
        is_next = n->next_listed == node;
        n = mfs_known_find(&s->nodes, n->next_listed);
    }
    s->run = is_next ? s->run + (s->run < RUN_MAX) : 0;
    s->last_opened = node;
    if (s->run < 1)
        return;
    n = mfs_known_find(&s->nodes, node);
    for (int i = 0; n && i < 3 << s->run; i++) {
        n = mfs_known_find(&s->nodes, n->next_listed);
        if (n && n->is_small_file && !n->has_stamp && !find_ahead(s, n->number) &&
            !open_ahead(s, n->number, who))
            return;
    }
}

/* Answers call by what was opened ahead, now or when it comes. */
static bool take_ahead(struct mfs_session *s, struct mfs_call *call,
                       const struct mfs_caller *who)
{
    struct ahead *a = find_ahead(s, call->node);
    if (!a || a->uid != who->uid || a->is_stale || a->waiter ||
        clock_mono_ms() - a->asked_ms > AHEAD_KEPT_MS)
        return false;
    const struct mfs_known *n = mfs_known_find(&s->nodes, call->node);
    if (!n || n->changes != a->changes)
        return false;
    a->waiter = call;
    s->client->stats.cache_hits++;
    if (a->is_answered) {
        uint8_t *head = a->head;
        answer_waiter(a, 0);
        free(head);
        *a = (struct ahead){ 0 };
    }
    return true;
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mfs_call *call = begin(req, ino, on_open);
    if (!call)
        return;
    struct mfs_session *s = call->session;
    struct file *f = call->file = file_new(call);
    call->flags = (uint32_t)fi->flags;
    struct mfs_open_req m = { call->node, mfs_oflags_from_host(fi->flags) };
    const struct mfs_known *known = mfs_known_find(&s->nodes, call->node);
    if (f && known)
        f->changes = known->changes;
    struct mfs_caller who = caller_of(req);
    bool is_read = (fi->flags & (O_ACCMODE | O_TRUNC | O_APPEND | O_DIRECT)) == O_RDONLY;
    if (f && is_read && call->client->opts.is_loose) {
        uint64_t node = call->node;
        if (!known || !known->has_stamp)
            m.oflags |= MFS_O_HEAD;
        bool is_taken = take_ahead(s, call, &who);
        look_ahead(s, node, &who);
        if (is_taken)
            return;
    }
    int rc = f ? mfs_send_open(call, &who, &m, 0) : -ENOMEM;
    if (rc < 0)
        file_free(f);
    sent(call, rc);
}

/* create and tmpfile answer alike. On success the file is f, with its handle in fi; undo_create
 * takes it back if the kernel doesn't want it any more. */
static int take_created(struct mfs_call *call, struct rd *body, struct mfs_create_rep *m,
                        struct fuse_entry_param *p, struct fuse_file_info *fi)
{
    struct mfs_session *s = call->session;
    struct file *f = call->file;
    int rc = mfs_create_rep_get(body, m);
    if (rc < 0 || !m->fh || !S_ISREG(m->entry.attr.mode))
        return -EPROTO;
    rc = take_entry(s, call->node, &m->entry, p);
    if (rc == -ENOMEM)
        release_unheard(s->client, m->fh, false);
    if (rc < 0)
        return rc;
    f->fh = m->fh;
    f->node = m->entry.node;
    *fi = (struct fuse_file_info){ .fh = (uintptr_t)f };
    set_caching(s, f->node, &m->entry.attr, (int)call->flags, fi);
    return 0;
}

static void undo_create(struct mfs_call *call, const struct mfs_create_rep *m)
{
    file_free(call->file);
    release_unheard(call->client, m->fh, false);
    forget(call->session, m->entry.node, 1);
}

static int on_create(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_create_rep m = { 0 };
    struct fuse_entry_param p;
    struct fuse_file_info fi;
    if (rc == 0) {
        rc = take_created(call, body, &m, &p, &fi);
        if (rc == -EPROTO)
            return rc;
    }
    if (rc < 0) {
        file_free(call->file);
        reply_error(call->req, rc);
    } else if (fuse_reply_create(call->req, &p, &fi) < 0) {
        undo_create(call, &m);
    }
    return 0;
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    struct mfs_call *call = begin(req, parent, on_create);
    if (!call)
        return;
    struct file *f = call->file = file_new(call);
    call->flags = (uint32_t)fi->flags;
    struct mfs_create_req m = { call->node, bytes_of(name), mode, fuse_req_ctx(req)->umask,
                                mfs_oflags_from_host(fi->flags) };
    struct mfs_caller who = caller_of(req);
    int rc = f ? mfs_send_create(call, &who, &m, m.name.len) : -ENOMEM;
    if (rc < 0)
        file_free(f);
    sent(call, rc);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mfs_session *s = session_of(req);
    struct file *f = file_of(fi);
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    /* Nothing written through it and no record lock that this close could end: the server
     * would do nothing. */
    if (!f->is_written && n && !n->had_locks && !n->had_mapped_writes) {
        s->client->stats.cache_hits++;
        fuse_reply_err(req, 0);
        return;
    }
    f->is_written = false;
    struct mfs_call *call = begin(req, ino, on_done);
    if (!call)
        return;
    struct mfs_flush_req m = { f->fh, fi->lock_owner };
    SEND(flush, call, &m, 0);
}

/* The kernel doesn't let close() wait for this request, so the locks that the file held are
 * gone only a moment later. Nobody may notice: a request for a lock on the same node waits
 * until the server has answered. */
static int on_release(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    struct mfs_known *n = mfs_known_find(&call->session->nodes, call->node);
    reply_error(call->req, rc);
    if (n && call->flags && n->closing && --n->closing == 0)
        resume_locks(n);
    return 0;
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct file *f = file_of(fi);
    struct mfs_call *call = begin(req, ino, on_release);
    if (call) {
        struct mfs_known *n = mfs_known_find(&call->session->nodes, f->node);
        struct mfs_release_req m = { f->fh };
        struct mfs_caller who = caller_of(req);
        call->node = f->node;
        call->flags = f->had_locks && n;
        int rc = mfs_send_release(call, &who, &m, 0);
        if (rc == 0 && call->flags)
            n->closing++;
        sent(call, rc);
    }
    file_free(f);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int is_data_only,
                     struct fuse_file_info *fi)
{
    struct mfs_call *call = begin(req, ino, on_done);
    if (!call)
        return;
    struct mfs_fsync_req m = { file_of(fi)->fh, is_data_only != 0 };
    SEND(fsync, call, &m, 0);
}

/* ---- data ---- */

static int on_read(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_read_rep m = { 0 };
    if (rc == 0) {
        rc = mfs_read_rep_get(body, &m);
        if (rc < 0 || m.body.len > call->size)
            return -EPROTO;
    }
    if (rc < 0)
        reply_error(call->req, rc);
    else
        fuse_reply_buf(call->req, (const char *)m.body.ptr, m.body.len);
    return 0;
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    if (read_from_head(req, file_of(fi), size, offset))
        return;
    struct mfs_call *call = begin(req, ino, on_read);
    if (!call)
        return;
    call->size = size < MFS_DATA_MAX ? size : MFS_DATA_MAX;
    struct mfs_read_req m = { file_of(fi)->fh, (uint64_t)offset, (uint32_t)call->size };
    SEND(read, call, &m, 0);
}

static int on_write(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_write_rep m = { 0 };
    if (rc == 0) {
        rc = mfs_write_rep_get(body, &m);
        if (rc < 0 || m.written > call->size)
            return -EPROTO;
    }
    if (rc < 0)
        reply_error(call->req, rc);
    else
        fuse_reply_write(call->req, m.written);
    return 0;
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size,
                     off_t offset, struct fuse_file_info *fi)
{
    struct mfs_call *call = begin(req, ino, on_write);
    if (!call)
        return;
    struct file *f = file_of(fi);
    f->is_written = true;
    count_change(call->session, f->node);
    if (fi->writepage) {
        struct mfs_known *n = mfs_known_find(&call->session->nodes, f->node);
        if (n)
            n->had_mapped_writes = true;
    }
    call->size = size;
    struct mfs_write_req m = { f->fh,
                               (uint64_t)offset,
                               mfs_oflags_from_host(fi->flags),
                               { (const uint8_t *)bytes, (uint32_t)size } };
    SEND(write, call, &m, size);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                         struct fuse_file_info *fi)
{
    struct mfs_fallocate_req m = { file_of(fi)->fh, 0, (uint64_t)offset, (uint64_t)length };
    int rc = mfs_falloc_from_host(mode, &m.fmode);
    if (rc < 0) {
        reply_error(req, rc);
        return;
    }
    struct mfs_call *call = begin(req, ino, on_done);
    if (!call)
        return;
    count_change(call->session, file_of(fi)->node);
    SEND(fallocate, call, &m, 0);
}

static int on_lseek(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_lseek_rep m = { 0 };
    if (rc == 0) {
        rc = mfs_lseek_rep_get(body, &m);
        if (rc < 0 || m.offset > INT64_MAX)
            return -EPROTO;
    }
    if (rc < 0)
        reply_error(call->req, rc);
    else
        fuse_reply_lseek(call->req, (off_t)m.offset);
    return 0;
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
                     struct fuse_file_info *fi)
{
    if (whence != SEEK_DATA && whence != SEEK_HOLE) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    struct mfs_call *call = begin(req, ino, on_lseek);
    if (!call)
        return;
    struct mfs_lseek_req m = { file_of(fi)->fh, (uint64_t)offset,
                               whence == SEEK_DATA ? MFS_SEEK_DATA : MFS_SEEK_HOLE };
    SEND(lseek, call, &m, 0);
}

static int on_copy(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_copy_file_range_rep m = { 0 };
    if (rc == 0) {
        rc = mfs_copy_file_range_rep_get(body, &m);
        if (rc < 0 || m.copied > call->size)
            return -EPROTO;
    }
    if (rc < 0)
        reply_error(call->req, rc);
    else
        fuse_reply_write(call->req, m.copied);
    return 0;
}

static void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t offset_in,
                               struct fuse_file_info *fi_in, fuse_ino_t ino_out,
                               off_t offset_out, struct fuse_file_info *fi_out, size_t length,
                               int flags)
{
    (void)ino_out;
    if (flags) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    struct mfs_call *call = begin(req, ino_in, on_copy);
    if (!call)
        return;
    /* The kernel's answer has 32 bits. */
    call->size = length < 1U << 30 ? length : 1U << 30;
    struct file *to = file_of(fi_out);
    to->is_written = true;
    count_change(call->session, to->node);
    struct mfs_copy_file_range_req m = { file_of(fi_in)->fh, (uint64_t)offset_in, to->fh,
                                         (uint64_t)offset_out, call->size };
    SEND(copy_file_range, call, &m, 0);
}

/* ---- directories ---- */

static int on_opendir(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_opendir_rep m = { 0 };
    struct file *f = call->file;
    if (rc == 0) {
        rc = mfs_opendir_rep_get(body, &m);
        if (rc < 0 || !m.fh)
            return -EPROTO;
    }
    if (rc < 0) {
        file_free(f);
        reply_error(call->req, rc);
        return 0;
    }
    struct fuse_file_info fi = { .fh = (uintptr_t)f };
    f->fh = m.fh;
    if (fuse_reply_open(call->req, &fi) < 0) {
        file_free(f);
        release_unheard(call->client, m.fh, true);
    }
    return 0;
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct mfs_call *call = begin(req, ino, on_opendir);
    if (!call)
        return;
    struct file *f = call->file = file_new(call);
    struct mfs_opendir_req m = { call->node };
    struct mfs_caller who = caller_of(req);
    int rc = f ? mfs_send_opendir(call, &who, &m, 0) : -ENOMEM;
    if (rc < 0)
        file_free(f);
    sent(call, rc);
}

/* One entry into the kernel's buffer. Returns the room that it needs; more than size: nothing
 * was added. */
static size_t add_entry(fuse_req_t req, struct file *f, const struct mfs_dirent *d,
                        const char *name, char *text, size_t size, bool is_plus)
{
    struct fuse_entry_param p = { .attr = { .st_ino = d->ino,
                                            .st_mode = DTTOIF(d->type & 15U) } };
    if (!is_plus)
        return fuse_add_direntry(req, text, size, name, &p.attr, (off_t)d->next_cookie);
    size_t need = fuse_add_direntry_plus(req, NULL, 0, name, &p, (off_t)d->next_cookie);
    if (need > size)
        return need;
    struct mfs_session *s = session_of(req);
    if (d->has_entry && take_entry(s, f->node, &d->entry, &p) < 0)
        p.ino = 0; /* only the name, then */
    if (p.ino) {
        struct mfs_known *before = mfs_known_find(&s->nodes, f->last_listed);
        if (before)
            before->next_listed = d->entry.node;
        f->last_listed = d->entry.node;
    }
    if (d->has_entry && f->notices != s->client->notices)
        p.attr_timeout = p.entry_timeout = 0; /* something changed since it was read */
    return fuse_add_direntry_plus(req, text, size, name, &p, (off_t)d->next_cookie);
}

/* Moves entries from r to the kernel's buffer text as long as they fit. Returns the length
 * used, or -EPROTO. */
static ssize_t add_entries(fuse_req_t req, struct file *f, struct rd *r, char *text,
                           size_t size, bool is_plus)
{
    size_t len = 0;
    while (rd_left(r)) {
        struct rd before = *r;
        struct mfs_dirent d;
        char name[MFS_NAME_MAX + 1];
        if (mfs_dirent_get(r, &d) < 0 || d.next_cookie > INT64_MAX ||
            !mfs_name_is_valid(d.name) || bytes_to_text(d.name, name, sizeof name) < 0 ||
            (d.has_entry && (!d.entry.node || !mfs_attr_is_valid(&d.entry.attr))))
            return -EPROTO;
        size_t need = add_entry(req, f, &d, name, text + len, size - len, is_plus);
        if (need > size - len) {
            *r = before;
            break;
        }
        if (!is_plus)
            drop_entry(session_of(req), &d);
        len += need;
        f->cookie = d.next_cookie;
    }
    return (ssize_t)len;
}

/* What is left of a list that nobody reads on. */
static void drop_chunk(struct mfs_session *s, struct file *f)
{
    drop_entries(s,
                 rd_of(f->chunk ? f->chunk + f->chunk_at : NULL, f->chunk_end - f->chunk_at));
    free(take_ptr(&f->chunk));
    f->chunk_at = f->chunk_end = 0;
}

static int reply_entries(fuse_req_t req, struct file *f, size_t size, bool is_plus)
{
    char text[DIR_CHUNK_BYTES];
    struct rd r = rd_of(f->chunk ? f->chunk + f->chunk_at : NULL, f->chunk_end - f->chunk_at);
    ssize_t len =
        add_entries(req, f, &r, text, size < sizeof text ? size : sizeof text, is_plus);
    if (len < 0 || (len == 0 && !rd_left(&r) && !f->is_eof))
        return -EPROTO;
    f->chunk_at = f->chunk_end - rd_left(&r);
    if (len == 0 && rd_left(&r))
        fuse_reply_err(req, EINVAL); /* not even one fits */
    else
        fuse_reply_buf(req, text, (size_t)len);
    if (!rd_left(&r)) {
        free(take_ptr(&f->chunk));
        f->chunk_at = f->chunk_end = 0;
    }
    return 0;
}

static int on_readdir(struct mfs_call *call, int rc, struct rd *body)
{
    struct file *f = call->file;
    struct mfs_readdir_rep m = { 0 };
    if (rc == 0) {
        rc = mfs_readdir_rep_get(body, &m);
        if (rc < 0 || m.entries.len > DIR_CHUNK_BYTES)
            return -EPROTO;
        f->chunk = m.entries.len ? malloc(m.entries.len) : NULL;
        if (m.entries.len && !f->chunk)
            rc = -ENOMEM;
    }
    if (rc < 0) {
        reply_error(call->req, rc);
        return 0;
    }
    if (m.entries.len)
        memcpy(f->chunk, m.entries.ptr, m.entries.len);
    f->chunk_at = 0;
    f->chunk_end = m.entries.len;
    f->is_eof = m.is_eof;
    return reply_entries(call->req, f, call->size, call->is_plus);
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                     struct fuse_file_info *fi, bool is_plus)
{
    struct file *f = file_of(fi);
    bool is_next = offset != 0 && (uint64_t)offset == f->cookie;
    if (is_next && (f->chunk_at < f->chunk_end || f->is_eof)) {
        session_of(req)->client->stats.cache_hits++;
        if (reply_entries(req, f, size, is_plus) < 0)
            fuse_reply_err(req, EIO);
        return;
    }
    drop_chunk(session_of(req), f);
    f->cookie = (uint64_t)offset;
    f->notices = session_of(req)->client->notices;
    f->is_eof = false;
    struct mfs_call *call = begin(req, ino, on_readdir);
    if (!call)
        return;
    call->file = f;
    call->size = size;
    call->is_plus = is_plus;
    struct mfs_readdir_req m = { f->fh, (uint64_t)offset, DIR_CHUNK_BYTES, is_plus };
    SEND(readdir, call, &m, 0);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    read_dir(req, ino, size, offset, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                           struct fuse_file_info *fi)
{
    read_dir(req, ino, size, offset, fi, true);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mfs_session *s = session_of(req);
    struct file *f = file_of(fi);
    drop_chunk(s, f); /* before the request may be answered and gone */
    struct mfs_call *call = begin(req, ino, on_done);
    if (call) {
        struct mfs_releasedir_req m = { f->fh };
        SEND(releasedir, call, &m, 0);
    }
    file_free(f);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int is_data_only,
                        struct fuse_file_info *fi)
{
    struct mfs_call *call = begin(req, ino, on_done);
    if (!call)
        return;
    struct mfs_fsyncdir_req m = { file_of(fi)->fh, is_data_only != 0 };
    SEND(fsyncdir, call, &m, 0);
}

/* ---- locks ---- */

static uint64_t lock_end(const struct flock *l)
{
    return l->l_len ? (uint64_t)l->l_start + (uint64_t)l->l_len - 1 : UINT64_MAX;
}

static int on_getlk(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_getlk_rep m = { 0 };
    int type = F_UNLCK;
    if (rc == 0) {
        rc = mfs_getlk_rep_get(body, &m);
        if (rc < 0 || mfs_lock_to_host(m.type, &type) < 0)
            return -EPROTO;
        if (type != F_UNLCK && (m.start > INT64_MAX || m.end < m.start ||
                                (m.end > INT64_MAX && m.end != UINT64_MAX)))
            return -EPROTO;
    }
    if (rc < 0) {
        reply_error(call->req, rc);
        return 0;
    }
    struct flock l = { .l_type = (short)type, .l_whence = SEEK_SET };
    if (type != F_UNLCK) {
        l.l_start = (off_t)m.start;
        l.l_len = m.end >= INT64_MAX ? 0 : (off_t)(m.end - m.start + 1);
        l.l_pid = (pid_t)m.pid;
    }
    fuse_reply_lock(call->req, &l);
    return 0;
}

static void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *l)
{
    struct mfs_getlk_req m = { .fh = file_of(fi)->fh,
                               .owner = fi->lock_owner,
                               .start = (uint64_t)l->l_start,
                               .end = lock_end(l),
                               .pid = (uint32_t)l->l_pid };
    int rc = mfs_lock_from_host(l->l_type, &m.type);
    if (rc < 0) {
        reply_error(req, rc);
        return;
    }
    struct mfs_call *call = begin(req, ino, on_getlk);
    if (call)
        SEND(getlk, call, &m, 0);
}

/* One request for a lock; kept while it waits for closings. */
struct lock_request {
    struct link link;
    fuse_req_t req;
    fuse_ino_t ino;
    struct fuse_file_info fi;
    bool is_flock;
    uint8_t type;
    bool is_waiting;
    struct flock range;
};

/* What a lock protects is read anew by who got it. */
static int on_locked(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_session *s = call->session;
    struct mfs_known *n = mfs_known_find(&s->nodes, call->node);
    if (rc == 0 && s->client->opts.is_loose && n && call->flags != MFS_LOCK_UN) {
        n->changes++;
        distrust(s, call->node);
    }
    return on_done(call, rc, body);
}

static void send_lock(const struct lock_request *k)
{
    struct file *f = file_of(&k->fi);
    struct mfs_call *call = begin(k->req, k->ino, on_locked);
    if (!call)
        return;
    call->flags = k->type;
    call->is_lock_wait = k->is_waiting;
    if (k->is_flock) {
        struct mfs_flock_req m = { f->fh, k->type, k->is_waiting };
        SEND(flock, call, &m, 0);
        return;
    }
    struct mfs_setlk_req m = { .fh = f->fh,
                               .owner = k->fi.lock_owner,
                               .type = k->type,
                               .start = (uint64_t)k->range.l_start,
                               .end = lock_end(&k->range),
                               .pid = (uint32_t)k->range.l_pid,
                               .is_waiting = k->is_waiting };
    SEND(setlk, call, &m, 0);
}

static void start_lock(const struct lock_request *k)
{
    struct file *f = file_of(&k->fi);
    struct mfs_known *n = mfs_known_find(&session_of(k->req)->nodes, f->node);
    if (k->type != MFS_LOCK_UN) {
        f->had_locks = true;
        if (n && !k->is_flock)
            n->had_locks = true;
    }
    struct lock_request *kept = n && n->closing ? malloc(sizeof *kept) : NULL;
    if (!kept) {
        send_lock(k);
        return;
    }
    *kept = *k;
    list_push_back(&n->waiting, &kept->link);
}

static void resume_locks(struct mfs_known *n)
{
    while (!list_is_empty(&n->waiting)) {
        struct lock_request *k = LIST_ENTRY(n->waiting.next, struct lock_request, link);
        list_remove(&k->link);
        send_lock(k);
        free(k);
    }
}

static void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *l,
                     int is_waiting)
{
    struct lock_request k = {
        .req = req, .ino = ino, .fi = *fi, .is_waiting = is_waiting != 0, .range = *l
    };
    int rc = mfs_lock_from_host(l->l_type, &k.type);
    if (rc < 0)
        reply_error(req, rc);
    else
        start_lock(&k);
}

static void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
    struct lock_request k = {
        .req = req, .ino = ino, .fi = *fi, .is_flock = true, .is_waiting = !(op & LOCK_NB)
    };
    k.type = op & LOCK_SH ? MFS_LOCK_RD : op & LOCK_EX ? MFS_LOCK_WR : MFS_LOCK_UN;
    start_lock(&k);
}

/* ---- ioctl ---- */

static int on_getflags(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_getflags_rep m = { 0 };
    if (rc == 0) {
        rc = mfs_getflags_rep_get(body, &m);
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        reply_error(call->req, rc);
    else
        fuse_reply_ioctl(call->req, 0, &m.iflags, sizeof m.iflags);
    return 0;
}

static int on_setflags(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    if (rc < 0)
        reply_error(call->req, rc);
    else
        fuse_reply_ioctl(call->req, 0, NULL, 0);
    return 0;
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
                     struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_bytes,
                     size_t out_bytes)
{
    (void)arg;
    (void)fi;
    (void)flags;
    bool is_get = cmd == FS_IOC_GETFLAGS && out_bytes >= sizeof(uint32_t);
    bool is_set = cmd == FS_IOC_SETFLAGS && in_bytes >= sizeof(uint32_t);
    if (!is_get && !is_set) {
        fuse_reply_err(req, ENOTTY);
        return;
    }
    struct mfs_call *call = begin(req, ino, is_get ? on_getflags : on_setflags);
    if (!call)
        return;
    if (is_get) {
        struct mfs_getflags_req m = { call->node };
        SEND(getflags, call, &m, 0);
    } else {
        struct mfs_setflags_req m = { .node = call->node };
        memcpy(&m.iflags, in, sizeof m.iflags);
        SEND(setflags, call, &m, 0);
    }
}

/* ---- requests that libfuse doesn't know ---- */

static void raw_reply(struct mfs_call *call, const void *body, size_t body_bytes, int *rc)
{
    *rc = mfs_raw_reply(call->session->fd, call->unique, *rc == 0 ? 0 : errno_of(*rc), body,
                        body_bytes);
}

static int on_raw_done(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    raw_reply(call, NULL, 0, &rc);
    return 0;
}

static int on_tmpfile(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_create_rep m = { 0 };
    struct fuse_entry_param p;
    struct fuse_file_info fi;
    struct mfs_raw_created out;
    if (rc == 0) {
        rc = take_created(call, body, &m, &p, &fi);
        if (rc == -EPROTO)
            return rc;
    }
    if (rc < 0) {
        file_free(call->file);
        raw_reply(call, NULL, 0, &rc);
        return 0;
    }
    size_t out_bytes = mfs_raw_created(&out, &(struct mfs_raw_entry){
                                                 .node = p.ino,
                                                 .generation = p.generation,
                                                 .entry_ms = m.entry.valid_ms,
                                                 .attr_ms = m.entry.attr.valid_ms,
                                                 .st = p.attr,
                                                 .fh = fi.fh,
                                                 .is_direct = fi.direct_io,
                                                 .may_keep = fi.keep_cache,
                                             });
    raw_reply(call, &out, out_bytes, &rc);
    if (rc < 0)
        undo_create(call, &m);
    return 0;
}

/* Handles in if it is one of those. False: it is libfuse's. */
static bool take_raw(struct mfs_session *s, const struct mfs_raw_request *in)
{
    bool is_tmpfile = in->op == MFS_RAW_TMPFILE;
    if (!is_tmpfile && in->op != MFS_RAW_SYNCFS)
        return false;
    struct mfs_call *call = mfs_call_new(s->client, is_tmpfile ? on_tmpfile : on_raw_done);
    struct mfs_caller who = mapped_caller(s->client, in->uid, in->gid, in->pid);
    int rc = -ENOMEM;
    if (call) {
        call->session = s;
        call->unique = in->unique;
        call->node = swap_root(s, in->node);
        call->flags = in->flags;
    }
    if (call && is_tmpfile) {
        struct mfs_tmpfile_req m = { call->node, in->mode, in->umask,
                                     mfs_oflags_from_host((int)in->flags) };
        call->file = file_new(call);
        if (call->file)
            rc = mfs_send_tmpfile(call, &who, &m, 0);
        if (rc < 0)
            file_free(call->file);
    } else if (call) {
        struct mfs_syncfs_req m = { call->node };
        rc = mfs_send_syncfs(call, &who, &m, 0);
    }
    if (rc < 0) {
        mfs_call_drop(call);
        rc = mfs_raw_reply(s->fd, in->unique, -rc, NULL, 0);
    }
    return true;
}

/* ---- the session ---- */

static void op_init(void *ctx, struct fuse_conn_info *conn)
{
    struct mfs_session *s = ctx;
    const struct mfs_client *c = s->client;
    uint32_t want = FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_AUTO_INVAL_DATA |
                    FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_DONT_MASK | FUSE_CAP_POSIX_LOCKS |
                    FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_IOCTL_DIR | FUSE_CAP_ASYNC_DIO;
    /* The kernel of this side knows the callers' groups, so it checks for a server that acts as
     * the caller. A lone user's server checks all by itself. */
    if (c->features & MFS_FEATURE_PRIVILEGED && !c->opts.is_single_user)
        want |= FUSE_CAP_POSIX_ACL;
    /* Attributes along with names only serve who may believe them. */
    if (c->opts.is_loose)
        want |= FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO;
    conn->want = want & conn->capable;
    conn->max_background = 64;
    conn->congestion_threshold = 48;
}

static const struct fuse_lowlevel_ops operations = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .open = op_open,
    .read = op_read,
    .write = op_write,
    .flush = op_flush,
    .release = op_release,
    .fsync = op_fsync,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_releasedir,
    .fsyncdir = op_fsyncdir,
    .statfs = op_statfs,
    .setxattr = op_setxattr,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .removexattr = op_removexattr,
    .access = op_access,
    .create = op_create,
    .getlk = op_getlk,
    .setlk = op_setlk,
    .flock = op_flock,
    .fallocate = op_fallocate,
    .lseek = op_lseek,
    .copy_file_range = op_copy_file_range,
    .ioctl = op_ioctl,
};

static ssize_t io_read(int fd, void *ptr, size_t len, void *ctx)
{
    (void)ctx;
    return read(fd, ptr, len);
}

/* Every answer passes here. That to INIT is given the flags that libfuse has no names for.
 * libfuse prints all failures but ENOENT: an unmounted file system is nothing to print. */
static ssize_t io_writev(int fd, struct iovec *iov, int count, void *ctx)
{
    struct mfs_session *s = ctx;
    mfs_raw_init_answer(&s->init, iov, count);
    ssize_t n = writev(fd, iov, count);
    if (n < 0) {
        if (errno != ENOENT && errno != ENODEV)
            log_at(LOG_DEBUG, "fuse: answer refused: %s", strerror(errno));
        errno = ENOENT;
    }
    return n;
}

/* The kernel is gone: nobody will ask or forget any more. */
static void detach(struct mfs_session *s)
{
    struct mfs_client *c = s->client;
    loop_fd_del(&s->watch);
    s->is_detached = true;
    for (size_t i = 0; i < s->nodes.bucket_count; i++) {
        LIST_EACH(&s->nodes.buckets[i], it, nx)
        {
            struct mfs_known *n = LIST_ENTRY(it, struct mfs_known, link);
            if (n->number != s->root)
                mfs_client_forget(c, n->number, n->nlookup);
        }
    }
    for (size_t i = 0; i < OPENED_AHEAD_MAX; i++)
        if (s->ahead[i].node && s->ahead[i].is_answered)
            drop_ahead(s, &s->ahead[i]);
    list_init(&s->again);
    mfs_known_table_fini(&s->nodes);
    int rc = mfs_known_table_init(&s->nodes);
    (void)rc; /* answers still under way find an empty table, or none */
    if (c->opts.on_detached)
        c->opts.on_detached(c->opts.ctx, s->export_number);
}

/* Reads one request and starts what it asks for. False when there is none now. */
static bool take_request(struct mfs_session *s)
{
    struct mfs_client *c = s->client;
    ssize_t n = fd_read(s->fd, c->request, REQUEST_BYTES);
    if (n == -ENODEV) {
        detach(s);
        return false;
    }
    if (n == -ENOENT) /* interrupted before it was read: nothing to do */
        return true;
    struct mfs_raw_request in;
    if (n < 0 || mfs_raw_request_get(&in, c->request, (size_t)n) < 0)
        return false;
    if (c->opts.is_root_only && in.uid != 0 && in.uid != c->opts.own_uid &&
        mfs_raw_is_by_caller(in.op)) {
        int rc = mfs_raw_reply(s->fd, in.unique, EACCES, NULL, 0);
        return rc == 0;
    }
    if (in.op == MFS_RAW_INIT)
        mfs_raw_init_request(&s->init, c->request, (size_t)n);
    if (!take_raw(s, &in)) {
        struct fuse_buf b = { .size = (size_t)n, .mem = c->request };
        fuse_session_process_buf(s->se, &b);
    }
    return true;
}

static void on_request(void *ctx, uint32_t events)
{
    struct mfs_session *s = ctx;
    struct mfs_client *c = s->client;
    (void)events;
    for (int i = 0; i < REQUESTS_PER_TURN && !mfs_client_is_crowded(c); i++)
        if (!take_request(s))
            break;
    mfs_client_flush(c);
}

void mfs_session_hold(struct mfs_session *s, bool is_held)
{
    loop_fd_set(&s->watch, is_held ? 0 : EPOLLIN);
}

void mfs_session_free(struct mfs_session *s)
{
    loop_fd_del(&s->watch);
    loop_timer_del(&s->again_timer);
    list_remove(&s->link);
    if (s->se)
        fuse_session_destroy(s->se); /* closes fd */
    else
        fd_close(&s->fd);
    while (!list_is_empty(&s->files))
        file_free(LIST_ENTRY(s->files.next, struct file, open));
    for (size_t k = 0; k < OPENED_AHEAD_MAX; k++)
        free(s->ahead[k].head);
    mfs_known_table_fini(&s->nodes);
    free(s);
}

static void no_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
    char text[256];
    (void)level;
    vsnprintf(text, sizeof text, fmt, ap);
    log_at(LOG_DEBUG, "libfuse: %s", text);
}

static int session_open(struct mfs_session *s)
{
    static const struct fuse_custom_io io = { .writev = io_writev, .read = io_read };
    char name[] = "mrcfs";
    char *argv[] = { name, NULL };
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    fuse_set_log_func(no_log);
    s->se = fuse_session_new(&args, &operations, sizeof operations, s);
    fuse_opt_free_args(&args);
    if (!s->se)
        return -ENOMEM;
    if (fuse_session_custom_io(s->se, &io, s->fd) < 0)
        return -ENOMEM;
    int rc = fd_set_nonblock(s->fd, true);
    if (rc < 0)
        return rc;
    rc = mfs_known_table_init(&s->nodes);
    if (rc < 0 || !mfs_known_look_up(&s->nodes, s->root))
        return -ENOMEM;
    return loop_fd_add(s->client->loop, &s->watch, s->fd, EPOLLIN, on_request, s);
}

int mfs_client_attach(struct mfs_client *c, size_t export_number, int fuse_fd, struct err *e)
{
    AUTO_FD fd = fuse_fd;
    if (export_number >= c->export_count)
        return err_set(e, EINVAL, "attach export %zu of %zu", export_number, c->export_count);
    if (!c->request && !(c->request = malloc(REQUEST_BYTES)))
        return err_set(e, ENOMEM, "attach export %zu", export_number);
    struct mfs_session *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ENOMEM, "attach export %zu", export_number);
    s->client = c;
    s->export_number = export_number;
    s->root = c->exports[export_number].node;
    s->fd = take_fd(&fd);
    list_init(&s->files);
    list_init(&s->again);
    list_push_back(&c->sessions, &s->link);
    int rc = session_open(s);
    if (rc < 0) {
        mfs_session_free(s);
        return err_set(e, -rc, "serve FUSE for export %s", c->exports[export_number].path);
    }
    return 0;
}

int mfs_client_mount_opts(const struct mfs_client *c, int fuse_fd, uid_t uid, gid_t gid,
                          bool allow_other, char *text, size_t size_bytes)
{
    bool is_checked_here = c->features & MFS_FEATURE_PRIVILEGED && !c->opts.is_single_user;
    int n = snprintf(text, size_bytes, "fd=%d,rootmode=40000,user_id=%u,group_id=%u%s%s",
                     fuse_fd, (unsigned)uid, (unsigned)gid, allow_other ? ",allow_other" : "",
                     is_checked_here ? ",default_permissions" : "");
    return n < 0 || (size_t)n >= size_bytes ? -ENOSPC : 0;
}

/* ---- what the server says unasked ---- */

/* On the notifier's thread. */
static void send_inval_node(const struct mfs_kernel_notice *n)
{
    struct mfs_session *s = n->target;
    fuse_lowlevel_notify_inval_inode(s->se, n->node, n->offset, n->length);
}

static void send_inval_entry(const struct mfs_kernel_notice *n)
{
    struct mfs_session *s = n->target;
    int rc = mfs_raw_expire_entry(s->fd, n->node, n->name);
    (void)rc; /* ENOENT: the kernel doesn't know the name */
}

/* A notice that overtakes, inside the kernel, the first answer about its node finds no inode
 * and is lost; then the inode comes into being with attributes that are old but promised. So
 * for a node that the kernel has just been told of, it is said again. */
static void repeat_notices(void *ctx)
{
    struct mfs_session *s = ctx;
    LIST_EACH(&s->again, it, nx)
    {
        struct mfs_known *n = LIST_ENTRY(it, struct mfs_known, again);
        struct mfs_kernel_notice notice = { .fn = send_inval_node,
                                            .target = s,
                                            .node = swap_root(s, n->number) };
        list_remove(it);
        mfs_notifier_add(s->client->notifier, &notice, (struct bytes){ NULL, 0 });
    }
}

void mfs_session_inval_node(struct mfs_session *s, const struct mfs_inval_node_notice *n)
{
    struct mfs_known *known = s->is_detached ? NULL : mfs_known_find(&s->nodes, n->node);
    if (!known)
        return;
    known->plain_until_ms = 0;
    known->has_stamp = false;
    struct ahead *a = find_ahead(s, n->node);
    if (a && a->is_answered)
        drop_ahead(s, a);
    else if (a)
        a->is_stale = true;
    known->changes++;
    if (clock_mono_ms() - known->since_ms < FRESH_MS && !link_is_in(&known->again)) {
        if (list_is_empty(&s->again))
            loop_timer_set(s->client->loop, &s->again_timer, FRESH_MS, repeat_notices, s);
        list_push_back(&s->again, &known->again);
    }
    struct mfs_kernel_notice notice = { .fn = send_inval_node,
                                        .target = s,
                                        .node = swap_root(s, n->node),
                                        /* a negative offset leaves the pages alone */
                                        .offset = n->is_data ? (int64_t)n->offset : -1,
                                        .length = (int64_t)n->length };
    mfs_notifier_add(s->client->notifier, &notice, (struct bytes){ NULL, 0 });
}

void mfs_session_inval_entry(struct mfs_session *s, const struct mfs_inval_entry_notice *n)
{
    if (s->is_detached || !mfs_known_find(&s->nodes, n->node))
        return;
    struct mfs_kernel_notice notice = { .fn = send_inval_entry,
                                        .target = s,
                                        .node = swap_root(s, n->node) };
    mfs_notifier_add(s->client->notifier, &notice, n->name);
}
