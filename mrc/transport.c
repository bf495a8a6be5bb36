/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport.c: the child process behind a byte stream; local, via and openssh need no more than
 * a program whose standard input and output are the stream.
 * Must not know: the session protocol, libssh2.
 * Processes: mrc - supervisor (this file, or libssh2 in it) - program. Each dies with its
 * parent; the supervisor ends the program when mrc has closed the stream. */
#include "mrc/transport.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/openssh.h"
#include "mrc/quote.h"
#include "mrc/share.h"
#include "mrc/ssh.h"
#include "mrc/sshconf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
    STREAM_BUFFER_BYTES = 128 << 10, /* bytes that can no longer be overtaken by others */
    COMMAND_BYTES = 128 << 10,
    END_GRACE_MS = 3000,  /* for a program to end after its stream was closed */
    TERM_GRACE_MS = 2000, /* and after SIGTERM */
    EXIT_FAILED = 255
};

/* Signals of the terminal, and those that programs such as timeout(1) send to the whole process
 * group: the caller of mrc_transport_start answers them for all of us. */
static const int ignored[] = { SIGINT,  SIGQUIT, SIGTSTP, SIGHUP,    SIGPIPE, SIGTERM,
                               SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO };

static void set_signal(int number, void (*how)(int))
{
    struct sigaction sa = { .sa_handler = how };
    sigaction(number, &sa, NULL); /* fails for SIGKILL and SIGSTOP only */
}

static void clean_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        set_signal(i, SIG_DFL);
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        set_signal(ignored[i], SIG_IGN);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Nothing of the caller's but stderr, the stream, which becomes 3, and the control socket, which
 * becomes 4, if there is one. */
static int clean_fds(int *stream, int *control)
{
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        return -errno;
    int from[2] = { fcntl(*stream, F_DUPFD_CLOEXEC, 5),
                    *control < 0 ? -1 : fcntl(*control, F_DUPFD_CLOEXEC, 5) };
    if (from[0] < 0 || dup3(from[0], 3, O_CLOEXEC) < 0)
        return -errno;
    if (*control >= 0 && (from[1] < 0 || dup3(from[1], 4, O_CLOEXEC) < 0))
        return -errno;
    *stream = 3;
    *control = *control < 0 ? -1 : 4;
    unsigned first = *control < 0 ? 4 : 5;
    if (syscall(SYS_close_range, first, ~0u, 0u) < 0)
        for (int fd = (int)first; fd < 1024; fd++)
            close(fd);
    return 0;
}

/* Messages may come while mrc has the terminal in raw mode. */
static void fit_log_to_terminal(void)
{
    struct termios t;
    log_set_raw(tcgetattr(STDERR_FILENO, &t) == 0 && !(t.c_oflag & OPOST));
}

static _Noreturn void exec_program(char *const *argv, int stream, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILED);
    set_signal(SIGPIPE, SIG_DFL);
    dup2(stream, STDIN_FILENO);
    dup2(stream, STDOUT_FILENO);
    execvp(argv[0], argv);
    int status = errno == ENOENT ? 127 : 126;
    log_error("%s: %s", argv[0], strerror(errno));
    _exit(status);
}

/* Waits for the program; once mrc has closed the stream, no longer than the graces. */
static int supervise(pid_t pid, int stream, int *status)
{
    AUTO_FD pidfd = (int)syscall(SYS_pidfd_open, pid, 0u);
    if (pidfd < 0)
        return waitpid(pid, status, 0) < 0 ? -errno : 0;
    static const int grace_ms[] = { END_GRACE_MS, TERM_GRACE_MS, -1 };
    static const int then[] = { SIGTERM, SIGKILL };
    bool is_closed = false;
    size_t step = 0;
    for (;;) {
        struct pollfd p[2] = { { pidfd, POLLIN, 0 }, { is_closed ? -1 : stream, 0, 0 } };
        int n = poll(p, 2, is_closed ? grace_ms[step] : -1);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0 && p[0].revents)
            return waitpid(pid, status, 0) < 0 ? -errno : 0;
        if (n > 0 && p[1].revents)
            is_closed = true;
        if (n == 0 && is_closed)
            kill(pid, then[step++]);
    }
}

/* Runs a program on the stream. Returns its exit status, 128 + signal, or -errno. */
static int run_program(char *const *argv, int stream)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        exec_program(argv, stream, parent);
    int status = 0;
    int rc = supervise(pid, stream, &status);
    if (rc < 0)
        return rc;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool is_stream_closed(int stream)
{
    struct pollfd p = { stream, 0, 0 };
    return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

static int run_shell(const char *command, int stream)
{
    char *argv[] = { (char *)"sh", (char *)"-c", (char *)command, NULL };
    return run_program(argv, stream);
}

static int run_local(const struct mrc_transport_opts *o, int stream, struct err *e)
{
    int status = run_shell(o->command, stream);
    return status < 0 ? err_set(e, -status, "start sh") : 0;
}

static int run_via(const struct mrc_transport_opts *o, int stream, struct err *e)
{
    AUTO_FREE char *command = malloc(COMMAND_BYTES);
    if (!command)
        return err_set(e, ENOMEM, "--via");
    int rc = mrc_via_command(command, COMMAND_BYTES, o->via, o->command);
    if (rc < 0)
        return err_set(e, -rc, "--via %s", o->via);
    log_at(LOG_DEBUG, "via: %s", command);
    int status = run_shell(command, stream);
    if (status < 0)
        return err_set(e, -status, "start sh for --via %s", o->via);
    if (status == 0 || is_stream_closed(stream))
        return 0;
    return err_set(e, 0, "the command of --via ended with status %d%s: %s", status,
                   status == 127 ? " (not found, here or over there)" : "", o->via);
}

/* program: shell words that take the place of argv[0]. */
static int run_instead_of_ssh(const char *program, const char **argv, int stream)
{
    const char *shell[MRC_SSHCONF_ARGV_MAX + 4] = { "sh", "-c", NULL };
    char text[4096];
    int n = snprintf(text, sizeof text, "exec %s \"$@\"", program);
    if (n < 0 || (size_t)n >= sizeof text)
        return -ENAMETOOLONG;
    shell[2] = text;
    for (size_t i = 0; argv[i]; i++)
        shell[3 + i] = argv[i];
    return run_program((char *const *)shell, stream);
}

static int run_openssh(const struct mrc_transport_opts *o, int stream, struct err *e)
{
    const char *argv[MRC_SSHCONF_ARGV_MAX + 1];
    int rc = mrc_openssh_argv(o, argv, MRC_SSHCONF_ARGV_MAX);
    if (rc < 0)
        return err_set(e, -rc, "too many ssh options");
    int status = o->ssh_program ? run_instead_of_ssh(o->ssh_program, argv, stream)
                                : run_program((char *const *)argv, stream);
    if (status < 0)
        return err_set(e, -status, "start %s", argv[0]);
    if (is_stream_closed(stream))
        return 0;
    if (status == 255)
        return err_set(e, 0, "ssh to %s failed, see its message above", o->host);
    if (status == 127 || status == 126)
        log_at(LOG_VERBOSE, "ssh to %s ended with status %d", o->host, status);
    return 0;
}

static bool has_openssh(const struct mrc_sshconf *c)
{
    return c->is_resolved;
}

static int run_ssh(const struct mrc_transport_opts *o, int stream, int control, struct err *e)
{
    AUTO_FD owned = control;
    AUTO(mrc_sshconf_fini) struct mrc_sshconf c = { 0 };
    int rc = mrc_sshconf_resolve(o, &c, e);
    if (rc < 0)
        return rc;
    bool is_forced = o->kind == MRC_TRANSPORT_SSH2;
    if (!has_openssh(&c))
        log_at(LOG_VERBOSE, "no ssh program here: ~/.ssh/config does not count");
    const char *reason = mrc_openssh_reason(&c, o);
    if (reason && !is_forced && has_openssh(&c)) {
        log_at(LOG_VERBOSE, "transport: ssh, because %s", reason);
        fd_close(&owned); /* ssh has sharing of its own */
        return run_openssh(o, stream, e);
    }
    int spare = owned < 0 ? -1 : fcntl(owned, F_DUPFD_CLOEXEC, 3);
    fd_close(&owned);
    rc = mrc_ssh_run(&c, o, stream, spare, e);
    if (rc != -EOPNOTSUPP || is_forced || !has_openssh(&c))
        return rc;
    log_at(LOG_VERBOSE, "transport: ssh, because %s", e->text);
    *e = (struct err){ 0 };
    return run_openssh(o, stream, e);
}

static int run(const struct mrc_transport_opts *o, int stream, int control, struct err *e)
{
    switch (o->kind) {
    case MRC_TRANSPORT_LOCAL: return run_local(o, stream, e);
    case MRC_TRANSPORT_VIA: return run_via(o, stream, e);
    case MRC_TRANSPORT_OPENSSH: return run_openssh(o, stream, e);
    case MRC_TRANSPORT_AUTO:
    case MRC_TRANSPORT_SSH2: return run_ssh(o, stream, control, e);
    }
    return err_set(e, EINVAL, "transport");
}

static _Noreturn void be_child(const struct mrc_transport_opts *o, int stream, int control,
                               pid_t parent)
{
    struct err e = { 0 };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILED);
    clean_signals();
    log_init("mrc", o->verbosity < LOG_QUIET ? LOG_QUIET : (enum log_level)o->verbosity);
    int rc = clean_fds(&stream, &control);
    rc = rc < 0 ? err_set(&e, -rc, "descriptors of the transport")
                : run(o, stream, control, &e);
    if (rc < 0 && rc != -ECANCELED && !is_stream_closed(stream)) {
        fit_log_to_terminal();
        log_error("%s", e.text[0] ? e.text : strerror(-rc));
    }
    _exit(rc < 0 ? EXIT_FAILED : 0);
}

void mrc_transport_tune(int fd)
{
    int size = STREAM_BUFFER_BYTES / 2; /* the kernel doubles it */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

int mrc_transport_start(const struct mrc_transport_opts *o, struct mrc_stream *out,
                        struct err *e)
{
    int pair[2];
    int rc = fd_socketpair(pair);
    if (rc < 0)
        return err_set(e, -rc, "socket pair for the transport");
    AUTO_FD ours = pair[0];
    AUTO_FD theirs = pair[1];
    mrc_transport_tune(ours);
    bool is_shared = o->is_shared &&
                     (o->kind == MRC_TRANSPORT_AUTO || o->kind == MRC_TRANSPORT_SSH2);
    AUTO_FD control = -1;
    AUTO_FD their_control = -1;
    if (is_shared && (rc = mrc_share_pair(&control, &their_control)) < 0)
        return err_set(e, -rc, "socket pair for the transport");
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return err_set(e, errno, "start the transport");
    if (pid == 0)
        be_child(o, theirs, their_control, parent);
    *out = (struct mrc_stream){ .fd = take_fd(&ours), .pid = pid };
    if (is_shared)
        out->control = take_fd(&control);
    return 0;
}
