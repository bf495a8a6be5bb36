/* SPDX-License-Identifier: GPL-2.0-or-later */
/* client.c: one request, one answer.
 * Must not know: what is asked. */
#include "mosix-core/cmd/client.h"

#include "common/sys/fd.h"
#include "mosix-core/mosixd/place.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { LONG_MS = 3600 * 1000 };

static int meet(int *sock, struct err *e)
{
    char run[MX_RUN_MAX], path[MX_RUN_MAX + 16];
    int rc = mx_run_dir(NULL, run, e);
    if (rc < 0)
        return rc;
    snprintf(path, sizeof path, "%s/control", run);
    rc = mx_connect(path, SOCK_STREAM, sock, e);
    return rc < 0 ? err_say(e, ECONNREFUSED, "no mosixd runs on this node (%s)", path) : 0;
}

/* Refusals have their words. */
static int check(int rc, char *answer, struct err *e)
{
    if (rc < 0 || strncmp(answer, "error ", 6) != 0)
        return rc;
    answer[strcspn(answer, "\n")] = 0;
    return err_say(e, EREMOTEIO, "%s", answer + 6);
}

static int ask(const char *request, int patience_ms, char *answer, size_t size, struct err *e)
{
    AUTO_FD sock = -1;
    int rc = meet(&sock, e);
    if (rc == 0)
        rc = mx_ask_patiently(sock, request, patience_ms, answer, size, e);
    return check(rc, answer, e);
}

int mx_client_ask(const char *request, char *answer, size_t size, struct err *e)
{
    return ask(request, MX_ANSWER_MS, answer, size, e);
}

int mx_client_ask_long(const char *request, char *answer, size_t size, struct err *e)
{
    return ask(request, LONG_MS, answer, size, e);
}

int mx_client_begin(const char *request, char *answer, size_t size, int *sock_out,
                    struct err *e)
{
    AUTO_FD sock = -1;
    int rc = meet(&sock, e);
    if (rc == 0)
        rc = fd_write_full(sock, request, strlen(request));
    struct pollfd p = { sock, POLLIN, 0 };
    if (rc == 0 && poll(&p, 1, MX_ANSWER_MS) <= 0)
        rc = -ETIMEDOUT;
    if (rc == 0)
        rc = (int)fd_read(sock, answer, size - 1);
    if (rc == 0)
        rc = -EPIPE;
    answer[rc > 0 ? rc : 0] = 0;
    rc = check(rc, answer, e);
    if (rc > 0)
        *sock_out = take_fd(&sock);
    return rc < 0 && !e->text[0] ? err_set(e, -rc, "ask mosixd") : rc;
}
