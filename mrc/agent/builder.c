/* SPDX-License-Identifier: GPL-2.0-or-later */
/* builder.c: from the specification to a supervisor in its view.
 * Must not know: the session, the file client. */
#include "mrc/agent/builder.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mrc/agent/demandfile.h"
#include "mrc/agent/supervise.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

int builder_head_trees(struct bytes mounts)
{
    AUTO_FREE struct mounts *m = calloc(1, sizeof *m);
    int rc = m ? read_mounts(mounts, m) : -ENOMEM;
    return rc < 0 ? rc : (int)m->head_count;
}

void builder_run(const struct builder_opts *o)
{
    const struct job_spec *spec = o->spec;
    struct joined *joined = o->joined;
    int fds[3] = { o->fds[0], o->fds[1], o->fds[2] }, tty_fd = o->tty_fd;
    /* The agent's ends of pipes must be the agent's alone: their closing is what the job
     * notices. */
    const int keep[] = { o->view_sock, o->job_sock,         o->demand_sock,    fds[0],
                         fds[1],       fds[2],              tty_fd,            joined->sock,
                         joined->mount_ns_fd, joined->user_ns_fd };
    fd_close_all_but(keep, ARRAY_LEN(keep));
    struct err e = { "" };
    struct view_report report = { 0 };
    struct mounts *m = calloc(1, sizeof *m);
    char cwd[4096];
    if (!m || read_mounts(spec->mounts, m) < 0 || bytes_to_text(spec->cwd, cwd, sizeof cwd) < 0)
        _exit(1);
    bool is_login = (spec->flags & JOB_AS_LOGIN) != 0;
    const char *home = getenv("HOME");
    if (is_login && !cwd[0])
        snprintf(cwd, sizeof cwd, "%s", home && chdir(home) == 0 ? home : "/");
    struct view_opts vo = { .probe = o->probe,
                            .mounts = m->list,
                            .count = m->count,
                            .is_root_view = spec->is_root_view != 0,
                            .cwd = cwd,
                            .job_uid = spec->is_root_view ? spec->uid : getuid(),
                            .job_gid = spec->is_root_view ? spec->gid : getgid(),
                            .cache_dir = o->cache_dir,
                            .mount_text = mount_text,
                            .ctx = (void *)spec,
                            .is_bare = is_login && !m->count,
                            .shows_mrc = (spec->flags & JOB_NEST) != 0,
                            .no_pid_ns = (spec->flags & JOB_NO_PID_NS) != 0,
                            .wants_target_resolver = (spec->flags & JOB_TARGET_RESOLVER) != 0 };
    bool is_joined = joined->sock >= 0;
    if (is_joined ? view_join(&vo, &joined->report, joined->mount_ns_fd,
                              joined->user_ns_fd, o->view_sock, &report, &e) < 0
                  : view_enter(&vo, o->view_sock, &report, &e) < 0)
        _exit(1);
    fd_close(&joined->mount_ns_fd);
    fd_close(&joined->user_ns_fd);
    if (o->is_keeper && view_hold(o->view_sock, &report, &e) < 0)
        _exit(1);
    if (o->demand_sock >= 0 &&
        demandfile_open(o->demand_sock, o->wants_demand_file, &fds[0], &e) < 0)
        _exit(1);
    pid_t init;
    if (view_start_init(&vo, o->view_sock, &report, &init, &e) < 0)
        _exit(1);
    if (init) {
        close(o->job_sock);
        fd_close(&joined->sock);
        for (int i = 0; i < 3; i++)
            fd_close(&fds[i]);
        fd_close(&tty_fd);
        view_wait_init(init);
        _exit(0);
    }
    struct supervise_opts so = { .spec = spec,
                                 .view = &report,
                                 .sock = o->job_sock,
                                 .demand_sock = o->demand_sock,
                                 .tty_fd = tty_fd,
                                 .fds = { fds[0], fds[1], fds[2] },
                                 .head_paths = m->head_paths,
                                 .head_path_count = m->head_count,
                                 .behind = o->behind,
                                 .login_umask = o->login_umask,
                                 .joined = is_joined ? joined : NULL };
    _exit(supervise(&so));
}
