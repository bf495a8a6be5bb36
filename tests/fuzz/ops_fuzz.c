/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops_fuzz.c: any bytes as a message of the file protocol: decoding stays in bounds, and what
 * decodes encodes to the same bytes. The first byte chooses the operation of a reply. */
#include "mrcfs/ops.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

/* clang-format off */
#define AGAIN(name) do { \
    struct mfs_##name m; \
    struct rd r = body; \
    if (mfs_##name##_get(&r, &m) == 0) { \
        struct wr w = wr_of(out, sizeof out); \
        mfs_##name##_put(&w, &m); \
        if (!w.is_full && (wr_len(&w) != rd_left(&body) || memcmp(out, body.at, wr_len(&w)))) \
            abort(); \
    } } while (0)
/* clang-format on */

static uint8_t out[1 << 16];

static void request_again(struct rd body, unsigned op)
{
    switch (op) {
#define OP(number, name, req, rep)                                                             \
    case number:                                                                               \
        AGAIN(name##_req);                                                                     \
        break;
#include "mrcfs/ops.def"
#undef OP
    default: break;
    }
}

static void reply_again(struct rd body, unsigned op)
{
    switch (op) {
#define OP(number, name, req, rep)                                                             \
    case number:                                                                               \
        AGAIN(name##_rep);                                                                     \
        break;
#include "mrcfs/ops.def"
#undef OP
    default: break;
    }
}

static void notice_again(struct rd body, unsigned notice)
{
    switch (notice) {
#define NOTICE(number, name, fields)                                                           \
    case number:                                                                               \
        AGAIN(name##_notice);                                                                  \
        break;
#include "mrcfs/notices.def"
#undef NOTICE
    default: break;
    }
}

static void records(struct rd r)
{
    struct rd again = r;
    struct mfs_dirent d;
    struct mfs_name_rec n;
    struct mfs_export_rec x;
    struct mfs_forget_rec f;
    while (rd_left(&r) && mfs_dirent_get(&r, &d) == 0)
        ;
    for (r = again; rd_left(&r) && mfs_name_rec_get(&r, &n) == 0;)
        ;
    for (r = again; rd_left(&r) && mfs_export_rec_get(&r, &x) == 0;)
        ;
    for (r = again; rd_left(&r) && mfs_forget_rec_get(&r, &f) == 0;)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    if (len_bytes < 1 || len_bytes > sizeof out)
        return 0;
    unsigned op = ptr[0];
    struct rd r = rd_of(ptr + 1, len_bytes - 1);
    records(r);
    char text[256];
    mfs_print((struct bytes){ ptr + 1, (uint32_t)(len_bytes - 1) }, op, text, sizeof text);
    if (!memchr(text, 0, sizeof text))
        abort();
    struct mfs_head h;
    if (mfs_head_get(&r, &h) < 0)
        return 0;
    if (h.kind == MFS_REQUEST)
        request_again(r, h.op);
    else if (h.kind == MFS_REPLY)
        reply_again(r, op);
    else if (h.kind == MFS_NOTIFY)
        notice_again(r, h.notice);
    return 0;
}
