/* SPDX-License-Identifier: GPL-2.0-or-later */
/* asks.c: what a process of a job asks about itself, or somebody about it: settings, where it
 * is, to be somewhere and to wait for it, checkpoints, and to begin on another node.
 * Must not know: how a job moves. Process 0 is who asks. */
#include "mosix-core/mosixd/request.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mosix-core/mosixd/mark.h"
#include "mosix-core/mosixd/settings.h"
#include "mosix-core/move/hello.h"
#include "mosix-core/move/keeper.h"
#include "mosix-core/net/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    EXEC_MS = 10 * 1000, /* until mosrun is the program that it is to be */
    LOOK_US = 2000,
    LOOK_MOST_US = 50 * 1000,
    SETTLE_MS = 3600 * 1000, /* the longest that a move may take */
};

/* ---- where it is ---- */

bool mx_request_where(struct mx_request *r, pid_t pid, char where[MX_NODE_NAME_MAX + 1],
                      char *why, size_t size)
{
    char status[MX_REQUEST_MAX], phase[32], words[256];
    snprintf(where, MX_NODE_NAME_MAX + 1, "home");
    if (size)
        why[0] = 0;
    if (mx_request_keeper(r, pid, "status\n", status, sizeof status) < 0)
        return true;
    if (sscanf(status, "%63[^\t]\t%31[^\t]\t%*u\t%255[^\n]", where, phase, words) != 3)
        return false;
    if (size)
        snprintf(why, size, "%s", words);
    return strcmp(phase, "settled") == 0;
}

int mx_request_move_wait(struct mx_request *r, pid_t pid, const char *where, struct err *e)
{
    char at[MX_NODE_NAME_MAX + 1], why[200];
    uint64_t until_ms = clock_mono_ms() + SETTLE_MS;
    int node = mx_nodes_find(&r->d->nodes, where), look_us = LOOK_US;
    const char *want = node < 0 || node == r->d->self ? "home" : r->d->nodes.list[node].name;
    int rc = mx_request_move(r, pid, where, e);
    if (rc < 0)
        return rc;
    while (!mx_request_where(r, pid, at, why, sizeof why)) {
        if (clock_mono_ms() > until_ms)
            return err_say(e, ETIMEDOUT, "process %d moves for an hour", (int)pid);
        usleep((useconds_t)look_us); /* a keeper says how it is, but does not call */
        look_us = look_us * 2 < LOOK_MOST_US ? look_us * 2 : LOOK_MOST_US;
    }
    if (strcmp(at, want) == 0)
        return 0;
    return err_say(e, ECANCELED, "process %d stays at %s: %s", (int)pid, at, why);
}

/* ---- checkpoints ---- */

int mx_request_checkpoint(struct mx_request *r, pid_t pid, enum mx_checkpoint_then then,
                          int without, char *name, size_t size, struct err *e)
{
    char at[MX_NODE_NAME_MAX + 1];
    unsigned uid, saved, gid;
    struct err back = { "" };
    int rc = 0;
    if (mx_request_ids(pid, &uid, &saved, &gid) < 0)
        return err_say(e, ESRCH, "there is no process %d", (int)pid);
    if (mx_request_is_frozen(r, pid))
        return err_say(e, EBUSY, "process %d is frozen: migrate %d continue first", (int)pid,
                       (int)pid);
    if (!mx_request_where(r, pid, at, NULL, 0))
        return err_say(e, EBUSY, "process %d is moving", (int)pid);
    bool is_away = strcmp(at, "home") != 0;
    if (is_away)
        rc = mx_request_move_wait(r, pid, "home", e);
    if (rc < 0)
        return rc;
    rc = mx_checkpoint(&(struct mx_checkpoint_how){ .run_dir = r->d->run,
                                                    .pid = pid,
                                                    .uid = uid,
                                                    .gid = gid,
                                                    .then = then,
                                                    .without = without },
                       name, size, e);
    if (is_away && (rc < 0 || then == MX_CHECKPOINT_GO_ON) &&
        mx_request_move(r, pid, at, &back) < 0)
        log_at(LOG_VERBOSE, "job %d stays at home after its checkpoint: %s", (int)pid,
               back.text);
    return rc;
}

int mx_ask_checkpoint(struct mx_request *r, const char *rest, struct err *e)
{
    static const char *const thens[] = { [MX_CHECKPOINT_GO_ON] = "checkpoint",
                                         [MX_CHECKPOINT_STOP] = "chkstop",
                                         [MX_CHECKPOINT_EXIT] = "chkexit" };
    char word[16], more[2], name[256];
    unsigned then = 0;
    int pid, without = 0;
    int words = sscanf(rest, "%d %15s %d %1s", &pid, word, &without, more);
    if (words < 2 || words > 3 || pid < 0)
        return err_say(e, EINVAL, "should be a process and what then");
    while (then < ARRAY_LEN(thens) && strcmp(word, thens[then]) != 0)
        then++;
    if (then == ARRAY_LEN(thens))
        return err_say(e, EINVAL, "checkpoint, chkstop or chkexit");
    if (words == 3 && (pid != 0 || without < 0))
        return err_say(e, EINVAL, "only one's own descriptors can be left out");
    pid = pid ? pid : r->who.pid;
    int rc = mx_request_may(r, pid, e);
    if (rc == 0)
        rc = mx_request_checkpoint(r, pid, (enum mx_checkpoint_then)then, without, name,
                                   sizeof name, e);
    if (rc == 0)
        mx_request_say(r, "ok %s\n", name);
    return rc;
}

/* ---- settings ---- */

static int get_place(struct mx_request *r, pid_t pid, const char *name)
{
    char at[MX_NODE_NAME_MAX + 1], why[200];
    bool is_settled = mx_request_where(r, pid, at, why, sizeof why);
    int node = strcmp(at, "home") == 0 ? -1 : mx_nodes_find(&r->d->nodes, at);
    if (strcmp(name, "where") == 0)
        mx_request_say(r, "ok %s\n", at);
    else if (strcmp(name, "address") == 0)
        mx_request_say(r, "ok %s\n", node < 0 ? "0" : r->d->nodes.list[node].address);
    else if (strcmp(name, "whereami") == 0)
        mx_request_say(r, "ok %d\n", node + 1);
    else if (strcmp(name, "moving") == 0)
        mx_request_say(r, "ok %d\n", !is_settled);
    else
        return -ENOENT;
    return 0;
}

int mx_ask_get(struct mx_request *r, const char *rest, struct err *e)
{
    char name[32], more[2];
    unsigned id;
    int pid;
    if (sscanf(rest, "%d %31s %1s", &pid, name, more) != 2 || pid < 0)
        return err_say(e, EINVAL, "should be a process and what of it");
    pid = pid ? pid : r->who.pid;
    if (!mx_mark_has(r->d->run, pid, &id))
        return err_say(e, EINVAL, "process %d was not started by mosrun", pid);
    if (strcmp(name, "job") == 0) {
        mx_request_say(r, "ok %u\n", id);
        return 0;
    }
    struct mx_settings s;
    mx_settings_read(&s, r->d->run, pid);
    const uint32_t *value = mx_settings_find(&s, name);
    if (value)
        mx_request_say(r, "ok %u\n", *value);
    return value || get_place(r, pid, name) == 0
               ? 0
               : err_say(e, ENOENT, "nothing is called %s", name);
}

int mx_ask_set(struct mx_request *r, const char *rest, struct err *e)
{
    char name[32], more[2];
    unsigned long long value;
    int pid;
    if (sscanf(rest, "%d %31s %llu %1s", &pid, name, &value, more) != 3 || pid < 0)
        return err_say(e, EINVAL, "should be a process, what of it, and a number");
    pid = pid ? pid : r->who.pid;
    int rc = mx_settings_check(name, value, e);
    if (rc == 0 && pid != r->who.pid) /* mosrun is no job before it is the program */
        rc = mx_request_may(r, pid, e);
    if (rc == 0)
        rc = mx_settings_change(r->d->run, pid, name, (uint32_t)value, e);
    if (rc == 0 && strcmp(name, "every") == 0 && value)
        rc = mx_timer_start(r, pid, e);
    if (rc == 0)
        mx_request_say(r, "ok\n");
    return rc;
}

/* ---- being elsewhere ---- */

int mx_ask_go(struct mx_request *r, const char *rest, struct err *e)
{
    char where[MX_NODE_NAME_MAX + 1], more[2];
    int pid;
    if (sscanf(rest, "%d %63s %1s", &pid, where, more) != 2 || pid < 0)
        return err_say(e, EINVAL, "should be a process and where to");
    pid = pid ? pid : r->who.pid;
    int rc = mx_request_may(r, pid, e);
    if (rc == 0)
        rc = mx_request_move_wait(r, pid, where, e);
    if (rc == 0)
        mx_request_say(r, "ok\n");
    return rc;
}

/* Does a daemon with our key answer there, and would it take it? It is asked for a guest that
 * it can't have. */
static int reach(struct mx_request *r, int node, uint32_t need_mb, struct err *e)
{
    uint8_t text[MX_HELLO_MAX];
    struct mx_wire wire;
    struct mx_hello hello = { .stream = MX_STREAM_CALLS,
                              .need_mb = need_mb,
                              .cpu = r->d->cluster->readings.about.cpu };
    struct wr w = wr_of(text, sizeof text);
    snprintf(hello.home, sizeof hello.home, "%s", r->d->nodes.list[r->d->self].name);
    snprintf(hello.program, sizeof hello.program, "mosrun");
    int rc = mx_cluster_may_go(r->d->cluster, node, e);
    if (rc < 0)
        return rc;
    rc = crypto_random(hello.token, sizeof hello.token);
    if (rc < 0)
        return err_set(e, -rc, "make a token");
    mx_hello_put(&w, &hello);
    rc = mx_wire_connect(&wire, &r->d->nodes.list[node], &r->d->id, text, wr_len(&w), e);
    if (rc == 0)
        close(wire.fd);
    return rc == -ESRCH ? 0 : rc;
}

/* "reach NODE": who that is, if its daemon answers; "home": this one. */
int mx_ask_reach(struct mx_request *r, const char *rest, struct err *e)
{
    char where[MX_NODE_NAME_MAX + 1], more[2];
    if (sscanf(rest, "%63s %1s", where, more) != 1)
        return err_say(e, EINVAL, "should be a node");
    int node = mx_nodes_find(&r->d->nodes, where);
    if (node < 0)
        return err_say(e, ENOENT, "no node is called %s", where);
    int rc = node != r->d->self ? reach(r, node, 0, e) : 0;
    if (rc == 0)
        mx_request_say(r, "ok %s\n", node == r->d->self ? "home" : r->d->nodes.list[node].name);
    return rc;
}

/* The asker keeps its end of the socket until it is another program. */
static int wait_for_exec(struct mx_request *r)
{
    struct pollfd p = { r->sock, POLLRDHUP, 0 };
    return poll(&p, 1, EXEC_MS) > 0 ? 0 : -ETIMEDOUT;
}

/* "begin NODE [MB]": mosrun, before it executes the program, which then moves at once. */
int mx_ask_begin(struct mx_request *r, const char *rest, struct err *e)
{
    char where[MX_NODE_NAME_MAX + 1], more[2];
    unsigned need_mb = 0;
    int words = sscanf(rest, "%63s %u %1s", where, &need_mb, more);
    if (words < 1 || words > 2)
        return err_say(e, EINVAL, "should be a node, and perhaps how much memory it needs");
    int node = mx_nodes_find(&r->d->nodes, where);
    if (node < 0)
        return err_say(e, ENOENT, "no node is called %s", where);
    int rc = node != r->d->self ? reach(r, node, need_mb, e) : 0;
    if (rc < 0)
        return rc;
    mx_request_say(r, "ok\n");
    mx_request_finish(r);
    struct err why = { "" };
    rc = node == r->d->self ? 0 : wait_for_exec(r);
    if (rc == 0 && node != r->d->self)
        rc = mx_request_move(r, r->who.pid, where, &why);
    if (rc < 0)
        log_error("job %d begins at home: %s", (int)r->who.pid,
                  why.text[0] ? why.text : "it took too long to begin");
    return 0;
}
