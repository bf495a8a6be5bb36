/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mfs_client_fixture.h: the file client between a kernel (the other end of /dev/fuse's
 * protocol) and a server that are both the test. Nothing happens by itself: each function that
 * sends something turns the client's loop, so that its reactions can be read when it returns.
 * Must not know: libfuse, the client's inside. */
#ifndef TESTS_LIB_MFS_CLIENT_FIXTURE_H
#define TESTS_LIB_MFS_CLIENT_FIXTURE_H

#include "tests/lib/unit.h"

#include "mrcfs/mrcfs.h"
#include "mrcfs/ops.h"

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern struct cx {
    struct mfs_client *client;
    int kernel, meta;    /* our ends; a test may close meta and make it -1 */
    unsigned dropped_count; /* notices that pages are to be dropped, before late answers */
    int lost_count;      /* how often the client said that the server is lost */
    uint64_t root_calls[2]; /* getattr of the exports' roots, ahead; answered with EIO unless has_roots_ahead */
    uint8_t in[1 << 18]; /* what was read last */
} cx;

struct cx_opts {
    bool is_single_user;
    bool is_old_kernel;   /* offers none of the newer kernels' abilities (flags2) */
    size_t export_number; /* 0: /one, 1: /two, read-only */
    uint32_t lease_ms;    /* not 0: consistency by leases of this length */
    const char *paths_ahead;
    bool has_roots_ahead; /* the test answers cx.root_calls */
    uint32_t kernel_minor; /* of its protocol; 0: 38 */
    size_t known_max;      /* files that the client may know; 0: as ever */
    const char *cache_dir; /* not NULL: chunks are kept there, and the server takes part */
};

/* Starts a client of a server that has answered its hello, and mounts the export; returns the
 * client's answer to the kernel's FUSE_INIT. */
struct fuse_init_out cx_start(const struct cx_opts *o);
/* cmocka's tear-down. */
int cx_end(void **state);

/* Lets the client do all that it can do now. */
void cx_turn(void);

/* ---- the kernel ---- */

/* Asks as user 1000; returns the request's unique number. */
uint64_t cx_ask(uint32_t opcode, uint64_t node, const void *body, size_t len_bytes);
/* The next answer, which is to be that of unique. Returns 0, or the error as a positive errno.
 * If body is not NULL, the answer's first size_bytes go there, unless it is an error. */
int cx_answer(uint64_t unique, void *body, size_t size_bytes);
/* The same of an answer that another thread of the client gives, after notices. */
int cx_answer_later(uint64_t unique);
void cx_assert_no_answer(void);

/* ---- the server ---- */

/* The next message of the client on the meta stream; *body, valid until something else is read,
 * is left behind its head. False: there is none. */
bool cx_next_message(struct mfs_head *h, struct rd *body);
/* The same where there must be one. */
struct mfs_head cx_message(struct rd *body);
void cx_send(const struct mfs_head *h, const uint8_t *body, size_t len_bytes);
/* error is the wire's number. */
void cx_reply(uint64_t id, uint32_t error, const uint8_t *body, size_t len_bytes);
/* The kernel asks for a name in the export, and the server says that it is e; the list of the directory, if the client wants it, it refuses.
 * Returns the unique number of the kernel's question. */
uint64_t cx_look_up(const char *name, const struct mfs_entry *e);

#endif
