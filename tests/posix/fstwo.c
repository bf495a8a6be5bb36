/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fstwo.c: one directory seen in three places: what is done in one is seen in the others.
 *   usage: fstwo SERVED MOUNT-A MOUNT-B [late]     late: names changed in SERVED are seen a
 * moment later Must not know: what makes the three the same. */
#include "tests/posix/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *served, *mount_a, *mount_b;
static bool is_late;

static const char *in(const char *dir, const char *name)
{
    static char paths[8][4096];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    CHECK(fd >= 0, "%s", path);
    CHECK(pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text), "%s", path);
    CHECK(ftruncate(fd, (off_t)strlen(text)) == 0, "%s", path);
    CHECK(close(fd) == 0, "%s", path);
}

static void expect(const char *path, const char *text)
{
    char got[256] = "";
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0, "%s", path);
    ssize_t n = read(fd, got, sizeof got - 1);
    close(fd);
    CHECK(n == (ssize_t)strlen(text) && !memcmp(got, text, (size_t)n), "%s: '%s' not '%s'",
          path, got, text);
}

static void expect_fd(int fd, const char *text)
{
    char got[256] = "";
    ssize_t n = pread(fd, got, sizeof got - 1, 0);
    CHECK(n == (ssize_t)strlen(text) && !memcmp(got, text, (size_t)n), "'%s' not '%s'", got,
          text);
}

static pid_t start(void (*fn)(int), int arg)
{
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0, "fork");
    if (pid == 0) {
        alarm(60);
        fn(arg);
        _exit(0);
    }
    return pid;
}

static void finish(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0, "child: status %x", status);
}

/* ---- appending ---- */

enum { WRITERS = 6, RECORDS = 400, RECORD_BYTES = 37 };

static void appender(int who)
{
    char record[RECORD_BYTES + 1];
    int fd = open(in(who % 2 ? mount_a : mount_b, "log"), O_WRONLY | O_APPEND | O_CREAT, 0644);
    CHECK(fd >= 0, "log");
    for (int i = 0; i < RECORDS; i++) {
        snprintf(record, sizeof record, "writer %d record %06d %13s\n", who, i, "end");
        CHECK(write(fd, record, RECORD_BYTES) == RECORD_BYTES, "record");
    }
    close(fd);
}

static void test_append(void)
{
    pid_t pids[WRITERS];
    char line[100];
    static int count[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        pids[i] = start(appender, i);
    for (int i = 0; i < WRITERS; i++)
        finish(pids[i]);
    const char *dirs[] = { served, mount_a, mount_b };
    for (int d = 0; d < 3; d++) {
        FILE *f = fopen(in(dirs[d], "log"), "r");
        CHECK(f, "log");
        memset(count, 0, sizeof count);
        while (fgets(line, sizeof line, f)) {
            int who, record;
            char end[16];
            CHECK(strlen(line) == RECORD_BYTES &&
                      sscanf(line, "writer %d record %d %15s", &who, &record, end) == 3 &&
                      !strcmp(end, "end"),
                  "torn record '%s'", line);
            CHECK(who >= 0 && who < WRITERS && record == count[who],
                  "lost record of %d in %s: %d not %d", who, dirs[d], record, count[who]);
            count[who]++;
        }
        fclose(f);
        for (int i = 0; i < WRITERS; i++)
            CHECK(count[i] == RECORDS, "writer %d: %d records", i, count[i]);
    }
}

/* ---- seeing changes ---- */

static void settle(const char *here, const char *there);

static void test_contents(const char *here, const char *there)
{
    char text[100];
    put(in(here, "c"), "first");
    settle(here, there);
    expect(in(there, "c"), "first");
    int fd = open(in(there, "c"), O_RDONLY);
    CHECK(fd >= 0, "c");
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "round %05d", i); /* always the same length */
        put(in(here, "c"), text);
        expect(in(there, "c"), text);
    }
    put(in(here, "c"), "longer than it was before");
    expect_fd(fd, "longer than it was before");
    put(in(here, "c"), "short");
    expect_fd(fd, "short");
    /* same size, same mtime: only the ctime tells */
    struct stat st;
    CHECK(stat(in(here, "c"), &st) == 0, "c");
    put(in(here, "c"), "SHORT");
    struct timespec t[2] = { st.st_atim, st.st_mtim };
    CHECK(utimensat(AT_FDCWD, in(here, "c"), t, 0) == 0, "c");
    expect(in(there, "c"), "SHORT");
    close(fd);
}

/* With leases a program's change of names and attributes in the served directory is reported
 * after it is made, and one through a mount may be made after it is answered: nothing makes a
 * program there wait that only looks at names. */
static void settle(const char *here, const char *there)
{
    if (is_late && here != there && (here == served || there == served))
        usleep(100 * 1000);
}

static void test_names(const char *here, const char *there)
{
    struct stat a, b;
    CHECK(access(in(there, "n1"), F_OK) < 0 && errno == ENOENT, "n1");
    put(in(here, "n1"), "1");
    settle(here, there);
    expect(in(there, "n1"), "1");
    CHECK(rename(in(here, "n1"), in(here, "n2")) == 0, "n1");
    settle(here, there);
    CHECK(access(in(there, "n1"), F_OK) < 0 && errno == ENOENT, "n1");
    expect(in(there, "n2"), "1");
    put(in(here, "n3"), "3");
    settle(here, there);
    CHECK(rename(in(here, "n3"), in(here, "n2")) == 0, "n3");
    settle(here, there);
    expect(in(there, "n2"), "3");
    CHECK(chmod(in(here, "n2"), 0640) == 0, "n2");
    settle(here, there);
    CHECK(stat(in(there, "n2"), &a) == 0 && (a.st_mode & 07777) == 0640, "n2");
    CHECK(link(in(here, "n2"), in(here, "n4")) == 0, "n4");
    settle(here, there);
    CHECK(stat(in(there, "n2"), &a) == 0 && a.st_nlink == 2, "n2");
    CHECK(stat(in(there, "n4"), &b) == 0 && a.st_ino == b.st_ino, "n4");
    CHECK(unlink(in(here, "n2")) == 0, "n2");
    settle(here, there);
    CHECK(access(in(there, "n2"), F_OK) < 0 && errno == ENOENT, "n2");
    CHECK(unlink(in(there, "n4")) == 0, "n4");
    settle(there, here);
    CHECK(access(in(here, "n4"), F_OK) < 0 && errno == ENOENT, "n4");
    CHECK(mkdir(in(here, "nd"), 0755) == 0, "nd");
    settle(here, there);
    CHECK(rmdir(in(there, "nd")) == 0, "nd");
    settle(there, here);
    CHECK(mkdir(in(there, "nd"), 0755) == 0, "nd");
    settle(there, here);
    put(in(here, "nd/x"), "x");
    settle(here, there);
    CHECK(rmdir(in(there, "nd")) < 0 && errno == ENOTEMPTY, "nd");
    CHECK(unlink(in(there, "nd/x")) == 0, "nd");
    settle(there, here);
    CHECK(rmdir(in(here, "nd")) == 0, "nd");
    settle(there, here);
    settle(here, there);
}

/* Renamed or removed under an open file of the other side: nothing changes for the holder. */
static void test_held(const char *here, const char *there)
{
    put(in(here, "h"), "held");
    settle(here, there);
    int fd = open(in(there, "h"), O_RDWR);
    CHECK(fd >= 0, "h");
    CHECK(rename(in(here, "h"), in(here, "h2")) == 0, "h");
    settle(here, there);
    put(in(here, "h"), "impostor");
    settle(here, there);
    expect_fd(fd, "held");
    CHECK(pwrite(fd, "HELD", 4, 0) == 4, "h");
    expect(in(here, "h2"), "HELD");
    CHECK(unlink(in(here, "h2")) == 0, "h2");
    settle(here, there);
    expect_fd(fd, "HELD");
    CHECK(pwrite(fd, "still", 5, 0) == 5, "h");
    expect_fd(fd, "still");
    struct stat st;
    CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 5, "h");
    expect(in(there, "h"), "impostor");
    close(fd);
    CHECK(unlink(in(there, "h")) == 0, "h");
    settle(there, here);
}

static void test_mapped(const char *here, const char *there)
{
    put(in(here, "m"), "0123456789");
    settle(here, there);
    int fd = open(in(here, "m"), O_RDWR);
    char *p = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(fd >= 0 && p != MAP_FAILED, "m");
    memcpy(p + 3, "map", 3);
    CHECK(msync(p, 10, MS_SYNC) == 0, "m");
    expect(in(there, "m"), "012map6789");
    munmap(p, 10);
    close(fd);
}

/* ---- locks ---- */

static int to_child[2], to_parent[2];

static void tell(int fd)
{
    CHECK(write(fd, "", 1) == 1, "pipe");
}

static void hear(int fd)
{
    char c;
    CHECK(read(fd, &c, 1) == 1, "pipe");
}

static int lock(int fd, int cmd, int type, off_t start, off_t len)
{
    struct flock l = {
        .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len
    };
    return fcntl(fd, cmd, &l);
}

static int open_lock(const char *dir)
{
    int fd = open(in(dir, "lock"), O_RDWR | O_CREAT, 0644);
    CHECK(fd >= 0, "lock");
    return fd;
}

enum { POSIX_LOCK, OFD_LOCK, FLOCK_LOCK };

static int take(int fd, int kind, bool is_waiting)
{
    if (kind == FLOCK_LOCK)
        return flock(fd, LOCK_EX | (is_waiting ? 0 : LOCK_NB));
    int cmd = kind == POSIX_LOCK ? (is_waiting ? F_SETLKW : F_SETLK)
                                 : (is_waiting ? F_OFD_SETLKW : F_OFD_SETLK);
    return lock(fd, cmd, F_WRLCK, 0, 0);
}

static void holder(int kind)
{
    int fd = open_lock(mount_a);
    /* What the round before held through the other mount may take a moment to go: the kernel
     * doesn't let close() wait for FUSE. */
    CHECK(take(fd, kind, true) == 0, "kind %d", kind);
    tell(to_parent[1]);
    hear(to_child[0]); /* then: the parent waits, or will in a moment */
    usleep(100000);
    close(fd);
}

static void test_wake(int kind, const char *other)
{
    CHECK(pipe(to_child) == 0 && pipe(to_parent) == 0, "pipe");
    pid_t pid = start(holder, kind);
    hear(to_parent[0]);
    int fd = open_lock(other);
    CHECK(take(fd, kind, false) < 0 && errno == EAGAIN, "kind %d", kind);
    tell(to_child[1]);
    CHECK(take(fd, kind, true) == 0, "kind %d", kind);
    finish(pid);
    close(fd);
    for (int i = 0; i < 2; i++) {
        close(to_child[i]);
        close(to_parent[i]);
    }
}

/* Holds 10 through A, then wants 20. */
static void crosser(int unused)
{
    (void)unused;
    int fd = open_lock(mount_a);
    CHECK(lock(fd, F_SETLK, F_WRLCK, 10, 1) == 0, "10");
    tell(to_parent[1]);
    hear(to_child[0]);
    if (lock(fd, F_SETLKW, F_WRLCK, 20, 1) < 0 && errno == EDEADLK)
        _exit(35);
    _exit(0);
}

static void test_deadlock(void)
{
    CHECK(pipe(to_child) == 0 && pipe(to_parent) == 0, "pipe");
    pid_t pid = start(crosser, 0);
    int fd = open_lock(mount_b);
    CHECK(lock(fd, F_SETLK, F_WRLCK, 20, 1) == 0, "20");
    hear(to_parent[0]);
    tell(to_child[1]);
    int rc = lock(fd, F_SETLKW, F_WRLCK, 10, 1), error = errno, status;
    CHECK(rc == 0 || error == EDEADLK, "10");
    CHECK(lock(fd, F_SETLK, F_UNLCK, 0, 0) == 0, "unlock");
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "child %x", status);
    /* exactly one of the two was told */
    CHECK((rc < 0) != (WEXITSTATUS(status) == 35), "rc %d child %d", rc, WEXITSTATUS(status));
    close(fd);
}

static void counter(int who)
{
    const char *dir = who % 2 ? mount_a : mount_b;
    int fd = open(in(dir, "counter"), O_RDWR);
    for (int i = 0; fd < 0 && errno == ENOENT && is_late && i < 100; i++) {
        settle(served, mount_a); /* a program made the name there */
        fd = open(in(dir, "counter"), O_RDWR);
    }
    CHECK(fd >= 0, "counter");
    int l = open_lock(dir);
    for (int i = 0; i < 100; i++) {
        char text[16] = "";
        CHECK(lock(l, F_SETLKW, F_WRLCK, 0, 1) == 0, "lock");
        CHECK(pread(fd, text, sizeof text - 1, 0) > 0, "counter");
        snprintf(text, sizeof text, "%08d", atoi(text) + 1);
        CHECK(pwrite(fd, text, 8, 0) == 8, "counter");
        CHECK(lock(l, F_SETLK, F_UNLCK, 0, 1) == 0, "unlock");
    }
}

/* A counter that is only right if locks exclude and what is written under one is seen under the
 * next. */
static void test_counter(void)
{
    pid_t pids[4];
    put(in(served, "counter"), "00000000");
    settle(served, mount_a);
    for (int i = 0; i < 4; i++)
        pids[i] = start(counter, i);
    for (int i = 0; i < 4; i++)
        finish(pids[i]);
    expect(in(served, "counter"), "00000400");
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 5)
        return 99;
    is_late = argc == 5 && !strcmp(argv[4], "late");
    served = argv[1];
    mount_a = argv[2];
    mount_b = argv[3];
    alarm(120); /* nothing may hang */
    const char *dirs[] = { served, mount_a, mount_b };
    for (int i = 0; i < 9; i++) {
        const char *here = dirs[i / 3], *there = dirs[i % 3];
        test_contents(here, there);
        test_names(here, there);
        test_held(here, there);
        test_mapped(here, there);
    }
    puts("contents, names, held files, mappings: ok");
    test_append();
    puts("append: ok");
    for (int kind = POSIX_LOCK; kind <= FLOCK_LOCK; kind++) {
        test_wake(kind, mount_b);
        test_wake(kind, mount_a);
        test_wake(kind, served);
    }
    puts("locks: ok");
    test_deadlock();
    puts("deadlock: ok");
    test_counter();
    puts("counter: ok");
    return 0;
}
