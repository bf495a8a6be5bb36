/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connect.c: from a source's name to two streams with a file server at their ends.
 * Must not know: FUSE, mounting. */
#include "mrcfs/connect.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/mrc.h"
#include "mrcfs/mrcfs.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The child: serves dir, then ends. */
static void serve(const struct mfs_connect_opts *c, const char *dir, int meta_fd, int bulk_fd,
                  int broker_fd)
{
    struct err e = { "" };
    struct mfs_export x = { dir, c->is_read_only };
    struct mfs_serve_opts o = { .exports = &x,
                                .export_count = 1,
                                .follows_links = c->follows_links,
                                .has_broker = broker_fd >= 0,
                                .broker_fd = broker_fd,
                                .finds_broker = broker_fd >= 0,
                                .meta_fd = meta_fd,
                                .bulk_fd = bulk_fd };
    int rc = mfs_serve(&o, &e);
    if (rc < 0)
        log_at(LOG_VERBOSE, "file server: %s", e.text);
    _exit(rc < 0 ? 1 : 0);
}

static int connect_local(const struct mfs_connect_opts *o, struct mfs_connection *out,
                         struct err *e)
{
    const char *dir = o->source.dir;
    if (!*dir) {
        const struct passwd *p = getpwuid(getuid());
        dir = getenv("HOME");
        if (!dir || !*dir)
            dir = p ? p->pw_dir : "/";
    }
    AUTO_FREE char *path = realpath(dir, NULL);
    struct stat st;
    if (!path || stat(path, &st) < 0)
        return err_set(e, errno, "%s", dir);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ENOTDIR, "%s", dir);
    int meta[2], bulk[2];
    int rc = fd_socketpair(meta);
    if (rc < 0)
        return err_set(e, -rc, "start a file server");
    AUTO_FD meta_ours = meta[0];
    AUTO_FD meta_theirs = meta[1];
    rc = fd_socketpair(bulk);
    if (rc < 0)
        return err_set(e, -rc, "start a file server");
    AUTO_FD bulk_ours = bulk[0];
    AUTO_FD bulk_theirs = bulk[1];
    AUTO_FD broker_fd = -1;
    struct err why = { "" };
    if (mfs_broker_connect(NULL, &broker_fd, &why) < 0)
        log_at(LOG_VERBOSE, "%s; the server is asked for everything", why.text);
    pid_t pid = fork();
    if (pid < 0)
        return err_set(e, errno, "start a file server");
    if (pid == 0) {
        /* Out of the terminal's process group: Ctrl-C is the client's to handle. */
        setpgid(0, 0);
        fd_close(&meta_ours);
        fd_close(&bulk_ours);
        serve(o, path, take_fd(&meta_theirs), take_fd(&bulk_theirs), take_fd(&broker_fd));
    }
    *out = (struct mfs_connection){ take_fd(&meta_ours), take_fd(&bulk_ours), pid };
    return 0;
}

/* A way to the host that can be gone again. */
struct way {
    struct mrc_transport_opts transport;
    char what[300];
    struct mrc_connection connection; /* in a process that makes a new one */
};

/* sshfs's ssh_command is any command that takes options, host and command as ssh does. */
static void way_of(const struct mfs_connect_opts *o, struct way *w)
{
    *w = (struct way){ .transport = {
                           .kind = o->ssh_command ? MRC_TRANSPORT_OPENSSH : MRC_TRANSPORT_AUTO,
                           .host = o->source.host,
                           .user = o->source.user,
                           .port = o->port,
                           .config_file = o->config_file,
                           .ssh_options = o->ssh_options,
                           .ssh_option_count = o->ssh_option_count,
                           .ssh_program = o->ssh_command,
                           .is_resumed = o->reconnect_s > 0,
                           .verbosity = o->verbosity,
                       } };
    snprintf(w->what, sizeof w->what, "mrcfs %.280s", o->source.dir);
}

/* Nobody is asked: a mount has no terminal. */
static int reconnect(void *ctx, bool may_ask UNUSED, int *fd_out, struct err *e)
{
    struct way *w = ctx;
    w->transport.is_batch = true;
    w->connection = (struct mrc_connection){ .fd = -1 };
    int rc = mrc_connect_shared(&w->transport, w->what, &w->connection, e);
    if (rc == 0)
        *fd_out = take_fd(&w->connection.fd);
    return rc;
}

static void disconnect(void *ctx)
{
    struct way *w = ctx;
    mrc_leave(&w->connection);
}

static int connect_remote(const struct mfs_connect_opts *o, struct mfs_connection *out,
                          struct err *e)
{
    struct way w;
    way_of(o, &w);
    struct mrc_connection connection = { .fd = -1 };
    int rc = mrc_connect_shared(&w.transport, w.what, &connection, e);
    if (rc < 0) {
        mrc_disconnect(&connection);
        return rc;
    }
    struct mrc_remote remote;
    struct mrc_remote_opts ro = { .host = o->source.host,
                                  .dir = o->source.dir,
                                  .is_read_only = o->is_read_only,
                                  .follows_links = o->follows_links,
                                  .wait_s = o->reconnect_s,
                                  .reconnect = reconnect,
                                  .disconnect = disconnect,
                                  .ctx = &w };
    rc = mrc_remote_serve(&connection, &ro, &remote, e);
    if (rc == 0)
        *out = (struct mfs_connection){ remote.meta_fd, remote.bulk_fd, remote.pid };
    return rc;
}

int mfs_connect(const struct mfs_connect_opts *o, struct mfs_connection *out, struct err *e)
{
    if (!strcmp(o->source.host, "local") && !o->source.user)
        return connect_local(o, out, e);
    return connect_remote(o, out, e);
}
