/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hubserver.c: the hub: the user's SSH connections between jobs, a waiting agent on each, and
 * who runs what.
 * Must not know: SSH, the session, what jobs do.
 * Invariant: a connection is held by its control socket alone; when that is closed its holder
 * ends with its last channel, whether we closed it or died. */
#include "common/sys/buf.h"
#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/loop.h"
#include "common/sys/mem.h"
#include "mrc/hub.h"
#include "mrc/push.h"
#include "mrc/share.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    HUB_CLIENTS_MAX = 512, /* jobs of one user at a time */
    HUB_CABLES_MAX = 64,
    SPARES_MAX = 16, /* agents that are being started on one connection */
    BACKLOG = 64,
    WAIT_MS = 8000, /* for an agent that is being started; then mrc connects by itself */
    SPARE_START_MS = 20000,
    PEEK_BYTES = 4096,
    VIEWS_MAX = 4, /* kept on one connection: each has a channel of it, of which sshd allows ten */
};

/* A kept connection. */
struct cable {
    struct hub *hub;
    uint8_t key[MRC_HUB_KEY_BYTES];
    char host[MRC_HUB_TEXT_BYTES], nonce[MRC_PUSH_NONCE_BYTES];
    char why_no_views[200]; /* empty: nothing speaks against them */
    char *command; /* that starts an agent */
    int control;
    struct loop_fd watch;
    struct loop_timer idle;
    uint64_t idle_ms, spare_ms, since_ms;
    bool is_doubtful; /* somebody has lost a stream of it: nobody else is given one, and a new connection takes its place */
    struct spare *spares;
    struct cable *next;
};

/* An agent that starts, or waits for its mrc. */
struct spare {
    struct cable *cable;
    int fd;
    struct loop_fd watch;
    struct loop_timer timer; /* until it must have started; then until it is renewed */
    struct mrc_push_reader reader;
    bool is_ready;
    struct spare *next;
};

/* Who is connected: a job, the keeper of a view, or a command that asks. */
struct client {
    struct hub *hub;
    int fd, pidfd;
    pid_t pid;
    struct loop_fd watch;
    struct loop_timer timer;
    bool is_job, is_view, is_waiting;
    uint8_t key[MRC_HUB_KEY_BYTES];
    struct cable *cable; /* whose channel it uses */
    /* Which view a job wants, or a keeper has: what it asked for and who asked. */
    bool has_view;
    uint8_t view[MRC_HUB_KEY_BYTES];
    /* Of the one that a keeper has, or that a job is in. */
    bool has_id;
    uint8_t id[MRC_HUB_ID_BYTES];
    uint64_t mark;    /* of a view: the latest */
    uint64_t used_ms; /* of a view */
    enum mrc_hub_state state;
    char host[MRC_HUB_TEXT_BYTES], command[MRC_HUB_TEXT_BYTES];
    uint32_t there_pid;
    uint64_t since_ms;
    struct client *next;
};

struct hub {
    struct loop *loop;
    int listen_fd;
    struct loop_fd watch;
    struct loop_timer idle;
    struct client *clients;
    struct cable *cables;
    size_t client_count, cable_count;
    bool is_stopping; /* told to end: with the last job */
};

static void start_spare(struct cable *c);

/* ---- nothing left to do ---- */

static void on_idle(void *ctx)
{
    struct hub *h = ctx;
    loop_stop(h->loop, 0);
}

static void look_idle(struct hub *h)
{
    if (h->clients || h->cables)
        loop_timer_del(&h->idle);
    else
        loop_timer_set(h->loop, &h->idle,
                       h->is_stopping ? 0 : (uint64_t)mrc_hub_idle_s() * 1000, on_idle, h);
}

static size_t users_of(const struct cable *c)
{
    size_t n = 0;
    for (const struct client *j = c->hub->clients; j; j = j->next)
        n += j->is_job && j->cable == c;
    return n;
}

/* ---- kept views ---- */

static size_t jobs_in(const struct client *view)
{
    size_t n = 0;
    for (const struct client *j = view->hub->clients; j; j = j->next)
        n += j->is_job && j->has_id && memcmp(j->id, view->id, sizeof j->id) == 0;
    return n;
}

static struct client *find_view(const struct cable *c, const uint8_t view[MRC_HUB_KEY_BYTES])
{
    for (struct client *v = c->hub->clients; v; v = v->next)
        if (v->is_view && v->cable == c && memcmp(v->view, view, sizeof v->view) == 0)
            return v;
    return NULL;
}

/* A job is about to begin in it. Returns 0, or -errno: its keeper doesn't listen. */
static int mark_view(struct client *v)
{
    struct mrc_hub_msg m = { .id = MRC_HUB_mark, .mark = { v->mark + 1 } };
    int rc = mrc_hub_send(v->fd, &m, -1);
    if (rc == 0) {
        v->mark++;
        v->used_ms = clock_mono_ms();
    }
    return rc;
}

/* The view of the cable without jobs that was not used for the longest time; *count_out: of all. */
static struct client *oldest_view(const struct cable *c, size_t *count_out)
{
    struct client *oldest = NULL;
    *count_out = 0;
    for (struct client *v = c->hub->clients; v; v = v->next) {
        if (!v->is_view || v->cable != c)
            continue;
        ++*count_out;
        if (!jobs_in(v) && (!oldest || v->used_ms < oldest->used_ms))
            oldest = v;
    }
    return oldest;
}

/* Which view: what was asked for, and by whom, as the kernel says: another container's files are
 * others. */
static int view_of(struct client *j, struct bytes asked)
{
    uint8_t both[2 * MRC_HUB_KEY_BYTES];
    if (asked.len != MRC_HUB_KEY_BYTES || j->pidfd < 0)
        return -EPROTO;
    memcpy(both, asked.ptr, asked.len);
    int rc = mrc_hub_who(j->pid, both + MRC_HUB_KEY_BYTES);
    /* Was it still the one who connected? */
    if (rc == 0 && syscall(SYS_pidfd_send_signal, j->pidfd, 0, NULL, 0) < 0)
        rc = -errno;
    if (rc < 0)
        return rc;
    crypto_sha256(j->view, both, sizeof both);
    j->has_view = true;
    return 0;
}

static void cable_end(struct cable *c);
static void client_free(struct client *j);

static void on_cable_idle(void *ctx)
{
    struct cable *c = ctx;
    struct hub *h = c->hub;
    log_keep("%s: the connection ends: there was no job for a while", c->host);
    cable_end(c);
    if (!h->clients && !h->cables)
        loop_stop(h->loop, 0);
}

static void look_cable_idle(struct cable *c)
{
    if (users_of(c) || c->idle_ms >= (uint64_t)MRC_HUB_NEVER * 1000)
        loop_timer_del(&c->idle);
    else
        loop_timer_set(c->hub->loop, &c->idle, c->idle_ms, on_cable_idle, c);
}

/* ---- answers ---- */

static void tell_none(struct client *j, const char *why)
{
    j->is_waiting = false;
    loop_timer_del(&j->timer);
    struct mrc_hub_msg m = { .id = MRC_HUB_none, .none = { bytes_of(why) } };
    if (mrc_hub_send(j->fd, &m, -1) < 0)
        log_at(LOG_VERBOSE, "hub: an answer was lost");
}

static void on_wait_over(void *ctx)
{
    tell_none(ctx, "no agent could be started in time on the connection that is there");
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
static void serve(struct cable *c)
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
        struct client *v = j->is_job && j->has_view ? find_view(c, j->view) : NULL;
        if (v && mark_view(v) == 0) {
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
    look_cable_idle(c);
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
            tell_none(j, "no further agent can be started on the connection that is there");
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
    serve(c);
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
    serve(s->cable);
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

static void cable_end(struct cable *c)
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
            tell_none(j, "the connection has just ended");
        bool is_its_view = j->is_view && j->cable == c;
        if (j->cable == c)
            j->cable = NULL;
        if (is_its_view)
            client_free(j); /* the view ends with its last job */
    }
    loop_fd_del(&c->watch);
    loop_timer_del(&c->idle);
    fd_close(&c->control);
    free(c->command);
    free(c);
    look_idle(h);
}

static void on_control(void *ctx, uint32_t events)
{
    (void)events; /* its holder never says anything: it has ended */
    log_keep("%s: the connection was lost", ((struct cable *)ctx)->host);
    cable_end(ctx);
}

static struct cable *find_cable(struct hub *h, const uint8_t key[MRC_HUB_KEY_BYTES])
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
static struct cable *cable_new(struct client *j, const struct hub_offer *o, int control)
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

/* ---- what clients say ---- */

static void text_of(struct bytes from, char to[MRC_HUB_TEXT_BYTES])
{
    size_t len = from.len < MRC_HUB_TEXT_BYTES - 1 ? from.len : MRC_HUB_TEXT_BYTES - 1;
    memcpy(to, from.ptr, len);
    to[len] = 0;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)to[i] < ' ' || to[i] == 127)
            to[i] = '?';
}

static bool is_our_version(struct bytes said)
{
    struct bytes ours = bytes_of(mrc_hub_version);
    return said.len == ours.len && memcmp(said.ptr, ours.ptr, ours.len) == 0;
}

static int got_job(struct client *j, const struct hub_job *m)
{
    if (!is_our_version(m->version)) {
        log_keep("process %d is of another version of mrc", (int)j->pid);
        tell_none(j, "the hub that runs is of another version of mrc");
        return 0;
    }
    if (j->is_job || (m->key.len && m->key.len != sizeof j->key))
        return -EPROTO;
    j->is_job = true;
    j->state = MRC_HUB_CONNECTING;
    j->since_ms = clock_mono_ms();
    text_of(m->host, j->host);
    text_of(m->command, j->command);
    if (m->view.len && view_of(j, m->view) < 0)
        j->has_view = false; /* it has a view of its own, then */
    struct cable *c = NULL;
    if (m->key.len) {
        memcpy(j->key, m->key.ptr, sizeof j->key);
        c = find_cable(j->hub, j->key);
    }
    if (c && m->age_ms && clock_mono_ms() - c->since_ms >= m->age_ms)
        c->is_doubtful = true;
    if (!c || c->is_doubtful) {
        tell_none(j, c ? "the connection to this target may be lost" : "no connection to this target is kept");
        return 0;
    }
    j->is_waiting = true;
    loop_timer_set(j->hub->loop, &j->timer, WAIT_MS, on_wait_over, j);
    serve(c);
    return 0;
}

static int tell_registered(struct client *j, bool is_ours, const struct client *other)
{
    struct mrc_hub_msg m = { .id = MRC_HUB_registered, .registered = { .is_ours = is_ours } };
    if (other) {
        m.registered.id = (struct bytes){ other->id, sizeof other->id };
        m.registered.mark = other->mark;
    }
    return mrc_hub_send(j->fd, &m, -1);
}

static int got_view(struct client *j, const struct hub_view *m)
{
    if (!is_our_version(m->version))
        return -EPROTONOSUPPORT;
    if (j->is_job || j->is_view || m->key.len != sizeof j->key || m->id.len != sizeof j->id)
        return -EPROTO;
    struct cable *c = find_cable(j->hub, m->key.ptr);
    if (!c || view_of(j, m->view) < 0)
        return tell_registered(j, false, NULL);
    struct client *other = find_view(c, j->view);
    if (other && mark_view(other) == 0)
        return tell_registered(j, false, other);
    size_t count;
    struct client *oldest = oldest_view(c, &count);
    if (count >= VIEWS_MAX && !oldest)
        return tell_registered(j, false, NULL);
    if (count >= VIEWS_MAX)
        client_free(oldest);
    j->is_view = true;
    j->cable = c;
    j->since_ms = j->used_ms = clock_mono_ms();
    memcpy(j->key, m->key.ptr, sizeof j->key);
    memcpy(j->id, m->id.ptr, sizeof j->id);
    text_of(m->host, j->host);
    text_of(m->what, j->command);
    int rc = tell_registered(j, true, NULL);
    if (rc == 0 && m->wants_agent) {
        j->is_waiting = true;
        loop_timer_set(j->hub->loop, &j->timer, WAIT_MS, on_wait_over, j);
        serve(c);
    }
    return rc;
}

static int got_unkept(struct client *j, const struct hub_unkept *m)
{
    if (!j->is_view)
        return -EPROTO;
    char why[MRC_HUB_TEXT_BYTES];
    text_of(m->why, why);
    if (j->cable)
        snprintf(j->cable->why_no_views, sizeof j->cable->why_no_views, "%.190s", why);
    return 0;
}

static int got_offer(struct client *j, const struct hub_offer *m, int *fd)
{
    if (!j->is_job || *fd < 0 || m->key.len != MRC_HUB_KEY_BYTES)
        return -EPROTO;
    struct hub *h = j->hub;
    struct mrc_hub_msg answer = { .id = MRC_HUB_kept };
    struct cable *old = find_cable(h, m->key.ptr);
    if (old && old->is_doubtful) {
        log_keep("%s: another connection takes the place of one that was in doubt", old->host);
        cable_end(old);
        old = NULL;
    }
    bool is_new = !h->is_stopping && h->cable_count < HUB_CABLES_MAX && !old;
    struct cable *c = is_new ? cable_new(j, m, take_fd(fd)) : NULL;
    answer.kept.is_kept = c != NULL;
    if (c)
        j->cable = c;
    int rc = mrc_hub_send(j->fd, &answer, -1);
    if (c)
        serve(c);
    return rc;
}

static int tell_entry(int fd, const struct mrc_hub_msg *m)
{
    int rc = mrc_hub_send(fd, m, -1);
    if (rc != -EAGAIN)
        return rc;
    struct pollfd p = { fd, POLLOUT, 0 };
    return poll(&p, 1, 1000) == 1 ? mrc_hub_send(fd, m, -1) : -ETIMEDOUT;
}

static int got_list(struct client *asking)
{
    struct hub *h = asking->hub;
    uint64_t now_ms = clock_mono_ms();
    struct mrc_hub_msg done = { .id = MRC_HUB_done };
    int rc = 0;
    for (const struct client *j = h->clients; j && rc == 0; j = j->next) {
        if (!j->is_job)
            continue;
        done.done.jobs++;
        struct mrc_hub_msg m = { .id = MRC_HUB_entry,
                                 .entry = { (uint8_t)j->state, bytes_of(j->host),
                                            bytes_of(j->command), (uint32_t)j->pid,
                                            j->there_pid, now_ms - j->since_ms } };
        rc = tell_entry(asking->fd, &m);
    }
    for (const struct client *v = h->clients; v && rc == 0; v = v->next) {
        if (!v->is_view)
            continue;
        struct mrc_hub_msg m = { .id = MRC_HUB_entry,
                                 .entry = { MRC_HUB_VIEW, bytes_of(v->host),
                                            bytes_of(v->command), (uint32_t)v->pid,
                                            (uint32_t)jobs_in(v), now_ms - v->since_ms } };
        rc = tell_entry(asking->fd, &m);
    }
    for (const struct cable *c = h->cables; c && rc == 0; c = c->next) {
        done.done.links++;
        struct mrc_hub_msg m = { .id = MRC_HUB_entry,
                                 .entry = { MRC_HUB_LINK, bytes_of(c->host), bytes_of(""), 0,
                                            (uint32_t)users_of(c), now_ms - c->since_ms } };
        rc = tell_entry(asking->fd, &m);
    }
    return rc < 0 ? rc : tell_entry(asking->fd, &done);
}

static bool is_meant(const char *host, const char *wanted)
{
    const char *at = strrchr(host, '@');
    return !*wanted || strcmp(host, wanted) == 0 || (at && strcmp(at + 1, wanted) == 0);
}

static int got_stop(struct client *asking, const struct hub_stop *m)
{
    struct hub *h = asking->hub;
    char host[MRC_HUB_TEXT_BYTES];
    struct mrc_hub_msg done = { .id = MRC_HUB_done };
    text_of(m->host, host);
    for (const struct client *j = h->clients; j && m->with_jobs; j = j->next)
        if (j->is_job && is_meant(j->host, host) && j->pidfd >= 0 &&
            syscall(SYS_pidfd_send_signal, j->pidfd, SIGTERM, NULL, 0) == 0)
            done.done.jobs++;
    for (struct cable *c = h->cables, *next; c; c = next) {
        next = c->next;
        if (!is_meant(c->host, host))
            continue;
        log_keep("%s: the connection ends: it is told to", c->host);
        cable_end(c);
        done.done.links++;
    }
    h->is_stopping = h->is_stopping || !*host;
    return mrc_hub_send(asking->fd, &done, -1);
}

static int got_message(struct client *j, const struct mrc_hub_msg *m, int *fd)
{
    switch (m->id) {
    case MRC_HUB_job: return got_job(j, &m->job);
    case MRC_HUB_started:
        log_keep("%s: job of process %d runs there as %u", j->host, (int)j->pid, m->started.pid);
        j->state = MRC_HUB_RUNNING;
        j->there_pid = m->started.pid;
        j->has_id = m->started.view_id.len == sizeof j->id;
        if (j->has_id)
            memcpy(j->id, m->started.view_id.ptr, sizeof j->id);
        return 0;
    case MRC_HUB_offer: return got_offer(j, &m->offer, fd);
    case MRC_HUB_list: return is_our_version(m->list.version) ? got_list(j) : -EPROTONOSUPPORT;
    case MRC_HUB_stop: return got_stop(j, &m->stop);
    case MRC_HUB_view: return got_view(j, &m->view);
    case MRC_HUB_unkept: return got_unkept(j, &m->unkept);
    default: return -EPROTO;
    }
}

/* ---- clients ---- */

static void client_free(struct client *j)
{
    struct hub *h = j->hub;
    struct client **at = &h->clients;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    h->client_count--;
    struct cable *c = j->cable;
    if (j->is_job || j->is_view)
        log_keep("%s: %s of process %d has ended", j->host, j->is_job ? "job" : "view", (int)j->pid);
    loop_fd_del(&j->watch);
    loop_timer_del(&j->timer);
    fd_close(&j->fd);
    fd_close(&j->pidfd);
    free(j);
    if (c && !c->spares)
        serve(c); /* its place on the connection is free again */
    else if (c)
        look_cable_idle(c);
    look_idle(h);
}

static void on_client(void *ctx, uint32_t events)
{
    static uint8_t space[MRC_HUB_MSG_MAX];
    struct client *j = ctx;
    AUTO_FD fd = -1;
    (void)events;
    int n = mrc_share_take(j->fd, space, sizeof space, &fd);
    if (n == -EAGAIN)
        return;
    struct mrc_hub_msg m;
    int rc = n < 0 ? n : mrc_hub_msg_get((struct bytes){ space, (uint32_t)n }, &m);
    if (rc == 0)
        rc = got_message(j, &m, &fd);
    if (rc < 0 && rc != -ECONNRESET)
        log_keep("process %d is cut off: %s", (int)j->pid, strerror(-rc));
    if (rc < 0)
        client_free(j);
}

static void on_accept(void *ctx, uint32_t events)
{
    struct hub *h = ctx;
    (void)events;
    AUTO_FD fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred who = { 0, (uid_t)-1, 0 };
    socklen_t len = sizeof who;
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 ||
        who.uid != geteuid() || h->client_count >= HUB_CLIENTS_MAX) {
        log_keep("refused a client%s", fd >= 0 && who.uid == geteuid() ? ": there are too many" : "");
        return;
    }
    struct client *j = calloc(1, sizeof *j);
    if (!j)
        return;
    j->hub = h;
    j->pid = who.pid;
    j->pidfd = (int)syscall(SYS_pidfd_open, who.pid, 0);
    j->fd = take_fd(&fd);
    j->next = h->clients;
    h->clients = j;
    h->client_count++;
    if (loop_fd_add(h->loop, &j->watch, j->fd, EPOLLIN, on_client, j) < 0)
        client_free(j);
    look_idle(h);
}

/* ---- life ---- */

/* Returns 0 with the listening socket; -EBUSY another one runs. lock stays ours. */
static int listen_at(int dir, int *lock, int *fd_out)
{
    *lock = openat(dir, "hub.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock < 0)
        return -errno;
    if (flock(*lock, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/hub.sock", dir);
    (void)unlinkat(dir, "hub.sock", 0); /* of one that was killed */
    umask(0177);                        /* the socket's mode */
    int rc = fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ? -errno : 0;
    umask(077);
    if (rc < 0 || listen(fd, BACKLOG) < 0)
        return rc < 0 ? rc : -errno;
    *fd_out = take_fd(&fd);
    return 0;
}

int mrc_hub_main(void)
{
    struct hub h = { .listen_fd = -1 };
    AUTO_FD dir = -1;
    AUTO_FD lock = -1;
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    int rc = mrc_hub_dir(&dir, NULL);
    if (rc == 0)
        rc = listen_at(dir, &lock, &h.listen_fd);
    if (rc == 0)
        rc = chdir("/") < 0 ? -errno : loop_new(&h.loop);
    if (rc == 0)
        rc = loop_fd_add(h.loop, &h.watch, h.listen_fd, EPOLLIN, on_accept, &h);
    if (rc < 0)
        return 1;
    mrc_log_here("hub");
    log_keep("starts");
    look_idle(&h);
    rc = loop_run(h.loop);
    log_keep("ends");
    (void)unlinkat(dir, "hub.sock", 0);
    return rc < 0; /* the kernel closes the rest, and that ends what it held */
}
