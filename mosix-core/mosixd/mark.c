/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mark.c: cgroups of jobs: ROOT/NAME/uUID-jID, NAME that of the daemon's directory.
 * Must not know: what jobs are for. Source: cgroups(7). */
#include "mosix-core/mosixd/mark.h"

#include "common/sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ENVIRONMENT_MAX = 256 << 10, /* bytes of an environment that are looked at */
    TRIES = 5,
};

/* Where the one hierarchy of version 2 is mounted. */
static int find_root(char root[128])
{
    char line[512], where[256], type[64];
    FILE *f = fopen("/proc/self/mounts", "re");
    int rc = f ? -ENOTSUP : -errno;
    while (f && rc < 0 && fgets(line, sizeof line, f))
        if (sscanf(line, "%*s %255s %63s", where, type) == 2 && strcmp(type, "cgroup2") == 0 &&
            snprintf(root, 128, "%s", where) < 128)
            rc = 0;
    if (f)
        fclose(f);
    return rc;
}

static const char *name_of(const char *run_dir)
{
    const char *slash = strrchr(run_dir, '/');
    return slash ? slash + 1 : run_dir;
}

static int put(const char *folder, pid_t pid)
{
    char path[300], text[16];
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    snprintf(text, sizeof text, "%d", (int)pid);
    AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
}

/* Where the cgroups of a daemon's jobs are. */
static bool find_folder(const char *run_dir, char folder[256])
{
    char root[128];
    if (find_root(root) < 0)
        return false;
    snprintf(folder, 256, "%s/%s", root, name_of(run_dir));
    return true;
}

/* Those of jobs that have ended. */
static void sweep(const char *folder)
{
    DIR *d = opendir(folder);
    for (struct dirent *x; d && (x = readdir(d));)
        if (x->d_name[0] == 'u')
            unlinkat(dirfd(d), x->d_name, AT_REMOVEDIR); /* fails where there are processes */
    if (d)
        closedir(d);
}

void mx_mark_sweep(const char *run_dir)
{
    char folder[256];
    if (find_folder(run_dir, folder))
        sweep(folder);
}

int mx_mark_set(const char *run_dir, pid_t pid, uid_t uid, unsigned id, struct err *e)
{
    char root[128], folder[256];
    int rc = find_root(root);
    if (rc < 0)
        return err_say(e, ENOTSUP, "there is no cgroup2 here");
    snprintf(folder, sizeof folder, "%s/%s", root, name_of(run_dir));
    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        return err_set(e, ENOTSUP, "make %s", folder);
    sweep(folder);
    snprintf(folder, sizeof folder, "%s/%s/u%u-j%u", root, name_of(run_dir), (unsigned)uid, id);
    rc = -ENOENT;
    for (unsigned i = 0; rc == -ENOENT && i < TRIES; i++) { /* it may be swept away meanwhile */
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
            return err_set(e, ENOTSUP, "make %s", folder);
        rc = put(folder, pid);
    }
    return rc < 0 ? err_set(e, ENOTSUP, "enter %s", folder) : 0;
}

int mx_mark_clear(pid_t pid, struct err *e)
{
    char root[128];
    int rc = find_root(root);
    if (rc == 0)
        rc = put(root, pid);
    return rc < 0 ? err_set(e, -rc, "leave the cgroup of a job") : 0;
}

/* "0::/NAME/u1000-j5", perhaps with more in front. */
static bool has_cgroup(const char *run_dir, pid_t pid, unsigned *id)
{
    char path[40], line[512], want[128];
    bool has = false;
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    snprintf(want, sizeof want, "/%s/u", name_of(run_dir));
    FILE *f = fopen(path, "re");
    while (f && !has && fgets(line, sizeof line, f)) {
        char *at = strncmp(line, "0::", 3) == 0 ? strstr(line, want) : NULL;
        has = at && sscanf(at + strlen(want), "%*u-j%u", id) == 1;
    }
    if (f)
        fclose(f);
    return has;
}

bool mx_mark_variable(pid_t pid, const char *name, char *value, size_t size)
{
    static char text[ENVIRONMENT_MAX];
    char path[40];
    size_t len = strlen(name);
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read_full(fd, text, sizeof text - 1);
    if (n <= 0)
        return false;
    text[n] = 0;
    for (const char *at = text; at < text + n; at += strlen(at) + 1)
        if (strncmp(at, name, len) == 0 && at[len] == '=')
            return (size_t)snprintf(value, size, "%s", at + len + 1) < size;
    return false;
}

static bool has_variable(pid_t pid, unsigned *id)
{
    char value[16];
    bool has = mx_mark_variable(pid, MX_MARK_VARIABLE, value, sizeof value);
    if (has)
        *id = (unsigned)strtoul(value, NULL, 10);
    return has;
}

bool mx_mark_has(const char *run_dir, pid_t pid, unsigned *id)
{
    return has_cgroup(run_dir, pid, id) || has_variable(pid, id);
}

void mx_mark_clean(const char *run_dir)
{
    char folder[256];
    if (!find_folder(run_dir, folder))
        return;
    sweep(folder);
    rmdir(folder);
}
