/* SPDX-License-Identifier: GPL-2.0-or-later */
/* standin.c: answers as mosixd does (docs/control.md), for a cluster that doesn't exist: as
 * many nodes as are asked for, the same for the same seed; or what a file says; or as a daemon
 * that is out of order. usage: standin RUN [nodes=64] [seed=1] [clusters=1] [jobs=8] [live=0]
 * [status=FILE] [bad=hang|cut|flood|garbage|error|hostile] live=1: figures change with the
 * seconds. bad=hostile: names that are no names. Prints "ready" when it listens at RUN/control.
 * Must not know: monitors. */
#include "common/base/attr.h"
#include "common/base/rng.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct how {
    long nodes, seed, clusters, jobs, live;
    const char *status, *bad;
};

static const char *const names[] = {
    "ant",  "bee", "cat", "dog",  "elk",  "fox",  "gnu", "hen",
    "ibex", "jay", "koi", "lynx", "mole", "newt", "owl", "pug"
};
static const char *const hostile[] = { "<script>alert(1)</script>",
                                       "\\u001b[2J\\u001b]0;x\\u0007",
                                       "\\\"},{\\\"x\\\":\\\"",
                                       "a\\nb\\u0085c",
                                       "\\u202egnp.exe",
                                       "name{x=\\\"1\\\"} 5",
                                       "'\\\" onload=x ",
                                       "&lt;b&gt;" };
enum { TIME0 = 1796000000 };

/* A wave between 0 and 1000 that is another for each node: a triangle, so that nothing but
 * whole numbers is needed. */
static unsigned wave(const struct how *h, uint64_t of, long period_s)
{
    struct rng r = rng_of(of * 2654435761u + (uint64_t)h->seed);
    long now = h->live ? (long)time(NULL) : 0;
    unsigned at = (unsigned)((now + (long)rng_below(&r, (uint32_t)period_s)) % period_s * 2000 /
                             period_s);
    return at < 1000 ? at : 2000 - at;
}

static const char *state_of(const struct how *h, long i)
{
    struct rng r = rng_of((uint64_t)i * 7919 + (uint64_t)h->seed * 31);
    unsigned x = rng_below(&r, 100);
    return i == 1 || h->nodes < 4 ? "alive"
           : x < 2                ? "suspect"
           : x < 4                ? "dead"
           : x < 5                ? "left"
           : x < 6                ? "unknown"
                                  : "alive";
}

static void print_name(FILE *f, const struct how *h, long i)
{
    if (h->bad && strcmp(h->bad, "hostile") == 0)
        fprintf(f, "%s", hostile[(i - 1) % (long)ARRAY_LEN(hostile)]);
    else if (h->nodes <= (long)ARRAY_LEN(names))
        fprintf(f, "%s", names[i - 1]);
    else
        fprintf(f, "n%ld", i);
}

static void print_node(FILE *f, const struct how *h, long i)
{
    static const int memories[] = { 7936, 15872, 31744, 64512, 128512 };
    struct rng r = rng_of((uint64_t)i + (uint64_t)h->seed * 1000003);
    const char *state = state_of(h, i);
    bool is_known = strcmp(state, "unknown") != 0, is_self = i == 1;
    unsigned cores = 4u << rng_below(&r, 4), busy = wave(h, (uint64_t)i, 97);
    unsigned load = busy * (80 + rng_below(&r, 120)) / 1000,
             speed = 8000 + 500 * rng_below(&r, 40);
    int memory = memories[rng_below(&r, 5)];
    fprintf(f, "{\"number\":%ld,\"name\":\"", i);
    print_name(f, h, i);
    fprintf(f,
            "\",\"address\":\"10.%ld.%ld.%ld\",\"port\":7722,\"cluster\":%ld,\"is_self\":%s,"
            "\"state\":\"%s\",",
            i >> 16, i >> 8 & 255, i & 255, (i - 1) * h->clusters / h->nodes,
            is_self ? "true" : "false", state);
    if (is_known)
        fprintf(f, "\"since_ms\":%u,\"is_certified\":true,\"is_revoked\":false,\"age_ms\":%u,",
                1000 * (30 + rng_below(&r, 90000)),
                is_self                       ? 0
                : strcmp(state, "alive") == 0 ? 200 + wave(h, (uint64_t)i * 3, 11) * 4
                                              : 130000);
    else
        fprintf(
            f,
            "\"since_ms\":null,\"is_certified\":false,\"is_revoked\":false,\"age_ms\":null,");
    if (!is_known) {
        fprintf(f, "\"load_centi\":null,\"load_raw_centi\":null,\"speed\":null,\"cores\":null,"
                   "\"idle_cores\":null,\"memory_mb\":null,\"memory_free_mb\":null,"
                   "\"swap_mb\":null,\"swap_used_pct\":null,\"psi_cpu_pct\":null,\"psi_memory_"
                   "pct\":null,\"guests\":null,\"guests_max\":null,\"frozen\":null,"
                   "\"is_blocked\":false,\"life\":null,\"kernel\":null,\"cpu_level\":null,"
                   "\"version\":null}");
        return;
    }
    fprintf(
        f,
        "\"load_centi\":%u,\"load_raw_centi\":%u,\"speed\":%u,\"cores\":%u,\"idle_cores\":%u,"
        "\"memory_mb\":%d,\"memory_free_mb\":%d,",
        load, load * speed / 10000, speed, cores, cores - (busy * cores + 999) / 1000, memory,
        (int)((long)memory * (long)(1000 - wave(h, (uint64_t)i * 5 + 1, 301) * 9 / 10) / 1000));
    fprintf(f,
            "\"swap_mb\":%d,\"swap_used_pct\":%u,\"psi_cpu_pct\":%s,\"psi_memory_pct\":%u,"
            "\"guests\":%u,\"guests_max\":64,\"frozen\":%u,",
            i % 7 ? 8192 : 0, i % 7 ? wave(h, (uint64_t)i * 11, 503) / 84 / 2 * 12 : 0,
            is_self ? "2" : "null", rng_below(&r, 12) ? 0 : 10, i % 3 ? 0 : busy * cores / 900,
            rng_below(&r, 20) ? 0 : 1);
    fprintf(f,
            "\"is_blocked\":%s,\"life\":%d,\"kernel\":\"6.1.0-18-amd64\",\"cpu_level\":%u,"
            "\"version\":\"0.1.0\"}",
            rng_below(&r, 15) ? "false" : "true", TIME0 - 90000, 2 + rng_below(&r, 3));
}

static void print_status(FILE *f, const struct how *h)
{
    static const char *const states[] = { "alive", "suspect", "dead", "left", "unknown" };
    static const char *const clusters[] = { "main", "physics", "render", "lab" };
    fprintf(f,
            "{\"schema\":\"mosix/"
            "1\",\"kind\":\"status\",\"time_s\":%ld,\"self\":1,\"mode\":\"gossip\",\"is_"
            "whole\":false,\"clusters\":[",
            h->live ? (long)time(NULL) : (long)TIME0);
    for (long c = 0; c < h->clusters; c++) {
        fprintf(f, "%s{\"number\":%ld,\"name\":\"%s\",\"is_own\":%s", c ? "," : "", c,
                c < 4 ? clusters[c] : "far", c ? "false" : "true");
        for (unsigned s = 0; s < 5; s++) {
            long n = 0;
            for (long i = 1; i <= h->nodes; i++)
                n += (i - 1) * h->clusters / h->nodes == c &&
                     strcmp(state_of(h, i), states[s]) == 0;
            fprintf(f, ",\"%s\":%ld", states[s], n);
        }
        fprintf(f, "}");
    }
    fprintf(f, "],\"nodes\":[");
    for (long i = 1; i <= h->nodes; i++) {
        fprintf(f, "%s", i > 1 ? "," : "");
        print_node(f, h, i);
    }
    fprintf(f, "]}\n");
}

static void print_processes(FILE *f, const struct how *h)
{
    static const char *const commands[] = { "simulate", "render", "fold", "anneal",
                                            "montecarlo" };
    fprintf(
        f, "{\"schema\":\"mosix/1\",\"kind\":\"processes\",\"time_s\":%d,\"self\":1,\"jobs\":[",
        TIME0);
    for (long i = 0; i < h->jobs; i++) {
        struct rng r = rng_of((uint64_t)(i + h->seed * 77));
        long where =
            h->nodes > 1 && i % 4 ? 2 + (long)rng_below(&r, (uint32_t)h->nodes - 1) : 0;
        fprintf(f,
                "%s{\"pid\":%ld,\"uid\":1000,\"job\":%ld,\"command\":\"%s\",\"where\":%ld,"
                "\"where_name\":\"",
                i ? "," : "", 4711 + i * 13, 1 + i / 4, commands[i / 4 % 5], where);
        if (where)
            print_name(f, h, where);
        else
            fprintf(f, "home");
        fprintf(f, "\",\"phase\":\"%s\",\"moves\":%u,\"why\":%s}",
                i == 6 ? "copying" : "settled", where ? 1 + rng_below(&r, 3) : 0,
                i == 4 ? "\"it has several threads\"" : "null");
    }
    fprintf(f, "],\"guests\":[");
    for (long i = 0; i < h->jobs / 2; i++) {
        long home = h->nodes > 1 ? 2 + i % (h->nodes - 1) : 1;
        fprintf(f, "%s{\"pid\":%ld,\"home\":%ld,\"home_name\":\"", i ? "," : "", 812 + i * 5,
                home);
        print_name(f, h, home);
        fprintf(f, "\",\"home_pid\":%ld,\"command\":\"render\"}", 3001 + i * 17);
    }
    fprintf(f, "]}\n");
}

static void print_local(FILE *f, const struct how *h)
{
    fprintf(f, "{\"schema\":\"mosix/1\",\"kind\":\"local\",\"time_s\":%d,\"node\":", TIME0);
    print_node(f, h, 1);
    fprintf(f, ",\"load\":{\"own_centi\":40,\"told_centi\":53,\"runnable_centi\":210,\"one_min_"
               "centi\":180},\"memory\":{\"total_mb\":7936,\"available_mb\":5120,"
               "\"swap_mb\":2048,\"swap_free_mb\":2048},\"psi\":null,\"gossip\":{\"sent_"
               "datagrams\":1200,\"sent_bytes\":900000,\"received_datagrams\":1190,"
               "\"received_bytes\":880000,\"opened\":1190,\"malformed\":1,\"unknown\":2,"
               "\"limited\":0,\"forged\":3,\"replayed\":0,\"former_life\":0,\"old_epoch\":0,"
               "\"suspected\":4,\"died\":1,\"refuted\":2,\"wrong\":0,\"epoch\":1,\"health\":0},"
               "\"certificate\":{\"serial\":1,\"expires_s\":1827536000},"
               "\"config\":{\"map\":\"/etc/mosix/"
               "mosix.map\",\"read_s\":1795999919,\"error\":null},\"uptime_s\":81,\"children\":"
               "0,\"rss_mb\":5,\"cpu_ms\":310}\n");
}

static void print_file(FILE *f, const char *path)
{
    char piece[4096];
    FILE *from = fopen(path, "re");
    for (size_t n; from && (n = fread(piece, 1, sizeof piece, from)) > 0;)
        fwrite(piece, 1, n, f);
    if (from)
        fclose(from);
}

static void answer(FILE *f, const struct how *h, const char *request)
{
    const char *bad = h->bad ? h->bad : "";
    if (strcmp(bad, "error") == 0)
        fprintf(f, "error this node has no map\n");
    else if (strcmp(bad, "garbage") == 0)
        fprintf(f, "{\"schema\":\"mosix/"
                   "1\",\"kind\":\"status\",\"nodes\":[{\"number\":1,\"cluster\":\"x\"},[[[[");
    else if (strcmp(request, "status\n") == 0 && h->status)
        print_file(f, h->status);
    else if (strcmp(request, "status\n") == 0)
        print_status(f, h);
    else if (strcmp(request, "processes\n") == 0)
        print_processes(f, h);
    else if (strcmp(request, "local\n") == 0)
        print_local(f, h);
    else
        fprintf(f, "error no such request\n");
}

static void serve(int fd, const struct how *h)
{
    char request[512] = "", *text = NULL;
    size_t len = 0, done = 0;
    ssize_t n = read(fd, request, sizeof request - 1);
    FILE *f = n > 0 ? open_memstream(&text, &len) : NULL;
    if (!f)
        return;
    answer(f, h, request);
    fclose(f);
    if (h->bad && strcmp(h->bad, "cut") == 0)
        len /= 2;
    if (h->bad && strcmp(h->bad, "hang") == 0) /* until the asker goes */
        for (char c; read(fd, &c, 1) >= 0;)
            if (send(fd, " ", 1, MSG_NOSIGNAL) < 0 || usleep(50000) < 0)
                break;
    while (done < len && (n = send(fd, text + done, len - done, MSG_NOSIGNAL)) > 0) {
        done += (size_t)n;
        if (h->bad && strcmp(h->bad, "flood") == 0 && done == len)
            done = 0;
    }
    free(text);
}

static long number_of(const char *arg, const char *name, long now)
{
    size_t len = strlen(name);
    return strncmp(arg, name, len) == 0 && arg[len] == '=' ? strtol(arg + len + 1, NULL, 10)
                                                           : now;
}

int main(int argc, char **argv)
{
    struct how h = { .nodes = 64, .seed = 1, .clusters = 1, .jobs = 8 };
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    for (int i = 2; i < argc; i++) {
        h.nodes = number_of(argv[i], "nodes", h.nodes);
        h.seed = number_of(argv[i], "seed", h.seed);
        h.clusters = number_of(argv[i], "clusters", h.clusters);
        h.jobs = number_of(argv[i], "jobs", h.jobs);
        h.live = number_of(argv[i], "live", h.live);
        h.status = strncmp(argv[i], "status=", 7) == 0 ? argv[i] + 7 : h.status;
        h.bad = strncmp(argv[i], "bad=", 4) == 0 ? argv[i] + 4 : h.bad;
    }
    if (argc < 2 || h.nodes < 1 || h.clusters < 1 || h.clusters > h.nodes) {
        fprintf(stderr, "usage: standin RUN [nodes=64] [seed=1] [clusters=1] [jobs=8] [live=0] "
                        "[status=FILE] [bad=hang|cut|flood|garbage|error|hostile]\n");
        return 2;
    }
    signal(SIGCHLD, SIG_IGN);
    mkdir(argv[1], 0755);
    if ((size_t)snprintf(a.sun_path, sizeof a.sun_path, "%s/control", argv[1]) >=
        sizeof a.sun_path)
        return 2;
    unlink(a.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        chmod(a.sun_path, 0666) < 0 || listen(fd, 64) < 0) {
        perror(a.sun_path);
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (c < 0 && errno != EINTR && errno != ECONNABORTED)
            return 1;
        pid_t child = c < 0 ? -1 : fork(); /* as mosixd: nobody holds the others up */
        if (child == 0) {
            close(fd);
            serve(c, &h);
            _exit(0);
        }
        if (c >= 0)
            close(c);
    }
}
