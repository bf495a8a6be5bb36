/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c: the mrcfs command: mounts a directory of another computer here.
 * Must not know: FUSE, the file protocol, ssh.
 * Threads: the file client's notifier; forks happen before it starts, or only exec and exit. */
#include "common/sys/fd.h"
#include "common/sys/fusermount.h"
#include "common/sys/log.h"
#include "common/sys/loop.h"
#include "common/sys/mem.h"
#include "common/sys/opt.h"
#include "mrc/mrc.h"
#include "mrcfs/background.h"
#include "mrcfs/connect.h"
#include "mrcfs/mount.h"
#include "mrcfs/mountopts.h"
#include "mrcfs/mrcfs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, POSITIONAL_MAX = 2, FINISH_WAIT_MS = 30 * 1000, RELAY_WAIT_MS = 1000 };

struct options {
    struct opt_list mount_options;
    bool is_unmount;
    bool is_foreground;
    bool is_debug;
    bool has_stats;
    bool is_ignored; /* letters that mount(8) and sshfs pass */
    const char *port;
    const char *config_file;
    int verbosity;
};

static const struct opt table[] = {
#define OPT_STRUCT struct options
#include "common/sys/opt_begin.h"
#include "mrcfs/options.def"
#include "common/sys/opt_end.h"
};

static const struct opt_program program = {
    .name = "mrcfs",
    .usage = "[options] [user@]host:[directory] mountpoint\n-u mountpoint",
    .about = "Mounts a directory of another computer. Host \"local\" is this one.",
    .options = table,
    .option_count = ARRAY_LEN(table),
};

struct mounted {
    struct mfs_background background;
    struct options options;
    struct mfs_mount_opts mount;
    const char *source;
    char *where;
    struct loop *loop;
    struct mfs_client *client;
    struct loop_fd signals;
    pid_t server;
    pid_t unmounter;
    uint32_t reconnect_s;
    bool is_attached;
    bool is_failed;
};

/* Takes options and arguments in any order, as mount(8) gives them. Returns the number of
 * arguments, OPT_DONE - 2, or -errno with words. */
static int parse_args(int argc, char **argv, struct options *o, char **args, struct err *e)
{
    int count = 0;
    while (argc > 1) {
        int first;
        int rc = opt_parse(&program, argc, argv, o, &first, e);
        if (rc != 0)
            return rc == OPT_DONE ? -ECANCELED : rc;
        if (first < argc && count == POSITIONAL_MAX) {
            err_set(e, 0, "%s: one source and one mount point are enough", argv[first]);
            return -EINVAL;
        }
        if (first < argc)
            args[count++] = argv[first];
        argv += first;
        argc -= first;
    }
    return count;
}

/* ---- while mounted ---- */

/* Takes the file system off from a process of its own: the kernel may wait for answers that our
 * loop gives. */
static void start_unmount(struct mounted *m)
{
    if (m->unmounter)
        return;
    m->unmounter = fork();
    if (m->unmounter == 0) {
        bool is_off = fusermount_unmount(m->where, false, NULL) == 0 ||
                      fusermount_unmount(m->where, true, NULL) == 0;
        _exit(is_off ? 0 : 1);
    }
    if (m->unmounter < 0)
        loop_stop(m->loop, 1);
}

static void print_stats(const struct mounted *m)
{
    struct mfs_stats s;
    mfs_client_stats(m->client, &s);
    for (unsigned op = 0; op < ARRAY_LEN(s.requests); op++)
        if (s.requests[op] && mfs_op_name(op))
            fprintf(stderr, "%12llu %s\n", (unsigned long long)s.requests[op], mfs_op_name(op));
    fprintf(stderr,
            "%12llu answered without asking\n%12llu round trips waited for\n"
            "%12llu bytes out\n%12llu bytes in\n%12llu compressed bytes out\n%12llu bytes that "
            "these stand for\n%12llu compressed bytes in\n%12llu bytes that these stand for\n"
            "%12llu bytes written by name\n%12llu of these writes asked for\n"
            "%12llu bytes from the cache\n%12llu chunks put there\n%12llu chunks left out there\n"
            "%12llu bytes read ahead\n%12llu bytes read ahead in vain\n"
            "%12llu bytes read ahead and again\n%12llu reads that were not foreseen\n",
            (unsigned long long)s.cache_hits, (unsigned long long)s.round_trips_waited,
            (unsigned long long)s.bytes_out, (unsigned long long)s.bytes_in,
            (unsigned long long)s.packed_out, (unsigned long long)s.packed_out_plain,
            (unsigned long long)s.packed_in, (unsigned long long)s.packed_in_plain,
            (unsigned long long)s.put_bytes, (unsigned long long)s.puts_wanted,
            (unsigned long long)s.chunk_bytes_used, (unsigned long long)s.chunks_kept,
            (unsigned long long)s.chunks_left_out, (unsigned long long)s.ahead_bytes,
            (unsigned long long)s.ahead_in_vain, (unsigned long long)s.ahead_twice,
            (unsigned long long)s.ahead_late);
    char why[256];
    mfs_client_cache_off(m->client, why, sizeof why);
    if (why[0])
        fprintf(stderr, "no cache: %s\n", why);
    for (unsigned op = 0; op < ARRAY_LEN(s.waited); op++)
        if (s.waited[op] && mfs_op_name(op))
            fprintf(stderr, "%12llu waited for %s\n", (unsigned long long)s.waited[op],
                    mfs_op_name(op));
}

static void on_detached(void *ctx, size_t export_number)
{
    struct mounted *m = ctx;
    (void)export_number;
    m->is_attached = false;
    loop_stop(m->loop, 0);
}

static void on_lost(void *ctx, const struct err *why)
{
    struct mounted *m = ctx;
    log_error("%s: %s; unmounting %s", m->source, why->text, m->where);
    m->is_failed = true;
    start_unmount(m);
}

static void reap(struct mounted *m)
{
    int status;
    if (m->unmounter <= 0 || waitpid(m->unmounter, &status, WNOHANG) != m->unmounter)
        return;
    /* Off, or in use and off for everybody else: either way there is no more to serve. */
    loop_stop(m->loop, 0);
}

static void on_signal(void *ctx, uint32_t events)
{
    struct mounted *m = ctx;
    struct signalfd_siginfo info;
    (void)events;
    while (fd_read(m->signals.fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap(m);
        else if (info.ssi_signo == SIGUSR1)
            print_stats(m);
        else
            start_unmount(m);
    }
}

static int watch_signals(struct mounted *m)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    int rc = loop_fd_add(m->loop, &m->signals, fd, EPOLLIN, on_signal, m);
    if (rc < 0)
        fd_close(&fd);
    return rc;
}

/* ---- beginning and end ---- */

/* The user's cache directory, made if it isn't there; NULL: there is none, and nothing is kept. */
static const char *cache_dir(char *text, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool has_cache = cache && *cache == '/';
    if (!has_cache && (!home || *home != '/'))
        return NULL;
    int n = snprintf(text, size, "%s%s/mrc", has_cache ? cache : home, has_cache ? "" : "/.cache");
    if (n < 0 || (size_t)n >= size)
        return NULL;
    text[n - 4] = 0;
    mkdir(text, 0700);
    text[n - 4] = '/';
    return mkdir(text, 0700) < 0 && errno != EEXIST ? NULL : text;
}

/* MRCFS_TEST_KNOWN=FILES[,old]: bounds of tests; old: as on a kernel that can't be asked to forget by node. */
static void set_test_bounds(struct mfs_client_opts *o)
{
    const char *text = getenv("MRCFS_TEST_KNOWN");
    char *end = NULL;
    o->known_max = text ? strtoul(text, &end, 10) : 0;
    o->is_without_prune = end && !strcmp(end, ",old");
}

static int make_client(struct mounted *m, const struct mfs_connection *at, struct err *e)
{
    const struct mfs_mount_opts *o = &m->mount;
    char cache[4096];
    struct mfs_client_opts co = {
        .loop = m->loop,
        .meta_fd = at->meta_fd,
        .bulk_fd = at->bulk_fd,
        .own_uid = getuid(),
        .own_gid = getgid(),
        .idmap = o->idmap,
        .uidfile = o->uidfile,
        .gidfile = o->gidfile,
        .is_nomap_ignore = o->is_nomap_ignore,
        .is_root_only = o->allow_root && !o->allow_other,
        .consistency = o->is_loose    ? MFS_LOOSE
                       : o->is_strict ? MFS_STRICT
                                      : MFS_LEASE,
        .compress = o->compress,
        .cache_dir = o->has_no_cache ? NULL : cache_dir(cache, sizeof cache),
        .on_lost = on_lost,
        .on_detached = on_detached,
        .ctx = m,
    };
    co.shown.has_uid = o->uid >= 0;
    co.shown.has_gid = o->gid >= 0;
    co.shown.has_umask = o->umask >= 0;
    co.shown.uid = (uid_t)o->uid;
    co.shown.gid = (gid_t)o->gid;
    co.shown.umask = (mode_t)o->umask;
    set_test_bounds(&co);
    return mfs_client_new(&co, &m->client, e);
}

static int mount_it(struct mounted *m, struct err *e)
{
    int fd;
    int rc = mfs_mount(m->client, &m->mount, m->mount.fsname ? m->mount.fsname : m->source,
                       m->where, &fd, e);
    if (rc < 0)
        return rc;
    m->is_attached = true;
    rc = mfs_client_attach(m->client, 0, fd, e);
    if (rc < 0) {
        int off = fusermount_unmount(m->where, true, NULL);
        (void)off; /* it has no server any more; the words of rc say why */
        m->is_attached = false;
    }
    return rc;
}

/* Connects and mounts. The server is forked before there is a thread or a loop. */
/* Has the process that relays between us and the server failed? Then it has said why. */
static bool has_relay_failed(const struct mounted *m)
{
    AUTO_FD pidfd = (int)syscall(SYS_pidfd_open, m->server, 0u);
    struct pollfd f = { pidfd, POLLIN, 0 };
    siginfo_t si = { 0 };
    return pidfd >= 0 && poll(&f, 1, RELAY_WAIT_MS) > 0 &&
           waitid(P_PID, (id_t)m->server, &si, WEXITED | WNOWAIT | WNOHANG) == 0 && si.si_pid &&
           si.si_status != 0;
}

static int set_up(struct mounted *m, char *source, struct err *e)
{
    struct mfs_connect_opts c = {
        .port = m->options.port ? m->options.port : m->mount.port,
        .config_file = m->options.config_file,
        .ssh_command = m->mount.ssh_command,
        .ssh_options = m->mount.ssh_options,
        .ssh_option_count = m->mount.ssh_option_count,
        .follows_links = m->mount.follows_links,
        .reconnect_s = m->reconnect_s,
        .verbosity = m->options.verbosity,
    };
    int rc = mfs_source_parse(source, &c.source, e);
    if (rc < 0)
        return rc;
    struct mfs_connection at;
    rc = mfs_connect(&c, &at, e);
    if (rc < 0)
        return rc;
    m->server = at.pid;
    rc = loop_new(&m->loop);
    if (rc == 0)
        rc = watch_signals(m);
    if (rc < 0) {
        fd_close(&at.meta_fd);
        fd_close(&at.bulk_fd);
        return err_set(e, -rc, "start");
    }
    bool is_remote = strcmp(c.source.host, "local") != 0 || c.source.user;
    if (!is_remote)
        m->mount.has_no_cache = true; /* it is on this computer's disk already */
    rc = make_client(m, &at, e);
    if (rc == -ECONNRESET && is_remote && has_relay_failed(m))
        e->text[0] = 0;
    return rc < 0 ? rc : mount_it(m, e);
}

static void tear_down(struct mounted *m)
{
    if (m->options.has_stats && m->client)
        print_stats(m);
    if (m->is_attached && !m->unmounter) {
        int rc = fusermount_unmount(m->where, true, NULL);
        (void)rc; /* nothing more can be done */
    }
    mfs_client_free(m->client);
    int fd = m->signals.loop ? m->signals.fd : -1;
    loop_fd_del(&m->signals);
    fd_close(&fd);
    mfs_background_end(&m->background);
    loop_free(m->loop);
    /* The server ends when its streams do; after writing what it was given. */
    if (m->server > 0)
        while (waitpid(m->server, NULL, 0) < 0 && errno == EINTR)
            ;
    free(m->where);
}

static int run(struct mounted *m, char *source)
{
    struct err e = { "" };
    int rc = set_up(m, source, &e);
    if (rc == 0 && (rc = mfs_background_ready(&m->background, m->loop, "mount")) < 0)
        err_set(&e, -rc, "go into the background");
    if (rc < 0 && e.text[0]) /* empty: who connects has said it */
        log_error("%s", e.text);
    if (rc == 0)
        rc = loop_run(m->loop);
    if (rc == 0 && m->client && (rc = mfs_client_finish(m->client, FINISH_WAIT_MS, &e)) < 0) {
        log_error("%s: %s", source, e.text);
        if (m->reconnect_s && m->server > 0) /* it may be waiting for the connection */
            kill(m->server, SIGTERM);
    }
    tear_down(m);
    return rc < 0 || m->is_failed ? 1 : 0;
}

static int start(struct mounted *m, char *source)
{
    int status, rc = 0;
    if (!m->options.is_foreground && !m->options.has_stats)
        rc = mfs_background_start(&m->background, &status);
    if (rc < 0)
        log_error("go into the background: %s", strerror(-rc));
    return rc < 0 ? 1 : rc ? status : run(m, source);
}

static int read_mount_options(struct mounted *m, struct err *e)
{
    mfs_mount_opts_init(&m->mount);
    for (size_t i = 0; i < m->options.mount_options.len; i++) {
        /* kept as long as the program */
        char *text = strdup(m->options.mount_options.items[i].arg);
        if (!text)
            return err_set(e, ENOMEM, "options");
        int rc = mfs_mount_opts_parse(&m->mount, text, e);
        if (rc < 0)
            return rc;
    }
    m->reconnect_s = m->mount.reconnect ? MRC_RECONNECT_S : 0;
    int rc = m->mount.reconnect && m->mount.reconnect[0]
                 ? mrc_reconnect_time("-o reconnect=", m->mount.reconnect, &m->reconnect_s, e)
                 : 0;
    if (rc < 0)
        return rc;
    if (m->mount.is_debug)
        m->options.is_debug = true;
    if (m->options.is_debug) {
        m->options.is_foreground = true;
        m->options.verbosity = LOG_DEBUG;
    }
    return 0;
}

static int usage_error(const struct err *e)
{
    log_error("%s; see mrcfs --help", e->text);
    return EXIT_USAGE;
}

/* A server and a client of ten thousand open files need descriptors. */
static void raise_limits(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

int main(int argc, char **argv)
{
    static struct mounted m;
    char *args[POSITIONAL_MAX] = { NULL, NULL };
    struct err e = { "" };
    log_init("mrcfs", LOG_NORMAL);
    int count = parse_args(argc, argv, &m.options, args, &e);
    if (count == -ECANCELED)
        return 0;
    if (count < 0 || read_mount_options(&m, &e) < 0)
        return usage_error(&e);
    log_init("mrcfs", (enum log_level)m.options.verbosity);
    if (count != (m.options.is_unmount ? 1 : 2)) {
        err_set(&e, 0,
                m.options.is_unmount ? "-u needs the mount point"
                                     : "a source and a mount point are needed");
        return usage_error(&e);
    }
    if (m.options.is_unmount) {
        if (fusermount_unmount(args[0], false, &e) == 0)
            return 0;
        log_error("%s", e.text[0] ? e.text : "no connection");
        return 1;
    }
    m.source = strdup(args[0]);
    m.where = realpath(args[1], NULL);
    if (!m.source || !m.where) {
        log_error("mount point %s: %s", args[1], strerror(errno));
        return 1;
    }
    raise_limits();
    return start(&m, args[0]);
}
