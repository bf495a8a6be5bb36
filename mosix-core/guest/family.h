/* SPDX-License-Identifier: GPL-2.0-or-later */
/* family.h: a body makes a child or a thread whose number home has given.
 * Must not know: home, sockets.
 * The child is the supervisor's, not the body's: at home its stub is the child of the body's
 * stub, and is waited for there. */
#ifndef MOSIX_CORE_GUEST_FAMILY_H
#define MOSIX_CORE_GUEST_FAMILY_H

#include "mosix-core/guest/body.h"

/* Reads it from the call that b waits in. Returns 0; -EFAULT or -EINVAL, which the call gives;
 * -ENOTSUP for what only home can do: more that is shared than a fork or a thread does. */
MUST int mx_fork_read(const struct mx_body *b, struct mx_fork *f);

/* A notice that is not of b's: to be kept. */
typedef void mx_fork_keep(void *ctx, const struct seccomp_notif *n);

/* The number of a process or thread where it is, in the innermost namespace. Returns 0 when it
 * is gone. */
pid_t mx_number_inside(pid_t pid);

/* Ends that call: a child by this number is made, which *child_out is here. Returns 0; -ESRCH
 * when the body is gone; 1 when its kernel didn't make it, as the call has said. */
MUST int mx_body_fork(struct mx_body *b, int listener, const struct mx_fork *f, pid_t number,
                      mx_fork_keep *keep, void *ctx, pid_t *child_out, struct err *e);

#endif
