/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cluster.c: the daemon's side of the gossip: keys from files, what is kept on the disk,
 * figures each second, what changes of the others. Must not know: jobs, requests. */
#include "mosix-core/mosixd/admit.h"
#include "mosix-core/mosixd/mosixd.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void path_in(char out[MX_PATH_MAX], const char *folder, const char *name)
{
    snprintf(out, MX_PATH_MAX, "%.220s/%.30s", folder, name);
}

/* ---- what is kept ---- */

/* Two numbers that only grow: our life, and that of what we say of ourselves. */
static int keep_numbers(struct mx_cluster *c, struct err *e)
{
    char path[MX_PATH_MAX], text[64];
    path_in(path, c->state, "life");
    int n = snprintf(text, sizeof text, "%u %u\n", c->life, c->about_number >> 8);
    return gsp_file_replace(path, 0600, false, text, (size_t)n, e);
}

/* A life is the calendar's second, or one more than the last if that is not less. A file that
 * is lost is no harm: the others say what is needed. */
static int begin_life(struct mx_cluster *c, struct err *e)
{
    char path[MX_PATH_MAX], text[64];
    unsigned life = 0, about = 0;
    struct err why = { "" };
    int64_t now_s = clock_wall_ms() / 1000;
    path_in(path, c->state, "life");
    int rc = gsp_file_read(path, false, text, sizeof text, &why);
    if (rc >= 0 && sscanf(text, "%u %u", &life, &about) != 2)
        log_warn("%s is no file of mosixd's: this life begins by the calendar", path);
    c->life = now_s > life ? (uint32_t)now_s : life + 1;
    /* In case that the disk was lost: by the calendar, in steps of 64 s since 2026. */
    uint32_t least = now_s > 1767225600 ? (uint32_t)((now_s - 1767225600) / 64) : 0;
    about = about + 1 > least ? about + 1 : least;
    c->about_number = about << 8 | c->cert.cluster;
    return keep_numbers(c, e);
}

static int on_keep_life(void *ctx, uint32_t life)
{
    struct mx_cluster *c = ctx;
    struct err e = { "" };
    uint32_t before = c->life;
    c->life = life;
    int rc = keep_numbers(c, &e);
    if (rc < 0) {
        c->life = before;
        log_error("a greater life can't be kept: %s", e.text);
    } else {
        log_warn("others knew a later life of this node: it goes on in life %u", life);
    }
    return rc;
}

static void on_keep_epoch(void *ctx, const uint8_t body[GSP_EPOCH_BODY_BYTES])
{
    struct mx_cluster *c = ctx;
    char path[MX_PATH_MAX];
    struct err e = { "" };
    path_in(path, c->state, "epoch");
    if (gsp_keyfile_write(path, GSP_FILE_EPOCH, body, 1, false, &e) < 0)
        log_error("the new epoch is used, but can't be kept: %s", e.text);
    else
        log_at(LOG_NORMAL, "epoch %u of the cluster's keys is in use", body[0]);
}

static void mark_revoked(struct mx_cluster *c, const uint8_t *body)
{
    struct gsp_revoke v;
    if (gsp_revoke_open(body, GSP_REVOKE_BYTES, c->d->id.owner, &v) < 0)
        return;
    int node = mx_nodes_number(&c->d->nodes, v.node);
    if (node >= 0 && v.serial > c->d->nodes.list[node].revoked)
        c->d->nodes.list[node].revoked = v.serial;
}

static void on_keep_revocation(void *ctx, const uint8_t body[GSP_REVOKE_BYTES])
{
    struct mx_cluster *c = ctx;
    struct gsp_revoke v;
    char path[MX_PATH_MAX];
    struct err e = { "" };
    if (c->revoked_count == GSP_REVOKED_MAX ||
        gsp_revoke_open(body, GSP_REVOKE_BYTES, c->d->id.owner, &v) < 0)
        return;
    memcpy(c->revoked[c->revoked_count++], body, GSP_REVOKE_BYTES);
    mark_revoked(c, body);
    path_in(path, c->state, "revoked");
    if (gsp_keyfile_write(path, GSP_FILE_REVOCATION, c->revoked[0], c->revoked_count, false,
                          &e) < 0)
        log_error("a revocation is heeded, but can't be kept: %s", e.text);
    log_at(LOG_NORMAL, "the owner has revoked node %u, up to certificate %u", v.node, v.serial);
    if (v.node == c->cert.node && v.serial >= c->cert.serial)
        log_error("this node itself is revoked: the others no longer hear it");
}

/* ---- configuration ---- */

static bool is_there(const char *folder, const char *name)
{
    char path[MX_PATH_MAX];
    path_in(path, folder, name);
    return access(path, F_OK) == 0;
}

static int read_static(struct mx_cluster *c, const char *node, struct err *e)
{
    char path[MX_PATH_MAX], name[256] = "";
    path_in(path, c->config, "nodes");
    int rc = mx_nodes_read(&c->d->nodes, path, e);
    path_in(path, c->config, "key");
    if (rc == 0)
        rc = mx_key_read(c->d->id.key, path, e);
    if (rc < 0)
        return rc;
    if (!node && gethostname(name, sizeof name - 1) < 0)
        return err_set(e, errno, "ask for the host's name");
    c->d->self = mx_nodes_find(&c->d->nodes, node ? node : name);
    return c->d->self < 0 ? err_say(e, ENOENT, "no node is called %s in the map: use --node",
                                    node ? node : name)
                          : 0;
}

static int read_keys(struct mx_cluster *c, struct mx_identity *id, struct err *e)
{
    char path[MX_PATH_MAX];
    path_in(path, c->config, "owner.pub");
    int rc = gsp_keyfile_read_one(path, GSP_FILE_OWNER_PUBLIC, id->owner, e);
    path_in(path, c->config, "node.key");
    if (rc == 0)
        rc = gsp_keyfile_read_one(path, GSP_FILE_NODE, id->secret, e);
    path_in(path, c->config, "node.cert");
    if (rc == 0)
        rc = gsp_keyfile_read_one(path, GSP_FILE_CERTIFICATE, id->cert, e);
    id->has_cert = true;
    return rc;
}

/* The map, the partners and the partitions, with what is known of revocations. */
static int read_nodes(const struct mx_cluster *c, struct mx_nodes *n, int *self, struct err *e)
{
    char path[MX_PATH_MAX], partitions[MX_PATH_MAX];
    path_in(path, c->config, "mosix.map");
    int rc = mx_map_read(n, path, e);
    path_in(path, c->config, "partners");
    if (rc == 0)
        rc = mx_partners_read(n, path, e);
    if (rc < 0)
        return rc;
    path_in(path, c->config, "mosix.map");
    *self = mx_nodes_number(n, c->cert.node);
    if (*self < 0)
        return err_say(e, ENOENT, "%s has no node %u, which this node's certificate names",
                       path, c->cert.node);
    path_in(partitions, c->config, "partitions");
    rc = mx_partitions_read(n, partitions, *self, e);
    if (rc < 0)
        return rc;
    if (n->list[*self].cluster != c->cert.cluster)
        return err_say(e, EINVAL, "%s: node %u is in cluster %u, its certificate says %u", path,
                       c->cert.node, n->list[*self].cluster, c->cert.cluster);
    if (c->ids && n->list[n->count - 1].number >= c->ids)
        return err_say(e, ENOSPC,
                       "%s: number %u needs a new start of mosixd: now they are below %u", path,
                       n->list[n->count - 1].number, c->ids);
    for (unsigned i = 0; i < n->cluster_count; i++)
        if (n->clusters[i].number == c->cert.cluster)
            n->clusters[i].takes = n->clusters[i].goes = true;
    return 0;
}

static int make_state(struct mx_cluster *c, struct err *e)
{
    struct stat st;
    if ((mkdir(c->state, 0700) < 0 && errno != EEXIST) || lstat(c->state, &st) < 0)
        return err_set(e, errno, "make %s", c->state);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077)
        return err_say(e, EPERM, "%s is not a directory of ours alone: chmod 700 it", c->state);
    return 0;
}

/* The newer of the one that was given and the one that was heard of. */
static int read_epoch(const struct mx_cluster *c, uint8_t out[GSP_EPOCH_BODY_BYTES],
                      struct err *e)
{
    char path[MX_PATH_MAX];
    uint8_t kept[GSP_EPOCH_BODY_BYTES];
    path_in(path, c->config, "epoch");
    int rc = gsp_keyfile_read_one(path, GSP_FILE_EPOCH, out, e);
    if (rc < 0 || !is_there(c->state, "epoch"))
        return rc;
    path_in(path, c->state, "epoch");
    rc = gsp_keyfile_read_one(path, GSP_FILE_EPOCH, kept, e);
    if (rc == 0 && (int8_t)(uint8_t)(kept[0] - out[0]) > 0)
        memcpy(out, kept, sizeof kept);
    crypto_wipe(kept, sizeof kept);
    return rc;
}

static int read_revoked(struct mx_cluster *c, struct err *e)
{
    char path[MX_PATH_MAX];
    path_in(path, c->state, "revoked");
    int rc = is_there(c->state, "revoked") ? gsp_keyfile_read(path, GSP_FILE_REVOCATION,
                                                              GSP_REVOKED_MAX, c->revoked[0], e)
                                           : 0;
    if (rc < 0)
        return rc;
    c->revoked_count = (unsigned)rc;
    for (unsigned i = 0; i < c->revoked_count; i++)
        mark_revoked(c, c->revoked[i]);
    return 0;
}

static int read_certified(struct mx_cluster *c, const char *node, struct err *e)
{
    int rc = read_keys(c, &c->d->id, e);
    if (rc < 0)
        return rc;
    rc = gsp_cert_open(c->d->id.cert, sizeof c->d->id.cert, c->d->id.owner,
                       clock_wall_ms() / 1000, &c->cert);
    if (rc == -ETIME)
        return err_say(e, ETIME, "%s/node.cert has expired: certify the node anew", c->config);
    if (rc < 0)
        return err_say(e, EACCES, "%s/node.cert is not of the owner whose key is owner.pub",
                       c->config);
    rc = read_nodes(c, &c->d->nodes, &c->d->self, e);
    if (rc == 0 && node && mx_nodes_find(&c->d->nodes, node) != c->d->self)
        rc = err_say(e, EINVAL, "node %s is not the one that %s/node.cert is for", node,
                     c->config);
    if (rc == 0)
        rc = make_state(c, e);
    if (rc == 0)
        rc = read_revoked(c, e);
    return rc;
}

int mx_cluster_read(struct mx_cluster *c, struct mx_daemon *d, const char *config,
                    const char *state, const char *node, struct err *e)
{
    c->d = d;
    if (strlen(config) >= MX_PATH_MAX - 36 || (state && strlen(state) >= MX_PATH_MAX - 36))
        return err_say(e, ENAMETOOLONG, "the directory's name is too long");
    snprintf(c->config, sizeof c->config, "%s", config);
    if (state)
        snprintf(c->state, sizeof c->state, "%s", state);
    else
        path_in(c->state, config, "var");
    c->read_s = clock_wall_ms() / 1000;
    return is_there(config, "mosix.map") ? read_certified(c, node, e) : read_static(c, node, e);
}

/* ---- gossip ---- */

static void on_tell(void *ctx, const struct gsp_change *change)
{
    static const char *const words[GSP_STATES] = {
        [GSP_SUSPECT] = "does not answer", [GSP_DEAD] = "is dead", [GSP_LEFT] = "has left"
    };
    const struct mx_cluster *c = ctx;
    int node = mx_nodes_number(&c->d->nodes, change->node);
    if (node < 0 || change->was == GSP_UNKNOWN)
        return;
    const char *what = words[change->state];
    if (change->state == GSP_ALIVE)
        what = change->is_new_life ? "was started" : "is alive";
    log_at(change->state == GSP_SUSPECT ? LOG_VERBOSE : LOG_NORMAL, "node %s %s",
           c->d->nodes.list[node].name, what);
}

static void put_map(struct mx_cluster *c, const struct mx_nodes *n)
{
    for (unsigned i = 0; i < n->count; i++) {
        struct sockaddr_storage a;
        socklen_t len = mx_node_address(&n->list[i], &a);
        gsp_drive_map(c->drive, n->list[i].number, n->list[i].cluster, &a, len);
    }
}

static void tell_about(struct mx_cluster *c, bool is_first)
{
    uint8_t text[GSP_ABOUT_MAX];
    struct wr w = wr_of(text, sizeof text);
    struct err e = { "" };
    int64_t now_ms = (int64_t)clock_mono_ms();
    struct mx_about now = c->readings.about;
    now.guests_max = (uint16_t)c->rules.maxguests;
    /* What the administrator says is told at once. */
    if (!is_first && now.guests_max == c->told.guests_max &&
        (now_ms - c->told_ms < MX_ABOUT_MS ||
         (now.cores == c->told.cores && now.memory_mb == c->told.memory_mb &&
          now.swap_mb == c->told.swap_mb)))
        return;
    c->about_number += is_first ? 0 : 1 << 8;
    if (!is_first && keep_numbers(c, &e) < 0) {
        log_error("%s", e.text);
        return;
    }
    mx_about_put(&w, &now);
    gsp_drive_about(c->drive, c->about_number, text, wr_len(&w));
    c->told = now;
    c->told_ms = now_ms;
}

static void count_guests(struct mx_cluster *c)
{
    struct mx_guests g;
    struct err e = { "" };
    if (mx_guests_open(&g, c->run, false, &e) < 0) {
        log_at(LOG_VERBOSE, "guests are not counted now: %s", e.text);
        return;
    }
    c->guests = g.count;
    c->partner_guests = 0;
    for (unsigned i = 0; i < g.count; i++)
        c->partner_guests += g.list[i].is_partner;
    if (mx_guests_save(&g, &e) < 0)
        log_at(LOG_VERBOSE, "%s", e.text);
    mx_guests_close(&g);
}

static unsigned least(uint64_t a, unsigned most)
{
    return a < most ? (unsigned)a : most;
}

static struct gsp_facts facts_of(const struct mx_cluster *c)
{
    const struct mx_readings *r = &c->readings;
    uint64_t swap_used = r->memory.swap_kb - r->memory.swap_free_kb;
    struct mx_flags flags = { .psi_class = mx_psi_class(r->psi[MX_PSI_MEMORY].some_centi),
                              .swap_eighths = r->memory.swap_kb
                                                  ? least(swap_used * 8 / r->memory.swap_kb, 7)
                                                  : 0,
                              .is_blocked = mx_admit_is_shut(c),
                              .is_freezing = c->frozen != 0 };
    return (struct gsp_facts){
        .load = (uint16_t)least(mx_load_normal(r->load.told, r->about.speed), UINT16_MAX),
        .free_memory =
            (uint16_t)least((r->memory.available_kb >> 10) / MX_MEMORY_STEP_MB, UINT16_MAX),
        .idle_cores = (uint8_t)least(r->idle_cores, UINT8_MAX),
        .guests = (uint8_t)least(c->guests, UINT8_MAX),
        .flags = mx_flags_put(&flags)
    };
}

static void on_figures(void *ctx)
{
    struct mx_cluster *c = ctx;
    mx_readings_step(&c->readings);
    count_guests(c);
    c->frozen = mx_frost_count(c->d);
    if (c->drive) {
        struct gsp_facts f = facts_of(c);
        gsp_drive_facts(c->drive, &f);
        tell_about(c, false);
    }
    loop_timer_set(c->loop, &c->timer, MX_FIGURES_MS, on_figures, c);
}

static int start_gossip(struct mx_cluster *c, struct err *e)
{
    struct sockaddr_storage own;
    struct gsp_drive_opts o = { .loop = c->loop,
                                .tell = on_tell,
                                .keep_epoch = on_keep_epoch,
                                .keep_revocation = on_keep_revocation,
                                .keep_life = on_keep_life,
                                .ctx = c };
    int rc = begin_life(c, e);
    if (rc == 0)
        rc = read_epoch(c, o.epoch, e);
    if (rc < 0)
        return rc;
    unsigned ids = c->d->nodes.list[c->d->nodes.count - 1].number + 1 + MX_IDS_SPARE;
    o.ids = c->ids = ids < MX_NUMBER_MAX + 1 ? ids : MX_NUMBER_MAX + 1;
    o.life = c->life;
    memcpy(o.owner, c->d->id.owner, sizeof o.owner);
    memcpy(o.secret, c->d->id.secret, sizeof o.secret);
    memcpy(o.cert, c->d->id.cert, sizeof o.cert);
    rc = gsp_drive_new(&c->drive, &o, e);
    crypto_wipe(&o, sizeof o);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < c->revoked_count; i++)
        if (gsp_drive_revoke(c->drive, c->revoked[i], GSP_REVOKE_BYTES) < 0)
            log_error("%s/revoked, line %u: is not of this cluster's owner", c->state, i + 2);
    struct gsp_facts f = facts_of(c);
    gsp_drive_facts(c->drive, &f);
    tell_about(c, true);
    put_map(c, &c->d->nodes);
    socklen_t len = mx_node_address(&c->d->nodes.list[c->d->self], &own);
    return gsp_drive_start(c->drive, &own, len, e);
}

void mx_cluster_read_rules(struct mx_cluster *c)
{
    struct mx_rules rules;
    struct err e = { "" };
    if (mx_rules_read(&rules, c->rules_path, &e) < 0)
        log_error("what was said of this node stays as it was: %s", e.text);
    else
        c->rules = rules;
}

int mx_cluster_start(struct mx_cluster *c, struct loop *loop, const char *run, struct err *e)
{
    c->loop = loop;
    c->run = run;
    c->started_ms = (int64_t)clock_mono_ms();
    c->started_s = clock_wall_ms() / 1000;
    /* Of a static map nothing is kept: it is so until the computer is started anew. */
    path_in(c->rules_path, c->d->id.has_cert ? c->state : run, "rules");
    mx_rules_init(&c->rules);
    mx_cluster_read_rules(c);
    int rc = mx_readings_open(&c->readings, e);
    if (rc == 0 && c->d->id.has_cert)
        rc = start_gossip(c, e);
    if (rc == 0)
        loop_timer_set(loop, &c->timer, MX_FIGURES_MS, on_figures, c);
    return rc;
}

/* ---- a new configuration ---- */

/* Ours stays ours: another address of this node needs another socket. */
static int check_new(const struct mx_cluster *c, const struct mx_nodes *n, int self,
                     struct err *e)
{
    const struct mx_node *was = &c->d->nodes.list[c->d->self], *is = &n->list[self];
    if (strcmp(was->address, is->address) != 0 || was->port != is->port)
        return err_say(
            e, EINVAL,
            "%s/mosix.map: this node is now at %s port %u: that needs a new start of "
            "mosixd",
            c->config, is->address, is->port);
    return 0;
}

static void use_nodes(struct mx_cluster *c, const struct mx_nodes *n, int self)
{
    for (unsigned i = 0; i < c->d->nodes.count; i++)
        if (mx_nodes_number(n, c->d->nodes.list[i].number) < 0)
            gsp_drive_unmap(c->drive, c->d->nodes.list[i].number);
    memcpy(&c->d->nodes, n, sizeof *n);
    c->d->self = self;
    for (unsigned i = 0; i < c->revoked_count; i++)
        mark_revoked(c, c->revoked[i]);
    put_map(c, n);
}

/* All of it, checked; c is as before. *out: to be freed. */
static int read_new(const struct mx_cluster *c, struct mx_nodes **out, int *self,
                    uint8_t epoch[GSP_EPOCH_BODY_BYTES], struct err *e)
{
    if (!c->drive)
        return err_say(e, ENOTSUP, "a static map is read at the start only");
    AUTO_FREE struct mx_nodes *n = calloc(1, sizeof *n);
    int rc = n ? read_nodes(c, n, self, e) : err_set(e, ENOMEM, "read the map");
    if (rc == 0)
        rc = check_new(c, n, *self, e);
    if (rc == 0)
        rc = read_epoch(c, epoch, e);
    if (rc == 0)
        *out = take_ptr(&n);
    return rc;
}

int mx_cluster_try_reload(const struct mx_cluster *c, struct err *e)
{
    struct mx_nodes *n = NULL;
    int self;
    uint8_t epoch[GSP_EPOCH_BODY_BYTES];
    int rc = read_new(c, &n, &self, epoch, e);
    crypto_wipe(epoch, sizeof epoch);
    free(n);
    return rc;
}

void mx_cluster_reload(struct mx_cluster *c)
{
    struct err e = { "" };
    struct mx_nodes *n = NULL;
    int self = 0;
    uint8_t epoch[GSP_EPOCH_BODY_BYTES];
    int rc = read_new(c, &n, &self, epoch, &e);
    if (rc == 0) {
        rc = gsp_drive_epoch(c->drive, epoch, sizeof epoch);
        rc =
            rc < 0 ? err_say(&e, -rc, "%s/epoch is not of this cluster's owner", c->config) : 0;
    }
    crypto_wipe(epoch, sizeof epoch);
    snprintf(c->problem, sizeof c->problem, "%s", rc < 0 ? e.text : "");
    if (rc < 0) {
        log_error("the configuration stays as it was: %s", e.text);
    } else {
        use_nodes(c, n, self);
        c->read_s = clock_wall_ms() / 1000;
        log_at(LOG_NORMAL, "the configuration was read anew: %u nodes", c->d->nodes.count);
    }
    free(n);
}

int mx_cluster_take(struct mx_cluster *c, const uint8_t *ptr, size_t len_bytes, struct err *e)
{
    int rc = -EPROTO;
    if (!c->drive)
        return err_say(e, ENOTSUP, "this node has a static map, and no certificates");
    if (len_bytes == GSP_EPOCH_BODY_BYTES)
        rc = gsp_drive_epoch(c->drive, ptr, len_bytes);
    else if (len_bytes == GSP_REVOKE_BYTES)
        rc = gsp_drive_revoke(c->drive, ptr, len_bytes);
    if (rc == -EACCES || rc == -EPROTO)
        return err_say(e, EACCES, "that is not of this cluster's owner");
    if (rc == -ENOENT)
        return err_say(e, ENOENT, "no node has that number");
    return rc < 0 ? err_set(e, -rc, "take it") : rc;
}

/* The caller is a child: what it changes is its own. */
int mx_cluster_check(const struct mx_cluster *c, const uint8_t *ptr, size_t len_bytes,
                     struct err *e)
{
    struct mx_cluster *copy = (struct mx_cluster *)(uintptr_t)c;
    if (c->drive)
        gsp_drive_silence(c->drive);
    return mx_cluster_take(copy, ptr, len_bytes, e);
}

bool mx_cluster_leave(struct mx_cluster *c)
{
    if (c->drive)
        gsp_drive_leave(c->drive);
    return c->drive && !gsp_drive_is_gone(c->drive);
}

void mx_cluster_stop(struct mx_cluster *c)
{
    loop_timer_del(&c->timer);
    gsp_drive_free(c->drive);
    c->drive = NULL;
    mx_readings_close(&c->readings);
    crypto_wipe(&c->d->id, sizeof c->d->id);
}
