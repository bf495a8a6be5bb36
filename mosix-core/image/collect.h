/* SPDX-License-Identifier: GPL-2.0-or-later */
/* collect.h: an image that comes in rounds is kept, and goes on as one when its end has come:
 * for a process that can't take rounds, as it makes calls until the last one. Pages are put
 * where it has room for them that it doesn't use (park.h); those that have none there lie in a
 * file of memory, each at the offset that is its address. First that file goes (fd_send), then
 * which addresses have their pages where (mx_parked_get), then the image without pages.
 * Must not know: whose image, who carries it. */
#ifndef MOSIX_CORE_IMAGE_COLLECT_H
#define MOSIX_CORE_IMAGE_COLLECT_H

#include "common/base/err.h"
#include "mosix-core/image/park.h"

#include <stdint.h>

struct mx_collect_how {
    int from, to;       /* stream sockets, borrowed; rounds are answered on from */
    uint64_t bytes_max; /* of pages that are kept */
    /* Room in the process's memory, which can be written by this descriptor; start and end 0:
     * none. */
    uint64_t park_start, park_end;
    int park_memory;                        /* borrowed */
    void (*parks)(void *ctx, uint64_t end); /* it is used up to there from now on; or NULL */
    void (*some)(void *ctx);                /* some more has come; or NULL */
    void *ctx;
};

/* Until the image is written; nothing of one that is not whole ever is. Returns 0; -EPROTO for
 * one that makes no sense; -ENOSPC over bytes_max; or the error of reading or writing. */
MUST int mx_collect(const struct mx_collect_how *how, struct err *e);

/* What comes on the stream before the image. Where the park is the caller has said in *park,
 * and what comes is not believed more than that. Returns 0; -EPROTO; -ENOMEM; or the error of
 * reading. *park is to be freed after either. */
MUST int mx_parked_get(int fd, struct mx_park *park, struct err *e);

#endif
