/* SPDX-License-Identifier: GPL-2.0-or-later */
/* many.c: the same job on several hosts.
 * Must not know: how one job is run. */
#include "mrc/many.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE_BYTES = 32 << 10, EXIT_MRC = 255, FAILED_TEXT_BYTES = 4096 };

struct host {
    pid_t pid;  /* 0 = not started */
    int fds[2]; /* what it prints; -1 = ended or ours */
    int status; /* of waitpid, when has_ended */
    bool has_ended;
};

struct many {
    const struct mrc_many_opts *o;
    struct mrc_manyout *out; /* NULL: is_mixed */
    struct host *hosts;
    struct pollfd *polls; /* two for each host that runs, and the signals */
    size_t started, ended;
    int signals; /* signalfd */
    sigset_t before;
    int stop;     /* the signal that ends it all, or 0 */
    int out_rc;   /* of our own output: nothing is read any more */
    char *piece;
};

static const int passed[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

/* In the child: as if it had been started by itself. */
static int become_child(struct many *m, const int pipes[2][2])
{
    sigprocmask(SIG_SETMASK, &m->before, NULL);
    prctl(PR_SET_PDEATHSIG, SIGHUP); /* nobody would hear it any more */
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        return -errno;
    for (int i = 0; i < 2 && m->out; i++)
        if (dup2(pipes[i][1], i + 1) < 0)
            return -errno;
    fd_close_all_but(NULL, 0);
    return 0;
}

/* Returns 1 in the child. */
static int start(struct many *m, struct err *e)
{
    struct host *h = &m->hosts[m->started];
    int pipes[2][2] = { { -1, -1 }, { -1, -1 } };
    int rc = 0;
    for (int i = 0; i < 2 && rc == 0 && m->out; i++)
        rc = fd_pipe(pipes[i]);
    if (rc == 0 && (h->pid = fork()) < 0)
        rc = -errno;
    if (rc == 0 && h->pid == 0) {
        if ((rc = become_child(m, (const int(*)[2])pipes)) == 0)
            return 1;
        log_error("%s: standard streams: %s", m->o->hosts[m->started], strerror(-rc));
        _exit(EXIT_MRC);
    }
    for (int i = 0; i < 2; i++) {
        fd_close(&pipes[i][1]);
        h->fds[i] = pipes[i][0];
    }
    if (rc < 0) {
        h->pid = 0;
        fd_close(&h->fds[0]);
        fd_close(&h->fds[1]);
        return err_set(e, -rc, "a process for %s", m->o->hosts[m->started]);
    }
    m->started++;
    return 0;
}

static void on_output(struct many *m, size_t i, int which)
{
    struct host *h = &m->hosts[i];
    ssize_t n = fd_read(h->fds[which], m->piece, PIECE_BYTES);
    if (n <= 0)
        fd_close(&h->fds[which]);
    else
        m->out_rc = mrc_manyout_add(m->out, i, which, m->piece, (size_t)n);
    if (m->out_rc < 0) /* who prints hears that nobody listens, as in any pipe */
        for (size_t k = 0; k < m->started; k++) {
            fd_close(&m->hosts[k].fds[0]);
            fd_close(&m->hosts[k].fds[1]);
        }
}

/* What was typed went to the whole group already; what was sent to us goes on to all. */
static void on_signal(struct many *m)
{
    struct signalfd_siginfo si;
    if (fd_read(m->signals, &si, sizeof si) != sizeof si || si.ssi_signo == SIGCHLD)
        return;
    m->stop = (int)si.ssi_signo;
    for (size_t i = 0; i < m->started && si.ssi_code != SI_KERNEL; i++)
        if (!m->hosts[i].has_ended)
            kill(m->hosts[i].pid, m->stop);
}

/* Who has closed both streams and ended. */
static void reap(struct many *m)
{
    for (size_t i = 0; i < m->started; i++) {
        struct host *h = &m->hosts[i];
        if (h->has_ended || h->fds[0] >= 0 || h->fds[1] >= 0 ||
            waitpid(h->pid, &h->status, WNOHANG) != h->pid)
            continue;
        h->has_ended = true;
        m->ended++;
        int rc = m->out && m->out_rc == 0 ? mrc_manyout_end(m->out, i) : 0;
        m->out_rc = rc < 0 ? rc : m->out_rc;
    }
}

/* Waits until something happens, and does it. */
static void turn(struct many *m)
{
    size_t count = 0;
    m->polls[count++] = (struct pollfd){ .fd = m->signals, .events = POLLIN };
    for (size_t i = 0; i < m->started; i++)
        for (int which = 0; which < 2; which++)
            if (m->hosts[i].fds[which] >= 0 && mrc_manyout_accepts(m->out, i))
                m->polls[count++] =
                    (struct pollfd){ .fd = m->hosts[i].fds[which], .events = POLLIN };
    if (poll(m->polls, count, -1) < 0)
        return;
    if (m->polls[0].revents)
        on_signal(m);
    for (size_t i = 0, at = 1; i < m->started && at < count; i++)
        for (int which = 0; which < 2; which++) {
            if (at == count || m->polls[at].fd != m->hosts[i].fds[which])
                continue;
            if (m->polls[at++].revents && mrc_manyout_accepts(m->out, i))
                on_output(m, i, which);
        }
}

static int code_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* "2 of 8 hosts failed: n3 (status 2), n5 (signal 9)" */
static void name_failed(const struct many *m)
{
    char text[FAILED_TEXT_BYTES] = "";
    size_t len = 0, failed = 0;
    for (size_t i = 0; i < m->started; i++) {
        int status = m->hosts[i].status;
        if (!m->hosts[i].has_ended || code_of(status) == 0)
            continue;
        failed++;
        if (len < sizeof text)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%s (%s %d)",
                                    failed > 1 ? ", " : "", m->o->hosts[i],
                                    WIFSIGNALED(status) ? "signal" : "status",
                                    WIFSIGNALED(status) ? WTERMSIG(status)
                                                        : WEXITSTATUS(status));
    }
    if (failed)
        log_error("%zu of %zu hosts failed: %s%s", failed, m->o->count, text,
                  len >= sizeof text ? "…" : "");
    if (m->started < m->o->count)
        log_error("not started on %zu hosts, from %s on", m->o->count - m->started,
                  m->o->hosts[m->started]);
}

/* Returns 1 in a child, 0 when all have ended. */
static int run(struct many *m, struct err *e)
{
    int rc = 0;
    for (;;) {
        bool is_open = rc == 0 && !m->stop && m->out_rc == 0;
        if (is_open && m->started < m->o->count && m->started - m->ended < m->o->at_once) {
            rc = start(m, e);
            if (rc > 0)
                return rc;
            continue;
        }
        reap(m);
        if (m->ended < m->started)
            turn(m);
        else if (!is_open || m->started == m->o->count)
            return rc;
    }
}

static int open_signals(struct many *m)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++)
        sigaddset(&set, passed[i]);
    sigprocmask(SIG_BLOCK, &set, &m->before);
    m->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return m->signals < 0 ? -errno : 0;
}

static int open_all(struct many *m)
{
    static const int ours[2] = { STDOUT_FILENO, STDERR_FILENO };
    const struct mrc_many_opts *o = m->o;
    m->hosts = calloc(o->count, sizeof *m->hosts);
    m->polls = calloc(o->count * 2 + 1, sizeof *m->polls);
    m->piece = malloc(PIECE_BYTES);
    if (!m->hosts || !m->polls || !m->piece)
        return -ENOMEM;
    for (size_t i = 0; i < o->count; i++)
        m->hosts[i].fds[0] = m->hosts[i].fds[1] = -1;
    int rc = open_signals(m);
    if (rc == 0 && !o->is_mixed)
        rc = mrc_manyout_new(o->mode, o->hosts, o->count, ours, &m->out);
    return rc;
}

int mrc_many(const struct mrc_many_opts *o, struct mrc_many_outcome *out, struct err *e)
{
    struct many m = { .o = o, .signals = -1 };
    *out = (struct mrc_many_outcome){ 0 };
    int rc = open_all(&m);
    rc = rc < 0 ? err_set(e, -rc, "several hosts") : run(&m, e);
    if (rc == 1) {
        out->host = m.started;
    } else {
        for (size_t i = 0; i < m.started; i++)
            if (code_of(m.hosts[i].status) > out->code)
                out->code = code_of(m.hosts[i].status);
        out->by_signal = m.stop;
        if (m.hosts)
            name_failed(&m);
        if (rc == 0 && m.out_rc < 0 && m.out_rc != -EPIPE)
            rc = err_set(e, -m.out_rc, "what the jobs print");
        if (m.signals >= 0)
            sigprocmask(SIG_SETMASK, &m.before, NULL);
        fd_close(&m.signals);
    }
    mrc_manyout_free(m.out);
    free(m.hosts);
    free(m.polls);
    free(m.piece);
    return rc == 1 ? MRC_MANY_CHILD : rc;
}
