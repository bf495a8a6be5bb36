/* SPDX-License-Identifier: GPL-2.0-or-later */
/* opened.c: a file or directory that the kernel has open.
 * Must not know: FUSE. */
#include "mrcfs/client/opened.h"

#include "common/sys/clock.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/session.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD_KEPT_MS = 2000 }; /* how long a file that came along with open answers reads */

struct mfs_opened *mfs_opened_new(struct mfs_call *call)
{
    struct mfs_opened *f = calloc(1, sizeof *f);
    if (f) {
        f->node = call->node;
        list_push_back(&call->session->files, &f->open);
    }
    return f;
}

void mfs_opened_free(struct mfs_opened *f)
{
    if (!f)
        return;
    list_remove(&f->open);
    free(f->chunk);
    free(f->head);
    free(f);
}

static int on_nothing(struct mfs_call *call, int rc, struct rd *body)
{
    (void)call;
    (void)rc;
    (void)body;
    return 0;
}

void mfs_opened_release_unheard(struct mfs_client *c, uint64_t fh, bool is_dir)
{
    struct mfs_call *call = mfs_call_new(c, on_nothing);
    struct mfs_caller who = { c->opts.own_uid, c->opts.own_gid, 0 };
    if (!call)
        return;
    int rc = is_dir ? mfs_send_releasedir(call, &who, &(struct mfs_releasedir_req){ fh }, 0)
                    : mfs_send_release(call, &who, &(struct mfs_release_req){ fh }, 0);
    if (rc < 0)
        mfs_call_drop(call);
}

void mfs_opened_keep_head(struct mfs_opened *f, const struct mfs_open_rep *m)
{
    if (!m->head.len || m->head.len != m->attr.size || !(f->head = malloc(m->head.len)))
        return;
    memcpy(f->head, m->head.ptr, m->head.len);
    f->head_len = m->head.len;
    f->head_until_ms = clock_mono_ms() + HEAD_KEPT_MS;
}

bool mfs_opened_head(const struct mfs_session *s, const struct mfs_opened *f, size_t size,
                     int64_t offset, struct bytes *out)
{
    const struct mfs_known *n = f->head ? mfs_known_find(&s->nodes, f->node) : NULL;
    if (!n || n->changes != f->changes || clock_mono_ms() > f->head_until_ms || offset < 0)
        return false;
    size_t at = (size_t)offset < f->head_len ? (size_t)offset : f->head_len;
    size_t left = f->head_len - at;
    *out = (struct bytes){ f->head + at, (uint32_t)(size < left ? size : left) };
    s->client->stats.cache_hits++;
    return true;
}
