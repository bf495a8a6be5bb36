/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record.c: notes in the cache directory of what a view has made outside of its namespaces.
 * Must not know: how a view is built.
 * Source: flock(2); rmdir and mounts: kernel commit 8ed936b5671b ("vfs: Lazily remove mounts on
 * unlinked files and directories"). */
#include "mrc/agent/record.h"

#include "common/sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TRIES_MAX = 100, /* races with a sweep; each lost race means that the other made progress */
    TREE_DEPTH_MAX = 40 /* levels open at once; deeper ones are moved up first */
};

static const char *const kind_names[] = {
    [RECORD_PLACE] = "place-",
    [RECORD_SCRATCH] = "scratch-",
    [RECORD_MOUNT] = "mount-",
};

static int records_dir(const char *cache_dir, char *text, size_t size_bytes)
{
    int n = snprintf(text, size_bytes, "%s/views", cache_dir);
    if (n < 0 || (size_t)n >= size_bytes)
        return -ENAMETOOLONG;
    if (mkdir(text, 0700) < 0 && errno != EEXIST)
        return -errno;
    return 0;
}

/* Creates and locks a record file. Between the two a sweep may have removed it: -EAGAIN. */
static int create_locked(struct record *out)
{
    AUTO_FD fd = mkostemp(out->path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    if (st.st_nlink == 0)
        return -EAGAIN;
    out->fd = take_fd(&fd);
    return 0;
}

int record_new(const char *cache_dir, enum record_kind kind, const char *path,
               struct record *out, struct err *e)
{
    char dir[PATH_MAX];
    struct record r = { .fd = -1 };
    int rc = records_dir(cache_dir, dir, sizeof dir);
    if (rc < 0)
        return err_set(e, -rc, "make %s/views", cache_dir);
    rc = -EAGAIN;
    for (int i = 0; i < TRIES_MAX && rc == -EAGAIN; i++) {
        snprintf(r.path, sizeof r.path, "%s/%sXXXXXX", dir, kind_names[kind]);
        rc = create_locked(&r);
    }
    if (rc == 0)
        rc = fd_write_full(r.fd, path, strlen(path));
    if (rc < 0) {
        fd_close(&r.fd);
        return err_set(e, -rc, "write a record in %s", dir);
    }
    *out = r;
    return 0;
}

void record_drop(struct record *r)
{
    if (r->fd >= 0)
        unlink(r->path);
    fd_close(&r->fd);
}

/* Whether path still names the directory that fd has open. */
static bool is_same_dir(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* Opens and locks an existing place; -EAGAIN when it is being removed. The lock stays with the
 * process: its descriptor is left open on purpose. */
static int place_hold(const char *path)
{
    AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? -EAGAIN : -errno;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return -EPERM; /* its owner could put another one in its place under the job */
    if (flock(fd, LOCK_SH | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return 0; /* a file system without locks */
        usleep(1000); /* a sweep holds it for a moment */
        return -EAGAIN;
    }
    if (!is_same_dir(fd, path))
        return -EAGAIN;
    (void)take_fd(&fd);
    return 0;
}

int place_take(const char *cache_dir, const char *path, struct err *e)
{
    struct record r;
    int rc = record_new(cache_dir, RECORD_PLACE, path, &r, e);
    if (rc < 0)
        return rc;
    bool is_ours = false;
    rc = -EAGAIN;
    for (int i = 0; i < TRIES_MAX && rc == -EAGAIN; i++) {
        if (mkdir(path, 0755) == 0)
            is_ours = true;
        else if (errno != EEXIST) {
            rc = -errno;
            break;
        }
        rc = place_hold(path);
    }
    if (!is_ours || rc < 0)
        record_drop(&r);
    if (rc == -EPERM)
        return err_set(e, 0,
                       "%s belongs to another user of the target, where all share its parent: "
                       "not safe to mount the head's directory on",
                       path);
    if (rc < 0)
        return err_set(e, -rc, "make %s on the target to mount the head's directory on", path);
    return 0; /* r.fd stays open */
}

int scratch_take(const char *cache_dir, char **path_out, struct err *e)
{
    char dir[PATH_MAX], path[PATH_MAX + 16];
    int rc = records_dir(cache_dir, dir, sizeof dir);
    if (rc < 0)
        return err_set(e, -rc, "make %s/views", cache_dir);
    snprintf(path, sizeof path, "%s/layer-%d-XXXXXX", dir, (int)getpid());
    if (!mkdtemp(path))
        return err_set(e, errno, "make a directory in %s", dir);
    struct record r = { .fd = -1 };
    rc = record_new(cache_dir, RECORD_SCRATCH, path, &r, e);
    char *clean = rc < 0 ? NULL : realpath(path, NULL);
    if (!clean) {
        rc = rc < 0 ? rc : err_set(e, errno, "%s", path);
        rmdir(path);
        record_drop(&r);
        return rc;
    }
    *path_out = clean;
    return 0; /* r.fd stays open */
}

/* --- removing --- */

struct tree {
    int top_fd;
    unsigned moved;
};

static int remove_in(struct tree *t, int dir_fd, const char *name, unsigned depth);

static int remove_entries(struct tree *t, int fd, unsigned depth)
{
    int list_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = list_fd < 0 ? NULL : fdopendir(list_fd);
    if (!d) {
        int rc = -errno;
        fd_close(&list_fd);
        return rc;
    }
    int rc = 0;
    struct dirent *entry;
    while (rc == 0 && (entry = readdir(d))) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            rc = remove_in(t, fd, entry->d_name, depth + 1);
    }
    closedir(d);
    return rc;
}

static int remove_in(struct tree *t, int dir_fd, const char *name, unsigned depth)
{
    if (unlinkat(dir_fd, name, 0) == 0)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0)
        return 0;
    if (depth > TREE_DEPTH_MAX) {
        char moved[32];
        snprintf(moved, sizeof moved, ".moved-%u", t->moved++);
        return renameat(dir_fd, name, t->top_fd, moved) < 0 ? -errno : 0;
    }
    AUTO_FD fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(dir_fd, name, 0700, 0) == 0)
        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700 && fchmod(fd, st.st_mode | 0700) < 0)
        return -errno;
    int rc = remove_entries(t, fd, depth);
    if (rc < 0)
        return rc;
    return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int tree_remove(int dir_fd, const char *name)
{
    AUTO_FD fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct tree t = { .top_fd = fd };
    for (;;) {
        unsigned before = t.moved;
        int rc = remove_entries(&t, fd, 0);
        if (rc < 0)
            return rc;
        if (t.moved == before)
            break;
    }
    return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* Returns whether the record is settled. */
static bool sweep_place(const char *path)
{
    AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return true; /* gone, or no longer a directory of ours */
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_uid != geteuid())
        return true;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return false; /* another view has something mounted there */
    if (is_same_dir(fd, path) && rmdir(path) < 0)
        return errno == ENOTEMPTY || errno == EEXIST || errno == ENOENT;
    return true;
}

static bool sweep_scratch(const char *path)
{
    int rc = tree_remove(AT_FDCWD, path);
    return rc == 0 || rc == -ENOENT;
}

static bool sweep_path(enum record_kind kind, const char *path, int (*unmount)(const char *))
{
    switch (kind) {
    case RECORD_PLACE: return sweep_place(path);
    case RECORD_SCRATCH: return sweep_scratch(path);
    case RECORD_MOUNT: return unmount && unmount(path) == 0;
    }
    return false;
}

static void sweep_record(int dir_fd, const char *name, enum record_kind kind,
                         int (*unmount)(const char *))
{
    AUTO_FD fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return;
    char path[PATH_MAX];
    ssize_t n = fd_read_full(fd, path, sizeof path - 1);
    if (n < 0)
        return;
    path[n] = 0;
    if (path[0] != '/' || sweep_path(kind, path, unmount))
        unlinkat(dir_fd, name, 0);
}

void record_sweep(const char *cache_dir, int (*unmount)(const char *path))
{
    char text[PATH_MAX];
    int n = snprintf(text, sizeof text, "%s/views", cache_dir);
    if (n < 0 || (size_t)n >= sizeof text)
        return;
    DIR *d = opendir(text);
    if (!d)
        return;
    struct dirent *entry;
    while ((entry = readdir(d))) {
        for (size_t kind = 0; kind < ARRAY_LEN(kind_names); kind++) {
            if (!strncmp(entry->d_name, kind_names[kind], strlen(kind_names[kind])))
                sweep_record(dirfd(d), entry->d_name, (enum record_kind)kind, unmount);
        }
    }
    closedir(d);
}
