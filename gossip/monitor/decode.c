/* SPDX-License-Identifier: GPL-2.0-or-later */
/* decode.c: mosixd's answers to tables.
 * Must not know: sockets. Source: docs/control.md. */
#include "gossip/monitor/decode.h"

#include "common/sys/jsonread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void mon_table_fini(struct mon_table *t)
{
    free(t->nodes);
    *t = (struct mon_table){ 0 };
}

void mon_processes_fini(struct mon_processes *p)
{
    free(p->list);
    *p = (struct mon_processes){ 0 };
}

/* Each character that is no printable ASCII becomes one "?". */
static void take_words(const struct json_value *v, char *out, size_t size)
{
    const char *words = jval_words(v);
    size_t n = 0;
    for (; words && *words && n < size - 1; words++) {
        unsigned char c = (unsigned char)*words;
        if ((c & 0xc0) != 0x80) /* not the rest of a character that has already become one */
            out[n++] = (char)(c >= ' ' && c < 127 ? c : '?');
    }
    out[n] = 0;
}

static int64_t take_figure(const struct json_value *object, const char *key)
{
    int64_t figure;
    return jval_whole(jval_in(object, key), &figure) && figure >= 0 &&
                   figure <= (int64_t)MON_FIGURE_MAX
               ? figure
               : MON_UNKNOWN;
}

static int refused(const char *answer, size_t len_bytes, struct err *e)
{
    char words[160];
    size_t n = 0;
    if (len_bytes < 6 || memcmp(answer, "error ", 6) != 0)
        return 0;
    for (size_t i = 6; i < len_bytes && answer[i] != '\n' && n < sizeof words - 1; i++)
        words[n++] = (char)(answer[i] >= ' ' && answer[i] < 127 ? answer[i] : '?');
    words[n] = 0;
    return err_say(e, EREMOTEIO, "mosixd says: %s", words);
}

static int open_answer(const char *answer, size_t len_bytes, const char *kind,
                       struct json_value **out, struct err *e)
{
    int rc = refused(answer, len_bytes, e);
    if (rc < 0)
        return rc;
    if (len_bytes > MON_ANSWER_MAX)
        return err_say(e, EPROTO, "mosixd's answer has more than %d bytes", MON_ANSWER_MAX);
    if (!len_bytes)
        return err_say(e, EPROTO, "mosixd ended without an answer");
    rc = jval_read(answer, len_bytes, out, NULL);
    const char *schema = rc < 0 ? NULL : jval_words(jval_in(*out, "schema"));
    const char *has = rc < 0 ? NULL : jval_words(jval_in(*out, "kind"));
    if (schema && strcmp(schema, "mosix/1") == 0 && has && strcmp(has, kind) == 0)
        return 0;
    if (rc == 0)
        jval_drop(*out);
    return err_say(e, EPROTO,
                   schema ? "mosixd's answer is of another version, or to another question"
                          : "mosixd's answer makes no sense");
}

/* ---- status ---- */

static int take_clusters(const struct json_value *list, struct mon_table *t)
{
    if (jval_count(list) > MON_CLUSTERS_MAX)
        return -ENOSPC;
    for (size_t i = 0; i < jval_count(list); i++) {
        const struct json_value *v = jval_at(list, i);
        struct mon_cluster *c = &t->clusters[t->cluster_count];
        int64_t number = take_figure(v, "number");
        if (number < 0 || number > INT32_MAX)
            return -EPROTO;
        *c = (struct mon_cluster){ .number = (uint32_t)number,
                                   .is_own = jval_true(jval_in(v, "is_own")) };
        take_words(jval_in(v, "name"), c->name, sizeof c->name);
        t->cluster_count++;
    }
    return 0;
}

/* The place of the cluster with this number; one that the list does not have is made. */
static int cluster_of(struct mon_table *t, int64_t number)
{
    for (size_t i = 0; i < t->cluster_count; i++)
        if (t->clusters[i].number == number)
            return (int)i;
    if (t->cluster_count == MON_CLUSTERS_MAX || number < 0 || number > INT32_MAX)
        return -1;
    t->clusters[t->cluster_count] =
        (struct mon_cluster){ .name = "?", .number = (uint32_t)number };
    return (int)t->cluster_count++;
}

static enum mon_state state_of(const char *words)
{
    for (unsigned i = 0; words && i < MON_STATES; i++)
        if (strcmp(words, mon_state_names[i]) == 0)
            return (enum mon_state)i;
    return MON_NEVER;
}

static int take_node(const struct json_value *v, struct mon_table *t)
{
    static const char *const keys[MON_FIGURES] = {
#define FIGURE(name, metric, kind, help) #name,
#include "gossip/monitor/core/figures.def"
#undef FIGURE
    };
    struct mon_node *n = &t->nodes[t->count];
    int64_t number = take_figure(v, "number");
    int cluster = cluster_of(t, take_figure(v, "cluster"));
    if (number < 0 || number > MON_NODES_MAX || cluster < 0)
        return -EPROTO;
    n->number = (uint32_t)number;
    n->cluster = (uint16_t)cluster;
    n->state = (uint8_t)state_of(jval_words(jval_in(v, "state")));
    n->is_self = jval_true(jval_in(v, "is_self"));
    n->is_certified = jval_true(jval_in(v, "is_certified"));
    n->is_revoked = jval_true(jval_in(v, "is_revoked"));
    n->is_blocked = jval_true(jval_in(v, "is_blocked"));
    take_words(jval_in(v, "name"), n->name, sizeof n->name);
    take_words(jval_in(v, "address"), n->address, sizeof n->address);
    take_words(jval_in(v, "kernel"), n->kernel, sizeof n->kernel);
    take_words(jval_in(v, "version"), n->version, sizeof n->version);
    for (unsigned i = 0; i < MON_FIGURES; i++)
        n->figures[i] = take_figure(v, keys[i]);
    if (n->figures[MON_swap_used_pct] > 100)
        n->figures[MON_swap_used_pct] = 100;
    t->count++;
    return 0;
}

/* ---- where the list of nodes is ---- */

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* Behind the text that begins at p; end if it has none. */
static const char *skip_text(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        p += *p == '\\';
    return p < end ? p + 1 : end;
}

/* Behind the object or list that begins at p; NULL if it has no end. Whether it is a right one
 * is seen by who takes it apart. */
static const char *skip_value(const char *p, const char *end)
{
    size_t depth = 0;
    while (p < end) {
        if (*p == '"') {
            p = skip_text(p, end);
            continue;
        }
        depth += *p == '{' || *p == '[';
        if ((*p == '}' || *p == ']') && --depth == 0)
            return p + 1;
        p++;
    }
    return NULL;
}

/* The first list that is called "nodes" in the outermost object: from first to last, without
 * its brackets. */
static bool find_nodes(const char *p, const char *end, const char **first, const char **last)
{
    static const char name[] = "\"nodes\"";
    size_t depth = 0;
    while (p < end) {
        if (*p != '"') {
            depth += *p == '{' || *p == '[';
            depth -= (*p == '}' || *p == ']') && depth;
            p++;
            continue;
        }
        const char *begin = p;
        p = skip_text(p, end);
        if (depth != 1 || p - begin != sizeof name - 1 ||
            memcmp(begin, name, sizeof name - 1) != 0)
            continue;
        const char *colon = skip_space(p, end);
        const char *list = colon < end && *colon == ':' ? skip_space(colon + 1, end) : end;
        const char *behind = list < end && *list == '[' ? skip_value(list, end) : NULL;
        if (!behind)
            continue;
        *first = list + 1;
        *last = behind - 1;
        return true;
    }
    return false;
}

/* ---- a little at a time ---- */

static int table_error(int rc, struct err *e)
{
    return err_say(e, -rc,
                   rc == -ENOSPC   ? "mosixd knows more nodes than can be shown"
                   : rc == -ENOMEM ? "no memory"
                                   : "mosixd's answer makes no sense");
}

static int take_head(const struct json_value *top, struct mon_table *t)
{
    const char *mode = jval_words(jval_in(top, "mode"));
    t->time_s = take_figure(top, "time_s");
    t->self = (uint32_t)take_figure(top, "self");
    t->is_static = mode && strcmp(mode, "static") == 0;
    return take_clusters(jval_in(top, "clusters"), t);
}

static int make_room(struct mon_reading *r)
{
    struct mon_table *t = r->table;
    if (t->count < r->room)
        return 0;
    if (r->room >= MON_NODES_MAX)
        return -ENOSPC;
    size_t room = r->room ? 2 * r->room : 64;
    room = room < MON_NODES_MAX ? room : MON_NODES_MAX;
    struct mon_node *nodes = realloc(t->nodes, room * sizeof *nodes);
    if (!nodes)
        return -ENOMEM;
    memset(nodes + r->room, 0, (room - r->room) * sizeof *nodes);
    t->nodes = nodes;
    r->room = room;
    return 0;
}

/* One of the list, and the comma behind it. */
static int next_node(struct mon_reading *r)
{
    struct json_value *v;
    const char *behind = *r->at == '{' ? skip_value(r->at, r->last) : NULL;
    int rc = behind ? make_room(r) : -EPROTO;
    if (rc == 0 && jval_read(r->at, (size_t)(behind - r->at), &v, NULL) < 0)
        rc = -EPROTO;
    if (rc < 0)
        return rc;
    rc = take_node(v, r->table);
    jval_drop(v);
    r->at = skip_space(behind, r->last);
    if (rc < 0 || r->at == r->last)
        return rc;
    if (*r->at != ',')
        return -EPROTO;
    r->at = skip_space(r->at + 1, r->last);
    return r->at < r->last ? 0 : -EPROTO;
}

void mon_reading_drop(struct mon_reading *r)
{
    if (r->table)
        mon_table_fini(r->table);
    free(r->table);
    *r = (struct mon_reading){ 0 };
}

int mon_reading_begin(struct mon_reading *r, const char *answer, size_t len_bytes,
                      struct err *e)
{
    struct json_value *top;
    const char *end = answer + len_bytes, *first = end, *last = end;
    char *rest = NULL;
    *r = (struct mon_reading){ .table = calloc(1, sizeof *r->table) };
    if (!r->table)
        return table_error(-ENOMEM, e);
    if (len_bytes <= MON_ANSWER_MAX && find_nodes(answer, end, &first, &last)) {
        size_t before = (size_t)(first - answer), after = (size_t)(end - last);
        rest = malloc(before + after);
        if (!rest) {
            mon_reading_drop(r);
            return table_error(-ENOMEM, e);
        }
        memcpy(rest, answer, before);
        memcpy(rest + before, last, after);
        len_bytes = before + after;
    }
    int rc = open_answer(rest ? rest : answer, len_bytes, "status", &top, e);
    free(rest);
    if (rc == 0) {
        rc = take_head(top, r->table);
        jval_drop(top);
        if (rc < 0)
            (void)table_error(rc, e);
    }
    r->at = skip_space(first, last);
    r->last = last;
    if (rc < 0)
        mon_reading_drop(r);
    return rc;
}

int mon_reading_go(struct mon_reading *r, size_t nodes, struct mon_table *out, struct err *e)
{
    int rc = 0;
    for (; rc == 0 && nodes && r->at < r->last; nodes--)
        rc = next_node(r);
    if (rc == 0 && r->at < r->last)
        return 1;
    if (rc == 0 && !r->table->nodes)
        rc = make_room(r);
    if (rc == 0) {
        mon_count_states(r->table);
        *out = *r->table;
        *r->table = (struct mon_table){ 0 };
    }
    mon_reading_drop(r);
    return rc < 0 ? table_error(rc, e) : 0;
}

int mon_decode_status(const char *answer, size_t len_bytes, struct mon_table *out,
                      struct err *e)
{
    struct mon_reading r;
    int rc = mon_reading_begin(&r, answer, len_bytes, e);
    return rc < 0 ? rc : mon_reading_go(&r, SIZE_MAX, out, e);
}

/* ---- processes ---- */

static void take_processes(const struct json_value *list, bool are_guests,
                           struct mon_processes *p)
{
    for (size_t i = 0; i < jval_count(list); i++) {
        const struct json_value *v = jval_at(list, i);
        if (p->count == MON_PROCESSES_MAX) {
            p->is_cut = true;
            return;
        }
        struct mon_process *q = &p->list[p->count++];
        q->is_guest = are_guests;
        q->pid = take_figure(v, "pid");
        q->job = take_figure(v, "job");
        q->uid = take_figure(v, "uid");
        q->moves = take_figure(v, "moves");
        q->other_pid = take_figure(v, "home_pid");
        take_words(jval_in(v, "command"), q->command, sizeof q->command);
        take_words(jval_in(v, are_guests ? "home_name" : "where_name"), q->where_name,
                   sizeof q->where_name);
        take_words(jval_in(v, "phase"), q->phase, sizeof q->phase);
        take_words(jval_in(v, "why"), q->why, sizeof q->why);
    }
}

int mon_decode_processes(const char *answer, size_t len_bytes, struct mon_processes *out,
                         struct err *e)
{
    struct json_value *top;
    int rc = open_answer(answer, len_bytes, "processes", &top, e);
    if (rc < 0)
        return rc;
    size_t count = jval_count(jval_in(top, "jobs")) + jval_count(jval_in(top, "guests"));
    struct mon_processes p = { .list = calloc(count < MON_PROCESSES_MAX ? count + 1
                                                                        : MON_PROCESSES_MAX,
                                              sizeof *p.list) };
    if (p.list) {
        take_processes(jval_in(top, "jobs"), false, &p);
        take_processes(jval_in(top, "guests"), true, &p);
        *out = p;
    }
    jval_drop(top);
    return p.list ? 0 : -ENOMEM;
}

/* ---- local ---- */

int mon_decode_local(const char *answer, size_t len_bytes, struct mon_local *out, struct err *e)
{
    static const char *const keys[MON_COUNTERS] = {
#define COUNTER(name, metric, label, help) #name,
#include "gossip/monitor/core/counters.def"
#undef COUNTER
    };
    struct json_value *top;
    int rc = open_answer(answer, len_bytes, "local", &top, e);
    if (rc < 0)
        return rc;
    struct mon_local l = { .is_known = true };
    for (unsigned i = 0; i < MON_COUNTERS; i++)
        l.counters[i] = take_figure(jval_in(top, "gossip"), keys[i]);
    take_words(jval_in(jval_in(top, "config"), "error"), l.config_error, sizeof l.config_error);
    jval_drop(top);
    *out = l;
    return 0;
}
