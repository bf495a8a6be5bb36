/* SPDX-License-Identifier: GPL-2.0-or-later */
/* many.h: sendmmsg and recvmmsg, of which the first message is sent or received: a kernel may
 * stop there too. With a timeout or none it is one.
 * Must not know: sockets. Source: sendmmsg(2), recvmmsg(2). */
#ifndef MOSIX_CORE_GUEST_MANY_H
#define MOSIX_CORE_GUEST_MANY_H

#include "mosix-core/guest/body.h"

/* The call to be made at home for what b's notice asks: line with args, or sendmsg or recvmsg
 * with other ones, and then it notes so in b. */
const struct mx_call_line *mx_many_one(struct mx_body *b, const struct mx_call_line *line,
                                       uint64_t args[MX_CALL_ARGS]);

/* That has given result. Returns what the body's call gives. */
int64_t mx_many_after_one(const struct mx_body *b, int64_t result);

#endif
