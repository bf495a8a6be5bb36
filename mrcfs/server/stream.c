/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream.c: one byte stream of messages.
 * Must not know: what messages mean.
 * The out queue has no bound of its own: the pool starts no work whose replies would not fit
 * (mrcfs/server/pool.h). */
#include "mrcfs/server/stream.h"

#include "common/base/wire.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "mrcfs/ops.h"
#include "mrcfs/packer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LENGTH_BYTES = 4, BATCH = 64 };

int mfs_stream_open(struct mfs_stream *s, const char *name, int fd)
{
    *s = (struct mfs_stream){ .name = name, .fd = fd };
    pthread_mutex_init(&s->mu, NULL);
    pthread_cond_init(&s->has_more, NULL);
    list_init(&s->queue);
    s->buffer = malloc(MFS_STREAM_BUFFER);
    if (!s->buffer)
        return -ENOMEM;
    int rc = fd_set_cloexec(fd, true);
    return rc < 0 ? rc : fd_set_nonblock(fd, false);
}

void mfs_stream_close(struct mfs_stream *s)
{
    if (!s->name)
        return;
    LIST_EACH(&s->queue, it, nx)
    {
        list_remove(it);
        free(LIST_ENTRY(it, struct mfs_out, link));
    }
    fd_close(&s->fd);
    free(s->buffer);
    pthread_cond_destroy(&s->has_more);
    pthread_mutex_destroy(&s->mu);
    *s = (struct mfs_stream){ .fd = -1 };
}

/* ---- reading ---- */

/* At least wanted bytes in the buffer. Returns 1, 0 at the end of the stream. */
static int fill(struct mfs_stream *s, size_t wanted)
{
    while (s->end - s->first < wanted) {
        if (s->first) {
            memmove(s->buffer, s->buffer + s->first, s->end - s->first);
            s->end -= s->first;
            s->first = 0;
        }
        ssize_t n = fd_read(s->fd, s->buffer + s->end, MFS_STREAM_BUFFER - s->end);
        if (n <= 0)
            return (int)n;
        s->end += (size_t)n;
    }
    return 1;
}

static int ends_within(struct mfs_stream *s, struct err *e)
{
    if (__atomic_load_n(&s->is_cut, __ATOMIC_ACQUIRE))
        return 0;
    return err_set(e, ECONNRESET, "%s stream ends within a message", s->name);
}

void mfs_stream_cut(struct mfs_stream *s)
{
    __atomic_store_n(&s->is_cut, true, __ATOMIC_RELEASE);
    shutdown(s->fd, SHUT_RD);
}

int mfs_stream_read(struct mfs_stream *s, uint8_t **message, size_t *len_bytes, struct err *e)
{
    int rc = fill(s, LENGTH_BYTES);
    rc = rc == -ECONNRESET ? 0 : rc; /* gone with answers unread */
    if (rc == 0 && s->end != s->first)
        return ends_within(s, e);
    if (rc <= 0)
        return rc < 0 ? err_set(e, -rc, "read %s stream", s->name) : 0;
    struct rd r = rd_of(s->buffer + s->first, LENGTH_BYTES);
    uint32_t length;
    rc = get_u32(&r, &length);
    if (rc < 0 || length < MFS_MESSAGE_MIN || length > MFS_MESSAGE_MAX)
        return err_set(e, EPROTO, "message of %u bytes on the %s stream", length, s->name);
    s->first += LENGTH_BYTES;

    uint8_t *copy = malloc(length);
    if (!copy)
        return err_set(e, ENOMEM, "message of %u bytes", length);
    size_t have = s->end - s->first < length ? s->end - s->first : length;
    memcpy(copy, s->buffer + s->first, have);
    s->first += have;
    ssize_t got = have < length ? fd_read_full(s->fd, copy + have, length - have) : 0;
    if (got < 0 || (size_t)got != length - have) {
        free(copy);
        return got < 0 && got != -ECONNRESET ? err_set(e, (int)-got, "read %s stream", s->name)
                                             : ends_within(s, e);
    }
    *message = copy;
    *len_bytes = length;
    return 1;
}

/* ---- writing ---- */

struct mfs_out *mfs_out_new(size_t size_bytes)
{
    struct mfs_out *m = malloc(sizeof *m + size_bytes);
    if (m) {
        m->link = (struct link){ 0 };
        m->at = m->memory;
        m->len = size_bytes;
    }
    return m;
}

/* Writes what goes without waiting, if it is m's turn. mu held. */
static void send_now(struct mfs_stream *s, struct mfs_out *m)
{
    if (s->is_writing || !s->has_writer || !list_is_empty(&s->queue))
        return;
    ssize_t n = send(s->fd, m->at, m->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
        m->at += n;
        m->len -= (size_t)n;
        if (s->packer)
            mfs_packer_sent(s->packer, (size_t)n, clock_mono_us());
    }
}

void mfs_stream_send(struct mfs_stream *s, struct mfs_out *m)
{
    pthread_mutex_lock(&s->mu);
    if (!s->is_broken)
        send_now(s, m);
    if (s->is_broken || !m->len) {
        free(m);
    } else {
        list_push_back(&s->queue, &m->link);
        s->queued_bytes += m->len;
        pthread_cond_signal(&s->has_more);
    }
    pthread_mutex_unlock(&s->mu);
}

size_t mfs_stream_queued(struct mfs_stream *s)
{
    pthread_mutex_lock(&s->mu);
    size_t queued = s->queued_bytes;
    pthread_mutex_unlock(&s->mu);
    return queued;
}

/* Writes the messages given whole. Returns 0 or -errno. */
static int write_batch(int fd, struct mfs_out *const *batch, size_t count)
{
    struct iovec iov[BATCH];
    for (size_t i = 0; i < count; i++)
        iov[i] = (struct iovec){ batch[i]->at, batch[i]->len };
    struct iovec *at = iov;
    while (count) {
        struct msghdr mh = { .msg_iov = at, .msg_iovlen = count };
        ssize_t n = sendmsg(fd, &mh, MSG_NOSIGNAL);
        if (n < 0 && errno == ENOTSOCK)
            n = writev(fd, at, (int)count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        while (count && (size_t)n >= at->iov_len) {
            n -= (ssize_t)at->iov_len;
            at++;
            count--;
        }
        if (count) {
            at->iov_base = (uint8_t *)at->iov_base + n;
            at->iov_len -= (size_t)n;
        }
    }
    return 0;
}

/* Takes up to BATCH messages; waits for one. Returns their number, 0 at the end. mu held. */
static size_t take_batch(struct mfs_stream *s, struct mfs_out **batch)
{
    size_t count = 0;
    while (list_is_empty(&s->queue) && !s->is_closing)
        pthread_cond_wait(&s->has_more, &s->mu);
    while (count < BATCH && !list_is_empty(&s->queue)) {
        struct mfs_out *m = LIST_ENTRY(s->queue.next, struct mfs_out, link);
        list_remove(&m->link);
        batch[count++] = m;
    }
    return count;
}

static void *writer_main(void *arg)
{
    struct mfs_stream *s = arg;
    struct mfs_out *batch[BATCH];
    size_t count;
    pthread_mutex_lock(&s->mu);
    while ((count = take_batch(s, batch)) > 0) {
        bool is_broken = s->is_broken;
        s->is_writing = true;
        pthread_mutex_unlock(&s->mu);
        uint64_t began_us = clock_mono_us();
        if (!is_broken && write_batch(s->fd, batch, count) < 0)
            is_broken = true;
        size_t bytes = 0;
        for (size_t i = 0; i < count; i++) {
            bytes += batch[i]->len;
            free(batch[i]);
        }
        if (s->packer && !is_broken)
            mfs_packer_sent(s->packer, bytes, began_us);
        pthread_mutex_lock(&s->mu);
        s->is_broken = s->is_broken || is_broken;
        s->is_writing = false;
        s->queued_bytes -= bytes;
        pthread_mutex_unlock(&s->mu);
        s->on_room(s->ctx);
        pthread_mutex_lock(&s->mu);
    }
    pthread_mutex_unlock(&s->mu);
    return NULL;
}

int mfs_stream_start(struct mfs_stream *s, void (*on_room)(void *ctx), void *ctx)
{
    s->on_room = on_room;
    s->ctx = ctx;
    int rc = pthread_create(&s->writer, NULL, writer_main, s);
    s->has_writer = rc == 0;
    return -rc;
}

void mfs_stream_stop(struct mfs_stream *s, bool is_at_once)
{
    pthread_mutex_lock(&s->mu);
    s->is_closing = true;
    if (is_at_once)
        s->is_broken = true;
    pthread_cond_signal(&s->has_more);
    pthread_mutex_unlock(&s->mu);
    if (is_at_once)
        shutdown(s->fd, SHUT_RDWR);
    if (s->has_writer)
        pthread_join(s->writer, NULL);
    s->has_writer = false;
}
