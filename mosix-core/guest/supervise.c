/* SPDX-License-Identifier: GPL-2.0-or-later */
/* supervise.c: seccomp notices of a body become calls at home.
 * Must not know: who is at the other end of the stream. Source: seccomp_unotify(2). */
#include "mosix-core/guest/supervise.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mosix-core/abi/marshal.h"
#include "mosix-core/guest/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* ---- confining ---- */

/* The body's own number of the listener stays open in it: it can do nothing with it, as every
 * call on a descriptor goes home. */
static int take_listener(pid_t pid, int number, int *listener, struct err *e)
{
    AUTO_FD process = (int)syscall(SYS_pidfd_open, pid, 0);
    int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, number, 0);
    if (fd < 0)
        return err_set(e, errno, "take the listener of process %d", (int)pid);
    *listener = fd;
    return fd_set_cloexec(fd, true);
}

int mx_guest_confine(struct mx_tracee *t, int *listener, struct err *e)
{
    struct sock_filter program[MX_FILTER_MAX];
    int64_t number;
    int len = mx_filter_build(program);
    size_t len_bytes = (size_t)len * sizeof *program;
    if (len < 0 || len_bytes + 64 > MX_SCRATCH_BYTES)
        return err_set(e, ENOSPC, "build the filter of calls");
    int rc = mx_tracee_scratch(t, 0, e);
    struct sock_fprog head = { .len = (unsigned short)len,
                               .filter = (void *)(uintptr_t)(t->scratch + 64) };
    struct mx_call alone = { SYS_prctl, { PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0 } };
    struct mx_call c = { SYS_seccomp,
                         { SECCOMP_SET_MODE_FILTER,
                           SECCOMP_FILTER_FLAG_NEW_LISTENER |
                               SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
                           t->scratch } };
    if (rc == 0)
        rc = mx_tracee_write(t, t->scratch, &head, sizeof head, e);
    if (rc == 0)
        rc = mx_tracee_write(t, t->scratch + 64, program, len_bytes, e);
    if (rc == 0)
        rc = mx_tracee_must(t, &alone, "prctl(PR_SET_NO_NEW_PRIVS)", e);
    if (rc == 0)
        rc = mx_tracee_call(t, &c, &number, e);
    if (rc == 0 && number < 0)
        rc = err_set(e, (int)-number, "seccomp in process %d", (int)t->pid);
    if (rc == 0)
        rc = take_listener(t->pid, (int)number, listener, e);
    return rc < 0 ? rc : mx_tracee_unscratch(t, e);
}

/* ---- serving ---- */

struct guest {
    int mem_fd, listener, home, told;
    uint8_t *space; /* MX_FRAME_MAX bytes */
    struct mx_tracee *t;
    bool is_told; /* the body has been caught */
};

static int on_read(void *ctx, uint64_t address, void *ptr, size_t len_bytes)
{
    const struct guest *g = ctx;
    return pread(g->mem_fd, ptr, len_bytes, (off_t)address) == (ssize_t)len_bytes ? 0 : -EFAULT;
}

static int on_write(void *ctx, uint64_t address, const void *ptr, size_t len_bytes)
{
    const struct guest *g = ctx;
    return pwrite(g->mem_fd, ptr, len_bytes, (off_t)address) == (ssize_t)len_bytes ? 0
                                                                                   : -EFAULT;
}

static int send_frame(const struct guest *g, size_t len_bytes)
{
    struct wr w = wr_of(g->space, 4);
    put_u32(&w, (uint32_t)len_bytes);
    return fd_write_full(g->home, g->space, 4 + len_bytes);
}

static int receive_frame(const struct guest *g, struct rd *r)
{
    uint32_t len_bytes;
    ssize_t n = fd_read_full(g->home, g->space, 4);
    *r = rd_of(g->space, 4);
    if (n != 4 || get_u32(r, &len_bytes) < 0)
        return n < 0 ? (int)n : -EPIPE;
    if (len_bytes > MX_FRAME_MAX)
        return -EPROTO;
    n = fd_read_full(g->home, g->space, len_bytes);
    *r = rd_of(g->space, len_bytes);
    return n == (ssize_t)len_bytes ? 0 : n < 0 ? (int)n : -EPIPE;
}

/* Until the answer comes. A call that is told to end early is still answered. */
static int await_answer(struct guest *g)
{
    bool has_cancelled = false;
    for (;;) {
        struct pollfd p[2] = { { g->home, POLLIN, 0 },
                               { has_cancelled ? -1 : g->told, POLLIN, 0 } };
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return -errno;
        if (p[0].revents)
            return 0;
        if (p[1].revents) {
            int rc = send_frame(g, 0);
            if (rc < 0)
                return rc;
            has_cancelled = true;
        }
    }
}

static bool is_told(const struct guest *g)
{
    struct pollfd p = { g->told, POLLIN, 0 };
    return poll(&p, 1, 0) > 0;
}

/* From here on the body stops before it goes on. So it must be before a call that was ended
 * early is answered: only a process that is to stop takes the kernel's -ERESTART… for what they
 * are. */
static int catch_body(struct guest *g)
{
    int rc = g->is_told ? 0 : mx_tracee_catch(g->t, g->t->pid, true, NULL);
    g->is_told |= rc == 0;
    return rc;
}

/* One call at home. *result is what the body gets. Returns 1 when it was the last. */
static int forward(struct guest *g, const struct seccomp_notif *n, int64_t *result)
{
    struct mx_call_memory m = { g, on_read, on_write };
    struct mx_call_wait wait;
    struct rd r;
    uint64_t args[MX_CALL_ARGS];
    memcpy(args, n->data.args, sizeof args);
    const char *name = mx_call_name(n->data.nr);
    const struct mx_call_line *line = name ? mx_call_pick(name, args) : NULL;
    *result = -ENOSYS;
    if (!line || line->where != MX_WHERE_HOME)
        return 0;
    struct wr w = wr_of(g->space + 4, MX_FRAME_MAX - 4);
    int rc = mx_call_ask(line, args, &m, &w, &wait);
    if (rc < 0) {
        *result = rc == -E2BIG ? -EINVAL : -EIO;
        return 0;
    }
    rc = send_frame(g, wr_len(&w));
    if (rc == 0 && n->data.nr == SYS_exit_group)
        return 1;
    if (rc == 0)
        rc = await_answer(g);
    if (rc == 0)
        rc = receive_frame(g, &r);
    return rc < 0 ? rc : mx_call_give(&wait, &r, &m, result);
}

/* Returns 0, 1 when the job has ended, -ENOENT when the body has gone. */
static int serve_one(struct guest *g)
{
    struct seccomp_notif n;
    struct seccomp_notif_resp answer;
    int64_t result;
    memset(&n, 0, sizeof n);
    if (ioctl(g->listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
        return errno == EINTR ? 0 : -errno;
    int rc = forward(g, &n, &result);
    if (rc == 0 && (is_told(g) || (result <= -512 && result >= -516)))
        rc = catch_body(g);
    if (rc != 0)
        return rc;
    answer = (struct seccomp_notif_resp){ .id = n.id };
    if (result < 0 && result > -4096)
        answer.error = (int32_t)result;
    else
        answer.val = result;
    /* ENOENT: a signal took it out of its call, and it will make it again, or not. */
    if (ioctl(g->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) < 0 && errno != ENOENT)
        return -errno;
    return 0;
}

int mx_guest_serve(struct mx_tracee *t, int listener, int home, int told, struct err *e)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)t->pid);
    AUTO_FD mem_fd = open(path, O_RDWR | O_CLOEXEC);
    AUTO_FREE uint8_t *space = malloc(MX_FRAME_MAX);
    struct guest g = { mem_fd, listener, home, told, space, t, false };
    if (mem_fd < 0 || !space)
        return err_set(e, mem_fd < 0 ? errno : ENOMEM, "open %s", path);
    for (;;) {
        struct pollfd p[3] = { { listener, POLLIN, 0 },
                               { home, POLLIN, 0 },
                               { told, POLLIN, 0 } };
        if (!g.is_told && poll(p, 3, -1) < 0 && errno != EINTR)
            return err_set(e, errno, "wait for process %d", (int)t->pid);
        if (p[0].revents & POLLHUP)
            return 1;
        if (p[2].revents && catch_body(&g) < 0)
            return 1;
        if (g.is_told)
            return MX_GUEST_TOLD;
        if (p[1].revents) /* between calls it says nothing: it is gone */
            return err_say(e, EPIPE, "the home of process %d is gone", (int)t->pid);
        int rc = p[0].revents & POLLIN ? serve_one(&g) : 0;
        if (rc == -ENOENT)
            continue;
        if (rc != 0)
            return rc < 0 ? err_set(e, -rc, "serve process %d", (int)t->pid) : 0;
    }
}
