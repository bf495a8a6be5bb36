/* SPDX-License-Identifier: GPL-2.0-or-later */
/* locks.c: advisory locks that are decided here, and how they move to the server.
 * Must not know: libfuse.
 * Invariant: while a node's locks are here, the server has none on it. One that moves is kept
 * known by a count of its names. */
#include "mrcfs/client/locks.h"

#include "mrcfs/client/client.h"
#include "mrcfs/client/locktable.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* The locks of one node, from the first one on. */
struct mfs_own_locks {
    struct link moving; /* in the client's list while they move */
    struct mfs_client *client;
    struct mfs_session *session; /* NULL: it has ended */
    uint64_t node;
    struct mfs_locktable table;
    bool is_moving;  /* the request that moves them is on the way: nothing changes any more */
    bool is_late;    /* … because the leases have run out, or may have */
    bool is_held_up; /* the closing of the file waited once for what is on the way */
    struct link waiting; /* requests of the kernel */
};

struct waiting {
    struct link link;
    size_t len_bytes;
    uint8_t bytes[];
};

static bool keep(struct link *list, const void *ptr, size_t len_bytes)
{
    struct waiting *w = malloc(sizeof *w + len_bytes);
    if (!w)
        return false;
    *w = (struct waiting){ .len_bytes = len_bytes };
    memcpy(w->bytes, ptr, len_bytes);
    list_push_back(list, &w->link);
    return true;
}

static void move_all(struct link *to, struct link *from)
{
    list_init(to);
    while (!list_is_empty(from)) {
        struct link *l = from->next;
        list_remove(l);
        list_push_back(to, l);
    }
}

static void drop_waiting(struct link *list)
{
    LIST_EACH(list, it, nx)
    {
        list_remove(it);
        free(LIST_ENTRY(it, struct waiting, link));
    }
}

static void own_free(struct mfs_own_locks *l)
{
    list_remove(&l->moving);
    drop_waiting(&l->waiting);
    mfs_locktable_fini(&l->table);
    free(l);
}

void mfs_locks_begin(struct mfs_known *n, uint64_t fh)
{
    if (n->own_locks)
        return;
    n->alone_fh = fh;
    n->had_locks =
        false; /* a file with locks at the server is open there, and this one is alone */
}

/* For a lock through f. NULL: the server decides. */
static struct mfs_own_locks *own_new(struct mfs_session *s, struct mfs_known *n,
                                     const struct mfs_opened *f)
{
    if (!n->alone_fh || f->fh != n->alone_fh || s->client->is_lost ||
        !mfs_lease_is_alive(s->client))
        return NULL;
    struct mfs_own_locks *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->client = s->client;
    l->session = s;
    l->node = n->number;
    list_init(&l->waiting);
    n->own_locks = l;
    return l;
}

bool mfs_locks_are_held(const struct mfs_known *n)
{
    return n && n->own_locks && n->own_locks->table.count;
}

void mfs_locks_free(struct mfs_known *n)
{
    if (n->own_locks && !n->own_locks->is_moving)
        own_free(n->own_locks);
    n->own_locks = NULL;
}

void mfs_locks_leave(struct mfs_session *s)
{
    LIST_EACH(&s->client->moving_locks, it, nx)
    {
        struct mfs_own_locks *l = LIST_ENTRY(it, struct mfs_own_locks, moving);
        if (l->session != s)
            continue;
        l->session = NULL;
        drop_waiting(&l->waiting);
    }
}

/* ---- moving ---- */

static void mark_files(struct mfs_session *s, uint64_t node, bool are_lost)
{
    LIST_EACH(&s->files, it, nx)
    {
        struct mfs_opened *f = LIST_ENTRY(it, struct mfs_opened, open);
        if (!f->are_locks_moving || f->node != node)
            continue;
        f->are_locks_moving = false;
        f->are_locks_lost = are_lost;
    }
}

/* They are at the server now, or lost. */
static void end_move(struct mfs_own_locks *l, bool are_lost)
{
    struct mfs_session *s = l->session;
    struct mfs_known *n = s ? mfs_known_find(&s->nodes, l->node) : NULL;
    uint64_t node = l->node;
    struct link waiting;
    move_all(&waiting, &l->waiting);
    if (n)
        n->own_locks = NULL;
    own_free(l);
    if (s)
        mark_files(s, node, are_lost);
    LIST_EACH(&waiting, it, nx)
    {
        struct waiting *w = LIST_ENTRY(it, struct waiting, link);
        mfs_session_take(s, w->bytes, w->len_bytes);
        free(w);
    }
    if (n) {
        n->names--;
        mfs_known_drop_unused(&s->nodes, n);
    }
}

static int on_surrendered(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_own_locks *l = call->file;
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    if (!list_is_empty(&l->waiting))
        mfs_client_waited(call->client, MFS_OP_surrender, call->depth);
    end_move(l, rc < 0);
    return 0;
}

/* Which files the locks were taken through, and each lock in its coded form. Returns bytes. */
static size_t pack(struct mfs_own_locks *l, struct mfs_known *n, uint8_t *bytes,
                   size_t size_bytes)
{
    struct wr w = wr_of(bytes, size_bytes);
    for (size_t i = 0; i < l->table.count; i++) {
        struct mfs_lock_rec rec = l->table.at[i];
        struct mfs_opened *f = (struct mfs_opened *)(uintptr_t)rec.fh;
        rec.fh = f->fh;
        f->are_locks_moving = f->had_locks = true;
        n->had_locks = n->had_locks || !rec.is_flock;
        mfs_lock_rec_put(&w, &rec);
    }
    return wr_len(&w);
}

static int send_move(struct mfs_own_locks *l, struct mfs_known *n)
{
    struct mfs_client *c = l->client;
    size_t size = l->table.count * MFS_LOCK_REC_BYTES;
    uint8_t *bytes = malloc(size + 1);
    struct mfs_call *call = bytes ? mfs_call_new(c, on_surrendered) : NULL;
    struct mfs_caller who = { c->opts.own_uid, c->opts.own_gid, 0 };
    int rc = -ENOMEM;
    if (call) {
        struct mfs_surrender_req m = { { bytes, (uint32_t)pack(l, n, bytes, size) } };
        call->session = l->session;
        call->file = l;
        call->is_unwaited = true;
        rc = mfs_send_surrender(call, &who, &m, m.locks.len);
    }
    free(bytes);
    if (rc < 0)
        mfs_call_drop(call);
    return rc;
}

/* l may be gone afterwards. */
static void start_move(struct mfs_own_locks *l, struct mfs_known *n)
{
    n->alone_fh = 0;
    n->names++;
    l->is_moving = true;
    list_push_back(&l->client->moving_locks, &l->moving);
    if (send_move(l, n) < 0)
        end_move(l, true);
}

static void lose(struct mfs_known *n)
{
    struct mfs_own_locks *l = n->own_locks;
    n->alone_fh = 0;
    if (!l || l->is_moving)
        return;
    for (size_t i = 0; i < l->table.count; i++)
        ((struct mfs_opened *)(uintptr_t)l->table.at[i].fh)->are_locks_moving = true;
    n->names++;
    end_move(l, true);
}

void mfs_locks_lose(struct mfs_client *c)
{
    LIST_EACH(&c->sessions, it, nx)
    {
        struct mfs_session *s = mfs_session_of(it);
        for (size_t i = 0; !s->is_detached && i < s->nodes.bucket_count; i++)
            for (struct link *bucket = &s->nodes.buckets[i], *at = bucket->next; at != bucket;) {
                struct mfs_known *n = LIST_ENTRY(at, struct mfs_known, link);
                bool had = n->own_locks && !n->own_locks->is_moving;
                lose(n);
                at = had ? bucket->next : at->next; /* n may be gone */
            }
    }
}

bool mfs_locks_recall(struct mfs_session *s, struct mfs_known *n, uint64_t serial)
{
    struct mfs_own_locks *l = n->own_locks;
    n->alone_fh = 0;
    if (!l || l->is_moving)
        return false;
    l->is_late = !serial;
    if (l->table.count) {
        start_move(l, n);
    } else {
        own_free(l);
        n->own_locks = NULL;
    }
    /* Whoever gets a lock next sees what was done before it was given up. */
    return serial && mfs_behind_put_off(s, n, serial);
}

/* ---- requests ---- */

static void answer(struct mfs_session *s, const struct mfs_raw_request *in, int rc)
{
    int sent = mfs_raw_reply(s->fd, in->unique, -rc, NULL, 0);
    (void)sent; /* ENOENT: the process is gone */
}

static bool wait_for_move(struct mfs_own_locks *l, const struct mfs_raw_request *in,
                          const void *ptr, size_t len_bytes)
{
    if (!keep(&l->waiting, ptr, len_bytes))
        answer(l->session, in, -ENOLCK);
    return true;
}

static void answer_test(struct mfs_session *s, struct mfs_own_locks *l,
                        const struct mfs_raw_request *in, const struct mfs_lock_rec *want)
{
    const struct mfs_lock_rec *found = mfs_locktable_test(&l->table, want);
    int type = F_UNLCK;
    int rc = found ? mfs_lock_to_host(found->type, &type) : 0;
    rc = mfs_raw_reply_lock(
        s->fd, in->unique,
        &(struct mfs_raw_lock){ .start = found ? found->start : 0,
                                .end = found ? found->end : 0,
                                .type = rc < 0 ? (uint32_t)F_UNLCK : (uint32_t)type,
                                .pid = found ? found->pid : 0 });
    (void)rc;
}

static bool take_lock(struct mfs_session *s, struct mfs_known *n,
                      const struct mfs_raw_request *in, const void *ptr, size_t len_bytes)
{
    struct mfs_own_locks *l = n->own_locks;
    const struct mfs_opened *f = (const struct mfs_opened *)(uintptr_t)in->fh;
    struct mfs_lock_rec want = { .fh = in->fh,
                                 .owner = in->lock_owner,
                                 .start = in->lock.start,
                                 .end = in->lock.end >= INT64_MAX ? UINT64_MAX : in->lock.end,
                                 .pid = in->lock.pid,
                                 .is_flock = in->is_flock };
    if (mfs_lock_from_host((int)in->lock.type, &want.type) < 0 || want.start > want.end)
        return false;
    if (want.is_flock) {
        want.start = 0;
        want.end = UINT64_MAX;
    }
    if (!l && !(l = own_new(s, n, f)))
        return false;
    if (l->is_moving)
        return wait_for_move(l, in, ptr, len_bytes);
    if (!mfs_lease_is_alive(s->client)) { /* who may have come meanwhile? */
        bool is_kept = wait_for_move(l, in, ptr, len_bytes);
        l->is_late = true;
        start_move(l, n);
        return is_kept;
    }
    s->client->stats.cache_hits++;
    if (in->op == MFS_RAW_GETLK) {
        answer_test(s, l, in, &want);
        return true;
    }
    int rc = mfs_locktable_set(&l->table, &want);
    if (rc == 0 || (rc == -EAGAIN && in->op == MFS_RAW_SETLK)) {
        answer(s, in, rc);
        return true;
    }
    /* Waiting, and finding out that it would be for ever, is the server's. */
    bool is_kept = wait_for_move(l, in, ptr, len_bytes);
    start_move(l, n);
    return is_kept;
}

static bool take_release(struct mfs_session *s, struct mfs_known *n,
                         const struct mfs_raw_request *in, const void *ptr, size_t len_bytes)
{
    struct mfs_own_locks *l = n->own_locks;
    const struct mfs_opened *f = (const struct mfs_opened *)(uintptr_t)in->fh;
    if (l && !l->is_moving && !l->is_held_up && !list_is_empty(&s->client->behind)) {
        /* As of a recall: whoever opens and locks it next. */
        l->is_held_up = true;
        if (mfs_behind_wait(s, ptr, len_bytes) == 0)
            return true;
    }
    if (l && !l->is_moving)
        mfs_locktable_drop_file(&l->table, in->fh);
    if (f->fh == n->alone_fh)
        n->alone_fh = 0;
    if (l && !l->is_moving)
        mfs_locks_free(n);
    return false;
}

static bool is_use(uint32_t op)
{
    return op == MFS_RAW_READ || op == MFS_RAW_WRITE || op == MFS_RAW_FSYNC ||
           op == MFS_RAW_FLUSH || op == MFS_RAW_GETLK || op == MFS_RAW_SETLK ||
           op == MFS_RAW_SETLKW || op == MFS_RAW_FALLOCATE || op == MFS_RAW_COPY_FILE_RANGE;
}

bool mfs_locks_take(struct mfs_session *s, const struct mfs_raw_request *in, const void *ptr,
                    size_t len_bytes)
{
    const struct mfs_opened *f = (const struct mfs_opened *)(uintptr_t)in->fh;
    if (!f)
        return false;
    if (f->are_locks_lost && is_use(in->op)) {
        answer(s, in, -ESTALE);
        return true;
    }
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    struct mfs_own_locks *l = n ? n->own_locks : NULL;
    if (!n || (!l && !n->alone_fh))
        return false;
    switch (in->op) {
    case MFS_RAW_GETLK:
    case MFS_RAW_SETLK:
    case MFS_RAW_SETLKW: return take_lock(s, n, in, ptr, len_bytes);
    case MFS_RAW_RELEASE: return take_release(s, n, in, ptr, len_bytes);
    case MFS_RAW_FLUSH:
        if (l && l->is_moving)
            return wait_for_move(l, in, ptr, len_bytes);
        if (l)
            mfs_locktable_drop_owner(&l->table, in->lock_owner);
        return false;
    case MFS_RAW_READ:
        /* What is read under a lock that may be lost would be believed. Under a recall reads go
         * on: the kernel drops its pages only after them. */
        return l && l->is_moving && l->is_late && l->table.count &&
               wait_for_move(l, in, ptr, len_bytes);
    case MFS_RAW_FALLOCATE: /* these can't say that they are done under a lock */
    case MFS_RAW_COPY_FILE_RANGE:
        if (!l || !l->table.count)
            return false;
        bool is_new = !l->is_moving, is_kept = wait_for_move(l, in, ptr, len_bytes);
        if (is_new)
            start_move(l, n);
        return is_kept;
    default: return false;
    }
}
