/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fetch.c: the kernel's reads of larger files, by way of the cache of chunks (docs/chunks.md):
 * the server names what is there, and sends the rest. What is named and can't be read here
 * after all is asked for once more, and then in the usual way. */
#include "mrcfs/client/fuse/fuse.h"

#include "common/sys/mem.h"
#include "mrcfs/client/chunks.h"
#include "mrcfs/client/opened.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    FROM_BYTES = MFS_CHUNK_BYTES, /* smaller files are not kept */
    /* Shorter reads, unless they go on where the last one ended, are of files that are read
     * here and there: whole chunks would not come of them. */
    READ_FROM_BYTES = 32 << 10,
    AHEAD_FIRST = 8, /* names that are asked for ahead, twice as many each time */
    PARTS_MAX = MFS_DATA_MAX / MFS_CHUNK_BYTES + 2, /* chunks that a read touches at most */
};

/* A request of the kernel, or one ahead of it, whose bytes come, some of them, from the cache.
 */
struct fetching {
    struct mfs_session *session;
    struct mfs_piece *piece; /* that it is for; NULL: for the kernel's request: */
    fuse_req_t req;
    fuse_ino_t ino;
    struct mfs_opened *file; /* the kernel keeps it open until it is answered */
    uint64_t node;           /* of the file */
    uint64_t offset;
    size_t size; /* asked for */
    unsigned waiting;
    bool is_failed;
    bool is_second;   /* time that it is tried */
    size_t len_bytes; /* the answer's */
    size_t load_count;
    struct mfs_chunk_load loads[PARTS_MAX];
    uint8_t bytes[];
};

struct range {
    uint64_t offset;
    size_t size;
    bool is_second;
};
static void send_fetch(fuse_req_t req, fuse_ino_t ino, struct mfs_opened *f,
                       const struct range *at);

static void finish(struct fetching *x)
{
    struct mfs_client *c = x->session->client;
    if (x->piece) {
        mfs_fuse_piece_came(x->piece, x->is_failed ? -EIO : 0,
                            &(struct mfs_piece_bytes){ x, x->bytes, x->len_bytes });
        return;
    }
    if (!x->is_failed)
        fuse_reply_buf(x->req, (const char *)x->bytes, x->len_bytes);
    else if (c->is_lost)
        mfs_fuse_error(x->req, -EIO);
    else if (x->is_second)
        mfs_fuse_read(x->req, x->ino, mfs_opened_fh(x->file), x->size, x->offset);
    else /* with the tags of what isn't there, so that it is sent, and kept */
        send_fetch(x->req, x->ino, x->file, &(struct range){ x->offset, x->size, true });
    free(x);
}

static void on_loaded(struct mfs_chunk_load *l)
{
    struct fetching *x = l->ctx;
    struct mfs_client *c = x->session->client;
    x->is_failed = x->is_failed || l->rc < 0;
    if (l->rc == 0 && l->sample)
        mfs_fuse_saw(c, &(struct mfs_seen_chunk){ l->sample, x->node, l->index, l->len_bytes,
                                            l->name });
    if (--x->waiting)
        return;
    finish(x);
    mfs_client_flush(c);
}

static struct fetching *fetching_new(struct mfs_session *s, fuse_req_t req, fuse_ino_t ino,
                                     size_t size)
{
    struct fetching *x = calloc(1, sizeof *x + size);
    if (x)
        *x = (struct fetching){ .session = s, .req = req, .ino = ino, .size = size };
    return x;
}

static void add_load(struct fetching *x, const struct mfs_chunk_rec *rec, uint64_t index,
                     size_t first, size_t part_bytes)
{
    x->loads[x->load_count++] = (struct mfs_chunk_load){ .name = rec->name,
                                                         .len_bytes = rec->len_bytes,
                                                         .index = index,
                                                         .first = first,
                                                         .part_bytes = part_bytes,
                                                         .to = x->bytes + x->len_bytes,
                                                         .fn = on_loaded,
                                                         .ctx = x };
    x->len_bytes += part_bytes;
}

/* All loads of x are there: they begin, or it is answered at once. */
static void begin(struct fetching *x)
{
    struct mfs_chunks *chunks = x->session->client->chunks;
    if (x->req) /* it takes no time that one could want to end */
        fuse_req_interrupt_func(x->req, NULL, NULL);
    x->waiting = (unsigned)x->load_count;
    if (!x->waiting) {
        finish(x);
        return;
    }
    /* The last one's fn may free x, but not before all are under way. */
    for (size_t i = 0, count = x->load_count; i < count; i++)
        mfs_chunks_load(chunks, &x->loads[i]);
}

/* ---- answers ---- */

/* The names ahead, for reads to come. */
static void take_coming(struct mfs_call *call, struct mfs_opened *f, struct rd r,
                        uint64_t index, size_t count)
{
    const struct mfs_known *n = mfs_known_find(&call->session->nodes, call->node);
    f->coming_count = 0;
    if (!count || !n || !n->is_held || !mfs_lease_is_clean(call) ||
        count > MFS_CHUNKS_AHEAD_MAX)
        return;
    if (!f->coming && !(f->coming = calloc(MFS_CHUNKS_AHEAD_MAX, sizeof *f->coming)))
        return;
    for (size_t i = 0; i < count; i++)
        if (mfs_chunk_rec_get(&r, &f->coming[i]) < 0)
            return;
    f->first_chunk = index;
    f->coming_count = count;
    f->coming_changes = n->changes;
    f->coming_own_changes = n->own_changes;
}

/* An answer that was checked. */
static void take(struct mfs_call *call, struct rd r, struct fetching *x)
{
    struct mfs_chunks *chunks = call->client->chunks;
    uint64_t index = call->offset / MFS_CHUNK_BYTES;
    struct mfs_chunk_rec rec = { 0 };
    uint16_t count = 0;
    x->node = call->node;
    int rc = get_u16(&r, &count);
    struct rd recs = r;
    r.at += count * (size_t)MFS_CHUNK_REC_BYTES;
    unsigned i = 0;
    for (struct rd here = recs; rc == 0 && i < count; i++, index++, recs = here) {
        if (mfs_chunk_rec_get(&here, &rec) < 0 || rec.flags & MFS_CHUNK_AHEAD)
            break;
        size_t first,
            part = mfs_chunk_part(index, rec.len_bytes, call->offset, call->size, &first);
        if (rec.flags & MFS_CHUNK_KNOWN) {
            add_load(x, &rec, index, first, part);
            continue;
        }
        memcpy(x->bytes + x->len_bytes, r.at, part);
        const uint8_t *whole = rec.flags & MFS_CHUNK_NAMED
                                   ? mfs_chunks_keep(chunks, &rec, first, r.at, part)
                                   : NULL;
        if (whole && rec.len_bytes >= MFS_SEEN_FROM)
            mfs_fuse_saw(call->client,
                         &(struct mfs_seen_chunk){ mfs_seen_sample(whole, rec.len_bytes), call->node,
                                             index, rec.len_bytes, rec.name });
        x->len_bytes += part;
        r.at += part;
    }
    if (x->file)
        take_coming(call, x->file, recs, index, count - i);
}

/* *m: an answer to call, checked; *total: how many bytes it stands for. */
static int get_answer(const struct mfs_call *call, struct rd *body, struct mfs_fetch_rep *m,
                      size_t *total)
{
    int rc = mfs_fetch_rep_get(body, m);
    if (rc == 0)
        rc = mfs_chunk_answer_check(rd_of(m->body.ptr, m->body.len), call->offset, call->size,
                                    total);
    return rc < 0 ? -EPROTO : 0;
}

static int on_fetch(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_fetch_rep m = { 0 };
    size_t total = 0;
    if (rc == 0 && get_answer(call, body, &m, &total) < 0)
        return -EPROTO;
    fuse_ino_t ino = mfs_session_swap_root(call->session, call->node);
    struct fetching *x = rc == 0 ? fetching_new(call->session, call->req, ino, total) : NULL;
    if (!x) {
        mfs_fuse_error(call->req, rc < 0 ? rc : -ENOMEM);
        return 0;
    }
    x->file = call->file;
    x->offset = call->offset;
    x->size = call->size;
    x->is_second = call->flags;
    take(call, rd_of(m.body.ptr, m.body.len), x);
    begin(x);
    return 0;
}

/* The same for a piece ahead. */
static int on_piece(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_piece *p = call->file;
    struct mfs_fetch_rep m = { 0 };
    size_t total = 0;
    if (rc == 0 && get_answer(call, body, &m, &total) < 0)
        return -EPROTO;
    struct fetching *x =
        rc == 0 ? fetching_new(call->session, NULL, MFS_FUSE_ROOT, total) : NULL;
    if (!x) {
        mfs_fuse_piece_came(p, rc < 0 ? rc : -ENOMEM, NULL);
        return 0;
    }
    x->piece = p;
    x->file = mfs_fuse_piece_file(p);
    take(call, rd_of(m.body.ptr, m.body.len), x);
    begin(x);
    return 0;
}

/* ---- requests ---- */

/* Are the names of the chunks from index to end, or the file's end, known by an earlier answer?
 */
static bool has_coming(struct mfs_session *s, const struct mfs_opened *f, uint64_t index,
                       uint64_t end)
{
    const struct mfs_known *n = f->coming_count ? mfs_known_find(&s->nodes, f->node) : NULL;
    if (!n || !n->is_held || n->changes != f->coming_changes || n->own_pending ||
        n->own_changes != f->coming_own_changes || !mfs_lease_is_on(s->client) ||
        !mfs_lease_is_alive(s->client))
        return false;
    uint64_t coming_end = f->first_chunk + f->coming_count;
    bool has_end = f->coming[f->coming_count - 1].len_bytes < MFS_CHUNK_BYTES;
    return index >= f->first_chunk && index < coming_end && (end <= coming_end || has_end);
}

/* Loads the range that has_coming is true of. */
static void load_coming(struct fetching *x, const struct mfs_opened *f, uint64_t offset,
                        size_t size)
{
    uint64_t index = offset / MFS_CHUNK_BYTES;
    uint64_t end = (offset + size + MFS_CHUNK_BYTES - 1) / MFS_CHUNK_BYTES;
    uint64_t coming_end = f->first_chunk + f->coming_count;
    x->node = f->node;
    for (; index < end && index < coming_end; index++) {
        const struct mfs_chunk_rec *rec = &f->coming[index - f->first_chunk];
        size_t first, part = mfs_chunk_part(index, rec->len_bytes, offset, size, &first);
        if (part)
            add_load(x, rec, index, first, part);
    }
    x->session->client->stats.cache_hits++;
    begin(x);
}

/* Answers from names that came with an earlier read. */
static bool read_coming(struct mfs_session *s, fuse_req_t req, fuse_ino_t ino,
                        struct mfs_opened *f, size_t size, uint64_t offset)
{
    uint64_t index = offset / MFS_CHUNK_BYTES;
    uint64_t end = (offset + size + MFS_CHUNK_BYTES - 1) / MFS_CHUNK_BYTES;
    struct fetching *x = has_coming(s, f, index, end) ? fetching_new(s, req, ino, size) : NULL;
    if (!x)
        return false;
    x->file = f;
    x->offset = offset;
    load_coming(x, f, offset, size);
    return true;
}

static void send_fetch(fuse_req_t req, fuse_ino_t ino, struct mfs_opened *f,
                       const struct range *at)
{
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_fetch);
    if (!call)
        return;
    call->file = f;
    call->size = at->size;
    call->offset = at->offset;
    call->flags = at->is_second;
    mfs_lease_ask(call, call->node);
    struct mfs_fetch_req m = { .fh = mfs_opened_fh(f),
                               .offset = at->offset,
                               .size = (uint32_t)at->size,
                               .ahead = at->is_second ? 0 : f->ahead };
    mfs_chunks_tags(call->client->chunks, &m.have, &m.gone);
    SEND(fetch, call, &m, m.have.len + m.gone.len);
}

bool mfs_fuse_fetch(fuse_req_t req, fuse_ino_t ino, struct mfs_opened *f, size_t size,
                    off_t offset)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_client *c = s->client;
    uint64_t at = (uint64_t)offset;
    bool goes_on = at == f->next_read;
    f->next_read = at + size;
    if (!mfs_chunks_is_on(c->chunks) || offset < 0 || f->size < FROM_BYTES || !size ||
        (size < READ_FROM_BYTES && !goes_on))
        return false;
    if (size > MFS_DATA_MAX)
        size = MFS_DATA_MAX;
    if (read_coming(s, req, ino, f, size, at))
        return true;
    const struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    bool may_keep_names = n && n->is_held && mfs_lease_is_on(c);
    f->ahead = !goes_on || !may_keep_names || f->reading ? 0
               : !f->ahead                               ? AHEAD_FIRST
               : f->ahead < MFS_CHUNKS_AHEAD_MAX         ? 2 * f->ahead
                                                         : f->ahead;
    send_fetch(req, ino, f, &(struct range){ at, size, false });
    return true;
}

bool mfs_fuse_fetch_piece(struct mfs_session *s, const struct mfs_caller *who,
                          struct mfs_opened *f, const struct mfs_piece_range *at,
                          struct mfs_piece *p, uint64_t *depth)
{
    struct mfs_client *c = s->client;
    uint64_t index = at->offset / MFS_CHUNK_BYTES;
    uint64_t end = (at->offset + at->size + MFS_CHUNK_BYTES - 1) / MFS_CHUNK_BYTES;
    if (has_coming(s, f, index, end)) {
        struct fetching *x = fetching_new(s, NULL, MFS_FUSE_ROOT, at->size);
        if (!x)
            return false;
        x->piece = p;
        load_coming(x, f, at->offset, at->size);
        return true;
    }
    struct mfs_call *call = mfs_call_new(c, on_piece);
    if (!call)
        return false;
    call->session = s;
    call->node = f->node;
    call->file = p;
    call->size = at->size;
    call->offset = at->offset;
    call->is_unwaited = true;
    mfs_lease_ask(call, call->node);
    /* Names are hashed at the server each time that they are asked for. */
    bool wants_names = at->is_last && end >= f->names_end;
    if (wants_names)
        f->names_end = end + MFS_CHUNKS_AHEAD_MAX;
    struct mfs_fetch_req m = { .fh = mfs_opened_fh(f),
                               .offset = at->offset,
                               .size = (uint32_t)at->size,
                               .ahead = wants_names ? MFS_CHUNKS_AHEAD_MAX : 0 };
    mfs_chunks_tags(c->chunks, &m.have, &m.gone);
    if (mfs_send_fetch(call, who, &m, m.have.len + m.gone.len) < 0) {
        mfs_call_drop(call);
        return false;
    }
    *depth = call->depth;
    return true;
}

bool mfs_fuse_may_fetch(const struct mfs_session *s, const struct mfs_opened *f)
{
    return mfs_chunks_is_on(s->client->chunks) && f->size >= FROM_BYTES;
}
