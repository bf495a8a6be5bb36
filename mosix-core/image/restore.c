/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore.c: a fresh child becomes the process of an image.
 * Must not know: where the image comes from.
 * Order: what comes before the first pages is read and kept; the child opens the descriptors;
 * it is stopped, its mappings are exchanged for the image's (restore_memory.c), whose pages are
 * then written as they are read; its state comes last, after the image's end has been seen:
 * nothing of an image that is not whole ever runs. */
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mosix-core/image/making.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what is kept ---- */

int mx_kept_set(struct mx_kept *k, const struct mx_sec *s, struct err *e)
{
    struct mx_section_head head = { (uint16_t)s->number, mx_section_version(s->number), 0 };
    k->body = malloc(MX_SECTION_MAX);
    if (!k->body)
        return err_set(e, ENOMEM, "read an image");
    struct wr w = wr_of(k->body, MX_SECTION_MAX);
    mx_sec_put(&w, s);
    head.len_bytes = (uint32_t)wr_len(&w);
    uint8_t *fitting = realloc(k->body, head.len_bytes ? head.len_bytes : 1);
    k->body = fitting ? fitting : k->body;
    return mx_sec_get(&head, (struct bytes){ k->body, head.len_bytes }, &k->s);
}

static int keep_one_more(struct mx_kept **list, uint32_t *count, const struct mx_sec *s,
                         struct err *e)
{
    void *more = realloc(*list, (*count + 1) * sizeof **list);
    if (!more)
        return err_set(e, ENOMEM, "read an image");
    *list = more;
    (*list)[*count] = (struct mx_kept){ 0 };
    return mx_kept_set(&(*list)[(*count)++], s, e);
}

static void free_list(struct mx_kept *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(list[i].body);
    free(list);
}

static void making_fini(struct mx_making *p)
{
    for (unsigned i = 0; i < MX_SECTIONS_END; i++)
        free(p->once[i].body);
    free_list(p->descriptors, p->descriptor_count);
    free_list(p->objects, p->object_count);
    free_list(p->siblings, p->sibling_count);
    mx_maps_fini(&p->maps);
    mx_maps_fini(&p->next);
    free(p->space);
    mx_image_reader_fini(&p->reader);
}

/* ---- the child, before it is stopped ---- */

static int set_limits(struct bytes limits, struct err *e)
{
    for (unsigned i = 0; i < MX_LIMITS; i++) {
        struct rlimit want, have;
        memcpy(&want, limits.ptr + i * sizeof want, sizeof want);
        if (getrlimit((__rlimit_resource_t)i, &have) < 0)
            return err_set(e, errno, "read limit %u", i);
        bool is_same = have.rlim_cur == want.rlim_cur && have.rlim_max == want.rlim_max;
        if (!is_same && setrlimit((__rlimit_resource_t)i, &want) < 0)
            return err_set(e, errno, "set limit %u as it was", i);
    }
    return 0;
}

static const char *instead_of(const struct mx_making *p, unsigned number)
{
    for (unsigned i = 0; i < p->how.other_count; i++)
        if (p->how.others[i].number == number)
            return p->how.others[i].path;
    return NULL;
}

/* What was open here is ours and ends; what is opened takes the old numbers. */
static int open_descriptors(const struct mx_making *p, int words, struct err *e)
{
    bool has_standard[3] = { false, false, false };
    for (uint32_t i = 0; i < p->descriptor_count; i++)
        if (p->descriptors[i].s.descriptor.number < 3)
            has_standard[p->descriptors[i].s.descriptor.number] = true;
    fd_close_all_but(&words, 1);
    for (uint32_t i = 0; i < p->descriptor_count; i++) {
        const struct mx_sec_descriptor *d = &p->descriptors[i].s.descriptor;
        int rc = mx_restore_descriptor(d, instead_of(p, d->number), e);
        if (rc < 0)
            return rc;
    }
    for (int i = 0; i < 3; i++)
        if (!has_standard[i])
            close(i);
    return mx_restore_objects(p->objects, p->object_count, words + 1, e);
}

static int prepare(const struct mx_making *p, int words, struct err *e)
{
    const struct mx_sec_setting *s = &p->once[MX_SEC_setting].s.setting;
    char cwd[4096];
    if (p->how.is_body) {
        fd_close_all_but(&words, 1);
        for (int i = 0; i < 3; i++)
            close(i);
        return p->how.inside(p->how.ctx, e);
    }
    int rc = bytes_to_text(s->cwd, cwd, sizeof cwd);
    if (rc < 0 || chdir(cwd) < 0)
        return err_set(e, rc < 0 ? -rc : errno, "go to the directory %s", cwd);
    umask((mode_t)s->umask);
    rc = open_descriptors(p, words, e);
    return rc < 0 ? rc : set_limits(s->limits, e);
}

/* Never returns: it is stopped, and goes on as another. Says "" or why not. */
static _Noreturn void be_child(const struct mx_making *p, int words)
{
    struct err e = { "" };
    uint32_t last = 2;
    for (uint32_t i = 0; i < p->descriptor_count; i++)
        last = p->descriptors[i].s.descriptor.number;
    if (p->object_count && p->objects[p->object_count - 1].s.object.number > last)
        last = p->objects[p->object_count - 1].s.object.number;
    int high = fcntl(words, F_DUPFD_CLOEXEC, (int)last + 1);
    int rc =
        high < 0 ? err_set(&e, errno, "open %u descriptors", last + 1) : prepare(p, high, &e);
    int out = high < 0 ? words : high;
    if (fd_write_full(out, &rc, sizeof rc) < 0 || fd_write_full(out, e.text, sizeof e.text) < 0)
        _exit(1);
    close(out);
    while (rc == 0)
        pause();
    _exit(1);
}

/* With the old number if that may be. */
static pid_t fork_as(pid_t wanted)
{
    struct clone_args a = { .exit_signal = SIGCHLD,
                            .set_tid = (uint64_t)(uintptr_t)&wanted,
                            .set_tid_size = 1 };
    long pid = syscall(SYS_clone3, &a, sizeof a);
    return pid < 0 ? fork() : (pid_t)pid;
}

static int start_child(const struct mx_making *p, pid_t *pid_out, struct err *e)
{
    int pair[2], rc = fd_pipe(pair);
    if (rc < 0)
        return err_set(e, -rc, "make a pipe");
    AUTO_FD in = pair[0], out = pair[1];
    pid_t pid = fork_as((pid_t)p->once[MX_SEC_process].s.process.pid);
    if (pid < 0)
        return err_set(e, errno, "start a process");
    if (pid == 0)
        be_child(p, out);
    *pid_out = pid;
    fd_close(&out);
    int said;
    struct err words;
    struct pollfd ready = { .fd = in, .events = POLLIN };
    if (poll(&ready, 1, MX_STOP_MS) <= 0)
        return err_say(e, ETIMEDOUT, "opening the files of the new process takes too long");
    if (fd_read_full(in, &said, sizeof said) != sizeof said ||
        fd_read_full(in, &words, sizeof words) != sizeof words)
        return err_say(e, EIO, "the new process died");
    words.text[sizeof words.text - 1] = 0;
    /* What it has open from now on it keeps: this pipe must not be among it. */
    if (said >= 0 && (poll(&ready, 1, MX_STOP_MS) <= 0 || fd_read(in, &said, 1) != 0))
        return err_say(e, EIO, "the new process died");
    return said < 0 ? err_say(e, -said, "%s", words.text) : 0;
}

/* ---- all ---- */

static int put_threads(struct mx_restored *made, struct mx_making *p, struct err *e)
{
    struct mx_tracee *t = &made->t;
    int rc = 0;
    p->has_old_tids = true;
    if (p->how.stub && p->sibling_count != made->others.count)
        return err_say(e, EPROTO, "the image has %u threads, and process %d has %u",
                       p->sibling_count + 1, (int)t->pid, made->others.count + 1);
    for (uint32_t i = 0; rc >= 0 && i < p->sibling_count; i++) {
        const struct mx_sec_sibling *s = &p->siblings[i].s.sibling;
        rc = p->how.stub ? mx_restore_stub_thread(t, s, &made->others, e)
                         : mx_restore_thread(t, s, &made->others, e);
        p->has_old_tids &= rc > 0;
    }
    if (rc >= 0 && p->how.is_body && !p->has_old_tids)
        return err_say(e, EEXIST, "numbers of threads of process %d are taken", (int)t->pid);
    return rc < 0 ? rc : 0;
}

static int put_state(struct mx_restored *made, struct mx_making *p, struct err *e)
{
    struct mx_tracee *t = &made->t;
    static const enum mx_section order[] = { MX_SEC_layout,  MX_SEC_process, MX_SEC_thread,
                                             MX_SEC_signals, MX_SEC_timers,  MX_SEC_barriers };
    const struct mx_sec_registers *r = &p->once[MX_SEC_registers].s.registers;
    static const unsigned nt_x86_xstate = 0x202;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(order); i++)
        if (p->once[order[i]].body || order[i] != MX_SEC_barriers)
            rc = mx_restore_state(t, &p->once[order[i]].s, e);
    if (rc == 0 && p->once[MX_SEC_posix_timers].body && !p->how.stub && !p->how.is_body)
        rc = mx_timers_put(t, &p->once[MX_SEC_posix_timers].s.posix_timers, e);
    if (rc == 0 && !p->how.stub && !p->how.is_body &&
        (uint32_t)t->pid != p->once[MX_SEC_process].s.process.pid)
        rc = mx_restore_other_number(t, p->once[MX_SEC_thread].s.thread.robust, e);
    if (rc == 0)
        rc = put_threads(made, p, e);
    if (rc == 0)
        rc = mx_tracee_unscratch(t, e);
    if (rc == 0)
        rc = mx_tracee_put_set(t, nt_x86_xstate, r->xstate.ptr, r->xstate.len, e);
    memcpy(&t->regs, r->general.ptr, sizeof t->regs);
    t->blocked = r->blocked;
    return rc;
}

static void end_child(struct mx_restored *r)
{
    kill(r->pid, SIGKILL);
    mx_tracee_fini(&r->t);
    mx_threads_fini(&r->others, r->pid);
    while (waitpid(r->pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
}

static int make_child(struct mx_making *p, struct mx_restored *r, struct err *e)
{
    int rc = 0;
    if (p->how.before)
        rc = p->how.before(p->how.ctx, &p->once[MX_SEC_process].s.process, e);
    if (rc == 0)
        rc = start_child(p, &r->pid, e);
    return rc == 0 ? mx_tracee_seize(&r->t, r->pid, true, e) : rc;
}

/* What a fresh child that is no body has to know before it can be made. */
static int check_early(const struct mx_making *p, struct err *e)
{
    for (unsigned i = MX_SEC_process; i <= MX_SEC_setting; i++)
        if (i != MX_SEC_mapping && i != MX_SEC_pages && !p->once[i].body)
            return err_say(e, EPROTO, "the image has no section %s before its pages",
                           mx_section_name(i));
    return 0;
}

/* All mappings are known: the process is made, or its mappings become these. */
static int settle(struct mx_making *p, struct mx_restored *r, struct err *e)
{
    int rc = 0;
    if (!p->has_next)
        return p->is_made ? 0 : err_say(e, EPROTO, "the image has no mappings");
    rc = mx_making_room(p, e);
    if (rc < 0)
        return rc;
    if (p->is_made)
        return mx_making_remap(p, &r->t, e);
    if (p->how.stub)
        r->pid = r->t.pid;
    else if (p->how.is_body || (rc = check_early(p, e)) == 0)
        rc = make_child(p, r, e);
    p->is_made = rc == 0;
    return rc == 0 ? mx_making_exchange(p, &r->t, e) : rc;
}

static int take_mapping(struct mx_making *p, const struct mx_sec *s, struct err *e)
{
    p->has_next = true;
    int rc = mx_maps_add(&p->next, &s->mapping, false);
    return rc < 0 ? err_set(e, -rc, "note a mapping") : 0;
}

/* Of the process that stands still: with rounds, only the last says when. */
static void note_time(struct mx_making *p, uint64_t mono_ns, uint64_t boot_ns)
{
    p->then = (struct mx_clocks){ (int64_t)mono_ns, (int64_t)boot_ns };
}

/* Who sends is told that all before is done. */
static int take_round(struct mx_making *p, struct mx_restored *r, const struct mx_sec *s,
                      struct err *e)
{
    uint8_t number[4];
    struct wr w = wr_of(number, sizeof number);
    int rc = p->has_next ? settle(p, r, e) : 0;
    put_u32(&w, s->round.number);
    note_time(p, s->round.is_last ? s->round.mono_ns : 0,
              s->round.is_last ? s->round.boot_ns : 0);
    if (rc == 0 && !s->round.is_last && (rc = fd_write_full(p->fd, number, sizeof number)) < 0)
        rc = err_set(e, -rc, "answer to an image");
    return rc;
}

static int take(struct mx_making *p, struct mx_restored *r, const struct mx_sec *s,
                struct err *e)
{
    int rc;
    switch (s->number) {
    case MX_SEC_mapping: return take_mapping(p, s, e);
    case MX_SEC_round: return take_round(p, r, s, e);
    case MX_SEC_descriptor: return keep_one_more(&p->descriptors, &p->descriptor_count, s, e);
    case MX_SEC_object: return keep_one_more(&p->objects, &p->object_count, s, e);
    case MX_SEC_sibling: return keep_one_more(&p->siblings, &p->sibling_count, s, e);
    case MX_SEC_pages:
    case MX_SEC_packed:
    case MX_SEC_scattered:
    case MX_SEC_gone:
        rc = settle(p, r, e);
        return rc == 0 ? mx_making_pages(p, &r->t, s, e) : rc;
    case MX_SEC_end: return settle(p, r, e);
    case MX_SEC_process:
        note_time(p, s->process.mono_ns, s->process.boot_ns);
        return mx_kept_set(&p->once[s->number], s, e);
    case MX_SEC_registers:
    case MX_SEC_signals:
    case MX_SEC_timers:
    case MX_SEC_thread:
    case MX_SEC_layout:
    case MX_SEC_barriers:
    case MX_SEC_posix_timers:
    case MX_SEC_setting: return mx_kept_set(&p->once[s->number], s, e);
    case MX_SECTIONS_END: break;
    }
    return -EINVAL;
}

/* A process that comes home goes on by our clocks, and what it was shown away may be a little
 * ahead of them. It can't stay away for that. */
static void await_clocks(const struct mx_making *p)
{
    static const struct mx_clocks none = { 0, 0 };
    struct err e = { "" };
    if (mx_clocks_await(&p->then, &none, &e) < 0)
        log_error("a clock of process %d goes back as it comes home: %s", (int)p->how.stub->pid,
                  e.text);
}

/* Until its end. */
static int make(struct mx_making *p, struct mx_restored *r, struct err *e)
{
    struct mx_sec s;
    uint64_t last_us = 0, whole_us;
    int rc;
    while ((rc = mx_image_read(&p->reader, &s, e)) > 0) {
        if (s.number == MX_SEC_round && s.round.is_last)
            last_us = clock_mono_us();
        rc = take(p, r, &s, e);
        if (rc < 0)
            return rc;
    }
    whole_us = clock_mono_us();
    if (rc == 0 && p->how.pages)
        rc = mx_making_fill(p, &r->t, e);
    if (rc == 0)
        rc = mx_making_protect(p, &r->t, e);
    if (rc == 0)
        rc = put_state(r, p, e);
    if (rc == 0 && p->how.is_body)
        rc = mx_making_limit(p, r->pid, p->once[MX_SEC_setting].s.setting.limits, e);
    if (rc == 0)
        log_at(LOG_VERBOSE,
               "process %d: of the last round came %u us, was put in place in %u us, with %llu "
               "KiB that were elsewhere",
               (int)r->pid, (unsigned)(last_us ? whole_us - last_us : 0),
               (unsigned)(clock_mono_us() - whole_us),
               (unsigned long long)p->filled_bytes / 1024);
    if (rc == 0 && p->how.after && p->then.boot_ns)
        rc = p->how.after(p->how.ctx, &p->then, e);
    if (rc == 0 && p->how.stub)
        await_clocks(p);
    return rc;
}

int mx_restore_as(int fd, const struct mx_restore_how *how, struct mx_restored *r,
                  struct err *e)
{
    struct mx_making *p = calloc(1, sizeof *p);
    *r = (struct mx_restored){ .t.mem_fd = -1, .t.cancel_fd = -1 };
    if (how->stub)
        r->t = *how->stub;
    if (how->stub_threads)
        r->others = *how->stub_threads;
    if (!p)
        return err_set(e, ENOMEM, "read an image");
    p->how = *how;
    p->fd = fd;
    int rc = mx_image_reader_init(&p->reader, fd, e);
    if (rc == 0)
        rc = make(p, r, e);
    if (rc < 0 && r->pid > 0 && !how->stub)
        end_child(r);
    r->has_threads = p->sibling_count > 0;
    r->has_old_pid =
        rc == 0 && p->has_old_tids && (uint32_t)r->pid == p->once[MX_SEC_process].s.process.pid;
    making_fini(p);
    free(p);
    return rc;
}

int mx_restore_start(int fd, struct mx_restored *r, struct err *e)
{
    const struct mx_restore_how how = { 0 };
    return mx_restore_as(fd, &how, r, e);
}

int mx_restore_finish(struct mx_restored *r, bool is_running, struct err *e)
{
    int rc = is_running ? mx_threads_rest(&r->others, e) : 0;
    if (rc == 0 && is_running)
        rc = mx_tracee_release(&r->t, e);
    if (rc == 0 && is_running)
        mx_threads_fini(&r->others, r->pid);
    if (rc < 0 || !is_running)
        end_child(r);
    return rc;
}

int mx_restore(int fd, struct mx_restored *r, struct err *e)
{
    int rc = mx_restore_start(fd, r, e);
    return rc < 0 ? rc : mx_restore_finish(r, true, e);
}
