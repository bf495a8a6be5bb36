/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mrc/connect.h"

#include "common/sys/fd.h"
#include "mrc/magic.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int mrc_connect(const struct mrc_options *o, struct mrc_connection *out, struct err *e)
{
    (void)o;
    int pair[2];
    if (fd_socketpair(pair) < 0)
        return err_set(e, errno, "pair");
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pair[1], 0);
        dup2(pair[1], 1);
        setsid();
        execl(getenv("MRC_AGENT"), "mrc-agent", NULL);
        _exit(127);
    }
    close(pair[1]);
    out->fd = pair[0];
    out->pid = pid;
    char magic[64];
    ssize_t n = fd_read_full(out->fd, magic, strlen(MRC_AGENT_MAGIC));
    if (n != (ssize_t)strlen(MRC_AGENT_MAGIC) || memcmp(magic, MRC_AGENT_MAGIC, (size_t)n))
        return err_set(e, EPROTO, "magic");
    return 0;
}

void mrc_disconnect(struct mrc_connection *c)
{
    fd_close(&c->fd);
    free(c->early);
    c->early = NULL;
}
