/* SPDX-License-Identifier: GPL-2.0-or-later */
/* put.c: writes of which the server has parts already (docs/chunks.md, "Back"): chunks that came by when files were
 * read are remembered by a few of their bytes; what is written and looks like one is named, and its name is sent if it is
 * that one's. Must not know: how the server copies them. */
#include "mrcfs/client/fuse/fuse.h"

#include "common/sys/mem.h"
#include "mrcfs/chunks/put.h"
#include "mrcfs/chunkstore.h"
#include "mrcfs/client/chunks.h"
#include "mrcfs/client/opened.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void mfs_fuse_saw(struct mfs_client *c, const struct mfs_seen_chunk *x)
{
    if (!c->seen && !(c->seen = calloc(1, sizeof *c->seen)))
        return; /* writes send their bytes */
    mfs_seen_add(c->seen, x);
}

/* What is known of the node, in whichever session. */
static struct mfs_known *known_of(struct mfs_client *c, uint64_t node)
{
    LIST_EACH(&c->sessions, it, nx)
    {
        struct mfs_session *s = mfs_session_of(it);
        struct mfs_known *n = s->is_detached ? NULL : mfs_known_find(&s->nodes, node);
        if (n)
            return n;
    }
    return NULL;
}

/* A file of the server's that is open for reading and is of the node; 0: none. */
static uint64_t fh_of(struct mfs_client *c, uint64_t node)
{
    LIST_EACH(&c->sessions, it, nx)
    {
        struct mfs_session *s = mfs_session_of(it);
        const struct mfs_known *n = s->is_detached ? NULL : mfs_known_find(&s->nodes, node);
        if (!n)
            continue;
        if (n->reader && !n->reader->is_dropped)
            return n->reader->fh;
        LIST_EACH(&s->files, at, next)
        {
            struct mfs_opened *f = LIST_ENTRY(at, struct mfs_opened, open);
            if (f->node == node && (f->may_be_kept || f->next_read))
                return mfs_opened_fh(f);
        }
    }
    return 0;
}

/* Does the server have these bytes, as far as we know? x: by which name and where. */
static bool is_there(struct mfs_client *c, const uint8_t *ptr, size_t len_bytes,
                     struct mfs_put_part *x, uint64_t *node)
{
    struct mfs_chunk_name name;
    if (len_bytes < MFS_SEEN_FROM)
        return false;
    const struct mfs_seen_chunk *seen =
        mfs_seen_find(c->seen, mfs_seen_sample(ptr, len_bytes), len_bytes);
    uint64_t fh = seen ? fh_of(c, seen->node) : 0;
    if (!fh)
        return false;
    mfs_chunk_name_of(&name, ptr, len_bytes);
    if (memcmp(name.bytes, seen->name.bytes, sizeof name.bytes) != 0)
        return false;
    *x = (struct mfs_put_part){ (uint32_t)len_bytes, fh, seen->index * MFS_CHUNK_BYTES, name };
    *node = seen->node;
    return true;
}

/* The parts of a write. */
struct putting {
    struct mfs_put_part parts[MFS_PUT_PARTS_MAX];
    uint64_t nodes[MFS_PUT_PARTS_MAX]; /* where they are; 0: nowhere */
    size_t count, named_bytes;
};

static void add_plain(struct putting *p, size_t len_bytes)
{
    struct mfs_put_part *last = p->count ? &p->parts[p->count - 1] : NULL;
    if (last && !last->fh)
        last->len_bytes += (uint32_t)len_bytes;
    else
        p->parts[p->count++] = (struct mfs_put_part){ .len_bytes = (uint32_t)len_bytes };
}

/* A write of MFS_DATA_MAX touches nine chunks at most, so the parts fit. */
static void divide(struct mfs_client *c, const struct mfs_write_req *m, struct putting *p)
{
    const uint8_t *ptr = m->body.ptr;
    for (size_t at = 0, len; at < m->body.len; at += len) {
        uint64_t in_chunk = (m->offset + at) % MFS_CHUNK_BYTES;
        len = MFS_CHUNK_BYTES - (size_t)in_chunk;
        len = len < m->body.len - at ? len : m->body.len - at;
        if (!in_chunk && is_there(c, ptr + at, len, &p->parts[p->count], &p->nodes[p->count])) {
            p->count++;
            p->named_bytes += len;
        } else {
            add_plain(p, len);
        }
    }
}

/* What is sent, and what is kept in case that it is asked for. */
static void split(const struct putting *p, const uint8_t *ptr, uint8_t *sent, uint8_t *kept)
{
    for (size_t i = 0; i < p->count; i++) {
        uint8_t **to = p->parts[i].fh ? &kept : &sent;
        memcpy(*to, ptr, p->parts[i].len_bytes);
        *to += p->parts[i].len_bytes;
        ptr += p->parts[i].len_bytes;
    }
}

bool mfs_fuse_put(struct mfs_call *call, const struct mfs_caller *who,
                  const struct mfs_write_req *m)
{
    struct mfs_client *c = call->client;
    struct putting p = { .count = 0 };
    if (!c->seen || m->body.len < MFS_SEEN_FROM || m->body.len > MFS_DATA_MAX ||
        !mfs_chunks_is_on(c->chunks))
        return false;
    divide(c, m, &p);
    if (!p.named_bytes)
        return false;
    size_t sent_bytes = m->body.len - p.named_bytes;
    AUTO_FREE uint8_t *sent = malloc(sent_bytes + 1);
    AUTO_FREE uint8_t *kept = malloc(p.named_bytes);
    uint8_t parts[MFS_PUT_PARTS_MAX * MFS_PUT_PART_BYTES];
    if (!sent || !kept)
        return false;
    split(&p, m->body.ptr, sent, kept);
    struct wr w = wr_of(parts, sizeof parts);
    for (size_t i = 0; i < p.count; i++)
        mfs_put_part_put(&w, &p.parts[i]);
    struct mfs_put_req q = { .fh = m->fh,
                             .offset = m->offset,
                             .oflags = m->oflags,
                             .parts = { parts, (uint32_t)wr_len(&w) },
                             .body = { sent, (uint32_t)sent_bytes } };
    if (mfs_send_put(call, who, &q, wr_len(&w) + sent_bytes) < 0)
        return false;
    for (size_t i = 0; i < p.count; i++) { /* closed only behind this */
        struct mfs_known *from = p.parts[i].fh ? known_of(c, p.nodes[i]) : NULL;
        if (from)
            mfs_behind_reads(call, from);
    }
    call->body = take_ptr(&kept);
    call->body_bytes = p.named_bytes;
    c->stats.put_bytes += p.named_bytes;
    return true;
}
