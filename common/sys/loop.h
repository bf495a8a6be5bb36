/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loop.h: one thread's event loop: descriptors, timers, and an end.
 * Must not know: what the descriptors carry.
 * Threads: a loop belongs to one thread; only loop_wake may be called from others and from
 * signal handlers. */
#ifndef COMMON_SYS_LOOP_H
#define COMMON_SYS_LOOP_H

#include "common/base/attr.h"
#include "common/base/list.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

/* events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as epoll reports them. */
typedef void (*loop_fd_fn)(void *ctx, uint32_t events);
typedef void (*loop_timer_fn)(void *ctx);

/* A watched descriptor; embedded in its owner, who must call loop_fd_del before closing fd.
 * Zeroed = not watched. Regular files can't be watched by epoll: they count as always ready. */
struct loop_fd {
    struct loop *loop;
    int fd;
    uint32_t events;
    loop_fd_fn fn;
    void *ctx;
    bool is_always_ready;
    struct link link;
};

/* A timer; embedded in its owner. Zeroed = not set. */
struct loop_timer {
    struct loop *loop;
    uint64_t at_ms;
    loop_timer_fn fn;
    void *ctx;
    struct link link;
};

MUST int loop_new(struct loop **out);
void loop_free(struct loop *l);

/* Runs until loop_stop; returns what was given to it. Returns -errno if epoll itself fails. */
MUST int loop_run(struct loop *l);
/* One turn, waiting at most timeout_ms (-1 = for ever). */
MUST int loop_turn(struct loop *l, int timeout_ms);
void loop_stop(struct loop *l, int rc);
void loop_wake(struct loop *l);

MUST int loop_fd_add(struct loop *l, struct loop_fd *w, int fd, uint32_t events, loop_fd_fn fn,
                     void *ctx);
/* Changes what is waited for; 0 = nothing but hang-up and error. No system call when it stays
 * the same. */
void loop_fd_set(struct loop_fd *w, uint32_t events);
void loop_fd_del(struct loop_fd *w);

/* (Re)arms t to fire once after delay_ms. */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t delay_ms, loop_timer_fn fn,
                    void *ctx);
void loop_timer_del(struct loop_timer *t);

/* fn runs before each wait and after the events of each turn: the place to flush what was
 * produced. */
void loop_set_idle(struct loop *l, loop_timer_fn fn, void *ctx);

#endif
