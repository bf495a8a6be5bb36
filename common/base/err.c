/* SPDX-License-Identifier: GPL-2.0-or-later */
/* err.c: bounded error texts.
 * Must not know: where errors are printed. */
#include "common/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int errno_value, const char *fmt, ...)
{
    int saved = errno;
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
        size_t used = strlen(e->text);
        if (errno_value)
            snprintf(e->text + used, sizeof e->text - used, ": %s", strerror(errno_value));
    }
    errno = saved;
    return errno_value ? -errno_value : -EIO;
}

int err_say(struct err *e, int errno_value, const char *fmt, ...)
{
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
    }
    return errno_value ? -errno_value : -EIO;
}

int err_in(struct err *e, int rc, const char *fmt, ...)
{
    if (!e)
        return rc;
    struct err inner = *e;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    size_t used = strlen(e->text);
    snprintf(e->text + used, sizeof e->text - used, ": %s",
             inner.text[0] ? inner.text : strerror(-rc));
    return rc;
}
