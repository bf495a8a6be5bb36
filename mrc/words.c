/* SPDX-License-Identifier: GPL-2.0-or-later */
/* words.c: holding, showing and reading the words of programs.
 * Must not know: which programs.
 * The pipe itself holds them, so whoever has its end can take them: the transport for its
 * sentence, or mrc when it has ended the transport. */
#include "mrc/words.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/asking.h"

#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum {
    HOLD_MS = 1500,     /* a program that fails ends sooner after it has said why */
    HELD_BYTES = 8192,  /* more explains nothing; the pipe has room for eight times as much */
    FIRST_LOOK_MS = 25, /* a question follows soon if one does */
    FIRST_LOOKS = 4,
    LOOK_MS = 200,
    LAST_MS = 300,     /* for words of who has closed its stream already */
    UNREAD_MS = 2000,  /* for a standard error that nobody reads, at the end */
    PIECE_BYTES = 4096 /* PIPE_BUF: poll says that so much fits */
};

/* Said after the reason by ssh, kubectl and srun. */
static const char *const followers[] = {
    "stdio forwarding failed",
    "Host key verification failed",
    "kex_exchange_identification:",
    "Connection closed by UNKNOWN",
    "Disconnected from ",
    "banner exchange: Connection to UNKNOWN",
    ": terminating, ", /* N bad configuration options */
    "command terminated with exit code",
    ": Exited with exit code",
    "Job step aborted",
};

/* ---- reading them ---- */

void mrc_words_keep(struct mrc_words_tail *t, const char *text, size_t len_bytes)
{
    const size_t most = sizeof t->text - 1;
    if (len_bytes > most) {
        text += len_bytes - most;
        len_bytes = most;
    }
    size_t room = most - t->len;
    size_t gone = len_bytes > room ? len_bytes - room : 0;
    memmove(t->text, t->text + gone, t->len - gone);
    memcpy(t->text + t->len - gone, text, len_bytes);
    t->len = t->len - gone + len_bytes;
    t->text[t->len] = 0;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (unsigned char)c >= 0x80;
}

/* A frame of "@@@@" or "----" says nothing. */
static bool has_letters(const char *line)
{
    while (*line)
        if (is_letter(*line++))
            return true;
    return false;
}

static bool is_follower(const char *line)
{
    for (size_t i = 0; i < ARRAY_LEN(followers); i++)
        if (strstr(line, followers[i]))
            return true;
    return false;
}

/* The next line of [*at, end), cut to why's length and made printable. False at the end. */
static bool next_line(const char **at, const char *end, char line[MRC_WORDS_WHY_BYTES])
{
    if (*at >= end)
        return false;
    size_t n = 0;
    for (; *at < end && **at != '\n' && **at != '\r'; ++*at) {
        char c = **at;
        if (n == 0 && (c == ' ' || c == '\t'))
            continue;
        if (n < MRC_WORDS_WHY_BYTES - 1)
            line[n++] = (unsigned char)c < ' ' || c == 127 ? '?' : c;
    }
    ++*at;
    while (n && line[n - 1] == ' ')
        n--;
    line[n] = 0;
    return true;
}

void mrc_words_pick(const struct mrc_words_tail *t, char why[MRC_WORDS_WHY_BYTES])
{
    char line[MRC_WORDS_WHY_BYTES];
    bool is_reason = false;
    const char *at = t->text;
    why[0] = 0;
    while (next_line(&at, t->text + t->len, line)) {
        if (!has_letters(line))
            continue;
        if (why[0] && strncasecmp(line, "usage:", 6) == 0)
            return; /* how it should be called is no reason, but many lines */
        bool is_better = !is_follower(line);
        if (is_better || !is_reason)
            memcpy(why, line, sizeof line);
        is_reason = is_reason || is_better;
    }
}

/* ---- showing them ---- */

/* A terminal in raw mode wants the carriage return that programs leave to it. */
static void write_words(const char *text, size_t len)
{
    struct termios t;
    bool is_raw = tcgetattr(STDERR_FILENO, &t) == 0 && !(t.c_oflag & OPOST);
    char both[2 * PIECE_BYTES];
    size_t n = 0;
    for (size_t i = 0; i < len && is_raw; i++) {
        if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r'))
            both[n++] = '\r';
        both[n++] = text[i];
    }
    if (fd_write_full(STDERR_FILENO, is_raw ? both : text, is_raw ? n : len) < 0)
        return; /* nobody reads them: neither would they read of that */
}

static bool is_stderr_ready(int timeout_ms)
{
    struct pollfd f = { STDERR_FILENO, POLLOUT, 0 };
    return poll(&f, 1, timeout_ms) > 0;
}

/* Shows what is there, as far as standard error takes it. */
static void show(struct mrc_words *w)
{
    char piece[PIECE_BYTES];
    while (is_stderr_ready(0)) {
        ssize_t n = fd_read(w->from, piece, sizeof piece);
        if (n <= 0) {
            w->first_ms = 0;
            w->looks = 0;
            return;
        }
        write_words(piece, (size_t)n);
        if (log_level() >= LOG_VERBOSE)
            mrc_words_keep(&w->tail, piece, (size_t)n);
        else
            w->tail.len = 0; /* once is enough */
    }
}

int mrc_words_open(struct mrc_words *w)
{
    int pair[2];
    int rc = fd_pipe(pair);
    if (rc < 0)
        return rc;
    *w = (struct mrc_words){ .from = pair[0], .to = pair[1] };
    w->is_open = log_level() >= LOG_VERBOSE;
    return fd_set_nonblock(w->from, true);
}

void mrc_words_close(struct mrc_words *w)
{
    fd_close(&w->from);
    fd_close(&w->to);
}

static size_t waiting_bytes(const struct mrc_words *w)
{
    int n = 0;
    return ioctl(w->from, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

void mrc_words_look(struct mrc_words *w, pid_t asker)
{
    size_t n = waiting_bytes(w);
    if (!n)
        return;
    uint64_t now_ms = clock_mono_ms();
    if (!w->first_ms)
        w->first_ms = now_ms;
    w->looks++;
    if (!w->is_open && mrc_is_asking(asker)) {
        w->is_open = true;
        if (isatty(STDERR_FILENO)) /* the question is there already */
            write_words("\n", 1);
    }
    w->is_open = w->is_open || n >= HELD_BYTES;
    if (w->is_open || now_ms - w->first_ms >= HOLD_MS)
        show(w);
}

struct pollfd mrc_words_poll(const struct mrc_words *w)
{
    if (!w->first_ms)
        return (struct pollfd){ w->from, POLLIN, 0 };
    return (struct pollfd){ w->is_open ? STDERR_FILENO : -1, POLLOUT, 0 };
}

int mrc_words_timeout(const struct mrc_words *w)
{
    if (!w->first_ms || w->is_open)
        return -1;
    return w->looks < FIRST_LOOKS ? FIRST_LOOK_MS : LOOK_MS;
}

void mrc_words_why(struct mrc_words *w, char why[MRC_WORDS_WHY_BYTES])
{
    char piece[PIECE_BYTES];
    struct pollfd f = { w->from, POLLIN, 0 };
    if (!w->tail.len)
        (void)poll(&f, 1, LAST_MS);
    for (ssize_t n; (n = fd_read(w->from, piece, sizeof piece)) > 0;) {
        mrc_words_keep(&w->tail, piece, (size_t)n);
        if (log_level() >= LOG_VERBOSE)
            write_words(piece, (size_t)n);
    }
    w->first_ms = 0;
    w->looks = 0;
    mrc_words_pick(&w->tail, why);
    w->tail.len = 0;
}

void mrc_words_last(int from_fd, char why[MRC_WORDS_WHY_BYTES])
{
    struct mrc_words_tail tail;
    char piece[PIECE_BYTES];
    tail.len = 0;
    for (ssize_t n; (n = fd_read(from_fd, piece, sizeof piece)) > 0;)
        mrc_words_keep(&tail, piece, (size_t)n);
    mrc_words_pick(&tail, why);
}

void mrc_words_flush(int from_fd)
{
    char piece[PIECE_BYTES];
    for (int n; ioctl(from_fd, FIONREAD, &n) == 0 && n > 0 && is_stderr_ready(UNREAD_MS);) {
        ssize_t got = fd_read(from_fd, piece, sizeof piece);
        if (got <= 0)
            return;
        write_words(piece, (size_t)got);
    }
}
