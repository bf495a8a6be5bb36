/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fusermount.c: FUSE mounts by the setuid helper fusermount3.
 * Must not know: what is mounted.
 * Source: fusermount3(1); the mounted descriptor comes back over the socket named by
 * _FUSE_COMMFD. */
#include "mrc/agent/fusermount.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HELPER_MAX_MS = 10000 };

static const char *const programs[] = {
    "/usr/bin/fusermount3", "/bin/fusermount3", "/usr/local/bin/fusermount3",
    "/usr/bin/fusermount",  "/bin/fusermount",  "/run/wrappers/bin/fusermount3"
};

const char *fusermount_find(struct err *e)
{
    const char *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(programs) && !found; i++) {
        struct stat st;
        bool is_there = stat(programs[i], &st) == 0 && access(programs[i], X_OK) == 0;
        if (is_there && (geteuid() == 0 || (st.st_uid == 0 && (st.st_mode & S_ISUID))))
            found = programs[i];
    }
    if (!found)
        err_set(e, 0, "there is no fusermount3 here: install the package fuse3");
    return found;
}

/* Starts program with args; a socket for the descriptor when comm_fd is not negative; what it
 * says goes to words_fd. */
static int start(const char *const *args, int comm_fd, int words_fd, pid_t *pid_out)
{
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid > 0) {
        *pid_out = pid;
        return 0;
    }
    int null_fd = open("/dev/null", O_RDWR);
    if (null_fd >= 0) {
        dup2(null_fd, 0);
        dup2(null_fd, 1);
    }
    dup2(words_fd < 0 ? null_fd : words_fd, 2);
    char env[32] = "";
    if (comm_fd >= 0) {
        snprintf(env, sizeof env, "_FUSE_COMMFD=%d", comm_fd);
        if (fd_set_cloexec(comm_fd, false) < 0)
            _exit(127);
    }
    char *const envp[] = { env, NULL };
    execve(args[0], (char *const *)args, envp);
    _exit(127);
}

static int finish(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/* What fusermount3 sets itself, or allows only if /etc/fuse.conf says so. */
static bool is_left_out(const char *option, size_t len)
{
    static const char *const names[] = { "fd=", "rootmode=", "user_id=", "group_id=",
                                         "allow_other" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t name_len = strlen(names[i]);
        if (len >= name_len && !memcmp(option, names[i], name_len))
            return true;
    }
    return false;
}

static int make_options(const char *text, const char *source, bool is_read_only, char *out,
                        size_t size_bytes)
{
    int n = snprintf(out, size_bytes,
                     "%s,nosuid,nodev,subtype=mrcfs,fsname=", is_read_only ? "ro" : "rw");
    size_t used = n < 0 ? size_bytes : (size_t)n;
    for (const char *c = source; *c && used + 3 < size_bytes; c++) {
        if (*c == ',' || *c == '\\')
            out[used++] = '\\';
        out[used++] = *c;
    }
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ",");
        if (used + len + 2 >= size_bytes)
            return -ENOSPC;
        if (!is_left_out(at, len)) {
            out[used++] = ',';
            memcpy(out + used, at, len);
            used += len;
        }
        at += len + (at[len] == ',');
    }
    out[used] = 0;
    return 0;
}

static int receive_mounted(int sock, int *fd_out)
{
    struct pollfd p = { .fd = sock, .events = POLLIN };
    int n = poll(&p, 1, HELPER_MAX_MS);
    if (n == 0)
        return -ETIMEDOUT;
    return fd_receive(sock, fd_out);
}

int fusermount_mount(const char *where, const char *source, const char *text, bool is_read_only,
                     int *fd_out, struct err *e)
{
    const char *program = fusermount_find(e);
    if (!program)
        return -ENOENT;
    char options[1024];
    int pair[2];
    int rc = make_options(text, source, is_read_only, options, sizeof options);
    if (rc == 0)
        rc = fd_socketpair(pair);
    if (rc < 0)
        return err_set(e, -rc, "run %s", program);
    AUTO_FD sock = pair[0];
    AUTO_FD theirs = pair[1];
    rc = fd_pipe(pair);
    if (rc < 0)
        return err_set(e, -rc, "run %s", program);
    AUTO_FD words = pair[0];
    AUTO_FD words_theirs = pair[1];
    const char *args[] = { program, "-o", options, "--", where, NULL };
    pid_t pid = -1;
    rc = start(args, theirs, words_theirs, &pid);
    fd_close(&theirs);
    fd_close(&words_theirs);
    if (rc < 0)
        return err_set(e, -rc, "run %s", program);
    rc = receive_mounted(sock, fd_out);
    char said[160];
    ssize_t n = rc < 0 ? fd_read_full(words, said, sizeof said - 1) : 0;
    int ended = finish(pid);
    if (rc == 0 && ended == 0)
        return 0;
    if (rc == 0)
        fd_close(fd_out);
    said[n < 0 ? 0 : n] = 0;
    said[strcspn(said, "\n")] = 0;
    return err_set(e, 0, "mount at %s: %s", where, said[0] ? said : "fusermount3 failed");
}

int fusermount_unmount(const char *where)
{
    if (geteuid() == 0)
        return umount2(where, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL &&
                       errno != ENOENT
                   ? -errno
                   : 0;
    const char *program = fusermount_find(NULL);
    if (!program)
        return -ENOENT;
    const char *args[] = { program, "-u", "-z", "--", where, NULL };
    pid_t pid = -1;
    int rc = start(args, -1, -1, &pid);
    return rc < 0 ? rc : finish(pid);
}
