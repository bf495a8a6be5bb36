/* SPDX-License-Identifier: GPL-2.0-or-later */
/* leases.c: what the client may believe, and making it forget.
 * Must not know: what each operation does. */
#include "mrcfs/server/leases.h"

#include "common/sys/clock.h"
#include "mrcfs/server/belief.h"
#include "mrcfs/server/leaseorder.h"
#include "mrcfs/server/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct recall {
    struct link link;
    uint64_t serial;
    struct mfs_token *token; /* pinned */
    int64_t since_ms;
};

static int64_t now_ms(void)
{
    return (int64_t)clock_mono_ms();
}

static struct mfs_lease_key key_of(const struct mfs_identity *what)
{
    return (struct mfs_lease_key){ what->dev, what->ino };
}

/* ---- what is believed; the member's lock is held in all of this ---- */

static bool is_running(const struct mfs_leases *l, int64_t margin_ms)
{
    return l->renewed_ms && !l->is_gone && now_ms() < l->renewed_ms + l->lease_ms + margin_ms;
}

static bool is_believing(const struct mfs_leases *l, const struct mfs_belief *b)
{
    return b && b->count && b->generation == l->generation;
}

struct mfs_belief *mfs_belief_of(struct mfs_token *t)
{
    struct mfs_belief *b = t->belief;
    if (!b && (b = t->belief = calloc(1, sizeof *b)))
        list_init(&b->fileleases);
    return b;
}

/* The client has seen something of node. Returns false without memory. */
static bool note(struct mfs_leases *l, struct mfs_token *t, uint64_t node)
{
    struct mfs_belief *b = mfs_belief_of(t);
    if (!b)
        return false;
    if (b->generation != l->generation) {
        b->generation = l->generation;
        b->count = 0;
        b->is_sole = false;
    }
    for (unsigned i = 0; i < b->count; i++)
        if (b->nodes[i] == node)
            return true;
    if (b->count == b->size) {
        unsigned size = b->size ? 2 * b->size : 1;
        uint64_t *more = realloc(b->nodes, size * sizeof *more);
        if (!more)
            return false;
        b->nodes = more;
        b->size = size;
    }
    b->nodes[b->count++] = node;
    return true;
}

static void send_notice(struct mfs_server *srv, uint16_t notice,
                        const struct mfs_recall_notice *r)
{
    struct mfs_out *m = mfs_out_new(64);
    if (!m) {
        mfs_server_fail(srv, -ENOMEM, NULL); /* it can't be made to forget */
        return;
    }
    struct wr w = wr_of(m->memory, m->len);
    mfs_message_begin(&w, &(struct mfs_head){ .kind = MFS_NOTIFY, .notice = notice });
    if (r)
        mfs_recall_notice_put(&w, r);
    else
        mfs_expired_notice_put(&w, &(struct mfs_expired_notice){ 0 });
    mfs_message_end(&w, 0);
    m->len = wr_len(&w);
    mfs_stream_send(&srv->streams[MFS_META], m);
}

/* Whoever waits here for t's file goes on. is_cut: although the client has not answered. */
static void end_break(struct mfs_server *srv, struct mfs_token *t, bool is_cut)
{
    struct mfs_belief *b = t->belief;
    if (!b || !b->is_breaking)
        return;
    b->is_breaking = false;
    srv->fileleases.breaking--;
    mfs_fileleases_end(t, false, is_cut);
}

/* Nothing is unanswered any more of t. */
static void on_forgotten(struct mfs_server *srv, struct mfs_token *t, bool is_cut)
{
    end_break(srv, t, is_cut);
    if (t->phase == MFS_TOKEN_KEPT)
        return;
    mfs_fileleases_end(t, t->asked_to == MFS_LEASE_SHARED, is_cut);
    mfs_member_close(&srv->leases.member, t);
}

/* This recall is answered, or (is_cut) is not waited for any more. */
static void settle(struct mfs_server *srv, struct recall *r, bool is_cut)
{
    struct mfs_leases *l = &srv->leases;
    struct mfs_token *t = r->token;
    struct mfs_belief *b = t->belief;
    list_remove(&r->link);
    free(r);
    if (list_is_empty(&l->recalls))
        l->is_refusing = false;
    if (--b->recalls == 0)
        on_forgotten(srv, t, is_cut);
    mfs_member_unpin(&l->member, t);
}

/* All that was granted is void. */
static void expire(struct mfs_server *srv)
{
    struct mfs_leases *l = &srv->leases;
    l->generation++;
    l->expired_epoch = l->member.last_epoch;
    l->renewed_ms = 0;
    if (l->is_granting && !l->is_gone)
        send_notice(srv, MFS_NOTICE_expired, NULL);
    while (!list_is_empty(&l->recalls))
        settle(srv, LIST_ENTRY(l->recalls.next, struct recall, link), true);
}

/* Sends a recall of each node that is known by t. False: nothing to wait for. */
static bool recall(struct mfs_server *srv, struct mfs_token *t)
{
    struct mfs_leases *l = &srv->leases;
    struct mfs_belief *b = t->belief;
    if (!is_believing(l, b))
        return false;
    if (!is_running(l, MFS_LEASE_MARGIN_MS)) {
        expire(srv);
        return false;
    }
    for (unsigned i = 0; i < b->count; i++) {
        struct recall *r = malloc(sizeof *r);
        if (!r) {
            mfs_server_fail(srv, -ENOMEM, NULL);
            break;
        }
        *r = (struct recall){ .serial = ++l->last_serial, .token = t, .since_ms = now_ms() };
        t->pins++;
        b->recalls++;
        (void)mfs_node_take_promise(&srv->nodes, b->nodes[i]); /* it is told with this */
        list_push_back(&l->recalls, &r->link);
        l->recalled++;
        send_notice(srv, MFS_NOTICE_recall,
                    &(struct mfs_recall_notice){ r->serial, b->nodes[i] });
    }
    b->count = 0;
    b->is_sole = false;
    mfs_member_wake(&l->member);
    return b->recalls > 0;
}

static void on_asked(void *ctx, struct mfs_token *t)
{
    struct mfs_server *srv = ctx;
    struct mfs_belief *b = t->belief;
    if (b && b->recalls)
        return; /* goes on when that is answered */
    /* Who may still look need forget nothing, but write what it has put off. */
    bool is_looking =
        t->asked_to == MFS_LEASE_SHARED && !mfs_fileleases_have_write(t) && !(b && b->is_sole);
    if (is_looking || !recall(srv, t))
        on_forgotten(srv, t, true);
}

void mfs_belief_break(struct mfs_server *srv, struct mfs_token *t)
{
    struct mfs_belief *b = t->belief;
    if (!b || b->is_breaking)
        return;
    b->is_breaking = true;
    b->break_end_ms = now_ms() + srv->fileleases.break_ms;
    srv->fileleases.breaking++;
    t->pins++;
    if (!b->recalls && !recall(srv, t))
        on_forgotten(srv, t, true);
    mfs_member_unpin(&srv->leases.member, t);
    mfs_member_wake(&srv->leases.member);
}

bool mfs_belief_may_grant(struct mfs_server *srv, const struct mfs_token *t)
{
    const struct mfs_belief *b = t->belief;
    return t->held && t->phase == MFS_TOKEN_KEPT && !(b && (b->recalls || b->is_breaking)) &&
           is_running(&srv->leases, 0);
}

static enum mfs_drained on_drained(void *ctx, struct mfs_token *t)
{
    struct mfs_server *srv = ctx;
    struct mfs_leases *l = &srv->leases;
    struct mfs_belief *b = t->belief;
    if (t->asked_to == MFS_LEASE_NONE && is_believing(l, b))
        return b->rounds++ < MFS_RECALL_ROUNDS_MAX ? MFS_DRAINED_OPEN : MFS_DRAINED_CLOSED;
    if (b)
        b->rounds = 0;
    return MFS_DRAINED_GIVE;
}

static void on_forget(void *ctx UNUSED, struct mfs_token *t)
{
    struct mfs_belief *b = t->belief;
    if (b)
        free(b->nodes);
    free(b);
}

static void on_broken(void *ctx)
{
    struct mfs_server *srv = ctx;
    expire(srv);
    srv->leases.is_granting = false;
    /* For so long all others wait with their changes. */
    srv->leases.broken_until_ms = now_ms() + srv->leases.lease_ms;
    if (srv->on_note)
        srv->on_note(srv->on_note_ctx,
                     "the broker of leases has ended; targets ask for everything now");
}

static void on_joined(void *ctx)
{
    struct mfs_server *srv = ctx;
    srv->leases.is_granting = srv->leases.was_granting;
    if (srv->on_note)
        srv->on_note(srv->on_note_ctx,
                     "there is a broker of leases again; targets believe what they are told");
}

/* Who waits here does not wait for ever. Returns when the next one has waited enough. */
static int64_t end_late_breaks(struct mfs_server *srv, int64_t now)
{
    int64_t next = INT64_MAX;
    LIST_EACH(&srv->leases.recalls, it, nx)
    {
        struct mfs_token *t = LIST_ENTRY(it, struct recall, link)->token;
        struct mfs_belief *b = t->belief;
        if (b->is_breaking && b->break_end_ms <= now)
            end_break(srv, t, true);
        if (b->is_breaking && b->break_end_ms < next)
            next = b->break_end_ms;
    }
    return next;
}

static int on_tick(void *ctx)
{
    struct mfs_server *srv = ctx;
    struct mfs_leases *l = &srv->leases;
    if (list_is_empty(&l->recalls))
        return -1;
    int64_t now = now_ms(), since = LIST_ENTRY(l->recalls.next, struct recall, link)->since_ms,
            end = l->renewed_ms + l->lease_ms + MFS_LEASE_MARGIN_MS;
    if (now >= end) {
        expire(srv);
        return -1;
    }
    if (srv->fileleases.breaking) {
        int64_t next = end_late_breaks(srv, now);
        end = next < end ? next : end;
    }
    /* A client that renews, but does not answer, is not renewed any more. */
    int64_t patience = since + 2 * (int64_t)l->lease_ms;
    if (now >= patience)
        l->is_refusing = true;
    else if (patience < end)
        end = patience;
    return (int)(end - now);
}

/* ---- what the client says ---- */

int mfs_do_recalled(struct mfs_call *o, const struct mfs_recalled_req *q,
                    struct mfs_recalled_rep *p UNUSED)
{
    struct mfs_leases *l = &o->srv->leases;
    if (!l->is_on)
        return 0;
    mfs_member_lock(&l->member);
    LIST_EACH(&l->recalls, it, nx)
    {
        struct recall *r = LIST_ENTRY(it, struct recall, link);
        if (r->serial == q->serial) {
            settle(o->srv, r, false);
            break;
        }
    }
    mfs_member_unlock(&l->member);
    return 0; /* one that is not waited for any more came late */
}

int mfs_leases_surrender(struct mfs_call *o,
                         int (*take)(struct mfs_call *o, const void *what), const void *what)
{
    struct mfs_leases *l = &o->srv->leases;
    if (!l->is_on)
        return -ESTALE;
    mfs_member_lock(&l->member);
    int rc = take(o, what);
    mfs_member_unlock(&l->member);
    return rc;
}

int mfs_do_renew(struct mfs_call *o, const struct mfs_renew_req *q UNUSED,
                 struct mfs_renew_rep *p)
{
    struct mfs_leases *l = &o->srv->leases;
    struct timespec now = { 0 };
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    *p = (struct mfs_renew_rep){ .now_sec = (uint64_t)now.tv_sec,
                                 .now_nsec = (uint32_t)now.tv_nsec };
    if (!l->is_on)
        return 0;
    mfs_member_lock(&l->member);
    if (l->is_granting && !l->is_refusing) {
        /* One that comes too late brings back what nobody wanted meanwhile: so a way that is cut for
           a while costs nothing of what was put off. Who waits for a recall has waited enough. */
        if (l->renewed_ms && !is_running(l, MFS_LEASE_MARGIN_MS) && !list_is_empty(&l->recalls))
            expire(o->srv);
        l->renewed_ms = now_ms();
        p->lease_ms = l->lease_ms;
    }
    mfs_member_unlock(&l->member);
    return 0;
}

/* ---- operations ---- */

/* Waiting for others: the pool counts on one worker less meanwhile. */
static int wait_for(struct mfs_call *o, struct mfs_use *u)
{
    struct mfs_leases *l = &o->srv->leases;
    if (mfs_member_has(&l->member, u))
        return 0;
    if (!mfs_pool_wait_begin(&o->srv->pool)) {
        o->is_deferred = o->is_parked = true;
        return -EXFULL;
    }
    u->is_further = o->use_count > 0;
    int rc = mfs_member_use(&l->member, u);
    mfs_pool_wait_end(&o->srv->pool);
    return rc;
}

static bool is_in_order(const struct mfs_call *o)
{
    return o->rq->head.kind == MFS_ORDERED;
}

static int need(struct mfs_call *o, const struct mfs_op_use *wanted)
{
    struct mfs_leases *l = &o->srv->leases;
    if (is_in_order(o))
        return mfs_need_in_order(o, wanted, MFS_MISSING_FAILS);
    struct mfs_op_use *u = mfs_use_find(o, &wanted->use.key);
    if (u && wanted->node)
        u->node = wanted->node;
    if (u && u->use.mode >= wanted->use.mode)
        return 0;
    if (u) { /* what is had does not do */
        mfs_member_put(&l->member, &u->use);
        u->use.mode = wanted->use.mode;
        return -ERESTART;
    }
    if (o->use_count == MFS_USES_MAX) { /* names have changed again and again */
        mfs_leases_put(o);
        return -ERESTART;
    }
    u = &o->uses[o->use_count];
    *u = *wanted;
    int rc = 0;
    if (!o->use_count)
        rc = wait_for(o, &u->use);
    else if (!mfs_member_has(&l->member, &u->use))
        rc = mfs_member_try(&l->member, &u->use);
    if (rc < 0)
        u->use.token = NULL;
    if (rc == 0 || rc == -EAGAIN)
        o->use_count++;
    return rc == -EAGAIN ? -ERESTART : rc;
}

/* Its token is had. */
static void change(struct mfs_call *o, struct mfs_node *n, int fd, bool is_told)
{
    if (!o->srv->leases.is_granting || !n || o->change_count == MFS_USES_MAX)
        return;
    for (unsigned i = 0; i < o->change_count; i++)
        if (o->changes[i].node == n)
            return;
    if (mfs_node_change_begin(&o->srv->nodes, n, fd))
        mfs_watch_tell(&o->srv->watches, n->id);
    o->changes[o->change_count++] =
        (struct mfs_op_change){ .node = n, .fd = fd, .is_told = is_told };
}

void mfs_changes(struct mfs_call *o, struct mfs_node *n)
{
    if (n)
        change(o, n, n->fd, true);
}

void mfs_closed(struct mfs_call *o, struct mfs_file *f)
{
    struct mfs_leases *l = &o->srv->leases;
    struct mfs_node *n;
    if (!l->is_granting || !f->is_writable || o->use_count == MFS_USES_MAX ||
        !__atomic_exchange_n(&f->is_written, false, __ATOMIC_RELAXED) ||
        mfs_op_node(o, f->holder.node->id, &n) < 0)
        return;
    struct mfs_op_use *u = &o->uses[o->use_count];
    *u = (struct mfs_op_use){ { .key = { f->dev, f->ino }, .mode = MFS_LEASE_SHARED }, n->id };
    if (mfs_member_has(&l->member, &u->use)) {
        o->use_count++;
        struct mfs_op_change *x = &o->changes[o->change_count++];
        *x = (struct mfs_op_change){ .node = n, .fd = -1, .is_told = true };
        x->has_attr = mfs_node_attr(o, n, &x->attr) == 0;
    }
}

int mfs_need(struct mfs_call *o, const struct mfs_identity *what, uint8_t mode)
{
    if (!o->srv->leases.is_on)
        return 0;
    struct mfs_op_use u = { .use = { .key = key_of(what), .mode = mode } };
    return is_in_order(o) && o->rq->head.is_assumed
               ? mfs_need_in_order(o, &u, MFS_MISSING_IS_DONE_WITHOUT)
               : need(o, &u);
}

int mfs_need_node(struct mfs_call *o, struct mfs_node *n, uint8_t mode)
{
    if (!o->srv->leases.is_on)
        return 0;
    int rc =
        need(o, &(struct mfs_op_use){ { .key = key_of(&n->identity), .mode = mode }, n->id });
    if (rc == 0 && mode == MFS_LEASE_EXCLUSIVE)
        change(o, n, n->fd, true);
    return rc;
}

int mfs_claim_node(struct mfs_call *o, struct mfs_node *n)
{
    struct mfs_member *m = &o->srv->leases.member;
    if (!o->srv->leases.is_on)
        return -EBUSY;
    struct mfs_op_use *u = &o->uses[o->use_count];
    *u = (struct mfs_op_use){ { .key = key_of(&n->identity), .mode = MFS_LEASE_EXCLUSIVE },
                              n->id };
    int rc = mfs_member_has(m, &u->use) ? 0 : mfs_member_try(m, &u->use);
    if (rc == 0)
        o->use_count++;
    return rc == -EAGAIN ? -EBUSY : rc;
}

int mfs_need_data(struct mfs_call *o, struct mfs_node *n, uint8_t mode)
{
    if (!o->srv->leases.is_on)
        return 0;
    int rc =
        need(o, &(struct mfs_op_use){
                    { .key = key_of(&n->identity), .mode = mode, .is_data = true }, n->id });
    if (rc == 0 && mode == MFS_LEASE_EXCLUSIVE)
        change(o, n, n->fd, false);
    return rc;
}

int mfs_need_file(struct mfs_call *o, struct mfs_file *f, uint8_t mode)
{
    if (!o->srv->leases.is_on)
        return 0;
    int rc = need(
        o, &(struct mfs_op_use){ { .key = { f->dev, f->ino }, .mode = mode, .is_data = true },
                                 f->holder.node->id });
    if (rc == 0 && mode == MFS_LEASE_EXCLUSIVE) {
        change(o, f->holder.node, f->fd, false);
        __atomic_store_n(&f->is_written, true, __ATOMIC_RELAXED);
    }
    return rc;
}

/* Of what this operation has made. */
static int need_made(struct mfs_call *o, const struct mfs_identity *what)
{
    struct mfs_op_use made = { .use = { .key = key_of(what), .mode = MFS_LEASE_EXCLUSIVE } };
    return is_in_order(o) && o->rq->head.is_assumed ? mfs_need_in_order(o, &made, MFS_MISSING_IS_MADE)
                                                    : need(o, &made);
}

/* What is put off for it rests on nothing older than it is. */
static void note_made(struct mfs_call *o, struct mfs_token *t)
{
    struct mfs_member *m = &o->srv->leases.member;
    mfs_member_lock(m);
    struct mfs_belief *b = mfs_belief_of(t);
    if (b)
        b->made_epoch = t->epoch;
    mfs_member_unlock(m);
}

int mfs_need_found(struct mfs_call *o, const struct mfs_place *at,
                   const struct mfs_identity *what)
{
    if (!o->srv->leases.is_on || at->how == MFS_FOUND_LISTED)
        return 0;
    if (at->how == MFS_FOUND_LOOKED)
        return mfs_need(o, what, MFS_LEASE_SHARED);
    /* What we made cannot be undone: who holds the token of a file that had the number before
     * keeps it, and nothing is granted. */
    unsigned count = o->use_count;
    if (count < MFS_USES_MAX && need_made(o, what) < 0)
        o->use_count = count;
    struct mfs_lease_key key = key_of(what);
    struct mfs_op_use *u = mfs_use_find(o, &key);
    /* The client relies on it, but where it has been told to rely on nothing any more. */
    if (at->wanted && !u && count < MFS_USES_MAX && !mfs_leases_are_without_broker(&o->srv->leases)) {
        u = &o->uses[count];
        *u = (struct mfs_op_use){ .use = { .key = key, .mode = MFS_LEASE_EXCLUSIVE } };
        if (wait_for(o, &u->use) == 0)
            o->use_count++;
        else
            o->is_deferred = o->is_parked = false;
    }
    if (at->wanted && u && u->use.token) {
        u->node = at->wanted; /* it must hear of who looks, whatever the reply grants */
        note_made(o, u->use.token);
    }
    return 0;
}

/* Token names are taken in one order by everybody. */
static int by_key(const void *a, const void *b)
{
    const struct mfs_op_use *x = a, *y = b;
    return mfs_lease_compare(&x->use.key, &y->use.key);
}

int mfs_leases_again(struct mfs_call *o)
{
    if (o->restarts++ == MFS_RESTARTS_MAX)
        return -EBUSY;
    unsigned count = o->use_count;
    mfs_leases_put(o);
    o->grant_count = 0;
    qsort(o->uses, count, sizeof *o->uses, by_key);
    for (; o->use_count < count; o->use_count++) {
        int rc = wait_for(o, &o->uses[o->use_count].use);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void mfs_leases_put(struct mfs_call *o)
{
    for (unsigned i = 0; i < o->use_count; i++)
        mfs_member_put(&o->srv->leases.member, &o->uses[i].use);
    o->use_count = 0;
}

/* ---- after the operation ---- */

void mfs_leases_done(struct mfs_call *o, int rc)
{
    for (unsigned i = 0; i < o->change_count; i++) {
        struct mfs_op_change *x = &o->changes[i];
        x->node_id = x->node->id;
        if (x->fd >= 0)
            mfs_node_change_end(&o->srv->nodes, x->node, x->fd);
        x->is_told = x->is_told && rc == 0 &&
                     (x->has_attr || mfs_node_attr(o, x->node, &x->attr) == 0);
        if (x->is_told)
            mfs_grant_attr(o, &x->node->identity, x->node->id, &x->attr);
    }
    if (rc == -ERESTART)
        o->change_count = 0;
}

static void tell(struct mfs_server *srv, uint64_t request, uint64_t node,
                 const struct mfs_attr *a)
{
    struct mfs_out *m = mfs_out_new(64 + MFS_ATTR_BYTES);
    if (!m)
        return; /* it asks then */
    struct wr w = wr_of(m->memory, m->len);
    mfs_message_begin(
        &w, &(struct mfs_head){ .kind = MFS_NOTIFY, .id = request, .notice = MFS_NOTICE_told });
    mfs_told_notice_put(&w, &(struct mfs_told_notice){ node, *a });
    mfs_message_end(&w, 0);
    m->len = wr_len(&w);
    mfs_stream_send(&srv->streams[MFS_META], m);
}

/* ---- grants ---- */

static void add_grant(struct mfs_call *o, const struct mfs_grant *g)
{
    if (o->grant_count == o->grant_size) {
        size_t size = o->grant_size ? 2 * o->grant_size : 8;
        struct mfs_grant *more = realloc(o->grants, size * sizeof *more);
        if (!more) {
            mfs_server_fail(o->srv, -ENOMEM, NULL);
            return;
        }
        o->grants = more;
        o->grant_size = size;
    }
    o->grants[o->grant_count++] = *g;
}

/* The token's epoch while this operation uses it, or 0. */
static uint64_t epoch_in_use(struct mfs_call *o, const struct mfs_lease_key *key)
{
    struct mfs_op_use *u = mfs_use_find(o, key);
    return u && u->use.token ? mfs_leases_epoch(o->srv, key) : 0;
}

uint64_t mfs_leases_epoch(struct mfs_server *srv, const struct mfs_lease_key *key)
{
    struct mfs_leases *l = &srv->leases;
    if (!l->is_on)
        return 0;
    mfs_member_lock(&l->member);
    const struct mfs_token *t = mfs_member_find(&l->member, key);
    uint64_t epoch = t && t->held && t->phase == MFS_TOKEN_KEPT ? t->epoch : 0;
    mfs_member_unlock(&l->member);
    return epoch;
}

/* Is the node one whose changes by its client will surely be made? */
static bool may_be_sole(struct mfs_call *o, uint64_t node, struct mfs_attr *a)
{
    struct mfs_node *n;
    if (!o->srv->leases.is_granting || mfs_node_pin(&o->srv->nodes, node, &n) < 0)
        return false;
    bool may = !o->srv->exports[n->export_number].is_read_only && !o->srv->follows_links &&
               (!S_ISDIR(a->mode) || mfs_op_is_open_to_changes(o, n));
    if (may && S_ISDIR(a->mode) && mfs_op_moves(o, n))
        a->flags |= MFS_ATTR_MOVES;
    mfs_node_unpin(&o->srv->nodes, n);
    return may;
}

void mfs_grant_attr(struct mfs_call *o, const struct mfs_identity *what, uint64_t node,
                    struct mfs_attr *a)
{
    struct mfs_lease_key key = key_of(what);
    if (o->srv->leases.is_on && a->valid_ms)
        add_grant(
            o, &(struct mfs_grant){ .key = key,
                                    .epoch = epoch_in_use(o, &key),
                                    .node = node,
                                    .is_dir = S_ISDIR(a->mode),
                                    .valid_ms = &a->valid_ms,
                                    .sole_flags = may_be_sole(o, node, a) ? &a->flags : NULL });
}

void mfs_grant_name(struct mfs_call *o, const struct mfs_node *dir, uint32_t events,
                    uint32_t *valid_ms)
{
    struct mfs_lease_key key = key_of(&dir->identity);
    if (o->srv->leases.is_on && *valid_ms)
        add_grant(o, &(struct mfs_grant){ .key = key,
                                          .epoch = epoch_in_use(o, &key),
                                          .node = dir->id,
                                          .is_name = true,
                                          .is_dir = true,
                                          .events = events,
                                          .valid_ms = valid_ms });
}

void mfs_grant_flag(struct mfs_call *o, const struct mfs_node *n,
                    const struct mfs_filelease *lease, uint32_t *flags, uint32_t flag)
{
    struct mfs_lease_key key = key_of(&n->identity);
    add_grant(o, &(struct mfs_grant){ .key = key,
                                      .epoch = epoch_in_use(o, &key),
                                      .node = n->id,
                                      .lease = lease,
                                      .flags = flags,
                                      .flag = flag });
}

void mfs_grant_listed(struct mfs_call *o, const struct mfs_place *at,
                      const struct mfs_identity *what, uint64_t epoch,
                      const struct mfs_entry *e, size_t end)
{
    /* struct mfs_entry, coded: …, attributes that end in valid_ms and flags, valid_ms. */
    enum { NAME_VALID = 4, ATTR_VALID = 12 };
    if (!o->srv->leases.is_on)
        return;
    struct mfs_lease_key dir = key_of(&at->parent->identity);
    if (e->attr.valid_ms)
        add_grant(o, &(struct mfs_grant){ .key = key_of(what),
                                          .epoch = epoch,
                                          .node = e->node,
                                          .is_dir = S_ISDIR(e->attr.mode),
                                          .at = end - ATTR_VALID });
    if (e->valid_ms)
        add_grant(o, &(struct mfs_grant){ .key = dir,
                                          .epoch = epoch_in_use(o, &dir),
                                          .node = at->parent->id,
                                          .is_name = true,
                                          .is_dir = true,
                                          .events = at->events,
                                          .at = end - NAME_VALID });
}

void mfs_fetch_entries(struct mfs_call *o, const struct mfs_node *dir, const uint64_t *inos,
                       size_t count)
{
    if (!o->srv->leases.is_granting || !count)
        return;
    struct mfs_lease_key *keys = malloc(count * sizeof *keys);
    if (!keys)
        return;
    for (size_t i = 0; i < count; i++)
        keys[i] = (struct mfs_lease_key){ dir->identity.dev, inos[i] };
    mfs_member_fetch(&o->srv->leases.member, keys, count);
    free(keys);
}

static bool may_believe(struct mfs_server *srv, const struct mfs_grant *g)
{
    struct mfs_leases *l = &srv->leases;
    struct mfs_token *t = mfs_member_find(&l->member, &g->key);
    if (!t || !g->epoch || t->epoch != g->epoch || !mfs_belief_may_grant(srv, t))
        return false;
    if (g->is_dir)
        mfs_member_keep(&l->member, t);
    if (g->lease)
        return g->lease->is_set && note(l, t, g->node);
    bool is_so = g->is_name ? mfs_node_events_are(&srv->nodes, g->node, g->events)
                            : mfs_node_is_promised(&srv->nodes, g->node);
    return is_so && note(l, t, g->node);
}

/* Nobody else may look at it before a recall, either. */
static void grant_sole(struct mfs_leases *l, const struct mfs_grant *g)
{
    struct mfs_token *t = mfs_member_find(&l->member, &g->key);
    if (t && t->belief && t->held == MFS_LEASE_EXCLUSIVE) {
        ((struct mfs_belief *)t->belief)->is_sole = true;
        *g->sole_flags |= MFS_ATTR_SOLE;
    }
}

void mfs_leases_decide(struct mfs_call *o)
{
    struct mfs_leases *l = &o->srv->leases;
    if (!l->is_on)
        return;
    mfs_member_lock(&l->member);
    if (!l->is_granting) {
        for (size_t i = 0; i < o->grant_count && l->was_granting; i++)
            if (o->grants[i].flags)
                continue;
            else if (o->grants[i].valid_ms)
                *o->grants[i].valid_ms = 0;
            else
                memset(o->out->memory + MFS_PAYLOAD_AT + o->grants[i].at, 0, 4);
        return;
    }
    for (unsigned i = 0; i < o->use_count; i++)
        if (o->uses[i].use.token && o->uses[i].node &&
            !note(l, o->uses[i].use.token, o->uses[i].node))
            mfs_server_fail(o->srv, -ENOMEM, NULL);
    for (size_t i = 0; i < o->grant_count; i++) {
        const struct mfs_grant *g = &o->grants[i];
        uint32_t valid_ms = may_believe(o->srv, g) ? l->lease_ms : 0;
        if (g->flags) {
            *g->flags |= valid_ms ? g->flag : 0;
        } else if (g->valid_ms) {
            *g->valid_ms = valid_ms;
            if (valid_ms && g->sole_flags)
                grant_sole(l, g);
        } else {
            struct wr w = wr_of(o->out->memory + MFS_PAYLOAD_AT + g->at, 4);
            put_u32(&w, valid_ms);
        }
    }
    /* Before the answer: who has it knows. */
    for (unsigned i = 0; i < o->change_count; i++)
        if (o->changes[i].is_told)
            tell(o->srv, o->rq->head.id, o->changes[i].node_id, &o->changes[i].attr);
}

void mfs_leases_decided(struct mfs_call *o)
{
    if (o->srv->leases.is_on)
        mfs_member_unlock(&o->srv->leases.member);
}

/* ---- start and stop ---- */

int mfs_leases_start(struct mfs_server *srv, int broker_fd, int finder_fd, uint32_t lease_ms,
                     bool is_granting)
{
    struct mfs_leases *l = &srv->leases;
    *l = (struct mfs_leases){ .lease_ms = lease_ms ? lease_ms : MFS_LEASE_MS,
                              .is_granting = is_granting,
                              .was_granting = is_granting };
    list_init(&l->recalls);
    struct mfs_member_opts mo = { .fd = broker_fd,
                                  .has_finder = finder_fd >= 0,
                                  .finder_fd = finder_fd,
                                  .grace_ms = (int)l->lease_ms + MFS_LEASE_MARGIN_MS,
                                  .asked = on_asked,
                                  .drained = on_drained,
                                  .forget = on_forget,
                                  .broken = on_broken,
                                  .joined = on_joined,
                                  .tick = on_tick,
                                  .ctx = srv };
    int rc = mfs_member_start(&l->member, &mo);
    l->is_on = rc == 0;
    return rc == 0 && is_granting ? mfs_fileleases_start(srv) : rc;
}

void mfs_leases_hang_up(struct mfs_server *srv, bool is_dropping)
{
    struct mfs_leases *l = &srv->leases;
    if (!l->is_on)
        return;
    mfs_member_lock(&l->member);
    l->is_gone = true;
    expire(srv);
    mfs_member_unlock(&l->member);
    if (is_dropping)
        mfs_member_cancel(&l->member);
}

void mfs_leases_stop(struct mfs_server *srv)
{
    struct mfs_leases *l = &srv->leases;
    if (!l->is_on)
        return;
    l->is_on = false;
    mfs_fileleases_stop(srv);
    mfs_member_stop(&l->member);
}
