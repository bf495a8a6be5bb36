/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper.h: the home's side of one job that moves or is away: who has the copy that runs,
 * connections to hosts, and the stub. Must not know: who may ask for what. */
#ifndef MOSIX_CORE_MOVE_KEEPER_H
#define MOSIX_CORE_MOVE_KEEPER_H

#include "common/base/err.h"
#include "mosix-core/net/wire.h"

#include <sys/types.h>

enum {
    MX_KEEPER_LINGER_MS =
        3000, /* after the job has come home connections are kept for a next move */
    MX_STAYS_MS =
        2000, /* after it came home by itself it is not sent away by itself so long, */
    MX_STAYS_MAX_MS = 64 * 1000, /* twice as long each time, up to this */
    MX_REQUEST_MAX = 512,        /* bytes of a request and of an answer */
    MX_FREEZE_DIR_MAX = 160,     /* of a directory's name */
};

struct mx_keeper_how {
    pid_t pid;    /* the job's process */
    int process;  /* its pidfd */
    int listener; /* stream socket: requests, one a connection: "migrate WHERE", "auto WHERE"
                     when nobody in particular wants it there, "freeze", "continue", "status",
                     "family": where those are that are away with it, or "of PID WHERE" for
                     one of these; answered by one line, "ok…" or words; WHERE: home, or
                     mx_node_text(), which may be of a newer map than this one */
    struct mx_nodes *nodes;
    int self; /* which node this is */
    const struct mx_identity *id;
    uint32_t need_mb;       /* memory that it will need on a host */
    uint64_t cpu;           /* what it may have found in the processor here, for mx_hello */
    const char *freeze_dir; /* where frozen memory goes; made when it is needed */
    const char *freeze_tag; /* part of the name of its file: whose processes these are */
    void (*moved)(void *ctx, pid_t pid); /* after each move, or NULL */
    /* A child that was away has come home and is to go on; line: as for its own keeper. Or
     * NULL. */
    void (*go_on)(void *ctx, pid_t pid, const char *line);
    void *ctx;
};

/* Until the job is at home again and nobody asks any more, or has ended. Returns 0 or -errno
 * with words. */
MUST int mx_keeper_run(const struct mx_keeper_how *how, struct err *e);

#endif
