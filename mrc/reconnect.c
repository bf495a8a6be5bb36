/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reconnect.c: see reconnect.h.
 * Must not know: the session, how connections are made. */
#include "mrc/reconnect.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/mrc.h"
#include "mrc/share.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FIRST_MS = 1000,
    LAST_MS = 30 * 1000,
    ATTEMPT_MS = 60 * 1000,
    LOOK_MS = 1000,
    SILENCE_MS = 30 * 1000, /* after so long a connection is taken for lost */
    GREETING_MS = 30 * 1000, /* for the session's agent to answer on a new stream */
    GREETING_BYTES = 1024,
    WHY_BYTES = 200,
    LEAVING_COUNT = 16,
};

struct mrc_reconnect {
    struct mrc_reconnect_opts o;
    bool is_away, is_asking;
    uint64_t lost_ms, next_ms, pause_ms, until_ms; /* until_ms: of the attempt that is being made */
    uint64_t old_ms; /* connections that were made before this are no better than the lost one */
    pid_t pid;                                     /* of it, or who holds the stream */
    int sock;                                      /* to it; -1: none */
    pid_t leaving[LEAVING_COUNT];                  /* earlier ones, to be waited for */
    struct loop_fd watch;
    struct loop_timer timer;
    char why[WHY_BYTES];
};

/* ---- the process of an attempt ---- */

static uint64_t old_ms; /* 0: this is no such process */

uint64_t mrc_reconnect_age_ms(void)
{
    return old_ms ? clock_mono_ms() - old_ms + 1 : 0;
}

/* *words_fd: where what is said on standard error can be read; -1: it is said aloud. */
static void be_quiet(const struct mrc_reconnect_opts *o, int *words_fd)
{
    static const int ours[] = { SIGINT, SIGQUIT, SIGTSTP, SIGHUP };
    AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int pair[2];
    for (int i = 0; i < 2 && null >= 0; i++)
        dup2(null, i);
    *words_fd = -1;
    if (!o->is_loud && fd_pipe(pair) == 0) {
        dup2(pair[1], STDERR_FILENO);
        close(pair[1]);
        *words_fd = pair[0];
    }
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        sigaction(ours[i], &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The last line of what was said, in place of what e says if that is nothing. */
static void take_words(int words_fd, struct err *e)
{
    static const char name[] = "mrc: ";
    char text[4096];
    ssize_t n = e->text[0] || words_fd < 0 || fd_set_nonblock(words_fd, true) < 0
                    ? 0
                    : fd_read(words_fd, text, sizeof text - 1);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    if (n <= 0)
        return;
    text[n] = 0;
    const char *line = strrchr(text, '\n');
    line = line ? line + 1 : text;
    if (strncmp(line, name, sizeof name - 1) == 0)
        line += sizeof name - 1;
    snprintf(e->text, sizeof e->text, "%.180s", line);
}

static _Noreturn void attempt(const struct mrc_reconnect_opts *o, bool may_ask, int sock,
                              struct bytes greeting, pid_t parent)
{
    struct err e = { "" };
    int fd = -1, words_fd;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    fd_close_all_but((const int[]){ STDERR_FILENO, sock, o->keep_fds[0], o->keep_fds[1] }, 4);
    be_quiet(o, &words_fd);
    prctl(PR_SET_NAME, "mrc-again");
    int rc = o->connect(o->ctx, may_ask, &fd, &e);
    if (rc == 0)
        rc = fd_write_full(fd, greeting.ptr, greeting.len);
    prctl(PR_SET_PDEATHSIG, 0); /* from now on the end of the socket is what ends us */
    if (rc < 0)
        take_words(words_fd, &e);
    fd_close(&words_fd);
    if (rc < 0) {
        const char *why = e.text[0] ? e.text : strerror(-rc);
        if (mrc_share_send(sock, why, strlen(why) + 1, -1) < 0)
            _exit(1);
        _exit(0);
    }
    rc = mrc_share_send(sock, "", 1, fd);
    fd_close(&fd);
    struct pollfd p = { .fd = sock };
    while (rc == 0 && !(p.revents & (POLLHUP | POLLERR)))
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            break;
    o->disconnect(o->ctx);
    _exit(0);
}

/* ---- here ---- */

static void reap(struct mrc_reconnect *r)
{
    for (size_t i = 0; i < LEAVING_COUNT; i++)
        if (r->leaving[i] > 0 && waitpid(r->leaving[i], NULL, WNOHANG) != 0)
            r->leaving[i] = 0;
}

/* Whoever holds a stream that was used ends by itself. */
static void leave(struct mrc_reconnect *r, pid_t pid)
{
    reap(r);
    for (size_t i = 0; i < LEAVING_COUNT; i++)
        if (!r->leaving[i]) {
            r->leaving[i] = pid;
            return;
        }
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static void end_asking(struct mrc_reconnect *r)
{
    if (!r->is_asking)
        return;
    r->is_asking = false;
    r->o.on_asked(r->o.ctx);
}

/* The words of ours and of ssh; what they mean wrongly costs an attempt. */
static bool wants_person(const char *why)
{
    return strcasestr(why, "permission denied") || strcasestr(why, "be asked");
}

static void let_go(struct mrc_reconnect *r, bool is_used)
{
    loop_fd_del(&r->watch);
    fd_close(&r->sock);
    if (r->pid > 0 && !is_used) { /* it may be busy */
        kill(r->pid, SIGKILL);
        while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    } else if (r->pid > 0) {
        leave(r, r->pid);
    }
    r->pid = 0;
    end_asking(r);
}

static void look(void *ctx);

static void on_word(void *ctx, uint32_t events UNUSED)
{
    struct mrc_reconnect *r = ctx;
    char text[WHY_BYTES];
    int fd = -1;
    int n = mrc_share_take(r->sock, text, sizeof text - 1, &fd);
    if (n == -EAGAIN)
        return;
    if (n > 0 && fd >= 0) {
        loop_fd_del(&r->watch);
        end_asking(r);
        r->until_ms = clock_mono_ms() + GREETING_MS;
        r->o.on_stream(r->o.ctx, fd);
        return;
    }
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    snprintf(r->why, sizeof r->why, "%s", text);
    log_at(LOG_VERBOSE, "not yet: %s", r->why);
    bool has_asked = r->is_asking;
    let_go(r, false);
    r->until_ms = 0;
    r->next_ms = clock_mono_ms() + r->pause_ms;
    if (wants_person(r->why) && r->o.on_ask && r->o.on_ask(r->o.ctx)) {
        r->is_asking = true;
        r->next_ms = clock_mono_ms() + (has_asked ? FIRST_MS : 0);
    }
    r->pause_ms = r->pause_ms * 2 < LAST_MS ? r->pause_ms * 2 : LAST_MS;
    look(r);
}

static int begin(struct mrc_reconnect *r)
{
    uint8_t greeting[GREETING_BYTES];
    int len = r->o.greet(r->o.ctx, greeting, sizeof greeting);
    int ours, theirs;
    int rc = len < 0 ? len : mrc_share_pair(&ours, &theirs);
    if (rc < 0)
        return rc;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        old_ms = r->old_ms;
    if (pid == 0)
        attempt(&r->o, r->is_asking, theirs, (struct bytes){ greeting, (uint32_t)len }, parent);
    rc = pid < 0 ? -errno : 0;
    close(theirs);
    if (rc < 0) {
        close(ours);
        return rc;
    }
    r->pid = pid;
    r->sock = ours;
    r->until_ms = r->is_asking ? UINT64_MAX : clock_mono_ms() + ATTEMPT_MS;
    return loop_fd_add(r->o.loop, &r->watch, r->sock, EPOLLIN, on_word, r);
}

static void give_up(struct mrc_reconnect *r)
{
    char text[WHY_BYTES + 100];
    r->is_away = false;
    loop_timer_del(&r->timer);
    let_go(r, false);
    snprintf(text, sizeof text, "the connection was lost and could not be made again within %u s%s%s",
             r->o.wait_s, r->why[0] ? ": " : "", r->why);
    r->o.on_given_up(r->o.ctx, text);
}

/* What is due, and once a second for whoever looks on. */
static void look(void *ctx)
{
    struct mrc_reconnect *r = ctx;
    uint64_t now_ms = clock_mono_ms();
    if (!r->is_away)
        return;
    if (now_ms - r->lost_ms >= (uint64_t)r->o.wait_s * 1000) {
        give_up(r);
        return;
    }
    loop_timer_set(r->o.loop, &r->timer, LOOK_MS, look, r);
    if (r->until_ms && now_ms >= r->until_ms) {
        let_go(r, false);
        r->until_ms = 0;
        snprintf(r->why, sizeof r->why, "no answer in time");
        r->next_ms = now_ms;
    }
    if (!r->until_ms && now_ms >= r->next_ms && begin(r) < 0)
        r->next_ms = now_ms + LAST_MS;
    if (!r->until_ms && r->next_ms > now_ms && r->next_ms - now_ms < LOOK_MS)
        loop_timer_set(r->o.loop, &r->timer, r->next_ms - now_ms, look, r);
    if (r->is_asking)
        return; /* what is asked stands on the terminal */
    uint64_t left_ms = r->until_ms || r->next_ms < now_ms ? 0 : r->next_ms - now_ms;
    r->o.on_wait(r->o.ctx, (unsigned)((left_ms + 999) / 1000), r->why);
}

void mrc_reconnect_start(struct mrc_reconnect *r)
{
    uint64_t now_ms = clock_mono_ms();
    bool is_first = !r->is_away;
    let_go(r, true);
    if (is_first) {
        uint64_t silence_ms = mrc_silence_ms() ? (uint64_t)mrc_silence_ms() : SILENCE_MS;
        r->lost_ms = now_ms;
        r->old_ms = now_ms > silence_ms ? now_ms - silence_ms : 1; /* it may have been dead for as long */
        r->pause_ms = FIRST_MS;
        r->why[0] = 0;
        r->next_ms = now_ms;
    } else { /* a new stream that died before the session went on */
        r->old_ms = now_ms;
        r->next_ms = now_ms + r->pause_ms;
        r->pause_ms = r->pause_ms * 2 < LAST_MS ? r->pause_ms * 2 : LAST_MS;
    }
    r->until_ms = 0;
    r->is_away = true;
    /* Not from within the call that says that it was lost. */
    loop_timer_set(r->o.loop, &r->timer, 0, look, r);
}

void mrc_reconnect_done(struct mrc_reconnect *r)
{
    r->is_away = false;
    r->until_ms = 0;
    loop_timer_del(&r->timer);
}

int mrc_reconnect_new(const struct mrc_reconnect_opts *o, struct mrc_reconnect **out)
{
    struct mrc_reconnect *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->o = *o;
    r->sock = -1;
    *out = r;
    return 0;
}

void mrc_reconnect_free(struct mrc_reconnect *r)
{
    if (!r)
        return;
    loop_timer_del(&r->timer);
    let_go(r, !r->is_away);
    free(r);
}
