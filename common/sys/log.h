/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log.h: one line per event to standard error, with the program's name; levels by -v and -q.
 * Must not know: what is reported. Libraries return errors in words instead of logging them. */
#ifndef COMMON_SYS_LOG_H
#define COMMON_SYS_LOG_H

#include "common/base/attr.h"

enum log_level {
    LOG_QUIET = -1,
    LOG_NORMAL = 0,
    LOG_VERBOSE = 1,
    LOG_DEBUG = 2,
    LOG_TRACE = 3
};

/* name: kept, must live as long as the program. Lines end in \r\n while is_raw_terminal, see
 * log_set_raw. */
void log_init(const char *name, enum log_level level);
enum log_level log_level(void);
void log_set_raw(int is_raw_terminal);

/* fn is called before each line that is shown: what stands on the terminal makes room. NULL: nobody. */
void log_before(void (*fn)(void *ctx), void *ctx);

/* Always shown. */
void log_error(const char *fmt, ...) PRINTF(1, 2);
/* Shown unless quiet. */
void log_warn(const char *fmt, ...) PRINTF(1, 2);
/* Shown from the given level on. */
void log_at(enum log_level level, const char *fmt, ...) PRINTF(2, 3);


/* From now on errors and warnings, and what log_keep says, are also kept in the file "log" of the directory
 * (ringlog.h), with the time and who says it; who: a plain word that must live as long as the program. For
 * processes that nobody may be looking at. Without the file all goes on. After fd_close_all_but: again. */
void log_keep_in(int dir_fd, const char *who);
/* The descriptor of that file, for fd_close_all_but in a child, which then has another name; -1: none. */
int log_keep_fd(void);
void log_keep_as(const char *who);
/* Errors and warnings aren't kept until log_keep_as: for who tells them to the user, in whatever words he used. */
void log_keep_no_errors(void);
/* Kept only: starts, ends and their reasons, what was refused, what nobody was told. No secrets, no contents of
 * files, no arguments of commands. */
void log_keep(const char *fmt, ...) PRINTF(1, 2);

#endif
