/* SPDX-License-Identifier: GPL-2.0-or-later */
/* collect.h: an image that comes in rounds is kept, and goes on as one when its end has come:
 * for a process that can't take rounds, as it makes calls until the last one. First goes the
 * file of memory that its pages lie in (fd_send), each at the offset that is its address, then
 * the image without pages.
 * Must not know: whose image, who carries it. */
#ifndef MOSIX_CORE_IMAGE_COLLECT_H
#define MOSIX_CORE_IMAGE_COLLECT_H

#include "common/base/err.h"

#include <stdint.h>

struct mx_collect_how {
    int from, to;            /* stream sockets, borrowed; rounds are answered on from */
    uint64_t bytes_max;      /* of pages that are kept */
    void (*some)(void *ctx); /* some more has come; or NULL */
    void *ctx;
};

/* Until the image is written; nothing of one that is not whole ever is. Returns 0; -EPROTO for
 * one that makes no sense; -ENOSPC over bytes_max; or the error of reading or writing. */
MUST int mx_collect(const struct mx_collect_how *how, struct err *e);

#endif
