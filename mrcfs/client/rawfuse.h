/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rawfuse.h: the pieces of the kernel's FUSE protocol that libfuse 3.14 doesn't know:
 * FUSE_TMPFILE and FUSE_SYNCFS, and flags of FUSE_INIT.
 * Must not know: libfuse, the server.
 * Source: linux/fuse.h, protocol 7.38; our own declarations, because older headers lack them.
 */
#ifndef MRCFS_CLIENT_RAWFUSE_H
#define MRCFS_CLIENT_RAWFUSE_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum {
    MFS_RAW_LOOKUP = 1,
    MFS_RAW_FORGET = 2,
    MFS_RAW_READ = 15,
    MFS_RAW_WRITE = 16,
    MFS_RAW_RELEASE = 18,
    MFS_RAW_FSYNC = 20,
    MFS_RAW_FLUSH = 25,
    MFS_RAW_INIT = 26,
    MFS_RAW_GETLK = 31,
    MFS_RAW_SETLK = 32,
    MFS_RAW_SETLKW = 33,
    MFS_RAW_INTERRUPT = 36,
    MFS_RAW_BATCH_FORGET = 42,
    MFS_RAW_FALLOCATE = 43,
    MFS_RAW_LSEEK = 46,
    MFS_RAW_COPY_FILE_RANGE = 47,
    MFS_RAW_SYNCFS = 50,
    MFS_RAW_TMPFILE = 51,
};

/* A lock, in the kernel's numbers; end is inclusive. */
struct mfs_raw_lock {
    uint64_t start;
    uint64_t end;
    uint32_t type;
    uint32_t pid;
};

/* The head of any request, and of the body what is needed here. */
struct mfs_raw_request {
    uint32_t op;
    uint64_t unique;
    uint64_t node;
    uint32_t uid;
    uint32_t gid;
    uint32_t pid;
    uint32_t flags; /* of open */
    uint64_t offset;
    uint32_t size;
    bool is_writepage;
    const char *name; /* in the request; NULL: no LOOKUP */
    uint32_t mode;
    uint32_t umask;
    uint64_t fh; /* of a file, in requests that locks.c or fuse/later.c look at; of COPY_FILE_RANGE the one that is changed; else 0 */
    uint64_t fh_from; /* of COPY_FILE_RANGE the other one; else 0 */
    uint64_t lock_owner; /* of FLUSH, GETLK, SETLK, SETLKW */
    struct mfs_raw_lock lock;
    bool is_flock;
};

/* -EPROTO: too short. */
MUST int mfs_raw_request_get(struct mfs_raw_request *in, const void *ptr, size_t len_bytes);

/* Is op asked on behalf of a process that names or opens something (and not by the kernel on
 * its own account, or with a file that was opened already)? */
bool mfs_raw_is_by_caller(uint32_t op);

/* What an O_TMPFILE became. */
struct mfs_raw_entry {
    uint64_t node;
    uint64_t generation;
    uint32_t entry_ms;
    uint32_t attr_ms;
    struct stat st;
    uint64_t fh;
    bool is_direct;
    bool may_keep;
};
struct mfs_raw_created {
    uint64_t words[18]; /* fuse_entry_out and fuse_open_out */
};
/* Returns the length. */
size_t mfs_raw_created(struct mfs_raw_created *out, const struct mfs_raw_entry *e);

/* Writes an answer; error is a positive errno or 0. Returns 0 or -errno. */
MUST int mfs_raw_reply(int fd, uint64_t unique, int error, const void *body, size_t body_bytes);

/* The answer to GETLK. */
MUST int mfs_raw_reply_lock(int fd, uint64_t unique, const struct mfs_raw_lock *l);

/* Notice to the kernel: what name in the directory means must be asked for again. Unlike
 * libfuse's it does not unhash the name, so that a directory that somebody works in keeps its
 * path (on Linux before 6.2 it does). Returns 0 or -errno. */
MUST int mfs_raw_expire_entry(int fd, uint64_t parent, const char *name);

/* Notice to the kernel: drop name in the directory, and what it means, unless somebody uses that. Waits for the directory's
 * lock. Not for directories: who works in one would lose its path, and mounts in it end. Returns 0 or -errno. */
MUST int mfs_raw_drop_entry(int fd, uint64_t parent, const char *name);

/* Notice to the kernel: ask for the node's attributes again, and drop its pages in the range
 * (offset < 0: none; length 0: to the end). Returns 0 or -errno. */
MUST int mfs_raw_inval_node(int fd, uint64_t node, int64_t offset, int64_t length);

/* Notice to the kernel: forget those of the nodes (count of uint64_t, anywhere in memory) that nobody uses. Takes no directory's
 * lock. Returns 0 or -errno; -EINVAL before Linux 6.18. */
MUST int mfs_raw_prune(int fd, const void *nodes, size_t count);

/* Flags of INIT that are wanted from a kernel that offers them:
 * PARALLEL_DIROPS: names of one directory are looked up at the same time, and who waits for one
 * can be killed; libfuse before 3.17 has the capability, but does not pass it on.
 * HANDLE_KILLPRIV_V2: set-id bits are dropped on write and truncate by the server's kernel;
 * saves a getxattr per write. DIRECT_IO_ALLOW_MMAP: files opened for appending can be mapped
 * shared. */
struct mfs_raw_init {
    bool is_asked; /* INIT was read and is not yet answered */
    uint64_t offered;
    uint32_t minor; /* of the kernel's protocol */
};
/* Does the kernel know mfs_raw_prune? */
bool mfs_raw_may_prune(const struct mfs_raw_init *x);
/* Can files that bypass the page cache be mapped shared? */
bool mfs_raw_may_map_direct(const struct mfs_raw_init *x);
void mfs_raw_init_request(struct mfs_raw_init *x, const void *ptr, size_t len_bytes);
/* Sees every answer, changes the one to INIT. */
void mfs_raw_init_answer(struct mfs_raw_init *x, struct iovec *iov, int count);

#endif
