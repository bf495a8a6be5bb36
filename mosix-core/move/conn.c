/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conn.c: processes that carry bytes.
 * Must not know: what they mean. */
#include "mosix-core/move/conn.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "common/sys/title.h"
#include "mosix-core/net/confine.h"
#include "mosix-core/net/prompt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void carry(const struct mx_node *to, const struct mx_identity *id,
                            const struct mx_hello *hello, int plain, int notes)
{
    uint8_t text[MX_HELLO_MAX];
    struct mx_wire wire;
    struct err e = { "" };
    struct wr w = wr_of(text, sizeof text);
    mx_hello_put(&w, hello);
    struct mx_note n = { .rc = mx_wire_connect(&wire, to, id, text, wr_len(&w), &e) };
    snprintf(n.text, sizeof n.text, "%s", e.text);
    if (mx_note_send(notes, &n, -1) < 0 || n.rc < 0)
        _exit(1);
    mx_be_prompt(0, true);
    if (mx_confine(MX_CONFINE_CARRIER) < 0)
        log_at(LOG_VERBOSE, "a connection keeps its rights");
    bool is_given = hello->stream == MX_STREAM_CALLS;
    struct mx_note end = { .what = 1,
                           .rc = is_given ? mx_wire_give(&wire, plain)
                                          : mx_wire_carry(&wire, plain) };
    _exit(mx_note_send(notes, &end, -1) < 0);
}

int mx_conn_start(struct mx_conn *c, const struct mx_node *to, const struct mx_identity *id,
                  const struct mx_hello *hello, struct err *e)
{
    int plain[2], notes[2], rc = fd_socketpair(plain);
    pid_t parent = getpid();
    if (rc < 0)
        return err_set(e, -rc, "make a pair of sockets");
    AUTO_FD ours = plain[0], theirs = plain[1];
    rc = mx_note_pair(notes);
    if (rc < 0)
        return err_set(e, -rc, "make a pair of sockets");
    AUTO_FD our_notes = notes[0], their_notes = notes[1];
    pid_t pid = fork();
    if (pid < 0)
        return err_set(e, errno, "start a process");
    if (pid == 0) {
        int kept[2] = { theirs, their_notes };
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
            _exit(1);
        fd_close_all_but(kept, 2);
        title_set("mosixd: a connection");
        carry(to, id, hello, theirs, their_notes);
    }
    *c = (struct mx_conn){ pid, take_fd(&ours), take_fd(&our_notes) };
    return 0;
}

void mx_conn_end(struct mx_conn *c)
{
    if (c->pid > 0) {
        kill(c->pid, SIGKILL);
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        fd_close(&c->plain);
        fd_close(&c->notes);
    }
    *c = (struct mx_conn){ 0, -1, -1 };
}

pid_t mx_conn_relay(int from, int to, struct err *e)
{
    AUTO_FD in = from, out = to;
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return err_set(e, errno, "start a process");
    if (pid > 0)
        return pid;
    int kept[2] = { in, out };
    AUTO_FREE uint8_t *space = malloc(MX_PIECE_MAX);
    ssize_t n = 1;
    bool is_answering = true;
    if (!space || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(1);
    fd_close_all_but(kept, 2);
    title_set("mosixd: an image between hosts");
    mx_be_prompt(0, true);
    if (mx_confine(MX_CONFINE_CARRIER) < 0)
        log_at(LOG_VERBOSE, "who carries an image keeps its rights");
    while (n > 0) {
        struct pollfd p[2] = { { in, POLLIN, 0 }, { is_answering ? out : -1, POLLIN, 0 } };
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            break;
        /* Answers are few and short: they are always taken. */
        if (p[1].revents) {
            ssize_t got = fd_read(out, space, MX_PIECE_MAX);
            is_answering = got > 0 && fd_write_full(in, space, (size_t)got) == 0;
        }
        if (!p[0].revents)
            continue;
        n = fd_read(in, space, MX_PIECE_MAX);
        if (n > 0 && fd_write_full(out, space, (size_t)n) < 0)
            break;
    }
    _exit(0);
}
