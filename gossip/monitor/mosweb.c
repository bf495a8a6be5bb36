/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mosweb.c: shows a cluster to browsers, and to programs that watch: a process of its own that
 * asks mosixd as anybody may. Must not know: what it serves (site.h), HTTP (http.h). Privilege:
 * none. Root's becomes an ordinary user before it serves; then no files can be opened and no
 * programs started. */
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/jsonread.h"
#include "common/sys/log.h"
#include "common/sys/opt.h"
#include "gossip/monitor/confine.h"
#include "gossip/monitor/core/host.h"
#include "gossip/monitor/feed.h"
#include "gossip/monitor/site.h"
#include "mosix-core/mosixd/place.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HOSTS_MAX = 64,
    BACKLOG = 64,
    SEND_BYTES =
        256 << 10 /* what the kernel keeps for one that does not read; connections inherit it */
};

struct mosweb_options {
    const char *listen, *user, *run;
    struct opt_list hosts;
    long long interval_s, patience_s;
    int verbose;
    bool without_processes;
};

static const struct opt options[] = {
#define OPT_STRUCT struct mosweb_options
#include "common/sys/opt_begin.h"
#include "gossip/monitor/mosweb.def"
#include "common/sys/opt_end.h"
};

static const struct opt_program program = {
    "mosweb", "[options]",
    "Shows the nodes of a cluster in a browser, as mosixd of this node knows them.", options,
    ARRAY_LEN(options)
};

struct mosweb {
    struct loop *loop;
    struct site site;
    struct mon_feed feeds[3];
    struct loop_fd signals;
    int signal_fd;
};

static bool is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 ==
               127;
    return a->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

/* Says where it listens on standard output, in one line that a program can wait for. */
static int listen_at(const char *words, int *fd_out, struct err *e)
{
    char host[MON_HOST_MAX + 1], port_words[8], shown[64] = "";
    uint16_t port;
    struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                              .ai_socktype = SOCK_STREAM },
                    *found = NULL;
    if (mon_host_parse(words, host, &port) < 0)
        return err_say(e, EINVAL, "\"%s\" is no address and port", words);
    snprintf(port_words, sizeof port_words, "%u", (unsigned)port);
    int rc = getaddrinfo(host, port_words, &hints, &found);
    if (rc != 0)
        return err_say(e, EINVAL, "listen at %s: %s", host, gai_strerror(rc));
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    int on = 1, send_bytes = SEND_BYTES;
    AUTO_FD fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rc = fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
                 setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes) < 0 ||
                 bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0 ||
                 getsockname(fd, (struct sockaddr *)&at, &len) < 0
             ? -errno
             : 0;
    bool is_ours_alone = is_loopback(found->ai_addr);
    freeaddrinfo(found);
    if (rc < 0)
        return err_set(e, -rc, "listen at %s", words);
    (void)getnameinfo((struct sockaddr *)&at, len, shown, sizeof shown, port_words,
                      sizeof port_words, NI_NUMERICHOST | NI_NUMERICSERV);
    if (!is_ours_alone)
        log_warn("whoever reaches %s port %s can see nodes, loads and programs: there is no "
                 "password, and nothing is encrypted",
                 shown, port_words);
    printf(strchr(shown, ':') ? "http://[%s]:%s/\n" : "http://%s:%s/\n", shown, port_words);
    fflush(stdout);
    *fd_out = take_fd(&fd);
    return 0;
}

static void signalled(void *ctx, uint32_t events UNUSED)
{
    struct mosweb *m = ctx;
    loop_stop(m->loop, 0);
}

static int watch_signals(struct mosweb *m, struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    int rc = m->signal_fd < 0
                 ? -errno
                 : loop_fd_add(m->loop, &m->signals, m->signal_fd, EPOLLIN, signalled, m);
    return rc < 0 ? err_set(e, -rc, "watch for signals") : 0;
}

static void ask(struct mosweb *m, unsigned which, const char *path, const char *request,
                unsigned period_ms, mon_feed_fn fn)
{
    m->feeds[which] = (struct mon_feed){ .loop = m->loop,
                                         .path = path,
                                         .request = request,
                                         .period_ms = period_ms,
                                         .fn = fn,
                                         .ctx = &m->site };
    mon_feed_start(&m->feeds[which]);
}

static int serve(struct mosweb *m, const struct mosweb_options *o, int listener,
                 const char *path, const char *const *names, struct err *e)
{
    unsigned period_ms = (unsigned)o->interval_s * 1000;
    const struct http_how how = { m->loop,    listener, names, (unsigned)o->patience_s * 1000,
                                  site_serve, &m->site };
    int rc = http_open(&how, &m->site.http, e);
    m->site.loop = m->loop;
    if (rc < 0)
        return rc;
    ask(m, 0, path, "local\n", period_ms * 5, site_take_local);
    if (!o->without_processes)
        ask(m, 1, path, "processes\n", period_ms * 2, site_take_processes);
    ask(m, 2, path, "status\n", period_ms, site_take_status);
    rc = loop_run(m->loop);
    for (unsigned i = 0; i < ARRAY_LEN(m->feeds); i++)
        mon_feed_stop(&m->feeds[i]);
    http_close(m->site.http);
    return rc;
}

static int run(const struct mosweb_options *o, const char *path, const char *const *names,
               struct err *e)
{
    static const char *const walls[] = { "nothing", "system calls", "system calls and files" };
    static struct mosweb m;
    struct json_value *first_value;
    AUTO_FD listener = -1;
    int rc = loop_new(&m.loop);
    if (rc < 0)
        return err_set(e, -rc, "make an event loop");
    m.signal_fd = -1;
    rc = watch_signals(&m, e);
    if (rc == 0)
        rc = listen_at(o->listen, &listener, e);
    if (rc == 0)
        rc = confine_user(o->user, e);
    if (rc == 0 && jval_read("{}", 2, &first_value, NULL) ==
                       0) /* opens what it takes its random numbers from */
        jval_drop(first_value);
    if (rc == 0) {
        log_at(LOG_VERBOSE, "confined: %s", walls[confine_self()]);
        rc = site_init(&m.site, !o->without_processes);
    }
    if (rc == 0)
        rc = serve(&m, o, take_fd(&listener), path, names, e);
    site_fini(&m.site);
    loop_fd_del(&m.signals);
    fd_close(&m.signal_fd);
    loop_free(m.loop);
    return rc;
}

int main(int argc, char **argv)
{
    static struct mosweb_options o = { .listen = "127.0.0.1",
                                       .interval_s = 2,
                                       .patience_s = 60 };
    const char *names[HOSTS_MAX + 1] = { NULL };
    struct err e = { "" };
    char run_dir[MX_RUN_MAX], path[MX_RUN_MAX + 16];
    int first, rc = opt_parse(&program, argc, argv, &o, &first, &e);
    if (rc == OPT_DONE)
        return 0;
    log_init("mosweb", (enum log_level)o.verbose);
    if (rc == 0 && first < argc)
        rc = err_say(&e, EINVAL, "takes no arguments but options");
    if (rc == 0 && o.hosts.len > HOSTS_MAX)
        rc = err_say(&e, EINVAL, "more than %d names", HOSTS_MAX);
    for (size_t i = 0; rc == 0 && i < o.hosts.len; i++)
        names[i] = o.hosts.items[i].arg;
    if (rc == 0)
        rc = mx_run_dir(o.run, run_dir, &e);
    if (rc < 0) {
        log_error("%s", e.text);
        return 2;
    }
    snprintf(path, sizeof path, "%s/control", run_dir);
    rc = run(&o, path, names, &e);
    if (rc < 0)
        log_error("%s", e.text[0] ? e.text : strerror(-rc));
    return rc < 0;
}
