/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore.c: a fresh child gives up its own memory and gets that of an image.
 * Must not know: where the image comes from.
 * Order: what comes before the first pages is read and kept; the child opens the descriptors;
 * it is stopped, its mappings are exchanged for the image's, whose pages are then written as
 * they are read; its state comes last, after the image's end has been seen: nothing of an image
 * that is not whole ever runs. */
#include "mosix-core/image/restore.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mosix-core/image/parts.h"

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

/* A section that is kept: its views point into its own body. */
struct kept {
    struct mx_sec s;
    uint8_t *body;
};

struct plan {
    struct mx_image_reader reader;
    struct mx_maps maps;               /* of the image */
    struct kept once[MX_SECTIONS_END]; /* those that come once */
    struct kept *descriptors;
    uint32_t descriptor_count;
    struct mx_sec first_pages; /* the section that ended the reading */
    bool is_at_end;
    struct mx_restore_how how;
};

/* ---- reading what comes before the pages ---- */

static int keep(struct kept *k, const struct mx_sec *s, struct err *e)
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

static int keep_descriptor(struct plan *p, const struct mx_sec *s, struct err *e)
{
    void *more = realloc(p->descriptors, (p->descriptor_count + 1) * sizeof *p->descriptors);
    if (!more)
        return err_set(e, ENOMEM, "read an image");
    p->descriptors = more;
    p->descriptors[p->descriptor_count] = (struct kept){ 0 };
    return keep(&p->descriptors[p->descriptor_count++], s, e);
}

static int take_early(struct plan *p, const struct mx_sec *s, struct err *e)
{
    if (s->number == MX_SEC_mapping) {
        int rc = mx_maps_add(&p->maps, &s->mapping, false);
        return rc < 0 ? err_set(e, -rc, "note a mapping") : 0;
    }
    return s->number == MX_SEC_descriptor ? keep_descriptor(p, s, e)
                                          : keep(&p->once[s->number], s, e);
}

static int read_early(struct plan *p, struct err *e)
{
    for (;;) {
        struct mx_sec s;
        int rc = mx_image_read(&p->reader, &s, e);
        if (rc < 0)
            return rc;
        p->is_at_end = rc == 0 || s.number == MX_SEC_end;
        if (p->is_at_end || s.number == MX_SEC_pages) {
            p->first_pages = s;
            break;
        }
        rc = take_early(p, &s, e);
        if (rc < 0)
            return rc;
    }
    for (unsigned i = MX_SEC_process; i <= MX_SEC_setting; i++)
        if (i != MX_SEC_mapping && i != MX_SEC_pages && !p->once[i].body)
            return err_say(e, EPROTO, "the image has no section %s before its pages",
                           mx_section_name(i));
    return 0;
}

static void plan_fini(struct plan *p)
{
    for (unsigned i = 0; i < MX_SECTIONS_END; i++)
        free(p->once[i].body);
    for (uint32_t i = 0; i < p->descriptor_count; i++)
        free(p->descriptors[i].body);
    free(p->descriptors);
    mx_maps_fini(&p->maps);
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

/* Of a body: as much as this host allows. */
static int lower_limits(struct bytes limits, struct err *e)
{
    static const int here[] = { RLIMIT_STACK, RLIMIT_DATA, RLIMIT_AS, RLIMIT_MEMLOCK,
                                RLIMIT_SIGPENDING };
    for (unsigned i = 0; i < ARRAY_LEN(here); i++) {
        struct rlimit want, have;
        memcpy(&want, limits.ptr + (size_t)here[i] * sizeof want, sizeof want);
        if (getrlimit((__rlimit_resource_t)here[i], &have) < 0)
            return err_set(e, errno, "read limit %d", here[i]);
        if (have.rlim_max != RLIM_INFINITY && want.rlim_cur > have.rlim_max)
            want.rlim_cur = have.rlim_max;
        have.rlim_cur = want.rlim_cur;
        if (setrlimit((__rlimit_resource_t)here[i], &have) < 0)
            return err_set(e, errno, "set limit %d", here[i]);
    }
    return 0;
}

static const char *instead_of(const struct plan *p, unsigned number)
{
    for (unsigned i = 0; i < p->how.other_count; i++)
        if (p->how.others[i].number == number)
            return p->how.others[i].path;
    return NULL;
}

/* What was open here is ours and ends; what is opened takes the old numbers. */
static int open_descriptors(const struct plan *p, int words, struct err *e)
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
    return 0;
}

static int prepare(const struct plan *p, int words, struct err *e)
{
    const struct mx_sec_setting *s = &p->once[MX_SEC_setting].s.setting;
    char cwd[4096];
    if (p->how.is_body) {
        fd_close_all_but(&words, 1);
        for (int i = 0; i < 3; i++)
            close(i);
        int limited = lower_limits(s->limits, e);
        return limited < 0 ? limited : p->how.inside(p->how.ctx, e);
    }
    int rc = bytes_to_text(s->cwd, cwd, sizeof cwd);
    if (rc < 0 || chdir(cwd) < 0)
        return err_set(e, rc < 0 ? -rc : errno, "go to the directory %s", cwd);
    umask((mode_t)s->umask);
    rc = open_descriptors(p, words, e);
    return rc < 0 ? rc : set_limits(s->limits, e);
}

/* Never returns: it is stopped, and goes on as another. Says "" or why not. */
static _Noreturn void be_child(const struct plan *p, int words)
{
    struct err e = { "" };
    uint32_t last = 2;
    for (uint32_t i = 0; i < p->descriptor_count; i++)
        last = p->descriptors[i].s.descriptor.number;
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

static int start_child(const struct plan *p, pid_t *pid_out, struct err *e)
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

/* ---- memory ---- */

static int check_kernel(const struct plan *p, const struct mx_tracee *t,
                        const struct mx_maps *own, struct err *e)
{
    uint8_t sum[MX_SECTION_SUM_BYTES];
    int rc = mx_vdso_sum(t, own, sum, e);
    if (rc == 0 && memcmp(sum, p->once[MX_SEC_process].s.process.vdso.ptr, sizeof sum) != 0)
        return err_say(e, ENOTSUP, "the image is of another kernel");
    return rc;
}

static int drop_rseq(struct mx_tracee *t, struct err *e)
{
    struct __ptrace_rseq_configuration r = { 0 };
    if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, t->pid, sizeof r, &r) < 0)
        return err_set(e, errno, "ask for the rseq area of process %d", (int)t->pid);
    struct mx_call c = { SYS_rseq, { r.rseq_abi_pointer, r.rseq_abi_size, 1, r.signature } };
    return r.rseq_abi_pointer ? mx_tracee_must(t, &c, "rseq", e) : 0;
}

/* All but the scratch memory and what the kernel maps by itself. */
static int unmap_own(struct mx_tracee *t, const struct mx_maps *own, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < own->count; i++) {
        const struct mx_sec_mapping *m = &own->list[i];
        struct mx_call c = { SYS_munmap, { m->start, m->end - m->start } };
        if (m->kind == MX_MAP_MEMORY)
            rc = mx_tracee_must(t, &c, "munmap", e);
    }
    return rc;
}

static int move_mapping(struct mx_tracee *t, uint64_t from, uint64_t to, uint64_t len_bytes,
                        struct err *e)
{
    struct mx_call c = { SYS_mremap,
                         { from, len_bytes, len_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to } };
    bool has_call = t->syscall_at >= from && t->syscall_at < from + len_bytes;
    int rc = from == to ? 0 : mx_tracee_must(t, &c, "mremap", e);
    if (rc == 0 && has_call)
        t->syscall_at += to - from;
    return rc;
}

/* The kernel's mappings go where the image had them, by way of a parking place, as the two may
 * overlap. */
static int move_special(struct mx_tracee *t, const struct plan *p, const struct mx_maps *own,
                        uint64_t parking, struct err *e)
{
    uint64_t at[MX_MAP_KINDS] = { 0 };
    int rc = 0;
    for (unsigned kind = MX_MAP_VDSO; rc == 0 && kind < MX_MAP_KINDS; kind++) {
        const struct mx_sec_mapping *have = mx_maps_kind(own, kind);
        const struct mx_sec_mapping *want = mx_maps_kind(&p->maps, kind);
        if (!have && !want)
            continue;
        if (!have || !want || have->end - have->start != want->end - want->start)
            return err_say(e, ENOTSUP, "the image is of another kernel: it maps %s differently",
                           want ? (const char *)want->path.ptr : (const char *)have->path.ptr);
        at[kind] = parking;
        rc = move_mapping(t, have->start, parking, have->end - have->start, e);
        parking += have->end - have->start;
    }
    for (unsigned kind = MX_MAP_VDSO; rc == 0 && kind < MX_MAP_KINDS; kind++) {
        const struct mx_sec_mapping *want = mx_maps_kind(&p->maps, kind);
        if (want)
            rc = move_mapping(t, at[kind], want->start, want->end - want->start, e);
    }
    return rc;
}

static int map_one(struct mx_tracee *t, const struct mx_sec_mapping *m, struct err *e)
{
    uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    if (m->attributes & MX_ATTR_GROWSDOWN)
        flags |= MAP_GROWSDOWN;
    if (m->attributes & MX_ATTR_NORESERVE || !(m->prot & PROT_WRITE))
        flags |= MAP_NORESERVE;
    struct mx_call c = {
        SYS_mmap, { m->start, m->end - m->start, PROT_READ | PROT_WRITE, flags, UINT64_MAX, 0 }
    };
    return mx_tracee_must(t, &c, "mmap", e);
}

static int put_pages(struct mx_tracee *t, const struct plan *p, const struct mx_sec_pages *s,
                     struct err *e)
{
    const struct mx_sec_mapping *m =
        mx_mapping_find(p->maps.list, p->maps.count, s->start, s->start + s->body.len);
    if (!m || m->kind != MX_MAP_MEMORY)
        return err_say(e, EPROTO, "the image has pages outside of its mappings");
    if (p->how.some)
        p->how.some(p->how.ctx);
    return mx_tracee_write(t, s->start, s->body.ptr, s->body.len, e);
}

/* Until the end of the image. */
static int put_all_pages(struct mx_tracee *t, struct plan *p, struct err *e)
{
    if (p->is_at_end)
        return 0;
    int rc = put_pages(t, p, &p->first_pages.pages, e);
    while (rc == 0) {
        struct mx_sec s;
        rc = mx_image_read(&p->reader, &s, e);
        if (rc == 0 || (rc > 0 && s.number == MX_SEC_end))
            return 0;
        if (rc > 0)
            rc = s.number == MX_SEC_pages
                     ? put_pages(t, p, &s.pages, e)
                     : err_say(e, EPROTO, "the image has a section %s after its pages",
                               mx_section_name(s.number));
    }
    return rc;
}

static const struct {
    uint32_t attribute;
    int advice;
} advices[] = {
    { MX_ATTR_DONTFORK, MADV_DONTFORK },     { MX_ATTR_DONTDUMP, MADV_DONTDUMP },
    { MX_ATTR_WIPEONFORK, MADV_WIPEONFORK }, { MX_ATTR_HUGEPAGE, MADV_HUGEPAGE },
    { MX_ATTR_NOHUGEPAGE, MADV_NOHUGEPAGE }, { MX_ATTR_MERGEABLE, MADV_MERGEABLE },
};

static int protect_one(struct mx_tracee *t, const struct mx_sec_mapping *m, struct err *e)
{
    uint64_t len = m->end - m->start;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(advices); i++) {
        struct mx_call c = { SYS_madvise, { m->start, len, (uint64_t)advices[i].advice } };
        if (m->attributes & advices[i].attribute)
            rc = mx_tracee_must(t, &c, "madvise", e);
    }
    struct mx_call lock = { SYS_mlock, { m->start, len } };
    if (rc == 0 && m->attributes & MX_ATTR_LOCKED)
        rc = mx_tracee_must(t, &lock, "mlock", e);
    struct mx_call c = { SYS_mprotect, { m->start, len, m->prot } };
    if (rc == 0 && m->prot != (PROT_READ | PROT_WRITE))
        rc = mx_tracee_must(t, &c, "mprotect", e);
    return rc;
}

static int for_memory(struct mx_tracee *t, const struct plan *p,
                      int (*fn)(struct mx_tracee *, const struct mx_sec_mapping *,
                                struct err *),
                      struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < p->maps.count; i++)
        if (p->maps.list[i].kind == MX_MAP_MEMORY)
            rc = fn(t, &p->maps.list[i], e);
    return rc;
}

static int exchange_memory(struct mx_tracee *t, struct plan *p, const struct mx_maps *own,
                           struct err *e)
{
    const struct mx_sec_mapping *v = mx_maps_kind(own, MX_MAP_VDSO);
    uint64_t hole = mx_maps_hole(own, &p->maps, 1 << 20);
    int rc = v ? mx_tracee_find_syscall(t, v->start, v->end, e)
               : err_say(e, ENOTSUP, "this kernel has no vdso");
    if (rc == 0 && !hole)
        rc = err_say(e, ENOMEM, "the image leaves no room");
    if (rc == 0)
        rc = check_kernel(p, t, own, e);
    if (rc == 0)
        rc = drop_rseq(t, e);
    if (rc == 0)
        rc = mx_tracee_scratch(t, hole, e);
    if (rc == 0)
        rc = unmap_own(t, own, e);
    if (rc == 0)
        rc = move_special(t, p, own, hole + MX_SCRATCH_BYTES, e);
    if (rc == 0)
        rc = for_memory(t, p, map_one, e);
    if (rc == 0)
        rc = put_all_pages(t, p, e);
    return rc == 0 ? for_memory(t, p, protect_one, e) : rc;
}

/* ---- all ---- */

static int put_state(struct mx_tracee *t, struct plan *p, struct err *e)
{
    static const enum mx_section order[] = { MX_SEC_layout, MX_SEC_process, MX_SEC_thread,
                                             MX_SEC_signals, MX_SEC_timers };
    const struct mx_sec_registers *r = &p->once[MX_SEC_registers].s.registers;
    static const unsigned nt_x86_xstate = 0x202;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(order); i++)
        rc = mx_restore_state(t, &p->once[order[i]].s, e);
    if (rc == 0)
        rc = mx_tracee_unscratch(t, e);
    if (rc == 0)
        rc = mx_tracee_put_set(t, nt_x86_xstate, r->xstate.ptr, r->xstate.len, e);
    memcpy(&t->regs, r->general.ptr, sizeof t->regs);
    t->blocked = r->blocked;
    return rc;
}

/* All but letting it go. */
static int fill_process(struct plan *p, struct mx_restored *r, struct err *e)
{
    struct mx_maps own = { 0 };
    int rc = mx_maps_read(&own, r->pid, false, e);
    if (rc == 0)
        rc = exchange_memory(&r->t, p, &own, e);
    if (rc == 0)
        rc = put_state(&r->t, p, e);
    mx_maps_fini(&own);
    return rc;
}

static void end_child(struct mx_restored *r)
{
    kill(r->pid, SIGKILL);
    mx_tracee_fini(&r->t);
    while (waitpid(r->pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
}

static int make_child(struct plan *p, struct mx_restored *r, struct err *e)
{
    int rc = 0;
    if (p->how.before)
        rc = p->how.before(p->how.ctx, &p->once[MX_SEC_process].s.process, e);
    if (rc == 0)
        rc = start_child(p, &r->pid, e);
    return rc == 0 ? mx_tracee_seize(&r->t, r->pid, true, e) : rc;
}

int mx_restore_as(int fd, const struct mx_restore_how *how, struct mx_restored *r,
                  struct err *e)
{
    struct plan p = { .how = *how };
    *r = (struct mx_restored){ .t.mem_fd = -1, .t.cancel_fd = -1 };
    if (how->stub)
        r->t = *how->stub;
    int rc = mx_image_reader_init(&p.reader, fd, e);
    if (rc == 0)
        rc = read_early(&p, e);
    if (rc == 0 && how->stub)
        r->pid = r->t.pid;
    else if (rc == 0)
        rc = make_child(&p, r, e);
    if (rc == 0)
        rc = fill_process(&p, r, e);
    if (rc < 0 && r->pid > 0 && !how->stub)
        end_child(r);
    r->has_old_pid = rc == 0 && (uint32_t)r->pid == p.once[MX_SEC_process].s.process.pid;
    plan_fini(&p);
    return rc;
}

int mx_restore_start(int fd, struct mx_restored *r, struct err *e)
{
    const struct mx_restore_how how = { 0 };
    return mx_restore_as(fd, &how, r, e);
}

int mx_restore_finish(struct mx_restored *r, bool is_running, struct err *e)
{
    int rc = is_running ? mx_tracee_release(&r->t, e) : 0;
    if (rc < 0 || !is_running)
        end_child(r);
    return rc;
}

int mx_restore(int fd, struct mx_restored *r, struct err *e)
{
    int rc = mx_restore_start(fd, r, e);
    return rc < 0 ? rc : mx_restore_finish(r, true, e);
}
