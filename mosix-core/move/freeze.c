/* SPDX-License-Identifier: GPL-2.0-or-later */
/* freeze.c: the image of a frozen process in its file.
 * Must not know: who asks. */
#include "mosix-core/move/freeze.h"

#include "mosix-core/deputy/own.h"
#include "mosix-core/image/image.h"
#include "mosix-core/image/parts.h"
#include "mosix-core/image/restore.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

int mx_freeze_write(struct mx_capture *c, pid_t pid, int fd, struct err *e)
{
    *c = (struct mx_capture){ .what_for = MX_CAPTURE_MOVE };
    int rc = mx_capture_stop(c, pid, e);
    if (rc < 0)
        return rc;
    rc = mx_own_look(pid, e);
    if (rc == 0)
        rc = mx_capture_write(c, fd, e);
    if (rc == 0 && fsync(fd) < 0)
        rc = err_set(e, errno, "write the memory of process %d", (int)pid);
    if (rc < 0 && mx_capture_release(c, NULL) < 0)
        return rc; /* the first reason counts */
    return rc;
}

static int rewind_to_start(int fd, struct err *e)
{
    return lseek(fd, 0, SEEK_SET) < 0 ? err_set(e, errno, "read the memory of a process") : 0;
}

static int verify(int fd, struct err *e)
{
    struct mx_image_reader r;
    struct mx_sec s;
    int rc = rewind_to_start(fd, e);
    if (rc < 0)
        return rc;
    rc = mx_image_reader_init(&r, fd, e);
    while (rc >= 0 && (rc = mx_image_read(&r, &s, e)) > 0)
        ;
    mx_image_reader_fini(&r);
    return rc < 0 ? rc : rewind_to_start(fd, e);
}

/* A process that was stopped when it froze stays so, unless it was continued since: that waits,
 * as each of SIGSTOP and SIGCONT takes back the other. */
static void see_continued(struct mx_tracee *t)
{
    static const char *const sets[] = { "SigPnd", "ShdPnd" };
    uint64_t set;
    for (unsigned i = 0; i < sizeof sets / sizeof *sets; i++)
        if (mx_status_number(t->pid, sets[i], 16, &set, NULL) == 0 &&
            set & UINT64_C(1) << (SIGCONT - 1))
            t->has_stop = false;
}

int mx_freeze_read(struct mx_capture *c, int fd, struct err *e)
{
    const struct mx_restore_how how = { .stub = &c->t, .stub_threads = &c->others };
    struct mx_restored r;
    int rc = verify(fd, e);
    if (rc < 0)
        return rc;
    see_continued(&c->t);
    rc = mx_restore_as(fd, &how, &r, e);
    c->t = r.t;
    c->others = r.others;
    int emptied = rc < 0 ? mx_tracee_empty(&c->t, &c->others, NULL) : 0;
    return emptied < 0 ? -ESRCH : rc;
}
