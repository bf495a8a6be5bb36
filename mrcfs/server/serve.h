/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serve.h: the server's parts that tests drive without streams.
 * Must not know: what each operation does. */
#ifndef MRCFS_SERVER_SERVE_H
#define MRCFS_SERVER_SERVE_H

#include "mrcfs/server/server.h"

/* Opens the exports and what else serving needs; streams, threads and maps come later. srv is
 * zeroed but for proc_fd, which is -1. Returns 0 or -errno; call _fini either way. */
MUST int mfs_server_init(struct mfs_server *srv, const struct mfs_serve_opts *o, struct err *e);
void mfs_server_fini(struct mfs_server *srv);

/* Maps users and groups as hello asks. Returns 0, -EPROTO or -ENOMEM. */
MUST int mfs_server_map(struct mfs_server *srv, const struct mfs_head *h,
                        const struct mfs_hello_req *q);

/* What a reader does with a message (taken) after hello: *out is the request to run, or NULL if
 * it is dealt with. Returns 0, -EPROTO or -ENOMEM. */
MUST int mfs_server_take(struct mfs_server *srv, int stream, uint8_t *message, size_t len_bytes,
                         struct mfs_request **out);
/* Frees a request that is not run (any more). */
void mfs_server_drop(void *server, struct mfs_request *rq);

#endif
