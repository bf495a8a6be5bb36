/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timer.c: checkpoints by time: a process for each of those that want them, which waits for the
 * next time, for the end of the process, or for another wish. Must not know: how a checkpoint
 * is made. When it is killed there are no more of them until somebody asks again. */
#include "mosix-core/mosixd/request.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mosix-core/mosixd/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WAIT_MS = 3600 * 1000, TRIES = 20 };

static void one_more(struct mx_request *r, pid_t pid)
{
    char name[256];
    struct err e = { "" };
    int rc = mx_request_checkpoint(r, pid, MX_CHECKPOINT_GO_ON, 0, name, sizeof name, &e);
    if (rc < 0)
        log_error("no checkpoint of job %d: %s", (int)pid, e.text);
    else
        log_at(LOG_VERBOSE, "a checkpoint of job %d: %s", (int)pid, name);
}

/* Takes what has happened to the file. When it is taken away, whatever is wished then is
 * another's. */
static bool is_there(int changes)
{
    union {
        struct inotify_event one;
        char space[4096];
    } u;
    return fd_read(changes, &u, sizeof u) > 0 && !(u.one.mask & (IN_DELETE_SELF | IN_IGNORED));
}

static void keep_time(struct mx_request *r, pid_t pid, int process, int changes)
{
    uint64_t last_ms = clock_mono_ms();
    for (;;) {
        struct mx_settings s;
        mx_settings_read(&s, r->d->run, pid);
        if (!s.every)
            return;
        uint64_t now_ms = clock_mono_ms(), due_ms = last_ms + (uint64_t)s.every * 1000;
        if (now_ms >= due_ms) {
            one_more(r, pid);
            last_ms = clock_mono_ms();
            continue;
        }
        struct pollfd p[2] = { { process, POLLIN, 0 }, { changes, POLLIN, 0 } };
        uint64_t wait_ms = due_ms - now_ms;
        if (poll(p, 2, wait_ms < WAIT_MS ? (int)wait_ms : WAIT_MS) < 0 && errno != EINTR)
            return;
        if (p[0].revents || (p[1].revents && !is_there(changes)))
            return;
    }
}

/* Only while it has the lock is a process the one. */
int mx_timer_start(struct mx_request *r, pid_t pid, struct err *e)
{
    char path[128], lock_path[136], title[64];
    mx_settings_path(r->d->run, pid, path);
    snprintf(lock_path, sizeof lock_path, "%s.timer", path);
    AUTO_FD process = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process < 0)
        return err_set(e, errno, "find process %d", (int)pid);
    AUTO_FD lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        return err_set(e, errno, "open %s", lock_path);
    for (unsigned i = 0; flock(lock, LOCK_EX | LOCK_NB) < 0; i++) {
        if (i == TRIES)
            return 0; /* there is one, and it has seen what is wished now */
        usleep(5000); /* it may be just ending */
    }
    AUTO_FD changes = inotify_init1(IN_CLOEXEC);
    if (changes < 0 || inotify_add_watch(changes, path, IN_MODIFY | IN_DELETE_SELF) < 0)
        return err_set(e, errno, "watch %s", path);
    int kept[3] = { process, lock, changes };
    snprintf(title, sizeof title, "mosixd: checkpoints of %d", (int)pid);
    int rc = mx_request_fork(title, kept, 3, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    r->sock = -1;
    r->who = (struct ucred){ .pid = getpid(), .uid = geteuid(), .gid = getegid() };
    keep_time(r, pid, process, changes);
    _exit(0);
}
