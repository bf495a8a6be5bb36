/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lease.c: the client's side of leases: the time that they are good for, what is known under
 * them, recalls. Must not know: libfuse. Threads: the loop's, but for mfs_lease_answer. */
#include "mrcfs/client/lease.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/coherence.h"
#include "mrcfs/client/join.h"
#include "mrcfs/client/locks.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/own.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Renewals in a lease's time. */
enum { RENEWALS = 3, RETRY_MS = 1000 };

/* Every file system takes names of this length, which the server may be asked about in vain. */
enum { NAME_SURE = 143 };

bool mfs_lease_is_on(const struct mfs_client *c)
{
    return c->features & MFS_FEATURE_LEASES && c->opts.consistency == MFS_LEASE;
}

bool mfs_lease_or_loose(const struct mfs_client *c)
{
    return c->opts.consistency == MFS_LOOSE || mfs_lease_is_on(c);
}

bool mfs_lease_is_alive(const struct mfs_client *c)
{
    return c->lease.until_ms && clock_mono_ms() < c->lease.until_ms;
}

uint32_t mfs_lease_kernel_ms(struct mfs_client *c, struct mfs_known *n, bool is_granted)
{
    uint64_t now = clock_mono_ms();
    if (!n || !is_granted || c->lease.until_ms <= now)
        return 0;
    n->kernel_until_ms = c->lease.until_ms;
    return (uint32_t)(c->lease.until_ms - now);
}

/* ---- time ---- */

enum { NS_PER_S = 1000000000 };

/* An answer that took long says less. A clock that was set says more. */
static void learn_clock(struct mfs_lease *l, const struct mfs_renew_rep *m)
{
    if (m->now_sec > INT64_MAX / NS_PER_S - 1 || m->now_nsec >= NS_PER_S)
        return;
    int64_t now_ns = (int64_t)m->now_sec * NS_PER_S + m->now_nsec;
    int64_t ahead_ns = now_ns - (int64_t)clock_mono_us() * 1000;
    bool is_set = l->has_clock && ahead_ns < l->clock_ahead_ns - NS_PER_S;
    if (!l->has_clock || is_set || ahead_ns > l->clock_ahead_ns)
        l->clock_ahead_ns = ahead_ns;
    if (is_set)
        l->clock_last_ns = 0;
    l->has_clock = true;
}

void mfs_lease_now(struct mfs_client *c, int64_t *sec, uint32_t *nsec)
{
    struct mfs_lease *l = &c->lease;
    int64_t ns = (int64_t)clock_mono_us() * 1000 + l->clock_ahead_ns;
    if (!l->has_clock) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        ns = (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
    }
    if (ns < l->clock_last_ns)
        ns = l->clock_last_ns;
    l->clock_last_ns = ns;
    *sec = ns / NS_PER_S;
    *nsec = (uint32_t)(ns % NS_PER_S);
}

static void send_recalled(struct mfs_client *c, uint64_t serial);

static void renew(void *ctx);

static int on_renewed(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_client *c = call->client;
    struct mfs_lease *l = &c->lease;
    struct mfs_renew_rep m = { 0 };
    if (rc == 0 && mfs_renew_rep_get(body, &m) < 0)
        return -EPROTO;
    l->is_renewing = false;
    if (rc < 0 || !m.lease_ms || c->is_lost)
        return 0;
    learn_clock(l, &m);
    l->lease_ms = m.lease_ms;
    l->until_ms = l->renewed_ms + m.lease_ms;
    loop_timer_set(c->loop, &l->timer, m.lease_ms / RENEWALS, renew, c);
    return 0;
}

/* Sends the next renewal, or finds that the last one was not answered in time. */
static void renew(void *ctx)
{
    struct mfs_client *c = ctx;
    struct mfs_lease *l = &c->lease;
    uint64_t now = clock_mono_ms();
    if (l->until_ms && now >= l->until_ms)
        mfs_lease_expire(c);
    uint32_t next_ms = RETRY_MS;
    if (l->until_ms > now && l->until_ms - now < next_ms)
        next_ms = (uint32_t)(l->until_ms - now);
    if (!c->is_lost)
        loop_timer_set(c->loop, &l->timer, next_ms, renew, c);
    if (l->is_renewing || c->is_lost || c->is_away)
        return;
    struct mfs_call *call = mfs_call_new(c, on_renewed);
    struct mfs_caller who = { c->opts.own_uid, c->opts.own_gid, 0 };
    if (!call)
        return;
    l->renewed_ms = now;
    l->is_renewing = mfs_send_renew(call, &who, &(struct mfs_renew_req){ 0 }, 0) == 0;
    if (!l->is_renewing)
        mfs_call_drop(call);
    mfs_client_flush(c);
}

static void take_dropped(struct mfs_client *c)
{
    uint64_t serials[64];
    ssize_t n = fd_read(c->recalled[0], serials, sizeof serials);
    for (ssize_t i = 0; i < n / (ssize_t)sizeof *serials; i++)
        send_recalled(c, serials[i]);
}

static void on_dropped(void *ctx, uint32_t events)
{
    struct mfs_client *c = ctx;
    (void)events;
    take_dropped(c);
    mfs_client_flush(c);
}

void mfs_lease_start(struct mfs_client *c)
{
    if (!mfs_lease_is_on(c))
        return;
    if (pipe2(c->recalled, O_CLOEXEC) < 0 || fd_set_nonblock(c->recalled[0], true) < 0 ||
        fd_set_nonblock(c->recalled[1], true) < 0 ||
        loop_fd_add(c->loop, &c->recalled_watch, c->recalled[0], EPOLLIN, on_dropped, c) < 0)
        c->features &= ~(uint32_t)MFS_FEATURE_LEASES; /* without: asked for each time */
    else
        renew(c);
}

void mfs_lease_again(struct mfs_client *c)
{
    if (mfs_lease_is_on(c))
        renew(c);
}

void mfs_lease_stop(struct mfs_client *c)
{
    loop_timer_del(&c->lease.timer);
    loop_fd_del(&c->recalled_watch);
    fd_close(&c->recalled[0]);
    fd_close(&c->recalled[1]);
    c->lease.until_ms = 0;
}

/* ---- what is known ---- */

const struct mfs_attr *mfs_lease_attr(const struct mfs_session *s, const struct mfs_known *n)
{
    if (!n || !n->has_attr || n->own_pending || n->behind || !mfs_lease_is_alive(s->client))
        return NULL;
    /* Whoever reads an open file looks at its size and times first: a program at the server
     * that writes it would be seen late. */
    if (n->opens && !n->is_held && !n->is_alone)
        return NULL;
    return &n->attr;
}

int mfs_lease_name(struct mfs_session *s, struct mfs_known *dir, struct bytes name,
                   struct mfs_known **out)
{
    if (!dir || dir->own_pending || !mfs_lease_is_alive(s->client))
        return -EAGAIN;
    const struct mfs_dentry *d = mfs_dentry_find(&s->names, dir, name);
    mfs_dentries_touch(&s->names, dir);
    if (!d)
        return dir->is_complete && name.len <= NAME_SURE
                   ? 0
                   : -EAGAIN; /* longer ones are ENAMETOOLONG somewhere */
    if (!d->node)
        return 0;
    *out = d->node;
    bool is_assumed = d->node->is_assumed && !d->node->own_pending;
    return is_assumed || mfs_lease_attr(s, d->node) ? 1 : -EAGAIN;
}

void mfs_lease_count_change(struct mfs_session *s, struct mfs_known *n)
{
    n->own_changes++;
    n->changed_at = ++s->change_count;
}

void mfs_lease_count_open(const struct mfs_call *call, struct mfs_known *n)
{
    n->changed_at = ++call->session->change_count;
    n->opened_by = call->id;
}

bool mfs_lease_is_newest(const struct mfs_call *call, const struct mfs_known *n)
{
    return n->changed_at <= call->asked_at;
}

void mfs_lease_count_new_change(struct mfs_session *s, struct mfs_known *n)
{
    mfs_lease_count_change(s, n);
    n->has_shown_ctime = false;
}

void mfs_lease_ask(struct mfs_call *call, uint64_t node)
{
    const struct mfs_known *n = mfs_known_find(&call->session->nodes, node);
    unsigned own = 0; /* what the call itself changes is in its answer */
    for (unsigned i = 0; i < call->changed_count; i++)
        own += call->changed[i].node == node;
    call->asked = node;
    call->asked_at = call->session->change_count;
    call->is_asked_clean = n && n->own_pending == own;
    call->asked_changes = n ? n->own_changes + own : 0;
}

bool mfs_lease_is_clean(const struct mfs_call *call)
{
    const struct mfs_known *n = mfs_known_find(&call->session->nodes, call->asked);
    return n && call->is_asked_clean && !n->own_pending &&
           n->own_changes == call->asked_changes && mfs_lease_is_on(call->client);
}

void mfs_lease_learn_attr(struct mfs_call *call, struct mfs_known *n, const struct mfs_attr *a)
{
    if (!a->valid_ms || n->own_pending || n->behind || !mfs_lease_is_on(call->client))
        return;
    n->attr = *a;
    n->has_attr = true;
    n->is_assumed = false;
    mfs_own_learn(n, a);
    /* Lists don't say; what was said before ends by a recall. */
    bool is_listed = call->op == MFS_OP_list || call->op == MFS_OP_readdir;
    n->is_sole = a->flags & MFS_ATTR_SOLE || (is_listed && n->is_sole);
}

void mfs_lease_learn_name(struct mfs_call *call, struct bytes name, const struct mfs_entry *e)
{
    struct mfs_session *s = call->session;
    struct mfs_known *dir = mfs_known_find(&s->nodes, call->asked);
    bool is_clean = mfs_lease_is_clean(call);
    struct mfs_known *n = e->node ? mfs_known_find(&s->nodes, e->node) : NULL;
    if (is_clean && n && (call->op != MFS_OP_lookup || mfs_lease_is_newest(call, n)))
        mfs_lease_learn_attr(call, n, &e->attr);
    if (is_clean && e->valid_ms && (n || !e->node))
        mfs_dentry_set(&s->names, dir, name, n);
    else if (dir) /* what was known of it, that it is absent perhaps, is not true any more */
        mfs_dentry_drop(&s->names, dir, name);
}

/* ---- changes by us ---- */

static void change(struct mfs_call *call, uint64_t node, bool is_told)
{
    mfs_join_flush(call->client); /* it has the next number */
    struct mfs_known *n = mfs_known_find(&call->session->nodes, node);
    if (!n || call->changed_count == MFS_CHANGED_MAX || !mfs_lease_is_on(call->client))
        return;
    n->own_pending++;
    n->changed_by = call->client->last_id + 1; /* it is sent next */
    mfs_lease_count_new_change(call->session, n);
    call->changed[call->changed_count].node = node;
    call->changed[call->changed_count].is_told = is_told;
    call->changed[call->changed_count++].told = n->told_count;
}

void mfs_lease_change(struct mfs_call *call, uint64_t node)
{
    change(call, node, true);
}

void mfs_lease_write(struct mfs_call *call, uint64_t node)
{
    change(call, node, false);
}

void mfs_lease_changed(struct mfs_call *call)
{
    struct mfs_session *s = call->session;
    for (unsigned i = 0; i < call->changed_count; i++) {
        struct mfs_known *n = mfs_known_find(&s->nodes, call->changed[i].node);
        if (!n || !n->own_pending)
            continue;
        n->own_pending--;
        mfs_lease_count_change(s, n);
        if (!call->changed[i].is_told || n->told_count == call->changed[i].told)
            n->has_attr = n->is_assumed = false;
        if (!call->changed[i]
                 .is_told) { /* who may open it, or search it, may be somebody else now */
            mfs_handle_drop(s, n);
            mfs_dentries_drop(&s->names, n);
        }
    }
    call->changed_count = 0;
}

/* ---- the end of leases ---- */

void mfs_lease_drop(struct mfs_session *s, struct mfs_known *n)
{
    mfs_scan_lost(s, n);
    n->has_attr = n->is_assumed = n->is_sole = n->is_claimed = false;
    mfs_lease_count_change(s, n);
    n->has_shown_ctime = n->has_shown_ctime && n->has_real_ctime; /* what is shown for a time of the server's, is for that one only */
    n->was_scanned = false;
    mfs_handle_recall(s, n, 0); /* what the kernel believes is dropped next */
    mfs_dentries_drop(&s->names, n);
}

static void recall(struct mfs_session *s, uint64_t node, uint64_t serial)
{
    struct mfs_known *n = s->is_detached ? NULL : mfs_known_find(&s->nodes, node);
    if (!n) {
        if (serial)
            send_recalled(s->client, serial);
        return;
    }
    mfs_session_open_later(s, n);
    if (mfs_deferred_recall(s, n, serial))
        return; /* when it is closed there */
    if (mfs_behind_recall(s, n, serial))
        return; /* when what is on the way has been made */
    n->names++; /* it stays while its names go */
    if (!mfs_locks_recall(s, n, serial)) {
        mfs_handle_recall(s, n, serial);
        mfs_lease_drop(s, n);
        mfs_session_drop_cached(s, n, serial);
    }
    n->names--;
    mfs_known_drop_unused(&s->nodes, n);
}

void mfs_lease_expire(struct mfs_client *c)
{
    c->lease.until_ms = 0;
    LIST_EACH(&c->sessions, it, nx)
    {
        struct mfs_session *s = mfs_session_of(it);
        s->expiries++;
        for (size_t i = 0; !s->is_detached && i < s->nodes.bucket_count; i++) {
            /* Dropping may free others: it begins anew after each that had something. */
            struct link *bucket = &s->nodes.buckets[i];
            for (struct link *at = bucket->next; at != bucket;) {
                struct mfs_known *n = LIST_ENTRY(at, struct mfs_known, link);
                if (n->expired_at == s->expiries) {
                    at = at->next;
                    continue;
                }
                n->expired_at = s->expiries;
                recall(s, n->number, 0);
                at = bucket->next;
            }
        }
    }
}

/* ---- notices ---- */

static int on_recalled(struct mfs_call *call, int rc, struct rd *body)
{
    (void)rc; /* nobody waits for it */
    (void)body;
    call->client->lease.recalls--;
    return 0;
}

static void send_recalled(struct mfs_client *c, uint64_t serial)
{
    struct mfs_caller who = { c->opts.own_uid, c->opts.own_gid, 0 };
    struct mfs_call *call = mfs_call_new(c, on_recalled);
    if (call && mfs_send_recalled(call, &who, &(struct mfs_recalled_req){ serial }, 0) < 0)
        mfs_call_drop(call);
    else if (call)
        c->lease.recalls++;
    LIST_EACH(&c->sessions, it, nx)
    mfs_handle_recalled(mfs_session_of(it), serial);
}

/* False: the pipe is full. */
static bool put_dropped(struct mfs_client *c, uint64_t serial)
{
    return write(c->recalled[1], &serial, sizeof serial) >= 0 || errno != EAGAIN;
}

void mfs_lease_answer(struct mfs_client *c, uint64_t serial)
{
    struct pollfd p = { .fd = c->recalled[1], .events = POLLOUT };
    while (c->recalled[1] >= 0 && !put_dropped(c, serial))
        (void)!poll(&p, 1, -1); /* it is read until this thread has ended */
}

/* Nobody else would read it meanwhile: one batch of recalls may be more than a pipe holds. */
void mfs_lease_answer_here(struct mfs_client *c, uint64_t serial)
{
    while (c->recalled[1] >= 0 && !put_dropped(c, serial))
        take_dropped(c);
}

void mfs_lease_recall(struct mfs_client *c, const struct mfs_recall_notice *n)
{
    bool is_known = false;
    LIST_EACH(&c->sessions, it, nx)
    {
        struct mfs_session *s = mfs_session_of(it);
        if (s->is_detached || !mfs_known_find(&s->nodes, n->node))
            continue;
        is_known = true; /* a node belongs to one export */
        recall(s, n->node, n->serial);
        break;
    }
    if (!is_known)
        send_recalled(c, n->serial);
}

void mfs_lease_told(struct mfs_client *c, uint64_t request, const struct mfs_told_notice *n)
{
    LIST_EACH(&c->sessions, it, nx)
    {
        struct mfs_session *s = mfs_session_of(it);
        struct mfs_known *known = s->is_detached ? NULL : mfs_known_find(&s->nodes, n->node);
        if (!known || !mfs_lease_is_on(c) || !n->attr.valid_ms)
            continue;
        if (request < known->changed_by || request < known->opened_by)
            continue; /* it may have been looked at before that change, or that open */
        mfs_coherence_hear(s, known, NULL, &n->attr);
        known->attr = n->attr;
        known->has_attr = true;
        known->is_assumed = false;
        mfs_own_learn(known, &n->attr);
        known->is_sole = n->attr.flags & MFS_ATTR_SOLE;
        known->told_count++;
    }
}
