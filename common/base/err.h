/* SPDX-License-Identifier: GPL-2.0-or-later */
/* err.h: an error in words, owned by the caller, for causes that a number can't tell.
 * Must not know: where errors are printed. */
#ifndef COMMON_BASE_ERR_H
#define COMMON_BASE_ERR_H

#include "common/base/attr.h"

/* Words of a failure, outermost context first; text is empty when nothing failed. */
struct err {
    char text[256];
};

/* Says what failed ("open image x.img") and why (errno_value, positive, or 0 when the words say
 * all). e may be NULL. Returns -errno_value, or -EIO when errno_value is 0; errno itself is
 * kept. */
int err_set(struct err *e, int errno_value, const char *fmt, ...) PRINTF(3, 4);

/* Like err_set(), but the words say all: errno_value is for the caller, not for the reader. */
int err_say(struct err *e, int errno_value, const char *fmt, ...) PRINTF(3, 4);

/* Puts context before the words already in e ("image x.img: …"). Returns rc unchanged. */
int err_in(struct err *e, int rc, const char *fmt, ...) PRINTF(3, 4);

#endif
