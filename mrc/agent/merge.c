/* SPDX-License-Identifier: GPL-2.0-or-later */
/* merge.c: two directories shown as one, writes to the head.
 * Must not know: FUSE.
 * Threads: any. change guards the order of changes of names; hidden_lock guards the tree
 * hidden. Source: the behaviour of union mounts, overlayfs(5), where it can be had without
 * marks on the upper side. */
#include "mrc/agent/merge.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <search.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define COPY_NAME ".mrc-copy-"

enum { COPY_CHUNK_BYTES = 1 << 20, XATTR_TEXT_BYTES = 65536 };

/* Told apart from the head's inode numbers. */
static const ino_t TARGET_INO = (ino_t)1 << 62;

struct merge {
    int fds[2];                  /* by side; the target's may be -1 */
    pthread_mutex_t change;      /* held while names change */
    pthread_mutex_t hidden_lock; /* guards the two below */
    void *hidden;                /* tsearch tree of paths that the target's side doesn't show */
    size_t hidden_count;
    uint64_t copies; /* under change: makes names */
};

int merge_new(int head_fd, int target_fd, struct merge **out)
{
    struct merge *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->fds[MERGE_HEAD] = head_fd;
    m->fds[MERGE_TARGET] = target_fd;
    pthread_mutex_init(&m->change, NULL);
    pthread_mutex_init(&m->hidden_lock, NULL);
    *out = m;
    return 0;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(a, b);
}

void merge_free(struct merge *m)
{
    if (!m)
        return;
    while (m->hidden) {
        char *path = *(char **)m->hidden;
        tdelete(path, &m->hidden, compare_paths);
        free(path);
    }
    free(m);
}

/* --- what is hidden --- */

/* path itself or a directory above it. */
static bool is_hidden(struct merge *m, const char *path)
{
    char text[PATH_MAX];
    bool found = false;
    pthread_mutex_lock(&m->hidden_lock);
    if (m->hidden) {
        size_t len = strlen(path);
        for (size_t i = 1; !found && i <= len && i < sizeof text; i++) {
            if (path[i] && path[i] != '/')
                continue;
            memcpy(text, path, i);
            text[i] = 0;
            found = tfind(text, &m->hidden, compare_paths) != NULL;
        }
    }
    pthread_mutex_unlock(&m->hidden_lock);
    return found;
}

static int hide(struct merge *m, const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    pthread_mutex_lock(&m->hidden_lock);
    int rc = m->hidden_count < MERGE_HIDDEN_MAX ? 0 : -ENOSPC;
    char **spot = rc == 0 ? tsearch(copy, &m->hidden, compare_paths) : NULL;
    if (rc == 0 && !spot)
        rc = -ENOMEM;
    if (spot && *spot == copy)
        m->hidden_count++;
    else
        free(copy); /* was hidden before, or failed */
    pthread_mutex_unlock(&m->hidden_lock);
    return rc;
}

/* --- finding --- */

static int open_dir(int root_fd, const char *rel)
{
    struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    long fd = syscall(SYS_openat2, root_fd, rel, &how, sizeof how);
    if (fd < 0 && errno == ENOSYS)
        fd = openat(root_fd, rel, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : (int)fd;
}

/* Opens the directory that path's last name is in. */
static int open_parent(const struct merge *m, enum merge_side side, const char *path,
                       const char **name_out)
{
    if (m->fds[side] < 0)
        return -ENOENT;
    const char *slash = strrchr(path, '/');
    char rel[PATH_MAX] = ".";
    if (slash > path) {
        size_t len = (size_t)(slash - path - 1);
        if (len >= sizeof rel)
            return -ENAMETOOLONG;
        memcpy(rel, path + 1, len);
        rel[len] = 0;
    }
    *name_out = slash[1] ? slash + 1 : ".";
    return open_dir(m->fds[side], rel);
}

static int stat_on(const struct merge *m, enum merge_side side, const char *path,
                   struct stat *st)
{
    const char *name;
    AUTO_FD dir = open_parent(m, side, path, &name);
    if (dir < 0)
        return dir;
    return fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* No such path on that side, as opposed to trouble. */
static bool is_absent(int rc)
{
    return rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP || rc == -EXDEV;
}

static int stat_target(struct merge *m, const char *path, struct stat *st)
{
    int rc = is_hidden(m, path) ? -ENOENT : stat_on(m, MERGE_TARGET, path, st);
    return is_absent(rc) ? -ENOENT : rc;
}

static bool target_has(struct merge *m, const char *path)
{
    struct stat st;
    return stat_target(m, path, &st) == 0;
}

int merge_find(struct merge *m, const char *path, struct stat *st)
{
    int rc = stat_on(m, MERGE_HEAD, path, st);
    if (rc == 0)
        return MERGE_HEAD;
    if (!is_absent(rc))
        return rc;
    rc = stat_target(m, path, st);
    if (rc < 0)
        return rc;
    st->st_ino ^= TARGET_INO;
    return MERGE_TARGET;
}

int merge_fstat(int fd, enum merge_side side, struct stat *st)
{
    if (fstat(fd, st) < 0)
        return -errno;
    if (side == MERGE_TARGET)
        st->st_ino ^= TARGET_INO;
    return 0;
}

static int open_at(const struct merge *m, enum merge_side side, const char *path, int flags,
                   mode_t mode)
{
    const char *name;
    AUTO_FD dir = open_parent(m, side, path, &name);
    if (dir < 0)
        return dir;
    int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    return fd < 0 ? -errno : fd;
}

/* --- listing --- */

struct list {
    char **names;
    size_t count;
    size_t size;
};

static void list_fini(struct list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->names[i]);
    free(l->names);
}

static int list_add(struct list *l, const char *name)
{
    if (l->count == l->size) {
        size_t size = l->size ? 2 * l->size : 64;
        char **names = realloc(l->names, size * sizeof *names);
        if (!names)
            return -ENOMEM;
        l->names = names;
        l->size = size;
    }
    l->names[l->count] = strdup(name);
    return l->names[l->count++] ? 0 : -ENOMEM;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool list_has(const struct list *l, const char *name)
{
    return l->count && bsearch(&name, l->names, l->count, sizeof *l->names, compare_names);
}

static unsigned type_bits(unsigned char type)
{
    return (unsigned)type << 12; /* DT_* to S_IF* */
}

typedef int (*list_fn)(void *ctx, const char *name, const struct stat *st);

/* Names of one side. seen: filled from the head, asked for the target's. */
static int list_side(struct merge *m, enum merge_side side, const char *path, struct list *seen,
                     list_fn fn, void *ctx)
{
    int fd = open_at(m, side, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return -ENOMEM;
    }
    int rc = 0;
    struct dirent *entry;
    while (rc == 0 && (entry = readdir(d))) {
        char full[PATH_MAX + NAME_MAX + 2];
        struct stat st = { .st_ino = entry->d_ino, .st_mode = type_bits(entry->d_type) };
        snprintf(full, sizeof full, "%s/%s", path[1] ? path : "", entry->d_name);
        if (side == MERGE_HEAD && !strncmp(entry->d_name, COPY_NAME, strlen(COPY_NAME)))
            continue;
        if (side == MERGE_TARGET) {
            if (list_has(seen, entry->d_name) || is_hidden(m, full))
                continue;
            st.st_ino ^= TARGET_INO;
        }
        if (side == MERGE_HEAD)
            rc = list_add(seen, entry->d_name);
        if (rc == 0)
            rc = fn(ctx, entry->d_name, &st);
    }
    closedir(d);
    return rc;
}

int merge_list(struct merge *m, const char *path, list_fn fn, void *ctx)
{
    struct list seen = { 0 };
    struct stat st;
    int side = merge_find(m, path, &st);
    if (side < 0)
        return side;
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    int rc = side == MERGE_HEAD ? list_side(m, MERGE_HEAD, path, &seen, fn, ctx) : 0;
    if (rc == 0) {
        if (seen.count)
            qsort(seen.names, seen.count, sizeof *seen.names, compare_names);
        if (stat_target(m, path, &st) == 0 && S_ISDIR(st.st_mode))
            rc = list_side(m, MERGE_TARGET, path, &seen, fn, ctx);
    }
    list_fini(&seen);
    return rc;
}

/* --- copying to the head; the caller holds change --- */

static int copy_bytes(int from, int to)
{
    char *chunk = malloc(COPY_CHUNK_BYTES);
    if (!chunk)
        return -ENOMEM;
    int rc = 0;
    ssize_t n;
    while (rc == 0 && (n = fd_read(from, chunk, COPY_CHUNK_BYTES)) != 0)
        rc = n < 0 ? (int)n : fd_write_full(to, chunk, (size_t)n);
    free(chunk);
    return rc;
}

/* The user's own attributes; what the head doesn't take is left out. */
static void copy_xattrs(int from, int to)
{
    char *names = malloc(2 * XATTR_TEXT_BYTES);
    if (!names)
        return;
    char *value = names + XATTR_TEXT_BYTES;
    ssize_t len = flistxattr(from, names, XATTR_TEXT_BYTES);
    for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1) {
        ssize_t n = strncmp(names + at, "user.", 5)
                        ? -1
                        : fgetxattr(from, names + at, value, XATTR_TEXT_BYTES);
        if (n >= 0)
            (void)!fsetxattr(to, names + at, value, (size_t)n, 0);
    }
    free(names);
}

static int fill_copy(struct merge *m, const char *path, const struct stat *st, int to,
                     bool with_contents)
{
    AUTO_FD from = open_at(m, MERGE_TARGET, path, O_RDONLY, 0);
    if (from < 0)
        return from;
    int rc = with_contents ? copy_bytes(from, to) : 0;
    if (rc < 0)
        return rc;
    copy_xattrs(from, to);
    const struct timespec times[2] = { st->st_atim, st->st_mtim };
    if (fchmod(to, st->st_mode & 07777) < 0 || futimens(to, times) < 0)
        return -errno;
    return 0;
}

/* A file appears on the head whole or not at all. */
static int copy_file(struct merge *m, const char *path, const struct stat *st,
                     bool with_contents)
{
    const char *name;
    AUTO_FD dir = open_parent(m, MERGE_HEAD, path, &name);
    if (dir < 0)
        return dir;
    char temporary[64];
    snprintf(temporary, sizeof temporary, COPY_NAME "%d-%llu", (int)getpid(),
             (unsigned long long)m->copies++);
    AUTO_FD to = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return -errno;
    int rc = fill_copy(m, path, st, to, with_contents);
    if (rc == 0 && renameat2(dir, temporary, dir, name, RENAME_NOREPLACE) < 0)
        rc = -errno;
    if (rc < 0)
        unlinkat(dir, temporary, 0);
    return rc == -EEXIST ? 0 : rc; /* somebody on the head was faster */
}

static int copy_link(struct merge *m, const char *path)
{
    char to[PATH_MAX];
    const char *name;
    AUTO_FD from = open_parent(m, MERGE_TARGET, path, &name);
    ssize_t n = from < 0 ? -1 : readlinkat(from, name, to, sizeof to - 1);
    if (n < 0)
        return from < 0 ? from : -errno;
    to[n] = 0;
    AUTO_FD dir = open_parent(m, MERGE_HEAD, path, &name);
    if (dir < 0)
        return dir;
    return symlinkat(to, dir, name) < 0 && errno != EEXIST ? -errno : 0;
}

static int copy_node(struct merge *m, const char *path, const struct stat *st,
                     bool with_contents)
{
    if (S_ISREG(st->st_mode))
        return copy_file(m, path, st, with_contents);
    if (S_ISLNK(st->st_mode))
        return copy_link(m, path);
    const char *name;
    AUTO_FD dir = open_parent(m, MERGE_HEAD, path, &name);
    if (dir < 0)
        return dir;
    int rc = S_ISDIR(st->st_mode) ? mkdirat(dir, name, st->st_mode & 07777)
                                  : mknodat(dir, name, st->st_mode, st->st_rdev);
    return rc < 0 && errno != EEXIST ? -errno : 0;
}

/* The directories above path are on the head. */
static int make_parents(struct merge *m, const char *path)
{
    char text[PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof text)
        return -ENAMETOOLONG;
    for (size_t i = 1; i < len; i++) {
        if (path[i] != '/')
            continue;
        struct stat st;
        memcpy(text, path, i);
        text[i] = 0;
        int side = merge_find(m, text, &st);
        if (side < 0)
            return side;
        if (!S_ISDIR(st.st_mode))
            return -ENOTDIR;
        int rc = side == MERGE_TARGET ? copy_node(m, text, &st, true) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int copy_up(struct merge *m, const char *path, bool with_contents)
{
    struct stat st;
    int side = merge_find(m, path, &st);
    if (side < 0 || side == MERGE_HEAD)
        return side < 0 ? side : 0;
    int rc = make_parents(m, path);
    return rc < 0 ? rc : copy_node(m, path, &st, with_contents);
}

int merge_copy_up(struct merge *m, const char *path, bool with_contents)
{
    pthread_mutex_lock(&m->change);
    int rc = copy_up(m, path, with_contents);
    pthread_mutex_unlock(&m->change);
    return rc;
}

/* --- opening --- */

/* flags has O_CREAT. */
static int create(struct merge *m, const char *path, int flags, mode_t mode)
{
    struct stat st;
    int side = merge_find(m, path, &st);
    int rc = side == -ENOENT ? make_parents(m, path) : side < 0 ? side : 0;
    if (side >= 0 && flags & O_EXCL)
        rc = -EEXIST;
    else if (side == MERGE_TARGET)
        rc = copy_up(m, path, !(flags & O_TRUNC));
    return rc < 0 ? rc : open_at(m, MERGE_HEAD, path, flags, mode);
}

int merge_open(struct merge *m, const char *path, int flags, mode_t mode,
               enum merge_side *side_out)
{
    *side_out = MERGE_HEAD;
    if (flags & O_CREAT) {
        pthread_mutex_lock(&m->change);
        int fd = create(m, path, flags, mode);
        pthread_mutex_unlock(&m->change);
        return fd;
    }
    struct stat st;
    bool is_change = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
    int rc = is_change ? merge_copy_up(m, path, !(flags & O_TRUNC)) : 0;
    int side = rc < 0 ? rc : merge_find(m, path, &st);
    if (side < 0)
        return side;
    *side_out = (enum merge_side)side;
    return open_at(m, (enum merge_side)side, path, flags, 0);
}

int merge_open_path(struct merge *m, const char *path, bool is_change)
{
    struct stat st;
    int rc = is_change ? merge_copy_up(m, path, true) : 0;
    int side = rc < 0 ? rc : merge_find(m, path, &st);
    return side < 0 ? side : open_at(m, (enum merge_side)side, path, O_PATH, 0);
}

int merge_readlink(struct merge *m, const char *path, char *text, size_t size_bytes)
{
    struct stat st;
    const char *name;
    int side = merge_find(m, path, &st);
    AUTO_FD dir = side < 0 ? side : open_parent(m, (enum merge_side)side, path, &name);
    if (dir < 0)
        return dir;
    ssize_t n = readlinkat(dir, name, text, size_bytes);
    return n < 0 ? -errno : (int)n;
}

/* --- changing names --- */

/* What a change that makes a name needs: nothing there yet, a parent on the head. Takes change;
 * a result of 0 or more is the parent. */
static int begin_new(struct merge *m, const char *path, const char **name_out)
{
    struct stat st;
    pthread_mutex_lock(&m->change);
    int rc = merge_find(m, path, &st);
    rc = rc >= 0 ? -EEXIST : rc == -ENOENT ? make_parents(m, path) : rc;
    return rc < 0 ? rc : open_parent(m, MERGE_HEAD, path, name_out);
}

/* rc: of the system call. */
static int end_new(struct merge *m, int dir, int rc)
{
    int result = dir < 0 ? dir : rc < 0 ? -errno : 0;
    pthread_mutex_unlock(&m->change);
    return result;
}

int merge_mknod(struct merge *m, const char *path, mode_t mode, dev_t device)
{
    const char *name;
    AUTO_FD dir = begin_new(m, path, &name);
    return end_new(m, dir, dir < 0 ? -1 : mknodat(dir, name, mode, device));
}

int merge_mkdir(struct merge *m, const char *path, mode_t mode)
{
    const char *name;
    AUTO_FD dir = begin_new(m, path, &name);
    return end_new(m, dir, dir < 0 ? -1 : mkdirat(dir, name, mode));
}

int merge_symlink(struct merge *m, const char *to, const char *path)
{
    const char *name;
    AUTO_FD dir = begin_new(m, path, &name);
    return end_new(m, dir, dir < 0 ? -1 : symlinkat(to, dir, name));
}

int merge_link(struct merge *m, const char *from, const char *to)
{
    const char *name, *from_name;
    AUTO_FD dir = begin_new(m, to, &name);
    int rc = dir < 0 ? dir : copy_up(m, from, true);
    AUTO_FD from_dir = rc < 0 ? rc : open_parent(m, MERGE_HEAD, from, &from_name);
    if (from_dir < 0)
        return end_new(m, from_dir, -1);
    return end_new(m, dir, linkat(from_dir, from_name, dir, name, 0));
}

static int remove_on_head(struct merge *m, const char *path, int flags)
{
    const char *name;
    AUTO_FD dir = open_parent(m, MERGE_HEAD, path, &name);
    if (dir < 0)
        return dir;
    return unlinkat(dir, name, flags) < 0 ? -errno : 0;
}

static int remove_name(struct merge *m, const char *path, int side, int flags)
{
    int rc = side == MERGE_HEAD ? remove_on_head(m, path, flags) : 0;
    if (rc == 0 && target_has(m, path))
        rc = hide(m, path);
    return rc;
}

int merge_unlink(struct merge *m, const char *path)
{
    struct stat st;
    pthread_mutex_lock(&m->change);
    int side = merge_find(m, path, &st);
    int rc = side < 0 ? side : S_ISDIR(st.st_mode) ? -EISDIR : remove_name(m, path, side, 0);
    pthread_mutex_unlock(&m->change);
    return rc;
}

static int count_entry(void *ctx, const char *name, const struct stat *st)
{
    (void)ctx;
    (void)st;
    return !strcmp(name, ".") || !strcmp(name, "..") ? 0 : -ENOTEMPTY;
}

int merge_rmdir(struct merge *m, const char *path)
{
    struct stat st;
    pthread_mutex_lock(&m->change);
    int side = merge_find(m, path, &st);
    int rc = side < 0 ? side : merge_list(m, path, count_entry, NULL);
    if (rc == 0)
        rc = remove_name(m, path, side, AT_REMOVEDIR);
    pthread_mutex_unlock(&m->change);
    return rc;
}

/* What stands in the way of renaming something of from's type to to. */
static int check_over(struct merge *m, const struct stat *from, const char *to, unsigned flags)
{
    struct stat st;
    int side = merge_find(m, to, &st);
    if (side == -ENOENT)
        return flags & RENAME_EXCHANGE ? -ENOENT : 0;
    if (side < 0)
        return side;
    if (flags & RENAME_NOREPLACE)
        return -EEXIST;
    if (flags & RENAME_EXCHANGE)
        return S_ISDIR(st.st_mode) && target_has(m, to) ? -EXDEV : copy_up(m, to, true);
    if (S_ISDIR(st.st_mode) != S_ISDIR(from->st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTDIR;
    return S_ISDIR(st.st_mode) ? merge_list(m, to, count_entry, NULL) : 0;
}

static int rename_on_head(struct merge *m, const char *from, const char *to, unsigned flags)
{
    const char *from_name, *to_name;
    AUTO_FD from_dir = open_parent(m, MERGE_HEAD, from, &from_name);
    AUTO_FD to_dir = open_parent(m, MERGE_HEAD, to, &to_name);
    if (from_dir < 0 || to_dir < 0)
        return from_dir < 0 ? from_dir : to_dir;
    int rc = flags ? renameat2(from_dir, from_name, to_dir, to_name, flags)
                   : renameat(from_dir, from_name, to_dir, to_name);
    return rc < 0 ? -errno : 0;
}

static int rename_locked(struct merge *m, const char *from, const char *to, unsigned flags)
{
    struct stat st;
    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    int side = merge_find(m, from, &st);
    if (side < 0)
        return side;
    bool from_target = target_has(m, from);
    if (S_ISDIR(st.st_mode) && from_target)
        return -EXDEV;
    int rc = check_over(m, &st, to, flags);
    if (rc == 0)
        rc = copy_up(m, from, true);
    if (rc == 0)
        rc = make_parents(m, to);
    bool to_target = target_has(m, to);
    if (rc == 0)
        rc = rename_on_head(m, from, to, flags);
    if (rc == 0 && from_target)
        rc = hide(m, from);
    if (rc == 0 && to_target)
        rc = hide(m, to);
    return rc;
}

int merge_rename(struct merge *m, const char *from, const char *to, unsigned flags)
{
    pthread_mutex_lock(&m->change);
    int rc = rename_locked(m, from, to, flags);
    pthread_mutex_unlock(&m->change);
    return rc;
}

/* --- changing attributes --- */

int merge_chmod(struct merge *m, const char *path, mode_t mode)
{
    const char *name;
    int rc = merge_copy_up(m, path, true);
    AUTO_FD dir = rc < 0 ? rc : open_parent(m, MERGE_HEAD, path, &name);
    if (dir < 0)
        return dir;
    return fchmodat(dir, name, mode, 0) < 0 ? -errno : 0;
}

int merge_chown(struct merge *m, const char *path, uid_t uid, gid_t gid)
{
    const char *name;
    int rc = merge_copy_up(m, path, true);
    AUTO_FD dir = rc < 0 ? rc : open_parent(m, MERGE_HEAD, path, &name);
    if (dir < 0)
        return dir;
    return fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int merge_utimens(struct merge *m, const char *path, const struct timespec times[2])
{
    const char *name;
    int rc = merge_copy_up(m, path, true);
    AUTO_FD dir = rc < 0 ? rc : open_parent(m, MERGE_HEAD, path, &name);
    if (dir < 0)
        return dir;
    return utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}
