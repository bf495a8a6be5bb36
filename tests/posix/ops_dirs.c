/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops_dirs.c: listing directories, special files, long paths. */
#include "tests/posix/fsops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

enum { MANY = 700 };

static long count_entries(DIR *d, unsigned char *seen)
{
    struct dirent *e;
    long count = 0;
    while ((e = readdir(d)) != NULL) {
        count++;
        int i;
        if (seen && sscanf(e->d_name, "entry-%d", &i) == 1 && i >= 0 && i < MANY)
            seen[i]++;
    }
    return count;
}

/* telldir at every entry; then seekdir back to each and read the same name. */
static void dir_seek(const char *path)
{
    static long where[MANY + 2];
    static char names[MANY + 2][256];
    DIR *d = opendir(path);
    struct dirent *e;
    long n = 0, wrong = 0;
    if (!d)
        return;
    for (;;) {
        long at = telldir(d);
        e = readdir(d);
        if (!e || n == MANY + 2)
            break;
        where[n] = at;
        snprintf(names[n++], sizeof names[0], "%s", e->d_name);
    }
    N(n);
    for (long i = 0; i < n; i++) {
        long k = (i * 7919) % n;
        seekdir(d, where[k]);
        e = readdir(d);
        wrong += !e || strcmp(e->d_name, names[k]) != 0;
    }
    N(wrong);
    rewinddir(d);
    N(count_entries(d, NULL));
    closedir(d);
}

static void dir_types(void)
{
    static const char *const names[] = { "t/dir", "t/file", "t/fifo", "t/link", "t/sock" };
    N(mkdir("t", 0755));
    N(mkdir(names[0], 0755));
    make_file(names[1], "");
    N(mkfifo(names[2], 0644));
    N(symlink("x", names[3]));
    N(mknod(names[4], S_IFSOCK | 0644, 0));
    DIR *d = opendir("t");
    struct dirent *e;
    int types[256] = { 0 }, same = 0;
    struct stat st;
    while (d && (e = readdir(d)) != NULL) {
        char path[300];
        types[e->d_type]++;
        snprintf(path, sizeof path, "t/%s", e->d_name);
        if (strcmp(e->d_name, "..") && lstat(path, &st) == 0)
            same += st.st_ino == e->d_ino;
    }
    N(types[DT_DIR]);
    N(types[DT_REG]);
    N(types[DT_FIFO]);
    N(types[DT_LNK]);
    N(types[DT_SOCK]);
    N(same);
    if (d)
        closedir(d);
}

static void dir_removing(void)
{
    /* everything is seen once although what was seen is removed */
    DIR *d = opendir("many");
    struct dirent *e;
    long removed = 0;
    while (d && (e = readdir(d)) != NULL)
        if (e->d_name[0] != '.')
            removed += unlinkat(dirfd(d), e->d_name, 0) == 0;
    if (d)
        closedir(d);
    N(removed);
    N(rmdir("many"));
}

void part_dirs(void)
{
    static unsigned char seen[MANY];
    N(mkdir("many", 0755));
    int made = 0, once = 0;
    for (int i = 0; i < MANY; i++) {
        char path[64];
        snprintf(path, sizeof path, "many/entry-%d", i);
        int fd = open(path, O_CREAT | O_WRONLY, 0644);
        made += fd >= 0;
        if (fd >= 0)
            close(fd);
    }
    N(made);
    DIR *d = opendir("many");
    N(d != NULL);
    if (d) {
        N(count_entries(d, seen));
        closedir(d);
    }
    for (int i = 0; i < MANY; i++)
        once += seen[i] == 1;
    N(once);
    dir_seek("many");
    dir_types();
    N(opendir("many/entry-0") != NULL);
    N(opendir("missing") != NULL);
    int fd = FD(open("many", O_RDONLY | O_DIRECTORY));
    N(fsync(fd));
    N(fdatasync(fd));
    N(lseek(fd, 0, SEEK_SET));
    close(fd);
    dir_removing();
    /* a new file is seen after rewinddir */
    N(mkdir("grow", 0755));
    d = opendir("grow");
    N(count_entries(d, NULL));
    make_file("grow/x", "");
    rewinddir(d);
    N(count_entries(d, NULL));
    closedir(d);
    N(mkdir("gone", 0755));
    d = opendir("gone");
    N(rmdir("gone"));
    N(count_entries(d, NULL));
    closedir(d);
}

static void special_fifo(void)
{
    char c[8] = "";
    N(mkfifo("fifo", 0640));
    N(mkfifo("fifo", 0640));
    say_stat("fifo");
    FD(open("fifo", O_WRONLY | O_NONBLOCK));
    int r = FD(open("fifo", O_RDONLY | O_NONBLOCK));
    int w = FD(open("fifo", O_WRONLY | O_NONBLOCK));
    N(write(w, "through", 7));
    struct pollfd p = { .fd = r, .events = POLLIN };
    N(poll(&p, 1, 1000));
    N(read(r, c, 8));
    say_text("fifo", c);
    N(lseek(r, 0, SEEK_CUR));
    close(w);
    N(read(r, c, 8));
    close(r);
    N(unlink("fifo"));
}

static void special_socket(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "sock" };
    int s = FD(socket(AF_UNIX, SOCK_STREAM, 0)), c = FD(socket(AF_UNIX, SOCK_STREAM, 0));
    N(bind(s, (struct sockaddr *)&a, sizeof a));
    say_stat("sock");
    N(listen(s, 1));
    N(connect(c, (struct sockaddr *)&a, sizeof a));
    FD(open("sock", O_RDWR));
    int again = FD(socket(AF_UNIX, SOCK_STREAM, 0));
    N(bind(again, (struct sockaddr *)&a, sizeof a));
    close(again);
    close(s);
    close(c);
    again = FD(socket(AF_UNIX, SOCK_STREAM, 0));
    N(connect(again, (struct sockaddr *)&a, sizeof a));
    close(again);
    N(unlink("sock"));
}

void part_special(void)
{
    special_fifo();
    special_socket();
    N(mknod("node-file", S_IFREG | 0600, 0));
    say_stat("node-file");
    N(mknod("node-fifo", S_IFIFO | 0600, 0));
    N(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
    say_stat("null");
    N(mknod("loop", S_IFBLK | 0660, makedev(7, 0x12345)));
    say_stat("loop");
    N(mknod("dir", S_IFDIR | 0755, 0));
    make_file("f", "content");
    int fd = FD(open("f", O_RDONLY));
    struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
    N(poll(&p, 1, 1000));
    N(p.revents);
    close(fd);
}

/* As deep as a path may be, entered piece by piece; then by whole paths near the limit. */
void part_long(void)
{
    char piece[201], path[4200] = "";
    memset(piece, 'p', 200);
    piece[200] = 0;
    int top = FD(open(".", O_RDONLY | O_DIRECTORY));
    int depth = 0;
    for (; depth < 25; depth++) {
        if (mkdir(piece, 0755) < 0 || chdir(piece) < 0)
            break;
    }
    N(depth);
    make_file("bottom", "deep");
    say_file("bottom");
    N(fchdir(top));
    size_t len = 0;
    for (int i = 0; i < 20; i++)
        len += (size_t)snprintf(path + len, sizeof path - len, "%s/", piece);
    N(strlen(path));
    memset(piece, 'q', 76);
    piece[75] = 0;
    len += (size_t)snprintf(path + len, sizeof path - len, "%s", piece); /* 4095 characters */
    N(strlen(path));
    int fd = FD(open(path, O_RDWR | O_CREAT, 0644));
    N(write(fd, "x", 1));
    if (fd >= 0)
        close(fd);
    say_number("stat of 4095 characters", access(path, F_OK));
    snprintf(path + len, sizeof path - len, "q");
    say_number("stat of 4096 characters", access(path, F_OK));
    close(top);
}
