/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place.c: sockets with names.
 * Must not know: what is said on them. */
#include "mosix-core/mosixd/place.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int mx_run_dir(const char *path, char out[MX_RUN_MAX], struct err *e)
{
    const char *named = path ? path : secure_getenv("MOSIX_RUN");
    int n;
    if (named)
        n = snprintf(out, MX_RUN_MAX, "%s", named);
    else if (geteuid() == 0 || access("/run/mosix/control", F_OK) == 0)
        n = snprintf(out, MX_RUN_MAX, "/run/mosix");
    else
        n = snprintf(out, MX_RUN_MAX, "/tmp/mosix-%u", (unsigned)geteuid());
    return n < MX_RUN_MAX
               ? 0
               : err_say(e, ENAMETOOLONG, "%s is too long for a directory of sockets", named);
}

static int address_of(const char *path, struct sockaddr_un *a, struct err *e)
{
    *a = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if ((size_t)snprintf(a->sun_path, sizeof a->sun_path, "%s", path) >= sizeof a->sun_path)
        return err_say(e, ENAMETOOLONG, "%s is too long for a socket", path);
    return 0;
}

int mx_listen(const char *path, int type, unsigned mode, int *fd_out, struct err *e)
{
    struct sockaddr_un a;
    int rc = address_of(path, &a, e);
    if (rc < 0)
        return rc;
    AUTO_FD fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || (unlink(path) < 0 && errno != ENOENT) ||
        bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || chmod(path, mode) < 0 ||
        listen(fd, 64) < 0)
        return err_set(e, errno, "listen at %s", path);
    *fd_out = take_fd(&fd);
    return 0;
}

int mx_connect(const char *path, int type, int *fd_out, struct err *e)
{
    struct sockaddr_un a;
    int rc = address_of(path, &a, e);
    if (rc < 0)
        return rc;
    AUTO_FD fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return err_set(e, errno, "connect to %s", path);
    *fd_out = take_fd(&fd);
    return 0;
}

int mx_ask(int sock, const char *line, char *answer, size_t size, struct err *e)
{
    return mx_ask_patiently(sock, line, MX_ANSWER_MS, answer, size, e);
}

int mx_ask_patiently(int sock, const char *line, int patience_ms, char *answer, size_t size,
                     struct err *e)
{
    size_t done = 0;
    int rc = fd_write_full(sock, line, strlen(line));
    if (rc == 0)
        rc = shutdown(sock, SHUT_WR) < 0 ? -errno : 0;
    while (rc == 0) {
        struct pollfd p = { sock, POLLIN, 0 };
        if (poll(&p, 1, patience_ms) <= 0)
            return err_say(e, ETIMEDOUT, "no answer within %d s", patience_ms / 1000);
        ssize_t n = fd_read(sock, answer + done, size - 1 - done);
        if (n <= 0) {
            rc = (int)n;
            break;
        }
        done += (size_t)n;
        if (done == size - 1)
            break;
    }
    answer[done] = 0;
    return rc < 0 ? err_set(e, -rc, "ask") : (int)done;
}
