/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops_callers.c: when set-id bits fall, by who asks: owner or not, in the file's group by the
 * main group, by a supplementary one, or not at all; likewise what the sticky bit and the mode
 * allow. Needs root to be all of these. */
#include "tests/posix/fsops.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { OWNER = 12001, OTHER = 12002, GROUP = 12100, OTHER_GROUP = 12200 };

static const struct caller {
    const char *name;
    uid_t uid;
    gid_t gid;
    int group_count; /* of GROUP, as supplementary group */
} callers[] = {
    { "owner in the group", OWNER, GROUP, 0 },
    { "owner, supplementary", OWNER, OTHER_GROUP, 1 },
    { "owner, not in it", OWNER, OTHER_GROUP, 0 },
    { "other in the group", OTHER, GROUP, 0 },
    { "other, supplementary", OTHER, OTHER_GROUP, 1 },
    { "other, not in it", OTHER, OTHER_GROUP, 0 },
    { "root", 0, 0, 0 },
};

static mode_t mode; /* of the file that an operation gets */

static int write_to(int flags)
{
    int fd = open("f", O_WRONLY | flags);
    ssize_t n = fd < 0 ? -1 : write(fd, "x", 1);
    int error = errno;
    close(fd);
    errno = error;
    return n < 0 ? -1 : 0;
}

static int do_write(void)
{
    return write_to(0);
}

static int do_append(void)
{
    return write_to(O_APPEND);
}

static int do_open_truncating(void)
{
    int fd = open("f", O_WRONLY | O_TRUNC);
    return fd < 0 ? -1 : close(fd);
}

static int do_truncate(void)
{
    return truncate("f", 2);
}

static int do_ftruncate(void)
{
    int fd = open("f", O_RDWR);
    int rc = fd < 0 ? -1 : ftruncate(fd, 100);
    close(fd);
    return rc;
}

static int do_fallocate(void)
{
    int fd = open("f", O_RDWR);
    int rc = fd < 0 ? -1 : fallocate(fd, 0, 0, 1000);
    close(fd);
    return rc;
}

static int do_copy_range(void)
{
    int in = open("source", O_RDONLY), out = open("f", O_WRONLY);
    int rc = copy_file_range(in, NULL, out, NULL, 3, 0) < 0 ? -1 : 0;
    close(in);
    close(out);
    return rc;
}

static int do_chown_nothing(void)
{
    return chown("f", (uid_t)-1, (gid_t)-1);
}

static int do_fchown_nothing(void)
{
    int fd = open("f", O_RDONLY);
    int rc = fchown(fd, (uid_t)-1, (gid_t)-1);
    close(fd);
    return rc;
}

static int do_chown_same(void)
{
    return chown("f", OWNER, GROUP);
}

static int do_chgrp_same(void)
{
    return chown("f", (uid_t)-1, GROUP);
}

static int do_chgrp(void)
{
    return chown("f", (uid_t)-1, OTHER_GROUP);
}

static int do_chmod(void)
{
    return chmod("f", mode);
}

static int do_utimes(void)
{
    return utimensat(AT_FDCWD, "f", NULL, 0);
}

static int do_set_user_xattr(void)
{
    return setxattr("f", "user.x", "y", 1, 0);
}

/* The same rights as the mode of the file says. */
static int do_set_acl(void)
{
    struct {
        uint32_t version;
        struct {
            uint16_t tag, rights;
            uint32_t id;
        } e[5];
    } a = { 2,
            { { 1, 7, UINT32_MAX },
              { 2, 5, 12345 },
              { 4, (uint16_t)(mode >> 3 & 7), UINT32_MAX },
              { 16, (uint16_t)(mode >> 3 & 7), UINT32_MAX },
              { 32, 7, UINT32_MAX } } };
    return setxattr("f", "system.posix_acl_access", &a, sizeof a, 0);
}

static int do_set_short_acl(void)
{
    struct {
        uint32_t version;
        struct {
            uint16_t tag, rights;
            uint32_t id;
        } e[3];
    } a = { 2,
            { { 1, 7, UINT32_MAX },
              { 4, (uint16_t)(mode >> 3 & 7), UINT32_MAX },
              { 32, 7, UINT32_MAX } } };
    return setxattr("f", "system.posix_acl_access", &a, sizeof a, 0);
}

static int do_remove_acl(void)
{
    return removexattr("f", "system.posix_acl_access");
}

static const struct {
    const char *name;
    int (*fn)(void);
} operations[] = {
    { "write", do_write },
    { "append", do_append },
    { "open truncating", do_open_truncating },
    { "truncate", do_truncate },
    { "ftruncate", do_ftruncate },
    { "fallocate", do_fallocate },
    { "copy_file_range", do_copy_range },
    { "chown to nothing", do_chown_nothing },
    { "fchown to nothing", do_fchown_nothing },
    { "chown to the same", do_chown_same },
    { "chgrp to the same", do_chgrp_same },
    { "chgrp", do_chgrp },
    { "chmod", do_chmod },
    { "utimes", do_utimes },
    { "set user xattr", do_set_user_xattr },
    { "set ACL", do_set_acl },
    { "set short ACL", do_set_short_acl },
    { "remove ACL", do_remove_acl },
};

static void say(const char *caller, const char *operation, int rc, const struct stat *st)
{
    char text[160];
    snprintf(text, sizeof text, "%s, %s, mode %04o: %s, then %04o of %u:%u", caller, operation,
             mode & 07777, rc < 0 ? strerrorname_np(errno) : "ok", st->st_mode & 07777,
             st->st_uid, st->st_gid);
    say_text("set-id", text);
}

static void on_files(const struct caller *c)
{
    static const mode_t modes[] = { 06777, 06767, 02767, 04777 };
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
            struct stat st = { 0 };
            mode = modes[m];
            unlink("f");
            make_file("f", "content");
            if (chown("f", OWNER, GROUP) < 0 || chmod("f", mode) < 0)
                return;
            /* As the caller with all threads' identity, but with a way back. */
            gid_t group = GROUP;
            if (setgroups((size_t)c->group_count, &group) < 0 || setegid(c->gid) < 0 ||
                seteuid(c->uid) < 0)
                return;
            int rc = operations[i].fn(), error = errno;
            if (seteuid(0) < 0 || setegid(0) < 0)
                return;
            if (stat("f", &st) < 0)
                return;
            errno = error;
            say(c->name, operations[i].name, rc, &st);
        }
    }
}

static int make_by_open(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 02775);
    return fd < 0 ? -1 : close(fd);
}

static int make_by_open_setuid(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 06765);
    return fd < 0 ? -1 : close(fd);
}

static int make_by_mknod(const char *name)
{
    return mknod(name, S_IFREG | 02775, 0);
}

static int make_fifo(const char *name)
{
    return mkfifo(name, 02775);
}

static int make_directory(const char *name)
{
    return mkdir(name, 0775);
}

static int make_by_link(const char *name)
{
    int fd = open(".", O_TMPFILE | O_WRONLY, 02775);
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = fd < 0 ? -1 : linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
    close(fd);
    return rc;
}

static const struct {
    const char *name;
    int (*fn)(const char *name);
} makers[] = {
    { "create", make_by_open },  { "create set-user-id", make_by_open_setuid },
    { "mknod", make_by_mknod },  { "mkfifo", make_fifo },
    { "mkdir", make_directory }, { "tmpfile", make_by_link },
};

/* In a directory that gives its group to what is made in it. */
static void in_directory(const struct caller *c)
{
    if (mkdir("shared", 0700) < 0 || chown("shared", OWNER, GROUP) < 0 ||
        chmod("shared", 02777) < 0 || chdir("shared") < 0)
        return;
    gid_t group = GROUP;
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        struct stat st = { 0 };
        mode = 0;
        if (setgroups((size_t)c->group_count, &group) < 0 || setegid(c->gid) < 0 ||
            seteuid(c->uid) < 0)
            return;
        int rc = makers[i].fn("new"), error = errno;
        if (seteuid(0) < 0 || setegid(0) < 0)
            return;
        int gone = stat("new", &st);
        errno = error;
        say(c->name, makers[i].name, rc, &st);
        if (gone == 0 && (S_ISDIR(st.st_mode) ? rmdir("new") : unlink("new")) < 0)
            return;
    }
    if (chdir("..") == 0)
        N(rmdir("shared"));
}

/* Each is done on a fresh file "f" of this owner. */
static int by_unlink(void)
{
    return unlink("f");
}

static int by_rename(void)
{
    return rename("f", "g");
}

static int by_replacing(void)
{
    return rename("own", "f");
}

static int by_link(void)
{
    return link("f", "g");
}

static int open_for(int flags)
{
    int fd = open("f", flags);
    return fd < 0 ? -1 : close(fd);
}

static int by_reading(void)
{
    return open_for(O_RDONLY);
}

static int by_writing(void)
{
    return open_for(O_WRONLY);
}

static const struct {
    const char *name;
    int (*fn)(void);
} attempts[] = {
    { "unlink", by_unlink }, { "rename", by_rename }, { "replace", by_replacing },
    { "link", by_link },     { "read", by_reading },  { "write", by_writing },
};

static void attempt(const struct caller *c, const char *words, uid_t owner, size_t i)
{
    gid_t group = GROUP;
    char text[120];
    unlink("f");
    unlink("g");
    unlink("own");
    make_file("f", "content");
    make_file("own", "own");
    if (chown("f", owner, GROUP) < 0 || chmod("f", mode) < 0 ||
        chown("own", c->uid, c->gid) < 0)
        return;
    if (setgroups((size_t)c->group_count, &group) < 0 || setegid(c->gid) < 0 ||
        seteuid(c->uid) < 0)
        return;
    int rc = attempts[i].fn(), error = errno;
    if (seteuid(0) < 0 || setegid(0) < 0)
        return;
    errno = error;
    snprintf(text, sizeof text, "%s, %s, file of %u, mode %04o: %s", c->name, attempts[i].name,
             owner, mode, rc < 0 ? strerrorname_np(errno) : "ok");
    say_text(words, text);
}

/* In directories of OWNER that everybody, or its group, may write, with the sticky bit or not.
 */
static void in_shared(const struct caller *c)
{
    static const mode_t dirs[] = { 01777, 0777, 01775, 0575 }, modes[] = { 0640, 0064, 0406 };
    static const uid_t owners[] = { OWNER, OTHER, 0 };
    for (size_t d = 0; d < sizeof dirs / sizeof *dirs; d++) {
        char words[32];
        snprintf(words, sizeof words, "directory %04o", dirs[d]);
        if (mkdir("dir", 0700) < 0 || chown("dir", OWNER, GROUP) < 0 ||
            chmod("dir", dirs[d]) < 0 || chdir("dir") < 0)
            return;
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
            mode = modes[m];
            for (size_t u = 0; u < sizeof owners / sizeof *owners; u++)
                for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
                    attempt(c, words, owners[u], i);
        }
        unlink("f");
        unlink("g");
        unlink("own");
        if (chdir("..") < 0)
            return;
        N(rmdir("dir"));
    }
}

static int all(void)
{
    umask(0);
    make_file("source", "source");
    for (size_t i = 0; i < sizeof callers / sizeof *callers; i++) {
        on_files(&callers[i]);
        in_directory(&callers[i]);
        in_shared(&callers[i]);
    }
    return 0;
}

void part_callers(void)
{
    N(geteuid() == 0);
    if (geteuid() == 0)
        say_child("as others", all);
}
