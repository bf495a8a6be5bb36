/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c: mosixd: listens to other nodes and to programs on this one, and forks a child for
 * each that comes. Must not know: what they want. Jobs that are away or moving have processes
 * of their own, which go on when this one ends. */
#include "mosix-core/mosixd/mark.h"
#include "mosix-core/mosixd/mosixd.h"
#include "mosix-core/mosixd/request.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/loop.h"
#include "common/sys/opt.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SWEEP_MS = 60 * 1000 }; /* what jobs have left is looked for this often */

struct mosixd_options {
    const char *config, *run, *state, *node, *freeze;
    int verbose;
    bool is_quiet;
    long long guest_memory_mib, guest_processes; /* 0: not given */
};

static const struct opt table[] = {
#define OPT_STRUCT struct mosixd_options
#include "common/sys/opt_begin.h"
#include "mosix-core/mosixd/options.def"
#include "common/sys/opt_end.h"
};

static const struct opt_program program = {
    "mosixd", "[OPTION...]",
    "The daemon of a node: takes in processes of other nodes, and moves those of this one when "
    "migrate asks for it.",
    table, ARRAY_LEN(table)
};

struct server {
    struct mx_daemon d;
    struct mx_cluster cluster;
    struct loop *loop;
    int network, control, signals, notes;
    struct loop_fd on_network, on_control, on_signals, on_notes;
    struct loop_timer leaving, sweeping;
    unsigned children;
    bool is_leaving;
};

/* ---- children ---- */

static void start_child(struct server *s, int fd, void (*fn)(const struct mx_daemon *d, int fd))
{
    s->cluster.children = s->children;
    pid_t pid = s->children < MX_CHILDREN_MAX ? fork() : -1;
    if (pid == 0) {
        sigset_t none;
        int kept[2] = { fd, s->d.notes };
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        fd_close_all_but(kept, 2);
        fn(&s->d, fd);
        _exit(0);
    }
    if (pid > 0)
        s->children++;
    else
        log_error("refused a connection: there are %u already", s->children);
    close(fd);
}

static void on_network(void *ctx, uint32_t events UNUSED)
{
    struct server *s = ctx;
    int fd = accept4(s->network, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        start_child(s, fd, mx_front);
}

static void on_control(void *ctx, uint32_t events UNUSED)
{
    struct server *s = ctx;
    int fd = accept4(s->control, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        start_child(s, fd, mx_control);
}

static void on_left(void *ctx)
{
    struct server *s = ctx;
    loop_stop(s->loop, 0);
}

/* Nobody else sees the end of a job that has never left. */
static void on_sweep(void *ctx)
{
    struct server *s = ctx;
    mx_mark_sweep(s->d.run);
    loop_timer_set(s->loop, &s->sweeping, SWEEP_MS, on_sweep, s);
}

/* The others are told first, which takes a second; who can't wait says it twice. */
static void leave(struct server *s)
{
    if (s->is_leaving || !mx_cluster_leave(&s->cluster))
        loop_stop(s->loop, 0);
    else
        loop_timer_set(s->loop, &s->leaving, GSP_LEAVE_MS + 50, on_left, s);
    s->is_leaving = true;
}

/* What a child has been asked for, and has found right; it is looked at again. */
static void on_notes(void *ctx, uint32_t events UNUSED)
{
    struct server *s = ctx;
    uint8_t note[GSP_RECORD_FILE_MAX];
    struct err e = { "" };
    ssize_t n = recv(s->notes, note, sizeof note, MSG_DONTWAIT);
    if (n == 1 && note[0] == MX_NOTE_RULES)
        mx_cluster_read_rules(&s->cluster);
    else if (n == 1 && note[0] == MX_NOTE_END)
        leave(s);
    else if (n == 1)
        mx_cluster_reload(&s->cluster);
    else if (n > 0 && mx_cluster_take(&s->cluster, note, (size_t)n, &e) < 0)
        log_error("%s", e.text);
    crypto_wipe(note, sizeof note);
}

static void on_signals(void *ctx, uint32_t events UNUSED)
{
    struct server *s = ctx;
    struct signalfd_siginfo i;
    if (fd_read(s->signals, &i, sizeof i) != sizeof i)
        return;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        s->children--;
    if (i.ssi_signo == SIGHUP)
        mx_cluster_reload(&s->cluster);
    else if (i.ssi_signo != SIGCHLD)
        leave(s);
}

/* ---- start ---- */

static int listen_on(const struct mx_node *n, int *fd_out, struct err *e)
{
    struct sockaddr_storage a;
    socklen_t len = mx_node_address(n, &a);
    int on = 1;
    AUTO_FD fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 64) < 0)
        return err_set(e, errno, "listen at %s port %u", n->address, n->port);
    *fd_out = take_fd(&fd);
    return 0;
}

static int make_notes(struct server *s, struct err *e)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(e, errno, "make a pair of sockets");
    s->notes = pair[0];
    s->d.notes = pair[1];
    return 0;
}

static int make_dirs(const struct mx_daemon *d, struct err *e)
{
    static const char *const names[] = { "", "/j", "/g" };
    char path[MX_RUN_MAX + 8];
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        struct stat st;
        snprintf(path, sizeof path, "%s%s", d->run, names[i]);
        if ((mkdir(path, i ? 0700 : 0755) < 0 && errno != EEXIST) || lstat(path, &st) < 0)
            return err_set(e, errno, "make %s", path);
        if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 022)
            return err_say(e, EPERM, "%s is not a directory of ours alone", path);
    }
    return 0;
}

static int start(struct server *s, const struct mosixd_options *o, struct err *e)
{
    char path[512];
    s->d.cluster = &s->cluster;
    s->d.limits = (struct mx_guest_limits){ (uint64_t)o->guest_memory_mib << 20,
                                            (uint32_t)o->guest_processes };
    int rc = mx_cluster_read(&s->cluster, &s->d, o->config ? o->config : "/etc/mosix", o->state,
                             o->node, e);
    if (rc == 0)
        rc = make_notes(s, e);
    if (rc == 0)
        rc = mx_run_dir(o->run, s->d.run, e);
    if (rc == 0)
        rc = make_dirs(&s->d, e);
    if (rc == 0)
        rc = mx_frost_dir(&s->d, o->freeze, e);
    snprintf(path, sizeof path, "%s/control", s->d.run);
    if (rc == 0)
        rc = listen_on(&s->d.nodes.list[s->d.self], &s->network, e);
    /* The port is taken by one daemon only, so the socket is now ours to replace. */
    if (rc == 0)
        rc = mx_listen(path, SOCK_STREAM | SOCK_NONBLOCK, 0666, &s->control, e);
    return rc;
}

static int serve(struct server *s, struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_set(e, errno, "block signals");
    s->signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (s->signals < 0)
        return err_set(e, errno, "wait for signals");
    int rc = loop_new(&s->loop);
    if (rc == 0)
        rc = loop_fd_add(s->loop, &s->on_signals, s->signals, EPOLLIN, on_signals, s);
    if (rc == 0)
        rc = loop_fd_add(s->loop, &s->on_network, s->network, EPOLLIN, on_network, s);
    if (rc == 0)
        rc = loop_fd_add(s->loop, &s->on_control, s->control, EPOLLIN, on_control, s);
    if (rc == 0)
        rc = loop_fd_add(s->loop, &s->on_notes, s->notes, EPOLLIN, on_notes, s);
    if (rc < 0)
        return err_set(e, -rc, "start");
    rc = mx_cluster_start(&s->cluster, s->loop, s->d.run, e);
    if (rc < 0)
        return rc;
    on_sweep(s);
    const struct mx_node *n = &s->d.nodes.list[s->d.self];
    log_at(LOG_NORMAL, "node %s listens at %s port %u", n->name, n->address, n->port);
    rc = loop_run(s->loop);
    return rc < 0 ? err_set(e, -rc, "serve") : 0;
}

int main(int argc, char **argv)
{
    static struct server s;
    struct mosixd_options o = { 0 };
    struct err e = { "" };
    char path[MX_RUN_MAX + 16];
    int first, rc = opt_parse(&program, argc, argv, &o, &first, &e);
    log_init("mosixd", o.is_quiet ? LOG_QUIET : (enum log_level)o.verbose);
    if (rc == OPT_DONE)
        return 0;
    if (rc == 0 && first < argc)
        rc = err_say(&e, EINVAL, "takes no arguments but options");
    if (rc < 0) {
        log_error("%s", e.text);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    rc = start(&s, &o, &e);
    if (rc == 0)
        rc = serve(&s, &e);
    if (rc < 0) {
        log_error("%s", e.text);
        return 1;
    }
    mx_cluster_stop(&s.cluster);
    snprintf(path, sizeof path, "%s/control", s.d.run);
    unlink(path);
    mx_mark_clean(s.d.run);
    return 0;
}
