/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper.c: mx_migrate_step and the home's own mx_holder_step as a process: reports come from
 * hosts, orders go to them; streams are opened for a move, and the hands at home told what to
 * do. Must not know: who may ask for what. Source: docs/migration.md, "A move". */
#include "mosix-core/move/keeper.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/loop.h"
#include "mosix-core/move/conn.h"
#include "mosix-core/move/hands.h"
#include "mosix-core/net/prompt.h"
#include "mosix-core/plan/messages.h"
#include "mosix-core/plan/migrate.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOSTS = MX_PLACES_MAX - 1, LOST_MS = MX_LEASE_MS + MX_LEASE_SLACK_MS };

struct keeper;

/* One host, as long as its connection for orders lasts. */
struct host {
    struct keeper *k;
    uint32_t place; /* 0: unused */
    int node;
    uint8_t token[MX_TOKEN_BYTES];
    struct mx_conn orders, calls, image;
    struct loop_fd on_orders, on_notes, on_image, on_image_notes, on_calls_notes;
    bool is_connected, has_image, has_calls; /* there is a connection */
    uint64_t lost_ms;                        /* when it was cut off; 0: it is not */
    uint8_t in[2 * MX_MESSAGE_MAX];
    size_t in_bytes;
};

struct keeper {
    struct mx_keeper_how how;
    struct loop *loop;
    struct mx_migrate plan;
    struct mx_holder holder; /* the home's own place */
    struct mx_hands hands;
    struct loop_fd on_hands, on_process, on_listener;
    struct loop_timer timer, linger;
    struct host hosts[HOSTS];
    uint32_t last_place;
    uint32_t streams_move; /* the move for which streams were opened */
    pid_t relay;
    pid_t served;   /* the hands serve the calls of this connection; 0: none */
    int signal;     /* that a copy died of */
    bool is_looked; /* the process at home can move, as far as can be seen while it runs */
    uint64_t froze_ms;
    bool is_over;
    bool is_first_home; /* the job's own process runs here, let go, while others of it are away
                         */
    bool is_first_gone; /* it has ended, and others of it are away */
    bool is_family;     /* others of the job's are away */
    bool had_family;    /* since it left */
    bool is_fetching;   /* all are asked to come home */
    char came[MX_WORDS_MAX + 1]; /* why it came home by itself */
    unsigned moves;
    char why[MX_WORDS_MAX + 1]; /* of the last failure */
    char program[MX_PROGRAM_MAX + 1];
};

static void plan_step(struct keeper *k, struct mx_migrate_in in);
static void hold_step(struct keeper *k, struct mx_holder_in in);

static const char *node_name(const struct keeper *k, uint32_t place)
{
    if (place == MX_HOME)
        return "home";
    for (unsigned i = 0; i < HOSTS; i++)
        if (k->hosts[i].place == place)
            return k->how.nodes->list[k->hosts[i].node].name;
    return "a node that is lost";
}

static struct host *host_of(struct keeper *k, uint32_t place)
{
    for (unsigned i = 0; place && i < HOSTS; i++)
        if (k->hosts[i].place == place)
            return &k->hosts[i];
    return NULL;
}

/* The first reason counts: others follow from it. */
static void note_why(struct keeper *k, const char *text)
{
    if (text[0] && !k->why[0])
        snprintf(k->why, sizeof k->why, "%s", text);
}

static void note_move(struct keeper *k)
{
    k->moves++;
    if (k->how.moved)
        k->how.moved(k->how.ctx, k->how.pid);
}

static void end_keeper(struct keeper *k)
{
    loop_stop(k->loop, 0);
}

/* ---- the hands at home ---- */

static void held(struct keeper *k, enum mx_holder_event what, enum mx_why why)
{
    hold_step(k, (struct mx_holder_in){ .what = what, .why = why, .move = k->holder.move });
}

/* Is the job's own process still there? Everybody else who asks may be a moment too early. */
static bool has_process(const struct keeper *k)
{
    struct pollfd p = { k->how.process, POLLIN, 0 };
    return poll(&p, 1, 0) == 0;
}

static void is_at_home(struct keeper *k);

/* A stub, and a process whose image is whole somewhere else, has died with them, and says so
 * itself. Any other goes on by itself: then a move that has begun is given up. */
static void hands_died(struct keeper *k)
{
    mx_hands_end(&k->hands);
    k->served = 0;
    if (k->is_first_home) {
        is_at_home(k);
        return;
    }
    note_why(k, "who held its own process was killed");
    if (k->holder.is == MX_IS_COPYING || k->holder.is == MX_IS_STOPPING)
        held(k, MX_HOLD_FAILED, MX_WHY_REFUSED);
}

static void on_linger(void *ctx);
static void say_to_job(struct keeper *k, const char *what);
static void tell(struct keeper *k, enum mx_hands_ask what, int fd);
static void forget_host(struct host *h);
static void end_relay(struct keeper *k);
static void read_program(struct keeper *k);

/* The process has come home by itself, or executed another program there: nobody holds it, and
 * whatever was elsewhere is of what it was. */
static void is_at_home(struct keeper *k)
{
    k->is_first_home = k->is_family = k->had_family = k->is_fetching = false;
    for (unsigned i = 0; i < HOSTS; i++)
        if (k->hosts[i].place)
            forget_host(&k->hosts[i]);
    end_relay(k);
    mx_migrate_init(&k->plan, (int64_t)clock_mono_ms());
    mx_holder_init(&k->holder, true, true);
    k->streams_move = 0;
    k->why[0] = 0;
    if (k->came[0]) {
        note_why(k, k->came);
        note_move(k);
    }
    k->came[0] = 0;
    read_program(k);
    loop_timer_set(k->loop, &k->linger, MX_KEEPER_LINGER_MS, on_linger, k);
}

/* Nothing is done to it before there is a way. */
static void copy_if_ready(struct keeper *k)
{
    struct host *to = host_of(k, k->plan.there);
    if (!k->is_looked || k->holder.is != MX_IS_COPYING || !to || !to->has_image ||
        !to->has_calls)
        return;
    k->is_looked = false;
    tell(k, MX_HANDS_COPY, take_fd(&to->image.plain));
}

/* One of them goes on here. */
static void came_home(struct keeper *k, const struct mx_note *n)
{
    log_at(LOG_VERBOSE, "job %d: %s %d came home%s%s", (int)k->how.pid,
           n->number ? "its process" : "process", n->number ? (int)n->number : (int)k->how.pid,
           n->text[0] ? " because it " : "", n->text);
    if (n->number)
        return;
    k->is_first_home = true;
    if (n->text[0])
        snprintf(k->came, sizeof k->came, "came home because it %.200s", n->text);
}

static void missed(struct keeper *k, const struct mx_note *n)
{
    char text[320];
    snprintf(text, sizeof text, "process %d could not come home: %.200s",
             n->number ? (int)n->number : (int)k->how.pid, n->text);
    say_to_job(k, text);
}

/* All that were away have ended or are here. */
static void none_is_away(struct keeper *k, bool is_first_home)
{
    k->is_family = k->is_fetching = false;
    if (is_first_home) {
        is_at_home(k);
    } else if (k->is_first_gone && !k->is_over) {
        k->is_over = true;
        plan_step(k, (struct mx_migrate_in){ .what = MX_MIG_KILLED });
        end_keeper(k);
    }
}

static void on_note(struct keeper *k, const struct mx_note *n)
{
    if (n->what != MX_HANDS_CAME && n->what != MX_HANDS_MISSED)
        note_why(k, n->text);
    switch (n->what) {
    case MX_HANDS_CAME: came_home(k, n); break;
    case MX_HANDS_MISSED: missed(k, n); break;
    case MX_HANDS_FAMILY:
        k->is_family = n->number == 1;
        k->had_family |= k->is_family;
        break;
    case MX_HANDS_LOOK:
        if (n->rc < 0) {
            held(k, MX_HOLD_FAILED, MX_WHY_REFUSED);
        } else {
            k->is_looked = true;
            copy_if_ready(k);
        }
        break;
    case MX_HANDS_COPY:
        if (n->rc < 0)
            held(k, MX_HOLD_FAILED, MX_WHY_REFUSED);
        break;
    case MX_HANDS_ROUND:
        if (n->rc < 0)
            held(k, MX_HOLD_FAILED, MX_WHY_REFUSED);
        else
            hold_step(k, (struct mx_holder_in){ .what = MX_HOLD_ROUND,
                                                .move = k->holder.move,
                                                .left_ms = (uint32_t)n->number });
        break;
    case MX_HANDS_STOP:
        if (n->rc < 0)
            held(k, MX_HOLD_FAILED, MX_WHY_REFUSED);
        else
            held(k, MX_HOLD_STOPPED, MX_WHY_NOT);
        break;
    case MX_HANDS_RESTORE:
        if (n->rc < 0)
            held(k, MX_HOLD_FAILED, MX_WHY_BAD_IMAGE);
        else
            held(k, MX_HOLD_WHOLE, MX_WHY_NOT);
        break;
    case MX_HANDS_DIED:
        if (has_process(k))
            kill(k->how.pid, SIGKILL);
        break;
    case MX_HANDS_SEND: /* the other place finds its image cut, and says so */
    case MX_HANDS_ENDED: none_is_away(k, n->number == 1); break;
    case MX_HANDS_LOST: /* so does the connection for orders */
    default: break;
    }
}

static void on_hands(void *ctx, uint32_t events UNUSED)
{
    struct keeper *k = ctx;
    struct mx_note n;
    int fd, rc = mx_note_receive(k->hands.sock, &n, &fd, false);
    fd_close(&fd);
    if (rc > 0) {
        on_note(k, &n);
    } else if (rc < 0) {
        loop_fd_del(&k->on_hands);
        hands_died(k);
    }
}

static int need_hands(struct keeper *k)
{
    struct err e = { "" };
    if (k->hands.pid > 0)
        return 0;
    int rc = mx_hands_at_home(&k->hands, k->how.pid, &e);
    if (rc == 0)
        rc = loop_fd_add(k->loop, &k->on_hands, k->hands.sock, EPOLLIN, on_hands, k);
    if (rc < 0)
        note_why(k, e.text);
    return rc;
}

static void tell(struct keeper *k, enum mx_hands_ask what, int fd)
{
    if (need_hands(k) < 0 || mx_hands_tell(&k->hands, what, fd, 0, 0) < 0)
        log_error("job %d: nobody holds its process", (int)k->how.pid);
}

/* The calls of the copy that has the right are served. Not said twice: hands that are told
 * something drop what has come for them. */
static void serve_here(struct keeper *k)
{
    struct host *h = host_of(k, k->plan.here);
    if (!h || !h->calls.pid || h->calls.pid == k->served)
        return;
    k->served = h->calls.pid;
    tell(k, MX_HANDS_SERVE, dup(h->calls.plain));
}

/* ---- the home's own place ---- */

static void do_build(struct keeper *k UNUSED) /* the hands are told when an image comes */
{
}

static void do_copy(struct keeper *k)
{
    k->is_looked = false;
    tell(k, MX_HANDS_LOOK, -1);
}

static void do_stop(struct keeper *k)
{
    tell(k, MX_HANDS_STOP, -1);
}

static void do_send_rest(struct keeper *k)
{
    tell(k, MX_HANDS_SEND, -1);
}

static void do_run(struct keeper *k)
{
    k->served = 0;
    tell(k, MX_HANDS_RUN, -1);
}

static void do_drop(struct keeper *k)
{
    if (k->plan.phase != MX_OVER)
        serve_here(k);
    held(k, MX_HOLD_DROPPED, MX_WHY_NOT);
}

/* The job is over, and what is left of it here is ended, as the copy was if that is known. */
static void end_process(struct keeper *k)
{
    int signo = k->signal ? k->signal : SIGKILL;
    if (!has_process(k))
        return;
    if (k->hands.pid <= 0 || mx_hands_tell(&k->hands, MX_HANDS_END, -1, signo, 0) < 0)
        kill(k->how.pid, SIGKILL);
}

static void (*const dos[])(struct keeper *k) = {
    [MX_DO_BUILD] = do_build,         [MX_DO_COPY] = do_copy, [MX_DO_STOP] = do_stop,
    [MX_DO_SEND_REST] = do_send_rest, [MX_DO_RUN] = do_run,   [MX_DO_DROP] = do_drop,
};

static void hold_step(struct keeper *k, struct mx_holder_in in)
{
    struct mx_holder_out out;
    in.now_ms = (int64_t)clock_mono_ms();
    mx_holder_step(&k->holder, &in, &out);
    for (unsigned i = 0; i < out.count; i++)
        if (out.actions[i] != MX_DO_REPORT)
            dos[out.actions[i]](k);
    for (unsigned i = 0; i < out.count; i++)
        if (out.actions[i] == MX_DO_REPORT)
            plan_step(k, (struct mx_migrate_in){
                             .what = MX_MIG_REPORT, .place = MX_HOME, .report = &out.report });
}

/* ---- streams of a move ---- */

static struct mx_hello hello_of(const struct keeper *k, const struct host *h,
                                enum mx_stream stream)
{
    struct mx_hello hello = { .stream = stream,
                              .move = k->plan.move,
                              .pid = (uint32_t)k->how.pid,
                              .mono_ns = (int64_t)clock_mono_us() * 1000 };
    memcpy(hello.token, h->token, sizeof hello.token);
    snprintf(hello.home, sizeof hello.home, "%s", k->how.nodes->list[k->how.self].name);
    snprintf(hello.program, sizeof hello.program, "%s", k->program);
    return hello;
}

/* Whether a stream of a move is connected. */
static void stream_said(struct host *h, const struct mx_conn *c, struct loop_fd *watch,
                        bool *has)
{
    struct keeper *k = h->k;
    struct mx_note n = { .rc = -EPIPE };
    int fd, rc = mx_note_receive(c->notes, &n, &fd, false);
    fd_close(&fd);
    if (rc == 0)
        return;
    loop_fd_del(watch);
    *has = rc > 0 && n.rc == 0;
    if (!*has && h->place == k->plan.there && k->holder.is == MX_IS_COPYING) {
        note_why(k, n.text[0] ? n.text : "a connection for the move was lost");
        held(k, MX_HOLD_FAILED, MX_WHY_REFUSED);
    }
    copy_if_ready(k);
}

static void on_image_notes(void *ctx, uint32_t events UNUSED)
{
    struct host *h = ctx;
    stream_said(h, &h->image, &h->on_image_notes, &h->has_image);
}

static void on_calls_notes(void *ctx, uint32_t events UNUSED)
{
    struct host *h = ctx;
    stream_said(h, &h->calls, &h->on_calls_notes, &h->has_calls);
}

static void end_image(struct host *h)
{
    loop_fd_del(&h->on_image);
    loop_fd_del(&h->on_image_notes);
    mx_conn_end(&h->image);
    h->has_image = false;
}

static void end_calls(struct host *h)
{
    loop_fd_del(&h->on_calls_notes);
    mx_conn_end(&h->calls);
    h->has_calls = false;
}

static void open_stream(struct keeper *k, struct host *h, enum mx_stream stream)
{
    struct err e = { "" };
    bool is_calls = stream == MX_STREAM_CALLS;
    struct mx_conn *c = is_calls ? &h->calls : &h->image;
    struct mx_hello hello = hello_of(k, h, stream);
    if (is_calls)
        end_calls(h);
    else
        end_image(h);
    /* When it can't be made the place finds that nothing comes, and says so. */
    int rc = mx_conn_start(c, &k->how.nodes->list[h->node], k->how.id, &hello, &e);
    if (rc == 0)
        rc = loop_fd_add(k->loop, is_calls ? &h->on_calls_notes : &h->on_image_notes, c->notes,
                         EPOLLIN, is_calls ? on_calls_notes : on_image_notes, h);
    if (rc < 0)
        note_why(k, e.text);
}

static void on_image(void *ctx, uint32_t events UNUSED)
{
    struct host *h = ctx;
    struct keeper *k = h->k;
    loop_fd_del(&h->on_image);
    if (k->holder.is != MX_IS_BUILDING)
        return;
    k->served = 0;
    tell(k, MX_HANDS_RESTORE, take_fd(&h->image.plain));
}

static void open_streams(struct keeper *k)
{
    struct err e = { "" };
    struct host *from = host_of(k, k->plan.here), *to = host_of(k, k->plan.there);
    if (k->streams_move == k->plan.move)
        return;
    k->streams_move = k->plan.move;
    if (from)
        open_stream(k, from, to ? MX_STREAM_IMAGE : MX_STREAM_IMAGE_AT_ONCE);
    if (to) {
        open_stream(k, to, MX_STREAM_IMAGE);
        open_stream(k, to, MX_STREAM_CALLS);
    }
    if (from && to && from->image.pid && to->image.pid)
        k->relay = mx_conn_relay(take_fd(&from->image.plain), take_fd(&to->image.plain), &e);
    else if (from && from->image.pid && /* its first bytes say that it makes no more calls */
             loop_fd_add(k->loop, &from->on_image, from->image.plain, EPOLLIN, on_image, from) <
                 0)
        log_error("job %d: its image can't be waited for", (int)k->how.pid);
}

static void end_relay(struct keeper *k)
{
    if (k->relay <= 0)
        return;
    kill(k->relay, SIGKILL);
    while (waitpid(k->relay, NULL, 0) < 0 && errno == EINTR)
        ;
    k->relay = 0;
}

/* What was opened for a move, but for the calls of where the job is now. */
static void close_streams(struct keeper *k)
{
    end_relay(k);
    for (unsigned i = 0; i < HOSTS; i++) {
        struct host *h = &k->hosts[i];
        if (!h->place)
            continue;
        end_image(h);
        if (h->place != k->plan.here)
            end_calls(h);
    }
}

/* ---- hosts ---- */

static void forget_host(struct host *h)
{
    loop_fd_del(&h->on_orders);
    loop_fd_del(&h->on_notes);
    mx_conn_end(&h->orders);
    end_calls(h);
    end_image(h);
    h->place = 0;
}

static void host_is_dead(struct host *h)
{
    struct keeper *k = h->k;
    uint32_t place = h->place;
    forget_host(h);
    plan_step(k, (struct mx_migrate_in){ .what = MX_MIG_DEAD, .place = place });
}

/* Nothing of a copy there can get out any more; whether it still computes is known when its
 * lease has run out. */
static void host_is_cut(struct host *h)
{
    struct keeper *k = h->k;
    loop_fd_del(&h->on_orders);
    loop_fd_del(&h->on_notes);
    h->lost_ms = clock_mono_ms();
    plan_step(k, (struct mx_migrate_in){ .what = MX_MIG_CUT, .place = h->place });
}

/* The first note says whether there is a connection, the second how it ended. */
static void on_host_notes(void *ctx, uint32_t events UNUSED)
{
    struct host *h = ctx;
    struct mx_note n = { .rc = -EPIPE };
    int fd, rc = mx_note_receive(h->orders.notes, &n, &fd, false);
    fd_close(&fd);
    if (rc == 0)
        return;
    if (rc > 0 && n.what == 0 && n.rc == 0) {
        h->is_connected = true;
        return;
    }
    note_why(h->k, n.text);
    if (!h->is_connected || (rc > 0 && n.rc == 0)) {
        if (!n.text[0])
            note_why(h->k, "the node has ended the connection");
        host_is_dead(h); /* it never had anything, or has said that all is gone */
    } else {
        note_why(h->k, "the connection to the node was lost");
        host_is_cut(h);
    }
}

static void on_message(struct host *h, const struct mx_message *m)
{
    struct keeper *k = h->k;
    if (m->number == MX_MESSAGE_report) {
        plan_step(k, (struct mx_migrate_in){
                         .what = MX_MIG_REPORT, .place = h->place, .report = &m->report });
    } else if (m->number == MX_MESSAGE_words) {
        note_why(k, m->words.text);
        if (m->words.signal && h->place == k->plan.here)
            k->signal = m->words.signal;
    }
}

static void on_host_orders(void *ctx, uint32_t events UNUSED)
{
    struct host *h = ctx;
    uint32_t place = h->place;
    ssize_t n = fd_read(h->orders.plain, h->in + h->in_bytes, sizeof h->in - h->in_bytes);
    if (n <= 0) { /* why is in the notes */
        loop_fd_del(&h->on_orders);
        return;
    }
    h->in_bytes += (size_t)n;
    struct rd r = rd_of(h->in, h->in_bytes);
    struct mx_message m;
    int rc = 0;
    while (h->place == place && (rc = mx_plan_get(&r, &m)) > 0)
        on_message(h, &m);
    if (h->place != place)
        return;
    if (rc < 0) {
        note_why(h->k, "the node sends what makes no sense");
        loop_fd_del(&h->on_orders);
        loop_fd_del(&h->on_notes);
        mx_conn_end(&h->orders);
        host_is_cut(h);
        return;
    }
    h->in_bytes = rd_left(&r);
    memmove(h->in, r.at, h->in_bytes);
}

static struct host *find_node(struct keeper *k, int node)
{
    for (unsigned i = 0; i < HOSTS; i++)
        if (k->hosts[i].place && k->hosts[i].node == node && !k->hosts[i].lost_ms)
            return &k->hosts[i];
    return NULL;
}

/* One that nothing is wanted of gives way. */
static struct host *free_host(struct keeper *k)
{
    for (unsigned i = 0; i < HOSTS; i++)
        if (!k->hosts[i].place)
            return &k->hosts[i];
    for (unsigned i = 0; i < HOSTS; i++) {
        struct host *h = &k->hosts[i];
        if (h->place == k->plan.here || h->lost_ms || h->calls.pid)
            continue;
        host_is_dead(h);
        return h;
    }
    return NULL;
}

static int add_host(struct keeper *k, int node, struct host **out, struct err *e)
{
    struct host *h = free_host(k);
    if (!h)
        return err_say(e, EBUSY, "too many nodes have not yet said that their copy is gone");
    *h = (struct host){ .k = k, .node = node };
    int rc = crypto_random(h->token, sizeof h->token);
    struct mx_hello hello = hello_of(k, h, MX_STREAM_ORDERS);
    if (rc < 0)
        return err_set(e, -rc, "make a token");
    rc = mx_conn_start(&h->orders, &k->how.nodes->list[node], k->how.id, &hello, e);
    if (rc < 0)
        return rc;
    h->place = ++k->last_place;
    rc = loop_fd_add(k->loop, &h->on_orders, h->orders.plain, EPOLLIN, on_host_orders, h);
    if (rc == 0)
        rc = loop_fd_add(k->loop, &h->on_notes, h->orders.notes, EPOLLIN, on_host_notes, h);
    if (rc < 0) {
        forget_host(h);
        return err_set(e, -rc, "watch a connection");
    }
    *out = h;
    return 0;
}

static void send_order(struct keeper *k, uint32_t place, const struct mx_order *order)
{
    uint8_t space[MX_MESSAGE_MAX];
    struct mx_message m = { .number = MX_MESSAGE_order };
    struct host *h = host_of(k, place);
    struct wr w = wr_of(space, sizeof space);
    m.order = *order;
    mx_plan_put(&w, &m);
    /* One that is lost is said again; a socket that is full has a peer that is silent. */
    if (h && h->orders.pid &&
        send(h->orders.plain, space, wr_len(&w), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
        errno != EAGAIN)
        log_at(LOG_VERBOSE, "job %d: an order was lost", (int)k->how.pid);
}

/* ---- the plan ---- */

static void say_to_job(struct keeper *k, const char *what)
{
    char text[400];
    AUTO_FD fd = (int)syscall(SYS_pidfd_getfd, k->how.process, STDERR_FILENO, 0);
    snprintf(text, sizeof text, "mosrun: process %d (%s) is lost: %s\n", (int)k->how.pid,
             k->program, what);
    log_error("%s", text);
    struct pollfd p = { fd, POLLOUT, 0 };
    if (fd >= 0 && poll(&p, 1, 0) > 0 && fd_write(fd, text, strlen(text)) < 0)
        log_at(LOG_VERBOSE, "job %d can't be told", (int)k->how.pid);
}

static void on_linger(void *ctx)
{
    struct keeper *k = ctx;
    bool is_idle = k->plan.phase == MX_SETTLED && k->plan.here == MX_HOME;
    if (is_idle)
        end_keeper(k);
}

static void after_step(struct keeper *k, const struct mx_migrate_out *out)
{
    if (out->has_ended && k->is_first_home) {
        log_error("job %d: what was away of it is lost: %s", (int)k->how.pid,
                  k->why[0] ? k->why : mx_why_text(out->why));
        mx_hands_end(&k->hands);
        is_at_home(k);
        return;
    }
    if (out->has_moved) {
        note_move(k);
        k->had_family = false;
        k->why[0] = 0;
        log_at(LOG_VERBOSE, "job %d is at %s, and stood still for %llu ms", (int)k->how.pid,
               node_name(k, k->plan.here), (unsigned long long)(clock_mono_ms() - k->froze_ms));
        serve_here(k);
    } else if (out->has_failed) {
        if (!k->why[0])
            note_why(k, mx_why_text(out->why));
        log_error("job %d stays at %s: %s", (int)k->how.pid, node_name(k, k->plan.here),
                  k->why);
        serve_here(k);
    }
    if (out->has_moved || out->has_failed)
        close_streams(k);
    if ((out->has_moved || out->has_failed) && k->plan.here == MX_HOME)
        loop_timer_set(k->loop, &k->linger, MX_KEEPER_LINGER_MS, on_linger, k);
    if (out->has_ended && !k->is_over) {
        k->is_over = true;
        if (has_process(k) && out->why != MX_WHY_KILLED && out->why != MX_WHY_ENDED &&
            !k->signal)
            say_to_job(k, k->why[0] ? k->why : mx_why_text(out->why));
        end_process(k);
    }
}

static void on_timer(void *ctx)
{
    struct keeper *k = ctx;
    uint64_t now_ms = clock_mono_ms();
    for (unsigned i = 0; i < HOSTS; i++)
        if (k->hosts[i].place && k->hosts[i].lost_ms && now_ms - k->hosts[i].lost_ms >= LOST_MS)
            host_is_dead(&k->hosts[i]);
    hold_step(k, (struct mx_holder_in){ .what = MX_HOLD_TICK });
    plan_step(k, (struct mx_migrate_in){ .what = MX_MIG_TICK });
}

static void plan_step(struct keeper *k, struct mx_migrate_in in)
{
    struct mx_migrate_out out;
    enum mx_phase before = k->plan.phase;
    in.now_ms = (int64_t)clock_mono_ms();
    if (mx_migrate_step(&k->plan, &in, &out) < 0)
        return; /* only a wish is refused, and that is asked for elsewhere */
    if (k->plan.phase == MX_COPYING)
        open_streams(k);
    if (k->plan.phase == MX_FREEZING && before != MX_FREEZING)
        k->froze_ms = clock_mono_ms();
    after_step(k, &out);
    loop_timer_set(k->loop, &k->timer, MX_BEAT_MS, on_timer, k);
    for (unsigned i = 0; i < out.order_count; i++)
        if (out.orders[i].place != MX_HOME)
            send_order(k, out.orders[i].place, &out.orders[i].order);
    for (unsigned i = 0; i < out.order_count; i++)
        if (out.orders[i].place == MX_HOME)
            hold_step(k, (struct mx_holder_in){ .what = MX_HOLD_ORDER,
                                                .order = &out.orders[i].order });
    if (k->is_over && !has_process(k))
        end_keeper(k);
}

/* ---- requests ---- */

/* Processes that are away together come home each by itself. */
static int fetch(struct keeper *k, bool is_home, struct err *e)
{
    if (!is_home)
        return err_say(e, EBUSY, "children of process %d are away too: migrate %d home first",
                       (int)k->how.pid, (int)k->how.pid);
    if (!k->is_fetching)
        tell(k, MX_HANDS_FETCH, -1);
    k->is_fetching = true;
    return 0;
}

static int migrate(struct keeper *k, const char *where, struct err *e)
{
    struct host *h = NULL;
    bool is_home = strcmp(where, "home") == 0;
    int node = is_home ? k->how.self : mx_nodes_learn(k->how.nodes, where);
    if (node < 0)
        return err_say(e, ENOENT, "no node is called %s", where);
    if (k->plan.phase == MX_OVER)
        return err_say(e, ESRCH, "the job has ended");
    if (k->plan.phase != MX_SETTLED)
        return err_say(e, EBUSY, "process %d is moving", (int)k->how.pid);
    bool is_fetch = k->is_family || k->is_first_home || k->is_fetching ||
                    (k->had_family && node == k->how.self);
    if (k->plan.here != MX_HOME && is_fetch)
        return fetch(k, node == k->how.self, e);
    if (node != k->how.self)
        h = find_node(k, node);
    if (node != k->how.self && !h) {
        int rc = add_host(k, node, &h, e);
        if (rc < 0)
            return rc;
    }
    struct mx_migrate_in in = { .what = MX_MIG_MOVE,
                                .place = h ? h->place : MX_HOME,
                                .now_ms = (int64_t)clock_mono_ms() };
    if (in.place == k->plan.here)
        return 0; /* it is there */
    struct mx_migrate_out out;
    struct mx_migrate before = k->plan;
    int rc = mx_migrate_step(&before, &in, &out); /* may it? */
    if (rc < 0)
        return err_say(e, -rc, "the last copy there is not yet gone");
    k->why[0] = 0;
    loop_timer_del(&k->linger);
    plan_step(k, in);
    return 0;
}

static void status(struct keeper *k, char *text, size_t size)
{
    const char *why = k->came[0] ? k->came : k->why;
    snprintf(text, size, "%s\t%s\t%u\t%s\n",
             node_name(k, k->is_first_home ? MX_HOME : k->plan.here),
             k->is_fetching ? "coming-home" : mx_phase_text(k->plan.phase), k->moves,
             why[0] ? why : "-");
}

static void on_listener(void *ctx, uint32_t events UNUSED)
{
    struct keeper *k = ctx;
    char text[MX_REQUEST_MAX];
    struct err e = { "" };
    AUTO_FD sock = accept4(k->how.listener, NULL, NULL, SOCK_CLOEXEC);
    struct pollfd p = { sock, POLLIN, 0 };
    if (sock < 0 || poll(&p, 1, 1000) <= 0)
        return;
    ssize_t n = fd_read(sock, text, sizeof text - 1);
    if (n <= 0)
        return;
    text[n] = 0;
    text[strcspn(text, "\n")] = 0;
    if (strcmp(text, "status") == 0)
        status(k, text, sizeof text);
    else if (strncmp(text, "migrate ", 8) == 0 && migrate(k, text + 8, &e) == 0)
        snprintf(text, sizeof text, "ok\n");
    else
        snprintf(text, sizeof text, "%.200s\n", e.text[0] ? e.text : "no such request");
    if (fd_write_full(sock, text, strlen(text)) < 0)
        log_at(LOG_VERBOSE, "who has asked is gone");
}

/* The job's own process has ended: so has the job. */
static void on_process(void *ctx, uint32_t events UNUSED)
{
    struct keeper *k = ctx;
    loop_fd_del(&k->on_process);
    k->is_first_gone = true;
    for (struct pollfd p = { k->hands.sock, POLLIN, 0 }; /* what was said before */
         k->hands.pid > 0 && poll(&p, 1, 0) > 0; p.fd = k->hands.sock)
        on_hands(k, 0);
    if (k->is_family && k->hands.pid > 0)
        return;
    plan_step(k, (struct mx_migrate_in){ .what = MX_MIG_KILLED });
    end_keeper(k);
}

static void read_program(struct keeper *k)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)k->how.pid);
    FILE *f = fopen(path, "re");
    if (!f || !fgets(k->program, sizeof k->program, f))
        snprintf(k->program, sizeof k->program, "?");
    if (f)
        fclose(f);
    k->program[strcspn(k->program, "\n")] = 0;
}

int mx_keeper_run(const struct mx_keeper_how *how, struct err *e)
{
    static struct keeper k;
    k = (struct keeper){ .how = *how, .hands = { 0, -1 } };
    int64_t now_ms = (int64_t)clock_mono_ms();
    mx_migrate_init(&k.plan, now_ms);
    mx_holder_init(&k.holder, true, true);
    read_program(&k);
    mx_be_prompt(0, true);
    int rc = loop_new(&k.loop);
    if (rc == 0)
        rc = loop_fd_add(k.loop, &k.on_process, how->process, EPOLLIN, on_process, &k);
    if (rc == 0)
        rc = loop_fd_add(k.loop, &k.on_listener, how->listener, EPOLLIN, on_listener, &k);
    if (rc == 0) {
        loop_timer_set(k.loop, &k.linger, MX_KEEPER_LINGER_MS, on_linger, &k);
        rc = loop_run(k.loop);
    }
    for (unsigned i = 0; i < HOSTS; i++)
        if (k.hosts[i].place)
            forget_host(&k.hosts[i]);
    end_relay(&k);
    mx_hands_end(&k.hands);
    return rc < 0 ? err_set(e, -rc, "keep process %d", (int)how->pid) : 0;
}
