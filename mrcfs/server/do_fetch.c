/* SPDX-License-Identifier: GPL-2.0-or-later */
/* do_fetch.c: reading for a client that keeps chunks: what it has is named instead of sent.
 * Must not know: the wire's coding, how the client keeps them. Source: docs/chunks.md.
 *
 * A name is always that of the bytes just read from the file: nothing is remembered of files,
 * so nothing can be out of date. */
#include "mrcfs/server/server.h"

#include "common/sys/mem.h"
#include "mrcfs/chunks/chunk.h"
#include "mrcfs/chunkstore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* Chunks that any range touches, with one at either end in part. */
    RECS_MAX = MFS_DATA_MAX / MFS_CHUNK_BYTES + 2 + MFS_CHUNKS_AHEAD_MAX,
    COUNT_BYTES = 2,
};
static int take_tags(struct mfs_server *srv, const struct mfs_fetch_req *q)
{
    struct rd have = rd_of(q->have.ptr, q->have.len), gone = rd_of(q->gone.ptr, q->gone.len);
    uint32_t tag;
    if (!srv->chunks)
        return -EOPNOTSUPP;
    if (q->have.len % MFS_CHUNK_TAG_BYTES || q->gone.len % MFS_CHUNK_TAG_BYTES)
        return -EINVAL;
    pthread_mutex_lock(&srv->chunks_mu);
    while (get_u32(&gone, &tag) == 0)
        mfs_chunk_set_remove(srv->chunks, tag);
    /* A full set knows less than it could; that costs bytes only. */
    while (get_u32(&have, &tag) == 0 && mfs_chunk_set_add(srv->chunks, tag))
        ;
    pthread_mutex_unlock(&srv->chunks_mu);
    return 0;
}

static enum mfs_naming_choice choose(struct mfs_server *srv)
{
    uint64_t rate = mfs_packer_wire_rate(&srv->packers[MFS_BULK]);
    pthread_mutex_lock(&srv->chunks_mu);
    enum mfs_naming_choice choice =
        mfs_naming_choose(&srv->naming, rate, srv->chunks->count > 0);
    pthread_mutex_unlock(&srv->chunks_mu);
    return choice;
}

static bool client_has(struct mfs_server *srv, const struct mfs_chunk_name *name)
{
    pthread_mutex_lock(&srv->chunks_mu);
    bool has = mfs_chunk_set_has(srv->chunks, mfs_chunk_tag(name));
    pthread_mutex_unlock(&srv->chunks_mu);
    return has;
}

/* Returns the bytes, 0 at the end, or -errno. */
static ssize_t read_at(int fd, uint8_t *to, size_t size, uint64_t offset)
{
    size_t done = 0;
    if (size > INT64_MAX - offset)
        size = (size_t)(INT64_MAX - offset);
    while (done < size) {
        ssize_t n = pread(fd, to + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && !done)
            return -errno;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

struct answer {
    struct mfs_call *o;
    const struct mfs_fetch_req *q;
    struct mfs_file *f;
    enum mfs_naming_choice naming;
    unsigned known_count;
    uint8_t *scratch;
    struct mfs_chunk_rec recs[RECS_MAX];
    size_t count;
    uint8_t *bytes; /* behind the room for all records */
    size_t len_bytes;
};

/* Reads chunk number index whole and adds its record. Returns 1; 0: the file ends before, or
 * (ahead) the client hasn't got it; -errno. */
static int add_chunk(struct answer *a, uint64_t index, bool is_ahead)
{
    struct mfs_chunk_rec *x = &a->recs[a->count];
    ssize_t n = read_at(a->f->fd, a->scratch, MFS_CHUNK_BYTES, index * MFS_CHUNK_BYTES);
    if (n <= 0)
        return (int)n;
    *x = (struct mfs_chunk_rec){ .len_bytes = (uint32_t)n };
    if (a->naming != MFS_NAME_NONE) {
        mfs_chunk_name_of(&x->name, a->scratch, (size_t)n);
        bool is_known = client_has(a->o->srv, &x->name);
        if (is_known || a->naming == MFS_NAME_ALL)
            x->flags = MFS_CHUNK_NAMED | (is_known ? MFS_CHUNK_KNOWN : 0);
    }
    if (is_ahead && !(x->flags & MFS_CHUNK_KNOWN))
        return 0;
    if (is_ahead)
        x->flags |= MFS_CHUNK_AHEAD;
    size_t first, part = mfs_chunk_part(index, (size_t)n, a->q->offset, a->q->size, &first);
    if (!is_ahead && !part)
        return 0;
    a->count++;
    a->known_count += x->flags & MFS_CHUNK_KNOWN ? 1 : 0;
    if (!(x->flags & MFS_CHUNK_KNOWN)) {
        memcpy(a->bytes + a->len_bytes, a->scratch + first, part);
        a->len_bytes += part;
    }
    return 1;
}

/* Returns 0 or -errno. */
static int add_all(struct answer *a, size_t size, size_t ahead)
{
    uint64_t index = a->q->offset / MFS_CHUNK_BYTES;
    uint64_t end = (a->q->offset + size + MFS_CHUNK_BYTES - 1) / MFS_CHUNK_BYTES;
    bool is_whole = true;
    int rc = 1;
    for (; rc > 0 && is_whole && index < end; index++) {
        rc = add_chunk(a, index, false);
        is_whole = rc > 0 && a->recs[a->count - 1].len_bytes == MFS_CHUNK_BYTES;
    }
    if (rc < 0)
        return a->count ? 0 : rc; /* the next read says why */
    if (a->naming != MFS_NAME_NONE) {
        pthread_mutex_lock(&a->o->srv->chunks_mu);
        mfs_naming_saw(&a->o->srv->naming, a->known_count, (unsigned)a->count);
        pthread_mutex_unlock(&a->o->srv->chunks_mu);
    }
    bool goes_on = rc > 0 && is_whole && a->recs[a->count - 1].flags & MFS_CHUNK_KNOWN;
    for (; goes_on && ahead; ahead--) {
        rc = add_chunk(a, index++, true);
        goes_on = rc > 0 && a->recs[a->count - 1].len_bytes == MFS_CHUNK_BYTES;
    }
    return 0;
}

int mfs_do_fetch(struct mfs_call *o, const struct mfs_fetch_req *q, struct mfs_fetch_rep *p)
{
    struct mfs_file *f;
    uint8_t *at;
    int rc = take_tags(o->srv, q);
    if (rc == 0)
        rc = mfs_op_file(o, q->fh, &f);
    if (rc == 0 && f->is_dir)
        rc = -EISDIR;
    if (rc == 0 && (q->offset > INT64_MAX || !q->size))
        rc = -EINVAL;
    if (rc < 0 || (rc = mfs_need_file(o, f, MFS_LEASE_SHARED)) < 0)
        return rc;
    size_t size = q->size < MFS_DATA_MAX ? q->size : MFS_DATA_MAX;
    size_t ahead = q->ahead < MFS_CHUNKS_AHEAD_MAX ? q->ahead : MFS_CHUNKS_AHEAD_MAX;
    size_t room = COUNT_BYTES + RECS_MAX * (size_t)MFS_CHUNK_REC_BYTES;
    AUTO_FREE struct answer *a = calloc(1, sizeof *a);
    AUTO_FREE uint8_t *scratch = malloc(MFS_CHUNK_BYTES);
    rc = mfs_op_payload(o, room + size, &at);
    if (rc < 0 || !a || !scratch)
        return rc < 0 ? rc : -ENOMEM;
    struct mfs_fetch_req bounded = *q;
    bounded.size = (uint32_t)size;
    *a = (struct answer){ .o = o,
                          .q = &bounded,
                          .f = f,
                          .naming = choose(o->srv),
                          .scratch = scratch,
                          .bytes = at + room };
    rc = add_all(a, size, ahead);
    if (rc < 0)
        return rc;
    struct wr w = wr_of(at, room);
    put_u16(&w, (uint16_t)a->count);
    for (size_t i = 0; i < a->count; i++)
        mfs_chunk_rec_put(&w, &a->recs[i]);
    memmove(at + wr_len(&w), a->bytes, a->len_bytes);
    o->out->len = wr_len(&w) + a->len_bytes;
    mfs_note_data(o->srv, f->id, f->fd, size, false);
    p->body = (struct bytes){ NULL, (uint32_t)o->out->len };
    return 0;
}
