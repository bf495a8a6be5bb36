/* SPDX-License-Identifier: GPL-2.0-or-later */
/* holdvisit.c: who comes to a holder, and who is attached: their streams.
 * Must not know: the job's agent.
 * Privilege: callers are of our user, and know the job's secret. */
#include "mrc/agent/holdparts.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "common/sys/peer.h"
#include "mrc/agent/hold.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 * 1024,
    INPUT_GRACE_MS = 300, /* the end of a visit's input, or of the visit? */
};

/* ---- the job's streams, at who is attached ---- */

static void stream_leave(struct hold_stream *s)
{
    loop_fd_del(&s->watch);
    fd_close(&s->fd);
    s->fd = -1;
    s->is_shut = false;
}

static void watch(struct hold_stream *s)
{
    uint32_t events = 0;
    bool has_room = s->port && mrc_port_room(s->port) > READ_BYTES;
    if (s->takes_input && !s->has_input_ended && has_room)
        events |= EPOLLIN;
    if (s->has_spool && spool_next(&s->spool).len)
        events |= EPOLLOUT;
    loop_fd_set(&s->watch, events);
}

void hold_flush_stream(struct hold_stream *s)
{
    while (s->fd >= 0 && s->has_spool && spool_next(&s->spool).len) {
        struct bytes next = spool_next(&s->spool);
        ssize_t n = send(s->fd, next.ptr, next.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            stream_leave(s);
            return;
        }
        if (n <= 0)
            break;
        spool_gave(&s->spool, (size_t)n);
    }
    if (s->fd < 0)
        return;
    if (spool_is_given(&s->spool) && s->has_spool && !s->is_shut) {
        s->is_shut = true;
        shutdown(s->fd, SHUT_WR);
    }
    watch(s);
}

void hold_stream_room(struct hold_stream *s)
{
    if (s->fd >= 0)
        watch(s);
}

void hold_stream_gone(struct hold_stream *s)
{
    hold_flush_stream(s);
    if (s->fd >= 0 && !s->has_spool)
        stream_leave(s);
}

/* It is the input's end if the visit goes on: a visitor that dies closes all at once. */
static void on_input_end(void *ctx)
{
    struct hold *h = ctx;
    struct hold_stream *s = &h->streams[0];
    if (!h->visit || !s->has_input_ended || !s->port)
        return;
    mrc_port_end(s->port);
    stream_leave(s);
}

static void on_stream(void *ctx, uint32_t events)
{
    static uint8_t space[READ_BYTES];
    struct hold_stream *s = ctx;
    if (events & EPOLLOUT)
        hold_flush_stream(s);
    if (s->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    ssize_t n = fd_read(s->fd, space, sizeof space);
    if (n == -EAGAIN)
        return;
    if (n > 0) {
        if (s->port && s->takes_input && !s->has_input_ended && mrc_port_send(s->port, space, (size_t)n) < 0)
            log_keep("input was lost: the job does not take it");
        watch(s);
    } else if (n == 0 && s->role == HELD_STDIN && !s->has_input_ended) {
        s->has_input_ended = true;
        loop_fd_set(&s->watch, 0);
        loop_timer_set(s->hold->loop, &s->hold->input_timer, INPUT_GRACE_MS, on_input_end, s->hold);
    } else {
        stream_leave(s);
    }
}

static void stream_come(struct hold_stream *s, int fd)
{
    stream_leave(s);
    s->fd = fd;
    if (loop_fd_add(s->hold->loop, &s->watch, fd, 0, on_stream, s) < 0) {
        fd_close(&s->fd);
        s->fd = -1;
        return;
    }
    hold_flush_stream(s);
}

/* ---- the visit ---- */

void hold_drop_visit(struct hold *h)
{
    if (!h->visit)
        return;
    hold_state_drop(h, h->visit);
    h->visit = 0;
    loop_fd_del(&h->job_watch);
    fd_close(&h->job_fd);
    h->job_fd = -1;
    buf_consume(&h->from_visit, buf_len(&h->from_visit));
    buf_consume(&h->to_visit, buf_len(&h->to_visit));
    for (size_t i = 0; i < HOLD_STREAMS; i++)
        stream_leave(&h->streams[i]);
    if (h->streams[0].port && !h->streams[0].port->is_ended)
        h->streams[0].has_input_ended = false;
    loop_timer_del(&h->input_timer);
    log_keep("nobody is attached");
    hold_look(h);
}

static bool is_all_given(const struct hold *h)
{
    return h->is_job_over && !buf_len(&h->to_visit);
}

void hold_flush(struct hold *h)
{
    while (h->visit && buf_len(&h->to_visit)) {
        ssize_t n = send(h->job_fd, buf_at(&h->to_visit), buf_len(&h->to_visit), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            hold_drop_visit(h);
            return;
        }
        if (n <= 0)
            break;
        buf_consume(&h->to_visit, (size_t)n);
    }
    if (!h->visit)
        return;
    if (is_all_given(h) && !h->is_shut) {
        h->is_shut = true;
        shutdown(h->job_fd, SHUT_WR);
    }
    loop_fd_set(&h->job_watch, EPOLLIN | (buf_len(&h->to_visit) ? EPOLLOUT : 0));
}

void hold_tell(struct hold *h, const void *ptr, size_t len_bytes)
{
    if (!h->visit)
        return;
    if (buf_append(&h->to_visit, ptr, len_bytes) < 0)
        hold_drop_visit(h); /* it does not read */
    else
        hold_flush(h);
}

static void send_away(struct hold *h, bool is_asked, const char *text)
{
    uint8_t space[200];
    struct wr w = wr_of(space, sizeof space);
    job_msg_put(&w, &(struct job_msg){ .id = JOB_MSG_left, .left = { is_asked, bytes_of(text) } });
    hold_tell(h, space, wr_len(&w));
    hold_drop_visit(h);
}

static struct hold_stream *stream_of(struct hold *h, uint8_t role)
{
    for (size_t i = 0; i < HOLD_STREAMS; i++)
        if (h->streams[i].role == role)
            return &h->streams[i];
    return NULL;
}

static int got_taken(struct hold *h, const struct job_taken *m)
{
    struct hold_stream *s = stream_of(h, m->stream);
    uint64_t credit;
    if (m->stream == HELD_TAKEN_END) {
        h->is_told_end = h->is_job_over;
        for (size_t i = 0; i < HOLD_STREAMS; i++)
            h->is_told_end &= spool_is_done(&h->streams[i].spool);
        hold_maybe_done(h);
        return 0;
    }
    if (!s || !s->has_spool)
        return -EPROTO;
    int rc = spool_confirm(&s->spool, m->total, &credit);
    if (rc == 0 && credit && s->port)
        mrc_port_consumed(s->port, credit);
    return rc;
}

static int got_message(struct hold *h, const struct job_msg *m)
{
    if (m->id == JOB_MSG_taken)
        return got_taken(h, &m->taken);
    if (m->id != JOB_MSG_signal && m->id != JOB_MSG_winsize)
        return -EPROTO;
    hold_to_job(h, m);
    return 0;
}

static void on_job(void *ctx, uint32_t events)
{
    struct hold *h = ctx;
    uint8_t *spot;
    if (events & EPOLLOUT)
        hold_flush(h);
    if (!h->visit || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    ssize_t n = buf_reserve(&h->from_visit, 4096, &spot) < 0 ? -ENOSPC : fd_read(h->job_fd, spot, 4096);
    if (n == -EAGAIN)
        return;
    int rc = n > 0 ? 0 : -ECONNRESET;
    if (n > 0)
        buf_commit(&h->from_visit, (size_t)n);
    while (rc == 0 && h->visit) {
        struct job_msg m;
        size_t used;
        rc = job_msg_get((struct bytes){ buf_at(&h->from_visit), (uint32_t)buf_len(&h->from_visit) }, &m, &used);
        if (rc < 0 || !used)
            break;
        rc = got_message(h, &m);
        if (h->visit)
            buf_consume(&h->from_visit, used);
    }
    if (rc < 0)
        hold_drop_visit(h);
}

static void begin_visit(struct hold *h, uint64_t visit, int fd)
{
    send_away(h, false, "another mrc is attached to the job now");
    h->visit = visit;
    h->job_fd = fd;
    h->is_shut = false;
    if (!visit || loop_fd_add(h->loop, &h->job_watch, fd, EPOLLIN, on_job, h) < 0) {
        hold_drop_visit(h);
        return;
    }
    log_keep("somebody is attached");
    for (size_t i = 0; i < HOLD_STREAMS; i++)
        spool_visit(&h->streams[i].spool);
    hold_look(h);
    uint8_t space[64];
    struct wr w = wr_of(space, sizeof space);
    job_msg_put(&w, &(struct job_msg){ .id = JOB_MSG_started, .started = { h->pid } });
    /* All at once: what is there when it is flushed may be all that there will ever be. */
    if ((h->pid && buf_append(&h->to_visit, space, wr_len(&w)) < 0) ||
        buf_append(&h->to_visit, buf_at(&h->last), buf_len(&h->last)) < 0)
        hold_drop_visit(h);
    hold_flush(h);
}

/* ---- what their agents say of their heads ---- */

static void state_end(struct hold_state *s)
{
    loop_fd_del(&s->watch);
    fd_close(&s->fd);
    s->fd = -1;
    s->visit = 0;
}

void hold_state_drop(struct hold *h, uint64_t visit)
{
    for (size_t i = 0; i < HOLD_STATES; i++)
        if (h->states[i].fd >= 0 && h->states[i].visit == visit)
            state_end(&h->states[i]);
}

bool hold_is_there(const struct hold *h, uint64_t visit)
{
    for (size_t i = 0; i < HOLD_STATES; i++)
        if (h->states[i].fd >= 0 && h->states[i].visit == visit && h->states[i].is_away)
            return false;
    return visit != 0;
}

static void on_state(void *ctx, uint32_t events UNUSED)
{
    struct hold_state *s = ctx;
    uint8_t byte;
    ssize_t n = fd_read(s->fd, &byte, 1);
    if (n == -EAGAIN)
        return;
    if (n == 1)
        s->is_away = byte != 0;
    else
        state_end(s); /* and the visit with it: its streams say so */
    hold_look(s->hold);
}

static void state_come(struct hold *h, uint64_t visit, int fd)
{
    for (size_t i = 0; i < HOLD_STATES; i++) {
        struct hold_state *s = &h->states[i];
        if (s->fd >= 0)
            continue;
        *s = (struct hold_state){ .hold = h, .visit = visit, .fd = fd };
        if (loop_fd_add(h->loop, &s->watch, fd, EPOLLIN, on_state, s) < 0)
            state_end(s);
        return;
    }
    close(fd);
}

/* ---- callers ---- */

static void caller_end(struct hold_caller *c)
{
    loop_fd_del(&c->watch);
    fd_close(&c->fd);
    c->fd = -1;
}

/* In a time that does not tell where it differs. */
static bool is_secret(const struct hold *h, const uint8_t secret[HELD_SECRET_BYTES])
{
    uint8_t differs = 0;
    for (size_t i = 0; i < HELD_SECRET_BYTES; i++)
        differs |= (uint8_t)(h->start.secret[i] ^ secret[i]);
    return !differs;
}

static void serve(struct hold *h, const struct held_head *head, int fd)
{
    struct hold_stream *s = stream_of(h, head->role);
    if (head->role == HELD_JOB) {
        begin_visit(h, head->visit, fd);
        return;
    }
    if (head->role == HELD_STATE) {
        state_come(h, head->visit, fd);
        return;
    }
    if (head->role == HELD_META || head->role == HELD_BULK) {
        hold_files_come(h, head->visit, head->role == HELD_BULK, fd);
        return;
    }
    if (head->role == HELD_LEAVE) {
        char was_there = h->visit != 0;
        if (h->visit)
            send_away(h, true, "detached");
        if (fd_write(fd, &was_there, 1) < 0)
            log_keep("nobody hears that the visit is over");
    } else if (head->role == HELD_END) {
        char has_run = !h->is_job_over;
        if (h->visit)
            send_away(h, false, "the job was ended by mrc detach --end");
        if (fd_write(fd, &has_run, 1) < 0)
            log_keep("nobody hears that the job ends");
        hold_stop(h);
        return; /* fd ends with this process */
    } else if (s && h->visit && head->visit == h->visit) {
        stream_come(s, fd);
        return;
    }
    close(fd);
}

static void on_caller(void *ctx, uint32_t events UNUSED)
{
    struct hold_caller *c = ctx;
    struct hold *h = c->hold;
    uint8_t space[HELD_HEAD_BYTES];
    struct held_head head = { 0 };
    ssize_t n = recv(c->fd, space, sizeof space, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0 && (size_t)n < sizeof space)
        return; /* its agent writes it at once */
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    int rc = n == sizeof space && fd_read(c->fd, space, sizeof space) == sizeof space
                 ? held_head_get((struct bytes){ space, sizeof space }, &head)
                 : -EPROTO;
    if (rc == 0 && (memcmp(head.id, h->start.id, sizeof head.id) != 0 || !is_secret(h, head.secret))) {
        log_keep("somebody was refused: the secret is not the job's");
        rc = -EACCES;
    }
    explicit_bzero(head.secret, sizeof head.secret);
    explicit_bzero(space, sizeof space);
    loop_fd_del(&c->watch);
    int fd = take_fd(&c->fd);
    if (rc < 0)
        close(fd);
    else
        serve(h, &head, fd);
}

static void on_knock(void *ctx, uint32_t events UNUSED)
{
    struct hold *h = ctx;
    AUTO_FD fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 || !peer_is_our_user(fd))
        return;
    for (size_t i = 0; i < HOLD_CALLERS_MAX; i++) {
        struct hold_caller *c = &h->callers[i];
        if (c->fd >= 0)
            continue;
        c->fd = take_fd(&fd);
        if (loop_fd_add(h->loop, &c->watch, c->fd, EPOLLIN, on_caller, c) < 0)
            caller_end(c);
        return;
    }
}

int hold_listen(struct hold *h)
{
    for (size_t i = 0; i < HOLD_CALLERS_MAX; i++)
        h->callers[i] = (struct hold_caller){ .hold = h, .fd = -1 };
    for (size_t i = 0; i < HOLD_STATES; i++)
        h->states[i].fd = -1;
    return loop_fd_add(h->loop, &h->listen_watch, h->listen_fd, EPOLLIN, on_knock, h);
}

void hold_visit_fini(struct hold *h)
{
    loop_fd_del(&h->listen_watch);
    hold_drop_visit(h);
    hold_files_end(h);
}
