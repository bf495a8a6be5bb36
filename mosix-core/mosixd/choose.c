/* SPDX-License-Identifier: GPL-2.0-or-later */
/* choose.c: the request "best": where a program should begin, by what the gossip tells of the
 * nodes. Must not know: how a process gets there. What was chosen in the last seconds is noted
 * in a file, as it does not show in the others' load before they have measured and told it. */
#include "mosix-core/mosixd/best.h"
#include "mosix-core/mosixd/processor.h"
#include "mosix-core/mosixd/request.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "mosix-core/plan/admit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    MX_CHOICES_MAX = 256, /* that are remembered */
    CHOICE_MS = 8000,     /* until it shows: measuring, and gossip */
    TOO_OLD_MS = 60000,   /* figures that say nothing any more */
};

struct choice {
    uint64_t at_ms;
    uint32_t number; /* of the node, in the map */
    uint32_t unused;
};

/* May it be chosen? */
static bool get_candidate(struct mx_request *r, int node, struct mx_candidate *c)
{
    const struct mx_cluster *all = r->d->cluster;
    const struct mx_nodes *n = &r->d->nodes;
    struct mx_known k;
    struct err e = { "" };
    char missing[MX_CPU_WORDS_MAX];
    bool is_here = node == r->d->self;
    mx_cluster_look(all, node, &k);
    if (!k.has_about || !k.about.cores || !k.about.speed)
        return false;
    if (!is_here &&
        (k.state != GSP_ALIVE || k.age_ms < 0 || k.age_ms > TOO_OLD_MS ||
         mx_flags_get(k.facts.flags).is_blocked ||
         (k.about.cpu && !mx_cpu_does(k.about.cpu, all->readings.about.cpu, missing)) ||
         (k.about.guests_max && k.facts.guests >= k.about.guests_max) ||
         mx_cluster_may_go(all, node, &e) < 0))
        return false;
    bool is_partner = n->list[node].cluster != n->list[r->d->self].cluster;
    if (!is_here && !is_partner && mx_nodes_rank(n, node, r->d->self) == MX_RANK_NEVER)
        return false; /* another partition, that takes its own only */
    *c = (struct mx_candidate){ .load_centi = k.facts.load,
                                .speed = k.about.speed,
                                .cores = k.about.cores,
                                .free_mb =
                                    is_here ? all->readings.memory.available_kb >> 10
                                            : (uint64_t)k.facts.free_memory * MX_MEMORY_STEP_MB,
                                .is_here = is_here,
                                .is_partner = is_partner };
    return true;
}

/* The choices that still count, moved to the front. Returns how many. */
static unsigned get_choices(int fd, struct choice list[MX_CHOICES_MAX], uint64_t now_ms)
{
    ssize_t n = pread(fd, list, MX_CHOICES_MAX * sizeof *list, 0);
    unsigned all = n > 0 ? (unsigned)((size_t)n / sizeof *list) : 0, count = 0;
    for (unsigned i = 0; i < all; i++)
        if (list[i].at_ms <= now_ms && now_ms - list[i].at_ms < CHOICE_MS)
            list[count++] = list[i];
    return count;
}

static int put_choices(int fd, const struct choice *list, unsigned count)
{
    size_t len = count * sizeof *list;
    return pwrite(fd, list, len, 0) == (ssize_t)len && ftruncate(fd, (off_t)len) == 0 ? 0
                                                                                      : -EIO;
}

/* What is asked, and what is found. */
struct wish {
    uint64_t need_mb;
    bool is_look;      /* nobody goes there because of it */
    bool is_remote;    /* another node than this one */
    bool has_partners; /* of other clusters, if none of the own has room */
    int node;
    uint64_t cost_us;
};

/* The candidates, with what is on its way to each. Returns how many. */
static unsigned get_candidates(struct mx_request *r, const struct wish *w,
                               const struct choice *made, unsigned choices,
                               struct mx_candidate *list, int *nodes)
{
    bool may_leave = w->is_look || !(r->d->cluster->rules.stay || r->d->cluster->rules.lstay);
    unsigned count = 0;
    for (int i = 0; i < (int)r->d->nodes.count; i++) {
        if ((i == r->d->self ? w->is_remote : !may_leave) ||
            !get_candidate(r, i, &list[count]) || (list[count].is_partner && !w->has_partners))
            continue;
        for (unsigned k = 0; k < choices; k++)
            list[count].coming += made[k].number == r->d->nodes.list[i].number;
        nodes[count++] = i;
    }
    return count;
}

static int choose(struct mx_request *r, struct wish *w, struct err *e)
{
    static struct mx_candidate list[MX_NODES_MAX];
    static int nodes[MX_NODES_MAX];
    struct choice made[MX_CHOICES_MAX];
    char path[MX_RUN_MAX + 16];
    uint32_t chance;
    if (!r->d->cluster->drive)
        return err_say(e, ENOTSUP, "the load of the nodes is not known: their map is static");
    snprintf(path, sizeof path, "%s/chosen", r->d->run);
    AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        return err_set(e, errno, "open %s", path);
    uint64_t now_ms = clock_mono_ms();
    unsigned choices = get_choices(fd, made, now_ms);
    unsigned count = get_candidates(r, w, made, choices, list, nodes);
    int rc = crypto_random(&chance, sizeof chance);
    if (rc < 0)
        return err_set(e, -rc, "choose a node");
    int best = mx_best(list, count, w->need_mb, chance);
    if (best < 0 && !w->need_mb)
        return err_say(e, EHOSTDOWN, "no node is known to be alive and to take a process");
    if (best < 0)
        return err_say(e, ENOSPC, "no node has %llu MiB free", (unsigned long long)w->need_mb);
    w->node = nodes[best];
    w->cost_us = mx_best_cost_us(&list[best]);
    if (w->is_look)
        return 0;
    if (choices == MX_CHOICES_MAX)
        memmove(made, made + 1, (--choices) * sizeof *made);
    made[choices++] =
        (struct choice){ .at_ms = now_ms, .number = r->d->nodes.list[w->node].number };
    return put_choices(fd, made, choices) < 0 ? err_say(e, EIO, "write %s", path) : 0;
}

/* What may stand behind the number. */
static bool take_word(struct wish *w, const char *word)
{
    bool is_remote = strcmp(word, "remote") == 0, is_look = strcmp(word, "look") == 0;
    bool is_partners = strcmp(word, "partners") == 0;
    w->is_remote |= is_remote;
    w->is_look |= is_look;
    w->has_partners |= is_partners;
    return is_remote || is_look || is_partners;
}

/* "best MB WORD...": look: to be told, and no more; remote: not this node; partners: of other
 * clusters, too. */
int mx_ask_best(struct mx_request *r, const char *rest, struct err *e)
{
    char word[3][16], more[2];
    unsigned long long need_mb;
    struct wish w = { .need_mb = 0 };
    int words =
        sscanf(rest, "%llu %15s %15s %15s %1s", &need_mb, word[0], word[1], word[2], more);
    bool is_right = words >= 1 && words <= 4;
    for (int i = 0; i < words - 1 && is_right; i++)
        is_right = take_word(&w, word[i]);
    if (!is_right)
        return err_say(e, EINVAL,
                       "should be how much memory is needed, and perhaps look, "
                       "remote, partners");
    w.need_mb = need_mb;
    int rc = choose(r, &w, e);
    if (rc < 0)
        return rc;
    const struct mx_node *n = &r->d->nodes.list[w.node];
    mx_request_say(r, "ok %s %u %s %llu\n",
                   !w.is_look && w.node == r->d->self ? "home" : n->name, n->number, n->address,
                   (unsigned long long)w.cost_us);
    return 0;
}
