/* SPDX-License-Identifier: GPL-2.0-or-later */
/* look.c: what is known of a node, and what may be done with it.
 * Must not know: how it came to be known. */
#include "mosix-core/mosixd/mosixd.h"

#include "common/sys/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Of this node: as exact as it is. */
static void look_here(const struct mx_cluster *c, struct mx_known *k)
{
    const struct mx_readings *r = &c->readings;
    uint64_t load = mx_load_normal(r->load.told, r->about.speed);
    k->state = GSP_ALIVE;
    k->since_ms = (int64_t)clock_mono_ms() - c->started_ms;
    k->age_ms = 0;
    k->is_certified = c->d->id.has_cert;
    k->has_about = true;
    k->about = r->about;
    k->about.guests_max = (uint16_t)c->rules.maxguests;
    k->life = c->d->id.has_cert ? c->life : (uint32_t)c->started_s;
    k->facts.load = (uint16_t)(load < UINT16_MAX ? load : UINT16_MAX);
    k->facts.idle_cores = (uint8_t)(r->idle_cores < UINT8_MAX ? r->idle_cores : UINT8_MAX);
    k->facts.guests = (uint8_t)(c->guests < UINT8_MAX ? c->guests : UINT8_MAX);
}

void mx_cluster_look(const struct mx_cluster *c, int node, struct mx_known *k)
{
    const struct mx_node *n = &c->d->nodes.list[node];
    memset(k, 0, sizeof *k);
    k->since_ms = k->age_ms = -1;
    if (node == c->d->self) {
        look_here(c, k);
        k->is_revoked = c->d->id.has_cert && c->cert.serial <= n->revoked;
        return;
    }
    if (!c->drive)
        return;
    const struct gsp *g = gsp_drive_core(c->drive);
    const struct gsp_peer *p = &g->peers[n->number];
    const struct gsp_seal_peer *s = &gsp_drive_seal(c->drive)->peers[n->number];
    int64_t now_ms = (int64_t)clock_mono_ms();
    size_t len;
    const uint8_t *about = gsp_drive_about_of(c->drive, n->number, &len);
    k->is_certified = s->has_key;
    k->is_revoked = s->revoked && (!s->has_key || s->serial <= s->revoked);
    if (about) {
        struct rd r = rd_of(about, len);
        k->has_about = mx_about_get(&r, &k->about) == 0;
    }
    if (p->has_entry) {
        k->facts = p->facts;
        k->age_ms = (uint32_t)((uint32_t)now_ms - p->born_ms);
    }
    if (gsp_drive_is_heard(c->drive, n->number)) {
        k->state = p->state;
        k->life = gsp_life(p->incarnation);
        k->since_ms = now_ms - gsp_drive_changed_ms(c->drive, n->number);
    }
    if (k->is_revoked)
        k->state = GSP_DEAD;
}

static const char *cluster_name(const struct mx_cluster *c, unsigned number)
{
    const struct mx_cluster_entry *entry = mx_nodes_cluster(&c->d->nodes, number);
    return entry ? entry->name : "?";
}

int mx_cluster_may_go(const struct mx_cluster *c, int node, struct err *e)
{
    const struct mx_node *n = &c->d->nodes.list[node];
    const struct mx_cluster_entry *entry = mx_nodes_cluster(&c->d->nodes, n->cluster);
    struct mx_known k;
    if (!c->drive || node == c->d->self)
        return 0;
    mx_cluster_look(c, node, &k);
    if (k.is_revoked)
        return err_say(e, EKEYREVOKED, "node %s: its certificate was revoked", n->name);
    if (entry && !entry->goes)
        return err_say(e, EPERM, "processes of this cluster don't go to cluster %s (partners)",
                       cluster_name(c, n->cluster));
    if (k.state == GSP_DEAD)
        return err_say(e, EHOSTDOWN, "node %s is dead", n->name);
    if (k.state == GSP_LEFT)
        return err_say(e, EHOSTDOWN, "node %s has left the cluster", n->name);
    if (k.state == GSP_SUSPECT)
        return err_say(e, EHOSTDOWN, "node %s does not answer, and may be dead", n->name);
    if (k.state == GSP_UNKNOWN && gsp_drive_core(c->drive)->peers[n->number].state == GSP_DEAD)
        return err_say(e, EHOSTDOWN, "nothing was ever heard of node %s", n->name);
    return 0;
}

int mx_cluster_target(const struct mx_cluster *c, const char *where, char *line, size_t size,
                      struct err *e)
{
    char text[MX_NODE_TEXT_MAX] = "home";
    if (strcmp(where, "home") != 0) {
        int node = mx_nodes_find(&c->d->nodes, where);
        if (node < 0)
            return err_say(e, ENOENT, "no node is called %s", where);
        int rc = mx_cluster_may_go(c, node, e);
        if (rc < 0)
            return rc;
        mx_node_text(&c->d->nodes.list[node], text);
    }
    snprintf(line, size, "migrate %s\n", text);
    return 0;
}
