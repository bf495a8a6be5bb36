/* SPDX-License-Identifier: GPL-2.0-or-later */
/* front.c: who connects from another node: has it the key, and what does it want? Streams of a
 * guest go to the process that has the guest; this one then only carries bytes. Must not know:
 * what is said on streams. */
#include "mosix-core/mosixd/admit.h"
#include "mosix-core/mosixd/mosixd.h"
#include "mosix-core/mosixd/processor.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/title.h"
#include "mosix-core/move/guest.h"
#include "mosix-core/move/note.h"
#include "mosix-core/net/confine.h"
#include "mosix-core/net/prompt.h"
#include "mosix-core/net/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void name_guest(const struct mx_daemon *d, const struct mx_hello *h, char path[128])
{
    char hex[2 * MX_TOKEN_BYTES + 1];
    for (unsigned i = 0; i < MX_TOKEN_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", h->token[i]);
    snprintf(path, 128, "%s/g/%.16s", d->run, hex);
}

/* Its own process, which ends when this one does: its stream ends then. */
static int start_guest(const struct mx_daemon *d, const struct mx_hello *h, int *plain,
                       pid_t *pid_out, struct err *e)
{
    char path[128], title[128];
    int listener, pair[2];
    name_guest(d, h, path);
    int rc = mx_listen(path, SOCK_SEQPACKET, 0600, &listener, e);
    if (rc < 0)
        return rc;
    rc = fd_socketpair(pair);
    pid_t pid = rc == 0 ? fork() : -1;
    if (pid == 0) {
        int kept[2] = { pair[1], listener };
        fd_close_all_but(kept, 2);
        snprintf(title, sizeof title, "mosixd: guest %u %s of %s", h->pid, h->program, h->home);
        title_set(title);
        rc = mx_guest_run(pair[1], listener, &d->limits);
        unlink(path);
        _exit(rc < 0);
    }
    close(listener);
    if (rc < 0 || pid < 0) {
        unlink(path);
        return err_set(e, rc < 0 ? -rc : errno, "start a guest");
    }
    close(pair[1]);
    *plain = pair[0];
    *pid_out = pid;
    return 0;
}

/* If there is room for it, or somebody worse gives way. */
static int admit_guest(const struct mx_daemon *d, int who, const struct mx_hello *h, int *plain,
                       struct err *e)
{
    struct mx_guests g;
    struct mx_guest_entry guest;
    struct err why = { "" };
    char path[128];
    pid_t pid = 0;
    int out, rc = mx_guests_open(&g, d->run, true, e);
    if (rc < 0)
        return rc;
    rc = mx_admit_look(d, &g, who, h->need_mb, &guest, &out, e);
    if (rc == 0)
        rc = start_guest(d, h, plain, &pid, e);
    if (rc == 0) {
        name_guest(d, h, path);
        guest.home_pid = h->pid;
        snprintf(guest.command, sizeof guest.command, "%s", h->program);
        snprintf(guest.home_name, sizeof guest.home_name, "%s", h->home);
        snprintf(guest.name, sizeof guest.name, "%s", strrchr(path, '/') + 1);
        if (out >= 0 &&
            mx_guest_send_away(&g.list[out], d->run, "needs its place for somebody better") < 0)
            log_error("guest %s can't be asked to leave", g.list[out].name);
        rc = mx_guests_add(&g, &guest, pid);
        if (rc == 0)
            rc = mx_guests_save(&g, &why);
        if (rc < 0) /* it is here: what is not noted is counted too few */
            log_error("a guest is not noted: %s", why.text);
        rc = 0;
    }
    mx_guests_close(&g);
    return rc;
}

/* Would it be taken? */
static int look_at_guest(const struct mx_daemon *d, int who, const struct mx_hello *h,
                         struct err *e)
{
    struct mx_guests g;
    struct mx_guest_entry guest;
    int out, rc = mx_guests_open(&g, d->run, true, e);
    if (rc == 0)
        rc = mx_admit_look(d, &g, who, h->need_mb, &guest, &out, e);
    mx_guests_close(&g);
    return rc;
}

static int join_guest(const struct mx_daemon *d, const struct mx_hello *h, int *plain,
                      struct err *e)
{
    char path[128];
    int pair[2];
    AUTO_FD sock = -1;
    name_guest(d, h, path);
    int rc = mx_connect(path, SOCK_SEQPACKET, &sock, e);
    if (rc < 0)
        return err_say(e, ESRCH, "there is no such guest");
    rc = fd_socketpair(pair);
    if (rc < 0)
        return err_set(e, -rc, "make a pair of sockets");
    const struct mx_clocks now = mx_clocks_now(), ahead = mx_clocks_less(&h->now, &now);
    struct mx_note n = { .what = MX_GUEST_STREAM,
                         .number = (int32_t)h->stream,
                         .rc = (int32_t)h->move,
                         .big = ahead.mono_ns,
                         .also = ahead.boot_ns };
    rc = mx_note_send(sock, &n, pair[1]);
    close(pair[1]);
    *plain = pair[0];
    return rc < 0 ? err_set(e, -rc, "reach a guest") : 0;
}

/* A program looks once what the processor can, and does it until it ends. */
static int may_compute(const struct mx_daemon *d, const struct mx_hello *h, struct err *e)
{
    char missing[MX_CPU_WORDS_MAX];
    if (mx_cpu_does(d->cluster->readings.about.cpu, h->cpu, missing))
        return 0;
    return err_say(e, EPERM, "has a lesser processor than its home: it lacks %s", missing);
}

/* Whose home is proven by a certificate has the name of the map, whatever it says. */
static int take_stream(const struct mx_daemon *d, int who, struct mx_hello *h, int *plain,
                       struct err *e)
{
    if (who >= 0)
        snprintf(h->home, sizeof h->home, "%s", d->nodes.list[who].name);
    int may = may_compute(d, h, e);
    if (may < 0)
        return may;
    if (h->stream == MX_STREAM_ORDERS)
        return admit_guest(d, who, h, plain, e);
    int rc = join_guest(d, h, plain, e);
    if (rc != -ESRCH) /* a guest that is here may stay, whatever is allowed now */
        return rc;
    may = look_at_guest(d, who, h, e);
    return may < 0 ? may : rc;
}

void mx_front(const struct mx_daemon *d, int fd)
{
    uint8_t text[MX_HELLO_MAX];
    size_t len = sizeof text;
    char path[128];
    struct mx_wire wire;
    struct mx_hello h;
    struct err e = { "" };
    int who, plain = -1;
    int rc = mx_wire_accept(&wire, fd, &d->id, &d->nodes, &who, text, &len, &e);
    if (rc < 0) {
        log_error("refused a connection: %s", e.text);
        return;
    }
    struct rd r = rd_of(text, len);
    rc = mx_hello_get(&r, &h);
    if (rc < 0)
        rc =
            err_say(&e, -rc,
                    "this node has another version of mosixd, which does not understand yours");
    else
        rc = take_stream(d, who, &h, &plain, &e);
    int failed = mx_wire_answer(&wire, rc, e.text);
    if (rc == 0 && failed == 0) {
        mx_be_prompt(0, true);
        if (mx_confine(h.stream == MX_STREAM_ORDERS ? MX_CONFINE_FRONT : MX_CONFINE_CARRIER) <
            0)
            log_at(LOG_VERBOSE, "a connection keeps its rights");
        failed = h.stream == MX_STREAM_CALLS ? mx_wire_give(&wire, plain)
                                             : mx_wire_carry(&wire, plain);
    }
    if (rc == 0 && h.stream == MX_STREAM_ORDERS) {
        name_guest(d, &h, path);
        unlink(path);
        log_at(LOG_VERBOSE, "guest %s %u of %s is gone%s", h.program, h.pid, h.home,
               failed < 0 ? ": the connection was lost" : "");
    }
}
