/* SPDX-License-Identifier: GPL-2.0-or-later */
/* request.h: what those have in common who answer a request of a program's on this node.
 * Must not know: what is asked. */
#ifndef MOSIX_CORE_MOSIXD_REQUEST_H
#define MOSIX_CORE_MOSIXD_REQUEST_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mosix-core/mosixd/checkpoint.h"
#include "mosix-core/mosixd/mosixd.h"

#include <stdbool.h>
#include <sys/socket.h>

struct mx_request {
    const struct mx_daemon *d;
    struct ucred who;
    int sock; /* of who asks; -1: nobody waits */
    char *answer;
    size_t len_bytes;
};

/* Adds to the answer, which is cut at MX_LISTING_MAX. */
void mx_request_say(struct mx_request *r, const char *fmt, ...) PRINTF(2, 3);
/* What it has said so far goes, and the rest of the answer is nobody's. */
void mx_request_finish(struct mx_request *r);

/* May who asks do this to process pid, which must be a job's? Returns 0; -ESRCH, -EPERM,
 * -EINVAL with words. */
MUST int mx_request_may(struct mx_request *r, pid_t pid, struct err *e);

/* The user and group that process pid is of, and its saved user. Returns 0 or -ESRCH. */
MUST int mx_request_ids(pid_t pid, unsigned *uid, unsigned *saved, unsigned *gid);

/* Asks the keeper of process pid, if it has one. Returns the answer's length, or -ENOENT. */
MUST int mx_request_keeper(struct mx_request *r, pid_t pid, const char *line, char *answer,
                           size_t size);

/* Where it is: "home", or a node's name. Returns whether nothing is under way. */
bool mx_request_where(struct mx_request *r, pid_t pid, char where[MX_NODE_NAME_MAX + 1],
                      char *why, size_t size);

/* Asks for a move. Returns 0, or -errno with words: nothing moves. */
MUST int mx_request_move(struct mx_request *r, pid_t pid, const char *where, struct err *e);
/* And waits until it is there. Returns 0; -ECANCELED with words when it stayed where it was. */
MUST int mx_request_move_wait(struct mx_request *r, pid_t pid, const char *where,
                              struct err *e);

/* A checkpoint, for which a process that is away comes home and goes back. without: a
 * descriptor that is left out; 0: none. Checks no rights. */
MUST int mx_request_checkpoint(struct mx_request *r, pid_t pid, enum mx_checkpoint_then then,
                               int without, char *name, size_t size, struct err *e);

/* Starts the process that makes checkpoints of process pid by time, if there is none yet. */
MUST int mx_timer_start(struct mx_request *r, pid_t pid, struct err *e);

/* A process of its own, that nobody waits for, in a session of its own and with the descriptors
 * that are named: there this returns 0, and must not return to its caller. Else 1 or -errno. */
MUST int mx_request_fork(const char *title, const int *kept, size_t count, struct err *e);

/* Of frost.c: where frozen memory goes (NULL: where it does if nothing is said), and what is
 * left there of jobs that nobody keeps any more is taken away; in the daemon, and then in a
 * child. */
MUST int mx_frost_dir(struct mx_daemon *d, const char *path, struct err *e);
void mx_frost_clean(const struct mx_daemon *d);
MUST int mx_ask_freeze(struct mx_request *r, const char *rest, struct err *e);
MUST int mx_ask_continue(struct mx_request *r, const char *rest, struct err *e);

/* Is its memory in a file? */
bool mx_request_is_frozen(struct mx_request *r, pid_t pid);

/* Asks the keeper of process pid, which is started if there is none, for something. Returns 0,
 * or -errno with words. */
MUST int mx_request_wish(struct mx_request *r, pid_t pid, const char *line, struct err *e);

/* Requests of asks.c; rest: what follows the word. */
MUST int mx_ask_get(struct mx_request *r, const char *rest, struct err *e);
MUST int mx_ask_set(struct mx_request *r, const char *rest, struct err *e);
MUST int mx_ask_go(struct mx_request *r, const char *rest, struct err *e);
MUST int mx_ask_reach(struct mx_request *r, const char *rest, struct err *e);
MUST int mx_ask_begin(struct mx_request *r, const char *rest, struct err *e);
MUST int mx_ask_checkpoint(struct mx_request *r, const char *rest, struct err *e);
/* Of govern.c. */
MUST int mx_ask_rule(struct mx_request *r, const char *rest, struct err *e);
MUST int mx_ask_out(struct mx_request *r, const char *rest, struct err *e);
MUST int mx_ask_expel(struct mx_request *r, const char *rest, struct err *e);
MUST int mx_ask_end(struct mx_request *r, const char *rest, struct err *e);
/* Of choose.c. */
MUST int mx_ask_best(struct mx_request *r, const char *rest, struct err *e);

#endif
