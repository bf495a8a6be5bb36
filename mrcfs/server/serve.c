/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve.c: the file server from start to end: set up, confine, read requests, finish.
 * Must not know: what each operation does.
 * Threads: the caller reads the meta stream, another the bulk stream; the pool, the locks and
 * the streams have theirs. All are started after the process is confined.
 * Privilege: none needed; root acts as each request's caller. */
#include "mrcfs/server/serve.h"

#include "common/base/wire_errors.h"
#include "common/sys/fd.h"
#include "mrcfs/broker/broker.h"
#include "mrcfs/server/confine.h"
#include "mrcfs/server/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ---- failing ---- */

void mfs_server_fail(struct mfs_server *srv, int rc, const struct err *why)
{
    pthread_mutex_lock(&srv->mu);
    if (!srv->failed) {
        srv->failed = rc;
        if (why)
            srv->failure = *why;
        else
            err_set(&srv->failure, -rc, "file server");
    }
    pthread_mutex_unlock(&srv->mu);
    for (int i = 0; i < MFS_STREAMS; i++)
        shutdown(srv->streams[i].fd, SHUT_RDWR);
}

static int failure_of(struct mfs_server *srv, struct err *e)
{
    pthread_mutex_lock(&srv->mu);
    int rc = srv->failed;
    if (rc < 0 && e)
        *e = srv->failure;
    pthread_mutex_unlock(&srv->mu);
    return rc;
}

/* ---- setting up ---- */

static int add_export(struct mfs_server *srv, const struct mfs_export *x, struct err *e)
{
    struct mfs_served *s = &srv->exports[srv->export_count];
    if (x->path[0] != '/')
        return err_say(e, EINVAL, "export '%s' is not an absolute path", x->path);
    AUTO_FD fd = open(x->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, errno, "export '%s'", x->path);
    struct statx stx;
    int rc = mfs_statx(fd, "", AT_EMPTY_PATH, &stx);
    if (rc == 0)
        rc = mfs_nodes_add_root(&srv->nodes, &fd, (unsigned)srv->export_count);
    if (rc < 0)
        return err_set(e, -rc, "export '%s'", x->path);
    s->path = strdup(x->path);
    if (!s->path)
        return err_set(e, ENOMEM, "export '%s'", x->path);
    for (size_t len = strlen(s->path); len > 1 && s->path[len - 1] == '/';)
        s->path[--len] = 0;
    s->is_read_only = x->is_read_only;
    s->root_dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
    s->root_mount = stx.stx_mask & STATX_MNT_ID ? stx.stx_mnt_id : 0;
    srv->export_count++;
    return 0;
}

/* As many descriptors as may be; returns their number. */
static size_t raise_descriptors(void)
{
    enum { USEFUL = 1 << 20 };
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return 1024;
    r.rlim_cur = r.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur > USEFUL)
        return USEFUL;
    return (size_t)r.rlim_cur;
}

static int open_proc(struct err *e)
{
    int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct statfs fs;
    if (fd < 0)
        return err_set(e, errno, "/proc/self/fd, which serving files needs");
    if (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC) {
        fd_close(&fd);
        return err_say(e, ENODEV, "/proc is not a proc file system");
    }
    return fd;
}

int mfs_server_init(struct mfs_server *srv, const struct mfs_serve_opts *o, struct err *e)
{
    size_t descriptors = raise_descriptors();
    pthread_mutex_init(&srv->mu, NULL);
    pthread_mutex_init(&srv->chunks_mu, NULL);
    mfs_supply_init(&srv->supply);
    mfs_nodes_init(&srv->nodes, descriptors > 4 * MFS_FDS_KEPT
                                    ? (descriptors - MFS_FDS_KEPT) / 4
                                    : descriptors / 8);
    mfs_files_init(&srv->files, &srv->nodes);
    if (!o->export_count || o->export_count > MFS_EXPORTS_MAX)
        return err_say(e, EINVAL, "%zu exports; 1 to %d can be served", o->export_count,
                       MFS_EXPORTS_MAX);
    srv->follows_links = o->follows_links;
    int rc = mfs_hide_init(&srv->hide, o->hide, o->hide_count, o->show, o->show_count, e);
    for (size_t i = 0; rc == 0 && i < o->export_count; i++)
        rc = add_export(srv, &o->exports[i], e);
    if (rc < 0)
        return rc;
    rc = mfs_hidden_init(&srv->hidden, &srv->hide);
    if (rc < 0)
        return err_set(e, -rc, "hidden paths");
    rc = mfs_callers_init(&srv->callers);
    if (rc < 0)
        return err_set(e, -rc, "groups of this computer");
    srv->proc_fd = srv->nodes.proc_fd = open_proc(e);
    if (srv->proc_fd < 0 || !o->has_journal)
        return srv->proc_fd < 0 ? srv->proc_fd : 0;
    rc = mfs_journal_start(&srv->journal, o->journal_fd, &srv->nodes, &srv->files);
    if (rc < 0)
        return err_set(e, -rc, "the journal of a detached job's files");
    srv->nodes.journal = srv->files.journal = &srv->journal;
    return 0;
}

void mfs_server_fini(struct mfs_server *srv)
{
    mfs_files_fini(&srv->files);
    mfs_nodes_fini(&srv->nodes);
    mfs_id_map_fini(&srv->uids);
    mfs_id_map_fini(&srv->gids);
    mfs_callers_fini(&srv->callers);
    mfs_hidden_fini(&srv->hidden);
    for (size_t i = 0; i < srv->export_count; i++)
        free(srv->exports[i].path);
    for (int i = 0; i < MFS_STREAMS; i++)
        mfs_packer_fini(&srv->packers[i]);
    free(srv->chunks);
    fd_close(&srv->proc_fd);
    mfs_supply_fini(&srv->supply);
    pthread_mutex_destroy(&srv->chunks_mu);
    pthread_mutex_destroy(&srv->mu);
}

/* ---- hello ---- */

/* path NULL: numbers stay what they are, as when neither side had names. */
static int map_kind(struct mfs_id_map *m, const char *path, struct bytes records,
                    struct mfs_id_map_opts *o)
{
    struct mfs_names here = { 0 }, there = { 0 };
    int rc = path ? mfs_names_load(path, &here) : 0;
    if (rc == 0 && path)
        rc = mfs_names_get(records, &there);
    o->server = &here;
    o->client = &there;
    if (rc == 0)
        rc = mfs_id_map_init(m, o);
    mfs_names_fini(&here);
    mfs_names_fini(&there);
    return rc;
}

int mfs_server_map(struct mfs_server *srv, const struct mfs_head *h,
                   const struct mfs_hello_req *q)
{
    struct mfs_id_map_opts users = { .own_server = geteuid(),
                                     .own_client = h->uid,
                                     .is_single = q->features & MFS_FEATURE_SINGLE_USER };
    struct mfs_id_map_opts groups = { .own_server = getegid(),
                                      .own_client = h->gid,
                                      .is_single = users.is_single };
    bool by_name = !(q->features & MFS_FEATURE_NUMBERS);
    srv->is_single_user = users.is_single;
    srv->wants_leases = q->features & MFS_FEATURE_LEASES;
    srv->has_promises = q->features & MFS_FEATURE_PROMISES;
    srv->own_uid = users.own_server;
    srv->has_packing = q->features & MFS_FEATURE_PACKS;
    if (q->features & MFS_FEATURE_CHUNKS)
        srv->chunks = calloc(1, sizeof *srv->chunks); /* none without memory */
    for (int i = 0; i < MFS_STREAMS; i++) {
        mfs_packer_init(&srv->packers[i], !srv->has_packing ? MFS_PACK_NO
                                          : q->features & MFS_FEATURE_PACKS_ALWAYS
                                              ? MFS_PACK_YES
                                              : MFS_PACK_AUTO);
        srv->streams[i].packer = &srv->packers[i];
    }
    int rc = map_kind(&srv->uids, by_name ? "/etc/passwd" : NULL, q->uid_names, &users);
    return rc < 0 ? rc
                  : map_kind(&srv->gids, by_name ? "/etc/group" : NULL, q->gid_names, &groups);
}

/* Reads hello, which must come first. Returns 1 with its id, 0 when the client went away before
 * it, -errno. */
static int read_hello(struct mfs_server *srv, uint64_t *id, uint32_t *answer, struct err *e)
{
    uint8_t *message;
    size_t len;
    struct mfs_head h;
    struct mfs_hello_req q;
    int rc = mfs_stream_read(&srv->streams[MFS_META], &message, &len, e);
    if (rc <= 0)
        return rc;
    struct rd r = rd_of(message, len);
    if (mfs_head_get(&r, &h) < 0 || h.kind != MFS_REQUEST || h.op != MFS_OP_hello ||
        mfs_hello_req_get(&r, &q) < 0) {
        free(message);
        return err_set(e, EPROTO, "the first message is no greeting");
    }
    *id = h.id;
    *answer = q.version == MFS_VERSION ? 0 : wire_error_from(-EPROTO);
    rc = *answer ? 0 : mfs_server_map(srv, &h, &q);
    if (*answer)
        err_set(e, EPROTO, "client speaks version %u, not %u", q.version, MFS_VERSION);
    else if (rc < 0)
        err_set(e, -rc, "names of users and groups");
    free(message);
    return rc < 0 ? rc : 1;
}

static int answer_hello(struct mfs_server *srv, uint64_t id, uint32_t error)
{
    enum { ROOM = MFS_EXPORTS_MAX * (5 + 4096) };
    struct mfs_out *m = mfs_out_new(ROOM + 64);
    uint8_t *list = malloc(ROOM);
    if (!m || !list) {
        free(m);
        free(list);
        return -ENOMEM;
    }
    struct wr w = wr_of(list, ROOM);
    for (size_t i = 0; i < srv->export_count; i++) {
        const struct mfs_served *s = &srv->exports[i];
        mfs_export_rec_put(&w, &(struct mfs_export_rec){ s->is_read_only ? MFS_EXPORT_RO : 0,
                                                         bytes_of(s->path) });
    }
    uint32_t features = (srv->callers.is_privileged ? MFS_FEATURE_PRIVILEGED : 0) |
                        (srv->leases.is_granting ? MFS_FEATURE_LEASES : 0) |
                        (srv->has_packing ? MFS_FEATURE_PACKS : 0) |
                        (srv->chunks ? MFS_FEATURE_CHUNKS : 0);
    struct mfs_hello_rep p = { .version = MFS_VERSION,
                               .features = features,
                               .server_uid = geteuid(),
                               .server_gid = getegid(),
                               .exports = { list, (uint32_t)wr_len(&w) } };
    bool is_full = w.is_full;
    w = wr_of(m->memory, m->len);
    mfs_message_begin(&w, &(struct mfs_head){ .kind = MFS_REPLY, .id = id, .error = error });
    if (!error)
        mfs_hello_rep_put(&w, &p);
    mfs_message_end(&w, 0);
    m->len = wr_len(&w);
    free(list);
    if (is_full || w.is_full) {
        free(m);
        return -ENAMETOOLONG;
    }
    mfs_stream_send(&srv->streams[MFS_META], m);
    return 0;
}

/* ---- serving ---- */

static int worker_start(void *server, void **ctx)
{
    struct mfs_server *srv = server;
    struct mfs_worker *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->srv = srv;
    if (unshare(CLONE_FS) < 0 || fchdir(srv->proc_fd) < 0) {
        struct err why;
        int rc = err_set(&why, errno, "worker's own umask and directory");
        mfs_server_fail(srv, rc, &why);
        free(w);
        return rc;
    }
    umask(0);
    *ctx = w;
    return 0;
}

static void worker_stop(void *ctx)
{
    free(ctx);
}

static bool has_room(void *server, enum mfs_class class)
{
    struct mfs_server *srv = server;
    return mfs_stream_queued(&srv->streams[MFS_META]) < MFS_OUT_MAX &&
           (class == MFS_CLASS_META ||
            mfs_stream_queued(&srv->streams[MFS_BULK]) < MFS_OUT_MAX);
}

static bool may_wait(const struct mfs_request *rq)
{
    return rq->head.op == MFS_OP_setlk || rq->head.op == MFS_OP_flock;
}

/* What others wait for never queues behind those who wait. */
static bool is_at_once(const struct mfs_request *rq)
{
    return rq->head.op == MFS_OP_recalled || rq->head.op == MFS_OP_renew ||
           rq->head.op == MFS_OP_surrender || rq->head.op == MFS_OP_supply;
}

/* The closing of a file that was only read: whoever opens it next, for writing, may be alone with it. */
static bool is_reader_closed(struct mfs_server *srv, const struct mfs_request *rq)
{
    struct rd r = rq->body;
    struct mfs_release_req q;
    struct mfs_file *f;
    if (rq->head.kind != MFS_REQUEST || rq->head.op != MFS_OP_release || mfs_release_req_get(&r, &q) < 0 ||
        mfs_file_get(&srv->files, q.fh, &f) < 0)
        return false;
    bool is_so = !f->is_writable && !f->is_dir && !f->is_locked;
    mfs_file_put(&srv->files, f);
    return is_so;
}

void mfs_server_drop(void *server, struct mfs_request *rq)
{
    struct mfs_server *srv = server;
    if (may_wait(rq))
        mfs_locks_forget(&srv->locks, rq);
    mfs_request_free(rq);
}

static void on_room(void *server)
{
    struct mfs_server *srv = server;
    mfs_pool_wake(&srv->pool);
}

static void on_lock(void *server, struct mfs_request *rq, int rc)
{
    struct mfs_server *srv = server;
    uint64_t id = rq->head.id;
    mfs_server_drop(srv, rq);
    mfs_reply_status(srv, id, rc);
}

static int forget(struct mfs_server *srv, struct rd *r)
{
    struct mfs_forget_rec f;
    while (rd_left(r)) {
        if (mfs_forget_rec_get(r, &f) < 0)
            return -EPROTO;
        mfs_node_forget(&srv->nodes, f.node, f.nlookup);
    }
    return 0;
}

/* Moves much data: waits for room on the bulk stream rather than hold up small ones. */
static enum mfs_class class_of(int stream, const struct mfs_request *rq)
{
    struct rd r = rq->body;
    struct mfs_read_req q;
    struct mfs_fetch_req f;
    bool is_big_read =
        rq->head.op == MFS_OP_read && mfs_read_req_get(&r, &q) == 0 && q.size > MFS_BULK_FROM;
    bool is_big_fetch = rq->head.op == MFS_OP_fetch && mfs_fetch_req_get(&r, &f) == 0 &&
                        f.size > MFS_BULK_FROM;
    if (rq->head.kind == MFS_ORDERED)
        return MFS_CLASS_ORDERED;
    return stream == MFS_BULK || is_big_read || is_big_fetch ? MFS_CLASS_BULK : MFS_CLASS_META;
}

/* A message in a message. */
static int take_packed(struct mfs_server *srv, int stream, const struct mfs_head *h,
                       const struct rd *r, struct mfs_request **out)
{
    uint8_t *plain;
    int rc = srv->has_packing ? mfs_unpack(r, h->plain_bytes, &plain) : -EPROTO;
    if (rc < 0)
        return rc;
    if (plain[0] == MFS_PACKED) {
        free(plain);
        return -EPROTO;
    }
    return mfs_server_take(srv, stream, plain, h->plain_bytes, out);
}

/* What is ordered comes on the stream that keeps the order, and waits for nobody. */
static bool is_request(int stream, const struct mfs_request *rq)
{
    if (rq->head.op == MFS_OP_hello)
        return false;
    return rq->head.kind == MFS_REQUEST ||
           (rq->head.kind == MFS_ORDERED && stream == MFS_BULK && !may_wait(rq) &&
            !is_at_once(rq));
}

int mfs_server_take(struct mfs_server *srv, int stream, uint8_t *message, size_t len_bytes,
                    struct mfs_request **out)
{
    struct mfs_head h;
    struct rd r = rd_of(message, len_bytes);
    int rc = mfs_head_get(&r, &h);
    *out = NULL;
    if (rc == 0 && is_request(stream, &(struct mfs_request){ .head = h })) {
        struct mfs_request *rq = calloc(1, sizeof *rq);
        if (rq) {
            *rq = (struct mfs_request){ .head = h, .body = r, .len_bytes = len_bytes };
            rq->message = message;
            rq->class = class_of(stream, rq);
            *out = rq;
            return 0;
        }
        rc = -ENOMEM;
    } else if (rc == 0 && h.kind == MFS_CANCEL) {
        mfs_locks_cancel(&srv->locks, h.id);
    } else if (rc == 0 && h.kind == MFS_FORGET) {
        rc = forget(srv, &r);
    } else if (rc == 0 && h.kind == MFS_PACKED) {
        rc = take_packed(srv, stream, &h, &r, out);
    } else {
        rc = -EPROTO; /* malformed, or not for a client to say */
    }
    free(message);
    return rc;
}

struct reader {
    struct mfs_server *srv;
    int stream;
};

static void *reader_main(void *arg)
{
    const struct reader *me = arg;
    struct mfs_server *srv = me->srv;
    struct mfs_stream *s = &srv->streams[me->stream];
    struct err why;
    uint8_t *message;
    size_t len;
    int rc;
    while ((rc = mfs_stream_read(s, &message, &len, &why)) > 0) {
        struct mfs_request *rq;
        rc = mfs_server_take(srv, me->stream, message, len, &rq);
        if (rc < 0) {
            err_set(&why, -rc, "message of %zu bytes on the %s stream", len, s->name);
            break;
        }
        if (rq && (is_at_once(rq) || is_reader_closed(srv, rq))) {
            mfs_run_at_once(srv, rq);
            continue;
        }
        if (rq && may_wait(rq))
            mfs_locks_expect(&srv->locks, rq);
        if (rq)
            mfs_pool_push(&srv->pool, rq);
    }
    if (rc < 0)
        mfs_server_fail(srv, rc, &why);
    if (me->stream == MFS_META)
        mfs_supply_end(&srv->supply);
    /* One stream alone is of no use: no more is taken from the other than it has sent. They
     * come by ways of their own, so its last message may be here in part only. */
    mfs_stream_cut(&srv->streams[!me->stream]);
    return NULL;
}

/* From the first request after hello to the hang-up. */
static int serve(struct mfs_server *srv, struct err *e)
{
    struct mfs_pool_opts po = {
        srv, worker_start, worker_stop, mfs_run_request, mfs_server_drop, has_room
    };
    struct reader meta = { srv, MFS_META }, bulk = { srv, MFS_BULK };
    int rc = mfs_locks_start(&srv->locks, &srv->files, on_lock, srv);
    if (rc < 0)
        return err_set(e, -rc, "lock threads");
    rc = mfs_pool_start(&srv->pool, &po);
    if (rc < 0) {
        mfs_locks_stop(&srv->locks);
        return err_set(e, -rc, "worker threads");
    }
    for (int i = 0; i < MFS_STREAMS && rc == 0; i++)
        rc = mfs_stream_start(&srv->streams[i], on_room, srv);
    if (rc == 0)
        rc = mfs_watches_start(&srv->watches, srv->has_promises, &srv->nodes,
                               &srv->streams[MFS_META],
                               srv->leases.is_on ? &srv->leases.member.mu : NULL, srv->mark_fd);
    srv->watches.knows_own = srv->leases.is_granting;
    pthread_t bulk_thread;
    if (rc == 0)
        rc = -pthread_create(&bulk_thread, NULL, reader_main, &bulk);
    if (rc < 0) {
        err_set(e, -rc, "stream threads");
    } else {
        reader_main(&meta);
        pthread_join(bulk_thread, NULL);
    }
    bool is_dropping = rc < 0 || failure_of(srv, NULL) < 0;
    mfs_leases_hang_up(srv, is_dropping);
    /* Nobody reads answers any more; what was asked for is done all the same. */
    for (int i = 0; i < MFS_STREAMS; i++)
        mfs_stream_stop(&srv->streams[i], true);
    mfs_pool_stop(&srv->pool, is_dropping);
    mfs_watches_stop(&srv->watches); /* the workers used it */
    mfs_locks_stop(&srv->locks);
    return rc < 0 ? rc : failure_of(srv, e);
}

static int confine(const struct mfs_serve_opts *o, struct err *e)
{
    struct mfs_confined_dir dirs[MFS_EXPORTS_MAX];
    size_t count = 0;
    int rc = 0;
    for (; rc == 0 && count < o->export_count; count++) {
        dirs[count] = (struct mfs_confined_dir){ open(o->exports[count].path,
                                                      O_PATH | O_DIRECTORY | O_CLOEXEC),
                                                 o->exports[count].is_read_only };
        if (dirs[count].fd < 0)
            rc = err_set(e, errno, "export '%s'", o->exports[count].path);
    }
    struct err note = { "" };
    if (rc == 0) {
        rc = mfs_confine(dirs, count, &note);
        if (rc < 0 && e)
            *e = note;
    }
    if (rc >= 0 && o->on_note)
        o->on_note(o->ctx, note.text);
    note.text[0] = 0;
    if (rc >= 0 && (rc = mfs_allow_calls(&note)) < 0 && e)
        *e = note;
    if (rc >= 0 && o->on_note && note.text[0])
        o->on_note(o->ctx, note.text);
    for (size_t i = 0; i < count; i++)
        fd_close(&dirs[i].fd);
    return rc < 0 ? rc : 0;
}

static void on_nothing(void *ctx UNUSED)
{
}

/* What this process as a whole needs. */
static void prepare_process(struct mfs_fileleases *leases)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1); /* only lock waits take it */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write past the limit answers EFBIG */
    mfs_fileleases_prepare(leases);
    umask(0);
    /* Replies of 1 MiB come and go; giving their memory back each time costs more than they. */
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

/* Who can find another broker, as this process can't once it is confined. Without, targets ask
 * for everything if the broker dies. */
static int start_finder(const struct mfs_serve_opts *o)
{
    int fd;
    return o->has_broker && o->finds_broker && mfs_broker_finder(o->broker_dir, &fd) == 0 ? fd
                                                                                         : -1;
}

/* The broker was found before this process was confined. */
static int start_leases(struct mfs_server *srv, const struct mfs_serve_opts *o, struct err *e)
{
    int fd = take_fd(&srv->broker_fd);
    srv->on_note = o->on_note;
    srv->on_note_ctx = o->ctx;
    int rc = mfs_leases_start(srv, fd, take_fd(&srv->finder_fd), o->lease_ms,
                              srv->wants_leases);
    if (rc < 0)
        return err_set(e, -rc, "leases");
    srv->has_promises = srv->has_promises || srv->wants_leases;
    return 0;
}

static int greet_and_serve(struct mfs_server *srv, const struct mfs_serve_opts *o,
                           struct err *e)
{
    uint64_t id = 0;
    uint32_t error = 0;
    int rc = mfs_server_init(srv, o, e);
    if (rc == 0)
        rc = read_hello(srv, &id, &error, e);
    if (rc <= 0)
        return rc;
    srv->finder_fd = error ? -1 : start_finder(o);
    rc = error ? 0 : confine(o, e);
    if (rc == 0 && !error && o->has_broker)
        rc = start_leases(srv, o, e);
    if (rc == 0 && (rc = answer_hello(srv, id, error)) < 0)
        err_set(e, -rc, "answer the greeting");
    if (rc == 0 && error) {
        /* Only the answer is written yet. */
        if (mfs_stream_start(&srv->streams[MFS_META], on_nothing, NULL) == 0)
            mfs_stream_stop(&srv->streams[MFS_META], false);
        return -EPROTO;
    }
    return rc < 0 ? rc : serve(srv, e);
}

int mfs_serve(const struct mfs_serve_opts *o, struct err *e)
{
    struct mfs_server *srv = calloc(1, sizeof *srv);
    int meta_fd = o->meta_fd, bulk_fd = o->bulk_fd;
    if (!srv) {
        fd_close(&meta_fd);
        fd_close(&bulk_fd);
        if (o->has_broker)
            close(o->broker_fd);
        if (o->has_marks)
            close(o->mark_fd);
        return err_set(e, ENOMEM, "file server");
    }
    srv->proc_fd = -1;
    srv->broker_fd = o->has_broker ? o->broker_fd : -1;
    srv->finder_fd = -1;
    srv->activity = o->activity;
    srv->mark_fd = o->has_marks ? o->mark_fd : -1;
    prepare_process(&srv->fileleases);
    int rc = mfs_stream_open(&srv->streams[MFS_META], "meta", meta_fd);
    int rc2 = mfs_stream_open(&srv->streams[MFS_BULK], "bulk", bulk_fd);
    rc = rc < 0 || rc2 < 0 ? err_set(e, rc < 0 ? -rc : -rc2, "streams of the file server")
                           : greet_and_serve(srv, o, e);
    mfs_leases_stop(srv);
    mfs_server_fini(srv);
    fd_close(&srv->broker_fd);
    fd_close(&srv->finder_fd);
    fd_close(&srv->mark_fd);
    for (int i = 0; i < MFS_STREAMS; i++)
        mfs_stream_close(&srv->streams[i]);
    free(srv);
    return rc;
}
