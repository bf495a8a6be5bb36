/* SPDX-License-Identifier: GPL-2.0-or-later */
/* job.c: puts a job together: the head opens the channels first, then sends the specification;
 * from then on its channel is joined to the supervisor, who speaks with mrc directly. Must not
 * know: how the link came to be. The view is the job's own, or a kept one that it joins (join.h); an agent of
 * the head's keeper has no job, but such a view (keep.h). Processes: agent (this) - builder (enters the namespaces,
 * waits) - supervisor (process 1 of the job) - the command. Each dies with the one before it.
 */
#include "mrc/agent/jobparts.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/agent/builder.h"
#include "mrc/agent/demandfile.h"
#include "mrc/agent/keep.h"
#include "mrc/demand.h"
#include "mrc/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
    ABANDON_MS = 6000, /* from the end of the link to SIGKILL for the whole tree */
};

static void maybe_done(struct agent_job *j)
{
    /* A view that is over is no more use to a head that comes back: its keeper is told so by our absence. */
    bool is_unattended = j->is_keeper && atomic_load(&j->behind->is_away);
    if (!j->builder_done || ((j->pumps || j->port) && !is_unattended))
        return;
    void (*done)(void *) = j->o.on_done;
    j->o.on_done = NULL;
    if (done)
        done(j->o.ctx);
}

void job_pump_done(void *ctx, int code)
{
    struct agent_job *j = ctx;
    (void)code;
    j->pumps--;
    maybe_done(j);
}

void job_demand_done(void *ctx, int code)
{
    struct agent_job *j = ctx;
    j->demand = NULL;
    job_pump_done(j, code);
}

/* Tells the head what the job asked for, if it is not what the head said. */
static void tell_used(struct agent_job *j, struct mrc_port *port)
{
    AUTO_FREE uint8_t *room = malloc(MFS_PROFILE_MAX + 64);
    struct bytes used = { 0 };
    if (!j->wants_used || !room || j->is_used_told)
        return;
    j->is_used_told = true;
    if (j->files)
        used = files_used(j->files);
    else if (j->joined.sock >= 0 && (used.len = (uint32_t)joined_used(&j->joined, room)) > 0)
        used.ptr = room;
    if (!used.len ||
        (used.len == j->profile_bytes && memcmp(used.ptr, j->profile, used.len) == 0))
        return;
    uint8_t *space = malloc(MFS_PROFILE_MAX + 64);
    struct wr w = wr_of(space, space ? MFS_PROFILE_MAX + 64 : 0);
    job_msg_put(&w, &(struct job_msg){ .id = JOB_MSG_used, .used = { used } });
    int rc = w.is_full ? 0 : mrc_port_send(port, space, wr_len(&w));
    (void)rc; /* the next one will be told */
    free(space);
}

/* The job's last word waits for its files: whether all is on the head is the head's to know. */
static void maybe_end_job(struct agent_job *j)
{
    struct mrc_port *port = j->job_pump ? mrc_pump_port(j->job_pump) : NULL;
    if (!port || !j->supervisor_ended || (j->files && !j->files_ended))
        return;
    tell_used(j, port);
    struct err e = { "" };
    int rc = j->files ? files_result(j->files, &e) : 0;
    if (rc < 0) {
        log_keep("lost of what the job wrote: %s", e.text);
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

/* Of a detached job's files it is the end of one server only. */
void job_meta_end(void *ctx)
{
    struct agent_job *j = ctx;
    if (!j->is_held)
        job_files_end(j);
}

static void on_files_over(void *ctx, uint32_t events)
{
    struct agent_job *j = ctx;
    (void)events;
    loop_fd_del(&j->files_over_watch);
    fd_close(&j->files_over_fd);
    job_files_end(j);
}

void job_files_end(void *ctx)
{
    struct agent_job *j = ctx;
    j->files_ended = true;
    maybe_end_job(j);
}

static void on_job_pump_done(void *ctx, int code)
{
    struct agent_job *j = ctx;
    j->job_pump = NULL;
    job_pump_done(j, code);
}

/* What the job says must not overtake what it has written to files. */
static const struct mfs_behind_count *behind_of(const struct agent_job *j)
{
    return j->joined.behind ? j->joined.behind : j->behind;
}

static uint64_t order_mark(void *ctx)
{
    const struct mfs_behind_count *b = behind_of(ctx);
    uint64_t sent = atomic_load(&b->sent);
    return atomic_load(&b->made) < sent ? sent : 0;
}

static bool is_passed(void *ctx, uint64_t mark)
{
    struct agent_job *j = ctx;
    bool has_files = j->files || (j->joined.behind && !j->is_joined_lost);
    return atomic_load(&behind_of(j)->made) >= mark || !has_files;
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

int job_pump_fds(struct agent_job *j, struct mrc_port *port, int fd_in, int fd_out,
                uint64_t window_bytes, void (*on_in_end)(void *ctx))
{
    struct mrc_pump *p;
    struct mrc_pump_opts po = { .loop = j->o.loop,
                                .fd_in = fd_in,
                                .fd_out = fd_out,
                                .on_in_end = on_in_end,
                                .on_done = job_pump_done,
                                .ctx = j };
    return start_pump(j, port, &po, window_bytes, &p);
}

/* For what the job says (fd_in), and what is said to it on the same terminal. */
int job_pump_words(struct agent_job *j, struct mrc_port *port, int fd_in, int fd_out)
{
    struct mrc_pump_opts po = { .loop = j->o.loop,
                                .fd_in = fd_in,
                                .fd_out = fd_out,
                                .order_mark = order_mark,
                                .is_passed = is_passed,
                                .on_done = job_pump_done,
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
    log_keep("no job: %s", text);
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
    log_keep("the %s has ended%s", j->is_keeper ? "view" : "job",
             j->is_abandoned ? ", abandoned by its head" : "");
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
    log_keep("the job runs, below process %d", (int)j->builder);
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

/* The last job has left a view that is to end, or its files' thread could not go on. */
static void on_keep_over(void *ctx, uint32_t events)
{
    struct agent_job *j = ctx;
    (void)events;
    loop_fd_del(&j->over_watch);
    fd_close(&j->over_fd);
    if (!j->builder_done)
        kill(j->builder, SIGKILL);
}

static void begin_keeping(struct agent_job *j, const struct view_report *report)
{
    int pair[2];
    struct keep_opts o = { .page_fd = -1, .report = *report };
    int rc = fd_pipe(pair);
    if (rc == 0) {
        j->over_fd = pair[0];
        o.over_fd = pair[1];
        rc = loop_fd_add(j->o.loop, &j->over_watch, j->over_fd, EPOLLIN, on_keep_over, j);
    }
    /* Another open file of the same page, so that who gets it can't write. */
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", j->behind_fd);
    if (rc == 0 && (o.page_fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        rc = -errno;
    if (rc == 0) {
        memcpy(o.id, j->keep_id, sizeof o.id);
        o.listen_fd = take_fd(&j->keep_fds[KEEP_LISTEN]);
        o.mount_ns_fd = take_fd(&j->keep_fds[KEEP_MOUNT_NS]);
        o.user_ns_fd = take_fd(&j->keep_fds[KEEP_USER_NS]);
        rc = files_keep(j->files, &o);
    }
    if (rc < 0) {
        fail(j, JOB_STAGE_VIEW, rc, "the view can't be shared");
        return;
    }
    uint8_t space[64];
    struct wr w = wr_of(space, sizeof space);
    job_msg_put(&w, &(struct job_msg){ .id = JOB_MSG_started,
                                       .started = { (uint32_t)j->builder } });
    if (j->port && mrc_port_send(j->port, space, wr_len(&w)) < 0)
        agent_job_abandon(j);
}

static void on_view_message(void *ctx, uint32_t events)
{
    struct agent_job *j = ctx;
    (void)events;
    struct view_message m;
    int rc = view_receive(j->view_sock, &m);
    if (rc == -EAGAIN)
        return;
    if (rc == 1 && (m.kind == VIEW_MSG_MOUNT_NS || m.kind == VIEW_MSG_USER_NS)) {
        int *place = &j->keep_fds[m.kind == VIEW_MSG_MOUNT_NS ? KEEP_MOUNT_NS : KEEP_USER_NS];
        fd_close(place);
        *place = m.fd;
        return;
    }
    if (rc == 1 && m.kind == VIEW_MSG_FUSE) {
        rc = files_attach(j->files, m.export_number, m.fd);
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
    if (rc == 1 && m.kind == VIEW_MSG_DONE && j->is_keeper) {
        begin_keeping(j, &m.report);
    } else if (rc == 1 && m.kind == VIEW_MSG_DONE) {
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

/* Where the job will look for programs, and its working directory; NULL: not known. */
static char *paths_of(const struct job_spec *spec)
{
    static const char path[] = "PATH=";
    const char *at = (const char *)spec->env.ptr, *end = at + spec->env.len;
    struct bytes search = { NULL, 0 };
    char *all = NULL;
    for (size_t len; at < end; at += len + 1) {
        len = strnlen(at, (size_t)(end - at));
        if (len >= sizeof path - 1 && !memcmp(at, path, sizeof path - 1))
            search = (struct bytes){ (const uint8_t *)at + sizeof path - 1,
                                     (uint32_t)(len - (sizeof path - 1)) };
    }
    int n = asprintf(&all, "%.*s:%.*s", (int)spec->cwd.len, (const char *)spec->cwd.ptr,
                     (int)search.len, (const char *)search.ptr);
    return n < 0 ? NULL : all;
}

static int start_files(struct agent_job *j, const struct job_spec *spec, struct err *e)
{
    uid_t uid = spec->is_root_view ? spec->uid : getuid();
    gid_t gid = spec->is_root_view ? spec->gid : getgid();
    struct files_opts fo = { .over_fd = -1,
                             .meta_fd = take_fd(&j->files_fds[0]),
                             .bulk_fd = take_fd(&j->files_fds[1]),
                             .is_single_user = geteuid() != 0,
                             .behind = j->behind,
                             .paths_ahead = paths_of(spec),
                             .covered = spec->is_root_view ? "dev:proc:run:sys:tmp" : NULL,
                             .cache_dir =
                                 j->has_cache ? j->o.cache_dir : NULL,
                             .compress = j->compress,
                             .profile = spec->profile,
                             .wants_used = j->wants_used,
                             .consistency = spec->flags & JOB_LOOSE   ? MFS_LOOSE
 : spec->flags & JOB_LEASE ? MFS_LEASE : MFS_STRICT };
    view_owner(&j->probe, uid, gid, &fo.own_uid, &fo.own_gid);
    int pair[2];
    int rc = j->is_held ? fd_pipe(pair) : 0;
    if (rc == 0 && j->is_held) {
        fo.is_patient = true;
        fo.over_fd = pair[1];
        j->files_over_fd = pair[0];
        rc = loop_fd_add(j->o.loop, &j->files_over_watch, pair[0], EPOLLIN, on_files_over, j);
    }
    if (rc < 0)
        return err_set(e, -rc, "watch the head's files");
    return files_start(&fo, &j->files, e);
}

/* The head's trees need the two streams to its file server; without trees there are none. */
static int check_files(const struct agent_job *j, const struct job_spec *spec, struct err *e)
{
    int trees = builder_head_trees(spec->mounts);
    if (trees < 0)
        return err_set(e, -trees, "trees of the view");
    bool has_streams = j->files_fds[0] >= 0 && j->files_fds[1] >= 0;
    if (trees ? has_streams : j->files_fds[0] < 0 && j->files_fds[1] < 0)
        return 0;
    return has_streams ? 0 : err_set(e, EPROTO, "mrc opened no streams for its files");
}

/* Watches the view's agent: its end is the end of what holds the job's output back. */
static void on_joined_lost(void *ctx, uint32_t events)
{
    struct agent_job *j = ctx;
    (void)events;
    j->is_joined_lost = true;
    loop_fd_del(&j->joined_watch);
}

/* How this target makes views; those that are shared need namespaces. */
static int find_means(struct agent_job *j, const struct job_spec *spec, struct err *e)
{
    if (spec->flags & JOB_AS_LOGIN && builder_head_trees(spec->mounts) == 0 && !j->is_keeper)
        return 0; /* it will have no view */
    view_probe(j->o.cache_dir, &j->probe);
    enum view_means means = j->probe.means;
    if (means == VIEW_MEANS_NONE) {
        view_probe_text(&j->probe, e);
        return -EPERM;
    }
    if (!j->is_keeper || means == VIEW_MEANS_ROOT || means == VIEW_MEANS_USERNS)
        return 0;
    return err_say(e, EOPNOTSUPP, "a view is shared only by user namespaces with FUSE or as root");
}

static int start(struct agent_job *j, const struct job_spec *spec, struct err *e)
{
    int rc = 0;
    if (spec->flags & JOB_NEST && j->port && !j->nest &&
        (rc = agent_nest_new(j->o.loop, j->port->link, &j->nest)) < 0)
        return err_set(e, -rc, "jobs of the job's");
    if (j->joined.sock >= 0) {
        rc = loop_fd_add(j->o.loop, &j->joined_watch, j->joined.sock, EPOLLRDHUP,
                         on_joined_lost, j);
        if (rc < 0)
            return err_set(e, -rc, "watch the view");
    } else {
        rc = check_files(j, spec, e);
        if (rc == 0)
            rc = find_means(j, spec, e);
    }
    if (rc < 0)
        return rc;
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
        struct builder_opts bo = { .spec = spec,
                                   .probe = &j->probe,
                                   .cache_dir = j->o.cache_dir,
                                   .login_umask = j->o.login_umask,
                                   .view_sock = view_pair[1],
                                   .job_sock = job_pair[1],
                                   .demand_sock = demand_pair[1],
                                   .wants_demand_file =
                                       j->demand && demandfile_wants_file(j->demand),
                                   .fds = { j->fds[0], j->fds[1], j->fds[2] },
                                   .tty_fd = j->tty_fd,
                                   .is_keeper = j->is_keeper,
                                   .joined = &j->joined,
                                   .behind = behind_of(j) };
        builder_run(&bo);
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
    fd_close(&j->joined.mount_ns_fd); /* the builder has them */
    fd_close(&j->joined.user_ns_fd);
    return j->files_fds[0] < 0 ? 0 : start_files(j, spec, e);
}

/* The job's channel before it is handed over */

/* The specification is at the front of j->in; behind it may be what is for the supervisor. */
static void start_by_spec(struct agent_job *j)
{
    struct job_msg m;
    size_t used;
    struct err e = { "" };
    int rc =
        job_msg_get((struct bytes){ buf_at(&j->in), (uint32_t)buf_len(&j->in) }, &m, &used);
    char first[64];
    snprintf(first, sizeof first, "%.*s", (int)m.spec.argv.len, (const char *)m.spec.argv.ptr);
    if (rc == 0 && !j->is_keeper) /* its arguments are its own */
        log_keep("starts a job: %s", *first ? first : "a login shell");
    if (rc == 0)
        rc = start(j, &m.spec, &e);
    if (rc == 0 || buf_len(&j->in) >= used)
        buf_consume(&j->in, used);
    if (rc < 0)
        fail(j, JOB_STAGE_VIEW, rc, e.text);
}

static void on_joining_done(void *ctx, int rc, const char *why)
{
    struct agent_job *j = ctx;
    joining_free(j->joining);
    j->joining = NULL;
    if (rc == 0) {
        start_by_spec(j);
        return;
    }
    uint8_t space[300];
    struct wr w = wr_of(space, sizeof space);
    struct job_msg m = { .id = JOB_MSG_unjoined, .unjoined = { bytes_of(why) } };
    job_msg_put(&w, &m);
    j->awaits_files = true;
    if (j->port && mrc_port_send(j->port, space, wr_len(&w)) < 0)
        fail(j, JOB_STAGE_VIEW, rc, why);
}

static int begin_joining(struct agent_job *j, const struct job_spec *spec)
{
    struct joining_opts o = { .loop = j->o.loop,
                              .mark = spec->keep_mark,
                              .profile = { j->profile, (uint32_t)j->profile_bytes },
                              .out = &j->joined,
                              .on_done = on_joining_done,
                              .ctx = j };
    memcpy(o.id, spec->keep_id.ptr, sizeof o.id);
    return joining_start(&o, &j->joining);
}

/* mrc has opened the channels to a file server of its own: the kept view is not waited for any
 * more. */
void job_maybe_start_alone(struct agent_job *j)
{
    if (j->files_fds[0] < 0 || j->files_fds[1] < 0 || (!j->joining && !j->awaits_files))
        return;
    joining_free(j->joining);
    j->joining = NULL;
    j->awaits_files = false;
    start_by_spec(j);
}

static int begin(struct agent_job *j, const struct job_spec *spec)
{
    j->is_keeper = (spec->flags & JOB_KEEP) != 0;
    j->has_cache = !(spec->flags & JOB_NO_CACHE);
    j->is_held = (spec->flags & JOB_HELD) != 0;
    j->compress = spec->flags & JOB_COMPRESS_NO    ? MFS_COMPRESS_NO
                  : spec->flags & JOB_COMPRESS_YES ? MFS_COMPRESS_YES
                                                   : MFS_COMPRESS_AUTO;
    if (spec->keep_id.len && spec->keep_id.len != JOB_KEEP_ID_BYTES)
        return -EPROTO;
    j->wants_used = spec->flags & JOB_PROFILE;
    if (mfs_profile_is_valid(spec->profile) && (j->profile = malloc(spec->profile.len))) {
        memcpy(j->profile, spec->profile.ptr, spec->profile.len);
        j->profile_bytes = spec->profile.len;
    }
    if (!j->is_keeper)
        return spec->keep_id.len ? begin_joining(j, spec) : 1;
    if (!spec->keep_id.len)
        return -EPROTO;
    prctl(PR_SET_NAME, "mrc-view"); /* for who looks at the target's processes */
    memcpy(j->keep_id, spec->keep_id.ptr, sizeof j->keep_id);
    int rc = keep_listen(j->keep_id, &j->keep_fds[KEEP_LISTEN]);
    return rc < 0 ? rc : 1;
}

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
    rc = begin(j, &m.spec);
    if (j->is_keeper)
        log_keep_as("view");
    if (rc < 0)
        fail(j, JOB_STAGE_SPEC, rc, "the view that is asked for");
    else if (rc == 1)
        start_by_spec(j);
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
    if (j->is_keeper && j->over_fd >= 0 && !j->is_failed)
        files_keep_finish(j->files); /* with its last job */
    else if (!j->is_failed)
        agent_job_abandon(j);
}

const struct mrc_port_ops job_port_ops = { .on_data = on_job_data,
                                             .on_eof = on_job_eof,
                                             .on_closed = on_job_closed };

/* Life */

static int make_page(int *fd_out, struct mfs_behind_count **out)
{
    AUTO_FD fd = memfd_create("mrc-behind", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, sizeof **out) < 0)
        return -errno;
    void *map = mmap(NULL, sizeof **out, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    *out = map;
    *fd_out = take_fd(&fd);
    return 0;
}

int agent_job_new(const struct agent_job_opts *o, struct agent_job **out)
{
    struct agent_job *j = calloc(1, sizeof *j);
    if (!j)
        return -ENOMEM;
    j->o = *o;
    buf_init(&j->in, JOB_MSG_MAX + 8192);
    for (int i = 0; i < STREAM_COUNT; i++)
        j->fds[i] = -1;
    for (size_t i = 0; i < ARRAY_LEN(j->keep_fds); i++)
        j->keep_fds[i] = -1;
    j->joined = (struct joined)JOINED_NONE;
    int rc = make_page(&j->behind_fd, &j->behind);
    if (rc < 0) {
        free(j);
        return rc;
    }
    j->files_fds[0] = j->files_fds[1] = j->over_fd = j->files_over_fd = -1;
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
    joining_free(j->joining);
    j->joining = NULL;
    if (j->is_held && j->files)
        files_give_up(j->files);
    if (!j->builder_done)
        loop_timer_set(j->o.loop, &j->timer, j->is_keeper ? 0 : ABANDON_MS, on_abandon_timeout,
                       j);
    maybe_done(j);
}

void agent_job_away(struct agent_job *j, bool is_away)
{
    atomic_store(&j->behind->is_away, is_away);
    if (is_away && j->is_keeper && j->over_fd >= 0 && !j->is_failed)
        files_keep_finish(j->files); /* it goes on for the jobs that are in it */
    maybe_done(j);
}

bool agent_job_is_view(const struct agent_job *j)
{
    return j->is_keeper;
}

void agent_job_free(struct agent_job *j)
{
    if (!j)
        return;
    job_usage_end(j);
    loop_fd_del(&j->view_watch);
    loop_fd_del(&j->pid_watch);
    loop_fd_del(&j->demand_watch);
    loop_fd_del(&j->joined_watch);
    loop_fd_del(&j->over_watch);
    loop_fd_del(&j->files_over_watch);
    fd_close(&j->files_over_fd);
    loop_timer_del(&j->timer);
    joining_free(j->joining);
    joined_fini(&j->joined);
    fd_close(&j->over_fd);
    for (size_t i = 0; i < ARRAY_LEN(j->keep_fds); i++)
        fd_close(&j->keep_fds[i]);
    fd_close(&j->demand_sock);
    fd_close(&j->view_sock);
    fd_close(&j->job_sock);
    fd_close(&j->pidfd);
    for (int i = 0; i < STREAM_COUNT; i++)
        fd_close(&j->fds[i]);
    fd_close(&j->tty_fd);
    fd_close(&j->files_fds[0]);
    fd_close(&j->files_fds[1]);
    if (j->files && j->is_keeper && j->is_abandoned) {
        /* Jobs may still be ending in the view, and its mounts with them: our end is what ends
         * their files. The thread goes with us. */
        view_cleanup(j->o.cache_dir);
        return;
    }
    if (j->files) {
        struct err e = { "" };
        int rc = files_join(j->files, &e);
        (void)rc; /* the job has been told by EIO, and mrc by its own end of the streams */
    }
    buf_fini(&j->in);
    free(j->profile);
    munmap(j->behind, sizeof *j->behind);
    fd_close(&j->behind_fd);
    view_cleanup(j->o.cache_dir);
    agent_nest_free(j->nest);
    free(j);
}
