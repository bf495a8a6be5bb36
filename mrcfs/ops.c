/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops.c: coding and printing of the file protocol's messages, all expanded from ops.def.
 * Must not know: sockets, threads, who is client and who is server. No I/O in here. */
#include "mrcfs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

/* ---- records ---- */

/* clang-format off */
#define ATTR_FIELDS \
    F(u64, ino) F(u32, mode) F(u32, nlink) F(u32, uid) F(u32, gid) F(u32, rdev_major) F(u32, rdev_minor) \
    F(u64, size) F(u64, blocks) F(u32, blksize) F(i64, atime_sec) F(u32, atime_nsec) F(i64, mtime_sec) \
    F(u32, mtime_nsec) F(i64, ctime_sec) F(u32, ctime_nsec) F(u32, valid_ms) F(u32, flags)
#define ENTRY_FIELDS F(u64, node) F(u64, generation) F(attr, attr) F(u32, valid_ms)
#define RECORDS \
    RECORD(attr, ATTR_FIELDS) \
    RECORD(entry, ENTRY_FIELDS) \
    RECORD(export_rec, F(u8, flags) F(bytes, path)) \
    RECORD(name_rec, F(u32, number) F(bytes, name)) \
    RECORD(forget_rec, F(u64, node) F(u64, nlookup)) \
    RECORD(lock_rec, F(u64, fh) F(u64, owner) F(u64, start) F(u64, end) F(u32, pid) F(u8, type) F(u8, is_flock))
/* clang-format on */

/* The kinds of ours, named as the fields' macros need them. */
static int get_attr(struct rd *r, struct mfs_attr *a)
{
    return mfs_attr_get(r, a);
}

static int get_entry(struct rd *r, struct mfs_entry *e)
{
    return mfs_entry_get(r, e);
}

static void put_bytes_or_length(struct wr *w, struct bytes v)
{
    if (v.ptr)
        put_bytes(w, v);
    else
        put_u32(w, v.len);
}

/* How a field is passed to its put_ function. */
#define PUT_u8(field)    put_u8(w, m->field)
#define PUT_u16(field)   put_u16(w, m->field)
#define PUT_u32(field)   put_u32(w, m->field)
#define PUT_u64(field)   put_u64(w, m->field)
#define PUT_i64(field)   put_i64(w, m->field)
#define PUT_bytes(field) put_bytes_or_length(w, m->field)
#define PUT_attr(field)  mfs_attr_put(w, &m->field)
#define PUT_entry(field) mfs_entry_put(w, &m->field)

#define F(kind, field)                                                                         \
    if ((rc = get_##kind(r, &m->field)) < 0)                                                   \
        return rc;
#define RECORD(name, fields)                                                                   \
    int mfs_##name##_get(struct rd *r, struct mfs_##name *m)                                   \
    {                                                                                          \
        int rc;                                                                                \
        fields return 0;                                                                       \
    }
RECORDS
#undef RECORD

/* Messages: like records, but nothing may be left over. */
#define MESSAGE(name, fields)                                                                  \
    int mfs_##name##_get(struct rd *r, struct mfs_##name *m)                                   \
    {                                                                                          \
        int rc = 0;                                                                            \
        (void)m;                                                                               \
        fields if (rd_left(r)) rc = -EPROTO;                                                   \
        return rc;                                                                             \
    }
#define OP(number, name, req, rep)   MESSAGE(name##_req, req) MESSAGE(name##_rep, rep)
#define NOTICE(number, name, fields) MESSAGE(name##_notice, fields)
#include "mrcfs/ops.def"
#include "mrcfs/notices.def"
#undef MESSAGE
#undef F

#define F(kind, field) PUT_##kind(field);
#define MESSAGE(name, fields)                                                                  \
    void mfs_##name##_put(struct wr *w, const struct mfs_##name *m)                            \
    {                                                                                          \
        (void)w;                                                                               \
        (void)m;                                                                               \
        fields                                                                                 \
    }
#define RECORD(name, fields) MESSAGE(name, fields)
RECORDS
#include "mrcfs/ops.def"
#include "mrcfs/notices.def"
#undef MESSAGE
#undef RECORD
#undef OP
#undef NOTICE
#undef F

int mfs_dirent_get(struct rd *r, struct mfs_dirent *d)
{
    int rc;
    if ((rc = get_u64(r, &d->next_cookie)) < 0 || (rc = get_bytes(r, &d->name)) < 0 ||
        (rc = get_u8(r, &d->type)) < 0 || (rc = get_u64(r, &d->ino)) < 0 ||
        (rc = get_u8(r, &d->has_entry)) < 0)
        return rc;
    return d->has_entry ? mfs_entry_get(r, &d->entry) : 0;
}

void mfs_dirent_put(struct wr *w, const struct mfs_dirent *d)
{
    put_u64(w, d->next_cookie);
    put_bytes(w, d->name);
    put_u8(w, d->type);
    put_u64(w, d->ino);
    put_u8(w, d->has_entry);
    if (d->has_entry)
        mfs_entry_put(w, &d->entry);
}

/* ---- heads ---- */

bool mfs_op_changes(unsigned op)
{
    static const bool only_look[] = {
        [MFS_OP_lookup] = true,     [MFS_OP_getattr] = true,   [MFS_OP_readlink] = true,
        [MFS_OP_read] = true,       [MFS_OP_flush] = true,     [MFS_OP_release] = true,
        [MFS_OP_fsync] = true,      [MFS_OP_opendir] = true,   [MFS_OP_readdir] = true,
        [MFS_OP_releasedir] = true, [MFS_OP_fsyncdir] = true,  [MFS_OP_statfs] = true,
        [MFS_OP_getxattr] = true,   [MFS_OP_listxattr] = true, [MFS_OP_access] = true,
        [MFS_OP_getlk] = true,      [MFS_OP_setlk] = true,     [MFS_OP_flock] = true,
        [MFS_OP_lseek] = true,      [MFS_OP_getflags] = true,  [MFS_OP_syncfs] = true,
        [MFS_OP_recalled] = true,   [MFS_OP_renew] = true,     [MFS_OP_list] = true,
        [MFS_OP_hello] = true,      [MFS_OP_claim] = true,     [MFS_OP_open] = true,
        [MFS_OP_fetch] = true,      [MFS_OP_surrender] = true, [MFS_OP_supply] = true,
        [MFS_OP_walk] = true,
    };
    return op >= ARRAY_LEN(only_look) || !only_look[op];
}

static bool is_clients_or_none(uint64_t number)
{
    return !number || number & MFS_NUMBER_CLIENT;
}

/* The first byte of what an ordered request has in front. */
enum { ORDERED_ASSUMED = 1, ORDERED_BEGINS = 2 };

static int ordered_head_get(struct rd *r, struct mfs_head *h)
{
    int rc;
    uint8_t flags;
    if ((rc = get_u8(r, &flags)) < 0 || (rc = get_u32(r, &h->expiries)) < 0 ||
        (rc = get_u64(r, &h->makes_node)) < 0 || (rc = get_u64(r, &h->makes_fh)) < 0)
        return rc;
    h->is_assumed = flags & ORDERED_ASSUMED;
    h->begins_order = flags & ORDERED_BEGINS;
    bool is_right = !(flags & ~(ORDERED_ASSUMED | ORDERED_BEGINS)) &&
                    is_clients_or_none(h->makes_node) &&
                    is_clients_or_none(h->makes_fh);
    return is_right ? 0 : -EPROTO;
}

int mfs_head_get(struct rd *r, struct mfs_head *h)
{
    int rc;
    *h = (struct mfs_head){ 0 };
    if ((rc = get_u8(r, &h->kind)) < 0 || (rc = get_u64(r, &h->id)) < 0)
        return rc;
    switch ((enum mfs_kind)h->kind) {
    case MFS_REQUEST:
    case MFS_ORDERED:
        if ((rc = get_u16(r, &h->op)) < 0 || (rc = get_u32(r, &h->uid)) < 0 ||
            (rc = get_u32(r, &h->gid)) < 0 || (rc = get_u32(r, &h->pid)) < 0)
            return rc;
        return h->kind == MFS_ORDERED ? ordered_head_get(r, h) : 0;
    case MFS_REPLY: return get_u32(r, &h->error);
    case MFS_NOTIFY: return get_u16(r, &h->notice);
    case MFS_CANCEL: return rd_left(r) ? -EPROTO : 0;
    case MFS_FORGET: return 0;
    case MFS_PACKED: return get_u32(r, &h->plain_bytes);
    }
    return -EPROTO;
}

void mfs_message_begin(struct wr *w, const struct mfs_head *h)
{
    put_u32(w, 0);
    put_u8(w, h->kind);
    put_u64(w, h->id);
    if (h->kind == MFS_REQUEST || h->kind == MFS_ORDERED) {
        put_u16(w, h->op);
        put_u32(w, h->uid);
        put_u32(w, h->gid);
        put_u32(w, h->pid);
        if (h->kind == MFS_ORDERED) {
            put_u8(w, (uint8_t)((h->is_assumed ? ORDERED_ASSUMED : 0) |
                                (h->begins_order ? ORDERED_BEGINS : 0)));
            put_u32(w, h->expiries);
            put_u64(w, h->makes_node);
            put_u64(w, h->makes_fh);
        }
    } else if (h->kind == MFS_REPLY) {
        put_u32(w, h->error);
    } else if (h->kind == MFS_NOTIFY) {
        put_u16(w, h->notice);
    } else if (h->kind == MFS_PACKED) {
        put_u32(w, h->plain_bytes);
    }
}

void mfs_message_end(struct wr *w, size_t extra_bytes)
{
    if (w->is_full)
        return;
    struct wr front = wr_of(w->start, 4);
    put_u32(&front, (uint32_t)(wr_len(w) - 4 + extra_bytes));
}

/* ---- flags ---- */

struct flag_pair {
    uint32_t ours;
    unsigned host;
};

/* O_SYNC contains O_DSYNC's bit on Linux, so it comes first and takes both. */
static const struct flag_pair oflag_pairs[] = {
    { MFS_O_APPEND, O_APPEND },   { MFS_O_TRUNC, O_TRUNC },       { MFS_O_EXCL, O_EXCL },
    { MFS_O_SYNC, O_SYNC },       { MFS_O_DSYNC, O_DSYNC },       { MFS_O_DIRECT, O_DIRECT },
    { MFS_O_NOATIME, O_NOATIME }, { MFS_O_NONBLOCK, O_NONBLOCK },
};
static const struct flag_pair rename_pairs[] = {
    { MFS_RENAME_NOREPLACE, RENAME_NOREPLACE },
    { MFS_RENAME_EXCHANGE, RENAME_EXCHANGE },
    { MFS_RENAME_WHITEOUT, RENAME_WHITEOUT },
};
static const struct flag_pair xattr_pairs[] = {
    { MFS_XATTR_CREATE, XATTR_CREATE },
    { MFS_XATTR_REPLACE, XATTR_REPLACE },
};
static const struct flag_pair falloc_pairs[] = {
    { MFS_FALLOC_KEEP_SIZE, FALLOC_FL_KEEP_SIZE },
    { MFS_FALLOC_PUNCH_HOLE, FALLOC_FL_PUNCH_HOLE },
    { MFS_FALLOC_COLLAPSE_RANGE, FALLOC_FL_COLLAPSE_RANGE },
    { MFS_FALLOC_ZERO_RANGE, FALLOC_FL_ZERO_RANGE },
    { MFS_FALLOC_INSERT_RANGE, FALLOC_FL_INSERT_RANGE },
    { MFS_FALLOC_UNSHARE_RANGE, FALLOC_FL_UNSHARE_RANGE },
};

/* Takes the bits that are in the table out of *host and returns ours. */
static uint32_t from_host(const struct flag_pair *table, size_t count, unsigned *host)
{
    uint32_t ours = 0;
    unsigned left = *host;
    for (size_t i = 0; i < count; i++) {
        if ((left & table[i].host) == table[i].host) {
            ours |= table[i].ours;
            left &= ~table[i].host;
        }
    }
    *host = left;
    return ours;
}

static int to_host(const struct flag_pair *table, size_t count, uint32_t ours, unsigned *host)
{
    unsigned out = 0;
    for (size_t i = 0; i < count; i++) {
        if (ours & table[i].ours) {
            out |= table[i].host;
            ours &= ~table[i].ours;
        }
    }
    if (ours)
        return -EINVAL;
    *host = out;
    return 0;
}

uint32_t mfs_oflags_from_host(int host)
{
    unsigned rest = (unsigned)host & ~(unsigned)O_ACCMODE;
    uint32_t access = (host & O_ACCMODE) == O_WRONLY ? MFS_O_WRONLY
                      : (host & O_ACCMODE) == O_RDWR ? MFS_O_RDWR
                                                     : MFS_O_RDONLY;
    return access | from_host(oflag_pairs, ARRAY_LEN(oflag_pairs), &rest);
}

int mfs_oflags_to_host(uint32_t oflags, int *host)
{
    static const int access[] = { O_RDONLY, O_WRONLY, O_RDWR };
    unsigned rest;
    if ((oflags & MFS_O_ACCMODE) > MFS_O_RDWR)
        return -EINVAL;
    int rc = to_host(oflag_pairs, ARRAY_LEN(oflag_pairs),
                     oflags & ~(uint32_t)(MFS_O_ACCMODE | MFS_O_HEAD), &rest);
    if (rc == 0)
        *host = access[oflags & MFS_O_ACCMODE] | (int)rest;
    return rc;
}

uint32_t mfs_rename_from_host(unsigned host)
{
    return from_host(rename_pairs, ARRAY_LEN(rename_pairs), &host);
}

int mfs_rename_to_host(uint32_t rflags, unsigned *host)
{
    return to_host(rename_pairs, ARRAY_LEN(rename_pairs), rflags, host);
}

uint32_t mfs_xattr_from_host(int host)
{
    unsigned rest = (unsigned)host;
    return from_host(xattr_pairs, ARRAY_LEN(xattr_pairs), &rest);
}

int mfs_xattr_to_host(uint32_t xflags, int *host)
{
    unsigned out;
    int rc = to_host(xattr_pairs, ARRAY_LEN(xattr_pairs), xflags, &out);
    if (rc == 0)
        *host = (int)out;
    return rc;
}

int mfs_falloc_from_host(int host, uint32_t *fmode)
{
    unsigned rest = (unsigned)host;
    uint32_t ours = from_host(falloc_pairs, ARRAY_LEN(falloc_pairs), &rest);
    if (rest)
        return -EOPNOTSUPP;
    *fmode = ours;
    return 0;
}

int mfs_falloc_to_host(uint32_t fmode, int *host)
{
    unsigned out;
    int rc = to_host(falloc_pairs, ARRAY_LEN(falloc_pairs), fmode, &out);
    if (rc == 0)
        *host = (int)out;
    return rc;
}

int mfs_lock_from_host(int host, uint8_t *type)
{
    switch (host) {
    case F_RDLCK: *type = MFS_LOCK_RD; return 0;
    case F_WRLCK: *type = MFS_LOCK_WR; return 0;
    case F_UNLCK: *type = MFS_LOCK_UN; return 0;
    default: return -EINVAL;
    }
}

int mfs_lock_to_host(uint8_t type, int *host)
{
    switch (type) {
    case MFS_LOCK_RD: *host = F_RDLCK; return 0;
    case MFS_LOCK_WR: *host = F_WRLCK; return 0;
    case MFS_LOCK_UN: *host = F_UNLCK; return 0;
    default: return -EINVAL;
    }
}

/* ---- names and printing ---- */

const char *mfs_op_name(unsigned op)
{
    static const char *const names[] = {
#define OP(number, name, req, rep) [number] = #name,
#include "mrcfs/ops.def"
#undef OP
    };
    return op < ARRAY_LEN(names) ? names[op] : NULL;
}

static const char *notice_name(unsigned notice)
{
    static const char *const names[] = {
#define NOTICE(number, name, fields) [number] = #name,
#include "mrcfs/notices.def"
#undef NOTICE
    };
    return notice < ARRAY_LEN(names) ? names[notice] : NULL;
}

/* Bounded text under construction. */
struct text {
    char *at;
    size_t left; /* with room for the NUL */
};

static void say(struct text *t, const char *fmt, ...) PRINTF(2, 3);
static void say(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->at, t->left, fmt, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : (size_t)n >= t->left ? t->left - 1 : (size_t)n;
    t->at += used;
    t->left -= used;
}

static void say_bytes(struct text *t, struct bytes v)
{
    enum { SHOWN = 64 };
    if (!v.ptr) {
        say(t, "<%" PRIu32 " bytes>", v.len);
        return;
    }
    say(t, "\"");
    for (uint32_t i = 0; i < v.len && i < SHOWN; i++) {
        uint8_t c = v.ptr[i];
        say(t, c < 32 || c > 126 || c == '"' || c == '\\' ? "\\x%02x" : "%c", c);
    }
    say(t, "\"");
    if (v.len > SHOWN)
        say(t, "… %" PRIu32 " bytes", v.len);
}

static void say_attr(struct text *t, const struct mfs_attr *a)
{
    say(t,
        "{ino=%" PRIu64 " mode=0%o nlink=%u uid=%u gid=%u size=%" PRIu64 " mtime=%" PRId64
        ".%09u}",
        a->ino, a->mode, a->nlink, a->uid, a->gid, a->size, a->mtime_sec, a->mtime_nsec);
}

#define SAY_u8(f)    say(t, " " #f "=%u", m.f)
#define SAY_u16(f)   say(t, " " #f "=%u", m.f)
#define SAY_u32(f)   say(t, " " #f "=%" PRIu32, m.f)
#define SAY_u64(f)   say(t, " " #f "=%" PRIu64, m.f)
#define SAY_bytes(f) (say(t, " " #f "="), say_bytes(t, m.f))
#define SAY_attr(f)  (say(t, " " #f "="), say_attr(t, &m.f))
#define SAY_entry(f) (say(t, " " #f "=node %" PRIu64 " ", m.f.node), say_attr(t, &m.f.attr))

#define F(kind, field) SAY_##kind(field);
#define MESSAGE(name, fields)                                                                  \
    static int print_##name(struct rd *r, struct text *t)                                      \
    {                                                                                          \
        struct mfs_##name m;                                                                   \
        int rc = mfs_##name##_get(r, &m);                                                      \
        if (rc < 0)                                                                            \
            return rc;                                                                         \
        (void)t;                                                                               \
        fields return 0;                                                                       \
    }
#define OP(number, name, req, rep)   MESSAGE(name##_req, req) MESSAGE(name##_rep, rep)
#define NOTICE(number, name, fields) MESSAGE(name##_notice, fields)
#include "mrcfs/ops.def"
#include "mrcfs/notices.def"
#undef OP
#undef NOTICE
#undef MESSAGE
#undef F

typedef int print_fn(struct rd *r, struct text *t);

static print_fn *request_printer(unsigned op)
{
    static print_fn *const printers[] = {
#define OP(number, name, req, rep) [number] = print_##name##_req,
#include "mrcfs/ops.def"
#undef OP
    };
    return op < ARRAY_LEN(printers) ? printers[op] : NULL;
}

static print_fn *reply_printer(unsigned op)
{
    static print_fn *const printers[] = {
#define OP(number, name, req, rep) [number] = print_##name##_rep,
#include "mrcfs/ops.def"
#undef OP
    };
    return op < ARRAY_LEN(printers) ? printers[op] : NULL;
}

static print_fn *notice_printer(unsigned notice)
{
    static print_fn *const printers[] = {
#define NOTICE(number, name, fields) [number] = print_##name##_notice,
#include "mrcfs/notices.def"
#undef NOTICE
    };
    return notice < ARRAY_LEN(printers) ? printers[notice] : NULL;
}

static void print_body(print_fn *fn, struct rd *r, struct text *t)
{
    if (!fn)
        say(t, " %zu bytes", rd_left(r));
    else if (fn(r, t) < 0)
        say(t, " malformed");
}

static void print_forgets(struct rd *r, struct text *t)
{
    struct mfs_forget_rec f;
    while (rd_left(r)) {
        if (mfs_forget_rec_get(r, &f) < 0) {
            say(t, " malformed");
            return;
        }
        say(t, " node=%" PRIu64 "-%" PRIu64, f.node, f.nlookup);
    }
}

void mfs_print(struct bytes message, unsigned op, char *text, size_t size_bytes)
{
    if (!size_bytes)
        return;
    struct text t = { text, size_bytes };
    struct rd r = rd_of(message.ptr, message.len);
    struct mfs_head h;
    *text = 0;
    if (mfs_head_get(&r, &h) < 0) {
        say(&t, "malformed message of %" PRIu32 " bytes", message.len);
        return;
    }
    say(&t, "#%" PRIu64, h.id);
    const char *name = mfs_op_name(op);
    switch ((enum mfs_kind)h.kind) {
    case MFS_REQUEST:
    case MFS_ORDERED:
        name = mfs_op_name(h.op);
        if (name)
            say(&t, " %s", name);
        else
            say(&t, " op%u", h.op);
        say(&t, " uid=%u gid=%u pid=%u", h.uid, h.gid, h.pid);
        if (h.kind == MFS_ORDERED)
            say(&t, " ordered%s%s expiries=%u node=%" PRIx64 " fh=%" PRIx64,
                h.is_assumed ? " assumed" : "", h.begins_order ? " anew" : "", h.expiries, h.makes_node, h.makes_fh);
        print_body(request_printer(h.op), &r, &t);
        break;
    case MFS_REPLY:
        say(&t, " %s reply", name ? name : "unknown");
        if (h.error)
            say(&t, " error=%u", h.error);
        else
            print_body(reply_printer(op), &r, &t);
        break;
    case MFS_NOTIFY:
        name = notice_name(h.notice);
        say(&t, " notice %s", name ? name : "unknown");
        print_body(notice_printer(h.notice), &r, &t);
        break;
    case MFS_CANCEL: say(&t, " cancel"); break;
    case MFS_FORGET:
        say(&t, " forget");
        print_forgets(&r, &t);
        break;
    case MFS_PACKED:
        say(&t, " packed %" PRIu32 " bytes in %zu", h.plain_bytes, rd_left(&r));
        break;
    }
}
