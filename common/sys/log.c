/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log.c: one write per line, so that lines of several processes don't mix.
 * Must not know: what is reported.
 * Threads: any may log; a line that is kept while another thread keeps one is lost. */
#include "common/sys/log.h"

#include "common/sys/ringlog.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *program = "mrc";
static enum log_level shown = LOG_NORMAL;
static int is_raw;

/* Which file kept_fd was when it was opened: a descriptor that others have closed may be anything. */
static int kept_fd = -1;
static struct stat kept_is;
static const char *kept_who;
static int keeps_errors;
static atomic_flag is_keeping = ATOMIC_FLAG_INIT;

void log_init(const char *name, enum log_level level)
{
    program = name;
    shown = level;
}

enum log_level log_level(void)
{
    return shown;
}

void log_set_raw(int is_raw_terminal)
{
    is_raw = is_raw_terminal;
}

static void (*before)(void *ctx);
static void *before_ctx;

void log_before(void (*fn)(void *ctx), void *ctx)
{
    before = fn;
    before_ctx = ctx;
}

static void line(const char *fmt, va_list ap)
{
    char text[1200];
    int saved = errno;
    int used = snprintf(text, sizeof text, "%s: ", program);
    vsnprintf(text + used, sizeof text - (size_t)used - 2, fmt, ap);
    size_t len = strlen(text);
    if (is_raw)
        text[len++] = '\r';
    text[len++] = '\n';
    if (before)
        before(before_ctx);
    ssize_t n = write(STDERR_FILENO, text, len);
    (void)n; /* nowhere left to complain to */
    errno = saved;
}

static void keep(const char *fmt, va_list ap)
{
    char text[RINGLOG_LINE_MAX];
    struct stat st;
    if (kept_fd < 0 || fstat(kept_fd, &st) < 0 || st.st_dev != kept_is.st_dev ||
        st.st_ino != kept_is.st_ino || atomic_flag_test_and_set(&is_keeping))
        return;
    int saved = errno;
    time_t now = time(NULL);
    struct tm tm = { 0 };
    gmtime_r(&now, &tm);
    size_t used = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ ", &tm);
    used += (size_t)snprintf(text + used, sizeof text - used, "%.40s[%d]: ", kept_who, (int)getpid());
    vsnprintf(text + used, sizeof text - used, fmt, ap);
    int rc = ringlog_add(kept_fd, text, strlen(text));
    (void)rc; /* a full disk, or somebody stuck: a log is not worth a failure */
    errno = saved;
    atomic_flag_clear(&is_keeping);
}

void log_keep_in(int dir_fd, const char *who)
{
    int fd;
    if (ringlog_open(dir_fd, "log", &fd) < 0)
        return;
    if (fstat(fd, &kept_is) < 0) {
        close(fd);
        return;
    }
    kept_fd = fd;
    log_keep_as(who);
}

int log_keep_fd(void)
{
    return kept_fd;
}

void log_keep_as(const char *who)
{
    kept_who = who;
    keeps_errors = 1;
}

void log_keep_no_errors(void)
{
    keeps_errors = 0;
}

void log_keep(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    keep(fmt, ap);
    va_end(ap);
}

#define KEEP()                                                                                 \
    do {                                                                                       \
        va_list kept;                                                                          \
        va_start(kept, fmt);                                                                   \
        if (keeps_errors)                                                                      \
            keep(fmt, kept);                                                                   \
        va_end(kept);                                                                          \
    } while (0)

#define LINE_IF(condition)                                                                     \
    do {                                                                                       \
        if (condition) {                                                                       \
            va_list ap;                                                                        \
            va_start(ap, fmt);                                                                 \
            line(fmt, ap);                                                                     \
            va_end(ap);                                                                        \
        }                                                                                      \
    } while (0)

void log_error(const char *fmt, ...)
{
    LINE_IF(1);
    KEEP();
}

void log_warn(const char *fmt, ...)
{
    LINE_IF(shown > LOG_QUIET);
    KEEP();
}

void log_at(enum log_level level, const char *fmt, ...)
{
    LINE_IF(shown >= level);
}
