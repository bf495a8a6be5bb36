/* SPDX-License-Identifier: GPL-2.0-or-later */
/* site.c: what mosweb serves.
 * Must not know: HTTP's details, who asks mosixd. */
#include "gossip/monitor/site.h"

#include "common/sys/clock.h"
#include "common/sys/mem.h"
#include "gossip/monitor/core/api.h"
#include "gossip/monitor/core/metrics.h"
#include "gossip/monitor/page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    NONCE_CHARS = 32,
    SECONDS_BACK = 6 * 3600,
    HISTORY_ROOM = 64 << 10,
    NODES_AT_A_TIME = 100 /* of an answer, a millisecond or two */
};

int site_init(struct site *s, bool has_processes)
{
    *s = (struct site){ .has_processes = has_processes,
                        .history = calloc(1, sizeof *s->history),
                        .words = "mosixd has not been asked yet" };
    s->order = malloc(sizeof *s->order);
    return s->history && s->order ? 0 : -ENOMEM;
}

static void forget_bodies(struct site *s)
{
    http_body_put(s->overview);
    http_body_put(s->metrics);
    s->overview = s->metrics = NULL;
}

static void stop_reading(struct site *s)
{
    loop_timer_del(&s->read_on);
    mon_reading_drop(&s->reading);
    http_body_put(s->being_read);
    s->being_read = NULL;
}

void site_fini(struct site *s)
{
    stop_reading(s);
    forget_bodies(s);
    http_body_put(s->status);
    mon_table_fini(&s->table);
    mon_processes_fini(&s->processes);
    free(s->order);
    if (s->history)
        free(s->history->nodes);
    free(s->history);
    *s = (struct site){ 0 };
}

/* MOSWEB_TEST_SPEED=10: hours of history are ten times shorter, for tests and pictures. */
static int64_t history_s(void)
{
    const char *speed = getenv("MOSWEB_TEST_SPEED");
    long times = speed ? strtol(speed, NULL, 10) : 1;
    return (int64_t)(clock_mono_ms() / 100) * (times > 0 && times <= 1000 ? times : 1) / 10;
}

static int64_t answer_age_ms(const struct site *s)
{
    return s->answered_ms ? (int64_t)(clock_mono_ms() - s->answered_ms) : MON_UNKNOWN;
}

/* The text as a body; NULL when it had no room, which is a mistake of ours, or there is no
 * memory. */
static struct http_body *body_of(struct text *t)
{
    if (!t->is_cut)
        return http_body_new(t->ptr, t->len_bytes);
    free(t->ptr);
    return NULL;
}

static struct text text_new(size_t room)
{
    char *ptr = malloc(room);
    return ptr ? text_of(ptr, room) : (struct text){ .is_cut = true };
}

/* ---- what mosixd says ---- */

static struct http_body *overview_of(struct site *s)
{
    struct text t = text_new(mon_api_overview_room(&s->table));
    const struct mon_overview o = { s->sequence, s->words[0] ? s->words : NULL,
                                    answer_age_ms(s), s->local.config_error };
    mon_api_overview(&s->table, &o, &t);
    return body_of(&t);
}

static void publish(struct site *s)
{
    s->sequence++;
    forget_bodies(s);
    s->overview = overview_of(s);
    if (!s->overview)
        return;
    struct text t = text_new(mon_api_overview_room(&s->table) + 128);
    struct text line = text_new(mon_api_overview_room(&s->table));
    const struct mon_overview o = { s->sequence, s->words[0] ? s->words : NULL,
                                    answer_age_ms(s), s->local.config_error };
    mon_api_overview(&s->table, &o, &line);
    text_put(&t, "event: overview\nid: ");
    text_int(&t, (int64_t)s->sequence);
    text_put(&t, "\ndata: ");
    if (!line.is_cut)
        text_put_n(&t, line.ptr, line.len_bytes); /* it ends with its only newline */
    text_put(&t, "\n");
    free(line.ptr);
    struct http_body *event = body_of(&t);
    if (event)
        http_publish(s->http, event);
}

/* Room for the histories of all numbers that the table has; without memory the new ones have
 * none. */
static void make_room(struct site *s)
{
    struct mon_history *h = s->history;
    uint32_t most = 0;
    for (size_t i = 0; i < s->table.count; i++)
        most = s->table.nodes[i].number > most ? s->table.nodes[i].number : most;
    if (most < h->node_room)
        return;
    struct mon_node_series *nodes = realloc(h->nodes, ((size_t)most + 1) * sizeof *nodes);
    if (!nodes)
        return;
    h->nodes = nodes;
    mon_history_clear_nodes(h, h->node_room, most + 1);
    h->node_room = most + 1;
}

/* Takes the table, and the answer that it was in. */
static int take_table(struct site *s, struct mon_table *fresh, struct http_body *status)
{
    uint32_t *order = malloc((fresh->count + 1) * sizeof *order);
    if (!order) {
        http_body_put(status);
        mon_table_fini(fresh);
        return -ENOMEM;
    }
    free(s->order);
    mon_table_fini(&s->table);
    http_body_put(s->status);
    s->order = order;
    s->table = *fresh;
    s->status = status;
    s->answered_ms = clock_mono_ms();
    make_room(s);
    return 0;
}

/* An answer was taken, or why there is none. */
static void answered(struct site *s, int rc, const char *why)
{
    mon_history_add(s->history, rc == 0 ? &s->table : NULL, history_s());
    snprintf(s->words, sizeof s->words, "%s", rc == 0 ? "" : *why ? why : "no memory");
    publish(s);
}

static void read_on(void *ctx)
{
    struct site *s = ctx;
    struct mon_table fresh;
    struct err e = { "" };
    int rc = mon_reading_go(&s->reading, NODES_AT_A_TIME, &fresh, &e);
    if (rc == 1) {
        loop_timer_set(s->loop, &s->read_on, 1, read_on, s); /* requests come first */
        return;
    }
    if (rc == 0) {
        rc = take_table(s, &fresh, s->being_read);
        s->being_read = NULL;
    }
    stop_reading(s);
    answered(s, rc, e.text);
}

/* Taking thousands of nodes apart takes a tenth of a second of the processor, for which nobody
 * should wait: it is done in pieces. An answer that comes before the last one is done is left
 * out. */
void site_take_status(void *site, const char *answer, size_t len_bytes, const char *why)
{
    struct site *s = site;
    struct err e = { "" };
    if (!answer) {
        stop_reading(s);
        answered(s, -EHOSTDOWN, why);
        return;
    }
    if (s->being_read)
        return;
    char *copy = malloc(len_bytes + 1);
    if (copy)
        memcpy(copy, answer, len_bytes);
    s->being_read = http_body_new(copy, len_bytes);
    int rc = s->being_read ? mon_reading_begin(&s->reading, copy, len_bytes, &e) : -ENOMEM;
    if (rc == 0) {
        read_on(s);
        return;
    }
    stop_reading(s);
    answered(s, rc, e.text);
}

void site_take_processes(void *site, const char *answer, size_t len_bytes,
                         const char *why UNUSED)
{
    struct site *s = site;
    struct mon_processes fresh = { 0 };
    int rc = answer ? mon_decode_processes(answer, len_bytes, &fresh, NULL) : -EHOSTDOWN;
    if (answer && rc < 0)
        return; /* a daemon that can't tell them may still tell the rest; its words come with
                   that */
    mon_processes_fini(&s->processes);
    s->processes = fresh;
}

void site_take_local(void *site, const char *answer, size_t len_bytes, const char *why UNUSED)
{
    struct site *s = site;
    struct mon_local fresh = { 0 };
    if (!answer || mon_decode_local(answer, len_bytes, &fresh, NULL) < 0)
        fresh = (struct mon_local){ 0 };
    s->local = fresh;
}

/* ---- pages ---- */

static const char json[] = "application/json";

static long long argument(const struct http_request *r, const char *name, long long otherwise)
{
    const char *words = http_argument(r, name);
    char *rest;
    if (!words || !*words)
        return otherwise;
    errno = 0;
    long long n = strtoll(words, &rest, 10);
    return *rest || errno || n < 0 ? otherwise : n;
}

/* ?cluster=NUMBER&order=load&find=LETTERS&dead=0 */
static struct mon_choice choice_of(const struct site *s, const struct http_request *r)
{
    long long cluster = argument(r, "cluster", MON_ALL_CLUSTERS);
    const char *order = http_argument(r, "order");
    struct mon_choice c = { MON_ALL_CLUSTERS, MON_BY_NUMBER, argument(r, "dead", 1) != 0,
                            http_argument(r, "find") };
    for (size_t i = 0; i < s->table.cluster_count; i++)
        if (cluster == (long long)s->table.clusters[i].number)
            c.cluster = (int)i;
    for (unsigned i = 0; order && i < MON_SORTS; i++)
        if (strcmp(order, mon_sort_names[i]) == 0)
            c.sort = (enum mon_sort)i;
    return c;
}

static void answer_text(struct http_answer *a, const char *type, struct text *t)
{
    a->body = body_of(t);
    a->status = a->body ? 200 : 503;
    a->type = a->body ? type : a->type;
}

/* A body that was made for the last answer of mosixd's; made now if it is not there. */
static void answer_shared(struct http_answer *a, const char *type, struct http_body *b)
{
    a->body = http_body_get(b);
    a->status = b ? 200 : 503;
    a->type = b ? type : a->type;
}

static void serve_page(struct site *s UNUSED, const struct http_request *r UNUSED,
                       struct http_answer *a)
{
    static const char hex[] = "0123456789abcdef", mark[] = "@NONCE@";
    unsigned char random[NONCE_CHARS / 2];
    char nonce[NONCE_CHARS + 1] = "";
    if (getrandom(random, sizeof random, 0) != sizeof random) {
        a->status = 503;
        return;
    }
    for (unsigned i = 0; i < NONCE_CHARS; i++)
        nonce[i] = hex[(i % 2 ? random[i / 2] : random[i / 2] >> 4) & 15];
    struct text t = text_new(page_html_bytes + 4 * sizeof nonce);
    const char *at = (const char *)page_html, *next;
    for (; (next = strstr(at, mark)); at = next + sizeof mark - 1) {
        text_put_n(&t, at, (size_t)(next - at));
        text_put(&t, nonce);
    }
    text_put(&t, at);
    answer_text(a, "text/html; charset=utf-8", &t);
    snprintf(a->policy, sizeof a->policy,
             "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src "
             "'self'; img-src data:; base-uri 'none'; form-action 'none'; "
             "frame-ancestors 'none'",
             nonce, nonce);
}

static void serve_status(struct site *s, const struct http_request *r UNUSED,
                         struct http_answer *a)
{
    answer_shared(a, json, s->status);
}

static void serve_overview(struct site *s, const struct http_request *r UNUSED,
                           struct http_answer *a)
{
    if (!s->overview)
        s->overview = overview_of(s);
    answer_shared(a, json, s->overview);
}

static void serve_nodes(struct site *s, const struct http_request *r, struct http_answer *a)
{
    struct mon_choice c = choice_of(s, r);
    struct text t = text_new(MON_API_NODES_ROOM);
    mon_api_nodes(&s->table, &c, s->order, (size_t)argument(r, "first", 0),
                  (size_t)argument(r, "count", 100), &t);
    answer_text(a, json, &t);
}

static void serve_map(struct site *s, const struct http_request *r, struct http_answer *a)
{
    struct mon_choice c = choice_of(s, r);
    const char *shown = http_argument(r, "show");
    struct text t = text_new(mon_api_map_room(&s->table));
    mon_api_map(&s->table, &c,
                shown && strcmp(shown, "memory") == 0 ? MON_SHOW_MEMORY : MON_SHOW_LOAD,
                s->order, &t);
    answer_text(a, json, &t);
}

static void serve_processes(struct site *s, const struct http_request *r UNUSED,
                            struct http_answer *a)
{
    struct text t;
    if (!s->has_processes) {
        a->status = 404;
        return;
    }
    t = text_new(mon_api_processes_room(&s->processes));
    mon_api_processes(&s->processes, &t);
    answer_text(a, json, &t);
}

static void serve_history(struct site *s, const struct http_request *r, struct http_answer *a)
{
    long long node = argument(r, "node", -1), back = argument(r, "seconds", SECONDS_BACK);
    struct text t = text_new(HISTORY_ROOM);
    if (node >= 0)
        mon_history_node_json(s->history, node < UINT32_MAX ? (uint32_t)node : UINT32_MAX, &t);
    else
        mon_history_json(s->history, argument(r, "cluster", MON_ALL_CLUSTERS),
                         back < SECONDS_BACK ? (uint32_t)back : SECONDS_BACK, &t);
    answer_text(a, json, &t);
}

static void serve_metrics(struct site *s, const struct http_request *r UNUSED,
                          struct http_answer *a)
{
    if (!s->metrics) {
        struct http_counts n = http_counted(s->http);
        struct mon_metrics m = { .is_answered = !s->words[0],
                                 .answer_age_ms = answer_age_ms(s),
                                 .counters = s->local.is_known ? s->local.counters : NULL,
                                 .jobs = MON_UNKNOWN,
                                 .guests = MON_UNKNOWN,
                                 .requests = n.requests,
                                 .refused = n.refused,
                                 .streams = n.streams };
        m.jobs = m.guests = 0;
        for (size_t i = 0; i < s->processes.count; i++) {
            m.guests += s->processes.list[i].is_guest;
            m.jobs += !s->processes.list[i].is_guest;
        }
        AUTO_FREE struct mon_label *labels = malloc((s->table.count + 1) * sizeof *labels);
        struct text t =
            labels ? text_new(mon_metrics_room(&s->table)) : (struct text){ .is_cut = true };
        if (labels)
            mon_metrics(&s->table, &m, labels, &t);
        s->metrics = body_of(&t);
    }
    answer_shared(a, "application/openmetrics-text; version=1.0.0; charset=utf-8", s->metrics);
}

static void serve_events(struct site *s UNUSED, const struct http_request *r UNUSED,
                         struct http_answer *a)
{
    a->status = 0;
    a->type = "text/event-stream";
}

void site_serve(void *site, const struct http_request *r, const char *path,
                struct http_answer *answer)
{
    static const struct {
        const char *path;
        void (*fn)(struct site *s, const struct http_request *r, struct http_answer *a);
    } pages[] = {
        { "/", serve_page },
        { "/metrics", serve_metrics },
        { "/api/v1/overview", serve_overview },
        { "/api/v1/nodes", serve_nodes },
        { "/api/v1/map", serve_map },
        { "/api/v1/history", serve_history },
        { "/api/v1/processes", serve_processes },
        { "/api/v1/status", serve_status },
        { "/api/v1/events", serve_events },
    };
    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        if (strcmp(path, pages[i].path) == 0) {
            pages[i].fn(site, r, answer);
            return;
        }
}
