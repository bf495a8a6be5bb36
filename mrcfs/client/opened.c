/* SPDX-License-Identifier: GPL-2.0-or-later */
/* opened.c: a file or directory that the kernel has open.
 * Must not know: FUSE. */
#include "mrcfs/client/opened.h"

#include "common/sys/clock.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/coherence.h"
#include "mrcfs/client/dentries.h"
#include "mrcfs/client/own.h"
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
    list_remove(&f->parked);
    mfs_session_end_later(f);
    mfs_session_end_reading(f);
    mfs_listing_done(f->listing);
    buf_fini(&f->gathered);
    free(f->chunk);
    free(f->head);
    free(f->coming);
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
    /* Its opening is not on the way, nor a copy that reads it. */
    call->is_unordered = !(fh & MFS_NUMBER_CLIENT) && !mfs_behind_is_copying(c);
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
    f->is_head_leased = m->attr.valid_ms != 0;
}

bool mfs_opened_head(const struct mfs_session *s, const struct mfs_opened *f, size_t size,
                     int64_t offset, struct bytes *out)
{
    const struct mfs_known *n = f->head ? mfs_known_find(&s->nodes, f->node) : NULL;
    if (!n || n->changes != f->changes || offset < 0)
        return false;
    if (clock_mono_ms() > f->head_until_ms &&
        !(f->is_head_leased && mfs_lease_is_on(s->client) && mfs_lease_is_alive(s->client)))
        return false;
    size_t at = (size_t)offset < f->head_len ? (size_t)offset : f->head_len;
    size_t left = f->head_len - at;
    *out = (struct bytes){ f->head + at, (uint32_t)(size < left ? size : left) };
    s->client->stats.cache_hits++;
    return true;
}

/* ---- readers ---- */

static void handle_close(struct mfs_session *s, struct mfs_handle *h)
{
    if (!s->is_detached)
        mfs_opened_release_unheard(s->client, h->fh, false);
    s->reader_count--;
    free(h);
}

void mfs_handle_recall(struct mfs_session *s, struct mfs_known *n, uint64_t recall)
{
    struct mfs_handle *h = n->reader;
    n->reader = NULL;
    n->is_held = false;
    n->handle_drops++;
    if (!h)
        return;
    list_remove(&h->link);
    h->node = NULL;
    h->is_dropped = true;
    h->recall = recall;
    if (recall)
        list_push_back(&s->dropped, &h->link);
    else if (!h->users)
        handle_close(s, h);
}

void mfs_handle_recalled(struct mfs_session *s, uint64_t recall)
{
    LIST_EACH(&s->dropped, it, nx)
    {
        struct mfs_handle *h = LIST_ENTRY(it, struct mfs_handle, link);
        if (h->recall != recall)
            continue;
        list_remove(it);
        h->recall = 0;
        if (!h->users)
            handle_close(s, h);
    }
}

void mfs_handle_drop(struct mfs_session *s, struct mfs_known *n)
{
    mfs_handle_recall(s, n, 0);
    mfs_coherence_uncovered(s, n);
}

/* Makes room for one more: the one that was used longest ago goes. */
static bool make_room(struct mfs_session *s)
{
    enum { TRIES = 8 }; /* those that are in use stay */
    for (int i = 0; i < TRIES && s->reader_count >= MFS_READERS_MAX; i++) {
        if (list_is_empty(&s->readers))
            return false;
        struct mfs_handle *h = LIST_ENTRY(s->readers.next, struct mfs_handle, link);
        if (h->users) {
            list_remove(&h->link);
            list_push_back(&s->readers, &h->link);
        } else {
            mfs_handle_drop(s, h->node);
        }
    }
    return s->reader_count < MFS_READERS_MAX;
}

bool mfs_handle_set(struct mfs_session *s, struct mfs_known *n, uint64_t fh, uint32_t uid)
{
    struct mfs_handle *h = make_room(s) ? malloc(sizeof *h) : NULL;
    if (!h)
        return false;
    *h = (struct mfs_handle){ .fh = fh, .uid = uid, .node = n };
    list_push_back(&s->readers, &h->link);
    s->reader_count++;
    n->reader = h;
    return true;
}

bool mfs_opened_keep(struct mfs_session *s, struct mfs_opened *f)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    if (!n || !f->fh || !f->may_be_kept || f->had_locks || !n->is_held || n->reader ||
        n->own_pending || !mfs_lease_is_alive(s->client))
        return false;
    if (!mfs_handle_set(s, n, f->fh, f->uid))
        return false;
    f->fh = 0;
    return true;
}

bool mfs_opened_use_reader(struct mfs_session *s, struct mfs_opened *f, uint32_t uid)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    struct mfs_handle *h = n ? n->reader : NULL;
    struct bytes nothing;
    bool is_known = h && (mfs_lease_attr(s, n) || mfs_own_read(s, n, 0, 0, &nothing));
    if (!is_known || h->uid != uid)
        return false;
    h->users++;
    list_remove(&h->link);
    list_push_back(&s->readers, &h->link);
    f->reader = h;
    return true;
}

void mfs_opened_done_reader(struct mfs_session *s, struct mfs_opened *f)
{
    struct mfs_handle *h = f->reader;
    f->reader = NULL;
    if (h && --h->users == 0 && h->is_dropped && !h->recall)
        handle_close(s, h);
}
