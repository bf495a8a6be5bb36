/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper_hosts.c: a keeper's connections: of a host, as long as it lasts, and of one move.
 * Must not know: what is decided. */
#include "mosix-core/move/keeping.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mosix-core/move/collector.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- streams of a move ---- */

static struct mx_hello hello_of(const struct mx_keeper *k, const struct mx_host *h,
                                enum mx_stream stream)
{
    struct mx_hello hello = { .stream = stream,
                              .need_mb = k->how.need_mb,
                              .cpu = k->how.cpu,
                              .move = k->plan.move,
                              .pid = (uint32_t)k->how.pid,
                              .now = mx_clocks_now() };
    memcpy(hello.token, h->token, sizeof hello.token);
    snprintf(hello.home, sizeof hello.home, "%s", k->how.nodes->list[k->how.self].name);
    snprintf(hello.program, sizeof hello.program, "%s", k->program);
    return hello;
}

/* Not where the job comes from, and it has no right to run there yet: so the move can still be
 * given up. */
static bool is_before_commit(const struct mx_keeper *k, const struct mx_host *h)
{
    return h->place == k->plan.there && !h->lost_ms &&
           (k->plan.phase == MX_ASKING || k->plan.phase == MX_COPYING ||
            k->plan.phase == MX_FREEZING) &&
           k->plan.here != MX_HOME;
}

/* Whether a stream of a move is connected. */
static void stream_said(struct mx_host *h, const struct mx_conn *c, struct loop_fd *watch,
                        bool *has)
{
    struct mx_keeper *k = h->k;
    struct mx_note n = { .rc = -EPIPE };
    int fd, rc = mx_note_receive(c->notes, &n, &fd, false);
    fd_close(&fd);
    if (rc == 0)
        return;
    loop_fd_del(watch);
    *has = rc > 0 && n.rc == 0;
    if (!*has && c == &h->calls && is_before_commit(k, h)) {
        mx_keeper_why(k, n.text[0] ? n.text : "the connection for its calls was lost");
        mx_host_lose(h);
        return;
    }
    if (!*has && h->place == k->plan.there && k->holder.is == MX_IS_COPYING) {
        mx_keeper_why(k, n.text[0] ? n.text : "a connection for the move was lost");
        mx_keeper_held(k, MX_HOLD_FAILED, MX_WHY_REFUSED);
    }
    mx_keeper_copy_if_ready(k);
}

static void on_image_notes(void *ctx, uint32_t events UNUSED)
{
    struct mx_host *h = ctx;
    stream_said(h, &h->image, &h->on_image_notes, &h->has_image);
}

static void on_calls_notes(void *ctx, uint32_t events UNUSED)
{
    struct mx_host *h = ctx;
    stream_said(h, &h->calls, &h->on_calls_notes, &h->has_calls);
}

static void end_image(struct mx_host *h)
{
    loop_fd_del(&h->on_image);
    loop_fd_del(&h->on_image_notes);
    mx_conn_end(&h->image);
    h->has_image = false;
}

static void end_calls(struct mx_host *h)
{
    loop_fd_del(&h->on_calls_notes);
    mx_conn_end(&h->calls);
    h->has_calls = false;
}

static void open_stream(struct mx_keeper *k, struct mx_host *h, enum mx_stream stream)
{
    struct err e = { "" };
    bool is_calls = stream == MX_STREAM_CALLS;
    struct mx_conn *c = is_calls ? &h->calls : &h->image;
    struct mx_hello hello = hello_of(k, h, stream);
    if (is_calls)
        end_calls(h);
    else
        end_image(h);
    /* When it can't be made the place finds that nothing comes, and says so. */
    int rc = mx_conn_start(c, &k->how.nodes->list[h->node], k->how.id, &hello, &e);
    if (rc == 0)
        rc = loop_fd_add(k->loop, is_calls ? &h->on_calls_notes : &h->on_image_notes, c->notes,
                         EPOLLIN, is_calls ? on_calls_notes : on_image_notes, h);
    if (rc < 0)
        mx_keeper_why(k, e.text);
}

/* An image for the stub begins: the job makes no more calls. */
static void on_image(void *ctx, uint32_t events UNUSED)
{
    struct mx_host *h = ctx;
    struct mx_keeper *k = h->k;
    int *plain = k->collector.pid ? &k->collector.plain : &h->image.plain;
    uint8_t byte;
    loop_fd_del(&h->on_image);
    /* A collector that has nothing has said why, or its end says it; the stub goes on. */
    if (k->holder.is != MX_IS_BUILDING ||
        (k->collector.pid && recv(*plain, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0))
        return;
    k->served = 0;
    k->park = (struct mx_range){ 0 }; /* it is gone after that, whatever comes of it */
    if (mx_hands_tell(&k->hands, MX_HANDS_RESTORE, take_fd(plain), k->collector.pid > 0, 0) < 0)
        log_error("job %d: nobody holds its process", (int)k->how.pid);
}

/* The hands make room while calls are served; when they do something else it is too late. */
static void tell_park(struct mx_keeper *k, int64_t end)
{
    if (k->park.end && mx_hands_tell(&k->hands, MX_HANDS_PARK, -1, 0, end) < 0)
        log_at(LOG_VERBOSE, "job %d: nobody holds its stub", (int)k->how.pid);
}

static void on_collector(void *ctx, uint32_t events UNUSED)
{
    struct mx_keeper *k = ctx;
    struct mx_note n;
    int fd, rc = mx_note_receive(k->collector.notes, &n, &fd, false);
    fd_close(&fd);
    if (rc > 0 && n.what == MX_HANDS_SOME) {
        mx_keeper_held(k, MX_HOLD_ARRIVING, MX_WHY_NOT);
    } else if (rc > 0 && n.what == MX_HANDS_PARK) {
        tell_park(k, n.big);
    } else if (rc != 0) {
        loop_fd_del(&k->on_collector);
        if (rc > 0)
            mx_keeper_why(k, n.text);
        if (rc > 0 && n.rc == -ENOBUFS)
            k->park = (struct mx_range){ 0 };
        k->is_short_of_memory |= rc > 0 && (n.rc == -ENOSPC || n.rc == -ENOMEM);
        /* One that has given all of it is not missed. */
        if (k->holder.is == MX_IS_BUILDING && k->collector.plain >= 0)
            mx_keeper_held(k, MX_HOLD_FAILED,
                           k->is_short_of_memory ? MX_WHY_NO_ROOM : MX_WHY_BAD_IMAGE);
    }
}

/* Rounds are collected while the stub makes calls. */
static int collect(struct mx_keeper *k, struct mx_host *from, struct err *e)
{
    const struct mx_range *park = k->is_park_used ? NULL : &k->park;
    int rc =
        mx_collector_start(&k->collector, take_fd(&from->image.plain), k->how.pid, park, e);
    k->is_park_used |= k->park.end > 0;
    if (rc == 0)
        rc = loop_fd_add(k->loop, &k->on_collector, k->collector.notes, EPOLLIN, on_collector,
                         k);
    return rc;
}

static void await_image(struct mx_keeper *k, struct mx_host *from, bool has_rounds)
{
    struct err e = { "" };
    int rc = has_rounds ? collect(k, from, &e) : 0;
    int plain = has_rounds ? k->collector.plain : from->image.plain;
    if (rc == 0)
        rc = loop_fd_add(k->loop, &from->on_image, plain, EPOLLIN, on_image, from);
    if (rc < 0)
        log_error("job %d: its image can't be waited for: %s", (int)k->how.pid, e.text);
}

void mx_keeper_open_streams(struct mx_keeper *k)
{
    struct err e = { "" };
    struct mx_host *from = mx_keeper_host(k, k->plan.here),
                   *to = mx_keeper_host(k, k->plan.there);
    if (k->streams_move == k->plan.move)
        return;
    k->streams_move = k->plan.move;
    bool has_rounds = to || (!k->is_short_of_memory && mx_collector_has_room(k->how.pid));
    if (from)
        open_stream(k, from, has_rounds ? MX_STREAM_IMAGE : MX_STREAM_IMAGE_AT_ONCE);
    if (to) {
        open_stream(k, to, MX_STREAM_IMAGE);
        open_stream(k, to, MX_STREAM_CALLS);
    }
    if (from && to && from->image.pid && to->image.pid)
        k->relay = mx_conn_relay(take_fd(&from->image.plain), take_fd(&to->image.plain), &e);
    else if (from && from->image.pid) /* its first bytes say that it makes no more calls */
        await_image(k, from, has_rounds);
}

void mx_keeper_end_relay(struct mx_keeper *k)
{
    for (unsigned i = 0; k->collector.pid && i < MX_KEEPER_HOSTS; i++)
        loop_fd_del(&k->hosts[i].on_image); /* it comes from there */
    loop_fd_del(&k->on_collector);
    bool has_left = k->collector.pid && k->is_park_used && k->park.end;
    mx_conn_end(&k->collector);
    if (has_left)
        tell_park(k, 0);
    if (k->relay <= 0)
        return;
    kill(k->relay, SIGKILL);
    while (waitpid(k->relay, NULL, 0) < 0 && errno == EINTR)
        ;
    k->relay = 0;
}

/* What was opened for a move, but for the calls of where the job is now. */
void mx_keeper_close_streams(struct mx_keeper *k)
{
    mx_keeper_end_relay(k);
    for (unsigned i = 0; i < MX_KEEPER_HOSTS; i++) {
        struct mx_host *h = &k->hosts[i];
        if (!h->place)
            continue;
        end_image(h);
        if (h->place != k->plan.here)
            end_calls(h);
    }
}

/* ---- hosts ---- */

void mx_host_forget(struct mx_host *h)
{
    loop_fd_del(&h->on_orders);
    loop_fd_del(&h->on_notes);
    mx_conn_end(&h->orders);
    end_calls(h);
    end_image(h);
    h->place = 0;
}

void mx_host_is_dead(struct mx_host *h)
{
    struct mx_keeper *k = h->k;
    uint32_t place = h->place;
    mx_host_forget(h);
    mx_keeper_plan(k, (struct mx_migrate_in){ .what = MX_MIG_DEAD, .place = place });
}

/* Nothing of a copy there can get out any more; whether it still computes is known when its
 * lease has run out. */
static void host_is_cut(struct mx_host *h)
{
    struct mx_keeper *k = h->k;
    loop_fd_del(&h->on_orders);
    loop_fd_del(&h->on_notes);
    h->lost_ms = clock_mono_ms();
    mx_keeper_plan(k, (struct mx_migrate_in){ .what = MX_MIG_CUT, .place = h->place });
}

void mx_host_lose(struct mx_host *h)
{
    loop_fd_del(&h->on_orders);
    loop_fd_del(&h->on_notes);
    mx_conn_end(&h->orders);
    host_is_cut(h);
}

/* The first note says whether there is a connection, the second how it ended. */
static void on_host_notes(void *ctx, uint32_t events UNUSED)
{
    struct mx_host *h = ctx;
    struct mx_note n = { .rc = -EPIPE };
    int fd, rc = mx_note_receive(h->orders.notes, &n, &fd, false);
    fd_close(&fd);
    if (rc == 0)
        return;
    if (rc > 0 && n.what == 0 && n.rc == 0) {
        h->is_connected = true;
        return;
    }
    mx_keeper_why(h->k, n.text);
    if (!h->is_connected || (rc > 0 && n.rc == 0)) {
        if (!n.text[0])
            mx_keeper_why(h->k, "the node has ended the connection");
        mx_host_is_dead(h); /* it never had anything, or has said that all is gone */
    } else {
        mx_keeper_why(h->k, "the connection to the node was lost");
        host_is_cut(h);
    }
}

static void on_message(struct mx_host *h, const struct mx_message *m)
{
    struct mx_keeper *k = h->k;
    char words[MX_WORDS_MAX + MX_NODE_NAME_MAX + 16];
    if (m->number == MX_MESSAGE_report) {
        mx_keeper_plan(k, (struct mx_migrate_in){
                              .what = MX_MIG_REPORT, .place = h->place, .report = &m->report });
    } else if (m->number == MX_MESSAGE_words) {
        snprintf(words, sizeof words, "node %s: %s", k->how.nodes->list[h->node].name,
                 m->words.text);
        mx_keeper_why(k, m->words.text[0] ? words : "");
        if (m->words.signal && h->place == k->plan.here)
            k->signal = m->words.signal;
    } else if (m->number == MX_MESSAGE_leave && h->place == k->plan.here) {
        mx_keeper_leave(k, m->leave.text);
    }
}

static void on_host_orders(void *ctx, uint32_t events UNUSED)
{
    struct mx_host *h = ctx;
    uint32_t place = h->place;
    ssize_t n = fd_read(h->orders.plain, h->in + h->in_bytes, sizeof h->in - h->in_bytes);
    if (n <= 0) { /* why is in the notes */
        loop_fd_del(&h->on_orders);
        return;
    }
    h->in_bytes += (size_t)n;
    struct rd r = rd_of(h->in, h->in_bytes);
    struct mx_message m;
    int rc = 0;
    while (h->place == place && (rc = mx_plan_get(&r, &m)) > 0)
        on_message(h, &m);
    if (h->place != place)
        return;
    if (rc < 0) {
        mx_keeper_why(h->k, "the node sends what makes no sense");
        mx_host_lose(h);
        return;
    }
    h->in_bytes = rd_left(&r);
    memmove(h->in, r.at, h->in_bytes);
}

struct mx_host *mx_keeper_find_node(struct mx_keeper *k, int node)
{
    for (unsigned i = 0; i < MX_KEEPER_HOSTS; i++)
        if (k->hosts[i].place && k->hosts[i].node == node && !k->hosts[i].lost_ms)
            return &k->hosts[i];
    return NULL;
}

/* One that nothing is wanted of gives way. */
static struct mx_host *free_host(struct mx_keeper *k)
{
    for (unsigned i = 0; i < MX_KEEPER_HOSTS; i++)
        if (!k->hosts[i].place)
            return &k->hosts[i];
    for (unsigned i = 0; i < MX_KEEPER_HOSTS; i++) {
        struct mx_host *h = &k->hosts[i];
        if (h->place == k->plan.here || h->lost_ms || h->calls.pid)
            continue;
        mx_host_is_dead(h);
        return h;
    }
    return NULL;
}

int mx_keeper_add_host(struct mx_keeper *k, int node, struct mx_host **out, struct err *e)
{
    struct mx_host *h = free_host(k);
    if (!h)
        return err_say(e, EBUSY, "too many nodes have not yet said that their copy is gone");
    *h = (struct mx_host){ .k = k, .node = node };
    int rc = crypto_random(h->token, sizeof h->token);
    struct mx_hello hello = hello_of(k, h, MX_STREAM_ORDERS);
    if (rc < 0)
        return err_set(e, -rc, "make a token");
    rc = mx_conn_start(&h->orders, &k->how.nodes->list[node], k->how.id, &hello, e);
    if (rc < 0)
        return rc;
    h->place = ++k->last_place;
    rc = loop_fd_add(k->loop, &h->on_orders, h->orders.plain, EPOLLIN, on_host_orders, h);
    if (rc == 0)
        rc = loop_fd_add(k->loop, &h->on_notes, h->orders.notes, EPOLLIN, on_host_notes, h);
    if (rc < 0) {
        mx_host_forget(h);
        return err_set(e, -rc, "watch a connection");
    }
    *out = h;
    return 0;
}

void mx_keeper_send_order(struct mx_keeper *k, uint32_t place, const struct mx_order *order)
{
    uint8_t space[MX_MESSAGE_MAX];
    struct mx_message m = { .number = MX_MESSAGE_order };
    struct mx_host *h = mx_keeper_host(k, place);
    struct wr w = wr_of(space, sizeof space);
    m.order = *order;
    mx_plan_put(&w, &m);
    /* One that is lost is said again; a socket that is full has a peer that is silent. */
    if (h && h->orders.pid &&
        send(h->orders.plain, space, wr_len(&w), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
        errno != EAGAIN)
        log_at(LOG_VERBOSE, "job %d: an order was lost", (int)k->how.pid);
}
