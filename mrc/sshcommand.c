/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sshcommand.c: a command on an SSH server, and the bytes between it and mrc.
 * Must not know: what the bytes are. */
#include "mrc/sshparts.h"

#include "common/sys/log.h"
#include "common/sys/mem.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OUT_HIGH_BYTES = 32 << 10, /* more of the stream is encrypted only below this */
    UP_BYTES = 32700,          /* what libssh2 puts into one packet */
    DOWN_BYTES = 256 << 10,
    ERR_BYTES = 4096, /* PIPE_BUF: poll says that so much fits */
    /* The window that the server may fill before it waits for us. sshd copies what it can't
       send at once, in time that grows with the square of it, so the window must not be larger
       than the way is long: what 1 Gbit/s carries in a round trip, and a third more, as libssh2
       opens it again when a quarter is used up. 32 MiB are good for 200 ms. */
    WINDOW_MIN_BYTES = 4 << 20,
    WINDOW_MAX_BYTES = 32 << 20,
    WINDOW_BYTES_PER_MS = 125000 * 4 / 3,
    PACKET_BYTES = 32768,
    CHANNEL_TIMEOUT_MS = 60000,
    GONE_TIMEOUT_MS = 2000, /* for the last bytes, when mrc has closed the stream */
};

static unsigned window_bytes(const struct ssh *s)
{
    uint64_t round_trip_us = s->round_trip_us;
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(s->sock, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_rtt)
        round_trip_us = info.tcpi_rtt;
    uint64_t want = round_trip_us * WINDOW_BYTES_PER_MS / 1000;
    want = want < WINDOW_MIN_BYTES ? WINDOW_MIN_BYTES : want;
    want = want > WINDOW_MAX_BYTES ? WINDOW_MAX_BYTES : want;
    log_at(LOG_DEBUG, "round trip %.1f ms, window %u KiB", (double)round_trip_us / 1000,
           (unsigned)want >> 10);
    return (unsigned)want;
}

static int open_channel(struct ssh *s, struct err *e)
{
    unsigned window = window_bytes(s); /* the same when the call is repeated */
    uint64_t end_ms = mrc_ssh_deadline(CHANNEL_TIMEOUT_MS);
    static const char kind[] = "session";
    while (!(s->channel = libssh2_channel_open_ex(s->session, kind, sizeof kind - 1, window,
                                                  PACKET_BYTES, NULL, 0))) {
        int rc = libssh2_session_last_errno(s->session);
        if (rc == LIBSSH2_ERROR_EAGAIN)
            rc = mrc_ssh_wait(s, end_ms);
        if (rc < 0)
            return mrc_ssh_failed(s, rc, e, "refused to open a channel");
    }
    return 0;
}

/* Bytes on their way. */
struct pump {
    uint8_t *up; /* from mrc to the command: [up_head, up_tail) */
    size_t up_head, up_tail;
    uint8_t *down; /* from the command to mrc */
    size_t down_head, down_tail;
    uint8_t err[ERR_BYTES]; /* from the command to our stderr */
    size_t err_head, err_tail;
    uint64_t pulled_bytes; /* taken_bytes when the command's words were last asked for */
    bool is_started;       /* the server has confirmed the command */
    bool is_up_held;       /* the server has no room: it will tell when it has */
    bool is_up_over;       /* mrc sends no more */
    bool is_eof_sent;
    bool is_down_over;              /* the command sends no more */
    bool is_shut;                   /* and mrc knows */
    bool is_gone;                   /* mrc has closed the stream */
    bool is_down_more, is_err_more; /* the last read gave something: libssh2 may hold more */
    uint64_t gone_ms;
    unsigned unanswered;  /* keep-alives since the server was last heard */
    uint64_t heard_count; /* when unanswered was last 0 */
    uint64_t alive_ms;    /* when the next one is due */
};

/* The request is sent and the stream may follow it at once: the confirmation comes when it
 * comes, which saves a round trip. */
static int start_command(struct ssh *s, struct pump *p, struct err *e)
{
    int rc = libssh2_channel_process_startup(s->channel, "exec", 4, s->o->command,
                                             (unsigned)strlen(s->o->command));
    if (rc == LIBSSH2_ERROR_EAGAIN)
        return 0;
    if (rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED)
        return err_set(e, 0, "%s does not let %s run commands", s->c->alias, s->c->user);
    if (rc < 0)
        return mrc_ssh_failed(s, rc, e, "when the command was started");
    p->is_started = true;
    return 0;
}

/* Reads what the command wrote, as far as there is room. */
static int pull(struct ssh *s, struct pump *p, struct err *e)
{
    if (p->down_head == p->down_tail && !p->is_down_over) {
        p->down_head = p->down_tail = 0;
        ssize_t n = libssh2_channel_read_ex(s->channel, 0, (char *)p->down, DOWN_BYTES);
        if (n < 0 && n != LIBSSH2_ERROR_EAGAIN)
            return mrc_ssh_failed(s, (int)n, e, "while the command ran");
        p->down_tail = n > 0 ? (size_t)n : 0;
        p->is_down_more = n > 0;
    }
    /* The read below may take in what belongs to the one above, which then has to be repeated.
     */
    p->pulled_bytes = s->taken_bytes;
    if (p->err_head == p->err_tail) {
        p->err_head = p->err_tail = 0;
        ssize_t n = libssh2_channel_read_ex(s->channel, SSH_EXTENDED_DATA_STDERR,
                                            (char *)p->err, ERR_BYTES);
        if (n < 0 && n != LIBSSH2_ERROR_EAGAIN)
            return mrc_ssh_failed(s, (int)n, e, "while the command ran");
        p->err_tail = n > 0 ? (size_t)n : 0;
        p->is_err_more = n > 0;
    }
    if (p->down_head == p->down_tail && libssh2_channel_eof(s->channel))
        p->is_down_over = true;
    return 0;
}

static void give_stderr(struct pump *p)
{
    struct pollfd f = { STDERR_FILENO, POLLOUT, 0 };
    if (p->err_head == p->err_tail || poll(&f, 1, 0) <= 0)
        return;
    ssize_t n = write(STDERR_FILENO, p->err + p->err_head, p->err_tail - p->err_head);
    p->err_head += n > 0 ? (size_t)n : p->err_tail - p->err_head; /* broken: nobody reads it */
}

/* Gives mrc what there is. */
static void give(struct ssh *s, struct pump *p)
{
    while (p->down_head < p->down_tail && !p->is_gone) {
        ssize_t n = send(s->stream, p->down + p->down_head, p->down_tail - p->down_head,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            p->is_gone = true;
        if (n < 0)
            break;
        p->down_head += (size_t)n;
    }
    if (p->is_gone)
        p->down_head = p->down_tail;
    if (p->is_down_over && p->down_head == p->down_tail && !p->is_shut) {
        p->is_shut = true;
        (void)shutdown(s->stream, SHUT_WR);
    }
}

static void take(struct ssh *s, struct pump *p)
{
    if (p->up_head < p->up_tail || p->is_up_over)
        return;
    p->up_head = p->up_tail = 0;
    ssize_t n = recv(s->stream, p->up, UP_BYTES, MSG_DONTWAIT);
    if (n > 0)
        p->up_tail = (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        p->is_up_over = true;
}

/* Sends the command what mrc gave, as far as the server's window and our buffer go. */
static int push(struct ssh *s, struct pump *p, struct err *e)
{
    for (;;) {
        take(s, p);
        if (p->up_head == p->up_tail || buf_len(&s->out) >= OUT_HIGH_BYTES)
            break;
        ssize_t n = libssh2_channel_write_ex(s->channel, 0, (char *)p->up + p->up_head,
                                             p->up_tail - p->up_head);
        p->is_up_held = n == LIBSSH2_ERROR_EAGAIN || n == 0;
        if (p->is_up_held)
            break;
        if (n == LIBSSH2_ERROR_CHANNEL_CLOSED || n == LIBSSH2_ERROR_CHANNEL_EOF_SENT) {
            p->up_head = p->up_tail; /* it has ended; its last words may still come */
            break;
        }
        if (n < 0)
            return mrc_ssh_failed(s, (int)n, e, "while the command ran");
        p->up_head += (size_t)n;
        mrc_ssh_flush(s);
    }
    if (p->is_up_over && p->up_head == p->up_tail && !p->is_eof_sent) {
        int rc = libssh2_channel_send_eof(s->channel);
        if (rc < 0 && rc != LIBSSH2_ERROR_EAGAIN)
            return mrc_ssh_failed(s, rc, e, "while the command ran");
        p->is_eof_sent = rc == 0;
    }
    mrc_ssh_flush(s);
    return 0;
}

/* Seconds between keep-alives, 0 for none; libssh2 sends at most one in two seconds. */
static int alive_interval_s(const struct ssh *s)
{
    return s->c->alive_interval_s == 1 ? 2 : s->c->alive_interval_s;
}

/* Asks the server for a sign of life when it was silent for ServerAliveInterval. */
static int keep_alive(struct ssh *s, struct pump *p, struct err *e)
{
    int interval_s = alive_interval_s(s);
    if (!interval_s)
        return 0;
    uint64_t now_ms = clock_mono_ms();
    /* While nobody takes either stream, nothing is read: see wait_pump. */
    bool is_deaf = p->down_head < p->down_tail && p->err_head < p->err_tail;
    if (s->heard_count != p->heard_count || is_deaf) {
        p->heard_count = s->heard_count;
        p->alive_ms = (is_deaf ? now_ms : s->heard_ms) + (uint64_t)interval_s * 1000;
        p->unanswered = 0;
    }
    if (now_ms < p->alive_ms)
        return 0;
    if (p->unanswered >= (unsigned)s->c->alive_count_max) {
        err_set(e, 0, "%s has not answered for %d s: connection given up", s->c->alias,
                interval_s * (s->c->alive_count_max + 1));
        return -ETIMEDOUT;
    }
    int next_s;
    p->unanswered++;
    p->alive_ms = now_ms + (uint64_t)interval_s * 1000;
    libssh2_keepalive_config(s->session, 1, 2); /* the interval is ours */
    int rc = libssh2_keepalive_send(s->session, &next_s);
    mrc_ssh_flush(s);
    return rc < 0 && rc != LIBSSH2_ERROR_EAGAIN
               ? mrc_ssh_failed(s, rc, e, "while the command ran")
               : 0;
}

static int wait_pump(struct ssh *s, struct pump *p)
{
    bool has_up = p->up_head < p->up_tail;
    bool has_down = p->down_head < p->down_tail;
    bool has_err = p->err_head < p->err_tail;
    bool is_full = buf_len(&s->out) >= OUT_HIGH_BYTES;
    struct pollfd f[3] = { { s->sock, 0, 0 },
                           { p->is_gone ? -1 : s->stream, 0, 0 },
                           { has_err ? STDERR_FILENO : -1, POLLOUT, 0 } };
    /* What comes from the server is taken in by a read or a write, and its window bounds it: it
       is heard also while mrc does not take what there is, or it would seem to be dead. */
    if (!has_down || !has_err || (has_up && !is_full))
        f[0].events |= POLLIN;
    if (buf_len(&s->out))
        f[0].events |= POLLOUT;
    if (!has_up && !p->is_up_over)
        f[1].events |= POLLIN;
    if (has_down)
        f[1].events |= POLLOUT;
    /* Not before nothing can be done without waiting: libssh2 may hold words of the command
       that an earlier read left, or that came while something was sent. */
    bool is_ready = s->in_head < s->in_tail || (p->is_down_more && !has_down) ||
                    (p->is_err_more && !has_err) || (has_up && !is_full && !p->is_up_held) ||
                    (s->taken_bytes != p->pulled_bytes && !has_down);
    int timeout_ms = is_ready ? 0 : -1;
    uint64_t now_ms = clock_mono_ms();
    uint64_t at_ms = p->is_gone            ? p->gone_ms + GONE_TIMEOUT_MS
                     : alive_interval_s(s) ? p->alive_ms
                                           : 0;
    if (timeout_ms < 0 && at_ms)
        timeout_ms = at_ms > now_ms ? (int)(at_ms - now_ms) : 0;
    int n = poll(f, 3, timeout_ms);
    if (n < 0 && errno != EINTR)
        return -errno;
    if (n > 0 && (f[1].revents & (POLLHUP | POLLERR)))
        p->is_gone = true;
    if (p->is_gone && !p->gone_ms)
        p->gone_ms = clock_mono_ms();
    return 0;
}

/* Has all ended that had to? */
static bool is_finished(struct ssh *s, const struct pump *p)
{
    if (p->is_gone) /* mrc wants no answers; its last words go out first */
        return (p->is_eof_sent && !buf_len(&s->out)) ||
               (p->gone_ms && clock_mono_ms() >= p->gone_ms + GONE_TIMEOUT_MS);
    return p->is_shut && p->err_head == p->err_tail &&
           libssh2_channel_wait_closed(s->channel) == 0;
}

static int pump(struct ssh *s, struct pump *p, struct err *e)
{
    p->alive_ms = clock_mono_ms() + (uint64_t)alive_interval_s(s) * 1000;
    while (!is_finished(s, p)) {
        int rc = p->is_started ? 0 : start_command(s, p, e);
        if (rc == 0)
            rc = pull(s, p, e);
        if (rc == 0 && !p->is_started)
            rc = start_command(s, p, e); /* the confirmation came with the rest */
        if (rc < 0)
            return p->is_gone ? -ECANCELED : rc;
        give_stderr(p);
        give(s, p);
        rc = push(s, p, e);
        if (rc == 0)
            rc = keep_alive(s, p, e);
        if (rc == 0 && s->is_sock_over && !p->is_shut)
            rc = mrc_ssh_lost(s, e, "while the command ran");
        if (rc == 0 && !is_finished(s, p))
            rc = wait_pump(s, p);
        if (rc < 0)
            return p->is_gone ? -ECANCELED : rc;
    }
    return 0;
}

int mrc_ssh_run_command(struct ssh *s, struct err *e)
{
    AUTO_FREE struct pump *p = calloc(1, sizeof *p);
    AUTO_FREE uint8_t *up = malloc(UP_BYTES);
    AUTO_FREE uint8_t *down = malloc(DOWN_BYTES);
    if (!p || !up || !down)
        return err_set(e, ENOMEM, "buffers for %s", s->c->alias);
    p->up = up;
    p->down = down;
    int rc = open_channel(s, e);
    return rc < 0 ? rc : pump(s, p, e);
}
