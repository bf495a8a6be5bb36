/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hello.h: the first call: who we are, who lives here, what the server exports.
 * Must not know: FUSE, sockets. */
#ifndef MRCFS_CLIENT_HELLO_H
#define MRCFS_CLIENT_HELLO_H

#include "mrcfs/client/client.h"

/* Sends hello as call. Returns 0, or -errno with words; then the call is still the caller's. */
MUST int mfs_hello_send(struct mfs_call *call, struct err *e);
/* Takes what the server answered into c. Returns 0, or -EPROTO with words. */
MUST int mfs_hello_take(struct mfs_client *c, struct rd *body, struct err *e);
/* The greeting of another server: it must be as the first one was. Returns 0, -EPROTO, -ESTALE, with words. */
MUST int mfs_hello_compare(struct mfs_client *c, struct rd *body, struct err *e);
void mfs_hello_fini(struct mfs_client *c);

#endif
