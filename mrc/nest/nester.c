/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nester.c: the process that starts what jobs ask for. It is forked before anything else is, so
 * that each of its forks is an mrc at its beginning.
 * Must not know: what a session says. */
#include "mrc/nest/nest.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Until the job's mrc has gone. Returns MRC_NEST_CHILD in the process of a job. */
static int serve(int sock, struct mrc_options *o, const char *dial_name)
{
    int fd;
    prctl(PR_SET_NAME, "mrc-nester"); /* the command line is still needed */
    signal(SIGCHLD, SIG_IGN);         /* nobody waits for sessions */
    while (fd_receive(sock, &fd) >= 0) {
        pid_t pid = fork();
        if (pid == 0) {
            struct err e = { "" };
            signal(SIGCHLD, SIG_DFL);
            close(sock);
            int rc = mrc_nest_session(fd, o, dial_name, &e);
            if (rc == MRC_NEST_CHILD)
                return rc;
            log_at(LOG_VERBOSE, "a job that a job wanted: %s", e.text);
            _exit(1);
        }
        close(fd);
    }
    _exit(0);
}

int mrc_nester_start(struct mrc_options *o, struct mrc_nester *out, struct err *e)
{
    out->sock = -1;
    if (!o->nest.len)
        return MRC_NEST_STARTED;
    int pair[2];
    int rc = mrc_nest_new_name(out->name);
    if (rc == 0)
        rc = fd_socketpair(pair);
    if (rc < 0)
        return err_set(e, -rc, "a socket for the job's jobs");
    pid_t pid = fork();
    if (pid < 0) {
        rc = err_set(e, errno, "a process for the job's jobs");
        close(pair[0]);
        close(pair[1]);
        return rc;
    }
    if (pid == 0) {
        close(pair[0]);
        /* What is typed is the job's mrc's business; it ends us by its end. */
        signal(SIGINT, SIG_IGN);
        signal(SIGQUIT, SIG_IGN);
        signal(SIGTSTP, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        return serve(pair[1], o, out->name);
    }
    close(pair[1]);
    out->sock = pair[0];
    return MRC_NEST_STARTED;
}

void mrc_nester_end(struct mrc_nester *n)
{
    fd_close(&n->sock);
}
