/* SPDX-License-Identifier: GPL-2.0-or-later */
/* build.c: does the steps of a plan, inside the namespaces.
 * Must not know: how the namespaces were entered, the session, the file protocol.
 *
 * While building, the root directory is a base of ours with two directories in it: /.old, the
 * target's root, and /.new, the root that is being built. A path of the new root is always
 * resolved with /.new as its root, because links in the head's tree may point anywhere; what is
 * found is then named through /.old/proc/self/fd, which no link can redirect.
 * Source: mount(2), openat2(2), overlayfs(5). */
#include "mrc/agent/build.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mrc/agent/mergefuse.h"
#include "mrc/agent/nest.h"
#include "mrc/agent/ns.h"
#include "mrc/agent/record.h"
#include "mrc/agent/skeleton.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FD_PATH_BYTES = 40 };

void view_note(struct view_report *r, const char *fmt, ...)
{
    size_t used = strlen(r->notes);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(r->notes + used, sizeof r->notes - used, fmt, ap);
    va_end(ap);
    if (n >= 0 && used + (size_t)n + 1 < sizeof r->notes)
        memcpy(r->notes + used + n, "\n", 2);
    else
        r->notes[used] = 0;
}

int build_old_path(const char *path, char *text, size_t size_bytes)
{
    int n = snprintf(text, size_bytes, "/.old%s", path);
    return n < 0 || (size_t)n >= size_bytes ? -ENAMETOOLONG : 0;
}

/* --- before the namespaces --- */

static void look(void *ctx, const char *path, struct plan_node *out)
{
    (void)ctx;
    struct stat own, st;
    if (lstat(path, &own) < 0)
        return;
    out->exists = true;
    out->is_link = S_ISLNK(own.st_mode);
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return;
    out->is_dir = true;
    out->is_shared_temp = (st.st_mode & (S_ISVTX | S_IWOTH)) == (S_ISVTX | S_IWOTH);
    out->is_searchable = access(path, X_OK) == 0;
}

static int prepare_step(struct build *b, size_t i, struct err *e)
{
    const struct plan_step *s = &b->plan.steps[i];
    char path[PATH_MAX];
    memcpy(path, s->path, s->path_len);
    path[s->path_len] = 0;
    switch (s->kind) {
    case PLAN_PLACE: return place_take(b->o->cache_dir, path, e);
    case PLAN_SCRATCH: return scratch_take(b->o->cache_dir, &b->sources[i], e);
    case PLAN_MKDIR:
    case PLAN_HEAD: return 0;
    case PLAN_SKELETON:
    case PLAN_MERGE:
        if (!s->has_source)
            return 0;
        break;
    case PLAN_BIND:
    case PLAN_TARGET: break;
    }
    b->sources[i] = realpath(path, NULL);
    if (!b->sources[i])
        return err_set(e, errno, "the target's %s", path);
    return 0;
}

int build_prepare(struct build *b, const struct view_opts *o, int sock, struct view_report *r,
                  struct err *e)
{
    b->o = o;
    b->report = r;
    b->sock = sock;
    b->root_fd = -1;
    struct plan_oracle target = { .look = look };
    int rc = plan_make(o, &target, &b->plan, e);
    for (size_t i = 0; rc == 0 && i < b->plan.count; i++)
        rc = prepare_step(b, i, e);
    return rc;
}

/* --- naming what is in the new root --- */

static void fd_path(int fd, char text[FD_PATH_BYTES])
{
    snprintf(text, FD_PATH_BYTES, "/.old/proc/self/fd/%d", fd);
}

/* For kernels without openat2: refuses symbolic links on the way. */
static int open_beneath_slowly(int root_fd, const char *path)
{
    char name[NAME_MAX + 1];
    AUTO_FD at = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
    while (at >= 0 && *path) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (len == 0)
            break;
        if (len > NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(name, path, len);
        name[len] = 0;
        path += len;
        struct stat st;
        int next = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            return -errno;
        fd_close(&at);
        at = next;
        if (fstat(at, &st) == 0 && S_ISLNK(st.st_mode))
            return -ELOOP;
    }
    return at < 0 ? -errno : take_fd(&at);
}

/* Opens path[0 .. len) of the new root. Returns the descriptor or -errno. */
static int open_new(const struct build *b, const char *path, size_t len)
{
    char text[PATH_MAX];
    if (len >= sizeof text)
        return -ENAMETOOLONG;
    memcpy(text, path, len);
    text[len] = 0;
    struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
    long fd = syscall(SYS_openat2, b->root_fd, text, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return open_beneath_slowly(b->root_fd, text);
    return fd < 0 ? -errno : (int)fd;
}

/* The new root's "/" is what is mounted at /.new now. */
static int reopen_root(struct build *b)
{
    fd_close(&b->root_fd);
    b->root_fd = open("/.new", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return b->root_fd < 0 ? -errno : 0;
}

/* --- skeletons --- */

/* Mounts the empty file system of a skeleton; owner and mode as the target's directory has. */
static int mount_skeleton(struct build *b, const char *where, const char *source)
{
    char text[PATH_MAX + 8];
    struct stat st = { .st_mode = 0755, .st_uid = b->uid, .st_gid = b->gid };
    if (source && build_old_path(source, text, sizeof text) == 0 && stat(text, &st) < 0)
        st.st_mode = 0755;
    if (b->is_user_ns) { /* nobody else exists there */
        st.st_uid = b->uid;
        st.st_gid = b->gid;
    }
    return ns_mount_tmpfs(where, st.st_mode | 0700, st.st_uid, st.st_gid);
}

static int do_skeleton(struct build *b, size_t i, struct err *e)
{
    const struct plan_step *s = &b->plan.steps[i];
    char where[FD_PATH_BYTES] = "/.new";
    AUTO_FD at = -1;
    int rc = 0;
    if (s->path_len > 1) {
        at = open_new(b, s->path, s->path_len);
        rc = at < 0 ? at : 0;
        if (rc == 0)
            fd_path(at, where);
    }
    if (rc == 0)
        rc = mount_skeleton(b, where, b->sources[i]);
    if (rc == 0 && s->path_len == 1)
        rc = reopen_root(b);
    int fd = rc < 0 ? rc : open_new(b, s->path, s->path_len);
    if (fd < 0)
        return err_set(e, -fd, "make %.*s in the view", (int)s->path_len, s->path);
    b->skeletons[b->skeleton_count++] = fd;
    if (!b->sources[i])
        return 0;
    if (fchdir(fd) < 0)
        return err_set(e, errno, "enter %.*s in the view", (int)s->path_len, s->path);
    rc = skeleton_fill(&b->plan, s, b->sources[i], b->report, e);
    if (chdir("/") < 0)
        return err_set(e, errno, "leave the view");
    return rc;
}

/* Nothing can be created in a skeleton any more. */
static int seal_skeletons(struct build *b, struct err *e)
{
    for (size_t i = 0; i < b->skeleton_count; i++) {
        char where[FD_PATH_BYTES];
        fd_path(b->skeletons[i], where);
        unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
        if (mount(NULL, where, NULL, flags, NULL) < 0)
            return err_set(e, errno, "make the view's own directories read-only");
        fd_close(&b->skeletons[i]);
    }
    return 0;
}

/* --- the other steps --- */

static int do_mkdir(struct build *b, const struct plan_step *s, struct err *e)
{
    AUTO_FD at = open_new(b, s->path, s->base_len);
    int rc = at < 0 ? at : 0;
    for (size_t len = s->base_len; rc == 0 && len < s->path_len;) {
        const char *name = s->path + len + (s->path[len] == '/');
        size_t name_len = strcspn(name, "/");
        char text[NAME_MAX + 1];
        memcpy(text, name, name_len); /* at most NAME_MAX: the plan has checked it */
        text[name_len] = 0;
        if (mkdirat(at, text, 0755) < 0 && errno != EEXIST)
            rc = -errno;
        int next = openat(at, text, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (rc == 0 && next < 0)
            rc = -errno;
        fd_close(&at);
        at = next;
        len = (size_t)(name + name_len - s->path);
    }
    if (rc < 0)
        return err_set(e, -rc, "make %.*s in the view", (int)s->path_len, s->path);
    return 0;
}

static int make_read_only(const char *where)
{
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
    if (syscall(SYS_mount_setattr, AT_FDCWD, where, AT_RECURSIVE, &attr, sizeof attr) == 0)
        return 0;
    if (errno != ENOSYS)
        return -errno;
    struct statvfs fs; /* before Linux 5.12: not what is mounted below; flags must be kept */
    if (statvfs(where, &fs) < 0)
        return -errno;
    unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY;
    flags |= fs.f_flag & ST_NOSUID ? MS_NOSUID : 0;
    flags |= fs.f_flag & ST_NODEV ? MS_NODEV : 0;
    flags |= fs.f_flag & ST_NOEXEC ? MS_NOEXEC : 0;
    flags |= fs.f_flag & ST_NOATIME ? MS_NOATIME : 0;
    flags |= fs.f_flag & ST_NODIRATIME ? MS_NODIRATIME : 0;
    flags |= fs.f_flag & ST_RELATIME ? MS_RELATIME : 0;
    return mount(NULL, where, NULL, flags, NULL) < 0 ? -errno : 0;
}

static int open_mount_point(const struct build *b, const struct plan_step *s, int *fd_out,
                            struct err *e)
{
    int fd = open_new(b, s->path, s->path_len);
    if (fd == -ENOENT || fd == -ENOTDIR)
        return err_say(e, -fd, "the head's tree has no %.*s to mount on: make it there",
                       (int)s->path_len, s->path);
    if (fd < 0)
        return err_set(e, -fd, "%.*s in the view", (int)s->path_len, s->path);
    *fd_out = fd;
    return 0;
}

/* Mounts the target's source (a clean path) on what at_fd names. */
static int bind_source(const char *source, int at_fd, bool is_read_only)
{
    char from[PATH_MAX + 8], where[FD_PATH_BYTES];
    fd_path(at_fd, where);
    int rc = build_old_path(source, from, sizeof from);
    if (rc < 0)
        return rc;
    if (mount(from, where, NULL, MS_BIND | MS_REC, NULL) < 0)
        return -errno;
    return is_read_only ? 1 : 0;
}

static int do_bind(struct build *b, size_t i, struct err *e)
{
    const struct plan_step *s = &b->plan.steps[i];
    AUTO_FD at = -1;
    int rc = open_mount_point(b, s, &at, e);
    if (rc < 0)
        return rc;
    rc = bind_source(b->sources[i], at, s->is_read_only);
    if (rc == 1) {
        AUTO_FD top = open_new(b, s->path, s->path_len);
        char where[FD_PATH_BYTES];
        fd_path(top, where);
        rc = top < 0 ? top : make_read_only(where);
    }
    if (rc < 0)
        return err_set(e, -rc, "show the target's %.*s in the view", (int)s->path_len, s->path);
    return 0;
}

static int default_mount_text(int fuse_fd, uid_t uid, gid_t gid, char *text, size_t size_bytes)
{
    int n = snprintf(text, size_bytes,
                     "fd=%d,rootmode=40000,user_id=%u,group_id=%u,allow_other,"
                     "default_permissions",
                     fuse_fd, uid, gid);
    return n < 0 || (size_t)n >= size_bytes ? -ENOSPC : 0;
}

/* Mounts an export at where; the agent serves it. */
static int mount_head(struct build *b, const struct plan_step *s, const char *where,
                      struct err *e)
{
    AUTO_FD fd = open("/.old/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, errno, "open /dev/fuse on the target");
    char text[512];
    const struct view_opts *o = b->o;
    int rc = o->mount_text ? o->mount_text(o->ctx, s->export_number, fd, b->uid, b->gid, true,
                                           text, sizeof text)
                           : default_mount_text(fd, b->uid, b->gid, text, sizeof text);
    if (rc < 0)
        return err_set(e, -rc, "options of the mount at %.*s", (int)s->path_len, s->path);
    unsigned long flags = MS_NOSUID | MS_NODEV | (s->is_read_only ? MS_RDONLY : 0);
    if (mount(o->source ? o->source : "mrc", where, "fuse.mrcfs", flags, text) < 0)
        return err_set(e, errno, "mount the head's %.*s", (int)s->path_len, s->path);
    return view_send_fuse(b->sock, s->export_number, fd, e);
}

/* The same where fusermount3 may have mounted it already. */
static int show_head(struct build *b, const struct plan_step *s, const char *where,
                     struct err *e)
{
    const char *outside =
        s->export_number < VIEW_MOUNTS_MAX ? b->outside[s->export_number] : NULL;
    if (!outside)
        return mount_head(b, s, where, e);
    char from[PATH_MAX + 8];
    int rc = build_old_path(outside, from, sizeof from);
    if (rc == 0 && mount(from, where, NULL, MS_BIND, NULL) < 0)
        rc = -errno;
    if (rc < 0)
        return err_set(e, -rc, "show the head's %.*s in the view", (int)s->path_len, s->path);
    return 0;
}

static int do_head(struct build *b, const struct plan_step *s, struct err *e)
{
    char where[FD_PATH_BYTES] = "/.new";
    AUTO_FD at = -1;
    int rc = 0;
    if (s->path_len > 1) {
        rc = open_mount_point(b, s, &at, e);
        if (rc < 0)
            return rc;
        fd_path(at, where);
    }
    rc = show_head(b, s, where, e);
    if (rc == 0 && s->path_len == 1)
        rc = reopen_root(b);
    return rc;
}

/* A directory with what is mounted in it, kept together when the old root is let go. */
static int open_tree_of(const char *path)
{
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path,
                          OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (fd < 0 && errno == ENOSYS)
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* The merge is a file system of a process of its own; what it merges is mounted in the base. */
static int start_merge(struct build *b, size_t i, const char *where, int head_fd, struct err *e)
{
    const struct plan_step *s = &b->plan.steps[i];
    char from[PATH_MAX + 8], text[128];
    AUTO_FD target_fd = -1;
    if (b->sources[i]) {
        int rc = build_old_path(b->sources[i], from, sizeof from);
        target_fd = rc < 0 ? rc : open_tree_of(from);
        if (target_fd < 0)
            return err_set(e, -target_fd, "the target's %.*s", (int)s->path_len, s->path);
    }
    AUTO_FD fuse_fd = open("/.old/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse_fd < 0)
        return err_set(e, errno, "open /dev/fuse on the target");
    int rc = default_mount_text(fuse_fd, b->uid, b->gid, text, sizeof text);
    unsigned long flags = MS_NOSUID | MS_NODEV | (s->is_read_only ? MS_RDONLY : 0);
    if (rc == 0 && mount("mrc-overlay", where, "fuse.mrcfs", flags, text) < 0)
        rc = -errno;
    if (rc < 0)
        return err_set(e, -rc, "--overlay %.*s: mount", (int)s->path_len, s->path);
    struct mergefuse_opts o = { .head_fd = head_fd,
                                .target_fd = target_fd,
                                .fuse_fd = fuse_fd };
    return mergefuse_start(&o, "/.old/proc", e);
}

static int do_merge(struct build *b, size_t i, struct err *e)
{
    const struct plan_step *s = &b->plan.steps[i];
    AUTO_FD at = -1;
    int rc = open_mount_point(b, s, &at, e);
    if (rc < 0)
        return rc;
    char where[FD_PATH_BYTES], head[32];
    fd_path(at, where);
    snprintf(head, sizeof head, "/.head-%zu", i);
    if (mkdir(head, 0700) < 0)
        return err_set(e, errno, "make %s", head);
    rc = show_head(b, s, head, e);
    AUTO_FD head_fd = rc < 0 ? -1 : open(head, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (rc == 0 && head_fd < 0)
        rc = err_set(e, errno, "open %s", head);
    return rc < 0 ? rc : start_merge(b, i, where, head_fd, e);
}

static int mount_overlay(struct build *b, int lower_fd, int layer_fd, const char *where)
{
    if (mkdirat(layer_fd, "upper", 0755) < 0 || mkdirat(layer_fd, "work", 0700) < 0)
        return -errno;
    AUTO_FD upper = openat(layer_fd, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO_FD work = openat(layer_fd, "work", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char lower_text[FD_PATH_BYTES], upper_text[FD_PATH_BYTES], work_text[FD_PATH_BYTES];
    char text[4 * FD_PATH_BYTES];
    fd_path(lower_fd, lower_text);
    fd_path(upper, upper_text);
    fd_path(work, work_text);
    snprintf(text, sizeof text, "lowerdir=%s,upperdir=%s,workdir=%s%s", lower_text, upper_text,
             work_text, b->is_user_ns ? ",userxattr" : "");
    return mount("mrc-scratch", where, "overlay", MS_NOSUID | MS_NODEV, text) < 0 ? -errno : 0;
}

/* Root of the overlay: as what lies below it. */
static void copy_mode(int lower_fd, int layer_fd)
{
    struct stat st;
    if (fstat(lower_fd, &st) < 0)
        return;
    if (fchownat(layer_fd, "upper", st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return; /* an owner that the user namespace doesn't have */
    (void)!fchmodat(layer_fd, "upper", st.st_mode & 07777, 0);
}

/* layer: directory that takes the writes, as it is reached while building. */
static int overlay_on(struct build *b, int lower_fd, const char *layer, const char *where)
{
    AUTO_FD fd = open(layer, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = mount_overlay(b, lower_fd, fd, where);
    if (rc == 0)
        copy_mode(lower_fd, fd);
    return rc;
}

/* The file system of the cache directory may be one that can't take an overlay's writes. */
static int overlay_in_memory(struct build *b, const struct plan_step *s, int lower_fd,
                             const char *where)
{
    char layer[32];
    snprintf(layer, sizeof layer, "/.layer-%d", lower_fd);
    if (mkdir(layer, 0700) < 0)
        return -errno;
    int rc = overlay_on(b, lower_fd, layer, where);
    if (rc == 0)
        view_note(b->report,
                  "--scratch %.*s: what is written there is kept in memory, because the file "
                  "system of %s can't hold it",
                  (int)s->path_len, s->path, b->o->cache_dir);
    return rc;
}

static int do_scratch(struct build *b, size_t i, struct err *e)
{
    const struct plan_step *s = &b->plan.steps[i];
    AUTO_FD at = open_new(b, s->path, s->path_len);
    if (at == -ENOENT)
        return err_say(e, ENOENT, "--scratch %.*s: there is no such directory: make it first",
                       (int)s->path_len, s->path);
    if (at < 0)
        return err_set(e, -at, "--scratch %.*s: not in the view", (int)s->path_len, s->path);
    char where[FD_PATH_BYTES], layer[PATH_MAX + 8];
    fd_path(at, where);
    int rc = build_old_path(b->sources[i], layer, sizeof layer);
    if (rc == 0)
        rc = overlay_on(b, at, layer, where);
    if (rc == -EINVAL || rc == -EOPNOTSUPP)
        rc = overlay_in_memory(b, s, at, where);
    if (rc < 0)
        return err_set(e, -rc,
                       "--scratch %.*s: the target can't mount an overlay file system (as an "
                       "ordinary user this needs Linux 5.11)",
                       (int)s->path_len, s->path);
    return 0;
}

static int do_step(struct build *b, size_t i, struct err *e)
{
    const struct plan_step *s = &b->plan.steps[i];
    switch (s->kind) {
    case PLAN_SKELETON: return do_skeleton(b, i, e);
    case PLAN_MKDIR: return do_mkdir(b, s, e);
    case PLAN_PLACE: return 0; /* done by build_prepare */
    case PLAN_BIND:
    case PLAN_TARGET: return do_bind(b, i, e);
    case PLAN_HEAD: return do_head(b, s, e);
    case PLAN_MERGE: return do_merge(b, i, e);
    case PLAN_SCRATCH: return do_scratch(b, i, e);
    }
    return -EINVAL;
}

/* The target's resolv.conf over the head's, as far as both exist. */
static void show_resolver(struct build *b)
{
    static const char path[] = "/etc/resolv.conf";
    AUTO_FD at = open_new(b, path, sizeof path - 1);
    AUTO_FD old_root = open("/.old", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
    AUTO_FD from = (int)syscall(SYS_openat2, old_root, path, &how, sizeof how);
    char from_text[FD_PATH_BYTES], where[FD_PATH_BYTES];
    if (at < 0 || from < 0)
        return;
    fd_path(from, from_text);
    fd_path(at, where);
    if (mount(from_text, where, NULL, MS_BIND, NULL) < 0)
        view_note(b->report, "%s stays the head's: %s", path, strerror(errno));
}

/* The agent under the name mrc, for jobs that may start others. Only in a root of ours, in
 * memory: the head's gets no directory of ours. */
static void show_mrc(struct build *b)
{
    struct statfs fs;
    char exe[PATH_MAX], where[FD_PATH_BYTES], from[PATH_MAX + 8];
    ssize_t len = readlink("/.old/proc/self/exe", exe, sizeof exe - 1);
    if (len < 0 || fstatfs(b->root_fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
        return;
    exe[len] = 0;
    AUTO_FD dir = mkdirat(b->root_fd, AGENT_NEST_DIR + 1, 0755) < 0
                      ? -1
                      : openat(b->root_fd, AGENT_NEST_DIR + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_FD at = dir < 0 ? -1 : openat(dir, "mrc", O_CREAT | O_RDONLY | O_CLOEXEC, 0555);
    if (at < 0 || build_old_path(exe, from, sizeof from) < 0)
        return;
    fd_path(at, where);
    if (mount(from, where, NULL, MS_BIND, NULL) < 0)
        view_note(b->report, "mrc is not in the job's view: %s", strerror(errno));
}

int build_run(struct build *b, struct err *e)
{
    int rc = ns_pivot_to_base(e);
    if (rc < 0)
        return rc;
    rc = reopen_root(b);
    if (rc < 0)
        return err_set(e, -rc, "open the view's root directory");
    for (size_t i = 0; rc == 0 && i < b->plan.count; i++)
        rc = do_step(b, i, e);
    if (rc == 0 && b->o->is_root_view && b->o->wants_target_resolver)
        show_resolver(b);
    if (rc == 0 && b->o->shows_mrc)
        show_mrc(b);
    if (rc == 0)
        rc = seal_skeletons(b, e);
    fd_close(&b->root_fd);
    return rc < 0 ? rc : ns_pivot_into("/.new", e);
}

void build_free(struct build *b)
{
    for (size_t i = 0; i < PLAN_STEPS_MAX; i++)
        free(b->sources[i]);
    for (size_t i = 0; i < VIEW_MOUNTS_MAX; i++)
        free(b->outside[i]);
    free(b);
}
