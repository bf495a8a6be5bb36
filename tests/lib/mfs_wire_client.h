/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mfs_wire_client.h: a small synchronous client of the file protocol, for tests: no cache, no
 * FUSE; requests can also be sent without waiting.
 * Must not know: the server's inside. */
#ifndef TESTS_LIB_MFS_WIRE_CLIENT_H
#define TESTS_LIB_MFS_WIRE_CLIENT_H

#include "mrcfs/mrcfs.h"
#include "mrcfs/ops.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { WC_TIMEOUT_MS = 20000, WC_HELD_MAX = 16384, WC_NOTICES_MAX = 1024 };

struct wc_message {
    uint8_t *memory;
    size_t len;
    struct mfs_head head;
    int stream;
};

struct wc {
    int fds[2]; /* meta, bulk */
    pid_t server;
    uint64_t last_id;
    uint32_t uid; /* the caller of requests */
    uint32_t gid;
    uint32_t pid;
    uint32_t features;     /* sent with hello */
    struct mfs_head hello; /* reply's head */
    uint32_t server_features;
    struct wc_message held[WC_HELD_MAX]; /* replies not asked for yet */
    size_t held_count;
    uint64_t notices;       /* that came, and were dropped */
    bool keeps_notices;     /* instead of dropping them, for wc_notice */
    struct wc_message kept[WC_NOTICES_MAX];
    size_t kept_first, kept_end;
    struct wc_message last; /* what views in the last reply point into */
};

/* Starts a server process for o (its descriptors are set here) and sends hello as uid and gid
 * with the names of this computer; drop_to: user and group that the server runs as, 0 = as we
 * are. Returns 0 or -errno. */
MUST int wc_start(struct wc *c, const struct mfs_serve_opts *o, uid_t drop_to);
/* Only forks the server and connects. */
MUST int wc_fork(struct wc *c, const struct mfs_serve_opts *o, uid_t drop_to);
MUST int wc_greet(struct wc *c);
/* Hangs up and waits for the server's end. Returns what mfs_serve returned (as -errno), or
 * -ECHILD if it died by a signal or of a sanitizer. */
MUST int wc_stop(struct wc *c);

/* Raw bytes on a stream (0 meta, 1 bulk). */
MUST int wc_raw(struct wc *c, int stream, const void *ptr, size_t len);
/* A message of any kind. */
MUST int wc_send(struct wc *c, int stream, const struct mfs_head *h, const void *body,
                 size_t len);
/* Waits for the reply of id (0 = any message) until the timeout. Returns 0 with c->last and its
 * body, -ETIMEDOUT, -ECONNRESET when the server hung up, -EPROTO. */
MUST int wc_wait(struct wc *c, uint64_t id, int timeout_ms, struct rd *body);
/* The next notice (keeps_notices): waits until the timeout. Returns 0 with c->last and its body, or
 * as wc_wait. */
MUST int wc_notice(struct wc *c, int timeout_ms, struct rd *body);
void wc_cancel(struct wc *c, uint64_t id);
void wc_forget(struct wc *c, uint64_t node, uint64_t nlookup);

/* clang-format off */
/* wc_<op>: sends and waits; 0 with p, or the error as -errno. wc_<op>_send returns the id;
 * wc_<op>_wait takes it. */
#define OP(number, name, req, rep) \
    MUST int wc_##name(struct wc *c, const struct mfs_##name##_req *q, struct mfs_##name##_rep *p); \
    uint64_t wc_##name##_send(struct wc *c, const struct mfs_##name##_req *q); \
    MUST int wc_##name##_wait(struct wc *c, uint64_t id, struct mfs_##name##_rep *p);
#include "mrcfs/ops.def"
#undef OP
/* clang-format on */

#endif
