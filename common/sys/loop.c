/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loop.c: epoll, timers and a wake-up descriptor.
 * Must not know: what the descriptors carry.
 * Invariant: an event of a watch that was deleted in the same turn is not delivered. */
#include "common/sys/loop.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BATCH = 64 };

struct loop {
    int epfd;
    int wakefd;
    bool is_stopped;
    int rc;
    struct link timers; /* sorted by at_ms */
    struct link ready;  /* watches that epoll can't hold */
    loop_timer_fn idle_fn;
    void *idle_ctx;
    struct epoll_event batch[BATCH];
    int batch_len;
};

int loop_new(struct loop **out)
{
    struct loop *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    list_init(&l->timers);
    list_init(&l->ready);
    l->epfd = epoll_create1(EPOLL_CLOEXEC);
    l->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
    if (l->epfd < 0 || l->wakefd < 0 || epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->wakefd, &ev) < 0) {
        int rc = -errno;
        loop_free(l);
        return rc;
    }
    *out = l;
    return 0;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    fd_close(&l->epfd);
    fd_close(&l->wakefd);
    free(l);
}

static void run_timers(struct loop *l)
{
    uint64_t now = clock_mono_ms();
    while (!list_is_empty(&l->timers)) {
        struct loop_timer *t = LIST_ENTRY(l->timers.next, struct loop_timer, link);
        if (t->at_ms > now)
            return;
        list_remove(&t->link);
        t->fn(t->ctx);
    }
}

static int wait_ms(struct loop *l, int timeout_ms)
{
    for (struct link *it = l->ready.next; it != &l->ready; it = it->next)
        if (LIST_ENTRY(it, struct loop_fd, link)->events)
            return 0;
    if (list_is_empty(&l->timers))
        return timeout_ms;
    uint64_t now = clock_mono_ms();
    uint64_t at = LIST_ENTRY(l->timers.next, struct loop_timer, link)->at_ms;
    uint64_t left = at > now ? at - now : 0;
    if (timeout_ms >= 0 && (uint64_t)timeout_ms < left)
        return timeout_ms;
    return left > 60000 ? 60000 : (int)left;
}

static void run_ready(struct loop *l)
{
    LIST_EACH(&l->ready, it, nx)
    {
        struct loop_fd *w = LIST_ENTRY(it, struct loop_fd, link);
        if (w->events)
            w->fn(w->ctx, w->events & (EPOLLIN | EPOLLOUT));
    }
}

int loop_turn(struct loop *l, int timeout_ms)
{
    if (l->idle_fn)
        l->idle_fn(l->idle_ctx); /* what was done since the last turn, or before the first */
    int n = epoll_wait(l->epfd, l->batch, BATCH, wait_ms(l, timeout_ms));
    if (n < 0 && errno != EINTR)
        return -errno;
    l->batch_len = n < 0 ? 0 : n;
    for (int i = 0; i < l->batch_len; i++) {
        struct loop_fd *w = l->batch[i].data.ptr;
        if ((void *)w == (void *)l)
            continue; /* deleted in this turn */
        if (w) {
            w->fn(w->ctx, l->batch[i].events);
        } else {
            uint64_t count;
            if (read(l->wakefd, &count, sizeof count) < 0 && errno != EAGAIN)
                return -errno;
        }
    }
    l->batch_len = 0;
    run_ready(l);
    run_timers(l);
    if (l->idle_fn)
        l->idle_fn(l->idle_ctx);
    return 0;
}

int loop_run(struct loop *l)
{
    while (!l->is_stopped) {
        int rc = loop_turn(l, -1);
        if (rc < 0)
            return rc;
    }
    l->is_stopped = false;
    return l->rc;
}

void loop_stop(struct loop *l, int rc)
{
    l->is_stopped = true;
    l->rc = rc;
}

void loop_wake(struct loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wakefd, &one, sizeof one);
    (void)n; /* full means that a wake-up is pending already */
}

int loop_fd_add(struct loop *l, struct loop_fd *w, int fd, uint32_t events, loop_fd_fn fn,
                void *ctx)
{
    *w = (struct loop_fd){ .loop = l, .fd = fd, .events = events, .fn = fn, .ctx = ctx };
    struct epoll_event ev = { .events = events, .data.ptr = w };
    if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) == 0) {
        if (!events)
            epoll_ctl(l->epfd, EPOLL_CTL_DEL, fd, NULL); /* it was only to learn whether epoll can hold it */
        return 0;
    }
    if (errno == EPERM) { /* a regular file */
        w->is_always_ready = true;
        list_push_back(&l->ready, &w->link);
        return 0;
    }
    int rc = -errno;
    w->loop = NULL;
    return rc;
}

void loop_fd_set(struct loop_fd *w, uint32_t events)
{
    if (!w->loop || w->events == events)
        return;
    int op = !w->events ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    w->events = events;
    if (w->is_always_ready)
        return;
    struct epoll_event ev = { .events = events, .data.ptr = w };
    epoll_ctl(w->loop->epfd, op, w->fd, &ev);
}

void loop_fd_del(struct loop_fd *w)
{
    if (!w->loop)
        return;
    if (w->is_always_ready)
        list_remove(&w->link);
    else if (w->events)
        epoll_ctl(w->loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
    /* Forget events of this turn that are still to be delivered to it. */
    for (int i = 0; i < w->loop->batch_len; i++)
        if (w->loop->batch[i].data.ptr == w)
            w->loop->batch[i].data.ptr = w->loop;
    *w = (struct loop_fd){ .fd = -1 };
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t delay_ms, loop_timer_fn fn,
                    void *ctx)
{
    loop_timer_del(t);
    *t = (struct loop_timer){
        .loop = l, .at_ms = clock_mono_ms() + delay_ms, .fn = fn, .ctx = ctx
    };
    struct link *it = l->timers.prev;
    while (it != &l->timers && LIST_ENTRY(it, struct loop_timer, link)->at_ms > t->at_ms)
        it = it->prev;
    t->link.prev = it;
    t->link.next = it->next;
    it->next->prev = &t->link;
    it->next = &t->link;
}

void loop_timer_del(struct loop_timer *t)
{
    list_remove(&t->link);
}

void loop_set_idle(struct loop *l, loop_timer_fn fn, void *ctx)
{
    l->idle_fn = fn;
    l->idle_ctx = ctx;
}
