/* SPDX-License-Identifier: GPL-2.0-or-later */
/* capture.c: stops a process, asks it for what only it can tell, and writes its image.
 * Must not know: where the image goes. */
#include "mosix-core/image/capture.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "mosix-core/abi/marshal.h"
#include "mosix-core/image/asleep.h"
#include "mosix-core/image/memory.h"
#include "mosix-core/image/parts.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

int mx_status_number(pid_t pid, const char *name, int base, uint64_t *value, struct err *e)
{
    char path[40], line[256];
    size_t len = strlen(name);
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    int rc = f ? -ENODATA : -errno;
    while (f && rc && fgets(line, sizeof line, f))
        if (strncmp(line, name, len) == 0 && line[len] == ':') {
            *value = strtoull(line + len + 1, NULL, base);
            rc = 0;
        }
    if (f)
        fclose(f);
    return rc < 0 ? err_set(e, -rc, "find %s in %s", name, path) : 0;
}

char mx_task_state(pid_t pid)
{
    char path[40], line[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && !state && fgets(line, sizeof line, f))
        if (strncmp(line, "State:\t", 7) == 0)
            state = line[7];
    if (f)
        fclose(f);
    return state;
}

/* What would be lost without a word. */
static int check_movable(pid_t pid, enum mx_capture_for what_for, struct err *e)
{
    uint64_t filters = 0;
    unsigned threads = mx_threads_count(pid);
    if (!threads || (threads > MX_MOVING_THREADS_MAX && what_for != MX_CAPTURE_WHOLE))
        return err_say(e, threads ? ENOTSUP : ESRCH, "process %d has %u threads", (int)pid,
                       threads);
    if (threads != 1 && mx_task_state(pid) == 'Z')
        return err_say(e, ENOTSUP, "the first thread of process %d has ended", (int)pid);
    int rc = mx_timers_look(pid, what_for, e);
    if (rc == 0)
        rc = mx_status_number(pid, "Seccomp", 10, &filters, e);
    if (rc == 0 && filters != 0 && what_for != MX_CAPTURE_BODY)
        return err_say(e, ENOTSUP, "process %d has a seccomp filter", (int)pid);
    return rc;
}

enum { EPOLL_PWAIT2 = 441 }; /* headers may lack it */

/* Calls that end with plain EINTR when a process is only stopped: programs don't expect that of
 * a stop. */
static bool is_disturbed_by_stop(uint64_t number)
{
    static const uint16_t calls[] = { SYS_epoll_wait,   SYS_epoll_pwait, EPOLL_PWAIT2,
                                      SYS_semop,        SYS_semtimedop,  SYS_rt_sigtimedwait,
                                      SYS_io_getevents, SYS_recvfrom,    SYS_recvmsg,
                                      SYS_recvmmsg,     SYS_accept,      SYS_accept4,
                                      SYS_sendto,       SYS_sendmsg,     SYS_connect };
    for (unsigned i = 0; i < ARRAY_LEN(calls); i++)
        if (calls[i] == number)
            return true;
    return false;
}

enum { RSEQ_CRITICAL_AT = 8 }; /* of a thread's area: where its sequence is described */

void mx_regs_interrupted(struct user_regs_struct *regs, bool has_signal, bool is_elsewhere)
{
    int64_t result = (int64_t)regs->rax;
    if ((int64_t)regs->orig_rax < 0)
        return;
    bool is_stop_only = result == -EINTR && !has_signal && is_disturbed_by_stop(regs->orig_rax);
    if (is_stop_only || (result == MX_RESTART_BLOCK && is_elsewhere))
        regs->rax = (uint64_t)(int64_t)MX_RESTART_UNCAUGHT;
}

/* Source: linux/rseq.h. */
int mx_capture_leave_sequence(struct mx_tracee *t, struct err *e)
{
    struct __ptrace_rseq_configuration r = { 0 };
    struct {
        uint32_t version, flags;
        uint64_t start_ip, post_commit_offset, abort_ip;
    } critical;
    uint64_t at = 0;
    if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, t->pid, sizeof r, &r) < 0)
        return err_set(e, errno, "ask for the rseq area of process %d", (int)t->pid);
    if (!r.rseq_abi_pointer ||
        mx_tracee_read(t, r.rseq_abi_pointer + RSEQ_CRITICAL_AT, &at, sizeof at, NULL) < 0 ||
        !at || mx_tracee_read(t, at, &critical, sizeof critical, NULL) < 0)
        return 0; /* none, or nothing that the kernel could use either */
    if (t->regs.rip - critical.start_ip < critical.post_commit_offset)
        t->regs.rip = critical.abort_ip;
    return 0;
}

int mx_capture_fix(struct mx_tracee *t, struct user_regs_struct *elsewhere, struct err *e)
{
    uint64_t of_process, of_thread;
    int rc = mx_capture_leave_sequence(t, e);
    if (rc == 0)
        rc = mx_status_number(t->pid, "ShdPnd", 16, &of_process, e);
    if (rc == 0)
        rc = mx_status_number(t->pid, "SigPnd", 16, &of_thread, e);
    if (rc < 0)
        return rc;
    bool has_signal = (of_process | of_thread) & ~t->blocked;
    *elsewhere = t->regs;
    mx_regs_interrupted(elsewhere, has_signal, true);
    mx_regs_interrupted(&t->regs, has_signal, false);
    if (!t->waits || (int64_t)elsewhere->rax != MX_RESTART_UNCAUGHT)
        return 0;
    mx_asleep_again(elsewhere, t->waits, t->wait_value);
    if ((int64_t)t->regs.rax == MX_RESTART_UNCAUGHT)
        t->regs = *elsewhere; /* the kernel has no note of it */
    return 0;
}

int mx_vdso_sum(const struct mx_tracee *t, const struct mx_maps *m,
                uint8_t sum[MX_SECTION_SUM_BYTES], struct err *e)
{
    uint8_t code[32 << 10];
    const struct mx_sec_mapping *v = mx_maps_kind(m, MX_MAP_VDSO);
    if (!v || v->end - v->start > sizeof code)
        return err_say(e, ENOTSUP, "process %d has no vdso", (int)t->pid);
    int rc = mx_tracee_read(t, v->start, code, v->end - v->start, e);
    if (rc == 0)
        crypto_blake2b(sum, code, v->end - v->start);
    return rc;
}

int mx_capture_process(const struct mx_tracee *t, const struct mx_clocks *ahead,
                       const struct mx_maps *m, struct mx_image_writer *w, struct err *e)
{
    uint8_t sum[MX_SECTION_SUM_BYTES];
    char path[40], comm[17] = "";
    struct utsname name;
    snprintf(path, sizeof path, "/proc/%d/comm", (int)t->pid);
    FILE *f = fopen(path, "re");
    if (!f || !fgets(comm, sizeof comm, f))
        comm[0] = 0;
    if (f)
        fclose(f);
    comm[strcspn(comm, "\n")] = 0;
    int rc = mx_vdso_sum(t, m, sum, e);
    if (rc < 0)
        return rc;
    if (uname(&name) < 0)
        return err_set(e, errno, "ask for the kernel's release");
    const struct mx_clocks now = mx_clocks_now();
    struct mx_sec s = { .number = MX_SEC_process,
                        .process = { .pid = (uint32_t)t->pid,
                                     .page_bytes = 4096,
                                     .mono_ns = (uint64_t)(now.mono_ns + ahead->mono_ns),
                                     .release = bytes_of(name.release),
                                     .vdso = { sum, sizeof sum },
                                     .comm = bytes_of(comm),
                                     .boot_ns = (uint64_t)(now.boot_ns + ahead->boot_ns) } };
    return mx_image_write(w, &s, e);
}

static int write_registers(struct mx_tracee *t, const struct user_regs_struct *regs,
                           struct mx_image_writer *w, struct err *e)
{
    static const unsigned nt_x86_xstate = 0x202;
    uint8_t xstate[MX_XSTATE_MAX];
    size_t len = sizeof xstate;
    int rc = mx_tracee_get_set(t, nt_x86_xstate, xstate, &len, e);
    if (rc < 0)
        return rc;
    struct mx_sec s = { .number = MX_SEC_registers,
                        .registers = { .blocked = t->blocked,
                                       .general = { (const uint8_t *)regs, sizeof *regs },
                                       .xstate = { xstate, (uint32_t)len } } };
    return mx_image_write(w, &s, e);
}

int mx_capture_check(const struct mx_capture *c, struct err *e)
{
    int rc = check_movable(c->t.pid, c->what_for, e);
    return rc == 0 ? mx_capture_check_threads(c, e) : rc;
}

int mx_capture_find_call(struct mx_tracee *t, const struct mx_maps *m, struct err *e)
{
    const struct mx_sec_mapping *v = mx_maps_kind(m, MX_MAP_VDSO);
    return v ? mx_tracee_find_syscall(t, v->start, v->end, e)
             : err_say(e, ENOTSUP, "process %d has no vdso", (int)t->pid);
}

/* What the vdso does depends on the time namespace, which is another elsewhere. */
int mx_capture_leave_vdso(struct mx_capture *c, const struct mx_maps *m, struct err *e)
{
    const struct mx_sec_mapping *v = mx_maps_kind(m, MX_MAP_VDSO);
    int rc = v ? mx_tracee_step_out(&c->t, v->start, v->end, e) : 0;
    for (unsigned i = 0; v && rc == 0 && i < c->others.count; i++)
        rc = mx_tracee_step_out(&c->others.list[i].t, v->start, v->end, e);
    return rc;
}

int mx_capture_rest(struct mx_capture *c, struct mx_image_writer *w, struct err *e)
{
    struct mx_tracee *t = &c->t;
    struct user_regs_struct elsewhere;
    int rc = mx_capture_fix(t, &elsewhere, e);
    if (rc == 0)
        rc = write_registers(t, &elsewhere, w, e);
    if (rc < 0)
        return rc;
    mx_image_hold(w);
    rc = mx_capture_state(c, w, e);
    if (rc == 0)
        rc = mx_capture_ask_threads(c, e);
    int gone = mx_tracee_unscratch(t, rc == 0 ? e : NULL);
    int rested = mx_tracee_rest(t, rc == 0 && gone == 0 ? e : NULL);
    rc = rc < 0 ? rc : gone < 0 ? gone : rested;
    if (rc == 0)
        rc = mx_image_flush(w, e);
    return rc < 0 ? rc : mx_capture_write_threads(c, w, e);
}

/* Everything, from a process that stands still. */
static int write_all(struct mx_capture *c, struct mx_image_writer *w, struct err *e)
{
    struct mx_maps m = { 0 };
    struct mx_memory memory = { .mem = -1, .scan.pagemap = -1, .uffd = -1, .w = w };
    int rc = mx_capture_check(c, e);
    if (rc == 0)
        rc = mx_maps_read(&m, c->t.pid, true, e);
    if (rc == 0)
        rc = mx_capture_find_call(&c->t, &m, e);
    if (rc == 0)
        rc = mx_capture_leave_vdso(c, &m, e);
    if (rc == 0)
        rc = mx_capture_process(&c->t, &c->ahead, &m, w, e);
    if (rc == 0 && c->what_for == MX_CAPTURE_WHOLE)
        rc = mx_capture_descriptors(&c->t, c->without, w, e);
    if (rc == 0)
        rc = mx_capture_rest(c, w, e);
    if (rc == 0)
        rc = mx_memory_open(&memory, c->t.pid, false, e);
    if (rc == 0)
        rc = mx_memory_send(&memory, &m, true, e);
    mx_memory_fini(&memory);
    mx_maps_fini(&m);
    return rc == 0 ? mx_image_write_end(w, e) : rc;
}

/* Stops it, and finds out what it waits for. */
static int stop_asleep(struct mx_tracee *t, pid_t pid, struct err *e)
{
    enum { LOOKS_MAX = 5 };
    int rc = -EAGAIN;
    for (unsigned i = 0; rc == -EAGAIN && i < LOOKS_MAX; i++) {
        struct mx_asleep a;
        if (i > 0) /* it goes back to sleep */
            nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
        mx_asleep_look(&a, pid, true);
        rc = mx_tracee_seize(t, pid, false, e);
        if (rc == 0)
            rc = mx_asleep_stopped(&a, t);
        mx_asleep_fini(&a);
        if (rc == -EAGAIN && mx_tracee_release(t, e) < 0)
            return -ESRCH;
    }
    return rc == -EAGAIN
               ? err_say(e, ENOTSUP, "process %d waits for something that can't be told",
                         (int)pid)
               : rc;
}

int mx_capture_watch(pid_t pid, int *uffd, struct err *e)
{
    struct mx_maps m = { 0 };
    struct mx_tracee t;
    struct user_regs_struct elsewhere;
    int rc = mx_maps_read(&m, pid, true, e);
    if (rc == 0)
        rc = stop_asleep(&t, pid, e);
    if (rc == 0) {
        rc = mx_capture_fix(&t, &elsewhere, e);
        if (rc == 0)
            rc = mx_capture_find_call(&t, &m, e);
        if (rc == 0)
            rc = mx_watch_make(&t, uffd, e);
        int released = mx_tracee_release(&t, rc == 0 ? e : NULL);
        rc = rc < 0 ? rc : released;
    }
    mx_maps_fini(&m);
    return rc;
}

int mx_capture_look(pid_t pid, enum mx_capture_for what_for, struct err *e)
{
    struct mx_maps m = { 0 };
    int rc = check_movable(pid, what_for, e);
    if (rc == 0)
        rc = mx_maps_read(&m, pid, true, e);
    mx_maps_fini(&m);
    return rc;
}

/* Who has brought a process home lets go of it a moment after it has come. */
static int check_untraced(pid_t pid, struct err *e)
{
    uint64_t end_ms = clock_mono_ms() + MX_TRACER_MS, tracer = 0;
    for (;;) {
        int rc = mx_status_number(pid, "TracerPid", 10, &tracer, e);
        if (rc < 0 || !tracer)
            return rc;
        if (clock_mono_ms() >= end_ms)
            return err_say(e, ENOTSUP, MX_TRACED_WORDS, (int)pid, (unsigned long long)tracer);
        nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
    }
}

/* Without a word: the first first, as it is the one that a stop is asked of. */
static void let_go(struct mx_capture *c)
{
    if (mx_tracee_release(&c->t, NULL) < 0)
        mx_tracee_fini(&c->t);
    mx_threads_fini(&c->others, c->t.pid);
}

int mx_capture_stop(struct mx_capture *c, pid_t pid, struct err *e)
{
    /* What can't be is found before anything is stopped. */
    int rc = check_movable(pid, c->what_for, e);
    if (rc == 0 && c->what_for == MX_CAPTURE_WHOLE)
        rc = check_untraced(pid, e);
    c->start_us = clock_mono_us();
    if (rc == 0)
        rc = stop_asleep(&c->t, pid, e);
    if (rc == 0) {
        rc = mx_threads_seize(&c->others, &c->t, e);
        if (rc < 0)
            let_go(c);
    }
    return rc;
}

int mx_capture_release(struct mx_capture *c, struct err *e)
{
    pid_t pid = c->t.pid;
    for (unsigned i = 0; i < c->others.count; i++)
        c->t.has_stop |= c->others.list[i].t.has_stop;
    int rested = mx_threads_rest(&c->others, e);
    int rc = mx_tracee_release(&c->t, rested == 0 ? e : NULL);
    mx_threads_fini(&c->others, pid);
    return rested < 0 ? rested : rc;
}

int mx_capture_write(struct mx_capture *c, int fd, struct err *e)
{
    struct mx_image_writer w;
    int rc = mx_image_writer_init(&w, fd, e);
    if (rc == 0)
        rc = write_all(c, &w, e);
    c->image_bytes = w.written_bytes;
    mx_image_writer_fini(&w);
    return rc;
}

int mx_capture_start(struct mx_capture *c, pid_t pid, int fd, struct err *e)
{
    *c = (struct mx_capture){ .what_for = MX_CAPTURE_WHOLE, .without = c->without };
    int rc = mx_capture_stop(c, pid, e);
    if (rc < 0)
        return rc;
    rc = mx_capture_write(c, fd, e);
    if (rc < 0)
        let_go(c);
    return rc;
}

int mx_capture_finish(struct mx_capture *c, bool is_ending, struct mx_captured *did,
                      struct err *e)
{
    pid_t pid = c->t.pid;
    int rc = 0;
    if (is_ending && kill(pid, SIGKILL) < 0)
        rc = err_set(e, errno, "end process %d", (int)pid);
    for (unsigned i = 0; i < c->others.count; i++)
        c->t.has_stop |= c->others.list[i].t.has_stop;
    int released = mx_tracee_release(&c->t, is_ending ? NULL : e);
    mx_threads_fini(&c->others, pid);
    *did = (struct mx_captured){ .image_bytes = c->image_bytes,
                                 .frozen_us = clock_mono_us() - c->start_us };
    return is_ending ? rc : released;
}

int mx_capture(pid_t pid, int fd, bool is_ending, struct mx_captured *did, struct err *e)
{
    struct mx_capture c = { 0 };
    int rc = mx_capture_start(&c, pid, fd, e);
    return rc < 0 ? rc : mx_capture_finish(&c, is_ending, did, e);
}
