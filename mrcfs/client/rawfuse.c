/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rawfuse.c: pieces of the kernel's FUSE protocol that libfuse 3.14 doesn't know.
 * Must not know: libfuse, the server. */
#include "mrcfs/client/rawfuse.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    OPEN_DIRECT_IO = 1 << 0,
    OPEN_KEEP_CACHE = 1 << 1,
    INIT_EXT = 1 << 30,
};
#define INIT_PARALLEL_DIROPS      (UINT64_C(1) << 18)
#define INIT_HANDLE_KILLPRIV_V2   (UINT64_C(1) << 28)
#define INIT_DIRECT_IO_ALLOW_MMAP (UINT64_C(1) << 36)

struct in_header {
    uint32_t len;
    uint32_t opcode;
    uint64_t unique;
    uint64_t nodeid;
    uint32_t uid;
    uint32_t gid;
    uint32_t pid;
    uint32_t padding;
};

struct create_in {
    uint32_t flags;
    uint32_t mode;
    uint32_t umask;
    uint32_t open_flags;
};

struct write_in {
    uint64_t fh;
    uint64_t offset;
    uint32_t size;
    uint32_t write_flags;
    uint64_t lock_owner;
    uint32_t flags;
    uint32_t padding;
};

struct flush_in {
    uint64_t fh;
    uint32_t unused;
    uint32_t padding;
    uint64_t lock_owner;
};

struct lk_in {
    uint64_t fh;
    uint64_t owner;
    struct mfs_raw_lock lock;
    uint32_t lk_flags;
    uint32_t padding;
};

struct copy_in {
    uint64_t fh_in;
    uint64_t offset_in;
    uint64_t node_out;
    uint64_t fh_out;
};

struct out_header {
    uint32_t len;
    int32_t error;
    uint64_t unique;
};

struct init_in {
    uint32_t major;
    uint32_t minor;
    uint32_t max_readahead;
    uint32_t flags;
    uint32_t flags2;
};

/* The first fields of it. */
struct init_out {
    uint32_t major;
    uint32_t minor;
    uint32_t max_readahead;
    uint32_t flags;
    uint16_t max_background;
    uint16_t congestion_threshold;
    uint32_t max_write;
    uint32_t time_gran;
    uint16_t max_pages;
    uint16_t map_alignment;
    uint32_t flags2;
};

struct created_out {
    uint64_t nodeid;
    uint64_t generation;
    uint64_t entry_valid;
    uint64_t attr_valid;
    uint32_t entry_valid_nsec;
    uint32_t attr_valid_nsec;
    uint64_t ino;
    uint64_t size;
    uint64_t blocks;
    uint64_t atime;
    uint64_t mtime;
    uint64_t ctime;
    uint32_t atimensec;
    uint32_t mtimensec;
    uint32_t ctimensec;
    uint32_t mode;
    uint32_t nlink;
    uint32_t uid;
    uint32_t gid;
    uint32_t rdev;
    uint32_t blksize;
    uint32_t flags;
    uint64_t fh;
    uint32_t open_flags;
    uint32_t padding;
};
_Static_assert(sizeof(struct created_out) == sizeof(struct mfs_raw_created), "protocol 7.38");

/* Which open file it is about, and which lock. */
static void get_file(struct mfs_raw_request *in, const char *body, size_t len_bytes)
{
    struct flush_in flush;
    struct lk_in lk;
    struct copy_in copy;
    switch (in->op) {
    case MFS_RAW_READ:
    case MFS_RAW_WRITE:
    case MFS_RAW_RELEASE:
    case MFS_RAW_FSYNC:
    case MFS_RAW_FALLOCATE:
    case MFS_RAW_LSEEK:
        if (len_bytes >= sizeof in->fh)
            memcpy(&in->fh, body, sizeof in->fh);
        break;
    case MFS_RAW_FLUSH:
        if (len_bytes >= sizeof flush) {
            memcpy(&flush, body, sizeof flush);
            in->fh = flush.fh;
            in->lock_owner = flush.lock_owner;
        }
        break;
    case MFS_RAW_GETLK:
    case MFS_RAW_SETLK:
    case MFS_RAW_SETLKW:
        if (len_bytes >= sizeof lk) {
            memcpy(&lk, body, sizeof lk);
            in->fh = lk.fh;
            in->lock_owner = lk.owner;
            in->lock = lk.lock;
            in->is_flock = lk.lk_flags & 1;
        }
        break;
    case MFS_RAW_COPY_FILE_RANGE:
        if (len_bytes >= sizeof copy) {
            memcpy(&copy, body, sizeof copy);
            in->fh = copy.fh_out;
            in->fh_from = copy.fh_in;
        }
        break;
    default: break;
    }
}

int mfs_raw_request_get(struct mfs_raw_request *in, const void *ptr, size_t len_bytes)
{
    struct in_header h;
    struct create_in body = { 0 };
    if (len_bytes < sizeof h)
        return -EPROTO;
    memcpy(&h, ptr, sizeof h);
    if (h.opcode == MFS_RAW_TMPFILE) {
        if (len_bytes < sizeof h + sizeof body)
            return -EPROTO;
        memcpy(&body, (const char *)ptr + sizeof h, sizeof body);
    }
    *in = (struct mfs_raw_request){ .op = h.opcode,
                                    .unique = h.unique,
                                    .node = h.nodeid,
                                    .uid = h.uid,
                                    .gid = h.gid,
                                    .pid = h.pid,
                                    .flags = body.flags,
                                    .mode = body.mode,
                                    .umask = body.umask };
    const char *rest = (const char *)ptr + sizeof h;
    size_t rest_bytes = len_bytes - sizeof h;
    struct write_in w;
    if (h.opcode == MFS_RAW_WRITE && rest_bytes >= sizeof w) {
        memcpy(&w, rest, sizeof w);
        in->offset = w.offset;
        in->size = w.size;
        in->flags = w.flags;
        in->is_writepage = w.write_flags & 1;
    }
    get_file(in, rest, rest_bytes);
    if (h.opcode == MFS_RAW_LOOKUP && memchr(rest, 0, rest_bytes))
        in->name = rest;
    return 0;
}

bool mfs_raw_is_by_caller(uint32_t op)
{
    enum { LOOKUP = 1, FORGET = 2, OPEN = 14, STATFS = 17 };
    enum {
        SETXATTR = 21,
        REMOVEXATTR = 24,
        OPENDIR = 27,
        ACCESS = 34,
        CREATE = 35,
        RENAME2 = 45
    };
    return (op >= LOOKUP && op <= OPEN && op != FORGET) || op == STATFS ||
           (op >= SETXATTR && op <= REMOVEXATTR) || op == OPENDIR || op == ACCESS ||
           op == CREATE || op == RENAME2 || op == MFS_RAW_TMPFILE;
}

size_t mfs_raw_created(struct mfs_raw_created *out, const struct mfs_raw_entry *e)
{
    struct created_out o = {
        .nodeid = e->node,
        .generation = e->generation,
        .entry_valid = e->entry_ms / 1000,
        .attr_valid = e->attr_ms / 1000,
        .entry_valid_nsec = e->entry_ms % 1000 * 1000000,
        .attr_valid_nsec = e->attr_ms % 1000 * 1000000,
        .ino = e->st.st_ino,
        .size = (uint64_t)e->st.st_size,
        .blocks = (uint64_t)e->st.st_blocks,
        .atime = (uint64_t)e->st.st_atim.tv_sec,
        .mtime = (uint64_t)e->st.st_mtim.tv_sec,
        .ctime = (uint64_t)e->st.st_ctim.tv_sec,
        .atimensec = (uint32_t)e->st.st_atim.tv_nsec,
        .mtimensec = (uint32_t)e->st.st_mtim.tv_nsec,
        .ctimensec = (uint32_t)e->st.st_ctim.tv_nsec,
        .mode = e->st.st_mode,
        .nlink = (uint32_t)e->st.st_nlink,
        .uid = e->st.st_uid,
        .gid = e->st.st_gid,
        .rdev = (uint32_t)e->st.st_rdev,
        .blksize = (uint32_t)e->st.st_blksize,
        .fh = e->fh,
        .open_flags =
            (e->is_direct ? OPEN_DIRECT_IO : 0U) | (e->may_keep ? OPEN_KEEP_CACHE : 0U),
    };
    memcpy(out, &o, sizeof o);
    return sizeof o;
}

int mfs_raw_reply(int fd, uint64_t unique, int error, const void *body, size_t body_bytes)
{
    struct out_header h = { .len = (uint32_t)(sizeof h + body_bytes),
                            .error = -error,
                            .unique = unique };
    union {
        const void *in;
        void *out;
    } ptr = { body };
    struct iovec iov[2] = { { &h, sizeof h }, { ptr.out, body_bytes } };
    return writev(fd, iov, body_bytes ? 2 : 1) < 0 ? -errno : 0;
}

int mfs_raw_reply_lock(int fd, uint64_t unique, const struct mfs_raw_lock *l)
{
    struct mfs_raw_lock out = *l;
    if (out.end > INT64_MAX)
        out.end = INT64_MAX;
    return mfs_raw_reply(fd, unique, 0, &out, sizeof out);
}

static int inval_entry(int fd, uint64_t parent, const char *name, uint32_t flags)
{
    enum { NOTIFY_INVAL_ENTRY = 3 };
    struct {
        uint32_t len;
        int32_t code;
        uint64_t unique;
        uint64_t parent;
        uint32_t name_len;
        uint32_t flags;
    } head = { .code = NOTIFY_INVAL_ENTRY,
               .parent = parent,
               .name_len = (uint32_t)strlen(name),
               .flags = flags };
    head.len = (uint32_t)sizeof head + head.name_len + 1;
    struct iovec iov[2] = { { &head, sizeof head },
                            { (void *)(uintptr_t)name, (size_t)head.name_len + 1 } };
    return writev(fd, iov, 2) < 0 ? -errno : 0;
}

int mfs_raw_expire_entry(int fd, uint64_t parent, const char *name)
{
    enum { EXPIRE_ONLY = 1 };
    return inval_entry(fd, parent, name, EXPIRE_ONLY);
}

int mfs_raw_drop_entry(int fd, uint64_t parent, const char *name)
{
    return inval_entry(fd, parent, name, 0);
}

int mfs_raw_inval_node(int fd, uint64_t node, int64_t offset, int64_t length)
{
    enum { NOTIFY_INVAL_INODE = 2 };
    struct {
        uint32_t len;
        int32_t code;
        uint64_t unique;
        uint64_t node;
        int64_t offset;
        int64_t length;
    } m = { .len = sizeof m,
            .code = NOTIFY_INVAL_INODE,
            .node = node,
            .offset = offset,
            .length = length };
    return write(fd, &m, sizeof m) < 0 ? -errno : 0;
}

int mfs_raw_prune(int fd, const void *nodes, size_t count)
{
    enum { NOTIFY_PRUNE = 9 };
    struct {
        uint32_t len;
        int32_t code;
        uint64_t unique;
        uint32_t count;
        uint32_t padding;
        uint64_t spare;
    } head = { .code = NOTIFY_PRUNE, .count = (uint32_t)count };
    head.len = (uint32_t)(sizeof head + count * sizeof(uint64_t));
    struct iovec iov[2] = { { &head, sizeof head },
                            { (void *)(uintptr_t)nodes, count * sizeof(uint64_t) } };
    return writev(fd, iov, 2) < 0 ? -errno : 0;
}

bool mfs_raw_may_prune(const struct mfs_raw_init *x)
{
    enum { PRUNE_MINOR = 45 };
    return x->minor >= PRUNE_MINOR;
}

bool mfs_raw_may_map_direct(const struct mfs_raw_init *x)
{
    return x->offered & INIT_DIRECT_IO_ALLOW_MMAP;
}

void mfs_raw_init_request(struct mfs_raw_init *x, const void *ptr, size_t len_bytes)
{
    struct init_in m = { 0 };
    size_t left = len_bytes - sizeof(struct in_header);
    memcpy(&m, (const char *)ptr + sizeof(struct in_header), left < sizeof m ? left : sizeof m);
    x->is_asked = true;
    x->minor = m.minor;
    x->offered = m.flags;
    if (m.flags & INIT_EXT)
        x->offered |= (uint64_t)m.flags2 << 32;
}

void mfs_raw_init_answer(struct mfs_raw_init *x, struct iovec *iov, int count)
{
    struct init_out m;
    if (!x->is_asked)
        return;
    x->is_asked = false;
    if (count < 2 || iov[1].iov_len < sizeof m)
        return; /* an error, or a kernel too old for flags2 */
    uint64_t wanted =
        INIT_PARALLEL_DIROPS | INIT_HANDLE_KILLPRIV_V2 | INIT_DIRECT_IO_ALLOW_MMAP;
    wanted &= x->offered;
    memcpy(&m, iov[1].iov_base, sizeof m);
    m.flags |= (uint32_t)wanted;
    if (x->offered & INIT_EXT) {
        m.flags |= INIT_EXT;
        m.flags2 |= (uint32_t)(wanted >> 32);
    }
    memcpy(iov[1].iov_base, &m, sizeof m);
}
