/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops_names.c: opening, making, removing, linking, renaming. */
#include "tests/posix/fsops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void shut(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void open_errors(void)
{
    shut(FD(open("missing", O_RDONLY)));
    shut(FD(open("", O_RDONLY)));
    shut(FD(open("f/x", O_RDONLY)));
    shut(FD(open("f/", O_RDONLY)));
    shut(FD(open("f/.", O_RDONLY)));
    shut(FD(open("f", O_RDONLY | O_DIRECTORY)));
    shut(FD(open("d", O_WRONLY)));
    shut(FD(open("d", O_RDWR)));
    shut(FD(open("d", O_RDONLY)));
    shut(FD(open("d", O_RDONLY | O_CREAT, 0644)));
    shut(FD(open("d/", O_RDONLY | O_CREAT, 0644)));
    shut(FD(open("new/", O_RDONLY | O_CREAT, 0644)));
    shut(FD(open("d", O_RDONLY | O_TRUNC)));
    shut(FD(open("f", O_RDWR | O_CREAT | O_EXCL, 0644)));
    shut(FD(open("link", O_RDONLY | O_NOFOLLOW)));
    shut(FD(open("link", O_RDWR | O_CREAT | O_EXCL, 0644)));
    shut(FD(open("dangling", O_RDONLY)));
    shut(FD(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0644)));
    shut(FD(open("dangling", O_RDWR | O_CREAT, 0644)));
    say_stat("nowhere");
    shut(FD(open("loop", O_RDONLY)));
    shut(FD(open("loop/x", O_RDONLY)));
    shut(FD(open("link/x", O_RDONLY)));
    shut(FD(open("nodir/x", O_RDWR | O_CREAT, 0644)));
}

static void open_modes(void)
{
    mode_t old = umask(027);
    shut(FD(open("m1", O_RDWR | O_CREAT, 0666)));
    say_stat("m1");
    umask(0);
    shut(FD(open("m2", O_RDWR | O_CREAT, 0777)));
    say_stat("m2");
    shut(FD(open("m3", O_RDWR | O_CREAT, 07755)));
    say_stat("m3");
    int fd = FD(open("m4", O_RDWR | O_CREAT, 0));
    N(write(fd, "writable though mode 0", 22));
    say_fstat("m4", fd);
    shut(fd);
    shut(FD(open("m5", O_RDONLY | O_CREAT | O_TRUNC, 0600)));
    say_stat("m5");
    umask(old);
}

static void open_truncates(void)
{
    make_file("t", "0123456789");
    shut(FD(open("t", O_WRONLY | O_TRUNC)));
    say_stat("t");
    make_file("t", "0123456789");
    shut(FD(open("t", O_RDONLY | O_TRUNC)));
    say_stat("t");
    make_file("t", "0123456789");
    int fd = FD(open("t", O_RDWR | O_CREAT, 0600));
    N(write(fd, "ab", 2));
    shut(fd);
    say_file("t");
}

static void open_access_modes(void)
{
    char c[8];
    int fd = FD(open("f", O_RDONLY));
    N(write(fd, "x", 1));
    N(ftruncate(fd, 0));
    shut(fd);
    fd = FD(open("f", O_WRONLY));
    N(read(fd, c, 1));
    shut(fd);
    fd = FD(open("f", O_PATH));
    N(read(fd, c, 1));
    N(fchmod(fd, 0600));
    say_fstat("by O_PATH", fd);
    shut(fd);
    fd = FD(open("link", O_PATH | O_NOFOLLOW));
    say_fstat("link by O_PATH", fd);
    N(readlinkat(fd, "", c, sizeof c));
    shut(fd);
}

static void open_append(void)
{
    char c[32] = "";
    make_file("a", "one");
    int fd = FD(open("a", O_RDWR | O_APPEND));
    N(write(fd, "two", 3));
    N(lseek(fd, 0, SEEK_CUR));
    N(pwrite(fd, "three", 5, 0)); /* appends, as Linux does */
    N(lseek(fd, 0, SEEK_SET));
    N(read(fd, c, sizeof c - 1));
    say_text("a", c);
    N(fcntl(fd, F_SETFL, 0));
    N(pwrite(fd, "ONE", 3, 0));
    N(fcntl(fd, F_GETFL) & O_APPEND);
    N(fcntl(fd, F_SETFL, O_APPEND));
    N(write(fd, "four", 4));
    shut(fd);
    say_file("a");
    fd = FD(open("a", O_WRONLY));
    N(fcntl(fd, F_SETFL, O_APPEND));
    N(pwrite(fd, "five", 4, 2));
    shut(fd);
    say_file("a");
}

static void open_tmpfile(void)
{
    char path[64], c[32] = "";
    int fd = FD(open(".", O_RDWR | O_TMPFILE, 0640));
    if (fd >= 0) {
        N(write(fd, "unnamed", 7));
        say_fstat("unnamed", fd);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        N(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
        say_fstat("named", fd);
        N(pread(fd, c, sizeof c - 1, 0));
        shut(fd);
        say_file("named");
        N(unlink("named"));
    }
    fd = FD(open("d", O_RDWR | O_TMPFILE | O_EXCL, 0640));
    if (fd >= 0) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        N(linkat(AT_FDCWD, path, AT_FDCWD, "named2", AT_SYMLINK_FOLLOW));
        shut(fd);
    }
    shut(FD(open("d", O_RDONLY | O_TMPFILE, 0640)));
    shut(FD(open("f", O_RDWR | O_TMPFILE, 0640)));
    shut(FD(open("nodir", O_RDWR | O_TMPFILE, 0640)));
}

void part_open(void)
{
    make_file("f", "content");
    N(mkdir("d", 0755));
    N(symlink("f", "link"));
    N(symlink("nowhere", "dangling"));
    N(symlink("loop", "loop"));
    open_errors();
    open_modes();
    open_truncates();
    open_access_modes();
    open_append();
    open_tmpfile();
}

static void name_lengths(void)
{
    char name[300];
    memset(name, 'n', sizeof name);
    name[255] = 0;
    shut(FD(open(name, O_RDWR | O_CREAT, 0644)));
    N(mkdir(name, 0755));
    N(unlink(name));
    name[255] = 'n';
    name[256] = 0;
    shut(FD(open(name, O_RDWR | O_CREAT, 0644)));
    shut(FD(open(name, O_RDONLY)));
    N(mkdir(name, 0755));
    N(unlink(name));
    N(rename("f", name));
    N(symlink("x", name));
    N(link("f", name));
}

/* Every byte that a name may hold. */
static void name_bytes(void)
{
    char name[3] = "";
    int made = 0, found = 0, removed = 0;
    N(mkdir("bytes", 0755));
    for (int c = 1; c < 256; c++) {
        if (c == '/')
            continue;
        struct stat st;
        char path[16];
        name[0] = (char)c;
        name[1] = c == '.' ? '_' : 0;
        snprintf(path, sizeof path, "bytes/%s", name);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        made += fd >= 0;
        shut(fd);
        found += stat(path, &st) == 0;
    }
    N(made);
    N(found);
    make_file("bytes/ends in space ", "1");
    make_file("bytes/\xff\xfe\n\t\x01", "2");
    make_file("bytes/\xc3\xa4\xe2\x82\xac", "3");
    make_file("bytes/-rf", "4");
    make_file("bytes/...", "5");
    say_file("bytes/\xff\xfe\n\t\x01");
    for (int c = 1; c < 256; c++) {
        char path[16];
        name[0] = (char)c;
        name[1] = c == '.' ? '_' : 0;
        snprintf(path, sizeof path, "bytes/%s", name);
        removed += c != '/' && unlink(path) == 0;
    }
    N(removed);
    N(unlink("bytes/\xff\xfe\n\t\x01"));
}

static void name_dirs(void)
{
    N(mkdir("d", 0755));
    N(mkdir("d", 0755));
    N(mkdir("f", 0755));
    N(mkdir("f/x", 0755));
    N(mkdir("nodir/x", 0755));
    N(mkdir("d/", 0755));
    N(mkdir("e/", 0755));
    N(mkdir(".", 0755));
    N(mkdir("dangling", 0755));
    say_stat("d");
    N(mkdir("d/sub", 0700));
    say_stat("d");
    N(rmdir("d"));
    N(rmdir("f"));
    N(rmdir("missing"));
    N(rmdir("."));
    N(rmdir("d/sub/.."));
    N(rmdir("link"));
    N(unlink("d"));
    N(unlink("d/sub"));
    N(rmdir("d/sub"));
    say_stat("d");
    N(rmdir("e"));
    mode_t old = umask(0);
    N(mkdir("wide", 07777));
    say_stat("wide");
    umask(077);
    N(mkdir("narrow", 0777));
    say_stat("narrow");
    umask(old);
    N(chmod("wide", 02775));
    N(mkdir("wide/inherits", 0755));
    say_stat("wide/inherits");
    make_file("wide/file", "");
    say_stat("wide/file");
}

static void name_links(void)
{
    char text[5000];
    N(link("f", "hard"));
    say_stat("f");
    N(link("f", "hard"));
    N(link("d", "dirlink"));
    N(link("missing", "x"));
    N(link("f", "nodir/x"));
    N(link("f", "f/x"));
    N(link("dangling", "linked-link"));
    say_stat("linked-link");
    N(linkat(AT_FDCWD, "link", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
    say_stat("f");
    N(unlink("f"));
    say_stat("hard");
    say_file("hard");
    N(rename("hard", "f"));
    N(unlink("followed"));
    say_stat("f");
    N(symlink("target", "s1"));
    N(symlink("target", "s1"));
    N(symlink("", "s2"));
    N(symlink("/absolute/\xff", "s3"));
    memset(text, 's', sizeof text);
    text[4095] = 0;
    N(symlink(text, "s4"));
    say_stat("s4");
    N(readlink("s4", text, sizeof text));
    text[4095] = 's';
    text[4096] = 0;
    N(symlink(text, "s5"));
    memset(text, 0, 100);
    N(readlink("s1", text, 3));
    say_text("s1", text);
    memset(text, 0, 100);
    N(readlink("s3", text, 99));
    say_text("s3", text);
    N(readlink("f", text, 99));
    N(readlink("d", text, 99));
    N(readlink("missing", text, 99));
    N(unlink("s1"));
    N(unlink("missing"));
    N(unlink("f/x"));
    N(unlink("dangling"));
}

static void name_unlinked(void)
{
    char c[32] = "";
    make_file("u", "still here");
    int fd = FD(open("u", O_RDWR));
    N(unlink("u"));
    say_fstat("unlinked", fd);
    N(read(fd, c, sizeof c - 1));
    say_text("unlinked", c);
    N(pwrite(fd, "more", 4, 10));
    N(ftruncate(fd, 12));
    N(fchmod(fd, 0600));
    N(fchown(fd, (uid_t)-1, (gid_t)-1));
    say_fstat("unlinked", fd);
    make_file("u", "another");
    memset(c, 0, sizeof c);
    N(pread(fd, c, sizeof c - 1, 0));
    say_text("unlinked", c);
    say_file("u");
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    shut(FD(open(path, O_RDWR)));
    N(chmod(path, 0640));
    say_fstat("unlinked", fd);
    shut(fd);
    /* renamed over while open */
    make_file("v", "old");
    make_file("w", "new");
    fd = FD(open("v", O_RDONLY));
    N(rename("w", "v"));
    memset(c, 0, sizeof c);
    N(read(fd, c, sizeof c - 1));
    say_text("replaced", c);
    say_fstat("replaced", fd);
    shut(fd);
    say_file("v");
}

static void name_lost_directory(void)
{
    N(mkdir("gone", 0755));
    int fd = FD(open("gone", O_RDONLY | O_DIRECTORY));
    N(rmdir("gone"));
    shut(FD(openat(fd, "x", O_RDWR | O_CREAT, 0644)));
    N(mkdirat(fd, "x", 0755));
    shut(FD(openat(fd, "x", O_RDONLY)));
    say_fstat("gone", fd);
    shut(fd);
}

void part_names(void)
{
    make_file("f", "content");
    N(symlink("d", "link"));
    N(symlink("nowhere", "dangling"));
    name_lengths();
    name_bytes();
    name_dirs();
    name_links();
    name_unlinked();
    name_lost_directory();
}

static int renameat2_(const char *from, const char *to, unsigned flags)
{
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

/* Between two directories, back, over what is there, and with directories, whose ".." goes
 * along. */
static void rename_across(void)
{
    N(mkdir("one", 0755));
    N(mkdir("two", 0755));
    make_file("one/f", "F");
    make_file("two/there", "THERE");
    N(rename("one/f", "two/g"));
    say_stat("one/f");
    say_file("two/g");
    N(rename("two/g", "two/there"));
    N(rename("two/there", "one/f"));
    say_file("one/f");
    N(rmdir("two"));
    N(mkdir("two", 0755));
    N(mkdir("one/sub", 0755));
    make_file("one/sub/in", "IN");
    N(rename("one/sub", "two/sub"));
    say_stat("one");
    say_stat("two");
    say_file("two/sub/../sub/in");
    N(rename("two", "two/sub/two"));
    N(rename("two/sub", "one/f"));
    N(rename("one/f", "two/sub"));
    N(mkdir("one/sub", 0755));
    N(rename("two/sub", "one/sub"));
    N(rename("one/sub", "two/sub"));
    N(renameat2_("one/f", "two/sub", 1));
    N(renameat2_("one/f", "two/f", 1));
    N(rename("two/f", "two/sub/f"));
    N(rename("two/sub/f", "f"));
    N(rename("two/sub", "sub"));
    say_file("f");
    say_file("sub/in");
    N(chmod("two", 0555));
    N(rename("f", "two/f"));
    N(chmod("two", 0755));
    N(chmod("sub", 0555));
    N(rename("sub", "two/sub"));
    N(chmod("sub", 0755));
    N(chmod("two", 01777));
    N(rename("f", "two/f"));
    N(rename("two/f", "one/f"));
    N(rmdir("two"));
    N(rmdir("one"));
}

void part_rename(void)
{
    rename_across();
    make_file("a", "A");
    make_file("b", "B");
    N(mkdir("d", 0755));
    N(mkdir("e", 0755));
    N(mkdir("full", 0755));
    make_file("full/x", "X");
    N(rename("a", "c"));
    say_stat("a");
    say_file("c");
    N(rename("c", "b"));
    say_file("b");
    N(rename("missing", "x"));
    N(rename("b", "d"));
    N(rename("d", "b"));
    N(rename("d", "e"));
    say_stat("d");
    N(rename("e", "full"));
    N(rename("full", "full/sub"));
    N(rename("full", "full/x"));
    N(rename("full/x", "full"));
    N(rename("b", "b"));
    N(rename("b", "nodir/b"));
    N(rename("b", "b/x"));
    N(rename(".", "x"));
    N(rename("full/..", "x"));
    N(rename("b", "new/"));
    N(rename("full", "moved/"));
    say_file("moved/x");
    N(link("b", "b2"));
    N(rename("b", "b2"));
    say_stat("b");
    say_stat("b2");
    N(renameat2_("b", "b2", 1));
    N(renameat2_("b", "b3", 1));
    say_file("b3");
    make_file("p", "P");
    make_file("q", "Q");
    N(renameat2_("p", "q", 2));
    say_file("p");
    say_file("q");
    N(renameat2_("p", "moved", 2));
    say_stat("p");
    say_file("moved");
    say_file("p/x");
    N(renameat2_("p", "missing", 2));
    N(renameat2_("missing", "p", 2));
    N(renameat2_("p", "p/x", 2));
    N(renameat2_("q", "q2", 3));
    N(renameat2_("q", "q2", 8));
    N(renameat2_("missing", "moved", 1));
    N(symlink("q", "s"));
    N(rename("s", "s2"));
    say_stat("s2");
    N(rename("s2", "q"));
    say_stat("q");
    N(mkdir("deep", 0755));
    N(mkdir("deep/er", 0755));
    N(rename("deep/er", "er"));
    say_stat("deep");
    int fd = FD(open("moved", O_RDONLY));
    N(rename("moved", "er/moved"));
    char c[8] = "";
    N(read(fd, c, 7));
    say_text("moved while open", c);
    shut(fd);
}
