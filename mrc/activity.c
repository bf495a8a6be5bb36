/* SPDX-License-Identifier: GPL-2.0-or-later */
/* activity.c: see activity.h.
 * Must not know: who looks. */
#include "mrc/activity.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/owndir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    ACTIVITY_MS = 250,
    KILLED_S = 60, /* those that were killed are shown for so long */
    TRIES = 5,
};

static int open_dir(int *fd_out)
{
    AUTO_FD own = -1;
    int rc = owndir_open(NULL, &own, NULL);
    if (rc < 0)
        return rc;
    if (mkdirat(own, "active", 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = openat(own, "active", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    *fd_out = fd;
    return fd < 0 ? -errno : 0;
}

/* ---- one's own ---- */

void activity_open(struct activity_file *f)
{
    static unsigned number;
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    f->dir_fd = f->fd = -1;
    if (open_dir(&f->dir_fd) < 0)
        return;
    f->is_open = true;
    do {
        snprintf(f->name, sizeof f->name, "%d-%u-%llu", (int)getpid(), number++,
                 (unsigned long long)clock_mono_ms());
        f->fd = openat(f->dir_fd, f->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    } while (f->fd < 0 && errno == EEXIST);
    /* Of the process, not of the open file: children don't have it. */
    if (f->fd < 0 || fcntl(f->fd, F_SETLK, &l) < 0)
        activity_close(f);
    activity_write(f);
}

void activity_write(struct activity_file *f)
{
    uint8_t space[ACTIVITY_BYTES];
    if (!f->is_open)
        return;
    f->now.written_ms = clock_mono_ms();
    size_t len = activity_put(&f->now, ++f->turn, space);
    ssize_t n = pwrite(f->fd, space, len, 0);
    (void)n; /* a full disk: what is told is old, then */
}

static void on_timer(void *ctx)
{
    struct activity_file *f = ctx;
    f->fill(f->ctx, &f->now);
    activity_write(f);
}

void activity_touch(struct activity_file *f)
{
    if (!f->is_open || link_is_in(&f->timer.link))
        return;
    struct activity before = f->now;
    f->fill(f->ctx, &f->now);
    if (memcmp(&before, &f->now, sizeof before) == 0)
        return;
    uint64_t since_ms = clock_mono_ms() - f->now.written_ms;
    if (since_ms >= ACTIVITY_MS)
        activity_write(f);
    else
        loop_timer_set(f->loop, &f->timer, ACTIVITY_MS - since_ms, on_timer, f);
}

void activity_close(struct activity_file *f)
{
    loop_timer_del(&f->timer);
    if (!f->is_open)
        return;
    f->is_open = false;
    (void)unlinkat(f->dir_fd, f->name, 0);
    fd_close(&f->fd);
    fd_close(&f->dir_fd);
}

/* ---- others' ---- */

/* Closing a file gives up its process's locks on it: one's own is not opened again. */
static bool is_own(const char *name)
{
    char *end;
    return strtol(name, &end, 10) == (long)getpid() && *end == '-';
}

static int read_one(int dir_fd, const char *name, struct activity *a)
{
    uint8_t space[ACTIVITY_BYTES];
    struct stat st;
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    AUTO_FD fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return -ENOENT;
    int rc = -EAGAIN;
    for (int i = 0; i < TRIES && rc == -EAGAIN; i++) {
        ssize_t n = pread(fd, space, sizeof space, 0);
        rc = n < 0 ? -errno : activity_get((struct bytes){ space, (uint32_t)n }, a);
    }
    bool is_killed = fcntl(fd, F_GETLK, &l) == 0 && l.l_type == F_UNLCK;
    if (is_killed && time(NULL) - st.st_mtime > KILLED_S) {
        (void)unlinkat(dir_fd, name, 0);
        return -ENOENT;
    }
    /* It ended while we looked. */
    if (is_killed && (fstat(fd, &st) < 0 || !st.st_nlink))
        return -ENOENT;
    if (is_killed)
        a->state = ACTIVITY_KILLED;
    return rc;
}

int activity_list(struct activity **out)
{
    AUTO_FD dir_fd = -1;
    struct dirent *entry;
    int count = 0, rc = open_dir(&dir_fd);
    struct activity *list = rc < 0 ? NULL : calloc(ACTIVITIES_MAX, sizeof *list);
    int own = list ? fcntl(dir_fd, F_DUPFD_CLOEXEC, 3) : -1;
    DIR *d = own < 0 ? NULL : fdopendir(own);
    if (!d) {
        if (own >= 0)
            close(own);
        free(list);
        return rc < 0 ? rc : -ENOMEM;
    }
    while (count < ACTIVITIES_MAX && (entry = readdir(d)))
        if (entry->d_name[0] != '.' && !is_own(entry->d_name) &&
            read_one(dir_fd, entry->d_name, &list[count]) == 0)
            count++;
    closedir(d);
    *out = list;
    return count;
}

int activity_of_view(const char *view, struct activity *out, size_t *jobs_out)
{
    struct activity *list;
    int count = activity_list(&list), rc = -ENOENT;
    if (count < 0)
        return rc;
    *jobs_out = 0;
    for (int i = 0; i < count; i++) {
        if (list[i].state == ACTIVITY_KILLED || strcmp(list[i].view, view) != 0)
            continue;
        if (list[i].kind == ACTIVITY_JOB) {
            ++*jobs_out;
        } else {
            *out = list[i];
            rc = 0;
        }
    }
    free(list);
    return rc;
}
