/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inject.c: frames from a guest become calls of stubs, and what happens to stubs becomes
 * frames. Must not know: how frames get here, how a stub makes a call. */
#include "mosix-core/deputy/inject.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mosix-core/abi/kept.h"
#include "mosix-core/deputy/ahead.h"
#include "mosix-core/deputy/behind.h"
#include "mosix-core/deputy/dump.h"
#include "mosix-core/deputy/keeps.h"
#include "mosix-core/deputy/link.h"
#include "mosix-core/deputy/parcel.h"
#include "mosix-core/deputy/room.h"
#include "mosix-core/deputy/stub_parts.h"
#include "mosix-core/image/parts.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    IDLE_MS = 1,         /* after a call the next is expected for so long */
    LATE_MS = 1000,      /* so often it is looked whether a page is late */
    ENDING_TURNS = 1000, /* of a millisecond: until the threads of a process have ended */
};

struct deputy {
    struct mx_link link;
    struct mx_sender ahead;
    struct mx_writers behind;
    struct mx_stub *stubs[MX_STUBS_MAX];
    unsigned count;
    const struct mx_deputy_how *how;
    bool is_told;        /* of something that can't be done now */
    struct mx_room room; /* of the first */
    bool was_family;     /* as was said last */
    int children_fd;     /* readable when something has happened to one */
    bool has_execed;     /* the first of them; or it has come home */
    bool is_ending;      /* nobody listens */
    bool has_event;      /* one has stopped, and is still to be looked at */
    pid_t holder;        /* of descriptors, for mirrors; 0: none */
};

static struct mx_stub *find(struct deputy *d, uint32_t who)
{
    for (unsigned i = 0; i < d->count; i++)
        if (d->stubs[i]->who == who)
            return d->stubs[i];
    return NULL;
}

/* The next thread of a process, after i; those are behind their first in no order. NULL: none.
 */
static struct mx_stub *next_thread(const struct deputy *d, const struct mx_stub *of,
                                   unsigned *i)
{
    while (*i < d->count) {
        struct mx_stub *s = d->stubs[(*i)++];
        if (s->leader == of && s->state != MX_STUB_GONE)
            return s;
    }
    return NULL;
}

static bool is_of_first(struct mx_stub *s)
{
    return mx_stub_lead(s)->who == 0;
}

static void say(const struct deputy *d, enum mx_deputy_news what, uint32_t who,
                const char *text)
{
    if (d->how->said)
        d->how->said(d->how->ctx, what, who, text);
}

/* ---- to the guest ---- */

static int send_answer(struct deputy *d, const struct mx_stub *s, int64_t result)
{
    int rc = s->is_mirrored ? mx_mirror_send(&s->mirror, &s->t, &d->link, s->who) : 0;
    if (rc < 0)
        return rc;
    struct wr *w = mx_link_begin(&d->link, MX_TALK_ANSWER, s->who);
    if (s->is_forking || s->is_mirrored || result == MX_RESTART_ALWAYS)
        put_i64(w, result);
    else
        rc = mx_call_answer(&s->call, s->arena, result, w);
    return rc < 0 ? rc : mx_link_send(&d->link);
}

/* What reads will bring, and what writes may do, from now on may go ahead of it. */
static int send_made(struct deputy *d, struct mx_stub *s, int64_t result)
{
    const struct mx_stub *lead = mx_stub_lead(s);
    if (s->is_forking || s->is_mirrored)
        return send_answer(d, s, result);
    int rc = mx_sender_after(&d->ahead, lead->who, lead->t.pid, &d->link, s->call.line,
                             s->call.args, result);
    if (rc == 0)
        rc = mx_writers_after(&d->behind, lead->who, lead->t.pid, &d->link, s->call.line,
                              s->call.args, result);
    return rc < 0 ? rc : send_answer(d, s, result);
}

static int send_paused(struct deputy *d, const struct mx_stub *s)
{
    mx_link_begin(&d->link, MX_TALK_PAUSED, s->who);
    return mx_link_send(&d->link);
}

static int send_keep(struct deputy *d, const struct mx_stub *s)
{
    uint8_t keeps = mx_keeps(s->t.pid);
    if (mx_dump_is_wanted(s->t.pid))
        keeps |= MX_KEEP_DUMPS;
    put_u8(mx_link_begin(&d->link, MX_TALK_KEEP, s->who), keeps);
    return mx_link_send(&d->link);
}

static int add_child(struct deputy *d, struct mx_stub *parent, pid_t pid)
{
    struct mx_stub *s = d->count < MX_STUBS_MAX ? calloc(1, sizeof *s) : NULL;
    if (!s)
        return d->count < MX_STUBS_MAX ? -ENOMEM : -ENOSPC;
    d->stubs[d->count++] = s;
    return mx_stub_init_child(s, parent, pid);
}

static int on_stub(void *ctx, struct mx_stub *s, const struct mx_stub_out *out)
{
    struct deputy *d = ctx;
    struct mx_stub *thread;
    struct wr *w;
    if (d->is_ending)
        return 0;
    switch (out->what) {
    case MX_STUB_ANSWER: return send_made(d, s, out->result);
    case MX_STUB_NOT_AWAY:
        mx_talk_put_text(mx_link_begin(&d->link, MX_TALK_NOT_AWAY, s->who), out->why);
        return mx_link_send(&d->link);
    case MX_STUB_SIGNAL:
        w = mx_link_begin(&d->link, MX_TALK_SIGNAL, s->who);
        put_raw(w, &out->info, sizeof out->info);
        return mx_link_send(&d->link);
    case MX_STUB_DUMP:
        put_u32(mx_link_begin(&d->link, MX_TALK_FETCH, 0),
                mx_stub_lead(s)->who ? mx_stub_lead(s)->who : MX_FETCH_FIRST);
        break;
    case MX_STUB_LIMIT: return send_keep(d, s);
    case MX_STUB_STOP: mx_link_begin(&d->link, MX_TALK_STOP, s->who); break;
    case MX_STUB_CONT: mx_link_begin(&d->link, MX_TALK_CONT, s->who); break;
    case MX_STUB_CHILD: return add_child(d, s, (pid_t)out->result);
    case MX_STUB_EXEC:
    case MX_STUB_ENDED:
        mx_sender_end(&d->ahead, s->who);
        mx_writers_end(&d->behind, s->who);
        for (unsigned i = 0; (thread = next_thread(d, s, &i));)
            thread->state = MX_STUB_GONE; /* the kernel has ended them before */
        if (s->who == 0 && out->what == MX_STUB_EXEC) {
            d->has_execed = true;
            say(d, MX_DEPUTY_CAME_HOME, 0, "");
        }
        w = mx_link_begin(&d->link, MX_TALK_END, s->who);
        put_u8(w, out->what == MX_STUB_EXEC ? MX_END_EXEC : MX_END_GONE);
        break;
    }
    return mx_link_send(&d->link);
}

/* ---- from the guest ---- */

/* Made with the body's own pointers. What may not be is no guest of ours's. */
static int take_mirrored(struct deputy *d, struct mx_stub *s, struct mx_talk_frame *f,
                         struct err *e)
{
    static const struct mx_call_line line = { .id = MX_CALL_IDS, .name = "" };
    int rc = mx_mirror_take(&s->mirror, &f->body);
    if (rc < 0 || !mx_mirror_may(s->mirror.call.number, s->mirror.call.args))
        return rc < 0 ? rc : -EPROTO;
    rc = mx_mirror_hold(&d->holder);
    s->call = (struct mx_call_frame){ .line = &line };
    return rc < 0 ? err_set(e, -rc, "start a process") : 0;
}

static int take_call(struct deputy *d, struct mx_stub *s, struct mx_talk_frame *f,
                     struct err *e)
{
    uint8_t is_thread = 0;
    if (s->is_forking) {
        if (get_u32(&f->body, &s->exit_signal) < 0 || s->exit_signal > 64 ||
            get_u8(&f->body, &is_thread) < 0)
            return -EPROTO;
        s->is_threading = is_thread;
        return 0;
    }
    if (s->is_mirrored)
        return take_mirrored(d, s, f, e);
    return mx_call_take(&f->body, s->arena, s->arena_at, &s->call) < 0 ? -EPROTO : 0;
}

/* Files that are read ahead, or written behind. Returns 1 when the call is to be made again, as
 * it would find one that is; 0; -errno. */
static int look_ahead(struct deputy *d, struct mx_stub *s)
{
    const struct mx_call_line *line = s->is_forking || s->is_mirrored ? NULL : s->call.line;
    mx_sender_before(&d->ahead, mx_stub_lead(s)->who, line, s->call.args);
    mx_writers_before(&d->behind, mx_stub_lead(s)->who, line, s->call.args);
    if (s->is_mirrored)
        mx_sender_forget(&d->ahead);
    return s->is_forking ? 0 : mx_sender_hinders(&d->ahead, line, s->call.args, &d->link);
}

/* Returns -EPROTO for what no guest of ours says. */
static int on_call(struct deputy *d, struct mx_stub *s, struct mx_talk_frame *f, struct err *e)
{
    uint32_t seen;
    if (s->has_call || get_u32(&f->body, &seen) < 0)
        return -EPROTO;
    /* Whatever its body was to stand still for, it was not to be yet. */
    s->is_back = s->is_taken = s->is_paused = false;
    s->is_forking = f->kind == MX_TALK_FORK;
    s->is_mirrored = f->kind == MX_TALK_MIRROR;
    s->is_threading = false;
    int rc = take_call(d, s, f, e);
    if (rc < 0)
        return rc;
    /* A signal is on its way: natively it would have come before the call. */
    if (seen != s->sent || mx_stub_lead(s)->is_dying) {
        s->is_forking = false;
        return send_answer(d, s, MX_RESTART_ALWAYS);
    }
    if (s->is_forking && d->count == MX_STUBS_MAX) {
        rc = send_answer(d, s, -EAGAIN);
        s->is_forking = false;
        return rc;
    }
    rc = look_ahead(d, s);
    if (rc != 0)
        return rc < 0 ? rc : send_answer(d, s, MX_RESTART_ALWAYS);
    if (d->how->counts && !s->is_forking && s->call.line->id < MX_CALL_IDS)
        d->how->counts[s->call.line->id]++;
    return mx_stub_call(s, on_stub, d, e);
}

/* A call ends early; one that waits until a stopped job goes on has not been begun. */
static int cut_call(struct deputy *d, struct mx_stub *s, struct err *e)
{
    if (!s->has_call || s->state == MX_STUB_CALLING || !s->is_halted)
        return s->has_call ? mx_stub_cancel(s, e) : 0;
    s->has_call = s->is_mirrored = false;
    int rc = send_answer(d, s, MX_RESTART_ALWAYS);
    s->is_forking = false;
    return rc;
}

static int rest_files(struct deputy *d, const struct mx_stub *s)
{
    mx_sender_pause(&d->ahead, s->who);
    return mx_writers_pause(&d->behind, s->who, &d->link);
}

static int on_pause(struct deputy *d, struct mx_stub *s, struct err *e)
{
    int rc = rest_files(d, s);
    s->is_paused = s->is_pause_asked = true;
    return rc < 0 ? rc : cut_call(d, s, e);
}

/* ---- failures ---- */

static void reap_threads(struct deputy *d, struct mx_stub *of)
{
    struct mx_stub *thread;
    for (unsigned i = 0; (thread = next_thread(d, of, &i));)
        if (mx_stub_fate(thread) == MX_STUB_HAS_DIED &&
            waitpid(thread->t.pid, NULL, __WALL) != 0)
            thread->state = MX_STUB_GONE;
}

/* A process has no end before its other threads have been waited for. When it ends, or executes
 * another program, some of them may still be about to end, after their memory has gone. */
static enum mx_stub_fate await_fate(struct deputy *d, struct mx_stub *s)
{
    enum mx_stub_fate f = mx_stub_fate(s);
    for (unsigned turn = 0; f == MX_STUB_GOES_ON && turn < ENDING_TURNS; turn++) {
        if (!mx_stub_lead(s)->has_threads)
            break;
        if (!s->leader)
            reap_threads(d, s);
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
        f = mx_stub_fate(s);
    }
    return f;
}

/* A failure of a stub that has died is none; nor of one that is another program by now. */
static int forgive(struct deputy *d, struct mx_stub *s, int rc)
{
    struct mx_stub_out out = { .what = MX_STUB_ENDED };
    if (rc >= 0 || !s || s->state == MX_STUB_GONE)
        return rc;
    enum mx_stub_fate f = await_fate(d, s);
    if (f == MX_STUB_HAS_STOPPED && mx_stub_lead(s)->has_threads) {
        d->has_event = true;
        return 0;
    }
    if (f != MX_STUB_HAS_DIED)
        return rc;
    while (waitpid(s->t.pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
    s->state = MX_STUB_GONE;
    return on_stub(d, s, &out);
}

/* ---- bodies that stand still ---- */

/* PAUSED comes after the answer of what was under way, and after the signals that have come to
 * a stub before it rests: from then on they wait in it for who is served next. */
static int answer_pauses(struct deputy *d, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < d->count; i++) {
        struct mx_stub *s = d->stubs[i];
        if (!s->is_pause_asked || s->has_call || s->state == MX_STUB_GONE)
            continue;
        rc = forgive(d, s, mx_stub_rest(s, on_stub, d, e));
        if (rc < 0 || s->state == MX_STUB_GONE)
            continue;
        s->is_pause_asked = false;
        rc = send_paused(d, s);
    }
    return rc;
}

/* ---- bodies that come home ---- */

static int on_back(struct deputy *d, struct mx_stub *s, struct err *e)
{
    if (s->is_back)
        return -EPROTO;
    s->is_back = s->is_paused = true;
    return cut_call(d, s, e);
}

/* Those that rest now are told that their bodies may come. One that is stopped as a job comes
 * when it goes on. */
static int answer_backs(struct deputy *d, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < d->count; i++) {
        struct mx_stub *s = d->stubs[i];
        if (!s->is_back || s->is_taken || s->has_call || s->is_halted)
            continue;
        rc = forgive(d, s, mx_stub_rest(s, on_stub, d, e));
        if (rc < 0 || s->state != MX_STUB_RESTING || s->is_halted)
            continue;
        s->is_taken = true;
        mx_link_begin(&d->link, MX_TALK_TAKE, s->who);
        rc = mx_link_send(&d->link);
    }
    return rc;
}

struct filling {
    struct mx_stub *s;
    struct mx_threads others;
};

static int fill(void *ctx, int fd, struct err *e)
{
    struct filling *f = ctx;
    return mx_stub_fill(f->s, &f->others, fd, e);
}

/* Threads that rest, with nothing of ours any more, are no stubs from then on. */
static int take_threads(struct deputy *d, struct mx_stub *of, struct mx_threads *out,
                        struct err *e)
{
    struct mx_stub *s;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && (s = next_thread(d, of, &i));) {
        rc = mx_stub_leave(s, e);
        if (rc == 0)
            rc = mx_threads_take(out, &of->t, &s->t, e);
        s->state = MX_STUB_GONE;
    }
    return rc;
}

static bool are_taken(const struct deputy *d, const struct mx_stub *of)
{
    struct mx_stub *s;
    for (unsigned i = 0; (s = next_thread(d, of, &i));)
        if (!s->is_taken || s->state != MX_STUB_RESTING)
            return false;
    return of->is_taken && of->state == MX_STUB_RESTING && !of->leader;
}

/* It goes on here, and what is left of it there stands still and is told to go. One that does
 * not arrive whole is lost, as its stub is. */
static int on_image(struct deputy *d, struct mx_stub *s, const struct mx_talk_frame *f,
                    struct err *e)
{
    char text[MX_TALK_TEXT_MAX];
    struct err why = { "" };
    int got = 0;
    struct filling filling = { .s = s };
    if (!are_taken(d, s))
        return -EPROTO;
    int rc = take_threads(d, s, &filling.others, e);
    if (rc == 0)
        rc = mx_parcel_take(&d->link, f, fill, &filling, &got, text, &why);
    if (rc < 0)
        return err_set(e, -rc, "take process %u home", s->who);
    if (got == 0)
        got = mx_stub_free(s, &filling.others, &why);
    if (got < 0) {
        char words[MX_TALK_TEXT_MAX];
        s->state = MX_STUB_RESTING;
        snprintf(words, sizeof words, "it could not come home: %.160s",
                 got == -ECANCELED || !why.text[0] ? text : why.text);
        if (s->dump == MX_STUB_DUMP_QUEUED)
            return mx_stub_give_up_dump(s, on_stub, d, e);
        say(d, MX_DEPUTY_FAILED, s->who, words);
        rc = kill(s->t.pid, SIGKILL) < 0 ? err_set(e, errno, "end process %d", (int)s->t.pid)
                                         : 0;
        mx_threads_bury(&filling.others);
        return rc;
    }
    d->has_execed |= s->who == 0;
    say(d, MX_DEPUTY_CAME_HOME, s->who, text);
    put_u8(mx_link_begin(&d->link, MX_TALK_END, s->who), MX_END_HOME);
    return mx_link_send(&d->link);
}

/* Its own kills are made here: by SIGKILL it dies there of what the host wants, or lacks. */
static int on_died(struct deputy *d, struct mx_stub *s, struct mx_talk_frame *f, struct err *e)
{
    uint32_t signo;
    uint8_t is_for_memory = 0;
    if (get_u32(&f->body, &signo) < 0 ||
        (rd_left(&f->body) && get_u8(&f->body, &is_for_memory) < 0))
        return -EPROTO;
    if (signo == SIGKILL)
        say(d, MX_DEPUTY_KILLED, s->who,
            is_for_memory ? ", probably because that node has too little memory" : "");
    return mx_stub_die(s, (int)signo, on_stub, d, e);
}

static int on_frame(struct deputy *d, struct mx_talk_frame *f, struct err *e)
{
    struct mx_stub *s = find(d, f->who);
    uint64_t mask;
    int rc;
    if (!s || s->state == MX_STUB_GONE)
        return 0; /* it has ended meanwhile */
    switch (f->kind) {
    case MX_TALK_CALL:
    case MX_TALK_FORK:
    case MX_TALK_MIRROR: return on_call(d, s, f, e);
    case MX_TALK_PAGES: return mx_mirror_pages(&s->mirror, &f->body);
    case MX_TALK_MASK:
        if (get_u64(&f->body, &mask) < 0)
            return -EPROTO;
        return mx_stub_mask(s, mask, on_stub, d, e);
    case MX_TALK_PAUSE: return on_pause(d, s, e);
    case MX_TALK_RESUME:
        s->is_paused = s->is_back = s->is_taken = false;
        s->sent = 0;
        rc = rest_files(d, s);
        return rc < 0 ? rc : send_keep(d, s);
    case MX_TALK_BACK: rc = rest_files(d, s); return rc < 0 ? rc : on_back(d, s, e);
    case MX_TALK_IMAGE: return on_image(d, s, f, e);
    case MX_TALK_IMAGE_END: /* on_image has taken it, but of one that was lost */
        return s->is_taken ? 0 : -EPROTO;
    case MX_TALK_DIED: return on_died(d, s, f, e);
    case MX_TALK_AHEAD_TAKEN:
    case MX_TALK_AHEAD_LEFT: return mx_sender_frame(&d->ahead, f, &d->link);
    case MX_TALK_BEHIND_BYTES:
        return mx_writers_frame(
            &d->behind, f, s->t.pid,
            mx_stub_lead(s)->is_dying || mx_stub_fate(s) == MX_STUB_HAS_DIED, e);
    case MX_TALK_BEHIND_OPEN:
    case MX_TALK_BEHIND_DONE:
    case MX_TALK_AHEAD_OPEN:
    case MX_TALK_AHEAD_BYTES:
    case MX_TALK_AHEAD_REVOKE:
    case MX_TALK_AHEAD_STAMP:
    case MX_TALK_ANSWER:
    case MX_TALK_SIGNAL:
    case MX_TALK_STOP:
    case MX_TALK_CONT:
    case MX_TALK_PAUSED:
    case MX_TALK_TAKE:
    case MX_TALK_NOT_AWAY:
    case MX_TALK_WANT:
    case MX_TALK_CHANGED:
    case MX_TALK_FETCH:
    case MX_TALK_KEEP:
    case MX_TALK_END: break;
    }
    return -EPROTO;
}

/* ---- memory of stubs ---- */

/* Can the first be given something to do that is none of its calls? */
static bool can_tend(struct deputy *d)
{
    const struct mx_stub *s = find(d, 0);
    return mx_room_wants(&d->room) && s && !s->has_call && !s->is_halted &&
           (s->state == MX_STUB_RESTING || s->state == MX_STUB_IDLE);
}

static int tend_room(struct deputy *d, struct err *e)
{
    struct mx_stub *s = find(d, 0);
    int cleared = 0, rc = forgive(d, s, mx_stub_rest(s, on_stub, d, e));
    if (rc < 0 || s->state != MX_STUB_RESTING || s->is_halted)
        return rc;
    d->room.keeps_old = s->threads > 0;
    rc = cleared = mx_room_step(&d->room, &s->t, e);
    if (rc >= 0)
        rc = mx_stub_set_mask(s, e);
    s->park = d->room.park;
    if (rc == 0 && cleared == 1)
        d->how->cleared(d->how->ctx, &d->room.park);
    return forgive(d, s, rc);
}

/* ---- memory of bodies ---- */

/* A stub may be waiting for some in the middle of a call, or somebody who looks at it. */
static int look_for_faults(struct deputy *d)
{
    uint64_t address, now_ms = clock_mono_ms();
    uint32_t pages;
    int rc = 0;
    for (unsigned i = 0; rc >= 0 && i < d->count; i++) {
        struct mx_mirror *m = &d->stubs[i]->mirror;
        if (!m->is_there)
            continue;
        mx_mirror_late(m, now_ms);
        rc = mx_mirror_fault(m, now_ms, &address, &pages);
        if (rc <= 0)
            continue;
        struct wr *w = mx_link_begin(&d->link, MX_TALK_WANT, d->stubs[i]->who);
        put_u64(w, address);
        put_u32(w, pages);
        rc = mx_link_send(&d->link);
    }
    return rc < 0 ? rc : 0;
}

/* What poll is to wait for besides: p has room for MX_STUBS_MAX. Returns how many. */
static unsigned watch_mirrors(const struct deputy *d, struct pollfd *p, bool *is_wanting)
{
    unsigned count = 0;
    *is_wanting = false;
    for (unsigned i = 0; i < d->count; i++) {
        const struct mx_mirror *m = &d->stubs[i]->mirror;
        if (mx_mirror_watch(m) >= 0)
            p[count++] = (struct pollfd){ mx_mirror_watch(m), POLLIN, 0 };
        *is_wanting |= m->want_at != 0;
    }
    return count;
}

/* ---- dumps ---- */

static bool has_dump(const struct deputy *d)
{
    for (unsigned i = 0; i < d->count; i++)
        if (d->stubs[i]->dump == MX_STUB_DUMP_KEPT)
            return true;
    return false;
}

static int end_late_dumps(struct deputy *d, struct err *e)
{
    uint64_t now_ms = clock_mono_ms();
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < d->count; i++)
        if (d->stubs[i]->dump == MX_STUB_DUMP_KEPT && now_ms >= d->stubs[i]->dump_by_ms)
            rc = forgive(d, d->stubs[i], mx_stub_give_up_dump(d->stubs[i], on_stub, d, e));
    return rc;
}

/* ---- serving ---- */

static void drop_gone(struct deputy *d)
{
    for (unsigned i = 0; i < d->count;) {
        if (d->stubs[i]->state != MX_STUB_GONE) {
            i++;
            continue;
        }
        mx_stub_fini(d->stubs[i]);
        free(d->stubs[i]);
        d->stubs[i] = d->stubs[--d->count];
    }
}

static int check_stubs(struct deputy *d, struct err *e)
{
    struct signalfd_siginfo some[16];
    int rc = 0;
    if (read(d->children_fd, some, sizeof some) < 0 && errno != EAGAIN)
        return err_set(e, errno, "watch processes");
    d->has_event = false;
    rc = mx_sender_check(&d->ahead, &d->link);
    for (unsigned i = 0; rc == 0 && i < d->count; i++)
        rc = forgive(d, d->stubs[i], mx_stub_check(d->stubs[i], on_stub, d, e));
    drop_gone(d);
    return rc;
}

static int idle_stubs(struct deputy *d, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < d->count; i++)
        rc = forgive(d, d->stubs[i], mx_stub_idle(d->stubs[i], e));
    return rc;
}

/* Nothing is under way. */
static bool is_quiet(const struct deputy *d)
{
    for (unsigned i = 0; i < d->count; i++)
        if (!is_of_first(d->stubs[i]) || d->stubs[i]->has_call)
            return false;
    return d->count > 0;
}

static bool has_resting(const struct deputy *d)
{
    for (unsigned i = 0; i < d->count; i++)
        if (d->stubs[i]->state == MX_STUB_RESTING && !d->stubs[i]->is_halted &&
            !d->stubs[i]->is_paused)
            return true;
    return false;
}

static int take_frames(struct deputy *d, struct err *e)
{
    struct mx_talk_frame f;
    int filled = mx_link_fill(&d->link), rc = 0, more = 0;
    while (rc == 0 && (more = mx_link_next(&d->link, &f)) > 0) {
        struct mx_stub *s = find(d, f.who);
        rc = forgive(d, s, on_frame(d, &f, e));
    }
    drop_gone(d);
    if (rc == 0 && more < 0)
        rc = more;
    if (rc == -EPROTO)
        return err_say(e, EPROTO, "a call makes no sense");
    return rc < 0 ? rc : filled;
}

enum { OVER = 1, TOLD = 2 };

/* Something is asked of us, or of the bodies. */
static int on_told(struct deputy *d)
{
    uint32_t who;
    uint64_t end = 0;
    enum mx_deputy_wish wish =
        d->how->wish ? d->how->wish(d->how->ctx, &who, &end) : MX_DEPUTY_NO_WISH;
    if (wish == MX_DEPUTY_FETCH) {
        put_u32(mx_link_begin(&d->link, MX_TALK_FETCH, 0), who);
        return mx_link_send(&d->link);
    }
    if (wish == MX_DEPUTY_ROOM && end)
        mx_room_open(&d->room, end);
    else if (wish == MX_DEPUTY_ROOM)
        mx_room_clear(&d->room);
    if (wish != MX_DEPUTY_NO_WISH)
        return 0;
    d->is_told = true;
    return is_quiet(d) ? TOLD : 0;
}

static void say_family(struct deputy *d)
{
    bool is_family = false;
    for (unsigned i = 0; i < d->count; i++)
        is_family |= !is_of_first(d->stubs[i]);
    if (is_family != d->was_family)
        say(d, MX_DEPUTY_FAMILY, is_family, "");
    d->was_family = is_family;
}

/* Returns OVER when no stub is left, TOLD, 0 to go on; -EPIPE when the guest is gone. */
static int turn(struct deputy *d, struct err *e)
{
    bool is_wanting;
    struct pollfd p[4 + MX_STUBS_MAX] = {
        { d->link.fd, mx_link_wants(&d->link), 0 },
        { d->children_fd, POLLIN, 0 },
        { is_quiet(d) || (d->how->wish && !d->is_told) ? d->how->told : -1, POLLIN, 0 },
        { d->link.watch, 0, 0 },
    };
    unsigned count = 4 + watch_mirrors(d, p + 4, &is_wanting);
    bool is_tending = can_tend(d), is_dumping = has_dump(d);
    int wait_ms = is_tending                       ? 0
                  : has_resting(d) || d->has_event ? IDLE_MS
                  : is_wanting || is_dumping       ? LATE_MS
                                                   : -1;
    int ahead_ms = mx_sender_wait_ms(&d->ahead);
    bool is_ahead = ahead_ms >= 0 && (wait_ms < 0 || ahead_ms < wait_ms);
    int n = poll(p, count, is_ahead ? ahead_ms : wait_ms), rc = 0;
    if (n < 0 && errno != EINTR)
        return err_set(e, errno, "wait for calls");
    if (count > 4 || is_wanting)
        rc = look_for_faults(d);
    if (rc == 0 && ahead_ms >= 0 && mx_sender_wait_ms(&d->ahead) == 0)
        rc = mx_sender_check(&d->ahead, &d->link);
    if (rc == 0 && is_dumping)
        rc = end_late_dumps(d, e);
    if (rc < 0 || (n == 0 && !d->has_event))
        return rc < 0 ? rc : is_tending ? tend_room(d, e) : is_ahead ? rc : idle_stubs(d, e);
    if (p[3].revents)
        return -EPIPE;
    if (p[0].revents & POLLOUT)
        rc = mx_link_flush(&d->link);
    if (rc == 0 && (p[1].revents || d->has_event))
        rc = check_stubs(d, e);
    if (rc == 0 && d->count == 0)
        return OVER;
    if (rc == 0 && p[2].revents && (rc = on_told(d)) > 0)
        return rc;
    if (rc == 0 && p[0].revents & (POLLIN | POLLHUP | POLLERR))
        rc = take_frames(d, e);
    if (rc == 0)
        rc = answer_pauses(d, e);
    if (rc == 0)
        rc = answer_backs(d, e);
    if (rc == 0)
        rc = mx_writers_tell(&d->behind, &d->link);
    if (rc == 0)
        rc = mx_sender_push(&d->ahead, &d->link);
    say_family(d);
    return rc == 0 && d->count == 0 ? OVER : rc;
}

/* The first process stands still, all its threads. */
static int end_first(struct deputy *d, struct mx_stub *first, struct mx_tracee *t,
                     struct err *e)
{
    struct mx_stub *s = first;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && s; s = next_thread(d, first, &i)) {
        rc = mx_stub_rest(s, on_stub, d, e);
        if (rc == 0)
            rc = mx_stub_rest_halted(s, e);
    }
    if (rc == 0 && first->state == MX_STUB_RESTING) {
        rc = mx_stub_leave(first, e);
        if (rc == 0)
            rc = take_threads(d, first, d->how->others, e);
    }
    *t = first->t;
    t->has_stop |= first->is_halted;
    first->t.mem_fd = -1;
    return rc;
}

/* Of another process than the first. */
static bool is_left(struct mx_stub *s)
{
    return !is_of_first(s) && s->state != MX_STUB_GONE;
}

/* Threads before the first of their process, which has no end before. */
static void reap(struct deputy *d, bool are_threads)
{
    for (unsigned i = 0; i < d->count; i++)
        if (is_left(d->stubs[i]) && !d->stubs[i]->leader == !are_threads)
            while (waitpid(d->stubs[i]->t.pid, NULL, __WALL) < 0 && errno == EINTR)
                ;
}

/* After the guest is lost, or we were told to: children are killed, the first stands still as
 * it was found. */
static int end_serving(struct deputy *d, struct mx_tracee *t, struct err *e)
{
    struct mx_stub *first = find(d, 0);
    int rc = 0;
    d->is_ending = true;
    mx_sender_fini(&d->ahead);
    if (first && first->state != MX_STUB_GONE)
        rc = end_first(d, first, t, e);
    for (unsigned i = 0; i < d->count; i++)
        if (is_left(d->stubs[i]) && kill(d->stubs[i]->t.pid, SIGKILL) < 0)
            d->stubs[i]->state = MX_STUB_GONE;
    reap(d, true);
    reap(d, false);
    for (unsigned i = 0; i < d->count; i++) {
        mx_stub_fini(d->stubs[i]);
        free(d->stubs[i]);
    }
    d->count = 0;
    mx_mirror_let_go(&d->holder);
    return rc;
}

/* The first is at home, and not among them. */
static int lose_children(const struct deputy *d)
{
    for (unsigned i = 0; i < d->count; i++)
        say(d, MX_DEPUTY_FAILED, d->stubs[i]->who, "the connection for its calls was lost");
    return MX_DEPUTY_EXEC;
}

static int start_thread(struct deputy *d, struct mx_stub *first, const struct mx_tracee *t,
                        struct err *e)
{
    struct mx_stub *s = d->count < MX_STUBS_MAX ? calloc(1, sizeof *s) : NULL;
    if (!s)
        return err_set(e, d->count < MX_STUBS_MAX ? ENOMEM : ENOSPC, "serve calls");
    d->stubs[d->count++] = s;
    struct mx_tracee own = *t;
    own.syscall_at = first->t.syscall_at;
    own.mem_fd = first->t.mem_fd;
    return mx_stub_init_thread(s, first, &own, e);
}

static int start(struct deputy *d, struct mx_tracee *t, struct err *e)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    d->children_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (d->children_fd < 0)
        return err_set(e, errno, "watch process %d", (int)t->pid);
    struct mx_stub *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ENOMEM, "serve calls");
    d->stubs[d->count++] = s;
    int rc = mx_stub_init(s, t, e);
    s->park = d->how->park;
    for (unsigned i = 0; rc == 0 && i < d->how->others->count; i++)
        rc = start_thread(d, s, &d->how->others->list[i].t, e);
    t->mem_fd = -1;
    mx_threads_forget(d->how->others);
    return rc;
}

int mx_deputy_serve(struct mx_tracee *t, const struct mx_deputy_how *how, struct err *e)
{
    struct deputy d = { .how = how, .children_fd = -1, .room.park = how->park };
    sigset_t child, before;
    int rc = mx_link_init(&d.link, how->guest, how->sealed);
    if (rc < 0)
        return err_set(e, -rc, "serve calls");
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &before);
    rc = start(&d, t, e);
    while (rc == 0)
        rc = turn(&d, e);
    if (rc == OVER)
        rc = d.has_execed ? MX_DEPUTY_EXEC : MX_DEPUTY_ENDED;
    else if (rc == TOLD)
        rc = MX_DEPUTY_TOLD;
    else if ((rc == -EPIPE || rc == -ECONNRESET) && d.has_execed)
        rc = lose_children(&d);
    else if (rc == -EPIPE || rc == -ECONNRESET)
        rc = MX_DEPUTY_LOST;
    int ended = end_serving(&d, t, rc < 0 ? NULL : e);
    sigprocmask(SIG_SETMASK, &before, NULL);
    fd_close(&d.children_fd);
    mx_room_fini(&d.room);
    mx_link_fini(&d.link);
    if (rc < 0 && e && !e->text[0])
        return err_set(e, -rc, "serve calls");
    return rc < 0 ? rc : ended < 0 ? ended : rc;
}
