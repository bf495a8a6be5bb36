/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hubviews.c: which kept views the hub knows (docs/views.md).
 * Must not know: connections, beyond which one a view is on. */
#include "mrc/hubparts.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

size_t hub_view_jobs(const struct client *view)
{
    size_t n = 0;
    for (const struct client *j = view->hub->clients; j; j = j->next)
        n += j->is_job && j->has_id && memcmp(j->id, view->id, sizeof j->id) == 0;
    return n;
}

struct client *hub_view_find(const struct cable *c, const uint8_t view[MRC_HUB_KEY_BYTES])
{
    for (struct client *v = c->hub->clients; v; v = v->next)
        if (v->is_view && v->cable == c && memcmp(v->view, view, sizeof v->view) == 0)
            return v;
    return NULL;
}

/* A job is about to begin in it. Returns 0, or -errno: its keeper doesn't listen. */
int hub_view_mark(struct client *v)
{
    struct mrc_hub_msg m = { .id = MRC_HUB_mark, .mark = { v->mark + 1 } };
    int rc = mrc_hub_send(v->fd, &m, -1);
    if (rc == 0) {
        v->mark++;
        v->used_ms = clock_mono_ms();
    }
    return rc;
}

/* The view of the cable without jobs that was not used for the longest time; *count_out: of
 * all. */
struct client *hub_view_oldest(const struct cable *c, size_t *count_out)
{
    struct client *oldest = NULL;
    *count_out = 0;
    for (struct client *v = c->hub->clients; v; v = v->next) {
        if (!v->is_view || v->cable != c)
            continue;
        ++*count_out;
        if (!hub_view_jobs(v) && (!oldest || v->used_ms < oldest->used_ms))
            oldest = v;
    }
    return oldest;
}

/* Which view: what was asked for, and by whom, as the kernel says: another container's files
 * are others. */
int hub_view_of(struct client *j, struct bytes asked)
{
    uint8_t both[2 * MRC_HUB_KEY_BYTES];
    if (asked.len != MRC_HUB_KEY_BYTES || j->pidfd < 0)
        return -EPROTO;
    memcpy(both, asked.ptr, asked.len);
    int rc = mrc_hub_who(j->pid, both + MRC_HUB_KEY_BYTES);
    /* Was it still the one who connected? */
    if (rc == 0 && syscall(SYS_pidfd_send_signal, j->pidfd, 0, NULL, 0) < 0)
        rc = -errno;
    if (rc < 0)
        return rc;
    crypto_sha256(j->view, both, sizeof both);
    j->has_view = true;
    return 0;
}
