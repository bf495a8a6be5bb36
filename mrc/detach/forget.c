/* SPDX-License-Identifier: GPL-2.0-or-later */
/* forget.c: mrc detach --forget, and which jobs mrc doctor misses.
 * Must not know: the target: it may be gone for ever. */
#include "mrc/detach/detach.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { END_MS = 5000 };

/* Who serves its files tries to reach the target for as long as the job would wait for it. */
static int end_server(const struct detach_record *r, struct err *e)
{
    AUTO_FD fd = -1;
    pid_t pid = record_server(r, &fd);
    if (!pid && record_is_served(r))
        return err_say(e, EBUSY, "somebody serves the files of job %s who can't be seen from here (another container?): end that first",
                       r->name);
    if (!pid)
        return 0;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) < 0 && errno != ESRCH)
        return err_set(e, errno, "end process %d, which serves the files of job %s", (int)pid, r->name);
    if (poll(&p, 1, END_MS) <= 0)
        return err_say(e, ETIMEDOUT, "process %d, which serves the files of job %s, does not end: kill it", (int)pid, r->name);
    return 0;
}

int mrc_detach_forget(const char *what, struct err *e)
{
    struct detach_record r;
    int rc = record_find(what, &r, e);
    if (rc < 0)
        return rc;
    rc = end_server(&r, e);
    if (rc == 0) {
        record_remove(&r);
        log_warn("%s:%s is forgotten here; if it still runs, it waits for its time there and is ended", r.host, r.name);
    }
    record_fini(&r);
    return rc;
}

struct comparison {
    const char *host, *names;
    struct detach_count *out;
};

static bool is_named(const char *names, const char *name)
{
    for (const char *at = names; *at;) {
        size_t len = strcspn(at, " ");
        if (len >= HELD_SHORT_BYTES && !strncmp(at, name, len))
            return true;
        at += len + strspn(at + len, " ");
    }
    return false;
}

static void compare(void *ctx, const struct detach_record *r)
{
    struct comparison *c = ctx;
    if (!record_is_host(r, c->host))
        return;
    c->out->known++;
    if (!is_named(c->names, r->name) && c->out->gone++ == 0)
        memcpy(c->out->first, r->name, sizeof c->out->first);
}

void mrc_detach_compare(const char *host, const char *names, struct detach_count *out)
{
    struct comparison c = { host, names, out };
    *out = (struct detach_count){ 0 };
    if (record_each(compare, &c) < 0)
        *out = (struct detach_count){ 0 };
}
