/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops_locks.c: record locks of processes and of open files, flock, waiting. */
#include "tests/posix/fsops.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static int lock(int fd, int cmd, int type, off_t start, off_t len)
{
    struct flock l = {
        .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len
    };
    return fcntl(fd, cmd, &l);
}

/* What keeps a lock of this kind from being taken; "who" is told by comparing. */
static void ask(int fd, int cmd, int type, off_t start, off_t len, pid_t expected)
{
    struct flock l = {
        .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len
    };
    if (say_number("fcntl(get)", fcntl(fd, cmd, &l)) < 0)
        return;
    N(l.l_type);
    if (l.l_type != F_UNLCK) {
        N(l.l_start);
        N(l.l_len);
        N(l.l_pid == expected);
    }
}

static pid_t parent;

static int child_sees(void)
{
    int fd = FD(open("f", O_RDWR));
    N(lock(fd, F_SETLK, F_WRLCK, 0, 10));
    N(lock(fd, F_SETLK, F_RDLCK, 5, 1));
    N(lock(fd, F_SETLK, F_WRLCK, 10, 10));
    N(lock(fd, F_SETLK, F_RDLCK, 100, 0));
    N(lock(fd, F_SETLK, F_WRLCK, 100, 1));
    ask(fd, F_GETLK, F_WRLCK, 0, 5, parent);
    ask(fd, F_GETLK, F_RDLCK, 100, 5, parent);
    ask(fd, F_GETLK, F_WRLCK, 150, 0, parent);
    ask(fd, F_GETLK, F_WRLCK, 30, 5, parent);
    return 0;
}

static int child_free(void)
{
    int fd = FD(open("f", O_RDWR));
    N(lock(fd, F_SETLK, F_WRLCK, 0, 0));
    return 0;
}

static void locks_posix(void)
{
    parent = getpid();
    int fd = FD(open("f", O_RDWR));
    N(lock(fd, F_SETLK, F_WRLCK, 0, 10));
    N(lock(fd, F_SETLK, F_RDLCK, 100, 0));
    say_child("other process", child_sees);
    ask(fd, F_GETLK, F_WRLCK, 0, 0, parent);
    N(lock(fd, F_SETLK, F_UNLCK, 3, 3)); /* splits */
    N(lock(fd, F_SETLK, F_RDLCK, 0, 3));
    say_child("other process", child_sees);
    int again = FD(open("f", O_RDONLY));
    N(lock(again, F_SETLK, F_WRLCK, 0, 1));
    close(again); /* ends all of this process's locks on the file */
    say_child("after a close", child_free);
    N(lock(fd, F_SETLK, F_WRLCK, -1, 1));
    N(lock(fd, 9999, F_WRLCK, 0, 1));
    N(lock(fd, F_SETLK, 77, 0, 1));
    close(fd);
    fd = FD(open("f", O_WRONLY));
    N(lock(fd, F_SETLK, F_RDLCK, 0, 1));
    N(lock(fd, F_SETLK, F_WRLCK, 0, 1));
    close(fd);
}

static void locks_ofd(void)
{
    int a = FD(open("f", O_RDWR)), b = FD(open("f", O_RDWR));
    N(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
    N(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1));
    N(lock(b, F_OFD_SETLK, F_WRLCK, 10, 1));
    ask(b, F_OFD_GETLK, F_WRLCK, 0, 20, -1);
    N(lock(b, F_SETLK, F_WRLCK, 0, 1));
    int other = dup(a);
    close(a);
    N(lock(b, F_OFD_SETLK, F_WRLCK, 0, 1));
    close(other);
    N(lock(b, F_OFD_SETLK, F_WRLCK, 0, 1));
    close(b);
    say_child("after all closes", child_free);
}

static void locks_flock(void)
{
    int a = FD(open("f", O_RDWR)), b = FD(open("f", O_RDONLY));
    N(flock(a, LOCK_SH));
    N(flock(b, LOCK_SH | LOCK_NB));
    N(flock(b, LOCK_EX | LOCK_NB));
    N(flock(a, LOCK_UN));
    N(flock(b, LOCK_EX | LOCK_NB));
    N(flock(a, LOCK_SH | LOCK_NB));
    /* the two kinds don't meet */
    N(lock(a, F_SETLK, F_WRLCK, 0, 0));
    close(b);
    N(flock(a, LOCK_EX | LOCK_NB));
    N(flock(a, 99));
    int c = dup(a);
    close(a);
    b = FD(open("f", O_RDONLY));
    N(flock(b, LOCK_EX | LOCK_NB));
    close(c);
    N(flock(b, LOCK_EX | LOCK_NB));
    close(b);
    int d = FD(open(".", O_RDONLY));
    N(flock(d, LOCK_EX | LOCK_NB));
    close(d);
}

static int pipe_in[2], pipe_out[2];

static void tell(int fd)
{
    if (write(fd, "", 1) != 1)
        _exit(98);
}

static void hear(int fd)
{
    char c;
    if (read(fd, &c, 1) != 1)
        _exit(97);
}

static int holder(void)
{
    int fd = open("f", O_RDWR);
    if (lock(fd, F_SETLK, F_WRLCK, 0, 10) < 0)
        return 1;
    tell(pipe_out[1]);
    hear(pipe_in[0]);
    return 0; /* exit lets go */
}

static void on_alarm(int sig)
{
    (void)sig;
}

static pid_t start(int (*fn)(void))
{
    if (pipe(pipe_in) < 0 || pipe(pipe_out) < 0)
        exit(1);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(fn());
    hear(pipe_out[0]);
    return pid;
}

static void finish(pid_t pid)
{
    int status = -1;
    waitpid(pid, &status, 0);
    N(status);
    for (int i = 0; i < 2; i++) {
        close(pipe_in[i]);
        close(pipe_out[i]);
    }
}

static void locks_waiting(void)
{
    struct sigaction sa = { .sa_handler = on_alarm };
    sigaction(SIGALRM, &sa, NULL);
    int fd = FD(open("f", O_RDWR));
    pid_t pid = start(holder);
    N(lock(fd, F_SETLK, F_WRLCK, 0, 1));
    alarm(1);
    N(lock(fd, F_SETLKW, F_WRLCK, 0, 1)); /* interrupted */
    alarm(0);
    tell(pipe_in[1]);
    N(lock(fd, F_SETLKW, F_WRLCK, 0, 1)); /* got when the holder ends */
    finish(pid);
    close(fd);
}

static int flock_holder(void)
{
    int fd = open("f", O_RDWR);
    if (flock(fd, LOCK_EX) < 0)
        return 1;
    tell(pipe_out[1]);
    hear(pipe_in[0]);
    return flock(fd, LOCK_UN);
}

static void flock_waiting(void)
{
    int fd = FD(open("f", O_RDWR));
    pid_t pid = start(flock_holder);
    N(flock(fd, LOCK_EX | LOCK_NB));
    alarm(1);
    N(flock(fd, LOCK_EX));
    alarm(0);
    tell(pipe_in[1]);
    N(flock(fd, LOCK_EX));
    finish(pid);
    close(fd);
}

/* Holds 0, then waits for 10, which the parent holds. */
static int crosser(void)
{
    int fd = open("f", O_RDWR);
    if (lock(fd, F_SETLK, F_WRLCK, 0, 1) < 0)
        return 1;
    tell(pipe_out[1]);
    return lock(fd, F_SETLKW, F_WRLCK, 10, 1) < 0 ? errno : 0;
}

static void locks_deadlock(void)
{
    int fd = FD(open("f", O_RDWR));
    N(lock(fd, F_SETLK, F_WRLCK, 10, 1));
    pid_t pid = start(crosser);
    /* Until the child waits ours is an ordinary wait; then it is a deadlock. Whoever asks
     * second is told, so ask again and again until it is us. */
    int rc = -1;
    for (int i = 0; i < 100; i++) {
        usleep(20000);
        alarm(1);
        rc = lock(fd, F_SETLKW, F_WRLCK, 0, 1);
        alarm(0);
        if (rc == 0 || errno != EINTR)
            break;
    }
    say_number("second waiter of a circle", rc);
    N(lock(fd, F_SETLK, F_UNLCK, 0, 0));
    finish(pid);
    close(fd);
}

void part_locks(void)
{
    make_file("f", "content");
    locks_posix();
    locks_ofd();
    locks_flock();
    locks_waiting();
    flock_waiting();
    locks_deadlock();
}
