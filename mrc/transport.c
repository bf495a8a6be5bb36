/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport.c: the child process behind a byte stream; local, via and openssh need no more than
 * a program whose standard input and output are the stream.
 * Must not know: the session protocol, libssh2.
 * Processes: mrc - supervisor (this file, or libssh2 in it) - program. The program dies with the supervisor, and that with mrc until it
 * is connected; then it ends soon after mrc has closed the stream, or died. */
#include "mrc/transport.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/hostkey.h"
#include "mrc/openssh.h"
#include "mrc/quote.h"
#include "mrc/share.h"
#include "mrc/ssh.h"
#include "mrc/sshconf.h"
#include "mrc/words.h"

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

/* What the child works on. */
struct ends {
    int stream;
    int control; /* -1: none */
    struct mrc_words words;
};

/* Nothing of the caller's but stderr, the stream, the pipe of words, and the control socket, if
 * there is one: they become 3, 4, 5 and 6. */
static int clean_fds(struct ends *at)
{
    enum { FIRST = 3 };
    int *const kept[] = { &at->stream, &at->words.from, &at->words.to, &at->control };
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        int above = FIRST + (int)ARRAY_LEN(kept);
        if (*kept[i] >= 0 && (*kept[i] = fcntl(*kept[i], F_DUPFD_CLOEXEC, above)) < 0)
            return -errno;
    }
    int count = 0;
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        if (*kept[i] < 0)
            continue;
        if (dup3(*kept[i], FIRST + count, O_CLOEXEC) < 0)
            return -errno;
        *kept[i] = FIRST + count++;
    }
    unsigned first = FIRST + (unsigned)count;
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

static _Noreturn void exec_program(char *const *argv, const struct ends *at, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILED);
    set_signal(SIGPIPE, SIG_DFL);
    dup2(at->stream, STDIN_FILENO);
    dup2(at->stream, STDOUT_FILENO);
    dup2(at->words.to, STDERR_FILENO);
    execvp(argv[0], argv);
    int status = errno == ENOENT ? 127 : 126;
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    _exit(status);
}

/* The sooner of two times for poll; -1 is never. */
static int sooner(int a_ms, int b_ms)
{
    return a_ms < 0 ? b_ms : b_ms < 0 || a_ms < b_ms ? a_ms : b_ms;
}

/* Whoever reads mrc's standard error must see its end. */
static void drop_stderr(void)
{
    AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDERR_FILENO);
}

/* Waits for the program; once mrc has closed the stream, no longer than the graces. */
static int supervise(pid_t pid, struct ends *at, int *status)
{
    AUTO_FD pidfd = (int)syscall(SYS_pidfd_open, pid, 0u);
    if (pidfd < 0)
        return waitpid(pid, status, 0) < 0 ? -errno : 0;
    static const int then[] = { SIGTERM, SIGKILL };
    size_t step = 0;
    uint64_t next_ms = 0; /* end of this step; 0: mrc has not closed the stream */
    /* From now on the stream tells when mrc has ended: the program is to end in good order. */
    prctl(PR_SET_PDEATHSIG, 0);
    for (;;) {
        struct pollfd p[3] = { { pidfd, POLLIN, 0 },
                               { next_ms ? -1 : at->stream, 0, 0 },
                               mrc_words_poll(&at->words) };
        uint64_t now_ms = clock_mono_ms();
        int left_ms = !next_ms ? -1 : next_ms > now_ms ? (int)(next_ms - now_ms) : 0;
        int n = poll(p, 3, sooner(left_ms, mrc_words_timeout(&at->words)));
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0 && p[0].revents)
            return waitpid(pid, status, 0) < 0 ? -errno : 0;
        mrc_words_look(&at->words, getpid());
        now_ms = clock_mono_ms();
        if (n > 0 && p[1].revents) {
            next_ms = now_ms + END_GRACE_MS;
            drop_stderr();
        } else if (next_ms && now_ms >= next_ms && step < ARRAY_LEN(then)) {
            kill(pid, then[step++]);
            next_ms = step < ARRAY_LEN(then) ? now_ms + TERM_GRACE_MS : UINT64_MAX;
        }
    }
}

/* Runs a program on the stream. Returns its exit status, 128 + signal, or -errno. Its words
 * wait for whoever asks why it failed. */
static int run_program(char *const *argv, struct ends *at)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        exec_program(argv, at, parent);
    int status = 0;
    int rc = supervise(pid, at, &status);
    if (rc < 0)
        return rc;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool is_stream_closed(int stream)
{
    struct pollfd p = { stream, 0, 0 };
    return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

static int run_shell(const char *command, struct ends *at)
{
    char *argv[] = { (char *)"sh", (char *)"-c", (char *)command, NULL };
    return run_program(argv, at);
}

static int run_local(const struct mrc_transport_opts *o, struct ends *at, struct err *e)
{
    int status = run_shell(o->command, at);
    return status < 0 ? err_set(e, -status, "start sh") : 0;
}

/* The first word of a command for the shell, if it names a program and nothing else. */
static bool program_of(const char *command, char name[64])
{
    size_t len = strcspn(command, " \t\n");
    if (len == 0 || len >= 64)
        return false;
    snprintf(name, 64, "%.*s", (int)len, command);
    return !strpbrk(name, "=$`'\"\\;|&<>(){}*?[~#!");
}

static bool is_in_path(const char *name)
{
    const char *at = getenv("PATH");
    if (strchr(name, '/') || !at)
        return access(name, X_OK) == 0;
    while (*at) {
        size_t len = strcspn(at, ":");
        char path[PATH_MAX];
        if ((size_t)snprintf(path, sizeof path, "%.*s/%s", (int)len, at, name) < sizeof path &&
            access(path, X_OK) == 0)
            return true;
        at += len;
        at += *at == ':';
    }
    return false;
}

static int via_failed(const struct mrc_transport_opts *o, struct ends *at, int status,
                      struct err *e)
{
    char why[MRC_WORDS_WHY_BYTES], name[64];
    mrc_words_why(&at->words, why);
    if (status == 127 && program_of(o->via, name) && !is_in_path(name))
        return err_set(e, 0,
                       "--via %.100s: there is no program %s on this computer: install it, or "
                       "give its path",
                       o->via, name);
    if (!why[0] && status < EXIT_FAILED) /* it may have said why on the stream: mrc knows */
        return status;
    return err_set(e, 0, "the command of --via ended with status %d: %.60s (%s%s)", status,
                   o->via, why[0] ? "it says: " : "it says nothing", why);
}

static int run_via(const struct mrc_transport_opts *o, struct ends *at, struct err *e)
{
    AUTO_FREE char *command = malloc(COMMAND_BYTES);
    if (!command)
        return err_set(e, ENOMEM, "--via");
    int rc = mrc_via_command(command, COMMAND_BYTES, o->via, o->command);
    if (rc < 0)
        return err_set(e, -rc, "--via %s", o->via);
    log_at(LOG_DEBUG, "via: %s", command);
    int status = run_shell(command, at);
    if (status < 0)
        return err_set(e, -status, "start sh for --via %s", o->via);
    if (status == 0 || is_stream_closed(at->stream))
        return 0;
    return via_failed(o, at, status, e);
}

/* program: shell words that take the place of argv[0]. */
static int run_instead_of_ssh(const char *program, const char **argv, struct ends *at)
{
    const char *shell[MRC_SSHCONF_ARGV_MAX + 4] = { "sh", "-c", NULL };
    char text[4096];
    int n = snprintf(text, sizeof text, "exec %s \"$@\"", program);
    if (n < 0 || (size_t)n >= sizeof text)
        return -ENAMETOOLONG;
    shell[2] = text;
    for (size_t i = 0; argv[i]; i++)
        shell[3 + i] = argv[i];
    return run_program((char *const *)shell, at);
}

static int openssh_failed(const struct mrc_transport_opts *o, const char *program,
                          struct ends *at, struct err *e)
{
    char why[MRC_WORDS_WHY_BYTES], name[64];
    mrc_words_why(&at->words, why);
    if (program_of(program, name) && !is_in_path(name))
        return err_set(
            e, 0, "there is no program %s on this computer: install OpenSSH's client", name);
    return err_set(e, 0, "ssh to %.60s failed%s%s", o->host,
                   why[0] ? ": " : ": it has said above why, or says it with -v", why);
}

static int run_openssh(const struct mrc_transport_opts *o, struct ends *at, struct err *e)
{
    const char *argv[MRC_SSHCONF_ARGV_MAX + 1];
    int rc = mrc_openssh_argv(o, argv, MRC_SSHCONF_ARGV_MAX);
    if (rc < 0)
        return err_set(e, -rc, "too many ssh options");
    const char *program = o->ssh_program ? o->ssh_program : argv[0];
    int status = o->ssh_program ? run_instead_of_ssh(o->ssh_program, argv, at)
                                : run_program((char *const *)argv, at);
    if (status < 0)
        return err_set(e, -status, "start %s", argv[0]);
    if (is_stream_closed(at->stream))
        return 0;
    char name[64];
    bool is_absent = status == 127 && program_of(program, name) && !is_in_path(name);
    if (status == 255 || is_absent)
        return openssh_failed(o, program, at, e);
    if (status == 127 || status == 126)
        log_at(LOG_VERBOSE, "ssh to %s ended with status %d", o->host, status);
    return 0;
}

/* An authority's line in known_hosts is the reason for which ssh was run; its words don't name
 * it. */
static int run_openssh_for(const struct mrc_sshconf *c, const struct mrc_transport_opts *o,
                           struct ends *at, struct err *e)
{
    int rc = run_openssh(o, at, e);
    struct mrc_hostkey_types known;
    mrc_hostkey_types(c, &known);
    if (rc < 0 && known.has_ca && !known.count && strcasestr(e->text, "host key"))
        return err_say(
            e, -rc,
            "%.60s shows no key that is known, nor a certificate by the authority of "
            "%.90s:%u: have its key signed, or add the key itself to known_hosts",
            o->host, known.ca_file, known.ca_line);
    return rc;
}

static bool has_openssh(const struct mrc_sshconf *c)
{
    return c->is_resolved;
}

static int run_ssh(const struct mrc_transport_opts *o, struct ends *at, struct err *e)
{
    AUTO_FD owned = take_fd(&at->control);
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
        return run_openssh_for(&c, o, at, e);
    }
    int spare = owned < 0 ? -1 : fcntl(owned, F_DUPFD_CLOEXEC, 3);
    fd_close(&owned);
    struct mrc_ssh_ends ends = { at->stream, spare, &at->words };
    rc = mrc_ssh_run(&c, o, &ends, e);
    if (rc != -EOPNOTSUPP || is_forced || !has_openssh(&c))
        return rc;
    log_at(LOG_VERBOSE, "transport: ssh, because %s", e->text);
    *e = (struct err){ 0 };
    return run_openssh_for(&c, o, at, e);
}

/* Returns 0, -errno with words, or the exit status of a command that failed without any. */
static int run(const struct mrc_transport_opts *o, struct ends *at, struct err *e)
{
    switch (o->kind) {
    case MRC_TRANSPORT_LOCAL: return run_local(o, at, e);
    case MRC_TRANSPORT_VIA: return run_via(o, at, e);
    case MRC_TRANSPORT_OPENSSH: return run_openssh(o, at, e);
    case MRC_TRANSPORT_AUTO:
    case MRC_TRANSPORT_SSH2: return run_ssh(o, at, e);
    }
    return err_set(e, EINVAL, "transport");
}

static _Noreturn void be_child(const struct mrc_transport_opts *o, struct ends *at,
                               pid_t parent)
{
    struct err e = { 0 };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILED);
    clean_signals();
    log_init("mrc", o->verbosity < LOG_QUIET ? LOG_QUIET : (enum log_level)o->verbosity);
    int rc = clean_fds(at);
    at->words.is_open = log_level() >= LOG_VERBOSE;
    rc = rc < 0 ? err_set(&e, -rc, "descriptors of the transport") : run(o, at, &e);
    /* Words that wait are left in the pipe: mrc shows them, or makes them part of its sentence.
     */
    if (rc < 0 && rc != -ECANCELED && !is_stream_closed(at->stream)) {
        fit_log_to_terminal();
        log_error("%s", e.text[0] ? e.text : strerror(-rc));
    }
    _exit(rc < 0 ? EXIT_FAILED : rc);
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
    bool is_shared =
        o->is_shared && (o->kind == MRC_TRANSPORT_AUTO || o->kind == MRC_TRANSPORT_SSH2);
    AUTO_FD control = -1;
    AUTO_FD their_control = -1;
    if (is_shared && (rc = mrc_share_pair(&control, &their_control)) < 0)
        return err_set(e, -rc, "socket pair for the transport");
    struct ends at = { .stream = theirs, .control = their_control };
    if ((rc = mrc_words_open(&at.words)) < 0)
        return err_set(e, -rc, "pipe for the transport");
    AUTO_FD words = at.words.from;
    AUTO_FD their_words = at.words.to;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return err_set(e, errno, "start the transport");
    if (pid == 0)
        be_child(o, &at, parent);
    *out = (struct mrc_stream){ .fd = take_fd(&ours), .words = take_fd(&words), .pid = pid };
    if (is_shared)
        out->control = take_fd(&control);
    return 0;
}
