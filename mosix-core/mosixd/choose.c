/* SPDX-License-Identifier: GPL-2.0-or-later */
/* choose.c: the request "best": where a program should begin, by what the gossip tells of the
 * nodes. Must not know: how a process gets there. What was chosen in the last seconds is noted
 * in a file, as it does not show in the others' load before they have measured and told it. */
#include "mosix-core/mosixd/best.h"
#include "mosix-core/mosixd/request.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"

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
    struct mx_known k;
    struct err e = { "" };
    bool is_here = node == r->d->self;
    mx_cluster_look(all, node, &k);
    if (!k.has_about || !k.about.cores || !k.about.speed)
        return false;
    if (!is_here && (k.state != GSP_ALIVE || k.age_ms < 0 || k.age_ms > TOO_OLD_MS ||
                     mx_flags_get(k.facts.flags).is_blocked ||
                     (k.about.guests_max && k.facts.guests >= k.about.guests_max) ||
                     mx_cluster_may_go(all, node, &e) < 0))
        return false;
    *c = (struct mx_candidate){ .load_centi = k.facts.load,
                                .speed = k.about.speed,
                                .cores = k.about.cores,
                                .free_mb =
                                    is_here ? all->readings.memory.available_kb >> 10
                                            : (uint64_t)k.facts.free_memory * MX_MEMORY_STEP_MB,
                                .is_here = is_here };
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

static int choose(struct mx_request *r, uint64_t need_mb, int *node_out, struct err *e)
{
    static struct mx_candidate list[MX_NODES_MAX];
    static int nodes[MX_NODES_MAX];
    struct choice made[MX_CHOICES_MAX];
    char path[MX_RUN_MAX + 16];
    unsigned count = 0;
    uint32_t chance;
    if (!r->d->cluster->drive)
        return err_say(e, ENOTSUP, "the load of the nodes is not known: their map is static");
    snprintf(path, sizeof path, "%s/chosen", r->d->run);
    AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        return err_set(e, errno, "open %s", path);
    uint64_t now_ms = clock_mono_ms();
    unsigned choices = get_choices(fd, made, now_ms);
    for (int i = 0; i < (int)r->d->nodes.count; i++) {
        if (!get_candidate(r, i, &list[count]))
            continue;
        for (unsigned k = 0; k < choices; k++)
            list[count].coming += made[k].number == r->d->nodes.list[i].number;
        nodes[count++] = i;
    }
    int rc = crypto_random(&chance, sizeof chance);
    if (rc < 0)
        return err_set(e, -rc, "choose a node");
    int best = mx_best(list, count, need_mb, chance);
    if (best < 0)
        return err_say(e, ENOSPC, "no node has %llu MiB free", (unsigned long long)need_mb);
    *node_out = nodes[best];
    if (choices == MX_CHOICES_MAX)
        memmove(made, made + 1, (--choices) * sizeof *made);
    made[choices++] =
        (struct choice){ .at_ms = now_ms, .number = r->d->nodes.list[*node_out].number };
    return put_choices(fd, made, choices) < 0 ? err_say(e, EIO, "write %s", path) : 0;
}

int mx_ask_best(struct mx_request *r, const char *rest, struct err *e)
{
    unsigned long long need_mb;
    char more[2];
    int node = 0;
    if (sscanf(rest, "%llu %1s", &need_mb, more) != 1)
        return err_say(e, EINVAL, "should be how much memory is needed");
    int rc = choose(r, need_mb, &node, e);
    if (rc == 0)
        mx_request_say(r, "ok %s\n", node == r->d->self ? "home" : r->d->nodes.list[node].name);
    return rc;
}
