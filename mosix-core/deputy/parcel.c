/* SPDX-License-Identifier: GPL-2.0-or-later */
/* parcel.c: who is between a link and a pair of sockets, at whose other end an image is written
 * or read. Must not know: what an image is. Threads: see parcel.h; the link is the thread's
 * from its start until it has been joined. */
#include "mosix-core/deputy/parcel.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 << 10 };

struct parcel {
    struct mx_link *link;
    uint32_t who;
    int fd; /* the thread's end; -1: nobody reads any more */
    int rc; /* of the link */
    struct mx_talk_frame first;
    bool is_whole;
    char text[MX_TALK_TEXT_MAX];
};

/* Until all that was queued is sent. */
static int flush_all(struct mx_link *l)
{
    int rc = 0;
    while (rc == 0 && mx_link_wants(l) & POLLOUT) {
        rc = mx_link_wait(l, POLLOUT);
        if (rc > 0)
            rc = mx_link_flush(l);
    }
    return rc;
}

/* A process of its own: where bodies are, other namespaces wait for our children, and so the
 * kernel makes no threads. */
static int send_pieces(struct mx_link *l, uint32_t who, int fd)
{
    AUTO_FREE uint8_t *piece = malloc(PIECE_BYTES);
    ssize_t n = 0;
    int rc = piece ? 0 : -ENOMEM;
    while (rc == 0 && (n = fd_read(fd, piece, PIECE_BYTES)) > 0) {
        put_raw(mx_link_begin(l, MX_TALK_IMAGE, who), piece, (size_t)n);
        rc = mx_link_send(l);
        if (rc == 0)
            rc = flush_all(l);
    }
    return rc < 0 ? rc : (int)n;
}

static int wait_for_sender(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPIPE;
}

/* When nobody reads the image any more, the rest of it is taken all the same. */
static void pass(struct parcel *p, const struct mx_talk_frame *f)
{
    const uint8_t *at = f->body.at;
    size_t left = rd_left(&f->body);
    while (left && p->fd >= 0) {
        ssize_t n = send(p->fd, at, left, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fd_close(&p->fd);
            return;
        }
        at += n;
        left -= (size_t)n;
    }
}

static int next_frame(struct mx_link *l, struct mx_talk_frame *f)
{
    int rc;
    while ((rc = mx_link_next(l, f)) == 0) {
        rc = mx_link_wait(l, POLLIN);
        if (rc > 0)
            rc = mx_link_fill(l);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? rc : 0;
}

static void *take_pieces(void *ctx)
{
    struct parcel *p = ctx;
    struct mx_talk_frame f = p->first;
    uint8_t is_whole = 0;
    while (p->rc == 0 && f.kind == MX_TALK_IMAGE && f.who == p->who) {
        pass(p, &f);
        p->rc = next_frame(p->link, &f);
    }
    if (p->rc == 0 &&
        (f.kind != MX_TALK_IMAGE_END || f.who != p->who || get_u8(&f.body, &is_whole) < 0))
        p->rc = -EPROTO;
    if (p->rc == 0)
        mx_talk_get_text(&f.body, p->text);
    p->is_whole = is_whole == 1;
    fd_close(&p->fd);
    return NULL;
}

int mx_parcel_send(struct mx_link *l, uint32_t who, const char *text, mx_parcel_fn *write,
                   void *ctx, int *wrote, struct err *e)
{
    int pair[2], rc = flush_all(l);
    pid_t parent = getpid();
    if (rc == 0)
        rc = fd_socketpair(pair);
    if (rc < 0)
        return err_set(e, -rc, "send an image");
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[1]);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
            _exit(1);
        _exit(send_pieces(l, who, pair[0]) < 0);
    }
    close(pair[0]);
    if (pid < 0) {
        close(pair[1]);
        return err_set(e, errno, "start a process");
    }
    *wrote = write(ctx, pair[1], e);
    close(pair[1]);
    rc = wait_for_sender(pid);
    if (rc < 0)
        return err_set(e, -rc, "send an image");
    struct wr *w = mx_link_begin(l, MX_TALK_IMAGE_END, who);
    put_u8(w, *wrote == 0);
    mx_talk_put_text(w, *wrote == 0 ? text : e->text);
    return mx_link_send(l);
}

int mx_parcel_take(struct mx_link *l, const struct mx_talk_frame *first, mx_parcel_fn *read,
                   void *ctx, int *got, char text[MX_TALK_TEXT_MAX], struct err *e)
{
    struct parcel p = { .link = l, .who = first->who, .first = *first };
    int pair[2];
    pthread_t thread;
    int rc = fd_socketpair(pair);
    if (rc < 0)
        return err_set(e, -rc, "make a pair of sockets");
    p.fd = pair[0];
    rc = pthread_create(&thread, NULL, take_pieces, &p);
    if (rc > 0) {
        close(pair[0]);
        close(pair[1]);
        return err_set(e, rc, "start a thread");
    }
    *got = read(ctx, pair[1], e);
    close(pair[1]);
    pthread_join(thread, NULL);
    if (p.rc == 0 && *got == 0 && !p.is_whole)
        *got = -ECANCELED;
    memcpy(text, p.text, sizeof p.text);
    return p.rc;
}
