/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops.h: the messages of the file protocol: numbers, structs, coding, printing.
 * Must not know: sockets, threads, who is client and who is server. No I/O in here.
 * Source: mrcfs/ops.def and mrcfs/notices.def, which say what each operation means. */
#ifndef MRCFS_OPS_H
#define MRCFS_OPS_H

#include "common/base/attr.h"
#include "common/base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MFS_VERSION = 1 };

/* What a message is. */
enum mfs_kind {
    MFS_REQUEST = 1,
    MFS_REPLY = 2,
    MFS_NOTIFY = 3,
    MFS_CANCEL = 4,
    MFS_FORGET = 5,
    MFS_PACKED = 6,
    MFS_ORDERED = 7, /* a request, done after those of this kind that were sent before */
};

/* Sizes, in bytes. Longer names and texts are answered with ENAMETOOLONG, E2BIG or ERANGE as
 * the kernel would; a longer message ends the connection. */
enum {
    MFS_DATA_MAX = 1 << 20,                 /* file data in one read or write */
    MFS_MESSAGE_MAX = MFS_DATA_MAX + 16384, /* what the length in front may say */
    MFS_MESSAGE_MIN = 9,                    /* kind and id */
    MFS_BULK_FROM = 8192,  /* messages longer than this go on the bulk stream */
    MFS_NAME_MAX = 1024,   /* one name in a directory (FUSE's own limit) */
    MFS_TARGET_MAX = 4095, /* symbolic link's target */
    MFS_XATTR_NAME_MAX = 255,
    MFS_XATTR_SIZE_MAX = 65536, /* value, and list of names */
    MFS_ATTR_BYTES = 96,        /* coded struct mfs_attr */
    MFS_ENTRY_BYTES = 16 + MFS_ATTR_BYTES + 4,
    MFS_WALK_MAX = 16,   /* names of one walk */
    MFS_DIRENT_BYTES = 8 + 4 + 1 + 8 + 1, /* coded struct mfs_dirent without name and entry */
    /* Length and head of an ordered request, the longest head. */
    MFS_HEAD_BYTES = 4 + 9 + 2 + 4 + 4 + 4 + 1 + 4 + 8 + 8
};

/* Nodes and file handles that the client numbers itself have this bit, the server's own don't.
 */
#define MFS_NUMBER_CLIENT (UINT64_C(1) << 63)

/* hello's features. */
enum {
    /* From the client: only the caller's identity of hello exists there; every other owner is
     * shown as MFS_NOBODY and every caller is that one. */
    MFS_FEATURE_SINGLE_USER = 1 << 0,
    /* From the server: it acts as each request's caller. The client mounts with
     * default_permissions and POSIX ACLs, because its kernel knows the callers' groups: the
     * server leaves the reading, writing and searching checks to it. Without the bit every
     * caller acts as the server's own user and the server's kernel does all checks. */
    MFS_FEATURE_PRIVILEGED = 1 << 1,
};

/* hello, from the client, too: every owner travels as the server's number, in both directions;
 * the client maps, or not, by what the reply says of the server's own user. */
enum { MFS_FEATURE_NUMBERS = 1 << 2 };

/* hello, from the client: it believes names and attributes that are promised (valid_ms) until a
 * notice comes, and so may see a change as late as the notice. Without the bit nothing is
 * promised. */
enum { MFS_FEATURE_PROMISES = 1 << 3 };

/* hello, from the client: it takes part in leases (docs/leases.md): answers recalls and renews.
 * From the server, then: it grants them. */
enum { MFS_FEATURE_LEASES = 1 << 4 };

/* hello, from both: it understands packed messages (MFS_PACKED); from the client also how the
 * server is to decide: always, or without this bit where it pays. */
enum { MFS_FEATURE_PACKS = 1 << 5, MFS_FEATURE_PACKS_ALWAYS = 1 << 6 };

/* hello, from both: the client keeps chunks, and the server takes fetch. */
enum { MFS_FEATURE_CHUNKS = 1 << 7 };

enum { MFS_NOBODY = 65534 };

/* Attributes' flags. */
enum {
    /* Not owned by the server's own user, who may write it all the same (group, others or ACL
     * allow it). Set only for clients with MFS_FEATURE_SINGLE_USER, whose kernel refuses to
     * write what belongs to nobody: they show it as their own. */
    MFS_ATTR_WRITABLE = 1 << 0,
    /* mtime or ctime is so near to the server's present (or after it) that another change need
     * not show in them: no base for keeping what is cached. */
    MFS_ATTR_RECENT = 1 << 1,
    /* It has no extended attributes, ACLs among them. Only where the attributes are promised,
       and as long. */
    MFS_ATTR_PLAIN = 1 << 2,
    /* In the replies to open and getattr: no program at the server can open the file for
       writing before a recall was answered. */
    MFS_ATTR_HELD = 1 << 3,
    /* In the reply to open or create: nobody else has it open; writes may be answered before
       they are made. */
    MFS_ATTR_ALONE = 1 << 4,
    /* Granted attributes of a file or directory that no other client knows anything of: what
       its client does to it (in a directory: to names) may be answered before it is done, until
       a recall. */
    MFS_ATTR_SOLE = 1 << 5,
    /* In the reply to mkdir: nothing is in the directory yet, and what comes is told. */
    MFS_ATTR_EMPTY = 1 << 6,
    /* On the file system that its export's root is on. */
    MFS_ATTR_ROOT_FS = 1 << 7,
    /* Of a directory that may be MFS_ATTR_SOLE: between any two of its export that have this, files and directories can be
       moved, and directories within it, as far as the file system is concerned (no EXDEV). */
    MFS_ATTR_MOVES = 1 << 8,
};

/* Flags of an export in hello's reply. */
enum { MFS_EXPORT_RO = 1 << 0 };

/* open, create, write. The lowest two bits are the access mode. */
enum {
    MFS_O_RDONLY = 0,
    MFS_O_WRONLY = 1,
    MFS_O_RDWR = 2,
    MFS_O_ACCMODE = 3,
    MFS_O_APPEND = 1 << 2,
    MFS_O_TRUNC = 1 << 3,
    MFS_O_EXCL = 1 << 4,
    MFS_O_SYNC = 1 << 5,
    MFS_O_DSYNC = 1 << 6,
    MFS_O_DIRECT = 1 << 7,
    MFS_O_NOATIME = 1 << 8,
    MFS_O_HEAD = 1 << 10, /* not of the caller: a small file may come along with the answer */
    MFS_O_WHOLE =
        1 << 11, /* not of the caller: a write that is cut short is told by what stopped it */
    MFS_O_LOCKED = 1 << 12, /* not of the caller: a write under locks that its client keeps (surrender) */
    MFS_O_NONBLOCK = 1 << 9, /* carried, but means nothing for files and directories */
};

/* setattr's valid. */
enum {
    MFS_SET_MODE = 1 << 0,
    MFS_SET_UID = 1 << 1,
    MFS_SET_GID = 1 << 2,
    MFS_SET_SIZE = 1 << 3,
    MFS_SET_ATIME = 1 << 4,
    MFS_SET_MTIME = 1 << 5,
    MFS_SET_ATIME_NOW = 1 << 6, /* instead of MFS_SET_ATIME: the server's clock */
    MFS_SET_MTIME_NOW = 1 << 7,
    MFS_SET_LOCKED = 1 << 8, /* the size, under locks that the client keeps, of the file open as fh */
    MFS_SET_ALL = (1 << 9) - 1,
};

enum {
    MFS_RENAME_NOREPLACE = 1 << 0,
    MFS_RENAME_EXCHANGE = 1 << 1,
    MFS_RENAME_WHITEOUT = 1 << 2
};
enum { MFS_XATTR_CREATE = 1 << 0, MFS_XATTR_REPLACE = 1 << 1 };
enum { MFS_LOCK_UN = 0, MFS_LOCK_RD = 1, MFS_LOCK_WR = 2 }; /* flock: RD shared, WR exclusive */
enum { MFS_ACCESS_X = 1, MFS_ACCESS_W = 2, MFS_ACCESS_R = 4 }; /* 0: does it exist */
enum { MFS_SEEK_DATA = 3, MFS_SEEK_HOLE = 4 };
enum {
    MFS_FALLOC_KEEP_SIZE = 1 << 0,
    MFS_FALLOC_PUNCH_HOLE = 1 << 1,
    MFS_FALLOC_COLLAPSE_RANGE = 1 << 2,
    MFS_FALLOC_ZERO_RANGE = 1 << 3,
    MFS_FALLOC_INSERT_RANGE = 1 << 4,
    MFS_FALLOC_UNSHARE_RANGE = 1 << 5,
};

/* Between our flags and this host's. from_host drops what has no number of ours; to_host
 * returns a host value, or -EINVAL for a bit that is not ours. */
uint32_t mfs_oflags_from_host(int host);
MUST int mfs_oflags_to_host(uint32_t oflags, int *host);
uint32_t mfs_rename_from_host(unsigned host);
MUST int mfs_rename_to_host(uint32_t rflags, unsigned *host);
uint32_t mfs_xattr_from_host(int host);
MUST int mfs_xattr_to_host(uint32_t xflags, int *host);
/* Unlike the others mfs_falloc_from_host fails (-EOPNOTSUPP) on a mode without number: dropping
 * one would do something else. */
MUST int mfs_falloc_from_host(int host, uint32_t *fmode);
MUST int mfs_falloc_to_host(uint32_t fmode, int *host);
MUST int mfs_lock_from_host(int host, uint8_t *type); /* F_RDLCK, F_WRLCK, F_UNLCK */
MUST int mfs_lock_to_host(uint8_t type, int *host);

/* Attributes as stat(2) means them. mode and the DT_* types are Linux's numbers, which are the
 * same on every architecture. uid and gid are in the client's numbering (mrcfs/ids.h). */
struct mfs_attr {
    uint64_t ino;
    uint32_t mode;
    uint32_t nlink;
    uint32_t uid;
    uint32_t gid;
    uint32_t rdev_major;
    uint32_t rdev_minor;
    uint64_t size;
    uint64_t blocks; /* of 512 bytes */
    uint32_t blksize;
    int64_t atime_sec;
    uint32_t atime_nsec;
    int64_t mtime_sec;
    uint32_t mtime_nsec;
    int64_t ctime_sec;
    uint32_t ctime_nsec;
    uint32_t valid_ms; /* how long it may be believed without asking; 0 until there are leases
                        */
    uint32_t flags;    /* MFS_ATTR_* */
};

/* A name's meaning: the node was looked up once more. node 0 (with valid_ms) is reserved for
 * names known to be absent. Node numbers are never used again, so generation is 0 for now. */
struct mfs_entry {
    uint64_t node;
    uint64_t generation;
    struct mfs_attr attr;
    uint32_t valid_ms; /* how long the name may be believed; 0 until there are leases */
};

/* One entry of readdir's reply. */
struct mfs_dirent {
    uint64_t next_cookie;
    struct bytes name;
    uint8_t type; /* DT_* */
    uint64_t ino;
    uint8_t has_entry;
    struct mfs_entry entry; /* only if has_entry */
};

/* One record of hello's exports, and of its uid_names and gid_names. */
struct mfs_export_rec {
    uint8_t flags; /* MFS_EXPORT_* */
    struct bytes path;
};
struct mfs_name_rec {
    uint32_t number;
    struct bytes name;
};

struct mfs_forget_rec {
    uint64_t node;
    uint64_t nlookup;
};

/* One record of surrender's locks. */
struct mfs_lock_rec {
    uint64_t fh;
    uint64_t owner; /* as setlk's; of a flock it means nothing to the server */
    uint64_t start; /* of a flock 0 */
    uint64_t end;   /* inclusive, UINT64_MAX = to the end of the file; of a flock that */
    uint32_t pid;
    uint8_t type; /* MFS_LOCK_* */
    uint8_t is_flock;
};
enum { MFS_SURRENDER_MAX = 512 }; /* locks in one */
enum { MFS_LOCK_REC_BYTES = 8 + 8 + 8 + 8 + 4 + 1 + 1 };

/* Each takes one record from the front of r; 0 or -EPROTO. Text fields may still hold NULs. */
MUST int mfs_attr_get(struct rd *r, struct mfs_attr *a);
MUST int mfs_entry_get(struct rd *r, struct mfs_entry *e);
MUST int mfs_dirent_get(struct rd *r, struct mfs_dirent *d);
MUST int mfs_export_rec_get(struct rd *r, struct mfs_export_rec *x);
MUST int mfs_name_rec_get(struct rd *r, struct mfs_name_rec *n);
MUST int mfs_forget_rec_get(struct rd *r, struct mfs_forget_rec *f);
MUST int mfs_lock_rec_get(struct rd *r, struct mfs_lock_rec *l);
void mfs_attr_put(struct wr *w, const struct mfs_attr *a);
void mfs_entry_put(struct wr *w, const struct mfs_entry *e);
void mfs_dirent_put(struct wr *w, const struct mfs_dirent *d);
void mfs_export_rec_put(struct wr *w, const struct mfs_export_rec *x);
void mfs_name_rec_put(struct wr *w, const struct mfs_name_rec *n);
void mfs_forget_rec_put(struct wr *w, const struct mfs_forget_rec *f);
void mfs_lock_rec_put(struct wr *w, const struct mfs_lock_rec *l);

/* The front of a message, after its length. */
struct mfs_head {
    uint8_t kind; /* enum mfs_kind */
    uint64_t id;
    uint16_t op;  /* MFS_REQUEST, MFS_ORDERED: enum mfs_op; may be one that we don't know */
    uint32_t uid; /* likewise: the caller; of hello: the client's own user */
    uint32_t gid;
    uint32_t pid;
    /* MFS_ORDERED */
    bool is_assumed;   /* the client has taken it for done already */
    bool begins_order; /* … and has heard of all that failed before it */
    uint32_t expiries;   /* notices "expired" that the client had seen */
    uint64_t makes_node; /* numbers for what it makes; 0: none */
    uint64_t makes_fh;
    uint32_t error;       /* MFS_REPLY: wire error, 0 = the reply's fields follow */
    uint16_t notice;      /* MFS_NOTIFY: enum mfs_notice */
    uint32_t plain_bytes; /* MFS_PACKED: length of the message that it holds */
};

/* May operation op change a file, a name, or what is known of them? Unknown ones do; open only
 * with MFS_O_TRUNC, and is not counted. */
bool mfs_op_changes(unsigned op);

/* Reads the head; r is left at the body. Returns 0, or -EPROTO (too short, unknown kind). */
MUST int mfs_head_get(struct rd *r, struct mfs_head *h);
/* Writes room for the length, then the head; mfs_message_end fills in the length, counting
 * extra_bytes that the caller sends after what is in w. w must start with the message. */
void mfs_message_begin(struct wr *w, const struct mfs_head *h);
void mfs_message_end(struct wr *w, size_t extra_bytes);

/* clang-format off */
typedef struct mfs_attr wire_attr;
typedef struct mfs_entry wire_entry;

/* struct mfs_<op>_req and struct mfs_<op>_rep; for each
 *   int mfs_<op>_req_get(struct rd *, struct …): 0, or -EPROTO (too short, or bytes left over);
 *   void mfs_<op>_req_put(struct wr *, const struct …): a bytes field with ptr NULL puts only its length;
 *     the caller sends the bytes itself (only right for the last field; see mfs_message_end). */
#define F(kind, field) wire_##kind field;
#define OP(number, name, req, rep) \
    struct mfs_##name##_req { req }; \
    struct mfs_##name##_rep { rep }; \
    MUST int mfs_##name##_req_get(struct rd *r, struct mfs_##name##_req *m); \
    MUST int mfs_##name##_rep_get(struct rd *r, struct mfs_##name##_rep *m); \
    void mfs_##name##_req_put(struct wr *w, const struct mfs_##name##_req *m); \
    void mfs_##name##_rep_put(struct wr *w, const struct mfs_##name##_rep *m);
#include "mrcfs/ops.def"
#undef OP
#define NOTICE(number, name, fields) \
    struct mfs_##name##_notice { fields }; \
    MUST int mfs_##name##_notice_get(struct rd *r, struct mfs_##name##_notice *m); \
    void mfs_##name##_notice_put(struct wr *w, const struct mfs_##name##_notice *m);
#include "mrcfs/notices.def"
#undef NOTICE
#undef F

#define OP(number, name, req, rep) MFS_OP_##name = number,
enum mfs_op {
#include "mrcfs/ops.def"
    MFS_OP_END
};
#undef OP
#define NOTICE(number, name, fields) MFS_NOTICE_##name = number,
enum mfs_notice {
#include "mrcfs/notices.def"
    MFS_NOTICE_END
};
#undef NOTICE
/* clang-format on */

/* The operation's name, or NULL when there is none with this number. */
const char *mfs_op_name(unsigned op);

/* Writes one message (without its length) in words: "#7 lookup uid=0 gid=0 pid=9 node=1
 * name=\"a\"". op: what a reply answers; ignored for other kinds. Bytes are quoted and cut
 * after 64. Text that does not fit is cut; always ends in NUL if size_bytes > 0. */
void mfs_print(struct bytes message, unsigned op, char *text, size_t size_bytes);

#endif
