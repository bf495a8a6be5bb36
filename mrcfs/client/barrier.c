/* SPDX-License-Identifier: GPL-2.0-or-later */
/* barrier.c: what the end of a job waits for (all that it asked for is done at the server), and
 * what its beginning waits for (all that changed there before is known here): a job that shares
 * its file client with others.
 * Must not know: libfuse, jobs.
 * Threads: the loop's; the notifier's thread runs mark_in_effect.
 *
 * A barrier goes in rounds: the kernel's queue is taken, then the calls in flight are waited for.
 * Their answers may let requests go that waited for them (behind.h), or the kernel give more of
 * those that it sends without waiting, of which it has only some under way at a time; so it
 * ends with a round that finds nothing. Other jobs may always have something in flight:
 * after a few rounds that closed little, what is left is theirs. */
#include "mrcfs/client/client.h"
#include "mrcfs/client/join.h"
#include "mrcfs/client/notify.h"
#include "mrcfs/client/session.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    ROUNDS = 4,
    MANY_CLOSING = 24, /* fewer than the kernel has under way if more are to come (op_init) */
    CROWDED_LOOK_MS = 2,
};

static struct mfs_barrier *barrier_of(struct link *l)
{
    return LIST_ENTRY(l, struct mfs_barrier, link);
}

static bool is_closing(const struct mfs_call *call)
{
    return call->op == MFS_OP_release || call->op == MFS_OP_releasedir;
}

/* What is only a question ahead, or about leases, changes nothing. */
void mfs_barrier_enter(struct mfs_call *call)
{
    call->is_barred = !call->is_lock_wait &&
                      (!call->is_unwaited || call->is_behind || is_closing(call));
    call->client->barred_count += call->is_barred;
    call->client->closing_count += is_closing(call);
}

static void round_begin(void *ctx);

void mfs_barrier_leave(struct mfs_call *call)
{
    struct mfs_client *c = call->client;
    c->closing_count -= is_closing(call);
    if (!call->is_barred)
        return;
    c->barred_count--;
    LIST_EACH(&c->barriers, it, nx)
    {
        struct mfs_barrier *b = barrier_of(it);
        if (call->id <= b->last_id && b->left && --b->left == 0)
            loop_timer_set(c->loop, &b->timer, 0, round_begin, b); /* not within an answer */
    }
}

static void finish(void *ctx)
{
    struct mfs_barrier *b = ctx;
    mfs_barrier_drop(b);
    b->fn(b->ctx);
}

static bool drain_all(struct mfs_client *c)
{
    bool is_all = true;
    LIST_EACH(&c->sessions, it, nx)
    is_all = mfs_session_drain(mfs_session_of(it)) && is_all;
    mfs_client_flush(c);
    return is_all;
}

static void round_begin(void *ctx)
{
    struct mfs_barrier *b = ctx;
    struct mfs_client *c = b->client;
    if (!c->is_lost && !drain_all(c) && !c->is_lost) {
        loop_timer_set(c->loop, &b->timer, CROWDED_LOOK_MS, round_begin, b);
        return;
    }
    b->rounds += c->closing_count < MANY_CLOSING;
    if (c->is_lost || !c->barred_count || b->rounds > ROUNDS) {
        finish(b);
        return;
    }
    b->last_id = c->last_id;
    b->left = c->barred_count;
}

void mfs_barrier_start(struct mfs_barrier *b, struct mfs_client *c, void (*fn)(void *ctx),
                       void *ctx)
{
    *b = (struct mfs_barrier){ .client = c, .fn = fn, .ctx = ctx };
    mfs_deferred_end_all(c);
    mfs_join_flush(c);
    list_push_back(&c->barriers, &b->link);
    loop_timer_set(c->loop, &b->timer, 0, round_begin, b);
}

void mfs_barrier_drop(struct mfs_barrier *b)
{
    loop_timer_del(&b->timer);
    list_remove(&b->link);
}

void mfs_barrier_lost(struct mfs_client *c)
{
    LIST_EACH(&c->barriers, it, nx)
    loop_timer_set(c->loop, &barrier_of(it)->timer, 0, finish, barrier_of(it));
}

/* ---- marks ---- */

/* On the notifier's thread: the notices before it are in effect. */
static void mark_in_effect(const struct mfs_kernel_notice *n)
{
    struct mfs_client *c = n->target;
    uint64_t one = 1;
    atomic_store(&c->mark, n->node);
    ssize_t written = write(c->mark_fd, &one, sizeof one);
    (void)written; /* full: it is readable then */
}

void mfs_mark_take(struct mfs_client *c, uint64_t mark)
{
    struct mfs_kernel_notice n = { .fn = mark_in_effect, .target = c, .node = mark };
    if (c->mark_fd >= 0)
        mfs_notifier_add(c->notifier, &n, (struct bytes){ NULL, 0 });
}

static void on_mark_fd(void *ctx, uint32_t events UNUSED)
{
    struct mfs_client *c = ctx;
    uint64_t count;
    if (fd_read(c->mark_fd, &count, sizeof count) == sizeof count)
        c->opts.on_mark(c->opts.ctx, atomic_load(&c->mark));
}

int mfs_mark_start(struct mfs_client *c)
{
    if (!c->opts.on_mark)
        return 0;
    c->mark_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->mark_fd < 0)
        return -errno;
    return loop_fd_add(c->loop, &c->mark_watch, c->mark_fd, EPOLLIN, on_mark_fd, c);
}

void mfs_mark_stop(struct mfs_client *c)
{
    loop_fd_del(&c->mark_watch);
    fd_close(&c->mark_fd);
}
