/* SPDX-License-Identifier: GPL-2.0-or-later */
/* topscreen.c: a terminal whose contents change.
 * Must not know: what is shown.
 * Signals are blocked but while it waits, so that none is missed; those that end a program end this one as if q had been
 * typed, and the terminal is as it was. */
#include "mrc/topcommand.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static struct termios saved;
static bool has_keys;
static sigset_t old_mask;
static volatile sig_atomic_t is_ended;

static void on_signal(int number)
{
    if (number != SIGWINCH)
        is_ended = 1;
}

int top_screen_begin(struct err *e)
{
    sigset_t blocked;
    struct sigaction sa = { .sa_handler = on_signal };
    has_keys = tcgetattr(STDIN_FILENO, &saved) == 0;
    if (has_keys) {
        struct termios t = saved;
        t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        t.c_cc[VMIN] = 1;
        t.c_cc[VTIME] = 0;
        if (tcsetattr(STDIN_FILENO, TCSADRAIN, &t) < 0)
            return err_set(e, errno, "the terminal");
    }
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGWINCH);
    sigaction(SIGWINCH, &sa, NULL);
    for (size_t i = 0; i < ARRAY_LEN(ending); i++) {
        sigaddset(&blocked, ending[i]);
        sigaction(ending[i], &sa, NULL);
    }
    sigprocmask(SIG_BLOCK, &blocked, &old_mask);
    fputs("\033[?1049h\033[?25l", stdout); /* another screen, without a cursor */
    return 0;
}

void top_screen_end(void)
{
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    if (has_keys)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
    sigprocmask(SIG_SETMASK, &old_mask, NULL);
}

/* A line's first columns; letters of several bytes count once. */
static void put_line(const char *line, size_t len, size_t columns)
{
    size_t shown = 0, at = 0;
    for (; at < len; at++) {
        shown += ((unsigned char)line[at] & 0xc0) != 0x80;
        if (shown > columns)
            break;
    }
    fwrite(line, 1, at, stdout);
    fputs("\033[K", stdout);
}

static void draw(const char *text)
{
    struct winsize s = { 0 };
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &s) < 0 || !s.ws_row || !s.ws_col)
        s = (struct winsize){ .ws_row = 24, .ws_col = 80 };
    fputs("\033[H", stdout);
    for (unsigned row = 0; *text && row < s.ws_row; row++) {
        size_t len = strcspn(text, "\n");
        if (row)
            putchar('\n');
        put_line(text, len, s.ws_col);
        text += len + (text[len] == '\n');
    }
    fputs("\033[J", stdout);
    fflush(stdout);
}

bool top_screen_show(const char *text, int wait_ms)
{
    draw(text);
    if (ferror(stdout))
        return false; /* nobody looks any more */
    struct timespec wait = { wait_ms / 1000, wait_ms % 1000 * 1000000L };
    struct pollfd pf = { has_keys ? STDIN_FILENO : -1, POLLIN, 0 };
    int n = ppoll(&pf, 1, &wait, &old_mask);
    char key = 0;
    if (n > 0 && fd_read(STDIN_FILENO, &key, 1) <= 0)
        return false;
    return !is_ended && key != 'q' && key != 'Q';
}
