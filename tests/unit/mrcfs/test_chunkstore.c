/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_chunkstore.c: chunks on disk: damage, crashes at every step, full disks, other
 * processes, making room. */
#include "tests/lib/unit.h"

#include "mrcfs/chunkstore.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MEGA = 1 << 20 };
static char dir[] = "/tmp/test-chunkstore-XXXXXX";
static uint8_t bytes[MFS_CHUNK_BYTES], loaded[MFS_CHUNK_BYTES];

static int start(void **state UNUSED)
{
    memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st;
    (void)type;
    (void)f;
    return remove(path);
}

static int end(void **state UNUSED)
{
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct mfs_store *open_with(const struct mfs_store_opts *o)
{
    struct mfs_store *s;
    struct err e = { "" };
    if (mfs_store_open(o, &s, &e) < 0)
        fail_msg("%s", e.text);
    return s;
}

static struct mfs_store *open_store(uint64_t limit)
{
    return open_with(&(struct mfs_store_opts){ .dir = dir, .limit_bytes = limit });
}

/* Contents number n in `bytes`, and their name. */
static struct mfs_chunk_name make(uint32_t n)
{
    struct mfs_chunk_name name;
    for (size_t i = 0; i < sizeof bytes; i++) {
        n = n * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(n >> 24);
    }
    mfs_chunk_name_of(&name, bytes, sizeof bytes);
    return name;
}

static int add(struct mfs_store *s, uint32_t n)
{
    struct mfs_chunk_name name = make(n);
    return mfs_store_add(s, &name, bytes, sizeof bytes);
}

static ssize_t load(struct mfs_store *s, uint32_t n)
{
    struct mfs_chunk_name name = make(n);
    ssize_t rc = mfs_store_load(s, &name, loaded);
    if (rc >= 0) {
        assert_int_equal(rc, sizeof bytes);
        assert_memory_equal(loaded, bytes, sizeof bytes);
    }
    return rc;
}

static const char *path_of(uint32_t n)
{
    static char path[256];
    struct mfs_chunk_name name = make(n);
    int used = snprintf(path, sizeof path, "%s/chunks/%02x/", dir, name.bytes[0]);
    for (size_t i = 1; i < sizeof name.bytes; i++)
        used += snprintf(path + used, sizeof path - (size_t)used, "%02x", name.bytes[i]);
    return path;
}

static struct mfs_store_usage usage(struct mfs_store *s)
{
    struct mfs_store_usage u;
    assert_ok(mfs_store_scan(s, NULL, NULL, &u));
    return u;
}

/* Files in the store's own directory that are not chunks. */
static unsigned temps(void)
{
    char command[256];
    unsigned count = 99;
    snprintf(command, sizeof command, "ls %s/chunks | grep -c ^new-", dir);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &count), 1);
    pclose(f);
    return count;
}

TEST(what_is_added_is_found_by_the_next)
{
    struct mfs_store *s = open_store(0);
    assert_error(load(s, 1), ENOENT);
    assert_ok(add(s, 1));
    assert_ok(add(s, 1));
    assert_ok(load(s, 1));
    mfs_store_close(s);
    s = open_store(0);
    assert_ok(load(s, 1));
    struct mfs_store_usage u = usage(s);
    assert_int_equal(u.chunks, 1);
    assert_int_equal(u.bytes, sizeof bytes);
    assert_true(u.limit_bytes > 0 && u.limit_bytes <= MFS_STORE_BYTES_MAX);
    struct stat st;
    assert_int_equal(stat(path_of(1), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    uint64_t removed;
    assert_ok(mfs_store_clear(s, &removed, NULL));
    assert_int_equal(removed, sizeof bytes);
    assert_error(load(s, 1), ENOENT);
    assert_int_equal(temps(), 0);
    mfs_store_close(s);
}

TEST(short_and_wrong_chunks)
{
    struct mfs_store *s = open_store(0);
    struct mfs_chunk_name name;
    make(1);
    mfs_chunk_name_of(&name, bytes, 5);
    assert_ok(mfs_store_add(s, &name, bytes, 5));
    assert_int_equal(mfs_store_load(s, &name, loaded), 5);
    assert_error(mfs_store_add(s, &name, bytes, 6), EINVAL);
    name.bytes[3] ^= 1;
    assert_error(mfs_store_add(s, &name, bytes, 5), EINVAL);
    assert_error(mfs_store_add(s, &name, bytes, 0), EINVAL);
    assert_int_equal(usage(s).chunks, 1);
    mfs_store_close(s);
}

TEST(damage_is_seen_and_removed)
{
    struct mfs_store *s = open_store(0);
    for (int kind = 0; kind < 4; kind++) {
        assert_ok(add(s, 1));
        int fd = open(path_of(1), O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        if (kind == 0)
            assert_int_equal(pwrite(fd, "x", 1, 77777), 1);
        if (kind == 1)
            assert_int_equal(ftruncate(fd, 1000), 0);
        if (kind == 2)
            assert_int_equal(ftruncate(fd, 0), 0);
        if (kind == 3)
            assert_int_equal(ftruncate(fd, MEGA), 0);
        close(fd);
        assert_error(load(s, 1), EBADMSG);
        assert_error(load(s, 1), ENOENT);
    }
    /* Not even a file. */
    assert_ok(add(s, 1));
    assert_int_equal(unlink(path_of(1)), 0);
    assert_int_equal(symlink("/etc/passwd", path_of(1)), 0);
    assert_error(load(s, 1), ELOOP);
    assert_int_equal(unlink(path_of(1)), 0);
    assert_int_equal(mkfifo(path_of(1), 0600), 0);
    assert_error(load(s, 1), EBADMSG); /* without waiting for a writer */
    mfs_store_close(s);
}

TEST(others_directories_are_not_used)
{
    char path[64];
    struct mfs_store *s;
    snprintf(path, sizeof path, "%s/chunks", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 0755), 0);
    struct mfs_store_opts o = { .dir = dir };
    struct err e;
    assert_error(mfs_store_open(&o, &s, &e), EPERM);
    assert_has(e.text, "can be used by others");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_true(mfs_store_open(&o, &s, &e) < 0);
    assert_int_equal(unlink(path), 0);
    assert_error(mfs_store_open_existing(&o, &s, &e), ENOENT);
}

/* ---- crashes ---- */

struct crash {
    int at, count;
};

static void crash_at(void *ctx, const char *what)
{
    (void)what;
    struct crash *c = ctx;
    if (c->count++ == c->at)
        _exit(77);
}

/* In a child that dies at step `at`; returns whether it did. */
static bool crashes(int at, uint64_t limit, uint32_t first, uint32_t count)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct crash c = { at, 0 };
        struct mfs_store_opts o = {
            .dir = dir, .limit_bytes = limit, .on_step = crash_at, .ctx = &c
        };
        struct mfs_store *s;
        if (mfs_store_open(&o, &s, NULL) < 0)
            _exit(1);
        for (uint32_t n = first; n < first + count; n++)
            if (add(s, n) < 0)
                _exit(2);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 0);
    return WEXITSTATUS(status) == 77;
}

TEST(a_crash_at_any_step_leaves_a_good_store)
{
    int at = 0;
    /* 32 chunks fit: room is made, too. */
    for (; crashes(at, 4 * MEGA, 0, 40); at++) {
        struct mfs_store *s = open_store(4 * MEGA);
        for (uint32_t n = 0; n < 40; n++) {
            ssize_t rc = load(s, n);
            assert_true(rc >= 0 || rc == -ENOENT);
        }
        assert_ok(add(s, 1000));
        assert_ok(load(s, 1000));
        assert_true(usage(s).bytes <= 4 * MEGA);
        uint64_t removed;
        assert_ok(mfs_store_clear(s, &removed, NULL));
        mfs_store_close(s);
    }
    assert_true(at > 100);
}

TEST(what_crashes_left_goes_when_it_is_old)
{
    assert_true(crashes(2, 0, 5, 1)); /* before it has its name */
    assert_int_equal(temps(), 1);
    struct mfs_store *s = open_store(0);
    assert_int_equal(usage(s).chunks, 0);
    assert_int_equal(temps(), 1); /* perhaps somebody is at it */
    char command[256];
    snprintf(command, sizeof command, "touch -d '1 hour ago' %s/chunks/new-*", dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(usage(s).chunks, 0);
    assert_int_equal(temps(), 0);
    mfs_store_close(s);
}

/* ---- room ---- */

TEST(the_store_stays_below_its_limit)
{
    struct mfs_store *s = open_store(4 * MEGA);
    for (uint32_t n = 0; n < 200; n++) {
        assert_ok(add(s, n));
        assert_ok(load(s, n));
        if (n % 10 == 0)
            assert_true(usage(s).bytes <= 4 * MEGA);
    }
    assert_true(usage(s).bytes > 3 * MEGA);
    struct mfs_chunk_name name = make(1);
    mfs_store_close(s);
    s = open_store(MEGA / 2); /* a chunk is too much for it */
    assert_error(mfs_store_add(s, &name, bytes, sizeof bytes), ENOSPC);
    mfs_store_close(s);
}

static void age(uint32_t n, unsigned minutes)
{
    struct timespec t[2] = { { 0, UTIME_OMIT }, { 0, 0 } };
    clock_gettime(CLOCK_REALTIME, &t[1]);
    t[1].tv_sec -= 60 * (time_t)minutes;
    assert_int_equal(utimensat(AT_FDCWD, path_of(n), t, 0), 0);
}

TEST(what_was_not_used_for_longest_makes_room)
{
    struct mfs_store *s = open_store(4 * MEGA);
    for (uint32_t n = 0; n < 32; n++) {
        assert_ok(add(s, n));
        age(n, 100 - n);
    }
    assert_ok(load(s, 0)); /* used again */
    assert_ok(add(s, 32));
    assert_ok(load(s, 0));
    assert_ok(load(s, 32));
    assert_ok(load(s, 31));
    assert_error(load(s, 1), ENOENT);
    mfs_store_close(s);
}

TEST(who_makes_room_is_not_waited_for)
{
    struct mfs_store *s = open_store(4 * MEGA);
    for (uint32_t n = 0; n < 32; n++)
        assert_ok(add(s, n));
    char path[64];
    snprintf(path, sizeof path, "%s/chunks/lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_error(add(s, 100), EAGAIN);
    assert_ok(load(s, 31));
    close(fd);
    assert_ok(add(s, 100));
    mfs_store_close(s);
}

TEST(two_processes_at_once)
{
    enum { EACH = 150, BOTH = 4 };
    pid_t pids[BOTH];
    for (int i = 0; i < BOTH; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i])
            continue;
        struct mfs_store *s;
        struct mfs_store_opts o = { .dir = dir, .limit_bytes = 8 * MEGA };
        if (mfs_store_open(&o, &s, NULL) < 0)
            _exit(1);
        for (uint32_t n = 0; n < EACH; n++) { /* the same chunks, in other orders */
            uint32_t which = (n * (uint32_t)(2 * i + 1)) % EACH;
            int rc = add(s, which);
            if (rc < 0 && rc != -EAGAIN && rc != -ENOSPC)
                _exit(2);
            struct mfs_chunk_name name = make(which);
            ssize_t got = mfs_store_load(s, &name, loaded);
            if (got < 0 ? got != -ENOENT : memcmp(loaded, bytes, sizeof bytes) != 0)
                _exit(3);
        }
        _exit(0);
    }
    for (int i = 0; i < BOTH; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    struct mfs_store *s = open_store(8 * MEGA);
    /* Each may add a part of the limit before it counts again what others did. */
    assert_true(usage(s).bytes <= 8 * MEGA + BOTH * (8 * MEGA / 16 + sizeof bytes));
    assert_int_equal(temps(), 0);
    mfs_store_close(s);
}

/* ---- full disks ---- */

TEST(files_that_can_t_grow)
{
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 50000;
    signal(SIGXFSZ, SIG_IGN);
    struct mfs_store *s = open_store(0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = add(s, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(rc, -ENOSPC);
    assert_int_equal(temps(), 0);
    assert_error(load(s, 1), ENOENT);
    assert_ok(add(s, 1));
    mfs_store_close(s);
}

static bool is_a_disk_missing; /* one test could not be made: the program's exit status says so */

TEST(a_full_disk)
{
    if (geteuid() != 0) {
        is_a_disk_missing = true;
        skip();
    }
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) { /* in mounts of its own */
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("none", dir, "tmpfs", 0, "size=2m") < 0)
            _exit(77);
        struct mfs_store *s;
        struct mfs_store_opts o = { .dir = dir, .limit_bytes = 64 * MEGA };
        if (mfs_store_open(&o, &s, NULL) < 0)
            _exit(1);
        unsigned added = 0;
        for (uint32_t n = 0; n < 30; n++) {
            int rc = add(s, n);
            if (rc < 0 && rc != -ENOSPC)
                _exit(2);
            added += rc == 0;
        }
        /* 16 would fit but for the directories. */
        _exit(added < 8 || added > 16 ? 3 : temps() ? 4 : load(s, 0) < 0 ? 5 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        is_a_disk_missing = true;
        skip();
    }
    assert_int_equal(status, 0);
}

#define STORE_TEST(fn) cmocka_unit_test_setup_teardown(fn, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_is_added_is_found_by_the_next),
        STORE_TEST(short_and_wrong_chunks),
        STORE_TEST(damage_is_seen_and_removed),
        STORE_TEST(others_directories_are_not_used),
        STORE_TEST(a_crash_at_any_step_leaves_a_good_store),
        STORE_TEST(what_crashes_left_goes_when_it_is_old),
        STORE_TEST(the_store_stays_below_its_limit),
        STORE_TEST(what_was_not_used_for_longest_makes_room),
        STORE_TEST(who_makes_room_is_not_waited_for),
        STORE_TEST(two_processes_at_once),
        STORE_TEST(files_that_can_t_grow),
        STORE_TEST(a_full_disk),
    };
    int rc = cmocka_run_group_tests_name("chunkstore", tests, NULL, NULL);
    if (rc == 0 && is_a_disk_missing) {
        printf("SKIP: a full disk needs root and a mount namespace; all else passed\n");
        return 77;
    }
    return rc;
}
