/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe_family.c: children that are made, wait, are waited for, execute programs. */
#include "tests/migrate/probe.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static volatile sig_atomic_t children_ended;

static void on_child(int signo)
{
    (void)signo;
    children_ended++;
}

static void say_status(const char *what, int status)
{
    if (WIFSIGNALED(status))
        printf("  %s: signal %d\n", what, WTERMSIG(status));
    else if (WIFSTOPPED(status))
        printf("  %s: stopped by %d\n", what, WSTOPSIG(status));
    else
        printf("  %s: exit %d\n", what, WEXITSTATUS(status));
}

PROBE(fork_and_wait)
{
    int status = -1, fds[2];
    char text[64] = "";
    fflush(stdout);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        _exit(getppid() == parent && getpid() != parent ? 42 : 1);
    SAY("fork", pid > 0);
    SAY("wait", wait(&status) == pid);
    say_status("child", status);
    SAY("wait again", wait(&status));
    if (pipe(fds))
        return;
    for (int i = 0; i < 3; i++)
        if ((pid = fork()) == 0) {
            char own[16];
            snprintf(own, sizeof own, "child %d ", i);
            if (read(fds[0], text, 1) == 1 && write(fds[1], own, strlen(own)) > 0)
                _exit(i);
            _exit(99);
        }
    SAY("go", write(fds[1], "ggg", 3));
    int sum = 0;
    while (wait(&status) > 0)
        sum += WEXITSTATUS(status);
    SAY("sum of statuses", sum);
    SAY("what they wrote", read(fds[0], text, sizeof text));
    close(fds[0]);
    close(fds[1]);
}

PROBE(memory_is_copied)
{
    int status;
    volatile int *heap = malloc(4000), here = 1;
    *heap = 5;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        *heap = 6;
        here = 2;
        char *more = malloc(3000000);
        memset(more, 1, 3000000);
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(*heap + here + more[5]);
        waitpid(grandchild, &status, 0);
        _exit(WEXITSTATUS(status) + 10);
    }
    waitpid(pid, &status, 0);
    say_status("grandchild through child", status);
    SAY("here", *heap + here);
    free((void *)heap);
}

PROBE(signals_of_children)
{
    int status;
    siginfo_t info = { 0 };
    struct sigaction a = { .sa_handler = on_child, .sa_flags = SA_RESTART };
    sigaction(SIGCHLD, &a, NULL);
    children_ended = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(3);
    SAY("wait", waitpid(pid, &status, 0) == pid);
    say_status("it", status);
    SAY("SIGCHLD", children_ended);
    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    SAY("kill", kill(pid, SIGTERM));
    SAY("waitid", waitid(P_PID, (id_t)pid, &info, WEXITED));
    printf("  code %d status %d its %d\n", info.si_code, info.si_status, info.si_pid == pid);
    pid = fork();
    if (pid == 0) {
        raise(SIGSTOP);
        volatile int *nothing = NULL;
        *nothing = 1; /* a fault of its own */
    }
    SAY("wait", waitpid(pid, &status, WUNTRACED) == pid);
    say_status("stopped", status);
    SAY("nothing yet", waitpid(pid, &status, WNOHANG));
    SAY("continue", kill(pid, SIGCONT));
    SAY("wait", waitpid(pid, &status, 0) == pid);
    say_status("fault", status & ~0x80);
    SAY("SIGCHLD", children_ended >= 3);
    signal(SIGCHLD, SIG_DFL);
}

PROBE(programs)
{
    int status, fds[2];
    char text[256] = "";
    char *args[] = { (char *)"sh",   (char *)"-c",  (char *)"echo \"$0 $# $PROBE\"; exit 5",
                     (char *)"zero", (char *)"one", NULL };
    pid_t pid;
    setenv("PROBE", "from the environment", 1);
    fflush(stdout);
    if ((pid = fork()) == 0) {
        execv("/bin/sh", args);
        _exit(99);
    }
    waitpid(pid, &status, 0);
    say_status("execv", status);
    if ((pid = vfork()) == 0) {
        execve("/bin/sh", args, environ);
        _exit(99);
    }
    waitpid(pid, &status, 0);
    say_status("vfork and execve", status);
    if ((pid = vfork()) == 0) {
        execve("/no/such/program", args, environ);
        _exit(errno == ENOENT ? 98 : 99);
    }
    waitpid(pid, &status, 0);
    say_status("no program", status);
    int rc = posix_spawn(&pid, "/bin/sh", NULL, NULL, args, environ);
    waitpid(pid, &status, 0);
    SAY("posix_spawn", rc);
    say_status("spawned", status);
    SAY("posix_spawn of none",
        posix_spawn(&pid, "/no/such/program", NULL, NULL, args, environ));
    SAY("system", system("exit 3") >> 8);
    FILE *f = popen("echo from popen; cat /dev/null", "r");
    SAY("popen", f && fgets(text, sizeof text, f) != NULL);
    printf("  %s", text);
    SAY("pclose", f ? pclose(f) : -1);
    if (pipe(fds) == 0 && (pid = fork()) == 0) {
        dup2(fds[1], 1);
        close(fds[0]);
        close(fds[1]);
        execlp("seq", "seq", "20000", (char *)NULL);
        _exit(99);
    }
    close(fds[1]);
    long sum = 0, n;
    while ((n = read(fds[0], text, sizeof text)) > 0)
        sum += n;
    SAY("read from a program", sum);
    wait(&status);
    say_status("seq", status);
    close(fds[0]);
}

PROBE(groups_and_sessions)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int ok = setsid() == getpid() && getpgrp() == getpid() && getsid(0) == getpid();
        _exit(ok ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    say_status("session", status);
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        for (;;)
            pause();
    }
    SAY("setpgid", setpgid(pid, pid) == 0 || errno == EACCES);
    SAY("getpgid", getpgid(pid) == pid);
    SAY("kill the group", kill(-pid, SIGKILL));
    SAY("wait for the group", waitpid(-pid, &status, 0) == pid);
    say_status("it", status);
}
