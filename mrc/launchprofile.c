/* SPDX-License-Identifier: GPL-2.0-or-later */
/* launchprofile.c: files of launch profiles: profiles/HASH in mrc's cache directory.
 * Must not know: what a profile says.
 * A file appears whole or not at all, and is checked when it is read. */
#include "mrc/launchprofile.h"

#include "common/sys/crypto.h"
#include "common/sys/buf.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrcfs/mrcfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    KEY_BYTES_MAX = 8 << 20, /* the command and the names of trees */
    NEW_KEPT_S = 900,        /* files that nobody will finish any more */
};

/* The directory, made if it isn't there. Only ours will do. */
static int open_dir(bool is_made)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool has_cache = cache && *cache == '/';
    char path[PATH_MAX];
    if (!has_cache && !(home && *home == '/'))
        return -ENOENT;
    int n = snprintf(path, sizeof path, "%s%s/mrc/profiles", has_cache ? cache : home,
                     has_cache ? "" : "/.cache");
    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    static const char *const tails[] = { "/mrc/profiles", "/profiles", "" };
    for (size_t i = 0; is_made && i < ARRAY_LEN(tails); i++) {
        size_t end = (size_t)n - strlen(tails[i]);
        char was = path[end];
        path[end] = 0;
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return -errno;
        path[end] = was;
    }
    AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (st.st_uid != geteuid() || st.st_mode & 077)
        return -EPERM;
    return take_fd(&fd);
}

static int add(struct buf *b, const char *text)
{
    return buf_append(b, text ? text : "", text ? strlen(text) + 1 : 1);
}

/* What a command is known by: its words, where it is started, and which trees it sees without what. */
static int name_of(const struct mrc_options *o, const struct mrc_trees *t, bool is_whole,
                   char name[MRC_PROFILE_NAME_BYTES])
{
    AUTO(buf_fini) struct buf b = { 0 };
    buf_init(&b, KEY_BYTES_MAX);
    int rc = add(&b, is_whole ? "command" : "program");
    for (char **a = o->command; rc == 0 && *a; a++) {
        rc = add(&b, *a);
        if (!is_whole)
            break;
    }
    rc = rc == 0 ? add(&b, NULL) : rc;
    rc = rc == 0 ? add(&b, t->cwd) : rc;
    for (size_t i = 0; rc == 0 && i < t->export_count; i++)
        rc = add(&b, t->exports[i].path);
    rc = rc == 0 ? add(&b, NULL) : rc;
    for (size_t i = 0; rc == 0 && i < t->hide_count; i++)
        rc = add(&b, t->hide[i]);
    rc = rc == 0 ? add(&b, NULL) : rc;
    for (size_t i = 0; rc == 0 && i < t->show_count; i++)
        rc = add(&b, t->show[i]);
    if (rc < 0)
        return rc;
    uint8_t hash[CRYPTO_BLAKE2B_BYTES];
    crypto_blake2b(hash, buf_at(&b), buf_len(&b));
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(name + 2 * i, 3, "%02x", hash[i]);
    return 0;
}

/* Into room. Returns its length, or -errno. */
static ssize_t read_file(int dir, const char *name, uint8_t *room)
{
    AUTO_FD fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077 ||
        st.st_size > MFS_PROFILE_MAX)
        return -EPERM;
    ssize_t n = fd_read_full(fd, room, MFS_PROFILE_MAX);
    if (n >= 0 && !mfs_profile_is_valid((struct bytes){ room, (uint32_t)n }))
        return -EPROTO;
    return n;
}

void mrc_profile_load(struct mrc_profile *p, const struct mrc_options *o,
                      const struct mrc_trees *t)
{
    *p = (struct mrc_profile){ 0 };
    if (o->no_profile || !o->command || !o->command[0] || !t->export_count ||
        o->consistency != CONSISTENCY_LEASE || name_of(o, t, true, p->names[0]) < 0 ||
        name_of(o, t, false, p->names[1]) < 0)
        return;
    p->is_on = true;
    AUTO_FD dir = open_dir(false);
    p->room = malloc(MFS_PROFILE_MAX);
    for (size_t i = 0; dir >= 0 && p->room && i < ARRAY_LEN(p->names); i++) {
        ssize_t n = read_file(dir, p->names[i], p->room);
        if (n > 0) {
            p->given = (struct bytes){ p->room, (uint32_t)n };
            return;
        }
        if (n < 0 && n != -ENOENT)
            log_at(LOG_VERBOSE, "launch profile %s is not used: %s", p->names[i],
                   strerror((int)-n));
    }
}

static int write_file(int dir, const char *name, struct bytes used)
{
    uint64_t number;
    char new[40];
    int rc = crypto_random(&number, sizeof number);
    if (rc < 0)
        return rc;
    snprintf(new, sizeof new, "new-%016llx", (unsigned long long)number);
    AUTO_FD fd = openat(dir, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    ssize_t n = fd_write_full(fd, used.ptr, used.len);
    if (n < 0 || renameat(dir, new, dir, name) < 0) {
        rc = n < 0 ? (int)n : -errno;
        unlinkat(dir, new, 0);
    }
    return rc;
}

/* Removes the oldest while there are too many, and what was never finished. */
static void make_room(int dir)
{
    for (int rounds = 0; rounds < MRC_PROFILES_MAX; rounds++) {
        int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);
        if (!d) {
            fd_close(&fd);
            return;
        }
        char oldest[NAME_MAX + 1] = "";
        struct timespec oldest_time = { 0 };
        size_t count = 0;
        const struct dirent *e;
        while ((e = readdir(d))) {
            struct stat st;
            if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
                continue;
            if (!strncmp(e->d_name, "new-", 4)) {
                if (time(NULL) - st.st_mtim.tv_sec > NEW_KEPT_S)
                    unlinkat(dir, e->d_name, 0);
                continue;
            }
            bool is_older = st.st_mtim.tv_sec < oldest_time.tv_sec ||
                            (st.st_mtim.tv_sec == oldest_time.tv_sec &&
                             st.st_mtim.tv_nsec < oldest_time.tv_nsec);
            if (!count++ || is_older) {
                snprintf(oldest, sizeof oldest, "%s", e->d_name);
                oldest_time = st.st_mtim;
            }
        }
        closedir(d);
        if (count <= MRC_PROFILES_MAX || unlinkat(dir, oldest, 0) < 0)
            return;
    }
}

void mrc_profile_save(const struct mrc_profile *p, struct bytes used)
{
    if (!p->is_on || !mfs_profile_is_valid(used))
        return;
    AUTO_FD dir = open_dir(true);
    int rc = dir < 0 ? dir : 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(p->names); i++)
        rc = write_file(dir, p->names[i], used);
    if (rc == 0)
        make_room(dir);
    else
        log_at(LOG_VERBOSE, "the launch profile is not kept: %s", strerror(-rc));
}

void mrc_profile_fini(struct mrc_profile *p)
{
    free(p->room);
    *p = (struct mrc_profile){ 0 };
}
