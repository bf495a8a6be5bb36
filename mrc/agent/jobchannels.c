/* SPDX-License-Identifier: GPL-2.0-or-later */
/* jobchannels.c: the channels of a job that the head opens, before and beside the specification.
 * Must not know: how the job is started. */
#include "mrc/agent/jobparts.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mrc/agent/demandfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static int open_job(struct agent_job *j, struct mrc_port *port)
{
    if (j->port || j->has_spec)
        return -EBUSY;
    j->port = port;
    port->ops = &job_port_ops;
    port->ctx = j;
    return 0;
}

static int open_stream(struct agent_job *j, struct mrc_port *port, int number)
{
    if (j->fds[number] >= 0 || j->has_spec)
        return -EBUSY;
    int pair[2];
    int rc = fd_pipe(pair);
    if (rc < 0)
        return rc;
    int ours = number == 0 ? pair[1] : pair[0];
    j->fds[number] = number == 0 ? pair[0] : pair[1];
    rc = fd_set_nonblock(ours, true);
    if (rc < 0)
        return rc;
    fcntl(ours, F_SETPIPE_SZ, 1024 * 1024); /* smaller is only slower */
    return number == 0 ? job_pump_fds(j, port, -1, ours, STREAM_WINDOW, NULL)
                       : job_pump_words(j, port, ours, -1);
}

static int open_stdin(struct agent_job *j, struct mrc_port *port)
{
    return open_stream(j, port, 0);
}

static int open_demand(struct agent_job *j, struct mrc_port *port)
{
    if (j->demand || j->fds[0] >= 0 || j->has_spec)
        return -EBUSY;
    int rc = demandfile_new(j->o.loop, port, j->request, job_demand_done, j, &j->demand);
    if (rc == 0)
        j->pumps++;
    return rc;
}

static int open_stdout(struct agent_job *j, struct mrc_port *port)
{
    return open_stream(j, port, 1);
}

static int open_stderr(struct agent_job *j, struct mrc_port *port)
{
    return open_stream(j, port, 2);
}

static int open_tty(struct agent_job *j, struct mrc_port *port)
{
    if (j->tty_fd >= 0 || j->has_spec)
        return -EBUSY;
    AUTO_FD master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (master < 0 || unlockpt(master) < 0)
        return -errno;
    j->tty_fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (j->tty_fd < 0)
        return -errno;
    AUTO_FD second = fcntl(master, F_DUPFD_CLOEXEC, 3);
    if (second < 0)
        return -errno;
    return job_pump_words(j, port, take_fd(&master), take_fd(&second));
}

static int open_files(struct agent_job *j, struct mrc_port *port, int number)
{
    bool is_next = j->is_held && j->files && !j->files_ended; /* of another server */
    if (is_next) /* one that came half */
        fd_close(&j->files_fds[number]);
    if (j->files_fds[number] >= 0 || (j->files && !is_next) ||
        (j->has_spec && !j->joining && !j->awaits_files && !is_next))
        return -EBUSY;
    int pair[2];
    int rc = fd_socketpair(pair);
    if (rc < 0)
        return rc;
    j->files_fds[number] = pair[1];
    rc = job_pump_fds(j, port, pair[0], pair[0], FILES_WINDOW, number == 0 ? job_meta_end : NULL);
    if (rc == 0 && is_next && j->files_fds[0] >= 0 && j->files_fds[1] >= 0) {
        int meta_fd = take_fd(&j->files_fds[0]);
        return files_resume(j->files, meta_fd, take_fd(&j->files_fds[1]));
    }
    if (rc == 0 && !is_next)
        job_maybe_start_alone(j);
    return rc;
}

static int open_meta(struct agent_job *j, struct mrc_port *port)
{
    return open_files(j, port, 0);
}

static int open_bulk(struct agent_job *j, struct mrc_port *port)
{
    return open_files(j, port, 1);
}

/* Asked for by the head when the files' channels are closed. */
static void on_stats_closed(void *ctx, int code, struct bytes text)
{
    (void)text;
    job_pump_done(ctx, code);
}

static const struct mrc_port_ops stats_ops = { .on_closed = on_stats_closed };

static int open_stats(struct agent_job *j, struct mrc_port *port)
{
    char text[4096 + 100] = "";
    struct mfs_stats stats;
    bool is_shared = false;
    if (!j->files && j->joined.sock < 0)
        return -ENOENT;
    if (j->files)
        files_stats(j->files, &stats);
    else if (joined_stats(&j->joined, &stats, &is_shared) < 0)
        return -ENOTCONN;
    const char *cache_off = j->files ? files_cache_off(j->files) : j->has_cache ? NULL : "";
    size_t len = files_stats_text(&stats, j->compress, cache_off, text, 4096);
    if (is_shared)
        len += (size_t)snprintf(text + len, sizeof text - len,
                                "mrc: other jobs shared the view: theirs are counted too\n");
    port->ops = &stats_ops;
    port->ctx = j;
    j->pumps++;
    int rc = mrc_port_send(port, text, len);
    mrc_port_end(port);
    return rc;
}

static const struct {
    const char *name;
    int (*open)(struct agent_job *j, struct mrc_port *port);
} services[] = {
    { "job", open_job },       { "stdin", open_stdin },   { "stdin-demand", open_demand },
    { "stdout", open_stdout }, { "stderr", open_stderr }, { "tty", open_tty },
    { "fs-meta", open_meta },  { "fs-bulk", open_bulk },  { "stats", open_stats },
    { "usage", job_usage_open },
};

int agent_job_open(struct agent_job *j, struct mrc_port *port, struct bytes service,
                   struct bytes request)
{
    j->request = request;
    char name[16];
    if (bytes_to_text(service, name, sizeof name) < 0)
        return -EOPNOTSUPP;
    for (size_t i = 0; i < ARRAY_LEN(services); i++)
        if (!strcmp(services[i].name, name))
            return services[i].open(j, port);
    return -EOPNOTSUPP;
}
