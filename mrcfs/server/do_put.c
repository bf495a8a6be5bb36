/* SPDX-License-Identifier: GPL-2.0-or-later */
/* do_put.c: writes of which parts are here already: they are copied from where the client saw them. Source: docs/chunks.md,
 * "Back". Must not know: the wire's coding, how the client found out.
 *
 * A part is what its name says or it is asked for: it is hashed in memory, and from there it is written. While it is
 * asked for, nothing that is ordered after it is done. */
#include "mrcfs/server/server.h"

#include "common/sys/mem.h"
#include "mrcfs/chunks/put.h"
#include "mrcfs/chunkstore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- asking ---- */

void mfs_supply_init(struct mfs_supply *s)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->mu, NULL);
    pthread_cond_init(&s->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void mfs_supply_fini(struct mfs_supply *s)
{
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mu);
}

static int ask(struct mfs_server *srv, uint64_t request)
{
    struct mfs_out *m = mfs_out_new(64);
    if (!m)
        return -ENOMEM;
    struct wr w = wr_of(m->memory, m->len);
    mfs_message_begin(&w, &(struct mfs_head){ .kind = MFS_NOTIFY, .notice = MFS_NOTICE_wanted });
    mfs_wanted_notice_put(&w, &(struct mfs_wanted_notice){ request });
    mfs_message_end(&w, 0);
    m->len = wr_len(&w);
    mfs_stream_send(&srv->streams[MFS_META], m);
    return 0;
}

int mfs_supply_wait(struct mfs_server *srv, uint64_t request, uint8_t *to, size_t len_bytes)
{
    struct mfs_supply *s = &srv->supply;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += MFS_SUPPLY_MS / 1000;
    pthread_mutex_lock(&s->mu);
    s->request = request;
    s->to = to;
    s->len_bytes = len_bytes;
    s->is_here = false;
    s->asked++;
    int rc = s->is_over ? -EIO : ask(srv, request);
    while (rc == 0 && !s->is_here && !s->is_over)
        rc = -pthread_cond_timedwait(&s->changed, &s->mu, &until);
    bool is_here = s->is_here;
    s->request = 0;
    s->to = NULL;
    pthread_mutex_unlock(&s->mu);
    return is_here ? 0 : -EIO;
}

void mfs_supply_end(struct mfs_supply *s)
{
    pthread_mutex_lock(&s->mu);
    s->is_over = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mu);
}

int mfs_do_supply(struct mfs_call *o, const struct mfs_supply_req *q,
                  struct mfs_supply_rep *p UNUSED)
{
    struct mfs_supply *s = &o->srv->supply;
    int rc = -ESTALE; /* nobody waits for it (any more) */
    pthread_mutex_lock(&s->mu);
    if (s->request && s->request == q->request && !s->is_here)
        rc = q->body.len == s->len_bytes ? 0 : -EINVAL;
    if (rc == 0) {
        memcpy(s->to, q->body.ptr, q->body.len);
        s->is_here = true;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->mu);
    return rc;
}

/* ---- putting together ---- */

/* Reads a named part into `to`. False: it isn't there. */
static bool copy_part(struct mfs_server *srv, const struct mfs_put_part *x, uint8_t *to)
{
    struct mfs_file *f;
    struct mfs_chunk_name name;
    size_t done = 0;
    if (mfs_file_get(&srv->files, x->fh, &f) < 0)
        return false;
    while (!f->is_dir && done < x->len_bytes) {
        ssize_t n = pread(f->fd, to + done, x->len_bytes - done, (off_t)(x->offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    mfs_file_put(&srv->files, f);
    if (done < x->len_bytes)
        return false;
    mfs_chunk_name_of(&name, to, done);
    return memcmp(name.bytes, x->name.bytes, sizeof name.bytes) == 0;
}

/* All of a put in `to`. False: some named part isn't there. */
static bool assemble(struct mfs_server *srv, const struct mfs_put_req *q, uint8_t *to)
{
    struct rd parts = rd_of(q->parts.ptr, q->parts.len);
    const uint8_t *sent = q->body.ptr;
    struct mfs_put_part x;
    bool is_whole = true;
    while (is_whole && rd_left(&parts) && mfs_put_part_get(&parts, &x) == 0) {
        if (x.fh) {
            is_whole = copy_part(srv, &x, to);
        } else {
            memcpy(to, sent, x.len_bytes);
            sent += x.len_bytes;
        }
        to += x.len_bytes;
    }
    return is_whole;
}

/* The same with what the client supplied in place of what it named. */
static void assemble_supplied(const struct mfs_put_req *q, const uint8_t *supplied, uint8_t *to)
{
    struct rd parts = rd_of(q->parts.ptr, q->parts.len);
    const uint8_t *sent = q->body.ptr;
    struct mfs_put_part x;
    while (rd_left(&parts) && mfs_put_part_get(&parts, &x) == 0) {
        const uint8_t **from = x.fh ? &supplied : &sent;
        memcpy(to, *from, x.len_bytes);
        *from += x.len_bytes;
        to += x.len_bytes;
    }
}

int mfs_do_put(struct mfs_call *o, const struct mfs_put_req *q, struct mfs_put_rep *p)
{
    const struct mfs_head *h = &o->rq->head;
    size_t total, named;
    if (!o->srv->chunks)
        return -EOPNOTSUPP;
    /* It may wait, once, and is not begun again: so only in the order, where nobody waits for it. */
    if (h->kind != MFS_ORDERED || !h->is_assumed ||
        mfs_put_check(q->parts, q->body.len, MFS_DATA_MAX, &total, &named) < 0)
        return -EINVAL;
    AUTO_FREE uint8_t *all = malloc(total);
    if (!all)
        return -ENOMEM;
    if (!assemble(o->srv, q, all)) {
        AUTO_FREE uint8_t *supplied = malloc(named);
        int rc = supplied ? mfs_supply_wait(o->srv, h->id, supplied, named) : -ENOMEM;
        if (rc < 0)
            return rc;
        assemble_supplied(q, supplied, all);
    }
    struct mfs_write_req w = { q->fh, q->offset, q->oflags, { all, (uint32_t)total } };
    struct mfs_write_rep written = { 0 };
    int rc = mfs_do_write(o, &w, &written);
    p->written = written.written;
    return rc;
}
