/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve.c: forks the file server.
 * Must not know: who asks. */
#include "mrc/serve.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_GARBAGE = 3 };

/* Signals of the terminal are for the job, not for its files. */
static const int not_ours[] = { SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU };

static void on_note(void *ctx, const char *text)
{
    (void)ctx; /* it goes on */
    log_keep("%s", text);
}

static void serve(const struct mfs_serve_opts *o, const int meta[2], const int bulk[2],
                  pid_t parent) __attribute__((noreturn));

static void serve(const struct mfs_serve_opts *o, const int meta[2], const int bulk[2],
                  pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    setpgid(0, 0);
    for (size_t i = 0; i < ARRAY_LEN(not_ours); i++)
        sigaction(not_ours[i], &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    struct mfs_serve_opts so = *o;
    fd_close_all_but((const int[]){ meta[1], bulk[1], o->has_broker ? o->broker_fd : -1,
                                    o->has_marks ? o->mark_fd : -1, o->has_journal ? o->journal_fd : -1,
                                    log_keep_fd() },
                     6);
    log_keep_as("files");
    log_keep("starts, %zu trees", o->export_count);
    so.meta_fd = meta[1];
    so.bulk_fd = bulk[1];
    so.on_note = on_note;
    struct err e = { "" };
    int rc = mfs_serve(&so, &e);
    if (rc != 0)
        log_keep("ends: %s", e.text);
    else
        log_keep("ends");
    /* Whoever noticed that the link or the agent went has said so, and a client that sends
     * garbage is told of by who knows the host. */
    if (rc == -ECONNRESET || rc == -EPROTO)
        log_at(LOG_VERBOSE, "file server: %s", e.text);
    else if (rc < 0)
        log_error("file server: %s", e.text);
    _exit(rc == -EPROTO ? EXIT_GARBAGE : rc < 0);
}

static int fork_server(const struct mfs_serve_opts *o, struct mrc_server *out, struct err *e)
{
    int meta[2], bulk[2];
    int rc = fd_socketpair(meta);
    if (rc < 0)
        return err_set(e, -rc, "socket pair");
    rc = fd_socketpair(bulk);
    if (rc < 0) {
        close(meta[0]);
        close(meta[1]);
        return err_set(e, -rc, "socket pair");
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        serve(o, meta, bulk, parent);
    rc = pid < 0 ? err_set(e, errno, "fork the file server") : 0;
    close(meta[1]);
    close(bulk[1]);
    if (rc < 0) {
        close(meta[0]);
        close(bulk[0]);
        return rc;
    }
    *out = (struct mrc_server){ .pid = pid, .meta_fd = meta[0], .bulk_fd = bulk[0] };
    return 0;
}

/* Before the server is confined, and not as its child, so that it outlives it. */
static void find_broker(struct mfs_serve_opts *o)
{
    struct err why = { "" };
    o->has_broker = o->finds_broker = mfs_broker_connect(NULL, &o->broker_fd, &why) == 0;
    if (!o->has_broker)
        log_at(LOG_VERBOSE, "%s; the target asks for everything", why.text);
}

int mrc_serve_start(const struct mfs_serve_opts *given, struct mrc_server *out, struct err *e)
{
    struct mfs_serve_opts with_broker = *given, *o = &with_broker;
    struct mfs_activity *a = mmap(NULL, sizeof *a, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    o->activity = a == MAP_FAILED ? NULL : a; /* nobody can look, then */
    find_broker(o);
    int rc = fork_server(o, out, e);
    if (o->has_broker)
        close(o->broker_fd);
    if (rc == 0)
        out->activity = o->activity;
    else if (o->activity)
        munmap(o->activity, sizeof *o->activity);
    return rc;
}

int mrc_serve_end(struct mrc_server *s, int wait_ms)
{
    fd_close(&s->meta_fd);
    fd_close(&s->bulk_fd);
    if (s->activity)
        munmap(s->activity, sizeof *s->activity);
    s->activity = NULL;
    if (s->pid <= 0)
        return 0;
    AUTO_FD pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    struct pollfd pf = { .fd = pidfd, .events = POLLIN };
    int n;
    do
        n = pidfd < 0 ? 0 : poll(&pf, 1, wait_ms);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        kill(s->pid, SIGKILL);
    int status = 0;
    while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    s->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_GARBAGE)
        return -EPROTO;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}
