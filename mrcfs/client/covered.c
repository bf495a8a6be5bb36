/* SPDX-License-Identifier: GPL-2.0-or-later */
/* covered.c: names that something else is mounted on. */
#include "mrcfs/client/covered.h"

#include "mrcfs/client/client.h"
#include "mrcfs/client/session.h"

#include <string.h>
#include <sys/stat.h>

void mfs_covered_begin(struct mfs_session *s, const char *names)
{
    size_t n = 0;
    if (!names || strcmp(s->client->exports[s->export_number].path, "/") != 0)
        return;
    for (const char *at = names; *at && n < MFS_COVERED_MAX; at += strspn(at, ":")) {
        s->covered[n++] = (struct mfs_covered){ .name = at };
        at += strcspn(at, ":");
    }
}

static struct mfs_covered *find(struct mfs_session *s, uint64_t dir, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; dir == s->root && i < MFS_COVERED_MAX && s->covered[i].name; i++)
        if (strcspn(s->covered[i].name, ":") == len && !memcmp(s->covered[i].name, name, len))
            return &s->covered[i];
    return NULL;
}

void mfs_covered_learn(struct mfs_session *s, uint64_t dir, const char *name, uint64_t node,
                       const struct mfs_attr *attr)
{
    struct mfs_covered *x = S_ISDIR(attr->mode) ? find(s, dir, name) : NULL;
    if (!x || x->node)
        return;
    x->node = node;
    x->attr = *attr;
}

const struct mfs_covered *mfs_covered_find(struct mfs_session *s, uint64_t dir,
                                           const char *name)
{
    struct mfs_covered *x = find(s, dir, name);
    const struct mfs_known *n = x && x->node ? mfs_known_find(&s->nodes, x->node) : NULL;
    if (n && n->nlookup)
        return x;
    if (x)
        x->node = 0; /* the kernel has forgotten it */
    return NULL;
}
