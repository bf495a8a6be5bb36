/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session.c: one session with an mrc on the target: its channels become the standard streams of
 * an mrc here.
 * Must not know: how a job is run, how the session gets there.
 * Trust: what comes is a job's on another computer. It names a host, a command and how that is
 * shown; which files, keys and configuration are used is what the user of the first mrc said. */
#include "mrc/nest/nest.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/job.h"
#include "mrc/nest/wanted.h"
#include "mrc/pump.h"
#include "mrc/term.h"

#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
    WINDOW = 4 * 1024 * 1024,
    SPEC_WAIT_MS = 60 * 1000, /* for what shall be run */
    END_WAIT_MS = 10 * 1000,  /* for its last output, and for a child that was told to end */
};

struct session {
    struct mrc_options *o;
    const char *dial_name;
    struct err *e;
    struct loop *loop;
    struct mrc_link *link;
    struct mrc_port *job;
    struct buf in;
    int child_fds[3]; /* the child's ends of streams; -1 */
    int slave;        /* of its terminal; -1 */
    int master;       /* a copy of ours, for its size; -1 */
    int outputs;      /* channels of its output that are open */
    pid_t child;      /* 0 = not started */
    bool is_child;    /* we are it */
    bool has_ended, is_told;
    int status;
    struct loop_fd signals;
    struct loop_timer timer;
    int signal_fd;
    sigset_t before;
};

static void send_msg(struct session *s, const struct job_msg *m)
{
    uint8_t space[400];
    struct wr w = wr_of(space, sizeof space);
    job_msg_put(&w, m);
    if (s->job && mrc_port_send(s->job, space, wr_len(&w)) < 0)
        log_at(LOG_VERBOSE, "a message to an mrc on the target was lost");
}

static void finish(void *ctx)
{
    struct session *s = ctx;
    if (s->child && !s->has_ended)
        kill(s->child, SIGKILL);
    loop_stop(s->loop, 0);
}

/* The child has ended, and what it said is sent: its status is the last word. */
static void maybe_tell(struct session *s)
{
    if (!s->has_ended || s->outputs > 0 || s->is_told || !s->job)
        return;
    s->is_told = true;
    bool by_signal = WIFSIGNALED(s->status);
    send_msg(s, &(struct job_msg){ .id = JOB_MSG_exited,
                                   .exited = { by_signal,
                                               (uint32_t)(by_signal ? WTERMSIG(s->status)
                                                                    : WEXITSTATUS(s->status)),
                                               0 } });
    mrc_port_end(s->job);
    loop_timer_set(s->loop, &s->timer, END_WAIT_MS, finish, s);
}

static void on_output_done(void *ctx, int code)
{
    struct session *s = ctx;
    (void)code;
    s->outputs--;
    maybe_tell(s);
}

/* The last slave is closed; what could still be typed is not waited for. */
static void on_tty_end(void *ctx)
{
    on_output_done(ctx, 0);
}

static void on_input_done(void *ctx, int code)
{
    (void)ctx;
    (void)code;
}

/* number: 0 standard input … 2 standard error. */
static int open_stream(struct session *s, struct mrc_port *port, int number)
{
    int pair[2];
    if (s->child_fds[number] >= 0 || s->child)
        return -EBUSY;
    int rc = fd_pipe(pair);
    if (rc < 0)
        return rc;
    bool is_input = number == 0;
    s->child_fds[number] = pair[is_input ? 0 : 1];
    struct mrc_pump_opts po = { .loop = s->loop,
                                .fd_in = is_input ? -1 : pair[0],
                                .fd_out = is_input ? pair[1] : -1,
                                .on_done = is_input ? on_input_done : on_output_done,
                                .ctx = s };
    struct mrc_pump *p;
    if ((rc = mrc_pump_new(&po, &p)) < 0)
        return rc;
    s->outputs += !is_input;
    mrc_pump_attach(p, port);
    return is_input ? mrc_port_window(port, WINDOW) : 0;
}

static int open_tty(struct session *s, struct mrc_port *port)
{
    if (s->slave >= 0 || s->child)
        return -EBUSY;
    AUTO_FD master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (master < 0 || unlockpt(master) < 0)
        return -errno;
    AUTO_FD second = fcntl(master, F_DUPFD_CLOEXEC, 3);
    s->master = fcntl(master, F_DUPFD_CLOEXEC, 3);
    s->slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (second < 0 || s->master < 0 || s->slave < 0)
        return -errno;
    struct mrc_pump_opts po = { .loop = s->loop,
                                .fd_in = take_fd(&master),
                                .fd_out = take_fd(&second),
                                .on_in_end = on_tty_end,
                                .on_done = on_input_done,
                                .ctx = s };
    struct mrc_pump *p;
    int rc = mrc_pump_new(&po, &p);
    if (rc < 0)
        return rc;
    s->outputs++;
    mrc_pump_attach(p, port);
    return 0;
}

/* In the child: its standard streams, terminal and environment. */
static int become_child(struct session *s, const struct job_spec *spec, pid_t session)
{
    prctl(PR_SET_NAME, "mrc");
    /* Of a session that was killed nobody would tell the job, which may go on for days. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != session)
        return -ECANCELED;
    sigprocmask(SIG_SETMASK, &s->before, NULL);
    static const int defaults[] = { SIGINT, SIGQUIT, SIGTSTP, SIGHUP };
    struct sigaction sa = { .sa_handler = SIG_DFL };
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        sigaction(defaults[i], &sa, NULL);
    setsid();
    if (s->slave >= 0 && ioctl(s->slave, TIOCSCTTY, 0) < 0)
        return -errno;
    if (s->slave >= 0)
        mrc_term_set(s->slave, spec->term, spec->rows, spec->columns);
    AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++) {
        int kind = spec->fd_kinds.ptr[i];
        int from = kind == JOB_FD_TTY      ? s->slave
                   : kind == JOB_FD_STREAM ? s->child_fds[i]
                                           : null;
        if (from < 0 || dup2(from, i) < 0)
            return -EBADF;
    }
    fd_close_all_but(NULL, 0);
    umask((mode_t)spec->umask & 0777);
    return mrc_nest_wanted(s->o, spec, s->dial_name);
}

static int start(struct session *s, const struct job_spec *spec)
{
    if (s->child || spec->fd_kinds.len != 3)
        return -EPROTO;
    pid_t session = getpid();
    s->child = fork();
    if (s->child < 0) {
        s->child = 0;
        return -errno;
    }
    if (s->child == 0) {
        int rc = become_child(s, spec, session);
        if (rc != 0)
            _exit(rc == OPT_DONE ? 0 : 255); /* it has said why */
        s->is_child = true;
        loop_stop(s->loop, 0);
        return 0;
    }
    for (int i = 0; i < 3; i++)
        fd_close(&s->child_fds[i]);
    fd_close(&s->slave);
    loop_timer_del(&s->timer);
    send_msg(s, &(struct job_msg){ .id = JOB_MSG_started, .started = { (uint32_t)s->child } });
    return 0;
}

static int got_message(struct session *s, const struct job_msg *m)
{
    if (m->id == JOB_MSG_spec)
        return start(s, &m->spec);
    bool is_known = m->id == JOB_MSG_signal && m->signal.number > 0 && m->signal.number < NSIG;
    if (is_known && s->child && !s->has_ended)
        kill(s->child, (int)m->signal.number);
    if (m->id == JOB_MSG_winsize && s->master >= 0) {
        struct winsize ws = { m->winsize.rows, m->winsize.columns, m->winsize.xpixels,
                              m->winsize.ypixels };
        ioctl(s->master, TIOCSWINSZ, &ws);
    }
    return 0;
}

static void on_job_data(void *ctx, struct bytes body)
{
    struct session *s = ctx;
    int rc = buf_append(&s->in, body.ptr, body.len);
    while (rc == 0 && !s->is_child) {
        struct job_msg m;
        size_t used;
        rc = job_msg_get((struct bytes){ buf_at(&s->in), (uint32_t)buf_len(&s->in) }, &m, &used);
        if (rc < 0 || used == 0)
            break;
        rc = got_message(s, &m);
        if (!s->is_child)
            buf_consume(&s->in, used);
    }
    if (s->is_child)
        return;
    mrc_port_consumed(s->job, body.len);
    if (rc < 0)
        mrc_link_bye(s->link, rc, "that is not what an mrc on a target says");
}

static void on_job_closed(void *ctx, int code, struct bytes text)
{
    struct session *s = ctx;
    (void)code;
    (void)text;
    s->job = NULL;
}

static const struct mrc_port_ops job_ops = { .on_data = on_job_data, .on_closed = on_job_closed };

static int on_open(void *ctx, struct mrc_port *port, struct bytes service, struct bytes request)
{
    static const char *const streams[] = { "stdin", "stdout", "stderr" };
    struct session *s = ctx;
    (void)request;
    char name[16];
    if (bytes_to_text(service, name, sizeof name) < 0)
        return -EOPNOTSUPP;
    for (int i = 0; i < 3; i++)
        if (!strcmp(name, streams[i]))
            return open_stream(s, port, i);
    if (!strcmp(name, "tty"))
        return open_tty(s, port);
    if (strcmp(name, "job") != 0 || s->job)
        return -EOPNOTSUPP;
    s->job = port;
    port->ops = &job_ops;
    port->ctx = s;
    return 0;
}

/* Over, or the mrc there was killed: what it wanted goes the same way. */
static void on_end(void *ctx, int code, const char *text)
{
    struct session *s = ctx;
    (void)code;
    (void)text;
    s->job = NULL;
    if (!s->child || s->has_ended) {
        loop_stop(s->loop, 0);
        return;
    }
    kill(s->child, SIGHUP);
    kill(s->child, SIGCONT);
    loop_timer_set(s->loop, &s->timer, END_WAIT_MS, finish, s);
}

static void on_child(void *ctx, uint32_t events)
{
    (void)events;
    struct session *s = ctx;
    struct signalfd_siginfo si;
    int status;
    if (fd_read(s->signal_fd, &si, sizeof si) != sizeof si)
        return;
    while (s->child && !s->has_ended &&
           waitpid(s->child, &status, WNOHANG | WUNTRACED) == s->child) {
        if (WIFSTOPPED(status)) {
            send_msg(s, &(struct job_msg){ .id = JOB_MSG_stopped,
                                           .stopped = { (uint32_t)WSTOPSIG(status) } });
            continue;
        }
        s->has_ended = true;
        s->status = status;
        if (!s->job)
            loop_stop(s->loop, 0);
    }
    maybe_tell(s);
}

static int open_session(struct session *s, int fd)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &s->before);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    int rc = s->signal_fd < 0 ? -errno : loop_new(&s->loop);
    if (rc == 0)
        rc = loop_fd_add(s->loop, &s->signals, s->signal_fd, EPOLLIN, on_child, s);
    if (rc < 0) {
        close(fd);
        return err_set(s->e, -rc, "session");
    }
    loop_timer_set(s->loop, &s->timer, SPEC_WAIT_MS, finish, s);
    struct mrc_link_opts lo = { .loop = s->loop,
                                .fd_in = fd,
                                .fd_out = fd,
                                .software = "mrc",
                                .silence_ms = INT_MAX, /* the session that carries it knows when it is dead */
                                .on_open = on_open,
                                .on_end = on_end,
                                .ctx = s };
    return mrc_link_new(&lo, &s->link, s->e);
}

int mrc_nest_session(int fd, struct mrc_options *o, const char *dial_name, struct err *e)
{
    struct session s = { .o = o,
                         .dial_name = dial_name,
                         .e = e,
                         .child_fds = { -1, -1, -1 },
                         .slave = -1,
                         .master = -1 };
    prctl(PR_SET_NAME, "mrc-session");
    buf_init(&s.in, JOB_MSG_MAX + 4096);
    int rc = open_session(&s, fd);
    if (rc == 0)
        rc = loop_run(s.loop);
    if (s.is_child)
        return MRC_NEST_CHILD; /* the descriptors are closed already */
    if (rc < 0)
        return rc;
    _exit(0);
}
