/* SPDX-License-Identifier: GPL-2.0-or-later */
/* partners.c: dealings with other clusters, partitions of the own one, and what rank a process
 * has by them. Must not know: processes, who is alive. */
#include "mosix-core/net/lines.h"
#include "mosix-core/net/nodes.h"
#include "mosix-core/plan/admit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- partners ---- */

static struct mx_cluster_entry *find_cluster(struct mx_nodes *n, const char *name)
{
    for (unsigned i = 0; i < n->cluster_count; i++)
        if (strcmp(n->clusters[i].name, name) == 0)
            return &n->clusters[i];
    return NULL;
}

static int partner_line(void *ctx, const struct mx_line *l, struct err *e)
{
    bool is_long = l->count == 4;
    bool takes = (l->count == 3 || is_long) && strcmp(l->words[1], "take") == 0;
    bool goes = (l->count == 3 || is_long) && strcmp(l->words[2], "go") == 0;
    if ((l->count != 3 && !is_long) || (!takes && strcmp(l->words[1], "refuse") != 0) ||
        (!goes && strcmp(l->words[2], "stay") != 0))
        return err_say(e, EINVAL,
                       "%s, line %u: should be a cluster's name, take or refuse, go or stay, "
                       "and perhaps a priority",
                       l->path, l->number);
    long rank = is_long ? mx_line_number(l->words[3], MX_RANK_PARTITION + 1, MX_RANK_WORST)
                        : MX_RANK_PARTNER;
    if (rank < 0)
        return err_say(e, EINVAL, "%s, line %u: '%s' is no priority (%d to %d)", l->path,
                       l->number, l->words[3], MX_RANK_PARTITION + 1, MX_RANK_WORST);
    struct mx_cluster_entry *c = find_cluster(ctx, l->words[0]);
    if (!c)
        return err_say(e, EINVAL, "%s, line %u: no cluster of the map is called '%s'", l->path,
                       l->number, l->words[0]);
    c->takes = takes;
    c->goes = goes;
    c->rank = (uint16_t)rank;
    return 0;
}

/* A file that is not there says nothing. */
static int read_lines(const char *path,
                      int (*fn)(void *ctx, const struct mx_line *l, struct err *e), void *ctx,
                      struct err *e)
{
    struct err why = { "" };
    int rc = mx_lines_each(path, fn, ctx, &why);
    return rc < 0 && rc != -ENOENT ? err_say(e, -rc, "%s", why.text) : 0;
}

int mx_partners_read(struct mx_nodes *n, const char *path, struct err *e)
{
    for (unsigned i = 0; i < n->cluster_count; i++) {
        n->clusters[i].takes = n->clusters[i].goes = false;
        n->clusters[i].rank = MX_RANK_PARTNER;
    }
    return read_lines(path, partner_line, n, e);
}

/* ---- partitions ---- */

struct reader {
    struct mx_nodes *n;
    uint8_t cluster;
};

static int add_partition(struct reader *r, const struct mx_line *l, uint16_t rank,
                         struct err *e)
{
    struct mx_nodes *n = r->n;
    const char *name = l->words[0];
    for (unsigned i = 0; i < n->partition_count; i++) {
        if (strcmp(n->partitions[i].name, name) != 0)
            continue;
        if (n->partitions[i].rank != rank)
            return err_say(e, EINVAL, "%s, line %u: partition %s had another priority before",
                           l->path, l->number, name);
        return (int)i;
    }
    if (strlen(name) > MX_NODE_NAME_MAX)
        return err_say(e, EINVAL, "%s, line %u: the name is too long", l->path, l->number);
    if (n->partition_count == MX_PARTITIONS_MAX)
        return err_say(e, ENOSPC, "%s, line %u: more than %d partitions", l->path, l->number,
                       MX_PARTITIONS_MAX);
    struct mx_partition *p = &n->partitions[n->partition_count];
    *p = (struct mx_partition){ .rank = rank };
    snprintf(p->name, sizeof p->name, "%s", name);
    return (int)n->partition_count++;
}

static int put_node(struct reader *r, const struct mx_line *l, struct mx_node *node,
                    unsigned partition, struct err *e)
{
    if (node->cluster != r->cluster)
        return err_say(e, EINVAL, "%s, line %u: node %s is of another cluster", l->path,
                       l->number, node->name);
    if (node->partition && node->partition != partition + 1)
        return err_say(e, EINVAL, "%s, line %u: node %s is in partition %s already", l->path,
                       l->number, node->name, r->n->partitions[node->partition - 1].name);
    node->partition = (uint8_t)(partition + 1);
    return 0;
}

/* "FIRST-LAST": all nodes of the own cluster with numbers between. */
static int put_range(struct reader *r, const struct mx_line *l, const char *word,
                     unsigned partition, struct err *e)
{
    char first_text[16];
    const char *dash = strchr(word, '-');
    unsigned count = 0;
    int rc = 0;
    if (!dash || snprintf(first_text, sizeof first_text, "%.*s", (int)(dash - word), word) >=
                     (int)sizeof first_text)
        return err_say(e, EINVAL, "%s, line %u: no node is called '%.80s'", l->path, l->number,
                       word);
    long first = mx_line_number(first_text, 1, MX_NUMBER_MAX);
    long last = mx_line_number(dash + 1, 1, MX_NUMBER_MAX);
    for (unsigned i = 0; first > 0 && last > 0 && rc == 0 && i < r->n->count; i++) {
        struct mx_node *node = &r->n->list[i];
        if (node->number < first || node->number > last || node->cluster != r->cluster)
            continue;
        rc = put_node(r, l, node, partition, e);
        count++;
    }
    return rc < 0 || count ? rc
                           : err_say(e, EINVAL, "%s, line %u: there are no nodes '%.80s'",
                                     l->path, l->number, word);
}

static int partition_line(void *ctx, const struct mx_line *l, struct err *e)
{
    struct reader *r = ctx;
    bool is_refusing = l->count > 2 && strcmp(l->words[1], "refuse") == 0;
    long rank = l->count > 2 && !is_refusing
                    ? mx_line_number(l->words[1], MX_RANK_PARTITION + 1, MX_RANK_WORST)
                    : MX_RANK_NEVER;
    if (l->count < 3 || l->count == MX_LINE_WORDS_MAX || rank < 0)
        return err_say(e, EINVAL,
                       "%s, line %u: should be a name, a priority (%d to %d) or refuse, and "
                       "at most %d nodes",
                       l->path, l->number, MX_RANK_PARTITION + 1, MX_RANK_WORST,
                       MX_LINE_WORDS_MAX - 3);
    int partition = add_partition(r, l, (uint16_t)rank, e), rc = partition < 0 ? partition : 0;
    for (unsigned i = 2; rc == 0 && i < l->count; i++) {
        int node = mx_nodes_find(r->n, l->words[i]);
        rc = node >= 0 ? put_node(r, l, &r->n->list[node], (unsigned)partition, e)
                       : put_range(r, l, l->words[i], (unsigned)partition, e);
    }
    return rc;
}

int mx_partitions_read(struct mx_nodes *n, const char *path, int own, struct err *e)
{
    struct reader r = { n, n->list[own].cluster };
    n->partition_count = 0;
    for (unsigned i = 0; i < n->count; i++)
        n->list[i].partition = 0;
    return read_lines(path, partition_line, &r, e);
}

/* ---- ranks ---- */

uint16_t mx_nodes_rank(const struct mx_nodes *n, int here, int from)
{
    const struct mx_node *host = &n->list[here], *home = &n->list[from];
    if (here == from)
        return MX_RANK_LOCAL;
    if (host->cluster != home->cluster) {
        const struct mx_cluster_entry *c = mx_nodes_cluster(n, home->cluster);
        return c && c->takes ? c->rank : MX_RANK_NEVER;
    }
    if (host->partition == home->partition)
        return MX_RANK_PARTITION;
    return host->partition ? n->partitions[host->partition - 1].rank : MX_RANK_CLUSTER;
}
