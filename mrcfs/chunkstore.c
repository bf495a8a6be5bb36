/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chunkstore.c: see chunkstore.h.
 * Must not know: where chunks come from.
 * Layout: chunks/XX/YYYY…: XX and the rest are the name in hexadecimal; chunks/new-* is not
 * finished; chunks/lock is held by who makes room. */
#include "mrcfs/chunkstore.h"

#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
    NAME_CHARS = 2 * MFS_CHUNK_NAME_BYTES,
    TOUCH_S = 60,     /* a chunk's time of use is not written more often */
    SPACE_EVERY = 64, /* chunks added between two looks at the free space */
    RESCAN_PART =
        16, /* others' chunks are counted again when this part of the limit was added */
    KEPT_EIGHTHS = 7, /* making room goes down to so much of the limit */
};
static const char temp_prefix[] = "new-";

struct mfs_store {
    struct mfs_store_opts o;
    int dir_fd;
    uint64_t limit_bytes;
    bool is_counted; /* bytes is what there was, and what was added since */
    uint64_t bytes;
    uint64_t added_bytes; /* since it was counted */
    uint64_t adds;        /* so far, for temporary names and looks at the free space */
    bool has_space;
};

/* The path in dir_fd; dir gets its folder. */
struct chunk_path {
    char dir[3];
    char text[NAME_CHARS + 2];
};

static struct chunk_path path_of(const struct mfs_chunk_name *name)
{
    static const char digits[] = "0123456789abcdef";
    struct chunk_path p;
    char *at = p.text;
    for (size_t i = 0; i < MFS_CHUNK_NAME_BYTES; i++) {
        *at++ = digits[name->bytes[i] >> 4];
        *at++ = digits[name->bytes[i] & 15];
        if (i == 0)
            *at++ = '/';
    }
    *at = 0;
    memcpy(p.dir, p.text, 2);
    p.dir[2] = 0;
    return p;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool name_from(const char *dir, const char *rest, struct mfs_chunk_name *out)
{
    char text[NAME_CHARS + 1];
    if (strlen(dir) != 2 || strlen(rest) != NAME_CHARS - 2)
        return false;
    memcpy(text, dir, 2);
    memcpy(text + 2, rest, NAME_CHARS - 2);
    for (size_t i = 0; i < MFS_CHUNK_NAME_BYTES; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void step(struct mfs_store *s, const char *what)
{
    if (s->o.on_step)
        s->o.on_step(s->o.ctx, what);
}

void mfs_chunk_name_of(struct mfs_chunk_name *out, const void *ptr, size_t len_bytes)
{
    _Static_assert((int)CRYPTO_BLAKE2B_BYTES == (int)MFS_CHUNK_NAME_BYTES, "length of names");
    crypto_blake2b(out->bytes, ptr, len_bytes);
}

/* ---- opening ---- */

static int open_dir(struct mfs_store *s, bool may_make, struct err *e)
{
    AUTO_FD parent = open(s->o.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return err_set(e, errno, "directory %s of the cache", s->o.dir);
    if (may_make && mkdirat(parent, "chunks", 0700) < 0 && errno != EEXIST)
        return err_set(e, errno, "make %s/chunks", s->o.dir);
    AUTO_FD fd = openat(parent, "chunks", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(e, errno, "open %s/chunks", s->o.dir);
    if (st.st_uid != geteuid() || (st.st_mode & 077))
        return err_say(e, EPERM, "%s/chunks can be used by others, so nothing is kept there",
                       s->o.dir);
    s->dir_fd = take_fd(&fd);
    return 0;
}

static uint64_t default_limit(int dir_fd)
{
    struct statvfs v;
    if (fstatvfs(dir_fd, &v) < 0)
        return 0;
    uint64_t part = (uint64_t)v.f_blocks * v.f_frsize / 100 * MFS_STORE_PERCENT_MAX;
    return part < MFS_STORE_BYTES_MAX ? part : MFS_STORE_BYTES_MAX;
}

static int open_store(const struct mfs_store_opts *o, bool may_make, struct mfs_store **out,
                      struct err *e)
{
    struct mfs_store *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ENOMEM, "cache");
    s->o = *o;
    s->dir_fd = -1;
    int rc = open_dir(s, may_make, e);
    if (rc < 0) {
        free(s);
        return rc;
    }
    s->limit_bytes = o->limit_bytes ? o->limit_bytes : default_limit(s->dir_fd);
    *out = s;
    return 0;
}

int mfs_store_open(const struct mfs_store_opts *o, struct mfs_store **out, struct err *e)
{
    return open_store(o, true, out, e);
}

int mfs_store_open_existing(const struct mfs_store_opts *o, struct mfs_store **out,
                            struct err *e)
{
    return open_store(o, false, out, e);
}

void mfs_store_close(struct mfs_store *s)
{
    if (!s)
        return;
    fd_close(&s->dir_fd);
    free(s);
}

/* ---- looking through ---- */

struct found {
    struct mfs_chunk_name name;
    time_t used_s;
    uint32_t bytes;
};

struct all {
    struct found *list; /* NULL: only counted */
    bool wants_list;
    size_t count, size;
    uint64_t bytes;
    void (*fn)(void *ctx, const struct mfs_chunk_name *name);
    void *ctx;
};

static int note(struct all *a, const struct mfs_chunk_name *name, const struct stat *st)
{
    if (a->wants_list && a->count == a->size) {
        size_t size = a->size ? 2 * a->size : 1024;
        struct found *list = realloc(a->list, size * sizeof *list);
        if (!list)
            return -ENOMEM;
        a->list = list;
        a->size = size;
    }
    if (a->wants_list)
        a->list[a->count] = (struct found){ *name, st->st_mtim.tv_sec, (uint32_t)st->st_size };
    a->count++;
    a->bytes += (uint64_t)st->st_size;
    if (a->fn)
        a->fn(a->ctx, name);
    return 0;
}

static DIR *dir_at(int at_fd, const char *name)
{
    AUTO_FD fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d)
        take_fd(&fd);
    return d;
}

static int look_in(struct mfs_store *s, const char *dir, struct all *a)
{
    DIR *d = dir_at(s->dir_fd, dir);
    int rc = 0;
    if (!d)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
    for (struct dirent *de; rc == 0 && (de = readdir(d));) {
        struct mfs_chunk_name name;
        struct stat st;
        if (name_from(dir, de->d_name, &name) &&
            fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && st.st_size <= MFS_CHUNK_BYTES)
            rc = note(a, &name, &st);
    }
    closedir(d);
    return rc;
}

static void drop_old_temp(struct mfs_store *s, const char *name)
{
    struct stat st;
    if (fstatat(s->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        time(NULL) - st.st_mtim.tv_sec > MFS_STORE_TEMP_OLD_S)
        unlinkat(s->dir_fd, name, 0);
}

static int look(struct mfs_store *s, struct all *a)
{
    DIR *d = dir_at(s->dir_fd, ".");
    int rc = 0;
    if (!d)
        return -errno;
    for (struct dirent *de; rc == 0 && (de = readdir(d));) {
        if (!strncmp(de->d_name, temp_prefix, sizeof temp_prefix - 1))
            drop_old_temp(s, de->d_name);
        else if (strlen(de->d_name) == 2 && digit(de->d_name[0]) >= 0)
            rc = look_in(s, de->d_name, a);
    }
    closedir(d);
    if (rc == 0) {
        s->bytes = a->bytes;
        s->added_bytes = 0;
        s->is_counted = true;
    }
    return rc;
}

int mfs_store_scan(struct mfs_store *s,
                   void (*fn)(void *ctx, const struct mfs_chunk_name *name), void *ctx,
                   struct mfs_store_usage *out)
{
    struct all a = { .fn = fn, .ctx = ctx };
    int rc = look(s, &a);
    if (rc == 0 && out)
        *out = (struct mfs_store_usage){ a.count, a.bytes, s->limit_bytes };
    return rc;
}

/* ---- making room ---- */

static int by_use(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return x->used_s < y->used_s ? -1 : x->used_s > y->used_s;
}

/* One process at a time; the others don't wait for it. */
static int make_room(struct mfs_store *s)
{
    AUTO_FD lock = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock < 0)
        return -errno;
    if (flock(lock, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    struct all a = { .wants_list = true };
    int rc = look(s, &a);
    if (rc == 0 && a.count)
        qsort(a.list, a.count, sizeof *a.list, by_use);
    uint64_t kept = s->limit_bytes / 8 * KEPT_EIGHTHS;
    for (size_t i = 0; rc == 0 && i < a.count && s->bytes > kept; i++) {
        step(s, "evict");
        if (unlinkat(s->dir_fd, path_of(&a.list[i].name).text, 0) == 0 || errno == ENOENT)
            s->bytes -= a.list[i].bytes;
    }
    free(a.list);
    return rc;
}

static bool has_space(struct mfs_store *s)
{
    struct statvfs v;
    if (s->adds++ % SPACE_EVERY == 0)
        s->has_space = fstatvfs(s->dir_fd, &v) == 0 &&
                       v.f_bavail >= v.f_blocks / 100 * MFS_STORE_FREE_PERCENT;
    return s->has_space;
}

static int reserve(struct mfs_store *s, size_t len_bytes)
{
    if (!has_space(s) || len_bytes > s->limit_bytes / 8)
        return -ENOSPC;
    if (s->is_counted && s->added_bytes <= s->limit_bytes / RESCAN_PART &&
        s->bytes + len_bytes <= s->limit_bytes)
        return 0;
    struct all a = { 0 };
    int rc = look(s, &a);
    if (rc == 0 && s->bytes + len_bytes > s->limit_bytes)
        rc = make_room(s);
    return rc < 0 ? rc : s->bytes + len_bytes > s->limit_bytes ? -ENOSPC : 0;
}

/* ---- adding and loading ---- */

static int write_temp(struct mfs_store *s, const char *temp, const void *ptr, size_t len_bytes)
{
    step(s, "create");
    AUTO_FD fd =
        openat(s->dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    step(s, "write");
    int rc = fd_write_full(fd, ptr, len_bytes);
    /* Quotas are told at the latest here. What a crash of the computer tears is found when it
     * is read. */
    if (rc >= 0 && close(take_fd(&fd)) < 0)
        rc = -errno;
    return rc < 0 ? rc : 0;
}

static int put_in_place(struct mfs_store *s, const char *temp, const struct chunk_path *p)
{
    step(s, "rename");
    if (renameat(s->dir_fd, temp, s->dir_fd, p->text) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    step(s, "mkdir");
    if (mkdirat(s->dir_fd, p->dir, 0700) < 0 && errno != EEXIST)
        return -errno;
    step(s, "rename again");
    return renameat(s->dir_fd, temp, s->dir_fd, p->text) < 0 ? -errno : 0;
}

int mfs_store_add(struct mfs_store *s, const struct mfs_chunk_name *name, const void *ptr,
                  size_t len_bytes)
{
    struct mfs_chunk_name is;
    struct chunk_path p = path_of(name);
    char temp[64];
    if (!len_bytes || len_bytes > MFS_CHUNK_BYTES)
        return -EINVAL;
    mfs_chunk_name_of(&is, ptr, len_bytes);
    if (memcmp(&is, name, sizeof is))
        return -EINVAL;
    if (faccessat(s->dir_fd, p.text, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    int rc = reserve(s, len_bytes);
    if (rc < 0)
        return rc;
    /* Stores on network file systems have users on several computers. */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(temp, sizeof temp, "%s%ld-%llx-%llu", temp_prefix, (long)getpid(),
             (unsigned long long)now.tv_sec * 1000000000u + (unsigned long long)now.tv_nsec,
             (unsigned long long)s->adds);
    rc = write_temp(s, temp, ptr, len_bytes);
    if (rc == 0)
        rc = put_in_place(s, temp, &p);
    if (rc < 0) {
        unlinkat(s->dir_fd, temp, 0);
        return rc == -EDQUOT || rc == -EFBIG ? -ENOSPC : rc;
    }
    s->bytes += len_bytes;
    s->added_bytes += len_bytes;
    return 0;
}

ssize_t mfs_store_load(struct mfs_store *s, const struct mfs_chunk_name *name, uint8_t *out)
{
    struct chunk_path p = path_of(name);
    struct mfs_chunk_name is;
    struct stat st;
    AUTO_FD fd = openat(s->dir_fd, p.text, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    ssize_t n = -EBADMSG;
    if (S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= MFS_CHUNK_BYTES)
        n = fd_read_full(fd, out, (size_t)st.st_size);
    if (n > 0)
        mfs_chunk_name_of(&is, out, (size_t)n);
    if (n <= 0 || n != st.st_size || memcmp(&is, name, sizeof is)) {
        step(s, "remove damaged");
        unlinkat(s->dir_fd, p.text, 0);
        return -EBADMSG;
    }
    if (time(NULL) - st.st_mtim.tv_sec > TOUCH_S)
        futimens(fd, NULL); /* it was used just now */
    return n;
}

int mfs_store_clear(struct mfs_store *s, uint64_t *removed_bytes, struct err *e)
{
    struct all a = { .wants_list = true };
    int rc = look(s, &a), first_rc = rc;
    *removed_bytes = 0;
    for (size_t i = 0; rc == 0 && i < a.count; i++) {
        if (unlinkat(s->dir_fd, path_of(&a.list[i].name).text, 0) == 0)
            *removed_bytes += a.list[i].bytes;
        else if (errno != ENOENT && first_rc == 0)
            first_rc = -errno;
    }
    free(a.list);
    s->is_counted = false;
    return first_rc < 0 ? err_set(e, -first_rc, "clear %s/chunks", s->o.dir) : 0;
}
