/* SPDX-License-Identifier: GPL-2.0-or-later */
/* body.h: a thread of a body under a filter: the call that it waits in, and signals that are
 * put into it. Must not know: home. It is traced only while something is done to it that its
 * kernel does for itself only: signals with a siginfo of another's, masks of a wait, children
 * with a given number. */
#ifndef MOSIX_CORE_GUEST_BODY_H
#define MOSIX_CORE_GUEST_BODY_H

#include "common/base/err.h"
#include "mosix-core/abi/kept.h"
#include "mosix-core/abi/marshal.h"
#include "mosix-core/abi/mirror.h"
#include "mosix-core/abi/talk.h"
#include "mosix-core/guest/ahead.h"
#include "mosix-core/guest/behind.h"
#include "mosix-core/guest/mapping.h"
#include "mosix-core/guest/timed.h"
#include "mosix-core/guest/transfer.h"
#include "mosix-core/image/tracee.h"

#include <linux/seccomp.h>
#include <signal.h>
#include <sys/types.h>

enum { MX_BODY_SIGNALS_MAX = 256 }; /* that come while one call is under way */

enum mx_back {
    MX_BACK_NONE,
    MX_BACK_ASKED, /* to go home; home has not yet said that it may */
    MX_BACK_SENT,  /* it may, and stands still; its image is sent when all threads do */
};

/* What a body asks for with fork, vfork, clone, clone3. */
struct mx_fork {
    uint64_t flags; /* of clone, without the signal */
    int exit_signal;
    uint64_t stack, stack_bytes, parent_tid, child_tid, tls;
};

/* A call that was interrupted in the middle and is to be made again. Zeroed: none. */
struct mx_begun {
    int64_t result; /* MX_RESTART or MX_RESTART_UNCAUGHT */
    long number;
    uint64_t args[MX_CALL_ARGS], pc;
};

struct mx_body {
    pid_t pid; /* of the thread */
    uint32_t who;
    struct mx_body *first; /* of its process: what is done to that is done to it; or itself */
    int mem_fd;
    uint64_t syscall_at; /* an instruction of its vdso */
    bool is_ended, is_dead;
    bool is_watched; /* it is traced all the time (faults.h) */

    bool is_calling; /* waits in a call that was noticed */
    bool is_held;    /* which is still to be looked at */
    bool is_forking; /* home is making a child: */
    struct mx_fork fork;
    bool is_leaving; /* it is a thread that ends, and the others go on */
    uint32_t vfork;  /* it waits for this child; 0: for none */
    struct seccomp_notif notice;
    struct mx_call_wait wait;
    struct mx_timed timed; /* the notice, if it waits for a time */
    struct mx_begun begun; /* by a move, here or where it was before */
    uint64_t home_mask;    /* what home believes of its mask */
    uint64_t next_mask;    /* and will, when the call has succeeded */

    struct mx_answers kept;
    struct mx_ahead ahead;
    struct mx_behind behind;
    struct mx_transfer transfer;
    struct mx_mapping mapping;
    bool is_cut;               /* the piece before was */
    bool is_one_of_many;       /* sendmsg for sendmmsg, recvmsg for recvmmsg */
    bool is_mirrored;          /* made at home with its own pointers (mirrored.h), */
    struct mx_window *windows; /* with memory here, as home knows; NULL: it doesn't */
    uint32_t window_count;

    enum mx_back back;
    unsigned backs, takes; /* how often it was asked to, and answered */
    bool is_fetched;       /* home wants it */
    bool is_caught;        /* held stands still, or will */
    bool is_found;         /* it was caught outside of its calls */
    bool is_going;         /* of the first: why is known; */
    bool is_sent;          /* its process's image is */
    unsigned pauses_sent, pauses_got;
    struct mx_tracee held;
    char why[MX_TALK_TEXT_MAX]; /* it goes home */

    uint32_t seen; /* signals that have come */
    unsigned signal_count;
    siginfo_t signals[MX_BODY_SIGNALS_MAX]; /* to be put into it with the answer */
};

/* Opens what is needed of a process. Returns 0 or -errno. */
MUST int mx_body_init(struct mx_body *b, pid_t pid, uint32_t who, struct err *e);
void mx_body_fini(struct mx_body *b);

/* Access to its memory, for mx_call_ask and mx_call_give; ctx: the body. */
struct mx_call_memory mx_body_memory(struct mx_body *b);

/* Ends the call that it waits in with a result, or lets its kernel make it; what is in signals
 * is put into it with that. A result that mx_call_is_interrupted is what the kernel makes of
 * it. Returns 0; -ESRCH when the body has gone. */
enum mx_body_end { MX_BODY_RESULT, MX_BODY_CONTINUE };
MUST int mx_body_end_call(struct mx_body *b, int listener, enum mx_body_end how, int64_t result,
                          struct err *e);

/* mx_tracee_catch, of one that may be watched. */
MUST int mx_body_catch(const struct mx_body *b, struct mx_tracee *t, bool is_child,
                       struct err *e);

/* r: of a body that was caught in no call that we know of. A call that was interrupted before
 * anybody took note of it will be made whatever the handlers say, unless it had begun before a
 * move. */
void mx_body_not_begun(const struct mx_body *b, struct user_regs_struct *r);

/* It begins, or goes on after a move, with these: the call that it may be in had begun. */
void mx_body_begins(struct mx_body *b, const struct user_regs_struct *r);

/* The same, and it is caught: it will stop before it goes on, which mx_tracee_await waits for.
 * No signals. */
MUST int mx_body_catch_call(struct mx_body *b, int listener, enum mx_body_end how,
                            int64_t result, struct mx_tracee *t, struct err *e);

/* A body that stands still goes on as t->regs say, with what is in signals. */
MUST int mx_body_release(struct mx_body *b, struct mx_tracee *t, struct err *e);

/* Waits until one that is caught stands still, and puts what is in signals into it: with what
 * came between its call's answer and now it goes on wherever it does. Returns 0; -ESRCH. */
MUST int mx_body_settle(struct mx_body *b, struct mx_tracee *t, struct err *e);

/* Puts what is in signals into it while it computes. Returns 0; -ESRCH. */
MUST int mx_body_signal(struct mx_body *b, struct err *e);

/* They wait in a body that stands still from then on. */
MUST int mx_body_queue(struct mx_body *b, struct mx_tracee *t, struct err *e);

/* The mask that the handler brings back out of which rt_sigreturn is about to lead. */
MUST int mx_body_return_mask(const struct mx_body *b, uint64_t *mask);

#endif
