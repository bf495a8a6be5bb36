/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stub.h: a thread of a job's own process while its body is away, and the calls that it makes
 * for that. What is said of processes below is of each of their threads.
 * Must not know: how calls get here, or answers back: what happens is told to its owner.
 * The stub is traced. Between calls it rests, and after a moment idles in a pause of its own,
 * so that signals come out at once. It has the job's mask and the job's dispositions, so its
 * kernel decides about a signal as it would if the job were here: what is ignored, stops or
 * ends the job does it to the stub, and only what has a handler is handed out. Calls that
 * nothing was to disturb go on by themselves. A stub that makes more than a few calls takes
 * them from memory that we share with it (quick.h), without stops, and idles there. */
#ifndef MOSIX_CORE_DEPUTY_STUB_H
#define MOSIX_CORE_DEPUTY_STUB_H

#include "common/base/err.h"
#include "mosix-core/abi/marshal.h"
#include "mosix-core/deputy/mirror.h"
#include "mosix-core/deputy/quick.h"
#include "mosix-core/image/parts.h"
#include "mosix-core/image/threads.h"

#include <signal.h>

enum { MX_STUBS_MAX = 256 }; /* processes of one job that are away, and their threads */

enum mx_stub_state {
    MX_STUB_STARTING, /* a child that has not yet stopped for us */
    MX_STUB_RESTING,  /* stands still, and can be given a call */
    MX_STUB_IDLE,     /* waits for signals */
    MX_STUB_CALLING,
    MX_STUB_GONE,
};

enum mx_stub_dump {
    MX_STUB_NO_DUMP,
    MX_STUB_DUMP_KEPT,   /* the signal is taken from it until its memory has come; nothing else
                            happens to it */
    MX_STUB_DUMP_QUEUED, /* and it has it again, blocked */
    MX_STUB_DUMP_GIVEN_UP,
};

struct mx_stub {
    struct mx_tracee t; /* regs: as at the start, for calls; blocked: the job's mask */
    uint32_t who;
    struct mx_stub *leader; /* the stub of its process's first thread; NULL: it is that */
    enum mx_stub_state state;
    bool has_threads; /* besides the first, or has had */
    unsigned threads; /* of the first: those that it has now */
    bool is_halted;   /* the job is stopped (SIGSTOP and its like) */
    bool is_rest_wanted;
    bool is_cancelled;    /* its call is to end early */
    bool is_paused;       /* signals wait in it */
    bool is_pause_asked;  /* and not answered yet */
    bool is_back;         /* its body is to go on here, */
    bool is_taken;        /* and has been told that it may */
    bool has_call;        /* call is to be made, or is being made */
    bool is_forking;      /* it is a fork, */
    bool is_threading;    /* or a thread, */
    uint32_t exit_signal; /* whose child ends with this */
    struct mx_call_frame call;
    bool is_mirrored; /* what mirror says is the call, with the body's own pointers; */
    bool is_refused;  /* but it can't be made so: why */
    struct mx_mirror mirror;
    uint64_t arena_at, gadget_at; /* in the stub; the arena is what both share, or */
    uint64_t private_at;          /* this, which its children have too */
    /* Of the first thread: such memory of threads that have ended, for the next ones. */
    uint64_t spare_at[MX_STUBS_MAX];
    unsigned spares;
    struct mx_range park; /* memory of it that is kept; 0: none */
    struct mx_quick quick;
    bool is_quick;     /* it runs the code of quick */
    unsigned by_stops; /* calls that were made without */
    uint8_t *arena;    /* MX_CALL_ARENA_BYTES */
    /* Of the first thread, for all: signals with handlers; those whose handler runs only once.
     */
    uint64_t caught, once;
    uint32_t sent; /* signals handed out */
    char why[200]; /* of a call that can't be made for a body that is away */
    bool is_dying; /* of the first: one of its threads has a dump */
    /* It dies of a signal that dumps its memory, which has to be here for it. */
    enum mx_stub_dump dump;
    siginfo_t dump_of;
    uint64_t dump_by_ms; /* clock_mono_ms: later it dies without */
};

/* What a stub has to tell. */
enum mx_stub_event {
    MX_STUB_ANSWER, /* its call has the result; call and arena are as the call left them */
    MX_STUB_SIGNAL, /* info */
    MX_STUB_STOP,
    MX_STUB_CONT,
    MX_STUB_NOT_AWAY, /* the same; for the truth the body has to be here: why */
    MX_STUB_CHILD,    /* result: its number */
    MX_STUB_EXEC,     /* it is an ordinary process now, and no longer ours */
    MX_STUB_ENDED,    /* was waited for */
    MX_STUB_DUMP,     /* its memory is to come: see dump */
    MX_STUB_LIMIT,    /* it may have changed its limit of dumps */
};
struct mx_stub_out {
    enum mx_stub_event what;
    int64_t result;
    siginfo_t info;
    const char *why;
};
/* Returns 0 or -errno, which ends the serving. */
typedef int mx_stub_tell(void *ctx, struct mx_stub *s, const struct mx_stub_out *out);

/* A process that stands still becomes a stub, and dies with us from then on. t is copied. */
MUST int mx_stub_init(struct mx_stub *s, const struct mx_tracee *t, struct err *e);
/* A thread that stands still, as leader's does, becomes one too; leader outlives it. */
MUST int mx_stub_init_thread(struct mx_stub *s, struct mx_stub *leader,
                             const struct mx_tracee *t, struct err *e);
/* A child of parent's, which has made it by a fork; or a thread. */
MUST int mx_stub_init_child(struct mx_stub *s, struct mx_stub *parent, pid_t pid);
/* That of the first thread. */
struct mx_stub *mx_stub_lead(struct mx_stub *s);
void mx_stub_fini(struct mx_stub *s);

/* Deals with what has happened to it, without waiting. Returns 0 or -errno. */
MUST int mx_stub_check(struct mx_stub *s, mx_stub_tell *tell, void *ctx, struct err *e);

/* s->call is to be made (a fork when s->is_forking), as soon as it may. */
MUST int mx_stub_call(struct mx_stub *s, mx_stub_tell *tell, void *ctx, struct err *e);

/* Its call, if it makes one, ends early: what has done nothing yet with a result that
 * mx_call_is_interrupted. */
MUST int mx_stub_cancel(struct mx_stub *s, struct err *e);

/* What is ours in a resting process is taken away again. */
MUST int mx_stub_leave(struct mx_stub *s, struct err *e);

/* A resting stub's memory becomes that of an image that is read from fd, and its other threads,
 * of which nothing of ours is left, those of the image. Returns 0: mx_stub_free lets them go on
 * as the process itself; or what mx_restore_as does: it makes no sense any more. */
MUST int mx_stub_fill(struct mx_stub *s, struct mx_threads *others, int fd, struct err *e);
MUST int mx_stub_free(struct mx_stub *s, struct mx_threads *others, struct err *e);

/* The job's mask has become this. */
MUST int mx_stub_mask(struct mx_stub *s, uint64_t blocked, mx_stub_tell *tell, void *ctx,
                      struct err *e);

/* It dies of signal signo, which killed its body. */
MUST int mx_stub_die(struct mx_stub *s, int signo, mx_stub_tell *tell, void *ctx,
                     struct err *e);

/* The dump can't be had: it dies of that signal without. */
MUST int mx_stub_give_up_dump(struct mx_stub *s, mx_stub_tell *tell, void *ctx, struct err *e);

/* A resting stub waits for signals from now on. */
MUST int mx_stub_idle(struct mx_stub *s, struct err *e);
/* It stands still. */
MUST int mx_stub_rest(struct mx_stub *s, mx_stub_tell *tell, void *ctx, struct err *e);
/* The same of one that is stopped as a job, which mx_stub_rest leaves alone: it can make calls,
 * and is to be stopped again when it is let go. Does nothing to others, nor to one that is in
 * the middle of a call. */
MUST int mx_stub_rest_halted(struct mx_stub *s, struct err *e);

#endif
