/* SPDX-License-Identifier: GPL-2.0-or-later */
/* away.c: a process goes away into another PID namespace, from where its calls come home: by
 * itself what movers do, without faults. away PID [MS [NAMES]]   stays until the job has ended,
 * has executed another program or has come home by itself; it is caught every MS; of calls.def
 * only NAMES are known. With AWAY_NO_MIRROR in the environment it comes home for what is not
 * known, with AWAY_SEALED the calls go over a TCP connection that is sealed, as between nodes;
 * with AWAY_COUNTS it says how often each call was made at home. Ends with 0; 99 when something
 * is broken. "away: runs" on
 * stderr: from now on it does. Needs root: for the namespace and its /proc. */
#include "common/sys/fd.h"
#include "mosix-core/deputy/inject.h"
#include "mosix-core/guest/supervise.h"
#include "mosix-core/image/capture.h"
#include "mosix-core/image/restore.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BROKEN = 99 };

/* The ends of home and host; NULL: calls go where the image has gone. */
static struct mx_sealed *sealed[2];
static int watch[2];

static int seal_pair(void)
{
    static const uint8_t keys[2][CRYPTO_KEY_BYTES] = { "one way", "the other" };
    uint8_t headers[2][CRYPTO_HEADER_BYTES];
    struct crypto_stream out[2], in;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int pair[2], on = 1, rc = 0;
    AUTO_FD listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&a, len) < 0 ||
        listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&a, &len) < 0 ||
        connect(pair[0], (struct sockaddr *)&a, len) < 0)
        return -errno;
    pair[1] = accept(listener, NULL, NULL);
    for (unsigned i = 0; i < 2; i++) {
        if (setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
            return -errno;
        crypto_seal_start(&out[i], keys[i], headers[i]);
    }
    for (unsigned i = 0; rc == 0 && i < 2; i++) {
        int over[2];
        rc = fd_socketpair(over);
        if (rc == 0)
            rc = crypto_open_start(&in, keys[!i], headers[!i]);
        if (rc == 0)
            rc = mx_sealed_give(over[0], pair[i], &out[i], &in);
        if (rc == 0)
            rc = mx_sealed_take(&sealed[i], over[1]);
        watch[i] = over[1]; /* over[0] stays open as long as we live */
        close(pair[i]);
    }
    return rc;
}

static int broken(const struct err *e)
{
    fprintf(stderr, "away: %s\n", e->text);
    return BROKEN;
}

/* A sandbox has no files for a dump to be written into. */
static int inside(void *ctx UNUSED, struct err *e)
{
    static const struct rlimit none = { 0, 0 };
    return setrlimit(RLIMIT_CORE, &none) < 0 ? err_set(e, errno, "limit a body") : 0;
}

/* First process of the namespace. */
static int host(int sock, long pause_ms, const char *only)
{
    struct err e = { "" };
    struct mx_restored r;
    char word = 'r';
    int listener = -1, rc;
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("proc", "/proc", "proc", 0, NULL) < 0)
        return BROKEN;
    const struct mx_restore_how body = { .is_body = true, .inside = inside };
    if (mx_restore_as(sock, &body, &r, &e) < 0 || mx_guest_confine(&r.t, &listener, &e) < 0)
        return broken(&e);
    if (fd_write_full(sock, &word, 1) < 0 || fd_read_full(sock, &word, 1) != 1 ||
        mx_restore_finish(&r, true, &e) < 0)
        return broken(&e);
    fprintf(stderr, "away: runs\n");
    struct itimerspec every = { { 0, 0 }, { pause_ms / 1000, pause_ms % 1000 * 1000000L } };
    AUTO_FD told = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct mx_capture all = { .t = r.t };
    all.t.pid = r.pid;
    struct mx_guest_how how = { .listener = listener,
                                .home = sealed[1] ? watch[1] : sock,
                                .sealed = sealed[1],
                                .told = told,
                                .others = &all.others,
                                .only = only,
                                .has_no_mirror = getenv("AWAY_NO_MIRROR") != NULL };
    do {
        if (timerfd_settime(told, 0, &every, NULL) < 0)
            return BROKEN;
        rc = mx_guest_serve(&all.t, &how, &e);
        if (rc != MX_GUEST_TOLD)
            break;
        fprintf(stderr, "away: paused\n");
        rc = mx_capture_release(&all, &e);
        all.t.pid = r.pid;
    } while (rc == 0);
    return rc < 0 ? broken(&e) : 0;
}

static int status_of(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return BROKEN;
    return WIFEXITED(status) ? WEXITSTATUS(status) : BROKEN;
}

static int in_namespace(int sock, long pause_ms, const char *only)
{
    if (unshare(CLONE_NEWPID) < 0)
        return BROKEN;
    pid_t child = fork();
    if (child == 0)
        _exit(host(sock, pause_ms, only));
    close(sock);
    return child < 0 ? BROKEN : status_of(child);
}

/* Those that were never made. */
static void say_unused(const uint64_t *counts)
{
    const struct mx_call_line *l;
    fprintf(stderr, "away: not made:");
    for (unsigned i = 0; (l = mx_call_at(i)); i++)
        if (mx_call_travels(l) && !counts[l->id])
            fprintf(stderr, " %s/%u", l->name, l->id);
    fprintf(stderr, "\n");
    for (unsigned i = 0; getenv("AWAY_COUNTS") && (l = mx_call_at(i)); i++)
        if (counts[l->id])
            fprintf(stderr, "away: made %s %llu\n", l->name, (unsigned long long)counts[l->id]);
}

static void said(void *ctx UNUSED, enum mx_deputy_news what, uint32_t who, const char *text)
{
    if (what == MX_DEPUTY_CAME_HOME && text[0])
        fprintf(stderr, "away: %s came home because it %s\n", who ? "a child" : "it", text);
    if (what == MX_DEPUTY_FAILED)
        fprintf(stderr, "away: %u is lost: %s\n", who, text);
}

static int home(int sock, pid_t pid)
{
    static uint64_t counts[MX_CALL_IDS];
    struct err e = { "" };
    struct mx_capture c;
    char word;
    c = (struct mx_capture){ .what_for = MX_CAPTURE_MOVE };
    int began = mx_capture_stop(&c, pid, &e);
    if (began == 0 && (began = mx_capture_write(&c, sock, &e)) < 0)
        mx_tracee_fini(&c.t);
    if (began < 0)
        return broken(&e);
    if (fd_read_full(sock, &word, 1) != 1 || fd_write_full(sock, &word, 1) < 0)
        return BROKEN;
    struct mx_deputy_how how = { .guest = sealed[0] ? watch[0] : sock,
                                 .sealed = sealed[0],
                                 .told = -1,
                                 .others = &c.others,
                                 .counts = counts,
                                 .said = said };
    int rc = mx_deputy_serve(&c.t, &how, &e);
    say_unused(counts);
    if (rc <= 0)
        kill(pid, SIGKILL); /* the body is lost, and with it the job */
    mx_tracee_fini(&c.t);
    return rc < 0 ? broken(&e) : rc == 0 ? BROKEN : 0;
}

int main(int argc, char **argv)
{
    int pair[2];
    if (argc < 2 || fd_socketpair(pair) < 0)
        return BROKEN;
    if (getenv("AWAY_SEALED") && seal_pair() < 0)
        return BROKEN;
    signal(SIGPIPE, SIG_IGN);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        close(pair[0]);
        if (sealed[0])
            close(sealed[0]->fd);
        _exit(in_namespace(pair[1], argc > 2 ? strtol(argv[2], NULL, 10) : 0,
                           argc > 3 ? argv[3] : NULL));
    }
    close(pair[1]);
    if (sealed[1])
        close(sealed[1]->fd);
    int rc = child < 0 ? BROKEN : home(pair[0], (pid_t)strtol(argv[1], NULL, 10));
    close(pair[0]);
    int there = child < 0 ? BROKEN : status_of(child);
    return rc ? rc : there;
}
