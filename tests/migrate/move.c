/* SPDX-License-Identifier: GPL-2.0-or-later */
/* move.c: a process moves into another PID namespace over a socket, in the order of
 * docs/migration.md: it stands still while its image travels; the copy says that it is whole;
 * only then the first is ended and the copy told to run. A fault may be put in between. move
 * PID [no-room | dies-building | dies-ready | cut]   ends as the copy ends (128 + signal); 98:
 * the process goes on where it was Needs root: for the namespace and its /proc. */
#include "common/sys/fd.h"
#include "mosix-core/deputy/inject.h"
#include "mosix-core/guest/supervise.h"
#include "mosix-core/image/capture.h"
#include "mosix-core/image/restore.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GOES_ON = 98, BROKEN = 99 };

/* What the two say to each other. */
enum { IS_READY = 'r', MAY_RUN = 'g' };

static const char *fault = "";

static bool has_fault(const char *name)
{
    return strcmp(fault, name) == 0;
}

static int as_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* First process of the namespace: makes the copy, and runs it when it may. */
static int destination(int sock)
{
    struct err e = { "" };
    struct mx_restored r;
    char word = IS_READY;
    int status, listener = -1;
    bool is_away = has_fault("away");
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("proc", "/proc", "proc", 0, NULL) < 0)
        return BROKEN;
    if (has_fault("no-room"))
        return BROKEN;
    if (has_fault("dies-building")) {
        char some[20000];
        if (fd_read_full(sock, some, sizeof some) < 0)
            return BROKEN;
        raise(SIGKILL);
        _exit(BROKEN);
    }
    if (mx_restore_start(sock, &r, &e) < 0) {
        fprintf(stderr, "move: %s\n", e.text);
        return BROKEN;
    }
    if (is_away && mx_guest_confine(&r.t, &listener, &e) < 0) {
        fprintf(stderr, "move: %s\n", e.text);
        return BROKEN;
    }
    fprintf(stderr, "move: copy %d%s\n", (int)r.pid, r.has_old_pid ? ", as before" : "");
    if (has_fault("dies-ready"))
        _exit(BROKEN);
    if (fd_write_full(sock, &word, 1) < 0 || fd_read_full(sock, &word, 1) != 1 ||
        word != MAY_RUN) {
        int rc = mx_restore_finish(&r, false, &e);
        return rc < 0 ? BROKEN : GOES_ON;
    }
    if (mx_restore_finish(&r, true, &e) < 0) {
        fprintf(stderr, "move: %s\n", e.text);
        return BROKEN;
    }
    if (is_away) {
        struct mx_guest_how how = { .listener = listener, .home = sock, .told = -1 };
        int rc = mx_guest_serve(&r.t, &how, &e);
        if (rc < 0)
            fprintf(stderr, "move: %s\n", e.text);
        kill(r.pid, SIGKILL);
        return rc == 0 ? 0 : BROKEN;
    }
    while (waitpid(r.pid, &status, 0) < 0)
        if (errno != EINTR)
            return BROKEN;
    return as_status(status);
}

/* Returns whether the copy runs. */
static bool source(int sock, pid_t pid)
{
    struct err e = { "" };
    struct mx_capture c;
    struct mx_captured did;
    char word = 0;
    if (mx_capture_start(&c, pid, sock, &e) < 0) {
        fprintf(stderr, "move: %s\n", e.text);
        return false;
    }
    bool is_ready = fd_read_full(sock, &word, 1) == 1 && word == IS_READY;
    if (has_fault("cut"))
        is_ready = shutdown(sock, SHUT_RDWR) < 0;
    if (is_ready && has_fault("away")) {
        word = MAY_RUN;
        struct mx_deputy_how how = { .guest = sock, .told = -1, .others = &c.others };
        int rc = fd_write_full(sock, &word, 1);
        if (rc == 0)
            rc = mx_deputy_serve(&c.t, &how, &e);
        if (rc < 0)
            fprintf(stderr, "move: %s\n", e.text);
        if (rc != 1)
            kill(pid, SIGKILL); /* the body is lost, and with it the job */
        mx_tracee_fini(&c.t);
        return true;
    }
    if (mx_capture_finish(&c, is_ready, &did, &e) < 0)
        fprintf(stderr, "move: %s\n", e.text);
    word = MAY_RUN;
    if (is_ready && fd_write_full(sock, &word, 1) < 0)
        fprintf(stderr, "move: the copy can't be told to run\n");
    fprintf(stderr, "move: %llu bytes, stood still for %llu us\n",
            (unsigned long long)did.image_bytes, (unsigned long long)did.frozen_us);
    return is_ready;
}

int main(int argc, char **argv)
{
    int pair[2], status;
    if (argc < 2 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return BROKEN;
    fault = argc > 2 ? argv[2] : "";
    signal(SIGPIPE, SIG_IGN);
    pid_t pid = (pid_t)strtol(argv[1], NULL, 10);
    if (unshare(CLONE_NEWPID) < 0) {
        perror("move: unshare");
        return BROKEN;
    }
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        close(pair[0]);
        _exit(destination(pair[1]));
    }
    close(pair[1]);
    bool is_moved = child > 0 && source(pair[0], pid);
    close(pair[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return BROKEN;
    return is_moved ? as_status(status) : GOES_ON;
}
