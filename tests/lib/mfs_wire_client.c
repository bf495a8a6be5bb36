/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mfs_wire_client.c: a small synchronous client of the file protocol, for tests. */
#include "tests/lib/mfs_wire_client.h"

#include "common/base/wire_errors.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "mrcfs/ids.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The confined server can't look into /proc, which the leak check at its exit needs. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static void server_main(const struct mfs_serve_opts *o, uid_t drop_to)
{
    struct err e = { "" };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (drop_to && (setgroups(0, NULL) < 0 || setresgid(drop_to, drop_to, drop_to) < 0 ||
                    setresuid(drop_to, drop_to, drop_to) < 0))
        _exit(99);
    int rc = mfs_serve(o, &e);
    if (rc < 0 && getenv("WC_VERBOSE"))
        fprintf(stderr, "server: %s\n", e.text);
    exit(-rc); /* not _exit: the leak check of a sanitizer runs */
}

int wc_fork(struct wc *c, const struct mfs_serve_opts *o, uid_t drop_to)
{
    int meta[2] = { -1, -1 }, bulk[2] = { -1, -1 };
    int rc = fd_socketpair(meta);
    if (rc < 0 || (rc = fd_socketpair(bulk)) < 0)
        return rc;
    memset(c, 0, sizeof *c);
    signal(SIGPIPE, SIG_IGN); /* servers that end are seen by the result */
    c->uid = getuid();
    c->gid = getgid();
    c->pid = (uint32_t)getpid();
    fflush(NULL);
    c->server = fork();
    if (c->server < 0)
        return -errno;
    if (c->server == 0) {
        struct mfs_serve_opts so = *o;
        /* The ends of other clients too, so that their servers see them hang up. */
        int keep[4] = { meta[1], bulk[1] };
        size_t count = 2;
        if (o->has_broker)
            keep[count++] = o->broker_fd;
        if (o->has_journal)
            keep[count++] = o->journal_fd;
        fd_close_all_but(keep, count);
        so.meta_fd = meta[1];
        so.bulk_fd = bulk[1];
        server_main(&so, drop_to);
    }
    close(meta[1]);
    close(bulk[1]);
    c->fds[0] = meta[0];
    c->fds[1] = bulk[0];
    return 0;
}

int wc_greet(struct wc *c)
{
    struct mfs_names users = { 0 }, groups = { 0 };
    struct mfs_hello_rep p;
    static uint8_t memory[2][MFS_NAMES_BYTES_MAX];
    struct wr u = wr_of(memory[0], sizeof memory[0]), g = wr_of(memory[1], sizeof memory[1]);
    int rc = mfs_names_load("/etc/passwd", &users);
    if (rc == 0)
        rc = mfs_names_load("/etc/group", &groups);
    if (rc < 0)
        return rc;
    mfs_names_put(&u, &users);
    mfs_names_put(&g, &groups);
    mfs_names_fini(&users);
    mfs_names_fini(&groups);
    struct mfs_hello_req q = { MFS_VERSION,
                               c->features,
                               { memory[0], (uint32_t)wr_len(&u) },
                               { memory[1], (uint32_t)wr_len(&g) } };
    rc = wc_hello_wait(c, wc_hello_send(c, &q), &p);
    if (rc == 0) {
        c->hello = c->last.head;
        c->server_features = p.features;
    }
    return rc;
}

int wc_start(struct wc *c, const struct mfs_serve_opts *o, uid_t drop_to)
{
    int rc = wc_fork(c, o, drop_to);
    return rc < 0 ? rc : wc_greet(c);
}

int wc_stop(struct wc *c)
{
    int status;
    for (int i = 0; i < 2; i++)
        if (c->fds[i] >= 0)
            close(c->fds[i]);
    for (size_t i = 0; i < c->held_count; i++)
        free(c->held[i].memory);
    for (; c->kept_first != c->kept_end; c->kept_first++)
        free(c->kept[c->kept_first % WC_NOTICES_MAX].memory);
    free(c->last.memory);
    c->last.memory = NULL;
    c->held_count = 0;
    if (waitpid(c->server, &status, 0) < 0)
        return -errno;
    if (!WIFEXITED(status))
        return -ECHILD;
    return -WEXITSTATUS(status);
}

int wc_raw(struct wc *c, int stream, const void *ptr, size_t len)
{
    return fd_write_full(c->fds[stream], ptr, len);
}

int wc_send(struct wc *c, int stream, const struct mfs_head *h, const void *body, size_t len)
{
    uint8_t head[MFS_HEAD_BYTES];
    struct wr w = wr_of(head, sizeof head);
    mfs_message_begin(&w, h);
    mfs_message_end(&w, len);
    int rc = wc_raw(c, stream, head, wr_len(&w));
    return rc < 0 || !len ? rc : wc_raw(c, stream, body, len);
}

static int read_message(struct wc *c, int stream, struct wc_message *m)
{
    uint8_t head[4];
    uint32_t len;
    ssize_t n = fd_read_full(c->fds[stream], head, sizeof head);
    if (n <= 0)
        return n < 0 && n != -ECONNRESET ? (int)n : -ECONNRESET;
    struct rd r = rd_of(head, (size_t)n);
    if (get_u32(&r, &len) < 0 || len > MFS_MESSAGE_MAX)
        return -EPROTO;
    *m = (struct wc_message){ .memory = malloc(len + 1), .len = len, .stream = stream };
    n = fd_read_full(c->fds[stream], m->memory, len);
    r = rd_of(m->memory, len);
    if (n != (ssize_t)len || mfs_head_get(&r, &m->head) < 0) {
        free(m->memory);
        return -EPROTO;
    }
    return 0;
}

static int next_message(struct wc *c, uint64_t until_ms, struct wc_message *m)
{
    struct pollfd p[2] = { { c->fds[0], POLLIN, 0 }, { c->fds[1], POLLIN, 0 } };
    uint64_t now = clock_mono_ms();
    int n = poll(p, 2, now < until_ms ? (int)(until_ms - now) : 0);
    if (n < 0)
        return -errno;
    if (n == 0)
        return -ETIMEDOUT;
    return read_message(c, p[0].revents ? 0 : 1, m);
}

static void take_notice(struct wc *c, struct wc_message *m)
{
    if (c->keeps_notices && c->kept_end - c->kept_first < WC_NOTICES_MAX) {
        c->kept[c->kept_end++ % WC_NOTICES_MAX] = *m;
        return;
    }
    c->notices++;
    free(m->memory);
}

int wc_notice(struct wc *c, int timeout_ms, struct rd *body)
{
    uint64_t until_ms = clock_mono_ms() + (uint64_t)timeout_ms;
    while (c->kept_first == c->kept_end) {
        struct wc_message m;
        int rc = next_message(c, until_ms, &m);
        if (rc < 0)
            return rc;
        if (m.head.kind == MFS_NOTIFY)
            take_notice(c, &m);
        else if (c->held_count == WC_HELD_MAX)
            return -ENOSPC;
        else
            c->held[c->held_count++] = m;
    }
    free(c->last.memory);
    c->last = c->kept[c->kept_first++ % WC_NOTICES_MAX];
    *body = rd_of(c->last.memory, c->last.len);
    return mfs_head_get(body, &c->last.head);
}

int wc_wait(struct wc *c, uint64_t id, int timeout_ms, struct rd *body)
{
    struct wc_message m;
    uint64_t until_ms = clock_mono_ms() + (uint64_t)timeout_ms;
    bool is_found = false;
    for (size_t i = 0; i < c->held_count && !is_found; i++) {
        if (!id || c->held[i].head.id == id) {
            m = c->held[i];
            c->held[i] = c->held[--c->held_count];
            is_found = true;
        }
    }
    while (!is_found) {
        int rc = next_message(c, until_ms, &m);
        if (rc < 0)
            return rc;
        if (m.head.kind == MFS_NOTIFY) { /* nothing is cached here */
            take_notice(c, &m);
            continue;
        }
        is_found = !id || m.head.id == id;
        if (!is_found && c->held_count == WC_HELD_MAX)
            return -ENOSPC;
        if (!is_found)
            c->held[c->held_count++] = m;
    }
    free(c->last.memory);
    c->last = m;
    *body = rd_of(m.memory, m.len);
    return mfs_head_get(body, &c->last.head);
}

void wc_cancel(struct wc *c, uint64_t id)
{
    if (wc_send(c, 0, &(struct mfs_head){ .kind = MFS_CANCEL, .id = id }, NULL, 0) < 0)
        abort();
}

void wc_forget(struct wc *c, uint64_t node, uint64_t nlookup)
{
    uint8_t body[16];
    struct wr w = wr_of(body, sizeof body);
    mfs_forget_rec_put(&w, &(struct mfs_forget_rec){ node, nlookup });
    if (wc_send(c, 0, &(struct mfs_head){ .kind = MFS_FORGET }, body, sizeof body) < 0)
        abort();
}

static uint64_t request(struct wc *c, unsigned op, struct wr *w)
{
    struct mfs_head h = { .kind = MFS_REQUEST,
                          .id = ++c->last_id,
                          .op = (uint16_t)op,
                          .uid = c->uid,
                          .gid = c->gid,
                          .pid = c->pid };
    if (w->is_full || wc_send(c, wr_len(w) > MFS_BULK_FROM && op != MFS_OP_hello, &h, w->start,
                              wr_len(w)) < 0)
        return 0;
    return h.id;
}

static int answer(struct wc *c, uint64_t id, struct rd *body)
{
    if (!id)
        return -ECONNRESET;
    int rc = wc_wait(c, id, WC_TIMEOUT_MS, body);
    return rc < 0 ? rc : wire_error_to(c->last.head.error);
}

static uint8_t scratch[MFS_MESSAGE_MAX + 65536];

/* A name that is absent, and can be believed to be, is answered by no node. */
static int absent(const struct mfs_lookup_rep *p)
{
    return p->entry.node ? 0 : -ENOENT;
}

#define OP(number, name, req, rep)                                                             \
    uint64_t wc_##name##_send(struct wc *c, const struct mfs_##name##_req *q)                  \
    {                                                                                          \
        struct wr w = wr_of(scratch, sizeof scratch);                                          \
        mfs_##name##_req_put(&w, q);                                                           \
        return request(c, number, &w);                                                         \
    }                                                                                          \
    int wc_##name##_wait(struct wc *c, uint64_t id, struct mfs_##name##_rep *p)                \
    {                                                                                          \
        struct rd body;                                                                        \
        int rc = answer(c, id, &body);                                                         \
        rc = rc < 0 ? rc : mfs_##name##_rep_get(&body, p);                                     \
        return rc == 0 && number == MFS_OP_lookup ? absent((const void *)p) : rc;              \
    }                                                                                          \
    int wc_##name(struct wc *c, const struct mfs_##name##_req *q, struct mfs_##name##_rep *p)  \
    {                                                                                          \
        return wc_##name##_wait(c, wc_##name##_send(c, q), p);                                 \
    }
#include "mrcfs/ops.def"
#undef OP
