/* SPDX-License-Identifier: GPL-2.0-or-later */
/* export.c: the file server on the target's side.
 * Must not know: jobs. */
#include "mrc/agent/export.h"

#include "common/sys/log.h"
#include "mrc/pump.h"
#include "mrc/serve.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WINDOW = 16 * 1024 * 1024, END_WAIT_MS = 5000 };

struct agent_export {
    struct loop *loop;
    struct mrc_server server;
    bool is_started;
};

static void on_pump_done(void *ctx, int code)
{
    (void)ctx; /* the other one and the link go on */
    (void)code;
}

static int pump(struct agent_export *x, struct mrc_port *port, int *fd)
{
    if (*fd < 0)
        return -EBUSY;
    struct mrc_pump_opts po = {
        .loop = x->loop, .fd_in = *fd, .fd_out = *fd, .on_done = on_pump_done, .ctx = x
    };
    struct mrc_pump *p;
    int rc = mrc_pump_new(&po, &p);
    if (rc < 0)
        return rc;
    *fd = -1;
    rc = mrc_port_window(port, WINDOW);
    mrc_pump_attach(p, port);
    return rc;
}

static int start(struct agent_export *x, struct bytes request)
{
    char path[PATH_MAX], given[PATH_MAX];
    const char *home = getenv("HOME");
    if (request.len < 1 ||
        bytes_to_text((struct bytes){ request.ptr + 1, request.len - 1 }, given, sizeof given) <
            0 ||
        request.ptr[0] & ~(MRC_SERVE_READ_ONLY | MRC_SERVE_FOLLOW_LINKS))
        return -EPROTO;
    if (given[0] == '~' && (!given[1] || given[1] == '/'))
        memmove(given, given + (given[1] ? 2 : 1), strlen(given));
    int n = given[0] == '/' ? snprintf(path, sizeof path, "%s", given)
                            : snprintf(path, sizeof path, "%s%s%s", home ? home : "",
                                       *given ? "/" : "", given);
    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    struct mfs_export tree = { .path = path,
                               .is_read_only = request.ptr[0] & MRC_SERVE_READ_ONLY };
    struct mfs_serve_opts so = { .exports = &tree,
                                 .export_count = 1,
                                 .follows_links = request.ptr[0] & MRC_SERVE_FOLLOW_LINKS };
    return mrc_serve_start(&so, &x->server, NULL);
}

int agent_export_open(struct agent_export *x, struct mrc_port *port, struct bytes service,
                      struct bytes request)
{
    char name[16];
    if (bytes_to_text(service, name, sizeof name) < 0)
        return -EOPNOTSUPP;
    if (!strcmp(name, "serve-bulk"))
        return pump(x, port, &x->server.bulk_fd);
    if (strcmp(name, "serve-meta"))
        return -EOPNOTSUPP;
    if (x->is_started)
        return -EBUSY;
    x->is_started = true;
    int rc = start(x, request);
    return rc < 0 ? rc : pump(x, port, &x->server.meta_fd);
}

int agent_export_new(struct loop *loop, struct agent_export **out)
{
    struct agent_export *x = calloc(1, sizeof *x);
    if (!x)
        return -ENOMEM;
    x->loop = loop;
    x->server = (struct mrc_server){ .meta_fd = -1, .bulk_fd = -1 };
    *out = x;
    return 0;
}

void agent_export_free(struct agent_export *x)
{
    if (!x)
        return;
    int rc = mrc_serve_end(&x->server, END_WAIT_MS);
    if (rc == -EPROTO) /* else it has said itself what failed */
        log_error("the head asked for files in a way that is none of the protocol's: is it of "
                  "another version?");
    free(x);
}
