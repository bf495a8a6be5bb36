/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fault_relay.c: stands between a home and its hosts, counts the messages that they exchange,
 * and does something at one of them: cuts, keeps silent, kills or stops one of the processes.
 * Messages are sealed, so it knows their ends and lengths (net/wire.h) and nothing else; nodes
 * find it by their map, so nothing in the programs is made for it. Must not know: what is
 * right. Usage: fault_relay PORT:ADDRESS:PORT:PID..., PID of any process in the network
 * namespace of the node at ADDRESS. On its input, a line each:
 *     arm NUMBER JOB WHAT [WHO]   counts from here on; 0: only counts
 *     ask                         says "NUMBER WORDS": counted so far, what was done ("-")
 * WHAT: cut, cutall, hushMS, hushallMS, garble, kill, stop, tell (SIGUSR1). WHO: home, host
 * (who has the connection's end there), keeper, hands, collector, guest, namespaces,
 * supervisor, job.
 */
#include "common/base/attr.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    TARGETS = 2,
    CONNS = 64,
    PROCESSES = 256,
    GREETING = 8 + 32, /* with a shared key */
    HEADER = 24,
    PIECE_MAX = 4 + (64 << 10) + 17,
};

static struct target {
    int listener, port;
    struct sockaddr_in to;
    pid_t pid;
} targets[TARGETS];
static unsigned target_count;

/* From home to host, or the other way. */
struct way {
    int from, to;
    uint8_t in[PIECE_MAX];
    size_t have, done; /* of in: come, and passed on */
    bool is_whole;     /* in has one message, that may be passed on */
    unsigned count;
    bool is_ended;
};

static struct conn {
    bool is_used;
    struct target *at;
    int home, host;
    struct way way[2]; /* to the host, to the home */
    int64_t hush_ms;   /* until then nothing is passed on */
} * conns;

static unsigned counted, fire_at;
static int job;
static char what[32], who[32], done[200] = "-";

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- processes ---- */

static struct process {
    pid_t pid, parent;
    ino_t net;
    char title[80];
} processes[PROCESSES];
static unsigned process_count;

static ino_t net_of(pid_t pid)
{
    char path[40];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    return stat(path, &st) < 0 ? 0 : st.st_ino;
}

static void look(void)
{
    DIR *d = opendir("/proc");
    process_count = 0;
    for (struct dirent *x; d && process_count < PROCESSES && (x = readdir(d));) {
        char path[300], text[512];
        struct process *p = &processes[process_count];
        p->pid = (pid_t)strtol(x->d_name, NULL, 10);
        if (p->pid <= 0)
            continue;
        snprintf(path, sizeof path, "/proc/%d/cmdline", (int)p->pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, p->title, sizeof p->title - 1);
        close(fd);
        p->title[n > 0 ? n : 0] = 0;
        if (!strstr(p->title, "mosixd"))
            continue;
        snprintf(path, sizeof path, "/proc/%d/stat", (int)p->pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        close(fd);
        text[n > 0 ? n : 0] = 0;
        const char *end = strrchr(text, ')');
        if (!end || sscanf(end + 1, " %*c %d", &p->parent) != 1)
            continue;
        p->net = net_of(p->pid);
        process_count++;
    }
    if (d)
        closedir(d);
}

static pid_t titled(const char *title, ino_t net, pid_t parent)
{
    for (unsigned i = 0; i < process_count; i++) {
        const struct process *p = &processes[i];
        if (strncmp(p->title, title, strlen(title)) == 0 && (!net || p->net == net) &&
            (!parent || p->parent == parent))
            return p->pid;
    }
    return 0;
}

/* The inode of a connection's socket with these ports in the network of pid. */
static unsigned long inode_of(pid_t pid, unsigned local, unsigned remote)
{
    char path[40], line[300];
    unsigned l, r;
    unsigned long inode = 0, found = 0;
    snprintf(path, sizeof path, "/proc/%d/net/tcp", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof line, f))
        if (sscanf(line, " %*d: %*x:%x %*x:%x %*x %*x:%*x %*x:%*x %*x %*u %*u %lu", &l, &r,
                   &inode) == 3 &&
            l == local && r == remote)
            found = inode;
    if (f)
        fclose(f);
    return found;
}

static bool has_socket(pid_t pid, unsigned long inode)
{
    char path[40], want[40], got[64];
    bool has = false;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    snprintf(want, sizeof want, "socket:[%lu]", inode);
    DIR *d = opendir(path);
    for (struct dirent *x; d && !has && (x = readdir(d));) {
        ssize_t n = readlinkat(dirfd(d), x->d_name, got, sizeof got - 1);
        got[n > 0 ? n : 0] = 0;
        has = strcmp(got, want) == 0;
    }
    if (d)
        closedir(d);
    return has;
}

static unsigned port_of(int fd, bool is_peer)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    int rc = is_peer ? getpeername(fd, (struct sockaddr *)&a, &len)
                     : getsockname(fd, (struct sockaddr *)&a, &len);
    return rc < 0 ? 0 : ntohs(a.sin_port);
}

static pid_t holder(const struct conn *c, bool is_home)
{
    unsigned long inode =
        is_home ? inode_of(getpid(), port_of(c->home, true), port_of(c->home, false))
                : inode_of(c->at->pid, port_of(c->host, true), port_of(c->host, false));
    for (unsigned i = 0; inode && i < process_count; i++)
        if (has_socket(processes[i].pid, inode))
            return processes[i].pid;
    return 0;
}

static pid_t victim(const struct conn *c)
{
    char title[64];
    ino_t here = net_of(getpid()), there = net_of(c->at->pid);
    look();
    if (strcmp(who, "home") == 0 || strcmp(who, "host") == 0)
        return holder(c, who[1] == 'o' && who[2] == 'm');
    if (strcmp(who, "job") == 0)
        return job;
    snprintf(title, sizeof title, "mosixd: job %d", job);
    pid_t keeper = titled(title, here, 0);
    if (strcmp(who, "keeper") == 0)
        return keeper;
    if (strcmp(who, "collector") == 0)
        return keeper ? titled("mosixd: an image that comes home", here, keeper) : 0;
    snprintf(title, sizeof title, "mosixd: hands %d", job);
    if (strcmp(who, "hands") == 0)
        return titled(title, here, 0);
    snprintf(title, sizeof title, "mosixd: guest %d ", job);
    pid_t guest = titled(title, there, 0);
    if (!guest || strcmp(who, "guest") == 0)
        return guest;
    pid_t spaces = titled("mosixd: namespaces", 0, guest);
    if (!spaces || strcmp(who, "namespaces") == 0)
        return spaces;
    return titled("mosixd: supervisor", 0, spaces);
}

/* ---- connections ---- */

static void end_conn(struct conn *c, bool is_cut)
{
    const struct linger at_once = { 1, 0 };
    if (!c->is_used)
        return;
    if (is_cut && (setsockopt(c->home, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) < 0 ||
                   setsockopt(c->host, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) < 0))
        perror("fault_relay: SO_LINGER");
    close(c->home);
    close(c->host);
    c->is_used = false;
}

static void fire(struct conn *c, struct way *w)
{
    bool is_to_host = w == &c->way[0];
    int64_t until = now_ms();
    const char *way = is_to_host ? "to the host" : "to the home";
    snprintf(done, sizeof done, "%s %s %s", what, who[0] ? who : "it", way);
    if (strcmp(what, "cut") == 0) {
        end_conn(c, true);
    } else if (strcmp(what, "cutall") == 0) {
        for (unsigned i = 0; i < CONNS; i++)
            end_conn(&conns[i], true);
    } else if (strncmp(what, "hushall", 7) == 0) {
        for (unsigned i = 0; i < CONNS; i++)
            conns[i].hush_ms = until + strtol(what + 7, NULL, 10);
    } else if (strncmp(what, "hush", 4) == 0) {
        c->hush_ms = until + strtol(what + 4, NULL, 10);
    } else if (strcmp(what, "garble") == 0) {
        w->in[w->have - 1] ^= 1;
    } else {
        int signo = what[0] == 'k' ? SIGKILL : what[0] == 's' ? SIGSTOP : SIGUSR1;
        pid_t pid = victim(c);
        const char *title = "nobody";
        for (unsigned i = 0; pid && i < process_count; i++)
            if (processes[i].pid == pid)
                title = processes[i].title;
        if (pid && kill(pid, signo) < 0)
            title = "nobody";
        snprintf(done, sizeof done, "%s %s %s pid %d %.60s", what, who, way, (int)pid, title);
    }
}

static int64_t wants(const struct way *w)
{
    if (w->count == 0)
        return GREETING;
    size_t head = w->count == 1 ? HEADER : 0; /* goes with the first piece */
    uint32_t len;
    if (w->have < head + 4)
        return (int64_t)head + 4;
    memcpy(&len, w->in + head, 4);
    return head + 4 + (size_t)len > sizeof w->in ? -1 : (int64_t)head + 4 + (int64_t)len;
}

/* A message has come whole: is it the one? */
static void count(struct conn *c, struct way *w)
{
    w->is_whole = true;
    w->count++;
    counted++;
    if (fire_at && counted == fire_at)
        fire(c, w);
}

static void turn_way(struct conn *c, struct way *w, short in, short out)
{
    if (in && !w->is_whole && !w->is_ended) {
        int64_t want = wants(w);
        ssize_t n = want < 0
                        ? -1
                        : recv(w->from, w->in + w->have, (size_t)want - w->have, MSG_DONTWAIT);
        if (n < 0 && want >= 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            end_conn(c, true);
            return;
        }
        if (n == 0) {
            w->is_ended = true;
            if (w->have && send(w->to, w->in, w->have, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                errno = 0; /* half a message, of one who has died */
            shutdown(w->to, SHUT_WR);
            if (c->way[0].is_ended && c->way[1].is_ended)
                end_conn(c, false);
            return;
        }
        w->have += (size_t)n;
        if ((int64_t)w->have == wants(w))
            count(c, w);
    }
    if (out && c->is_used && w->is_whole && c->hush_ms <= now_ms()) {
        ssize_t n =
            send(w->to, w->in + w->done, w->have - w->done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            end_conn(c, true);
            return;
        }
        w->done += n > 0 ? (size_t)n : 0;
        if (w->done == w->have) {
            w->have = w->done = 0;
            w->is_whole = false;
        }
    }
}

static void take(struct target *t)
{
    int on = 1, fd = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC);
    struct conn *c = conns;
    while (c < conns + CONNS && c->is_used)
        c++;
    int host =
        fd < 0 || c == conns + CONNS ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (host < 0 || connect(host, (struct sockaddr *)&t->to, sizeof t->to) < 0) {
        close(fd);
        close(host);
        return;
    }
    memset(c, 0, sizeof *c);
    c->is_used = true;
    c->at = t;
    c->home = fd;
    c->host = host;
    c->way[0].from = c->way[1].to = fd;
    c->way[0].to = c->way[1].from = host;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        setsockopt(host, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        perror("fault_relay: TCP_NODELAY");
}

/* ---- input ---- */

static void command(char *line)
{
    unsigned number;
    char w[32] = "", o[32] = "";
    if (sscanf(line, "arm %u %d %31s %31s", &number, &job, w, o) >= 3) {
        counted = 0;
        fire_at = number;
        memcpy(what, w, sizeof what);
        memcpy(who, o, sizeof who);
        snprintf(done, sizeof done, "-");
        puts("ok");
    } else {
        printf("%u %s\n", counted, done);
    }
    fflush(stdout);
}

static bool on_input(void)
{
    static char text[256];
    static size_t have;
    ssize_t n = read(0, text + have, sizeof text - 1 - have);
    if (n <= 0)
        return false;
    have += (size_t)n;
    text[have] = 0;
    for (char *end; (end = strchr(text, '\n'));) {
        *end = 0;
        command(text);
        have -= (size_t)(end + 1 - text);
        memmove(text, end + 1, have + 1);
    }
    return true;
}

static int listen_at(char *text)
{
    struct target *t = &targets[target_count++];
    char address[32];
    int to, on = 1;
    if (sscanf(text, "%d:%31[^:]:%d:%d", &t->port, address, &to, &t->pid) != 4)
        return -1;
    t->to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)to) };
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)t->port) };
    t->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return inet_pton(AF_INET, address, &t->to.sin_addr) == 1 &&
                   setsockopt(t->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                   bind(t->listener, (struct sockaddr *)&a, sizeof a) == 0
               ? listen(t->listener, 32)
               : -1;
}

static short events(const struct conn *c, const struct way *in, const struct way *out)
{
    if (c->hush_ms > now_ms())
        return 0;
    return (short)((!in->is_whole && !in->is_ended ? POLLIN : 0) |
                   (out->is_whole ? POLLOUT : 0));
}

int main(int argc, char **argv)
{
    static struct pollfd p[1 + TARGETS + 2 * CONNS];
    conns = calloc(CONNS, sizeof *conns);
    signal(SIGPIPE, SIG_IGN);
    if (!conns || argc < 2 || argc > 1 + TARGETS)
        return 2;
    for (int i = 1; i < argc; i++)
        if (listen_at(argv[i]) < 0) {
            perror(argv[i]);
            return 1;
        }
    puts("ready");
    fflush(stdout);
    for (;;) {
        unsigned n = 0;
        p[n++] = (struct pollfd){ 0, POLLIN, 0 };
        for (unsigned i = 0; i < target_count; i++)
            p[n++] = (struct pollfd){ targets[i].listener, POLLIN, 0 };
        bool is_hushed = false;
        for (unsigned i = 0; i < CONNS; i++) {
            struct conn *c = &conns[i];
            short home = c->is_used ? events(c, &c->way[0], &c->way[1]) : 0;
            short host = c->is_used ? events(c, &c->way[1], &c->way[0]) : 0;
            p[n++] = (struct pollfd){ home ? c->home : -1, home, 0 };
            p[n++] = (struct pollfd){ host ? c->host : -1, host, 0 };
            is_hushed |= c->is_used && c->hush_ms > now_ms();
        }
        if (poll(p, n, is_hushed ? 50 : -1) < 0 && errno != EINTR)
            return 1;
        if (p[0].revents && !on_input())
            return 0;
        for (unsigned i = 0; i < CONNS; i++) {
            struct conn *c = &conns[i];
            const struct pollfd *q = &p[1 + target_count + 2 * i];
            short ends = POLLIN | POLLHUP | POLLERR;
            if (c->is_used)
                turn_way(c, &c->way[0], q[0].revents & ends, q[1].revents & POLLOUT);
            if (c->is_used)
                turn_way(c, &c->way[1], q[1].revents & ends, q[0].revents & POLLOUT);
        }
        for (unsigned i = 0; i < target_count; i++)
            if (p[1 + i].revents)
                take(&targets[i]);
    }
}
