/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hands.h: the process that holds one copy of a job: it traces it, writes and reads images, and
 * passes calls. It does one thing at a time and may be long about it, so who decides what is
 * next is another process and only exchanges notes with it. Must not know: other places, who
 * decides. When it dies the copy that it holds dies with it, unless that is a job at home that
 * it has not yet taken anything from. */
#ifndef MOSIX_CORE_MOVE_HANDS_H
#define MOSIX_CORE_MOVE_HANDS_H

#include "common/base/err.h"
#include "mosix-core/move/note.h"
#include "mosix-core/sandbox/sandbox.h"

#include <errno.h>
#include <sys/types.h>

/* Notes to the hands. Each but RUN, SERVE and END is answered by the same what, with its
 * result. */
enum mx_hands_ask {
    MX_HANDS_LOOK = 1, /* home: could it move? */
    MX_HANDS_STOP,     /* it stands still; host: big: it may be refused, when it has children */
    MX_HANDS_COPY,     /* it runs, and its memory goes to fd meanwhile, in rounds */
    MX_HANDS_SEND,     /* what is left of its image goes there; without COPY: all, to fd */
    MX_HANDS_RUN,      /* it runs; host, at first: fd, where its calls go */
    MX_HANDS_SERVE,   /* home: the process is a stub now, and makes the calls that come from fd,
                         which the keeper calls number */
    MX_HANDS_RESTORE, /* fd: an image comes from there; big, also: how far the home's monotonic
                         clock is ahead, and that of boottime; number 1: its pages come ahead of
                         it (image/collect.h) */
    MX_HANDS_END,     /* home: the process is ended by signal number */
    /* Notes from the hands. */
    MX_HANDS_SOME,   /* more of an image has come */
    MX_HANDS_ROUND,  /* a round was sent; number: milliseconds that the rest would take; rc */
    MX_HANDS_ENDED,  /* the job has ended by itself; home: number 1: it is another program now,
                        which runs here */
    MX_HANDS_DIED,   /* the copy is no more; number: by which signal */
    MX_HANDS_LOST,   /* calls of connection number: the other end is gone */
    MX_HANDS_CAME,   /* home: process number (0: the job's own) has come home by itself, and is
                        not ours any more; text: why */
    MX_HANDS_MISSED, /* home: it was lost when it was to; text: why */
    MX_HANDS_KILLED, /* home: process number (0: the job's own) was killed where it was; text:
                        "", or after that: likely why */
    MX_HANDS_FAMILY, /* home: number 1: others of the job's are away too; 0 */
    MX_HANDS_FETCH,  /* to the hands at home: process number, 0: all that are away, are to come
                      */
    MX_HANDS_FREEZE, /* to them: its memory goes to the file fd; answered */
    MX_HANDS_THAW,   /* and comes back from there, and it goes on; answered */
    MX_HANDS_PARK,   /* from the hands at home: from big to also the stub has room for an image
                        that comes, and nothing is there; 0: it has none. To them: one comes, into
                        that up to big; 0: it doesn't any more, which is answered. From a
                        collector: the same */
};

struct mx_hands {
    pid_t pid; /* our child; 0: none */
    int sock;  /* -1: none */
};

/* Starts them for process pid here, or for a body that is still to come. Returns 0 or -errno
 * with words. They end when we do. */
MUST int mx_hands_at_home(struct mx_hands *h, pid_t pid, struct err *e);
MUST int mx_hands_on_host(struct mx_hands *h, const struct mx_guest_limits *l, struct err *e);

/* Kills and reaps them; accepts none. */
void mx_hands_end(struct mx_hands *h);

/* fd: -1 or passed along, and then closed here. */
MUST int mx_hands_tell(const struct mx_hands *h, enum mx_hands_ask what, int fd, int32_t number,
                       int64_t big);

/* Of the two kinds: to fork the process that main runs in, with one end of a pair of notes. */
MUST int mx_hands_start(struct mx_hands *h, const char *title,
                        void (*main)(int sock, int32_t number), int32_t number, struct err *e);
/* The answer to a note. */
MUST int mx_hands_say(int sock, uint32_t what, int rc, int32_t number, const struct err *e);
/* Did what was sent find that nobody takes it? Then he who took it knows more. */
static inline bool mx_hands_is_cut(int rc)
{
    return rc == -EPIPE || rc == -ECONNRESET;
}
/* The hands get on: said now and then (*said_ms: when last; 0 at first). Ends the process when
 * nobody hears it. */
void mx_hands_get_on(int sock, uint64_t *said_ms);

#endif
