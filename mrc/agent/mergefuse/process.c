/* SPDX-License-Identifier: GPL-2.0-or-later */
/* process.c: the process that serves a merge of two directories as a FUSE file system. This
 * folder is the second that knows libfuse, because the file client's is bound to the file
 * protocol.
 * Must not know: how the directories were mounted.
 * Threads: WORKERS that all do the same. */
#include "mrc/agent/mergefuse.h"

#include "common/sys/fd.h"
#include "mrc/agent/mergefuse/parts.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORKERS = 8 };

/* Closes what the agent relies on being closed, and raises what the job's open files need. */
static void make_room(const struct mergefuse_opts *o, int ready_fd)
{
    const int keep[] = { o->head_fd, o->target_fd, o->fuse_fd, ready_fd };
    fd_close_all_but(keep, ARRAY_LEN(keep));
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* Answers requests until the mount is gone. Not libfuse's own loop of threads, whose
 * configuration differs between its versions. */
static void *work(void *session)
{
    struct fuse_session *se = session;
    struct fuse_buf buf = { 0 };
    while (!fuse_session_exited(se)) {
        int n = fuse_session_receive_buf(se, &buf);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            break;
        fuse_session_process_buf(se, &buf);
    }
    free(buf.mem);
    return NULL;
}

static void op_init(void *ctx, struct fuse_conn_info *conn)
{
    (void)ctx;
    conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS;
}

static void (*const kinds[])(struct fuse_lowlevel_ops *ops) = {
    mergefuse_names, mergefuse_attr, mergefuse_files, mergefuse_dirs, mergefuse_xattr,
};

/* In the new process, which has been single-threaded until now. */
static int serve(const struct mergefuse_opts *o, const char *proc_path, int ready_fd)
{
    char where[64];
    make_room(o, ready_fd);
    umask(0);
    signal(SIGPIPE, SIG_IGN);
    snprintf(where, sizeof where, "%s/self/fd", proc_path);
    mergefuse_it.head_fd = o->head_fd;
    if (chdir(where) < 0 || merge_new(o->head_fd, o->target_fd, &mergefuse_it.merge) < 0 ||
        nodes_init(&mergefuse_it.nodes) < 0)
        return -1;
    char *words[] = { (char *)"mrc-merge", NULL };
    struct fuse_lowlevel_ops ops = { .init = op_init };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        kinds[i](&ops);
    struct fuse_args args = FUSE_ARGS_INIT(1, words);
    struct fuse_session *se = fuse_session_new(&args, &ops, sizeof ops, NULL);
    snprintf(where, sizeof where, "/dev/fd/%d", o->fuse_fd);
    if (!se || fuse_session_mount(se, where) != 0)
        return -1;
    for (int i = 1; i < WORKERS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, se) != 0)
            return -1;
    }
    if (fd_write_full(ready_fd, "", 1) < 0)
        return -1;
    close(ready_fd);
    work(se);
    return 0;
}

int mergefuse_start(const struct mergefuse_opts *o, const char *proc_path, struct err *e)
{
    int pair[2];
    int rc = fd_pipe(pair);
    if (rc < 0)
        return err_set(e, -rc, "make a pipe");
    AUTO_FD ready = pair[0];
    AUTO_FD theirs = pair[1];
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return err_set(e, errno, "start the server of --overlay");
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
            _exit(1);
        _exit(serve(o, proc_path, theirs) < 0);
    }
    fd_close(&theirs);
    char byte;
    if (fd_read(ready, &byte, 1) != 1) /* proc_path must stay valid until then */
        return err_say(e, ECHILD, "the server of --overlay failed");
    return 0; /* it is reaped when the caller ends */
}
