/* SPDX-License-Identifier: GPL-2.0-or-later */
/* member.c: which tokens a server has, and which operations use them.
 * Must not know: clients, files.
 * A token that is granted is handed to the operations that wait for it before anything else is
 * read from the broker, so that one that is wanted by many is used at least once each time.
 * A token lives while it is held, asked for, used, waited for or pinned. */
#include "mrcfs/broker/member.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_SLOTS = 1024, IN_MESSAGES = 512, EVICT_TRIES = 64 };

struct waiter {
    struct link link; /* in the token's waiters */
    uint8_t mode;
    bool is_data;
    bool is_try;
    bool is_using; /* counts as a use when it is served */
    bool is_done;
    int rc;
};

static int64_t now_ms(void)
{
    return (int64_t)clock_mono_ms();
}

void mfs_member_lock(struct mfs_member *m)
{
    pthread_mutex_lock(&m->mu);
}

void mfs_member_unlock(struct mfs_member *m)
{
    pthread_mutex_unlock(&m->mu);
}

void mfs_member_wake(struct mfs_member *m)
{
    uint64_t one = 1;
    ssize_t n = write(m->wake, &one, sizeof one);
    (void)n; /* a full counter wakes as well */
}

/* ---- the table ---- */

static struct mfs_token **slot_of(const struct mfs_member *m, const struct mfs_lease_key *key)
{
    return &m->slots[mfs_lease_hash(key) & (m->slot_count - 1)];
}

struct mfs_token *mfs_member_find(const struct mfs_member *m, const struct mfs_lease_key *key)
{
    struct mfs_token *t = *slot_of(m, key);
    while (t && !mfs_lease_is_same(&t->key, key))
        t = t->next;
    return t;
}

static void grow(struct mfs_member *m)
{
    size_t old_count = m->slot_count;
    struct mfs_token **old = m->slots, **slots = calloc(2 * old_count, sizeof *slots);
    if (!slots)
        return; /* it just gets slower */
    m->slots = slots;
    m->slot_count = 2 * old_count;
    for (size_t i = 0; i < old_count; i++) {
        for (struct mfs_token *t = old[i], *next; t; t = next) {
            next = t->next;
            struct mfs_token **slot = slot_of(m, &t->key);
            t->next = *slot;
            *slot = t;
        }
    }
    free(old);
}

static void evict(struct mfs_member *m);

static struct mfs_token *find_or_add(struct mfs_member *m, const struct mfs_lease_key *key)
{
    struct mfs_token *t = mfs_member_find(m, key);
    if (t) {
        list_remove(&t->lru);
        list_push_back(&m->lru, &t->lru);
        return t;
    }
    if (m->count >= MFS_MEMBER_TOKENS_MAX)
        evict(m);
    if (m->count >= m->slot_count)
        grow(m);
    t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->key = *key;
    list_init(&t->waiters);
    struct mfs_token **slot = slot_of(m, key);
    t->next = *slot;
    *slot = t;
    list_push_back(&m->lru, &t->lru);
    m->count++;
    return t;
}

static void forget_if_idle(struct mfs_member *m, struct mfs_token *t)
{
    if (t->held || t->asking || t->uses || t->pins || t->is_revoked ||
        t->phase != MFS_TOKEN_KEPT || !list_is_empty(&t->waiters))
        return;
    struct mfs_token **at = slot_of(m, &t->key);
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    list_remove(&t->lru);
    m->count--;
    m->costly_count -= t->is_costly;
    m->o.forget(m->o.ctx, t);
    free(t);
}

void mfs_member_keep(struct mfs_member *m, struct mfs_token *t)
{
    m->costly_count += !t->is_costly;
    t->is_costly = true;
}

void mfs_member_unpin(struct mfs_member *m, struct mfs_token *t)
{
    t->pins--;
    forget_if_idle(m, t);
}

/* ---- to the broker ---- */

static void flush(struct mfs_member *m)
{
    while (!m->is_broken && m->out_first < m->out_end) {
        ssize_t n = send(m->o.fd, m->out + m->out_first, m->out_end - m->out_first,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            mfs_member_wake(m); /* the thread waits for room */
            return;
        }
        if (n < 0) {
            shutdown(m->o.fd, SHUT_RDWR); /* the thread finds out */
            return;
        }
        m->out_first += (size_t)n;
    }
    if (m->out_first == m->out_end)
        m->out_first = m->out_end = 0;
}

static bool make_room(struct mfs_member *m)
{
    if (m->out_size - m->out_end >= MFS_LEASE_MESSAGE_BYTES)
        return true;
    size_t size = m->out_size ? 2 * m->out_size : 4096;
    uint8_t *more = size <= MFS_MEMBER_OUT_MAX ? realloc(m->out, size) : NULL;
    if (!more)
        return false;
    m->out = more;
    m->out_size = size;
    return true;
}

static void say(struct mfs_member *m, uint8_t kind, uint8_t mode,
                const struct mfs_lease_key *key)
{
    if (m->is_broken)
        return;
    if (!make_room(m)) {
        shutdown(m->o.fd, SHUT_RDWR);
        return;
    }
    struct wr w = wr_of(m->out + m->out_end, MFS_LEASE_MESSAGE_BYTES);
    mfs_lease_message_put(&w, &(struct mfs_lease_message){ kind, mode, *key });
    m->out_end += wr_len(&w);
}

/* ---- deciding ---- */

/* May an operation start with what is held? */
static bool suffices(const struct mfs_token *t, uint8_t mode, bool is_data)
{
    switch (t->phase) {
    case MFS_TOKEN_KEPT: return t->held >= mode;
    case MFS_TOKEN_ASKED:
        return t->held >= mode || (is_data && t->held && t->asked_to == MFS_LEASE_NONE);
    default: return mode <= t->asked_to && t->held >= mode;
    }
}

static void count_use(struct mfs_member *m, struct mfs_token *t, uint8_t mode)
{
    m->uses++;
    t->uses++;
    t->uses_exclusive += mode == MFS_LEASE_EXCLUSIVE;
}

static void finish(struct mfs_member *m, struct waiter *w, int rc)
{
    list_remove(&w->link);
    w->rc = rc;
    w->is_done = true;
    pthread_cond_broadcast(&m->changed);
}

/* Starts whoever can start, and asks for what the others wait for. */
static void serve(struct mfs_member *m, struct mfs_token *t)
{
    uint8_t wanted = MFS_LEASE_NONE;
    bool is_try = true;
    LIST_EACH(&t->waiters, it, nx)
    {
        struct waiter *w = LIST_ENTRY(it, struct waiter, link);
        if (suffices(t, w->mode, w->is_data)) {
            if (w->is_using)
                count_use(m, t, w->mode);
            finish(m, w, 0);
        } else if (w->is_try && t->phase != MFS_TOKEN_KEPT) {
            finish(m, w, -EAGAIN);
        } else {
            wanted = w->mode > wanted ? w->mode : wanted;
            is_try = is_try && w->is_try;
        }
    }
    if (!wanted || t->asking || t->phase != MFS_TOKEN_KEPT || m->is_broken)
        return;
    LIST_EACH(&t->waiters, it, nx)
    {
        struct waiter *w = LIST_ENTRY(it, struct waiter, link);
        if (w->is_try && !is_try)
            finish(m, w, -EAGAIN); /* it would wait with the others */
    }
    t->asking = wanted;
    t->is_trying = is_try;
    m->asked_count++;
    say(m, is_try ? MFS_LEASE_TRY : MFS_LEASE_ACQUIRE, wanted, &t->key);
}

static bool is_drained(const struct mfs_token *t)
{
    return t->asked_to == MFS_LEASE_SHARED ? !t->uses_exclusive : !t->uses;
}

static void give(struct mfs_member *m, struct mfs_token *t)
{
    if (t->held > t->asked_to)
        t->held = t->asked_to;
    t->phase = MFS_TOKEN_KEPT;
    if (t->is_revoked)
        say(m, MFS_LEASE_GIVEN, t->held, &t->key);
    else
        say(m, MFS_LEASE_RELEASE, t->held, &t->key);
    t->is_revoked = false;
    serve(m, t);
    forget_if_idle(m, t);
}

static void drain(struct mfs_member *m, struct mfs_token *t)
{
    if (t->phase != MFS_TOKEN_CLOSED || !is_drained(t))
        return;
    enum mfs_drained what = m->o.drained(m->o.ctx, t);
    if (what == MFS_DRAINED_GIVE) {
        give(m, t);
        return;
    }
    if (what == MFS_DRAINED_OPEN) {
        t->phase = MFS_TOKEN_ASKED;
        serve(m, t);
    }
    m->o.asked(m->o.ctx, t);
}

void mfs_member_close(struct mfs_member *m, struct mfs_token *t)
{
    if (t->phase == MFS_TOKEN_KEPT)
        return;
    t->phase = MFS_TOKEN_CLOSED;
    drain(m, t);
    flush(m);
}

/* t is to be given back down to what. */
static void begin_giving(struct mfs_member *m, struct mfs_token *t, uint8_t to)
{
    if (t->phase != MFS_TOKEN_KEPT) {
        /* Already on its way down to nothing on our own. */
        t->asked_to = to < t->asked_to ? to : t->asked_to;
        return;
    }
    t->phase = MFS_TOKEN_ASKED;
    t->asked_to = to;
    serve(m, t);
    m->o.asked(m->o.ctx, t);
}

/* Gives back tokens that were not used for long. */
static void evict(struct mfs_member *m)
{
    int left = EVICT_TRIES;
    bool is_any = m->costly_count > MFS_MEMBER_TOKENS_MAX / 2;
    LIST_EACH(&m->lru, it, nx)
    {
        struct mfs_token *t = LIST_ENTRY(it, struct mfs_token, lru);
        if (!left--)
            return;
        list_remove(&t->lru);
        list_push_back(&m->lru, &t->lru);
        if ((is_any || !t->is_costly) && t->held && !t->asking && !t->uses &&
            t->phase == MFS_TOKEN_KEPT && list_is_empty(&t->waiters)) {
            begin_giving(m, t, MFS_LEASE_NONE);
            return; /* it may have gone, and the next one with it */
        }
    }
}

/* ---- from the broker ---- */

static void on_grant(struct mfs_member *m, struct mfs_token *t, uint8_t mode)
{
    if (!t->held)
        t->epoch = ++m->last_epoch;
    t->held = mode;
    t->asking = MFS_LEASE_NONE;
    serve(m, t);
}

static void on_refuse(struct mfs_member *m, struct mfs_token *t)
{
    t->asking = MFS_LEASE_NONE;
    LIST_EACH(&t->waiters, it, nx)
    {
        struct waiter *w = LIST_ENTRY(it, struct waiter, link);
        if (w->is_try)
            finish(m, w, -EAGAIN);
    }
    serve(m, t);
    forget_if_idle(m, t);
}

static void on_revoke(struct mfs_member *m, struct mfs_token *t, uint8_t to)
{
    t->is_revoked = true;
    if (t->held <= to && t->phase == MFS_TOKEN_KEPT) {
        t->asked_to = to;
        give(m, t);
        return;
    }
    begin_giving(m, t, to);
}

static void take(struct mfs_member *m, const struct mfs_lease_message *msg)
{
    struct mfs_token *t = mfs_member_find(m, &msg->key);
    if (!t) {
        /* Released meanwhile: what it is asked for is not there any more. */
        if (msg->kind == MFS_LEASE_REVOKE)
            say(m, MFS_LEASE_GIVEN, MFS_LEASE_NONE, &msg->key);
        return;
    }
    if (msg->kind == MFS_LEASE_GRANT)
        on_grant(m, t, msg->mode);
    else if (msg->kind == MFS_LEASE_REFUSE)
        on_refuse(m, t);
    else if (msg->kind == MFS_LEASE_REVOKE)
        on_revoke(m, t, msg->mode);
}

/* The broker is gone: nobody holds anything. mu held. */
static void break_off(struct mfs_member *m)
{
    if (m->is_broken)
        return;
    m->is_broken = true;
    m->broken_ms = now_ms();
    m->find_ms = m->broken_ms + m->o.grace_ms;
    m->o.broken(m->o.ctx);
    for (size_t i = 0; i < m->slot_count; i++) {
        for (struct mfs_token *t = m->slots[i], *next; t; t = next) {
            next = t->next;
            t->held = t->asking = MFS_LEASE_NONE;
            t->phase = MFS_TOKEN_KEPT;
            t->is_revoked = false;
            LIST_EACH(&t->waiters, it, nx)
            finish(m, LIST_ENTRY(it, struct waiter, link), -ENOTCONN);
            forget_if_idle(m, t);
        }
    }
    pthread_cond_broadcast(&m->changed);
}

/* ---- another broker ---- */

static bool has_finder(const struct mfs_member *m)
{
    return m->o.has_finder && m->o.finder_fd >= 0;
}

static void set_shut(struct mfs_member *m, bool is_shut, int ms)
{
    m->is_shut = is_shut;
    m->find_ms = now_ms() + ms;
    if (!is_shut)
        pthread_cond_broadcast(&m->changed);
}

/* A member that has nothing: what others believe by the old broker is over, and nothing of ours
 * is in progress that they could not be told of. */
static void join(struct mfs_member *m)
{
    fd_close(&m->o.fd);
    m->o.fd = take_fd(&m->found_fd);
    m->out_first = m->out_end = 0;
    m->finding = MFS_FIND_LATER;
    m->is_broken = m->is_shut = false;
    m->o.joined(m->o.ctx);
    pthread_cond_broadcast(&m->changed);
}

static void on_found(struct mfs_member *m)
{
    int fd = -1;
    int rc = fd_receive(m->o.finder_fd, &fd);
    if (rc == 0 && m->is_broken) {
        m->found_fd = fd;
        m->finding = MFS_FIND_FOUND;
        set_shut(m, true, MFS_MEMBER_SHUT_MS);
        return;
    }
    fd_close(&fd);
    m->finding = MFS_FIND_LATER;
    set_shut(m, false, MFS_MEMBER_RETRY_MS);
    char byte;
    if (rc < 0 && recv(m->o.finder_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        fd_close(&m->o.finder_fd); /* it has ended */
}

/* mu held. Returns when it is to be called again at the latest, in ms; -1: not. */
static int look_for_broker(struct mfs_member *m)
{
    if (!m->is_broken || !has_finder(m))
        return -1;
    int64_t now = now_ms();
    if (m->finding == MFS_FIND_FOUND && !m->uses) {
        join(m);
        return -1;
    }
    if (now >= m->find_ms) {
        if (m->finding == MFS_FIND_LATER) {
            if (send(m->o.finder_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1) {
                fd_close(&m->o.finder_fd);
                set_shut(m, false, 0);
                return -1;
            }
            m->finding = MFS_FIND_ASKED;
            set_shut(m, true, MFS_MEMBER_SHUT_MS);
        } else if (m->finding == MFS_FIND_FOUND && !m->is_shut) {
            set_shut(m, true, MFS_MEMBER_SHUT_MS);
        } else {
            set_shut(m, false, MFS_MEMBER_RETRY_MS);
        }
    }
    int64_t left = m->find_ms - now_ms();
    return left > 0 ? (int)left : 0;
}

/* The sooner of two times for poll; -1 is never. */
static int sooner(int a_ms, int b_ms)
{
    return a_ms < 0 ? b_ms : b_ms < 0 || a_ms < b_ms ? a_ms : b_ms;
}

static void *run(void *arg)
{
    struct mfs_member *m = arg;
    uint8_t in[IN_MESSAGES * MFS_LEASE_MESSAGE_BYTES];
    size_t len = 0;
    pthread_mutex_lock(&m->mu);
    while (!m->is_stopping) {
        int wait = sooner(look_for_broker(m), m->o.tick(m->o.ctx));
        struct pollfd pf[3] = {
            { .fd = m->wake, .events = POLLIN },
            { .fd = m->is_broken ? -1 : m->o.fd,
              .events = POLLIN | (m->out_end ? POLLOUT : 0) },
            { .fd = m->finding == MFS_FIND_ASKED ? m->o.finder_fd : -1, .events = POLLIN },
        };
        pthread_mutex_unlock(&m->mu);
        int n = poll(pf, 3, wait);
        uint64_t count;
        ssize_t got = n > 0 && pf[0].revents ? read(m->wake, &count, sizeof count) : 0;
        got = 0;
        if (n > 0 && pf[1].revents & (POLLIN | POLLHUP | POLLERR)) {
            got = recv(m->o.fd, in + len, sizeof in - len, MSG_DONTWAIT);
            if (got < 0 && (errno == EAGAIN || errno == EINTR))
                got = 0;
            else if (got <= 0)
                got = -1;
        }
        pthread_mutex_lock(&m->mu);
        if (got < 0) {
            break_off(m);
            len = 0;
        }
        if (n > 0 && pf[2].revents)
            on_found(m);
        len += got > 0 ? (size_t)got : 0;
        size_t used = 0;
        for (; !m->is_broken && len - used >= MFS_LEASE_MESSAGE_BYTES;
             used += MFS_LEASE_MESSAGE_BYTES) {
            struct rd r = rd_of(in + used, MFS_LEASE_MESSAGE_BYTES);
            struct mfs_lease_message msg;
            if (mfs_lease_message_get(&r, &msg) < 0)
                break_off(m);
            else
                take(m, &msg);
        }
        used = m->is_broken ? len : used;
        memmove(in, in + used, len - used);
        len -= used;
        flush(m);
    }
    pthread_mutex_unlock(&m->mu);
    return NULL;
}

/* ---- operations ---- */

/* mu held. Returns false when it is not served in time. */
static bool wait_for(struct mfs_member *m, struct waiter *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += MFS_MEMBER_WAIT_MS / 1000;
    int rc = 0;
    while (!w->is_done && !m->is_stopping && rc == 0)
        rc = pthread_cond_timedwait(&m->changed, &m->mu, &until);
    return w->is_done;
}

/* Until a time of clock_mono_ms or a change. Our clock goes on while the computer sleeps, the
 * condition's does not. */
static void wait_until(struct mfs_member *m, int64_t end_ms)
{
    struct timespec until;
    int64_t left_ms = end_ms - now_ms();
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + (left_ms > 0 ? left_ms % 1000 * 1000000 : 0);
    until.tv_sec += (left_ms > 0 ? left_ms / 1000 : 0) + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&m->changed, &m->mu, &until);
}

/* Another broker is looked for, or is about to be. */
static bool is_shut(const struct mfs_member *m)
{
    return m->is_shut ||
           (has_finder(m) && m->finding == MFS_FIND_LATER && now_ms() >= m->find_ms);
}

/* Without a broker others may still believe what they knew: changes wait until that is over, and
 * then, as whatever begins then, for another broker. mu held. Returns 0: it is used without;
 * -ERESTART there is one again; -EAGAIN; -ECANCELED. */
static int use_without(struct mfs_member *m, struct mfs_use *u, bool is_waiting)
{
    u->token = NULL;
    while (m->is_broken && !m->is_stopping) {
        int64_t end = m->broken_ms + m->o.grace_ms;
        bool is_early = u->mode == MFS_LEASE_EXCLUSIVE && now_ms() < end;
        bool is_held_up = is_waiting && !u->is_further && is_shut(m);
        if (is_early && !is_waiting)
            return -EAGAIN;
        if (!is_early && !is_held_up) {
            u->is_bare = true;
            m->uses++;
            return 0;
        }
        wait_until(m, is_early ? end : now_ms() + MFS_MEMBER_SHUT_MS);
    }
    return m->is_stopping ? -ECANCELED : -ERESTART;
}

/* Returns as mfs_member_use; -ENOTCONN: the broker has gone. */
static int use_token(struct mfs_member *m, struct mfs_use *u, bool is_try)
{
    struct waiter w = {
        .mode = u->mode, .is_data = u->is_data, .is_try = is_try, .is_using = true
    };
    struct mfs_token *t = find_or_add(m, &u->key);
    if (!t)
        return -ENOMEM;
    u->token = t;
    if (suffices(t, u->mode, u->is_data)) {
        count_use(m, t, u->mode);
        return 0;
    }
    if (m->is_stopping)
        return -ECANCELED;
    if (is_try && (t->phase != MFS_TOKEN_KEPT || (t->asking && !t->is_trying)))
        return -EAGAIN;
    list_push_back(&t->waiters, &w.link);
    serve(m, t);
    flush(m);
    if (!wait_for(m, &w)) {
        list_remove(&w.link);
        if (m->is_stopping)
            return -ECANCELED;
        shutdown(m->o.fd, SHUT_RDWR); /* it answers nobody */
        break_off(m);
        return -ENOTCONN;
    }
    return w.rc;
}

static int use(struct mfs_member *m, struct mfs_use *u, bool is_try)
{
    int rc;
    do {
        rc = m->is_broken ? -ENOTCONN : use_token(m, u, is_try);
        if (rc == -ENOTCONN)
            rc = use_without(m, u, !is_try);
    } while (rc == -ERESTART);
    return rc;
}

int mfs_member_use(struct mfs_member *m, struct mfs_use *u)
{
    pthread_mutex_lock(&m->mu);
    int rc = use(m, u, false);
    pthread_mutex_unlock(&m->mu);
    return rc;
}

int mfs_member_try(struct mfs_member *m, struct mfs_use *u)
{
    pthread_mutex_lock(&m->mu);
    int rc = use(m, u, true);
    pthread_mutex_unlock(&m->mu);
    return rc;
}

bool mfs_member_has(struct mfs_member *m, struct mfs_use *u)
{
    pthread_mutex_lock(&m->mu);
    struct mfs_token *t = m->is_broken ? NULL : mfs_member_find(m, &u->key);
    bool has = t && suffices(t, u->mode, u->is_data);
    if (has) {
        u->token = t;
        count_use(m, t, u->mode);
        list_remove(&t->lru);
        list_push_back(&m->lru, &t->lru);
    }
    pthread_mutex_unlock(&m->mu);
    return has;
}

void mfs_member_put(struct mfs_member *m, struct mfs_use *u)
{
    struct mfs_token *t = u->token;
    if (!t && !u->is_bare)
        return;
    u->token = NULL;
    pthread_mutex_lock(&m->mu);
    if (--m->uses == 0 && m->finding == MFS_FIND_FOUND)
        mfs_member_wake(m);
    if (!t) {
        u->is_bare = false;
        pthread_mutex_unlock(&m->mu);
        return;
    }
    t->uses--;
    t->uses_exclusive -= u->mode == MFS_LEASE_EXCLUSIVE;
    bool is_closed = t->phase == MFS_TOKEN_CLOSED;
    drain(m, t);
    if (is_closed)
        flush(m);
    else
        forget_if_idle(m, t);
    pthread_mutex_unlock(&m->mu);
}

void mfs_member_fetch(struct mfs_member *m, const struct mfs_lease_key *keys, size_t count)
{
    struct waiter *all = calloc(count ? count : 1, sizeof *all);
    if (!all)
        return;
    pthread_mutex_lock(&m->mu);
    size_t waiting = 0;
    for (size_t i = 0; i < count && !m->is_broken; i++) {
        struct mfs_token *t = find_or_add(m, &keys[i]);
        if (!t || t->held || t->asking || t->phase != MFS_TOKEN_KEPT)
            continue;
        struct waiter *w = &all[waiting++];
        w->mode = MFS_LEASE_SHARED;
        w->is_try = true;
        list_push_back(&t->waiters, &w->link);
        serve(m, t);
    }
    flush(m);
    for (size_t i = 0; i < waiting; i++)
        if (!wait_for(m, &all[i]))
            list_remove(&all[i].link);
    pthread_mutex_unlock(&m->mu);
    free(all);
}

/* ---- start and stop ---- */

int mfs_member_start(struct mfs_member *m, const struct mfs_member_opts *o)
{
    *m = (struct mfs_member){ .o = *o,
                              .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                              .found_fd = -1 };
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&m->mu, NULL);
    pthread_cond_init(&m->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    list_init(&m->lru);
    m->slot_count = FIRST_SLOTS;
    m->slots = calloc(FIRST_SLOTS, sizeof *m->slots);
    int rc = m->wake < 0 || !m->slots ? -ENOMEM : -pthread_create(&m->thread, NULL, run, m);
    m->has_thread = rc == 0;
    if (rc < 0)
        mfs_member_stop(m);
    return rc;
}

void mfs_member_cancel(struct mfs_member *m)
{
    pthread_mutex_lock(&m->mu);
    m->is_stopping = true;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->mu);
    mfs_member_wake(m);
}

void mfs_member_stop(struct mfs_member *m)
{
    mfs_member_cancel(m);
    if (m->has_thread)
        pthread_join(m->thread, NULL);
    m->has_thread = false;
    for (size_t i = 0; m->slots && i < m->slot_count; i++) {
        for (struct mfs_token *t = m->slots[i], *next; t; t = next) {
            next = t->next;
            m->o.forget(m->o.ctx, t);
            free(t);
        }
    }
    free(m->slots);
    m->slots = NULL;
    free(m->out);
    fd_close(&m->wake);
    fd_close(&m->o.fd);
    fd_close(&m->found_fd);
    if (m->o.has_finder)
        fd_close(&m->o.finder_fd);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->mu);
}
