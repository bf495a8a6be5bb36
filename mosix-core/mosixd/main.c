/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c: mosixd: listens to other nodes and to programs on this one, and forks a child for
 * each that comes. Must not know: what they want. Jobs that are away or moving have processes
 * of their own, which go on when this one ends. */
#include "mosix-core/mosixd/mark.h"
#include "mosix-core/mosixd/mosixd.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/loop.h"
#include "common/sys/opt.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct mosixd_options {
    const char *config, *run, *node;
    int verbose;
    bool is_quiet;
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
    struct loop *loop;
    int network, control, signals;
    struct loop_fd on_network, on_control, on_signals;
    unsigned children;
};

/* ---- children ---- */

static void start_child(struct server *s, int fd, void (*fn)(const struct mx_daemon *d, int fd))
{
    pid_t pid = s->children < MX_CHILDREN_MAX ? fork() : -1;
    if (pid == 0) {
        sigset_t none;
        int kept[1] = { fd };
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        fd_close_all_but(kept, 1);
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

static void on_signals(void *ctx, uint32_t events UNUSED)
{
    struct server *s = ctx;
    struct signalfd_siginfo i;
    if (fd_read(s->signals, &i, sizeof i) != sizeof i)
        return;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        s->children--;
    if (i.ssi_signo != SIGCHLD)
        loop_stop(s->loop, 0);
}

/* ---- start ---- */

static int listen_on(const struct mx_node *n, int *fd_out, struct err *e)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(n->port) };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(n->port) };
    bool is_six = inet_pton(AF_INET, n->address, &four.sin_addr) != 1;
    int on = 1;
    if (is_six && inet_pton(AF_INET6, n->address, &six.sin6_addr) != 1)
        return err_say(e, EINVAL, "%s is no address", n->address);
    AUTO_FD fd =
        socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, is_six ? (struct sockaddr *)&six : (struct sockaddr *)&four,
             is_six ? sizeof six : sizeof four) < 0 ||
        listen(fd, 64) < 0)
        return err_set(e, errno, "listen at %s port %u", n->address, n->port);
    *fd_out = take_fd(&fd);
    return 0;
}

static int find_self(struct mx_daemon *d, const char *node, struct err *e)
{
    char name[256] = "";
    if (!node && gethostname(name, sizeof name - 1) < 0)
        return err_set(e, errno, "ask for the host's name");
    d->self = mx_nodes_find(&d->nodes, node ? node : name);
    return d->self < 0 ? err_say(e, ENOENT, "no node is called %s in the map: use --node",
                                 node ? node : name)
                       : 0;
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
    const char *config = o->config ? o->config : "/etc/mosix";
    snprintf(path, sizeof path, "%s/nodes", config);
    int rc = mx_nodes_read(&s->d.nodes, path, e);
    snprintf(path, sizeof path, "%s/key", config);
    if (rc == 0)
        rc = mx_key_read(s->d.key, path, e);
    if (rc == 0)
        rc = find_self(&s->d, o->node, e);
    if (rc == 0)
        rc = mx_run_dir(o->run, s->d.run, e);
    if (rc == 0)
        rc = make_dirs(&s->d, e);
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
    if (rc < 0)
        return err_set(e, -rc, "start");
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
    snprintf(path, sizeof path, "%s/control", s.d.run);
    unlink(path);
    mx_mark_clean(s.d.run);
    return 0;
}
