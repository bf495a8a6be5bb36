/* SPDX-License-Identifier: GPL-2.0-or-later */
/* input.c: looks for our standard input among the descriptors of our ancestors.
 * Must not know: jobs, the session. */
#include "mrc/input.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The parent of pid; 0 when there is none or it can't be told. */
static pid_t parent_of(pid_t pid)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    int parent = 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "PPid: %d", &parent) == 1)
            break;
    fclose(f);
    return parent;
}

static bool is_write_only(pid_t pid, const char *fd)
{
    char path[320], line[256];
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%s", (int)pid, fd);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    unsigned flags = 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "flags: %o", &flags) == 1)
            break;
    fclose(f);
    return (flags & O_ACCMODE) == O_WRONLY;
}

enum holding { HOLDS, HOLDS_NOT, HOLDS_UNKNOWN };

static enum holding holds(pid_t pid, const struct stat *what)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    if (!d)
        return HOLDS_UNKNOWN;
    enum holding found = HOLDS_NOT;
    for (struct dirent *e; found == HOLDS_NOT && (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, 0) < 0)
            continue;
        if (st.st_dev == what->st_dev && st.st_ino == what->st_ino &&
            !is_write_only(pid, e->d_name))
            found = HOLDS;
    }
    closedir(d);
    return found;
}

bool mrc_input_is_ours(int fd)
{
    struct stat what;
    if (fstat(fd, &what) < 0 ||
        !(S_ISFIFO(what.st_mode) || S_ISREG(what.st_mode) || S_ISSOCK(what.st_mode)))
        return false;
    pid_t pid = getppid();
    for (int i = 0; i < MRC_INPUT_ANCESTORS_MAX; i++) {
        if (pid <= 1) /* init reads nobody's input, and an orphan's loop has ended */
            return true;
        enum holding h = holds(pid, &what);
        if (h == HOLDS || (h == HOLDS_UNKNOWN && i == 0))
            return false;
        pid = parent_of(pid);
    }
    return false;
}
