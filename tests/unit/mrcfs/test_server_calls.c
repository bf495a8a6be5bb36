/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_calls.c: the system calls that a file server can make, and those that it can't. Exits 77 where the kernel or
 * the architecture has no filters; builds with sanitizers have none. */
#include "tests/lib/unit.h"

#include "mrcfs/server/seccomp.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIPPED = 77 };

static void *some_thread(void *arg)
{
    *(void **)arg = arg;
    return NULL;
}

/* In a child: calls that serving needs, and those that it doesn't. Returns the line that
 * failed, or 0. */
static int few_calls(void)
{
    struct err note = { "" };
    pthread_t thread;
    void *result = NULL;
    if (pthread_create(&thread, NULL, some_thread, &result) != 0 ||
        pthread_join(thread, NULL) != 0 || result != &result)
        return __LINE__;
    int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), unix_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || unix_fd < 0 || unshare(CLONE_FILES) < 0 || kill(getpid(), 0) < 0)
        return __LINE__;
    static char *const argv[] = { (char *)"true", NULL };
    const struct {
        long result;
        int line;
    } refused[] = {
        { execv("/bin/true", argv), __LINE__ },
        { fork(), __LINE__ },
        { socket(AF_INET, SOCK_STREAM, 0), __LINE__ },
        { socket(AF_NETLINK, SOCK_RAW, 0), __LINE__ },
        { kill(getppid(), 0), __LINE__ },
        { ptrace(PTRACE_TRACEME, 0, 0, 0), __LINE__ },
        { syscall(SYS_pidfd_open, getppid(), 0), __LINE__ },
        { syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0), __LINE__ },
        { syscall(SYS_io_uring_setup, 1, NULL), __LINE__ },
        { syscall(SYS_bpf, 0, NULL, 0), __LINE__ },
        { syscall(SYS_open_by_handle_at, fd, NULL, 0), __LINE__ },
        { unshare(CLONE_NEWUSER), __LINE__ },
        { chroot("."), __LINE__ },
        { mount("none", ".", "tmpfs", 0, NULL), __LINE__ },
        { ioctl(fd, FS_IOC_FSGETXATTR, &note), __LINE__ },
        { syscall(SYS_add_key, "user", "a", "b", 1, 0), __LINE__ },
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (refused[i].result != -1)
            return refused[i].line;
    return errno == EPERM ? 0 : __LINE__;
}

/* In a child, whose filter stays for ever: runs it there. Returns its exit status. */
static int in_child(bool wants_calls)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct err note = { "" };
        int rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1 : mfs_allow_calls(&note);
        if (rc == 0 && note.text[0])
            _exit(SKIPPED);
        int line = rc != 1 ? __LINE__ : wants_calls ? few_calls() : 0;
        if (line)
            dprintf(2, "test_server_calls.c:%d: %s %s\n", line, strerror(errno), note.text);
        _exit(line != 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

TEST(test_few_calls)
{
    assert_int_equal(in_child(true), 0);
}

int main(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    return in_child(false) != SKIPPED; /* there must be none, with words */
#endif
    if (in_child(false) == SKIPPED) {
        printf("SKIP: no filters for system calls here\n");
        return SKIPPED;
    }
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_few_calls) };
    return cmocka_run_group_tests_name("server_calls", tests, NULL, NULL);
}
