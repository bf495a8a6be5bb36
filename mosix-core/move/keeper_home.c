/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper_home.c: a keeper's hands at home, and mx_holder_step of the home's own place.
 * Must not know: connections. */
#include "mosix-core/move/keeping.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void mx_keeper_held(struct mx_keeper *k, enum mx_holder_event what, enum mx_why why)
{
    mx_keeper_hold(k,
                   (struct mx_holder_in){ .what = what, .why = why, .move = k->holder.move });
}

/* Is the job's own process still there? Everybody else who asks may be a moment too early. */
bool mx_keeper_has_process(const struct mx_keeper *k)
{
    struct pollfd p = { k->how.process, POLLIN, 0 };
    return poll(&p, 1, 0) == 0;
}

bool mx_keeper_is_tied(const struct mx_keeper *k)
{
    return (k->holder.is != MX_IS_RUNNING && k->holder.is != MX_IS_COPYING) ||
           k->frost > MX_FROST_FREEZING;
}

/* A stub, and a process whose image is whole somewhere else, has died with them, and says so
 * itself. Any other goes on by itself: then a move that has begun is given up. */
static void hands_died(struct mx_keeper *k)
{
    bool is_tied = mx_keeper_is_tied(k);
    mx_hands_end(&k->hands);
    k->served = 0;
    mx_keeper_frost_end(k);
    if (k->is_first_home) {
        log_error("job %d: what was away of it is lost: who held it was killed",
                  (int)k->how.pid);
        mx_keeper_is_at_home(k);
        return;
    }
    mx_keeper_why(k, "who held its own process was killed");
    if (is_tied)
        k->lost_until_ms = clock_mono_ms() + MX_KEEPER_TIED_MS;
    if (k->holder.is == MX_IS_COPYING || k->holder.is == MX_IS_STOPPING)
        mx_keeper_held(k, MX_HOLD_FAILED, MX_WHY_REFUSED);
}

/* The process has come home by itself, or executed another program there: nobody holds it, and
 * whatever was elsewhere is of what it was. */
void mx_keeper_is_at_home(struct mx_keeper *k)
{
    k->is_first_home = k->is_family = k->had_family = k->is_fetching = false;
    for (unsigned i = 0; i < MX_KEEPER_HOSTS; i++)
        if (k->hosts[i].place)
            mx_host_forget(&k->hosts[i]);
    mx_keeper_end_relay(k);
    mx_migrate_init(&k->plan, (int64_t)clock_mono_ms());
    mx_holder_init(&k->holder, true, true);
    k->streams_move = 0;
    k->park = (struct mx_range){ 0 };
    k->why[0] = 0;
    if (k->came[0]) {
        mx_keeper_why(k, k->came);
        mx_keeper_note_move(k);
        k->stays_ms = k->stays_ms ? 2 * k->stays_ms : MX_STAYS_MS;
        if (k->stays_ms > MX_STAYS_MAX_MS)
            k->stays_ms = MX_STAYS_MAX_MS;
        k->stays_until_ms = clock_mono_ms() + k->stays_ms;
    }
    k->came[0] = 0;
    mx_keeper_read_program(k);
    mx_keeper_start_linger(k);
}

/* Nothing is done to it before there is a way. */
void mx_keeper_copy_if_ready(struct mx_keeper *k)
{
    struct mx_host *to = mx_keeper_host(k, k->plan.there);
    if (!k->is_looked || k->holder.is != MX_IS_COPYING || !to || !to->has_image ||
        !to->has_calls)
        return;
    k->is_looked = false;
    mx_keeper_tell(k, MX_HANDS_COPY, take_fd(&to->image.plain));
}

/* One of them goes on here. */
static void came_home(struct mx_keeper *k, const struct mx_note *n)
{
    log_at(LOG_VERBOSE, "job %d: %s %d came home%s%s", (int)k->how.pid,
           n->number ? "its process" : "process", n->number ? (int)n->number : (int)k->how.pid,
           n->text[0] ? " because it " : "", n->text);
    if (n->number) {
        mx_keeper_child_came(k, (pid_t)n->number, n->text[0]);
        return;
    }
    k->is_first_home = true;
    if (n->text[0])
        snprintf(k->came, sizeof k->came, "came home because it %.200s", n->text);
}

static void missed(struct mx_keeper *k, const struct mx_note *n)
{
    mx_keeper_say(k, n->number ? (pid_t)n->number : k->how.pid, n->text);
}

static void killed(struct mx_keeper *k, const struct mx_note *n)
{
    char text[MX_WORDS_MAX + MX_NODE_NAME_MAX + 32];
    snprintf(text, sizeof text, "it was killed at %s%s", mx_keeper_name(k, k->plan.here),
             n->text);
    mx_keeper_say(k, n->number ? (pid_t)n->number : k->how.pid, text);
}

/* All that were away have ended or are here. */
static void none_is_away(struct mx_keeper *k, bool is_first_home)
{
    bool is_own_wish = k->came[0];
    k->is_family = k->is_fetching = false;
    if (is_first_home) {
        mx_keeper_is_at_home(k);
        mx_keeper_first_came(k, is_own_wish);
    } else if (k->is_first_gone && !k->is_over) {
        k->is_over = true;
        mx_keeper_plan(k, (struct mx_migrate_in){ .what = MX_MIG_KILLED });
        mx_keeper_end(k);
    }
}

/* Not by its number, which somebody else may have by now. */
static void kill_process(const struct mx_keeper *k)
{
    if (syscall(SYS_pidfd_send_signal, k->how.process, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
        log_error("job %d can't be ended: %s", (int)k->how.pid, strerror(errno));
}

static void on_note(struct mx_keeper *k, const struct mx_note *n)
{
    if (n->what != MX_HANDS_CAME && n->what != MX_HANDS_MISSED && n->what != MX_HANDS_KILLED &&
        !(n->what == MX_HANDS_ROUND && mx_hands_is_cut(n->rc)))
        mx_keeper_why(k, n->text);
    switch (n->what) {
    case MX_HANDS_CAME: came_home(k, n); break;
    case MX_HANDS_MISSED: missed(k, n); break;
    case MX_HANDS_KILLED: killed(k, n); break;
    case MX_HANDS_FAMILY:
        k->is_family = n->number == 1;
        k->had_family |= k->is_family;
        break;
    case MX_HANDS_LOOK:
        if (n->rc < 0) {
            mx_keeper_held(k, MX_HOLD_FAILED, MX_WHY_REFUSED);
        } else {
            k->is_looked = true;
            mx_keeper_copy_if_ready(k);
        }
        break;
    case MX_HANDS_COPY:
        if (n->rc < 0)
            mx_keeper_held(k, MX_HOLD_FAILED, MX_WHY_REFUSED);
        break;
    case MX_HANDS_ROUND:
        if (mx_hands_is_cut(n->rc)) /* the other place says why, or that it is cut */
            log_at(LOG_VERBOSE, "job %d: its image was cut: %s", (int)k->how.pid, n->text);
        else if (n->rc < 0)
            mx_keeper_held(k, MX_HOLD_FAILED, MX_WHY_REFUSED);
        else
            mx_keeper_hold(k, (struct mx_holder_in){ .what = MX_HOLD_ROUND,
                                                     .move = k->holder.move,
                                                     .left_ms = (uint32_t)n->number });
        break;
    case MX_HANDS_SOME: mx_keeper_held(k, MX_HOLD_ARRIVING, MX_WHY_NOT); break;
    case MX_HANDS_STOP:
        if (n->rc < 0)
            mx_keeper_held(k, MX_HOLD_FAILED, MX_WHY_REFUSED);
        else
            mx_keeper_held(k, MX_HOLD_STOPPED, MX_WHY_NOT);
        break;
    case MX_HANDS_RESTORE:
        if (n->rc < 0)
            mx_keeper_held(k, MX_HOLD_FAILED, MX_WHY_BAD_IMAGE);
        else
            mx_keeper_held(k, MX_HOLD_WHOLE, MX_WHY_NOT);
        break;
    case MX_HANDS_PARK: /* a new one, or an old one that is empty again */
        k->park = (struct mx_range){ (uint64_t)n->big, (uint64_t)n->also };
        k->is_park_used = false;
        break;
    case MX_HANDS_FREEZE:
    case MX_HANDS_THAW: mx_keeper_on_frost(k, n); break;
    case MX_HANDS_DIED: kill_process(k); break;
    case MX_HANDS_SEND: /* the other place finds its image cut, and says so */
    case MX_HANDS_ENDED: none_is_away(k, n->number == 1); break;
    case MX_HANDS_LOST: /* usually so is the connection for orders */
        /* Hands that have just been told of a new one may still say it of the old one. */
        if (n->number == k->served) {
            k->unserved = k->served;
            k->unserved_ms = clock_mono_ms();
        }
        if (n->rc < 0)
            log_at(LOG_NORMAL, "calls of process %d: %s", (int)k->how.pid, n->text);
        break;
    default: break;
    }
}

void mx_keeper_on_hands(void *ctx, uint32_t events UNUSED)
{
    struct mx_keeper *k = ctx;
    struct mx_note n;
    int fd, rc = mx_note_receive(k->hands.sock, &n, &fd, false);
    fd_close(&fd);
    if (rc > 0) {
        on_note(k, &n);
    } else if (rc < 0) {
        loop_fd_del(&k->on_hands);
        hands_died(k);
    }
}

static int need_hands(struct mx_keeper *k)
{
    struct err e = { "" };
    if (k->hands.pid > 0)
        return 0;
    int rc = mx_hands_at_home(&k->hands, k->how.pid, &e);
    if (rc == 0)
        rc = loop_fd_add(k->loop, &k->on_hands, k->hands.sock, EPOLLIN, mx_keeper_on_hands, k);
    if (rc < 0)
        mx_keeper_why(k, e.text);
    return rc;
}

void mx_keeper_tell(struct mx_keeper *k, enum mx_hands_ask what, int fd)
{
    if (need_hands(k) < 0 || mx_hands_tell(&k->hands, what, fd, 0, 0) < 0)
        log_error("job %d: nobody holds its process", (int)k->how.pid);
}

/* The calls of the copy that has the right are served. Not said twice: hands that are told
 * something drop what has come for them. */
void mx_keeper_serve(struct mx_keeper *k)
{
    struct mx_host *h = mx_keeper_host(k, k->plan.here);
    if (!h || !h->calls.pid || h->calls.pid == k->served)
        return;
    k->served = h->calls.pid;
    if (need_hands(k) < 0 ||
        mx_hands_tell(&k->hands, MX_HANDS_SERVE, dup(h->calls.plain), k->served, 0) < 0)
        log_error("job %d: nobody holds its process", (int)k->how.pid);
}

/* ---- the home's own place ---- */

static void do_build(struct mx_keeper *k UNUSED) /* the hands are told when an image comes */
{
}

static void do_copy(struct mx_keeper *k)
{
    k->is_looked = false;
    mx_keeper_tell(k, MX_HANDS_LOOK, -1);
}

static void do_stop(struct mx_keeper *k)
{
    mx_keeper_tell(k, MX_HANDS_STOP, -1);
}

static void do_send_rest(struct mx_keeper *k)
{
    mx_keeper_tell(k, MX_HANDS_SEND, -1);
}

static void do_run(struct mx_keeper *k)
{
    k->served = 0;
    mx_keeper_tell(k, MX_HANDS_RUN, -1);
}

static void do_drop(struct mx_keeper *k)
{
    if (k->plan.phase != MX_OVER)
        mx_keeper_serve(k);
    mx_keeper_held(k, MX_HOLD_DROPPED, MX_WHY_NOT);
}

/* The job is over, and what is left of it here is ended, as the copy was if that is known. */
void mx_keeper_end_process(struct mx_keeper *k)
{
    int signo = k->signal ? k->signal : SIGKILL;
    if (!mx_keeper_has_process(k))
        return;
    if (k->hands.pid <= 0 || mx_hands_tell(&k->hands, MX_HANDS_END, -1, signo, 0) < 0)
        kill_process(k);
}

static void (*const dos[])(struct mx_keeper *k) = {
    [MX_DO_BUILD] = do_build,         [MX_DO_COPY] = do_copy, [MX_DO_STOP] = do_stop,
    [MX_DO_SEND_REST] = do_send_rest, [MX_DO_RUN] = do_run,   [MX_DO_DROP] = do_drop,
};

void mx_keeper_hold(struct mx_keeper *k, struct mx_holder_in in)
{
    struct mx_holder_out out;
    in.now_ms = (int64_t)clock_mono_ms();
    mx_holder_step(&k->holder, &in, &out);
    for (unsigned i = 0; i < out.count; i++)
        if (out.actions[i] != MX_DO_REPORT)
            dos[out.actions[i]](k);
    for (unsigned i = 0; i < out.count; i++)
        if (out.actions[i] == MX_DO_REPORT)
            mx_keeper_plan(k, (struct mx_migrate_in){ .what = MX_MIG_REPORT,
                                                      .place = MX_HOME,
                                                      .report = &out.report });
}
