/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hubsays.c: what the hub is told and asked, and what it answers.
 * Must not know: how connections are kept. Source: mrc/hub.def. */
#include "mrc/hubparts.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    WAIT_MS = 8000, /* for an agent that is being started; then mrc connects by itself */
    VIEWS_MAX =
        4, /* kept on one connection: each has a channel of it, of which sshd allows ten */
};

void hub_tell_none(struct client *j, const char *why)
{
    j->is_waiting = false;
    loop_timer_del(&j->timer);
    struct mrc_hub_msg m = { .id = MRC_HUB_none, .none = { bytes_of(why) } };
    if (mrc_hub_send(j->fd, &m, -1) < 0)
        log_at(LOG_VERBOSE, "hub: an answer was lost");
}

void hub_on_wait_over(void *ctx)
{
    hub_tell_none(ctx, "no agent could be started in time on the connection that is there");
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
        hub_tell_none(j, "the hub that runs is of another version of mrc");
        return 0;
    }
    if (j->is_job || (m->key.len && m->key.len != sizeof j->key))
        return -EPROTO;
    j->is_job = true;
    j->state = MRC_HUB_CONNECTING;
    j->since_ms = clock_mono_ms();
    text_of(m->host, j->host);
    text_of(m->command, j->command);
    if (m->view.len && hub_view_of(j, m->view) < 0)
        j->has_view = false; /* it has a view of its own, then */
    struct cable *c = NULL;
    if (m->key.len) {
        memcpy(j->key, m->key.ptr, sizeof j->key);
        c = hub_cable_find(j->hub, j->key);
    }
    if (c && m->age_ms && clock_mono_ms() - c->since_ms >= m->age_ms)
        c->is_doubtful = true;
    if (!c || c->is_doubtful) {
        hub_tell_none(j, c ? "the connection to this target may be lost"
                           : "no connection to this target is kept");
        return 0;
    }
    j->is_waiting = true;
    loop_timer_set(j->hub->loop, &j->timer, WAIT_MS, hub_on_wait_over, j);
    hub_cable_serve(c);
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
    struct cable *c = hub_cable_find(j->hub, m->key.ptr);
    if (!c || hub_view_of(j, m->view) < 0)
        return tell_registered(j, false, NULL);
    struct client *other = hub_view_find(c, j->view);
    if (other && hub_view_mark(other) == 0)
        return tell_registered(j, false, other);
    size_t count;
    struct client *oldest = hub_view_oldest(c, &count);
    if (count >= VIEWS_MAX && !oldest)
        return tell_registered(j, false, NULL);
    if (count >= VIEWS_MAX)
        hub_client_free(oldest);
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
        loop_timer_set(j->hub->loop, &j->timer, WAIT_MS, hub_on_wait_over, j);
        hub_cable_serve(c);
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
    struct cable *old = hub_cable_find(h, m->key.ptr);
    if (old && old->is_doubtful) {
        log_keep("%s: another connection takes the place of one that was in doubt", old->host);
        hub_cable_end(old);
        old = NULL;
    }
    bool is_new = !h->is_stopping && h->cable_count < HUB_CABLES_MAX && !old;
    struct cable *c = is_new ? hub_cable_new(j, m, take_fd(fd)) : NULL;
    answer.kept.is_kept = c != NULL;
    if (c)
        j->cable = c;
    int rc = mrc_hub_send(j->fd, &answer, -1);
    if (c)
        hub_cable_serve(c);
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
        struct mrc_hub_msg m = {
            .id = MRC_HUB_entry,
            .entry = { MRC_HUB_VIEW, bytes_of(v->host), bytes_of(v->command), (uint32_t)v->pid,
                       (uint32_t)hub_view_jobs(v), now_ms - v->since_ms }
        };
        rc = tell_entry(asking->fd, &m);
    }
    for (const struct cable *c = h->cables; c && rc == 0; c = c->next) {
        done.done.links++;
        struct mrc_hub_msg m = { .id = MRC_HUB_entry,
                                 .entry = { MRC_HUB_LINK, bytes_of(c->host), bytes_of(""), 0,
                                            (uint32_t)hub_cable_users(c),
                                            now_ms - c->since_ms } };
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
        hub_cable_end(c);
        done.done.links++;
    }
    h->is_stopping = h->is_stopping || !*host;
    return mrc_hub_send(asking->fd, &done, -1);
}

int hub_got_message(struct client *j, const struct mrc_hub_msg *m, int *fd)
{
    switch (m->id) {
    case MRC_HUB_job: return got_job(j, &m->job);
    case MRC_HUB_started:
        log_keep("%s: job of process %d runs there as %u", j->host, (int)j->pid,
                 m->started.pid);
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
