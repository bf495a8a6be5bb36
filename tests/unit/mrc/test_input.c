/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_input.c: whether somebody else may want what we leave unread. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "mrc/input.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* The answer in a child that has fd, after the parent did or did not close its copy. */
static bool in_child(int *fd, bool closes_here)
{
    int go[2], status;
    assert_ok(fd_pipe(go));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char c;
        _exit(fd_read(go[0], &c, 1) == 1 ? mrc_input_is_ours(*fd) : 99);
    }
    if (closes_here)
        fd_close(fd);
    assert_ok(fd_write_full(go[1], "x", 1));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    fd_close(&go[0]);
    fd_close(&go[1]);
    return WEXITSTATUS(status);
}

TEST(pipe_of_a_loop)
{
    int pair[2];
    assert_ok(fd_pipe(pair));
    assert_false(in_child(&pair[0], false));
    /* The writing end does not count. */
    assert_true(in_child(&pair[0], true));
    fd_close(&pair[1]);
}

TEST(socket_of_a_loop)
{
    int pair[2];
    assert_ok(fd_socketpair(pair));
    assert_false(in_child(&pair[0], false));
    assert_true(in_child(&pair[0], true));
    fd_close(&pair[1]);
}

TEST(file_of_a_loop)
{
    char name[] = "/tmp/test-input.XXXXXX";
    int fd = mkostemp(name, O_CLOEXEC);
    assert_true(fd >= 0);
    unlink(name);
    assert_false(in_child(&fd, false));
    assert_true(in_child(&fd, true));
}

TEST(others_are_never_ours)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_false(mrc_input_is_ours(fd));
    assert_false(mrc_input_is_ours(-1));
    fd_close(&fd);
}

UNIT_MAIN(cmocka_unit_test(pipe_of_a_loop), cmocka_unit_test(socket_of_a_loop),
          cmocka_unit_test(file_of_a_loop), cmocka_unit_test(others_are_never_ours))
