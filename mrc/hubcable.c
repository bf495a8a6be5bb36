/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hubcable.c: the hub's connections, and the agents that wait on them.
 * Must not know: SSH, what clients say.
 * Invariant: a connection is held by its control socket alone; when that is closed its holder
 * ends with its last channel, whether we closed it or died. */
#include "mrc/hubparts.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/share.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SPARES_MAX = 16, /* agents that are being started on one connection */
    SPARE_START_MS = 20000,
    PEEK_BYTES = 4096,
};

static void start_spare(struct cable *c);

size_t hub_cable_users(const struct cable *c)
{
    size_t n = 0;
    for (const struct client *j = c->hub->clients; j; j = j->next)
        n += j->is_job && j->cable == c;
    return n;
}

static void on_cable_idle(void *ctx)
{
    struct cable *c = ctx;
    struct hub *h = c->hub;
    log_keep("%s: the connection ends: there was no job for a while", c->host);
    hub_cable_end(c);
    if (!h->clients && !h->cables)
        loop_stop(h->loop, 0);
}

void hub_cable_look_idle(struct cable *c)
{
    if (hub_cable_users(c) || c->idle_ms >= (uint64_t)MRC_HUB_NEVER * 1000)
        loop_timer_del(&c->idle);
    else
        loop_timer_set(c->hub->loop, &c->idle, c->idle_ms, on_cable_idle, c);
}

/* ---- spares ---- */

static void spare_free(struct spare *s)
{
    struct spare **at = &s->cable->spares;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    loop_fd_del(&s->watch);
    loop_timer_del(&s->timer);
    fd_close(&s->fd);
    free(s);
}

static bool is_open(const struct spare *s)
{
    struct pollfd p = { s->fd, POLLRDHUP, 0 };
    return poll(&p, 1, 0) == 0;
}

static struct spare *find_ready(struct cable *c)
{
    for (struct spare *s = c->spares, *next; s; s = next) {
        next = s->next;
        if (s->is_ready && is_open(s))
            return s;
        if (s->is_ready)
            spare_free(s);
    }
    return NULL;
}

static size_t spares_starting(const struct cable *c)
{
    size_t n = 0;
    for (const struct spare *s = c->spares; s; s = s->next)
        n += !s->is_ready;
    return n;
}

/* Gives waiting agents to those who wait for one, and sees to it that one more is on its way.
 */
void hub_cable_serve(struct cable *c)
{
    size_t waiting = 0;
    for (struct client *j = c->hub->clients; j; j = j->next) {
        if (!j->is_waiting || memcmp(j->key, c->key, sizeof c->key) != 0)
            continue;
        struct spare *s = find_ready(c);
        if (!s) {
            waiting++;
            continue;
        }
        j->is_waiting = false;
        loop_timer_del(&j->timer);
        j->cable = c;
        struct mrc_hub_msg m = { .id = MRC_HUB_channel,
                                 .channel = { .why_not = bytes_of(c->why_no_views) } };
        struct client *v = j->is_job && j->has_view ? hub_view_find(c, j->view) : NULL;
        if (v && hub_view_mark(v) == 0) {
            memcpy(j->id, v->id, sizeof j->id);
            j->has_id = true;
            m.channel.view_id = (struct bytes){ v->id, sizeof v->id };
            m.channel.mark = v->mark;
        }
        if (mrc_hub_send(j->fd, &m, s->fd) < 0)
            log_at(LOG_VERBOSE, "hub: an answer was lost");
        spare_free(s);
    }
    size_t want = waiting + (find_ready(c) ? 0 : !waiting);
    while (spares_starting(c) < want && spares_starting(c) < SPARES_MAX) {
        size_t before = spares_starting(c);
        start_spare(c);
        if (spares_starting(c) == before)
            break;
    }
    hub_cable_look_idle(c);
}

/* An agent could not be started: whoever waits and has no other hope connects by himself. */
static void spare_failed(struct spare *s)
{
    struct cable *c = s->cable;
    spare_free(s);
    log_keep("%s: no further agent can be started", c->host);
    size_t hope = spares_starting(c);
    for (struct client *j = c->hub->clients; j; j = j->next)
        if (j->is_waiting && memcmp(j->key, c->key, sizeof c->key) == 0 && hope-- == 0) {
            hope = 0;
            hub_tell_none(j, "no further agent can be started on the connection that is there");
        }
}

static void on_spare_late(void *ctx)
{
    spare_failed(ctx);
}

static void on_spare_old(void *ctx)
{
    struct spare *s = ctx;
    struct cable *c = s->cable;
    spare_free(s);
    hub_cable_serve(c);
}

/* Looks at what came and takes only what the reader takes: behind the magic the bytes are the
 * session's. */
static void on_spare(void *ctx, uint32_t events)
{
    struct spare *s = ctx;
    uint8_t piece[PEEK_BYTES];
    if (s->is_ready) { /* it is over */
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            spare_free(s);
        return;
    }
    ssize_t n = recv(s->fd, piece, sizeof piece, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        spare_failed(s);
        return;
    }
    size_t used;
    enum mrc_push_event event = mrc_push_feed(&s->reader, piece, (size_t)n, &used);
    if (recv(s->fd, piece, used, MSG_DONTWAIT) != (ssize_t)used) {
        spare_failed(s);
        return;
    }
    if (event == MRC_PUSH_MORE)
        return;
    if (event != MRC_PUSH_AGENT) { /* it would have to be uploaded again: mrc does that */
        spare_failed(s);
        return;
    }
    s->is_ready = true;
    loop_fd_set(&s->watch, EPOLLRDHUP);
    loop_timer_set(s->cable->hub->loop, &s->timer, s->cable->spare_ms, on_spare_old, s);
    hub_cable_serve(s->cable);
}

static void start_spare(struct cable *c)
{
    int pair[2];
    if (fd_socketpair(pair) < 0)
        return;
    AUTO_FD theirs = pair[1];
    struct spare *s = calloc(1, sizeof *s);
    if (!s) {
        close(pair[0]);
        return;
    }
    *s = (struct spare){ .cable = c, .fd = pair[0], .next = c->spares };
    c->spares = s;
    mrc_transport_tune(s->fd);
    mrc_push_reader_init(&s->reader, c->nonce);
    if (mrc_share_command(c->control, c->command, theirs) < 0 ||
        loop_fd_add(c->hub->loop, &s->watch, s->fd, EPOLLIN, on_spare, s) < 0) {
        spare_free(s);
        return;
    }
    loop_timer_set(c->hub->loop, &s->timer, SPARE_START_MS, on_spare_late, s);
}

/* ---- connections ---- */

void hub_cable_end(struct cable *c)
{
    struct hub *h = c->hub;
    struct cable **at = &h->cables;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    h->cable_count--;
    while (c->spares)
        spare_free(c->spares);
    for (struct client *j = h->clients, *next; j; j = next) {
        next = j->next;
        if (j->is_waiting && memcmp(j->key, c->key, sizeof c->key) == 0)
            hub_tell_none(j, "the connection has just ended");
        bool is_its_view = j->is_view && j->cable == c;
        if (j->cable == c)
            j->cable = NULL;
        if (is_its_view)
            hub_client_free(j); /* the view ends with its last job */
    }
    loop_fd_del(&c->watch);
    loop_timer_del(&c->idle);
    fd_close(&c->control);
    free(c->command);
    free(c);
    hub_look_idle(h);
}

static void on_control(void *ctx, uint32_t events)
{
    (void)events; /* its holder never says anything: it has ended */
    log_keep("%s: the connection was lost", ((struct cable *)ctx)->host);
    hub_cable_end(ctx);
}

struct cable *hub_cable_find(struct hub *h, const uint8_t key[MRC_HUB_KEY_BYTES])
{
    for (struct cable *c = h->cables; c; c = c->next)
        if (memcmp(c->key, key, MRC_HUB_KEY_BYTES) == 0)
            return c;
    return NULL;
}

static uint64_t seconds_of(uint32_t given, uint64_t usual)
{
    return 1000 * (given ? (given < MRC_HUB_NEVER ? given : MRC_HUB_NEVER) : usual);
}

/* control: taken. */
struct cable *hub_cable_new(struct client *j, const struct hub_offer *o, int control)
{
    struct hub *h = j->hub;
    struct cable *c = calloc(1, sizeof *c);
    char *command = malloc(MRC_SHARE_COMMAND_BYTES);
    if (!c || !command || bytes_to_text(o->command, command, MRC_SHARE_COMMAND_BYTES) < 0 ||
        bytes_to_text(o->nonce, c->nonce, sizeof c->nonce) < 0 ||
        loop_fd_add(h->loop, &c->watch, control, EPOLLIN, on_control, c) < 0) {
        free(c);
        free(command);
        close(control);
        return NULL;
    }
    c->hub = h;
    c->command = command;
    c->control = control;
    c->idle_ms = seconds_of(o->idle_s, (uint64_t)mrc_hub_idle_s());
    c->spare_ms = seconds_of(o->spare_s, MRC_HUB_IDLE_S);
    c->since_ms = clock_mono_ms();
    memcpy(c->key, o->key.ptr, sizeof c->key);
    snprintf(c->host, sizeof c->host, "%s", j->host);
    c->next = h->cables;
    h->cables = c;
    h->cable_count++;
    log_keep("%s: the connection of process %d is kept", c->host, (int)j->pid);
    return c;
}
