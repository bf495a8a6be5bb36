/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops_meta.c: attributes, extended attributes, ACLs, rights. */
#include "tests/posix/fsops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static void attr_modes(void)
{
    make_file("f", "content");
    N(mkdir("d", 0755));
    N(symlink("f", "s"));
    N(symlink("missing", "dangling"));
    static const mode_t modes[] = { 0, 0777, 0644, 01644, 02755, 04755, 06711, 07777, 0600 };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        N(chmod("f", modes[i]));
        say_stat("f");
        N(chmod("d", modes[i] | 0700));
        say_stat("d");
    }
    N(chmod("s", 0640));
    say_stat("f");
    say_stat("s");
    N(chmod("dangling", 0640));
    N(chmod("missing", 0640));
    N(chmod("f/x", 0640));
    N(fchmodat(AT_FDCWD, "s", 0600, AT_SYMLINK_NOFOLLOW));
    int fd = FD(open("f", O_RDONLY));
    N(fchmod(fd, 0444));
    say_fstat("f", fd);
    close(fd);
    N(chmod("f", 0644));
}

static void attr_set_id(void)
{
    char c = 'x';
    N(chmod("f", 06755));
    int fd = FD(open("f", O_RDWR));
    N(write(fd, &c, 1));
    say_fstat("set-id after write", fd);
    N(fchmod(fd, 06755));
    N(ftruncate(fd, 3));
    say_fstat("set-id after ftruncate", fd);
    N(fchmod(fd, 06755));
    N(fchown(fd, (uid_t)-1, getgid()));
    say_fstat("set-id after chown", fd);
    N(fchmod(fd, 06644));
    N(write(fd, &c, 1));
    say_fstat("set-id without x after write", fd);
    close(fd);
    N(chmod("f", 06755));
    N(truncate("f", 1));
    say_stat("f");
    N(chmod("f", 06755));
    fd = FD(open("f", O_WRONLY | O_TRUNC));
    close(fd);
    say_stat("f");
    N(chmod("f", 0644));
}

static void attr_owners(void)
{
    N(chown("f", (uid_t)-1, (gid_t)-1));
    N(chown("f", getuid(), getgid()));
    N(chown("f", 12345, (gid_t)-1));
    say_stat("f");
    N(chown("f", (uid_t)-1, 23456));
    say_stat("f");
    N(lchown("s", 12345, 23456));
    say_stat("s");
    N(chown("s", getuid(), getgid()));
    say_stat("f");
    N(lchown("dangling", getuid(), getgid()));
    N(chown("dangling", getuid(), getgid()));
    N(chown("d", 12345, 23456));
    say_stat("d");
    N(chown("d", getuid(), getgid()));
}

static void say_times(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0) {
        N(st.st_atim.tv_sec);
        N(st.st_atim.tv_nsec);
        N(st.st_mtim.tv_sec);
        N(st.st_mtim.tv_nsec);
    }
}

static void attr_times(void)
{
    struct timespec t[2] = { { 1000000001, 123456789 }, { 1200000002, 987654321 } };
    N(utimensat(AT_FDCWD, "f", t, 0));
    say_times("f");
    t[0].tv_nsec = UTIME_OMIT;
    t[1].tv_sec = 5;
    N(utimensat(AT_FDCWD, "f", t, 0));
    say_times("f");
    t[0] = (struct timespec){ 7, 8 };
    t[1].tv_nsec = UTIME_OMIT;
    N(utimensat(AT_FDCWD, "f", t, 0));
    say_times("f");
    t[0].tv_nsec = t[1].tv_nsec = UTIME_OMIT;
    N(utimensat(AT_FDCWD, "f", t, 0));
    say_times("f");
    t[0] = (struct timespec){ -100, 5 };
    t[1] = (struct timespec){ 4000000000, 6 };
    N(utimensat(AT_FDCWD, "f", t, 0));
    say_times("f");
    t[0].tv_nsec = 1000000000;
    N(utimensat(AT_FDCWD, "f", t, 0));
    t[0] = (struct timespec){ 11, 12 };
    t[1] = (struct timespec){ 13, 14 };
    N(utimensat(AT_FDCWD, "s", t, AT_SYMLINK_NOFOLLOW));
    say_times("s");
    N(utimensat(AT_FDCWD, "d", t, 0));
    say_times("d");
    N(utimensat(AT_FDCWD, "missing", t, 0));
    int fd = FD(open("f", O_RDONLY));
    N(futimens(fd, t));
    say_times("f");
    close(fd);
    struct stat before, after;
    N(stat("f", &before));
    t[0].tv_nsec = UTIME_NOW;
    t[1].tv_nsec = UTIME_NOW;
    N(utimensat(AT_FDCWD, "f", t, 0));
    N(stat("f", &after));
    N(after.st_mtim.tv_sec > before.st_mtim.tv_sec &&
      after.st_atim.tv_sec > before.st_atim.tv_sec);
    N(utimensat(AT_FDCWD, "f", NULL, 0));
}

/* Which calls move which time. */
static void attr_moved(const char *words, const struct stat *a, const struct stat *b)
{
    int is_m =
        a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec;
    int is_c =
        a->st_ctim.tv_sec != b->st_ctim.tv_sec || a->st_ctim.tv_nsec != b->st_ctim.tv_nsec;
    say_text(words, is_m ? is_c ? "mtime and ctime" : "mtime" : is_c ? "ctime" : "neither");
}

static void attr_changes(void)
{
    struct stat a, b;
    struct timespec t[2] = { { 50, 0 }, { 60, 0 } };
#define MOVES(path, call)                                                                      \
    do {                                                                                       \
        if (utimensat(AT_FDCWD, path, t, 0) < 0)                                               \
            break;                                                                             \
        usleep(20000); /* more than a tick of the clock that stamps files */                   \
        if (stat(path, &a) == 0 && (call) != -1 && stat(path, &b) == 0)                        \
            attr_moved(#call, &a, &b);                                                         \
    } while (0)
    int fd = FD(open("f", O_RDWR));
    MOVES("f", write(fd, "x", 1));
    MOVES("f", ftruncate(fd, 10));
    MOVES("f", chmod("f", 0600));
    MOVES("f", link("f", "f2"));
    MOVES("f", rename("f2", "f3"));
    MOVES("f", unlink("f3"));
    MOVES("f", setxattr("f", "user.x", "y", 1, 0));
    MOVES("d", close(open("d/new", O_CREAT | O_WRONLY, 0644)));
    MOVES("d", rename("d/new", "d/newer"));
    MOVES("d", unlink("d/newer"));
    MOVES("d", mkdir("d/sub", 0755));
    MOVES("d", rmdir("d/sub"));
    MOVES("d", symlink("x", "d/s"));
    close(fd);
}

static void attr_access(void)
{
    N(chmod("f", 0644));
    N(access("f", F_OK));
    N(access("f", R_OK));
    N(access("f", W_OK));
    N(access("f", X_OK));
    N(access("missing", F_OK));
    N(access("f/x", F_OK));
    N(chmod("f", 0));
    N(access("f", R_OK));
    N(access("f", W_OK));
    N(access("f", X_OK));
    N(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
    N(chmod("f", 0100));
    N(access("f", X_OK));
    N(chmod("f", 0644));
    N(access("d", R_OK | W_OK | X_OK));
    struct statvfs v;
    N(statvfs("f", &v));
    N(v.f_namemax);
    N(v.f_bsize);
    N(v.f_frsize);
    N(v.f_blocks > 0 && v.f_bfree <= v.f_blocks && v.f_bavail <= v.f_bfree);
    N(statvfs("missing", &v));
    int fd = FD(open("f", O_RDONLY));
    N(fstatvfs(fd, &v));
    int i = 0;
    N(ioctl(fd, FIONREAD, &i));
    N(i);
    N(ioctl(fd, FIGETBSZ, &i));
    N(ioctl(fd, FICLONE, 0));
    N(ioctl(fd, 0x12345678, &i));
    N(ioctl(fd, FIOCLEX));
    close(fd);
}

void part_attributes(void)
{
    attr_modes();
    attr_set_id();
    attr_owners();
    attr_times();
    attr_changes();
    attr_access();
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void say_list(const char *path)
{
    char text[4096], *names[64];
    size_t count = 0;
    ssize_t len = llistxattr(path, text, sizeof text);
    for (char *at = text; len > 0 && at < text + len && count < 64; at += strlen(at) + 1)
        names[count++] = at;
    qsort(names, count, sizeof *names, compare);
    for (size_t i = 0; i < count; i++)
        say_text(path, names[i]);
}

void part_xattr(void)
{
    char text[70000], big[70000];
    memset(big, 'b', sizeof big);
    make_file("f", "content");
    N(mkdir("d", 0755));
    N(symlink("f", "s"));
    N(listxattr("f", NULL, 0));
    N(setxattr("f", "user.one", "1", 1, 0));
    N(setxattr("f", "user.one", "one", 3, 0));
    N(setxattr("f", "user.one", "x", 1, XATTR_CREATE));
    N(setxattr("f", "user.two", "x", 1, XATTR_REPLACE));
    N(setxattr("f", "user.two", "two", 3, XATTR_CREATE));
    N(setxattr("f", "user.two", "two!", 4, XATTR_REPLACE));
    N(setxattr("f", "user.empty", "", 0, 0));
    N(setxattr("f", "user.binary", "\0\1\377", 3, 0));
    say_list("f");
    N(getxattr("f", "user.one", NULL, 0));
    N(getxattr("f", "user.one", text, 2));
    N(getxattr("f", "user.one", text, sizeof text));
    N(memcmp(text, "one", 3));
    N(getxattr("f", "user.empty", text, sizeof text));
    N(getxattr("f", "user.binary", text, sizeof text));
    N(memcmp(text, "\0\1\377", 3));
    N(getxattr("f", "user.missing", text, sizeof text));
    N(getxattr("missing", "user.one", text, sizeof text));
    N(listxattr("f", text, 3));
    N(removexattr("f", "user.one"));
    N(removexattr("f", "user.one"));
    say_list("f");
    N(setxattr("f", "user.", "x", 1, 0));
    N(setxattr("f", "nonsense", "x", 1, 0));
    N(setxattr("f", "", "x", 1, 0));
    N(getxattr("f", "nonsense.x", text, sizeof text));
    N(setxattr("f", "user.big", big, 3000, 0));
    N(getxattr("f", "user.big", text, sizeof text));
    N(memcmp(text, big, 3000));
    N(setxattr("f", "user.huge", big, 65537, 0));
    N(setxattr("d", "user.dir", "d", 1, 0));
    N(getxattr("d", "user.dir", text, sizeof text));
    N(lsetxattr("s", "user.link", "l", 1, 0));
    N(lgetxattr("s", "user.link", text, sizeof text));
    N(setxattr("s", "user.through", "t", 1, 0));
    N(getxattr("f", "user.through", text, sizeof text));
    N(lsetxattr("s", "trusted.link", "l", 1, 0));
    N(setxattr("f", "trusted.t", "t", 1, 0));
    N(getxattr("f", "trusted.t", text, sizeof text));
    N(getxattr("f", "security.capability", text, sizeof text));
    int fd = FD(open("f", O_RDONLY));
    N(fsetxattr(fd, "user.by-fd", "x", 1, 0));
    N(fgetxattr(fd, "user.by-fd", text, sizeof text));
    N(fremovexattr(fd, "user.by-fd"));
    close(fd);
    N(chmod("f", 0444));
    N(setxattr("f", "user.readonly", "x", 1, 0));
    say_list("f");
    say_list("s");
    say_list("d");
}

/* ACLs as the xattrs hold them: u32 version 2; then u16 tag, u16 rights, u32 id. */
struct acl_entry {
    uint16_t tag, rights;
    uint32_t id;
};
struct acl {
    uint32_t version;
    struct acl_entry entries[8];
};
enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

static size_t acl_make(struct acl *a, uint32_t user, uint16_t rights)
{
    *a = (struct acl){ 2,
                       { { USER_OBJ, 7, UINT32_MAX },
                         { USER, rights, user },
                         { GROUP_OBJ, 5, UINT32_MAX },
                         { MASK, 7, UINT32_MAX },
                         { OTHER, 0, UINT32_MAX } } };
    return 4 + 5 * sizeof(struct acl_entry);
}

static void say_acl(const char *path, const char *name)
{
    struct acl a;
    ssize_t n = getxattr(path, name, &a, sizeof a);
    say_number(path, n);
    for (ssize_t i = 0; n > 4 && i < (n - 4) / (ssize_t)sizeof *a.entries; i++) {
        char text[80];
        snprintf(text, sizeof text, "tag %u rights %o id %u", a.entries[i].tag,
                 a.entries[i].rights, a.entries[i].id);
        say_text(path, text);
    }
}

void part_acl(void)
{
    struct acl a;
    static const char access_acl[] = "system.posix_acl_access";
    static const char default_acl[] = "system.posix_acl_default";
    make_file("f", "content");
    N(mkdir("d", 0755));
    say_acl("f", access_acl);
    size_t len = acl_make(&a, 12345, 6);
    N(setxattr("f", access_acl, &a, len, 0));
    say_acl("f", access_acl);
    say_stat("f");
    N(chmod("f", 0640));
    say_acl("f", access_acl);
    N(setxattr("f", default_acl, &a, len, 0));
    N(setxattr("f", access_acl, &a, len - 3, 0));
    a.version = 7;
    N(setxattr("f", access_acl, &a, len, 0));
    N(removexattr("f", access_acl));
    say_stat("f");
    say_acl("f", access_acl);
    len = acl_make(&a, 12345, 7);
    N(setxattr("d", default_acl, &a, len, 0));
    say_stat("d");
    mode_t old = umask(077); /* a default ACL takes the umask's place */
    int fd = FD(open("d/f", O_RDWR | O_CREAT, 0666));
    if (fd >= 0)
        close(fd);
    N(mkdir("d/d", 0777));
    umask(old);
    say_stat("d/f");
    say_acl("d/f", access_acl);
    say_stat("d/d");
    say_acl("d/d", access_acl);
    say_acl("d/d", default_acl);
    N(removexattr("d", default_acl));
    say_acl("d", default_acl);
    /* rights that only the ACL gives or takes */
    acl_make(&a, getuid(), 0);
    N(setxattr("f", access_acl, &a, len, 0));
    fd = FD(open("f", O_RDONLY));
    if (fd >= 0)
        close(fd);
}

/* As an ordinary user these are refused; root may do most of them everywhere. */
void part_rights(void)
{
    make_file("f", "content");
    N(mkdir("closed", 0755));
    make_file("closed/f", "inside");
    N(mkdir("readonly", 0755));
    make_file("readonly/f", "inside");
    N(chmod("f", 0));
    int fd = FD(open("f", O_RDONLY));
    if (fd >= 0)
        close(fd);
    fd = FD(open("f", O_WRONLY));
    if (fd >= 0)
        close(fd);
    N(truncate("f", 0));
    N(chmod("f", 0444));
    fd = FD(open("f", O_RDWR));
    if (fd >= 0)
        close(fd);
    N(chmod("closed", 0));
    say_stat("closed/f");
    fd = FD(open("closed/f", O_RDONLY));
    if (fd >= 0)
        close(fd);
    fd = FD(open("closed", O_RDONLY));
    if (fd >= 0)
        close(fd);
    N(chdir("closed"));
    if (access("f", F_OK) == 0 && access("closed", F_OK) != 0)
        N(chdir(".."));
    N(chmod("closed", 0400));
    say_stat("closed/f");
    N(chmod("closed", 0100));
    say_stat("closed/f");
    fd = FD(open("closed", O_RDONLY));
    if (fd >= 0)
        close(fd);
    N(chmod("closed", 0700));
    N(chmod("readonly", 0555));
    fd = FD(open("readonly/new", O_RDWR | O_CREAT, 0644));
    if (fd >= 0)
        close(fd);
    N(unlink("readonly/f"));
    N(mkdir("readonly/d", 0755));
    N(rename("f", "readonly/g"));
    N(rename("readonly/g", "g"));
    N(link("f", "readonly/l"));
    N(symlink("f", "readonly/s"));
    N(mkfifo("readonly/p", 0644));
    N(rmdir("readonly"));
    N(chmod("readonly", 0755));
    /* scripts and programs */
    make_file("script", "#!/bin/sh\nexit 7\n");
    N(execl("./script", "script", NULL));
    N(chmod("script", 0755));
    N(access("script", X_OK));
    say_number("script's exit", system("./script"));
    N(chmod("script", 0));
    N(access("script", X_OK));
}
