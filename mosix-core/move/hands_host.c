/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hands_host.c: a body: made of an image in a sandbox, supervised, and captured when it goes on
 * elsewhere. Must not know: whose it is. Privilege: none but in its own namespaces. */
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/title.h"
#include "mosix-core/guest/supervise.h"
#include "mosix-core/image/capture.h"
#include "mosix-core/image/restore.h"
#include "mosix-core/image/scan.h"
#include "mosix-core/image/send.h"
#include "mosix-core/move/hands.h"
#include "mosix-core/net/confine.h"
#include "mosix-core/net/prompt.h"
#include "mosix-core/plan/migrate.h"
#include "mosix-core/sandbox/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of the guest whose hands these are: from before they are forked. */
static struct mx_guest_limits limits;

struct host {
    int sock, listener, calls;
    struct mx_sealed *sealed; /* what was given over calls */
    struct mx_tracee t;
    struct mx_threads others; /* besides it, while they stand still */
    bool is_there, is_running;
    struct mx_clocks least_ahead; /* those of bodies, of ours: what the home's show */
    struct mx_clocks ahead;
    uint64_t said_ms;
    uint64_t memory_kills; /* before the body was there */
    int uffd;              /* of the body, as long as it is there; -1: its kernel is too old */
    struct mx_send *send;
    int image; /* of send */
};

/* ---- the parts of restoring ---- */

/* Time never goes back: a clock that was read may have been a little ahead of what we know of
 * the home's. */
static int before(void *ctx, const struct mx_sec_process *p, struct err *e)
{
    struct host *h = ctx;
    const struct mx_clocks now = mx_clocks_now(),
                           then = { (int64_t)p->mono_ns, (int64_t)p->boot_ns },
                           since = mx_clocks_less(&then, &now);
    h->ahead = mx_clocks_later(&since, &h->least_ahead);
    return mx_sandbox_shift_clocks(&h->ahead, e);
}

static int inside(void *ctx UNUSED, struct err *e)
{
    return mx_sandbox_body(e);
}

/* The process goes on later than it stood still, by its own clocks: what we know of the home's
 * was a message's way too late, and may have been known a while ago; and where the process was,
 * the coarse clock may just have gone on, while ours is about to. */
static int after(void *ctx, const struct mx_clocks *then, struct err *e)
{
    const struct host *h = ctx;
    return mx_clocks_await(then, &h->ahead, e);
}

static void some(void *ctx)
{
    struct host *h = ctx;
    mx_hands_get_on(h->sock, &h->said_ms);
}

/* ---- what is asked ---- */

static int do_restore(struct host *h, const struct mx_note *n, int fd, struct err *e)
{
    struct mx_restore_how how = { .is_body = true,
                                  .memory_max_bytes = limits.memory_bytes,
                                  .before = before,
                                  .inside = inside,
                                  .after = after,
                                  .some = some,
                                  .ctx = h };
    struct mx_restored r;
    h->least_ahead = (struct mx_clocks){ n->big, n->also };
    if (h->is_there)
        return err_say(e, EBUSY, "there is a body already");
    h->memory_kills = mx_sandbox_memory_kills();
    int rc = mx_restore_as(fd, &how, &r, e);
    if (rc < 0 && mx_sandbox_memory_kills() > h->memory_kills)
        return err_say(
            e, ENOMEM,
            "what was made of it was killed, probably because there is too little memory");
    uint64_t start_us = clock_mono_us();
    if (rc == 0 && mx_watch_make(&r.t, &h->uffd, NULL) < 0)
        h->uffd = -1;
    if (rc == 0)
        rc = mx_guest_confine(&r.t, &h->listener, e);
    if (rc < 0)
        return rc;
    log_at(LOG_VERBOSE, "process %d was confined in %u us", (int)r.pid,
           (unsigned)(clock_mono_us() - start_us));
    if (mx_confine(MX_CONFINE_SUPERVISOR) < 0)
        log_at(LOG_VERBOSE, "a supervisor keeps its calls");
    h->t = r.t;
    h->others = r.others;
    h->is_there = true;
    return 0;
}

static void end_send(struct host *h)
{
    mx_send_free(h->send);
    h->send = NULL;
    fd_close(&h->image);
}

/* Rounds are sent when it is their turn: only what is left at last is urgent. */
static void before_rounds(void *ctx UNUSED)
{
    mx_be_prompt(0, false);
}

static void on_round(void *ctx, int rc, uint32_t left_ms, const struct err *e)
{
    struct host *h = ctx;
    if (mx_hands_say(h->sock, MX_HANDS_ROUND, rc, (int32_t)left_ms, e) < 0)
        _exit(1);
}

static int start_send(struct host *h, int fd, bool has_rounds, struct err *e)
{
    end_send(h);
    h->image = dup(fd);
    if (h->image < 0)
        return err_set(e, errno, "keep a stream");
    struct mx_send_how how = { .pid = h->t.pid,
                               .what_for = MX_CAPTURE_BODY,
                               .ahead = h->ahead,
                               .fd = h->image,
                               .uffd = has_rounds ? h->uffd : -1,
                               .before = before_rounds,
                               .round = has_rounds ? on_round : NULL,
                               .little_ms = MX_FREEZE_AIM_MS,
                               .ctx = h };
    return mx_send_start(&h->send, &how, e);
}

static int go_on(struct host *h, struct err *e)
{
    struct mx_capture all = { .t = h->t, .others = h->others };
    pid_t pid = h->t.pid;
    mx_be_prompt(pid, false); /* it was so while it was made */
    int rc = mx_capture_release(&all, e);
    h->t = all.t;
    h->others = all.others;
    h->t.pid = pid;
    h->is_running = rc == 0;
    return rc;
}

/* Hearing of this has stopped it. */
static int do_copy(struct host *h, const struct mx_note *n UNUSED, int fd, struct err *e)
{
    int rc = h->is_there ? start_send(h, fd, true, e) : err_say(e, EINVAL, "there is no body");
    int gone = h->is_there ? go_on(h, NULL) : 0;
    return rc < 0 ? rc : gone;
}

/* It stands still already, as above. */
static int do_stop(struct host *h, const struct mx_note *n UNUSED, int fd UNUSED,
                   struct err *e UNUSED)
{
    if (h->send)
        mx_send_stop(h->send);
    return 0;
}

static int do_send(struct host *h, const struct mx_note *n UNUSED, int fd, struct err *e)
{
    struct mx_capture *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, ENOMEM, "capture a body");
    c->t = h->t;
    c->others = h->others;
    c->what_for = MX_CAPTURE_BODY;
    c->ahead = h->ahead;
    int rc = h->send ? 0 : start_send(h, fd, false, e);
    if (rc == 0)
        rc = mx_send_rest(h->send, c, e);
    h->t = c->t;
    h->others = c->others;
    free(c);
    end_send(h);
    return rc;
}

static int do_run(struct host *h, const struct mx_note *n UNUSED, int fd, struct err *e)
{
    if (fd >= 0) {
        mx_sealed_free(h->sealed);
        h->sealed = NULL;
        fd_close(&h->calls);
        h->calls = dup(fd);
    }
    if (!h->is_there || h->calls < 0)
        return err_say(e, EINVAL, "there is no body, or nowhere for its calls");
    end_send(h);
    return go_on(h, e);
}

/* By which signal it died, as far as that is known. */
static int signal_of(pid_t pid)
{
    int status;
    pid_t got = waitpid(pid, &status, __WALL | WNOHANG);
    return got == pid && WIFSIGNALED(status) ? WTERMSIG(status) : SIGKILL;
}

/* It has children here: they go home one by one, not like this. */
static bool refuse(void *ctx)
{
    struct host *h = ctx;
    struct mx_note n = { 0 };
    struct err e = { "" };
    int fd;
    bool is_known = recv(h->sock, &n, sizeof n, MSG_PEEK | MSG_DONTWAIT) == sizeof n &&
                    (n.what == MX_HANDS_COPY || (n.what == MX_HANDS_STOP && n.big) ||
                     n.what == MX_HANDS_RUN);
    if (!is_known || mx_note_receive(h->sock, &n, &fd, false) <= 0)
        return false;
    fd_close(&fd);
    if (n.what == MX_HANDS_RUN) { /* it does */
        end_send(h);
        return true;
    }
    int rc = err_say(&e, EBUSY, "children of it are there too");
    if (mx_hands_say(h->sock, n.what, rc, 0, &e) < 0)
        _exit(1);
    return true;
}

/* Until something is asked: then it stands still. Returns false when there is nothing left. */
static bool supervise(struct host *h)
{
    struct err e = { "" };
    int rc = h->sealed ? 0 : mx_sealed_take(&h->sealed, h->calls);
    struct mx_guest_how how = {
        .listener = h->listener,
        .home = h->calls,
        .sealed = h->sealed,
        .told = h->sock,
        .others = &h->others,
        .ahead = h->ahead,
        .memory_kills = h->memory_kills,
        .processes_max = limits.processes,
        .busy = refuse,
        .ctx = h,
    };
    rc = rc < 0 ? err_set(&e, -rc, "take the connection for calls")
                : mx_guest_serve(&h->t, &how, &e);
    h->is_running = false;
    if (rc == MX_GUEST_TOLD)
        return true;
    bool is_over = rc == MX_GUEST_ENDED || rc == MX_GUEST_EXEC; /* home knows, and says so */
    uint32_t what = is_over ? MX_HANDS_ENDED : rc > 0 ? MX_HANDS_DIED : MX_HANDS_LOST;
    int number = what == MX_HANDS_DIED ? signal_of(h->t.pid) : 0;
    if (mx_hands_say(h->sock, what, rc < 0 ? rc : 0, number, &e) < 0)
        return false;
    pause(); /* until we are killed, and the body with us */
    return false;
}

typedef int (*do_fn)(struct host *h, const struct mx_note *n, int fd, struct err *e);
static const struct {
    do_fn fn;
    bool is_answered;
} dos[] = {
    [MX_HANDS_COPY] = { do_copy, true },       [MX_HANDS_STOP] = { do_stop, true },
    [MX_HANDS_SEND] = { do_send, true },       [MX_HANDS_RUN] = { do_run, false },
    [MX_HANDS_RESTORE] = { do_restore, true },
};

static void work(int sock)
{
    struct host h = { .sock = sock, .listener = -1, .calls = -1, .uffd = -1, .image = -1 };
    for (;;) {
        struct mx_note n;
        struct err e = { "" };
        int fd;
        if (h.is_running && !supervise(&h))
            return;
        if (mx_note_receive(sock, &n, &fd, true) <= 0)
            return;
        if (n.what >= ARRAY_LEN(dos) || !dos[n.what].fn)
            continue;
        int rc = dos[n.what].fn(&h, &n, fd, &e);
        fd_close(&fd);
        uint32_t what = dos[n.what].is_answered ? n.what : MX_HANDS_DIED;
        if ((dos[n.what].is_answered || rc < 0) && mx_hands_say(sock, what, rc, 0, &e) < 0)
            return;
    }
}

/* ---- processes ---- */

/* The first of the namespaces: when it ends, so does all that is in them. */
static void first(int sock)
{
    struct err e = { "" };
    title_set("mosixd: supervisor");
    int rc = mx_sandbox_first(&e);
    if (rc < 0 && mx_hands_say(sock, MX_HANDS_RESTORE, rc, 0, &e) < 0)
        return;
    if (rc == 0)
        work(sock);
}

static void enter(int sock, int32_t number UNUSED)
{
    struct err e = { "" };
    int status, rc = mx_sandbox_enter(&e);
    /* Giving up root has undone it. */
    if (rc == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        rc = err_set(&e, errno, "arrange to end");
    if (rc == 0 && getppid() == 1)
        return;
    pid_t pid = rc == 0 ? fork() : -1;
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
            first(sock);
        _exit(0);
    }
    if (pid < 0) {
        if (rc == 0)
            rc = err_set(&e, errno, "start a process");
        if (mx_hands_say(sock, MX_HANDS_RESTORE, rc, 0, &e) < 0)
            return;
        return;
    }
    close(sock);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
}

int mx_hands_on_host(struct mx_hands *h, const struct mx_guest_limits *l, struct err *e)
{
    limits = *l;
    return mx_hands_start(h, "mosixd: namespaces", enter, 0, e);
}
