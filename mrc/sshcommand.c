/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sshcommand.c: commands on an SSH server, each on a channel of its own, and the bytes between
 * them and whoever asked: mrc's own command, and those that are asked for on the control socket
 * (docs/hub.md).
 * Must not know: what the bytes are.
 * Invariant: one channel that nobody reads or writes holds up no other. */
#include "mrc/sshparts.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/share.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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
    LOST_STATUS = 254, /* our exit status when mrc says itself what became of the command */
    CHANNELS_MAX = 64,      /* of one connection; sshd's MaxSessions is 10 */
    DEAF_LOOK_MS = 200, /* without a channel nothing can be read: libssh2 has no call for it */
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

/* Bytes on their way between one command and who asked for it. */
struct pump {
    LIBSSH2_CHANNEL *channel; /* NULL: not open yet */
    int stream;
    const char *command;
    char *own_command; /* of a command that came over the control socket */
    bool is_first;     /* mrc's own, the one with a standard error */
    uint8_t *up;       /* from mrc to the command: [up_head, up_tail) */
    size_t up_head, up_tail;
    uint8_t *down; /* from the command to mrc */
    size_t down_head, down_tail;
    uint8_t err[ERR_BYTES]; /* from the command to our stderr */
    size_t err_head, err_tail;
    uint64_t pulled_bytes; /* taken_bytes when the channel, or its words, were last asked for */
    bool is_started;       /* the server has confirmed the command */
    bool is_up_held;       /* the server has no room: it will tell when it has */
    bool is_up_over;       /* mrc sends no more */
    bool is_eof_sent;
    bool is_down_over;              /* the command sends no more */
    bool is_shut;                   /* and mrc knows */
    bool is_gone;                   /* mrc has closed the stream */
    bool is_down_more, is_err_more; /* the last read gave something: libssh2 may hold more */
    bool is_closing;                /* over: the channel is given back */
    uint64_t gone_ms;
    struct pump *next;
};

/* One connection and its commands. */
struct cable {
    struct ssh *s;
    int control;  /* from who may ask for more commands; -1: nobody */
    bool is_kept; /* the connection outlives mrc */
    bool has_stderr;
    unsigned window;
    struct pump *pumps;
    size_t count;
    unsigned unanswered;  /* keep-alives since the server was last heard */
    uint64_t heard_count; /* when unanswered was last 0 */
    uint64_t alive_ms;    /* when the next one is due */
};

/* Nobody of the first mrc's waits any more: what reads its standard error must see the end. */
static void drop_stderr(struct cable *c)
{
    if (!c->has_stderr)
        return;
    AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDERR_FILENO);
    c->has_stderr = false;
}

static void free_pump(struct pump *p)
{
    fd_close(&p->stream);
    free(p->own_command);
    free(p->up);
    free(p->down);
    free(p);
}

/* stream: taken, also on failure. */
static struct pump *add_pump(struct cable *c, int stream)
{
    struct pump *p = calloc(1, sizeof *p);
    if (p)
        p->stream = stream;
    else
        close(stream);
    if (!p || !(p->up = malloc(UP_BYTES)) || !(p->down = malloc(DOWN_BYTES))) {
        if (p)
            free_pump(p);
        return NULL;
    }
    struct pump **at = &c->pumps;
    while (*at)
        at = &(*at)->next;
    *at = p;
    c->count++;
    return p;
}

/* libssh2 opens one channel at a time: the first in the list that has none. Returns 0 also when
 * it is not open yet; the server's refusal ends that one only. */
static int open_channel(struct cable *c, struct pump *p, struct err *e)
{
    static const char kind[] = "session";
    p->channel = libssh2_channel_open_ex(c->s->session, kind, sizeof kind - 1, c->window,
                                         PACKET_BYTES, NULL, 0);
    mrc_ssh_flush(c->s);
    if (p->channel)
        return 0;
    int rc = libssh2_session_last_errno(c->s->session);
    if (rc == LIBSSH2_ERROR_EAGAIN)
        return 0;
    if (p->is_first || c->s->is_sock_over)
        return mrc_ssh_failed(c->s, rc, e, "refused to open a channel");
    p->is_closing = true;
    return 0;
}

/* The request is sent and the stream may follow it at once: the confirmation comes when it
 * comes, which saves a round trip. */
static int start_command(struct ssh *s, struct pump *p, struct err *e)
{
    int rc = libssh2_channel_process_startup(p->channel, "exec", 4, p->command,
                                             (unsigned)strlen(p->command));
    if (rc == LIBSSH2_ERROR_EAGAIN)
        return 0;
    if (rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED && !p->is_first) {
        p->is_closing = true;
        return 0;
    }
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
        ssize_t n = libssh2_channel_read_ex(p->channel, 0, (char *)p->down, DOWN_BYTES);
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
        ssize_t n = libssh2_channel_read_ex(p->channel, SSH_EXTENDED_DATA_STDERR,
                                            (char *)p->err, ERR_BYTES);
        if (n < 0 && n != LIBSSH2_ERROR_EAGAIN)
            return mrc_ssh_failed(s, (int)n, e, "while the command ran");
        p->err_tail = n > 0 ? (size_t)n : 0;
        p->is_err_more = n > 0;
    }
    if (p->down_head == p->down_tail && libssh2_channel_eof(p->channel))
        p->is_down_over = true;
    return 0;
}

static void give_stderr(struct pump *p)
{
    if (!p->is_first) { /* its mrc has no standard error that we know */
        p->err_head = p->err_tail;
        return;
    }
    struct pollfd f = { STDERR_FILENO, POLLOUT, 0 };
    if (p->err_head == p->err_tail || poll(&f, 1, 0) <= 0)
        return;
    ssize_t n = write(STDERR_FILENO, p->err + p->err_head, p->err_tail - p->err_head);
    p->err_head += n > 0 ? (size_t)n : p->err_tail - p->err_head; /* broken: nobody reads it */
}

/* Gives mrc what there is. */
static void give(struct pump *p)
{
    while (p->down_head < p->down_tail && !p->is_gone) {
        ssize_t n = send(p->stream, p->down + p->down_head, p->down_tail - p->down_head,
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
        (void)shutdown(p->stream, SHUT_WR);
    }
}

static void take(struct pump *p)
{
    if (p->up_head < p->up_tail || p->is_up_over)
        return;
    p->up_head = p->up_tail = 0;
    ssize_t n = recv(p->stream, p->up, UP_BYTES, MSG_DONTWAIT);
    if (n > 0)
        p->up_tail = (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        p->is_up_over = true;
}

/* Sends the command what mrc gave, as far as the server's window and our buffer go. */
static int push(struct ssh *s, struct pump *p, struct err *e)
{
    for (;;) {
        take(p);
        if (p->up_head == p->up_tail || buf_len(&s->out) >= OUT_HIGH_BYTES)
            break;
        ssize_t n = libssh2_channel_write_ex(p->channel, 0, (char *)p->up + p->up_head,
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
        int rc = libssh2_channel_send_eof(p->channel);
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

/* While nobody takes any stream, nothing is read: see wait_cable. */
static bool is_deaf(const struct cable *c)
{
    for (const struct pump *p = c->pumps; p; p = p->next)
        if (p->down_head == p->down_tail || p->err_head == p->err_tail)
            return false;
    return true;
}

/* Asks the server for a sign of life when it was silent for ServerAliveInterval. */
static int keep_alive(struct cable *c, struct err *e)
{
    struct ssh *s = c->s;
    int interval_s = alive_interval_s(s);
    if (!interval_s)
        return 0;
    uint64_t now_ms = clock_mono_ms();
    bool is_blind = is_deaf(c);
    if (s->heard_count != c->heard_count || is_blind) {
        c->heard_count = s->heard_count;
        c->alive_ms = (is_blind ? now_ms : s->heard_ms) + (uint64_t)interval_s * 1000;
        c->unanswered = 0;
    }
    if (now_ms < c->alive_ms)
        return 0;
    if (c->unanswered >= (unsigned)s->c->alive_count_max) {
        err_set(e, 0, "%s has not answered for %d s: connection given up", s->c->alias,
                interval_s * (s->c->alive_count_max + 1));
        return -ETIMEDOUT;
    }
    int next_s;
    c->unanswered++;
    c->alive_ms = now_ms + (uint64_t)interval_s * 1000;
    libssh2_keepalive_config(s->session, 1, 2); /* the interval is ours */
    int rc = libssh2_keepalive_send(s->session, &next_s);
    mrc_ssh_flush(s);
    return rc < 0 && rc != LIBSSH2_ERROR_EAGAIN
               ? mrc_ssh_failed(s, rc, e, "while the command ran")
               : 0;
}

/* ---- who asks for more ---- */

/* From now on the connection is the hub's: mrc's end, and the signals of its terminal, are
 * nothing to us. */
static void be_kept(struct cable *c)
{
    c->is_kept = true;
    prctl(PR_SET_PDEATHSIG, 0);
    (void)setsid();
    (void)!chdir("/");
}

static int take_request(struct cable *c)
{
    char text[MRC_SHARE_COMMAND_BYTES];
    int fd;
    int rc = mrc_share_receive(c->control, text, &fd);
    if (rc == -EAGAIN)
        return 0;
    if (rc < 0)
        return rc;
    if (!*text) {
        be_kept(c);
        close(fd);
        return 0;
    }
    struct pump *p = c->count < CHANNELS_MAX ? add_pump(c, fd) : NULL;
    if (!p && c->count >= CHANNELS_MAX)
        close(fd);
    if (p && !(p->own_command = strdup(text)))
        p->is_closing = true;
    if (p)
        p->command = p->own_command;
    return 0;
}

/* ---- waiting ---- */

/* Nobody wants it. An opening that nobody answers is waited for as long as for last bytes. */
static bool is_over(const struct pump *p)
{
    return p->is_closing || (p->is_gone && !p->channel && p->gone_ms &&
                             clock_mono_ms() >= p->gone_ms + GONE_TIMEOUT_MS);
}

/* Nobody wants anything of the connection any more: it ends, and need not be there for that. */
static bool is_all_over(const struct cable *c)
{
    for (const struct pump *p = c->pumps; p; p = p->next)
        if (!is_over(p))
            return false;
    return c->control < 0;
}

/* Fills in what one stream is waited for; true: more can be done without waiting. */
static bool watch_pump(struct cable *c, struct pump *p, struct pollfd *f, short *sock_events)
{
    struct ssh *s = c->s;
    *f = (struct pollfd){ p->is_gone || p->is_closing ? -1 : p->stream, 0, 0 };
    if (!p->channel || p->is_closing) {
        *sock_events |= POLLIN;
        /* What it waits for may have been taken in when another one read or wrote. */
        return s->in_head < s->in_tail || s->taken_bytes != p->pulled_bytes;
    }
    bool has_up = p->up_head < p->up_tail;
    bool has_down = p->down_head < p->down_tail;
    bool has_err = p->err_head < p->err_tail;
    bool is_full = buf_len(&s->out) >= OUT_HIGH_BYTES;
    /* What comes from the server is taken in by a read or a write, and its window bounds it: it
       is heard also while mrc does not take what there is, or it would seem to be dead. */
    if (!has_down || !has_err || (has_up && !is_full))
        *sock_events |= POLLIN;
    if (!has_up && !p->is_up_over)
        f->events |= POLLIN;
    if (has_down)
        f->events |= POLLOUT;
    /* Not before nothing can be done without waiting: libssh2 may hold words of the command
       that an earlier read left, or that came while something was sent. */
    return s->in_head < s->in_tail || (p->is_down_more && !has_down) ||
           (p->is_err_more && !has_err) || (has_up && !is_full && !p->is_up_held) ||
           (s->taken_bytes != p->pulled_bytes && !has_down);
}

static int timeout_of(const struct cable *c, bool is_ready)
{
    if (is_ready)
        return 0;
    uint64_t now_ms = clock_mono_ms(), at_ms = UINT64_MAX;
    if (alive_interval_s(c->s))
        at_ms = c->alive_ms;
    for (const struct pump *p = c->pumps; p; p = p->next)
        if (p->is_gone && (p->channel || !is_over(p)) && !p->is_closing &&
            p->gone_ms + GONE_TIMEOUT_MS < at_ms)
            at_ms = p->gone_ms + GONE_TIMEOUT_MS;
    if (!c->pumps && now_ms + DEAF_LOOK_MS < at_ms)
        at_ms = now_ms + DEAF_LOOK_MS;
    if (at_ms == UINT64_MAX)
        return -1;
    return at_ms > now_ms ? (int)(at_ms - now_ms) : 0;
}

static void look_at_idle_socket(struct ssh *s)
{
    char byte;
    ssize_t n = recv(s->sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        s->is_sock_over = true;
        s->sock_errno = n < 0 ? errno : 0;
    }
}

static int wait_cable(struct cable *c)
{
    struct ssh *s = c->s;
    struct pollfd f[CHANNELS_MAX + 4];
    bool is_ready = false, has_err = false;
    short sock_events = buf_len(&s->out) ? POLLOUT : 0;
    nfds_t n = 4;
    for (struct pump *p = c->pumps; p; p = p->next) {
        is_ready = watch_pump(c, p, &f[n++], &sock_events) || is_ready;
        has_err = has_err || p->err_head < p->err_tail;
    }
    f[0] = (struct pollfd){ s->sock, sock_events, 0 };
    f[1] = (struct pollfd){ has_err ? STDERR_FILENO : -1, POLLOUT, 0 };
    f[2] = (struct pollfd){ c->control, POLLIN, 0 };
    f[3] = s->words ? mrc_words_poll(s->words) : (struct pollfd){ -1, 0, 0 };
    int got = poll(f, n, timeout_of(c, is_ready));
    if (got < 0 && errno != EINTR)
        return -errno;
    if (got > 0 && f[3].revents)
        mrc_words_look(s->words, getpid());
    n = 4;
    for (struct pump *p = c->pumps; p; p = p->next, n++) {
        if (got > 0 && f[n].fd >= 0 && (f[n].revents & (POLLHUP | POLLERR)))
            p->is_gone = true;
        if (p->is_gone && !p->gone_ms)
            p->gone_ms = clock_mono_ms();
        if (p->is_gone && p->is_first)
            drop_stderr(c);
    }
    if (!c->pumps)
        look_at_idle_socket(s);
    if (got > 0 && f[2].revents && take_request(c) < 0)
        fd_close(&c->control);
    return 0;
}

/* ---- the end of one ---- */

/* Has all ended that had to? */
static bool is_finished(struct cable *c, const struct pump *p)
{
    /* mrc wants no answers; its last words go out first, and the command sees that it has ended before it sees that
       nobody listens: so it knows that from a connection that broke. */
    if (p->is_gone)
        return (p->is_eof_sent && !buf_len(&c->s->out) && p->is_down_over) || !p->channel ||
               (p->gone_ms && clock_mono_ms() >= p->gone_ms + GONE_TIMEOUT_MS);
    if (!p->is_shut || p->err_head < p->err_tail)
        return false;
    bool is_last = c->count == 1 && c->control < 0; /* else its place is given back */
    return !is_last || libssh2_channel_wait_closed(p->channel) == 0;
}

/* Gives the channel back; true when that is done. */
static bool release(struct cable *c, struct pump *p)
{
    fd_close(&p->stream);
    if (p->is_first && (c->is_kept || p->is_gone))
        drop_stderr(c);
    bool is_end = is_all_over(c);
    int rc = 0;
    if (p->channel && !c->s->is_sock_over)
        rc = is_end ? libssh2_channel_close(p->channel) : libssh2_channel_free(p->channel);
    mrc_ssh_flush(c->s);
    return is_end || rc != LIBSSH2_ERROR_EAGAIN;
}

/* One turn of one command. */
static int turn(struct cable *c, struct pump *p, struct err *e)
{
    struct ssh *s = c->s;
    int rc = p->is_started ? 0 : start_command(s, p, e);
    if (rc == 0 && !p->is_closing)
        rc = pull(s, p, e);
    if (rc == 0 && !p->is_started && !p->is_closing)
        rc = start_command(s, p, e); /* the confirmation came with the rest */
    if (rc < 0 || p->is_closing)
        return rc;
    give_stderr(p);
    give(p);
    return push(s, p, e);
}

static int turn_all(struct cable *c, struct err *e)
{
    bool is_opening = false;
    int rc = 0;
    for (struct pump **at = &c->pumps; *at && rc == 0;) {
        struct pump *p = *at;
        /* An opening that was begun is ended before another begins. */
        if (!p->channel && !p->is_closing && !is_opening) {
            rc = open_channel(c, p, e);
            is_opening = !p->channel && !p->is_closing;
        }
        if (rc == 0 && p->channel && !p->is_closing)
            rc = turn(c, p, e);
        if (rc == 0 && p->channel ? is_finished(c, p) : is_all_over(c))
            p->is_closing = true;
        if (!p->channel || p->is_closing)
            p->pulled_bytes = c->s->taken_bytes;
        if (rc == 0 && p->is_closing && release(c, p)) {
            *at = p->next;
            free_pump(p);
            c->count--;
        } else {
            at = &p->next;
        }
    }
    return rc;
}

/* Nobody is always first: with a full buffer the others would never get their turn. Those that
 * are not open yet keep their order. */
static void rotate(struct cable *c)
{
    struct pump *p = c->pumps;
    if (!p || !p->next || !p->channel)
        return;
    struct pump **at = &p->next;
    while (*at)
        at = &(*at)->next;
    c->pumps = p->next;
    p->next = NULL;
    *at = p;
}

static bool is_only_gone(const struct cable *c)
{
    return c->count == 1 && c->pumps->is_gone;
}

static int pump_all(struct cable *c, struct err *e)
{
    c->alive_ms = clock_mono_ms() + (uint64_t)alive_interval_s(c->s) * 1000;
    while (c->pumps || c->control >= 0) {
        int rc = turn_all(c, e);
        if (rc == 0 && !c->pumps && (c->control < 0 || c->s->is_sock_over))
            break;
        if (rc == 0)
            rc = keep_alive(c, e);
        bool is_answered = c->count == 1 && c->pumps->is_shut;
        if (rc == 0 && c->s->is_sock_over && !is_answered)
            rc = mrc_ssh_lost(c->s, e, "while the command ran");
        if (rc == 0)
            rc = wait_cable(c);
        if (rc < 0)
            return is_only_gone(c) ? -ECANCELED : rc;
        rotate(c);
    }
    return 0;
}

int mrc_ssh_run_command(struct ssh *s, int control, struct err *e)
{
    struct cable c = { .s = s, .control = control, .has_stderr = true };
    c.window = window_bytes(s); /* the same when a call is repeated */
    int stream = fcntl(s->stream, F_DUPFD_CLOEXEC, 3);
    struct pump *p = stream < 0 ? NULL : add_pump(&c, stream);
    if (!p)
        return err_set(e, ENOMEM, "buffers for %s", s->c->alias);
    /* Its other end must see when we are done with it. */
    fd_close(&s->stream);
    p->command = s->o->command;
    p->is_first = true;
    prctl(PR_SET_PDEATHSIG, 0); /* the stream tells when mrc has ended */
    int rc = pump_all(&c, e);
    if (rc < 0 && rc != -ECANCELED && s->o->is_resumed && (!c.pumps || c.pumps->is_started)) {
        log_at(LOG_VERBOSE, "%s", e->text);
        rc = LOST_STATUS;
    }
    fd_close(&c.control);
    while (c.pumps) {
        struct pump *next = c.pumps->next;
        free_pump(c.pumps);
        c.pumps = next;
    }
    return rc;
}
