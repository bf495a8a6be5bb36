/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hello.h: what a home says first on each connection to a host.
 * Must not know: how connections are made. */
#ifndef MOSIX_CORE_MOVE_HELLO_H
#define MOSIX_CORE_MOVE_HELLO_H

#include "common/base/wire.h"
#include "mosix-core/image/clocks.h"

enum {
    MX_HELLO_VERSION = 4,
    MX_TOKEN_BYTES = 16,
    MX_PROGRAM_MAX = 31, /* bytes of a program's name */
};

/* What the connection is for. */
enum mx_stream {
    MX_STREAM_ORDERS =
        1,           /* orders and reports; the first of a job to a host, and its life there */
    MX_STREAM_CALLS, /* of a copy that comes with this move */
    MX_STREAM_IMAGE, /* of this move, in whichever direction */
    MX_STREAM_IMAGE_AT_ONCE, /* to a home, which takes it when the copy stands still */
    MX_STREAM_END,
};

struct mx_hello {
    enum mx_stream stream;
    uint8_t token[MX_TOKEN_BYTES]; /* made by the home: of this job on this host */
    uint32_t move, pid;
    struct mx_clocks now; /* the home's */
    uint32_t need_mb;     /* memory that it will need there, as far as its home knows */
    uint64_t cpu;         /* what the home's processor can, as of mosixd/processor.h */
    char home[64], program[MX_PROGRAM_MAX + 1];
};

/* Returns 0; -EPROTO; -ENOTSUP for another version. */
MUST int mx_hello_get(struct rd *r, struct mx_hello *h);
void mx_hello_put(struct wr *w, const struct mx_hello *h);

#endif
