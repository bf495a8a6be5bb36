/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ahead.c: files that are read ahead for bodies. Must not know: how calls are made.
 * Source: fcntl(2) "Leases", pidfd_getfd(2).
 * While we hold a read lease nobody can open the file for writing or cut it, so what was sent
 * is what a read would bring. Nobody else has the file description, so its offset is where the
 * body's reads have left it. Whoever wants to change the file waits for the host to say that it
 * gives nothing any more, or until it may not by itself. */
#include "mosix-core/deputy/ahead.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "mosix-core/deputy/files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RUN = 2,         /* full reads in a row, after which more are expected */
    IN_VAIN = 4,     /* streams; then that descriptor is let alone */
    AGAIN_MS = 1000, /* after a file had no lease */
    LOOK_SHARE = 10, /* looking takes no more than this part of the time */
};

/* ---- who ---- */

static struct mx_reader *find(struct mx_sender *s, uint32_t who)
{
    for (unsigned i = 0; i < MX_AHEAD_PROCESSES; i++)
        if (s->readers[i].is_used && s->readers[i].who == who)
            return &s->readers[i];
    return NULL;
}

static struct mx_reader *get(struct mx_sender *s, uint32_t who)
{
    struct mx_reader *r = find(s, who);
    for (unsigned i = 0; !r && i < MX_AHEAD_PROCESSES; i++)
        if (!s->readers[i].is_used) {
            r = &s->readers[i];
            *r = (struct mx_reader){ .who = who, .is_used = true };
        }
    return r;
}

static void set_own(struct mx_reader *r, int fd, bool is_own)
{
    mx_fds_put(&r->own, fd, is_own);
    mx_fds_put(&r->others, fd, !is_own);
}

/* fd is the same as another one from now on: nobody's own, but that can be seen, unless others
 * who can't be seen may have that one. */
static void set_same(struct mx_reader *r, int fd, int as)
{
    mx_fds_put(&r->own, fd, false);
    mx_fds_put(&r->others, fd, as < 0 || as >= MX_FDS_MAX || mx_fds_has(&r->others, as));
}

/* Whoever waits to change the file goes on. */
static void give_up(struct mx_sending *x)
{
    if (!x->has_lease)
        return;
    (void)fcntl(x->file, F_SETLEASE, F_UNLCK);
    (void)fcntl(x->file, F_SETSIG, 0);
    (void)fcntl(x->file, F_SETOWN, 0);
    x->has_lease = false;
}

/* Before anything else of the process is done. */
static void end(struct mx_sending *x)
{
    if (!x->number)
        return;
    give_up(x);
    fd_close(&x->file);
    *x = (struct mx_sending){ 0 };
}

static void end_all(struct mx_reader *r)
{
    for (unsigned i = 0; i < MX_AHEAD_STREAMS; i++)
        end(&r->streams[i]);
}

void mx_sender_pause(struct mx_sender *s, uint32_t who)
{
    struct mx_reader *r = find(s, who);
    if (r)
        end_all(r);
}

void mx_sender_end(struct mx_sender *s, uint32_t who)
{
    struct mx_reader *r = find(s, who);
    mx_sender_pause(s, who);
    if (r)
        r->is_used = false;
}

void mx_sender_fini(struct mx_sender *s)
{
    for (unsigned i = 0; i < MX_AHEAD_PROCESSES; i++)
        end_all(&s->readers[i]);
}

/* ---- calls ---- */

/* All that it has may be somebody else's too from now on, which can be seen or not. */
static void share(struct mx_reader *r, bool is_seen)
{
    end_all(r);
    r->own = (struct mx_fds){ { 0 } };
    r->has_sent |= !is_seen; /* nobody sees when such a message is taken, or what then has it */
    memset(&r->others, r->has_sent ? 0xff : 0, sizeof r->others);
    r->runs = (struct mx_runs){ .next = 0 };
}

void mx_sender_forget(struct mx_sender *s)
{
    for (unsigned i = 0; i < MX_AHEAD_PROCESSES; i++)
        s->readers[i].own = (struct mx_fds){ { 0 } };
}

void mx_sender_before(struct mx_sender *s, uint32_t who, const struct mx_call_line *line,
                      const uint64_t args[MX_CALL_ARGS])
{
    struct mx_reader *r = find(s, who);
    if (!r)
        return;
    enum mx_ahead_effect most = mx_ahead_effect(line, args, -1);
    if (most >= MX_AHEAD_SHARES) {
        share(r, most == MX_AHEAD_SHARES);
        return;
    }
    bool is_read = strcmp(line->name, "read") == 0;
    /* Between the pieces of a read that is longer than what one call brings. */
    if (strcmp(line->name, "poll") == 0)
        r->runs = (struct mx_runs){ .next = 0 };
    for (unsigned i = 0; i < MX_AHEAD_STREAMS; i++) {
        struct mx_sending *x = &r->streams[i];
        if (x->number && (mx_ahead_effect(line, args, x->fd) != MX_AHEAD_STAYS ||
                          (is_read && (int)args[0] == x->fd)))
            end(x);
    }
    for (unsigned i = 0; i < line->arg_count; i++) {
        int fd = (int)args[i];
        if (line->args[i].kind != MX_KIND_FD || fd < 0)
            continue;
        enum mx_ahead_effect what = mx_ahead_effect(line, args, fd);
        if (what == MX_AHEAD_TOUCHES)
            set_own(r, fd, false);
        else if (what == MX_AHEAD_DOUBLES)
            mx_fds_put(&r->own, fd, false);
        if (what != MX_AHEAD_STAYS)
            *mx_run_of(&r->runs, fd) = 0;
    }
}

/* A signal that we are listening to anyway tells that somebody wants to change the file. */
static bool lease(int file)
{
    if (fcntl(file, F_GETSIG) != 0 || fcntl(file, F_GETOWN) != 0 ||
        fcntl(file, F_GETLEASE) != F_UNLCK)
        return false; /* the process has plans of its own */
    if (fcntl(file, F_SETSIG, SIGCHLD) == 0 && fcntl(file, F_SETLEASE, F_RDLCK) == 0)
        return true;
    (void)fcntl(file, F_SETSIG, 0);
    (void)fcntl(file, F_SETOWN, 0);
    return false;
}

/* Returns whether nobody else has it; else that descriptor isn't looked at again. */
static bool is_own(struct mx_reader *r, pid_t pid, int fd, const struct stat *st, uint64_t now)
{
    if (mx_fds_has(&r->own, fd))
        return true;
    bool is_shared = mx_file_is_shared(pid, fd, st);
    uint64_t took_ms = clock_mono_ms() - now;
    set_own(r, fd, !is_shared);
    r->not_until = now + LOOK_SHARE * took_ms;
    return !is_shared;
}

/* Returns whether it is read ahead from now on. */
static bool begin(struct mx_reader *r, struct mx_sending *x, pid_t pid, int fd, uint64_t len)
{
    struct stat st;
    uint64_t now = clock_mono_ms();
    if (now < r->not_until || fd < 0 || fd >= MX_FDS_MAX || mx_fds_has(&r->others, fd) ||
        !mx_has_one_thread(pid))
        return false;
    int64_t at = mx_file_offset(pid, fd);
    AUTO_FD file = at < 0 ? -1 : mx_file_get(pid, fd);
    if (file < 0 || !mx_file_is_local(file, &st)) {
        set_own(r, fd, false); /* it is not tried again */
        return false;
    }
    if (!is_own(r, pid, fd, &st, now))
        return false;
    if (!lease(file)) {
        r->not_until = now + AGAIN_MS;
        return false;
    }
    len = len < MX_AHEAD_WINDOW_MAX / 2 ? len : MX_AHEAD_WINDOW_MAX / 2;
    *x = (struct mx_sending){ .fd = fd,
                              .file = take_fd(&file),
                              .has_lease = true,
                              .start = at,
                              .window_bytes =
                                  2 * len > MX_AHEAD_WINDOW_MIN ? 2 * len : MX_AHEAD_WINDOW_MIN,
                              .promised_ms = now + MX_AHEAD_GOOD_MS + MX_AHEAD_SLACK_MS,
                              .heard_ms = now };
    return true;
}

static int on_read(struct mx_sender *s, struct mx_reader *r, pid_t pid, struct mx_link *l,
                   int fd, uint64_t len_bytes)
{
    struct mx_sending *x = NULL;
    if (++*mx_run_of(&r->runs, fd) < RUN)
        return 0;
    for (unsigned i = 0; i < MX_AHEAD_STREAMS; i++)
        if (!r->streams[i].number)
            x = &r->streams[i];
    if (!x || !begin(r, x, pid, fd, len_bytes))
        return 0;
    s->last_number = s->last_number + 1 ? s->last_number + 1 : 1;
    x->number = s->last_number;
    struct wr *w = mx_link_begin(l, MX_TALK_AHEAD_OPEN, r->who);
    put_u32(w, x->number);
    put_u32(w, (uint32_t)fd);
    return mx_link_send(l);
}

static bool is_open(const char *name)
{
    return strcmp(name, "openat") == 0 || strcmp(name, "open") == 0 ||
           strcmp(name, "openat2") == 0;
}

int mx_sender_after(struct mx_sender *s, uint32_t who, pid_t pid, struct mx_link *l,
                    const struct mx_call_line *line, const uint64_t args[MX_CALL_ARGS],
                    int64_t result)
{
    bool is_read = strcmp(line->name, "read") == 0, is_dup = strncmp(line->name, "dup", 3) == 0;
    if (result < 0 || (!is_read && !is_dup && !is_open(line->name)))
        return 0;
    struct mx_reader *r = get(s, who);
    if (!r)
        return 0;
    if (is_dup)
        set_same(r, (int)result, (int)args[0]);
    else if (!is_read)
        set_own(r, (int)result, mx_has_one_thread(pid));
    else if (result > 0 && (uint64_t)result == args[2])
        return on_read(s, r, pid, l, (int)args[0], args[2]);
    else
        *mx_run_of(&r->runs, (int)args[0]) = 0;
    return 0;
}

/* ---- giving up ---- */

static int ask_back(struct mx_reader *r, struct mx_sending *x, struct mx_link *l)
{
    if (x->is_revoked)
        return 0;
    x->is_revoked = true;
    put_u32(mx_link_begin(l, MX_TALK_AHEAD_REVOKE, r->who), x->number);
    return mx_link_send(l);
}

int mx_sender_hinders(struct mx_sender *s, const struct mx_call_line *line,
                      const uint64_t args[MX_CALL_ARGS], struct mx_link *l)
{
    int rc = 0;
    bool hinders = false;
    if (!mx_ahead_is_impatient(line, args))
        return 0;
    for (unsigned i = 0; rc == 0 && i < MX_AHEAD_PROCESSES * MX_AHEAD_STREAMS; i++) {
        struct mx_reader *r = &s->readers[i / MX_AHEAD_STREAMS];
        struct mx_sending *x = &r->streams[i % MX_AHEAD_STREAMS];
        if (!x->number || !x->has_lease)
            continue;
        hinders = true;
        rc = ask_back(r, x, l);
    }
    return rc < 0 ? rc : hinders;
}

/* When something is to be done of it. */
static uint64_t next_ms(const struct mx_sending *x)
{
    return x->is_revoked ? x->promised_ms : x->heard_ms + MX_AHEAD_IDLE_MS;
}

static int check_one(struct mx_reader *r, struct mx_sending *x, struct mx_link *l, uint64_t now)
{
    int rc = 0;
    if (fcntl(x->file, F_GETLEASE) != F_RDLCK || now >= next_ms(x))
        rc = ask_back(r, x, l);
    if (x->is_revoked && now >= x->promised_ms)
        give_up(x);
    return rc;
}

int mx_sender_check(struct mx_sender *s, struct mx_link *l)
{
    int rc = 0;
    uint64_t now = clock_mono_ms();
    for (unsigned i = 0; rc == 0 && i < MX_AHEAD_PROCESSES * MX_AHEAD_STREAMS; i++) {
        struct mx_reader *r = &s->readers[i / MX_AHEAD_STREAMS];
        struct mx_sending *x = &r->streams[i % MX_AHEAD_STREAMS];
        if (x->number && x->has_lease)
            rc = check_one(r, x, l, now);
    }
    return rc;
}

int mx_sender_wait_ms(const struct mx_sender *s)
{
    uint64_t first = UINT64_MAX;
    for (unsigned i = 0; i < MX_AHEAD_PROCESSES * MX_AHEAD_STREAMS; i++) {
        const struct mx_sending *x =
            &s->readers[i / MX_AHEAD_STREAMS].streams[i % MX_AHEAD_STREAMS];
        if (x->number && x->has_lease && next_ms(x) < first)
            first = next_ms(x);
    }
    if (first == UINT64_MAX)
        return -1;
    uint64_t now = clock_mono_ms();
    return first > now ? (int)(first - now) : 0;
}

/* ---- frames ---- */

/* The host may give what it has for longer. */
static int stamp(struct mx_reader *r, struct mx_sending *x, uint64_t time, struct mx_link *l)
{
    if (x->is_revoked)
        return 0;
    x->promised_ms = x->heard_ms + MX_AHEAD_GOOD_MS + MX_AHEAD_SLACK_MS;
    struct wr *w = mx_link_begin(l, MX_TALK_AHEAD_STAMP, r->who);
    put_u32(w, x->number);
    put_u64(w, time);
    return mx_link_send(l);
}

static void widen(struct mx_sending *x, uint64_t wanted)
{
    uint64_t most = MX_AHEAD_WINDOW_MAX;
    bool is_waited_for = wanted > x->sent;
    if (is_waited_for && 2 * (wanted - x->taken) > x->window_bytes)
        x->window_bytes = 2 * (wanted - x->taken);
    else if (is_waited_for)
        x->window_bytes *= 2;
    x->window_bytes = x->window_bytes < most ? x->window_bytes : most;
}

int mx_sender_frame(struct mx_sender *s, struct mx_talk_frame *f, struct mx_link *l)
{
    uint32_t number;
    uint64_t taken, wanted = 0, time = 0;
    struct mx_reader *r = find(s, f->who);
    bool is_left = f->kind == MX_TALK_AHEAD_LEFT;
    if (get_u32(&f->body, &number) < 0 || get_u64(&f->body, &taken) < 0 ||
        (!is_left && (get_u64(&f->body, &wanted) < 0 || get_u64(&f->body, &time) < 0)))
        return -EPROTO;
    for (unsigned i = 0; r && number && i < MX_AHEAD_STREAMS; i++) {
        struct mx_sending *x = &r->streams[i];
        if (x->number != number)
            continue;
        if (taken > x->sent || taken < x->taken || wanted > taken + MX_CALL_BYTES_MAX)
            return -EPROTO;
        if (lseek(x->file, x->start + (int64_t)taken, SEEK_SET) < 0)
            return -errno;
        x->taken = taken;
        x->heard_ms = clock_mono_ms();
        if (!is_left) {
            widen(x, wanted);
            return stamp(r, x, time, l);
        }
        r->in_vain = taken ? 0 : r->in_vain + 1;
        if (r->in_vain >= IN_VAIN)
            set_own(r, x->fd, false);
        end(x);
    }
    return 0;
}

/* The next piece. Returns 1 when there was one, 0, -errno. */
static int push_one(struct mx_reader *r, struct mx_sending *x, struct mx_link *l)
{
    struct wr *w = mx_link_begin(l, MX_TALK_AHEAD_BYTES, r->who);
    put_u32(w, x->number);
    uint64_t left = x->window_bytes - (x->sent - x->taken);
    size_t some = left < MX_AHEAD_PIECE_MAX ? (size_t)left : MX_AHEAD_PIECE_MAX;
    ssize_t n = pread(x->file, w->at, some, x->start + (int64_t)x->sent);
    if (n < 0 && errno == EINTR)
        return 1;
    if (n < 0) /* whoever reads it shall be told */
        return ask_back(r, x, l);
    w->at += n;
    x->sent += (uint64_t)n;
    x->is_whole = n == 0;
    int rc = mx_link_send(l);
    return rc < 0 ? rc : 1;
}

int mx_sender_push(struct mx_sender *s, struct mx_link *l)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < MX_AHEAD_PROCESSES * MX_AHEAD_STREAMS; i++) {
        struct mx_reader *r = &s->readers[i / MX_AHEAD_STREAMS];
        struct mx_sending *x = &r->streams[i % MX_AHEAD_STREAMS];
        if (!r->is_used || !x->number)
            continue;
        do
            rc = x->is_whole || x->is_revoked || x->sent - x->taken >= x->window_bytes ||
                         buf_len(&l->out) > MX_AHEAD_QUEUE_MAX
                     ? 0
                     : push_one(r, x, l);
        while (rc > 0);
    }
    return rc;
}
