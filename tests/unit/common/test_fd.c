/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_fd.c: descriptors. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static bool is_cloexec(int fd)
{
    return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

TEST(closing)
{
    int pair[2];
    assert_ok(fd_pipe(pair));
    assert_true(is_cloexec(pair[0]) && is_cloexec(pair[1]));
    int number = pair[0];
    errno = EDOM;
    fd_close(&pair[0]);
    assert_int_equal(errno, EDOM);
    assert_int_equal(pair[0], -1);
    assert_false(is_open(number));
    fd_close(&pair[0]);
    number = pair[1];
    {
        AUTO_FD scoped = take_fd(&pair[1]);
        assert_true(is_open(scoped));
    }
    assert_int_equal(pair[1], -1);
    assert_false(is_open(number));
}

TEST(flags)
{
    int pair[2];
    assert_ok(fd_socketpair(pair));
    assert_true(is_cloexec(pair[0]) && is_cloexec(pair[1]));
    assert_ok(fd_set_cloexec(pair[0], false));
    assert_false(is_cloexec(pair[0]));
    assert_ok(fd_set_cloexec(pair[0], true));
    assert_true(is_cloexec(pair[0]));
    char c;
    assert_ok(fd_set_nonblock(pair[0], true));
    assert_error(fd_read(pair[0], &c, 1), EAGAIN);
    assert_ok(fd_set_nonblock(pair[0], false));
    assert_false(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
    fd_close(&pair[0]);
    fd_close(&pair[1]);
    assert_error(fd_set_nonblock(-1, true), EBADF);
}

static void on_alarm(int signo UNUSED)
{
}

/* A megabyte through a pipe while a timer interrupts both sides all the time. */
TEST(full_transfers_survive_signals)
{
    enum { LEN = 1 << 20 };
    static uint8_t sent[LEN], got[LEN + 1];
    for (size_t i = 0; i < LEN; i++)
        sent[i] = (uint8_t)(i * 7 + i / 256);
    struct sigaction act = { .sa_handler = on_alarm }; /* no SA_RESTART */
    sigaction(SIGALRM, &act, NULL);
    const struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { { 0, 0 }, { 0, 0 } };
    int pair[2];
    assert_ok(fd_pipe(pair));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setitimer(ITIMER_REAL, &often, NULL);
        _exit(fd_write_full(pair[1], sent, LEN) < 0);
    }
    fd_close(&pair[1]);
    setitimer(ITIMER_REAL, &often, NULL);
    ssize_t n = fd_read_full(pair[0], got, LEN + 1); /* one more than there is: ends early */
    setitimer(ITIMER_REAL, &never, NULL);
    assert_int_equal(n, LEN);
    assert_memory_equal(got, sent, LEN);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fd_close(&pair[0]);
}

TEST(errors_are_negative)
{
    char c = 0;
    assert_error(fd_read(-1, &c, 1), EBADF);
    assert_error(fd_write(-1, &c, 1), EBADF);
    assert_error(fd_read_full(-1, &c, 1), EBADF);
    assert_error(fd_write_full(-1, &c, 1), EBADF);
}

TEST(passing)
{
    int sock[2], got = -1;
    assert_ok(fd_socketpair(sock));
    int file[2];
    assert_ok(fd_pipe(file));
    assert_ok(fd_send(sock[0], file[0]));
    assert_ok(fd_receive(sock[1], &got));
    struct stat a, b;
    fstat(file[0], &a);
    fstat(got, &b);
    assert_true(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    assert_int_not_equal(got, file[0]);
    assert_true(is_cloexec(got));
    fd_close(&got);
    /* A byte without a descriptor, then the end. */
    assert_ok(fd_write_full(sock[0], "x", 1));
    assert_error(fd_receive(sock[1], &got), EPROTO);
    fd_close(&sock[0]);
    assert_error(fd_receive(sock[1], &got), EPROTO);
    assert_error(fd_send(sock[1], file[0]), EPIPE); /* and no SIGPIPE */
    fd_close(&sock[1]);
    fd_close(&file[0]);
    fd_close(&file[1]);
}

UNIT_MAIN(cmocka_unit_test(closing), cmocka_unit_test(flags),
          cmocka_unit_test(full_transfers_survive_signals),
          cmocka_unit_test(errors_are_negative), cmocka_unit_test(passing))
