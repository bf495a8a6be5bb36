/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_record.c: what views leave outside is removed when nobody uses it, and not before. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "mrc/agent/record.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/test-record-XXXXXX";

static const char *in_dir(const char *name)
{
    static char text[4][PATH_MAX];
    static unsigned next;
    char *at = text[next++ % 4];
    snprintf(at, PATH_MAX, "%s/%s", dir, name);
    return at;
}

static size_t record_count(void)
{
    DIR *d = opendir(in_dir("views"));
    size_t count = 0;
    struct dirent *entry;
    while (d && (entry = readdir(d)))
        count += entry->d_name[0] != '.';
    if (d)
        closedir(d);
    return count;
}

static bool exists(const char *name)
{
    struct stat st;
    return lstat(in_dir(name), &st) == 0;
}

/* Runs fn in a process of its own that then waits for a byte; returns its end of the pipe. */
static int hold(int (*fn)(void), pid_t *pid_out)
{
    int go[2], ready[2];
    assert_ok(fd_pipe(go));
    assert_ok(fd_pipe(ready));
    pid_t pid = fork();
    if (pid == 0) {
        close(go[1]);
        char byte = (char)(fn() < 0);
        if (fd_write(ready[1], &byte, 1) != 1 || fd_read(go[0], &byte, 1) < 0)
            _exit(1);
        _exit(0);
    }
    close(go[0]);
    close(ready[1]);
    char byte = 1;
    assert_int_equal(fd_read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 0);
    close(ready[0]);
    *pid_out = pid;
    return go[1];
}

static void let_go(int fd, pid_t pid)
{
    assert_ok(fd_write_full(fd, "", 1)); /* others may have inherited fd: closing is not enough */
    close(fd);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int take_place(void)
{
    struct err e;
    return place_take(dir, in_dir("place"), &e);
}

TEST(place_stays_as_long_as_anybody_uses_it)
{
    pid_t first, second;
    int first_fd = hold(take_place, &first);
    int second_fd = hold(take_place, &second);
    assert_true(exists("place"));
    record_sweep(dir, NULL);
    assert_true(exists("place"));
    let_go(first_fd, first); /* the one that made it */
    record_sweep(dir, NULL);
    assert_true(exists("place"));
    let_go(second_fd, second);
    record_sweep(dir, NULL);
    assert_false(exists("place"));
    assert_int_equal(record_count(), 0);
}

TEST(place_that_was_there_stays)
{
    assert_ok(mkdir(in_dir("place"), 0755));
    pid_t pid;
    int fd = hold(take_place, &pid);
    let_go(fd, pid);
    record_sweep(dir, NULL);
    assert_true(exists("place"));
    assert_ok(rmdir(in_dir("place")));
}

TEST(place_that_got_something_in_it_stays)
{
    pid_t pid;
    int fd = hold(take_place, &pid);
    assert_ok(mkdir(in_dir("place/kept"), 0755));
    let_go(fd, pid);
    record_sweep(dir, NULL);
    assert_true(exists("place/kept"));
    assert_int_equal(record_count(), 0);
    assert_ok(rmdir(in_dir("place/kept")));
    assert_ok(rmdir(in_dir("place")));
}

TEST(place_replaced_by_a_link_is_left_alone)
{
    pid_t pid;
    int fd = hold(take_place, &pid);
    assert_ok(mkdir(in_dir("elsewhere"), 0755));
    assert_ok(rmdir(in_dir("place")));
    assert_ok(symlink("elsewhere", in_dir("place")));
    let_go(fd, pid);
    struct err e;
    assert_true(place_take(dir, in_dir("place"), &e) < 0);
    record_sweep(dir, NULL);
    assert_true(exists("place"));
    assert_true(exists("elsewhere"));
    assert_ok(unlink(in_dir("place")));
    assert_ok(rmdir(in_dir("elsewhere")));
}

static int take_scratch(void)
{
    struct err e;
    char *path;
    int rc = scratch_take(dir, &path, &e);
    if (rc < 0 || chdir(path) < 0)
        return -1;
    for (int i = 0; i < 200; i++) { /* deeper than what is open at once */
        if (mkdir("d", 0755) < 0 || symlink("/", "link") < 0 || chdir("d") < 0)
            return -1;
    }
    if (chdir(path) < 0 || mkdir("locked", 0) < 0 || mkdir("work", 0755) < 0 ||
        mkdir("work/work", 0) < 0 || mkfifo("fifo", 0600) < 0)
        return -1;
    free(path);
    return chdir("/");
}

TEST(scratch_is_removed_whole)
{
    pid_t pid;
    int fd = hold(take_scratch, &pid);
    record_sweep(dir, NULL);
    assert_int_equal(record_count(), 2);
    let_go(fd, pid);
    record_sweep(dir, NULL);
    assert_int_equal(record_count(), 0);
}

static int unmounts;

static int count_unmount(const char *path)
{
    assert_string_equal(path, "/some/where");
    return ++unmounts > 1 ? 0 : -EBUSY;
}

TEST(mount_is_tried_until_it_is_gone)
{
    struct record r;
    struct err e;
    assert_ok(record_new(dir, RECORD_MOUNT, "/some/where", &r, &e));
    record_sweep(dir, count_unmount);
    assert_int_equal(unmounts, 0); /* held */
    fd_close(&r.fd);
    record_sweep(dir, count_unmount);
    assert_int_equal(unmounts, 1);
    assert_int_equal(record_count(), 1);
    record_sweep(dir, count_unmount);
    assert_int_equal(unmounts, 2);
    assert_int_equal(record_count(), 0);
}

TEST(garbage_among_the_records)
{
    int fd = open(in_dir("views/place-empty1"), O_CREAT | O_WRONLY, 0600);
    assert_ok(fd);
    close(fd);
    fd = open(in_dir("views/place-relativ"), O_CREAT | O_WRONLY, 0600);
    assert_ok(fd_write_full(fd, "../x", 4));
    close(fd);
    fd = open(in_dir("views/other"), O_CREAT | O_WRONLY, 0600);
    close(fd);
    assert_ok(mkfifo(in_dir("views/mount-fifo"), 0600));
    record_sweep(dir, NULL);
    assert_true(exists("views/other"));
    assert_false(exists("views/place-empty1"));
    assert_false(exists("views/place-relativ"));
    record_sweep("/nonexistent", NULL);
    struct record r;
    struct err e;
    assert_error(record_new("/nonexistent", RECORD_PLACE, "/x", &r, &e), ENOENT);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return tree_remove(AT_FDCWD, dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(place_stays_as_long_as_anybody_uses_it),
        cmocka_unit_test(place_that_was_there_stays),
        cmocka_unit_test(place_that_got_something_in_it_stays),
        cmocka_unit_test(place_replaced_by_a_link_is_left_alone),
        cmocka_unit_test(scratch_is_removed_whole),
        cmocka_unit_test(mount_is_tried_until_it_is_gone),
        cmocka_unit_test(garbage_among_the_records),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
