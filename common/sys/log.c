/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log.c: one write per line, so that lines of several processes don't mix.
 * Must not know: what is reported. */
#include "common/sys/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *program = "mrc";
static enum log_level shown = LOG_NORMAL;
static int is_raw;

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
    ssize_t n = write(STDERR_FILENO, text, len);
    (void)n; /* nowhere left to complain to */
    errno = saved;
}

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
}

void log_warn(const char *fmt, ...)
{
    LINE_IF(shown > LOG_QUIET);
}

void log_at(enum log_level level, const char *fmt, ...)
{
    LINE_IF(shown >= level);
}
