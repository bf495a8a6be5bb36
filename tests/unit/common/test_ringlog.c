/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_ringlog.c: lines of several processes in a file that never grows. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/ringlog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

static char dir[] = "/tmp/ringlog-XXXXXX";
static int dir_fd = -1;
static char text[RINGLOG_BYTES + 1];

static int begin(void **state UNUSED)
{
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(dir));
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return 0;
}

static int end(void **state UNUSED)
{
    unlinkat(dir_fd, "log", 0);
    fd_close(&dir_fd);
    return rmdir(dir);
}

static int opened(void)
{
    int fd;
    assert_ok(ringlog_open(dir_fd, "log", &fd));
    return fd;
}

static void add(int fd, const char *line)
{
    assert_ok(ringlog_add(fd, line, strlen(line)));
}

static const char *all(int fd)
{
    int len = ringlog_read(fd, text);
    assert_ok(len);
    text[len] = 0;
    return text;
}

static off_t size_of(int fd)
{
    struct stat st;
    assert_ok(fstat(fd, &st) < 0 ? -errno : 0);
    return st.st_size;
}

TEST(lines)
{
    AUTO_FD fd = opened();
    assert_string_equal(all(fd), "");
    add(fd, "one");
    add(fd, "two\nis \033[1m and more");
    assert_string_equal(all(fd), "one\ntwo?is ?[1m and more\n");
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

TEST(long_line_is_cut)
{
    AUTO_FD fd = opened();
    char line[2 * RINGLOG_LINE_MAX];
    memset(line, 'x', sizeof line);
    assert_ok(ringlog_add(fd, line, sizeof line));
    assert_int_equal(strlen(all(fd)), RINGLOG_LINE_MAX);
    assert_int_equal(text[RINGLOG_LINE_MAX - 1], '\n');
}

/* It has its size, and the newest lines, each whole. */
TEST(the_oldest_make_room)
{
    AUTO_FD fd = opened();
    enum { COUNT = 20000 };
    char line[64];
    for (int i = 0; i < COUNT; i++) {
        snprintf(line, sizeof line, "line %d of those that are written", i);
        add(fd, line);
    }
    assert_int_equal(size_of(fd), RINGLOG_BYTES);
    all(fd);
    assert_true(strlen(text) > RINGLOG_BYTES - RINGLOG_HEAD_BYTES - 64);
    int first, i = -1;
    assert_int_equal(sscanf(text, "line %d", &first), 1);
    for (char *at = strtok(text, "\n"); at; at = strtok(NULL, "\n")) {
        i = i < 0 ? first : i + 1;
        snprintf(line, sizeof line, "line %d of those that are written", i);
        assert_string_equal(at, line);
    }
    assert_int_equal(i, COUNT - 1);
}

/* Eight processes that write at once: no line is lost, none is torn. */
TEST(several_writers)
{
    enum { WRITERS = 8, EACH = 100 };
    AUTO_FD shared = opened(); /* half of them have the descriptor from us */
    for (int w = 0; w < WRITERS; w++)
        if (fork() == 0) {
            int fd = w % 2 ? shared : opened();
            char line[64];
            for (int i = 0; i < EACH; i++) {
                snprintf(line, sizeof line, "writer %d line %d end", w, i);
                while (ringlog_add(fd, line, strlen(line)) == -EAGAIN)
                    continue;
            }
            _exit(0);
        }
    int status;
    while (wait(&status) > 0)
        assert_int_equal(status, 0);
    int next[WRITERS] = { 0 };
    all(shared);
    for (char *at = strtok(text, "\n"); at; at = strtok(NULL, "\n")) {
        int w, i, used = 0;
        assert_int_equal(sscanf(at, "writer %d line %d end%n", &w, &i, &used), 2);
        assert_int_equal(used, strlen(at));
        assert_int_equal(i, next[w]++);
    }
    for (int w = 0; w < WRITERS; w++)
        assert_int_equal(next[w], EACH);
}

/* Somebody who is stopped with the lock stops nobody for long. */
TEST(stuck_writer)
{
    AUTO_FD fd = opened();
    int pair[2];
    assert_ok(fd_pipe(pair));
    pid_t pid = fork();
    if (pid == 0) {
        struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        int other = opened();
        fcntl(other, F_SETLK, &l);
        if (write(pair[1], "", 1) == 1)
            pause();
        _exit(0);
    }
    char byte;
    assert_int_equal(read(pair[0], &byte, 1), 1);
    assert_error(ringlog_add(fd, "lost", 4), EAGAIN);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    add(fd, "kept");
    assert_string_equal(all(fd), "kept\n");
    fd_close(&pair[0]);
    fd_close(&pair[1]);
}

/* No room: the line is lost, what is there stays. */
TEST(no_room)
{
    AUTO_FD fd = opened();
    for (int i = 0; i < 100; i++)
        add(fd, "a line of which there are many, so that the file has some size of its own");
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit r = { (rlim_t)size_of(fd) + 10, RLIM_INFINITY };
        setrlimit(RLIMIT_FSIZE, &r);
        _exit(ringlog_add(fd, "one that does not fit", 21) >= 0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    add(fd, "the next one");
    assert_null(strstr(all(fd), "one that"));
    assert_has(text, "\nthe next one\n");
}

TEST(garbage_begins_anew)
{
    AUTO_FD fd = opened();
    assert_int_equal(pwrite(fd, "mrc-log 1 99999999999999999999999999", 36, 0), 36);
    assert_string_equal(all(fd), "");
    add(fd, "after");
    assert_string_equal(all(fd), "after\n");
    assert_ok(ftruncate(fd, 40) < 0 ? -errno : 0);
    add(fd, "more");
    assert_has(all(fd), "more\n");
}

TEST(not_ours_alone)
{
    int fd;
    assert_ok(symlinkat("/etc/passwd", dir_fd, "log") < 0 ? -errno : 0);
    assert_error(ringlog_open(dir_fd, "log", &fd), ELOOP);
    unlinkat(dir_fd, "log", 0);
    assert_ok(mkfifoat(dir_fd, "log", 0600) < 0 ? -errno : 0);
    assert_error(ringlog_open(dir_fd, "log", &fd), EPERM);
    unlinkat(dir_fd, "log", 0);
    fd = openat(dir_fd, "log", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_int_equal(fchmod(fd, 0640), 0);
    close(fd);
    assert_error(ringlog_open(dir_fd, "log", &fd), EPERM);
}

TEST(log_keeps)
{
    log_keep("nowhere");
    log_keep_in(dir_fd, "unit");
    log_keep("job %d", 7);
    AUTO_FD fd = opened();
    char expected[64];
    snprintf(expected, sizeof expected, "Z unit[%d]: job 7\n", (int)getpid());
    assert_has(all(fd), expected);
    log_init("t", LOG_QUIET);
    log_warn("%s", "a warning");
    log_keep_no_errors();
    log_warn("%s", "told to the user");
    log_keep_as("other");
    log_warn("%s", "another");
    assert_has(all(fd), "]: a warning\n");
    assert_has(text, "Z other[");
    assert_null(strstr(text, "told"));
    /* Another file in the descriptor's place is left alone. */
    int kept = log_keep_fd();
    AUTO_FD other = openat(dir_fd, "log.other", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    dup2(other, kept);
    log_keep("not there");
    assert_int_equal(size_of(other), 0);
    unlinkat(dir_fd, "log.other", 0);
    close(kept);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = { T(lines),         T(long_line_is_cut), T(the_oldest_make_room),
                                        T(several_writers), T(stuck_writer),   T(no_room),
                                        T(garbage_begins_anew), T(not_ours_alone), T(log_keeps) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
