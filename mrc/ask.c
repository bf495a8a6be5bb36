/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ask.c: the terminal and SSH_ASKPASS.
 * Must not know: what the answers are for.
 * Signals: those that end or stop a process are caught while a question is open, so that the
 * echo comes back. */
#include "mrc/ask.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void catch_signal(int number)
{
    caught = number;
}

static const int watched[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP };

/* One line from the terminal, without its end. Returns its length, -EINTR with caught set. */
static int read_line(int tty, char answer[MRC_ASK_BYTES])
{
    size_t len = 0;
    for (;;) {
        char c;
        if (caught)
            return -EINTR;
        ssize_t n = read(tty, &c, 1); /* not fd_read: a signal must be seen */
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -ECANCELED;
        if (c == '\n' || c == '\r')
            break;
        if (len < MRC_ASK_BYTES - 1)
            answer[len++] = c;
    }
    answer[len] = 0;
    return (int)len;
}

static int ask_once(int tty, const char *question, bool is_secret, char answer[MRC_ASK_BYTES])
{
    struct termios normal;
    bool is_changed = false;
    if (tcgetattr(tty, &normal) == 0) {
        struct termios quiet = normal;
        quiet.c_lflag |= ICANON | ISIG;
        quiet.c_iflag |= ICRNL;
        if (is_secret)
            quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
        is_changed = tcsetattr(tty, TCSAFLUSH, &quiet) == 0;
    }
    int rc = fd_write_full(tty, question, strlen(question));
    if (rc == 0)
        rc = read_line(tty, answer);
    if (is_changed)
        (void)tcsetattr(tty, TCSADRAIN, &normal);
    if (is_secret || rc < 0)
        (void)!write(tty, "\n", 1);
    return rc;
}

static int ask_tty(int tty, const char *question, bool is_secret, char answer[MRC_ASK_BYTES])
{
    struct sigaction saved[sizeof watched / sizeof watched[0]];
    struct sigaction sa = { .sa_handler = catch_signal };
    int rc;
    for (size_t i = 0; i < ARRAY_LEN(watched); i++)
        sigaction(watched[i], &sa, &saved[i]);
    do {
        caught = 0;
        rc = ask_once(tty, question, is_secret, answer);
        if (caught == SIGTSTP)
            raise(SIGSTOP);
    } while (rc == -EINTR && caught == SIGTSTP);
    for (size_t i = 0; i < ARRAY_LEN(watched); i++)
        sigaction(watched[i], &saved[i], NULL);
    return rc == -EINTR ? -ECANCELED : rc;
}

static int ask_program(const char *program, const char *question, char answer[MRC_ASK_BYTES])
{
    int pair[2];
    int rc = fd_pipe(pair);
    if (rc < 0)
        return rc;
    AUTO_FD from = pair[0];
    AUTO_FD to = pair[1];
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        dup2(to, STDOUT_FILENO);
        execlp(program, program, question, (char *)NULL);
        _exit(127);
    }
    fd_close(&to);
    ssize_t n = fd_read_full(from, answer, MRC_ASK_BYTES - 1);
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (n < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return -ECANCELED;
    answer[n] = 0;
    answer[strcspn(answer, "\r\n")] = 0;
    return (int)strlen(answer);
}

int mrc_ask(const char *question, bool is_secret, char answer[MRC_ASK_BYTES])
{
    const char *program = getenv("SSH_ASKPASS");
    const char *require = getenv("SSH_ASKPASS_REQUIRE");
    bool is_program = program && *program;
    bool has_display = getenv("DISPLAY") || getenv("WAYLAND_DISPLAY");
    bool is_first =
        require && (!strcmp(require, "force") || (!strcmp(require, "prefer") && has_display));
    if (is_program && is_first)
        return ask_program(program, question, answer);
    AUTO_FD tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (tty >= 0)
        return ask_tty(tty, question, is_secret, answer);
    if (is_program && has_display && !(require && !strcmp(require, "never")))
        return ask_program(program, question, answer);
    return -ENXIO;
}
