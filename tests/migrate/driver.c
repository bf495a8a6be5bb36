/* SPDX-License-Identifier: GPL-2.0-or-later */
/* driver.c: capture and restore by hand, for tests.
 *   driver capture PID FILE [end]   writes the image of a process, and ends it
 *   driver restore FILE             makes a process of it, waits, and ends as it ends (128 +
 * signal) driver check FILE               reads it to its end */
#include "common/sys/fd.h"
#include "mosix-core/image/capture.h"
#include "mosix-core/image/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed(const char *what, const struct err *e)
{
    fprintf(stderr, "driver: %s: %s\n", what, e->text);
    return 99;
}

static int capture(pid_t pid, const char *path, bool is_ending)
{
    struct err e = { "" };
    struct mx_captured did;
    AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(&e, errno, "%s", path), failed("open", &e);
    if (mx_capture(pid, fd, is_ending, &did, &e) < 0)
        return failed("capture", &e);
    fprintf(stderr, "driver: %llu bytes, stood still for %llu us\n",
            (unsigned long long)did.image_bytes, (unsigned long long)did.frozen_us);
    return 0;
}

static int restore(int fd)
{
    struct err e = { "" };
    struct mx_restored did;
    int status;
    if (mx_restore(fd, &did, &e) < 0)
        return failed("restore", &e);
    fprintf(stderr, "driver: restored as %d%s\n", (int)did.pid,
            did.has_old_pid ? ", as before" : "");
    close(fd);
    while (waitpid(did.pid, &status, 0) < 0)
        if (errno != EINTR)
            return 99;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int check(int fd)
{
    struct err e = { "" };
    struct mx_image_reader r;
    struct mx_sec s;
    int rc = mx_image_reader_init(&r, fd, &e);
    while (rc >= 0 && (rc = mx_image_read(&r, &s, &e)) > 0)
        ;
    mx_image_reader_fini(&r);
    return rc < 0 ? failed("check", &e) : 0;
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "capture") == 0)
        return capture((pid_t)strtol(argv[2], NULL, 10), argv[3], argc > 4);
    if (argc == 3) {
        int fd = open(argv[2], O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            fprintf(stderr, "driver: open %s: %s\n", argv[2], strerror(errno));
            return 99;
        }
        if (strcmp(argv[1], "restore") == 0)
            return restore(fd);
        if (strcmp(argv[1], "check") == 0)
            return check(fd);
    }
    fprintf(stderr, "usage: driver capture PID FILE [end] | restore FILE | check FILE\n");
    return 99;
}
