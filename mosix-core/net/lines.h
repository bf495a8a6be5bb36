/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lines.h: configuration files: lines of words, "#" begins a comment.
 * Must not know: what they mean. */
#ifndef MOSIX_CORE_NET_LINES_H
#define MOSIX_CORE_NET_LINES_H

#include "common/base/err.h"

enum { MX_LINE_WORDS_MAX = 64 };

/* A line that is not empty. One with more words has MX_LINE_WORDS_MAX of them, and is refused
 * by who takes fewer. */
struct mx_line {
    const char *path;
    unsigned number, count;
    char *words[MX_LINE_WORDS_MAX];
};

/* Until fn fails. Returns 0; what fn has returned; or the error of reading: -ENOENT, -EFBIG. */
MUST int mx_lines_each(const char *path,
                       int (*fn)(void *ctx, const struct mx_line *l, struct err *e), void *ctx,
                       struct err *e);

/* A number in decimal digits and nothing else. -EINVAL for another text. */
MUST long mx_line_number(const char *text, long least, long most);

#endif
