/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run.c: a request's way through the server: decode, act as the caller, do, answer; and what
 * the operations share. Must not know: threads, what each operation does. */
#include "mrcfs/server/serve.h"

#include "common/base/wire_errors.h"
#include "common/sys/fd.h"
#include "mrcfs/server/journal.h"
#include "mrcfs/server/ordered.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* A request that can't be decoded: not a value of -errno. */
enum { MALFORMED = 1 };

/* m, or what takes its place. */
static struct mfs_out *packed(struct mfs_server *srv, int stream, struct mfs_out *m)
{
    struct mfs_packer *p = &srv->packers[stream];
    if (!mfs_packer_wants(p, m->len))
        return m;
    struct mfs_out *small = mfs_out_new(mfs_packer_room(m->len));
    size_t len = small ? mfs_packer_pack(p, m->at, m->len, small->at) : 0;
    free(len ? m : small);
    if (!len)
        return m;
    /* What waits to be sent is counted as it is, so it must not hold more. */
    struct mfs_out *fitting = realloc(small, sizeof *small + len);
    small = fitting ? fitting : small;
    small->at = small->memory;
    small->len = len;
    return small;
}

static void send_out(struct mfs_server *srv, struct mfs_out *m, bool is_data)
{
    int stream = is_data && m->len > MFS_BULK_FROM ? MFS_BULK : MFS_META;
    mfs_stream_send(&srv->streams[stream], packed(srv, stream, m));
}

static struct wr reply_begin(uint8_t *memory, size_t size, uint64_t id, int rc)
{
    struct wr w = wr_of(memory, size);
    mfs_message_begin(
        &w, &(struct mfs_head){ .kind = MFS_REPLY, .id = id, .error = wire_error_from(rc) });
    return w;
}

void mfs_reply_status(struct mfs_server *srv, uint64_t id, int rc)
{
    struct mfs_out *m = mfs_out_new(MFS_HEAD_BYTES);
    if (!m) {
        mfs_server_fail(srv, -ENOMEM, NULL);
        return;
    }
    struct wr w = reply_begin(m->memory, m->len, id, rc);
    mfs_message_end(&w, 0);
    m->len = wr_len(&w);
    send_out(srv, m, false);
}

/* Sends the reply whose bytes are in place, with what the put function writes in front. */
static void send_payload(struct mfs_call *o, const struct wr *front, size_t payload_bytes)
{
    struct mfs_out *m = o->out;
    o->out = NULL;
    m->at = m->memory + MFS_PAYLOAD_AT - wr_len(front);
    m->len = wr_len(front) + payload_bytes;
    memcpy(m->at, front->start, wr_len(front));
    send_out(o->srv, m, o->rq->head.op == MFS_OP_read || o->rq->head.op == MFS_OP_fetch);
}

static void op_return(struct mfs_call *o);
static int op_again(struct mfs_call *o);

/* clang-format off */
#define SIZE_u8(f)    + 1
#define SIZE_u16(f)   + 2
#define SIZE_u32(f)   + 4
#define SIZE_u64(f)   + 8
#define SIZE_attr(f)  + MFS_ATTR_BYTES
#define SIZE_entry(f) + MFS_ENTRY_BYTES
#define SIZE_bytes(f) + 4 + p.f.len
#define F(kind, field) SIZE_##kind(field)
/* Decodes, does and answers one operation. A reply whose last field is bytes with ptr NULL has them in o->out. */
#define OP(number, name, req, rep) \
    static int run_##name(struct mfs_call *o) \
    { \
        struct mfs_##name##_req q; \
        struct mfs_##name##_rep p; \
        if (mfs_##name##_req_get(&o->rq->body, &q) < 0) \
            return MALFORMED; \
        int rc; \
        do { \
            memset(&p, 0, sizeof p); \
            rc = mfs_do_##name(o, &q, &p); \
            mfs_leases_done(o, rc); \
        } while (rc == -ERESTART && (rc = op_again(o)) == 0); \
        o->result = rc; \
        /* before the answer: what a request leaves behind is done with when the client hears of it */ \
        op_return(o); \
        if (o->is_deferred) \
            return 0; \
        if (rc < 0) { \
            mfs_reply_status(o->srv, o->rq->head.id, rc); \
            return 0; \
        } \
        if (o->out) { \
            uint8_t front[MFS_PAYLOAD_AT]; \
            struct wr w = reply_begin(front, sizeof front, o->rq->head.id, 0); \
            mfs_leases_decide(o); \
            mfs_##name##_rep_put(&w, &p); \
            size_t payload = o->out->len; \
            mfs_message_end(&w, payload); \
            send_payload(o, &w, payload); \
            mfs_leases_decided(o); \
            return 0; \
        } \
        struct mfs_out *m = mfs_out_new(MFS_HEAD_BYTES rep); \
        if (!m) \
            return -ENOMEM; \
        struct wr w = reply_begin(m->memory, m->len, o->rq->head.id, 0); \
        mfs_leases_decide(o); \
        mfs_##name##_rep_put(&w, &p); \
        mfs_message_end(&w, 0); \
        m->len = wr_len(&w); \
        send_out(o->srv, m, false); \
        mfs_leases_decided(o); \
        return 0; \
    }
#include "mrcfs/ops.def"
#undef OP
#undef F

typedef int run_fn(struct mfs_call *o);
static run_fn *const runners[] = {
#define OP(number, name, req, rep) [number] = run_##name,
#include "mrcfs/ops.def"
#undef OP
};
/* clang-format on */

/* Gives back what the operation borrowed. */
static void op_return(struct mfs_call *o)
{
    for (unsigned i = 0; i < o->node_count; i++)
        mfs_node_unpin(&o->srv->nodes, o->nodes[i]);
    for (unsigned i = 0; i < o->file_count; i++)
        mfs_file_put(&o->srv->files, o->files[i]);
    o->node_count = o->file_count = 0;
}

/* The operation needs more tokens than it had: nothing is done yet. */
static int op_again(struct mfs_call *o)
{
    op_return(o);
    free(o->out);
    o->out = NULL;
    return mfs_leases_again(o);
}

static void op_fini(struct mfs_call *o)
{
    op_return(o);
    mfs_leases_put(o);
    free(o->grants);
    free(o->out);
    if (!o->is_deferred)
        mfs_server_drop(o->srv, o->rq);
}

static uint32_t caller_id(const struct mfs_id_map *m, uint32_t client)
{
    uint32_t server;
    return mfs_id_to_server(m, client, &server) < 0 ? MFS_NOBODY : server;
}

/* Who asks, in this computer's numbers; somebody unknown is nobody. */
static int enter_caller(struct mfs_call *o)
{
    const struct mfs_head *h = &o->rq->head;
    if (o->srv->is_single_user) {
        o->uid = o->srv->own_uid;
        o->gid = o->srv->gids.own_server;
    } else {
        o->uid = caller_id(&o->srv->uids, h->uid);
        o->gid = caller_id(&o->srv->gids, h->gid);
    }
    return mfs_caller_enter(&o->srv->callers, &o->worker->caller, o->uid, o->gid, NULL);
}

void mfs_run_request(void *worker, struct mfs_request *rq)
{
    struct mfs_worker *w = worker;
    struct mfs_call o = { .srv = w->srv, .worker = w, .rq = rq };
    run_fn *fn = rq->head.op < ARRAY_LEN(runners) ? runners[rq->head.op] : NULL;
    uint64_t id = rq->head.id;
    struct rd body = rq->body;
    const char *name = mfs_op_name(rq->head.op);
    const struct mfs_head head = rq->head;
    mfs_note_request(w->srv);
    int rc = fn ? mfs_ordered_begin(w->srv, rq) : -ENOSYS;
    if (rc == 0)
        rc = enter_caller(&o);
    if (rc == 0)
        rc = fn(&o);
    mfs_ordered_end(w->srv, &head, rc ? rc : o.result);
    if (rc < 0)
        mfs_reply_status(w->srv, id, rc);
    op_fini(&o);
    if (o.is_parked) {
        rq->body = body;
        mfs_pool_park(&w->srv->pool, rq);
    }
    if (rc == MALFORMED) {
        struct err why;
        rc = err_set(&why, EPROTO, "malformed %s request", name);
        mfs_server_fail(w->srv, rc, &why);
    }
}

void mfs_run_at_once(struct mfs_server *srv, struct mfs_request *rq)
{
    struct mfs_call o = { .srv = srv, .rq = rq };
    int rc = runners[rq->head.op](&o);
    if (rc < 0)
        mfs_reply_status(srv, rq->head.id, rc);
    op_fini(&o);
    if (rc == MALFORMED) {
        struct err why;
        rc = err_set(&why, EPROTO, "malformed request about leases");
        mfs_server_fail(srv, rc, &why);
    }
}

/* ---- what the operations share ---- */

void mfs_op_keep(struct mfs_call *o, struct mfs_node *n)
{
    if (n)
        o->nodes[o->node_count++] = n;
}

int mfs_op_node(struct mfs_call *o, uint64_t id, struct mfs_node **n)
{
    int rc = mfs_node_pin(&o->srv->nodes, id, n);
    if (rc == 0)
        mfs_op_keep(o, *n);
    return rc;
}

int mfs_op_node_rw(struct mfs_call *o, uint64_t id, struct mfs_node **n)
{
    int rc = mfs_op_node(o, id, n);
    if (rc == 0 && o->srv->exports[(*n)->export_number].is_read_only)
        rc = -EROFS;
    return rc;
}

int mfs_op_file(struct mfs_call *o, uint64_t fh, struct mfs_file **f)
{
    int rc = mfs_file_get(&o->srv->files, fh, f);
    if (rc == 0)
        o->files[o->file_count++] = *f;
    return rc;
}

int mfs_op_name_text(struct bytes v, char name[MFS_NAME_MAX + 1])
{
    if (v.len > MFS_NAME_MAX)
        return -ENAMETOOLONG;
    if (!v.len || memchr(v.ptr, 0, v.len) || memchr(v.ptr, '/', v.len) ||
        (v.ptr[0] == '.' && (v.len == 1 || (v.len == 2 && v.ptr[1] == '.'))))
        return -EINVAL;
    memcpy(name, v.ptr, v.len);
    name[v.len] = 0;
    return 0;
}

typedef bool hide_fn(const struct mfs_hide *h, const char *dir, const char *name);

static bool ask_hide(struct mfs_call *o, const struct mfs_node *dir, const char *name,
                     hide_fn *fn)
{
    const struct mfs_hide *h = &o->srv->hide;
    char path[8192];
    if (!h->hide_count)
        return false;
    path[0] = 0;
    /* A path longer than that of any rule: patterns of one name still hold. */
    if (h->has_paths &&
        mfs_node_path(&o->srv->nodes, dir, o->srv->exports[dir->export_number].path, path,
                      sizeof path) < 0)
        path[0] = 0;
    return fn(h, path, name);
}

bool mfs_op_is_hidden(struct mfs_call *o, const struct mfs_node *dir, const char *name)
{
    return mfs_hidden_has_name(&o->srv->hidden, &dir->identity, name) ||
           ask_hide(o, dir, name, mfs_hide_is_hidden);
}

bool mfs_op_is_above_hidden(struct mfs_call *o, const struct mfs_node *dir, const char *name)
{
    return ask_hide(o, dir, name, mfs_hide_is_above);
}

bool mfs_op_is_open_to_changes(struct mfs_call *o, const struct mfs_node *dir)
{
    const struct mfs_server *srv = o->srv;
    char path[8192];
    if (mfs_hidden_is_in(&srv->hidden, &dir->identity) || !mfs_has_room(dir->fd))
        return false;
    if (srv->hide.hide_count &&
        (mfs_node_path(&o->srv->nodes, dir, srv->exports[dir->export_number].path, path,
                       sizeof path) < 0 ||
         mfs_hide_may_be_in(&srv->hide, path)))
        return false;
    /* A privileged server leaves this check to the client's kernel. */
    return srv->callers.is_privileged ||
           faccessat(srv->proc_fd, mfs_fd_name(dir->fd).text, W_OK | X_OK, AT_EACCESS) == 0;
}

uint64_t mfs_ino_of(const struct mfs_server *srv, unsigned export_number, uint64_t dev,
                    uint64_t ino)
{
    if (dev == srv->exports[export_number].root_dev)
        return ino;
    /* Another file system within the export: spread, so that its numbers hardly meet others. */
    uint64_t x = dev + 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return ino ^ (x ^ x >> 31);
}

/* May the server's own user write a file that belongs to somebody else? */
static bool is_writable(const struct mfs_server *srv, const struct mfs_seen *seen)
{
    const struct statx *stx = seen->stx;
    /* An ACL's grants show in the group's bits. */
    bool may_be = (stx->stx_mode & (S_IWGRP | S_IWOTH)) || srv->own_uid == 0;
    if (!may_be || S_ISLNK(stx->stx_mode))
        return false;
    if (seen->name)
        return faccessat(seen->dir_fd, seen->name, W_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) == 0;
    return faccessat(srv->proc_fd, mfs_fd_name(seen->dir_fd).text, W_OK, AT_EACCESS) == 0;
}

/* The worker's directory is /proc/self/fd: "N/name" is a name in the directory behind
 * descriptor N. */
static bool is_plain(const struct mfs_seen *seen)
{
    char path[MFS_NAME_MAX + 32];
    int n = snprintf(path, sizeof path, "%d%s%s", seen->dir_fd, seen->name ? "/" : "",
                     seen->name ? seen->name : "");
    if (n < 0 || (size_t)n >= sizeof path || S_ISLNK(seen->stx->stx_mode))
        return false;
    return (seen->name ? llistxattr(path, NULL, 0) : listxattr(path, NULL, 0)) == 0;
}

/* Could another change get the same times? Time stamps are as coarse as the kernel's tick, on
 * some file systems as two seconds. */
static bool is_recent(const struct statx *stx)
{
    enum { TICK_NS = 30000000 };
    bool is_coarse = !stx->stx_mtime.tv_nsec && !stx->stx_ctime.tv_nsec;
    int64_t sec = stx->stx_mtime.tv_sec;
    uint32_t nsec = stx->stx_mtime.tv_nsec;
    if (stx->stx_ctime.tv_sec > sec ||
        (stx->stx_ctime.tv_sec == sec && stx->stx_ctime.tv_nsec > nsec)) {
        sec = stx->stx_ctime.tv_sec;
        nsec = stx->stx_ctime.tv_nsec;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (sec < now.tv_sec - 2)
        return false;
    return is_coarse || sec > now.tv_sec ||
           (now.tv_sec - sec) * 1000000000 + now.tv_nsec - (int64_t)nsec < TICK_NS;
}

void mfs_attr_of(const struct mfs_server *srv, const struct mfs_seen *seen, struct mfs_attr *a)
{
    const struct statx *stx = seen->stx;
    *a = (struct mfs_attr){
        .ino = mfs_ino_of(srv, seen->export_number,
                          makedev(stx->stx_dev_major, stx->stx_dev_minor), stx->stx_ino),
        .mode = stx->stx_mode,
        .nlink = stx->stx_nlink,
        .uid = mfs_id_to_client(&srv->uids, stx->stx_uid),
        .gid = mfs_id_to_client(&srv->gids, stx->stx_gid),
        .rdev_major = stx->stx_rdev_major,
        .rdev_minor = stx->stx_rdev_minor,
        .size = stx->stx_size,
        .blocks = stx->stx_blocks,
        .blksize = stx->stx_blksize,
        .atime_sec = stx->stx_atime.tv_sec,
        .atime_nsec = stx->stx_atime.tv_nsec,
        .mtime_sec = stx->stx_mtime.tv_sec,
        .mtime_nsec = stx->stx_mtime.tv_nsec,
        .ctime_sec = stx->stx_ctime.tv_sec,
        .ctime_nsec = stx->stx_ctime.tv_nsec,
        .flags = is_recent(stx) ? MFS_ATTR_RECENT : 0,
    };
    if (makedev(stx->stx_dev_major, stx->stx_dev_minor) ==
        srv->exports[seen->export_number].root_dev)
        a->flags |= MFS_ATTR_ROOT_FS;
    if (srv->has_promises && is_plain(seen))
        a->flags |= MFS_ATTR_PLAIN;
    if (srv->is_single_user && stx->stx_uid != srv->own_uid && is_writable(srv, seen))
        a->flags |= MFS_ATTR_WRITABLE;
}

static int fd_attr(struct mfs_call *o, int fd, unsigned export_number, struct mfs_attr *a)
{
    struct statx stx;
    int rc = mfs_statx(fd, "", AT_EMPTY_PATH, &stx);
    if (rc == 0)
        mfs_attr_of(o->srv, &(struct mfs_seen){ export_number, &stx, fd, NULL }, a);
    return rc;
}

int mfs_node_attr(struct mfs_call *o, struct mfs_node *n, struct mfs_attr *a)
{
    uint32_t events = 0;
    bool may_promise = mfs_node_may_promise(&o->srv->nodes, n, &events);
    /* With leases the promise must still stand when the reply is sent (mfs_leases_decide): then
     * it comes before the look. */
    bool is_first = o->srv->leases.is_granting;
    if (is_first && n->identity.type == S_IFDIR && mfs_watch(&o->srv->watches, n))
        may_promise = mfs_node_may_promise(&o->srv->nodes, n, &events);
    if (is_first)
        may_promise = may_promise && mfs_node_promise(&o->srv->nodes, n->id, NULL, events);
    int rc = fd_attr(o, n->fd, n->export_number, a);
    if (rc == 0 && may_promise && (S_ISDIR(a->mode) || a->nlink == 1) &&
        (is_first || mfs_node_promise(&o->srv->nodes, n->id, NULL, events)))
        a->valid_ms = MFS_PROMISE_MS;
    return rc;
}

int mfs_file_attr(struct mfs_call *o, const struct mfs_file *f, struct mfs_attr *a)
{
    return fd_attr(o, f->fd, f->export_number, a);
}

bool mfs_op_promise_name(struct mfs_node *dir, uint32_t events)
{
    /* First promised, then looked whether something came: what comes later is told. */
    __atomic_fetch_add(&dir->names_promised, 1, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&dir->events, __ATOMIC_SEQ_CST) == events;
}

/* With leases: what is granted is looked at after it was promised. */
static bool look_again(struct mfs_call *o, const struct mfs_place *at, const struct statx *stx,
                       struct mfs_attr *a)
{
    struct statx again;
    struct mfs_identity was, is;
    if (mfs_statx(at->parent->fd, at->name, AT_SYMLINK_NOFOLLOW, &again) < 0)
        return false;
    mfs_identity_of(stx, &was);
    mfs_identity_of(&again, &is);
    if (was.dev != is.dev || was.ino != is.ino || was.mount != is.mount || again.stx_nlink != 1)
        return false;
    mfs_attr_of(o->srv,
                &(struct mfs_seen){ at->export_number, &again, at->parent->fd, at->name }, a);
    return true;
}

/* A watched directory's entry: the name can be believed, and what it names unless it can change
 * by another name. A directory changes by what is in it: its own watch must stand before it is
 * looked at once more. */
static void promise(struct mfs_call *o, const struct mfs_place *at, const struct statx *stx,
                    struct mfs_entry *e)
{
    if (mfs_op_promise_name(at->parent, at->events))
        e->valid_ms = MFS_PROMISE_MS;
    if (!S_ISDIR(stx->stx_mode)) {
        if (stx->stx_nlink == 1 &&
            mfs_node_promise(&o->srv->nodes, e->node, at->parent, at->events) &&
            (!o->srv->leases.is_granting || look_again(o, at, stx, &e->attr)))
            e->attr.valid_ms = MFS_PROMISE_MS;
        return;
    }
    struct mfs_node *dir;
    if (mfs_node_pin(&o->srv->nodes, e->node, &dir) < 0)
        return;
    struct mfs_attr again;
    if (mfs_watch(&o->srv->watches, dir) && mfs_node_attr(o, dir, &again) == 0)
        e->attr = again;
    mfs_node_unpin(&o->srv->nodes, dir);
}

int mfs_op_enter(struct mfs_call *o, const struct mfs_place *at, int *fd, struct statx *stx,
                 struct mfs_entry *e)
{
    int rc = *fd >= 0 ? mfs_statx(*fd, "", AT_EMPTY_PATH, stx) : 0;
    if (rc < 0) {
        fd_close(fd);
        return rc;
    }
    if (mfs_hidden_has_file(&o->srv->hidden, makedev(stx->stx_dev_major, stx->stx_dev_minor),
                            stx->stx_ino)) {
        fd_close(fd);
        return -ENOENT;
    }
    struct mfs_identity what;
    mfs_identity_of(stx, &what);
    rc = mfs_need_found(o, at, &what);
    /* Only with its token what is seen is true. */
    if (rc == 0 && o->srv->leases.is_on && *fd >= 0)
        rc = mfs_statx(*fd, "", AT_EMPTY_PATH, stx);
    if (rc < 0) {
        fd_close(fd);
        return rc;
    }
    *e = (struct mfs_entry){ 0 };
    struct mfs_seen seen = { at->export_number, stx, *fd, NULL };
    if (*fd < 0) {
        seen.dir_fd = at->parent->fd;
        seen.name = at->name;
    }
    mfs_attr_of(o->srv, &seen, &e->attr);
    rc = mfs_node_enter(&o->srv->nodes, at, fd, stx, &e->node);
    if (rc == 0 && at->how == MFS_FOUND_MADE && o->srv->leases.is_granting)
        mfs_node_made(&o->srv->nodes, e->node, stx);
    if (rc == 0 && at->is_watched)
        promise(o, at, stx, e);
    return rc;
}

struct mfs_fd_name mfs_fd_name(int fd)
{
    struct mfs_fd_name name;
    snprintf(name.text, sizeof name.text, "%d", fd);
    return name;
}

int mfs_open_real(struct mfs_call *o, const struct mfs_node *n, int flags)
{
    if (n->identity.type != S_IFREG && n->identity.type != S_IFDIR)
        return n->identity.type == S_IFLNK ? -ELOOP : -ENXIO;
    struct mfs_fd_name name = mfs_fd_name(n->fd);
    flags |= O_CLOEXEC | O_NOCTTY;
    /* To a file, whose reads and writes never heed it, this says: break leases, but don't wait. */
    int fd = openat(o->srv->proc_fd, name.text, flags | O_NONBLOCK);
    if (fd >= 0 || errno != EWOULDBLOCK)
        return fd < 0 ? -errno : fd;
    /* The own client may have to write before it can answer: not after this, and by a worker that there must be. */
    if (o->rq->head.kind == MFS_ORDERED)
        return -EAGAIN;
    if (!mfs_pool_wait_begin(&o->srv->pool)) {
        o->is_deferred = o->is_parked = true;
        return -EXFULL;
    }
    fd = openat(o->srv->proc_fd, name.text, flags);
    int rc = fd < 0 ? -errno : fd;
    mfs_pool_wait_end(&o->srv->pool);
    return rc;
}

int mfs_op_add_file(struct mfs_call *o, struct mfs_node *n, int *fd, int oflags, uint64_t *fh)
{
    struct mfs_file f = {
        .fd = take_fd(fd),
        .export_number = n->export_number,
        .dev = n->identity.dev,
        .ino = n->identity.ino,
        .is_dir = n->identity.type == S_IFDIR,
        .is_writable = (oflags & O_ACCMODE) != O_RDONLY,
        .lease = o->filelease,
        .id = o->rq->head.makes_fh,
    };
    int rc = mfs_file_add(&o->srv->files, &f, n, fh);
    if (rc < 0)
        mfs_filelease_undo(o);
    else
        mfs_journal_open(o->srv->files.journal, &o->srv->nodes, n, *fh, oflags);
    o->filelease = NULL;
    return rc;
}

void mfs_op_set_umask(struct mfs_call *o, uint32_t umask_bits)
{
    umask_bits &= 0777;
    if (o->worker->umask != umask_bits)
        umask((mode_t)umask_bits);
    o->worker->umask = umask_bits;
}

int mfs_op_payload(struct mfs_call *o, size_t size_bytes, uint8_t **at)
{
    o->out = mfs_out_new(MFS_PAYLOAD_AT + size_bytes);
    if (!o->out)
        return -ENOMEM;
    o->out->len = size_bytes;
    *at = o->out->memory + MFS_PAYLOAD_AT;
    return 0;
}

int mfs_do_hello(struct mfs_call *o UNUSED, const struct mfs_hello_req *q UNUSED,
                 struct mfs_hello_rep *p UNUSED)
{
    return -EPROTO; /* answered before there are workers; no second one gets this far */
}
