/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guests.c: the file of guests.
 * Must not know: why one is taken. What a guest that was killed has left is taken away by who
 * looks next. */
#include "mosix-core/mosixd/guests.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mosix-core/mosixd/place.h"
#include "mosix-core/move/guest.h"
#include "mosix-core/move/note.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

/* When a process was started, in the kernel's ticks; 0: it is gone. */
static uint64_t started_at(pid_t pid)
{
    char path[40], text[512], state;
    unsigned long long start;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = 0;
    const char *end = strrchr(text, ')');
    if (!end || sscanf(end + 1,
                       " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                       "%*d %*d %llu",
                       &state, &start) != 2)
        return 0;
    return state == 'Z' || state == 'X' ? 0 : start;
}

static void socket_of(const char *run_dir, const char *name, char path[MX_RUN_MAX + 32])
{
    snprintf(path, MX_RUN_MAX + 32, "%s/g/%s", run_dir, name);
}

int mx_guests_open(struct mx_guests *g, const char *run_dir, bool may_wait, struct err *e)
{
    char path[MX_RUN_MAX + 32];
    unsigned kept = 0;
    g->count = 0;
    snprintf(path, sizeof path, "%s/guests", run_dir);
    g->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (g->fd < 0 || flock(g->fd, LOCK_EX | (may_wait ? 0 : LOCK_NB)) < 0) {
        int failed = errno;
        mx_guests_close(g);
        return err_set(e, failed, "open %s", path);
    }
    ssize_t n = pread(g->fd, g->list, sizeof g->list, 0);
    unsigned all = n > 0 ? (unsigned)((size_t)n / sizeof *g->list) : 0;
    for (unsigned i = 0; i < all; i++) {
        struct mx_guest_entry *guest = &g->list[i];
        guest->name[MX_GUEST_NAME_MAX] = 0;
        guest->command[sizeof guest->command - 1] = 0;
        guest->home_name[sizeof guest->home_name - 1] = 0;
        if (guest->pid > 0 && guest->started && started_at(guest->pid) == guest->started) {
            g->list[kept++] = *guest;
            continue;
        }
        socket_of(run_dir, guest->name, path);
        if (unlink(path) < 0 && errno != ENOENT)
            continue; /* it can only be of no use */
    }
    g->count = kept;
    return 0;
}

int mx_guests_add(struct mx_guests *g, const struct mx_guest_entry *guest, pid_t pid)
{
    if (g->count == MX_GUESTS_MAX)
        return -ENOSPC;
    struct mx_guest_entry *new = &g->list[g->count++];
    *new = *guest;
    new->pid = pid;
    new->started = started_at(pid);
    return 0;
}

int mx_guests_save(struct mx_guests *g, struct err *e)
{
    size_t len = g->count * sizeof *g->list;
    if (pwrite(g->fd, g->list, len, 0) != (ssize_t)len || ftruncate(g->fd, (off_t)len) < 0)
        return err_set(e, errno ? errno : EIO, "write the list of guests");
    return 0;
}

void mx_guests_close(struct mx_guests *g)
{
    /* A process that was made meanwhile may have it, too. */
    if (g->fd >= 0 && flock(g->fd, LOCK_UN) < 0)
        log_error("the list of guests stays locked");
    fd_close(&g->fd);
}

bool mx_guest_is_coming(const struct mx_guest_entry *guest, int64_t now_ms)
{
    return now_ms - guest->at_ms < MX_GUEST_COMING_MS + (int64_t)guest->need_mb * 20;
}

bool mx_guest_is_leaving(const struct mx_guest_entry *guest, int64_t now_ms)
{
    return guest->left_ms && now_ms - guest->left_ms < MX_GUEST_LEAVING_MS;
}

int mx_guest_send_away(struct mx_guest_entry *guest, const char *run_dir, const char *why)
{
    char path[MX_RUN_MAX + 32];
    struct err e = { "" };
    AUTO_FD sock = -1;
    socket_of(run_dir, guest->name, path);
    int rc = mx_connect(path, SOCK_SEQPACKET, &sock, &e);
    struct mx_note n = { .what = MX_GUEST_LEAVE };
    snprintf(n.text, sizeof n.text, "%s", why);
    if (rc == 0)
        rc = mx_note_send(sock, &n, -1);
    if (rc == 0)
        guest->left_ms = (int64_t)clock_mono_ms();
    return rc;
}
