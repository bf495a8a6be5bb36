/* SPDX-License-Identifier: GPL-2.0-or-later */
/* frost.c: requests to freeze a process and to let it go on, and the directory with the memory
 * of those that are frozen. Must not know: how it gets there. */
#include "mosix-core/mosixd/request.h"

#include "common/sys/fd.h"
#include "mosix-core/move/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- requests ---- */

static int ask(struct mx_request *r, const char *rest, const char *line, struct err *e)
{
    char more[2];
    int pid;
    if (sscanf(rest, "%d %1s", &pid, more) != 1 || pid <= 0)
        return err_say(e, EINVAL, "should be a process");
    int rc = mx_request_wish(r, pid, line, e);
    if (rc == 0)
        mx_request_say(r, "ok\n");
    return rc;
}

int mx_ask_freeze(struct mx_request *r, const char *rest, struct err *e)
{
    return ask(r, rest, "freeze", e);
}

int mx_ask_continue(struct mx_request *r, const char *rest, struct err *e)
{
    return ask(r, rest, "continue", e);
}

bool mx_request_is_frozen(struct mx_request *r, pid_t pid)
{
    char answer[MX_REQUEST_MAX];
    return mx_request_keeper(r, pid, "status\n", answer, sizeof answer) > 0 &&
           strstr(answer, "\tfrozen\t");
}

/* ---- the directory ---- */

/* Daemons of several directories may use one: whose a file is, its name says, by the whole name
 * of the run directory. */
static void make_tag(struct mx_daemon *d)
{
    char *to = d->freeze_tag;
    for (const char *from = d->run; *from; from++) {
        bool is_slash = *from == '/';
        if (is_slash || *from == '%')
            *to++ = '%';
        *to++ = is_slash ? '_' : *from;
    }
    *to = 0;
}

int mx_frost_dir(struct mx_daemon *d, const char *path, struct err *e)
{
    int n;
    if (path)
        n = snprintf(d->freeze_dir, sizeof d->freeze_dir, "%s", path);
    else if (geteuid() == 0)
        n = snprintf(d->freeze_dir, sizeof d->freeze_dir, "/var/lib/mosix");
    else
        n = snprintf(d->freeze_dir, sizeof d->freeze_dir, "/var/tmp/mosix-%u",
                     (unsigned)geteuid());
    if (n >= (int)sizeof d->freeze_dir)
        return err_say(e, ENAMETOOLONG, "%s is too long for a directory of frozen memory",
                       path);
    if (d->freeze_dir[0] != '/')
        return err_say(e, EINVAL, "--freeze needs an absolute name");
    make_tag(d);
    mx_frost_clean(d);
    return 0;
}

/* Its keeper holds a lock as long as it lives. */
static bool is_kept(const struct mx_daemon *d, unsigned pid)
{
    char path[MX_RUN_MAX + 32];
    snprintf(path, sizeof path, "%s/j/%u.lock", d->run, pid);
    AUTO_FD lock = open(path, O_RDWR | O_CLOEXEC);
    return lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0;
}

/* A file of this daemon's. */
static bool is_image(const struct mx_daemon *d, const char *name, unsigned *pid)
{
    size_t len = strlen(d->freeze_tag);
    int end = 0;
    return strncmp(name, d->freeze_tag, len) == 0 && sscanf(name + len, ".%u.frozen%n", pid, &end) == 1 &&
           end && !name[len + (size_t)end];
}

void mx_frost_clean(const struct mx_daemon *d)
{
    unsigned pid;
    DIR *dir = opendir(d->freeze_dir);
    for (struct dirent *x; dir && (x = readdir(dir));)
        if (is_image(d, x->d_name, &pid) && !is_kept(d, pid))
            unlinkat(dirfd(dir), x->d_name, 0);
    if (dir)
        closedir(dir);
}

unsigned mx_frost_count(const struct mx_daemon *d)
{
    unsigned pid, count = 0;
    DIR *dir = opendir(d->freeze_dir);
    for (struct dirent *x; dir && (x = readdir(dir));)
        count += is_image(d, x->d_name, &pid);
    if (dir)
        closedir(dir);
    return count;
}
