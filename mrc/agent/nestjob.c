/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nestjob.c: mrc in a job: an mrc whose job is run by the mrc of its head.
 * Must not know: how the head reaches the host. */
#include "mrc/agent/nest.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/dieby.h"
#include "mrc/nest/nest.h"
#include "mrc/options.h"
#include "mrc/run.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_MRC = 255 };

static int no_files(void *ctx, struct mrc_server **out, struct err *e)
{
    static struct mrc_server none = { .meta_fd = -1, .bulk_fd = -1 };
    (void)ctx;
    (void)e;
    *out = &none;
    return 0;
}

static int connect_nest(void *ctx, struct bytes early, int *fd_out, struct err *e)
{
    (void)ctx;
    const char *name = getenv(AGENT_NEST_VARIABLE);
    AUTO_FD fd = name ? mrc_nest_connect(name) : -ENOENT;
    if (fd < 0)
        return err_say(e, ENOENT,
                       "this is no job that may start others: mrc --nest at its head allows it");
    if (!mrc_nest_is_ours(fd))
        return err_say(e, EPERM, "who answers in the agent's place is not ours");
    int rc = fd_write_full(fd, early.ptr, early.len);
    if (rc < 0)
        return err_set(e, -rc, "the job's agent");
    *fd_out = take_fd(&fd);
    return 0;
}

int agent_nest_main(int argc, char **argv)
{
    static struct mrc_options said, o;
    struct err e = { "" };
    log_init("mrc", LOG_NORMAL);
    signal(SIGPIPE, SIG_IGN);
    int rc = mrc_options_parse(&said, argc, argv, &e);
    if (rc == OPT_DONE)
        return 0;
    /* The head parses all of it again: here it is only asked what concerns our terminal. */
    memcpy(o.host, said.host, sizeof o.host);
    o.command = argv + 1;
    o.tty = said.tty;
    o.no_tty = said.no_tty;
    o.no_input = said.no_input;
    o.quiet = said.quiet;
    o.reads_ahead = true;
    char cwd[PATH_MAX];
    if (rc == 0 && !getcwd(cwd, sizeof cwd))
        rc = err_set(&e, errno, "working directory");
    char none[] = "";
    struct mrc_trees trees = { .cwd = cwd, .home = none };
    struct mrc_keep keep = { .keeper_fd = -1 };
    struct mrc_run_opts ro = {
        .options = &o, .trees = &trees, .keep = &keep, .serve = no_files, .connect = connect_nest,
        .is_unwatched = true,
        .may_be_silent = true
    };
    struct mrc_outcome out = { .code = EXIT_MRC };
    if (rc == 0)
        rc = mrc_run(&ro, &out, &e);
    if (rc < 0) {
        if (e.text[0])
            log_error("%s", e.text);
        return out.code ? out.code : EXIT_MRC;
    }
    return out.by_signal ? mrc_die_by(out.code) : out.code;
}
