/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hands_home.c: a job's own process: captured where it is, kept as a stub while the job is
 * away, and filled again when it comes home. Must not know: where the copies are. */
#include "common/sys/fd.h"
#include "mosix-core/deputy/dump.h"
#include "mosix-core/deputy/inject.h"
#include "mosix-core/deputy/own.h"
#include "mosix-core/deputy/room.h"
#include "mosix-core/image/capture.h"
#include "mosix-core/image/collect.h"
#include "mosix-core/image/parts.h"
#include "mosix-core/image/restore.h"
#include "mosix-core/image/scan.h"
#include "mosix-core/image/send.h"
#include "mosix-core/move/freeze.h"
#include "mosix-core/move/hands.h"
#include "mosix-core/move/stay.h"
#include "mosix-core/net/prompt.h"
#include "mosix-core/plan/migrate.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

struct home {
    int sock;
    pid_t pid;
    struct mx_capture c;
    bool is_held;    /* traced, and stands still */
    bool is_stub;    /* the job is away */
    int calls;       /* of the copy that is served; -1: none */
    int32_t serving; /* what the keeper calls that connection */
    struct mx_sealed *sealed;
    struct mx_send *send;
    int image, uffd;      /* of send; -1: none */
    struct mx_range park; /* where the stub has room for an image that comes; 0: nowhere */
    uint64_t said_ms;     /* when it was last said that an image comes */
};

static void end_calls(struct home *h)
{
    mx_sealed_free(h->sealed);
    h->sealed = NULL;
    fd_close(&h->calls);
}

/* ---- becoming a stub ---- */

/* Timers of processor time go on where the copy is. */
static int stop_timers(struct home *h, struct err *e)
{
    struct mx_tracee *t = &h->c.t;
    struct itimerval none;
    memset(&none, 0, sizeof none);
    int rc = mx_tracee_write(t, t->scratch, &none, sizeof none, e);
    for (uint64_t which = ITIMER_VIRTUAL; rc == 0 && which <= ITIMER_PROF; which++) {
        struct mx_call c = { SYS_setitimer, { which, t->scratch, 0 } };
        rc = mx_tracee_must(t, &c, "setitimer", e);
    }
    return rc;
}

static int become_stub(struct home *h, struct err *e)
{
    int rc = mx_tracee_scratch(&h->c.t, 0, e);
    if (rc == 0)
        rc = stop_timers(h, e);
    if (rc == 0)
        rc = mx_tracee_unscratch(&h->c.t, e);
    h->is_stub = rc == 0;
    return rc;
}

static int say_park(const struct home *h)
{
    struct mx_note n = { .what = MX_HANDS_PARK,
                         .big = (int64_t)h->park.start,
                         .also = (int64_t)h->park.end };
    return mx_note_send(h->sock, &n, -1);
}

/* ---- what is asked ---- */

static int do_look(struct home *h, int fd UNUSED, int32_t number UNUSED, struct err *e)
{
    return mx_stay_look(h->pid, e);
}

/* All of it is as if it had never been. */
static void end_send(struct home *h)
{
    mx_send_free(h->send);
    h->send = NULL;
    fd_close(&h->image);
    fd_close(&h->uffd);
}

/* Rounds are sent when it is their turn: only what is left at last is urgent. */
static void before_rounds(void *ctx UNUSED)
{
    mx_be_prompt(0, false);
}

static void on_round(void *ctx, int rc, uint32_t left_ms, const struct err *e)
{
    struct home *h = ctx;
    if (mx_hands_say(h->sock, MX_HANDS_ROUND, rc, (int32_t)left_ms, e) < 0)
        _exit(1); /* nobody is there who could want it */
}

static int do_copy(struct home *h, int fd, int32_t number UNUSED, struct err *e)
{
    struct err none = { "" };
    end_send(h);
    h->image = dup(fd);
    if (h->image < 0)
        return err_set(e, errno, "keep a stream");
    /* On an old kernel, or when the process may not, all goes at the end. */
    int rc = mx_capture_watch(h->pid, &h->uffd, &none);
    if (rc < 0 && rc != -ENOTSUP)
        return err_say(e, -rc, "%s", none.text);
    struct mx_send_how how = { .pid = h->pid,
                               .what_for = MX_CAPTURE_MOVE,
                               .fd = h->image,
                               .uffd = h->uffd,
                               .before = before_rounds,
                               .round = on_round,
                               .little_ms = MX_FREEZE_AIM_MS,
                               .ctx = h };
    return mx_send_start(&h->send, &how, e);
}

static int do_stop(struct home *h, int fd UNUSED, int32_t number UNUSED, struct err *e)
{
    if (h->is_held)
        return 0;
    if (h->send)
        mx_send_stop(h->send);
    h->c = (struct mx_capture){ .what_for = MX_CAPTURE_MOVE };
    int rc = mx_capture_stop(&h->c, h->pid, e);
    bool is_stopped = rc == 0;
    if (rc == 0)
        rc = mx_own_look(h->pid, e);
    if (is_stopped && rc < 0 &&
        mx_capture_release(&h->c, NULL) < 0) /* the first reason counts */
        return rc;
    h->is_held = rc == 0;
    return rc;
}

static int hold(pid_t tid, struct err *e)
{
    if (ptrace(PTRACE_SETOPTIONS, tid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0)
        return err_set(e, errno, "hold process %d", (int)tid);
    return 0;
}

static int hold_all(struct home *h, struct err *e)
{
    int rc = hold(h->pid, e);
    for (unsigned i = 0; rc == 0 && i < h->c.others.count; i++)
        rc = hold(h->c.others.list[i].t.pid, e);
    return rc;
}

static int do_send(struct home *h, int fd UNUSED, int32_t number UNUSED, struct err *e)
{
    int rc =
        h->is_held && h->send ? mx_send_rest(h->send, &h->c, e) : err_say(e, EINVAL, "it runs");
    /* Another may run from now on: this one must not, if nobody holds it. */
    if (rc == 0)
        rc = hold_all(h, e);
    end_send(h);
    return rc;
}

static int do_run(struct home *h, int fd UNUSED, int32_t number UNUSED, struct err *e)
{
    int rc = h->is_held ? mx_capture_release(&h->c, e) : 0;
    h->is_held = h->is_stub = false;
    end_send(h);
    end_calls(h);
    return rc;
}

static void some(void *ctx)
{
    struct home *h = ctx;
    mx_hands_get_on(h->sock, &h->said_ms);
}

/* number 1: from a collector. */
static int do_restore(struct home *h, int fd, int32_t number, struct err *e)
{
    struct mx_restore_how how = {
        .stub = &h->c.t, .stub_threads = &h->c.others, .some = some, .ctx = h
    };
    struct mx_restored r;
    struct mx_park park = { .start = h->park.start, .end = h->park.end };
    AUTO_FD pages = -1;
    if (!h->is_stub)
        return err_say(e, EINVAL, "there is no stub");
    int rc = number ? fd_receive(fd, &pages) : 0;
    if (rc < 0)
        return err_set(e, -rc, "get the pages of an image");
    rc = number ? mx_parked_get(fd, &park, e) : 0;
    if (number) {
        how.pages = &pages;
        how.park = &park;
    }
    if (rc == 0) {
        rc = mx_restore_as(fd, &how, &r, e);
        h->c.t = r.t;
        h->c.others = r.others;
        h->park = (struct mx_range){ 0 };
    }
    mx_park_fini(&park);
    return rc;
}

/* By its own signal if it can be, so that its parent sees it; without a dump of memory that is
 * not the job's. */
static int do_end(struct home *h, int fd UNUSED, int32_t number, struct err *e)
{
    struct mx_tracee *t = &h->c.t;
    bool is_fit = h->is_held && number > 0 && number != SIGKILL && number != SIGSTOP &&
                  mx_dump_forbid(t, e) == 0;
    int rc = is_fit && !t->scratch ? mx_tracee_scratch(t, 0, e) : 0;
    if (is_fit && rc == 0) {
        const uint64_t by_default[4] = { 0, 0, 0, 0 };
        struct mx_call c = { SYS_rt_sigaction, { (uint64_t)number, t->scratch, 0, 8 } };
        rc = mx_tracee_write(t, t->scratch, by_default, sizeof by_default, e);
        if (rc == 0)
            rc = mx_tracee_must(t, &c, "rt_sigaction", e);
        t->blocked = ~(UINT64_C(1) << (number - 1));
        if (rc == 0 && kill(h->pid, number) == 0)
            rc = mx_tracee_release(t, e);
        h->is_held = false;
    }
    if (!is_fit || rc < 0)
        kill(h->pid, SIGKILL);
    mx_threads_bury(&h->c.others);
    return 0;
}

static int do_serve(struct home *h, int fd, int32_t number, struct err *e)
{
    int rc = h->is_stub ? 0 : h->is_held ? become_stub(h, e) : err_say(e, EINVAL, "it runs");
    if (rc == 0 && fd >= 0) /* whatever is left in an old one */
        rc = mx_room_make(&h->park, &h->c.t, e);
    if (rc < 0 || fd < 0)
        return rc;
    if (say_park(h) < 0)
        _exit(1);
    end_calls(h);
    h->serving = number;
    h->calls = dup(fd);
    return h->calls < 0 ? err_set(e, errno, "keep a stream") : 0;
}

/* When it can't be emptied all comes back at once. */
static int do_freeze(struct home *h, int fd, int32_t number UNUSED, struct err *e)
{
    if (h->is_held)
        return err_say(e, EBUSY, "process %d is held already", (int)h->pid);
    int rc = mx_freeze_write(&h->c, h->pid, fd, e);
    if (rc < 0)
        return rc;
    h->is_held = true;
    /* It has no memory to go on with when nobody holds it. */
    rc = hold_all(h, e);
    if (rc == 0)
        rc = become_stub(h, e);
    if (rc == 0)
        rc = mx_tracee_empty(&h->c.t, &h->c.others, e);
    if (rc < 0 && h->is_stub && mx_freeze_read(&h->c, fd, NULL) < 0) {
        kill(h->pid, SIGKILL);
        return rc;
    }
    return rc < 0 && do_run(h, -1, 0, NULL) < 0 ? -ESRCH : rc;
}

static int do_thaw(struct home *h, int fd, int32_t number UNUSED, struct err *e)
{
    int rc = h->is_stub ? mx_freeze_read(&h->c, fd, e) : err_say(e, EINVAL, "it runs");
    if (rc == -ESRCH)
        kill(h->pid, SIGKILL);
    return rc < 0 ? rc : do_run(h, -1, 0, e);
}

/* Can the next note be dealt with while calls are served? Then it is taken. */
static enum mx_deputy_wish wish(void *ctx, uint32_t *who, uint64_t *end)
{
    struct home *h = ctx;
    struct mx_note n;
    int fd;
    if (recv(h->sock, &n.what, sizeof n.what, MSG_PEEK | MSG_DONTWAIT) != sizeof n.what ||
        (n.what != MX_HANDS_FETCH && n.what != MX_HANDS_PARK) ||
        mx_note_receive(h->sock, &n, &fd, false) <= 0)
        return MX_DEPUTY_NO_WISH;
    fd_close(&fd);
    *who = (uint32_t)n.number;
    *end = (uint64_t)n.big;
    return n.what == MX_HANDS_FETCH ? MX_DEPUTY_FETCH : MX_DEPUTY_ROOM;
}

static void cleared(void *ctx, const struct mx_range *park)
{
    struct home *h = ctx;
    h->park = *park;
    if (say_park(h) < 0)
        _exit(1);
}

static void said(void *ctx, enum mx_deputy_news what, uint32_t who, const char *text)
{
    static const enum mx_hands_ask notes[] = { [MX_DEPUTY_CAME_HOME] = MX_HANDS_CAME,
                                               [MX_DEPUTY_FAILED] = MX_HANDS_MISSED,
                                               [MX_DEPUTY_KILLED] = MX_HANDS_KILLED,
                                               [MX_DEPUTY_FAMILY] = MX_HANDS_FAMILY };
    struct home *h = ctx;
    struct mx_note n = { .what = notes[what], .number = (int32_t)who };
    snprintf(n.text, sizeof n.text, "%s", text);
    if (mx_note_send(h->sock, &n, -1) < 0)
        _exit(1); /* nobody is there to hear it, and we end with who isn't */
}

/* Until something is asked, or there is nothing left to serve. Returns false at the end. */
static bool serve(struct home *h)
{
    struct err e = { "" };
    int rc = h->sealed ? 0 : mx_sealed_take(&h->sealed, h->calls);
    struct mx_deputy_how how = { .guest = h->calls,
                                 .told = h->sock,
                                 .others = &h->c.others,
                                 .sealed = h->sealed,
                                 .park = h->park,
                                 .wish = wish,
                                 .said = said,
                                 .cleared = cleared,
                                 .ctx = h };
    rc = rc < 0 ? err_set(&e, -rc, "take the connection for calls")
                : mx_deputy_serve(&h->c.t, &how, &e);
    if (rc == MX_DEPUTY_TOLD)
        return true;
    if (rc == MX_DEPUTY_ENDED || rc == MX_DEPUTY_EXEC) {
        h->is_held = h->is_stub = false;
        end_calls(h);
        return mx_hands_say(h->sock, MX_HANDS_ENDED, 0, rc == MX_DEPUTY_EXEC, &e) == 0;
    }
    end_calls(h);
    return mx_hands_say(h->sock, MX_HANDS_LOST, rc, h->serving, &e) == 0;
}

typedef int (*do_fn)(struct home *h, int fd, int32_t number, struct err *e);
static const struct {
    do_fn fn;
    bool is_answered;
} dos[] = {
    [MX_HANDS_LOOK] = { do_look, true },     [MX_HANDS_STOP] = { do_stop, true },
    [MX_HANDS_COPY] = { do_copy, true },     [MX_HANDS_SEND] = { do_send, true },
    [MX_HANDS_RUN] = { do_run, false },      [MX_HANDS_RESTORE] = { do_restore, true },
    [MX_HANDS_SERVE] = { do_serve, false },  [MX_HANDS_END] = { do_end, false },
    [MX_HANDS_FREEZE] = { do_freeze, true }, [MX_HANDS_THAW] = { do_thaw, true },
};

static void work(int sock, int32_t number)
{
    struct home h = { .sock = sock, .pid = number, .calls = -1, .image = -1, .uffd = -1 };
    bool is_serving = false;
    for (;;) {
        struct mx_note n;
        struct err e = { "" };
        int fd;
        if (is_serving && h.calls >= 0 && !serve(&h))
            return;
        if (mx_note_receive(sock, &n, &fd, true) <= 0)
            return;
        if (n.what >= ARRAY_LEN(dos) || !dos[n.what].fn)
            continue;
        int rc = dos[n.what].fn(&h, fd, n.number, &e);
        fd_close(&fd);
        is_serving = n.what == MX_HANDS_SERVE && rc == 0;
        /* What is not answered and fails has lost the copy. */
        uint32_t what = dos[n.what].is_answered ? n.what : MX_HANDS_DIED;
        if ((dos[n.what].is_answered || rc < 0) && mx_hands_say(sock, what, rc, 0, &e) < 0)
            return;
    }
}

int mx_hands_at_home(struct mx_hands *h, pid_t pid, struct err *e)
{
    char title[64];
    snprintf(title, sizeof title, "mosixd: hands %d", (int)pid);
    return mx_hands_start(h, title, work, pid, e);
}
