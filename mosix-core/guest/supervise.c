/* SPDX-License-Identifier: GPL-2.0-or-later */
/* supervise.c: seccomp notices of a body become calls at home, and what home says of it is done
 * to it. Must not know: who is at the other end of the stream, how something is done to a body.
 * Source: seccomp_unotify(2). */
#include "mosix-core/guest/supervise.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mosix-core/abi/marshal.h"
#include "mosix-core/deputy/link.h"
#include "mosix-core/guest/back.h"
#include "mosix-core/guest/body.h"
#include "mosix-core/guest/family.h"
#include "mosix-core/guest/faults.h"
#include "mosix-core/guest/filter.h"
#include "mosix-core/guest/many.h"
#include "mosix-core/guest/mirrored.h"
#include "mosix-core/guest/parts.h"
#include "mosix-core/image/form/sections.h"
#include "mosix-core/image/parts.h"
#include "mosix-core/image/waits.h"
#include "mosix-core/sandbox/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- serving ---- */

static struct mx_body *find_pid(struct guest *g, pid_t pid)
{
    for (unsigned i = 0; i < g->count; i++)
        if (g->bodies[i]->pid == pid)
            return g->bodies[i];
    return NULL;
}

struct mx_body *mx_guest_find(struct guest *g, uint32_t who)
{
    for (unsigned i = 0; i < g->count; i++)
        if (g->bodies[i]->who == who)
            return g->bodies[i];
    return NULL;
}

bool mx_guest_has_others(const struct guest *g, const struct mx_body *b)
{
    for (unsigned i = 0; i < g->count; i++)
        if (g->bodies[i] != b && g->bodies[i]->first == b->first && !g->bodies[i]->is_leaving)
            return true;
    return false;
}

static unsigned process_count(const struct guest *g)
{
    unsigned n = 0;
    for (unsigned i = 0; i < g->count; i++)
        n += g->bodies[i]->first == g->bodies[i];
    return n;
}

/* of: the first thread of its process; NULL: it is that. */
static int add_body(struct guest *g, pid_t pid, uint32_t who, struct mx_body *of, struct err *e)
{
    struct mx_body *b = g->count < MX_BODIES_MAX ? malloc(sizeof *b) : NULL;
    if (!b)
        return err_set(e, g->count < MX_BODIES_MAX ? ENOMEM : ENOSPC, "serve process %d",
                       (int)pid);
    b->mem_fd = -1;
    g->bodies[g->count++] = b;
    int rc = mx_body_init(b, pid, who, e);
    if (of)
        b->first = of;
    return rc;
}

/* ---- calls ---- */

/* What the mask will be at home. */
static uint64_t changed_mask(struct mx_body *b, const struct seccomp_data *d)
{
    uint64_t set;
    if (d->nr != SYS_rt_sigprocmask || !d->args[1] ||
        pread(b->mem_fd, &set, sizeof set, (off_t)d->args[1]) != (ssize_t)sizeof set)
        return b->home_mask;
    switch ((int)d->args[0]) {
    case SIG_BLOCK: return b->home_mask | set;
    case SIG_UNBLOCK: return b->home_mask & ~set;
    default: return set;
    }
}

static int on_result(struct guest *g, struct mx_body *b, int64_t result, struct err *e);

static int send_call(struct guest *g, struct mx_body *b, const struct mx_call_line *line,
                     const uint64_t args[MX_CALL_ARGS], const struct mx_call_memory *m,
                     struct err *e)
{
    int64_t result;
    int rc = mx_ahead_read(g, b, line, args, m, &result);
    b->wait.line = line;
    if (rc == 0)
        rc = mx_behind_write(g, b, line, args, m, &result);
    if (rc != 0)
        return rc == 1 ? on_result(g, b, result, e) : rc < 0 ? rc : 0;
    struct wr *w = mx_link_begin(&g->link, MX_TALK_CALL, b->who);
    put_u32(w, b->seen);
    rc = mx_call_ask(line, args, m, w, &b->wait);
    if (rc == -ENOSPC || rc == -E2BIG)
        return mx_back_begin(g, b, "makes a call with more than a megabyte of arguments", e);
    if (rc < 0)
        return mx_body_end_call(b, g->listener, MX_BODY_RESULT, rc, e);
    return mx_link_send(&g->link);
}

/* Of what the kernel fills no more is asked than one call can bring. */
static void cap_rooms(const struct mx_call_line *line, uint64_t args[MX_CALL_ARGS])
{
    for (unsigned i = 0; i < line->arg_count; i++)
        if (line->args[i].kind == MX_KIND_OUT && args[line->args[i].n] > MX_CALL_BYTES_MAX)
            args[line->args[i].n] = MX_CALL_BYTES_MAX;
}

static int next_piece(struct guest *g, struct mx_body *b, struct err *e)
{
    uint64_t args[MX_CALL_ARGS];
    struct mx_call_memory m;
    if (mx_ahead_has(&b->ahead, (int)b->transfer.args[0]))
        b->transfer.is_asking = false; /* it is a file */
    const struct mx_call_line *line = mx_transfer_next(&b->transfer, args, &m);
    return send_call(g, b, line, args, &m, e);
}

static int next_of_mapping(struct guest *g, struct mx_body *b, struct err *e)
{
    uint64_t args[MX_CALL_ARGS];
    struct mx_call_memory m;
    const struct mx_call_line *line = mx_mapping_next(b, args, &m);
    return send_call(g, b, line, args, &m, e);
}

static int map_at_home(struct guest *g, struct mx_body *b, struct err *e)
{
    return mx_back_begin(g, b, "shares memory that may be written", e);
}

static int ask_mapping(struct guest *g, struct mx_body *b, struct err *e)
{
    int rc = mx_mapping_begin(b);
    if (rc == MX_MAPPING_HOME)
        return map_at_home(g, b, e);
    if (rc < 0)
        return mx_body_end_call(b, g->listener, MX_BODY_RESULT, rc, e);
    return next_of_mapping(g, b, e);
}

static int on_mapping_answer(struct guest *g, struct mx_body *b, struct mx_talk_frame *f,
                             struct err *e)
{
    uint64_t args[MX_CALL_ARGS];
    struct mx_call_memory m;
    int64_t result;
    int rc =
        mx_mapping_next(b, args, &m) ? mx_call_give(&b->wait, &f->body, &m, &result) : -EPROTO;
    if (rc == 0)
        rc = mx_mapping_result(b, g->listener, result, e);
    if (rc == MX_MAPPING_HOME)
        return map_at_home(g, b, e);
    if (rc != MX_MAPPING_MORE)
        return rc;
    return next_of_mapping(g, b, e);
}

static int forward(struct guest *g, struct mx_body *b, const char *name,
                   const struct mx_call_line *line, struct err *e)
{
    struct mx_call_memory m = mx_body_memory(b);
    uint64_t args[MX_CALL_ARGS];
    memcpy(args, b->notice.data.args, sizeof args);
    int64_t result;
    mx_kept_forget(&b->kept, mx_kept_ends(name));
    if (line && mx_kept_give(&b->kept, b->notice.pid, line, args, &m, &result))
        return mx_body_end_call(b, g->listener, MX_BODY_RESULT, result, e);
    b->transfer.is_active = b->is_one_of_many = false;
    b->next_mask = changed_mask(b, &b->notice.data);
    if (mx_transfer_begin(&b->transfer, name, args, &m))
        return next_piece(g, b, e);
    line = mx_many_one(b, line, args);
    if (!line || !mx_call_travels(line))
        return mx_back_begin(g, b, "makes a call that is made at home only", e);
    cap_rooms(line, args);
    return send_call(g, b, line, args, &m, e);
}

/* A handler's end brings back the mask that was before it; home had better know. */
static int see_return(struct guest *g, struct mx_body *b, struct err *e)
{
    uint64_t mask;
    int rc = 0;
    if (mx_body_return_mask(b, &mask) == 0 && mask != b->home_mask) {
        put_u64(mx_link_begin(&g->link, MX_TALK_MASK, b->who), mask);
        b->home_mask = mask;
        rc = mx_link_send(&g->link);
    }
    return rc < 0 ? rc : mx_body_end_call(b, g->listener, MX_BODY_CONTINUE, 0, e);
}

/* ---- children ---- */

static bool is_fork(int number)
{
    return number == SYS_fork || number == SYS_vfork || number == SYS_clone ||
           number == SYS_clone3;
}

static int ask_fork(struct guest *g, struct mx_body *b, struct err *e)
{
    struct mx_fork *f = &b->fork;
    int rc = mx_fork_read(b, f);
    bool is_thread = f->flags & CLONE_THREAD;
    if (rc == 0 && is_thread && !g->how->others)
        return mx_back_begin(g, b, "starts threads", e);
    if (rc == -ENOTSUP)
        return mx_back_begin(g, b, "makes a child in a way that is known at home only", e);
    if (rc == 0 && g->count == MX_BODIES_MAX)
        return mx_back_begin(g, b, "has too many children and threads away", e);
    if (rc == 0 && !is_thread && g->how->processes_max &&
        process_count(g) >= g->how->processes_max)
        return mx_back_begin(g, b, "makes more processes than a guest may have there", e);
    if (rc < 0)
        return mx_body_end_call(b, g->listener, MX_BODY_RESULT, rc, e);
    b->is_forking = true;
    struct wr *w = mx_link_begin(&g->link, MX_TALK_FORK, b->who);
    put_u32(w, b->seen);
    put_u32(w, is_thread ? 0 : (uint32_t)f->exit_signal);
    put_u8(w, is_thread);
    return mx_link_send(&g->link);
}

static void keep_notice(void *ctx, const struct seccomp_notif *n)
{
    struct mx_body *b = find_pid(ctx, (pid_t)n->pid);
    if (!b)
        return;
    b->notice = *n;
    b->is_calling = b->is_held = true;
}

/* What threads share another of them can change, and its answers cross ours. */
static void keep_own_only(struct guest *g, const struct mx_body *of)
{
    for (unsigned i = 0; i < g->count; i++)
        if (g->bodies[i]->first == of) {
            mx_kept_forget(&g->bodies[i]->kept, MX_KEEP_SESSION | MX_KEEP_GROUP);
            g->bodies[i]->kept.may &= MX_KEEP_IDS | MX_KEEP_EVER;
        }
}

static int say_died(struct guest *g, uint32_t who, int signo)
{
    struct wr *w = mx_link_begin(&g->link, MX_TALK_DIED, who);
    put_u32(w, (uint32_t)signo);
    put_u8(w, signo == SIGKILL && mx_sandbox_memory_kills() > g->how->memory_kills);
    return mx_link_send(&g->link);
}

static int end_thread_at_home(struct guest *g, uint32_t who)
{
    static const uint64_t none[MX_CALL_ARGS];
    struct mx_call_wait wait;
    struct mx_call_memory m = { 0 };
    mx_link_begin(&g->link, MX_TALK_RESUME, who);
    int rc = mx_link_send(&g->link);
    struct wr *w = mx_link_begin(&g->link, MX_TALK_CALL, who);
    put_u32(w, 0);
    if (rc == 0)
        rc = mx_call_ask(mx_call_pick("exit", none), none, &m, w, &wait);
    return rc < 0 ? rc : mx_link_send(&g->link);
}

/* Home has made the child, so here it is made too. What then fails here ends the child there.
 */
static int on_forked(struct guest *g, struct mx_body *b, int64_t result, struct err *e)
{
    bool is_thread = b->fork.flags & CLONE_THREAD;
    pid_t child = 0;
    if (result <= 0)
        return mx_body_end_call(b, g->listener, MX_BODY_RESULT, result, e);
    int rc = mx_body_fork(b, g->listener, &b->fork, (pid_t)result, keep_notice, g, &child, e);
    if (rc == 1)
        return is_thread ? end_thread_at_home(g, (uint32_t)result)
                         : say_died(g, (uint32_t)result, SIGKILL);
    if (rc == 0)
        rc = add_body(g, child, (uint32_t)result, is_thread ? b->first : NULL, e);
    if (rc < 0)
        return rc;
    struct mx_body *new = g->bodies[g->count - 1];
    new->is_watched = b->is_watched;
    new->home_mask = b->home_mask;
    if (is_thread)
        keep_own_only(g, b->first);
    new->is_fetched = g->is_fetched || (is_thread && b->is_fetched);
    b->vfork = !is_thread && b->fork.flags & CLONE_VFORK ? (uint32_t)result : 0;
    mx_link_begin(&g->link, MX_TALK_RESUME, (uint32_t)result);
    rc = mx_link_send(&g->link);
    if (rc == 0)
        rc = mx_pause_one(g, new);
    return rc == 0 && !b->vfork && b->signal_count ? mx_body_signal(b, e) : rc;
}

/* Who has waited for a child goes on, and gets the signals that came meanwhile. */
static int end_vfork(struct guest *g, uint32_t child, struct err *e)
{
    for (unsigned i = 0; i < g->count; i++) {
        struct mx_body *b = g->bodies[i];
        if (b->vfork != child)
            continue;
        b->vfork = 0;
        if (b->signal_count && !b->is_calling && !b->is_dead)
            return mx_body_signal(b, e);
    }
    return 0;
}

/* Its kernel's business, and noticed only for us to know since when it waits. */
static bool is_own_wait(const struct seccomp_data *d, const struct mx_call_line *line,
                        const uint64_t args[MX_CALL_ARGS])
{
    return d->arch == AUDIT_ARCH_X86_64 && line && line->where == MX_WHERE_HERE &&
           mx_wait_find(d->nr, args);
}

static int look_at(struct guest *g, struct mx_body *b, struct err *e)
{
    char words[MX_TALK_TEXT_MAX];
    uint64_t args[MX_CALL_ARGS];
    memcpy(args, b->notice.data.args, sizeof args);
    const struct mx_call_line *line = mx_call_find(b->notice.data.nr, args);
    b->is_held = b->is_mirrored = b->transfer.is_active = b->is_cut = false;
    mx_timed_begin(&b->timed, &b->notice.data, b->mem_fd);
    if (is_own_wait(&b->notice.data, line, args))
        return mx_body_end_call(b, g->listener, MX_BODY_CONTINUE, 0, e);
    int rc = mx_ahead_look(g, b, line, args);
    if (rc < 0)
        return rc;
    const char *why = mx_back_why(&b->notice.data, g->how->only, words);
    bool is_mirrored = why && mx_mirrored_takes(g, &b->notice.data);
    mx_behind_look(b, is_mirrored ? NULL : line, args);
    if (is_mirrored)
        return mx_mirrored_ask(g, b, e);
    if (why)
        return mx_back_begin(g, b, why, e);
    if (b->notice.data.nr == SYS_rt_sigreturn)
        return see_return(g, b, e);
    if (is_fork(b->notice.data.nr))
        return ask_fork(g, b, e);
    if (b->notice.data.nr == SYS_exit && mx_guest_has_others(g, b)) {
        if (b->first == b)
            return mx_back_begin(g, b, "ends its first thread before the others", e);
        b->is_leaving = true;
    }
    if (b->notice.data.nr == SYS_mmap)
        return ask_mapping(g, b, e);
    return forward(g, b, mx_call_name(b->notice.data.nr), line, e);
}

/* What it waited for may have come, or comes no more. */
static int try_again(struct guest *g, struct mx_body *b, struct err *e)
{
    return b->transfer.is_active ? next_piece(g, b, e) : look_at(g, b, e);
}

int mx_guest_leave_ahead(struct guest *g, struct mx_body *b, struct err *e)
{
    bool is_again, is_write;
    int rc = mx_ahead_leave(g, b, &is_again);
    mx_behind_leave(b, &is_write);
    is_again |= is_write;
    if (rc == 0 && is_again && b->transfer.is_active)
        return next_piece(g, b, e);
    b->is_held |= is_again;
    return rc;
}

static int on_notice(struct guest *g, struct err *e)
{
    struct seccomp_notif n;
    memset(&n, 0, sizeof n);
    if (ioctl(g->listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
        return errno == EINTR || errno == ENOENT ? 0 : err_set(e, errno, "take a call");
    struct mx_body *b = find_pid(g, (pid_t)n.pid);
    if (!b || b->is_ended)
        return 0; /* it is being killed */
    b->notice = n;
    b->is_calling = true;
    b->is_held = b->back != MX_BACK_NONE; /* it is about to be caught */
    return b->is_held ? 0 : look_at(g, b, e);
}

/* Those that came while something else was looked at. */
static int look_at_held(struct guest *g, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < g->count; i++)
        if (g->bodies[i]->is_held && g->bodies[i]->back == MX_BACK_NONE && !g->is_pausing)
            rc = look_at(g, g->bodies[i], e);
    return rc;
}

/* ---- what home says ---- */

static int no_write(void *ctx UNUSED, uint64_t address UNUSED, const void *ptr UNUSED,
                    size_t len_bytes UNUSED)
{
    return 0;
}

/* In a handler more is blocked than home knows: what came for that waits here. */
static void add_pending(struct mx_body *b)
{
    uint64_t at = b->notice.data.args[0], set, here = 0, more = 0;
    if (mx_status_number(b->pid, "SigPnd", 16, &here, NULL) < 0 ||
        mx_status_number(b->pid, "ShdPnd", 16, &more, NULL) < 0 || (here | more) == 0)
        return;
    if (pread(b->mem_fd, &set, sizeof set, (off_t)at) == (ssize_t)sizeof set) {
        set |= here | more;
        if (pwrite(b->mem_fd, &set, sizeof set, (off_t)at) != (ssize_t)sizeof set)
            return;
    }
}

static int on_answer(struct guest *g, struct mx_body *b, struct mx_talk_frame *f, struct err *e)
{
    struct mx_call_memory m = mx_body_memory(b);
    uint64_t args[MX_CALL_ARGS];
    int64_t result;
    if (!b->is_calling || b->is_held)
        return err_say(e, EPROTO, "process %d is given an answer to no call", (int)b->pid);
    b->is_leaving = false; /* a signal was there first */
    if (b->is_forking) {
        b->is_forking = false;
        return get_i64(&f->body, &result) < 0 ? -EPROTO : on_forked(g, b, result, e);
    }
    if (b->mapping.step != MX_MAP_NONE)
        return on_mapping_answer(g, b, f, e);
    if (b->transfer.is_active && !mx_transfer_next(&b->transfer, args, &m))
        return -EPROTO;
    if (!b->transfer.is_active && !b->is_one_of_many && !b->is_mirrored) {
        memcpy(args, b->notice.data.args, sizeof args);
        mx_kept_forget(&b->kept, mx_kept_ends(b->wait.line->name));
        mx_kept_note(&b->kept, b->notice.pid, b->wait.line, args, &f->body);
    }
    /* What this kernel is to do too, it does with arguments that are as they were. */
    if (b->wait.line->where == MX_WHERE_BOTH)
        m.write = no_write;
    int rc = b->is_mirrored ? get_i64(&f->body, &result)
                            : mx_call_give(&b->wait, &f->body, &m, &result);
    if (rc < 0)
        return err_set(e, -rc, "an answer for call %d of process %d", b->notice.data.nr,
                       (int)b->pid);
    /* A stop cuts nothing short that goes on by itself: it is tried once more. */
    bool is_cut = b->transfer.is_active && g->is_pausing && !b->signal_count && !b->is_cut &&
                  mx_call_is_interrupted(result);
    b->is_cut = is_cut;
    return is_cut ? next_piece(g, b, e) : on_result(g, b, result, e);
}

/* Its call, or a piece of it, has this result. */
static int on_result(struct guest *g, struct mx_body *b, int64_t result, struct err *e)
{
    if (b->transfer.is_active && !mx_transfer_result(&b->transfer, result, &result)) {
        b->back = MX_BACK_NONE;
        return next_piece(g, b, e);
    }
    if (b->is_one_of_many)
        result = mx_many_after_one(b, result);
    bool is_done = result >= 0 || result < -4095;
    if (is_done)
        b->home_mask = b->next_mask;
    if (is_done && b->notice.data.nr == SYS_rt_sigpending)
        add_pending(b);
    enum mx_body_end how =
        is_done && b->wait.line->where == MX_WHERE_BOTH ? MX_BODY_CONTINUE : MX_BODY_RESULT;
    if (b->back == MX_BACK_ASKED)
        return mx_back_catch(g, b, how, result, e);
    return g->is_pausing ? mx_pause_hold(g, b, how, result, e)
                         : mx_body_end_call(b, g->listener, how, result, e);
}

/* Who waits in a call gets it with the answer, who is caught when it is known what for. */
static int on_signal(struct mx_body *b, struct mx_talk_frame *f, struct err *e)
{
    if (rd_left(&f->body) != MX_TALK_SIGINFO_BYTES || b->signal_count == MX_BODY_SIGNALS_MAX)
        return -EPROTO;
    siginfo_t *info = &b->signals[b->signal_count++];
    memcpy(info, f->body.at, sizeof *info);
    if (info->si_signo < 1 || info->si_signo > 64)
        return -EPROTO;
    b->seen++;
    bool is_later = b->is_calling || b->vfork || b->is_caught;
    return is_later ? 0 : mx_body_signal(b, e);
}

static int send_signal(const struct mx_body *b, int signo, struct err *e)
{
    if (kill(b->pid, signo) < 0 && errno != ESRCH)
        return err_set(e, errno, "signal process %d", (int)b->pid);
    return 0;
}

/* It ended as it wanted, which it does here now; or the others do too, or execute another
 * program. */
static int on_thread_end(struct guest *g, struct mx_body *b, struct err *e)
{
    b->is_ended = true;
    if (b->is_leaving && b->is_calling)
        return mx_body_end_call(b, g->listener, MX_BODY_CONTINUE, 0, e);
    b->is_dead = true;
    return 0;
}

static int on_end(struct guest *g, struct mx_body *b, struct mx_talk_frame *f, struct err *e)
{
    uint8_t how;
    if (get_u8(&f->body, &how) < 0)
        return -EPROTO;
    if (b->first != b)
        return on_thread_end(g, b, e);
    if (b->who == 0)
        g->result = how == MX_END_EXEC || how == MX_END_HOME ? MX_GUEST_EXEC
                    : b->is_dead                             ? MX_GUEST_KILLED
                                                             : MX_GUEST_ENDED;
    b->is_ended = true;
    return send_signal(b, SIGKILL, e);
}

/* The call that it waits in tells the truth at home only. */
static int on_not_away(struct guest *g, struct mx_body *b, struct mx_talk_frame *f,
                       struct err *e)
{
    char why[MX_TALK_TEXT_MAX];
    if (!b->is_calling || b->is_held || b->is_forking || b->mapping.step != MX_MAP_NONE)
        return -EPROTO;
    mx_talk_get_text(&f->body, why);
    return mx_back_begin(g, b, why, e);
}

static int on_keep(struct guest *g, struct mx_body *b, struct mx_talk_frame *f)
{
    if (get_u8(&f->body, &b->kept.may) < 0)
        return -EPROTO;
    if (b->kept.may & MX_KEEP_DUMPS)
        mx_faults_watch(b);
    if (b->first != b || mx_guest_has_others(g, b))
        keep_own_only(g, b->first);
    return 0;
}

static int on_frame(struct guest *g, struct mx_body *b, struct mx_talk_frame *f, struct err *e)
{
    uint32_t which;
    bool is_again;
    int rc;
    if (f->kind == MX_TALK_FETCH) {
        if (get_u32(&f->body, &which) < 0)
            return -EPROTO;
        mx_back_fetch(g, which);
        return mx_back_ask_fetched(
            g, e); /* at once: an answer that follows is not to let it go on */
    }
    if (!b || (b->is_dead && f->kind != MX_TALK_END))
        return 0;
    switch (f->kind) {
    case MX_TALK_ANSWER: return on_answer(g, b, f, e);
    case MX_TALK_SIGNAL: return on_signal(b, f, e);
    case MX_TALK_STOP: return send_signal(b, SIGSTOP, e);
    case MX_TALK_CONT: return send_signal(b, SIGCONT, e);
    case MX_TALK_END: return on_end(g, b, f, e);
    case MX_TALK_NOT_AWAY: return on_not_away(g, b, f, e);
    case MX_TALK_TAKE: return mx_back_take(g, b, e);
    case MX_TALK_WANT: return mx_mirrored_want(g, b, f);
    case MX_TALK_CHANGED: return mx_mirrored_changed(b, f);
    case MX_TALK_AHEAD_OPEN:
    case MX_TALK_AHEAD_BYTES:
    case MX_TALK_AHEAD_REVOKE:
    case MX_TALK_AHEAD_STAMP:
        rc = mx_ahead_frame(g, b, f, &is_again);
        return rc == 0 && is_again ? try_again(g, b, e) : rc;
    case MX_TALK_BEHIND_OPEN:
    case MX_TALK_BEHIND_DONE:
        rc = mx_behind_frame(g, b, f, &is_again);
        return rc == 0 && is_again ? try_again(g, b, e) : rc;
    case MX_TALK_KEEP: return on_keep(g, b, f);
    case MX_TALK_PAUSED: b->pauses_got++; return 0;
    case MX_TALK_FETCH:
    case MX_TALK_BACK:
    case MX_TALK_IMAGE:
    case MX_TALK_IMAGE_END:
    case MX_TALK_PAUSE:
    case MX_TALK_RESUME:
    case MX_TALK_CALL:
    case MX_TALK_FORK:
    case MX_TALK_AHEAD_TAKEN:
    case MX_TALK_AHEAD_LEFT:
    case MX_TALK_BEHIND_BYTES:
    case MX_TALK_MASK:
    case MX_TALK_MIRROR:
    case MX_TALK_PAGES:
    case MX_TALK_DIED: break;
    }
    return -EPROTO;
}

/* Here and at home. A thread that ends has still to say so in its process's memory. */
static bool is_gone(const struct mx_body *b)
{
    char path[64];
    if (b->first == b || !b->is_leaving)
        return b->is_ended && b->is_dead;
    snprintf(path, sizeof path, "/proc/%d/task/%d", (int)b->first->pid, (int)b->pid);
    return b->is_ended && access(path, F_OK) < 0;
}

static void drop_threads(struct guest *g, const struct mx_body *of)
{
    for (unsigned i = 0; i < g->count;) {
        struct mx_body *b = g->bodies[i];
        if (b == of || b->first != of) {
            i++;
            continue;
        }
        mx_body_fini(b);
        free(b);
        g->bodies[i] = g->bodies[--g->count];
    }
}

/* Bodies that are gone here and at home. The first is left to be waited for by the caller. */
static int drop_ended(struct guest *g, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; i < g->count;) {
        struct mx_body *b = g->bodies[i];
        if (!is_gone(b)) {
            i++;
            continue;
        }
        if (b->first == b)
            drop_threads(g, b);
        i = 0; /* the order may have changed */
        while (g->bodies[i] != b)
            i++;
        if (b->who != 0 && b->first == b && waitpid(b->pid, NULL, __WALL | WNOHANG) < 0 &&
            errno != ECHILD)
            rc = err_set(e, errno, "wait for process %d", (int)b->pid);
        uint32_t who = b->who;
        mx_body_fini(b);
        free(b);
        g->bodies[i] = g->bodies[--g->count];
        if (who != 0 && rc == 0)
            rc = end_vfork(g, who, e);
        i = 0; /* the order has changed */
    }
    return rc;
}

/* What is traced is waited for with its stops, whatever one asks for. */
static bool is_end(const siginfo_t *info)
{
    return info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED ||
           info->si_code == CLD_EXITED;
}

/* Which have died; of those that home doesn't know of it is told. */
static int check_bodies(struct guest *g, struct err *e)
{
    struct signalfd_siginfo some[16];
    int rc = 0;
    if (read(g->children_fd, some, sizeof some) < 0 && errno != EAGAIN)
        return err_set(e, errno, "watch processes");
    for (unsigned i = 0; rc == 0 && i < g->count; i++) {
        struct mx_body *b = g->bodies[i];
        siginfo_t info = { 0 };
        if (b->is_dead)
            continue;
        if (b->first != b) { /* one that was traced is to be waited for before its process */
            if (waitid(P_PID, (id_t)b->pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 ||
                !info.si_pid)
                continue;
            if (is_end(&info))
                b->is_dead = waitpid(b->pid, NULL, __WALL) == b->pid;
            else
                rc = mx_faults_look(g, b, e);
            continue;
        }
        if (waitid(P_PID, (id_t)b->pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0) {
            if (errno != ECHILD)
                continue;
            /* It was killed while something was done to it. */
            info = (siginfo_t){ .si_pid = b->pid, .si_code = CLD_EXITED };
        }
        if (info.si_pid == 0)
            continue;
        if (!is_end(&info)) { /* caught, or watched */
            rc = mx_faults_look(g, b, e);
            continue;
        }
        b->is_dead = true;
        if (b->is_ended)
            continue;
        rc = say_died(g, b->who, info.si_code == CLD_EXITED ? SIGKILL : info.si_status);
    }
    int dropped = drop_ended(g, e);
    return rc < 0 ? rc : dropped;
}

/* Home has nothing more to say; it may go. */
static bool is_over(const struct guest *g)
{
    for (unsigned i = 0; i < g->count; i++)
        if (!g->bodies[i]->first->is_ended)
            return false;
    return true;
}

static int take_frames(struct guest *g, struct err *e)
{
    struct mx_talk_frame f;
    int filled = mx_link_fill(&g->link), rc = 0, more = 0;
    while (rc == 0 && (more = mx_link_next(&g->link, &f)) > 0) {
        rc = on_frame(g, mx_guest_find(g, f.who), &f, e);
        if (rc == -ESRCH) /* killed meanwhile: that is found otherwise */
            rc = 0;
    }
    if (rc == 0)
        rc = drop_ended(g, e);
    if (rc < 0 || more < 0)
        return rc < 0 ? rc : more;
    return is_over(g) ? 0 : filled;
}

/* What is asked while it can't be done is for who supervises to refuse. */
static bool is_busy(const struct guest *g)
{
    return process_count(g) > 1 && g->how->busy && !g->is_left;
}

static bool has_leaving(const struct guest *g)
{
    for (unsigned i = 0; i < g->count; i++)
        if (g->bodies[i]->is_leaving && g->bodies[i]->is_ended)
            return true;
    return false;
}

static int turn(struct guest *g, struct err *e)
{
    struct pollfd p[5] = { { g->is_pausing ? -1 : g->listener, POLLIN, 0 },
                           { is_over(g) ? -1 : g->link.fd, mx_link_wants(&g->link), 0 },
                           { g->children_fd, POLLIN, 0 },
                           { mx_pause_may_begin(g) || is_busy(g) ? g->told : -1, POLLIN, 0 } };
    int rc = 0;
    int n = poll(p, 5, has_leaving(g) ? 1 : mx_pause_patience_ms(g));
    if (n < 0 && errno != EINTR)
        return err_set(e, errno, "wait for calls");
    if (n == 0)
        rc = mx_pause_again(g);
    if (p[4].revents)
        return -EPIPE;
    if (p[0].revents & POLLIN)
        rc = on_notice(g, e);
    if (rc == 0 && p[3].revents && mx_pause_may_begin(g)) /* it may have begun a fork */
        rc = mx_pause_begin(g, e);
    else if (rc == 0 && p[3].revents && is_busy(g))
        g->is_left = !g->how->busy(g->how->ctx);
    if (rc == 0 && p[1].revents & POLLOUT)
        rc = mx_link_flush(&g->link);
    if (rc == 0 && p[2].revents)
        rc = check_bodies(g, e);
    else if (rc == 0 && has_leaving(g))
        rc = drop_ended(g, e);
    if (rc == 0)
        rc = look_at_held(g, e);
    if (rc == -ESRCH)
        rc = 0;
    if (rc == 0 && g->count && p[1].revents & (POLLIN | POLLHUP | POLLERR))
        rc = take_frames(g, e);
    return rc == 0 ? mx_back_ask_fetched(g, e) : rc;
}

/* Those that it has: it makes no others but by us. */
static int add_threads(struct guest *g, struct mx_body *first, struct err *e)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/task", (int)first->pid);
    DIR *d = opendir(path);
    int rc = d ? 0 : err_set(e, errno, "list the threads of process %d", (int)first->pid);
    for (struct dirent *x; rc == 0 && (x = readdir(d));) {
        pid_t tid = (pid_t)strtol(x->d_name, NULL, 10);
        uint32_t who = tid && tid != first->pid ? (uint32_t)mx_number_inside(tid) : 0;
        if (who)
            rc = add_body(g, tid, who, first, e);
    }
    if (d)
        closedir(d);
    return rc;
}

static int start(struct guest *g, pid_t pid, struct err *e)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    int rc = mx_link_init(&g->link, g->how->home, g->how->sealed);
    if (rc < 0)
        return err_set(e, -rc, "serve process %d", (int)pid);
    g->children_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (g->children_fd < 0)
        return err_set(e, errno, "watch process %d", (int)pid);
    rc = add_body(g, pid, 0, NULL, e);
    if (rc == 0)
        mx_body_begins(g->bodies[0], &g->t->regs);
    if (rc == 0 && g->how->others)
        rc = add_threads(g, g->bodies[0], e);
    for (unsigned i = 0; rc == 0 && i < g->count; i++) {
        mx_link_begin(&g->link, MX_TALK_RESUME, g->bodies[i]->who);
        rc = mx_link_send(&g->link);
    }
    return rc;
}

int mx_guest_serve(struct mx_tracee *t, const struct mx_guest_how *how, struct err *e)
{
    struct guest g = {
        .how = how, .listener = how->listener, .children_fd = -1, .told = how->told, .t = t
    };
    pid_t pid = t->pid;
    sigset_t child, before;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &before);
    int rc = start(&g, pid, e);
    if (rc == 0)
        rc = check_bodies(&g, e); /* it may have died before SIGCHLD was blocked */
    while (rc == 0 && g.count && !mx_pause_is_over(&g)) {
        rc = turn(&g, e);
        /* What it has said at last counts, also when we had something to say. */
        if ((rc == -EPIPE || rc == -ECONNRESET) && take_frames(&g, e) <= 0 && is_over(&g))
            rc = 0;
    }
    if (rc == 0 && g.count) {
        rc = mx_pause_catch(&g, e);
        rc = rc < 0 ? rc : MX_GUEST_TOLD;
    }
    for (unsigned i = 0; i < g.count; i++) {
        if (g.bodies[i]->first == g.bodies[i] && g.bodies[i]->who != 0)
            kill(g.bodies[i]->pid, SIGKILL);
        mx_body_fini(g.bodies[i]);
        free(g.bodies[i]);
    }
    fd_close(&g.children_fd);
    mx_link_fini(&g.link);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (rc == -EPIPE || rc == -ECONNRESET)
        return err_say(e, EPIPE, "the home of process %d is gone", (int)pid);
    if (rc < 0 && e && !e->text[0])
        return err_set(e, -rc, "serve process %d", (int)pid);
    return rc != 0 ? rc : g.result;
}
