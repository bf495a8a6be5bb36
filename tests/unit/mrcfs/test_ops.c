/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_ops.c: every message of ops.def and notices.def survives the wire; nothing cut or
 * lengthened is taken; flags map both ways. */
#include "mrcfs/ops.h"
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

static uint64_t seed;
static uint8_t filler[300];

static uint64_t next(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed >> 7;
}

/* clang-format off */
#define FILL_u8(f)    (m->f = (uint8_t)next())
#define FILL_u16(f)   (m->f = (uint16_t)next())
#define FILL_u32(f)   (m->f = (uint32_t)next())
#define FILL_u64(f)   (m->f = next() << 3)
#define FILL_bytes(f) (m->f = (struct bytes){ filler, (uint32_t)(next() % sizeof filler) })
#define FILL_attr(f)  fill_attr(&m->f)
#define FILL_entry(f) fill_entry(&m->f)
/* clang-format on */

static void fill_attr(struct mfs_attr *a)
{
    *a = (struct mfs_attr){
        .ino = next(),
        .mode = (uint32_t)next(),
        .nlink = (uint32_t)next(),
        .uid = (uint32_t)next(),
        .gid = (uint32_t)next(),
        .rdev_major = (uint32_t)next(),
        .rdev_minor = (uint32_t)next(),
        .size = next(),
        .blocks = next(),
        .blksize = (uint32_t)next(),
        .atime_sec = -(int64_t)next(),
        .atime_nsec = (uint32_t)next(),
        .mtime_sec = (int64_t)next(),
        .mtime_nsec = (uint32_t)next(),
        .ctime_sec = (int64_t)next(),
        .ctime_nsec = (uint32_t)next(),
        .valid_ms = (uint32_t)next(),
        .flags = (uint32_t)next(),
    };
}

static void fill_entry(struct mfs_entry *e)
{
    e->node = next();
    e->generation = next();
    fill_attr(&e->attr);
    e->valid_ms = (uint32_t)next();
}

static void same_attr(const struct mfs_attr *a, const struct mfs_attr *b)
{
    assert_int_equal(a->ino, b->ino);
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->nlink, b->nlink);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->gid, b->gid);
    assert_int_equal(a->rdev_major, b->rdev_major);
    assert_int_equal(a->rdev_minor, b->rdev_minor);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->blocks, b->blocks);
    assert_int_equal(a->blksize, b->blksize);
    assert_int_equal(a->atime_sec, b->atime_sec);
    assert_int_equal(a->atime_nsec, b->atime_nsec);
    assert_int_equal(a->mtime_sec, b->mtime_sec);
    assert_int_equal(a->mtime_nsec, b->mtime_nsec);
    assert_int_equal(a->ctime_sec, b->ctime_sec);
    assert_int_equal(a->ctime_nsec, b->ctime_nsec);
    assert_int_equal(a->valid_ms, b->valid_ms);
    assert_int_equal(a->flags, b->flags);
}

static void same_entry(const struct mfs_entry *a, const struct mfs_entry *b)
{
    assert_int_equal(a->node, b->node);
    assert_int_equal(a->generation, b->generation);
    same_attr(&a->attr, &b->attr);
    assert_int_equal(a->valid_ms, b->valid_ms);
}

static void same_bytes(struct bytes a, struct bytes b)
{
    assert_int_equal(a.len, b.len);
    if (a.len)
        assert_memory_equal(a.ptr, b.ptr, a.len);
}

/* Puts m, gets it back, compares; cut at each length and lengthened it must be refused. */
#define F(kind, field) FILL_##kind(field);
#define MESSAGE(name, fields)                                                                  \
    static void fill_##name(struct mfs_##name *m)                                              \
    {                                                                                          \
        (void)m;                                                                               \
        fields                                                                                 \
    }
#define OP(number, name, req, rep)   MESSAGE(name##_req, req) MESSAGE(name##_rep, rep)
#define NOTICE(number, name, fields) MESSAGE(name##_notice, fields)
#include "mrcfs/ops.def"
#include "mrcfs/notices.def"
#undef MESSAGE
#undef F

#define SAME_u8(f)     assert_int_equal(a->f, b->f)
#define SAME_u16(f)    assert_int_equal(a->f, b->f)
#define SAME_u32(f)    assert_int_equal(a->f, b->f)
#define SAME_u64(f)    assert_int_equal(a->f, b->f)
#define SAME_bytes(f)  same_bytes(a->f, b->f)
#define SAME_attr(f)   same_attr(&a->f, &b->f)
#define SAME_entry(f)  same_entry(&a->f, &b->f)
#define F(kind, field) SAME_##kind(field);
#define MESSAGE(name, fields)                                                                  \
    static void same_##name(const struct mfs_##name *a, const struct mfs_##name *b)            \
    {                                                                                          \
        (void)a;                                                                               \
        (void)b;                                                                               \
        fields                                                                                 \
    }
#include "mrcfs/ops.def"
#include "mrcfs/notices.def"
#undef MESSAGE
#undef F

#define MESSAGE(name, fields)                                                                  \
    static void trip_##name(void)                                                              \
    {                                                                                          \
        uint8_t wire[4096];                                                                    \
        for (int round = 0; round < 20; round++) {                                             \
            struct mfs_##name in, out;                                                         \
            memset(&in, 0, sizeof in);                                                         \
            fill_##name(&in);                                                                  \
            struct wr w = wr_of(wire, sizeof wire);                                            \
            mfs_##name##_put(&w, &in);                                                         \
            assert_false(w.is_full);                                                           \
            struct rd r = rd_of(wire, wr_len(&w));                                             \
            assert_int_equal(mfs_##name##_get(&r, &out), 0);                                   \
            same_##name(&in, &out);                                                            \
            for (size_t cut = 0; cut < wr_len(&w); cut++) {                                    \
                r = rd_of(wire, cut);                                                          \
                assert_int_equal(mfs_##name##_get(&r, &out), -EPROTO);                         \
            }                                                                                  \
            r = rd_of(wire, wr_len(&w) + 1);                                                   \
            assert_int_equal(mfs_##name##_get(&r, &out), -EPROTO);                             \
        }                                                                                      \
    }
#include "mrcfs/ops.def"
#include "mrcfs/notices.def"
#undef MESSAGE
#undef OP
#undef NOTICE

TEST(test_round_trips)
{
    for (size_t i = 0; i < sizeof filler; i++)
        filler[i] = (uint8_t)(i * 7);
#define OP(number, name, req, rep)                                                             \
    trip_##name##_req();                                                                       \
    trip_##name##_rep();
#define NOTICE(number, name, fields) trip_##name##_notice();
#include "mrcfs/ops.def"
#include "mrcfs/notices.def"
#undef OP
#undef NOTICE
}

TEST(test_records)
{
    uint8_t wire[1024];
    struct mfs_dirent d = { .next_cookie = 5, .name = bytes_of("x"), .type = 8, .ino = 9 }, e;
    struct wr w = wr_of(wire, sizeof wire);
    mfs_dirent_put(&w, &d);
    assert_int_equal(wr_len(&w), MFS_DIRENT_BYTES + 1);
    d.has_entry = 1;
    fill_entry(&d.entry);
    mfs_dirent_put(&w, &d);
    assert_int_equal(wr_len(&w), 2 * (MFS_DIRENT_BYTES + 1) + MFS_ENTRY_BYTES);
    struct rd r = rd_of(wire, wr_len(&w));
    assert_int_equal(mfs_dirent_get(&r, &e), 0);
    assert_int_equal(e.has_entry, 0);
    assert_int_equal(e.next_cookie, 5);
    assert_int_equal(mfs_dirent_get(&r, &e), 0);
    assert_int_equal(e.has_entry, 1);
    same_entry(&d.entry, &e.entry);
    assert_int_equal(rd_left(&r), 0);
    for (size_t cut = 0; cut < MFS_DIRENT_BYTES + 1; cut++) {
        r = rd_of(wire, cut);
        assert_int_equal(mfs_dirent_get(&r, &e), -EPROTO);
    }

    w = wr_of(wire, sizeof wire);
    mfs_attr_put(&w, &d.entry.attr);
    assert_int_equal(wr_len(&w), MFS_ATTR_BYTES);
    w = wr_of(wire, sizeof wire);
    mfs_export_rec_put(&w, &(struct mfs_export_rec){ MFS_EXPORT_RO, bytes_of("/a") });
    mfs_name_rec_put(&w, &(struct mfs_name_rec){ 1000, bytes_of("ann") });
    mfs_forget_rec_put(&w, &(struct mfs_forget_rec){ 8, 2 });
    r = rd_of(wire, wr_len(&w));
    struct mfs_export_rec x;
    struct mfs_name_rec n;
    struct mfs_forget_rec f;
    assert_int_equal(mfs_export_rec_get(&r, &x), 0);
    assert_int_equal(x.flags, MFS_EXPORT_RO);
    assert_int_equal(mfs_name_rec_get(&r, &n), 0);
    assert_int_equal(n.number, 1000);
    same_bytes(n.name, bytes_of("ann"));
    assert_int_equal(mfs_forget_rec_get(&r, &f), 0);
    assert_int_equal(f.nlookup, 2);
    assert_int_equal(mfs_forget_rec_get(&r, &f), -EPROTO);
}

TEST(test_heads)
{
    uint8_t wire[64];
    const struct mfs_head heads[] = {
        { .kind = MFS_REQUEST, .id = 7, .op = MFS_OP_lookup, .uid = 1, .gid = 2, .pid = 3 },
        { .kind = MFS_REPLY, .id = 1ull << 60, .error = 2 },
        { .kind = MFS_NOTIFY, .notice = MFS_NOTICE_inval_entry },
        { .kind = MFS_CANCEL, .id = 9 },
        { .kind = MFS_FORGET },
        { .kind = MFS_PACKED, .id = 11, .plain_bytes = 12345 },
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct mfs_head h;
        struct wr w = wr_of(wire, sizeof wire);
        mfs_message_begin(&w, &heads[i]);
        assert_true(wr_len(&w) <= MFS_HEAD_BYTES);
        mfs_message_end(&w, 5);
        struct rd r = rd_of(wire, wr_len(&w));
        uint32_t length;
        assert_int_equal(get_u32(&r, &length), 0);
        assert_int_equal(length, rd_left(&r) + 5);
        assert_int_equal(mfs_head_get(&r, &h), 0);
        assert_int_equal(h.kind, heads[i].kind);
        assert_int_equal(h.id, heads[i].id);
        assert_int_equal(h.op, heads[i].op);
        assert_int_equal(h.uid, heads[i].uid);
        assert_int_equal(h.gid, heads[i].gid);
        assert_int_equal(h.pid, heads[i].pid);
        assert_int_equal(h.error, heads[i].error);
        assert_int_equal(h.notice, heads[i].notice);
        assert_int_equal(h.plain_bytes, heads[i].plain_bytes);
        assert_int_equal(rd_left(&r), 0);
        for (size_t cut = 4; cut < wr_len(&w); cut++) {
            r = rd_of(wire + 4, cut - 4);
            assert_int_equal(mfs_head_get(&r, &h), -EPROTO);
        }
    }
    struct mfs_head h;
    memset(wire, 0, sizeof wire);
    for (unsigned kind = 0; kind < 256; kind++) {
        wire[0] = (uint8_t)kind;
        struct rd r = rd_of(wire, 9 + 14);
        int rc = mfs_head_get(&r, &h);
        assert_true(rc == 0 || rc == -EPROTO);
        assert_int_equal(rc == 0, (kind >= 1 && kind <= 3) || kind == 5 || kind == 6);
    }
}

TEST(test_body_sent_apart)
{
    uint8_t wire[128];
    struct wr w = wr_of(wire, sizeof wire);
    mfs_message_begin(&w, &(struct mfs_head){ .kind = MFS_REQUEST, .op = MFS_OP_write });
    mfs_write_req_put(&w, &(struct mfs_write_req){ .fh = 3, .body = { NULL, 40 } });
    size_t front = wr_len(&w);
    mfs_message_end(&w, 40);
    memset(wire + front, 'x', 40);
    struct rd r = rd_of(wire, front + 40);
    uint32_t length;
    struct mfs_head h;
    struct mfs_write_req q;
    assert_int_equal(get_u32(&r, &length), 0);
    assert_int_equal(length, rd_left(&r));
    assert_int_equal(mfs_head_get(&r, &h), 0);
    assert_int_equal(mfs_write_req_get(&r, &q), 0);
    assert_int_equal(q.body.len, 40);
    assert_int_equal(q.body.ptr[39], 'x');
}

TEST(test_flags)
{
    const int open_flags[] = { O_RDONLY, O_WRONLY, O_RDWR,   O_APPEND,  O_TRUNC,   O_EXCL,
                               O_SYNC,   O_DSYNC,  O_DIRECT, O_NOATIME, O_NONBLOCK };
    for (size_t i = 0; i < ARRAY_LEN(open_flags); i++) {
        int back;
        assert_int_equal(mfs_oflags_to_host(mfs_oflags_from_host(open_flags[i]), &back), 0);
        assert_int_equal(back, open_flags[i]);
    }
    int all = O_RDWR | O_APPEND | O_SYNC | O_EXCL, back;
    assert_int_equal(mfs_oflags_to_host(mfs_oflags_from_host(all), &back), 0);
    assert_int_equal(back, all);
    assert_int_equal(mfs_oflags_from_host(O_DSYNC), MFS_O_DSYNC);
    assert_int_equal(mfs_oflags_from_host(O_CREAT | O_CLOEXEC), 0);
    assert_int_equal(mfs_oflags_to_host(1u << 31, &back), -EINVAL);
    assert_int_equal(mfs_oflags_to_host(3, &back), -EINVAL);

    unsigned u;
    assert_int_equal(mfs_rename_to_host(mfs_rename_from_host(RENAME_EXCHANGE), &u), 0);
    assert_int_equal(u, RENAME_EXCHANGE);
    assert_int_equal(mfs_rename_from_host(RENAME_NOREPLACE), MFS_RENAME_NOREPLACE);
    assert_int_equal(mfs_rename_to_host(8, &u), -EINVAL);
    assert_int_equal(mfs_xattr_to_host(mfs_xattr_from_host(XATTR_REPLACE), &back), 0);
    assert_int_equal(back, XATTR_REPLACE);
    assert_int_equal(mfs_xattr_to_host(4, &back), -EINVAL);

    uint32_t fmode = 0;
    assert_int_equal(mfs_falloc_from_host(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, &fmode),
                     0);
    assert_int_equal(fmode, MFS_FALLOC_PUNCH_HOLE | MFS_FALLOC_KEEP_SIZE);
    assert_int_equal(mfs_falloc_to_host(fmode, &back), 0);
    assert_int_equal(back, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
    assert_int_equal(mfs_falloc_from_host(1 << 20, &fmode), -EOPNOTSUPP);
    assert_int_equal(mfs_falloc_to_host(1 << 20, &back), -EINVAL);

    const int locks[] = { F_RDLCK, F_WRLCK, F_UNLCK };
    for (size_t i = 0; i < ARRAY_LEN(locks); i++) {
        uint8_t type;
        assert_int_equal(mfs_lock_from_host(locks[i], &type), 0);
        assert_int_equal(mfs_lock_to_host(type, &back), 0);
        assert_int_equal(back, locks[i]);
    }
    assert_int_equal(mfs_lock_to_host(3, &back), -EINVAL);
}

static void print_put(struct wr *w, char *text, size_t size, unsigned op)
{
    mfs_message_end(w, 0);
    mfs_print((struct bytes){ w->start + 4, (uint32_t)wr_len(w) - 4 }, op, text, size);
}

TEST(test_printing)
{
    uint8_t wire[512];
    char text[512];
    struct wr w = wr_of(wire, sizeof wire);
    struct mfs_head h = { .kind = MFS_REQUEST, .id = 7, .op = MFS_OP_lookup, .pid = 9 };
    mfs_message_begin(&w, &h);
    mfs_lookup_req_put(&w, &(struct mfs_lookup_req){ 1, bytes_of("a\n\"b") });
    print_put(&w, text, sizeof text, 0);
    assert_string_equal(text, "#7 lookup uid=0 gid=0 pid=9 node=1 name=\"a\\x0a\\x22b\"");

    w = wr_of(wire, sizeof wire);
    mfs_message_begin(&w, &(struct mfs_head){ .kind = MFS_REPLY, .id = 8 });
    mfs_write_rep_put(&w, &(struct mfs_write_rep){ 12 });
    print_put(&w, text, sizeof text, MFS_OP_write);
    assert_string_equal(text, "#8 write reply written=12");
    print_put(&w, text, 8, MFS_OP_write);
    assert_string_equal(text, "#8 writ");

    w = wr_of(wire, sizeof wire);
    mfs_message_begin(&w, &(struct mfs_head){ .kind = MFS_REPLY, .id = 8, .error = 2 });
    print_put(&w, text, sizeof text, MFS_OP_write);
    assert_string_equal(text, "#8 write reply error=2");
    w = wr_of(wire, sizeof wire);
    mfs_message_begin(&w, &(struct mfs_head){ .kind = MFS_REQUEST, .id = 8, .op = 999 });
    print_put(&w, text, sizeof text, 0);
    assert_string_equal(text, "#8 op999 uid=0 gid=0 pid=0 0 bytes");
    w = wr_of(wire, sizeof wire);
    mfs_message_begin(&w, &(struct mfs_head){ .kind = MFS_FORGET });
    mfs_forget_rec_put(&w, &(struct mfs_forget_rec){ 8, 2 });
    print_put(&w, text, sizeof text, 0);
    assert_string_equal(text, "#0 forget node=8-2");
    assert_string_equal(mfs_op_name(MFS_OP_syncfs), "syncfs");
    assert_null(mfs_op_name(0));
    assert_null(mfs_op_name(MFS_OP_END));
}

UNIT_MAIN(cmocka_unit_test(test_round_trips), cmocka_unit_test(test_records),
          cmocka_unit_test(test_heads), cmocka_unit_test(test_body_sent_apart),
          cmocka_unit_test(test_flags), cmocka_unit_test(test_printing))
