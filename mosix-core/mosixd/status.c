/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status.c: what docs/control.md describes.
 * Must not know: how jobs move. Who may: looking, everybody; giving epochs and revocations,
 * root and the daemon's user (they are the owner's by their signature, whoever brings them). */
#include "mosix-core/mosixd/status.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mosix-core/mosixd/admit.h"
#include "mosix-core/mosixd/answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct asked {
    const struct mx_daemon *d;
    const struct ucred *who;
    struct mx_answer a;
};

static void begin(struct asked *q, const char *kind)
{
    mx_answer_open(&q->a, NULL, '{');
    mx_answer_text(&q->a, "schema", "mosix/1");
    mx_answer_text(&q->a, "kind", kind);
}

static int64_t now_s(void)
{
    return clock_wall_ms() / 1000;
}

/* ---- nodes ---- */

/* The figures of others, as they are told. */
static void put_told(struct mx_answer *a, const struct mx_known *k)
{
    bool has = k->age_ms >= 0, about = k->has_about;
    struct mx_flags f = mx_flags_get(k->facts.flags);
    mx_answer_maybe(a, "load_centi", has, k->facts.load);
    mx_answer_maybe(a, "load_raw_centi", has && about,
                    mx_load_raw(k->facts.load, k->about.speed));
    mx_answer_maybe(a, "speed", about, k->about.speed);
    mx_answer_maybe(a, "cores", about, k->about.cores);
    mx_answer_maybe(a, "idle_cores", has, k->facts.idle_cores);
    mx_answer_maybe(a, "memory_mb", about, k->about.memory_mb);
    mx_answer_maybe(a, "memory_free_mb", has,
                    (int64_t)k->facts.free_memory * MX_MEMORY_STEP_MB);
    mx_answer_maybe(a, "swap_mb", about, k->about.swap_mb);
    mx_answer_maybe(a, "swap_used_pct", has, f.swap_eighths * 100 / 8);
    mx_answer_null(a, "psi_cpu_pct");
    mx_answer_maybe(a, "psi_memory_pct", has, mx_psi_least_pct(f.psi_class));
    mx_answer_maybe(a, "guests", has, k->facts.guests);
    mx_answer_maybe(a, "guests_max", about && k->about.guests_max, k->about.guests_max);
    mx_answer_maybe(a, "frozen", has, f.is_freezing);
    if (has)
        mx_answer_bool(a, "is_blocked", f.is_blocked);
    else
        mx_answer_null(a, "is_blocked");
}

static void put_own(struct mx_answer *a, const struct mx_cluster *c)
{
    const struct mx_readings *r = &c->readings;
    const struct mx_memory *m = &r->memory;
    mx_answer_number(a, "load_centi", mx_load_normal(r->load.told, r->about.speed));
    mx_answer_number(a, "load_raw_centi", r->load.told);
    mx_answer_number(a, "speed", r->about.speed);
    mx_answer_number(a, "cores", r->about.cores);
    mx_answer_number(a, "idle_cores", r->idle_cores);
    mx_answer_number(a, "memory_mb", (int64_t)(m->total_kb >> 10));
    mx_answer_number(a, "memory_free_mb", (int64_t)(m->available_kb >> 10));
    mx_answer_number(a, "swap_mb", (int64_t)(m->swap_kb >> 10));
    mx_answer_number(a, "swap_used_pct",
                     m->swap_kb ? (int64_t)((m->swap_kb - m->swap_free_kb) * 100 / m->swap_kb)
                                : 0);
    mx_answer_maybe(a, "psi_cpu_pct", r->psi[MX_PSI_CPU].has_some,
                    r->psi[MX_PSI_CPU].some_centi / 100);
    mx_answer_maybe(a, "psi_memory_pct", r->psi[MX_PSI_MEMORY].has_some,
                    r->psi[MX_PSI_MEMORY].some_centi / 100);
    mx_answer_number(a, "guests", c->guests);
    mx_answer_number(a, "guests_max", c->rules.maxguests);
    mx_answer_number(a, "frozen", c->frozen);
    mx_answer_bool(a, "is_blocked", mx_admit_is_shut(c));
}

static void put_node(struct mx_answer *a, const char *key, const struct mx_daemon *d, int node,
                     const struct mx_known *k)
{
    const struct mx_node *n = &d->nodes.list[node];
    mx_answer_open(a, key, '{');
    mx_answer_number(a, "number", n->number);
    mx_answer_text(a, "name", n->name);
    mx_answer_text(a, "address", n->address);
    mx_answer_number(a, "port", n->port);
    mx_answer_number(a, "cluster", n->cluster);
    mx_answer_bool(a, "is_self", node == d->self);
    mx_answer_text(a, "state", gsp_state_text(k->state));
    mx_answer_maybe(a, "since_ms", k->since_ms >= 0, k->since_ms);
    mx_answer_bool(a, "is_certified", k->is_certified);
    mx_answer_bool(a, "is_revoked", k->is_revoked);
    mx_answer_maybe(a, "age_ms", k->age_ms >= 0, k->age_ms);
    if (node == d->self)
        put_own(a, d->cluster);
    else
        put_told(a, k);
    mx_answer_maybe(a, "life", k->life, k->life);
    mx_answer_text(a, "kernel", k->has_about ? k->about.kernel : NULL);
    mx_answer_maybe(a, "cpu_level", k->has_about, k->about.cpu_level);
    mx_answer_text(a, "version", k->has_about ? k->about.version : NULL);
    mx_answer_text(a, "partition",
                   n->partition ? d->nodes.partitions[n->partition - 1].name : NULL);
    mx_answer_close(a, '}');
}

static void put_clusters(struct asked *q, unsigned counts[256][GSP_STATES])
{
    const struct mx_nodes *n = &q->d->nodes;
    mx_answer_open(&q->a, "clusters", '[');
    for (unsigned i = 0; i < n->cluster_count; i++) {
        const struct mx_cluster_entry *c = &n->clusters[i];
        mx_answer_open(&q->a, NULL, '{');
        mx_answer_number(&q->a, "number", c->number);
        mx_answer_text(&q->a, "name", c->name);
        bool is_own = c->number == n->list[q->d->self].cluster;
        mx_answer_bool(&q->a, "is_own", is_own);
        mx_answer_bool(&q->a, "is_taken", c->takes);
        mx_answer_bool(&q->a, "is_gone_to", c->goes);
        mx_answer_maybe(&q->a, "priority", !is_own && c->takes, c->rank);
        for (unsigned state = 0; state < GSP_STATES; state++)
            mx_answer_number(&q->a, gsp_state_text(state), counts[c->number][state]);
        mx_answer_close(&q->a, '}');
    }
    mx_answer_close(&q->a, ']');
}

static int do_status(struct asked *q, const char *rest UNUSED, struct err *e UNUSED)
{
    static unsigned counts[256][GSP_STATES];
    const struct mx_nodes *n = &q->d->nodes;
    struct mx_known k;
    bool is_whole = true;
    for (unsigned i = 0; i < n->count; i++) {
        mx_cluster_look(q->d->cluster, (int)i, &k);
        counts[n->list[i].cluster][k.state]++;
        is_whole &= k.state == GSP_ALIVE || k.state == GSP_LEFT;
    }
    begin(q, "status");
    mx_answer_number(&q->a, "time_s", now_s());
    mx_answer_number(&q->a, "time_ms", clock_wall_ms());
    mx_answer_number(&q->a, "self", n->list[q->d->self].number);
    mx_answer_text(&q->a, "mode", q->d->id.has_cert ? "gossip" : "static");
    mx_answer_bool(&q->a, "is_whole", is_whole);
    put_clusters(q, counts);
    mx_answer_open(&q->a, "nodes", '[');
    for (unsigned i = 0; i < n->count; i++) {
        mx_cluster_look(q->d->cluster, (int)i, &k);
        put_node(&q->a, NULL, q->d, (int)i, &k);
    }
    mx_answer_close(&q->a, ']');
    mx_answer_close(&q->a, '}');
    return 0;
}

static int do_whois(struct asked *q, const char *rest, struct err *e)
{
    const struct mx_nodes *n = &q->d->nodes;
    struct mx_known k;
    int node = mx_nodes_find(n, rest);
    if (node < 0)
        return err_say(e, ENOENT, "no node is called %.80s", rest);
    const struct mx_cluster_entry *c = mx_nodes_cluster(n, n->list[node].cluster);
    mx_cluster_look(q->d->cluster, node, &k);
    begin(q, "whois");
    mx_answer_number(&q->a, "number", n->list[node].number);
    mx_answer_text(&q->a, "name", n->list[node].name);
    mx_answer_text(&q->a, "address", n->list[node].address);
    mx_answer_number(&q->a, "port", n->list[node].port);
    mx_answer_number(&q->a, "cluster", n->list[node].cluster);
    mx_answer_text(&q->a, "cluster_name", c ? c->name : NULL);
    mx_answer_text(&q->a, "state", gsp_state_text(k.state));
    mx_answer_bool(&q->a, "is_self", node == q->d->self);
    mx_answer_close(&q->a, '}');
    return 0;
}

/* ---- this node ---- */

static void put_gossip(struct mx_answer *a, const struct mx_cluster *c)
{
    if (!c->drive) {
        mx_answer_null(a, "gossip");
        mx_answer_null(a, "certificate");
        return;
    }
    const struct gsp_traffic *t = gsp_drive_traffic(c->drive);
    const struct gsp_seal *seal = gsp_drive_seal(c->drive);
    const struct gsp *g = gsp_drive_core(c->drive);
    const struct {
        const char *key;
        uint64_t value;
    } counts[] = {
        { "sent_datagrams", t->sent },
        { "sent_bytes", t->sent_bytes },
        { "received_datagrams", t->received },
        { "received_bytes", t->received_bytes },
        { "unsent", t->unsent },
        { "opened", seal->counts.opened },
        { "malformed", seal->counts.malformed },
        { "unknown", seal->counts.unknown },
        { "limited", seal->counts.limited },
        { "forged", seal->counts.forged },
        { "replayed", seal->counts.replayed },
        { "former_life", seal->counts.former_life },
        { "old_epoch", seal->counts.old_epoch },
        { "introduced", seal->counts.introduced },
        { "suspected", g->counts.suspected },
        { "died", g->counts.died },
        { "refuted", g->counts.refuted },
        { "wrong", g->counts.wrong },
        { "epoch", seal->epochs[0].number },
        { "health", g->health },
    };
    mx_answer_open(a, "gossip", '{');
    for (unsigned i = 0; i < ARRAY_LEN(counts); i++)
        mx_answer_number(a, counts[i].key, (int64_t)counts[i].value);
    mx_answer_close(a, '}');
    mx_answer_open(a, "certificate", '{');
    mx_answer_number(a, "serial", c->cert.serial);
    mx_answer_number(a, "expires_s", c->cert.expires_s);
    mx_answer_close(a, '}');
}

static void put_psi(struct mx_answer *a, const struct mx_readings *r)
{
    const struct mx_psi *cpu = &r->psi[MX_PSI_CPU], *memory = &r->psi[MX_PSI_MEMORY],
                        *io = &r->psi[MX_PSI_IO];
    if (!r->has_psi) {
        mx_answer_null(a, "psi");
        return;
    }
    mx_answer_open(a, "psi", '{');
    mx_answer_maybe(a, "cpu_some_centi", cpu->has_some, cpu->some_centi);
    mx_answer_maybe(a, "memory_some_centi", memory->has_some, memory->some_centi);
    mx_answer_maybe(a, "memory_full_centi", memory->has_full, memory->full_centi);
    mx_answer_maybe(a, "io_some_centi", io->has_some, io->some_centi);
    mx_answer_maybe(a, "io_full_centi", io->has_full, io->full_centi);
    mx_answer_close(a, '}');
}

/* Of the daemon, whose child this is: memory and time of the process itself. */
static void put_process(struct mx_answer *a, const struct mx_cluster *c)
{
    char path[40], text[1024];
    struct err e = { "" };
    unsigned long pages = 0, user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)getppid());
    if (gsp_file_read(path, false, text, sizeof text, &e) > 0 &&
        sscanf(text, "%*u %lu", &pages) != 1)
        pages = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)getppid());
    if (gsp_file_read(path, false, text, sizeof text, &e) > 0) {
        const char *end = strrchr(text, ')');
        if (!end || sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                           &user, &system) != 2)
            user = system = 0;
    }
    mx_answer_number(a, "uptime_s", ((int64_t)clock_mono_ms() - c->started_ms) / 1000);
    mx_answer_number(a, "rss_mb",
                     (int64_t)(pages * (unsigned long)sysconf(_SC_PAGESIZE) >> 20));
    mx_answer_number(a, "cpu_ms",
                     (int64_t)((user + system) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK)));
}

/* What was said of this node. */
static void put_rules(struct mx_answer *a, const struct mx_cluster *c)
{
    const char *name;
    mx_answer_open(a, "rules", '{');
    for (unsigned i = 0; (name = mx_rules_name(i)); i++)
        mx_answer_number(a, name, mx_rules_value(&c->rules, i));
    mx_answer_close(a, '}');
    mx_answer_number(a, "guests_of_partners", c->partner_guests);
}

static int do_local(struct asked *q, const char *rest UNUSED, struct err *e UNUSED)
{
    const struct mx_cluster *c = q->d->cluster;
    const struct mx_readings *r = &c->readings;
    struct mx_answer *a = &q->a;
    struct mx_known k;
    char map[MX_PATH_MAX + 16];
    mx_cluster_look(c, q->d->self, &k);
    begin(q, "local");
    mx_answer_number(a, "time_s", now_s());
    put_node(a, "node", q->d, q->d->self, &k);
    mx_answer_open(a, "load", '{');
    mx_answer_number(a, "own_centi", mx_load_normal(r->load.own, r->about.speed));
    mx_answer_number(a, "told_centi", mx_load_normal(r->load.told, r->about.speed));
    mx_answer_number(a, "runnable_centi", r->runnable_centi);
    mx_answer_number(a, "one_min_centi", r->one_min_centi);
    mx_answer_close(a, '}');
    mx_answer_open(a, "memory", '{');
    mx_answer_number(a, "total_mb", (int64_t)(r->memory.total_kb >> 10));
    mx_answer_number(a, "available_mb", (int64_t)(r->memory.available_kb >> 10));
    mx_answer_number(a, "swap_mb", (int64_t)(r->memory.swap_kb >> 10));
    mx_answer_number(a, "swap_free_mb", (int64_t)(r->memory.swap_free_kb >> 10));
    mx_answer_close(a, '}');
    put_psi(a, r);
    put_rules(a, c);
    put_gossip(a, c);
    snprintf(map, sizeof map, "%s/%s", c->config, q->d->id.has_cert ? "mosix.map" : "nodes");
    mx_answer_open(a, "config", '{');
    mx_answer_text(a, "map", map);
    mx_answer_number(a, "read_s", c->read_s);
    mx_answer_text(a, "error", c->problem[0] ? c->problem : NULL);
    mx_answer_close(a, '}');
    mx_answer_number(a, "children", c->children);
    put_process(a, c);
    mx_answer_close(a, '}');
    return 0;
}

/* ---- processes ---- */

/* A line of the list: pid, uid, job, command, where, phase, moves, why. */
static void put_job(struct asked *q, const char *line)
{
    int pid;
    unsigned uid, job, moves;
    char command[32], where[80], phase[32], why[256];
    if (sscanf(line, "%d\t%u\t%u\t%31[^\t]\t%79[^\t]\t%31[^\t]\t%u\t%255[^\t\n]", &pid, &uid,
               &job, command, where, phase, &moves, why) != 8)
        return;
    bool is_home = strcmp(where, "home") == 0;
    int node = is_home ? -1 : mx_nodes_find(&q->d->nodes, where);
    mx_answer_open(&q->a, NULL, '{');
    mx_answer_number(&q->a, "pid", pid);
    mx_answer_number(&q->a, "uid", uid);
    mx_answer_number(&q->a, "job", job);
    mx_answer_text(&q->a, "command", command);
    mx_answer_maybe(&q->a, "where", is_home || node >= 0,
                    is_home     ? 0
                    : node >= 0 ? q->d->nodes.list[node].number
                                : 0);
    mx_answer_text(&q->a, "where_name", where);
    mx_answer_text(&q->a, "phase", phase);
    mx_answer_number(&q->a, "moves", moves);
    mx_answer_text(&q->a, "why", strcmp(why, "-") == 0 ? NULL : why);
    mx_answer_close(&q->a, '}');
}

static void put_guest(struct asked *q, const struct mx_guest_entry *g)
{
    const struct mx_nodes *n = &q->d->nodes;
    int node = g->home ? mx_nodes_number(n, g->home) : mx_nodes_find(n, g->home_name);
    mx_answer_open(&q->a, NULL, '{');
    mx_answer_number(&q->a, "pid", g->pid);
    mx_answer_maybe(&q->a, "home", node >= 0, node >= 0 ? n->list[node].number : 0);
    mx_answer_text(&q->a, "home_name", g->home_name);
    mx_answer_number(&q->a, "home_pid", g->home_pid);
    mx_answer_text(&q->a, "command", g->command);
    mx_answer_number(&q->a, "priority", g->rank);
    mx_answer_bool(&q->a, "is_leaving", g->left_ms != 0);
    mx_answer_close(&q->a, '}');
}

/* As anybody may ask for it. */
static int list_jobs(const struct mx_daemon *d, char *list, struct err *e)
{
    char path[MX_RUN_MAX + 16];
    AUTO_FD sock = -1;
    snprintf(path, sizeof path, "%s/control", d->run);
    int rc = mx_connect(path, SOCK_STREAM, &sock, e);
    if (rc == 0)
        rc = mx_ask(sock, "list\n", list, MX_LISTING_MAX, e);
    return rc < 0 ? rc : 0;
}

static int do_processes(struct asked *q, const char *rest UNUSED, struct err *e)
{
    AUTO_FREE char *list = malloc(MX_LISTING_MAX);
    struct mx_guests guests;
    int rc = list ? list_jobs(q->d, list, e) : err_set(e, ENOMEM, "list jobs");
    if (rc == 0)
        rc = mx_guests_open(&guests, q->d->run, true, e);
    if (rc < 0)
        return rc;
    mx_guests_close(&guests);
    begin(q, "processes");
    mx_answer_number(&q->a, "time_s", now_s());
    mx_answer_number(&q->a, "self", q->d->nodes.list[q->d->self].number);
    mx_answer_open(&q->a, "jobs", '[');
    for (char *line = list, *next; (next = strchr(line, '\n')); line = next + 1) {
        *next = 0;
        put_job(q, line);
    }
    mx_answer_close(&q->a, ']');
    mx_answer_open(&q->a, "guests", '[');
    for (unsigned i = 0; i < guests.count; i++)
        put_guest(q, &guests.list[i]);
    mx_answer_close(&q->a, ']');
    mx_answer_close(&q->a, '}');
    return 0;
}

/* ---- what the owner gives ---- */

static int do_take(struct asked *q, const char *rest, struct err *e)
{
    uint8_t note[GSP_RECORD_FILE_MAX];
    size_t len = strlen(rest) / 2;
    if (q->who->uid != 0 && q->who->uid != geteuid())
        return err_say(e, EPERM, "only root and the daemon's user may give it that");
    if (len > sizeof note || gsp_hex_get(rest, strlen(rest), note, len) < 0)
        return err_say(e, EINVAL, "should be hexadecimal digits");
    /* Here in a copy, to have an answer; then by the daemon itself. */
    int rc = mx_cluster_check(q->d->cluster, note, len, e);
    if (rc == 0 && send(q->d->notes, note, len, MSG_NOSIGNAL) < 0)
        rc = err_set(e, errno, "give it to the daemon");
    crypto_wipe(note, sizeof note);
    if (rc < 0)
        return rc;
    begin(q, "take");
    mx_answer_bool(&q->a, "is_new", rc == 0);
    mx_answer_close(&q->a, '}');
    return 0;
}

static int do_reload(struct asked *q, const char *rest UNUSED, struct err *e)
{
    if (q->who->uid != 0 && q->who->uid != geteuid())
        return err_say(e, EPERM, "only root and the daemon's user may have it reload");
    int rc = mx_cluster_try_reload(q->d->cluster, e);
    /* Also what is wrong: the daemon then says so to whoever looks later. */
    static const char note = MX_NOTE_CONFIGURATION;
    if (send(q->d->notes, &note, 1, MSG_NOSIGNAL) < 0 && rc == 0)
        rc = err_set(e, errno, "give it to the daemon");
    if (rc < 0)
        return rc;
    begin(q, "reload");
    mx_answer_number(&q->a, "nodes", q->d->nodes.count);
    mx_answer_close(&q->a, '}');
    return 0;
}

/* ---- */

static const struct {
    const char *word;
    int (*fn)(struct asked *q, const char *rest, struct err *e);
} requests[] = {
    { "status", do_status },       { "local", do_local }, { "whois", do_whois },
    { "processes", do_processes }, { "take", do_take },   { "reload", do_reload },
};

bool mx_status(const struct mx_daemon *d, const struct ucred *who, const char *line, int fd)
{
    size_t len = strcspn(line, " ");
    struct asked q = { .d = d, .who = who, .a = { .max_bytes = MX_STATUS_MAX } };
    struct err e = { "" };
    unsigned i = 0;
    while (i < ARRAY_LEN(requests) &&
           (strlen(requests[i].word) != len || strncmp(line, requests[i].word, len) != 0))
        i++;
    if (i == ARRAY_LEN(requests))
        return false;
    int rc = requests[i].fn(&q, line[len] ? line + len + 1 : "", &e);
    if (rc == 0 && q.a.is_full)
        rc = err_say(&e, EFBIG, "the answer is longer than %d bytes", MX_STATUS_MAX);
    char text[300];
    int words = snprintf(text, sizeof text, "error %s\n", e.text);
    if (rc < 0)
        rc = fd_write_full(fd, text, (size_t)words);
    else if ((rc = fd_write_full(fd, q.a.ptr, q.a.len_bytes)) == 0)
        rc = fd_write_full(fd, "\n", 1);
    if (rc < 0)
        log_at(LOG_VERBOSE, "who has asked is gone");
    free(q.a.ptr);
    return true;
}
