/* SPDX-License-Identifier: GPL-2.0-or-later */
/* relay.c: mrc-lab-relay: the process that carries the shaped links of a lab cluster, and its
 * control socket.
 *
 *   mrc-lab-relay serve SOCKET            until SIGTERM
 *   mrc-lab-relay ctl SOCKET WORD...      one request; prints the answer
 *   mrc-lab-relay dial ADDRESS PORT       joins standard input and output to a TCP connection
 *
 * A request is one datagram of words, the answer one datagram: "error ..." or text.
 *   open A B NS_A NS_B      "new" or "old"; the namespaces are files
 *   set A B WORD...         properties as in linkspec.h, from A to B and back
 *   stats A B [json|reset]  counts of one link
 *   list [json]             counts of all links
 *   close A B
 * Must not know: clusters, addresses, routes.
 * Privilege: root, to make the devices. */
#include "common/base/err.h"
#include "common/base/list.h"
#include "common/sys/fd.h"
#include "common/sys/loop.h"
#include "examples/lab/dial.h"
#include "examples/lab/pair.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    PAIRS_MAX = 256,         /* each has two descriptors and up to 128 MiB in flight */
    CONNECTIONS_MAX = 32,    /* of the control socket; more wait in its backlog */
    REQUEST_MAX = 1024,      /* bytes; the longest is "open" with two file names */
    ANSWER_MAX = 128 * 1024, /* bytes: PAIRS_MAX links of under 500 */
    WORDS_MAX = 16,
};
#define NS_PER_S 1000000000ull

struct relay {
    struct loop *loop;
    struct link pairs;
    int n_pairs;
    int n_connections;
    struct loop_fd listener, timer;
    uint64_t wake_ns; /* what the timer is set to */
};

struct connection {
    struct relay *relay;
    struct loop_fd watch;
};

struct answer {
    char text[ANSWER_MAX];
    size_t len;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---------------------------------------------------------------------------------- packets */

static void on_packets(void *ctx, uint32_t events)
{
    (void)events;
    pair_receive(ctx, now_ns());
}

static void on_timer(void *ctx, uint32_t events)
{
    struct relay *r = ctx;
    uint64_t expirations;
    (void)events;
    if (fd_read(r->timer.fd, &expirations, sizeof(expirations)) > 0)
        r->wake_ns = DL_FOR_EVER;
}

/* Once per turn of the loop: lets out what is due, and sets the timer to what is next. */
static void on_idle(void *ctx)
{
    struct relay *r = ctx;
    uint64_t next_ns = DL_FOR_EVER, now = now_ns();
    LIST_EACH(&r->pairs, it, nx)
    {
        uint64_t ns = pair_deliver(LIST_ENTRY(it, struct pair, link), now);
        if (ns < next_ns)
            next_ns = ns;
    }
    if (next_ns == r->wake_ns)
        return;
    r->wake_ns = next_ns;
    struct itimerspec at = { 0 };
    if (next_ns != DL_FOR_EVER) {
        at.it_value.tv_sec = (time_t)(next_ns / NS_PER_S);
        at.it_value.tv_nsec = (long)(next_ns % NS_PER_S);
    }
    if (timerfd_settime(r->timer.fd, TFD_TIMER_ABSTIME, &at, NULL) < 0)
        perror("mrc-lab-relay: timerfd_settime");
}

/* ---------------------------------------------------------------------------------- requests
 */

static void answer_add(struct answer *a, const char *fmt, ...) PRINTF(2, 3);
static void answer_add(struct answer *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(a->text + a->len, sizeof(a->text) - a->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        a->len =
            a->len + (size_t)n < sizeof(a->text) ? a->len + (size_t)n : sizeof(a->text) - 1;
}

static void answer_line(struct answer *a, const struct pair_end *from, const char *to,
                        bool is_json)
{
    const struct dl *d = &from->line;
    const struct dl_settings *s = &d->settings;
    uint64_t now = now_ns();
    uint64_t cut_ms = d->cut_until_ns > now ? (d->cut_until_ns - now) / 1000000 : 0;
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        { "delay_us", s->delay_ns / 1000 },
        { "rate_bps", s->rate_bps },
        { "queue_bytes", s->rate_bps == 0 ? 0 : dl_queue_bytes(s) },
        { "loss_ppm", s->loss_ppm },
        { "cut_ms", cut_ms },
        { "packets", d->counts.packets },
        { "bytes", d->counts.bytes },
        { "payload_bytes", from->payload_bytes },
        { "out_packets", d->counts.out_packets },
        { "out_bytes", d->counts.out_bytes },
        { "lost", d->counts.lost },
        { "overflow", d->counts.overflow },
        { "cut", d->counts.cut },
        { "full", d->counts.full },
        { "refused", from->refused },
    };
    answer_add(a, is_json ? "{\"from\":\"%s\",\"to\":\"%s\"" : "%s>%s", from->name, to);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        unsigned long long value = fields[i].value;
        answer_add(a, is_json ? ",\"%s\":%llu" : " %s=%llu", fields[i].name, value);
    }
    answer_add(a, "%s", is_json ? "}" : "\n");
}

/* Both directions, the one from end `first` first. */
static void answer_pair(struct answer *a, const struct pair *p, int first, bool is_json)
{
    unsigned long long turns = p->turns;
    answer_add(a, "%s", is_json ? "{\"directions\":[" : "");
    answer_line(a, &p->end[first], p->end[1 - first].name, is_json);
    answer_add(a, "%s", is_json ? "," : "");
    answer_line(a, &p->end[1 - first], p->end[first].name, is_json);
    answer_add(a, is_json ? "],\"turns\":%llu}" : "turns=%llu\n", turns);
}

static struct pair *find(struct relay *r, char **words, int *from)
{
    LIST_EACH(&r->pairs, it, nx)
    {
        struct pair *p = LIST_ENTRY(it, struct pair, link);
        if (pair_is(p, words[1], words[2], from))
            return p;
    }
    return NULL;
}

static int do_open(struct relay *r, int n, char **words, struct answer *a, struct err *e)
{
    int from;
    struct pair *p = NULL;
    if (n != 5 || strlen(words[1]) >= PAIR_NAME_MAX || strlen(words[2]) >= PAIR_NAME_MAX)
        return err_set(e, 0, "open wants two names and two namespaces");
    if (find(r, words, &from) != NULL) {
        answer_add(a, "old\n");
        return 0;
    }
    if (r->n_pairs >= PAIRS_MAX)
        return err_set(e, 0, "there are %d links already", PAIRS_MAX);
    const char *const names[2] = { words[1], words[2] }, *const ns[2] = { words[3], words[4] };
    int rc = pair_open(names, ns, &p, e);
    for (int i = 0; i < 2 && rc == 0; i++) {
        struct pair_end *end = &p->end[i];
        rc = loop_fd_add(r->loop, &end->watch, end->tun, EPOLLIN, on_packets, end);
    }
    if (rc < 0) {
        pair_close(p);
        return rc;
    }
    list_push_back(&r->pairs, &p->link);
    r->n_pairs++;
    answer_add(a, "new\n");
    return 0;
}

static int do_set(struct relay *r, int n, char **words, struct answer *a, struct err *e)
{
    int from;
    struct pair *p = n < 3 ? NULL : find(r, words, &from);
    struct linkspec spec = { 0 };
    (void)a;
    if (p == NULL)
        return err_set(e, 0, "no such link");
    for (int i = 3; i < n; i++) {
        int rc = linkspec_add(&spec, words[i], e);
        if (rc < 0)
            return rc;
    }
    pair_set(p, from, &spec, now_ns());
    return 0;
}

static int do_stats(struct relay *r, int n, char **words, struct answer *a, struct err *e)
{
    int from;
    struct pair *p = n < 3 ? NULL : find(r, words, &from);
    if (p == NULL)
        return err_set(e, 0, "no such link");
    if (n > 3 && strcmp(words[3], "reset") == 0) {
        pair_reset_counts(p);
        return 0;
    }
    bool is_json = n > 3 && strcmp(words[3], "json") == 0;
    answer_pair(a, p, from, is_json);
    if (is_json)
        answer_add(a, "\n");
    return 0;
}

static int do_list(struct relay *r, int n, char **words, struct answer *a, struct err *e)
{
    bool is_json = n > 1 && strcmp(words[1], "json") == 0;
    const char *separator = "";
    (void)e;
    answer_add(a, "%s", is_json ? "[" : "");
    LIST_EACH(&r->pairs, it, nx)
    {
        answer_add(a, "%s", is_json ? separator : "");
        answer_pair(a, LIST_ENTRY(it, struct pair, link), 0, is_json);
        separator = ",";
    }
    answer_add(a, "%s", is_json ? "]\n" : "");
    return 0;
}

static void drop_pair(struct relay *r, struct pair *p)
{
    loop_fd_del(&p->end[0].watch);
    loop_fd_del(&p->end[1].watch);
    list_remove(&p->link);
    r->n_pairs--;
    pair_close(p);
}

static int do_close(struct relay *r, int n, char **words, struct answer *a, struct err *e)
{
    int from;
    struct pair *p = n != 3 ? NULL : find(r, words, &from);
    (void)a;
    if (p == NULL)
        return err_set(e, 0, "no such link");
    drop_pair(r, p);
    return 0;
}

static const struct request {
    const char *name;
    int (*fn)(struct relay *r, int n, char **words, struct answer *a, struct err *e);
} requests[] = {
    { "open", do_open }, { "set", do_set },     { "stats", do_stats },
    { "list", do_list }, { "close", do_close },
};

static void serve_request(struct relay *r, char *text, struct answer *a)
{
    char *words[WORDS_MAX], *rest = text;
    struct err e = { "" };
    int n = 0, rc = -EINVAL;
    while (n < WORDS_MAX && (words[n] = strtok_r(rest, " ", &rest)) != NULL)
        n++;
    for (size_t i = 0; i < ARRAY_LEN(requests) && n > 0; i++) {
        if (strcmp(words[0], requests[i].name) != 0)
            continue;
        rc = requests[i].fn(r, n, words, a, &e);
        if (rc == 0)
            return;
        break;
    }
    a->len = 0;
    answer_add(a, "error %s\n",
               e.text[0] != '\0' ? e.text
               : rc == -EINVAL   ? "unknown request"
                                 : strerror(-rc));
}

static void on_request(void *ctx, uint32_t events)
{
    static struct answer answer;
    struct connection *c = ctx;
    struct relay *r = c->relay;
    char text[REQUEST_MAX];
    int fd = c->watch.fd;
    (void)events;
    ssize_t len = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_TRUNC);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    answer.len = 0;
    answer.text[0] = '\0';
    if (len > 0 && (size_t)len < sizeof(text)) {
        text[len] = '\0';
        serve_request(r, text, &answer);
    } else if (len > 0) {
        answer_add(&answer, "error the request is too long\n");
    }
    if (len > 0 && send(fd, answer.text, answer.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        perror("mrc-lab-relay: send");
    loop_fd_del(&c->watch);
    fd_close(&fd);
    free(c);
    if (r->n_connections-- == CONNECTIONS_MAX)
        loop_fd_set(&r->listener, EPOLLIN);
}

static void on_connection(void *ctx, uint32_t events)
{
    struct relay *r = ctx;
    (void)events;
    AUTO_FD fd = accept4(r->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct connection *c = fd < 0 ? NULL : calloc(1, sizeof(*c));
    if (c == NULL)
        return;
    c->relay = r;
    if (loop_fd_add(r->loop, &c->watch, fd, EPOLLIN, on_request, c) < 0) {
        free(c);
        return;
    }
    (void)take_fd(&fd);
    if (++r->n_connections == CONNECTIONS_MAX)
        loop_fd_set(&r->listener, 0);
}

/* ---------------------------------------------------------------------------------- programs
 */

static int control_address(const char *path, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(out->sun_path)) {
        fprintf(stderr, "mrc-lab-relay: name of the control socket is too long: %s\n", path);
        return -ENAMETOOLONG;
    }
    memcpy(out->sun_path, path, strlen(path) + 1);
    return 0;
}

/* A packet that is due must not wait for programs that compute. */
static void raise_priority(void)
{
    const struct sched_param first = { .sched_priority = 1 };
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &first) < 0 &&
        setpriority(PRIO_PROCESS, 0, -20) < 0)
        perror("mrc-lab-relay: priority (delays will be less exact)");
    (void)prctl(PR_SET_TIMERSLACK, 1);
}

static int serve(const char *path)
{
    struct relay r = { .wake_ns = DL_FOR_EVER };
    struct sockaddr_un address;
    int timer, listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (control_address(path, &address) < 0 || listener < 0)
        return 1;
    umask(077);
    unlink(path);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, 64) < 0) {
        perror(path);
        return 1;
    }
    list_init(&r.pairs);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (timer < 0 || loop_new(&r.loop) < 0 ||
        loop_fd_add(r.loop, &r.listener, listener, EPOLLIN, on_connection, &r) < 0 ||
        loop_fd_add(r.loop, &r.timer, timer, EPOLLIN, on_timer, &r) < 0) {
        perror("mrc-lab-relay: start");
        return 1;
    }
    loop_set_idle(r.loop, on_idle, &r);
    raise_priority();
    int rc = loop_run(r.loop);
    fprintf(stderr, "mrc-lab-relay: %s\n", strerror(-rc));
    return 1;
}

static int control(const char *path, int n, char **words)
{
    static char answer[ANSWER_MAX];
    char text[REQUEST_MAX] = "";
    struct sockaddr_un address;
    AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (control_address(path, &address) < 0 || fd < 0)
        return 1;
    size_t used = 0;
    for (int i = 0; i < n; i++) {
        int added =
            snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? " " : "", words[i]);
        used += added > 0 ? (size_t)added : 0;
        if (used >= sizeof(text)) {
            fprintf(stderr, "mrc-lab-relay: the request is too long\n");
            return 1;
        }
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        fprintf(stderr, "mrc-lab-relay: no relay at %s: %s\n", path, strerror(errno));
        return 1;
    }
    ssize_t len = send(fd, text, used, MSG_NOSIGNAL);
    if (len >= 0)
        len = recv(fd, answer, sizeof(answer), 0);
    if (len < 0) {
        perror("mrc-lab-relay: request");
        return 1;
    }
    bool is_error = len > 6 && memcmp(answer, "error ", 6) == 0;
    if (is_error)
        fprintf(stderr, "lab: %.*s", (int)len - 6, answer + 6);
    else
        fwrite(answer, 1, (size_t)len, stdout);
    return is_error;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2]);
    if (argc >= 4 && strcmp(argv[1], "ctl") == 0)
        return control(argv[2], argc - 3, argv + 3);
    if (argc == 4 && strcmp(argv[1], "dial") == 0) {
        struct err e = { "" };
        if (dial(argv[2], argv[3], &e) == 0)
            return 0;
        fprintf(stderr, "mrc-lab-relay: %s\n", e.text);
        return 1;
    }
    fprintf(stderr,
            "usage: mrc-lab-relay serve SOCKET | ctl SOCKET WORD... | dial ADDRESS PORT\n");
    return 2;
}
