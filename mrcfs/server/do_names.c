/* SPDX-License-Identifier: GPL-2.0-or-later */
/* do_names.c: operations that find, make, move and remove names.
 * Must not know: the wire's coding, threads.
 * Every name is one component used relative to a directory's descriptor; a link in its place is
 * never followed, but by lookup if the server is told to (follow.c). */
#include "mrcfs/server/server.h"

#include "common/sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A name in a directory, ready for use. */
struct spot {
    struct mfs_node *dir;
    bool is_watched;
    uint32_t events;
    enum mfs_found how;
    uint64_t wanted; /* the number of what is made here; 0: any */
    char name[MFS_NAME_MAX + 1];
};

static int spot_of(struct mfs_call *o, uint64_t node, struct bytes name, bool is_written,
                   struct spot *s)
{
    int rc = mfs_op_name_text(name, s->name);
    if (rc == 0)
        rc = is_written ? mfs_op_node_rw(o, node, &s->dir) : mfs_op_node(o, node, &s->dir);
    s->is_watched = rc == 0 && mfs_watch(&o->srv->watches, s->dir);
    s->events = rc == 0 ? __atomic_load_n(&s->dir->events, __ATOMIC_SEQ_CST) : 0;
    s->how = MFS_FOUND_LOOKED;
    s->wanted = 0;
    if (rc == 0)
        rc = mfs_need_node(o, s->dir, is_written ? MFS_LEASE_EXCLUSIVE : MFS_LEASE_SHARED);
    return rc;
}

/* A name that exists, or shall go: hidden ones don't exist. */
static int spot_old(struct mfs_call *o, uint64_t node, struct bytes name, struct spot *s)
{
    int rc = spot_of(o, node, name, true, s);
    return rc == 0 && mfs_op_is_hidden(o, s->dir, s->name) ? -ENOENT : rc;
}

/* A name that shall come: hidden ones can't. */
static int spot_new(struct mfs_call *o, uint64_t node, struct bytes name, struct spot *s)
{
    int rc = spot_of(o, node, name, true, s);
    s->how = MFS_FOUND_MADE;
    s->wanted = o->rq->head.makes_node;
    return rc == 0 && mfs_op_is_hidden(o, s->dir, s->name) ? -EACCES : rc;
}

/* Around what makes one event of a name, which is not news for the client: begun, then ended
 * with the call's result, which is returned (errno is kept). */
static void begin_event(struct mfs_call *o, const struct spot *s, uint32_t mask)
{
    mfs_watch_expect(&o->srv->watches, s->dir, s->name, mask);
}

static int end_event(struct mfs_call *o, const struct spot *s, uint32_t mask, int rc)
{
    int error = errno;
    if (rc < 0)
        mfs_watch_withdraw(&o->srv->watches, s->dir, s->name, mask);
    errno = error;
    return rc;
}

static struct mfs_place place_of(const struct spot *s)
{
    return (struct mfs_place){ .parent = s->dir,
                               .name = s->name,
                               .export_number = s->dir->export_number,
                               .is_watched = s->is_watched,
                               .events = s->events,
                               .how = s->how,
                               .wanted = s->wanted };
}

/* What was promised of an entry holds while the tokens are had. Returns 0. */
static int grant_entry(struct mfs_call *o, const struct mfs_place *at, const struct statx *stx,
                       struct mfs_entry *e)
{
    struct mfs_identity what;
    mfs_identity_of(stx, &what);
    mfs_grant_attr(o, &what, e->node, &e->attr);
    if (at->parent)
        mfs_grant_name(o, at->parent, at->events, &e->valid_ms);
    return 0;
}

/* The entry of what is at s now. */
static int enter_spot(struct mfs_call *o, const struct spot *s, struct mfs_entry *e)
{
    AUTO_FD fd = mfs_open_beneath(s->dir->fd, s->name);
    if (fd < 0)
        return fd;
    struct statx stx;
    struct mfs_place at = place_of(s);
    int rc = mfs_op_enter(o, &at, &fd, &stx, e);
    /* Asked for by its name it may be something else. */
    if (rc == 0 && o->srv->follows_links && S_ISLNK(e->attr.mode))
        e->valid_ms = e->attr.valid_ms = 0;
    return rc < 0 ? rc : grant_entry(o, &at, &stx, e);
}

/* Likewise, of what a link there leads to. */
static int enter_followed(struct mfs_call *o, const struct spot *s, struct mfs_entry *e)
{
    AUTO_FD fd = mfs_open_beneath(s->dir->fd, s->name);
    struct statx stx;
    struct mfs_place at = place_of(s);
    int rc = fd < 0 ? fd : mfs_statx(fd, "", AT_EMPTY_PATH, &stx);
    if (rc < 0)
        return rc;
    if (S_ISLNK(stx.stx_mode))
        return mfs_enter_link(o, &at, &fd, e);
    rc = mfs_op_enter(o, &at, &fd, &stx, e);
    return rc < 0 ? rc : grant_entry(o, &at, &stx, e);
}

int mfs_do_lookup(struct mfs_call *o, const struct mfs_lookup_req *q, struct mfs_lookup_rep *p)
{
    struct spot s;
    int rc = spot_of(o, q->node, q->name, false, &s);
    if (rc < 0)
        return rc;
    if (mfs_op_is_hidden(o, s.dir, s.name))
        return -ENOENT;
    rc =
        o->srv->follows_links ? enter_followed(o, &s, &p->entry) : enter_spot(o, &s, &p->entry);
    if (rc == -ENOENT && s.is_watched && mfs_op_promise_name(s.dir, s.events)) {
        /* That it is absent can be believed too. */
        p->entry = (struct mfs_entry){ .valid_ms = MFS_PROMISE_MS };
        mfs_grant_name(o, s.dir, s.events, &p->entry.valid_ms);
        return 0;
    }
    if (rc == 0 && o->worker)
        o->worker->found = p->entry.node;
    return rc;
}

int mfs_do_mknod(struct mfs_call *o, const struct mfs_mknod_req *q, struct mfs_mknod_rep *p)
{
    struct spot s;
    int rc = spot_new(o, q->node, q->name, &s);
    if (rc < 0)
        return rc;
    mfs_op_set_umask(o, q->umask);
    dev_t dev = makedev(q->rdev_major, q->rdev_minor);
    begin_event(o, &s, IN_CREATE);
    rc = mknodat(s.dir->fd, s.name, q->mode & (S_IFMT | 07777), dev);
    if (end_event(o, &s, IN_CREATE, rc) < 0)
        return -errno;
    return enter_spot(o, &s, &p->entry);
}

/* Is nothing but "." and ".." in the directory at s? */
static bool is_empty(const struct spot *s)
{
    enum { DOTS = 2 };
    char entries[1024];
    AUTO_FD fd = openat(s->dir->fd, s->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    int count = 0;
    ssize_t n;
    while ((n = getdents64(fd, entries, sizeof entries)) > 0) {
        for (ssize_t at = 0; at < n; count++) {
            struct dirent64 d;
            memcpy(&d, entries + at, offsetof(struct dirent64, d_name));
            at += d.d_reclen;
        }
    }
    return n == 0 && count == DOTS;
}

int mfs_do_mkdir(struct mfs_call *o, const struct mfs_mkdir_req *q, struct mfs_mkdir_rep *p)
{
    struct spot s;
    int rc = spot_new(o, q->node, q->name, &s);
    if (rc < 0)
        return rc;
    mfs_op_set_umask(o, q->umask);
    begin_event(o, &s, IN_CREATE);
    if (end_event(o, &s, IN_CREATE, mkdirat(s.dir->fd, s.name, q->mode & 07777)) < 0)
        return -errno;
    rc = enter_spot(o, &s, &p->entry);
    /* Looked at after it is watched. */
    if (rc == 0 && p->entry.attr.valid_ms && is_empty(&s))
        p->entry.attr.flags |= MFS_ATTR_EMPTY;
    return rc;
}

int mfs_do_symlink(struct mfs_call *o, const struct mfs_symlink_req *q,
                   struct mfs_symlink_rep *p)
{
    struct spot s;
    char target[MFS_TARGET_MAX + 1];
    int rc = bytes_to_text(q->target, target, sizeof target);
    if (rc < 0)
        return rc == -EPROTO ? -EINVAL : rc;
    rc = spot_new(o, q->node, q->name, &s);
    if (rc < 0)
        return rc;
    begin_event(o, &s, IN_CREATE);
    if (end_event(o, &s, IN_CREATE, symlinkat(target, s.dir->fd, s.name)) < 0)
        return -errno;
    return enter_spot(o, &s, &p->entry);
}

int mfs_do_readlink(struct mfs_call *o, const struct mfs_readlink_req *q,
                    struct mfs_readlink_rep *p)
{
    struct mfs_node *n;
    int rc = mfs_op_node(o, q->node, &n);
    if (rc < 0 || (rc = mfs_need_node(o, n, MFS_LEASE_SHARED)) < 0)
        return rc;
    if (n->identity.type != S_IFLNK)
        return -EINVAL;
    uint8_t *at;
    rc = mfs_op_payload(o, MFS_TARGET_MAX + 1, &at);
    if (rc < 0)
        return rc;
    ssize_t len = readlinkat(n->fd, "", (char *)at, MFS_TARGET_MAX + 1);
    if (len < 0)
        return -errno;
    p->target = (struct bytes){ NULL, (uint32_t)len };
    o->out->len = (size_t)len;
    return 0;
}

/* ---- names that go ---- */

/* What is about to lose its name at s, if the client knows it; kept until the op is over. */
static int secure_spot(struct mfs_call *o, const struct spot *s, struct mfs_identity *what)
{
    struct statx stx;
    int rc = mfs_statx(s->dir->fd, s->name, AT_SYMLINK_NOFOLLOW, &stx);
    if (rc < 0)
        return rc;
    mfs_identity_of(&stx, what);
    if (mfs_hidden_has_file(&o->srv->hidden, what->dev, what->ino))
        return -ENOENT;
    if ((rc = mfs_need(o, what, MFS_LEASE_EXCLUSIVE)) < 0)
        return rc;
    struct mfs_node *n = mfs_node_secure(&o->srv->nodes, what, s->dir);
    mfs_op_keep(o, n);
    mfs_changes(o, n);
    return 0;
}

static int remove_spot(struct mfs_call *o, uint64_t node, struct bytes name, int flags)
{
    struct spot s;
    struct mfs_identity what;
    int rc = spot_old(o, node, name, &s);
    if (rc < 0)
        return rc;
    rc = secure_spot(o, &s, &what);
    if (rc < 0)
        return rc;
    begin_event(o, &s, IN_DELETE);
    return end_event(o, &s, IN_DELETE, unlinkat(s.dir->fd, s.name, flags)) < 0 ? -errno : 0;
}

int mfs_do_unlink(struct mfs_call *o, const struct mfs_unlink_req *q,
                  struct mfs_unlink_rep *p UNUSED)
{
    return remove_spot(o, q->node, q->name, 0);
}

int mfs_do_rmdir(struct mfs_call *o, const struct mfs_rmdir_req *q,
                 struct mfs_rmdir_rep *p UNUSED)
{
    return remove_spot(o, q->node, q->name, AT_REMOVEDIR);
}

/* May from become to as far as hiding is concerned? */
static int may_move(struct mfs_call *o, const struct spot *from, const struct spot *to,
                    bool is_exchange)
{
    if (mfs_op_is_hidden(o, from->dir, from->name))
        return -ENOENT;
    if (mfs_op_is_hidden(o, to->dir, to->name))
        return is_exchange ? -ENOENT : -EACCES;
    /* What is hidden by its path would turn up elsewhere. */
    if (mfs_op_is_above_hidden(o, from->dir, from->name) ||
        (is_exchange && mfs_op_is_above_hidden(o, to->dir, to->name)))
        return -EACCES;
    return 0;
}

static void begin_rename(struct mfs_call *o, const struct spot *from, const struct spot *to,
                         unsigned flags)
{
    begin_event(o, from, IN_MOVED_FROM);
    begin_event(o, to, IN_MOVED_TO);
    if (flags & RENAME_EXCHANGE) {
        begin_event(o, to, IN_MOVED_FROM);
        begin_event(o, from, IN_MOVED_TO);
    }
}

static void fail_rename(struct mfs_call *o, const struct spot *from, const struct spot *to,
                        unsigned flags)
{
    end_event(o, from, IN_MOVED_FROM, -1);
    end_event(o, to, IN_MOVED_TO, -1);
    if (flags & RENAME_EXCHANGE) {
        end_event(o, to, IN_MOVED_FROM, -1);
        end_event(o, from, IN_MOVED_TO, -1);
    }
}

int mfs_do_rename(struct mfs_call *o, const struct mfs_rename_req *q,
                  struct mfs_rename_rep *p UNUSED)
{
    struct spot from, to;
    unsigned flags;
    int rc = mfs_rename_to_host(q->rflags, &flags);
    if (rc < 0 || (rc = spot_of(o, q->node, q->name, true, &from)) < 0 ||
        (rc = spot_of(o, q->new_node, q->new_name, true, &to)) < 0)
        return rc;
    if (from.dir->export_number != to.dir->export_number)
        return -EXDEV;
    if ((rc = may_move(o, &from, &to, flags & RENAME_EXCHANGE)) < 0)
        return rc;
    struct mfs_identity moved, replaced;
    if ((rc = secure_spot(o, &from, &moved)) < 0)
        return rc;
    rc = secure_spot(o, &to, &replaced);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    bool has_replaced = rc == 0;
    /* Two names of one file: nothing happens. */
    bool is_same = has_replaced && moved.dev == replaced.dev && moved.ino == replaced.ino;
    if (!is_same)
        begin_rename(o, &from, &to, flags);
    rc = renameat2(from.dir->fd, from.name, to.dir->fd, to.name, flags) < 0 ? -errno : 0;
    if (rc < 0 && !is_same)
        fail_rename(o, &from, &to, flags);
    if (rc < 0)
        return rc;
    struct mfs_place at = place_of(&to), back = place_of(&from);
    mfs_node_moved(&o->srv->nodes, &moved, &at);
    if (has_replaced && (flags & RENAME_EXCHANGE))
        mfs_node_moved(&o->srv->nodes, &replaced, &back);
    return 0;
}

int mfs_do_link(struct mfs_call *o, const struct mfs_link_req *q, struct mfs_link_rep *p)
{
    struct mfs_node *n;
    struct spot s;
    int rc = mfs_op_node_rw(o, q->node, &n);
    if (rc < 0 || (rc = spot_new(o, q->new_node, q->new_name, &s)) < 0 ||
        (rc = mfs_need_node(o, n, MFS_LEASE_EXCLUSIVE)) < 0)
        return rc;
    if (n->export_number != s.dir->export_number)
        return -EXDEV;
    s.wanted = 0; /* it has one */
    /* Following "N" leads to the node itself and no further, a link too. */
    begin_event(o, &s, IN_CREATE);
    rc = linkat(o->srv->proc_fd, mfs_fd_name(n->fd).text, s.dir->fd, s.name, AT_SYMLINK_FOLLOW);
    if (end_event(o, &s, IN_CREATE, rc) < 0)
        return -errno;
    return enter_spot(o, &s, &p->entry);
}

/* ---- names that come with an open file ---- */

/* The node of an open file at a place. */
static int enter_open(struct mfs_call *o, const struct mfs_place *at, int real_fd,
                      struct mfs_entry *e, struct mfs_node **n)
{
    struct statx stx;
    AUTO_FD fd = openat(o->srv->proc_fd, mfs_fd_name(real_fd).text, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = mfs_op_enter(o, at, &fd, &stx, e);
    if (rc == 0)
        rc = grant_entry(o, at, &stx, e);
    if (rc == 0 && (rc = mfs_node_pin(&o->srv->nodes, e->node, n)) < 0)
        mfs_node_forget(&o->srv->nodes, e->node, 1);
    return rc;
}

/* Gives the opened file its node and number. real_fd is taken. */
static int finish_open(struct mfs_call *o, const struct mfs_place *at, int *real_fd, int flags,
                       struct mfs_entry *e, uint64_t *fh)
{
    struct mfs_node *n;
    int rc = enter_open(o, at, *real_fd, e, &n);
    if (rc < 0)
        return rc;
    if ((flags & O_ACCMODE) != O_RDONLY)
        mfs_filelease_take(o, n, *real_fd, true, &e->attr.flags);
    rc = mfs_op_add_file(o, n, real_fd, flags, fh);
    if (rc < 0)
        mfs_node_forget(&o->srv->nodes, e->node, 1);
    mfs_node_unpin(&o->srv->nodes, n);
    return rc;
}

/* Opens what is at s already; ESTALE makes the client's kernel look at the name again when it
 * is a link. */
static int open_existing(struct mfs_call *o, const struct spot *s, int flags)
{
    AUTO_FD fd = mfs_open_beneath(s->dir->fd, s->name);
    if (fd < 0)
        return fd;
    struct statx stx;
    struct mfs_identity what;
    int rc = mfs_statx(fd, "", AT_EMPTY_PATH, &stx);
    if (rc < 0)
        return rc;
    mfs_identity_of(&stx, &what);
    if (mfs_hidden_has_file(&o->srv->hidden, what.dev, what.ino))
        return -EACCES;
    if (S_ISDIR(stx.stx_mode))
        return -EISDIR;
    if (!S_ISREG(stx.stx_mode))
        return S_ISLNK(stx.stx_mode) ? -ESTALE : -ENXIO;
    rc = mfs_need(o, &what, MFS_LEASE_EXCLUSIVE);
    if (rc < 0)
        return rc;
    mfs_fileleases_yield(o, &what);
    int real = openat(o->srv->proc_fd, mfs_fd_name(fd).text, flags | O_CLOEXEC | O_NOCTTY);
    return real < 0 ? -errno : real;
}

int mfs_do_create(struct mfs_call *o, const struct mfs_create_req *q, struct mfs_create_rep *p)
{
    /* Between finding a name taken and opening it, it may go: then once more. */
    enum { TRIES = 8 };
    struct spot s;
    int flags;
    int rc = mfs_oflags_to_host(q->oflags, &flags);
    if (rc < 0 || (rc = spot_new(o, q->node, q->name, &s)) < 0)
        return rc;
    bool is_exclusive = flags & O_EXCL || s.wanted;
    int kept = flags & (O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME | O_TRUNC);
    mfs_op_set_umask(o, q->umask);
    AUTO_FD fd = -EEXIST;
    for (int i = 0; i < TRIES && (fd == -EEXIST || fd == -ENOENT); i++) {
        begin_event(o, &s, IN_CREATE);
        fd = openat(s.dir->fd, s.name, kept | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    q->mode & 07777);
        if (end_event(o, &s, IN_CREATE, fd) < 0)
            fd = -errno;
        if (fd != -EEXIST || is_exclusive)
            break;
        fd = open_existing(o, &s, kept);
        s.how = fd >= 0 ? MFS_FOUND_LOOKED : MFS_FOUND_MADE;
    }
    if (fd < 0)
        return fd;
    struct mfs_place at = place_of(&s);
    return finish_open(o, &at, &fd, kept, &p->entry, &p->fh);
}

int mfs_do_tmpfile(struct mfs_call *o, const struct mfs_tmpfile_req *q,
                   struct mfs_tmpfile_rep *p)
{
    struct mfs_node *dir;
    int flags;
    int rc = mfs_oflags_to_host(q->oflags, &flags);
    if (rc < 0 || (rc = mfs_op_node_rw(o, q->node, &dir)) < 0)
        return rc;
    mfs_op_set_umask(o, q->umask);
    flags &= O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME | O_EXCL;
    AUTO_FD fd = openat(dir->fd, ".", flags | O_TMPFILE | O_CLOEXEC, q->mode & 07777);
    if (fd < 0)
        return -errno;
    struct mfs_place at = { .export_number = dir->export_number, .how = MFS_FOUND_MADE };
    return finish_open(o, &at, &fd, flags, &p->entry, &p->fh);
}
