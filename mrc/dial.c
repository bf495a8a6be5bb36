/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dial.c: TCP and proxy commands.
 * Must not know: libssh2. */
#include "mrc/dial.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { UNSENT_MAX_BYTES = 128 << 10, COMMAND_BYTES = 8192 };

int mrc_dial_wait(int fd, short events, int gone_fd, uint64_t end_ms)
{
    for (;;) {
        uint64_t now_ms = clock_mono_ms();
        if (now_ms >= end_ms)
            return -ETIMEDOUT;
        uint64_t left_ms = end_ms - now_ms;
        struct pollfd p[2] = { { fd, events, 0 }, { gone_fd, 0, 0 } };
        int n = poll(p, 2, left_ms > INT_MAX ? INT_MAX : (int)left_ms);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0 && (p[1].revents & (POLLHUP | POLLERR)))
            return -ECANCELED;
        if (n > 0 && p[0].revents)
            return 0;
    }
}

static void tune(int fd, const struct mrc_sshconf *c)
{
    int one = 1, unsent = UNSENT_MAX_BYTES;
    /* What waits in the kernel can't be overtaken by what matters more: keep it short. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->has_tcpkeepalive)
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
}

static int bind_to(int fd, const struct mrc_sshconf *c, int family, struct err *e)
{
    if (c->bindinterface && strcmp(c->bindinterface, "none") != 0 &&
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, c->bindinterface,
                   (socklen_t)strlen(c->bindinterface) + 1) < 0)
        return err_set(e, errno, "bind to interface %s (BindInterface)", c->bindinterface);
    if (!c->bindaddress || strcmp(c->bindaddress, "none") == 0)
        return 0;
    struct addrinfo hints = { .ai_family = family,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE };
    struct addrinfo *list;
    int rc = getaddrinfo(c->bindaddress, NULL, &hints, &list);
    if (rc != 0)
        return err_set(e, 0, "bind address %s (BindAddress): %s", c->bindaddress,
                       gai_strerror(rc));
    rc = bind(fd, list->ai_addr, list->ai_addrlen) < 0 ? errno : 0;
    freeaddrinfo(list);
    return rc ? err_set(e, rc, "bind to %s (BindAddress)", c->bindaddress) : 0;
}

static int connect_one(const struct addrinfo *a, const struct mrc_sshconf *c, int gone_fd,
                       int *fd_out, struct err *e)
{
    char text[NI_MAXHOST] = "?";
    (void)getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    log_at(LOG_DEBUG, "connecting to %s port %s", text, c->port);
    AUTO_FD fd =
        socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd < 0)
        return err_set(e, errno, "socket for %s", text);
    int rc = bind_to(fd, c, a->ai_family, e);
    if (rc < 0)
        return rc;
    tune(fd, c);
    int timeout_s = c->connect_timeout_s ? c->connect_timeout_s : MRC_DIAL_TIMEOUT_S;
    rc = connect(fd, a->ai_addr, a->ai_addrlen) < 0 ? -errno : 0;
    if (rc == -EINPROGRESS) {
        uint64_t end_ms = clock_mono_ms() + (uint64_t)timeout_s * 1000;
        rc = mrc_dial_wait(fd, POLLOUT, gone_fd, end_ms);
        int result = 0;
        socklen_t len = sizeof result;
        if (rc == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &len) == 0)
            rc = -result;
    }
    if (rc == -ECANCELED)
        return rc;
    if (rc == -ETIMEDOUT) {
        err_set(e, 0,
                "no answer from %s (%s) port %s within %d s: is it up, and does a firewall let "
                "ssh through?",
                c->hostname, text, c->port, timeout_s);
        return rc;
    }
    if (rc == -ECONNREFUSED) {
        err_set(e, 0, "%s (%s) refused the connection: is an SSH server on port %s?",
                c->hostname, text, c->port);
        return rc;
    }
    if (rc == -EHOSTUNREACH || rc == -ENETUNREACH)
        return err_say(e, -rc,
                       "%s (%s) can't be reached (%s): is it up, and this computer on its "
                       "network?",
                       c->hostname, text, strerror(-rc));
    if (rc < 0)
        return err_set(e, -rc, "connect to %s (%s) port %s", c->hostname, text, c->port);
    *fd_out = take_fd(&fd);
    return 0;
}

static int dial_tcp(const struct mrc_sshconf *c, int gone_fd, int *fd_out, struct err *e)
{
    const char *family = c->addressfamily ? c->addressfamily : "any";
    struct addrinfo hints = { .ai_family = strcmp(family, "inet") == 0    ? AF_INET
                                           : strcmp(family, "inet6") == 0 ? AF_INET6
                                                                          : AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM };
    struct addrinfo *list;
    int rc = getaddrinfo(c->hostname, c->port, &hints, &list);
    if (rc == EAI_SERVICE)
        return err_set(e, 0, "'%s' is not a port", c->port);
    if (rc != 0)
        return err_set(e, 0, "host %s not found (%s)%s%s: is its name right?", c->hostname,
                       rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc),
                       strcmp(c->hostname, c->alias) ? "; this is the HostName of " : "",
                       strcmp(c->hostname, c->alias) ? c->alias : "");
    rc = -EHOSTUNREACH;
    for (const struct addrinfo *a = list; a && rc < 0 && rc != -ECANCELED; a = a->ai_next)
        rc = connect_one(a, c, gone_fd, fd_out, e);
    freeaddrinfo(list);
    return rc;
}

/* In the child: fd is the stream to the server. */
static _Noreturn void exec_proxy(char *const *argv, int fd, int words_fd, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    dup2(fd, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    if (words_fd >= 0)
        dup2(words_fd, STDERR_FILENO);
    struct sigaction sa = { .sa_handler = SIG_DFL };
    sigaction(SIGPIPE, &sa, NULL);
    execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static int start_proxy(char *const *argv, int words_fd, int *fd_out, struct err *e)
{
    int pair[2];
    int rc = fd_socketpair(pair);
    if (rc < 0)
        return err_set(e, -rc, "socket pair for the proxy command");
    AUTO_FD ours = pair[0];
    AUTO_FD theirs = pair[1];
    rc = fd_set_nonblock(ours, true);
    if (rc < 0)
        return err_set(e, -rc, "socket pair for the proxy command");
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return err_set(e, errno, "start the proxy command");
    if (pid == 0)
        exec_proxy(argv, theirs, words_fd, parent);
    *fd_out = take_fd(&ours);
    return 0;
}

static int dial_command(const struct mrc_sshconf *c, int words_fd, int *fd_out, struct err *e)
{
    char command[COMMAND_BYTES] = "exec ";
    int rc = mrc_sshconf_expand(c, c->proxycommand, command + 5, sizeof command - 5);
    if (rc < 0)
        return err_set(e, -rc, "ProxyCommand %s", c->proxycommand);
    log_at(LOG_VERBOSE, "proxy command: %s", command + 5);
    char *argv[] = { (char *)"sh", (char *)"-c", command, NULL };
    return start_proxy(argv, words_fd, fd_out, e);
}

/* ProxyJump "a,b": through a to b, and from b to the host. */
static int dial_jump(const struct mrc_sshconf *c, const struct mrc_transport_opts *o,
                     int words_fd, int *fd_out, struct err *e)
{
    char spec[1024], target[600];
    if ((size_t)snprintf(spec, sizeof spec, "%s", c->proxyjump) >= sizeof spec ||
        (size_t)snprintf(target, sizeof target, "[%s]:%s", c->hostname, c->port) >=
            sizeof target)
        return err_set(e, ENAMETOOLONG, "ProxyJump %s", c->proxyjump);
    char *first = NULL, *last = spec, *comma = strrchr(spec, ',');
    if (comma) {
        *comma = 0;
        first = spec;
        last = comma + 1;
    }
    char *user = NULL, *port = NULL, *host = last;
    if (strncmp(host, "ssh://", 6) == 0) {
        host += 6;
        host[strcspn(host, "/")] = 0;
    }
    char *at = strrchr(host, '@');
    if (at) {
        *at = 0;
        user = host;
        host = at + 1;
    }
    char *colon = strrchr(host, ':');
    if (host[0] == '[' && strchr(host, ']')) {
        colon = strchr(host, ']');
        *colon++ = 0;
        host++;
        colon = *colon == ':' ? colon : NULL;
    } else if (colon && strchr(host, ':') != colon) {
        colon = NULL; /* an IPv6 address without brackets */
    }
    if (colon) {
        *colon = 0;
        port = colon + 1;
    }
    const char *argv[24];
    size_t n = 0;
    argv[n++] = mrc_sshconf_program();
    const char *pairs[][2] = { { "-F", o->config_file },
                               { "-l", user },
                               { "-p", port },
                               { "-J", first },
                               { "-o", c->is_batch ? "BatchMode=yes" : NULL },
                               { "-W", target } };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if (pairs[i][1]) {
            argv[n++] = pairs[i][0];
            argv[n++] = pairs[i][1];
        }
    argv[n++] = "--";
    argv[n++] = host;
    argv[n] = NULL;
    log_at(LOG_VERBOSE, "jumping through %s", c->proxyjump);
    return start_proxy((char *const *)argv, words_fd, fd_out, e);
}

static bool is_set(const char *value)
{
    return value && *value && strcmp(value, "none") != 0;
}

int mrc_dial(const struct mrc_sshconf *c, const struct mrc_transport_opts *o, int gone_fd,
             int words_fd, int *fd_out, struct err *e)
{
    if (is_set(c->proxyjump))
        return dial_jump(c, o, words_fd, fd_out, e);
    if (is_set(c->proxycommand))
        return dial_command(c, words_fd, fd_out, e);
    return dial_tcp(c, gone_fd, fd_out, e);
}
