/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper.c: mx_migrate_step and the home's own mx_holder_step as a process: reports come from
 * hosts, orders go to them; streams are opened for a move, and the hands at home told what to
 * do. Must not know: who may ask for what. Source: docs/migration.md, "A move". */
#include "mosix-core/move/keeping.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mosix-core/move/stay.h"
#include "mosix-core/move/witness.h"
#include "mosix-core/net/prompt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

const char *mx_keeper_name(const struct mx_keeper *k, uint32_t place)
{
    if (place == MX_HOME)
        return "home";
    for (unsigned i = 0; i < MX_KEEPER_HOSTS; i++)
        if (k->hosts[i].place == place)
            return k->how.nodes->list[k->hosts[i].node].name;
    return "a node that is lost";
}

struct mx_host *mx_keeper_host(struct mx_keeper *k, uint32_t place)
{
    for (unsigned i = 0; place && i < MX_KEEPER_HOSTS; i++)
        if (k->hosts[i].place == place)
            return &k->hosts[i];
    return NULL;
}

/* The first reason counts: others follow from it. */
void mx_keeper_why(struct mx_keeper *k, const char *text)
{
    if (text[0] && !k->why[0])
        snprintf(k->why, sizeof k->why, "%s", text);
}

void mx_keeper_note_move(struct mx_keeper *k)
{
    k->moves++;
    if (k->how.moved)
        k->how.moved(k->how.ctx, k->how.pid);
}

void mx_keeper_end(struct mx_keeper *k)
{
    loop_stop(k->loop, 0);
}

/* ---- the plan ---- */

void mx_keeper_say(struct mx_keeper *k, pid_t pid, const char *what)
{
    mx_witness_say(k->how.process, k->errors, pid, k->program, what);
}

void mx_keeper_keep_errors(struct mx_keeper *k)
{
    fd_close(&k->errors);
    k->errors = mx_witness_keep(k->how.process);
}

/* As long as something has to be remembered of it, too. */
void mx_keeper_start_linger(struct mx_keeper *k)
{
    uint64_t now_ms = clock_mono_ms(), for_ms = MX_KEEPER_LINGER_MS;
    if (k->stays_until_ms > now_ms + for_ms)
        for_ms = k->stays_until_ms - now_ms;
    loop_timer_set(k->loop, &k->linger, for_ms, mx_keeper_on_linger, k);
}

void mx_keeper_on_linger(void *ctx)
{
    struct mx_keeper *k = ctx;
    bool is_idle =
        k->plan.phase == MX_SETTLED && k->plan.here == MX_HOME && k->frost == MX_FROST_NONE;
    if (is_idle)
        mx_keeper_end(k);
}

static void after_step(struct mx_keeper *k, const struct mx_migrate_out *out)
{
    if (out->has_ended && k->is_first_home) {
        log_error("job %d: what was away of it is lost: %s", (int)k->how.pid,
                  k->why[0] ? k->why : mx_why_text(out->why));
        for (unsigned i = 0; i < MX_KEEPER_HOSTS; i++)
            if (k->hosts[i].place)
                mx_host_forget(&k->hosts[i]); /* the hands find it, and name who is lost */
        return;
    }
    if (out->has_moved) {
        mx_keeper_note_move(k);
        k->had_family = false;
        k->why[0] = 0;
        log_at(LOG_VERBOSE, "job %d is at %s, and stood still for %llu ms", (int)k->how.pid,
               mx_keeper_name(k, k->plan.here),
               (unsigned long long)(clock_mono_ms() - k->froze_ms));
        mx_keeper_serve(k);
    } else if (out->has_failed) {
        if (!k->why[0])
            mx_keeper_why(k, mx_why_text(out->why));
        log_error("job %d stays at %s: %s", (int)k->how.pid, mx_keeper_name(k, k->plan.here),
                  k->why);
        mx_keeper_serve(k);
    }
    if (out->has_moved || out->has_failed)
        mx_keeper_close_streams(k);
    /* It had children when it was to stand still. */
    struct err none = { "" };
    if (out->has_failed && k->is_family && k->plan.here != MX_HOME &&
        mx_keeper_fetch(k, k->wanted, &none) < 0)
        log_at(LOG_VERBOSE, "%s", none.text);
    if ((out->has_moved || out->has_failed) && k->plan.here == MX_HOME)
        mx_keeper_start_linger(k);
    if (out->has_moved || out->has_failed)
        mx_keeper_frost_moved(k);
    if (out->has_ended && !k->is_over) {
        k->is_over = true;
        if (mx_keeper_has_process(k) && out->why != MX_WHY_KILLED && out->why != MX_WHY_ENDED &&
            !k->signal)
            mx_keeper_say(k, k->how.pid, k->why[0] ? k->why : mx_why_text(out->why));
        mx_keeper_end_process(k);
    }
}

/* Where the job has settled nobody serves its calls: it would wait for ever. */
static void check_served(struct mx_keeper *k, uint64_t now_ms)
{
    struct mx_host *h = k->plan.phase == MX_SETTLED ? mx_keeper_host(k, k->plan.here) : NULL;
    if (!k->unserved || now_ms - k->unserved_ms < MX_UNSERVED_MS || !h || h->lost_ms ||
        k->served != k->unserved || h->calls.pid != k->served)
        return;
    k->unserved = 0;
    mx_keeper_why(k, "the connection for its calls was lost");
    mx_host_lose(h);
}

static void on_timer(void *ctx)
{
    struct mx_keeper *k = ctx;
    uint64_t now_ms = clock_mono_ms();
    for (unsigned i = 0; i < MX_KEEPER_HOSTS; i++)
        if (k->hosts[i].place && k->hosts[i].lost_ms &&
            now_ms - k->hosts[i].lost_ms >= MX_KEEPER_LOST_MS)
            mx_host_is_dead(&k->hosts[i]);
    check_served(k, now_ms);
    mx_keeper_hold(k, (struct mx_holder_in){ .what = MX_HOLD_TICK });
    mx_keeper_plan(k, (struct mx_migrate_in){ .what = MX_MIG_TICK });
}

void mx_keeper_plan(struct mx_keeper *k, struct mx_migrate_in in)
{
    struct mx_migrate_out out;
    enum mx_phase before = k->plan.phase;
    in.now_ms = (int64_t)clock_mono_ms();
    if (mx_migrate_step(&k->plan, &in, &out) < 0)
        return; /* only a wish is refused, and that is asked for elsewhere */
    if (k->plan.phase == MX_COPYING)
        mx_keeper_open_streams(k);
    if (k->plan.phase == MX_FREEZING && before != MX_FREEZING)
        k->froze_ms = clock_mono_ms();
    after_step(k, &out);
    loop_timer_set(k->loop, &k->timer, MX_BEAT_MS, on_timer, k);
    for (unsigned i = 0; i < out.order_count; i++)
        if (out.orders[i].place != MX_HOME)
            mx_keeper_send_order(k, out.orders[i].place, &out.orders[i].order);
    for (unsigned i = 0; i < out.order_count; i++)
        if (out.orders[i].place == MX_HOME)
            mx_keeper_hold(k, (struct mx_holder_in){ .what = MX_HOLD_ORDER,
                                                     .order = &out.orders[i].order });
    if (k->is_over && !mx_keeper_has_process(k))
        mx_keeper_end(k);
}

/* ---- requests ---- */

int mx_keeper_migrate(struct mx_keeper *k, const char *where, struct err *e)
{
    struct mx_host *h = NULL;
    bool is_home = strcmp(where, "home") == 0;
    int node = is_home ? k->how.self : mx_nodes_learn(k->how.nodes, where);
    if (node < 0)
        return err_say(e, ENOENT, "no node is called %s", where);
    if (k->plan.phase == MX_OVER)
        return err_say(e, ESRCH, "the job has ended");
    if (k->frost > MX_FROST_WANTED)
        return err_say(e, EBUSY, "process %d is %s: migrate %d continue first", (int)k->how.pid,
                       mx_keeper_frost_text(k), (int)k->how.pid);
    if (k->plan.phase != MX_SETTLED)
        return err_say(e, EBUSY, "process %d is moving", (int)k->how.pid);
    bool is_fetch = k->is_family || k->is_first_home || k->is_fetching ||
                    (k->had_family && node == k->how.self);
    int stays =
        k->plan.here == MX_HOME && node != k->how.self ? mx_stay_look(k->how.pid, e) : 0;
    if (stays < 0)
        return stays;
    if (node != k->how.self)
        h = mx_keeper_find_node(k, node);
    bool is_there = h && h->place == k->plan.here && !k->is_first_home && !k->is_fetching;
    if (k->plan.here != MX_HOME && is_fetch && !is_there)
        return mx_keeper_fetch(k, node == k->how.self ? "home" : where, e);
    if (h && h->is_unwanted && h->place != k->plan.here) {
        mx_host_is_dead(h); /* nothing of it is there any more */
        h = NULL;
    }
    if (node != k->how.self && !h) {
        int rc = mx_keeper_add_host(k, node, &h, e);
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
    mx_keeper_keep_errors(k);
    snprintf(k->wanted, sizeof k->wanted, "%s", where);
    loop_timer_del(&k->linger);
    mx_keeper_plan(k, in);
    return 0;
}

void mx_keeper_leave(struct mx_keeper *k, const char *why)
{
    struct err e = { "" };
    char at[MX_NODE_NAME_MAX + 1];
    struct mx_host *h = mx_keeper_host(k, k->plan.here);
    if (k->plan.phase != MX_SETTLED || k->plan.here == MX_HOME || k->is_fetching)
        return; /* it is said again */
    snprintf(at, sizeof at, "%s", mx_keeper_name(k, k->plan.here));
    if (mx_keeper_migrate(k, "home", &e) < 0)
        log_error("job %d should leave %s: %s", (int)k->how.pid, at, e.text);
    else
        log_at(LOG_NORMAL, "job %d comes home: %s %s", (int)k->how.pid, at, why);
    k->stays_until_ms = clock_mono_ms() + MX_STAYS_MS;
    if (h)
        h->is_unwanted = true;
}

/* Nobody in particular wants it elsewhere. */
static int send_away(struct mx_keeper *k, const char *where, struct err *e)
{
    uint64_t now_ms = clock_mono_ms();
    if (now_ms < k->stays_until_ms)
        return err_say(e, EAGAIN,
                       "process %d %.180s, and is not sent away by itself for another %u s",
                       (int)k->how.pid, k->why[0] ? k->why : "came home by itself",
                       (unsigned)((k->stays_until_ms - now_ms + 999) / 1000));
    return mx_keeper_migrate(k, where, e);
}

static void status(struct mx_keeper *k, char *text, size_t size)
{
    const char *why = k->came[0] ? k->came : k->why;
    snprintf(text, size, "%s\t%s\t%u\t%s\n",
             mx_keeper_name(k, k->is_first_home ? MX_HOME : k->plan.here),
             k->is_fetching              ? "coming-home"
             : k->frost != MX_FROST_NONE ? mx_keeper_frost_text(k)
                                         : mx_phase_text(k->plan.phase),
             k->moves, why[0] ? why : "-");
}

static void on_listener(void *ctx, uint32_t events UNUSED)
{
    struct mx_keeper *k = ctx;
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
    else if (strcmp(text, "family") == 0)
        snprintf(text, sizeof text, "%s\n", mx_keeper_name(k, k->plan.here));
    else if (strncmp(text, "migrate ", 8) == 0 && mx_keeper_migrate(k, text + 8, &e) == 0)
        snprintf(text, sizeof text, "ok\n");
    else if (strcmp(text, "freeze") == 0 && mx_keeper_freeze(k, &e) == 0)
        snprintf(text, sizeof text, "ok\n");
    else if (strcmp(text, "continue") == 0 && mx_keeper_thaw(k, &e) == 0)
        snprintf(text, sizeof text, "ok\n");
    else if (strncmp(text, "auto ", 5) == 0 && send_away(k, text + 5, &e) == 0)
        snprintf(text, sizeof text, "ok\n");
    else if (strncmp(text, "of ", 3) == 0 && mx_keeper_fetch_child(k, text + 3, &e) == 0)
        snprintf(text, sizeof text, "ok\n");
    else
        snprintf(text, sizeof text, "%.200s\n", e.text[0] ? e.text : "no such request");
    if (fd_write_full(sock, text, strlen(text)) < 0)
        log_at(LOG_VERBOSE, "who has asked is gone");
}

/* What was said before the process ended. If it ended because they were killed, that is seen a
 * moment later: when one of their threads is the last to go. */
static void hear_hands(struct mx_keeper *k)
{
    uint64_t end = clock_mono_ms() + (mx_keeper_is_tied(k) ? MX_KEEPER_LAST_MS : 0);
    while (k->hands.pid > 0) {
        struct pollfd p = { k->hands.sock, POLLIN, 0 };
        uint64_t now = clock_mono_ms();
        if (poll(&p, 1, now < end ? (int)(end - now) : 0) <= 0)
            return;
        mx_keeper_on_hands(k, 0);
    }
}

/* The job's own process has ended: so has the job. */
static void on_process(void *ctx, uint32_t events UNUSED)
{
    struct mx_keeper *k = ctx;
    loop_fd_del(&k->on_process);
    k->is_first_gone = true;
    hear_hands(k);
    if (k->is_family && k->hands.pid > 0)
        return;
    if (clock_mono_ms() < k->lost_until_ms && !k->is_over)
        mx_keeper_say(k, k->how.pid, k->why);
    mx_keeper_plan(k, (struct mx_migrate_in){ .what = MX_MIG_KILLED });
    mx_keeper_end(k);
}

void mx_keeper_read_program(struct mx_keeper *k)
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
    static struct mx_keeper k;
    k = (struct mx_keeper){ .how = *how,
                            .hands = { 0, -1 },
                            .frost_back = -1,
                            .errors = -1,
                            .collector = { 0, -1, -1 } };
    int64_t now_ms = (int64_t)clock_mono_ms();
    mx_migrate_init(&k.plan, now_ms);
    mx_holder_init(&k.holder, true, true);
    mx_keeper_read_program(&k);
    mx_be_prompt(0, true);
    int rc = loop_new(&k.loop);
    if (rc == 0)
        rc = loop_fd_add(k.loop, &k.on_process, how->process, EPOLLIN, on_process, &k);
    if (rc == 0)
        rc = loop_fd_add(k.loop, &k.on_listener, how->listener, EPOLLIN, on_listener, &k);
    if (rc == 0) {
        loop_timer_set(k.loop, &k.linger, MX_KEEPER_LINGER_MS, mx_keeper_on_linger, &k);
        rc = loop_run(k.loop);
    }
    for (unsigned i = 0; i < MX_KEEPER_HOSTS; i++)
        if (k.hosts[i].place)
            mx_host_forget(&k.hosts[i]);
    mx_keeper_end_relay(&k);
    mx_hands_end(&k.hands);
    mx_keeper_frost_end(&k);
    fd_close(&k.errors);
    return rc < 0 ? err_set(e, -rc, "keep process %d", (int)how->pid) : 0;
}
