/* SPDX-License-Identifier: GPL-2.0-or-later */
/* start.c: mrc --detach: a process starts the job and goes on serving its files; ours ends when the job runs.
 * Must not know: the session. */
#include "mrc/detach/detach.h"

#include "common/sys/buf.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_MRC = 255 };

void detach_head_of(const struct detach_record *r, enum held_role role, uint64_t visit, uint8_t out[HELD_HEAD_BYTES])
{
    struct held_head h = { .role = (uint8_t)role, .visit = visit };
    memcpy(h.id, r->id, sizeof h.id);
    memcpy(h.secret, r->secret, sizeof h.secret);
    held_head_put(out, &h);
    explicit_bzero(h.secret, sizeof h.secret);
}

struct starting {
    const struct detach_record *record;
    int started_fd;
};

/* The job runs: our parent may end, and we are nobody's. */
static void on_started(void *ctx)
{
    struct starting *s = ctx;
    if (write(s->started_fd, "", 1) < 0)
        log_at(LOG_VERBOSE, "nobody waits for the start any more");
    fd_close(&s->started_fd);
    mrc_provide_hide();
    log_keep("job %s on %s runs detached", s->record->name, s->record->host);
}

/* Nobody who reads what we print waits for the job's end: neither for ours, nor for that of who holds the connection. */
static void leave_stdio(int words_fd)
{
    AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 2 && null >= 0; i++)
        dup2(null, i);
    dup2(words_fd, STDERR_FILENO);
    close(words_fd);
}

static _Noreturn void be_provider(const struct mrc_options *o, const struct mrc_trees *t,
                                  const struct detach_record *r, struct bytes spec, int started_fd)
{
    struct err e = { "" };
    struct mrc_outcome out = { .code = EXIT_MRC };
    struct starting s = { r, started_fd };
    struct provide_opts po = {
        .options = o, .trees = t, .record = r, .spec = spec, .on_started = on_started, .ctx = &s
    };
    mrc_log_here("mrc");
    int rc = mrc_provide(&po, &out, &e);
    if (rc < 0 && s.started_fd >= 0 && e.text[0])
        log_error("%s", e.text);
    else if (rc < 0)
        log_keep("job %s: %s", r->name, e.text);
    _exit(rc < 0 ? out.code : 0);
}

static int make_spec(const struct mrc_options *o, const struct mrc_trees *t, const struct mrc_stdio *s, struct buf *b,
                     struct err *e)
{
    struct mrc_profile none = { 0 };
    return mrc_spec_put(o, t, s, &none, NULL, 0, b, e);
}

/* Shows what the child says until it says no more. Returns true when the job runs. */
static bool relay_words(int fd, int words_fd)
{
    struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = words_fd, .events = POLLIN } };
    char text[4096], byte;
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return false;
        ssize_t n = p[1].revents ? fd_read(words_fd, text, sizeof text) : 0;
        if (n > 0 && fd_write_full(STDERR_FILENO, text, (size_t)n) < 0)
            n = 0; /* nobody wants to know */
        if (p[1].revents && n <= 0)
            p[1].fd = -1;
        if (!p[1].revents && p[0].revents)
            return fd_read(fd, &byte, 1) == 1;
    }
}

/* Returns when the job runs, or was not started: then with the child's status in *out. */
static int wait_for_start(int fd, int words_fd, pid_t pid, struct mrc_outcome *out)
{
    if (relay_words(fd, words_fd))
        return 0;
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    out->code = WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_MRC;
    return -ECANCELED; /* it has said why */
}

int mrc_detach(const struct mrc_options *o, int argc, char **argv, const struct mrc_trees *t, struct mrc_outcome *out,
               struct err *e)
{
    AUTO(buf_fini) struct buf spec = { 0 };
    struct mrc_stdio stdio;
    struct detach_record r;
    int pair[2] = { -1, -1 }, words[2] = { -1, -1 };
    buf_init(&spec, JOB_MSG_MAX + 8192);
    mrc_stdio_plan(o, &stdio);
    int rc = make_spec(o, t, &stdio, &spec, e);
    if (rc == 0)
        rc = record_new(o, argc, argv, t, &stdio, &r, e);
    if (rc < 0)
        return rc;
    rc = fd_pipe(pair);
    if (rc == 0)
        rc = fd_pipe(words);
    pid_t pid = rc == 0 ? fork() : -1;
    if (pid == 0) {
        close(pair[0]);
        close(words[0]);
        leave_stdio(words[1]);
        be_provider(o, t, &r, (struct bytes){ buf_at(&spec), (uint32_t)buf_len(&spec) }, pair[1]);
    }
    if (pid < 0)
        rc = err_set(e, rc < 0 ? -rc : errno, "fork");
    fd_close(&pair[1]);
    fd_close(&words[1]);
    if (rc == 0)
        rc = wait_for_start(pair[0], words[0], pid, out);
    fd_close(&pair[0]);
    fd_close(&words[0]);
    if (rc < 0) {
        record_remove(&r);
    } else {
        printf("%s:%s\n", r.host, r.name);
        out->code = 0;
    }
    record_fini(&r);
    return rc;
}
