/* SPDX-License-Identifier: GPL-2.0-or-later */
/* admit.c: what plan/admit.h needs to decide, and what people are told of it.
 * Must not know: what a guest is made of. */
#include "mosix-core/mosixd/admit.h"

#include "common/sys/clock.h"
#include "common/sys/log.h"
#include "mosix-core/plan/admit.h"

#include <errno.h>
#include <string.h>

enum {
    KEPT_PART = 20,    /* of its memory a node keeps this part for its own processes, */
    KEPT_MB_MAX = 1024 /* and no more */
};

static struct mx_room room_of(const struct mx_daemon *d)
{
    const struct mx_cluster *c = d->cluster;
    const struct mx_readings *r = &c->readings;
    struct mx_rules rules;
    struct err e = { "" };
    uint64_t kept_mb = (r->memory.total_kb >> 10) / KEPT_PART;
    /* From the file: it may have been said a moment ago. */
    if (mx_rules_read(&rules, c->rules_path, &e) < 0) {
        log_error("%s", e.text);
        rules = c->rules;
    }
    return (struct mx_room){ .is_blocked = rules.block,
                             .guests_max = rules.maxguests,
                             .partners_max = rules.gridguests,
                             .load_centi = mx_load_normal(r->load.own, r->about.speed),
                             .load_max_centi = rules.maxload,
                             .free_mb = r->memory.available_kb >> 10,
                             .kept_mb = kept_mb < KEPT_MB_MAX ? kept_mb : KEPT_MB_MAX };
}

/* Who is never taken is told by what. */
static int never(const struct mx_nodes *n, int self, int who, struct err *e)
{
    const struct mx_node *host = &n->list[self], *home = &n->list[who];
    const struct mx_cluster_entry *c = mx_nodes_cluster(n, home->cluster);
    if (host->cluster != home->cluster)
        return err_say(e, EPERM, "processes of cluster %s are not taken here",
                       c ? c->name : "?");
    return err_say(e, EPERM, "takes processes of its own partition, %s, only",
                   host->partition ? n->partitions[host->partition - 1].name : "?");
}

int mx_admit_look(const struct mx_daemon *d, struct mx_guests *g, int who, uint32_t need_mb,
                  struct mx_guest_entry *guest, int *out, struct err *e)
{
    struct mx_claim list[MX_GUESTS_MAX];
    const struct mx_nodes *n = &d->nodes;
    int64_t now_ms = (int64_t)clock_mono_ms();
    struct mx_room room = room_of(d);
    struct mx_claim claim = { .rank =
                                  who < 0 ? MX_RANK_PARTITION : mx_nodes_rank(n, d->self, who),
                              .is_partner =
                                  who >= 0 && n->list[who].cluster != n->list[d->self].cluster,
                              .need_mb = need_mb };
    for (unsigned i = 0; i < g->count; i++)
        list[i] = (struct mx_claim){ .rank = g->list[i].rank,
                                     .is_partner = g->list[i].is_partner,
                                     .is_coming = mx_guest_is_coming(&g->list[i], now_ms),
                                     .is_leaving = mx_guest_is_leaving(&g->list[i], now_ms),
                                     .need_mb = g->list[i].need_mb };
    *guest = (struct mx_guest_entry){ .is_partner = claim.is_partner,
                                      .rank = claim.rank,
                                      .home = who < 0 ? 0 : n->list[who].number,
                                      .need_mb = need_mb,
                                      .at_ms = now_ms };
    enum mx_admit may = mx_admit(&room, list, g->count, &claim, out);
    if (may == MX_ADMIT_NEVER)
        return never(n, d->self, who, e);
    if (may != MX_ADMIT_YES)
        return err_say(e, EBUSY, "%s", mx_admit_text(may)); /* the home says of which node */
    if (g->count == MX_GUESTS_MAX)
        return err_say(e, EBUSY, "waits for guests to leave");
    return 0;
}

int mx_admit_expel(const struct mx_daemon *d, bool is_partners_only, struct err *e)
{
    struct mx_guests g;
    int count = 0, rc = mx_guests_open(&g, d->run, true, e);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < g.count; i++)
        if ((!is_partners_only || g.list[i].is_partner) &&
            mx_guest_send_away(&g.list[i], d->run, "its administrator sends guests away") == 0)
            count++;
    rc = mx_guests_save(&g, e);
    mx_guests_close(&g);
    return rc < 0 ? rc : count;
}

bool mx_admit_is_shut(const struct mx_cluster *c)
{
    const struct mx_readings *r = &c->readings;
    return c->rules.block || c->guests >= c->rules.maxguests ||
           (c->rules.maxload &&
            mx_load_normal(r->load.own, r->about.speed) >= c->rules.maxload);
}
