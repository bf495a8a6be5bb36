/* SPDX-License-Identifier: GPL-2.0-or-later */
/* view.c: enters a view, and tells the agent about it.
 * Must not know: the session, the file protocol, how the job is started.
 * Privilege: whatever the target gives: real root, or all capabilities inside a user namespace;
 * view_drop_privilege ends it before the job runs.
 * Source: docs/ARCHITECTURE.md, "The view"; user_namespaces(7), pid_namespaces(7). */
#include "mrc/agent/view.h"

#include "common/sys/fd.h"
#include "common/sys/fusermount.h"
#include "mrc/agent/build.h"
#include "mrc/agent/ns.h"
#include "mrc/agent/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- messages: both ends are the same program, so a struct is a message --- */

struct packet {
    enum view_message_kind kind;
    size_t export_number;
    int rc;
    bool is_cwd;
    struct view_report report;
    struct err err;
};

int view_socketpair(int pair[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    int rc = fd_set_nonblock(pair[0], true);
    if (rc < 0) {
        fd_close(&pair[0]);
        fd_close(&pair[1]);
    }
    return rc;
}

static int send_packet(int sock, const struct packet *p, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec part = { .iov_base = (void *)p, .iov_len = sizeof *p };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
    if (fd >= 0) {
        m.msg_control = control;
        m.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t n;
    do {
        n = sendmsg(sock, &m, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int view_send_fuse(int sock, size_t export_number, int fuse_fd, struct err *e)
{
    struct packet p = { .kind = VIEW_MSG_FUSE, .export_number = export_number };
    int rc = send_packet(sock, &p, fuse_fd);
    return rc < 0 ? err_set(e, -rc, "pass a mount to the agent") : 0;
}

/* Says so to the agent; if that can't be told either, the agent sees the socket's end. */
static int send_failure(int sock, int failed_rc, bool is_cwd, const struct err *e)
{
    struct packet p = { .kind = VIEW_MSG_FAILED, .rc = failed_rc, .is_cwd = is_cwd };
    if (e)
        p.err = *e;
    (void)!send_packet(sock, &p, -1);
    return failed_rc;
}

static int received_fd(struct msghdr *m)
{
    int fd = -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

int view_receive(int sock, struct view_message *out)
{
    struct packet p;
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = { .iov_base = &p, .iov_len = sizeof p };
    struct msghdr m = { .msg_iov = &part,
                        .msg_iovlen = 1,
                        .msg_control = control,
                        .msg_controllen = sizeof control };
    ssize_t n;
    do {
        n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ECONNRESET ? 0 : -errno;
    if (n == 0)
        return 0;
    AUTO_FD fd = received_fd(&m);
    bool has_fd = p.kind == VIEW_MSG_FUSE || p.kind == VIEW_MSG_MOUNT_NS || p.kind == VIEW_MSG_USER_NS;
    if (n != sizeof p || has_fd != (fd >= 0))
        return -EPROTO;
    *out = (struct view_message){ .kind = p.kind,
                                  .export_number = p.export_number,
                                  .fd = take_fd(&fd),
                                  .rc = p.rc,
                                  .is_cwd = p.is_cwd,
                                  .report = p.report,
                                  .err = p.err };
    return 1;
}

/* --- entering --- */

static bool has_user_ns(enum view_means means)
{
    return means == VIEW_MEANS_USERNS || means == VIEW_MEANS_FUSERMOUNT;
}

void view_owner(const struct view_probe *p, uid_t job_uid, gid_t job_gid, uid_t *uid_out,
                gid_t *gid_out)
{
    bool is_inside = p->means == VIEW_MEANS_USERNS;
    *uid_out = is_inside ? job_uid : geteuid();
    *gid_out = is_inside ? job_gid : getegid();
}

static int mount_text(const struct view_opts *o, size_t export_number, char *text,
                      size_t size_bytes)
{
    if (!o->mount_text) {
        snprintf(text, size_bytes, "default_permissions");
        return 0;
    }
    return o->mount_text(o->ctx, export_number, -1, geteuid(), getegid(), false, text,
                         size_bytes);
}

/* Mounts one head tree at where by fusermount3, in the target's own namespace. The record is
 * held by this process until it ends or *record_out is closed. */
static int mount_outside(const struct view_opts *o, const struct view_mount *m, int sock,
                         const char *where, struct record *record_out, struct err *e)
{
    char text[512];
    int rc = mount_text(o, m->export_number, text, sizeof text);
    if (rc < 0)
        return err_set(e, -rc, "options of the mount at %s", m->path);
    struct record record;
    rc = record_new(o->cache_dir, RECORD_MOUNT, where, &record, e);
    if (rc < 0)
        return rc;
    AUTO_FD fd = -1;
    struct fusermount_opts how = { .source = o->source ? o->source : "mrc",
                                   .text = text,
                                   .is_read_only = m->is_read_only };
    rc = fusermount_mount(where, &how, &fd, e);
    if (rc == 0)
        rc = view_send_fuse(sock, m->export_number, fd, e);
    if (rc < 0) {
        fd_close(&record.fd);
        return rc;
    }
    *record_out = record;
    return 0;
}

/* All head trees at private places, to be bound into the view from there. The records are let
 * go at once: the mounts there can be swept as soon as the view has bound them. */
static int mount_all_outside(struct build *b, const struct view_opts *o, int sock,
                             struct record *records, struct err *e)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s/views", o->cache_dir);
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_set(e, errno, "make %s", dir);
    for (size_t i = 0; i < o->count; i++) {
        const struct view_mount *m = &o->mounts[i];
        bool is_head = m->kind == VIEW_HEAD || m->kind == VIEW_OVERLAY;
        if (!is_head || m->export_number >= VIEW_MOUNTS_MAX || b->outside[m->export_number])
            continue;
        char where[PATH_MAX];
        int n = snprintf(where, sizeof where, "%s/views/mnt-%d-XXXXXX", o->cache_dir,
                         (int)getpid());
        if (n < 0 || (size_t)n >= sizeof where || !mkdtemp(where))
            return err_set(e, errno, "make a mount point in %s", o->cache_dir);
        int rc = mount_outside(o, m, sock, where, &records[i], e);
        if (rc < 0)
            return rc;
        b->outside[m->export_number] = realpath(where, NULL);
        if (!b->outside[m->export_number])
            return err_set(e, errno, "%s", where);
    }
    return 0;
}

static int enter_namespaces(const struct view_opts *o, struct build *b, struct err *e)
{
    pid_t parent = getppid();
    b->is_user_ns = has_user_ns(o->probe->means);
    b->uid = b->is_user_ns ? o->job_uid : geteuid();
    b->gid = b->is_user_ns ? o->job_gid : getegid();
    int rc = b->is_user_ns ? ns_enter_user(b->uid, b->gid, e) : ns_enter_root(e);
    if (rc < 0)
        return rc;
    rc = ns_die_with(parent); /* after the change of credentials, which would forget it */
    return rc < 0 ? err_set(e, -rc, "the agent is gone") : 0;
}

static int enter_built(const struct view_opts *o, int sock, struct view_report *r,
                       struct err *e)
{
    struct build *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(e, ENOMEM, "build a view");
    struct record records[VIEW_MOUNTS_MAX];
    for (size_t i = 0; i < VIEW_MOUNTS_MAX; i++)
        records[i].fd = -1;
    int rc = build_prepare(b, o, sock, r, e);
    if (rc == 0 && o->probe->means == VIEW_MEANS_FUSERMOUNT)
        rc = mount_all_outside(b, o, sock, records, e);
    if (rc == 0)
        rc = enter_namespaces(o, b, e);
    if (rc == 0)
        rc = build_run(b, e);
    for (size_t i = 0; i < VIEW_MOUNTS_MAX; i++)
        fd_close(&records[i].fd);
    build_free(b);
    return rc;
}

/* --- without namespaces --- */

static int check_direct(const struct view_opts *o, struct err *e)
{
    if (o->is_root_view)
        return err_say(e, EOPNOTSUPP,
                       "--view root needs user namespaces or root on the target");
    for (size_t i = 0; i < o->count; i++) {
        if (o->mounts[i].kind != VIEW_HEAD)
            return err_say(e, EOPNOTSUPP,
                           "%s: only trees of the head can be shown on a target without user "
                           "namespaces",
                           o->mounts[i].path);
    }
    return 0;
}

/* A mount there hides what is in it from the user's other programs: there must be nothing. */
static int check_direct_place(const char *path, struct err *e)
{
    DIR *d = opendir(path);
    if (!d)
        return err_say(e, errno,
                       "the target allows no user namespaces, so the head's %.100s needs an "
                       "empty directory there to be mounted on (%s): make it",
                       path, strerror(errno));
    size_t count = 0;
    struct dirent *entry;
    while (count == 0 && (entry = readdir(d)))
        count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(d);
    return count ? err_set(e, ENOTEMPTY,
                           "the target allows no user namespaces, so the head's %.100s would "
                           "hide for all there what is in the target's",
                           path)
                 : 0;
}

static int enter_direct(const struct view_opts *o, int sock, struct err *e)
{
    int rc = check_direct(o, e);
    for (size_t i = 0; rc == 0 && i < o->count; i++) {
        const struct view_mount *m = &o->mounts[i];
        rc = check_direct_place(m->path, e);
        if (rc < 0)
            return rc;
        struct record record; /* stays open as long as the view */
        rc = mount_outside(o, m, sock, m->path, &record, e);
    }
    return rc < 0 ? rc : ns_die_with(getppid());
}

/* Until it has asked for them, the kernel takes the root of a FUSE file system for root's, whom
 * our namespace doesn't know, and lets nobody write to such a directory. */
static void ask_for_owners(const struct view_opts *o)
{
    struct stat st;
    for (size_t i = 0; i < o->count; i++)
        if (o->mounts[i].kind != VIEW_TARGET && stat(o->mounts[i].path, &st) < 0)
            continue; /* the job will see why */
}

static int enter_cwd(const struct view_opts *o, struct err *e)
{
    if (chdir(o->cwd) == 0)
        return 0;
    return err_say(e, errno,
                   "the working directory %.150s can't be entered on the target (%s): cd to "
                   "another, or --directory",
                   o->cwd, strerror(errno));
}

int view_enter(const struct view_opts *o, int sock, struct view_report *r, struct err *e)
{
    struct err own = { 0 };
    if (!e)
        e = &own;
    mode_t old_umask = umask(0);
    *r = (struct view_report){ .means = o->is_bare ? VIEW_MEANS_DIRECT : o->probe->means };
    r->has_pid_ns = o->probe->has_pid_ns && !o->no_pid_ns && r->means != VIEW_MEANS_DIRECT;
    r->uid = has_user_ns(r->means) ? o->job_uid : geteuid();
    r->gid = has_user_ns(r->means) ? o->job_gid : getegid();
    int rc = -ENOSYS;
    if (o->is_bare)
        rc = ns_die_with(getppid());
    else if (r->means == VIEW_MEANS_NONE)
        view_probe_text(o->probe, e);
    else if (r->means == VIEW_MEANS_DIRECT)
        rc = enter_direct(o, sock, e);
    else
        rc = enter_built(o, sock, r, e);
    if (rc == 0)
        ask_for_owners(o);
    bool is_built = rc == 0;
    if (is_built)
        rc = enter_cwd(o, e);
    umask(old_umask);
    return rc < 0 ? send_failure(sock, rc, is_built, e) : 0;
}

/* --- shared views --- */

static int pass_namespace(int sock, enum view_message_kind kind, const char *path)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : send_packet(sock, &(struct packet){ .kind = kind }, fd);
}

int view_hold(int sock, struct view_report *r, struct err *e)
{
    int rc = pass_namespace(sock, VIEW_MSG_MOUNT_NS, "/proc/self/ns/mnt");
    if (rc == 0 && has_user_ns(r->means))
        rc = pass_namespace(sock, VIEW_MSG_USER_NS, "/proc/self/ns/user");
    if (rc < 0)
        return send_failure(sock, err_set(e, -rc, "pass the view's namespaces on"), false, e);
    rc = send_packet(sock, &(struct packet){ .kind = VIEW_MSG_DONE, .report = *r }, -1);
    while (rc == 0)
        pause();
    return rc;
}

static int enter_held(int mount_ns_fd, int user_ns_fd, struct err *e)
{
    pid_t parent = getppid();
    if (user_ns_fd >= 0 && setns(user_ns_fd, CLONE_NEWUSER) < 0)
        return err_set(e, errno, "enter the user namespace of the kept view");
    if (setns(mount_ns_fd, CLONE_NEWNS) < 0)
        return err_set(e, errno, "enter the mount namespace of the kept view");
    if (unshare(CLONE_NEWNS) < 0)
        return err_set(e, errno, "copy the mount namespace of the kept view");
    int rc = ns_die_with(parent); /* after the change of credentials, which would forget it */
    return rc < 0 ? err_set(e, -rc, "the agent is gone") : 0;
}

int view_join(const struct view_opts *o, const struct view_report *held, int mount_ns_fd,
              int user_ns_fd, int sock, struct view_report *r, struct err *e)
{
    struct err own = { 0 };
    if (!e)
        e = &own;
    *r = *held;
    r->has_pid_ns = held->has_pid_ns && !o->no_pid_ns;
    int rc = enter_held(mount_ns_fd, user_ns_fd, e);
    bool is_in = rc == 0;
    if (is_in)
        rc = enter_cwd(o, e);
    return rc < 0 ? send_failure(sock, rc, is_in, e) : 0;
}

/* --- the job's first process --- */

static int start_init_side(const struct view_report *r, int status_fd, struct err *e)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_set(e, errno, "tie the job's first process to the view");
    /* The target's /proc stays underneath: the kernel allows a new one only beside a visible
     * one. */
    if (r->has_pid_ns &&
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return err_set(e, errno, "mount /proc in the view");
    /* Fails, and kills us, if the parent has died before prctl. */
    return fd_write_full(status_fd, "", 1);
}

int view_start_init(const struct view_opts *o, int sock, struct view_report *r, pid_t *pid_out,
                    struct err *e)
{
    (void)o;
    struct err own = { 0 };
    if (!e)
        e = &own;
    int pair[2];
    int rc = fd_pipe(pair);
    if (rc < 0)
        return send_failure(sock, err_set(e, -rc, "make a pipe"), false, e);
    AUTO_FD status = pair[0];
    AUTO_FD theirs = pair[1];
    if (r->has_pid_ns && unshare(CLONE_NEWPID) < 0)
        return send_failure(sock, err_set(e, errno, "make a pid namespace"), false, e);
    pid_t pid = fork();
    if (pid < 0)
        return send_failure(sock, err_set(e, errno, "start the job's first process"), false, e);
    if (pid == 0) {
        fd_close(&status);
        rc = start_init_side(r, theirs, e);
        if (rc < 0) {
            send_failure(sock, rc, false, e);
            _exit(255);
        }
        *pid_out = 0;
        return 0;
    }
    fd_close(&theirs);
    char byte;
    ssize_t n = fd_read(status, &byte, 1);
    if (n != 1) { /* it has told the agent why */
        view_wait_init(pid);
        return err_say(e, ECHILD, "the job's first process failed");
    }
    r->init_pid = pid;
    struct packet p = { .kind = VIEW_MSG_DONE, .report = *r };
    rc = send_packet(sock, &p, -1);
    if (rc < 0)
        return err_set(e, -rc, "tell the agent that the view stands");
    *pid_out = pid;
    return 0;
}

int view_wait_init(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* What a job that is shown as root may keep: what matters for files of its own, nothing that
 * undoes mounts or looks into its supervisor. */
static bool is_kept(int capability)
{
    switch (capability) {
    case CAP_CHOWN:
    case CAP_DAC_OVERRIDE:
    case CAP_FOWNER:
    case CAP_FSETID:
    case CAP_KILL:
    case CAP_SETGID:
    case CAP_SETUID:
    case CAP_NET_BIND_SERVICE:
    case CAP_SYS_CHROOT:
    case CAP_MKNOD:
    case CAP_AUDIT_WRITE:
    case CAP_SETFCAP: return true;
    default: return false;
    }
}

int view_drop_privilege(const struct view_report *r, struct err *e)
{
    if (!has_user_ns(r->means))
        return 0;
    bool is_root = r->uid == 0;
    unsigned kept[2] = { 0, 0 };
    for (int capability = 0; capability <= CAP_LAST_CAP; capability++) {
        bool is_ours = is_root && is_kept(capability);
        if (is_ours)
            kept[CAP_TO_INDEX(capability)] |= CAP_TO_MASK(capability);
        else if (prctl(PR_CAPBSET_DROP, capability) < 0 && errno != EINVAL)
            return err_set(e, errno, "give up capability %d", capability);
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
        return err_set(e, errno, "give up ambient capabilities");
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[2];
    for (int i = 0; i < 2; i++)
        sets[i] = (struct __user_cap_data_struct){ .effective = kept[i], .permitted = kept[i] };
    if (syscall(SYS_capset, &header, sets) < 0)
        return err_set(e, errno, "give up the capabilities of the view");
    return 0;
}

/* --- afterwards --- */

/* Whether path is a directory on the same file system as its parent. */
static bool is_plain_dir(const char *path)
{
    char parent[PATH_MAX + 4];
    struct stat own, above;
    snprintf(parent, sizeof parent, "%s/..", path);
    if (lstat(path, &own) < 0)
        return errno == ENOENT;
    return stat(parent, &above) == 0 && own.st_dev == above.st_dev;
}

static int unmount_outside(const char *path)
{
    int rc = fusermount_unmount(path, true, NULL);
    if (rc < 0 && !is_plain_dir(path))
        return rc;
    if (strstr(path, "/views/mnt-"))
        rmdir(path);
    return 0;
}

void view_cleanup(const char *cache_dir)
{
    record_sweep(cache_dir, unmount_outside);
}
