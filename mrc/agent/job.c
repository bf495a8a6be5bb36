/* SPDX-License-Identifier: GPL-2.0-or-later */
/* job.c: puts a job together: the head opens the channels first, then sends the specification;
 * from then on its channel is joined to the supervisor, who speaks with mrc directly. Must not
 * know: how the link came to be. Processes: agent (this) - builder (enters the namespaces,
 * waits) - supervisor (process 1 of the job) - the command. Each dies with the one before it.
 */
#include "mrc/agent/job.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mrc/agent/demandfile.h"
#include "mrc/agent/files.h"
#include "mrc/agent/supervise.h"
#include "mrc/agent/view.h"
#include "mrc/demand.h"
#include "mrc/job.h"
#include "mrc/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
    STREAM_COUNT = 3,
    ABANDON_MS = 6000, /* from the end of the link to SIGKILL for the whole tree */
    STREAM_WINDOW = 4 * 1024 * 1024,
    FILES_WINDOW = 16 * 1024 * 1024,
};

struct agent_job {
    struct agent_job_opts o;
    struct view_probe probe;
    struct mrc_port *port; /* the job's channel until the supervisor has it */
    struct bytes request;  /* of the channel that is being opened */
    struct buf in;
    bool has_spec, is_abandoned, is_failed, is_handed_over;
    int fds[STREAM_COUNT];     /* the job's ends */
    int tty_fd;                /* slave */
    int files_fds[2];          /* our ends of the streams to the file server */
    int pumps;                 /* channels that are still open */
    struct mrc_pump *job_pump; /* supervisor and head; NULL before and after */
    bool supervisor_ended, files_ended;
    struct mfs_behind_count behind; /* writes on their way to the head */
    struct demandfile *demand; /* standard input on demand, else NULL */
    int demand_sock;
    struct loop_fd demand_watch;
    struct files *files;
    int view_sock, job_sock;
    struct loop_fd view_watch, pid_watch;
    struct loop_timer timer;
    pid_t builder;
    int pidfd;
    bool builder_done;
};

static void maybe_done(struct agent_job *j)
{
    if (j->pumps || j->port || !j->builder_done)
        return;
    void (*done)(void *) = j->o.on_done;
    j->o.on_done = NULL;
    if (done)
        done(j->o.ctx);
}

static void on_pump_done(void *ctx, int code)
{
    struct agent_job *j = ctx;
    (void)code;
    j->pumps--;
    maybe_done(j);
}

static void on_demand_done(void *ctx, int code)
{
    struct agent_job *j = ctx;
    j->demand = NULL;
    on_pump_done(j, code);
}

/* The job's last word waits for its files: whether all is on the head is the head's to know. */
static void maybe_end_job(struct agent_job *j)
{
    struct mrc_port *port = j->job_pump ? mrc_pump_port(j->job_pump) : NULL;
    if (!port || !j->supervisor_ended || (j->files && !j->files_ended))
        return;
    struct err e = { "" };
    int rc = j->files ? files_result(j->files, &e) : 0;
    if (rc < 0) {
        uint8_t space[600];
        struct wr w = wr_of(space, sizeof space);
        struct job_msg m = { .id = JOB_MSG_lost,
                             .lost = { (uint32_t)-rc, bytes_of(e.text) } };
        job_msg_put(&w, &m);
        rc = mrc_port_send(port, space, wr_len(&w));
        (void)rc; /* 600 bytes fit, or the link is gone */
    }
    mrc_port_end(port);
}

static void on_supervisor_end(void *ctx)
{
    struct agent_job *j = ctx;
    j->supervisor_ended = true;
    maybe_end_job(j);
}

static void on_files_end(void *ctx)
{
    struct agent_job *j = ctx;
    j->files_ended = true;
    maybe_end_job(j);
}

static void on_job_pump_done(void *ctx, int code)
{
    struct agent_job *j = ctx;
    j->job_pump = NULL;
    on_pump_done(j, code);
}

/* What the job says must not overtake what it has written to files. */
static uint64_t order_mark(void *ctx)
{
    struct agent_job *j = ctx;
    uint64_t sent = atomic_load(&j->behind.sent);
    return atomic_load(&j->behind.made) < sent ? sent : 0;
}

static bool is_passed(void *ctx, uint64_t mark)
{
    struct agent_job *j = ctx;
    return atomic_load(&j->behind.made) >= mark || !j->files;
}

static int start_pump(struct agent_job *j, struct mrc_port *port,
                      const struct mrc_pump_opts *o, uint64_t window_bytes,
                      struct mrc_pump **out)
{
    struct mrc_pump *p;
    int rc = mrc_pump_new(o, &p);
    if (rc < 0)
        return rc;
    j->pumps++;
    *out = p;
    rc = mrc_port_window(port, window_bytes);
    mrc_pump_attach(p, port);
    return rc;
}

static int pump(struct agent_job *j, struct mrc_port *port, int fd_in, int fd_out,
                uint64_t window_bytes, void (*on_in_end)(void *ctx))
{
    struct mrc_pump *p;
    struct mrc_pump_opts po = { .loop = j->o.loop,
                                .fd_in = fd_in,
                                .fd_out = fd_out,
                                .on_in_end = on_in_end,
                                .on_done = on_pump_done,
                                .ctx = j };
    return start_pump(j, port, &po, window_bytes, &p);
}

/* For what the job says (fd_in), and what is said to it on the same terminal. */
static int pump_words(struct agent_job *j, struct mrc_port *port, int fd_in, int fd_out)
{
    struct mrc_pump_opts po = { .loop = j->o.loop,
                                .fd_in = fd_in,
                                .fd_out = fd_out,
                                .order_mark = order_mark,
                                .is_passed = is_passed,
                                .on_done = on_pump_done,
                                .ctx = j };
    struct mrc_pump *p;
    return start_pump(j, port, &po, STREAM_WINDOW, &p);
}

/* The words of a job that never ran. */
static void fail(struct agent_job *j, enum job_stage stage, int rc, const char *text)
{
    if (j->is_failed || !j->port)
        return;
    j->is_failed = true;
    uint8_t space[600];
    struct wr w = wr_of(space, sizeof space);
    struct job_msg m = { .id = JOB_MSG_failed };
    m.failed.stage = (uint8_t)stage;
    m.failed.code = (uint32_t)-rc;
    m.failed.text = bytes_of(text);
    job_msg_put(&w, &m);
    if (mrc_port_send(j->port, space, wr_len(&w)) == 0)
        mrc_port_end(j->port);
    fd_close(&j->job_sock);
    for (int i = 0; i < STREAM_COUNT; i++)
        fd_close(&j->fds[i]);
    fd_close(&j->tty_fd);
    fd_close(&j->files_fds[0]); /* nobody has them yet if the view was never begun */
    fd_close(&j->files_fds[1]);
    if (j->demand && j->builder_done)
        demandfile_finish(j->demand);
}

/* Builder */

/* Text for mount(2): what mfs_client_mount_opts would say; here because the builder must not
 * wait for the server. */
static int mount_text(void *ctx, size_t export_number, int fuse_fd, uid_t uid, gid_t gid,
                      bool allow_other, char *text, size_t size)
{
    const struct job_spec *spec = ctx;
    (void)export_number;
    int n =
        snprintf(text, size, "fd=%d,rootmode=40000,user_id=%u,group_id=%u%s%s,max_read=1048576",
                 fuse_fd, uid, gid, allow_other ? ",allow_other" : "",
                 spec->flags & JOB_HEAD_PRIVILEGED ? ",default_permissions" : "");
    return n < 0 || (size_t)n >= size ? -ENOSPC : 0;
}

struct mounts {
    struct view_mount list[VIEW_MOUNTS_MAX];
    char paths[VIEW_MOUNTS_MAX][4096];
    const char *head_paths[VIEW_MOUNTS_MAX];
    size_t count, head_count;
};

static int read_mounts(struct bytes text, struct mounts *m)
{
    struct rd r = rd_of(text.ptr, text.len);
    while (rd_left(&r)) {
        uint8_t kind, is_read_only;
        uint32_t number;
        struct bytes path;
        if (m->count == VIEW_MOUNTS_MAX)
            return -ENOSPC;
        if (get_u8(&r, &kind) < 0 || get_u8(&r, &is_read_only) < 0 ||
            get_u32(&r, &number) < 0 || get_bytes(&r, &path) < 0 || kind > VIEW_OVERLAY ||
            bytes_to_text(path, m->paths[m->count], sizeof m->paths[0]) < 0)
            return -EPROTO;
        if (kind == VIEW_HEAD || kind == VIEW_OVERLAY)
            m->head_paths[m->head_count++] = m->paths[m->count];
        m->list[m->count] = (struct view_mount){ .kind = (enum view_kind)kind,
                                                 .path = m->paths[m->count],
                                                 .export_number = number,
                                                 .is_read_only = is_read_only != 0 };
        m->count++;
    }
    return 0;
}

struct builder {
    int view_sock, job_sock, demand_sock;
};

/* Runs in the builder, which is a fork of the single-threaded agent. Does not return. */
static void build(struct agent_job *j, const struct job_spec *spec, const struct builder *b)
    __attribute__((noreturn));

static void build(struct agent_job *j, const struct job_spec *spec, const struct builder *b)
{
    /* The agent's ends of pipes must be the agent's alone: their closing is what the job
     * notices. */
    const int keep[] = { b->view_sock, b->job_sock, b->demand_sock, j->fds[0],
                         j->fds[1],    j->fds[2],   j->tty_fd };
    fd_close_all_but(keep, ARRAY_LEN(keep));
    struct err e = { "" };
    struct view_report report = { 0 };
    struct mounts *m = calloc(1, sizeof *m);
    char cwd[4096];
    if (!m || read_mounts(spec->mounts, m) < 0 || bytes_to_text(spec->cwd, cwd, sizeof cwd) < 0)
        _exit(1);
    struct view_opts vo = { .probe = &j->probe,
                            .mounts = m->list,
                            .count = m->count,
                            .is_root_view = spec->is_root_view != 0,
                            .cwd = cwd,
                            .job_uid = spec->is_root_view ? spec->uid : getuid(),
                            .job_gid = spec->is_root_view ? spec->gid : getgid(),
                            .cache_dir = j->o.cache_dir,
                            .mount_text = mount_text,
                            .ctx = (void *)spec,
                            .no_pid_ns = (spec->flags & JOB_NO_PID_NS) != 0,
                            .wants_target_resolver = (spec->flags & JOB_TARGET_RESOLVER) != 0 };
    if (view_enter(&vo, b->view_sock, &report, &e) < 0)
        _exit(1);
    if (b->demand_sock >= 0 &&
        demandfile_open(b->demand_sock, demandfile_wants_file(j->demand), &j->fds[0], &e) < 0)
        _exit(1);
    pid_t init;
    if (view_start_init(&vo, b->view_sock, &report, &init, &e) < 0)
        _exit(1);
    if (init) {
        close(b->job_sock);
        for (int i = 0; i < STREAM_COUNT; i++)
            fd_close(&j->fds[i]);
        fd_close(&j->tty_fd);
        view_wait_init(init);
        _exit(0);
    }
    struct supervise_opts so = { .spec = spec,
                                 .view = &report,
                                 .sock = b->job_sock,
                                 .demand_sock = b->demand_sock,
                                 .tty_fd = j->tty_fd,
                                 .fds = { j->fds[0], j->fds[1], j->fds[2] },
                                 .head_paths = m->head_paths,
                                 .head_path_count = m->head_count };
    _exit(supervise(&so));
}

/* Mounts outside of the job's namespaces don't go with them, and the file client ends only when
 * they are gone. In a process of its own, because taking them off may need us to pass requests
 * on. */
static void take_off_mounts(const struct agent_job *j)
{
    if (j->probe.means != VIEW_MEANS_DIRECT && j->probe.means != VIEW_MEANS_FUSERMOUNT)
        return;
    pid_t pid = fork();
    if (pid != 0)
        return; /* if there is none, the next agent takes them off */
    fd_close_all_but((const int[]){ STDERR_FILENO }, 1);
    view_cleanup(j->o.cache_dir);
    _exit(0);
}

static void on_view_message(void *ctx, uint32_t events);

static void on_builder_end(void *ctx, uint32_t events)
{
    struct agent_job *j = ctx;
    (void)events;
    /* What it said last is better than that it has ended. */
    for (int i = 0; i <= VIEW_MOUNTS_MAX && j->view_sock >= 0; i++)
        on_view_message(j, EPOLLIN);
    loop_fd_del(&j->pid_watch);
    fd_close(&j->pidfd);
    while (waitpid(j->builder, NULL, 0) < 0 && errno == EINTR)
        continue;
    j->builder_done = true;
    take_off_mounts(j);
    loop_timer_del(&j->timer);
    if (j->demand)
        demandfile_finish(j->demand);
    if (j->port && !j->is_handed_over)
        fail(j, JOB_STAGE_VIEW, -EIO, "the process that builds the view ended");
    maybe_done(j);
}

/* From the builder until the supervisor runs */

static void hand_over(struct agent_job *j)
{
    struct mrc_port *port = j->port;
    j->is_handed_over = true;
    j->port = NULL;
    size_t early = buf_len(&j->in);
    if (early && fd_write_full(j->job_sock, buf_at(&j->in), early) < 0)
        early = 0; /* the supervisor is dead: its end of file follows */
    buf_consume(&j->in, buf_len(&j->in));
    int sock = take_fd(&j->job_sock);
    struct mrc_pump_opts po = { .loop = j->o.loop,
                                .fd_in = sock,
                                .fd_out = sock,
                                .tells_no_end = true,
                                .on_in_end = on_supervisor_end,
                                .on_done = on_job_pump_done,
                                .ctx = j };
    int rc = start_pump(j, port, &po, MRC_WINDOW_FIRST, &j->job_pump);
    if (rc < 0)
        mrc_port_reset(port, rc, "job channel");
}

static void on_view_message(void *ctx, uint32_t events)
{
    struct agent_job *j = ctx;
    (void)events;
    struct view_message m;
    int rc = view_receive(j->view_sock, &m);
    if (rc == -EAGAIN)
        return;
    if (rc == 1 && m.kind == VIEW_MSG_FUSE) {
        rc = files_attach(j->files, m.export_number, m.fuse_fd);
        if (rc == 0)
            return;
        m.kind = VIEW_MSG_FAILED;
        m.rc = rc;
        err_set(&m.err, -rc, "file client");
        rc = 1;
    }
    loop_fd_del(&j->view_watch);
    fd_close(&j->view_sock);
    if (j->files)
        files_finish(j->files);
    if (rc == 1 && m.kind == VIEW_MSG_DONE) {
        hand_over(j);
    } else if (rc == 1 && m.kind == VIEW_MSG_FAILED) {
        fail(j, m.is_cwd ? JOB_STAGE_CWD : JOB_STAGE_VIEW, m.rc, m.err.text);
    } else {
        fail(j, JOB_STAGE_VIEW, -EIO, "the process that builds the view died");
    }
}

/* First the builder sends the file that is the job's standard input (a second time if the first
 * way failed), then, if it became a pipe, the supervisor tells who waits for it. */
static void on_demand_fd(void *ctx, uint32_t events)
{
    struct agent_job *j = ctx;
    (void)events;
    int rc = -ECANCELED;
    if (j->demand && demandfile_is_pipe(j->demand)) {
        uint8_t record[DEMAND_LEN];
        bool is_whole = fd_read_full(j->demand_sock, record, sizeof record) == sizeof record;
        rc = is_whole && demandfile_wish(j->demand, record) ? 0 : -EPIPE;
    } else if (j->demand) {
        int fd;
        rc = fd_receive(j->demand_sock, &fd);
        if (rc == 0)
            rc = demandfile_serve(j->demand, fd);
    }
    if (rc == 0)
        return;
    loop_fd_del(&j->demand_watch);
    fd_close(&j->demand_sock);
}

static int start_files(struct agent_job *j, const struct job_spec *spec, struct err *e)
{
    uid_t uid = spec->is_root_view ? spec->uid : getuid();
    gid_t gid = spec->is_root_view ? spec->gid : getgid();
    struct files_opts fo = { .meta_fd = take_fd(&j->files_fds[0]),
                             .bulk_fd = take_fd(&j->files_fds[1]),
                             .is_single_user = geteuid() != 0,
                             .behind = &j->behind,
                             .cache_dir =
                                 spec->flags & JOB_NO_CACHE ? NULL : j->o.cache_dir,
                             .compress = spec->flags & JOB_COMPRESS_NO    ? MFS_COMPRESS_NO
                                         : spec->flags & JOB_COMPRESS_YES ? MFS_COMPRESS_YES
                                                                          : MFS_COMPRESS_AUTO,
                             .consistency = spec->flags & JOB_LOOSE   ? MFS_LOOSE
 : spec->flags & JOB_LEASE ? MFS_LEASE : MFS_STRICT };
    view_owner(&j->probe, uid, gid, &fo.own_uid, &fo.own_gid);
    return files_start(&fo, &j->files, e);
}

/* The head's trees need the two streams to its file server; without trees there are none. */
static int check_files(const struct agent_job *j, const struct job_spec *spec, struct err *e)
{
    AUTO_FREE struct mounts *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(e, ENOMEM, "trees of the view");
    int rc = read_mounts(spec->mounts, m);
    if (rc < 0)
        return err_set(e, -rc, "trees of the view");
    bool has_streams = j->files_fds[0] >= 0 && j->files_fds[1] >= 0;
    if (m->head_count ? has_streams : j->files_fds[0] < 0 && j->files_fds[1] < 0)
        return 0;
    return has_streams ? 0 : err_set(e, EPROTO, "mrc opened no streams for its files");
}

static int start(struct agent_job *j, const struct job_spec *spec, struct err *e)
{
    int rc = check_files(j, spec, e);
    if (rc < 0)
        return rc;
    view_probe(j->o.cache_dir, &j->probe);
    if (j->probe.means == VIEW_MEANS_NONE) {
        view_probe_text(&j->probe, e);
        return -EPERM;
    }
    int view_pair[2] = { -1, -1 }, job_pair[2] = { -1, -1 }, demand_pair[2] = { -1, -1 };
    rc = view_socketpair(view_pair);
    if (rc == 0)
        rc = fd_socketpair(job_pair);
    if (rc == 0 && j->demand)
        rc = fd_socketpair(demand_pair);
    if (rc < 0)
        return err_set(
            e, -rc,
            "socket pair"); /* the agent ends with its job, and with it what was opened */
    j->builder = fork();
    if (j->builder < 0)
        return err_set(e, errno, "fork");
    if (j->builder == 0) {
        close(view_pair[0]);
        close(job_pair[0]);
        fd_close(&demand_pair[0]);
        build(j, spec, &(struct builder){ view_pair[1], job_pair[1], demand_pair[1] });
    }
    close(view_pair[1]);
    close(job_pair[1]);
    fd_close(&demand_pair[1]);
    j->demand_sock = demand_pair[0];
    for (int i = 0; i < STREAM_COUNT; i++)
        fd_close(&j->fds[i]);
    fd_close(&j->tty_fd);
    j->view_sock = view_pair[0];
    j->job_sock = job_pair[0];
    j->builder_done = false;
    j->pidfd = (int)syscall(SYS_pidfd_open, j->builder, 0);
    if (j->pidfd < 0)
        return err_set(e, errno, "pidfd_open (needs Linux 5.3)");
    rc = loop_fd_add(j->o.loop, &j->pid_watch, j->pidfd, EPOLLIN, on_builder_end, j);
    if (rc == 0)
        rc = loop_fd_add(j->o.loop, &j->view_watch, j->view_sock, EPOLLIN, on_view_message, j);
    if (rc == 0 && j->demand_sock >= 0)
        rc = loop_fd_add(j->o.loop, &j->demand_watch, j->demand_sock, EPOLLIN, on_demand_fd, j);
    if (rc < 0)
        return err_set(e, -rc, "watch the job");
    return j->files_fds[0] < 0 ? 0 : start_files(j, spec, e);
}

/* The job's channel before it is handed over */

static void on_job_data(void *ctx, struct bytes body)
{
    struct agent_job *j = ctx;
    mrc_port_consumed(j->port, body.len);
    if (buf_append(&j->in, body.ptr, body.len) < 0) {
        fail(j, JOB_STAGE_SPEC, -E2BIG, "the request is too long");
        return;
    }
    if (j->has_spec)
        return; /* for the supervisor, later */
    struct job_msg m;
    size_t used;
    int rc =
        job_msg_get((struct bytes){ buf_at(&j->in), (uint32_t)buf_len(&j->in) }, &m, &used);
    if (rc == 0 && !used)
        return;
    if (rc < 0 || m.id != JOB_MSG_spec || m.spec.fd_kinds.len != 3) {
        fail(j, JOB_STAGE_SPEC, -EPROTO, "the request makes no sense");
        return;
    }
    j->has_spec = true;
    struct err e = { "" };
    rc = start(j, &m.spec, &e);
    buf_consume(&j->in, used);
    if (rc < 0)
        fail(j, JOB_STAGE_VIEW, rc, e.text);
}

static void on_job_closed(void *ctx, int code, struct bytes text)
{
    struct agent_job *j = ctx;
    (void)text;
    (void)code;
    j->port = NULL;
    maybe_done(j);
}

static void on_job_eof(void *ctx)
{
    struct agent_job *j = ctx;
    if (!j->is_failed)
        agent_job_abandon(j);
}

static const struct mrc_port_ops job_ops = { .on_data = on_job_data,
                                             .on_eof = on_job_eof,
                                             .on_closed = on_job_closed };

/* Channels */

static int open_job(struct agent_job *j, struct mrc_port *port)
{
    if (j->port || j->has_spec)
        return -EBUSY;
    j->port = port;
    port->ops = &job_ops;
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
    return number == 0 ? pump(j, port, -1, ours, STREAM_WINDOW, NULL)
                       : pump_words(j, port, ours, -1);
}

static int open_stdin(struct agent_job *j, struct mrc_port *port)
{
    return open_stream(j, port, 0);
}

static int open_demand(struct agent_job *j, struct mrc_port *port)
{
    if (j->demand || j->fds[0] >= 0 || j->has_spec)
        return -EBUSY;
    int rc = demandfile_new(j->o.loop, port, j->request, on_demand_done, j, &j->demand);
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
    return pump_words(j, port, take_fd(&master), take_fd(&second));
}

static int open_files(struct agent_job *j, struct mrc_port *port, int number)
{
    if (j->files_fds[number] >= 0 || j->files)
        return -EBUSY;
    int pair[2];
    int rc = fd_socketpair(pair);
    if (rc < 0)
        return rc;
    j->files_fds[number] = pair[1];
    return pump(j, port, pair[0], pair[0], FILES_WINDOW, number == 0 ? on_files_end : NULL);
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
    on_pump_done(ctx, code);
}

static const struct mrc_port_ops stats_ops = { .on_closed = on_stats_closed };

static int open_stats(struct agent_job *j, struct mrc_port *port)
{
    char text[4096];
    if (!j->files)
        return -ENOENT;
    size_t len = files_stats(j->files, text, sizeof text);
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

/* Life */

int agent_job_new(const struct agent_job_opts *o, struct agent_job **out)
{
    struct agent_job *j = calloc(1, sizeof *j);
    if (!j)
        return -ENOMEM;
    j->o = *o;
    buf_init(&j->in, JOB_MSG_MAX + 8192);
    for (int i = 0; i < STREAM_COUNT; i++)
        j->fds[i] = -1;
    j->files_fds[0] = j->files_fds[1] = -1;
    j->tty_fd = j->view_sock = j->job_sock = j->demand_sock = j->pidfd = -1;
    j->builder_done = true;
    *out = j;
    return 0;
}

static void on_abandon_timeout(void *ctx)
{
    struct agent_job *j = ctx;
    if (!j->builder_done)
        kill(j->builder, SIGKILL); /* and the kernel kills the supervisor with it */
}

void agent_job_abandon(struct agent_job *j)
{
    if (j->is_abandoned)
        return;
    j->is_abandoned = true;
    fd_close(
        &j->job_sock); /* if the supervisor had it, its pump is gone and with it the socket */
    if (!j->builder_done)
        loop_timer_set(j->o.loop, &j->timer, ABANDON_MS, on_abandon_timeout, j);
    maybe_done(j);
}

void agent_job_free(struct agent_job *j)
{
    if (!j)
        return;
    loop_fd_del(&j->view_watch);
    loop_fd_del(&j->pid_watch);
    loop_fd_del(&j->demand_watch);
    loop_timer_del(&j->timer);
    fd_close(&j->demand_sock);
    fd_close(&j->view_sock);
    fd_close(&j->job_sock);
    fd_close(&j->pidfd);
    for (int i = 0; i < STREAM_COUNT; i++)
        fd_close(&j->fds[i]);
    fd_close(&j->tty_fd);
    fd_close(&j->files_fds[0]);
    fd_close(&j->files_fds[1]);
    if (j->files) {
        struct err e = { "" };
        int rc = files_join(j->files, &e);
        (void)rc; /* the job has been told by EIO, and mrc by its own end of the streams */
    }
    buf_fini(&j->in);
    view_cleanup(j->o.cache_dir);
    free(j);
}
