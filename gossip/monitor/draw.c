/* SPDX-License-Identifier: GPL-2.0-or-later */
/* draw.c: the only file that knows ncurses.
 * Must not know: what is on the screen. */
#define NCURSES_WIDECHAR 1
#include "gossip/monitor/draw.h"

#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

enum { LOW_PAIR = 1, MIDDLE_PAIR, HIGH_PAIR, GOOD_PAIR, WARN_PAIR, BAD_PAIR, KEY_PAIR };

/* clang-format off */
static const struct {
    attr_t plain, coloured; /* without colours and with them */
    short pair;
} looks[MON_STYLES] = {
    [MON_PLAIN]  = { A_NORMAL,            A_NORMAL,             0 },
    [MON_TITLE]  = { A_REVERSE,           A_REVERSE,            0 },
    [MON_HEAD]   = { A_BOLD,              A_BOLD,               0 },
    [MON_DIM]    = { A_DIM,               A_DIM,                0 },
    [MON_LOW]    = { A_NORMAL,            A_NORMAL,             LOW_PAIR },
    [MON_MIDDLE] = { A_NORMAL,            A_NORMAL,             MIDDLE_PAIR },
    [MON_HIGH]   = { A_BOLD,              A_BOLD,               HIGH_PAIR },
    [MON_GOOD]   = { A_NORMAL,            A_NORMAL,             GOOD_PAIR },
    [MON_WARN]   = { A_BOLD,              A_BOLD,               WARN_PAIR },
    [MON_BAD]    = { A_REVERSE | A_BOLD,  A_REVERSE | A_BOLD,   BAD_PAIR },
    [MON_KEYCAP] = { A_BOLD,              A_BOLD,               KEY_PAIR },
};
/* clang-format on */

static SCREEN *terminal;
static struct termios before;
static char
    last_words[64]; /* what gives a terminal back, for who can't call the library any more */
static size_t last_len;
static volatile sig_atomic_t is_taken;

static void on_crash(int signo)
{
    if (is_taken) {
        ssize_t n = write(STDOUT_FILENO, last_words, last_len);
        (void)n;
        tcsetattr(STDOUT_FILENO, TCSANOW, &before);
    }
    raise(signo); /* its handler is gone: SA_RESETHAND */
}

static void note(const char *capability)
{
    size_t len = capability && capability != (const char *)-1 ? strlen(capability) : 0;
    if (len > sizeof last_words - last_len)
        return;
    memcpy(last_words + last_len, capability, len);
    last_len += len;
}

static void mind_crashes(void)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };
    struct sigaction act = { .sa_handler = on_crash, .sa_flags = SA_RESETHAND | SA_NODEFER };
    note(exit_attribute_mode);
    note(cursor_normal);
    note(exit_ca_mode);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &act, NULL);
}

int draw_open(struct err *e)
{
    if (tcgetattr(STDOUT_FILENO, &before) < 0)
        return err_say(e, ENOTTY, "standard output is no terminal");
    terminal = newterm(NULL, stdout, stdin);
    if (!terminal)
        return err_say(e, ENOTTY,
                       "nothing is known of a terminal \"%s\": set TERM, or use --once",
                       getenv("TERM") ? getenv("TERM") : "");
    is_taken = 1;
    mind_crashes();
    atexit(draw_close);
    set_escdelay(25);
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    leaveok(stdscr, TRUE);
    if (has_colors() && start_color() == OK) {
        static const short colours[][2] = {
            { LOW_PAIR, COLOR_GREEN },  { MIDDLE_PAIR, COLOR_YELLOW }, { HIGH_PAIR, COLOR_RED },
            { GOOD_PAIR, COLOR_GREEN }, { WARN_PAIR, COLOR_YELLOW },   { BAD_PAIR, COLOR_RED },
            { KEY_PAIR, COLOR_CYAN }
        };
        short behind = use_default_colors() == OK ? -1 : COLOR_BLACK;
        for (size_t i = 0; i < ARRAY_LEN(colours); i++)
            init_pair(colours[i][0], colours[i][1], behind);
    }
    return 0;
}

void draw_close(void)
{
    if (!is_taken)
        return;
    is_taken = 0;
    endwin();
    delscreen(terminal);
    terminal = NULL;
}

void draw_size(unsigned *rows, unsigned *cols)
{
    struct winsize w;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row && w.ws_col &&
        (w.ws_row != LINES || w.ws_col != COLS))
        resizeterm(w.ws_row, w.ws_col);
    *rows = LINES < MON_ROWS_MAX ? (unsigned)LINES : MON_ROWS_MAX;
    *cols = COLS < MON_COLS_MAX ? (unsigned)COLS : MON_COLS_MAX;
}

void draw_show(const struct mon_screen *s)
{
    bool has_colour = has_colors();
    erase();
    for (unsigned row = 0; row < s->rows; row++)
        for (unsigned col = 0; col < s->cols; col++) {
            const struct mon_cell *cell = &s->cells[(size_t)row * s->cols + col];
            if (cell->glyph == ' ' && cell->style == MON_PLAIN)
                continue;
            cchar_t c;
            wchar_t glyph[2] = { (wchar_t)cell->glyph, 0 };
            setcchar(&c, glyph,
                     has_colour ? looks[cell->style].coloured : looks[cell->style].plain,
                     has_colour ? looks[cell->style].pair : 0, NULL);
            mvadd_wch((int)row, (int)col, &c);
        }
    refresh();
}

void draw_again(void)
{
    clearok(curscr, TRUE);
}

bool draw_key(unsigned *key)
{
    static const struct {
        int from;
        unsigned to;
    } keys[] = {
        { KEY_UP, MON_KEY_UP },
        { KEY_DOWN, MON_KEY_DOWN },
        { KEY_LEFT, MON_KEY_LEFT },
        { KEY_RIGHT, MON_KEY_RIGHT },
        { KEY_PPAGE, MON_KEY_PAGE_UP },
        { KEY_HOME, MON_KEY_HOME },
        { KEY_END, MON_KEY_END },
        { KEY_NPAGE, MON_KEY_PAGE_DOWN },
        { KEY_ENTER, MON_KEY_ENTER },
        { '\n', MON_KEY_ENTER },
        { '\r', MON_KEY_ENTER },
        { 27, MON_KEY_ESCAPE },
        { KEY_BACKSPACE, MON_KEY_ERASE },
        { 127, MON_KEY_ERASE },
        { 8, MON_KEY_ERASE },
        { KEY_DC, MON_KEY_ERASE },
    };
    for (int c; (c = getch()) != ERR;) {
        if (c == 12) { /* control-L, as everywhere */
            draw_again();
            *key = 0;
            return true;
        }
        for (size_t i = 0; i < ARRAY_LEN(keys); i++)
            if (keys[i].from == c) {
                *key = keys[i].to;
                return true;
            }
        if (c >= ' ' && c < 127) {
            *key = (unsigned)c;
            return true;
        }
    }
    return false;
}
