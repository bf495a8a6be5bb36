/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session.c: one session with the kernel: reads its requests and hands them out, from the first
 * (INIT) until it is unmounted.
 * Threads: the loop's only.
 *
 * READDIRPLUS is off for who may not believe attributes: entries that may not be believed are
 * worth nothing. The kernel drops pages when an attribute answer shows another size or mtime
 * (AUTO_INVAL_DATA). */
#include "mrcfs/client/fuse/fuse.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrcfs/client/ahead.h"
#include "mrcfs/client/join.h"
#include "mrcfs/client/locks.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/own.h"
#include "mrcfs/client/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    REQUEST_BYTES = MFS_DATA_MAX + 4096, /* libfuse's room for a request's head */
    REQUESTS_PER_TURN = 64,
    DRAIN_REQUESTS = 16384,
};

struct mfs_session *mfs_session_of(struct link *l)
{
    return LIST_ENTRY(l, struct mfs_session, link);
}

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
    if (mfs_lease_or_loose(c))
        want |= FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO;
    conn->want = want & conn->capable;
    conn->max_background = 64;
    conn->congestion_threshold = 48;
}

static struct fuse_lowlevel_ops operations(void)
{
    struct fuse_lowlevel_ops ops = { .init = op_init };
    mfs_fuse_entries(&ops);
    mfs_fuse_attr(&ops);
    mfs_fuse_xattr(&ops);
    mfs_fuse_open(&ops);
    mfs_fuse_data(&ops);
    mfs_fuse_dir(&ops);
    mfs_fuse_lock(&ops);
    mfs_fuse_statfs(&ops);
    return ops;
}

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

/* Forgets all nodes, as the kernel does at its end. */
static void forget_all(struct mfs_session *s)
{
    struct mfs_client *c = s->client;
    mfs_deferred_leave(s);
    mfs_join_flush(s->client);
    mfs_behind_leave(s);
    mfs_locks_leave(s);
    mfs_dentries_fini(&s->names);
    mfs_ahead_drop_all(s);
    for (size_t i = 0; i < s->nodes.bucket_count; i++) {
        LIST_EACH(&s->nodes.buckets[i], it, nx)
        {
            struct mfs_known *n = LIST_ENTRY(it, struct mfs_known, link);
            /* What is on the way still needs it; the server forgets it with the connection. */
            bool is_needed = n->behind;
            mfs_listing_drop(n);
            mfs_behind_free(n);
            mfs_locks_free(n);
            mfs_handle_drop(s, n);
            if (n->number != s->root && !is_needed)
                mfs_client_forget(c, n->number, n->server_count);
        }
    }
    LIST_EACH(&s->dropped, it, nx)
    mfs_handle_recalled(s, LIST_ENTRY(it, struct mfs_handle, link)->recall);
    list_init(&s->again);
    mfs_known_table_fini(&s->nodes);
}

/* The kernel is gone: nobody will ask or forget any more. */
static void detach(struct mfs_session *s)
{
    struct mfs_client *c = s->client;
    loop_fd_del(&s->watch);
    mfs_client_note_used(s);
    mfs_warm_end(s);
    forget_all(s);
    s->is_detached = true;
    int rc = mfs_known_table_init(&s->nodes);
    (void)rc; /* answers still under way find an empty table, or none */
    if (c->opts.on_detached)
        c->opts.on_detached(c->opts.ctx, s->export_number);
}

void mfs_session_take(struct mfs_session *s, const void *ptr, size_t len_bytes)
{
    struct mfs_client *c = s->client;
    struct mfs_raw_request in;
    int rc = mfs_raw_request_get(&in, ptr, len_bytes);
    if (rc < 0)
        return;
    if (c->opts.is_root_only && in.uid != 0 && in.uid != c->opts.own_uid &&
        mfs_raw_is_by_caller(in.op)) {
        rc = mfs_raw_reply(s->fd, in.unique, EACCES, NULL, 0);
        return;
    }
    if (in.op == MFS_RAW_INIT)
        mfs_raw_init_request(&s->init, ptr, len_bytes);
    if (in.op == MFS_RAW_INIT && (!mfs_raw_may_prune(&s->init) || c->opts.is_without_prune))
        atomic_store(&s->shed.is_refused, true);
    if (mfs_session_take_later(s, &in, ptr, len_bytes) || mfs_locks_take(s, &in, ptr, len_bytes))
        return;
    if (mfs_behind_must_wait(s, &in)) {
        if (mfs_behind_wait(s, ptr, len_bytes) < 0)
            rc = mfs_raw_reply(s->fd, in.unique, ENOMEM, NULL, 0);
        return;
    }
    if (!mfs_fuse_take_raw(s, &in)) {
        struct fuse_buf b = { .size = len_bytes, .mem = (void *)(uintptr_t)ptr };
        fuse_session_process_buf(s->se, &b);
    }
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
    mfs_session_take(s, c->request, (size_t)n);
    return true;
}

bool mfs_session_drain(struct mfs_session *s)
{
    /* The kernel's queue is first in, first out: what was in it is among so many. */
    for (int i = 0; i < DRAIN_REQUESTS && !s->is_detached; i++) {
        if (mfs_client_is_crowded(s->client))
            return false;
        if (!take_request(s))
            return true;
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
    mfs_shed_look(s);
    mfs_client_flush(c);
}

void mfs_session_hold(struct mfs_session *s, bool is_held)
{
    loop_fd_set(&s->watch, is_held ? 0 : EPOLLIN);
}

void mfs_session_free(struct mfs_session *s)
{
    loop_fd_del(&s->watch);
    if (!s->is_detached)
        forget_all(s);
    mfs_warm_end(s);
    loop_timer_del(&s->again_timer);
    mfs_deferred_fini(&s->deferred);
    list_remove(&s->link);
    if (s->se)
        fuse_session_destroy(s->se); /* closes fd */
    else
        fd_close(&s->fd);
    while (!list_is_empty(&s->files))
        mfs_opened_free(LIST_ENTRY(s->files.next, struct mfs_opened, open));
    mfs_ahead_fini(&s->ahead);
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

static void on_unused(void *ctx, struct mfs_known *n)
{
    struct mfs_session *s = ctx;
    mfs_deferred_end(s, n);
    mfs_handle_drop(s, n);
    mfs_own_drop(s, n);
    mfs_dentries_drop(&s->names, n);
    mfs_client_forget(s->client, n->number, n->server_count);
}

static int session_open(struct mfs_session *s)
{
    static const struct fuse_custom_io io = { .writev = io_writev, .read = io_read };
    char name[] = "mrcfs";
    char *argv[] = { name, NULL };
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    fuse_set_log_func(no_log);
    const struct fuse_lowlevel_ops ops = operations();
    s->se = fuse_session_new(&args, &ops, sizeof ops, s);
    fuse_opt_free_args(&args);
    if (!s->se)
        return -ENOMEM;
    if (fuse_session_custom_io(s->se, &io, s->fd) < 0)
        return -ENOMEM;
    int rc = fd_set_nonblock(s->fd, true);
    if (rc < 0)
        return rc;
    rc = mfs_known_table_init(&s->nodes);
    if (rc == 0)
        rc = mfs_dentries_init(&s->names, &s->nodes);
    mfs_shed_init(s);
    s->nodes.on_unused = on_unused;
    s->nodes.ctx = s;
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
    list_init(&s->readers);
    mfs_deferred_init(&s->deferred);
    list_init(&s->warmings);
    list_init(&s->dropped);
    list_init(&s->contents);
    list_init(&s->again);
    list_init(&s->space.waiters);
    list_init(&s->parts);
    list_push_back(&c->sessions, &s->link);
    int rc = session_open(s);
    if (rc < 0) {
        mfs_session_free(s);
        return err_set(e, -rc, "serve FUSE for export %s", c->exports[export_number].path);
    }
    mfs_covered_begin(s, c->opts.covered);
    if (c->profile)
        mfs_warm_begin(s, (struct bytes){ c->profile, (uint32_t)c->profile_bytes });
    mfs_paths_ahead(s, c->paths_ahead);
    mfs_client_flush(c);
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
