/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timers.c: POSIX timers. They stay with the stub of a process that moves, whose kernel sends
 * their signals as it always did; so only those are in the way that measure what the stub does
 * not do. In a file they are with what was left of them, and go on from there. Must not know:
 * who moves it. Source: proc(5), /proc/PID/timers; timer_create(2). */
#include "mosix-core/image/parts.h"

#include "common/base/wire.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

/* Not in older headers: ids are then given in growing order. */
#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS 77
#endif

/* How the kernel says CLOCK_PROCESS_CPUTIME_ID of whoever made the timer. */
enum { OWN_TIME = -6 };

enum { NOTIFY_SIGNAL, NOTIFY_NONE, NOTIFY_OTHER, NUMBER_TRIES = 10000 };

struct timer {
    unsigned id, clock, signal, notify;
    unsigned long long value;
};

static bool is_of_time(unsigned clock, enum mx_capture_for what_for)
{
    bool is_own_time = clock == CLOCK_PROCESS_CPUTIME_ID && what_for == MX_CAPTURE_WHOLE;
    return is_own_time || clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC ||
           clock == CLOCK_BOOTTIME || clock == CLOCK_TAI;
}

static unsigned notify_of(const char *how)
{
    return strcmp(how, "signal/pid") == 0 ? NOTIFY_SIGNAL
           : strcmp(how, "none/pid") == 0 ? NOTIFY_NONE
                                          : NOTIFY_OTHER;
}

/* The next of the file, of which each is four lines. */
static bool read_timer(FILE *f, struct timer *t)
{
    char how[32];
    int clock;
    if (!f || fscanf(f, " ID: %u signal: %u/%llx notify: %31[a-z/].%*d ClockID: %d", &t->id,
                     &t->signal, &t->value, how, &clock) != 5)
        return false;
    t->clock = clock == OWN_TIME ? CLOCK_PROCESS_CPUTIME_ID : (unsigned)clock;
    t->notify = notify_of(how);
    return true;
}

static FILE *open_timers(pid_t pid)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/timers", (int)pid);
    return fopen(path, "re");
}

int mx_timers_look(pid_t pid, enum mx_capture_for what_for, struct err *e)
{
    FILE *f = open_timers(pid);
    struct timer t;
    unsigned count = 0;
    int rc = 0;
    while (rc == 0 && read_timer(f, &t)) {
        if (!is_of_time(t.clock, what_for))
            rc = err_say(e, ENOTSUP, "process %d has POSIX timers of processor time", (int)pid);
        else if (what_for == MX_CAPTURE_WHOLE && t.notify == NOTIFY_OTHER)
            rc = err_say(e, ENOTSUP, "process %d has POSIX timers that are a thread's",
                         (int)pid);
        else if (++count > MX_POSIX_TIMERS_MAX && what_for == MX_CAPTURE_WHOLE)
            rc = err_say(e, ENOTSUP, "process %d has more than %d POSIX timers", (int)pid,
                         MX_POSIX_TIMERS_MAX);
    }
    if (f)
        fclose(f);
    return rc;
}

/* ---- capture ---- */

static uint64_t in_ns(struct timespec t)
{
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int add(struct mx_tracee *t, const struct timer *x, struct wr *w, struct err *e)
{
    struct itimerspec left;
    struct mx_call c = { SYS_timer_gettime, { x->id, t->scratch } };
    int rc = mx_tracee_must(t, &c, "timer_gettime", e);
    if (rc == 0)
        rc = mx_tracee_read(t, t->scratch, &left, sizeof left, e);
    if (rc < 0)
        return rc;
    put_u32(w, x->id);
    put_u32(w, x->clock);
    put_u32(w, x->signal);
    put_u32(w, x->notify);
    put_u64(w, x->value);
    put_u64(w, in_ns(left.it_value));
    put_u64(w, in_ns(left.it_interval));
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct timer *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

int mx_timers_write(struct mx_tracee *t, struct mx_image_writer *w, struct err *e)
{
    uint8_t list[MX_POSIX_TIMERS_MAX * MX_POSIX_TIMER_BYTES];
    struct wr body = wr_of(list, sizeof list);
    struct timer x[MX_POSIX_TIMERS_MAX];
    FILE *f = open_timers(t->pid);
    unsigned count = 0;
    int rc = 0;
    while (count < MX_POSIX_TIMERS_MAX && read_timer(f, &x[count]))
        count++;
    if (f)
        fclose(f);
    qsort(x, count, sizeof *x, compare); /* kernels have orders of their own */
    for (unsigned i = 0; rc == 0 && i < count; i++)
        rc = add(t, &x[i], &body, e);
    struct mx_sec s = { .number = MX_SEC_posix_timers,
                        .posix_timers = { { list, (uint32_t)wr_len(&body) } } };
    return rc < 0 || !wr_len(&body) ? rc : mx_image_write(w, &s, e);
}

/* ---- restore ---- */

static struct timespec of_ns(uint64_t ns)
{
    return (struct timespec){ (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
}

/* A kernel that does not let one choose gives the next number each time. */
static int create(struct mx_tracee *t, const struct timer *x, struct err *e)
{
    struct {
        struct sigevent event;
        int id;
    } args;
    struct mx_call c = { SYS_timer_create,
                         { x->clock, t->scratch, t->scratch + offsetof(typeof(args), id) } };
    memset(&args, 0, sizeof args);
    args.event.sigev_notify = x->notify == NOTIFY_NONE ? SIGEV_NONE : SIGEV_SIGNAL;
    args.event.sigev_signo = (int)x->signal;
    memcpy(&args.event.sigev_value, &x->value, sizeof x->value);
    for (unsigned i = 0; i < NUMBER_TRIES; i++) {
        args.id = (int)x->id;
        int rc = mx_tracee_write(t, t->scratch, &args, sizeof args, e);
        if (rc == 0)
            rc = mx_tracee_must(t, &c, "timer_create", e);
        if (rc == 0)
            rc = mx_tracee_read(t, t->scratch, &args, sizeof args, e);
        if (rc < 0 || (unsigned)args.id == x->id)
            return rc;
        struct mx_call away = { SYS_timer_delete, { (uint64_t)args.id } };
        rc = mx_tracee_must(t, &away, "timer_delete", e);
        if (rc < 0)
            return rc;
        if ((unsigned)args.id > x->id)
            break;
    }
    return err_say(e, ENOTSUP, "this kernel does not give a POSIX timer the number %u", x->id);
}

static int put_one(struct mx_tracee *t, const struct timer *x, uint64_t left_ns,
                   uint64_t every_ns, struct err *e)
{
    struct itimerspec v = { of_ns(every_ns), of_ns(left_ns) };
    struct mx_call c = { SYS_timer_settime, { x->id, 0, t->scratch, 0 } };
    int rc = create(t, x, e);
    if (rc == 0)
        rc = mx_tracee_write(t, t->scratch, &v, sizeof v, e);
    return rc == 0 ? mx_tracee_must(t, &c, "timer_settime", e) : rc;
}

int mx_timers_put(struct mx_tracee *t, const struct mx_sec_posix_timers *s, struct err *e)
{
    struct rd r = rd_of(s->list.ptr, s->list.len);
    struct timer x;
    uint64_t value, left_ns, every_ns;
    int64_t ignored;
    struct mx_call choose = { SYS_prctl, { PR_TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0 } };
    int rc = mx_tracee_call(t, &choose, &ignored, e);
    while (rc == 0 && rd_left(&r)) {
        if (get_u32(&r, &x.id) < 0 || get_u32(&r, &x.clock) < 0 || get_u32(&r, &x.signal) < 0 ||
            get_u32(&r, &x.notify) < 0 || get_u64(&r, &value) < 0 ||
            get_u64(&r, &left_ns) < 0 || get_u64(&r, &every_ns) < 0)
            return err_say(e, EPROTO, "the image's timers make no sense");
        x.value = value;
        rc = put_one(t, &x, left_ns, every_ns, e);
    }
    choose.args[1] = 0;
    return rc == 0 ? mx_tracee_call(t, &choose, &ignored, e) : rc;
}
