/* SPDX-License-Identifier: GPL-2.0-or-later */
/* checkpoint.c: a checkpoint appears whole or not at all.
 * Must not know: who may ask. Privilege: of root it takes the process's user, before it opens
 * anything. */
#include "mosix-core/mosixd/checkpoint.h"

#include "common/sys/fd.h"
#include "mosix-core/image/capture.h"
#include "mosix-core/mosixd/mark.h"
#include "mosix-core/mosixd/settings.h"
#include "mosix-core/move/note.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAME_BYTES = 4096 };

static int find_base(pid_t pid, char base[NAME_BYTES], struct err *e)
{
    char path[40];
    if (mx_mark_variable(pid, MX_CHECKPOINT_VARIABLE, base, NAME_BYTES - 32))
        return 0;
    snprintf(path, sizeof path, "/proc/%d/cwd", (int)pid);
    ssize_t n = readlink(path, base, NAME_BYTES - 64);
    if (n < 0)
        return err_set(e, errno, "read %s", path);
    snprintf(base + n, 32, "/ckpt.%d", (int)pid);
    return 0;
}

static bool is_older(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec != b->st_mtim.tv_sec ? a->st_mtim.tv_sec < b->st_mtim.tv_sec
                                                  : a->st_mtim.tv_nsec < b->st_mtim.tv_nsec;
}

/* files: so many are kept, and then the oldest gives way; 0: all. */
static int find_name(const char *base, unsigned files, char name[NAME_BYTES], struct err *e)
{
    struct stat st, oldest = { 0 };
    unsigned which = 0;
    for (unsigned i = 1; i <= (files ? files : MX_CHECKPOINTS_MAX); i++) {
        if (snprintf(name, NAME_BYTES, "%s.%u", base, i) >= NAME_BYTES - 8)
            return err_say(e, ENAMETOOLONG, "the name of a checkpoint is too long");
        if (lstat(name, &st) < 0)
            return errno == ENOENT ? 0 : err_set(e, errno, "look at %s", name);
        if (S_ISREG(st.st_mode) && (!which || is_older(&st, &oldest))) {
            which = i;
            oldest = st;
        }
    }
    if (!files || !which)
        return err_say(e, ENOSPC, "there are %u checkpoints called %s already",
                       files ? files : (unsigned)MX_CHECKPOINTS_MAX, base);
    return snprintf(name, NAME_BYTES, "%s.%u", base, which) < NAME_BYTES ? 0 : -ENAMETOOLONG;
}

static int make_durable(const char *beside, const char *name, int fd, struct err *e)
{
    char folder[NAME_BYTES];
    snprintf(folder, sizeof folder, "%s", name);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    if (fsync(fd) < 0 || rename(beside, name) < 0)
        return err_set(e, errno, "finish %s", name);
    AUTO_FD dir = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 || fsync(dir) < 0 ? err_set(e, errno, "finish %s", name) : 0;
}

/* The process stands still until its image is durable, so that what it then does was after it.
 */
static int write_file(const struct mx_checkpoint_how *how, unsigned files,
                      char name[NAME_BYTES], struct err *e)
{
    char base[NAME_BYTES], beside[NAME_BYTES + 8];
    pid_t pid = how->pid;
    struct mx_capture c = { .without = how->without };
    struct mx_captured did;
    int rc = find_base(pid, base, e);
    if (rc == 0)
        rc = find_name(base, files, name, e);
    if (rc < 0)
        return rc;
    snprintf(beside, sizeof beside, "%s.new", name);
    AUTO_FD fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, errno, "write %s", beside);
    rc = mx_capture_start(&c, pid, fd, e);
    if (rc == 0) {
        rc = make_durable(beside, name, fd, e);
        c.t.has_stop |= rc == 0 && how->then == MX_CHECKPOINT_STOP;
        int ended =
            mx_capture_finish(&c, rc == 0 && how->then == MX_CHECKPOINT_EXIT, &did, NULL);
        if (rc == 0 && ended < 0)
            rc = err_set(e, -ended, "go on with process %d", (int)pid);
    }
    if (rc < 0)
        unlink(beside);
    return rc;
}

static int become(uid_t uid, gid_t gid, struct err *e)
{
    const struct passwd *p = getpwuid(uid);
    if (geteuid() != 0 || uid == 0)
        return 0;
    int rc = p ? initgroups(p->pw_name, gid) : setgroups(0, NULL);
    if (rc < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return err_set(e, errno, "become user %u", (unsigned)uid);
    return 0;
}

int mx_checkpoint(const struct mx_checkpoint_how *how, char *name, size_t size, struct err *e)
{
    struct mx_settings settings;
    mx_settings_read(&settings, how->run_dir, how->pid);
    int pair[2], fd, rc = mx_note_pair(pair);
    if (rc < 0)
        return err_set(e, -rc, "make a pair of sockets");
    pid_t child = fork();
    if (child == 0) {
        static char full[NAME_BYTES];
        struct err why = { "" };
        close(pair[0]);
        rc = become(how->uid, how->gid, &why);
        if (rc == 0)
            rc = write_file(how, settings.files, full, &why);
        struct mx_note n = { .rc = rc };
        snprintf(n.text, sizeof n.text, "%.255s", rc < 0 ? why.text : full);
        _exit(mx_note_send(pair[1], &n, -1) < 0);
    }
    close(pair[1]);
    struct mx_note n = { .rc = -EIO };
    int got = child > 0 ? mx_note_receive(pair[0], &n, &fd, true) : -EAGAIN;
    close(pair[0]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    if (got <= 0)
        return err_say(e, EIO, "who wrote the checkpoint has died");
    if (n.rc < 0)
        return err_say(e, -n.rc, "%s", n.text);
    snprintf(name, size, "%s", n.text);
    return 0;
}
