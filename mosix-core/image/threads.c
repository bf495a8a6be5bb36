/* SPDX-License-Identifier: GPL-2.0-or-later */
/* threads.c: all threads of a process are stopped, and let go.
 * Must not know: what is done with their state.
 * A thread that runs can make another at any time, and one that stands still can't: so when a
 * look at all of them finds only ones that stand still, there are no others; a second look is
 * for one that was being made during the first. Source: ptrace(2), proc(5). */
#include "mosix-core/image/threads.h"

#include "common/sys/clock.h"
#include "mosix-core/image/form/sections.h"
#include "mosix-core/image/parts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

enum { TIMED_MAX = 8 }; /* of so many it is found out how long they still wait */

static DIR *open_tasks(pid_t pid)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    return opendir(path);
}

/* The next thread's number; 0: that was all. */
static pid_t next_task(DIR *d)
{
    struct dirent *x;
    while ((x = readdir(d)))
        if (isdigit((unsigned char)x->d_name[0]))
            return (pid_t)strtol(x->d_name, NULL, 10);
    return 0;
}

unsigned mx_threads_count(pid_t pid)
{
    DIR *d = open_tasks(pid);
    unsigned count = 0;
    while (d && next_task(d))
        count++;
    if (d)
        closedir(d);
    return count;
}

struct mx_thread *mx_threads_find(struct mx_threads *s, pid_t tid)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->list[i].t.pid == tid)
            return &s->list[i];
    return NULL;
}

static struct mx_thread *grow(struct mx_threads *s, pid_t pid, struct err *e)
{
    if (s->count + 1 >= MX_THREADS_MAX) {
        err_say(e, ENOTSUP, "process %d has more than %d threads", (int)pid, MX_THREADS_MAX);
        return NULL;
    }
    if (s->count == s->size) {
        unsigned size = s->size ? 2 * s->size : 8;
        void *more = realloc(s->list, size * sizeof *s->list);
        if (!more) {
            err_set(e, ENOMEM, "note the threads of process %d", (int)pid);
            return NULL;
        }
        s->list = more;
        s->size = size;
    }
    s->list[s->count] = (struct mx_thread){ 0 };
    return &s->list[s->count++];
}

static void become_sibling(struct mx_thread *x, const struct mx_tracee *first)
{
    x->t.is_sibling = true;
    x->t.mem_fd = first->mem_fd;
    x->t.cancel_fd = -1;
    x->t.syscall_at = first->syscall_at;
}

static int await_one(struct mx_thread *x, struct err *e)
{
    int rc = x->is_awaited ? 0 : mx_tracee_await(&x->t, e);
    if (rc == 0 && !x->is_awaited && mx_asleep_stopped(&x->asleep, &x->t) < 0)
        rc = err_say(e, ENOTSUP, "thread %d waits for something that can't be told",
                     (int)x->t.pid);
    x->is_awaited = true;
    return rc;
}

static bool is_gone(int rc)
{
    return rc == -ESRCH || rc == -ECHILD;
}

/* Returns 1: it is new and will stop; 0: it has ended. */
static int catch_one(struct mx_threads *s, const struct mx_tracee *first, pid_t tid,
                     struct err *e)
{
    struct mx_thread *x = grow(s, first->pid, e);
    if (!x)
        return -ENOTSUP;
    /* Looking at timers takes a while, which all the others stand still. */
    mx_asleep_look(&x->asleep, tid, s->count <= TIMED_MAX);
    int rc = mx_tracee_catch(&x->t, tid, false, e);
    become_sibling(x, first);
    if (rc == 0 && x->asleep.timers_ns) /* before the next one's timer goes, too */
        rc = await_one(x, e);
    mx_asleep_fini(&x->asleep);
    if (rc == 0)
        return 1;
    s->count--;
    char state = mx_task_state(tid);
    return is_gone(rc) || !state || state == 'Z' || state == 'X' ? 0 : rc;
}

static int catch_new(struct mx_threads *s, const struct mx_tracee *first, struct err *e)
{
    DIR *d = open_tasks(first->pid);
    pid_t tid;
    int rc = d ? 0 : err_set(e, errno, "list the threads of process %d", (int)first->pid);
    bool is_new = false;
    while (d && rc >= 0 && (tid = next_task(d)))
        if (tid != first->pid && !mx_threads_find(s, tid)) {
            rc = catch_one(s, first, tid, e);
            is_new |= rc > 0;
        }
    if (d)
        closedir(d);
    return rc < 0 ? rc : is_new;
}

static int await_all(struct mx_threads *s, struct err *e)
{
    for (unsigned i = 0; i < s->count;) {
        struct mx_thread *x = &s->list[i];
        int rc = await_one(x, e);
        if (rc == 0) {
            i++;
        } else if (is_gone(rc)) {
            s->list[i] = s->list[--s->count]; /* it was about to end */
        } else {
            return rc;
        }
    }
    return 0;
}

int mx_threads_seize(struct mx_threads *s, const struct mx_tracee *first, struct err *e)
{
    uint64_t end_ms = clock_mono_ms() + MX_STOP_MS;
    for (unsigned quiet = 0; quiet < 2;) {
        int rc = catch_new(s, first, e);
        quiet = rc > 0 ? 0 : quiet + 1;
        if (rc >= 0)
            rc = await_all(s, e);
        if (rc < 0)
            return rc;
        if (clock_mono_ms() >= end_ms)
            return err_say(e, ETIMEDOUT, "process %d begins and ends threads all the time",
                           (int)first->pid);
    }
    return 0;
}

struct mx_thread *mx_threads_add(struct mx_threads *s, const struct mx_tracee *first, pid_t tid,
                                 struct err *e)
{
    struct mx_thread *x = grow(s, first->pid, e);
    if (!x)
        return NULL;
    x->t = (struct mx_tracee){ .pid = tid, .is_seized = true };
    become_sibling(x, first);
    x->is_awaited = true;
    return mx_tracee_await(&x->t, e) == 0 ? x : NULL;
}

int mx_threads_take(struct mx_threads *s, const struct mx_tracee *first,
                    const struct mx_tracee *t, struct err *e)
{
    struct mx_thread *x = grow(s, first->pid, e);
    if (!x)
        return -ENOTSUP;
    x->t = *t;
    become_sibling(x, first);
    x->is_awaited = true;
    return 0;
}

static int compare(const void *a, const void *b)
{
    pid_t x = ((const struct mx_thread *)a)->t.pid, y = ((const struct mx_thread *)b)->t.pid;
    return (x > y) - (x < y);
}

void mx_threads_sort(struct mx_threads *s)
{
    if (s->count)
        qsort(s->list, s->count, sizeof *s->list, compare);
}

int mx_threads_rest(struct mx_threads *s, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < s->count; i++)
        rc = mx_tracee_rest(&s->list[i].t, e);
    return rc;
}

/* Returns whether it is still ours. */
static bool settle(pid_t tid)
{
    int status;
    pid_t got = waitpid(tid, &status, __WALL | WNOHANG);
    if (got == tid && WIFSTOPPED(status)) {
        int signo = status >> 16 || WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
        return ptrace(PTRACE_DETACH, tid, 0, signo) < 0;
    }
    return got == 0 || (got < 0 && errno == EINTR);
}

void mx_threads_fini(struct mx_threads *s, pid_t pid)
{
    uint64_t end_ms = clock_mono_ms() + MX_STOP_MS;
    for (unsigned i = 0; i < s->count; i++)
        mx_tracee_fini(&s->list[i].t);
    free(s->list);
    *s = (struct mx_threads){ 0 };
    for (unsigned left = 1; left && clock_mono_ms() < end_ms;) {
        DIR *d = open_tasks(pid);
        left = 0;
        for (pid_t tid; d && (tid = next_task(d));)
            left += tid != pid && settle(tid);
        if (d)
            closedir(d);
        if (left)
            nanosleep(&(struct timespec){ 0, 500000 }, NULL);
    }
}

/* Returns whether it is still there. */
static bool is_left(pid_t tid)
{
    int status;
    pid_t got = waitpid(tid, &status, __WALL | WNOHANG);
    return got == 0 || (got == tid && WIFSTOPPED(status)) || (got < 0 && errno == EINTR);
}

void mx_threads_bury(struct mx_threads *s)
{
    uint64_t end_ms = clock_mono_ms() + MX_STOP_MS;
    for (unsigned i = 0; i < s->count && clock_mono_ms() < end_ms;) {
        if (!is_left(s->list[i].t.pid))
            i++;
        else
            nanosleep(&(struct timespec){ 0, 500000 }, NULL);
    }
    mx_threads_forget(s);
}

void mx_threads_forget(struct mx_threads *s)
{
    free(s->list);
    *s = (struct mx_threads){ 0 };
}
