/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mfs_fixture.h: a server of a fresh directory and a client of it, for the server's tests.
 * CALL(op, fields…) asks and leaves the reply in rep.op.
 * Must not know: the server's inside. */
#ifndef TESTS_LIB_MFS_FIXTURE_H
#define TESTS_LIB_MFS_FIXTURE_H

#include "tests/lib/mfs_wire_client.h"
#include "tests/lib/unit.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* clang-format off */
/* A reply of each operation: the last one. */
extern struct fx_rep {
#define OP(number, name, req, rep) struct mfs_##name##_rep name;
#include "mrcfs/ops.def"
#undef OP
} rep;
/* clang-format on */

extern struct wc c;     /* the usual client */
extern char fx_dir[64]; /* what is served: export 1 */
extern uid_t fx_user;   /* whom the server runs as in this round: 0 = as we are */

#define CALL(op, ...)       wc_##op(&c, &(struct mfs_##op##_req){ __VA_ARGS__ }, &rep.op)
#define SEND(op, ...)       wc_##op##_send(&c, &(struct mfs_##op##_req){ __VA_ARGS__ })
#define AWAIT(op, id)       wc_##op##_wait(&c, id, &rep.op)
#define ON(client, op, ...) wc_##op(client, &(struct mfs_##op##_req){ __VA_ARGS__ }, &rep.op)

enum { ROOT = 1, ORDINARY_USER = 1234 };

/* Makes fx_dir, owned by whom the server runs as, and removes it with all it holds. */
void fx_make_dir(void);
void fx_remove_dir(void);

/* cmocka's per-test functions: fresh directory, server, client; _end checks that the server
 * ends well. */
int fx_start(void **state);
int fx_end(void **state);
/* The same with options of one's own. */
void fx_serve(const struct mfs_serve_opts *o);

/* fx_dir/name, in one of four buffers used in turn. */
const char *fx_path(const char *name);
struct bytes fx_bytes(const void *ptr, size_t len);
/* Makes a file with text on the head's side. */
void fx_put(const char *name, const char *text);
/* The head's side of a file. */
struct stat fx_stat(const char *name);

/* Node of name in dir; the test fails if there is none. */
uint64_t fx_node_in(uint64_t dir, const char *name);
#define fx_node(name) fx_node_in(ROOT, name)
/* Creates, or opens, in the root; returns the fh. */
uint64_t fx_create(const char *name, uint32_t mode);
uint64_t fx_open(const char *name, uint32_t oflags);

/* Writes text; returns the bytes written or -errno. */
int fx_write(uint64_t fh, uint64_t offset, const char *text);
/* Exactly text comes from offset on. */
void fx_assert_text(uint64_t fh, uint64_t offset, const char *text);

/* Runs the tests with the server as we are and, if we are root, once more as an ordinary user.
 */
int fx_run(const char *name, const struct CMUnitTest *tests, size_t count);
#define FX_TEST(fn) cmocka_unit_test_setup_teardown(fn, fx_start, fx_end)

/* As root we are privileged (and the server acts as callers) unless it was dropped. */
bool fx_is_privileged(void);

#endif
