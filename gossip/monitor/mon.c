/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mon.c: shows the nodes of a cluster on a terminal, as mosixd of this node knows them.
 * Must not know: how mosixd knows it, how a screen is laid out (core/layout.h) or drawn
 * (draw.h). */
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/opt.h"
#include "gossip/monitor/decode.h"
#include "gossip/monitor/draw.h"
#include "gossip/monitor/feed.h"
#include "gossip/monitor/print.h"
#include "mosix-core/mosixd/place.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct mon_options {
    const char *cluster, *run;
    int shown, sort, layout, numbers;
    long long interval_s;
    bool is_log, hides_dead, hides_totals, is_once, is_json, is_ascii;
};

static const struct opt options[] = {
#define OPT_STRUCT struct mon_options
#include "common/sys/opt_begin.h"
#include "gossip/monitor/mon.def"
#include "common/sys/opt_end.h"
};

static const struct opt_program program = {
    "mon", "[options] [+N]",
    "Shows load, memory, guests and state of the nodes of a cluster; with +N from node N on. "
    "Type h for its keys.",
    options, ARRAY_LEN(options)
};

struct mon {
    struct loop *loop;
    struct mon_feed feed;
    struct mon_view view;
    struct mon_table table;
    uint32_t *order; /* of room for table.count */
    size_t chosen;
    struct mon_screen screen;
    uint64_t answered_ms; /* 0: never */
    char words[200];      /* why there is no answer; empty: there is */
    const char *wanted;   /* the cluster that the command line names, until it is found */
    uint32_t start;       /* the node that it names, until there is a table; 0: none */
    struct loop_fd keys, signals;
    struct loop_timer tick;
    int signal_fd, ended_by;
};

/* ---- drawing ---- */

static void fit_screen(struct mon *m)
{
    unsigned rows, cols;
    draw_size(&rows, &cols);
    if (rows == m->screen.rows && cols == m->screen.cols)
        return;
    struct mon_cell *cells = realloc(m->screen.cells, (size_t)rows * cols * sizeof *cells);
    if (cells)
        m->screen = (struct mon_screen){ rows, cols, cells };
}

static void show(struct mon *m)
{
    const struct mon_source from = { m->words[0] ? m->words : NULL,
                                     m->answered_ms
                                         ? (int64_t)(clock_mono_ms() - m->answered_ms)
                                         : MON_UNKNOWN };
    fit_screen(m);
    m->chosen = m->order ? mon_view_choose(&m->view, &m->table, m->order) : 0;
    mon_layout(&m->screen, &m->view, &m->table, m->order, m->chosen, &from);
    draw_show(&m->screen);
}

static void tick(void *ctx)
{
    struct mon *m = ctx;
    loop_timer_set(m->loop, &m->tick, 1000, tick, m);
    show(m);
}

/* ---- answers ---- */

/* Takes the table. */
static void take_table(struct mon *m, struct mon_table *fresh)
{
    uint32_t *order = malloc((fresh->count + 1) * sizeof *order);
    if (!order) {
        mon_table_fini(fresh);
        return;
    }
    free(m->order);
    mon_table_fini(&m->table);
    m->order = order;
    m->table = *fresh;
    m->answered_ms = clock_mono_ms();
    if (m->start)
        mon_view_begin_at(&m->view, &m->table, m->order,
                          mon_view_choose(&m->view, &m->table, m->order), m->start);
    m->start = 0;
    if (m->wanted && print_find_cluster(&m->table, m->wanted, &m->view.cluster))
        m->wanted = NULL;
}

static void answered(void *ctx, const char *answer, size_t len_bytes, const char *why)
{
    struct mon *m = ctx;
    struct mon_table fresh;
    struct err e = { "" };
    if (answer && mon_decode_status(answer, len_bytes, &fresh, &e) == 0)
        take_table(m, &fresh);
    else if (!why)
        why = e.text[0] ? e.text : "no memory";
    snprintf(m->words, sizeof m->words, "%s", why ? why : "");
    show(m);
}

/* ---- keys and signals ---- */

static void typed(void *ctx, uint32_t events)
{
    struct mon *m = ctx;
    unsigned key;
    bool is_any = false;
    while (draw_key(&key)) {
        is_any = true;
        m->chosen = m->order ? mon_view_choose(&m->view, &m->table, m->order) : 0;
        m->view.chosen = (uint32_t)m->chosen;
        switch (mon_view_key(&m->view, &m->table, m->order, key)) {
        case MON_QUIT: loop_stop(m->loop, 0); return;
        case MON_ASK_NOW: mon_feed_now(&m->feed); break;
        case MON_GO_ON: break;
        }
    }
    if (!is_any && events & (EPOLLHUP | EPOLLERR))
        loop_stop(m->loop, 0); /* the terminal is gone */
    else
        show(m);
}

static void signalled(void *ctx, uint32_t events UNUSED)
{
    struct mon *m = ctx;
    struct signalfd_siginfo s;
    if (fd_read(m->signal_fd, &s, sizeof s) != sizeof s)
        return;
    if (s.ssi_signo == SIGWINCH) {
        show(m);
    } else {
        m->ended_by = (int)s.ssi_signo;
        loop_stop(m->loop, 0);
    }
}

static int watch(struct mon *m, struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGWINCH);
    sigprocmask(SIG_BLOCK, &set, NULL);
    m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (m->signal_fd < 0)
        return err_set(e, errno, "watch for signals");
    int rc = loop_fd_add(m->loop, &m->signals, m->signal_fd, EPOLLIN, signalled, m);
    if (rc == 0)
        rc = loop_fd_add(m->loop, &m->keys, STDIN_FILENO, EPOLLIN, typed, m);
    return rc < 0 ? err_set(e, -rc, "watch the terminal") : 0;
}

/* Returns the number of the signal that ended it, 0, or -errno with words. */
static int run_on_terminal(struct mon *m, const char *path, unsigned period_ms, struct err *e)
{
    int rc = loop_new(&m->loop);
    if (rc < 0)
        return err_set(e, -rc, "make an event loop");
    m->signal_fd = -1;
    rc = watch(m, e);
    if (rc == 0)
        rc = draw_open(e);
    if (rc == 0) {
        m->feed = (struct mon_feed){ .loop = m->loop,
                                     .path = path,
                                     .request = "status\n",
                                     .period_ms = period_ms,
                                     .fn = answered,
                                     .ctx = m };
        mon_feed_start(&m->feed);
        tick(m);
        rc = loop_run(m->loop);
        draw_close();
        mon_feed_stop(&m->feed);
        loop_timer_del(&m->tick);
    }
    loop_fd_del(&m->keys);
    loop_fd_del(&m->signals);
    fd_close(&m->signal_fd);
    loop_free(m->loop);
    mon_table_fini(&m->table);
    free(m->order);
    free(m->screen.cells);
    return rc < 0 ? rc : m->ended_by;
}

/* ---- */

static int print_all(const struct mon_options *o, struct mon_view *v, uint32_t start,
                     const char *path, struct err *e)
{
    char *answer = NULL;
    size_t len_bytes;
    struct mon_table t;
    int rc = mon_feed_once(path, "status\n", &answer, &len_bytes, e);
    if (rc < 0)
        return rc;
    rc = mon_decode_status(answer, len_bytes, &t, e);
    if (rc == 0) {
        if (o->is_json)
            rc = print_raw(answer, len_bytes, e);
        else if (o->cluster && !print_find_cluster(&t, o->cluster, &v->cluster))
            rc = err_say(e, ENOENT, "no cluster is called %s", o->cluster);
        else
            rc = print_table(&t, v, start, e);
        mon_table_fini(&t);
    }
    free(answer);
    return rc;
}

/* By the signal itself, so that a shell sees how it ended. */
static void end_by(int signo)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signo);
    raise(signo);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
    static struct mon m;
    struct mon_options o = { .interval_s = 1 };
    struct err e = { "" };
    char run[MX_RUN_MAX], path[MX_RUN_MAX + 16];
    int first, rc = opt_parse(&program, argc, argv, &o, &first, &e);
    if (rc == OPT_DONE)
        return 0;
    mon_view_init(&m.view);
    if (rc == 0 && first < argc && argv[first][0] == '+' &&
        strspn(argv[first] + 1, "0123456789") == strlen(argv[first] + 1) && argv[first][1])
        m.start = (uint32_t)strtoul(argv[first++] + 1, NULL, 10);
    if (rc == 0 && first < argc)
        rc = err_say(&e, EINVAL, "\"%s\" is no option and not +N", argv[first]);
    if (rc == 0)
        rc = mx_run_dir(o.run, run, &e);
    if (rc < 0) {
        fprintf(stderr, "mon: %s\n", e.text);
        return 2;
    }
    snprintf(path, sizeof path, "%s/control", run);
    setlocale(LC_ALL, "");
    m.view.is_ascii = o.is_ascii || strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    m.view.shown = (enum mon_shown)o.shown;
    m.view.sort = (enum mon_sort)o.sort;
    m.view.layout = (enum mon_layout)o.layout;
    m.view.numbers = (enum mon_numbers)o.numbers;
    m.view.is_log = o.is_log;
    m.view.hides_dead = o.hides_dead;
    m.view.hides_totals = o.hides_totals;
    m.wanted = o.cluster;
    if (o.is_once || o.is_json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        rc = print_all(&o, &m.view, m.start, path, &e);
    else
        rc = run_on_terminal(&m, path, (unsigned)o.interval_s * 1000, &e);
    if (rc > 0)
        end_by(rc);
    if (rc < 0)
        fprintf(stderr, "mon: %s\n", e.text[0] ? e.text : strerror(-rc));
    return rc < 0;
}
