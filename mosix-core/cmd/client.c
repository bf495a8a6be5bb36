/* SPDX-License-Identifier: GPL-2.0-or-later */
/* client.c: one request, one answer.
 * Must not know: what is asked. */
#include "mosix-core/cmd/client.h"

#include "common/sys/fd.h"
#include "mosix-core/mosixd/place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int mx_client_ask(const char *request, char *answer, size_t size, struct err *e)
{
    char run[MX_RUN_MAX], path[MX_RUN_MAX + 16];
    AUTO_FD sock = -1;
    int rc = mx_run_dir(NULL, run, e);
    if (rc < 0)
        return rc;
    snprintf(path, sizeof path, "%s/control", run);
    rc = mx_connect(path, SOCK_STREAM, &sock, e);
    if (rc < 0)
        return err_say(e, ECONNREFUSED, "no mosixd runs on this node (%s)", path);
    rc = mx_ask(sock, request, answer, size, e);
    if (rc < 0)
        return rc;
    if (strncmp(answer, "error ", 6) != 0)
        return rc;
    answer[strcspn(answer, "\n")] = 0;
    return err_say(e, EREMOTEIO, "%s", answer + 6);
}
