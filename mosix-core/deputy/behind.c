/* SPDX-License-Identifier: GPL-2.0-or-later */
/* behind.c: writes that are not waited for, at home. Must not know: how calls are made.
 * Source: write(2), quotactl(2), getrlimit(2).
 * It is promised only where nothing that happens in a moment lets a write fail: a regular file
 * of this kernel's, no quota and no limit of sizes, and far more room than can be on its way.
 * The offset is the file description's, and all that uses it comes in order. */
#include "mosix-core/deputy/behind.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "mosix-core/deputy/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef SYS_quotactl_fd
enum { SYS_quotactl_fd = 443 };
#endif

enum {
    RUN = 2,              /* full writes in a row, after which more are expected */
    LOOK_BYTES = 1 << 20, /* are written until it is looked again whether there is room */
    AGAIN_MS = 1000,      /* after it could not be promised */
    PROJECT_QUOTA = 2,
};
static const uint64_t room_bytes = UINT64_C(1) << 30, far_at = UINT64_C(1) << 42;

/* ---- who ---- */

static struct mx_writer *find(struct mx_writers *s, uint32_t who)
{
    for (unsigned i = 0; i < MX_BEHIND_PROCESSES; i++)
        if (s->writers[i].is_used && s->writers[i].who == who)
            return &s->writers[i];
    return NULL;
}

static struct mx_writer *get(struct mx_writers *s, uint32_t who)
{
    struct mx_writer *w = find(s, who);
    for (unsigned i = 0; !w && i < MX_BEHIND_PROCESSES; i++)
        if (!s->writers[i].is_used) {
            w = &s->writers[i];
            *w = (struct mx_writer){ .who = who, .is_used = true };
        }
    return w;
}

static int tell(struct mx_writer *w, struct mx_link *l)
{
    if (!w->done)
        return 0;
    struct wr *out = mx_link_begin(l, MX_TALK_BEHIND_DONE, w->who);
    put_u64(out, w->done);
    put_u8(out, !w->is_over);
    w->done = 0;
    if (w->is_over)
        w->not_until = clock_mono_ms() + AGAIN_MS;
    return mx_link_send(l);
}

int mx_writers_tell(struct mx_writers *s, struct mx_link *l)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < MX_BEHIND_PROCESSES; i++)
        if (s->writers[i].is_used)
            rc = tell(&s->writers[i], l);
    return rc;
}

int mx_writers_pause(struct mx_writers *s, uint32_t who, struct mx_link *l)
{
    struct mx_writer *w = find(s, who);
    if (!w)
        return 0;
    w->promised = (struct mx_fds){ { 0 } };
    w->runs = (struct mx_runs){ .next = 0 };
    return tell(w, l);
}

void mx_writers_end(struct mx_writers *s, uint32_t who)
{
    struct mx_writer *w = find(s, who);
    if (w)
        w->is_used = false;
}

/* ---- what can be promised ---- */

/* QCMD, without its overflow. */
static uint32_t command(uint32_t what, int kind)
{
    return what << 8 | (uint32_t)kind;
}

/* Of a kind for which the file system itself answers, or of one that does it all by itself. */
static bool has_quotas(int file)
{
    struct { /* fs_quota_stat of linux/dqblk_xfs.h */
        int8_t version;
        uint16_t flags;
        uint8_t more[200];
    } xfs = { 0 };
    int format = 0;
    for (int kind = USRQUOTA; kind <= PROJECT_QUOTA; kind++)
        if (syscall(SYS_quotactl_fd, file, command(Q_GETFMT, kind), 0, &format) == 0 ||
            (errno != ESRCH && errno != ENOSYS && errno != EINVAL))
            return true;
    enum { Q_XGETQSTAT_ALL = ('X' << 8) + 5 };
    return syscall(SYS_quotactl_fd, file, command(Q_XGETQSTAT_ALL, USRQUOTA), 0, &xfs) == 0 &&
           xfs.flags != 0;
}

/* Of those that this kernel changes alone. */
static bool is_file(int file, struct stat *st)
{
    int flags = fcntl(file, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH) &&
           mx_file_is_local(file, st);
}

static bool has_limit(pid_t pid)
{
    struct rlimit limit;
    return prlimit(pid, RLIMIT_FSIZE, NULL, &limit) < 0 || limit.rlim_cur != RLIM_INFINITY;
}

/* Will what is written in the next moment find room? It is us who writes. */
static bool has_room(int file, pid_t pid)
{
    struct statfs fs;
    off_t at = lseek(file, 0, SEEK_CUR);
    return fstatfs(file, &fs) == 0 &&
           (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize >= room_bytes && at >= 0 &&
           (uint64_t)at < far_at && !has_limit(pid) && !has_limit(getpid()) &&
           !has_quotas(file);
}

/* Does a write to it nothing but write? */
static bool is_plain(int file)
{
    struct stat st;
    struct statfs fs;
    return is_file(file, &st) && !(fcntl(file, F_GETFL) & (O_DIRECT | O_SYNC | O_DSYNC)) &&
           fstatfs(file, &fs) == 0 &&
           fs.f_type != BTRFS_SUPER_MAGIC && /* its quotas don't show */
           st.st_nlink > 0 &&                /* it may be a memfd, which can be sealed */
           !(st.st_mode & (S_ISUID | S_ISGID)) &&
           fgetxattr(file, "security.capability", NULL, 0) < 0; /* a write takes these away */
}

/* ---- calls ---- */

void mx_writers_before(struct mx_writers *s, uint32_t who, const struct mx_call_line *line,
                       const uint64_t args[MX_CALL_ARGS])
{
    struct mx_writer *w = find(s, who);
    if (!w)
        return;
    for (int fd = 0; fd < MX_FDS_MAX; fd++)
        if (mx_fds_has(&w->promised, fd) && mx_behind_ends(line, args, fd))
            mx_fds_put(&w->promised, fd, false);
    for (unsigned i = 0; i < MX_RUNS; i++)
        if (w->runs.list[i].count && mx_behind_ends(line, args, w->runs.list[i].fd))
            w->runs.list[i].count = 0;
}

static int promise(struct mx_link *l, uint32_t who, uint64_t fd)
{
    put_u32(mx_link_begin(l, MX_TALK_BEHIND_OPEN, who), (uint32_t)fd);
    return mx_link_send(l);
}

int mx_writers_after(struct mx_writers *s, uint32_t who, pid_t pid, struct mx_link *l,
                     const struct mx_call_line *line, const uint64_t args[MX_CALL_ARGS],
                     int64_t result)
{
    uint64_t at, now;
    if (!mx_behind_is_write(line, args, &at) || args[0] >= MX_FDS_MAX)
        return 0;
    struct mx_writer *w = get(s, who);
    if (!w)
        return 0;
    unsigned *run = mx_run_of(&w->runs, (int)args[0]);
    *run = result == (int64_t)args[2] ? *run + 1 : 0;
    if (*run < RUN)
        return 0;
    if (mx_fds_has(&w->promised, (int)args[0]) && !w->is_over) /* had it room for it? */
        return promise(l, who, args[0]);
    if ((now = clock_mono_ms()) < w->not_until)
        return 0;
    AUTO_FD file = mx_file_get(pid, (int)args[0]);
    if (file < 0 || !mx_has_one_thread(pid) || !is_plain(file) || !has_room(file, pid)) {
        w->not_until = now + AGAIN_MS;
        return 0;
    }
    mx_fds_put(&w->promised, (int)args[0], true);
    w->is_over = false;
    return promise(l, who, args[0]);
}

/* ---- bytes ---- */

/* Somebody else has given it set-id bits since: the process's own write would take them away.
 */
static int drop_rights(int file, const struct stat *st)
{
    mode_t bits = S_ISUID | (st->st_mode & S_IXGRP ? S_ISGID : 0);
    if (!(st->st_mode & bits))
        return 0;
    return fchmod(file, st->st_mode & 07777 & ~bits) < 0 ? -errno : 0;
}

/* Returns 0 or -errno. */
static int write_all(int file, uint64_t at, const uint8_t *ptr, size_t len_bytes)
{
    while (len_bytes) {
        ssize_t n = at == mx_behind_nowhere ? write(file, ptr, len_bytes)
                                            : pwrite(file, ptr, len_bytes, (off_t)at);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -EIO;
        if (n < 0)
            continue;
        ptr += n;
        len_bytes -= (size_t)n;
        at += at == mx_behind_nowhere ? 0 : (uint64_t)n;
    }
    return 0;
}

int mx_writers_frame(struct mx_writers *s, struct mx_talk_frame *f, pid_t pid, bool is_dead,
                     struct err *e)
{
    struct mx_writer *w = find(s, f->who);
    uint32_t fd;
    uint64_t at;
    size_t len;
    struct stat st;
    if (get_u32(&f->body, &fd) < 0 || get_u64(&f->body, &at) < 0 ||
        (len = rd_left(&f->body)) == 0 || (at != mx_behind_nowhere && at >= far_at))
        return -EPROTO;
    if (is_dead)
        return 0;
    if (!w || !mx_fds_has(&w->promised, fd))
        return -EPROTO;
    AUTO_FD file = mx_file_get(pid, (int)fd);
    if (file < 0)
        return err_set(e, errno, "reach descriptor %u of process %d", fd, (int)pid);
    if (!is_file(file, &st)) /* by nothing that the process itself has done */
        return err_say(e, EIO, "descriptor %u of process %d was changed", fd, (int)pid);
    int rc = drop_rights(file, &st);
    if (rc == 0)
        rc = write_all(file, at, f->body.at, len);
    if (rc < 0)
        return err_set(e, -rc,
                       "make a write of process %d that it was promised, to descriptor %u",
                       (int)pid, fd);
    w->done += len;
    w->unlooked += len;
    if (w->unlooked < LOOK_BYTES)
        return 0;
    w->unlooked = 0;
    w->is_over = !has_room(file, pid);
    return 0;
}
